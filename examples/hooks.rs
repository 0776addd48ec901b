//! Six hooks, each where this broker has a place for it: accept, connect, subscribe, publish,
//! close and stop.
//!
//! `cargo run --example hooks [HOST:PORT]` speaks MQTT; Ctrl-C stops it. What may be refused is
//! asked of the policy before it happens; what has happened is told to the observer. Both are
//! called on the broker's own thread: no lock is needed, and neither may block.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program")]

use bytes::Bytes;
use spindle::base::bucket::Bucket;
use spindle::base::id::ConnId;
use spindle::base::map::{Map, Seed};
use spindle::base::time::Now;
use spindle::hub::policy::{
    Access, Address, Admit, Claim, Event, Login, Observer, Policy, Principal, Refusal,
};
use spindle::os::signal::Signals;
use spindle::{Broker, Speak};

/// What is asked before it happens.
struct Hooks {
    /// Connections that are accepted: three at once, and one more every second.
    pace: Bucket,
}

impl Policy for Hooks {
    /// Accept: before anything is known but the address; `false` closes the socket.
    fn accept(&mut self, now: Now, from: Address) -> bool {
        let welcome = self.pace.take(now.mono, 1);
        println!("accept {from}: {welcome}");
        welcome
    }

    /// Connect: with everything the client says about itself. A password that must be compared
    /// with a slow hash would be sent to a worker instead (`Admit::Verify`).
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        let known = login.client_id.starts_with(b"dev-");
        println!("connect {}: {known}", login.client_id.escape_ascii());
        match known {
            true => Admit::Yes(Principal {
                user: Bytes::copy_from_slice(login.client_id),
                client_id: Bytes::copy_from_slice(login.client_id),
                durable: true,
                ..Principal::default()
            }),
            false => Admit::No(Refusal::Unknown),
        }
    }

    fn permit(&mut self, who: &Principal, access: &Access<'_>) -> bool {
        let (hook, allowed) = match access {
            // Subscribe: once for each filter of a request.
            Access::Subscribe(filter) => ("subscribe", !filter.is_open_at_root()),
            // Publish: before the message is kept or given to anybody; wills are asked about too.
            Access::Publish(topic) => ("publish", topic.level(0) != Some(b"secret")),
            Access::Receive(_) | Access::Request(_) => return true,
        };
        println!("{hook} by {}: {allowed}", who.client_id.escape_ascii());
        allowed
    }

    fn explain(&self, _: &Principal, access: &Access<'_>) -> String {
        match access {
            Access::Subscribe(_) => "nobody listens to everything".into(),
            Access::Publish(_) => "nobody publishes secrets".into(),
            _ => "allowed".into(),
        }
    }

    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        // `admit` never asks a worker, so there is no answer to expect.
        Err(Refusal::Unknown)
    }

    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Some(Principal { user: user.clone(), durable: true, ..Principal::default() })
    }
}

/// What is told afterwards.
struct Watch {
    /// Who speaks on which connection.
    names: Map<ConnId, String>,
}

impl Observer for Watch {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        match *event {
            Event::LoggedIn { conn, client_id, .. } => {
                self.names.insert(conn, client_id.escape_ascii().to_string());
            }
            // Close: the connection is over, whoever ended it; also before a login.
            Event::Closed { conn, reason } => {
                let name = self.names.remove(&conn).unwrap_or_else(|| "a stranger".into());
                println!("close {name}: {reason}");
            }
            // Stop: everybody is gone and everything is on the disk.
            Event::Stopped { clean } => println!("stop, clean: {clean}"),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1883".into());
    // Before any thread is started, so that all of them leave the signals to the broker.
    let signals = Signals::catch()?;
    let names = Map::with_hasher(Seed::with_seed(getrandom::u64()?));
    let broker = Broker::builder()
        .listen(address, Speak::Mqtt)
        .policy(Hooks { pace: Bucket::new(1, 3) })
        .observer(Watch { names })
        .memory()
        .signals(signals)
        .build()?;
    if let Some(bound) = broker.local_addr(0) {
        println!("listening on {bound}");
    }
    broker.run()?;
    println!("stopped");
    Ok(())
}
