//! Floor 5. The TLS of this client in a build without it: it says so.
//!
//! Absent on purpose: everything else.

use crate::client::mqtt::Session;

use super::keys::{Pair, Whom};
use super::{Error, Fingerprint};

pub(super) fn session(_: Whom<'_>, _: Option<&Pair>) -> Result<Session, Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}

pub(super) fn check(_: &str, _: &str) -> Result<(), Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}

pub(super) fn pair(_: &str, _: &str) -> Result<Fingerprint, Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}

/// Cannot be had.
#[derive(Clone, Debug)]
pub(super) enum Offer {}

impl Offer {
    pub(super) fn new(_: &str, _: &str) -> Result<Self, Error> {
        Err(Error::Tls("this program was built without it".to_owned()))
    }

    pub(super) fn asking(_: &str, _: &str) -> Result<Self, Error> {
        Err(Error::Tls("this program was built without it".to_owned()))
    }

    pub(super) fn session(&self) -> Result<Session, Error> {
        match *self {}
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match *self {}
    }
}
