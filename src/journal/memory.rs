//! Floor 1. Segments in memory: a disk for tests, simulators and measurements.
//!
//! A slate and the storage see the same bytes, as a mapping and a file do; so they are bytes that
//! two threads may touch, one at a time each, and nothing is promised about their order but what
//! handing over a job promises anyway. `image` is what a crash leaves when nothing is torn.
//! Absent on purpose: faults. Whoever wants a sick disk wraps this one.

use super::storage::{DiskError, SegmentFile, Slate, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes in words of eight: a loop over single ones is slow without optimization.
#[derive(Clone, Debug)]
struct Shared {
    words: Arc<[AtomicU64]>,
    len: usize,
}

/// Segments that live in memory.
#[derive(Default, Debug)]
pub struct Memory {
    segments: BTreeMap<u32, Shared>,
    aside: BTreeMap<u32, Vec<u8>>,
}

#[derive(Debug)]
struct MemorySlate(Shared);

impl Slate for MemorySlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        self.0.write(at as usize, bytes);
    }
}

impl Shared {
    fn holding(bytes: &[u8], len: usize) -> Self {
        let words = (0..len.div_ceil(8)).map(|_| AtomicU64::new(0)).collect();
        let shared = Self { words, len };
        shared.write(0, bytes);
        shared
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        let mut from = 0;
        for (i, cell) in self.words.iter().enumerate().skip(at / 8) {
            let rest = &bytes[from..];
            if rest.is_empty() {
                return;
            }
            let start = (at + from) - i * 8;
            let n = rest.len().min(8 - start);
            let mut word = cell.load(Relaxed).to_ne_bytes();
            word[start..start + n].copy_from_slice(&rest[..n]);
            cell.store(u64::from_ne_bytes(word), Relaxed);
            from += n;
        }
    }

    fn read(&self, at: usize, bytes: &mut [u8]) {
        let before = (at.next_multiple_of(8) - at).min(bytes.len());
        let end = at + bytes.len();
        let (head, rest) = bytes.split_at_mut(before);
        if !head.is_empty() {
            self.part(at, head);
        }
        let mut whole = rest.chunks_exact_mut(8);
        let words = self.words.get(at.div_ceil(8)..).unwrap_or_default();
        for (bytes, cell) in whole.by_ref().zip(words) {
            bytes.copy_from_slice(&cell.load(Relaxed).to_ne_bytes());
        }
        let tail = whole.into_remainder();
        if !tail.is_empty() {
            self.part(end - tail.len(), tail);
        }
    }

    /// Bytes of one word.
    fn part(&self, at: usize, bytes: &mut [u8]) {
        let word = self.words[at / 8].load(Relaxed).to_ne_bytes();
        bytes.copy_from_slice(&word[at % 8..][..bytes.len()]);
    }

    fn copy(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }
}

impl Memory {
    /// A disk that holds these segments.
    #[must_use]
    pub fn holding(segments: BTreeMap<u32, Vec<u8>>) -> Self {
        let shared =
            segments.into_iter().map(|(no, bytes)| (no, Shared::holding(&bytes, bytes.len())));
        Self { segments: shared.collect(), aside: BTreeMap::new() }
    }

    /// A copy of every segment as it is now.
    #[must_use]
    pub fn image(&self) -> BTreeMap<u32, Vec<u8>> {
        self.segments.iter().map(|(no, cells)| (*no, cells.copy())).collect()
    }

    /// The segments that were set aside.
    #[must_use]
    pub fn aside(&self) -> &BTreeMap<u32, Vec<u8>> {
        &self.aside
    }

    /// How many segments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn segment(&self, no: u32) -> Result<&Shared, DiskError> {
        self.segments.get(&no).ok_or_else(|| error(no, 0, "no such segment"))
    }
}

impl Storage for Memory {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let files = self.segments.iter();
        Ok(files.map(|(no, cells)| SegmentFile { no: *no, len: cells.len as u64 }).collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let segment = self.segment(no)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        if from.saturating_add(buf.len()) > segment.len {
            return Err(error(no, at, "the segment ends before that"));
        }
        segment.read(from, buf);
        Ok(())
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        let shared = Shared::holding(header, len as usize);
        self.segments.insert(no, shared.clone());
        Ok(Box::new(MemorySlate(shared)))
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        Ok(Box::new(MemorySlate(self.segment(no)?.clone())))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.segment(no).map(drop)
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.segments.remove(&no).map(drop).ok_or_else(|| error(no, 0, "no such segment"))
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        let bytes = self.segment(no)?.copy();
        self.aside.insert(no, bytes);
        Ok(format!("{no} (in memory)"))
    }
}

fn error(no: u32, at: u64, text: &str) -> DiskError {
    DiskError { full: false, segment: no, offset: at, text: text.to_owned() }
}
