//! Floor 5. What is kept on the disk until it has arrived: messages in files, in their order.
//!
//! ```text
//! DIR/000000000000002a.log   messages from that number on: u32 length, u32 checksum, bytes, ..
//! DIR/floor                  u64 number, u32 checksum: everything before it has arrived
//! ```
//!
//! Counts are little endian. A message is deleted after it has arrived and not before, so a crash
//! repeats some and loses none (the original deletes first, specification 12 item 14). Files go
//! when all in them has arrived. What a crash has torn at the end of the newest file is cut off;
//! what is damaged elsewhere is told, and costs the rest of its file. A file that the disk did not
//! take in is not written any more: a disk that has failed once may say the next time that all is
//! well, and have dropped what it was given. Nothing is kept beyond a bound, and whoever is refused
//! is told so. Absent on purpose: what messages mean, and threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why something is not kept.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no room for it.
    Full,
    /// There never will be: it is longer than everything together may be.
    TooLong,
    /// The disk does not take it.
    Disk(io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("as much is kept as may be"),
            Self::TooLong => f.write_str("it is longer than all that may be kept"),
            Self::Disk(e) => write!(f, "the disk does not take it: {e}"),
        }
    }
}

/// How often a disk did not take in what it had taken. Whoever has seen it grow since something was
/// put in cannot say that this survives.
pub(super) type Failures = Arc<AtomicU64>;

/// Messages that are kept.
#[derive(Debug)]
pub(super) struct Chest {
    dir: PathBuf,
    bytes_max: u64,
    /// The files, the oldest first. There is always one.
    parts: VecDeque<Part>,
    newest: File,
    newest_len: u64,
    floor_file: File,
    /// The number of the next that comes, and of the next that is taken out for the first time.
    next_in: u64,
    next_out: u64,
    /// What was taken out and has not arrived, with its length, and what is to be taken out again.
    out: BTreeMap<u64, u64>,
    again: BTreeSet<u64>,
    reading: Option<Reading>,
    bytes: u64,
    pub(super) dirty: bool,
    /// Of the newest file is not known what the disk has of it.
    suspect: bool,
    /// Nor whether it knows that the file is there.
    fresh: bool,
    failures: Failures,
}

/// One file.
#[derive(Debug)]
struct Part {
    first: u64,
    /// How many good messages are in it.
    count: u64,
    path: PathBuf,
}

/// Where the last message was read.
#[derive(Debug)]
struct Reading {
    first: u64,
    next: u64,
    file: BufReader<File>,
}

impl Chest {
    /// What is kept in this folder, of which so many bytes at most.
    pub(super) fn open(dir: &Path, bytes_max: u64, failures: &Failures) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let floor_file = options.open(dir.join("floor"))?;
        let mut firsts = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".log"));
            firsts.extend(hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()));
        }
        firsts.sort_unstable();
        let mut floor = read_floor(&floor_file);
        let (mut parts, mut bytes, mut newest_len) = (VecDeque::new(), 0, 0);
        let mut next_in = floor;
        let last = firsts.last().copied();
        for first in firsts {
            let path = part_path(dir, first);
            let scan = scan(&path, first, floor)?;
            if scan.torn > 0 && Some(first) == last {
                OpenOptions::new().write(true).open(&path)?.set_len(scan.len)?;
            } else if scan.torn > 0 {
                log::error!("{}: the last {} bytes are damaged", path.display(), scan.torn);
            }
            (bytes, newest_len) = (bytes + scan.kept, scan.len);
            next_in = next_in.max(first + scan.count);
            parts.push_back(Part { first, count: scan.count, path });
        }
        let Some(part) = parts.back() else {
            let first = next_in;
            let path = part_path(dir, first);
            let newest = create(&path)?;
            parts.push_back(Part { first, count: 0, path });
            let files = (newest, 0, floor_file);
            return Ok(Self::with((dir, bytes_max, failures), parts, files, next_in, bytes));
        };
        let newest = OpenOptions::new().append(true).open(&part.path)?;
        floor = floor.max(parts.front().map_or(0, |part| part.first));
        let files = (newest, newest_len, floor_file);
        let mut chest = Self::with((dir, bytes_max, failures), parts, files, next_in, bytes);
        chest.next_out = floor;
        // What is put in next has the number that its place says.
        if chest.parts.back().is_none_or(|part| part.first + part.count != chest.next_in) {
            chest.begin_part()?;
        }
        Ok(chest)
    }

    fn with(
        (dir, bytes_max, failures): (&Path, u64, &Failures),
        parts: VecDeque<Part>,
        (newest, newest_len, floor_file): (File, u64, File),
        next_in: u64,
        bytes: u64,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            bytes_max,
            parts,
            newest,
            newest_len,
            floor_file,
            next_in,
            next_out: next_in,
            out: BTreeMap::new(),
            again: BTreeSet::new(),
            reading: None,
            bytes,
            dirty: false,
            suspect: false,
            fresh: true,
            failures: Arc::clone(failures),
        }
    }

    /// Keep this.
    pub(super) fn put(&mut self, message: &[u8]) -> Result<(), Refused> {
        let len = u32::try_from(message.len()).map_err(|_| Refused::TooLong)?;
        let whole = u64::from(len) + HEAD as u64;
        if whole > self.bytes_max {
            return Err(Refused::TooLong);
        }
        if whole > self.bytes_max.saturating_sub(self.bytes) {
            return Err(Refused::Full);
        }
        self.write(len, message).map_err(Refused::Disk)?;
        self.newest_len += whole;
        self.bytes += whole;
        self.next_in += 1;
        self.dirty = true;
        if let Some(part) = self.parts.back_mut() {
            part.count += 1;
        }
        Ok(())
    }

    fn write(&mut self, len: u32, message: &[u8]) -> io::Result<()> {
        if self.suspect || self.newest_len >= PART_MAX {
            self.begin_part()?;
        }
        let mut head = [0; HEAD];
        let (one, two) = head.split_at_mut(4);
        one.copy_from_slice(&len.to_le_bytes());
        two.copy_from_slice(&crc32c::crc32c(message).to_le_bytes());
        let written = self.newest.write_all(&head).and_then(|()| self.newest.write_all(message));
        if let Err(e) = written {
            // Half a message is none, and what follows must not stand behind it.
            if self.newest.set_len(self.newest_len).is_err() {
                // What stands before it has to be safe all the same, or is counted.
                let _ = self.sync();
                self.suspect = true;
            }
            return Err(e);
        }
        Ok(())
    }

    fn begin_part(&mut self) -> io::Result<()> {
        if !self.suspect {
            self.sync()?;
        }
        let (first, path) = (self.next_in, part_path(&self.dir, self.next_in));
        self.newest = create(&path)?;
        self.newest_len = 0;
        // A part without messages has the number of the next one, and is replaced by it.
        self.parts.retain(|part| part.first != first);
        self.parts.push_back(Part { first, count: 0, path });
        (self.suspect, self.fresh) = (false, true);
        Ok(())
    }

    /// What was put in survives from now on; or that is counted as a failure, once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        self.dirty = false;
        self.take_in().inspect_err(|_| {
            self.suspect = true;
            self.failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn take_in(&mut self) -> io::Result<()> {
        self.newest.sync_data()?;
        if self.fresh {
            // The folder knows the file, and the one above it knows the folder.
            File::open(&self.dir)?.sync_all()?;
            self.dir.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())?;
            self.fresh = false;
        }
        Ok(())
    }

    /// A disk that takes everything and takes nothing in (`/dev/null`), or takes nothing
    /// (`/dev/full`).
    #[cfg(test)]
    pub(super) fn fail(&mut self, like: &str) {
        self.newest = OpenOptions::new().append(true).open(like).expect("it is there");
        self.suspect = false;
    }

    /// There is something to be taken out.
    pub(super) fn has_next(&self) -> bool {
        !self.again.is_empty() || self.next_out < self.next_in
    }

    /// The next message and its number; what was taken out in vain comes first.
    pub(super) fn take(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let again = self.again.first().copied();
        let Some(number) = again.or_else(|| self.next_there()) else {
            self.next_out = self.next_in;
            return Ok(None);
        };
        let message = match self.read(number) {
            Err(e) if !is_damage(&e) => return Err(e),
            other => other,
        };
        if again.is_some() {
            self.again.remove(&number);
        } else {
            self.next_out = number + 1;
        }
        match message {
            Ok(message) => {
                self.out.insert(number, (message.len() + HEAD) as u64);
                Ok(Some((number, message)))
            }
            // It is not to be had, so nothing waits for it.
            Err(e) => {
                self.out.remove(&number);
                Err(e)
            }
        }
    }

    /// The number of the next that is there to be taken out: numbers of damaged ones are missing.
    fn next_there(&self) -> Option<u64> {
        let next = self.next_out;
        let holds = |part: &&Part| next < part.first + part.count;
        self.parts.iter().find(holds).map(|part| next.max(part.first))
    }

    fn read(&mut self, number: u64) -> io::Result<Vec<u8>> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let at = self.parts.partition_point(|part| part.first <= number);
        let part = at.checked_sub(1).and_then(|at| self.parts.get(at)).ok_or_else(gone)?;
        let mut reading = match self.reading.take() {
            Some(reading) if reading.first == part.first && reading.next <= number => reading,
            _ => {
                let file = BufReader::new(File::open(&part.path)?);
                Reading { first: part.first, next: part.first, file }
            }
        };
        loop {
            let (len, sum) = read_head(&mut reading.file)?;
            reading.next += 1;
            if reading.next <= number {
                reading.file.seek_relative(i64::from(len))?;
                continue;
            }
            // It was counted when it was put in, or found good at the start.
            let mut message = vec![0; len as usize];
            reading.file.read_exact(&mut message)?;
            if crc32c::crc32c(&message) != sum {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.reading = Some(reading);
            return Ok(message);
        }
    }

    /// This has arrived: it is not kept any longer.
    pub(super) fn settle(&mut self, number: u64) {
        let Some(len) = self.out.remove(&number) else { return };
        self.again.remove(&number);
        self.bytes = if self.is_empty() { 0 } else { self.bytes.saturating_sub(len) };
        let floor = self.floor();
        if let Err(e) = self.floor_file.write_at(&floor_bytes(floor), 0) {
            // It will be repeated if this process ends now.
            log::warn!("{}: {e}", self.dir.display());
        }
        self.drop_parts(floor);
    }

    /// Of files in which everything has arrived all go but the newest.
    fn drop_parts(&mut self, floor: u64) {
        while self.parts.len() > 1
            && let Some(part) = self.parts.front()
            && part.first + part.count <= floor
        {
            if let Err(e) = fs::remove_file(&part.path) {
                log::warn!("{}: {e}", part.path.display());
            }
            self.parts.pop_front();
        }
    }

    /// This was taken out in vain.
    pub(super) fn put_back(&mut self, number: u64) {
        if self.out.contains_key(&number) {
            self.again.insert(number);
        }
    }

    /// Everything before this has arrived.
    fn floor(&self) -> u64 {
        self.out.first_key_value().map_or(self.next_out, |(number, _)| *number)
    }

    /// How many are kept.
    pub(super) fn len(&self) -> u64 {
        let counted = |part: &Part| {
            let from = part.first.max(self.next_out);
            (part.first + part.count).saturating_sub(from)
        };
        self.parts.iter().map(counted).sum::<u64>() + self.out.len() as u64
    }

    /// Nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && !self.has_next()
    }

    /// How many are taken out and have not arrived.
    pub(super) fn under_way(&self) -> usize {
        self.out.len() - self.again.len()
    }

    /// Nothing is kept, and nothing will be: its place on the disk goes.
    pub(super) fn discard(&self) {
        if let Err(e) = fs::remove_dir_all(&self.dir) {
            log::warn!("{}: {e}", self.dir.display());
        }
    }

    /// Throw everything away that is not under way.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        for number in core::mem::take(&mut self.again) {
            self.settle(number);
        }
        self.begin_part()?;
        self.next_out = self.next_in;
        self.bytes = self.out.values().sum();
        let floor = self.floor();
        self.floor_file.write_all_at(&floor_bytes(floor), 0)?;
        self.drop_parts(floor);
        Ok(())
    }
}

/// What is found in a file.
#[derive(Debug, Default)]
struct Scan {
    count: u64,
    /// Bytes of good messages, and of those that have not arrived.
    len: u64,
    kept: u64,
    /// Bytes behind them.
    torn: u64,
}

/// Read through a file whose first message has this number.
fn scan(path: &Path, first: u64, floor: u64) -> io::Result<Scan> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut found = Scan::default();
    let mut message = Vec::new();
    while let Ok((len, sum)) = read_head(&mut file) {
        let whole = u64::from(len) + HEAD as u64;
        // Held against the file before anything is made for it.
        if found.len + whole > size {
            break;
        }
        message.clear();
        (&mut file).take(u64::from(len)).read_to_end(&mut message)?;
        if crc32c::crc32c(&message) != sum {
            break;
        }
        if first + found.count >= floor {
            found.kept += whole;
        }
        found.count += 1;
        found.len += whole;
    }
    found.torn = size - found.len;
    Ok(found)
}

/// Length and checksum.
fn read_head(file: &mut BufReader<File>) -> io::Result<(u32, u32)> {
    let (mut len, mut sum) = ([0; 4], [0; 4]);
    file.read_exact(&mut len)?;
    file.read_exact(&mut sum)?;
    Ok((u32::from_le_bytes(len), u32::from_le_bytes(sum)))
}

/// The message is not there, or not as it was: trying again does not help.
fn is_damage(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(e.kind(), InvalidData | NotFound | UnexpectedEof)
}

fn part_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:016x}.log"))
}

fn create(path: &Path) -> io::Result<File> {
    // One of this number has nothing in it, or it would have another.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // At its end, wherever that is: half a message may have been cut off.
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

fn floor_bytes(floor: u64) -> [u8; 12] {
    let number = floor.to_le_bytes();
    let mut all = [0; 12];
    let (one, two) = all.split_at_mut(8);
    one.copy_from_slice(&number);
    two.copy_from_slice(&crc32c::crc32c(&number).to_le_bytes());
    all
}

/// Zero if nothing good stands there: then everything that lies there is repeated.
fn read_floor(file: &File) -> u64 {
    let mut all = [0; 12];
    let mut file = file;
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut all));
    let number = all.first_chunk::<8>().map_or(0, |number| u64::from_le_bytes(*number));
    if read.is_ok() && floor_bytes(number) == all { number } else { 0 }
}

/// Bytes of a length and a checksum.
const HEAD: usize = 8;
/// A file is closed when it is longer than this.
const PART_MAX: u64 = 4 << 20;
