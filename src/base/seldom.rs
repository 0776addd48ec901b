//! Floor 0. A queue that most of its owners never need: a word while there is none.
//!
//! What stands in ten thousand idle connections is paid for ten thousand times, so a list that few
//! of them ever use is elsewhere, and made by the first who puts something in. It stays when the
//! last thing is taken out, because whoever needed it once may soon again; `close` gives it back.
//! Absent on purpose: whatever nobody asked a queue for.

use std::collections::VecDeque;

/// A queue, or nowhere.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a word, not four")]
pub struct Seldom<T>(Option<Box<VecDeque<T>>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Seldom<T> {
    /// The queue, to put something in.
    pub fn open(&mut self) -> &mut VecDeque<T> {
        self.0.get_or_insert_default()
    }

    /// Give back what it takes, and what is in it.
    pub fn close(&mut self) {
        self.0 = None;
    }

    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.is_empty())
    }

    /// How much is in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    /// How much could be in it without asking for memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.capacity())
    }

    /// The first.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    /// The first, to change.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()?.front_mut()
    }

    /// Take the first.
    pub fn pop_front(&mut self) -> Option<T> {
        self.0.as_mut()?.pop_front()
    }

    /// All of it, first things first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    /// All of it, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|queue| queue.iter_mut())
    }

    /// Keep only these.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(queue) = &mut self.0 {
            queue.retain(keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_word_until_something_is_in_it_and_a_queue_from_then_on() {
        let mut queue = Seldom::default();
        assert_eq!(size_of_val(&queue), size_of::<usize>());
        assert_eq!((queue.len(), queue.capacity(), queue.pop_front()), (0, 0, None::<u32>));
        queue.retain(|_| false);
        assert!(queue.is_empty() && queue.front().is_none() && queue.0.is_none());
        queue.open().extend([1, 2, 3, 4]);
        queue.iter_mut().for_each(|n| *n += 10);
        queue.retain(|n| *n != 12);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [11, 13, 14]);
        assert_eq!(
            (queue.front().copied(), queue.pop_front(), queue.len()),
            (Some(11), Some(11), 2)
        );
        queue.close();
        assert!(queue.is_empty() && queue.0.is_none());
    }
}
