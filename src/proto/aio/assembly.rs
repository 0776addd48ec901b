//! Floor 3. Files that come in chunks: which are there, which are missing, and how they are joined.
//!
//! The driver keeps the bytes, in memory or on a disk; here is a handle of its own for each part,
//! the size, and the order: by index, never by name (specification 7, defect a). What a file may
//! take is checked before a part is let in, and nothing is ever made as large as a peer says that
//! something will be. What is not finished in time, or whose sender is gone, is given back to be
//! thrown away. Absent on purpose: bytes, directories, and whether a file exists already.

use std::collections::BTreeMap;

use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, Now};

use super::file::{CHUNK, Chunk, Place, WithFile};
use super::names::Name;
use super::packet::Text;

/// How much may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files together that are not whole.
    pub all: u64,
    /// Parts of one file.
    pub parts: u32,
    /// Files of one sender that are not whole.
    pub files: usize,
    /// From one part to the next.
    pub idle_ms: u64,
}

impl Default for Most {
    fn default() -> Self {
        Self { file: 8 << 30, all: 16 << 30, parts: 4_096, files: 16, idle_ms: 600_000 }
    }
}

/// Why a file, or a part of one, is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The name leads somewhere else, or is none.
    Name,
    /// The parts' own name is not the one that goes with their numbers.
    Chunk,
    /// Larger than one file may be.
    FileSize,
    /// More than there is room for.
    Room,
    /// More parts than a file may have.
    Parts,
    /// More files at once than a sender may have.
    Files,
    /// Another number of parts than was said before.
    Count,
    /// This part is there already.
    Twice,
}

/// What becomes of what came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Came<P> {
    /// A whole file.
    File {
        /// Where it goes, below what `dst_type` means.
        place: Place,
        /// All there is of it, in order.
        parts: Vec<P>,
    },
    /// A part; others are missing.
    Part,
}

#[derive(Debug)]
struct Open<P> {
    count: u32,
    parts: BTreeMap<u32, P>,
    size: u64,
    until: Deadline,
}

/// Whose file, for which directory, and where below it.
type Key = (Name, Text, Place);

/// Files of which some parts are there. `P` is what a part is kept as.
#[derive(Debug)]
pub struct Assembly<P> {
    most: Most,
    open: Map<Key, Open<P>>,
    size: u64,
}

impl<P> Assembly<P> {
    /// With nothing under way.
    #[must_use]
    pub fn new(most: Most, seed: Seed) -> Self {
        Self { most, open: Map::with_hasher(seed), size: 0 }
    }

    /// May this come in, and as what? Before a byte of it is kept, so that a refusal costs nothing.
    /// `size` is how many bytes there are of it, not how many somebody says.
    pub fn admit(&self, from: &Name, file: &WithFile, size: u64) -> Result<(), Refused> {
        if size > self.most.file {
            return Err(Refused::FileSize);
        }
        let Some(chunk) = &file.chunked else {
            return Place::new(&file.dst_name).map(drop).ok_or(Refused::Name);
        };
        let key = key(from, file, chunk)?;
        if chunk.count > self.most.parts {
            return Err(Refused::Parts);
        }
        if size > self.most.all - self.size {
            return Err(Refused::Room);
        }
        match self.open.get(&key) {
            Some(open) if open.count != chunk.count => Err(Refused::Count),
            Some(open) if open.parts.contains_key(&chunk.index) => Err(Refused::Twice),
            Some(open) if size > self.most.file - open.size => Err(Refused::FileSize),
            None if self.of(from) >= self.most.files => Err(Refused::Files),
            Some(_) | None => Ok(()),
        }
    }

    /// A file or a part of one came, and is kept as `part`. Refused as `admit` says, and then the
    /// part is gone.
    pub fn take(
        &mut self,
        now: Now,
        from: &Name,
        file: &WithFile,
        (size, part): (u64, P),
    ) -> Result<Came<P>, Refused> {
        self.admit(from, file, size)?;
        let Some(chunk) = &file.chunked else {
            let place = Place::new(&file.dst_name).ok_or(Refused::Name)?;
            return Ok(Came::File { place, parts: vec![part] });
        };
        let key = key(from, file, chunk)?;
        let until = now.after_ms(self.most.idle_ms);
        let open = self.open.entry(key.clone()).or_insert_with(|| Open {
            count: chunk.count,
            parts: BTreeMap::new(),
            size: 0,
            until,
        });
        open.parts.insert(chunk.index, part);
        open.size += size;
        open.until = until;
        self.size += size;
        // Indexes are from 1 to the count, and each is there once: so as many as that are all.
        if u32::try_from(open.parts.len()) != Ok(open.count) {
            return Ok(Came::Part);
        }
        let parts = self.forget(&key);
        Ok(Came::File { place: key.2, parts })
    }

    /// This sender is gone: what it began is given back. The rest of a file may still come over
    /// its next connection, so whether that is waited for is the driver's choice.
    pub fn gone(&mut self, from: &Name) -> Vec<P> {
        self.give_up(|key, _| key.0 == *from)
    }

    /// What was not finished in time is given back.
    pub fn due(&mut self, now: Now) -> Vec<P> {
        self.give_up(|_, open| now.reached(open.until))
    }

    /// When to ask for that.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.open.values().map(|open| open.until).min().unwrap_or(Deadline::NEVER)
    }

    /// Bytes of all that is not whole.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Files that are not whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn of(&self, from: &Name) -> usize {
        self.open.keys().filter(|key| key.0 == *from).count()
    }

    fn give_up(&mut self, which: impl Fn(&Key, &Open<P>) -> bool) -> Vec<P> {
        let mut keys: Vec<Key> = Vec::new();
        keys.extend(self.open.iter().filter(|(k, open)| which(k, open)).map(|(k, _)| k.clone()));
        // The order of a map is nobody's; what goes on the disk or into a test has one.
        keys.sort();
        keys.iter().flat_map(|key| self.forget(key)).collect()
    }

    fn forget(&mut self, key: &Key) -> Vec<P> {
        let Some(open) = self.open.remove(key) else { return Vec::new() };
        self.size -= open.size;
        open.parts.into_values().collect()
    }
}

/// Where the whole file goes, and whose it is. The original names a part
/// `<base>_<index>_<count>`, and `<base>` is the file's name with a mark behind it; indexes with
/// zeros in front are how real peers are made to join ten of them and more.
fn key(from: &Name, file: &WithFile, chunk: &Chunk) -> Result<Key, Refused> {
    let base = chunk.base.as_str();
    let numbers = file.dst_name.as_str().strip_prefix(base).ok_or(Refused::Chunk)?;
    let (index, count) =
        numbers.strip_prefix('_').and_then(|rest| rest.split_once('_')).ok_or(Refused::Chunk)?;
    let is = |text: &str, number: u32| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse() == Ok(number)
    };
    if !is(index, chunk.index) || !is(count, chunk.count) {
        return Err(Refused::Chunk);
    }
    let name = base.strip_suffix(CHUNK).ok_or(Refused::Chunk)?;
    let place = Place::new(&name.into()).ok_or(Refused::Name)?;
    Ok((from.detached(), file.dst_type.detached(), place))
}
