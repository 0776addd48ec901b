//! Floor 3. Keys of WAMP-CRA: a MAC with a key that client and broker share.
//!
//! The key is a shared secret as it stands, or the Base64 text of what PBKDF2 makes of a password
//! and a salt, which is a text too: clients sign with the letters, not with the bytes behind them.
//! Whoever steals a derived key can log in with it, here and by this method only. A key is eaten
//! when a file is read and not kept. Absent on purpose: the challenge (the protocol's).

use sha2::Sha256;

use super::keyed::{Keyed, same, stretch};
use super::scram::Hash;
use crate::base::base64;

/// What somebody signs with.
#[derive(Clone)]
pub(super) struct Cra {
    key: Keyed<Sha256>,
    /// How the client comes to it; nothing for a secret as it stands.
    pub(super) derived: Option<Derived>,
}

/// How a key is made of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Derived {
    pub(super) rounds: u32,
    /// Bytes of the key before they are Base64.
    pub(super) len: u32,
    pub(super) salt: String,
    /// As it is written, to tell another one from it.
    text: String,
}

impl Cra {
    /// A secret as it stands.
    pub(super) fn plain(secret: &[u8]) -> Self {
        Self { key: Keyed::new(secret), derived: None }
    }

    /// From the text form.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let form = "is not of the form WAMP-CRA$ROUNDS:SALT$KEY";
        let rest = text.strip_prefix(PREFIX).ok_or(form)?;
        // The salt is any text; neither rounds nor key can hold what ends them.
        let (head, key) = rest.rsplit_once('$').ok_or(form)?;
        let (rounds, salt) = head.split_once(':').ok_or(form)?;
        let bytes = base64::decode(key.as_bytes()).ok_or(form)?;
        let len = u32::try_from(bytes.len()).ok().filter(|len| (KEY_MIN..=KEY_MAX).contains(len));
        let len = len.ok_or("has a key that is not of 16 to 64 bytes")?;
        let digits = !rounds.is_empty() && rounds.bytes().all(|b| b.is_ascii_digit());
        let rounds =
            rounds.parse().ok().filter(|rounds| digits && (1..=ROUNDS_MAX).contains(rounds));
        let rounds = rounds.ok_or("has no rounds, or more than 10000000")?;
        if salt.is_empty() || salt.len() > SALT_MAX || salt.chars().any(char::is_control) {
            return Err("has no salt, or one that is too long or holds control characters");
        }
        let derived = Derived { rounds, len, salt: salt.into(), text: text.into() };
        Ok(Self { key: Keyed::new(key.as_bytes()), derived: Some(derived) })
    }

    /// Is this the MAC of these words? Takes as long when it is not.
    pub(super) fn signed(&self, words: &[u8], mac: &[u8]) -> bool {
        let made: Hash = self.key.sign(&[words]).into();
        // What has another length is held to be all zero bits, which no MAC is.
        same(&made, &Hash::try_from(mac).unwrap_or_default())
    }
}

// Whether two secrets are the same, their digests know.
impl PartialEq for Cra {
    fn eq(&self, other: &Self) -> bool {
        self.derived == other.derived
    }
}

impl Eq for Cra {}

/// The line for a users file. `salt` must be random.
#[must_use]
pub fn hash(password: &[u8], salt: [u8; 16]) -> String {
    derived(password, &salt, ROUNDS)
}

/// The same by as many rounds as wanted.
pub(super) fn derived(password: &[u8], salt: &[u8], rounds: u32) -> String {
    let salt = base64::encode(salt);
    let key: Hash = stretch::<Sha256>(password, salt.as_bytes(), rounds).into();
    format!("{PREFIX}{rounds}:{salt}${}", base64::encode(&key))
}

const PREFIX: &str = "WAMP-CRA$";
/// A hundred times what is usual: whoever overhears an answer guesses as much slower.
pub(super) const ROUNDS: u32 = 100_000;
/// The client's time, not the broker's; more than this is a slip of the pen.
const ROUNDS_MAX: u32 = 10_000_000;
const KEY_MIN: u32 = 16;
const KEY_MAX: u32 = 64;
const SALT_MAX: usize = 256;
