//! Floor 5. Long files that wait for those who hear of them: each under a number, in one folder.
//!
//! ```text
//! FILES/.spindle-spool/0123456789abcdef        a file, by its number
//! FILES/.spindle-spool/0123456789abcdef.part   one that is not whole
//! ```
//!
//! The folder is the broker's alone, and no name of a peer's leads there. A file goes when all who
//! were to have it have acknowledged it, when it has waited for too long, or when another needs its
//! room: then the oldest first. What an earlier broker left goes on waiting, since messages that
//! were kept may still name it; how many it was for is not known any more, so it goes by its age. A
//! number is never used again. Whoever reads a file has it open, so that it may go meanwhile; and
//! reads in a thread of its own, so that nobody waits for what is being written. Absent on purpose:
//! who is to have what.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::files::{MODE, Part};
use crate::base::id::ConnId;
use crate::base::time::{Deadline, Now};
use crate::os::sys;
use crate::proto::aio::errand::{Desk, Errand, Ran};

/// What the folder is called.
pub(super) const FOLDER: &str = ".spindle-spool";
/// It is nobody else's.
const FOLDER_MODE: u32 = 0o700;
/// What is not whole is called so.
const PART: &str = ".part";

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of all of them.
    pub bytes: u64,
    /// How long each of them may.
    pub ms: u64,
}

/// When a file came, in milliseconds since 1970, and its number.
type Age = (u64, u64);

#[derive(Debug)]
struct Waits {
    folder: Arc<OwnedFd>,
    size: u64,
    /// Who has not acknowledged it; none: that is not known.
    readers: Option<u32>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Spool {
    room: Room,
    /// The oldest first.
    files: BTreeMap<Age, Waits>,
    ages: BTreeMap<u64, u64>,
    bytes: u64,
    folders: BTreeMap<String, Arc<OwnedFd>>,
}

/// A file that comes in, under its number.
#[derive(Debug)]
pub(super) struct Berth {
    pub(super) number: u64,
    folder: Arc<OwnedFd>,
}

impl Spool {
    pub(super) fn new(room: Room) -> Self {
        let (files, ages) = (BTreeMap::new(), BTreeMap::new());
        Self { room, files, ages, bytes: 0, folders: BTreeMap::new() }
    }

    /// A broker starts: what was left to it here is counted, and goes by its age.
    pub(super) fn open(&mut self, at: &str, now: Now) {
        if let Err(e) = self.folder(at, now, false) {
            log::error!("{at}/{FOLDER}: {e}");
        }
    }

    /// Room for a file of this size, where so many bytes come already.
    pub(super) fn begin(
        &mut self,
        at: &str,
        (size, coming): (u64, u64),
        now: Now,
    ) -> Result<(Berth, File, Part), String> {
        let wanted = coming.saturating_add(size);
        if wanted > self.room.bytes {
            return Err("there is no room for it".into());
        }
        while self.bytes.saturating_add(wanted) > self.room.bytes && self.drop_oldest("room") {}
        let made = self.folder(at, now, true).and_then(|folder| {
            let folder = folder.ok_or(io::ErrorKind::NotFound)?;
            let mut number = [0; 8];
            getrandom::fill(&mut number).map_err(|e| io::Error::other(e.to_string()))?;
            let number = u64::from_be_bytes(number);
            let name = name_of(number) + PART;
            let new = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
            let file = sys::open_below(folder.as_fd(), &name, new, MODE)?;
            let part = Part { folder: Arc::clone(&folder), name };
            Ok((Berth { number, folder }, File::from(file), part))
        });
        made.map_err(|e| {
            // It may be there again the next time.
            self.folders.remove(at);
            e.to_string()
        })
    }

    /// It is whole: it has its number from now on.
    pub(super) fn end(
        &mut self,
        berth: &Berth,
        part: &Part,
        (size, synced): (u64, bool),
        now: Now,
    ) -> io::Result<()> {
        let folder = &berth.folder;
        let name = name_of(berth.number);
        sys::link_below((part.folder.as_fd(), &part.name), (folder.as_fd(), &name))?;
        if synced {
            File::from(folder.try_clone()?).sync_all()?;
        }
        self.keep((now.wall, berth.number), Waits { folder: folder.clone(), size, readers: None });
        Ok(())
    }

    /// So many are to have it.
    pub(super) fn told(&mut self, number: u64, readers: u32) {
        let Some(age) = self.ages.get(&number) else { return };
        if let Some(waits) = self.files.get_mut(&(*age, number)) {
            waits.readers = Some(readers);
        }
        self.drop_if_had(number);
    }

    /// One of them has it.
    pub(super) fn had(&mut self, number: u64) {
        let Some(age) = self.ages.get(&number) else { return };
        if let Some(waits) = self.files.get_mut(&(*age, number)) {
            waits.readers = waits.readers.map(|readers| readers.saturating_sub(1));
        }
        self.drop_if_had(number);
    }

    fn drop_if_had(&mut self, number: u64) {
        let Some(age) = self.ages.get(&number).copied() else { return };
        if self.files.get(&(age, number)).is_some_and(|waits| waits.readers == Some(0)) {
            self.drop_one((age, number));
        }
    }

    /// What has waited for too long goes; when to look again.
    pub(super) fn on_time(&mut self, now: Now) -> Deadline {
        loop {
            let Some((came, _)) = self.files.keys().next() else { return Deadline::NEVER };
            let until = came.saturating_add(self.room.ms);
            if until > now.wall {
                return now.after_ms(until - now.wall);
            }
            self.drop_oldest("age");
        }
    }

    fn keep(&mut self, age: Age, waits: Waits) {
        self.bytes = self.bytes.saturating_add(waits.size);
        self.ages.insert(age.1, age.0);
        self.files.insert(age, waits);
    }

    fn drop_oldest(&mut self, why: &str) -> bool {
        let Some(age) = self.files.keys().next().copied() else { return false };
        let size = self.drop_one(age);
        log::warn!(number:% = name_of(age.1), size; "a file that waited is dropped: {why}");
        true
    }

    fn drop_one(&mut self, age: Age) -> u64 {
        self.ages.remove(&age.1);
        let Some(waits) = self.files.remove(&age) else { return 0 };
        self.bytes -= waits.size.min(self.bytes);
        // Who reads it has it open; and it may be gone already.
        let _ = sys::remove_below(waits.folder.as_fd(), &name_of(age.1));
        waits.size
    }

    /// The folder, with what an earlier broker left in it counted; none if it is not there, and not
    /// to be made.
    fn folder(&mut self, at: &str, now: Now, make: bool) -> io::Result<Option<Arc<OwnedFd>>> {
        if let Some(known) = self.folders.get(at) {
            return Ok(Some(Arc::clone(known)));
        }
        let root = File::open(at)?;
        if make {
            match sys::make_below(root.as_fd(), FOLDER, FOLDER_MODE) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        let folder = match sys::open_below(root.as_fd(), FOLDER, libc::O_DIRECTORY, 0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            other => Arc::new(other?),
        };
        self.count(Path::new(at), &folder, now);
        self.folders.insert(at.to_owned(), Arc::clone(&folder));
        while self.bytes > self.room.bytes && self.drop_oldest("room") {}
        Ok(Some(folder))
    }

    fn count(&mut self, at: &Path, folder: &Arc<OwnedFd>, now: Now) {
        for entry in fs::read_dir(at.join(FOLDER)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.strip_suffix(PART).and_then(number_of).is_some() {
                let _ = sys::remove_below(folder.as_fd(), name);
                continue;
            }
            let about = entry.metadata().ok().filter(fs::Metadata::is_file);
            let (Some(number), Some(about)) = (number_of(name), about) else { continue };
            let seconds = u64::try_from(about.mtime()).unwrap_or(0);
            let came =
                seconds.saturating_mul(1_000).saturating_add(about.mtime_nsec() as u64 / 1_000_000);
            if !self.ages.contains_key(&number) {
                let (folder, size) = (Arc::clone(folder), about.len());
                let waits = Waits { folder, size, readers: None };
                self.keep((came.min(now.wall), number), waits);
            }
        }
    }
}

fn name_of(number: u64) -> String {
    format!("{number:016x}")
}

fn number_of(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name, 16).ok()?;
    (name_of(number) == name).then_some(number)
}

/// Reads what waits: for each connection at most one file is open.
#[derive(Debug, Default)]
pub(super) struct Readers {
    open: BTreeMap<ConnId, (u64, File)>,
}

impl super::Runs for Readers {
    fn run(&mut self, desk: &Desk, (conn, errand): (ConnId, Errand), _: Now) -> Ran {
        let (Errand::Fetch { number, size, at, len }, Some(folder)) = (errand, &desk.files) else {
            self.open.remove(&conn);
            return Ran::Noted;
        };
        match self.fetch(conn, (folder, number), size, (at, len)) {
            Ok(piece) => Ran::Fetched(piece),
            Err(e) => {
                self.open.remove(&conn);
                log::warn!(number:% = name_of(number), at; "a file that waits is not read: {e}");
                if at > 0 {
                    // It would be cut short at the same place the next time.
                    let _ = spool_of(folder)
                        .and_then(|it| sys::remove_below(it.as_fd(), &name_of(number)));
                }
                Ran::Not("it cannot be read")
            }
        }
    }
}

impl Readers {
    fn fetch(
        &mut self,
        conn: ConnId,
        (folder, number): (&str, u64),
        size: u64,
        (at, len): (u64, usize),
    ) -> io::Result<Bytes> {
        if at == 0 {
            let spool = spool_of(folder)?;
            let file = sys::open_below(spool.as_fd(), &name_of(number), libc::O_RDONLY, 0)?;
            self.open.insert(conn, (number, File::from(file)));
        }
        let open = self.open.get(&conn).filter(|(own, _)| *own == number);
        let (_, file) = open.ok_or(io::ErrorKind::NotFound)?;
        let about = file.metadata()?;
        if !about.is_file() || about.len() != size {
            return Err(io::Error::other("it is not as long as it was"));
        }
        let mut piece = vec![0; len];
        file.read_exact_at(&mut piece, at)?;
        if at.saturating_add(len as u64) >= size {
            self.open.remove(&conn);
        }
        Ok(piece.into())
    }
}

fn spool_of(folder: &str) -> io::Result<OwnedFd> {
    let root = File::open(folder)?;
    sys::open_below(root.as_fd(), FOLDER, libc::O_DIRECTORY, 0)
}
