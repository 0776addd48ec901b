//! Floor 2. Publish: find the readers, write down what is durable, then owe it to each.
//!
//! The order matters. The record is written before any outbox is touched, so a journal without
//! room leaves no trace of the attempt and the publisher simply tries again. One record names all
//! durable readers with their ordinals. The publisher's acknowledgement waits for that record; the
//! readers do not. Absent on purpose: encoding, and any wait.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{Lsn, OwnerNo, RealmId, SessionId};
use crate::base::limits::Limit;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::{Loss, Tongue};
use crate::journal::record::{MessageRef, Owed, PastRecord, Record};
use crate::journal::{Class, Journal, Spot};
use crate::topic::Topic;

use super::audience::Audience;
use super::history::Noting;
use super::inline::Inline;
use super::message::{Body, Delivery, Durability, Message, Meter, Publication, SubIds};
use super::outbox::Pushed;
use super::policy::{Access, Event, Principal};
use super::retained::Kept;
use super::session::Session;
use super::{Held, Hub, Receipt, after, held};

/// Owners named by one record; a wider fan-out writes several.
const OWED_MAX: usize = 4_096;

/// Bits of the grant byte in a record, above the quality of service.
///
/// The record is what the first will of this owner became, instead of owing it anything.
pub(crate) const GRANT_WILL: u8 = 0x04;
/// The reader is to see the retain flag.
pub(crate) const GRANT_RETAIN: u8 = 0x08;
/// It may have been sent before under another ordinal.
pub(crate) const GRANT_DUP: u8 = 0x10;
/// It came out of a queue.
pub(crate) const GRANT_ASKED: u8 = 0x20;
/// The record remembers a number of this owner's publication instead of owing it anything.
pub(crate) const GRANT_RECEIVED: u8 = 0x40;
/// Where an ordinal would stand, a publication's number has this bit, so that it is never taken
/// for one.
pub(crate) const RECEIVED: u64 = 1 << 62;
/// The record settles this ordinal of this owner instead of owing it.
pub(crate) const GRANT_SETTLES: u8 = 0x80;

/// A reader of the publication at hand.
#[derive(Debug)]
pub(crate) struct Target {
    session: SessionId,
    owner: Option<OwnerNo>,
    qos: u8,
    retain: bool,
    /// Chosen for its group.
    shared: bool,
    subs: SubIds,
}

impl Hub {
    /// The topic of this text, with this byte between its levels, if it was published lately: it
    /// need not be read again. Whether it is a good one is its dialect's to say.
    #[must_use]
    pub fn known_topic(&mut self, sep: u8, text: &[u8]) -> Option<&Topic> {
        self.memo.topic(sep, text)
    }

    /// It is named often though nothing is published there, as what is called is.
    pub fn note_topic(&mut self, realm: RealmId, topic: &Topic) {
        self.memo.name(realm, topic);
    }

    /// Take in a message: owe it to whoever listens, keep it when asked to.
    pub fn publish(
        &mut self,
        now: Now,
        from: Option<SessionId>,
        level: Durability,
        p: &Publication,
    ) -> Result<Receipt, Held> {
        let received = self.received_from(from, p);
        self.take_in(now, (from, None), level, &mut p.clone(), received)
    }

    /// The same for a client that is `who`, and whoever watches is told. What was taken in is
    /// taken out of `p`; what was not stays in it.
    pub fn accept(
        &mut self,
        now: Now,
        (from, who): (SessionId, &Principal),
        level: Durability,
        p: &mut Publication,
    ) -> Result<Receipt, Held> {
        let received = self.received_from(Some(from), p);
        self.take_in(now, (Some(from), Some(who)), level, p, received)
    }

    /// The same, only for these.
    pub fn accept_for(
        &mut self,
        now: Now,
        from: (SessionId, &Principal),
        level: Durability,
        p: &mut Publication,
        audience: Audience,
    ) -> Result<Receipt, Held> {
        self.audience = (!audience.is_open()).then_some(audience);
        let done = self.accept(now, from, level, p);
        self.audience = None;
        done
    }

    /// The same, only for this one, whatever it listens to. It is owed to it like anything else:
    /// within its bounds, and durably if the session is.
    pub fn accept_to(
        &mut self,
        now: Now,
        from: (SessionId, &Principal),
        level: Durability,
        p: &mut Publication,
        to: SessionId,
    ) -> Result<Receipt, Held> {
        self.addressee = Some(to);
        let done = self.accept(now, from, level, p);
        self.addressee = None;
        done
    }

    /// Take in what the broker itself says, only for these. Nothing of it is durable.
    pub fn say_for(
        &mut self,
        now: Now,
        p: &mut Publication,
        audience: Audience,
    ) -> Result<Receipt, Held> {
        self.audience = (!audience.is_open()).then_some(audience);
        let done = self.take_in(now, (None, None), Durability::Memory, p, None);
        self.audience = None;
        done
    }

    /// Does anybody listen there, or is it remembered?
    #[must_use]
    pub fn is_heard(&mut self, realm: RealmId, topic: &Topic) -> bool {
        let Some(r) = self.realms.get(usize::from(realm.0)) else { return false };
        self.matches.clear();
        r.topics.matches(topic, &mut self.matches);
        !self.matches.is_empty()
            || !r.shared.is_empty()
            || r.histories.iter().any(|history| history.is_of(topic))
    }

    /// Does this session listen there, and may it hear that? The numbers it gave to what it
    /// listens by.
    #[must_use]
    pub fn hears(&mut self, id: SessionId, topic: &Topic) -> Option<SubIds> {
        let s = self.sessions.get(id)?;
        let r = self.realms.get(usize::from(s.realm.0))?;
        let receive = Access::Receive(topic);
        if self.policy.checks_receive() && !self.policy.permit(s.principal(), &receive) {
            return None;
        }
        self.matches.clear();
        r.topics.matches(topic, &mut self.matches);
        let place = |leaf| s.subs.binary_search_by_key(leaf, |sub| sub.leaf).ok();
        let own = self.matches.iter().filter_map(place).filter_map(|at| s.subs.get(at));
        let is_there = |leaf| r.shared.filter(leaf).is_some_and(|filter| filter.matches(topic));
        let shared = s.shares().iter().filter(|share| is_there(share.leaf));
        let mut ids =
            own.map(|sub| sub.opts.id).chain(shared.map(|share| share.opts.id)).peekable();
        ids.peek()?;
        Some(ids.filter(|id| *id != 0).collect())
    }

    /// Take in what somebody wanted said. Its record, if `owner` has one, says that it was said.
    pub(crate) fn publish_will(
        &mut self,
        now: Now,
        owner: Option<OwnerNo>,
        level: Durability,
        p: &Publication,
    ) -> Result<Receipt, Held> {
        let said = |owner| Owed { owner, ord: RECEIVED, grant: GRANT_WILL, subs: SubIds::new() };
        self.take_in(now, (None, None), level, &mut p.clone(), owner.map(said))
    }

    /// `entry`: what its record says of its publisher.
    fn take_in(
        &mut self,
        now: Now,
        (from, who): (Option<SessionId>, Option<&Principal>),
        level: Durability,
        p: &mut Publication,
        entry: Option<Owed>,
    ) -> Result<Receipt, Held> {
        // Forgetting a value gives memory back: it must not wait for memory.
        let forgets = p.retain && p.body.is_empty();
        if self.memory_is_short() && !forgets {
            let who = self.label_of(from);
            self.limited(now, &who, Limit::memory_bytes_max);
            return Err(Held::Memory);
        }
        self.find_readers(from, p);
        self.tell_overfull(now, p);
        let matched = self.targets.len() as u32;
        let keep = p.retain && self.may_keep(now, from, p);
        let noted = self.pasts.any && self.addressee.is_none();
        let noting = if noted { self.note(p) } else { None };
        let past = noting.as_ref().and_then(Noting::record);
        let spots = self.write_down(now, from, level, p, (keep, entry, past))?;
        let spots: &[Spot] = &spots;
        if keep {
            self.keep_value(now, p, spots.first().copied());
        }
        if let Some(who) = who {
            let (topic, len, qos, retain) = (&p.topic, p.body.len(), p.qos, p.retain);
            self.observer.see(now, &Event::Published { who, topic, len, qos, retain });
            self.observer.payload(topic, &p.props, &p.body);
        }
        self.stats.add(Counter::PayloadReceived, p.body.len() as u64);
        if let Some(noting) = noting {
            self.remember(now, p, noting, spots.first());
        }
        self.owe_all(now, p, spots);
        if let (Some(from), Some(packet)) = (from, p.inbound) {
            self.hold_inbound(from, packet);
        }
        let publisher = from.and_then(|from| self.sessions.get(from));
        self.stats.received(publisher.map_or(Tongue::Broker, |s| s.tongue), p.qos);
        let after = after(level, spots.last().copied());
        if p.qos > 0 {
            self.timings.on_published(now, level, after, self.synced());
        }
        Ok(Receipt { after, matched })
    }

    /// Readers in trie order, each once, with the best quality any of its subscriptions grants.
    pub(super) fn find_readers(&mut self, from: Option<SessionId>, p: &Publication) {
        self.publish_no += 1;
        self.targets.clear();
        self.matches.clear();
        self.apart = false;
        self.overfull.clear();
        if let Some(to) = self.addressee {
            return self.find_addressee(to, p);
        }
        let Some(realm) = self.realms.get(usize::from(p.realm.0)) else { return };
        self.memo.find(realm, p, &mut self.matches);
        self.chosen.clear();
        if !realm.shared.is_empty() {
            self.choose_all(from, p);
        }
        let checks = self.policy.checks_receive();
        let queued_max = self.limits.queued_max;
        let queued_bytes_max = self.limits.queued_bytes_max;
        let Some(realm) = self.realms.get(usize::from(p.realm.0)) else { return };
        let leaves = self.matches.iter().filter_map(|leaf| realm.topics.leaf(*leaf));
        let all = leaves.flatten().map(|member| (member, None));
        let chosen = self.chosen.iter().map(|(member, group)| (member, Some(*group)));
        for (member, group) in all.chain(chosen) {
            let Some(s) = self.sessions.get_mut(member.session) else { continue };
            // One without any has ended, and was not taken from here yet.
            let gone = group.is_none() && s.subs.is_empty();
            if gone || (member.opts.no_local && from == Some(member.session)) {
                continue;
            }
            if let Some(audience) = &mut self.audience
                && !audience.has(s, member.opts.id, &self.parties, &self.interests)
            {
                continue;
            }
            let qos = p.qos.min(member.opts.qos).min(2);
            let sub = (member.opts.id != 0).then_some(member.opts.id);
            let named = sub.is_some() || group.is_some();
            let seen = (s.stamp == self.publish_no).then_some(s.stamp_at as usize);
            if let Some(t) = seen.and_then(|at| self.targets.get_mut(at)) {
                t.qos = t.qos.max(qos);
                t.subs.extend(sub.into_iter().chain(group));
                t.shared |= group.is_some();
                t.retain |= p.retain && member.opts.as_published;
                continue;
            }
            if checks && !self.policy.permit(s.principal(), &Access::Receive(&p.topic)) {
                continue;
            }
            if qos > 0
                && let (count, bytes) = s.outbox.waiting()
                && (count >= queued_max || bytes >= queued_bytes_max)
            {
                self.overfull.push((member.session, count < queued_max));
                continue;
            }
            // Who holds on to a message beyond the turn must not hold on to the read buffer
            // it came in: that is many times what the meter knows of.
            self.apart |= s.conn.is_none() || s.lagging;
            (s.stamp, s.stamp_at) = (self.publish_no, self.targets.len() as u32);
            self.targets.push(Target {
                session: member.session,
                owner: s.owner,
                qos,
                retain: p.retain && member.opts.as_published,
                shared: group.is_some(),
                // Nearly always nothing: said so, it costs nothing.
                subs: if named { sub.into_iter().chain(group).collect() } else { SubIds::new() },
            });
        }
    }

    /// The one it is for, if that may have it and is not owed as much as it may be.
    fn find_addressee(&mut self, to: SessionId, p: &Publication) {
        let most = (self.limits.queued_max, self.limits.queued_bytes_max);
        let checks = self.policy.checks_receive();
        let here = |s: &&mut Session| s.realm == p.realm && !s.ended;
        let Some(s) = self.sessions.get_mut(to).filter(here) else { return };
        if checks && !self.policy.permit(s.principal(), &Access::Receive(&p.topic)) {
            return;
        }
        let (count, bytes) = s.outbox.waiting();
        if p.qos > 0 && (count >= most.0 || bytes >= most.1) {
            return self.overfull.push((to, count < most.0));
        }
        self.apart = s.conn.is_none() || s.lagging;
        self.targets.push(Target {
            session: to,
            owner: s.owner,
            qos: p.qos.min(2),
            retain: false,
            shared: false,
            subs: SubIds::new(),
        });
    }

    /// Readers that are owed as much as they may be get nothing more, and it is said.
    fn tell_overfull(&mut self, now: Now, p: &Publication) {
        for (id, bytes) in core::mem::take(&mut self.overfull) {
            let reason = Loss::Owed;
            self.stats.count(reason.counter());
            if let Some(s) = self.sessions.get_mut(id) {
                s.dropped = s.dropped.saturating_add(1);
            }
            let user = self.label_of(Some(id));
            let limit = if bytes { Limit::queued_bytes_max } else { Limit::queued_max };
            self.limited(now, &user, limit);
            self.observer.see(now, &Event::Dropped { user: &user, topic: &p.topic, reason });
        }
    }

    /// A reader gets no reference because it may hold no more of them (`long`), or no more bytes.
    #[cold]
    fn tell_dropped(
        &mut self,
        now: Now,
        user: &Bytes,
        topic: Option<&Topic>,
        reason: Loss,
        (bytes, long): (usize, bool),
    ) {
        self.stats.count(reason.counter());
        if let Some(topic) = topic {
            self.observer.see(now, &Event::Dropped { user, topic, reason });
        }
        let limit = if bytes < self.limits.outbox_bytes_max {
            Limit::memory_low_percent
        } else if long {
            Limit::outbox_len_max
        } else {
            Limit::outbox_bytes_max
        };
        self.limited(now, user, limit);
    }

    /// One member of every group that listens.
    fn choose_all(&mut self, from: Option<SessionId>, p: &Publication) {
        let Some(realm) = self.realms.get(usize::from(p.realm.0)) else { return };
        let (mut leaves, mut chosen) = (Vec::new(), core::mem::take(&mut self.chosen));
        realm.shared.matches(&p.topic, &mut leaves);
        for leaf in leaves {
            self.choose(p.realm, leaf, None, &p.topic, from, &mut chosen);
        }
        self.chosen = chosen;
    }

    /// The record, or the few records, of this publication; none when nothing about it is durable.
    fn write_down(
        &mut self,
        now: Now,
        from: Option<SessionId>,
        level: Durability,
        p: &Publication,
        (keep, entry, past): (bool, Option<Owed>, Option<&PastRecord>),
    ) -> Result<SmallVec<[Spot; 1]>, Held> {
        let mut spots = SmallVec::new();
        if level == Durability::Memory || self.journal.is_none() || self.is_fleeting(p.realm) {
            // A durable value must not outlive its successor; a sick disk has promised nothing.
            return match if keep { self.write_clear(p) } else { Ok(spots) } {
                Ok(_) | Err(Held::Failed) => Ok(SmallVec::new()),
                Err(why) => Err(why),
            };
        }
        let mut owed = self.debts();
        let (keep, clears) = (keep && !p.body.is_empty(), p.retain && p.body.is_empty());
        let wills = entry.as_ref().is_some_and(|entry| entry.grant == GRANT_WILL);
        let received = from.zip(entry.clone());
        if owed.is_empty() && !keep && !wills && past.is_none() {
            return self.write_little(p, clears, received);
        }
        let mut debts = owed.len();
        owed.extend(entry);
        self.scratch.clear();
        p.topic.encode(&mut self.scratch);
        let realm = self.number_realm(p.realm)?;
        let lists = past.map_or(0, |past| past.lists.len());
        let each = self.scratch.len() + p.props.len() + p.body.len() + lists + 128;
        let records = owed.len().div_ceil(OWED_MAX).max(1);
        let entries: usize = owed.iter().map(|o| 24 + 4 * o.subs.len()).sum();
        let room = |j: &Journal| j.room_for(Class::Growth, each * records + entries);
        if records > 1 && !self.journal.as_ref().is_some_and(room) {
            return Err(Held::Full);
        }
        // Without a body the same record clears the value: owing and clearing happen together.
        let mut retain = keep || clears;
        let mut rest = &owed[..];
        loop {
            let (chunk, more) = rest.split_at(rest.len().min(OWED_MAX));
            let message = MessageRef {
                retain,
                qos: p.qos,
                realm,
                born: now.wall,
                expires: p.expires,
                topic: &self.scratch,
                props: &p.props,
                body: &p.body,
                owed: chunk,
                past: past.filter(|_| spots.is_empty()),
            };
            let Some(journal) = &mut self.journal else { return Ok(spots) };
            let spot = journal.append_message(Class::Growth, &message).map_err(held)?;
            let owned = chunk.len().min(debts);
            debts -= owned;
            self.wrote_debts(now, spot, owned as u64);
            spots.push(spot);
            retain = false;
            rest = more;
            if rest.is_empty() {
                if let Some((id, _)) = received {
                    self.add_home(id, spot);
                    self.note_recorded(id, spot);
                }
                return Ok(spots);
            }
        }
    }

    /// A record was written, with so many debts.
    fn wrote_debts(&mut self, now: Now, spot: Spot, owned: u64) {
        let segment = Journal::segment_of(spot.lsn);
        self.own(segment, owned);
        self.ages.owe(segment, owned, now.wall);
        self.stats.count(Counter::JournalRecords);
        self.stats.add(Counter::JournalBytes, u64::from(spot.len));
    }

    /// What the durable readers of the publication at hand are to be owed.
    fn debts(&self) -> Vec<Owed> {
        let debt = |t: &Target| {
            let owner = t.owner.filter(|_| t.qos > 0)?;
            let s = self.sessions.get(t.session)?;
            let grant = t.qos | if t.retain { GRANT_RETAIN } else { 0 };
            Some(Owed { owner, ord: s.outbox.peek_ordinal(), grant, subs: t.subs.clone() })
        };
        self.targets.iter().filter_map(debt).collect()
    }

    /// Nobody is owed it and it is not kept: that a value is forgotten, and its number.
    fn write_little(
        &mut self,
        p: &Publication,
        clears: bool,
        received: Option<(SessionId, Owed)>,
    ) -> Result<SmallVec<[Spot; 1]>, Held> {
        let mut spots = if clears { self.write_clear(p)? } else { SmallVec::new() };
        if let (Some((id, entry)), Some(packet)) = (received, p.inbound) {
            let record = Record::Received { owner: entry.owner, packet, held: true };
            if let Some(spot) = self.append(Class::Growth, &record)? {
                self.add_home(id, spot);
                self.note_recorded(id, spot);
                spots.push(spot);
            }
        }
        Ok(spots)
    }

    /// The entry that remembers the publication's number, if its sender is one that the journal
    /// knows.
    fn received_from(&self, from: Option<SessionId>, p: &Publication) -> Option<Owed> {
        let packet = p.inbound?;
        let owner = self.sessions.get(from?)?.owner?;
        let ord = RECEIVED | u64::from(packet);
        Some(Owed { owner, ord, grant: GRANT_RECEIVED, subs: SubIds::new() })
    }

    /// An empty retained message forgets the topic's value; durable only if there was one.
    fn write_clear(&mut self, p: &Publication) -> Result<SmallVec<[Spot; 1]>, Held> {
        let mut spots = SmallVec::new();
        let realm = self.realms.get(usize::from(p.realm.0));
        let kept = realm.and_then(|r| r.retained.get(&p.topic));
        if kept.is_some_and(|kept| kept.lsn.is_some()) {
            let mut topic = Vec::new();
            p.topic.encode(&mut topic);
            let realm = self.number_of(p.realm);
            let record = Record::Clear { realm, topic: Bytes::from(topic) };
            spots.extend(self.append(Class::Relief, &record)?);
        }
        Ok(spots)
    }

    /// Room for one more last value? Clearing one always fits, and one is replaced where there is
    /// room for its bytes.
    fn may_keep(&mut self, now: Now, from: Option<SessionId>, p: &Publication) -> bool {
        let Some(realm) = self.realms.get(usize::from(p.realm.0)) else { return false };
        if p.body.is_empty() {
            return true;
        }
        let known = realm.retained.get(&p.topic);
        let bytes = realm.kept_bytes - known.map_or(0, |kept| u64::from(kept.bytes));
        let limit = if bytes + p.body.len() as u64 > self.limits.retained_bytes_max {
            Limit::retained_bytes_max
        } else if known.is_some() {
            return true;
        } else if realm.retained.len() >= self.limits.retained_max {
            Limit::retained_max
        } else if self.storage_is_short() {
            Limit::memory_bytes_max
        } else {
            return true;
        };
        self.stats.count(Counter::DroppedFull);
        let who = self.label_of(from);
        self.limited(now, &who, limit);
        false
    }

    /// What a log calls the session; the broker itself has no name.
    fn label_of(&self, id: Option<SessionId>) -> Bytes {
        let session = id.and_then(|id| self.sessions.get(id));
        session.map(|s| s.label().clone()).unwrap_or_default()
    }

    /// Set or clear the topic's last value.
    pub(super) fn keep_value(&mut self, now: Now, p: &Publication, spot: Option<Spot>) {
        let inline_max =
            if self.storage_is_short() { 0 } else { self.limits.retained_inline_bytes };
        let Some(realm) = self.realms.get_mut(usize::from(p.realm.0)) else { return };
        let old = if p.body.is_empty() {
            realm.retained.remove(&p.topic)
        } else {
            let inline = spot.is_none() || p.body.len() <= inline_max;
            let value = inline.then(|| Inline::of(now, p, &self.stored));
            let (lsn, len) = (spot.map(|s| s.lsn), spot.map_or(0, |s| s.len));
            let bytes = spot.map_or(p.body.len() as u32, |s| s.len);
            realm.kept_bytes += u64::from(bytes);
            let kept = Kept { lsn, len, bytes, expires: p.expires, value };
            self.kept.set(self.kept.bytes() + kept.weight(&p.topic));
            self.fading += usize::from(p.expires != 0);
            if let (Some(spot), Some(journal)) = (spot, &mut self.journal) {
                journal.own(Journal::segment_of(spot.lsn), 1);
            }
            realm.retained.set(&p.topic.detached(), kept)
        };
        realm.kept_bytes -= old.as_ref().map_or(0, |kept| u64::from(kept.bytes));
        let weight = old.as_ref().map_or(0, |kept| kept.weight(&p.topic));
        self.kept.set(self.kept.bytes() - weight);
        self.fading -= usize::from(old.as_ref().is_some_and(|kept| kept.expires != 0));
        if let Some(segment) = old.and_then(|kept| kept.segment()) {
            self.disown(segment, 1);
        }
    }

    /// Put references into outboxes and wake whoever is connected.
    pub(super) fn owe_all(&mut self, now: Now, p: &mut Publication, spots: &[Spot]) {
        let mut targets = core::mem::take(&mut self.targets);
        let room = self.session_room();
        let mut shared: Option<Arc<Message>> = None;
        let (mut durable, mut left) = (0, targets.len());
        for t in targets.drain(..) {
            left -= 1;
            let Some(s) = self.sessions.get_mut(t.session) else { continue };
            let lsn: Option<Lsn> = match (t.owner, t.qos) {
                (Some(_), 1..) if !spots.is_empty() => {
                    durable += 1;
                    spots.get((durable - 1) / OWED_MAX).map(|spot| spot.lsn)
                }
                _ => None,
            };
            let attached = s.conn.is_some();
            if !attached && (t.qos == 0 || !s.durable) {
                self.stats.count(Loss::Away.counter());
                continue;
            }
            let message = match shared.take() {
                Some(message) => message,
                None => self.spares.make(now, &self.meter, p, self.apart),
            };
            if left > 0 {
                shared = Some(Arc::clone(&message));
            }
            let delivery = Delivery {
                message,
                ord: 0,
                qos: t.qos,
                retain: t.retain,
                dup: false,
                asked: false,
                shared: t.shared,
                timed: attached,
                subs: t.subs,
            };
            let full = attached && t.qos > 0 && s.outbox.in_flight() >= s.inflight_max as usize;
            let held = s.outbox.held();
            let fits = s.outbox.fits(delivery.message.weight(), attached, room);
            // The message is gone with the delivery, if that is.
            let topic = if fits { None } else { Some(delivery.message.topic.clone()) };
            if s.outbox.owe(delivery, lsn, attached, fits) == Pushed::Dropped {
                s.dropped = s.dropped.saturating_add(1);
                let user = s.label().clone();
                let reason = if attached { Loss::Outbox } else { Loss::Offline };
                let long = held >= room.len;
                self.tell_dropped(now, &user, topic.as_ref(), reason, (room.bytes, long));
                continue;
            }
            s.outbox.charge_refs(&self.meter);
            if let (Some(conn), false) = (s.conn, core::mem::replace(&mut s.marked, attached)) {
                self.awake.push(conn);
            }
            if full {
                self.stats.reached(Limit::inflight_max);
                if self.told.note_again(now, t.session, s.label(), Limit::inflight_max) {
                    let (conn, who, limit) = (s.conn, &s.label()[..], Limit::inflight_max);
                    self.observer.see(now, &Event::Limited { conn, who, limit });
                }
            }
        }
        self.targets = targets;
    }
}

/// The shared form of a publication. `apart`: it will outlive the turn, so it must not keep a
/// read buffer alive.
pub(crate) fn message_of(now: Now, p: &Publication, meter: &Meter, apart: bool) -> Message {
    let topic = if apart { p.topic.detached() } else { p.topic.clone() };
    let body = if apart { Body::apart(&p.body) } else { p.body.clone().into() };
    let props = if apart { Bytes::copy_from_slice(&p.props) } else { p.props.clone() };
    let (qos, expires, charge) = (p.qos, p.expires, meter.charge(p.weight()));
    let (serial, born, came) = (0, now.wall, now.mono);
    Message { topic, body, props, qos, serial, born, came, expires, charge }
}
