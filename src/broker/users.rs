//! Floor 6. A users file as a policy, and what follows when another takes its place.
//!
//! The engine owns the policy. A file with an error changes nothing; whoever is not who they were
//! is shown out. Absent on purpose: watching the file.

use std::path::Path;

use super::*;
use crate::base::time::Now;
use crate::hub::policy::Changes;
use crate::proto::doom::Doom;

/// A policy, and whether it welcomes everybody.
pub(super) type Decides = (Box<dyn Policy>, bool);

/// Read the file.
pub(super) fn decides(path: PathBuf, key: [u64; 2]) -> Result<Decides, Error> {
    let text = read(&path)?;
    let wrong = |note| Error::Users { path: path.clone(), note };
    let access = Access::new(&text, key, Terms::default()).map_err(wrong)?;
    for warning in access.warnings() {
        log::warn!("{}: {warning}", path.display());
    }
    let open = access.mode() == Mode::None && access.users() == 0;
    Ok((Box::new(access), open))
}

/// What keeps the file from being used.
pub(super) fn try_file(path: &Path) -> Option<Error> {
    let text = match read(path) {
        Ok(text) => text,
        Err(e) => return Some(e),
    };
    let note = Access::new(&text, [0; 2], Terms::default()).err()?;
    Some(Error::Users { path: path.to_owned(), note })
}

/// What is doubtful in it.
pub(super) fn doubts(path: &Path) -> Vec<String> {
    let Ok(text) = read(path) else { return Vec::new() };
    let Ok(access) = Access::new(&text, [0; 2], Terms::default()) else { return Vec::new() };
    let lines = access.warnings().iter().map(|note| format!("{}: {note}", path.display()));
    lines.collect()
}

/// The text of the file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let wrong = |error| Error::UsersFile { path: path.to_owned(), error };
    std::fs::read_to_string(path).map_err(wrong)
}

/// Other users and rules hold from now on: show out who is not who they were, and look at every
/// subscription again. In words, what is another, if anything is.
pub(super) fn follow(changes: &Changes, now: Now, engine: &mut Engine) -> Option<String> {
    let ended = end(changes, now, engine);
    if changes.rules {
        engine.hub_mut().recheck_all(now);
    }
    let lists = [&changes.added, &changes.removed, &changes.changed];
    if !changes.rules && lists.iter().all(|list| list.is_empty()) {
        return None;
    }
    Some(format!(
        "users file read again added={} removed={} changed={} rules={} ended={ended}",
        changes.added.len(),
        changes.removed.len(),
        changes.changed.len(),
        changes.rules
    ))
}

/// Whoever is not who they were must come in again.
fn end(changes: &Changes, now: Now, engine: &mut Engine) -> usize {
    let named = |user: &[u8]| {
        changes.removed.iter().chain(&changes.changed).any(|name| name.as_bytes() == user)
    };
    let concerned = engine.hub().sessions().filter(|s| named(&s.principal().user));
    let conns: Vec<ConnId> = concerned.filter_map(|s| s.conn).collect();
    for conn in &conns {
        engine.doom(now, *conn, Doom::Kicked);
    }
    conns.len()
}
