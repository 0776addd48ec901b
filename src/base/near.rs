//! Floor 0. What somebody may have meant who wrote a name that is none.
//!
//! Nearness is letters put in, left out or changed, and has an end: beyond a third of the name
//! (two letters in a short one) nothing is proposed. Absent on purpose: dictionaries.

/// The nearest of `names`, if one is near.
#[must_use]
pub fn near<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any name: nothing is near, and measuring would cost for nothing.
    if name.len() > LONGEST {
        return None;
    }
    let all = names.into_iter().map(|like| (distance(name, like), like));
    let (far, like) = all.min()?;
    (far <= 2.max(like.len() / 3)).then_some(like)
}

/// How many letters must be put in, left out or changed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let changed = corner + usize::from(x != y);
            corner = *above;
            left = changed.min(corner + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// No name of anything is longer.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, far) in [("", "", 0), ("ab", "ab", 0), ("ab", "ba", 2), ("abc", "", 3)] {
            assert_eq!(distance(a, b), far, "{a} {b}");
            assert_eq!(distance(b, a), far, "{b} {a}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn nearness_has_an_end() {
        let names = ["data", "allow_anonymous"];
        assert_eq!(near("allow_annonymous", names), Some("allow_anonymous"));
        assert_eq!(near("date", names), Some("data"));
        assert_eq!(near("zzz", names), None);
        assert_eq!(near(&"a".repeat(65), names), None);
        assert_eq!(near("data", []), None);
    }
}
