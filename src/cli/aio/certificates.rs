//! Floor 6. `spindle aio create-certificates`: what a server and its clients know each other by.
//!
//! ```text
//! DIR/certificates/server/server-cert/server.pem, server.key
//! DIR/certificates/server/client-certs/default.pem
//! DIR/certificates/server/client-certs/symlinks/HASH.0 -> ../default.pem
//! DIR/certificates/client/server-cert/server.pem
//! DIR/certificates/client/client-certs/default.pem, default.key
//! ```
//!
//! The folders of the original, so its servers and clients find what they look for. `client` is for
//! every machine that a client runs on, and `server` stays. Keys are on elliptic curves, where the
//! original makes RSA. Absent on purpose: replacing what is there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::certs::{SelfSigned, by_chance, self_signed};

use super::super::exit;
use super::{Link, print};

/// Flags of `aio create-certificates`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct CreateCertificates {
    /// The folder in which `certificates` is made
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Valid for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 3_650)]
    days: u32,
}

impl CreateCertificates {
    pub(super) fn run(&self, link: &Link) -> u8 {
        match self.make() {
            Ok(base) => {
                let shown = base.display().to_string();
                print::say(&match link.json {
                    true => print::json(vec![("directory", print::text(shown))]),
                    false => format!(
                        "made         {shown}\nNext: copy {shown}/client to each machine with a \
                         client, and let nobody else see it"
                    ),
                });
                exit::DONE
            }
            Err(why) => link.wrong(&why),
        }
    }

    fn make(&self) -> Result<PathBuf, String> {
        let base = self.dir.join("certificates");
        let [server, client] = ["server", "client"].map(|side| base.join(side));
        for folder in [&server, &client] {
            let kept = fs::read_dir(folder).is_ok_and(|mut all| all.next().is_some());
            if kept {
                return Err(format!("{} is not empty", folder.display()));
            }
        }
        let own = self_signed("company", self.days)?;
        let default = self_signed(&by_chance()?, self.days)?;
        let written = || -> io::Result<()> {
            let links = server.join("client-certs").join("symlinks");
            fs::create_dir_all(&links)?;
            for folder in [server.join("server-cert"), client.join("server-cert")] {
                fs::create_dir_all(&folder)?;
                put(&folder.join("server.pem"), &own.certificate, 0o644)?;
            }
            put(&server.join("server-cert").join("server.key"), &own.key, 0o600)?;
            pair(&client.join("client-certs"), &default)?;
            let public = server.join("client-certs").join("default.pem");
            put(&public, &default.certificate, 0o644)?;
            let link = links.join(format!("{}.0", default.hash));
            std::os::unix::fs::symlink("../default.pem", link)
        };
        written().map_err(|e| format!("{}: {e}", base.display()))?;
        Ok(base)
    }
}

fn pair(folder: &Path, made: &SelfSigned) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    put(&folder.join("default.key"), &made.key, 0o600)?;
    put(&folder.join("default.pem"), &made.certificate, 0o644)
}

/// A file that was not there.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
