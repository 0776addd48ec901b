//! Floor 6. `spindle foo-proxy`: a relay and its figures, and nothing else of a broker.
//!
//! Flags and defaults are the original's. The counters are kept in a journal beside the recovery
//! file, so they survive the process; the file itself is read at the start, when there is no
//! journal yet, and written at the end, for whoever reads it. Absent on purpose: users, topics, an
//! administration.

use std::path::{Path, PathBuf};

use crate::broker::{Broker, Listen};
use crate::hub::message::Durability;
use crate::os::signal::Signals;
use crate::proto::Speak;

use super::super::{FAILED, USAGE, complain, log_lines, say};
use super::recovery::{self, Seconds};
use super::{everywhere, or_env};

/// Forward a line protocol to a server, and count what passes
#[derive(clap::Args, Debug)]
pub(crate) struct Proxy {
    /// Where clients come [default: :8002]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where to forward to, one or several with commas between them [default: :8001]
    #[arg(long, value_name = "ADDRESS")]
    forward: Option<String>,
    /// Where figures and health are asked for [default: 0.0.0.0:8088]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// The file with the last ten seconds [default: .data/recovery.json]
    #[arg(long, value_name = "FILE")]
    recovery_path: Option<String>,
    /// Refuse malformed lines instead of passing them on
    #[arg(long)]
    strict: bool,
    /// What clients are told while no upstream is there: close or nak [default: close]
    #[arg(long, value_name = "WORD")]
    away: Option<String>,
    /// Rates by the second, or by the millisecond as the original has them [default: second]
    #[arg(long, value_name = "WORD")]
    rates: Option<String>,
    /// Anything else there is to say about the relay, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Proxy {
    pub(crate) fn run(self) -> u8 {
        let signals = match Signals::catch() {
            Ok(signals) => signals,
            Err(e) => return complain(&format!("cannot catch signals: {e}"), FAILED),
        };
        if let Err(e) = log_lines::start(&crate::config::Settings::default().log) {
            return complain(&e, FAILED);
        }
        let http = or_env(self.http.clone(), "http", "0.0.0.0:8088");
        let path = or_env(self.recovery_path.clone(), "recovery-path", ".data/recovery.json");
        let listen = match self.listen() {
            Ok(listen) => listen,
            Err(why) => return complain(&why, USAGE),
        };
        let path = PathBuf::from(path);
        let folder = path.parent().unwrap_or_else(|| Path::new("")).join("journal");
        if let Err(e) = std::fs::create_dir_all(&folder) {
            return complain(&format!("{}: {e}", folder.display()), FAILED);
        }
        let builder = Broker::builder().signals(signals).journal(folder, Durability::Os);
        let builder = builder.listen_to(listen);
        let builder = builder.listen_to(Listen::new(everywhere(&http), Speak::Stats));
        match builder.build() {
            Ok(broker) => serve(broker, &path),
            Err(e) => complain(&e.to_string(), FAILED),
        }
    }

    fn listen(&self) -> Result<Listen, String> {
        let at = or_env(self.listen.clone(), "listen", ":8002");
        let to = or_env(self.forward.clone(), "forward", ":8001");
        let mut listen = Listen::new(everywhere(&at), Speak::Foo);
        for one in to.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            listen = listen.forward(one).map_err(|why| format!("-forward {one}: {why}"))?;
        }
        let mut set = |name: &str, value: &str| {
            let told = listen.clone().option(name, value);
            told.map(|told| listen = told).map_err(|why| format!("-{name} {value}: {why}"))
        };
        if self.strict || or_env(None, "strict", "off") == "on" {
            set("strict", "on")?;
        }
        set("away", &or_env(self.away.clone(), "away", "close"))?;
        set("rates", &or_env(self.rates.clone(), "rates", "second"))?;
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            set(name, value)?;
        }
        log::info!("Forwarding from {at} to {to}");
        Ok(listen)
    }
}

fn serve(mut broker: Broker, path: &Path) -> u8 {
    match recovery::read(path) {
        Ok(Some(seconds)) => broker.recall_relay(seconds.at, &seconds.counts),
        Ok(None) => {}
        // Without it everything begins at nothing, which is no reason not to begin.
        Err(why) => log::warn!("{why}; its ten seconds are not taken up"),
    }
    for place in 0.. {
        let Some(bound) = broker.local(place) else { break };
        say(&format!("{} {bound}", ["Relaying at", "Figures at"].get(place).unwrap_or(&"At")));
    }
    let (tell, told) = crossbeam_channel::bounded(1);
    broker.at_end(move |now, hub| {
        if let Some(relay) = hub.relays.get(0) {
            // Nobody else sends, so there is room.
            let _ = tell.send(Seconds { at: now.wall / 1_000, counts: relay.meter.seconds(now) });
        }
    });
    let ended = broker.run();
    if let Ok(seconds) = told.try_recv()
        && let Err(e) = recovery::write(path, &seconds)
    {
        log::warn!("{}: {e}", path.display());
    }
    match ended {
        Ok(()) => 0,
        Err(e) => complain(&e.to_string(), FAILED),
    }
}
