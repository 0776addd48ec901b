//! Floor 6. `spindle serve`: flags into a broker, and its first and last lines in the log.
//!
//! What is promised is said at the start: where the data is, what an acknowledgement waits for,
//! who may come in, and which flag changes that. Absent on purpose: defaults of its own for
//! anything the library has a default for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use log::LevelFilter;

use super::{DAMAGED, FAILED, USAGE, complain, log_lines, unit};
use crate::base::cidr::Cidr;
use crate::base::limits::Limits;
#[cfg(feature = "tls")]
use crate::broker::Tls;
use crate::broker::{Broker, Builder, Error};
use crate::hub::message::Durability;
use crate::journal::{Report, Why};
use crate::os::logging::Form;
use crate::os::signal::Signals;

/// Flags of `serve`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {
    /// Where the journal is kept
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
    /// Where to listen, as protocol://host:port[?durability=disk|os|memory&proxy=on] or unix:/path;
    /// protocols: mqtt, mqtts, ws, wss, prx1, prx1s, any, anys; may be repeated
    #[arg(long, value_name = "URL", default_values = LISTEN)]
    listen: Vec<String>,
    /// Users, groups and rules; without one every login is accepted, on loopback only
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Accept every login from other machines too
    #[arg(long)]
    allow_anonymous: bool,
    /// What an acknowledgement waits for
    #[arg(long, value_enum, default_value_t = Level::Disk)]
    durability: Level,
    /// Keep what can be kept of a damaged journal, instead of refusing it
    #[arg(long)]
    salvage: bool,
    /// Another bound than the default, e.g. packet_bytes_max=65536; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Certificate chain for mqtts and wss (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Issuers of client certificates (PEM); clients are asked for one
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// Revoked client certificates (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_ca")]
    tls_crl: Option<PathBuf>,
    /// Must clients have a certificate?
    #[cfg(feature = "tls")]
    #[arg(long, value_enum, value_name = "HOW", requires = "tls_ca")]
    tls_client_cert: Option<MustHave>,
    /// Which name of a client's certificate is the user's
    #[cfg(feature = "tls")]
    #[arg(long, value_enum, value_name = "NAME", requires = "tls_ca")]
    tls_identity: Option<Identity>,
    /// Proxies whose word about addresses is taken (PROXY header, X-Forwarded-For); may be repeated
    #[arg(long, value_name = "CIDR")]
    trusted_proxy: Vec<Cidr>,
    /// How much the log says: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
    /// How a line of the log looks; without one, as the journal of systemd wants it if the log goes
    /// there, else as text
    #[arg(long, value_enum, value_name = "FORM")]
    log_format: Option<LogForm>,
    /// Where the log goes instead of standard error; opened again on SIGUSR1
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// The flag's spelling of how lines look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum LogForm {
    /// Time, level, target, text and key=value
    Text,
    /// An object in each line
    Json,
    /// As the journal of systemd reads it
    Journald,
}

impl From<LogForm> for Form {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Text => Self::Text,
            LogForm::Json => Self::Json,
            LogForm::Journald => Self::Journald,
        }
    }
}

/// The flag's spelling of a durability.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    /// The record is on the device
    Disk,
    /// The record is with the operating system
    Os,
    /// Nothing: no journal is kept
    Memory,
}

/// The flag's spelling of what is asked of clients.
#[cfg(feature = "tls")]
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum MustHave {
    /// One that is shown must be good
    Optional,
    /// Nobody comes in without
    Required,
}

/// The flag's spelling of a name in a certificate.
#[cfg(feature = "tls")]
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Identity {
    /// The common name of its subject
    Subject,
    /// Its first alternative name
    San,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            data: DATA.into(),
            listen: LISTEN.map(Into::into).to_vec(),
            users: None,
            allow_anonymous: false,
            durability: Level::Disk,
            salvage: false,
            limits: Vec::new(),
            #[cfg(feature = "tls")]
            tls_cert: None,
            #[cfg(feature = "tls")]
            tls_key: None,
            #[cfg(feature = "tls")]
            tls_ca: None,
            #[cfg(feature = "tls")]
            tls_crl: None,
            #[cfg(feature = "tls")]
            tls_client_cert: None,
            #[cfg(feature = "tls")]
            tls_identity: None,
            trusted_proxy: Vec::new(),
            log: LevelFilter::Info,
            log_format: None,
            log_file: None,
        }
    }
}

impl Serve {
    pub(super) fn run(self) -> u8 {
        // Before the first thread, so that none of them is interrupted.
        let signals = match Signals::catch() {
            Ok(signals) => signals,
            Err(e) => return complain(&format!("cannot catch signals: {e}"), FAILED),
        };
        let (form, file) = (self.log_format.map(Into::into), self.log_file.clone());
        if let Err(why) = log_lines::start(self.log, form, file) {
            return complain(&why, FAILED);
        }
        let limits = match limits(&self.limits) {
            Ok(limits) => limits,
            Err(why) => return complain(&why, USAGE),
        };
        let mut builder = Broker::builder().signals(signals).limits(limits);
        for url in &self.listen {
            builder = match url.parse() {
                Ok(listen) => builder.listen_to(listen),
                Err(why) => return complain(&format!("--listen {why}"), USAGE),
            };
        }
        for block in &self.trusted_proxy {
            builder = builder.trust_proxy(*block);
        }
        builder = self.tls(builder);
        log::info!("spindle {} starting", env!("CARGO_PKG_VERSION"));
        match self.durability {
            Level::Memory => log::info!("no data directory durability=memory"),
            level => log::info!("data={} durability={}", self.data.display(), level.name()),
        }
        builder = builder
            .journal(self.data.clone(), self.durability.into())
            .salvage(self.salvage)
            .allow_anonymous(self.allow_anonymous);
        if let Some(users) = &self.users {
            builder = builder.users(users);
        }
        builder = match unit::of_systemd(builder) {
            Ok(builder) => builder,
            Err(why) => return complain(&why, FAILED),
        };
        match builder.build() {
            Ok(broker) => self.serve(broker),
            Err(e) => failed(&e),
        }
    }

    #[cfg(feature = "tls")]
    fn tls(&self, builder: Builder) -> Builder {
        use crate::link::certificate::Named;
        use crate::link::tls::ClientCert;

        let Some((certificate, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) else {
            return builder;
        };
        let mut tls = Tls::new(certificate, key);
        if let Some(ca) = &self.tls_ca {
            // Whoever names issuers and says no more wants nobody else's clients.
            let client = match self.tls_client_cert {
                Some(MustHave::Optional) => ClientCert::Optional,
                Some(MustHave::Required) | None => ClientCert::Required,
            };
            tls = tls.clients(ca, client);
        }
        if let Some(crl) = &self.tls_crl {
            tls = tls.revoked(crl);
        }
        if self.tls_identity == Some(Identity::San) {
            tls = tls.named(Named::Alternative);
        }
        builder.tls(tls)
    }

    #[cfg(not(feature = "tls"))]
    fn tls(&self, builder: Builder) -> Builder {
        builder
    }

    fn serve(&self, broker: Broker) -> u8 {
        if let Some(report) = broker.report() {
            tell(report);
        }
        for (place, url) in self.listen.iter().enumerate() {
            let bound = broker.local(place);
            let bound = bound.map(|a| a.to_string()).unwrap_or_default();
            log::info!("listening url={url} address={bound}");
        }
        if self.users.is_none() {
            let where_from =
                if self.allow_anonymous { "from anywhere" } else { "on loopback only" };
            log::warn!(
                "no users file: every login is accepted, {where_from}; --users FILE changes that"
            );
        }
        match broker.run() {
            Ok(()) => {
                log::info!("stopped");
                0
            }
            Err(e) => failed(&e),
        }
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }
}

impl From<Level> for Durability {
    fn from(level: Level) -> Self {
        match level {
            Level::Disk => Self::Disk,
            Level::Os => Self::Os,
            Level::Memory => Self::Memory,
        }
    }
}

fn failed(e: &Error) -> u8 {
    log::error!("{e}");
    match e {
        Error::Journal(refusal) if refusal.why == Why::Damaged => damaged(),
        Error::Journal(refusal) if refusal.why == Why::Missing => damaged(),
        _ => FAILED,
    }
}

fn damaged() -> u8 {
    log::error!("nothing was changed; --salvage copies what is damaged aside and keeps the rest");
    DAMAGED
}

/// What the journal told.
fn tell(report: &Report) {
    log::info!(
        "journal read segments={} records={} bytes={}",
        report.segments,
        report.records,
        report.bytes
    );
    if let Some(cut) = &report.cut {
        log::warn!(
            "cut {} records / {} bytes at segment {} offset {}, never acknowledged",
            cut.records,
            cut.bytes,
            cut.segment,
            cut.offset
        );
    }
    let Some(salvaged) = &report.salvaged else { return };
    log::warn!("salvaged kept={} lost={} stretches", salvaged.kept, salvaged.lost.len());
    for copy in &salvaged.copies {
        log::warn!("salvaged copy={copy}");
    }
    for (first, last) in &salvaged.lost {
        log::warn!("salvaged lost records {first} to {last}");
    }
}

/// The defaults, but for these.
fn limits(given: &[String]) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for pair in given {
        let wrong = |what: &str| format!("--limit {pair}: {what}");
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("it is not NAME=VALUE"))?;
        limits.set(name.trim(), value.trim()).map_err(|why| wrong(&why))?;
    }
    Ok(limits)
}

/// In the current directory, where a newcomer finds it.
const DATA: &str = "spindle-data";
/// The ports the protocols have always had.
const LISTEN: [&str; 2] = ["prx1://127.0.0.1:52909", "mqtt://127.0.0.1:1883"];
