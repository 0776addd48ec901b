//! Floor 6. A folder becomes an archive.
//!
//! Files and folders in the order of their names, so the same folder makes the same bytes. What is
//! neither is left out and counted, and so is what has no name that others can use; no link is
//! followed. Absent on purpose: waiting for a file that grows; it is packed as long as it was.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::proto::aio::file::Place;

use super::crc::Crc;
use super::{CENTRAL, END, FILE, FOLDER, LOCAL, UTF8};

/// What was packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) struct Packed {
    /// Files and folders.
    pub(in crate::cli) entries: usize,
    /// What was left out: links, sockets, devices, names that are no text.
    pub(in crate::cli) left_out: usize,
}

/// What is to be packed.
struct Item {
    /// Below the folder; that of a folder ends with a slash.
    name: String,
    path: PathBuf,
}

/// What the central head says of what was packed.
struct Done {
    name: String,
    at: u32,
    crc: u32,
    len: u32,
}

/// Pack what lies in this folder.
pub(in crate::cli) fn pack(folder: &Path, into: &File) -> io::Result<Packed> {
    let (items, left_out) = list(folder)?;
    let mut out = BufWriter::new(into);
    let mut at = 0;
    let mut all = Vec::with_capacity(items.len());
    for item in &items {
        let done = put(&mut out, at, item)?;
        at = short(u64::from(at) + 30 + item.name.len() as u64 + u64::from(done.len))?;
        all.push(done);
    }
    let begin = at;
    for done in &all {
        central(&mut out, done)?;
        at = short(u64::from(at) + 46 + done.name.len() as u64)?;
    }
    let count = u16::try_from(all.len()).map_err(|_| too_large())?;
    for part in [END.to_le_bytes(), [0; 4]] {
        out.write_all(&part)?;
    }
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&(at - begin).to_le_bytes())?;
    out.write_all(&begin.to_le_bytes())?;
    out.write_all(&[0; 2])?;
    out.flush()?;
    Ok(Packed { entries: all.len(), left_out })
}

/// All that is in a folder and in those in it, in order, and how much is left out.
fn list(folder: &Path) -> io::Result<(Vec<Item>, usize)> {
    let (mut items, mut left_out) = (Vec::new(), 0);
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((before, path)) = folders.pop() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name().into_string().ok().map(|name| format!("{before}{name}"));
            let name = name.filter(|name| Place::new(&name.as_str().into()).is_some());
            match name {
                Some(name) if kind.is_dir() => {
                    let name = format!("{name}/");
                    folders.push((name.clone(), entry.path()));
                    items.push(Item { name, path: entry.path() });
                }
                Some(name) if kind.is_file() => items.push(Item { name, path: entry.path() }),
                _ => left_out += 1,
            }
            if items.len() > COUNT_MAX {
                return Err(too_large());
            }
        }
    }
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((items, left_out))
}

/// An entry with its local head. The sum is known behind the content only, so it is put in later.
fn put(out: &mut BufWriter<&File>, at: u32, item: &Item) -> io::Result<Done> {
    let mut done = Done { name: item.name.clone(), at, crc: 0, len: 0 };
    if item.name.ends_with('/') {
        local(out, &done)?;
        return Ok(done);
    }
    let file = File::open(&item.path)?;
    done.len = short(file.metadata()?.len())?;
    local(out, &done)?;
    let mut crc = Crc::new();
    let mut left = u64::from(done.len);
    let mut piece = vec![0; PIECE];
    let mut file = file.take(left);
    while left > 0 {
        let len = file.read(&mut piece)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = piece.get(..len).unwrap_or_default();
        crc.add(read);
        out.write_all(read)?;
        left -= len as u64;
    }
    done.crc = crc.end();
    out.seek(SeekFrom::Start(u64::from(at) + CRC_AT))?;
    out.write_all(&done.crc.to_le_bytes())?;
    out.seek(SeekFrom::End(0))?;
    Ok(done)
}

fn local(out: &mut impl Write, done: &Done) -> io::Result<()> {
    out.write_all(&LOCAL.to_le_bytes())?;
    common(out, done)?;
    out.write_all(done.name.as_bytes())
}

fn central(out: &mut impl Write, done: &Done) -> io::Result<()> {
    out.write_all(&CENTRAL.to_le_bytes())?;
    out.write_all(&MADE_BY.to_le_bytes())?;
    common(out, done)?;
    // A comment, a disk, and attributes of the archive's own.
    out.write_all(&[0; 6])?;
    let mode = if done.name.ends_with('/') { FOLDER | 0o755 } else { FILE | 0o644 };
    out.write_all(&(mode << 16).to_le_bytes())?;
    out.write_all(&done.at.to_le_bytes())?;
    out.write_all(done.name.as_bytes())
}

/// What both heads say, up to the lengths of the name and of what else there could be.
fn common(out: &mut impl Write, done: &Done) -> io::Result<()> {
    let len = u16::try_from(done.name.len()).map_err(|_| too_large())?;
    for half in [NEEDS, UTF8, 0, 0, NO_DAY] {
        out.write_all(&half.to_le_bytes())?;
    }
    for whole in [done.crc, done.len, done.len] {
        out.write_all(&whole.to_le_bytes())?;
    }
    out.write_all(&len.to_le_bytes())?;
    out.write_all(&[0; 2])
}

fn short(len: u64) -> io::Result<u32> {
    u32::try_from(len).ok().filter(|len| *len < u32::MAX).ok_or_else(too_large)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "more than an archive holds")
}

/// What is read at a time.
const PIECE: usize = 64 << 10;
/// Where a local head has the sum.
const CRC_AT: u64 = 14;
/// Version 2.0, on Unix.
const MADE_BY: u16 = 3 << 8 | 20;
/// Folders need version 2.0.
const NEEDS: u16 = 20;
/// The first day that there is: 1 January 1980.
const NO_DAY: u16 = 1 << 5 | 1;
/// What an archive without ZIP64 can count.
const COUNT_MAX: usize = 65_534;
