//! Floor 6. One thread of the load generator: one loop over all of its sockets.
//!
//! A turn waits, reads and answers whoever has something, sends what is due, and writes. Clients
//! belong to threads by their number. A publisher and its subscribers may be on different threads,
//! so what came is counted on the board, and the publisher's thread is woken when there is credit.
//! Absent on purpose: a thread per client, and reconnecting: a connection that is lost ends the
//! run, because nothing that is measured afterwards is what was asked for.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token};

use crate::base::time::MS;
use crate::os::clock::Clock;
use crate::os::sys;

use super::client::{Client, Publisher, Role, State, Subscriber};
use super::open::Schedule;
use super::plan::{Pace, Plan};
use super::proc;
use super::shared::{Shared, Stage};
use super::tally::Tally;
use super::wire::{Heard, Step, Template, Tongue, filling};

/// One thread.
#[derive(Debug)]
pub(super) struct Engine<'a> {
    pub(super) plan: &'a Plan,
    pub(super) shared: &'a Shared,
    clock: Clock,
    pub(super) place: usize,
    poll: Poll,
    events: Events,
    alarm: Option<OwnedFd>,
    pub(super) clients: Vec<Client>,
    /// Roles not yet dialled, the next one last.
    waiting: Vec<(bool, u32)>,
    up: usize,
    /// Places of publishers.
    pub(super) publishers: Vec<usize>,
    /// Publishers, by number, of whom something came in this turn.
    pub(super) touched: Vec<u32>,
    /// Clients whose socket may still have something.
    pub(super) again: Vec<usize>,
    pub(super) scratch: Vec<u8>,
    pub(super) schedule: Option<Schedule>,
    /// Clients that were written for, kept from turn to turn for its memory.
    pub(super) wrote: Vec<usize>,
    ready: Vec<usize>,
    /// The latency of a message is looked at when its number has none of these bits.
    pub(super) sparse: u64,
    /// Nanoseconds of turns that found nothing, where none waits.
    pub(super) idle: u64,
    pub(super) tally: Tally,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        shared: &'a Shared,
        clock: Clock,
        place: usize,
        poll: Poll,
    ) -> io::Result<Self> {
        let mine = |n: &u32| *n as usize % shared.wakers.len().max(1) == place;
        // Taken from the back: who listens is dialled before who speaks, both by number.
        let publishers = (0..plan.publishers).rev().filter(mine).map(|n| (true, n));
        let subscribers = (0..plan.subscribers).rev().filter(mine).map(|n| (false, n));
        let waiting: Vec<(bool, u32)> = publishers.chain(subscribers).collect();
        let alarm = alarm(&poll)?;
        Ok(Self {
            plan,
            shared,
            clock,
            place,
            poll,
            events: Events::with_capacity(1_024),
            alarm,
            clients: Vec::with_capacity(waiting.len()),
            waiting,
            up: 0,
            publishers: Vec::new(),
            touched: Vec::new(),
            again: Vec::new(),
            scratch: vec![0; READ + plan.size],
            schedule: None,
            wrote: Vec::new(),
            ready: Vec::new(),
            sparse: if plan.is_deep() { SPARSE } else { 0 },
            idle: 0,
            tally: Tally::default(),
        })
    }

    /// The whole of it; what this thread saw.
    pub(super) fn run(mut self) -> Result<Tally, String> {
        let (own, since) = (proc::own(), self.now());
        self.dial_all()?;
        if !self.plan.lasts() {
            self.note_busy(own, since);
        }
        while self.shared.stage() == Stage::Dialling {
            self.turn(50 * MS)?;
        }
        self.talk()?;
        self.shared.sent_all.fetch_add(1, Ordering::Relaxed);
        let mut told = false;
        while self.shared.stage() == Stage::Running {
            self.turn(10 * MS)?;
            if !told && self.unacknowledged() == 0 {
                told = true;
                self.shared.settled.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.finish();
        Ok(self.tally)
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.mono()
    }

    /// How much of the time since then this thread had a processor.
    pub(super) fn note_busy(&mut self, own: Option<proc::Own>, since: u64) {
        let (Some(before), Some(after)) = (own, proc::own()) else { return };
        let wall = self.now().saturating_sub(since).max(1);
        let own = after.since(before);
        // Turning without a wait is no work.
        self.tally.used = own.used.saturating_sub(self.idle);
        self.tally.busy = self.tally.used as f64 / wall as f64;
        self.tally.waited = own.waited as f64 / wall as f64;
    }

    fn dial_all(&mut self) -> Result<(), String> {
        let (all, threads) = (self.waiting.len(), self.shared.wakers.len());
        if let Pace::Open(rate) = self.plan.pace
            && !self.plan.talks()
        {
            let (place, begin) = (self.place as u64, self.now());
            self.schedule = Some(Schedule::new(rate, threads as u64, place, begin));
        }
        while self.up < all && self.shared.stage() != Stage::Failed {
            let now = self.now();
            let next = match self.schedule {
                Some(schedule) => self.dial_due(schedule, now)?,
                None => {
                    while self.clients.len() < self.up + self.plan.dials && self.dial(now)? {}
                    now + 100 * MS
                }
            };
            self.sleep_until(next, now)?;
        }
        self.schedule = None;
        Ok(())
    }

    /// Dial whoever is due; when the next is.
    fn dial_due(&mut self, mut schedule: Schedule, now: u64) -> Result<u64, String> {
        let mut due = schedule.due();
        while due <= now && self.dial(due)? {
            self.tally.late.record(now - due);
            schedule.count += 1;
            due = schedule.due();
        }
        self.schedule = Some(schedule);
        Ok(if self.waiting.is_empty() { now + 100 * MS } else { due })
    }

    /// Dial the next one, who counts from then; false when all are dialled.
    fn dial(&mut self, begun: u64) -> Result<bool, String> {
        let Some((publishes, number)) = self.waiting.pop() else { return Ok(false) };
        let plan = self.plan;
        let role = if publishes {
            let seed = plan.seed.wrapping_add(number.into());
            let topic = plan.spoken(number);
            let payload = if plan.talks() { filling(plan.size, seed) } else { Bytes::new() };
            let template = Template::new(plan.tongue, &topic, plan.qos, false, payload);
            Role::Publisher(Box::new(Publisher::new(number, template.ok_or_else(unsayable)?)))
        } else {
            let (_, first, count) = plan.heard(number);
            Role::Subscriber(Box::new(Subscriber::new(number, first, count)))
        };
        let at = self.clients.len();
        let sources = plan.sources.len().max(1);
        let source = plan.sources.get((at * self.shared.wakers.len() + self.place) % sources);
        let seed = plan.seed ^ u64::from(plan.run) << 32 ^ at as u64;
        let dialled = plan.road.dial(source.copied(), self.poll.registry(), Token(at), seed);
        let pipe = dialled.map_err(|e| format!("{}: {e}", plan.road.place))?;
        if publishes {
            self.publishers.push(at);
        }
        self.clients.push(Client::new(pipe, role, begun));
        Ok(true)
    }

    /// Wait at most so many nanoseconds, and serve whoever has something.
    fn turn(&mut self, limit: u64) -> Result<(), String> {
        let limit = if self.again.is_empty() { limit } else { 0 };
        match self.poll.poll(&mut self.events, Some(Duration::from_nanos(limit))) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|e| e.to_string())?,
        }
        let mut ready = core::mem::take(&mut self.ready);
        ready.append(&mut self.again);
        let tokens = self.events.iter().map(|event| event.token());
        let mut woken = false;
        for token in tokens {
            woken |= token == WAKER;
            if token != WAKER && token != ALARM {
                ready.push(token.0);
            }
        }
        for at in ready.drain(..) {
            self.serve(at)?;
        }
        self.ready = ready;
        self.settle(woken);
        Ok(())
    }

    /// Wait until then at most; without a wait if the plan says so.
    pub(super) fn sleep_until(&mut self, next: u64, now: u64) -> Result<(), String> {
        if self.plan.spin {
            let came = self.tally.came;
            self.turn(0)?;
            if self.events.is_empty() && self.again.is_empty() && self.tally.came == came {
                self.idle += self.now().saturating_sub(now);
            }
            return Ok(());
        }
        let wait = next.saturating_sub(now);
        #[cfg(target_os = "linux")]
        if let Some(alarm) = &self.alarm
            && self.schedule.is_some()
            && wait > 0
        {
            use std::os::fd::AsFd;

            sys::set_alarm(alarm.as_fd(), wait).map_err(|e| e.to_string())?;
            return self.turn(wait + 10 * MS);
        }
        self.turn(wait)
    }

    pub(super) fn flush(&mut self, at: usize) -> Result<(), String> {
        self.clients.get_mut(at).map_or(Ok(()), |it| it.flush().map_err(|e| lost(&e)))
    }

    pub(super) fn on_heard(&mut self, at: usize, heard: Heard, now: u64) -> Result<(), String> {
        let tongue = self.plan.tongue;
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        match (heard, &mut client.role) {
            (Heard::Connected(most), role) if client.state == State::Asked => {
                self.tally.connects.record(now.saturating_sub(client.begun));
                match role {
                    Role::Publisher(it) => {
                        it.flight_max = most.into();
                        client.state = State::Up;
                    }
                    Role::Subscriber(it) => {
                        let (filter, ..) = self.plan.heard(it.number);
                        let words = tongue.subscribe(&[filter], self.plan.qos);
                        client.out.extend(words.ok_or_else(unsayable)?);
                        client.state = State::Subscribing;
                    }
                }
            }
            (Heard::Subscribed, _) if client.state == State::Subscribing => {
                client.state = State::Up;
            }
            (Heard::Rel(id), Role::Subscriber(_)) => {
                tongue.put_step(Step::Comp, id, &mut client.out);
                return Ok(());
            }
            (Heard::Rec(id), Role::Publisher(_)) => {
                tongue.put_step(Step::Rel, id, &mut client.out);
                return Ok(());
            }
            (Heard::Acked(id), Role::Publisher(_)) => return self.on_acked(at, id, now),
            (Heard::Nothing, _) => return Ok(()),
            _ => return Err("the broker answered what nobody asked".to_owned()),
        }
        if client.state == State::Up {
            self.up += 1;
            self.shared.up_at.fetch_max(now, Ordering::Relaxed);
            self.shared.up.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    fn unacknowledged(&self) -> u64 {
        let roles = self.clients.iter().map(|client| &client.role);
        let of = |role: &Role| match role {
            Role::Publisher(it) => it.flight.len() as u64,
            Role::Subscriber(_) => 0,
        };
        roles.map(of).sum()
    }

    /// Count what never came, and say goodbye.
    fn finish(&mut self) {
        self.tally.unacknowledged = self.unacknowledged();
        for client in &mut self.clients {
            let mut filters = Vec::new();
            if let Role::Subscriber(it) = &client.role {
                let heard = self.shared.sent.iter().skip(it.first as usize).take(it.next.len());
                self.tally.owed += heard.map(Shared::time).sum::<u64>();
                self.tally.strayed += it.strayed;
                filters.push(self.plan.heard(it.number).0);
            }
            client.out.extend(self.plan.tongue.leave(&filters).unwrap_or_default());
            // Who does not take it learns it from the end of the connection.
            let _ = client.flush();
        }
    }
}

/// A dialled socket is ready for something: introduce ourselves, if it is a connection.
pub(super) fn knock(plan: &Plan, client: &mut Client) -> Result<bool, String> {
    if !client.pipe.is_up().map_err(|e| format!("{}: {e}", plan.road.place))? {
        return Ok(false);
    }
    let (kind, number) = match &client.role {
        Role::Publisher(it) => ('p', it.number),
        Role::Subscriber(it) => ('s', it.number),
    };
    let id = format!("bench-{:08x}-{kind}{number}", plan.run);
    let words = match plan.tongue {
        Tongue::Wamp(wamp) => wamp.connect(&plan.realm),
        tongue => tongue.connect(&id, plan.user.as_ref(), true),
    };
    let words = words.ok_or_else(unsayable)?;
    client.out.extend(words);
    client.state = State::Asked;
    Ok(true)
}

#[cfg(target_os = "linux")]
fn alarm(poll: &Poll) -> io::Result<Option<OwnedFd>> {
    use std::os::fd::AsRawFd;

    let alarm = sys::alarm()?;
    let fd = alarm.as_raw_fd();
    poll.registry().register(&mut mio::unix::SourceFd(&fd), ALARM, Interest::READABLE)?;
    Ok(Some(alarm))
}

#[cfg(not(target_os = "linux"))]
fn alarm(_: &Poll) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

pub(super) fn lost(e: &io::Error) -> String {
    format!("a connection was lost: {e}")
}

pub(super) fn unsayable() -> String {
    "the protocol cannot say this".to_owned()
}

/// Threads wake each other by this name.
pub(super) const WAKER: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);
/// Room for a read, besides a whole message: what fits a cache near the core.
const READ: usize = 128 << 10;
/// One in sixteen.
const SPARSE: u64 = 15;
