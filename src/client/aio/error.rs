//! Floor 5. Everything that can go wrong for a client of aioconnectors, and how it is told.
//!
//! An end is told to everybody who waits, so an error can be cloned. The protocol has no word for a
//! refusal: a server that says no hangs up. Absent on purpose: exit codes.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::client::mqtt;
use crate::client::pipe::Broke;
use crate::proto::aio::TooLong;
use crate::proto::fault::Fault;

/// What went wrong.
#[derive(Clone, Debug)]
pub enum Error {
    /// The name of the server's machine cannot be found.
    Lookup(Arc<io::Error>),
    /// The server cannot be reached.
    Dial(Arc<io::Error>),
    /// TLS: files that cannot be used, or a handshake that failed.
    Tls(String),
    /// The server did not let us in: what we had asked when it hung up.
    Refused(&'static str),
    /// The server broke the protocol.
    Protocol(Fault),
    /// The connection has ended without a word.
    Lost,
    /// Reading or writing failed.
    Io(Arc<io::Error>),
    /// No answer to a ping.
    Silent,
    /// Not within the time given.
    TimedOut,
    /// We have left.
    Left,
    /// Too much waits already.
    Full,
    /// What the other side said could not be kept; it is not acknowledged, and may be said again.
    Unkept,
    /// No frame can hold it.
    TooLarge,
    /// A question of this type with this id is open already.
    Open,
    /// A setting that cannot be: which.
    Setting(&'static str),
    /// A file of ours: which, and what is the matter with it.
    File(String),
}

impl Error {
    pub(super) fn io(e: io::Error) -> Self {
        Self::Io(Arc::new(e))
    }

    pub(super) fn file(path: &Path, why: impl fmt::Display) -> Self {
        Self::File(format!("{}: {why}", path.display()))
    }

    /// Another connection may do better.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Lookup(_)
                | Self::Dial(_)
                | Self::Lost
                | Self::Io(_)
                | Self::Silent
                | Self::TimedOut
                | Self::Unkept
        )
    }
}

impl From<Broke> for Error {
    fn from(broke: Broke) -> Self {
        match broke {
            Broke::Lookup(e) => Self::Lookup(Arc::new(e)),
            Broke::Dial(e) => Self::Dial(Arc::new(e)),
            Broke::Tls(why) => Self::Tls(why),
            Broke::Io(e) => Self::io(e),
            Broke::Lost => Self::Lost,
            Broke::HungUp => Self::Tls("the server hung up".to_owned()),
            Broke::TimedOut => Self::TimedOut,
        }
    }
}

/// TLS is shared with the other clients.
impl From<mqtt::Error> for Error {
    fn from(error: mqtt::Error) -> Self {
        Broke::from(error).into()
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Protocol(fault)
    }
}

impl From<TooLong> for Error {
    fn from(_: TooLong) -> Self {
        Self::TooLarge
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(e) => write!(f, "the server's name cannot be found: {e}"),
            Self::Dial(e) => write!(f, "the server cannot be reached: {e}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Refused(what) => write!(f, "the server hung up when {what}"),
            Self::Protocol(fault) => write!(f, "the server broke the protocol: {fault}"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Io(e) => write!(f, "the connection was lost: {e}"),
            Self::Silent => f.write_str("the server does not answer pings"),
            Self::TimedOut => f.write_str("not within the time given"),
            Self::Left => f.write_str("not connected: this client has left"),
            Self::Full => f.write_str("too much waits already"),
            Self::Unkept => f.write_str("what was said here could not be kept"),
            Self::TooLarge => f.write_str("longer than a frame can be"),
            Self::Open => f.write_str("a question of this type with this id is open already"),
            Self::Setting(which) => write!(f, "a setting that cannot be: {which}"),
            Self::File(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lookup(e) | Self::Dial(e) | Self::Io(e) => Some(&**e),
            _ => None,
        }
    }
}
