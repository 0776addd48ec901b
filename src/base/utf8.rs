//! Floor 0. UTF-8 that comes in pieces, cut anywhere: is it UTF-8 so far?
//!
//! What is kept between two pieces is what the next byte may be, so nothing is copied and a piece
//! may be of any length. Runs of ASCII are looked at many bytes at a time. By RFC 3629: no
//! overlong forms, no surrogates, nothing beyond U+10FFFF. Absent on purpose: the text itself.

/// What was seen so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Utf8 {
    /// Bytes that the present character still wants.
    wants: u8,
    /// What the next of them may be.
    from: u8,
    to: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self { wants: 0, from: 0x80, to: 0xBF }
    }
}

impl Utf8 {
    /// The next piece. Where the byte stands by which this can not become UTF-8 any more.
    #[must_use]
    pub fn take(&mut self, piece: &[u8]) -> Option<usize> {
        if self.wants == 0 && piece.is_ascii() {
            return None;
        }
        piece.iter().position(|byte| !self.step(*byte))
    }

    /// It may end here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.wants == 0
    }

    fn step(&mut self, byte: u8) -> bool {
        if self.wants == 0 {
            let (wants, from, to) = match byte {
                0x00..=0x7F => return true,
                0xC2..=0xDF => (1, 0x80, 0xBF),
                0xE0 => (2, 0xA0, 0xBF),
                0xED => (2, 0x80, 0x9F),
                0xE1..=0xEF => (2, 0x80, 0xBF),
                0xF0 => (3, 0x90, 0xBF),
                0xF1..=0xF3 => (3, 0x80, 0xBF),
                0xF4 => (3, 0x80, 0x8F),
                _ => return false,
            };
            *self = Self { wants, from, to };
            return true;
        }
        let fits = (self.from..=self.to).contains(&byte);
        *self = Self { wants: self.wants - 1, from: 0x80, to: 0xBF };
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &[u8], cut: usize) -> bool {
        let mut utf8 = Utf8::default();
        let wrong = utf8.take(&text[..cut]).or_else(|| utf8.take(&text[cut..]));
        wrong.is_none() && utf8.is_whole()
    }

    #[test]
    fn every_character_and_its_neighbours_are_judged_as_the_library_does() {
        let mut all: Vec<Vec<u8>> = (0..=0xFF_u8).map(|a| vec![a]).collect();
        for lead in 0xC0..=0xFF_u8 {
            for second in [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF] {
                all.push(vec![lead, second]);
                all.push(vec![lead, second, 0x80]);
                all.push(vec![lead, second, 0xBF, 0x80]);
                all.push(vec![lead, second, 0x80, 0xBF]);
                all.push(vec![lead, second, 0x80, 0x80, b'a']);
                all.push(vec![b'a', lead, second, 0xC0, 0x80]);
            }
        }
        for text in all {
            let wanted = core::str::from_utf8(&text).is_ok();
            for cut in 0..=text.len() {
                assert_eq!(judged(&text, cut), wanted, "{text:x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn it_is_judged_alike_wherever_it_is_cut() {
        let mut rng = crate::base::rng::Rng::new(3);
        let sample = "grün, 東京, 🜁 and plain".as_bytes();
        for _ in 0..20_000 {
            let mut text = sample.to_vec();
            let at = rng.below(text.len() as u64) as usize;
            text[at] = rng.next_u64() as u8;
            let cut = rng.below(text.len() as u64 + 1) as usize;
            assert_eq!(judged(&text, cut), core::str::from_utf8(&text).is_ok(), "{text:x?}");
        }
    }
}
