//! Floor 6. Users and rules of mosquitto into a users file.
//!
//! Every user has a group of its own with the same name, which holds the user's rules and the
//! patterns of all. A denial is stronger than a permission there and here. A rule that ours cannot
//! spell is a note and no rule: less is permitted then, never more. If it was a denial, the topic's
//! permissions of that user are left out with it. Absent on purpose: passwords.

use std::collections::{BTreeMap, BTreeSet};

use super::value::quoted;
use crate::access::{Access, Terms};

/// Who there is, by name: a hash, or why there is none.
#[derive(Default)]
pub(super) struct Users {
    known: BTreeMap<String, String>,
}

/// Rules, by user and for all.
#[derive(Default)]
pub(super) struct Acl {
    users: BTreeMap<String, Rules>,
    /// Of clients without a name.
    guests: Rules,
    patterns: Rules,
}

#[derive(Clone, Default)]
struct Rules {
    can: BTreeSet<(&'static str, String)>,
    cannot: BTreeSet<(&'static str, String)>,
    /// A denial could not be spelled: nothing is permitted.
    closed: bool,
}

impl Users {
    /// Take the lines `user:hash` of a password file.
    pub(super) fn passwords(&mut self, path: &str, text: &str, notes: &mut Vec<String>) {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = format!("{path}:{}", n + 1);
            let Some((name, hash)) = line.split_once(':') else {
                notes.push(format!("{at}: it is not user:hash"));
                continue;
            };
            let probe = format!(
                "mode = \"none\"\n[[users]]\nname = {}\npassword_hash = {}\n",
                quoted(name),
                quoted(hash)
            );
            match Access::new(&probe, [0; 2], Terms::default()) {
                Ok(_) => {
                    self.known.insert(name.to_owned(), hash.to_owned());
                }
                Err(_) if hash.starts_with("$argon2") => notes.push(format!(
                    "{at}: user {name} has an argon2 hash, which is not known here: set the \
                     password again (spindle hash)"
                )),
                Err(_) => notes.push(format!("{at}: the hash of user {name} is not known here")),
            }
        }
    }

    /// The users file; with `guests` whoever names no user comes in as well.
    pub(super) fn file(&self, acl: Option<&Acl>, guests: bool, notes: &mut Vec<String>) -> String {
        let mut out = String::from("# Users and rules brought along from mosquitto.\n");
        let name = self.name_of_guests();
        let welcome = if guests { format!("guests = {}\n", quoted(&name)) } else { String::new() };
        let Some(acl) = acl else {
            // Rules are not asked, but then there must be somebody: nobody at all is everybody.
            let mode = if self.known.is_empty() { "dynamic" } else { "none" };
            out += &format!("mode = {}\n{welcome}", quoted(mode));
            if guests && self.known.is_empty() {
                out += &format!("\n[groups.{}]\ntype = \"exclusive\"\n", quoted(&name));
            }
            for (name, hash) in &self.known {
                out += &user(name, hash, None);
            }
            return out;
        };
        notes.push(
            "acl_file: a subscription must be covered by what may be read; mosquitto accepts any, \
             and delivers what may be read"
                .into(),
        );
        for name in acl.users.keys().filter(|name| !self.known.contains_key(*name)) {
            notes.push(format!("acl_file: user {name} has rules and no password that is known"));
        }
        if acl.users.values().any(|own| !own.can.is_empty()) && !acl.patterns.cannot.is_empty() {
            notes.push(
                "acl_file: `pattern deny` is stronger than everything here; mosquitto asks a \
                 user's own topics first"
                    .into(),
            );
        }
        out += if self.known.is_empty() { "mode = \"dynamic\"\n" } else { "mode = \"strict\"\n" };
        out += &welcome;
        if guests {
            out += &group(&name, &acl.guests, &acl.patterns.without_users());
        }
        for name in self.known.keys() {
            let own = acl.users.get(name).cloned().unwrap_or_default();
            out += &group(name, &own, &acl.patterns);
        }
        for (name, hash) in &self.known {
            out += &user(name, hash, Some(name));
        }
        out
    }
}

impl Users {
    /// A name for their group that no user's group has.
    fn name_of_guests(&self) -> String {
        let mut name = "guests".to_owned();
        while self.known.contains_key(&name) {
            name.push('_');
        }
        name
    }
}

fn user(name: &str, hash: &str, group: Option<&str>) -> String {
    let group = group.map_or_else(String::new, |group| format!("group = {}\n", quoted(group)));
    format!("\n[[users]]\nname = {}\n{group}password_hash = {}\n", quoted(name), quoted(hash))
}

fn group(name: &str, own: &Rules, patterns: &Rules) -> String {
    let mut lines = Vec::new();
    let cannot: BTreeSet<_> = own.cannot.union(&patterns.cannot).collect();
    let can: BTreeSet<_> = own.can.union(&patterns.can).collect();
    if !own.closed && !patterns.closed {
        let stands = can.into_iter().filter(|rule| !cannot.contains(rule));
        lines.extend(stands.map(|(action, filter)| format!("can {action} {filter}")));
    }
    lines.extend(cannot.iter().map(|(action, filter)| format!("cannot {action} {filter}")));
    let lines: Vec<String> = lines.iter().map(|line| format!("  {},\n", quoted(line))).collect();
    format!("\n[groups.{}]\ntype = \"inclusive\"\nrules = [\n{}]\n", quoted(name), lines.concat())
}

impl Acl {
    /// Take the lines of an ACL file.
    pub(super) fn parse(path: &str, text: &str, notes: &mut Vec<String>) -> Self {
        let mut acl = Self::default();
        let mut user: Option<String> = None;
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = format!("{path}:{}", n + 1);
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            let rules = match (word, &user) {
                ("user", _) => {
                    acl.users.entry(rest.to_owned()).or_default();
                    user = Some(rest.to_owned());
                    continue;
                }
                ("pattern", _) => &mut acl.patterns,
                ("topic", Some(user)) => acl.users.entry(user.clone()).or_default(),
                ("topic", None) => &mut acl.guests,
                _ => {
                    notes.push(format!("{at}: it is no rule"));
                    continue;
                }
            };
            rules.take(&at, word == "pattern", rest, notes);
        }
        acl
    }
}

impl Rules {
    /// Those that do not ask for the name of a user.
    fn without_users(&self) -> Self {
        let anybodys = |rules: &BTreeSet<(&'static str, String)>| {
            let named = |filter: &str| filter.split('/').any(|level| level == "%u");
            rules.iter().filter(|(_, filter)| !named(filter)).cloned().collect()
        };
        Self { can: anybodys(&self.can), cannot: anybodys(&self.cannot), closed: self.closed }
    }

    fn take(&mut self, at: &str, pattern: bool, rest: &str, notes: &mut Vec<String>) {
        let (access, filter) = match rest.split_once(char::is_whitespace) {
            Some((word @ ("read" | "write" | "readwrite" | "deny"), filter)) => {
                (word, filter.trim())
            }
            _ => ("readwrite", rest),
        };
        if let Some(why) = unspellable(filter, pattern) {
            notes.push(format!("{at}: {filter} {why}"));
            if access == "deny" {
                notes.push(format!("{at}: since it is a denial, nothing is permitted instead"));
                self.closed = true;
            }
            return;
        }
        let actions: &[&'static str] = match access {
            "read" => &["subscribe"],
            "write" => &["publish"],
            _ => &["publish", "subscribe"],
        };
        let to = if access == "deny" { &mut self.cannot } else { &mut self.can };
        to.extend(actions.iter().map(|action| (*action, filter.to_owned())));
    }
}

/// Why a filter cannot stand in a rule of ours with the same meaning.
fn unspellable(filter: &str, pattern: bool) -> Option<String> {
    if filter.contains('*') {
        return Some("has a star in it, which is a wildcard here".into());
    }
    if !pattern && (filter.contains("%u") || filter.contains("%c")) {
        return Some("has %u or %c in it, which stand for names here".into());
    }
    let rule = quoted(&format!("can publish {filter}"));
    let probe = format!("mode = \"dynamic\"\n[groups.g]\nrules = [{rule}]\n");
    let note = Access::new(&probe, [0; 2], Terms::default()).err()?;
    Some(format!("cannot be a rule: {}", note.text))
}
