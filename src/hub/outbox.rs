//! Floor 2. What somebody is owed, and in which order it is handed out.
//!
//! Three sources, in this order: read-ahead from the journal (`fetched`), what is still only there
//! (`cursor..spilled`), and references in memory (`live`). Every acknowledged delivery has an
//! ordinal; a durable one stands in the ledger from the moment it is owed until it is settled, so
//! dropping its reference from memory loses nothing: it is read back. That makes all overflow the
//! same: forget, and let the cursor find it.
//!
//! Invariants: durable ordinals have no gaps; those in `cursor..spilled` come from disk, later ones
//! are in `live`; volatile debts beside a ledger are numbered apart. `flights` is ordered by
//! ordinal; the span of each kind stays under [`SPAN_MAX`], so packet ids are unique. A delivery of
//! QoS 2 that its reader received is settled for the journal and flies on, `released`, until the
//! reader ends the exchange; what was released before this connection comes first of all. None
//! goes out before its record is on the disk.
//! Absent on purpose: sockets, wire formats, clocks, and the journal itself (it is asked for by
//! the hub; this file only says what it needs).

use std::collections::VecDeque;

use crate::base::id::Lsn;
use crate::base::seldom::Seldom;
use crate::journal::ledger::{Ledger, Run};

use super::message::{Charge, Delivery, IDS, Meter, VOLATILE, VOLATILE_IDS, id_of};

/// Unsettled and settled ordinals in flight may lie this far apart at most.
pub const SPAN_MAX: u64 = 8_192;

/// Places an idle queue keeps for the next few; a busy one has many times as many.
const IDLE_MAX: usize = 64;

/// Something handed to the present connection and not settled.
#[derive(Debug)]
struct Flight {
    ord: u64,
    /// What it weighs among what waits on disk.
    weight: u32,
    qos: u8,
    settled: bool,
    /// Received (QoS 2): its reader is told to forget the id, and has not said that it did.
    released: bool,
    /// Kept for a resend when no journal has it.
    volatile: Option<Delivery>,
}

/// Debts of one session or queue.
#[derive(Debug)]
pub struct Outbox {
    /// What the journal owes on our behalf; none for debts that live in memory only.
    pub ledger: Option<Box<Ledger>>,
    live: VecDeque<Delivery>,
    /// What `live` weighs, and what flies and no journal has.
    live_bytes: usize,
    /// What many references take themselves; of a few nothing is charged.
    refs: Option<Box<Charge>>,
    /// Read back from the journal: only what was put aside ever is.
    fetched: Seldom<Delivery>,
    flights: VecDeque<Flight>,
    /// How many of them are not settled.
    aloft: u32,
    /// Released before this connection and not taken up by it.
    #[expect(clippy::box_collection, reason = "most sessions have none: a word, not four")]
    released: Option<Box<VecDeque<u64>>>,
    /// What the durable debts weigh, as far as they were owed by this process, as a part of what
    /// everybody's weigh.
    waiting: Option<Box<Charge>>,
    next: u64,
    volatiles: u64,
    cursor: u64,
    spilled: u64,
    sent: u64,
    /// What is being read back; a word while nothing is.
    reading: Option<Box<Reading>>,
    /// Debts of QoS 2 whose records may not be on the disk, and where those stand. A reader keeps
    /// the number of such a delivery: one that a loss of power took back, and whose number another
    /// gets, would make it take that other for a copy.
    #[expect(clippy::box_collection, reason = "most sessions have none: a word, not four")]
    unsynced: Option<Box<VecDeque<(u64, Lsn)>>>,
    /// It waits for the disk.
    held_up: bool,
}

/// How far what only the journal has was read back.
#[derive(Debug, Default)]
struct Reading {
    /// The read that is under way.
    asked: Option<u64>,
    hint: Hint,
}

/// How much an outbox may hold in memory.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// References.
    pub len: usize,
    /// Bytes they stand for.
    pub bytes: usize,
}

/// What became of a debt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// A reference is held.
    Kept,
    /// Only the journal has it; it will be read back.
    Spilled,
    /// There was no room, and nothing durable about it.
    Dropped,
}

/// The answer to "what now?".
#[derive(Debug)]
pub enum Next {
    /// Hand this out.
    Deliver(Delivery),
    /// Read these ordinals back first.
    Read(Want),
    /// Something is owed, but a read is under way, or too much is unacknowledged.
    Wait,
    /// Nothing is owed.
    Nothing,
}

/// How far a run has been read: what is left of `..=hi` in the segment lies at or behind `offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hint {
    /// The segment.
    pub segment: u32,
    /// Where to go on.
    pub offset: u32,
    /// The last ordinal that was looked for.
    pub hi: u64,
}

/// Ordinals to read back, all in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// Where they are.
    pub segment: u32,
    /// Where to begin to look.
    pub offset: u32,
    /// The first.
    pub lo: u64,
    /// The last.
    pub hi: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            ledger: None,
            live: VecDeque::new(),
            live_bytes: 0,
            refs: None,
            fetched: Seldom::default(),
            flights: VecDeque::new(),
            aloft: 0,
            released: None,
            waiting: None,
            next: 1,
            volatiles: 0,
            cursor: 1,
            spilled: 1,
            sent: 0,
            reading: None,
            unsynced: None,
            held_up: false,
        }
    }
}

impl Outbox {
    /// An outbox whose durable debts stand in the journal; `all` measures those of everybody.
    #[must_use]
    pub fn durable(all: &Meter) -> Self {
        let waiting = Some(Box::new(all.charge(0)));
        Self { ledger: Some(Box::default()), waiting, ..Self::default() }
    }

    /// The ordinal the next acknowledged debt will have.
    #[must_use]
    pub fn peek_ordinal(&self) -> u64 {
        self.next
    }

    /// Highest ordinal ever handed to a connection.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Continue numbering as the journal says: the next ordinal and what may have been sent.
    pub fn restore(&mut self, next: u64, sent: u64) {
        self.next = self.next.max(next);
        self.spilled = self.next;
        self.sent = self.sent.max(sent);
    }

    /// Owe a delivery. With `lsn`, the journal has it; `ord` was taken from [`Self::peek_ordinal`].
    pub fn push(
        &mut self,
        delivery: Delivery,
        lsn: Option<Lsn>,
        attached: bool,
        room: Room,
    ) -> Pushed {
        let fits = self.fits(delivery.message.weight(), attached, room);
        self.owe(delivery, lsn, attached, fits)
    }

    /// The same when it was asked already whether a reference [fits](Self::fits).
    #[inline]
    pub(crate) fn owe(
        &mut self,
        mut delivery: Delivery,
        lsn: Option<Lsn>,
        attached: bool,
        room: bool,
    ) -> Pushed {
        if delivery.qos == 0 {
            if !room || !attached {
                return Pushed::Dropped;
            }
            self.keep(delivery);
            return Pushed::Kept;
        }
        let Some(lsn) = lsn else {
            if !room {
                return Pushed::Dropped;
            }
            delivery.ord = match &self.ledger {
                None => self.take_ordinal(),
                Some(_) => {
                    self.volatiles += 1;
                    self.volatiles | VOLATILE
                }
            };
            self.keep(delivery);
            return Pushed::Kept;
        };
        delivery.ord = self.take_ordinal();
        let ord = delivery.ord;
        if delivery.qos == 2 && attached {
            self.unsynced.get_or_insert_default().push_back((ord, lsn));
        }
        let waiting = self.waiting_bytes();
        if let Some(ledger) = &mut self.ledger {
            let before = if ledger.is_empty() { 0 } else { waiting };
            ledger.owe(ord, lsn);
            self.wait_for(before + delivery.message.weight());
        }
        if !attached || self.cursor < self.spilled {
            self.spilled = self.next;
            return Pushed::Spilled;
        }
        if room {
            self.cursor = self.next;
            self.spilled = self.next;
            self.keep(delivery);
            return Pushed::Kept;
        }
        self.spill();
        Pushed::Spilled
    }

    /// A reference of this weight may be held. Whoever is connected and holds nothing may hold
    /// one, however large: it is not the one that lags.
    #[must_use]
    #[inline]
    pub fn fits(&self, weight: usize, attached: bool, room: Room) -> bool {
        let nothing = self.live_bytes == 0 && attached;
        self.live.len() < room.len && (nothing || self.live_bytes + weight <= room.bytes)
    }

    /// Weight of what would be handed out next, as far as it is in memory.
    #[must_use]
    pub fn front_weight(&self) -> usize {
        self.fetched.front().or_else(|| self.live.front()).map_or(0, |d| d.message.weight())
    }

    fn take_ordinal(&mut self) -> u64 {
        let ord = self.next;
        self.next += 1;
        ord
    }

    #[inline]
    fn keep(&mut self, delivery: Delivery) {
        self.live_bytes += delivery.message.weight();
        self.live.push_back(delivery);
    }

    /// A message that many are owed is weighed once, and each of them has a reference to it: have
    /// those count too.
    #[inline]
    pub(crate) fn charge_refs(&mut self, meter: &Meter) {
        if self.live.capacity() > IDLE_MAX {
            self.refs.get_or_insert_with(|| Box::new(meter.charge(0)));
            self.recharge();
        }
    }

    fn recharge(&mut self) {
        let capacity = self.live.capacity();
        match &mut self.refs {
            Some(refs) if capacity > IDLE_MAX => refs.set(capacity * size_of::<Delivery>()),
            refs => *refs = None,
        }
    }

    /// Forget the references that the journal can give back.
    fn spill(&mut self) {
        let Some(ledger) = &self.ledger else { return };
        let first = self.live.iter().filter(|d| d.ord != 0 && ledger.holds(d.ord)).map(|d| d.ord);
        self.cursor = first.min().unwrap_or_else(|| self.next.saturating_sub(1));
        self.spilled = self.next;
        self.live.retain(|d| d.ord == 0 || !ledger.holds(d.ord));
        self.weigh();
    }

    fn weigh(&mut self) {
        let flying = self.flights.iter().filter_map(|f| f.volatile.as_ref());
        self.live_bytes = self.live.iter().chain(flying).map(|d| d.message.weight()).sum();
    }

    /// What to hand out now, with at most `inflight_max` unacknowledged.
    pub fn next(&mut self, inflight_max: usize) -> Next {
        if self.released.is_some() {
            return Next::Wait;
        }
        if let Some(front) = self.fetched.front() {
            if !self.may_fly(front.ord, inflight_max) {
                return Next::Wait;
            }
            return match self.fetched.pop_front() {
                Some(delivery) => self.hand_out(delivery),
                None => Next::Nothing,
            };
        }
        if let Some(read) = self.want() {
            return read;
        }
        match self.live.front() {
            None => {
                self.rest();
                Next::Nothing
            }
            Some(front) if front.ord != 0 && !self.may_fly(front.ord, inflight_max) => Next::Wait,
            Some(_) => match self.live.pop_front() {
                Some(delivery) => {
                    self.live_bytes -= delivery.message.weight();
                    self.hand_out(delivery)
                }
                None => Next::Nothing,
            },
        }
    }

    /// Is anything owed that may have to wait for the disk? Nearly never: asked before the rest is.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        self.unsynced.is_some()
    }

    /// Is what comes next of QoS 2 and not on the disk, which is synced up to there? To a returning
    /// reader the welcome has waited for it; what comes later waits here.
    pub fn waits_for_disk(&mut self, synced: Lsn) -> bool {
        let Some(unsynced) = &mut self.unsynced else { return false };
        while unsynced.front().is_some_and(|(_, lsn)| *lsn < synced) {
            unsynced.pop_front();
        }
        if unsynced.is_empty() {
            self.unsynced = None;
            return false;
        }
        let live = if self.cursor < self.spilled { None } else { self.live.front() };
        let next = self.fetched.front().or(live).filter(|d| d.qos == 2);
        next.is_some_and(|d| unsynced.binary_search_by_key(&d.ord, |(ord, _)| *ord).is_ok())
    }

    /// It waits for the disk from now on, or no longer; how it was before.
    pub fn hold_up(&mut self, waits: bool) -> bool {
        core::mem::replace(&mut self.held_up, waits)
    }

    /// Nothing is owed. A burst that is over must not keep the memory it took.
    fn rest(&mut self) {
        if self.live.capacity() > IDLE_MAX {
            self.live = VecDeque::new();
            self.refs = None;
        }
        if self.fetched.capacity() > IDLE_MAX {
            self.fetched.close();
        }
        if self.flights.is_empty() && self.flights.capacity() > IDLE_MAX {
            self.flights = VecDeque::new();
        }
    }

    fn may_fly(&self, ord: u64, inflight_max: usize) -> bool {
        let kin = |f: &&Flight| f.ord & VOLATILE == ord & VOLATILE;
        let first = self.flights.iter().find(kin).map_or(ord, |f| f.ord.min(ord));
        let last = self.flights.iter().rev().find(kin).map_or(ord, |f| f.ord.max(ord));
        (self.aloft as usize) < inflight_max && last - first < SPAN_MAX
    }

    /// The disk's turn? Skips ordinals that were settled or never durable.
    fn want(&mut self) -> Option<Next> {
        let run = self.next_run()?;
        if self.reading.as_ref().is_some_and(|it| it.asked.is_some()) {
            return Some(Next::Wait);
        }
        // Within a run, records lie in the order of their ordinals; across runs they need not.
        let hint = self.reading.as_ref().map_or_else(Hint::default, |it| it.hint);
        let same = hint.segment == run.segment && run.lo <= hint.hi && self.cursor <= hint.hi;
        let offset = if same { hint.offset.max(run.offset) } else { run.offset };
        let hi = run.hi.min(self.spilled - 1);
        Some(Next::Read(Want { segment: run.segment, offset, lo: self.cursor, hi }))
    }

    /// The run with the next ordinal that is owed, and the cursor on that ordinal. A settled one
    /// is passed over: the segment it was in may be gone.
    fn next_run(&mut self) -> Option<Run> {
        let ledger = self.ledger.as_deref()?;
        let mut at = self.cursor;
        while at < self.spilled {
            let Some(run) = ledger.run_at(at).copied() else { break };
            at = at.max(run.lo);
            while at <= run.hi && ledger.is_settled(at) {
                at += 1;
            }
            if at <= run.hi && at < self.spilled {
                self.cursor = at;
                return Some(run);
            }
        }
        self.cursor = self.spilled;
        None
    }

    fn hand_out(&mut self, mut delivery: Delivery) -> Next {
        if delivery.ord == 0 {
            return Next::Deliver(delivery);
        }
        if delivery.ord & VOLATILE == 0 {
            delivery.dup |= delivery.ord <= self.sent;
            self.sent = self.sent.max(delivery.ord);
        }
        let durable = self.ledger.as_ref().is_some_and(|l| l.holds(delivery.ord));
        let volatile = (!durable).then(|| delivery.clone());
        self.live_bytes += volatile.as_ref().map_or(0, |d| d.message.weight());
        let (ord, qos) = (delivery.ord, delivery.qos);
        let weight = if durable { delivery.message.weight() as u32 } else { 0 };
        self.fly(Flight { ord, weight, qos, settled: false, released: false, volatile });
        Next::Deliver(delivery)
    }

    fn fly(&mut self, flight: Flight) {
        // Volatile debts may fly after younger durable ones: keep the order by ordinal.
        if self.flights.back().is_none_or(|last| last.ord < flight.ord) {
            self.flights.push_back(flight);
        } else {
            let at = self.flights.partition_point(|f| f.ord < flight.ord);
            self.flights.insert(at, flight);
        }
        self.aloft += 1;
    }

    /// The first delivery that was released before this connection, to be released again.
    pub fn next_released(&mut self) -> Option<u64> {
        let released = self.released.as_mut()?;
        let ord = released.pop_front();
        if released.is_empty() {
            self.released = None;
        }
        let ord = ord?;
        self.fly(Flight { ord, weight: 0, qos: 2, settled: false, released: true, volatile: None });
        Some(ord)
    }

    /// What the journal says was released.
    pub fn restore_released(&mut self, ords: impl Iterator<Item = u64>) {
        let mut all: VecDeque<u64> = self.released.take().map(|all| *all).unwrap_or_default();
        all.extend(ords);
        all.make_contiguous().sort_unstable();
        self.released = (!all.is_empty()).then(|| Box::new(all));
    }

    /// Every ordinal whose exchange has not ended though its reader received it.
    pub fn released(&self) -> impl Iterator<Item = u64> + '_ {
        let flying = self.flights.iter().filter(|f| f.released && !f.settled).map(|f| f.ord);
        self.released.iter().flat_map(|all| all.iter().copied()).chain(flying)
    }

    /// A read was sent off under this token.
    pub fn asked(&mut self, token: u64) {
        self.reading.get_or_insert_default().asked = Some(token);
    }

    /// Is this the read that is being waited for?
    #[must_use]
    pub fn awaits(&self, token: u64) -> bool {
        self.reading.as_ref().is_some_and(|it| it.asked == Some(token))
    }

    /// What was read ahead and not handed out.
    #[must_use]
    pub fn fetched_len(&self) -> usize {
        self.fetched.len()
    }

    /// A read came back; `items` ascend. Returns how many of them are to be handed out.
    pub fn on_read(&mut self, items: impl Iterator<Item = Delivery>, hint: Hint) -> usize {
        **self.reading.get_or_insert_default() = Reading { asked: None, hint };
        let before = self.fetched.len();
        for item in items {
            let settled = self.ledger.as_ref().is_none_or(|l| l.is_settled(item.ord));
            if item.ord >= self.cursor && item.ord < self.spilled {
                self.cursor = item.ord + 1;
                if !settled {
                    self.fetched.open().push_back(item);
                }
            }
        }
        self.fetched.len() - before
    }

    /// The journal could not give back what it owes: go on behind `hi`.
    pub fn skip_to(&mut self, hi: u64) {
        self.cursor = self.cursor.max(hi.saturating_add(1));
    }

    /// First ordinal that still has to come from disk, if any has to.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The reader acknowledged `id`. Says which ordinal that settles, if it is in flight, and gives
    /// back what was kept to be sent again.
    pub fn settle(&mut self, id: u16) -> Option<(u64, Option<Delivery>)> {
        let ord = self.ord_of(id)?;
        Some((ord, self.land(ord)?))
    }

    /// The same for a delivery of QoS 1, and nothing for any other.
    pub fn settle_plain(&mut self, id: u16) -> Option<(u64, Option<Delivery>)> {
        let ord = self.ord_of(id)?;
        let at = self.flight_of(ord)?;
        self.flights.get(at).filter(|f| f.qos == 1)?;
        Some((ord, self.land_at(at)?))
    }

    /// Where this ordinal flies. Readers acknowledge in order, so it is nearly always the first.
    fn flight_of(&self, ord: u64) -> Option<usize> {
        match self.flights.front() {
            Some(first) if first.ord == ord => Some(0),
            _ => self.flights.binary_search_by_key(&ord, |f| f.ord).ok(),
        }
    }

    /// The ordinal that has this id in flight, if one has.
    fn ord_of(&self, id: u16) -> Option<u64> {
        let volatile = u64::from(id) > IDS;
        let (kind, ids) = if volatile { (VOLATILE, VOLATILE_IDS) } else { (0, IDS) };
        let at = if volatile { self.flights.partition_point(|f| f.ord < kind) } else { 0 };
        let first = self.flights.get(at)?.ord;
        Some(first + (u64::from(id) + ids - u64::from(id_of(first))) % ids)
    }

    /// What flies under this id: its ordinal, its quality, and whether it was released.
    #[must_use]
    pub fn flying(&self, id: u16) -> Option<(u64, u8, bool)> {
        let ord = self.ord_of(id)?;
        let at = self.flight_of(ord)?;
        let flight = self.flights.get(at).filter(|f| !f.settled)?;
        Some((ord, flight.qos, flight.released))
    }

    /// The reader received it; only the end of the exchange is still to come.
    pub fn release(&mut self, ord: u64) {
        let Some(at) = self.flight_of(ord) else { return };
        let Some(flight) = self.flights.get_mut(at) else { return };
        flight.released = true;
        let weight = core::mem::take(&mut flight.weight) as usize;
        self.live_bytes -= flight.volatile.take().map_or(0, |d| d.message.weight());
        self.wait_for(self.waiting_bytes().saturating_sub(weight));
    }

    /// Settle an ordinal in flight; false when it is not, or was settled before.
    pub fn settle_ord(&mut self, ord: u64) -> bool {
        self.land(ord).is_some()
    }

    fn land(&mut self, ord: u64) -> Option<Option<Delivery>> {
        self.land_at(self.flight_of(ord)?)
    }

    fn land_at(&mut self, at: usize) -> Option<Option<Delivery>> {
        let flight = self.flights.get_mut(at).filter(|f| !f.settled)?;
        flight.settled = true;
        self.aloft -= 1;
        let weight = flight.weight as usize;
        let kept = flight.volatile.take();
        self.live_bytes -= kept.as_ref().map_or(0, |d| d.message.weight());
        self.wait_for(self.waiting_bytes().saturating_sub(weight));
        while self.flights.front().is_some_and(|f| f.settled) {
            self.flights.pop_front();
        }
        Some(kept)
    }

    /// Handed to the present connection and not settled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.aloft as usize
    }

    /// The connection is gone: what flew is owed again, references are let go.
    pub fn ground(&mut self) {
        self.reading = None;
        self.fetched.close();
        let flown = core::mem::take(&mut self.flights);
        self.aloft = 0;
        self.restore_released(flown.iter().filter(|f| f.released && !f.settled).map(|f| f.ord));
        let again = |f: Flight| f.volatile.map(|d| Delivery { dup: true, timed: false, ..d });
        let mut live: VecDeque<Delivery> = flown.into_iter().filter_map(again).collect();
        let ledger = self.ledger.as_deref();
        let holds = |ord: u64| ledger.is_some_and(|l| l.holds(ord));
        let waiting = self.live.drain(..).filter(|d| d.ord != 0 && !holds(d.ord));
        live.extend(waiting.map(|d| Delivery { timed: false, ..d }));
        live.shrink_to_fit();
        self.live = live;
        self.cursor = ledger.map_or(self.next, |l| l.floor() + 1);
        self.spilled = self.next;
        self.recharge();
        self.weigh();
    }

    /// Its reader is gone for good: what it was chosen for, as far as memory has it, and another
    /// may be told. An exchange of QoS 2 that began is not begun with anybody else.
    pub fn take_shared(&mut self) -> Vec<Delivery> {
        self.aloft = 0;
        let flown = core::mem::take(&mut self.flights).into_iter().filter_map(|f| f.volatile);
        let flown = flown.filter(|d| d.qos == 1);
        let fetched = core::mem::take(self.fetched.open());
        let waiting = fetched.into_iter().chain(self.live.drain(..));
        let waiting = waiting.filter(|d| d.qos == 1 || (d.qos == 2 && !d.dup));
        flown.chain(waiting).filter(|d| d.shared).collect()
    }

    /// Owed and not settled, in memory and on disk; what is in flight included.
    #[must_use]
    pub fn owed(&self) -> u64 {
        let ledger = self.ledger.as_deref();
        let holds = |ord: u64| ledger.is_some_and(|l| l.holds(ord));
        let live = self.live.iter().filter(|d| !holds(d.ord)).count();
        let flying = self.flights.iter().filter(|f| f.volatile.is_some()).count();
        ledger.map_or(0, Ledger::len) + (live + flying) as u64 + self.released().count() as u64
    }

    /// Durable debts: how many, and what they weigh. What is left from before a restart is
    /// counted, not weighed.
    #[must_use]
    pub fn waiting(&self) -> (u64, usize) {
        match self.ledger.as_deref() {
            Some(ledger) if !ledger.is_empty() => (ledger.len(), self.waiting_bytes()),
            _ => (0, 0),
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes())
    }

    fn wait_for(&mut self, bytes: usize) {
        if let Some(waiting) = &mut self.waiting {
            waiting.set(bytes);
        }
    }

    /// Owed and not handed out, without looking at each: exact where all of it is durable, or
    /// none is.
    #[must_use]
    pub fn queued(&self) -> u64 {
        let durable = self.ledger.as_deref().map_or(0, Ledger::len);
        durable.saturating_sub(u64::from(self.aloft)).max(self.held() as u64)
    }

    /// References held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.live.len() + self.fetched.len()
    }

    /// Heap bytes of the queues themselves, for the bench of idle connections.
    #[must_use]
    pub fn heap(&self) -> usize {
        (self.live.capacity() + self.fetched.capacity()) * size_of::<Delivery>()
            + self.flights.capacity() * size_of::<Flight>()
            + self.released.as_ref().map_or(0, |all| all.capacity() * size_of::<u64>())
            + self.unsynced.as_ref().map_or(0, |all| all.capacity() * size_of::<(u64, Lsn)>())
            + self.ledger.as_ref().map_or(0, |l| size_of::<Ledger>() + l.heap())
    }
}
