//! Floor 1. Tests of `json`: what the RFC allows, what it does not, and how it is written.

use super::fuzzing::{items, tree};
use super::transcode_test::written;
use super::{Bounds, Flaw, Form, Item, Value, Walk, Writer};
use crate::base::rng::Rng;

fn read(text: &str) -> Result<Value, Flaw> {
    tree(Form::Json, text.as_bytes())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn scalars_are_read_as_the_rfc_has_them() {
    for (json, value) in [
        ("null", Value::Null),
        (" true\t", Value::Bool(true)),
        ("\r\nfalse ", Value::Bool(false)),
        ("0", Value::Int(0)),
        ("-1", Value::Int(-1)),
        ("9007199254740993", Value::Int(9_007_199_254_740_993)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775808", Value::Uint(1 << 63)),
        ("18446744073709551615", Value::Uint(u64::MAX)),
        ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
        ("-9223372036854775809", Value::Float(-9_223_372_036_854_775_808.0)),
        ("-0", Value::Float(-0.0)),
        ("1.0", Value::Float(1.0)),
        ("-0.5e1", Value::Float(-5.0)),
        ("1E+2", Value::Float(100.0)),
        ("25e-2", Value::Float(0.25)),
        ("1e-999", Value::Float(0.0)),
        ("0.1", Value::Float(0.1)),
    ] {
        assert_eq!(format!("{:?}", read(json)), format!("{:?}", Ok::<_, Flaw>(value)), "{json}");
    }
}

#[test]
fn escapes_are_undone() {
    for (json, said) in [
        (r#""""#, ""),
        (r#""plain \u00fc""#, "plain \u{fc}"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\u0041\u000a\uFFFF\uffff""#, "A\n\u{ffff}\u{ffff}"),
        (r#""\ud83d\ude00\uD800\uDC00\udbff\udfff""#, "\u{1f600}\u{10000}\u{10ffff}"),
        (r#""a\u0000b""#, "a\0b"),
        ("\"gr\u{fc}n\u{7f}\u{2028}\"", "gr\u{fc}n\u{7f}\u{2028}"),
    ] {
        assert_eq!(read(json), Ok(text(said)), "{json}");
    }
}

#[test]
fn what_the_rfc_leaves_out_is_refused() {
    for (json, flaw) in [
        ("", Flaw::Short),
        (" ", Flaw::Short),
        ("nul", Flaw::Short),
        ("nulL", Flaw::Malformed),
        ("True", Flaw::Malformed),
        ("\u{feff}1", Flaw::Malformed),
        ("'a'", Flaw::Malformed),
        ("01", Flaw::Malformed),
        ("-", Flaw::Short),
        ("-a", Flaw::Malformed),
        ("+1", Flaw::Malformed),
        (".5", Flaw::Malformed),
        ("1.", Flaw::Short),
        ("1.e5", Flaw::Malformed),
        ("1e", Flaw::Short),
        ("1e+", Flaw::Short),
        ("1ex", Flaw::Malformed),
        ("NaN", Flaw::Malformed),
        ("1e400", Flaw::Number),
        ("-1e400", Flaw::Number),
        ("1 1", Flaw::Trailing),
        ("[", Flaw::Short),
        ("[1", Flaw::Short),
        ("[1,", Flaw::Short),
        ("[1,]", Flaw::Malformed),
        ("[,1]", Flaw::Malformed),
        ("[1 2]", Flaw::Malformed),
        ("[1:2]", Flaw::Malformed),
        ("[1}", Flaw::Malformed),
        ("[}", Flaw::Malformed),
        ("]", Flaw::Malformed),
        ("{\"a\"", Flaw::Short),
        ("{\"a\":", Flaw::Short),
        ("{\"a\"}", Flaw::Malformed),
        ("{\"a\":}", Flaw::Malformed),
        ("{\"a\",1}", Flaw::Malformed),
        ("{\"a\":1,}", Flaw::Malformed),
        ("{\"a\":1]", Flaw::Malformed),
        ("{\"a\":1 \"b\":1}", Flaw::Malformed),
        ("{a:1}", Flaw::Malformed),
        ("{1:1}", Flaw::Key),
        ("{\"a\":1,\"a\":1}", Flaw::Key),
        ("\"", Flaw::Short),
        ("\"a\\", Flaw::Short),
        ("\"a\\\"", Flaw::Short),
        ("\"\\u12", Flaw::Short),
        ("\"\\u12g4\"", Flaw::Malformed),
        ("\"\\u+123\"", Flaw::Malformed),
        ("\"\\x\"", Flaw::Malformed),
        ("\"\n\"", Flaw::Malformed),
        ("\"\u{0}\"", Flaw::Malformed),
        ("\"\\n\u{1f}\"", Flaw::Malformed),
        ("\"\\ud800\"", Flaw::Utf8),
        ("\"\\ud800a\"", Flaw::Utf8),
        ("\"\\ud800\\n\"", Flaw::Utf8),
        ("\"\\ud800\\ud800\"", Flaw::Utf8),
        ("\"\\ud800\\ue000\"", Flaw::Utf8),
        ("\"\\udc00\"", Flaw::Utf8),
        ("\"\\udfff\\ud800\"", Flaw::Utf8),
    ] {
        assert_eq!(read(json), Err(flaw), "{json}");
    }
    for bytes in
        [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xc3\\n\"", b"\"\xed\xa0\x80\"", b"\"\xc0\x80\""]
    {
        assert_eq!(tree(Form::Json, bytes), Err(Flaw::Utf8), "{bytes:x?}");
    }
}

#[test]
fn a_string_ends_at_its_quote_wherever_that_stands() {
    let all: Vec<char> = (1..=0xFF_u8).map(char::from).chain(['\u{20ac}', '\u{1f600}']).collect();
    for len in 0..20 {
        for other in &all {
            let said: String = "a".repeat(len) + &other.to_string() + "b!\u{80}\u{a2}#]z";
            let json = written(&text(&said), Form::Json);
            let escaped = u32::from(*other) < 0x20 || matches!(other, '"' | '\\');
            assert_eq!(json.contains(&b'\\'), escaped, "{said:?}");
            let behind = [&json[..], b" \"\\x"].concat();
            let mut walk = Walk::new(Form::Json, &behind, Bounds::default());
            assert_eq!(walk.clone().next(), Ok(Item::Text(said.into())));
            assert_eq!(walk.span(), Ok(&json[..]));
        }
    }
}

#[test]
fn skipping_checks_text_and_numbers_too() {
    for (json, flaw) in [
        (&b"[\"\xff\"]"[..], Flaw::Utf8),
        (b"[\"\\ud800\"]", Flaw::Utf8),
        (b"[\"\\n\xff\"]", Flaw::Utf8),
        (b"[\"\x01\"]", Flaw::Malformed),
        (b"[01]", Flaw::Malformed),
        (b"[1.]", Flaw::Malformed),
        (b"[1,]", Flaw::Malformed),
    ] {
        let mut walk = Walk::new(Form::Json, json, Bounds::default());
        assert_eq!(walk.skip(), Err(flaw), "{}", json.escape_ascii());
    }
}

#[test]
fn bytes_are_carried_as_base64_behind_a_zero() {
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    for (json, value) in [
        (r#""\u0000""#, bytes(b"")),
        (r#""\u0000AP8H""#, bytes(&[0, 255, 7])),
        (r#""\u0000aGk=""#, bytes(b"hi")),
        (r#""\u0000a\u0047k=""#, bytes(b"hi")),
        (r#""\u0000\/\/\/\/""#, bytes(&[255; 3])),
        (r#""\u0000aGk""#, text("\0aGk")),
        (r#""\u0000a b=""#, text("\0a b=")),
        (r#"" \u0000aGk=""#, text(" \0aGk=")),
        (r#"{"\u0000aGk=":1}"#, Value::Map(vec![("\0aGk=".into(), Value::Int(1))])),
    ] {
        assert_eq!(read(json), Ok(value), "{json}");
    }
    assert_eq!(written(&bytes(&[0, 255, 7]), Form::Json), br#""\u0000AP8H""#);
    assert_eq!(written(&bytes(b""), Form::Json), br#""\u0000""#);
}

#[test]
fn it_is_written_without_spaces_and_with_few_escapes() {
    let mut out = b"x".to_vec();
    let mut writer = Writer::new(Form::Json, &mut out);
    writer.list(6).int(-1).list(0).end().map(2).key("a\"").null().key("b").raw(b"[1]").end();
    writer.text("\0\u{1f}\n\r\t\\/\u{7f}\u{fc}").raw(b"true").map(0).end().end();
    let wanted = r#"x[-1,[],{"a\"":null,"b":[1]},"\u0000\u001f\n\r\t\\/"#;
    assert_eq!(String::from_utf8(out).unwrap(), format!("{wanted}\u{7f}\u{fc}\",true,{{}}]"));
    for (value, json) in [
        (Value::Float(1.0), "1.0"),
        (Value::Float(-0.0), "-0.0"),
        (Value::Float(0.1), "0.1"),
        (Value::Float(1e16), "1e16"),
        (Value::Float(9_007_199_254_740_992.0), "9007199254740992.0"),
        (Value::Float(5e-324), "5e-324"),
        (Value::Float(f64::NAN), "null"),
        (Value::Float(f64::NEG_INFINITY), "null"),
        (Value::Int(0), "0"),
        (Value::Int(i64::MIN), "-9223372036854775808"),
        (Value::Uint(u64::MAX), "18446744073709551615"),
        (Value::Bool(false), "false"),
    ] {
        assert_eq!(String::from_utf8(written(&value, Form::Json)).unwrap(), json);
    }
}

/// A value as another library has it, without what it says of keys that stand twice.
fn theirs(value: serde_json::Value) -> Value {
    use serde_json::Value as Theirs;
    match value {
        Theirs::Null => Value::Null,
        Theirs::Bool(truth) => Value::Bool(truth),
        Theirs::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::Int(number),
            (_, Some(number), _) => Value::Uint(number),
            (.., number) => Value::Float(number.unwrap()),
        },
        Theirs::String(text) => Value::Text(text),
        Theirs::Array(values) => Value::List(values.into_iter().map(theirs).collect()),
        Theirs::Object(pairs) => {
            Value::Map(pairs.into_iter().map(|(key, value)| (key, theirs(value))).collect())
        }
    }
}

#[test]
fn agrees_with_another_reader_about_noise() {
    let mut rng = Rng::new(7);
    let letters: Vec<char> = "{}[]\",:\\u012de8E+-.tru nl\u{e9}".chars().collect();
    let mut good = 0;
    for _ in 0..100_000 {
        let noise: String = (0..rng.below(12)).map(|_| *rng.pick(&letters).unwrap()).collect();
        let text = if rng.chance(1, 2) { format!("[\"{noise}\"]") } else { noise };
        let ours = read(&text);
        if ours == Err(Flaw::Key) && !text.contains('1') {
            continue;
        }
        let theirs = serde_json::from_str(&text).map(theirs);
        let well = items(Walk::new(Form::Json, text.as_bytes(), Bounds::default())).1;
        assert_eq!(well.is_ok(), theirs.is_ok(), "{text}: {ours:?}");
        let single = |value: &Value| !matches!(value, Value::Map(pairs) if pairs.len() > 1);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            good += 1;
            assert!(!single(&theirs) || format!("{ours:?}") == format!("{theirs:?}"), "{text}");
        }
    }
    assert!(good > 1_000, "{good} of them are documents");
}
