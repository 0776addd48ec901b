//! Floor 6. A disk that is sick under a running broker: it hangs, or it gives errors.
//!
//! The same disk as for cuts: a file served by this program, a loop device on it, ext4 on that. So
//! what the broker meets is what its system makes of a sick device, and not what somebody thinks
//! that it makes of it. Absent on purpose: which of the journal's operations fails or hangs, which
//! is chosen where the journal has a door (`failing`, `hang`).

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use super::block::Stage;
use super::fuse::Mood;
use super::load::Tick;
use crate::hang::{Cast, HELD_UP_MAX, LATE_MS};
use crate::overload_rig::{LONG, Outcome, Rig, Scratch, ensure, told};
use crate::overload_words::{CONNACK, Heard, Hello, PUBACK, PUBLISH, Wire, puback, publish};

/// One waits for the disk, the other for the operating system.
const LISTEN: [&str; 2] = ["mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0?durability=os"];

fn start(stage: &Stage) -> Result<(Rig, [String; 2]), String> {
    let late = format!("sync_ms_max={LATE_MS}");
    let flags = ["--limit", "segment_bytes=4194304", "--limit", &late];
    let rig = Rig::start(&stage.top.0.join("data"), &LISTEN, &flags)?;
    let addresses = [rig.addresses[0].clone(), rig.addresses[1].clone()];
    Ok((rig, addresses))
}

pub(crate) fn hanging_block(long: bool) -> Outcome {
    // Longer than the file system takes to begin with writing down what it has changed.
    let secs = if long { 45 } else { 8 };
    let mut figures = Vec::new();
    for (mood, what) in [(Mood::Hangs, "flushes"), (Mood::HangsAltogether, "flushes and writes")] {
        let dir = Scratch::new("hang")?;
        let mut stage = Stage::new(&dir.0, &Tick::default())?;
        let hung = hang(&mut stage, mood, Duration::from_secs(secs));
        // Whatever came of it, nobody can be rid of a disk that hangs.
        stage.served.set_mood(Mood::Well);
        let figure = hung.map_err(|why| format!("{what} hang: {why}"))?;
        figures.push(format!("{what} hang for {secs} s: {figure}"));
    }
    Ok(figures)
}

/// Let it hang for so long: no promise in that time, and all goes on when it is over.
fn hang(stage: &mut Stage, mood: Mood, long: Duration) -> Result<String, String> {
    let (mut rig, addresses) = start(stage)?;
    let (mut cast, mut waiter) = Cast::enter(&addresses)?;
    // Who is held up is so for as long as the device hangs, and how long that is must be seen:
    // none of them gives up before.
    cast.waits_up_to(long + LONG)?;
    waiter.says(b"well", 1)?;
    ensure(waiter.0.hear_a(PUBACK)?.byte(2) < 0x80, || "no promise of a well disk".into())?;
    // It has just written down what it changed, and need not again before the sync is late.
    let written = File::create(stage.top.0.join("written")).map_err(told)?;
    written.sync_all().map_err(told)?;
    stage.served.set_mood(mood);
    waiter.says(b"waits", 2)?;
    let since = Instant::now();
    let beside = thread::spawn(move || cast.goes_on(since, long).map(|pace| (cast, pace)));
    // They look once more when that is over, and it must not be well before they have looked.
    thread::sleep((long + LOOKS).saturating_sub(since.elapsed()));
    let waited = waiter.waits();
    let hung = stage.served.medium().sick;
    stage.served.set_mood(Mood::Well);
    waited?;
    ensure(hung > 0, || "nothing hung".into())?;
    let back = Instant::now();
    waiter.promised(2)?;
    let back = back.elapsed();
    let (mut cast, pace) = beside.join().map_err(|_| "a client fell")??;
    cast.is_over()?;
    let slowest = pace.slowest;
    ensure(slowest < HELD_UP_MAX, || format!("somebody else was held up for {slowest:.1?}"))?;
    rig.has_said(&["storage", "state=late"])?;
    rig.has_said(&["storage", "state=running"])?;
    rig.stop()?;
    Ok(format!(
        "no promise in that time; {} times QoS 0, slowest {slowest:.1?}; all promised {back:.1?} \
         after it was over",
        pace.quiet
    ))
}

pub(crate) fn failing_block() -> Outcome {
    let mut figures = Vec::new();
    for (mood, what) in [(Mood::FailsFlushes, "flushes"), (Mood::FailsWrites, "writes")] {
        let dir = Scratch::new("sick")?;
        let mut stage = Stage::new(&dir.0, &Tick::default())?;
        let failed = fail(&mut stage, mood);
        stage.served.set_mood(Mood::Well);
        figures.push(failed.map_err(|why| format!("{what} fail: {why}"))?);
    }
    Ok(figures)
}

/// Publish until the device fails, look at what is promised then, and at what is there afterwards.
fn fail(stage: &mut Stage, mood: Mood) -> Result<String, String> {
    let (mut rig, addresses) = start(stage)?;
    let (mut cast, mut waiter) = Cast::enter(&addresses)?;
    let mut acked = 0;
    for n in 0..BEFORE {
        acked += u64::from(is_promised(&mut waiter.0, n)?);
    }
    ensure(acked == BEFORE, || format!("{acked} of {BEFORE} promised by a disk that is well"))?;
    stage.served.set_mood(mood);
    // Nothing of what comes now may be promised, whatever is said instead.
    let promised = is_promised(&mut waiter.0, BEFORE).unwrap_or(false);
    ensure(!promised, || "a promise of a disk that fails".into())?;
    ensure(stage.served.medium().sick > 0, || "nothing failed".into())?;
    rig.says(&["storage", "state=failed", "nput/output error"])?;
    stage.served.set_mood(Mood::Well);
    // It works again, and nobody can know what it has forgotten.
    for address in &addresses {
        let mut late = Wire::named(address, "late")?;
        let promised = is_promised(&mut late, BEFORE + 1).unwrap_or(false);
        ensure(!promised, || "a promise after the failure".into())?;
    }
    cast.quiet.say(&publish("quiet", b"?", 0, 0, false))?;
    cast.quiet.hear_a(PUBLISH).map_err(|why| format!("QoS 0: {why}"))?;
    let mut newcomer = Wire::named(&addresses[0], "newcomer")?;
    newcomer.subscribe("quiet", 0)?;
    ensure(rig.is_gone().is_none(), || "it is gone".into())?;
    rig.kill();
    stage.mount_again()?;
    all_there(stage, acked)?;
    Ok(format!(
        "{mood:?}: {acked} promised before, all there; none after it, also when it was well again; \
         QoS 0 goes on"
    ))
}

/// Start again on the device, which is well: everything that was promised is there, in order.
fn all_there(stage: &Stage, acked: u64) -> Result<(), String> {
    let (rig, addresses) = start(stage)?;
    let mut keeper = Wire::open(&addresses[0])?;
    keeper.say(&Hello { id: "keeper", stays: true, ..Hello::default() }.words())?;
    ensure(keeper.hear_a(CONNACK)?.byte(0) == 1, || "the session is gone".into())?;
    for n in 0..acked {
        let heard = keeper.hear_a(PUBLISH).map_err(|why| format!("{n} is lost: {why}"))?;
        ensure(number(&heard) == Some(n), || format!("{heard:?} instead of {n}"))?;
        keeper.say(&puback(heard.message_id()))?;
    }
    rig.stop()
}

/// Publish this number for the keeper: is it promised?
fn is_promised(wire: &mut Wire, n: u64) -> Result<bool, String> {
    wire.say(&publish("keep/disk", &n.to_be_bytes(), 1, n as u16 + 1, false))?;
    let heard = wire.hear_a(PUBACK)?;
    Ok(heard.byte(2) < 0x80)
}

fn number(heard: &Heard) -> Option<u64> {
    heard.payload().first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

const BEFORE: u64 = 200;
/// How long those who are not held up may take to look whether there is an answer.
const LOOKS: Duration = Duration::from_secs(1);
