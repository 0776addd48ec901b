//! Floor 1. Tests of `cbor`: the examples of the RFC's appendix A, and what is not well formed.

use super::fuzzing::{items, tree};
use super::transcode_test::written;
use super::{Bounds, Flaw, Form, Item, Value, Walk};

/// Bytes from hexadecimal digits, two for each.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()
}

fn read(digits: &str) -> Result<Value, Flaw> {
    tree(Form::Cbor, &hex(digits))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

fn ints(values: impl IntoIterator<Item = i64>) -> Value {
    list(values.into_iter().map(Value::Int))
}

fn map(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// Read as that.
fn says(digits: &str, value: &Value) {
    assert_eq!(format!("{:?}", read(digits)), format!("{:?}", Ok::<_, Flaw>(value)), "{digits}");
}

/// Read as that, and written as this.
fn both(digits: &str, value: &Value) {
    says(digits, value);
    assert_eq!(written(value, Form::Cbor), hex(digits), "{value:?}");
}

#[test]
fn whole_numbers_of_the_appendix_and_at_every_edge() {
    for (digits, number) in [
        ("00", 0),
        ("01", 1),
        ("0a", 10),
        ("17", 23),
        ("1818", 24),
        ("1819", 25),
        ("1864", 100),
        ("18ff", 255),
        ("190100", 256),
        ("1903e8", 1_000),
        ("19ffff", 65_535),
        ("1a00010000", 65_536),
        ("1a000f4240", 1_000_000),
        ("1affffffff", 4_294_967_295),
        ("1b0000000100000000", 4_294_967_296),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1b0020000000000000", 1 << 53),
        ("1b7fffffffffffffff", i64::MAX),
        ("20", -1),
        ("29", -10),
        ("37", -24),
        ("3818", -25),
        ("3863", -100),
        ("38ff", -256),
        ("390100", -257),
        ("3903e7", -1_000),
        ("39ffff", -65_536),
        ("3a00010000", -65_537),
        ("3b0000000100000000", -4_294_967_297),
        ("3b7fffffffffffffff", i64::MIN),
    ] {
        both(digits, &Value::Int(number));
    }
    both("1b8000000000000000", &Value::Uint(1 << 63));
    both("1bffffffffffffffff", &Value::Uint(u64::MAX));
    for below in ["3b8000000000000000", "3bffffffffffffffff"] {
        assert_eq!(read(below), Err(Flaw::Number), "{below}");
    }
    for longer in ["1805", "190005", "1a00000005", "1b0000000000000005"] {
        says(longer, &Value::Int(5));
    }
}

#[test]
fn doubles_of_the_appendix_in_the_fewest_bytes() {
    for (digits, number) in [
        ("f90000", 0.0),
        ("f98000", -0.0),
        ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1),
        ("f93e00", 1.5),
        ("f97bff", 65_504.0),
        ("fa47c35000", 100_000.0),
        ("fa7f7fffff", 3.402_823_466_385_288_6e38),
        ("fb7e37e43c8800759c", 1.0e300),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f90400", 0.000_061_035_156_25),
        ("f9c400", -4.0),
        ("fbc010666666666666", -4.1),
        ("f97c00", f64::INFINITY),
        ("f9fc00", f64::NEG_INFINITY),
        ("f97e00", f64::NAN),
        // Beside what two bytes hold: too big, too small, too fine.
        ("fa47800000", 65_536.0),
        ("f903ff", 1023.0 / 16_777_216.0),
        ("fa33000000", 0.5 / 16_777_216.0),
        ("fa387fe000", 1023.5 / 16_777_216.0),
        ("fa3f801000", 1.0 + 1.0 / 2_048.0),
        ("f93c01", 1.0 + 1.0 / 1_024.0),
        // And beside what four do.
        ("fb47f0000000000000", 3.402_823_669_209_385e38),
        ("fb3ff0000010000000", 1.0 + 1.0 / 16_777_216.0),
        ("fb0000000000000001", 5e-324),
    ] {
        both(digits, &Value::Float(number));
    }
    for (digits, number) in [
        ("fa7f800000", f64::INFINITY),
        ("fb7ff0000000000000", f64::INFINITY),
        ("faff800000", f64::NEG_INFINITY),
        ("fbfff0000000000000", f64::NEG_INFINITY),
        ("fa7fc00000", f64::NAN),
        ("fb7ff8000000000000", f64::NAN),
        ("f97c01", f64::NAN),
        ("fb3ff0000000000000", 1.0),
    ] {
        says(digits, &Value::Float(number));
    }
}

#[test]
fn every_half_is_read_as_a_rule_says_and_written_as_it_was() {
    for half in 0..=u16::MAX {
        let bytes = [&[0xF9][..], &half.to_be_bytes()].concat();
        let Ok(Value::Float(number)) = tree(Form::Cbor, &bytes) else { panic!("{half:x}") };
        let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 1023));
        let size = match exponent {
            31 if fraction > 0.0 => {
                assert!(number.is_nan(), "{half:x}");
                continue;
            }
            31 => f64::INFINITY,
            0 => fraction * 2_f64.powi(-24),
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        };
        assert_eq!(number.to_bits() << 1, size.to_bits() << 1, "{half:x}");
        assert_eq!(number.is_sign_negative(), half >> 15 == 1, "{half:x}");
        assert_eq!(written(&Value::Float(number), Form::Cbor), bytes, "{half:x}");
    }
}

#[test]
fn the_rest_of_the_appendix() {
    both("f4", &Value::Bool(false));
    both("f5", &Value::Bool(true));
    both("f6", &Value::Null);
    says("f7", &Value::Null);
    both("40", &Value::Bytes(vec![]));
    both("4401020304", &Value::Bytes(vec![1, 2, 3, 4]));
    for (digits, said) in [
        ("60", ""),
        ("6161", "a"),
        ("6449455446", "IETF"),
        ("62225c", "\"\\"),
        ("62c3bc", "\u{fc}"),
        ("63e6b0b4", "\u{6c34}"),
        ("64f0908591", "\u{10151}"),
    ] {
        both(digits, &text(said));
    }
    both("80", &list([]));
    both("83010203", &ints(1..=3));
    both("8301820203820405", &list([Value::Int(1), ints(2..=3), ints(4..=5)]));
    let long = "98190102030405060708090a0b0c0d0e0f101112131415161718181819";
    both(long, &ints(1..=25));
    both("a0", &map([]));
    both("a26161016162820203", &map([("a", Value::Int(1)), ("b", ints(2..=3))]));
    both("826161a161626163", &list([text("a"), map([("b", text("c"))])]));
    let letters = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("e", "E")];
    let letters = map(letters.map(|(small, big)| (small, text(big))));
    both("a56161614161626142616361436164614461656145", &letters);
}

#[test]
fn what_has_no_length_is_read_up_to_its_break() {
    says("5f42010243030405ff", &Value::Bytes(vec![1, 2, 3, 4, 5]));
    says("5fff", &Value::Bytes(vec![]));
    says("7f657374726561646d696e67ff", &text("streaming"));
    says("7fff", &text(""));
    says("9fff", &list([]));
    let nested = list([Value::Int(1), ints(2..=3), ints(4..=5)]);
    for digits in
        ["9f018202039f0405ffff", "9f01820203820405ff", "83018202039f0405ff", "83019f0203ff820405"]
    {
        says(digits, &nested);
    }
    says("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", &ints(1..=25));
    says("bf61610161629f0203ffff", &map([("a", Value::Int(1)), ("b", ints(2..=3))]));
    says("826161bf61626163ff", &list([text("a"), map([("b", text("c"))])]));
    let fun = map([("Fun", Value::Bool(true)), ("Amt", Value::Int(-2))]);
    says("bf6346756ef563416d7421ff", &fun);
    says("a17f61616162ff01", &map([("ab", Value::Int(1))]));
}

#[test]
fn tags_are_passed_over() {
    says("c074323031332d30332d32315432303a30343a30305a", &text("2013-03-21T20:04:00Z"));
    says("c11a514b67b0", &Value::Int(1_363_896_240));
    says("c249010000000000000000", &Value::Bytes(hex("010000000000000000")));
    says("d74401020304", &Value::Bytes(vec![1, 2, 3, 4]));
    says("d818456449455446", &Value::Bytes(b"dIETF".to_vec()));
    says("d9d9f7c1da00000005db000000000000000582c001c102", &ints(1..=2));
    says("a1c06161c101", &map([("a", Value::Int(1))]));
    for end in 1..9 {
        let tag = hex("db00000000000000000001");
        assert_eq!(tree(Form::Cbor, &tag[..end]), Err(Flaw::Short));
    }
    let many = [vec![0xC0; 100_000], vec![0x01]].concat();
    assert_eq!(tree(Form::Cbor, &many), Ok(Value::Int(1)));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for (digits, flaw) in [
        ("", Flaw::Short),
        ("18", Flaw::Short),
        ("1b00000000000000", Flaw::Short),
        ("1c", Flaw::Malformed),
        ("1f", Flaw::Malformed),
        ("3f", Flaw::Malformed),
        ("5c", Flaw::Malformed),
        ("7d", Flaw::Malformed),
        ("9e", Flaw::Malformed),
        ("bc", Flaw::Malformed),
        ("dc01", Flaw::Malformed),
        ("df01", Flaw::Malformed),
        ("fc", Flaw::Malformed),
        ("fe", Flaw::Malformed),
        ("ff", Flaw::Malformed),
        ("f800", Flaw::Malformed),
        ("f814", Flaw::Malformed),
        ("f81f", Flaw::Malformed),
        ("f8", Flaw::Short),
        ("f9", Flaw::Short),
        ("fa000000", Flaw::Short),
        ("81ff", Flaw::Malformed),
        ("8201ff", Flaw::Malformed),
        ("a1ff00", Flaw::Malformed),
        ("bf6161ff", Flaw::Malformed),
        ("bf61610161ff", Flaw::Utf8),
        ("c0ff", Flaw::Malformed),
        ("9fc0ff", Flaw::Malformed),
        ("9f", Flaw::Short),
        ("9f01", Flaw::Short),
        ("bf616101", Flaw::Short),
        ("5f", Flaw::Short),
        ("5f4101", Flaw::Short),
        ("5f6161ff", Flaw::Malformed),
        ("7f4161ff", Flaw::Malformed),
        ("7f7f6161ffff", Flaw::Malformed),
        ("7fc06161ff", Flaw::Malformed),
        ("5f5f4101ffff", Flaw::Malformed),
        ("61ff", Flaw::Utf8),
        ("7f61c361bcff", Flaw::Utf8),
        ("0000", Flaw::Trailing),
        ("a2616101616102", Flaw::Key),
    ] {
        assert_eq!(read(digits), Err(flaw), "{digits}");
        let bytes = hex(digits);
        let mut walk = Walk::new(Form::Cbor, &bytes, Bounds::default());
        let twice = flaw == Flaw::Key;
        let over = if twice { Ok(()) } else { Err(flaw) };
        assert_eq!(walk.skip().and_then(|()| walk.finish()), over, "{digits}, passed over");
    }
}

#[test]
fn simple_values_without_a_meaning_are_passed_over() {
    let simple = (0xE0..=0xF3).map(|head| vec![head]);
    for bytes in simple.chain((32..=255).map(|value| vec![0xF8, value])) {
        let walk = Walk::new(Form::Cbor, &bytes, Bounds::default());
        assert_eq!(items(walk.clone()), (vec![], Err(Flaw::Unsupported)), "{bytes:x?}");
        let mut over = walk;
        assert_eq!(over.span(), Ok(&bytes[..]));
    }
}

#[test]
fn every_first_byte_means_one_thing() {
    for head in 0..=255_u8 {
        let bytes = [&[head][..], &[0; 60]].concat();
        let (items, end) = items(Walk::new(Form::Cbor, &bytes, Bounds::default()));
        let kind = match items.first() {
            Some(Item::Int(_)) => "int",
            Some(Item::Bytes(_)) => "bytes",
            Some(Item::Text(_)) => "text",
            Some(Item::List) => "list",
            Some(Item::Map) => "map",
            Some(Item::Bool(_) | Item::Null) => "word",
            Some(Item::Float(_)) => "float",
            Some(Item::Uint(_) | Item::End) => "no",
            None if end == Err(Flaw::Malformed) => "wrong",
            None if end == Err(Flaw::Unsupported) => "strange",
            None => "no",
        };
        let wanted = match (head >> 5, head & 31) {
            (0..=6, 28..=30) | (0 | 1 | 6, 31) | (2 | 3, 31) | (7, 24 | 28..=31) => "wrong",
            (0 | 1 | 6, _) => "int",
            (2, _) => "bytes",
            (3, _) => "text",
            (4, _) => "list",
            (5, _) => "map",
            (_, 20..=23) => "word",
            (_, 25..=27) => "float",
            _ => "strange",
        };
        assert_eq!(kind, wanted, "{head:x}");
    }
}
