//! Floor 3. Good URIs and patterns, what they match, and which is best.

use std::cmp::Ordering;

use super::options::Matching::{Exact, Prefix, Wildcard};
use super::uri::Rule::{Loose, Strict};
use super::uri::{matches, preference};

#[test]
fn a_good_uri_has_good_components() {
    for uri in ["a", "a.b", "com.myapp.topic1", "a_b.c9", "0"] {
        for how in [Exact, Prefix, Wildcard] {
            assert!(Loose.is_good(uri, how) && Strict.is_good(uri, how), "{uri}");
        }
    }
    for uri in ["A", "a-b", "é.b", "a.$x", "a/b", "*", "a.b:c"] {
        for how in [Exact, Prefix, Wildcard] {
            assert!(Loose.is_good(uri, how) && !Strict.is_good(uri, how), "{uri}");
        }
    }
    for uri in ["a b", "a.b\t", "#", "a.#", "\n", "a.\u{a0}b", " "] {
        for how in [Exact, Prefix, Wildcard] {
            assert!(!Loose.is_good(uri, how) && !Strict.is_good(uri, how), "{uri}");
        }
    }
}

#[test]
fn a_component_may_be_empty_where_the_way_of_matching_says_so() {
    for (uri, prefix, wildcard) in [
        ("", true, true),
        ("a.", true, true),
        ("a.b.", true, true),
        (".", false, true),
        (".a", false, true),
        ("a..", false, true),
        ("a..b", false, true),
        ("..", false, true),
    ] {
        for rule in [Loose, Strict] {
            let good = [Exact, Prefix, Wildcard].map(|how| rule.is_good(uri, how));
            assert_eq!(good, [false, prefix, wildcard], "{uri}");
        }
    }
}

#[test]
fn a_prefix_is_of_the_text_and_a_wildcard_of_components() {
    for (pattern, how, uri, expected) in [
        ("a.b", Exact, "a.b", true),
        ("a.b", Exact, "a.bc", false),
        ("a.b", Prefix, "a.b", true),
        ("a.b", Prefix, "a.bc", true),
        ("a.b", Prefix, "a.b.c", true),
        ("a.b.", Prefix, "a.b", false),
        ("a.b.", Prefix, "a.b.c", true),
        ("", Prefix, "a", true),
        ("", Prefix, "$a", false),
        ("$", Prefix, "$a", false),
        ("$a.", Prefix, "$a.b", true),
        ("a..c", Wildcard, "a.b.c", true),
        ("a..c", Wildcard, "a.b.d", false),
        ("a..c", Wildcard, "a.b.c.d", false),
        ("a..c", Wildcard, "a.c", false),
        (".b", Wildcard, "a.b", true),
        (".b", Wildcard, "$a.b", false),
        ("$a.", Wildcard, "$a.b", true),
        ("", Wildcard, "a", true),
        ("", Wildcard, "$a", false),
        ("", Wildcard, "a.b", false),
        ("a.b", Wildcard, "a.b", true),
    ] {
        assert_eq!(matches(pattern, how, uri), expected, "{pattern} {how:?} {uri}");
    }
}

#[test]
fn the_narrower_pattern_is_called() {
    // The best first, of those that match a.b.c.d.e.
    let order = [
        ("a.b.c.d.e", Exact),
        ("a.b.c.d", Prefix),
        ("a.b", Prefix),
        ("", Prefix),
        ("a.b.c.d.", Wildcard),
        ("a.b.c..e", Wildcard),
        ("a.b...e", Wildcard),
        ("a.b...", Wildcard),
        ("a..c.d.e", Wildcard),
        ("a..c..e", Wildcard),
        ("a..c..", Wildcard),
        ("a....e", Wildcard),
        (".b.c.d.e", Wildcard),
        (".b...", Wildcard),
        ("....", Wildcard),
    ];
    for (i, left) in order.iter().enumerate() {
        assert!(matches(left.0, left.1, "a.b.c.d.e"), "{left:?}");
        for (k, right) in order.iter().enumerate() {
            assert_eq!(preference(*left, *right), k.cmp(&i), "{left:?} {right:?}");
        }
    }
    assert_eq!(preference(("a.b", Wildcard), ("a.", Wildcard)), Ordering::Greater);
}
