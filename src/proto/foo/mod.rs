//! Floor 3. The Foo protocol: lines between a client and a server, and a relay that watches.
//!
//! ```text
//! REQ 1 Hey there LF        a client asks; numbers are its own
//! ACK 1 0f2c... LF          it was accepted, or
//! NAK 1 0f2c... LF          refused; by the same number
//! ```
//!
//! The relay is no broker: every client gets a connection to an upstream, and bytes go to and fro
//! as they come, both ways at once, an end like everything else. Lines are read along the way and
//! counted; none waits for another. Two things hold whole lines back: to refuse malformed ones
//! (`strict`), and to answer requests while no upstream is there (`away = nak`). Reading order:
//! `packet`, `decode`, `encode`, `fault`, `peer`, `client`, `upstream`. Absent on purpose: topics,
//! and any idea of what data mean.

pub mod client;
pub mod decode;
pub mod encode;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod packet;
pub mod peer;
pub mod upstream;

#[cfg(test)]
mod decode_test;
