//! The process is killed under load, again and again, also while it recovers: what was acknowledged
//! is there, in order, QoS 2 once, kept values as they were last set, sessions still known.
//!
//! Nothing here knows whose broker it is, except what speaks PRX1. Clients live on while the broker
//! dies, and do what is asked of clients: what is not settled is said again, and nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spindle::base::rng::Rng;
use spindle::proto::mqtt::packet::{Packet, Publish, Version};

use crate::broker::{LONG, Place, Scratch};
use crate::clients::{Client, Heard, Who, ack, body_of, publish};
use crate::kill_kept::Keeper;
use crate::kill_prx1::{Prx1Side, ROLES};
use crate::kill_read::{Reader, Sent};
use crate::{Options, Verdict};

/// Messages on their way at one time.
const WINDOW: usize = 16;

/// How long is listened before looking up.
pub(crate) const BREATH: Duration = Duration::from_millis(20);

/// Between the threads of one cycle.
#[derive(Default)]
pub(crate) struct Field {
    /// The broker is killed now, or was.
    pub(crate) killed: AtomicBool,
    /// Acknowledgements of this cycle.
    pub(crate) acks: AtomicU64,
}

impl Field {
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    pub(crate) fn acked(&self) {
        self.acks.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that ends is no wonder once the broker is killed.
    pub(crate) fn forgive(&self, wrong: Result<(), String>) -> Result<(), String> {
        if self.is_killed() { Ok(()) } else { wrong }
    }
}

/// How far a message has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    Released,
}

/// Publishes with a full window, and remembers what it was promised.
pub(crate) struct Writer {
    who: Who,
    qos: u8,
    joined: bool,
    pub(crate) sent: Sent,
    /// By number, because what is repeated is repeated in the order it was sent in.
    open: BTreeMap<u32, Stage>,
    forgotten: u32,
    thrown_out: u32,
}

fn id_of(n: u32) -> u16 {
    (n % 60_000) as u16 + 1
}

impl Writer {
    fn new(name: &str, qos: u8) -> Self {
        let (who, sent) = (Who::lasting(name), Sent::of(name));
        let (open, joined) = (BTreeMap::new(), false);
        Self { who, qos, joined, sent, open, forgotten: 0, thrown_out: 0 }
    }

    /// Connect, and say again what is open.
    fn join(&mut self, address: &str) -> Result<Client, String> {
        let mut client = Client::join(address, &self.who)?;
        if self.joined && !client.present {
            self.forgotten += 1;
            if self.qos == 2 {
                // Nobody can tell any more whether these were taken.
                self.open.clear();
            }
        }
        self.joined = true;
        let open: Vec<(u32, Stage)> = self.open.iter().map(|(n, stage)| (*n, *stage)).collect();
        for (n, stage) in open {
            match stage {
                Stage::Sent => self.say(&mut client, n, true),
                Stage::Released => client.say(&Packet::PubRel(ack(id_of(n)))),
            }
        }
        Ok(client)
    }

    fn say(&self, client: &mut Client, n: u32, dup: bool) {
        let name = &self.who.name;
        let said = publish(self.qos, id_of(n), &format!("load/{name}"), &body_of(name, n));
        client.say(&Packet::Publish(Publish { dup, ..said }));
    }

    /// Send until the broker is killed, and read what it still said.
    fn work(&mut self, address: &str, field: &Field) -> Result<(), String> {
        let mut client = match self.join(address) {
            Ok(client) => client,
            Err(why) => return field.forgive(Err(why)),
        };
        loop {
            while self.open.len() < WINDOW && !field.is_killed() {
                let n = self.sent.next();
                self.say(&mut client, n, false);
                self.open.insert(n, Stage::Sent);
            }
            match client.listen(BREATH)? {
                Heard::Packet(packet) => self.take(&mut client, packet, field)?,
                Heard::Quiet => {}
                Heard::Ended if field.is_killed() => return Ok(()),
                Heard::Ended => {
                    // Whether these were taken is not known; to say them again could be the cause.
                    self.thrown_out += 1;
                    self.open.clear();
                    return Ok(());
                }
            }
            while let Some(packet) = client.next()? {
                self.take(&mut client, packet, field)?;
            }
        }
    }

    /// Say again what is open, and wait until nothing is.
    fn finish(&mut self, address: &str) -> Result<(), String> {
        let (mut client, field) = (self.join(address)?, Field::default());
        while !self.open.is_empty() {
            match client.listen(LONG)? {
                Heard::Packet(packet) => self.take(&mut client, packet, &field)?,
                Heard::Quiet | Heard::Ended => {
                    return Err(format!("{} of {} never settled", self.open.len(), self.who.name));
                }
            }
        }
        client.leave();
        Ok(())
    }

    fn take(&mut self, client: &mut Client, packet: Packet, field: &Field) -> Result<(), String> {
        let (id, done) = match packet {
            Packet::PubAck(a) => (a.id, self.qos == 1),
            Packet::PubComp(a) => (a.id, self.qos == 2),
            Packet::PubRec(a) => {
                let n = self.number(a.id)?;
                self.open.insert(n, Stage::Released);
                client.say(&Packet::PubRel(ack(a.id)));
                // From here on the broker has it, whatever becomes of the rest.
                self.sent.acked(n);
                return Ok(());
            }
            other => return Err(format!("{} is told {other:?}", self.who.name)),
        };
        let n = self.number(id)?;
        if !done {
            return Err(format!("{n} is answered on the wrong ladder"));
        }
        self.open.remove(&n);
        self.sent.acked(n);
        field.acked();
        Ok(())
    }

    fn number(&self, id: u16) -> Result<u32, String> {
        let found = self.open.keys().find(|n| id_of(**n) == id);
        found.copied().ok_or_else(|| format!("{} hears of id {id}: nothing has it", self.who.name))
    }
}

/// Kills in a cycle come after so many acknowledgements, or so long.
const ACKS: (u64, u64) = (300, 1_200);
const CYCLE: Duration = Duration::from_secs(4);

/// Four write by QoS 1 and one by QoS 2.
const WRITERS: [(&str, u8); 5] = [("w0", 1), ("w1", 1), ("w2", 1), ("w3", 1), ("x0", 2)];

/// Acknowledged when the operating system has it.
pub(crate) fn os(options: &Options) -> Verdict {
    Run::new("os", options)?.play(options)
}

/// Acknowledged when the disk has it.
pub(crate) fn disk(options: &Options) -> Verdict {
    Run::new("disk", options)?.play(options)
}

/// Everybody, and what has happened to the broker.
struct Run {
    rng: Rng,
    _home: Scratch,
    place: Place,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    keeper: Keeper,
    prx1: Option<Prx1Side>,
    kills: u32,
    early: u32,
    started: Vec<Duration>,
}

impl Run {
    fn new(level: &str, options: &Options) -> Result<Self, String> {
        let home = Scratch::new("kill")?;
        // Whoever is away for the whole run is owed more than the bound of one session.
        let owed = ["--limit", "queued_max=100000000", "--limit", "queued_bytes_max=100000000000"];
        let flags = ["--durability", level, "--limit", "segment_bytes=65536"];
        let flags = [&flags[..], &owed[..]].concat();
        let place = Place::of(options, home.path(), &flags)?;
        let writers = WRITERS.map(|(name, qos)| Writer::new(name, qos)).into();
        // Another broker is not asked for more than the older protocol.
        let newer = if options.broker.is_none() { Version::V5 } else { Version::V311 };
        let readers = vec![
            Reader::new("offline", Version::V311, false),
            Reader::new("online", newer, false),
            Reader::new("flapping", Version::V311, true),
        ];
        let (kills, early, started) = (0, 0, Vec::new());
        let (rng, keeper) = (Rng::new(options.seed), Keeper::default());
        let prx1 = place.prx1.as_deref().map(Prx1Side::new);
        Ok(Self { rng, _home: home, place, writers, readers, keeper, prx1, kills, early, started })
    }

    fn play(mut self, options: &Options) -> Verdict {
        let (running, took) = self.place.start()?;
        self.started.push(took);
        for reader in &mut self.readers {
            reader.introduce(&self.place.mqtt)?;
        }
        if let Some(prx1) = &self.prx1 {
            prx1.introduce()?;
        }
        running.kill()?;
        self.kills += 1;
        for _ in 1..if options.long { 200 } else { 20 } {
            self.kill_early()?;
            self.cycle()?;
        }
        self.settle()?;
        self.judge()
    }

    /// Sometimes it does not get to the end of its start.
    fn kill_early(&mut self) -> Result<(), String> {
        while self.rng.chance(1, 3) {
            let usual = self.started.last().map_or(20_000, |took| took.as_micros() as u64);
            let running = self.place.spawn()?;
            std::thread::sleep(Duration::from_micros(self.rng.below(usual)));
            running.kill()?;
            self.early += 1;
        }
        Ok(())
    }

    /// Start, look at what is kept, load, kill.
    fn cycle(&mut self) -> Result<(), String> {
        let (running, took) = self.place.start()?;
        self.started.push(took);
        self.keeper.check(&self.place.mqtt)?;
        let goal = ACKS.0 + self.rng.below(ACKS.1 - ACKS.0);
        let pause = Duration::from_micros(self.rng.below(15_000));
        let (field, address) = (Field::default(), &self.place.mqtt);
        let seeds = Rng::new(self.rng.next_u64());
        std::thread::scope(|threads| {
            let (field, mut all) = (&field, Vec::new());
            for writer in &mut self.writers {
                all.push(threads.spawn(move || writer.work(address, field)));
            }
            // The first of the readers stays away until the end.
            for reader in &mut self.readers[1..] {
                let seeds = seeds.clone();
                all.push(threads.spawn(move || reader.work(address, field, seeds)));
            }
            let keeper = &mut self.keeper;
            all.push(threads.spawn(move || keeper.work(address, field)));
            if let Some(prx1) = &self.prx1 {
                let role = |role| threads.spawn(move || prx1.work(role, field));
                all.extend((0..ROLES).map(role));
            }
            let since = Instant::now();
            while field.acks.load(Ordering::Relaxed) < goal && since.elapsed() < CYCLE {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(pause);
            field.killed.store(true, Ordering::Release);
            running.kill()?;
            self.kills += 1;
            let ends = all.into_iter().map(|one| one.join().map_err(|_| "a panic".to_owned())?);
            ends.collect::<Result<(), String>>()
        })
    }

    /// The last start: everybody gets what he is owed.
    fn settle(&mut self) -> Result<(), String> {
        let (running, took) = self.place.start()?;
        self.started.push(took);
        self.keeper.check(&self.place.mqtt)?;
        for writer in &mut self.writers {
            writer.finish(&self.place.mqtt)?;
        }
        if let Some(prx1) = &self.prx1 {
            prx1.finish()?;
        }
        let sent = self.sent();
        for reader in &mut self.readers {
            reader.finish(&self.place, &sent)?;
        }
        running.stop().map(drop)
    }

    /// What all were promised.
    fn sent(&self) -> Vec<Sent> {
        let mqtt = self.writers.iter().map(|writer| writer.sent.clone());
        mqtt.chain(self.prx1.iter().map(Prx1Side::sent)).collect()
    }

    fn judge(&self) -> Verdict {
        let sent = self.sent();
        let acked = |qos: u8| -> usize {
            let of = self.writers.iter().filter(|writer| writer.qos == qos);
            of.map(|writer| writer.sent.acked_count()).sum()
        };
        let forgotten: u32 = self.writers.iter().map(|writer| writer.forgotten).sum();
        let thrown_out: u32 = self.writers.iter().map(|writer| writer.thrown_out).sum();
        let slowest = self.started.iter().max().copied().unwrap_or_default();
        let mut lines = vec![
            format!("killed {} times, and {} times while it started", self.kills, self.early),
            format!("acknowledged: {} of QoS 1, {} of QoS 2", acked(1), acked(2)),
            format!("slowest start until a client was welcomed: {} ms", slowest.as_millis()),
            format!("writers: sessions forgotten {forgotten}, thrown out {thrown_out}"),
        ];
        let mut wrong = u64::from(forgotten) + u64::from(thrown_out);
        for reader in &self.readers {
            let (line, found) = reader.tell(&sent);
            lines.push(line);
            wrong += found;
        }
        if let Some(prx1) = &self.prx1 {
            let (told, found) = prx1.tell()?;
            lines.extend(told);
            wrong += found;
        }
        let (line, found) = self.keeper.tell();
        lines.push(line);
        wrong += found;
        if acked(1) == 0 || acked(2) == 0 {
            lines.push("nothing was put to the test".to_owned());
            wrong += 1;
        }
        if wrong == 0 { Ok(lines) } else { Err(lines.join("\n")) }
    }
}
