//! Floor 5. What the program knows about itself, as one line of JSON, and what the system knows.
//!
//! Absent on purpose: waiting for whoever reads the line.

use std::io::{self, Write as _};

use crate::base::json::Writer;
use crate::base::time::Now;
use crate::engine::Engine;
use crate::proto::{Listener, Speak};

/// Counters and durations on standard output; of a program that is only a relay, what its
/// original tells.
pub(super) fn print(engine: &Engine, now: Now) {
    let hub = engine.hub();
    let other = |l: &Listener| !matches!(l.speak, Speak::Foo | Speak::Stats | Speak::Local);
    let relays = !engine.listeners().iter().any(other);
    let mut line = match relays {
        true => crate::proto::http::relays::told(hub, now).into_bytes(),
        false => json(engine),
    };
    line.push(b'\n');
    // A closed standard output is nobody's reason to stop.
    let _ = io::stdout().write_all(&line);
}

/// Counters and durations.
#[must_use]
pub fn json(engine: &Engine) -> Vec<u8> {
    let hub = engine.hub();
    let mut json = Writer::new();
    json.open().field("connections", engine.connections());
    for (label, value) in hub.stats.iter() {
        json.field(label, value);
    }
    json.object("timings", |json| hub.timings.write(json)).close();
    json.take()
}

/// Bytes of this process in memory, where the system says.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}
