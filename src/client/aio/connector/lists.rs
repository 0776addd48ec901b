//! Floor 5. Whom a server lets in: lists of names and of addresses, as the original has them.
//!
//! A list of names holds patterns as Python writes them: letters, `.`, `[a-z]`, `\d`, `\w`, each
//! perhaps with `*`, `+` or `?` behind it, and `^` and `$` around all. What is written must be all
//! of the name (the original is content with its beginning, so that `client1` lets `client10` in;
//! specification 12, item 18). Of lists for those who may come each that is not empty must have
//! whoever comes. Absent on purpose: groups and alternatives, which are refused and not guessed at;
//! a list has several entries.

use std::fmt;
use std::net::IpAddr;

use crate::base::cidr::Cidr;

/// Names that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    text: String,
    steps: Vec<(One, Times)>,
}

/// One letter of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
enum One {
    Any,
    /// In one of these ranges, or in none of them.
    In(Vec<(u8, u8)>, bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Times {
    Once,
    Perhaps,
    Any,
}

/// It is no pattern that is known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoPattern(String);

impl fmt::Display for NoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no pattern of names that is known here", self.0)
    }
}

impl One {
    fn is(&self, letter: u8) -> bool {
        match self {
            Self::Any => true,
            Self::In(ranges, yes) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) == *yes
            }
        }
    }
}

impl Pattern {
    /// What is written so.
    pub fn new(text: &str) -> Result<Self, NoPattern> {
        let wrong = || NoPattern(text.to_owned());
        let inner = text.strip_prefix('^').unwrap_or(text);
        let mut rest = inner.strip_suffix('$').unwrap_or(inner).as_bytes();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() >= STEPS_MAX {
                return Err(wrong());
            }
            let (one, behind) = one(rest).ok_or_else(wrong)?;
            rest = behind;
            match rest.split_first() {
                Some((b'*', behind)) => {
                    rest = behind;
                    steps.push((one, Times::Any));
                }
                Some((b'+', behind)) => {
                    rest = behind;
                    steps.push((one.clone(), Times::Once));
                    steps.push((one, Times::Any));
                }
                Some((b'?', behind)) => {
                    rest = behind;
                    steps.push((one, Times::Perhaps));
                }
                _ => steps.push((one, Times::Once)),
            }
        }
        if steps.is_empty() { Err(wrong()) } else { Ok(Self { text: text.to_owned(), steps }) }
    }

    /// Is all of the name written so?
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        // At which steps it may be: so no pattern takes longer than its length for each letter.
        let mut at = vec![false; self.steps.len() + 1];
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.skip(&mut at);
        for letter in name.bytes() {
            let mut next = vec![false; at.len()];
            for (place, (one, times)) in self.steps.iter().enumerate() {
                if at.get(place) == Some(&true) && one.is(letter) {
                    let to = if *times == Times::Any { place } else { place + 1 };
                    if let Some(it) = next.get_mut(to) {
                        *it = true;
                    }
                }
            }
            self.skip(&mut next);
            at = next;
        }
        at.last() == Some(&true)
    }

    /// What need not be there.
    fn skip(&self, at: &mut [bool]) {
        for (place, (_, times)) in self.steps.iter().enumerate() {
            if *times != Times::Once
                && at.get(place) == Some(&true)
                && let Some(it) = at.get_mut(place + 1)
            {
                *it = true;
            }
        }
    }
}

/// The first letter that is described, and what stands behind that.
fn one(text: &[u8]) -> Option<(One, &[u8])> {
    let (first, rest) = text.split_first()?;
    match first {
        b'.' => Some((One::Any, rest)),
        b'\\' => {
            let (kind, rest) = rest.split_first()?;
            let ranges = match kind {
                b'd' => vec![(b'0', b'9')],
                b'w' => vec![(b'0', b'9'), (b'a', b'z'), (b'A', b'Z'), (b'_', b'_')],
                other if !other.is_ascii_alphanumeric() => vec![(*other, *other)],
                _ => return None,
            };
            Some((One::In(ranges, true), rest))
        }
        b'[' => {
            let end = rest.iter().position(|byte| *byte == b']')?;
            let (mut inner, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
            let yes = inner.first() != Some(&b'^');
            inner = inner.get(usize::from(!yes)..)?;
            let mut ranges = Vec::new();
            while let Some((from, behind)) = inner.split_first() {
                if *from == b'\\' {
                    return None;
                }
                match behind {
                    [b'-', to, behind @ ..] => {
                        ranges.push((*from, *to));
                        inner = behind;
                    }
                    _ => {
                        ranges.push((*from, *from));
                        inner = behind;
                    }
                }
            }
            (!ranges.is_empty()).then_some((One::In(ranges, yes), rest))
        }
        b'*' | b'+' | b'?' | b'(' | b')' | b'{' | b'}' | b'|' | b'^' | b'$' | b']' => None,
        other => Some((One::In(vec![(*other, *other)], true), rest)),
    }
}

/// Some who come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct List {
    /// By their names.
    pub names: Vec<Pattern>,
    /// By their addresses.
    pub addresses: Vec<Cidr>,
    /// By blocks of them.
    pub blocks: Vec<Cidr>,
}

/// Who may come, if anybody is named, and who may not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lists {
    /// Who may.
    pub white: List,
    /// Who may not.
    pub black: List,
}

impl Lists {
    /// May somebody come from there?
    #[must_use]
    pub fn admit(&self, from: IpAddr) -> bool {
        let has = |list: &[Cidr]| list.iter().any(|block| block.contains(from));
        let may = |list: &[Cidr]| list.is_empty() || has(list);
        let (white, black) = (&self.white, &self.black);
        may(&white.addresses) && may(&white.blocks) && !has(&black.addresses) && !has(&black.blocks)
    }

    /// May somebody of this name come?
    #[must_use]
    pub fn admit_name(&self, name: &str) -> bool {
        let has = |list: &[Pattern]| list.iter().any(|pattern| pattern.is(name));
        (self.white.names.is_empty() || has(&self.white.names)) && !has(&self.black.names)
    }
}

impl List {
    /// One more name; false: there are too many.
    pub(super) fn add_name(&mut self, pattern: Pattern) -> bool {
        if !self.names.contains(&pattern) {
            if self.names.len() >= ENTRIES_MAX {
                return false;
            }
            self.names.push(pattern);
        }
        true
    }

    /// One more address, or block; false: there are too many.
    pub(super) fn add_address(&mut self, text: &str) -> Option<bool> {
        let block: Cidr = text.parse().ok()?;
        let list = if text.contains('/') { &mut self.blocks } else { &mut self.addresses };
        if !list.contains(&block) {
            if list.len() >= ENTRIES_MAX {
                return Some(false);
            }
            list.push(block);
        }
        Some(true)
    }

    /// Not this name any more.
    pub(super) fn remove_name(&mut self, text: &str) {
        self.names.retain(|pattern| pattern.text != text);
    }

    /// Not this address any more.
    pub(super) fn remove_address(&mut self, text: &str) {
        if let Ok(block) = text.parse::<Cidr>() {
            self.addresses.retain(|it| *it != block);
            self.blocks.retain(|it| *it != block);
        }
    }
}

/// Letters of a pattern.
const STEPS_MAX: usize = 512;
/// What orders may put into a list.
const ENTRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).expect(text)
    }

    #[test]
    fn a_pattern_is_all_of_a_name() {
        for (text, yes, no) in [
            ("client1", &["client1"][..], &["client10", "client", "aclient1", ""][..]),
            ("client.*", &["client", "client1", "client-x"], &["clien", "xclient"]),
            ("client\\d+", &["client1", "client42"], &["client", "client1a"]),
            ("^a[b-d_]?$", &["a", "ab", "ad", "a_"], &["ae", "abb", "b"]),
            ("[^a]x", &["bx", "1x"], &["ax", "x"]),
            ("a+b", &["ab", "aaab"], &["b", "aa"]),
            ("a\\-b", &["a-b"], &["ab", "a\\-b"]),
            ("\\w*", &["", "a_1"], &["a-1", "a:1"]),
        ] {
            let pattern = pattern(text);
            yes.iter().for_each(|name| assert!(pattern.is(name), "{text} {name}"));
            no.iter().for_each(|name| assert!(!pattern.is(name), "{text} {name}"));
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_not_taken_for_something_else() {
        for text in ["", "^$", "(a|b)", "a|b", "a{2}", "*", "a**", "[", "[]", "a\\", "\\b", "[\\d]"]
        {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        assert!(Pattern::new(&"a".repeat(STEPS_MAX + 1)).is_err());
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_another() {
        let pattern = pattern(&"a*".repeat(200));
        assert!(!pattern.is(&format!("{}b", "a".repeat(127))));
    }

    #[test]
    fn each_list_that_is_not_empty_must_have_who_comes() {
        let mut lists = Lists::default();
        let at = |text: &str| text.parse::<IpAddr>().expect(text);
        assert!(lists.admit(at("10.0.0.1")) && lists.admit_name("x"));
        lists.white.add_address("10.0.0.0/8");
        assert!(lists.admit(at("10.0.0.1")) && !lists.admit(at("11.0.0.1")));
        lists.white.add_address("10.0.0.2");
        assert!(!lists.admit(at("10.0.0.1")) && lists.admit(at("10.0.0.2")));
        lists.black.add_address("10.0.0.2");
        assert!(!lists.admit(at("10.0.0.2")));
        lists.black.remove_address("10.0.0.2");
        assert!(lists.admit(at("10.0.0.2")));
        lists.white.add_name(pattern("a.*"));
        assert!(lists.admit_name("ab") && !lists.admit_name("b"));
        lists.black.add_name(pattern("ab"));
        assert!(!lists.admit_name("ab") && lists.admit_name("ac"));
        lists.black.remove_name("ab");
        assert!(lists.admit_name("ab"));
        assert_eq!(lists.black.add_address("nonsense"), None);
    }

    #[test]
    fn a_list_has_an_end() {
        let mut list = List::default();
        for number in 0..ENTRIES_MAX {
            assert!(list.add_name(pattern(&format!("a{number}"))));
        }
        assert!(!list.add_name(pattern("b")));
        assert!(list.add_name(pattern("a0")), "it is there already");
    }
}
