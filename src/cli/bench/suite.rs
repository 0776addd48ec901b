//! Floor 6. `spindle bench compare --suite table`: every case that brokers are measured by.
//!
//! A case is a line of flags and the figures of it that count. All brokers have their turn in each
//! round of a case before the next case begins; what fails once is out of that case, and the reason
//! stands below the table. Where the generator was at its end the figure is marked, because then a
//! rate is at least that and a cost at most. Who is called `null...` is a limit, not a peer. Absent
//! on purpose: memory and busy polling, which want a broker that is alone, and starting brokers.

use clap::Parser;

use crate::cli::ctl::object;
use crate::cli::json::Value;

use super::compare::{Compare, Target, at_rest, spread};
use super::plan::Scenario;
use super::{Flags, measure, report};

/// What can be run.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Suite {
    /// Throughput, fan-in, fan-out, latency at fixed rates, connections, and large numbers
    Table,
}

/// A run, and what of it is told.
struct Case {
    words: &'static str,
    rows: &'static [Row],
}

/// What it is called, which figure it is, and whether less is better.
struct Row {
    label: &'static str,
    figure: &'static str,
    less: bool,
}

const fn row(label: &'static str, figure: &'static str) -> Row {
    Row { label, figure, less: true }
}

const fn rate(figure: &'static str) -> Row {
    Row { label: "a second", figure, less: false }
}

const fn case(words: &'static str, rows: &'static [Row]) -> Case {
    Case { words, rows }
}

const COST: &[Row] = &[row("CPU us a message", "cpu_us_per_message"), rate("delivered_per_second")];
const TAIL: &[Row] = &[
    row("CPU us a message", "cpu_us_per_message"),
    row("p50, us", "latency_due_us.p50"),
    row("p99, us", "latency_due_us.p99"),
    row("p99.9, us", "latency_due_us.p99.9"),
    row("p99.99, us", "latency_due_us.p99.99"),
];
const TRIP: &[Row] =
    &[row("p50, us", "latency_sent_us.p50"), row("p99, us", "latency_sent_us.p99")];
const SUBS: &[Row] = &[
    row("CPU us a message", "cpu_us_per_message"),
    row("CPU us a SUBSCRIBE", "cpu_us_per_subscription"),
];
const STORE: &[Row] =
    &[row("CPU us stored", "cpu_us_per_stored"), row("CPU us fetched", "cpu_us_per_fetched")];

/// All of it. A window is full when what is under way fills the reads of a broker.
const TABLE: &[Case] = &[
    case("pairs -n 10 -w 500 -s 64 -q 0", COST),
    case("pairs -n 10 -w 500 -s 64 -q 1", COST),
    case("pairs -n 10 -w 200 -s 1024 -q 0", COST),
    case("pairs -n 10 -w 200 -s 1024 -q 1", COST),
    case("pairs -n 10 -w 20 -s 16384 -q 0", COST),
    case("pairs -n 10 -w 20 -s 16384 -q 1", COST),
    case("pairs -n 200 -w 1 -s 64 -q 0", COST),
    case("pairs -n 200 -w 1 -s 64 -q 1", COST),
    case("fanin -n 100 -w 100 -s 64 -q 0", COST),
    case("fanin -n 100 -w 100 -s 64 -q 1", COST),
    case("fanout -n 100 -w 100 -s 64 -q 0", COST),
    case("fanout -n 100 -w 100 -s 64 -q 1", COST),
    case("fanout -n 1000 -w 100 -s 64 -q 0", COST),
    case("fanout -n 1000 -w 1 -s 64 -q 0", COST),
    case("pairs -n 10 -r 1000 -s 64 -q 0", TAIL),
    case("pairs -n 10 -r 10000 -s 64 -q 0", TAIL),
    case("pairs -n 10 -r 10000 -s 64 -q 1", TAIL),
    case("pairs -n 10 -r 50000 -s 64 -q 0", TAIL),
    case("rtt -q 0", TRIP),
    case("rtt -q 1", TRIP),
    case(
        "connect -n 5000 -w 500",
        &[row("CPU us a CONNECT", "cpu_us_per_connect"), rate("connected_per_second")],
    ),
    case("subs -c 1000000 -w 500", SUBS),
    case("subs -c 1000000 -w 500 --mixed", SUBS),
    case("retained -c 100000 -w 500", STORE),
    case("drain -c 100000 -w 500 -q 1", STORE),
];

/// One target in one case.
#[derive(Default)]
struct Seen {
    rounds: Vec<Vec<(String, f64)>>,
    failure: Option<String>,
    doubt: Option<String>,
}

/// One line of the result.
struct Line {
    words: String,
    label: &'static str,
    figure: &'static str,
    /// As many as there are targets.
    cells: Vec<Option<Cell>>,
    /// Whom the first is compared with, and the ratio to it.
    best: Option<(String, [f64; 3])>,
    limit: Option<[f64; 3]>,
}

#[derive(Clone, Copy)]
struct Cell {
    values: [f64; 3],
    doubtful: bool,
}

/// What a suite came to.
#[derive(Default)]
pub(super) struct Report {
    targets: Vec<String>,
    lines: Vec<Line>,
    notes: Vec<String>,
}

/// Run all cases whose words contain what is asked for.
pub(super) fn run(compare: &Compare, targets: &[Target]) -> Result<Report, String> {
    let wanted: Vec<&Case> =
        TABLE.iter().filter(|case| compare.only.iter().all(|it| case.words.contains(it))).collect();
    let mut report = Report {
        targets: targets.iter().map(|target| target.name.clone()).collect(),
        ..Report::default()
    };
    for (nth, case) in wanted.iter().enumerate() {
        if !compare.flags.quiet {
            use std::io::Write;

            let (nth, all) = (nth + 1, wanted.len());
            // Where nobody reads along, the result still comes.
            let _ = writeln!(std::io::stderr(), "{nth} of {all}: {}", case.words);
        }
        let (scenario, flags) = flags(case, &compare.flags)?;
        let mut seen: Vec<Seen> = targets.iter().map(|_| Seen::default()).collect();
        for round in 0..compare.rounds as usize {
            for turn in 0..targets.len() {
                let at = (round + turn) % targets.len();
                let (Some(target), Some(seen)) = (targets.get(at), seen.get_mut(at)) else {
                    continue;
                };
                if seen.failure.is_none() && takes_part(&target.name, scenario, &flags) {
                    at_rest(targets);
                    one(scenario, &flags, target, seen);
                }
            }
        }
        report.add(case, &flags, &seen);
        if let Some(path) = &compare.markdown {
            let text = report.markdown();
            std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(report)
}

fn one(scenario: Scenario, flags: &Flags, target: &Target, seen: &mut Seen) {
    match measure(scenario, flags, &target.url, target.pid) {
        Ok((plan, outcome, doubt)) => {
            seen.rounds.push(report::figures(&plan, &outcome));
            seen.doubt = seen.doubt.take().or(doubt);
        }
        Err((why, _)) => seen.failure = Some(why),
    }
}

/// What copies bytes through keeps nothing and knows no wildcards.
fn takes_part(name: &str, scenario: Scenario, flags: &Flags) -> bool {
    let keeps = matches!(scenario, Scenario::Retained | Scenario::Drain);
    !(is_limit(name) && (keeps || flags.mixed))
}

fn is_limit(name: &str) -> bool {
    name.starts_with("null")
}

/// The words of a case, and what was said for all of them.
fn flags(case: &Case, all: &Flags) -> Result<(Scenario, Flags), String> {
    #[derive(Parser)]
    struct Words {
        #[arg(value_enum)]
        scenario: Scenario,
        #[command(flatten)]
        flags: Flags,
    }
    let words = core::iter::once("bench").chain(case.words.split_whitespace());
    let said = Words::try_parse_from(words).map_err(|e| e.to_string())?;
    let count = all.count.or(said.flags.count);
    let flags = Flags {
        protocol_version: all.protocol_version.clone(),
        count,
        duration: Some(all.duration.unwrap_or(SECONDS)),
        warmup: Some(all.warmup.unwrap_or(WARMUP)),
        patience: Some(all.patience.unwrap_or(PATIENCE)),
        threads: all.threads,
        seed: all.seed,
        bind: all.bind.clone(),
        even_so: true,
        quiet: true,
        ..said.flags
    };
    Ok((said.scenario, flags))
}

impl Report {
    fn add(&mut self, case: &Case, flags: &Flags, seen: &[Seen]) {
        let words = match flags.count {
            Some(count) => with_count(case.words, count),
            None => case.words.to_owned(),
        };
        for row in case.rows {
            let all: Vec<Option<Vec<f64>>> = seen.iter().map(|seen| seen.values(row)).collect();
            let cell = |(seen, values): (&Seen, &Option<Vec<f64>>)| {
                let values = spread(values.clone()?);
                Some(Cell { values, doubtful: seen.doubt.is_some() })
            };
            let cells: Vec<Option<Cell>> = seen.iter().zip(&all).map(cell).collect();
            let (best, limit) = self.stand(row, &all);
            let (label, figure) = (row.label, row.figure);
            self.lines.push(Line { words: words.clone(), label, figure, cells, best, limit });
        }
        for (name, seen) in self.targets.iter().zip(seen) {
            let because = seen.failure.as_ref().map(|why| format!("no figure: {why}"));
            let doubtful = seen.doubt.as_ref().map(|why| format!("marked `*`: {why}"));
            for why in because.into_iter().chain(doubtful) {
                let why = why.replace("no figure: no figure", "no figure");
                self.notes.push(format!("`{words}`, {name}: {why}"));
            }
        }
    }

    /// How the first who took part stands to the best of the others, and to the limit.
    #[expect(clippy::type_complexity, reason = "a name and three numbers, and three numbers")]
    fn stand(
        &self,
        row: &Row,
        all: &[Option<Vec<f64>>],
    ) -> (Option<(String, [f64; 3])>, Option<[f64; 3]>) {
        let with = || self.targets.iter().zip(all).filter_map(|(n, it)| Some((n, it.as_ref()?)));
        let Some((first, own)) = with().find(|(name, _)| !is_limit(name)) else {
            return (None, None);
        };
        let ratio = |other: &[f64]| {
            let rounds: Vec<f64> = own.iter().zip(other).map(|(own, it)| own / it).collect();
            (other.iter().all(|it| *it != 0.0)).then(|| spread(rounds))
        };
        let peers = with().filter(|(name, _)| *name != first && !is_limit(name));
        let sign = if row.less { 1.0 } else { -1.0 };
        let best = peers.min_by(|(_, a), (_, b)| {
            let of = |values: &[f64]| sign * spread(values.to_vec())[0];
            of(a).total_cmp(&of(b))
        });
        let limit = with().find(|(name, _)| is_limit(name));
        let best = best.and_then(|(name, values)| Some((name.clone(), ratio(values)?)));
        (best, limit.and_then(|(_, values)| ratio(values)))
    }

    /// A line for each figure: what it is, everybody's, and how the first stands.
    fn grid(&self) -> Vec<Vec<String>> {
        let mut head = vec!["case".to_owned(), "figure".to_owned()];
        head.extend(self.targets.iter().cloned());
        head.extend(["to the best other".to_owned(), "to the limit".to_owned()]);
        let mut grid = vec![head];
        let mut before = "";
        for line in &self.lines {
            let words = if line.words == before { "" } else { &line.words };
            before = &line.words;
            let mut cells = vec![words.to_owned(), line.label.to_owned()];
            cells.extend(line.cells.iter().map(|cell| cell.map_or("-".to_owned(), Cell::text)));
            let three =
                |[median, least, most]: [f64; 3]| format!("{median:.2} ({least:.2} to {most:.2})");
            let best = line.best.as_ref().map(|(name, it)| format!("{} {name}", three(*it)));
            cells.push(best.unwrap_or_else(|| "-".to_owned()));
            cells.push(line.limit.map_or_else(|| "-".to_owned(), three));
            grid.push(cells);
        }
        grid
    }

    pub(super) fn table(&self) -> String {
        let grid = self.grid();
        let columns = grid.first().map_or(0, Vec::len);
        let wide = |at: usize| {
            grid.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(wide).collect();
        let mut text = String::new();
        for line in &grid {
            for (cell, width) in line.iter().zip(&widths) {
                text += &format!("{cell:<width$}  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        for note in &self.notes {
            text += &format!("\n{note}");
        }
        text.trim_end().to_owned()
    }

    /// The same for a file.
    fn markdown(&self) -> String {
        let mut text = String::new();
        for (nth, line) in self.grid().iter().enumerate() {
            let cells: Vec<String> = line.iter().map(|cell| cell.replace('|', "/")).collect();
            text += &format!("| {} |\n", cells.join(" | "));
            if nth == 0 {
                text += &format!("|{}\n", "---|".repeat(line.len()));
            }
        }
        for note in &self.notes {
            text += &format!("\n* {note}");
        }
        text + "\n"
    }

    pub(super) fn json(&self) -> String {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let three = |[median, least, most]: [f64; 3]| {
            let number = Value::Number;
            object(vec![
                ("median", number(median)),
                ("least", number(least)),
                ("most", number(most)),
            ])
        };
        let line = |line: &Line| {
            let cells = self.targets.iter().zip(&line.cells).filter_map(|(name, cell)| {
                let cell = (*cell)?;
                let doubtful = Value::Bool(cell.doubtful);
                let members = vec![("value", three(cell.values)), ("doubtful", doubtful)];
                Some((name.as_str(), object(members)))
            });
            let mut members = vec![
                ("case", text(&line.words)),
                ("figure", text(line.figure)),
                ("brokers", object(cells.collect())),
            ];
            if let Some((name, ratio)) = &line.best {
                let best = vec![("broker", text(name)), ("ratio", three(*ratio))];
                members.push(("best_other", object(best)));
            }
            members.extend(line.limit.map(|ratio| ("limit", three(ratio))));
            object(members)
        };
        let lines = Value::List(self.lines.iter().map(line).collect());
        let notes = Value::List(self.notes.iter().map(|note| text(note)).collect());
        let all = object(vec![("lines", lines), ("notes", notes)]);
        String::from_utf8_lossy(&all.print(false)).into_owned()
    }
}

impl Seen {
    /// This figure in every round, if it is in every round.
    fn values(&self, row: &Row) -> Option<Vec<f64>> {
        let of = |round: &Vec<(String, f64)>| {
            round.iter().find(|(name, _)| name == row.figure).map(|(_, n)| *n)
        };
        let all: Vec<f64> = self.rounds.iter().filter_map(of).collect();
        let whole = self.failure.is_none() && !all.is_empty() && all.len() == self.rounds.len();
        whole.then_some(all)
    }
}

impl Cell {
    fn text(self) -> String {
        let [median, least, most] = self.values.map(report::figure);
        let mark = if self.doubtful { "*" } else { "" };
        format!("{median}{mark} ({least} to {most})")
    }
}

/// The words as they were run.
fn with_count(words: &str, count: u64) -> String {
    let mut all: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    if let Some(at) = all.iter().position(|word| word == "-c")
        && let Some(said) = all.get_mut(at + 1)
    {
        *said = count.to_string();
    }
    all.join(" ")
}

/// What a case is measured for, and before that.
const SECONDS: f64 = 2.0;
const WARMUP: f64 = 0.5;
/// Whoever takes a minute for a step of what is laid in holds everybody up.
const PATIENCE: f64 = 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Flags {
        #[derive(Parser)]
        struct Words {
            #[command(flatten)]
            flags: Flags,
        }
        Words::parse_from(["x"]).flags
    }

    fn seen(values: &[f64]) -> Seen {
        let of = |n: &f64| vec![("cpu_us_per_message".to_owned(), *n)];
        Seen { rounds: values.iter().map(of).collect(), ..Seen::default() }
    }

    #[test]
    fn every_case_is_a_plan() {
        for case in TABLE {
            let (scenario, flags) = flags(case, &all()).unwrap();
            let plan = super::super::plan::Plan::of(scenario, &flags, "mqtt://127.0.0.1", None, 1);
            assert!(plan.is_ok(), "{}: {plan:?}", case.words);
        }
    }

    #[test]
    fn the_first_stands_to_the_best_other_and_to_the_limit() {
        let names = ["own", "a", "b", "null"].map(str::to_owned).to_vec();
        let mut report = Report { targets: names, ..Report::default() };
        let rounds = [
            seen(&[4.0, 8.0, 6.0]),
            seen(&[9.0, 9.0, 9.0]),
            seen(&[8.0, 8.0, 8.0]),
            seen(&[2.0, 2.0, 2.0]),
        ];
        report.add(&TABLE[0], &all(), &rounds);
        let (name, ratio) = report.lines[0].best.clone().unwrap();
        assert_eq!((&*name, ratio), ("b", [0.75, 0.5, 1.0]));
        assert_eq!(report.lines[0].limit, Some([3.0, 2.0, 4.0]));
        assert!(report.lines[1].best.is_none(), "nobody had a rate");
    }

    #[test]
    fn who_fails_is_out_and_who_is_doubtful_is_marked() {
        let names = ["own", "a"].map(str::to_owned).to_vec();
        let mut report = Report { targets: names, ..Report::default() };
        let own = Seen { doubt: Some("too busy".to_owned()), ..seen(&[4.0]) };
        let other = Seen { failure: Some("no figure: lost".to_owned()), ..seen(&[9.0]) };
        report.add(&TABLE[0], &all(), &[own, other]);
        let table = report.table();
        assert!(table.contains("4.00*") && !table.contains("9.00"), "{table}");
        assert!(table.contains("a: no figure: lost") && table.contains("too busy"), "{table}");
    }
}
