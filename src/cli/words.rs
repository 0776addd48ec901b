//! Floor 6. What `pub` and `sub` say when something is wrong, in the words that scripts know.
//!
//! Programs look for these sentences in the output of mosquitto's clients, so they are the same
//! here. Absent on purpose: anything those clients do not say.

use crate::client::mqtt::Error;
use crate::proto::mqtt::Version;

use super::exit;

/// Why a CONNECT was refused.
pub(super) fn connack(code: u8, version: Version) -> String {
    if version == Version::V5 {
        return match code {
            0x84 => format!(
                "{}. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.",
                reason(code)
            ),
            code => reason(code).to_owned(),
        };
    }
    match code {
        1 => "Connection Refused: unacceptable protocol version.",
        2 => "Connection Refused: identifier rejected.",
        3 => "Connection Refused: broker unavailable.",
        4 => "Connection Refused: bad user name or password.",
        5 => "Connection Refused: not authorised.",
        _ => "Connection Refused: unknown reason.",
    }
    .to_owned()
}

/// A reason code of 5.0.
pub(super) fn reason(code: u8) -> &'static str {
    match code {
        0x00 => "Success",
        0x10 => "No matching subscribers",
        0x11 => "No subscription existed",
        0x80 => "Unspecified error",
        0x81 => "Malformed packet",
        0x82 => "Protocol error",
        0x83 => "Implementation specific error",
        0x84 => "Unsupported protocol version",
        0x85 => "Client ID not valid",
        0x86 => "Bad username or password",
        0x87 => "Not authorized",
        0x88 => "Server unavailable",
        0x89 => "Server busy",
        0x8a => "Banned",
        0x8b => "Server shutting down",
        0x8c => "Bad authentication method",
        0x8d => "Keep alive timeout",
        0x8e => "Session taken over",
        0x8f => "Topic filter invalid",
        0x90 => "Topic name invalid",
        0x93 => "Receive maximum exceeded",
        0x94 => "Topic alias invalid",
        0x95 => "Packet too large",
        0x97 => "Quota exceeded",
        0x98 => "Administrative action",
        0x99 => "Payload format invalid",
        0x9a => "Retain not supported",
        0x9b => "QoS not supported",
        0x9e => "Shared subscriptions not supported",
        _ => "Unknown reason",
    }
}

/// What is said of an error, and the exit code of it.
pub(super) fn of(error: &Error) -> (String, u8) {
    match error {
        Error::Refused { code, version, .. } => {
            (format!("Connection error: {}", connack(*code, *version)), *code)
        }
        Error::Lookup(_) => ("Unable to connect (Lookup error.).".to_owned(), exit::CLIENT),
        Error::Dial(e) => (format!("Error: {}", system(e)), exit::CLIENT),
        Error::Tls(why) => (format!("Error: A TLS error occurred. {why}"), exit::TLS),
        Error::Protocol(_) | Error::Unexpected => (format!("Error: {error}"), exit::PROTOCOL),
        Error::Lost | Error::Io(_) | Error::Silent | Error::Disconnected { .. } => {
            ("Error: The connection was lost.".to_owned(), exit::LOST)
        }
        Error::TimedOut => ("Timed out".to_owned(), exit::TIMED_OUT),
        other => (format!("Error: {other}"), exit::CLIENT),
    }
}

/// The system's own sentence, without the number that Rust puts behind it.
pub(super) fn system(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}
