//! Floor 5. What the program knows about itself, as one line of JSON, and what the system knows.
//!
//! Numbers and our own names only: nothing here needs to be escaped. Absent on purpose: a writer
//! for JSON, and waiting for whoever reads the line.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::base::hist::Hist;
use crate::engine::Engine;
use crate::hub::timings::Timings;

/// Counters and durations on standard output.
pub(super) fn print(engine: &Engine) {
    let mut line = json(engine);
    line.push('\n');
    // A closed standard output is nobody's reason to stop.
    let _ = io::stdout().write_all(line.as_bytes());
}

/// Counters and durations.
#[must_use]
pub fn json(engine: &Engine) -> String {
    let hub = engine.hub();
    let mut line = format!("{{\"connections\":{}", engine.connections());
    for (label, value) in hub.stats.iter() {
        let _ = write!(line, ",\"{label}\":{value}");
    }
    line.push_str(",\"timings\":");
    put_timings(&hub.timings, &mut line);
    line.push('}');
    line
}

/// Every duration: since the start, and of the last minute and quarter of an hour.
fn put_timings(timings: &Timings, line: &mut String) {
    for (n, (row, windows)) in timings.iter().enumerate() {
        line.push(if n == 0 { '{' } else { ',' });
        let level = row.durability.map(|level| format!("_{level}")).unwrap_or_default();
        let _ = write!(line, "\"{}{level}\":{{", row.label);
        put_hist(windows.all(), line);
        for (name, hist) in [("minute", windows.minute()), ("quarter", windows.quarter())] {
            let _ = write!(line, ",\"{name}\":{{");
            put_hist(&hist, line);
            line.push('}');
        }
        line.push('}');
    }
    line.push('}');
}

/// The members of an object.
fn put_hist(hist: &Hist, line: &mut String) {
    let _ = write!(line, "\"count\":{},\"sum_us\":{}", hist.count(), hist.sum());
    for (name, of) in [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p999", 99_900)] {
        let _ = write!(line, ",\"{name}_us\":{}", hist.percentile(of));
    }
    let _ = write!(line, ",\"max_us\":{}", hist.max());
}

/// Bytes of this process in memory, where the system says.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}
