//! Floor 5. WebSockets as a person writes them: the handshake, and frames by themselves.
//!
//! `upgrade /mqtt mqtt` asks, `switched mqtt ["Set-Cookie: x"]` is the answer, `frame ping 'x'` is
//! a frame from a client: whole and masked, unless it says `more` (another one follows) or `bare`
//! (no mask). `rsv=4` sets reserved bits and `len=` announces another length in eight bytes. From
//! RFC 6455, whose own example is the key. Absent on purpose: what is carried (`words_mqtt`).

use super::words_mqtt::{Line, encode, lossy, number};

/// The key of the RFC's example, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const OPCODES: [(&str, u8); 6] =
    [("cont", 0), ("text", 1), ("bin", 2), ("close", 8), ("ping", 9), ("pong", 10)];

/// Said when there is nothing to hear.
pub const NO_FRAME: &str = "no frame comes";

/// What a script expects of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// 101 with this subprotocol, or none, and with this field, or no cookie.
    Switched(Option<String>, Option<String>),
    /// Another status.
    Status(String),
    /// A frame: opcode, and what its payload begins with (close) or is (the others).
    Frame(u8, Vec<u8>),
}

/// The bytes of `upgrade PATH [SUBPROTOCOLS] ["Header: value"]...`.
pub fn upgrade(words: &str) -> Result<Vec<u8>, String> {
    let (plain, headers) = words.split_once('"').map_or((words, ""), |(a, b)| (a, b));
    let mut plain = plain.split_whitespace();
    let path = plain.next().ok_or("a path is missing")?;
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    if let Some(protocols) = plain.next() {
        text += &format!("Sec-WebSocket-Protocol: {protocols}\r\n");
    }
    for header in headers.split('"').map(str::trim).filter(|header| !header.is_empty()) {
        text += &format!("{header}\r\n");
    }
    Ok((text + "\r\n").into_bytes())
}

/// The bytes of `frame OPCODE [more] [bare] [rsv=N] [len=N] BYTES`, which may be a packet in words.
pub fn frame(words: &str, level: u8) -> Result<Vec<u8>, String> {
    let (op, mut rest) = words.split_once(' ').unwrap_or((words, ""));
    let mut first = 0x80 | opcode(op)?;
    let (mut mask, mut announced) = (true, None);
    loop {
        rest = rest.trim_start();
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match word.split_once('=').unwrap_or((word, "")) {
            ("more", _) => first &= 0x7f,
            ("bare", _) => mask = false,
            ("rsv", bits) => first |= (number(bits.as_bytes())? as u8) << 4,
            ("len", len) => announced = Some(number(len.as_bytes())?),
            _ => break,
        }
        rest = behind;
    }
    let payload = match op {
        "close" if !rest.is_empty() => close(rest)?,
        _ => encode(&Line::parse(rest)?, level)?,
    };
    Ok(framed(first, mask, announced, &payload))
}

/// A whole binary frame from a client.
#[must_use]
pub fn binary(payload: &[u8]) -> Vec<u8> {
    framed(0x82, true, None, payload)
}

/// A whole text frame from a client.
#[must_use]
pub fn text(payload: &[u8]) -> Vec<u8> {
    framed(0x81, true, None, payload)
}

fn framed(first: u8, mask: bool, announced: Option<u64>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let masked = if mask { 0x80 } else { 0 };
    match (announced, payload.len()) {
        (None, len @ 0..126) => out.push(masked | len as u8),
        (None, len @ 126..65_536) => {
            out.push(masked | 126);
            out.extend((len as u16).to_be_bytes());
        }
        (announced, len) => {
            out.push(masked | 127);
            out.extend(announced.unwrap_or(len as u64).to_be_bytes());
        }
    }
    if !mask {
        out.extend_from_slice(payload);
        return out;
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn opcode(word: &str) -> Result<u8, String> {
    let named = OPCODES.iter().find(|(name, _)| *name == word).map(|(_, op)| *op);
    let other = || word.strip_prefix("op").and_then(|no| no.parse().ok());
    named.or_else(other).filter(|op| *op < 16).ok_or_else(|| format!("`{word}` is no opcode"))
}

/// A status, and perhaps words behind it.
fn close(words: &str) -> Result<Vec<u8>, String> {
    let (status, text) = words.split_once(' ').unwrap_or((words, "''"));
    let status = u16::try_from(number(status.as_bytes())?).map_err(|_| "no status")?;
    let text = encode(&Line::parse(text)?, 4)?;
    Ok([&status.to_be_bytes()[..], &text].concat())
}

impl Heard {
    /// Understand what is expected; none: it is a packet.
    pub fn parse(words: &str, level: u8) -> Result<Option<Self>, String> {
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        Ok(Some(match first {
            "switched" => {
                let (name, field) = rest.split_once('"').unwrap_or((rest, ""));
                let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                Self::Switched(some(name.trim()), some(field.trim_end_matches('"')))
            }
            "status" => Self::Status(rest.to_owned()),
            "frame" => {
                let (op, rest) = rest.split_once(' ').unwrap_or((rest, "''"));
                let payload = match op {
                    "close" if rest != "''" => close(rest)?,
                    _ => encode(&Line::parse(rest)?, level)?,
                };
                Self::Frame(opcode(op)?, payload)
            }
            _ => return Ok(None),
        }))
    }

    /// Hear it, byte by byte: `hear(n)` brings the next n bytes or fewer.
    pub fn perform(
        &self,
        hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        let (op, wanted) = match self {
            Self::Switched(protocol, field) => {
                return switched(&head(hear)?, protocol.as_deref(), field.as_deref());
            }
            Self::Status(status) => {
                let text = head(hear)?;
                return match text.split(' ').nth(1) == Some(status) {
                    true => hear(0).map(drop),
                    false => Err(format!("the answer is {text:?}")),
                };
            }
            Self::Frame(op, wanted) => (op, wanted),
        };
        let (first, payload) = server_frame(hear)?;
        let same = if *op == 8 { payload.starts_with(wanted) } else { payload == *wanted };
        match first == 0x80 | op && same {
            true => Ok(()),
            false => Err(format!("a frame {first:#04x} with `{}`", payload.escape_ascii())),
        }
    }
}

/// A frame of a server: whole, without mask, and as short as it can be.
pub fn server_frame(
    hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>,
) -> Result<(u8, Vec<u8>), String> {
    let head = hear(2)?;
    let [first, second] = head[..] else { return Err(NO_FRAME.into()) };
    let (least, more) = match second {
        0..126 => (0, 0),
        126 => (126, 2),
        127 => (65_536, 8),
        _ => return Err("a server masks nothing".into()),
    };
    let mut len = usize::from(second & 127);
    if more > 0 {
        len = hear(more)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    }
    if len < least {
        return Err("a length with more bytes than it needs".into());
    }
    let payload = if len == 0 { Vec::new() } else { hear(len)? };
    match payload.len() == len {
        true => Ok((first, payload)),
        false => Err(format!("{} bytes of a frame of {len}", payload.len())),
    }
}

fn head(hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>) -> Result<String, String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let byte = hear(1)?;
        if byte.is_empty() || text.len() > 4_096 {
            return Err(format!("no answer but {:?}", lossy(&text)));
        }
        text.extend(byte);
    }
    Ok(lossy(&text))
}

fn switched(text: &str, protocol: Option<&str>, field: Option<&str>) -> Result<(), String> {
    let has = |name: &str| -> Option<String> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let right = text.starts_with("HTTP/1.1 101 ")
        && has("Sec-WebSocket-Accept").as_deref() == Some(ACCEPT)
        && has("Upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
        && has("Connection").is_some_and(|what| what.eq_ignore_ascii_case("upgrade"))
        && has("Sec-WebSocket-Extensions").is_none()
        && has("Sec-WebSocket-Protocol").as_deref() == protocol
        && match field {
            Some(field) => text.lines().any(|line| line == field),
            None => has("Set-Cookie").is_none(),
        };
    if right { Ok(()) } else { Err(format!("the answer is {text:?}")) }
}
