//! Floor 5. How a WAMP client proves who it is: one answer to one CHALLENGE, for each method.
//!
//! A router chooses what this side has to compute, so rounds have a bound, and of SCRAM the router
//! has to prove in turn that it knows the password. Absent on purpose: Argon2, binding to TLS,
//! cookies.

use sha2::Sha256;

use crate::access::keyed::{Keyed, stretch};
use crate::access::scram::client_final;
use crate::base::base64;
use crate::proto::wamp::Text;
use crate::proto::wamp::options::{AuthExtra, AuthenticateExtra, ChallengeExtra, WelcomeDetails};
use crate::proto::wamp::packet::{Authenticate, Challenge};

use super::Error;

/// One way of proving it.
#[derive(Clone)]
pub(super) enum Way {
    Ticket(String),
    /// The secret as it is, or the password it is derived from: the router says which.
    Cra(String),
    Scram(String),
    #[cfg(feature = "tls")]
    Sign(sign::Key),
}

impl Way {
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Ticket(_) => "ticket",
            Self::Cra(_) => "wampcra",
            Self::Scram(_) => "wamp-scram",
            #[cfg(feature = "tls")]
            Self::Sign(_) => "cryptosign",
        }
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.method())
    }
}

/// One login.
pub(super) struct Proof<'a> {
    ways: &'a [Way],
    user: &'a str,
    nonce: String,
    /// What a router that knows the password says in its WELCOME.
    verifier: Option<String>,
}

impl<'a> Proof<'a> {
    /// Of somebody, by any of these ways; `random` is for this login only.
    pub(super) fn new(ways: &'a [Way], user: &'a str, random: [u8; 16]) -> Self {
        Self { ways, user, nonce: base64::encode(&random), verifier: None }
    }

    /// The names of the methods, for HELLO.
    pub(super) fn methods(&self) -> Vec<Text> {
        match self.ways {
            [] => vec!["anonymous".into()],
            ways => ways.iter().map(|way| way.method().into()).collect(),
        }
    }

    /// What HELLO has to say for them.
    pub(super) fn extra(&self) -> Option<Box<AuthExtra>> {
        let mut extra = AuthExtra::default();
        for way in self.ways {
            match way {
                Way::Ticket(_) | Way::Cra(_) => {}
                Way::Scram(_) => extra.nonce = Some(self.nonce.as_str().into()),
                #[cfg(feature = "tls")]
                Way::Sign(key) => extra.pubkey = Some(key.public().into()),
            }
        }
        (extra != AuthExtra::default()).then(|| Box::new(extra))
    }

    /// The answer to a challenge.
    pub(super) fn on_challenge(&mut self, asked: &Challenge) -> Result<Authenticate, Error> {
        let ways = self.ways;
        let way = ways.iter().find(|way| way.method() == asked.method.as_str());
        let way = way.ok_or(Error::Proof("the router asks for a method that was not offered"))?;
        let mut extra = AuthenticateExtra::default();
        let signature = match way {
            Way::Ticket(ticket) => ticket.clone(),
            Way::Cra(secret) => cra(secret, &asked.extra)?,
            Way::Scram(password) => {
                let (proof, nonce) = self.scram(password, &asked.extra)?;
                extra.nonce = Some(nonce);
                proof
            }
            #[cfg(feature = "tls")]
            Way::Sign(key) => key.answer(&asked.extra)?,
        };
        Ok(Authenticate { signature: signature.into(), extra })
    }

    /// We are in: has the router proved what it had to prove?
    pub(super) fn on_welcome(&self, details: &WelcomeDetails) -> Result<(), Error> {
        let Some(due) = &self.verifier else { return Ok(()) };
        let said = details.authextra.as_ref().and_then(|extra| extra.verifier.as_ref());
        match said {
            Some(said) if said.as_str() == due => Ok(()),
            _ => Err(Error::Proof("the router does not know the password")),
        }
    }

    fn scram(&mut self, password: &str, asked: &ChallengeExtra) -> Result<(String, Text), Error> {
        let missing = || Error::Proof("the challenge lacks something");
        if asked.kdf.as_ref().is_some_and(|kdf| kdf.as_str() != "pbkdf2") {
            return Err(Error::Proof("the router derives keys in another way than by PBKDF2"));
        }
        let nonce = asked.nonce.clone().ok_or_else(missing)?;
        let ours = nonce.as_str().strip_prefix(&self.nonce);
        if ours.is_none_or(|theirs| theirs.is_empty() || theirs.contains(',')) {
            return Err(Error::Proof("the router's nonce does not continue ours"));
        }
        let salt = asked.salt.as_ref().ok_or_else(missing)?;
        let rounds = asked.iterations.ok_or_else(missing)?.0;
        let user = self.user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={}", self.nonce);
        let answer = format!("r={nonce},s={salt},i={rounds}");
        let odd = Error::Proof("a salt that is no base64, or too many rounds");
        let (last, verifier) = client_final(password.as_bytes(), &bare, &answer).ok_or(odd)?;
        let proof = last.rsplit_once(",p=").map(|(_, proof)| proof.to_owned());
        self.verifier = Some(verifier);
        Ok((proof.ok_or_else(missing)?, nonce))
    }
}

fn cra(secret: &str, asked: &ChallengeExtra) -> Result<String, Error> {
    let challenge = asked.challenge.as_ref().ok_or(Error::Proof("the challenge is empty"))?;
    let key = match &asked.salt {
        None => secret.to_owned(),
        Some(salt) => {
            let rounds = asked.iterations.map_or(1_000, |n| n.0);
            let rounds = u32::try_from(rounds).ok().filter(|n| (1..=ROUNDS_MAX).contains(n));
            let rounds = rounds.ok_or(Error::Proof("no rounds, or too many"))?;
            let len = asked.keylen.map_or(32, |n| n.0);
            let key = stretch::<Sha256>(secret.as_bytes(), salt.as_str().as_bytes(), rounds);
            let key = usize::try_from(len).ok().filter(|n| *n > 0).and_then(|n| key.get(..n));
            // What signs is the text of the key, not the key.
            base64::encode(key.ok_or(Error::Proof("a key longer than its hash"))?)
        }
    };
    let signed = Keyed::<Sha256>::new(key.as_bytes()).sign(&[challenge.as_str().as_bytes()]);
    Ok(base64::encode(&signed))
}

/// About a second on a small machine.
const ROUNDS_MAX: u32 = 1_000_000;

#[cfg(feature = "tls")]
pub(super) mod sign {
    //! Ed25519, by the library that TLS brings.

    use std::sync::Arc;

    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::{ChallengeExtra, Error};

    /// A private key.
    #[derive(Clone)]
    pub(crate) struct Key(Arc<Ed25519KeyPair>);

    impl Key {
        /// From its seed, 32 octets in hex.
        pub(crate) fn of(seed: &str) -> Option<Self> {
            let seed = octets(seed.trim()).filter(|seed| seed.len() == 32)?;
            Ed25519KeyPair::from_seed_unchecked(&seed).ok().map(|key| Self(Arc::new(key)))
        }

        /// The public half, in hex.
        pub(crate) fn public(&self) -> String {
            hex(self.0.public_key().as_ref())
        }

        /// The signature, and behind it what was signed.
        pub(super) fn answer(&self, asked: &ChallengeExtra) -> Result<String, Error> {
            if asked.channel_binding.is_some() {
                return Err(Error::Proof("the router wants the login bound to TLS"));
            }
            let challenge = asked.challenge.as_ref().and_then(|text| octets(text.as_str()));
            let challenge = challenge.filter(|it| it.len() == 32);
            // A signature of anything longer could be used for something else.
            let challenge = challenge.ok_or(Error::Proof("the challenge is no 32 octets"))?;
            let signature = self.0.sign(&challenge);
            Ok(hex(signature.as_ref()) + &hex(&challenge))
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn octets(text: &str) -> Option<Vec<u8>> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |letter: u8| char::from(letter).to_digit(16);
        let octet = |[a, b]: &[u8; 2]| Some((digit(*a)? << 4 | digit(*b)?) as u8);
        pairs.iter().map(octet).collect::<Option<_>>().filter(|_| rest.is_empty())
    }
}
