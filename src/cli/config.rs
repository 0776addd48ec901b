//! Floor 6. `spindle config`: what is configured, what could be, and in which words.
//!
//! All of it is printed from the table of keys. Absent on purpose: writing files.

use std::path::PathBuf;

use clap::Subcommand;

use super::ctl::object;
use super::flags::Flags;
use super::json::Value;
use super::{complain_of, say, say_json};
use crate::config::{self, Config, Variable};

/// The verbs of `config`.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum Verb {
    /// Print the configuration, secrets left out
    Show {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Everything that is in force, not only what was given
        #[arg(long)]
        effective: bool,
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a file with every key, commented out
    Default,
    /// Print the JSON schema of configuration files
    Schema,
    /// List every variable of the environment that is read
    Env {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Verb {
    pub(super) fn run(self) -> u8 {
        match self {
            Self::Default => say(config::template().trim_end()),
            Self::Schema => say(config::schema().trim_end()),
            Self::Env { json: false } => say(&lines()),
            Self::Env { json: true } => {
                say_json(&Value::List(config::variables().map(row).collect()))
            }
            Self::Show { config, effective, origin, json } => {
                match Config::load(&Flags::file(config.as_deref()).sources()) {
                    Ok(it) if json => say(&it.json(effective)),
                    Ok(it) => say(it.toml(effective, origin).trim_end()),
                    Err(wrong) => complain_of(&wrong),
                }
            }
        }
    }
}

/// Every variable with its default, and what it is for.
fn lines() -> String {
    let line = |own: Variable| format!("{}={}\n    {}", own.name, own.default, own.doc);
    config::variables().map(line).collect::<Vec<_>>().join("\n")
}

fn row(own: Variable) -> Value {
    let (name, default, doc) = (own.name.as_str(), own.default.as_str(), own.doc);
    object(vec![("name", name.into()), ("default", default.into()), ("doc", doc.into())])
}
