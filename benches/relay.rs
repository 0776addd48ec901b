//! Floor 6. What a relay adds to the way of a request and its answer, and what a message costs it.
//!
//! Very many connections, each asking now and then ("paced"), then few of them that always have a
//! window of requests under way ("flood"); without a relay, through ours, and through others. They
//! take turns within each round, and what is added is what `direct` of the same round did not take.
//! A relay has the first core; clients and the server behind it share the second one. An answer
//! that is wrong or does not come is a failure. `--connections N`, `--rate R` (requests a second of
//! all clients), `--rounds K`, `--seconds S` of each phase, `--peer NAME=COMMAND` with `{listen}`,
//! `{forward}` and `{dir}` in it, and `--few NAME=COMMAND` for a relay that starts a process for
//! each client: those have a table of their own. `--awake` keeps both cores from falling asleep.
//! Absent on purpose: TLS, servers that die (`tests/links/relay.rs`), and a promise about other
//! machines.
#![expect(clippy::disallowed_methods, reason = "a program with a command line")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/asking.rs"]
mod asking;
#[path = "support/place.rs"]
#[expect(dead_code, reason = "nobody goes first here")]
mod place;
#[path = "support/relays.rs"]
mod relays;
#[path = "support/report.rs"]
mod report;

use answers::Upstream;
use asking::Crowd;
use relays::{OWN, Subject};
use spindle::os::sys;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
/// Clients of relays that start a process for each.
const FEW: usize = 200;
/// Clients of a flood, and requests that each has under way.
const FLOOD: usize = 64;
const WINDOW: usize = 32;
/// How often a relay that takes fewer clients than it was offered is started again with fewer.
const TRIES: usize = 4;

/// What is to be done.
struct Plan {
    connections: usize,
    rate: u64,
    rounds: usize,
    nanos: u64,
    awake: bool,
    peers: Vec<Subject>,
    few: Vec<Subject>,
}

/// One subject in one round; times in microseconds.
#[derive(Clone, Copy)]
struct Measured {
    connections: usize,
    /// The median, and what all but one in a hundred and in a thousand do not exceed.
    paced: [f64; 3],
    /// Of a core, for each request, while paced and in the flood.
    spent: [f64; 2],
    /// Requests a second.
    flood: f64,
    /// Bytes that each client holds in the relay.
    held: f64,
}

/// Removed with all that is in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whoever cleans up behind the build finds what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() -> ExitCode {
    if answers::is_this() {
        return ExitCode::SUCCESS;
    }
    let plan = match plan() {
        Ok(plan) => plan,
        Err(why) => {
            report::say(&format!("relay: {why}"));
            return ExitCode::from(2);
        }
    };
    place::stay_on("1");
    if plan.awake {
        ["0", "1"].into_iter().for_each(keep_awake);
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let scratch = Scratch(scratch.join(format!("relay-{}", std::process::id())));
    let mut subjects = vec![Subject::direct(), Subject::spindle()];
    subjects.extend(if SMALL { None } else { Subject::haproxy() });
    let with = |more: &[Subject]| subjects.iter().chain(more).cloned().collect::<Vec<_>>();
    let mut well = table("relay", &with(&plan.peers), plan.connections, &plan, &scratch.0);
    if !plan.few.is_empty() {
        let few = FEW.min(plan.connections);
        well &= table("relay, few", &with(&plan.few), few, &plan, &scratch.0);
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Until this program ends. Waking a core that sleeps takes far longer than what a relay does, most
/// of all on a virtual machine, and is the same for all that sleep: so it hides what they do.
fn keep_awake(core: &'static str) {
    let filler = thread::Builder::new().spawn(move || {
        place::stay_on(core);
        // Where it would not, everybody is better off without it.
        while place::give_way() {
            (0..1_000_000_000_u64).for_each(|_| core::hint::spin_loop());
        }
    });
    drop(filler.expect("a thread"));
}

/// What the command line says. What it does not know is for others: cargo's own words, and names of
/// tests.
fn plan() -> Result<Plan, String> {
    let (connections, rounds, nanos) =
        if SMALL { (10, 1, 200_000_000) } else { (10_000, 5, 5_000_000_000) };
    let (peers, few) = (Vec::new(), Vec::new());
    let mut plan = Plan { connections, rate: 2_000, rounds, nanos, awake: false, peers, few };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        plan.awake |= arg == "--awake";
        if !["--connections", "--rate", "--rounds", "--seconds", "--peer", "--few"]
            .contains(&arg.as_str())
        {
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        let number = || match value.parse::<u64>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{arg} {value}: not a number above 0")),
        };
        let subject = || Subject::named(&value).ok_or_else(|| format!("{arg} wants NAME=COMMAND"));
        match arg.as_str() {
            "--connections" => plan.connections = number()? as usize,
            "--rate" => plan.rate = number()?,
            "--rounds" => plan.rounds = number()? as usize,
            "--seconds" => plan.nanos = number()? * 1_000_000_000,
            "--peer" => plan.peers.push(subject()?),
            _ => plan.few.push(subject()?),
        }
    }
    let limit = sys::raise_descriptors().map_err(|e| format!("descriptors: {e}"))?;
    // A relay has two for each client.
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(OWN) / 2;
    if most < plan.connections {
        report::say(&format!("relay, {limit} descriptors a process: {most} connections"));
        plan.connections = most;
    }
    Ok(plan)
}

/// Everybody in turns, and then what came of it; did all go well?
fn table(title: &str, subjects: &[Subject], wanted: usize, plan: &Plan, scratch: &Path) -> bool {
    let mut all: Vec<Vec<Option<Measured>>> = vec![Vec::new(); subjects.len()];
    let mut room = vec![wanted; subjects.len()];
    let mut well = true;
    for round in 0..plan.rounds {
        for turn in 0..subjects.len() {
            // Nobody has always the same place within a round.
            let which = (turn + round) % subjects.len();
            let subject = &subjects[which];
            let measured = measure(subject, &mut room[which], plan, scratch);
            let what = format!("{title} round {}, {}", round + 1, subject.name);
            match &measured {
                Ok(measured) => report::say(&format!("{what}: {}", measured.told())),
                Err(why) => report::say(&format!("{what}: FAILED, {why}")),
            }
            well &= measured.is_ok();
            all[which].push(measured.ok());
        }
    }
    sum_up(title, subjects, &all, wanted, plan);
    well
}

/// One subject once, with as many clients as it has room for, which is remembered.
fn measure(
    subject: &Subject,
    room: &mut usize,
    plan: &Plan,
    scratch: &Path,
) -> Result<Measured, String> {
    let mut why = None;
    for _ in 0..TRIES {
        let mut upstream = Upstream::start();
        let mut relay = subject.start(upstream.address, *room, scratch)?;
        let address = relay.as_ref().map_or(upstream.address, |relay| relay.address);
        let resident = relay.as_ref().map_or(0, relays::Relay::resident);
        let (mut crowd, short) = Crowd::open(address, *room);
        if let Some(short) = short {
            let words = relay.as_ref().map(relays::Relay::last_words).unwrap_or_default();
            let (name, there) = (&subject.name, crowd.len());
            report::say(&format!("relay, {name} has room for {there} of {room}: {short}; {words}"));
            *room = there;
            why = Some(short);
            if *room == 0 {
                break;
            }
            continue;
        }
        if crowd.len() < *room {
            let (name, there) = (&subject.name, crowd.len());
            report::say(&format!("relay, {name} let {there} in while there was time, of {room}"));
        }
        *room = crowd.len();
        let held = relay.as_ref().map_or(0, relays::Relay::resident).saturating_sub(resident);
        // What the arrivals have left to be done is no part of what follows.
        thread::sleep(Duration::from_millis(if SMALL { 20 } else { 500 }));
        let spent = || relay.as_ref().map_or(0, relays::Relay::spent);
        let start = spent();
        let paced = crowd.paced(plan.rate, plan.nanos)?;
        let between = spent();
        let (count, nanos) = crowd.flood(FLOOD, WINDOW, plan.nanos)?;
        let end = spent();
        if relay.as_mut().is_some_and(|relay| !relay.runs()) {
            return Err("it ended".into());
        }
        let (sent, connections) = (crowd.sent, crowd.len());
        drop((crowd, relay));
        let seen = upstream.end();
        if seen != sent {
            return Err(format!("{sent} requests were sent, and {seen} came to the server"));
        }
        let each = |nanos: u64, count: u64| nanos as f64 / 1_000.0 / count.max(1) as f64;
        return Ok(Measured {
            connections,
            spent: [each(between - start, paced.len() as u64), each(end - between, count)],
            paced: percentiles(paced),
            flood: count as f64 * 1e9 / nanos.max(1) as f64,
            held: held as f64 / connections as f64,
        });
    }
    Err(why.unwrap_or_default())
}

/// The three that are told, in microseconds.
fn percentiles(mut nanos: Vec<u64>) -> [f64; 3] {
    nanos.sort_unstable();
    [500, 990, 999].map(|part| {
        let place = (nanos.len() * part).div_ceil(1_000).saturating_sub(1);
        nanos.get(place).map_or(0.0, |nanos| *nanos as f64 / 1_000.0)
    })
}

impl Measured {
    fn told(&self) -> String {
        let [p50, p99, p999] = self.paced;
        format!(
            "{} connections, us paced p50 {p50:.1} p99 {p99:.1} p99.9 {p999:.1}, {:.1} of a core \
             each; flood {:.0} a second, {:.2} us of a core each; {:.0} B held by each client",
            self.connections, self.spent[0], self.flood, self.spent[1], self.held
        )
    }
}

/// The table, and ours beside each of the others.
fn sum_up(
    title: &str,
    subjects: &[Subject],
    all: &[Vec<Option<Measured>>],
    wanted: usize,
    plan: &Plan,
) {
    let none = Vec::new();
    let of = |name: &str| {
        let at = subjects.iter().position(|subject| subject.name == name);
        at.and_then(|at| all.get(at)).unwrap_or(&none)
    };
    let direct = of("direct");
    let mut lines = format!(
        "{title}, in all: {wanted} connections, {} requests a second, {} rounds of {} s, us, \
         medians (least to most)\n\
         | | connections | p50 | p99 | p99.9 | added p50 | added p99 | CPU, paced \
         | flood, a second | CPU, flood | B a client |\n|{}",
        plan.rate,
        plan.rounds,
        plan.nanos as f64 / 1e9,
        "---|".repeat(11)
    );
    for (subject, rounds) in subjects.iter().zip(all) {
        lines.push_str(&format!("\n| {} |{}", subject.name, row(subject, rounds, direct)));
    }
    report::say(&lines);
    let ours = of("spindle");
    for (subject, theirs) in subjects.iter().zip(all) {
        if !subject.is_direct() && subject.name != "spindle" {
            let ratio = |what: &dyn Fn(&Measured, &Measured) -> f64| {
                let each = ours.iter().zip(theirs).zip(direct);
                let each = each.filter_map(|((our, their), direct)| {
                    let (our, their, direct) = (our.as_ref()?, their.as_ref()?, direct.as_ref()?);
                    // By nothing, or by less, nobody can divide.
                    let theirs = what(their, direct);
                    (theirs > 0.0).then(|| what(our, direct) / theirs)
                });
                spread(each.collect(), 3)
            };
            report::say(&format!(
                "{title}, spindle as a multiple of {}: added p50 {}, added p99 {}, CPU paced {}, \
                 messages in a flood {}, CPU in a flood {}, memory {}",
                subject.name,
                ratio(&|m, direct| m.paced[0] - direct.paced[0]),
                ratio(&|m, direct| m.paced[1] - direct.paced[1]),
                ratio(&|m, _| m.spent[0]),
                ratio(&|m, _| m.flood),
                ratio(&|m, _| m.spent[1]),
                ratio(&|m, _| m.held)
            ));
        }
    }
}

fn row(subject: &Subject, rounds: &[Option<Measured>], direct: &[Option<Measured>]) -> String {
    let known: Vec<&Measured> = rounds.iter().flatten().collect();
    let column = |digits, what: &dyn Fn(&Measured) -> f64| {
        spread(known.iter().map(|measured| what(measured)).collect(), digits)
    };
    let added = |place: usize| {
        let both = rounds.iter().zip(direct);
        let both =
            both.filter_map(|(m, d)| Some(m.as_ref()?.paced[place] - d.as_ref()?.paced[place]));
        spread(both.collect(), 1)
    };
    let least = known.iter().map(|measured| measured.connections).min().unwrap_or(0);
    let paced = |place: usize| column(1, &|measured| measured.paced[place]);
    let mut cells = vec![least.to_string(), paced(0), paced(1), paced(2)];
    let flood = column(0, &|measured| measured.flood);
    if subject.is_direct() {
        let nothing = String::new;
        cells.extend([nothing(), nothing(), nothing(), flood, nothing(), nothing()]);
    } else {
        cells.extend([added(0), added(1), column(1, &|m| m.spent[0]), flood]);
        cells.extend([column(2, &|m| m.spent[1]), column(0, &|m| m.held)]);
    }
    cells.iter().map(|cell| format!(" {cell} |")).collect()
}

/// The median, with the least and the most where there are several.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_unstable_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return "none".into() };
    let half = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    };
    match values.len() {
        1 => format!("{median:.digits$}"),
        _ => format!("{median:.digits$} ({least:.digits$} to {most:.digits$})"),
    }
}
