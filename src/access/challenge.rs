//! Floor 3. Logins by one challenge: what somebody is asked, and what answers it.
//!
//! Whoever is asked was looked up once; what was found goes with the riddle. Somebody who does not
//! exist is asked with a salt that is always the same for that name and keys that nobody knows, and
//! its proof is held against them at the same price. Whatever comes before the proof is no guess.
//! Nothing here takes longer than a few hashes or one signature, so it runs on the loop. Absent on
//! purpose: what is signed (the protocol's), and the verdict (`Policy::verified`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::hub::policy::{Claim, Login, Principal};
use crate::hub::riddle::{Judge, Kdf, Key, Riddle, Verdict, Way};

use super::cra::Cra;
use super::face::{Face, Looks};
use super::keyring::PublicKey;
use super::scram::{Hash, Pair};
use super::users::{Roll, User};

/// What an answer is held against.
enum Lock {
    Mac(Arc<Cra>),
    Pair(Pair),
    Signature(PublicKey),
}

/// A lock, and whom it lets in.
struct Held {
    lock: Lock,
    claim: Claim,
}

/// Ask whoever says it is `login.user`, or shows this key; `None` where this is not offered.
pub(super) fn pose(
    roll: &Roll,
    login: &Login<'_>,
    way: Way,
    key: Option<&PublicKey>,
    nonce: [u8; 32],
    principal: impl FnOnce(&Bytes, &User) -> Principal,
) -> Option<Riddle> {
    let name = named(roll, login, way, key)?;
    // Who has no proof of this kind is as if not there: asked, and never right.
    let able = |user: &User| Face::of(user).looks(way).is_some();
    let found = roll.users.get_key_value(&name).filter(|(_, user)| able(user));
    let looks = match found {
        // It named nobody and its key is nobody's: like somebody whose key is another's.
        None if login.user.is_empty() => Looks::PLAIN,
        _ => roll.looks(&name, way)?,
    };
    let (lock, salt) = match way {
        Way::Password => return None,
        Way::Mac => mac(roll, found, &name, looks),
        Way::Scram | Way::ScramText => pair(roll, found, &name, way, looks),
        Way::Signature => (Lock::Signature(*key?), Vec::new()),
    };
    let owner = found.filter(|(_, user)| match &lock {
        Lock::Signature(key) => user.keyring.public.contains(key),
        Lock::Mac(_) | Lock::Pair(_) => true,
    });
    let claim = Claim {
        principal: owner.map(|(name, user)| principal(name, user)),
        user: name,
        address: login.address,
        loopback: login.loopback,
        tag: 0,
    };
    let judge = Box::new(Held { lock, claim });
    Some(Riddle { nonce, kdf: looks.kdf, salt, judge })
}

/// Ask somebody whom another vouches for by this key; or somebody who looks so, for what nobody
/// knows.
pub(super) fn vouched(
    roll: &Roll,
    claim: Claim,
    key: Result<Key, (Kdf, usize)>,
    nonce: [u8; 32],
) -> Riddle {
    let (lock, kdf, salt) = match key {
        Ok(Key::Mac { key, kdf, salt }) => {
            (Lock::Mac(Arc::new(Cra::plain(key.bytes()))), kdf, salt)
        }
        Ok(Key::Public(key)) => (Lock::Signature(key), Kdf::Plain, Vec::new()),
        Err((kdf, len)) => {
            let nobodys = Cra::plain(&roll.secret(&claim.user));
            (Lock::Mac(Arc::new(nobodys)), kdf, roll.salt_text(&claim.user, len))
        }
    };
    Riddle { nonce, kdf, salt, judge: Box::new(Held { lock, claim }) }
}

/// Whom it claims to be: the name it gave, else the owner of the key it shows. A key that nobody
/// owns stands for itself, so that failures with it are counted on their own.
fn named(roll: &Roll, login: &Login<'_>, way: Way, key: Option<&PublicKey>) -> Option<Bytes> {
    if !login.user.is_empty() {
        return Some(Bytes::copy_from_slice(login.user));
    }
    let key = key.filter(|_| way == Way::Signature && roll.faces.any(way))?;
    let owner = roll.owners.get(key).cloned();
    // No name in a users file has control characters in it.
    Some(owner.unwrap_or_else(|| [&[0], &key[..]].concat().into()))
}

fn mac(roll: &Roll, found: Option<(&Bytes, &User)>, name: &[u8], looks: Looks) -> (Lock, Vec<u8>) {
    let nobodys = Arc::new(Cra::plain(&roll.secret(name)));
    match found.and_then(|(_, user)| user.keyring.cra.clone()) {
        Some(cra) => {
            let salt = cra.derived.as_ref().map(|it| it.salt.clone().into_bytes());
            (Lock::Mac(cra), salt.unwrap_or_default())
        }
        None => (Lock::Mac(nobodys), roll.salt_text(name, looks.salt)),
    }
}

fn pair(
    roll: &Roll,
    found: Option<(&Bytes, &User)>,
    name: &[u8],
    way: Way,
    looks: Looks,
) -> (Lock, Vec<u8>) {
    let nobodys = roll.secret(name);
    let Some((_, user)) = found else {
        let salt = match looks.kdf {
            Kdf::Argon2id { .. } => roll.salt(b"argon", name, looks.salt),
            Kdf::Plain | Kdf::Pbkdf2 { .. } => roll.salt(b"salt", name, looks.salt),
        };
        return (Lock::Pair(Pair { stored: nobodys, server: nobodys }), salt);
    };
    let argon = user.keyring.argon.as_ref().and_then(|argon| {
        let pair = if way == Way::ScramText { argon.text } else { argon.bytes };
        Some((pair?, argon.salt.clone()))
    });
    let usual = user.scram.as_ref().map(|keys| (keys.pair(), keys.salt.clone()));
    let (pair, salt) =
        argon.or(usual).unwrap_or((Pair { stored: nobodys, server: nobodys }, Vec::new()));
    (Lock::Pair(pair), salt)
}

impl Judge for Held {
    fn judge(&self, words: &[u8], proof: &[u8]) -> Verdict {
        let (proved, vouched) = match &self.lock {
            Lock::Mac(cra) => (cra.signed(words, proof), Vec::new()),
            Lock::Pair(pair) => {
                // What has another length is held to be all zero bits, which no proof is.
                let proof = Hash::try_from(proof).unwrap_or_default();
                (pair.proves(&proof, &[words]), pair.vouch(&[words]).to_vec())
            }
            Lock::Signature(key) => (signed(key, words, proof), Vec::new()),
        };
        Verdict { claim: self.claim.clone(), proved, vouched }
    }
}

// By hand, because what it holds is worth guessing with.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

#[cfg(feature = "tls")]
fn signed(key: &PublicKey, words: &[u8], signature: &[u8]) -> bool {
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    key.verify(words, signature).is_ok()
}

/// Nobody is asked for a signature that cannot be checked.
#[cfg(not(feature = "tls"))]
fn signed(_: &PublicKey, _: &[u8], _: &[u8]) -> bool {
    false
}
