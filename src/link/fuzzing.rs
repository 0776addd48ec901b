//! Floor 1. What must hold for any bytes at all; functions for fuzzers and tests alike.
//!
//! The laws: bytes in pieces, cut anywhere, are heard as the same bytes at once, up to the first
//! flaw and with it, and answered alike; where messages count, what is heard is whole frames but
//! for the last, none longer than a packet. A broken law is a panic, on purpose.

use core::net::{IpAddr, Ipv4Addr};

use bytes::BytesMut;

use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::base::time::Now;

use super::sniff::{FIRST_MAX, First, sniff};
use super::{Carrier, Flaw, Heard, Inside, Link, Parting, Spoken, Terms, proxy};

/// Everything a link made of some bytes.
#[derive(PartialEq, Eq, Debug)]
pub struct Whole {
    /// What was for the peer.
    pub clear: Vec<u8>,
    /// The rest, taken together.
    pub heard: Heard,
    /// What the link says to it, of its own, when the connection ends now.
    pub said: Vec<u8>,
}

/// Give `pieces` to a new link, one behind another, up to the first flaw.
pub fn hear<'a>(terms: &Terms, pieces: impl IntoIterator<Item = &'a [u8]>) -> Whole {
    let limits = Limits { wamp_bytes_max: PACKET_MAX, ..Limits::default() };
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    let mut link = Link::new(terms, Some(HERE)).unwrap_or(Link::Plain);
    let (mut chunk, mut spare) = (BytesMut::new(), BytesMut::new());
    let (mut clear, mut all) = (Vec::new(), Heard::default());
    for piece in pieces {
        chunk.extend_from_slice(piece);
        let heard = link.on_bytes(now, &mut chunk, &mut spare, terms, &limits);
        assert!(spare.is_empty(), "working memory is left empty");
        clear.extend_from_slice(&chunk);
        chunk.clear();
        all.address = heard.address.or(all.address);
        all.spoken = heard.spoken.or(all.spoken);
        all.ended |= heard.ended;
        all.flaw = heard.flaw;
        if heard.flaw.is_some() {
            break;
        }
    }
    Whole { clear, heard: all, said: last_words(&mut link) }
}

fn last_words(link: &mut Link) -> Vec<u8> {
    let Link::Wrapped(it) = link else { return Vec::new() };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    let last = Parting { code: 1001, reason: "over", late: false };
    it.speak(&mut out, &mut spare, usize::MAX, Some(last), |_| false);
    out.to_vec()
}

/// What a listener of tests takes: everything, and from everywhere.
#[must_use]
pub fn terms(inside: Inside, proxy: bool) -> Terms {
    Terms {
        inside,
        speaks: vec![Spoken::Mqtt, Spoken::Prx1, Spoken::Wamp(Carrier::Raw)],
        proxy,
        trusted: "127.0.0.0/8".parse().into_iter().collect(),
        ..Terms::default()
    }
}

/// Frames of a WebSocket that is open already: for a stream, for messages of bytes and of text.
///
/// # Panics
/// When a law is broken.
pub fn frames(data: &[u8]) {
    for subprotocol in ["mqtt", "wamp.2.cbor", "wamp.2.json"] {
        let mut all = open(subprotocol);
        all.extend_from_slice(data);
        let whole = cut(&terms(Inside::Ws, false), &all);
        if subprotocol != "mqtt" {
            let (messages, _) = messages(&whole.clear);
            assert!(messages.iter().all(|message| message.len() <= PACKET_MAX), "too long");
            let text = |message: &&[u8]| core::str::from_utf8(message).is_ok();
            assert!(subprotocol != "wamp.2.json" || messages.iter().all(text), "no text");
        }
    }
}

/// A request for this subprotocol, which is granted.
#[must_use]
pub fn open(subprotocol: &str) -> Vec<u8> {
    let asks = format!("Protocol: {subprotocol}\r\n");
    String::from_utf8_lossy(OPEN).replace("Protocol: mqtt\r\n", &asks).into_bytes()
}

/// The messages in a stream of frames with heads of four bytes, and what is left of it.
#[must_use]
pub fn messages(mut stream: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut all = Vec::new();
    while let [0, a, b, c, rest @ ..] = stream {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((message, later)) = rest.split_at_checked(len) else { break };
        all.push(message);
        stream = later;
    }
    (all, stream)
}

/// The beginning of a connection to a listener that takes anything. The first byte says whether a
/// proxy speaks first.
///
/// # Panics
/// When a law is broken.
pub fn beginnings(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    cut(&terms(Inside::Any, how & 1 != 0), data);
    cut(&terms(Inside::Ws, how & 1 != 0), data);
    once(data, sniff, |first| *first != First::Short);
    once(data, proxy::header, Option::is_some);
    let most = data.get(..FIRST_MAX).filter(|_| data.len() >= FIRST_MAX);
    assert!(most.is_none_or(|most| sniff(most) != Ok(First::Short)), "soon decided");
}

/// In pieces cut at random, and at once.
fn cut(terms: &Terms, data: &[u8]) -> Whole {
    let whole = hear(terms, [data]);
    let seed = data.iter().fold(1u64, |sum, &b| sum.rotate_left(7) ^ u64::from(b));
    let mut rng = Rng::new(seed);
    let mut rest = data;
    let pieces = core::iter::from_fn(|| {
        let (piece, later) = rest.split_at(rest.len().min(1 + rng.below(23) as usize));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(hear(terms, pieces), whole, "pieces say what the whole says");
    whole
}

/// What was decided is not decided otherwise when more has come.
fn once<T: PartialEq + core::fmt::Debug>(
    data: &[u8],
    decide: impl Fn(&[u8]) -> Result<T, Flaw>,
    decided: impl Fn(&T) -> bool,
) {
    let mut before: Option<Result<T, Flaw>> = None;
    for len in 0..=data.len().min(256) {
        let now = decide(data.get(..len).unwrap_or_default());
        match before {
            Some(old) => {
                assert_eq!(old, now, "at {len}");
                before = Some(now);
            }
            None => before = Some(now).filter(|now| now.as_ref().map_or(true, &decided)),
        }
    }
}

/// Packets here, so that short inputs can be too long.
pub const PACKET_MAX: usize = 1_000;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A request that is granted.
pub const OPEN: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
