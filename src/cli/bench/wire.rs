//! Floor 6. What the load generator says and hears, in the words of each protocol.
//!
//! A message is encoded once for each publisher; what differs from one to the next (its packet id
//! and the head of its payload) is written over a copy, so saying one costs a copy. Messages and
//! short acknowledgements are read in place, everything else by the codec. Absent on purpose:
//! state; and trust: what a broker sends is measured before it is taken.

use bytes::{Bytes, BytesMut};

use crate::base::rng::Rng;
use crate::proto::mqtt::{self, Prop, Props, Sender, Version};
use crate::proto::prx1;

use super::wamp::Wamp;

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tongue {
    Prx1,
    Mqtt(Version),
    Wamp(Wamp),
}

/// The first bytes of every payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Head {
    pub(super) run: u32,
    pub(super) publisher: u32,
    /// Counts from 0 for each publisher.
    pub(super) seq: u64,
    /// When it was to be sent.
    pub(super) due: u64,
    /// When it was.
    pub(super) sent: u64,
}

/// Bytes of a head.
pub(super) const HEAD: usize = 32;

/// A packet from the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// It may be sent so many messages before it has acknowledged one.
    Connected(u16),
    Subscribed,
    /// With its packet id; 0 at QoS 0.
    Message(u8, u16, Head),
    /// A call for a callee, with its number.
    Invoked(u64, Head),
    /// The last step of an acknowledgement.
    Acked(u16),
    /// QoS 2, to a publisher: received.
    Rec(u16),
    /// QoS 2, to a subscriber: forget the id.
    Rel(u16),
    Nothing,
}

/// The steps of an acknowledgement that a client says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Ack,
    Rec,
    Rel,
    Comp,
}

impl Tongue {
    /// Come in: forgetting what was, or to be remembered.
    pub(super) fn connect(
        self,
        id: &str,
        user: Option<&(String, String)>,
        clean: bool,
    ) -> Option<Vec<u8>> {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let username = user.map(|(name, _)| text(name));
        let password = user.map(|(_, secret)| text(secret)).filter(|secret| !secret.is_empty());
        match self {
            Self::Prx1 => prx1::encode_vec(&prx1::Packet::Connect(prx1::Connect {
                clean_start: clean,
                password,
                client_id: Some(Bytes::new()),
                username: username.or_else(|| Some(text(id))),
                ..prx1::Connect::default()
            }))
            .ok(),
            // It needs a realm, which it is told elsewhere.
            Self::Wamp(_) => None,
            Self::Mqtt(version) => self.mqtt(&mqtt::Packet::Connect(Box::new(mqtt::Connect {
                version,
                bridge: false,
                clean,
                keep_alive: SILENCE,
                client_id: text(id),
                will: None,
                username,
                password,
                props: match version {
                    Version::V5 if !clean => Props::build(&[Prop::SessionExpiry(EXPIRY)]),
                    _ => Props::none(),
                },
            }))),
        }
    }

    /// Listen. PRX1 answers each filter, MQTT all of them at once.
    pub(super) fn subscribe(self, filters: &[String], qos: u8) -> Option<Vec<u8>> {
        let bytes = |filter: &String| Bytes::copy_from_slice(filter.as_bytes());
        if self == Self::Prx1 {
            let mut all = Vec::new();
            for (filter, id) in filters.iter().zip(1..) {
                // At QoS 0 nothing would answer.
                let (qos, topic) = (1, bytes(filter));
                let asked = prx1::Subscribe { qos, id, topic, ..prx1::Subscribe::default() };
                all.extend(prx1::encode_vec(&prx1::Packet::Subscribe(asked)).ok()?);
            }
            return Some(all);
        }
        if let Self::Wamp(wamp) = self {
            return wamp.subscribe(filters);
        }
        let asked = |filter| mqtt::Asked {
            filter: bytes(filter),
            qos,
            no_local: false,
            as_published: false,
            handling: 0,
        };
        let filters = filters.iter().map(asked).collect();
        let props = Props::none();
        self.mqtt(&mqtt::Packet::Subscribe(mqtt::Subscribe { id: 1, props, filters }))
    }

    /// How many answers that gets.
    pub(super) fn answers(self, filters: usize) -> usize {
        if self == Self::Prx1 { filters } else { filters.min(1) }
    }

    /// Goodbye; nothing is left behind. Only PRX1 remembers a filter that is not taken back.
    pub(super) fn leave(self, filters: &[String]) -> Option<Vec<u8>> {
        if let Self::Wamp(wamp) = self {
            return wamp.leave();
        }
        if self != Self::Prx1 {
            let reason = mqtt::Reason { reason: 0, props: Props::none() };
            return self.mqtt(&mqtt::Packet::Disconnect(reason));
        }
        let mut all = Vec::new();
        for filter in filters {
            let topic = Bytes::copy_from_slice(filter.as_bytes());
            let asked = prx1::Subscribe { topic, ..prx1::Subscribe::default() };
            all.extend(prx1::encode_vec(&prx1::Packet::Unsubscribe(asked)).ok()?);
        }
        all.extend(prx1::encode_vec(&prx1::Packet::Disconnect).ok()?);
        Some(all)
    }

    /// A filter for all topics below one.
    pub(super) fn below(self, topic: &str) -> String {
        format!("{topic}/{}", if self == Self::Prx1 { '*' } else { '#' })
    }

    /// Append a step of an acknowledgement. It is as short in every version.
    pub(super) fn put_step(self, step: Step, id: u16, out: &mut Vec<u8>) {
        let first = match (self, step) {
            (Self::Prx1, _) => 0x60,
            (_, Step::Ack) => 0x40,
            (_, Step::Rec) => 0x50,
            (_, Step::Rel) => 0x62,
            (_, Step::Comp) => 0x70,
        };
        let [high, low] = id.to_be_bytes();
        out.extend_from_slice(&[first, 2, high, low]);
    }

    fn mqtt(self, packet: &mqtt::Packet) -> Option<Vec<u8>> {
        let Self::Mqtt(version) = self else { return None };
        mqtt::encode_vec(packet, version).ok()
    }

    /// The packet at the front of `input` and its length, once it is whole. `size` is how long the
    /// payload of every message is.
    pub(super) fn next(self, input: &[u8], size: usize) -> Result<Option<(Heard, usize)>, String> {
        let max = size + OTHERS_MAX;
        let whole = match self {
            Self::Prx1 => prx1::frame_len(input, max),
            Self::Mqtt(_) => mqtt::frame_len(input, max),
            Self::Wamp(wamp) => Ok(wamp.frame_len(input, 2 * size + OTHERS_MAX)?),
        };
        let Some(whole) = whole.map_err(|fault| fault.to_string())? else { return Ok(None) };
        let Some(frame) = input.get(..whole) else { return Ok(None) };
        if let Self::Wamp(wamp) = self {
            return Ok(Some((wamp.hear(frame, size)?, whole)));
        }
        let heard = self.in_place(frame, size)?;
        let heard = heard.map_or_else(|| self.by_codec(frame, max), Ok)?;
        Ok(Some((heard, whole)))
    }

    /// The message at the front, by its length alone, and how long it is. `None` is for `next`:
    /// it is something else, or not whole, or longer than may be.
    #[inline]
    pub(super) fn quick(self, input: &[u8], size: usize) -> Option<(u8, u16, Head, usize)> {
        if let Self::Wamp(wamp) = self {
            let (head, whole) = wamp.quick(input, size, 2 * size + OTHERS_MAX)?;
            return Some((0, 0, head, whole));
        }
        let kind = if self == Self::Prx1 { 0xB } else { 3 };
        let (whole, first) = match *input {
            [first, a @ ..0x80, ..] => (2 + usize::from(a), first),
            [first, a, b @ 1..0x80, ..] => (3 + long(a, b, 0), first),
            [first, a, b, c @ 1..0x80, ..] => (4 + long(a, b, c), first),
            _ => return None,
        };
        if first >> 4 != kind || whole > size + OTHERS_MAX {
            return None;
        }
        match self.message(first, input.get(..whole)?, size)? {
            Heard::Message(qos, id, head) => Some((qos, id, head, whole)),
            _ => None,
        }
    }

    /// The short acknowledgement of QoS 1 at the front. `None` is for `next`.
    #[inline]
    pub(super) fn quick_ack(self, input: &[u8]) -> Option<u16> {
        let kind = match self {
            Self::Prx1 => 6,
            Self::Mqtt(_) => 4,
            Self::Wamp(_) => return None,
        };
        match *input {
            [first, 2, high, low, ..] if first >> 4 == kind => {
                Some(u16::from_be_bytes([high, low]))
            }
            _ => None,
        }
    }

    /// Messages and short acknowledgements.
    fn in_place(self, frame: &[u8], size: usize) -> Result<Option<Heard>, String> {
        let Some(&first) = frame.first() else { return Ok(None) };
        let kind = first >> 4;
        if kind == if self == Self::Prx1 { 0xB } else { 3 } {
            return self.message(first, frame, size).map(Some).ok_or_else(stranger);
        }
        let [_, 2, high, low] = *frame else { return Ok(None) };
        let id = u16::from_be_bytes([high, low]);
        Ok(match (self, kind) {
            (Self::Prx1, 6) | (Self::Mqtt(_), 4 | 7) => Some(Heard::Acked(id)),
            (Self::Mqtt(_), 5) => Some(Heard::Rec(id)),
            (Self::Mqtt(_), 6) => Some(Heard::Rel(id)),
            _ => None,
        })
    }

    /// The payload is the end of the packet in every protocol.
    #[inline]
    fn message(self, first: u8, frame: &[u8], size: usize) -> Option<Heard> {
        let qos = (first >> 1) & 3;
        let head = Head::read(frame.get(frame.len().checked_sub(size)?..)?)?;
        if qos == 0 {
            return Some(Heard::Message(0, 0, head));
        }
        // The head of a packet ends with the first length byte that has no highest bit.
        let front = frame.iter().skip(1).position(|byte| byte & 0x80 == 0)? + 2;
        let at = match self {
            Self::Prx1 => front,
            Self::Mqtt(_) => front + 2 + usize::from(number(frame, front)?),
            Self::Wamp(_) => return None,
        };
        Some(Heard::Message(qos, number(frame, at)?, head))
    }

    fn by_codec(self, frame: &[u8], max: usize) -> Result<Heard, String> {
        let mut input = BytesMut::from(frame);
        match self {
            Self::Prx1 => {
                let packet = prx1::next(&mut input, max).map_err(|fault| fault.to_string())?;
                of_prx1(packet.ok_or_else(stranger)?)
            }
            Self::Wamp(_) => Err(stranger()),
            Self::Mqtt(version) => {
                let packet = mqtt::next(&mut input, Some(version), Sender::Server, max);
                of_mqtt(packet.map_err(|fault| fault.to_string())?.ok_or_else(stranger)?)
            }
        }
    }
}

fn stranger() -> String {
    "a message that this run did not send".to_owned()
}

/// A length in up to three bytes.
fn long(a: u8, b: u8, c: u8) -> usize {
    usize::from(a & 0x7f) | usize::from(b & 0x7f) << 7 | usize::from(c) << 14
}

fn number(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

fn of_prx1(packet: prx1::Packet) -> Result<Heard, String> {
    match packet {
        prx1::Packet::ConnAck(ack) if matches!(ack.result, 0 | prx1::ConnAck::OK) => {
            Ok(Heard::Connected(u16::MAX))
        }
        prx1::Packet::ConnAck(ack) => Err(format!("the broker refused with {}", ack.result)),
        prx1::Packet::SubAck(_) => Ok(Heard::Subscribed),
        prx1::Packet::Disconnect => Err("the broker said goodbye".to_owned()),
        _ => Ok(Heard::Nothing),
    }
}

fn of_mqtt(packet: mqtt::Packet) -> Result<Heard, String> {
    let refused = |code: u8| format!("the broker refused with {code}");
    match packet {
        mqtt::Packet::ConnAck(ack) if ack.code == 0 => {
            let most = ack.props.iter().find_map(|prop| match prop {
                Prop::ReceiveMax(most) => Some(most),
                _ => None,
            });
            Ok(Heard::Connected(most.unwrap_or(u16::MAX)))
        }
        mqtt::Packet::ConnAck(ack) => Err(refused(ack.code)),
        mqtt::Packet::SubAck(ack) => match ack.codes.iter().find(|code| **code > 2) {
            Some(code) => Err(refused(*code)),
            None => Ok(Heard::Subscribed),
        },
        mqtt::Packet::Disconnect(why) => Err(format!("the broker hung up with {}", why.reason)),
        // 16: nobody listened, which is no refusal.
        mqtt::Packet::PubAck(ack) | mqtt::Packet::PubRec(ack) | mqtt::Packet::PubComp(ack)
            if ack.reason >= 0x80 =>
        {
            Err(refused(ack.reason))
        }
        mqtt::Packet::PubAck(ack) | mqtt::Packet::PubComp(ack) => Ok(Heard::Acked(ack.id)),
        mqtt::Packet::PubRec(ack) => Ok(Heard::Rec(ack.id)),
        mqtt::Packet::PubRel(ack) => Ok(Heard::Rel(ack.id)),
        _ => Ok(Heard::Nothing),
    }
}

impl Head {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (words, _) = payload.first_chunk::<HEAD>()?.as_chunks::<8>();
        let &[first, seq, due, sent] = words else { return None };
        let [first, seq, due, sent] = [first, seq, due, sent].map(u64::from_be_bytes);
        Some(Self { run: (first >> 32) as u32, publisher: first as u32, seq, due, sent })
    }
}

/// A message of one publisher, but for what differs from one to the next.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    head_at: usize,
    /// Where its topic ends.
    topic_end: usize,
    /// Whose numbers are written otherwise.
    wamp: Option<Wamp>,
}

/// Bytes that follow from a seed, which nothing can compress away.
pub(super) fn filling(size: usize, seed: u64) -> Bytes {
    let mut rng = Rng::new(seed);
    (0..size).map(|_| rng.next_u64() as u8).collect()
}

impl Template {
    /// Messages with this payload, over the beginning of which the head is written.
    pub(super) fn new(
        tongue: Tongue,
        topic: &str,
        qos: u8,
        retain: bool,
        payload: Bytes,
    ) -> Option<Self> {
        if let Tongue::Wamp(wamp) = tongue {
            let it = wamp.stencil(topic, qos, &payload)?;
            let (id_at, head_at, topic_end) = (Some(it.request_at), it.head_at, 0);
            return Some(Self { bytes: it.bytes, id_at, head_at, topic_end, wamp: Some(wamp) });
        }
        let size = payload.len();
        let (name, id) = (Bytes::copy_from_slice(topic.as_bytes()), u16::from(qos > 0));
        // What stands between the packet id and the payload.
        let (bytes, between) = match tongue {
            Tongue::Prx1 => {
                let (dup, topic_len) = (false, topic.len());
                let publish = prx1::Publish { dup, qos, retain, id, topic: name, payload };
                (prx1::encode_vec(&prx1::Packet::Publish(publish)).ok()?, 4 + topic_len)
            }
            Tongue::Mqtt(version) => {
                let (dup, props) = (false, Props::none());
                let publish = mqtt::Publish { dup, qos, retain, topic: name, id, props, payload };
                let bytes = tongue.mqtt(&mqtt::Packet::Publish(publish))?;
                (bytes, usize::from(version == Version::V5))
            }
            Tongue::Wamp(_) => return None,
        };
        let head_at = bytes.len().checked_sub(size)?;
        let id_at = if qos > 0 { Some(head_at.checked_sub(between + 2)?) } else { None };
        let named = |some: &[u8]| some == topic.as_bytes();
        let topic_end = bytes.windows(topic.len()).position(named)? + topic.len();
        Some(Self { bytes, id_at, head_at, topic_end, wamp: None })
    }

    /// The next messages are to another topic of what is laid in: eight digits, three between
    /// (`Plan::place`).
    pub(super) fn readdress(&mut self, number: u64) {
        let digits = self.bytes.get_mut(..self.topic_end).unwrap_or_default().iter_mut().rev();
        let mut rest = number;
        for (nth, digit) in digits.take(11).enumerate() {
            if !(4..7).contains(&nth) {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    /// What the next messages have in common.
    pub(super) fn prime(&mut self, head: &Head) {
        let first = u64::from(head.run) << 32 | u64::from(head.publisher);
        let words = [first, head.seq, head.due, head.sent].map(u64::to_be_bytes);
        if let Some(wamp) = self.wamp {
            let place = self.bytes.get_mut(self.head_at..).unwrap_or_default();
            return wamp.put_payload(0, words.as_flattened(), place);
        }
        let place = self.bytes.get_mut(self.head_at..).and_then(<[u8]>::first_chunk_mut);
        // Only what takes a kept value away has no payload, and so no head.
        if let Some(place) = place {
            let place: &mut [u8; HEAD] = place;
            let (places, _) = place.as_chunks_mut::<8>();
            places.copy_from_slice(&words);
        }
    }

    /// Append one, with what is its own.
    #[inline]
    pub(super) fn put(&self, id: u16, seq: u64, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&self.bytes);
        let copy = out.get_mut(from..).unwrap_or_default();
        if let Some(wamp) = self.wamp {
            let (front, place) = copy.split_at_mut_checked(self.head_at).unwrap_or_default();
            if let Some(place) = self.id_at.and_then(|at| front.get_mut(at..)) {
                wamp.put_request(seq, place);
            }
            return wamp.put_payload(8, &seq.to_be_bytes(), place);
        }
        if let Some(two) = self.id_at.and_then(|at| copy.get_mut(at..at + 2)) {
            two.copy_from_slice(&id.to_be_bytes());
        }
        if let Some(eight) = copy.get_mut(self.head_at + 8..self.head_at + 16) {
            eight.copy_from_slice(&seq.to_be_bytes());
        }
    }
}

/// Seconds that a client may be silent: 27 hours with the half that brokers add. Some refuse 0.
const SILENCE: u16 = u16::MAX;
/// A session is kept so many seconds behind its connection.
const EXPIRY: u32 = 3_600;
/// What a packet may have besides the payload.
const OTHERS_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const TONGUES: [Tongue; 3] =
        [Tongue::Prx1, Tongue::Mqtt(Version::V311), Tongue::Mqtt(Version::V5)];

    #[test]
    fn a_message_is_heard_as_it_was_said() {
        for tongue in TONGUES {
            for (qos, size) in [(0, HEAD), (1, 64), (1, 20_000), (2, 300)] {
                if tongue == Tongue::Prx1 && qos > 1 {
                    continue;
                }
                let head = Head { run: 7, publisher: 3, seq: 1 << 40, due: 5, sent: 6 };
                let mut template =
                    Template::new(tongue, "bench/1/2", qos, false, filling(size, 1)).unwrap();
                let id = if qos > 0 { 0xabcd } else { 0 };
                let mut out = Vec::new();
                template.prime(&Head { seq: 0, ..head });
                template.put(id, head.seq, &mut out);
                let whole = out.len();
                let heard = tongue.next(&out, size).unwrap();
                assert_eq!(heard, Some((Heard::Message(qos, id, head), whole)), "{tongue:?}");
                assert_eq!(tongue.next(&out[..whole - 1], size), Ok(None));
                assert_eq!(tongue.quick(&out, size), Some((qos, id, head, whole)), "{tongue:?}");
                assert_eq!(tongue.quick(&out[..whole - 1], size), None);
            }
        }
    }

    #[test]
    fn the_codec_reads_what_is_written_over() {
        for version in [Version::V311, Version::V5] {
            let mut template =
                Template::new(Tongue::Mqtt(version), "a/b", 1, true, filling(200, 1)).unwrap();
            let mut out = Vec::new();
            template.prime(&Head::default());
            template.put(515, 0, &mut out);
            let mut input = BytesMut::from(&out[..]);
            let packet = mqtt::next(&mut input, Some(version), Sender::Client, 1_000).unwrap();
            let Some(mqtt::Packet::Publish(publish)) = packet else { panic!("{packet:?}") };
            assert_eq!((publish.id, &publish.topic[..]), (515, &b"a/b"[..]));
            assert_eq!((publish.payload.len(), &publish.payload[..HEAD]), (200, &[0; HEAD][..]));
        }
        let mut template = Template::new(Tongue::Prx1, "a/b", 1, true, filling(200, 1)).unwrap();
        let mut out = Vec::new();
        template.prime(&Head::default());
        template.put(515, 0, &mut out);
        let packet = prx1::next(&mut BytesMut::from(&out[..]), 1_000).unwrap();
        let Some(prx1::Packet::Publish(publish)) = packet else { panic!("{packet:?}") };
        assert_eq!((publish.id, &publish.topic[..]), (515, &b"a/b"[..]));
        assert_eq!((publish.payload.len(), &publish.payload[..HEAD]), (200, &[0; HEAD][..]));
    }

    #[test]
    fn another_topic_is_written_over_the_first() {
        for tongue in TONGUES {
            let said = |place: &str| {
                let place = format!("bench/7/{place}");
                Template::new(tongue, &place, 1, true, filling(64, 1)).unwrap()
            };
            let mut template = said("0000/x/0000");
            template.readdress(12_345_678);
            assert_eq!(template.bytes, said("1234/x/5678").bytes, "{tongue:?}");
            template.readdress(9);
            assert_eq!(template.bytes, said("0000/x/0009").bytes);
        }
    }

    #[test]
    fn what_a_broker_sends_is_measured_first() {
        for tongue in [Tongue::Mqtt(Version::V311), Tongue::Mqtt(Version::V5)] {
            // A length beyond every bound, a message too short to be one of ours, a refusal.
            assert!(tongue.next(&[0x30, 0xff, 0xff, 0xff, 0x7f], 64).is_err());
            assert!(tongue.next(&[0x30, 4, 0, 1, b'a', 0], 64).is_err());
            let refusal: &[u8] = match tongue {
                Tongue::Mqtt(Version::V5) => &[0x20, 3, 0, 0x87, 0],
                _ => &[0x20, 2, 0, 5],
            };
            assert!(tongue.next(refusal, 64).unwrap_err().contains("refused"));
        }
    }
}
