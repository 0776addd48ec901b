//! Floor 1. Tests of `msgpack`: every head, and the edges between them.

use super::fuzzing::{items, tree};
use super::transcode_test::written;
use super::{Bounds, Flaw, Form, Item, Value, Walk, Writer};

fn read(bytes: &[u8]) -> Result<Value, Flaw> {
    tree(Form::MsgPack, bytes)
}

/// Read as that, and written as this.
fn both(value: Value, bytes: &[u8]) {
    assert_eq!(format!("{:?}", read(bytes)), format!("{:?}", Ok::<_, Flaw>(&value)), "{bytes:x?}");
    assert_eq!(written(&value, Form::MsgPack), bytes, "{value:?}");
}

#[test]
fn whole_numbers_at_every_edge() {
    let cases: [(i64, &[u8]); 20] = [
        (0, &[0x00]),
        (127, &[0x7F]),
        (128, &[0xCC, 0x80]),
        (255, &[0xCC, 0xFF]),
        (256, &[0xCD, 0x01, 0x00]),
        (65_535, &[0xCD, 0xFF, 0xFF]),
        (65_536, &[0xCE, 0x00, 0x01, 0x00, 0x00]),
        (4_294_967_295, &[0xCE, 0xFF, 0xFF, 0xFF, 0xFF]),
        (4_294_967_296, &[0xCF, 0, 0, 0, 1, 0, 0, 0, 0]),
        (1 << 53, &[0xCF, 0, 0x20, 0, 0, 0, 0, 0, 0]),
        (i64::MAX, &[0xCF, 0x7F, 255, 255, 255, 255, 255, 255, 255]),
        (-1, &[0xFF]),
        (-32, &[0xE0]),
        (-33, &[0xD0, 0xDF]),
        (-128, &[0xD0, 0x80]),
        (-129, &[0xD1, 0xFF, 0x7F]),
        (-32_768, &[0xD1, 0x80, 0x00]),
        (-32_769, &[0xD2, 0xFF, 0xFF, 0x7F, 0xFF]),
        (-2_147_483_648, &[0xD2, 0x80, 0, 0, 0]),
        (-2_147_483_649, &[0xD3, 255, 255, 255, 255, 0x7F, 255, 255, 255]),
    ];
    for (number, bytes) in cases {
        both(Value::Int(number), bytes);
    }
    both(Value::Int(i64::MIN), &[0xD3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    both(Value::Uint(1 << 63), &[0xCF, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    both(Value::Uint(u64::MAX), &[0xCF, 255, 255, 255, 255, 255, 255, 255, 255]);
}

#[test]
fn what_is_longer_than_it_need_be_is_read() {
    let cases: [(&[u8], Value); 12] = [
        (&[0xCC, 0x05], Value::Int(5)),
        (&[0xCF, 0, 0, 0, 0, 0, 0, 0, 5], Value::Int(5)),
        (&[0xD0, 0x05], Value::Int(5)),
        (&[0xD3, 0, 0, 0, 0, 0, 0, 0, 5], Value::Int(5)),
        (&[0xD2, 0xFF, 0xFF, 0xFF, 0xFF], Value::Int(-1)),
        (&[0xCB, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0], Value::Float(1.0)),
        (&[0xD9, 1, b'a'], Value::Text("a".into())),
        (&[0xDA, 0, 1, b'a'], Value::Text("a".into())),
        (&[0xDB, 0, 0, 0, 1, b'a'], Value::Text("a".into())),
        (&[0xC6, 0, 0, 0, 1, 9], Value::Bytes(vec![9])),
        (&[0xDD, 0, 0, 0, 1, 9], Value::List(vec![Value::Int(9)])),
        (&[0xDF, 0, 0, 0, 1, 0xA0, 9], Value::Map(vec![(String::new(), Value::Int(9))])),
    ];
    for (bytes, value) in cases {
        assert_eq!(read(bytes), Ok(value), "{bytes:x?}");
    }
}

#[test]
fn doubles_take_four_bytes_where_these_hold_them() {
    both(Value::Null, &[0xC0]);
    both(Value::Bool(false), &[0xC2]);
    both(Value::Bool(true), &[0xC3]);
    both(Value::Float(0.0), &[0xCA, 0, 0, 0, 0]);
    both(Value::Float(-0.0), &[0xCA, 0x80, 0, 0, 0]);
    both(Value::Float(1.5), &[0xCA, 0x3F, 0xC0, 0, 0]);
    both(Value::Float(f64::INFINITY), &[0xCA, 0x7F, 0x80, 0, 0]);
    both(Value::Float(f64::NEG_INFINITY), &[0xCA, 0xFF, 0x80, 0, 0]);
    both(Value::Float(f64::NAN), &[0xCA, 0x7F, 0xC0, 0, 0]);
    both(Value::Float(f64::from(f32::MAX)), &[0xCA, 0x7F, 0x7F, 0xFF, 0xFF]);
    both(Value::Float(1.1), &[0xCB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A]);
    both(Value::Float(1e300), &[0xCB, 0x7E, 0x37, 0xE4, 0x3C, 0x88, 0x00, 0x75, 0x9C]);
}

#[test]
fn lengths_at_every_edge() {
    let heads: [(usize, &[u8], &[u8]); 7] = [
        (0, &[0xA0], &[0xC4, 0]),
        (31, &[0xBF], &[0xC4, 31]),
        (32, &[0xD9, 32], &[0xC4, 32]),
        (255, &[0xD9, 255], &[0xC4, 255]),
        (256, &[0xDA, 1, 0], &[0xC5, 1, 0]),
        (65_535, &[0xDA, 255, 255], &[0xC5, 255, 255]),
        (65_536, &[0xDB, 0, 1, 0, 0], &[0xC6, 0, 1, 0, 0]),
    ];
    for (len, text, bytes) in heads {
        both(Value::Text("a".repeat(len)), &[text, &vec![b'a'; len]].concat());
        both(Value::Bytes(vec![9; len]), &[bytes, &vec![9; len]].concat());
    }
    let heads: [(usize, &[u8], &[u8]); 5] = [
        (0, &[0x90], &[0x80]),
        (15, &[0x9F], &[0x8F]),
        (16, &[0xDC, 0, 16], &[0xDE, 0, 16]),
        (300, &[0xDC, 1, 44], &[0xDE, 1, 44]),
        (65_535, &[0xDC, 255, 255], &[0xDE, 255, 255]),
    ];
    for (len, list, map) in heads {
        both(Value::List(vec![Value::Null; len]), &[list, &vec![0xC0; len]].concat());
        let mut out = Vec::new();
        Writer::new(Form::MsgPack, &mut out).map(len);
        assert_eq!(out, map);
        out.extend([0xA0, 0xC0].repeat(len));
        let bounds = Bounds { depth: 1, items: 200_000 };
        let mut walk = Walk::new(Form::MsgPack, &out, bounds);
        assert_eq!((walk.skip(), walk.finish()), (Ok(()), Ok(())));
    }
    let mut out = Vec::new();
    Writer::new(Form::MsgPack, &mut out).list(65_536).map(65_536);
    assert_eq!(out, [0xDD, 0, 1, 0, 0, 0xDF, 0, 1, 0, 0]);
}

#[test]
fn extensions_are_null_or_passed_over() {
    let one: [&[u8]; 8] = [
        &[0xD4, 0, 0],
        &[0xD5, 0, 0, 0],
        &[0xD6, 0, 0, 0, 0, 0],
        &[0xD7, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xD8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        &[0xC7, 2, 0, 7, 7],
        &[0xC8, 0, 2, 0, 7, 7],
        &[0xC9, 0, 0, 0, 2, 0, 7, 7],
    ];
    let kinds = [1, 1, 1, 1, 1, 2, 3, 5];
    for (bytes, kind) in one.into_iter().zip(kinds) {
        assert_eq!(read(bytes), Ok(Value::Null), "{bytes:x?}");
        let mut other = bytes.to_vec();
        other[kind] = 0xFF;
        assert_eq!(read(&other), Err(Flaw::Unsupported), "{other:x?}");
        let mut walk = Walk::new(Form::MsgPack, &other, Bounds::default());
        assert_eq!(walk.span(), Ok(&other[..]));
        for end in 0..bytes.len() {
            assert_eq!(read(&other[..end]), Err(Flaw::Short), "{:x?}", &other[..end]);
        }
    }
}

#[test]
fn every_first_byte_means_one_thing() {
    for head in 0..=255_u8 {
        let bytes = [&[head][..], &[0; 40]].concat();
        let (items, end) = items(Walk::new(Form::MsgPack, &bytes, Bounds::default()));
        let first = items.first();
        let fits = match head {
            0x00..=0x7F => first == Some(&Item::Int(i64::from(head))),
            0x80 | 0xDE | 0xDF | 0x81..=0x8F => first == Some(&Item::Map),
            0x90..=0x9F | 0xDC | 0xDD => first == Some(&Item::List),
            0xA0..=0xBF => {
                let len = usize::from(head - 0xA0);
                let text = Item::Text("\0".repeat(len).into());
                first == Some(&text)
            }
            0xD9..=0xDB => first == Some(&Item::Text("".into())),
            0xC0 | 0xC7..=0xC9 | 0xD4..=0xD8 => first == Some(&Item::Null),
            0xC1 => first.is_none() && end == Err(Flaw::Malformed),
            0xC2 => first == Some(&Item::Bool(false)),
            0xC3 => first == Some(&Item::Bool(true)),
            0xC4..=0xC6 => first == Some(&Item::Bytes([][..].into())),
            0xCA | 0xCB => first == Some(&Item::Float(0.0)),
            0xCC..=0xD3 => first == Some(&Item::Int(0)),
            0xE0..=0xFF => first == Some(&Item::Int(i64::from(head) - 256)),
        };
        assert!(fits, "{head:x}: {items:?} {end:?}");
    }
}

#[test]
fn text_is_utf_8_also_where_it_is_skipped() {
    for bytes in [&b"\xa1\xff"[..], b"\xd9\x02\xc3\x28", b"\x81\xa1\xff\x01"] {
        assert_eq!(read(bytes), Err(Flaw::Utf8), "{bytes:x?}");
        let mut walk = Walk::new(Form::MsgPack, bytes, Bounds::default());
        assert_eq!(walk.skip(), Err(Flaw::Utf8), "{bytes:x?}");
    }
    assert_eq!(read(b"\xc4\x01\xff"), Ok(Value::Bytes(vec![0xFF])), "bytes are any");
}
