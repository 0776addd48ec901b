//! Floor 6. A sync that does not come back for a long time: who waits, and who does not.
//!
//! A broker inside this process over a real folder, and between them a door whose syncs wait until
//! they are let go. Who is to be promised the disk waits, and once that is late who is to be
//! promised anything that a file would hold; everybody else is served as before, and who waits
//! still has its pings answered. Absent on purpose: what a file system does with stores into its
//! files while its device hangs, which is seen on a device (`cut/sick`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use spindle::Broker;
use spindle::base::limits::Limits;
use spindle::hub::message::Durability;
use spindle::journal::storage::{DiskError, SegmentFile, Slate, Storage};
use spindle::proto::Speak;

use super::failing::Ear;
use super::overload_rig::{Outcome, Scratch, ensure, told};
use super::overload_words::{Hello, PINGRESP, PUBACK, PUBLISH, Wire, puback, publish};

/// Nobody whose words do not wait for the disk may be held up for so long while it hangs.
pub(crate) const HELD_UP_MAX: Duration = Duration::from_millis(500);
/// Nothing for so long: it waits.
const QUIET: Duration = Duration::from_millis(300);
/// A sync that takes longer is late.
pub(crate) const LATE_MS: u64 = 1_000;
/// The message whose promise at `os` is held back.
const HELD_BACK: u16 = 60_001;

/// Whether syncs hang, and how many do.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
    held: AtomicU64,
}

/// The door: a sync waits while the gate is shut.
struct Door {
    inner: Box<dyn Storage>,
    gate: Arc<Gate>,
}

impl Storage for Door {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        self.inner.segments()
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.inner.read(no, at, buf)
    }

    fn create(&mut self, no: u32, len: u32, head: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.inner.create(no, len, head)
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        self.inner.open(no)
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.gate.held.fetch_add(u64::from(self.gate.shut.load(SeqCst)), SeqCst);
        while self.gate.shut.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.inner.sync(no)
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.inner.remove(no)
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.inner.set_aside(no)
    }
}

/// Those who need not wait while the disk hangs.
pub(crate) struct Cast {
    keeper: Wire,
    pub(crate) quiet: Wire,
    /// Publishes at `os`.
    os: Wire,
}

impl Cast {
    /// The addresses are of the listener that waits for the disk, and of the other.
    pub(crate) fn enter([disk, os]: &[String; 2]) -> Result<(Self, Waiter), String> {
        let mut keeper = Wire::open(disk)?;
        keeper.hello(&Hello { id: "keeper", stays: true, ..Hello::default() })?;
        keeper.subscribe("keep/#", 1)?;
        let mut quiet = Wire::named(disk, "quiet")?;
        quiet.subscribe("quiet", 0)?;
        let (waiter, os) = (Wire::named(disk, "waiter")?, Wire::named(os, "writer")?);
        Ok((Self { keeper, quiet, os }, Waiter(waiter)))
    }

    /// None of them takes it for the end before that.
    pub(crate) fn waits_up_to(&self, long: Duration) -> Result<(), String> {
        let wires = [&self.keeper, &self.quiet, &self.os];
        wires.iter().try_for_each(|wire| wire.stream.set_read_timeout(Some(long)).map_err(told))
    }

    /// QoS 0 for so long, and as long as the sync is not late a promise at `os` and what a reader
    /// is owed of it: how often, and how long the slowest took.
    pub(crate) fn goes_on(&mut self, since: Instant, long: Duration) -> Result<Pace, String> {
        let mut pace = Pace::default();
        let late = Duration::from_millis(LATE_MS);
        let mut asked = false;
        while since.elapsed() < long {
            pace.quiet += 1;
            pace.slowest = pace.slowest.max(self.is_heard()?);
            // Nobody knows of a promise asked for in between whether it is held back.
            if since.elapsed() < late / 2 {
                pace.os += 1;
                pace.slowest = pace.slowest.max(self.is_promised(pace.os)?);
            } else if since.elapsed() > late * 2 && !asked {
                asked = true;
                self.os.say(&publish("keep/os", b"?", 1, HELD_BACK, false))?;
            }
            thread::sleep(Duration::from_millis(10));
        }
        ensure(asked, || "it did not last".into())?;
        waits(&mut self.os)?;
        Ok(pace)
    }

    /// What was held back is promised now, and told.
    pub(crate) fn is_over(&mut self) -> Result<(), String> {
        self.is_promised_and_told(HELD_BACK)
    }

    fn is_heard(&mut self) -> Result<Duration, String> {
        let since = Instant::now();
        self.quiet.say(&publish("quiet", b"?", 0, 0, false))?;
        self.quiet.hear_a(PUBLISH).map_err(|why| format!("QoS 0: {why}"))?;
        Ok(since.elapsed())
    }

    fn is_promised(&mut self, id: u16) -> Result<Duration, String> {
        let since = Instant::now();
        self.os.say(&publish("keep/os", b"?", 1, id, false))?;
        self.is_promised_and_told(id)?;
        Ok(since.elapsed())
    }

    fn is_promised_and_told(&mut self, id: u16) -> Result<(), String> {
        let ack = self.os.hear_a(PUBACK).map_err(|why| format!("at os: {why}"))?;
        ensure(ack.id() == id && ack.byte(2) < 0x80, || format!("at os: {ack:?}"))?;
        loop {
            // The messages of the other writer, whose promise waits, come too.
            let heard = self.keeper.hear_a(PUBLISH).map_err(|why| format!("a reader: {why}"))?;
            self.keeper.say(&puback(heard.message_id()))?;
            if heard.payload() == b"?" {
                return Ok(());
            }
        }
    }
}

/// How it went on.
#[derive(Default)]
pub(crate) struct Pace {
    pub(crate) quiet: u32,
    pub(crate) os: u16,
    pub(crate) slowest: Duration,
}

/// Nothing is said to it.
fn waits(wire: &mut Wire) -> Result<(), String> {
    let before = wire.stream.read_timeout().map_err(told)?;
    wire.stream.set_read_timeout(Some(QUIET)).map_err(told)?;
    let heard = wire.hear();
    wire.stream.set_read_timeout(before).map_err(told)?;
    match heard {
        Err(why) if why.contains("os error 11") => Ok(()),
        other => Err(format!("{other:?} while the disk hangs")),
    }
}

/// Who publishes at `disk`.
pub(crate) struct Waiter(pub(crate) Wire);

impl Waiter {
    pub(crate) fn says(&mut self, body: &[u8], id: u16) -> Result<(), String> {
        self.0.say(&publish("keep/disk", body, 1, id, false))
    }

    /// It asks whether anybody is there, and is told so.
    fn asks(&mut self) -> Result<Duration, String> {
        let since = Instant::now();
        self.0.say(&[0xc0, 0])?;
        let heard = self.0.hear()?;
        let is_answer = heard.kind() == PINGRESP;
        ensure(is_answer, || format!("{heard:?} instead of the answer to a ping"))?;
        Ok(since.elapsed())
    }

    /// Nothing is said to it.
    pub(crate) fn waits(&mut self) -> Result<(), String> {
        waits(&mut self.0)
    }

    /// The promise of this number, which waited, and then another.
    pub(crate) fn promised(&mut self, id: u16) -> Result<(), String> {
        for id in [id, id + 1] {
            let ack = self.0.hear_a(PUBACK)?;
            ensure(ack.id() == id && ack.byte(2) < 0x80, || format!("answered by {ack:?}"))?;
            self.says(b"next", id + 1)?;
        }
        self.0.hear_a(PUBACK).map(drop)
    }
}

pub(crate) fn hanging_flush(long: bool) -> Outcome {
    let secs = if long { 60 } else { 3 };
    let dir = Scratch::new("hang")?;
    let gate = Arc::new(Gate::default());
    let said = Arc::new(Mutex::new(Vec::new()));
    let limits = Limits { sync_ms_max: LATE_MS, ..Limits::default() };
    let own = Arc::clone(&gate);
    let broker = Broker::builder()
        .listen("127.0.0.1:0", Speak::Mqtt)
        .listen_at("127.0.0.1:0", Speak::Mqtt, Durability::Os)
        .journal(dir.0.join("data"), Durability::Disk)
        .storage(move |inner| Box::new(Door { inner, gate: own }))
        .observer(Ear(Arc::clone(&said)))
        .limits(limits)
        .build()
        .map_err(told)?;
    let [disk, os] = [0, 1].map(|n| broker.local_addr(n).map(|at| at.to_string()));
    let addresses = [disk.ok_or("no address")?, os.ok_or("no address")?];
    let handle = broker.handle();
    let thread = thread::spawn(move || broker.run());
    let looked = look(&addresses, &gate, Duration::from_secs(secs));
    gate.shut.store(false, SeqCst);
    handle.stop();
    thread.join().map_err(|_| "the broker fell")?.map_err(told)?;
    let figure = looked?;
    let said = said.lock().map_err(told)?.join("; ");
    let is_said = said.matches("late: a sync takes longer").count() == 1
        && said.matches("running: the sync that was late took").count() == 1;
    ensure(is_said, || format!("said: {said:?}"))?;
    Ok(vec![figure])
}

/// Let a sync hang for so long, and see who waits and who does not.
fn look(addresses: &[String; 2], gate: &Gate, long: Duration) -> Result<String, String> {
    let (mut cast, mut waiter) = Cast::enter(addresses)?;
    gate.shut.store(true, SeqCst);
    waiter.says(b"waits", 1)?;
    let since = Instant::now();
    let beside = thread::spawn(move || cast.goes_on(since, long).map(|pace| (cast, pace)));
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while since.elapsed() < long {
        if since.elapsed() > Duration::from_millis(LATE_MS + 200) && asked < 2 {
            asked += 1;
            slowest = slowest.max(waiter.asks()?);
            let mut newcomer = Wire::named(&addresses[0], "newcomer")?;
            newcomer.subscribe("quiet/other", 0)?;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let (mut cast, pace) = beside.join().map_err(|_| "a client fell")??;
    slowest = slowest.max(pace.slowest);
    ensure(slowest < HELD_UP_MAX, || format!("somebody else was held up for {slowest:.1?}"))?;
    ensure(asked == 2 && gate.held.load(SeqCst) == 1, || "nothing hung".into())?;
    waiter.waits()?;
    gate.shut.store(false, SeqCst);
    let back = Instant::now();
    waiter.promised(1)?;
    cast.is_over()?;
    Ok(format!(
        "{long:?} long no promise at disk, nor at os once it was late, but pings answered; \
         meanwhile {} times QoS 0 and before that {} promises at os, slowest {slowest:.1?}; said \
         once; all promised {:.1?} after it was over",
        pace.quiet,
        pace.os,
        back.elapsed()
    ))
}
