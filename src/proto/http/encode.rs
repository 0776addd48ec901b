//! Floor 3. Answers to bytes: the head of an answer, and pieces of a body that is not at hand.
//!
//! Every answer has a date and says that it is not to be kept or guessed at. A body of known
//! length says so; a longer one goes in chunks, or, to a reader that does not know chunks, until
//! the end of the connection. Absent on purpose: state.

use crate::base::calendar;
use crate::base::outbound::Outbound;

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// There can be none.
    None,
    /// By its length.
    Len(usize),
    /// By its last chunk.
    Chunks,
    /// By the end of the connection.
    Rest,
}

/// The head of an answer.
#[must_use]
pub fn head(
    wall: u64,
    status: u16,
    media: &str,
    fields: &[(&'static str, String)],
    extent: Extent,
    last: bool,
) -> Vec<u8> {
    let date = calendar::http_date(wall);
    let mut text = format!("HTTP/1.1 {status} {}\r\nDate: {date}\r\n", reason(status));
    if !media.is_empty() {
        text += &format!("Content-Type: {media}\r\nX-Content-Type-Options: nosniff\r\n");
    }
    match extent {
        Extent::None | Extent::Rest => {}
        Extent::Len(len) => text += &format!("Content-Length: {len}\r\n"),
        Extent::Chunks => text += "Transfer-Encoding: chunked\r\n",
    }
    if !fields.iter().any(|(name, _)| *name == "Cache-Control") {
        text += "Cache-Control: no-store\r\n";
    }
    for (name, value) in fields {
        // What a stranger had a part in must not begin another field.
        let tame: String = value.chars().filter(|c| !c.is_control()).collect();
        text += &format!("{name}: {tame}\r\n");
    }
    text += if last { "Connection: close\r\n\r\n" } else { "\r\n" };
    text.into_bytes()
}

/// The word to go on with a body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A piece of a body, told as `extent` has it.
pub fn piece(bytes: &[u8], extent: Extent, out: &mut Outbound) {
    if bytes.is_empty() {
        return;
    }
    if extent == Extent::Chunks {
        out.put_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.put_slice(bytes);
        out.put_slice(b"\r\n");
    } else {
        out.put_slice(bytes);
    }
}

/// The end of a body that was told in pieces.
pub fn end(extent: Extent, out: &mut Outbound) {
    if extent == Extent::Chunks {
        out.put_slice(b"0\r\n\r\n");
    }
}

/// What a status is called.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    let found = REASONS.iter().find(|(known, _)| *known == status);
    found.map_or("", |(_, reason)| reason)
}

const REASONS: [(u16, &str); 27] = [
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (411, "Length Required"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
];
