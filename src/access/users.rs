//! Floor 3. The users file: who there is, how each proves it, and which rules are whose.
//!
//! TOML, read strictly: what is not understood is an error with its line and column, and a file
//! with an error in it is no file at all. An empty one is an error too: nothing here can turn a
//! slip of the pen into "everybody may do everything". Shared secrets are kept as keyed digests
//! only, and no message quotes one. Absent on purpose: files (the text is handed in), defaults for
//! `mode`, rewriting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::base::map::{Map, Seed};

use super::mac::{Mac, Purpose};
use super::rules::{Group, Kind, Rule};

/// How strict the file is meant to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Rules are not asked. Users, when there are any, still have to prove who they are.
    None,
    /// Rules are asked; there may be nobody yet.
    Dynamic,
    /// Rules are asked; there must be a group and a user.
    Strict,
}

/// Something about the file: why it was refused, or what is doubtful in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What about it. Never quotes a secret.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

impl std::error::Error for Note {}

/// How a user proves to be that user.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The digest of what must be sent, byte for byte.
    Secret(u128),
    /// The bcrypt hash of what must be sent.
    Hash(Arc<str>),
}

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) proof: Proof,
    /// The only client id to be used, where one was given.
    pub(super) client_id: Option<Bytes>,
    pub(super) group: u32,
}

/// The file, understood.
pub(super) struct Roll {
    pub(super) mode: Mode,
    pub(super) groups: Vec<Group>,
    pub(super) users: Map<Bytes, User>,
    /// A hash nothing matches, for users who do not exist; absent when no user has a hash.
    pub(super) decoy: Option<Arc<str>>,
    pub(super) warnings: Vec<Note>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mode: Mode,
    #[serde(default)]
    expand_self: bool,
    #[serde(default)]
    groups: BTreeMap<String, Spanned<FileGroup>>,
    #[serde(default)]
    users: Vec<Spanned<FileUser>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    #[serde(default, rename = "type")]
    kind: Kind,
    #[serde(default)]
    rules: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUser {
    name: Spanned<String>,
    group: Option<Spanned<String>>,
    client_id: Option<Spanned<String>>,
    // Values, not strings: the parser's own complaint about a wrong type would quote the value.
    shared_secret: Option<Spanned<Value>>,
    password_hash: Option<Spanned<Value>>,
}

/// Reads one file.
struct Reading<'a> {
    text: &'a str,
    mac: Mac,
    mode: Mode,
    expand_self: bool,
    groups: Vec<Group>,
    users: Map<Bytes, User>,
    /// How many hashes there are of each cost.
    costs: BTreeMap<u32, usize>,
    warnings: Vec<Note>,
}

impl Roll {
    /// Understand a users file, or say what is wrong with it.
    pub(super) fn parse(text: &str, mac: Mac) -> Result<Self, Note> {
        let file: File = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            note(text, at, e.message().replace('\n', ", "))
        })?;
        let seed = Seed::with_seed(mac.of(Purpose::Seed).done() as u64);
        let mut reading = Reading {
            text,
            mac,
            mode: file.mode,
            expand_self: file.expand_self,
            groups: Vec::new(),
            users: Map::with_hasher(seed),
            costs: BTreeMap::new(),
            warnings: Vec::new(),
        };
        for (name, group) in file.groups {
            reading.group(name, group)?;
        }
        for user in file.users {
            reading.user(user)?;
        }
        reading.finish()
    }
}

impl Reading<'_> {
    fn group(&mut self, name: String, group: Spanned<FileGroup>) -> Result<(), Note> {
        let at = group.span().start;
        let group = group.into_inner();
        if let Some(flaw) = name_flaw(&name) {
            return Err(note(self.text, at, format!("the name of a group {flaw}")));
        }
        let mut read = Group::new(name, group.kind);
        for rule in group.rules {
            let at = rule.span().start;
            let added = Rule::parse(rule.get_ref(), self.expand_self).and_then(|r| read.add(r));
            added.map_err(|text| note(self.text, at, text))?;
        }
        self.groups.push(read);
        Ok(())
    }

    fn user(&mut self, user: Spanned<FileUser>) -> Result<(), Note> {
        let at = user.span().start;
        let FileUser { name, group, client_id, shared_secret, password_hash } = user.into_inner();
        let name_at = name.span().start;
        let name = name.into_inner();
        if let Some(flaw) = self.user_name_flaw(&name) {
            return Err(note(self.text, name_at, format!("the name of a user {flaw}")));
        }
        let group = self.group_of(group, name_at, &name)?;
        let client_id = self.client_id(client_id, &name)?;
        let proof = match (shared_secret, password_hash) {
            (Some(secret), None) => self.secret(secret, &name)?,
            (None, Some(hash)) => self.hash(hash, &name)?,
            _ => {
                let text = format!("user {name} needs one of shared_secret and password_hash");
                return Err(note(self.text, at, text));
            }
        };
        let user = User { proof, client_id, group };
        if self.users.insert(Bytes::from(name.clone()), user).is_some() {
            return Err(note(self.text, name_at, format!("user {name} is there twice")));
        }
        Ok(())
    }

    fn user_name_flaw(&self, name: &str) -> Option<&'static str> {
        // Such names could be mistaken for a pattern, or reach past their own level.
        if self.expand_self && (name.contains(['/', '.', '*', '+', '#']) || name.starts_with('$')) {
            return Some("must not look like a topic where expand_self is on");
        }
        name_flaw(name)
    }

    fn group_of(&self, group: Option<Spanned<String>>, at: usize, user: &str) -> Result<u32, Note> {
        if group.is_none() && self.mode == Mode::None {
            return Ok(0);
        }
        let at = group.as_ref().map_or(at, |g| g.span().start);
        let name = group.map_or_else(|| DEFAULT_GROUP.to_owned(), Spanned::into_inner);
        let found = self.groups.iter().position(|g| g.name == name);
        found.map(|i| u32::try_from(i).unwrap_or(u32::MAX)).ok_or_else(|| {
            note(self.text, at, format!("user {user} is in group {name}, which does not exist"))
        })
    }

    fn client_id(&self, id: Option<Spanned<String>>, user: &str) -> Result<Option<Bytes>, Note> {
        let Some(id) = id else {
            // PRX1 compares client ids even where none is given: it must then be empty.
            return Ok((self.mode != Mode::None).then(Bytes::new));
        };
        let at = id.span().start;
        if id.get_ref().len() > FIELD_MAX {
            return Err(note(self.text, at, format!("the client id of {user} is too long")));
        }
        Ok(Some(Bytes::from(id.into_inner())))
    }

    fn secret(&mut self, secret: Spanned<Value>, user: &str) -> Result<Proof, Note> {
        let at = secret.span().start;
        let wrong = |text: &str| note(self.text, at, format!("the secret of user {user} {text}"));
        let Value::String(secret) = secret.into_inner() else {
            return Err(wrong("must be a string"));
        };
        if secret.trim().is_empty() {
            return Err(wrong("is blank"));
        }
        if secret.len() > FIELD_MAX {
            return Err(wrong("is too long"));
        }
        if Cost::of(&secret).is_ok() {
            let text = format!(
                "user {user}: shared_secret has the form of a hash; what is sent must equal it \
                 byte for byte (password_hash is for hashes)"
            );
            self.warnings.push(note(self.text, at, text));
        }
        let mut bytes = secret.into_bytes();
        let digest = self.mac.of(Purpose::Secret).part(&bytes).done();
        bytes.fill(0);
        core::hint::black_box(&bytes);
        Ok(Proof::Secret(digest))
    }

    fn hash(&mut self, hash: Spanned<Value>, user: &str) -> Result<Proof, Note> {
        let at = hash.span().start;
        let wrong = |text: &str| note(self.text, at, format!("the hash of user {user} {text}"));
        let Value::String(hash) = hash.into_inner() else {
            return Err(wrong("must be a string"));
        };
        let Cost(cost) = Cost::of(&hash).map_err(wrong)?;
        if cost < COST_WEAK {
            let text = format!("user {user}: a hash of cost {cost} is weak; 12 is usual");
            self.warnings.push(note(self.text, at, text));
        }
        *self.costs.entry(cost).or_default() += 1;
        Ok(Proof::Hash(hash.into()))
    }

    fn finish(mut self) -> Result<Roll, Note> {
        let start = |text: &str| note(self.text, 0, text.into());
        // A user without a group has been refused already, so users speak for groups as well.
        if self.mode == Mode::Strict && self.users.is_empty() {
            return Err(start("mode strict needs a group and a user"));
        }
        let doubts = [
            (self.mode == Mode::Dynamic && self.users.is_empty(), "no users: nobody can log in"),
            (self.mode == Mode::None && !self.groups.is_empty(), "mode none: no rule is asked"),
            (
                self.costs.len() > 1,
                "hashes of different cost: how long a refusal takes can tell who exists",
            ),
        ];
        let doubts = doubts.into_iter().filter(|(doubtful, _)| *doubtful);
        let doubts: Vec<Note> = doubts.map(|(_, text)| start(text)).collect();
        self.warnings.extend(doubts);
        // The most common cost, the higher of equals.
        let cost = self.costs.iter().max_by_key(|(cost, count)| (**count, **cost));
        let decoy = cost.map(|(cost, _)| Arc::from(decoy(*cost)));
        let Self { mode, groups, users, warnings, .. } = self;
        Ok(Roll { mode, groups, users, decoy, warnings })
    }
}

/// The cost of a bcrypt hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost(u32);

impl Cost {
    /// `$2a$`, `$2b$` or `$2y$`, two digits, `$`, 22 letters of salt, 31 of digest. The last
    /// letter of each has bits to spare, which must be zero: whoever decodes it checks that too.
    fn of(hash: &str) -> Result<Self, &'static str> {
        let form = "is not of the form $2b$NN$ and 53 letters";
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|p| hash.strip_prefix(p));
        let (cost, rest) = rest.and_then(|rest| rest.split_once('$')).ok_or(form)?;
        let digits = cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit());
        let index = |b: u8| ALPHABET.iter().position(|a| *a == b);
        let spare = |at: usize, unit: usize| {
            rest.as_bytes().get(at).and_then(|b| index(*b)).is_some_and(|i| i % unit == 0)
        };
        let letters = rest.len() == 53 && rest.bytes().all(|b| index(b).is_some());
        if !digits || !letters || !spare(21, 16) || !spare(52, 4) {
            return Err(form);
        }
        match cost.parse() {
            Ok(cost @ 4..=14) => Ok(Self(cost)),
            Ok(15..) => Err("has a cost over 14: one login would take seconds"),
            _ => Err("has a cost under 4, which bcrypt does not know"),
        }
    }
}

/// A well-formed hash whose digest is all zero bits: what hashes to it nobody knows.
fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}$abcdefghijklmnopqrstuu{}", ".".repeat(31))
}

fn name_flaw(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        return Some("is blank");
    }
    if name.len() > FIELD_MAX {
        return Some("is too long");
    }
    name.chars().any(char::is_control).then_some("has control characters in it")
}

/// A note about the place `at` bytes into `text`.
fn note(text: &str, at: usize, about: String) -> Note {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.get(line_start..).map_or(0, |s| s.chars().count()) + 1;
    Note { line, column, text: about }
}

/// The group of users who name none.
const DEFAULT_GROUP: &str = "User";
/// What a length of two bytes can say; no protocol could carry more.
const FIELD_MAX: usize = 65_535;
/// Below this a warning is due.
const COST_WEAK: u32 = 10;
/// The letters of bcrypt, in order of value.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
