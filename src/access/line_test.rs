//! Floor 3. The line: turns by network, bounds, and that nobody is lost or counted twice.

use super::line::{Full, Line, Places};
use crate::base::id::ConnId;
use crate::base::map::Seed;
use crate::base::rng::Rng;
use crate::hub::policy::Address;

fn line(all: usize, per_network: usize, at_once: usize) -> Line<&'static str> {
    Line::new(Places { all, per_network, at_once }, Seed::with_seed(1))
}

fn conn(index: u32) -> ConnId {
    ConnId { index, life: 0 }
}

fn host(n: u8) -> Address {
    Address::V4([10, 0, 0, n])
}

#[test]
fn networks_take_turns() {
    let mut line = line(100, 10, 100);
    for (index, from) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
        line.join(conn(index), host(from), "").unwrap();
    }
    let order: Vec<u32> = std::iter::from_fn(|| line.poll_check()).map(|(c, _)| c.index).collect();
    assert_eq!(order, [0, 3, 5, 1, 4, 2]);
}

#[test]
fn only_as_many_checks_begin_as_there_are_workers() {
    let mut line = line(100, 10, 2);
    for index in 0..4 {
        line.join(conn(index), host(index as u8), "").unwrap();
    }
    assert_eq!(line.poll_check().map(|(c, _)| c), Some(conn(0)));
    assert_eq!(line.poll_check().map(|(c, _)| c), Some(conn(1)));
    assert_eq!(line.poll_check(), None);
    line.on_checked(conn(1));
    assert_eq!(line.poll_check().map(|(c, _)| c), Some(conn(2)));
    assert_eq!(line.poll_check(), None);
    assert_eq!(line.checking(), 2);
}

#[test]
fn a_network_has_so_many_places_checks_included() {
    let mut line = line(100, 2, 1);
    line.join(conn(0), host(1), "").unwrap();
    assert!(line.poll_check().is_some());
    line.join(conn(1), host(1), "").unwrap();
    assert_eq!(line.join(conn(2), host(1), "back"), Err((Full::Network, "back")));
    line.join(conn(3), host(2), "").unwrap();
    line.on_checked(conn(0));
    line.join(conn(2), host(1), "").unwrap();
}

#[test]
fn an_ipv6_network_is_one_network() {
    let mut line = line(100, 1, 1);
    let mut a = [0; 16];
    line.join(conn(0), Address::V6(a), "").unwrap();
    a[15] = 1;
    assert_eq!(line.join(conn(1), Address::V6(a), ""), Err((Full::Network, "")));
}

#[test]
fn a_connection_has_one_place() {
    let mut line = line(100, 10, 10);
    line.join(conn(0), host(1), "").unwrap();
    assert_eq!(line.join(conn(0), host(1), ""), Err((Full::Connection, "")));
    assert!(line.poll_check().is_some());
    assert_eq!(line.join(conn(0), host(1), ""), Err((Full::Connection, "")));
    line.on_checked(conn(0));
    line.join(conn(0), host(1), "").unwrap();
}

#[test]
fn the_line_has_an_end() {
    let mut line = line(3, 10, 1);
    for index in 0..3 {
        line.join(conn(index), host(index as u8), "").unwrap();
    }
    assert!(line.poll_check().is_some(), "a check under way is still in line");
    assert_eq!(line.join(conn(3), host(3), ""), Err((Full::Line, "")));
    line.on_checked(conn(0));
    line.join(conn(3), host(3), "").unwrap();
}

#[test]
fn who_leaves_is_not_checked() {
    let mut line = line(100, 10, 1);
    line.join(conn(0), host(1), "zero").unwrap();
    line.join(conn(1), host(2), "one").unwrap();
    assert_eq!(line.leave(conn(0)), Some("zero"));
    assert_eq!(line.leave(conn(0)), None);
    assert_eq!(line.poll_check(), Some((conn(1), "one")));
    assert_eq!(line.leave(conn(1)), None, "the worker has it");
    assert_eq!(line.checking(), 1, "and is busy with it until it answers");
    line.on_checked(conn(1));
    assert!(line.is_empty() && line.checking() == 0);
}

#[test]
fn a_stale_answer_changes_nothing() {
    let mut line = line(100, 10, 1);
    line.join(conn(0), host(1), "").unwrap();
    line.on_checked(conn(0));
    assert_eq!(line.len(), 1, "it waits and was not checked");
    assert!(line.poll_check().is_some());
    line.on_checked(ConnId { index: 0, life: 1 });
    assert_eq!(line.checking(), 1, "another life of the slot is another connection");
    line.on_checked(conn(0));
    line.on_checked(conn(0));
    assert_eq!((line.len(), line.checking()), (0, 0));
}

/// Whatever happens, everybody in line is either checked in turn or has left, bounds hold, and an
/// empty line is empty.
#[test]
fn nobody_is_lost_whatever_happens() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let places = Places { all: 20, per_network: 3, at_once: 3 };
        let mut line = Line::new(places, Seed::with_seed(seed));
        let (mut waiting, mut checking) = (Vec::new(), Vec::new());
        for step in 0..2_000u32 {
            match rng.below(4) {
                0 | 1 => {
                    let from = host(rng.below(9) as u8);
                    let held = |v: &[(ConnId, Address)]| v.iter().filter(|w| w.1 == from).count();
                    let held = held(&waiting) + held(&checking);
                    let fits = held < 3 && waiting.len() + checking.len() < 20;
                    assert_eq!(line.join(conn(step), from, step).is_ok(), fits);
                    if fits {
                        waiting.push((conn(step), from));
                    }
                }
                2 => match line.poll_check() {
                    Some((c, what)) => {
                        assert_eq!(c.index, what, "it comes with what it brought");
                        let at = waiting.iter().position(|w| w.0 == c).unwrap();
                        let (_, from) = waiting[at];
                        assert!(waiting[..at].iter().all(|w| w.1 != from), "first come, first out");
                        checking.push(waiting.remove(at));
                    }
                    None => assert!(waiting.is_empty() || checking.len() == 3),
                },
                _ if rng.chance(1, 2) && !waiting.is_empty() => {
                    let gone = waiting.swap_remove(rng.below(waiting.len() as u64) as usize);
                    assert_eq!(line.leave(gone.0), Some(gone.0.index));
                    waiting.sort_unstable_by_key(|w| w.0.index);
                }
                _ if !checking.is_empty() => {
                    let done = checking.swap_remove(rng.below(checking.len() as u64) as usize);
                    line.on_checked(done.0);
                }
                _ => {}
            }
            assert_eq!(
                (line.len(), line.checking()),
                (waiting.len() + checking.len(), checking.len())
            );
        }
        for (c, _) in checking.drain(..) {
            line.on_checked(c);
        }
        while let Some((c, _)) = line.poll_check() {
            line.on_checked(c);
        }
        assert!(line.is_empty(), "seed {seed}");
        assert_eq!(line.networks(), 0, "seed {seed}: nothing stays behind");
    }
}
