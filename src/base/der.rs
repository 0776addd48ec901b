//! Floor 0. DER, the encoding of certificates: elements that say how long they are.
//!
//! Reading walks from element to element and never copies; what is longer than what is there, or
//! longer than any certificate is, is refused and not guessed. Writing puts finished pieces into an
//! element, inside out, so no length is ever mended. Absent on purpose: what the elements mean,
//! and lengths that are not definite, which DER does not have.

/// A flag.
pub const BOOLEAN: u8 = 0x01;
/// A number.
pub const INTEGER: u8 = 0x02;
/// Bits; the first byte says how many of the last are none.
pub const BITS: u8 = 0x03;
/// Bytes.
pub const OCTETS: u8 = 0x04;
/// Nothing.
pub const NULL: u8 = 0x05;
/// The name of a kind of thing.
pub const OID: u8 = 0x06;
/// Text.
pub const UTF8: u8 = 0x0c;
/// Text of few letters.
pub const PRINTABLE: u8 = 0x13;
/// Text of ASCII.
pub const IA5: u8 = 0x16;
/// A moment, with two digits of its year.
pub const UTC_TIME: u8 = 0x17;
/// A moment, with all digits of its year.
pub const LONG_TIME: u8 = 0x18;
/// Elements in their order.
pub const SEQUENCE: u8 = 0x30;
/// Elements in no order.
pub const SET: u8 = 0x31;

/// The part of a certificate or a list that has this number in its description.
#[must_use]
pub const fn part(number: u8) -> u8 {
    0xa0 | number
}

/// Elements one behind another.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a>(pub &'a [u8]);

impl<'a> Walk<'a> {
    /// The next element: its tag and what is in it.
    #[expect(clippy::should_implement_trait, reason = "an end and a flaw are not the same")]
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk::<2>()?;
        let mut len = usize::from(first);
        if first & 0x80 != 0 {
            let bytes = usize::from(first & 0x7f);
            if bytes == 0 || bytes > 3 {
                return None;
            }
            let (digits, behind) = rest.split_at_checked(bytes)?;
            len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
            rest = behind;
        }
        let (inner, behind) = rest.split_at_checked(len)?;
        self.0 = behind;
        Some((tag, inner))
    }

    /// What is in the next element, which must have this tag.
    pub fn enter(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, inner)| inner)
    }

    /// The next element whole, with its tag and its length.
    pub fn whole(&mut self) -> Option<&'a [u8]> {
        let all = self.0;
        self.next()?;
        all.get(..all.len() - self.0.len())
    }

    /// Go past the next element, if it has this tag.
    pub fn skip_if(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            let _ = self.next();
        }
    }

    /// Nothing follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An element with these pieces in it, one behind another.
#[must_use]
pub fn element(tag: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let digits = len.to_be_bytes();
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = digits.get(zeros..).unwrap_or_default();
    let mut out = vec![tag];
    if len >= 0x80 {
        out.push(0x80 | digits.len() as u8);
    }
    out.extend_from_slice(if len == 0 { &[0] } else { digits });
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out
}

/// A number that is not negative, from its bytes, the highest first.
#[must_use]
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    // The highest bit would be a sign.
    let sign: &[u8] = if bytes.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let inner = vec![7; len];
            let (left, right) = inner.split_at(len / 2);
            let outer = element(SEQUENCE, &[left, right]);
            let both = [&outer[..], &[NULL, 0]].concat();
            let mut walk = Walk(&both);
            assert_eq!(walk.clone().whole(), Some(&outer[..]), "{len}");
            assert_eq!(walk.next(), Some((SEQUENCE, &inner[..])), "{len}");
            assert_eq!(walk.enter(NULL), Some(&[][..]), "{len}");
            assert!(walk.is_empty());
        }
    }

    /// X.690, 8.3.2 and 10.1: as few bytes as can be.
    #[test]
    fn numbers_and_lengths_are_as_short_as_they_can_be() {
        assert_eq!(integer(&[]), [INTEGER, 1, 0]);
        assert_eq!(integer(&[0, 0, 5]), [INTEGER, 1, 5]);
        assert_eq!(integer(&[0x80]), [INTEGER, 2, 0, 0x80]);
        assert_eq!(element(OCTETS, &[&[1; 0x7f]])[..2], [OCTETS, 0x7f]);
        assert_eq!(element(OCTETS, &[&[1; 0x80]])[..3], [OCTETS, 0x81, 0x80]);
        assert_eq!(element(OCTETS, &[&[1; 0x100]])[..4], [OCTETS, 0x82, 1, 0]);
    }

    #[test]
    fn what_is_longer_than_what_is_there_is_refused() {
        for flawed in [&[SEQUENCE][..], &[SEQUENCE, 1], &[SEQUENCE, 0x80], &[SEQUENCE, 0x82, 1]] {
            assert_eq!(Walk(flawed).next(), None, "{flawed:?}");
        }
        assert_eq!(Walk(&[SEQUENCE, 0x84, 0, 0, 0, 0]).next(), None);
        assert_eq!(Walk(&[NULL, 0]).enter(OID), None);
    }
}
