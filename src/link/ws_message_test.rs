//! Floor 1. Messages: in fragments, with control frames between them, as text that is none, too
//! long, and cut anywhere. The cases are those that suites for WebSockets have, in our own words.

use bytes::{Bytes, BytesMut};

use super::fuzzing::{self, PACKET_MAX, Whole, frames, hear, messages, terms};
use super::ws_frame::{BINARY, CONTINUE, PING, PONG, TEXT, Unframe, head};
use super::*;

const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };
const JSON: &str = "wamp.2.json";
const CBOR: &str = "wamp.2.cbor";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// More follows.
const MORE: u8 = 0x40;

/// A client's frame; an opcode with `MORE` is one that another follows.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(opcode & 0x0f, payload.len()).to_vec();
    if opcode & MORE != 0 {
        bytes[0] &= 0x7f;
    }
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A message in fragments of these lengths at most.
fn fragments(opcode: u8, message: &[u8], len: usize) -> Vec<u8> {
    let pieces: Vec<&[u8]> = message.chunks(len).collect();
    let each = pieces.iter().enumerate().map(|(i, piece)| {
        let opcode = if i == 0 { opcode } else { CONTINUE };
        frame(if i + 1 < pieces.len() { opcode | MORE } else { opcode }, piece)
    });
    each.collect::<Vec<_>>().concat()
}

/// What these frames come to, at once, byte by byte and in two pieces cut anywhere.
fn whole(subprotocol: &str, frames: &[u8]) -> Whole {
    let ws = terms(Inside::Ws, false);
    let open = fuzzing::open(subprotocol);
    let whole = hear(&ws, [&open[..], frames]);
    let bytes = [&open[..]].into_iter().chain(frames.chunks(1));
    assert!(hear(&ws, bytes) == whole, "byte by byte {}", frames.escape_ascii());
    for cut in (0..frames.len()).step_by(1 + frames.len() / 300) {
        let pieces = hear(&ws, [&open[..], &frames[..cut], &frames[cut..]]);
        assert!(pieces == whole, "cut at {cut} {}", frames.escape_ascii());
    }
    whole
}

/// The same: messages, the flaw, and what is said to them behind the 101. Nothing is left over.
fn come_to(subprotocol: &str, frames: &[u8]) -> (Vec<Vec<u8>>, Option<Flaw>, Vec<u8>) {
    let whole = whole(subprotocol, frames);
    let end = whole.said.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (all, rest) = messages(&whole.clear);
    assert!(rest.is_empty() || whole.heard.flaw.is_some(), "{}", rest.escape_ascii());
    let all = all.into_iter().map(<[u8]>::to_vec).collect();
    (all, whole.heard.flaw, whole.said[end + 4..].to_vec())
}

/// A Close of ours.
fn close(code: u16) -> Vec<u8> {
    [&[0x88, 6][..], &code.to_be_bytes(), b"over"].concat()
}

fn owned(all: &[&[u8]]) -> Vec<Vec<u8>> {
    all.iter().map(|one| one.to_vec()).collect()
}

/// Frames, the messages they come to, what they break, and Pongs.
type Case<'a> = (Vec<Vec<u8>>, &'a [&'a [u8]], Option<Flaw>, &'a [u8]);

fn check(subprotocol: &str, cases: &[Case<'_>]) {
    for (i, (frames, wanted, flaw, pongs)) in cases.iter().enumerate() {
        let (heard, found, said) = come_to(subprotocol, &frames.concat());
        assert_eq!((heard, found), (owned(wanted), *flaw), "case {i} of {subprotocol}");
        let code = flaw.map_or(1001, Flaw::close_code);
        assert_eq!(said, [*pongs, &close(code)[..]].concat(), "case {i} of {subprotocol}");
    }
}

#[test]
fn a_message_is_a_frame_whatever_its_length() {
    for (subprotocol, opcode) in [(JSON, TEXT), (CBOR, BINARY)] {
        for len in [0, 1, 2, 3, 4, 5, 123, 124, 125, 126, 127, 128, 255, 256, 999, PACKET_MAX] {
            let message: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
            let whole = frame(opcode, &message);
            let twice = [&whole[..], &whole].concat();
            let (heard, flaw, _) = come_to(subprotocol, &twice);
            assert!(heard == [&message[..], &message] && flaw.is_none(), "{len}");
            for piece in [1, 3, 64, 127, 500] {
                let pieces = fragments(opcode, &message, piece);
                if len > 0 {
                    let (heard, flaw, _) = come_to(subprotocol, &[&pieces[..], &whole].concat());
                    assert!(heard == [&message[..], &message] && flaw.is_none(), "{len} {piece}");
                }
            }
        }
    }
}

#[test]
fn fragments_make_one_message_and_control_frames_stand_between_them() {
    let m = |op: u8, text: &str| frame(op | MORE, text.as_bytes());
    let f = |op: u8, text: &str| frame(op, text.as_bytes());
    let cases: Vec<Case<'_>> = vec![
        // Two fragments, three, empty ones before, between and behind.
        (vec![m(TEXT, "one "), f(CONTINUE, "two")], &[b"one two"], None, b""),
        (vec![m(TEXT, "a"), m(CONTINUE, "b"), f(CONTINUE, "c")], &[b"abc"], None, b""),
        (vec![m(TEXT, ""), f(CONTINUE, "")], &[b""], None, b""),
        (vec![m(TEXT, ""), m(CONTINUE, ""), f(CONTINUE, "")], &[b""], None, b""),
        (vec![m(TEXT, ""), m(CONTINUE, "x"), f(CONTINUE, "")], &[b"x"], None, b""),
        (vec![m(TEXT, "x"), m(CONTINUE, ""), f(CONTINUE, "y")], &[b"xy"], None, b""),
        // Whole messages before and behind, in the same chunk and others.
        (
            vec![f(TEXT, "0"), m(TEXT, "1"), f(CONTINUE, "2"), f(TEXT, "3")],
            &[b"0", b"12", b"3"],
            None,
            b"",
        ),
        (
            vec![m(TEXT, "1"), f(CONTINUE, "2"), m(TEXT, "3"), f(CONTINUE, "4")],
            &[b"12", b"34"],
            None,
            b"",
        ),
        // Pings between fragments are answered at once; nobody asked for a Pong.
        (vec![m(TEXT, "1"), f(PING, "?"), f(CONTINUE, "2")], &[b"12"], None, b"\x8a\x01?"),
        (
            vec![m(TEXT, "1"), f(PING, "a"), m(CONTINUE, "2"), f(PING, "b"), f(CONTINUE, "3")],
            &[b"123"],
            None,
            b"\x8a\x01a\x8a\x01b",
        ),
        (vec![m(TEXT, "1"), f(PONG, "!"), f(CONTINUE, "2")], &[b"12"], None, b""),
        (vec![f(PING, ""), f(TEXT, "x"), f(PING, "")], &[b"x"], None, b"\x8a\x00\x8a\x00"),
        // Control frames are never in pieces.
        (vec![m(PING, "1"), f(CONTINUE, "2")], &[], Some(Flaw::WsControl), b""),
        (vec![m(PONG, "1"), f(CONTINUE, "2")], &[], Some(Flaw::WsControl), b""),
        (vec![m(TEXT, "x"), m(PING, "1")], &[], Some(Flaw::WsControl), b""),
        // What follows a message that is not ended, and what follows none.
        (vec![m(TEXT, "1"), f(TEXT, "2")], &[], Some(Flaw::WsFragment), b""),
        (vec![m(TEXT, "1"), m(TEXT, "2")], &[], Some(Flaw::WsFragment), b""),
        (vec![m(TEXT, "1"), f(BINARY, "2")], &[], Some(Flaw::WsFragment), b""),
        (vec![f(CONTINUE, "1"), f(TEXT, "2")], &[], Some(Flaw::WsFragment), b""),
        (vec![m(CONTINUE, "1"), f(TEXT, "2")], &[], Some(Flaw::WsFragment), b""),
        (vec![f(TEXT, "0"), f(CONTINUE, "1")], &[b"0"], Some(Flaw::WsFragment), b""),
        (
            vec![m(TEXT, "1"), f(CONTINUE, "2"), f(CONTINUE, "3")],
            &[b"12"],
            Some(Flaw::WsFragment),
            b"",
        ),
        (
            vec![m(TEXT, "1"), f(CONTINUE, "2"), m(CONTINUE, "3"), f(TEXT, "4")],
            &[b"12"],
            Some(Flaw::WsFragment),
            b"",
        ),
        // A Ping before a flaw is answered, one behind it is not.
        (
            vec![f(TEXT, "0"), f(PING, "?"), f(3, ""), f(PING, "late")],
            &[b"0"],
            Some(Flaw::WsOpcode),
            b"\x8a\x01?",
        ),
    ];
    check(JSON, &cases);
}

#[test]
fn text_goes_in_frames_of_text_and_bytes_in_binary_ones() {
    let more = |op: u8, text: &[u8]| frame(op | MORE, text);
    check(
        JSON,
        &[
            (vec![frame(BINARY, b"x")], &[], Some(Flaw::WsBinary), b""),
            (vec![more(BINARY, b"x"), frame(CONTINUE, b"y")], &[], Some(Flaw::WsBinary), b""),
            (vec![frame(TEXT, b"0"), frame(BINARY, b"")], &[b"0"], Some(Flaw::WsBinary), b""),
        ],
    );
    let noise = [0xff, 0xfe, 0x80, 0, 0xc0];
    check(
        CBOR,
        &[
            (vec![frame(BINARY, &noise)], &[&noise], None, b""),
            (
                vec![more(BINARY, &noise), frame(CONTINUE, b"\x80")],
                &[b"\xff\xfe\x80\0\xc0\x80"],
                None,
                b"",
            ),
            (vec![frame(TEXT, b"x")], &[], Some(Flaw::WsText), b""),
            (vec![more(TEXT, b"x"), frame(CONTINUE, b"y")], &[], Some(Flaw::WsText), b""),
            (vec![frame(BINARY, b"0"), frame(TEXT, b"")], &[b"0"], Some(Flaw::WsText), b""),
        ],
    );
    assert_eq!((Flaw::WsBinary.close_code(), Flaw::WsText.close_code()), (1003, 1003));
}

#[test]
fn reserved_bits_and_opcodes_are_refused_before_within_and_between_messages() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let bad = frame(opcode, b"x");
        let cases: Vec<Case<'_>> = vec![
            (vec![bad.clone()], &[], Some(Flaw::WsOpcode), b""),
            (vec![frame(TEXT, b"0"), bad.clone()], &[b"0"], Some(Flaw::WsOpcode), b""),
            (vec![frame(TEXT | MORE, b"0"), bad], &[], Some(Flaw::WsOpcode), b""),
        ];
        check(JSON, &cases);
    }
    for bits in 1..8u8 {
        for opcode in [TEXT, PING, PONG, 8] {
            let mut bad = frame(opcode, b"x");
            bad[0] |= bits << 4;
            check(JSON, &[(vec![frame(TEXT, b"0"), bad], &[b"0"], Some(Flaw::WsReserved), b"")]);
        }
    }
    let mut bare = frame(TEXT, b"x");
    bare[1] &= 0x7f;
    check(JSON, &[(vec![bare], &[], Some(Flaw::WsUnmasked), b"")]);
}

#[test]
fn a_message_longer_than_a_packet_is_refused_at_the_header_that_says_so() {
    let more = |n: usize| frame(BINARY | MORE, &vec![1; n]);
    let next = |n: usize| frame(CONTINUE | MORE, &vec![1; n]);
    let last = |n: usize| frame(CONTINUE, &vec![1; n]);
    let full = vec![1; PACKET_MAX];
    let long = Some(Flaw::WsTooLong);
    let announced = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes()].concat();
    let within = [&[0x80, 0xff][..], &(1u64 << 62).to_be_bytes()].concat();
    check(
        CBOR,
        &[
            (vec![frame(BINARY, &full)], &[&full], None, b""),
            (vec![frame(BINARY, &[1; PACKET_MAX + 1])], &[], long, b""),
            (vec![announced], &[], long, b""),
            (vec![more(500), last(500)], &[&full], None, b""),
            (vec![more(500), last(501)], &[], long, b""),
            (vec![more(PACKET_MAX), last(0)], &[&full], None, b""),
            (vec![more(PACKET_MAX), next(0), last(1)], &[], long, b""),
            (vec![more(400), next(400), next(400)], &[], long, b""),
            (vec![more(1), within], &[], long, b""),
            // What one message took is not counted against the next.
            (vec![more(500), last(500), more(500), last(500)], &[&full, &full], None, b""),
            (vec![frame(BINARY, &full), more(500), last(500)], &[&full, &full], None, b""),
            // A Ping is none of it.
            (vec![more(999), frame(PING, b"?"), last(1)], &[&full], None, b"\x8a\x01?"),
        ],
    );
    assert_eq!(Flaw::WsTooLong.close_code(), 1009);
}

#[test]
fn nothing_is_kept_for_what_is_only_announced() {
    let limits = Limits { wamp_bytes_max: 1 << 25, ..Limits::default() };
    let ws = terms(Inside::Ws, false);
    let mut link = Link::new(&ws, None).unwrap();
    let mut give = |bytes: &[u8]| {
        let mut chunk = BytesMut::from(bytes);
        let heard = link.on_bytes(NOW, &mut chunk, &mut BytesMut::new(), &ws, &limits);
        (heard.flaw, chunk.to_vec(), link.held())
    };
    give(&fuzzing::open(CBOR));
    // Sixteen MiB in one frame: a head of its own, and what is there is heard at once.
    let longest = [&[0x82, 0xff][..], &(1u64 << 24).to_be_bytes(), &[0; 4], b"there"].concat();
    assert_eq!(give(&longest), (None, b"\x08\0\0\0there".to_vec(), 0));
    give(&vec![0; (1 << 24) - 5]);
    // In fragments it is held, and no more than came of it.
    let begun = [&[0x02, 0xff][..], &(1u64 << 23).to_be_bytes(), &[0; 4], &[7; 100]].concat();
    let (flaw, clear, held) = give(&begun);
    assert_eq!((flaw, clear), (None, vec![]));
    assert!((104..1_024).contains(&held), "{held}");
    assert!(size_of_val(&Unframe::default()) <= 160, "who has a stream pays nothing");
}

#[test]
fn a_close_ends_it_all_between_fragments_too() {
    let bye = [&1000u16.to_be_bytes()[..], b"bye"].concat();
    for before in [vec![], frame(TEXT | MORE, b"half"), frame(TEXT, b"whole")] {
        let all = [before, frame(8, &bye), frame(CONTINUE, b"late"), frame(TEXT, b"late")];
        let (heard, flaw, said) = come_to(JSON, &all.concat());
        assert!(heard.iter().all(|message| message == b"whole") && flaw.is_none());
        assert_eq!(said, b"\x88\x06\x03\xe8over", "answered by its own code");
    }
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999u16];
    for code in codes {
        assert_eq!(come_to(JSON, &frame(8, &code.to_be_bytes())).2, close(code));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535u16] {
        let (_, flaw, said) = come_to(JSON, &frame(8, &code.to_be_bytes()));
        assert_eq!((flaw, said), (Some(Flaw::WsClose), close(1002)), "{code}");
    }
    assert_eq!(come_to(JSON, &frame(8, b"")).2, b"\x88\x00", "without a code, without a code");
    assert_eq!(come_to(JSON, &frame(8, b"\x03")).1, Some(Flaw::WsClose));
    let longest = [&[3, 232][..], &[b'x'; 123]].concat();
    assert_eq!(come_to(JSON, &frame(8, &longest)).2, close(1000));
    let longer = [&[3, 232][..], &[b'x'; 124]].concat();
    assert_eq!(come_to(JSON, &frame(8, &longer)).1, Some(Flaw::WsControl));
    for reason in [&b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"[..], b"\xff", b"\xc3"] {
        let (_, flaw, said) = come_to(JSON, &frame(8, &[&[3, 232][..], reason].concat()));
        assert_eq!((flaw, said), (Some(Flaw::WsReason), close(1007)));
    }
}

/// Text that is UTF-8: the ends of every length, what is next to the surrogates, what is assigned
/// to nobody and never will be.
const GOOD: &[&[u8]] = &[
    b"",
    b"plain",
    b"\0",
    "Gr\u{fc}\u{df}e, \u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}, \u{4f60}\u{597d}, \u{1f600}".as_bytes(),
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xe1\x80\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbb\xbf",
    b"\xef\xbf\xb9",
    b"\xef\xbf\xba",
    b"\xef\xbf\xbb",
    b"\xef\xbf\xbc",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xef\xb7\x90",
    b"\xef\xb7\xaf",
    b"\xf0\x90\x80\x80",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbe",
    b"\xf0\xaf\xbf\xbf",
    b"\xf0\xbf\xbf\xbe",
    b"\xf0\xbf\xbf\xbf",
    b"\xf1\x8f\xbf\xbf",
    b"\xf1\x9f\xbf\xbf",
    b"\xf1\xaf\xbf\xbf",
    b"\xf1\xbf\xbf\xbf",
    b"\xf2\x8f\xbf\xbf",
    b"\xf2\x9f\xbf\xbf",
    b"\xf2\xaf\xbf\xbf",
    b"\xf2\xbf\xbf\xbf",
    b"\xf3\x8f\xbf\xbf",
    b"\xf3\x9f\xbf\xbf",
    b"\xf3\xaf\xbf\xbf",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xf4\x8f\xbf\xbf",
];

/// Text that is none, and how many bytes of it are good; those that only lack an end are all good
/// until it comes.
const BAD: &[(&[u8], usize)] = &[
    // Continuations of nothing.
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"a\x80", 1),
    (b"\x80\xbf\x80", 0),
    (b"\xc3\xa4\x80", 2),
    (b"\xe2\x82\xac\xbf", 3),
    (b"\xf0\x9f\x98\x80\x80", 4),
    // Beginnings of nothing.
    (b"\xc3 ", 1),
    (b"\xdf\xc3", 1),
    (b"\xe2 ", 1),
    (b"\xe2\x82 ", 2),
    (b"\xef\xbf\xef", 2),
    (b"\xf0 ", 1),
    (b"\xf0\x9f ", 2),
    (b"\xf0\x9f\x98 ", 3),
    (b"\xf4\x8f\xbf\xf4", 3),
    // The end is missing.
    (b"\xc3", 1),
    (b"\xdf", 1),
    (b"\xe2", 1),
    (b"\xe2\x82", 2),
    (b"\xef\xbf", 2),
    (b"\xf0", 1),
    (b"\xf0\x9f", 2),
    (b"\xf0\x9f\x98", 3),
    (b"\xf4\x8f\xbf", 3),
    (b"ok\xc3", 3),
    // No byte of UTF-8.
    (b"\xfe", 0),
    (b"\xff", 0),
    (b"\xfe\xfe\xff\xff", 0),
    (b"\xc0", 0),
    (b"\xc1", 0),
    (b"\xf5", 0),
    (b"\xf6\x80\x80\x80", 0),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfb\xbf\xbf\xbf\xbf", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfd\xbf\xbf\xbf\xbf\xbf", 0),
    // Beyond the last character.
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf4\xbf\xbf\xbf", 1),
    // Longer than need be: a slash, the last of each length, nothing.
    (b"\xc0\xaf", 0),
    (b"\xe0\x80\xaf", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf8\x80\x80\x80\xaf", 0),
    (b"\xfc\x80\x80\x80\x80\xaf", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf8\x87\xbf\xbf\xbf", 0),
    (b"\xfc\x83\xbf\xbf\xbf\xbf", 0),
    (b"\xc0\x80", 0),
    (b"\xe0\x80\x80", 1),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf8\x80\x80\x80\x80", 0),
    (b"\xfc\x80\x80\x80\x80\x80", 0),
    // Surrogates, alone and in pairs.
    (b"\xed\xa0\x80", 1),
    (b"\xed\xad\xbf", 1),
    (b"\xed\xae\x80", 1),
    (b"\xed\xaf\xbf", 1),
    (b"\xed\xb0\x80", 1),
    (b"\xed\xbe\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xed\xa0\x80\xed\xb0\x80", 1),
    (b"\xed\xa0\x80\xed\xbf\xbf", 1),
    (b"\xed\xad\xbf\xed\xb0\x80", 1),
    (b"\xed\xae\x80\xed\xbf\xbf", 1),
    (b"\xed\xaf\xbf\xed\xbf\xbf", 1),
    // In the midst of what is good.
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited", 8),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80edited", 8),
    (b"0123456789abcdef0123456789abcdef\xff0123456789abcdef", 32),
];

#[test]
fn text_is_utf8_in_one_frame_in_many_and_cut_within_a_letter() {
    for good in GOOD {
        let twice = [frame(TEXT, good), fragments(TEXT, good, 1), frame(TEXT, b"next")].concat();
        let (heard, flaw, _) = come_to(JSON, &twice);
        let both: &[&[u8]] = if good.is_empty() { &[good] } else { &[good, good] };
        assert_eq!((&heard[..both.len()], flaw), (&owned(both)[..], None), "{good:x?}");
        assert_eq!(heard.last().map(Vec::as_slice), Some(&b"next"[..]));
    }
    for (bad, len) in BAD {
        for all in [frame(TEXT, bad), fragments(TEXT, bad, 1), fragments(TEXT, bad, 2)] {
            let (heard, flaw, said) = come_to(JSON, &[frame(TEXT, b"0"), all].concat());
            assert_eq!((heard, flaw), (owned(&[b"0"]), Some(Flaw::WsUtf8)), "{bad:x?}");
            assert_eq!(said, close(1007));
        }
        // Another letter behind does not help, and nor does another fragment.
        let more = [frame(TEXT | MORE, bad), frame(CONTINUE, b"x")].concat();
        assert_eq!(come_to(JSON, &more).1, Some(Flaw::WsUtf8), "{bad:x?}");
        // It is refused at its first wrong byte, however much more is to come.
        for first in [TEXT, TEXT | MORE] {
            let mut long = frame(first, &[bad, &[b'x'; 200][..]].concat());
            long.truncate(8 + len);
            assert_eq!(whole(JSON, &long).heard.flaw, None, "{bad:x?}");
            let next = bad.get(*len).unwrap_or(&b'x');
            long.push(next ^ MASK[len % 4]);
            assert_eq!(whole(JSON, &long).heard.flaw, Some(Flaw::WsUtf8), "{bad:x?}");
        }
    }
}

/// A frame of the peer.
fn raw(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// An open WebSocket of this subprotocol, its 101 said.
fn opened(subprotocol: &str) -> Link {
    let ws = terms(Inside::Ws, false);
    let mut link = Link::new(&ws, None).unwrap();
    give(&mut link, &fuzzing::open(subprotocol));
    say(&mut link, None, b"");
    link
}

fn give(link: &mut Link, bytes: &[u8]) {
    let ws = terms(Inside::Ws, false);
    link.on_bytes(NOW, &mut bytes.into(), &mut BytesMut::new(), &ws, &Limits::default());
}

fn say(link: &mut Link, last: Option<Parting>, words: &[u8]) -> Vec<u8> {
    let Link::Wrapped(it) = link else { panic!("it is wrapped") };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    it.speak(&mut out, &mut spare, 65_536, last, |out| {
        out.put_bytes(&Bytes::copy_from_slice(words));
        false
    });
    out.to_vec()
}

#[test]
fn each_frame_of_the_peer_is_a_message_however_it_is_cut() {
    let lens = [0usize, 1, 125, 126, 300, 65_535, 65_536, 3];
    for (subprotocol, opcode) in [(JSON, TEXT), ("wamp.2.msgpack", BINARY), (CBOR, BINARY)] {
        let (mut said, mut wanted) = (Vec::new(), Vec::new());
        for (i, len) in lens.iter().enumerate() {
            let message = vec![b'a' + i as u8; *len];
            said.extend(raw(&message));
            wanted.extend_from_slice(&head(opcode, *len));
            wanted.extend(message);
        }
        for step in [1, 2, 3, 5, 130, 4_000, 70_000, said.len()] {
            let mut link = opened(subprotocol);
            let heard: Vec<u8> =
                said.chunks(step).flat_map(|piece| say(&mut link, None, piece)).collect();
            assert!(heard == wanted, "{subprotocol} in steps of {step}");
        }
    }
}

#[test]
fn a_large_message_of_the_peer_is_not_copied() {
    let mut link = opened(CBOR);
    let large = Bytes::from(vec![7; 1 << 20]);
    let Link::Wrapped(it) = &mut link else { panic!("it is wrapped") };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    it.speak(&mut out, &mut spare, 65_536, None, |out| {
        out.put_slice(&(1u32 << 20).to_be_bytes());
        out.put_bytes(&large);
        true
    });
    let mut pieces = Vec::new();
    out.pieces(0, 64, &mut pieces);
    assert_eq!(pieces[0][..], head(BINARY, 1 << 20)[..]);
    assert_eq!((pieces.len(), pieces[1].as_ptr()), (2, large.as_ptr()));
    // The longest of all has a head of its own.
    assert_eq!(say(&mut link, None, b"\x08\0\0\0"), head(BINARY, 1 << 24)[..]);
}

#[test]
fn nothing_of_the_links_own_stands_within_a_message_of_the_peer() {
    let last = Some(Parting { code: 1001, reason: "over", late: false });
    let mut link = opened(CBOR);
    assert_eq!(say(&mut link, None, b"\0\0\0\x04ab"), b"\x82\x04ab");
    give(&mut link, &frame(PING, b"?"));
    assert_eq!(say(&mut link, None, b""), b"", "the Pong waits");
    assert!(link.has_words());
    assert_eq!(say(&mut link, None, b"c"), b"c");
    assert_eq!(say(&mut link, None, b"d"), b"d\x8a\x01?");
    assert_eq!(say(&mut link, last, b"\0\0\0\x01x"), [b"\x82\x01x", &close(1001)[..]].concat());
    let mut link = opened(CBOR);
    assert_eq!(
        say(&mut link, last, b"\0\0\0\x04ab"),
        b"\x82\x04ab",
        "a Close would be taken for it"
    );
    assert_eq!(say(&mut link, None, b"cd"), b"");
}

#[test]
fn rawsocket_is_found_by_its_first_byte_where_wamp_is_spoken() {
    let hello = b"\x7f\xf1\0\0\0\0\0\x02[]";
    let any = terms(Inside::Any, false);
    for cut in 0..hello.len() {
        let whole = hear(&any, [&hello[..cut], &hello[cut..]]);
        assert_eq!((&whole.clear[..], whole.heard.flaw), (&hello[..], None), "untouched");
        assert_eq!(whole.heard.spoken, Some(Spoken::Wamp(Carrier::Raw)));
    }
    let other = Terms { speaks: vec![Spoken::Mqtt, Spoken::Prx1], ..any };
    let whole = hear(&other, [&hello[..]]);
    assert_eq!((&whole.clear[..], whole.heard.flaw), (&b""[..], Some(Flaw::FirstBytes)));
}

#[test]
fn the_laws_hold_for_noise() {
    let mut rng = crate::base::rng::Rng::new(7);
    for _ in 0..2_000 {
        let mut all = Vec::new();
        for _ in 0..rng.below(8) {
            let opcode = [TEXT, BINARY, CONTINUE, CONTINUE, PING, PONG][rng.below(6) as usize];
            let more = if rng.below(2) == 0 && opcode < 8 { MORE } else { 0 };
            let len = [0, 1, 5, 126, 600][rng.below(5) as usize];
            let odd = rng.below(30) == 0;
            let byte = if odd { 0xc3 } else { b'x' };
            all.extend(frame(opcode | more, &vec![byte; len]));
        }
        frames(&all);
    }
}
