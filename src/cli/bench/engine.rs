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

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::base::time::MS;
use crate::os::clock::Clock;

use super::client::{Client, Publisher, Role, State, Subscriber};
use super::closed::credit;
use super::open::Schedule;
use super::plan::{Pace, Plan};
use super::proc;
use super::shared::{Shared, Stage};
use super::tally::Tally;
use super::wire::{Head, Heard, Step, Template, filling};

/// One thread.
#[derive(Debug)]
pub(super) struct Engine<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    clock: Clock,
    place: usize,
    poll: Poll,
    events: Events,
    alarm: Option<OwnedFd>,
    clients: Vec<Client>,
    /// Roles not yet dialled, the next one last.
    waiting: Vec<(bool, u32)>,
    up: usize,
    /// Places of publishers.
    publishers: Vec<usize>,
    /// Publishers, by number, of whom something came in this turn.
    touched: Vec<u32>,
    /// Clients whose socket may still have something.
    again: Vec<usize>,
    scratch: Vec<u8>,
    schedule: Option<Schedule>,
    tally: Tally,
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

    fn now(&self) -> u64 {
        self.clock.now().mono
    }

    /// How much of the time since then this thread had a processor.
    fn note_busy(&mut self, own: Option<u64>, since: u64) {
        let (Some(before), Some(after)) = (own, proc::own()) else { return };
        let wall = self.now().saturating_sub(since).max(1);
        self.tally.busy = after.saturating_sub(before) as f64 / wall as f64;
    }

    fn dial_all(&mut self) -> Result<(), String> {
        let all = self.waiting.len();
        while self.up < all {
            while self.clients.len() < self.up + self.plan.dials {
                let Some((publishes, number)) = self.waiting.pop() else { break };
                self.dial(publishes, number)?;
            }
            self.turn(100 * MS)?;
            if self.shared.stage() == Stage::Failed {
                break;
            }
        }
        Ok(())
    }

    fn dial(&mut self, publishes: bool, number: u32) -> Result<(), String> {
        let plan = self.plan;
        let role = if publishes {
            let seed = plan.seed.wrapping_add(number.into());
            let topic = plan.spoken(number);
            let payload = filling(plan.size, seed);
            let template = Template::new(plan.tongue, &topic, plan.qos, false, payload);
            Role::Publisher(Box::new(Publisher::new(number, template.ok_or_else(unsayable)?)))
        } else {
            let (_, first, count) = plan.heard(number);
            Role::Subscriber(Box::new(Subscriber::new(number, first, count)))
        };
        let begun = self.now();
        let dialled = TcpStream::connect(plan.address).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.clients.len()), interest)?;
            Ok(stream)
        });
        let stream = dialled.map_err(|e| format!("{}: {e}", plan.address))?;
        if publishes {
            self.publishers.push(self.clients.len());
        }
        self.clients.push(Client::new(stream, role, begun));
        Ok(())
    }

    /// Wait at most so many nanoseconds, and serve whoever has something.
    fn turn(&mut self, limit: u64) -> Result<(), String> {
        let limit = if self.again.is_empty() { limit } else { 0 };
        match self.poll.poll(&mut self.events, Some(Duration::from_nanos(limit))) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|e| e.to_string())?,
        }
        let mut ready = core::mem::take(&mut self.again);
        let tokens = self.events.iter().map(|event| event.token());
        let mut woken = false;
        for token in tokens {
            woken |= token == WAKER;
            if token != WAKER && token != ALARM {
                ready.push(token.0);
            }
        }
        for at in ready {
            self.serve(at)?;
        }
        self.settle(woken);
        Ok(())
    }

    fn serve(&mut self, at: usize) -> Result<(), String> {
        let mut scratch = core::mem::take(&mut self.scratch);
        let served = self.serve_with(at, &mut scratch);
        self.scratch = scratch;
        served
    }

    fn serve_with(&mut self, at: usize, scratch: &mut [u8]) -> Result<(), String> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        if client.state == State::Dialling && !knock(self.plan, client)? {
            return Ok(());
        }
        for _ in 0..READS {
            let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
            let Some((len, more)) = client.read(scratch).map_err(|e| lost(&e))? else {
                return self.flush(at);
            };
            let now = self.now();
            let mut input = scratch.get(..len).unwrap_or_default();
            while let Some((heard, used)) = self.plan.tongue.next(input, self.plan.size)? {
                self.on_heard(at, heard, now)?;
                input = input.get(used..).unwrap_or_default();
            }
            if let Some(client) = self.clients.get_mut(at) {
                client.keep(input);
            }
            if !more {
                return self.flush(at);
            }
        }
        self.again.push(at);
        self.flush(at)
    }

    fn flush(&mut self, at: usize) -> Result<(), String> {
        self.clients.get_mut(at).map_or(Ok(()), |it| it.flush().map_err(|e| lost(&e)))
    }

    fn on_heard(&mut self, at: usize, heard: Heard, now: u64) -> Result<(), String> {
        let tongue = self.plan.tongue;
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        match (heard, &mut client.role) {
            (Heard::Connected(most), role) if client.state == State::Asked => {
                self.tally.connects.record((now - client.begun) / 1_000);
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
            (Heard::Message(qos, id, head), Role::Subscriber(it)) => {
                if head.run != self.plan.run || !it.on_message(&head) {
                    return Err("a message came that was not for its subscriber".to_owned());
                }
                match qos {
                    1 => tongue.put_step(Step::Ack, id, &mut client.out),
                    2 => tongue.put_step(Step::Rec, id, &mut client.out),
                    _ => {}
                }
                self.on_delivered(&head, now);
                return Ok(());
            }
            (Heard::Rel(id), Role::Subscriber(_)) => {
                tongue.put_step(Step::Comp, id, &mut client.out);
                return Ok(());
            }
            (Heard::Rec(id), Role::Publisher(_)) => {
                tongue.put_step(Step::Rel, id, &mut client.out);
                return Ok(());
            }
            (Heard::Acked(id), Role::Publisher(it)) => {
                let (sent, counts) = it.on_acked(id).ok_or("an acknowledgement of nothing")?;
                if counts {
                    self.tally.acks.record(now.saturating_sub(sent) / 1_000);
                }
                touch(&mut self.touched, it.number);
                return Ok(());
            }
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

    fn on_delivered(&mut self, head: &Head, now: u64) {
        let from = Shared::time(&self.shared.from);
        let until = Shared::time(&self.shared.until);
        self.tally.came += 1;
        if (from..until).contains(&now) {
            self.tally.delivered += 1;
        }
        if (from..until).contains(&head.due) {
            self.tally.due.record(now.saturating_sub(head.due) / 1_000);
            self.tally.sent.record(now.saturating_sub(head.sent) / 1_000);
        }
        if self.shared.came(head.publisher).is_multiple_of(self.plan.fan()) {
            touch(&mut self.touched, head.publisher);
        }
    }

    /// Whoever has new credit uses it, here or on its own thread.
    fn settle(&mut self, woken: bool) {
        let touched = core::mem::take(&mut self.touched);
        if self.schedule.is_none() && self.shared.stage() == Stage::Running {
            let threads = self.shared.wakers.len().max(1);
            let mut others = 0u64;
            for number in &touched {
                let owner = *number as usize % threads;
                if owner == self.place {
                    self.fill(*number as usize / threads);
                } else {
                    others |= 1 << (owner % 64);
                }
            }
            for thread in (0..threads).filter(|thread| others & 1 << (thread % 64) != 0) {
                self.shared.wake(thread);
            }
            if woken {
                self.fill_all();
            }
        }
        self.touched = touched;
        self.touched.clear();
    }

    fn fill_all(&mut self) {
        for nth in 0..self.publishers.len() {
            self.fill(nth);
        }
    }

    /// Let this thread's nth publisher fill its window.
    fn fill(&mut self, nth: usize) {
        let Pace::Closed(window) = self.plan.pace else { return };
        if !self.plan.talks() {
            return;
        }
        let Some(at) = self.publishers.get(nth).copied() else { return };
        let now = self.now();
        let from = Shared::time(&self.shared.from);
        let is_time = now >= Shared::time(&self.shared.begin);
        let Some(client) = self.clients.get_mut(at) else { return };
        let Role::Publisher(it) = &mut client.role else { return };
        if is_time && now < Shared::time(&self.shared.until) {
            let came = self.shared.came.get(it.number as usize).map_or(0, Shared::time);
            let more = credit(window.into(), it.seq, it.acked, came, self.plan.fan());
            let head = Head { run: self.plan.run, due: now, sent: now, ..Head::default() };
            for _ in 0..more {
                if !it.send(self.plan.qos, head, now >= from, &mut client.out) {
                    break;
                }
            }
        }
        // A socket that is broken says so when it is read.
        let _ = client.flush();
    }

    /// Publish for as long as the run lasts.
    fn talk(&mut self) -> Result<(), String> {
        let (begin, from) = (Shared::time(&self.shared.begin), Shared::time(&self.shared.from));
        let until = Shared::time(&self.shared.until);
        if let Pace::Open(rate) = self.plan.pace {
            let senders = self.shared.wakers.len().min(self.plan.publishers as usize);
            let own = self.place < senders;
            let schedule = Schedule::new(rate, senders as u64, self.place as u64, begin);
            self.schedule = own.then_some(schedule);
        }
        let (mut busy, mut filled) = (None, false);
        loop {
            let now = self.now();
            if now >= until || self.shared.stage() != Stage::Running {
                break;
            }
            if now >= from && busy.is_none() {
                busy = proc::own().map(|time| (time, now));
            }
            if !filled && now >= begin {
                filled = true;
                self.fill_all();
            }
            let next = if now < begin { begin } else { until.min(now + 50 * MS) };
            let next = if now < from { next.min(from) } else { next };
            let next = self.send_due(now, until)?.map_or(next, |due| due.min(next));
            self.sleep_until(next)?;
        }
        if let Some((own, since)) = busy {
            self.note_busy(Some(own), since);
        }
        if let Some(schedule) = &self.schedule {
            self.tally.unsent = schedule.left(until);
        }
        for at in &self.publishers {
            let Some(Role::Publisher(it)) = self.clients.get(*at).map(|it| &it.role) else {
                continue;
            };
            if let Some(sent) = self.shared.sent.get(it.number as usize) {
                sent.store(it.seq, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Send what the schedule has due by now; when the next is.
    fn send_due(&mut self, now: u64, until: u64) -> Result<Option<u64>, String> {
        let Some(mut schedule) = self.schedule else { return Ok(None) };
        let from = Shared::time(&self.shared.from);
        let mut touched = Vec::new();
        let mut next = schedule.due();
        while next <= now && next < until {
            let nth = schedule.count % (self.publishers.len() as u64).max(1);
            let Some(at) = self.publishers.get(nth as usize).copied() else { break };
            let Some(client) = self.clients.get_mut(at) else { break };
            let Role::Publisher(it) = &mut client.role else { break };
            let head = Head { run: self.plan.run, due: next, sent: now, ..Head::default() };
            if !it.send(self.plan.qos, head, next >= from, &mut client.out) {
                // Nothing may overtake it; whatever makes room ends the wait.
                next = now + MS;
                break;
            }
            if next >= from {
                self.tally.late.record((now - next) / 1_000);
            }
            if touched.last() != Some(&at) {
                touched.push(at);
            }
            schedule.count += 1;
            next = schedule.due();
        }
        self.schedule = Some(schedule);
        for at in touched {
            self.flush(at)?;
        }
        Ok(Some(next))
    }

    #[cfg(target_os = "linux")]
    fn sleep_until(&mut self, next: u64) -> Result<(), String> {
        use std::os::fd::AsFd;

        let wait = next.saturating_sub(self.now());
        if let Some(alarm) = &self.alarm
            && wait > 0
        {
            crate::os::sys::set_alarm(alarm.as_fd(), wait).map_err(|e| e.to_string())?;
            return self.turn(wait + 10 * MS);
        }
        self.turn(wait)
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep_until(&mut self, next: u64) -> Result<(), String> {
        self.turn(next.saturating_sub(self.now()))
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
fn knock(plan: &Plan, client: &mut Client) -> Result<bool, String> {
    let refused = |e: io::Error| format!("{}: {e}", plan.address);
    if let Some(e) = client.stream.take_error().map_err(refused)? {
        return Err(refused(e));
    }
    if client.stream.peer_addr().is_err() {
        return Ok(false);
    }
    client.stream.set_nodelay(true).map_err(refused)?;
    let (kind, number) = match &client.role {
        Role::Publisher(it) => ('p', it.number),
        Role::Subscriber(it) => ('s', it.number),
    };
    let id = format!("bench-{:08x}-{kind}{number}", plan.run);
    let words = plan.tongue.connect(&id, plan.user.as_ref(), true).ok_or_else(unsayable)?;
    client.out.extend(words);
    client.state = State::Asked;
    Ok(true)
}

#[cfg(target_os = "linux")]
fn alarm(poll: &Poll) -> io::Result<Option<OwnedFd>> {
    use std::os::fd::AsRawFd;

    let alarm = crate::os::sys::alarm()?;
    let fd = alarm.as_raw_fd();
    poll.registry().register(&mut mio::unix::SourceFd(&fd), ALARM, Interest::READABLE)?;
    Ok(Some(alarm))
}

#[cfg(not(target_os = "linux"))]
fn alarm(_: &Poll) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

fn touch(touched: &mut Vec<u32>, number: u32) {
    if touched.last() != Some(&number) {
        touched.push(number);
    }
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
/// Room for a read, besides a whole message.
const READ: usize = 320 << 10;
/// A socket is read so often before the others have their turn.
const READS: usize = 16;
