//! Floor 6. `spindle import`: what another broker was configured with, as a configuration of ours.
//!
//! The configuration goes to standard output, what could not be brought along to its end as
//! comments and to standard error. Nothing that exists is overwritten. Absent on purpose: what
//! becomes of a line (`config::mosquitto`, `config::nexus`, `config::crossbar`).

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::ctl::object;
use super::json::Value;
use super::{FAILED, USAGE, complain, complain_lines, say, say_json};
use crate::config::mosquitto::{Files, Imported, import};
use crate::config::value::quoted;
use crate::config::{crossbar, nexus};

/// The verbs of `import`.
#[derive(Subcommand, Clone, Debug)]
pub(super) enum Verb {
    /// Translate a mosquitto.conf, its password file and its ACL file
    Mosquitto {
        /// The configuration of mosquitto
        file: PathBuf,
        /// Where to write the users file that its users and rules become; must not exist
        #[arg(long, value_name = "FILE")]
        users_out: Option<PathBuf>,
        /// As JSON: the configuration, where the users are, and what was not brought along
        #[arg(long)]
        json: bool,
    },
    /// Translate a configuration of nexusd (JSON)
    Nexus {
        /// The configuration of nexusd
        file: PathBuf,
        /// As JSON: the configuration, and what was not brought along
        #[arg(long)]
        json: bool,
    },
    /// Translate a node configuration of crossbar (JSON), with its static users and roles
    Crossbar {
        /// The node configuration, as in .crossbar/config.json
        file: PathBuf,
        /// Where to write the users file that its users and roles become; must not exist
        #[arg(long, value_name = "FILE")]
        users_out: Option<PathBuf>,
        /// As JSON: the configuration, where the users are, and what was not brought along
        #[arg(long)]
        json: bool,
    },
}

/// The disk.
struct Disk;

impl Files for Disk {
    fn text(&mut self, path: &str) -> Result<String, String> {
        fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
    }

    fn folder(&mut self, path: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(path).map_err(|e| format!("{path}: {e}"))?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let ours = paths.filter(|path| path.extension().is_some_and(|end| end == "conf"));
        let mut names: Vec<String> = ours.map(|path| path.display().to_string()).collect();
        names.sort();
        Ok(names)
    }
}

impl Verb {
    pub(super) fn run(self) -> u8 {
        type Read = fn(&str, &str) -> Result<Imported, String>;
        let mosquitto: Read = |name, text| Ok(import(name, text, &mut Disk));
        let (read, file, users_out, json) = match self {
            Self::Mosquitto { file, users_out, json } => (mosquitto, file, users_out, json),
            Self::Nexus { file, json } => (nexus::import as Read, file, None, json),
            Self::Crossbar { file, users_out, json } => {
                (crossbar::import as Read, file, users_out, json)
            }
        };
        let name = file.display().to_string();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) => return complain(&format!("{name}: {e}"), FAILED),
        };
        let imported = match read(&name, &text) {
            Ok(imported) => imported,
            Err(why) => return complain(&why, FAILED),
        };
        let place = match users(&imported, users_out.as_deref()) {
            Ok(place) => place,
            Err((why, code)) => return complain(&why, code),
        };
        let line = place.as_ref().map(|place| format!("users = {}\n", quoted(place)));
        let line = line.unwrap_or_default();
        if json {
            let notes = imported.notes.iter().map(|note| note.as_str().into()).collect();
            return say_json(&object(vec![
                ("toml", format!("{line}{}", imported.toml).as_str().into()),
                ("users", place.as_deref().map_or(Value::Null, Value::from)),
                ("notes", Value::List(notes)),
            ]));
        }
        let mut out = format!("# Brought along from {name}.\n{line}{}", imported.toml);
        if !imported.notes.is_empty() {
            out += "\n# Not brought along, or not the same here:\n";
            imported.notes.iter().for_each(|note| out += &format!("# {note}\n"));
            complain_lines(&imported.notes.join("\n"));
        }
        say(out.trim_end())
    }
}

/// Write the users file, if there is one: where it is.
fn users(imported: &Imported, to: Option<&Path>) -> Result<Option<String>, (String, u8)> {
    let Some(text) = &imported.users else { return Ok(None) };
    let Some(to) = to else {
        let why = "there are users or rules: say where their file goes (--users-out FILE)";
        return Err((why.into(), USAGE));
    };
    let wrong = |e: std::io::Error| (format!("{}: {e}", to.display()), FAILED);
    // Hashes are nobody else's business.
    let made: Result<File, _> = File::options().write(true).create_new(true).mode(0o600).open(to);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(wrong)?;
    let whole = fs::canonicalize(to).map_err(wrong)?;
    Ok(Some(whole.display().to_string()))
}
