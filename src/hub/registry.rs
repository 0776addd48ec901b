//! Floor 2. Who is here: attach, take over, detach, forget.
//!
//! A durable session is found by its name and waits for its owner when the connection ends; any
//! other dies with its connection. These verbs return facts (`present`, `yielding`); what to say
//! about them is each protocol's business. Absent on purpose: sockets, reason codes.

use std::sync::Arc;

use core::mem::swap;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{ConnId, Lsn, OwnerNo, RealmId, SessionId};
use crate::base::seldom::Seldom;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, Now};
use crate::base::words::Tongue;
use crate::journal::record::{OwnerRecord, Record};
use crate::journal::{Class, Journal, Spot, State};

use super::durables::weight;
use super::identity::Identity;
use super::message::{Charge, Durability};
use super::outbox::Outbox;
use super::policy::{Access, Principal};
use super::session::{Extra, Homes, Kind, Session, Will};
use super::{Held, Hub, Owner, after};

/// How much of an earlier life to forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fresh {
    /// Nothing.
    No,
    /// What is owed; subscriptions stay (PRX1's clean start).
    Debts,
    /// Everything.
    All,
}

/// What a connection asks for when it logs in.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Whose names its name is one of.
    pub kind: Kind,
    /// What it speaks.
    pub tongue: Tongue,
    /// The namespace.
    pub realm: RealmId,
    /// The name to be found by; empty: none.
    pub name: Bytes,
    /// Who it acts for.
    pub principal: Arc<Principal>,
    /// The connection.
    pub conn: ConnId,
    /// It shall outlive the connection.
    pub durable: bool,
    /// How much to forget.
    pub fresh: Fresh,
    /// What acknowledgements wait for.
    pub level: Durability,
    /// Most unacknowledged deliveries.
    pub inflight_max: usize,
    /// How long it waits for its owner to return, in seconds; `u64::MAX`: for ever.
    pub expiry_s: u64,
    /// Nobody else may have the name meanwhile, also when it is not durable.
    pub unique: bool,
    /// To be published when the connection is lost.
    pub will: Option<Will>,
}

/// Why somebody gets no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSession {
    /// There is no room for it now, or never will be.
    Held(Held),
    /// The one of this name is another user's.
    Anothers,
}

impl From<Held> for NoSession {
    fn from(why: Held) -> Self {
        Self::Held(why)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    /// With a goodbye: the will is void.
    Quiet,
    /// Without one.
    Lost,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// The session.
    pub session: SessionId,
    /// It existed before.
    pub present: bool,
    /// Deliveries up to this ordinal were owed before this connection came.
    pub resumed: u64,
    /// The welcome waits for this.
    pub after: Lsn,
    /// The connection that must go.
    pub yielding: Option<ConnId>,
}

impl Hub {
    /// Find or make the session and connect it. Another user's is left alone, with whoever is
    /// connected to it.
    pub fn attach(&mut self, now: Now, a: Attach) -> Result<Attached, NoSession> {
        let found = self.named(a.realm, a.kind, &a.name);
        if found.is_some_and(|id| self.is_anothers(id, &a.principal)) {
            return Err(NoSession::Anothers);
        }
        if a.will.is_some() && self.storage_is_short() {
            return Err(Held::Memory.into());
        }
        let durable = a.durable && !a.name.is_empty();
        // What nobody owns any more is not handed over.
        let other = |id| {
            self.sessions.get(id).is_some_and(|s| {
                !s.durable || (a.kind == Kind::Mqtt && s.principal().user != a.principal.user)
            })
        };
        match found {
            Some(id) if a.fresh == Fresh::All || !durable || other(id) => {
                let yielding = self.sessions.get(id).and_then(|s| s.conn);
                let mut made = self.begin(now, a, durable, Some(id))?;
                made.yielding = yielding;
                Ok(made)
            }
            Some(id) => Ok(self.resume(now, id, a)?),
            None => Ok(self.begin(now, a, durable, None)?),
        }
    }

    /// Does it belong to another user, who could come back to it? Who gave no name owns nothing by
    /// one, and who is no user any more does not come back: what they left is in nobody's way. A
    /// name in PRX1 is the user's own, and an embedder's names are all its own.
    fn is_anothers(&self, id: SessionId, who: &Principal) -> bool {
        self.sessions.get(id).is_some_and(|s| {
            let owner = &s.principal().user;
            let other = s.kind == Kind::Mqtt && !owner.is_empty() && *owner != who.user;
            other && self.policy.recall(owner).is_some()
        })
    }

    /// The session of this name.
    #[must_use]
    pub fn named(&self, realm: RealmId, kind: Kind, name: &[u8]) -> Option<SessionId> {
        let is = |id| self.sessions.get(id).is_some_and(|s| s.kind == kind && s.name() == name);
        self.realm(realm)?.names.find(kind, name, is)
    }

    /// From now on its name leads to it.
    pub(super) fn give_name(&mut self, id: SessionId) {
        let Some(s) = self.sessions.get(id) else { return };
        let (kind, name) = (s.kind, s.name());
        let is = |id| self.sessions.get(id).is_some_and(|s| s.kind == kind && s.name() == name);
        if let Some(r) = self.realms.get_mut(usize::from(s.realm.0)) {
            r.names.give(kind, name, id, is);
        }
    }

    /// A session nobody had before; `instead` of another of the same name.
    fn begin(
        &mut self,
        now: Now,
        a: Attach,
        durable: bool,
        instead: Option<SessionId>,
    ) -> Result<Attached, Held> {
        // Whoever begins anew has the place of what was before.
        let old = instead.and_then(|old| self.sessions.get(old));
        let in_place = old.is_some_and(|old| old.durable && !old.ended);
        let full = self.durables.full(&self.limits).filter(|_| durable && !in_place);
        if let Some(limit) = full {
            self.limited(now, &a.name, limit);
        }
        let room = durable && full.is_none();
        let unique = a.unique && !a.name.is_empty();
        let level = a.level;
        let recorded = room && level != Durability::Memory && self.journal.is_some();
        let owner = recorded.then(|| self.new_owner());
        let charge = a.will.as_ref().map(|will| self.stored.charge(will.weight()));
        let mut s = blank(a, durable && room);
        if charge.is_some() {
            s.extra_mut().charge = charge;
        }
        let mut spot = None;
        if let Some(no) = owner {
            s.owner = Some(no);
            s.outbox = Outbox::durable(&self.waiting);
            let written = self
                .number_realm(s.realm)
                .and_then(|realm| self.append(Class::Growth, &owner_record(no, realm, &s, &[])));
            match written {
                Ok(written) => spot = written,
                // A sick disk: it is served from memory, and promised nothing.
                Err(Held::Failed) => (s.owner, s.outbox) = (None, Outbox::default()),
                Err(why) => return Err(why),
            }
        }
        let old = instead.and_then(|old| self.sessions.get(old));
        let replaces = old.is_some_and(|old| old.owner.is_some());
        if let Some(old) = instead {
            self.forget(now, old);
        }
        let (keep, owner) = (s.durable, s.owner);
        if keep {
            self.durables.add(&s);
        }
        let id = self.sessions.insert_with(|id| Session { id, ..s });
        if keep || unique {
            self.give_name(id);
        }
        if let Some(no) = owner {
            self.owners.insert(no, Owner::Session(id));
            self.rehome(id, spot.map(|spot| Journal::segment_of(spot.lsn)));
        }
        // Whoever begins anew is told so when what was before cannot come back any more.
        let gone = if replaces { self.written_so_far(level) } else { Lsn::START };
        let after = after(level, spot).max(gone);
        Ok(Attached { session: id, present: false, resumed: 0, after, yielding: None })
    }

    /// The session's owner is back, or somebody takes its place.
    fn resume(&mut self, now: Now, id: SessionId, a: Attach) -> Result<Attached, Held> {
        if a.fresh == Fresh::Debts {
            self.wipe_debts(id)?;
        }
        let Some(s) = self.sessions.get(id) else { return Err(Held::Memory) };
        let yielding = s.conn;
        // A new will, and that an old one is void or due, must be on record before the welcome.
        let rewrite = a.will.is_some() || s.will().is_some() || !s.due_wills().is_empty();
        let lost = yielding.is_some() && s.will().is_some_and(|will| will.delay_s == 0);
        if lost {
            self.will_is_due(now, id);
        }
        let charge = a.will.as_ref().map(|will| self.stored.charge(will.weight()));
        let level = a.level;
        let mut seat = Seat {
            conn: Some(a.conn),
            tongue: a.tongue,
            expires: Deadline::NEVER,
            principal: a.principal,
            level,
            inflight_max: most(a.inflight_max),
            expiry_s: a.expiry_s,
            will: a.will,
            charge,
            will_at: None,
        };
        let Some(s) = self.sessions.get_mut(id) else { return Err(Held::Memory) };
        let before = weight(s);
        seat.swap(s);
        // The mark lets recovery know that deliveries may have been sent. A disk without room or
        // health must not keep a reader from draining what it is owed; but what is promised of
        // wills is promised.
        let written =
            if rewrite { self.write_owner(id, Class::Relief) } else { self.write_mark(id) };
        let spot = match written {
            Ok(spot) => spot,
            Err(Held::Failed) => None,
            Err(_) if !rewrite => None,
            Err(why) => {
                // As if it had not come. What was said found room, and would have left some.
                if let Some(s) = self.sessions.get_mut(id) {
                    seat.swap(s);
                }
                if lost {
                    self.step_back(id);
                }
                return Err(why);
            }
        };
        let Some(s) = self.sessions.get_mut(id) else { return Err(Held::Memory) };
        self.durables.changed(before, s);
        s.outbox.ground();
        s.marked = false;
        let resumed = s.outbox.peek_ordinal() - 1;
        self.recheck(now, id);
        self.wake(id);
        // What the last connection did not wait for, this one's welcome waits for: the words of the
        // ladders come behind it.
        let recorded = self.sessions.get(id).and_then(|s| Some(s.extra.as_ref()?.recorded));
        let before = recorded.unwrap_or(Lsn::START).min(self.written_so_far(level));
        let after = after(level, spot).max(before);
        Ok(Attached { session: id, present: true, resumed, after, yielding })
    }

    /// The rules have changed: subscriptions they no longer allow end.
    pub fn recheck_all(&mut self, now: Now) {
        let all: Vec<SessionId> = self.sessions.iter().map(|(id, _)| id).collect();
        for id in all {
            self.recheck(now, id);
        }
    }

    /// Subscriptions that the rules no longer allow end when their owner returns.
    fn recheck(&mut self, now: Now, id: SessionId) {
        for sub in self.subscriptions(id) {
            let Some(s) = self.sessions.get(id) else { return };
            if !self.policy.permit(s.principal(), &Access::Subscribe(&sub.filter)) {
                let group = (!sub.group.is_empty()).then_some(&sub.group);
                let _ = self.unsubscribe(now, id, &sub.filter, group);
            }
        }
    }

    /// What a welcome waits for that promises all of this turn's records; nothing without a disk.
    fn written_so_far(&self, level: Durability) -> Lsn {
        let due = |j: &Journal| match level {
            Durability::Disk => true,
            Durability::Os => j.is_holding(),
            Durability::Memory => false,
        };
        let well = |j: &&Journal| due(j) && !matches!(j.state(), State::Failed(_));
        self.journal.as_ref().filter(well).map_or(Lsn::START, Journal::tail)
    }

    /// Begin the session's debts anew under a new number; subscriptions stay.
    fn wipe_debts(&mut self, id: SessionId) -> Result<(), Held> {
        let fresh = self.sessions.get(id).and_then(|s| s.owner).map(|_| self.new_owner());
        let subs = self.subscriptions(id);
        let realm = self.session(id).map(|s| self.number_of(s.realm)).unwrap_or_default();
        let Some(s) = self.sessions.get_mut(id) else { return Ok(()) };
        s.replays.close();
        let (Some(old), Some(no)) = (s.owner, fresh) else {
            s.outbox = Outbox::default();
            return Ok(());
        };
        let debts = core::mem::replace(&mut s.outbox, Outbox::durable(&self.waiting));
        let record = owner_record(no, realm, s, &subs);
        match self.append(Class::Growth, &record) {
            Ok(spot) => {
                self.owners.remove(&old);
                self.owners.insert(no, Owner::Session(id));
                if let Some(s) = self.sessions.get_mut(id) {
                    s.owner = Some(no);
                }
                self.rehome(id, spot.map(|spot| Journal::segment_of(spot.lsn)));
                self.disown_all(&debts);
                let _ = self.append(Class::Relief, &Record::Gone { owner: old });
                Ok(())
            }
            Err(why) => {
                if let Some(s) = self.sessions.get_mut(id) {
                    s.outbox = debts;
                }
                Err(why)
            }
        }
    }

    /// The session's full record, once more.
    pub(crate) fn write_owner(
        &mut self,
        id: SessionId,
        class: Class,
    ) -> Result<Option<Spot>, Held> {
        let subs = self.subscriptions(id);
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let Some(no) = s.owner else { return Ok(None) };
        let record = owner_record(no, self.number_of(s.realm), s, &subs);
        let spot = self.append(class, &record)?;
        if let Some(spot) = spot {
            self.rehome(id, Some(Journal::segment_of(spot.lsn)));
        }
        Ok(spot)
    }

    /// Its owner proved anew who it is.
    pub fn set_principal(&mut self, id: SessionId, principal: Arc<Principal>) {
        if let Some(s) = self.sessions.get_mut(id) {
            let before = weight(s);
            s.who.act_for(principal);
            self.durables.changed(before, s);
        }
    }

    /// Its owner wants another time to return than it said when it came.
    pub fn set_expiry(&mut self, id: SessionId, expiry_s: u64) {
        if let Some(s) = self.sessions.get_mut(id) {
            s.expiry_s = expiry_s;
        }
    }

    /// Somebody else wants its name. Whoever is connected is to find out whether anybody is there.
    pub fn doubt(&mut self, id: SessionId) {
        if let Some(s) = self.sessions.get_mut(id).filter(|s| s.conn.is_some()) {
            s.doubted = true;
            self.wake(id);
        }
    }

    /// Was it doubted since this was asked last?
    pub fn take_doubt(&mut self, id: SessionId) -> bool {
        self.sessions.get_mut(id).is_some_and(|s| core::mem::take(&mut s.doubted))
    }

    /// The connection is gone. What it was owed waits, or is forgotten.
    pub fn detach(&mut self, now: Now, id: SessionId, conn: ConnId, parting: Parting) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        if s.conn != Some(conn) {
            return;
        }
        s.conn = None;
        s.marked = false;
        s.away_since = now.wall;
        if parting == Parting::Quiet
            && let Some(extra) = &mut s.extra
            && extra.will.take().is_some()
        {
            extra.charge = None;
            // Which of several is void, a mark cannot say.
            if !extra.due.is_empty() {
                let _ = self.write_owner(id, Class::Relief);
            }
        }
        let Some(s) = self.sessions.get_mut(id) else { return };
        if !s.durable || s.expiry_s == 0 {
            self.forget(now, id);
            return;
        }
        s.outbox.ground();
        s.expires = now.after_ms(s.expiry_s.saturating_mul(1_000));
        match s.will().map(|will| u64::from(will.delay_s)) {
            Some(0) => self.will_is_due(now, id),
            Some(delay_s) => s.extra_mut().will_at = Some(now.after_ms(delay_s * 1_000)),
            None => {}
        }
        self.arm(id);
        self.note_mark(id);
    }

    /// One entry in the wheel is enough, however often the owner comes and goes.
    pub(crate) fn arm(&mut self, id: SessionId) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        if let Some(at) = s.due()
            && at < s.armed
        {
            s.armed = at;
            self.timers.push((at, id));
        }
    }

    /// That the session's owner left, or that it has ended. What finds no room is written as soon
    /// as there is some.
    pub(crate) fn note_mark(&mut self, id: SessionId) {
        if self.write_mark(id).is_err_and(Held::passes)
            && let Some(s) = self.sessions.get_mut(id)
            && !s.unmarked
        {
            s.unmarked = true;
            self.unmarked.push_back(id);
        }
    }

    /// Marks that found no room.
    pub(crate) fn write_marks(&mut self) {
        while let Some(id) = self.unmarked.front().copied() {
            if self.write_mark(id).is_err_and(Held::passes) {
                return;
            }
            self.unmarked.pop_front();
            if let Some(s) = self.sessions.get_mut(id) {
                s.unmarked = false;
            }
        }
    }

    fn write_mark(&mut self, id: SessionId) -> Result<Option<Spot>, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let Some(owner) = s.owner else { return Ok(None) };
        let quiet = s.will().is_none() && s.due_wills().is_empty();
        let (attached, sent, at) = (s.conn.is_some(), s.outbox.sent(), s.away_since);
        let expiry_s = s.expiry_s;
        self.append(Class::Relief, &Record::Mark { owner, attached, quiet, sent, at, expiry_s })
    }

    /// Its time may have come.
    pub fn on_session_deadline(&mut self, now: Now, id: SessionId) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        s.armed = Deadline::NEVER;
        if s.conn.is_some() || s.ended {
            return;
        }
        if now.reached(s.expires) {
            self.stats.count(Counter::SessionsExpired);
            return self.forget(now, id);
        }
        let will_at = s.extra.as_ref().and_then(|extra| extra.will_at);
        if will_at.is_some_and(|at| now.reached(at)) {
            self.will_is_due(now, id);
        }
        self.arm(id);
    }

    /// Nobody will come back to it.
    pub fn forget(&mut self, now: Now, id: SessionId) {
        // Before it leaves: what it says to itself is said to nobody.
        self.leave_all(id);
        self.hand_on(id);
        // The end of a session is the last moment for its will.
        self.will_is_due(now, id);
        let Some(s) = self.sessions.get_mut(id) else { return };
        (s.ended, s.conn, s.expires, s.expiry_s) = (true, None, Deadline::NEVER, 0);
        s.replays.close();
        if s.durable {
            self.durables.take(s);
        }
        let outbox = core::mem::take(&mut s.outbox);
        if let Some(r) = self.realms.get_mut(usize::from(s.realm.0)) {
            r.names.take(s.kind, s.who.name(), id);
        }
        self.disown_all(&outbox);
        if !self.bury(id) {
            self.note_mark(id);
        }
    }

    /// A session that has ended is no more, unless one of its wills waits.
    pub(crate) fn bury(&mut self, id: SessionId) -> bool {
        if self.sessions.get(id).is_none_or(|s| !s.ended || !s.due_wills().is_empty()) {
            return false;
        }
        let Some(s) = self.sessions.remove(id) else { return false };
        for home in s.homes.all() {
            self.disown(*home, 1);
        }
        if let Some(owner) = s.owner {
            self.owners.remove(&owner);
            let _ = self.append(Class::Relief, &Record::Gone { owner });
        }
        true
    }

    /// The session's full record is in that segment now, and none of its others matters.
    pub(crate) fn rehome(&mut self, id: SessionId, segment: Option<u32>) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        let old = core::mem::replace(&mut s.homes, Homes::of(segment));
        if let Some(segment) = segment {
            self.own(segment, 1);
        }
        for home in old.all() {
            self.disown(*home, 1);
        }
    }

    /// Another record that the session's revival needs.
    pub(crate) fn add_home(&mut self, id: SessionId, spot: Spot) {
        let segment = Journal::segment_of(spot.lsn);
        let Some(s) = self.sessions.get_mut(id) else { return };
        if s.homes.add(segment) {
            self.own(segment, 1);
        }
    }

    pub(crate) fn disown_all(&mut self, outbox: &Outbox) {
        let Some(ledger) = &outbox.ledger else { return };
        for (segment, refs) in ledger.segments() {
            self.paid(segment, refs);
        }
    }
}

fn blank(a: Attach, durable: bool) -> Session {
    Session {
        id: SessionId { index: 0, life: 0 },
        kind: a.kind,
        tongue: a.tongue,
        realm: a.realm,
        who: Identity::new(a.name, a.principal),
        owner: None,
        durable,
        conn: Some(a.conn),
        outbox: Outbox::default(),
        subs: SmallVec::new(),
        subs_bytes: 0,
        extra: a.will.map(|will| Box::new(Extra { will: Some(will), ..Extra::default() })),
        away_since: 0,
        replays: Seldom::default(),
        level: a.level,
        inflight_max: most(a.inflight_max),
        expiry_s: a.expiry_s,
        expires: Deadline::NEVER,
        armed: Deadline::NEVER,
        stamp: 0,
        stamp_at: 0,
        lagging: false,
        going: false,
        marked: false,
        settled: false,
        homes: Homes::default(),
        queued_read: false,
        unmarked: false,
        ended: false,
        doubted: false,
        dropped: 0,
    }
}

/// No connection can have more under way than a number of four bytes says.
fn most(inflight_max: usize) -> u32 {
    u32::try_from(inflight_max).unwrap_or(u32::MAX)
}

/// What a connection brings to its session and takes away with it.
struct Seat {
    conn: Option<ConnId>,
    tongue: Tongue,
    expires: Deadline,
    principal: Arc<Principal>,
    level: Durability,
    inflight_max: u32,
    expiry_s: u64,
    will: Option<Will>,
    charge: Option<Charge>,
    will_at: Option<Deadline>,
}

impl Seat {
    fn swap(&mut self, s: &mut Session) {
        swap(&mut self.conn, &mut s.conn);
        swap(&mut self.tongue, &mut s.tongue);
        swap(&mut self.expires, &mut s.expires);
        self.principal = s.who.act_for(self.principal.clone());
        swap(&mut self.level, &mut s.level);
        swap(&mut self.inflight_max, &mut s.inflight_max);
        swap(&mut self.expiry_s, &mut s.expiry_s);
        if self.will.is_some() || s.extra.is_some() {
            let extra = s.extra_mut();
            swap(&mut self.will, &mut extra.will);
            swap(&mut self.charge, &mut extra.charge);
            swap(&mut self.will_at, &mut extra.will_at);
        }
    }
}

/// The session's full record, its realm by number: replaces everything the journal said of it
/// before.
pub(crate) fn owner_record(
    owner: OwnerNo,
    realm: RealmId,
    s: &Session,
    subs: &[super::session::SubView],
) -> Record {
    let ledger = s.outbox.ledger.as_deref();
    Record::Owner(OwnerRecord {
        owner,
        kind: s.kind.code(),
        realm,
        name: s.name().clone(),
        detail: super::recover::encode_detail(s, subs),
        next: s.outbox.peek_ordinal(),
        sent: s.outbox.sent(),
        attached: s.conn.is_some(),
        floor: ledger.map_or(0, crate::journal::ledger::Ledger::floor),
        extras: ledger.map(|l| l.extras().collect()).unwrap_or_default(),
    })
}
