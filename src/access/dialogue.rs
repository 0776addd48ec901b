//! Floor 3. A login by SCRAM-SHA-256 (RFC 5802, section 5): three messages, and who is told what.
//!
//! It holds the users as they were when it began and looks nobody up twice. Somebody who does not
//! exist gets a salt that is always the same for that name, and is refused at the same step as
//! somebody with a wrong password, so that nothing tells them apart. How it ended is a claim like
//! that of a password: the policy counts failures, and knows whether the users are still the same.
//! Whatever comes before the proof is no guess. Nothing here takes longer than a few hashes, so it
//! runs on the loop. Absent on purpose: channel binding (clients that
//! insist on it are refused), extensions that must be understood, acting for somebody else.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::base64;
use crate::hub::edition::Edition;
use crate::hub::policy::{Address, Claim, Dialogue, Principal, Refusal, Turn};

use super::scram::{Hash, Keys};
use super::users::Roll;

/// What a dialogue knows when it begins.
pub(super) struct Terms {
    pub(super) roll: Arc<Roll>,
    pub(super) edition: Edition,
    /// The user name the connection gave beside the dialogue; empty when it gave none.
    pub(super) user: Bytes,
    pub(super) client_id: Bytes,
    pub(super) address: Address,
    pub(super) loopback: bool,
    /// Never given to anybody else.
    pub(super) nonce: u128,
}

/// The broker's side of one login.
pub(super) struct Scram {
    terms: Terms,
    step: Step,
}

enum Step {
    /// Nothing was said yet; `true`: the client was asked to begin.
    First(bool),
    Final(Box<Begun>),
    Over,
}

/// What the client's last message is held against.
struct Begun {
    user: Bytes,
    keys: Arc<Keys>,
    /// Who it will be; nobody when the keys are nobody's.
    principal: Option<Principal>,
    /// The client's head, in Base64, as it must come back.
    head: String,
    nonce: String,
    /// The first two messages as they are signed.
    words: Vec<u8>,
}

impl Scram {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, step: Step::First(false) }
    }

    fn first(&mut self, data: &[u8]) -> Option<Bytes> {
        let (head, bare) = split_head(data)?;
        let hello = Hello::parse(head, bare)?;
        let Hello { user, nonce } = hello;
        let terms = &self.terms;
        let user = Bytes::from(user);
        // Two names in one login: whoever is meant, it cannot be both.
        let one_name = terms.user.is_empty() || terms.user == user;
        let found = terms.roll.users.get(&user).filter(|_| one_name);
        let known = found.and_then(|found| Some((found, found.scram.clone()?)));
        let nobody = terms.roll.nobody(&user);
        let (keys, principal) = match known {
            Some((found, keys)) => (keys, Some(self.principal(&user, found.group))),
            None => (Arc::new(nobody), None),
        };
        let nonce = format!("{nonce}{}", base64::encode(&self.terms.nonce.to_be_bytes()));
        let answer = format!("r={nonce},s={},i={}", base64::encode(&keys.salt), keys.rounds);
        let words = [bare, b",", answer.as_bytes(), b","].concat();
        let head = base64::encode(head);
        self.step = Step::Final(Box::new(Begun { user, keys, principal, head, nonce, words }));
        Some(Bytes::from(answer))
    }

    fn last(&self, begun: Begun, data: &[u8]) -> Option<Turn> {
        let (said, proof) = split_proof(data)?;
        let mut fields = said.split(|b| *b == b',');
        let head = fields.next()?.strip_prefix(b"c=")?;
        let nonce = fields.next()?.strip_prefix(b"r=")?;
        if head != begun.head.as_bytes() || nonce != begun.nonce.as_bytes() {
            return None;
        }
        let words = [&begun.words[..], said];
        let proved = begun.keys.proves(&proof, &words);
        let last = format!("v={}", base64::encode(&begun.keys.vouch(&words)));
        let claim = Claim {
            principal: begun.principal,
            user: begun.user,
            address: self.terms.address,
            loopback: self.terms.loopback,
            tag: 0,
        };
        Some(Turn::Over { claim, proved, last: Bytes::from(last) })
    }

    fn principal(&self, user: &Bytes, group: u32) -> Principal {
        Principal {
            user: user.clone(),
            client_id: self.terms.client_id.clone(),
            group,
            durable: true,
            edition: self.terms.edition,
        }
    }
}

impl Dialogue for Scram {
    fn on_data(&mut self, data: &[u8]) -> Turn {
        match core::mem::replace(&mut self.step, Step::Over) {
            // A client may name the method first and begin when it is asked to.
            Step::First(false) if data.is_empty() => {
                self.step = Step::First(true);
                Turn::More(Bytes::new())
            }
            Step::First(_) => self.first(data).map_or(Turn::No(Refusal::Malformed), Turn::More),
            Step::Final(begun) => self.last(*begun, data).unwrap_or(Turn::No(Refusal::Malformed)),
            Step::Over => Turn::No(Refusal::Malformed),
        }
    }
}

// By hand, because what it holds is worth guessing with.
impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::First(_) => "first",
            Step::Final(_) => "final",
            Step::Over => "over",
        };
        f.debug_struct("Scram").field("step", &step).finish_non_exhaustive()
    }
}

/// What a client begins with.
struct Hello<'a> {
    user: Vec<u8>,
    nonce: &'a str,
}

impl<'a> Hello<'a> {
    fn parse(head: &[u8], bare: &'a [u8]) -> Option<Self> {
        let mut fields = bare.split(|b| *b == b',');
        let user = unescape(fields.next()?.strip_prefix(b"n=")?)?;
        let nonce = fields.next()?.strip_prefix(b"r=")?;
        // What follows are extensions; those that must be understood come first, as `m=`.
        let tame = |b: &u8| b.is_ascii_graphic() && *b != b',';
        if user.is_empty() || !(1..=NONCE_MAX).contains(&nonce.len()) || !nonce.iter().all(tame) {
            return None;
        }
        let mut head = head.split(|b| *b == b',');
        let acting_for = match (head.next()?, head.next()?) {
            (b"n" | b"y", b"") => return Some(Self { user, nonce: str::from_utf8(nonce).ok()? }),
            (b"n" | b"y", other) => unescape(other.strip_prefix(b"a=")?)?,
            _ => return None,
        };
        let nonce = str::from_utf8(nonce).ok()?;
        (acting_for == user).then_some(Self { user, nonce })
    }
}

/// The part about channel binding and acting for others, with its commas, and the rest.
fn split_head(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut commas = data.iter().enumerate().filter(|(_, b)| **b == b',').map(|(i, _)| i);
    let at = commas.nth(1)? + 1;
    data.split_at_checked(at)
}

/// What is signed, and the proof, which stands last.
fn split_proof(data: &[u8]) -> Option<(&[u8], Hash)> {
    let at = data.windows(3).rposition(|three| three == b",p=")?;
    let (said, proof) = data.split_at_checked(at)?;
    let proof = base64::decode(proof.get(3..)?)?;
    Some((said, proof.try_into().ok()?))
}

/// A name, in which `,` and `=` are written `=2C` and `=3D`.
fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        match first {
            b'=' => {
                let (code, after) = rest.split_at_checked(2)?;
                name.push(match code {
                    b"2C" => b',',
                    b"3D" => b'=',
                    _ => return None,
                });
                text = after;
            }
            0 => return None,
            byte => name.push(*byte),
        }
    }
    Some(name)
}

/// A client's nonce; it is sent back, so it is not to be long.
const NONCE_MAX: usize = 256;
