//! Floor 6. Too much of everything, against a real broker: who is shed, and who is told.
//!
//! Each driver starts a broker of its own, lets quiet pairs run in the middle of it, and lets an
//! overload loose. It holds the broker to four things: its memory stays below the ceiling, the
//! quiet pairs are served as before, whoever is shed is whoever asked for too much, and the log
//! and the figures say who that was. Absent on purpose: how fast the broker is.

use std::thread;
use std::time::{Duration, Instant};

use super::overload_canary::Canary;
use super::overload_rig::{Aside, Outcome, Rig, Scratch, ensure, told};
use super::overload_words::{CONNACK, Hello, PUBACK, PUBLISH, Wire, puback, publish};

/// Where the quiet pairs and most others come in.
pub(crate) const MQTT: &str = "mqtt://127.0.0.1:0";

/// Run an overload beside the quiet pairs, then look at what it did to them and to the memory.
pub(crate) fn beside_canary(
    name: &str,
    listen: &[&str],
    flags: &[&str],
    storm: impl FnOnce(&mut Rig) -> Outcome,
) -> Outcome {
    let dir = Scratch::new(name)?;
    let mut rig = Rig::start(&dir.0.join("data"), listen, flags)?;
    // From here on: the broker was started by somebody who may run anywhere.
    let aside = Aside::step()?;
    let canary = Canary::start(&rig, aside.kept())?;
    let storm = storm(&mut rig);
    if let Some(status) = rig.is_gone() {
        return Err(format!("the broker ended with {status}: {storm:?}"));
    }
    let mut figures = storm?;
    let so_far = |why| format!("{why}; before that: {}", figures.join("; "));
    let (judged, peak) = (canary.judge().map_err(so_far)?, rig.peak().map_err(so_far)?);
    figures.extend([judged, peak]);
    rig.stop()?;
    drop(aside);
    Ok(figures)
}

/// Somebody subscribes to a flood of QoS 0 and never reads.
pub(crate) fn slow_qos0(long: bool) -> Outcome {
    let flags = ["--limit", "stuck_ms_max=4000"];
    beside_canary("sloth0", &[MQTT], &flags, |rig| {
        let bytes = if long { 1 << 30 } else { 128 << 20 };
        let address = rig.address().to_owned();
        let mut sloth = Wire::named(&address, "sloth")?;
        sloth.subscribe("flood", 0)?;
        let reader = read_flood(&address)?;
        let sent = flood_qos0(&address, bytes, SECONDS)?;
        let read = reader.join().map_err(|_| "the reader fell")??;
        rig.has_said(&["limit reached", "who=sloth", "limit=outbox_bytes_max", "127.0.0.1"])?;
        rig.has_said(&["limit reached", "who=sloth", "limit=stuck_ms_max", "127.0.0.1"])?;
        rig.has_said(&["Client sloth disconnected: stuck"])?;
        let cut = rig.reaches("limit_stuck_ms_max_total", 1)?;
        ensure(cut == 1, || format!("{cut} were cut"))?;
        let dropped = rig.figure("messages_dropped_full_total")?;
        ensure(dropped > 0 && read > 0, || format!("dropped {dropped}, read {read} of {sent}"))?;
        sloth.hear_end(Duration::from_secs(5))?;
        Ok(vec![format!(
            "{} MiB: {sent} sent, who reads had {read}, {dropped} dropped, who does not is cut",
            bytes >> 20
        )])
    })
}

/// Somebody who reads as fast as it can, until an empty message comes.
fn read_flood(address: &str) -> Result<thread::JoinHandle<Result<u64, String>>, String> {
    let mut reader = Wire::named(address, "reader")?;
    reader.subscribe("flood", 0)?;
    Ok(thread::spawn(move || {
        let mut read = 0;
        loop {
            let heard = reader.hear_a(PUBLISH)?;
            if heard.payload().is_empty() {
                return Ok(read);
            }
            read += 1;
        }
    }))
}

/// So many bytes, and for at least some seconds, as fast as the broker takes them.
fn flood_qos0(address: &str, bytes: usize, least: Duration) -> Result<u64, String> {
    let mut writer = Wire::named(address, "writer")?;
    let (piece, start) = (publish("flood", &[b'x'; SIZE], 0, 0, false), Instant::now());
    let mut sent = 0;
    while sent * (SIZE as u64) < bytes as u64 || start.elapsed() < least {
        writer.say(&piece)?;
        sent += 1;
    }
    // Who reads may still be behind, and then is told of the end again.
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(50));
        writer.say(&publish("flood", b"", 0, 0, false))?;
    }
    Ok(sent)
}

/// A session that stays is owed a flood of QoS 1 and never reads; later it returns.
pub(crate) fn slow_qos1(long: bool) -> Outcome {
    let flags = ["--limit", "stuck_ms_max=4000", "--durability", "os"];
    beside_canary("sloth1", &[MQTT], &flags, |rig| {
        let bytes = if long { 1 << 30 } else { 128 << 20 };
        let address = rig.address().to_owned();
        let hello = Hello { id: "sloth", stays: true, ..Hello::default() };
        let mut sloth = Wire::join(&address, &hello)?;
        sloth.subscribe("flood", 1)?;
        let acked = flood_qos1(&address, bytes as u64 / SIZE as u64)?;
        rig.has_said(&["limit reached", "who=sloth", "limit=queued_bytes_max", "127.0.0.1"])?;
        rig.reaches("limit_stuck_ms_max_total", 1)?;
        sloth.hear_end(Duration::from_secs(5))?;
        let dropped = rig.figure("messages_dropped_full_total")?;
        let mut back = Wire::open(&address)?;
        back.say(&hello.words())?;
        let welcome = back.hear_a(CONNACK)?;
        ensure(welcome.body[..2] == [1, 0], || format!("no session: {welcome:?}"))?;
        let read = read_owed(&mut back, acked - dropped)?;
        Ok(vec![format!(
            "{} MiB: {acked} acknowledged, {dropped} of them dropped for the one who does not \
             read, {read} read later",
            bytes >> 20
        )])
    })
}

/// Publish, never more than a few unanswered, and for at least some seconds.
fn flood_qos1(address: &str, count: u64) -> Result<u64, String> {
    let (mut writer, start) = (Wire::named(address, "writer")?, Instant::now());
    let (mut sent, mut acked) = (0, 0);
    let mut payload = vec![b'x'; SIZE];
    loop {
        let more = sent < count || start.elapsed() < SECONDS;
        if more && sent - acked < WINDOW {
            payload[..8].copy_from_slice(&sent.to_be_bytes());
            let id = (sent % 60_000) as u16 + 1;
            writer.say(&publish("flood", &payload, 1, id, false))?;
            sent += 1;
        } else if acked < sent {
            let heard = writer.hear_a(PUBACK)?;
            let code = heard.byte(2);
            ensure(code < 0x80, || format!("publish {acked} is told {code:#x}"))?;
            acked += 1;
        } else {
            return Ok(acked);
        }
    }
}

/// Take all that is owed; each once, in order, the oldest first.
fn read_owed(back: &mut Wire, owed: u64) -> Result<u64, String> {
    let mut next = None;
    for n in 0..owed {
        let heard = back.hear_a(PUBLISH).map_err(|e| format!("after {n} of {owed}: {e}"))?;
        let number = heard.payload().first_chunk().map(|b| u64::from_be_bytes(*b));
        let number = number.ok_or("no number")?;
        ensure(number >= next.unwrap_or(0), || format!("{number} after {next:?}"))?;
        next = Some(number + 1);
        back.say(&puback(heard.message_id()))?;
    }
    back.say(&[0xc0, 0])?;
    match back.hear() {
        Ok(heard) if heard.kind() != PUBLISH => Ok(owed),
        other => Err(format!("more than {owed} were owed: {:?}", other.map(|heard| heard.head))),
    }
}

/// One client at full speed beside many who say little.
pub(crate) fn one_beside_many(long: bool) -> Outcome {
    let count = if long { 1_000 } else { 100 };
    beside_canary("beside", &[MQTT], &[], |rig| {
        let address = rig.address().to_owned();
        let mut quiet = Vec::new();
        for n in 0..count {
            let mut wire = Wire::named(&address, &format!("quiet-{n}"))?;
            wire.subscribe(&format!("quiet/{n}"), 0)?;
            quiet.push(wire);
        }
        let target = address;
        let loud = thread::spawn(move || flood_qos0(&target, 0, least(long)));
        let (mut rounds, mut slowest) = (0, Duration::ZERO);
        while !loud.is_finished() {
            for (n, wire) in quiet.iter_mut().enumerate() {
                let start = Instant::now();
                wire.say(&publish(&format!("quiet/{n}"), b"?", 0, 0, false))?;
                wire.hear_a(PUBLISH)?;
                slowest = slowest.max(start.elapsed());
                rounds += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
        let sent = loud.join().map_err(told_fall)??;
        Ok(vec![format!(
            "{count} quiet ones: {rounds} rounds, slowest {slowest:.0?}, beside {sent} messages of \
             one at full speed"
        )])
    })
}

fn told_fall(_: Box<dyn std::any::Any + Send>) -> String {
    told("somebody fell")
}

/// Payload of a flood, how long it lasts at least, and how much may be unanswered.
const SIZE: usize = 16_384;
const SECONDS: Duration = Duration::from_secs(3);

/// How long an overload goes on at least that could be over in a moment: the quiet pairs are
/// judged by their seconds, and of a few seconds chance decides.
pub(crate) fn least(long: bool) -> Duration {
    if long { Duration::from_secs(20) } else { SECONDS }
}
const WINDOW: u64 = 64;
