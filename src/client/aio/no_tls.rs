//! Floor 5. The TLS of this client in a build without it: it says so.
//!
//! Absent on purpose: everything else.

use std::path::Path;

use crate::client::mqtt::Session;

use super::Error;
use super::keys::Pair;

pub(super) fn session(_: Option<&Path>, _: Option<&Pair>) -> Result<Session, Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}

pub(super) fn check(_: &str, _: &str) -> Result<(), Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}
