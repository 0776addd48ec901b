//! A broker put together from parts of one's own: who decides, who watches, and what is bounded.
//!
//! `cargo run --example subsystems_broker [HOST:PORT]`; Ctrl-C stops it. The policy and the
//! observer are called on the broker's own thread, so neither needs a lock, and neither may block.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program")]

use bytes::Bytes;
use spindle::base::limits::Limits;
use spindle::base::time::Now;
use spindle::hub::policy::{
    Access, Admit, Claim, Event, Login, Observer, Policy, Principal, Refusal,
};
use spindle::os::signal::Signals;
use spindle::{Broker, Durability, Speak};

/// Everybody with the same secret is welcome; the name decides what is theirs.
struct Secret(&'static [u8]);

impl Policy for Secret {
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        match login.password == Some(self.0) && !login.user.is_empty() {
            true => Admit::Yes(principal(Bytes::copy_from_slice(login.user))),
            false => Admit::No(Refusal::Unknown),
        }
    }

    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        // `admit` never asks a worker, so there is no answer to expect.
        Err(Refusal::Unknown)
    }

    fn permit(&mut self, who: &Principal, access: &Access<'_>) -> bool {
        match access {
            // Everybody writes under their own name, and reads whatever they like.
            Access::Publish(topic) => topic.level(0) == Some(&who.user),
            Access::Subscribe(_) | Access::Receive(_) | Access::Request(_) => true,
        }
    }

    fn explain(&self, _: &Principal, access: &Access<'_>) -> String {
        match access {
            Access::Publish(_) => "publish under your own name only".into(),
            _ => "allowed".into(),
        }
    }

    fn recall(&self, user: &Bytes) -> Option<Principal> {
        Some(principal(user.clone()))
    }
}

fn principal(user: Bytes) -> Principal {
    Principal { user, durable: true, ..Principal::default() }
}

/// Says who comes and goes.
struct Doorman;

impl Observer for Doorman {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        match event {
            Event::LoggedIn { who, .. } => println!("{} joined", who.user.escape_ascii()),
            Event::Denied { who, why, .. } => println!("{}: {why}", who.user.escape_ascii()),
            Event::Closed { reason, .. } => println!("somebody left: {reason}"),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:52909".into());
    let data = std::env::temp_dir().join(format!("subsystems-broker-{}", std::process::id()));
    let signals = Signals::catch()?;
    let broker = Broker::builder()
        .listen(address, Speak::Prx1)
        .journal(&data, Durability::Disk)
        .policy(Secret(b"secret"))
        .observer(Doorman)
        // A silent client is let go after five seconds, and a thousand clients are enough.
        .limits(Limits { idle_ms_max: 5_000, connections_max: 1_000, ..Limits::default() })
        .signals(signals)
        .build()?;
    if let Some(bound) = broker.local_addr(0) {
        println!("listening on {bound}");
    }
    let ended = broker.run();
    std::fs::remove_dir_all(&data)?;
    ended?;
    println!("stopped");
    Ok(())
}
