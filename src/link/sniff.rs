//! Floor 1. The first bytes of a connection tell what it speaks.
//!
//! A CONNECT of MQTT and a Connect of PRX1 begin alike: a type, a length, and a name with its own
//! length in front. So the name decides, and it is waited for; everything that cannot become one
//! of the known beginnings is refused at its first wrong byte. Absent on purpose: any look beyond
//! the name.

use super::Flaw;

/// What stands inside of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spoken {
    /// PRX1.
    Prx1,
    /// MQTT, of any version.
    Mqtt,
    /// HTTP requests that ask for no WebSocket.
    Http,
    /// WAMP, carried so.
    Wamp(Carrier),
    /// HTTP requests that speak to a session of WAMP.
    Polls,
}

/// What WAMP is carried by: RawSocket, or a WebSocket whose subprotocol says how messages are
/// written, and whether several stand in one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// RawSocket, whose own handshake says how messages are written.
    Raw,
    /// JSON, in text.
    Json,
    /// JSON, several in one.
    JsonBatched,
    /// MessagePack.
    MsgPack,
    /// MessagePack, several in one.
    MsgPackBatched,
    /// CBOR.
    Cbor,
    /// CBOR, several in one.
    CborBatched,
}

impl Carrier {
    /// Do messages go in frames of text?
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Json | Self::JsonBatched)
    }

    /// Do several messages go in one?
    #[must_use]
    pub const fn is_batched(self) -> bool {
        matches!(self, Self::JsonBatched | Self::MsgPackBatched | Self::CborBatched)
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// Nothing yet: more are needed.
    Short,
    /// A protocol without further dress.
    Plain(Spoken),
    /// An HTTP request.
    Http,
}

/// Look at the first bytes; never more than [`FIRST_MAX`] of them are needed.
pub fn sniff(input: &[u8]) -> Result<First, Flaw> {
    match input {
        [] => Ok(First::Short),
        // A record of a TLS handshake. Worth a name: the port is right, the client is not.
        [0x16, 0x03, ..] => Err(Flaw::TlsHere),
        [0x16] => Ok(First::Short),
        [0x10, rest @ ..] => named(rest),
        // The magic of RawSocket, which begins nothing else.
        [0x7f, ..] => Ok(First::Plain(Spoken::Wamp(Carrier::Raw))),
        [first, ..] if first.is_ascii_uppercase() => http(input),
        _ => Err(Flaw::FirstBytes),
    }
}

/// Behind the type: a length of up to four bytes, then the name of the protocol.
fn named(input: &[u8]) -> Result<First, Flaw> {
    let digits = input.iter().take(4).take_while(|b| **b & 0x80 != 0).count();
    if digits == 4 {
        return Err(Flaw::FirstBytes);
    }
    let name = input.get(digits + 1..).unwrap_or_default();
    let begins = |known: &[u8]| known.iter().zip(name).all(|(a, b)| a == b);
    for (known, spoken) in NAMES {
        if begins(known) {
            let whole = name.len() >= known.len();
            return Ok(if whole { First::Plain(*spoken) } else { First::Short });
        }
    }
    Err(Flaw::FirstBytes)
}

/// A method of letters, and a space behind it.
fn http(input: &[u8]) -> Result<First, Flaw> {
    let letters = input.iter().take_while(|b| b.is_ascii_uppercase()).count();
    match input.get(letters) {
        _ if letters > METHOD_MAX => Err(Flaw::FirstBytes),
        None => Ok(First::Short),
        Some(b' ') => Ok(First::Http),
        Some(_) => Err(Flaw::FirstBytes),
    }
}

/// Names as they stand on the wire, their length in front.
const NAMES: &[(&[u8], Spoken)] = &[
    (b"\x00\x04MQTT", Spoken::Mqtt),
    (b"\x00\x06MQIsdp", Spoken::Mqtt),
    (b"\x00\x04PRX1", Spoken::Prx1),
];
/// Letters of the longest method.
const METHOD_MAX: usize = 16;
/// Bytes after which the answer is never "more".
pub const FIRST_MAX: usize = METHOD_MAX + 1;
