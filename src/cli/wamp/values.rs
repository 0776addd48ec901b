//! Floor 6. Values on the command line, and how they are printed: JSON, and text for what is none.
//!
//! An argument that is a JSON document is that value, anything else is text, so that words need no
//! quotes within quotes. Bytes are strings that begin with U+0000, as WAMP writes them in JSON.
//! Absent on purpose: colours and tables.

use std::io::Write;

use crate::client::wamp::{Event, Failure, Payload};
use crate::value::{Bounds, Form, Value, Walk, Writer};

/// What the arguments of a command come to.
pub(super) fn payload(
    args: &[String],
    kwargs: Option<&str>,
    text: bool,
) -> Result<Payload, String> {
    let args = args.iter().map(|arg| if text { Value::Text(arg.clone()) } else { value(arg) });
    let kwargs = match kwargs.map(parse) {
        None => Vec::new(),
        Some(Some(Value::Map(pairs))) => pairs,
        Some(_) => return Err("--kwargs wants a JSON object".to_owned()),
    };
    Ok(Payload { args: args.collect(), kwargs })
}

/// A document, or text.
pub(super) fn value(text: &str) -> Value {
    parse(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// A document.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut walk = Walk::new(Form::Json, text.as_bytes(), BOUNDS);
    let value = Value::read(&mut walk).ok()?;
    walk.finish().ok().map(|()| value)
}

/// In one line.
pub(super) fn print(value: &Value) -> String {
    let mut out = Vec::new();
    value.write(&mut Writer::new(Form::Json, &mut out));
    shown(&String::from_utf8_lossy(&out))
}

/// As a terminal may have it: what would command it is written out, also what JSON lets stand.
pub(super) fn shown(text: &str) -> String {
    let one = |c: char| match c.is_control() {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.into(),
    };
    match text.contains(char::is_control) {
        true => text.chars().map(one).collect(),
        false => text.to_owned(),
    }
}

/// A payload in one line: its only value, or all of them and those with names.
pub(super) fn line(payload: &Payload) -> String {
    match (payload.args.as_slice(), payload.kwargs.as_slice()) {
        ([], []) => "null".to_owned(),
        ([one], []) => print(one),
        (_, []) => print(&Value::List(payload.args.clone())),
        ([], _) => print(&Value::Map(payload.kwargs.clone())),
        _ => format!(
            "{} {}",
            print(&Value::List(payload.args.clone())),
            print(&Value::Map(payload.kwargs.clone()))
        ),
    }
}

/// What an answer says, over several lines where that reads better.
pub(super) fn lines(payload: &Payload) -> String {
    match (payload.args.as_slice(), payload.kwargs.as_slice()) {
        ([Value::List(all)], []) => all.iter().map(print).collect::<Vec<_>>().join("\n"),
        ([Value::Map(pairs)], []) => {
            let row = |(key, value): &(String, Value)| format!("{}: {}", shown(key), print(value));
            pairs.iter().map(row).collect::<Vec<_>>().join("\n")
        }
        ([], []) => String::new(),
        _ => line(payload),
    }
}

/// The members that every document of a payload has.
pub(super) fn members(payload: &Payload) -> Vec<(String, Value)> {
    vec![
        ("args".to_owned(), Value::List(payload.args.clone())),
        ("kwargs".to_owned(), Value::Map(payload.kwargs.clone())),
    ]
}

/// An ERROR as a document.
pub(super) fn failure(failure: &Failure) -> String {
    let mut all = vec![("error".to_owned(), Value::Text(failure.uri.clone()))];
    all.extend(members(&failure.payload));
    print(&Value::Map(all))
}

/// An event as a document.
pub(super) fn event(event: &Event) -> String {
    let id = |id: u64| Value::Int(i64::try_from(id).unwrap_or(i64::MAX));
    let text = |text: &String| Value::Text(text.clone());
    let mut all = vec![
        ("topic", text(&event.topic)),
        ("publication", id(event.publication)),
        ("args", Value::List(event.payload.args.clone())),
        ("kwargs", Value::Map(event.payload.kwargs.clone())),
    ];
    all.extend(event.publisher.map(|it| ("publisher", id(it))));
    all.extend(event.publisher_authid.as_ref().map(|it| ("publisher_authid", text(it))));
    all.extend(event.publisher_authrole.as_ref().map(|it| ("publisher_authrole", text(it))));
    all.extend(event.trust.map(|it| ("trustlevel", id(it))));
    all.extend(event.retained.then_some(("retained", Value::Bool(true))));
    print(&Value::Map(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

/// A line on standard output, at once; false when nobody reads it.
pub(super) fn say(line: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_ok()
}

/// Nobody types more than this.
const BOUNDS: Bounds = Bounds { depth: 64, items: 1 << 20 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_values_and_everything_else_is_text() {
        assert_eq!(value("1"), Value::Int(1));
        assert_eq!(value("[true,null]"), Value::List(vec![Value::Bool(true), Value::Null]));
        assert_eq!(value("\"1\""), Value::Text("1".to_owned()));
        for text in ["hello", "", "{", "1 2", "nul", "01"] {
            assert_eq!(value(text), Value::Text(text.to_owned()), "{text}");
        }
        assert_eq!(payload(&["1".to_owned()], None, true).unwrap().args, [value("\"1\"")]);
        let named = payload(&[], Some("{\"a\":1}"), false).unwrap();
        assert_eq!(named.kwargs, [("a".to_owned(), Value::Int(1))]);
        for wrong in ["[1]", "x", "{"] {
            assert!(payload(&[], Some(wrong), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_that_is_printed_commands_a_terminal() {
        let odd = "a\u{1b}[1m\u{7f}\u{9b}2J\u{85}\n\u{e9}";
        let text = print(&Value::Text(odd.to_owned()));
        assert!(!text.contains(char::is_control), "{text:?}");
        assert_eq!(value(&text), Value::Text(odd.to_owned()), "and it is the same text");
        let pairs = vec![(odd.to_owned(), Value::Null)];
        let many = lines(&Payload { args: vec![Value::Map(pairs)], kwargs: Vec::new() });
        assert!(!many.contains(char::is_control), "{many:?}");
        assert_eq!(shown("a/b \u{e9}"), "a/b \u{e9}");
    }

    #[test]
    fn a_payload_is_printed_as_short_as_it_can_be() {
        let printed = |args: &[&str], kwargs| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            let payload = payload(&args, kwargs, false).unwrap();
            (line(&payload), lines(&payload))
        };
        let both = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(printed(&[], None), ("null".to_owned(), String::new()));
        assert_eq!(printed(&["x"], None), both("\"x\""));
        assert_eq!(printed(&["1", "2"], None), both("[1,2]"));
        assert_eq!(printed(&[], Some("{\"a\":1}")), both("{\"a\":1}"));
        assert_eq!(printed(&["1"], Some("{\"a\":1}")), both("[1] {\"a\":1}"));
        assert_eq!(printed(&["[1,2]"], None), ("[1,2]".to_owned(), "1\n2".to_owned()));
        let (one, many) = printed(&["{\"a\":1,\"b\":[]}"], None);
        assert_eq!((one.as_str(), many.as_str()), ("{\"a\":1,\"b\":[]}", "a: 1\nb: []"));
    }
}
