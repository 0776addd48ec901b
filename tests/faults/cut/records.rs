//! Floor 6. The power is cut at places of a recorded journal, and again while it recovers.
//!
//! A broker in this process, on a folder behind a door that records. Of each record many disks
//! are made that a cut could have left; on each the broker starts as it always does, and what was
//! promised must be there. The same on disks whose recovery was cut in its turn. Two doors that
//! say "synced" too early must be found out: a driver that finds nothing proves nothing.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use spindle::base::limits::Limits;
use spindle::base::rng::Rng;
use spindle::base::time::Now;
use spindle::broker::Error;
use spindle::hub::message::Durability;
use spindle::journal::memory::Memory;
use spindle::journal::{Journal, Options as Keep, perform};
use spindle::os::mmap::Directory;
use spindle::{Broker, Speak};

use super::load::{History, Site, Tick, introduce, load};
use super::look::{Look, Seen};
use super::tape::{Door, Honesty, Image, Tape};
use crate::Options;
use crate::overload_rig::{Outcome, Scratch, ensure, told};

/// Messages of one record, and the images that are made of it.
const MESSAGES: u32 = 1_200;
/// Images that are made of honest disks where the least are.
const HONEST_IMAGES: u64 = 180;
/// The smallest there are, so that they come and go all the time.
const SEGMENT: u32 = 16 << 10;

pub(crate) fn power_records(options: &Options) -> Outcome {
    let (records, cuts) = if options.long { (40, 100) } else { (10, 9) };
    let mut rng = Rng::new(options.seed);
    let mut sum = Sum::default();
    for n in 0..records {
        let record = record(Honesty::Honest, MESSAGES, &mut rng)?;
        record.cut_often(cuts, &mut rng, &mut sum).map_err(|why| format!("record {n}: {why}"))?;
    }
    let mut figures = sum.tell();
    match liars(&mut rng) {
        Ok(found) => figures.extend(found),
        Err(why) => return Err([figures, vec![why]].concat().join("\n")),
    }
    ensure(sum.given >= 10_000, || format!("only {} promises were made", sum.given))?;
    let wrong = sum.seen.lost + sum.seen.invented + sum.refused;
    if wrong == 0 { Ok(figures) } else { Err(figures.join("\n")) }
}

/// Doors that do not do what they say are found out by the same look.
fn liars(rng: &mut Rng) -> Outcome {
    let mut figures = Vec::new();
    for (honesty, name) in [
        (Honesty::NeverSyncs, "says it has synced and has not"),
        (Honesty::OneBehind, "is one sync behind"),
    ] {
        let record = record(honesty, MESSAGES / 2, rng)?;
        let mut sum = Sum::default();
        // Early at first, before so much is missing that the start is refused for it; and just
        // after something was promised, where a disk that lags has most to lose. It must be found
        // out by as many images as are made of an honest one.
        let (from, _) = record.tape.range().ok_or("nothing was recorded")?;
        let promised = record.history.given_at().into_keys().filter(|at| *at > from);
        let promised: Vec<usize> = promised.collect();
        let early = (promised.len() / 8).max(16).min(promised.len()) as u64;
        ensure(early > 0, || "nothing was promised".to_owned())?;
        let home = quick_folder()?;
        for n in 0..HONEST_IMAGES {
            let among = if n < early { early } else { promised.len() as u64 };
            let at = promised[rng.below(among) as usize];
            let image = record.tape.cut_bare(at, rng);
            record.look(&home.0, &image, at, &mut sum)?;
            if n >= 15 && sum.seen.lost > 0 {
                break;
            }
        }
        let (images, lost, refused) = (sum.images, sum.seen.lost, sum.refused);
        let found = format!("a disk that {name}: {images} images, {lost} lost, {refused} refused");
        ensure(lost > 0, || format!("not found out: {found}"))?;
        figures.push(found);
    }
    Ok(figures)
}

/// What all looks have shown.
#[derive(Default)]
struct Sum {
    records: u64,
    deeds: u64,
    given: u64,
    cuts: u64,
    images: u64,
    twice: u64,
    refused: u64,
    seen: Seen,
    first: Option<String>,
    slowest: Duration,
}

impl Sum {
    fn tell(&self) -> Vec<String> {
        let Self { records, deeds, given, cuts, images, twice, refused, seen, .. } = self;
        let Seen { due, lost, invented, first } = seen;
        let mut lines = vec![
            format!("{records} records of {deeds} writes, syncs and segments; {given} promises"),
            format!("cut at {cuts} places into {images} images, {twice} of them while recovering"),
            format!("{due} promises looked for, {lost} lost, {invented} invented"),
            format!("{refused} starts refused, slowest {} ms", self.slowest.as_millis()),
        ];
        lines.extend(first.iter().chain(&self.first).cloned());
        lines
    }
}

/// A run of a broker, and all that was done to its disk.
struct Record {
    tape: Tape,
    history: History,
}

fn record(honesty: Honesty, messages: u32, rng: &mut Rng) -> Result<Record, String> {
    let dir = Scratch::new("power")?;
    let tick = Tick::default();
    let tape = Tape::new(&tick, honesty, Rng::new(rng.next_u64()));
    let door = tape.clone();
    let mut running = Running::start(&dir.0.join("data"), Some(door)).map_err(told)?;
    let site = running.site(&tick)?;
    introduce(&site)?;
    let history = load(&site, messages);
    running.stop()?;
    Ok(Record { tape, history: history? })
}

impl Record {
    fn cut_often(&self, cuts: u64, rng: &mut Rng, sum: &mut Sum) -> Result<(), String> {
        let (from, to) = self.tape.range().ok_or("nothing was recorded")?;
        let home = quick_folder()?;
        sum.records += 1;
        sum.deeds += (to - from) as u64;
        sum.given += self.history.given(to);
        for _ in 0..cuts {
            let at = from + rng.below((to - from + 1) as u64) as usize;
            sum.cuts += 1;
            let image = self.tape.cut(at, rng);
            self.look(&home.0, &image, at, sum)?;
            let again = cut_recovery(&image, rng)?;
            sum.twice += 1;
            self.look(&home.0, &again, at, sum)?;
        }
        Ok(())
    }

    /// Start on that disk, and compare.
    fn look(&self, home: &Path, image: &Image, cut: usize, sum: &mut Sum) -> Result<(), String> {
        let data = home.join("data");
        lay(&data, image)?;
        sum.images += 1;
        let since = Instant::now();
        let mut running = match Running::start(&data, None) {
            Ok(running) => running,
            Err(why) => {
                sum.refused += 1;
                sum.first.get_or_insert_with(|| format!("cut at {cut}: {why}"));
                return std::fs::remove_dir_all(&data).map_err(told);
            }
        };
        sum.slowest = sum.slowest.max(since.elapsed());
        let site = running.site(&Tick::default())?;
        let (mqtt, prx1) = (&site.mqtt, site.prx1.as_deref());
        let seen = Look { mqtt, prx1, history: &self.history, cut }.all();
        running.stop()?;
        let mut seen = seen.map_err(|why| format!("cut at {cut}: {why}"))?;
        seen.first = seen.first.map(|first| format!("cut at {cut}: {first}"));
        sum.seen.add(seen);
        std::fs::remove_dir_all(&data).map_err(told)
    }
}

/// Where images are laid for reading: in memory, if the system has such a place.
fn quick_folder() -> Result<Scratch, String> {
    let memory = PathBuf::from("/dev/shm");
    let place = memory.join(format!("spindle-power-{}", std::process::id()));
    match std::fs::create_dir_all(&place) {
        Ok(()) => Ok(Scratch(place)),
        Err(_) => Scratch::new("power"),
    }
}

fn lay(data: &Path, image: &Image) -> Result<(), String> {
    std::fs::create_dir_all(data.join("journal")).map_err(told)?;
    for (no, bytes) in image {
        std::fs::write(Directory::segment_path(data, *no), bytes).map_err(told)?;
    }
    Ok(())
}

/// A disk that a cut leaves while the journal on that one is being recovered.
fn cut_recovery(image: &Image, rng: &mut Rng) -> Result<Image, String> {
    let tape = Tape::upon(image, Rng::new(rng.next_u64()));
    let inner = Box::new(Memory::holding(image.clone()));
    let mut door = Door { inner, tape: tape.clone() };
    let keep = Keep { segment_bytes: SEGMENT, salt: rng.next_u64(), salvage: false };
    // A start that is refused has changed nothing, and is refused again when it is looked at.
    if let Ok((mut journal, _)) = Journal::recover(&mut door, keep, &mut |_, _| ()) {
        while let Some(job) = journal.poll_job(Now::default()) {
            let done = perform(&mut door, job);
            journal.on_done(Now::default(), done);
        }
    }
    let (from, to) = tape.range().ok_or("nothing was recorded")?;
    Ok(tape.cut(from + rng.below((to - from + 1) as u64) as usize, rng))
}

/// A broker in this process.
struct Running {
    handle: spindle::Handle,
    addresses: Vec<String>,
    thread: Option<thread::JoinHandle<Result<(), Error>>>,
}

impl Running {
    fn start(data: &Path, tape: Option<Tape>) -> Result<Self, Error> {
        let limits = Limits { segment_bytes: SEGMENT, ..Limits::default() };
        let mut builder = Broker::builder()
            .listen("127.0.0.1:0", Speak::Mqtt)
            .listen("127.0.0.1:0", Speak::Prx1)
            .journal(data, Durability::Disk)
            .workers(1)
            .limits(limits);
        if let Some(tape) = tape {
            builder = builder.storage(move |inner| Box::new(Door { inner, tape }));
        }
        let broker = builder.build()?;
        let addresses = (0..2).filter_map(|n| broker.local_addr(n)).map(|a| a.to_string());
        let addresses = addresses.collect();
        let handle = broker.handle();
        let thread = Some(thread::spawn(move || broker.run()));
        Ok(Self { handle, addresses, thread })
    }

    fn site(&self, tick: &Tick) -> Result<Site, String> {
        let [mqtt, prx1] = &self.addresses[..] else { return Err("no addresses".to_owned()) };
        Ok(Site { mqtt: mqtt.clone(), prx1: Some(prx1.clone()), tick: tick.clone(), far: 4 })
    }

    fn stop(&mut self) -> Result<(), String> {
        self.handle.stop();
        match self.thread.take().map(thread::JoinHandle::join) {
            Some(Ok(ended)) => ended.map_err(told),
            Some(Err(_)) => Err("the broker fell".to_owned()),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
