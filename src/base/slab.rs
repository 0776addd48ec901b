//! Floor 0. A slab whose stale keys find nobody.
//!
//! The `slab` crate hands out indexes and uses them again; each slot here also has a `life` that
//! is counted up when its occupant leaves. A key is both, so a late answer for a connection that
//! died cannot reach the one that now sits in its place.

/// What a slab needs of its keys.
pub trait Key: Copy {
    /// A key for this slot in this life.
    fn new(index: u32, life: u32) -> Self;
    /// The slot.
    fn index(self) -> u32;
    /// The life.
    fn life(self) -> u32;
}

macro_rules! key {
    ($($name:ty),*) => {$(
        impl Key for $name {
            fn new(index: u32, life: u32) -> Self {
                Self { index, life }
            }
            fn index(self) -> u32 {
                self.index
            }
            fn life(self) -> u32 {
                self.life
            }
        }
    )*};
}
key!(super::id::ConnId, super::id::SessionId, super::id::PairId);

/// Slots with lives.
#[derive(Debug)]
pub struct Slab<K, T> {
    slots: slab::Slab<T>,
    lives: Vec<u32>,
    key: core::marker::PhantomData<fn() -> K>,
}

impl<K: Key, T> Default for Slab<K, T> {
    fn default() -> Self {
        Self { slots: slab::Slab::new(), lives: Vec::new(), key: core::marker::PhantomData }
    }
}

impl<K: Key, T> Slab<K, T> {
    /// Seat an occupant; the key is made before it, for occupants that know their own name.
    pub fn insert_with(&mut self, make: impl FnOnce(K) -> T) -> K {
        if self.slots.len() == self.slots.capacity() {
            // By a quarter: doubled, the empty seats would weigh as much as those who sit.
            self.slots.reserve_exact((self.slots.len() / 4).max(16));
        }
        let entry = self.slots.vacant_entry();
        let index = entry.key();
        if self.lives.len() <= index {
            self.lives.resize(index + 1, 0);
        }
        let key = K::new(u32::try_from(index).unwrap_or(u32::MAX), self.lives[index]);
        entry.insert(make(key));
        key
    }

    /// Who sits there in that life, if anybody.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&T> {
        if !self.alive(key) {
            return None;
        }
        self.slots.get(key.index() as usize)
    }

    /// Who sits there in that life, if anybody, to change.
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        if !self.alive(key) {
            return None;
        }
        self.slots.get_mut(key.index() as usize)
    }

    /// Unseat, and make the key stale.
    pub fn remove(&mut self, key: K) -> Option<T> {
        if !self.alive(key) {
            return None;
        }
        let gone = self.slots.try_remove(key.index() as usize)?;
        let life = &mut self.lives[key.index() as usize];
        *life = life.wrapping_add(1);
        Some(gone)
    }

    /// The key of whoever sits in that slot now, for owners that know only the slot.
    #[must_use]
    pub fn key_at(&self, index: u32) -> Option<K> {
        self.slots.contains(index as usize).then(|| K::new(index, self.lives[index as usize]))
    }

    /// All occupants, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slots.iter().map(|(i, t)| (K::new(i as u32, self.lives[i]), t))
    }

    /// How many are seated.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Nobody is seated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// One past the highest slot ever used: a bound for walks that go slot by slot.
    #[must_use]
    pub fn high(&self) -> u32 {
        self.lives.len() as u32
    }

    fn alive(&self, key: K) -> bool {
        self.lives.get(key.index() as usize) == Some(&key.life())
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::ConnId;
    use super::*;

    #[test]
    fn a_stale_key_finds_nobody() {
        let mut slab: Slab<ConnId, &str> = Slab::default();
        let first = slab.insert_with(|_| "first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert_with(|_| "second");
        assert_eq!(first.index, second.index, "the slot is used again");
        assert_eq!(slab.get(first), None, "the old key is not");
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.key_at(second.index), Some(second));
    }
}
