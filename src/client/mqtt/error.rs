//! Floor 5. Why something asked of an MQTT client was not done.
//!
//! Every error but `Full` and the refusals of a single request ends the connection. Absent on
//! purpose: numbers; whoever needs exit codes has a table of its own.

use std::{fmt, io};

use crate::client::pipe::Broke;
use crate::proto::fault::Fault;
use crate::proto::mqtt::{Prop, Props, Unsendable, Version};

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// The name of the broker's machine cannot be found.
    Lookup(io::Error),
    /// The broker cannot be reached.
    Dial(io::Error),
    /// TLS: files that cannot be used, or a handshake that failed.
    Tls(String),
    /// The peer does not speak WebSocket as we do.
    WebSocket(&'static str),
    /// The broker said no.
    Refused {
        /// The code of its CONNACK.
        code: u8,
        /// By which the code is to be read.
        version: Version,
        /// What it said besides.
        props: Props,
    },
    /// The broker broke the protocol.
    Protocol(Fault),
    /// The broker said something that nobody asked for.
    Unexpected,
    /// The broker ended the connection, and said why (5.0).
    Disconnected {
        /// Its reason code.
        reason: u8,
        /// What it said besides.
        props: Props,
    },
    /// The connection has ended without a word.
    Lost,
    /// Reading or writing failed.
    Io(io::Error),
    /// No answer to a ping.
    Silent,
    /// Not within the time given.
    TimedOut,
    /// There is no connection.
    Offline,
    /// Too much waits already.
    Full,
    /// No topic, or one with wildcards or NUL.
    Topic,
    /// The broker takes no packets of this size.
    TooLarge,
    /// The broker does not do this QoS.
    Qos,
    /// The broker keeps no values.
    Retain,
    /// No packet can say this.
    Unsendable(Unsendable),
    /// A setting that cannot be: which.
    Setting(&'static str),
}

impl From<Broke> for Error {
    fn from(broke: Broke) -> Self {
        match broke {
            Broke::Lookup(e) => Self::Lookup(e),
            Broke::Dial(e) => Self::Dial(e),
            Broke::Tls(why) => Self::Tls(why),
            Broke::Io(e) => Self::Io(e),
            Broke::Lost => Self::Lost,
            Broke::HungUp => Self::Tls("the broker hung up".to_owned()),
            Broke::TimedOut => Self::TimedOut,
        }
    }
}

impl From<Unsendable> for Error {
    fn from(why: Unsendable) -> Self {
        Self::Unsendable(why)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(e) => write!(f, "the broker's name cannot be found: {e}"),
            Self::Dial(e) => write!(f, "the broker cannot be reached: {e}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::WebSocket(why) => write!(f, "WebSocket: {why}"),
            Self::Refused { code, props, .. } => {
                write!(f, "refused by the broker (code {code}){}", said(props))
            }
            Self::Protocol(fault) => write!(f, "the broker broke the protocol: {fault}"),
            Self::Unexpected => f.write_str("the broker said what nobody asked for"),
            Self::Disconnected { reason, props } => {
                write!(f, "disconnected by the broker (code {reason}){}", said(props))
            }
            Self::Lost => f.write_str("the connection was lost"),
            Self::Io(e) => write!(f, "the connection was lost: {e}"),
            Self::Silent => f.write_str("the broker does not answer pings"),
            Self::TimedOut => f.write_str("not within the time given"),
            Self::Offline => f.write_str("not connected"),
            Self::Full => f.write_str("too much waits already"),
            Self::Topic => f.write_str("not a topic to publish to"),
            Self::TooLarge => f.write_str("larger than the broker takes"),
            Self::Qos => f.write_str("a QoS that the broker does not have"),
            Self::Retain => f.write_str("the broker keeps no values"),
            Self::Unsendable(why) => write!(f, "no packet can say this: {why:?}"),
            Self::Setting(which) => write!(f, "a setting that cannot be: {which}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lookup(e) | Self::Dial(e) | Self::Io(e) => Some(e),
            _ => None,
        }
    }
}

/// The broker's own words, if it had any. Controls are escaped: they go to terminals.
fn said(props: &Props) -> String {
    let mut text = props.iter().filter_map(|prop| match prop {
        Prop::ReasonString(text) => Some(text),
        _ => None,
    });
    match text.next() {
        Some(text) => format!(": {}", String::from_utf8_lossy(&text).escape_debug()),
        None => String::new(),
    }
}
