//! Floor 2. The protocol-neutral middle: topics, sessions, what each is owed, and what is kept.
//!
//! Reading order: `message`, `outbox`, `session`, `realm`, then the verbs: `registry` (attach,
//! detach), `subscribe`, `group` (turns), `fanout` (publish), `backlog` (next, settle, read back),
//! `ladder` (QoS 2), `will`, `retained`, `queue`, and what the journal needs: `recover`, `compact`,
//! `numbered` (realms on record) and `lasting` (histories on record). `calls` asks one on behalf of
//! another, and stands by itself; `parties` and `interests` are who is there and who listens, by
//! number; `post` is the way between them, by `inquiries` the router asks by itself, and `polls` is
//! what sessions without a socket wait with; `cookies` know whom browsers came as; `audience` says
//! for whom a publication is, and `history` remembers some of them. `made` has realms for whoever
//! comes. `policy` has the two traits that others implement, and `riddle` what a login by one
//! challenge is made of; `timings` and `sys` are what the hub knows about itself. Nothing here
//! encodes, reads a clock or touches the world: time comes in as an argument, disk work goes out as
//! jobs. Absent on purpose: any wire format.

pub mod admin;
pub mod ages;
pub mod audience;
pub mod backlog;
pub mod bans;
pub mod calls;
pub mod compact;
pub mod cookies;
pub(crate) mod durables;
pub mod edition;
pub mod effort;
pub mod fanout;
pub mod flush;
pub mod gate;
pub mod group;
pub mod growth;
pub mod history;
pub mod identity;
pub mod inline;
pub mod inquiries;
pub mod interests;
pub mod kept;
pub mod ladder;
pub mod lasting;
mod limited;
pub mod made;
mod memo;
pub mod message;
pub mod names;
pub mod numbered;
pub mod outbox;
pub mod parties;
pub mod policy;
pub mod polls;
pub mod post;
pub mod queue;
pub mod realm;
pub mod recover;
pub mod registry;
pub mod relay;
pub mod retained;
pub mod riddle;
pub mod session;
pub mod subscribe;
pub mod sys;
pub mod timings;
pub mod unspelled;
pub mod watch;
pub mod will;
pub mod written;

#[cfg(test)]
mod audience_test;
#[cfg(test)]
mod bench_test;
#[cfg(test)]
mod bounds_test;
#[cfg(test)]
mod history_test;
#[cfg(test)]
mod hub_test;
#[cfg(test)]
mod inquiries_test;
#[cfg(test)]
mod interests_test;
#[cfg(test)]
mod ladder_test;
#[cfg(test)]
mod lasting_test;
#[cfg(test)]
mod made_test;
#[cfg(test)]
mod numbered_test;
#[cfg(test)]
mod outbox_test;
#[cfg(test)]
mod parties_test;
#[cfg(test)]
mod policy_test;
#[cfg(test)]
mod post_test;
#[cfg(test)]
mod registry_test;
#[cfg(test)]
mod retained_test;
#[cfg(test)]
mod sys_test;
#[cfg(test)]
mod timings_test;
#[cfg(test)]
mod will_test;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{ConnId, Lsn, OwnerNo, RealmId, SessionId};
use crate::base::limits::Limits;
use crate::base::map::{Map, Seed};
use crate::base::slab::Slab;
use crate::base::stats::{Counter, Stats};
use crate::base::tail::Tails;
use crate::base::time::{Deadline, Now};
use crate::journal::record::Record;
use crate::journal::{AppendError, Class, Journal, Spot};
use crate::topic::LeafId;

use ages::Ages;
use fanout::Target;
use growth::Growth;
use message::{Charge, Durability, Meter, Spares};
use outbox::{Room, Want};
use policy::{Event, Observer, Policy};
use realm::Realm;
use session::Session;
use watch::Watch;

/// Reads of the journal that may be under way at once.
const READS_MAX: usize = 64;

/// Makes the lots of calls others than the keys of maps.
const CALLS: u64 = 0x63_61_6c_6c_73;

/// What a session may hold when memory is short.
const LEAN_BYTES: usize = 64 << 10;
/// Room for what goes with the messages of a turn, a few hundred of them.
const HEADS: usize = 4 << 10;

/// Why a verb could not be carried out now, or at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// The journal has no room; try again when it has.
    Full,
    /// Messages use all the memory they may; try again when they use less.
    Memory,
    /// This turn has no more time for it; try again in the next.
    Turn,
    /// The disk failed: nothing durable is promised any more.
    Failed,
    /// It will never fit.
    TooLarge,
}

impl Held {
    /// Waiting helps.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Full | Self::Memory | Self::Turn)
    }
}

/// What a verb's acknowledgement waits for, and whom it reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The journal must be synced up to here.
    pub after: Lsn,
    /// Readers that were owed the message.
    pub matched: u32,
}

/// Whose read of the journal it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// A session's backlog, and where its segment ended when it was asked for.
    Session(SessionId, Want, u32),
    /// A queue's items, and likewise.
    Queue(RealmId, Bytes, Want, u32),
    /// Retained payloads for a session.
    Replay(SessionId),
    /// A kept value for whoever administers.
    Asked(ConnId),
}

/// Whom the journal owes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// A session.
    Session(SessionId),
    /// A queue.
    Queue(RealmId, Bytes),
}

/// Everything the protocols share.
pub struct Hub {
    /// Every bound.
    pub limits: Limits,
    /// What was counted.
    pub stats: Stats,
    /// How long things took.
    pub timings: timings::Timings,
    /// Decides.
    pub policy: Box<dyn Policy>,
    /// Watches.
    pub observer: Watch,
    /// Decides who may administer.
    pub gate: Box<dyn gate::Gate>,
    /// The configuration in force, as whoever runs the machine tells it: JSON, or nothing.
    pub config: Bytes,
    /// Whoever has the last lines of the log, as whoever runs the machine tells it.
    pub tails: Option<Box<dyn Tails>>,
    /// Those who watch live events.
    pub viewers: usize,
    /// Connections whose bytes go to other connections.
    pub relays: relay::Relays,
    /// Who can call and be called.
    pub parties: parties::Parties,
    /// Subscriptions that have a number.
    pub interests: interests::Interests,
    /// What was said and reads the same for the next.
    pub written: written::Written,
    /// Procedures, and calls on their way.
    pub calls: calls::Calls,
    /// Sessions that are spoken to by requests.
    pub polls: polls::Polls,
    /// What the router itself asks.
    pub inquiries: inquiries::Inquiries,
    /// Connections that do not fetch what they asked for.
    pub(crate) overrun: Vec<ConnId>,
    /// Memory that is used again.
    room: post::Room,
    /// For whom the publication at hand is, if not for all.
    audience: Option<audience::Audience>,
    /// What is remembered, of all realms.
    pasts: history::Pasts,
    /// Whom alone the publication at hand is for.
    addressee: Option<SessionId>,
    pub(crate) bans: bans::Bans,
    /// Kept values that were read for whoever asked.
    pub(crate) picked: Vec<(ConnId, Option<Arc<message::Message>>)>,
    pub(crate) sessions: Slab<SessionId, Session>,
    pub(crate) realms: Vec<Realm>,
    pub(crate) numbers: numbered::Numbers,
    pub(crate) journal: Option<Journal>,
    pub(crate) owners: Map<OwnerNo, Owner>,
    pub(crate) next_owner: u32,
    pub(crate) meter: Meter,
    pub(crate) stored: Meter,
    /// Of that, kept values in their places, altogether.
    pub(crate) kept: Charge,
    /// Of durable debts, in memory or not.
    pub(crate) waiting: Meter,
    pub(crate) ages: Ages,
    /// How fast the journal grows; whoever drives the machine looks now and then.
    pub growth: Growth,
    /// Of this turn, for filters.
    pub(crate) effort: effort::Effort,
    pub(crate) flush: flush::Flush,
    pub(crate) spares: Spares,
    pub(crate) awake: Vec<ConnId>,
    pub(crate) unrecorded: Vec<SessionId>,
    pub(crate) unmarked: VecDeque<SessionId>,
    pub(crate) unrecorded_queues: Vec<(RealmId, Bytes)>,
    pub(crate) reads: backlog::Reads,
    pub(crate) hungry: VecDeque<SessionId>,
    /// Sessions whose next delivery waits for the disk.
    pub(crate) held_up: Vec<SessionId>,
    pub(crate) draining: VecDeque<(RealmId, Bytes)>,
    pub(crate) timers: Vec<(Deadline, SessionId)>,
    /// Whose will is said next; each as often as it has one that is due.
    pub(crate) wills: VecDeque<SessionId>,
    /// Sessions that may outlive their connection.
    pub(crate) durables: durables::Durables,
    /// Subscriptions of all sessions, and memberships of groups.
    pub(crate) listening: subscribe::Listening,
    /// Kept values that expire: the tree is swept while there are some.
    pub(crate) fading: usize,
    pub(crate) sweep: retained::Sweep,
    told: limited::Told,
    sys: sys::Sys,
    publish_no: u64,
    /// Some reader of the publication at hand will hold it beyond the turn.
    apart: bool,
    matches: Vec<LeafId>,
    memo: memo::Memo,
    targets: Vec<Target>,
    chosen: Vec<(realm::Member, u32)>,
    pub(crate) unspelled: Vec<unspelled::Unspelled>,
    /// Readers that get no more; `true`: because of bytes.
    overfull: Vec<(SessionId, bool)>,
    scratch: Vec<u8>,
}

/// What a hub is made of.
pub struct Parts {
    /// Every bound.
    pub limits: Limits,
    /// Keys the maps.
    pub seed: u64,
    /// The namespaces, by name; the first is the default.
    pub realms: Vec<String>,
    /// Decides.
    pub policy: Box<dyn Policy>,
    /// Watches.
    pub observer: Box<dyn Observer>,
}

impl Hub {
    /// An empty hub without a journal: nothing in it outlives the process.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (seed, meter) = (Seed::with_seed(parts.seed), Meter::default());
        let (stored, (realms, numbers)) = (meter.part(), numbered::realms(&parts.realms, &seed));
        Self {
            calls: calls::Calls::new(calls::CallLimits::of(&parts.limits), parts.seed ^ CALLS),
            limits: parts.limits,
            stats: Stats::default(),
            timings: timings::Timings::default(),
            policy: parts.policy,
            observer: Watch::new(parts.observer, seed.clone()),
            gate: Box::new(gate::Shut),
            config: Bytes::new(),
            tails: None,
            viewers: 0,
            relays: relay::Relays::default(),
            parties: parties::Parties::new(parts.seed),
            interests: interests::Interests::new(parts.seed),
            polls: polls::Polls::new(parts.seed),
            written: written::Written::default(),
            inquiries: inquiries::Inquiries::new(seed.clone()),
            overrun: Vec::new(),
            room: post::Room::default(),
            audience: None,
            pasts: history::Pasts::default(),
            addressee: None,
            bans: bans::Bans::default(),
            picked: Vec::new(),
            sessions: Slab::default(),
            realms,
            numbers,
            journal: None,
            owners: Map::with_hasher(seed.clone()),
            next_owner: 1,
            kept: stored.charge(0),
            stored,
            waiting: Meter::default(),
            ages: Ages::default(),
            growth: Growth::default(),
            meter,
            effort: effort::Effort::default(),
            flush: flush::Flush::default(),
            spares: Spares::default(),
            awake: Vec::new(),
            unrecorded: Vec::new(),
            unmarked: VecDeque::new(),
            unrecorded_queues: Vec::new(),
            reads: backlog::Reads::new(seed.clone()),
            hungry: VecDeque::new(),
            held_up: Vec::new(),
            draining: VecDeque::new(),
            timers: Vec::new(),
            wills: VecDeque::new(),
            durables: durables::Durables::default(),
            listening: subscribe::Listening::default(),
            fading: 0,
            sweep: retained::Sweep::default(),
            told: limited::Told::new(seed.clone()),
            sys: sys::Sys::default(),
            publish_no: 0,
            apart: false,
            matches: Vec::new(),
            memo: memo::Memo::new(seed),
            targets: Vec::new(),
            chosen: Vec::new(),
            overfull: Vec::new(),
            unspelled: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// A few bytes that go with a message. They share their memory with those of the messages
    /// before and after, and that is used again when none of them is left: whatever outlives its
    /// turn is copied.
    pub fn aside(&mut self, first: &[u8], rest: &[u8]) -> Bytes {
        let len = first.len() + rest.len();
        if self.room.heads.capacity() < len {
            // What is used again is never more than was asked for here.
            self.room.heads.reserve(len.max(HEADS));
        }
        self.room.heads.extend_from_slice(first);
        self.room.heads.extend_from_slice(rest);
        self.room.heads.split().freeze()
    }

    /// Memory to write in, empty; and the rest of the hub beside it.
    pub fn with_scratch<T>(&mut self, f: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        let done = f(self, &mut scratch);
        scratch.shrink_to(1 << 16);
        self.scratch = scratch;
        done
    }

    /// A session, if it still is one.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().map(|(_, s)| s)
    }

    /// How many sessions there are, connected or not.
    #[must_use]
    pub fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them may outlive their connection.
    #[must_use]
    pub fn durables(&self) -> usize {
        self.durables.len()
    }

    /// What those take together, about, without what they listen to and are owed.
    #[must_use]
    pub fn durables_bytes(&self) -> usize {
        self.durables.bytes()
    }

    /// A namespace.
    #[must_use]
    pub fn realm(&self, id: RealmId) -> Option<&Realm> {
        self.realms.get(usize::from(id.0))
    }

    /// The same, to be changed.
    pub fn realm_mut(&mut self, id: RealmId) -> Option<&mut Realm> {
        self.realms.get_mut(usize::from(id.0))
    }

    /// Is whoever comes asked who they are? Else their place on the network lets them in.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        self.policy.recall(&Bytes::new()).is_none()
    }

    /// What so many bytes weigh that last as long as a session.
    #[must_use]
    pub fn weigh(&self, bytes: usize) -> Charge {
        self.meter.charge(bytes)
    }

    /// What so many bytes weigh that nobody is bound to take soon; none: there is no room.
    #[must_use]
    pub fn store(&self, bytes: usize) -> Option<Charge> {
        (!self.storage_is_short() && !self.memory_is_short()).then(|| self.stored.charge(bytes))
    }

    /// The namespace of this name, if it is open.
    #[must_use]
    pub fn realm_named(&self, name: &str) -> Option<RealmId> {
        let open = |realm: &Realm| realm.name == name && !realm.shut && !name.is_empty();
        let at = self.realms.iter().position(open)?;
        Some(RealmId(at as u16))
    }

    /// The journal, when there is one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Everything up to here is on the device.
    #[must_use]
    pub fn synced(&self) -> Lsn {
        self.journal.as_ref().map_or(Lsn(u64::MAX), Journal::synced)
    }

    /// Bytes of messages held in memory.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.meter.used().saturating_sub(self.spares.weight())
    }

    /// Of those, bytes that nobody is bound to take soon: kept values, and items of queues.
    #[must_use]
    pub fn memory_stored(&self) -> usize {
        self.stored.used()
    }

    /// Bytes that sessions and queues are durably owed; a message counts for each of them. What was
    /// owed before this start of the broker is not weighed.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.waiting.used()
    }

    /// Since when the oldest message in the journal waits at most for somebody, in milliseconds
    /// since 1970.
    #[must_use]
    pub fn oldest_owed(&self) -> Option<u64> {
        self.ages.oldest()
    }

    /// Look at how large the journal is now.
    pub fn watch_growth(&mut self, now: Now) {
        let Some(journal) = &self.journal else { return };
        let segment = u64::from(self.limits.segment_bytes);
        let whole = (journal.tally().segments as u64).saturating_sub(1) * segment;
        let tail = u64::from(Journal::offset_of(journal.tail()));
        self.growth.look(now, whole + tail, segment);
    }

    /// Must publishers wait until readers have caught up?
    #[must_use]
    pub fn memory_is_short(&self) -> bool {
        self.memory_used() > self.mark(self.limits.memory_high_percent)
    }

    /// A watermark of the memory, in bytes.
    pub(crate) fn mark(&self, percent: u8) -> usize {
        self.limits.memory_bytes_max / 100 * usize::from(percent)
    }

    /// Connections whose sessions have something to say; each is named once until it was heard.
    pub fn poll_awake(&mut self) -> Option<ConnId> {
        self.awake.pop()
    }

    /// Sessions that wait for a deadline: arm it.
    pub fn poll_timer(&mut self) -> Option<(Deadline, SessionId)> {
        self.timers.pop()
    }

    /// The session's connection has something to say.
    pub(crate) fn wake(&mut self, id: SessionId) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        if let (Some(conn), false) = (s.conn, s.marked) {
            s.marked = true;
            self.awake.push(conn);
        }
    }

    /// This connection, which has no session, has something to say.
    pub(crate) fn wake_conn(&mut self, conn: ConnId) {
        self.awake.push(conn);
    }

    /// The connection is being heard; it may be named again.
    pub fn heard(&mut self, id: SessionId) {
        if let Some(s) = self.sessions.get_mut(id) {
            s.marked = false;
        }
    }

    /// Its turn to be heard is over, or its socket takes nothing (`blocked`): what is still held
    /// for it is held for longer.
    pub(crate) fn note_lag(&mut self, id: SessionId, blocked: bool) {
        if let Some(s) = self.sessions.get_mut(id) {
            let mail = !self.parties.is_empty() && self.parties.has_mail(id);
            s.lagging = blocked || s.outbox.held() > 0 || mail;
            if mail {
                self.parties.set_apart(id);
            }
        }
    }

    /// How far the journal is. What is on the disk already waits for nothing, whenever that was.
    pub(crate) fn note_tail(&mut self, now: Now) {
        if let Some(journal) = self.journal.as_ref().filter(|j| !j.is_settled()) {
            self.timings.on_tail(now, journal.tail());
        }
    }

    /// What one session may hold in memory. When memory runs out, those who lag are cut short
    /// first: what is durable stays on disk, the rest is dropped, and publishers need not wait.
    pub(crate) fn session_room(&self) -> Room {
        let used = self.memory_used();
        let (low, high) = (self.limits.memory_low_percent, self.limits.memory_high_percent);
        if used <= self.mark(low.min(high)) {
            let Limits { outbox_len_max: len, outbox_bytes_max: bytes, .. } = self.limits;
            return Room { len, bytes };
        }
        let bytes = match self.limits.outbox_bytes_max {
            // The last stretch below the bound is for those who hold nothing yet.
            _ if used > self.mark(low.midpoint(high)) => 0,
            bytes if used > self.mark(low) => bytes.min(LEAN_BYTES),
            bytes => bytes,
        };
        Room { len: self.limits.outbox_len_max, bytes }
    }

    /// What nobody is bound to take soon (kept values, items of queues) may use half of the
    /// memory: publishers wait only for what readers give back by reading.
    pub(crate) fn storage_is_short(&self) -> bool {
        self.stored.used() > self.limits.memory_bytes_max / 2
    }

    /// Append, counting it; `None` without a journal.
    pub(crate) fn append(&mut self, class: Class, record: &Record) -> Result<Option<Spot>, Held> {
        let Some(journal) = &mut self.journal else { return Ok(None) };
        let spot = journal.append(class, record).map_err(held)?;
        self.stats.count(Counter::JournalRecords);
        self.stats.add(Counter::JournalBytes, u64::from(spot.len));
        Ok(Some(spot))
    }

    /// The end of a turn: one cumulative record for whatever was settled in it.
    pub fn commit(&mut self) {
        self.spares.on_turn_over();
        self.write_marks();
        let mut left = Vec::new();
        while let Some(id) = self.unrecorded.pop() {
            let Some(s) = self.sessions.get_mut(id) else { continue };
            s.settled = false;
            let Some(record) = s.owner.and_then(|no| settle_record(no, &s.outbox)) else {
                continue;
            };
            if self.append(Class::Relief, &record).is_err() {
                // Not recorded: a crash now costs a duplicate, marked as one, and nothing else.
                left.push(id);
            }
        }
        for id in left {
            self.note_settled(id);
        }
        self.care_for_journal();
        while let Some((realm, address)) = self.unrecorded_queues.pop() {
            let queue = self.realms.get(usize::from(realm.0)).and_then(|r| r.queues.get(&address));
            let record = queue.and_then(|q| settle_record(q.owner?, &q.outbox));
            if let Some(record) = record {
                let _ = self.append(Class::Relief, &record);
            }
        }
    }

    pub(crate) fn note_settled(&mut self, id: SessionId) {
        if let Some(s) = self.sessions.get_mut(id)
            && !s.settled
        {
            s.settled = true;
            self.unrecorded.push(id);
        }
    }

    /// Something about the disk that an observer should know.
    pub(crate) fn tell_storage(&mut self, now: Now, state: &'static str, text: &str) {
        self.observer.see(now, &Event::Storage { state, text });
    }

    pub(crate) fn own(&mut self, segment: u32, refs: u64) {
        if let Some(journal) = &mut self.journal {
            journal.own(segment, refs);
        }
    }

    /// Debts that stand in this segment are owed no more.
    pub(crate) fn paid(&mut self, segment: u32, debts: u64) {
        self.ages.settle(segment, debts);
        self.disown(segment, debts);
    }

    pub(crate) fn disown(&mut self, segment: u32, refs: u64) {
        if let Some(journal) = &mut self.journal {
            journal.disown(segment, refs);
        }
    }

    pub(crate) fn new_owner(&mut self) -> OwnerNo {
        let no = OwnerNo(self.next_owner);
        self.next_owner += 1;
        no
    }
}

/// The journal's refusal in the hub's words.
pub(crate) fn held(why: AppendError) -> Held {
    match why {
        AppendError::NoRoom => Held::Full,
        AppendError::TooLarge => Held::TooLarge,
        AppendError::Failed => Held::Failed,
    }
}

fn settle_record(owner: OwnerNo, outbox: &outbox::Outbox) -> Option<Record> {
    let ledger = outbox.ledger.as_ref()?;
    Some(Record::Settle {
        owner,
        floor: ledger.floor(),
        extras: ledger.extras().collect(),
        released: outbox.released().filter(|ord| ord & message::VOLATILE == 0).collect(),
    })
}

/// What an acknowledgement at `level` waits for, given where the record ends.
pub(crate) fn after(level: Durability, spot: Option<Spot>) -> Lsn {
    match (level, spot) {
        (Durability::Disk, Some(spot)) => spot.end,
        // Nothing but this process has it, until the disk answers again.
        (Durability::Os, Some(spot)) if spot.held => spot.end,
        _ => Lsn::START,
    }
}
