//! Floor 6. What the table of keys is turned into: views of a configuration, a template, a schema,
//! a list of variables, and a chapter of the manual.
//!
//! Everything here is made of the same rows, and nothing shows a secret. Absent on purpose: the
//! help of `serve`, which is made where flags are read (`cli/flags.rs`).

use super::keys::{self, Key, Section};
use super::value::{Kind, quoted};
use super::{Config, Origin, Table};

/// A key with its value, as it may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its section.
    pub section: Section,
    /// Its name with its section.
    pub key: String,
    /// The value as a file would have it; stars for a secret.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// A reload takes it over.
    pub live: bool,
}

pub(super) fn is_secret(section: Section, name: &str) -> bool {
    keys::find(section, name).is_some_and(|key| key.kind == Kind::Secret)
}

fn shown(section: Section, name: &str, text: String) -> String {
    if is_secret(section, name) { quoted("***") } else { text }
}

impl Config {
    /// Every key that does not repeat and has a value.
    #[must_use]
    pub fn rows(&self) -> Vec<Shown> {
        let keys = keys::all().into_iter().filter(|key| !key.section.repeats() && key.filed);
        let rows = keys.filter_map(|key| {
            let entry = self.entry(&key)?;
            let value = shown(key.section, key.name, entry.value.toml());
            let (section, live, origin) = (key.section, key.live, entry.origin);
            Some(Shown { section, key: key.full(), value, origin, live })
        });
        rows.collect()
    }

    /// As a file: what was given, or everything in force; with where each value comes from.
    #[must_use]
    pub fn toml(&self, effective: bool, origin: bool) -> String {
        let mut out = String::new();
        let note = |from: &Origin| if origin { format!("  # {from}") } else { String::new() };
        let rows = self.rows();
        for section in Section::ALL {
            if section.repeats() {
                for table in self.shown_tables(section, effective) {
                    out += &format!("\n[[{}]]\n", section.name());
                    for (name, entry) in &table.entries {
                        let value = shown(section, name, entry.value.toml());
                        out += &format!("{name} = {value}{}\n", note(&entry.origin));
                    }
                }
                continue;
            }
            let wanted = |row: &&Shown| {
                row.section == section && (effective || row.origin != Origin::Default)
            };
            let mut head = section != Section::Root;
            for row in rows.iter().filter(wanted) {
                if std::mem::take(&mut head) {
                    out += &format!("\n[{}]\n", section.name());
                }
                let name = row.key.rsplit('.').next().unwrap_or(&row.key);
                out += &format!("{name} = {}{}\n", row.value, note(&row.origin));
            }
        }
        out.trim_start_matches('\n').to_owned()
    }

    /// As JSON: a list of keys with value, origin, and whether a reload takes them over.
    #[must_use]
    pub fn json(&self, effective: bool) -> String {
        let mut rows = Vec::new();
        let mut row = |key: &str, value: &str, origin: &Origin, live: bool| {
            rows.push(format!(
                "{{\"key\":{},\"value\":{value},\"origin\":{},\"reloadable\":{live}}}",
                quoted(key),
                quoted(&origin.to_string())
            ));
        };
        for one in self.rows() {
            if effective || one.origin != Origin::Default {
                row(&one.key, &one.value, &one.origin, one.live);
            }
        }
        for section in Section::ALL.into_iter().filter(|section| section.repeats()) {
            for (n, table) in self.shown_tables(section, effective).iter().enumerate() {
                for (name, entry) in &table.entries {
                    let value = shown(section, name, entry.value.json());
                    let live = keys::find(section, name).is_none_or(|key| key.live);
                    let key = format!("{}[{n}].{name}", section.name());
                    row(&key, &value, &entry.origin, live);
                }
            }
        }
        format!("[{}]", rows.join(",\n "))
    }

    /// The tables of a section; the listeners there are by default, when none were given.
    fn shown_tables(&self, section: Section, effective: bool) -> Vec<Table> {
        let given: Vec<Table> = self.tables(section).cloned().collect();
        if section != Section::Listener || !given.is_empty() || !effective {
            return given;
        }
        let table = |url: &str| {
            let value = super::Value::Text(url.to_owned());
            let entry = super::Entry { value, origin: Origin::Default };
            Table { section, entries: [("url", entry)].into(), origin: Origin::Default }
        };
        self.settings.listeners.iter().map(|listener| table(&listener.url)).collect()
    }
}

/// A file with every key in it, commented out, each with its reason and its default.
#[must_use]
pub fn template() -> String {
    let mut out = String::from(
        "# spindle: every key there is, with its default. What begins with `# ` is explained,\n\
         # what begins with `#` alone can be taken as it is by removing that sign.\n\
         # `spindle check -c FILE` says what is wrong with a file.\n",
    );
    for section in Section::ALL {
        let name = section.name();
        match (section, section.repeats()) {
            (Section::Root, _) => {}
            (_, true) => out += &format!("\n{}\n#[[{name}]]\n", comment(section.doc())),
            (_, false) => out += &format!("\n{}\n#[{name}]\n", comment(section.doc())),
        }
        for key in keys::of(section).filter(|key| key.filed) {
            out += &format!("\n{}\n", comment(key.doc));
            if !key.live {
                out += "# Needs a restart.\n";
            }
            out += &format!("#{} = {}\n", key.name, default_of(&key));
        }
    }
    out
}

/// A value for the template: the default, or something of the kind.
fn default_of(key: &Key) -> String {
    if let Some(value) = key.default_value() {
        return value.toml();
    }
    match key.kind {
        Kind::Flag => "false".into(),
        Kind::Number => "0".into(),
        Kind::Texts => "[]".into(),
        Kind::Word(words) => quoted(words.first().unwrap_or(&"")),
        Kind::Text | Kind::Path | Kind::Secret => quoted(""),
    }
}

/// A text as lines of a comment.
fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let wide = lines.last().is_some_and(|line| line.len() + word.len() > 78);
        if wide {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// The schema of files, for editors (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> String {
    let root = object(Section::Root, "  ");
    format!(
        "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \
         \"title\": \"spindle\",\n{root}\n}}\n"
    )
}

/// The inner of an object for a section and those in it.
fn object(section: Section, indent: &str) -> String {
    let deep = format!("{indent}    ");
    let mut fields = Vec::new();
    for key in keys::of(section).filter(|key| key.filed) {
        let mut field =
            vec![kind_schema(key.kind), format!("\"description\": {}", quoted(key.doc))];
        if let Some(value) = key.default_value() {
            field.push(format!("\"default\": {}", value.json()));
        }
        fields.push(format!("{deep}{}: {{{}}}", quoted(key.name), field.join(", ")));
    }
    for inner in Section::ALL.into_iter().filter(|inner| *inner != section) {
        let full = inner.name();
        let (outer, name) = full.rsplit_once('.').unwrap_or(("", full));
        if outer != section.name() || name.is_empty() {
            continue;
        }
        let within = object(inner, &format!("{deep}  "));
        let said = format!("\"description\": {}", quoted(inner.doc()));
        fields.push(match inner.repeats() {
            true => format!(
                "{deep}{}: {{{said}, \"type\": \"array\", \"items\": {{\n{within}\n{deep}}}}}",
                quoted(name)
            ),
            false => format!("{deep}{}: {{{said},\n{within}\n{deep}}}", quoted(name)),
        });
    }
    format!(
        "{indent}\"type\": \"object\",\n{indent}\"additionalProperties\": false,\n\
         {indent}\"properties\": {{\n{}\n{indent}}}",
        fields.join(",\n")
    )
}

fn kind_schema(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Path | Kind::Secret => "\"type\": \"string\"".into(),
        Kind::Flag => "\"type\": \"boolean\"".into(),
        Kind::Number => "\"type\": \"integer\", \"minimum\": 0".into(),
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("\"enum\": [{}]", words.join(", "))
        }
        Kind::Texts => "\"type\": \"array\", \"items\": {\"type\": \"string\"}".into(),
    }
}

/// Every variable of the environment, one a line, with what it is for.
pub fn variables() -> impl Iterator<Item = Variable> {
    let variable = |key: Key| {
        let default = key.default_value().map(|value| value.text()).unwrap_or_default();
        Some(Variable { name: key.env()?, default, doc: key.doc })
    };
    keys::all().into_iter().filter_map(variable)
}

/// A variable of the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// What it is called.
    pub name: String,
    /// What it stands for when it is not set.
    pub default: String,
    /// What it is for.
    pub doc: &'static str,
}

/// The chapter of the manual that lists every key.
#[must_use]
pub fn chapter() -> String {
    let mut out = String::from(CHAPTER);
    for section in Section::ALL {
        out += &match (section, section.repeats()) {
            (Section::Root, _) => "\n## Above all sections\n\n".to_owned(),
            (_, true) => format!("\n## `[[{}]]`\n\n{}\n\n", section.name(), section.doc()),
            (_, false) => format!("\n## `[{}]`\n\n{}\n\n", section.name(), section.doc()),
        };
        out += "| key | value | default | what it is for |\n|---|---|---|---|\n";
        for key in keys::of(section) {
            let default =
                key.default_value().map_or_else(String::new, |v| format!("`{}`", v.toml()));
            let mut doc = key.doc.replace('|', "\\|");
            if !key.filed {
                doc += " Not in files.";
            }
            if !key.live {
                doc += " *Needs a restart.*";
            }
            if !key.flag.is_empty() {
                doc += &format!(" Flag `--{}`.", key.flag);
            }
            let theirs = key.mosquitto.iter().filter(|name| **name != key.name);
            let theirs: Vec<String> = theirs.map(|name| format!("`{name}`")).collect();
            if !theirs.is_empty() {
                doc += &format!(" mosquitto: {}.", theirs.join(", "));
            }
            let kind = match key.kind {
                Kind::Word(words) => words.join(", "),
                kind => kind.words(),
            };
            out += &format!("| `{}` | {kind} | {default} | {doc} |\n", key.name);
        }
    }
    out
}

const CHAPTER: &str = include_str!("chapter_head.md");
