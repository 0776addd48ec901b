//! Floor 1. What must hold for any bytes at all; functions for fuzzers and tests alike.
//!
//! The law: bytes in pieces, cut anywhere, are heard as the same bytes at once, up to the first
//! flaw and with it. A broken law is a panic, on purpose.

use core::net::{IpAddr, Ipv4Addr};

use bytes::BytesMut;

use crate::base::limits::Limits;
use crate::base::rng::Rng;
use crate::base::time::Now;

use super::sniff::{FIRST_MAX, First, sniff};
use super::{Flaw, Heard, Inside, Link, Spoken, Terms, proxy};

/// Everything a link made of some bytes.
#[derive(PartialEq, Eq, Debug)]
pub struct Whole {
    /// What was for the peer.
    pub clear: Vec<u8>,
    /// The rest, taken together.
    pub heard: Heard,
}

/// Give `pieces` to a new link, one behind another, up to the first flaw.
pub fn hear<'a>(terms: &Terms, pieces: impl IntoIterator<Item = &'a [u8]>) -> Whole {
    let limits = Limits::default();
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
    Whole { clear, heard: all }
}

/// What a listener of tests takes: everything, and from everywhere.
#[must_use]
pub fn terms(inside: Inside, proxy: bool) -> Terms {
    Terms {
        inside,
        speaks: vec![Spoken::Mqtt, Spoken::Prx1],
        proxy,
        trusted: "127.0.0.0/8".parse().into_iter().collect(),
        ..Terms::default()
    }
}

/// Frames of a WebSocket that is open already.
///
/// # Panics
/// When a law is broken.
pub fn frames(data: &[u8]) {
    let mut whole = OPEN.to_vec();
    whole.extend_from_slice(data);
    cut(&terms(Inside::Ws, false), &whole);
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
fn cut(terms: &Terms, data: &[u8]) {
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

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A request that is granted.
pub const OPEN: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
