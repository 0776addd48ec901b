//! Floor 2. Subscriptions that have a number: all sessions of one pattern share it.
//!
//! What is delivered is decided by the realm's filters; this is the list of what there is, for
//! peers whose events name the subscription they come by, and for whoever asks who listens. Of
//! those who listen as nodes of a cluster, a publication goes to one node, chosen by its key.
//! Absent on purpose: matching, and the wire.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::id::{RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::time::Now;

use super::calls::Kind;
use super::message::SHARE;
use super::parties::scatter;

/// One that listens, and as which node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Who.
    pub session: SessionId,
    /// As which node, if it is one of several.
    pub node: Option<Bytes>,
}

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
    /// Who listens, in the order of sessions.
    listeners: SmallVec<[Listener; 1]>,
    nodes: u32,
}

impl Interest {
    /// Who listens, in the order of sessions.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    fn place(&self, session: SessionId) -> Result<usize, usize> {
        self.listeners.binary_search_by_key(&session, |listener| listener.session)
    }

    /// The node that this listener is, if it is one.
    #[must_use]
    pub fn node_of(&self, session: SessionId) -> Option<&Bytes> {
        self.listeners.get(self.place(session).ok()?)?.node.as_ref()
    }

    /// The node that this key chooses; none when there are no nodes. The highest of what the key
    /// makes of each name wins, so that a node that comes or goes moves only its own share.
    #[must_use]
    pub fn node_for(&self, key: &[u8]) -> Option<&Bytes> {
        if self.nodes == 0 {
            return None;
        }
        let nodes = self.listeners.iter().filter_map(|listener| listener.node.as_ref());
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Which it was.
    pub id: u32,
    /// Nobody is left, and it is not there any more.
    pub ended: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Interests {
    all: Map<u32, Interest>,
    names: Map<(RealmId, Kind, Bytes), u32>,
    of: Map<SessionId, Vec<u32>>,
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

    fn make(&mut self, now: Now, id: u32, name: (RealmId, Kind, Bytes)) -> &mut Interest {
        let (realm, kind, pattern) = name.clone();
        self.names.insert(name, id);
        self.all.entry(id).or_insert_with(|| Interest {
            id,
            realm,
            kind,
            pattern,
            created: now.wall,
            standing: false,
            listeners: SmallVec::new(),
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
        let listener = Listener { session, node };
        let joined = match it.place(session) {
            Ok(at) => {
                if let Some(old) = it.listeners.get_mut(at) {
                    it.nodes -= u32::from(old.node.is_some());
                    *old = listener;
                }
                false
            }
            Err(at) => {
                it.listeners.insert(at, listener);
                true
            }
        };
        if joined {
            self.of.entry(session).or_default().push(id);
        }
        Noted { id, created, joined }
    }

    /// It does not any more. None: it did not.
    pub fn unsubscribe(&mut self, session: SessionId, id: u32) -> Option<Left> {
        let left = self.step_out(session, id)?;
        if let Some(own) = self.of.get_mut(&session) {
            own.retain(|own| *own != id);
            if own.is_empty() {
                self.of.remove(&session);
            }
        }
        Some(left)
    }

    fn step_out(&mut self, session: SessionId, id: u32) -> Option<Left> {
        let it = self.all.get_mut(&id)?;
        let at = it.place(session).ok()?;
        it.nodes -= u32::from(it.listeners.remove(at).node.is_some());
        let ended = it.listeners.is_empty() && !it.standing;
        if ended && let Some(it) = self.all.remove(&id) {
            self.names.remove(&(it.realm, it.kind, it.pattern));
        }
        Some(Left { id, ended })
    }

    /// A session is gone: what it listened to, in the order it began to.
    pub fn leave(&mut self, session: SessionId) -> Vec<Left> {
        let own = self.of.remove(&session).unwrap_or_default();
        own.into_iter().filter_map(|id| self.step_out(session, id)).collect()
    }

    /// What this session listens to.
    #[must_use]
    pub fn of(&self, session: SessionId) -> &[u32] {
        self.of.get(&session).map_or(&[], |own| own)
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

    /// All of a realm, the oldest first as far as numbers tell.
    #[must_use]
    pub fn list(&self, realm: RealmId) -> Vec<&Interest> {
        let mut all: Vec<_> = self.all.values().filter(|it| it.realm == realm).collect();
        all.sort_unstable_by_key(|it| it.id);
        all
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
