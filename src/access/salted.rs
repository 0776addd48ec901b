//! Floor 3. Password hashes as `mosquitto_passwd` writes them: `$6$`, a salted SHA-512, and `$7$`,
//! PBKDF2 over HMAC-SHA-512.
//!
//! They are taken so that users can be brought along; new ones are better made by `spindle hash`.
//! A hash is understood before it is given to a worker, so none can fail there or take seconds.
//! Absent on purpose: making them.

use sha2::{Digest, Sha512};

use super::keyed::{same, stretch};
use crate::base::base64;

/// What SHA-512 makes.
type Hash = [u8; 64];

/// A hash, understood.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Salted {
    /// Rounds of PBKDF2; none for a hash that is made in one go.
    rounds: Option<u32>,
    salt: Vec<u8>,
    hash: Hash,
}

impl Salted {
    /// `$6$SALT$HASH` or `$7$ROUNDS$SALT$HASH`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let form = "is not of the form $6$SALT$HASH or $7$ROUNDS$SALT$HASH";
        let mut parts = text.split('$').skip(1);
        let rounds = match parts.next() {
            Some("6") => None,
            Some("7") => {
                let rounds = parts.next().filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
                Some(rounds.and_then(|n| n.parse::<u32>().ok()).ok_or(form)?)
            }
            _ => return Err(form),
        };
        let mut bytes = || parts.next().and_then(|part| base64::decode(part.as_bytes()));
        let (salt, hash) = (bytes().ok_or(form)?, bytes().ok_or(form)?);
        let hash = Hash::try_from(hash).map_err(|_| form)?;
        if parts.next().is_some() || salt.is_empty() || salt.len() > SALT_MAX {
            return Err(form);
        }
        match rounds {
            Some(0) => Err("has no rounds at all"),
            Some(rounds) if rounds > ROUNDS_MAX => {
                Err("has too many rounds: one login would take \
                                                        seconds")
            }
            rounds => Ok(Self { rounds, salt, hash }),
        }
    }

    /// What checking it costs: rounds, 1 for a plain hash.
    pub(super) fn cost(&self) -> u32 {
        self.rounds.unwrap_or(1)
    }

    fn matches(&self, password: &[u8]) -> bool {
        let made: Hash = match self.rounds {
            Some(rounds) => stretch::<Sha512>(password, &self.salt, rounds).into(),
            None => Sha512::new().chain_update(password).chain_update(&self.salt).finalize().into(),
        };
        same(&made, &self.hash)
    }
}

/// Does this look like one?
#[must_use]
pub fn is_salted(hash: &str) -> bool {
    hash.starts_with("$6$") || hash.starts_with("$7$")
}

/// Is this the password that was hashed? Takes as long as the hash says.
#[must_use]
pub fn matches(password: &[u8], hash: &str) -> bool {
    Salted::parse(hash).is_ok_and(|salted| salted.matches(password))
}

/// A hash of this cost whose digest is all zero bits: what hashes to it nobody knows.
pub(super) fn decoy(cost: u32) -> String {
    let (salt, hash) = (base64::encode(&[0; 12]), base64::encode(&[0; 64]));
    match cost {
        1 => format!("$6${salt}${hash}"),
        rounds => format!("$7${rounds}${salt}${hash}"),
    }
}

/// About a second on a small machine.
const ROUNDS_MAX: u32 = 1_000_000;
const SALT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `mosquitto_passwd` of version 2.0.11.
    const PBKDF2: &str = "$7$101$rXmgdidJo2pXEjy9$vhSFLUFTMpaShdFkgLCdM5iJ9IerLPwQW/WqoVpmkW8zHwc\
                          NE1+PGmWYX6g9qLzL864Z5onAbFxNEUfZxB8Ihg==";
    const SHA512: &str = "$6$havyeJR9YIudFiRm$KROWrKh+EMq1Drxun6q3IEncWNkfLr+UnpB/+EY4uCFF/cY8H6F\
                          I4pB7bhZqA3r3ZzMZ6IMiD2qKqtYdzWrvwg==";

    #[test]
    fn hashes_of_mosquitto_passwd_are_checked() {
        assert!(matches(b"secret", PBKDF2) && !matches(b"secreu", PBKDF2));
        assert!(matches(b"pass word", SHA512) && !matches(b"secret", SHA512));
        assert!(!matches(b"secret", &PBKDF2.replace("$101$", "$102$")));
        assert_eq!(Salted::parse(PBKDF2).map(|it| it.cost()), Ok(101));
        assert_eq!(Salted::parse(SHA512).map(|it| it.cost()), Ok(1));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_a_decoy_is_one_that_nothing_matches() {
        for text in [
            "",
            "$6$",
            "$6$AAAA$AAAA",
            "$8$AAAA$AAAA",
            &format!("{SHA512}$x"),
            &PBKDF2.replace("$101$", "$x$"),
            &PBKDF2.replace("$101$", "$0$"),
            &PBKDF2.replace("$101$", "$1000001$"),
            &SHA512.replace("wg==", "w==="),
        ] {
            assert!(Salted::parse(text).is_err(), "{text}");
        }
        for cost in [1, 101] {
            let decoy = decoy(cost);
            assert_eq!(Salted::parse(&decoy).map(|it| it.cost()), Ok(cost));
            assert!(is_salted(&decoy) && !matches(b"", &decoy));
        }
    }
}
