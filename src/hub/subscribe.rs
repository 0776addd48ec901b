//! Floor 2. Subscribe and unsubscribe: a session's place at a filter's leaf.
//!
//! All subscribers of one filter share a leaf; a session knows its leaves, in the order of their
//! numbers, and its place at each, so nobody looks through a thousand subscriptions for one. A
//! durable session's subscription is on record before it is acknowledged. Absent on purpose: the
//! text of a filter (dialects spell), and permission (the peer asks first, because the answer is
//! its protocol's).

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{RealmId, SessionId};
use crate::base::limits::Limit;
use crate::base::time::Now;
use crate::journal::Class;
use crate::journal::record::Record;
use crate::topic::{Filter, FilterTrie, LeafId};

use super::policy::Event;
use super::realm::{Leaf, Member};
use super::retained::Replay;
use super::session::{Session, Share, Sub, SubOpts, SubView};
use super::{Held, Hub, Receipt, after};

/// Who has fewer filters than this gets more of them for longest.
const FEW: usize = 16;

/// What a subscription takes in its session's full record besides its filter.
pub(super) const SUB_BYTES: usize = 24;

/// Nodes and edges of bare filters that are cut in a turn, and what else is cleared away then.
const PRUNED_TURN: usize = 256;

/// What it costs to take one who is gone from a leaf, in nodes, and so many members that are
/// looked through cost another one.
const STEP: usize = 2;
const LOOKED: usize = 64;

/// The answer to a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscribed {
    /// It stands; acknowledge when the receipt says so.
    Yes(Receipt),
    /// The session has as many as it may.
    TooMany,
}

/// Whether what is kept follows a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replays {
    /// It does.
    Always,
    /// It does unless there was one with the same filter.
    IfNew,
    /// It does not.
    Never,
}

/// A session that has ended, and the leaves at which it still stands; it hears nothing there.
#[derive(Debug)]
struct Departed {
    id: SessionId,
    realm: RealmId,
    subs: SmallVec<[Sub; 1]>,
}

/// How many leaves sessions stand at.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// On their own.
    pub(crate) subs: usize,
    /// In groups.
    pub(crate) shares: usize,
    /// Who has gone, first come, first cleared away.
    departed: VecDeque<Departed>,
    /// Leaves of all of those.
    left: usize,
    /// What it has cost in this turn that sessions ended.
    spent: usize,
}

impl Listening {
    /// Of all sessions that are there.
    pub(crate) const fn all(&self) -> usize {
        self.subs + self.shares
    }
}

impl Hub {
    /// Listen. Replaces the options of an equal filter. With a group, in turns with others of that
    /// group, and nothing that is kept follows.
    pub fn subscribe(
        &mut self,
        now: Now,
        id: SessionId,
        filter: &Filter,
        group: Option<&Bytes>,
        opts: SubOpts,
        replays: Replays,
    ) -> Result<Subscribed, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(Subscribed::TooMany) };
        let (realm, owner, level) = (s.realm, s.owner, s.level);
        let known = self.is_subscribed(id, filter, group);
        let wanted = replays == Replays::Always || (replays == Replays::IfNew && !known);
        let kept = self.realm(realm).is_some_and(|r| !r.retained.is_empty());
        let replay = group.is_none() && wanted && kept;
        let mut text = Vec::new();
        filter.encode(&mut text);
        let len = text.len() + group.map_or(0, Bytes::len);
        if !known && let Some(limit) = self.bound_of(s, len) {
            let who = s.label().clone();
            self.limited(now, &who, limit);
            return Ok(Subscribed::TooMany);
        }
        let going = replays == Replays::IfNew && s.replays.iter().any(|r| r.is_for(filter));
        let mut spot = None;
        if let Some(owner) = owner {
            let options = Bytes::copy_from_slice(&opts.encode(replay || going && group.is_none()));
            let (filter, group) = (Bytes::from(text), group.cloned().unwrap_or_default());
            let record = Record::Subscribe { owner, group, filter, options };
            spot = self.append(Class::Growth, &record)?;
            if let Some(spot) = spot {
                self.add_home(id, spot);
            }
        }
        let since = u32::try_from(now.wall / 1_000).unwrap_or(u32::MAX);
        match group {
            Some(group) => drop(self.join_group(id, realm, filter, group, opts, since)),
            None => self.join(id, realm, filter, opts, since),
        }
        if known
            && group.is_none()
            && let Some(s) = self.sessions.get_mut(id)
            && replays != Replays::IfNew
        {
            s.replays.retain(|r| !r.is_for(filter));
        }
        if let Some(s) = self.sessions.get_mut(id) {
            if replay {
                s.replays.open().push_back(Replay::new(filter.detached(), opts, false));
            }
            let who = s.principal().clone();
            self.observer.see(now, &Event::Subscribed { who: &who, filter });
        }
        self.wake(id);
        Ok(Subscribed::Yes(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// Is there time in this turn for a filter with this text, to come or to go? Whoever speaks
    /// for the session asks before it reads the filter.
    pub fn take_on(&mut self, id: SessionId, text: &[u8]) -> Result<(), Held> {
        self.effort.takes_on(id, text).then_some(()).ok_or(Held::Turn)
    }

    /// What the session asks for under this filter, on its own.
    pub(crate) fn opts_of(&self, id: SessionId, filter: &Filter) -> Option<SubOpts> {
        let s = self.session(id)?;
        let leaf = self.realm(s.realm)?.topics.find(filter)?;
        s.subs.iter().find(|sub| sub.leaf == leaf).map(|sub| sub.opts)
    }

    fn is_subscribed(&self, id: SessionId, filter: &Filter, group: Option<&Bytes>) -> bool {
        let Some(s) = self.sessions.get(id) else { return false };
        let Some(r) = self.realm(s.realm) else { return false };
        match group {
            None => r.topics.find(filter).is_some_and(|leaf| place_of(&s.subs, leaf).is_ok()),
            Some(name) => r.shared.find(filter).is_some_and(|leaf| {
                s.shares().iter().any(|share| share.leaf == leaf && share.group == *name)
            }),
        }
    }

    /// Which bound stands in the way of another filter of this session, if one does.
    fn bound_of(&self, s: &Session, len: usize) -> Option<Limit> {
        if self.has_no_place_for(s, len) {
            return Some(Limit::subscriptions_max);
        }
        let many = s.subs.len() + s.shares().len() >= FEW;
        let max = self.limits.filters_bytes_max;
        let most = if many { max / 4 * 3 } else { max };
        (self.filters_heap() >= most).then_some(Limit::filters_bytes_max)
    }

    /// Memory of all filters, about, with what the sessions know of theirs.
    #[must_use]
    pub fn filters_heap(&self) -> usize {
        let Listening { subs, shares, left, .. } = &self.listening;
        let kept = (subs + left) * size_of::<Sub>() + shares * size_of::<Share>();
        self.realms.iter().map(|r| r.topics.heap() + r.shared.heap()).sum::<usize>() + kept
    }

    /// All of them must fit into one record, or the journal could never carry it forward.
    fn has_no_place_for(&self, s: &Session, len: usize) -> bool {
        let shared: usize = s.shares().iter().map(|share| share.len as usize).sum();
        let bytes_max = self.limits.segment_bytes as usize / 2;
        s.subs.len() + s.shares().len() >= self.limits.subscriptions_max
            || s.subs_bytes as usize + shared + len + SUB_BYTES > bytes_max
    }

    /// Subscriptions of a session.
    #[must_use]
    pub fn subs_len(&self, id: SessionId) -> usize {
        self.session(id).map_or(0, |s| s.subs.len() + s.shares().len())
    }

    /// Hang the session at the filter's leaf, or change what it asked for there.
    pub(crate) fn join(
        &mut self,
        id: SessionId,
        realm: RealmId,
        filter: &Filter,
        opts: SubOpts,
        since: u32,
    ) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let Some(s) = self.sessions.get_mut(id) else { return };
        let leaf = match r.topics.find(filter) {
            Some(leaf) => leaf,
            None => r.topics.entry(&filter.detached(), Leaf::new),
        };
        let Some(members) = r.topics.leaf_mut(leaf) else { return };
        let at = match place_of(&s.subs, leaf) {
            Err(at) => at,
            Ok(at) => {
                let Some(sub) = s.subs.get_mut(at) else { return };
                (sub.opts, sub.since) = (opts, since);
                if let Some(member) = members.get_mut(sub.slot as usize) {
                    member.opts = opts;
                }
                return;
            }
        };
        let mut text = Vec::new();
        filter.encode(&mut text);
        let len = (text.len() + SUB_BYTES) as u32;
        s.subs_bytes += len;
        s.subs.insert(at, Sub { leaf, slot: members.len() as u32, opts, len, since });
        members.push(Member { session: id, opts });
        self.listening.subs += 1;
    }

    /// Stop listening. `None`: there was no such subscription.
    pub fn unsubscribe(
        &mut self,
        now: Now,
        id: SessionId,
        filter: &Filter,
        group: Option<&Bytes>,
    ) -> Result<Option<Receipt>, Held> {
        if !self.is_subscribed(id, filter, group) {
            return Ok(None);
        }
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let (realm, owner, level) = (s.realm, s.owner, s.level);
        let mut spot = None;
        if let Some(owner) = owner {
            let mut text = Vec::new();
            filter.encode(&mut text);
            let (filter, group) = (Bytes::from(text), group.cloned().unwrap_or_default());
            let record = Record::Unsubscribe { owner, group, filter };
            spot = self.append(Class::Relief, &record)?;
        }
        let leaf = self.realm(realm).and_then(|r| match group {
            Some(_) => r.shared.find(filter),
            None => r.topics.find(filter),
        });
        match (leaf, group) {
            (Some(leaf), Some(group)) => self.leave_group(id, realm, leaf, group),
            (Some(leaf), None) => self.leave(id, realm, leaf),
            (None, _) => {}
        }
        if let Some(s) = self.sessions.get_mut(id) {
            if group.is_none() {
                s.replays.retain(|r| !r.is_for(filter));
            }
            let who = s.principal().clone();
            self.observer.see(now, &Event::Unsubscribed { who: &who, filter });
        }
        Ok(Some(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// Take the session from a leaf; the last one out removes it.
    fn leave(&mut self, id: SessionId, realm: RealmId, leaf: LeafId) {
        if self.step_out(id, realm, leaf)
            && let Some(r) = self.realms.get_mut(usize::from(realm.0))
        {
            r.topics.remove(leaf);
        }
    }

    /// Take the session from a leaf. True: nobody is left there.
    fn step_out(&mut self, id: SessionId, realm: RealmId, leaf: LeafId) -> bool {
        let Some(s) = self.sessions.get_mut(id) else { return false };
        let Ok(at) = place_of(&s.subs, leaf) else { return false };
        let sub = s.subs.remove(at);
        self.listening.subs -= 1;
        s.subs_bytes -= sub.len;
        self.take_out(realm, leaf, sub.slot as usize)
    }

    /// Take whoever stands there from a leaf; the last one stands there then. True: nobody is left.
    fn take_out(&mut self, realm: RealmId, leaf: LeafId, slot: usize) -> bool {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return false };
        let Some(members) = r.topics.leaf_mut(leaf) else { return false };
        if slot < members.len() {
            members.swap_remove(slot);
        }
        let (bare, moved) = (members.is_empty(), members.get(slot).map(|m| m.session));
        if let Some(moved) = moved.and_then(|m| self.sessions.get_mut(m))
            && let Ok(at) = place_of(&moved.subs, leaf)
            && let Some(sub) = moved.subs.get_mut(at)
        {
            sub.slot = slot as u32;
        }
        bare
    }

    /// Leave everywhere. To step out of a thousand leaves takes long, and so does cutting a deep
    /// filter: when a turn has had its share of that, the others are left as they are, with one
    /// who is nobody's session any more, and are cleared away later.
    pub(crate) fn leave_all(&mut self, id: SessionId) {
        while self.listening.spent < PRUNED_TURN {
            let last = self.sessions.get(id).and_then(|s| Some((s.realm, s.subs.last()?.leaf)));
            let Some((realm, leaf)) = last else { break };
            let before = self.realm(realm).map_or(0, |r| r.topics.weight());
            self.leave(id, realm, leaf);
            let after = self.realm(realm).map_or(0, |r| r.topics.weight());
            self.listening.spent += STEP + before.saturating_sub(after);
        }
        if let Some(s) = self.sessions.get_mut(id)
            && !s.subs.is_empty()
        {
            let subs = core::mem::take(&mut s.subs);
            s.subs_bytes = 0;
            self.listening.subs -= subs.len();
            self.listening.left += subs.len();
            self.listening.departed.push_back(Departed { id, realm: s.realm, subs });
        }
        while let Some((realm, leaf, group)) = self
            .sessions
            .get(id)
            .and_then(|s| s.shares().last().map(|share| (s.realm, share.leaf, share.group.clone())))
        {
            let bare = self.step_out_of_group(id, realm, leaf, &group);
            let Some(r) = self.realms.get_mut(usize::from(realm.0)).filter(|_| bare) else {
                continue;
            };
            match self.listening.spent < PRUNED_TURN {
                true => {
                    let before = r.shared.weight();
                    r.shared.remove(leaf);
                    self.listening.spent += STEP + before.saturating_sub(r.shared.weight());
                }
                false => r.bare.1.push_back(leaf),
            }
        }
    }

    /// Are there filters that ended sessions have left bare, or have not left yet?
    #[must_use]
    pub fn is_overgrown(&self) -> bool {
        !self.listening.departed.is_empty()
            || self.realms.iter().any(|r| !r.bare.0.is_empty() || !r.bare.1.is_empty())
    }

    /// Clear away some of them.
    pub fn prune_some(&mut self) {
        let mut left = PRUNED_TURN;
        self.listening.spent = 0;
        self.usher_out(&mut left);
        for r in &mut self.realms {
            prune(&mut r.topics, &mut r.bare.0, Leaf::is_empty, &mut left);
            prune(&mut r.shared, &mut r.bare.1, Vec::is_empty, &mut left);
        }
    }

    /// Take those who are gone from leaves while there is time left.
    fn usher_out(&mut self, left: &mut usize) {
        while *left > 0
            && let Some(gone) = self.listening.departed.front_mut()
        {
            let (id, realm) = (gone.id, gone.realm);
            let Some(sub) = gone.subs.pop() else {
                self.listening.departed.pop_front();
                continue;
            };
            self.listening.left -= 1;
            let looked = self.see_off(id, realm, &sub);
            *left = left.saturating_sub(STEP + looked / LOOKED);
        }
        if self.listening.departed.is_empty() {
            self.listening.departed = VecDeque::new();
        }
    }

    /// Take one who is gone from a leaf. Nobody has told it when it was moved there: then it is
    /// looked for, among so many.
    fn see_off(&mut self, id: SessionId, realm: RealmId, sub: &Sub) -> usize {
        let Some(members) = self.realm(realm).and_then(|r| r.topics.leaf(sub.leaf)) else {
            return 0;
        };
        let (known, is_it) = (sub.slot as usize, |member: &Member| member.session == id);
        let (slot, looked) = match members.get(known).is_some_and(is_it) {
            true => (Some(known), 0),
            false => (members.iter().position(is_it), members.len()),
        };
        let bare = slot.is_some_and(|slot| self.take_out(realm, sub.leaf, slot));
        if bare && let Some(r) = self.realms.get_mut(usize::from(realm.0)) {
            r.bare.0.push_back(sub.leaf);
        }
        looked
    }

    /// A session's subscriptions as plain values.
    #[must_use]
    pub fn subscriptions(&self, id: SessionId) -> Vec<SubView> {
        self.subscriptions_from(id, 0, usize::MAX)
    }

    /// Some of them, from one place on: what is asked for alone is looked up.
    #[must_use]
    pub fn subscriptions_from(&self, id: SessionId, from: usize, most: usize) -> Vec<SubView> {
        let Some(s) = self.sessions.get(id) else { return Vec::new() };
        let Some(r) = self.realm(s.realm) else { return Vec::new() };
        let view = |sub: &Sub| {
            let filter = r.topics.filter(sub.leaf)?;
            let replaying = s.replays.iter().any(|replay| replay.is_for(&filter));
            let (group, opts, since) = (Bytes::new(), sub.opts, sub.since);
            Some(SubView { group, filter, opts, replaying, since })
        };
        let shared = |share: &Share| {
            let filter = r.shared.filter(share.leaf)?;
            let (group, opts) = (share.group.clone(), share.opts);
            Some(SubView { group, filter, opts, replaying: false, since: share.since })
        };
        let own = s.subs.iter().skip(from).filter_map(view);
        let shared = s.shares().iter().skip(from.saturating_sub(s.subs.len())).filter_map(shared);
        own.chain(shared).take(most).collect()
    }
}

/// Cut bare filters while there is time left. Somebody may listen there again by now, or another
/// filter have the number. Those that were left first go first, which are those of the highest
/// numbers: a number that came free last is given out first, and a session whose filters have
/// rising numbers only ever appends to its list.
fn prune<L>(
    filters: &mut FilterTrie<L>,
    bare: &mut VecDeque<LeafId>,
    is_bare: impl Fn(&L) -> bool,
    left: &mut usize,
) {
    while *left > 0
        && let Some(leaf) = bare.pop_front()
    {
        let before = filters.weight();
        if filters.leaf(leaf).is_some_and(&is_bare) {
            filters.remove(leaf);
        }
        *left = left.saturating_sub(1 + before - filters.weight());
    }
    if bare.is_empty() {
        *bare = VecDeque::new();
    }
}

/// Where the subscription at this leaf stands, or would stand.
fn place_of(subs: &[Sub], leaf: LeafId) -> Result<usize, usize> {
    subs.binary_search_by_key(&leaf, |sub| sub.leaf)
}
