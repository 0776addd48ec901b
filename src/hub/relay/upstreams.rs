//! Floor 2. Where a relay forwards to: who is there, who has the least to do, whom to leave alone.
//!
//! An upstream that refused is left alone for a while that doubles with every refusal, and then one
//! connection tries it; the others wait for what becomes of that. Connections whose client has left
//! them clean wait here for the next client. Absent on purpose: addresses, and the dialing.

use std::collections::VecDeque;

use crate::base::id::ConnId;
use crate::base::time::MS;

/// How long one that refused is left alone, at first and at most, in milliseconds.
const ALONE_MS: u64 = 100;
const ALONE_MS_MAX: u64 = 5_000;

/// How one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    /// It was there when it was tried last; before that it is believed to be.
    Up,
    /// It refused so often in a row; it is tried again at this time. Somebody may be trying.
    Down { failures: u32, again: u64, trying: bool },
}

/// Somewhere to forward to.
#[derive(Debug)]
pub struct Upstream {
    /// As the configuration has it.
    pub name: String,
    health: Health,
    /// Connections to it, in use or being dialed.
    open: u32,
    /// Connections that nobody uses, and since when; the oldest first.
    idle: VecDeque<(ConnId, u64)>,
    /// When it was last known to be there, or not.
    known_at: u64,
    /// Connections that it refused or did not accept in time.
    pub refused: u64,
}

impl Upstream {
    /// Is it there, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.health == Health::Up
    }

    /// Connections in use or being dialed.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }

    /// Connections that nobody uses.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.len()
    }
}

/// Where to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Use this connection, which is open already.
    Use(u16, ConnId),
    /// Dial this one.
    Dial(u16),
    /// Nobody is there; look again at this time.
    Later(u64),
    /// All who are there have as many connections as they may.
    Full,
}

/// All upstreams of a relay.
#[derive(Debug)]
pub struct Upstreams {
    all: Vec<Upstream>,
    /// Who was chosen last: of equals it is the next one's turn.
    last: usize,
}

impl Upstreams {
    /// These, in order.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let one = |name| Upstream {
            name,
            health: Health::Up,
            open: 0,
            idle: VecDeque::new(),
            known_at: 0,
            refused: 0,
        };
        Self { all: names.into_iter().map(one).collect(), last: 0 }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.all.iter()
    }

    /// Somebody is there.
    #[must_use]
    pub fn any_up(&self) -> bool {
        self.all.iter().any(Upstream::is_up)
    }

    /// Where a client goes: with `most` connections for each upstream; it is counted as open.
    pub fn choose(&mut self, now: u64, most: u32) -> Choice {
        let by_turn = self.by_turn();
        let up = by_turn.clone().filter(|at| self.all[*at].is_up());
        let free = up.filter(|at| self.all[*at].open < most);
        if let Some(at) = free.min_by_key(|at| self.all[*at].open) {
            self.last = at;
            let one = &mut self.all[at];
            one.open += 1;
            return match one.idle.pop_back() {
                Some((conn, _)) => Choice::Use(at as u16, conn),
                None => Choice::Dial(at as u16),
            };
        }
        if self.any_up() {
            return Choice::Full;
        }
        match by_turn.min_by_key(|at| self.again(*at)) {
            Some(at) if self.again(at) <= now => {
                self.last = at;
                self.all[at].open += 1;
                self.try_again(at);
                Choice::Dial(at as u16)
            }
            Some(at) if self.again(at) < u64::MAX => Choice::Later(self.again(at)),
            // Somebody is trying; there is word of it soon.
            _ => Choice::Later(now + ALONE_MS * MS),
        }
    }

    /// Who should be looked at by a connection of its own: one that was refused and that nobody
    /// tries, or, with `every`, one that was not heard of for so long.
    pub fn to_probe(&mut self, now: u64, every: u64) -> Option<u16> {
        let due = |one: &Upstream| match one.health {
            Health::Down { again, trying, .. } => !trying && again <= now,
            Health::Up => every > 0 && now.saturating_sub(one.known_at) >= every,
        };
        let at = self.all.iter().position(due)?;
        self.try_again(at);
        let one = &mut self.all[at];
        one.open += 1;
        one.known_at = now;
        Some(at as u16)
    }

    /// When `to_probe` may have somebody.
    #[must_use]
    pub fn probe_at(&self, every: u64) -> Option<u64> {
        let due = |one: &Upstream| match one.health {
            Health::Down { trying: true, .. } => None,
            Health::Down { again, .. } => Some(again),
            Health::Up => (every > 0).then(|| one.known_at.saturating_add(every)),
        };
        self.all.iter().filter_map(due).min()
    }

    /// It is there. True: it was not before.
    pub fn on_up(&mut self, at: u16, now: u64) -> bool {
        let Some(one) = self.all.get_mut(usize::from(at)) else { return false };
        one.known_at = now;
        core::mem::replace(&mut one.health, Health::Up) != Health::Up
    }

    /// It refused, or did not answer in time; that connection is over. True: it was there before.
    pub fn on_refused(&mut self, at: u16, now: u64) -> bool {
        let Some(one) = self.all.get_mut(usize::from(at)) else { return false };
        let before = match one.health {
            Health::Up => 0,
            Health::Down { failures, .. } => failures,
        };
        let alone = ALONE_MS.saturating_mul(1 << before.min(16)).min(ALONE_MS_MAX);
        let again = now.saturating_add(alone * MS);
        let failures = before.saturating_add(1);
        one.refused += 1;
        one.known_at = now;
        let was =
            core::mem::replace(&mut one.health, Health::Down { failures, again, trying: false });
        self.on_gone(at);
        was == Health::Up
    }

    /// Nothing could be tried for want of room; that is not its fault.
    pub fn on_full(&mut self, at: u16, now: u64) {
        self.on_gone(at);
        let one = self.all.get_mut(usize::from(at));
        if let Some(Upstream { health: Health::Down { again, trying, .. }, .. }) = one {
            (*again, *trying) = (now.saturating_add(ALONE_MS * MS), false);
        }
    }

    /// A connection to it is over, or waits for nobody any more.
    pub fn on_gone(&mut self, at: u16) {
        if let Some(one) = self.all.get_mut(usize::from(at)) {
            one.open = one.open.saturating_sub(1);
        }
    }

    /// A connection that its client has left clean waits for the next one, if there is room for
    /// `most`. False: there is not.
    pub fn lay_by(&mut self, at: u16, conn: ConnId, now: u64, most: usize) -> bool {
        let Some(one) = self.all.get_mut(usize::from(at)) else { return false };
        if one.idle.len() >= most {
            return false;
        }
        one.open = one.open.saturating_sub(1);
        one.idle.push_back((conn, now));
        true
    }

    /// One of those that wait is over.
    pub fn on_idle_gone(&mut self, at: u16, conn: ConnId) {
        if let Some(one) = self.all.get_mut(usize::from(at)) {
            one.idle.retain(|(own, _)| *own != conn);
        }
    }

    /// The next one in turn first.
    fn by_turn(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let (len, last) = (self.all.len(), self.last);
        (1..=len).map(move |n| (last + n) % len)
    }

    /// When it may be tried; never while somebody does.
    fn again(&self, at: usize) -> u64 {
        match self.all[at].health {
            Health::Up => 0,
            Health::Down { trying: true, .. } => u64::MAX,
            Health::Down { again, .. } => again,
        }
    }

    fn try_again(&mut self, at: usize) {
        if let Health::Down { trying, .. } = &mut self.all[at].health {
            *trying = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(names: &[&str]) -> Upstreams {
        Upstreams::new(names.iter().map(|name| (*name).to_owned()))
    }

    fn conn(index: u32) -> ConnId {
        ConnId { index, life: 0 }
    }

    #[test]
    fn the_one_with_the_least_to_do_is_chosen_and_equals_take_turns() {
        let mut all = some(&["a", "b", "c"]);
        let mut counts = [0; 3];
        for _ in 0..9 {
            let Choice::Dial(at) = all.choose(0, 3) else { panic!("there is room") };
            counts[usize::from(at)] += 1;
        }
        assert_eq!(counts, [3, 3, 3]);
        assert_eq!(all.choose(0, 3), Choice::Full);
        all.on_gone(1);
        assert_eq!(all.choose(0, 3), Choice::Dial(1));
    }

    #[test]
    fn whoever_refuses_is_left_alone_for_longer_and_longer_and_tried_by_one() {
        let mut all = some(&["a"]);
        let mut now = 0;
        for wait_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            assert_eq!(all.choose(now, 9), Choice::Dial(0));
            assert_eq!(all.on_refused(0, now), wait_ms == 100, "it was there once");
            let again = now + wait_ms * MS;
            assert_eq!(all.choose(again - 1, 9), Choice::Later(again));
            assert!(!all.any_up());
            now = again;
        }
        assert_eq!(all.choose(now, 9), Choice::Dial(0));
        let Choice::Later(_) = all.choose(now, 9) else { panic!("one is enough to try") };
        assert!(all.on_up(0, now) && !all.on_up(0, now));
        assert_eq!(all.choose(now, 9), Choice::Dial(0));
        assert!(all.on_refused(0, now));
        assert_eq!(all.choose(now, 9), Choice::Later(now + 100 * MS), "and it begins anew");
    }

    #[test]
    fn the_others_are_used_while_one_is_away() {
        let mut all = some(&["a", "b"]);
        let Choice::Dial(first) = all.choose(0, 9) else { panic!("it is there") };
        all.on_refused(first, 0);
        for _ in 0..5 {
            assert_eq!(all.choose(0, 9), Choice::Dial(1 - first));
        }
    }

    #[test]
    fn a_connection_that_was_laid_by_is_used_again() {
        let mut all = some(&["a"]);
        assert_eq!(all.choose(0, 1), Choice::Dial(0));
        assert!(all.lay_by(0, conn(5), 0, 1), "room for one");
        assert_eq!(all.choose(0, 1), Choice::Use(0, conn(5)));
        assert!(all.lay_by(0, conn(5), 0, 1));
        assert!(!all.lay_by(0, conn(6), 0, 1), "no room for two");
        all.on_idle_gone(0, conn(5));
        assert_eq!(all.choose(0, 1), Choice::Dial(0));
    }

    #[test]
    fn whoever_is_away_is_looked_at_without_a_client() {
        let mut all = some(&["a", "b"]);
        assert_eq!((all.to_probe(0, 0), all.probe_at(0)), (None, None));
        let Choice::Dial(at) = all.choose(0, 9) else { panic!("it is there") };
        all.on_refused(at, 0);
        assert_eq!((all.to_probe(99 * MS, 0), all.probe_at(0)), (None, Some(100 * MS)));
        assert_eq!(all.to_probe(100 * MS, 0), Some(at));
        assert_eq!((all.to_probe(100 * MS, 0), all.probe_at(0)), (None, None), "one is enough");
        all.on_up(at, 100 * MS);
        assert_eq!(all.probe_at(1_000 * MS), Some(1_000 * MS), "the other one, unheard of");
        assert_eq!(all.to_probe(1_000 * MS, 1_000 * MS), Some(1 - at));
        assert_eq!(all.to_probe(1_000 * MS, 1_000 * MS), None);
        assert_eq!(all.to_probe(1_100 * MS, 1_000 * MS), Some(at));
    }

    #[test]
    fn whom_we_have_no_room_to_try_is_as_before() {
        let mut all = some(&["a"]);
        assert_eq!(all.choose(0, 9), Choice::Dial(0));
        all.on_full(0, 0);
        assert_eq!((all.any_up(), all.iter().map(Upstream::open).sum()), (true, 0));
        assert_eq!(all.choose(0, 9), Choice::Dial(0));
        all.on_refused(0, 0);
        assert_eq!(all.to_probe(100 * MS, 0), Some(0));
        all.on_full(0, 100 * MS);
        assert_eq!(all.to_probe(199 * MS, 0), None);
        assert_eq!(all.to_probe(200 * MS, 0), Some(0), "somebody may try again");
        assert_eq!(all.iter().map(|one| one.refused).sum::<u64>(), 1);
    }
}
