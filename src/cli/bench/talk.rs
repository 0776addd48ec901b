//! Floor 6. The part of a thread of the load generator that each message passes.
//!
//! What a read brought is gone through in one loop: messages by their length alone, and what came
//! of one publisher in a row is counted once. What a window or a schedule lets go is appended to
//! one buffer for each connection and written at once. At a window of many messages the latency of
//! every sixteenth is looked at. So a message costs the generator less than any broker, and nothing
//! is allocated for it. Absent on purpose: dialling, and whatever is not a message or its
//! acknowledgement (`engine`).

use std::sync::atomic::Ordering;

use crate::base::time::MS;

use super::client::{Client, Role, State};
use super::closed::credit;
use super::engine::{Engine, knock, lost};
use super::open::Schedule;
use super::plan::Pace;
use super::proc;
use super::shared::{Shared, Stage};
use super::wire::{Head, Heard, Step, Tongue};

impl Engine<'_> {
    /// Read and answer one client.
    pub(super) fn serve(&mut self, at: usize) -> Result<(), String> {
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
            let input = scratch.get(..len).unwrap_or_default();
            let used = self.hear(at, input, self.now())?;
            if let Some(client) = self.clients.get_mut(at) {
                client.keep(input.get(used..).unwrap_or_default());
            }
            if !more {
                return self.flush(at);
            }
        }
        self.again.push(at);
        self.flush(at)
    }

    /// Everything whole in what was read; how long that is.
    fn hear(&mut self, at: usize, input: &[u8], now: u64) -> Result<usize, String> {
        let mut done = 0;
        loop {
            done += self.messages(at, rest(input, done), now)?;
            done += self.acks(at, rest(input, done), now)?;
            let next = self.plan.tongue.next(rest(input, done), self.plan.size)?;
            let Some((heard, used)) = next else { return Ok(done) };
            let frame = input.get(done..done + used).unwrap_or_default();
            done += used;
            match heard {
                Heard::Invoked(request, head) => {
                    let mut once = Some((0, 0, head, 0));
                    self.each(at, now, || once.take())?;
                    if let (Tongue::Wamp(wamp), Some(it)) =
                        (self.plan.tongue, self.clients.get_mut(at))
                    {
                        wamp.put_yield(request, frame, self.plan.size, &mut it.out);
                    }
                }
                Heard::Message(qos, id, head) => {
                    let mut once = Some((qos, id, head, 0));
                    self.each(at, now, || once.take())?;
                }
                heard => self.on_heard(at, heard, now)?,
            }
        }
    }

    fn messages(&mut self, at: usize, input: &[u8], now: u64) -> Result<usize, String> {
        let (tongue, size) = (self.plan.tongue, self.plan.size);
        let mut done = 0;
        self.each(at, now, || {
            let quick = tongue.quick(rest(input, done), size)?;
            done += quick.3;
            Some(quick)
        })?;
        Ok(done)
    }

    /// Take messages in until there are no more.
    #[inline]
    fn each(
        &mut self,
        at: usize,
        now: u64,
        mut next: impl FnMut() -> Option<(u8, u16, Head, usize)>,
    ) -> Result<(), String> {
        let (plan, shared) = (self.plan, self.shared);
        let span = Shared::time(&shared.from)..Shared::time(&shared.until);
        let Some(Client { role, out, .. }) = self.clients.get_mut(at) else { return Ok(()) };
        let (mut whose, mut row, mut all) = (0, 0, 0);
        while let Some((qos, id, head, _)) = next() {
            let Role::Subscriber(it) = role else { return Err(astray()) };
            if head.run != plan.run || !it.on_message(&head) {
                return Err(astray());
            }
            match qos {
                1 => plan.tongue.put_step(Step::Ack, id, out),
                2 => plan.tongue.put_step(Step::Rec, id, out),
                _ => {}
            }
            if head.seq & self.sparse == 0 && span.contains(&head.due) {
                self.tally.sent.record(now.saturating_sub(head.sent));
                if plan.is_open() {
                    self.tally.due.record(now.saturating_sub(head.due));
                }
            }
            if head.publisher != whose {
                credited(shared, &mut self.touched, plan.fan(), whose, row);
                (whose, row) = (head.publisher, 0);
            }
            row += 1;
            all += 1;
        }
        credited(shared, &mut self.touched, plan.fan(), whose, row);
        self.tally.came += all;
        if span.contains(&now) {
            self.tally.delivered += all;
        }
        Ok(())
    }

    fn acks(&mut self, at: usize, input: &[u8], now: u64) -> Result<usize, String> {
        let mut done = 0;
        while let Some(id) = self.plan.tongue.quick_ack(rest(input, done)) {
            self.on_acked(at, id, now)?;
            done += 4;
        }
        Ok(done)
    }

    /// The last step of an acknowledgement.
    pub(super) fn on_acked(&mut self, at: usize, id: u16, now: u64) -> Result<(), String> {
        let Some(Client { role: Role::Publisher(it), .. }) = self.clients.get_mut(at) else {
            return Err("the broker answered what nobody asked".to_owned());
        };
        let (sent, counts) = it.on_acked(id).ok_or("an acknowledgement of nothing")?;
        if counts && u64::from(id) & self.sparse == 0 {
            self.tally.acks.record(now.saturating_sub(sent));
        }
        touch(&mut self.touched, it.number);
        Ok(())
    }

    /// Whoever has new credit uses it, here or on its own thread.
    pub(super) fn settle(&mut self, woken: bool) {
        let mut touched = core::mem::take(&mut self.touched);
        if self.schedule.is_none() && self.shared.stage() == Stage::Running {
            let threads = self.shared.wakers.len().max(1);
            let mut others = 0u64;
            for number in touched.drain(..) {
                let owner = number as usize % threads;
                if owner == self.place {
                    self.fill(number as usize / threads);
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
        touched.clear();
        self.touched = touched;
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
            it.send_all(more, self.plan.qos, head, now >= from, &mut client.out);
        }
        // A connection that is lost is seen when it is read.
        let _ = client.flush();
    }

    /// Publish for as long as the run lasts.
    pub(super) fn talk(&mut self) -> Result<(), String> {
        let (begin, from) = (Shared::time(&self.shared.begin), Shared::time(&self.shared.from));
        let until = Shared::time(&self.shared.until);
        if let Pace::Open(rate) = self.plan.pace
            && self.plan.talks()
        {
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
                self.idle = 0;
            }
            if !filled && now >= begin {
                filled = true;
                self.fill_all();
            }
            let next = if now < begin { begin } else { until.min(now + 50 * MS) };
            let next = if now < from { next.min(from) } else { next };
            let next = self.send_due(now, until)?.map_or(next, |due| due.min(next));
            self.sleep_until(next, now)?;
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
        let mut touched = core::mem::take(&mut self.wrote);
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
                self.tally.late.record(now - next);
            }
            if touched.last() != Some(&at) {
                touched.push(at);
            }
            schedule.count += 1;
            next = schedule.due();
        }
        self.schedule = Some(schedule);
        for at in touched.drain(..) {
            self.flush(at)?;
        }
        self.wrote = touched;
        Ok(Some(next))
    }
}

fn rest(input: &[u8], done: usize) -> &[u8] {
    input.get(done..).unwrap_or_default()
}

fn astray() -> String {
    "a message came that was not for its subscriber".to_owned()
}

/// So many more of a publisher's messages came; it has new credit when all have got one more.
fn credited(shared: &Shared, touched: &mut Vec<u32>, fan: u64, publisher: u32, more: u64) {
    if more > 0 {
        let came = shared.came(publisher, more);
        let fan = fan.max(1);
        if came / fan > (came - more) / fan {
            touch(touched, publisher);
        }
    }
}

fn touch(touched: &mut Vec<u32>, number: u32) {
    if touched.last() != Some(&number) {
        touched.push(number);
    }
}

/// A socket is read so often before the others have their turn.
const READS: usize = 16;
