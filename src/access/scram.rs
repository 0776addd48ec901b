//! Floor 3. The keys of SCRAM-SHA-256 (RFC 5802, RFC 7677), and how they are written down.
//!
//! From a password, a salt and a number of rounds come two keys: one checks what a client proves,
//! the other proves to the client that the broker knows it. Neither is the password, nor lets
//! anybody log in who steals the file they stand in. The text form is the one PostgreSQL keeps,
//! so that its hashes can be brought along. Absent on purpose: the exchange (`dialogue.rs`), and
//! SASLprep: names and passwords are the bytes that are sent, so whoever types an accent in two
//! ways has two passwords.

use sha2::{Digest, Sha256};

use super::keyed::{Keyed, same, stretch};
use crate::base::base64;

/// What SHA-256 makes.
pub(super) type Hash = [u8; 32];

/// What the broker keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) rounds: u32,
    pub(super) salt: Vec<u8>,
    /// The hash of what a client must know.
    pub(super) stored: Hash,
    /// What the broker proves itself with.
    pub(super) server: Hash,
}

/// The two keys alone, whatever they were derived by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    /// The hash of what a client must know.
    pub(super) stored: Hash,
    /// What the broker proves itself with.
    pub(super) server: Hash,
}

impl Pair {
    /// Of what SCRAM calls SaltedPassword.
    pub(super) fn of(salted: &[u8]) -> Self {
        let client = keyed(salted, &[b"Client Key"]);
        let server = keyed(salted, &[b"Server Key"]);
        Self { stored: Sha256::digest(client).into(), server }
    }

    /// Is this the proof of somebody who knows the password, for an exchange of these words?
    pub(super) fn proves(&self, proof: &Hash, words: &[&[u8]]) -> bool {
        let mut client = keyed(&self.stored, words);
        for (byte, proof) in client.iter_mut().zip(proof) {
            *byte ^= proof;
        }
        same(&Sha256::digest(client).into(), &self.stored)
    }

    /// The broker's own proof, for the same words.
    pub(super) fn vouch(&self, words: &[&[u8]]) -> Hash {
        keyed(&self.server, words)
    }
}

impl Keys {
    /// From the password itself; takes `rounds` times two hashes.
    pub(super) fn derive(password: &[u8], salt: &[u8], rounds: u32) -> Self {
        let Pair { stored, server } = Pair::of(&salted(password, salt, rounds));
        Self { rounds, salt: salt.to_vec(), stored, server }
    }

    /// From the text form.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let form = "is not of the form SCRAM-SHA-256$ROUNDS:SALT$STOREDKEY:SERVERKEY";
        let rest = text.strip_prefix(PREFIX).ok_or(form)?;
        let (head, keys) = rest.split_once('$').ok_or(form)?;
        let (rounds, salt) = head.split_once(':').ok_or(form)?;
        let (stored, server) = keys.split_once(':').ok_or(form)?;
        let digits = !rounds.is_empty() && rounds.bytes().all(|b| b.is_ascii_digit());
        let rounds = match rounds.parse() {
            Ok(rounds @ 1..=ROUNDS_MAX) if digits => rounds,
            Ok(0) => return Err(form),
            _ if digits => return Err("has over 1000000 rounds: one login would take seconds"),
            _ => return Err(form),
        };
        let key = |text: &str| {
            let bytes = base64::decode(text.as_bytes()).ok_or(form)?;
            Hash::try_from(bytes).map_err(|_| form)
        };
        let salt = base64::decode(salt.as_bytes()).ok_or(form)?;
        if !(1..=SALT_MAX).contains(&salt.len()) {
            return Err("has no salt, or one that is too long");
        }
        Ok(Self { rounds, salt, stored: key(stored)?, server: key(server)? })
    }

    /// The text form.
    pub(super) fn text(&self) -> String {
        let [salt, stored, server] = [&self.salt[..], &self.stored, &self.server];
        let [salt, stored, server] = [salt, stored, server].map(base64::encode);
        format!("{PREFIX}{}:{salt}${stored}:{server}", self.rounds)
    }

    /// The keys alone.
    pub(super) fn pair(&self) -> Pair {
        Pair { stored: self.stored, server: self.server }
    }

    /// As `Pair` says.
    pub(super) fn proves(&self, proof: &Hash, words: &[&[u8]]) -> bool {
        self.pair().proves(proof, words)
    }

    /// As `Pair` says.
    pub(super) fn vouch(&self, words: &[&[u8]]) -> Hash {
        self.pair().vouch(words)
    }
}

/// Is `text` keys in their text form, rather than a hash of another kind?
#[must_use]
pub fn is_scram(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Is this the password the keys were made of? Costs what making them cost.
#[must_use]
pub fn matches(password: &[u8], text: &str) -> bool {
    Keys::parse(text).is_ok_and(|keys| {
        let made = Keys::derive(password, &keys.salt, keys.rounds);
        same(&made.stored, &keys.stored)
    })
}

/// The line for a users file. `salt` must be random.
#[must_use]
pub fn hash(password: &[u8], salt: [u8; 16]) -> String {
    Keys::derive(password, &salt, ROUNDS).text()
}

/// The client's side: its last message, and what a broker that knows the password answers to it.
/// `bare` is the client's first message after its head `n,,`, `answer` what came back.
#[must_use]
pub fn client_final(password: &[u8], bare: &str, answer: &str) -> Option<(String, String)> {
    let mut fields = answer.split(',');
    let nonce = fields.next()?.strip_prefix("r=")?;
    let salt = base64::decode(fields.next()?.strip_prefix("s=")?.as_bytes())?;
    let rounds = fields.next()?.strip_prefix("i=")?.parse().ok().filter(|n| *n <= ROUNDS_MAX)?;
    let client = keyed(&salted(password, &salt, rounds), &[b"Client Key"]);
    let keys = Keys::derive(password, &salt, rounds);
    let said = format!("c=biws,r={nonce}");
    let words = [bare, answer, &said].join(",");
    let mut proof = keyed(&keys.stored, &[words.as_bytes()]);
    for (byte, key) in proof.iter_mut().zip(client) {
        *byte ^= key;
    }
    let vouched = base64::encode(&keys.vouch(&[words.as_bytes()]));
    Some((format!("{said},p={}", base64::encode(&proof)), format!("v={vouched}")))
}

/// A MAC under a key that is given, for whoever needs bytes nobody can guess.
pub(super) fn keyed(key: &[u8], parts: &[&[u8]]) -> Hash {
    Keyed::<Sha256>::new(key).sign(parts).into()
}

/// What SCRAM calls SaltedPassword.
fn salted(password: &[u8], salt: &[u8], rounds: u32) -> Hash {
    stretch::<Sha256>(password, salt, rounds).into()
}

/// The name of the method, and of the form of its keys.
pub(super) const METHOD: &[u8] = b"SCRAM-SHA-256";
const PREFIX: &str = "SCRAM-SHA-256$";
/// The least that RFC 7677 asks for; clients have to take as many.
pub(super) const ROUNDS: u32 = 4_096;
/// A quarter of a second on a small machine.
const ROUNDS_MAX: u32 = 1_000_000;
const SALT_MAX: usize = 256;
