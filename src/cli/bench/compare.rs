//! Floor 6. `spindle bench compare`: several brokers in turn, and how each stands to the first.
//!
//! A machine wanders, so every round has a run of each broker, beginning with another each time;
//! a ratio is made within its round, and the median of the ratios is told with the least and the
//! most. No run begins before the brokers are done with the one before it. One run without a
//! figure, and there is no comparison. Absent on purpose: a winner, and starting brokers: that they
//! give the same guarantees is for whoever starts them to see to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::ctl::object;
use crate::cli::json::Value;
use crate::cli::{FAILED, USAGE, complain, say};

use super::plan::Scenario;
use super::suite::{self, Suite};
use super::{Flags, measure, proc, report};

/// Flags of `bench compare`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Compare {
    /// Brokers; with its process, if it is on this machine. Ratios are to the first
    #[arg(required = true, value_name = "NAME=URL[,PID]")]
    targets: Vec<String>,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Scenario::Pairs, conflicts_with = "suite")]
    scenario: Scenario,
    /// Many scenarios one after the other; a broker called null... is the limit, not a peer
    #[arg(long, value_enum, value_name = "NAME")]
    suite: Option<Suite>,
    /// Of a suite: only what has these words in it
    #[arg(long, value_name = "WORDS", requires = "suite")]
    pub(super) only: Vec<String>,
    /// Of a suite: write the table into this file too, as Markdown, after every case
    #[arg(long, value_name = "FILE", requires = "suite")]
    pub(super) markdown: Option<PathBuf>,
    /// Runs of each
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(super) rounds: u32,
    #[command(flatten)]
    pub(super) flags: Flags,
}

/// A broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) pid: Option<u32>,
}

/// The figures of one run, by name.
type Figures = Vec<(String, f64)>;

/// Of one figure of one broker: its median, least and most; the same of its ratios.
#[derive(Clone, PartialEq, Debug)]
struct Line {
    figure: String,
    target: String,
    values: [f64; 3],
    ratios: Option<[f64; 3]>,
}

impl Compare {
    pub(super) fn run(&self) -> u8 {
        match self.told() {
            Ok(text) => say(&text),
            Err((why, code)) => complain(&why, code),
        }
    }

    fn told(&self) -> Result<String, (String, u8)> {
        let targets: Result<Vec<Target>, String> =
            self.targets.iter().map(|text| Target::parse(text)).collect();
        let targets = targets.map_err(|why| (why, USAGE))?;
        if !(1..=ROUNDS_MAX).contains(&self.rounds) {
            return Err((format!("--rounds must be between 1 and {ROUNDS_MAX}"), USAGE));
        }
        if let Some(Suite::Table) = self.suite {
            let report = suite::run(self, &targets).map_err(|why| (why, FAILED))?;
            return Ok(if self.flags.json { report.json() } else { report.table() });
        }
        let lines = self.compared(&targets)?;
        Ok(if self.flags.json { json(&lines) } else { table(&lines) })
    }

    fn compared(&self, targets: &[Target]) -> Result<Vec<Line>, (String, u8)> {
        let mut seen: Vec<Vec<Figures>> = vec![Vec::new(); targets.len()];
        for round in 0..self.rounds as usize {
            for turn in 0..targets.len() {
                let at = (round + turn) % targets.len();
                let (Some(target), Some(seen)) = (targets.get(at), seen.get_mut(at)) else {
                    continue;
                };
                at_rest(targets);
                let run = measure(self.scenario, &self.flags, &target.url, target.pid);
                let named = |(why, code)| (format!("{}: {why}", target.name), code);
                let (plan, outcome, _) = run.map_err(named)?;
                seen.push(report::figures(&plan, &outcome));
            }
        }
        Ok(lines(targets, &seen))
    }
}

/// Who still works off its own run would take the processor of the next one's: until nobody works,
/// or for so long, nothing is begun.
pub(super) fn at_rest(targets: &[Target]) {
    if targets.iter().all(|it| it.pid.is_none()) {
        return;
    }
    let used = || -> u64 {
        let samples = targets.iter().filter_map(|it| proc::Sample::of(it.pid?));
        samples.map(|sample| sample.cpu).sum()
    };
    let mut before = used();
    for _ in 0..RESTS_MAX {
        std::thread::sleep(REST);
        let now = used();
        if u128::from(now.saturating_sub(before)) * 20 <= REST.as_nanos() {
            return;
        }
        before = now;
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: a broker is NAME=URL or NAME=URL,PID");
        let (name, rest) = text.split_once('=').filter(|(n, _)| !n.is_empty()).ok_or_else(wrong)?;
        let (url, pid) = match rest.rsplit_once(',') {
            Some((url, pid)) => (url, Some(pid.parse().map_err(|_| wrong())?)),
            None => (rest, None),
        };
        Ok(Self { name: name.to_owned(), url: url.to_owned(), pid })
    }
}

/// Every figure that all runs of the first broker have, of every broker that has it as often.
fn lines(targets: &[Target], seen: &[Vec<Figures>]) -> Vec<Line> {
    let of = |runs: &[Figures], figure: &str| -> Vec<f64> {
        let one = |run: &Figures| run.iter().find(|(name, _)| name == figure).map(|(_, n)| *n);
        runs.iter().filter_map(one).collect()
    };
    let Some(first) = seen.first() else { return Vec::new() };
    let names = first.first().into_iter().flatten().map(|(name, _)| name);
    let mut lines = Vec::new();
    for figure in names {
        let base = of(first, figure);
        for (target, runs) in targets.iter().zip(seen) {
            let values = of(runs, figure);
            if values.len() != runs.len() || base.len() != runs.len() {
                continue;
            }
            // To nothing there is no ratio.
            let ratios: Vec<f64> = values.iter().zip(&base).map(|(n, base)| n / base).collect();
            let is_ratio = base.iter().all(|base| *base != 0.0);
            lines.push(Line {
                figure: figure.clone(),
                target: target.name.clone(),
                values: spread(values),
                ratios: is_ratio.then(|| spread(ratios)),
            });
        }
    }
    lines
}

/// Median, least and most.
pub(super) fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |at: usize| values.get(at).copied().unwrap_or_default();
    let half = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    } else {
        at(half)
    };
    [median, at(0), at(values.len().saturating_sub(1))]
}

fn table(lines: &[Line]) -> String {
    let wide = |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).len()).max().unwrap_or(0);
    let (figures, targets) = (wide(|line| &line.figure), wide(|line| &line.target).max(6));
    let mut text = format!(
        "{:<figures$}  {:<targets$} {:>14} {:>14} {:>14} {:>9} {:>8} {:>8}",
        "figure", "broker", "median", "least", "most", "to first", "least", "most"
    );
    let mut before = "";
    for line in lines {
        let figure = if line.figure == before { "" } else { &line.figure };
        before = &line.figure;
        let values = line.values.map(|n| format!(" {:>14}", report::figure(n))).concat();
        let ratios = line.ratios.map_or_else(String::new, |[median, least, most]| {
            format!(" {median:>9.2} {least:>8.2} {most:>8.2}")
        });
        text += &format!("\n{figure:<figures$}  {:<targets$}{values}{ratios}", line.target);
    }
    text
}

fn json(lines: &[Line]) -> String {
    let three = |[median, least, most]: [f64; 3]| {
        let number = Value::Number;
        object(vec![("median", number(median)), ("least", number(least)), ("most", number(most))])
    };
    let mut all: BTreeMap<&str, Vec<(&str, Value)>> = BTreeMap::new();
    for line in lines {
        let mut members = vec![("value", three(line.values))];
        members.extend(line.ratios.map(|ratios| ("ratio", three(ratios))));
        all.entry(&line.figure).or_default().push((&line.target, object(members)));
    }
    let figures = all.into_iter().map(|(figure, targets)| (figure, object(targets))).collect();
    String::from_utf8_lossy(&object(figures).print(false)).into_owned()
}

const ROUNDS_MAX: u32 = 1_000;
/// Between two looks at who works, and how many there are.
const REST: Duration = Duration::from_millis(100);
const RESTS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_made_within_its_round() {
        let target = |name: &str| Target::parse(&format!("{name}=mqtt://x:1")).unwrap();
        let runs = |values: [f64; 3]| values.map(|n| vec![("cpu".to_owned(), n)]).to_vec();
        // The machine doubled its speed in between; the ratio is the same.
        let seen = [runs([10.0, 20.0, 40.0]), runs([5.0, 10.0, 24.0])];
        let lines = lines(&[target("a"), target("b")], &seen);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].values, [10.0, 5.0, 24.0]);
        assert_eq!(lines[1].ratios, Some([0.5, 0.5, 0.6]));
        assert_eq!(spread(vec![4.0, 1.0]), [2.5, 1.0, 4.0]);
    }

    #[test]
    fn a_figure_that_one_run_lacks_is_not_compared() {
        let target = |name: &str| Target::parse(&format!("{name}=mqtt://x:1")).unwrap();
        let runs = vec![vec![("rate".to_owned(), 0.0), ("cpu".to_owned(), 1.0)]];
        let other = vec![vec![("rate".to_owned(), 3.0)]];
        let lines = lines(&[target("a"), target("b")], &[runs, other]);
        let shown: Vec<(&str, &str)> =
            lines.iter().map(|line| (&*line.figure, &*line.target)).collect();
        assert_eq!(shown, [("rate", "a"), ("rate", "b"), ("cpu", "a")]);
        assert_eq!(lines[1].ratios, None, "to nothing there is no ratio");
    }

    #[test]
    fn a_broker_has_a_name_and_an_address() {
        let it = Target::parse("a=mqtt://u:p=q@h:1,77").unwrap();
        assert_eq!((&*it.name, &*it.url, it.pid), ("a", "mqtt://u:p=q@h:1", Some(77)));
        assert_eq!(Target::parse("a=prx1://h").unwrap().pid, None);
        for wrong in ["mqtt://h", "=mqtt://h", "a=mqtt://h,x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
