//! Floor 6. The configuration: from defaults, files, the environment and flags, later ones first.
//!
//! Reading goes in two steps: `file.rs` and this file collect values, each with where it comes
//! from; `settings.rs` makes of them what a broker is built with. Every fault of every source is
//! reported, each with its place, and a configuration with a fault is none. Reading order:
//! `keys`, `value`, `file`, `settings`, `show`. Absent on purpose: opening anything but the files
//! of the configuration itself, and asking the environment (it is handed in).

pub mod crossbar;
mod crossbar_users;
mod diff;
mod file;
pub mod keys;
pub mod mosquitto;
mod mosquitto_users;
pub mod nexus;
mod rows;
mod settings;
mod show;
pub mod value;

#[cfg(test)]
mod config_test;
#[cfg(test)]
mod crossbar_test;
#[cfg(test)]
mod mosquitto_test;

pub use diff::{Change, diff};
pub use settings::{Admin, Log, ServedListener, Settings, TlsFiles};
pub use show::{Shown, Variable, chapter, schema, template, variables};

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::near::near;
use crate::broker::{Reloader, Renewed};

use keys::{ENV, Key, Section};
use value::{Kind, Value};

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file.
    File {
        /// Which.
        path: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Env(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "{path}:{line}"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

/// Something wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub origin: Origin,
    /// What. Never quotes a secret.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str(&self.text),
            Origin::File { path, line, column } => {
                write!(f, "{path}:{line}:{column}: {}", self.text)
            }
            Origin::Env(name) => write!(f, "{name}: {}", self.text),
            Origin::Flag(flag) => write!(f, "--{flag}: {}", self.text),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// One of the tables of a section that repeats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Which section.
    pub section: Section,
    /// What stands in it, by name.
    pub entries: BTreeMap<&'static str, Entry>,
    /// Where it begins.
    pub origin: Origin,
}

/// Values that were given, by section and name, and tables in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Given {
    pub(crate) entries: BTreeMap<(Section, &'static str), Entry>,
    pub(crate) tables: Vec<Table>,
}

/// What configurations are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; `conf.d/*.toml` beside it is read too.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Flags without their dashes, in order.
    pub flags: Vec<(String, String)>,
}

/// Why there is no configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// A file could not be read.
    Unread(String),
    /// It was read, and this is wrong.
    Faults(Vec<Fault>),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(text) => f.write_str(text),
            Self::Faults(faults) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for Wrong {}

/// A configuration without a fault.
#[derive(Clone, Debug)]
pub struct Config {
    given: Given,
    /// What it means.
    pub settings: Settings,
    /// The files it was read from.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Read it from everywhere.
    pub fn load(sources: &Sources) -> Result<Self, Wrong> {
        let mut given = Given::default();
        let mut faults = Vec::new();
        let files = match &sources.file {
            Some(path) => files_of(path)?,
            None => Vec::new(),
        };
        for path in &files {
            let text = read(path)?;
            file::read(path, &text, &mut given, &mut faults);
        }
        from_environment(&sources.env, &mut given, &mut faults);
        from_flags(&sources.flags, &mut given, &mut faults);
        Self::of(given, files, faults)
    }

    fn of(given: Given, files: Vec<PathBuf>, mut faults: Vec<Fault>) -> Result<Self, Wrong> {
        let settings = Settings::of(&given, &mut faults);
        if faults.is_empty() {
            return Ok(Self { given, settings, files });
        }
        let place = |origin: &Origin| match origin {
            Origin::File { path, line, column } => {
                let nth = files.iter().position(|file| file.display().to_string() == **path);
                (nth, *line, *column)
            }
            _ => (Some(usize::MAX), 0, 0),
        };
        faults.sort_by_key(|fault| place(&fault.origin));
        Err(Wrong::Faults(faults))
    }

    /// The entry of a key above all tables that repeat: given, or by default.
    #[must_use]
    pub fn entry(&self, key: &Key) -> Option<Entry> {
        let given = self.given.entries.get(&(key.section, key.name)).cloned();
        let origin = Origin::Default;
        given.or_else(|| key.default_value().map(|value| Entry { value, origin }))
    }

    /// The tables of a section that repeats.
    pub fn tables(&self, section: Section) -> impl Iterator<Item = &Table> {
        self.given.tables.iter().filter(move |table| table.section == section)
    }
}

/// Reads a configuration again from where it came from, and says what is another than what is in
/// force. What needs a restart is told until there is one.
pub fn reloader(sources: Sources, start: Config) -> Reloader {
    let mut now = start.clone();
    let mut asked: Option<(Config, Arc<AtomicBool>)> = None;
    Box::new(move || {
        if let Some((config, taken)) = asked.take()
            && taken.load(Ordering::SeqCst)
        {
            now = config;
        }
        let new = Config::load(&sources).map_err(|wrong| wrong.to_string())?;
        let live = diff(&now, &new).into_iter().filter(|change| change.live);
        let later = diff(&start, &new).into_iter().filter(|change| !change.live);
        let told = live.chain(later).map(|change| change.text).collect();
        let renewed = Renewed::of(&new, told);
        asked = Some((new, Arc::clone(&renewed.taken)));
        Ok(renewed)
    })
}

/// The file, and those beside it in their order.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Wrong> {
    let mut files = vec![path.to_owned()];
    let folder = path.parent().unwrap_or_else(|| Path::new("")).join("conf.d");
    let found = match std::fs::read_dir(&folder) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(e) => return Err(Wrong::Unread(format!("{}: {e}", folder.display()))),
    };
    let mut beside = Vec::new();
    for entry in found {
        let entry = entry.map_err(|e| Wrong::Unread(format!("{}: {e}", folder.display())))?;
        if entry.path().extension().is_some_and(|end| end == "toml") {
            beside.push(entry.path());
        }
    }
    beside.sort();
    files.extend(beside);
    Ok(files)
}

fn read(path: &Path) -> Result<String, Wrong> {
    let wrong = |e: String| Wrong::Unread(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let lines = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count();
        wrong(format!("it is not UTF-8 at line {}", lines + 1))
    })
}

/// Variables that begin with the prefix, each of them a key.
fn from_environment(env: &[(String, String)], given: &mut Given, faults: &mut Vec<Fault>) {
    let all = keys::all();
    let mut ours: Vec<_> = env.iter().filter(|(name, _)| name.starts_with(ENV)).collect();
    ours.sort();
    for (name, text) in ours {
        let origin = Origin::Env(name.clone());
        match all.iter().find(|key| key.env().as_deref() == Some(name)) {
            Some(key) => put(given, faults, key, text, origin),
            None => {
                let names: Vec<String> = all.iter().filter_map(Key::env).collect();
                let moved = name.strip_prefix(LIMITS_ENV).map(str::to_ascii_lowercase);
                let moved = moved.and_then(|name| keys::named_elsewhere(&name));
                let moved = moved.map(|key| format!("{ENV}{}", key.to_ascii_uppercase()));
                let like = moved.as_deref();
                let like = like.or_else(|| near(name, names.iter().map(String::as_str)));
                let like = like.map_or_else(String::new, |l| format!(", did you mean {l:?}?"));
                faults.push(Fault { origin, text: format!("no key is called so{like}") });
            }
        }
    }
}

/// How the variables of bounds begin.
const LIMITS_ENV: &str = "SPINDLE__LIMITS__";

/// Flags; `limit` names the key it is for, and what may be repeated adds up.
fn from_flags(flags: &[(String, String)], given: &mut Given, faults: &mut Vec<Fault>) {
    let all = keys::all();
    let mut lists: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for (flag, text) in flags {
        let origin = Origin::Flag(flag.clone());
        if flag == LIMIT {
            limit(text, origin, given, faults);
            continue;
        }
        let Some(key) = all.iter().find(|key| key.flag == flag && !flag.is_empty()) else {
            faults.push(Fault { origin, text: "there is no such flag".into() });
            continue;
        };
        if key.kind == Kind::Texts {
            let texts = lists.entry(key.flag).or_default();
            texts.push(text.clone());
            put(given, faults, key, &texts.join(","), origin);
        } else {
            put(given, faults, key, text, origin);
        }
    }
}

fn limit(pair: &str, origin: Origin, given: &mut Given, faults: &mut Vec<Fault>) {
    let origin = match origin {
        Origin::Flag(flag) => Origin::Flag(format!("{flag} {pair}")),
        other => other,
    };
    let Some((name, text)) = pair.split_once('=') else {
        let text = "it is not NAME=VALUE".into();
        return faults.push(Fault { origin, text });
    };
    let (name, text) = (name.trim(), text.trim());
    if let Some(key) = keys::named_elsewhere(name) {
        let flag = key.replace('_', "-");
        return faults.push(Fault { origin, text: format!("use --{flag} {text} instead") });
    }
    // The table of bounds says itself what is wrong.
    let flaw = crate::base::limits::Limits::default().set(name, text).err();
    match (keys::find(Section::Limits, name), flaw) {
        (Some(key), None) => put(given, faults, &key, text, origin),
        (_, flaw) => faults.push(Fault { origin, text: flaw.unwrap_or_default() }),
    }
}

/// A value in one line of text.
fn put(given: &mut Given, faults: &mut Vec<Fault>, key: &Key, text: &str, origin: Origin) {
    match key.kind.read(text) {
        Ok(value) => given.put(*key, value, origin),
        Err(why) => faults.push(Fault { origin, text: format!("{} {why}", key.full()) }),
    }
}

impl Given {
    /// What comes later wins. Listeners of one line take the place of all that were there.
    fn put(&mut self, key: Key, value: Value, origin: Origin) {
        if key.section == Section::Root && key.name == "listen" {
            let Value::Texts(urls) = value else { return };
            self.tables.retain(|table| table.section != Section::Listener);
            for url in urls {
                let entry = Entry { value: Value::Text(url), origin: origin.clone() };
                self.tables.push(Table {
                    section: Section::Listener,
                    entries: BTreeMap::from([("url", entry)]),
                    origin: origin.clone(),
                });
            }
            return;
        }
        self.entries.insert((key.section, key.name), Entry { value, origin });
    }
}

/// The flag of which the value names the key.
pub const LIMIT: &str = "limit";
