//! Floor 0. Who has something to say: an ordered list in which everybody stands once.
//!
//! Marking is O(1) and idempotent; order is first marked, first served. The caller keeps one bit
//! per entry (`marked`), so membership needs no hash.

use std::collections::VecDeque;

/// First marked, first served; marking twice is marking once.
#[derive(Debug)]
pub struct Dirty<T> {
    queue: VecDeque<T>,
}

impl<T> Default for Dirty<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<T> Dirty<T> {
    /// Put `item` at the end unless its owner's `marked` bit says that it already waits.
    pub fn mark(&mut self, item: T, marked: &mut bool) {
        if !*marked {
            *marked = true;
            self.queue.push_back(item);
        }
    }

    /// Take the first. The caller clears the owner's bit.
    pub fn take(&mut self) -> Option<T> {
        self.queue.pop_front()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
