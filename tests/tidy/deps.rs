//! What the crate depends on: licences, places and names, by the list that `cargo deny` reads.
//!
//! That tool knows more (advisories, the texts of licences) and wants a network and to be
//! installed; this needs what every build needs. Absent on purpose: what is wrong with a version.

use super::tree::{Violation, violation};
use serde_json::Value;

const LIST: &str = "deny.toml";

/// What `cargo metadata` says, held against the list.
pub(crate) fn deps(metadata: &Value, list: &toml::Table) -> Vec<Violation> {
    let names = |room: &str, key: &str| -> Vec<String> {
        let all = list.get(room).and_then(|room| room.get(key)).and_then(|all| all.as_array());
        let name = |it: &toml::Value| {
            let name = it.get("crate").unwrap_or(it);
            name.as_str().map(str::to_owned)
        };
        all.into_iter().flatten().filter_map(name).collect()
    };
    let (allowed, denied) = (names("licenses", "allow"), names("bans", "deny"));
    let mut found = Vec::new();
    let mut wrong = |text: String| found.push(violation(LIST, 1, text));
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_granted(licence, &allowed) {
            wrong(format!("{name} comes under {licence:?}, which is not allowed"));
        }
        if denied.iter().any(|denied| denied == name) {
            wrong(format!("{name} is not wanted"));
        }
        // What comes from nowhere is this package.
        let from = package["source"].as_str().unwrap_or("registry+");
        if !from.starts_with("registry+") && !from.starts_with("sparse+") {
            wrong(format!("{name} comes from {from}"));
        }
    }
    found
}

/// Whether terms can be chosen that are all allowed; a slash is an old way to say OR.
fn is_granted(licence: &str, allowed: &[String]) -> bool {
    let apart = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = apart.split_whitespace().peekable();
    let granted = any(&mut words, allowed, 0);
    granted == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &[String], depth: u8) -> Option<bool> {
    let mut granted = all(words, allowed, depth)?;
    while words.next_if_eq(&"OR").is_some() {
        granted |= all(words, allowed, depth)?;
    }
    Some(granted)
}

fn all(words: &mut Words<'_>, allowed: &[String], depth: u8) -> Option<bool> {
    let mut granted = one(words, allowed, depth)?;
    while words.next_if_eq(&"AND").is_some() {
        granted &= one(words, allowed, depth)?;
    }
    Some(granted)
}

fn one(words: &mut Words<'_>, allowed: &[String], depth: u8) -> Option<bool> {
    let word = words.next()?;
    if word != "(" {
        return Some(allowed.iter().any(|allowed| allowed == word));
    }
    let inner = if depth < 8 { any(words, allowed, depth + 1) } else { None };
    (words.next()? == ")").then_some(inner?)
}
