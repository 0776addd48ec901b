//! Floor 2. From the journal back to a hub.
//!
//! Records are applied in the order they were written. Owners are drafts until the end, because a
//! compaction may have moved an owner's full record behind messages that are owed to it. What an
//! owner that was connected at the end may have seen is not known (a loss of power takes back
//! acknowledgements that made room for more), so everything it was owed counts as sent: it will be
//! marked when it is sent again. Absent on purpose: reading segments, and deciding what damage
//! means (`journal`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{Lsn, OwnerNo, RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::reader::Reader;
use crate::base::seldom::Seldom;
use crate::base::time::{Deadline, Now};
use crate::base::words::Tongue;
use crate::journal::Journal;
use crate::journal::ledger::Ledger;
use crate::journal::record::{MessageRecord, OwnerRecord, Record};
use crate::topic::{Filter, Topic};

use super::ages::Ages;
use super::backlog::message_of_record;
use super::fanout::{GRANT_RECEIVED, GRANT_SETTLES, GRANT_WILL};
use super::identity::Identity;
use super::inline::Inline;
use super::lasting;
use super::message::{Durability, Meter, VOLATILE};
use super::numbered;
use super::outbox::Outbox;
use super::policy::Principal;
use super::queue::Queue;
use super::retained::{Kept, Replay};
use super::session::{Extra, Homes, Kind, Session, SubOpts, SubView, Will};
use super::will::Due;
use super::{Hub, Owner};

/// An owner as far as the records have told.
#[derive(Debug, Default)]
struct Draft {
    owner: Option<OwnerRecord>,
    ledger: Ledger,
    subs: Vec<DraftSub>,
    next: u64,
    sent: u64,
    attached: bool,
    /// Its will is void.
    quiet: bool,
    /// How many of its wills were said since its full record.
    said: usize,
    /// Its name has another number.
    replaced: bool,
    away_since: u64,
    expiry_s: Option<u64>,
    released: BTreeSet<u64>,
    inbound: BTreeSet<u16>,
    homes: SmallVec<[u32; 2]>,
}

/// A subscription as recorded.
#[derive(Clone, Debug)]
struct DraftSub {
    group: Bytes,
    filter: Bytes,
    options: Bytes,
}

impl Draft {
    /// One of its records that matter is in that segment.
    fn home(&mut self, lsn: Lsn) {
        let segment = Journal::segment_of(lsn);
        if !self.homes.contains(&segment) {
            self.homes.push(segment);
        }
    }

    /// It is not to be found any more.
    fn has_ended(&self) -> bool {
        self.replaced || !self.attached && self.expiry_s == Some(0)
    }

    /// What is left of one that has ended.
    fn without_debts(self) -> Self {
        let (ledger, inbound, released) = (Ledger::default(), BTreeSet::new(), BTreeSet::new());
        Self { ledger, inbound, released, subs: Vec::new(), ..self }
    }

    /// Of what its full record has, what was neither said nor became void. They are said in order.
    fn wills_left(&self, all: Wills) -> Wills {
        let Wills { mut due, mut armed } = all;
        if self.quiet || self.said > due.len() {
            armed = None;
        }
        due.drain(..self.said.min(due.len()));
        Wills { due, armed }
    }
}

/// A kept value as recorded.
#[derive(Debug)]
struct Value {
    lsn: Lsn,
    len: u32,
    expires: u64,
    message: Option<MessageRecord>,
}

/// What the records say, before it becomes sessions.
pub struct Recovery {
    drafts: Map<OwnerNo, Draft>,
    retained: Map<(RealmId, Bytes), Value>,
    order: Vec<OwnerNo>,
    realms: numbered::Told,
    pasts: lasting::Told,
    names: Map<(u8, RealmId, Bytes), OwnerNo>,
    /// Of each segment, when the first message came that anybody was owed.
    born: BTreeMap<u32, u64>,
    inline_max: usize,
}

impl Recovery {
    /// Nothing told yet, for this hub: its realms have been told their terms.
    #[must_use]
    pub fn new(seed: u64, hub: &Hub) -> Self {
        let seed = Seed::with_seed(seed);
        Self {
            drafts: Map::with_hasher(seed.clone()),
            retained: Map::with_hasher(seed.clone()),
            names: Map::with_hasher(seed),
            order: Vec::new(),
            realms: numbered::Told::default(),
            pasts: lasting::Told::of(hub),
            born: BTreeMap::new(),
            inline_max: hub.limits.retained_inline_bytes,
        }
    }

    #[cfg(test)]
    pub(super) fn pasts_held(&self) -> usize {
        self.pasts.held()
    }

    #[cfg(test)]
    pub(super) fn pasts_copied(&self) -> usize {
        self.pasts.copies()
    }

    /// One record, in order.
    pub fn apply(&mut self, lsn: Lsn, len: u32, record: &Record) {
        match record {
            Record::Message(m) => self.on_message(lsn, len, m),
            Record::Owner(o) => self.on_owner(lsn, o),
            Record::Subscribe { owner, group, filter, options } => {
                let draft = self.draft(*owner);
                draft.home(lsn);
                draft.subs.retain(|sub| sub.filter != filter || sub.group != group);
                let (group, filter) = (apart(group), apart(filter));
                draft.subs.push(DraftSub { group, filter, options: apart(options) });
            }
            Record::Unsubscribe { owner, group, filter } => {
                let subs = &mut self.draft(*owner).subs;
                subs.retain(|sub| sub.filter != filter || sub.group != group);
            }
            Record::Settle { owner, floor, extras, released } => {
                let draft = self.draft(*owner);
                draft.ledger.restore(*floor, extras);
                draft.released = released.iter().copied().collect();
            }
            Record::Mark { owner, attached, quiet, sent, at, expiry_s } => {
                let draft = self.draft(*owner);
                draft.attached = *attached;
                draft.quiet = *quiet;
                draft.away_since = *at;
                draft.expiry_s = Some(*expiry_s);
                draft.sent = draft.sent.max(*sent);
            }
            Record::Received { owner, packet, held: true } => {
                let draft = self.draft(*owner);
                draft.home(lsn);
                draft.inbound.insert(*packet);
            }
            Record::Received { owner, packet, held: false } => {
                self.draft(*owner).inbound.remove(packet);
            }
            Record::Released { owner, ord } => {
                let draft = self.draft(*owner);
                draft.home(lsn);
                draft.ledger.settle(*ord);
                draft.released.insert(*ord);
            }
            Record::Gone { owner } => {
                self.drafts.remove(owner);
            }
            Record::Clear { realm, topic } => {
                self.retained.remove(&(*realm, topic.clone()));
            }
            Record::Note { key, value } => self.realms.on_note(lsn, key, value),
            Record::Seal { .. } => {}
        }
    }

    fn draft(&mut self, owner: OwnerNo) -> &mut Draft {
        self.drafts.entry(owner).or_insert_with(|| {
            self.order.push(owner);
            Draft::default()
        })
    }

    fn on_message(&mut self, lsn: Lsn, len: u32, m: &MessageRecord) {
        for owed in &m.owed {
            let draft = self.draft(owed.owner);
            if owed.grant & GRANT_WILL != 0 {
                draft.said += 1;
                continue;
            }
            if owed.grant & GRANT_RECEIVED != 0 {
                draft.home(lsn);
                draft.inbound.insert(owed.ord as u16);
                continue;
            }
            draft.next = draft.next.max(owed.ord + 1);
            if owed.grant & GRANT_SETTLES != 0 {
                draft.ledger.settle(owed.ord);
            } else if !draft.ledger.is_settled(owed.ord) {
                // A copy that compaction made stands later than the original: it replaces it.
                draft.ledger.owe(owed.ord, lsn);
                let born = self.born.entry(Journal::segment_of(lsn)).or_insert(m.born);
                *born = m.born.min(*born);
            }
        }
        if let Some(past) = &m.past {
            self.pasts.on_past(lsn, m, past);
        }
        if m.retain && m.body.is_empty() {
            self.retained.remove(&(m.realm, apart(&m.topic)));
        } else if m.retain {
            let value = (m.body.len() <= self.inline_max).then(|| detached(m));
            let value = Value { lsn, len, expires: m.expires, message: value };
            self.retained.insert((m.realm, apart(&m.topic)), value);
        }
    }

    fn on_owner(&mut self, lsn: Lsn, o: &OwnerRecord) {
        // A clean start gave the name a new number; the old one has ended even if the record that
        // says so was lost. All that is left of it is what it wanted said.
        let key = (o.kind, o.realm, apart(&o.name));
        let before = self.names.get(&key).copied();
        if before.is_none_or(|no| no.0 < o.owner.0) {
            self.names.insert(key, o.owner);
        }
        if let Some(before) = before.filter(|no| no.0 < o.owner.0)
            && let Some(draft) = self.drafts.get_mut(&before)
        {
            draft.replaced = true;
        }
        let draft = self.draft(o.owner);
        draft.replaced = before.is_some_and(|no| no.0 > o.owner.0);
        draft.ledger.restore(o.floor, &o.extras);
        draft.next = draft.next.max(o.next);
        draft.sent = draft.sent.max(o.sent);
        draft.attached = o.attached;
        draft.homes = SmallVec::from_slice(&[Journal::segment_of(lsn)]);
        draft.owner =
            Some(OwnerRecord { name: apart(&o.name), detail: apart(&o.detail), ..o.clone() });
        if let Some(detail) = decode_detail(&o.detail) {
            draft.subs = detail.subs;
            draft.released = detail.released;
            draft.inbound = detail.inbound;
            (draft.quiet, draft.said) = (false, 0);
            draft.away_since = detail.away_since;
            draft.expiry_s = Some(detail.expiry_s);
        }
    }
}

impl Hub {
    /// Take over what the journal told, and the journal itself.
    pub fn recover(&mut self, now: Now, mut told: Recovery, journal: Journal) {
        self.journal = Some(journal);
        self.ages = Ages::after(core::mem::take(&mut told.born));
        self.recall_realms(core::mem::take(&mut told.realms));
        let (mut highest, mut nameless) = (0, 0);
        for no in told.order {
            highest = highest.max(no.0);
            let Some(draft) = told.drafts.remove(&no) else { continue };
            let Some(owner) = draft.owner.clone() else { continue };
            let Some(realm) = self.numbered(owner.realm) else {
                nameless += 1;
                continue;
            };
            let owner = OwnerRecord { realm, ..owner };
            match Kind::of(owner.kind) {
                Some(Kind::Queue) => self.recover_queue(&owner, draft),
                Some(kind) => self.recover_session(now, kind, &owner, draft),
                None => {}
            }
        }
        self.next_owner = self.next_owner.max(highest + 1);
        let mut kept: Vec<_> = told.retained.into_iter().collect();
        kept.sort_by_key(|(_, value)| value.lsn);
        kept.retain(|(_, value)| value.expires == 0 || value.expires > now.wall);
        for ((realm, topic), value) in kept {
            match self.numbered(realm) {
                Some(realm) => self.recover_value(realm, topic, value),
                None => nameless += 1,
            }
        }
        let remembered = self.recall_pasts(core::mem::take(&mut told.pasts));
        self.tell_nameless(now, nameless);
        self.forget_realms(&remembered);
    }

    fn own_all(&mut self, outbox: &Outbox) {
        let (Some(ledger), Some(journal)) = (&outbox.ledger, &mut self.journal) else { return };
        for (segment, refs) in ledger.segments() {
            journal.own(segment, refs);
            self.ages.owed_before(segment, refs);
        }
    }

    fn recover_queue(&mut self, owner: &OwnerRecord, draft: Draft) {
        let home = draft.homes.first().copied().unwrap_or(0);
        let outbox = outbox_of(Draft { attached: false, ..draft }, &self.waiting);
        self.own_all(&outbox);
        self.own(home, 1);
        let queue = Queue {
            address: owner.name.clone(),
            creator: owner.detail.clone(),
            owner: Some(owner.owner),
            outbox,
            drains: std::collections::VecDeque::new(),
            home,
            made: Lsn::START,
        };
        let Some(r) = self.realms.get_mut(usize::from(owner.realm.0)) else { return };
        r.queues.insert(owner.name.clone(), queue);
        self.owners.insert(owner.owner, Owner::Queue(owner.realm, owner.name.clone()));
    }

    /// What the session has that most have not; `waited`: milliseconds since somebody was there.
    fn extra_of(&self, now: Now, waited: u64, draft: &Draft, wills: Wills) -> Extra {
        let mut extra = Extra::default();
        extra.inbound.extend(draft.inbound.iter().copied());
        let Wills { mut due, mut armed } = wills;
        let over = |will: &mut Will| draft.has_ended() || u64::from(will.delay_s) * 1_000 <= waited;
        due.extend(armed.take_if(over));
        let charged = |will: Will| {
            let charge = Some(self.stored.charge(will.weight()));
            Due { will, charge }
        };
        extra.due = due.into_iter().map(charged).collect();
        let delay = armed.as_ref().map(|will| u64::from(will.delay_s) * 1_000);
        extra.will_at = delay.map(|ms| now.after_ms(ms.saturating_sub(waited)));
        extra.charge = armed.as_ref().map(|will| self.stored.charge(will.weight()));
        extra.will = armed;
        extra
    }

    /// Who it is under the rules of now.
    fn principal_of(&self, kind: Kind, owner: &OwnerRecord, user: &Bytes) -> Principal {
        let unknown = Principal { user: user.clone(), durable: true, ..Principal::default() };
        let mut principal = self.policy.recall(user).unwrap_or(unknown);
        if kind == Kind::Mqtt {
            principal.client_id = owner.name.clone();
        }
        principal
    }

    fn recover_session(&mut self, now: Now, kind: Kind, owner: &OwnerRecord, mut draft: Draft) {
        let Some(detail) = decode_detail(&owner.detail) else { return };
        let Some(_) = self.realms.get(usize::from(owner.realm.0)) else { return };
        let principal = self.principal_of(kind, owner, &detail.user);
        let ended = draft.has_ended();
        let wills = draft.wills_left(detail.wills);
        if ended && wills.is_empty() {
            return;
        }
        if ended {
            draft = draft.without_debts();
        }
        let (subs, homes, attached) = (draft.subs.clone(), draft.homes.clone(), draft.attached);
        for home in &homes {
            self.own(*home, 1);
        }
        // Whoever was connected lost its connection now; who was not has waited since then.
        let away_since = if attached { now.wall } else { draft.away_since.min(now.wall) };
        let waited = now.wall - away_since;
        let expiry_s = draft.expiry_s.unwrap_or(detail.expiry_s);
        let expires = now.after_ms(expiry_s.saturating_mul(1_000).saturating_sub(waited));
        let extra = self.extra_of(now, waited, &draft, wills);
        let wills = extra.will.is_some() || !extra.due.is_empty();
        let rare = wills || !extra.inbound.is_empty();
        let outbox = if ended { Outbox::default() } else { outbox_of(draft, &self.waiting) };
        self.own_all(&outbox);
        let id = self.sessions.insert_with(|id| Session {
            id,
            kind,
            tongue: Tongue::Unknown,
            realm: owner.realm,
            who: Identity::new(owner.name.clone(), Arc::new(principal)),
            owner: Some(owner.owner),
            durable: true,
            conn: None,
            outbox,
            subs: SmallVec::new(),
            subs_bytes: 0,
            extra: rare.then(|| Box::new(extra)),
            away_since,
            replays: Seldom::default(),
            level: Durability::Disk,
            inflight_max: detail.inflight_max,
            expiry_s: if ended { 0 } else { expiry_s },
            expires: if ended { Deadline::NEVER } else { expires },
            armed: Deadline::NEVER,
            stamp: 0,
            stamp_at: 0,
            lagging: false,
            going: false,
            marked: false,
            settled: false,
            homes: Homes::of(homes),
            queued_read: false,
            unmarked: false,
            ended,
            doubted: false,
            dropped: 0,
        });
        self.owners.insert(owner.owner, Owner::Session(id));
        self.bring_back(id, subs);
        if attached || ended {
            // It has been away since now, also when the next stop comes before it does.
            self.note_mark(id);
        }
    }

    /// The session is there again: its wills in line, its name known, its subscriptions in place.
    fn bring_back(&mut self, id: SessionId, subs: Vec<DraftSub>) {
        let Some(s) = self.sessions.get(id) else { return };
        self.wills.extend(core::iter::repeat_n(id, s.due_wills().len()));
        if s.ended {
            return;
        }
        let realm = s.realm;
        self.durables.add(s);
        self.give_name(id);
        self.arm(id);
        for sub in subs {
            self.recover_sub(id, realm, sub);
        }
    }

    fn recover_sub(&mut self, id: SessionId, realm: RealmId, sub: DraftSub) {
        let Some(filter) = Filter::decode(sub.filter) else { return };
        let Some((opts, replaying)) = SubOpts::decode(&sub.options) else { return };
        if !sub.group.is_empty() {
            self.join_group(id, realm, &filter, &sub.group, opts, 0);
            return;
        }
        self.join(id, realm, &filter, opts, 0);
        if let (true, Some(s)) = (replaying, self.sessions.get_mut(id)) {
            s.replays.open().push_back(Replay::new(filter, opts, true));
        }
    }

    fn recover_value(&mut self, realm: RealmId, topic: Bytes, value: Value) {
        let Value { lsn, len, expires, message } = value;
        let Some(name) = Topic::decode(topic) else { return };
        let message = message.filter(|_| !self.storage_is_short());
        let message = message.and_then(|v| message_of_record(&v, &self.stored));
        let value = message.map(Inline::new);
        self.fading += usize::from(expires != 0);
        let kept = Kept { lsn: Some(lsn), len, bytes: len, value, expires };
        self.kept.set(self.kept.bytes() + kept.weight(&name));
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        r.kept_bytes += u64::from(len);
        r.retained.set(&name, kept);
        if let Some(journal) = &mut self.journal {
            journal.own(Journal::segment_of(lsn), 1);
        }
    }
}

fn outbox_of(mut draft: Draft, waiting: &Meter) -> Outbox {
    draft.ledger.recovered(draft.next.max(1));
    let mut outbox = Outbox::durable(waiting);
    let next = draft.next.max(1);
    let sent = if draft.attached { draft.sent.max(next - 1) } else { draft.sent };
    outbox.ledger = Some(Box::new(draft.ledger));
    outbox.restore_released(draft.released.into_iter());
    outbox.restore(next, sent);
    outbox.ground();
    outbox
}

fn apart(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn detached(m: &MessageRecord) -> MessageRecord {
    MessageRecord {
        topic: apart(&m.topic),
        props: apart(&m.props),
        body: apart(&m.body),
        owed: SmallVec::new(),
        past: None,
        ..m.clone()
    }
}

/// What somebody wanted said, as a full record has it: what was due and waited, and the rest.
#[derive(Default)]
struct Wills {
    due: Vec<Will>,
    armed: Option<Will>,
}

impl Wills {
    fn is_empty(&self) -> bool {
        self.due.is_empty() && self.armed.is_none()
    }
}

/// What a session's record says beyond what all owners have.
struct Detail {
    user: Bytes,
    expiry_s: u64,
    inflight_max: u32,
    away_since: u64,
    wills: Wills,
    released: BTreeSet<u64>,
    inbound: BTreeSet<u16>,
    subs: Vec<DraftSub>,
}

/// Version of the detail's layout; its first byte.
const DETAIL: u8 = 3;

/// user, expiry, window, absence, wills, ladders, subscriptions; big endian, counted.
pub(crate) fn encode_detail(s: &Session, subs: &[SubView]) -> Bytes {
    let mut out = vec![DETAIL];
    put16(&mut out, &s.principal().user);
    out.extend_from_slice(&s.expiry_s.to_be_bytes());
    out.extend_from_slice(&s.inflight_max.to_be_bytes());
    out.extend_from_slice(&s.away_since.to_be_bytes());
    s.due_wills().iter().for_each(|due| put_will(&mut out, Some(&due.will), DUE));
    put_will(&mut out, s.will(), 0);
    let released: Vec<u64> = s.outbox.released().filter(|ord| ord & VOLATILE == 0).collect();
    out.extend_from_slice(&(released.len() as u32).to_be_bytes());
    released.iter().for_each(|ord| out.extend_from_slice(&ord.to_be_bytes()));
    out.extend_from_slice(&(s.inbound().len() as u32).to_be_bytes());
    s.inbound().iter().for_each(|packet| out.extend_from_slice(&packet.to_be_bytes()));
    out.extend_from_slice(&(subs.len() as u32).to_be_bytes());
    for sub in subs {
        let mut filter = Vec::new();
        sub.filter.encode(&mut filter);
        put16(&mut out, &sub.group);
        put32(&mut out, &filter);
        out.extend_from_slice(&sub.opts.encode(sub.replaying));
    }
    Bytes::from(out)
}

fn put16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len().min(usize::from(u16::MAX));
    out.extend_from_slice(&(len as u16).to_be_bytes());
    out.extend_from_slice(&bytes[..len]);
}

fn put32(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Bits of what stands before a will: there is one; it is due, and another may follow.
const WILL: u8 = 1;
const DUE: u8 = 16;

fn put_will(out: &mut Vec<u8>, will: Option<&Will>, due: u8) {
    let Some(will) = will else { return out.push(0) };
    out.push(WILL | will.qos << 1 | u8::from(will.retain) << 3 | due);
    out.extend_from_slice(&will.expiry_s.to_be_bytes());
    out.extend_from_slice(&will.delay_s.to_be_bytes());
    let mut topic = Vec::new();
    will.topic.encode(&mut topic);
    for bytes in [&topic[..], &will.props, &will.body] {
        put32(out, bytes);
    }
}

fn take_wills(r: &mut Reader) -> Option<Wills> {
    let mut wills = Wills::default();
    loop {
        let flags = r.u8().ok()?;
        if flags & WILL == 0 {
            return Some(wills);
        }
        let will = take_will(r, flags)?;
        if flags & DUE == 0 {
            wills.armed = Some(will);
            return Some(wills);
        }
        wills.due.push(will);
    }
}

fn take_will(r: &mut Reader, flags: u8) -> Option<Will> {
    let (expiry_s, delay_s) = (r.u32().ok()?, r.u32().ok()?);
    let topic = Topic::decode(take32(r)?)?;
    let (props, body) = (take32(r)?, take32(r)?);
    let (qos, retain) = ((flags >> 1) & 3, flags & 8 != 0);
    Some(Will { topic, body, props, qos, retain, expiry_s, delay_s })
}

fn take32(r: &mut Reader) -> Option<Bytes> {
    let len = r.u32().ok()? as usize;
    Some(apart(&r.take(len).ok()?))
}

fn take64(r: &mut Reader) -> Option<u64> {
    Some(u64::from(r.u32().ok()?) << 32 | u64::from(r.u32().ok()?))
}

fn decode_detail(detail: &Bytes) -> Option<Detail> {
    let mut r = Reader::new(detail.clone());
    if r.u8().ok()? != DETAIL {
        return None;
    }
    let user = apart(&r.blob16().ok()?);
    let expiry_s = take64(&mut r)?;
    let inflight_max = r.u32().ok()?;
    let away_since = take64(&mut r)?;
    let wills = take_wills(&mut r)?;
    let mut released = BTreeSet::new();
    for _ in 0..r.u32().ok()? {
        released.insert(take64(&mut r)?);
    }
    let mut inbound = BTreeSet::new();
    for _ in 0..r.u32().ok()? {
        inbound.insert(r.u16().ok()?);
    }
    let count = r.u32().ok()?;
    let mut subs = Vec::new();
    for _ in 0..count {
        let (group, filter) = (apart(&r.blob16().ok()?), take32(&mut r)?);
        subs.push(DraftSub { group, filter, options: apart(&r.take(6).ok()?) });
    }
    Some(Detail { user, expiry_s, inflight_max, away_since, wills, released, inbound, subs })
}
