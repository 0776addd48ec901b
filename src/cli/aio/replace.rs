//! Floor 6. `spindle aio replace-server-certificate`: another certificate for a server.
//!
//! What was there first is kept beside it with `.org` behind its name, however often it is
//! replaced, and comes back with `--revert`. A certificate goes in with its own key or not at all.
//! Absent on purpose: telling a server that runs, and the copies that clients have.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::client::aio::Fingerprint;

use super::super::exit;
use super::{Link, config, print};

/// Flags of `aio replace-server-certificate`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct ReplaceServerCertificate {
    /// The new certificate, NAME.pem; its key lies beside it in NAME.key
    #[arg(value_name = "PEM", required_unless_present = "revert", conflicts_with = "revert")]
    pem: Option<PathBuf>,
    /// The folder in which `certificates` is [default: that of the original]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Put back what was there first
    #[arg(long)]
    revert: bool,
}

/// The certificate of a server and its key.
struct Pair {
    pem: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// What lies where the first of each is kept.
    fn kept(&self) -> Self {
        let with = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".org");
            PathBuf::from(name)
        };
        Self { pem: with(&self.pem), key: with(&self.key) }
    }

    fn read(&self) -> Result<(String, String), String> {
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
        Ok((read(&self.pem)?, read(&self.key)?))
    }

    fn write(&self, crt: &str, key: &str) -> Result<(), String> {
        put(&self.key, key, 0o600).map_err(|e| format!("{}: {e}", self.key.display()))?;
        put(&self.pem, crt, 0o644).map_err(|e| format!("{}: {e}", self.pem.display()))
    }
}

impl ReplaceServerCertificate {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let dir = self.directory.clone().unwrap_or_else(config::default_dir);
        let dir = dir.join("certificates").join("server").join("server-cert");
        let server = Pair { pem: dir.join("server.pem"), key: dir.join("server.key") };
        let done = match &self.pem {
            Some(pem) => replace(&server, pem),
            None => revert(&server),
        };
        match done {
            Ok(print) => {
                let (pem, print) = (server.pem.display().to_string(), print.to_string());
                print::say(&match link.json {
                    true => print::json(vec![
                        ("certificate", print::text(pem)),
                        ("fingerprint", print::text(print)),
                    ]),
                    false => format!(
                        "certificate  {pem}\nfingerprint  {print}\nNext: start the server again, \
                         and copy the certificate to\ncertificates/client/server-cert/server.pem \
                         of each client"
                    ),
                });
                exit::DONE
            }
            Err(why) => link.wrong(&why),
        }
    }
}

fn replace(server: &Pair, pem: &Path) -> Result<Fingerprint, String> {
    let (crt, key) = Pair { pem: pem.to_owned(), key: pem.with_extension("key") }.read()?;
    let print = Fingerprint::of_pair(&crt, &key);
    let print = print.map_err(|error| format!("{}: {error}", pem.display()))?;
    let (first, kept) = (server.read()?, server.kept());
    // Both, or what is kept is none: the key is written first.
    if !kept.pem.exists() {
        kept.write(&first.0, &first.1)?;
    }
    server.write(&crt, &key)?;
    Ok(print)
}

fn revert(server: &Pair) -> Result<Fingerprint, String> {
    let kept = server.kept();
    let (crt, key) = kept.read()?;
    let print = Fingerprint::of_pair(&crt, &key);
    let print = print.map_err(|error| format!("{}: {error}", kept.pem.display()))?;
    server.write(&crt, &key)?;
    let gone = fs::remove_file(&kept.pem).and_then(|()| fs::remove_file(&kept.key));
    gone.map_err(|e| format!("{}: {e}", kept.pem.display()))?;
    Ok(print)
}

/// A file that is there as a whole, or as it was.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
