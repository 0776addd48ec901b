//! Floor 6. A disk whose every write and flush is seen: one file, served to the system over FUSE.
//!
//! The protocol is spoken by hand, as far as a file system of one file needs it: look up, open,
//! read, write, sync. A loop device on that file is a disk like any other. One thread answers, so
//! the record has one order; a flush covers every write before it. Absent on purpose: all that a
//! folder, a second file or a second user would need.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::load::Tick;
use crate::overload_rig::{ensure, told};

/// What was done to the disk.
pub(crate) enum Deed {
    Write(usize, Vec<u8>),
    /// Every write before this is safe.
    Flush,
}

/// How the disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Well,
    /// What is written is taken, and a flush is not answered.
    Hangs,
    /// Nothing that would change it is answered.
    HangsAltogether,
    /// A flush is answered with an error.
    FailsFlushes,
    /// A write is answered with an error, and nothing is written.
    FailsWrites,
}

/// The disk.
pub(crate) struct Medium {
    bytes: Vec<u8>,
    pub(crate) deeds: Vec<Deed>,
    tick: Tick,
    mood: Mood,
    /// What it has not answered.
    held: Vec<Vec<u8>>,
    /// How often it has done what its mood says.
    pub(crate) sick: u64,
}

/// A disk that is served until it goes; then whoever still uses it has an error.
pub(crate) struct Served {
    medium: Arc<Mutex<Medium>>,
    ends: Arc<AtomicBool>,
    /// Answers what was held.
    other: Server,
}

impl Served {
    /// Serve these bytes as the only file, `disk`, of a file system at `at`.
    pub(crate) fn new(at: &Path, bytes: Vec<u8>, tick: &Tick) -> Result<Self, String> {
        let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let fuse = fuse.map_err(|e| format!("/dev/fuse: {e}"))?;
        let given = fuse.try_clone().map_err(told)?;
        let deeds = Vec::new();
        let (mood, held, tick) = (Mood::Well, Vec::new(), tick.clone());
        let medium = Arc::new(Mutex::new(Medium { bytes, deeds, tick, mood, held, sick: 0 }));
        let ends = Arc::new(AtomicBool::new(false));
        let own = fuse.try_clone().map_err(told)?;
        let mut server = Server { fuse, medium: Arc::clone(&medium), ends: Arc::clone(&ends) };
        let other = Server { fuse: own, medium: Arc::clone(&medium), ends: Arc::clone(&ends) };
        let it = Self { medium, ends, other };
        thread::spawn(move || server.serve());
        // The descriptor that the file system is to listen to is the input of that program.
        let how = "fd=0,rootmode=40000,user_id=0,group_id=0";
        let mut mount = Command::new("mount");
        mount.args(["-i", "-t", "fuse", "-o", how, "spindle-power"]).arg(at);
        let done = mount.stdin(Stdio::from(given)).output().map_err(told)?;
        let said = || format!("mount: {}", String::from_utf8_lossy(&done.stderr).trim());
        ensure(done.status.success(), said)?;
        Ok(it)
    }

    /// From now on it is like this. What it had not answered is done and answered if it is well.
    pub(crate) fn set_mood(&mut self, mood: Mood) {
        let held = {
            let mut medium = self.medium();
            (medium.mood, medium.sick) = (mood, 0);
            if mood == Mood::Well { std::mem::take(&mut medium.held) } else { Vec::new() }
        };
        for request in held {
            self.other.answer(&request);
        }
    }

    /// What was done so far.
    pub(crate) fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ends.store(true, SeqCst);
    }
}

struct Server {
    fuse: File,
    medium: Arc<Mutex<Medium>>,
    ends: Arc<AtomicBool>,
}

/// The numbers of the requests that are understood.
mod op {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const DESTROY: u32 = 38;
    pub(super) const BATCH_FORGET: u32 = 42;
}

const NO_ENTRY: i32 = -2;
const INPUT_OUTPUT: i32 = -5;
const NO_SUCH_CALL: i32 = -38;
/// The root, and the file in it.
const ROOT: u64 = 1;
const FILE: u64 = 2;
/// The most that is written at once.
const WRITE_MAX: u32 = 128 << 10;
/// Before the fields of a request, before those of an answer.
const ASKED: usize = 40;
const ANSWER: usize = 16;

impl Server {
    fn serve(&mut self) {
        let mut buffer = vec![0; WRITE_MAX as usize + PAGE];
        while !self.ends.load(SeqCst) {
            match self.fuse.read(&mut buffer) {
                Ok(len) => {
                    let Some(request) = buffer.get(..len) else { return };
                    if self.answer(request).is_none() {
                        return;
                    }
                }
                // Not mounted yet; or somebody gave up waiting.
                Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::NotFound) => {}
                Err(_) => return,
            }
        }
    }

    /// Do what is asked; `None` when there will be no more.
    fn answer(&mut self, request: &[u8]) -> Option<()> {
        let (code, unique, node) = (u32_at(request, 4)?, u64_at(request, 8)?, u64_at(request, 16)?);
        let rest = request.get(ASKED..)?;
        let sick = self.sickness(code, request);
        let answer = match code {
            _ if sick == Some(Mood::Hangs) => return Some(()),
            _ if sick.is_some() => Err(INPUT_OUTPUT),
            op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return Some(()),
            op::INIT => Ok(welcome(rest)?),
            op::LOOKUP if node == ROOT && rest == b"disk\0" => Ok(self.entry()),
            op::LOOKUP => Err(NO_ENTRY),
            op::GETATTR => {
                let valid = [&1_u64.to_ne_bytes()[..], &[0; 8]].concat();
                Ok([valid, self.attributes(node)].concat())
            }
            op::OPEN => Ok(vec![0; 16]),
            op::READ => Ok(self.read(u64_at(rest, 8)?, u32_at(rest, 16)?)),
            op::WRITE => {
                let size = u32_at(rest, 16)?;
                self.write(u64_at(rest, 8)?, rest.get(40..40 + size as usize)?);
                Ok([size.to_ne_bytes(), [0; 4]].concat())
            }
            op::FSYNC => {
                self.note(Deed::Flush);
                Ok(Vec::new())
            }
            op::FLUSH | op::RELEASE | op::DESTROY => Ok(Vec::new()),
            _ => Err(NO_SUCH_CALL),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (error, Vec::new()),
        };
        let mut words = ((ANSWER + body.len()) as u32).to_ne_bytes().to_vec();
        words.extend(error.to_ne_bytes());
        words.extend(unique.to_ne_bytes());
        words.extend(body);
        match self.fuse.write(&words) {
            Ok(_) => Some(()),
            // Nobody waits for it any more.
            Err(e) if e.kind() == ErrorKind::NotFound => Some(()),
            Err(_) => None,
        }
    }

    /// What its mood makes of this request, if anything. One that hangs is held.
    fn sickness(&self, code: u32, request: &[u8]) -> Option<Mood> {
        let mut medium = self.medium();
        let sick = match (medium.mood, code) {
            (Mood::Hangs | Mood::HangsAltogether, op::FSYNC)
            | (Mood::HangsAltogether, op::WRITE) => Mood::Hangs,
            (Mood::FailsFlushes, op::FSYNC) | (Mood::FailsWrites, op::WRITE) => medium.mood,
            _ => return None,
        };
        medium.sick += 1;
        if sick == Mood::Hangs {
            medium.held.push(request.to_vec());
        }
        Some(sick)
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, deed: Deed) {
        let mut medium = self.medium();
        medium.deeds.push(deed);
        medium.tick.set(medium.deeds.len());
    }

    fn read(&self, at: u64, size: u32) -> Vec<u8> {
        let medium = self.medium();
        let from = (at as usize).min(medium.bytes.len());
        let to = (from + size as usize).min(medium.bytes.len());
        medium.bytes[from..to].to_vec()
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        if let Some(place) = self.medium().bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.note(Deed::Write(at, bytes.to_vec()));
    }

    /// What there is to know of a file or the root.
    fn attributes(&self, node: u64) -> Vec<u8> {
        let len = self.medium().bytes.len() as u64;
        let (mode, size): (u32, u64) = if node == FILE { (0o100_600, len) } else { (0o40_700, 0) };
        let mut words = Vec::with_capacity(88);
        for word in [node, size, size / 512, 0, 0, 0] {
            words.extend(word.to_ne_bytes());
        }
        // Parts of seconds, mode, links, owner, group, device, block size, flags.
        for word in [0, 0, 0, mode, 1, 0, 0, 0, PAGE as u32, 0] {
            words.extend(word.to_ne_bytes());
        }
        words
    }

    fn entry(&self) -> Vec<u8> {
        let mut words = Vec::with_capacity(128);
        // Node, generation, and for how many seconds both answers hold.
        for word in [FILE, 0, 3_600, 3_600, 0] {
            words.extend(word.to_ne_bytes());
        }
        words.extend(self.attributes(FILE));
        words
    }
}

/// The answer to the first request.
fn welcome(asked: &[u8]) -> Option<Vec<u8>> {
    /// Writes longer than a page; a number of pages of our own.
    const FLAGS: u32 = 1 << 5 | 1 << 22;
    let ahead = u32_at(asked, 8)?;
    let mut words = Vec::with_capacity(64);
    for word in [7, 31, ahead, FLAGS] {
        words.extend(word.to_ne_bytes());
    }
    for half in [16_u16, 12] {
        words.extend(half.to_ne_bytes());
    }
    for word in [WRITE_MAX, 1] {
        words.extend(word.to_ne_bytes());
    }
    words.extend(((WRITE_MAX as usize / PAGE) as u16).to_ne_bytes());
    words.resize(64, 0);
    Some(words)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

const PAGE: usize = 4_096;
