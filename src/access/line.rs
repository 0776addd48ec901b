//! Floor 3. The line of logins that wait for a password check.
//!
//! Checks are slow and workers few, so whoever comes is put in line by network: the networks take
//! turns, one check each, so a crowd from one place delays that place alone. The line is bounded
//! in all, per network and per connection, checks under way included, and lets out only as many
//! at once as there are workers to take them; it is the one place where a login can be told to
//! come back later. Absent on purpose: the checks, threads, time.

use std::collections::VecDeque;

use crate::base::id::ConnId;
use crate::base::map::{Map, Seed};
use crate::hub::policy::Address;

/// Why there is no place in the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// This connection has a login in line already.
    Connection,
    /// Its network has as many as it may.
    Network,
    /// The line is as long as it may be.
    Line,
}

/// The bounds of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    /// Logins in line, those being checked included.
    pub all: usize,
    /// The same, of one network.
    pub per_network: usize,
    /// Checks under way at once.
    pub at_once: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(ConnId, T)>,
    checking: usize,
}

/// Logins in line; `T` is what goes to the worker.
#[derive(Debug)]
pub struct Line<T> {
    places: Places,
    lanes: Map<Address, Lane<T>>,
    /// Networks with somebody waiting, whose turn it is first.
    turns: VecDeque<Address>,
    /// Everybody in line, and whether a worker has them.
    seats: Map<ConnId, Seat>,
    checking: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    network: Address,
    checking: bool,
}

impl<T> Line<T> {
    /// An empty line.
    #[must_use]
    pub fn new(places: Places, seed: Seed) -> Self {
        Self {
            places,
            lanes: Map::with_hasher(seed.clone()),
            turns: VecDeque::new(),
            seats: Map::with_hasher(seed),
            checking: 0,
        }
    }

    /// Other bounds; whoever stands in line stays there.
    pub fn set_places(&mut self, places: Places) {
        self.places = places;
    }

    /// Stand in line; `what` comes back when there is no place.
    pub fn join(&mut self, conn: ConnId, from: Address, what: T) -> Result<(), (Full, T)> {
        let network = from.network();
        if self.seats.contains_key(&conn) {
            return Err((Full::Connection, what));
        }
        if self.seats.len() >= self.places.all {
            return Err((Full::Line, what));
        }
        let held = self.lanes.get(&network).map_or(0, |l| l.waiting.len() + l.checking);
        if held >= self.places.per_network {
            return Err((Full::Network, what));
        }
        let empty = || Lane { waiting: VecDeque::new(), checking: 0 };
        let lane = self.lanes.entry(network).or_insert_with(empty);
        if lane.waiting.is_empty() {
            self.turns.push_back(network);
        }
        lane.waiting.push_back((conn, what));
        self.seats.insert(conn, Seat { network, checking: false });
        Ok(())
    }

    /// Whose check begins now; nobody while all workers are taken. `on_checked` ends it.
    pub fn poll_check(&mut self) -> Option<(ConnId, T)> {
        if self.checking >= self.places.at_once {
            return None;
        }
        let network = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&network)?;
        let next = lane.waiting.pop_front()?;
        lane.checking += 1;
        self.checking += 1;
        if !lane.waiting.is_empty() {
            self.turns.push_back(network);
        }
        if let Some(seat) = self.seats.get_mut(&next.0) {
            seat.checking = true;
        }
        Some(next)
    }

    /// A worker has answered for this connection, be it still there or not.
    pub fn on_checked(&mut self, conn: ConnId) {
        let Some(seat) = self.seats.get(&conn).copied().filter(|seat| seat.checking) else {
            return;
        };
        self.seats.remove(&conn);
        self.checking -= 1;
        if let Some(lane) = self.lanes.get_mut(&seat.network) {
            lane.checking -= 1;
        }
        self.tidy(seat.network);
    }

    /// This connection has ended: if it still waits, it waits no longer. A check under way keeps
    /// its place until the worker has answered, because the worker is busy until then.
    pub fn leave(&mut self, conn: ConnId) -> Option<T> {
        let seat = self.seats.get(&conn).copied().filter(|seat| !seat.checking)?;
        self.seats.remove(&conn);
        let lane = self.lanes.get_mut(&seat.network)?;
        let at = lane.waiting.iter().position(|(c, _)| *c == conn)?;
        let (_, what) = lane.waiting.remove(at)?;
        if lane.waiting.is_empty() {
            self.turns.retain(|network| *network != seat.network);
        }
        self.tidy(seat.network);
        Some(what)
    }

    /// Logins in line, those being checked included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Nobody is in line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Checks under way.
    #[must_use]
    pub fn checking(&self) -> usize {
        self.checking
    }

    fn tidy(&mut self, network: Address) {
        if let Some(lane) = self.lanes.get(&network)
            && lane.waiting.is_empty()
            && lane.checking == 0
        {
            self.lanes.remove(&network);
        }
    }
}

#[cfg(test)]
impl<T> Line<T> {
    pub(super) fn networks(&self) -> usize {
        self.lanes.len()
    }
}
