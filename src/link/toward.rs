//! Floor 1. TLS on the way out: whom a connection that we opened believes, and what it shows.
//!
//! The other end must show a certificate of a trusted issuer for the name it is called by; the
//! time it is judged by is the turn's. Absent on purpose: names that are looked up, and a way to
//! believe just anybody.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore};

use super::tls::{Unusable, Wall, certificates, key};

/// What it is made of, as PEM.
#[derive(Clone, Copy, Debug)]
pub struct Trusted<'a> {
    /// Issuers that are believed; what cannot be understood of a machine's own list is left out.
    pub ca: &'a [u8],
    /// Is that the machine's own list?
    pub machines: bool,
    /// Our certificate and its private key, for who asks.
    pub own: Option<(&'a [u8], &'a [u8])>,
}

/// How one other end is spoken to.
#[derive(Clone)]
pub struct Toward {
    pub(super) client: Arc<ClientConfig>,
    pub(super) wall: Arc<Wall>,
    pub(super) name: ServerName<'static>,
}

impl Toward {
    /// To whoever is called so, or why that cannot be.
    pub fn new(trusted: &Trusted<'_>, name: &str) -> Result<Self, Unusable> {
        let unusable = |e: &dyn fmt::Display| Unusable::Ca(e.to_string());
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Unusable::Name)?;
        let mut roots = RootCertStore::empty();
        let issuers = certificates(trusted.ca).map_err(Unusable::Ca)?;
        if trusted.machines {
            roots.add_parsable_certificates(issuers);
        } else {
            for issuer in issuers {
                roots.add(issuer).map_err(|e| unusable(&e))?;
            }
        }
        let wall = Arc::new(Wall::default());
        let provider = Arc::new(ring::default_provider());
        let clock = Arc::<Wall>::clone(&wall);
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&e))?
            .with_root_certificates(roots);
        let client = match trusted.own {
            None => builder.with_no_client_auth(),
            Some((certificate, own)) => {
                let chain = certificates(certificate).map_err(Unusable::Certificate)?;
                let own = key(own).map_err(Unusable::Key)?;
                let made = builder.with_client_auth_cert(chain, own);
                made.map_err(|e| match e {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unusable::Mismatch,
                    other => Unusable::Key(other.to_string()),
                })?
            }
        };
        Ok(Self { client: Arc::new(client), wall, name })
    }
}

impl fmt::Debug for Toward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toward").field("name", &self.name).finish_non_exhaustive()
    }
}
