//! Floor 2. A kept value in memory: no more than its place in the tree does not say.
//!
//! Many are kept and few are asked for, so a small one is one piece of bytes, and a message is made
//! of it when somebody wants it; a large one stays the message it was, because its body is not to
//! be copied for every reader. Absent on purpose: topic and expiry, which stand in the tree.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::Now;
use crate::topic::Topic;

use super::fanout::message_of;
use super::message::{Body, Message, Meter, Publication};

/// Larger ones are shared, not copied.
const SMALL: usize = 2_048;
/// Level of service, moment of publication and length of properties, before those and the body.
const HEAD: usize = 1 + 8 + 2;

/// Body and what goes with it.
#[derive(Debug)]
pub enum Inline {
    /// All of it, in one piece.
    Small(Box<[u8]>),
    /// A message of its own.
    Large(Arc<Message>),
}

impl Inline {
    /// What a publication says; it shares no buffer with that.
    pub(crate) fn of(now: Now, p: &Publication, meter: &Meter) -> Self {
        if p.props.len() + p.body.len() > SMALL {
            return Self::Large(Arc::new(message_of(now, p, meter, true)));
        }
        Self::small(p.qos, now.wall, &p.props, &p.body)
    }

    /// Of a message that shares no buffer with others if it is large.
    pub(crate) fn new(message: Message) -> Self {
        if message.props.len() + message.body.len() > SMALL {
            return Self::Large(Arc::new(message));
        }
        Self::small(message.qos, message.born, &message.props, &message.body)
    }

    fn small(qos: u8, born: u64, props: &[u8], body: &[u8]) -> Self {
        let mut all = Vec::with_capacity(HEAD + props.len() + body.len());
        all.push(qos);
        all.extend_from_slice(&born.to_le_bytes());
        all.extend_from_slice(&(props.len() as u16).to_le_bytes());
        all.extend_from_slice(props);
        all.extend_from_slice(body);
        Self::Small(all.into())
    }

    /// What it takes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Small(all) => all.len(),
            // It has a charge of its own.
            Self::Large(_) => 0,
        }
    }

    /// The body alone.
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            Self::Small(all) => parts(all).1,
            Self::Large(message) => &message.body,
        }
    }

    /// The message that it is under this topic, until then.
    pub(crate) fn message(&self, topic: &Topic, expires: u64, meter: &Meter) -> Arc<Message> {
        let all = match self {
            Self::Large(message) => return Arc::clone(message),
            Self::Small(all) => all,
        };
        let (props, body) = parts(all);
        let (qos, born) = (all[0], born_of(all));
        let charge = meter.charge(props.len() + body.len() + topic.text().len() + 64);
        let (props, body) = (Bytes::copy_from_slice(props), Body::apart(body));
        let topic = topic.clone();
        let (serial, came) = (0, 0);
        Arc::new(Message { topic, body, props, qos, serial, born, came, expires, charge })
    }
}

fn born_of(all: &[u8]) -> u64 {
    all[1..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Properties and body.
fn parts(all: &[u8]) -> (&[u8], &[u8]) {
    let props_len = all[9..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    all[HEAD..].split_at(usize::from(props_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_700_000_000_123;

    fn message(props: &[u8], body: &[u8], meter: &Meter) -> Message {
        Message {
            topic: Topic::split(Bytes::from_static(b"a/b"), b'/'),
            body: Body::apart(body),
            props: Bytes::copy_from_slice(props),
            qos: 1,
            serial: 3,
            born: WALL,
            came: 5,
            expires: WALL + 7,
            charge: meter.charge(64),
        }
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        let (meter, stored) = (Meter::default(), Meter::default());
        let most = vec![7; SMALL];
        for (props, body) in [(&b""[..], &b"x"[..]), (b"\x01\x02", b""), (b"p", &most)] {
            let inline = Inline::new(message(props, body, &stored));
            let large = props.len() + body.len() > SMALL;
            assert_eq!(matches!(inline, Inline::Large(_)), large);
            assert_eq!(inline.body(), body);
            let topic = Topic::split(Bytes::from_static(b"a/b"), b'/');
            let again = inline.message(&topic, WALL + 7, &meter);
            assert_eq!((&again.props[..], &again.body[..]), (props, body));
            assert_eq!((again.qos, again.born, again.expires), (1, WALL, WALL + 7));
            assert_eq!(again.topic, topic);
        }
    }

    #[test]
    fn a_small_one_holds_no_message_and_a_large_one_is_not_copied() {
        let (meter, stored) = (Meter::default(), Meter::default());
        let small = Inline::new(message(b"", b"small", &stored));
        assert_eq!((stored.used(), small.weight()), (0, HEAD + 5));
        let topic = Topic::split(Bytes::from_static(b"a/b"), b'/');
        let large = Inline::new(message(b"", &vec![1; SMALL + 1], &stored));
        let [one, two] = [0; 2].map(|_| large.message(&topic, 0, &meter));
        assert_eq!(one.body.as_ptr(), two.body.as_ptr());
        assert_eq!((stored.used(), meter.used(), large.weight()), (64, 0, 0));
    }
}
