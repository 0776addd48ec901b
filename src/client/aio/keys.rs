//! Floor 5. The files in which a client keeps what it shows: certificates, keys, tokens.
//!
//! ```text
//! DIR/certificates/client/server-cert/server.pem     whom it believes (once server.crt)
//! DIR/certificates/client/client-certs/default.pem   what it shows as long as it has no other
//! DIR/certificates/client/client-certs/NAME.pem      what the server has given it
//! ```
//!
//! A secret is never readable by others, not for a moment, and a certificate is there only when its
//! key is. Absent on purpose: what the files say.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::proto::aio::Name;

use super::{Error, Fingerprint};

/// The certificates of one client.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    dir: PathBuf,
    name: Name,
}

/// Which server is believed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom<'a> {
    /// The one whose certificate is in this file.
    File(&'a Path),
    /// The one whose certificate has this fingerprint; without one, whoever has the key of what it
    /// shows.
    Known(Option<Fingerprint>),
    /// Anybody.
    Anybody,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Keys {
    pub(super) fn new(dir: &Path, name: &Name) -> Self {
        Self { dir: dir.join("certificates").join("client"), name: name.clone() }
    }

    /// Whom the client believes.
    pub(super) fn server(&self) -> PathBuf {
        let dir = self.dir.join("server-cert");
        let old = dir.join("server.crt");
        let new = dir.join("server.pem");
        if !new.exists() && old.exists() { old } else { new }
    }

    /// What the server has given to this client, if it has.
    pub(super) fn own(&self) -> Option<Pair> {
        let pair = self.pair(self.name.as_str());
        (pair.certificate.exists() && pair.key.exists()).then_some(pair)
    }

    /// What every client has.
    pub(super) fn default(&self) -> Pair {
        self.pair("default")
    }

    fn pair(&self, name: &str) -> Pair {
        let dir = self.dir.join("client-certs");
        Pair { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
    }

    /// Throw away what the server has given.
    pub(super) fn forget(&self) -> Result<(), Error> {
        let pair = self.pair(self.name.as_str());
        remove(&pair.certificate)?;
        remove(&pair.key)
    }

    /// Keep what the server has given.
    pub(super) fn save(&self, certificate: &str, key: &str) -> Result<Pair, Error> {
        let pair = self.pair(self.name.as_str());
        // The key first: a certificate without it would be shown in vain.
        put(&pair.key, key, 0o600)?;
        put(&pair.certificate, certificate, 0o644)?;
        Ok(pair)
    }
}

/// Throw a token away.
pub(super) fn forget_token(dir: &Path, name: &Name) -> Result<(), Error> {
    remove(&dir.join(name.as_str()))
}

/// What is not there need not go.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file(path, e)),
        _ => Ok(()),
    }
}

/// The token of a client, if it has one.
pub(super) fn token(dir: &Path, name: &Name) -> Result<Option<String>, Error> {
    let path = dir.join(name.as_str());
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(&path, e)),
    }
}

/// Keep a token.
pub(super) fn save_token(dir: &Path, name: &Name, token: &str) -> Result<(), Error> {
    put(&dir.join(name.as_str()), token, 0o600)
}

/// Write a file that is there as a whole or not at all.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = || -> io::Result<()> {
        // What was left half done is nobody's.
        match fs::remove_file(&fresh) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    written().map_err(|e| Error::file(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_for_its_owner_alone_from_its_first_byte() {
        let own = format!("spindle-aio-keys-{:x}", crate::client::pipe::seed());
        let dir = std::env::temp_dir().join(own);
        let certificates = dir.join("certificates/client/client-certs");
        fs::create_dir_all(&certificates).expect("a folder");
        let name = Name::new(&"ann".into()).expect("a name");
        // Somebody has made what it will be written to, for all to read, and waits there.
        let (key, token) = (certificates.join("ann.key.new"), dir.join("ann.new"));
        let mut waiting: Vec<fs::File> = Vec::new();
        for path in [&key, &token] {
            fs::write(path, "").expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("set");
            waiting.push(fs::File::open(path).expect("it is there"));
        }
        let pair = Keys::new(&dir, &name).save("certificate", "key").expect("saved");
        save_token(&dir, &name, "token").expect("saved");
        for (path, secret) in [(&pair.key, "key"), (&dir.join("ann"), "token")] {
            assert_eq!(fs::read_to_string(path).expect("it is there"), secret);
            let mode = fs::metadata(path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{secret}");
        }
        for file in &mut waiting {
            let mut seen = String::new();
            file.read_to_string(&mut seen).expect("read");
            assert_eq!(seen, "", "it was written for whoever waited");
        }
        fs::remove_dir_all(&dir).expect("removed");
    }
}
