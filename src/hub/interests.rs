//! Floor 2. Subscriptions that have a number: all sessions of one pattern share it.
//!
//! What is delivered is decided by the realm's filters; this is the list of what there is, for
//! peers whose events name the subscription they come by, and for whoever asks who listens. Of
//! those who listen as nodes of a cluster, a publication goes to one node, chosen by its key.
//! Absent on purpose: matching, and the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::time::Now;

use super::calls::Kind;
use super::message::SHARE;
use super::parties::scatter;

/// Who listens, and as which node, if it is one of several; in the order of sessions.
#[derive(Debug)]
enum Listeners {
    /// Of most patterns there is one.
    Few(SmallVec<[(SessionId, Option<Bytes>); 1]>),
    /// So that who comes or goes does not move all others.
    Many(BTreeMap<SessionId, Option<Bytes>>),
}

impl Listeners {
    fn get(&self, session: SessionId) -> Option<&Option<Bytes>> {
        match self {
            Self::Few(all) => all.iter().find(|(its, _)| *its == session).map(|(_, node)| node),
            Self::Many(all) => all.get(&session),
        }
    }

    /// What it listened as before, if it did.
    fn insert(&mut self, session: SessionId, node: Option<Bytes>) -> Option<Option<Bytes>> {
        if let Self::Few(all) = self {
            match all.binary_search_by_key(&session, |(its, _)| *its) {
                Ok(at) => return all.get_mut(at).map(|it| core::mem::replace(&mut it.1, node)),
                Err(at) if all.len() < FEW => {
                    all.insert(at, (session, node));
                    return None;
                }
                Err(_) => *self = Self::Many(all.drain(..).collect()),
            }
        }
        match self {
            Self::Many(all) => all.insert(session, node),
            Self::Few(_) => None,
        }
    }

    fn remove(&mut self, session: SessionId) -> Option<Option<Bytes>> {
        match self {
            Self::Few(all) => {
                let at = all.iter().position(|(its, _)| *its == session)?;
                Some(all.remove(at).1)
            }
            Self::Many(all) => all.remove(&session),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(all) => all.len(),
            Self::Many(all) => all.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (SessionId, Option<&Bytes>)> {
        let (few, many) = match self {
            Self::Few(all) => (Some(all), None),
            Self::Many(all) => (None, Some(all)),
        };
        let few = few.into_iter().flatten().map(|(session, node)| (*session, node.as_ref()));
        let many = many.into_iter().flatten().map(|(session, node)| (*session, node.as_ref()));
        few.chain(many)
    }
}

/// So many stand in a list.
const FEW: usize = 16;

/// A subscription.
#[derive(Debug)]
pub struct Interest {
    /// Its number: not 0, and never used again while it could be mistaken.
    pub id: u32,
    /// Where.
    pub realm: RealmId,
    /// How the pattern is meant.
    pub kind: Kind,
    /// The pattern, as it was written.
    pub pattern: Bytes,
    /// When it was made, wall clock in ms.
    pub created: u64,
    /// It stays when nobody listens.
    pub standing: bool,
    listeners: Listeners,
    nodes: u32,
}

impl Interest {
    /// Who listens, in the order of sessions.
    pub fn listeners(&self) -> impl Iterator<Item = SessionId> {
        self.listeners.iter().map(|(session, _)| session)
    }

    /// How many do.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Nobody does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does this one?
    #[must_use]
    pub fn is_heard_by(&self, session: SessionId) -> bool {
        self.listeners.get(session).is_some()
    }

    /// The node that this listener is, if it is one.
    #[must_use]
    pub fn node_of(&self, session: SessionId) -> Option<&Bytes> {
        self.listeners.get(session)?.as_ref()
    }

    /// The node that this key chooses; none when there are no nodes. The highest of what the key
    /// makes of each name wins, so that a node that comes or goes moves only its own share.
    #[must_use]
    pub fn node_for(&self, key: &[u8]) -> Option<&Bytes> {
        if self.nodes == 0 {
            return None;
        }
        let nodes = self.listeners.iter().filter_map(|(_, node)| node);
        nodes.max_by_key(|node| (blend(key, node), *node))
    }
}

fn blend(key: &[u8], node: &[u8]) -> u64 {
    let eat = |seed, bytes: &[u8]| bytes.iter().fold(seed, |z, b| scatter(z ^ u64::from(*b)));
    eat(eat(1, key), node)
}

/// What a subscription did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noted {
    /// Which it is.
    pub id: u32,
    /// There was none before.
    pub created: bool,
    /// The session was not among those who listen.
    pub joined: bool,
}

/// What an end of listening did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// Which it was.
    pub id: u32,
    /// Its pattern.
    pub pattern: Bytes,
    /// Nobody is left, and it is not there any more.
    pub ended: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Interests {
    all: Map<u32, Interest>,
    names: Map<(RealmId, Kind, Bytes), u32>,
    realms: Map<RealmId, BTreeSet<u32>>,
    of: Map<SessionId, BTreeSet<u32>>,
    next: u32,
}

impl Interests {
    /// None.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let maps = Seed::with_seed(seed);
        Self {
            all: Map::with_hasher(maps.clone()),
            names: Map::with_hasher(maps.clone()),
            realms: Map::with_hasher(maps.clone()),
            of: Map::with_hasher(maps),
            next: 1,
        }
    }

    /// The number that this pattern has, or will have.
    fn number(&mut self, name: &(RealmId, Kind, Bytes)) -> u32 {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        loop {
            let id = self.next;
            // Some wires end at 28 bits, and above is what is no number.
            self.next = if id + 1 >= SHARE >> 3 { 1 } else { id + 1 };
            if !self.all.contains_key(&id) {
                return id;
            }
        }
    }

    /// There is one for this pattern, whoever listens.
    pub fn stand(&mut self, now: Now, realm: RealmId, kind: Kind, pattern: &Bytes) -> u32 {
        let name = (realm, kind, Bytes::copy_from_slice(pattern));
        let id = self.number(&name);
        self.make(now, id, name).standing = true;
        id
    }

    /// It does not stand any more; it goes if nobody listens.
    pub fn sit(&mut self, id: u32) {
        let Some(it) = self.all.get_mut(&id) else { return };
        it.standing = false;
        if it.is_empty() {
            self.cut(id);
        }
    }

    fn cut(&mut self, id: u32) {
        let Some(it) = self.all.remove(&id) else { return };
        if let Some(ids) = self.realms.get_mut(&it.realm) {
            ids.remove(&id);
        }
        self.names.remove(&(it.realm, it.kind, it.pattern));
    }

    fn make(&mut self, now: Now, id: u32, name: (RealmId, Kind, Bytes)) -> &mut Interest {
        let (realm, kind, pattern) = name.clone();
        self.names.insert(name, id);
        self.realms.entry(realm).or_default().insert(id);
        self.all.entry(id).or_insert_with(|| Interest {
            id,
            realm,
            kind,
            pattern,
            created: now.wall,
            standing: false,
            listeners: Listeners::Few(SmallVec::new()),
            nodes: 0,
        })
    }

    /// A session listens; again with another node, it is that one from now on.
    pub fn subscribe(
        &mut self,
        now: Now,
        realm: RealmId,
        session: SessionId,
        (kind, pattern): (Kind, &Bytes),
        node: Option<Bytes>,
    ) -> Noted {
        let name = (realm, kind, Bytes::copy_from_slice(pattern));
        let id = self.number(&name);
        let created = !self.all.contains_key(&id);
        let it = self.make(now, id, name);
        it.nodes += u32::from(node.is_some());
        let before = it.listeners.insert(session, node);
        it.nodes -= u32::from(matches!(before, Some(Some(_))));
        let joined = before.is_none();
        if joined {
            self.of.entry(session).or_default().insert(id);
        }
        Noted { id, created, joined }
    }

    /// It does not any more. None: it did not.
    pub fn unsubscribe(&mut self, session: SessionId, id: u32) -> Option<Left> {
        let left = self.step_out(session, id)?;
        if let Some(own) = self.of.get_mut(&session) {
            own.remove(&id);
            if own.is_empty() {
                self.of.remove(&session);
            }
        }
        Some(left)
    }

    fn step_out(&mut self, session: SessionId, id: u32) -> Option<Left> {
        let it = self.all.get_mut(&id)?;
        it.nodes -= u32::from(it.listeners.remove(session)?.is_some());
        let (pattern, ended) = (it.pattern.clone(), it.is_empty() && !it.standing);
        if ended {
            self.cut(id);
        }
        Some(Left { id, pattern, ended })
    }

    /// A session is gone: what it listened to, in the order of numbers.
    pub fn leave(&mut self, session: SessionId) -> Vec<Left> {
        let own = self.of.remove(&session).unwrap_or_default();
        own.into_iter().filter_map(|id| self.step_out(session, id)).collect()
    }

    /// One of a realm.
    #[must_use]
    pub fn get(&self, realm: RealmId, id: u64) -> Option<&Interest> {
        self.all.get(&u32::try_from(id).ok()?).filter(|it| it.realm == realm)
    }

    /// The one of this very pattern.
    #[must_use]
    pub fn lookup(&self, realm: RealmId, kind: Kind, pattern: &Bytes) -> Option<u32> {
        self.names.get(&(realm, kind, pattern.clone())).copied()
    }

    /// Those of a realm above this number, in the order of numbers.
    pub fn list(&self, realm: RealmId, after: u64) -> impl Iterator<Item = &Interest> {
        let after = u32::try_from(after).unwrap_or(u32::MAX);
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let ids = self.realms.get(&realm).into_iter().flat_map(move |ids| ids.range(range));
        ids.filter_map(|id| self.all.get(id))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
