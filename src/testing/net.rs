//! Floor 5. A client, its habits, and the network between it and the broker.
//!
//! What a client sends waits here until the network carries it on, some bytes at a time and at its
//! own pace for every connection; what it hears waits until it listens. The order of one
//! connection is kept, the order between connections is not. Absent on purpose: judgement.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::proto::prx1::decode::{BODY_MAX, next};
use crate::proto::prx1::{Action, Connect, Packet, Publish, Queue, Subscribe, encode_vec};

/// When deliveries are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// At once.
    Prompt,
    /// Sometimes, oldest first.
    Late,
    /// Sometimes, any of them.
    Mixed,
    /// Not at all.
    Never,
}

/// A request that may be answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its packet id; 0: it is not answered.
    pub id: u16,
    /// The filter.
    pub filter: String,
    /// The quality.
    pub qos: u8,
    /// It begins, or ends.
    pub begins: bool,
    /// The model's number for it, once the broker has taken it in.
    pub op: Option<usize>,
}

/// One connection, from the client's end.
#[derive(Debug)]
pub struct Client {
    /// Its place among all that ever were; names it in the log.
    pub no: usize,
    /// The connection.
    pub conn: ConnId,
    /// Whose.
    pub user: usize,
    /// It sent the right password.
    pub honest: bool,
    /// It asked for a clean start.
    pub clean: bool,
    /// It has been welcomed.
    pub online: bool,
    /// It has gone without a word: nothing is sent, read or closed.
    pub vanished: bool,
    /// When it acknowledges.
    pub acks: Acks,
    /// Bytes it takes in a turn; 0: any number.
    pub pace: usize,
    /// On its way.
    pub outward: VecDeque<u8>,
    /// Heard, and not whole yet.
    ears: BytesMut,
    /// Publishes that the broker has not taken in, in order.
    pub publishes: VecDeque<usize>,
    /// Publishes and their ids, not acknowledged.
    pub unacked: Vec<(u16, usize)>,
    /// The last one acknowledged: id, topic.
    pub last_acked: Option<(u16, String)>,
    /// Subscribes and unsubscribes not answered or not taken in.
    pub asked: Vec<Asked>,
    /// Queue requests not answered: the item that was pushed, or nothing.
    pub queued: VecDeque<Option<usize>>,
    /// Deliveries not acknowledged: id, message.
    pub owes: Vec<(u16, usize)>,
    /// Acknowledged behind the last ping: message.
    pub acked_since: Vec<usize>,
    /// For every ping that is out: what was acknowledged before it.
    pub pings: VecDeque<Vec<usize>>,
    /// The last place in the order of what it heard, by topic and quality.
    pub order: Vec<((String, u8), u64)>,
    next_id: u16,
}

impl Client {
    /// A client on a new connection.
    #[must_use]
    pub fn new(no: usize, conn: ConnId, user: usize) -> Self {
        Self {
            no,
            conn,
            user,
            honest: true,
            clean: false,
            online: false,
            vanished: false,
            acks: Acks::Prompt,
            pace: 0,
            outward: VecDeque::new(),
            ears: BytesMut::new(),
            publishes: VecDeque::new(),
            unacked: Vec::new(),
            last_acked: None,
            asked: Vec::new(),
            queued: VecDeque::new(),
            owes: Vec::new(),
            acked_since: Vec::new(),
            pings: VecDeque::new(),
            order: Vec::new(),
            next_id: 0,
        }
    }

    /// An id that is not in use.
    pub fn id(&mut self) -> u16 {
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }

    /// Send a packet.
    pub fn send(&mut self, packet: &Packet) {
        match encode_vec(packet) {
            Ok(bytes) => self.outward.extend(bytes),
            Err(why) => panic!("a client cannot say {packet:?}: {why}"),
        }
    }

    /// Say who it is.
    pub fn connect(&mut self, password: &str, keepalive: Option<u16>) {
        let packet = Packet::Connect(Connect {
            clean_start: self.clean,
            password: Some(Bytes::copy_from_slice(password.as_bytes())),
            client_id: Some(Bytes::new()),
            keepalive,
            username: Some(Bytes::from(format!("u{}", self.user))),
            ..Connect::default()
        });
        self.send(&packet);
    }

    /// Begin or end a subscription.
    pub fn ask(&mut self, filter: &str, qos: u8, begins: bool) {
        let id = if qos > 0 { self.id() } else { 0 };
        let topic = Bytes::copy_from_slice(filter.as_bytes());
        let body = Subscribe { dup: false, qos, retain: false, id, topic };
        self.send(&if begins { Packet::Subscribe(body) } else { Packet::Unsubscribe(body) });
        self.asked.push(Asked { id, filter: filter.to_owned(), qos, begins, op: None });
    }

    /// Publish message `no`.
    pub fn publish(&mut self, no: usize, topic: &str, qos: u8, retain: bool, body: Vec<u8>) {
        let id = if qos > 0 { self.id() } else { 0 };
        let topic = Bytes::copy_from_slice(topic.as_bytes());
        let payload = Bytes::from(body);
        self.send(&Packet::Publish(Publish { dup: false, qos, retain, id, topic, payload }));
        self.publishes.push_back(no);
        if qos > 0 {
            self.unacked.push((id, no));
        }
    }

    /// Send a marked copy of a publish that was acknowledged; false when there is none.
    pub fn copy(&mut self, body: Vec<u8>) -> bool {
        let Some((id, topic)) = self.last_acked.clone() else { return false };
        let (topic, payload) = (Bytes::from(topic), Bytes::from(body));
        let copy = Publish { dup: true, qos: 1, retain: false, id, topic, payload };
        self.send(&Packet::Publish(copy));
        true
    }

    /// Ask for something about a queue.
    pub fn queue(&mut self, action: Action, address: &str, durable: bool, item: Option<Vec<u8>>) {
        let packet = Packet::Queue(Queue {
            action,
            address: Some(Bytes::copy_from_slice(address.as_bytes())),
            mark: durable.then_some(Bytes::from_static(b"durable")),
            message: item.map(Bytes::from),
            ..Queue::default()
        });
        self.send(&packet);
    }

    /// Ping; the answer tells that everything before it was seen.
    pub fn ping(&mut self) {
        self.send(&Packet::Ping);
        self.pings.push_back(core::mem::take(&mut self.acked_since));
    }

    /// Acknowledge the delivery at this place of the list.
    pub fn acknowledge(&mut self, at: usize) {
        if at < self.owes.len() {
            let (id, no) = self.owes.remove(at);
            self.send(&Packet::PubAck(id));
            if no != usize::MAX {
                self.acked_since.push(no);
            }
        }
    }

    /// Take in what arrived; the packets in it.
    pub fn listen(&mut self, bytes: &[u8]) -> Result<Vec<Packet>, String> {
        self.ears.extend_from_slice(bytes);
        let mut packets = Vec::new();
        loop {
            match next(&mut self.ears, BODY_MAX) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => return Ok(packets),
                Err(fault) => return Err(format!("the broker says nonsense: {fault}")),
            }
        }
    }
}
