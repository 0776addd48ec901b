//! Floor 3. Bytes to frames and back: golden bytes, every cut, and each way to break a frame.

use bytes::{Bytes, BytesMut};

use super::decode::{Front, frame_len, front, is_long, next, read_header};
use super::encode::{HEADER_MAX, TooLong, encode_front, encode_vec, header_fits};
use super::packet::{Frame, Header, Id, Text};
use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::proto::fault::{Fault, FaultKind};

const MAX: usize = 1 << 20;

/// A frame of these sections; `L` is what they come to, and `more`.
fn framed(header: &str, data: &[u8], binary: Option<&[u8]>, more: i64) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(header.len() as u16).to_le_bytes());
    body.extend_from_slice(header.as_bytes());
    for section in [Some(data), binary].into_iter().flatten() {
        body.extend_from_slice(&(section.len() as u32).to_le_bytes());
        body.extend_from_slice(section);
    }
    let len = u32::try_from(body.len() as i64 + more).expect("a length");
    let mut all = len.to_le_bytes().to_vec();
    all.append(&mut body);
    all
}

fn read(bytes: &[u8]) -> Result<Option<Frame>, Fault> {
    next(&mut BytesMut::from(bytes), MAX)
}

fn header(json: &str) -> Result<Header, Fault> {
    read_header(&Bytes::copy_from_slice(json.as_bytes())).map(|(header, _)| header)
}

fn refused(json: &str) -> FaultKind {
    header(json).expect_err(json).kind
}

/// Everything that a header can hold.
fn full() -> Frame {
    let json = |text: &'static str| Bytes::from_static(text.as_bytes());
    let header = Header {
        message_type: "any".into(),
        source_id: Some("client1".into()),
        destination_id: Some("('127.0.0.1', 10673)".into()),
        request_id: Some(Id::from(7)),
        response_id: Some(Id::from("r\u{e9}")),
        await_response: true,
        wait_for_ack: true,
        transport_id: Some(Id::from(1)),
        with_file: Some(json("{\"dst_type\": \"any\"}")),
        message_type_publish: Some("t".into()),
        tag: Some("tag1".into()),
        others: vec![(Text::from("more"), json("[1, null]"))],
    };
    Frame { header, data: json("data"), binary: json("binary") }
}

#[test]
fn a_frame_is_spelled_as_the_original_does() {
    let json = "{\"message_type\": \"_handshake_no_ssl\", \"source_id\": \"client1\"}";
    let hello = Frame::of("_handshake_no_ssl", "client1").with("hello");
    assert_eq!(encode_vec(&hello), Ok(framed(json, b"hello", None, 0)));
    let json = "{\"message_type\": \"any\", \"source_id\": \"client1\", \
        \"destination_id\": \"('127.0.0.1', 10673)\", \"request_id\": 7, \
        \"response_id\": \"r\\u00e9\", \"await_response\": true, \
        \"with_file\": {\"dst_type\": \"any\"}, \"wait_for_ack\": true, \
        \"message_type_publish\": \"t\", \"tag\": \"tag1\", \"with_binary\": true, \
        \"transport_id\": 1, \"more\": [1, null]}";
    assert_eq!(encode_vec(&full()), Ok(framed(json, b"data", Some(b"binary"), 0)));
    let text = Frame::of("\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}/\u{1f600}", "a");
    let said = encode_vec(&text).expect("short");
    let wanted = br#"{"message_type": "\"\\\n\r\t\b\f\u0001\u007f/\ud83d\ude00","#;
    assert_eq!(&said[6..6 + wanted.len()], wanted);
    assert_eq!(read(&said), Ok(Some(text)));
}

#[test]
fn every_frame_is_read_wherever_it_is_cut_and_not_before_it_is_whole() {
    for frame in [Frame::of("any", "a"), full(), Frame::of("_ping", "a").with("x")] {
        let said = encode_vec(&frame).expect("short");
        for cut in 0..said.len() {
            assert_eq!(read(&said[..cut]), Ok(None));
            let known = (cut >= 4).then_some(said.len());
            assert_eq!(frame_len(&said[..cut], MAX), Ok(known));
        }
        let two = [&said[..], &said, b"\x09"].concat();
        let mut input = BytesMut::from(&two[..]);
        assert_eq!(next(&mut input, MAX), Ok(Some(frame.clone())));
        assert_eq!(next(&mut input, MAX), Ok(Some(frame)));
        assert_eq!(&input[..], b"\x09");
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_before_anything_behind_it_comes() {
    let short = FaultKind::AioShort.fault();
    for len in 0..8_u32 {
        assert_eq!(read(&len.to_le_bytes()), Err(short));
    }
    assert_eq!(read(&8_u32.to_le_bytes()), Ok(None));
    let over = FaultKind::AioOverMax.fault();
    assert_eq!(read(&(MAX as u32).to_le_bytes()), Ok(None));
    assert_eq!(read(&(MAX as u32 + 1).to_le_bytes()), Err(over));
    assert_eq!(read(&u32::MAX.to_le_bytes()), Err(over));
}

#[test]
fn sections_make_up_their_frame_no_less_and_no_more() {
    let json = "{\"message_type\": \"any\"}";
    let sections = Err(FaultKind::AioSections.fault());
    assert!(read(&framed(json, b"data", None, 0)).is_ok());
    // The frame says that it is shorter, or longer, than its sections are.
    assert_eq!(read(&framed(json, b"data", None, -1)), sections);
    let mut longer = framed(json, b"data", None, 1);
    longer.push(0);
    assert_eq!(read(&longer), sections);
    // A header that reaches beyond its frame is found as soon as its length is there.
    let mut head = 20_u32.to_le_bytes().to_vec();
    head.extend_from_slice(&15_u16.to_le_bytes());
    assert_eq!(read(&head), sections);
    head[4] = 14;
    assert_eq!(read(&head), Ok(None));
    // So is data that does.
    let mut early = framed(json, b"data", None, 0);
    let at = early.len() - 8;
    early[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&early[..at + 4]), sections);
    early[at..at + 4].copy_from_slice(&5_u32.to_le_bytes());
    assert_eq!(read(&early[..at + 4]), sections);
    // A binary that is announced and missing, there and not announced, or of another length.
    let with = "{\"message_type\": \"any\", \"with_binary\": true}";
    assert_eq!(read(&framed(with, b"data", None, 0)), sections);
    assert_eq!(read(&framed(json, b"data", Some(b"binary"), 0)), sections);
    let mut wrong = framed(with, b"data", Some(b"binary"), 0);
    let at = wrong.len() - 10;
    for len in [5, 7] {
        wrong[at] = len;
        assert_eq!(read(&wrong), sections);
    }
}

#[test]
fn the_answer_to_a_ping_has_a_binary_that_nothing_announces() {
    let json = "{\"message_type\": \"_ping\", \"response_id\": 1, \"source_id\": \"a\"}";
    let frame = read(&framed(json, b"p", Some(b"pbin"), 0)).expect("it is forgiven").expect("all");
    assert_eq!(&frame.binary[..], b"pbin");
    let mut cut = framed(json, b"p", Some(b"pbin"), -1);
    cut.pop();
    assert_eq!(read(&cut), Err(FaultKind::AioSections.fault()), "but it must be one");
}

#[test]
fn an_empty_binary_is_none() {
    let with = "{\"message_type\": \"any\", \"with_binary\": true}";
    let frame = read(&framed(with, b"", Some(b""), 0)).expect("good").expect("whole");
    assert!(frame.is_empty());
    let said = encode_vec(&frame).expect("short");
    assert_eq!(said, framed("{\"message_type\": \"any\"}", b"", None, 0));
}

#[test]
fn a_header_is_an_object_of_json_in_any_order_and_spelling() {
    let any = "{ \"tag\" :\"x\",\r\n\"others\":[{\"a\":1}], \"message_type\":\"\\u0061ny\" } ";
    let read = header(any).expect("it is JSON");
    assert_eq!(read.message_type.as_str(), "any");
    assert_eq!(read.others.len(), 1);
    for bad in ["", "[]", "7", "{", "{}x", "{\"a\" 1}", "{\"a\": NaN}", "{\"a\": \"\\ud800\"}"] {
        assert_eq!(refused(bad), FaultKind::AioHeader, "{bad}");
    }
    let latin = Bytes::from_static(b"{\"message_type\": \"\xe9\"}");
    assert_eq!(read_header(&latin).map(drop), Err(FaultKind::AioHeader.fault()));
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(16), "]".repeat(16));
    assert_eq!(refused(&deep), FaultKind::AioDeep);
    let many = format!("{{\"a\": [1{}]}}", ",1".repeat(5_000));
    assert_eq!(refused(&many), FaultKind::AioDeep);
}

#[test]
fn a_key_has_its_type_and_stands_once() {
    for bad in [
        "{}",
        "{\"source_id\": \"a\"}",
        "{\"message_type\": null}",
        "{\"message_type\": 7}",
        "{\"message_type\": \"a\", \"message_type\": \"b\"}",
        "{\"message_type\": \"a\", \"tag\": \"b\", \"tag\": \"b\"}",
        "{\"message_type\": \"a\", \"source_id\": 1}",
        "{\"message_type\": \"a\", \"destination_id\": [\"b\"]}",
        "{\"message_type\": \"a\", \"message_type_publish\": true}",
        "{\"message_type\": \"a\", \"tag\": {}}",
    ] {
        assert_eq!(refused(bad), FaultKind::AioKey, "{bad}");
    }
    let null =
        "{\"message_type\": \"a\", \"source_id\": null, \"request_id\": null, \"tag\": null}";
    assert_eq!(header(null), header("{\"message_type\": \"a\"}"), "null is nothing");
}

#[test]
fn yes_is_what_python_takes_for_yes() {
    let says = |json: &str| {
        let json = format!("{{\"message_type\": \"a\", \"wait_for_ack\": {json}}}");
        header(&json).expect("good").wait_for_ack
    };
    for yes in ["true", "1", "-0.5", "\"no\"", "[0]", "{\"a\": 0}", "18446744073709551615"] {
        assert!(says(yes), "{yes}");
    }
    for no in ["false", "null", "0", "0.0", "-0.0", "\"\"", "[]", "{}", "[ ]"] {
        assert!(!says(no), "{no}");
    }
}

#[test]
fn ids_are_the_same_when_python_takes_them_for_the_same() {
    let id = |json: &'static str| Id::read(&Bytes::from_static(json.as_bytes())).expect("JSON");
    assert_eq!(id("null"), None);
    for (same, other) in [
        ("5", "5.0"),
        ("5", "5e0"),
        ("1", "true"),
        ("0", "false"),
        ("0", "-0.0"),
        ("\"a\"", "\"\\u0061\""),
        ("1.5", "15e-1"),
        ("1000000000000000000000000000000", "1000000000000000000000000000000"),
        ("[1]", "[1]"),
    ] {
        assert_eq!(id(same), id(other), "{same} {other}");
    }
    for (one, other) in [
        ("5", "\"5\""),
        ("5", "6"),
        ("5", "5.5"),
        ("\"a\"", "\"A\""),
        ("1000000000000000000000000000000", "1000000000000000000000000000001"),
        ("9007199254740993", "9007199254740992.0"),
        ("[1]", "[2]"),
    ] {
        assert_ne!(id(one), id(other), "{one} {other}");
    }
    let echo = id("5.00").expect("an id");
    assert_eq!(&echo.json()[..], b"5.00", "it is said again as it came");
    assert_eq!((echo.number(), Id::from(5) == echo), (Some(5), true));
    assert_eq!(id("-5").and_then(|id| id.number()), None);
    let large = id("1e400").expect("an id");
    assert_eq!((large.detached(), id("\"x\"").map(|id| id.detached())), (large, id("\"x\"")));
    assert!(Id::read(&Bytes::from_static(b"]")).is_err());
}

#[test]
fn what_its_count_cannot_tell_is_not_said() {
    let fits = HEADER_MAX - encode_vec(&Frame::of("", "a")).expect("short").len() + 10;
    assert!(encode_vec(&Frame::of(&"x".repeat(fits), "a")).is_ok());
    assert_eq!(encode_vec(&Frame::of(&"x".repeat(fits + 1), "a")), Err(TooLong));
}

#[test]
fn noise_and_damaged_frames_obey_the_laws() {
    let good: Vec<Vec<u8>> = [full(), Frame::of("_ack", "a"), Frame::of("_ping", "b").with("x")]
        .iter()
        .map(|frame| encode_vec(frame).expect("short"))
        .collect();
    let mut rng = Rng::new(11);
    for round in 0..3_000 {
        let mut data = good[round % good.len()].clone();
        data.extend_from_slice(&good[(round / 3) % good.len()]);
        for _ in 0..rng.below(4) {
            let at = rng.below(data.len() as u64) as usize;
            data[at] = rng.below(256) as u8;
        }
        super::fuzzing::bytes(&data);
    }
}

/// A frame with a file of this content, and what else its binary is said to be.
fn filed(with_file: &str, data: &[u8], binary: &[u8]) -> Vec<u8> {
    let header =
        format!("{{\"message_type\": \"any\", \"with_binary\": true, \"with_file\": {with_file}}}");
    framed(&header, data, Some(binary), 0)
}

const KEEP: usize = 150;

#[test]
fn the_front_of_a_long_frame_is_read_wherever_it_is_cut_and_ends_where_its_file_begins() {
    for own in [0usize, 4] {
        let with = format!("{{\"dst_name\": \"a\", \"binary_offset\": {own}}}");
        let (data, binary) = (&b"data"[..], [&b"ours"[..own], &[7; 1_000]].concat());
        let bytes = filed(&with, data, &binary);
        assert!(is_long(&bytes, KEEP) && !is_long(&bytes, bytes.len()));
        let begins = bytes.len() - 1_000;
        for cut in 0..begins {
            assert_eq!(front(&bytes[..cut], KEEP), Ok(None), "{own} {cut}");
        }
        for cut in begins..bytes.len() {
            let (Front { frame, content, file }, at) =
                front(&bytes[..cut], KEEP).expect("good").expect("it is there");
            assert_eq!((at, file), (begins, 1_000));
            assert_eq!((&frame.data[..], &frame.binary[..]), (data, &binary[..own]));
            assert_eq!(content.binary(data.len()), frame.binary);
            assert_eq!(frame.header.message_type, "any".into());
        }
    }
}

#[test]
fn what_stands_before_a_file_is_said_with_the_length_of_all_or_not_at_all() {
    let mut frame = Frame::of("any", "ann").with("data");
    frame.header.with_file = Some(Bytes::from_static(b"{\"binary_offset\": 3}"));
    frame.binary = Bytes::from_static(b"own");
    let mut out = Outbound::default();
    encode_front(&frame, 4, &mut out).expect("short");
    let said = [&out.to_vec()[..], b"file"].concat();
    frame.binary = Bytes::from_static(b"ownfile");
    assert_eq!(said, encode_vec(&frame).expect("short"));
    out.clear();
    frame.binary = Bytes::new();
    encode_front(&frame, 4, &mut out).expect("short");
    let with_binary = &b"\"with_binary\": true"[..];
    assert!(out.to_vec().windows(with_binary.len()).any(|at| at == with_binary));
    for long in [u64::from(u32::MAX), u64::MAX] {
        out.clear();
        assert_eq!(encode_front(&frame, long, &mut out), Err(TooLong));
        assert!(out.is_empty(), "not a part of it");
    }
}

#[test]
fn what_stands_before_a_file_is_no_longer_than_a_packet_and_the_rest_is_a_file() {
    let long = [7; 1_000];
    let plain = "{\"dst_name\": \"a\"}";
    let tagged = format!("{{\"dst_name\": \"{}\"}}", "n".repeat(200));
    let over = FaultKind::AioOverMax;
    for (bytes, fault, why) in [
        (filed("{\"binary_offset\": 900}", b"", &long), over, "the application's is long"),
        (filed("{\"binary_offset\": 1001}", b"", &long), over, "or longer than there is"),
        (filed("{\"file_error\": \"no\"}", b"", &long), over, "there is no file"),
        (filed("false", b"", &long), over, "none is said of"),
        (filed("[1]", b"", &long), over, "or in no words that are known"),
        (filed(plain, &[1; 200], &long), over, "the data is long"),
        (filed(&tagged, b"", &long), over, "the header is long"),
        (framed("{\"message_type\": \"any\"}", &long, None, 0), over, "there is no binary"),
        (
            framed("{\"message_type\": \"any\"}", b"", Some(&long), 0),
            FaultKind::AioSections,
            "it is not announced",
        ),
    ] {
        let found = front(&bytes, KEEP).expect_err(why);
        assert_eq!(found.kind, fault, "{why}");
    }
    let mut uneven = filed(plain, b"", &long);
    let at = uneven.len() - 1_004;
    uneven[at] += 1;
    assert_eq!(front(&uneven, KEEP), Err(FaultKind::AioSections.fault()));
    uneven[at] -= 2;
    assert_eq!(front(&uneven, KEEP), Err(FaultKind::AioSections.fault()));
    // As long as a packet may be, and a byte more.
    let exact = filed(plain, b"", &long);
    let most = exact.len() - 1_000 - 4;
    assert!(matches!(front(&exact, most), Ok(Some(_))));
    assert_eq!(front(&exact, most - 1), Err(over.fault()));
}

#[test]
fn a_header_fits_when_it_can_be_said_whatever_its_letters_become() {
    for letter in ["a", "\n", "\u{e9}", "\u{1f600}"] {
        let said = |count: usize| {
            let mut frame = full();
            frame.header.tag = Some(letter.repeat(count).as_str().into());
            frame
        };
        let long = |count: &usize| encode_vec(&said(*count)).is_err();
        let counts: Vec<usize> = (5_000..66_000).step_by(10).collect();
        let least = counts.partition_point(|count| !long(count));
        let (good, bad) = (counts[least - 1], counts[least]);
        assert!(header_fits(&said(good).header, 0), "{letter:?}");
        assert!(!header_fits(&said(bad).header, 0), "{letter:?}");
        assert!(!header_fits(&said(good).header, 200), "{letter:?} with more behind it");
    }
    assert!(header_fits(&Header::default(), 0));
}
