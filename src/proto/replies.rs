//! Floor 3. Replies in order, each with the journal position it must not outrun.
//!
//! The front waits for its position, and everything behind it waits with it: acknowledgements
//! keep the order of what they acknowledge. A reply may be a gate: deliveries wait until it is
//! out (a welcome, a subscription's acknowledgement before the kept values it brings).

use std::collections::VecDeque;

use crate::base::id::Lsn;

/// Replies of one connection.
#[derive(Debug)]
pub struct Replies<T> {
    queue: VecDeque<(Lsn, bool, T)>,
    gates: u32,
}

impl<T> Default for Replies<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), gates: 0 }
    }
}

impl<T> Replies<T> {
    /// Say this once the journal is synced up to `after`.
    pub fn push(&mut self, after: Lsn, reply: T) {
        self.begin();
        self.queue.push_back((after, false, reply));
    }

    /// The same, and no delivery before it.
    pub fn push_gate(&mut self, after: Lsn, reply: T) {
        self.gates += 1;
        self.begin();
        self.queue.push_back((after, true, reply));
    }

    /// Room for one, and at first for no more: a client that is idle said one thing at a time.
    fn begin(&mut self) {
        if self.queue.capacity() == 0 {
            self.queue.reserve_exact(1);
        }
    }

    /// The next reply that may be said.
    pub fn pop(&mut self, synced: Lsn) -> Option<T> {
        if self.queue.front()?.0 > synced {
            return None;
        }
        let (_, gate, reply) = self.queue.pop_front()?;
        self.gates -= u32::from(gate);
        // What comes once in a connection's life, or seldom, leaves nothing behind.
        if self.queue.is_empty() && (gate || self.queue.capacity() > 64) {
            self.queue = VecDeque::new();
        }
        Some(reply)
    }

    /// The first of these, ahead of what waits before it: nothing that promises anything.
    pub fn pop_ahead(&mut self, of: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.queue.iter().position(|(.., reply)| of(reply))?;
        self.queue.remove(at).map(|(.., reply)| reply)
    }

    /// The next reply, whatever it waits for.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.queue.front().map(|(.., reply)| reply)
    }

    /// What the front waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<Lsn> {
        self.queue.front().map(|(lsn, ..)| *lsn)
    }

    /// A gate stands before the deliveries.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.gates > 0
    }

    /// Replies waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drop what has not been said: only last words remain.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.gates = 0;
    }

    /// Heap bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.queue.capacity() * size_of::<(Lsn, bool, T)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overtakes_a_reply_that_waits_for_the_disk() {
        let mut replies = Replies::default();
        replies.push(Lsn(100), "first");
        replies.push(Lsn::START, "second");
        assert_eq!(replies.pop(Lsn(99)), None);
        assert_eq!(replies.pop(Lsn(100)), Some("first"));
        assert_eq!(replies.pop(Lsn(100)), Some("second"));
        assert!(replies.is_empty());
    }

    #[test]
    fn a_gate_stands_until_it_is_said() {
        let mut replies = Replies::default();
        replies.push_gate(Lsn(5), 1);
        assert!(replies.is_gated());
        assert_eq!(replies.pop(Lsn(5)), Some(1));
        assert!(!replies.is_gated());
    }

    #[test]
    fn the_front_says_what_everything_waits_for() {
        let mut replies = Replies::default();
        assert_eq!(replies.waits_for(), None);
        replies.push(Lsn(7), 1);
        replies.push(Lsn(9), 2);
        assert_eq!(replies.waits_for(), Some(Lsn(7)));
        replies.pop(Lsn(7));
        assert_eq!(replies.waits_for(), Some(Lsn(9)));
    }

    #[test]
    fn what_was_not_said_is_dropped_and_its_gate_with_it() {
        let mut replies = Replies::default();
        replies.push_gate(Lsn(5), 1);
        replies.push(Lsn(6), 2);
        replies.clear();
        assert!(replies.is_empty() && !replies.is_gated());
        assert_eq!(replies.pop(Lsn(9)), None);
        replies.push(Lsn(9), 3);
        assert_eq!(replies.pop(Lsn(9)), Some(3), "last words are said all the same");
    }

    #[test]
    fn room_for_a_burst_of_replies_is_given_back_when_it_is_over() {
        let mut replies = Replies::default();
        for (burst, kept) in [(64, true), (65, false)] {
            for at in 0..burst {
                replies.push(Lsn(1), at);
            }
            assert_eq!(replies.heap() / size_of::<(Lsn, bool, i32)>(), if kept { 64 } else { 128 });
            while replies.pop(Lsn(1)).is_some() {}
            assert_eq!(replies.heap() > 0, kept, "after {burst}");
        }
    }

    #[test]
    fn a_welcome_leaves_nothing_behind_and_acknowledgements_keep_their_room() {
        let mut replies = Replies::default();
        replies.push_gate(Lsn::START, 1);
        assert!(replies.heap() > 0);
        replies.pop(Lsn::START);
        assert_eq!(replies.heap(), 0);
        replies.push(Lsn::START, 2);
        let room = replies.heap();
        replies.pop(Lsn::START);
        assert_eq!(replies.heap(), room, "the next one asks for no memory");
    }
}
