//! Floor 6. What is another in one configuration than in the other, in lines for people.
//!
//! Tables are known by their URL or name, so an added listener is one line and not a shift of all.
//! Absent on purpose: what is done about it; a line only says whether a restart is needed.

use std::collections::BTreeMap;

use super::keys::Section;
use super::{Config, Origin, Table};

/// Something that is another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What, in a line.
    pub text: String,
    /// A reload takes it over.
    pub live: bool,
}

/// Every difference, in the order of the keys.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut all = Vec::new();
    let (before, after) = (flat(old), flat(new));
    for (place, (_, _, live)) in &before {
        if !after.contains_key(place) {
            all.push(Change { text: format!("{} is gone", place.1), live: *live });
        }
    }
    for (place, (is, origin, live)) in &after {
        let text = match before.get(place) {
            Some((was, _, _)) if was == is => continue,
            Some((was, _, _)) => {
                let word =
                    |text: &str| if text.is_empty() { "nothing more" } else { text }.to_owned();
                format!("{}: {} becomes {} ({origin})", place.1, word(was), word(is))
            }
            None if is.is_empty() => format!("{} is new ({origin})", place.1),
            None => format!("{}: {is} is new ({origin})", place.1),
        };
        let note = if *live { "" } else { ", needs a restart" };
        all.push(Change { text: text + note, live: *live });
    }
    all
}

type Flat = BTreeMap<(Section, String), (String, Origin, bool)>;

/// Every value by a name of its own. What is secret is known to be another by its digest only.
fn flat(config: &Config) -> Flat {
    let mut all = Flat::new();
    for shown in config.rows() {
        let live = shown.live;
        all.insert((shown.section, shown.key), (shown.value, shown.origin, live));
    }
    for section in Section::ALL.into_iter().filter(|section| section.repeats()) {
        for table in config.tables(section) {
            let name = format!("{} {}", section.name(), name_of(table));
            all.insert((section, name), (words(table), table.origin.clone(), true));
        }
    }
    all
}

fn name_of(table: &Table) -> String {
    let text = |name: &str| table.entries.get(name).map(|entry| entry.value.text());
    let made = || {
        let protocol = text("protocol")?;
        let host = text("host").unwrap_or_else(|| "127.0.0.1".into());
        Some(format!("{protocol}://{host}:{}", text("port").unwrap_or_default()))
    };
    text("url").or_else(|| text("name")).or_else(made).unwrap_or_default()
}

/// What a table says besides its name.
fn words(table: &Table) -> String {
    let named = ["url", "name", "protocol", "host", "port"];
    let said = table.entries.iter().filter(|(name, _)| !named.contains(name));
    let words: Vec<String> = said
        .map(|(name, entry)| match super::show::is_secret(table.section, name) {
            true => format!("{name} #{:08x}", tag(&entry.value.text())),
            false => format!("{name} {}", entry.value.toml()),
        })
        .collect();
    words.join(", ")
}

/// Tells texts apart and tells nothing of them.
fn tag(text: &str) -> u32 {
    crc32c::crc32c(text.as_bytes())
}
