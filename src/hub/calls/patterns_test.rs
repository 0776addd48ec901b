//! Floor 2. The best pattern for a name, beside a plain rule that looks at all of them.

use bytes::Bytes;

use super::patterns::Patterns;
use super::words::Kind;
use crate::base::map::Seed;
use crate::base::rng::Rng;

const KINDS: [Kind; 3] = [Kind::Exact, Kind::Prefix, Kind::Wildcard];

/// Every text over this alphabet that is not longer than this.
fn texts(alphabet: &[u8], most: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..most {
        let upto = all.len();
        for i in from..upto {
            for letter in alphabet {
                let mut text = all[i].clone();
                text.push(*letter);
                all.push(text);
            }
        }
        from = upto;
    }
    all
}

fn components(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| *byte == b'.').collect()
}

fn matches(kind: Kind, pattern: &[u8], name: &[u8]) -> bool {
    match kind {
        Kind::Exact => pattern == name,
        Kind::Prefix => name.starts_with(pattern),
        Kind::Wildcard => {
            let (pattern, name) = (components(pattern), components(name));
            let fits = |(own, other): (&&[u8], &&[u8])| own.is_empty() || own == other;
            pattern.len() == name.len() && pattern.iter().zip(&name).all(fits)
        }
    }
}

/// How many literal components there are before each wildcard, and behind the last.
fn runs(pattern: &[u8]) -> Vec<usize> {
    let mut runs = vec![0];
    for component in components(pattern) {
        match component.is_empty() {
            true => runs.push(0),
            false => *runs.last_mut().unwrap() += 1,
        }
    }
    runs
}

type Known<'a> = (Kind, &'a [u8], u64);

fn wanted(all: &[Known<'_>], name: &[u8]) -> Option<u64> {
    let of = |kind| all.iter().filter(move |(k, text, _)| *k == kind && matches(kind, text, name));
    let exact = of(Kind::Exact).next();
    let prefix = || of(Kind::Prefix).max_by_key(|(_, text, _)| text.len());
    let wildcard = || of(Kind::Wildcard).max_by_key(|(_, text, _)| runs(text));
    exact.or_else(prefix).or_else(wildcard).map(|(_, _, id)| *id)
}

fn patterns(all: &[Known<'_>]) -> Patterns {
    let mut patterns = Patterns::new(Seed::with_seed(1));
    for (kind, text, id) in all {
        patterns.insert(*kind, Bytes::copy_from_slice(text), *id);
    }
    patterns
}

#[test]
fn of_any_two_patterns_the_best_is_what_the_plain_rule_says() {
    let (texts, names) = (texts(b"a.", 4), texts(b"ab.", 4));
    let all: Vec<(Kind, &[u8])> =
        KINDS.iter().flat_map(|kind| texts.iter().map(|text| (*kind, &text[..]))).collect();
    for (i, (kind_1, text_1)) in all.iter().enumerate() {
        for (kind_2, text_2) in &all[i + 1..] {
            let two = [(*kind_1, *text_1, 1), (*kind_2, *text_2, 2)];
            let patterns = patterns(&two);
            for name in &names {
                assert_eq!(patterns.best(name), wanted(&two, name), "{two:?} {name:?}");
            }
        }
    }
}

#[test]
fn of_many_patterns_that_come_and_go_as_well() {
    let texts = texts(b"ab.", 5);
    let mut rng = Rng::new(7);
    for round in 0..20 {
        let mut known: Vec<Known<'_>> = Vec::new();
        let mut patterns = patterns(&[]);
        for id in 1..=300 {
            let kind = KINDS[rng.below(3) as usize];
            let text = rng.pick(&texts).unwrap();
            let old = known.iter().position(|(k, t, _)| *k == kind && t == text);
            assert_eq!(patterns.find(kind, text), old.map(|at| known[at].2));
            if let Some(at) = old {
                known.swap_remove(at);
                patterns.remove(kind, text);
            } else if rng.chance(1, 1 + round % 4) {
                known.push((kind, text, id));
                patterns.insert(kind, Bytes::copy_from_slice(text), id);
            }
            assert_eq!(patterns.len(), known.len());
            for _ in 0..8 {
                let name = rng.pick(&texts).unwrap();
                assert_eq!(patterns.best(name), wanted(&known, name), "{known:?} {name:?}");
            }
        }
        for (kind, text, _) in known {
            patterns.remove(kind, text);
        }
        assert_eq!(patterns.len(), 0);
        assert!(texts.iter().all(|name| patterns.best(name).is_none()));
        assert!(patterns.has_room(Kind::Wildcard, b"..", 1), "no shape is left");
    }
}

#[test]
fn a_prefix_ends_anywhere_and_a_wildcard_stands_for_one_component() {
    let all = [
        (Kind::Exact, &b"a.b.c"[..], 1),
        (Kind::Prefix, b"a.b", 2),
        (Kind::Prefix, b"a.b.", 3),
        (Kind::Wildcard, b"x..z", 4),
        (Kind::Wildcard, b"x.y.", 5),
        (Kind::Wildcard, b"x...w", 6),
        (Kind::Wildcard, b"x..z.", 7),
    ];
    let patterns = patterns(&all);
    let best = |name: &str| patterns.best(name.as_bytes());
    assert_eq!(best("a.b.c"), Some(1), "exact goes first");
    assert_eq!(best("a.bc"), Some(2), "in the middle of a component");
    assert_eq!(best("a.b.cd"), Some(3), "the longest");
    assert_eq!(best("x.1.z"), Some(4));
    assert_eq!(best("x.y.z"), Some(5), "two literals before the wildcard, not one");
    assert_eq!(best("x.1.z.w"), Some(7), "of equals the one with the longer next run");
    assert_eq!(best("x.1.2.w"), Some(6));
    assert_eq!(best("x.1.2"), None);
    assert_eq!(best("x.1.z.w.v"), None, "as many components");
}

#[test]
fn shapes_have_a_bound_and_patterns_of_a_known_shape_do_not_count() {
    let patterns = patterns(&[(Kind::Wildcard, b"a.", 1), (Kind::Wildcard, b".a", 2)]);
    assert!(patterns.has_room(Kind::Wildcard, b"b.", 2));
    assert!(!patterns.has_room(Kind::Wildcard, b".", 2));
    assert!(!patterns.has_room(Kind::Wildcard, b"a..", 2), "as many components belong to it");
    assert!(patterns.has_room(Kind::Wildcard, b".", 3));
    assert!(patterns.has_room(Kind::Prefix, b".", 2) && patterns.has_room(Kind::Exact, b"a", 2));
}
