//! Floor 1. Topics are equal by their levels and come back from their canonical bytes.

use super::laws::product;
use super::name::{put_count, take_count};
use super::{TEXT_MAX, Topic};
use crate::base::map::{Seed, Set};
use crate::base::rng::Rng;
use bytes::Bytes;

fn topic(levels: &[&[u8]]) -> Topic {
    Topic::from_levels(levels.iter().copied())
}

fn coded(topic: &Topic) -> Vec<u8> {
    let mut out = Vec::new();
    topic.encode(&mut out);
    out
}

#[test]
fn a_text_is_cut_at_every_separator() {
    let topic = Topic::split(Bytes::from_static(b"/a//b/"), b'/');
    let levels: Vec<&[u8]> = topic.levels().collect();
    assert_eq!(levels, [&b""[..], b"a", b"", b"b", b""]);
    assert_eq!((topic.depth(), topic.level(3), topic.level(5)), (5, Some(&b"b"[..]), None));
    assert_eq!(Topic::split(Bytes::new(), b'/').levels().collect::<Vec<_>>(), [b""]);
    assert_eq!(topic.levels().rev().nth(1), Some(&b"b"[..]));
}

#[test]
fn spelling_is_no_part_of_identity() {
    let slash = Topic::split(Bytes::from_static(b"a/b/c"), b'/');
    let dot = Topic::split(Bytes::from_static(b"a.b.c"), b'.');
    assert_eq!(slash, dot);
    assert_eq!(coded(&slash), coded(&dot));
    let mut set = Set::with_hasher(Seed::with_seed(1));
    assert!(set.insert(slash.clone()));
    assert!(!set.insert(dot), "equal topics hash alike");
    assert_ne!(slash, Topic::split(Bytes::from_static(b"a/b/c"), b'.'));
    assert_eq!(slash.spelled_with(b'/').map(|text| text.as_ptr()), Some(slash.text().as_ptr()));
    assert_eq!(slash.spelled_with(b'.'), None);
    let single = Topic::split(Bytes::from_static(b"a.b"), b'/');
    assert_eq!((single.spelled_with(b':').is_some(), single.spelled_with(b'.')), (true, None));
}

#[test]
fn order_and_equality_are_those_of_the_levels() {
    let all = product(&[&b""[..], b"a", b"a/", b"ab", b"\0", b"a.b", b"$"], 3);
    for a in &all {
        for b in &all {
            let (left, right) = (topic(a), topic(b));
            assert_eq!(left.cmp(&right), a.cmp(b), "{left:?} {right:?}");
            assert_eq!(left == right, a == b);
        }
    }
}

#[test]
fn any_levels_at_all_come_back() {
    let mut rng = Rng::new(3);
    let every: Vec<u8> = (0..=255).collect();
    let mut samples: Vec<Vec<Vec<u8>>> = vec![
        vec![every.clone(), vec![], every],
        vec![vec![]],
        vec![vec![b'x'; TEXT_MAX]],
        vec![vec![]; 1000],
    ];
    for _ in 0..2_000 {
        let depth = 1 + rng.below(9);
        let level = |rng: &mut Rng| (0..rng.below(6)).map(|_| rng.next_u64() as u8).collect();
        samples.push((0..depth).map(|_| level(&mut rng)).collect());
    }
    for levels in samples {
        let topic = Topic::from_levels(levels.iter().map(|level| &level[..]));
        assert!(topic.levels().eq(levels.iter().map(|level| &level[..])));
        assert_eq!(Topic::decode(coded(&topic)).as_ref(), Some(&topic));
        assert_eq!(topic.detached(), topic);
        for sep in [b'/', b'.', 0, 255] {
            let mut text = b"x".to_vec();
            let spelled = topic.join(sep, &mut text);
            assert_eq!(spelled, levels.iter().all(|level| !level.contains(&sep)));
            match spelled {
                true => assert_eq!(Topic::split(Bytes::copy_from_slice(&text[1..]), sep), topic),
                false => assert_eq!(text, b"x"),
            }
        }
    }
}

#[test]
fn only_canonical_bytes_are_decoded() {
    let good = coded(&topic(&[b"ab", b"", b"c"]));
    assert_eq!(good, b"\x03\x02ab\x00\x01c");
    for cut in 0..good.len() {
        assert_eq!(Topic::decode(&good[..cut]), None, "cut at {cut}");
    }
    for bad in
        [&b"\x00"[..], b"", b"\x01\x01ab", b"\x81\x00\x00", b"\xff\xff\xff\xff\x7f", b"\x02\x00"]
    {
        assert_eq!(Topic::decode(bad), None, "{bad:?}");
    }
    // A count of 268 435 455 levels with nothing behind it costs nothing.
    assert_eq!(Topic::decode(b"\xff\xff\xff\x7f"), None);
}

#[test]
fn counts_have_one_form() {
    for n in [0, 1, 127, 128, 16_383, 16_384, 65_535, 2_097_151, 2_097_152, (1 << 28) - 1] {
        let mut out = Vec::new();
        put_count(n, &mut out);
        let mut rest = &out[..];
        assert_eq!((take_count(&mut rest), rest.len()), (Some(n), 0));
        out.pop();
        assert_eq!(take_count(&mut &out[..]), None);
    }
    assert_eq!(take_count(&mut &b"\x80\x00"[..]), None);
}

#[test]
fn a_dollar_hides_only_in_the_first_place() {
    assert!(topic(&[b"$SYS", b"x"]).is_hidden());
    assert!(!topic(&[b"", b"$x"]).is_hidden() && !topic(&[b"a$"]).is_hidden());
    assert!(!Topic::split(Bytes::from_static(b"$a"), b'$').is_hidden(), "a `$` that separates");
}
