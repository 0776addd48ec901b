//! Floor 6. `spindle wamp sub`: events as lines.
//!
//! A lost connection is dialled again, and subscribed anew; what was published meanwhile is missed.
//! Who prints slower than events come is told how many were dropped. Absent on purpose: several
//! topics at once, for which there are patterns, and processes.

use std::time::Duration;

use clap::Args;

use crate::base::time::Deadline;
use crate::client::wamp::{Client, Error, Matching, SubscribeOptions, Subscription};
use crate::os::clock::Clock;
use crate::os::signal::{Signal, Signals};

use super::super::exit;
use super::super::link::AGAIN;
use super::{Link, is_away, is_lost, values};

/// Flags of `wamp sub`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Sub {
    /// The topic, or a pattern
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// How it is meant: exact, prefix or wildcard
    #[arg(short, long = "match", value_name = "HOW", default_value = "exact")]
    matching: String,
    /// Also what was kept from before
    #[arg(long)]
    get_retained: bool,
    /// Share the events with those who say the same
    #[arg(long, value_name = "KEY")]
    nkey: Option<String>,
    /// End after so many events
    #[arg(short = 'C', long, value_name = "EVENTS")]
    count: Option<u64>,
    /// End after so many seconds, with code 27
    #[arg(short = 'W', value_name = "SECONDS")]
    within: Option<u64>,
    /// Print the values alone, without the topic in front
    #[arg(long, conflicts_with = "json")]
    bare: bool,
}

/// How following ends.
enum End {
    Done,
    TimedOut,
}

impl Sub {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let Some(matching) = Matching::of(&self.matching) else {
            return link.wrong("--match is exact, prefix or wildcard");
        };
        let builder = match link.builder() {
            Ok(builder) => builder,
            Err(why) => return link.wrong(&why),
        };
        // Before the first thread; without signals the usual effect is as good.
        let mut signals = Signals::catch().ok();
        let clock = Clock::start();
        let until =
            self.within.map_or(Deadline::NEVER, |s| clock.now().after_ms(s.saturating_mul(1_000)));
        let mut seen = 0;
        let mut first = true;
        loop {
            let round = builder.connect().and_then(|client| {
                let events = self.listen(&client, matching)?;
                first = false;
                self.follow(link, &events, &mut signals, (&clock, until), &mut seen)
            });
            match round {
                Ok(End::Done) => return exit::DONE,
                Ok(End::TimedOut) => {
                    link.complain("Timed out");
                    return exit::TIMED_OUT;
                }
                Err(error) if first || !is_away(&error) => return link.failed(&error),
                Err(error) if is_lost(&error) => link.complain(&format!("{error}; dialling again")),
                Err(_) => {}
            }
            if until.ms_left(clock.now()) == 0 {
                return exit::TIMED_OUT;
            }
            if signals.as_mut().and_then(Signals::take) == Some(Signal::Stop) {
                return exit::DONE;
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn listen(&self, client: &Client, matching: Matching) -> Result<Subscription, Error> {
        let options = SubscribeOptions {
            matching,
            get_retained: self.get_retained,
            nkey: self.nkey.as_deref().map(Into::into),
            ..SubscribeOptions::default()
        };
        client.subscribe(&self.topic, options)
    }

    fn follow(
        &self,
        link: &Link,
        events: &Subscription,
        signals: &mut Option<Signals>,
        (clock, until): (&Clock, Deadline),
        seen: &mut u64,
    ) -> Result<End, Error> {
        let mut missed = 0;
        loop {
            let patience = Duration::from_millis(until.ms_left(clock.now()).min(200));
            if let Some(event) = events.wait(Some(patience))? {
                let line = match (link.json, self.bare) {
                    (true, _) => values::event(&event),
                    (false, true) => values::line(&event.payload),
                    (false, false) => {
                        format!("{} {}", values::shown(&event.topic), values::line(&event.payload))
                    }
                };
                *seen += 1;
                // Whoever closed the pipe has heard enough.
                if !values::say(&line) || self.count == Some(*seen) {
                    return Ok(End::Done);
                }
            }
            if events.missed() > missed {
                let more = events.missed() - missed;
                missed += more;
                link.complain(&format!("{more} events came faster than they were printed"));
            }
            if signals.as_mut().and_then(Signals::take) == Some(Signal::Stop) {
                return Ok(End::Done);
            }
            if until.ms_left(clock.now()) == 0 {
                return Ok(End::TimedOut);
            }
        }
    }
}
