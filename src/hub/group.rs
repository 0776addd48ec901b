//! Floor 2. Groups: of all members that listen to a filter together, one is told.
//!
//! Groups hang in a trie of their own, so that publishing costs nothing more where nobody shares.
//! Who is connected and has room is preferred to who is not; among equals the strategy chooses. A
//! choice stands as long as the session: what it is owed is not given to another meanwhile.
//! A reader that would be told anyway is not told twice; its copy carries both subscriptions'
//! numbers, and one for each group it was chosen for. When a member's session ends, what memory
//! still has of its share goes to another member of just those groups; what only the journal had
//! ends with the session. Absent on purpose: kept values (a group is not told what was, only what
//! is).

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::limits;
use crate::base::stats::Counter;
use crate::topic::{Filter, LeafId, Topic};

use super::Hub;
use super::message::{Delivery, SHARE};
use super::policy::Access;
use super::realm::Member;
use super::session::{Share, SubOpts};

/// Members that take turns.
#[derive(Debug)]
pub struct Group {
    /// Its name: groups of one name and different filters are different groups.
    pub name: Bytes,
    /// What stands for it and its filter in a delivery: a journal has it too, so it is the same
    /// in every life of the broker.
    tag: u32,
    /// The members.
    pub members: Vec<Member>,
    /// Whose turn it was last.
    turn: usize,
}

impl Hub {
    /// For each group of this leaf, or `only` that one, the member that is told, and the group.
    pub(super) fn choose(
        &mut self,
        realm: RealmId,
        leaf: LeafId,
        only: Option<u32>,
        topic: &Topic,
        from: Option<SessionId>,
        into: &mut Vec<(Member, u32)>,
    ) {
        let checks = self.policy.checks_receive();
        let strategy = self.limits.share_strategy;
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        for group in r.shared.leaf_mut(leaf).into_iter().flatten() {
            if only.is_some_and(|tag| tag != group.tag) {
                continue;
            }
            let n = group.members.len();
            let first = match (strategy, from) {
                (limits::ShareStrategy::Sticky, Some(id)) => id.index as usize % n.max(1),
                _ => (group.turn + 1) % n.max(1),
            };
            // Connected with nothing waiting, connected, away: in this order.
            let mut best: Option<((u8, u64), usize)> = None;
            for i in 0..n {
                let at = (first + i) % n;
                let Some(s) = group.members.get(at).and_then(|m| self.sessions.get(m.session))
                else {
                    continue;
                };
                // Who may not be told is passed over, not told in vain.
                if checks && !self.policy.permit(s.principal(), &Access::Receive(topic)) {
                    continue;
                }
                let class = match (s.conn.is_some(), s.lagging, s.durable) {
                    (true, false, _) => 0,
                    (true, true, _) => 1,
                    (false, _, true) => 2,
                    (false, _, false) => continue,
                };
                let owed = match strategy {
                    limits::ShareStrategy::LeastOwed => {
                        s.outbox.owed() + s.outbox.in_flight() as u64
                    }
                    _ => 0,
                };
                if best.is_none_or(|(least, _)| (class, owed) < least) {
                    best = Some(((class, owed), at));
                }
                if strategy != limits::ShareStrategy::LeastOwed && class == 0 {
                    break;
                }
            }
            if let Some((_, at)) = best {
                group.turn = at;
                into.extend(group.members.get(at).map(|member| (*member, group.tag)));
            }
        }
    }

    /// The session ends, and is no member any more: what it was chosen for and did not take goes
    /// to others of those groups, as a new delivery.
    pub(crate) fn hand_on(&mut self, id: SessionId) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        let (realm, left) = (s.realm, s.outbox.take_shared());
        let mut leaves = Vec::new();
        for delivery in left {
            let topic = delivery.message.topic.clone();
            let Some(r) = self.realm(realm) else { return };
            leaves.clear();
            r.shared.matches(&topic, &mut leaves);
            for tag in delivery.subs.iter().copied().filter(|id| id & SHARE != 0) {
                let mut chosen = Vec::new();
                for leaf in &leaves {
                    self.choose(realm, *leaf, Some(tag), &topic, None, &mut chosen);
                }
                let Some((member, _)) = chosen.first() else { continue };
                let id = (member.opts.id != 0).then_some(member.opts.id);
                let next = Delivery {
                    ord: 0,
                    qos: delivery.message.qos.min(member.opts.qos),
                    retain: delivery.retain && member.opts.as_published,
                    dup: false,
                    timed: false,
                    subs: id.into_iter().chain([tag]).collect(),
                    ..delivery.clone()
                };
                if !self.owe_one(member.session, next) {
                    self.stats.count(Counter::DroppedFull);
                }
                self.wake(member.session);
            }
        }
    }

    /// Make the session a member, or change what it asked for. True: it was none before.
    pub(crate) fn join_group(
        &mut self,
        id: SessionId,
        realm: RealmId,
        filter: &Filter,
        name: &Bytes,
        opts: SubOpts,
        since: u32,
    ) -> bool {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return false };
        let Some(s) = self.sessions.get_mut(id) else { return false };
        let mut text = Vec::new();
        filter.encode(&mut text);
        let leaf = match r.shared.find(filter) {
            Some(leaf) => leaf,
            None => r.shared.entry(&filter.detached(), Vec::new),
        };
        let Some(groups) = r.shared.leaf_mut(leaf) else { return false };
        let at = groups.iter().position(|g| g.name == name).unwrap_or_else(|| {
            let name = Bytes::copy_from_slice(name);
            groups.push(Group { tag: tag_of(&text, &name), name, members: Vec::new(), turn: 0 });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(at) else { return false };
        let shares = &mut s.extra_mut().shares;
        let mine = shares.iter_mut().find(|share| share.leaf == leaf && share.group == name);
        if let Some(mine) = mine {
            (mine.opts, mine.since) = (opts, since);
            let member = group.members.iter_mut().find(|m| m.session == id);
            member.into_iter().for_each(|m| m.opts = opts);
            return false;
        }
        let len = (text.len() + name.len() + super::subscribe::SUB_BYTES) as u32;
        shares.push(Share { leaf, group: group.name.clone(), opts, len, since });
        group.members.push(Member { session: id, opts });
        self.listening.shares += 1;
        true
    }

    /// End a membership; an empty group is no group.
    pub(crate) fn leave_group(
        &mut self,
        id: SessionId,
        realm: RealmId,
        leaf: LeafId,
        name: &Bytes,
    ) {
        if self.step_out_of_group(id, realm, leaf, name)
            && let Some(r) = self.realms.get_mut(usize::from(realm.0))
        {
            r.shared.remove(leaf);
        }
    }

    /// The same, and the filter stays. True: no group is left there.
    pub(super) fn step_out_of_group(
        &mut self,
        id: SessionId,
        realm: RealmId,
        leaf: LeafId,
        name: &Bytes,
    ) -> bool {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return false };
        if let Some(s) = self.sessions.get_mut(id) {
            s.extra_mut().shares.retain(|share| share.leaf != leaf || share.group != name);
        }
        let Some(groups) = r.shared.leaf_mut(leaf) else { return false };
        if let Some(at) = groups.iter().position(|g| g.name == name)
            && let Some(group) = groups.get_mut(at)
        {
            let before = group.members.len();
            group.members.retain(|m| m.session != id);
            self.listening.shares -= before - group.members.len();
            if group.members.is_empty() {
                groups.swap_remove(at);
            }
        }
        groups.is_empty()
    }
}

/// A number for a filter and the name of a group (FNV-1a); which of a topic's groups is meant is
/// all it has to tell.
fn tag_of(filter: &[u8], name: &[u8]) -> u32 {
    let bytes = filter.iter().chain(&[0]).chain(name);
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.fold(0x811c_9dc5, mix) | SHARE
}
