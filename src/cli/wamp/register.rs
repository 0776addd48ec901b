//! Floor 6. `spindle wamp register`: a procedure that answers with a value, an echo, or a command.
//!
//! A lost connection is dialled again. Several calls can be answered at once; those that come while
//! all are busy wait in the client's queue, and beyond that are refused. Absent on purpose: calls
//! in parts, and several procedures in one process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;

use crate::client::wamp::{
    Client, Error, Failure, Invocation, Invoke, Matching, Payload, RegisterOptions, Registration,
};
use crate::os::signal::{Signal, Signals};

use super::super::exit;
use super::super::link::AGAIN;
use super::{Link, command, is_away, is_lost, values};

/// Flags of `wamp register`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Register {
    /// The procedure, or a pattern
    #[arg(value_name = "PROC")]
    procedure: String,
    /// Answer with this: JSON, or text where it is none
    #[arg(long, value_name = "JSON", required_unless_present_any = ["exec", "echo"])]
    reply: Option<String>,
    /// Answer with what this prints: it is given to `sh -c`, the call as a JSON document is its
    /// standard input, and SPINDLE_PROCEDURE says what was called. It is killed when the call is
    /// cancelled
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["reply", "echo"])]
    exec: Option<String>,
    /// Each line that the command prints is a result by itself, for callers who take such
    #[arg(long, requires = "exec")]
    lines: bool,
    /// Answer with what was asked
    #[arg(long, conflicts_with = "reply")]
    echo: bool,
    /// How the procedure is meant: exact, prefix or wildcard
    #[arg(short, long = "match", value_name = "HOW", default_value = "exact")]
    matching: String,
    /// Who of several is called: single, roundrobin, random, first or last
    #[arg(long, value_name = "POLICY", default_value = "single")]
    invoke: String,
    /// Callers must be known
    #[arg(long)]
    disclose_caller: bool,
    /// Answer so many calls at once
    #[arg(long, value_name = "CALLS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrency: u8,
    /// End after so many answers
    #[arg(short = 'C', long, value_name = "ANSWERS")]
    count: Option<u64>,
}

/// One connection, as its threads see it.
struct Round<'a> {
    register: &'a Register,
    link: &'a Link,
    calls: &'a Registration,
    /// How many were taken, over all connections.
    taken: &'a AtomicU64,
}

impl Register {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let Some(options) = self.options() else {
            return link.wrong(
                "--match is exact, prefix or wildcard; --invoke is single, roundrobin, random, \
                 first or last",
            );
        };
        let builder = match link.builder() {
            Ok(builder) => builder,
            Err(why) => return link.wrong(&why),
        };
        // Before the first thread; without signals the usual effect is as good.
        let mut signals = Signals::catch().ok();
        let taken = AtomicU64::new(0);
        let mut first = true;
        loop {
            let round = builder.connect().and_then(|client| {
                let calls = client.register(&self.procedure, options.clone())?;
                first = false;
                let round = Round { register: self, link, calls: &calls, taken: &taken };
                round.serve(&client, &mut signals)
            });
            match round {
                Ok(()) => return exit::DONE,
                Err(error) if first || !is_away(&error) => return link.failed(&error),
                Err(error) if is_lost(&error) => link.complain(&format!("{error}; dialling again")),
                Err(_) => {}
            }
            if signals.as_mut().and_then(Signals::take) == Some(Signal::Stop) {
                return exit::DONE;
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn options(&self) -> Option<RegisterOptions> {
        Some(RegisterOptions {
            matching: Matching::of(&self.matching)?,
            invoke: Some(Invoke::of(&self.invoke)?),
            disclose_caller: self.disclose_caller,
            ..RegisterOptions::default()
        })
    }

    fn answer(&self, invocation: &Invocation) -> Result<Payload, Failure> {
        match (&self.exec, &self.reply) {
            (Some(command), _) => command::run(command, self.lines, invocation),
            (None, Some(reply)) => Ok(vec![values::value(reply)].into()),
            (None, None) => Ok(invocation.payload.clone()),
        }
    }
}

impl Round<'_> {
    fn serve(&self, client: &Client, signals: &mut Option<Signals>) -> Result<(), Error> {
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..self.register.concurrency {
                threads.push(scope.spawn(|| self.work(client)));
            }
            while !threads.iter().all(|thread| thread.is_finished()) {
                if signals.as_mut().and_then(Signals::take) == Some(Signal::Stop) {
                    // The threads end with their last answers.
                    self.taken.store(ENOUGH, Ordering::Relaxed);
                }
                std::thread::sleep(GLANCE);
            }
            let lost = threads.into_iter().filter_map(|thread| thread.join().ok()?.err()).next();
            lost.map_or(Ok(()), Err)
        })
    }

    /// Answer calls until there are enough.
    fn work(&self, client: &Client) -> Result<(), Error> {
        let most = self.register.count.unwrap_or(ENOUGH);
        while self.taken.load(Ordering::Relaxed) < most {
            let Some(invocation) = self.calls.wait(Some(GLANCE))? else { continue };
            if self.taken.fetch_add(1, Ordering::Relaxed) >= most {
                // Dropping it says that nobody has time.
                return Ok(());
            }
            let outcome = self.register.answer(&invocation);
            if self.link.json {
                values::say(&document(&invocation, &outcome));
            }
            let said = match outcome {
                Ok(payload) => invocation.reply(payload),
                Err(failure) => invocation.fail(&failure.uri, failure.payload),
            };
            match said {
                Ok(()) | Err(Error::Unwanted) => {}
                Err(error) if client.is_online() => self.link.complain(&format!("{error}")),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What was asked, and what was answered.
fn document(asked: &Invocation, outcome: &Result<Payload, Failure>) -> String {
    use crate::value::Value;

    let mut all = vec![("procedure".to_owned(), Value::Text(asked.procedure.clone()))];
    all.extend(values::members(&asked.payload));
    let (name, answer) = match outcome {
        Ok(payload) => ("result", Value::Map(values::members(payload))),
        Err(failure) => ("error", Value::Text(failure.uri.clone())),
    };
    all.push((name.to_owned(), answer));
    values::print(&Value::Map(all))
}

/// More than anybody answers.
const ENOUGH: u64 = u64::MAX / 2;
/// How long nobody looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(100);
