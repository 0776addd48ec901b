//! Floor 6. Inflating: what DEFLATE has made small becomes what it was (RFC 1951).
//!
//! Codes are followed bit by bit, with a count of codes for each length and the symbols in order,
//! so there is no table that a stream could make large. What comes out is given away as it comes,
//! and stops at a length that is known before. Absent on purpose: deflating, and speed.

use std::io::{self, Read};

/// Inflate `from`, and give what comes out to `to` piece by piece; an error if it is not exactly
/// `size` bytes.
pub(super) fn inflate(
    from: impl Read,
    size: u64,
    to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut bits = Bits { from: io::BufReader::new(from).bytes(), held: 0, count: 0 };
    let mut out = Window { ring: vec![0; WINDOW], at: 0, total: 0, size, to };
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let (lengths, distances) = fixed()?;
                block(&mut bits, &mut out, &lengths, &distances)?;
            }
            2 => {
                let (lengths, distances) = described(&mut bits)?;
                block(&mut bits, &mut out, &lengths, &distances)?;
            }
            _ => return Err(bad()),
        }
        if last {
            return out.end();
        }
    }
}

/// Bits of the stream, the lowest of each byte first.
struct Bits<R: Read> {
    from: io::Bytes<io::BufReader<R>>,
    held: u32,
    count: u32,
}

impl<R: Read> Bits<R> {
    /// So many bits, at most 16.
    fn take(&mut self, wanted: u32) -> io::Result<u32> {
        while self.count < wanted {
            let byte = self.from.next().ok_or_else(bad)??;
            self.held |= u32::from(byte) << self.count;
            self.count += 8;
        }
        let taken = self.held & ((1 << wanted) - 1);
        self.held >>= wanted;
        self.count -= wanted;
        Ok(taken)
    }

    /// The next symbol of this code.
    fn symbol(&mut self, code: &Code) -> io::Result<usize> {
        let (mut word, mut first, mut before) = (0, 0, 0);
        for count in code.counts {
            word |= self.take(1)?;
            if word < first + count {
                let place = before + (word - first);
                return code.symbols.get(place as usize).copied().map(usize::from).ok_or_else(bad);
            }
            before += count;
            first = (first + count) << 1;
            word <<= 1;
        }
        Err(bad())
    }
}

/// What has come out lately, of which parts are said again.
struct Window<'a> {
    ring: Vec<u8>,
    at: usize,
    total: u64,
    size: u64,
    to: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Window<'_> {
    fn put(&mut self, byte: u8) -> io::Result<()> {
        if self.total == self.size {
            return Err(bad());
        }
        if let Some(place) = self.ring.get_mut(self.at) {
            *place = byte;
        }
        self.at += 1;
        self.total += 1;
        if self.at == WINDOW {
            (self.to)(&self.ring)?;
            self.at = 0;
        }
        Ok(())
    }

    /// Say again what was said so long ago.
    fn again(&mut self, back: usize, len: usize) -> io::Result<()> {
        if back > WINDOW || back as u64 > self.total {
            return Err(bad());
        }
        for _ in 0..len {
            let place = (self.at + WINDOW - back) % WINDOW;
            let byte = self.ring.get(place).copied().unwrap_or_default();
            self.put(byte)?;
        }
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        if self.total != self.size {
            return Err(bad());
        }
        (self.to)(self.ring.get(..self.at).unwrap_or_default())
    }
}

/// A canonical code: how many words there are of each length from 1, and what they mean, the
/// shortest first.
struct Code {
    counts: [u32; 15],
    symbols: Vec<u16>,
}

impl Code {
    /// The code in which the words of the symbols are so long; 0: it has none. A code that says two
    /// things with one word is refused; one that leaves words out is not, they are refused when
    /// they come.
    fn new(lengths: &[u8]) -> io::Result<Self> {
        let mut counts = [0; 15];
        for len in lengths.iter().filter(|len| **len > 0) {
            *counts.get_mut(usize::from(*len) - 1).ok_or_else(bad)? += 1;
        }
        let mut left = 1_i64;
        for count in counts {
            left = (left << 1) - i64::from(count);
            if left < 0 {
                return Err(bad());
            }
        }
        let mut symbols = Vec::with_capacity(lengths.len());
        for wanted in 1..=15 {
            for (symbol, len) in lengths.iter().enumerate() {
                if *len == wanted {
                    symbols.push(u16::try_from(symbol).map_err(|_| bad())?);
                }
            }
        }
        Ok(Self { counts, symbols })
    }
}

/// A block that is not compressed.
fn stored<R: Read>(bits: &mut Bits<R>, out: &mut Window<'_>) -> io::Result<()> {
    let odd = bits.count % 8;
    bits.take(odd)?;
    let len = bits.take(16)?;
    if bits.take(16)? != len ^ 0xffff {
        return Err(bad());
    }
    for _ in 0..len {
        let byte = bits.take(8)?;
        out.put(byte as u8)?;
    }
    Ok(())
}

/// A block of literals, and of what was said before.
fn block<R: Read>(
    bits: &mut Bits<R>,
    out: &mut Window<'_>,
    lengths: &Code,
    distances: &Code,
) -> io::Result<()> {
    loop {
        match bits.symbol(lengths)? {
            literal @ 0..256 => out.put(literal as u8)?,
            256 => return Ok(()),
            symbol => {
                let (least, more) = LENGTHS.get(symbol - 257).copied().ok_or_else(bad)?;
                let len = usize::from(least) + bits.take(u32::from(more))? as usize;
                let symbol = bits.symbol(distances)?;
                let (least, more) = DISTANCES.get(symbol).copied().ok_or_else(bad)?;
                let back = usize::from(least) + bits.take(u32::from(more))? as usize;
                out.again(back, len)?;
            }
        }
    }
}

/// The codes that need no description.
fn fixed() -> io::Result<(Code, Code)> {
    let mut lengths = [8; 288];
    for (symbol, len) in lengths.iter_mut().enumerate() {
        *len = match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        };
    }
    Ok((Code::new(&lengths)?, Code::new(&[5; 30])?))
}

/// The codes that stand in front of the block.
fn described<R: Read>(bits: &mut Bits<R>) -> io::Result<(Code, Code)> {
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let own = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(bad());
    }
    let mut lengths = [0; 19];
    for place in ORDER.iter().take(own) {
        let len = bits.take(3)? as u8;
        *lengths.get_mut(*place).ok_or_else(bad)? = len;
    }
    let own = Code::new(&lengths)?;
    let all = literals + distances;
    let mut lengths: Vec<u8> = Vec::with_capacity(all);
    while lengths.len() < all {
        let (len, times) = match bits.symbol(&own)? {
            len @ 0..16 => (len as u8, 1),
            16 => (lengths.last().copied().ok_or_else(bad)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        lengths.extend(std::iter::repeat_n(len, times as usize));
    }
    // The last repetition must not go beyond the end.
    let (of_literals, rest) = lengths.split_at_checked(literals).ok_or_else(bad)?;
    if rest.len() != distances || of_literals.get(256) == Some(&0) {
        return Err(bad());
    }
    Ok((Code::new(of_literals)?, Code::new(rest)?))
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

/// How far back something said may lie.
const WINDOW: usize = 32_768;
/// The order in which lengths of the description's own code are told.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// The least length that a symbol stands for, and how many bits say how much more.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same for distances.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1_025, 9),
    (1_537, 9),
    (2_049, 10),
    (3_073, 10),
    (4_097, 11),
    (6_145, 11),
    (8_193, 12),
    (12_289, 12),
    (16_385, 13),
    (24_577, 13),
];
