//! Floor 5. What is kept on the disk, with the disk as it is and as a crash leaves it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::chest::{Chest, Failures, Refused};
use crate::client::pipe::seed;

/// A folder of a test's own.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("spindle-aio-chest-{:x}", seed())))
    }

    fn open(&self, max: u64) -> Chest {
        self.watched(max, &Failures::default())
    }

    fn watched(&self, max: u64, failures: &Failures) -> Chest {
        Chest::open(&self.0, max, failures).expect("it opens")
    }

    /// Its files with messages, the oldest first.
    fn parts(&self) -> Vec<PathBuf> {
        let entry = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").path();
        let mut all: Vec<PathBuf> = fs::read_dir(&self.0).expect("a folder").map(entry).collect();
        all.retain(|path| path.extension().is_some());
        all.sort();
        all
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn put(chest: &mut Chest, messages: &[&str]) {
    for message in messages {
        chest.put(message.as_bytes()).expect("room");
    }
}

fn take(chest: &mut Chest) -> Option<(u64, String)> {
    let taken = chest.take().expect("good");
    taken.map(|(number, bytes)| (number, String::from_utf8(bytes).expect("text")))
}

/// Everything that is there, which is under way from then on.
fn all(chest: &mut Chest) -> Vec<String> {
    core::iter::from_fn(|| take(chest).map(|(_, text)| text)).collect()
}

#[test]
fn what_is_kept_comes_out_in_its_order_and_goes_when_it_has_arrived() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b", "c"]);
    assert_eq!(take(&mut chest), Some((0, "a".to_owned())));
    assert_eq!(take(&mut chest), Some((1, "b".to_owned())));
    assert_eq!((chest.len(), chest.under_way()), (3, 2));
    chest.settle(1);
    chest.settle(1);
    assert!(chest.has_next() && !chest.is_empty());
    put(&mut chest, &["d"]);
    assert_eq!(all(&mut chest), ["c", "d"]);
    for number in [0, 2, 3] {
        chest.settle(number);
    }
    assert!(chest.is_empty() && !chest.has_next());
    assert_eq!((chest.len(), chest.under_way()), (0, 0));
}

#[test]
fn what_has_not_arrived_is_there_again_after_a_crash() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b", "c"]);
    all(&mut chest);
    chest.settle(0);
    chest.settle(2);
    drop(chest);
    let mut chest = dir.open(1 << 20);
    assert_eq!(chest.len(), 2, "what arrived behind something else comes twice");
    put(&mut chest, &["d"]);
    assert_eq!(all(&mut chest), ["b", "c", "d"]);
    for number in 1..4 {
        chest.settle(number);
    }
    drop(chest);
    let mut chest = dir.open(1 << 20);
    assert!(chest.is_empty());
    put(&mut chest, &["e"]);
    assert_eq!(take(&mut chest), Some((4, "e".to_owned())), "numbers go on");
}

#[test]
fn a_file_that_the_disk_did_not_take_in_is_not_written_any_more() {
    let dir = Dir::new();
    let failures = Failures::default();
    let mut chest = dir.watched(1 << 20, &failures);
    put(&mut chest, &["a"]);
    chest.sync().expect("a good disk");
    chest.fail("/dev/null");
    put(&mut chest, &["b"]);
    assert!(chest.sync().is_err());
    chest.sync().expect("nothing was put in since");
    assert_eq!(failures.load(Ordering::Relaxed), 1);
    put(&mut chest, &["c"]);
    chest.sync().expect("another file");
    drop(chest);
    assert_eq!(all(&mut dir.open(1 << 20)), ["a", "c"]);
}

#[test]
fn what_a_full_disk_did_not_take_is_refused_and_counted_and_what_follows_is_good() {
    let dir = Dir::new();
    let failures = Failures::default();
    let mut chest = dir.watched(1 << 20, &failures);
    put(&mut chest, &["a"]);
    chest.fail("/dev/full");
    assert!(matches!(chest.put(b"b"), Err(Refused::Disk(_))));
    assert_eq!(failures.load(Ordering::Relaxed), 1, "what stood before it may not survive");
    put(&mut chest, &["c"]);
    drop(chest);
    assert_eq!(all(&mut dir.open(1 << 20)), ["a", "c"]);
}

#[test]
fn what_is_kept_comes_out_byte_for_byte_whatever_it_holds() {
    let dir = Dir::new();
    let separator = crate::proto::aio::shelf::SEPARATOR;
    let every: Vec<u8> = (0..=255).collect();
    let messages: Vec<Vec<u8>> =
        vec![separator.to_vec(), [b"a", separator, b"b"].concat(), every, vec![0; 40]];
    let mut chest = dir.open(1 << 20);
    for message in &messages {
        chest.put(message).expect("room");
    }
    drop(chest);
    let mut chest = dir.open(1 << 20);
    for message in &messages {
        assert_eq!(chest.take().expect("good").map(|(_, bytes)| bytes).as_ref(), Some(message));
    }
    assert!(!chest.has_next());
}

#[test]
fn what_was_taken_out_in_vain_comes_before_anything_else() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b", "c", "d"]);
    for _ in 0..3 {
        take(&mut chest);
    }
    chest.settle(0);
    chest.put_back(2);
    chest.put_back(1);
    chest.put_back(0);
    assert_eq!(chest.under_way(), 0);
    assert_eq!(all(&mut chest), ["b", "c", "d"]);
}

#[test]
fn no_more_is_kept_than_the_bound_and_room_comes_back() {
    let dir = Dir::new();
    // Each takes eight bytes more than it has.
    let mut chest = dir.open(30);
    put(&mut chest, &["0123456", "0123456"]);
    assert!(matches!(chest.put(b""), Err(Refused::Full)), "not even by one");
    take(&mut chest);
    assert!(matches!(chest.put(b""), Err(Refused::Full)), "it has not arrived");
    chest.settle(0);
    put(&mut chest, &["0123456"]);
    drop(chest);
    let mut chest = dir.open(30);
    assert!(matches!(chest.put(b"x"), Err(Refused::Full)), "what is there counts");
    assert_eq!(all(&mut chest).len(), 2);
    chest.settle(1);
    drop(chest);
    put(&mut dir.open(30), &["0123456"]);
}

#[test]
fn what_is_kept_is_for_its_owner_alone() {
    let dir = Dir::new();
    put(&mut dir.open(1 << 20), &["a"]);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&dir.0) & 0o7777, 0o700);
    let floor = dir.0.join("floor");
    for path in dir.parts().iter().chain([&floor]) {
        assert_eq!(mode(path) & 0o7777, 0o600, "{}", path.display());
    }
}

#[test]
fn what_is_put_in_behind_a_file_that_lost_its_end_has_the_number_of_its_place() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b"]);
    all(&mut chest);
    chest.settle(0);
    chest.settle(1);
    drop(chest);
    let path = dir.parts().pop().expect("a file");
    // All of it has arrived, but of that the file knows only half.
    OpenOptions::new().write(true).open(path).and_then(|it| it.set_len(9)).expect("cut");
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["c"]);
    assert_eq!(take(&mut chest), Some((2, "c".to_owned())));
}

#[test]
fn what_a_crash_has_torn_is_cut_off_and_what_follows_is_good() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b"]);
    drop(chest);
    let path = dir.parts().pop().expect("a file");
    let whole = fs::read(&path).expect("read");
    for len in 10..whole.len() {
        fs::write(&path, &whole[..len]).expect("written");
        let mut chest = dir.open(1 << 20);
        put(&mut chest, &["c"]);
        assert_eq!(all(&mut chest), ["a", "c"], "{len}");
        drop(chest);
        for path in dir.parts() {
            fs::remove_file(path).expect("removed");
        }
        fs::write(&path, &whole).expect("written");
    }
}

#[test]
fn a_length_that_cannot_be_and_a_wrong_checksum_end_a_file() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a"]);
    drop(chest);
    let path = dir.parts().pop().expect("a file");
    let mut file = OpenOptions::new().append(true).open(&path).expect("opened");
    file.write_all(&[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]).expect("written");
    assert_eq!(all(&mut dir.open(1 << 20)), ["a"]);
    let mut whole = fs::read(&path).expect("read");
    *whole.last_mut().expect("a byte") ^= 1;
    fs::write(&path, &whole).expect("written");
    assert!(dir.open(1 << 20).is_empty());
}

#[test]
fn a_message_that_is_damaged_costs_itself_and_no_other() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["aaaa", "bbbb", "cccc"]);
    let path = dir.parts().pop().expect("a file");
    let mut whole = fs::read(&path).expect("read");
    whole[12 + 8] ^= 1;
    fs::write(&path, &whole).expect("written");
    assert_eq!(take(&mut chest).map(|it| it.1), Some("aaaa".to_owned()));
    assert!(chest.take().is_err());
    assert_eq!(take(&mut chest).map(|it| it.1), Some("cccc".to_owned()));
    chest.settle(0);
    chest.settle(2);
    assert!(chest.is_empty());
}

#[test]
fn files_go_when_all_in_them_has_arrived() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 30);
    let long = "x".repeat(1 << 20);
    for _ in 0..12 {
        put(&mut chest, &[&long]);
    }
    chest.sync().expect("synced");
    assert_eq!(dir.parts().len(), 3);
    for number in 0..12 {
        assert_eq!(take(&mut chest).map(|it| it.0), Some(number));
    }
    for number in (1..12).rev() {
        chest.settle(number);
    }
    assert_eq!(dir.parts().len(), 3, "the first has not arrived");
    chest.settle(0);
    assert_eq!(dir.parts().len(), 1);
    drop(chest);
    assert!(dir.open(1 << 30).is_empty());
}

#[test]
fn a_floor_that_is_unreadable_repeats_and_loses_nothing() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b"]);
    all(&mut chest);
    chest.settle(0);
    drop(chest);
    fs::write(dir.0.join("floor"), [7; 12]).expect("written");
    assert_eq!(all(&mut dir.open(1 << 20)), ["a", "b"]);
}

#[test]
fn what_is_thrown_away_is_gone_but_for_what_is_under_way() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b", "c"]);
    take(&mut chest);
    chest.clear().expect("cleared");
    assert_eq!((chest.len(), chest.has_next()), (1, false));
    put(&mut chest, &["d"]);
    assert_eq!(all(&mut chest), ["d"]);
    chest.settle(0);
    drop(chest);
    assert_eq!(all(&mut dir.open(1 << 20)), ["d"]);
}

#[test]
fn what_is_thrown_away_does_not_lie_on_the_disk_any_more() {
    let dir = Dir::new();
    let mut chest = dir.open(1 << 20);
    put(&mut chest, &["a", "b"]);
    chest.clear().expect("cleared");
    let bytes = |path: &PathBuf| fs::metadata(path).expect("it is there").len();
    assert_eq!(dir.parts().iter().map(bytes).sum::<u64>(), 0);
}
