//! Floor 6. `spindle bench`: load for any broker of MQTT, PRX1 or WAMP, and honest figures of it.
//!
//! At a fixed rate messages are sent by a schedule and their latency counts from when they were
//! due; without a rate each publisher keeps a window full. What was promised is checked (all came,
//! in order, once), and where the generator itself was at its end there is no figure. Reading
//! order: `plan`, `wire`, `wamp`, `pipe`, `frames`, `client`, `open`, `closed`, `engine`, `talk`,
//! `shared`, `run`, `stock`, `ping`, then what becomes of it: `nanos`, `tally`, `proc`, `judge`,
//! `report`, `plot`, `compare`, `suite`; and `null`, who is no broker. Absent on purpose: dialling
//! again.

mod client;
mod closed;
mod compare;
mod engine;
mod frames;
mod judge;
mod nanos;
mod null;
mod open;
mod ping;
mod pipe;
mod plan;
mod plot;
mod proc;
mod report;
mod run;
mod shared;
mod stock;
mod suite;
mod talk;
mod tally;
mod wamp;
mod wire;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::os::sys;

use super::{FAILED, USAGE, complain, exit, say};
use plan::{Plan, Scenario};
use tally::Outcome;

/// `bench`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Bench {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// What is measured
    #[arg(value_enum, required = true)]
    scenario: Option<Scenario>,
    /// Which broker: scheme://user:password@host:port, of mqtt, mqtts, ws, wss, prx1, rs
    /// (WAMP over a RawSocket), wamp+ws, wamp+wss (over a WebSocket); or unix:/path
    #[arg(short = 'L', long, value_name = "URL", env = "SPINDLE_URL", hide_env_values = true)]
    #[arg(default_value = "mqtt://127.0.0.1:1883")]
    url: String,
    /// The broker's process on this machine: its processor time, memory and context switches
    #[arg(short, long, value_name = "PID")]
    pid: Option<u32>,
    /// Draw the latency distribution into this file, as SVG; as a page if it ends in .html
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Run several brokers in turn, and say how each stands to the first
    Compare(Box<compare::Compare>),
    /// Be the least that still relays MQTT: no broker, but the limit that sockets set
    Null(null::Null),
}

/// What a run is, wherever it goes.
#[derive(Args, Clone, Debug)]
pub(super) struct Flags {
    /// Which MQTT: 311 or 5
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "311")]
    protocol_version: String,
    /// How messages of WAMP are written
    #[arg(long, value_enum, value_name = "FORM", default_value_t = plan::Serializer::Msgpack)]
    serializer: plan::Serializer,
    /// The realm of WAMP
    #[arg(long, value_name = "URI", default_value = "default")]
    realm: String,
    /// Pairs, subscribers, publishers or connections [default: 10 pairs, 1 of rtt and calls, 100
    /// of fanout and fanin, 1000 connections, 10 that share the subscriptions of subs]
    #[arg(short = 'n', long, value_name = "N")]
    clients: Option<u32>,
    /// Messages a second, of all publishers together, or connections of connect and idle; latency
    /// counts from when each was due
    #[arg(short, long, value_name = "N", conflicts_with = "window")]
    rate: Option<u64>,
    /// Without a rate: messages of each publisher under way; for connect: handshakes at once of
    /// each thread [default: 100, 1 of rtt, 32 of calls]
    #[arg(short, long, value_name = "N")]
    window: Option<u32>,
    /// Of subs, retained and drain: how many subscriptions, kept values, waiting messages
    /// [default: 10000]
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// QoS: 0, 1 or 2; what is kept or waits is sent at 1 at least
    #[arg(short, long, value_name = "QOS", default_value_t = 0)]
    qos: u8,
    /// Bytes of a payload, 32 at least
    #[arg(short, long, value_name = "BYTES", default_value_t = 64)]
    size: usize,
    /// Seconds that are measured [default: 10, 2 in a suite]
    #[arg(short, long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Seconds before that [default: 1, 0.5 in a suite]
    #[arg(long, value_name = "SECONDS")]
    warmup: Option<f64>,
    /// Dial from these addresses of this machine in turn, for more connections than one address
    /// has ports [default: on the loopback, as many of 127.0.0.1 and up as it takes]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    bind: Vec<std::net::IpAddr>,
    /// Trust the issuers in this file (PEM) [default: whom this machine trusts]
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Do not compare the broker's name with its certificate
    #[arg(long)]
    insecure: bool,
    /// Of subs: one third of the filters with a `+`, one third with a `#`
    #[arg(long)]
    mixed: bool,
    /// Of subs, retained and drain: a step that takes longer has no figure [default: for ever, 60
    /// in a suite]
    #[arg(long, value_name = "SECONDS")]
    patience: Option<f64>,
    /// Threads of the generator
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: u32,
    /// Never wait: look for what came all the time. It costs a whole processor
    #[arg(long)]
    spin: bool,
    /// The result as JSON
    #[arg(long)]
    json: bool,
    /// What payloads are filled by
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print figures even where the generator was the bottleneck; the reason stands beside them
    #[arg(long)]
    even_so: bool,
    /// No progress on the terminal
    #[arg(long)]
    quiet: bool,
}

impl Bench {
    pub(super) fn run(&self) -> u8 {
        let scenario = match (&self.verb, self.scenario) {
            (Some(Verb::Compare(it)), _) => return it.run(),
            (Some(Verb::Null(it)), _) => return it.run(),
            (None, Some(scenario)) => scenario,
            (None, None) => return complain("name what is measured", USAGE),
        };
        match measure(scenario, &self.flags, &self.url, self.pid) {
            Ok((plan, outcome, doubt)) => self.tell(&plan, &outcome, doubt.as_deref()),
            Err((why, code)) => complain(&why, code),
        }
    }

    fn tell(&self, plan: &Plan, outcome: &Outcome, doubt: Option<&str>) -> u8 {
        if let Some(path) = &self.svg
            && let Err(why) = draw(path, plan, outcome)
        {
            return complain(&why, FAILED);
        }
        say(&if self.flags.json {
            report::json(plan, outcome, doubt)
        } else {
            report::table(plan, outcome, doubt)
        })
    }
}

/// What a run was, what it did, and what speaks against its figures if they are wanted even so.
type Measured = (Plan, Outcome, Option<String>);

/// One run; why there is no figure of it, and the code for it.
fn measure(
    scenario: Scenario,
    flags: &Flags,
    url: &str,
    pid: Option<u32>,
) -> Result<Measured, (String, u8)> {
    let plan = prepare(scenario, flags, url, pid).map_err(|why| (why, USAGE))?;
    let ran = match scenario {
        Scenario::Ping => ping::run(&plan),
        _ if plan.stocks() => stock::run(&plan),
        _ => run::run(&plan, !flags.quiet),
    };
    let outcome = ran.map_err(|why| (why, FAILED))?;
    if let Some(why) = judge::broken(&plan, &outcome) {
        return Err((format!("no figure: {why}"), FAILED));
    }
    let doubt = judge::bottleneck(&plan, &outcome.tally, cfg!(debug_assertions));
    match doubt {
        Some(why) if !flags.even_so => Err((format!("no figure: {why}"), exit::BOTTLENECK)),
        doubt => Ok((plan, outcome, doubt)),
    }
}

fn prepare(scenario: Scenario, flags: &Flags, url: &str, pid: Option<u32>) -> Result<Plan, String> {
    // Runs beside each other, and after each other, do not hear each other.
    let now = crate::os::clock::Clock::start().wall_nanos();
    let run = (now ^ u64::from(std::process::id()).rotate_left(40)) >> 10;
    let plan = Plan::of(scenario, flags, url, pid, run as u32)?;
    let needed = u64::from(plan.publishers) + u64::from(plan.subscribers) + 64;
    let has = sys::raise_descriptors().map_err(|e| e.to_string())?;
    if has < needed {
        return Err(format!("{needed} descriptors are needed, and {has} allowed (ulimit -n)"));
    }
    // What it would wait for while it dials would be counted as the broker's.
    let _ = sys::have_descriptors(needed);
    if pid.is_some_and(|pid| proc::Sample::of(pid).is_none()) {
        return Err(format!("{}: there is no such process to look at", pid.unwrap_or_default()));
    }
    Ok(plan)
}

fn draw(path: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let is_page = path.extension().is_some_and(|extension| extension == "html");
    let text = plot::draw(&report::title(plan), &outcome.tally, is_page);
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
