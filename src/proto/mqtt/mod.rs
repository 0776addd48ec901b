//! Floor 3. MQTT: 3.1, 3.1.1 and 5.0, ports 1883 and 8883.
//!
//! ```text
//! byte 0       type (high nibble) | flags (low nibble)
//! bytes 1..=4  length of the body: 7 bits per byte, least significant first, bit 7 = more
//! body         fields; integers big endian, text and blobs counted by a u16
//! ```
//!
//! One set of types serves all versions and both directions; what a version lacks is empty in it.
//! The codec is strict: who holds a [`Packet`] holds a well-formed one, and what no packet can say
//! cannot be encoded. It does no I/O and keeps no state, so clients, tests and tools can use it:
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use spindle::proto::mqtt::{Packet, Prop, Props, Publish, Sender, Version, encode_vec, next};
//!
//! let publish = Packet::Publish(Publish {
//!     dup: false,
//!     qos: 1,
//!     retain: false,
//!     topic: Bytes::from_static(b"room/1/temp"),
//!     id: 7,
//!     props: Props::build(&[Prop::ContentType(Bytes::from_static(b"text/plain"))]),
//!     payload: Bytes::from_static(b"21.5"),
//! });
//! let mut input = BytesMut::from(&encode_vec(&publish, Version::V5)?[..]);
//! input.extend_from_slice(&[0xc0]); // a PINGREQ, of which one byte is still to come
//!
//! let max = 64 << 10; // no packet may be longer
//! let heard = next(&mut input, Some(Version::V5), Sender::Client, max)?;
//! assert_eq!(heard, Some(publish));
//! assert_eq!(next(&mut input, Some(Version::V5), Sender::Client, max)?, None);
//!
//! input.extend_from_slice(&[0]);
//! let heard = next(&mut input, Some(Version::V5), Sender::Client, max)?;
//! assert_eq!(heard, Some(Packet::PingReq));
//!
//! // Before the CONNECT nobody knows the version, and nothing else may come.
//! let fault = next(&mut BytesMut::from(&[0xc0, 0][..]), None, Sender::Client, max).unwrap_err();
//! assert_eq!(fault.kind.name(), "MqttFirstPacket");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `packet`, `props`, `decode`, `arrived`, `encode`, `fault`, `dialect`, then the
//! connection:
//! `connect`, `auth`, `peer`, `online`, `subscribe`, `deliver`, `alias`, `line`. Absent on purpose:
//! leniency. Debatable packets are refused, because two readers of one packet are a hole.

mod alias;
mod arrived;
mod auth;
#[cfg(test)]
mod auth_test;
#[cfg(test)]
mod bench_test;
#[cfg(test)]
mod carried_test;
mod connect;
#[cfg(test)]
mod connect_test;
pub mod decode;
#[cfg(test)]
mod decode_test;
mod deliver;
pub mod dialect;
pub mod encode;
#[cfg(test)]
mod encode_test;
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
mod line;
mod online;
#[cfg(test)]
mod online_test;
mod pace;
pub mod packet;
pub mod peer;
#[cfg(test)]
mod peer_test;
pub mod props;
#[cfg(test)]
mod props_test;
mod rpc;
#[cfg(test)]
mod rpc_test;
mod serving;
mod subscribe;
#[cfg(test)]
mod subscribe_test;

pub use decode::{frame_len, next};
pub use encode::{
    PublishHead, PublishProps, Unsendable, encode, encode_vec, publish_head, publish_len,
};
pub use packet::{
    Ack, Asked, Codes, ConnAck, Connect, Packet, Publish, Reason, Sender, Subscribe, Unsubscribe,
    Version, Will,
};
pub use props::{Prop, Props};
