//! Floor 6. The command line: one verb per file, and the log lines of the program.
//!
//! Without a verb it serves, with defaults that reach nobody but this machine. Exit codes: 0 done,
//! 1 cannot start or the disk failed, 2 a wrong command line, 3 the journal is damaged. Absent on
//! purpose: configuration files, and the environment.

mod hash;
mod log_lines;
mod serve;
mod unit;

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
    /// List every bound that `serve --limit` can set, with its default and its reason
    Limits,
    /// Print the version
    Version,
}

/// Do what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let args = Args::parse();
    let code = match args.verb.unwrap_or_else(|| Verb::Serve(Box::default())) {
        Verb::Serve(serve) => serve.run(),
        Verb::Hash { scram } => hash::run(scram),
        Verb::Limits => limits(),
        Verb::Version => say(&format!("spindle {}", env!("CARGO_PKG_VERSION"))),
    };
    crate::os::logging::flush();
    ExitCode::from(code)
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
