//! Floor 5. What a connector has and its threads share: the line to the server, what is kept, who
//! waits.
//!
//! Messages of types that are kept go through the disk, also while there is a connection: they are
//! deleted when the server has acknowledged them, so neither side's end loses one. While anything
//! waits there everything goes that way, or what comes later would overtake it. Everything else is
//! for a server that is there. No lock of these is held while that of the client is taken. Absent
//! on purpose: sockets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::map::Seed;
use crate::client::aio::line::Watch;
use crate::client::aio::setup::Taker;
use crate::client::aio::{Client, Error, Handle, Id, Message, Received, Stored, Text};
use crate::client::pipe::seed;
use crate::proto::aio::answers::{Answers, Terms};
use crate::proto::aio::inner::PING;
use crate::proto::aio::shelf::Kept;
use crate::proto::aio::{encode_vec, next};

use super::chest::Chest;
use super::outlet::Outlet;
use super::setup::{Ignored, Setup};

/// The answer to a question; none: the connection was lost.
pub(super) type Answer = Option<Received>;

/// Who waits for an answer.
#[derive(Debug)]
struct Asker {
    who: Sender<Answer>,
    /// The question is kept, so the end of a connection is not its own.
    kept: bool,
    number: u64,
}

/// What became of a message of an application's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// It waits for the socket.
    Said,
    /// It is on the disk.
    Kept,
    /// Nothing: why.
    Not(String),
}

/// What has been counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages of applications that were not sent.
    pub(super) unsent: AtomicU64,
    /// Messages from the server that nobody received.
    pub(super) unwanted: AtomicU64,
}

/// All that the threads share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) setup: Setup,
    /// What the server is called.
    pub(super) server: Text,
    line: Mutex<Option<Client>>,
    chest: Option<Mutex<Chest>>,
    /// There is something in the chest, room under way, or a line; or it is over.
    more: Condvar,
    outlets: BTreeMap<Text, Arc<Outlet>>,
    askers: Mutex<Answers<Asker>>,
    asked: AtomicU64,
    watch: Watch,
    ignored: Mutex<Ignored>,
    topics: Mutex<Vec<String>>,
    pub(super) tally: Tally,
    /// Bytes of messages that applications have begun to send.
    pub(super) coming: AtomicUsize,
    over: AtomicBool,
}

impl House {
    pub(super) fn new(setup: Setup) -> Result<Self, Error> {
        let chest = |whose: &str| {
            let dir = setup.chest(whose);
            Chest::open(&dir, setup.kept_max).map_err(|e| Error::file(&dir, e))
        };
        let sends = setup.keep_sent != Kept::Nothing;
        let kept = if sends { Some(Mutex::new(chest("to-server")?)) } else { None };
        let mut outlets = BTreeMap::new();
        for kind in &setup.receive_types {
            let keeps = setup.keep_received.has(kind);
            let kept = if keeps { Some(chest(&format!("for-{kind}"))?) } else { None };
            let outlet = Outlet::new(setup.receiver(kind), setup.receive_more, kept);
            outlets.insert(Text::from(kind.as_str()), Arc::new(outlet));
        }
        let server = setup.builder().server_text()?;
        let terms = Terms::default();
        let askers = Answers::new(terms, Seed::with_seed(seed()));
        Ok(Self {
            server,
            line: Mutex::new(None),
            chest: kept,
            more: Condvar::new(),
            outlets,
            askers: Mutex::new(askers),
            asked: AtomicU64::new(0),
            watch: Watch::start(),
            ignored: Mutex::new(setup.ignored.clone()),
            topics: Mutex::new(setup.topics.clone()),
            tally: Tally::default(),
            coming: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            setup,
        })
    }

    /// Begin to dial, unless that was done already.
    pub(super) fn begin(self: &Arc<Self>) -> Result<(), Error> {
        let mut line = lock(&self.line);
        if line.is_none() {
            let mut builder = self.setup.builder().taker(Arc::clone(self) as Arc<dyn Taker>);
            for topic in lock(&self.topics).iter() {
                builder = builder.subscribe(topic);
            }
            *line = Some(builder.begin()?);
        }
        drop(line);
        self.more.notify_all();
        Ok(())
    }

    /// Hang up; `hard`: without saying what waits.
    pub(super) fn end(&self, hard: bool) {
        let line = lock(&self.line).take();
        if let Some(client) = line {
            if hard {
                client.cut();
            }
            client.leave();
        }
        self.lost();
    }

    /// It is over, for all threads.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
        // Whoever has looked already waits by the time this is to be had.
        drop(self.chest.as_ref().map(lock));
        self.more.notify_all();
        self.outlets.values().for_each(|outlet| outlet.close());
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn handle(&self) -> Option<Handle> {
        lock(&self.line).as_ref().map(|client| client.handle.clone())
    }

    pub(super) fn is_online(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_online())
    }

    /// Say this to the server, or keep it.
    pub(super) fn send(&self, message: Message) -> Sent {
        let kind = message.header.message_type.as_str();
        let (keeps, pings) = (self.setup.keep_sent.has(kind), kind == PING);
        if let Some(chest) = &self.chest {
            let mut chest = lock(chest);
            // What comes later must not be there earlier; but a ping is answered and never
            // acknowledged, so it would stay.
            if keeps || !chest.is_empty() && !pings {
                let put = encode_vec(&message)
                    .map_err(|e| e.to_string())
                    .and_then(|bytes| chest.put(&bytes).map_err(|why| why.to_string()));
                drop(chest);
                self.more.notify_all();
                return put.map_or_else(Sent::Not, |()| Sent::Kept);
            }
        }
        let Some(handle) = self.handle().filter(Handle::is_online) else {
            return Sent::Not("there is no connection".to_owned());
        };
        match handle.shared.with_room(None, |desk| desk.say(message, None)) {
            Ok(()) => Sent::Said,
            Err(error) => Sent::Not(error.to_string()),
        }
    }

    /// Ask this: what the answer comes by.
    pub(super) fn ask(&self, mut question: Message) -> Result<Asked<'_>, String> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let header = &mut question.header;
        let fresh = || Id::from(format!("{:016x}", seed() ^ number).as_str());
        let id = header.request_id.get_or_insert_with(fresh).clone();
        let kind = header.message_type.clone();
        let (who, answer) = bounded(1);
        let kept = self.setup.keep_sent.has(kind.as_str());
        let asker = Asker { who, kept, number };
        let asked = lock(&self.askers).ask(self.watch.now(), (&kind, &self.server), &id, asker);
        asked.map_err(|why| format!("a question that cannot be: {why:?}"))?;
        let asked = Asked { house: self, answer, number };
        match self.send(question) {
            Sent::Not(why) => Err(why),
            Sent::Said | Sent::Kept => Ok(asked),
        }
    }

    /// Bring what is kept to the server, until it is over.
    pub(super) fn forward(self: &Arc<Self>) {
        let Some(chest) = &self.chest else { return };
        loop {
            let mut kept = lock(chest);
            while !(self.is_over() || kept.has_next() && kept.under_way() < WINDOW) {
                kept = self.more.wait(kept).unwrap_or_else(PoisonError::into_inner);
            }
            if self.is_over() {
                return;
            }
            let synced = kept.sync();
            drop(kept);
            if let Err(e) = synced {
                log::error!("what is kept may not survive: {e}");
            }
            let Some(handle) = self.handle() else {
                // Nobody dials now; whoever begins again wakes us.
                let kept = lock(chest);
                if !self.is_over() && lock(&self.line).is_none() {
                    drop(self.more.wait_timeout(kept, PAUSE));
                }
                continue;
            };
            let taken = lock(chest).take();
            match taken {
                Ok(None) => {}
                Ok(Some((number, bytes))) => self.forward_one(&handle, number, &bytes),
                Err(e) => {
                    log::error!("a message that was kept cannot be read: {e}");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn forward_one(self: &Arc<Self>, handle: &Handle, number: u64, bytes: &[u8]) {
        let frame = next(&mut BytesMut::from(bytes), u32::MAX as usize);
        let Ok(Some(frame)) = frame else {
            log::error!("a message that was kept makes no sense any more");
            self.settled(number, &Ok(()));
            return;
        };
        let taker = Arc::clone(self) as Arc<dyn Taker>;
        let said = handle.shared.with_room(None, |desk| desk.say_kept(frame, taker, number));
        if let Err(error) = said {
            self.settled(number, &Err(error));
        }
    }

    /// What waits: for each application, and for the server.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let received = self.outlets.values().map(|outlet| outlet.len()).sum();
        let said = self.handle().map_or(0, |handle| handle.shared.desk().waiting() as u64);
        let kept = self.chest.as_ref().map(|chest| {
            let chest = lock(chest);
            // What is under way is with the client, or with the server.
            chest.len()
        });
        (received, kept.map_or(said, |kept| kept.max(said)))
    }

    pub(super) fn outlets(&self) -> impl Iterator<Item = &Arc<Outlet>> {
        self.outlets.values()
    }

    pub(super) fn ignored(&self) -> MutexGuard<'_, Ignored> {
        lock(&self.ignored)
    }

    pub(super) fn ignores(&self) -> bool {
        self.ignored().has(self.server.as_str())
    }

    pub(super) fn topics(&self) -> Vec<String> {
        lock(&self.topics).clone()
    }

    /// Other topics are wanted from now on.
    pub(super) fn set_topics(&self, wanted: Vec<String>) {
        let mut topics = lock(&self.topics);
        let before = core::mem::replace(&mut *topics, wanted.clone());
        drop(topics);
        let Some(handle) = self.handle() else { return };
        let mut desk = handle.shared.desk();
        for gone in before.iter().filter(|it| !wanted.contains(it)) {
            desk.unsubscribe(&gone.as_str().into());
        }
        for fresh in wanted.iter().filter(|it| !before.contains(it)) {
            let kind = fresh.as_str().into();
            // What cannot be said now is said by the next connection.
            if let Ok(mouth) = desk.subscribe(&kind) {
                desk.close(&kind, mouth.key);
            }
        }
        handle.shared.wake(&desk);
    }

    /// Throw away what is kept and not under way.
    pub(super) fn forget_kept(&self) -> std::io::Result<()> {
        if let Some(chest) = &self.chest {
            lock(chest).clear()?;
        }
        self.outlets.values().try_for_each(|outlet| outlet.forget())
    }
}

/// A question that is open; dropping it ends that.
pub(super) struct Asked<'a> {
    house: &'a House,
    pub(super) answer: Receiver<Answer>,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        lock(&self.house.askers).withdraw(|asker| asker.number == self.number);
    }
}

impl Taker for House {
    fn take(&self, received: Received) {
        if self.ignores() {
            return;
        }
        if let Some(Stored::Not(why)) = &received.file {
            log::warn!("a file from the server was not kept: {why}");
        }
        let header = &received.frame.header;
        if let Some(id) = &header.response_id {
            let asker = lock(&self.askers).answer((&header.message_type, &self.server), id);
            if let Some(asker) = asker {
                // It may have gone at this moment.
                let _ = asker.who.try_send(Some(received));
                return;
            }
        }
        let taken = match self.outlets.get(&header.message_type) {
            Some(outlet) => outlet.put(received.frame),
            None => Err("nobody here receives its type".to_owned()),
        };
        if let Err(why) = taken {
            told(&self.tally.unwanted, "from the server", &why);
        }
    }

    fn secure(&self) {
        for outlet in self.outlets.values() {
            outlet.secure();
        }
    }

    fn lost(&self) {
        for asker in lock(&self.askers).withdraw(|asker| !asker.kept) {
            let _ = asker.who.try_send(None);
        }
    }

    fn settled(&self, number: u64, done: &Result<(), Error>) {
        let Some(chest) = &self.chest else { return };
        let mut chest = lock(chest);
        match done {
            // What can never be said is not tried for ever.
            Ok(()) => chest.settle(number),
            Err(Error::TooLarge) => {
                log::error!("a message that was kept is too long to be sent");
                chest.settle(number);
            }
            Err(_) => chest.put_back(number),
        }
        drop(chest);
        self.more.notify_all();
    }
}

/// Count what is not brought any further, and say so: the first, and then as often as it doubles.
pub(super) fn told(count: &AtomicU64, whose: &str, why: &str) {
    let count = count.fetch_add(1, Ordering::Relaxed) + 1;
    if count.is_power_of_two() {
        log::warn!("{count} messages {whose} were dropped; the last because {why}");
    }
}

/// Nothing is left half done under these locks, so a poisoned one is as good as another.
pub(super) fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many kept messages are with the client at a time.
const WINDOW: usize = 64;
/// How often is looked again for what nobody tells.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
