//! Floor 6. Certificate, key, issuers and revocation list: files that can be read again.
//!
//! All of them are read before anything is changed, so a file that cannot be used leaves things as
//! they are. Connections keep what they began with. Absent on purpose: watching the files.

use std::path::{Path, PathBuf};

use super::Error;
use crate::link::certificate::Named;
use crate::link::tls::{ClientCert, Config, Materials, Unusable};

/// The files of a broker's TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
    crl: Option<PathBuf>,
    client: ClientCert,
    named: Named,
}

impl Tls {
    /// A certificate with those of its issuers behind it, and its private key, both PEM.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        let (client, named) = (ClientCert::default(), Named::default());
        Self { certificate, key, ca: None, crl: None, client, named }
    }

    /// Ask clients for certificates of these issuers (PEM).
    #[must_use]
    pub fn clients(mut self, ca: impl Into<PathBuf>, client: ClientCert) -> Self {
        (self.ca, self.client) = (Some(ca.into()), client);
        self
    }

    /// Refuse the certificates that these lists name (PEM).
    #[must_use]
    pub fn revoked(mut self, crl: impl Into<PathBuf>) -> Self {
        self.crl = Some(crl.into());
        self
    }

    /// Which name of a client's certificate is the user's.
    #[must_use]
    pub fn named(mut self, named: Named) -> Self {
        self.named = named;
        self
    }

    /// Read the files.
    pub(super) fn load(&self) -> Result<Config, Error> {
        let certificate = read(&self.certificate)?;
        let key = read(&self.key)?;
        let ca = self.ca.as_deref().map(read).transpose()?;
        let crl = self.crl.as_deref().map(read).transpose()?;
        let made = Config::new(&Materials {
            certificate: &certificate,
            key: &key,
            ca: ca.as_deref(),
            crl: crl.as_deref(),
            client: self.client,
            named: self.named,
        });
        made.map_err(|why| {
            let path = match &why {
                Unusable::Certificate(_) | Unusable::Name => &self.certificate,
                Unusable::Key(_) | Unusable::Mismatch => &self.key,
                Unusable::Ca(_) | Unusable::NoCa => self.ca.as_ref().unwrap_or(&self.certificate),
                Unusable::Crl(_) => self.crl.as_ref().unwrap_or(&self.certificate),
            };
            Error::Tls { path: path.clone(), why }
        })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |error| Error::TlsFile { path: path.to_owned(), error };
    std::fs::read(path).map_err(wrong)
}
