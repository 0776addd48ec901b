//! Floor 6. Scenarios that lay something in at the broker first: subscriptions, kept values,
//! messages for one who is away.
//!
//! Nothing in them happens at the same time, so each is a line of steps over blocking sockets: a
//! window of messages goes out, its acknowledgements come in. What is fetched again is checked one
//! by one, and taken away afterwards. Absent on purpose: a schedule, and threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::time::MS;
use crate::os::clock::Clock;

use super::client::{Publisher, Subscriber};
use super::engine::{lost, unsayable};
use super::open::Schedule;
use super::plan::{Pace, Plan, Scenario};
use super::proc::{self, Sample};
use super::tally::{Outcome, Phase};
use super::wire::{Head, Heard, Step, Template, filling};

/// Do what the plan says.
pub(super) fn run(plan: &Plan) -> Result<Outcome, String> {
    let (clock, outcome) = (Clock::start(), Outcome::default());
    let mut store = Store { plan, clock, until: u64::MAX, outcome };
    store.outcome.empty = store.sample();
    match plan.scenario {
        Scenario::Retained => store.retained()?,
        Scenario::Drain => store.drain()?,
        _ => store.subscriptions()?,
    }
    store.outcome.full = store.sample();
    Ok(store.outcome)
}

/// A run, step by step.
#[derive(Debug)]
struct Store<'a> {
    plan: &'a Plan,
    clock: Clock,
    /// When the patience with a step is over.
    until: u64,
    outcome: Outcome,
}

impl Store<'_> {
    fn sample(&self) -> Option<Sample> {
        self.plan.pid.and_then(Sample::of)
    }

    fn patient(&self) -> Result<(), String> {
        if self.clock.mono() <= self.until {
            return Ok(());
        }
        Err(format!("a step took longer than {} ms", self.plan.patience / MS))
    }

    /// Do many of one thing, and note what it took.
    fn phase(
        &mut self,
        (done, each): (&'static str, &'static str),
        work: impl FnOnce(&mut Self) -> Result<u64, String>,
    ) -> Result<(), String> {
        let (before, since, own) = (self.sample(), self.clock.mono(), proc::own());
        self.until = since.saturating_add(self.plan.patience);
        let count = work(self)?;
        let nanos = self.clock.mono() - since;
        if let (Some(own), Some(now)) = (own, proc::own()) {
            let (own, tally) = (now.since(own), &mut self.outcome.tally);
            tally.busy = tally.busy.max(own.used as f64 / nanos.max(1) as f64);
            tally.waited = tally.waited.max(own.waited as f64 / nanos.max(1) as f64);
        }
        let after = self.sample();
        self.outcome.phases.push(Phase { done, each, count, nanos, before, after });
        Ok(())
    }

    fn retained(&mut self) -> Result<(), String> {
        let plan = self.plan;
        let mut line = Line::dial(plan, "p0", true)?;
        let mut publisher = line.publisher()?;
        let payload = filling(plan.size, plan.seed);
        self.phase(("stored", "stored"), |it| it.put(&mut line, &mut publisher, Some(&payload)))?;
        let filter = plan.tongue.below(&plan.root());
        let mut seen = vec![false; plan.count as usize];
        let mut reader = Line::dial(plan, "s0", true)?;
        self.phase(("fetched", "fetched"), |it| {
            reader.ask(core::slice::from_ref(&filter))?;
            it.take(&mut reader, |head| match seen.get_mut(head.seq as usize) {
                Some(seen) => !core::mem::replace(seen, true),
                None => false,
            })
        })?;
        reader.leave(&[filter])?;
        // Empty values take the others away.
        publisher.seq = 0;
        self.put(&mut line, &mut publisher, Some(&Bytes::new()))?;
        line.leave(&[])
    }

    fn drain(&mut self) -> Result<(), String> {
        let plan = self.plan;
        let filters = [plan.topic(0)];
        let mut away = Line::dial(plan, "s0", false)?;
        away.ask(&filters)?;
        away.await_answers(1)?;
        away.leave(&[])?;
        let mut line = Line::dial(plan, "p0", true)?;
        let mut publisher = line.publisher()?;
        self.phase(("stored", "stored"), |it| it.put(&mut line, &mut publisher, None))?;
        line.leave(&[])?;
        let mut hearing = Subscriber::new(0, 0, 1);
        let mut back = None;
        // What waited comes at once: coming back is a part of it.
        self.phase(("fetched", "fetched"), |it| {
            it.take(back.insert(Line::dial(plan, "s0", false)?), |head| {
                let before = hearing.strayed;
                hearing.on_message(head) && hearing.strayed == before
            })
        })?;
        back.map_or(Ok(()), |mut back| back.leave(&filters))?;
        // Whoever comes in anew forgets the session.
        Line::dial(plan, "s0", true)?.leave(&[])
    }

    fn subscriptions(&mut self) -> Result<(), String> {
        let plan = self.plan;
        let crowd = u64::from(plan.subscribers);
        let mut lines = Vec::new();
        for nth in 0..crowd {
            lines.push((Line::dial(plan, &format!("s{nth}"), true)?, Subscriber::new(0, 0, 1)));
        }
        self.phase(("subscribed", "subscription"), |it| {
            for (nth, (line, _)) in (0..).zip(&mut lines) {
                let own: Vec<u64> = (nth..plan.count).step_by(crowd as usize).collect();
                for some in own.chunks(FILTERS) {
                    it.patient()?;
                    let filters: Vec<String> = some.iter().map(|n| plan.filter(*n)).collect();
                    line.ask(&filters)?;
                    line.await_answers(plan.tongue.answers(filters.len()))?;
                }
            }
            Ok(plan.count)
        })?;
        let mut line = Line::dial(plan, "p0", true)?;
        let mut publisher = line.publisher()?;
        self.phase(("delivered", "message"), |it| {
            it.scatter(&mut line, &mut publisher, &mut lines)
        })?;
        line.leave(&[])?;
        for (nth, (line, hearing)) in (0..).zip(&mut lines) {
            let own = (nth..plan.count).step_by(crowd as usize);
            line.leave(&own.map(|n| plan.filter(n)).collect::<Vec<_>>())?;
            self.outcome.tally.strayed += hearing.strayed;
        }
        Ok(())
    }

    /// Publish as many as there are to be: to one topic, or with a value to keep to one each.
    fn put(
        &mut self,
        line: &mut Line<'_>,
        publisher: &mut Publisher,
        kept: Option<&Bytes>,
    ) -> Result<u64, String> {
        let plan = self.plan;
        let window = window(plan);
        if let Some(payload) = kept {
            let template =
                Template::new(plan.tongue, &plan.place(0), plan.qos, true, payload.clone());
            publisher.template = template.ok_or_else(unsayable)?;
        }
        while publisher.seq < plan.count || !publisher.flight.is_empty() {
            self.patient()?;
            while publisher.seq < plan.count && publisher.flight.len() < window {
                if kept.is_some() {
                    publisher.template.readdress(publisher.seq);
                }
                if !self.send(line, publisher, None) {
                    break;
                }
            }
            let heard = line.next()?.ok_or("the broker stopped to acknowledge")?;
            self.on_answer(line, publisher, heard)?;
        }
        Ok(plan.count)
    }

    fn send(&self, line: &mut Line<'_>, publisher: &mut Publisher, due: Option<u64>) -> bool {
        let now = self.clock.mono();
        let due = due.unwrap_or(now);
        let head = Head { run: self.plan.run, due, sent: now, ..Head::default() };
        publisher.send(self.plan.qos, head, true, &mut line.out)
    }

    fn on_answer(
        &mut self,
        line: &mut Line<'_>,
        publisher: &mut Publisher,
        heard: Heard,
    ) -> Result<(), String> {
        match heard {
            Heard::Acked(id) => {
                let (sent, _) = publisher.on_acked(id).ok_or("an acknowledgement of nothing")?;
                let now = self.clock.mono();
                self.outcome.tally.acks.record(now.saturating_sub(sent));
            }
            Heard::Rec(id) => self.plan.tongue.put_step(Step::Rel, id, &mut line.out),
            _ => {}
        }
        Ok(())
    }

    /// Take what comes until all has, or nothing does. `is_new`: was it to come now, and first?
    fn take(
        &mut self,
        line: &mut Line<'_>,
        mut is_new: impl FnMut(&Head) -> bool,
    ) -> Result<u64, String> {
        let mut came = 0;
        while came < self.plan.count {
            self.patient()?;
            let Some(heard) = line.next()? else { break };
            if let Some(head) = line.on_message(heard)? {
                came += 1;
                self.outcome.tally.strayed += u64::from(!is_new(&head));
            }
        }
        line.flush()?;
        self.outcome.tally.owed += self.plan.count;
        self.outcome.tally.came += came;
        Ok(came)
    }

    /// Publish to topics by chance, a window or what is due at a time, as long as the run lasts.
    fn scatter(
        &mut self,
        line: &mut Line<'_>,
        publisher: &mut Publisher,
        lines: &mut [(Line<'_>, Subscriber)],
    ) -> Result<u64, String> {
        let plan = self.plan;
        let payload = filling(plan.size, plan.seed);
        let template = Template::new(plan.tongue, &plan.place(0), plan.qos, false, payload);
        publisher.template = template.ok_or_else(unsayable)?;
        let (mut rng, begin) = (Rng::new(plan.seed), self.clock.mono());
        let mut schedule = match plan.pace {
            Pace::Open(rate) => Some(Schedule::new(rate, 1, 0, begin)),
            Pace::Closed(_) => None,
        };
        let mut owed = vec![0u64; lines.len()];
        while self.clock.mono() < begin + plan.duration {
            for _ in 0..window(plan) {
                let due = schedule.as_mut().map(|schedule| self.await_due(schedule));
                if due == Some(None) {
                    break;
                }
                let n = rng.below(plan.count);
                publisher.template.readdress(n);
                if !self.send(line, publisher, due.flatten()) {
                    break;
                }
                let to = (n % lines.len().max(1) as u64) as usize;
                if let Some(owed) = owed.get_mut(to) {
                    *owed += 1;
                    self.outcome.tally.owed += 1;
                }
            }
            line.flush()?;
            for ((line, hearing), owed) in lines.iter_mut().zip(&mut owed) {
                self.collect(line, hearing, core::mem::take(owed))?;
            }
            while !publisher.flight.is_empty() {
                let heard = line.next()?.ok_or("the broker stopped to acknowledge")?;
                self.on_answer(line, publisher, heard)?;
            }
        }
        self.outcome.tally.unsent = schedule.map_or(0, |it| it.left(begin + plan.duration));
        Ok(self.outcome.tally.came)
    }

    /// When the next message was due; nothing if it is not yet, and the wait for it is over.
    fn await_due(&self, schedule: &mut Schedule) -> Option<u64> {
        let (due, now) = (schedule.due(), self.clock.mono());
        if now < due {
            std::thread::sleep(Duration::from_nanos(due - now));
            return None;
        }
        schedule.count += 1;
        Some(due)
    }

    /// So many messages on one line.
    fn collect(
        &mut self,
        line: &mut Line<'_>,
        hearing: &mut Subscriber,
        mut owed: u64,
    ) -> Result<(), String> {
        let tally = &mut self.outcome.tally;
        while owed > 0 {
            let heard = line.next()?.ok_or("a delivery never came")?;
            let Some(head) = line.on_message(heard)? else { continue };
            if !hearing.on_message(&head) {
                return Err("a message came that was not for its subscriber".to_owned());
            }
            owed -= 1;
            tally.came += 1;
            let now = self.clock.mono();
            tally.sent.record(now.saturating_sub(head.sent));
            if self.plan.is_open() {
                tally.due.record(now.saturating_sub(head.due));
                tally.late.record(head.sent.saturating_sub(head.due));
            }
        }
        line.flush()
    }
}

fn window(plan: &Plan) -> usize {
    match plan.pace {
        Pace::Closed(window) => window as usize,
        // What is due at once is sent at once, up to a bound.
        Pace::Open(_) => 1_000,
    }
}

/// A connection that is waited for.
#[derive(Debug)]
struct Line<'a> {
    plan: &'a Plan,
    stream: TcpStream,
    input: Vec<u8>,
    /// What of it was read, and how far of that is done with.
    filled: usize,
    done: usize,
    out: Vec<u8>,
    /// The broker allows so many unacknowledged messages.
    flight_max: usize,
}

impl<'a> Line<'a> {
    fn dial(plan: &'a Plan, name: &str, clean: bool) -> Result<Self, String> {
        let refused = |e: std::io::Error| format!("{}: {e}", plan.road.place);
        let address = plan.road.plain().ok_or("this scenario is over plain TCP only")?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(refused)?;
        let id = format!("bench-{:08x}-{name}", plan.run);
        let out = plan.tongue.connect(&id, plan.user.as_ref(), clean).ok_or_else(unsayable)?;
        let input = vec![0; READ + plan.size];
        let mut line = Self { plan, stream, input, filled: 0, done: 0, out, flight_max: 0 };
        match line.next()? {
            Some(Heard::Connected(most)) => {
                line.flight_max = most.into();
                Ok(line)
            }
            _ => Err("the broker did not answer a CONNECT".to_owned()),
        }
    }

    /// Who speaks through this connection.
    fn publisher(&self) -> Result<Publisher, String> {
        let plan = self.plan;
        let payload = filling(plan.size, plan.seed);
        let template = Template::new(plan.tongue, &plan.topic(0), plan.qos, false, payload);
        let mut publisher = Publisher::new(0, template.ok_or_else(unsayable)?);
        publisher.flight_max = self.flight_max;
        Ok(publisher)
    }

    /// The next packet, after everything was written; nothing when nothing comes.
    fn next(&mut self) -> Result<Option<Heard>, String> {
        loop {
            let input = self.input.get(self.done..self.filled).unwrap_or_default();
            if let Some((heard, used)) = self.plan.tongue.next(input, self.plan.size)? {
                self.done += used;
                return Ok(Some(heard));
            }
            self.flush()?;
            self.input.copy_within(self.done..self.filled, 0);
            self.filled -= self.done;
            self.done = 0;
            let room = self.input.get_mut(self.filled..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => return Err(lost(&std::io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if is_silence(&e) => return Ok(None),
                Err(e) => return Err(lost(&e)),
            }
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        self.stream.write_all(&self.out).map_err(|e| lost(&e))?;
        self.out.clear();
        Ok(())
    }

    /// Answer a message with what its QoS asks for, and hand it on.
    fn on_message(&mut self, heard: Heard) -> Result<Option<Head>, String> {
        let tongue = self.plan.tongue;
        match heard {
            Heard::Message(_, _, head) if head.run != self.plan.run => {
                Err("a message that this run did not send".to_owned())
            }
            Heard::Message(qos, id, head) => {
                match qos {
                    1 => tongue.put_step(Step::Ack, id, &mut self.out),
                    2 => tongue.put_step(Step::Rec, id, &mut self.out),
                    _ => {}
                }
                Ok(Some(head))
            }
            Heard::Rel(id) => {
                tongue.put_step(Step::Comp, id, &mut self.out);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Subscribe; the answer comes when it comes.
    fn ask(&mut self, filters: &[String]) -> Result<(), String> {
        let words = self.plan.tongue.subscribe(filters, self.plan.qos);
        self.out.extend(words.ok_or_else(unsayable)?);
        self.flush()
    }

    fn await_answers(&mut self, mut count: usize) -> Result<(), String> {
        while count > 0 {
            match self.next()? {
                Some(Heard::Subscribed) => count -= 1,
                Some(_) => {}
                None => return Err("the broker did not answer a SUBSCRIBE".to_owned()),
            }
        }
        Ok(())
    }

    /// Say goodbye, and wait for the end, so that whatever comes next finds us gone.
    fn leave(&mut self, filters: &[String]) -> Result<(), String> {
        self.out.extend(self.plan.tongue.leave(filters).ok_or_else(unsayable)?);
        self.flush()?;
        let mut rest = [0; 4_096];
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        // How it ends does not matter, only that it does.
        while self.stream.read(&mut rest).is_ok_and(|n| n > 0) {}
        Ok(())
    }
}

fn is_silence(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// So long something may not come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Room for reads, besides a whole message.
const READ: usize = 128 << 10;
/// In one SUBSCRIBE.
const FILTERS: usize = 100;
