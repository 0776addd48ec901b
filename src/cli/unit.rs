//! Floor 6. What whoever started us left in the environment: sockets, and where to report.
//!
//! These variables are systemd's, and others understand them too. Absent on purpose: what is said
//! (`os::notify`), and which listener takes which socket (`broker`).
#![expect(clippy::disallowed_methods, reason = "the command line may read the environment")]

use std::env::{var, var_os};

use crate::broker::Builder;
use crate::os::notify::Notify;
use crate::os::passed;

/// Take what was passed on, and report to whom it is asked.
pub(super) fn of_systemd(mut builder: Builder) -> Result<Builder, String> {
    let [pid, fds, names] =
        ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| var(name).ok());
    let names = passed::names(pid.as_deref(), fds.as_deref(), names.as_deref());
    let sockets = names.and_then(passed::take).map_err(|e| e.to_string())?;
    builder = builder.passed(sockets);
    let Some(name) = var_os("NOTIFY_SOCKET") else { return Ok(builder) };
    let number = |name| var(name).ok().and_then(|value| value.parse::<u64>().ok());
    // A watchdog may be meant for another process.
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let watchdog_us = number("WATCHDOG_USEC").filter(|_| ours).unwrap_or_default();
    match Notify::open(&name, watchdog_us) {
        Ok(notify) => Ok(builder.notify(notify)),
        Err(e) => Err(format!("NOTIFY_SOCKET: {e}")),
    }
}
