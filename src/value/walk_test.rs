//! Floor 1. Tests of `walk`: where things begin and end, and how far a walk goes.

use super::fuzzing::items;
use super::{Bounds, Flaw, Form, Item, Walk};

fn walk(form: Form, bytes: &[u8]) -> Walk<'_> {
    Walk::new(form, bytes, Bounds::default())
}

/// `[1, {"a": [2, 3]}, "b"]` in each form.
const NESTED: [(Form, &[u8]); 3] = [
    (Form::Json, b" [ 1 , { \"a\" : [ 2 ,3 ] } ,\"b\" ] "),
    (Form::MsgPack, b"\x93\x01\x81\xa1a\x92\x02\x03\xa1b"),
    (Form::Cbor, b"\x83\x01\xa1\x61a\x82\x02\x03\x61b"),
];

#[test]
fn a_span_is_the_value_and_nothing_around_it() {
    let spans: [[&[u8]; 4]; 3] = [
        [b"1", b"{ \"a\" : [ 2 ,3 ] }", b"\"b\"", b"\"a\""],
        [b"\x01", b"\x81\xa1a\x92\x02\x03", b"\xa1b", b"\xa1a"],
        [b"\x01", b"\xa1\x61a\x82\x02\x03", b"\x61b", b"\x61a"],
    ];
    for ((form, bytes), [one, map, b, key]) in NESTED.into_iter().zip(spans) {
        let mut walk = walk(form, bytes);
        assert_eq!(walk.clone().span(), Ok(bytes.trim_ascii()), "{form:?}");
        assert_eq!(walk.next(), Ok(Item::List));
        assert_eq!(walk.span(), Ok(one), "{form:?}");
        let mut into = walk.clone();
        assert_eq!(walk.span(), Ok(map), "{form:?}");
        assert_eq!(walk.span(), Ok(b), "{form:?}");
        assert_eq!(walk.at_end(), Ok(true));
        assert_eq!(walk.span(), Err(Flaw::Short), "an end is no value");
        assert_eq!(walk.next(), Ok(Item::End), "and is still to be read");
        assert_eq!(walk.finish(), Ok(()));
        assert_eq!(into.next(), Ok(Item::Map));
        assert_eq!(into.span(), Ok(key), "{form:?}: a key has a span too");
        assert_eq!(into.at_end(), Ok(false), "{form:?}: its value is due");
        assert_eq!((into.skip(), into.at_end()), (Ok(()), Ok(true)));
    }
}

#[test]
fn a_walk_is_over_when_its_value_is() {
    for (form, bytes) in NESTED {
        let mut walk = walk(form, bytes);
        assert_eq!(walk.at_end(), Ok(false), "there is no end outside");
        assert_eq!(walk.clone().finish(), Err(Flaw::Short), "not before it began");
        while !walk.is_over() {
            assert_eq!(walk.clone().finish(), Err(Flaw::Short), "not before it ended");
            walk.next().unwrap();
        }
        assert_eq!(walk.at_end(), Ok(false), "nor behind it");
        assert_eq!(walk.next(), Err(Flaw::Short));
        assert_eq!(walk.skip(), Err(Flaw::Short));
        assert_eq!(walk.finish(), Ok(()));
        let more = [bytes, b"1"].concat();
        let mut walk = self::walk(form, &more);
        assert_eq!(walk.skip(), Ok(()));
        assert_eq!(walk.next(), Err(Flaw::Trailing), "one value is all");
        assert_eq!(walk.finish(), Err(Flaw::Trailing));
    }
    for form in Form::ALL {
        assert_eq!(items(walk(form, b"")), (vec![], Err(Flaw::Short)));
    }
}

#[test]
fn an_end_that_is_not_there_is_missed_at_once() {
    for (form, bytes) in [(Form::Json, &b"[1 "[..]), (Form::Json, b"{"), (Form::Cbor, b"\x9f\x01")]
    {
        let mut walk = walk(form, bytes);
        assert!(matches!(walk.next(), Ok(Item::List | Item::Map)));
        // The one value of those that have one.
        let _ = walk.skip();
        assert_eq!(walk.at_end(), Err(Flaw::Short), "{bytes:x?}");
    }
}

#[test]
fn what_needs_no_change_is_borrowed() {
    for (form, bytes) in NESTED {
        for item in items(walk(form, bytes)).0 {
            assert!(!matches!(item, Item::Text(std::borrow::Cow::Owned(_))), "{item:?}");
        }
    }
}

#[test]
fn depth_has_a_bound_and_no_other() {
    let deep: [(Form, &[u8], &[u8]); 5] = [
        (Form::Json, b"[", b"]"),
        (Form::Json, b"{\"\":", b"}"),
        (Form::MsgPack, b"\x91", b""),
        (Form::Cbor, b"\x9f", b"\xff"),
        (Form::Cbor, b"\xa1\x60", b""),
    ];
    for (form, open, close) in deep {
        let bytes = [open.repeat(20_000), b"\x30".to_vec(), close.repeat(20_000)].concat();
        for (depth, end) in [(19_999, Err(Flaw::Depth)), (20_000, Ok(()))] {
            let bounds = Bounds { depth, items: 65_536 };
            let mut over = Walk::new(form, &bytes, bounds);
            assert_eq!(over.skip().and_then(|()| over.finish()), end, "{form:?}");
            assert_eq!(items(Walk::new(form, &bytes, bounds)).1, end, "{form:?}");
        }
        assert_eq!(walk(form, &bytes).skip(), Err(Flaw::Depth));
    }
    let side_by_side = [&b"["[..], &b"[],".repeat(100), b"[]]"].concat();
    let bounds = Bounds { depth: 2, items: 200 };
    assert_eq!(Walk::new(Form::Json, &side_by_side, bounds).skip(), Ok(()));
    let bounds = Bounds { depth: 0, items: 9 };
    assert_eq!(Walk::new(Form::Json, b"1", bounds).next(), Ok(Item::Int(1)));
    assert_eq!(Walk::new(Form::Json, b"[]", bounds).next(), Err(Flaw::Depth));
}

#[test]
fn items_have_a_bound_and_ends_do_not_count() {
    for (form, bytes) in NESTED {
        for (items, end) in [(7, Err(Flaw::Items)), (8, Ok(()))] {
            let bounds = Bounds { depth: 3, items };
            assert_eq!(Walk::new(form, bytes, bounds).skip(), end, "{form:?}");
            assert_eq!(self::items(Walk::new(form, bytes, bounds)).1, end, "{form:?}");
        }
    }
}

#[test]
fn a_length_is_believed_when_the_bytes_are_there() {
    let cases: [(Form, &[u8]); 12] = [
        (Form::MsgPack, b"\xdd\xff\xff\xff\xff\x01"),
        (Form::MsgPack, b"\xdf\xff\xff\xff\xff\x01"),
        (Form::MsgPack, b"\xdb\xff\xff\xff\xffa"),
        (Form::MsgPack, b"\xc6\xff\xff\xff\xffa"),
        (Form::MsgPack, b"\xc9\xff\xff\xff\xff\x00a"),
        (Form::MsgPack, b"\x81\xa0"),
        (Form::Cbor, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        (Form::Cbor, b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        (Form::Cbor, b"\xbb\x80\x00\x00\x00\x00\x00\x00\x00\x01"),
        (Form::Cbor, b"\x7b\xff\xff\xff\xff\xff\xff\xff\xffa"),
        (Form::Cbor, b"\x5a\xff\xff\xff\xffa"),
        (Form::Cbor, b"\xa1\x60"),
    ];
    for (form, bytes) in cases {
        assert_eq!(items(walk(form, bytes)), (vec![], Err(Flaw::Short)), "{bytes:x?}");
        assert_eq!(walk(form, bytes).skip(), Err(Flaw::Short), "{bytes:x?}");
    }
}

#[test]
fn what_is_not_known_is_skipped_and_the_walk_goes_on() {
    let cases: [(Form, &[u8], Flaw); 5] = [
        (Form::MsgPack, b"\x92\xd4\x05\x00\x07", Flaw::Unsupported),
        (Form::Cbor, b"\x82\xf0\x07", Flaw::Unsupported),
        (Form::Cbor, b"\x82\xc1\xf8\xff\x07", Flaw::Unsupported),
        (Form::Cbor, b"\x82\x3b\xff\xff\xff\xff\xff\xff\xff\xff\x07", Flaw::Number),
        (Form::Json, b"[1e400,7]", Flaw::Number),
    ];
    for (form, bytes, flaw) in cases {
        let mut walk = walk(form, bytes);
        assert_eq!(walk.next(), Ok(Item::List));
        assert_eq!(walk.next(), Err(flaw), "{bytes:x?}");
        assert_eq!(walk.next(), Err(flaw), "{bytes:x?}: as often as it is asked");
        assert_eq!(walk.skip(), Ok(()));
        assert_eq!(walk.next(), Ok(Item::Int(7)), "{bytes:x?}");
        assert_eq!((walk.next(), walk.finish()), (Ok(Item::End), Ok(())));
    }
}

#[test]
fn a_key_is_text_whoever_looks() {
    let cases: [(Form, &[u8]); 8] = [
        (Form::Json, b"{1:2}"),
        (Form::Json, b"{[]:2}"),
        (Form::MsgPack, b"\x81\x01\x02"),
        (Form::MsgPack, b"\x81\xc4\x01a\x02"),
        (Form::MsgPack, b"\x81\xd4\x05\x00\x02"),
        (Form::Cbor, b"\xa1\x01\x02"),
        (Form::Cbor, b"\xa1\x41a\x02"),
        (Form::Cbor, b"\xbf\x80\x02\xff"),
    ];
    for (form, bytes) in cases {
        assert_eq!(items(walk(form, bytes)), (vec![Item::Map], Err(Flaw::Key)), "{bytes:x?}");
        assert_eq!(walk(form, bytes).skip(), Err(Flaw::Key), "{bytes:x?}");
    }
}

#[test]
fn every_flaw_has_words_of_its_own() {
    let all = [
        Flaw::Short,
        Flaw::Trailing,
        Flaw::Depth,
        Flaw::Items,
        Flaw::Malformed,
        Flaw::Utf8,
        Flaw::Key,
        Flaw::Number,
        Flaw::Unsupported,
    ];
    let mut words: Vec<String> = all.iter().map(ToString::to_string).collect();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), all.len());
}
