//! The ladders of MQTT under kills, take-overs and peers that stopped listening: QoS 2 comes once
//! and in order, QoS 1 comes at least once and says so when it comes again.
//!
//! Clients here live on while the broker dies, and do what the specification asks of clients:
//! after a reconnect they repeat what is not settled, and nothing else. Five kills by default;
//! `SPINDLE_KILLS=50` is the full run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use spindle::proto::mqtt::packet::{Packet, Publish, Version};

use crate::mqtt::{Mqtt, ack, publish};
use crate::process::{Scratch, Spindle};

/// Messages on their way at one time.
const WINDOW: usize = 64;

/// How far a message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    Released,
}

struct Writer {
    name: &'static str,
    version: Version,
    joined: bool,
    next: u32,
    /// By number, because what is repeated is repeated in the order it was sent in.
    open: BTreeMap<u32, Stage>,
    /// Sent on more than one connection.
    repeated: BTreeSet<u32>,
    done: u32,
    /// The last kept value that was acknowledged.
    kept: u32,
}

fn id_of(n: u32) -> u16 {
    (n % 60_000) as u16 + 1
}

/// Two of three by QoS 2. Those to be kept all are: one of QoS 1 that is said again, rightly, would
/// replace a later one.
fn qos_of(n: u32) -> u8 {
    if n.is_multiple_of(3) && !is_kept(n) { 1 } else { 2 }
}

fn is_kept(n: u32) -> bool {
    n % 8 == 7
}

impl Writer {
    fn new(name: &'static str, version: Version) -> Self {
        let (open, repeated) = (BTreeMap::new(), BTreeSet::new());
        Self { name, version, joined: false, next: 0, open, repeated, done: 0, kept: 0 }
    }

    /// Connect, and say again what is open.
    fn join(&mut self, address: &str) -> Mqtt {
        let (mut wire, present) = Mqtt::join(address, self.version, self.name);
        assert_eq!(present, self.joined, "the session of {} is not what it was", self.name);
        self.joined = true;
        for (n, stage) in &self.open {
            match stage {
                Stage::Sent => {
                    self.repeated.insert(*n);
                    wire.say(&self.message(*n, true));
                }
                Stage::Released => wire.say(&Packet::PubRel(ack(id_of(*n)))),
            }
        }
        wire
    }

    fn message(&self, n: u32, dup: bool) -> Packet {
        let place = if is_kept(n) { "kept" } else { "load" };
        publish(qos_of(n), id_of(n), dup, &format!("{place}/{}", self.name), &n.to_string())
    }

    /// Send with a full window until the connection or the time ends.
    fn work(&mut self, wire: &mut Mqtt, until: Instant) {
        while Instant::now() < until {
            while self.open.len() < WINDOW {
                let n = self.next;
                wire.say(&self.message(n, false));
                self.open.insert(n, Stage::Sent);
                self.next += 1;
            }
            if !self.hear(wire, Duration::from_millis(50)) {
                return;
            }
        }
    }

    /// Wait until nothing is open any more.
    fn finish(&mut self, wire: &mut Mqtt) {
        while !self.open.is_empty() {
            let left = self.open.len();
            assert!(self.hear(wire, Duration::from_secs(10)), "{left} are never settled");
        }
    }

    /// One answer; false when there is none.
    fn hear(&mut self, wire: &mut Mqtt, limit: Duration) -> bool {
        match wire.listen(limit) {
            Ok(Some(Packet::PubAck(a))) => self.settle(a.id, 1, a.reason),
            Ok(Some(Packet::PubRec(a))) => {
                assert!(a.reason < 0x80, "refused with {:#x}", a.reason);
                let n = self.number(a.id);
                *self.open.get_mut(&n).expect("an answer to nothing") = Stage::Released;
                wire.say(&Packet::PubRel(ack(a.id)));
            }
            Ok(Some(Packet::PubComp(a))) => self.settle(a.id, 2, a.reason),
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) | Err(()) => return false,
        }
        true
    }

    fn number(&self, id: u16) -> u32 {
        let found = self.open.keys().find(|n| id_of(**n) == id);
        *found.expect("an answer to nothing")
    }

    fn settle(&mut self, id: u16, qos: u8, reason: u8) {
        // An id that is not known any more was released before.
        assert!(reason < 0x80 || (qos == 2 && reason == 0x92), "refused with {reason:#x}");
        let n = self.number(id);
        let stage = self.open.remove(&n);
        assert_eq!(qos_of(n), qos);
        assert!(qos == 1 || stage == Some(Stage::Released), "PUBCOMP before PUBREL");
        self.done += 1;
        if is_kept(n) {
            self.kept = self.kept.max(n);
        }
    }
}

/// Takes what comes, and remembers ids of QoS 2 until they are released.
struct Reader {
    name: &'static str,
    version: Version,
    joined: bool,
    known: BTreeSet<u16>,
    seen: BTreeMap<(String, u32), u32>,
    /// The last number of QoS 2 from each writer.
    last: BTreeMap<String, u32>,
    /// Of QoS 1, with a mark.
    marked: u32,
    /// Of QoS 1, without one: the publisher has said it again.
    unmarked: BTreeSet<(String, u32)>,
}

impl Reader {
    fn new(name: &'static str, version: Version) -> Self {
        Self {
            name,
            version,
            joined: false,
            known: BTreeSet::new(),
            seen: BTreeMap::new(),
            last: BTreeMap::new(),
            marked: 0,
            unmarked: BTreeSet::new(),
        }
    }

    fn join(&mut self, address: &str, filter: &str) -> Mqtt {
        let (mut wire, present) = Mqtt::join(address, self.version, self.name);
        assert_eq!(present, self.joined, "the session of {} is not what it was", self.name);
        if !self.joined {
            wire.subscribe(filter);
            self.joined = true;
        }
        wire
    }

    /// Read and answer until nothing came for so long, or the time ends.
    fn work(&mut self, wire: &mut Mqtt, quiet: Duration, until: Instant) {
        while Instant::now() < until {
            match wire.listen(quiet) {
                Ok(Some(Packet::Publish(m))) => self.take(wire, &m),
                Ok(Some(Packet::PubRel(a))) => {
                    self.known.remove(&a.id);
                    wire.say(&Packet::PubComp(ack(a.id)));
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) | Err(()) => return,
            }
        }
    }

    fn take(&mut self, wire: &mut Mqtt, m: &Publish) {
        if m.qos == 2 {
            if self.known.insert(m.id) {
                self.count(m);
            } else {
                assert!(m.dup, "id {} again, and it does not say so", m.id);
            }
            wire.say(&Packet::PubRec(ack(m.id)));
        } else {
            self.count(m);
            wire.say(&Packet::PubAck(ack(m.id)));
        }
    }

    fn count(&mut self, m: &Publish) {
        let topic = String::from_utf8(m.topic.to_vec()).unwrap();
        let n = std::str::from_utf8(&m.payload).unwrap().parse().unwrap();
        assert_eq!(qos_of(n), m.qos);
        let times = self.seen.entry((topic.clone(), n)).or_default();
        *times += 1;
        if m.qos == 2 {
            assert_eq!(*times, 1, "{n} of {topic} came to {} twice", self.name);
            let last = self.last.insert(topic, n);
            assert!(last < Some(n), "{n} came after {last:?}");
        } else if *times > 1 {
            if m.dup {
                self.marked += 1;
            } else {
                self.unmarked.insert((topic, n));
            }
        }
    }
}

#[test]
fn ladders_hold_under_kills_and_take_overs() {
    let rounds = std::env::var("SPINDLE_KILLS").map_or(5, |n| n.parse().unwrap());
    let dir = Scratch::new("ladders");
    let data = dir.join("data");
    let mut writers = [Writer::new("w3", Version::V311), Writer::new("w5", Version::V5)];
    let mut readers = [Reader::new("r3", Version::V311), Reader::new("r5", Version::V5)];
    for round in 0..rounds {
        let (broker, address) = start(&data);
        // Different lengths, so that kills meet different moments.
        let length = Duration::from_millis(300 + 97 * (round % 7));
        let (half, until) = (Instant::now() + length / 2, Instant::now() + length);
        std::thread::scope(|threads| {
            for reader in &mut readers {
                let address = &address;
                let mut wire = reader.join(address, "load/#");
                threads.spawn(move || {
                    reader.work(&mut wire, Duration::from_secs(2), half);
                    // It goes on elsewhere, and the old connection stays, unread.
                    let Ok(mut other) = again(|| reader.join(address, "load/#"), round) else {
                        return reader.work(&mut wire, Duration::from_secs(2), until);
                    };
                    reader.work(&mut other, Duration::from_secs(2), until);
                    drop(wire);
                });
            }
            for writer in &mut writers {
                let address = &address;
                let mut wire = writer.join(address);
                threads.spawn(move || {
                    writer.work(&mut wire, half);
                    let Ok(mut other) = again(|| writer.join(address), round) else {
                        writer.work(&mut wire, until);
                        return while writer.hear(&mut wire, Duration::from_secs(2)) {};
                    };
                    writer.work(&mut other, until);
                    // What was promised before the kill counts, also when it is read after it.
                    while writer.hear(&mut other, Duration::from_secs(2)) {}
                    drop(wire);
                });
            }
            std::thread::sleep(until.saturating_duration_since(Instant::now()) / 8 * 7);
            broker.kill();
        });
    }
    verify(&data, &mut writers, &mut readers);
}

/// Every second round has take-overs.
fn again(join: impl FnOnce() -> Mqtt, round: u64) -> Result<Mqtt, ()> {
    if round.is_multiple_of(2) { Ok(join()) } else { Err(()) }
}

fn start(data: &Path) -> (Spindle, String) {
    let mut broker = Spindle::start(data, &["--listen", "mqtt://127.0.0.1:0"]);
    let line = broker.hear("listening ");
    let address = line.rsplit_once("address=").unwrap().1.to_owned();
    (broker, address)
}

fn verify(data: &Path, writers: &mut [Writer], readers: &mut [Reader]) {
    let (broker, address) = start(data);
    for writer in &mut *writers {
        let mut wire = writer.join(&address);
        writer.finish(&mut wire);
    }
    let end = Instant::now() + Duration::from_secs(120);
    for reader in &mut *readers {
        let mut wire = reader.join(&address, "load/#");
        reader.work(&mut wire, Duration::from_secs(3), end);
    }
    let mut late = Reader::new("late", Version::V5);
    let mut wire = late.join(&address, "kept/#");
    late.work(&mut wire, Duration::from_secs(1), end);
    for writer in &*writers {
        let topic = format!("load/{}", writer.name);
        for reader in &*readers {
            let came = |n: &u32| reader.seen.contains_key(&(topic.clone(), *n));
            let missing: Vec<u32> = (0..writer.next).filter(|n| !is_kept(*n) && !came(n)).collect();
            let (to, of) = (reader.name, writer.name);
            assert!(
                missing.is_empty(),
                "{} of {of} never came to {to}: {missing:?}",
                missing.len()
            );
            let odd =
                reader.unmarked.iter().filter(|(t, n)| *t == topic && !writer.repeated.contains(n));
            assert_eq!(odd.count(), 0, "repeated by the broker and not marked");
        }
        let kept = late.seen.keys().filter(|(topic, _)| *topic == format!("kept/{}", writer.name));
        let kept: Vec<u32> = kept.map(|(_, n)| *n).collect();
        assert!(kept.len() == 1 && kept[0] >= writer.kept, "{kept:?}, {}", writer.kept);
    }
    let settled: u32 = writers.iter().map(|w| w.done).sum();
    let repeated: usize = writers.iter().map(|w| w.repeated.len()).sum();
    let marked: u32 = readers.iter().map(|r| r.marked).sum();
    assert!(settled > 0 && repeated > 0, "nothing was put to the test");
    crate::kill::show(&format!(
        "{settled} settled of {} sent, {repeated} sent again, {marked} of QoS 1 came marked again",
        writers.iter().map(|w| w.next).sum::<u32>()
    ));
    assert_eq!(broker.stop(), 0);
}
