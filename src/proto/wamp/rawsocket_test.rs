//! Floor 3. Handshakes from both sides, frames cut anywhere, and batches.

use bytes::{Bytes, BytesMut};

use super::batch::{CANCEL, RECORD, Split, messages};
use super::fuzzing;
use super::rawsocket::{
    Denied, Frame, Kind, LONGEST, Offer, Refusal, SHORTEST, Unfit, announced, answered, head, next,
    offered,
};
use crate::proto::fault::FaultKind;
use crate::value::Form;

#[test]
fn a_handshake_says_length_and_serializer() {
    for (octets, takes, form) in [
        ([0x7F, 0x01, 0, 0], 512, Form::Json),
        ([0x7F, 0xF2, 0, 0], 16 << 20, Form::MsgPack),
        ([0x7F, 0x73, 0, 0], 65_536, Form::Cbor),
    ] {
        let offer = Offer { takes, form };
        assert_eq!(offered(&octets), Ok(Some(offer)));
        assert_eq!(answered(&octets, form), Ok(Some(offer)));
        assert_eq!(offer.octets(), octets);
        for cut in 0..4 {
            assert_eq!(
                (offered(&octets[..cut]), answered(&octets[..cut], form)),
                (Ok(None), Ok(None))
            );
        }
        fuzzing::rawsocket(&octets);
    }
    let takes = |takes| Offer { takes, form: Form::Json }.octets()[1] >> 4;
    assert_eq!([0, SHORTEST, 1023, 1024, LONGEST - 1, usize::MAX].map(takes), [0, 0, 0, 1, 14, 15]);
}

#[test]
fn a_handshake_that_cannot_be_is_refused_with_its_reason() {
    let silent = |kind| Err(Unfit { kind, answer: None });
    for octets in
        [&b"G"[..], b"GET ", b"\x10", b"\x00\x7f", b"\x7f\xf0\x00\x00", b"\x7f\x00\x01\x00"]
    {
        assert_eq!(offered(octets), silent(FaultKind::RawMagic), "{}", octets.escape_ascii());
    }
    let told = |kind, answer| Err(Unfit { kind, answer: Some(answer) });
    for serializer in 4..16 {
        let octets = [0x7F, 0xF0 | serializer, 0, 0];
        assert_eq!(offered(&octets), told(FaultKind::RawSerializer, Refusal::Serializer));
    }
    for octets in [[0x7F, 0xF1, 1, 0], [0x7F, 0xF1, 0, 0x80], [0x7F, 0xF4, 1, 0]] {
        assert_eq!(offered(&octets), told(FaultKind::RawReserved, Refusal::Reserved));
    }
    let said = Refusal::ALL.map(|it| it.octets()[1]);
    assert_eq!(said, [0x10, 0x20, 0x30, 0x40]);
}

#[test]
fn a_client_understands_what_it_is_answered() {
    for refusal in Refusal::ALL {
        let denied = Err(Denied::Refused(refusal as u8));
        assert_eq!(answered(&refusal.octets(), Form::Json), denied);
    }
    assert_eq!(answered(&[0x7F, 0x90, 0, 0], Form::Json), Err(Denied::Refused(9)));
    assert_eq!(answered(b"H", Form::Json), Err(Denied::Foreign));
    for other in [[0x7F, 0xF2, 0, 0], [0x7F, 0xF1, 1, 0], [0x7F, 0xFF, 0, 0]] {
        assert_eq!(answered(&other, Form::Json), Err(Denied::Otherwise));
    }
}

#[test]
fn frames_are_what_their_heads_say_wherever_they_are_cut() {
    let stream = b"\x00\x00\x00\x05[1,2]\x01\x00\x00\x02hi\x02\x00\x00\x00\x00\x00\x00\x00";
    let expected = [
        Frame::Message(Bytes::from_static(b"[1,2]")),
        Frame::Ping(Bytes::from_static(b"hi")),
        Frame::Pong(Bytes::new()),
        Frame::Message(Bytes::new()),
    ];
    for size in 1..stream.len() {
        let (mut input, mut heard) = (BytesMut::new(), Vec::new());
        for part in stream.chunks(size) {
            input.extend_from_slice(part);
            while let Some(frame) = next(&mut input, 512).expect("no fault") {
                heard.push(frame);
            }
        }
        assert_eq!((&heard[..], input.len()), (&expected[..], 0), "{size}");
    }
    let mut fed = vec![9];
    fed.extend_from_slice(stream);
    fuzzing::rawsocket(&fed);
}

#[test]
fn a_frame_of_no_kind_is_refused_by_its_first_octet() {
    for first in 0..=255u8 {
        let good = matches!(first, 0..=2 | 8..=10);
        let expected = if good { Ok(None) } else { Err(FaultKind::RawFrame) };
        assert_eq!(announced(&[first], LONGEST), expected, "{first}");
    }
    assert_eq!(announced(&[8, 0, 0, 1], LONGEST), Err(FaultKind::RawFrame));
}

#[test]
fn lengths_are_held_against_what_this_side_takes() {
    for (len, octets) in [
        (0, [0, 0, 0, 0]),
        (512, [0, 0, 2, 0]),
        (LONGEST - 1, [0, 255, 255, 255]),
        (LONGEST, [8, 0, 0, 0]),
    ] {
        assert_eq!(head(Kind::Message, len), Some(octets));
        assert_eq!(announced(&octets, LONGEST), Ok(Some((Kind::Message, len))));
        if len > 0 {
            assert_eq!(announced(&octets, len - 1), Err(FaultKind::RawOverMax));
        }
    }
    assert_eq!(head(Kind::Ping, 3), Some([1, 0, 0, 3]));
    assert_eq!(head(Kind::Pong, LONGEST), Some([10, 0, 0, 0]));
    assert_eq!((head(Kind::Message, LONGEST + 1), head(Kind::Ping, usize::MAX)), (None, None));
    let mut input = BytesMut::from(&[0, 0, 2, 1][..]);
    assert_eq!(next(&mut input, 512), Err(FaultKind::RawOverMax));
    let mut whole = BytesMut::from(&[8, 0, 0, 0][..]);
    whole.resize(3 + LONGEST, b'x');
    assert_eq!(next(&mut whole, LONGEST), Ok(None));
    whole.resize(4 + LONGEST, b'x');
    let Ok(Some(Frame::Message(message))) = next(&mut whole, LONGEST) else { panic!("a frame") };
    assert_eq!((message.len(), whole.len()), (LONGEST, 0));
}

fn taken(form: Form, batch: &'static [u8]) -> (Vec<Result<Bytes, FaultKind>>, Split) {
    let all = messages(form, Bytes::from_static(batch));
    let split = all.split();
    (all.collect(), split)
}

#[test]
fn a_batch_is_taken_apart_as_it_was_put_together() {
    let part = |text: &'static [u8]| Ok(Bytes::from_static(text));
    let json = [part(b"[1]"), part(b"[2]")];
    assert_eq!(taken(Form::Json, b"[1]\x1e[2]\x1e"), (json.to_vec(), Split::After(RECORD)));
    assert_eq!(taken(Form::Json, b"[1]\x18[2]\x18"), (json.to_vec(), Split::After(CANCEL)));
    let binary = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
    let parts = vec![part(b"ab"), part(b""), part(b"c")];
    for form in [Form::MsgPack, Form::Cbor] {
        assert_eq!(taken(form, binary), (parts.clone(), Split::Length));
    }
    for (form, split) in [(Form::Json, Split::After(CANCEL)), (Form::Cbor, Split::of(Form::Cbor))] {
        let mut batch = Vec::new();
        assert!(split.put(b"[1]", &mut batch) && split.put(b"[22]", &mut batch));
        let all: Vec<_> = messages(form, batch.into()).collect();
        assert_eq!(all, [part(b"[1]"), part(b"[22]")]);
    }
    assert_eq!(Split::of(Form::Json), Split::After(RECORD));
}

#[test]
fn a_batch_that_is_empty_or_cut_is_refused_and_then_over() {
    let bad = Err(FaultKind::WampBatch);
    for (form, batch, good) in [
        (Form::Json, &b""[..], 0),
        (Form::Json, b"[1]", 0),
        (Form::Json, b"[1]\x1e[2]", 1),
        (Form::Json, b"[1]\x1e[2]\x18", 1),
        (Form::Cbor, b"", 0),
        (Form::Cbor, b"\0\0\0", 0),
        (Form::MsgPack, b"\0\0\0\x02a", 0),
        (Form::MsgPack, b"\0\0\0\x01a\xff\xff\xff\xffb", 1),
        (Form::MsgPack, b"\0\0\0\x01a\0", 1),
    ] {
        let (all, _) = taken(form, batch);
        assert_eq!((all.len(), all.last()), (good + 1, Some(&bad)), "{}", batch.escape_ascii());
        let mut fed = vec![0x80 | Form::ALL.iter().position(|it| *it == form).unwrap() as u8];
        fed.extend_from_slice(batch);
        fuzzing::wamp(&fed);
    }
}
