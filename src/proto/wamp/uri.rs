//! Floor 3. URIs: which texts are good ones, what a pattern matches, and which pattern is best.
//!
//! Components stand between dots. In a good URI none is empty, save the last of a prefix and any of
//! a wildcard. `loose` forbids whitespace, `#` and the dot in a component; `strict` allows small
//! letters, digits and `_` only. These are the plain rules on text; the broker matches with the
//! space of topics (`dialect.rs`), and tests hold one against the other. Absent on purpose: which
//! URIs are reserved for the router.

use std::cmp::Ordering;

use super::options::Matching;

/// The byte between components.
pub const DOT: char = '.';

/// What a component may be made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Rule {
    /// Anything but whitespace, `#` and the dot.
    #[default]
    Loose,
    /// Small letters of English, digits and `_`.
    Strict,
}

impl Rule {
    /// May this stand in a component?
    #[must_use]
    pub fn allows(self, letter: char) -> bool {
        match self {
            Self::Loose => letter != '#' && letter != DOT && !letter.is_whitespace(),
            Self::Strict => matches!(letter, 'a'..='z' | '0'..='9' | '_'),
        }
    }

    /// Is this a good URI, or a good pattern?
    #[must_use]
    pub fn is_good(self, text: &str, how: Matching) -> bool {
        let text = match how {
            Matching::Prefix if text.is_empty() => return true,
            Matching::Prefix => text.strip_suffix(DOT).unwrap_or(text),
            Matching::Exact | Matching::Wildcard => text,
        };
        let open = how == Matching::Wildcard;
        text.split(DOT).all(|component| {
            (open || !component.is_empty()) && component.chars().all(|c| self.allows(c))
        })
    }
}

/// Does a URI match a pattern? A prefix is one of the text, so `a.b` matches `a.bc` too; an empty
/// component of a wildcard matches any one. What is left open at the root does not see URIs that
/// begin with `$`: that is a law of all dialects here, and no URI of WAMP itself begins so.
#[must_use]
pub fn matches(pattern: &str, how: Matching, uri: &str) -> bool {
    let hidden = uri.starts_with('$');
    match how {
        Matching::Exact => pattern == uri,
        Matching::Prefix => uri.starts_with(pattern) && (!hidden || pattern.contains(DOT)),
        Matching::Wildcard => {
            let fits = |(want, is): (&str, &str)| want.is_empty() || want == is;
            pattern.split(DOT).count() == uri.split(DOT).count()
                && pattern.split(DOT).zip(uri.split(DOT)).all(fits)
                && (!hidden || !pattern.starts_with(DOT) && !pattern.is_empty())
        }
    }
}

/// Which of two patterns that match a URI is called: `Greater` is the one on the left. Exact before
/// prefix before wildcard; the longer prefix; the wildcard with more components before its first
/// open one, then before its second, and so on.
#[must_use]
pub fn preference(left: (&str, Matching), right: (&str, Matching)) -> Ordering {
    let rank = |how| match how {
        Matching::Exact => 2,
        Matching::Prefix => 1,
        Matching::Wildcard => 0,
    };
    rank(left.1).cmp(&rank(right.1)).then_with(|| match left.1 {
        Matching::Exact => Ordering::Equal,
        Matching::Prefix => left.0.len().cmp(&right.0.len()),
        Matching::Wildcard => runs(left.0).cmp(runs(right.0)),
    })
}

/// How many components stand before the first open one, between that and the next, and so on.
fn runs(pattern: &str) -> impl Iterator<Item = usize> {
    let mut components = pattern.split(DOT);
    let mut more = true;
    core::iter::from_fn(move || {
        if !more {
            return None;
        }
        let mut run = 0;
        loop {
            match components.next() {
                Some("") => return Some(run),
                Some(_) => run += 1,
                None => {
                    more = false;
                    return Some(run);
                }
            }
        }
    })
}
