//! Floor 6. What goes wrong in the world, done to the real program: kills, damage, overload.
//!
//! A small set of named drivers. `cargo test --test faults` runs the short form of all; a name
//! chooses, `--long` runs at length, `--broker COMMAND` points those that can be pointed at any
//! broker. Each prints its figures: what is not counted was not looked for. The seed is printed
//! and can be given; moments still differ, because the processes and their clocks are real.
//! Absent on purpose: simulated disks, which are played by seed in `sim`.
#![cfg(feature = "cli")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the test is the world")]

#[path = "faults/broker.rs"]
mod broker;
#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/cut/mod.rs"]
mod cut;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/damage_data.rs"]
mod damage_data;
#[path = "faults/failing.rs"]
mod failing;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/hang.rs"]
mod hang;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/kill_aio.rs"]
mod kill_aio;
#[path = "faults/kill_aio_law.rs"]
mod kill_aio_law;
#[path = "faults/kill_kept.rs"]
mod kill_kept;
#[path = "faults/kill_prx1.rs"]
mod kill_prx1;
#[path = "faults/kill_read.rs"]
mod kill_read;
#[path = "faults/overload.rs"]
mod overload;
#[path = "faults/overload_canary.rs"]
mod overload_canary;
#[path = "faults/overload_crowd.rs"]
mod overload_crowd;
#[path = "faults/overload_login.rs"]
mod overload_login;
#[path = "faults/overload_rig.rs"]
mod overload_rig;
#[path = "faults/overload_state.rs"]
mod overload_state;
#[path = "faults/overload_words.rs"]
mod overload_words;
#[path = "faults/prx1.rs"]
mod prx1;
#[path = "faults/torn.rs"]
mod torn;

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

/// What the command line asks of every driver.
pub(crate) struct Options {
    /// At length, not just for the proof that it works.
    pub(crate) long: bool,
    /// Where chance begins.
    pub(crate) seed: u64,
    /// Another broker: its command line, with places to be filled in.
    pub(crate) broker: Option<String>,
    /// The configuration file of that broker, with the same places.
    pub(crate) config: Option<String>,
}

/// Its figures, a line each; or what is wrong, figures included.
pub(crate) type Verdict = Result<Vec<String>, String>;

/// Something that goes wrong in the world.
struct Driver {
    name: &'static str,
    /// It can be pointed at another broker.
    any_broker: bool,
    /// Why it can not be shown here, if so: then it is left out, and counted as that.
    bar: fn(&Options) -> Option<String>,
    run: fn(&Options) -> Verdict,
}

impl Driver {
    const fn new(name: &'static str, run: fn(&Options) -> Verdict) -> Self {
        Self { name, any_broker: false, bar: |_| None, run }
    }

    const fn of_any_broker(self) -> Self {
        Self { any_broker: true, ..self }
    }

    const fn unless(self, bar: fn(&Options) -> Option<String>) -> Self {
        Self { bar, ..self }
    }
}

const DRIVERS: &[Driver] = &[
    Driver::new("kill_os", kill::os).of_any_broker(),
    Driver::new("kill_disk", kill::disk),
    Driver::new("kill_aio", kill_aio::kill),
    Driver::new("power_records", cut::records::power_records),
    Driver::new("power_block", cut::block::power_block)
        .of_any_broker()
        .unless(|_| cut::block::no_block()),
    Driver::new("damage", damage::damage),
    Driver::new("overload_slow_qos0", |o| overload::slow_qos0(o.long)),
    Driver::new("overload_slow_qos1", |o| overload::slow_qos1(o.long)),
    Driver::new("overload_one_beside_many", |o| overload::one_beside_many(o.long)),
    Driver::new("overload_connections", |o| overload_crowd::connections(o.long)),
    Driver::new("overload_dawdlers", |o| overload_crowd::dawdlers(o.long)),
    Driver::new("overload_half_open", |o| overload_crowd::half_open(o.long)),
    Driver::new("overload_giants", |o| overload_crowd::giants(o.long)),
    Driver::new("overload_unfinished", |o| overload_crowd::unfinished(o.long)),
    Driver::new("overload_guesses", |o| overload_login::guesses(o.long)),
    Driver::new("overload_filters", |o| overload_state::filters(o.long)),
    Driver::new("overload_values", |o| overload_state::values(o.long)),
    Driver::new("overload_sessions", |o| overload_state::sessions(o.long)),
    Driver::new("overload_wills", |o| overload_state::wills(o.long)),
    Driver::new("full_tmpfs", |_| full::tmpfs()).unless(|_| full::no_tmpfs()),
    Driver::new("full_ext4", |_| full::ext4()).unless(|o| match o.long {
        true => full::no_ext4(),
        false => Some("only at length".to_owned()),
    }),
    Driver::new("failing_each_operation", |o| failing::each_operation(o.long)),
    Driver::new("shortened_segment", |_| torn::shortened_segment()),
    Driver::new("no_page_left", |_| torn::no_page_left()).unless(|_| full::no_tmpfs()),
    Driver::new("failing_block", |_| cut::sick::failing_block()).unless(|_| cut::block::no_block()),
    Driver::new("hanging_flush", |o| hang::hanging_flush(o.long)),
    Driver::new("hanging_block", |o| cut::sick::hanging_block(o.long))
        .unless(|_| cut::block::no_block()),
];

/// The command line.
struct Asked {
    options: Options,
    list: bool,
    ignored: bool,
    exact: bool,
    names: Vec<String>,
    skip: Vec<String>,
}

impl Asked {
    fn of(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(clock.subsec_nanos()) ^ clock.as_secs() << 20;
        let options = Options { long: false, seed, broker: None, config: None };
        let (names, skip) = (Vec::new(), Vec::new());
        let mut it = Self { options, list: false, ignored: false, exact: false, names, skip };
        let mut words = words;
        while let Some(word) = words.next() {
            let (name, glued) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || {
                let value = glued.clone().or_else(|| words.next());
                value.ok_or_else(|| format!("{name} wants a value"))
            };
            match name {
                "--long" => it.options.long = true,
                "--seed" => {
                    let text = value()?;
                    it.options.seed = text.parse().map_err(|_| format!("no seed: {text}"))?;
                }
                "--broker" => it.options.broker = Some(value()?),
                "--config" => it.options.config = Some(value()?),
                "--list" => it.list = true,
                "--ignored" => it.ignored = true,
                "--exact" => it.exact = true,
                "--skip" => it.skip.push(value()?),
                // Said to every test program alike; these drivers run one after the other, aloud.
                "--test-threads" | "--format" | "--color" | "--logfile" | "--report-time"
                | "-Z" | "--shuffle-seed" => drop(value()?),
                _ if name.starts_with('-') => {}
                _ => it.names.push(word),
            }
        }
        Ok(it)
    }

    fn wants(&self, driver: &Driver) -> bool {
        let named = |name: &String| match self.exact {
            true => driver.name == name,
            false => driver.name.contains(name.as_str()),
        };
        let chosen = self.names.is_empty() || self.names.iter().any(named);
        let can = self.options.broker.is_none() || driver.any_broker;
        // None of them is left out by default, so there is none that only `--ignored` runs.
        chosen && can && !self.ignored && !self.skip.iter().any(named)
    }
}

#[expect(clippy::print_stdout, reason = "figures are what it is for")]
fn main() -> ExitCode {
    let asked = match Asked::of(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            println!("{why}");
            return ExitCode::from(2);
        }
    };
    let chosen = DRIVERS.iter().filter(|driver| asked.wants(driver));
    if asked.list {
        chosen.for_each(|driver| println!("{}: test", driver.name));
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    println!("\nseed {}", asked.options.seed);
    for driver in chosen {
        if let Some(why) = (driver.bar)(&asked.options) {
            left_out += 1;
            println!("{} LEFT OUT, nothing is shown: {why}", driver.name);
            continue;
        }
        println!("{} ...", driver.name);
        let since = Instant::now();
        let verdict = (driver.run)(&asked.options);
        let took = since.elapsed().as_secs_f64();
        match verdict {
            Ok(figures) => {
                passed += 1;
                figures.iter().for_each(|line| println!("    {line}"));
                println!("{} ok, {took:.1} s", driver.name);
            }
            Err(why) => {
                failed += 1;
                why.lines().for_each(|line| println!("    {line}"));
                println!("{} FAILED, {took:.1} s", driver.name);
            }
        }
    }
    println!("\n{passed} passed, {failed} failed, {left_out} left out\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
