//! Floor 6. The command line: one verb per file, and the log lines of the program.
//!
//! Without a verb it serves, with defaults that reach nobody but this machine. What an exit code
//! means stands in one table (`exit`), from which the manual has it. Absent on purpose: what a
//! configuration means (`config`).

mod acl;
mod admin;
mod aio;
mod ask;
mod bench;
mod certs;
mod check;
mod config;
mod context;
mod ctl;
mod docs;
mod exit;
mod flags;
mod foo;
mod format;
mod hash;
mod import;
mod json;
mod link;
mod log_lines;
mod passwd;
mod property;
mod publish;
mod request;
mod serve;
mod subscribe;
mod tail;
mod top;
mod unit;
mod url;
mod wamp;
mod words;
mod zip;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::limits::{Limits, Row};
use crate::config::Wrong;
use crate::config::keys::named_elsewhere;
pub use docs::chapter;
pub use exit::codes;
use flags::Flags;
use json::Value;

#[derive(Parser, Debug)]
#[command(
    name = "spindle",
    version,
    about = "A message broker for one machine",
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it serves: PRX1 on 127.0.0.1:52909, MQTT on 127.0.0.1:1883, \
                  data in ./spindle-data."
)]
struct Args {
    /// The configuration file to serve, or to check
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and stop, as `spindle check`
    #[arg(short, long, visible_alias = "check-config")]
    test_config: bool,
    /// Findings as JSON
    #[arg(long, requires = "test_config")]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run the broker in the foreground
    Serve(Flags),
    /// Check a configuration, all files that it names included; touches nothing
    Check {
        /// Findings as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show what is configured, or what could be
    Config {
        #[command(subcommand)]
        verb: config::Verb,
    },
    /// Bring along what another broker was configured with
    Import {
        #[command(subcommand)]
        verb: import::Verb,
    },
    /// Read a password from standard input and print its hash for a users file
    Hash(hash::Hash),
    /// Publish a message, or one for each line (the letters of mosquitto_pub)
    #[command(disable_help_flag = true)]
    Pub(Box<publish::Pub>),
    /// Subscribe, and print what arrives (the letters of mosquitto_sub)
    #[command(disable_help_flag = true)]
    Sub(Box<subscribe::Sub>),
    /// Ask a question over MQTT 5.0 or PRX1, and print the answer
    #[command(disable_help_flag = true)]
    Request(Box<request::Request>),
    /// Answer questions
    #[command(disable_help_flag = true)]
    Reply(Box<request::Reply>),
    /// Speak WAMP to a router: publish and subscribe, call and be called
    Wamp {
        #[command(flatten)]
        link: Box<wamp::Link>,
        #[command(subcommand)]
        verb: wamp::Verb,
    },
    /// Speak aioconnectors to a server: messages, files and answers under a name
    Aio {
        #[command(flatten)]
        link: Box<aio::Link>,
        #[command(subcommand)]
        verb: aio::Verb,
    },
    /// Run a connector of aioconnectors that serves other programs of this machine
    Connector(aio::Connector),
    /// Add, change or delete a user of a users file (the letters of mosquitto_passwd)
    Passwd(passwd::Passwd),
    /// What a users file allows, and which rule says so
    Acl {
        #[command(subcommand)]
        verb: acl::Verb,
    },
    /// Make certificates, revoke them, and look into them
    Certs {
        #[command(flatten)]
        place: certs::Where,
        #[command(subcommand)]
        verb: certs::Verb,
    },
    /// Look at a running broker, and tell it what to do
    Ctl {
        #[command(flatten)]
        place: admin::Where,
        #[command(subcommand)]
        verb: ctl::Verb,
    },
    /// Watch a running broker and its busiest clients
    Top(top::Top),
    /// Watch what happens to one client, topic or address
    Trace(top::Trace),
    /// Let the log of a running broker say more or less for a time
    Log(top::Log),
    /// Put load on a broker of MQTT, PRX1 or WAMP, and say what it did: rates, latencies, its cost
    Bench(Box<bench::Bench>),
    /// Forward a line protocol to a server, and count what passes
    FooProxy(foo::proxy::Proxy),
    /// Answer the requests of that protocol, to try a proxy
    FooServer(foo::server::Server),
    /// Send requests of that protocol and check the answers
    FooClient(foo::client::Client),
    /// Name brokers, so that their addresses and passwords need not be typed
    Context {
        #[command(subcommand)]
        verb: context::Verb,
    },
    /// List what every exit code means
    ExitCodes {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a shell completes by
    Completions { shell: clap_complete::Shell },
    /// Print a man page
    Man {
        /// Of this command; without it the program's own
        command: Option<String>,
        /// Write all of them into this folder
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        out: Option<PathBuf>,
        /// Print the manual's chapter on the command line instead
        #[arg(long, conflicts_with_all = ["command", "out"])]
        markdown: bool,
        /// Print every command with its flags as JSON instead
        #[arg(long, conflicts_with_all = ["command", "out", "markdown"])]
        json: bool,
    },
    /// List every bound that `serve --limit` can set, with its default and its reason
    Limits {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the version, and what was built in
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Do what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let given = foo::dashed(std::env::args_os());
    let args = match Args::try_parse_from(given) {
        Ok(args) => args,
        Err(error) => return misread(&error),
    };
    let file = Flags::file(args.config.as_deref());
    let code = match args.verb {
        None if args.test_config => check::run(&file, args.json),
        None => serve::run(&file),
        Some(verb) => verb.run(),
    };
    crate::os::logging::flush();
    ExitCode::from(code)
}

impl Verb {
    fn run(self) -> u8 {
        match self {
            Self::Serve(flags) => serve::run(&flags),
            Self::Check { json, flags } => check::run(&flags, json),
            Self::Config { verb } => verb.run(),
            Self::Import { verb } => verb.run(),
            Self::Hash(it) => it.run(),
            Self::Pub(it) => it.run(),
            Self::Sub(it) => it.run(),
            Self::Context { verb } => verb.run(),
            Self::Request(it) => it.run(),
            Self::Reply(it) => it.run(),
            Self::Wamp { link, verb } => verb.run(&link),
            Self::Aio { link, verb } => verb.run(&link),
            Self::Connector(it) => it.run(),
            Self::Passwd(it) => it.run(),
            Self::Acl { verb } => verb.run(),
            Self::Certs { place, verb } => verb.run(&place),
            Self::Ctl { place, verb } => verb.run(&place),
            Self::Top(it) => it.run(),
            Self::Trace(it) => it.run(),
            Self::Log(it) => it.run(),
            Self::Bench(it) => it.run(),
            Self::FooProxy(it) => it.run(),
            Self::FooServer(it) => it.run(),
            Self::FooClient(it) => it.run(),
            Self::ExitCodes { json } => say(&exit::text(json)),
            Self::Completions { shell } => docs::completions(shell),
            Self::Man { markdown: true, .. } => say(chapter().trim_end()),
            Self::Man { json: true, .. } => docs::json(),
            Self::Man { command, out, .. } => docs::man(command.as_deref(), out.as_deref()),
            Self::Limits { json } => limits(json),
            Self::Version { json } => version(json),
        }
    }
}

/// A command line that cannot be read, or one that asked for help. Clients answer as mosquitto's.
fn misread(error: &clap::Error) -> ExitCode {
    // Where it cannot be printed, the code still says it.
    let _ = error.print();
    #[expect(clippy::disallowed_methods, reason = "the command line itself")]
    let verb = std::env::args().nth(1).unwrap_or_default();
    let client =
        matches!(verb.as_str(), "pub" | "sub" | "request" | "reply" | "wamp" | "aio" | "connector");
    ExitCode::from(if client && error.use_stderr() {
        exit::CLIENT
    } else {
        error.exit_code() as u8
    })
}

/// The version, and what a report of a fault has to say besides.
fn version(json: bool) -> u8 {
    let version = env!("CARGO_PKG_VERSION");
    let tls = if cfg!(feature = "tls") { "rustls, ring" } else { "none" };
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    if json {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let rows = vec![
            ("version", text(version)),
            ("tls", text(tls)),
            ("system", text(system)),
            ("libc", text(libc)),
            ("machine", text(machine)),
        ];
        return say(&String::from_utf8_lossy(&ctl::object(rows).print(false)));
    }
    say(&format!("spindle {version}\nTLS {tls}; {system} {machine}, libc {libc}"))
}

fn limits(json: bool) -> u8 {
    let row = |row: &Row| format!("{}={}\n    {}", row.name, row.default, row.doc);
    let rows = Limits::ALL.iter().filter(|row| named_elsewhere(row.name).is_none());
    if json {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let object = |row: &Row| {
            let [name, default, doc] = [row.name, row.default, row.doc].map(text);
            ctl::object(vec![("name", name), ("default", default), ("doc", doc)])
        };
        let all = Value::List(rows.map(object).collect());
        return say(&String::from_utf8_lossy(&all.print(false)));
    }
    say(&rows.map(row).collect::<Vec<_>>().join("\n"))
}

/// A line on standard output. Nobody listening is no reason to fail loudly.
fn say(line: &str) -> u8 {
    use std::io::Write;

    u8::from(writeln!(std::io::stdout(), "{line}").is_err())
}

/// A document on standard output.
fn say_json(value: &Value) -> u8 {
    say(&String::from_utf8_lossy(&value.print(false)))
}

/// A line on standard error, and the code for it.
fn complain(line: &str, code: u8) -> u8 {
    use std::io::Write;

    // Where complaints cannot be written, the code still says it.
    let _ = writeln!(std::io::stderr(), "spindle: {line}");
    code
}

/// Lines on standard error that begin with their place, so that an editor can go there.
fn complain_lines(lines: &str) {
    use std::io::Write;

    // Where complaints cannot be written, the code still says it.
    let _ = writeln!(std::io::stderr(), "{lines}");
}

/// There is no configuration: why, and the code for it.
fn complain_of(wrong: &Wrong) -> u8 {
    match wrong {
        Wrong::Unread(text) => complain(text, FAILED),
        Wrong::Faults(_) => {
            complain_lines(&wrong.to_string());
            USAGE
        }
    }
}

/// Cannot start, cannot read, or the disk failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;
/// The journal is damaged.
const DAMAGED: u8 = 3;
