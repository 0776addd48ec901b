//! Floor 6. Where the log goes and how it looks, from the configuration and the environment.
//!
//! Whom systemd starts with its journal behind standard error writes lines for the journal.
//! Absent on purpose: what a line looks like (`os::logging`).

use crate::config::Log;
use crate::os::logging::{self, Form, Setup};

/// Write the log up to this level: to the file if there is one, and in the form that was asked for
/// or else fits.
#[expect(clippy::disallowed_methods, reason = "the command line may read the environment")]
pub(super) fn start(to: &Log) -> Result<(), String> {
    let Log { level, format, file } = to.clone();
    let journal = || std::env::var("JOURNAL_STREAM").is_ok_and(|it| logging::is_journal(&it));
    let fits = || if file.is_none() && journal() { Form::Journald } else { Form::Text };
    let form = format.unwrap_or_else(fits);
    let named = file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    logging::start(&Setup { level, form, file }).map_err(|e| format!("log {named}: {e}"))
}
