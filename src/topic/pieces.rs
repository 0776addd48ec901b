//! Floor 1. Things by number, in pieces that never move: growing costs one piece, not a copy of a
//! million.
//!
//! Each fills a cache line, and a number that is given back is given out again. Absent on purpose:
//! what is free is not marked, because whoever holds a number took it here.

/// Things by number.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
    made: usize,
}

impl<T> Pieces<T> {
    pub(super) fn new() -> Self {
        const { assert!(size_of::<T>() == 64 && align_of::<T>() == 64, "one cache line") }
        Self { pieces: Vec::new(), free: Vec::new(), made: 0 }
    }

    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.made - self.free.len()
    }

    pub(super) fn at(&self, at: u32) -> &T {
        &self.pieces[at as usize / PIECE][at as usize % PIECE]
    }

    pub(super) fn at_mut(&mut self, at: u32) -> &mut T {
        &mut self.pieces[at as usize / PIECE][at as usize % PIECE]
    }

    pub(super) fn add(&mut self, thing: T) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.at_mut(at) = thing;
            return at;
        }
        if self.made.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        self.pieces[self.made / PIECE].push(thing);
        self.made += 1;
        self.made as u32 - 1
    }

    /// Take one out and leave something that holds nothing.
    pub(super) fn take(&mut self, at: u32, nothing: T) -> T {
        self.free.push(at);
        core::mem::replace(self.at_mut(at), nothing)
    }
}

/// 32 KiB.
const PIECE: usize = 512;
