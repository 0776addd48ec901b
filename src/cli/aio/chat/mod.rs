//! Floor 6. `spindle aio chat`: two who talk, one of whom has called the other.
//!
//! Either end may be the original's (`python3 -m aioconnectors chat`). Both sides are shown the
//! fingerprint of the certificate of the one who was called; who calls remembers it, and is told of
//! another. What the other side says is printed so that no terminal obeys it, and its files go
//! below a folder, where they replace nothing. Reading order: `line` (what is typed), `known`
//! (fingerprints), `parts`, `landing`, `sending` (files), `progress`, `room` (who is there and what
//! happens), then the flags here. Absent on purpose: handing a shell of this machine to the other
//! side (`--exec` of the original), and talking to more than one.

mod known;
mod landing;
mod line;
mod parts;
mod progress;
mod room;
mod sending;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::client::aio::{Builder, Client, Error, Fingerprint, Host, Security};

use super::super::exit;
use super::{Link, Pace, STEP, config::Config, print};
use known::{Identity, Known};
use room::Room;

/// Flags of `aio chat`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Chat {
    /// Call whoever waits there: HOST, or HOST:PORT. Without it, wait for somebody to call; -L does
    /// not count here
    #[arg(long, value_name = "HOST")]
    target: Option<String>,
    /// The port to call, or to wait at
    #[arg(long, value_name = "PORT", default_value_t = 10_673)]
    port: u16,
    /// Wait at this address of the machine only
    #[arg(
        long,
        value_name = "IP",
        default_value = "0.0.0.0",
        alias = "bind_server_ip",
        conflicts_with = "target"
    )]
    bind_server_ip: String,
    /// Let in whoever calls, without asking
    #[arg(long, conflicts_with = "target")]
    accept: bool,
    /// Who is called must have the certificate with this fingerprint, which is remembered
    #[arg(long, value_name = "HEX", requires = "target")]
    fingerprint: Option<String>,
    /// Files of the other side go below this folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Send this file or folder, and end when it has arrived
    #[arg(long, value_name = "PATH", requires = "target")]
    upload: Option<PathBuf>,
    /// Unpack no archive from which more bytes than these would come
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    unpack_max: u64,
}

impl Chat {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut pace = Pace::begin();
        let done = match &self.target {
            Some(target) => self.call(link, target, &mut pace),
            None => self.wait(link, &mut pace),
        };
        done.unwrap_or_else(|code| code)
    }

    /// Call somebody.
    fn call(&self, link: &Link, target: &str, pace: &mut Pace) -> Result<u8, u8> {
        let mut link = link.clone();
        let target = addressed(target, self.port);
        link.server = Some(target.clone());
        link.name.get_or_insert_with(|| "chat_client".to_owned());
        let known = Known::open();
        let known = known.map_err(|why| link.complain(&format!("Nothing is remembered: {why}")));
        let known = known.ok();
        let before = match &known {
            Some(known) => known.of(&target).map_err(|why| link.wrong(&why))?,
            None => None,
        };
        let wanted = match &self.fingerprint {
            Some(text) => {
                let read = Fingerprint::read(text);
                Some(read.ok_or_else(|| link.wrong("a fingerprint is 64 digits"))?)
            }
            None => before,
        };
        let builder = self.builder(&link, Security::Known(wanted)).greeting(LET_IN);
        let Some(called) = called(builder, pace) else { return Ok(exit::LOST) };
        let client = called.map_err(|error| {
            if wanted.is_some() && matches!(error, Error::Tls(_)) {
                link.complain(OTHER);
            }
            lost(link.failed(&error))
        })?;
        let shown = client.fingerprint();
        if let (Some(known), Some(shown)) = (&known, shown)
            && before != Some(shown)
            && let Err(why) = known.keep(&target, shown)
        {
            link.complain(&format!("Not remembered: {why}"));
        }
        say_known(&link, &target, shown, wanted.is_some());
        let mut room = Room::new(self, &link, None);
        match &self.upload {
            Some(path) => room.only_send(client, path),
            None => room.begin(client),
        }?;
        room.run(pace)
    }

    /// Wait for somebody to call.
    fn wait(&self, link: &Link, pace: &mut Pace) -> Result<u8, u8> {
        let shown = Known::open().and_then(|known| known.identity()).or_else(|why| {
            link.complain(&format!("Who calls will see another certificate next time: {why}"));
            Identity::fresh()
        });
        let shown = shown.map_err(|why| link.wrong(&why))?;
        let at = (self.bind_server_ip.as_str(), self.port);
        let host = Host::open(at, &shown.certificate, &shown.key);
        let host = host.map_err(|error| match error {
            Error::Dial(e) => link.wrong(&format!("{}:{}: {e}", at.0, at.1)),
            error => link.failed(&error),
        })?;
        let (at, print) = (host.address().to_string(), host.fingerprint().to_string());
        print::say(&match link.json {
            true => print::json(vec![
                ("listening", print::text(at)),
                ("fingerprint", print::text(print)),
            ]),
            false => format!("listening on {at}\nfingerprint {print}"),
        });
        Room::new(self, link, Some(host)).run(pace)
    }

    /// How somebody is talked to.
    fn builder(&self, link: &Link, security: Security) -> Builder {
        // Who chats has no configuration.
        let config = Config { security, ..Config::default() };
        let builder = link.builder(&config).security(config.security);
        let builder = builder.listen("any").folder("any", &self.folder);
        builder.attach(sending::FRAME_MAX).reconnect(None)
    }
}

/// Call, and wait until the other side has let us in; none: it is to end.
fn called(builder: Builder, pace: &mut Pace) -> Option<Result<Client, Error>> {
    let (send, done) = bounded(1);
    let named = std::thread::Builder::new().name("chat-call".to_owned());
    // Without the thread the channel is closed, too.
    drop(named.spawn(move || send.send(builder.connect())));
    loop {
        match done.recv_timeout(STEP) {
            Ok(called) => return Some(called),
            Err(RecvTimeoutError::Disconnected) => return Some(Err(Error::Lost)),
            Err(RecvTimeoutError::Timeout) if pace.is_over() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// With a port, as addresses are written.
fn addressed(target: &str, port: u16) -> String {
    if let Ok(IpAddr::V6(ip)) = target.parse() {
        return format!("[{ip}]:{port}");
    }
    let named = target.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if named { target.to_owned() } else { format!("{target}:{port}") }
}

fn say_known(link: &Link, target: &str, shown: Option<Fingerprint>, checked: bool) {
    let print = shown.map(|print| print.to_string()).unwrap_or_default();
    print::say(&match link.json {
        true => print::json(vec![
            ("connected", print::text(target)),
            ("fingerprint", print::text(print)),
            ("known", crate::value::Value::Bool(checked)),
        ]),
        false if checked => format!("connected to {target}\nfingerprint {print}"),
        false => format!("connected to {target}\nfingerprint {print} {NEW}"),
    });
}

/// A connection that never was is not lost.
fn lost(code: u8) -> u8 {
    if code == exit::LOST { exit::CLIENT } else { code }
}

const NEW: &str = "(new: is it what the other side shows?)";
const OTHER: &str = "Whoever answers is not who did the last time, or has a new certificate. If it \
                     should have: --fingerprint, with what the other side shows";
/// For somebody on the other side to say yes.
const LET_IN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_port_or_is_given_one() {
        for (target, address) in [
            ("host", "host:7"),
            ("host:8", "host:8"),
            ("127.0.0.1", "127.0.0.1:7"),
            ("::1", "[::1]:7"),
            ("[::1]:8", "[::1]:8"),
        ] {
            assert_eq!(addressed(target, 7), address);
        }
    }
}
