//! Floor 3. WAMP 2: publish and subscribe, calls and registrations, in one list per message.
//!
//! ```text
//! 1 HELLO          realm, details                              client
//! 2 WELCOME        session, details                            router
//! 3 ABORT          details, reason, payload                    both
//! 4 CHALLENGE      method, extra                               router
//! 5 AUTHENTICATE   signature, extra                            client
//! 6 GOODBYE        details, reason                             both
//! 8 ERROR          kind, request, details, error, payload      both; clients about 68 only
//! 16 PUBLISH       request, options, topic, payload            client
//! 17 PUBLISHED     request, publication                        router
//! 32 SUBSCRIBE     request, options, topic                     client
//! 33 SUBSCRIBED    request, subscription                       router
//! 34 UNSUBSCRIBE   request, subscription                       client
//! 35 UNSUBSCRIBED  request; or 0, details                      router
//! 36 EVENT         subscription, publication, details, payload router
//! 48 CALL          request, options, procedure, payload        client
//! 49 CANCEL        request, options                            client
//! 50 RESULT        request, details, payload                   router
//! 64 REGISTER      request, options, procedure                 client
//! 65 REGISTERED    request, registration                       router
//! 66 UNREGISTER    request, registration                       client
//! 67 UNREGISTERED  request; or 0, details                      router
//! 68 INVOCATION    request, registration, details, payload     router
//! 69 INTERRUPT     request, options                            router
//! 70 YIELD         request, options, payload                   client
//! 337 EVENT_RECEIVED  publication                              client
//! ```
//!
//! A message is one list in JSON, MessagePack or CBOR (`value`). Options that are understood, each
//! with the feature it belongs to, stand in `options`; features in `roles`. Meant to be spoken:
//! progressive results and invocations, call timeouts, canceling, identification and trust levels
//! on both sides, patterns, shared and sharded registrations and subscriptions, revocation, lists
//! of who may have an event, retention and history of events, testaments, payloads passed through,
//! the meta procedures. Reading order: `packet`, `options`, `roles`, `parts`, `decode`, `encode`,
//! `uri`, `dialect`, `fault`; then how messages travel: `rawsocket`, `batch`,
//! `pulse`; then who comes in: `exam`; then what the router itself answers and tells: `meta`.
//! Absent on purpose: UBJSON and FlatBuffers, and the older way of packing payloads (`enc_algo`).

mod asking;
pub mod batch;
mod calling;
pub mod decode;
mod deliver;
pub mod dialect;
pub mod encode;
pub mod exam;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod line;
pub mod meta;
pub mod notes;
mod online;
pub mod options;
pub mod packet;
pub mod parts;
pub mod peer;
mod pulse;
pub mod rawsocket;
pub mod roles;
pub mod span;
mod telling;
pub mod terms;
pub mod uri;

#[cfg(test)]
mod decode_test;
#[cfg(test)]
mod dialect_test;
#[cfg(test)]
mod encode_test;
#[cfg(test)]
mod exam_test;
#[cfg(test)]
mod options_test;
#[cfg(test)]
mod peer_test;
#[cfg(test)]
mod rawsocket_test;
#[cfg(test)]
mod refusals_test;
#[cfg(test)]
mod uri_test;

pub use decode::{Most, Refused, decode};
pub use encode::encode;
pub use packet::{Message, Sender};
pub use parts::{Amount, ID_MAX, Payload, Raw, Text};
