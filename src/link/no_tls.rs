//! Floor 1. TLS in a program that was built without it: types nobody can make a value of.

use bytes::BytesMut;

use super::Flaw;
use crate::base::outbound::Outbound;
use crate::base::time::Now;

/// What a listener would do TLS by.
#[derive(Clone, Debug)]
pub enum Config {}

impl Config {
    /// Never called.
    #[must_use]
    pub fn until(&self) -> Option<u64> {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn is_alike(&self, _: &Self) -> bool {
        match *self {}
    }
}

/// How another end would be spoken to.
#[derive(Clone, Debug)]
pub enum Toward {}

/// One connection's TLS.
#[derive(Debug)]
pub enum Tls {}

impl Tls {
    /// Never called.
    pub fn toward(toward: &Toward) -> Result<Self, Flaw> {
        match *toward {}
    }
    /// Never called.
    pub fn new(config: &Config) -> Result<Self, Flaw> {
        match *config {}
    }
    /// Never called.
    pub fn take(&mut self, _: Now, _: &[u8], _: &mut BytesMut) -> Result<(), Flaw> {
        match *self {}
    }
    /// Never called.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match *self {}
    }
    /// Never called.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match *self {}
    }
    /// Never called.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match *self {}
    }
    /// Never called.
    #[must_use]
    pub fn has_words(&self) -> bool {
        match *self {}
    }
    /// Never called.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        match *self {}
    }
    /// Never called.
    pub fn seal(&mut self, _: &Outbound, _: usize) {
        match *self {}
    }
    /// Never called.
    pub fn seal_backlog(&mut self, _: usize) {
        match *self {}
    }
    /// Never called.
    pub fn close(&mut self) {
        match *self {}
    }
    /// Never called.
    pub fn drain(&mut self, _: &mut Outbound) {
        match *self {}
    }
}
