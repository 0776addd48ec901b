//! Floor 1. The laws every dialect obeys, checked by trying everything small.
//!
//! All texts of a few levels over a small alphabet, as names and as filters, each pair against an
//! oracle that is written from the protocol's own rule and knows nothing of segments and tails.
//! Absent on purpose: randomness; what fails here fails every time.

use super::dialect::{Dialect, Match};
use super::filter::Filter;
use super::name::Topic;
use bytes::Bytes;

/// The protocol's own rule: does this filter's text match this name's text?
pub type Oracle<'a> = &'a dyn Fn(&[u8], &[u8]) -> bool;

/// What to try.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// The way of matching.
    pub how: Match,
    /// The byte between levels.
    pub sep: u8,
    /// What levels are made of.
    pub alphabet: &'a [&'a str],
    /// Texts have from one to so many levels.
    pub depth: usize,
}

/// Check the laws and count the pairs of filter and name that were compared.
///
/// # Panics
/// When a law is broken; the message says which, and for what.
pub fn check(dialect: &dyn Dialect, bounds: Bounds<'_>, oracle: Oracle<'_>) -> usize {
    let texts = texts(bounds);
    let topics: Vec<(&Bytes, Topic)> =
        texts.iter().filter_map(|text| Some((text, dialect.topic(text).ok()?))).collect();
    let mut pairs = 0;
    for (text, topic) in &topics {
        check_topic(dialect, topic);
        assert!(spelled(dialect, topic).as_ref() == Some(*text), "{topic:?} has another spelling");
    }
    for text in &texts {
        let Ok(filter) = dialect.filter(text, bounds.how) else {
            continue;
        };
        check_filter(dialect, &filter, bounds.how);
        for (name, topic) in &topics {
            let (ours, theirs) = (filter.matches(topic), oracle(text, name));
            assert_eq!(ours, theirs, "filter {text:?}, name {name:?}: {filter:?}");
            pairs += 1;
        }
    }
    for levels in product(&FOREIGN, 3) {
        check_topic(dialect, &Topic::from_levels(levels.iter().map(|level| level.as_bytes())));
    }
    pairs
}

/// What is spelled is read back as the same; what is not spelled leaves no trace.
fn check_topic(dialect: &dyn Dialect, topic: &Topic) {
    if let Some(text) = spelled(dialect, topic) {
        assert_eq!(dialect.topic(&text).as_ref(), Ok(topic), "spelled {text:?}");
    }
    let mut coded = Vec::new();
    topic.encode(&mut coded);
    assert_eq!(Topic::decode(&coded).as_ref(), Some(topic));
}

fn check_filter(dialect: &dyn Dialect, filter: &Filter, how: Match) {
    let mut out = b"kept".to_vec();
    if dialect.spell_filter(filter, &mut out) {
        let text = Bytes::copy_from_slice(&out[4..]);
        assert_eq!(dialect.filter(&text, how).as_ref(), Ok(filter), "spelled {text:?}");
    } else {
        assert_eq!(out, b"kept", "{filter:?} left a trace");
    }
    let mut coded = Vec::new();
    filter.encode(&mut coded);
    assert_eq!(Filter::decode(&coded).as_ref(), Some(filter));
}

fn spelled(dialect: &dyn Dialect, topic: &Topic) -> Option<Bytes> {
    let mut out = b"kept".to_vec();
    if dialect.spell(topic, &mut out) {
        return Some(Bytes::copy_from_slice(&out[4..]));
    }
    assert_eq!(out, b"kept", "{topic:?} left a trace");
    None
}

/// All texts of one to `depth` levels.
fn texts(bounds: Bounds<'_>) -> Vec<Bytes> {
    let sep = char::from(bounds.sep).to_string();
    let levels = product(bounds.alphabet, bounds.depth);
    levels.into_iter().map(|levels| levels.join(&sep).into()).collect()
}

/// All sequences of one to `depth` items.
pub fn product<T: Copy>(items: &[T], depth: usize) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..depth {
        let upto = all.len();
        for i in from..upto {
            for item in items {
                let mut longer = all[i].clone();
                longer.push(*item);
                all.push(longer);
            }
        }
        from = upto;
    }
    all.remove(0);
    all
}

/// Levels that some dialect or other has no spelling for.
const FOREIGN: [&str; 9] = ["", "a", "*", "+", "#", "x/y", "x.y", "$s", "a b"];
