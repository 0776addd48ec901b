//! Floor 3. WAMP 2: publish and subscribe, calls and registrations, in one list per message.
//!
//! | code | message | after the code | said by |
//! |---|---|---|---|
//! | 1, 2 | HELLO, WELCOME | realm, details; session, details | client; router |
//! | 3, 6 | ABORT, GOODBYE | details, reason | both |
//! | 4, 5 | CHALLENGE, AUTHENTICATE | method, extra; signature, extra | router; client |
//! | 8 | ERROR | kind, request, details, error, payload | both (clients: of 68 only) |
//! | 16, 17 | PUBLISH, PUBLISHED | request, options, topic, payload; request, publication | client; router |
//! | 32, 33 | SUBSCRIBE, SUBSCRIBED | request, options, topic; request, subscription | client; router |
//! | 34, 35 | UNSUBSCRIBE, UNSUBSCRIBED | request, subscription; request | client; router |
//! | 36 | EVENT | subscription, publication, details, payload | router |
//! | 48, 49, 50 | CALL, CANCEL, RESULT | request, options (CALL: procedure, payload; RESULT: payload) | client; client; router |
//! | 64 to 67 | REGISTER, UNREGISTER and their answers | as 32 to 35 | client; router |
//! | 68, 69, 70 | INVOCATION, INTERRUPT, YIELD | request, registration, details, payload; request, options; request, options, payload | router; router; client |
//! | 337 | EVENT_RECEIVED | publication | client |
//!
//! A message is one list in JSON, MessagePack or CBOR (`value`). Options that are understood, each
//! with the feature it belongs to, stand in `options`; features in `roles`. Meant to be spoken:
//! progressive results and invocations, call timeouts, canceling, identification and trust levels
//! on both sides, patterns, shared and sharded registrations and subscriptions, revocation, lists
//! of who may have an event, retention and history of events, testaments, payloads passed through,
//! the meta procedures. Reading order: `packet`, `options`, `roles`, `parts`, `decode`, `encode`,
//! `uri`, `dialect`, `fault`; then how messages travel: `rawsocket`, `batch`.
//! Absent on purpose: UBJSON and FlatBuffers, and the older way of packing payloads (`enc_algo`).

pub mod batch;
pub mod decode;
pub mod dialect;
pub mod encode;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod options;
pub mod packet;
pub mod parts;
pub mod rawsocket;
pub mod roles;
pub mod uri;

#[cfg(test)]
mod decode_test;
#[cfg(test)]
mod dialect_test;
#[cfg(test)]
mod encode_test;
#[cfg(test)]
mod options_test;
#[cfg(test)]
mod rawsocket_test;
#[cfg(test)]
mod uri_test;

pub use decode::{Most, Refused, decode};
pub use encode::encode;
pub use packet::{Message, Sender};
pub use parts::{Amount, ID_MAX, Payload, Raw, Text};
