//! Floor 6. Messages of aioconnectors as lines and as documents.
//!
//! What a peer says goes to a terminal: as a line, whatever a terminal would obey is escaped, and
//! as a document JSON does it. Absent on purpose: colours.

use std::io::Write;

use bytes::Bytes;

use crate::base::base64;
use crate::client::aio::{Header, Message, Received, Stored};
use crate::proto::aio::encode_vec;
use crate::value::{Bounds, Form, Value, Walk, Writer};

/// A line on standard output, at once; false when nobody reads it.
pub(super) fn say(line: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_ok()
}

/// In one line.
pub(super) fn json(pairs: Vec<(&str, Value)>) -> String {
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut out = Vec::new();
    Value::Map(pairs).write(&mut Writer::new(Form::Json, &mut out));
    let mut line = String::with_capacity(out.len());
    for letter in String::from_utf8_lossy(&out).chars() {
        // JSON lets some pass that terminals obey.
        if letter.is_control() {
            line += &format!("\\u{:04x}", u32::from(letter));
        } else {
            line.push(letter);
        }
    }
    line
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// The header as a document.
pub(super) fn header(header: &Header) -> Value {
    let alone = Message { header: header.clone(), ..Message::default() };
    let bytes = encode_vec(&alone).unwrap_or_default();
    // Two counts stand in front of it, one behind.
    let json = bytes.get(6..bytes.len().saturating_sub(4)).unwrap_or_default();
    let mut walk = Walk::new(Form::Json, json, Bounds { depth: 64, items: 10_000 });
    Value::read(&mut walk).unwrap_or(Value::Null)
}

/// A message as a document. What is no text is written in Base64, under another key.
pub(super) fn document(received: &Received) -> String {
    let frame = &received.frame;
    let mut pairs = vec![("header", header(&frame.header))];
    match core::str::from_utf8(&frame.data) {
        Ok(data) => pairs.push(("data", text(data))),
        Err(_) => pairs.push(("data_base64", text(base64::encode(&frame.data)))),
    }
    if !frame.binary.is_empty() {
        pairs.push(("binary_base64", text(base64::encode(&frame.binary))));
    }
    match &received.file {
        None => {}
        Some(Stored::At(path)) => pairs.push(("file", text(path.to_string_lossy()))),
        Some(Stored::Part) => pairs.push(("file_part", Value::Bool(true))),
        Some(Stored::Not(why)) => pairs.push(("file_error", text(why.as_str()))),
    }
    json(pairs)
}

/// Bytes as a line that no terminal obeys.
pub(super) fn safe(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string().replace("\\\"", "\"")
}

/// Lines that no terminal obeys.
pub(super) fn safe_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| line.escape_debug().to_string()).collect();
    lines.join("\n").replace("\\'", "'").replace("\\\"", "\"")
}

/// A message as a line.
pub(super) fn line(received: &Received) -> String {
    let frame = &received.frame;
    let mut line = format!("{} {}", safe(frame.header.message_type.bytes()), safe(&frame.data));
    if !frame.binary.is_empty() {
        line += &format!(" [{} bytes of binary]", frame.binary.len());
    }
    match &received.file {
        None => {}
        Some(Stored::At(path)) => line += &format!(" [file {}]", path.display()),
        Some(Stored::Part) => line += " [a part of a file]",
        Some(Stored::Not(why)) => line += &format!(" [file not kept: {why}]"),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(data: &'static [u8]) -> Received {
        let mut frame = Message::of("any", "s").with(data);
        frame.header.request_id = Some(7.into());
        Received { frame, file: None }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        for bad in [&b"a\x1b[2Jb"[..], b"\r\n", "\u{9b}2J\u{202e}".as_bytes(), b"\0\x07\x7f"] {
            let received = received(bad);
            for said in [line(&received), document(&received)] {
                let obeyed = |letter: char| letter.is_control();
                assert!(!said.contains(obeyed), "{said:?}");
            }
        }
        assert_eq!(line(&received(b"say \"hello\"")), "any say \"hello\"");
    }

    #[test]
    fn a_document_has_the_header_and_the_data() {
        let said = "{\"header\":{\"message_type\":\"any\",\"source_id\":\"s\",\"request_id\":7},\
            \"data\":\"x\"}";
        assert_eq!(document(&received(b"x")), said);
        assert!(document(&received(b"\xff")).ends_with("\"data_base64\":\"/w==\"}"));
        let stored = |file| document(&Received { file: Some(file), ..received(b"x") });
        assert!(stored(Stored::At("/a".into())).ends_with("\"file\":\"/a\"}"));
        assert!(stored(Stored::Not("no".into())).ends_with("\"file_error\":\"no\"}"));
    }
}
