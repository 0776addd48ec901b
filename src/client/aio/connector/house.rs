//! Floor 5. What a connector has and its threads share: the ways to its peers, what is received,
//! who waits.
//!
//! A client has one peer, its server; a server has its clients (`hall`). What peers say goes to the
//! programs here, and what programs say goes to one of the peers (`way`). No lock of these is held
//! while that of a connection is taken. Absent on purpose: sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::map::Seed;
use crate::client::aio::line::Watch;
use crate::client::aio::setup::{Taker, Wish};
use crate::client::aio::{Error, Id, Message, Received, Stored, Text};
use crate::client::pipe::seed;
use crate::proto::aio::answers::{Answers, Terms};
use crate::proto::aio::heard::What;
use crate::proto::aio::inner::PUBSUB;
use crate::proto::aio::shelf::Kept;

use super::chest::Failures;
use super::hall::{Hall, announced};
use super::outlet::Outlet;
use super::setup::{Ignored, Setup};
use super::way::{Seat, Way, Went};

/// The answer to a question; none: the connection was lost.
pub(super) type Answer = Option<Received>;

/// Who waits for an answer.
#[derive(Debug)]
struct Asker {
    who: Sender<Answer>,
    /// Who is asked.
    peer: Text,
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
    /// Nothing, because the disk has failed.
    Failed(String),
}

/// What has been counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages of applications that were not sent.
    pub(super) unsent: AtomicU64,
    /// Messages from peers that nobody received.
    pub(super) unwanted: AtomicU64,
}

/// All that the threads share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) setup: Setup,
    /// What the server is called: its client's peer, or a server itself.
    pub(super) server: Text,
    /// A client's way to it.
    own: Option<Arc<Way>>,
    /// What a server has.
    pub(super) hall: Option<Hall>,
    outlets: BTreeMap<Text, Arc<Outlet>>,
    askers: Mutex<Answers<Asker>>,
    asked: AtomicU64,
    watch: Watch,
    ignored: Mutex<Ignored>,
    topics: Mutex<Vec<String>>,
    pub(super) tally: Tally,
    /// Bytes of messages that applications have begun to send.
    pub(super) coming: AtomicUsize,
    /// And of those that clients have.
    pub(super) held: AtomicUsize,
    failures: Failures,
    leaves: AtomicBool,
    over: AtomicBool,
}

impl House {
    pub(super) fn new(setup: Setup) -> Result<Self, Error> {
        let server = setup.server_text()?;
        let failures = Failures::default();
        let hall = match &setup.serves {
            Some(serving) => Some(Hall::new(&setup, serving, &failures)?),
            None => None,
        };
        let own = match (&hall, &setup.keep_sent) {
            (Some(_), _) => None,
            (None, Kept::Nothing) => Some(Arc::new(Way::new(server.clone(), None))),
            (None, _) => {
                let chest = setup.open_chest("to-server", &failures)?;
                Some(Arc::new(Way::new(server.clone(), Some(chest))))
            }
        };
        let mut outlets = BTreeMap::new();
        for kind in &setup.receive_types {
            let keeps = setup.keep_received.has(kind);
            let chest = || setup.open_chest(&format!("for-{kind}"), &failures);
            let kept = if keeps { Some(chest()?) } else { None };
            let outlet = Outlet::new(setup.receiver(kind), setup.receive_more, kept);
            outlets.insert(Text::from(kind.as_str()), Arc::new(outlet));
        }
        let terms = Terms::default();
        let askers = Answers::new(terms, Seed::with_seed(seed()));
        Ok(Self {
            server,
            own,
            hall,
            outlets,
            askers: Mutex::new(askers),
            asked: AtomicU64::new(0),
            watch: Watch::start(),
            ignored: Mutex::new(setup.ignored.clone()),
            topics: Mutex::new(setup.topics.clone()),
            tally: Tally::default(),
            coming: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            failures,
            leaves: AtomicBool::new(false),
            over: AtomicBool::new(false),
            setup,
        })
    }

    /// Begin to dial, or to let clients in, unless that was done already.
    pub(super) fn begin(self: &Arc<Self>) -> Result<(), Error> {
        if let Some(hall) = &self.hall {
            return hall.begin(self);
        }
        let Some(way) = &self.own else { return Ok(()) };
        way.begin(|| {
            if self.is_leaving() {
                return Err(Error::Left);
            }
            let seat = Seat { house: Arc::clone(self), way: Arc::clone(way), number: 0 };
            let mut builder = self.setup.builder().taker(Arc::new(seat) as Arc<dyn Taker>);
            for topic in lock(&self.topics).iter() {
                builder = builder.subscribe(topic);
            }
            builder.begin()
        })
    }

    /// Hang up; `hard`: without saying what waits.
    pub(super) fn end(&self, hard: bool) {
        if let Some(hall) = &self.hall {
            hall.end(hard);
            hall.all().iter().for_each(|way| self.gone(&way.peer));
            hall.all().iter().for_each(|way| hall.retire(way));
        }
        let Some(way) = &self.own else { return };
        if let Some(client) = way.hang_up(|| ()) {
            if hard {
                client.cut();
            }
            client.leave();
        }
        self.gone(&way.peer);
    }

    /// What ends from now on does not begin again.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaves.load(Ordering::Relaxed) || self.is_over()
    }

    /// It is over, for all threads.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.ways().iter().for_each(|way| way.close());
        self.outlets.values().for_each(|outlet| outlet.close());
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The ways to all peers.
    pub(super) fn ways(&self) -> Vec<Arc<Way>> {
        match &self.hall {
            Some(hall) => hall.all(),
            None => self.own.iter().cloned().collect(),
        }
    }

    pub(super) fn is_online(&self) -> bool {
        match (&self.hall, &self.own) {
            (Some(hall), _) => hall.is_open(),
            (None, way) => way.as_ref().is_some_and(|way| way.is_online()),
        }
    }

    /// Where a server lets clients in.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.hall.as_ref()?.address()
    }

    /// Say this to the peer that it is for, or keep it.
    pub(super) fn send(&self, message: Message) -> Sent {
        if let Some(hall) = &self.hall {
            if message.header.message_type.as_str() != PUBSUB {
                return hall.send(&self.setup, message, PATIENCE);
            }
            let Some(message) = announced(message) else {
                return Sent::Not("it is for no topic".to_owned());
            };
            if !hall.serving.central_broker {
                return Sent::Not("this connector is no broker of publications".to_owned());
            }
            hall.publish(self, &message, PATIENCE);
            return Sent::Said;
        }
        match self.own.as_ref().map(|way| way.send(&self.setup.keep_sent, message, None)) {
            Some(Went::So(sent)) => sent,
            Some(Went::Over(_)) | None => Sent::Not("it is over".to_owned()),
        }
    }

    /// Ask this: what the answer comes by.
    pub(super) fn ask(&self, mut question: Message) -> Result<Asked<'_>, String> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let header = &mut question.header;
        let fresh = || Id::from(format!("{:016x}", seed() ^ number).as_str());
        let id = header.request_id.get_or_insert_with(fresh).clone();
        let kind = header.message_type.clone();
        let peer = self.peer_of(&question).ok_or("it names no client")?;
        let (who, answer) = bounded(1);
        let kept = self.setup.keep_sent.has(kind.as_str());
        let asker = Asker { who, peer: peer.clone(), kept, number };
        let asked = lock(&self.askers).ask(self.watch.now(), (&kind, &peer), &id, asker);
        asked.map_err(|why| format!("a question that cannot be: {why:?}"))?;
        let asked = Asked { house: self, answer, number };
        match self.send(question) {
            Sent::Not(why) | Sent::Failed(why) => Err(why),
            Sent::Said | Sent::Kept => Ok(asked),
        }
    }

    /// Whom a program's message is for.
    pub(super) fn peer_of(&self, message: &Message) -> Option<Text> {
        match &self.hall {
            Some(_) => message.header.destination_id.clone(),
            None => Some(self.server.clone()),
        }
    }

    /// Bring what is kept to the server, until it is over. A server does so for each client.
    pub(super) fn forward(self: &Arc<Self>) {
        if let Some(way) = &self.own {
            way.forward(self, 0);
        }
    }

    /// What waits: for each application, and for the server.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let received = self.outlets.values().map(|outlet| outlet.len()).sum();
        (received, self.ways().iter().map(|way| way.waiting()).sum())
    }

    pub(super) fn outlets(&self) -> impl Iterator<Item = &Arc<Outlet>> {
        self.outlets.values()
    }

    pub(super) fn ignored(&self) -> MutexGuard<'_, Ignored> {
        lock(&self.ignored)
    }

    pub(super) fn ignores(&self, peer: &Text) -> bool {
        self.ignored().has(peer.as_str())
    }

    pub(super) fn topics(&self) -> Vec<String> {
        lock(&self.topics).clone()
    }

    /// Other topics are wanted from now on.
    pub(super) fn set_topics(&self, wanted: Vec<String>) {
        let mut topics = lock(&self.topics);
        let before = core::mem::replace(&mut *topics, wanted.clone());
        drop(topics);
        let Some(handle) = self.own.as_ref().and_then(|way| way.handle()) else { return };
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
        let ways = self.ways();
        let forgot = ways.iter().try_for_each(|way| way.forget());
        if let Some(hall) = &self.hall {
            ways.iter()
                .filter(|way| way.waiting() == 0)
                .for_each(|way| hall.forget_files(&way.peer));
        }
        ways.iter().for_each(|way| self.retire(way));
        forgot?;
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

/// What connections have to say.
impl House {
    /// A message of this peer's; true: it is kept. An error: it is not, and should have been.
    pub(super) fn take(&self, peer: &Text, received: Received) -> Result<bool, Error> {
        if self.ignores(peer) {
            return Ok(false);
        }
        if let Some(Stored::Not(why)) = &received.file {
            log::warn!(name:% = peer.as_str(); "a file was not kept: {why}");
        }
        let header = &received.frame.header;
        if let Some(id) = &header.response_id {
            let asker = lock(&self.askers).answer((&header.message_type, peer), id);
            if let Some(asker) = asker {
                // It may have gone at this moment.
                let _ = asker.who.try_send(Some(received));
                return Ok(false);
            }
        }
        let taken = match self.outlets.get(&header.message_type) {
            Some(outlet) => outlet.put(received.frame),
            None => Err(("nobody here receives its type".to_owned(), false)),
        };
        taken.or_else(|(why, again)| {
            told(&self.tally.unwanted, "from peers", &why);
            if again { Err(Error::Unkept) } else { Ok(false) }
        })
    }

    /// Is it kept, if it is taken?
    pub(super) fn keeps(&self, what: &What) -> bool {
        match what {
            What::Message(frame) | What::Answer(frame) => {
                let kind = &frame.header.message_type;
                self.setup.keep_received.has(kind.as_str()) && self.outlets.contains_key(kind)
            }
            What::Publish(topic, _) => {
                let wanted = self.hall.as_ref().is_some_and(|hall| hall.wants(topic));
                self.setup.keep_sent.has(topic.as_str()) && wanted
            }
            _ => false,
        }
    }

    /// What was taken is acknowledged now. How often a disk has failed since the beginning, also
    /// while others did this.
    pub(super) fn secure(&self) -> u64 {
        for outlet in self.outlets.values() {
            outlet.secure();
        }
        if let Some(hall) = &self.hall {
            hall.secure();
        }
        // A chest counts what it fails at while it is locked, so this was behind it.
        self.failures.load(Ordering::Relaxed)
    }

    /// Clients together have so much under way at most; one alone is its own bound. Who has little
    /// is not sent away because others have much.
    pub(super) fn holds(&self, before: usize, now: usize) -> bool {
        self.held.fetch_add(now, Ordering::Relaxed);
        let all = self.held.fetch_sub(before, Ordering::Relaxed).saturating_sub(before);
        self.hall.is_none() || now <= before || now <= LITTLE || all <= HELD_MAX
    }

    /// The file that is shared under this number has gone to this peer, or never will.
    pub(super) fn sent(&self, peer: &Text, shared: u64) {
        if let Some(hall) = &self.hall {
            hall.sent(peer, shared);
        }
    }

    /// A client wants something of this server.
    pub(super) fn wished(&self, way: &Way, number: u64, wish: Wish) {
        if let Some(hall) = &self.hall
            && !self.ignores(&way.peer)
        {
            hall.wished(self, (way, number), wish);
        }
    }

    /// There is no connection to this peer any more: who waits for it in vain is told so.
    pub(super) fn gone(&self, peer: &Text) {
        let gone = |asker: &Asker| !asker.kept && asker.peer == *peer;
        for asker in lock(&self.askers).withdraw(gone) {
            let _ = asker.who.try_send(None);
        }
        if let Some(hall) = &self.hall {
            hall.gone(peer, &self.setup.keep_sent);
        }
    }

    /// Nothing may be left that would be kept for a client.
    pub(super) fn retire(&self, way: &Way) {
        if let Some(hall) = &self.hall {
            hall.retire(way);
        }
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

/// How long a program waits for a client that takes nothing, once.
const PATIENCE: Duration = Duration::from_secs(10);
/// What clients may have under way together.
pub(super) const HELD_MAX: usize = 512 << 20;
/// What one may have whatever others do.
const LITTLE: usize = 64 << 10;
