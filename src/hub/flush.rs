//! Floor 2. A sync of the journal that does not come back: noticed, said once, and then over.
//!
//! A disk that hangs gives no error: what waits for it waits, and nobody knows why. So the time of
//! the sync under way is watched. While it is late, whoever waits for it is told at least that the
//! broker is there: pings are answered ahead of acknowledgements, which otherwise keep their order.
//! And the journal holds back, so that nobody else waits with them.
//! Absent on purpose: giving it up, because what a disk has not refused may still be done.

use crate::base::limits::Limit;
use crate::base::time::{Deadline, MS, Now};

use super::Hub;

/// The sync under way.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    /// When it was asked for.
    asked: Option<u64>,
    /// It has been said that it is late.
    late: bool,
}

impl Hub {
    /// A sync was asked for.
    pub fn on_flush_asked(&mut self, now: Now) {
        self.timings.on_sync_asked(now);
        self.flush.asked = Some(now.mono);
    }

    /// It is done, or never will be.
    pub(crate) fn on_flush_over(&mut self, now: Now) {
        // Where the loop was held up too, it has not looked in all that time.
        self.watch_flush(now);
        let Flush { asked, late } = core::mem::take(&mut self.flush);
        if let (Some(asked), true) = (asked, late) {
            let ms = now.mono.saturating_sub(asked) / MS;
            self.tell_storage(now, "running", &format!("the sync that was late took {ms} ms"));
        }
    }

    /// Has it just become late? Then that is said and counted.
    pub fn watch_flush(&mut self, now: Now) -> bool {
        if self.flush_deadline().is_none_or(|at| !now.reached(at)) {
            return false;
        }
        self.flush.late = true;
        if let Some(journal) = &mut self.journal {
            journal.hold();
        }
        self.stats.reached(Limit::sync_ms_max);
        let ms = self.limits.sync_ms_max;
        let text = format!("a sync takes longer than {ms} ms; acknowledgements wait for it");
        self.tell_storage(now, "late", &text);
        true
    }

    /// When the sync under way will be late.
    #[must_use]
    pub fn flush_deadline(&self) -> Option<Deadline> {
        let asked = self.flush.asked.filter(|_| !self.flush.late)?;
        let ms = self.limits.sync_ms_max;
        Some(Deadline(asked.saturating_add(ms.saturating_mul(MS))))
    }

    /// It is.
    #[must_use]
    pub fn flush_is_late(&self) -> bool {
        self.flush.late
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench_test::{Bench, STAR};
    use super::super::message::Durability;
    use super::super::registry::Fresh;
    use crate::base::id::Lsn;
    use crate::base::limits::{Limit, Limits};
    use crate::base::time::MS;
    use crate::topic::{Dialect, Match};

    #[test]
    fn a_sync_that_was_late_while_nobody_looked_is_counted_when_it_is_over() {
        let mut b = Bench::new(Limits { sync_ms_max: 1_000, ..Limits::default() });
        for (took, counted) in [(999, 0), (1_000, 1), (40_000, 2)] {
            b.hub.on_flush_asked(b.now);
            b.now.mono += took * MS;
            b.hub.on_flush_over(b.now);
            assert_eq!(b.hub.stats.limit(Limit::sync_ms_max), counted, "{took} ms");
            assert!(!b.hub.flush_is_late());
        }
    }

    #[test]
    fn nothing_that_is_only_in_memory_is_promised_at_os() {
        let mut b = Bench::new(Limits { sync_ms_max: 1_000, ..Limits::default() });
        let os = |b: &mut Bench, name, fresh| {
            b.client(name, |ask| (ask.level, ask.fresh) = (Durability::Os, fresh))
        };
        let one = os(&mut b, "one", Fresh::No).session;
        let two = os(&mut b, "two", Fresh::No).session;
        b.subscribe(one, "a", 1);
        b.subscribe(one, "b", 1);
        b.pump();
        b.leave(two);
        b.hub.commit();
        let _hangs = b.hub.journal.as_mut().and_then(|journal| journal.poll_job(b.now));
        b.hub.on_flush_asked(b.now);
        let drop_filter = |b: &mut Bench, text: &'static str| {
            let filter = STAR.filter(&text.into(), Match::Native).expect("filter");
            let gone = b.hub.unsubscribe(b.now, one, &filter, None).expect("room");
            gone.expect("subscribed").after
        };
        assert_eq!(drop_filter(&mut b, "a"), Lsn::START, "the system has it");
        b.now.mono += 1_000 * MS;
        assert!(b.hub.watch_flush(b.now));
        assert!(drop_filter(&mut b, "b") > b.hub.synced(), "nobody has it but this process");
        let mut ask = b.ask("two");
        (ask.level, ask.fresh, ask.durable) = (Durability::Os, Fresh::All, false);
        let anew = b.hub.attach(b.now, ask);
        assert!(anew.expect("room").after > b.hub.synced(), "what was before could come back");
    }
}
