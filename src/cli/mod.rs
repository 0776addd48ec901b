//! Floor 6. The command line: one verb per file, and the log lines of the program.
//!
//! Without a verb it serves, with defaults that reach nobody but this machine. Exit codes: 0 done,
//! 1 cannot start or the disk failed, 2 a wrong command line, 3 the journal is damaged. Absent on
//! purpose: configuration files, and the environment.

mod acl;
mod admin;
mod certs;
mod context;
mod ctl;
mod docs;
mod exit;
mod format;
mod hash;
mod json;
mod link;
mod log_lines;
mod passwd;
mod property;
mod publish;
mod request;
mod serve;
mod subscribe;
mod top;
mod url;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::limits::{Limits, Row};

#[derive(Parser, Debug)]
#[command(
    name = "spindle",
    version,
    about = "A message broker for one machine",
    after_help = "Without a command it serves: PRX1 on 127.0.0.1:52909, data in ./spindle-data."
)]
struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run the broker in the foreground
    Serve(Box<serve::Serve>),
    /// Read a password from standard input and print its hash for a users file
    Hash {
        /// As keys for logins by SCRAM-SHA-256 (the users file's scram_sha_256)
        #[arg(long)]
        scram: bool,
    },
    /// Publish a message, or one for each line (the letters of mosquitto_pub)
    #[command(disable_help_flag = true)]
    Pub(Box<publish::Pub>),
    /// Subscribe, and print what arrives (the letters of mosquitto_sub)
    #[command(disable_help_flag = true)]
    Sub(Box<subscribe::Sub>),
    /// Ask a question over MQTT 5.0, and print the answer
    #[command(disable_help_flag = true)]
    Request(Box<request::Request>),
    /// Answer questions
    #[command(disable_help_flag = true)]
    Reply(Box<request::Reply>),
    /// Add, change or delete a user of a users file (the letters of mosquitto_passwd)
    Passwd(passwd::Passwd),
    /// What a users file allows, and which rule says so
    Acl {
        #[command(subcommand)]
        verb: acl::Verb,
    },
    /// Look into certificates
    Certs {
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
    /// Name brokers, so that their addresses and passwords need not be typed
    Context {
        #[command(subcommand)]
        verb: context::Verb,
    },
    /// List what every exit code means
    ExitCodes,
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
    },
    /// List every bound that `serve --limit` can set, with its default and its reason
    Limits,
    /// Print the version
    Version,
}

/// Do what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misread(&error),
    };
    let code = match args.verb.unwrap_or_else(|| Verb::Serve(Box::default())) {
        Verb::Serve(serve) => serve.run(),
        Verb::Hash { scram } => hash::run(scram),
        Verb::Pub(it) => it.run(),
        Verb::Sub(it) => it.run(),
        Verb::Context { verb } => verb.run(),
        Verb::Request(it) => it.run(),
        Verb::Reply(it) => it.run(),
        Verb::Passwd(it) => it.run(),
        Verb::Acl { verb } => verb.run(),
        Verb::Certs { verb } => verb.run(),
        Verb::Ctl { place, verb } => verb.run(&place),
        Verb::Top(it) => it.run(),
        Verb::Trace(it) => it.run(),
        Verb::Log(it) => it.run(),
        Verb::ExitCodes => say(&exit::text()),
        Verb::Completions { shell } => docs::completions(shell),
        Verb::Man { markdown: true, .. } => say(docs::chapter().trim_end()),
        Verb::Man { command, out, .. } => docs::man(command.as_deref(), out.as_deref()),
        Verb::Limits => limits(),
        Verb::Version => say(&format!("spindle {}", env!("CARGO_PKG_VERSION"))),
    };
    ExitCode::from(code)
}

/// A command line that cannot be read, or one that asked for help. Clients answer as mosquitto's.
fn misread(error: &clap::Error) -> ExitCode {
    // Where it cannot be printed, the code still says it.
    let _ = error.print();
    #[expect(clippy::disallowed_methods, reason = "the command line itself")]
    let verb = std::env::args().nth(1).unwrap_or_default();
    let client = matches!(verb.as_str(), "pub" | "sub" | "request" | "reply");
    ExitCode::from(if client && error.use_stderr() {
        exit::CLIENT
    } else {
        error.exit_code() as u8
    })
}

fn limits() -> u8 {
    let row = |row: &Row| format!("{}={}\n    {}", row.name, row.default, row.doc);
    say(&Limits::ALL.iter().map(row).collect::<Vec<_>>().join("\n"))
}

/// A line on standard output. Nobody listening is no reason to fail loudly.
fn say(line: &str) -> u8 {
    use std::io::Write;

    u8::from(writeln!(std::io::stdout(), "{line}").is_err())
}

/// A line on standard error, and the code for it.
fn complain(line: &str, code: u8) -> u8 {
    use std::io::Write;

    // Where complaints cannot be written, the code still says it.
    let _ = writeln!(std::io::stderr(), "spindle: {line}");
    code
}

/// Cannot start, or the disk failed.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// The journal is damaged.
const DAMAGED: u8 = 3;
