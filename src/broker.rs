//! Floor 6. The public shell: a builder, a broker that runs on the calling thread, and handles.
//!
//! `build` does everything that can be refused: it takes the data directory, reads the journal,
//! brings it to the disk again, and binds. What it returns only has to be run. A [`Handle`] is a
//! peer like any other, with the same order and the same bounds, but without a socket. Absent on
//! purpose: configuration files and argv (`cli`), and anything that decides about messages.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::access::{Access, Mode, Note, Terms};
use crate::base::cidr::Cidr;
use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::engine::Engine;
use crate::hub::gate::Admins;
use crate::hub::message::{Delivery, Durability};
use crate::hub::policy::{Observer, Open, Policy};
use crate::hub::{self, Hub};
use crate::journal::storage::{DiskError, Storage};
use crate::journal::{Options, Refusal, Report};
use crate::os::clock::Clock;
use crate::os::driver::{Driver, End, Parts};
use crate::os::listener::Local;
use crate::os::local::{Command, Control, Verdict};
use crate::os::log_observer::LogObserver;
use crate::os::mmap::{Directory, Unusable};
use crate::os::notify::Notify;
use crate::os::passed::Passed;
use crate::os::poller::Poller;
use crate::os::reload::Renew;
use crate::os::signal::Signals;
use crate::os::tuning::Tuning;
use crate::proto::Speak;
use crate::topic::{Dialect, Star};

mod admin;
mod configured;
mod desk;
mod disk;
mod listen;
mod means;
mod realms;
mod relay;
mod renew;
#[cfg(feature = "tls")]
mod tls;
mod users;
mod within;

use disk::{Door, open_journal};
use means::{bounded_by_system, entropy, spare_cores};
pub use realms::RealmPlan;
use renew::Renewer;

pub use renew::{Reloader, Renewed};

pub use configured::{doubts, try_files};
pub use listen::{Listen, NoListen};
#[cfg(feature = "tls")]
pub use tls::Tls;

/// Why there is no broker, or why it ended.
#[derive(Debug)]
pub enum Error {
    /// An address could not be bound.
    Listen {
        /// As given.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// What a relay forwards to cannot be made out.
    Forward {
        /// Where the relay listens, as given.
        address: String,
        /// What is wrong.
        error: io::Error,
    },
    /// A relay begins or changes, and that is no matter of a reload.
    Relay {
        /// Where it listens, as given.
        address: String,
    },
    /// Everybody could come in from anywhere.
    Exposed {
        /// As given.
        address: String,
    },
    /// The data directory cannot be used.
    Data(Unusable),
    /// The journal is not opened.
    Journal(Refusal),
    /// The disk failed.
    Disk(String),
    /// The users file cannot be read.
    UsersFile {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The users file is wrong.
    Users {
        /// Which.
        path: PathBuf,
        /// Where and what.
        note: Note,
    },
    /// A file of TLS cannot be read.
    #[cfg(feature = "tls")]
    TlsFile {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file of TLS cannot be used.
    #[cfg(feature = "tls")]
    Tls {
        /// Which.
        path: PathBuf,
        /// Why.
        why: crate::link::tls::Unusable,
    },
    /// A listener is to do TLS, and there is nothing to do it with.
    NoTls {
        /// As given.
        address: String,
    },
    /// Something the system refuses: descriptors, threads, entropy.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Relay { address } => {
                write!(f, "the relay at {address} is new or another one: that needs a restart")
            }
            Self::Forward { address, error } => write!(f, "the relay at {address}: {error}"),
            Self::Exposed { address } => write!(
                f,
                "{address} can be reached from other machines and every login would be accepted; \
                 name the users (--users FILE, Builder::users), or open it on purpose \
                 (--allow-anonymous, Builder::allow_anonymous)"
            ),
            Self::Data(e) => write!(f, "{e}"),
            Self::Journal(e) => write!(f, "{e}"),
            Self::Disk(e) => write!(f, "the disk failed: {e}"),
            Self::UsersFile { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Users { path, note } => write!(f, "{}: {note}", path.display()),
            #[cfg(feature = "tls")]
            Self::TlsFile { path, error } => write!(f, "{}: {error}", path.display()),
            #[cfg(feature = "tls")]
            Self::Tls { path, why } => write!(f, "{}: {why}", path.display()),
            Self::NoTls { address } if cfg!(feature = "tls") => write!(
                f,
                "{address} is to do TLS, and there is no certificate (--tls-cert FILE and \
                 --tls-key FILE, Builder::tls)"
            ),
            Self::NoTls { address } => {
                write!(f, "{address} is to do TLS, and this program was built without it")
            }
            Self::System(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        Self::Disk(error.to_string())
    }
}

/// What a broker is to be.
pub struct Builder {
    listen: Vec<Listen>,
    trusted: Vec<Cidr>,
    realms: Vec<RealmPlan>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    journal: Option<PathBuf>,
    level: Durability,
    salvage: bool,
    door: Option<Door>,
    policy: Option<Box<dyn Policy>>,
    users: Option<PathBuf>,
    anonymous: bool,
    observer: Option<Box<dyn Observer>>,
    limits: Limits,
    workers: Option<usize>,
    signals: Option<Signals>,
    notify: Option<Notify>,
    passed: Vec<Passed>,
    admins: Admins,
    shown: Bytes,
    reloader: Option<Reloader>,
    tuning: Tuning,
}

impl Builder {
    /// Accept connections at an address, `host:port`.
    #[must_use]
    pub fn listen(self, address: impl Into<String>, speak: Speak) -> Self {
        self.listen_to(Listen::new(address, speak))
    }

    /// Accept connections, with everything that can be said about how.
    #[must_use]
    pub fn listen_to(mut self, listen: Listen) -> Self {
        self.listen.push(listen);
        self
    }

    /// Certificate and key for the listeners that do TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Believe what proxies in this block of addresses say about for whom they speak; may be
    /// repeated.
    #[must_use]
    pub fn trust_proxy(mut self, block: Cidr) -> Self {
        self.trusted.push(block);
        self
    }

    /// Accept connections at an address, and let acknowledgements there wait for this.
    #[must_use]
    pub fn listen_at(self, address: impl Into<String>, speak: Speak, level: Durability) -> Self {
        self.listen_to(Listen::new(address, speak).level(level))
    }

    /// Keep a journal in this directory, and let acknowledgements wait for `level`.
    #[must_use]
    pub fn journal(mut self, dir: impl Into<PathBuf>, level: Durability) -> Self {
        self.journal = (level != Durability::Memory).then(|| dir.into());
        self.level = level;
        self
    }

    /// What lies between the journal and its directory once the broker runs: something that counts
    /// operations, delays them, or lets them fail, for whoever wants to know what happens then.
    #[must_use]
    pub fn storage(
        mut self,
        door: impl FnOnce(Box<dyn Storage>) -> Box<dyn Storage> + 'static,
    ) -> Self {
        self.door = Some(Box::new(door));
        self
    }

    /// Keep nothing beyond the process. This is what a builder starts with.
    #[must_use]
    pub fn memory(mut self) -> Self {
        self.journal = None;
        self.level = Durability::Memory;
        self
    }

    /// Keep what can be kept of a damaged journal, instead of refusing it.
    #[must_use]
    pub fn salvage(mut self, yes: bool) -> Self {
        self.salvage = yes;
        self
    }

    /// Who may come in and what they may do, by a policy of your own.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Who may come in and what they may do, by a users file.
    #[must_use]
    pub fn users(mut self, path: impl Into<PathBuf>) -> Self {
        self.users = Some(path.into());
        self
    }

    /// Accept every login also from other machines.
    #[must_use]
    pub fn allow_anonymous(mut self, yes: bool) -> Self {
        self.anonymous = yes;
        self
    }

    /// Who is told what happens; without one, the log.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Other bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Threads that compare passwords with hashes; without a number, all cores but one.
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = Some(threads.max(1));
        self
    }

    /// What to ask of the machine, so that messages wait less.
    #[must_use]
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Obey these signals; they were caught before the first thread was started.
    #[must_use]
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = Some(signals);
        self
    }

    /// How to know what the broker is to be when a reload is asked for; without it, the same files
    /// are read again.
    #[must_use]
    pub fn reloader(mut self, reloader: Reloader) -> Self {
        self.reloader = Some(reloader);
        self
    }

    /// Tell whoever started us how we are.
    #[must_use]
    pub fn notify(mut self, notify: Notify) -> Self {
        self.notify = Some(notify);
        self
    }

    /// Use these sockets instead of binding: each for the first listener left that has its name as
    /// a scheme.
    #[must_use]
    pub fn passed(mut self, sockets: Vec<Passed>) -> Self {
        self.passed = sockets;
        self
    }

    /// Do everything that can be refused. Raises this process' number of descriptors as far as
    /// the system lets it.
    pub fn build(mut self) -> Result<Broker, Error> {
        let clock = Clock::start();
        let [seed, salt, key_a, key_b] = entropy()?;
        let plan = self.plan();
        // First of all, so that a second process is told what is wrong and not a consequence.
        let data = self.journal.as_deref().map(Directory::open).transpose().map_err(Error::Data)?;
        let (policy, open) = self.decides([key_a, key_b])?;
        let wraps = plan.wraps()?;
        let data = data.map(|it| it.prefault(self.tuning.prefault > 0));
        let upstreams = listen::upstreams(&self.listen)?;
        let doors = listen::bind(&self.listen, self.passed, open && !self.anonymous)?;
        let workers = self.workers.unwrap_or_else(spare_cores);
        let limits = bounded_by_system(self.limits, workers)?;
        let bounds = limits.clone();
        let observer = self.observer.unwrap_or_else(|| Box::new(LogObserver::new(seed)));
        let options = Options { segment_bytes: limits.segment_bytes, salt, salvage: self.salvage };
        let parts = |realms| hub::Parts { limits, seed, realms, policy, observer };
        let mut hub = realms::hub(clock.now(), parts, &self.realms);
        self.listen.iter().filter_map(Listen::relay).for_each(|it| hub.relays.add(it.clone()));
        let open_one = |data| open_journal(data, self.door, options, &mut hub, (seed, &clock));
        let (storage, report) = data.map(open_one).transpose()?.unzip();
        let level = |own: Option<Durability>| match storage.is_some() {
            true => own.unwrap_or(self.level),
            false => Durability::Memory,
        };
        let listeners = listen::listeners(&self.listen, level, &wraps, &self.trusted);
        let (commands, asked) = bounded(QUESTIONS);
        let (controls, reported) = bounded(REPORTS);
        let mut poller = Poller::new()?;
        self.tuning.try_all(&mut poller, &doors)?;
        let handle = Handle { commands, controls, waker: poller.waker() };
        let mut engine = Engine::new(hub, listeners, seed);
        engine.hub_mut().polls.seal(entropy()?);
        engine.set_admins(self.admins);
        engine.set_config(self.shown);
        engine.set_places(renew::places(&engine, &doors));
        let mosts = plan.listen.iter().map(Listen::most).enumerate();
        mosts.for_each(|(place, most)| engine.bound_listener(place as u16, most));
        let own = plan.clone();
        let reload: Box<dyn Renew> = Box::new(Renewer {
            from: self.reloader.unwrap_or_else(|| Box::new(move || Ok(own.clone()))),
            standing: renew::standing(&plan.listen, &doors),
            trusted: plan.trusted,
            users: plan.users,
            open,
            level: storage.is_some().then_some(self.level),
            limits: bounds,
            workers,
            ready: None,
        });
        let parts = Parts {
            engine,
            clock,
            poller,
            doors,
            folder: self.journal.filter(|_| storage.is_some()),
            storage,
            workers,
            upstreams,
            commands: asked,
            controls: reported,
            signals: self.signals,
            notify: self.notify,
            reload: Some(reload),
            at_end: None,
            seed,
            tuning: self.tuning,
        };
        Ok(Broker { parts, handle, report })
    }

    /// What a reload that nobody configures would find again.
    fn plan(&self) -> Renewed {
        Renewed {
            listen: self.listen.clone(),
            trusted: self.trusted.clone(),
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
            users: self.users.clone().filter(|_| self.policy.is_none()),
            anonymous: self.anonymous,
            limits: self.limits.clone(),
            log: None,
            admins: self.admins.clone(),
            shown: self.shown.clone(),
            told: Vec::new(),
            taken: Arc::default(),
        }
    }

    /// The policy, and whether it welcomes everybody.
    fn decides(&mut self, key: [u64; 2]) -> Result<users::Decides, Error> {
        if let Some(policy) = self.policy.take() {
            return Ok((policy, false));
        }
        match self.users.take() {
            Some(path) => users::decides(path, key, self.journal.as_deref()),
            None => Ok((Box::new(Open), true)),
        }
    }
}

/// A broker that is ready to run.
pub struct Broker {
    parts: Parts,
    handle: Handle,
    report: Option<Report>,
}

impl Broker {
    /// Begin to say what it is to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            listen: Vec::new(),
            trusted: Vec::new(),
            realms: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            journal: None,
            level: Durability::Memory,
            salvage: false,
            door: None,
            policy: None,
            users: None,
            anonymous: false,
            observer: None,
            limits: Limits::default(),
            workers: None,
            signals: None,
            notify: None,
            passed: Vec::new(),
            admins: Admins::default(),
            shown: Bytes::new(),
            reloader: None,
            tuning: Tuning::default(),
        }
    }

    /// A way in for the embedding program.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where the listener with this place in the order of `listen` is bound; nothing for one in
    /// the file system.
    #[must_use]
    pub fn local_addr(&self, place: usize) -> Option<SocketAddr> {
        match self.local(place)? {
            Local::Net(address) => Some(*address),
            Local::File(_) => None,
        }
    }

    /// The same, wherever it is.
    #[must_use]
    pub fn local(&self, place: usize) -> Option<&Local> {
        let door = self.parts.doors.iter().find(|door| usize::from(door.place) == place);
        door.map(|door| &door.local)
    }

    /// What was found in the journal, if there is one.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Serve, on this thread, until a handle or a signal says stop.
    pub fn run(self) -> Result<(), Error> {
        // Kept, so that the queues of questions do not close while nobody has a handle.
        let _handle = self.handle;
        match Driver::start(self.parts)?.run()? {
            End::Clean => Ok(()),
            End::Unsynced => Err(Error::Disk("not everything reached it in time".into())),
            End::DiskFailed(text) => Err(Error::Disk(text)),
        }
    }
}

/// A way in for the embedding program: from any thread, as often as wanted.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    controls: Sender<Control>,
    waker: Arc<mio::Waker>,
}

/// Why a handle got no answer, or this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The broker has ended.
    Stopped,
    /// The topic or filter is not one.
    BadName,
    /// What it said.
    Because(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the broker has ended"),
            Self::BadName => f.write_str("not a topic, or not a filter"),
            Self::Because(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refused {}

impl Handle {
    /// Publish. Returns at once unless many questions wait; the receipt says when it is done. Not
    /// to be called on the thread that runs the broker (by an observer, say): it would wait for
    /// itself.
    pub fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        body: impl Into<Bytes>,
        qos: u8,
        retain: bool,
    ) -> Result<Receipt, Refused> {
        let topic = Bytes::copy_from_slice(topic.as_ref());
        star().topic(&topic).map_err(|_| Refused::BadName)?;
        let (done, answer) = bounded(1);
        self.ask(Command::Publish { topic, body: body.into(), qos, retain, done })?;
        Ok(Receipt { answer })
    }

    /// Listen, for as long as the subscription lives. Returns when it is there.
    pub fn subscribe(&self, filter: impl AsRef<[u8]>, qos: u8) -> Result<Subscription, Refused> {
        self.subscribe_as("", filter, qos)
    }

    /// Listen under a name: messages are kept for it while nobody listens, and after a restart.
    pub fn subscribe_as(
        &self,
        name: &str,
        filter: impl AsRef<[u8]>,
        qos: u8,
    ) -> Result<Subscription, Refused> {
        let filter = Bytes::copy_from_slice(filter.as_ref());
        let native = crate::topic::Match::Native;
        star().filter(&filter, native).map_err(|_| Refused::BadName)?;
        let (messages, inbox) = bounded(INBOX);
        let (done, answer) = bounded(1);
        let full = Arc::new(AtomicBool::new(false));
        let name = Bytes::copy_from_slice(name.as_bytes());
        let shared = Arc::clone(&full);
        self.ask(Command::Subscribe { name, filter, qos, messages, full: shared, done })?;
        let conn = answer.recv().map_err(|_| Refused::Stopped)?.map_err(Refused::Because)?;
        Ok(Subscription { inbox, full, conn, held: 0, handle: self.clone() })
    }

    /// Have everything read again that a reload can change, and taken over if all of it is good.
    /// Returns when that is done: what is another now, or why everything stays as it was.
    pub fn reload(&self) -> Result<String, String> {
        let ended = || Refused::Stopped.to_string();
        let (done, answer) = bounded(1);
        self.ask(Command::Reload { done }).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }

    /// Ask the broker to come to an end.
    pub fn stop(&self) {
        self.report(Control::Stop);
    }

    fn ask(&self, command: Command) -> Result<(), Refused> {
        self.commands.send(command).map_err(|_| Refused::Stopped)?;
        self.wake();
        Ok(())
    }

    fn report(&self, control: Control) {
        if self.controls.send(control).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        // A waker fails when the loop is gone, and then nobody needs to be woken.
        let _ = self.waker.wake();
    }
}

/// A publish on its way.
#[derive(Debug)]
pub struct Receipt {
    answer: Receiver<Verdict>,
}

impl Receipt {
    /// Wait until it is as durable as the broker promises; how many readers it found.
    pub fn wait(self) -> Result<u32, Refused> {
        self.answer.recv().map_err(|_| Refused::Stopped)?.map_err(Refused::Because)
    }

    /// The same, at most this long; nothing when it took longer.
    pub fn wait_for(&self, limit: Duration) -> Option<Result<u32, Refused>> {
        use crossbeam_channel::RecvTimeoutError::{Disconnected, Timeout};

        match self.answer.recv_timeout(limit) {
            Ok(verdict) => Some(verdict.map_err(Refused::Because)),
            Err(Timeout) => None,
            Err(Disconnected) => Some(Err(Refused::Stopped)),
        }
    }
}

/// A message for the embedding program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its topic, levels separated by `/`.
    pub topic: Bytes,
    /// Its payload.
    pub body: Bytes,
    /// 0 or 1.
    pub qos: u8,
    /// It is the kept value of its topic.
    pub retain: bool,
    /// It may have been given before.
    pub dup: bool,
}

/// Messages as they come. Asking for the next one says that the last one was taken care of; one
/// that was not is given again to whoever listens next under the same name.
#[derive(Debug)]
pub struct Subscription {
    inbox: Receiver<Delivery>,
    full: Arc<AtomicBool>,
    conn: ConnId,
    held: u64,
    handle: Handle,
}

impl Subscription {
    /// The next message, if one comes within this time.
    pub fn next_for(&mut self, limit: Duration) -> Option<Message> {
        self.settle();
        loop {
            let delivery = self.inbox.recv_timeout(limit).ok()?;
            if let Some(message) = self.take(&delivery) {
                return Some(message);
            }
        }
    }

    fn settle(&mut self) {
        let ord = std::mem::take(&mut self.held);
        if ord > 0 || self.full.swap(false, Ordering::SeqCst) {
            self.handle.report(Control::Taken(self.conn, ord));
        }
    }

    fn take(&mut self, delivery: &Delivery) -> Option<Message> {
        self.held = delivery.ord;
        let mut topic = Vec::new();
        // What this dialect cannot spell is invisible to it, and taken care of.
        if !star().spell(&delivery.message.topic, &mut topic) {
            self.settle();
            return None;
        }
        Some(Message {
            topic: topic.into(),
            body: delivery.message.body.to_bytes(),
            qos: delivery.qos,
            retain: delivery.retain,
            dup: delivery.dup,
        })
    }
}

impl Iterator for Subscription {
    type Item = Message;

    /// Waits; ends when the broker does.
    fn next(&mut self) -> Option<Message> {
        self.settle();
        loop {
            let delivery = self.inbox.recv().ok()?;
            if let Some(message) = self.take(&delivery) {
                return Some(message);
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.handle.report(Control::Leave(self.conn));
    }
}

fn star() -> Star {
    Star { levels_max: Limits::default().levels_max }
}

/// Questions of handles that wait for the loop.
const QUESTIONS: usize = 1_024;
/// Reports of subscriptions that wait for the loop.
const REPORTS: usize = 4_096;
/// Messages in the queue of a subscription.
const INBOX: usize = 256;
