//! Floor 5. One connection's socket: fill from it, drain into it, keep what it did not take.
//!
//! A turn reads once and writes once. What a short write left over is owned here, at most one
//! turn's share, and nothing more is encoded for the connection until the socket took it; so an
//! idle or quick connection owns no memory for what it says. Absent on purpose: packets.

use std::io::{self, IoSlice, Read, Write};

use crate::base::id::ConnId;
use crate::base::outbound::Outbound;
use crate::base::seldom::Seldom;
use bytes::{Buf, Bytes};

use super::dial::Dialed;
use super::stream::Stream;

/// A socket and what is remembered about it.
#[derive(Debug)]
pub struct Socket {
    /// The connection it carries.
    pub conn: ConnId,
    /// The socket.
    pub stream: Stream,
    /// An edge said that there may be something to read, and no read has said otherwise.
    pub readable: bool,
    /// The other end has said everything: a short read is not the last one.
    pub half_closed: bool,
    /// There is nobody at the other end any more.
    pub broken: bool,
    /// It stands in one of the lines of those that are read from.
    pub queued: bool,
    /// It stands in the list of those that are not read from, though they could be.
    pub paused: bool,
    /// It stands in the list of those that have, or had, something left over.
    pub behind: bool,
    /// Who is at the other end writes in pieces, and waits with each for the one before.
    pub hasty: bool,
    /// It was dialed, and the other end has not answered yet.
    pub dialing: Option<Box<Dialed>>,
    /// Nothing follows what is left over: then its sending half is closed.
    last: bool,
    /// What a short write left over.
    rest: Seldom<Bytes>,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Bytes, and there may be more.
    More,
    /// Bytes or none, and nothing more for now.
    Empty,
    /// The other end has said everything.
    Eof,
    /// The connection is broken.
    Broken,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    /// All of it was taken.
    All,
    /// So many bytes were taken.
    Part(usize),
    /// The connection is broken.
    Broken,
}

impl Socket {
    /// A socket that was just accepted.
    #[must_use]
    pub fn new(conn: ConnId, stream: impl Into<Stream>) -> Self {
        let stream = stream.into();
        Self {
            conn,
            stream,
            readable: false,
            half_closed: false,
            broken: false,
            queued: false,
            paused: false,
            behind: false,
            hasty: false,
            dialing: None,
            last: false,
            rest: Seldom::default(),
        }
    }

    /// Read once, at most as much as `through` holds; the bytes that came. The detour through
    /// memory that is always initialized costs less than clearing a buffer for every read, and
    /// what is to be kept is known to fit before it is copied.
    pub fn fill<'a>(&mut self, through: &'a mut [u8]) -> (Fill, &'a [u8]) {
        let mut len = 0;
        let got = loop {
            match self.stream.read(through) {
                Ok(0) => break Fill::Eof,
                Ok(n) => {
                    len = n;
                    // A stream that gave less than was asked for has given all it had; but its
                    // end is only seen by reading once more.
                    let more = n == through.len() || self.half_closed;
                    break if more { Fill::More } else { Fill::Empty };
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Fill::Empty,
                Err(_) => break Fill::Broken,
            }
        };
        self.readable = got == Fill::More;
        if self.hasty && len > 0 {
            self.stream.acknowledge_now();
        }
        (got, through.get(..len).unwrap_or_default())
    }

    /// Write everything in `out`, behind what is left over from before.
    pub fn drain(&mut self, out: &Outbound) -> Drained {
        if self.is_blocked() {
            return Drained::Part(0);
        }
        let mut done = 0;
        while done < out.len() {
            let mut pieces = Vec::with_capacity(4);
            out.pieces(done, PIECES_MAX, &mut pieces);
            match write(&mut self.stream, &pieces) {
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Drained::Part(done),
                Err(_) => return Drained::Broken,
            }
        }
        Drained::All
    }

    /// Keep what follows byte `from` of `out`.
    pub fn keep(&mut self, out: &Outbound, from: usize) {
        out.leftover(from, self.rest.open());
        self.last |= out.is_last();
    }

    /// Everything was taken, and nothing follows: say so.
    pub fn end(&self) {
        // Whoever is gone hears nothing of it, and needs not to.
        let _ = self.stream.shutdown();
    }

    /// Something is left over.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Pieces and bytes that are left over.
    #[must_use]
    pub fn unsent(&self) -> (u64, u64) {
        (self.rest.len() as u64, self.rest.iter().map(|piece| piece.len() as u64).sum())
    }

    /// Write what is left over, as far as the socket takes it.
    pub fn flush(&mut self) -> Drained {
        let mut done = 0;
        while self.is_blocked() {
            let pieces: Vec<IoSlice<'_>> =
                self.rest.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            match write(&mut self.stream, &pieces) {
                Ok(n) => {
                    done += n;
                    self.took(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Drained::Part(done),
                Err(_) => return Drained::Broken,
            }
        }
        self.rest.close();
        if core::mem::take(&mut self.last) {
            self.end();
        }
        Drained::All
    }

    fn took(&mut self, mut n: usize) {
        while let Some(piece) = self.rest.front_mut() {
            if n < piece.len() {
                piece.advance(n);
                return;
            }
            n -= piece.len();
            self.rest.pop_front();
        }
    }
}

/// One gathering write; writing nothing of something is an error.
fn write(stream: &mut Stream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let wrote = match pieces {
            [one] => stream.write(one),
            many => stream.write_vectored(many),
        };
        match wrote {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Pieces in one gathering write.
const PIECES_MAX: usize = 64;
