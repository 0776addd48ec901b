//! Floor 1. The journal's door to the world: segments that can be mapped, read, synced, removed.
//!
//! Two traits, because two parties use them. The loop holds one `Slate` (the mapped active
//! segment) and copies records into it, which cannot fail and cannot block. Everything that may
//! do either is a `Storage` call, made only by whoever performs disk jobs, and by recovery.
//! Absent on purpose: file names, locks and what a failed sync means; the journal decides that.

use std::fmt;

/// What went wrong on the way to the disk, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskError {
    /// There is no space left; the only error that may pass by itself.
    pub full: bool,
    /// The segment that was being written or read; 0 when none was.
    pub segment: u32,
    /// Where in it; 0 when the whole of it is meant.
    pub offset: u64,
    /// What the system said.
    pub text: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} at {}: {}", self.segment, self.offset, self.text)
    }
}

/// A segment as the directory shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFile {
    /// Its number, from its name.
    pub no: u32,
    /// Its length in bytes.
    pub len: u64,
}

/// A segment that can be written without asking: a copy into memory that the disk backs.
pub trait Slate: Send {
    /// Copy `bytes` to `at`. Both lie within the length the segment was created with.
    fn write(&mut self, at: u32, bytes: &[u8]);

    /// Everything that was written is where it belongs. Once it is not, it never will be.
    fn is_whole(&self) -> bool {
        true
    }
}

impl fmt::Debug for dyn Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slate")
    }
}

/// Everything about segments that may block or fail.
pub trait Storage: Send {
    /// All segments there are, by number.
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError>;

    /// Fill `buf` from `at`; an error when the segment ends before it is full. Sees what slates
    /// wrote. Never through a mapping: a bad block is an error here and a signal there.
    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError>;

    /// Make segment `no`: `len` zeroes, written out in small pages, under `header`; synced, and
    /// its directory too. Replaces an unfinished one of that number.
    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError>;

    /// Write to a segment that exists.
    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError>;

    /// Return when everything its slates wrote is on the disk. Uses one long-lived descriptor per
    /// segment, because the system reports an error of writing back once per descriptor.
    fn sync(&mut self, no: u32) -> Result<(), DiskError>;

    /// Remove it, and sync the directory.
    fn remove(&mut self, no: u32) -> Result<(), DiskError>;

    /// Copy it to where recovery never looks; the name of the copy.
    fn set_aside(&mut self, no: u32) -> Result<String, DiskError>;
}
