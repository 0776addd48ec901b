//! Floor 3. Frames to bytes; pure.
//!
//! Headers are written as the original writes them: its order of keys, a blank behind each comma
//! and colon, nothing but ASCII. So bytes can be compared, and peers that look for their own
//! spelling find it. Everything is measured before the first byte is written, so a refused frame
//! leaves nothing behind and a count can never wrap. Absent on purpose: bytes that do not follow
//! from the frame.

use std::fmt;

use bytes::Bytes;

use crate::base::outbound::Outbound;

use super::inner::{ACK, PING};
use super::packet::{Frame, Header, Id, Text};

/// The longest header there is.
pub const HEADER_MAX: usize = 65_535;

/// Why a frame cannot be said: its header is longer than 65,535 bytes, or it is longer than 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than its count can tell")
    }
}

/// Append one frame, or nothing.
pub fn encode(frame: &Frame, out: &mut Outbound) -> Result<(), TooLong> {
    encode_front(frame, 0, out)
}

/// The same but for so many bytes of a file, which belong behind it and are counted in it.
pub fn encode_front(frame: &Frame, file: u64, out: &mut Outbound) -> Result<(), TooLong> {
    let binary = (frame.binary.len() as u64).saturating_add(file);
    let header = header_of(&frame.header, binary > 0);
    let header_len = u16::try_from(header.len()).map_err(|_| TooLong)?;
    let mut len = (2 + header.len() + 4 + frame.data.len()) as u64;
    if binary > 0 {
        len = len.saturating_add(4).saturating_add(binary);
    }
    let len = u32::try_from(len).map_err(|_| TooLong)?;
    out.put_slice(&len.to_le_bytes());
    out.put_slice(&header_len.to_le_bytes());
    out.put_slice(&header);
    // Each section is shorter than the frame, whose length was just found to fit.
    out.put_slice(&(frame.data.len() as u32).to_le_bytes());
    out.put_bytes(&frame.data);
    if binary > 0 {
        out.put_slice(&(binary as u32).to_le_bytes());
        out.put_bytes(&frame.binary);
    }
    Ok(())
}

/// One frame as bytes of its own.
pub fn encode_vec(frame: &Frame) -> Result<Vec<u8>, TooLong> {
    let mut out = Outbound::default();
    encode(frame, &mut out)?;
    Ok(out.to_vec())
}

/// Is this header, with so many bytes more, no longer than its count can tell? Most are so short
/// that nobody need write one to know.
#[must_use]
pub fn header_fits(header: &Header, more: usize) -> bool {
    let texts = [
        Some(&header.message_type),
        header.source_id.as_ref(),
        header.destination_id.as_ref(),
        header.message_type_publish.as_ref(),
        header.tag.as_ref(),
    ];
    let ids = [&header.request_id, &header.response_id, &header.transport_id];
    let texts: usize = texts.into_iter().flatten().map(|text| text.bytes().len()).sum();
    let ids: usize = ids.into_iter().flatten().map(|id| id.json().len()).sum();
    let others: usize =
        header.others.iter().map(|(key, value)| key.bytes().len() + value.len() + 1).sum();
    let file = header.with_file.as_ref().map_or(0, Bytes::len);
    // A letter becomes six bytes at most, and the keys that are known have less than this.
    let most = (texts + ids + others + file).saturating_mul(6) + KEYS_MAX + more;
    most <= HEADER_MAX || header_of(header, true).len() + more <= HEADER_MAX
}

/// All keys that mean something, with what stands between them, take less.
const KEYS_MAX: usize = 512;

/// The header alone, as JSON.
pub(super) fn header_of(header: &Header, with_binary: bool) -> Vec<u8> {
    let mut to = Object::begin();
    let texts = |to: &mut Object, key, value: &Option<Text>| {
        value.iter().for_each(|value| to.text(key, value.as_str()));
    };
    let kind = header.message_type.as_str();
    let (ack, pong) = (kind == ACK, kind == PING && header.response_id.is_some());
    // A binary that is a file and nothing else is added late, and so is its key.
    let says = |file: &Bytes, key: &str| file.windows(key.len()).any(|at| at == key.as_bytes());
    let late = |file: &Bytes| !OWN.iter().any(|key| says(file, key));
    let late = header.with_file.as_ref().is_some_and(late);
    if ack {
        to.json("transport_id", header.transport_id.as_ref().map(Id::json));
    }
    to.text("message_type", kind);
    if !pong {
        texts(&mut to, "source_id", &header.source_id);
    }
    texts(&mut to, "destination_id", &header.destination_id);
    to.json("request_id", header.request_id.as_ref().map(Id::json));
    to.json("response_id", header.response_id.as_ref().map(Id::json));
    if pong {
        texts(&mut to, "source_id", &header.source_id);
    }
    to.truth("with_binary", with_binary && !late);
    to.truth("await_response", header.await_response);
    to.json("with_file", header.with_file.as_ref());
    to.truth("wait_for_ack", header.wait_for_ack);
    texts(&mut to, "message_type_publish", &header.message_type_publish);
    texts(&mut to, "tag", &header.tag);
    to.truth("with_binary", with_binary && late);
    if !ack {
        to.json("transport_id", header.transport_id.as_ref().map(Id::json));
    }
    header.others.iter().for_each(|(key, value)| to.json(key.as_str(), Some(value)));
    to.end()
}

/// The keys in `with_file` that say that the binary is not the file's alone.
const OWN: [&str; 2] = ["\"binary_offset\"", "\"file_error\""];

/// Writes an object of JSON as Python does.
#[derive(Debug)]
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn begin() -> Self {
        Self(b"{".to_vec())
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        put_text(&mut self.0, value);
    }

    /// A value that is JSON already.
    pub(super) fn json(&mut self, key: &str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.key(key);
            self.0.extend_from_slice(value.as_ref());
        }
    }

    /// Yes, or nothing at all.
    pub(super) fn truth(&mut self, key: &str, value: bool) {
        self.json(key, value.then_some("true"));
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.extend_from_slice(b", ");
        }
        put_text(&mut self.0, key);
        self.0.extend_from_slice(b": ");
    }
}

/// A text as a string of JSON, in ASCII alone.
pub(super) fn put_text(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' => to.extend_from_slice(b"\\\""),
            '\\' => to.extend_from_slice(b"\\\\"),
            '\n' => to.extend_from_slice(b"\\n"),
            '\r' => to.extend_from_slice(b"\\r"),
            '\t' => to.extend_from_slice(b"\\t"),
            '\u{8}' => to.extend_from_slice(b"\\b"),
            '\u{c}' => to.extend_from_slice(b"\\f"),
            ' '..='~' => to.push(letter as u8),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    to.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    to.push(b'"');
}
