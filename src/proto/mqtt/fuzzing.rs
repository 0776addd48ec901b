//! Floor 3. What must hold for any bytes at all; one function for fuzzers and tests alike.
//!
//! The law: decoding in chunks, cut anywhere, says the same as decoding at once; what was
//! understood can be said again and understood alike; and a block of properties is exactly the
//! properties read from it. A broken law is a panic, on purpose.

use bytes::BytesMut;

use crate::base::rng::Rng;
use crate::proto::fault::Fault;

use super::decode::{frame_len, next};
use super::encode::encode_vec;
use super::packet::{Packet, Sender, Version};
use super::props::{Prop, Props};

/// No packet of a fuzzer is longer.
const MAX: usize = 1 << 20;

/// Check the laws for 3.1 and 3.1.1. The first byte says which, and who is talking.
///
/// # Panics
/// When one is broken.
pub fn mqtt3(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let version = if how & 2 == 0 { Version::V311 } else { Version::V31 };
    bytes(version, how, data);
}

/// Check the laws for 5.0. The first byte says who is talking.
///
/// # Panics
/// When one is broken.
pub fn mqtt5(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    bytes(Version::V5, how, data);
}

fn bytes(version: Version, how: u8, data: &[u8]) {
    let from = if how & 1 == 0 { Sender::Client } else { Sender::Server };
    // A client's stream begins with its CONNECT, unless the byte says that it is over.
    let start = if how & 5 == 0 { None } else { Some(version) };
    stream(start, from, data);
}

/// Check the laws for the bytes of one side; `version` is none before a CONNECT.
///
/// # Panics
/// When one is broken.
pub fn stream(version: Option<Version>, from: Sender, data: &[u8]) {
    let mut whole = Listener { version, from, heard: Vec::new() };
    let end = whole.drain(&mut BytesMut::from(data));
    for (spoken, packet) in &whole.heard {
        say_again(packet, *spoken, from);
    }
    let seed = data.iter().fold(1u64, |sum, &b| sum.rotate_left(7) ^ u64::from(b));
    let mut rng = Rng::new(seed);
    let mut parts = Listener { version, from, heard: Vec::new() };
    let (mut rest, mut input, mut stop) = (data, BytesMut::new(), None);
    while !rest.is_empty() && stop.is_none() {
        let cut = 1 + rng.below(rest.len().min(9) as u64) as usize;
        let (now, later) = rest.split_at(cut);
        input.extend_from_slice(now);
        rest = later;
        stop = parts.drain(&mut input);
    }
    assert_eq!(whole.heard, parts.heard, "chunks say what the whole says");
    assert_eq!(end, stop, "and end alike");
}

struct Listener {
    version: Option<Version>,
    from: Sender,
    heard: Vec<(Option<Version>, Packet)>,
}

impl Listener {
    fn drain(&mut self, input: &mut BytesMut) -> Option<Fault> {
        loop {
            let announced = frame_len(input, MAX);
            let before = input.len();
            match next(input, self.version, self.from, MAX) {
                Ok(Some(packet)) => {
                    assert_eq!(announced, Ok(Some(before - input.len())), "as long as announced");
                    let spoken = self.version;
                    if let Packet::Connect(connect) = &packet {
                        self.version = Some(connect.version);
                    }
                    self.heard.push((spoken, packet));
                }
                Ok(None) => {
                    let waits = announced.map(|len| len.is_none_or(|len| len > before));
                    assert_eq!(waits, Ok(true), "waits only for what is missing");
                    return None;
                }
                Err(fault) => return Some(fault),
            }
        }
    }
}

/// # Panics
/// When a packet that arrived cannot be said, or is understood differently.
pub(super) fn say_again(packet: &Packet, spoken: Option<Version>, from: Sender) {
    // A CONNECT names its version itself.
    match encode_vec(packet, spoken.unwrap_or(Version::V5)) {
        Ok(said) => {
            let mut input = BytesMut::from(&said[..]);
            assert_eq!(next(&mut input, spoken, from, MAX), Ok(Some(packet.clone())));
            assert!(input.is_empty(), "nothing is left over");
        }
        Err(refused) => panic!("{packet:?} arrived and cannot be said: {refused}"),
    }
    for props in blocks(packet) {
        let read: Vec<Prop> = props.iter().collect();
        assert_eq!(&Props::build(&read), props, "a block is what was read from it");
        let passed = Props::from_checked(props.forwardable());
        assert!(passed.iter().all(|prop| read.contains(&prop)), "nothing is invented");
        assert_eq!(passed.forwardable(), *passed.raw(), "and nothing more stays behind");
    }
}

fn blocks(packet: &Packet) -> Vec<&Props> {
    match packet {
        Packet::Connect(p) => {
            [Some(&p.props), p.will.as_ref().map(|w| &w.props)].into_iter().flatten().collect()
        }
        Packet::ConnAck(p) => vec![&p.props],
        Packet::Publish(p) => vec![&p.props],
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => {
            vec![&p.props]
        }
        Packet::Subscribe(p) => vec![&p.props],
        Packet::Unsubscribe(p) => vec![&p.props],
        Packet::SubAck(p) | Packet::UnsubAck(p) => vec![&p.props],
        Packet::Disconnect(p) | Packet::Auth(p) => vec![&p.props],
        Packet::PingReq | Packet::PingResp => vec![],
    }
}
