//! Floor 1. Tests of `transcode`, and of what all three forms have in common.

use super::fuzzing::{any, carried, items, tree};
use super::transcode::GROWTH_MAX;
use super::{Bounds, Flaw, Form, Value, Walk, Writer, transcode};
use crate::base::rng::Rng;

/// A value in a form.
pub(super) fn written(value: &Value, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut Writer::new(form, &mut out));
    out
}

/// One of everything, and some within others.
pub(super) fn rich() -> Value {
    let inner = Value::Map(vec![
        ("list".into(), Value::List(vec![Value::Null, Value::Bool(true), Value::Float(-0.5)])),
        ("nothing".into(), Value::Map(Vec::new())),
        ("bytes".into(), Value::Bytes(vec![0, 255, 7])),
        ("\u{0}a\"\n".into(), Value::Float(1.0e300)),
    ]);
    Value::List(vec![
        Value::Int(48),
        Value::Uint(u64::MAX),
        Value::Int(i64::MIN),
        Value::Int(300),
        inner,
        Value::Text("gr\u{fc}n \"\\ \u{1} \u{1f600}".into()),
        Value::Bytes((0..=255).collect()),
        Value::Text("long ".repeat(60)),
        Value::List((0..20).map(Value::Int).collect()),
        Value::Float(0.1),
        Value::Float(-0.0),
    ])
}

/// A value of any kind; the less likely a list or a map, the deeper.
fn random(rng: &mut Rng, depth: u64) -> Value {
    match rng.below(8 + depth) {
        0 => Value::Null,
        1 => Value::Bool(rng.chance(1, 2)),
        2 | 3 => {
            let number = rng.next_u64() >> rng.below(64);
            i64::try_from(number).map_or(Value::Uint(number), Value::Int)
        }
        4 => Value::Int((rng.next_u64() >> rng.below(64)) as i64),
        5 => {
            let bits = rng.next_u64();
            let some = [f64::from_bits(bits), bits as f64, f64::from(bits as f32), 0.25, -0.0];
            Value::Float(*rng.pick(&some).unwrap())
        }
        6 => Value::Text(words(rng)),
        7 => Value::Bytes((0..rng.below(40)).map(|_| rng.next_u64() as u8).collect()),
        _ if rng.chance(1, 2) => {
            Value::List((0..rng.below(20)).map(|_| random(rng, depth / 2)).collect())
        }
        _ => Value::Map(
            (0..rng.below(20))
                .map(|i| (format!("{i}{}", words(rng)), random(rng, depth / 2)))
                .collect(),
        ),
    }
}

fn words(rng: &mut Rng) -> String {
    let letters: Vec<char> =
        "aZ09 \u{0}\u{1}\n\"\\/\u{7f}\u{e9}\u{20ac}\u{1f600}=".chars().collect();
    (0..rng.below(40)).map(|_| *rng.pick(&letters).unwrap()).collect()
}

fn turned(from: Form, bytes: &[u8], to: Form) -> Result<Vec<u8>, Flaw> {
    let mut out = Vec::new();
    transcode(from, bytes, to, &mut out, Bounds::default()).map(|()| out)
}

#[test]
fn what_one_form_says_every_other_says_too() {
    for from in Form::ALL {
        let bytes = written(&rich(), from);
        assert_eq!(tree(from, &bytes), Ok(rich()), "{from:?}");
        for to in Form::ALL {
            assert_eq!(turned(from, &bytes, to), Ok(written(&rich(), to)), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn random_values_go_through_every_pair_of_forms() {
    let mut rng = Rng::new(11);
    let mut nested = 0;
    for _ in 0..500 {
        let value = random(&mut rng, 8);
        nested += u32::from(matches!(value, Value::List(_) | Value::Map(_)));
        for from in Form::ALL {
            let value = carried(&value, from);
            let bytes = written(&value, from);
            for to in Form::ALL {
                let there = turned(from, &bytes, to).unwrap();
                let (value, found) = (carried(&value, to), tree(to, &there).unwrap());
                // As text, since what is no number is not equal to itself.
                assert_eq!(format!("{found:?}"), format!("{value:?}"), "{from:?} to {to:?}");
            }
        }
    }
    assert!(nested > 100, "{nested} of them are lists and maps");
}

#[test]
fn whole_numbers_survive_at_every_boundary() {
    let edges = (0..64).flat_map(|bit| {
        let edge = 1_u64 << bit;
        [edge - 1, edge, edge + 1, u64::MAX - edge]
    });
    for number in edges {
        let value = i64::try_from(number).map_or(Value::Uint(number), Value::Int);
        let negative = Value::Int((number as i64).wrapping_neg());
        for (from, to) in Form::ALL.into_iter().flat_map(|a| Form::ALL.map(|b| (a, b))) {
            for value in [&value, &negative] {
                let there = turned(from, &written(value, from), to).unwrap();
                assert_eq!(tree(to, &there).as_ref(), Ok(value), "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn doubles_survive_and_what_is_no_number_is_null_in_json() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let plain =
        [0.0, -0.0, 1.0, 1.5, 0.1, 1e16, 1e-7, 5e-324, f64::MAX, f64::MIN_POSITIVE, 65504.0];
    for (from, to) in Form::ALL.into_iter().flat_map(|a| Form::ALL.map(|b| (a, b))) {
        for number in plain.into_iter().chain(odd) {
            let value = Value::Float(number);
            let there = turned(from, &written(&value, from), to).unwrap();
            let json = from == Form::Json || to == Form::Json;
            let wanted = if json && !number.is_finite() { Value::Null } else { value };
            assert_eq!(format!("{:?}", tree(to, &there).unwrap()), format!("{wanted:?}"));
        }
    }
}

#[test]
fn a_text_that_looks_like_bytes_comes_back_from_json_as_bytes() {
    for (text, becomes) in [
        ("\0", Value::Bytes(Vec::new())),
        ("\0aGk=", Value::Bytes(b"hi".to_vec())),
        ("\0aGk", Value::Text("\0aGk".into())),
        ("a\0aGk=", Value::Text("a\0aGk=".into())),
    ] {
        let value = Value::Text(text.into());
        assert_eq!(tree(Form::Json, &written(&value, Form::Json)), Ok(becomes), "{text:?}");
        assert_eq!(tree(Form::Cbor, &written(&value, Form::Cbor)), Ok(value), "{text:?}");
    }
}

#[test]
fn what_does_not_say_its_length_is_counted_first() {
    let json = b" [ [ ] , {\"a\" : [1, 2] , \"b\": {}} ,\"x\" ] ";
    let packed = [0x93, 0x90, 0x82, 0xA1, b'a', 0x92, 1, 2, 0xA1, b'b', 0x80, 0xA1, b'x'];
    assert_eq!(turned(Form::Json, json, Form::MsgPack).unwrap(), packed);
    let endless = [
        0x9F, 0x9F, 0xFF, 0xBF, 0x61, b'a', 0x9F, 1, 2, 0xFF, 0x61, b'b', 0xA0, 0xFF, 0x61, b'x',
        0xFF,
    ];
    assert_eq!(turned(Form::Cbor, &endless, Form::MsgPack).unwrap(), packed);
    let definite = [0x83, 0x80, 0xA2, 0x61, b'a', 0x82, 1, 2, 0x61, b'b', 0xA0, 0x61, b'x'];
    assert_eq!(turned(Form::Cbor, &endless, Form::Cbor).unwrap(), definite);
    assert_eq!(
        turned(Form::MsgPack, &packed, Form::Json).unwrap(),
        br#"[[],{"a":[1,2],"b":{}},"x"]"#
    );
}

#[test]
fn what_is_written_grows_with_the_input_and_no_more() {
    let most = [&[0x9A, 0, 0, 0x27, 0x10][..], &[0x40; 10_000]].concat();
    let out = turned(Form::Cbor, &most, Form::Json).unwrap();
    assert_eq!(out.len(), 10_000 * GROWTH_MAX + 1);
    // Text, small doubles, numbers with an exponent.
    let control = [&[0xDA, 1, 0][..], &[1; 256]].concat();
    let halves = [&[0x98, 200][..], &[0xF9, 0x80, 0x01].repeat(200)].concat();
    let powers = format!("[{}1e15]", "-1e15,".repeat(200)).into_bytes();
    for (form, bytes) in [(Form::MsgPack, control), (Form::Cbor, halves), (Form::Json, powers)] {
        for to in Form::ALL {
            let len = turned(form, &bytes, to).unwrap().len();
            assert!(len <= GROWTH_MAX * bytes.len(), "{form:?} to {to:?}: {len}");
        }
    }
}

#[test]
fn with_a_flaw_nothing_is_appended() {
    let mut out = b"before".to_vec();
    for (bytes, flaw) in [
        (&b"[1,2"[..], Flaw::Short),
        (b"[1] 2", Flaw::Trailing),
        (b"[1e999]", Flaw::Number),
        (b"[[[1]]]", Flaw::Depth),
        (b"[1,1,1,1]", Flaw::Items),
    ] {
        for to in Form::ALL {
            let bounds = Bounds { depth: 2, items: 4 };
            let done = transcode(Form::Json, bytes, to, &mut out, bounds);
            assert_eq!((done, &out[..]), (Err(flaw), &b"before"[..]), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn cut_anywhere_it_is_short_and_never_more() {
    for form in Form::ALL {
        let whole = written(&rich(), form);
        for end in 0..whole.len() {
            let (_, flaw) = items(Walk::new(form, &whole[..end], Bounds::default()));
            assert_eq!(flaw, Err(Flaw::Short), "{form:?} cut at {end}");
            any(&[&[form as u8], &whole[..end]].concat());
        }
        any(&[&[form as u8], &whole[..]].concat());
    }
}

#[test]
fn the_laws_hold_for_noise_and_for_damage() {
    let mut rng = Rng::new(5);
    for form in Form::ALL {
        let whole = [&[form as u8], &written(&rich(), form)[..]].concat();
        for _ in 0..600 {
            let mut bytes = whole.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len() as u64) as usize;
                match rng.below(3) {
                    0 => bytes[at] = rng.next_u64() as u8,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *rng.pick(&whole).unwrap()),
                }
            }
            any(&bytes);
        }
    }
    let letters =
        b"\x00\x01\x02{}[]\",:\\u0d81e-+.tn \x81\x92\xa1\xc0\xc7\xd9\xdc\xff\xbf\x9f\x7f\xf8";
    for _ in 0..40_000 {
        let mut bytes = vec![rng.below(6) as u8];
        bytes.extend((0..rng.below(24)).map(|_| *rng.pick(letters).unwrap()));
        any(&bytes);
    }
}
