//! Floor 3. Keys of SCRAM over Argon2id, for WAMP's two dialects of it, and how they are written.
//!
//! The slow part is the client's: the broker keeps what it checks a proof with, as `scram` does.
//! The dialects differ in what they take for the derived key, its bytes or its Base64 text without
//! padding, so each has a pair of its own; keys that were brought along may have one of the two.
//! Absent on purpose: Argon2 itself; whoever makes keys hands in what it made.

use super::scram::{Hash, Pair};
use crate::base::base64;

/// What the broker keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Argon {
    pub(super) rounds: u32,
    pub(super) memory_kib: u32,
    pub(super) salt: Vec<u8>,
    /// For `wamp-scram`: of the bytes.
    pub(super) bytes: Option<Pair>,
    /// For `scram`: of their text.
    pub(super) text: Option<Pair>,
}

impl Argon {
    /// From what Argon2id made of a password with this salt.
    pub(super) fn of(made: &Hash, rounds: u32, memory_kib: u32, salt: &[u8]) -> Self {
        let text = base64::encode(made);
        let text = Pair::of(text.trim_end_matches('=').as_bytes());
        let salt = salt.to_vec();
        Self { rounds, memory_kib, salt, bytes: Some(Pair::of(made)), text: Some(text) }
    }

    /// From the text form.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix(PREFIX).ok_or(FORM)?;
        let mut parts = rest.split('$');
        let mut part = || parts.next().ok_or(FORM);
        let (head, bytes, text) = (part()?, pair(part()?)?, pair(part()?)?);
        let (cost, salt) = head.split_once(':').ok_or(FORM)?;
        let (rounds, memory) = cost.split_once(',').ok_or(FORM)?;
        let salt = base64::decode(salt.as_bytes()).ok_or(FORM)?;
        if parts.next().is_some() || bytes.is_none() && text.is_none() {
            return Err(FORM);
        }
        if !(SALT_MIN..=SALT_MAX).contains(&salt.len()) {
            return Err("has a salt that is not of 8 to 256 bytes");
        }
        let (rounds, memory_kib) = (number(rounds)?, number(memory)?);
        // RFC 9106, 3.1: at least 8 KiB for each lane.
        if !(1..=ROUNDS_MAX).contains(&rounds) || !(8..=MEMORY_MAX).contains(&memory_kib) {
            return Err("has rounds or memory that no client could spend");
        }
        Ok(Self { rounds, memory_kib, salt, bytes, text })
    }

    /// The text form.
    pub(super) fn written(&self) -> String {
        let pair = |pair: &Option<Pair>| match pair {
            Some(Pair { stored, server }) => {
                format!("{}:{}", base64::encode(stored), base64::encode(server))
            }
            None => NONE.to_owned(),
        };
        let Self { rounds, memory_kib, salt, bytes, text } = self;
        let (salt, bytes, text) = (base64::encode(salt), pair(bytes), pair(text));
        format!("{PREFIX}{rounds},{memory_kib}:{salt}${bytes}${text}")
    }
}

/// The line for a users file: `made` is what Argon2id of version 1.3 made in one lane.
#[must_use]
pub fn line(made: &[u8; 32], rounds: u32, memory_kib: u32, salt: &[u8]) -> String {
    Argon::of(made, rounds, memory_kib, salt).written()
}

fn number(text: &str) -> Result<u32, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(FORM)
}

/// `STOREDKEY:SERVERKEY`, or `-` for none.
fn pair(text: &str) -> Result<Option<Pair>, &'static str> {
    if text == NONE {
        return Ok(None);
    }
    let (stored, server) = text.split_once(':').ok_or(FORM)?;
    let key = |text: &str| {
        let bytes = base64::decode(text.as_bytes()).ok_or(FORM)?;
        Hash::try_from(bytes).map_err(|_| FORM)
    };
    Ok(Some(Pair { stored: key(stored)?, server: key(server)? }))
}

const FORM: &str = "is not of the form SCRAM-ARGON2ID$ROUNDS,KIB:SALT$STOREDKEY:SERVERKEY$\
                    STOREDKEY:SERVERKEY, where - stands for a pair that is not there";
const PREFIX: &str = "SCRAM-ARGON2ID$";
const NONE: &str = "-";
/// The client's time and memory: 4 GiB of it are nobody's.
const ROUNDS_MAX: u32 = 1_000_000;
const MEMORY_MAX: u32 = 4_194_304;
const SALT_MIN: usize = 8;
const SALT_MAX: usize = 256;
