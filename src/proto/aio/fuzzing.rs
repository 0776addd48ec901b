//! Floor 3. What must hold for any bytes at all; one function for fuzzers and tests alike.
//!
//! The laws: decoding in chunks, cut anywhere, says the same as decoding at once; what was
//! understood can be said again and is understood alike, the meaning of it too; what is answered
//! at once is an acknowledgement or a pong; a file's place stays below its directory; what is read
//! of a long frame before its file is what is read of it whole. A broken law is a panic, on
//! purpose.

use bytes::{Bytes, BytesMut};

use crate::base::rng::Rng;
use crate::proto::fault::Fault;

use super::decode::{Front, HEAD, frame_len, front, next};
use super::encode::encode_vec;
use super::file::{Place, WithFile};
use super::heard::{Listening, What, hear};
use super::inner::{self, Meaning, Side, meaning};
use super::names::Name;
use super::packet::Frame;
use super::{command, shelf};

/// What a frame may be long here.
const MAX: usize = 1 << 20;

/// Check the laws for `data`.
///
/// # Panics
/// When one is broken.
pub fn bytes(data: &[u8]) {
    let (whole, end) = drain(&mut BytesMut::from(data));
    whole.iter().for_each(say_again);
    let seed = data.iter().fold(1u64, |sum, &b| sum.rotate_left(7) ^ u64::from(b));
    let mut rng = Rng::new(seed);
    let (mut rest, mut input) = (data, BytesMut::new());
    let (mut parts, mut stop) = (Vec::new(), None);
    while !rest.is_empty() && stop.is_none() {
        let cut = 1 + rng.below(rest.len().min(9) as u64) as usize;
        let (now, later) = rest.split_at(cut);
        input.extend_from_slice(now);
        rest = later;
        let (mut some, fault) = drain(&mut input);
        parts.append(&mut some);
        stop = fault;
    }
    assert_eq!(whole, parts, "chunks say what the whole says");
    assert_eq!(end, stop, "and end alike");
    let frames = shelf::remains(&Bytes::copy_from_slice(data), MAX).count();
    assert!(frames <= 1 + data.len() / shelf::SEPARATOR.len(), "each has its separator");
    question(data);
    in_pieces(data);
}

/// The front of a frame that is taken as too long, and the rest, are the frame.
fn in_pieces(data: &[u8]) {
    let keep = data.len() / 2;
    let said = front(data, keep);
    for cut in [data.len() / 4, keep, data.len().saturating_sub(1)] {
        let early = front(data.get(..cut).unwrap_or_default(), keep);
        // More of it may show another fault first, but a fault it is.
        let kept = early == said || early.is_err() && said.is_err();
        assert!(early == Ok(None) || kept, "what is said early is not taken back");
    }
    let Ok(Some((Front { frame: begun, file, .. }, at))) = said else { return };
    assert!(at <= data.len() && at <= keep + HEAD, "no more is read than may be kept");
    let Ok(Some(whole)) = next(&mut BytesMut::from(data), MAX) else { return };
    let own = begun.binary.len();
    assert_eq!(whole.binary.get(..own), Some(&begun.binary[..]), "what is the application's");
    assert_eq!((whole.binary.len() - own) as u64, file, "and what is the file's");
    assert_eq!((whole.header, whole.data), (begun.header, begun.data), "and what is said of it");
}

fn drain(input: &mut BytesMut) -> (Vec<Frame>, Option<Fault>) {
    let mut frames = Vec::new();
    loop {
        let announced = frame_len(input, MAX);
        let before = input.len();
        match next(input, MAX) {
            Ok(Some(frame)) => {
                assert_eq!(announced, Ok(Some(before - input.len())), "as long as announced");
                frames.push(frame);
            }
            Ok(None) => {
                let waits = announced.map(|len| len.is_none_or(|len| len > before));
                assert_eq!(waits, Ok(true), "waits only for what is missing");
                return (frames, None);
            }
            Err(fault) => return (frames, Some(fault)),
        }
    }
}

fn say_again(frame: &Frame) {
    // A header may be too long in our spelling: letters that are not ASCII take more bytes.
    if let Ok(said) = encode_vec(frame) {
        let again = next(&mut BytesMut::from(&said[..]), said.len());
        assert_eq!(again, Ok(Some(frame.clone())), "said again it is the same");
    }
    for from in [Side::Client, Side::Server] {
        let Ok(meant) = meaning(frame, from) else { continue };
        let own = frame.header.source_id.as_ref().map_or("", |name| name.as_str());
        let Some(said) = inner::frame(&meant, own) else {
            assert!(matches!(meant, Meaning::Message | Meaning::Unknown), "only these cannot be");
            continue;
        };
        assert_eq!(meaning(&said, from), Ok(meant), "what is meant is understood again");
    }
    hear_it(frame);
    if let Ok(Some(file)) = WithFile::of(frame) {
        let again = WithFile::read(&file.write());
        assert_eq!(again, Ok(file.clone()), "what is said of a file is said again");
        if let Some(place) = Place::new(&file.dst_name) {
            let down = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            assert!(place.parts().all(down), "{place:?}");
        }
        if let Ok((own, content)) = file.cut(&frame.binary) {
            let len = own.len() + content.map_or(0, |content| content.len());
            assert!(len <= frame.binary.len(), "what is cut is no longer than it was");
        }
    }
}

/// What is said at once is an acknowledgement or the answer to a ping, and applications see no
/// number.
fn hear_it(frame: &Frame) {
    let name = frame.header.source_id.as_ref().and_then(Name::new);
    for from in [Side::Client, Side::Server] {
        let on = Listening { me: "me", from, name: name.as_ref(), ignored: false };
        let Ok(heard) = hear(frame.clone(), on, |_| true) else { continue };
        if let Some(say) = &heard.say {
            let said = meaning(say, Side::Server);
            assert!(matches!(said, Ok(Meaning::Ack(_) | Meaning::Pong(_))), "{said:?}");
        }
        if let What::Message(frame) | What::Answer(frame) | What::Publish(_, frame) = heard.what {
            assert_eq!(frame.header.transport_id, None, "the number is the connector's");
        }
    }
}

fn question(data: &[u8]) {
    let Ok(Some(question)) = command::question(&mut BytesMut::from(data)) else { return };
    let mut said = crate::base::outbound::Outbound::default();
    if command::ask(&question, &mut said).is_ok() {
        let again = command::question(&mut BytesMut::from(&said.to_vec()[..]));
        assert_eq!(again, Ok(Some(question)), "a question said again is the same");
    }
}
