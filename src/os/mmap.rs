//! Floor 5. Segments as files: written through a map, read by `pread`, synced by descriptor.
//!
//! The map holds only what is being written, and only below the length the file was made with, so
//! a bad block or a full disk is an error code and never a signal. Every segment has one
//! descriptor for as long as it exists, because the system reports a failed write-back once per
//! descriptor. A new segment is zeroes that have reached the disk, written in small pages: large
//! ones would make every later sync write megabytes. The only file with `unsafe` code about
//! memory. Absent on purpose: what the bytes mean, and retrying anything.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::base::map::{Map, Seed};
use crate::journal::storage::{DiskError, SegmentFile, Slate, Storage};

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub struct Directory {
    journal: PathBuf,
    quarantine: PathBuf,
    /// Open as long as segments may come and go: what is synced when they do.
    entries: File,
    files: Map<u32, File>,
    /// A segment's pages are there before the first of them is written to.
    prefault: bool,
    /// Locked until it is closed.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// Another process has it.
    Taken {
        /// The lock file.
        lock: PathBuf,
        /// What that process wrote there: its number.
        pid: String,
    },
    /// The system refuses.
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken { lock, pid } => {
                write!(f, "{} is locked: process {pid} uses this data directory", lock.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Unusable {}

impl Directory {
    /// Make the directory if it is not there, and take it for this process.
    pub fn open(dir: &Path) -> Result<Self, Unusable> {
        let at = |path: &Path, error| Unusable::Io { path: path.to_owned(), error };
        let journal = dir.join("journal");
        let mut make = DirBuilder::new();
        make.recursive(true).mode(0o700).create(&journal).map_err(|e| at(&journal, e))?;
        let lock = take(&dir.join("LOCK"))?;
        for path in [dir, journal.as_path()] {
            File::open(path).and_then(|d| d.sync_all()).map_err(|e| at(path, e))?;
        }
        Ok(Self {
            entries: File::open(&journal).map_err(|e| at(&journal, e))?,
            quarantine: dir.join("quarantine"),
            journal,
            files: Map::with_hasher(Seed::with_seed(0)),
            prefault: false,
            _lock: lock,
        })
    }

    /// Have the pages of a segment mapped before the first of them is written to.
    #[must_use]
    pub fn prefault(mut self, yes: bool) -> Self {
        self.prefault = yes;
        self
    }

    /// Where a segment is, in the data directory `dir`.
    #[must_use]
    pub fn segment_path(dir: &Path, no: u32) -> PathBuf {
        dir.join("journal").join(name(no))
    }

    fn path(&self, no: u32) -> PathBuf {
        self.journal.join(name(no))
    }

    fn file(&mut self, no: u32) -> Result<&File, DiskError> {
        let path = self.path(no);
        match self.files.entry(no) {
            std::collections::hash_map::Entry::Occupied(e) => Ok(e.into_mut()),
            std::collections::hash_map::Entry::Vacant(e) => {
                let file = options().open(path).map_err(|e| error(no, 0, &e))?;
                Ok(e.insert(file))
            }
        }
    }

    /// Make the coming and going of files durable.
    fn sync_entries(&self, no: u32) -> Result<(), DiskError> {
        self.entries.sync_all().map_err(|e| error(no, 0, &e))
    }

    fn make(&self, no: u32, len: u32, header: &[u8]) -> io::Result<(File, MapSlate)> {
        let file = options().create(true).truncate(true).mode(0o600).open(self.path(no))?;
        zero(&file, u64::from(len))?;
        file.write_all_at(header, 0)?;
        file.sync_data()?;
        self.entries.sync_all()?;
        // Its pages stay cached, small as they were written: the first touch of a page that is not
        // would read it from the disk, on the loop.
        let slate = MapSlate::new(&file, len as usize, self.prefault)?;
        Ok((file, slate))
    }
}

impl Storage for Directory {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.journal).map_err(|e| error(0, 0, &e))? {
            let entry = entry.map_err(|e| error(0, 0, &e))?;
            let Some(no) = number(&entry.file_name().to_string_lossy()) else { continue };
            let len = entry.metadata().map_err(|e| error(no, 0, &e))?.len();
            found.push(SegmentFile { no, len });
        }
        found.sort_by_key(|segment| segment.no);
        Ok(found)
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.file(no)?.read_exact_at(buf, at).map_err(|e| error(no, at, &e))
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.files.remove(&no);
        match self.make(no, len, header) {
            Ok((file, slate)) => {
                self.files.insert(no, file);
                Ok(Box::new(slate))
            }
            Err(e) => {
                // Half of it would only keep the space that is lacking.
                let _ = fs::remove_file(self.path(no));
                Err(error(no, 0, &e))
            }
        }
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        let prefault = self.prefault;
        let file = self.file(no)?;
        let len = file.metadata().map_err(|e| error(no, 0, &e))?.len();
        let slate = usize::try_from(len)
            .map_err(io::Error::other)
            .and_then(|len| MapSlate::new(file, len, prefault))
            .map_err(|e| error(no, 0, &e))?;
        Ok(Box::new(slate))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.file(no)?.sync_data().map_err(|e| error(no, 0, &e))
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.files.remove(&no);
        fs::remove_file(self.path(no)).map_err(|e| error(no, 0, &e))?;
        self.sync_entries(no)
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        let copy = || -> io::Result<PathBuf> {
            let mut make = DirBuilder::new();
            make.recursive(true).mode(0o700).create(&self.quarantine)?;
            let (mut to, path) = fresh(&self.quarantine, no)?;
            io::copy(&mut File::open(self.path(no))?, &mut to)?;
            to.sync_all()?;
            File::open(&self.quarantine)?.sync_all()?;
            Ok(path)
        };
        copy().map(|path| path.display().to_string()).map_err(|e| error(no, 0, &e))
    }
}

/// The mapped segment.
#[derive(Debug)]
struct MapSlate {
    map: MmapRaw,
}

impl MapSlate {
    /// Map the first `len` bytes of a file that has them.
    fn new(file: &File, len: usize, prefault: bool) -> io::Result<Self> {
        if file.metadata()?.len() < len as u64 {
            return Err(io::Error::other("the file is shorter than what is to be mapped"));
        }
        let map = MmapOptions::new().len(len).map_raw(file)?;
        // Advice: one that is not taken costs speed or a larger core file, nothing else.
        for advice in [Advice::Random, Advice::DontFork, Advice::DontDump] {
            let _ = map.advise(advice);
        }
        // For reading: a page that is mapped to be written to would be written out although
        // nothing stands in it, and a sync would wait for that.
        #[cfg(target_os = "linux")]
        if prefault && let Err(e) = map.advise(Advice::PopulateRead) {
            log::warn!("prefault_mb: the pages of a segment cannot be mapped ahead: {e}");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = prefault;
        Ok(Self { map })
    }
}

impl Slate for MapSlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        // A write outside would be acknowledged and lost; this must not be survived.
        assert!(at + bytes.len() <= self.map.len(), "a write beyond the end of a segment");
        // SAFETY: the destination lies within the mapping (checked above), which lives as long as
        // `self`; nothing else in this process holds a reference into it, only raw pointers are
        // used, and the source is a live slice that cannot overlap a private mapping of ours.
        #[expect(unsafe_code, reason = "a copy into a mapping has no safe name")]
        unsafe {
            let to = self.map.as_mut_ptr().add(at);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

/// Lock the file, and say who we are in it.
fn take(path: &Path) -> Result<File, Unusable> {
    let at = |error| Unusable::Io { path: path.to_owned(), error };
    let mut file = options().create(true).mode(0o600).open(path).map_err(at)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(at(error)),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "of unknown number".into() } else { pid };
            let pid = pid.trim().to_owned();
            return Err(Unusable::Taken { lock: path.to_owned(), pid });
        }
    }
    file.set_len(0).map_err(at)?;
    writeln!(file, "{}", std::process::id()).map_err(at)?;
    Ok(file)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Fill the beginning of a file with zeroes, a page at a time.
fn zero(file: &File, len: u64) -> io::Result<()> {
    let page = [0; PAGE];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(PAGE as u64) as usize;
        file.write_all_at(page.get(..n).unwrap_or(&page), at)?;
        at += n as u64;
    }
    Ok(())
}

/// A name for a copy that is not used yet.
fn fresh(dir: &Path, no: u32) -> io::Result<(File, PathBuf)> {
    let mut round = 0;
    loop {
        let path = dir.join(format!("{no:08x}.{round}.seg"));
        let mut options = options();
        match options.create_new(true).mode(0o600).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => round += 1,
            other => return other.map(|file| (file, path)),
        }
    }
}

fn name(no: u32) -> String {
    format!("{no:08x}.seg")
}

/// The number in a segment's name; other files are nobody's business.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 8)?;
    let plain = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn error(segment: u32, offset: u64, e: &io::Error) -> DiskError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let full = matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge);
    DiskError { full, segment, offset, text: e.to_string() }
}

/// The size of the writes that make a segment.
const PAGE: usize = 4_096;
