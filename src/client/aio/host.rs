//! Floor 5. The side that is called: somebody connects, says its name, and is talked to.
//!
//! Two who talk need no broker: one of them listens, under TLS with a certificate of its own, and
//! from the hello on both sides are alike. A thread for each who calls comes through the handshake,
//! within a time and so many at once, so nobody who is silent keeps others out; who does not say
//! hello (the original probes before it connects) is not told of. Absent on purpose: asking for
//! certificates or tokens, and more than two at a table.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::proto::aio::{Meaning, Name, Side, meaning};

use super::tls::Offer;
use super::wire::Wire;
use super::{Builder, Client, Error, Fingerprint};

/// Listens for those who call.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    fingerprint: Fingerprint,
    guests: Receiver<Guest>,
}

/// Somebody who has called, and said a name.
#[derive(Debug)]
pub struct Guest {
    wire: Wire,
    name: Name,
    /// Where it called from, and what it called.
    from: SocketAddr,
    at: SocketAddr,
}

impl Host {
    /// Listen at this address, and show this certificate, whose key this is; both in PEM.
    pub fn open(address: (&str, u16), crt: &str, key: &str) -> Result<Self, Error> {
        let offer = Offer::new(crt, key)?;
        let fingerprint = offer.fingerprint();
        let listener = TcpListener::bind(address).map_err(|e| Error::Dial(Arc::new(e)))?;
        let address = listener.local_addr().map_err(Error::io)?;
        let (send, guests) = bounded(1);
        let named = std::thread::Builder::new().name("aio-host".to_owned());
        // It goes on for as long as the program does: nothing wakes who waits for a caller.
        named.spawn(move || listen(&listener, &offer, &send)).map_err(Error::io)?;
        Ok(Self { address, fingerprint, guests })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its certificate is known by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The next who has called; none when the time is over.
    pub fn wait(&self, most: Duration) -> Result<Option<Guest>, Error> {
        match self.guests.recv_timeout(most) {
            Ok(guest) => Ok(Some(guest)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Left),
        }
    }
}

impl Guest {
    /// The name that it has said. Nobody has checked it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where it called from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.from
    }

    /// Talk to it, as somebody who is described so; the address and name there do not count, and it
    /// is never dialled again.
    pub fn talk(self, builder: Builder) -> Result<Client, Error> {
        let Self { mut wire, name, at, .. } = self;
        let mut plan = builder.plan()?;
        wire.trust(plan.frame_max);
        // As it has called us, so that versions find us by what they know.
        plan.me = format!("('{}', {})", at.ip(), at.port()).as_str().into();
        plan.server = name.as_str().into();
        plan.guest = Some(name);
        plan.again = None;
        Client::over(plan, Some(wire))
    }
}

fn listen(listener: &TcpListener, offer: &Offer, guests: &Sender<Guest>) {
    let callers = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, from)) = listener.accept() else {
            // Too many files are open, or somebody was gone already.
            std::thread::sleep(PAUSE);
            continue;
        };
        if callers.fetch_add(1, Ordering::Relaxed) >= CALLERS_MAX {
            callers.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (offer, guests, count) = (offer.clone(), guests.clone(), Arc::clone(&callers));
        let named = std::thread::Builder::new().name("aio-caller".to_owned());
        let greeted = named.spawn(move || {
            if let Ok(guest) = greet(stream, from, &offer) {
                // Others wait behind it for as long as nobody looks.
                let _ = guests.send(guest);
            }
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if greeted.is_err() {
            callers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn greet(stream: TcpStream, from: SocketAddr, offer: &Offer) -> Result<Guest, Error> {
    let deadline = Instant::now() + GREETING;
    let at = stream.local_addr().map_err(Error::io)?;
    let mut wire = Wire::accept(stream, Some(offer.session()?), deadline)?;
    let frame = wire.hear(deadline)?.ok_or(Error::Lost)?;
    match meaning(&frame, Side::Client)? {
        Meaning::Hello { tls: true, name } => Ok(Guest { wire, name, from, at }),
        _ => Err(Error::Refused("it was to say hello")),
    }
}

/// For a handshake and a hello.
const GREETING: Duration = Duration::from_secs(10);
/// Those who have called and not said hello, or are not looked at yet.
const CALLERS_MAX: usize = 8;
/// Until somebody else is listened to after that failed.
const PAUSE: Duration = Duration::from_millis(200);
