//! Floor 2. Next, settle, and reading back: the reader's side of a debt.
//!
//! A connection asks `next` until it is told nothing. When a debt is only on disk, a read goes out
//! as a job and the session is woken by its answer; nobody waits inside a turn. Reads are bounded
//! in number and in bytes, so a thousand returning readers cannot fill the memory. Absent on
//! purpose: the disk.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, OwnerNo, RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::{Action, Loss};
use crate::journal::job::{DiskDone, Fetch, Fetched, FetchedItem};
use crate::journal::record::MessageRecord;
use crate::journal::{News, State};
use crate::topic::Topic;

use super::fanout::{GRANT_ASKED, GRANT_DUP, GRANT_RETAIN};
use super::message::{Body, Delivery, Durability, Message, Meter, SHARE};
use super::outbox::{Hint, Next, Outbox, Want};
use super::policy::{Access, Event};
use super::{Hub, READS_MAX, Reader};

/// What a finished disk job means to the engine.
#[derive(Debug)]
pub enum Stir {
    /// Acknowledgements up to here may go out.
    Synced {
        /// And those that were made to wait meanwhile may try.
        room: bool,
    },
    /// There is room again: those that were made to wait may try.
    Room,
    /// Nothing durable is promised any more.
    Failed,
    /// Nothing the engine must act on.
    Quiet,
}

/// Who waits for which read of the journal.
#[derive(Debug)]
pub(crate) struct Reads {
    under_way: Map<u64, Reader>,
    next: u64,
}

impl Reads {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { under_way: Map::with_hasher(seed), next: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(crate) fn remove(&mut self, token: &u64) -> Option<Reader> {
        self.under_way.remove(token)
    }

    fn begin(&mut self, reader: Reader) -> u64 {
        let token = self.next;
        self.next += 1;
        self.under_way.insert(token, reader);
        token
    }
}

impl Hub {
    /// What this session's connection should be handed now. `None`: nothing, or not yet.
    pub fn next(&mut self, now: Now, id: SessionId) -> Option<Delivery> {
        let checks = self.policy.checks_receive();
        loop {
            let s = self.sessions.get(id)?;
            let (replays, unsynced) = (!s.replays.is_empty(), s.outbox.has_unsynced());
            let replayed = replays && self.replay_some(now, id);
            // Asked for behind the replay, which may have brought what waits.
            if (replays || unsynced)
                && self.sessions.get(id)?.outbox.has_unsynced()
                && self.waits_for_disk(id)
            {
                return None;
            }
            let s = self.sessions.get_mut(id)?;
            let tongue = s.tongue;
            match s.outbox.next(s.inflight_max as usize) {
                // What was sent once is sent again, however late (mqtt5 4.3.3-7).
                Next::Deliver(d) if !d.dup && d.message.is_expired(now.wall) => {
                    let reason = Loss::Expired;
                    self.stats.count(reason.counter());
                    let user = s.label().clone();
                    let event = Event::Dropped { user: &user, topic: &d.message.topic, reason };
                    self.observer.see(now, &event);
                    self.settle_ord(id, d.ord);
                }
                Next::Deliver(d) if checks && !d.asked && !self.may_receive(id, &d) => {
                    // Owed under rules that have changed since.
                    self.stats.denied(Action::Receive);
                    self.settle_ord(id, d.ord);
                }
                Next::Deliver(d) => {
                    self.stats.sent(tongue, d.qos);
                    self.stats.add(Counter::PayloadSent, d.message.body.len() as u64);
                    if d.timed && self.timings.is_measured() && !d.dup {
                        self.timings.on_delivered(now, d.message.came);
                    }
                    if d.dup {
                        self.stats.count(Counter::MessagesResent);
                    }
                    if self.observer.is_tracing()
                        && let Some(s) = self.sessions.get(id)
                    {
                        self.observer.delivered(now, s.label(), &d);
                    }
                    return Some(d);
                }
                Next::Read(want) => {
                    if self.reads_are_short() {
                        self.go_hungry(id);
                    } else {
                        self.read_session(id, want);
                    }
                    return None;
                }
                Next::Wait => return None,
                Next::Nothing if replayed => {}
                Next::Nothing => return None,
            }
        }
    }

    /// A delivery was handed over. What it carried may be over.
    #[inline]
    pub fn done(&mut self, delivery: Delivery) {
        self.spares.take_back(delivery.message);
    }

    /// A message as one reader is to have it: with this body, and without properties.
    #[must_use]
    pub fn restated(&self, m: &Message, body: Body) -> Message {
        let charge = self.meter.charge(body.len() + m.topic.text().len() + 64);
        let (topic, props) = (m.topic.clone(), Bytes::new());
        let (qos, serial, born, came, expires) = (m.qos, m.serial, m.born, m.came, m.expires);
        Message { topic, body, props, qos, serial, born, came, expires, charge }
    }

    /// Must what comes next wait for the disk? Its session is woken when the disk has moved on.
    fn waits_for_disk(&mut self, id: SessionId) -> bool {
        let Some(journal) = self.journal.as_ref() else { return false };
        // A sick disk promises nothing, and what it owes need not wait for it.
        let sick = matches!(journal.state(), State::Failed(_));
        let synced = if sick { Lsn(u64::MAX) } else { journal.synced() };
        let Some(s) = self.sessions.get_mut(id) else { return false };
        let waits = s.level == Durability::Disk && s.outbox.waits_for_disk(synced);
        if waits && !s.outbox.hold_up(true) {
            self.held_up.push(id);
        }
        waits
    }

    /// The disk has moved on, or never will.
    fn let_go(&mut self) {
        for id in core::mem::take(&mut self.held_up) {
            if let Some(s) = self.sessions.get_mut(id) {
                s.outbox.hold_up(false);
            }
            self.wake(id);
        }
    }

    fn may_receive(&mut self, id: SessionId, d: &Delivery) -> bool {
        let Some(s) = self.sessions.get(id) else { return false };
        self.policy.permit(s.principal(), &Access::Receive(&d.message.topic))
    }

    /// The reader acknowledged a packet id. False: no such delivery is in flight.
    pub fn settle(&mut self, id: SessionId, packet: u16) -> bool {
        self.settle_with(id, |outbox| outbox.settle(packet))
    }

    /// The same for a delivery of QoS 1, and for no other.
    pub(super) fn settle_plain(&mut self, id: SessionId, packet: u16) -> bool {
        self.settle_with(id, |outbox| outbox.settle_plain(packet))
    }

    fn settle_with(
        &mut self,
        id: SessionId,
        settle: impl FnOnce(&mut Outbox) -> Option<(u64, Option<Delivery>)>,
    ) -> bool {
        let Some(s) = self.sessions.get_mut(id) else { return false };
        let Some((ord, kept)) = settle(&mut s.outbox) else { return false };
        // Room in the window: what waited for it may go.
        if let (Some(conn), false) = (s.conn, s.marked) {
            s.marked = true;
            self.awake.push(conn);
        }
        let durable = s.outbox.ledger.is_some();
        if let Some(kept) = kept {
            self.done(kept);
        }
        if durable {
            self.unowe(id, ord);
        }
        true
    }

    fn settle_ord(&mut self, id: SessionId, ord: u64) {
        if ord != 0 && self.sessions.get_mut(id).is_some_and(|s| s.outbox.settle_ord(ord)) {
            self.unowe(id, ord);
        }
    }

    pub(crate) fn unowe(&mut self, id: SessionId, ord: u64) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        let segment = s.outbox.ledger.as_mut().and_then(|ledger| ledger.settle(ord));
        if let Some(segment) = segment {
            self.paid(segment, 1);
            self.note_settled(id);
        }
    }

    pub(crate) fn reads_are_short(&self) -> bool {
        self.reads.len() >= READS_MAX
            || self.memory_used() > self.mark(self.limits.memory_low_percent)
    }

    pub(crate) fn go_hungry(&mut self, id: SessionId) {
        if let Some(s) = self.sessions.get_mut(id)
            && !s.queued_read
        {
            s.queued_read = true;
            self.hungry.push_back(id);
        }
    }

    /// Somebody waits to read ahead.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        !self.hungry.is_empty()
    }

    /// Reads, room or memory came free: those that waited for them ask again.
    pub(crate) fn feed_hungry(&mut self, most: usize) {
        for _ in 0..most {
            if self.reads_are_short() {
                return;
            }
            let Some(id) = self.hungry.pop_front() else { return };
            if let Some(s) = self.sessions.get_mut(id) {
                s.queued_read = false;
            }
            self.wake(id);
        }
    }

    pub(crate) fn new_read(&mut self, reader: Reader) -> u64 {
        self.reads.begin(reader)
    }

    fn read_session(&mut self, id: SessionId, want: Want) {
        let Some(end) = self.journal.as_ref().map(|j| j.end_in(want.segment)) else { return };
        let token = self.new_read(Reader::Session(id, want, end));
        let bytes_max = self.limits.fetch_bytes_max;
        let Some(s) = self.sessions.get_mut(id) else { return };
        let (Some(owner), Some(journal)) = (s.owner, &mut self.journal) else { return };
        s.outbox.asked(token);
        journal.request(fetch(owner, token, want, end, bytes_max));
    }

    pub(crate) fn read_queue(&mut self, realm: RealmId, address: &Bytes, want: Want) {
        let Some(end) = self.journal.as_ref().map(|j| j.end_in(want.segment)) else { return };
        let token = self.new_read(Reader::Queue(realm, address.clone(), want, end));
        let bytes_max = self.limits.fetch_bytes_max;
        let r = self.realms.get_mut(usize::from(realm.0));
        let Some(queue) = r.and_then(|r| r.queues.get_mut(address)) else { return };
        let (Some(owner), Some(journal)) = (queue.owner, &mut self.journal) else { return };
        queue.outbox.asked(token);
        journal.request(fetch(owner, token, want, end, bytes_max));
    }

    /// A disk job is done.
    pub fn on_disk(&mut self, now: Now, done: DiskDone) -> Stir {
        let Some(journal) = &mut self.journal else { return Stir::Quiet };
        let was_full = *journal.state() == State::Full;
        match journal.on_done(now, done) {
            None => Stir::Quiet,
            Some(News::Synced { upto, room }) => {
                self.stats.count(Counter::JournalSyncs);
                self.timings.on_synced(now, upto);
                self.on_flush_over(now);
                self.let_go();
                if room {
                    self.feed_hungry(usize::MAX >> 1);
                }
                Stir::Synced { room }
            }
            Some(News::Fetched(fetched)) => {
                self.on_fetched(now, fetched);
                self.feed_hungry(2);
                Stir::Quiet
            }
            Some(News::Picked(picked)) => {
                self.on_picked(now, picked);
                self.feed_hungry(2);
                Stir::Quiet
            }
            Some(News::Scanned(scanned)) => {
                self.on_scanned(now, scanned);
                Stir::Quiet
            }
            Some(News::RoomAgain) => {
                if was_full {
                    self.tell_storage(now, "running", "there is room again");
                }
                self.feed_hungry(usize::MAX >> 1);
                Stir::Room
            }
            Some(News::Full) => {
                self.tell_storage(now, "full", "no space for the next segment");
                Stir::Quiet
            }
            Some(News::Failed(why)) => {
                self.timings.on_disk_failed();
                self.flush = super::flush::Flush::default();
                self.tell_storage(now, "failed", &why.to_string());
                self.let_go();
                Stir::Failed
            }
        }
    }

    fn on_fetched(&mut self, now: Now, fetched: Fetched) {
        let Some(reader) = self.reads.remove(&fetched.token) else { return };
        match reader {
            Reader::Session(id, want, end) => {
                let meter = self.meter.clone();
                let Some(s) = self.sessions.get_mut(id) else { return };
                if !s.outbox.awaits(fetched.token) {
                    return;
                }
                let lost = take_in(&mut s.outbox, &fetched, want, end, &meter);
                self.report_lost(now, lost, &fetched);
                self.wake(id);
            }
            Reader::Queue(realm, address, want, end) => {
                let meter = self.meter.clone();
                let r = self.realms.get_mut(usize::from(realm.0));
                let Some(queue) = r.and_then(|r| r.queues.get_mut(&address)) else { return };
                if !queue.outbox.awaits(fetched.token) {
                    return;
                }
                let lost = take_in(&mut queue.outbox, &fetched, want, end, &meter);
                self.report_lost(now, lost, &fetched);
                self.note_draining(realm, address);
            }
            Reader::Replay(_) | Reader::Asked(_) => {}
        }
    }

    fn report_lost(&mut self, now: Now, lost: u64, fetched: &Fetched) {
        if lost == 0 {
            return;
        }
        let why = match &fetched.result {
            Ok(()) => format!("{lost} owed records are not where the journal put them"),
            Err(e) => format!("{lost} owed records cannot be read: {e}"),
        };
        self.tell_storage(now, "unreadable", &why);
    }
}

fn fetch(owner: OwnerNo, token: u64, want: Want, end: u32, bytes_max: usize) -> Fetch {
    let Want { segment, offset, lo, hi } = want;
    Fetch { owner, token, segment, offset, end, lo, hi, bytes_max }
}

/// Put what was read into the outbox. Returns how many ordinals the journal owed and did not give.
fn take_in(outbox: &mut Outbox, fetched: &Fetched, want: Want, end: u32, meter: &Meter) -> u64 {
    let before = outbox.cursor();
    let items = fetched.items.iter().filter_map(|item| delivery_of(item, meter));
    let hint = Hint { segment: want.segment, offset: fetched.next_offset, hi: want.hi };
    outbox.on_read(items, hint);
    let read_on = fetched.result.is_ok() && fetched.next_offset < end;
    if outbox.cursor() > before || read_on {
        return 0;
    }
    // Nothing more to read, and no progress. Fine when compaction has moved the run meanwhile;
    // otherwise it is gone, and going on behind it is better than never going on.
    let run = outbox.ledger.as_ref().and_then(|l| l.run_at(before).copied());
    match run {
        Some(run) if run.segment == want.segment && run.lo <= before => {
            let hi = run.hi.min(want.hi);
            outbox.skip_to(hi);
            (hi + 1).saturating_sub(before)
        }
        _ => 0,
    }
}

fn delivery_of(item: &FetchedItem, meter: &Meter) -> Option<Delivery> {
    Some(Delivery {
        message: Arc::new(message_of_record(&item.message, meter)?),
        ord: item.ord,
        qos: (item.owed.grant & 3).min(2),
        retain: item.owed.grant & GRANT_RETAIN != 0,
        dup: item.owed.grant & GRANT_DUP != 0,
        asked: item.owed.grant & GRANT_ASKED != 0,
        shared: item.owed.subs.iter().any(|id| id & SHARE != 0),
        timed: false,
        subs: item.owed.subs.clone(),
    })
}

/// A journaled message as a live one; shares the buffer it was read into.
pub(crate) fn message_of_record(record: &MessageRecord, meter: &Meter) -> Option<Message> {
    let topic = Topic::decode(record.topic.clone())?;
    let charge = meter.charge(record.body.len() + record.props.len() + record.topic.len() + 64);
    Some(Message {
        topic,
        body: record.body.clone().into(),
        props: record.props.clone(),
        qos: record.qos,
        serial: 0,
        born: record.born,
        came: 0,
        expires: record.expires,
        charge,
    })
}
