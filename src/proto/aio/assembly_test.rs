//! Floor 3. Files from chunks: in any order, within bounds, and never where they should not go.

use super::assembly::{Assembly, Came, Most, Refused};
use super::file::{CHUNK, Chunk, WithFile};
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
        Ok(Came::Part) | Err(_) => None,
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
    assert_eq!(take("a", 2, 4, 1), Err(Refused::Count));
    assert_eq!(take("a", 1, 3, 1), Err(Refused::Twice));
    assert_eq!(take("a", 2, 3, 41), Err(Refused::FileSize), "of the whole file");
    assert_eq!(take("b", 1, 2, 90), Ok(150));
    assert_eq!(take("c", 1, 2, 0), Err(Refused::Files));
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
