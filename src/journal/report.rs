//! Floor 1. What a start says: what was found, what was cut or salvaged, or why it is refused.
//!
//! Plain data for whoever talks to people. Every refusal names segment, offset and record.

use super::storage::DiskError;
use std::fmt;

/// Why a journal is not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Something that was acknowledged is damaged.
    Damaged,
    /// A segment is missing or shorter than it was made.
    Missing,
    /// It was written in another format: by newer software, or before the first release.
    Newer,
    /// The disk does not give its bytes back, or does not take any.
    Unreadable,
}

/// A journal that is not opened: where, and what proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The kind of trouble.
    pub why: Why,
    /// The segment.
    pub segment: u32,
    /// Where in it.
    pub offset: u64,
    /// The record that should be there; 0 when it is not known.
    pub seq: u64,
    /// What is wrong, and what proves that it matters.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, offset, seq, text, .. } = self;
        write!(f, "journal segment {segment} at {offset}, record {seq}: {text}")
    }
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        let DiskError { segment, offset, text, .. } = error;
        Self { why: Why::Unreadable, segment, offset, seq: 0, text }
    }
}

/// What was found at the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Segments in use.
    pub segments: usize,
    /// Records read.
    pub records: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// The torn tail that was cut, if there was one.
    pub cut: Option<Cut>,
    /// What salvage did, if it had to.
    pub salvaged: Option<Salvaged>,
}

/// A torn tail: bytes that were never acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Where it began.
    pub segment: u32,
    /// Where in it.
    pub offset: u32,
    /// Records that could still be told apart in it.
    pub records: u64,
    /// Bytes up to the last that was not zero.
    pub bytes: u64,
}

/// What salvage did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvaged {
    /// Names of the copies of damaged segments.
    pub copies: Vec<String>,
    /// Records kept.
    pub kept: u64,
    /// First and last sequence number of each stretch that is lost.
    pub lost: Vec<(u64, u64)>,
    /// Records before this one are lost, nobody knows how many: where the journal began is gone.
    pub lost_before: Option<u64>,
    /// Records after this one are lost, nobody knows how many: where the journal ended is gone.
    pub lost_after: Option<u64>,
}

impl Salvaged {
    /// How many records are lost, at least: an end that is gone counts as one.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        let ends = [self.lost_before, self.lost_after].iter().flatten().count() as u64;
        let lost = self.lost.iter().map(|(first, last)| (last - first).saturating_add(1));
        lost.fold(ends, u64::saturating_add)
    }
}
