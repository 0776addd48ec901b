//! Floor 6. One connection of the load generator: a socket, a role, and what is under way.
//!
//! A publisher numbers its messages without a gap and knows which of them are unacknowledged; a
//! subscriber knows of each publisher which message must be next. So loss, doubles and disorder
//! show in numbers, without remembering a message. Absent on purpose: when to send (`open`,
//! `closed`) and what it means for the figures (`engine`).

use std::collections::VecDeque;
use std::io;

use super::pipe::{Pipe, later};
use super::wire::{Head, Template};

/// Which part it plays.
#[derive(Debug)]
pub(super) enum Role {
    Publisher(Box<Publisher>),
    Subscriber(Box<Subscriber>),
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Dialling,
    Asked,
    Subscribing,
    Up,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) pipe: Pipe,
    pub(super) role: Role,
    pub(super) state: State,
    /// When it was dialled.
    pub(super) begun: u64,
    /// What was read and is not yet a whole packet.
    rest: Vec<u8>,
    /// What is to be written.
    pub(super) out: Vec<u8>,
}

/// Who sends.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) number: u32,
    pub(super) template: Template,
    /// Of its next message.
    pub(super) seq: u64,
    pub(super) acked: u64,
    /// Unacknowledged: packet id, when it was sent, does it count.
    pub(super) flight: VecDeque<(u16, u64, bool)>,
    /// The broker allows so many.
    pub(super) flight_max: usize,
    next_id: u16,
}

/// Who listens.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) number: u32,
    /// The first publisher that it hears, and of each what must come next.
    pub(super) first: u32,
    pub(super) next: Vec<u64>,
    pub(super) came: u64,
    pub(super) strayed: u64,
}

impl Client {
    pub(super) fn new(pipe: Pipe, role: Role, begun: u64) -> Self {
        let (rest, out) = (Vec::new(), Vec::new());
        Self { pipe, role, state: State::Dialling, begun, rest, out }
    }

    /// Read once, behind what is left from before; how many bytes there are then, and whether
    /// there may be more. Nothing new is `None`.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let kept = self.rest.len();
        let (front, free) = into.split_at_mut_checked(kept).ok_or(io::ErrorKind::InvalidData)?;
        match self.pipe.read(free) {
            Ok((n, more)) => {
                if kept > 0 {
                    front.copy_from_slice(&self.rest);
                    self.rest.clear();
                }
                Ok(Some((kept + n, more)))
            }
            Err(e) if later(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// This is the beginning of a packet.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// Write what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.pipe.write(&mut self.out)
    }
}

impl Publisher {
    pub(super) fn new(number: u32, template: Template) -> Self {
        let flight_max = usize::from(u16::MAX);
        let flight = VecDeque::new();
        Self { number, template, seq: 0, acked: 0, flight, flight_max, next_id: 1 }
    }

    /// Append the next message, unless the protocol or the socket has no room for one.
    pub(super) fn send(&mut self, qos: u8, head: Head, counts: bool, out: &mut Vec<u8>) -> bool {
        self.send_all(1, qos, head, counts, out) == 1
    }

    /// Append so many messages of one moment, or as many as there is room for. What they have in
    /// common is written once.
    pub(super) fn send_all(
        &mut self,
        count: u64,
        qos: u8,
        head: Head,
        counts: bool,
        out: &mut Vec<u8>,
    ) -> u64 {
        self.template.prime(&Head { publisher: self.number, ..head });
        let mut sent = 0;
        while sent < count && out.len() <= OUT_MAX {
            let mut id = 0;
            if qos > 0 {
                let is_oldest = self.flight.front().is_some_and(|(id, ..)| *id == self.next_id);
                if self.flight.len() >= self.flight_max || is_oldest {
                    break;
                }
                id = self.next_id;
                self.next_id = id.checked_add(1).unwrap_or(1);
                self.flight.push_back((id, head.sent, counts));
            }
            self.template.put(id, self.seq, out);
            self.seq += 1;
            sent += 1;
        }
        if qos == 0 {
            self.acked += sent;
        }
        sent
    }

    /// Acknowledged: when it was sent, and whether it counts. Brokers acknowledge in order, so it
    /// is nearly always the oldest.
    pub(super) fn on_acked(&mut self, id: u16) -> Option<(u64, bool)> {
        if let Some((_, sent, counts)) = self.flight.pop_front_if(|(oldest, ..)| *oldest == id) {
            self.acked += 1;
            return Some((sent, counts));
        }
        let at = self.flight.iter().position(|(own, ..)| *own == id)?;
        let (_, sent, counts) = self.flight.remove(at)?;
        self.acked += 1;
        Some((sent, counts))
    }
}

impl Subscriber {
    /// It hears `count` publishers from `first` on.
    pub(super) fn new(number: u32, first: u32, count: u32) -> Self {
        Self { number, first, next: vec![0; count as usize], came: 0, strayed: 0 }
    }

    /// A message came: is it one of those that it hears?
    pub(super) fn on_message(&mut self, head: &Head) -> bool {
        let at = head.publisher.checked_sub(self.first).map(|at| at as usize);
        let Some(next) = at.and_then(|at| self.next.get_mut(at)) else { return false };
        if head.seq < *next {
            self.strayed += 1;
        } else {
            *next = head.seq + 1;
        }
        self.came += 1;
        true
    }
}

/// What a socket does not take is not sent: a broker that stopped reading holds no memory here.
const OUT_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::wire::{HEAD, Tongue, filling};
    use crate::proto::mqtt::Version;

    fn publisher() -> Publisher {
        let tongue = Tongue::Mqtt(Version::V311);
        Publisher::new(0, Template::new(tongue, "a", 1, false, filling(HEAD, 1)).unwrap())
    }

    #[test]
    fn a_packet_id_in_use_is_not_used_again() {
        let (mut it, mut out) = (publisher(), Vec::new());
        for _ in 0..u16::MAX {
            assert!(it.send(1, Head::default(), false, &mut out));
            out.clear();
            // All but the first are acknowledged.
            let (id, ..) = *it.flight.back().unwrap();
            assert!(id == 1 || it.on_acked(id).is_some());
        }
        assert!(!it.send(1, Head::default(), false, &mut out), "the first still has its id");
        assert!(it.on_acked(1).is_some());
        assert_eq!(it.on_acked(1), None);
        assert!(it.send(1, Head::default(), false, &mut out));
        it.flight_max = 1;
        assert!(!it.send(1, Head::default(), false, &mut out), "the broker allows one");
    }

    #[test]
    fn a_socket_that_takes_nothing_stops_its_publisher() {
        let (mut it, mut out) = (publisher(), vec![0; OUT_MAX + 1]);
        assert!(!it.send(0, Head::default(), false, &mut out));
        assert_eq!((it.seq, out.len()), (0, OUT_MAX + 1));
    }

    #[test]
    fn disorder_doubles_and_strangers_are_seen() {
        let mut it = Subscriber::new(0, 5, 2);
        let of = |publisher, seq| Head { publisher, seq, ..Head::default() };
        for (publisher, seq) in [(5, 0), (6, 0), (5, 1), (5, 3)] {
            assert!(it.on_message(&of(publisher, seq)));
        }
        assert_eq!((it.came, it.strayed), (4, 0));
        assert!(it.on_message(&of(5, 2)) && it.on_message(&of(6, 0)));
        assert_eq!((it.came, it.strayed), (6, 2));
        assert!(!it.on_message(&of(7, 0)) && !it.on_message(&of(4, 0)));
    }
}
