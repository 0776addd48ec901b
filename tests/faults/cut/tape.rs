//! Floor 6. A door that records what is done to a disk, and the disks that a power cut leaves.
//!
//! Every write, sync, making and removal has its place in the record. A cut keeps of each segment
//! what its last finished sync covered; of the writes since then each page is found as it was at
//! any moment, and may be torn between two moments, sector by sector. What was being made may be
//! there in part; what was being removed may be there or not. Absent on purpose: writes that reach
//! another place, and disks that forget what they had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spindle::base::rng::Rng;
use spindle::journal::storage::{DiskError, SegmentFile, Slate, Storage};

use super::load::Tick;

/// What a power cut may tear: nothing smaller.
const SECTOR: usize = 512;
const PAGE: usize = 4_096;

/// Something that was done.
enum Deed {
    /// A segment as it was found, on the disk.
    Found(u32, Vec<u8>),
    /// It is being made: length, first page.
    Make(u32, u32, Vec<u8>),
    Made(u32),
    Write(u32, usize, Vec<u8>),
    /// What was recorded of this segment before that is on the disk.
    Synced(u32, usize),
    Remove(u32),
    Removed(u32),
}

/// Whether a door does what it is asked to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honesty {
    Honest,
    /// It says that it has synced, and has not.
    NeverSyncs,
    /// It says that it has synced when it has done what it was asked the time before.
    OneBehind,
}

/// The record.
#[derive(Clone)]
pub(crate) struct Tape(Arc<Mutex<Reel>>);

struct Reel {
    deeds: Vec<Deed>,
    tick: Tick,
    /// Where the record is whole: cuts may be made from here on.
    from: Option<usize>,
    /// The first segment that was made through the door.
    first: Option<u32>,
    honesty: Honesty,
    /// By segment: what the sync before would have covered.
    asked: BTreeMap<u32, usize>,
    rng: Rng,
}

impl Tape {
    pub(crate) fn new(tick: &Tick, honesty: Honesty, rng: Rng) -> Self {
        let (deeds, asked) = (Vec::new(), BTreeMap::new());
        let reel = Reel { deeds, tick: tick.clone(), from: None, first: None, honesty, asked, rng };
        Self(Arc::new(Mutex::new(reel)))
    }

    /// One that begins with these segments, safe on the disk.
    pub(crate) fn upon(image: &Image, rng: Rng) -> Self {
        let it = Self::new(&Tick::default(), Honesty::Honest, rng);
        for (no, bytes) in image {
            it.reel().note(Deed::Found(*no, bytes.clone()));
        }
        it.reel().from = Some(image.len());
        it
    }

    fn reel(&self) -> MutexGuard<'_, Reel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From where to where it may be cut.
    pub(crate) fn range(&self) -> Option<(usize, usize)> {
        let reel = self.reel();
        reel.from.map(|from| (from, reel.deeds.len()))
    }

    /// A disk that a cut there may leave.
    pub(crate) fn cut(&self, at: usize, rng: &mut Rng) -> Image {
        let manner = Manner::any(rng);
        self.cut_so(at, manner, rng)
    }

    /// The poorest that it may leave: nothing that was not synced.
    pub(crate) fn cut_bare(&self, at: usize, rng: &mut Rng) -> Image {
        self.cut_so(at, Manner::Nothing, rng)
    }

    fn cut_so(&self, at: usize, manner: Manner, rng: &mut Rng) -> Image {
        let mut plates: BTreeMap<u32, Plate> = BTreeMap::new();
        let reel = self.reel();
        for (place, deed) in reel.deeds.iter().take(at).enumerate() {
            match deed {
                Deed::Found(no, bytes) => _ = plates.insert(*no, Plate::safe(bytes.clone())),
                Deed::Make(no, len, head) => _ = plates.insert(*no, Plate::unmade(*len, head)),
                Deed::Removed(no) => _ = plates.remove(no),
                Deed::Made(no) => edit(&mut plates, *no, |plate| plate.made = true),
                Deed::Remove(no) => edit(&mut plates, *no, |plate| plate.going = true),
                Deed::Synced(no, upto) => edit(&mut plates, *no, |plate| plate.sync(*upto)),
                Deed::Write(no, at, bytes) => {
                    let write = (place, *at, bytes.clone());
                    edit(&mut plates, *no, |plate| plate.pending.push(write));
                }
            }
        }
        let left = plates.into_iter().map(|(no, plate)| (no, plate.left(manner, rng)));
        left.filter_map(|(no, bytes)| Some((no, bytes?))).collect()
    }
}

fn edit(plates: &mut BTreeMap<u32, Plate>, no: u32, change: impl FnOnce(&mut Plate)) {
    if let Some(plate) = plates.get_mut(&no) {
        change(plate);
    }
}

impl Reel {
    fn note(&mut self, deed: Deed) {
        self.deeds.push(deed);
        self.tick.set(self.deeds.len());
    }
}

/// Segments by their numbers.
pub(crate) type Image = BTreeMap<u32, Vec<u8>>;

/// How much of what was not synced has reached the disk.
#[derive(Clone, Copy)]
enum Manner {
    Nothing,
    All,
    /// Each page as it was at some moment; torn so often in eight.
    Pages(u64),
}

impl Manner {
    fn any(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 | 1 => Self::Nothing,
            2 => Self::All,
            3 | 4 => Self::Pages(0),
            5 | 6 => Self::Pages(2),
            _ => Self::Pages(8),
        }
    }
}

/// One segment while the record is played.
struct Plate {
    bytes: Vec<u8>,
    head: Vec<u8>,
    made: bool,
    going: bool,
    /// Not synced: place in the record, offset, bytes.
    pending: Vec<(usize, usize, Vec<u8>)>,
}

impl Plate {
    fn safe(bytes: Vec<u8>) -> Self {
        Self { bytes, head: Vec::new(), made: true, going: false, pending: Vec::new() }
    }

    fn unmade(len: u32, head: &[u8]) -> Self {
        let mut bytes = vec![0; len as usize];
        bytes[..head.len()].copy_from_slice(head);
        Self { head: head.to_vec(), made: false, ..Self::safe(bytes) }
    }

    fn sync(&mut self, upto: usize) {
        let upto = self.pending.partition_point(|(place, ..)| *place < upto);
        for (_, at, bytes) in self.pending.drain(..upto) {
            self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// What is found of it after the cut, if anything.
    fn left(mut self, manner: Manner, rng: &mut Rng) -> Option<Vec<u8>> {
        if self.going && rng.chance(1, 2) {
            return None;
        }
        if !self.made {
            return self.begun(rng);
        }
        let most = self.pending.len() as u64;
        let mut moments: BTreeMap<usize, u64> = BTreeMap::new();
        let touched = self.pending.iter();
        let touched = touched.flat_map(|(_, at, bytes)| sectors(*at, bytes.len()));
        let touched: BTreeSet<usize> = touched.collect();
        let mut page = (usize::MAX, 0, false);
        for sector in touched {
            let of = sector * SECTOR / PAGE;
            if page.0 != of {
                let torn = matches!(manner, Manner::Pages(odds) if rng.chance(odds, 8));
                page = (of, rng.below(most + 1), torn);
            }
            let moment = match manner {
                Manner::Nothing => 0,
                Manner::All => most,
                Manner::Pages(_) if page.2 => rng.below(most + 1),
                Manner::Pages(_) => page.1,
            };
            moments.insert(sector, moment);
        }
        for (n, (_, at, bytes)) in (0..).zip(&self.pending) {
            // Its page may have been on its way while it was being copied.
            let half = match manner {
                Manner::Pages(_) => rng.below(bytes.len() as u64 + 1) as usize,
                Manner::Nothing | Manner::All => 0,
            };
            for sector in sectors(*at, bytes.len()) {
                let moment = moments.get(&sector).copied().unwrap_or(0);
                let upto = match n {
                    n if n < moment => bytes.len(),
                    n if n == moment => half,
                    _ => continue,
                };
                let (from, to) = (sector * SECTOR, (sector + 1) * SECTOR);
                let (from, to) = (from.max(*at), to.min(at + upto));
                if from < to {
                    self.bytes[from..to].copy_from_slice(&bytes[from - at..to - at]);
                }
            }
        }
        Some(self.bytes)
    }

    /// What there is of a segment that was being made.
    fn begun(mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let len = match rng.below(4) {
            0 => return None,
            1 => 0,
            2 => rng.below(self.bytes.len() as u64 / PAGE as u64 + 1) as usize * PAGE,
            _ => self.bytes.len(),
        };
        self.bytes.truncate(len);
        for sector in sectors(0, self.head.len().min(len)) {
            if rng.chance(1, 2) {
                let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(len));
                self.bytes[from..to].fill(0);
            }
        }
        Some(self.bytes)
    }
}

fn sectors(at: usize, len: usize) -> std::ops::Range<usize> {
    at / SECTOR..(at + len).div_ceil(SECTOR)
}

/// The door.
pub(crate) struct Door {
    pub(crate) inner: Box<dyn Storage>,
    pub(crate) tape: Tape,
}

/// The way to one segment, recorded.
struct Pen {
    no: u32,
    inner: Box<dyn Slate>,
    tape: Tape,
}

impl Slate for Pen {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        self.inner.write(at, bytes);
        // Noted afterwards: a sync that was asked for before does not count on it.
        self.tape.reel().note(Deed::Write(self.no, at as usize, bytes.to_vec()));
    }
}

impl Door {
    fn pen(&self, no: u32, inner: Box<dyn Slate>) -> Box<dyn Slate> {
        Box::new(Pen { no, inner, tape: self.tape.clone() })
    }

    /// Some segments were made before there was this door. When the first one that was made
    /// through it is synced, those are sealed and safe: from here on nothing goes unseen.
    fn find(&mut self, before: u32) -> Result<(), DiskError> {
        for SegmentFile { no, len } in self.inner.segments()? {
            if no < before {
                let mut bytes = vec![0; len as usize];
                self.inner.read(no, 0, &mut bytes)?;
                self.tape.reel().note(Deed::Found(no, bytes));
            }
        }
        Ok(())
    }
}

impl Storage for Door {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        self.inner.segments()
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.inner.read(no, at, buf)
    }

    fn create(&mut self, no: u32, len: u32, head: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.tape.reel().first.get_or_insert(no);
        self.tape.reel().note(Deed::Make(no, len, head.to_vec()));
        let slate = self.inner.create(no, len, head)?;
        self.tape.reel().note(Deed::Made(no));
        Ok(self.pen(no, slate))
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        let slate = self.inner.open(no)?;
        Ok(self.pen(no, slate))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        let (begins, pause, here) = {
            let mut reel = self.tape.reel();
            let pause = Duration::from_micros(reel.rng.below(600));
            let begins = reel.from.is_none() && reel.first == Some(no);
            (begins, pause, reel.deeds.len())
        };
        if begins {
            self.find(no)?;
        }
        // Slow, so that whatever is promised too early is heard before it is true.
        std::thread::sleep(pause);
        self.inner.sync(no)?;
        let mut reel = self.tape.reel();
        let before = reel.asked.insert(no, here);
        let upto = match reel.honesty {
            _ if reel.from.is_none() => Some(here),
            Honesty::Honest => Some(here),
            Honesty::NeverSyncs => None,
            Honesty::OneBehind => before,
        };
        if let Some(upto) = upto {
            reel.note(Deed::Synced(no, upto));
        }
        if begins {
            reel.from = Some(reel.deeds.len());
        }
        Ok(())
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.tape.reel().note(Deed::Remove(no));
        self.inner.remove(no)?;
        self.tape.reel().note(Deed::Removed(no));
        Ok(())
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.inner.set_aside(no)
    }
}
