//! Floor 3. The keys of a user that no password is held against: WAMP's, as a users file has them.
//!
//! They stand beside what proves a password, or alone. A public key belongs to one user, so that it
//! can stand for the name. Absent on purpose: what they open (`challenge`), and SCRAM-SHA-256,
//! whose keys other protocols know too (`scram`).

use std::sync::Arc;

use super::argon::Argon;
use super::cra::Cra;
use crate::base::hex;

/// A public key of Ed25519.
pub(super) type PublicKey = [u8; 32];

/// The keys of one user.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Keyring {
    pub(super) cra: Option<Arc<Cra>>,
    pub(super) argon: Option<Arc<Argon>>,
    pub(super) public: Vec<PublicKey>,
}

impl Keyring {
    pub(super) fn is_empty(&self) -> bool {
        self.cra.is_none() && self.argon.is_none() && self.public.is_empty()
    }
}

/// 64 digits, as clients write it.
pub(super) fn public_key(text: &str) -> Option<PublicKey> {
    hex::decode(text.as_bytes())?.try_into().ok()
}

/// How many public keys a user may have.
pub(super) const PUBLIC_MAX: usize = 64;
