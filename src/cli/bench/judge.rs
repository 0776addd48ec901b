//! Floor 6. Whether a figure is one: of the broker, and of what was promised.
//!
//! A generator that was at its own end measured itself. One that was late has put its own waiting
//! into the latency of messages. Both are told apart from a slow broker by what the generator knows
//! of itself, and then there is no figure. Absent on purpose: whether a figure is good.

use crate::base::time::MS;

use super::plan::{Pace, Plan};
use super::tally::{Outcome, Tally};

/// Why the generator was the bottleneck, if it was.
pub(super) fn bottleneck(plan: &Plan, tally: &Tally, debug: bool) -> Option<String> {
    if debug {
        return Some("this generator was built for debugging, not for measuring".to_owned());
    }
    if tally.busy > BUSY_MAX {
        let share = tally.busy * 100.0;
        return Some(format!(
            "a thread of the generator was busy for {share:.0} % of the time (90 % is the most): \
             more --threads on other processors, or less to do"
        ));
    }
    if tally.busy + tally.waited > BUSY_MAX {
        let [share, waited] = [tally.busy, tally.waited].map(|share| share * 100.0);
        return Some(format!(
            "a thread of the generator was busy for {share:.0} % of the time and waited \
             {waited:.0} % for a processor that others had (90 % is the most): less beside it, or \
             a processor of its own"
        ));
    }
    let Pace::Open(_) = plan.pace else { return None };
    let late = tally.late.percentile(99_000);
    if late > LATE_MAX {
        return Some(format!(
            "one message in a hundred was sent more than {} ms late ({} ms is the most): a lower \
             --rate, more --threads, or a machine with less to do",
            late / MS,
            LATE_MAX / MS
        ));
    }
    let sent = tally.late.count();
    if plan.talks() && tally.unsent * 100 > sent {
        return Some(format!("{} messages of {} were not sent", tally.unsent, sent + tally.unsent));
    }
    None
}

/// Which promise of MQTT was not kept, if one was not.
pub(super) fn broken(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    let lost = tally.owed.saturating_sub(tally.came);
    let mut all = Vec::new();
    if lost > 0 {
        all.push(format!("{lost} of {} deliveries never came", tally.owed));
    }
    if tally.strayed > 0 {
        all.push(format!("{} came out of order or twice", tally.strayed));
    }
    if tally.unacknowledged > 0 {
        all.push(format!("{} messages were not acknowledged", tally.unacknowledged));
    }
    if plan.talks() && tally.came == 0 {
        all.push("nothing was delivered".to_owned());
    }
    if all.is_empty() { None } else { Some(all.join("; ")) }
}

/// The most of the time that a thread may be busy.
const BUSY_MAX: f64 = 0.9;
/// The most that one message in a hundred may be late, in nanoseconds.
const LATE_MAX: u64 = 5 * MS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::plan::of_words;

    fn plan(words: &str) -> Plan {
        of_words(words).unwrap()
    }

    #[test]
    fn a_busy_generator_gives_no_figure() {
        let plan = plan("pairs");
        let busy = |busy| Tally { busy, ..Tally::default() };
        assert_eq!(bottleneck(&plan, &busy(0.9), false), None);
        assert!(bottleneck(&plan, &busy(0.91), false).unwrap().contains("busy for 91 %"));
        assert!(bottleneck(&plan, &busy(0.0), true).is_some(), "a build for debugging");
    }

    #[test]
    fn a_generator_that_others_keep_from_working_gives_no_figure() {
        let plan = plan("pairs");
        let of = |waited| Tally { busy: 0.5, waited, ..Tally::default() };
        assert_eq!(bottleneck(&plan, &of(0.4), false), None);
        assert!(bottleneck(&plan, &of(0.41), false).unwrap().contains("waited 41 %"));
    }

    #[test]
    fn a_late_generator_gives_no_figure() {
        let plan = plan("pairs --rate 1000");
        let mut tally = Tally::default();
        tally.late.record_all(100_000, 990);
        tally.late.record_all(1_000_000_000, 10);
        assert_eq!(bottleneck(&plan, &tally, false), None);
        tally.late.record_all(1_000_000_000, 10);
        assert!(bottleneck(&plan, &tally, false).unwrap().contains("late"));
        let mut tally = Tally { unsent: 11, ..Tally::default() };
        tally.late.record_all(100_000, 1_000);
        assert!(bottleneck(&plan, &tally, false).unwrap().contains("11 messages of 1011"));
        tally.unsent = 10;
        assert_eq!(bottleneck(&plan, &tally, false), None);
    }

    #[test]
    fn whatever_was_promised_and_not_kept_is_named() {
        let plan = plan("pairs --qos 1");
        let kept = Tally { owed: 5, came: 5, ..Tally::default() };
        let of = |tally: Tally| broken(&plan, &Outcome { tally, ..Outcome::default() });
        assert_eq!(of(kept.clone()), None);
        let lost = of(Tally { came: 3, ..kept.clone() }).unwrap();
        assert_eq!(lost, "2 of 5 deliveries never came");
        assert!(of(Tally { strayed: 1, ..kept.clone() }).unwrap().contains("order or twice"));
        assert!(of(Tally { unacknowledged: 1, ..kept }).unwrap().contains("not acknowledged"));
        assert_eq!(of(Tally::default()).unwrap(), "nothing was delivered");
    }
}
