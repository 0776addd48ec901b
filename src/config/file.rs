//! Floor 6. A file of the configuration: TOML in, values with their places out.
//!
//! Everything in it must be a key. What is not is named with its line and column and with what may
//! have been meant: a name like it, the section it stands in, or what is called here what
//! mosquitto calls so. Reading goes on behind a fault. Absent on purpose: reading the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::base::near::near;

use super::keys::{self, Key, Section};
use super::value::{Kind, Value};
use super::{Entry, Fault, Given, Origin, Table};

/// Read a file into what was given before.
pub(super) fn read(path: &Path, text: &str, given: &mut Given, faults: &mut Vec<Fault>) {
    let shown = Arc::from(path.display().to_string());
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut file = File { path: shown, folder, text, given, faults: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in &errors {
        let at = e.span().map_or(0, |span| span.start);
        file.fault(at, e.message().replace('\n', ", "));
    }
    file.section(Section::Root, table.get_ref());
    let mut found = file.faults;
    // What the parser made of a broken line is no key either; it was named once.
    found.sort_by_key(|(at, _)| *at);
    found.dedup_by(|(a, _), (b, _)| line_of(text, *a) == line_of(text, *b) && !errors.is_empty());
    faults.extend(found.into_iter().map(|(_, fault)| fault));
}

/// Line and column, from 1, of the place `at` bytes into `text`.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let column = before.get(line_start..).map_or(0, |s| s.chars().count()) + 1;
    (line_of(text, at), column)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

type Name<'a> = Spanned<DeString<'a>>;
type Item<'a> = Spanned<DeValue<'a>>;

struct File<'a> {
    path: Arc<str>,
    folder: &'a Path,
    text: &'a str,
    given: &'a mut Given,
    faults: Vec<(usize, Fault)>,
}

impl File<'_> {
    fn origin(&self, at: usize) -> Origin {
        let (line, column) = place(self.text, at);
        Origin::File { path: Arc::clone(&self.path), line, column }
    }

    fn fault(&mut self, at: usize, text: String) {
        let origin = self.origin(at);
        self.faults.push((at, Fault { origin, text }));
    }

    /// The keys of a section that does not repeat, and the sections in it.
    fn section(&mut self, section: Section, table: &DeTable<'_>) {
        for (name, item) in table {
            if let Some(inner) = inside(section, name.get_ref()) {
                self.inner(inner, name, item);
            } else if let Some(key) = keys::find(section, name.get_ref()).filter(|key| key.filed) {
                if let Some(entry) = self.entry(&key, item) {
                    self.given.entries.insert((section, key.name), entry);
                }
            } else {
                self.unknown(section, name);
            }
        }
    }

    fn inner(&mut self, section: Section, name: &Name<'_>, item: &Item<'_>) {
        let full = section.name();
        match item.get_ref() {
            DeValue::Table(table) if !section.repeats() => self.section(section, table),
            DeValue::Array(all) if section.repeats() => {
                for one in all {
                    match one.get_ref() {
                        DeValue::Table(table) => self.table(section, one.span().start, table),
                        _ => self.fault(one.span().start, format!("{full:?} is [[{full}]] tables")),
                    }
                }
            }
            _ if section.repeats() => {
                let text = format!("{full:?} is a list of tables: write [[{full}]]");
                self.fault(name.span().start, text);
            }
            _ => self.fault(name.span().start, format!("{full:?} is a section: write [{full}]")),
        }
    }

    /// One table of a section that repeats.
    fn table(&mut self, section: Section, at: usize, table: &DeTable<'_>) {
        let mut entries = BTreeMap::new();
        for (name, item) in table {
            match keys::find(section, name.get_ref()) {
                Some(key) => {
                    if let Some(entry) = self.entry(&key, item) {
                        entries.insert(key.name, entry);
                    }
                }
                None => self.unknown(section, name),
            }
        }
        let origin = self.origin(at);
        self.given.tables.push(Table { section, entries, origin });
    }

    fn entry(&mut self, key: &Key, item: &Item<'_>) -> Option<Entry> {
        let at = item.span().start;
        let value = match key.kind.take(item.get_ref()) {
            Ok(Value::Text(path)) if key.kind == Kind::Path => {
                Value::Text(self.folder.join(path).display().to_string())
            }
            Ok(value) => value,
            Err(why) => {
                self.fault(at, format!("{} {why}", key.full()));
                return None;
            }
        };
        let flaw = bound_flaw(key, &value);
        if let Some(text) = flaw {
            self.fault(at, text);
            return None;
        }
        Some(Entry { value, origin: self.origin(at) })
    }

    fn unknown(&mut self, section: Section, name: &Name<'_>) {
        let text = format!("unknown key {:?}{}", name.get_ref(), hint(section, name.get_ref()));
        self.fault(name.span().start, text);
    }
}

/// What the table of bounds has against a value.
pub(super) fn bound_flaw(key: &Key, value: &Value) -> Option<String> {
    let bounds = key.section == Section::Limits;
    let set = |text: &str| crate::base::limits::Limits::default().set(key.name, text).err();
    bounds.then(|| set(&value.text()))?
}

/// The section of this name in that one.
fn inside(section: Section, name: &str) -> Option<Section> {
    let full = match section {
        Section::Root => name.to_owned(),
        section => format!("{}.{name}", section.name()),
    };
    let mut all = Section::ALL.into_iter().filter(|inner| *inner != Section::Root);
    all.find(|inner| inner.name() == full)
}

/// What may have been meant.
fn hint(section: Section, name: &str) -> String {
    let here: Vec<&str> = keys::of(section).filter(|key| key.filed).map(|key| key.name).collect();
    let within = Section::ALL.into_iter().filter_map(|inner| {
        let full = inner.name();
        let (outer, last) = full.rsplit_once('.').unwrap_or(("", full));
        (outer == section.name() && !last.is_empty()).then_some(last)
    });
    let all = keys::all();
    if let Some(key) = keys::named_elsewhere(name) {
        return format!(", it is {key:?} here, above all sections");
    }
    if section == Section::Root && name == "listen" {
        return ", in a file every listener is a [[listener]] table with a url".into();
    }
    if let Some(key) = all.iter().find(|key| key.mosquitto.contains(&name) && key.name != name) {
        return format!(", what mosquitto calls so is {:?} here", key.full());
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name) {
        return format!(", {instead}");
    }
    if let Some(like) = near(name, here.into_iter().chain(within)) {
        return format!(", did you mean {like:?}?");
    }
    let elsewhere = all.iter().find(|key| key.name == name && key.section != section && key.filed);
    elsewhere.map_or_else(String::new, |key| match key.section {
        Section::Root => format!(", {name:?} stands above all sections"),
        section if section.repeats() => format!(", {name:?} stands in [[{}]]", section.name()),
        section => format!(", {name:?} stands in [{}]", section.name()),
    })
}

/// Keys of mosquitto that are something else here.
const ELSEWHERE: [(&str, &str); 8] = [
    ("password_file", "`spindle import mosquitto` makes a users file of it"),
    ("acl_file", "`spindle import mosquitto` makes a users file of it"),
    ("listener", "write a [[listener]] table"),
    ("include_dir", "conf.d/*.toml beside the file is read anyway"),
    ("require_certificate", "write client_cert = \"required\""),
    ("use_identity_as_username", "write `certificate = true` at the user in the users file"),
    ("persistence", "durability = \"memory\" keeps no journal"),
    ("log_type", "write level = \"info\" in [log]"),
];
