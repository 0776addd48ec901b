//! Floor 5. What a PRX1 client has been asked and not yet finished: one list, in order.
//!
//! A connection is a cursor that walks the list from its start. What needs no answer leaves the
//! list when it is written; the rest stays, with its id, until it is answered, so that a new
//! connection sends it again in the same order under the same id. There are more ids than places
//! in the list: an id is always free. Absent on purpose: sockets, threads, time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::base::outbound::Outbound;
use crate::proto::prx1::packet::{Packet, QAckCode};
use crate::proto::prx1::{Unsendable, encode};

use super::entry::{Ask, Entry, filter, is_answered, is_stored, message, weight};
use super::ids::Ids;
use super::receipt::{Disconnected, Done, Error, Message, Qos, Receipt, answer};
use super::rpc::Rpc;
use super::store::{Store, Stored};

/// The most requests that may wait, and the most subscriptions: together fewer than the ids.
pub(super) const WAITING_MAX: usize = 48_000;
const FILTERS_MAX: usize = 16_000;
/// Acknowledgements that may wait to be written before reading pauses.
const ACKS_MAX: usize = 65_536;

/// How it stands with the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Offline,
    Online,
    Stopped(Disconnected),
}

/// Whose id it is.
#[derive(Clone, Copy, Debug)]
enum Use {
    Entry(u64),
    /// A subscription said again, for which nobody waits.
    Again,
}

pub(super) struct Desk {
    phase: Phase,
    entries: BTreeMap<u64, Entry>,
    /// The next entry to write on this connection.
    cursor: u64,
    number: u64,
    ids: Ids,
    uses: BTreeMap<u16, Use>,
    len_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// Queue requests on this connection, in order; a QAck carries no id.
    asked: VecDeque<Done>,
    acks: VecDeque<u16>,
    filters: BTreeMap<Bytes, Qos>,
    again: VecDeque<(Bytes, Qos)>,
    store: Box<dyn Store>,
    /// Connections in a row on which something was sent and nothing answered; and how many of
    /// them it takes to give the oldest request up.
    barren: u32,
    give_up: Option<u32>,
    pub(super) stopping: bool,
    /// Why the reader ended, when it has.
    pub(super) ended: Option<Disconnected>,
    /// Attempts to connect that came to nothing, and why the last one did.
    pub(super) failed: Option<Disconnected>,
    /// Pings since something was heard; and whether this broker answers them.
    pub(super) unheard: u32,
    pub(super) pongs: bool,
    /// What it calls and serves.
    pub(super) rpc: Rpc,
}

impl Desk {
    /// Start with what the store has kept. It was sent before, for all we know.
    pub(super) fn new(
        store: Box<dyn Store>,
        (len, bytes): (usize, usize),
        give_up: Option<u32>,
    ) -> Result<Self, Error> {
        let kept: Vec<_> = store.iter().take(WAITING_MAX + 1).collect();
        if kept.len() > WAITING_MAX {
            return Err(Error::Full);
        }
        let mut desk = Self {
            phase: Phase::Offline,
            entries: BTreeMap::new(),
            cursor: 0,
            number: 0,
            ids: Ids::default(),
            uses: BTreeMap::new(),
            len_max: len.clamp(1, WAITING_MAX),
            bytes_max: bytes,
            bytes: 0,
            asked: VecDeque::new(),
            acks: VecDeque::new(),
            filters: BTreeMap::new(),
            again: VecDeque::new(),
            store,
            barren: 0,
            give_up,
            stopping: false,
            ended: None,
            failed: None,
            unheard: 0,
            pongs: false,
            rpc: Rpc::default(),
        };
        for (number, Stored { topic, payload, retain }) in kept {
            desk.number = number;
            desk.place(Ask::Publish { topic, payload, qos: Qos::AtLeastOnce, retain }, true, None);
        }
        Ok(desk)
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn waiting(&self) -> usize {
        self.entries.len() + self.asked.len()
    }

    /// How many messages the store keeps.
    #[cfg(test)]
    pub(super) fn stored(&self) -> usize {
        self.store.iter().count()
    }

    /// Would `ask` be refused now, and perhaps not later?
    pub(super) fn must_wait(&self, ask: &Ask) -> bool {
        let full = self.waiting() >= self.len_max
            || (self.bytes > 0 && self.bytes + weight(ask) > self.bytes_max);
        full && !self.stopping && !matches!(self.phase, Phase::Stopped(_))
    }

    /// So much is to be said of calls that no more is taken for now.
    pub(super) fn is_full_of_words(&self) -> bool {
        let open = !self.stopping && self.phase == Phase::Online;
        open && self.rpc.bytes() >= self.bytes_max
    }

    /// A call can be made now.
    pub(super) fn may_speak(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Stopped(reason) => Err(Error::Stopped(reason)),
            _ if self.stopping => Err(Error::Stopped(Disconnected::None)),
            Phase::Offline => Err(Error::Offline),
            Phase::Online if self.is_full_of_words() => Err(Error::Full),
            Phase::Online => Ok(()),
        }
    }

    /// Take a request in.
    pub(super) fn ask(&mut self, ask: Ask) -> Result<Receipt, Error> {
        if let Phase::Stopped(reason) = self.phase {
            return Err(Error::Stopped(reason));
        }
        if self.stopping {
            return Err(Error::Stopped(Disconnected::None));
        }
        if self.must_wait(&ask) {
            return Err(Error::Full);
        }
        let mut receipt = (Receipt::done(), None);
        match &ask {
            Ask::Publish { qos: Qos::AtMostOnce, .. } if self.phase != Phase::Online => {
                return Err(Error::Offline);
            }
            Ask::Publish { topic, payload, qos: Qos::AtLeastOnce, retain } => {
                let (topic, payload) = (topic.clone(), payload.clone());
                let kept = Stored { topic, payload, retain: *retain };
                let put = self.store.put(self.number + 1, &kept);
                put.map_err(|e| Error::Store(e.kind()))?;
                receipt = Receipt::open();
            }
            Ask::Subscribe { topic, .. } if self.too_many_filters(topic) => {
                return Err(Error::Full);
            }
            Ask::Subscribe { qos: Qos::AtLeastOnce, .. }
            | Ask::Unsubscribe { qos: Qos::AtLeastOnce, .. }
            | Ask::Queue(_) => receipt = Receipt::open(),
            _ => {}
        }
        self.number += 1;
        let (receipt, done) = receipt;
        self.place(ask, false, done);
        Ok(receipt)
    }

    fn too_many_filters(&self, topic: &Bytes) -> bool {
        self.filters.len() >= FILTERS_MAX && !self.filters.contains_key(topic)
    }

    fn place(&mut self, ask: Ask, sent: bool, done: Done) {
        let mut id = 0;
        if is_answered(&ask) {
            id = self.ids.take();
            self.uses.insert(id, Use::Entry(self.number));
        }
        self.bytes += weight(&ask);
        self.entries.insert(self.number, Entry { ask, id, sent, done });
    }

    /// No more requests; what is queued may still be written.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(super) fn on_online(&mut self, session_present: bool) {
        self.phase = Phase::Online;
        self.cursor = 0;
        self.ended = None;
        self.failed = None;
        self.unheard = 0;
        self.pongs = false;
        self.rpc.on_online();
        if !session_present {
            self.again = self.filters.iter().map(|(topic, qos)| (topic.clone(), *qos)).collect();
        }
    }

    pub(super) fn on_offline(&mut self) {
        self.phase = Phase::Offline;
        self.rpc.on_offline();
        self.acks.clear();
        self.again.clear();
        for done in self.asked.drain(..) {
            answer(done, Err(Error::Lost));
        }
        let (ids, uses) = (&mut self.ids, &mut self.uses);
        uses.retain(|&id, of| {
            let stays = matches!(of, Use::Entry(_));
            if !stays {
                ids.give_back(id);
            }
            stays
        });
        // QoS 0 is sent at most once, and to nobody later.
        let fleeting = |e: &Entry| matches!(e.ask, Ask::Publish { qos: Qos::AtMostOnce, .. });
        let gone: Vec<u64> =
            self.entries.iter().filter(|(_, e)| fleeting(e)).map(|(&n, _)| n).collect();
        for number in gone {
            self.leave(number);
        }
        self.give_up_oldest();
    }

    /// A broker that refuses a request hangs up without a word, and so it would for ever.
    fn give_up_oldest(&mut self) {
        let Some((&number, _)) = self.entries.range(..self.cursor).next() else {
            return;
        };
        self.barren = self.barren.saturating_add(1);
        if self.give_up.is_some_and(|most| self.barren >= most) {
            self.barren = 0;
            self.forget(number);
            if let Some(entry) = self.leave(number) {
                answer(entry.done, Err(Error::Refused));
            }
        }
    }

    /// The end. What the store keeps, it keeps for the next process.
    pub(super) fn on_stopped(&mut self, reason: Disconnected) {
        self.cursor = 0;
        self.on_offline();
        self.phase = Phase::Stopped(reason);
        self.rpc.on_stopped(reason);
        for (_, entry) in std::mem::take(&mut self.entries) {
            answer(entry.done, Err(Error::Stopped(reason)));
        }
        self.bytes = 0;
    }

    /// Reading should pause: too many acknowledgements wait to be written.
    pub(super) fn is_choked(&self) -> bool {
        self.acks.len() >= ACKS_MAX && self.ended.is_none() && !self.stopping
    }

    /// A message has been handed over.
    pub(super) fn acknowledge(&mut self, id: u16) {
        self.acks.push_back(id);
    }

    /// Something was heard. A message is returned with the id to acknowledge, if any.
    pub(super) fn on_packet(
        &mut self,
        packet: Packet,
    ) -> Result<Option<(Message, Option<u16>)>, Disconnected> {
        self.unheard = 0;
        match packet {
            Packet::Publish(p) => return Ok(Some(message(p))),
            Packet::PubAck(id) => {
                self.on_ack(id, |ask| matches!(ask, Ask::Publish { .. }));
            }
            Packet::SubAck(id) => {
                if let Some(Ask::Subscribe { topic, qos }) =
                    self.on_ack(id, |ask| matches!(ask, Ask::Subscribe { .. }))
                {
                    self.remember(topic, qos);
                }
            }
            Packet::UnsubAck(id) => {
                self.on_ack(id, |ask| matches!(ask, Ask::Unsubscribe { .. }));
            }
            Packet::QAck(result) => {
                let how = if result == QAckCode::Ok { Ok(()) } else { Err(Error::Refused) };
                answer(self.asked.pop_front().flatten(), how);
            }
            Packet::Pong => self.pongs = true,
            Packet::Extended(it) => self.rpc.on_extended(it),
            Packet::Disconnect => return Err(Disconnected::Disconnect),
            Packet::Connect(_) => return Err(Disconnected::Forced),
            Packet::ConnAck(_)
            | Packet::Queue(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Ping
            | Packet::Unknown { .. } => {}
        }
        Ok(None)
    }

    /// An answer with this id, to a request of the right kind; others are ignored.
    fn on_ack(&mut self, id: u16, fits: impl Fn(&Ask) -> bool) -> Option<Ask> {
        match self.uses.get(&id) {
            Some(&Use::Entry(number)) => {
                let entry = self.entries.get(&number)?;
                // Not written on this connection yet: the answer cannot be meant for it.
                if !fits(&entry.ask) || number >= self.cursor {
                    return None;
                }
                self.barren = 0;
                self.forget(number);
                let Entry { ask, done, .. } = self.leave(number)?;
                answer(done, Ok(()));
                Some(ask)
            }
            Some(Use::Again) => {
                self.uses.remove(&id);
                self.ids.give_back(id);
                None
            }
            None => None,
        }
    }

    /// Whatever had to be kept of this entry need not be.
    fn forget(&mut self, number: u64) {
        let stored = matches!(self.entries.get(&number), Some(e) if is_stored(&e.ask));
        if stored && let Err(e) = self.store.remove(number) {
            log::warn!("prx1 client: a finished message stays stored: {e}");
        }
    }

    fn remember(&mut self, topic: Bytes, qos: Qos) {
        if self.too_many_filters(&topic) {
            log::warn!("prx1 client: too many subscriptions, one will not be said again");
        } else {
            self.filters.insert(topic, qos);
        }
    }

    fn leave(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes -= weight(&entry.ask);
        if entry.id != 0 {
            self.uses.remove(&entry.id);
            self.ids.give_back(entry.id);
        }
        Some(entry)
    }

    /// Is there something to write?
    pub(super) fn has_work(&self) -> bool {
        !self.acks.is_empty()
            || self.rpc.has_work()
            || !self.again.is_empty()
            || self.entries.range(self.cursor..).next().is_some()
    }

    /// Write what is next, about `budget` bytes of it: acknowledgements, then subscriptions of
    /// an earlier connection, then the list.
    pub(super) fn poll_transmit(&mut self, out: &mut Outbound, budget: usize) {
        while out.len() < budget {
            let Some(id) = self.acks.pop_front() else {
                break;
            };
            self.say(Packet::PubAck(id), out);
        }
        self.rpc.poll_transmit(out, budget);
        while out.len() < budget {
            let Some((topic, qos)) = self.again.pop_front() else {
                break;
            };
            let mut id = 0;
            if qos == Qos::AtLeastOnce {
                id = self.ids.take();
                self.uses.insert(id, Use::Again);
            }
            self.say(Packet::Subscribe(filter(topic, qos, id)), out);
        }
        while out.len() < budget && self.again.is_empty() {
            let Some((&number, entry)) = self.entries.range_mut(self.cursor..).next() else {
                break;
            };
            self.cursor = number + 1;
            let packet = entry.packet();
            entry.sent = true;
            let stays = entry.id != 0;
            self.say(packet, out);
            if !stays {
                self.on_written(number);
            }
        }
    }

    /// A request that no id answers has been written.
    fn on_written(&mut self, number: u64) {
        let Some(Entry { ask, done, .. }) = self.leave(number) else {
            return;
        };
        match ask {
            Ask::Queue(_) => self.asked.push_back(done),
            Ask::Subscribe { topic, qos } => self.remember(topic, qos),
            Ask::Unsubscribe { .. } | Ask::Publish { .. } => {}
        }
    }

    fn say(&mut self, packet: Packet, out: &mut Outbound) {
        if let Packet::Unsubscribe(gone) = &packet {
            self.filters.remove(&gone.topic);
        }
        // Lengths and actions were checked when the request came in.
        if let Err(Unsendable::TooLong | Unsendable::Meaningless) = encode(&packet, out) {
            debug_assert!(false, "{packet:?} cannot be said");
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("phase", &self.phase)
            .field("waiting", &self.waiting())
            .finish()
    }
}
