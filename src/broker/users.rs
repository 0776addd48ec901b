//! Floor 6. A users file as a policy, and what follows when another takes its place.
//!
//! The engine owns the policy. A file with an error changes nothing; whoever is not who they were
//! is shown out. Absent on purpose: watching the file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::*;
use crate::base::time::Now;
use crate::hub::policy::Changes;
use crate::proto::doom::Doom;

/// A policy, and whether it welcomes everybody.
pub(super) type Decides = (Box<dyn Policy>, bool);

/// Read the file. What has to be the same at each start hangs on the folder of the journal.
pub(super) fn decides(
    path: PathBuf,
    key: [u64; 2],
    folder: Option<&Path>,
) -> Result<Decides, Error> {
    let text = read(&path)?;
    let wrong = |note| Error::Users { path: path.clone(), note };
    let salts = folder.map(secret).transpose().map_err(Error::System)?;
    let access = Access::new(&text, key, Terms { salts, ..Terms::default() }).map_err(wrong)?;
    for warning in access.warnings() {
        log::warn!("{}: {warning}", path.display());
    }
    let open = access.mode() == Mode::None && access.users() == 0;
    Ok((Box::new(access), open))
}

/// What this installation knows and nobody else: made once, and kept beside the journal.
fn secret(folder: &Path) -> io::Result<[u8; 32]> {
    let path = folder.join("secret");
    let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    match std::fs::read(&path) {
        Ok(bytes) => {
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it has not 32 bytes");
            return bytes.try_into().map_err(|_| told(wrong()));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(told(e)),
    }
    let mut made = [0; 32];
    getrandom::fill(&mut made).map_err(|e| io::Error::other(e.to_string()))?;
    keep(&path, &made).map_err(told)?;
    Ok(made)
}

/// Whole, or not at all; readable by its owner alone.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    // One that was left behind is not ours to trust.
    let _ = std::fs::remove_file(&draft);
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::File::open(folder)?.sync_all()
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
    let hub = engine.hub();
    // Whom a procedure vouched for the file does not know: it must do so again.
    let vouched = |user: &Bytes| !user.is_empty() && hub.policy.recall(user).is_none();
    let is_concerned = |user: &Bytes| named(user) || vouched(user);
    let concerned = hub.sessions().filter(|s| is_concerned(&s.principal().user));
    let conns: Vec<ConnId> = concerned.filter_map(|s| s.conn).collect();
    engine.hub_mut().polls.cookies.forget(|bearer| named(&bearer.user));
    for conn in &conns {
        engine.doom(now, *conn, Doom::Kicked);
    }
    conns.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_has_one_secret_and_keeps_it_to_itself() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("spindle-secret-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let made = secret(&folder).unwrap();
        assert_eq!(secret(&folder).unwrap(), made, "the same at the next start");
        let path = folder.join("secret");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        assert_ne!(secret(&folder).unwrap(), made, "another installation has another");
        std::fs::write(&path, b"short").unwrap();
        assert!(secret(&folder).is_err(), "what was damaged is not replaced in silence");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
