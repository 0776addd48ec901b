//! Floor 5. The canonical workload: topics, payloads and packets that every bench speaks.
//!
//! All of it follows from small numbers, so that a figure measured today can be compared with one
//! measured years later, and two benches talk about the same message. A fingerprint of what a run
//! produced shows whether it still did the same work. Absent on purpose: sockets and clocks.

use std::fmt;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::hub::message::id_of;
use crate::proto::prx1::{Connect, Packet, Publish, Subscribe, encode_vec};

/// Payload sizes: a reading, a small object, a page of JSON, a picture's row.
pub const PAYLOADS: [usize; 4] = [16, 64, 1_024, 4_096];

/// What one read of a busy socket brings.
pub const READ: usize = 64 << 10;

/// Topics of this many sites; devices are spread over them.
const SITES: usize = 100;

/// The topic of device `i`.
#[must_use]
pub fn topic(i: usize) -> Bytes {
    Bytes::from(format!("com/site{}/device{i:06}/temp", i % SITES))
}

/// A filter that matches device `i`, open in one of three places or in none.
#[must_use]
pub fn filter(i: usize) -> Bytes {
    let site = i % SITES;
    Bytes::from(match i % 4 {
        1 => format!("com/site{site}/device{i:06}/*"),
        2 => format!("com/*/device{i:06}/temp"),
        3 => format!("*/site{site}/device{i:06}/*"),
        _ => return topic(i),
    })
}

/// Bytes that no shortcut for zeroes helps with.
#[must_use]
pub fn payload(len: usize) -> Bytes {
    let mut rng = Rng::new(len as u64);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// A Connect with a name, and a password unless it is empty.
#[must_use]
pub fn login(name: &str, password: &str) -> Vec<u8> {
    let password = Some(Bytes::copy_from_slice(password.as_bytes()));
    packet(&Packet::Connect(Connect {
        password: password.filter(|p| !p.is_empty()),
        client_id: Some(Bytes::new()),
        username: Some(Bytes::copy_from_slice(name.as_bytes())),
        ..Connect::default()
    }))
}

/// A Subscribe that is answered when `qos` is not 0.
#[must_use]
pub fn subscribe(filter: &Bytes, qos: u8, id: u16) -> Vec<u8> {
    packet(&Packet::Subscribe(Subscribe { qos, id, topic: filter.clone(), ..Subscribe::default() }))
}

/// A Publish.
#[must_use]
pub fn publish(topic: &Bytes, payload: &Bytes, qos: u8, id: u16) -> Vec<u8> {
    let (topic, payload) = (topic.clone(), payload.clone());
    packet(&Packet::Publish(Publish { qos, id, topic, payload, ..Publish::default() }))
}

/// Append the acknowledgement of the delivery with that ordinal.
pub fn put_ack(ord: u64, into: &mut Vec<u8>) {
    let [high, low] = id_of(ord).to_be_bytes();
    into.extend_from_slice(&[0x60, 2, high, low]);
}

/// `count` publishes to the topic of one device, ids from 1.
#[must_use]
pub fn burst(device: usize, count: usize, len: usize, qos: u8) -> Vec<u8> {
    let (topic, payload) = (topic(device), payload(len));
    (1..=count).flat_map(|id| publish(&topic, &payload, qos, id as u16)).collect()
}

/// As many whole publishes as one read brings, to topics of many devices, and how many they are.
#[must_use]
pub fn full_read(len: usize, qos: u8) -> (Vec<u8>, usize) {
    let payload = payload(len);
    let mut rng = Rng::new(7);
    let (mut all, mut count) = (Vec::new(), 0);
    loop {
        let device = rng.below(10_000) as usize;
        let one = publish(&topic(device), &payload, qos, count as u16 + 1);
        if all.len() + one.len() > READ {
            return (all, count);
        }
        all.extend_from_slice(&one);
        count += 1;
    }
}

/// What a run produced, in eight digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fingerprint {
    crc: u32,
    bytes: u64,
}

impl Fingerprint {
    /// It produced this next.
    pub fn add(&mut self, bytes: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.bytes += bytes.len() as u64;
    }

    /// It counted this.
    pub fn add_number(&mut self, n: u64) {
        self.crc = crc32c::crc32c_append(self.crc, &n.to_be_bytes());
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x} over {} bytes", self.crc, self.bytes)
    }
}

/// The packets of a workload can all be said: their fields are short.
fn packet(packet: &Packet) -> Vec<u8> {
    encode_vec(packet).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::prx1::next;
    use crate::topic::{Dialect, Match, Star};
    use bytes::BytesMut;

    #[test]
    fn a_full_read_is_whole_packets_and_repeats_itself() {
        for len in PAYLOADS {
            let (read, count) = full_read(len, 1);
            assert_eq!(full_read(len, 1), (read.clone(), count));
            assert!(read.len() > READ - len - 64 && read.len() <= READ);
            let mut input = BytesMut::from(&read[..]);
            for id in 1..=count {
                let Ok(Some(Packet::Publish(p))) = next(&mut input, READ) else {
                    panic!("packet {id} is no publish");
                };
                assert_eq!((p.id, p.payload.len()), (id as u16, len));
            }
            assert!(input.is_empty());
        }
    }

    #[test]
    fn every_filter_finds_its_own_topic() {
        let star = Star { levels_max: 16 };
        for i in 0..8 {
            let topic = star.topic(&topic(i)).expect("a name");
            let filter = star.filter(&filter(i), Match::Native).expect("a filter");
            let other = star.topic(&super::topic(i + 1)).expect("a name");
            assert!(filter.matches(&topic) && !filter.matches(&other), "{filter:?}");
        }
    }

    #[test]
    fn acknowledgements_name_the_packet_of_the_ordinal() {
        let mut bytes = Vec::new();
        put_ack(3, &mut bytes);
        let mut input = BytesMut::from(&bytes[..]);
        assert_eq!(next(&mut input, READ), Ok(Some(Packet::PubAck(3))));
    }

    #[test]
    fn fingerprints_tell_runs_apart() {
        let mut prints = [Fingerprint::default(); 3];
        prints[0].add(b"same");
        prints[1].add(b"same");
        prints[2].add(b"samf");
        assert_eq!(prints[0], prints[1]);
        assert_ne!(prints[0], prints[2]);
        prints[1].add_number(1);
        assert_ne!(prints[0].to_string(), prints[1].to_string());
    }
}
