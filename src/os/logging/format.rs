//! Floor 5. How a line of the log looks: as text, as JSON, or for the journal of systemd.
//!
//! All three have the same words and keys. One line is one event whatever is in it: control
//! characters, line ends, and what turns the direction of writing are escaped here, for everybody,
//! and a line is cut where it gets too long. Absent on purpose: where lines go.

use std::borrow::Cow;
use std::fmt::{self, Write};

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Record};

use crate::base::calendar::rfc3339;
use crate::base::json;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// Time, level, target, text and `key=value`.
    #[default]
    Text,
    /// An object in each line.
    Json,
    /// As text without the time and with the level as a number, which the journal reads.
    Journald,
}

/// A line, with its end.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) line: String,
    pub(super) level: Level,
    /// When, in milliseconds since 1970.
    pub(super) wall: u64,
}

/// The line.
pub(super) fn line(form: Form, wall: u64, record: &Record<'_>) -> Made {
    let mut line = String::with_capacity(160);
    // Nothing here fails: memory takes everything.
    let _ = match form {
        Form::Json => object(wall, record, &mut line),
        Form::Text => text(Some(wall), record, &mut line),
        Form::Journald => text(None, record, &mut line),
    };
    line.push('\n');
    Made { line, level: record.level(), wall }
}

/// Target and text of a line that was made in this form. For the thread that writes: a line of JSON
/// is read for it, so that whoever says something makes it only once.
pub(super) fn told(form: Form, line: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let line = line.trim_end_matches('\n');
    let body = match form {
        // Behind the time and five letters of the level.
        Form::Text => line.split_once(' ')?.1.get(6..)?,
        Form::Journald => line.split_once('>')?.1,
        Form::Json => return told_json(line),
    };
    let (target, text) = body.split_once(' ')?;
    Some((target.into(), text.into()))
}

fn told_json(line: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let json::Value::Object(members) = json::Value::parse(line.as_bytes(), 2, 1_000).ok()? else {
        return None;
    };
    let (mut target, mut text) = (String::new(), String::new());
    for (name, value) in &members {
        let shown = match value {
            json::Value::Text(text) => text.clone(),
            json::Value::Number(n) => n.to_string(),
            json::Value::Bool(truth) => truth.to_string(),
            json::Value::Null | json::Value::List(_) | json::Value::Object(_) => continue,
        };
        // Nothing here fails: memory takes everything.
        let _ = match name.as_str() {
            "time" | "level" => Ok(()),
            "target" => {
                target = shown;
                Ok(())
            }
            "message" => write!(Cut { line: &mut text, until: TEXT_MAX, tame: true }, "{shown}"),
            _ => pair(name, &shown, &mut text),
        };
    }
    Some((target.into(), text.into()))
}

/// A key and its value, as text has them.
fn pair(key: &str, shown: &str, line: &mut String) -> fmt::Result {
    write!(line, " {key}=")?;
    let bare = !shown.is_empty() && shown.bytes().all(is_bare);
    if bare {
        line.push_str(shown);
        return Ok(());
    }
    quoted(shown, line)
}

fn text(wall: Option<u64>, record: &Record<'_>, line: &mut String) -> fmt::Result {
    match wall {
        Some(wall) => write!(line, "{} {:5} ", rfc3339(wall), record.level())?,
        None => write!(line, "<{}>", priority(record.level()))?,
    }
    write!(line, "{} ", record.target())?;
    let from = line.len();
    write!(Cut { line, until: from + TEXT_MAX, tame: true }, "{}", record.args())?;
    let _ = record.key_values().visit(&mut Pairs { line, json: false });
    Ok(())
}

fn object(wall: u64, record: &Record<'_>, line: &mut String) -> fmt::Result {
    let level = record.level().as_str().to_ascii_lowercase();
    write!(line, "{{\"time\":\"{}\",\"level\":\"{level}\",\"target\":", rfc3339(wall))?;
    quoted(record.target(), line)?;
    line.push_str(",\"message\":");
    quoted(&cut(record.args()), line)?;
    let _ = record.key_values().visit(&mut Pairs { line, json: true });
    line.push('}');
    Ok(())
}

/// As `syslog` counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Writes key and value of each pair.
struct Pairs<'a> {
    line: &'a mut String,
    json: bool,
}

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let shown = cut(&value);
        let number = value.to_u64().is_some() || value.to_i64().is_some();
        let plain = number || value.to_bool().is_some();
        if self.json {
            self.line.push(',');
            quoted(key.as_str(), self.line)?;
            self.line.push(':');
            if plain { self.line.push_str(&shown) } else { quoted(&shown, self.line)? }
        } else {
            pair(key.as_str(), &shown, self.line)?;
        }
        Ok(())
    }
}

/// Needs no quotes as a value.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/[]+*#$@%,~".contains(&byte)
}

/// A JSON string; nothing in it does anything to a terminal.
fn quoted(text: &str, into: &mut String) -> fmt::Result {
    into.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                into.push('\\');
                into.push(c);
            }
            '\n' => into.push_str("\\n"),
            // All of these are below 0x10000.
            c if is_wild(c) => write!(into, "\\u{:04x}", c as u32)?,
            c => into.push(c),
        }
    }
    into.push('"');
    Ok(())
}

/// As it is shown, but not longer than a line may be.
fn cut(text: &dyn fmt::Display) -> String {
    let mut line = String::new();
    // Nothing here fails: memory takes everything.
    let _ = write!(Cut { line: &mut line, until: TEXT_MAX, tame: false }, "{text}");
    line
}

/// Takes text as far as there is room.
struct Cut<'a> {
    line: &'a mut String,
    until: usize,
    /// What is no part of a line is escaped.
    tame: bool,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.line.len() >= self.until {
                if !self.line.ends_with("...") {
                    self.line.push_str("...");
                }
                return Ok(());
            }
            match self.tame && is_wild(c) {
                true => write!(self.line, "{}", c.escape_default())?,
                false => self.line.push(c),
            }
        }
        Ok(())
    }
}

/// Would do something to a terminal, or make a line look like another one.
fn is_wild(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that somebody else made, as a value: cut, and escaped together with its quotes.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a>(pub &'a [u8]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN_MAX;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                let Some(rest) = left.checked_sub(c.len_utf8()) else {
                    return f.write_str("...");
                };
                left = rest;
                f.write_char(c)?;
            }
            for byte in chunk.invalid() {
                let Some(rest) = left.checked_sub(4) else { return f.write_str("...") };
                left = rest;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The same within a text: escaped, and cut.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN_MAX;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                let tame = !is_wild(c) && !matches!(c, '\'' | '"' | '\\');
                let len = if tame { c.len_utf8() } else { 8 };
                if len > left {
                    return f.write_str("...");
                }
                left -= len;
                if tame { f.write_char(c)? } else { write!(f, "{}", c.escape_default())? }
            }
            for byte in chunk.invalid() {
                if left < 4 {
                    return f.write_str("...");
                }
                left -= 4;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Bytes of a text or a value in a line.
const TEXT_MAX: usize = 4_096;
/// Bytes shown of a text that somebody else made.
const SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_forged_and_none_is_long() {
        let shown = |text: &[u8]| Plain(text).to_string();
        assert_eq!(shown(b"sensor-1"), "sensor-1");
        assert_eq!(shown("bl\u{fc}te".as_bytes()), "bl\u{fc}te");
        assert_eq!(shown(b"a\nb' \\ \xff\x1b[31m"), "a\\nb\\' \\\\ \\xff\\u{1b}[31m");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        let long = shown(&[b'x'; 500]);
        assert_eq!((long.len(), long.ends_with("x...")), (203, true));
        assert!(shown(&[0xff; 500]).len() <= 203);
        assert!(shown(&[b'\n'; 500]).len() <= 203);
    }
}
