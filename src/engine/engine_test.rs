//! Floor 4. What the machine promises between its parts, driven by hand over a disk in memory.

use bytes::{Bytes, BytesMut};

use crate::base::id::{ConnId, ListenerNo, RealmId};
use crate::base::limits::{Limit, Limits};
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::message::Durability;
use crate::hub::policy::{Address, Event, Observer, Open, Principal};
use crate::hub::recover::Recovery;
use crate::hub::{Hub, Parts};
use crate::journal::job::{DiskDone, DiskJob};
use crate::journal::memory::Memory;
use crate::journal::storage::DiskError;
use crate::journal::{Journal, Options, perform};
use crate::link::Terms;
use crate::proto::doom::Doom;
use crate::proto::local::{Verb, Word};
use crate::proto::prx1::packet::{Connect, Packet, Publish, Subscribe};
use crate::proto::{Listener, Speak, prx1};

use super::{Completion, Effect, Engine, NoSlot};

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// A broker, its disk, the jobs that wait and the clock.
pub(super) struct Bench {
    pub(super) engine: Engine,
    disk: Memory,
    jobs: Vec<DiskJob>,
    pub(super) now: Now,
}

impl Bench {
    pub(super) fn new(limits: Limits) -> Self {
        let mut disk = Memory::default();
        let (policy, observer) = (Box::new(Open), Box::new(Quiet));
        let options = Options { segment_bytes: limits.segment_bytes, salt: 1, salvage: false };
        let parts = Parts { limits, seed: 7, realms: vec!["main".into()], policy, observer };
        let mut hub = Hub::new(parts);
        let mut told = Recovery::new(7, &hub);
        let (journal, _) = Journal::recover(&mut disk, options, &mut |spot, record| {
            told.apply(spot.lsn, spot.len, record);
        })
        .expect("the journal opens");
        let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
        hub.recover(now, told, journal);
        let listener = |no, speak| Listener {
            relay: None,
            desk: None,
            no: ListenerNo(no),
            speak,
            realm: RealmId(0),
            level: Durability::Disk,
            link: Terms::default(),
        };
        let speaks = [Speak::Prx1, Speak::Local, Speak::Http];
        let listeners = (0u16..).zip(speaks).map(|(no, speak)| listener(no, speak)).collect();
        let engine = Engine::new(hub, listeners, 7);
        let mut bench = Self { engine, disk, jobs: Vec::new(), now };
        bench.rest();
        bench
    }

    /// A turn as far as effects, in which the disk answers everything it was asked before.
    fn hear(&mut self) {
        for job in core::mem::take(&mut self.jobs) {
            let done = perform(&mut self.disk, job);
            self.engine.on_completion(self.now, Completion::Disk(done));
        }
        self.work();
    }

    /// The rest of a turn before anybody speaks; the disk answers nothing.
    pub(super) fn work(&mut self) {
        self.engine.on_time(self.now);
        self.engine.commit();
        while let Some(effect) = self.engine.poll_effect(self.now) {
            if let Effect::Disk(job) = effect {
                self.jobs.push(job);
            }
        }
    }

    /// Whoever has something to say says it.
    pub(super) fn speak(&mut self) -> Vec<(ConnId, Vec<u8>)> {
        let mut said = Vec::new();
        for _ in 0..self.engine.dirty_len() {
            let Some(conn) = self.engine.poll_dirty() else { break };
            let mut out = Outbound::default();
            self.engine.poll_transmit(self.now, conn, &mut out);
            said.push((conn, out.to_vec()));
        }
        said
    }

    /// Turns until the disk has nothing to do; what was said to `conn` is given back.
    pub(super) fn rest(&mut self) -> Vec<(ConnId, Vec<u8>)> {
        let mut said = Vec::new();
        for _ in 0..32 {
            self.hear();
            said.extend(self.speak());
        }
        said
    }

    /// Every sync that was asked for fails.
    fn break_disk(&mut self) {
        for job in core::mem::take(&mut self.jobs) {
            let DiskJob::Sync { upto, seq, .. } = job else { continue };
            let text = "broken".to_owned();
            let error = DiskError { full: false, segment: 1, offset: 0, text };
            let done = DiskDone::Synced { upto, seq, result: Err(error) };
            self.engine.on_completion(self.now, Completion::Disk(done));
        }
    }

    fn open(&mut self) -> ConnId {
        self.engine.on_accept(self.now, 0, Address::Local, true).expect("a slot")
    }

    pub(super) fn send(&mut self, conn: ConnId, packet: &Packet) {
        let mut out = Outbound::default();
        prx1::encode(packet, &mut out).expect("it fits");
        let mut chunk = BytesMut::from(&out.to_vec()[..]);
        self.engine.on_bytes(self.now, conn, &mut chunk);
    }

    pub(super) fn login(&mut self, name: &str) -> ConnId {
        let conn = self.open();
        let username = Some(Bytes::copy_from_slice(name.as_bytes()));
        self.send(conn, &Packet::Connect(Connect { username, ..Connect::default() }));
        conn
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono += ms * MS;
        self.now.wall += ms;
    }
}

fn subscribe(topic: &'static str) -> Packet {
    let topic = Bytes::from_static(topic.as_bytes());
    Packet::Subscribe(Subscribe { dup: false, qos: 1, retain: false, id: 1, topic })
}

fn publish(topic: &'static str, id: u16, payload: Bytes) -> Packet {
    let topic = Bytes::from_static(topic.as_bytes());
    Packet::Publish(Publish { dup: false, qos: 1, retain: false, id, topic, payload })
}

#[test]
fn a_read_that_a_speaker_asked_for_is_not_left_for_another_day() {
    let mut b = Bench::new(Limits::default());
    let reader = b.login("reader");
    b.send(reader, &subscribe("a/b"));
    b.rest();
    b.engine.on_closed(b.now, reader, true);
    let writer = b.login("writer");
    b.send(writer, &publish("a/b", 1, Bytes::from_static(b"while you were away")));
    b.rest();
    let reader = b.login("reader");
    // The welcome waits for the disk; what was owed is asked for when it goes out.
    b.hear();
    b.hear();
    assert!(b.speak().iter().any(|(conn, said)| *conn == reader && !said.is_empty()));
    assert!(b.jobs.iter().all(|job| !matches!(job, DiskJob::Fetch(_))), "nobody took it yet");
    assert_eq!(b.engine.poll_deadline(), Some(Deadline(0)), "so there must be another turn");
    let said: Vec<u8> = b.rest().into_iter().flat_map(|(_, said)| said).collect();
    assert!(said.windows(4).any(|w| w == b"away"));
}

#[test]
fn a_promise_behind_other_replies_ends_with_the_disk() {
    let mut b = Bench::new(Limits::default());
    let reader = b.login("reader");
    b.send(reader, &subscribe("a/b"));
    let writer = b.login("writer");
    b.rest();
    // A reply that may go out at once stands before one that waits for the disk.
    b.engine.on_blocked(b.now, writer);
    b.send(writer, &Packet::Ping);
    b.send(writer, &publish("a/b", 1, Bytes::from_static(b"x")));
    b.work();
    b.break_disk();
    b.engine.on_drained(b.now, writer);
    b.speak();
    assert!(b.engine.is_doomed(writer), "it would wait for its acknowledgement for ever");
}

#[test]
fn who_waits_for_room_is_not_silent() {
    let limits = Limits { segment_bytes: 64 << 10, packet_bytes_max: 1 << 20, ..Limits::default() };
    let idle_ms = limits.idle_ms_max;
    let mut b = Bench::new(limits);
    let reader = b.login("reader");
    b.send(reader, &subscribe("a/b"));
    let writer = b.login("writer");
    b.rest();
    let mut id = 0;
    while b.engine.wants_bytes(writer) {
        id += 1;
        assert!(id < 100, "the journal is never full");
        b.send(writer, &publish("a/b", id, Bytes::from(vec![1; 10_000])));
    }
    for _ in 0..10 {
        b.pass(idle_ms / 2);
        b.work();
    }
    assert!(!b.engine.is_doomed(writer), "it is the broker that does not read");
    b.rest();
    assert!(b.engine.wants_bytes(writer), "there is room again");
    b.work();
    assert!(!b.engine.is_doomed(writer));
    b.pass(idle_ms * 2);
    b.work();
    assert!(b.engine.is_doomed(writer), "and now it is silent");
}

#[test]
fn who_asked_from_inside_is_told_when_the_disk_fails() {
    let mut b = Bench::new(Limits::default());
    let reader = b.login("reader");
    b.send(reader, &subscribe("a/b"));
    b.rest();
    let who = Principal::default();
    let inside = b.engine.on_local(b.now, Bytes::new(), who).expect("a slot");
    let (topic, body) = (Bytes::from_static(b"a/b"), Bytes::from_static(b"x"));
    b.engine.on_verb(b.now, inside, Verb::Publish { no: 5, topic, body, qos: 1, retain: false });
    b.work();
    b.break_disk();
    assert!(b.engine.is_doomed(inside));
    let mut words = Vec::new();
    b.engine.poll_words(b.now, inside, usize::MAX, &mut words);
    assert!(matches!(words[..], [Word::Refused { no: 5, .. }]), "{words:?}");
}

/// Somebody at the socket of the administration who watches.
fn watch(bench: &mut Bench) -> ConnId {
    let conn = bench.engine.on_accept(bench.now, 2, Address::Local, true).expect("a slot");
    let head = b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
    bench.engine.on_bytes(bench.now, conn, &mut BytesMut::from(&head[..]));
    conn
}

fn snapshots(said: &[u8]) -> usize {
    String::from_utf8_lossy(said).matches("event: snapshot").count()
}

#[test]
fn a_viewer_that_takes_nothing_misses_snapshots_and_none_wait_for_it() {
    let mut bench = Bench::new(Limits::default());
    let (quick, slow) = (watch(&mut bench), watch(&mut bench));
    bench.engine.on_blocked(bench.now, slow);
    let mut heard = Vec::new();
    for _ in 0..20 {
        bench.pass(1_000);
        let said = bench.rest();
        assert!(said.iter().all(|(conn, said)| *conn != slow || said.is_empty()));
        heard
            .extend(said.into_iter().filter(|(conn, _)| *conn == quick).flat_map(|(_, said)| said));
    }
    assert_eq!(snapshots(&heard), 20);
    bench.engine.on_drained(bench.now, slow);
    let said: Vec<u8> = bench.rest().into_iter().flat_map(|(_, said)| said).collect();
    assert_eq!(snapshots(&said), 1, "only the newest is told");
    let newest = |said: &[u8]| {
        let text = String::from_utf8_lossy(said).into_owned();
        text.rsplit("event: snapshot").next().map(str::to_owned)
    };
    assert_eq!(newest(&said), newest(&heard), "and it is the one that all are told");
}

#[test]
fn a_snapshot_is_made_for_those_who_watch_and_for_nobody_else() {
    let mut bench = Bench::new(Limits::default());
    bench.pass(5_000);
    bench.rest();
    assert!(bench.engine.watched.is_none());
    let conn = watch(&mut bench);
    bench.rest();
    let first = bench.engine.watched.clone().expect("one was made");
    bench.pass(3_000);
    bench.rest();
    let later = bench.engine.watched.clone().expect("one was made");
    assert_eq!(later.0, first.0 + 3);
    bench.engine.on_closed(bench.now, conn, false);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.engine.watched, Some(later), "nobody watches any more");
}

impl Bench {
    /// Say all of a packet but its last byte; the byte that is missing.
    fn begin(&mut self, conn: ConnId, packet: &Packet) -> u8 {
        let mut out = Outbound::default();
        prx1::encode(packet, &mut out).expect("it fits");
        let words = out.to_vec();
        let (last, most) = words.split_last().expect("words");
        // In pieces, as they come from a socket.
        for piece in most.chunks(10_000) {
            self.engine.on_bytes(self.now, conn, &mut BytesMut::from(piece));
        }
        *last
    }
}

#[test]
fn who_began_first_and_does_not_end_makes_room_for_who_does() {
    let limits = Limits { unfinished_bytes_max: 256 << 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    let crowd: Vec<ConnId> = (0..40).map(|n| b.login(&format!("{n}"))).collect();
    b.rest();
    let packet = publish("a/b", 1, Bytes::from(vec![1; 30_000]));
    let mut last = 0;
    for conn in &crowd {
        last = b.begin(*conn, &packet);
        b.pass(1);
        assert!(b.engine.unfinished <= 256 << 10, "{}", b.engine.unfinished);
    }
    let cut = crowd.iter().take_while(|conn| b.engine.is_doomed(**conn)).count();
    assert!(cut >= 30, "{cut} are cut");
    assert!(crowd[cut..].iter().all(|conn| !b.engine.is_doomed(*conn)), "the first are");
    assert_eq!(b.engine.hub().stats.limit(Limit::unfinished_bytes_max), cut as u64);
    let (newest, before) = (crowd[39], b.engine.unfinished);
    b.engine.on_bytes(b.now, newest, &mut BytesMut::from(&[last][..]));
    assert!(b.engine.unfinished < before, "a packet that is whole takes no room");
    for conn in crowd {
        b.engine.doom(b.now, conn, Doom::Kicked);
    }
    assert_eq!(b.engine.unfinished, 0, "who is gone takes none");
}

#[test]
fn nobody_new_comes_in_while_all_of_the_memory_is_used() {
    let limits = Limits { memory_bytes_max: 200 << 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    let crowd: Vec<ConnId> = (0..10).map(|n| b.login(&format!("{n}"))).collect();
    b.rest();
    let packet = publish("a/b", 1, Bytes::from(vec![1; 30_000]));
    for conn in &crowd {
        b.begin(*conn, &packet);
    }
    let from = Address::V4([10, 0, 0, 1]);
    assert_eq!(b.engine.on_accept(b.now, 0, from, false), Err(NoSlot::Memory));
    assert_eq!(b.engine.hub().stats.limit(Limit::memory_bytes_max), 1);
    assert!(b.engine.on_accept(b.now, 1, Address::Local, true).is_ok(), "who embeds it does");
    assert!(b.engine.on_accept(b.now, 2, from, false).is_ok(), "who administers it does");
    for conn in crowd {
        b.engine.doom(b.now, conn, Doom::Kicked);
    }
    assert!(b.engine.on_accept(b.now, 0, from, false).is_ok());
}
