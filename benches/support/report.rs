//! Floor 6. What a bench says besides its figures.
//!
//! One line per case, on standard error like criterion's own remarks, so that what a run did can be
//! compared with what another did. Absent on purpose: timing.

/// Print one line.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // A closed terminal is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "{line}");
}
