//! Floor 5. The canonical workload: topics, payloads and packets that every bench speaks.
//!
//! All of it follows from small numbers, so that a figure measured today can be compared with one
//! measured years later, and two benches talk about the same message. A fingerprint of what a run
//! produced shows whether it still did the same work. Absent on purpose: sockets and clocks.

use std::fmt;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::hub::message::id_of;
use crate::proto::Speak;
use crate::proto::mqtt::{self, Version};
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

/// In which protocol the workload is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tongue {
    /// PRX1.
    Prx1,
    /// MQTT 3.1.1; its sessions outlive their connections.
    Mqtt3,
    /// MQTT 5.0; its sessions do not.
    Mqtt5,
}

/// The steps by which a message is acknowledged, as MQTT's first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// QoS 1: here it is.
    Ack = 0x40,
    /// QoS 2: here it is.
    Rec = 0x50,
    /// QoS 2: forget it.
    Rel = 0x62,
    /// QoS 2: forgotten.
    Comp = 0x70,
}

impl Tongue {
    /// What a listener must speak.
    #[must_use]
    pub fn speak(self) -> Speak {
        match self {
            Self::Prx1 => Speak::Prx1,
            Self::Mqtt3 | Self::Mqtt5 => Speak::Mqtt,
        }
    }

    /// Which MQTT, if it is one.
    #[must_use]
    pub fn version(self) -> Version {
        match self {
            Self::Prx1 | Self::Mqtt3 => Version::V311,
            Self::Mqtt5 => Version::V5,
        }
    }

    /// Log in with a name, and a password unless it is empty; no sign of life is promised.
    #[must_use]
    pub fn login(self, name: &str, password: &str) -> Vec<u8> {
        if self == Self::Prx1 {
            return login(name, password);
        }
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let secret = (!password.is_empty()).then(|| text(password));
        self.mqtt(&mqtt::Packet::Connect(Box::new(mqtt::Connect {
            version: self.version(),
            bridge: false,
            clean: self == Self::Mqtt5,
            keep_alive: 0,
            client_id: text(name),
            will: None,
            username: secret.is_some().then(|| text(name)),
            password: secret,
            props: mqtt::Props::none(),
        })))
    }

    /// Listen. It is answered.
    #[must_use]
    pub fn subscribe(self, filter: &Bytes, qos: u8, id: u16) -> Vec<u8> {
        if self == Self::Prx1 {
            return subscribe(filter, qos.max(1), id);
        }
        let asked = mqtt::Asked {
            filter: filter.clone(),
            qos,
            no_local: false,
            as_published: false,
            handling: 0,
        };
        let filters = core::iter::once(asked).collect();
        let props = mqtt::Props::none();
        self.mqtt(&mqtt::Packet::Subscribe(mqtt::Subscribe { id, props, filters }))
    }

    /// Publish.
    #[must_use]
    pub fn publish(self, topic: &Bytes, body: &Bytes, qos: u8, id: u16, keep: bool) -> Vec<u8> {
        let (topic, payload) = (topic.clone(), body.clone());
        if self == Self::Prx1 {
            let retain = keep;
            let publish = Publish { qos, id, topic, payload, retain, ..Publish::default() };
            return packet(&Packet::Publish(publish));
        }
        let (dup, retain, props) = (false, keep, mqtt::Props::none());
        let publish = mqtt::Publish { dup, qos, retain, topic, id, props, payload };
        self.mqtt(&mqtt::Packet::Publish(publish))
    }

    /// `count` publishes to the topic of one device, ids from 1.
    #[must_use]
    pub fn burst(self, device: usize, count: usize, len: usize, qos: u8) -> Vec<u8> {
        let (topic, payload) = (topic(device), payload(len));
        let one = |id| self.publish(&topic, &payload, qos, id as u16, false);
        (1..=count).flat_map(one).collect()
    }

    /// Append a step of the acknowledgement of the packet with this id.
    pub fn put_step(self, step: Step, id: u16, into: &mut Vec<u8>) {
        let [high, low] = id.to_be_bytes();
        let first = if self == Self::Prx1 { 0x60 } else { step as u8 };
        into.extend_from_slice(&[first, 2, high, low]);
    }

    fn mqtt(self, packet: &mqtt::Packet) -> Vec<u8> {
        mqtt::encode_vec(packet, self.version()).unwrap_or_default()
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
    fn every_tongue_says_what_its_protocol_reads() {
        let (name, body) = (topic(1), payload(64));
        for tongue in [Tongue::Mqtt3, Tongue::Mqtt5] {
            let mut words = tongue.login("somebody", "a secret");
            words.extend(tongue.subscribe(&name, 2, 1));
            words.extend(tongue.publish(&name, &body, 2, 2, true));
            tongue.put_step(Step::Rel, 2, &mut words);
            let mut input = BytesMut::from(&words[..]);
            let mut version = None;
            let mut read = || {
                let packet = mqtt::next(&mut input, version, mqtt::Sender::Client, READ);
                version = Some(tongue.version());
                packet.expect("well formed").expect("whole")
            };
            assert!(matches!(read(), mqtt::Packet::Connect(c) if c.password.is_some()));
            assert!(matches!(read(), mqtt::Packet::Subscribe(s) if s.filters[0].filter == name));
            assert!(matches!(read(), mqtt::Packet::Publish(p) if p.retain && p.payload == body));
            assert!(matches!(read(), mqtt::Packet::PubRel(ack) if ack.id == 2));
        }
        assert_eq!(Tongue::Prx1.login("a", "b"), login("a", "b"));
        assert_eq!(Tongue::Prx1.burst(1, 2, 64, 1), burst(1, 2, 64, 1));
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
