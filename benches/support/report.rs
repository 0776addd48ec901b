//! Floor 6. What a bench says besides its figures.
//!
//! One line per case, on standard error like criterion's own remarks, so that what a run did can be
//! compared with what another did. Absent on purpose: timing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Print one line. What stands before its colon names it: criterion builds every case several
/// times, and a line is said once.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let name = line.split(':').next().unwrap_or_default().to_owned();
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
        // A closed terminal is no reason to stop measuring.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
