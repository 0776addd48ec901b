//! Floor 1. What the journal asks of whoever may touch the disk, and the answers.
//!
//! A job is a value that can cross a thread and be answered once; `perform` does it on the calling
//! thread, so the disk thread and a simulator run the same code. Absent on purpose: queues,
//! threads and retries. The journal says what may be outstanding together.

use super::record::{MessageRecord, Owed, Record};
use super::storage::{DiskError, Slate};
use crate::base::id::{Lsn, OwnerNo};
use smallvec::SmallVec;

/// Something that may block.
#[derive(Debug)]
pub enum DiskJob {
    /// Make a segment ready to be written.
    Create {
        /// Its number.
        no: u32,
        /// Its first page.
        header: Vec<u8>,
        /// Its length.
        len: u32,
    },
    /// Bring what was written to the disk, oldest segment first.
    Sync {
        /// The segments written since the last one.
        segments: SmallVec<[u32; 2]>,
        /// What is then on the disk.
        upto: Lsn,
        /// The last sequence number that is then on the disk.
        seq: u64,
    },
    /// Read what is to be written over soon, for nothing but that its pages are in memory then.
    Ahead {
        /// The segment.
        no: u32,
        /// From here.
        offset: u32,
        /// So many bytes.
        len: u32,
    },
    /// Read what an owner is owed.
    Fetch(Fetch),
    /// Read single records.
    Pick(Pick),
    /// Read all records of a segment, a stretch at a time.
    Scan(Scan),
    /// Remove a segment.
    Remove {
        /// Its number.
        no: u32,
    },
}

/// A job done, or failed.
#[derive(Debug)]
pub enum DiskDone {
    /// Of `Create`.
    Created {
        /// Its number.
        no: u32,
        /// The way to write it.
        slate: Result<Box<dyn Slate>, DiskError>,
    },
    /// Of `Sync`.
    Synced {
        /// As asked.
        upto: Lsn,
        /// As asked.
        seq: u64,
        /// Whether it is true.
        result: Result<(), DiskError>,
    },
    /// Of `Ahead`.
    Ahead {
        /// Whether it could be read.
        result: Result<(), DiskError>,
    },
    /// Of `Fetch`.
    Fetched(Fetched),
    /// Of `Pick`.
    Picked(Picked),
    /// Of `Scan`.
    Scanned(Scanned),
    /// Of `Remove`.
    Removed {
        /// Its number.
        no: u32,
        /// Whether it is gone for good.
        result: Result<(), DiskError>,
    },
}

/// Read messages owed to one owner, in order, from one segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Whose.
    pub owner: OwnerNo,
    /// Returned with the answer.
    pub token: u64,
    /// Where.
    pub segment: u32,
    /// From here: the start of a record.
    pub offset: u32,
    /// The known end of what is written in that segment (`Journal::end_in`).
    pub end: u32,
    /// The first ordinal wanted.
    pub lo: u64,
    /// The last ordinal wanted.
    pub hi: u64,
    /// Bytes to hold in memory, unless a single record is longer.
    pub bytes_max: usize,
}

/// What a `Fetch` found.
#[derive(Debug)]
pub struct Fetched {
    /// Whose.
    pub owner: OwnerNo,
    /// As asked.
    pub token: u64,
    /// The messages, in the order of the log; they share few buffers.
    pub items: Vec<FetchedItem>,
    /// Where to go on; at `end` there is nothing more.
    pub next_offset: u32,
    /// An error at `next_offset`; the items before it are good.
    pub result: Result<(), DiskError>,
}

/// One owed message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedItem {
    /// Which of the owner's deliveries it is.
    pub ord: u64,
    /// Where it stands.
    pub lsn: Lsn,
    /// The debt.
    pub owed: Owed,
    /// The message; its own list of debts is left empty.
    pub message: MessageRecord,
}

/// Read messages by their positions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pick {
    /// Returned with the answer.
    pub token: u64,
    /// Start and length of each, as `Spot` gave them.
    pub at: Vec<(Lsn, u32)>,
}

/// What a `Pick` found.
#[derive(Debug)]
pub struct Picked {
    /// As asked.
    pub token: u64,
    /// One answer for each position, in order.
    pub items: Vec<Result<MessageRecord, DiskError>>,
}

/// Read everything, for carrying survivors forward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Which segment.
    pub segment: u32,
    /// From here: the start of a record.
    pub offset: u32,
    /// Bytes to hold in memory, unless a single record is longer.
    pub bytes_max: usize,
}

/// What a `Scan` found.
#[derive(Debug)]
pub struct Scanned {
    /// Which segment.
    pub segment: u32,
    /// Records with their positions, in order.
    pub records: Vec<(Lsn, Record)>,
    /// Where to go on, unless the segment is at its end.
    pub next_offset: Option<u32>,
    /// An error; the records before it are good.
    pub result: Result<(), DiskError>,
}
