//! Floor 5. Reading everything again: away from the loop, then taken over on it at once.
//!
//! Files are read and checked on a thread that lives as long as that takes, so a slow disk or a
//! thousand passwords stop nobody. What it brings back is applied between two turns, whole or not
//! at all. Whoever asks while a reload is under way gets one that begins after it: what was on the
//! disk at the time of the question is what counts. Absent on purpose: what is read (`broker`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::listener::Door;
use super::poller::Poller;
use super::sys;
use crate::base::time::Now;
use crate::engine::Engine;
use crate::hub::policy::Reader;

/// How it went: what is another now, in lines, or why nothing is.
pub type Told = Result<String, String>;

/// Something that can be read again.
pub trait Renew: Send {
    /// Read and check everything, on a thread of its own. `users` understands a users file as the
    /// policy in force does.
    fn prepare(&mut self, users: Option<Reader>) -> Result<(), String>;

    /// Take over what was prepared, on the loop. An error has changed nothing.
    fn apply(&mut self, now: Now, street: Street<'_>) -> Told;
}

/// What a reload may change.
pub struct Street<'a> {
    /// The machine.
    pub engine: &'a mut Engine,
    /// The doors that are open.
    pub doors: &'a mut Vec<Door>,
    /// Where new doors are heard of.
    pub poller: &'a Poller,
}

/// Tells somebody in the machine how it went.
pub type Answer = Box<dyn FnOnce(Now, &mut Engine, Told) + Send>;

/// Who wants to know how it went.
pub enum Asker {
    /// Nobody but the log.
    Nobody,
    /// A program.
    Program(Sender<Told>),
    /// Somebody in the machine.
    Within(Answer),
}

/// The reloads of a loop.
pub(super) struct Reloads {
    /// Absent while a thread has it, and for ever when there is nothing to read again.
    renew: Option<Box<dyn Renew>>,
    under_way: bool,
    waiting: Vec<Asker>,
    /// Those who asked while one was under way.
    next: Vec<Asker>,
    prepared: (Sender<Prepared>, Receiver<Prepared>),
    waker: Arc<mio::Waker>,
    /// Where its threads may run; empty: where the loop does.
    cores: Vec<usize>,
}

type Prepared = (Option<Box<dyn Renew>>, Result<(), String>);

impl Reloads {
    pub(super) fn new(
        renew: Option<Box<dyn Renew>>,
        waker: Arc<mio::Waker>,
        cores: Vec<usize>,
    ) -> Self {
        let (waiting, next) = (Vec::new(), Vec::new());
        Self { renew, under_way: false, waiting, next, prepared: bounded(1), waker, cores }
    }

    /// Somebody wants everything to be read again.
    pub(super) fn ask(&mut self, now: Now, asker: Asker, engine: &mut Engine) {
        if self.under_way {
            return self.next.push(asker);
        }
        self.waiting.push(asker);
        let Some(renew) = self.renew.take() else {
            let nothing = Err("there is nothing that could be read again".into());
            return self.answer(now, engine, &nothing);
        };
        let users = engine.hub().policy.reader();
        if let Err(why) = self.begin(renew, users) {
            self.answer(now, engine, &Err(why));
        }
    }

    fn begin(&mut self, renew: Box<dyn Renew>, users: Option<Reader>) -> Result<(), String> {
        let (work, worker) = bounded::<Box<dyn Renew>>(1);
        let (done, waker) = (self.prepared.0.clone(), Arc::clone(&self.waker));
        let cores = self.cores.clone();
        let run = move || {
            if !cores.is_empty() {
                // It was possible at the start; if not now, the loop shares its core for a while.
                let _ = sys::pin(&cores);
            }
            let Ok(mut renew) = worker.recv() else { return };
            let result = catch_unwind(AssertUnwindSafe(move || {
                let result = renew.prepare(users);
                (Some(renew), result)
            }));
            let prepared =
                result.unwrap_or_else(|_| (None, Err("reading ended in a panic".into())));
            // When the loop is gone nobody waits for it.
            if done.send(prepared).is_ok() {
                let _ = waker.wake();
            }
        };
        match thread::Builder::new().name("reload".into()).spawn(run) {
            Ok(_) => {
                self.under_way = true;
                // The thread waits for this; it cannot have ended.
                let _ = work.send(renew);
                Ok(())
            }
            Err(e) => {
                self.renew = Some(renew);
                Err(format!("no thread to read with: {e}"))
            }
        }
    }

    /// A thread may have come back: take over what it brings. True when it has.
    pub(super) fn on_prepared(&mut self, now: Now, street: Street<'_>) -> bool {
        let Ok((renew, result)) = self.prepared.1.try_recv() else { return false };
        self.under_way = false;
        self.renew = renew;
        let Street { engine, doors, poller } = street;
        let told = match (&mut self.renew, result) {
            (Some(renew), Ok(())) => {
                renew.apply(now, Street { engine: &mut *engine, doors, poller })
            }
            (_, Err(why)) => Err(why),
            (None, Ok(())) => Err("there is nothing that could be read again".into()),
        };
        // Whoever asked has an answer, and the log a line.
        let same = |told: String| match told.is_empty() {
            true => "nothing changed".to_owned(),
            false => told,
        };
        self.answer(now, engine, &told.map(same));
        let next = std::mem::take(&mut self.next);
        for asker in next {
            self.ask(now, asker, engine);
        }
        true
    }

    fn answer(&mut self, now: Now, engine: &mut Engine, told: &Told) {
        engine.on_reloaded(now, told.is_ok());
        match told {
            Ok(text) => text.lines().for_each(|line| log::info!("reload: {line}")),
            Err(why) => {
                let (first, last) = why.rsplit_once('\n').unwrap_or(("", why));
                first.lines().for_each(|line| log::error!("reload: {line}"));
                log::error!("reload: {last}; everything stays as it was");
            }
        }
        for asker in self.waiting.drain(..) {
            match asker {
                Asker::Nobody => {}
                Asker::Program(done) => {
                    // It may have stopped waiting.
                    let _ = done.try_send(told.clone());
                }
                Asker::Within(tell) => tell(now, engine, told.clone()),
            }
        }
    }
}
