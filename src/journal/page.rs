//! Floor 1. The first page of a segment: whose it is, where it starts, what was acknowledged.
//!
//! Three things of three ages. The *header* is written once, before the segment exists for anybody
//! else. The *opening* is written when the segment becomes the active one. The *mark* is written
//! over and over, without a sync of its own: a lower bound of what was acknowledged, and the oldest
//! segment that still counts. Each stands twice, in different halves of the page, so one bad byte
//! costs nothing, and the two marks are written in turn, so a torn one leaves the other.

use super::frame::{u32_at, u64_at};

/// Bytes before the first record.
pub(super) const PAGE: u32 = 4096;

/// The format this code writes, and the only one it reads.
pub(super) const VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"spindle\0";
const HEADER_LEN: usize = 36;
const OPENING: usize = 512;
const MARK: usize = 1024;
const HALF: usize = 2048;

/// Written once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) no: u32,
    pub(super) len: u32,
    pub(super) salt: u64,
}

/// Written lazily after syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    /// Every record up to this sequence number was on the disk.
    pub(super) seq: u64,
    /// Segments below this number are dead, whether or not they are gone.
    pub(super) head: u32,
}

/// A first page as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// Ours.
    Good {
        header: Header,
        /// Its first record, once it was begun.
        opening: Option<u64>,
        mark: Mark,
        /// The next mark goes to the second place, because the first holds this one.
        second: bool,
    },
    /// Of a format that is not ours to touch.
    Newer(u32),
    /// Nothing that was ever finished, or damaged.
    Bad,
}

impl Header {
    /// The whole page.
    pub(super) fn page(&self) -> Vec<u8> {
        let mut one = Vec::with_capacity(HEADER_LEN);
        one.extend_from_slice(MAGIC);
        one.extend_from_slice(&VERSION.to_be_bytes());
        one.extend_from_slice(&self.no.to_be_bytes());
        one.extend_from_slice(&self.len.to_be_bytes());
        one.extend_from_slice(&[0; 4]);
        one.extend_from_slice(&self.salt.to_be_bytes());
        one.extend_from_slice(&crc32c::crc32c(&one).to_be_bytes());
        let mut page = vec![0; PAGE as usize];
        page[..HEADER_LEN].copy_from_slice(&one);
        page[HALF..HALF + HEADER_LEN].copy_from_slice(&one);
        page
    }

    /// What the checksums of this segment start from.
    pub(super) fn seed(&self) -> u32 {
        let salt = crc32c::crc32c(&self.salt.to_be_bytes());
        crc32c::crc32c_append(salt, &self.no.to_be_bytes())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
        let ours = bytes.starts_with(MAGIC) && u32_at(bytes, 8) == VERSION;
        (ours && crc == u32_at(bytes, HEADER_LEN - 4)).then(|| Self {
            no: u32_at(bytes, 12),
            len: u32_at(bytes, 16),
            salt: u64_at(bytes, 24),
        })
    }
}

impl Page {
    /// Read a first page; a shorter one is bad.
    pub(super) fn parse(page: &[u8]) -> Self {
        if page.len() < PAGE as usize {
            return Self::Bad;
        }
        let halves = [&page[..HALF], &page[HALF..]];
        let Some(header) = halves.iter().find_map(|half| Header::parse(half)) else {
            let newer = |half: &&[u8]| half.starts_with(MAGIC) && u32_at(half, 8) != VERSION;
            // One damaged byte cannot make both copies look newer.
            return match halves.iter().all(newer) {
                true => Self::Newer(u32_at(page, 8)),
                false => Self::Bad,
            };
        };
        let seed = header.seed();
        let opening = halves.iter().find_map(|half| parse_opening(&half[OPENING..], seed));
        let [first, other] = halves.map(|half| parse_mark(&half[MARK..], seed).unwrap_or_default());
        let second = (first.head, first.seq) > (other.head, other.seq);
        let mark = if second { first } else { other };
        Self::Good { header, opening, mark, second }
    }
}

/// The opening block, and where its two copies go.
pub(super) fn opening(first_seq: u64, seed: u32) -> ([u32; 2], [u8; 12]) {
    let mut block = [0; 12];
    block[..8].copy_from_slice(&first_seq.to_be_bytes());
    let crc = crc32c::crc32c_append(seed, &block[..8]);
    block[8..].copy_from_slice(&crc.to_be_bytes());
    ([OPENING as u32, (HALF + OPENING) as u32], block)
}

/// The mark block, and where it goes this time.
pub(super) fn mark(mark: Mark, second: bool, seed: u32) -> (u32, [u8; 16]) {
    let mut block = [0; 16];
    block[..8].copy_from_slice(&mark.seq.to_be_bytes());
    block[8..12].copy_from_slice(&mark.head.to_be_bytes());
    let crc = crc32c::crc32c_append(seed, &block[..12]);
    block[12..].copy_from_slice(&crc.to_be_bytes());
    ((MARK + usize::from(second) * HALF) as u32, block)
}

fn parse_opening(bytes: &[u8], seed: u32) -> Option<u64> {
    let crc = crc32c::crc32c_append(seed, &bytes[..8]);
    let seq = u64_at(bytes, 0);
    (seq > 0 && crc == u32_at(bytes, 8)).then_some(seq)
}

fn parse_mark(bytes: &[u8], seed: u32) -> Option<Mark> {
    let crc = crc32c::crc32c_append(seed, &bytes[..12]);
    let mark = Mark { seq: u64_at(bytes, 0), head: u32_at(bytes, 8) };
    (mark.head > 0 && crc == u32_at(bytes, 12)).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_names_no_head_counts_for_nothing() {
        let header = Header { no: 1, len: 1 << 16, salt: 7 };
        for (head, counts) in [(0, Mark::default()), (1, Mark { seq: 5, head: 1 })] {
            let mut page = header.page();
            let (at, block) = mark(Mark { seq: 5, head }, false, header.seed());
            page[at as usize..][..block.len()].copy_from_slice(&block);
            let Page::Good { mark: read, .. } = Page::parse(&page) else { panic!("not ours") };
            assert_eq!(read, counts);
        }
    }

    #[test]
    fn what_is_whole_and_of_another_kind_or_version_is_not_read_as_ours() {
        let other = |at: usize| {
            let mut page = Header { no: 1, len: 1 << 16, salt: 7 }.page();
            for half in [0, HALF] {
                page[half + at] ^= 1;
                let crc = crc32c::crc32c(&page[half..half + HEADER_LEN - 4]);
                let end = half + HEADER_LEN;
                page[end - 4..end].copy_from_slice(&crc.to_be_bytes());
            }
            Page::parse(&page)
        };
        assert!(matches!(other(0), Page::Bad), "another mark of kind");
        assert!(matches!(other(11), Page::Newer(version) if version == VERSION ^ 1));
        assert!(matches!(other(15), Page::Good { header, .. } if header.no == 0));
    }
}
