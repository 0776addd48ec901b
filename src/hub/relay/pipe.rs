//! Floor 2. Bytes on their way from one connection to the other of its pair.
//!
//! Large pieces are handed on as they were read; small ones are copied together, so that a slow
//! reader does not keep a whole read buffer for a line. Between turns an idle pipe owns nothing:
//! what it wrote into goes back to a small stock. An end is passed on behind everything before it.
//! Absent on purpose: lines, and how much is too much (whoever reads asks first).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::base::outbound::Outbound;

/// A piece of at least this length is handed on without being copied.
pub const SHARED_MIN: usize = 16 << 10;
/// Buffers of the stock.
const STOCK: usize = 64;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub struct Stock(Vec<Vec<u8>>);

impl Stock {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn put_back(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < STOCK && buffer.capacity() <= SHARED_MIN {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[derive(Debug)]
enum Piece {
    /// Copied, and said up to here.
    Own(Vec<u8>, usize),
    /// As it was read.
    Shared(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Own(bytes, said) => bytes.len() - said,
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

/// Does more follow?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum End {
    /// Perhaps.
    #[default]
    Open,
    /// No: to be told behind what is still here.
    Said,
    /// No, and that was told.
    Passed,
}

/// One direction of a pair.
#[derive(Debug, Default)]
pub struct Pipe {
    pieces: VecDeque<Piece>,
    len: usize,
    end: End,
}

impl Pipe {
    /// One over which nothing goes any more.
    #[must_use]
    pub fn ended() -> Self {
        Self { pieces: VecDeque::new(), len: 0, end: End::Passed }
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether more follows.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Nothing follows what is in it.
    pub fn close(&mut self) {
        if self.end == End::Open {
            self.end = End::Said;
        }
    }

    /// Put in what was read; it is taken out of `bytes`.
    pub fn push(&mut self, bytes: &mut BytesMut, stock: &mut Stock) {
        if bytes.len() >= SHARED_MIN {
            self.len += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes.split().freeze()));
        } else {
            self.put(bytes, stock);
            bytes.clear();
        }
    }

    /// Put in a copy.
    pub fn put(&mut self, bytes: &[u8], stock: &mut Stock) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if let Some(Piece::Own(own, _)) = self.pieces.back_mut()
            && own.len() + bytes.len() <= SHARED_MIN
        {
            return own.extend_from_slice(bytes);
        }
        let mut own = stock.take();
        own.extend_from_slice(bytes);
        self.pieces.push_back(Piece::Own(own, 0));
    }

    /// Say up to `most` bytes. True: more is left.
    pub fn speak(&mut self, out: &mut Outbound, most: usize, stock: &mut Stock) -> bool {
        let mut room = most;
        while room > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let n = piece.len().min(room);
            match piece {
                Piece::Own(bytes, said) => {
                    out.put_slice(bytes.get(*said..*said + n).unwrap_or_default());
                    *said += n;
                }
                Piece::Shared(bytes) => out.put_bytes(&bytes.split_to(n)),
            }
            room -= n;
            self.len -= n;
            if piece.len() == 0
                && let Some(Piece::Own(bytes, _)) = self.pieces.pop_front()
            {
                stock.put_back(bytes);
            }
        }
        if self.is_empty() && self.end == End::Said {
            self.end = End::Passed;
            out.end();
        }
        !self.is_empty()
    }

    /// Nobody is there to hear it: forget what is in it; how many bytes that were.
    pub fn drop_all(&mut self) -> usize {
        self.pieces = VecDeque::new();
        core::mem::take(&mut self.len)
    }

    /// Heap bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>() + self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pipe: &mut Pipe, most: usize, stock: &mut Stock) -> (Vec<u8>, bool, bool) {
        let mut out = Outbound::default();
        let more = pipe.speak(&mut out, most, stock);
        (out.to_vec(), more, out.is_last())
    }

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_their_pieces() {
        let mut rng = crate::base::rng::Rng::new(1);
        let (mut pipe, mut stock) = (Pipe::default(), Stock::default());
        let (mut wanted, mut heard) = (Vec::new(), Vec::new());
        for n in 0..2_000_u32 {
            let len = match rng.below(20) {
                0 => SHARED_MIN as u64 + rng.below(50_000),
                1 => SHARED_MIN as u64 - 1,
                _ => rng.below(300),
            };
            let mut piece = BytesMut::new();
            piece.resize(len as usize, n as u8);
            wanted.extend_from_slice(&piece);
            pipe.push(&mut piece, &mut stock);
            assert!(piece.is_empty());
            let (some, more, last) = said(&mut pipe, rng.below(60_000) as usize, &mut stock);
            heard.extend_from_slice(&some);
            assert_eq!((more, last), (heard.len() < wanted.len(), false));
            assert_eq!(pipe.len(), wanted.len() - heard.len());
        }
        heard.extend(said(&mut pipe, usize::MAX, &mut stock).0);
        assert!(heard == wanted);
    }

    #[test]
    fn an_end_is_told_once_and_behind_everything() {
        let (mut pipe, mut stock) = (Pipe::default(), Stock::default());
        pipe.put(b"abc", &mut stock);
        pipe.close();
        assert_eq!(said(&mut pipe, 2, &mut stock), (b"ab".to_vec(), true, false));
        assert_eq!(pipe.end(), End::Said);
        assert_eq!(said(&mut pipe, 2, &mut stock), (b"c".to_vec(), false, true));
        assert_eq!(pipe.end(), End::Passed);
        pipe.close();
        assert_eq!(said(&mut pipe, 2, &mut stock), (Vec::new(), false, false));
    }

    #[test]
    fn a_pipe_that_is_empty_again_has_given_its_buffer_back() {
        let (mut pipe, mut stock) = (Pipe::default(), Stock::default());
        for _ in 0..3 {
            pipe.put(b"abc", &mut stock);
            assert_eq!(stock.0.len(), 0, "it is in use");
            said(&mut pipe, 9, &mut stock);
            assert_eq!(stock.0.len(), 1, "and the same one every time");
        }
    }
}
