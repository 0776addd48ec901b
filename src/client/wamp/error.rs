//! Floor 5. Everything that can go wrong for a WAMP client, and how it is told.
//!
//! An end is told to everybody who waits, so an error can be cloned. What a router or a callee says
//! goes to terminals: controls are escaped where it is shown. Absent on purpose: exit codes.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::client::mqtt;
use crate::client::pipe::Broke;
use crate::value::Flaw;

use super::Payload;

/// What went wrong.
#[derive(Clone, Debug)]
pub enum Error {
    /// The name of the router's machine cannot be found.
    Lookup(Arc<io::Error>),
    /// The router cannot be reached.
    Dial(Arc<io::Error>),
    /// TLS: files that cannot be used, or a handshake that failed.
    Tls(String),
    /// The router does not speak WebSocket as we do.
    WebSocket(&'static str),
    /// The router does not speak RawSocket as we do.
    RawSocket(String),
    /// The router did not let us in, or threw us out for breaking the protocol (ABORT).
    Refused {
        /// A URI.
        reason: String,
        /// In words, if it had any.
        message: String,
    },
    /// The router asked for a proof that cannot be given, or could not give its own.
    Proof(&'static str),
    /// The router broke the protocol.
    Protocol(String),
    /// The router said goodbye, or closed its WebSocket with a code.
    Closed {
        /// A URI, or the code.
        reason: String,
        /// In words, if it had any.
        message: String,
    },
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
    /// Longer than the router takes.
    TooLarge,
    /// A value that cannot be read.
    Value(Flaw),
    /// A setting that cannot be: which.
    Setting(&'static str),
    /// The router, or a callee, answered with an ERROR.
    Failed(Box<Failure>),
    /// The router ended a subscription or a registration by itself: why.
    Revoked(String),
    /// Nobody wants this answer (any more).
    Unwanted,
}

/// An ERROR: what a call, or another request, has come to.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// What went wrong.
    pub uri: String,
    /// More of it.
    pub payload: Payload,
}

impl Error {
    /// The URI of an ERROR, an ABORT or a GOODBYE.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => Some(&failure.uri),
            Self::Refused { reason, .. } | Self::Closed { reason, .. } => Some(reason),
            _ => None,
        }
    }

    pub(super) fn io(e: io::Error) -> Self {
        Self::Io(Arc::new(e))
    }
}

/// TLS is shared with the other client.
impl From<mqtt::Error> for Error {
    fn from(error: mqtt::Error) -> Self {
        match error {
            mqtt::Error::Io(e) => Self::io(e),
            mqtt::Error::Tls(why) => Self::Tls(why),
            other => Self::Tls(other.to_string()),
        }
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
            Broke::HungUp => Self::Tls("the router hung up".to_owned()),
            Broke::TimedOut => Self::TimedOut,
        }
    }
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        Self::Value(flaw)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(e) => write!(f, "the router's name cannot be found: {e}"),
            Self::Dial(e) => write!(f, "the router cannot be reached: {e}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::WebSocket(why) => write!(f, "WebSocket: {why}"),
            Self::RawSocket(why) => write!(f, "RawSocket: {why}"),
            Self::Refused { reason, message } => said(f, "refused by the router", reason, message),
            Self::Proof(why) => write!(f, "the login cannot be done: {why}"),
            Self::Protocol(why) => {
                write!(f, "the router broke the protocol: {}", why.escape_debug())
            }
            Self::Closed { reason, message } => said(f, "closed by the router", reason, message),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Io(e) => write!(f, "the connection was lost: {e}"),
            Self::Silent => f.write_str("the router does not answer pings"),
            Self::TimedOut => f.write_str("not within the time given"),
            Self::Left => f.write_str("not connected: this client has left"),
            Self::Full => f.write_str("too much waits already"),
            Self::TooLarge => f.write_str("longer than the router takes"),
            Self::Value(flaw) => write!(f, "a value that cannot be read: {flaw}"),
            Self::Setting(which) => write!(f, "a setting that cannot be: {which}"),
            Self::Failed(failure) => failure.fmt(f),
            Self::Revoked(why) => write!(f, "ended by the router: {}", why.escape_debug()),
            Self::Unwanted => f.write_str("nobody wants this answer"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri.escape_debug())?;
        let text = self.payload.args.first().and_then(|first| first.as_text());
        text.map_or(Ok(()), |text| write!(f, ": {}", text.escape_debug()))
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

fn said(f: &mut fmt::Formatter<'_>, what: &str, reason: &str, message: &str) -> fmt::Result {
    write!(f, "{what}: {}", reason.escape_debug())?;
    if message.is_empty() { Ok(()) } else { write!(f, " ({})", message.escape_debug()) }
}
