//! Floor 5. The turn: seven numbered steps, and the loop around them.
//!
//! One thread owns the engine, every socket and every answer, so nothing here is locked. A turn
//! reads the clock once, takes in what happened, lets the engine decide, and only then speaks: no
//! acknowledgement can be written before the answers of its turn were heard. Readiness that is not
//! used up in a turn is remembered (`ready`), and so is readiness that the engine does not want
//! used (`paused`). Absent on purpose: anything a simulator would need to know about.

mod crowds;
mod dialing;
mod ending;
mod inner;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunks::Chunks;
use super::clerk::{self, Clerk};
use super::clock::Clock;
use super::dial::Upstreams;
use super::disk::Disk;
use super::figures;
use super::linger::Linger;
use super::listener::Door;
use super::local::{Command, Control, Locals};
use super::logging;
use super::notify::Notify;
use super::poller::{self, Poller, Ready, Whom};
use super::reload::{Asker, Reloads, Renew, Street, Told};
use super::signal::{Signal, Signals};
use super::socket::{Drained, Fill, Socket};
use super::spin::Spin;
use super::sys;
use super::tuning::Tuning;
use super::workers::{VerifyJob, Workers};
use crate::base::id::{ConnId, Ticket};
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, Now};
use crate::engine::{Completion, Effect, Engine};
use crate::hub::Hub;
use crate::hub::admin::Operation;
use crate::hub::policy::Event;
use crate::hub::sys::Outside;
use crate::hub::timings::Timing;
use crate::journal::storage::Storage;
use crate::proto::aio::assembly::Most;
use inner::Inner;

/// Whoever looks at everything once more when it has ended.
pub type AtEnd = Box<dyn FnOnce(Now, &Hub) + Send>;

/// What the loop is made of.
pub struct Parts {
    /// The machine.
    pub engine: Engine,
    /// The clock it was recovered by.
    pub clock: Clock,
    /// The wait; its waker is with the handles already.
    pub poller: Poller,
    /// Bound listeners.
    pub doors: Vec<Door>,
    /// Where the journal is, if there is one.
    pub storage: Option<Box<dyn Storage>>,
    /// The folder it is in.
    pub folder: Option<PathBuf>,
    /// Threads that compare passwords.
    pub workers: usize,
    /// What the embedding program asks for.
    pub commands: Receiver<Command>,
    /// What it reports.
    pub controls: Receiver<Control>,
    /// Where relays go to.
    pub upstreams: Upstreams,
    /// Caught signals, for a program of our own.
    pub signals: Option<Signals>,
    /// Who looks at everything once more when it has ended.
    pub at_end: Option<AtEnd>,
    /// What to do when the files should be read again.
    pub reload: Option<Box<dyn Renew>>,
    /// Who started us and wants to know how we are.
    pub notify: Option<Notify>,
    /// Keys the maps.
    pub seed: u64,
    /// What is asked of the machine for the sake of latency.
    pub tuning: Tuning,
}

/// How the loop ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// As asked, and everything is on the disk.
    Clean,
    /// As asked, but not everything reached the disk in time.
    Unsynced,
    /// As asked; the disk had failed before.
    DiskFailed(String),
}

/// The loop.
pub struct Driver {
    pub(super) engine: Engine,
    clock: Clock,
    poller: Poller,
    doors: Vec<Door>,
    sockets: Vec<Option<Socket>>,
    ready: VecDeque<ConnId>,
    /// Those who were heard and have more to say.
    bulk: VecDeque<ConnId>,
    /// Turns in a row in which none of them was.
    pub(super) passed_over: u8,
    paused: Vec<ConnId>,
    /// Those who are not in yet, and those whose other end says no more or is gone.
    threshold: VecDeque<ConnId>,
    /// Those whose sockets did not take everything.
    behind: Vec<ConnId>,
    linger: Linger,
    locals: Locals,
    /// Connections within this process.
    inners: Vec<Inner>,
    commands: Receiver<Command>,
    controls: Receiver<Control>,
    answers: Receiver<Completion>,
    disk: Option<Disk>,
    folder: Option<PathBuf>,
    workers: Workers,
    clerk: Clerk,
    upstreams: Upstreams,
    signals: Option<Signals>,
    reloads: Reloads,
    out: Outbound,
    chunks: Chunks,
    /// Who has more to say than its share.
    more: VecDeque<ConnId>,
    through: Box<[u8]>,
    events: Vec<Ready>,
    spin: Spin,
    /// Something happened in the present turn.
    stirred: bool,
    /// When the present turn began.
    began: Option<Now>,
    /// When `$SYS` is due.
    sys_at: Option<Deadline>,
    /// When the end must come, once it was asked for.
    stopping: Option<Deadline>,
    /// Until when answers are waited for, once the end was asked for.
    draining: Option<Deadline>,
    /// Nothing more is waited for.
    at_once: bool,
    /// Who wants to know how we are.
    notify: Option<Notify>,
    /// When it must hear from us again.
    alive_at: Option<Deadline>,
    /// An operator wants the end.
    asked_to_stop: bool,
    at_end: Option<AtEnd>,
}

impl Driver {
    /// Start the threads and register what is to be heard of.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let Parts { mut engine, clock, poller, mut doors, storage, commands, controls, .. } = parts;
        engine.hub_mut().tails = Some(logging::tails());
        let before = parts.tuning.begin()?;
        let (sender, answers) = bounded(ANSWERS);
        let answer = |sender: Sender<Completion>| {
            let waker = poller.waker();
            move |completion| tell(&sender, &waker, completion)
        };
        let tell_disk = answer(sender.clone());
        let disk = storage
            .map(|storage| Disk::start(storage, move |done| tell_disk(Completion::Disk(done))))
            .transpose()?;
        let clerk = Clerk::start(parts.seed, of_files(&engine), answer(sender.clone()))?;
        let workers = start_workers(parts.workers, answer(sender))?;
        for (name, door) in doors.iter_mut().enumerate() {
            door.register(&poller, name as u32)?;
        }
        let elsewhere = if before.is_empty() { Vec::new() } else { sys::affinity()? };
        let reloads = Reloads::new(parts.reload, poller.waker(), elsewhere);
        parts.tuning.begun(&before)?;
        if let Some(signals) = &parts.signals {
            signals.register(&poller)?;
        }
        let read = engine.limits().read_bytes_turn.max(512);
        Ok(Self {
            engine,
            clock,
            poller,
            doors,
            sockets: Vec::new(),
            ready: VecDeque::new(),
            bulk: VecDeque::new(),
            passed_over: 0,
            paused: Vec::new(),
            threshold: VecDeque::new(),
            behind: Vec::new(),
            linger: Linger::default(),
            locals: Locals::new(parts.seed),
            inners: Vec::new(),
            commands,
            controls,
            answers,
            disk,
            folder: parts.folder,
            workers,
            clerk,
            upstreams: parts.upstreams,
            signals: parts.signals,
            reloads,
            out: Outbound::default(),
            chunks: Chunks::new(read),
            more: VecDeque::new(),
            through: vec![0; read].into_boxed_slice(),
            events: Vec::with_capacity(1_024),
            spin: Spin::new(parts.tuning.spin_us),
            stirred: false,
            began: None,
            sys_at: None,
            stopping: None,
            draining: None,
            at_once: false,
            notify: parts.notify,
            alive_at: None,
            asked_to_stop: false,
            at_end: parts.at_end,
        })
    }

    /// Turn until asked to stop.
    pub fn run(mut self) -> io::Result<End> {
        self.tell_ready();
        // What is said regularly begins now, not with the first who comes.
        let now = Deadline(self.clock.now().mono);
        self.sys_at = Some(now);
        self.alive_at = self.notify.as_ref().and_then(Notify::every_ms).map(|_| now);
        loop {
            self.turn()?;
            if let Some(end) = self.end() {
                let clean = matches!(end, End::Clean);
                let now = self.clock.now();
                self.engine.hub_mut().observer.see(now, &Event::Stopped { clean });
                if let Some(look) = self.at_end.take() {
                    look(now, self.engine.hub());
                }
                return Ok(end);
            }
        }
    }

    /// One turn.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let now = self.wait()?;
        self.take_answers(now);
        self.take_arrivals(now);
        self.engine.on_time(now);
        self.say_sys(now);
        self.tell_alive(now);
        self.commit(now);
        self.speak(now);
        self.drain(now);
        self.bury(now);
        if std::mem::take(&mut self.asked_to_stop) {
            self.stop(now);
        }
        self.resume();
        self.chunks.on_turn_over();
        Ok(())
    }

    /// 0. Wait until something happens or is due, and read the clock.
    fn wait(&mut self) -> io::Result<Now> {
        let now = self.clock.now();
        if let Some(began) = self.began {
            self.engine.hub_mut().timings.on_turn_over(began, now);
        }
        let due = if self.has_more() { Some(Deadline(0)) } else { self.due() };
        let stirred = std::mem::take(&mut self.stirred);
        let now = if stirred && due.is_none_or(|due| due.0 > 0) {
            self.look(now, due)?
        } else {
            self.events.clear();
            now
        };
        if self.events.is_empty() {
            // Rounded up to a millisecond, or the last one would be spent spinning.
            let limit = due.map(|at| Duration::from_millis(at.ms_left(now)));
            self.poller.wait(limit, &mut self.events)?;
        }
        self.stirred = due == Some(Deadline(0)) || !self.events.is_empty();
        let now = self.clock.now();
        self.began = Some(now);
        // What is due at once has no moment at which it should have been done.
        if let Some(due) = due.filter(|due| due.0 > 0 && now.reached(*due)) {
            let late = (now.mono - due.0) / 1_000;
            self.engine.hub_mut().timings.record(Timing::Drift, late);
        }
        Ok(now)
    }

    /// Look for a while whether something comes, if that pays and nothing else is due; what time it
    /// is then.
    fn look(&mut self, now: Now, due: Option<Deadline>) -> io::Result<Now> {
        self.events.clear();
        let Some(until) = self.spin.until(now) else { return Ok(now) };
        loop {
            self.poller.wait(Some(Duration::ZERO), &mut self.events)?;
            let now = self.clock.now();
            let found = !self.events.is_empty();
            if found || now.reached(until) {
                self.spin.on_looked(now, found);
                let what = if found { Counter::SpinsFound } else { Counter::SpinsMissed };
                self.engine.hub_mut().stats.count(what);
                return Ok(now);
            }
            // Cut short by what is due, a look says nothing about looking.
            if due.is_some_and(|due| now.reached(due)) {
                return Ok(now);
            }
            core::hint::spin_loop();
        }
    }

    /// The next moment at which something is to be done although nothing happens.
    fn due(&self) -> Option<Deadline> {
        let own = [self.stopping, self.draining, self.sys_at, self.alive_at];
        let dues = [self.engine.poll_deadline(), self.linger.deadline()];
        let doors = self.doors.iter().map(Door::deadline);
        dues.into_iter().chain(own).chain(doors).flatten().min()
    }

    /// Something was left for this turn by the one before.
    fn has_more(&self) -> bool {
        let lines = [&self.ready, &self.bulk, &self.threshold];
        let left = lines.iter().any(|line| !line.is_empty());
        left || self.engine.has_doomed() || self.has_questions()
    }

    /// A question was left in the queue and can be taken now.
    fn has_questions(&self) -> bool {
        !self.commands.is_empty() && self.locals.has_room()
    }

    /// 1. What threads answered, and what the embedding program asks for and reports.
    fn take_answers(&mut self, now: Now) {
        while let Ok(completion) = self.answers.try_recv() {
            self.engine.on_completion(now, completion);
        }
        if let Some(disk) = &mut self.disk {
            disk.pass_on();
        }
        let (engine, doors, poller) = (&mut self.engine, &mut self.doors, &self.poller);
        if self.stopping.is_none() {
            let done = self.reloads.on_prepared(now, Street { engine, doors, poller });
            if done {
                self.tell_ready();
            }
        }
        while let Ok(control) = self.controls.try_recv() {
            if let Control::Stop = control {
                self.stop(now);
            }
            self.locals.on_control(now, &mut self.engine, control);
        }
        for _ in 0..COMMANDS_TURN {
            if !self.locals.has_room() {
                break;
            }
            match self.commands.try_recv() {
                Ok(Command::Reload { done }) => {
                    self.reloads.ask(now, Asker::Program(done), &mut self.engine);
                }
                Ok(Command::Enter { stream, stirred, done }) => {
                    let _ = done.try_send(self.enter(now, stream, stirred));
                }
                Ok(command) => self.locals.on_command(now, &mut self.engine, command),
                Err(_) => break,
            }
        }
    }

    /// 2. Who came, and what was sent; of each a bounded part.
    fn take_arrivals(&mut self, now: Now) {
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.on_event(now, *event);
        }
        self.events = events;
        self.look_within(now);
        for at in 0..self.doors.len() {
            self.accept(now, at);
        }
        self.hear(now);
        self.mind_threshold(now);
    }

    fn on_event(&mut self, now: Now, event: Ready) {
        match event.whom {
            Whom::Conn(slot, _) => {
                let found = self.sockets.get_mut(slot as usize).and_then(Option::as_mut);
                let Some(socket) = found.filter(|s| poller::conn(s.conn) == event.whom) else {
                    return;
                };
                let conn = socket.conn;
                if socket.dialing.is_some() && !self.answer_dial(now, conn, event) {
                    return;
                }
                let Some(socket) = self.socket(conn) else { return };
                socket.half_closed |= event.half_closed;
                socket.broken |= event.broken;
                if event.readable || event.half_closed || event.broken {
                    socket.readable = true;
                    self.line_up(conn, false);
                }
                if event.writable && !event.broken {
                    self.flush(now, conn);
                }
            }
            Whom::Listener(name) => {
                let door = self.doors.iter_mut().find(|d| d.name == name);
                if let Some(door) = door {
                    door.on_ready();
                }
            }
            Whom::Lingering(slot) => self.linger.on_ready(slot, event, &mut self.through),
            Whom::Waker => {}
            Whom::Signal => self.take_signals(now),
        }
    }

    fn socket(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(conn.index as usize)?.as_mut()?;
        (socket.conn == conn).then_some(socket)
    }

    /// One read of a connection whose turn it is; how many bytes came.
    fn read(&mut self, now: Now, conn: ConnId) -> usize {
        let wanted = self.engine.wants_bytes(conn);
        let slot = self.sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
        let Some(socket) = slot.filter(|s| s.conn == conn) else { return 0 };
        socket.queued = false;
        if socket.broken {
            self.engine.on_closed(now, conn, true);
            return 0;
        }
        if !socket.readable {
            return 0;
        }
        if !wanted {
            socket.paused = true;
            self.paused.push(conn);
            return 0;
        }
        let (got, bytes) = socket.fill(&mut self.through);
        let came = bytes.len();
        if came > 0 {
            let mut chunk = self.chunks.take(came);
            chunk.extend_from_slice(bytes);
            self.engine.on_bytes(now, conn, &mut chunk);
            self.chunks.put_back(chunk);
        }
        match got {
            Fill::More => self.line_up(conn, true),
            Fill::Eof => self.engine.on_closed(now, conn, false),
            Fill::Broken => self.engine.on_closed(now, conn, true),
            Fill::Empty => {}
        }
        came
    }

    /// The socket takes bytes again: what was left over goes first.
    fn flush(&mut self, now: Now, conn: ConnId) {
        let Some(socket) = self.socket(conn).filter(|s| s.is_blocked()) else { return };
        match socket.flush() {
            Drained::All => self.engine.on_drained(now, conn),
            Drained::Part(0) => {}
            Drained::Part(_) => self.engine.on_progress(now, conn),
            Drained::Broken => self.engine.on_closed(now, conn, true),
        }
    }

    /// What only the street knows, and what is kept under `$SYS`, when its time has come. Without
    /// the second the first is still asked for now and then.
    fn say_sys(&mut self, now: Now) {
        let every_ms = self.engine.limits().sys_interval_s.saturating_mul(1_000);
        let next = now.after_ms(if every_ms > 0 { every_ms } else { LOOK_MS });
        let at = self.sys_at.map_or(Deadline(now.mono), |at| at.min(next));
        self.sys_at = Some(if now.reached(at) { next } else { at });
        if !now.reached(at) || self.stopping.is_some() {
            return;
        }
        let unsent = self.unsent();
        let sockets = self.engine.connections().saturating_sub(self.locals.len());
        let resident = figures::resident();
        let disk = self.folder.as_deref().and_then(|folder| sys::space(folder).ok());
        let outside = Outside { sockets, unsent, resident, disk, connected: 0 };
        self.engine.set_outside(now, outside);
        if every_ms > 0 {
            self.engine.publish_sys(now);
        }
    }

    /// Pieces and bytes that sockets have not taken. Only those are looked at that had some.
    fn unsent(&mut self) -> (u64, u64) {
        let mut all = (0, 0);
        let sockets = &mut self.sockets;
        self.behind.retain(|conn| {
            let slot = sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
            let Some(socket) = slot.filter(|s| s.conn == *conn) else { return false };
            let (pieces, bytes) = socket.unsent();
            all = (all.0 + pieces, all.1 + bytes);
            socket.behind = pieces > 0;
            socket.behind
        });
        all
    }

    /// 4. The end of what happens in this turn; work goes out to the threads. Step 3, the clock,
    ///    is a single call.
    fn commit(&mut self, now: Now) {
        self.engine.commit();
        while let Some(effect) = self.engine.poll_effect(now) {
            match effect {
                Effect::Disk(job) => {
                    if let Some(disk) = &mut self.disk {
                        disk.submit(job);
                    }
                }
                Effect::Errand { ticket, desk, errand } => {
                    self.clerk.submit((ticket, desk, errand));
                }
                Effect::Dial { conn, relay, at } => self.dial(now, conn, relay, at),
                Effect::Operate { ticket, what } => {
                    if let Some(result) = self.operate(now, ticket, &what) {
                        self.engine.on_completion(now, Completion::Operated { ticket, result });
                    }
                }
                Effect::Verify { ticket, secret, hash } => {
                    let job = VerifyJob { ticket, secret, hash };
                    if let Err(VerifyJob { ticket, .. }) = self.workers.submit(job) {
                        // No more are asked for than there are places; without an answer its
                        // asker would wait for ever.
                        let done = Completion::Verified { ticket, ok: false };
                        self.engine.on_completion(now, done);
                    }
                }
            }
        }
    }

    /// 5. Everybody who has something to say says one turn's share of it, in one write. Then those
    ///    who have more, while the turn has room: one who is told what many say keeps up with them.
    ///    In a long turn the clock is read anew, so that what is measured here is true.
    fn speak(&mut self, mut now: Now) {
        let mut said = 0;
        for n in 0..self.engine.dirty_len() {
            if n % READING == 0 {
                now = self.clock.now();
            }
            let Some(conn) = self.engine.poll_dirty() else { break };
            if self.engine.is_local(conn) {
                self.locals.speak(now, &mut self.engine, conn);
            } else {
                said += self.say(now, conn);
            }
        }
        while said < SPEAK_TURN
            && let Some(conn) = self.more.pop_front()
        {
            said += self.say(now, conn);
        }
        self.more.clear();
    }

    /// Its share of this turn; how many bytes. If it may say more in this turn, it is remembered.
    fn say(&mut self, now: Now, conn: ConnId) -> usize {
        self.out.clear();
        let more = self.engine.poll_transmit(now, conn, &mut self.out);
        let slot = self.sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
        let said = !self.out.is_empty() || self.out.is_last();
        let Some(socket) = slot.filter(|s| s.conn == conn && said) else {
            return 0;
        };
        match socket.drain(&self.out) {
            Drained::All if self.out.is_last() => socket.end(),
            Drained::All if more => self.more.push_back(conn),
            Drained::All => {}
            Drained::Part(done) => {
                socket.keep(&self.out, done);
                if !core::mem::replace(&mut socket.behind, true) {
                    self.behind.push(conn);
                }
                self.engine.on_blocked(now, conn);
            }
            Drained::Broken => self.engine.on_closed(now, conn, true),
        }
        self.out.len()
    }

    /// Who was not read from because the engine wanted nothing: does it now?
    fn resume(&mut self) {
        let mut i = 0;
        while let Some(conn) = self.paused.get(i).copied() {
            let wanted = self.engine.wants_bytes(conn);
            let slot = self.sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
            let gone = match slot.filter(|s| s.conn == conn) {
                Some(socket) if wanted => {
                    socket.paused = false;
                    self.line_up(conn, false);
                    true
                }
                Some(_) => false,
                None => true,
            };
            if gone {
                self.paused.swap_remove(i);
            } else {
                i += 1;
            }
        }
    }

    fn take_signals(&mut self, now: Now) {
        while let Some(signal) = self.signals.as_mut().and_then(Signals::take) {
            match signal {
                Signal::Stop if self.stopping.is_some() => {
                    log::info!("asked to stop again: at once");
                    self.at_once = true;
                }
                Signal::Stop => {
                    log::info!("asked to stop: saying goodbye to {}", self.engine.connections());
                    self.stop(now);
                }
                Signal::Reload => self.read_again(now, Asker::Nobody),
                Signal::Reopen if logging::reopen() => {}
                Signal::Reopen => log::info!("there is no log file to be opened again"),
                Signal::Print => figures::print(&self.engine, now),
            }
        }
    }

    fn read_again(&mut self, now: Now, asker: Asker) {
        if let Some(notify) = &self.notify {
            notify.reloading();
        }
        self.reloads.ask(now, asker, &mut self.engine);
    }

    fn tell_ready(&self) {
        if let Some(notify) = &self.notify {
            notify.ready(&format!("serving on {} listeners", self.doors.len()));
        }
    }

    /// Whoever watches hears that the loop turns.
    fn tell_alive(&mut self, now: Now) {
        let Some(notify) = &self.notify else { return };
        let Some(every_ms) = notify.every_ms() else { return };
        if self.alive_at.is_none_or(|at| now.reached(at)) {
            notify.alive();
            self.alive_at = Some(now.after_ms(every_ms));
        }
    }

    /// What an operator wants of us, and what there is to say about it; of a reload, later.
    fn operate(&mut self, now: Now, ticket: Ticket, what: &Operation) -> Option<Told> {
        Some(match what {
            Operation::Reload => {
                let tell = move |now, engine: &mut Engine, result| {
                    engine.on_completion(now, Completion::Operated { ticket, result });
                };
                self.read_again(now, Asker::Within(Box::new(tell)));
                return None;
            }
            Operation::Drain => {
                self.engine.drain();
                Ok("nobody new is let in".into())
            }
            Operation::Stop => {
                // After this turn, so that whoever asked hears of it.
                self.asked_to_stop = true;
                Ok("the broker comes to its end".into())
            }
            Operation::Reopen if logging::reopen() => Ok("the log file is opened again".into()),
            Operation::Reopen => Ok("there is no log file to be opened again".into()),
            Operation::Measure(conn) => {
                let rtt = self.socket(*conn).and_then(|socket| socket.stream.rtt_us());
                Ok(rtt.map(|us| us.to_string()).unwrap_or_default())
            }
            Operation::LogLevel { target, level, for_s } => {
                logging::set_level_named(target, level, *for_s)
            }
        })
    }
}

/// How much there may be of connectors' files, and where there were some.
fn of_files(engine: &Engine) -> clerk::Bounds {
    let limits = engine.limits();
    let most = Most { file: limits.aio_file_bytes_max, ..Most::default() };
    let ms = u64::from(limits.aio_spool_s_max).saturating_mul(1_000);
    let room = clerk::Room { bytes: limits.aio_spool_bytes_max, ms };
    let desks = engine.listeners().iter().filter_map(|listener| listener.desk.as_ref());
    clerk::Bounds { most, room, folders: desks.filter_map(|desk| desk.files.clone()).collect() }
}

/// The workers, at least one.
fn start_workers(
    count: usize,
    answer: impl Fn(Completion) + Send + Sync + 'static,
) -> io::Result<Workers> {
    let tell = Arc::new(answer);
    Workers::start(count, count.max(1), move |verified| {
        let super::workers::Verified { ticket, ok } = verified;
        tell(Completion::Verified { ticket, ok });
    })
}

/// An answer for the loop. When the loop is gone nobody waits for it.
fn tell(sender: &Sender<Completion>, waker: &mio::Waker, completion: Completion) {
    if sender.send(completion).is_ok() {
        let _ = waker.wake();
    }
}

/// Bytes after which a turn reads no further: what is read is said on before more is read, while
/// it is still near the processor, and nobody waits for a longer turn than that.
pub(super) const READ_TURN: usize = 128 << 10;
/// Connections that are read from in a turn, for the same reason: where many say little each, it
/// is not the bytes that make it long. A turn by itself is dear to a few of them, not to so many.
pub(super) const READS_TURN: usize = 16;
/// Bytes up to which those may go on in a turn who have more to say than their share.
pub(super) const SPEAK_TURN: usize = 256 << 10;
/// Connections that speak by one reading of the clock.
const READING: usize = 32;
/// Between two looks at the process and its device while nobody is told under `$SYS`.
const LOOK_MS: u64 = 10_000;
/// Answers that wait for the loop; more than there can be jobs in the queues of the threads.
const ANSWERS: usize = 1_024;
/// Questions of the embedding program taken in one turn.
const COMMANDS_TURN: usize = 1_024;
/// How long the end may take.
const STOP_MS: u64 = 5_000;
/// How much of that answers may take that wait for the disk.
const DRAIN_MS: u64 = 3_000;
