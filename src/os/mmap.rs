//! Floor 5. Segments as files: written through a map, read by `pread`, synced by descriptor.
//!
//! The map holds only what is being written, and only below the length the file was made with, so a
//! bad block or a full disk is an error code and never a signal. What somebody else does to a
//! mapped file (cuts it short, takes its pages away) is a signal to the thread that writes: it is
//! caught, the write goes nowhere, and the next sync says so. Every segment has one descriptor for
//! as long as it exists, because the system reports a failed write-back once per descriptor. A new
//! segment is zeroes that have reached the disk, written in small pages: large ones would make
//! every later sync write megabytes. The only file with `unsafe` code about memory. Absent on
//! purpose: what the bytes mean, and retrying anything.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

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
    files: Map<u32, Segment>,
    /// A segment's pages are there before the first of them is written to.
    prefault: bool,
    /// Locked until it is closed.
    _lock: File,
}

/// A segment as it is used: its descriptor, and what must stay true of it while it is mapped.
#[derive(Debug)]
struct Segment {
    file: File,
    /// How long it is at least.
    len: u64,
    /// A write into the map went nowhere.
    torn: Arc<AtomicBool>,
}

impl Segment {
    fn new(file: File) -> Self {
        Self { file, len: 0, torn: Arc::default() }
    }

    /// What was written through the map was in the file just now.
    fn check(&self) -> io::Result<()> {
        if self.file.metadata()?.len() < self.len {
            return Err(io::Error::other("somebody has cut the segment short"));
        }
        match self.torn.load(Ordering::Acquire) {
            true => Err(io::Error::other("a page of the segment could not be written")),
            false => Ok(()),
        }
    }
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

    fn segment(&mut self, no: u32) -> Result<&mut Segment, DiskError> {
        let path = self.path(no);
        match self.files.entry(no) {
            std::collections::hash_map::Entry::Occupied(e) => Ok(e.into_mut()),
            std::collections::hash_map::Entry::Vacant(e) => {
                let file = options().open(path).map_err(|e| error(no, 0, &e))?;
                Ok(e.insert(Segment::new(file)))
            }
        }
    }

    /// Make the coming and going of files durable.
    fn sync_entries(&self, no: u32) -> Result<(), DiskError> {
        self.entries.sync_all().map_err(|e| error(no, 0, &e))
    }

    fn make(&self, no: u32, len: u32, header: &[u8]) -> io::Result<(Segment, MapSlate)> {
        let file = options().create(true).truncate(true).mode(0o600).open(self.path(no))?;
        zero(&file, u64::from(len))?;
        file.write_all_at(header, 0)?;
        file.sync_data()?;
        self.entries.sync_all()?;
        // Its pages stay cached, small as they were written: the first touch of a page that is not
        // would read it from the disk, on the loop.
        let mut segment = Segment::new(file);
        let slate = MapSlate::new(&mut segment, len as usize, self.prefault)?;
        Ok((segment, slate))
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
        self.segment(no)?.file.read_exact_at(buf, at).map_err(|e| error(no, at, &e))
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.files.remove(&no);
        match self.make(no, len, header) {
            Ok((segment, slate)) => {
                self.files.insert(no, segment);
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
        let segment = self.segment(no)?;
        let len = segment.file.metadata().map_err(|e| error(no, 0, &e))?.len();
        let slate = usize::try_from(len)
            .map_err(io::Error::other)
            .and_then(|len| MapSlate::new(segment, len, prefault))
            .map_err(|e| error(no, 0, &e))?;
        Ok(Box::new(slate))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        let segment = self.segment(no)?;
        // Looked at afterwards: what was cut off before is not on the disk.
        let synced = segment.file.sync_data().and_then(|()| segment.check());
        synced.map_err(|e| error(no, 0, &e))
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
    torn: Arc<AtomicBool>,
    /// Where the signal finds `torn`; none when there are more maps than that.
    place: Option<&'static Place>,
}

impl MapSlate {
    /// Map the first `len` bytes of a file that has them.
    fn new(segment: &mut Segment, len: usize, prefault: bool) -> io::Result<Self> {
        if segment.file.metadata()?.len() < len as u64 {
            return Err(io::Error::other("the file is shorter than what is to be mapped"));
        }
        segment.len = segment.len.max(len as u64);
        let map = MmapOptions::new().len(len).map_raw(&segment.file)?;
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
        let torn = Arc::clone(&segment.torn);
        let place = Place::take(map.as_ptr() as usize, len, &torn);
        Ok(Self { map, torn, place })
    }
}

impl Drop for MapSlate {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.give_back();
        }
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

    fn is_whole(&self) -> bool {
        !self.torn.load(Ordering::Relaxed)
    }
}

/// A stretch of memory that is a file, where the handler of the signal finds it.
#[derive(Debug)]
struct Place {
    /// Where it begins; 0: free, 1: being filled in.
    start: AtomicUsize,
    len: AtomicUsize,
    /// Lives as long as the place is taken: its slate has it too.
    torn: AtomicPtr<AtomicBool>,
}

/// Of all maps of this process at once; a broker has four.
static PLACES: [Place; 64] = [const { Place::free() }; 64];
/// What was done about the signal before us.
static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();

impl Place {
    const fn free() -> Self {
        Self {
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            torn: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Have a signal about this stretch noted instead of the process ended.
    fn take(start: usize, len: usize, torn: &Arc<AtomicBool>) -> Option<&'static Self> {
        BEFORE.get_or_init(catch);
        let free = |place: &&Self| {
            let taken = place.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
            taken.is_ok()
        };
        let place = PLACES.iter().find(free)?;
        place.len.store(len, Ordering::Relaxed);
        place.torn.store(Arc::as_ptr(torn).cast_mut(), Ordering::Relaxed);
        place.start.store(start, Ordering::Release);
        Some(place)
    }

    fn give_back(&self) {
        self.start.store(0, Ordering::Release);
    }

    fn holds(&self, at: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        start > 1 && (start..start + self.len.load(Ordering::Relaxed)).contains(&at)
    }
}

/// Be told of accesses to pages that are not there any more; what was done about them before.
fn catch() -> Option<libc::sigaction> {
    // SAFETY: both pointers are to locals of the right type, all of whose bytes may be zero; the
    // handler takes what SA_SIGINFO says it is given, and does only what a handler may.
    #[expect(unsafe_code, reason = "std has no name for signals")]
    unsafe {
        let mut new: libc::sigaction = core::mem::zeroed();
        let mut old: libc::sigaction = core::mem::zeroed();
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_bus;
        new.sa_sigaction = handler as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut new.sa_mask);
        let done = libc::sigaction(libc::SIGBUS, &raw const new, &raw mut old);
        (done == 0).then_some(old)
    }
}

/// A page that should be there is not. Of a segment: put an empty one in its place, which no file
/// knows, and note it. Of anything else: it is nothing of ours, and whoever was asked before us is.
extern "C" fn on_bus(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system gives a valid `info`. A place that holds the address is a mapping of ours
    // that is being written to, so its slate lives, and with it what `torn` points to; replacing
    // one whole page of it leaves everything else alone. `BEFORE` is only read, and all calls may
    // be made in a handler.
    #[expect(unsafe_code, reason = "a signal handler has no safe name")]
    unsafe {
        let at = (*info).si_addr() as usize;
        if let Some(place) = PLACES.iter().find(|place| place.holds(at)) {
            let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(PAGE);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let start = (at & !(page - 1)) as *mut libc::c_void;
            if libc::mmap(start, page, access, kind, -1, 0) != libc::MAP_FAILED {
                (*place.torn.load(Ordering::Relaxed)).store(true, Ordering::Release);
                return;
            }
        }
        match BEFORE.get() {
            Some(Some(old)) => libc::sigaction(libc::SIGBUS, old, core::ptr::null_mut()),
            _ => libc::_exit(128 + libc::SIGBUS),
        };
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
