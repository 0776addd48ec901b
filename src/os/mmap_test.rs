//! Floor 5. Segments as files: every method, what a full disk does, and whose the directory is.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "what was skipped is said")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::mmap::{Directory, Unusable};
use crate::base::rng::Rng;
use crate::journal::storage::{SegmentFile, Storage};

const LEN: u32 = 64 << 10;

/// A directory that goes when its test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let n = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("spindle-mmap-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Directory {
        Directory::open(&self.0).unwrap()
    }

    fn segment(&self, no: u32) -> PathBuf {
        self.0.join(format!("journal/{no:08x}.seg"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_segment_is_zeroes_under_its_header() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    drop(storage.create(0xab, LEN, b"header").unwrap());
    let all = std::fs::read(dir.segment(0xab)).unwrap();
    assert_eq!((all.len(), &all[..6]), (LEN as usize, &b"header"[..]));
    assert!(all[6..].iter().all(|b| *b == 0));
    assert_eq!(storage.segments().unwrap(), [SegmentFile { no: 0xab, len: u64::from(LEN) }]);
}

#[test]
fn what_a_slate_wrote_is_read_and_survives_a_new_start() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    let mut slate = storage.create(1, LEN, b"").unwrap();
    slate.write(4_090, b"across a page");
    slate.write(LEN - 3, b"end");
    let mut buf = [0; 13];
    storage.read(1, 4_090, &mut buf).unwrap();
    assert_eq!(&buf, b"across a page");
    storage.sync(1).unwrap();
    drop((slate, storage));
    let mut storage = dir.open();
    let mut slate = storage.open(1).unwrap();
    slate.write(4_090, b"ACROSS");
    storage.read(1, 4_090, &mut buf).unwrap();
    assert_eq!(&buf, b"ACROSS a page");
    let mut end = [0; 3];
    storage.read(1, u64::from(LEN) - 3, &mut end).unwrap();
    assert_eq!(&end, b"end");
}

#[test]
fn reading_behind_the_end_is_an_error_with_its_place() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    drop(storage.create(1, LEN, b"").unwrap());
    let error = storage.read(1, u64::from(LEN) - 3, &mut [0; 4]).unwrap_err();
    assert_eq!((error.segment, error.offset, error.full), (1, u64::from(LEN) - 3, false));
    let error = storage.read(2, 0, &mut [0; 4]).unwrap_err();
    assert_eq!((error.segment, error.full), (2, false));
    assert!(storage.open(2).is_err() && storage.sync(2).is_err() && storage.remove(2).is_err());
}

#[test]
#[should_panic(expected = "beyond the end")]
fn a_write_behind_the_end_is_not_survived() {
    let dir = Scratch::new();
    let mut slate = dir.open().create(1, LEN, b"").unwrap();
    slate.write(LEN - 3, b"1234");
}

/// Nothing is mapped that the file does not have, so no access can be a bus error.
#[test]
fn a_file_cut_short_is_an_error_and_no_signal() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    drop(storage.create(1, LEN, b"").unwrap());
    std::fs::File::options().write(true).open(dir.segment(1)).unwrap().set_len(100).unwrap();
    assert_eq!(storage.segments().unwrap(), [SegmentFile { no: 1, len: 100 }]);
    let mut slate = storage.open(1).unwrap();
    slate.write(96, b"last");
    assert!(storage.read(1, 96, &mut [0; 8]).is_err());
}

fn cut(path: PathBuf, len: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_segment_that_somebody_cuts_short_while_it_is_written_is_an_error_at_its_sync() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    let mut slate = storage.create(1, LEN, b"").unwrap();
    slate.write(20_000, b"here");
    storage.sync(1).unwrap();
    cut(dir.segment(1), 4_096);
    // Without a write it is seen by the sync alone.
    assert!(slate.is_whole() && storage.sync(1).is_err());
    slate.write(20_000, b"nowhere");
    slate.write(LEN - 8, b"nowhere");
    assert!(!slate.is_whole(), "and this is still here to say so");
    // As long as it was, with holes: what was written is not in it.
    cut(dir.segment(1), u64::from(LEN));
    let error = storage.sync(1).unwrap_err();
    assert!(!error.full && error.segment == 1, "{error}");
    let mut whole = storage.create(2, LEN, b"").unwrap();
    whole.write(20_000, b"here");
    assert!(whole.is_whole() && storage.sync(2).is_ok(), "others are what they were");
    drop(slate);
    let mut again = storage.create(1, LEN, b"").unwrap();
    again.write(20_000, b"here");
    assert!(again.is_whole() && storage.sync(1).is_ok(), "made anew it is another");
}

/// The other half of the next test, in a process that is to end.
#[test]
fn bus() {
    let Ok(dir) = std::env::var("SPINDLE_TEST_BUS") else { return };
    let mut storage = Directory::open(dir.as_ref()).unwrap();
    let mut slate = storage.create(1, LEN, b"").unwrap();
    cut(PathBuf::from(&dir).join("journal/00000001.seg"), 0);
    slate.write(0, b"nowhere");
    println!("survived its own");
    // Of no page of ours: those who were asked before may take one to restore what was before them,
    // and what comes before the last was taken counts as one with it.
    for _ in 0..50 {
        let me = std::process::id().to_string();
        Command::new("kill").args(["-BUS", &me]).status().unwrap();
    }
    println!("survived the others'");
}

#[test]
fn a_bus_error_of_somebody_else_ends_the_process_as_ever() {
    use std::os::unix::process::ExitStatusExt;

    let dir = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "os::mmap_test::bus", "--nocapture"]).stdin(Stdio::null());
    let out = child.env("SPINDLE_TEST_BUS", &dir.0).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("survived its own") && !said.contains("the others'"), "{said}");
    assert_eq!(out.status.signal(), Some(libc::SIGBUS), "{}", out.status);
}

#[test]
fn creating_replaces_what_was_not_finished() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    drop(storage.create(1, LEN * 2, b"old").unwrap());
    storage.sync(1).unwrap();
    drop(storage.create(1, LEN, b"new").unwrap());
    let mut buf = [0; 3];
    storage.read(1, 0, &mut buf).unwrap();
    assert_eq!(&buf, b"new");
    assert_eq!(storage.segments().unwrap(), [SegmentFile { no: 1, len: u64::from(LEN) }]);
}

#[test]
fn segments_are_listed_in_order_and_nothing_else_is() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    for no in [0x10, 2, 0xf] {
        drop(storage.create(no, LEN, b"").unwrap());
    }
    for name in ["1.seg", "0000001G.seg", "00000001.tmp", "0000000A.seg", "000000001.seg"] {
        std::fs::write(dir.0.join("journal").join(name), b"not ours").unwrap();
    }
    let found: Vec<u32> = storage.segments().unwrap().iter().map(|s| s.no).collect();
    assert_eq!(found, [2, 0xf, 0x10]);
    storage.remove(0xf).unwrap();
    let found: Vec<u32> = storage.segments().unwrap().iter().map(|s| s.no).collect();
    assert_eq!(found, [2, 0x10]);
    assert!(storage.read(0xf, 0, &mut [0; 1]).is_err(), "its descriptor is gone too");
}

#[test]
fn a_copy_set_aside_replaces_no_earlier_one() {
    let dir = Scratch::new();
    let mut storage = dir.open();
    let mut slate = storage.create(7, LEN, b"").unwrap();
    let first = storage.set_aside(7).unwrap();
    slate.write(0, b"later");
    let second = storage.set_aside(7).unwrap();
    assert_ne!(first, second);
    assert_eq!(std::fs::read(&first).unwrap(), vec![0; LEN as usize]);
    assert!(std::fs::read(&second).unwrap().starts_with(b"later"));
    assert_eq!(storage.segments().unwrap().len(), 1);
}

#[test]
fn the_directory_is_taken_until_it_is_dropped() {
    let dir = Scratch::new();
    let first = dir.open();
    match Directory::open(&dir.0) {
        Err(e @ Unusable::Taken { .. }) => {
            let said = e.to_string();
            assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    dir.open();
}

#[test]
fn nobody_else_may_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;

    let dir = Scratch::new();
    let mut storage = dir.open();
    drop(storage.create(1, LEN, b"").unwrap());
    let copy = storage.set_aside(1).unwrap();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.segment(1)), 0o600);
    assert_eq!(mode(copy.into()), 0o600);
    assert_eq!(mode(dir.0.join("LOCK")), 0o600);
    assert_eq!(mode(dir.0.join("journal")), 0o700);
}

/// A sync after one small record writes little: new segments are in small pages.
#[cfg(target_os = "linux")]
#[test]
fn a_sync_of_a_little_writes_a_little() {
    let written = || -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap_or_default();
        let line = io.lines().find_map(|l| l.strip_prefix("write_bytes: "));
        line.map_or(0, |n| n.parse().unwrap())
    };
    let dir = Scratch::new();
    let mut storage = dir.open();
    let before = written();
    let mut slate = storage.create(1, 4 << 20, b"").unwrap();
    if written() < before + (4 << 20) {
        println!("skipped: the file system does not count what is written to it");
        return;
    }
    let before = written();
    let mut rng = Rng::new(1);
    for _ in 0..16 {
        slate.write(rng.below((4 << 20) - 300) as u32, &[7; 300]);
        storage.sync(1).unwrap();
    }
    let each = (written() - before) / 16;
    assert!(each <= 64 << 10, "{each} bytes for a record of 300");
}

/// The other half of the next test, in a process whose files may not grow.
#[test]
fn full() {
    let Ok(dir) = std::env::var("SPINDLE_TEST_FULL") else { return };
    let mut storage = Directory::open(dir.as_ref()).unwrap();
    drop(storage.create(1, 32 << 10, b"").unwrap());
    let error = storage.create(2, 1 << 20, b"").unwrap_err();
    assert!(error.full, "{error}");
    let found = storage.segments().unwrap();
    assert_eq!(found, [SegmentFile { no: 1, len: 32 << 10 }], "no half a segment stays");
    println!("full as expected");
}

#[test]
fn no_space_is_told_from_other_errors() {
    let dir = Scratch::new();
    let me = std::env::current_exe().unwrap();
    // Files of 128 KiB at most, and no signal about it: what a full disk is to a program.
    let script = "trap '' XFSZ; ulimit -f 256; exec \"$0\" --exact os::mmap_test::full --nocapture";
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(me).env("SPINDLE_TEST_FULL", &dir.0).stdin(Stdio::null());
    let out = child.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("full as expected"), "{said}");
}
