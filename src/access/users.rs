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

use crate::base::base64;
use crate::base::map::{Map, Seed};
use crate::hub::riddle::{Kdf, Way};

use super::argon::Argon;
use super::cost::{Cost, decoy};
use super::cra::Cra;
use super::face::{Face, Faces, Looks};
use super::keyring::{Keyring, PUBLIC_MAX, PublicKey, public_key};
use super::mac::{Mac, Purpose};
use super::rules::{Group, Kind, Rule};
use super::salted::{self, Salted};
use super::scram::{self, Keys};

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
    /// The hash of what must be sent: bcrypt, one of mosquitto's, or SCRAM keys in text form.
    Hash(Arc<str>),
    /// None that could be sent: a certificate or a key is the only way in.
    None,
}

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) proof: Proof,
    /// For logins in several steps.
    pub(super) scram: Option<Arc<Keys>>,
    /// For logins by a challenge.
    pub(super) keyring: Keyring,
    /// May come in by a certificate with this name, without a password.
    pub(super) certificate: bool,
    /// The only client id to be used, where one was given.
    pub(super) client_id: Option<Bytes>,
    pub(super) group: u32,
}

impl User {
    /// Are both let in by the same proofs? Keys made of a secret are the same when it is.
    pub(super) fn proves_like(&self, other: &Self) -> bool {
        let made = matches!(self.proof, Proof::Secret(_));
        self.proof == other.proof
            && self.certificate == other.certificate
            && self.keyring == other.keyring
            && (made || self.scram == other.scram)
    }
}

/// The file, understood.
pub(super) struct Roll {
    pub(super) mode: Mode,
    pub(super) groups: Vec<Group>,
    pub(super) users: Map<Bytes, User>,
    /// The group of whoever names no user; without one they stay out.
    pub(super) guests: Option<u32>,
    /// A hash nothing matches, for users who do not exist; absent when no user has a hash.
    pub(super) decoy: Option<Arc<str>>,
    pub(super) warnings: Vec<Note>,
    /// Who has which public key.
    pub(super) owners: Map<PublicKey, Bytes>,
    /// What whoever is not there looks like.
    pub(super) faces: Faces,
    salts: Salts,
    /// What most SCRAM keys take; none when there are no such keys.
    rounds: Option<u32>,
    /// Names stand in rules.
    expand_self: bool,
}

/// Where the salts come from that no file names.
#[derive(Clone, Copy)]
struct Salts(scram::Hash);

impl Salts {
    /// Known to nobody, and the same after a restart as before: otherwise a changed salt would
    /// tell who is made up. Nothing that stands in the file is such a thing: whoever knows a
    /// password of it knows the keys that were made of it, too.
    fn of(secret: Option<[u8; 32]>, mac: Mac) -> Self {
        match secret {
            Some(secret) => Self(scram::keyed(&secret, &[b"salts"])),
            None => {
                let key = mac.of(Purpose::Salt).done().to_le_bytes();
                Self(scram::keyed(&key, &[b"salts"]))
            }
        }
    }

    /// As many bytes as wanted; each label has salts of its own.
    fn salt(&self, label: &[u8], name: &[u8], len: usize) -> Vec<u8> {
        let mut salt = scram::keyed(&self.0, &[label, name]).to_vec();
        while salt.len() < len {
            let more = scram::keyed(&self.0, &[label, &salt]);
            salt.extend_from_slice(&more);
        }
        salt.truncate(len);
        salt
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mode: Mode,
    #[serde(default)]
    expand_self: bool,
    guests: Option<Spanned<String>>,
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
    #[serde(default)]
    certificate: bool,
    // Values, not strings: the parser's own complaint about a wrong type would quote the value.
    shared_secret: Option<Spanned<Value>>,
    password_hash: Option<Spanned<Value>>,
    scram_sha_256: Option<Spanned<Value>>,
    scram_argon2id: Option<Spanned<Value>>,
    wampcra: Option<Spanned<Value>>,
    cryptosign: Option<Spanned<Value>>,
}

/// Reads one file.
struct Reading<'a> {
    text: &'a str,
    mac: Mac,
    mode: Mode,
    expand_self: bool,
    groups: Vec<Group>,
    users: Map<Bytes, User>,
    owners: Map<PublicKey, Bytes>,
    faces: Faces,
    guests: Option<u32>,
    /// How many hashes there are of each cost.
    costs: BTreeMap<u32, usize>,
    /// How many SCRAM keys there are of each number of rounds; those that passwords are held
    /// against as well.
    rounds: BTreeMap<u32, usize>,
    slow: BTreeMap<u32, usize>,
    /// How many hashes of mosquitto there are of each cost.
    salted: BTreeMap<u32, usize>,
    salts: Salts,
    /// Rounds of keys that are made here.
    made: u32,
    old: Option<&'a Roll>,
    warnings: Vec<Note>,
}

impl Roll {
    /// Understand a users file, or say what is wrong with it.
    ///
    /// SCRAM keys of shared secrets take `rounds`, and made-up salts hang on `salts`. Those keys
    /// that `old` has are taken from there, so that reading a file again does not stop the loop.
    pub(super) fn parse(
        text: &str,
        mac: Mac,
        (rounds, salts): (u32, Option<[u8; 32]>),
        old: Option<&Self>,
    ) -> Result<Self, Note> {
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
            users: Map::with_hasher(seed.clone()),
            owners: Map::with_hasher(seed),
            faces: Faces::default(),
            guests: None,
            costs: BTreeMap::new(),
            rounds: BTreeMap::new(),
            slow: BTreeMap::new(),
            salted: BTreeMap::new(),
            salts: Salts::of(salts, mac),
            made: rounds,
            old,
            warnings: Vec::new(),
        };
        for (name, group) in file.groups {
            reading.group(name, group)?;
        }
        reading.guests = file.guests.map(|name| reading.guests(name)).transpose()?;
        for user in file.users {
            reading.user(user)?;
        }
        reading.finish()
    }

    /// Is everybody welcome? The file says so and names nobody.
    pub(super) fn is_open(&self) -> bool {
        self.mode == Mode::None && self.users.is_empty()
    }

    /// What the group of whoever names no user is called.
    pub(super) fn guests_group(&self) -> Option<&str> {
        self.groups.get(self.guests? as usize).map(|group| group.name.as_str())
    }

    /// Can anybody come in by SCRAM?
    pub(super) fn speaks_scram(&self) -> bool {
        self.rounds.is_some()
    }

    /// What is seen of this name before any proof, whether somebody has it or not.
    pub(super) fn face(&self, name: &[u8]) -> Face {
        let known = self.users.get(name).map(Face::of);
        known.unwrap_or_else(|| {
            let [a, b, c, d, e, f, g, h, ..] = scram::keyed(&self.salts.0, &[b"face", name]);
            self.faces.pick(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
        })
    }

    /// How somebody of this name looks in this way; who does not look in it at all looks like one
    /// who does, if there is one.
    pub(super) fn looks(&self, name: &[u8], way: Way) -> Option<Looks> {
        self.face(name).looks(way).or_else(|| self.faces.one(way))
    }

    /// The keys of somebody who is not there, with the salt that goes with the name. What would
    /// prove them nobody knows.
    pub(super) fn nobody(&self, name: &[u8]) -> Keys {
        let key = self.secret(name);
        let (rounds, salt) = match self.face(name).keys {
            Some(Looks { kdf: Kdf::Pbkdf2 { rounds, .. }, salt }) => (rounds, salt),
            _ => (self.rounds.unwrap_or(scram::ROUNDS), SALT),
        };
        Keys { rounds, salt: self.salt(b"salt", name, salt), stored: key, server: key }
    }

    /// May somebody be called so whom the file does not name? As somebody in it may.
    pub(super) fn may_be_named(&self, name: &[u8]) -> bool {
        str::from_utf8(name).is_ok_and(|name| user_name_flaw(name, self.expand_self).is_none())
    }

    /// What somebody who is not there would have to know.
    pub(super) fn secret(&self, name: &[u8]) -> scram::Hash {
        scram::keyed(&self.salts.0, &[b"nobody", name])
    }

    /// The salt of somebody who is not there.
    pub(super) fn salt(&self, label: &[u8], name: &[u8], len: usize) -> Vec<u8> {
        self.salts.salt(label, name, len)
    }

    /// The same where it is a text; one of the usual length looks as those of `spindle hash`.
    pub(super) fn salt_text(&self, name: &[u8], len: usize) -> Vec<u8> {
        let bytes = if len == SALT.div_ceil(3) * 4 { SALT } else { len };
        let text = base64::encode(&self.salts.salt(b"text", name, bytes));
        text.into_bytes().into_iter().take(len).collect()
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

    fn guests(&self, name: Spanned<String>) -> Result<u32, Note> {
        if self.mode == Mode::None {
            return Ok(0);
        }
        let at = name.span().start;
        self.group_named(name.get_ref(), at, "whoever names no user")
    }

    fn user(&mut self, user: Spanned<FileUser>) -> Result<(), Note> {
        let at = user.span().start;
        let mut user = user.into_inner();
        let name_at = user.name.span().start;
        let name = core::mem::take(user.name.get_mut());
        if let Some(flaw) = user_name_flaw(&name, self.expand_self) {
            return Err(note(self.text, name_at, format!("the name of a user {flaw}")));
        }
        let group = self.group_of(user.group.take(), name_at, &name)?;
        let client_id = self.client_id(user.client_id.take(), &name)?;
        let certificate = user.certificate;
        let mut keyring = self.keyring(&mut user, &name)?;
        let (proof, scram) = self.proofs(at, user, &name, &mut keyring)?;
        let user = User { proof, scram, keyring, certificate, client_id, group };
        self.faces.add(Face::of(&user));
        if self.users.insert(Bytes::from(name.clone()), user).is_some() {
            return Err(note(self.text, name_at, format!("user {name} is there twice")));
        }
        Ok(())
    }

    /// The keys that no password is held against.
    fn keyring(&mut self, user: &mut FileUser, name: &str) -> Result<Keyring, Note> {
        let mut keyring = Keyring::default();
        if let Some(key) = user.wampcra.take() {
            let at = key.span().start;
            let wrong = |text: &str| note(self.text, at, format!("wampcra of user {name} {text}"));
            if user.shared_secret.is_some() {
                return Err(wrong("cannot stand beside shared_secret, which is a key already"));
            }
            let text = as_text(key.get_ref()).ok_or_else(|| wrong("must be a string"))?;
            keyring.cra = Some(Arc::new(Cra::parse(text).map_err(wrong)?));
        }
        if let Some(keys) = user.scram_argon2id.take() {
            let at = keys.span().start;
            let wrong =
                |text: &str| note(self.text, at, format!("scram_argon2id of user {name} {text}"));
            let text = as_text(keys.get_ref()).ok_or_else(|| wrong("must be a string"))?;
            keyring.argon = Some(Arc::new(Argon::parse(text).map_err(wrong)?));
        }
        if let Some(keys) = user.cryptosign.take() {
            keyring.public = self.public(keys, name)?;
        }
        Ok(keyring)
    }

    /// One public key, or a list of them.
    fn public(&mut self, keys: Spanned<Value>, user: &str) -> Result<Vec<PublicKey>, Note> {
        let at = keys.span().start;
        let wrong = |text: &str| note(self.text, at, format!("cryptosign of user {user} {text}"));
        let form = "must be a public key of 64 hexadecimal digits, or a list of such";
        let listed = match keys.into_inner() {
            Value::Array(listed) => listed,
            one => vec![one],
        };
        if listed.is_empty() || listed.len() > PUBLIC_MAX {
            return Err(wrong("must be one to 64 keys"));
        }
        let mut public = Vec::with_capacity(listed.len());
        for key in &listed {
            let key = as_text(key).and_then(public_key).ok_or_else(|| wrong(form))?;
            if self.owners.insert(key, Bytes::copy_from_slice(user.as_bytes())).is_some() {
                return Err(wrong("has a key that stands in this file already"));
            }
            public.push(key);
        }
        if !cfg!(feature = "tls") {
            let text = format!("user {user}: this build checks no signatures (cryptosign)");
            self.warnings.push(note(self.text, at, text));
        }
        Ok(public)
    }

    /// What proves to be this user, by a password and in several steps.
    fn proofs(
        &mut self,
        at: usize,
        user: FileUser,
        name: &str,
        keyring: &mut Keyring,
    ) -> Result<(Proof, Option<Arc<Keys>>), Note> {
        match (user.shared_secret, user.password_hash, user.scram_sha_256) {
            (Some(secret), None, None) => self.secret(secret, name, keyring),
            (None, Some(hash), None) => Ok((self.hash(hash, name)?, None)),
            (None, Some(hash), Some(keys)) => {
                let (keys, _) = self.keys(keys, name)?;
                Ok((self.hash(hash, name)?, Some(keys)))
            }
            (None, None, Some(keys)) => {
                let (keys, text) = self.keys(keys, name)?;
                *self.slow.entry(keys.rounds).or_default() += 1;
                Ok((Proof::Hash(text), Some(keys)))
            }
            (None, None, None) if user.certificate || !keyring.is_empty() => {
                Ok((Proof::None, None))
            }
            _ => {
                let text = format!(
                    "user {name} needs one of shared_secret and password_hash, or scram_sha_256 \
                     (which may stand beside a password_hash), or certificate = true, or keys for \
                     WAMP (wampcra, scram_argon2id, cryptosign)"
                );
                Err(note(self.text, at, text))
            }
        }
    }

    fn group_of(&self, group: Option<Spanned<String>>, at: usize, user: &str) -> Result<u32, Note> {
        if group.is_none() && self.mode == Mode::None {
            return Ok(0);
        }
        let at = group.as_ref().map_or(at, |g| g.span().start);
        let name = group.map_or_else(|| DEFAULT_GROUP.to_owned(), Spanned::into_inner);
        self.group_named(&name, at, &format!("user {user}"))
    }

    fn group_named(&self, name: &str, at: usize, who: &str) -> Result<u32, Note> {
        let found = self.groups.iter().position(|g| g.name == name);
        found.map(|i| u32::try_from(i).unwrap_or(u32::MAX)).ok_or_else(|| {
            note(self.text, at, format!("{who} is in group {name}, which does not exist"))
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

    fn secret(
        &mut self,
        secret: Spanned<Value>,
        user: &str,
        keyring: &mut Keyring,
    ) -> Result<(Proof, Option<Arc<Keys>>), Note> {
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
        let proof = Proof::Secret(self.mac.of(Purpose::Secret).part(&bytes).done());
        keyring.cra = Some(Arc::new(Cra::plain(&bytes)));
        let salt = self.salts.salt(b"salt", user.as_bytes(), SALT);
        let known = self.old.and_then(|old| old.users.get(user.as_bytes()));
        let known =
            known.filter(|known| known.proof == proof).and_then(|known| known.scram.clone());
        let known = known.filter(|keys| keys.salt == salt && keys.rounds == self.made);
        let make = || Arc::new(Keys::derive(&bytes, &salt, self.made));
        let keys = known.unwrap_or_else(make);
        *self.rounds.entry(self.made).or_default() += 1;
        bytes.fill(0);
        core::hint::black_box(&bytes);
        Ok((proof, Some(keys)))
    }

    /// SCRAM keys, understood and as written.
    fn keys(&mut self, keys: Spanned<Value>, user: &str) -> Result<(Arc<Keys>, Arc<str>), Note> {
        let at = keys.span().start;
        let wrong =
            |text: &str| note(self.text, at, format!("scram_sha_256 of user {user} {text}"));
        let Value::String(text) = keys.into_inner() else {
            return Err(wrong("must be a string"));
        };
        let keys = Keys::parse(&text).map_err(wrong)?;
        if keys.rounds < scram::ROUNDS {
            let text = format!("user {user}: {} rounds are weak; 4096 is usual", keys.rounds);
            self.warnings.push(note(self.text, at, text));
        }
        *self.rounds.entry(keys.rounds).or_default() += 1;
        Ok((Arc::new(keys), text.into()))
    }

    fn hash(&mut self, hash: Spanned<Value>, user: &str) -> Result<Proof, Note> {
        let at = hash.span().start;
        let wrong = |text: &str| note(self.text, at, format!("the hash of user {user} {text}"));
        let Value::String(hash) = hash.into_inner() else {
            return Err(wrong("must be a string"));
        };
        if salted::is_salted(&hash) {
            let cost = Salted::parse(&hash).map_err(wrong)?.cost();
            *self.salted.entry(cost).or_default() += 1;
            return Ok(Proof::Hash(hash.into()));
        }
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
            (
                self.mode == Mode::Dynamic && self.users.is_empty() && self.guests.is_none(),
                "no users: nobody can log in",
            ),
            (
                self.salted.keys().any(|cost| *cost < ROUNDS_WEAK),
                "hashes of mosquitto with few rounds are weak: `spindle hash` makes better ones",
            ),
            (self.mode == Mode::None && !self.groups.is_empty(), "mode none: no rule is asked"),
            (
                self.costs.len() + self.slow.len() + self.salted.len() > 1,
                "hashes of different cost: how long a refusal takes can tell who exists",
            ),
        ];
        let doubts = doubts.into_iter().filter(|(doubtful, _)| *doubtful);
        let doubts: Vec<Note> = doubts.map(|(_, text)| start(text)).collect();
        self.warnings.extend(doubts);
        // The most common cost, the higher of equals.
        let most = |costs: &BTreeMap<u32, usize>| {
            let most = costs.iter().max_by_key(|(cost, count)| (**count, **cost));
            most.map(|(cost, _)| *cost)
        };
        let slow = most(&self.slow).map(slow_decoy);
        let salted = most(&self.salted).map(salted::decoy);
        let decoy = most(&self.costs).map(decoy).or(slow).or(salted).map(Arc::from);
        let rounds = most(&self.rounds);
        let Self {
            mode, groups, users, owners, faces, guests, warnings, salts, expand_self, ..
        } = self;
        Ok(Roll {
            mode,
            groups,
            users,
            owners,
            faces,
            guests,
            decoy,
            warnings,
            salts,
            rounds,
            expand_self,
        })
    }
}

/// Keys whose stored half is all zero bits, which nobody knows how to prove.
fn slow_decoy(rounds: u32) -> String {
    Keys { rounds, salt: vec![0; 16], stored: [0; 32], server: [0; 32] }.text()
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn user_name_flaw(name: &str, expand_self: bool) -> Option<&'static str> {
    // Such names could be mistaken for a pattern, or reach past their own level.
    if expand_self && (name.contains(['/', '.', '*', '+', '#']) || name.starts_with('$')) {
        return Some("must not look like a topic where expand_self is on");
    }
    name_flaw(name)
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
/// Bytes of a salt that is made here.
const SALT: usize = 16;
/// Below this a warning is due.
const ROUNDS_WEAK: u32 = 1_000;
/// The same for bcrypt.
const COST_WEAK: u32 = 10;
