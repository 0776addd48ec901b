//! Floor 1. Segments in memory: durability that ends with the process, and a disk for tests.
//!
//! Slates and storage share the same bytes, as a mapping and a file do. Every handle sees all
//! segments, so a copy taken with `image` is what a crash would leave if nothing were torn.
//! Absent on purpose: faults. Whoever wants a sick disk wraps this one.

use super::storage::{DiskError, SegmentFile, Slate, Storage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Shared = Arc<Mutex<Vec<u8>>>;

/// Segments that live in memory; clones are doors to the same ones.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    segments: Arc<Mutex<BTreeMap<u32, Shared>>>,
    aside: Arc<Mutex<BTreeMap<u32, Vec<u8>>>>,
}

#[derive(Debug)]
struct MemorySlate(Shared);

impl Slate for MemorySlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        let mut all = lock(&self.0);
        let at = at as usize;
        if let Some(room) = all.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
}

impl Memory {
    /// A disk that holds these segments.
    #[must_use]
    pub fn holding(segments: BTreeMap<u32, Vec<u8>>) -> Self {
        let shared = segments.into_iter().map(|(no, all)| (no, Arc::new(Mutex::new(all))));
        Self { segments: Arc::new(Mutex::new(shared.collect())), aside: Arc::default() }
    }

    /// A copy of every segment as it is now.
    #[must_use]
    pub fn image(&self) -> BTreeMap<u32, Vec<u8>> {
        lock(&self.segments).iter().map(|(no, all)| (*no, lock(all).clone())).collect()
    }

    /// The segments that were set aside.
    #[must_use]
    pub fn aside(&self) -> BTreeMap<u32, Vec<u8>> {
        lock(&self.aside).clone()
    }

    fn segment(&self, no: u32) -> Result<Shared, DiskError> {
        lock(&self.segments).get(&no).cloned().ok_or_else(|| error(no, 0, "no such segment"))
    }
}

impl Storage for Memory {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let all = lock(&self.segments);
        Ok(all.iter().map(|(no, s)| SegmentFile { no: *no, len: lock(s).len() as u64 }).collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let segment = self.segment(no)?;
        let all = lock(&segment);
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let piece = all.get(from..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(piece.ok_or_else(|| error(no, at, "the segment ends before that"))?);
        Ok(())
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        let mut all = vec![0; (len as usize).max(header.len())];
        all[..header.len()].copy_from_slice(header);
        let shared = Arc::new(Mutex::new(all));
        lock(&self.segments).insert(no, Arc::clone(&shared));
        Ok(Box::new(MemorySlate(shared)))
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        Ok(Box::new(MemorySlate(self.segment(no)?)))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.segment(no).map(drop)
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.segment(no)?;
        lock(&self.segments).remove(&no);
        Ok(())
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        let copy = lock(&*self.segment(no)?).clone();
        lock(&self.aside).insert(no, copy);
        Ok(format!("{no} (in memory)"))
    }
}

fn error(no: u32, at: u64, text: &str) -> DiskError {
    DiskError { full: false, segment: no, offset: at, text: text.to_owned() }
}

/// A panic elsewhere leaves bytes as they are; there is no state to mistrust.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
