//! Floor 5. Who has something for us: one wait on all sockets, the waker and the signals.
//!
//! Readiness is edge-triggered and every connection is registered once, for reading and writing
//! together, because changing an interest costs a system call and an edge that nobody needs costs
//! nothing. So whoever does not use a readiness must remember it. A token holds the slot of a
//! connection and a part of its life: an event that is late for its connection finds nobody.
//! Absent on purpose: what to do about readiness.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Token, Waker};

use super::sys;
use crate::base::id::ConnId;

/// Whom an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// The connection in this slot, if it still has this life.
    Conn(u32, u32),
    /// A listener, by its place.
    Listener(u32),
    /// A connection that is over and only waits for its end, by its slot.
    Lingering(u32),
    /// A thread has answered, or the embedding program asks.
    Waker,
    /// The operating system has a signal for us.
    Signal,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Whom it is about.
    pub whom: Whom,
    /// There may be something to read.
    pub readable: bool,
    /// Something may be written.
    pub writable: bool,
    /// The other end has said everything.
    pub half_closed: bool,
    /// The connection is broken.
    pub broken: bool,
}

/// The wait.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    busy_poll_us: u32,
}

impl Poller {
    /// A poller with its waker.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), token(Whom::Waker))?);
        Ok(Self { poll, events: Events::with_capacity(EVENTS), waker, busy_poll_us: 0 })
    }

    /// Let the system ask network cards for so long, instead of waiting to be interrupted.
    pub fn set_busy_poll(&mut self, us: u32) {
        self.busy_poll_us = us;
        // Where only the sysctl can say so, it does; the sockets are told in any case.
        if let Err(e) = sys::busy_poll_all(self.poll.registry().as_fd(), us) {
            log::warn!(
                "busy_poll_us: the wait itself cannot be told ({e}); set net.core.busy_poll"
            );
        }
    }

    /// For how long sockets are to have network cards asked; 0: not at all.
    #[must_use]
    pub fn busy_poll_us(&self) -> u32 {
        self.busy_poll_us
    }

    /// What other threads call to end a wait.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Hear about a socket, for as long as it is open.
    pub fn register(&self, source: &mut dyn Source, whom: Whom) -> io::Result<()> {
        let interest = match whom {
            Whom::Conn(..) | Whom::Lingering(_) => Interest::READABLE | Interest::WRITABLE,
            Whom::Listener(_) | Whom::Waker | Whom::Signal => Interest::READABLE,
        };
        source.register(self.poll.registry(), token(whom), interest)
    }

    /// Hear about it under another name.
    pub fn rename(&self, source: &mut dyn Source, whom: Whom) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        source.reregister(self.poll.registry(), token(whom), interest)
    }

    /// Wait for events, at most this long; for ever without a limit.
    pub fn wait(&mut self, limit: Option<Duration>, into: &mut Vec<Ready>) -> io::Result<()> {
        into.clear();
        match self.poll.poll(&mut self.events, limit) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        into.extend(self.events.iter().filter_map(ready));
        Ok(())
    }
}

fn ready(event: &Event) -> Option<Ready> {
    Some(Ready {
        whom: whom(event.token())?,
        readable: event.is_readable(),
        writable: event.is_writable(),
        half_closed: event.is_read_closed(),
        broken: event.is_error(),
    })
}

/// The name under which a connection is registered.
#[must_use]
pub fn conn(id: ConnId) -> Whom {
    Whom::Conn(id.index, id.life & LIFE)
}

/// Kind, life, slot, from the highest bit down.
fn token(whom: Whom) -> Token {
    let (kind, life, slot) = match whom {
        Whom::Conn(slot, life) => (0, life & LIFE, slot),
        Whom::Listener(slot) => (1, 0, slot),
        Whom::Lingering(slot) => (2, 0, slot),
        Whom::Waker => (3, 0, 0),
        Whom::Signal => (4, 0, 0),
    };
    Token((kind << 56 | u64::from(life) << 32 | u64::from(slot)) as usize)
}

fn whom(token: Token) -> Option<Whom> {
    let all = token.0 as u64;
    let (life, slot) = ((all >> 32) as u32 & LIFE, all as u32);
    match all >> 56 {
        0 => Some(Whom::Conn(slot, life)),
        1 => Some(Whom::Listener(slot)),
        2 => Some(Whom::Lingering(slot)),
        3 => Some(Whom::Waker),
        4 => Some(Whom::Signal),
        _ => None,
    }
}

/// The part of a life that fits into a token.
const LIFE: u32 = 0x00FF_FFFF;
/// Events taken from the system in one wait.
const EVENTS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whom_it_is_about() {
        for it in [
            Whom::Conn(0, 0),
            Whom::Conn(u32::MAX, LIFE),
            Whom::Listener(7),
            Whom::Lingering(u32::MAX),
            Whom::Waker,
            Whom::Signal,
        ] {
            assert_eq!(whom(token(it)), Some(it));
        }
        assert_eq!(whom(Token(usize::MAX)), None);
    }

    #[test]
    fn a_waker_ends_a_wait_once() {
        let mut poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        poller.waker().wake().unwrap();
        poller.wait(Some(Duration::from_secs(5)), &mut ready).unwrap();
        assert_eq!(ready.iter().map(|r| r.whom).collect::<Vec<_>>(), [Whom::Waker]);
        poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert!(ready.is_empty());
    }
}
