//! Floor 3. PRX1: protox's binary protocol, port 52909.
//!
//! ```text
//! byte 0       code (high nibble) | flags (low nibble)
//! bytes 1..=4  length of the body: 7 bits per byte, least significant first, bit 7 = more
//! body         fields; integers big endian, blobs counted by a u16
//! ```
//!
//! It looks like MQTT 3 and is not: other codes, one topic per Subscribe with its QoS in the
//! flags, a payload with its own count, no return code in SubAck, the password before the names.
//! A frame is as long as it says, whatever its fields leave over: trailing bytes are ignored.
//! Under code 0xF, which the original ignores, frames of our own are about calls: `extended.rs`.
//! Where we part from the original on purpose is listed in `deviations.md`.
//! Absent on purpose: QoS 2 (its bits are read, the peer clamps them) and an error packet (the
//! protocol has none: a refusal is a closed connection, save ConnAck 1).

mod calling;
#[cfg(test)]
mod calling_test;
pub mod decode;
#[cfg(test)]
mod decode_test;
mod deliver;
pub mod dialect;
pub mod encode;
pub mod extended;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
mod gather;
pub mod ids;
mod kept;
pub mod packet;
pub mod peer;
#[cfg(test)]
mod peer_test;
mod telling;

pub use decode::{frame_len, next};
pub use encode::{Unsendable, encode, encode_vec, publish_head};
pub use packet::{Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe};
