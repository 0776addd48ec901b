//! Floor 6. State that clients have the broker keep: filters, last values, sessions, last wills.
//!
//! Each of them costs more memory than the words that ask for it, and stays. Absent on purpose:
//! who may ask for them, which is for rules to say.

use std::thread;
use std::time::{Duration, Instant};

use super::overload::{MQTT, beside_canary, least};
use super::overload_rig::{Outcome, ensure};
use super::overload_words::{Hello, PUBACK, PUBLISH, SUBACK, Wire, publish, subscribe};

/// As many filters as a client may have, each as deep as may be, and no two alike in any level.
pub(crate) fn filters(long: bool) -> Outcome {
    let flags = ["--limit", "filters_bytes_max=67108864"];
    beside_canary("filters", &[MQTT], &flags, |rig| {
        let clients = if long { 100 } else { 12 };
        let address = rig.address().to_owned();
        let (mut taken, mut refused, start) = (0u64, 0u64, Instant::now());
        let mut held = Vec::new();
        loop {
            for n in 0..clients {
                let (wire, yes) = bomb(&address, n)?;
                (taken, refused) = (taken + yes, refused + ROUNDS * EACH as u64 - yes);
                held.push(wire);
            }
            if start.elapsed() >= least(long) {
                break;
            }
            // They go, their filters with them, and come again.
            held.clear();
        }
        rig.has_said(&["limit reached", "who=bomber-", "subscriptions_max", "127.0.0.1"])?;
        rig.has_said(&["limit reached", "who=bomber-", "filters_bytes_max", "127.0.0.1"])?;
        let most = rig.memory()?.1;
        // Somebody who wants one filter has it.
        let mut good = Wire::named(&address, "good")?;
        let code = good.subscribe("good", 0)?;
        ensure(code == 0, || format!("a good client is told {code:#x}"))?;
        good.say(&publish("good", b"?", 0, 0, false))?;
        good.hear_a(PUBLISH)?;
        linger();
        Ok(vec![format!(
            "{clients} clients with 1100 filters of 128 levels, for {:.1?}: {taken} taken, \
             {refused} told 0x97, {} MiB; one more client is told {code:#x}",
            start.elapsed(),
            most >> 20
        )])
    })
}

/// Somebody with so many filters, and how many of them were taken.
fn bomb(address: &str, n: usize) -> Result<(Wire, u64), String> {
    let (mut wire, deep) = (Wire::named(address, &format!("bomber-{n}"))?, "/x".repeat(127));
    let mut taken = 0;
    for round in 0..ROUNDS {
        let all: Vec<String> = (0..EACH).map(|m| format!("{n}-{round}-{m}{deep}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        wire.say(&subscribe(&all, 0, round as u16 + 1))?;
        let codes = wire.hear_a(SUBACK)?;
        // What stands before them says why.
        let codes = &codes.body[codes.body.len().saturating_sub(EACH)..];
        let no = codes.iter().filter(|code| **code == 0x97).count();
        let yes = codes.iter().filter(|code| **code == 0).count();
        ensure(no + yes == EACH, || format!("told {codes:x?}"))?;
        taken += yes as u64;
    }
    Ok((wire, taken))
}

/// Last values under ever new names.
pub(crate) fn values(long: bool) -> Outcome {
    beside_canary("values", &[MQTT], &["--durability", "os"], |rig| {
        let count: u64 = if long { 1_500_000 } else { 30_000 };
        let address = rig.address().to_owned();
        let mut flooder = Wire::named(&address, "flooder")?;
        let (mut sent, mut acked, start) = (0, 0, Instant::now());
        while acked < count {
            if sent < count && sent - acked < WINDOW {
                let topic = format!("values/{sent}/of/somebody/who/never/tires");
                let id = (sent % 60_000) as u16 + 1;
                flooder.say(&publish(&topic, &[b'v'; 200], 1, id, true))?;
                sent += 1;
            } else {
                flooder.hear_a(PUBACK)?;
                acked += 1;
            }
        }
        let took = start.elapsed();
        let left_out =
            rig.figure("limit_memory_bytes_max_total")? + rig.figure("limit_retained_max_total")?;
        if left_out > 0 {
            rig.has_said(&["limit reached", "who=flooder", "127.0.0.1"])?;
        }
        // All of them at once, for somebody who reads and for somebody who does not.
        let mut sloth = Wire::named(&address, "sloth")?;
        sloth.say(&subscribe(&["values/#"], 0, 1))?;
        let mut reader = Wire::named(&address, "reader")?;
        reader.subscribe("values/#", 0)?;
        for n in 0..count - left_out {
            reader.hear_a(PUBLISH).map_err(|why| format!("value {n}: {why}"))?;
        }
        linger();
        Ok(vec![format!(
            "{count} values in {took:.1?}, {left_out} not kept for want of room, {} read back; {} \
             MiB",
            count - left_out,
            rig.memory()?.1 >> 20
        )])
    })
}

/// Sessions that stay, by ever new names; then by names as long as may be, until there is no room.
pub(crate) fn sessions(long: bool) -> Outcome {
    let most = format!("sessions_bytes_max={}", if long { 64 << 20 } else { 4 << 20 });
    let flags = ["--durability", "os", "--limit", &most];
    beside_canary("sessions", &[MQTT], &flags, |rig| {
        let count: u64 = if long { 50_000 } else { 2_000 };
        let address = rig.address().to_owned();
        let (before, mut refused) = (rig.memory()?.0, 0);
        for n in 0..count {
            let id = format!("session-{n}");
            let hello = Hello { id: &id, stays: true, ..Hello::default() };
            let mut wire = Wire::open(&address)?;
            match wire.hello(&hello)? {
                0 => drop(wire.subscribe(&format!("sessions/{n}"), 1)?),
                _ => refused += 1,
            }
            wire.say(&[0xe0, 0])?;
        }
        let each = rig.memory()?.0.saturating_sub(before) / count;
        ensure(refused == 0, || format!("{refused} of {count} sessions are refused"))?;
        // Each refusal is said a little later.
        let mut giants = 0;
        while refused < 50 {
            ensure(giants < 5_000, || "names of 30 kB have no end".into())?;
            giants += 1;
            let id = format!("{giants}-{}", "x".repeat(30_000));
            let mut wire = Wire::open(&address)?;
            let hello = Hello { id: &id, stays: true, ..Hello::default() };
            refused += u64::from(wire.hello(&hello)? != 0);
        }
        rig.has_said(&["limit reached", "who=", "xxx", "sessions_bytes_max"])?;
        let after = rig.memory()?.0.saturating_sub(before) >> 20;
        linger();
        Ok(vec![format!(
            "{count} sessions with a subscription, then away: {each} bytes each; {giants} more \
             with long names: {refused} refused, {after} MiB of memory in all"
        )])
    })
}

/// Many who leave a will, gone in the same moment.
pub(crate) fn wills(long: bool) -> Outcome {
    beside_canary("wills", &[MQTT], &[], |rig| {
        let count = if long { 10_000 } else { 1_000 };
        let address = rig.address().to_owned();
        let mut heir = Wire::named(&address, "heir")?;
        heir.subscribe("will/#", 0)?;
        let mut all = Vec::new();
        for n in 0..count {
            let (id, topic) = (format!("mortal-{n}"), format!("will/{n}"));
            let will = Some((&topic[..], &[b'w'; 1_000][..]));
            all.push(Wire::join(&address, &Hello { id: &id, will, ..Hello::default() })?);
        }
        let start = Instant::now();
        drop(all);
        for n in 0..count {
            heir.hear_a(PUBLISH).map_err(|why| format!("will {n}: {why}"))?;
        }
        let took = start.elapsed();
        linger();
        Ok(vec![format!("{count} gone at once: every will is said, the last after {took:.1?}")])
    })
}

/// The quiet pairs are watched by the second.
fn linger() {
    thread::sleep(Duration::from_millis(2_200));
}

const WINDOW: u64 = 128;
/// Filters in one packet, and packets.
const EACH: usize = 100;
const ROUNDS: u64 = 11;
