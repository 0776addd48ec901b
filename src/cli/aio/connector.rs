//! Floor 6. `spindle connector`: a connector for the programs of this machine, until it is ended.
//!
//! It does what a configuration of the original says of a client or a server, and says in the log
//! what it does not do of that. Programs find it in the folder that the configuration names. Absent
//! on purpose: a server that others than connectors reach, which is `spindle serve`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use log::LevelFilter;

use crate::client::aio::connector;
use crate::client::aio::connector::{Serving, Setup};
use crate::config::Log;
use crate::os::{logging, sys};
use crate::proto::aio::errand::Enrol;

use super::super::{exit, log_lines};
use super::config::{self, Config};
use super::server::Kept;
use super::{Pace, by_chance, complain, print, server};

/// Flags of `connector`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Connector {
    /// A configuration of aioconnectors, of a client or of a server
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// The folder for sockets and for what is kept, if not that of the configuration
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The longest message that is taken, in bytes; files do not count
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    message_max: usize,
    /// Which clients a server gives a certificate or a token, if they have none: anyone, nobody, or
    /// those whose names stand in this file, one in a line
    #[arg(long, value_name = "WHO", default_value = "nobody", value_parser = server::enrol)]
    enrol: Enrol,
}

impl Connector {
    /// Run it until it is ended.
    pub(in super::super) fn run(&self) -> u8 {
        let mut pace = Pace::begin();
        let config = match Config::read_any(&self.config) {
            Ok(config) => config,
            Err(why) => return wrong(&why),
        };
        let level = level(config.level.as_deref());
        if let Err(why) = log_lines::start(&Log { level, format: None, file: None }) {
            return wrong(&why);
        }
        for remark in &config.remarks {
            log::warn!("{}: {remark}", self.config.display());
        }
        let setup = self.setup(config);
        let serves = setup.serves.is_some();
        let name = if serves { setup.server.clone() } else { setup.name.clone() };
        let sender = setup.sender();
        if serves && let Err(e) = sys::raise_descriptors() {
            log::warn!("there may be few clients: {e}");
        }
        let running = match connector::Connector::start(setup) {
            Ok(running) => running,
            Err(error) => return wrong(&error.to_string()),
        };
        log::info!("connector {name} is there socket={}", sender.display());
        print::say(&format!("connector {name} is there"));
        let mut online = false;
        while !running.is_over() && pace.pause(STEP) {
            if !serves && online != running.is_online() {
                online = !online;
                log::info!("the server is {}", if online { "there" } else { "away" });
            }
        }
        drop(running);
        print::say("Connector stopped !");
        exit::DONE
    }

    fn setup(&self, config: Config) -> Setup {
        let server = config.server.unwrap_or_else(|| config::USUAL.to_owned());
        let name = config.name.unwrap_or_else(by_chance);
        let directory = self.directory.clone().or(config.directory);
        let directory = directory.unwrap_or_else(config::default_dir);
        let setup = match config.serves {
            None => Setup::new(&server, &name, &directory),
            Some(told) => {
                let names = Kept::of(&config.security, self.enrol.clone());
                let serving = Serving {
                    names: names.map(|names| Arc::new(names) as _),
                    central_broker: told.central_broker,
                    lists: told.lists,
                    prompt: Some(|socket| {
                        // Where it cannot be told so it decides by itself, and is as right.
                        let _ = sys::acknowledge_now(socket);
                    }),
                    ..Serving::new(&told.certificates)
                };
                Setup::server(&server, &directory, serving)
            }
        };
        let types = |named: Vec<String>, usual: Vec<String>| match named.is_empty() {
            true => usual,
            false => named,
        };
        Setup {
            security: config.security,
            send_types: types(config.send, setup.send_types.clone()),
            receive_types: types(config.receive, setup.receive_types.clone()),
            topics: config.topics,
            folders: config.folders,
            keep_sent: config.keep_sent,
            keep_received: config.keep_received,
            kept_max: config.kept_max.unwrap_or(setup.kept_max),
            ignored: config.ignored,
            send_more: !config.send_once,
            receive_more: !config.receive_once,
            keep_alive: config.keep_alive.map(Duration::from_secs),
            dial: config.connect_s.map_or(setup.dial, Duration::from_secs),
            file_max: config.file_max.unwrap_or(setup.file_max),
            message_max: self.message_max,
            level: Some(|level| {
                // All is a target that is always known.
                let _ = logging::set_level("all", level, 0);
            }),
            ..setup
        }
    }
}

fn wrong(why: &str) -> u8 {
    complain(&format!("Error: {why}"));
    exit::CLIENT
}

/// As the original calls them.
fn level(word: Option<&str>) -> LevelFilter {
    match word.map(str::to_ascii_uppercase).as_deref() {
        Some("DEBUG") => LevelFilter::Debug,
        Some("WARNING" | "WARN") => LevelFilter::Warn,
        Some("ERROR" | "CRITICAL") => LevelFilter::Error,
        _ => LevelFilter::Info,
    }
}

/// How often is looked whether it is over.
const STEP: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        it: Connector,
    }

    #[test]
    fn nobody_is_given_anything_until_somebody_says_who() {
        let enrol =
            |words: &[&str]| Words::parse_from([&["it", "c.json"], words].concat()).it.enrol;
        assert_eq!(enrol(&[]), Enrol::Nobody);
        assert_eq!(enrol(&["--enrol", "anyone"]), Enrol::Anyone);
        assert_eq!(enrol(&["--enrol", "/names"]), Enrol::Listed("/names".to_owned()));
    }
}
