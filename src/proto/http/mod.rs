//! Floor 3. HTTP/1.1 for whoever runs the broker: health, numbers, lists, and what can be changed.
//!
//! ```text
//! GET /api/v1/clients?limit=20 HTTP/1.1 CRLF      a head: request line, fields, empty line
//! Host: localhost:18083 CRLF CRLF
//!                                                 maybe a body, counted or in chunks
//! ```
//!
//! One request after the other: while one is carried out or answered nothing is read, so whoever
//! sends many at once is held up by the network. Before a body is read it is known who asks. Long
//! answers are found and said piece by piece, as fast as they are taken. One table (`routes`) has
//! every path, what it takes, who may use it and what it answers; the OpenAPI document and the
//! manual's chapter are made of it. Reading order: `packet`, `decode`, `encode`, `problem`,
//! `fault`, `call`, `routes`, `peer`, `work`, then the answers: `plain`, `families` and `metrics`,
//! `gmqtt`, `v1`, `events`, `console`; `openapi` describes them. `polls` is for clients of WAMP, at
//! listeners of theirs. Absent on purpose: files of the machine, cookies, compression, HTTP/2.

pub mod act;
pub mod call;
pub mod console;
pub mod decode;
pub mod encode;
pub mod events;
pub mod families;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod gmqtt;
pub mod metrics;
pub mod openapi;
pub mod packet;
pub mod params;
pub mod peer;
pub mod plain;
pub mod polls;
pub mod problem;
pub mod relays;
pub mod routes;
pub mod task;
pub mod v1;
mod work;

#[cfg(test)]
mod decode_test;
#[cfg(test)]
mod families_test;
