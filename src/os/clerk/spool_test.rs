//! Floor 5. Long files that wait for those who hear of them: they come, are read, and go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;

use super::files::Folders;
use super::spool::{Readers, Room};
use super::*;
use crate::proto::aio::Text;
use crate::proto::aio::file::{CHUNK, Chunk, WithFile};

/// A folder with room for a little, and who writes and reads there.
struct Bench {
    path: PathBuf,
    room: Room,
    folders: Folders,
    readers: Readers,
    now: Now,
}

const NOW: Now = Now { mono: 0, wall: 4_000_000_000_000 };

impl Bench {
    fn new(name: &str) -> Self {
        let own = format!("spindle-spool-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(own);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("any")).unwrap();
        let room = Room { bytes: 10, ms: 1_000 };
        let folders = Folders::new(7, Most::default(), room);
        Self { path, room, folders, readers: Readers::default(), now: NOW }
    }

    fn desk(&self) -> Desk {
        Desk { files: Some(self.path.to_str().unwrap().to_owned()), ..Desk::default() }
    }

    fn run(&mut self, errand: Errand) -> Ran {
        let (desk, conn) = (self.desk(), ConnId { index: 1, life: 0 });
        match errand.lane() {
            Lane::Fetching => self.readers.run(&desk, (conn, errand), self.now),
            _ => self.folders.run(&desk, (conn, errand), self.now),
        }
    }

    fn come(&mut self, with: WithFile, keep: bool, content: &'static [u8]) -> Ran {
        let from = Name::new(&Text::from("ann")).unwrap();
        let (with, size) = (Box::new(with), content.len() as u64);
        match self.run(Errand::Open { from, with, size, keep, pass: true }) {
            Ran::Taken => {}
            other => return other,
        }
        self.run(Errand::Piece(Bytes::from_static(content)));
        self.run(Errand::Close)
    }

    /// A file that waits: its number.
    fn waits(&mut self, content: &'static [u8]) -> u64 {
        match self.come(with("a"), false, content) {
            Ran::Spooled { number, stored: false, .. } => number,
            other => panic!("{other:?}"),
        }
    }

    fn fetch(&mut self, number: u64, size: u64, (at, len): (u64, usize)) -> Option<Vec<u8>> {
        match self.run(Errand::Fetch { number, size, at, len }) {
            Ran::Fetched(piece) => Some(piece.to_vec()),
            _ => None,
        }
    }

    fn is_there(&mut self, number: u64, size: u64) -> bool {
        self.fetch(number, size, (0, 1)).is_some()
    }

    fn list(&self, below: &str) -> Vec<String> {
        let all = fs::read_dir(self.path.join(below)).into_iter().flatten();
        let mut all: Vec<String> =
            all.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    fn spool(&self) -> Vec<String> {
        self.list(".spindle-spool")
    }

    fn pass(&mut self, ms: u64) {
        self.now.wall += ms;
        self.now.mono += ms * crate::base::time::MS;
        self.folders.on_time(self.now);
    }

    /// Another broker begins where this one was.
    fn again(&mut self) {
        self.folders = Folders::new(8, Most::default(), self.room);
        self.readers = Readers::default();
        let at = self.path.to_str().unwrap().to_owned();
        self.folders.recall(&[at], self.now);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn with(place: &str) -> WithFile {
    WithFile { dst_type: "any".into(), dst_name: place.into(), ..WithFile::default() }
}

#[test]
fn what_waits_is_read_piece_by_piece_and_is_where_it_belongs_as_well() {
    let mut it = Bench::new("both");
    let Ran::Spooled { at, number, stored } = it.come(with("a"), true, b"123456") else { panic!() };
    assert!(stored);
    assert_eq!(Some(at.as_str()), it.path.to_str());
    assert_eq!(fs::read(it.path.join("any/a")).unwrap(), b"123456");
    assert_eq!((it.list("any"), it.spool().len()), (vec!["a".to_owned()], 1));
    assert_eq!(it.fetch(number, 6, (0, 4)).as_deref(), Some(&b"1234"[..]));
    assert_eq!(it.fetch(number, 6, (4, 2)).as_deref(), Some(&b"56"[..]));
    let other = it.waits(b"xy");
    assert_ne!(number, other);
    assert_eq!(it.fetch(other, 2, (0, 2)).as_deref(), Some(&b"xy"[..]));
    assert_eq!(it.list("any"), ["a"], "it belongs nowhere here");
}

#[test]
fn what_cannot_be_where_it_belongs_waits_all_the_same() {
    let mut it = Bench::new("only");
    for (place, wanted) in [("../a", false), ("a", true), ("a", false)] {
        let came = it.come(with(place), true, b"1");
        assert!(
            matches!(came, Ran::Spooled { stored, .. } if stored == wanted),
            "{place} {came:?}"
        );
    }
    let none = WithFile { dst_type: "none".into(), ..with("a") };
    assert!(matches!(it.come(none, true, b"1"), Ran::Spooled { stored: false, .. }));
}

#[test]
fn the_folder_of_what_waits_is_the_brokers_alone_and_no_name_leads_there() {
    let mut it = Bench::new("alone");
    it.waits(b"1");
    let mode = fs::metadata(it.path.join(".spindle-spool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let there = WithFile { dst_type: ".spindle-spool".into(), ..with("a") };
    assert!(matches!(it.come(there, true, b"2"), Ran::Spooled { stored: false, .. }));
    assert!(it.spool().iter().all(|name| name.len() == 16), "{:?}", it.spool());
}

#[test]
fn what_waits_goes_when_all_have_it_and_at_once_when_nobody_is_to() {
    let mut it = Bench::new("had");
    let (two, none, one) = (it.waits(b"1"), it.waits(b"2"), it.waits(b"3"));
    assert_eq!(it.run(Errand::Told { number: two, readers: 2 }), Ran::Noted);
    it.run(Errand::Told { number: none, readers: 0 });
    it.run(Errand::Told { number: one, readers: 1 });
    assert_eq!(it.spool().len(), 2);
    it.run(Errand::Had(two));
    it.run(Errand::Had(one));
    assert!(it.is_there(two, 1) && !it.is_there(one, 1));
    it.run(Errand::Had(two));
    assert_eq!(it.spool(), [""; 0]);
}

#[test]
fn who_reads_a_file_reads_it_to_its_end_whatever_becomes_of_it() {
    let mut it = Bench::new("open");
    let number = it.waits(b"123456");
    assert!(it.is_there(number, 6));
    it.run(Errand::Told { number, readers: 0 });
    assert_eq!(it.fetch(number, 6, (1, 5)).as_deref(), Some(&b"23456"[..]));
    assert_eq!(it.fetch(number, 6, (1, 5)), None, "then it is shut");
    let left = it.waits(b"12");
    assert!(it.is_there(left, 2));
    assert_eq!(it.fetch(number, 2, (1, 1)), None, "the one that is open is another");
    assert!(it.is_there(left, 2));
    it.run(Errand::Leave);
    assert_eq!(it.fetch(left, 2, (1, 1)), None, "and so it is when its reader is gone");
}

#[test]
fn what_is_not_as_long_as_it_was_is_not_read_and_not_tried_again() {
    let mut it = Bench::new("short");
    let number = it.waits(b"123456");
    let path = it.path.join(".spindle-spool").join(format!("{number:016x}"));
    assert_eq!(it.fetch(number, 7, (0, 1)), None);
    assert!(it.is_there(number, 6));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(3).unwrap();
    assert_eq!(it.fetch(number, 6, (1, 1)), None, "within it");
    assert!(!path.exists(), "it would end there again");
}

#[test]
fn the_oldest_go_when_another_needs_their_room_and_what_has_none_is_refused() {
    let mut it = Bench::new("room");
    let first = it.waits(b"1234");
    it.pass(1);
    let second = it.waits(b"1234");
    it.pass(1);
    let third = it.waits(b"123");
    assert!(!it.is_there(first, 4) && it.is_there(second, 4) && it.is_there(third, 3));
    assert!(matches!(it.come(with("b"), false, b"12345678901"), Ran::Not(_)), "more than all");
    assert!(it.is_there(second, 4), "for that nobody has to go");
    assert_eq!(it.come(with("b"), true, b"12345678901"), Ran::Stored, "it is here alone");
    let (from, about) = (Name::new(&Text::from("bob")).unwrap(), Box::new(with("c")));
    let desk = it.desk();
    let open = Errand::Open { from, with: about, size: 8, keep: false, pass: true };
    let other = ConnId { index: 2, life: 0 };
    assert_eq!(it.folders.run(&desk, (other, open), it.now), Ran::Taken);
    assert!(!it.is_there(third, 3), "what comes has its room");
    assert!(matches!(it.come(with("d"), false, b"123"), Ran::Not(_)), "too");
}

#[test]
fn what_has_waited_for_too_long_goes() {
    let mut it = Bench::new("age");
    let first = it.waits(b"1");
    it.pass(600);
    let second = it.waits(b"2");
    it.pass(399);
    assert!(it.is_there(first, 1));
    assert_eq!(it.folders.on_time(it.now), Some(it.now.after_ms(1)));
    it.pass(1);
    assert!(!it.is_there(first, 1) && it.is_there(second, 1));
    it.pass(600);
    assert_eq!(it.spool(), [""; 0]);
    assert_eq!(it.folders.on_time(it.now), None);
}

#[test]
fn what_an_earlier_broker_left_waits_on_until_its_time_and_within_the_room() {
    let mut it = Bench::new("again");
    let number = it.waits(b"1234");
    it.run(Errand::Told { number, readers: 2 });
    let spool = it.path.join(".spindle-spool");
    fs::write(spool.join("00000000000000aa.part"), b"1").unwrap();
    fs::write(spool.join("own"), b"1").unwrap();
    let real = fs::metadata(spool.join(format!("{number:016x}"))).unwrap().modified().unwrap();
    let wall = real.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    it.now.wall = wall + 10;
    it.again();
    assert!(it.is_there(number, 4) && it.spool().len() == 2, "what was not whole is gone");
    it.run(Errand::Had(number));
    it.run(Errand::Had(number));
    assert!(it.is_there(number, 4), "for how many it was is not known any more");
    it.room.bytes = 3;
    it.again();
    assert!(!it.is_there(number, 4), "there is less room");
    it.room.bytes = 10;
    let number = it.waits(b"1");
    it.now.wall = wall + 3_600_000;
    it.again();
    it.pass(0);
    assert!(!it.is_there(number, 1), "its time is over");
    assert_eq!(it.spool(), ["own"]);
}

#[test]
fn a_file_of_a_day_to_come_has_its_time_from_now_on() {
    let mut it = Bench::new("to-come");
    let number = it.waits(b"1");
    it.now.wall = 1_000;
    it.again();
    it.pass(999);
    assert!(it.is_there(number, 1));
    it.pass(1);
    assert!(!it.is_there(number, 1), "clocks may be set");
}

#[test]
fn what_grows_where_it_belongs_stays_as_it_was_where_it_waits() {
    let mut it = Bench::new("parts");
    let part = |index: u32| {
        let base = format!("a{CHUNK}");
        let chunked = Chunk { base: base.as_str().into(), index, count: 2 };
        WithFile { chunked: Some(chunked), ..with(&format!("{base}_{index}_2")) }
    };
    let Ran::Spooled { number, .. } = it.come(part(1), true, b"12") else { panic!() };
    assert!(matches!(it.come(part(2), true, b"34"), Ran::Spooled { stored: true, .. }));
    assert_eq!(fs::read(it.path.join("any/a")).unwrap(), b"1234");
    assert_eq!(it.fetch(number, 2, (0, 2)).as_deref(), Some(&b"12"[..]));
}

#[test]
fn what_is_not_ended_leaves_nothing_where_it_would_have_waited() {
    let mut it = Bench::new("left");
    let from = Name::new(&Text::from("ann")).unwrap();
    let open = Errand::Open { from, with: Box::new(with("a")), size: 4, keep: true, pass: true };
    assert_eq!(it.run(open.clone()), Ran::Taken);
    assert_eq!(it.run(Errand::Piece(Bytes::from_static(b"12"))), Ran::Taken);
    it.run(Errand::Abandon);
    assert_eq!((it.spool(), it.list("any")), (Vec::new(), Vec::new()));
    assert_eq!(it.run(open), Ran::Taken);
    assert!(matches!(it.run(Errand::Close), Ran::Not(_)), "it is shorter");
    assert_eq!((it.spool(), it.list("any")), (Vec::new(), Vec::new()));
    fs::remove_dir_all(it.path.join(".spindle-spool")).unwrap();
    assert!(matches!(it.come(with("b"), false, b"1"), Ran::Not(_)), "nobody made it anew");
    it.waits(b"1");
}
