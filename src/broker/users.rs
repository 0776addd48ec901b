//! Floor 6. A users file as a policy that can be read again while the broker runs.
//!
//! Two places need it: the engine asks it, and whoever is told to read the file again changes it.
//! Both are on the loop, so the lock is never waited for. A file with an error changes nothing.
//! Absent on purpose: watching the file.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::*;
use crate::access::Diff;
use crate::hub::policy::{Admit, Claim, Login, Principal};
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
    let shared = Shared(Arc::new(Mutex::new(access)));
    let policy = Box::new(shared.clone());
    Ok((policy, Some(Box::new(move |now, engine| again(&path, &shared, now, engine))), open))
}

fn read(path: &Path) -> Result<String, Error> {
    let wrong = |error| Error::UsersFile { path: path.to_owned(), error };
    std::fs::read_to_string(path).map_err(wrong)
}

fn again(path: &Path, shared: &Shared, now: Now, engine: &mut Engine) {
    let text = match read(path) {
        Ok(text) => text,
        Err(e) => return log::error!("{e}; the old users stay"),
    };
    // The end of the connections concerned asks the policy nothing, but it must not find it locked.
    let changed = shared.lock().reload(&text);
    match changed {
        Ok(diff) => {
            for warning in &diff.warnings {
                log::warn!("{}: {warning}", path.display());
            }
            let ended = end(&diff, now, engine);
            log::info!(
                "users file read again added={} removed={} changed={} rules={} ended={ended}",
                diff.added.len(),
                diff.removed.len(),
                diff.changed.len(),
                diff.rules
            );
        }
        Err(note) => log::error!("{}: {note}; the old users stay", path.display()),
    }
}

/// Whoever is not who they were must come in again.
fn end(diff: &Diff, now: Now, engine: &mut Engine) -> usize {
    let named =
        |user: &[u8]| diff.removed.iter().chain(&diff.changed).any(|name| name.as_bytes() == user);
    let concerned = engine.hub().sessions().filter(|s| named(&s.principal.user));
    let conns: Vec<ConnId> = concerned.filter_map(|s| s.conn).collect();
    for conn in &conns {
        engine.doom(now, *conn, Doom::Kicked);
    }
    conns.len()
}

type Lock = Mutex<Access>;

#[derive(Clone)]
struct Shared(Arc<Lock>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Access> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy for Shared {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        self.lock().admit(now, login)
    }

    fn verified(
        &mut self,
        now: Now,
        claim: &Claim,
        ok: bool,
    ) -> Result<Principal, policy::Refusal> {
        self.lock().verified(now, claim, ok)
    }

    fn permit(&mut self, who: &Principal, access: &policy::Access<'_>) -> bool {
        self.lock().permit(who, access)
    }

    fn explain(&self, who: &Principal, access: &policy::Access<'_>) -> String {
        self.lock().explain(who, access)
    }

    fn recall(&self, user: &Bytes) -> Option<Principal> {
        self.lock().recall(user)
    }

    fn checks_receive(&self) -> bool {
        self.lock().checks_receive()
    }
}
