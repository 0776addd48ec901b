//! Floor 2. What was written for one reader and reads the same for the next.
//!
//! A message to a thousand readers who speak alike is written once and copied from then on. Every
//! place has one key, and whoever comes with another key takes it over: nothing has to be
//! forgotten, because a key names all that the text follows from. Its memory is a fixed number of
//! short texts. Absent on purpose: what the texts say, which only their own protocol knows.

use crate::base::id::RealmId;
use crate::base::outbound::COPY_MAX;

use super::parties::scatter;

/// Places; a power of two.
const PLACES: usize = 64;

/// All that a text follows from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Of the message, which no other has.
    pub number: u64,
    /// By which of the reader's wishes it came.
    pub wish: u32,
    /// Where that stands.
    pub realm: RealmId,
    /// Whatever else it depends on; its protocol says how.
    pub variant: u8,
}

/// The texts.
#[derive(Debug, Default)]
pub struct Written {
    places: Vec<(Option<Key>, Vec<u8>)>,
}

impl Written {
    /// What was written under this key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&[u8]> {
        let (known, text) = self.places.get(place(key))?;
        (known.as_ref() == Some(key)).then_some(text)
    }

    /// Remember it. What is long is not copied, and so not remembered either.
    pub fn keep(&mut self, key: Key, text: &[u8]) {
        if text.len() > COPY_MAX {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Default::default);
        }
        if let Some((known, kept)) = self.places.get_mut(place(&key)) {
            *known = Some(key);
            kept.clear();
            kept.extend_from_slice(text);
        }
    }
}

fn place(key: &Key) -> usize {
    let mixed = key.number ^ u64::from(key.wish) << 20 ^ u64::from(key.variant) << 56;
    scatter(mixed) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { number: 7, wish: 3, realm: RealmId(1), variant: 2 };

    #[test]
    fn only_the_very_same_key_finds_a_text() {
        let mut it = Written::default();
        assert_eq!(it.get(&KEY), None);
        it.keep(KEY, b"text");
        assert_eq!(it.get(&KEY), Some(&b"text"[..]));
        // Realms are no part of the place, so this one is looked for where the other stands.
        assert_eq!(it.get(&Key { realm: RealmId(2), ..KEY }), None);
        assert_eq!(it.get(&Key { number: 8, ..KEY }), None);
        assert_eq!(it.get(&Key { wish: 4, ..KEY }), None);
        assert_eq!(it.get(&Key { variant: 3, ..KEY }), None);
    }

    #[test]
    fn a_text_takes_the_place_of_another_and_leaves_nothing_of_it() {
        let mut it = Written::default();
        it.keep(KEY, b"longer");
        it.keep(Key { realm: RealmId(2), ..KEY }, b"text");
        assert_eq!(it.get(&KEY), None);
        assert_eq!(it.get(&Key { realm: RealmId(2), ..KEY }), Some(&b"text"[..]));
    }

    #[test]
    fn its_memory_is_bounded_whatever_comes() {
        let mut it = Written::default();
        it.keep(KEY, &[0; COPY_MAX + 1]);
        assert_eq!(it.get(&KEY), None, "what is long is not kept");
        for number in 0..10_000 {
            it.keep(Key { number, ..KEY }, &[0; COPY_MAX]);
        }
        let held: usize = it.places.iter().map(|(_, text)| text.capacity()).sum();
        assert!(it.places.len() == PLACES && held <= PLACES * COPY_MAX, "{held}");
    }
}
