//! Floor 5. One broker in the fake world, and the turn it is driven by.
//!
//! The steps of a turn are those of the real driver: answers, arrivals, clock, commit, effects,
//! speak, bury. What the world gives and takes in each step is set from outside (`disk_jobs`,
//! `verdicts`, the room of each wire), so scripts and the simulator drive the same machine. A wire
//! is a connection as a network sees it: bytes on their way in, bytes that do not fit out, and
//! what its client has heard. Absent on purpose: chance, and opinions about what is heard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::access::{Access, Terms};
use crate::base::id::{ConnId, ListenerNo, RealmId, Ticket};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::{MS, Now};
use crate::engine::{Completion, Effect, Engine, NoSlot};
use crate::hub::bans;
use crate::hub::gate::{Admin, Admins, Role};
use crate::hub::message::Durability;
use crate::hub::policy::{Address, Event, Observer, Open, Policy};
use crate::hub::recover::Recovery;
use crate::hub::{Hub, Parts};
use crate::hub::{realm, relay};
use crate::journal::job::{DiskDone, DiskJob};
use crate::journal::record::Record;
use crate::journal::{Journal, Options, Spot, perform};
use crate::link::{self, Carrier, Inside, Spoken};
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::{Listener, Speak, procedure};
use crate::topic::Filter;

use super::clerk::Clerk;
use super::disk::FakeDisk;

/// Events of the disk kept for whoever asks; older ones are forgotten.
const TALES_MAX: usize = 64;

/// The listener that speaks MQTT.
pub const MQTT: u16 = 2;
/// The listener that speaks WebSocket, and inside of it what the client asks for.
pub const WS: u16 = 3;
/// The listener that speaks whatever comes.
pub const ANY: u16 = 4;

/// The listener that speaks HTTP.
pub const HTTP: u16 = 5;
/// The listener of a relay.
pub const RELAY: u16 = 6;
/// The listener that tells about it.
pub const STATS: u16 = 7;
/// Where WAMP is spoken over RawSocket.
pub const WAMP: u16 = 8;
/// Where aioconnectors is spoken.
pub const AIO: u16 = 9;

/// What a broker is made of, each time it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Every bound.
    pub limits: Limits,
    /// What acknowledgements wait for.
    pub level: Durability,
    /// A users file; none: everybody is welcome.
    pub users: Option<String>,
    /// Keys maps and salts segments.
    pub seed: u64,
    /// What the relay does.
    pub relay: relay::Terms,
    /// Which topics are procedures also to MQTT: `MATCH:PATTERN`.
    pub procedures: Vec<String>,
    /// Seconds for which cookies stand for somebody, where WebSockets are; 0: none are given.
    pub cookie_s: u64,
    /// Namespaces, by name, and what they are told to do; the default one is there anyway.
    pub realms: Vec<(String, realm::Terms)>,
    /// Of which origins pages may come to WebSockets.
    pub origins: Vec<String>,
    /// What is kept of connectors.
    pub desk: Option<Arc<Desk>>,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits { segment_bytes: 64 << 10, ..Limits::default() };
        let forward = vec!["upstream0:1".into()];
        let relay = relay::Terms { name: "relay".into(), forward, ..Default::default() };
        let (procedures, origins, realms) = (Vec::new(), Vec::new(), Vec::new());
        let (level, seed, users, cookie_s) = (Durability::Disk, 1, None, 0);
        let desk = None;
        Self { limits, level, users, seed, relay, procedures, cookie_s, realms, origins, desk }
    }
}

/// Those who administer in scripts: ann may change things, bob may look. Both passwords are the
/// one that this is the hash of.
#[must_use]
pub fn admins(hash: &str) -> Admins {
    let all = [("ann", Role::Operator), ("bob", Role::Viewer)];
    let admin = |(name, role): (&str, _)| Admin { name: name.into(), hash: hash.into(), role };
    Admins { users: all.map(admin).to_vec(), ..Admins::default() }
}

/// A password that waits for its verdict.
#[derive(Debug)]
pub struct Check {
    /// Whose.
    pub ticket: Ticket,
    /// What was sent.
    pub secret: Vec<u8>,
    /// What it is compared with.
    pub hash: Arc<str>,
}

/// A connection as a network sees it.
#[derive(Debug, Default)]
pub struct Wire {
    /// On its way to the broker.
    pub inward: BytesMut,
    /// The client has closed its end behind these; `true`: by a reset, which overtakes them.
    pub fin: Option<bool>,
    /// What the client was told and has not taken up.
    pub heard: Vec<u8>,
    /// What did not fit.
    pub rest: VecDeque<Bytes>,
    /// How many bytes more fit.
    pub room: usize,
    /// Why the broker ended it.
    pub ended: Option<&'static str>,
    /// The broker has said that nothing follows.
    pub said_all: bool,
    /// What did not fit is the last.
    last: bool,
    /// How much of `fin` the broker has seen.
    seen: Option<bool>,
}

impl Wire {
    /// Bytes that did not fit.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.rest.iter().map(Bytes::len).sum()
    }

    /// Put in as much as fits; how much that was.
    fn fill(&mut self) -> usize {
        let mut moved = 0;
        while self.room > 0
            && let Some(mut front) = self.rest.pop_front()
        {
            let piece = front.split_to(front.len().min(self.room));
            self.room -= piece.len();
            moved += piece.len();
            self.heard.extend_from_slice(&piece);
            if !front.is_empty() {
                self.rest.push_front(front);
            }
        }
        moved
    }
}

/// Something the broker told its observer, as a plain value.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A login succeeded.
    LoggedIn(ConnId),
    /// A connection ended, for this reason.
    Closed(ConnId, &'static str),
    /// What a reader (its name) was to be told of this topic is not owed: it is owed too much.
    Dropped(Bytes, Bytes),
    /// A subscription began or changed, by this user.
    Subscribed(Bytes, Filter),
    /// A subscription ended.
    Unsubscribed(Bytes, Filter),
    /// A message was taken in: user, topic, length, QoS, retain.
    Published(Bytes, Bytes, usize, u8, bool),
}

#[derive(Debug, Default)]
struct Notes {
    tales: Vec<String>,
    seen: Vec<Seen>,
    watching: bool,
}

/// Writes down what the broker tells its observer.
#[derive(Clone, Debug, Default)]
struct Witness(Arc<Mutex<Notes>>);

impl Witness {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Witness {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        let mut notes = self.notes();
        let own = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let seen = match event {
            Event::Storage { state, text } => {
                if notes.tales.len() < TALES_MAX {
                    notes.tales.push(format!("{state}: {text}"));
                }
                return;
            }
            Event::LoggedIn { conn, .. } => Seen::LoggedIn(*conn),
            Event::Closed { conn, reason } => Seen::Closed(*conn, reason),
            Event::Dropped { user, topic, reason } if reason.counter() == Counter::DroppedFull => {
                let text: &[u8] = topic.spelled_with(b'/').map_or(&[], |text| text);
                Seen::Dropped(own(user), own(text))
            }
            Event::Subscribed { who, filter } => {
                Seen::Subscribed(own(&who.user), filter.detached())
            }
            Event::Unsubscribed { who, filter } => {
                Seen::Unsubscribed(own(&who.user), filter.detached())
            }
            Event::Published { who, topic, len, qos, retain } => {
                let text: &[u8] = topic.spelled_with(b'/').map_or(&[], |text| text);
                Seen::Published(own(&who.user), own(text), *len, *qos, *retain)
            }
            _ => return,
        };
        if notes.watching {
            notes.seen.push(seen);
        }
    }
}

/// A broker in the fake world.
pub struct Rig {
    /// The machine; its own turn is the caller's only while it stays between turns.
    pub engine: Engine,
    /// The disk, which outlives the broker.
    pub disk: FakeDisk,
    /// The reading of both clocks.
    pub now: Now,
    /// The connections that anybody still looks at.
    pub wires: BTreeMap<ConnId, Wire>,
    /// Disk jobs that wait, oldest first.
    pub jobs: VecDeque<DiskJob>,
    /// Passwords that wait, oldest first.
    pub checks: Vec<Check>,
    /// Errands of connectors that wait.
    pub errands: Vec<(Ticket, Errand)>,
    /// Who does those about files.
    pub clerk: Clerk,
    /// Disk jobs done in the next turns, each turn at most so many.
    pub disk_jobs: usize,
    /// How much of a wire is read in a turn, at most.
    pub read_most: usize,
    /// Connections that the broker wants to upstreams, oldest first: of which relay, and which.
    pub dials: VecDeque<(ConnId, u16, u16)>,
    /// Verdicts to be told in the next turn.
    pub verdicts: Vec<(Ticket, bool)>,
    /// Writes of the disk when the work of the last turn was handed out: what is said later in a
    /// turn is written later, and nobody was promised it then.
    pub written: u64,
    witness: Witness,
    out: Outbound,
}

impl Rig {
    /// Start a broker on this disk; the refusal of its journal in words.
    pub fn start(setup: &Setup, disk: &FakeDisk, now: Now) -> Result<Self, String> {
        Self::begin(setup, disk, now, false)
    }

    /// The same, and everything that happens from the first moment is written down.
    pub fn start_watched(setup: &Setup, disk: &FakeDisk, now: Now) -> Result<Self, String> {
        Self::begin(setup, disk, now, true)
    }

    fn begin(setup: &Setup, disk: &FakeDisk, now: Now, watched: bool) -> Result<Self, String> {
        let witness = Witness::default();
        witness.notes().watching = watched;
        let mut hub = Hub::new(Parts {
            limits: setup.limits.clone(),
            seed: setup.seed,
            realms: names(setup),
            policy: policy(setup)?,
            observer: Box::new(witness.clone()),
        });
        hub.relays.add(setup.relay.clone());
        tell_realms(&mut hub, setup, now)?;
        if setup.level != Durability::Memory {
            recover(&mut hub, setup, disk, now)?;
        }
        hub.recall_relays(now);
        let listener = |no, speak, inside| Listener {
            no: ListenerNo(no),
            speak,
            realm: RealmId(0),
            level: setup.level,
            link: link::Terms {
                inside,
                speaks: vec![Spoken::Mqtt, Spoken::Prx1, Spoken::Wamp(Carrier::Raw)],
                cookie_s: setup.cookie_s,
                origins: setup.origins.clone(),
                ..link::Terms::default()
            },
            relay: (speak == Speak::Foo).then_some(0),
            desk: setup.desk.clone().filter(|_| speak == Speak::Aio),
        };
        let listeners = vec![
            listener(0, Speak::Prx1, Inside::Bare),
            listener(1, Speak::Local, Inside::Bare),
            listener(MQTT, Speak::Mqtt, Inside::Bare),
            listener(WS, Speak::Any, Inside::Ws),
            listener(ANY, Speak::Any, Inside::Any),
            listener(HTTP, Speak::Http, Inside::Bare),
            listener(RELAY, Speak::Foo, Inside::Bare),
            listener(STATS, Speak::Stats, Inside::Bare),
            listener(WAMP, Speak::Wamp, Inside::Bare),
            listener(AIO, Speak::Aio, Inside::Bare),
        ];
        let mut engine = Engine::new(hub, listeners, setup.seed);
        engine.set_admins(admins("$2b$nobody"));
        let mut rig = Self {
            engine,
            disk: disk.clone(),
            now,
            wires: BTreeMap::new(),
            jobs: VecDeque::new(),
            checks: Vec::new(),
            errands: Vec::new(),
            clerk: Clerk::default(),
            disk_jobs: usize::MAX,
            read_most: setup.limits.read_bytes_turn,
            dials: VecDeque::new(),
            verdicts: Vec::new(),
            written: 0,
            witness,
            out: Outbound::default(),
        };
        // What was read may have been in memory only: it is synced before anybody is served.
        (0..64).for_each(|_| _ = rig.turn());
        match rig.engine.hub().journal().is_none_or(Journal::is_settled) {
            true => Ok(rig),
            false => Err("the recovered journal does not come to rest".into()),
        }
    }

    /// From now on everything that happens is written down.
    pub fn watch(&mut self) {
        self.witness.notes().watching = true;
    }

    /// A client connects to the first listener, which speaks PRX1.
    pub fn open(&mut self, from: Address) -> Result<ConnId, NoSlot> {
        self.open_at(0, from)
    }

    /// A client connects to this listener.
    pub fn open_at(&mut self, listener: u16, from: Address) -> Result<ConnId, NoSlot> {
        let conn = self.engine.on_accept(self.now, listener, from, false)?;
        self.wires.insert(conn, Wire { room: usize::MAX, ..Wire::default() });
        Ok(conn)
    }

    /// Somebody accepts the connection that was dialed first, or refuses it.
    pub fn answer_dial(&mut self, accept: bool) -> Option<ConnId> {
        let (conn, ..) = self.dials.pop_front()?;
        if accept {
            self.wires.insert(conn, Wire { room: usize::MAX, ..Wire::default() });
            self.engine.on_connected(self.now, conn);
        } else {
            self.engine.on_unreachable(self.now, conn);
        }
        Some(conn)
    }

    /// One turn. True: something happened in it.
    pub fn turn(&mut self) -> bool {
        let mut busy = self.answers();
        busy |= self.arrivals();
        self.engine.on_time(self.now);
        self.engine.commit();
        self.written = self.disk.writes();
        busy |= self.effects();
        busy |= self.speak();
        busy | self.bury()
    }

    /// Turn until nothing happens any more; false when that takes more than `most` turns.
    pub fn rest(&mut self, most: usize) -> bool {
        (0..most).any(|_| {
            let busy = self.turn();
            let due = self.engine.poll_deadline().is_some_and(|at| at.0 == 0);
            !busy && !due
        })
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.now.mono += ms * MS;
        self.now.wall += ms;
    }

    /// What was written down since the last time.
    #[must_use]
    pub fn seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.witness.notes().seen)
    }

    /// What was said about the disk so far.
    #[must_use]
    pub fn tales(&self) -> Vec<String> {
        self.witness.notes().tales.clone()
    }

    fn answers(&mut self) -> bool {
        let mut busy = false;
        for _ in 0..self.disk_jobs.min(self.jobs.len()) {
            let Some(job) = self.jobs.pop_front() else { break };
            let done = perform(&mut self.disk, job);
            self.done(done);
            busy = true;
        }
        for (ticket, ok) in core::mem::take(&mut self.verdicts) {
            self.engine.on_completion(self.now, Completion::Verified { ticket, ok });
            busy = true;
        }
        busy
    }

    /// A disk job is done.
    pub fn done(&mut self, done: DiskDone) {
        self.engine.on_completion(self.now, Completion::Disk(done));
    }

    fn arrivals(&mut self) -> bool {
        let mut busy = false;
        let conns: Vec<ConnId> = self.wires.keys().copied().collect();
        for conn in conns {
            let Some(wire) = self.wires.get_mut(&conn) else { continue };
            if wire.ended.is_some() || wire.seen == Some(true) {
                continue;
            }
            if !wire.rest.is_empty() && wire.fill() > 0 {
                busy = true;
                wire.said_all |= wire.last && wire.rest.is_empty();
                match wire.rest.is_empty() {
                    true => self.engine.on_drained(self.now, conn),
                    false => self.engine.on_progress(self.now, conn),
                }
            }
            let most = wire.inward.len().min(self.read_most);
            if most > 0 && wire.seen.is_none() && self.engine.wants_bytes(conn) {
                let mut chunk = wire.inward.split_to(most);
                self.engine.on_bytes(self.now, conn, &mut chunk);
                busy = true;
            }
            let Some(reset) = wire.fin.filter(|_| wire.fin != wire.seen) else { continue };
            if reset || wire.inward.is_empty() && self.engine.wants_bytes(conn) {
                wire.seen = wire.fin;
                self.engine.on_closed(self.now, conn, reset);
                busy = true;
            }
        }
        busy
    }

    fn effects(&mut self) -> bool {
        let mut busy = false;
        while let Some(effect) = self.engine.poll_effect(self.now) {
            busy = true;
            match effect {
                Effect::Disk(job) => self.jobs.push_back(job),
                Effect::Dial { conn, relay, at } => self.dials.push_back((conn, relay, at)),
                Effect::Errand { ticket, errand, .. } => self.errands.push((ticket, errand)),
                Effect::Operate { ticket, .. } => {
                    let result = Err("a simulated world has nobody who could".to_owned());
                    self.engine.on_completion(self.now, Completion::Operated { ticket, result });
                }
                Effect::Verify { ticket, secret, hash } => {
                    self.checks.push(Check { ticket, secret: secret.bytes().to_vec(), hash });
                }
            }
        }
        busy
    }

    /// Do the errands that wait: tokens are `token of NAME`, and every file finds its place. Or
    /// the answer to all of them is no.
    pub fn run_errands(&mut self, ok: bool) {
        let token = |name: &str| format!("token of {name}");
        for (ticket, errand) in core::mem::take(&mut self.errands) {
            let done = match errand {
                Errand::Token(name) if ok => Ran::Given(token(name.as_str()).as_str().into()),
                Errand::Compare(name, shown) if ok && shown.reveal() == token(name.as_str()) => {
                    Ran::Right
                }
                errand => self.clerk.run(ticket.conn, errand, ok),
            };
            self.engine.on_completion(self.now, Completion::Ran { ticket, done });
        }
    }

    fn speak(&mut self) -> bool {
        let dirty = self.engine.dirty_len();
        for _ in 0..dirty {
            let Some(conn) = self.engine.poll_dirty() else { break };
            self.say(conn);
        }
        dirty > 0
    }

    fn say(&mut self, conn: ConnId) {
        self.out.clear();
        self.engine.poll_transmit(self.now, conn, &mut self.out);
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        let said = self.out.to_vec();
        let fits = if wire.rest.is_empty() { said.len().min(wire.room) } else { 0 };
        wire.heard.extend_from_slice(&said[..fits]);
        wire.room -= fits;
        wire.said_all |= self.out.is_last() && wire.rest.is_empty() && fits == said.len();
        wire.last |= self.out.is_last();
        if fits < said.len() {
            wire.rest.push_back(Bytes::copy_from_slice(&said[fits..]));
            self.engine.on_blocked(self.now, conn);
        }
    }

    fn bury(&mut self) -> bool {
        let mut busy = false;
        while let Some((conn, doom)) = self.engine.poll_doomed() {
            self.say(conn);
            self.engine.bury(conn);
            if let Some(wire) = self.wires.get_mut(&conn) {
                wire.ended = Some(doom.name());
                wire.rest.clear();
            }
            busy = true;
        }
        busy
    }
}

/// What namespaces are told to do.
fn tell_realms(hub: &mut Hub, setup: &Setup, now: Now) -> Result<(), String> {
    let read = |text: &String| procedure::pattern(text, &setup.limits).map(|it| it.2);
    let procedures = setup.procedures.iter().map(read).collect::<Result<_, _>>()?;
    hub.tell_realm(now, RealmId(0), realm::Terms { procedures, ..realm::Terms::default() });
    for (name, terms) in &setup.realms {
        match hub.realm_named(name) {
            Some(realm) => hub.tell_realm(now, realm, terms.clone()),
            None => hub.set_template(terms.clone()),
        }
    }
    Ok(())
}

fn names(setup: &Setup) -> Vec<String> {
    let mut all = vec!["default".to_owned(), bans::KEPT_REALM.to_owned()];
    let more = setup
        .realms
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !["default", "*"].contains(&&name[..]));
    all.extend(more.cloned());
    all
}

fn policy(setup: &Setup) -> Result<Box<dyn Policy>, String> {
    match &setup.users {
        None => Ok(Box::new(Open)),
        Some(text) => {
            let key = [setup.seed, setup.seed ^ 0x5eed];
            // A broker is made thousands of times here: keys may be cheap.
            let terms = Terms { rounds: 2, ..Terms::default() };
            let access = Access::new(text, key, terms);
            Ok(Box::new(access.map_err(|note| note.to_string())?))
        }
    }
}

fn recover(hub: &mut Hub, setup: &Setup, disk: &FakeDisk, now: Now) -> Result<(), String> {
    let mut told = Recovery::new(setup.seed, hub);
    let options = Options {
        segment_bytes: setup.limits.segment_bytes,
        salt: setup.seed ^ now.mono,
        salvage: false,
    };
    let mut apply = |spot: Spot, record: &Record| told.apply(spot.lsn, spot.len, record);
    let recovered = Journal::recover(&mut disk.clone(), options, &mut apply);
    let (journal, _) = recovered.map_err(|refusal| refusal.to_string())?;
    hub.recover(now, told, journal);
    Ok(())
}
