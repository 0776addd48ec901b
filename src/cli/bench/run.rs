//! Floor 6. A run from outside: starts the threads, sets the times, looks at the broker's process.
//!
//! This thread sleeps between the moments it waits for, so it takes nothing from the generator.
//! What was sent and never came is waited for as long as anything still comes. Absent on purpose:
//! sockets.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, ScopedJoinHandle, scope, sleep};
use std::time::Duration;

use mio::{Poll, Waker};

use crate::base::time::MS;
use crate::os::clock::Clock;

use super::engine::{Engine, WAKER};
use super::plan::Plan;
use super::proc::Sample;
use super::shared::{Shared, Stage};
use super::tally::{Outcome, Tally};

/// Do what the plan says.
pub(super) fn run(plan: &Plan, progress: bool) -> Result<Outcome, String> {
    let mut polls = Vec::new();
    let mut wakers = Vec::new();
    for _ in 0..plan.threads {
        let poll = Poll::new().map_err(|e| e.to_string())?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(|e| e.to_string())?;
        wakers.push(Arc::new(waker));
        polls.push(poll);
    }
    let shared = Shared::new(wakers, plan.publishers);
    let shows = progress && std::io::stderr().is_terminal();
    let watch = Watch { plan, shared: &shared, clock: Clock::start(), shows };
    let mut outcome = Outcome { empty: watch.sample(), ..Outcome::default() };
    scope(|scope| {
        let mut threads = Vec::new();
        for (place, poll) in polls.into_iter().enumerate() {
            let body = move || watch.work(place, poll);
            let name = format!("bench-{place}");
            match Builder::new().name(name).spawn_scoped(scope, body) {
                Ok(thread) => threads.push(thread),
                Err(e) => shared.fail(e.to_string()),
            }
        }
        watch.conduct(&mut outcome);
        gather(threads, &shared, &mut outcome.tally);
    });
    watch.show("", 1, 1);
    shared.failure().map_or(Ok(outcome), Err)
}

fn gather(threads: Vec<ScopedJoinHandle<'_, Option<Tally>>>, shared: &Shared, into: &mut Tally) {
    for thread in threads {
        match thread.join() {
            Ok(Some(tally)) => into.merge(&tally),
            Ok(None) => {}
            Err(_) => shared.fail("a thread of the generator ended".to_owned()),
        }
    }
}

/// Who looks on.
#[derive(Clone, Copy, Debug)]
struct Watch<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    clock: Clock,
    /// On a terminal.
    shows: bool,
}

impl Watch<'_> {
    /// What one thread does.
    fn work(&self, place: usize, poll: Poll) -> Option<Tally> {
        let engine = Engine::new(self.plan, self.shared, self.clock, place, poll);
        match engine.map_err(|e| e.to_string()).and_then(Engine::run) {
            Ok(tally) => Some(tally),
            Err(why) => {
                self.shared.fail(why);
                None
            }
        }
    }

    fn conduct(&self, outcome: &mut Outcome) {
        let all = u64::from(self.plan.publishers) + u64::from(self.plan.subscribers);
        let begun = self.clock.mono();
        let (mut seen, mut since) = (0, begun);
        loop {
            let up = self.shared.up.load(Ordering::Acquire) as u64;
            if up == all || self.is_over() {
                break;
            }
            let now = self.clock.mono();
            if up > seen {
                (seen, since) = (up, now);
            } else if now - since > PATIENCE {
                self.shared.fail(format!("only {up} of {all} clients came in"));
            }
            self.show("connecting", up, all);
            sleep(TICK);
        }
        outcome.full = self.sample();
        outcome.dialling = Shared::time(&self.shared.up_at).saturating_sub(begun);
        let begin = self.clock.mono() + 20 * MS;
        let from = begin + self.plan.warmup;
        let until = from + self.plan.duration;
        self.shared.begin.store(begin, Ordering::Relaxed);
        self.shared.from.store(from, Ordering::Relaxed);
        self.shared.until.store(until, Ordering::Relaxed);
        self.shared.advance(Stage::Running);
        if self.plan.lasts() {
            self.wait_until(from, "warming up", begin);
            let first = self.clock.mono();
            outcome.begin = self.sample();
            self.wait_until(until, "measuring", from);
            outcome.measured = self.clock.mono() - first;
            outcome.end = self.sample();
            self.drain();
        }
        self.shared.advance(Stage::Over);
    }

    fn is_over(&self) -> bool {
        self.shared.stage() == Stage::Failed
    }

    fn wait_until(&self, moment: u64, what: &str, since: u64) {
        loop {
            let now = self.clock.mono();
            if now >= moment || self.is_over() {
                return;
            }
            self.show(what, now.saturating_sub(since), moment.saturating_sub(since));
            let step = if self.shows { 100 * MS } else { u64::MAX };
            sleep(Duration::from_nanos((moment - now).min(step).min(500 * MS)));
        }
    }

    /// Until everything has come, or nothing comes any more.
    fn drain(&self) {
        let threads = self.shared.wakers.len();
        let (mut seen, mut since) = (0, self.clock.mono());
        while !self.is_over() {
            let (sent, came) = self.shared.totals();
            let owed = sent * self.plan.fan();
            let all_sent = self.shared.sent_all.load(Ordering::Relaxed) == threads;
            let settled = self.shared.settled.load(Ordering::Relaxed) == threads;
            let now = self.clock.mono();
            if came > seen {
                (seen, since) = (came, now);
            }
            // A moment longer than the last: whatever comes twice comes then.
            let patience = if all_sent && settled && came >= owed { AFTER } else { PATIENCE };
            if now - since > patience {
                return;
            }
            self.show("waiting for the rest", came, owed);
            sleep(TICK);
        }
    }

    fn sample(&self) -> Option<Sample> {
        self.plan.pid.and_then(Sample::of)
    }

    /// A bar on a terminal; without a word it goes away.
    fn show(&self, what: &str, done: u64, all: u64) {
        if !self.shows {
            return;
        }
        let share = done.min(all) as f64 / all.max(1) as f64;
        let full = (share * 30.0) as usize;
        let bar = if what.is_empty() {
            String::new()
        } else {
            format!("{what:<20} [{:<30}] {:>3.0} %", "#".repeat(full), share * 100.0)
        };
        // A terminal that is gone needs no bar.
        let _ = write!(std::io::stderr(), "\r\x1b[K{bar}");
    }
}

/// Between two looks.
const TICK: Duration = Duration::from_millis(5);
/// So long nothing may happen, in nanoseconds.
const PATIENCE: u64 = 5_000 * MS;
/// So long what came last is listened for.
const AFTER: u64 = 100 * MS;
