//! Floor 6. `spindle serve`: a configuration into a broker, and its first and last lines in the
//! log.
//!
//! What is promised is said at the start: where the data is, what an acknowledgement waits for,
//! who may come in, and which key changes that. Absent on purpose: defaults of its own.

use super::flags::Flags;
use super::{DAMAGED, FAILED, complain, complain_of, log_lines, unit};
use crate::broker::{Broker, Error};
use crate::config::{self, Config, Settings};
use crate::hub::message::Durability;
use crate::journal::{Report, Why};
use crate::os::mmap::Directory;
use crate::os::signal::Signals;
use crate::os::sys;

/// Run the broker in the foreground.
pub(super) fn run(flags: &Flags) -> u8 {
    // Where nobody can be told, the heap is as it is. A program of somebody else's has its own.
    let _ = sys::even_heap();
    // Before the first thread, so that none of them is interrupted.
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(e) => return complain(&format!("cannot catch signals: {e}"), FAILED),
    };
    let sources = flags.sources();
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(wrong) => return complain_of(&wrong),
    };
    let settings = &config.settings;
    if let Err(e) = log_lines::start(&settings.log) {
        return complain(&e, FAILED);
    }
    log::info!("spindle {} starting", env!("CARGO_PKG_VERSION"));
    for file in &config.files {
        log::info!("configuration file={}", file.display());
    }
    match settings.durability {
        Durability::Memory => {
            log::info!("no data directory and no admin socket durability=memory");
        }
        level => log::info!("data={} durability={}", settings.data.display(), name(level)),
    }
    let builder = Broker::builder().signals(signals).configured(&config);
    let builder = builder.reloader(config::reloader(sources, config.clone()));
    let builder = match unit::of_systemd(builder) {
        Ok(builder) => builder,
        Err(why) => return complain(&why, FAILED),
    };
    match builder.build() {
        Ok(broker) => serve(settings, broker),
        Err(e) => failed(settings, &e),
    }
}

fn serve(settings: &Settings, broker: Broker) -> u8 {
    if let Some(report) = broker.report() {
        tell(settings, report);
    }
    for (place, listener) in settings.listeners.iter().enumerate() {
        let bound = broker.local(place);
        let bound = bound.map(|a| a.to_string()).unwrap_or_default();
        log::info!("listening url={} address={bound}", listener.url);
    }
    for place in settings.listeners.len().. {
        let Some(bound) = broker.local(place) else { break };
        log::info!("administrators come in at address={bound}");
    }
    if settings.users.is_none() {
        let open = settings.allow_anonymous;
        let where_from = if open { "from anywhere" } else { "on loopback only" };
        log::warn!(
            "no users file: every login is accepted, {where_from}; --users FILE changes that, or \
             users = \"FILE\" in the configuration"
        );
    }
    match broker.run() {
        Ok(()) => {
            log::info!("stopped");
            0
        }
        Err(e) => failed(settings, &e),
    }
}

fn name(level: Durability) -> &'static str {
    match level {
        Durability::Disk => "disk",
        Durability::Os => "os",
        Durability::Memory => "memory",
    }
}

fn failed(settings: &Settings, e: &Error) -> u8 {
    log::error!("{e}");
    match e {
        Error::Journal(refusal) if matches!(refusal.why, Why::Damaged | Why::Missing) => {
            let file = Directory::segment_path(&settings.data, refusal.segment);
            log::error!("file={} offset={}", file.display(), refusal.offset);
            log::error!(
                "nothing was changed; --salvage copies what is damaged aside and keeps the rest"
            );
            DAMAGED
        }
        _ => FAILED,
    }
}

/// What the journal told.
fn tell(settings: &Settings, report: &Report) {
    log::info!(
        "journal read segments={} records={} bytes={}",
        report.segments,
        report.records,
        report.bytes
    );
    if let Some(cut) = &report.cut {
        log::warn!(
            "cut {} records / {} bytes at segment {} offset {}, never acknowledged file={}",
            cut.records,
            cut.bytes,
            cut.segment,
            cut.offset,
            Directory::segment_path(&settings.data, cut.segment).display()
        );
    }
    let Some(salvaged) = &report.salvaged else { return };
    log::warn!("salvaged kept={} lost={} records at least", salvaged.kept, salvaged.lost_records());
    for copy in &salvaged.copies {
        log::warn!("salvaged copy={copy}");
    }
    if let Some(first) = salvaged.lost_before {
        log::warn!("salvaged lost records before {first}, nobody knows how many");
    }
    for (first, last) in &salvaged.lost {
        log::warn!("salvaged lost records {first} to {last}");
    }
    if let Some(last) = salvaged.lost_after {
        log::warn!("salvaged lost records after {last}, if there were any: nobody knows how many");
    }
}
