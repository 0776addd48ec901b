//! Floor 3. Who may come in and what they may do: users, groups and rules behind one `Policy`.
//!
//! Read `users.rs` (the file), `rules.rs` (what a group may do), then this: a login, step by step.
//! Logins in three steps are in `dialogue.rs`, their keys in `scram.rs`; those by one challenge are
//! in `challenge.rs`, their keys in `keyring.rs`, `cra.rs` and `argon.rs`, and `face.rs` says what
//! is seen of whoever does not exist. `throttle.rs` says who must wait, `verified.rs` who need not
//! be checked again, `twins.rs` who hears what another is told, `line.rs` whose check is next;
//! `mac.rs` and `until.rs` are what these are made of. What keeps it simple: rules are replaced
//! whole or not at all, a principal knows which edition of them it was made under, and one made
//! under an older edition is looked up again by name. Whoever does not exist, has a wrong client id
//! or a wrong password goes the same way at the same price. Absent on purpose: threads, files,
//! clocks; other kinds of users file come in as another `Roll`.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::time::Now;
use crate::hub::edition::Edition;
use crate::hub::policy::{
    self, Admit, Changes, Claim, Dialogue, Login, Policy, Principal, Reader, Refusal, Secret,
    Understood,
};
use crate::hub::riddle::{Kdf, Key, Riddle, Way};

mod challenge;
mod cost;
mod dialogue;
mod face;
pub(crate) mod keyed;
mod keyring;
mod mac;
mod rules;
mod throttle;
mod until;
mod users;
mod verified;

#[cfg(feature = "testing")]
pub mod fuzzing;

pub mod argon;
pub mod cra;
pub mod gate;
pub mod line;
pub mod salted;
pub mod scram;
pub mod twins;

#[cfg(test)]
mod access_test;
#[cfg(test)]
mod challenge_test;
#[cfg(test)]
mod line_test;
#[cfg(test)]
mod rules_test;
#[cfg(test)]
mod scram_test;
#[cfg(test)]
mod throttle_test;
#[cfg(test)]
mod users_test;

pub use throttle::{Bucket, Terms};
pub use users::{Mode, Note};

use mac::{Mac, Purpose};
use rules::Group;
use throttle::Throttle;
use users::{Proof, Roll, User};
use verified::Verified;

/// What a reload changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// Users who were not there before, by name.
    pub added: Vec<String>,
    /// Users who are there no longer: their connections must end.
    pub removed: Vec<String>,
    /// Users with another password, client id or group: their connections must begin anew.
    pub changed: Vec<String>,
    /// Some rule, group or the mode is another: subscriptions must be permitted again.
    pub rules: bool,
    /// What is doubtful in the new file.
    pub warnings: Vec<Note>,
}

/// The policy that a users file describes.
pub struct Access {
    mac: Mac,
    roll: Arc<Roll>,
    edition: Edition,
    verified: Verified,
    throttle: Throttle,
    /// Rounds of keys that are made here, and what made-up salts hang on.
    made: (u32, Option<[u8; 32]>),
    checks_receive: bool,
    dialogues: u64,
}

impl Access {
    /// Understand a users file. `key` must be random and told to nobody.
    pub fn new(text: &str, key: [u64; 2], terms: Terms) -> Result<Self, Note> {
        let mac = Mac::new(key);
        let made = (terms.rounds, terms.salts);
        let roll = Roll::parse(text, mac, made, None)?;
        let checks_receive = roll.groups.iter().any(Group::strikes_deliveries);
        Ok(Self {
            mac,
            roll: Arc::new(roll),
            edition: Edition::FIRST,
            verified: Verified::new(),
            throttle: Throttle::new(mac, terms),
            made,
            checks_receive,
            dialogues: 0,
        })
    }

    /// Replace users and rules by those of another file; when it has an error nothing changes.
    /// Connections whose user `recall` no longer knows, or who are named in the answer as
    /// changed, are the caller's to end.
    pub fn reload(&mut self, text: &str) -> Result<Diff, Note> {
        let roll = Roll::parse(text, self.mac, self.made, Some(&self.roll))?;
        Ok(self.replace(roll))
    }

    fn replace(&mut self, roll: Roll) -> Diff {
        let diff = self.difference(&roll);
        // Subscriptions made under the old rules may match what the new ones forbid, so from the
        // first narrowing change on deliveries are looked at one by one.
        self.checks_receive |= diff.rules || !diff.removed.is_empty() || !diff.changed.is_empty();
        self.checks_receive |= roll.groups.iter().any(Group::strikes_deliveries);
        self.roll = Arc::new(roll);
        self.edition = self.edition.next();
        self.verified.flush();
        self.throttle.forget_friends();
        diff
    }

    /// The mode of the file.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.roll.mode
    }

    /// How many users there are.
    #[must_use]
    pub fn users(&self) -> usize {
        self.roll.users.len()
    }

    /// What is doubtful in the file.
    #[must_use]
    pub fn warnings(&self) -> &[Note] {
        &self.roll.warnings
    }

    /// Does any user need a worker to be checked?
    #[must_use]
    pub fn has_hashes(&self) -> bool {
        self.roll.decoy.is_some()
    }

    fn difference(&self, new: &Roll) -> Diff {
        let old = &self.roll;
        let names = |wanted: &dyn Fn(&Bytes) -> bool, of: &Roll| {
            let names = of.users.keys().filter(|name| wanted(name));
            let mut names: Vec<String> =
                names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            names.sort();
            names
        };
        let alike = |name: &Bytes| match (old.users.get(name), new.users.get(name)) {
            (Some(a), Some(b)) => {
                let group = |roll: &Roll, user: &User| {
                    roll.groups.get(user.group as usize).map(|group| group.name.clone())
                };
                a.proves_like(b) && a.client_id == b.client_id && group(old, a) == group(new, b)
            }
            _ => true,
        };
        Diff {
            added: names(&|name| !old.users.contains_key(name), new),
            removed: names(&|name| !new.users.contains_key(name), old),
            changed: names(&|name| !alike(name), new),
            rules: old.mode != new.mode
                || old.groups != new.groups
                || old.guests_group() != new.guests_group(),
            warnings: new.warnings.clone(),
        }
    }

    /// The group whose rules decide, and the rule that does, as it is written. Nothing where no
    /// rule is asked.
    #[must_use]
    pub fn decided_by(
        &self,
        who: &Principal,
        access: &policy::Access<'_>,
    ) -> Option<(&str, Option<&str>)> {
        match self.standing(who) {
            Standing::Group(group) if !reserved(access) => {
                Some((&group.name, group.ruling(who, access).rule()))
            }
            _ => None,
        }
    }

    /// Everybody is welcome: the file says so and names nobody.
    fn is_open(&self) -> bool {
        self.roll.is_open()
    }

    fn principal(&self, name: &Bytes, user: &User, client_id: &[u8]) -> Principal {
        Principal {
            user: name.clone(),
            client_id: Bytes::copy_from_slice(client_id),
            group: user.group,
            durable: true,
            edition: self.edition,
        }
    }

    /// Whoever names no user, where such are welcome. It proved nothing, so nothing of it outlives
    /// its connection by name alone.
    fn guest(&self, client_id: &[u8]) -> Option<Principal> {
        Some(Principal {
            user: Bytes::new(),
            client_id: Bytes::copy_from_slice(client_id),
            group: self.roll.guests?,
            durable: false,
            edition: self.edition,
        })
    }

    /// The group whose rules apply: nobody's when the user is gone, none when rules are not asked.
    fn standing(&self, who: &Principal) -> Standing<'_> {
        let group = if who.edition == self.edition {
            who.group
        } else {
            let Some(now) = self.recall(&who.user) else {
                return Standing::Gone;
            };
            now.group
        };
        if self.roll.mode == Mode::None {
            return Standing::Free;
        }
        self.roll.groups.get(group as usize).map_or(Standing::Gone, Standing::Group)
    }

    /// Bytes that nobody can foretell and nobody gets twice.
    fn nonce(&mut self) -> [u8; 32] {
        self.dialogues += 1;
        let serial = self.dialogues.to_le_bytes();
        let half =
            |n: u8| self.mac.of(Purpose::Nonce).part(&serial).part(&[n]).done().to_be_bytes();
        let (mut nonce, second) = ([0; 32], half(1));
        for (to, from) in nonce.iter_mut().zip(half(0).iter().chain(&second)) {
            *to = *from;
        }
        nonce
    }

    fn failed(&mut self, now: Now, login: &Login<'_>, why: Refusal) -> Admit {
        self.throttle.on_failed(now, login.address, login.loopback, login.user);
        Admit::No(why)
    }

    /// Whoever showed a certificate that names a user who may come in by it.
    fn certified(&self, login: &Login<'_>) -> Option<Principal> {
        let name = login.certificate?.as_bytes();
        if !login.user.is_empty() && login.user != name {
            return None;
        }
        let (name, user) = self.roll.users.get_key_value(name)?;
        let welcome = user.certificate && fits(user, login);
        welcome.then(|| self.principal(name, user, login.client_id))
    }

    /// Have `hash` checked; without a principal only for what it costs.
    fn check(
        &mut self,
        now: Now,
        login: &Login<'_>,
        hash: Arc<str>,
        principal: Option<Principal>,
    ) -> Admit {
        let password = login.password.unwrap_or_default();
        if password.len() > PASSWORD_MAX || password.contains(&0) {
            return self.failed(now, login, Refusal::TooLong);
        }
        let network = login.address.network().to_string();
        let digest = self.mac.of(Purpose::Verified).part(login.user).part(password);
        let tag = digest.part(hash.as_bytes()).part(network.as_bytes()).done();
        match principal {
            Some(known) if self.verified.knows(now, tag) => {
                self.throttle.on_succeeded(now, login.address, login.user);
                Admit::Yes(known)
            }
            principal => Admit::Verify {
                secret: Secret::new(password),
                hash,
                claim: Claim {
                    principal,
                    user: Bytes::copy_from_slice(login.user),
                    address: login.address,
                    loopback: login.loopback,
                    tag,
                },
            },
        }
    }
}

impl From<Diff> for Changes {
    fn from(diff: Diff) -> Self {
        let Diff { added, removed, changed, rules, warnings } = diff;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Self { added, removed, changed, rules, warnings }
    }
}

enum Standing<'a> {
    Free,
    Group(&'a Group),
    Gone,
}

impl Policy for Access {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        if self.is_open()
            && let Some(guest) = self.recall(&Bytes::copy_from_slice(login.user))
        {
            let client_id = Bytes::copy_from_slice(login.client_id);
            return Admit::Yes(Principal { client_id, ..guest });
        }
        if let Some(known) = self.certified(login) {
            // Proved below every protocol: there was nothing to guess, so nobody has to wait.
            return Admit::Yes(known);
        }
        if login.user.is_empty() {
            // There is nothing to guess here either.
            return self.guest(login.client_id).map_or(Admit::No(Refusal::Anonymous), Admit::Yes);
        }
        let ms = self.throttle.wait_ms(now, login.address, login.loopback, login.user);
        if ms > 0 {
            return Admit::No(Refusal::Throttled { ms });
        }
        let password = login.password.unwrap_or_default();
        let digest = self.mac.of(Purpose::Secret).part(password).done();
        let found = self.roll.users.get_key_value(login.user);
        // An empty password proves nothing, whatever it is compared with.
        let known = found.filter(|(_, user)| fits(user, login) && !password.is_empty());
        let principal = known.map(|(name, user)| self.principal(name, user, login.client_id));
        let proof = found.map(|(_, user)| user.proof.clone());
        let secret = match proof {
            Some(Proof::Hash(hash)) => return self.check(now, login, hash, principal),
            Some(Proof::Secret(secret)) => secret,
            // Nobody's secret: one bit off whatever was sent.
            Some(Proof::None) | None => digest ^ 1,
        };
        match principal {
            Some(known) if mac::same(secret, digest) => {
                self.throttle.on_succeeded(now, login.address, login.user);
                return Admit::Yes(known);
            }
            _ => core::hint::black_box(mac::same(secret, digest)),
        };
        match self.roll.decoy.clone() {
            Some(decoy) => self.check(now, login, decoy, None),
            None => self.failed(now, login, Refusal::Unknown),
        }
    }

    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        if claim.tag == 0 {
            // A dialogue: nobody was asked yet whether this name may be tried again by now, and
            // whoever may not is told nothing about the proof.
            let ms = self.throttle.wait_ms(now, claim.address, claim.loopback, &claim.user);
            if ms > 0 {
                return Err(Refusal::Throttled { ms });
            }
        }
        let Some(principal) = claim.principal.as_ref().filter(|_| ok) else {
            self.throttle.on_failed(now, claim.address, claim.loopback, &claim.user);
            return Err(Refusal::Unknown);
        };
        if principal.edition != self.edition {
            // The rules changed while the worker was busy; what it compared may no longer count.
            return Err(Refusal::Unknown);
        }
        if claim.tag != 0 {
            self.verified.add(now, claim.tag);
        }
        self.throttle.on_succeeded(now, claim.address, &claim.user);
        Ok(principal.clone())
    }

    fn converse(&mut self, _: Now, login: &Login<'_>, method: &[u8]) -> Option<Box<dyn Dialogue>> {
        if method != scram::METHOD || !self.roll.speaks_scram() {
            return None;
        }
        self.dialogues += 1;
        let nonce = self.mac.of(Purpose::Nonce).part(&self.dialogues.to_le_bytes()).done();
        Some(Box::new(dialogue::Scram::new(dialogue::Terms {
            roll: Arc::clone(&self.roll),
            edition: self.edition,
            user: Bytes::copy_from_slice(login.user),
            client_id: Bytes::copy_from_slice(login.client_id),
            address: login.address,
            loopback: login.loopback,
            nonce,
        })))
    }

    fn offers(&self, login: &Login<'_>, way: Way) -> bool {
        match login.user {
            _ if self.is_open() => way == Way::Password,
            b"" => way == Way::Signature && self.roll.faces.any(way),
            user => self.roll.face(user).looks(way).is_some(),
        }
    }

    fn knows(&self, way: Way) -> bool {
        if self.is_open() { way == Way::Password } else { self.roll.faces.any(way) }
    }

    fn challenge(
        &mut self,
        _: Now,
        login: &Login<'_>,
        way: Way,
        key: Option<&[u8; 32]>,
    ) -> Option<Riddle> {
        let nonce = self.nonce();
        let who = |name: &Bytes, user: &User| self.principal(name, user, login.client_id);
        challenge::pose(&self.roll, login, way, key, nonce, who)
    }

    fn vouched(&self, user: &Bytes, group: &[u8]) -> Option<Principal> {
        if self.recall(user).is_some() || !self.roll.may_be_named(user) {
            return None;
        }
        let at = self.roll.groups.iter().position(|own| own.name.as_bytes() == group)?;
        // Nothing of it outlives its connection: who vouches for it then nobody knows.
        Some(Principal {
            user: user.clone(),
            client_id: Bytes::new(),
            group: u32::try_from(at).ok()?,
            durable: false,
            edition: self.edition,
        })
    }

    fn pose(&mut self, claim: Claim, key: Result<Key, (Kdf, usize)>) -> Option<Riddle> {
        let nonce = self.nonce();
        Some(challenge::vouched(&self.roll, claim, key, nonce))
    }

    fn must_wait(&self, now: Now, login: &Login<'_>) -> bool {
        self.throttle.wait_ms(now, login.address, login.loopback, login.user) > 0
    }

    fn role(&self, who: &Principal) -> Bytes {
        match self.standing(who) {
            Standing::Group(group) => Bytes::copy_from_slice(group.name.as_bytes()),
            Standing::Free | Standing::Gone => Bytes::new(),
        }
    }

    fn permit(&mut self, who: &Principal, access: &policy::Access<'_>) -> bool {
        if reserved(access) {
            return false;
        }
        match self.standing(who) {
            Standing::Free => true,
            Standing::Group(group) => group.ruling(who, access).allowed,
            Standing::Gone => false,
        }
    }

    fn explain(&self, who: &Principal, access: &policy::Access<'_>) -> String {
        if reserved(access) {
            return "denied: only the broker publishes under $".into();
        }
        match self.standing(who) {
            Standing::Free => "allowed: mode none asks no rules".into(),
            Standing::Group(group) => group.ruling(who, access).explain(group),
            Standing::Gone => "denied: there is no such user any more".into(),
        }
    }

    fn recall(&self, user: &Bytes) -> Option<Principal> {
        if self.is_open() {
            return policy::Open.recall(user).map(|p| Principal { edition: self.edition, ..p });
        }
        if user.is_empty() {
            return self.guest(b"");
        }
        self.roll.users.get_key_value(user).map(|(name, user)| self.principal(name, user, b""))
    }

    fn reload(&mut self, text: &str) -> Result<Changes, String> {
        Self::reload(self, text).map(Changes::from).map_err(|note| note.to_string())
    }

    fn reader(&self) -> Option<Reader> {
        let (mac, made, old) = (self.mac, self.made, Arc::clone(&self.roll));
        Some(Box::new(move |text| {
            let roll = Roll::parse(text, mac, made, Some(&old));
            let roll = roll.map_err(|note| note.to_string())?;
            let warnings = roll.warnings.iter().map(ToString::to_string).collect();
            Ok(Understood { open: roll.is_open(), warnings, inner: Box::new(roll) })
        }))
    }

    fn renew(&mut self, understood: Understood) -> Option<Changes> {
        let roll = understood.inner.downcast::<Roll>().ok()?;
        Some(self.replace(*roll).into())
    }

    fn checks_receive(&self) -> bool {
        self.checks_receive
    }
}

/// Is this the client id the user must have? Only PRX1 makes it part of the proof.
fn fits(user: &User, login: &Login<'_>) -> bool {
    match &user.client_id {
        Some(id) if login.protocol == "prx1" => id == login.client_id,
        _ => true,
    }
}

/// No client writes where the broker writes.
fn reserved(access: &policy::Access<'_>) -> bool {
    matches!(access, policy::Access::Publish(topic) if topic.is_hidden())
}

/// What keeps a text from being a bcrypt hash that may be used.
#[must_use]
pub fn hash_flaw(hash: &str) -> Option<&'static str> {
    cost::Cost::of(hash).err()
}

/// More than this bcrypt does not look at.
const PASSWORD_MAX: usize = 72;
