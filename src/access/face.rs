//! Floor 3. What a stranger can see of a user before any proof, and what is seen of nobody.
//!
//! Which ways are offered and how a key is to be made differs from user to user, so somebody who
//! does not exist must have such a face too. A name that is not there takes the face of somebody
//! who is, chosen by the name and nothing else: the same name has the same face as long as the file
//! is the same, and faces are as frequent among the made-up as among the real. Absent on purpose:
//! salts and keys of the made-up (`users`).

use crate::hub::riddle::{Kdf, Way};

use super::users::{Proof, User};

/// How a key is made, as it is told before a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Looks {
    pub(super) kdf: Kdf,
    /// Bytes of the salt.
    pub(super) salt: usize,
}

impl Looks {
    /// Nothing is derived.
    pub(super) const PLAIN: Self = Self { kdf: Kdf::Plain, salt: 0 };
}

/// What is seen of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Face {
    password: bool,
    mac: Option<Looks>,
    scram: Option<Looks>,
    text: Option<Looks>,
    signature: bool,
    /// Of SCRAM-SHA-256, which other protocols show.
    pub(super) keys: Option<Looks>,
}

impl Face {
    pub(super) fn of(user: &User) -> Self {
        let argon = user.keyring.argon.as_ref();
        let looks = |there: bool| {
            let argon = argon.filter(|_| there)?;
            let kdf = Kdf::Argon2id { rounds: argon.rounds, memory_kib: argon.memory_kib };
            Some(Looks { kdf, salt: argon.salt.len() })
        };
        let usual = user.scram.as_ref().map(|keys| Looks {
            kdf: Kdf::Pbkdf2 { rounds: keys.rounds, len: 32 },
            salt: keys.salt.len(),
        });
        Self {
            password: !matches!(user.proof, Proof::None),
            mac: user.keyring.cra.as_ref().map(|cra| match &cra.derived {
                Some(it) => Looks {
                    kdf: Kdf::Pbkdf2 { rounds: it.rounds, len: it.len },
                    salt: it.salt.len(),
                },
                None => Looks::PLAIN,
            }),
            scram: looks(argon.is_some_and(|it| it.bytes.is_some())).or(usual),
            text: looks(argon.is_some_and(|it| it.text.is_some())),
            signature: cfg!(feature = "tls") && !user.keyring.public.is_empty(),
            keys: usual,
        }
    }

    /// How it looks in this way; nothing where it is not offered.
    pub(super) fn looks(&self, way: Way) -> Option<Looks> {
        match way {
            Way::Password => self.password.then_some(Looks::PLAIN),
            Way::Mac => self.mac,
            Way::Scram => self.scram,
            Way::ScramText => self.text,
            Way::Signature => self.signature.then_some(Looks::PLAIN),
        }
    }
}

/// The faces of all users, each once, with how many have it.
#[derive(Debug, Default)]
pub(super) struct Faces {
    all: Vec<(Face, u64)>,
    total: u64,
}

impl Faces {
    pub(super) fn add(&mut self, face: Face) {
        self.total += 1;
        match self.all.iter_mut().find(|(known, _)| *known == face) {
            Some((_, count)) => *count += 1,
            None => self.all.push((face, 1)),
        }
    }

    /// The face that goes with this number; none where there is nobody.
    pub(super) fn pick(&self, number: u64) -> Face {
        let mut left = number.checked_rem(self.total).unwrap_or(0);
        for (face, count) in &self.all {
            match left.checked_sub(*count) {
                Some(less) => left = less,
                None => return *face,
            }
        }
        Face::default()
    }

    /// How the first of those looks who look in this way.
    pub(super) fn one(&self, way: Way) -> Option<Looks> {
        self.all.iter().find_map(|(face, _)| face.looks(way))
    }

    /// Does anybody show himself in this way?
    pub(super) fn any(&self, way: Way) -> bool {
        self.all.iter().any(|(face, _)| face.looks(way).is_some())
    }
}
