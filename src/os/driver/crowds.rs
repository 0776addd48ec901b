//! Floor 5. Those who come and those who leave: crowds of them keep nobody waiting who is in.
//!
//! Letting somebody in or out takes many times as long as hearing somebody, and both happen to
//! thousands at once: after a pause of the network, or when a machine with all its clients goes,
//! or where passwords are guessed. So they stand in a line of their own behind those who are in,
//! and each has a bounded time of a turn, by the clock. Absent on purpose: what is said meanwhile.

use super::{Driver, READ_TURN, READS_TURN};
use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::hub::policy::Event;
use crate::os::poller;
use crate::os::socket::{Drained, Socket};
use crate::os::stream::Stream;
use crate::proto::doom::Doom;

impl Driver {
    /// Those who come, for a bounded time: there may be a crowd of them.
    pub(super) fn accept(&mut self, now: Now, at: usize) {
        let until = self.clock.mono() + ARRIVING_TURN;
        for n in 0..self.engine.limits().accepts_turn {
            if n > 0 && self.clock.mono() >= until {
                return;
            }
            let Some(door) = self.doors.get_mut(at) else { return };
            let Some((stream, from, port)) = door.accept(now) else { return };
            let near = from.ip().is_none_or(|ip| ip.to_canonical().is_loopback());
            let accepted = self.engine.on_accept(now, door.place, from, near);
            // Whoever gets no slot is let go by dropping the socket; the engine counts it.
            let Ok(conn) = accepted else { continue };
            if let Some(port) = port {
                self.engine.hub_mut().observer.see(now, &Event::Port { conn, port });
            }
            self.admit(now, conn, stream);
        }
    }

    pub(super) fn admit(&mut self, now: Now, conn: ConnId, mut stream: Stream) {
        stream.do_not_wait();
        let registered = self.poller.register(&mut stream, poller::conn(conn));
        let slot = conn.index as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.sockets.get_mut(slot) {
            let hasty = self.engine.is_hasty(conn);
            let mut socket = Socket::new(conn, stream);
            socket.hasty = hasty;
            *place = Some(socket);
        }
        if registered.is_err() {
            self.engine.on_closed(now, conn, true);
        }
    }

    /// It has its turn, if there is one for it: it may stand in one of the lines already, or be
    /// one from whom nothing is wanted for now, which is no matter once it is gone. `again`: it was
    /// heard just now, and there is more.
    pub(super) fn line_up(&mut self, conn: ConnId, again: bool) {
        let is_in = !self.engine.is_stranger(conn);
        let slot = self.sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
        let Some(socket) = slot.filter(|s| s.conn == conn) else { return };
        if socket.queued || socket.paused && !socket.broken {
            return;
        }
        socket.queued = true;
        if socket.broken || socket.half_closed || !is_in {
            self.threshold.push_back(conn);
        } else if again {
            self.bulk.push_back(conn);
        } else {
            self.ready.push_back(conn);
        }
    }

    /// Those who have something to say, before those who have more: who says little does not wait
    /// until many have said much. These have what is left of a turn, and now and then a turn first.
    pub(super) fn hear(&mut self, now: Now) {
        let mut bytes = 0;
        if self.passed_over >= PASSED_OVER_MAX {
            bytes += self.hear_more(now, 1, READ_TURN);
        }
        for _ in 0..self.ready.len().min(READS_TURN) {
            // Those behind are first in the next turn.
            if bytes >= READ_TURN {
                break;
            }
            let Some(conn) = self.ready.pop_front() else { break };
            bytes += self.read(now, conn);
        }
        let waiting = self.bulk.len();
        self.hear_more(now, waiting.min(READS_TURN), READ_TURN.saturating_sub(bytes));
    }

    /// Of those who have more, so many, while so much was not heard.
    fn hear_more(&mut self, now: Now, most: usize, room: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..most {
            if bytes >= room {
                break;
            }
            let Some(conn) = self.bulk.pop_front() else { break };
            bytes += self.read(now, conn);
            self.passed_over = 0;
        }
        let passed_over = bytes == 0 && !self.bulk.is_empty();
        self.passed_over = self.passed_over.saturating_add(u8::from(passed_over));
        bytes
    }

    /// Those who want in and those who leave, after those who are in: so many, and for a bounded
    /// time.
    pub(super) fn mind_threshold(&mut self, now: Now) {
        let until = self.clock.mono() + THRESHOLD_TURN;
        for _ in 0..READS_TURN {
            let Some(conn) = self.threshold.pop_front() else { return };
            self.read(now, conn);
            if self.clock.mono() >= until {
                return;
            }
        }
    }

    /// 6. Who is over: last words, then the slot is free; the socket may wait for its peer. It
    ///    takes a bounded time, but for the end of everything.
    pub(super) fn bury(&mut self, now: Now) {
        let until = self.clock.mono() + BURIALS_TURN;
        while self.stopping.is_some() || self.clock.mono() < until {
            let Some((conn, doom)) = self.engine.poll_doomed() else { break };
            if self.engine.is_local(conn) {
                self.locals.bury(now, &mut self.engine, conn);
                self.engine.bury(conn);
                continue;
            }
            self.out.clear();
            self.engine.poll_transmit(now, conn, &mut self.out);
            self.engine.bury(conn);
            let slot = self.sockets.get_mut(conn.index as usize);
            let Some(mut socket) = slot.and_then(|s| s.take_if(|s| s.conn == conn)) else {
                continue;
            };
            if let Some(dialed) = socket.dialing.as_deref()
                && doom == Doom::ConnectTimeout
            {
                self.upstreams.on_silent(dialed);
            }
            if doom == Doom::Reset {
                continue;
            }
            match socket.drain(&self.out) {
                // The peer has said everything and was told everything: nothing can be lost.
                Drained::All if doom == Doom::Eof && !socket.is_blocked() => continue,
                Drained::All => {}
                Drained::Part(done) => socket.keep(&self.out, done),
                Drained::Broken => continue,
            }
            self.linger.add(now, &self.poller, socket);
        }
        self.linger.on_time(now);
    }
}

/// Nanoseconds of a turn for accepting who comes to a listener.
const ARRIVING_TURN: u64 = 100_000;
/// Nanoseconds of a turn for hearing those who are not in yet, and those who leave.
const THRESHOLD_TURN: u64 = 100_000;
/// Nanoseconds of a turn for letting go of those who are over.
const BURIALS_TURN: u64 = 100_000;
/// Turns in a row in which those who have more may be passed over.
const PASSED_OVER_MAX: u8 = 16;
