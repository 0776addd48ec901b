//! Floor 5. The client's TLS in a build without it: it says so.
//!
//! Absent on purpose: everything else.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::BytesMut;

use super::Error;
use super::setup::Tls;

/// Cannot be had.
#[derive(Debug)]
pub(crate) enum Session {}

/// Cannot be had either.
#[derive(Clone, Debug)]
pub(crate) enum Trust {}

impl Trust {
    pub(crate) fn new(_: &Tls) -> Result<Self, Error> {
        Err(Error::Tls("this program was built without it".to_owned()))
    }

    pub(crate) fn session(&self, _: &str) -> Result<Session, Error> {
        match *self {}
    }
}

impl Session {
    pub(crate) fn new(_: &Tls, _: &str) -> Result<Self, Error> {
        Err(Error::Tls("this program was built without it".to_owned()))
    }

    pub(crate) fn shown(&self) -> Option<&[u8]> {
        match *self {}
    }

    pub(crate) fn wants_write(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(crate) fn seal(&mut self, _: &[u8]) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn write_to(&mut self, _: &mut impl Write) -> std::io::Result<usize> {
        match *self {}
    }

    pub(crate) fn read_from(
        &mut self,
        _: &mut impl Read,
        _: &mut BytesMut,
    ) -> Result<usize, Broken> {
        match *self {}
    }

    pub(crate) fn close(&mut self) {
        match *self {}
    }
}

pub(super) fn ask(_: &Tls, _: &str, _: TcpStream, _: &[u8]) -> Result<Box<dyn Read + Send>, Error> {
    Err(Error::Tls("this program was built without it".to_owned()))
}

/// Why nothing was read.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(std::io::Error),
    Tls(Error),
}
