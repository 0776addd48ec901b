//! Floor 6. A broker from a configuration: settings become what a builder is told one by one.
//!
//! Administrators come in at two more listeners: one in the network, and a socket beside the data,
//! whose mode says who may. What is not the broker's (the log) stays with whoever read the
//! configuration. Absent on purpose: reading configurations (`config`).

use std::path::Path;

use super::*;
use crate::config::{Config as Configuration, ServedListener, Settings, TlsFiles};

impl Builder {
    /// Everything that a configuration says about a broker.
    #[must_use]
    pub fn configured(self, config: &Configuration) -> Self {
        let settings = &config.settings;
        let mut builder = self
            .limits(settings.limits.clone())
            .journal(settings.data.clone(), settings.durability)
            .salvage(settings.salvage)
            .allow_anonymous(settings.allow_anonymous);
        for listen in listeners_of(settings) {
            builder = builder.listen_to(listen);
        }
        for block in &settings.trusted_proxies {
            builder = builder.trust_proxy(*block);
        }
        for plan in &settings.realms {
            builder = builder.realm(plan.clone());
        }
        if let Some(users) = &settings.users {
            builder = builder.users(users);
        }
        if let Some(threads) = settings.workers {
            builder = builder.workers(threads);
        }
        builder = builder.tuning(settings.tuning.clone()).admin(settings.admin.admins());
        builder.shown = Bytes::from(config.json(true));
        builder.shared_tls(settings.tls.as_ref())
    }

    #[cfg(feature = "tls")]
    fn shared_tls(self, files: Option<&TlsFiles>) -> Self {
        match files {
            Some(files) => self.tls(tls_of(files)),
            None => self,
        }
    }

    #[cfg(not(feature = "tls"))]
    fn shared_tls(self, _: Option<&TlsFiles>) -> Self {
        self
    }
}

impl Renewed {
    /// What a reload takes over of a configuration.
    #[must_use]
    pub fn of(config: &Configuration, told: Vec<String>) -> Self {
        let settings = &config.settings;
        Self {
            listen: listeners_of(settings),
            trusted: settings.trusted_proxies.clone(),
            #[cfg(feature = "tls")]
            tls: settings.tls.as_ref().map(tls_of),
            users: settings.users.clone(),
            anonymous: settings.allow_anonymous,
            limits: settings.limits.clone(),
            log: Some(settings.log.level),
            admins: settings.admin.admins(),
            shown: Bytes::from(config.json(true)),
            told,
            taken: Arc::default(),
        }
    }
}

/// The listeners of clients, and then those of administrators.
fn listeners_of(settings: &Settings) -> Vec<Listen> {
    let mut all: Vec<Listen> = settings.listeners.iter().map(listen_of).collect();
    if settings.durability != Durability::Memory {
        let beside = settings.data.join(ADMIN_SOCKET);
        all.push(Listen::unix(beside, Speak::Http).mode(0o600).dispensable());
    }
    if let Some(url) = &settings.admin.listen
        && let Ok(listen) = url.parse::<Listen>()
    {
        // Where it is by default, another broker of this machine may have come first.
        all.push(if url == ADMIN_DEFAULT { listen.dispensable() } else { listen });
    }
    all
}

/// The name of the socket in the data folder.
const ADMIN_SOCKET: &str = "admin.sock";
/// Where administrators come in when nobody says where.
const ADMIN_DEFAULT: &str = "http://127.0.0.1:18083";

/// A listener, with its own certificate where it has one.
#[cfg(feature = "tls")]
pub(super) fn listen_of(listener: &ServedListener) -> Listen {
    let listen = listener.listen.clone().connections(listener.connections_max);
    match &listener.tls {
        Some(files) => listen.tls_by(tls_of(files)),
        None => listen,
    }
}

/// A listener; without a certificate, since there is no TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn listen_of(listener: &ServedListener) -> Listen {
    listener.listen.clone().connections(listener.connections_max)
}

#[cfg(feature = "tls")]
pub(super) fn tls_of(files: &TlsFiles) -> Tls {
    use crate::link::certificate::Named;
    use crate::link::tls::ClientCert;

    let mut tls = Tls::new(&files.cert, &files.key);
    if let Some(ca) = &files.ca {
        let client = if files.required { ClientCert::Required } else { ClientCert::Optional };
        tls = tls.clients(ca, client);
    }
    if let Some(crl) = &files.crl {
        tls = tls.revoked(crl);
    }
    if files.alternative { tls.named(Named::Alternative) } else { tls }
}

/// Read every file that settings name as a start would, and change nothing: all that is wrong.
#[must_use]
pub fn try_files(settings: &Settings) -> Vec<Error> {
    let mut wrong = Vec::new();
    if let Some(users) = &settings.users {
        wrong.extend(users::try_file(users));
    }
    try_tls(settings, &mut wrong);
    wrong
}

#[cfg(feature = "tls")]
fn try_tls(settings: &Settings, wrong: &mut Vec<Error>) {
    let own = settings.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let mut seen: Vec<&TlsFiles> = Vec::new();
    for files in settings.tls.iter().chain(own) {
        if !seen.contains(&files) {
            seen.push(files);
            wrong.extend(tls_of(files).load().err());
        }
    }
    wrong.extend(settings.listeners.iter().filter_map(|it| it.listen.certified().err()));
}

#[cfg(not(feature = "tls"))]
fn try_tls(settings: &Settings, wrong: &mut Vec<Error>) {
    let wanted = settings.listeners.iter().filter(|listener| listener.listen.wants_tls());
    wrong.extend(wanted.map(|listener| Error::NoTls { address: listener.listen.place() }));
}

/// What is doubtful in the users file that settings name, though it would be taken.
#[must_use]
pub fn doubts(path: &Path) -> Vec<String> {
    users::doubts(path)
}
