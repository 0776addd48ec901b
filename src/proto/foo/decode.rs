//! Floor 3. Bytes to lines, in pieces cut anywhere; nothing is kept of a line but what it is.
//!
//! The reader goes along with the bytes and never holds them up: it remembers in which part of a
//! line it stands and what was wrong first. A line longer than the bound is a flaw, and the rest
//! of it is passed over. However the bytes are cut, the verdicts are the same. Absent on purpose:
//! buffers, and what becomes of a line.

use crate::base::utf8::Utf8;

use super::packet::{Flaw, Kind, Line};

/// Where in a line the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// In the word, of which so many bytes have come.
    Type(u8),
    /// Behind the word.
    Space(Kind),
    /// In the number.
    Seq(Kind),
    /// Behind the number and its space.
    Data(Kind),
    /// Something is wrong; the rest is passed over.
    Flawed(Flaw),
}

/// Reads lines.
#[derive(Clone, Debug)]
pub struct Scanner {
    at: At,
    word: [u8; 3],
    /// Bytes of the line so far.
    len: usize,
    /// The number so far: its amount, whether digits have come, whether it is below zero.
    seq: i64,
    digits: bool,
    negative: Option<bool>,
    utf8: Utf8,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            at: At::Type(0),
            word: [0; 3],
            len: 0,
            seq: 0,
            digits: false,
            negative: None,
            utf8: Utf8::default(),
        }
    }
}

impl Scanner {
    /// Read on, to the end of the line if it is in `bytes`: how many bytes that was with the LF,
    /// and what the line is. Nothing: it does not end here, and all bytes are read.
    pub fn take(&mut self, bytes: &[u8], most: usize) -> Option<(usize, Result<Line, Flaw>)> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.read(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default(), most);
        let end = end?;
        let verdict = self.verdict();
        *self = Self::default();
        Some((end + 1, verdict))
    }

    /// It stands between two lines.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.len == 0
    }

    /// Nothing follows: a line that has begun is one that was not finished.
    pub fn end(&mut self) -> Option<Flaw> {
        let begun = !self.is_between();
        *self = Self::default();
        begun.then_some(Flaw::Unfinished)
    }

    /// A part of a line, without its LF. Only what is within the bound is judged, so the verdict
    /// does not depend on where the line was cut.
    fn read(&mut self, part: &[u8], most: usize) {
        let room = most.saturating_sub(self.len);
        let mut rest = part.get(..room).unwrap_or(part);
        while let Some((byte, behind)) = rest.split_first() {
            if let At::Data(_) | At::Flawed(_) = self.at {
                break;
            }
            self.head(*byte);
            rest = behind;
        }
        if let At::Data(_) = self.at
            && let Some(flaw) = self.in_data(rest)
        {
            self.at = At::Flawed(flaw);
        }
        self.len = self.len.saturating_add(part.len());
        if self.len > most && !matches!(self.at, At::Flawed(_)) {
            self.at = At::Flawed(Flaw::Long);
        }
    }

    fn in_data(&mut self, data: &[u8]) -> Option<Flaw> {
        let wrong = self.utf8.take(data);
        match data.get(..wrong.unwrap_or(data.len()))?.contains(&0) {
            true => Some(Flaw::Nul),
            false => wrong.map(|_| Flaw::Utf8),
        }
    }

    /// A byte before the data.
    fn head(&mut self, byte: u8) {
        self.at = match self.at {
            At::Type(n) => self.in_word(n, byte),
            At::Space(kind) if byte == b' ' => At::Seq(kind),
            At::Space(_) => At::Flawed(Flaw::Space),
            At::Seq(kind) => self.in_number(kind, byte),
            behind => behind,
        };
    }

    fn in_word(&mut self, n: u8, byte: u8) -> At {
        if let Some(place) = self.word.get_mut(usize::from(n)) {
            *place = byte;
        }
        match n {
            0 | 1 => At::Type(n + 1),
            _ => Kind::of(&self.word).map_or(At::Flawed(Flaw::Type), At::Space),
        }
    }

    fn in_number(&mut self, kind: Kind, byte: u8) -> At {
        match byte {
            b'0'..=b'9' => {
                let digit = i64::from(byte - b'0');
                let down = self.negative == Some(true);
                let next = self.seq.checked_mul(10);
                let next = next
                    .and_then(|n| if down { n.checked_sub(digit) } else { n.checked_add(digit) });
                self.digits = true;
                match next {
                    Some(next) => self.seq = next,
                    None => return At::Flawed(Flaw::Seq),
                }
                At::Seq(kind)
            }
            b'-' | b'+' if !self.digits && self.negative.is_none() => {
                self.negative = Some(byte == b'-');
                At::Seq(kind)
            }
            b' ' if self.digits => At::Data(kind),
            // A second space before the number, or a TAB.
            b' ' | b'\t' if self.negative.is_none() && !self.digits => At::Flawed(Flaw::Space),
            _ => At::Flawed(Flaw::Seq),
        }
    }

    /// What the line is that ends here.
    fn verdict(&self) -> Result<Line, Flaw> {
        match self.at {
            At::Type(0) => Err(Flaw::Empty),
            At::Type(_) => Err(Flaw::Type),
            At::Space(_) => Err(Flaw::Seq),
            At::Seq(_) if !self.digits => Err(Flaw::Seq),
            At::Data(_) if !self.utf8.is_whole() => Err(Flaw::Utf8),
            At::Seq(kind) | At::Data(kind) => Ok(Line { kind, seq: self.seq }),
            At::Flawed(flaw) => Err(flaw),
        }
    }
}
