//! Floor 5. The certificates of a folder of aioconnectors, as they are: whose is which.
//!
//! ```text
//! certificates/server/client-certs/<name>.pem                a client's own
//! certificates/server/client-certs/default.pem, default1..   for those who have none
//! certificates/server/client-certs/symlinks/<hash>.<n>       links to those that are trusted
//! ```
//!
//! The name of the file is the client's, and all of the certificate is compared. What is not linked
//! to is not trusted, and neither is a link to nothing: so a certificate that is deleted, in either
//! way, is nobody's from the next connection on. What is remembered is the digests of a folder that
//! has not changed; the one that is found is read again each time. Absent on purpose: certificates
//! of an issuer's, and the table of serial numbers of the original.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::base64;
use crate::base::time::Now;
use crate::proto::aio::errand::{Fingerprint, Ran};
use crate::proto::aio::{Name, Text};

/// As many as the original takes.
const CERTIFICATES_MAX: usize = 1_024;
/// Longer than any certificate is.
const FILE_MAX: u64 = 64 << 10;
/// Changes so soon after one another, in seconds, may have the same time on some disks.
const GRAIN: i64 = 2;

/// When something was changed: seconds since 1970, and nanoseconds.
type Moment = (i64, i64);

/// What is known of a folder.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    found: BTreeMap<Fingerprint, String>,
    /// When the folders were changed last, and in which second that was looked at.
    seen: Option<([Moment; 2], i64)>,
}

fn folder_at(at: &Path) -> PathBuf {
    at.join("certificates").join("server").join("client-certs")
}

/// A client's certificate is nobody's any more: first it is not trusted, then it goes.
pub(super) fn forget(at: &Path, name: &Name, link_only: bool) -> Result<(), String> {
    let folder = folder_at(at);
    let wrong = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let links = folder.join("symlinks");
    let mut known = false;
    for entry in fs::read_dir(&links).map_err(|e| wrong(&links, e))?.flatten() {
        let path = entry.path();
        let to = fs::read_link(&path).ok();
        if to.as_deref().and_then(stem_of) == Some(name.as_str()) {
            fs::remove_file(&path).map_err(|e| wrong(&path, e))?;
            known = true;
        }
    }
    for end in if link_only { &[][..] } else { &["pem", "key"] } {
        let path = folder.join(format!("{}.{end}", name.as_str()));
        match fs::remove_file(&path) {
            Ok(()) => known = true,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(wrong(&path, e)),
        }
    }
    if known { Ok(()) } else { Err("it has none".into()) }
}

impl Kept {
    pub(super) fn new(at: &Path) -> Self {
        let folder = folder_at(at);
        Self { folder, found: BTreeMap::new(), seen: None }
    }

    /// Whose certificate is this?
    pub(super) fn whose(&mut self, now: Now, shown: &Fingerprint) -> Ran {
        self.look(now);
        let Some(stem) = self.found.get(shown) else { return Ran::Not("nobody's certificate") };
        // It may have been replaced where it stands.
        let path = self.folder.join(format!("{stem}.pem"));
        if digest_of(&path).as_ref() != Some(shown) {
            return Ran::Not("nobody's certificate");
        }
        match Name::new(&Text::from(stem.as_str())) {
            Some(name) => Ran::Known(name),
            None => Ran::Default,
        }
    }

    /// A certificate for a client that has none.
    pub(super) fn issue(&mut self, now: Now, name: &Name) -> Result<Ran, String> {
        let path = self.folder.join(format!("{}.pem", name.as_str()));
        if fs::symlink_metadata(&path).is_ok() {
            return Err("it has one already".into());
        }
        self.look(now);
        if self.found.len() >= CERTIFICATES_MAX {
            return Err(format!("there are {CERTIFICATES_MAX} already"));
        }
        self.make(name, &path)
    }

    #[cfg(feature = "tls")]
    fn make(&self, name: &Name, path: &Path) -> Result<Ran, String> {
        let made = super::making::self_signed()?;
        let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
        super::replace(path, made.crt.as_bytes(), 0o644).map_err(wrong)?;
        let to = format!("../{}.pem", name.as_str());
        let links = self.folder.join("symlinks");
        let linked = (0..CERTIFICATES_MAX).find_map(|n| {
            let at = links.join(format!("{}.{n}", made.hash));
            match std::os::unix::fs::symlink(&to, &at) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => None,
                other => Some(other),
            }
        });
        match linked {
            Some(Ok(())) => {}
            other => {
                let _ = fs::remove_file(path);
                let why = other.and_then(Result::err).map_or(String::new(), |e| e.to_string());
                return Err(format!("{}: {why}", links.display()));
            }
        }
        let crt = made.crt.as_str().into();
        Ok(Ran::Certified { crt, key: made.key.as_str().into() })
    }

    #[cfg(not(feature = "tls"))]
    fn make(&self, _: &Name, _: &Path) -> Result<Ran, String> {
        Err("this program was built without TLS".into())
    }

    /// Read the folder again if anything in it is another.
    fn look(&mut self, now: Now) {
        let links = self.folder.join("symlinks");
        let changed = |path: &Path| fs::metadata(path).map(|it| (it.mtime(), it.mtime_nsec()));
        let times = match (changed(&self.folder), changed(&links)) {
            (Ok(one), Ok(other)) => [one, other],
            (Err(e), _) | (_, Err(e)) => {
                log::error!("{}: {e}", links.display());
                self.found.clear();
                self.seen = None;
                return;
            }
        };
        let settled = |(seen, at): &([Moment; 2], i64)| {
            *seen == times && times.iter().all(|(second, _)| at.saturating_sub(*second) > GRAIN)
        };
        if self.seen.as_ref().is_some_and(settled) {
            return;
        }
        self.found.clear();
        for entry in fs::read_dir(&links).into_iter().flatten().flatten() {
            let to = fs::read_link(entry.path()).ok();
            let stem = to.as_deref().and_then(stem_of).map(str::to_owned);
            let Some(stem) = stem else { continue };
            if self.found.len() <= 2 * CERTIFICATES_MAX
                && let Some(digest) = digest_of(&self.folder.join(format!("{stem}.pem")))
            {
                self.found.insert(digest, stem);
            }
        }
        self.seen = Some((times, i64::try_from(now.wall / 1_000).unwrap_or(0)));
    }
}

/// Whom a link in the folder of those that are trusted is about.
fn stem_of(to: &Path) -> Option<&str> {
    let stem = to.to_str()?.strip_prefix("../")?.strip_suffix(".pem")?;
    let digits = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    let default = stem.strip_prefix("default").is_some_and(digits);
    (default || Name::new(&Text::from(stem)).is_some()).then_some(stem)
}

/// The digest of the certificate in a file.
fn digest_of(path: &Path) -> Option<Fingerprint> {
    let small = fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() <= FILE_MAX);
    let text = small.then(|| fs::read_to_string(path).ok()).flatten()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (inner, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let digits: Vec<u8> = inner.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    Some(Sha256::digest(base64::decode(&digits)?).into())
}
