//! Floor 6. `spindle top`, `spindle trace`, `spindle log`: a running broker as it goes.
//!
//! `top` asks for the stats and the clients again and again and shows what grew in between;
//! without a terminal it prints one table after another, so it can be piped. Absent on purpose: a
//! screen library, and keys.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::admin::{Admin, Where, escaped};
use super::ctl::{object, table};
use super::json::Value;
use super::{FAILED, USAGE, complain, say};

/// Flags of `top`.
#[derive(Args, Debug)]
pub(super) struct Top {
    #[command(flatten)]
    place: Where,
    /// In order of this
    #[arg(long, value_enum, default_value_t = Sort::Queued)]
    sort: Sort,
    /// Seconds in between
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    every: u32,
    /// Rows
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 20)]
    rows: u32,
    /// End after so many rounds
    #[arg(long, value_name = "ROUNDS")]
    rounds: Option<u64>,
}

/// What clients are in order of.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Sort {
    /// Messages that wait for them
    Queued,
    /// Messages they lost
    Dropped,
    /// How long they are connected
    Since,
    /// Their ids
    Id,
    /// Their users
    User,
}

const COLUMNS: &[&str] = &[
    "id",
    "user",
    "protocol",
    "address",
    "connected_at",
    "subscriptions",
    "inflight",
    "queued",
    "queued_bytes",
    "dropped",
    "blocked",
];

impl Top {
    pub(super) fn run(&self) -> u8 {
        let admin = match self.place.admin() {
            Ok(admin) => admin,
            Err(why) => return complain(&why, USAGE),
        };
        let screen = std::io::stdout().is_terminal();
        let mut before = BTreeMap::new();
        let mut round = 0;
        loop {
            let now = match self.shot(&admin, &before, screen) {
                Ok(now) => now,
                Err(why) => return complain(&why, FAILED),
            };
            before = now;
            round += 1;
            if Some(round) == self.rounds {
                return 0;
            }
            std::thread::sleep(Duration::from_secs(self.every.max(1).into()));
        }
    }

    /// Show how it is now; what it was is for the next round.
    fn shot(
        &self,
        admin: &Admin,
        before: &BTreeMap<String, f64>,
        screen: bool,
    ) -> Result<BTreeMap<String, f64>, String> {
        let stats = admin.ask("GET", "/api/v1/stats", None)?;
        let sort = match self.sort {
            Sort::Queued => "queued&order=desc",
            Sort::Dropped => "dropped&order=desc",
            Sort::Since => "since&order=asc",
            Sort::Id => "id&order=asc",
            Sort::User => "user&order=asc",
        };
        let limit = self.rows.clamp(1, 1_000);
        let path = format!("/api/v1/clients?sort={sort}&limit={limit}");
        let clients = admin.ask("GET", &path, None)?;
        let mut numbers = BTreeMap::new();
        flatten("", stats.member("data").unwrap_or(&stats), &mut numbers);
        let rows = clients.member("data").unwrap_or(&clients).items();
        let text = format!(
            "{}\n\n{}",
            grown(before, &numbers, self.every.max(1).into()),
            table(rows, COLUMNS)
        );
        let mut stdout = std::io::stdout().lock();
        let clear = if screen { "\x1b[H\x1b[2J" } else { "" };
        writeln!(stdout, "{clear}{text}").map_err(|e| e.to_string())?;
        Ok(numbers)
    }
}

/// Every number of a document by its path.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, f64>) {
    if let Some(n) = value.number() {
        into.insert(path.to_owned(), n);
    }
    if let Value::Object(members) = value {
        for (name, value) in members {
            let name = String::from_utf8_lossy(name);
            let path = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
            flatten(&path, value, into);
        }
    }
}

/// The counters that grew most, by second; before the second round there are none.
fn grown(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>, seconds: f64) -> String {
    let mut grew: Vec<(f64, &str)> = now
        .iter()
        .filter(|(name, _)| name.ends_with("_total"))
        .filter_map(|(name, n)| Some(((n - before.get(name)?) / seconds, name.as_str())))
        .filter(|(rate, _)| *rate > 0.0)
        .collect();
    grew.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let line = |(rate, name): &(f64, &str)| format!("{rate:>14.1}/s  {name}");
    grew.iter().take(10).map(line).collect::<Vec<_>>().join("\n")
}

/// Flags of `trace`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("aim").required(true).args(["client", "topic", "address"]))]
pub(super) struct Trace {
    #[command(flatten)]
    place: Where,
    /// What happens to this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// To topics that match this filter
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// To whoever comes from this IP address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// End after so many lines
    #[arg(short = 'C', value_name = "LINES")]
    count: Option<u64>,
}

impl Trace {
    pub(super) fn run(&self) -> u8 {
        let admin = match self.place.admin() {
            Ok(admin) => admin,
            Err(why) => return complain(&why, USAGE),
        };
        let aims = [("client", &self.client), ("topic", &self.topic), ("address", &self.address)];
        let aim = aims.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)));
        let Some((name, value)) = aim else { return complain("name something", USAGE) };
        let mut seen = 0;
        let path = format!("/api/v1/trace?{name}={}", escaped(value));
        let followed = admin.follow(&path, |_, data| {
            seen += 1;
            let line = if self.place.json {
                String::from_utf8_lossy(&data.print(false)).into_owned()
            } else {
                traced(data)
            };
            say(&line) == 0 && Some(seen) != self.count
        });
        followed.map_or_else(|why| complain(&why, FAILED), |()| 0)
    }
}

/// A line of a trace: the time, what, who, and the rest as `key=value`.
fn traced(data: &Value) -> String {
    let Value::Object(members) = data else { return data.plain() };
    let mut line = String::new();
    for (name, value) in members {
        let name = String::from_utf8_lossy(name);
        let value = value.plain().escape_debug().to_string();
        let part = match &*name {
            "at" | "event" => value,
            _ if value.is_empty() => continue,
            name => format!("{name}={value}"),
        };
        line += &part;
        line.push(' ');
    }
    line.trim_end().to_owned()
}

/// Flags of `log`.
#[derive(Args, Debug)]
pub(super) struct Log {
    #[command(flatten)]
    place: Where,
    /// How much: off, error, warn, info, debug, trace; in front of it of what, as in
    /// spindle::proto=debug
    level: String,
    /// For so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    seconds: u32,
}

impl Log {
    pub(super) fn run(&self) -> u8 {
        let admin = match self.place.admin() {
            Ok(admin) => admin,
            Err(why) => return complain(&why, USAGE),
        };
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let (target, level) = match self.level.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, self.level.as_str()),
        };
        let mut body =
            vec![("level", text(level)), ("seconds", Value::Number(self.seconds.into()))];
        body.extend(target.map(|target| ("target", text(target))));
        match admin.ask("POST", "/api/v1/log", Some(&object(body))) {
            Ok(_) => 0,
            Err(why) => complain(&why, FAILED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::parse;

    #[test]
    fn only_what_grew_is_shown() {
        let of = |text: &str| {
            let mut numbers = BTreeMap::new();
            flatten("", &parse(text.as_bytes()).unwrap(), &mut numbers);
            numbers
        };
        let before = of(r#"{"m":{"in_total":10,"out_total":5},"gauge":1}"#);
        let now = of(r#"{"m":{"in_total":30,"out_total":5},"gauge":9,"new_total":3}"#);
        assert_eq!(grown(&before, &now, 2.0), "          10.0/s  m.in_total");
        assert_eq!(grown(&BTreeMap::new(), &now, 2.0), "");
    }

    #[test]
    fn a_traced_line_cannot_speak_to_a_terminal() {
        let data = parse(br#"{"at":"T","event":"published","client":"\u001bc","x":null}"#).unwrap();
        assert_eq!(traced(&data), "T published client=\\u{1b}c");
    }
}
