//! Floor 6. Whom a chat knows: the fingerprints of those who were called, and a certificate of its
//! own.
//!
//! ```text
//! $XDG_STATE_HOME/spindle/chat/known             HOST:PORT FINGERPRINT, a line for each
//!                              certificate.pem   what is shown to those who call
//!                              certificate.key
//! ```
//!
//! The folder is the user's alone. A certificate stays, so that who has called once knows it the
//! next time; a fingerprint that changes is for people to judge. Absent on purpose: forgetting one;
//! the file is text.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cli::certs::{by_chance, self_signed};
use crate::client::aio::Fingerprint;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Known(PathBuf);

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Known {
    /// The user's; it is made if it is not there.
    pub(super) fn open() -> Result<Self, String> {
        let state = variable("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")));
        let state = state.ok_or("there is no home folder")?;
        Self::at(state.join("spindle").join("chat"))
    }

    fn at(path: PathBuf) -> Result<Self, String> {
        let wrong = |e: io::Error| format!("{}: {e}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(wrong)?;
        let found = fs::symlink_metadata(&path).map_err(wrong)?;
        if !found.is_dir() || found.mode() & 0o077 != 0 {
            return Err(format!("{} is open to others than its owner", path.display()));
        }
        Ok(Self(path))
    }

    /// What this end shows, the same every time.
    pub(super) fn identity(&self) -> Result<Identity, String> {
        let [crt, key] = ["certificate.pem", "certificate.key"].map(|name| self.0.join(name));
        if !crt.exists() || !key.exists() {
            let fresh = Identity::fresh()?;
            // The key first: a certificate without it would be shown in vain.
            for (path, text) in [(&key, &fresh.key), (&crt, &fresh.certificate)] {
                put(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            return Ok(fresh);
        }
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
        Ok(Identity { certificate: read(&crt)?, key: read(&key)? })
    }

    /// What was shown there the last time, if it was ever called.
    pub(super) fn of(&self, target: &str) -> Result<Option<Fingerprint>, String> {
        let lines = self.lines()?;
        let found = lines.iter().find_map(|line| Self::line(line).filter(|(to, _)| *to == target));
        let Some((_, print)) = found else { return Ok(None) };
        let bad = || format!("{}: no fingerprint of {target}", self.file().display());
        Fingerprint::read(print).map(Some).ok_or_else(bad)
    }

    /// Remember it.
    pub(super) fn keep(&self, target: &str, print: Fingerprint) -> Result<(), String> {
        let mut lines = self.lines()?;
        lines.retain(|line| Self::line(line).is_none_or(|(to, _)| to != target));
        lines.push(format!("{target} {print}"));
        let file = self.file();
        put(&file, &(lines.join("\n") + "\n")).map_err(|e| format!("{}: {e}", file.display()))
    }

    fn line(line: &str) -> Option<(&str, &str)> {
        line.trim().split_once(' ')
    }

    fn lines(&self) -> Result<Vec<String>, String> {
        let file = self.file();
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(format!("{}: {e}", file.display())),
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join("known")
    }
}

impl Identity {
    /// One that nobody has seen.
    pub(super) fn fresh() -> Result<Self, String> {
        let made = self_signed(&by_chance()?, DAYS)?;
        Ok(Self { certificate: made.certificate, key: made.key })
    }
}

/// A file for its owner alone, there as a whole or not at all.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn home() -> Option<PathBuf> {
    variable("HOME")
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// For how long a certificate is valid. Nobody who compares fingerprints looks.
const DAYS: u32 = 3_650;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder of a test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("spindle-chat-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_fingerprint_is_remembered_until_another_is() {
        let dir = Dir::new("known");
        let known = Known::at(dir.0.clone()).expect("a folder");
        let [one, other] = [&b"one"[..], b"other"].map(Fingerprint::of);
        assert_eq!(known.of("a:1"), Ok(None));
        for (target, print) in [("a:1", one), ("a:10", other), ("a:1", other), ("a:2", one)] {
            known.keep(target, print).expect("kept");
            assert_eq!(known.of(target), Ok(Some(print)));
        }
        assert_eq!(known.of("a:10"), Ok(Some(other)));
        let text = fs::read_to_string(dir.0.join("known")).expect("there");
        assert_eq!(text.lines().count(), 3, "each once: {text}");
        fs::write(dir.0.join("known"), "a:1 nonsense\n").expect("written");
        assert!(known.of("a:1").is_err(), "it is not taken for one that was never called");
    }

    #[test]
    fn what_is_shown_stays_and_is_the_owners_alone() {
        let dir = Dir::new("identity");
        let known = Known::at(dir.0.clone()).expect("a folder");
        let first = known.identity().expect("made");
        assert_eq!(Known::at(dir.0.clone()).and_then(|it| it.identity()), Ok(first));
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&dir.0), 0o700);
        assert_eq!(mode(&dir.0.join("certificate.key")), 0o600);
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o750)).expect("changed");
        assert!(Known::at(dir.0.clone()).is_err(), "others could look");
    }
}
