//! Floor 4. One connection as the engine sees it: a peer, its unread input, and its marks.
//!
//! Socket-shaped and mortal. An idle one owns no buffer: input is parsed in the buffer it was read
//! into, and only an unfinished packet is kept here. Absent on purpose: the socket.

use bytes::BytesMut;

use crate::base::time::{Deadline, MS, Now};
use crate::base::words::Tongue;
use crate::hub::Hub;
use crate::hub::policy::Address;
use crate::link::Link;
use crate::proto::doom::Doom;
use crate::proto::{Peer, Protocol};

/// Replies may follow a peer's half-close for this long.
const EOF_MS: u64 = 5_000;

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(crate) peer: Peer,
    pub(crate) link: Link,
    pub(crate) input: BytesMut,
    pub(crate) listener: u16,
    pub(crate) address: Address,
    pub(crate) loopback: bool,
    pub(crate) doom: Option<Box<Doom>>,
    /// When it was accepted.
    pub(crate) opened: u64,
    /// It stands in the list of those with something to say.
    pub(crate) marked: bool,
    /// It stands in the list of those with input left over.
    pub(crate) ready: bool,
    /// It stands in the list of those that wait for room.
    pub(crate) stalled: bool,
    /// Its socket takes nothing more for now, since then.
    pub(crate) blocked: Since,
    /// The peer closed its sending half, then; what it is owed by way of replies still goes out.
    pub(crate) eof: Since,
    /// When the unfinished packet at the front of the input began.
    pub(crate) partial: Since,
    /// What an unfinished packet takes of the memory.
    pub(crate) unfinished: u32,
    /// What the wheel holds for it: nothing earlier is armed.
    pub(crate) armed: Deadline,
    /// Counted among those that have not identified themselves.
    pub(crate) stranger: bool,
    /// Counted among those that come from its address.
    pub(crate) counted: bool,
    /// It is refused, and hears so a moment later.
    pub(crate) late: bool,
    /// What it speaks, as it is counted at its listener.
    pub(crate) tongue: Tongue,
    /// Told that its first reply waits for the journal.
    pub(crate) waiting: bool,
}

/// When something began that most connections never know; a word, where an option is two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Since(u64);

impl Since {
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn at(mono: u64) -> Self {
        Self(mono)
    }

    pub(crate) fn get(self) -> Option<u64> {
        (self != Self::NEVER).then_some(self.0)
    }

    /// As it is, or from now on.
    pub(crate) fn or_at(self, mono: u64) -> Self {
        if self == Self::NEVER { Self(mono) } else { self }
    }
}

/// Where a connection came in, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(crate) listener: u16,
    pub(crate) address: Address,
    pub(crate) loopback: bool,
}

impl Conn {
    pub(crate) fn new(peer: Peer, link: Link, place: Place, now: Now) -> Self {
        let Place { listener, address, loopback } = place;
        Self {
            peer,
            link,
            input: BytesMut::new(),
            listener,
            address,
            loopback,
            doom: None,
            opened: now.mono,
            marked: false,
            ready: false,
            stalled: false,
            blocked: Since::NEVER,
            eof: Since::NEVER,
            partial: Since::NEVER,
            unfinished: 0,
            armed: Deadline::NEVER,
            stranger: true,
            counted: false,
            late: false,
            tongue: Tongue::Unknown,
            waiting: false,
        }
    }

    /// Replies wait for the disk, or a worker for its verdict: the last words are not said yet.
    pub(crate) fn owes_words(&self, hub: &Hub) -> bool {
        let busy = self.peer.is_stranger() && !self.peer.wants_bytes(hub);
        let works = matches!(&self.peer, Peer::Aio(peer) if peer.is_at_work());
        busy || works || self.ready || self.peer.waits_for().is_some()
    }

    /// The earliest of its deadlines: the peer's own, an unfinished packet, a stuck reader.
    pub(crate) fn deadline(&self, packet_ms: u64, stuck_ms: u64) -> Deadline {
        let mut at = self.peer.deadline();
        if let Some(began) = self.partial.get() {
            at = at.min(packet_deadline(began, self.begun(), packet_ms));
        }
        if let Some(since) = self.eof.get() {
            at = at.min(Deadline(since.saturating_add(EOF_MS * MS)));
        }
        if let Some(since) = self.blocked.get() {
            at = at.min(Deadline(since.saturating_add(stuck_ms.saturating_mul(MS))));
        }
        at
    }

    /// Bytes of what is not whole, here and in its link.
    fn begun(&self) -> usize {
        self.input.len() + self.link.begun()
    }

    /// Why it must end now, if one of the engine's own deadlines has come.
    pub(crate) fn overdue(&self, now: Now, packet_ms: u64, stuck_ms: u64) -> Option<Doom> {
        if let Some(began) = self.partial.get()
            && now.reached(packet_deadline(began, self.begun(), packet_ms))
        {
            return Some(Doom::PacketTimeout);
        }
        if let Some(since) = self.eof.get()
            && now.reached(Deadline(since.saturating_add(EOF_MS * MS)))
        {
            return Some(Doom::Eof);
        }
        let since = self.blocked.get()?;
        let limit = Deadline(since.saturating_add(stuck_ms.saturating_mul(MS)));
        now.reached(limit).then_some(Doom::Stuck)
    }
}

/// A packet may take its time: a base, and a millisecond for every KiB that has come of it.
fn packet_deadline(began: u64, len: usize, packet_ms: u64) -> Deadline {
    let ms = packet_ms.saturating_add((len >> 10) as u64);
    Deadline(began.saturating_add(ms.saturating_mul(MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 7;

    fn conn() -> Conn {
        let place = Place { listener: 0, address: Address::Local, loopback: true };
        Conn::new(Peer::Local(Box::default()), Link::Plain, place, Now { mono: 0, wall: 0 })
    }

    /// Why it ends, with a second for a packet and two for a reader that takes nothing.
    fn end(conn: &Conn, mono: u64) -> Option<Doom> {
        conn.overdue(Now { mono, wall: 0 }, 1_000, 2_000)
    }

    #[test]
    fn each_of_its_times_ends_it_when_it_is_over_and_not_before() {
        let begun = |input: &[u8]| {
            let (partial, input) = (Since::at(BEGAN), BytesMut::from(input));
            Conn { partial, input, ..conn() }
        };
        let eof = Conn { eof: Since::at(BEGAN), ..conn() };
        let blocked = Conn { blocked: Since::at(BEGAN), ..conn() };
        for (conn, ms, why) in [
            (begun(b"x"), 1_000, Doom::PacketTimeout),
            (begun(&[0; 3 << 10]), 1_003, Doom::PacketTimeout),
            (eof, EOF_MS, Doom::Eof),
            (blocked, 2_000, Doom::Stuck),
        ] {
            let over = BEGAN + ms * MS;
            assert_eq!(conn.deadline(1_000, 2_000), Deadline(over), "{why:?}");
            assert_eq!(end(&conn, over - 1), None, "{why:?}");
            assert_eq!(end(&conn, over), Some(why));
        }
        assert_eq!(end(&conn(), u64::MAX - 1), None, "nothing of it has begun");
    }
}
