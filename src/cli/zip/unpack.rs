//! Floor 6. An archive becomes a folder: somebody else's archive, a new folder.
//!
//! What the central heads say is judged as a whole before anything is unpacked: names that stay
//! below (`proto/aio/file`), files and folders and nothing else, each once, within the bounds. What
//! is unpacked must be as long as was said and have the sum that was said. It is unpacked beside
//! its place, which it gets when it is whole. Absent on purpose: replacing anything, and what the
//! local heads say, but for where the content begins.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::proto::aio::Text;
use crate::proto::aio::file::Place;

use super::crc::Crc;
use super::inflate::inflate;
use super::{CENTRAL, CENTRAL_LEN, END, END_LEN, FILE, FOLDER, KIND, LOCAL, LOCAL_LEN, UTF8};

/// How much may come out of an archive.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Most {
    /// Bytes of all files.
    pub(in crate::cli) bytes: u64,
    /// Files and folders.
    pub(in crate::cli) entries: usize,
}

/// What came out of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) struct Unpacked {
    /// Files and folders.
    pub(in crate::cli) entries: usize,
    /// Bytes of all files.
    pub(in crate::cli) bytes: u64,
}

/// What a central head says.
#[derive(Debug)]
struct Entry {
    place: Place,
    is_folder: bool,
    deflated: bool,
    crc: u32,
    packed: u64,
    size: u64,
    at: u64,
}

/// Unpack this archive to a folder that is not there yet, or say why not.
pub(in crate::cli) fn unpack(archive: &Path, to: &Path, most: Most) -> Result<Unpacked, String> {
    let wrong = |e: io::Error| e.to_string();
    let mut file = File::open(archive).map_err(wrong)?;
    let (entries, end) = entries(&mut file, most)?;
    if to.symlink_metadata().is_ok() {
        return Err(format!("{} is there already", to.display()));
    }
    // Beside its place, so that it can be moved there.
    let mut beside = to.as_os_str().to_owned();
    beside.push(format!(".spindle-{}", std::process::id()));
    let beside = Path::new(&beside);
    DirBuilder::new().mode(0o755).create(beside).map_err(wrong)?;
    let done = fill(&mut file, &entries, end, beside)
        .and_then(|done| fs::rename(beside, to).map_err(wrong).map(|()| done));
    if done.is_err() {
        // It was new, so all of it is ours.
        let _ = fs::remove_dir_all(beside);
    }
    done
}

/// What the archive holds, all of it judged, and where its contents end.
fn entries(file: &mut File, most: Most) -> Result<(Vec<Entry>, u64), String> {
    let len = file.metadata().map_err(|e| e.to_string())?.len();
    let (count, size, begin) = end(file, len)?;
    if count > most.entries {
        return Err(format!("it holds {count} files and folders, more than {}", most.entries));
    }
    // A head and a name of any length for each; what is there bounds it, too.
    if size > HEADS_MAX.min(len) || begin.checked_add(size).is_none_or(|end| end > len) {
        return Err(BROKEN.to_owned());
    }
    let heads = read(file, begin, size).map_err(|e| e.to_string())?;
    let mut heads = Cut(&heads);
    let (mut all, mut names, mut bytes) = (Vec::new(), BTreeSet::new(), 0_u64);
    for _ in 0..count {
        let entry = entry(&mut heads)?;
        bytes = bytes.saturating_add(entry.size);
        if bytes > most.bytes {
            return Err(format!("it would be longer than {} bytes", most.bytes));
        }
        if !names.insert(entry.place.as_str().to_owned()) {
            return Err(format!("a name stands twice: {:?}", entry.place));
        }
        all.push(entry);
    }
    Ok((all, begin))
}

/// How many entries there are, how long their heads are, and where these begin.
fn end(file: &mut File, len: u64) -> Result<(usize, u64, u64), String> {
    let tail = len.min((END_LEN + COMMENT_MAX) as u64);
    let bytes = read(file, len - tail, tail).map_err(|e| e.to_string())?;
    let found = (0..=bytes.len().saturating_sub(END_LEN)).rev().find_map(|at| {
        let mut cut = Cut(bytes.get(at..)?);
        let [sign, disks] = [cut.whole()?, cut.whole()?];
        let [here, count] = [cut.half()?, cut.half()?];
        let [size, begin] = [cut.whole()?, cut.whole()?];
        let comment = cut.half()?;
        let fits = cut.0.len() == usize::from(comment) && here == count && disks == 0;
        (sign == END && fits).then_some((count, size, begin))
    });
    let (count, size, begin) = found.ok_or("it is no archive")?;
    if count == u16::MAX || size == u32::MAX || begin == u32::MAX {
        return Err("it is of a kind for more than 4 GiB, which is not read".to_owned());
    }
    Ok((usize::from(count), u64::from(size), u64::from(begin)))
}

/// What the next central head says.
fn entry(heads: &mut Cut<'_>) -> Result<Entry, String> {
    let mut head = Cut(heads.take(CENTRAL_LEN).ok_or(BROKEN)?);
    let mut whole = || head.whole().ok_or(BROKEN);
    let (sign, _) = (whole()?, head.half());
    if sign != CENTRAL {
        return Err(BROKEN.to_owned());
    }
    let mut half = || head.half().ok_or(BROKEN);
    let [_, flags, method, _, _] = [half()?, half()?, half()?, half()?, half()?];
    let mut whole = || head.whole().ok_or(BROKEN);
    let [crc, packed, size] = [whole()?, whole()?, whole()?];
    let mut half = || head.half().ok_or(BROKEN);
    let [name, extra, comment] = [half()?, half()?, half()?];
    let [_disk, _inner] = [half()?, half()?];
    let mut whole = || head.whole().ok_or(BROKEN);
    let [outer, at] = [whole()?, whole()?];
    let name = heads.take(usize::from(name)).ok_or(BROKEN)?;
    heads.take(usize::from(extra)).ok_or(BROKEN)?;
    heads.take(usize::from(comment)).ok_or(BROKEN)?;
    let name = core::str::from_utf8(name).ok();
    let name = name.filter(|name| flags & UTF8 != 0 || name.is_ascii());
    let name = name.ok_or("a name that is no text")?;
    let bare = name.strip_suffix('/').unwrap_or(name);
    let is_folder = bare.len() < name.len();
    let place = Place::new(&Text::from(bare));
    let place = place.ok_or_else(|| format!("a name that leads somewhere else: {name:?}"))?;
    // Some archives say nothing about it.
    let kind = (outer >> 16) & KIND;
    if kind != 0 && kind != if is_folder { FOLDER } else { FILE } {
        return Err(format!("neither a file nor a folder: {name:?}"));
    }
    let deflated = match (flags & ENCRYPTED, method) {
        (0, 0) if packed == size => false,
        (0, 8) => true,
        (0, _) => return Err(format!("packed in a way that is not known: {name:?}")),
        _ => return Err(format!("encrypted: {name:?}")),
    };
    if is_folder && size != 0 {
        return Err(BROKEN.to_owned());
    }
    let [packed, size, at] = [packed, size, at].map(u64::from);
    Ok(Entry { place, is_folder, deflated, crc, packed, size, at })
}

/// Unpack everything below this folder.
fn fill(file: &mut File, entries: &[Entry], end: u64, to: &Path) -> Result<Unpacked, String> {
    let mut done = Unpacked::default();
    for entry in entries {
        let why = |e: io::Error| format!("{:?}: {e}", entry.place);
        let mut path = to.to_owned();
        path.extend(entry.place.parts());
        // Archives need not name folders, or name them later. All that is there was made here.
        let folder = if entry.is_folder { Some(path.as_path()) } else { path.parent() };
        fs::create_dir_all(folder.unwrap_or(to)).map_err(why)?;
        if !entry.is_folder {
            content(file, entry, end, &path).map_err(why)?;
        }
        done.entries += 1;
        done.bytes += entry.size;
    }
    Ok(done)
}

fn content(file: &mut File, entry: &Entry, end: u64, path: &Path) -> io::Result<()> {
    let head = read(file, entry.at, LOCAL_LEN as u64)?;
    let mut cut = Cut(&head);
    let sign = cut.whole();
    cut.take(22);
    let (Some(LOCAL), Some(name), Some(extra)) = (sign, cut.half(), cut.half()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, BROKEN));
    };
    let begin = entry.at + LOCAL_LEN as u64 + u64::from(name) + u64::from(extra);
    // Not into the heads: what was judged is no content.
    if begin + entry.packed > end {
        return Err(io::Error::new(io::ErrorKind::InvalidData, BROKEN));
    }
    file.seek(SeekFrom::Start(begin))?;
    let from = file.take(entry.packed);
    // A new one: so it is not written into what another name has made.
    let mut out = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut crc = Crc::new();
    let mut put = |bytes: &[u8]| {
        crc.add(bytes);
        out.write_all(bytes)
    };
    if entry.deflated {
        inflate(from, entry.size, &mut put)?;
    } else {
        copy(from, &mut put)?;
    }
    if crc.end() != entry.crc {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its sum is another"));
    }
    Ok(())
}

fn copy(mut from: impl Read, put: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            len => put(piece.get(..len).unwrap_or_default())?,
        }
    }
}

/// So many bytes from here on; the caller has bounded them.
fn read(file: &mut File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    if file.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Bytes that are cut off the front.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn half(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes))
    }

    fn whole(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// What is read at a time.
const PIECE: usize = 64 << 10;
/// The longest comment behind the end.
const COMMENT_MAX: usize = 65_535;
/// Heads and names of all entries.
const HEADS_MAX: u64 = 16 << 20;
/// The content is encrypted.
const ENCRYPTED: u16 = 1;
const BROKEN: &str = "it is damaged";
