//! Floor 3. Files that come in chunks: which are there, which are missing, and how they are joined.
//!
//! The driver keeps the bytes, in memory or on a disk; here is a handle of its own for each part,
//! the size, and the order: by index, never by name (specification 7, defect a). What a file may
//! take is checked before a part is let in, and nothing is ever made as large as a peer says that
//! something will be. What comes again takes the place of what was there: whoever has lost an
//! acknowledgement says the same again, and whoever begins anew means the new one. What is not
//! finished in time, or whose sender is gone, is given back to be thrown away. Absent on purpose:
//! bytes, directories, and whether a file exists already.

use std::collections::{BTreeMap, VecDeque};

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
    /// Files of one sender that are not whole; one more takes the place of the one of which nothing
    /// has come for longest.
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
    /// The part with which a file was whole, once more: nothing is kept of it.
    Again(Place),
}

#[derive(Debug)]
struct Open<P> {
    count: u32,
    /// With their sizes.
    parts: BTreeMap<u32, (u64, P)>,
    size: u64,
    until: Deadline,
}

impl<P> Open<P> {
    /// What goes when this part of it comes: the same one, or all of it if it is another file now.
    fn replaced(&self, chunk: &Chunk) -> u64 {
        match self.count == chunk.count {
            true => self.parts.get(&chunk.index).map_or(0, |(size, _)| *size),
            false => self.size,
        }
    }
}

/// A file that was made of its parts, the last of which may be said again.
#[derive(Debug)]
struct Made {
    key: Key,
    last: (u32, u32),
    until: Deadline,
}

/// Whose file, for which directory, and where below it.
type Key = (Name, Text, Place);

/// Files of which some parts are there. `P` is what a part is kept as.
#[derive(Debug)]
pub struct Assembly<P> {
    most: Most,
    open: Map<Key, Open<P>>,
    made: VecDeque<Made>,
    size: u64,
}

impl<P> Assembly<P> {
    /// With nothing under way.
    #[must_use]
    pub fn new(most: Most, seed: Seed) -> Self {
        Self { most, open: Map::with_hasher(seed), made: VecDeque::new(), size: 0 }
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
        let open = self.open.get(&key);
        let goes = open.map_or(0, |open| open.replaced(chunk));
        if size > self.most.all.saturating_sub(self.size.saturating_sub(goes)) {
            return Err(Refused::Room);
        }
        let stays = open.map_or(0, |open| open.size.saturating_sub(goes));
        match size > self.most.file.saturating_sub(stays) {
            true => Err(Refused::FileSize),
            false => Ok(()),
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
        match self.open.get(&key) {
            Some(open) if open.count != chunk.count => drop(self.forget(&key)),
            Some(_) => {}
            None if self.is_said_again(now, &key, chunk) => return Ok(Came::Again(key.2)),
            None => self.make_room(from),
        }
        self.made.retain(|made| made.key != key);
        let until = now.after_ms(self.most.idle_ms);
        let fresh = || Open { count: chunk.count, parts: BTreeMap::new(), size: 0, until };
        let open = self.open.entry(key.clone()).or_insert_with(fresh);
        let goes = open.parts.insert(chunk.index, (size, part)).map_or(0, |(size, _)| size);
        open.size = open.size.saturating_sub(goes) + size;
        open.until = until;
        self.size = self.size.saturating_sub(goes) + size;
        // Indexes are from 1 to the count, and each is there once: so as many as that are all.
        if u32::try_from(open.parts.len()) != Ok(open.count) {
            return Ok(Came::Part);
        }
        let parts = self.forget(&key);
        Ok(Came::File { place: key.2, parts })
    }

    /// The file that became whole with this part could be made, so if that part is said again it
    /// is no beginning of another. The first part always is one.
    pub fn made(&mut self, now: Now, from: &Name, file: &WithFile) {
        let Some(chunk) = file.chunked.as_ref().filter(|chunk| chunk.index != 1) else { return };
        let Ok(key) = key(from, file, chunk) else { return };
        self.forget_made(now);
        if self.made.len() >= MADE_MAX {
            self.made.pop_front();
        }
        let until = now.after_ms(self.most.idle_ms);
        self.made.push_back(Made { key, last: (chunk.index, chunk.count), until });
    }

    /// It could not be made: its parts wait for the one that came last, which comes once more. They
    /// are in order, with their sizes, and that one goes.
    pub fn back(
        &mut self,
        now: Now,
        from: &Name,
        file: &WithFile,
        parts: impl IntoIterator<Item = (u64, P)>,
    ) {
        let Some(chunk) = &file.chunked else { return };
        let Ok(key) = key(from, file, chunk) else { return };
        let parts = (1..).zip(parts).filter(|(index, _)| *index != chunk.index);
        let parts: BTreeMap<u32, (u64, P)> = parts.collect();
        if parts.is_empty() {
            return;
        }
        drop(self.forget(&key));
        let size = parts.values().map(|(size, _)| size).sum();
        let until = now.after_ms(self.most.idle_ms);
        self.open.insert(key, Open { count: chunk.count, parts, size, until });
        self.size += size;
    }

    fn forget_made(&mut self, now: Now) {
        // They are in the order of their ends.
        while self.made.front().is_some_and(|made| now.reached(made.until)) {
            self.made.pop_front();
        }
    }

    fn is_said_again(&self, now: Now, key: &Key, chunk: &Chunk) -> bool {
        let last = (chunk.index, chunk.count);
        let mut made = self.made.iter();
        made.any(|made| made.key == *key && made.last == last && !now.reached(made.until))
    }

    /// For one more file of this sender.
    fn make_room(&mut self, from: &Name) {
        let own = |open: &(&Key, &Open<P>)| open.0.0 == *from;
        if self.open.iter().filter(own).count() < self.most.files {
            return;
        }
        let oldest = self.open.iter().filter(own).min_by_key(|(key, open)| (open.until, *key));
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.iter().for_each(|key| drop(self.forget(key)));
    }

    /// This sender is gone: what it began is given back. The rest of a file may still come over
    /// its next connection, so whether that is waited for is the driver's choice.
    pub fn gone(&mut self, from: &Name) -> Vec<P> {
        self.give_up(|key, _| key.0 == *from)
    }

    /// What was not finished in time is given back.
    pub fn due(&mut self, now: Now) -> Vec<P> {
        self.forget_made(now);
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

    /// It is known of some which part was their last.
    #[must_use]
    pub fn remembers(&self) -> bool {
        !self.made.is_empty()
    }

    /// None is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
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
        open.parts.into_values().map(|(_, part)| part).collect()
    }
}

/// How many files are remembered that were made.
const MADE_MAX: usize = 1_024;

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
