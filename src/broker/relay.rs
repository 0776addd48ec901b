//! Floor 6. A relay as it is to be, and what its command needs of a broker besides: its figures
//! before and after.
//!
//! Whom upstreams within TLS are believed by is read here with every start and reload. Absent on
//! purpose: the recovery file, which that command reads and writes.

use std::path::PathBuf;

use super::{Broker, Error};
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::relay::{Away, Terms};
use crate::link::tls::Toward;
use crate::os::dial::Upstream;

/// A relay, as it is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Relaying {
    /// How it goes about it.
    pub(super) terms: Terms,
    /// Where to.
    pub(super) upstreams: Vec<Upstream>,
    trust: Trust,
}

/// By whom upstreams within TLS are believed, and what they are shown: files that can be read
/// again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Trust {
    /// Their issuers; without it those that this machine trusts.
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// What they are called in their certificates, if not by their host.
    name: Option<String>,
}

impl Relaying {
    /// One more thing to say about a relay. Nothing: it is nothing about a relay.
    pub(super) fn option(&mut self, name: &str, value: &str) -> Option<Result<(), &'static str>> {
        let Self { terms, trust, .. } = self;
        let number = || value.parse::<u64>().map_err(|_| "it is a whole number");
        let set = match (name, value) {
            ("strict", "on" | "off") => {
                terms.strict = value == "on";
                Ok(())
            }
            ("strict", _) => Err("strict is on or off"),
            ("away", "close" | "nak") => {
                terms.away = if value == "nak" { Away::Nak } else { Away::Close };
                Ok(())
            }
            ("away", _) => Err("away is close or nak"),
            ("connect_ms", _) => number().map(|ms| terms.connect_ms = ms.max(1)),
            ("wait_ms", _) => number().map(|ms| terms.wait_ms = ms),
            ("answer_ms", _) => number().map(|ms| terms.answer_ms = ms),
            ("idle_ms", _) => number().map(|ms| terms.idle_ms = ms),
            ("check_ms", _) => number().map(|ms| terms.check_ms = ms),
            ("rates", "second" | "milli") => {
                terms.milli = value == "milli";
                Ok(())
            }
            ("rates", _) => Err("rates is second or milli"),
            ("upstream_connections", _) => {
                number().map(|n| terms.open_max = u32::try_from(n.max(1)).unwrap_or(u32::MAX))
            }
            ("spare_connections", _) => {
                number().map(|n| terms.spare_max = usize::try_from(n).unwrap_or(usize::MAX))
            }
            ("line_bytes", _) => {
                number().map(|n| terms.line_max = usize::try_from(n.max(16)).unwrap_or(usize::MAX))
            }
            ("forward_ca" | "forward_cert" | "forward_key" | "forward_name", "") => {
                Err("it is said without a value")
            }
            ("forward_ca", _) => set(&mut trust.ca, value.into()),
            ("forward_cert", _) => set(&mut trust.certificate, value.into()),
            ("forward_key", _) => set(&mut trust.key, value.into()),
            ("forward_name", _) => set(&mut trust.name, value.to_owned()),
            _ => return None,
        };
        Some(set)
    }

    /// How each upstream is spoken to, where that is within TLS.
    pub(super) fn toward(&self, place: impl Fn() -> String) -> Result<Vec<Option<Toward>>, Error> {
        if self.upstreams.iter().all(|upstream| upstream.host().is_none()) {
            return Ok(Vec::new());
        }
        self.trust.read(&self.upstreams, &place)
    }
}

fn set<T>(it: &mut Option<T>, to: T) -> Result<(), &'static str> {
    *it = Some(to);
    Ok(())
}

impl Trust {
    #[cfg(not(feature = "tls"))]
    fn read(&self, _: &[Upstream], at: &dyn Fn() -> String) -> Result<Vec<Option<Toward>>, Error> {
        let Self { ca, certificate, key, name } = self;
        log::debug!("not read: {ca:?}, {certificate:?}, {key:?}, {name:?}");
        Err(Error::NoTls { address: at() })
    }

    #[cfg(feature = "tls")]
    fn read(
        &self,
        upstreams: &[Upstream],
        place: &dyn Fn() -> String,
    ) -> Result<Vec<Option<Toward>>, Error> {
        use crate::link::tls::{Trusted, Unusable};
        use std::io;

        let wrong = |why: String| Error::Forward { address: place(), error: io::Error::other(why) };
        let machines = self.ca.is_none();
        let listed = crate::client::mqtt::machines_issuers().map(PathBuf::from);
        let ca_file = self.ca.clone().or(listed).ok_or_else(|| {
            wrong("this machine has no list of issuers: name them (forward_ca=FILE)".into())
        })?;
        let ca = super::tls::read(&ca_file)?;
        let own = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some((super::tls::read(certificate)?, super::tls::read(key)?))
            }
            _ => return Err(wrong("forward_cert and forward_key belong together".into())),
        };
        let own = own.as_ref().map(|(certificate, key)| (&certificate[..], &key[..]));
        let trusted = Trusted { ca: &ca, machines, own };
        let toward = |upstream: &Upstream| {
            let Some(host) = upstream.host() else { return Ok(None) };
            let name = self.name.as_deref().unwrap_or(host);
            Toward::new(&trusted, name).map(Some).map_err(|why| match &why {
                Unusable::Certificate(_) => self.at_fault(self.certificate.as_ref(), why),
                Unusable::Key(_) | Unusable::Mismatch => self.at_fault(self.key.as_ref(), why),
                Unusable::Name => wrong(format!("{upstream}: {why}")),
                _ => Error::Tls { path: ca_file.clone(), why },
            })
        };
        upstreams.iter().map(toward).collect()
    }

    #[cfg(feature = "tls")]
    fn at_fault(&self, path: Option<&PathBuf>, why: crate::link::tls::Unusable) -> Error {
        Error::Tls { path: path.or(self.ca.as_ref()).cloned().unwrap_or_default(), why }
    }
}

impl Broker {
    /// Take up requests and answers of the last ten seconds, the newest first, as of some second
    /// since 1970, where nothing is known of them yet.
    pub(crate) fn recall_relay(&mut self, at: u64, counts: &[(u64, u64)]) {
        let now = self.parts.clock.now();
        let Some(relay) = self.parts.engine.hub_mut().relays.get_mut(0) else { return };
        // A clock that was set back: the last seconds were at some time, and not now.
        let Some(ago) = (now.wall / 1_000).checked_sub(at) else { return };
        if relay.meter.total() > 0 {
            return;
        }
        for (second, (asked, answered)) in counts.iter().enumerate() {
            let [asked, answered] =
                [asked, answered].map(|n| u32::try_from(*n).unwrap_or(u32::MAX));
            relay.meter.recall_second(now, ago.saturating_add(second as u64), asked, answered);
        }
    }

    /// Look at it once more when it has ended.
    pub(crate) fn at_end(&mut self, look: impl FnOnce(Now, &Hub) + Send + 'static) {
        self.parts.at_end = Some(Box::new(look));
    }
}
