//! Floor 0. The one hot scratch: everything a connection says in a turn, for one `writev`.
//!
//! Heads and small payloads are copied into one contiguous buffer; large payloads are shared and
//! stand between two stretches of it. One `Outbound` serves the whole broker: it is filled for a
//! connection, drained, cleared. Only what a short write left over is taken away (`leftover`).
//! Absent on purpose: sockets and any idea of who reads.

mod heads;

use bytes::Bytes;
use std::io::IoSlice;

pub use heads::Frames;

/// Payloads up to this size are copied: below it an iovec entry costs more than a memcpy.
pub const COPY_MAX: usize = 2048;

/// A shared payload and where in the scratch it stands.
#[derive(Debug)]
struct Cut {
    at: usize,
    shared: Bytes,
}

/// A place in an [`Outbound`], good until something is inserted before it or it is cleared.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: usize,
    cuts: usize,
    len: usize,
}

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub struct Outbound {
    scratch: Vec<u8>,
    cuts: Vec<Cut>,
    shared_len: usize,
    last: bool,
}

impl Outbound {
    /// Append bytes by copying them.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.scratch.extend_from_slice(bytes);
    }

    /// Append one byte.
    pub fn put_u8(&mut self, byte: u8) {
        self.scratch.push(byte);
    }

    /// Append two bytes, big endian.
    pub fn put_u16(&mut self, n: u16) {
        self.scratch.extend_from_slice(&n.to_be_bytes());
    }

    /// Append a payload: copied when small, shared when large.
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_MAX {
            self.scratch.extend_from_slice(bytes);
            return;
        }
        self.shared_len += bytes.len();
        self.cuts.push(Cut { at: self.scratch.len(), shared: bytes.clone() });
    }

    /// The place behind all that was put so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { at: self.scratch.len(), cuts: self.cuts.len(), len: self.len() }
    }

    /// Bytes put behind a place.
    #[must_use]
    pub fn len_from(&self, mark: Mark) -> usize {
        self.len().saturating_sub(mark.len)
    }

    /// Put a few bytes at a place where others follow already: a header whose length was not
    /// known before. It moves what was copied, a turn's share at most; what is shared stays.
    pub fn insert(&mut self, mark: Mark, bytes: &[u8]) {
        let at = mark.at.min(self.scratch.len());
        self.scratch.splice(at..at, bytes.iter().copied());
        for cut in self.cuts.iter_mut().skip(mark.cuts) {
            cut.at += bytes.len();
        }
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scratch.len() + self.shared_len
    }

    /// Nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forget everything; the scratch keeps its memory unless one turn made it large.
    pub fn clear(&mut self) {
        self.scratch.clear();
        self.scratch.shrink_to(1 << 20);
        self.cuts.clear();
        self.shared_len = 0;
        self.last = false;
    }

    /// Nothing follows, now or later: the other side is to be told so, behind these bytes.
    pub fn end(&mut self) {
        self.last = true;
    }

    /// Nothing follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// The pieces in order, from byte `from` on, for a gathering write of at most `most` pieces.
    pub fn pieces<'a>(&'a self, from: usize, most: usize, into: &mut Vec<IoSlice<'a>>) {
        let mut skip = from;
        for piece in self.all() {
            if into.len() == most {
                return;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            into.push(IoSlice::new(&piece[skip..]));
            skip = 0;
        }
    }

    /// What follows byte `from`, to be kept by a connection whose write was short.
    pub fn leftover(&self, from: usize, into: &mut std::collections::VecDeque<Bytes>) {
        let mut skip = from;
        let mut at = 0;
        for cut in &self.cuts {
            keep_copy(&self.scratch[at..cut.at], &mut skip, into);
            at = cut.at;
            if skip >= cut.shared.len() {
                skip -= cut.shared.len();
            } else {
                into.push_back(cut.shared.slice(skip..));
                skip = 0;
            }
        }
        keep_copy(&self.scratch[at..], &mut skip, into);
    }

    /// All bytes in one piece: for tests and for worlds without a gathering write.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.all().flatten().copied().collect()
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        let heads = self.cuts.iter().flat_map(move |cut| {
            let head = &self.scratch[at..cut.at];
            at = cut.at;
            [head, &cut.shared[..]]
        });
        let last = self.cuts.last().map_or(0, |cut| cut.at);
        heads.chain([&self.scratch[last..]]).filter(|piece| !piece.is_empty())
    }
}

fn keep_copy(piece: &[u8], skip: &mut usize, into: &mut std::collections::VecDeque<Bytes>) {
    if *skip >= piece.len() {
        *skip -= piece.len();
        return;
    }
    into.push_back(Bytes::copy_from_slice(&piece[*skip..]));
    *skip = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Outbound, Vec<u8>) {
        let mut out = Outbound::default();
        let big = Bytes::from(vec![7u8; COPY_MAX + 1]);
        out.put_slice(b"head");
        out.put_bytes(&big);
        out.put_bytes(&Bytes::from_static(b"small"));
        out.put_u8(1);
        out.put_bytes(&big);
        let flat = out.to_vec();
        (out, flat)
    }

    #[test]
    fn order_is_kept_across_copied_and_shared() {
        let (out, flat) = sample();
        assert_eq!(out.len(), flat.len());
        assert_eq!(out.cuts.len(), 2, "only large payloads are shared");
        assert_eq!(&flat[..4], b"head");
        assert_eq!(&flat[4 + COPY_MAX + 1..][..6], b"small\x01");
    }

    #[test]
    fn a_header_is_put_before_what_follows_a_mark() {
        let big = Bytes::from(vec![7u8; COPY_MAX + 1]);
        for before in [&b""[..], b"before"] {
            let mut out = Outbound::default();
            out.put_slice(before);
            if !before.is_empty() {
                out.put_bytes(&big);
            }
            let mut wanted = out.to_vec();
            let mark = out.mark();
            out.put_bytes(&big);
            out.put_slice(b"tail");
            assert_eq!(out.len_from(mark), COPY_MAX + 5);
            out.insert(mark, b"head");
            wanted.extend_from_slice(b"head");
            wanted.extend_from_slice(&big);
            wanted.extend_from_slice(b"tail");
            assert!(out.to_vec() == wanted, "{before:?}");
            assert_eq!(out.len(), wanted.len());
            assert!(!out.cuts.is_empty(), "large payloads stay shared");
        }
    }

    #[test]
    fn pieces_and_leftover_agree_at_every_byte() {
        let (out, flat) = sample();
        for from in 0..=flat.len() {
            let mut slices = Vec::new();
            out.pieces(from, 64, &mut slices);
            let written: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            assert_eq!(written, &flat[from..]);
            let mut rest = std::collections::VecDeque::new();
            out.leftover(from, &mut rest);
            let kept: Vec<u8> = rest.iter().flatten().copied().collect();
            assert_eq!(kept, &flat[from..]);
        }
    }
}
