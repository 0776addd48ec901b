//! Floor 6. A users file as a policy that can be read again while the broker runs.
//!
//! The engine owns the policy; reading again happens on the loop too, so nothing is shared. A file
//! with an error changes nothing; whoever is not who they were is shown out.
//! Absent on purpose: watching the file.

use std::path::Path;

use super::*;
use crate::hub::policy::Changes;
use crate::os::driver::Reload;
use crate::proto::doom::Doom;

/// A policy, how to read it again, and whether it welcomes everybody.
pub(super) type Decides = (Box<dyn Policy>, Option<Reload>, bool);

/// Read the file.
pub(super) fn decides(path: PathBuf, key: [u64; 2]) -> Result<Decides, Error> {
    let text = read(&path)?;
    let wrong = |note| Error::Users { path: path.clone(), note };
    let access = Access::new(&text, key, Terms::default()).map_err(wrong)?;
    for warning in access.warnings() {
        log::warn!("{}: {warning}", path.display());
    }
    let open = access.mode() == Mode::None && access.users() == 0;
    let reload = Box::new(move |now, engine: &mut Engine| again(&path, now, engine));
    Ok((Box::new(access), Some(reload), open))
}

fn read(path: &Path) -> Result<String, Error> {
    let wrong = |error| Error::UsersFile { path: path.to_owned(), error };
    std::fs::read_to_string(path).map_err(wrong)
}

fn again(path: &Path, now: Now, engine: &mut Engine) {
    let text = match read(path) {
        Ok(text) => text,
        Err(e) => return log::error!("{e}; the old users stay"),
    };
    match engine.hub_mut().policy.reload(&text) {
        Ok(changes) => {
            for warning in &changes.warnings {
                log::warn!("{}: {warning}", path.display());
            }
            let ended = end(&changes, now, engine);
            if changes.rules {
                engine.hub_mut().recheck_all(now);
            }
            log::info!(
                "users file read again added={} removed={} changed={} rules={} ended={ended}",
                changes.added.len(),
                changes.removed.len(),
                changes.changed.len(),
                changes.rules
            );
        }
        Err(why) => log::error!("{}: {why}; the old users stay", path.display()),
    }
}

/// Whoever is not who they were must come in again.
fn end(changes: &Changes, now: Now, engine: &mut Engine) -> usize {
    let named = |user: &[u8]| {
        changes.removed.iter().chain(&changes.changed).any(|name| name.as_bytes() == user)
    };
    let concerned = engine.hub().sessions().filter(|s| named(&s.principal.user));
    let conns: Vec<ConnId> = concerned.filter_map(|s| s.conn).collect();
    for conn in &conns {
        engine.doom(now, *conn, Doom::Kicked);
    }
    conns.len()
}
