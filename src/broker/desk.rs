//! Floor 6. A listener of connectors that keeps certificates, tokens or files of theirs: as options
//! of it, and the certificate that it shows itself.
//!
//! Folders are looked into when somebody comes (`os/clerk`); only the server's own certificate is
//! read at the start and at a reload. Absent on purpose: making such folders (`spindle aio`).

use super::{Error, Listen};
use crate::link::tls::Config;
use crate::proto::Speak;
use crate::proto::aio::errand::Enrol;

/// What such a listener is told.
pub(super) const OPTIONS: [&str; 5] = ["certificates", "enrol", "tokens", "files", "file_types"];

impl Listen {
    pub(super) fn desk_option(mut self, name: &str, value: &str) -> Result<Self, &'static str> {
        if self.speak != Speak::Aio {
            return Err("only where aioconnectors is spoken is anything kept of connectors");
        }
        if value.is_empty() {
            return Err("it is said without a value");
        }
        if matches!(name, "certificates" | "tokens") && !self.tls {
            return Err("only within TLS (aios) is anything shown");
        }
        let (tls, desk) = (self.tls, self.desk.get_or_insert_default());
        match name {
            "certificates" => desk.certificates = Some(value.into()),
            "tokens" => desk.tokens = Some(value.into()),
            "files" => desk.files = Some(value.into()),
            "file_types" => desk.file_types = value.split(',').map(str::to_owned).collect(),
            _ if !tls => return Err("only within TLS (aios) is anything given out"),
            _ => {
                desk.enrol = match value {
                    "nobody" => Enrol::Nobody,
                    "anyone" => Enrol::Anyone,
                    file if file.starts_with('/') => Enrol::Listed(file.into()),
                    _ => return Err("enrol is nobody, anyone, or the whole path of a file"),
                }
            }
        }
        Ok(self)
    }

    /// Nobody comes in here who shows nothing.
    pub(crate) fn is_guarded(&self) -> bool {
        let desk = self.desk.as_deref();
        desk.is_some_and(|desk| desk.certificates.is_some() || desk.tokens.is_some())
    }

    /// It has a certificate of its own among those of its connectors.
    pub(crate) fn brings_certificate(&self) -> bool {
        self.desk.as_deref().is_some_and(|desk| desk.certificates.is_some())
    }

    /// What it does TLS by, if connectors show certificates here.
    #[cfg(feature = "tls")]
    pub(crate) fn certified(&self) -> Result<Option<Config>, Error> {
        let at = self.desk.as_deref().and_then(|desk| desk.certificates.as_ref());
        let Some(at) = at else { return Ok(None) };
        let folder = std::path::Path::new(at).join("certificates/server/server-cert");
        // Until version 1.2.0 it was called otherwise.
        let [path, older] = ["server.pem", "server.crt"].map(|name| folder.join(name));
        let path = if older.exists() && !path.exists() { older } else { path };
        let (certificate, key) =
            (super::tls::read(&path)?, super::tls::read(&folder.join("server.key"))?);
        let made = Config::of_connectors(&certificate, &key);
        made.map(Some).map_err(|why| Error::Tls { path, why })
    }

    /// What it would do TLS by.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn certified(&self) -> Result<Option<Config>, Error> {
        match self.brings_certificate() {
            true => Err(Error::NoTls { address: self.place() }),
            false => Ok(None),
        }
    }
}
