//! Floor 6. Private keys of a build without TLS: there are none.
//!
//! Certificates can still be looked into. Absent on purpose: everything else.

use std::path::Path;

/// A private key, of which there is none.
pub(super) enum Key {}

impl Key {
    pub(super) fn generate() -> Result<(Self, Vec<u8>), String> {
        Err(NO_TLS.to_owned())
    }

    pub(super) fn read(_: &Path) -> Result<Self, String> {
        Err(NO_TLS.to_owned())
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, String> {
        match *self {}
    }

    pub(super) fn algorithm(&self) -> Vec<u8> {
        match *self {}
    }

    pub(super) fn sign(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }

    pub(super) fn has_signed(&self, _: &[u8]) -> bool {
        match *self {}
    }
}

const NO_TLS: &str = "this program was built without TLS, and makes no certificates";
