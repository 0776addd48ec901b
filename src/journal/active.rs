//! Floor 1. The segment being written.
//!
//! It only grows. Room for its seal is kept free from the first record on, so it can always be
//! finished; a record's frame is written after its body, so what a killed process leaves half
//! copied has no checksum that agrees. While the disk hangs, what is written is held here and put
//! in place later. Absent on purpose: which class may write, and syncing.

use super::ahead::Sheet;
use super::frame::{FRAME, Frame, padded};
use super::page::{self, Header, Mark, PAGE};
use super::record::{Draft, Record};
use super::storage::Slate;
use crate::base::time::Deadline;

/// Bytes of a seal: its frame, a count, a checksum, padding.
pub(super) const SEAL: u32 = 48;

/// A segment that exists on the disk, all zeroes, for when it is needed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) header: Header,
    pub(super) slate: Box<dyn Slate>,
    /// When its pages are no longer in memory for having been made.
    pub(super) old: Deadline,
}

impl Prepared {
    /// One that a start found, or makes for itself.
    pub(super) fn found(header: Header, slate: Box<dyn Slate>) -> Self {
        Self { header, slate, old: Deadline(0) }
    }

    pub(super) fn sheet(&self) -> Sheet {
        Sheet { no: self.header.no, len: self.header.len, old: self.old }
    }
}

/// The one that is written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) header: Header,
    /// Where the next record goes.
    pub(super) at: u32,
    /// It was the last segment there was: growth stays out until there is another.
    pub(super) reserve: bool,
    slate: Box<dyn Slate>,
    old: Deadline,
    seed: u32,
    chain: Chain,
    second: bool,
    /// What is written while the segment must not be touched.
    held: Option<Held>,
}

/// Writes that have not been made yet, in their order.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where each goes, and how long it is.
    parts: Vec<(u32, usize)>,
}

impl Active {
    /// Begin a prepared segment with the record `first_seq`.
    pub(super) fn begin(prepared: Prepared, first_seq: u64) -> Self {
        let mut active = Self::resume(prepared, PAGE, Chain::default(), false);
        active.write_opening(first_seq);
        active
    }

    /// Go on with a segment behind its last record; `second` is where the next mark goes.
    pub(super) fn resume(prepared: Prepared, at: u32, chain: Chain, second: bool) -> Self {
        let Prepared { header, slate, old } = prepared;
        let seed = header.seed();
        Self { header, at, reserve: false, slate, old, seed, chain, second, held: None }
    }

    pub(super) fn sheet(&self) -> Sheet {
        Sheet { no: self.header.no, len: self.header.len, old: self.old }
    }

    /// Say which record comes first, in both places.
    pub(super) fn write_opening(&mut self, first_seq: u64) {
        let (places, block) = page::opening(first_seq, self.seed);
        places.iter().for_each(|at| self.write(*at, &block));
    }

    /// Say what is known to be on the disk, in the place that was not used last.
    pub(super) fn write_mark(&mut self, mark: Mark) {
        let (at, block) = page::mark(mark, self.second, self.seed);
        self.second = !self.second;
        self.write(at, &block);
    }

    /// What was written is in the segment: nobody has taken it away.
    pub(super) fn is_whole(&self) -> bool {
        self.slate.is_whole()
    }

    /// There is room for so many bytes, and for the seal after them.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let left = self.header.len.saturating_sub(self.at).saturating_sub(SEAL);
        bytes <= left as usize
    }

    /// Write a record that fits. `head` is an empty frame and the head of the body. Where it
    /// starts.
    pub(super) fn put(
        &mut self,
        seq: u64,
        durable: u64,
        head: &mut [u8],
        draft: &Draft<'_>,
    ) -> u32 {
        let len = (head.len() + draft.blob_len()) as u32;
        let (kind, flags) = (draft.kind, draft.flags);
        Frame { crc: 0, len, seq, durable, kind, flags }.put(head);
        let mut crc = crc32c::crc32c_append(self.seed, &head[4..]);
        let start = self.at;
        let mut at = start + head.len() as u32;
        for blob in draft.blobs.iter().filter(|blob| !blob.is_empty()) {
            crc = crc32c::crc32c_append(crc, blob);
            self.write(at, blob);
            at += blob.len() as u32;
        }
        head[..4].copy_from_slice(&crc.to_be_bytes());
        self.write(start, head);
        self.chain.add(crc);
        self.at = start + padded(len as usize) as u32;
        start
    }

    /// Hold what is written from now on.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Bytes that are held; `None` while they are written at once.
    pub(super) fn held(&self) -> Option<usize> {
        self.held.as_ref().map(|held| held.bytes.len())
    }

    /// Write what was held, in its order: a frame still comes after its body.
    pub(super) fn let_go(&mut self) {
        let Some(held) = self.held.take() else { return };
        let mut rest = held.bytes.as_slice();
        for (at, len) in held.parts {
            let (bytes, more) = rest.split_at(len.min(rest.len()));
            self.slate.write(at, bytes);
            rest = more;
        }
    }

    /// What was held is never written.
    pub(super) fn forget_held(&mut self) {
        self.held = None;
    }

    fn write(&mut self, at: u32, bytes: &[u8]) {
        match &mut self.held {
            None => self.slate.write(at, bytes),
            Some(held) => {
                held.bytes.extend_from_slice(bytes);
                held.parts.push((at, bytes.len()));
            }
        }
    }

    /// Write the last record, which has its room kept.
    pub(super) fn seal(&mut self, seq: u64, durable: u64) {
        let mut head = vec![0; FRAME];
        let seal = Record::Seal { count: self.chain.count, crc: self.chain.crc };
        if let Ok(draft) = seal.draft(&mut head) {
            self.put(seq, durable, &mut head, &draft);
        }
    }
}

/// Count and checksum of the records of a segment, as its seal will state them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Chain {
    pub(super) count: u64,
    pub(super) crc: u32,
}

impl Chain {
    /// One more record, with that checksum.
    pub(super) fn add(&mut self, crc: u32) {
        self.count += 1;
        self.crc = crc32c::crc32c_append(self.crc, &crc.to_be_bytes());
    }
}
