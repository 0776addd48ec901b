//! Floor 6. The command line: one verb per file, and the log lines of the program.
//!
//! Without a verb it serves, with defaults that reach nobody but this machine. What an exit code
//! means stands in one table of the manual's chapter on operating. Absent on purpose: what a
//! configuration means (`config`).

mod check;
mod config;
mod flags;
mod hash;
mod import;
mod log_lines;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::limits::{Limits, Row};
use crate::config::Wrong;
use flags::Flags;

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
    let file = Flags::file(args.config.as_deref());
    let code = match args.verb {
        None if args.test_config => check::run(&file, args.json),
        None => serve::run(&file),
        Some(Verb::Serve(flags)) => serve::run(&flags),
        Some(Verb::Check { json, flags }) => check::run(&flags, json),
        Some(Verb::Config { verb }) => verb.run(),
        Some(Verb::Import { verb }) => verb.run(),
        Some(Verb::Hash { scram }) => hash::run(scram),
        Some(Verb::Limits) => limits(),
        Some(Verb::Version) => say(&format!("spindle {}", env!("CARGO_PKG_VERSION"))),
    };
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
