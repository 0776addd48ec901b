//! Floor 2. From the journal back to a hub.
//!
//! Records are applied in the order they were written. Owners are drafts until the end, because a
//! compaction may have moved an owner's full record behind messages that are owed to it. What an
//! owner that was connected at the end may have seen is not known, so as much as could have been
//! in flight counts as sent: it will be marked when it is sent again. Absent on purpose: reading
//! segments, and deciding what damage means (`journal`).

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{Lsn, OwnerNo, RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::reader::Reader;
use crate::base::time::Now;
use crate::journal::Journal;
use crate::journal::ledger::Ledger;
use crate::journal::record::{MessageRecord, OwnerRecord, Record};
use crate::topic::{Filter, Topic};

use super::backlog::message_of_record;
use super::fanout::GRANT_SETTLES;
use super::message::Durability;
use super::outbox::Outbox;
use super::policy::Principal;
use super::queue::Queue;
use super::retained::{KEPT_BYTES, Kept, Replay};
use super::session::{Kind, Session, SubOpts, SubView};
use super::{Hub, Owner};

/// An owner as far as the records have told.
#[derive(Debug, Default)]
struct Draft {
    owner: Option<OwnerRecord>,
    ledger: Ledger,
    subs: Vec<(Bytes, Bytes)>,
    next: u64,
    sent: u64,
    attached: bool,
    homes: SmallVec<[u32; 2]>,
}

/// What the records say, before it becomes sessions.
pub struct Recovery {
    drafts: Map<OwnerNo, Draft>,
    retained: Map<(RealmId, Bytes), (Lsn, u32, Option<MessageRecord>)>,
    order: Vec<OwnerNo>,
    names: Map<(u8, RealmId, Bytes), OwnerNo>,
    inline_max: usize,
}

impl Recovery {
    /// Nothing told yet. Values up to `inline_max` bytes will be held in memory.
    #[must_use]
    pub fn new(seed: u64, inline_max: usize) -> Self {
        let seed = Seed::with_seed(seed);
        Self {
            drafts: Map::with_hasher(seed.clone()),
            retained: Map::with_hasher(seed.clone()),
            names: Map::with_hasher(seed),
            order: Vec::new(),
            inline_max,
        }
    }

    /// One record, in order.
    pub fn apply(&mut self, lsn: Lsn, len: u32, record: &Record) {
        match record {
            Record::Message(m) => self.on_message(lsn, len, m),
            Record::Owner(o) => self.on_owner(lsn, o),
            Record::Subscribe { owner, filter, options } => {
                let draft = self.draft(*owner);
                let segment = Journal::segment_of(lsn);
                if !draft.homes.contains(&segment) {
                    draft.homes.push(segment);
                }
                draft.subs.retain(|(f, _)| f != filter);
                draft.subs.push((apart(filter), apart(options)));
            }
            Record::Unsubscribe { owner, filter } => {
                self.draft(*owner).subs.retain(|(f, _)| f != filter);
            }
            Record::Settle { owner, floor, extras } => {
                self.draft(*owner).ledger.restore(*floor, extras);
            }
            Record::Mark { owner, attached, sent } => {
                let draft = self.draft(*owner);
                draft.attached = *attached;
                draft.sent = draft.sent.max(*sent);
            }
            Record::Gone { owner } => {
                self.drafts.remove(owner);
            }
            Record::Clear { realm, topic } => {
                self.retained.remove(&(*realm, topic.clone()));
            }
            Record::Note { .. } | Record::Seal { .. } => {}
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
            draft.next = draft.next.max(owed.ord + 1);
            if owed.grant & GRANT_SETTLES != 0 {
                draft.ledger.settle(owed.ord);
            } else if !draft.ledger.is_settled(owed.ord) {
                // A copy that compaction made stands later than the original: it replaces it.
                draft.ledger.owe(owed.ord, lsn);
            }
        }
        if m.retain && m.body.is_empty() {
            self.retained.remove(&(m.realm, apart(&m.topic)));
        } else if m.retain {
            let value = (m.body.len() <= self.inline_max).then(|| detached(m));
            self.retained.insert((m.realm, apart(&m.topic)), (lsn, len, value));
        }
    }

    fn on_owner(&mut self, lsn: Lsn, o: &OwnerRecord) {
        // A clean start gave the name a new number; the old one is gone even if the record that
        // says so was lost.
        let key = (o.kind, o.realm, apart(&o.name));
        let before = self.names.get(&key).copied();
        if before.is_none_or(|no| no.0 < o.owner.0) {
            self.names.insert(key, o.owner);
        }
        match before {
            Some(no) if no.0 < o.owner.0 => drop(self.drafts.remove(&no)),
            Some(no) if no.0 > o.owner.0 => return drop(self.drafts.remove(&o.owner)),
            _ => {}
        }
        let draft = self.draft(o.owner);
        draft.ledger.restore(o.floor, &o.extras);
        draft.next = draft.next.max(o.next);
        draft.sent = draft.sent.max(o.sent);
        draft.attached = o.attached;
        draft.homes = SmallVec::from_slice(&[Journal::segment_of(lsn)]);
        draft.owner =
            Some(OwnerRecord { name: apart(&o.name), detail: apart(&o.detail), ..o.clone() });
        if let Some(detail) = decode_detail(&o.detail) {
            draft.subs = detail.subs;
        }
    }
}

impl Hub {
    /// Take over what the journal told, and the journal itself.
    pub fn recover(&mut self, now: Now, mut told: Recovery, journal: Journal) {
        self.journal = Some(journal);
        let mut highest = 0;
        for no in told.order {
            highest = highest.max(no.0);
            let Some(draft) = told.drafts.remove(&no) else { continue };
            let Some(owner) = draft.owner.clone() else { continue };
            match Kind::of(owner.kind) {
                Some(Kind::Queue) => self.recover_queue(&owner, draft),
                Some(kind) => self.recover_session(now, kind, &owner, draft),
                None => {}
            }
        }
        self.next_owner = self.next_owner.max(highest + 1);
        let mut kept: Vec<_> = told.retained.into_iter().collect();
        kept.sort_by_key(|(_, (lsn, ..))| *lsn);
        for ((realm, topic), (lsn, len, value)) in kept {
            self.recover_value(realm, topic, lsn, len, value);
        }
    }

    fn own_all(&mut self, outbox: &Outbox) {
        let (Some(ledger), Some(journal)) = (&outbox.ledger, &mut self.journal) else { return };
        for (segment, refs) in ledger.segments() {
            journal.own(segment, refs);
        }
    }

    fn recover_queue(&mut self, owner: &OwnerRecord, draft: Draft) {
        let home = draft.homes.first().copied().unwrap_or(0);
        let outbox = outbox_of(draft, 0);
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

    fn recover_session(&mut self, now: Now, kind: Kind, owner: &OwnerRecord, draft: Draft) {
        let Some(detail) = decode_detail(&owner.detail) else { return };
        let Some(_) = self.realms.get(usize::from(owner.realm.0)) else { return };
        let unknown =
            Principal { user: detail.user.clone(), durable: true, ..Principal::default() };
        let principal = self.policy.recall(&detail.user).unwrap_or(unknown);
        let subs = draft.subs.clone();
        let homes = draft.homes.clone();
        for home in &homes {
            self.own(*home, 1);
        }
        let flying = if draft.attached { detail.inflight_max as u64 } else { 0 };
        let outbox = outbox_of(draft, flying);
        self.own_all(&outbox);
        let expires = now.after_ms(detail.expiry_s.saturating_mul(1_000));
        let (realm, name) = (owner.realm, owner.name.clone());
        let id = self.sessions.insert_with(|id| Session {
            id,
            kind,
            realm,
            name: name.clone(),
            principal,
            owner: Some(owner.owner),
            durable: true,
            conn: None,
            outbox,
            subs: Vec::new(),
            replays: std::collections::VecDeque::new(),
            level: Durability::Disk,
            inflight_max: detail.inflight_max,
            expiry_s: detail.expiry_s,
            expires: Some(expires),
            armed: expires,
            stamp: (0, 0),
            marked: false,
            settled: false,
            homes,
            queued_read: false,
        });
        self.timers.push((expires, id));
        self.owners.insert(owner.owner, Owner::Session(id));
        if let Some(r) = self.realms.get_mut(usize::from(realm.0)) {
            r.names.insert((kind, name), id);
        }
        for (filter, options) in subs {
            self.recover_sub(id, realm, filter, &options);
        }
    }

    fn recover_sub(&mut self, id: SessionId, realm: RealmId, filter: Bytes, options: &Bytes) {
        let Some(filter) = Filter::decode(filter) else { return };
        let Some((opts, replaying)) = SubOpts::decode(options) else { return };
        self.join(id, realm, &filter, opts);
        if let (true, Some(s)) = (replaying, self.sessions.get_mut(id)) {
            s.replays.push_back(Replay::new(filter, opts, true));
        }
    }

    fn recover_value(
        &mut self,
        realm: RealmId,
        topic: Bytes,
        lsn: Lsn,
        len: u32,
        value: Option<MessageRecord>,
    ) {
        let Some(name) = Topic::decode(topic) else { return };
        let value = value.filter(|_| !self.storage_is_short());
        let message = value.and_then(|v| message_of_record(&v, &self.stored));
        let message = message.map(std::sync::Arc::new);
        let charge = self.stored.charge(name.text().len() + KEPT_BYTES);
        let kept = Kept { lsn: Some(lsn), len, message, charge };
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        r.retained.set(&name, kept);
        if let Some(journal) = &mut self.journal {
            journal.own(Journal::segment_of(lsn), 1);
        }
    }
}

/// `flying`: how many deliveries may have been under way when the journal ends.
fn outbox_of(mut draft: Draft, flying: u64) -> Outbox {
    draft.ledger.recovered(draft.next.max(1));
    let mut outbox = Outbox::durable();
    let next = draft.next.max(1);
    let last = draft.next.saturating_sub(1);
    let flown = nth_owed(&draft.ledger, flying).unwrap_or(last);
    let sent = if flying > 0 { draft.sent.max(flown.min(last)) } else { draft.sent };
    outbox.ledger = Some(Box::new(draft.ledger));
    outbox.restore(next, sent);
    outbox.ground();
    outbox
}

/// An ordinal with at least `n` owed ones up to it; nothing when fewer are owed.
fn nth_owed(ledger: &Ledger, n: u64) -> Option<u64> {
    // Settled ordinals inside the runs count as if they were owed, so allow for them.
    let mut left = n + ledger.extras().count() as u64;
    let mut at = ledger.floor() + 1;
    while let Some(run) = ledger.run_at(at) {
        let len = run.hi - run.lo + 1;
        if left <= len {
            return Some(run.lo + left.saturating_sub(1));
        }
        left -= len;
        at = run.hi + 1;
    }
    None
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
        ..m.clone()
    }
}

/// What a session's record says beyond what all owners have.
struct Detail {
    user: Bytes,
    expiry_s: u64,
    inflight_max: usize,
    subs: Vec<(Bytes, Bytes)>,
}

/// Version of the detail's layout; its first byte.
const DETAIL: u8 = 1;

/// user, expiry, window, subscriptions; big endian, counted.
pub(crate) fn encode_detail(s: &Session, subs: &[SubView]) -> Bytes {
    let mut out = vec![DETAIL];
    put16(&mut out, &s.principal.user);
    out.extend_from_slice(&s.expiry_s.to_be_bytes());
    out.extend_from_slice(&(s.inflight_max as u32).to_be_bytes());
    out.extend_from_slice(&(subs.len() as u32).to_be_bytes());
    for sub in subs {
        let mut filter = Vec::new();
        sub.filter.encode(&mut filter);
        out.extend_from_slice(&(filter.len() as u32).to_be_bytes());
        out.extend_from_slice(&filter);
        out.extend_from_slice(&sub.opts.encode(sub.replaying));
    }
    Bytes::from(out)
}

fn put16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len().min(usize::from(u16::MAX));
    out.extend_from_slice(&(len as u16).to_be_bytes());
    out.extend_from_slice(&bytes[..len]);
}

fn decode_detail(detail: &Bytes) -> Option<Detail> {
    let mut r = Reader::new(detail.clone());
    if r.u8().ok()? != DETAIL {
        return None;
    }
    let user = apart(&r.blob16().ok()?);
    let expiry_s = u64::from(r.u32().ok()?) << 32 | u64::from(r.u32().ok()?);
    let inflight_max = r.u32().ok()? as usize;
    let count = r.u32().ok()?;
    let mut subs = Vec::new();
    for _ in 0..count {
        let len = r.u32().ok()? as usize;
        let filter = apart(&r.take(len).ok()?);
        subs.push((filter, apart(&r.take(6).ok()?)));
    }
    Some(Detail { user, expiry_s, inflight_max, subs })
}
