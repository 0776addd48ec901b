//! Floor 6. An engine and its turns without sockets: bytes in, bytes out, a disk in memory.
//!
//! The steps and their order are the driver's; disk jobs are done in the turn that asks for them.
//! What comes out is handed to whoever counts it and then forgotten, so nothing here allocates
//! while a bench measures. Absent on purpose: threads, clocks.

use bytes::BytesMut;
use spindle::base::id::{ConnId, ListenerNo, RealmId};
use spindle::base::limits::Limits;
use spindle::base::outbound::Outbound;
use spindle::base::time::{MS, Now};
use spindle::engine::{Completion, Effect, Engine};
use spindle::hub::message::Durability;
use spindle::hub::policy::{Address, Event, Observer, Open};
use spindle::hub::recover::Recovery;
use spindle::hub::{Hub, Parts};
use spindle::journal::memory::Memory;
use spindle::journal::{Journal, Options, perform};
use spindle::link::{Carrier, Inside, Spoken, Terms};
use spindle::proto::{Listener, Speak};

struct Nobody;

impl Observer for Nobody {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// An engine with a listener for each protocol.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    disk: Memory,
    out: Outbound,
    chunk: BytesMut,
}

/// Bounds that let a bench be silent for as long as it takes.
pub(crate) fn patient() -> Limits {
    Limits { idle_ms_max: 3_600_000, strangers_max: 100_000, ..Limits::default() }
}

/// A hub with one open realm; with a journal on `disk` unless nothing is to be durable.
pub(crate) fn hub(now: Now, level: Durability, limits: Limits, disk: &mut Memory) -> Hub {
    let segment_bytes = limits.segment_bytes;
    let (policy, observer) = (Box::new(Open), Box::new(Nobody));
    let mut hub = Hub::new(Parts { limits, seed: 7, realms: vec!["all".into()], policy, observer });
    if level != Durability::Memory {
        let mut told = Recovery::new(7, &hub);
        let options = Options { segment_bytes, salt: 1, salvage: false };
        let (journal, _) = Journal::recover(disk, options, &mut |spot, record| {
            told.apply(spot.lsn, spot.len, record);
        })
        .expect("an empty disk is a good one");
        hub.recover(now, told, journal);
    }
    hub
}

/// The listeners of a rig.
fn listeners(level: Durability) -> Vec<Listener> {
    let listener = |(no, (speak, inside))| Listener {
        relay: None,
        desk: None,
        no: ListenerNo(no),
        speak,
        realm: RealmId(0),
        level,
        link: Terms { inside, speaks: vec![Spoken::Wamp(Carrier::Raw)], ..Terms::default() },
    };
    (0..).zip(SPOKEN).map(listener).collect()
}

/// What each listener speaks.
const SPOKEN: [(Speak, Inside); 4] = [
    (Speak::Prx1, Inside::Bare),
    (Speak::Mqtt, Inside::Bare),
    (Speak::Wamp, Inside::Bare),
    (Speak::Any, Inside::Ws),
];

impl Rig {
    /// A broker nobody is connected to.
    pub(crate) fn new(level: Durability, limits: Limits) -> Self {
        let now = Now { mono: MS, wall: 1_700_000_000_000 };
        let mut disk = Memory::default();
        let hub = hub(now, level, limits, &mut disk);
        let engine = Engine::new(hub, listeners(level), 7);
        let (out, chunk) = (Outbound::default(), BytesMut::with_capacity(64 << 10));
        let mut rig = Self { engine, now, disk, out, chunk };
        rig.quiet();
        rig
    }

    /// Somebody connects.
    pub(crate) fn accept(&mut self, speak: Speak) -> ConnId {
        let place = SPOKEN.iter().position(|(its, _)| *its == speak).expect("it is spoken");
        let here = Address::V4([127, 0, 0, 1]);
        let accepted = self.engine.on_accept(self.now, place as u16, here, true);
        accepted.expect("there is a slot")
    }

    /// Somebody says this.
    pub(crate) fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        self.chunk.extend_from_slice(bytes);
        self.engine.on_bytes(self.now, conn, &mut self.chunk);
    }

    /// One turn behind its arrivals; true when there is more to be said.
    pub(crate) fn turn(&mut self, mut heard: impl FnMut(ConnId, &Outbound)) -> bool {
        let now = self.now;
        self.engine.on_time(now);
        self.engine.commit();
        self.work();
        for _ in 0..self.engine.dirty_len() {
            let Some(conn) = self.engine.poll_dirty() else { break };
            self.out.clear();
            self.engine.poll_transmit(now, conn, &mut self.out);
            heard(conn, &self.out);
        }
        let doomed = self.engine.poll_doomed().map(|(_, doom)| doom.name());
        assert_eq!(doomed, None, "nobody is let go");
        self.engine.dirty_len() > 0
    }

    /// Turns until nobody has anything to say.
    pub(crate) fn turns(&mut self, mut heard: impl FnMut(ConnId, &Outbound)) {
        while self.turn(&mut heard) {}
    }

    /// The same, and nobody listens.
    pub(crate) fn quiet(&mut self) {
        self.turns(|_, _| {});
    }

    /// Do what the disk thread would do.
    pub(crate) fn work(&mut self) {
        while let Some(effect) = self.engine.poll_effect(self.now) {
            let Effect::Disk(job) = effect else { panic!("nobody has a password here") };
            let done = perform(&mut self.disk, job);
            self.engine.on_completion(self.now, Completion::Disk(done));
        }
    }
}
