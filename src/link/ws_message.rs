//! Floor 1. Messages of a WebSocket, for protocols to which they count.
//!
//! The peer hears, and says, one stream of frames as RawSocket has them: a head of four bytes (a
//! zero, then the length), and that many bytes. The four bytes of a client's mask make room for
//! such a head, wherever a chunk ends, so a message in one frame is handed on where it lies and as
//! it comes. Only one in fragments is held until its length is known, and only what came of it.
//! Text is checked as it comes, too, and ends at its first wrong byte. A PING
//! that the peer says is a Ping. Absent on purpose: what control frames of the client say; none of
//! them reaches the peer.

use bytes::BytesMut;

use crate::base::outbound::{Frames, Mark, Outbound};

use super::Flaw;
use super::ws_frame::{self, Places};

/// The longest message that a head of four bytes can tell.
pub const LONGEST: usize = 1 << 24;

const HEAD: usize = 4;
const EXACTLY_LONGEST: u8 = 0x08;
/// What kind of frame it is, and the one that is a Ping here too.
const KIND: u8 = 0x07;
const PING: u8 = 1;

/// What a client's messages are put together by.
#[derive(Debug)]
pub(super) struct Messages {
    text: bool,
    utf8: Utf8,
    /// Bytes of the message so far, by the headers of its fragments.
    len: u64,
    /// A message in fragments has begun.
    gathers: bool,
    /// What earlier chunks held of it, its head in front.
    held: BytesMut,
}

impl Messages {
    pub(super) fn new(text: bool) -> Self {
        let utf8 = Utf8::default();
        Self { text, utf8, len: 0, gathers: false, held: BytesMut::new() }
    }

    /// `part` of a client's header is there, of which bytes behind `from` are new: for each byte
    /// of a mask, one of our head. That of a message in fragments is filled in at its end.
    pub(super) fn begin(&mut self, chunk: &mut [u8], at: &mut Places, part: &[u8], from: usize) {
        let mask = ws_frame::header_len(part).saturating_sub(HEAD);
        let Some(first) = part.first().filter(|_| part.len() > mask && mask > 1) else { return };
        if !matches!(first & 0x0f, ws_frame::TEXT | ws_frame::BINARY) {
            return;
        }
        let whole = first & 0x80 != 0;
        let len = ws_frame::length(part).map_or(0, |(len, _)| len);
        let head = if whole { head(len) } else { [0; HEAD] };
        for (i, byte) in head.iter().enumerate().take(part.len() - mask) {
            if mask + i < from {
                continue;
            }
            if i == 0 {
                (self.utf8, self.len) = (Utf8::default(), 0);
                (self.gathers, at.begin) = (!whole, at.kept);
            }
            if let Some(place) = chunk.get_mut(at.kept) {
                *place = *byte;
            }
            at.kept += 1;
        }
    }

    /// A header announces so many bytes more.
    pub(super) fn count(&mut self, more: u64) {
        self.len = self.len.saturating_add(more);
    }

    /// Bytes of a message in fragments that were announced before this one.
    pub(super) fn before(&self) -> u64 {
        if self.gathers { self.len } else { 0 }
    }

    /// More of a message; in the error, how much of it may be text.
    pub(super) fn check(&mut self, clear: &[u8]) -> Result<(), usize> {
        if self.text { self.utf8.check(clear) } else { Ok(()) }
    }

    /// A message ends here.
    pub(super) fn end(&mut self, chunk: &mut BytesMut, at: &mut Places) -> Result<(), Flaw> {
        if !self.utf8.is_whole() {
            // One byte less, and the peer never hears it as a whole.
            at.kept = at.kept.saturating_sub(1);
            return Err(Flaw::WsUtf8);
        }
        if !core::mem::take(&mut self.gathers) {
            return Ok(());
        }
        let head = head(core::mem::take(&mut self.len));
        if !self.held.is_empty() {
            // What came before has no room in this chunk: the chunk moves behind it.
            let mut whole = core::mem::take(&mut self.held);
            whole.extend_from_slice(chunk.get(..at.kept).unwrap_or_default());
            let behind = whole.len();
            whole.extend_from_slice(chunk.get(at.read..).unwrap_or_default());
            *chunk = whole;
            *at = Places { read: behind, kept: behind, begin: 0 };
        }
        if let Some(place) = chunk.get_mut(at.begin..at.begin + HEAD) {
            place.copy_from_slice(&head);
        }
        Ok(())
    }

    /// The chunk ends: what it has of a message without an end is held, if there is to be one.
    pub(super) fn hold(&mut self, chunk: &[u8], at: &mut Places, goes_on: bool) {
        if !self.gathers {
            return;
        }
        if goes_on {
            self.held.extend_from_slice(chunk.get(at.begin..at.kept).unwrap_or_default());
        } else {
            self.held = BytesMut::new();
        }
        at.kept = at.begin;
    }

    /// What is held takes so much memory.
    pub(super) fn held(&self) -> usize {
        self.held.capacity()
    }

    /// Bytes that are held.
    pub(super) fn begun(&self) -> usize {
        self.held.len()
    }

    /// Do they go in frames of text?
    pub(super) fn are_text(&self) -> bool {
        self.text
    }
}

/// The head of a message of so many bytes.
fn head(len: u64) -> [u8; HEAD] {
    if len == LONGEST as u64 {
        return [EXACTLY_LONGEST, 0, 0, 0];
    }
    let [.., a, b, c] = len.to_be_bytes();
    [0, a, b, c]
}

/// The length that a head tells.
fn len_of([first, a, b, c]: [u8; HEAD]) -> usize {
    if first & EXACTLY_LONGEST != 0 {
        return LONGEST;
    }
    u32::from_be_bytes([0, a, b, c]) as usize
}

/// What our messages are taken apart by.
#[derive(Debug)]
pub(super) struct Wrap {
    opcode: u8,
    frames: Frames,
}

impl Wrap {
    pub(super) fn new(text: bool) -> Self {
        let opcode = if text { ws_frame::TEXT } else { ws_frame::BINARY };
        Self { opcode, frames: Frames::default() }
    }

    /// Make one message of a WebSocket of each frame that was put behind this place.
    pub(super) fn wrap(&mut self, out: &mut Outbound, mark: Mark) {
        let opcode = self.opcode;
        out.rehead(mark, &mut self.frames, |head| {
            let len = len_of(head);
            let ping = head.first().is_some_and(|first| first & KIND == PING);
            (ws_frame::head(if ping { ws_frame::PING } else { opcode }, len), len)
        });
    }

    /// Nothing of a message is out that is not out as a whole.
    pub(super) fn is_between(&self) -> bool {
        self.frames.is_between()
    }
}

/// A character that has begun and not ended.
#[derive(Clone, Copy, Debug, Default)]
struct Utf8 {
    part: [u8; 4],
    have: u8,
}

impl Utf8 {
    fn is_whole(self) -> bool {
        self.have == 0
    }

    /// More of the text; in the error, how many bytes stand before the first wrong one.
    fn check(&mut self, text: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while self.have > 0
            && let Some(byte) = text.get(at)
        {
            let have = usize::from(self.have);
            let Some(place) = self.part.get_mut(have) else { return Err(at) };
            *place = *byte;
            match core::str::from_utf8(self.part.get(..=have).unwrap_or_default()) {
                Ok(_) => self.have = 0,
                Err(why) if why.error_len().is_none() => self.have += 1,
                Err(_) => return Err(at),
            }
            at += 1;
        }
        let rest = text.get(at..).unwrap_or_default();
        let Err(why) = core::str::from_utf8(rest) else { return Ok(()) };
        let tail = rest.get(why.valid_up_to()..).unwrap_or_default();
        let Some(wrong) = why.error_len() else {
            let place = self.part.get_mut(..tail.len()).unwrap_or_default();
            place.copy_from_slice(tail.get(..place.len()).unwrap_or_default());
            self.have = place.len() as u8;
            return Ok(());
        };
        // What is wrong is the byte behind a good beginning, or a first byte that begins nothing.
        let began = tail.get(..wrong).unwrap_or_default();
        let begins = core::str::from_utf8(began).is_err_and(|why| why.error_len().is_none());
        Err(at + why.valid_up_to() + if begins { wrong } else { 0 })
    }
}
