//! Floor 5. Doors: bound sockets from which a bounded number of connections is taken in a turn.
//!
//! Readiness is remembered until a door has nobody left in front of it. When the process has no
//! descriptor left, a door rests for a moment instead of spinning: who waits in the backlog keeps
//! waiting there. Absent on purpose: who may come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use mio::net::{TcpListener, TcpStream};

use super::poller::{Poller, Whom};
use super::sys;
use crate::base::time::{Deadline, Now};
use crate::hub::policy::Address;

/// A bound listener.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    /// Its place in the configuration.
    pub place: u16,
    /// Where it is bound.
    pub local: SocketAddr,
    waiting: bool,
    rests: Option<Deadline>,
}

impl Door {
    /// Bind, with room for a burst of arrivals in front of the door.
    pub fn bind(address: SocketAddr, place: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        sys::listen(listener.as_fd(), BACKLOG)?;
        let local = listener.local_addr()?;
        Ok(Self { listener, place, local, waiting: false, rests: None })
    }

    /// Hear about arrivals.
    pub fn register(&mut self, poller: &Poller) -> io::Result<()> {
        poller.register(&mut self.listener, Whom::Listener(u32::from(self.place)))
    }

    /// Somebody is in front of it.
    pub fn on_ready(&mut self) {
        self.waiting = true;
    }

    /// The next arrival, if there is one and the door is not resting.
    pub fn accept(&mut self, now: Now) -> Option<(TcpStream, SocketAddr)> {
        if !self.is_open(now) {
            return None;
        }
        self.rests = None;
        loop {
            match self.listener.accept() {
                Ok(arrival) => return Some(arrival),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting = false;
                    return None;
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::warn!("{}: cannot accept: {e}; next try in {REST_MS} ms", self.local);
                    self.rests = Some(now.after_ms(REST_MS));
                    return None;
                }
            }
        }
    }

    /// Somebody may be in front of it, and it is not resting.
    #[must_use]
    pub fn is_open(&self, now: Now) -> bool {
        self.waiting && self.rests.is_none_or(|until| now.reached(until))
    }

    /// When to look again although nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.waiting.then(|| self.rests.unwrap_or(Deadline(0)))
    }
}

/// An address without its port.
#[must_use]
pub fn address_of(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(a) => Address::V4(a.octets()),
        IpAddr::V6(a) => match a.to_ipv4_mapped() {
            Some(a) => Address::V4(a.octets()),
            None => Address::V6(a.octets()),
        },
    }
}

/// How long a door rests when no descriptor is left.
const REST_MS: u64 = 100;
/// Arrivals the system keeps for us.
const BACKLOG: i32 = 4_096;
