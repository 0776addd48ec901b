//! Floor 6. `spindle ctl`: a running broker, looked at and told what to do.
//!
//! Every verb is one request of the admin API, and what it answers is a table, or JSON as it came.
//! Columns are named here by the fields of the answer; a field that is missing is an empty cell.
//! Names go into queries, never into paths: whatever stands between may take `..` for a step.
//! Absent on purpose: anything the API does not have.

use clap::Subcommand;

use super::admin::{Admin, Where, escaped};
use super::json::Value;
use super::tail::Tail;
use super::{FAILED, USAGE, complain, say};

/// What can be asked or told.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Connected clients
    Clients {
        #[command(subcommand)]
        verb: Option<Clients>,
    },
    /// Sessions, connected or not
    Sessions {
        #[command(subcommand)]
        verb: Option<Sessions>,
    },
    /// Subscriptions of all sessions, or of one client
    Subscriptions { client: Option<String> },
    /// Kept values
    Retained {
        #[command(subcommand)]
        verb: Retained,
    },
    /// Who stays out by an operator's word
    Bans {
        #[command(subcommand)]
        verb: Option<Bans>,
    },
    /// Work queues
    Queues,
    /// Where the broker listens
    Listeners,
    /// Every number
    Stats,
    /// Every bound
    Limits,
    /// The configuration in force
    Config,
    /// Whether the broker can serve
    Health,
    /// What its log said lately
    Log {
        #[command(subcommand)]
        verb: Log,
    },
    /// How the broker is, every second, as JSON
    Events,
    /// All of it in one document, for a report
    Dump,
    /// Let nobody new in
    Drain,
    /// Read the configuration again
    Reload,
    /// Open the log's file again
    Reopen,
    /// Come to an end
    Stop,
}

/// `log`
#[derive(Subcommand, Debug)]
pub(super) enum Log {
    /// Print the last lines
    Tail(Tail),
}

/// `clients`
#[derive(Subcommand, Debug)]
pub(super) enum Clients {
    /// List them
    Ls {
        /// Only those with this in their id or user
        query: Option<String>,
    },
    /// Show one, with its last events
    Show { id: String },
    /// Close its connection
    Kick { id: String },
    /// Close it, and keep the client out
    Ban {
        id: String,
        /// For so many seconds; without it for ever
        #[arg(long)]
        seconds: Option<u32>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `sessions`
#[derive(Subcommand, Debug)]
pub(super) enum Sessions {
    /// List them
    Ls,
    /// Forget one, and close its connection
    Rm { id: String },
}

/// `retained`
#[derive(Subcommand, Debug)]
pub(super) enum Retained {
    /// List those at and below a topic
    Ls { prefix: Option<String> },
    /// Print a value
    Get { topic: String },
    /// Forget a value
    Rm { topic: String },
}

/// `bans`
#[derive(Subcommand, Debug)]
pub(super) enum Bans {
    /// List them
    Ls,
    /// Keep a client, a user or an address out
    Add {
        /// client, user or address
        kind: String,
        value: String,
        /// For so many seconds; without it for ever
        #[arg(long)]
        seconds: Option<u32>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// End a ban
    Rm { kind: String, value: String },
}

const CLIENTS: &[&str] = &[
    "id",
    "user",
    "protocol",
    "state",
    "address",
    "subscriptions",
    "inflight",
    "queued",
    "dropped",
];
const SUBSCRIPTIONS: &[&str] = &["client", "filter", "qos", "group", "protocol", "user"];

/// What is wanted: how, where, with what, and how the answer is shown.
struct Want {
    method: &'static str,
    path: String,
    body: Option<Value>,
    /// Columns of a table; none: the document.
    columns: Option<&'static [&'static str]>,
}

fn get(path: impl Into<String>, columns: Option<&'static [&'static str]>) -> Want {
    Want { method: "GET", path: path.into(), body: None, columns }
}

fn act(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Want {
    Want { method, path: path.into(), body, columns: None }
}

impl Verb {
    pub(super) fn run(self, place: &Where) -> u8 {
        let admin = match place.admin() {
            Ok(admin) => admin,
            Err(why) => return complain(&why, USAGE),
        };
        let want = match self {
            Self::Events => return events(&admin),
            Self::Log { verb: Log::Tail(tail) } => return tail.run(&admin, place.json),
            Self::Dump => return dump(&admin),
            Self::Retained { verb: Retained::Get { topic } } if !place.json => {
                return value(&admin, &topic);
            }
            other => other.want(),
        };
        match want.columns {
            Some(columns) => match rows(&admin, &want.path) {
                Ok(rows) if place.json => show(&Value::List(rows)),
                Ok(rows) => say(&table(&rows, columns)),
                Err(why) => complain(&why, FAILED),
            },
            None => match admin.ask(want.method, &want.path, want.body.as_ref()) {
                Ok(Value::Null) => 0,
                Ok(answer) if place.json => show(&answer),
                Ok(answer) => say(&plain(answer.member("data").unwrap_or(&answer))),
                Err(why) => complain(&why, FAILED),
            },
        }
    }

    fn want(self) -> Want {
        match self {
            Self::Clients { verb } => verb.unwrap_or(Clients::Ls { query: None }).want(),
            Self::Sessions { verb: None | Some(Sessions::Ls) } => {
                get("/api/v1/sessions?state=any", Some(CLIENTS))
            }
            Self::Sessions { verb: Some(Sessions::Rm { id }) } => {
                act("DELETE", format!("/api/v1/session?id={}", escaped(&id)), None)
            }
            Self::Subscriptions { client: None } => {
                get("/api/v1/subscriptions", Some(SUBSCRIPTIONS))
            }
            Self::Subscriptions { client: Some(id) } => get(
                format!("/api/v1/client/subscriptions?id={}", escaped(&id)),
                Some(SUBSCRIPTIONS),
            ),
            Self::Retained { verb } => verb.want(),
            Self::Bans { verb } => verb.unwrap_or(Bans::Ls).want(),
            Self::Queues => get(
                "/api/v1/queues",
                Some(&["address", "creator", "durable", "items", "in_memory", "drainers"]),
            ),
            Self::Listeners => get(
                "/api/v1/listeners",
                Some(&["listener", "protocol", "address", "tls", "connections", "accepted"]),
            ),
            Self::Limits => get("/api/v1/limits", Some(&["name", "value", "default"])),
            Self::Stats => get("/api/v1/stats", None),
            Self::Config => get("/api/v1/config", None),
            Self::Health => get("/healthz", None),
            Self::Drain => act("POST", "/api/v1/drain", None),
            Self::Reload => act("POST", "/api/v1/reload", None),
            Self::Reopen => act("POST", "/api/v1/log/reopen", None),
            Self::Stop => act("POST", "/api/v1/stop", None),
            // All are answered before anything is wanted.
            Self::Events | Self::Dump | Self::Log { .. } => get("/api/v1/stats", None),
        }
    }
}

impl Clients {
    fn want(self) -> Want {
        match self {
            Self::Ls { query: None } => get("/api/v1/clients", Some(CLIENTS)),
            Self::Ls { query: Some(q) } => {
                get(format!("/api/v1/clients?q={}", escaped(&q)), Some(CLIENTS))
            }
            Self::Show { id } => get(format!("/api/v1/client?id={}", escaped(&id)), None),
            Self::Kick { id } => act("DELETE", format!("/api/v1/client?id={}", escaped(&id)), None),
            Self::Ban { id, seconds, reason } => ban("client", &id, seconds, reason),
        }
    }
}

impl Retained {
    fn want(self) -> Want {
        let topic = |topic: &str| format!("?topic={}", escaped(topic));
        match self {
            Self::Ls { prefix } => get(
                match prefix {
                    Some(prefix) => format!("/api/v1/retained?prefix={}", escaped(&prefix)),
                    None => "/api/v1/retained".to_owned(),
                },
                Some(&["topic", "stored_bytes", "expires_at", "on_disk"]),
            ),
            Self::Get { topic: name } => {
                get(format!("/api/v1/retained/value{}", topic(&name)), None)
            }
            Self::Rm { topic: name } => {
                act("DELETE", format!("/api/v1/retained{}", topic(&name)), None)
            }
        }
    }
}

impl Bans {
    fn want(self) -> Want {
        match self {
            Self::Ls => get("/api/v1/bans", Some(&["kind", "value", "until", "reason"])),
            Self::Add { kind, value, seconds, reason } => ban(&kind, &value, seconds, reason),
            Self::Rm { kind, value } => {
                let (kind, value) = (escaped(&kind), escaped(&value));
                let path = format!("/api/v1/ban?kind={kind}&value={value}");
                act("DELETE", path, None)
            }
        }
    }
}

fn ban(kind: &str, value: &str, seconds: Option<u32>, reason: Option<String>) -> Want {
    let mut body = vec![("kind", text(kind)), ("value", text(value))];
    body.extend(seconds.map(|s| ("seconds", Value::Number(s.into()))));
    body.extend(reason.map(|why| ("reason", text(&why))));
    act("POST", "/api/v1/bans", Some(object(body)))
}

fn text(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

/// A body.
pub(super) fn object(members: Vec<(&str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(n, v)| (n.as_bytes().to_vec(), v)).collect())
}

/// All rows, page by page.
pub(super) fn rows(admin: &Admin, path: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = match &next {
            None => path.to_owned(),
            Some(after) => format!("{path}{joint}after={}", escaped(after)),
        };
        let answer = admin.ask("GET", &page, None)?;
        let data = answer.member("data").unwrap_or(&answer);
        all.extend_from_slice(data.items());
        let meta = answer.member("meta").unwrap_or(&answer);
        match meta.member("next") {
            Some(Value::Text(after)) if all.len() < ROWS_MAX && !data.items().is_empty() => {
                next = Some(String::from_utf8_lossy(after).into_owned());
            }
            _ => return Ok(all),
        }
    }
}

/// More are not shown at once.
const ROWS_MAX: usize = 1_000_000;

/// Rows under their columns, as wide as they must be.
pub(super) fn table(rows: &[Value], columns: &[&str]) -> String {
    let cell = |row: &Value, column: &str| {
        let text = row.member(column).map(Value::plain).unwrap_or_default();
        // Names are the clients' own; a terminal must not obey them.
        text.escape_debug().to_string()
    };
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|c| c.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| lines.iter().filter_map(|l| l.get(i)).map(|c| c.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let spaced = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(spaced).collect::<Vec<_>>().join("\n")
}

/// A document as lines: `name value`, lists inside as JSON.
fn plain(value: &Value) -> String {
    let Value::Object(members) = value else { return value.plain() };
    // What an operation has to say, in as many lines as that takes.
    if let [(name, Value::Text(_))] = &members[..]
        && name == b"result"
    {
        let said = value.member("result").map(Value::plain).unwrap_or_default();
        let lines: Vec<String> = said.lines().map(|l| l.escape_debug().to_string()).collect();
        return lines.join("\n").replace("\\\"", "\"");
    }
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let width = members.iter().map(|(own, _)| own.len()).max().unwrap_or(0);
    let line = |(own, value): &(Vec<u8>, Value)| {
        let value = value.plain().escape_debug().to_string().replace("\\\"", "\"");
        format!("{:<width$}  {value}", name(own)).trim_end().to_owned()
    };
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn show(value: &Value) -> u8 {
    say(&String::from_utf8_lossy(&value.print(false)))
}

/// A kept value as it is.
fn value(admin: &Admin, topic: &str) -> u8 {
    use std::io::Write;

    let path = format!("/api/v1/retained/value?topic={}", escaped(topic));
    let answer = match admin.ask("GET", &path, None) {
        Ok(answer) => answer,
        Err(why) => return complain(&why, FAILED),
    };
    let data = answer.member("data").unwrap_or(&answer);
    let Some(Value::Text(payload)) = data.member("payload") else {
        return complain("the answer has no payload", FAILED);
    };
    let coded = data.member("encoding").map(Value::plain).as_deref() == Some("base64");
    let bytes = match crate::base::base64::decode(payload) {
        Some(bytes) if coded => bytes,
        _ => payload.clone(),
    };
    let mut stdout = std::io::stdout().lock();
    u8::from(stdout.write_all(&bytes).and_then(|()| stdout.write_all(b"\n")).is_err())
}

fn events(admin: &Admin) -> u8 {
    let followed = admin.follow("/api/v1/events", |_, data| show(data) == 0);
    followed.map_or_else(|why| complain(&why, FAILED), |()| 0)
}

fn dump(admin: &Admin) -> u8 {
    let parts = ["stats", "limits", "listeners", "config", "clients", "subscriptions", "queues"];
    let mut whole = Vec::new();
    for part in parts {
        // What is missing is said where it would stand.
        let value = admin.ask("GET", &format!("/api/v1/{part}"), None);
        whole.push((part, value.unwrap_or_else(|why| text(&why))));
    }
    say(&String::from_utf8_lossy(&object(whole).print(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::parse;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = parse(br#"[{"id":"a","n":12},{"id":"long\u001b[1m"}]"#).unwrap();
        let text = table(rows.items(), &["id", "n"]);
        assert_eq!(text, "ID             N\na              12\nlong\\u{1b}[1m");
    }

    #[test]
    fn a_document_is_lines() {
        let value = parse(br#"{"a":"x","long":[1,"y"],"none":null}"#).unwrap();
        assert_eq!(plain(&value), "a     x\nlong  [1,\"y\"]\nnone");
        let value = parse(br#"{"result":"one \"x\"\ntwo\u001b"}"#).unwrap();
        assert_eq!(plain(&value), "one \"x\"\ntwo\\u{1b}");
    }
}
