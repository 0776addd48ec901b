//! Floor 6. A raw ping-pong: bytes there and back, with nothing in between but two sockets.
//!
//! What it takes is what any round trip through a broker takes at least twice over, so it is the
//! measure for `rtt`. Somebody must give the bytes back: `spindle bench null` does. Absent on
//! purpose: more than one message under way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::os::clock::Clock;

use super::engine::lost;
use super::plan::Plan;
use super::proc::{self, Sample};
use super::tally::Outcome;

/// Do what the plan says.
pub(super) fn run(plan: &Plan) -> Result<Outcome, String> {
    let refused = |e: std::io::Error| format!("{}: {e}", plan.road.place);
    let address = plan.road.plain().ok_or("this scenario is over plain TCP only")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
    stream.set_nonblocking(plan.spin).map_err(refused)?;
    let clock = Clock::start();
    // It must not look like the beginning of MQTT.
    let (said, mut heard) = (vec![b'.'; plan.size], vec![0; plan.size]);
    let mut outcome = Outcome::default();
    let sample = || plan.pid.and_then(Sample::of);
    let from = clock.mono() + plan.warmup;
    let until = from + plan.duration;
    let (mut own, mut idle) = (None, 0);
    loop {
        let sent = clock.mono();
        if sent >= from && own.is_none() {
            own = proc::own().map(|own| (own, sent));
            outcome.begin = sample();
        }
        if sent >= until {
            break;
        }
        put(&mut stream, &said, &clock)?;
        let waited = take(&mut stream, &mut heard, &clock)?;
        let now = clock.mono();
        if sent >= from {
            outcome.tally.sent.record(now - sent);
            outcome.tally.delivered += 1;
            idle += if plan.spin { waited } else { 0 };
        }
        outcome.tally.came += 1;
        outcome.tally.owed += 1;
    }
    outcome.end = sample();
    if let (Some((before, since)), Some(after)) = (own, proc::own()) {
        outcome.measured = clock.mono() - since;
        let (own, wall) = (after.since(before), outcome.measured.max(1) as f64);
        outcome.tally.used = own.used.saturating_sub(idle);
        outcome.tally.busy = outcome.tally.used as f64 / wall;
        outcome.tally.waited = own.waited as f64 / wall;
    }
    Ok(outcome)
}

fn put(stream: &mut TcpStream, mut said: &[u8], clock: &Clock) -> Result<(), String> {
    let since = clock.mono();
    while !said.is_empty() {
        match stream.write(said) {
            Ok(n) => said = said.get(n..).unwrap_or_default(),
            Err(e) if is_later(&e) => patient(clock, since)?,
            Err(e) => return Err(lost(&e)),
        }
    }
    Ok(())
}

/// Everything back; how long nothing was there.
fn take(stream: &mut TcpStream, heard: &mut [u8], clock: &Clock) -> Result<u64, String> {
    let (since, mut done, mut waited) = (clock.mono(), 0, 0);
    while let Some(room) = heard.get_mut(done..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) => return Err(lost(&std::io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => done += n,
            Err(e) if is_later(&e) => {
                patient(clock, since)?;
                waited = clock.mono() - since;
            }
            Err(e) => return Err(lost(&e)),
        }
    }
    Ok(waited)
}

fn patient(clock: &Clock, since: u64) -> Result<(), String> {
    if u128::from(clock.mono() - since) < PATIENCE.as_nanos() {
        return Ok(());
    }
    Err("nobody gives the bytes back: `spindle bench null` does".to_owned())
}

fn is_later(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};

    matches!(e.kind(), Interrupted | TimedOut | WouldBlock)
}

/// So long nothing may come.
const PATIENCE: Duration = Duration::from_secs(5);
