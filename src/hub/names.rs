//! Floor 2. Who has which name: sessions by what their clients call themselves.
//!
//! A table of numbers, not of names: a session knows its own name, so a place here is a hash and
//! where the session sits, twelve bytes where a map with names of its own takes eighty. Whoever
//! asks says how a session is recognized. The hash is keyed, so that nobody chooses names that
//! collide. Places are found by looking on from where the hash points, and when one is given up
//! those behind it move up, so that no search ends too early. Absent on purpose: an order, and
//! names.

use super::session::Kind;
use crate::base::id::SessionId;
use crate::base::map::Seed;
use core::hash::BuildHasher;

/// A session and the hash of its name.
type Place = (u32, SessionId);

/// Nobody: no slab has so many seats.
const FREE: Place = (0, SessionId { index: u32::MAX, life: u32::MAX });
/// The smallest table.
const LEAST: usize = 16;

/// Sessions by name.
#[derive(Debug)]
pub struct Names {
    seed: Seed,
    /// As many as a power of two, or none.
    places: Vec<Place>,
    len: usize,
}

impl Names {
    /// Nobody has a name.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { seed, places: Vec::new(), len: 0 }
    }

    /// What nobody outside can foretell of this.
    #[must_use]
    pub fn secret(&self, of: impl core::hash::Hash) -> u64 {
        self.seed.hash_one(of)
    }

    /// The session of this name; `is` says whether it is one's.
    pub fn find(
        &self,
        kind: Kind,
        name: &[u8],
        is: impl Fn(SessionId) -> bool,
    ) -> Option<SessionId> {
        let hash = self.hash(kind, name);
        self.walk(hash).map(|at| self.places[at]).find(|it| it.0 == hash && is(it.1)).map(|it| it.1)
    }

    /// From now on the name is this session's, and nobody else's.
    pub fn give(&mut self, kind: Kind, name: &[u8], id: SessionId, is: impl Fn(SessionId) -> bool) {
        let hash = self.hash(kind, name);
        let held = self.walk(hash).find(|at| self.places[*at].0 == hash && is(self.places[*at].1));
        match held {
            Some(at) => self.places[at].1 = id,
            None => {
                self.make_room();
                self.put((hash, id));
                self.len += 1;
            }
        }
    }

    /// The session has it no more, if it had.
    pub fn take(&mut self, kind: Kind, name: &[u8], id: SessionId) {
        let hash = self.hash(kind, name);
        let Some(mut free) = self.walk(hash).find(|at| self.places[*at] == (hash, id)) else {
            return;
        };
        self.len -= 1;
        let mask = self.places.len() - 1;
        let mut next = free;
        loop {
            next = (next + 1) & mask;
            let place = self.places[next];
            if place == FREE {
                break;
            }
            // It may move up if its search begins at the free place or before it.
            let began = place.0 as usize & mask;
            if next.wrapping_sub(began) & mask >= next.wrapping_sub(free) & mask {
                self.places[free] = place;
                free = next;
            }
        }
        self.places[free] = FREE;
    }

    /// How many names are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn hash(&self, kind: Kind, name: &[u8]) -> u32 {
        self.seed.hash_one((kind, name)) as u32
    }

    /// Where a name of this hash may stand: up to the first free place.
    fn walk(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.places.len().wrapping_sub(1);
        let all = (0..self.places.len()).map(move |on| (hash as usize).wrapping_add(on) & mask);
        all.take_while(|at| self.places[*at] != FREE)
    }

    fn put(&mut self, place: Place) {
        let mask = self.places.len() - 1;
        let mut at = place.0 as usize & mask;
        while self.places[at] != FREE {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
    }

    /// An eighth at least is free.
    fn make_room(&mut self) {
        if (self.len + 1) * 8 <= self.places.len() * 7 {
            return;
        }
        let wider = (self.places.len() * 2).max(LEAST);
        let before = core::mem::replace(&mut self.places, vec![FREE; wider]);
        for place in before.into_iter().filter(|place| *place != FREE) {
            self.put(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::map::Map;
    use crate::base::rng::Rng;

    fn id(index: u32) -> SessionId {
        SessionId { index, life: 7 }
    }

    /// Who has which name, as plainly as can be.
    struct Plain {
        names: Names,
        /// By number of the session.
        called: Vec<(Kind, String)>,
        map: Map<(Kind, String), SessionId>,
    }

    impl Plain {
        fn new(seed: u64) -> Self {
            let seed = Seed::with_seed(seed);
            Self {
                names: Names::new(seed.clone()),
                called: Vec::new(),
                map: Map::with_hasher(seed),
            }
        }

        fn find(&self, kind: Kind, name: &str) -> Option<SessionId> {
            let is = |id: SessionId| self.called[id.index as usize] == (kind, name.to_owned());
            self.names.find(kind, name.as_bytes(), is)
        }

        fn give(&mut self, kind: Kind, name: &str) {
            let id = id(self.called.len() as u32);
            self.called.push((kind, name.to_owned()));
            let Self { names, called, map } = self;
            let is = |id: SessionId| called[id.index as usize] == (kind, name.to_owned());
            names.give(kind, name.as_bytes(), id, is);
            map.insert((kind, name.to_owned()), id);
        }

        fn take(&mut self, kind: Kind, name: &str, id: SessionId) {
            self.names.take(kind, name.as_bytes(), id);
            if self.map.get(&(kind, name.to_owned())) == Some(&id) {
                self.map.remove(&(kind, name.to_owned()));
            }
        }
    }

    #[test]
    fn names_are_found_as_in_a_map() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let mut plain = Plain::new(seed);
            for _ in 0..600 {
                // Few names, so that they come, go, come again and stand in each other's way.
                let name = format!("client{}", rng.below(1 + seed * 3));
                let kind = if rng.below(2) == 0 { Kind::Mqtt } else { Kind::Prx1 };
                let held = plain.find(kind, &name);
                assert_eq!(held, plain.map.get(&(kind, name.clone())).copied());
                match (rng.below(5), held) {
                    (0..=2, _) => plain.give(kind, &name),
                    (3, Some(held)) => plain.take(kind, &name, held),
                    // A name that somebody else has by now stays with them.
                    _ => plain.take(kind, &name, id(plain.called.len() as u32 + 1)),
                }
                assert_eq!(plain.names.len(), plain.map.len());
            }
            let all: Vec<_> = plain.map.iter().map(|(key, id)| (key.clone(), *id)).collect();
            for ((kind, name), id) in all {
                assert_eq!(plain.find(kind, &name), Some(id), "{name}");
            }
        }
    }

    #[test]
    fn ten_thousand_names_take_twenty_bytes_each() {
        let mut names = Names::new(Seed::with_seed(1));
        for i in 0..10_000 {
            names.give(Kind::Mqtt, format!("client{i}").as_bytes(), id(i), |_| false);
        }
        assert_eq!(size_of::<Place>(), 12);
        assert_eq!(names.places.capacity(), 16_384);
    }

    #[test]
    fn whoever_shares_a_hash_is_told_apart() {
        let mut names = Names::new(Seed::with_seed(1));
        // As if all had the same hash: what is asked decides.
        for i in 0..10 {
            let hash = names.hash(Kind::Mqtt, b"x");
            names.make_room();
            names.put((hash, id(i)));
            names.len += 1;
        }
        for i in 0..10 {
            assert_eq!(names.find(Kind::Mqtt, b"x", |it| it == id(i)), Some(id(i)));
        }
        names.take(Kind::Mqtt, b"x", id(4));
        assert_eq!(names.find(Kind::Mqtt, b"x", |it| it == id(4)), None);
        assert_eq!(names.find(Kind::Mqtt, b"x", |it| it == id(9)), Some(id(9)));
    }
}
