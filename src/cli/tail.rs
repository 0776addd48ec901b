//! Floor 6. `spindle ctl log tail`: the last lines of a running broker's log, and those to come.
//!
//! The broker keeps a few hundred lines under numbers. Whoever follows asks every second for what
//! is behind the last number seen; a hole in the numbers is said, for those lines went before
//! they were fetched. Lines come escaped. Absent on purpose: how much is said (`spindle log`).

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::admin::Admin;
use super::json::Value;
use super::{FAILED, complain, say};

/// `log tail`
#[derive(Args, Debug)]
pub(super) struct Tail {
    /// So many lines to begin with, at most 512
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=512))]
    lines: u16,
    /// Only lines at least so grave
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,
    /// Go on with what is said from now on
    #[arg(short, long)]
    follow: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Tail {
    /// Print them; as JSON it is a line each.
    pub(super) fn run(&self, admin: &Admin, json: bool) -> u8 {
        let mut seen = None;
        loop {
            let mut found = match self.behind(admin, seen) {
                Ok(found) => found,
                Err(why) => return complain(&why, FAILED),
            };
            if let Some(first) = found.first().map(number) {
                // A smaller number is one of a broker that was started anew.
                let gone = seen.map_or(0, |seen| first.saturating_sub(seen + 1));
                if gone > 0 && self.level.is_none() {
                    complain(&format!("{gone} lines went before they were fetched"), 0);
                }
            }
            let newest = found.last().map(number);
            if seen.is_none() {
                found.drain(..found.len().saturating_sub(usize::from(self.lines)));
            }
            seen = newest.or(seen).or(Some(0));
            for line in &found {
                let text = if json { print(line) } else { plain(line) };
                let failed = say(&text);
                if failed != 0 {
                    return failed;
                }
            }
            if !self.follow {
                return 0;
            }
            std::thread::sleep(EVERY);
        }
    }

    /// Lines behind this number; all there are without one.
    fn behind(&self, admin: &Admin, seen: Option<u64>) -> Result<Vec<Value>, String> {
        let mut path = "/api/v1/log?limit=1000".to_owned();
        if let Some(level) = self.level {
            path += &format!("&level={}", level.word());
        }
        if let Some(seen) = seen {
            path += &format!("&after={seen}");
        }
        super::ctl::rows(admin, &path)
    }
}

fn number(line: &Value) -> u64 {
    line.member("number").and_then(Value::number).unwrap_or_default() as u64
}

fn print(line: &Value) -> String {
    String::from_utf8_lossy(&line.print(false)).into_owned()
}

/// As the log's own text has it.
fn plain(line: &Value) -> String {
    let of = |name: &str| line.member(name).map(Value::plain).unwrap_or_default();
    let level = of("level").to_uppercase();
    let tame = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text = format!("{} {level:5} {} {}", of("at"), of("target"), of("text"));
    text.chars().map(tame).collect()
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
