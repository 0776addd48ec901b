//! Floor 5. The threads that do errands of connectors: names are looked up and given out, files are
//! put where they belong.
//!
//! Each errand is answered once, even when doing it panics. One thread does those about names, so
//! that nobody waits at the door for a large file; one writes files; and one reads those that wait
//! for connectors, so that nobody who is told one waits for another to be written. What is given
//! out is on the disk before it is answered. No more wait than there are connections, each of which
//! waits for its own, or lets a few pieces of a file be under way. Absent on purpose: deciding what
//! is asked (`proto/aio`), and retries.

mod certificates;
mod files;
#[cfg(feature = "tls")]
mod making;
mod spool;
mod tokens;

#[cfg(test)]
mod clerk_test;
#[cfg(all(test, feature = "tls"))]
mod shake_test;
#[cfg(test)]
mod spool_test;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::clock::Clock;
use crate::base::id::{ConnId, Ticket};
use crate::base::time::{Deadline, Now};
use crate::engine::Completion;
use crate::proto::aio::Name;
use crate::proto::aio::assembly::Most;
use crate::proto::aio::errand::{Desk, Enrol, Errand, Lane, Ran};

use certificates::Kept;
use files::Folders;
use spool::Readers;

pub use spool::Room;

/// Something to be done.
pub type Task = (Ticket, Arc<Desk>, Errand);

/// How much there may be of files, and where there were some.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Of those that come.
    pub most: Most,
    /// Of those that wait for others.
    pub room: Room,
    /// The folders in which they may.
    pub folders: Vec<String>,
}

/// All threads. Dropping it gives up what still waits.
#[derive(Debug)]
pub struct Clerk {
    names: Option<Sender<Task>>,
    files: Option<Sender<Task>>,
    fetching: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clerk {
    /// Start them. `answer` is called on a thread for every errand.
    pub fn start<A>(seed: u64, bounds: Bounds, answer: A) -> io::Result<Self>
    where
        A: Fn(Completion) + Clone + Send + 'static,
    {
        // Bounded by the number of connections: each has one under way, or a few pieces of a file.
        let (names, names_todo) = unbounded();
        let (files, files_todo) = unbounded();
        let (fetching, fetching_todo) = unbounded();
        let (names, files, fetching) = (Some(names), Some(files), Some(fetching));
        let mut it = Self { names, files, fetching, threads: Vec::new() };
        let tell = answer.clone();
        let named = thread::Builder::new().name("names".into());
        it.threads.push(named.spawn(move || {
            work(&names_todo, &mut Names::default(), &tell);
        })?);
        let named = thread::Builder::new().name("fetching".into());
        let tell = answer.clone();
        it.threads.push(named.spawn(move || {
            work(&fetching_todo, &mut Readers::default(), &tell);
        })?);
        let named = thread::Builder::new().name("files".into());
        it.threads.push(named.spawn(move || {
            let mut folders = Folders::new(seed, bounds.most, bounds.room);
            folders.recall(&bounds.folders, Clock::start().now());
            work(&files_todo, &mut folders, &answer);
        })?);
        Ok(it)
    }

    /// Have that done.
    pub fn submit(&self, task: Task) {
        let to = match task.2.lane() {
            Lane::Names => &self.names,
            Lane::Files => &self.files,
            Lane::Fetching => &self.fetching,
        };
        if let Some(to) = to {
            // The thread is there as long as this is.
            let _ = to.send(task);
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.names = None;
        self.files = None;
        self.fetching = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread for errands of connectors ended in a panic");
            }
        }
    }
}

/// Who does errands.
trait Runs {
    /// Do that for this connection.
    fn run(&mut self, desk: &Desk, task: (ConnId, Errand), now: Now) -> Ran;
    /// The clock moved; when to look again.
    fn on_time(&mut self, _: Now) -> Option<Deadline> {
        None
    }
}

/// Do what comes, until nothing more can come.
fn work(todo: &Receiver<Task>, does: &mut impl Runs, answer: &impl Fn(Completion)) {
    let clock = Clock::start();
    loop {
        let now = clock.now();
        let task = match does.on_time(now) {
            None => todo.recv().map_err(|_| RecvTimeoutError::Disconnected),
            // A little later is early enough, and never without a pause.
            Some(at) => todo.recv_timeout(Duration::from_millis(at.ms_left(now).max(100))),
        };
        match task {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Ok((ticket, desk, errand)) => {
                let now = clock.now();
                let done =
                    catch_unwind(AssertUnwindSafe(|| does.run(&desk, (ticket.conn, errand), now)));
                let done = done.unwrap_or(Ran::Not("a panic"));
                answer(Completion::Ran { ticket, done });
            }
        }
    }
}

/// What is remembered of the certificates at the desks.
#[derive(Debug, Default)]
struct Names {
    kept: BTreeMap<String, Kept>,
}

impl Runs for Names {
    fn run(&mut self, desk: &Desk, (_, errand): (ConnId, Errand), now: Now) -> Ran {
        match (errand, &desk.certificates, &desk.tokens) {
            (Errand::Identify(shown), Some(at), _) => self.kept_at(at).whose(now, &shown),
            (Errand::Certify(name), Some(at), _) if may(desk, &name, "certificate") => {
                let done = self.kept_at(at).issue(now, &name);
                told(done, &name, "certificate")
            }
            (Errand::Token(name), _, Some(at)) if may(desk, &name, "token") => {
                told(tokens::give(Path::new(at), &name), &name, "token")
            }
            (Errand::Compare(name, token), _, Some(at)) => {
                tokens::compare(Path::new(at), &name, &token).unwrap_or_else(|why| {
                    log::error!("tokens: {why}");
                    Ran::Not("the tokens cannot be read")
                })
            }
            _ => Ran::Not("refused"),
        }
    }
}

impl Names {
    fn kept_at(&mut self, at: &str) -> &mut Kept {
        self.kept.entry(at.to_owned()).or_insert_with(|| Kept::new(Path::new(at)))
    }
}

/// Names at one desk, for whoever does such errands on a thread of its own.
#[derive(Debug)]
pub struct Register {
    desk: Desk,
    clock: Clock,
    names: Mutex<Names>,
}

impl Register {
    /// Of what is kept at this desk.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk, clock: Clock::start(), names: Mutex::default() }
    }

    /// Do an errand that is about names; one at a time.
    pub fn run(&self, errand: Errand) -> Ran {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // It has no connection, and such errands need none.
        let conn = ConnId { index: 0, life: 0 };
        names.run(&self.desk, (conn, errand), self.clock.now())
    }

    /// What was given to this one opens nothing any more. `link_only`: its certificate stays where
    /// it is, and is not trusted.
    pub fn forget(&self, name: &Name, link_only: bool) -> Result<(), String> {
        let _alone = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match (&self.desk.tokens, &self.desk.certificates) {
            (Some(at), _) => tokens::forget(Path::new(at), name),
            (None, Some(at)) => certificates::forget(Path::new(at), name, link_only),
            (None, None) => Err("nothing is given to clients here".into()),
        }
    }
}

fn told(done: Result<Ran, String>, name: &Name, what: &str) -> Ran {
    match done {
        Ok(ran) => {
            log::info!(name:% = name.as_str(); "a connector was given its {what}");
            ran
        }
        Err(why) => {
            log::warn!(name:% = name.as_str(); "a connector is given no {what}: {why}");
            Ran::Not("refused")
        }
    }
}

/// May somebody of this name be given something?
fn may(desk: &Desk, name: &Name, what: &str) -> bool {
    let listed = match &desk.enrol {
        Enrol::Anyone => return true,
        Enrol::Nobody => false,
        Enrol::Listed(path) => match std::fs::read_to_string(path) {
            Ok(text) => text.lines().any(|line| line.trim() == name.as_str()),
            Err(e) => {
                log::error!("{path}: {e}");
                false
            }
        },
    };
    if !listed {
        log::warn!(name:% = name.as_str(); "a connector asks for a {what}, and is not listed");
    }
    listed
}

/// Put a file in place of what has its name, if anything has, whole or not at all.
fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new"));
    let _ = std::fs::remove_file(&new);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let done = written.and_then(|()| std::fs::rename(&new, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    done?;
    File::open(folder)?.sync_all()
}
