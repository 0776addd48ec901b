//! Floor 3. Files from chunks: in any order, within bounds, and never where they should not go.

use super::assembly::{Assembly, Came, Most, Refused};
use super::file::{CHUNK, Chunk, Place, WithFile};
use super::names::Name;
use super::packet::Text;
use crate::base::map::Seed;
use crate::base::rng::Rng;
use crate::base::time::{Deadline, MS, Now};

const MOST: Most = Most { file: 100, all: 150, parts: 20, files: 2, idle_ms: 1_000 };

fn at(ms: u64) -> Now {
    Now { mono: ms * MS, wall: 0 }
}

fn ann() -> Name {
    Name::new(&Text::from("ann")).expect("a name")
}

fn assembly() -> Assembly<u32> {
    Assembly::new(MOST, Seed::with_seed(1))
}

fn whole(name: &str) -> WithFile {
    WithFile { dst_name: name.into(), ..WithFile::default() }
}

fn part(name: &str, index: u32, count: u32) -> WithFile {
    let base = format!("{name}{CHUNK}");
    let dst_name = format!("{base}_{index}_{count}").as_str().into();
    let chunked = Some(Chunk { base: base.as_str().into(), index, count });
    WithFile { dst_name, chunked, ..WithFile::default() }
}

fn file(came: Result<Came<u32>, Refused>) -> Option<(String, Vec<u32>)> {
    match came {
        Ok(Came::File { place, parts }) => Some((place.as_str().to_owned(), parts)),
        Ok(Came::Part | Came::Again(_)) | Err(_) => None,
    }
}

#[test]
fn a_file_that_is_no_chunk_is_whole_at_once_and_may_be_empty() {
    let mut all = assembly();
    for size in [0, 100] {
        let came = all.take(at(0), &ann(), &whole("a/b"), (size, 7));
        assert_eq!(file(came), Some(("a/b".to_owned(), vec![7])));
    }
    let came = all.take(at(0), &ann(), &whole("a"), (101, 7));
    assert_eq!(came, Err(Refused::FileSize));
    assert!(all.is_empty());
}

#[test]
fn chunks_are_joined_by_their_index_in_whatever_order_they_come() {
    let mut rng = Rng::new(5);
    for _ in 0..200 {
        let mut all = assembly();
        let mut indexes: Vec<u32> = (1..=12).collect();
        for i in (1..indexes.len()).rev() {
            indexes.swap(i, rng.below(i as u64 + 1) as usize);
        }
        for (n, index) in indexes.iter().enumerate() {
            let came = all.take(at(0), &ann(), &part("big", *index, 12), (8, *index));
            if n < 11 {
                assert_eq!(came, Ok(Came::Part));
                assert_eq!((all.len(), all.size()), (1, 8 * (n as u64 + 1)));
            } else {
                assert_eq!(file(came), Some(("big".to_owned(), (1..=12).collect())));
            }
        }
        assert_eq!((all.is_empty(), all.size()), (true, 0));
    }
    let one = assembly().take(at(0), &ann(), &part("one", 1, 1), (0, 1));
    assert_eq!(file(one), Some(("one".to_owned(), vec![1])), "a single chunk, and an empty one");
}

#[test]
fn indexes_may_have_zeros_in_front() {
    let mut padded = part("a", 1, 12);
    padded.dst_name = format!("a{CHUNK}_01_12").as_str().into();
    assert_eq!(assembly().take(at(0), &ann(), &padded, (1, 1)), Ok(Came::Part));
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_whole_or_in_parts() {
    for bad in ["", "../a", "/a", "a/../b", "~/a", "a\nb", "."] {
        let came = assembly().take(at(0), &ann(), &whole(bad), (1, 1));
        assert_eq!(came, Err(Refused::Name), "{bad}");
        let came = assembly().take(at(0), &ann(), &part(bad, 1, 2), (1, 1));
        assert_eq!(came, Err(Refused::Name), "{bad} in parts");
    }
}

#[test]
fn a_part_is_called_as_its_numbers_say_and_nothing_else() {
    let take = |part: &WithFile| assembly().take(at(0), &ann(), part, (1, 1));
    let named = |name: &str| WithFile { dst_name: name.into(), ..part("a", 1, 2) };
    for bad in ["a", "../x", "a_1_2", "_1_2", "b__aioconnectors_chunk_1_2"] {
        assert_eq!(take(&named(bad)), Err(Refused::Chunk), "{bad}");
    }
    for numbers in ["_2_2", "_1_3", "_1", "_1_2_3", "__2", "_+1_2", "_1_", "1_2", "_1_2 "] {
        let bad = format!("a{CHUNK}{numbers}");
        assert_eq!(take(&named(&bad)), Err(Refused::Chunk), "{bad}");
    }
    // The original writes wherever the base says.
    let base = Chunk { base: "/etc/cron.d/x".into(), index: 1, count: 1 };
    let name = "/etc/cron.d/x_1_1".into();
    let evil = WithFile { dst_name: name, chunked: Some(base), ..WithFile::default() };
    assert_eq!(take(&evil), Err(Refused::Chunk));
}

#[test]
fn nothing_is_let_in_beyond_what_there_is_room_for() {
    let mut all = assembly();
    let mut take = |name: &str, index, count, size| {
        all.take(at(0), &ann(), &part(name, index, count), (size, 0)).map(|_| all.size())
    };
    assert_eq!(take("a", 1, 21, 1), Err(Refused::Parts));
    assert_eq!(take("a", 1, 3, 101), Err(Refused::FileSize));
    assert_eq!(take("a", 1, 3, 60), Ok(60));
    assert_eq!(take("a", 2, 3, 41), Err(Refused::FileSize), "of the whole file");
    assert_eq!(take("b", 1, 2, 90), Ok(150));
    assert_eq!(take("a", 2, 3, 1), Err(Refused::Room));
    assert_eq!(take("a", 2, 3, 0), Ok(150));
    assert_eq!(take("a", 3, 3, 0), Ok(90), "it is whole, and its room is free again");
    assert_eq!(all.admit(&ann(), &whole("x"), u64::MAX), Err(Refused::FileSize));
    assert_eq!(all.admit(&ann(), &part("a", 1, 2), 61), Err(Refused::Room));
    assert_eq!(all.admit(&ann(), &part("a", 1, 2), 60), Ok(()));
}

#[test]
fn files_of_two_senders_or_directories_are_two_files() {
    let bob = Name::new(&Text::from("bob")).expect("a name");
    let mut all = assembly();
    let other = WithFile { dst_type: "other".into(), ..part("a", 1, 2) };
    assert_eq!(all.take(at(0), &ann(), &part("a", 1, 2), (1, 1)), Ok(Came::Part));
    assert_eq!(all.take(at(0), &ann(), &other, (1, 2)), Ok(Came::Part));
    assert_eq!(all.take(at(0), &bob, &part("a", 1, 2), (1, 3)), Ok(Came::Part));
    let came = all.take(at(0), &bob, &part("a", 2, 2), (1, 4));
    assert_eq!(file(came), Some(("a".to_owned(), vec![3, 4])));
    assert_eq!(all.gone(&bob), [0; 0]);
    assert_eq!(all.gone(&ann()), [1, 2]);
    assert_eq!((all.is_empty(), all.size()), (true, 0));
}

#[test]
fn what_is_not_finished_in_time_is_given_back() {
    let mut all = assembly();
    assert_eq!(all.deadline(), Deadline::NEVER);
    all.take(at(0), &ann(), &part("a", 2, 3), (1, 2)).expect("room");
    all.take(at(500), &ann(), &part("a", 1, 3), (1, 1)).expect("room");
    all.take(at(600), &ann(), &part("b", 1, 3), (1, 3)).expect("room");
    assert_eq!(all.deadline(), Deadline(1_500 * MS), "from one part to the next");
    assert_eq!(all.due(at(1_499)), [0; 0]);
    assert_eq!(all.due(at(1_500)), [1, 2]);
    assert_eq!((all.len(), all.size(), all.deadline()), (1, 1, Deadline(1_600 * MS)));
    let came = all.take(at(1_550), &ann(), &part("a", 1, 3), (1, 9));
    assert_eq!(came, Ok(Came::Part), "it begins anew");
}

#[test]
fn what_comes_again_takes_the_place_of_what_was_there() {
    let mut all = assembly();
    let mut take = |index, count, size, what| {
        let came = all.take(at(0), &ann(), &part("a", index, count), (size, what));
        (came, all.size())
    };
    assert_eq!(take(1, 3, 60, 1), (Ok(Came::Part), 60));
    assert_eq!(take(2, 3, 40, 2), (Ok(Came::Part), 100));
    assert_eq!(take(1, 3, 61, 3), (Err(Refused::FileSize), 100));
    assert_eq!(take(1, 3, 50, 4), (Ok(Came::Part), 90), "it may be of another size");
    assert_eq!(take(2, 3, 0, 5), (Ok(Came::Part), 50));
    let (came, size) = take(3, 3, 0, 6);
    assert_eq!((file(came), size), (Some(("a".to_owned(), vec![4, 5, 6])), 0));
    assert_eq!(take(1, 3, 90, 7), (Ok(Came::Part), 90));
    assert_eq!(take(1, 2, 100, 8), (Ok(Came::Part), 100), "another number of parts: another file");
    let (came, size) = take(2, 2, 0, 9);
    assert_eq!((file(came), size), (Some(("a".to_owned(), vec![8, 9])), 0));
}

#[test]
fn a_sender_that_begins_too_many_files_loses_the_one_that_waits_for_longest() {
    let bob = Name::new(&Text::from("bob")).expect("a name");
    let mut all = assembly();
    let mut take = |ms, from: &Name, name: &str, index| {
        all.take(at(ms), from, &part(name, index, 3), (1, index)).map(|_| (all.len(), all.size()))
    };
    assert_eq!(take(0, &bob, "x", 1), Ok((1, 1)));
    assert_eq!(take(1, &ann(), "a", 1), Ok((2, 2)));
    assert_eq!(take(2, &ann(), "b", 1), Ok((3, 3)));
    assert_eq!(take(3, &ann(), "a", 2), Ok((3, 4)));
    assert_eq!(take(4, &ann(), "c", 1), Ok((3, 4)), "nobody else's goes");
    assert_eq!(take(5, &ann(), "a", 3), Ok((2, 2)), "and it was not this one");
}

#[test]
fn the_last_part_said_again_begins_nothing() {
    let mut all = assembly();
    let again = Ok(Came::Again(Place::new(&"a".into()).expect("a place")));
    let last = part("a", 2, 2);
    let whole = |all: &mut Assembly<u32>, ms| {
        all.take(at(ms), &ann(), &part("a", 1, 2), (1, 1)).expect("room");
        all.take(at(ms), &ann(), &last, (1, 2)).expect("room");
        all.made(at(ms), &ann(), &last);
    };
    whole(&mut all, 0);
    for ms in [0, 999] {
        assert_eq!(all.take(at(ms), &ann(), &last, (1, 2)), again);
        assert_eq!((all.len(), all.size()), (0, 0));
    }
    assert_eq!(all.take(at(1_000), &ann(), &last, (1, 2)), Ok(Came::Part), "nobody says it now");
    all.gone(&ann());
    whole(&mut all, 1_000);
    assert_eq!(all.take(at(1_001), &ann(), &part("a", 2, 3), (1, 2)), Ok(Came::Part), "another");
    all.gone(&ann());
    assert_eq!(all.take(at(1_002), &ann(), &last, (1, 2)), Ok(Came::Part), "since then it is");
    all.gone(&ann());
    let bob = Name::new(&Text::from("bob")).expect("a name");
    whole(&mut all, 1_000);
    assert_eq!(all.take(at(1_001), &bob, &last, (1, 2)), Ok(Came::Part), "bob's own");
    all.gone(&bob);
    // What came last was the first, and that begins another file.
    all.take(at(2_000), &ann(), &part("b", 2, 2), (1, 2)).expect("room");
    all.take(at(2_000), &ann(), &part("b", 1, 2), (1, 1)).expect("room");
    all.made(at(2_000), &ann(), &part("b", 1, 2));
    assert_eq!(all.take(at(2_000), &ann(), &part("b", 1, 2), (1, 1)), Ok(Came::Part));
}

#[test]
fn no_more_is_remembered_than_has_a_bound() {
    let mut all = Assembly::<u32>::new(Most { files: 1, ..MOST }, Seed::with_seed(1));
    for number in 0..3_000 {
        all.made(at(0), &ann(), &part(&format!("f{number}"), 2, 2));
    }
    let mut take = |number: u32| {
        all.take(at(1), &ann(), &part(&format!("f{number}"), 2, 2), (0, 1)).expect("room")
    };
    assert_eq!(take(1_000), Came::Part, "long ago");
    assert!(matches!(take(2_999), Came::Again(_)));
    all.due(at(999));
    assert!(all.remembers());
    all.due(at(1_000));
    assert!(!all.remembers());
}

#[test]
fn what_could_not_be_made_of_its_parts_waits_for_the_last_once_more() {
    let mut all = assembly();
    let sizes = [20, 30, 40];
    let parts = || sizes.into_iter().zip(1..);
    for (size, index) in [(40, 3), (20, 1), (30, 2)] {
        let came = all.take(at(0), &ann(), &part("a", index, 3), (size, index));
        assert_eq!(matches!(came, Ok(Came::File { .. })), index == 2);
    }
    all.back(at(900), &ann(), &part("a", 2, 3), parts());
    assert_eq!((all.len(), all.size(), all.deadline()), (1, 60, Deadline(1_900 * MS)));
    let came = all.take(at(1_000), &ann(), &part("a", 2, 3), (30, 7));
    assert_eq!((file(came), all.size()), (Some(("a".to_owned(), vec![1, 7, 3])), 0));
    all.back(at(0), &ann(), &part("b", 1, 1), [(9, 1)]);
    all.back(at(0), &ann(), &whole("b"), [(9, 1)]);
    assert!(all.is_empty() && all.size() == 0, "nothing is left of those");
}
