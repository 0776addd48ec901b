//! Floor 6. Verbs for a connector that runs: who is there, what waits, whom it does not listen to.
//!
//! They speak to the socket for commands, of this program's connectors and of the original's, so
//! only who may use that socket may give orders. Absent on purpose: asking for what no flag says;
//! that is the menu (`menu`).

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use clap::Args;

use crate::base::outbound::Outbound;
use crate::client::aio::connector::{Serving, Setup};
use crate::proto::aio::command::{Command, Question, answer, ask};
use crate::value::{Bounds, Form, Value, Walk};

use super::super::exit;
use super::config::{self, Config};
use super::{Link, print};

/// Which connector.
#[derive(Args, Clone, Debug)]
struct Whom {
    /// The configuration that it runs with
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Its socket for commands, if there is no configuration
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

/// Flags of `aio peers`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Peers {
    #[command(flatten)]
    whom: Whom,
}

/// Flags of `aio peek-queues`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct PeekQueues {
    #[command(flatten)]
    whom: Whom,
}

/// Flags of `aio ignore-peer-traffic`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct IgnorePeerTraffic {
    #[command(flatten)]
    whom: Whom,
    /// Pass over everybody's messages
    #[arg(long, conflicts_with_all = ["peer", "off"])]
    all: bool,
    /// Pass over this peer's
    #[arg(long, value_name = "NAME", conflicts_with = "off")]
    peer: Option<String>,
    /// Pass over nobody's
    #[arg(long)]
    off: bool,
}

/// Flags of `aio delete-client-certificate`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct DeleteClientCertificate {
    #[command(flatten)]
    whom: Whom,
    /// Of this client: the connector is a server's
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Go on with the connection there is
    #[arg(long, conflicts_with = "client")]
    stay: bool,
}

/// Flags of `aio restart-connector`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct RestartConnector {
    #[command(flatten)]
    whom: Whom,
    /// Without saying what still waits
    #[arg(long)]
    hard: bool,
    /// Wait so many seconds in between
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pause: i64,
}

/// Flags of `aio stop-connector`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct StopConnector {
    #[command(flatten)]
    whom: Whom,
    /// Without saying what still waits
    #[arg(long)]
    hard: bool,
    /// Hang up only, and go on serving programs
    #[arg(long)]
    stay: bool,
}

impl Peers {
    pub(super) fn run(&self, link: &Link) -> u8 {
        self.whom.run(link, Command::Peers, vec![("dump_result", Value::Bool(true))], |said| {
            read(said).map(|value| {
                let line = match &value {
                    Value::Map(pairs) => pairs.iter().map(|(name, _)| name.clone()).collect(),
                    _ => Vec::new(),
                };
                (line.join("\n"), vec![("peers", value)])
            })
        })
    }
}

impl PeekQueues {
    pub(super) fn run(&self, link: &Link) -> u8 {
        self.whom.run(link, Command::Queues, vec![("dump_result", Value::Bool(true))], |said| {
            let Some(Value::Map(pairs)) = read(said) else { return None };
            let lines = pairs.iter().flat_map(|(key, value)| match value {
                Value::Map(peers) => peers
                    .iter()
                    .map(|(peer, count)| format!("{key} {peer} {}", number(count)))
                    .collect(),
                count => vec![format!("{key} {}", number(count))],
            });
            let text: Vec<String> = lines.collect();
            Some((text.join("\n"), vec![("queues", Value::Map(pairs))]))
        })
    }
}

impl IgnorePeerTraffic {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let with = match (&self.peer, self.all, self.off) {
            (Some(peer), ..) => ("unique_peer", print::text(peer.as_str())),
            (None, true, _) => ("enable", Value::Bool(true)),
            (None, false, true) => ("disable", Value::Bool(true)),
            (None, false, false) => ("show", Value::Bool(true)),
        };
        self.whom.run(link, Command::Ignore, vec![with], |said| {
            let value = match said {
                "True" => Value::Bool(true),
                "False" => Value::Bool(false),
                // A list as Python writes it, of one name.
                list => {
                    let name = list.strip_prefix("['").and_then(|it| it.strip_suffix("']"))?;
                    Value::List(vec![print::text(name)])
                }
            };
            Some((said.to_owned(), vec![("ignored", value)]))
        })
    }
}

impl DeleteClientCertificate {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let (command, with) = match &self.client {
            Some(client) => {
                let with = ("client_id", print::text(client.as_str()));
                (Command::ForgetCertificate, vec![with])
            }
            None => (Command::DropCertificate, vec![("restart_client", Value::Bool(!self.stay))]),
        };
        let mut done = true;
        let code = self.whom.run(link, command, with, |said| {
            let value = read(said)?;
            done = value.get("status") == Some(&Value::Bool(true));
            let why = value.get("msg").and_then(Value::as_text).unwrap_or_default().to_owned();
            let line = if done { "deleted".to_owned() } else { format!("not deleted: {why}") };
            Some((line, vec![("deleted", Value::Bool(done)), ("why", Value::Text(why))]))
        });
        if code == exit::DONE && !done { exit::REFUSED } else { code }
    }
}

impl RestartConnector {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let pause = Value::Int(self.pause);
        let with = vec![("hard", Value::Bool(self.hard)), ("sleep_between", pause)];
        self.whom.run(link, Command::Restart, with, |said| told(said, "restarted"))
    }
}

impl StopConnector {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let with = vec![
            ("hard", Value::Bool(self.hard)),
            ("shutdown", Value::Bool(!self.stay)),
            ("enable_delete_files", Value::Bool(true)),
            ("client_wait_for_reconnect", Value::Bool(false)),
        ];
        self.whom.run(link, Command::Stop, with, |said| told(said, "stopped"))
    }
}

/// Nothing to say means that it was done.
fn told(said: &str, done: &'static str) -> Option<(String, Vec<(&'static str, Value)>)> {
    let value = Value::Bool(matches!(said, "{}" | "success"));
    let line = if value == Value::Bool(true) { done } else { said };
    Some((line.to_owned(), vec![(done, value)]))
}

impl Whom {
    /// Ask, and print what it says as a line or as a document.
    fn run(
        &self,
        link: &Link,
        command: Command,
        with: Vec<(&str, Value)>,
        mut shown: impl FnMut(&str) -> Option<(String, Vec<(&'static str, Value)>)>,
    ) -> u8 {
        let socket = match self.socket(link) {
            Ok(socket) => socket,
            Err(code) => return code,
        };
        let with = with.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let said = match exchange(&socket, &Question { command, with }, link) {
            Ok(said) => said,
            Err(e) => {
                link.complain(&format!("Error: {}: {e}", socket.display()));
                return exit::CLIENT;
            }
        };
        match shown(&said) {
            Some((line, pairs)) => {
                if link.json {
                    print::say(&print::json(pairs));
                } else if !line.is_empty() {
                    print::say(&print::safe_lines(&line));
                }
                exit::DONE
            }
            None => {
                let said = print::safe(&said.into_bytes().into());
                link.complain(&format!("Error: an answer that makes no sense: {said}"));
                exit::PROTOCOL
            }
        }
    }

    fn socket(&self, link: &Link) -> Result<PathBuf, u8> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let Config { serves, server, name, directory, .. } =
            link.any_config(self.config.as_ref())?;
        let folder = directory.unwrap_or_else(config::default_dir);
        if let Some(told) = serves {
            let server = server.unwrap_or_else(|| config::USUAL.to_owned());
            let serving = Serving::new(&told.certificates);
            return Ok(Setup::server(&server, &folder, serving).commander());
        }
        let Some(name) = link.name.clone().or(name) else {
            return Err(link.wrong("which connector: CONFIG with a client_name, or --socket PATH"));
        };
        let server = server.unwrap_or_default();
        Ok(Setup::new(&server, &name, &folder).commander())
    }
}

/// Ask the connector at this socket.
pub(super) fn exchange(socket: &Path, question: &Question, link: &Link) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    // A graceful end may take its time.
    let most = link.patience().saturating_add(GRACE);
    stream.set_read_timeout(Some(most))?;
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut said = Outbound::default();
    ask(question, &mut said).map_err(|e| wrong(e.to_string()))?;
    stream.write_all(&said.to_vec())?;
    let mut input = BytesMut::new();
    loop {
        if let Some(said) = answer(&mut input).map_err(|fault| wrong(fault.to_string()))? {
            return Ok(said);
        }
        let mut part = [0; 4 << 10];
        match stream.read(&mut part)? {
            0 => return Err(wrong("it does not answer that".to_owned())),
            len => input.extend_from_slice(part.get(..len).unwrap_or_default()),
        }
    }
}

fn read(said: &str) -> Option<Value> {
    let mut walk = Walk::new(Form::Json, said.as_bytes(), Bounds { depth: 4, items: 10_000 });
    let value = Value::read(&mut walk).ok()?;
    walk.finish().ok().map(|()| value)
}

fn number(value: &Value) -> i64 {
    value.as_int().unwrap_or(0)
}

/// More than usual: for a connector that says what it has left to say.
const GRACE: std::time::Duration = std::time::Duration::from_secs(15);
