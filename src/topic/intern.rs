//! Floor 1. Level text to a number and back, counted, so that matching compares numbers.
//!
//! The table grows with what is subscribed, never with what is published: a publish only looks
//! up, and a level nobody named has no number. A number is freed with its last use and may then
//! stand for another text. Texts up to sixteen bytes cost no allocation of their own.

use super::probe::Probe;
use crate::base::map::Seed;
use smallvec::SmallVec;
use std::hash::BuildHasher;

/// A level's text, as a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sym(pub(super) u32);

/// The texts in use.
#[derive(Debug)]
pub(super) struct Interner {
    seed: Seed,
    probe: Probe,
    names: Vec<Name>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Name {
    text: SmallVec<[u8; 16]>,
    uses: u32,
}

impl Interner {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, probe: Probe::default(), names: Vec::new(), free: Vec::new() }
    }

    /// The number of a text in use.
    pub(super) fn find(&self, text: &[u8]) -> Option<Sym> {
        let is = |sym: u32| self.names[sym as usize].text.as_slice() == text;
        self.probe.find(self.hash(text), is).map(Sym)
    }

    /// Use a text once more.
    pub(super) fn take(&mut self, text: &[u8]) -> Sym {
        if let Some(sym) = self.find(text) {
            self.names[sym.0 as usize].uses += 1;
            return sym;
        }
        let name = Name { text: SmallVec::from_slice(text), uses: 1 };
        let sym = match self.free.pop() {
            Some(sym) => {
                self.names[sym as usize] = name;
                sym
            }
            None => {
                self.names.push(name);
                self.names.len() as u32 - 1
            }
        };
        self.probe.insert(self.hash(text), sym);
        Sym(sym)
    }

    /// Use a text once less; the last use frees its number.
    pub(super) fn release(&mut self, sym: Sym) {
        let name = &mut self.names[sym.0 as usize];
        name.uses -= 1;
        if name.uses > 0 {
            return;
        }
        let text = core::mem::take(&mut name.text);
        self.probe.remove(self.hash(&text), sym.0);
        self.free.push(sym.0);
    }

    /// The text of a number in use.
    pub(super) fn text(&self, sym: Sym) -> &[u8] {
        &self.names[sym.0 as usize].text
    }

    /// How many texts are in use.
    pub(super) fn len(&self) -> usize {
        self.probe.len()
    }

    fn hash(&self, text: &[u8]) -> u32 {
        fold(self.seed.hash_one(text))
    }
}

/// Both halves of a hash in one.
pub(super) fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_until_its_last_use() {
        let mut names = Interner::new(Seed::with_seed(1));
        let long = [b'x'; 300];
        let (a, x) = (names.take(b"a"), names.take(&long));
        assert_eq!(names.take(b"a"), a);
        names.release(a);
        assert_eq!(names.find(b"a"), Some(a));
        names.release(a);
        assert_eq!(names.find(b"a"), None);
        assert_eq!(names.take(b""), a, "a freed number is used again");
        assert_eq!((names.find(&long), names.text(x), names.len()), (Some(x), &long[..], 2));
    }
}
