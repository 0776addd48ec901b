//! Floor 5. Looking again for a while before the loop goes to sleep, for as long as that pays.
//!
//! A sleep costs two switches and the time in which a core wakes up; looking costs the core. What a
//! second of looking brought decides: when most of it found nothing, the loop sleeps as it always
//! did, and only every sixteenth time looks first, to see whether it would pay again. So a broker
//! with no traffic, or with traffic that is never there in time, spends nothing worth a name.
//! Absent on purpose: the clock, the wait itself, and any guess about the future but this one.

use crate::base::time::{Deadline, MS, Now};

/// What is known about looking.
#[derive(Clone, Debug)]
pub struct Spin {
    /// Nanoseconds one look may take.
    limit: u64,
    /// It does not pay: sleep, but for a trial now and then.
    resting: bool,
    /// Sleeps since the last trial.
    slept: u32,
    /// When this account was begun.
    since: u64,
    /// Looks on this account that found something.
    found: u32,
    /// Looks on this account that did not.
    missed: u32,
}

impl Spin {
    /// Look for at most so many microseconds; 0: never.
    #[must_use]
    pub fn new(us: u64) -> Self {
        let limit = us.min(SPIN_US_MAX).saturating_mul(1_000);
        Self { limit, resting: false, slept: 0, since: 0, found: 0, missed: 0 }
    }

    /// The loop is about to sleep after it did something: until when to look first, if at all.
    pub fn until(&mut self, now: Now) -> Option<Deadline> {
        if self.limit == 0 {
            return None;
        }
        if self.resting {
            self.slept += 1;
            if self.slept < TRIAL {
                return None;
            }
            self.slept = 0;
        }
        Some(Deadline(now.mono.saturating_add(self.limit)))
    }

    /// A look that began as [`Spin::until`] said is over.
    pub fn on_looked(&mut self, now: Now, found: bool) {
        *if found { &mut self.found } else { &mut self.missed } += 1;
        let told = if self.resting {
            self.found + self.missed >= TRIALS
        } else {
            now.mono.saturating_sub(self.since) >= ACCOUNT
        };
        if told {
            self.resting = self.found <= self.missed;
            self.since = now.mono;
            (self.found, self.missed) = (0, 0);
        }
    }
}

/// The longest look: what waits longer than this is not waiting for an answer.
pub const SPIN_US_MAX: u64 = 10_000;
/// After so many nanoseconds what looking brought is judged.
const ACCOUNT: u64 = 1_000 * MS;
/// While it does not pay, one sleep in so many is preceded by a look.
const TRIAL: u32 = 16;
/// So many of those looks, most of them good, and it pays again.
const TRIALS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    /// Events so far apart, for so long, with looks of 50 us: how many looks there were, and how
    /// many found something.
    fn live(spin: &mut Spin, from: &mut u64, apart: u64, events: u64) -> (u64, u64) {
        let (mut looks, mut found) = (0, 0);
        for _ in 0..events {
            let now = Now { mono: *from, wall: 0 };
            *from += apart;
            let Some(until) = spin.until(now) else { continue };
            assert_eq!(until.0, now.mono + 50 * US, "a look ends in time");
            let in_time = *from < until.0;
            looks += 1;
            found += u64::from(in_time);
            let mono = if in_time { *from } else { until.0 };
            spin.on_looked(Now { mono, wall: 0 }, in_time);
        }
        (looks, found)
    }

    #[test]
    fn what_comes_in_time_is_always_looked_for() {
        let (mut spin, mut at) = (Spin::new(50), 0);
        assert_eq!(live(&mut spin, &mut at, 20 * US, 200_000), (200_000, 200_000));
    }

    #[test]
    fn looking_for_what_comes_late_stops_after_a_second() {
        let (mut spin, mut at) = (Spin::new(50), 0);
        let (looks, found) = live(&mut spin, &mut at, 2 * MS, 5_000);
        assert_eq!(found, 0);
        // 500 in the first second, and a sixteenth of the 4,500 in the nine that follow.
        assert!((500..500 + 4_500 / 16 + 2).contains(&looks), "{looks} looks of ten seconds");
    }

    #[test]
    fn it_begins_again_when_traffic_returns() {
        let (mut spin, mut at) = (Spin::new(50), 0);
        live(&mut spin, &mut at, 2 * MS, 5_000);
        let (looks, found) = live(&mut spin, &mut at, 20 * US, 1_000);
        // 64 sleeps are enough to see it; what is left of the account that was begun counts too.
        assert!(looks == found && looks >= 1_000 - 2 * 64, "{found} of {looks}");
        // One event a second is nothing to look for, and that is seen at the first of them.
        let (looks, _) = live(&mut spin, &mut at, 1_000 * MS, 160);
        assert!(looks <= 2 + 160 / 16, "{looks} looks");
    }

    #[test]
    fn without_a_limit_nobody_looks() {
        let mut spin = Spin::new(0);
        assert!((0..100).all(|mono| spin.until(Now { mono, wall: 0 }).is_none()));
        let longest = Spin::new(u64::MAX).until(Now::default());
        assert_eq!(longest, Some(Deadline(SPIN_US_MAX * US)));
    }
}
