//! Floor 1. Frames: the examples of the RFC, every rule broken, every cut.

use bytes::BytesMut;

use super::Flaw;
use super::ws_frame::{BINARY, CLOSE, CONTINUE, NO_CODE, PING, PONG, TEXT, Unframe, close, head};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MAX: u64 = 1 << 20;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Payload, Pongs and the code of a Close of bytes given at once.
fn at_once(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, Result<Option<u16>, Flaw>) {
    let (mut chunk, mut pongs) = (BytesMut::from(bytes), Vec::new());
    let close = Unframe::default().take(&mut chunk, MAX, &mut pongs);
    (chunk.to_vec(), pongs, close)
}

#[test]
fn the_examples_of_the_rfc() {
    // 5.7: a masked "Hello", as bytes instead of text.
    let hello = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(at_once(&hello), (b"Hello".to_vec(), vec![], Ok(None)));
    assert_eq!(frame(0x82, b"Hello"), hello);
    // A Ping with a body of "Hello".
    let ping = frame(0x89, b"Hello");
    assert_eq!(at_once(&ping), (vec![], b"\x8a\x05Hello".to_vec(), Ok(None)));
    // 256 bytes, and 64 KiB.
    assert_eq!(head(BINARY, 256)[..], [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(head(BINARY, 65_536)[..], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(head(PONG, 5)[..], [0x8a, 0x05]);
}

#[test]
fn bytes_in_pieces_are_heard_as_at_once() {
    let large: Vec<u8> = (0..70_000u32).map(|i| (i * 7) as u8).collect();
    let mut all = frame(0x82, b"packet one|packet");
    all.extend(frame(0x02, b" two"));
    all.extend(frame(0x89, b"are you there"));
    all.extend(frame(0x00, b""));
    all.extend(frame(0x80, b"|packet three"));
    all.extend(frame(0x8a, b"unasked"));
    all.extend(frame(0x82, &[b'x'; 126]));
    let (payload, pongs, _) = at_once(&all);
    let wanted = [&b"packet one|packet two|packet three"[..], &[b'x'; 126]].concat();
    assert_eq!(payload, wanted);
    assert_eq!(pongs, b"\x8a\x0dare you there");
    for cut in 0..=all.len() {
        let mut unframe = Unframe::default();
        let (mut heard, mut answers) = (Vec::new(), Vec::new());
        for piece in [&all[..cut], &all[cut..]] {
            let mut chunk = BytesMut::from(piece);
            unframe.take(&mut chunk, MAX, &mut answers).unwrap();
            heard.extend_from_slice(&chunk);
        }
        assert_eq!((&heard, &answers), (&wanted, &pongs), "cut at {cut}");
    }
    for step in [1, 2, 3, 7, 4_096, 65_536] {
        let mut unframe = Unframe::default();
        let mut heard = Vec::new();
        for piece in frame(0x82, &large).chunks(step) {
            let mut chunk = BytesMut::from(piece);
            unframe.take(&mut chunk, MAX, &mut Vec::new()).unwrap();
            heard.extend_from_slice(&chunk);
        }
        assert!(heard == large, "steps of {step}");
    }
}

#[test]
fn every_rule_that_is_broken_has_its_name_at_every_cut() {
    let with_len = |first: u8, second: u8, len: &[u8]| [&[first, second][..], len].concat();
    let cases: Vec<(Flaw, Vec<u8>)> = vec![
        (Flaw::WsText, frame(0x81, b"hello")),
        (Flaw::WsText, frame(0x01, b"hel")),
        (Flaw::WsUnmasked, vec![0x82, 0x05, b'h']),
        (Flaw::WsUnmasked, vec![0x82, 0x00]),
        (Flaw::WsReserved, frame(0xc2, b"")),
        (Flaw::WsReserved, frame(0xa2, b"")),
        (Flaw::WsReserved, frame(0x92, b"")),
        (Flaw::WsOpcode, frame(0x83, b"")),
        (Flaw::WsOpcode, frame(0x87, b"")),
        (Flaw::WsOpcode, frame(0x8b, b"")),
        (Flaw::WsOpcode, frame(0x8f, b"")),
        (Flaw::WsControl, frame(0x09, b"ping")),
        (Flaw::WsControl, frame(0x08, b"")),
        (Flaw::WsControl, frame(0x89, &[0; 126])),
        (Flaw::WsControl, vec![0x88, 0xff]),
        (Flaw::WsFragment, frame(0x80, b"of nothing")),
        (Flaw::WsFragment, [frame(0x02, b""), frame(0x82, b"again")].concat()),
        (Flaw::WsFragment, [frame(0x02, b""), frame(0x02, b"again")].concat()),
        (Flaw::WsFragment, [frame(0x02, b""), frame(0x81, b"text")].concat()),
        (Flaw::WsFragment, frame(0x00, b"of nothing")),
        (Flaw::WsFragment, [frame(0x82, b""), frame(0x00, b"more")].concat()),
        // The top bit of a length of 64 bits, and lengths in more bytes than they need.
        (Flaw::WsLength, with_len(0x82, 0xff, &[0x80, 0, 0, 0, 0, 0, 0, 1])),
        (Flaw::WsLength, with_len(0x82, 0xff, &[0xff; 8])),
        (Flaw::WsLength, with_len(0x82, 0xff, &[0, 0, 0, 0, 0, 0, 0xff, 0xff])),
        (Flaw::WsLength, with_len(0x82, 0xfe, &[0, 125])),
        (Flaw::WsTooLong, with_len(0x82, 0xff, &(1u64 << 40).to_be_bytes())),
        (Flaw::WsTooLong, with_len(0x82, 0xff, &(MAX + 1).to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &[3])),
        (Flaw::WsClose, frame(0x88, &999u16.to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &1004u16.to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &1005u16.to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &1006u16.to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &1015u16.to_be_bytes())),
        (Flaw::WsClose, frame(0x88, &5000u16.to_be_bytes())),
        (Flaw::WsReason, frame(0x88, &[0x03, 0xe8, 0xff, 0xff])),
    ];
    for (flaw, bad) in cases {
        let all = [frame(0x82, b"before"), bad].concat();
        assert_eq!(at_once(&all), (b"before".to_vec(), vec![], Err(flaw)), "{all:x?}");
        for cut in 1..all.len() {
            let mut unframe = Unframe::default();
            let mut heard = Vec::new();
            let mut end = Ok(());
            for piece in [&all[..cut], &all[cut..]] {
                let mut chunk = BytesMut::from(piece);
                end = unframe.take(&mut chunk, MAX, &mut Vec::new()).map(drop);
                heard.extend_from_slice(&chunk);
                if end.is_err() {
                    break;
                }
            }
            assert!((&heard[..], end) == (b"before", Err(flaw)), "{flaw:?} cut at {cut}");
        }
    }
}

#[test]
fn a_length_is_never_a_reason_to_wait_for_more_than_its_header() {
    let mut chunk = BytesMut::from(&frame(0x82, &[0; 300])[..8 + 100]);
    let mut unframe = Unframe::default();
    unframe.take(&mut chunk, MAX, &mut Vec::new()).unwrap();
    assert_eq!(chunk.len(), 100, "what is there is heard at once");
    assert!(size_of::<Unframe>() <= 160, "and nothing is kept but a header");
}

#[test]
fn a_control_frame_has_its_own_bound_and_no_other() {
    let mut chunk = BytesMut::from(&frame(0x89, &[b'p'; 125])[..]);
    let mut pongs = Vec::new();
    assert_eq!(Unframe::default().take(&mut chunk, 16, &mut pongs), Ok(None));
    assert_eq!(pongs.len(), 127);
}

#[test]
fn nothing_is_heard_behind_a_close() {
    let mut all = frame(0x88, &[&1001u16.to_be_bytes()[..], b"bye"].concat());
    all.extend(frame(0x82, b"late"));
    all.extend([0xff; 9]);
    all.extend(frame(0x89, b"late"));
    assert_eq!(at_once(&all), (vec![], vec![], Ok(Some(1001))));
    assert_eq!(at_once(&frame(0x88, b"")), (vec![], vec![], Ok(Some(NO_CODE))));
    for code in [1000, 1003, 1007, 1014, 3000, 4999u16] {
        assert_eq!(at_once(&frame(0x88, &code.to_be_bytes())).2, Ok(Some(code)));
    }
}

#[test]
fn our_close_fits_into_a_control_frame() {
    assert_eq!(close(1000, "bye"), [&[0x88, 5, 0x03, 0xe8][..], b"bye"].concat());
    assert_eq!(close(NO_CODE, "unsaid"), [0x88, 0]);
    let long = close(1002, &"\u{fc}".repeat(100));
    assert_eq!((long[1], long.len()), (124, 126), "cut between two letters");
    assert_eq!([CONTINUE, TEXT, BINARY, CLOSE, PING, PONG], [0, 1, 2, 8, 9, 10]);
}
