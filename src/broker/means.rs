//! Floor 6. What the machine gives: descriptors, cores, and what nobody can guess.

use std::io;

use crate::base::limits::Limits;
use crate::os::sys;

use super::Error;

/// Descriptors that are not for connections: segments, doors, the log.
const KEPT: u64 = 64;

/// No more connections than there can be descriptors, and no more checks than workers.
pub(super) fn bounded_by_system(mut limits: Limits, workers: usize) -> Result<Limits, Error> {
    let descriptors = sys::raise_descriptors()?;
    let connections = u32::try_from(descriptors.saturating_sub(KEPT)).unwrap_or(u32::MAX);
    if connections < limits.connections_max {
        log::warn!(
            descriptors, connections_max = limits.connections_max, connections;
            "fewer connections than wanted: every one needs a descriptor (LimitNOFILE=, ulimit -n)"
        );
    }
    limits.connections_max = limits.connections_max.min(connections.max(1));
    log::info!(descriptors, connections_max = limits.connections_max; "bounds of the system");
    // Room that is refused now is made when it is needed.
    let _ = sys::have_descriptors(u64::from(limits.connections_max) + KEPT);
    limits.verify_at_once = workers;
    Ok(limits)
}

/// As many as cores, but one for the loop.
pub(super) fn spare_cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).max(1)
}

/// What nobody can guess.
pub(super) fn entropy() -> Result<[u64; 4], Error> {
    let mut all = [0; 4];
    for word in &mut all {
        *word = getrandom::u64().map_err(|e| Error::System(io::Error::other(e.to_string())))?;
    }
    Ok(all)
}
