//! Floor 6. The flags of `serve`, made from the table of keys, and where a configuration is from.
//!
//! A key with a flag is a flag with the key's words; bounds share one, `--limit NAME=VALUE`. What
//! is given stays text here and is read where files are, so that a wrong value is called the same
//! in both. Absent on purpose: defaults.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};

use crate::config::keys::{self, Key};
use crate::config::value::Kind;
use crate::config::{LIMIT, Sources};

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    config: Option<PathBuf>,
    given: Vec<(String, String)>,
}

impl Flags {
    /// Only a file.
    pub(super) fn file(path: Option<&Path>) -> Self {
        Self { config: path.map(Path::to_owned), given: Vec::new() }
    }

    /// From where to read: these flags, the environment, and the file that one of them names.
    pub(super) fn sources(&self) -> Sources {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let env: Vec<(String, String)> = env.collect();
        let named = env.iter().find(|(name, value)| name == FILE && !value.is_empty());
        let file = self.config.clone().or_else(|| named.map(|(_, path)| path.into()));
        Sources { file, env, flags: self.given.clone() }
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .short('c')
            .long(CONFIG)
            .value_name("FILE")
            .help("The configuration file; without it, the one that SPINDLE_CONFIG names");
        let limit =
            Arg::new(LIMIT).long(LIMIT).value_name("NAME=VALUE").action(ArgAction::Append).help(
                "Another bound than the default, e.g. packet_bytes_max=65536; may be repeated",
            );
        let command = command.arg(config).arg(limit);
        flagged().fold(command, |command, key| command.arg(arg(&key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.config = matches.get_one::<String>(CONFIG).map(PathBuf::from);
        let names = flagged().map(|key| key.flag).chain([LIMIT]);
        for name in names {
            let values = matches.get_many::<String>(name).into_iter().flatten();
            self.given.extend(values.map(|value| (name.to_owned(), value.clone())));
        }
        Ok(())
    }
}

fn flagged() -> impl Iterator<Item = Key> {
    keys::all().into_iter().filter(|key| !key.flag.is_empty())
}

fn arg(key: &Key) -> Arg {
    let help = match key.default_value() {
        Some(value) if !value.text().is_empty() => {
            format!("{} [default: {}]", key.doc, value.text())
        }
        _ => key.doc.to_owned(),
    };
    let arg = Arg::new(key.flag).long(key.flag).help(help);
    match key.kind {
        Kind::Flag => arg
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Word(words) => {
            arg.value_name("WORD").value_parser(PossibleValuesParser::new(words.iter().copied()))
        }
        Kind::Texts if key.flag == "listen" => arg.value_name("URL").action(ArgAction::Append),
        Kind::Texts => arg.value_name("TEXT").action(ArgAction::Append),
        Kind::Path => arg.value_name("PATH"),
        Kind::Number => arg.value_name("NUMBER"),
        Kind::Text | Kind::Secret => arg.value_name("TEXT"),
    }
}

const CONFIG: &str = "config";
/// The variable that names the file.
const FILE: &str = "SPINDLE_CONFIG";
