//! Floor 1. What stands around a record: its length, its numbers, its checksum.
//!
//! A frame is believed only when its length fits into what is there and the checksum over all of
//! it, seeded with the salt of its segment, agrees; so nothing a publisher wrote into a payload and
//! nothing an earlier life of the disk left behind can pass for a record. Sequence numbers have no
//! gaps. `durable` is what was known to be on the disk when the record was written: it is how a
//! later record proves that an earlier one had been acknowledged.

use std::ops::RangeInclusive;

/// Bytes before the body: crc, length, sequence, durable sequence, kind, flags, six zeroes.
pub(super) const FRAME: usize = 32;

/// Records start at multiples of this.
pub(super) const ALIGN: usize = 8;

/// The shortest record, with its frame and padding.
pub(super) const RECORD_MIN: usize = 40;

/// A frame as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) crc: u32,
    /// Of frame and body, without padding.
    pub(super) len: u32,
    pub(super) seq: u64,
    pub(super) durable: u64,
    pub(super) kind: u8,
    pub(super) flags: u8,
}

/// What stands at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A record that agrees with its checksum.
    Record(Frame),
    /// Zeroes, or too little room for a frame.
    Nothing,
    /// A record of this length would go beyond the bytes at hand.
    Beyond(usize),
    /// Neither zeroes nor a record.
    Bad(&'static str),
}

impl Frame {
    /// Where the next record starts, counted from the start of this one.
    pub(super) fn step(&self) -> usize {
        padded(self.len as usize)
    }

    /// Write everything but the checksum, which covers it.
    pub(super) fn put(&self, head: &mut [u8]) {
        head[4..8].copy_from_slice(&self.len.to_be_bytes());
        head[8..16].copy_from_slice(&self.seq.to_be_bytes());
        head[16..24].copy_from_slice(&self.durable.to_be_bytes());
        head[24] = self.kind;
        head[25] = self.flags;
        head[26..FRAME].fill(0);
    }

    fn parse(head: &[u8; FRAME]) -> Self {
        Self {
            crc: u32_at(head, 0),
            len: u32_at(head, 4),
            seq: u64_at(head, 8),
            durable: u64_at(head, 16),
            kind: head[24],
            flags: head[25],
        }
    }
}

/// The length with its padding.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// Look at the start of `bytes` for a record of the segment whose checksums start from `seed`.
pub(super) fn look(bytes: &[u8], seed: u32) -> Found {
    let Some(head) = bytes.first_chunk::<FRAME>() else {
        return Found::Nothing;
    };
    if head.iter().all(|b| *b == 0) {
        return Found::Nothing;
    }
    let frame = Frame::parse(head);
    let len = frame.len as usize;
    if len < FRAME {
        return Found::Bad("a length below any record's");
    }
    match bytes.get(..len) {
        None => Found::Beyond(len),
        Some(whole) if crc32c::crc32c_append(seed, &whole[4..]) != frame.crc => {
            Found::Bad("the checksum disagrees")
        }
        Some(_) => Found::Record(frame),
    }
}

/// Look for valid records where there may be none, within bounds of time.
#[derive(Debug)]
pub(super) struct Search {
    seed: u32,
    seqs: RangeInclusive<u64>,
    /// Bytes that may yet be hashed. A payload full of almost-records must not make this
    /// quadratic; whoever runs out knows nothing, and says so.
    effort: usize,
}

impl Search {
    /// For records of one segment with sequence numbers in that range.
    pub(super) fn new(seed: u32, seqs: RangeInclusive<u64>, len: usize) -> Self {
        Self { seed, seqs, effort: len.saturating_mul(64) }
    }

    /// The first at or after `from`.
    pub(super) fn next(&mut self, bytes: &[u8], from: usize) -> Option<(usize, Frame)> {
        let mut at = padded(from);
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<FRAME>()) {
            let frame = Frame::parse(head);
            let likely = frame.len as usize >= FRAME
                && frame.len as usize <= bytes.len() - at
                && self.seqs.contains(&frame.seq)
                && frame.durable < frame.seq;
            if likely {
                self.effort = self.effort.saturating_sub(frame.len as usize);
                if self.effort == 0 {
                    return None;
                }
                if let Found::Record(frame) = look(&bytes[at..], self.seed) {
                    return Some((at, frame));
                }
            }
            at += ALIGN;
        }
        None
    }

    /// It gave up: what it did not find may still be there.
    pub(super) fn exhausted(&self) -> bool {
        self.effort == 0
    }
}

/// Big-endian; the caller knows that there are four bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

/// Big-endian; the caller knows that there are eight bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}
