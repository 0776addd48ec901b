//! Floor 3. What must hold for any bytes at all; one function for fuzzers and tests alike.
//!
//! The law: decoding in chunks, cut anywhere, says the same as decoding at once, and what was
//! understood can be said again and understood alike. A broken law is a panic, on purpose.

use bytes::BytesMut;

use crate::base::rng::Rng;
use crate::proto::fault::Fault;

use super::decode::{BODY_MAX, frame_len, next};
use super::encode::{Unsendable, encode_vec};
use super::packet::{Action, Packet};

/// Check the laws for `data`.
///
/// # Panics
/// When one is broken.
pub fn bytes(data: &[u8]) {
    let (whole, end) = drain(&mut BytesMut::from(data));
    for packet in &whole {
        say_again(packet);
    }
    let seed = data.iter().fold(1u64, |sum, &b| sum.rotate_left(7) ^ u64::from(b));
    let mut rng = Rng::new(seed);
    let mut rest = data;
    let mut input = BytesMut::new();
    let mut parts = Vec::new();
    let mut stop = None;
    while !rest.is_empty() && stop.is_none() {
        let cut = 1 + rng.below(rest.len().min(9) as u64) as usize;
        let (now, later) = rest.split_at(cut);
        input.extend_from_slice(now);
        rest = later;
        let (mut some, fault) = drain(&mut input);
        parts.append(&mut some);
        stop = fault;
    }
    assert_eq!(whole, parts, "chunks say what the whole says");
    assert_eq!(end, stop, "and end alike");
}

fn drain(input: &mut BytesMut) -> (Vec<Packet>, Option<Fault>) {
    let mut packets = Vec::new();
    loop {
        let announced = frame_len(input, BODY_MAX);
        let before = input.len();
        match next(input, BODY_MAX) {
            Ok(Some(packet)) => {
                assert_eq!(announced, Ok(Some(before - input.len())), "as long as announced");
                packets.push(packet);
            }
            Ok(None) => {
                let waits = announced.map(|len| len.is_none_or(|len| len > before));
                assert_eq!(waits, Ok(true), "waits only for what is missing");
                return (packets, None);
            }
            Err(fault) => return (packets, Some(fault)),
        }
    }
}

fn say_again(packet: &Packet) {
    match (packet, encode_vec(packet)) {
        (Packet::Unknown { .. }, said) => assert_eq!(said, Err(Unsendable::Meaningless)),
        (Packet::Queue(queue), said) if queue.action == Action::None => {
            assert_eq!(said, Err(Unsendable::Meaningless));
        }
        (_, Ok(said)) => {
            let mut input = BytesMut::from(&said[..]);
            assert_eq!(next(&mut input, BODY_MAX), Ok(Some(packet.clone())));
            assert!(input.is_empty(), "nothing is left over");
        }
        (_, Err(refused)) => panic!("{packet:?} arrived and cannot be said: {refused}"),
    }
}
