//! Floor 5. One request of a PRX1 client, and how it is said.
//!
//! Whether a request is answered, kept or repeated follows from what it is; nothing is stored
//! about it but its id and whether it was said before. Absent on purpose: the order of requests.

use bytes::Bytes;

use crate::proto::prx1::packet::{Packet, Publish, Queue, Subscribe};

use super::receipt::{Done, Message, Qos};

/// Something a caller wants.
#[derive(Debug)]
pub(super) enum Ask {
    Publish { topic: Bytes, payload: Bytes, qos: Qos, retain: bool },
    Subscribe { topic: Bytes, qos: Qos },
    Unsubscribe { topic: Bytes, qos: Qos },
    Queue(Queue),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ask: Ask,
    /// 0 when nothing answers.
    pub(super) id: u16,
    /// On some connection, this one or an earlier one, perhaps of an earlier process.
    pub(super) sent: bool,
    pub(super) done: Done,
}

impl Entry {
    pub(super) fn packet(&self) -> Packet {
        match &self.ask {
            Ask::Publish { topic, payload, qos, retain } => Packet::Publish(Publish {
                dup: self.sent && self.id != 0,
                qos: *qos as u8,
                retain: *retain,
                id: self.id,
                topic: topic.clone(),
                payload: payload.clone(),
            }),
            Ask::Subscribe { topic, qos } => {
                Packet::Subscribe(filter(topic.clone(), *qos, self.id))
            }
            Ask::Unsubscribe { topic, qos } => {
                Packet::Unsubscribe(filter(topic.clone(), *qos, self.id))
            }
            Ask::Queue(queue) => Packet::Queue(queue.clone()),
        }
    }
}

/// Kept by the store: a Publish that is answered.
pub(super) fn is_stored(ask: &Ask) -> bool {
    matches!(ask, Ask::Publish { qos: Qos::AtLeastOnce, .. })
}

pub(super) fn is_answered(ask: &Ask) -> bool {
    match ask {
        Ask::Publish { qos, .. } | Ask::Subscribe { qos, .. } | Ask::Unsubscribe { qos, .. } => {
            *qos == Qos::AtLeastOnce
        }
        Ask::Queue(_) => false,
    }
}

/// What a request weighs in memory: its blobs, and something for its place.
pub(super) fn weight(ask: &Ask) -> usize {
    let of = |blob: &Option<Bytes>| blob.as_ref().map_or(0, Bytes::len);
    64 + match ask {
        Ask::Publish { topic, payload, .. } => topic.len() + payload.len(),
        Ask::Subscribe { topic, .. } | Ask::Unsubscribe { topic, .. } => topic.len(),
        Ask::Queue(q) => of(&q.address) + of(&q.return_path) + of(&q.mark) + of(&q.message),
    }
}

pub(super) fn filter(topic: Bytes, qos: Qos, id: u16) -> Subscribe {
    Subscribe { dup: false, qos: qos as u8, retain: false, id, topic }
}

pub(super) fn message(p: Publish) -> (Message, Option<u16>) {
    // QoS 2 and 3 are read as 1.
    let qos = if p.qos == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce };
    let id = (p.qos != 0).then_some(p.id);
    let Publish { dup, retain, topic, payload, .. } = p;
    (Message { topic, payload, qos, retain, dup }, id)
}
