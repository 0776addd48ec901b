//! Floor 3. What was sent to one peer and is to be acknowledged: numbers, and who waits until when.
//!
//! Numbers count from 1 for each direction of a connection, stay below 100,000 as the original's
//! do, and are never 0, which real peers do not acknowledge. A number is not given again while
//! something waits for it. What is not acknowledged in time is sent again as it was, where the
//! original sends something empty (specification 6), and is given up after some times. Absent on
//! purpose: messages; `T` is what the caller knows them by.

use std::collections::BTreeMap;

use crate::base::time::{Deadline, Now};

use super::packet::Id;

/// The highest number; then they begin again.
pub const NUMBER_MAX: u64 = 99_999;

/// How long, how often, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long an acknowledgement is waited for.
    pub wait_ms: u64,
    /// How often something is sent again.
    pub again_max: u32,
    /// How many may be under way. The original waits for each before it sends the next.
    pub window: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { wait_ms: 50_000, again_max: 3, window: 1 }
    }
}

/// What is to be done about something that was not acknowledged in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Due<T> {
    /// It is sent again, with the same number.
    Again(u64, T),
    /// Nobody waits for it any more.
    GivenUp(T),
}

#[derive(Debug)]
struct Waits<T> {
    what: T,
    until: Deadline,
    again: u32,
}

/// What is under way to one peer.
#[derive(Debug)]
pub struct Acks<T> {
    terms: Terms,
    last: u64,
    open: BTreeMap<u64, Waits<T>>,
}

impl<T: Clone> Acks<T> {
    /// For a new connection.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms, last: 0, open: BTreeMap::new() }
    }

    /// Another may be sent now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < self.terms.window.min(NUMBER_MAX as usize)
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// This is sent now: the number it goes with; none while too many wait.
    pub fn send(&mut self, now: Now, what: T) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        let mut number = self.last % NUMBER_MAX + 1;
        // Fewer are open than there are numbers, so one is free.
        while self.open.contains_key(&number) {
            number = number % NUMBER_MAX + 1;
        }
        self.last = number;
        let until = now.after_ms(self.terms.wait_ms);
        self.open.insert(number, Waits { what, until, again: 0 });
        Some(number)
    }

    /// The other side has it. Nothing for a number that nobody waits for, or not any more.
    pub fn on_ack(&mut self, id: &Id) -> Option<T> {
        self.open.remove(&id.number()?).map(|waits| waits.what)
    }

    /// What has waited too long, in the order in which it was sent.
    pub fn due(&mut self, now: Now) -> Vec<Due<T>> {
        let late = self.open.iter().filter(|(_, waits)| now.reached(waits.until));
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        let mut all = Vec::new();
        for number in self.in_order(late) {
            let Some(waits) = self.open.get_mut(&number) else { continue };
            if waits.again < self.terms.again_max {
                waits.again += 1;
                waits.until = now.after_ms(self.terms.wait_ms);
                all.push(Due::Again(number, waits.what.clone()));
            } else if let Some(waits) = self.open.remove(&number) {
                all.push(Due::GivenUp(waits.what));
            }
        }
        all
    }

    /// When to ask for that.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.open.values().map(|waits| waits.until).min().unwrap_or(Deadline::NEVER)
    }

    /// The connection is gone: what the other side perhaps never had, in the order it was sent.
    pub fn close(&mut self) -> Vec<T> {
        let numbers = self.in_order(self.open.keys().copied().collect());
        numbers.iter().filter_map(|number| Some(self.open.remove(number)?.what)).collect()
    }

    /// As they were given out: those above the last one are from before the numbers began again.
    fn in_order(&self, mut numbers: Vec<u64>) -> Vec<u64> {
        numbers.sort_by_key(|number| (*number <= self.last, *number));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MS;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    fn acks(window: usize) -> Acks<&'static str> {
        Acks::new(Terms { wait_ms: 100, again_max: 2, window })
    }

    #[test]
    fn numbers_count_from_one_and_one_waits_at_a_time() {
        let mut acks = acks(1);
        assert_eq!(acks.send(at(0), "a"), Some(1));
        assert_eq!(acks.send(at(0), "b"), None, "the line stands still");
        assert_eq!(acks.on_ack(&Id::from(2)), None);
        assert_eq!(acks.on_ack(&Id::from("1")), None, "a text is no number");
        assert_eq!(acks.on_ack(&Id::from(1)), Some("a"));
        assert_eq!(acks.on_ack(&Id::from(1)), None, "once");
        assert_eq!(acks.send(at(0), "b"), Some(2));
    }

    #[test]
    fn numbers_begin_again_after_the_last_pass_over_who_waits_and_are_never_zero() {
        let mut acks = acks(2);
        assert_eq!(acks.send(at(0), "old"), Some(1));
        for number in 2..=NUMBER_MAX {
            assert_eq!(acks.send(at(0), "x"), Some(number));
            assert_eq!(acks.on_ack(&Id::from(number)), Some("x"));
        }
        assert_eq!(acks.send(at(1), "new"), Some(2), "1 is still waited for, 0 is none");
        assert_eq!(acks.close(), ["old", "new"]);
    }

    #[test]
    fn the_order_outlives_the_end_of_the_numbers() {
        let mut acks = acks(2);
        acks.last = NUMBER_MAX - 1;
        assert_eq!(acks.send(at(0), "first"), Some(NUMBER_MAX));
        assert_eq!(acks.send(at(0), "second"), Some(1));
        let again = [Due::Again(NUMBER_MAX, "first"), Due::Again(1, "second")];
        assert_eq!(acks.due(at(100)), again);
        assert_eq!(acks.close(), ["first", "second"]);
    }

    #[test]
    fn what_is_not_acknowledged_is_said_again_as_it_was_and_then_given_up() {
        let mut acks = acks(1);
        assert_eq!(acks.deadline(), Deadline::NEVER);
        acks.send(at(0), "a");
        assert_eq!(acks.deadline(), Deadline(100 * MS));
        assert_eq!(acks.due(at(99)), []);
        for n in 1..=2 {
            assert_eq!(acks.due(at(100 * n)), [Due::Again(1, "a")]);
            assert_eq!(acks.due(at(100 * n)), [], "it waits anew");
        }
        assert_eq!(acks.due(at(300)), [Due::GivenUp("a")]);
        assert_eq!(acks.on_ack(&Id::from(1)), None, "too late");
        assert_eq!(acks.send(at(300), "b"), Some(2), "the line goes on");
    }
}
