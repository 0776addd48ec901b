//! Floor 6. `spindle serve`: flags into a broker, and its first and last lines in the log.
//!
//! What is promised is said at the start: where the data is, what an acknowledgement waits for,
//! who may come in, and which flag changes that. Absent on purpose: defaults of its own for
//! anything the library has a default for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use log::LevelFilter;

use super::{DAMAGED, FAILED, USAGE, complain, log_lines};
use crate::base::limits::Limits;
use crate::broker::{Broker, Builder, Error};
use crate::hub::message::Durability;
use crate::journal::{Report, Why};
use crate::os::signal::Signals;
use crate::proto::Speak;

/// Flags of `serve`.
#[derive(Args, Clone, Debug)]
pub(super) struct Serve {
    /// Where the journal is kept
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
    /// Where to listen, as protocol://host:port[?durability=disk|os|memory]; may be repeated
    #[arg(long, value_name = "URL", default_values = [LISTEN])]
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
    /// How much the log says: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
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

impl Default for Serve {
    fn default() -> Self {
        Self {
            data: DATA.into(),
            listen: vec![LISTEN.into()],
            users: None,
            allow_anonymous: false,
            durability: Level::Disk,
            salvage: false,
            limits: Vec::new(),
            log: LevelFilter::Info,
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
        log_lines::start(self.log);
        let limits = match limits(&self.limits) {
            Ok(limits) => limits,
            Err(why) => return complain(&why, USAGE),
        };
        let mut builder = Broker::builder().signals(signals).limits(limits);
        for url in &self.listen {
            builder = match listen(builder, url) {
                Ok(builder) => builder,
                Err(why) => return complain(&why, USAGE),
            };
        }
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
        match builder.build() {
            Ok(broker) => self.serve(broker),
            Err(e) => failed(&e),
        }
    }

    fn serve(&self, broker: Broker) -> u8 {
        if let Some(report) = broker.report() {
            tell(report);
        }
        for (place, url) in self.listen.iter().enumerate() {
            let bound = broker.local_addr(place);
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

/// `protocol://host:port[?durability=level]`.
fn listen(builder: Builder, url: &str) -> Result<Builder, String> {
    let wrong = |what: &str| format!("--listen {url}: {what}");
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| wrong("it is not protocol://host:port; spoken today: prx1"))?;
    let speak = match scheme {
        "prx1" => Speak::Prx1,
        _ => return Err(wrong(&format!("{scheme} is not spoken; spoken today: prx1"))),
    };
    let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
    let address = address.strip_suffix('/').unwrap_or(address);
    let mut level = None;
    for option in options.split('&').filter(|option| !option.is_empty()) {
        level = match option.split_once('=') {
            Some(("durability", name)) => {
                let known = Level::from_str(name, false);
                Some(known.map_err(|_| wrong("durability is disk, os or memory"))?)
            }
            _ => return Err(wrong(&format!("{option} is no option; there is durability"))),
        };
    }
    Ok(match level {
        Some(level) => builder.listen_at(address, speak, level.into()),
        None => builder.listen(address, speak),
    })
}

/// In the current directory, where a newcomer finds it.
const DATA: &str = "spindle-data";
/// The port the protocol has always had.
const LISTEN: &str = "prx1://127.0.0.1:52909";
