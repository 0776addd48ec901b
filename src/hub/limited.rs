//! Floor 2. Who reached a bound: always counted, told once per client and minute.
//!
//! Whoever was told of is remembered as a digest in a table of fixed size, four places for each. A
//! crowd with ever new names can push others out and be told of again, so there is a pace for
//! everybody together too: nobody can fill a disk with lines. Absent on purpose: what happens to
//! whoever reached the bound, which is decided where the bound is.

use core::hash::BuildHasher;

use crate::base::bucket::Bucket;
use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::limits::Limit;
use crate::base::map::Seed;
use crate::base::time::{MS, Now};

use super::Hub;
use super::policy::Event;
use super::session::Kind;

/// Of whom it was told lately.
pub(crate) struct Told {
    seed: Seed,
    /// Who reached which bound last, and in which moment.
    last: Option<(SessionId, Limit, u64)>,
    sets: Vec<[Entry; WAYS]>,
    pace: Bucket,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    who: u64,
    until: u64,
}

impl Told {
    pub(crate) fn new(seed: Seed) -> Self {
        let sets = vec![[Entry::default(); WAYS]; SETS];
        Self { seed, last: None, sets, pace: Bucket::new(LINES_S, LINES) }
    }

    /// The same for whoever reaches it many times in a moment: that is looked up once.
    pub(super) fn note_again(&mut self, now: Now, id: SessionId, who: &[u8], limit: Limit) -> bool {
        let this = Some((id, limit, now.mono));
        core::mem::replace(&mut self.last, this) != this && self.note(now, who, limit)
    }

    /// Is it to be told that they reached this bound? Then it is not, for a minute.
    fn note(&mut self, now: Now, who: &[u8], limit: Limit) -> bool {
        let who = self.seed.hash_one((who, limit));
        let Some(set) = self.sets.get_mut(who as usize % SETS) else { return false };
        let known = set.iter().any(|e| e.who == who && now.mono < e.until);
        if known || !self.pace.take(now.mono, 1) {
            return false;
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|e| e.until) {
            *oldest = Entry { who, until: now.mono.saturating_add(WINDOW) };
        }
        true
    }
}

impl Hub {
    /// Somebody reached this bound. `who` is a client id, a user name or an address.
    pub fn limited(&mut self, now: Now, who: &[u8], limit: Limit) {
        self.limited_at(now, None, who, limit);
    }

    /// The same for whom it is known where they are connected, or are about to be no longer.
    pub fn limited_at(&mut self, now: Now, conn: Option<ConnId>, who: &[u8], limit: Limit) {
        self.stats.reached(limit);
        if self.told.note(now, who, limit) {
            let conn = conn.or_else(|| self.connection_of(who));
            self.observer.see(now, &Event::Limited { conn, who, limit });
        }
    }

    /// Where the client of this name is connected.
    fn connection_of(&self, name: &[u8]) -> Option<ConnId> {
        let realms = (0..self.realms.len()).map(|realm| RealmId(realm as u16));
        let kinds = [Kind::Mqtt, Kind::Prx1, Kind::Aio];
        let mut all = realms.flat_map(|realm| kinds.map(|kind| (realm, kind)));
        let id = all.find_map(|(realm, kind)| self.named(realm, kind, name))?;
        self.sessions.get(id)?.conn
    }
}

const WAYS: usize = 4;
const SETS: usize = 256;
/// How long it is not told again.
const WINDOW: u64 = 60_000 * MS;
/// Lines in a second, and at once, about all bounds together.
const LINES_S: u64 = 10;
const LINES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    #[test]
    fn once_for_each_client_and_bound_in_a_minute() {
        let mut told = Told::new(Seed::with_seed(1));
        assert!(told.note(at(0), b"a", Limit::queued_max));
        assert!(!told.note(at(1), b"a", Limit::queued_max));
        assert!(told.note(at(1), b"a", Limit::receive_max));
        assert!(told.note(at(1), b"b", Limit::queued_max));
        assert!(!told.note(at(59_999), b"a", Limit::queued_max));
        assert!(told.note(at(60_000), b"a", Limit::queued_max));
    }

    #[test]
    fn whoever_reaches_it_many_times_is_told_of_as_often_as_who_reaches_it_once() {
        let mut told = Told::new(Seed::with_seed(1));
        let id = |index| SessionId { index, life: 0 };
        let mut often = |ms, who: u32, limit| {
            let name = who.to_be_bytes();
            (0..10).filter(|_| told.note_again(at(ms), id(who), &name, limit)).count()
        };
        assert_eq!(often(0, 1, Limit::inflight_max), 1);
        assert_eq!(often(0, 2, Limit::inflight_max), 1);
        assert_eq!(often(0, 1, Limit::inflight_max), 0, "another came between");
        assert_eq!(often(0, 1, Limit::queued_max), 1);
        assert_eq!(often(1, 1, Limit::inflight_max), 0);
        assert_eq!(often(60_000, 1, Limit::inflight_max), 1);
    }

    #[test]
    fn a_crowd_of_names_makes_a_few_lines_in_a_second() {
        let mut told = Told::new(Seed::with_seed(1));
        let lines = |told: &mut Told, ms: u64| {
            let names = (0..100_000u32).map(|n| n ^ (ms as u32) << 20);
            names.filter(|n| told.note(at(ms), &n.to_be_bytes(), Limit::queued_max)).count() as u64
        };
        assert_eq!(lines(&mut told, 0), LINES);
        assert_eq!(lines(&mut told, 1_000), LINES_S);
    }
}
