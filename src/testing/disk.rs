//! Floor 5. A disk that keeps what was synced and may forget, tear or reorder the rest.
//!
//! Every segment exists twice: as the page cache shows it and as the device holds it. Slates write
//! to the first, a sync copies it to the second, and so may write-back, one sector at a time, at
//! any moment. A killed process leaves the first; a power cut leaves the second, with any of the
//! sectors that differ already written. Faults are switches. Absent on purpose: misdirected
//! writes and rot; those are the journal's own tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::rng::Rng;
use crate::journal::storage::{DiskError, SegmentFile, Slate, Storage};

/// What of a segment the power cut may tear: nothing smaller.
const SECTOR: usize = 512;
/// Records stand behind this; what stands before it is about them, and no promise waits for it.
const PAGE: usize = 4_096;

/// One segment, seen twice.
#[derive(Clone, Debug, Default)]
struct Plate {
    cached: Vec<u8>,
    device: Vec<u8>,
    /// Sectors written since the device last had them.
    dirty: Vec<u32>,
    /// The number of the first record written since the last sync.
    unsynced: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    plates: BTreeMap<u32, Plate>,
    aside: u32,
    full: bool,
    failing: bool,
    unreadable: bool,
    calls: u64,
    writes: u64,
    fail_at: Option<u64>,
}

/// A door to the disk; clones are doors to the same one.
#[derive(Clone, Debug, Default)]
pub struct FakeDisk(Arc<Mutex<Disk>>);

struct FakeSlate {
    disk: FakeDisk,
    no: u32,
}

impl Slate for FakeSlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        let mut disk = self.disk.lock();
        disk.writes += 1;
        let write = disk.writes;
        let Some(plate) = disk.plates.get_mut(&self.no) else { return };
        let at = at as usize;
        if at >= PAGE {
            plate.unsynced.get_or_insert(write);
        }
        let Some(room) = plate.cached.get_mut(at..at + bytes.len()) else {
            panic!("a write of {} bytes at {at} leaves segment {}", bytes.len(), self.no);
        };
        room.copy_from_slice(bytes);
        let sectors = at / SECTOR..=(at + bytes.len()).saturating_sub(1) / SECTOR;
        for sector in sectors.map(|s| s as u32) {
            if !plate.dirty.contains(&sector) {
                plate.dirty.push(sector);
            }
        }
    }
}

impl Plate {
    /// Let one sector reach the device.
    fn write_back(&mut self, sector: u32) {
        let from = sector as usize * SECTOR;
        let to = (from + SECTOR).min(self.cached.len());
        if let (Some(new), Some(old)) = (self.cached.get(from..to), self.device.get_mut(from..to)) {
            old.copy_from_slice(new);
        }
    }
}

impl FakeDisk {
    /// Segments cannot be made any more; those that exist can be written.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Every call that writes fails.
    pub fn set_failing(&self, failing: bool) {
        self.lock().failing = failing;
    }

    /// Every call that reads fails.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.lock().unreadable = unreadable;
    }

    /// The call that writes with this number, counted from now, fails; the others do not.
    pub fn fail_at(&self, call: u64) {
        let mut disk = self.lock();
        disk.fail_at = Some(disk.calls + call);
    }

    /// No faults from now on.
    pub fn heal(&self) {
        let mut disk = self.lock();
        (disk.full, disk.failing, disk.unreadable, disk.fail_at) = (false, false, false, None);
    }

    /// Some of what was not synced reaches the device on its own.
    pub fn write_back(&self, rng: &mut Rng) {
        for plate in self.lock().plates.values_mut() {
            let dirty = core::mem::take(&mut plate.dirty);
            for sector in dirty {
                match rng.chance(1, 2) {
                    true => plate.write_back(sector),
                    false => plate.dirty.push(sector),
                }
            }
        }
    }

    /// The power went: each sector that was not synced is old or new, as it happens.
    pub fn cut_power(&self, rng: &mut Rng) {
        let odds = rng.below(4);
        let mut disk = self.lock();
        for plate in disk.plates.values_mut() {
            for sector in core::mem::take(&mut plate.dirty) {
                if rng.below(3) < odds {
                    plate.write_back(sector);
                }
            }
            plate.cached = plate.device.clone();
            plate.unsynced = None;
        }
        (disk.full, disk.failing, disk.unreadable, disk.fail_at) = (false, false, false, None);
    }

    /// The power went, and nothing that was not synced is there.
    pub fn forget_unsynced(&self) {
        let mut disk = self.lock();
        for plate in disk.plates.values_mut() {
            plate.dirty.clear();
            plate.unsynced = None;
            plate.cached = plate.device.clone();
        }
    }

    /// The machine stopped while a segment was being made: what can be found of it then.
    pub fn leave_unfinished(&self, no: u32, len: u32, header: &[u8], rng: &mut Rng) {
        let whole = (len as usize).max(header.len());
        let mut bytes = vec![0; rng.below(whole as u64 + 1) as usize];
        if rng.chance(1, 2) && bytes.len() >= header.len() {
            bytes[..header.len()].copy_from_slice(header);
        }
        let plate = Plate { cached: bytes.clone(), device: bytes, ..Plate::default() };
        self.lock().plates.entry(no).or_insert(plate);
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.lock().plates.len()
    }

    /// Calls that write, made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// How many writes there were: the number of the last one.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Every record up to that write was synced, or its segment is gone. What reached the device
    /// on its own does not count.
    #[must_use]
    pub fn is_synced(&self, write: u64) -> bool {
        self.lock().plates.values().all(|plate| plate.unsynced.is_none_or(|first| first > write))
    }

    /// A disk like this one, which nothing that happens to this one changes.
    #[must_use]
    pub fn frozen(&self) -> Self {
        let disk = self.lock().clone();
        Self(Arc::new(Mutex::new(disk)))
    }

    /// The segments as a reader sees them, for comparing and for looking at failures.
    #[must_use]
    pub fn image(&self) -> BTreeMap<u32, Vec<u8>> {
        self.lock().plates.iter().map(|(no, plate)| (*no, plate.cached.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Count a call that writes; should it fail?
    fn write_call(&mut self, no: u32) -> Result<(), DiskError> {
        self.calls += 1;
        if self.failing || self.fail_at == Some(self.calls) {
            return Err(error(no, "input/output error"));
        }
        Ok(())
    }

    fn read_call(&self, no: u32) -> Result<(), DiskError> {
        if self.unreadable {
            return Err(error(no, "input/output error"));
        }
        Ok(())
    }
}

impl Storage for FakeDisk {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let disk = self.lock();
        let file = |(no, p): (&u32, &Plate)| SegmentFile { no: *no, len: p.cached.len() as u64 };
        Ok(disk.plates.iter().map(file).collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let disk = self.lock();
        disk.read_call(no)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let plate = disk.plates.get(&no).ok_or_else(|| error(no, "no such segment"))?;
        let piece = plate.cached.get(from..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(piece.ok_or_else(|| error(no, "the segment ends before that"))?);
        Ok(())
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        let mut disk = self.lock();
        disk.write_call(no)?;
        if disk.full {
            return Err(DiskError { full: true, ..error(no, "no space left") });
        }
        let mut bytes = vec![0; (len as usize).max(header.len())];
        bytes[..header.len()].copy_from_slice(header);
        let plate = Plate { cached: bytes.clone(), device: bytes, ..Plate::default() };
        disk.plates.insert(no, plate);
        drop(disk);
        Ok(Box::new(FakeSlate { disk: self.clone(), no }))
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        let disk = self.lock();
        disk.plates.get(&no).ok_or_else(|| error(no, "no such segment"))?;
        drop(disk);
        Ok(Box::new(FakeSlate { disk: self.clone(), no }))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        let mut disk = self.lock();
        disk.write_call(no)?;
        let plate = disk.plates.get_mut(&no).ok_or_else(|| error(no, "no such segment"))?;
        for sector in core::mem::take(&mut plate.dirty) {
            plate.write_back(sector);
        }
        plate.unsynced = None;
        Ok(())
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        let mut disk = self.lock();
        disk.write_call(no)?;
        disk.plates.remove(&no).map(drop).ok_or_else(|| error(no, "no such segment"))
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        let mut disk = self.lock();
        disk.aside += 1;
        Ok(format!("{no}.aside"))
    }
}

fn error(no: u32, text: &str) -> DiskError {
    DiskError { full: false, segment: no, offset: 0, text: text.to_owned() }
}
