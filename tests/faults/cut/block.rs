//! Floor 6. The power is cut under a file system on a disk: what the broker promised is there.
//!
//! A disk of our own making (`fuse`), a loop device on it, ext4 on that, and in it the folder of
//! the real program. Every write and flush of the disk is recorded under load; then the record is
//! cut at random places. What was written before the last flush stays, of the rest any part does,
//! torn between sectors. Each such disk is mounted, the program is started on it, and what it had
//! acknowledged by then must be there. At durability `os` the same cuts must lose something.
//! Absent on purpose: disks that do not honour flushes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use spindle::base::rng::Rng;

use super::fuse::{Deed, Served};
use super::load::{History, Site, Tick, introduce, load};
use super::look::{Look, Seen};
use crate::broker::Place;
use crate::overload_rig::{Scratch, ensure, told};
use crate::{Options, Verdict};

const SIZE: u64 = 64 << 20;
/// What a power cut may tear: nothing smaller.
const SECTOR: usize = 512;

/// Why this machine can not show it, if so.
pub(crate) fn no_block() -> Option<String> {
    let tried = || {
        let dir = Scratch::new("power")?;
        Stage::new(&dir.0, &Tick::default()).map(drop)
    };
    tried().err()
}

pub(crate) fn power_block(options: &Options) -> Verdict {
    let (runs, cuts) = if options.long { (4, 6) } else { (1, 3) };
    let mut rng = Rng::new(options.seed);
    let mut sum = Sum::default();
    for n in 0..runs {
        // Either everything is owed until the end, or much of the journal dies and is removed.
        let record = record(options, "disk", MESSAGES, if n % 2 == 0 { 1 } else { 4 })?;
        let places = record.places(cuts, &mut rng);
        record.cut_at(options, &places, false, &mut rng, &mut sum)?;
    }
    let mut figures = sum.tell();
    let mut wrong = sum.seen.lost + sum.seen.invented > 0;
    if options.broker.is_none() {
        let mut os = Sum::default();
        let record = record(options, "os", MESSAGES / 5, 1)?;
        record.cut_at(options, &record.rash(2), true, &mut rng, &mut os)?;
        let Seen { due, lost, .. } = os.seen;
        figures.push(format!("at durability os: of {due} promises looked for {lost} are lost"));
        if lost == 0 || sum.acked < 10_000 {
            figures.push("nothing was put to the test".to_owned());
            wrong = true;
        }
    }
    if wrong { Err(figures.join("\n")) } else { Ok(figures) }
}

/// What all looks have shown.
#[derive(Default)]
struct Sum {
    deeds: usize,
    flushes: usize,
    cuts: u64,
    /// Until the last cut of each record.
    acked: u64,
    pending: usize,
    seen: Seen,
    slowest: Duration,
}

impl Sum {
    fn tell(&self) -> Vec<String> {
        let Self { deeds, flushes, cuts, acked, pending, slowest, .. } = self;
        let Seen { due, lost, invented, first } = &self.seen;
        let mut lines = vec![
            format!("{deeds} writes and flushes of the disk, {flushes} of them flushes"),
            format!("{cuts} cuts, {pending} writes in doubt; {acked} acknowledged until the last"),
            format!("{due} promises looked for, {lost} lost, {invented} invented"),
            format!("slowest start until a client was welcomed: {} ms", slowest.as_millis()),
        ];
        lines.extend(first.clone());
        lines
    }
}

/// The disk, the loop device on it, and the file system on that.
pub(super) struct Stage {
    blank: Vec<u8>,
    /// Undone in this order.
    pub(super) top: Mount,
    device: Loop,
    _file: Mount,
    pub(super) served: Served,
}

impl Stage {
    pub(super) fn new(dir: &Path, tick: &Tick) -> Result<Self, String> {
        let image = dir.join("image");
        let file = std::fs::File::create(&image).map_err(told)?;
        file.set_len(SIZE).map_err(told)?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image.display().to_string()])?;
        let blank = std::fs::read(&image).map_err(told)?;
        std::fs::remove_file(&image).map_err(told)?;
        let (below, above) = (dir.join("fuse"), dir.join("top"));
        for place in [&below, &above] {
            std::fs::create_dir_all(place).map_err(told)?;
        }
        let served = Served::new(&below, blank.clone(), tick)?;
        let file = Mount(below.clone());
        let device = Loop::new(&below.join("disk"))?;
        run("mount", &[&device.0, &above.display().to_string()])?;
        Ok(Self { blank, top: Mount(above), device, _file: file, served })
    }

    /// The file system is taken off the disk and put on it again, as after a start of the machine.
    pub(super) fn mount_again(&self) -> Result<(), String> {
        let place = self.top.0.display().to_string();
        run("umount", &[&place])?;
        run("mount", &[&self.device.0, &place]).map(drop)
    }
}

/// A file system that goes with its owner.
pub(super) struct Mount(pub(super) PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let place = self.0.display().to_string();
        if run("umount", &[&place]).is_err() {
            let _ = run("umount", &["-l", &place]);
        }
    }
}

/// A loop device that goes with its owner.
struct Loop(String);

impl Loop {
    fn new(file: &Path) -> Result<Self, String> {
        let file = file.display().to_string();
        Ok(Self(run("losetup", &["--find", "--show", &file])?))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["--detach", &self.0]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    ensure(done.status.success(), || format!("{program}: {said}"))?;
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// A run of a broker, and all that was done to its disk.
struct Record {
    blank: Vec<u8>,
    deeds: Vec<Deed>,
    /// Where the load began.
    from: usize,
    history: History,
}

fn flags(level: &str) -> [&str; 6] {
    ["--durability", level, "--limit", "segment_bytes=262144", "--limit", "queued_max=1000000"]
}

fn site(place: &Place, tick: &Tick, far: u32) -> Site {
    Site { mqtt: place.mqtt.clone(), prx1: place.prx1.clone(), tick: tick.clone(), far }
}

fn record(options: &Options, level: &str, messages: u32, far: u32) -> Result<Record, String> {
    let dir = Scratch::new("power")?;
    let tick = Tick::default();
    let stage = Stage::new(&dir.0, &tick)?;
    let place = Place::of(options, &stage.top.0, &flags(level))?;
    let (running, _) = place.start()?;
    let site = site(&place, &tick, far);
    introduce(&site)?;
    let from = tick.now();
    let history = load(&site, messages);
    running.kill()?;
    let deeds = std::mem::take(&mut stage.served.medium().deeds);
    Ok(Record { blank: stage.blank, deeds, from, history: history? })
}

impl Record {
    /// Where to cut: in each part of the record once, and rather when much is in doubt.
    fn places(&self, cuts: u64, rng: &mut Rng) -> Vec<usize> {
        let part = (self.deeds.len() - self.from) as u64 / cuts;
        let any = |n, rng: &mut Rng| self.from + (n * part + rng.below(part + 1)) as usize;
        let full = |at: usize| {
            let flush = self.deeds[at..].iter().position(|deed| matches!(deed, Deed::Flush));
            at + flush.unwrap_or(0)
        };
        let places = (0..cuts).map(|n| (n, any(n, rng)));
        places.map(|(n, at)| if n % 3 == 0 { at } else { full(at) }).collect()
    }

    /// Where most was promised since the disk had last said that something was safe.
    fn rash(&self, cuts: usize) -> Vec<usize> {
        let all = self.history.given_at();
        let since = |at: usize| {
            let flush = self.deeds[..at].iter().rposition(|deed| matches!(deed, Deed::Flush));
            all.range(flush.map_or(0, |flush| flush + 1)..=at).map(|(_, count)| *count).sum()
        };
        let places = all.keys().copied().filter(|at| (self.from..=self.deeds.len()).contains(at));
        let mut given: Vec<(u64, usize)> = places.map(|at| (since(at), at)).collect();
        given.sort_unstable();
        given.into_iter().rev().take(cuts).map(|(_, at)| at).collect()
    }

    /// Cut there; `bare`: nothing of what is in doubt is there.
    fn cut_at(
        &self,
        options: &Options,
        places: &[usize],
        bare: bool,
        rng: &mut Rng,
        sum: &mut Sum,
    ) -> Result<(), String> {
        sum.deeds += self.deeds.len();
        let flushes = self.deeds.iter().filter(|deed| matches!(deed, Deed::Flush));
        sum.flushes += flushes.count();
        sum.acked += places.iter().max().map_or(0, |at| self.history.given(*at));
        for at in places {
            let found = self.cut(options, *at, bare, rng, sum);
            found.map_err(|why| format!("cut at {at}: {why}"))?;
        }
        Ok(())
    }

    fn cut(
        &self,
        options: &Options,
        at: usize,
        bare: bool,
        rng: &mut Rng,
        sum: &mut Sum,
    ) -> Result<(), String> {
        let dir = Scratch::new("power")?;
        let image = dir.0.join("image");
        let (bytes, pending) = self.image(at, bare, rng);
        std::fs::write(&image, bytes).map_err(told)?;
        let top = dir.0.join("top");
        std::fs::create_dir_all(&top).map_err(told)?;
        let device = Loop::new(&image)?;
        run("mount", &[&device.0, &top.display().to_string()])?;
        let top = Mount(top);
        let place = Place::of(options, &top.0, &flags("disk"))?;
        let (running, took) = place.start()?;
        let (mqtt, prx1) = (&place.mqtt, place.prx1.as_deref());
        let seen = Look { mqtt, prx1, history: &self.history, cut: at }.all();
        running.kill()?;
        let mut seen = seen?;
        seen.first = seen.first.map(|first| format!("cut at {at}: {first}"));
        sum.seen.add(seen);
        sum.slowest = sum.slowest.max(took);
        sum.cuts += 1;
        sum.pending += pending;
        drop(top);
        drop(device);
        Ok(())
    }

    /// A disk that a cut there may leave, and how many writes were in doubt.
    fn image(&self, at: usize, bare: bool, rng: &mut Rng) -> (Vec<u8>, usize) {
        let deeds = &self.deeds[..at];
        let safe = deeds.iter().rposition(|deed| matches!(deed, Deed::Flush)).unwrap_or(0);
        let mut bytes = self.blank.clone();
        let mut pending = 0;
        // Nothing, everything, whole writes, or single sectors.
        let manner = if bare { 0 } else { rng.below(6) };
        for (n, deed) in deeds.iter().enumerate() {
            let Deed::Write(place, new) = deed else { continue };
            let in_doubt = n > safe;
            pending += usize::from(in_doubt);
            let whole = rng.chance(1, 2);
            for (k, sector) in new.chunks(SECTOR).enumerate() {
                let is_there = match manner {
                    _ if !in_doubt => true,
                    0 => false,
                    1 => true,
                    2 | 3 => whole,
                    _ => rng.chance(1, 2),
                };
                let at = place + k * SECTOR;
                if is_there && let Some(old) = bytes.get_mut(at..at + sector.len()) {
                    old.copy_from_slice(sector);
                }
            }
        }
        (bytes, pending)
    }
}

/// In one record.
const MESSAGES: u32 = 16_000;
