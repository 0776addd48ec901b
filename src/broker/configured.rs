//! Floor 6. A broker from a configuration: settings become what a builder is told one by one.
//!
//! What is not the broker's (the log, the way in for administrators) stays with whoever read the
//! configuration. Absent on purpose: reading configurations (`config`).

use std::path::Path;

use super::*;
use crate::config::{ServedListener, Settings, TlsFiles};

impl Builder {
    /// Everything that settings say about a broker.
    #[must_use]
    pub fn configured(self, settings: &Settings) -> Self {
        let mut builder = self
            .limits(settings.limits.clone())
            .journal(settings.data.clone(), settings.durability)
            .salvage(settings.salvage)
            .allow_anonymous(settings.allow_anonymous);
        for listener in &settings.listeners {
            builder = builder.listen_to(listen_of(listener));
        }
        for block in &settings.trusted_proxies {
            builder = builder.trust_proxy(*block);
        }
        if let Some(users) = &settings.users {
            builder = builder.users(users);
        }
        if let Some(threads) = settings.workers {
            builder = builder.workers(threads);
        }
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
    /// What a reload takes over of settings.
    #[must_use]
    pub fn of(settings: &Settings, told: Vec<String>) -> Self {
        Self {
            listen: settings.listeners.iter().map(listen_of).collect(),
            trusted: settings.trusted_proxies.clone(),
            #[cfg(feature = "tls")]
            tls: settings.tls.as_ref().map(tls_of),
            users: settings.users.clone(),
            anonymous: settings.allow_anonymous,
            limits: settings.limits.clone(),
            log: Some(settings.log.level),
            told,
            taken: Arc::default(),
        }
    }
}

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
