//! Floor 3. MQTT: 3.1, 3.1.1 and 5.0, ports 1883 and 8883.
//!
//! ```text
//! byte 0       type (high nibble) | flags (low nibble)
//! bytes 1..=4  length of the body: 7 bits per byte, least significant first, bit 7 = more
//! body         fields; integers big endian, text and blobs counted by a u16
//! ```
//!
//! One set of types serves all three versions; what a version lacks is empty in it.

mod alias;
mod auth;
mod connect;
pub mod decode;
mod deliver;
pub mod dialect;
pub mod encode;
pub mod fault;
mod line;
mod online;
pub mod packet;
pub mod peer;
#[cfg(test)]
mod peer_test;
pub mod props;
mod subscribe;

pub use decode::{frame_len, next};
pub use encode::{
    PublishHead, PublishProps, Unsendable, encode, encode_vec, publish_head, publish_len,
};
pub use packet::{
    Ack, Asked, Codes, ConnAck, Connect, Packet, Publish, Reason, Sender, Subscribe, Unsubscribe,
    Version, Will,
};
pub use props::{Prop, Props};
