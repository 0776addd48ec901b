//! Floor 2. Subscribe and unsubscribe: a session's place at a filter's leaf.
//!
//! All subscribers of one filter share a leaf; a session knows its leaves and its place at each,
//! so leaving is O(1). A durable session's subscription is on record before it is acknowledged.
//! Absent on purpose: the text of a filter (dialects spell), and permission (the peer asks first,
//! because the answer is its protocol's).

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::time::Now;
use crate::journal::Class;
use crate::journal::record::Record;
use crate::topic::{Filter, LeafId};

use super::policy::Event;
use super::realm::Member;
use super::retained::Replay;
use super::session::{Sub, SubOpts, SubView};
use super::{Held, Hub, Receipt, after};

/// What a subscription takes in its session's full record besides its filter.
const SUB_BYTES: usize = 10;

/// The answer to a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscribed {
    /// It stands; acknowledge when the receipt says so.
    Yes(Receipt),
    /// The session has as many as it may.
    TooMany,
}

impl Hub {
    /// Listen. Replaces the options of an equal filter. With `replay`, what is kept follows.
    pub fn subscribe(
        &mut self,
        now: Now,
        id: SessionId,
        filter: &Filter,
        opts: SubOpts,
        replay: bool,
    ) -> Result<Subscribed, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(Subscribed::TooMany) };
        let (realm, owner, level) = (s.realm, s.owner, s.level);
        let leaf = self.realm(realm).and_then(|r| r.topics.find(filter));
        let known = leaf.is_some_and(|leaf| s.subs.iter().any(|sub| sub.leaf == leaf));
        let mut text = Vec::new();
        filter.encode(&mut text);
        // All of them must fit into one record, or the journal could never carry it forward.
        let bytes: usize = s.subs.iter().map(|sub| sub.len as usize).sum();
        let bytes_max = self.limits.segment_bytes as usize / 2;
        let full = s.subs.len() >= self.limits.subscriptions_max
            || bytes + text.len() + SUB_BYTES > bytes_max;
        if !known && full {
            return Ok(Subscribed::TooMany);
        }
        let mut spot = None;
        if let Some(owner) = owner {
            let options = Bytes::copy_from_slice(&opts.encode(replay));
            let record = Record::Subscribe { owner, filter: Bytes::from(text), options };
            spot = self.append(Class::Growth, &record)?;
            if let Some(spot) = spot {
                self.add_home(id, spot);
            }
        }
        self.join(id, realm, filter, opts);
        if let Some(s) = self.sessions.get_mut(id) {
            s.replays.retain(|r| !r.is_for(filter));
            if replay {
                s.replays.push_back(Replay::new(filter.detached(), opts, false));
            }
            let who = s.principal.clone();
            self.observer.see(now, &Event::Subscribed { who: &who, filter });
        }
        self.wake(id);
        Ok(Subscribed::Yes(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// Hang the session at the filter's leaf, or change what it asked for there.
    pub(crate) fn join(&mut self, id: SessionId, realm: RealmId, filter: &Filter, opts: SubOpts) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let Some(s) = self.sessions.get_mut(id) else { return };
        let leaf = match r.topics.find(filter) {
            Some(leaf) => leaf,
            None => r.topics.entry(&filter.detached(), Vec::new),
        };
        let Some(members) = r.topics.leaf_mut(leaf) else { return };
        if let Some(sub) = s.subs.iter_mut().find(|sub| sub.leaf == leaf) {
            sub.opts = opts;
            if let Some(member) = members.get_mut(sub.slot as usize) {
                member.opts = opts;
            }
            return;
        }
        let mut text = Vec::new();
        filter.encode(&mut text);
        let len = (text.len() + SUB_BYTES) as u32;
        s.subs.push(Sub { leaf, slot: members.len() as u32, opts, len });
        members.push(Member { session: id, opts });
    }

    /// Stop listening. `None`: there was no such subscription.
    pub fn unsubscribe(
        &mut self,
        now: Now,
        id: SessionId,
        filter: &Filter,
    ) -> Result<Option<Receipt>, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let (realm, owner, level) = (s.realm, s.owner, s.level);
        let leaf = self.realm(realm).and_then(|r| r.topics.find(filter));
        let Some(leaf) = leaf.filter(|leaf| s.subs.iter().any(|sub| sub.leaf == *leaf)) else {
            return Ok(None);
        };
        let mut spot = None;
        if let Some(owner) = owner {
            let mut text = Vec::new();
            filter.encode(&mut text);
            let record = Record::Unsubscribe { owner, filter: Bytes::from(text) };
            spot = self.append(Class::Relief, &record)?;
        }
        self.leave(id, realm, leaf);
        if let Some(s) = self.sessions.get_mut(id) {
            s.replays.retain(|r| !r.is_for(filter));
            let who = s.principal.clone();
            self.observer.see(now, &Event::Unsubscribed { who: &who, filter });
        }
        Ok(Some(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// Take the session from a leaf; the last one out removes it.
    pub(crate) fn leave(&mut self, id: SessionId, realm: RealmId, leaf: LeafId) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let Some(s) = self.sessions.get_mut(id) else { return };
        let Some(at) = s.subs.iter().position(|sub| sub.leaf == leaf) else { return };
        let slot = s.subs.swap_remove(at).slot as usize;
        let Some(members) = r.topics.leaf_mut(leaf) else { return };
        if slot < members.len() {
            members.swap_remove(slot);
        }
        let moved = members.get(slot).map(|m| m.session);
        if members.is_empty() {
            r.topics.remove(leaf);
        } else if let Some(moved) = moved.and_then(|m| self.sessions.get_mut(m)) {
            for sub in moved.subs.iter_mut().filter(|sub| sub.leaf == leaf) {
                sub.slot = slot as u32;
            }
        }
    }

    /// Leave everywhere.
    pub(crate) fn leave_all(&mut self, id: SessionId) {
        while let Some((realm, leaf)) =
            self.sessions.get(id).and_then(|s| Some((s.realm, s.subs.last()?.leaf)))
        {
            self.leave(id, realm, leaf);
        }
    }

    /// A session's subscriptions as plain values.
    #[must_use]
    pub fn subscriptions(&self, id: SessionId) -> Vec<SubView> {
        let Some(s) = self.sessions.get(id) else { return Vec::new() };
        let Some(r) = self.realm(s.realm) else { return Vec::new() };
        let view = |sub: &Sub| {
            let filter = r.topics.filter(sub.leaf)?;
            let replaying = s.replays.iter().any(|replay| replay.is_for(&filter));
            Some(SubView { filter, opts: sub.opts, replaying })
        };
        s.subs.iter().filter_map(view).collect()
    }
}
