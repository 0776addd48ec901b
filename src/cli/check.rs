//! Floor 6. `spindle check`: would this configuration do?
//!
//! Everything is read that a start would read, the users file and the files of TLS included, and
//! all that is wrong is said. Nothing is created, bound or opened for writing; the data folder is
//! not looked at. Absent on purpose: whether addresses are free.

use super::flags::Flags;
use super::{FAILED, USAGE, complain, complain_lines, say};
use crate::broker;
use crate::config::value::quoted;
use crate::config::{Config, Origin, Wrong};

/// Check, and say what was found.
pub(super) fn run(flags: &Flags, json: bool) -> u8 {
    let sources = flags.sources();
    let named = sources.file.as_ref().map(|path| path.display().to_string());
    let named = named.unwrap_or_else(|| "the configuration".into());
    let found = match Config::load(&sources) {
        Ok(config) => faults_of(&config),
        Err(Wrong::Unread(text)) => Err(text),
        Err(Wrong::Faults(faults)) => {
            Ok(faults.iter().map(|f| (f.origin.clone(), f.to_string(), f.text.clone())).collect())
        }
    };
    match found {
        Err(text) if json => {
            say(&format!("{{\"valid\":false,\"unread\":{}}}", quoted(&text)));
            FAILED
        }
        Err(text) => complain(&text, FAILED),
        Ok(faults) if json => {
            say(&as_json(&faults));
            if faults.is_empty() { 0 } else { USAGE }
        }
        Ok(faults) if faults.is_empty() => say(&format!("{named} is valid")),
        Ok(faults) => {
            let lines: Vec<&str> = faults.iter().map(|(_, line, _)| line.as_str()).collect();
            complain_lines(&lines.join("\n"));
            complain(&format!("{named}: errors: {}", faults.len()), USAGE)
        }
    }
}

/// Where, the whole line, and the text alone.
type Found = (Origin, String, String);

/// What the files say that a configuration names. One that cannot be read is an error of its own.
fn faults_of(config: &Config) -> Result<Vec<Found>, String> {
    let faults = broker::try_files(&config.settings);
    let line = |text: String| (Origin::Default, text.clone(), text);
    Ok(faults.into_iter().map(|e| line(e.to_string())).collect())
}

fn as_json(faults: &[Found]) -> String {
    let rows = faults.iter().map(|(origin, _, text)| match origin {
        Origin::File { path, line, column } => format!(
            "{{\"file\":{},\"line\":{line},\"column\":{column},\"text\":{}}}",
            quoted(path),
            quoted(text)
        ),
        Origin::Default => format!("{{\"text\":{}}}", quoted(text)),
        other => format!("{{\"from\":{},\"text\":{}}}", quoted(&other.to_string()), quoted(text)),
    });
    let rows: Vec<String> = rows.collect();
    format!("{{\"valid\":{},\"errors\":[{}]}}", faults.is_empty(), rows.join(","))
}
