//! Floor 3. A PUBLISH as it came: one shared piece of the read buffer, and where in it what is.
//!
//! Most packets of a busy broker are this one. Its fields are checked where they lie, in the order
//! in which they lie, and the payload is what is left of the piece when the rest is cut off, so
//! taking a packet in counts one more reader of the buffer and nothing else. A text that is known
//! to be a good topic need not be read again. Absent on purpose: what a topic means.

use bytes::{Buf, Bytes};

use crate::base::reader::Reader;
use crate::proto::fault::{Fault, FaultKind};

use super::packet::{Publish, Sender, Version};
use super::props::{Place, Props, check_text, is_wild};

/// A well-formed PUBLISH.
#[derive(Debug)]
pub(super) struct Arrived {
    /// It may have been sent before.
    pub(super) dup: bool,
    /// 0, 1 or 2.
    pub(super) qos: u8,
    /// Keep it as the topic's last value.
    pub(super) retain: bool,
    /// Not 0 when `qos` is not.
    pub(super) id: u16,
    /// 5.0.
    pub(super) props: Props,
    frame: Bytes,
    topic: (usize, usize),
    payload: usize,
}

impl Arrived {
    /// Read the packet in `frame`, whose first byte was judged and whose body begins at `at`.
    /// `known`: the text is a good topic, which was found out before.
    #[inline]
    pub(super) fn read(
        frame: Bytes,
        at: usize,
        v: Version,
        from: Sender,
        known: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Self, Fault> {
        let flags = frame.first().copied().unwrap_or_default();
        let qos = (flags >> 1) & 3;
        let start = at + 2;
        let end = start + usize::from(u16_at(&frame, at)?);
        let text = frame.get(start..end).ok_or_else(short)?;
        if !known(text) {
            check_text(text)?;
            if is_wild(text) {
                return Err(FaultKind::MqttTopicWildcard.fault());
            }
        }
        let (id, at) = if qos == 0 { (0, end) } else { (u16_at(&frame, end)?, end + 2) };
        if qos > 0 && id == 0 {
            return Err(FaultKind::MqttPacketId.fault());
        }
        let (props, payload) =
            if v == Version::V5 { props_at(&frame, at, from)? } else { (Props::none(), at) };
        if start == end && props.topic_alias().is_none() {
            return Err(FaultKind::MqttTopicEmpty.fault());
        }
        let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
        Ok(Self { dup, qos, retain, id, props, frame, topic: (start, end), payload })
    }

    /// Where to; empty with a topic alias.
    pub(super) fn topic(&self) -> &[u8] {
        self.frame.get(self.topic.0..self.topic.1).unwrap_or_default()
    }

    /// The same, sharing the buffer.
    pub(super) fn shared_topic(&self) -> Bytes {
        self.frame.slice(self.topic.0..self.topic.1)
    }

    /// What.
    pub(super) fn payload(&self) -> &[u8] {
        self.frame.get(self.payload..).unwrap_or_default()
    }

    /// What, and nothing else of the packet any more.
    pub(super) fn into_payload(mut self) -> Bytes {
        self.frame.advance(self.payload);
        self.frame
    }

    /// As a value of its own.
    pub(super) fn into_publish(mut self) -> Publish {
        let (dup, qos, retain, id) = (self.dup, self.qos, self.retain, self.id);
        let (topic, props) = (self.shared_topic(), core::mem::take(&mut self.props));
        Publish { dup, qos, retain, topic, id, props, payload: self.into_payload() }
    }
}

/// The properties that begin there, and where they end. Nearly always there are none.
fn props_at(frame: &Bytes, at: usize, from: Sender) -> Result<(Props, usize), Fault> {
    if frame.get(at) == Some(&0) {
        return Ok((Props::none(), at + 1));
    }
    let place = match from {
        Sender::Client => Place::PublishUp,
        Sender::Server => Place::PublishDown,
    };
    let mut r = Reader::new(frame.slice(at.min(frame.len())..));
    let props = Props::take(&mut r, place)?;
    Ok((props, frame.len() - r.left()))
}

fn u16_at(frame: &[u8], at: usize) -> Result<u16, Fault> {
    let two = frame.get(at..).and_then(<[u8]>::first_chunk);
    two.map(|two| u16::from_be_bytes(*two)).ok_or_else(short)
}

fn short() -> Fault {
    FaultKind::MqttShort.fault()
}
