//! Floor 2. Who offers what, and whose turn it is.
//!
//! A registration is a pattern of a realm with its callees, who came one after the other and share
//! it in one way; it is there as long as it has one. Its number is never used again, in any realm.
//! What a session offers is known from both sides, so that it leaves without a search. Absent on
//! purpose: the calls, and rights.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::rng::Rng;
use crate::base::time::Now;

use super::patterns::Patterns;
use super::words::{Bound, CallLimits, Invoke, Kind, Lost, Offer, Refused, Registered, Terms};

/// What a registration takes beside its text, about, which stands in two places; and a callee.
const REGISTRATION_BYTES: usize = 256;
const CALLEE_BYTES: usize = 64;

/// Who takes calls, and on which terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callee {
    /// Who.
    pub session: SessionId,
    /// How.
    pub terms: Terms,
}

/// Something that is offered.
#[derive(Debug)]
pub struct Registration {
    /// Its number.
    pub id: u64,
    /// The name, or the pattern.
    pub procedure: Bytes,
    /// Which it is.
    pub kind: Kind,
    /// How its callees share it.
    pub invoke: Invoke,
    /// Since when it is there, in milliseconds since 1970.
    pub created: u64,
    callees: Vec<Callee>,
    /// Whose turn it is.
    turn: usize,
}

impl Registration {
    /// Who offers it, in the order in which they came.
    #[must_use]
    pub fn callees(&self) -> &[Callee] {
        &self.callees
    }

    fn weight(&self) -> usize {
        REGISTRATION_BYTES + 2 * self.procedure.len() + CALLEE_BYTES * self.callees.len()
    }

    /// The next one that fits, in the way they share.
    fn pick(
        &mut self,
        shard: Option<u64>,
        rng: &mut Rng,
        fits: impl Fn(&Callee) -> bool,
    ) -> Option<Callee> {
        let (n, callees) = (self.callees.len(), &self.callees);
        let fits = |at: &usize| callees.get(*at).is_some_and(&fits);
        if let Some(key) = shard {
            // The one that this key and its own number make the most of: when others come or go,
            // only their keys move.
            let at = (0..n).filter(fits).max_by_key(|at| callees.get(*at).map(|c| worth(key, c)));
            return callees.get(at?).copied();
        }
        let at = match self.invoke {
            Invoke::Single | Invoke::First => (0..n).find(fits)?,
            Invoke::Last => (0..n).rev().find(fits)?,
            Invoke::Random => round(rng.below(n as u64) as usize, n).find(fits)?,
            Invoke::Roundrobin => {
                // The turn stays where it is when somebody leaves; behind the end it is the
                // first one's, unless one more has come since.
                let at = round(self.turn, n).find(fits)?;
                self.turn = at + 1;
                at
            }
        };
        callees.get(at).copied()
    }
}

/// All places, from this one on; behind the end, from the first.
fn round(first: usize, n: usize) -> impl Iterator<Item = usize> {
    (first..n).chain(0..first)
}

fn worth(key: u64, callee: &Callee) -> u64 {
    let own = u64::from(callee.session.index) << 32 | u64::from(callee.session.life);
    Rng::new(key ^ Rng::new(own).next_u64()).next_u64()
}

#[derive(Debug)]
struct Realm {
    patterns: Patterns,
    all: BTreeMap<u64, Registration>,
}

/// All registrations of all realms.
#[derive(Debug)]
pub(super) struct Registrations {
    seed: Seed,
    rng: Rng,
    realms: Map<RealmId, Realm>,
    of: Map<SessionId, BTreeSet<(RealmId, u64)>>,
    last: u64,
    held: usize,
}

impl Registrations {
    /// None yet.
    pub(super) fn new(seed: u64) -> Self {
        let (rng, seed) = (Rng::new(seed), Seed::with_seed(seed));
        let (realms, of) = (Map::with_hasher(seed.clone()), Map::with_hasher(seed.clone()));
        Self { seed, rng, realms, of, last: 0, held: 0 }
    }

    /// A session offers something, with `room` for so many bytes more.
    pub(super) fn register(
        &mut self,
        (now, limits, room): (Now, &CallLimits, usize),
        (realm, session): (RealmId, SessionId),
        offer: &Offer,
    ) -> Result<Registered, Refused> {
        let found = self.lookup(realm, offer.kind, &offer.procedure);
        if let Some(known) = found.and_then(|id| self.get_mut(realm, id)) {
            if known.invoke != offer.invoke {
                return Err(Refused::Exists);
            }
            if let Some(own) = known.callees.iter_mut().find(|c| c.session == session) {
                own.terms = offer.terms;
                return Ok(Registered::Again(known.id));
            }
            if known.invoke == Invoke::Single {
                return Err(Refused::Exists);
            }
            if known.callees.len() >= limits.callees_per_registration_max {
                return Err(Refused::Full(Bound::CalleesPerRegistration));
            }
        }
        if self.count(session) >= limits.registrations_per_session_max {
            return Err(Refused::Full(Bound::RegistrationsPerSession));
        }
        let made = match found {
            Some(_) if room < CALLEE_BYTES => return Err(Refused::Full(Bound::HeldBytes)),
            Some(id) => Registered::Joined(id),
            None => self.create((now, limits, room), realm, offer).map_err(Refused::Full)?,
        };
        if let Some(it) = self.get_mut(realm, made.id()) {
            it.callees.push(Callee { session, terms: offer.terms });
            self.held += CALLEE_BYTES;
        }
        self.of.entry(session).or_default().insert((realm, made.id()));
        Ok(made)
    }

    /// A registration that has no callee yet.
    fn create(
        &mut self,
        (now, limits, room): (Now, &CallLimits, usize),
        realm: RealmId,
        offer: &Offer,
    ) -> Result<Registered, Bound> {
        if offer.procedure.len() > limits.pattern_len_max {
            return Err(Bound::PatternLen);
        }
        let known = self.realms.get(&realm).map(|realm| &realm.patterns);
        let most = limits.wildcard_shapes_max;
        if known.is_some_and(|all| !all.has_room(offer.kind, &offer.procedure, most)) {
            return Err(Bound::WildcardShapes);
        }
        let id = self.last + 1;
        let it = Registration {
            id,
            // Not the slice: it would keep all that was read with it.
            procedure: Bytes::copy_from_slice(&offer.procedure),
            kind: offer.kind,
            invoke: offer.invoke,
            created: now.wall,
            callees: Vec::new(),
            turn: 0,
        };
        if it.weight() + CALLEE_BYTES > room {
            return Err(Bound::HeldBytes);
        }
        self.last = id;
        self.held += it.weight();
        let realm = self.realms.entry(realm).or_insert_with(|| Realm {
            patterns: Patterns::new(self.seed.clone()),
            all: BTreeMap::new(),
        });
        realm.patterns.insert(it.kind, it.procedure.clone(), id);
        realm.all.insert(id, it);
        Ok(Registered::Created(id))
    }

    /// The session is no callee of it any more. None: it was not.
    pub(super) fn unregister(
        &mut self,
        realm: RealmId,
        session: SessionId,
        id: u64,
    ) -> Option<Lost> {
        let own = self.of.get_mut(&session)?;
        if !own.remove(&(realm, id)) {
            return None;
        }
        if own.is_empty() {
            self.of.remove(&session);
        }
        let r = self.realms.get_mut(&realm)?;
        let it = r.all.get_mut(&id)?;
        let before = it.weight();
        it.callees.retain(|callee| callee.session != session);
        self.held -= before - it.weight();
        let ended = it.callees.is_empty();
        if ended && let Some(it) = r.all.remove(&id) {
            self.held -= it.weight();
            r.patterns.remove(it.kind, &it.procedure);
            if r.all.is_empty() {
                self.realms.remove(&realm);
            }
        }
        Some(Lost { registration: id, ended })
    }

    /// The session leaves; the oldest of its registrations first.
    pub(super) fn leave(&mut self, session: SessionId) -> Vec<Lost> {
        let own = self.of.get(&session).cloned().unwrap_or_default();
        own.into_iter().filter_map(|(realm, id)| self.unregister(realm, session, id)).collect()
    }

    /// Whose turn it is, of those that fit.
    pub(super) fn pick(
        &mut self,
        (realm, id): (RealmId, u64),
        shard: Option<u64>,
        fits: impl Fn(&Callee) -> bool,
    ) -> Option<Callee> {
        let it = self.realms.get_mut(&realm)?.all.get_mut(&id)?;
        it.pick(shard, &mut self.rng, fits)
    }

    /// This one of them.
    pub(super) fn callee(&self, (realm, id): (RealmId, u64), who: SessionId) -> Option<Callee> {
        self.get(realm, id)?.callees.iter().find(|callee| callee.session == who).copied()
    }

    /// The number of this very pattern.
    pub(super) fn lookup(&self, realm: RealmId, kind: Kind, procedure: &[u8]) -> Option<u64> {
        self.realms.get(&realm)?.patterns.find(kind, procedure)
    }

    /// The number of the best pattern for this name.
    pub(super) fn best(&self, realm: RealmId, name: &[u8]) -> Option<u64> {
        self.realms.get(&realm)?.patterns.best(name)
    }

    /// A registration of this realm.
    pub(super) fn get(&self, realm: RealmId, id: u64) -> Option<&Registration> {
        self.realms.get(&realm)?.all.get(&id)
    }

    fn get_mut(&mut self, realm: RealmId, id: u64) -> Option<&mut Registration> {
        self.realms.get_mut(&realm)?.all.get_mut(&id)
    }

    /// Those of this realm above this number, the oldest first.
    pub(super) fn list(&self, realm: RealmId, after: u64) -> impl Iterator<Item = &Registration> {
        let range = (Excluded(after), Unbounded);
        let realm = self.realms.get(&realm).into_iter();
        realm.flat_map(move |realm| realm.all.range(range)).map(|(_, it)| it)
    }

    /// How many this session offers.
    fn count(&self, session: SessionId) -> usize {
        self.of.get(&session).map_or(0, BTreeSet::len)
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many there are, and how many callees they have; or what does not hold.
    pub(super) fn audit(&self) -> Result<(usize, usize), String> {
        let (mut all, mut callees, mut held) = (0, 0, 0);
        for (realm, r) in &self.realms {
            if r.all.is_empty() || r.patterns.len() != r.all.len() {
                return Err(format!("{realm:?}: {} for {}", r.patterns.len(), r.all.len()));
            }
            for (id, it) in &r.all {
                all += 1;
                callees += it.callees.len();
                held += it.weight();
                if r.patterns.find(it.kind, &it.procedure) != Some(*id) {
                    return Err(format!("registration {id} is not found by its name"));
                }
                if it.callees.is_empty() {
                    return Err(format!("registration {id} has no callee"));
                }
                let known =
                    |c: &Callee| self.of.get(&c.session).map(|own| own.contains(&(*realm, *id)));
                if it.callees.iter().any(|c| known(c) != Some(true)) {
                    return Err(format!("registration {id} has a callee that does not know it"));
                }
            }
        }
        let own: usize = self.of.values().map(BTreeSet::len).sum();
        if own != callees || self.of.values().any(BTreeSet::is_empty) {
            return Err(format!("{callees} callees, and sessions know of {own}"));
        }
        if held != self.held {
            return Err(format!("{held} bytes of registrations, counted {}", self.held));
        }
        Ok((all, callees))
    }
}
