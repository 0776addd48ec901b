//! Floor 3. What a client is asked and what it signs, in the words of each method.
//!
//! A challenge is made of what the policy cannot give twice. The words that are signed are put
//! together once, when the question is, so an answer can change nothing of them: it is compared
//! with them or it fails. What makes no sense is judged as a proof that is wrong, so it counts as a
//! guess and is told nothing else. Absent on purpose: keys, and whether the proof is good.

use super::super::options::{AuthExtra, ChallengeExtra, More};
use super::super::packet::{Authenticate, Hello};
use super::super::parts::{Amount, Raw, Text};
use super::Kind;
use crate::base::base64;
use crate::base::calendar::rfc3339;
use crate::base::hex;
use crate::base::json::Writer;
use crate::base::time::Now;
use crate::hub::riddle::{Kdf, Riddle};
use crate::value::Form;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) riddle: Riddle,
    /// What is signed.
    pub(super) words: Vec<u8>,
    kind: Kind,
    /// Both random texts, where an answer repeats them.
    nonce: String,
}

impl Asked {
    /// The question, and how it is told.
    pub(super) fn new(
        kind: Kind,
        id: u64,
        riddle: Riddle,
        hello: &Hello,
        now: Now,
    ) -> (Self, ChallengeExtra) {
        let authid = hello.details.authid.as_ref().map_or("", Text::as_str);
        Self::of((kind, id), riddle, (authid, nonce_of(hello).unwrap_or_default()), now)
    }

    /// The same for who is called so, and has drawn this.
    pub(super) fn of(
        (kind, id): (Kind, u64),
        riddle: Riddle,
        (authid, theirs): (&str, &str),
        now: Now,
    ) -> (Self, ChallengeExtra) {
        let mut extra = ChallengeExtra::default();
        let (words, nonce) = match kind {
            Kind::Scram | Kind::ScramText => scram(kind, authid, theirs, &riddle, &mut extra),
            Kind::Cryptosign => {
                extra.challenge = Some(hex::encode(&riddle.nonce).into());
                (riddle.nonce.to_vec(), String::new())
            }
            Kind::Anonymous | Kind::Tls | Kind::Cookie | Kind::Ticket | Kind::Cra => {
                (cra(authid, id, now, &riddle, &mut extra), String::new())
            }
        };
        (Self { riddle, words, kind, nonce }, extra)
    }

    /// The proof in an answer; empty when there is none in it.
    pub(super) fn proof(&self, said: &Authenticate) -> Result<Vec<u8>, &'static str> {
        let (text, extra) = (said.signature.as_str(), &said.extra);
        if is_said(extra.channel_binding.as_ref()) || binds(extra.cbind_data.as_ref()) {
            return Err(NO_BINDING);
        }
        Ok(match self.kind {
            Kind::Cryptosign => self.signature(text).unwrap_or_default(),
            // The nonce stands in the words as well; who repeats it must repeat it as it was.
            _ if extra.nonce.as_ref().is_some_and(|it| it.as_str() != self.nonce) => Vec::new(),
            _ => base64::decode(text.as_bytes()).unwrap_or_default(),
        })
    }

    /// The signature is followed by what was signed, which must be what was asked: else a signature
    /// that was overheard elsewhere would do.
    fn signature(&self, text: &str) -> Option<Vec<u8>> {
        let bytes = hex::decode(text.as_bytes())?;
        let (signature, message) = bytes.split_at_checked(SIGNATURE)?;
        (message == self.words).then(|| signature.to_vec())
    }

    /// What WELCOME says, so that the client knows whom it talks to.
    pub(super) fn last_words(&self, vouched: &[u8]) -> Option<Box<AuthExtra>> {
        let mut extra = AuthExtra::default();
        match self.kind {
            Kind::Scram => extra.verifier = Some(format!("v={}", base64::encode(vouched)).into()),
            Kind::ScramText => {
                let bytes = format!("\"{}\"", base64::encode(vouched)).into();
                let raw = Raw { form: Form::Json, bytes };
                extra.more = More(vec![("scram_server_signature".into(), raw)]);
            }
            _ => return None,
        }
        Some(Box::new(extra))
    }
}

/// Is there in the HELLO what the method needs? The public key, where it needs one.
pub(super) fn check(kind: Kind, hello: &Hello) -> Result<Option<[u8; 32]>, &'static str> {
    let extra = hello.details.authextra.as_deref();
    if is_said(extra.and_then(|extra| extra.channel_binding.as_ref())) {
        return Err(NO_BINDING);
    }
    match kind {
        Kind::Scram | Kind::ScramText => match nonce_of(hello) {
            Some(nonce) if kind == Kind::Scram || octets(nonce).is_some() => Ok(None),
            Some(_) => Err("invalid nonce"),
            None => Err("missing nonce"),
        },
        Kind::Cryptosign => {
            let key = extra.and_then(|extra| extra.pubkey.as_ref()).ok_or("missing pubkey")?;
            let key = hex::decode(key.as_str().as_bytes()).and_then(|key| key.try_into().ok());
            key.map(Some).ok_or("invalid pubkey")
        }
        Kind::Anonymous | Kind::Tls | Kind::Cookie | Kind::Ticket | Kind::Cra => Ok(None),
    }
}

/// The client's random text: printed letters without a comma, because it stands between commas.
fn nonce_of(hello: &Hello) -> Option<&str> {
    let nonce = hello.details.authextra.as_deref()?.nonce.as_ref()?.as_str();
    let tame = nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    (tame && (1..=NONCE_MAX).contains(&nonce.len())).then_some(nonce)
}

fn octets(nonce: &str) -> Option<Vec<u8>> {
    base64::decode(nonce.as_bytes())
}

/// WAMP-CRA: a text in JSON is signed as it stands. What is known only after the proof, the role,
/// it does not say: that would tell strangers about users, or who is none.
fn cra(authid: &str, id: u64, now: Now, riddle: &Riddle, extra: &mut ChallengeExtra) -> Vec<u8> {
    let mut json = Writer::new();
    json.open()
        .field("authid", authid)
        .field("authrole", "")
        .field("authmethod", Kind::Cra.name())
        .field("authprovider", super::PROVIDER)
        .field("nonce", &base64::encode(&riddle.nonce))
        .field("timestamp", &rfc3339(now.wall))
        .field("session", id)
        .close();
    let words = json.take();
    extra.challenge = Some(String::from_utf8_lossy(&words).into_owned().into());
    if let Kdf::Pbkdf2 { rounds, len } = riddle.kdf {
        extra.salt = Some(String::from_utf8_lossy(&riddle.salt).into_owned().into());
        extra.iterations = Some(Amount(rounds.into()));
        extra.keylen = Some(Amount(len.into()));
    }
    words
}

/// SCRAM: the words of RFC 5802, and both random texts. One dialect joins the texts and writes
/// that nothing binds to TLS as `biws`; the other joins what the texts stand for and writes
/// nothing.
fn scram(
    kind: Kind,
    authid: &str,
    theirs: &str,
    riddle: &Riddle,
    extra: &mut ChallengeExtra,
) -> (Vec<u8>, String) {
    let joined = match kind {
        Kind::ScramText => {
            let theirs = octets(theirs).unwrap_or_default();
            base64::encode(&[&theirs[..], &riddle.nonce].concat())
        }
        _ => format!("{theirs}{}", base64::encode(&riddle.nonce)),
    };
    let (name, bound) = match kind {
        Kind::ScramText => (authid.to_owned(), ""),
        _ => (authid.replace('=', "=3D").replace(',', "=2C"), UNBOUND),
    };
    let salt = base64::encode(&riddle.salt);
    let (kdf, rounds, memory) = match riddle.kdf {
        Kdf::Argon2id { rounds, memory_kib } if kind == Kind::ScramText => {
            ("argon2id-13", rounds, Some(memory_kib))
        }
        Kdf::Argon2id { rounds, memory_kib } => ("argon2id13", rounds, Some(memory_kib)),
        Kdf::Pbkdf2 { rounds, .. } => ("pbkdf2", rounds, None),
        Kdf::Plain => ("pbkdf2", 1, None),
    };
    let words = format!("n={name},r={theirs},r={joined},s={salt},i={rounds},c={bound},r={joined}");
    extra.nonce = Some(joined.as_str().into());
    extra.salt = Some(salt.into());
    extra.kdf = Some(kdf.into());
    extra.iterations = Some(Amount(rounds.into()));
    extra.memory = memory.map(|kib| Amount(kib.into()));
    (words.into_bytes(), joined)
}

fn is_said(text: Option<&Text>) -> bool {
    text.is_some_and(|text| !text.bytes().is_empty())
}

/// Does an answer bind? The word for nothing, as it stands in the words, does not.
fn binds(data: Option<&Text>) -> bool {
    is_said(data.filter(|data| data.as_str() != UNBOUND))
}

const NO_BINDING: &str = "channel binding is not supported";
/// The Base64 of `n,,`: no binding, and nobody else's name.
const UNBOUND: &str = "biws";
/// A client's nonce; it is sent back, so it is not to be long.
const NONCE_MAX: usize = 256;
/// Bytes of a signature of Ed25519.
const SIGNATURE: usize = 64;
