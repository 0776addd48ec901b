//! Floor 2. Logins by one challenge and one answer: what a policy offers, asks and judges.
//!
//! The policy has the keys and makes what nobody can guess; the protocol writes down what is
//! signed and what is told, so no wire format stands here. Somebody who does not exist is asked
//! like anybody else, and is refused at the same step as whoever answers wrongly. Absent on
//! purpose: any particular key, and longer dialogues (`policy::Dialogue`).

use std::fmt;

use super::policy::{Claim, Secret};

/// By what a client shows who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// It sends a password.
    Password,
    /// It makes a MAC with a key that both know: HMAC-SHA-256.
    Mac,
    /// It proves the knowledge of a password as SCRAM does.
    Scram,
    /// The same, with the text of what was derived of the password in place of its bytes.
    ScramText,
    /// It signs with a key of its own: Ed25519.
    Signature,
}

/// How a client makes its key of its password.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kdf {
    /// They are the same.
    Plain,
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2 {
        /// How often.
        rounds: u32,
        /// Bytes of the key.
        len: u32,
    },
    /// Argon2id, version 1.3, in one lane, to 32 bytes.
    Argon2id {
        /// How often.
        rounds: u32,
        /// With how much memory.
        memory_kib: u32,
    },
}

/// What somebody's proof is made with, as another says who vouches for it.
#[derive(Debug)]
pub enum Key {
    /// What a MAC is made with, and how the client comes to it.
    Mac {
        /// The key.
        key: Secret,
        /// How it is made of a password.
        kdf: Kdf,
        /// With which salt.
        salt: Vec<u8>,
    },
    /// A public key.
    Public([u8; 32]),
}

/// What somebody is asked.
#[derive(Debug)]
pub struct Riddle {
    /// Never given to anybody else.
    pub nonce: [u8; 32],
    /// How the key is made.
    pub kdf: Kdf,
    /// With which salt.
    pub salt: Vec<u8>,
    /// Who knows what answers it.
    pub judge: Box<dyn Judge>,
}

/// Knows what answers a riddle.
pub trait Judge: Send + fmt::Debug {
    /// Is this the proof for these words? Anything else than a proof is none.
    fn judge(&self, words: &[u8], proof: &[u8]) -> Verdict;
}

/// What a proof is worth, to be judged by `Policy::verified`.
#[derive(Debug)]
pub struct Verdict {
    /// Who it claims to be; `tag` is 0.
    pub claim: Claim,
    /// The proof is good.
    pub proved: bool,
    /// What proves to the client that the broker knows its key too, where the way has it.
    pub vouched: Vec<u8>,
}
