//! Floor 5. Where a PRX1 client keeps QoS 1 messages until they are acknowledged.
//!
//! The file is a row of records, each with its length and a checksum: a message, or the end of
//! one. What is in force is what was put and not removed; a torn end is cut off when the file is
//! opened. It is written anew when most of it is dead, beside the old one and then in its place.
//! Absent on purpose: an order of its own (numbers are given by the client and only grow).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::reader::{Reader, Short};

/// A message that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where it is to be published.
    pub topic: Bytes,
    /// What it says.
    pub payload: Bytes,
    /// To be kept by the broker.
    pub retain: bool,
}

/// Keeps messages by number. `put` returns when the message is as safe as the store makes it.
pub trait Store: Send {
    /// Keep a message. Numbers only grow.
    fn put(&mut self, number: u64, message: &Stored) -> io::Result<()>;
    /// Forget a message.
    fn remove(&mut self, number: u64) -> io::Result<()>;
    /// All that is kept, in the order of the numbers.
    fn iter(&self) -> Box<dyn Iterator<Item = (u64, Stored)> + '_>;
}

/// Keeps messages as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: BTreeMap<u64, Stored>,
}

impl Store for MemoryStore {
    fn put(&mut self, number: u64, message: &Stored) -> io::Result<()> {
        self.kept.insert(number, message.clone());
        Ok(())
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        self.kept.remove(&number);
        Ok(())
    }

    fn iter(&self) -> Box<dyn Iterator<Item = (u64, Stored)> + '_> {
        Box::new(self.kept.iter().map(|(&number, message)| (number, message.clone())))
    }
}

/// Keeps messages in a file, across processes; with [`FileStore::sync`] across power cuts.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    /// Everything before is whole records; what follows is to be written over.
    len: u64,
    live: u64,
    kept: BTreeMap<u64, Stored>,
    sync: bool,
    broken: bool,
}

/// A record's length and checksum.
const HEAD: usize = 8;
/// The longest record: a Publish with both blobs full.
const RECORD_MAX: usize = 12 + 2 * 65_535;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// Below this a file is not worth writing anew.
const SMALL: u64 = 1 << 20;

impl FileStore {
    /// Open or create the file. It may be open once only.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut file = create(&path, false)?;
        let (kept, len) = replay(&mut file)?;
        file.set_len(len)?;
        let live = kept.values().map(size).sum();
        Ok(Self { path, file, len, live, kept, sync: false, broken: false })
    }

    /// Let every `put` wait for the disk: survives a power cut, and costs a sync per message.
    #[must_use]
    pub fn sync(mut self, yes: bool) -> Self {
        self.sync = yes;
        self
    }

    fn append(&mut self, record: &[u8], sync: bool) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed half way"));
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.len))
            .and_then(|_| self.file.write_all(record))
            .and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(e) = written {
            // A torn record in the middle would hide all that follow it.
            self.broken = self.file.set_len(self.len).is_err();
            return Err(e);
        }
        self.len += record.len() as u64;
        Ok(())
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = create(&beside, true)?;
        let mut all = Vec::new();
        for (&number, message) in &self.kept {
            all.extend(put_record(number, message)?);
        }
        file.write_all(&all)?;
        file.sync_all()?;
        rename(&beside, &self.path)?;
        // The name is the directory's: without this a power cut brings the old file back.
        if let Some(place) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(place)?.sync_all()?;
        }
        self.file = file;
        self.len = all.len() as u64;
        Ok(())
    }
}

impl Store for FileStore {
    fn put(&mut self, number: u64, message: &Stored) -> io::Result<()> {
        let record = put_record(number, message)?;
        self.append(&record, self.sync)?;
        self.live += size(message);
        self.kept.insert(number, message.clone());
        Ok(())
    }

    /// Not synced: a message that comes back is sent again, which QoS 1 allows.
    fn remove(&mut self, number: u64) -> io::Result<()> {
        let Some(message) = self.kept.remove(&number) else {
            return Ok(());
        };
        self.live -= size(&message);
        if self.len > SMALL && self.live * 2 < self.len {
            return self.write_anew();
        }
        let mut body = vec![REMOVE];
        body.extend(number.to_be_bytes());
        self.append(&frame(&body)?, false)
    }

    fn iter(&self) -> Box<dyn Iterator<Item = (u64, Stored)> + '_> {
        Box::new(self.kept.iter().map(|(&number, message)| (number, message.clone())))
    }
}

fn create(path: &Path, empty: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.try_lock()?;
    if empty {
        file.set_len(0)?;
    }
    Ok(file)
}

fn size(message: &Stored) -> u64 {
    (HEAD + 12 + message.topic.len() + message.payload.len()) as u64
}

fn put_record(number: u64, message: &Stored) -> io::Result<Vec<u8>> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let topic_len = u16::try_from(message.topic.len()).map_err(too_long)?;
    let mut body = vec![PUT];
    body.extend(number.to_be_bytes());
    body.push(u8::from(message.retain));
    body.extend(topic_len.to_be_bytes());
    body.extend(&message.topic);
    body.extend(&message.payload);
    frame(&body)
}

fn frame(body: &[u8]) -> io::Result<Vec<u8>> {
    if body.len() > RECORD_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.extend((body.len() as u32).to_be_bytes());
    record.extend(crc32c::crc32c(body).to_be_bytes());
    record.extend(body);
    Ok(record)
}

/// What the whole records of a file amount to, and where they end.
fn replay(file: &mut File) -> io::Result<(BTreeMap<u64, Stored>, u64)> {
    let mut kept = BTreeMap::new();
    let mut len = 0;
    let mut input = io::BufReader::new(file);
    while let Some(body) = next_body(&mut input)? {
        let whole = (HEAD + body.len()) as u64;
        if apply(&mut kept, body).is_err() {
            break;
        }
        len += whole;
    }
    Ok((kept, len))
}

/// The next whole record; `None` at the end and at anything torn.
fn next_body(input: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut head = [0; HEAD];
    if !fill(input, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, crc @ ..] = head;
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > RECORD_MAX {
        return Ok(None);
    }
    let mut body = vec![0; len];
    if !fill(input, &mut body)? || crc32c::crc32c(&body) != u32::from_be_bytes(crc) {
        return Ok(None);
    }
    Ok(Some(body.into()))
}

fn fill(input: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(into) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn apply(kept: &mut BTreeMap<u64, Stored>, body: Bytes) -> Result<(), Short> {
    let mut r = Reader::new(body);
    let kind = r.u8()?;
    let number = u64::from(r.u32()?) << 32 | u64::from(r.u32()?);
    match kind {
        PUT => {
            let retain = r.u8()? != 0;
            let topic = r.blob16()?;
            kept.insert(number, Stored { topic, payload: r.rest(), retain });
        }
        REMOVE => {
            kept.remove(&number);
        }
        _ => return Err(Short),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Stored {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        Stored { topic: Bytes::from_static(b"a/b"), payload, retain: text.len() > 3 }
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("spindle-store-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn texts(store: &impl Store) -> Vec<(u64, String)> {
        let text = |s: Stored| String::from_utf8(s.payload.to_vec()).unwrap();
        store.iter().map(|(n, s)| (n, text(s))).collect()
    }

    #[test]
    fn what_was_put_and_not_removed_is_there_after_opening_again() {
        let place = Place::new("reopen");
        let mut store = FileStore::open(&place.0).unwrap().sync(true);
        for (n, text) in [(1, "one"), (2, "two"), (3, "three")] {
            store.put(n, &message(text)).unwrap();
        }
        store.remove(2).unwrap();
        store.remove(9).unwrap();
        drop(store);
        let store = FileStore::open(&place.0).unwrap();
        assert_eq!(texts(&store), [(1, "one".into()), (3, "three".into())]);
        assert_eq!(store.iter().map(|(_, s)| s.retain).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn one_owner_at_a_time() {
        let place = Place::new("owner");
        let first = FileStore::open(&place.0).unwrap();
        let refused = FileStore::open(&place.0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        FileStore::open(&place.0).unwrap();
    }

    #[test]
    fn a_torn_or_altered_end_is_cut_off_and_written_over() {
        let place = Place::new("torn");
        let mut store = FileStore::open(&place.0).unwrap();
        store.put(1, &message("kept")).unwrap();
        let good = store.len;
        store.put(2, &message("torn")).unwrap();
        let all = store.len;
        drop(store);
        let whole = std::fs::read(&place.0).unwrap();
        for cut in good..all {
            std::fs::write(&place.0, &whole[..cut as usize]).unwrap();
            let mut store = FileStore::open(&place.0).unwrap();
            assert_eq!(texts(&store), [(1, "kept".into())], "cut at {cut}");
            store.put(3, &message("next")).unwrap();
            drop(store);
            let store = FileStore::open(&place.0).unwrap();
            assert_eq!(texts(&store), [(1, "kept".into()), (3, "next".into())]);
        }
        for at in good..all {
            let mut altered = whole.clone();
            altered[at as usize] ^= 0x40;
            std::fs::write(&place.0, &altered).unwrap();
            let store = FileStore::open(&place.0).unwrap();
            assert_eq!(texts(&store), [(1, "kept".into())], "altered at {at}");
        }
    }

    #[test]
    fn a_file_that_is_mostly_dead_is_written_anew() {
        let place = Place::new("anew");
        let mut store = FileStore::open(&place.0).unwrap();
        let long = message(&"x".repeat(60_000));
        store.put(1, &message("survivor")).unwrap();
        for n in 2..60 {
            store.put(n, &long).unwrap();
            store.remove(n).unwrap();
            assert!(store.len < SMALL + 200_000, "{n}: {}", store.len);
        }
        store.put(60, &message("last")).unwrap();
        drop(store);
        let store = FileStore::open(&place.0).unwrap();
        assert_eq!(texts(&store), [(1, "survivor".into()), (60, "last".into())]);
    }
}
