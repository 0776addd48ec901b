//! Floor 6. A disk that fails: at each of its operations in turn, once or for ever.
//!
//! A broker inside this process over a real folder, and between them a door that fails. From the
//! first failure of a write or a sync on nothing durable may be acknowledged, even if the disk
//! works again, because the system may have forgotten what it could not write. Absent on purpose:
//! crashes and damage of every kind, which are played by seed in `sim`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use spindle::Broker;
use spindle::base::limits::Limits;
use spindle::base::time::Now;
use spindle::hub::message::Durability;
use spindle::hub::policy::{Event, Observer};
use spindle::journal::storage::{DiskError, SegmentFile, Slate, Storage};
use spindle::proto::Speak;

use super::overload_rig::{Outcome, Rig, Scratch, ensure, told};
use super::overload_words::{CONNACK, Heard, Hello, PUBACK, PUBLISH, Wire, puback, publish};

/// Which operation fails, and what has happened so far.
struct Plan {
    fails_at: u64,
    for_ever: bool,
    done: AtomicU64,
    failed: AtomicBool,
}

impl Plan {
    /// One more operation: does it fail?
    fn step(&self, no: u32) -> Result<(), DiskError> {
        let n = self.done.fetch_add(1, SeqCst);
        if n < self.fails_at || n > self.fails_at && !self.for_ever {
            return Ok(());
        }
        self.failed.store(true, SeqCst);
        Err(DiskError { full: false, segment: no, offset: 0, text: "it is worn out".into() })
    }
}

/// The door: writes, syncs and new segments are counted, and one of them fails.
struct Door {
    inner: Box<dyn Storage>,
    plan: Arc<Plan>,
}

impl Storage for Door {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        self.inner.segments()
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.inner.read(no, at, buf)
    }

    fn create(&mut self, no: u32, len: u32, head: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        self.plan.step(no)?;
        self.inner.create(no, len, head)
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        self.inner.open(no)
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        self.plan.step(no)?;
        self.inner.sync(no)
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.inner.remove(no)
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.inner.set_aside(no)
    }
}

/// What the broker says of its disk.
pub(crate) struct Ear(pub(crate) Arc<Mutex<Vec<String>>>);

impl Observer for Ear {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        if let (Event::Storage { state, text }, Ok(mut heard)) = (event, self.0.lock()) {
            heard.push(format!("{state}: {text}"));
        }
    }
}

/// What a trial showed.
struct Trial {
    acked: u64,
    answered: String,
}

pub(crate) fn each_operation(long: bool) -> Outcome {
    let (points, step) = if long { (200, 1) } else { (4, 9) };
    let (mut trials, mut acked, mut never, mut answers) = (0, 0, 0, Vec::new());
    for n in 0..points {
        for for_ever in [false, true] {
            let at = n * step;
            let which = if for_ever { "for ever" } else { "once" };
            let trial = trial(at, for_ever).map_err(|why| format!("at {at}, {which}: {why}"))?;
            match trial {
                Some(trial) => {
                    trials += 1;
                    acked += trial.acked;
                    answers.push(trial.answered);
                }
                None => never += 1,
            }
        }
    }
    answers.sort();
    answers.dedup();
    ensure(trials > points, || format!("{trials} trials only, {never} never failed"))?;
    Ok(vec![format!(
        "{trials} failures, once and for ever ({never} never reached): {acked} acknowledged before \
         them, all kept; 0 after them; publishers hear {answers:?}; QoS 0 goes on"
    )])
}

/// One broker whose disk fails at this operation; nothing, if it is never reached.
fn trial(fails_at: u64, for_ever: bool) -> Result<Option<Trial>, String> {
    let dir = Scratch::new("failing")?;
    let data = dir.0.join("data");
    let (done, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let plan = Arc::new(Plan { fails_at, for_ever, done, failed });
    let heard = Arc::new(Mutex::new(Vec::new()));
    let limits = Limits { segment_bytes: 65_536, ..Limits::default() };
    let door = Arc::clone(&plan);
    let broker = Broker::builder()
        .listen("127.0.0.1:0", Speak::Mqtt)
        .journal(&data, Durability::Disk)
        .storage(move |inner| Box::new(Door { inner, plan: door }))
        .observer(Ear(Arc::clone(&heard)))
        .limits(limits)
        .build()
        .map_err(told)?;
    let address = broker.local_addr(0).ok_or("no address")?.to_string();
    let handle = broker.handle();
    let thread = thread::spawn(move || broker.run());
    let looked = look(&address, &plan);
    handle.stop();
    let ended = thread.join().map_err(|_| "the broker fell")?;
    let Some(trial) = looked? else { return Ok(None) };
    ensure(ended.is_err(), || "it ended as if all were well".into())?;
    let said = heard.lock().map_err(told)?.join("; ");
    ensure(said.contains("failed: ") && said.contains("worn out"), || format!("said: {said:?}"))?;
    kept(&data, trial.acked)?;
    Ok(Some(trial))
}

/// Publish until the disk fails, then look at what is still done.
fn look(address: &str, plan: &Plan) -> Result<Option<Trial>, String> {
    let mut quiet = Wire::named(address, "quiet")?;
    quiet.subscribe("quiet", 0)?;
    let Some((is_owed, acked)) = publish_on(address, plan)? else { return Ok(None) };
    // The disk may work again: nothing durable is promised any more. Before somebody is durably
    // owed a message, there is nothing to promise.
    let answered = if is_owed { ask_again(address)? } else { "nobody is owed it".into() };
    quiet.say(&publish("quiet", b"?", 0, 0, false))?;
    quiet.hear_a(PUBLISH).map_err(|why| format!("QoS 0: {why}"))?;
    let mut newcomer = Wire::named(address, "newcomer")?;
    newcomer.subscribe("quiet", 0)?;
    quiet.say(&publish("quiet", b"?", 0, 0, false))?;
    newcomer.hear_a(PUBLISH).map_err(|why| format!("QoS 0 for a newcomer: {why}"))?;
    Ok(Some(Trial { acked, answered }))
}

/// A session that stays, and numbers for it: whether it came to be, and how many numbers were
/// acknowledged until the disk failed.
fn publish_on(address: &str, plan: &Plan) -> Result<Option<(bool, u64)>, String> {
    let mut acked = 0;
    let mut keeper = Wire::open(address)?;
    let hello = Hello { id: "keeper", stays: true, ..Hello::default() };
    let come = keeper.hello(&hello).and_then(|_| keeper.subscribe("keep", 1));
    // Refused, because the disk failed before: nobody is owed anything.
    let is_owed = come.is_ok_and(|granted| granted < 0x80);
    if is_owed {
        let mut writer = Wire::named(address, "writer")?;
        for n in 0..MESSAGES {
            let had_failed = plan.failed.load(SeqCst);
            let mut payload = vec![b'x'; 2_000];
            payload[..8].copy_from_slice(&n.to_be_bytes());
            let said = writer.say(&publish("keep", &payload, 1, n as u16 + 1, false));
            let heard = said.and_then(|()| writer.hear_a(PUBACK));
            // A refusal is no promise: the disk may have failed ahead of what is published.
            if !heard.is_ok_and(|heard| is_promise(&heard)) {
                break;
            }
            ensure(!had_failed, || format!("{n} is acknowledged after the failure"))?;
            acked += 1;
        }
    }
    Ok(plan.failed.load(SeqCst).then_some((is_owed, acked)))
}

/// A PUBACK that does not refuse.
fn is_promise(heard: &Heard) -> bool {
    heard.kind() == PUBACK && heard.byte(2) < 0x80
}

/// What somebody hears who wants a promise now.
fn ask_again(address: &str) -> Result<String, String> {
    let mut late = Wire::named(address, "late")?;
    late.say(&publish("keep", b"late", 1, 7, false))?;
    late.stream.set_read_timeout(Some(Duration::from_millis(500))).map_err(told)?;
    match late.hear() {
        Ok(heard) if is_promise(&heard) => Err("a promise after the failure".into()),
        Ok(heard) if heard.kind() == PUBACK => Ok(format!("PUBACK {:#x}", heard.byte(2))),
        Ok(heard) => Ok(format!("{:#x} {:#x}", heard.head, heard.byte(0))),
        Err(why) if why.contains("os error 11") => Ok("nothing".into()),
        Err(_) => Ok("the end".into()),
    }
}

/// Start again on a disk that works: everything that was acknowledged is there, in order.
fn kept(data: &Path, acked: u64) -> Result<(), String> {
    let rig = Rig::start(data, &["mqtt://127.0.0.1:0"], &["--limit", "segment_bytes=65536"])?;
    let mut keeper = Wire::open(rig.address())?;
    keeper.say(&Hello { id: "keeper", stays: true, ..Hello::default() }.words())?;
    keeper.hear_a(CONNACK)?;
    for n in 0..acked {
        let heard = keeper.hear_a(PUBLISH).map_err(|why| format!("{n} is lost: {why}"))?;
        let number = heard.payload().first_chunk().map(|b| u64::from_be_bytes(*b));
        ensure(number == Some(n), || format!("{number:?} instead of {n}"))?;
        keeper.say(&puback(heard.message_id()))?;
    }
    rig.stop()
}

const MESSAGES: u64 = 100;
