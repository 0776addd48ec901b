//! Floor 6. Who comes in to a node of crossbar, and what its roles may: into a users file.
//!
//! Every role is a group of the same name. A user who is known by several methods is one user when
//! they agree. Somebody who names nobody comes in as a guest only if every transport lets such in,
//! with one role: a door that is open on one side must not open the others. Absent on purpose:
//! whatever asks a procedure, a function or a database who somebody is.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::{Access, Terms};
use crate::base::json::Value;
use crate::base::{base64, hex};

use super::nexus::{fields, items};
use super::value::quoted;

/// Where, and what is to be said about it.
type Notes = Vec<(String, String)>;

/// What roles may, by realm.
#[derive(Default)]
pub(super) struct Roles(Vec<BTreeMap<String, BTreeSet<String>>>);

/// Who comes in.
#[derive(Default)]
pub(super) struct Users {
    all: BTreeMap<String, User>,
    /// For each transport the role of who names nobody, if such come in there.
    guests: BTreeSet<Option<String>>,
    /// For each transport the names of those who come in there.
    doors: BTreeSet<BTreeSet<String>>,
}

#[derive(Clone, Default)]
struct User {
    role: String,
    secret: Option<String>,
    lines: BTreeMap<&'static str, String>,
    keys: BTreeSet<String>,
}

impl Roles {
    /// Those of one realm.
    pub(super) fn add(&mut self, roles: BTreeMap<String, BTreeSet<String>>) {
        self.0.push(roles);
    }

    /// Of each role what it may in every realm. Where a realm does not have it, it may nothing
    /// there, and a user here is the same in all of them.
    pub(super) fn common(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut common: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, rules) in self.0.iter().flatten() {
            let found = common.entry(name.clone()).or_insert_with(|| rules.clone());
            *found = found.intersection(rules).cloned().collect();
        }
        for (name, rules) in &mut common {
            if !self.0.iter().all(|realm| realm.contains_key(name)) {
                rules.clear();
            }
        }
        common
    }
}

fn text_at<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.at(name).and_then(Value::text).filter(|text| !text.is_empty())
}

impl Users {
    /// What a transport says about who comes in.
    pub(super) fn transport(&mut self, at: &str, auth: Option<&Value>) -> Notes {
        let mut notes = Notes::new();
        let Some(auth) = auth else {
            // Without a word everybody is anonymous.
            self.guests.insert(Some("anonymous".into()));
            self.doors.insert(BTreeSet::new());
            return notes;
        };
        let mut guest = None;
        let mut here = BTreeSet::new();
        for (method, of) in fields(auth) {
            let at = format!("{at}.{method}");
            let kind = text_at(of, "type").unwrap_or("static");
            if kind != "static" {
                let text = format!("who comes in is decided elsewhere ({kind}): NOBODY DOES HERE");
                notes.push((at, text));
                continue;
            }
            let principals = of.at("principals").or_else(|| of.at("users"));
            let principals = principals.map(fields).unwrap_or_default();
            match method.as_str() {
                "anonymous" => guest = text_at(of, "role").map(str::to_owned),
                "ticket" | "wampcra" | "scram" | "cryptosign" => {
                    for (name, it) in principals {
                        let at = format!("{at}.{name}");
                        here.insert(name.clone());
                        if let Err(text) = self.user(&method, &name, it) {
                            notes.push((at, text));
                        }
                    }
                }
                "cookie" => notes.push((at, "no cookies are set".into())),
                _ => notes.push((at, "nothing like it is known here".into())),
            }
        }
        self.guests.insert(guest);
        self.doors.insert(here);
        notes
    }

    fn user(&mut self, method: &str, name: &str, it: &Value) -> Result<(), String> {
        let role = text_at(it, "role").ok_or("it has no role")?.to_owned();
        let known = self.all.get(name).cloned();
        let mut user = known.unwrap_or_else(|| User { role: role.clone(), ..User::default() });
        if user.role != role {
            return Err(format!("it has the role {} already; this is left out", user.role));
        }
        match method {
            "ticket" => user.has(text_at(it, "ticket").ok_or("it has no ticket")?)?,
            "wampcra" => match derived(it) {
                Some(line) => drop(user.lines.insert("wampcra", line)),
                None => user.has(text_at(it, "secret").ok_or("it has no secret")?)?,
            },
            "scram" => {
                let line = scram(it).ok_or("only keys by argon2id-13 can be brought along")?;
                user.lines.insert("scram_argon2id", line);
            }
            _ => {
                let keys = items(it.at("authorized_keys")).iter().filter_map(Value::text);
                user.keys.extend(keys.map(str::to_ascii_lowercase));
                if user.keys.is_empty() {
                    return Err("it has no keys".into());
                }
            }
        }
        let probe = format!("mode = \"none\"\n{}", user.table(name, None));
        if Access::new(&probe, [0; 2], Terms::default()).is_err() {
            // What is wrong with it may be a secret.
            return Err("what it proves itself by cannot be taken over".into());
        }
        self.all.insert(name.to_owned(), user);
        Ok(())
    }

    /// The users file, and what is to be said about it.
    pub(super) fn file(&self, roles: &BTreeMap<String, BTreeSet<String>>) -> (String, Notes) {
        let mut notes = Notes::new();
        let guest = self.guest(roles, &mut notes);
        if self.doors.len() > 1 {
            let text = "users come in at every listener here, not only where they are named";
            notes.push(("auth".into(), text.into()));
        }
        let mut out = String::from("# Users and rules brought along from crossbar.\n");
        // With nobody in it there would be nobody to refuse: then rules are all there is.
        out += if self.all.is_empty() { "mode = \"dynamic\"\n" } else { "mode = \"strict\"\n" };
        if let Some(guest) = &guest {
            out += &format!("guests = {}\n", quoted(guest));
        }
        let used = self.all.values().map(|user| &user.role).chain(&guest);
        let used: BTreeSet<&String> = used.collect();
        for role in &used {
            let rules = roles.get(*role);
            if rules.is_none() {
                let text = format!("no realm has the role {role}: it may nothing");
                notes.push(("auth".into(), text));
            }
            let rules = rules.into_iter().flatten();
            let lines: Vec<String> = rules.map(|rule| format!("  {},\n", quoted(rule))).collect();
            let (name, lines) = (quoted(role), lines.concat());
            out += &format!("\n[groups.{name}]\ntype = \"inclusive\"\nrules = [\n{lines}]\n");
        }
        for role in roles.keys().filter(|role| !used.contains(role)) {
            notes.push(("realms".into(), format!("nobody has the role {role}; it is left out")));
        }
        for (name, user) in &self.all {
            out += &user.table(name, Some(&user.role));
        }
        (out, notes)
    }

    /// The role of who names nobody.
    fn guest(
        &self,
        roles: &BTreeMap<String, BTreeSet<String>>,
        notes: &mut Notes,
    ) -> Option<String> {
        let mut all = self.guests.iter();
        match (all.next(), all.next()) {
            (None, _) | (Some(None), None) => None,
            // Nobody comes in with a role that no realm has.
            (Some(Some(role)), None) => roles.contains_key(role).then(|| role.clone()),
            _ => {
                let text = "only some transports let in who names nobody, or not with one role: \
                            here nobody does (`guests` in the users file is for all)";
                notes.push(("auth.anonymous".into(), text.into()));
                None
            }
        }
    }
}

impl User {
    /// It shows this secret, and no other.
    fn has(&mut self, secret: &str) -> Result<(), String> {
        if self.secret.as_ref().is_some_and(|own| own != secret) {
            return Err("it has another secret already; this one is left out".into());
        }
        self.secret = Some(secret.to_owned());
        Ok(())
    }

    fn table(&self, name: &str, group: Option<&str>) -> String {
        let mut out = format!("\n[[users]]\nname = {}\n", quoted(name));
        let mut put = |key: &str, value: &str| out += &format!("{key} = {}\n", quoted(value));
        if let Some(group) = group {
            put("group", group);
        }
        if let Some(secret) = &self.secret {
            put("shared_secret", secret);
        }
        for (key, line) in &self.lines {
            put(key, line);
        }
        if !self.keys.is_empty() {
            let keys: Vec<String> = self.keys.iter().map(|key| quoted(key)).collect();
            out += &format!("cryptosign = [{}]\n", keys.join(", "));
        }
        out
    }
}

/// A salted secret that is the derived key, as older configurations have it; newer ones have the
/// password in its place, which cannot be told but by its length.
fn derived(it: &Value) -> Option<String> {
    let (secret, salt) = (text_at(it, "secret")?, text_at(it, "salt")?);
    let rounds = it.at("iterations").and_then(Value::whole).unwrap_or(1_000);
    let len = it.at("keylen").and_then(Value::whole).unwrap_or(32);
    let key = base64::decode(secret.as_bytes())?;
    (key.len() as u64 == len).then(|| format!("WAMP-CRA${rounds}:{salt}${secret}"))
}

/// Keys for the dialect of SCRAM that is spoken there.
fn scram(it: &Value) -> Option<String> {
    text_at(it, "kdf").filter(|kdf| *kdf == "argon2id-13")?;
    let octets = |name| Some(base64::encode(&hex::decode(text_at(it, name)?.as_bytes())?));
    let number = |name| it.at(name).and_then(Value::whole);
    let (rounds, kib) = (number("iterations")?, number("memory")?);
    let (salt, stored, server) = (octets("salt")?, octets("stored-key")?, octets("server-key")?);
    Some(format!("SCRAM-ARGON2ID${rounds},{kib}:{salt}$-${stored}:{server}"))
}
