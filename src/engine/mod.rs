//! Floor 4. The broker as a value: bytes and time go in, bytes, effects and a deadline come out.
//!
//! Whoever drives it follows the order of a turn (`os/driver.rs`, and the simulator alike):
//! completions in, bytes in, `on_time`, `commit`, effects out, then `poll_dirty` with
//! `poll_transmit` for each, then `poll_doomed`. `on_*` tell what happened, `poll_*` ask what now.
//! A publisher's call never encodes for a subscriber; connections are closed between turns, never
//! inside somebody else's call. Absent on purpose: sockets, threads, clocks, entropy, files, logs.

mod admin;
mod asks;
mod audit;
mod calls;
mod conn;
mod crowd;
mod deadline;
mod ends;
mod errands;
mod later;
mod limited;
mod links;
mod local;
mod polls;
mod relays;
mod renewal;
mod unfinished;
mod verify;
mod waits;

#[cfg(test)]
mod calls_test;
#[cfg(test)]
mod crossing_test;
#[cfg(test)]
mod engine_test;
#[cfg(all(test, feature = "tls"))]
mod errands_test;
#[cfg(test)]
mod links_test;

pub use audit::{Audit, Broken};

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::access::gate::AdminGate;
use crate::access::line::Line;
use crate::access::twins::Twins;
use crate::base::dirty::Dirty;
use crate::base::id::{ConnId, Lsn, SessionId, Ticket};
use crate::base::limits::{Limit, Limits};
use crate::base::map::Seed;
use crate::base::outbound::Outbound;
use crate::base::slab::Slab;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, Now};
use crate::base::wheel::Wheel;
use crate::base::words::Tongue;
use crate::hub::Hub;
use crate::hub::admin::Operation;
use crate::hub::backlog::Stir;
use crate::hub::policy::{Address, Event, Secret};
use crate::hub::sys::Outside;
use crate::journal::job::{DiskDone, DiskJob};
use crate::link::{Inside, Link};
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::doom::Doom;
use crate::proto::fault::Blame;
use crate::proto::{Ctx, Listener, Peer, Protocol, Speak};

use conn::{Conn, Place, Since};
use crowd::Crowd;

/// Makes the key of the administrators' digests another one than the seed of maps.
const GATE: u64 = 0x67_61_74_65_6b_65_65_70;
/// Items moved from queues to drainers in a turn.
const DRAIN_TURN: usize = 256;
/// Sessions that wait to read ahead and are let go on in a turn.
const FEED_TURN: usize = 16;
/// Connections with input left over that are served again in a turn.
const READY_TURN: usize = 1_024;

/// Work for threads.
#[derive(Debug)]
pub enum Effect {
    /// Compare a password with a hash.
    Verify {
        /// Whose question.
        ticket: Ticket,
        /// The password.
        secret: Secret,
        /// The hash.
        hash: Arc<str>,
    },
    /// Something about the disk.
    Disk(DiskJob),
    /// Something that an operator wants.
    Operate {
        /// Whose wish.
        ticket: Ticket,
        /// What.
        what: Operation,
    },
    /// Something about the names of connectors, or a file of theirs, for who may wait for a disk.
    Errand {
        /// Whose.
        ticket: Ticket,
        /// Where it is kept.
        desk: Arc<Desk>,
        /// What.
        errand: Errand,
    },
    /// Open a connection.
    Dial {
        /// Under which name.
        conn: ConnId,
        /// To an upstream of this relay.
        relay: u16,
        /// Which of them.
        at: u16,
    },
}

/// Answers of threads.
#[derive(Debug)]
pub enum Completion {
    /// A password was compared.
    Verified {
        /// Whose question.
        ticket: Ticket,
        /// They match.
        ok: bool,
    },
    /// A disk job is done.
    Disk(DiskDone),
    /// That is what became of an errand.
    Ran {
        /// Whose.
        ticket: Ticket,
        /// What.
        done: Ran,
    },
    /// What an operator wanted is done, or not, and this is to be said about it.
    Operated {
        /// Whose wish.
        ticket: Ticket,
        /// What became of it.
        result: Result<String, String>,
    },
}

/// Why a connection gets no slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSlot {
    /// There are as many as there may be.
    Connections,
    /// Too many have not identified themselves yet.
    Strangers,
    /// As many come from its address as may.
    Address,
    /// They come too fast, from its address or from everywhere.
    Pace,
    /// All the memory there may be is in use.
    Memory,
    /// The policy wants nobody from there.
    Unwelcome,
    /// The broker is going down.
    Stopping,
    /// Its TLS cannot begin.
    Link,
}

/// Whose deadline.
#[derive(Clone, Copy, Debug)]
enum Timer {
    Conn(ConnId),
    Session(SessionId),
}

/// Whoever administers or embeds the broker comes in when nobody else does.
fn is_inner(speak: Speak) -> bool {
    matches!(speak, Speak::Http | Speak::Local)
}

/// The broker without the world.
pub struct Engine {
    conns: Slab<ConnId, Conn>,
    hub: Hub,
    listeners: Vec<Listener>,
    held: Vec<renewal::Held>,
    wheel: Wheel<Timer>,
    dirty: Dirty<ConnId>,
    ready: VecDeque<ConnId>,
    stalled: VecDeque<ConnId>,
    waiting: VecDeque<(Lsn, ConnId)>,
    doomed: VecDeque<ConnId>,
    later: later::Later,
    line: Line<verify::Check>,
    twins: Twins,
    crowd: Crowd,
    strangers: u32,
    /// What unfinished packets take of the memory, all together.
    unfinished: usize,
    stopping: bool,
    draining: bool,
    fired: Vec<Timer>,
    /// Memory in which links work, empty between calls.
    spare: BytesMut,
    inside: Outbound,
    /// The time of this turn.
    now: Now,
    /// When it was first told the time.
    started: Option<Now>,
    /// Where the listeners are.
    places: Vec<String>,
    /// The last snapshot for those who watch, and of which second it is.
    watched: Option<(u64, Bytes)>,
    /// What only the street knows, as it was told last.
    outside: Outside,
    /// When everything was last read again and taken over, and whether it was the last time; at
    /// first that is the start.
    reloaded: (u64, bool),
    /// What operators want of whoever drives the machine.
    operations: VecDeque<(Ticket, Operation)>,
    /// What connectors want kept or looked up.
    errands: VecDeque<Effect>,
    /// Nobody new is taken but administrators.
    closed: bool,
    /// Connections to be opened.
    dials: VecDeque<Effect>,
}

impl Engine {
    /// Put the machine around a hub that is new or was recovered.
    #[must_use]
    pub fn new(mut hub: Hub, listeners: Vec<Listener>, seed: u64) -> Self {
        let line = Line::new(renewal::places(&hub.limits), Seed::with_seed(seed));
        if listeners.iter().any(|l| l.speak == Speak::Http) {
            hub.observer.remember(hub.limits.history_clients_max);
        }
        hub.recall_bans();
        hub.observer.show = Some(crate::proto::carried::shown);
        hub.gate = Box::new(AdminGate::new([seed, seed.rotate_left(32) ^ GATE]));
        let twins = Twins::new(hub.limits.verify_per_address_max, Seed::with_seed(seed));
        let crowd = Crowd::new(&hub.limits, Seed::with_seed(seed));
        Self {
            conns: Slab::default(),
            hub,
            held: vec![renewal::Held::default(); listeners.len()],
            listeners,
            wheel: Wheel::default(),
            dirty: Dirty::default(),
            ready: VecDeque::new(),
            stalled: VecDeque::new(),
            waiting: VecDeque::new(),
            doomed: VecDeque::new(),
            later: later::Later::default(),
            line,
            twins,
            crowd,
            strangers: 0,
            unfinished: 0,
            stopping: false,
            draining: false,
            fired: Vec::new(),
            spare: BytesMut::new(),
            inside: Outbound::default(),
            now: Now { mono: 0, wall: 0 },
            started: None,
            places: Vec::new(),
            watched: None,
            outside: Outside::default(),
            reloaded: (0, true),
            operations: VecDeque::new(),
            errands: VecDeque::new(),
            closed: false,
            dials: VecDeque::new(),
        }
    }

    /// The shared middle, to look at.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The shared middle, for the embedder's own verbs.
    pub fn hub_mut(&mut self) -> &mut Hub {
        &mut self.hub
    }

    /// What only the street knows, for whoever asks.
    pub fn set_outside(&mut self, now: Now, outside: Outside) {
        self.hub.watch_growth(now);
        let connected = self.clients();
        self.outside = Outside { connected, ..outside };
    }

    /// Say under `$SYS` what has changed since the last time. Whoever drives the engine decides
    /// when, and has said what only the street knows.
    pub fn publish_sys(&mut self, now: Now) {
        self.hub.publish_sys(now, &self.outside);
        self.gather_awake();
    }

    /// Everything was read again, and taken over or not.
    pub fn on_reloaded(&mut self, now: Now, taken: bool) {
        self.reloaded.1 = taken;
        if taken {
            self.reloaded.0 = now.wall;
        }
    }

    /// Every bound.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.hub.limits
    }

    /// The listeners, as given.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// A connection was accepted.
    pub fn on_accept(
        &mut self,
        now: Now,
        listener: u16,
        address: Address,
        loopback: bool,
    ) -> Result<ConnId, NoSlot> {
        let counted = match self.on_knock(now, listener, address) {
            Ok(counted) => counted,
            Err(why) => {
                self.hub.stats.count(Counter::ConnectionsRefused);
                return Err(why);
            }
        };
        let Some(l) = self.listeners.get(usize::from(listener)) else {
            return Err(NoSlot::Stopping);
        };
        let Ok(mut link) = Link::new(&l.link, address.ip()) else {
            counted.inspect(|address| self.crowd.on_gone(*address, true));
            self.hub.stats.count(Counter::ConnectionsRefused);
            return Err(NoSlot::Link);
        };
        if l.link.inside != Inside::Bare && !self.hub.asks_who() {
            link.let_in_unasked();
        }
        let peer = match l.relay {
            Some(relay) => Peer::relayed(relay, now, &self.hub),
            None => Peer::new(l.speak, now, &self.hub),
        };
        let (no, greets) = (l.no, l.speak == Speak::Foo && link.is_open());
        let place = Place { listener, address, loopback };
        let tongue = match l.speak {
            Speak::Http | Speak::Stats => Tongue::Http,
            Speak::Local => Tongue::Local,
            Speak::Foo => Tongue::Foo,
            Speak::Prx1 | Speak::Mqtt | Speak::Wamp | Speak::Aio | Speak::Any => Tongue::Unknown,
        };
        let conn = self.conns.insert_with(|_| Conn::new(peer, link, place, now));
        if let Some(c) = self.conns.get_mut(conn) {
            (c.counted, c.tongue) = (counted.is_some(), tongue);
        }
        self.strangers += 1;
        self.came_to(listener, tongue);
        self.hub.stats.count(Counter::ConnectionsOpened);
        self.hub.observer.see(now, &Event::Opened { conn, listener: no, address });
        if greets {
            self.greet(now, conn);
        }
        self.settle(now, conn);
        Ok(conn)
    }

    /// Is there room for one more, and is it welcome? The answer says under which address it is
    /// counted from then on.
    fn on_knock(&mut self, now: Now, no: u16, from: Address) -> Result<Option<Address>, NoSlot> {
        let Some(listener) = self.listeners.get(usize::from(no)) else {
            return Err(NoSlot::Stopping);
        };
        self.knock_at(no)?;
        let limits = &self.hub.limits;
        let shut = self.closed && !is_inner(listener.speak);
        let (why, limit) = if self.stopping || shut {
            return Err(NoSlot::Stopping);
        } else if self.conns.len() + usize::from(listener.speak == Speak::Foo)
            >= limits.connections_max as usize
        {
            // A relay's client needs a connection of its own to an upstream besides.
            (NoSlot::Connections, Limit::connections_max)
        } else if self.strangers >= limits.strangers_max {
            (NoSlot::Strangers, Limit::strangers_max)
        } else if self.memory_is_used_up() && !is_inner(listener.speak) {
            (NoSlot::Memory, Limit::memory_bytes_max)
        } else if listener.speak == Speak::Local {
            // The embedding program does not come from anywhere.
            return Ok(None);
        } else {
            let proxy = from.ip().is_some_and(|ip| listener.link.trusts(ip));
            return self.welcome(now, from, proxy);
        };
        self.hub.limited(now, from.network().to_string().as_bytes(), limit);
        Err(why)
    }

    /// Bytes arrived. Takes all of `chunk`; what is no whole packet yet is kept.
    pub fn on_bytes(&mut self, now: Now, conn: ConnId, chunk: &mut BytesMut) {
        self.hub.stats.add(Counter::BytesReceived, chunk.len() as u64);
        let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) else {
            chunk.clear();
            return;
        };
        if let Link::Plain = c.link {
            return self.on_clear(now, conn, chunk);
        }
        let held = c.link.held();
        if let Peer::Wamp(peer) = &mut c.peer {
            // Control frames end in the link, and show as well that it is there.
            peer.on_alive(now);
        }
        let heard = self.unwrap(now, conn, chunk);
        if !chunk.is_empty() {
            self.on_clear(now, conn, chunk);
        } else if self.conns.get(conn).is_some_and(|c| c.link.held() != held) {
            self.note_rest(now, conn);
        }
        self.after_bytes(now, conn, heard);
        self.settle(now, conn);
    }

    /// Bytes for the peer.
    fn on_clear(&mut self, now: Now, conn: ConnId, chunk: &mut BytesMut) {
        let Some(c) = self.conns.get_mut(conn) else { return chunk.clear() };
        if c.input.is_empty() {
            self.feed(now, conn, Some(chunk));
            if let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) {
                c.input.extend_from_slice(chunk);
            }
            chunk.clear();
        } else {
            c.input.extend_from_slice(chunk);
            chunk.clear();
            self.feed(now, conn, None);
        }
        self.note_rest(now, conn);
        self.settle(now, conn);
    }

    /// Let the peer take packets from `chunk`, or from what it kept.
    fn feed(&mut self, now: Now, conn: ConnId, chunk: Option<&mut BytesMut>) {
        let mut kept = BytesMut::new();
        let own = chunk.is_none();
        if own && let Some(c) = self.conns.get_mut(conn) {
            kept = core::mem::take(&mut c.input);
        }
        let input = chunk.unwrap_or(&mut kept);
        let before = input.len();
        let result = self.call(now, conn, |peer, ctx| peer.on_bytes(input, ctx));
        let took = before != input.len();
        if let Some(c) = self.conns.get_mut(conn) {
            if took {
                c.partial = Since::NEVER;
            }
            if own && !kept.is_empty() {
                c.input = kept;
            }
        }
        if let Err(fault) = result {
            self.on_fault(now, conn, fault);
        }
    }

    /// What is left of the input: its share of the turn ran out, or a packet is not whole yet.
    fn note_rest(&mut self, now: Now, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        let ours = c.peer.has_packet(&c.input, &self.hub) || !c.peer.wants_bytes(&self.hub);
        let nothing = c.input.is_empty() && c.link.held() == 0;
        if nothing || ours || c.doom.is_some() {
            // What waits for us is not the peer's delay.
            c.partial = Since::NEVER;
        } else {
            c.partial = c.partial.or_at(now.mono);
        }
        self.note_unfinished(now, conn);
        self.note_ready(conn);
    }

    /// Packets are left and the peer takes them: it is served again before new bytes are.
    fn note_ready(&mut self, conn: ConnId) {
        let open = |c: &&mut Conn| c.doom.is_none() && !c.late && !c.ready;
        let Some(c) = self.conns.get_mut(conn).filter(open) else { return };
        if c.peer.wants_bytes(&self.hub) && c.peer.has_packet(&c.input, &self.hub) {
            c.ready = true;
            self.ready.push_back(conn);
        }
    }

    /// Call into a peer with its surroundings, then carry out what it asked for.
    fn call<T>(
        &mut self,
        now: Now,
        conn: ConnId,
        f: impl FnOnce(&mut Peer, &mut Ctx<'_>) -> Result<T, crate::proto::fault::Fault>,
    ) -> Result<(), crate::proto::fault::Fault> {
        let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) else { return Ok(()) };
        let Some(listener) = self.listeners.get(usize::from(c.listener)) else { return Ok(()) };
        let mut asks = Vec::new();
        let mut ctx = Ctx {
            now,
            conn,
            hub: &mut self.hub,
            asks: &mut asks,
            listener,
            address: c.address,
            loopback: c.loopback,
            certificate: c.link.certificate(),
        };
        let result = f(&mut c.peer, &mut ctx).map(|_| ());
        if c.stranger && !c.peer.is_stranger() {
            let before = core::mem::replace(&mut c.tongue, Tongue::named(c.peer.about().protocol));
            let (place, tongue) = (c.listener, c.tongue);
            self.turned(place, before, tongue);
            self.no_stranger(conn);
        }
        for ask in asks {
            self.on_ask(now, conn, ask);
        }
        result
    }

    fn on_fault(&mut self, now: Now, conn: ConnId, fault: crate::proto::fault::Fault) {
        if fault.blame == Blame::Peer {
            self.hub.stats.count(Counter::PeerFaults);
        }
        let event = Event::Fault { conn, clause: fault.clause, text: fault.kind.text() };
        self.hub.observer.see(now, &event);
        self.doom(now, conn, Doom::Fault(fault));
    }

    /// A thread answered.
    pub fn on_completion(&mut self, now: Now, done: Completion) {
        match done {
            Completion::Verified { ticket, ok } => self.on_verified(now, ticket, ok),
            Completion::Ran { ticket, done } => self.on_ran(now, ticket, done),
            Completion::Operated { ticket, result } => self.on_operated(now, ticket, result),
            Completion::Disk(done) => match self.hub.on_disk(now, done) {
                Stir::Synced { room } => {
                    self.release();
                    if room {
                        self.unstall(now);
                    }
                }
                Stir::Room => self.unstall(now),
                Stir::Failed => self.on_disk_failed(now),
                Stir::Quiet => {}
            },
        }
        self.gather_awake();
    }

    /// The clock moved: deadlines, and work that was left over.
    pub fn on_time(&mut self, now: Now) {
        self.hub.timings.on_turn(now);
        self.now = now;
        self.hub.polls.forget(now);
        self.started.get_or_insert(now);
        // Who came in this turn has had its time for filters; these have their own.
        self.hub.effort.begin();
        for _ in 0..self.ready.len().min(READY_TURN) {
            if self.hub.effort.is_over() {
                // The others are first in the next turn.
                break;
            }
            let Some(conn) = self.ready.pop_front() else { break };
            let Some(c) = self.conns.get_mut(conn) else { continue };
            c.ready = false;
            self.feed(now, conn, None);
            self.note_rest(now, conn);
            self.settle(now, conn);
        }
        self.say_later(now);
        self.watch_flush(now);
        let mut fired = core::mem::take(&mut self.fired);
        self.wheel.advance(now, &mut fired);
        for timer in fired.drain(..) {
            match timer {
                Timer::Conn(conn) => self.on_conn_deadline(now, conn),
                Timer::Session(id) => self.hub.on_session_deadline(now, id),
            }
        }
        self.fired = fired;
        self.draining = self.hub.drain_some(now, DRAIN_TURN);
        self.hub.prune_some();
        self.hub.feed_hungry(FEED_TURN);
        self.hub.fire_wills(now);
        self.hub.sweep_retained(now);
        if !self.hub.relays.is_empty() {
            self.tend_relays(now);
        }
        self.tend_calls(now);
        if !self.stalled.is_empty() && !self.hub.memory_is_short() {
            self.unstall(now);
        }
        self.gather_awake();
    }

    fn on_conn_deadline(&mut self, now: Now, conn: ConnId) {
        let limits = &self.hub.limits;
        let (packet_ms, stuck_ms) = (limits.packet_ms_max, limits.stuck_ms_max);
        let Some(c) = self.conns.get_mut(conn) else { return };
        c.armed = Deadline::NEVER;
        if let Some(doom) = c.overdue(now, packet_ms, stuck_ms) {
            return self.doom(now, conn, doom);
        }
        let mut verdict = Ok(());
        let _ = self.call(now, conn, |peer, ctx| {
            verdict = peer.on_deadline(ctx);
            Ok(())
        });
        match verdict {
            Ok(()) => {
                // It may take again what it would not take until now.
                self.note_ready(conn);
                self.settle(now, conn);
            }
            Err(doom) => self.doom(now, conn, doom),
        }
    }

    /// After anything happened to a connection: arm its deadline if it moved earlier, put it
    /// among those with something to say, and collect whom the hub wants heard.
    fn settle(&mut self, now: Now, conn: ConnId) {
        self.consult(now, conn);
        self.tell_of_poll(conn);
        self.arm(conn);
        if let Some(c) = self.conns.get_mut(conn)
            && let Some(lsn) = c.peer.waits_for()
        {
            if lsn <= self.hub.synced() || self.hub.flush_is_late() {
                self.dirty.mark(conn, &mut c.marked);
            } else {
                self.wait_for(now, lsn, conn);
            }
        }
        self.gather_awake();
    }

    fn gather_awake(&mut self) {
        while let Some(conn) = self.hub.poll_awake() {
            if let Some(c) = self.conns.get_mut(conn) {
                self.dirty.mark(conn, &mut c.marked);
            }
        }
        while let Some((at, id)) = self.hub.poll_timer() {
            self.wheel.arm(at, Timer::Session(id));
        }
    }

    /// The end of what happens in a turn: one record for everything settled in it.
    pub fn commit(&mut self) {
        self.hub.commit();
        self.hub.effort.begin();
    }

    /// Work for threads, until there is none. `now` decides about retries.
    pub fn poll_effect(&mut self, now: Now) -> Option<Effect> {
        if let Some(effect) = self.poll_verify() {
            return Some(effect);
        }
        if let Some(effect) = self.dials.pop_front().or_else(|| self.errands.pop_front()) {
            return Some(effect);
        }
        if let Some((ticket, what)) = self.operations.pop_front() {
            return Some(Effect::Operate { ticket, what });
        }
        let hub = &mut self.hub;
        hub.note_tail(now);
        let journal = hub.journal.as_mut()?;
        let job = journal.poll_job(now)?;
        if let DiskJob::Sync { .. } = job {
            hub.on_flush_asked(now);
        }
        Some(Effect::Disk(job))
    }

    /// The next connection with something to say; each once, first marked first.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.dirty.take() {
            let Some(c) = self.conns.get_mut(conn) else { continue };
            c.marked = false;
            let free = c.blocked == Since::NEVER;
            if self.is_polled(conn) {
                self.speak_polled(self.now, conn);
            } else if free {
                return Some(conn);
            }
        }
        None
    }

    /// Connections that have something to say.
    #[must_use]
    pub fn dirty_len(&self) -> usize {
        self.dirty.len()
    }

    /// Encode what this connection says now into `out`, about one turn's share of it. Answers
    /// whether it has more to say and may, if there is time in this turn; what is kept and handed
    /// over anew may not, because it is nobody's haste.
    pub fn poll_transmit(&mut self, now: Now, conn: ConnId, out: &mut Outbound) -> bool {
        let budget = self.hub.limits.write_bytes_turn;
        self.consult(now, conn);
        let Some(c) = self.conns.get_mut(conn) else { return false };
        let before = out.len();
        let more = match c.link {
            Link::Plain => c.peer.poll_transmit(now, &mut self.hub, out, budget),
            Link::Wrapped(_) => self.say_wrapped(now, conn, out),
        };
        self.gather_errands(now, conn);
        // What is laid down is counted when it is fetched.
        let said = if self.is_polled(conn) { 0 } else { out.len() - before };
        self.hub.stats.add(Counter::BytesSent, said as u64);
        let Some(c) = self.conns.get_mut(conn) else { return false };
        if let Some(session) = c.peer.session() {
            self.hub.note_lag(session, false);
        }
        let more = more && c.doom.is_none();
        let haste = c.peer.session().is_none_or(|id| self.hub.share(id, budget) == budget);
        if more {
            self.dirty.mark(conn, &mut c.marked);
        }
        if let Some(lsn) = c.peer.waits_for().filter(|lsn| *lsn > self.hub.synced()) {
            self.wait_for(now, lsn, conn);
        }
        // Replies went out: a peer that took nothing because of them may go on, and has its time.
        self.note_ready(conn);
        self.arm(conn);
        self.end_if_over(now, conn);
        self.gather_awake();
        more && haste
    }

    /// The socket took only a part: say nothing more until it takes the rest.
    pub fn on_blocked(&mut self, now: Now, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(conn) {
            c.blocked = Since::at(now.mono);
            if let Some(session) = c.peer.session() {
                self.hub.note_lag(session, true);
            }
            self.settle(now, conn);
        }
    }

    /// The socket took something of the rest.
    pub fn on_progress(&mut self, now: Now, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(conn)
            && c.blocked != Since::NEVER
        {
            c.blocked = Since::at(now.mono);
        }
    }

    /// The socket took the rest.
    pub fn on_drained(&mut self, _: Now, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(conn) {
            c.blocked = Since::NEVER;
            self.dirty.mark(conn, &mut c.marked);
        }
        if !self.hub.relays.is_empty() {
            self.catch_up(conn);
        }
    }

    /// May bytes be read for it? Derived anew each time.
    #[must_use]
    pub fn wants_bytes(&self, conn: ConnId) -> bool {
        let limits = &self.hub.limits;
        let limit = limits.packet_bytes_max.max(limits.login_bytes_max).max(limits.wamp_bytes_max);
        self.conns.get(conn).is_some_and(|c| {
            !self.stopping
                && c.doom.is_none()
                && !c.late
                && c.eof == Since::NEVER
                && c.input.len() < limit + 5
                && !c.ready
                && c.peer.wants_bytes(&self.hub)
        })
    }
}
