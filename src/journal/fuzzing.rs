//! Floor 1. What a fuzzer may do to a journal: hand it any bytes, or damage a good one anywhere.
//!
//! Opening may succeed or be refused; it may not panic, and what it gives may not be something
//! that was never written. What lies before the first damage is either given or refused aloud.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::id::OwnerNo;
use crate::base::time::Now;

use super::memory::Memory;
use super::record::Record;
use super::{Class, Journal, Options, perform};

const SEGMENT: u32 = 16 << 10;

fn options(salvage: bool) -> Options {
    Options { segment_bytes: SEGMENT, salt: 7, salvage }
}

/// Open, and do all disk work there is.
fn open(disk: &mut Memory, salvage: bool) -> Option<(Journal, Vec<(u64, Record)>)> {
    let mut read = Vec::new();
    let mut apply = |spot: super::Spot, record: &Record| read.push((spot.lsn.0, record.clone()));
    let (mut journal, _) = Journal::recover(disk, options(salvage), &mut apply).ok()?;
    work(&mut journal, disk);
    Some((journal, read))
}

fn work(journal: &mut Journal, disk: &mut Memory) {
    for _ in 0..64 {
        let Some(job) = journal.poll_job(Now::default()) else { return };
        let done = perform(disk, job);
        let _ = journal.on_done(Now::default(), done);
    }
}

/// A journal of a few segments, everything in it synced.
fn sample() -> Memory {
    let mut disk = Memory::default();
    if let Some((mut journal, _)) = open(&mut disk, false) {
        for n in 0..60u8 {
            let value = Bytes::from(vec![n; 500]);
            let record = match n % 3 {
                0 => Record::Gone { owner: OwnerNo(u32::from(n)) },
                _ => Record::Note { key: Bytes::from(vec![n]), value },
            };
            let _ = journal.append(Class::Growth, &record);
            work(&mut journal, &mut disk);
        }
        journal.close();
        work(&mut journal, &mut disk);
    }
    disk
}

/// Any bytes as a segment; then a good journal, damaged as the bytes say.
pub fn bytes(data: &[u8]) {
    let raw = BTreeMap::from([(1, data.to_vec())]);
    for salvage in [false, true] {
        let _ = open(&mut Memory::holding(raw.clone()), salvage);
    }
    let good = sample();
    let written = open(&mut Memory::holding(good.image()), false).map_or(Vec::new(), |o| o.1);
    let mut image = good.image();
    let mut first = u64::MAX;
    for hit in data.chunks_exact(4).take(8) {
        let [no, high, low, with] = *hit else { continue };
        let no = 1 + u32::from(no) % image.len().max(1) as u32;
        let at = usize::from(u16::from_be_bytes([high, low])) % SEGMENT as usize;
        let Some(byte) = image.get_mut(&no).and_then(|segment| segment.get_mut(at)) else {
            continue;
        };
        if with != 0 {
            *byte ^= with;
            first = first.min(super::lsn_at(no, at as u32).0);
        }
    }
    for salvage in [false, true] {
        let Some((_, read)) = open(&mut Memory::holding(image.clone()), salvage) else { continue };
        let known = read.iter().all(|(_, record)| written.iter().any(|(_, was)| was == record));
        assert!(known, "a record was read that nobody wrote");
        // A record ends before the next begins; the last before the damage may be the damaged one.
        let safe = written.iter().zip(written.iter().skip(1)).take_while(|(_, n)| n.0 <= first);
        let lost = safe.map(|(w, _)| w).any(|(_, was)| !read.iter().any(|(_, r)| r == was));
        assert!(!lost, "a record before the damage is gone, and nobody said so");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_few_inputs_by_hand() {
        super::bytes(b"");
        super::bytes(&[0; 64]);
        super::bytes(&[1, 0x10, 0x20, 0xff, 0, 0x20, 0, 1]);
        for at in (0..16_384u16).step_by(997) {
            let [high, low] = at.to_be_bytes();
            super::bytes(&[0, high, low, 0x40]);
        }
    }
}
