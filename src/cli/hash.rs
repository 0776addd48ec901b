//! Floor 6. `spindle hash`: a password in, the line for a users file out.
//!
//! The password comes from standard input, never from the command line, where everybody on the
//! machine could read it. A private key comes the same way, and is made when none comes. Absent on
//! purpose: writing users files.

use std::io::Read;

use clap::Args;

use crate::access::{argon, cra, scram};

use super::ctl::object;
use super::{FAILED, complain, say, say_json};

/// Flags of `hash`.
#[derive(Args, Debug)]
pub(super) struct Hash {
    /// As keys for logins by SCRAM-SHA-256 (the users file's scram_sha_256)
    #[arg(long, group = "kind")]
    scram: bool,
    /// As a key for logins by WAMP-CRA (wampcra)
    #[arg(long, group = "kind")]
    wampcra: bool,
    /// As keys for logins to WAMP by SCRAM over Argon2id (scram_argon2id)
    #[arg(long, group = "kind")]
    argon2id: bool,
    /// The public key (cryptosign) of the private key that is read, 64 hexadecimal digits; without
    /// one a new pair is made and printed
    #[cfg(feature = "tls")]
    #[arg(long, group = "kind")]
    cryptosign: bool,
    /// As JSON, under the key that it has in a users file
    #[arg(long)]
    json: bool,
}

impl Hash {
    /// Read, hash, print.
    pub(super) fn run(&self) -> u8 {
        match self.made() {
            Ok(lines) if self.json => {
                say_json(&object(lines.iter().map(|(key, line)| (*key, line[..].into())).collect()))
            }
            Ok(lines) => {
                let lines: Vec<&str> = lines.iter().map(|(_, line)| &line[..]).collect();
                say(&lines.join("\n"))
            }
            Err(why) => complain(&why, FAILED),
        }
    }

    fn made(&self) -> Result<Vec<(&'static str, String)>, String> {
        #[cfg(feature = "tls")]
        if self.cryptosign {
            return pair(&read()?);
        }
        let text = read()?;
        if text.is_empty() || text.len() > MAX || text.contains(&0) {
            return Err(format!("a password has 1 to {MAX} bytes, and no NUL among them"));
        }
        let line = if self.scram {
            ("scram_sha_256", scram::hash(&text, random()?))
        } else if self.wampcra {
            ("wampcra", cra::hash(&text, random()?))
        } else if self.argon2id {
            ("scram_argon2id", by_argon(&text, random()?, ROUNDS, KIB)?)
        } else {
            let hash = bcrypt::hash(&text, COST);
            ("password_hash", hash.map_err(|e| format!("cannot hash the password: {e}"))?)
        };
        Ok(vec![line])
    }
}

fn read() -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let limit = MAX as u64 + 2;
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut text);
    read.map_err(|e| format!("cannot read the password: {e}"))?;
    // The end of the line is not part of the password.
    while text.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        text.pop();
    }
    Ok(text)
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| format!("no random bytes: {e}"))?;
    Ok(bytes)
}

fn by_argon(password: &[u8], salt: [u8; 16], rounds: u32, kib: u32) -> Result<String, String> {
    let mut made = [0; 32];
    let params = argon2::Params::new(kib, rounds, 1, Some(made.len()));
    let params = params.map_err(|e| format!("no Argon2id: {e}"))?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let done = argon.hash_password_into(password, &salt, &mut made);
    done.map_err(|e| format!("cannot hash the password: {e}"))?;
    Ok(argon::line(&made, rounds, kib, &salt))
}

/// The public key of this private one; of a new one, and that too, when there is none.
#[cfg(feature = "tls")]
fn pair(text: &[u8]) -> Result<Vec<(&'static str, String)>, String> {
    use crate::base::hex;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    let given: Option<[u8; 32]> = hex::decode(text).and_then(|key| key.try_into().ok());
    let (seed, new) = match given {
        Some(seed) => (seed, false),
        None if text.is_empty() => (random()?, true),
        None => return Err("a private key is 64 hexadecimal digits".into()),
    };
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|e| format!("no key: {e}"))?;
    let mut lines = vec![("cryptosign", hex::encode(key.public_key().as_ref()))];
    if new {
        lines.push(("private_key", hex::encode(&seed)));
    }
    Ok(lines)
}

/// What bcrypt looks at.
pub(super) const MAX: usize = 72;
/// A quarter of a second on a small machine.
pub(super) const COST: u32 = 12;
/// What RFC 9106, section 4, recommends where memory is scarce.
const ROUNDS: u32 = 3;
const KIB: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    /// What another program makes of the same.
    #[test]
    fn argon2id_is_that_of_others() {
        let salt = core::array::from_fn(|i| i as u8);
        assert_eq!(
            by_argon(b"secret123", salt, 2, 64).unwrap(),
            "SCRAM-ARGON2ID$2,64:AAECAwQFBgcICQoLDA0ODw==\
             $1hgJi8MHlX4Hbf8KhW+FFM3doOMBu83kxkEwd2dXa3U=:\
             5O9CmvGtDQImw1JYIqilkfWv+MYEpXh1T+heOihlg+E=\
             $Gw0dC4Jst94lE5Byamlx7BMKH3ubszZ7K9xDJThOzXw=:\
             8SSo/17qPM2JAHFEBLtZ3ElT5YwiDHHZskoPHu5ttug="
        );
    }
}
