//! Floor 6. How `sub` prints a message: by the letters of mosquitto_sub's -F.
//!
//! A format is checked before anything is dialled, and interpreted letter by letter for each
//! message; what the check lets through can be printed. Widths count bytes, as they do there.
//! Absent on purpose: letters of our own.

use std::ffi::CString;

use crate::os::clock::Clock;
use crate::os::sys::local_time;
use crate::proto::mqtt::{Prop, Publish};

use super::json::{self, Value};

/// When a message was received.
#[derive(Clone, Copy)]
pub(super) struct At {
    seconds: i64,
    nanos: u32,
}

impl At {
    /// Now.
    pub(super) fn now(clock: &Clock) -> Self {
        let nanos = clock.wall_nanos();
        let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        Self { seconds: seconds as i64, nanos: nanos as u32 }
    }

    fn spell(self, format: &str) -> Vec<u8> {
        CString::new(format).map(|f| local_time(&f, self.seconds)).unwrap_or_default()
    }
}

/// Is this a format? If not: what is wrong.
pub(super) fn check(format: &str) -> Result<(), String> {
    let mut rest = format.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let unit = Unit::read(&mut rest);
                match unit.letter {
                    None => return Err("Error: Incomplete format specifier.".to_owned()),
                    Some(letter) if LETTERS.contains(&letter) => {}
                    Some(letter) => {
                        let letter = char::from(letter);
                        return Err(format!("Error: Invalid format specifier '{letter}'."));
                    }
                }
            }
            b'@' if rest.next().is_none() => {
                return Err("Error: Incomplete format specifier.".to_owned());
            }
            b'\\' => match rest.next() {
                None => return Err("Error: Incomplete escape specifier.".to_owned()),
                Some(letter) if escape(letter).is_some() => {}
                Some(letter) => {
                    let letter = char::from(letter);
                    return Err(format!("Error: Invalid escape specifier '{letter}'."));
                }
            },
            _ => {}
        }
    }
    Ok(())
}

const LETTERS: &[u8] = b"%AtpqrlmxXIUjJCDEFPRS";

/// What stands between `%` and its letter.
struct Unit {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    letter: Option<u8>,
}

impl Unit {
    fn read(rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>) -> Self {
        let left = rest.next_if_eq(&b'-').is_some();
        let zero = rest.next_if_eq(&b'0').is_some();
        let number = |rest: &mut std::iter::Peekable<_>| {
            let mut n = 0usize;
            while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
                n = (n * 10 + usize::from(digit - b'0')).min(WIDTH_MAX);
            }
            n
        };
        let width = number(rest);
        let precision = rest.next_if_eq(&b'.').is_some().then(|| number(rest));
        Self { left, zero, width, precision, letter: rest.next() }
    }

    fn pad(&self) -> u8 {
        if self.zero { b'0' } else { b' ' }
    }

    fn int(&self, n: i64, out: &mut Vec<u8>) {
        let width = self.width;
        let text = match (self.left, self.zero) {
            (true, _) => format!("{n:<width$}"),
            (false, true) => format!("{n:0>width$}"),
            (false, false) => format!("{n:>width$}"),
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = text.get(..self.precision.unwrap_or(text.len())).unwrap_or(text);
        let spaces = self.width.saturating_sub(text.len());
        if !self.left {
            fill(out, b' ', spaces);
        }
        out.extend_from_slice(text);
        if self.left {
            fill(out, b' ', spaces);
        }
    }

    fn blank(&self, pad: u8, out: &mut Vec<u8>) {
        fill(out, pad, self.width);
    }

    /// A payload, or its bytes as digits.
    fn payload(&self, payload: &[u8], hex: Option<bool>, out: &mut Vec<u8>) {
        let digits = if hex.is_some() { 2 } else { 1 };
        let most = if self.width == 0 { payload.len() } else { self.width / digits };
        let shown = payload.get(..most).unwrap_or(payload);
        // Those who gave no width want no spaces.
        let spaces = self.width.saturating_sub(shown.len() * digits);
        if !self.left {
            fill(out, self.pad(), spaces);
        }
        match hex {
            None => out.extend_from_slice(shown),
            Some(large) => {
                for byte in shown {
                    let two = if large { format!("{byte:02X}") } else { format!("{byte:02x}") };
                    out.extend_from_slice(two.as_bytes());
                }
            }
        }
        if self.left {
            fill(out, b' ', spaces);
        }
    }
}

/// No terminal is wider.
const WIDTH_MAX: usize = 10_000;

fn fill(out: &mut Vec<u8>, pad: u8, len: usize) {
    out.extend(std::iter::repeat_n(pad, len));
}

fn escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 0x07,
        b'e' => 0x1b,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// All there is to say about a message, as a document.
pub(super) const JSON: &str = "%j";

/// Print a message. An error is a sentence for standard error; what could be printed is in `out`.
pub(super) fn print(
    format: &str,
    message: &Publish,
    at: At,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut result = Ok(());
    let mut rest = format.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let unit = Unit::read(&mut rest);
                let said = field(&unit, message, at, pretty, out);
                result = result.and(said);
            }
            b'@' => match rest.next() {
                Some(b'@') => out.push(b'@'),
                Some(b'N') => out.extend_from_slice(format!("{:09}", at.nanos).as_bytes()),
                Some(letter) => out.extend(at.spell(&format!("%{}", char::from(letter)))),
                None => {}
            },
            b'\\' => out.extend(rest.next().and_then(escape)),
            other => out.push(other),
        }
    }
    result
}

fn field(
    unit: &Unit,
    message: &Publish,
    at: At,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(letter) = unit.letter else { return Ok(()) };
    match letter {
        b'%' => out.push(b'%'),
        b't' => unit.text(&message.topic, out),
        b'p' => unit.payload(&message.payload, None, out),
        b'x' => unit.payload(&message.payload, Some(false), out),
        b'X' => unit.payload(&message.payload, Some(true), out),
        b'q' => out.push(b'0' + message.qos),
        b'r' => out.push(b'0' + u8::from(message.retain)),
        b'l' => unit.int(message.payload.len() as i64, out),
        b'm' => unit.int(i64::from(message.id), out),
        b'I' => unit.text(&at.spell("%Y-%m-%dT%H:%M:%S%z"), out),
        b'U' => out.extend_from_slice(format!("{}.{:09}", at.seconds, at.nanos).as_bytes()),
        b'j' => out.extend(document(message, at, true).unwrap_or(Value::Null).print(pretty)),
        b'J' => match document(message, at, false) {
            Some(value) => out.extend(value.print(pretty)),
            None => {
                let topic = String::from_utf8_lossy(&message.topic);
                return Err(format!("Error: Message payload is not valid JSON on topic {topic}."));
            }
        },
        other => property(unit, other, message, out),
    }
    Ok(())
}

/// The letters that stand for a property, which need not be there.
fn property(unit: &Unit, letter: u8, message: &Publish, out: &mut Vec<u8>) {
    let mut first = true;
    let mut found = false;
    for prop in message.props.iter() {
        match (letter, prop) {
            (b'A', Prop::TopicAlias(n)) => unit.int(n.into(), out),
            (b'E', Prop::MessageExpiry(n)) => unit.int(n.into(), out),
            (b'F', Prop::PayloadFormat(n)) => unit.int(n.into(), out),
            (b'S', Prop::SubscriptionId(n)) if !found => unit.int(n.into(), out),
            (b'C', Prop::ContentType(text)) | (b'R', Prop::ResponseTopic(text)) => {
                unit.text(&text, out);
            }
            (b'D', Prop::CorrelationData(data)) => out.extend_from_slice(&data),
            (b'P', Prop::User(name, value)) => {
                if !first {
                    out.push(b' ');
                }
                first = false;
                out.extend_from_slice(&name);
                out.push(b':');
                out.extend_from_slice(&value);
            }
            _ => continue,
        }
        found = true;
    }
    match letter {
        _ if found => {}
        b'A' | b'E' | b'F' | b'S' => unit.blank(unit.pad(), out),
        b'C' => unit.blank(b' ', out),
        _ => {}
    }
}

/// A message as a document; none when its payload is to be one and is not.
fn document(message: &Publish, at: At, escaped: bool) -> Option<Value> {
    let whole = |n: u32| Value::Number(f64::from(n));
    let text = |text: &[u8]| Value::Text(text.to_vec());
    let micros = format!("%Y-%m-%dT%H:%M:%S.{:06}Z%z", at.nanos / 1_000);
    let mut members = vec![
        (b"tst".to_vec(), Value::Text(at.spell(&micros))),
        (b"topic".to_vec(), text(&message.topic)),
        (b"qos".to_vec(), whole(message.qos.into())),
        (b"retain".to_vec(), whole(message.retain.into())),
        (b"payloadlen".to_vec(), Value::Number(message.payload.len() as f64)),
    ];
    if message.qos > 0 {
        members.push((b"mid".to_vec(), whole(message.id.into())));
    }
    let props = properties(message);
    if !props.is_empty() {
        members.push((b"properties".to_vec(), Value::Object(props)));
    }
    let payload = match (message.payload.is_empty(), escaped) {
        (true, _) => Value::Null,
        (false, true) => {
            // A NUL ends a text there.
            let end = message.payload.iter().position(|b| *b == 0);
            text(message.payload.get(..end.unwrap_or(message.payload.len()))?)
        }
        (false, false) => json::parse(&message.payload)?,
    };
    members.push((b"payload".to_vec(), payload));
    Some(Value::Object(members))
}

fn properties(message: &Publish) -> Vec<(Vec<u8>, Value)> {
    let mut members: Vec<(Vec<u8>, Value)> = Vec::new();
    let whole = |n: u32| Value::Number(f64::from(n));
    for prop in message.props.iter() {
        let (name, value) = match prop {
            Prop::PayloadFormat(n) => ("payload-format-indicator", whole(n.into())),
            Prop::MessageExpiry(n) => ("message-expiry-interval", whole(n)),
            Prop::ContentType(text) => ("content-type", Value::Text(text.to_vec())),
            Prop::ResponseTopic(text) => ("response-topic", Value::Text(text.to_vec())),
            Prop::CorrelationData(data) => ("correlation-data", Value::Text(data.to_vec())),
            Prop::SubscriptionId(n) => ("subscription-identifier", whole(n)),
            Prop::TopicAlias(n) => ("topic-alias", whole(n.into())),
            Prop::User(name, value) => {
                let pair = (name.to_vec(), Value::Text(value.to_vec()));
                let at = members.iter().position(|(name, _)| name == b"user-properties");
                match at.and_then(|at| members.get_mut(at)) {
                    Some((_, Value::Object(pairs))) => pairs.push(pair),
                    _ => members.push((b"user-properties".to_vec(), Value::Object(vec![pair]))),
                }
                continue;
            }
            _ => continue,
        };
        members.push((name.as_bytes().to_vec(), value));
    }
    members
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::mqtt::Props;

    fn message(payload: &'static [u8], props: &[Prop]) -> Publish {
        Publish {
            dup: false,
            qos: 1,
            retain: true,
            topic: Bytes::from_static(b"a/b"),
            id: 7,
            props: Props::build(props),
            payload: Bytes::from_static(payload),
        }
    }

    fn printed(format: &str, message: &Publish) -> String {
        let mut out = Vec::new();
        let at = At { seconds: 1_700_000_000, nanos: 1_234_567 };
        let error = print(format, message, at, false, &mut out).err().unwrap_or_default();
        String::from_utf8(out).unwrap() + &error
    }

    #[test]
    fn letters_have_widths_and_sides() {
        let message = message(b"hello", &[]);
        for (format, text) in [
            ("%t|%6t|%-6t|%.1t|%5.2t|", "a/b|   a/b|a/b   |a|   a/|"),
            ("%l|%3l|%03l|%-3l|%m%q%r", "5|  5|005|5  |711"),
            ("%p|%8p|%-8p|%3p|", "hello|   hello|hello   |hel|"),
            ("%x|%X|%014x|%4x|", "68656c6c6f|68656C6C6F|000068656c6c6f|6865|"),
            ("%A|%3E|%03S|%2C|%P%R%D|", "|   |000|  ||"),
            ("%U @N @@ %%\\t\\\\", "1700000000.001234567 001234567 @ %\t\\"),
        ] {
            assert_eq!(check(format), Ok(()), "{format}");
            assert_eq!(printed(format, &message), text, "{format}");
        }
    }

    #[test]
    fn properties_have_letters() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let message = message(
            b"{\"a\":1}",
            &[
                Prop::User(text("k"), text("v")),
                Prop::ContentType(text("x/y")),
                Prop::User(text("l"), text("w")),
                Prop::SubscriptionId(5),
                Prop::SubscriptionId(6),
                Prop::MessageExpiry(9),
            ],
        );
        assert_eq!(printed("%P|%C|%5C|%S|%E", &message), "k:v l:w|x/y|  x/y|5|9");
        let document = printed("%J", &message);
        assert!(document.ends_with(
            "\"topic\":\"a/b\",\"qos\":1,\"retain\":1,\"payloadlen\":7,\"mid\":7,\"properties\":\
             {\"user-properties\":{\"k\":\"v\",\"l\":\"w\"},\"content-type\":\"x/y\",\
             \"subscription-identifier\":5,\"subscription-identifier\":6,\
             \"message-expiry-interval\":9},\"payload\":{\"a\":1}}"
        ), "{document}");
        assert!(document.starts_with("{\"tst\":\"20") && document.contains(".001234Z"));
    }

    #[test]
    fn what_is_no_json_is_said() {
        let said = printed("<%J>", &message(b"x", &[]));
        assert_eq!(said, "<>Error: Message payload is not valid JSON on topic a/b.");
        assert!(printed("%J", &message(b"", &[])).ends_with("\"payload\":null}"));
    }

    #[test]
    fn a_format_is_checked_before_it_is_used() {
        for (format, wrong) in [
            ("%Z", "Error: Invalid format specifier 'Z'."),
            ("%", "Error: Incomplete format specifier."),
            ("%5", "Error: Incomplete format specifier."),
            ("%-", "Error: Incomplete format specifier."),
            ("@", "Error: Incomplete format specifier."),
            ("\\", "Error: Incomplete escape specifier."),
            ("\\q", "Error: Invalid escape specifier 'q'."),
        ] {
            assert_eq!(check(format), Err(wrong.to_owned()), "{format}");
        }
    }
}
