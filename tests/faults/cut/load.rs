//! Floor 6. Everybody who asks a broker for promises, and at which point of the record.
//!
//! Writers of QoS 1 and 2, a reader that takes care of what it hears, one that is away, values that
//! are kept and cleared, a queue, and sessions that come and go. What is asked for is noted before
//! it is said and what is promised after it was heard; so a note never claims too much. Absent on
//! purpose: what a broker should do with all this (`look`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use bytes::Bytes;
use spindle::proto::mqtt::packet::{Packet, Publish};
use spindle::proto::prx1::{Action, Packet as Word, QAckCode, Queue};

use crate::clients::{Client, Heard, PATIENCE, Who, ack, body_of, publish, read_body};
use crate::prx1::Prx1;

/// The length of the record.
#[derive(Clone, Default)]
pub(crate) struct Tick(Arc<AtomicUsize>);

impl Tick {
    pub(crate) fn now(&self) -> usize {
        self.0.load(SeqCst)
    }

    pub(crate) fn set(&self, length: usize) {
        self.0.store(length, SeqCst);
    }
}

/// Something that was asked for, and perhaps promised.
#[derive(Clone, Copy)]
pub(crate) struct Promise {
    asked: usize,
    given: Option<usize>,
}

impl Promise {
    /// It was given when the power was cut there.
    pub(crate) fn is_given(&self, cut: usize) -> bool {
        self.given.is_some_and(|at| at <= cut)
    }

    /// Somebody had asked for it by then.
    pub(crate) fn is_asked(&self, cut: usize) -> bool {
        self.asked <= cut
    }
}

/// What a thing was asked to become, one after the other.
pub(crate) type Changes<T> = Vec<(T, Promise)>;

/// All that was asked for and promised.
#[derive(Default)]
pub(crate) struct History {
    /// Messages, by sender and number.
    pub(crate) said: BTreeMap<&'static str, Vec<Promise>>,
    /// The same, where the reader was about to take care of them.
    pub(crate) had: BTreeMap<String, BTreeMap<u32, usize>>,
    /// Kept values, by topic: which number, or none.
    pub(crate) kept: Vec<Changes<Option<u32>>>,
    /// Whether there is such a session.
    pub(crate) sessions: Vec<Changes<bool>>,
    /// What was put into the queue, by number.
    pub(crate) queued: Vec<Promise>,
    /// As the site has it.
    pub(crate) far: u32,
}

impl History {
    /// Promises that had been given by then.
    pub(crate) fn given(&self, cut: usize) -> u64 {
        self.promises().filter(|promise| promise.is_given(cut)).count() as u64
    }

    /// How many were given at each length of the record.
    pub(crate) fn given_at(&self) -> BTreeMap<usize, u64> {
        let mut counts = BTreeMap::new();
        for at in self.promises().filter_map(|promise| promise.given) {
            *counts.entry(at).or_default() += 1;
        }
        counts
    }

    fn promises(&self) -> impl Iterator<Item = &Promise> {
        let messages = self.said.values().flatten().chain(&self.queued);
        let changes = self.kept.iter().flatten().map(|(_, promise)| promise);
        let sessions = self.sessions.iter().flatten().map(|(_, promise)| promise);
        messages.chain(changes).chain(sessions)
    }
}

/// Where the broker is, and how far its record has come.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) mqtt: String,
    /// If it is ours.
    pub(crate) prx1: Option<String>,
    pub(crate) tick: Tick,
    /// Messages whose number this divides are also for the one that is away.
    pub(crate) far: u32,
}

/// The writers: name, QoS, and their part of all messages in fifths.
const WRITERS: [(&str, u8, u32); 3] = [("w0", 1, 2), ("w1", 1, 2), ("x0", 2, 1)];
pub(crate) const TOPICS: usize = 16;
pub(crate) const SESSIONS: usize = 8;
pub(crate) const AWAY: &str = "away";
pub(crate) const READER: &str = "online";
pub(crate) const QUEUE: &str = "jobs/q";
/// Messages on their way at one time.
const WINDOW: usize = 16;
/// Items for the queue: they stay in it.
const ITEMS: u32 = 200;

/// Some messages go where the one that is away will find them.
pub(crate) fn topic_of(sender: &str, n: u32, far: u32) -> String {
    format!("load/{sender}/{}", if n.is_multiple_of(far) { "far" } else { "near" })
}

/// The name of a session that comes and goes.
pub(crate) fn session_of(k: usize) -> String {
    format!("session-{k}")
}

/// What is to be there before the load: the two who are owed messages, and the queue.
pub(crate) fn introduce(site: &Site) -> Result<(), String> {
    for (name, filter, qos) in [(AWAY, "load/+/far", 2), (READER, "load/#", 1)] {
        let mut client = Client::join(&site.mqtt, &Who::lasting(name))?;
        client.subscribe(filter, qos, &mut |_, _| {})?;
        client.leave();
    }
    let Some(prx1) = &site.prx1 else { return Ok(()) };
    let mut pusher = Prx1::join(prx1, "pq")?;
    pusher.say(&queue(Action::Initialize, None));
    match pusher.listen(PATIENCE)? {
        Heard::Packet(Word::QAck(QAckCode::Ok)) => Ok(()),
        _ => Err("the queue is not made".to_owned()),
    }
}

/// Ask for so many messages to be taken, and meanwhile for everything else.
pub(crate) fn load(site: &Site, messages: u32) -> Result<History, String> {
    let over = AtomicBool::new(false);
    let over = &over;
    thread::scope(|threads| {
        let writers = WRITERS.map(|(name, qos, part)| {
            threads.spawn(move || write(site, name, qos, messages * part / 5))
        });
        let reader = threads.spawn(move || read(site, over));
        let keeper = threads.spawn(move || keep(site, over));
        let fickle = threads.spawn(move || come_and_go(site, over));
        let pusher = threads.spawn(move || push(site, over));
        let said: Vec<_> = writers.into_iter().map(end).collect();
        over.store(true, SeqCst);
        let mut history = History {
            had: end(reader)?,
            kept: end(keeper)?,
            sessions: end(fickle)?,
            queued: end(pusher)?,
            far: site.far,
            ..History::default()
        };
        for ((name, ..), said) in WRITERS.into_iter().zip(said) {
            history.said.insert(name, said?);
        }
        Ok(history)
    })
}

fn end<T>(one: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    one.join().map_err(|_| "a panic".to_owned())?
}

/// A number that can be told from those under way.
fn id_of(n: u32) -> u16 {
    (n % 60_000) as u16 + 1
}

fn write(site: &Site, name: &str, qos: u8, count: u32) -> Result<Vec<Promise>, String> {
    let mut client = Client::join(&site.mqtt, &Who::lasting(name))?;
    let (mut said, mut open): (Vec<Promise>, BTreeSet<u32>) = (Vec::new(), BTreeSet::new());
    while (said.len() as u32) < count || !open.is_empty() {
        while open.len() < WINDOW && (said.len() as u32) < count {
            let n = said.len() as u32;
            said.push(Promise { asked: site.tick.now(), given: None });
            let (topic, body) = (topic_of(name, n, site.far), body_of(name, n));
            client.say(&Packet::Publish(publish(qos, id_of(n), &topic, &body)));
            open.insert(n);
        }
        let (id, ends) = match heard(&mut client, name)? {
            Packet::PubAck(a) => (a.id, true),
            Packet::PubComp(a) => (a.id, true),
            Packet::PubRec(a) => (a.id, false),
            other => return Err(format!("{name} is told {other:?}")),
        };
        let n = open.iter().find(|n| id_of(**n) == id).copied();
        let n = n.ok_or_else(|| format!("{name} hears of id {id}: nothing has it"))?;
        if !ends {
            client.say(&Packet::PubRel(ack(id)));
        }
        // Of QoS 2 the first answer is the promise that the message will be published.
        said[n as usize].given.get_or_insert_with(|| site.tick.now());
        if ends {
            open.remove(&n);
        }
    }
    client.leave();
    Ok(said)
}

fn heard(client: &mut Client, name: &str) -> Result<Packet, String> {
    match client.listen(PATIENCE)? {
        Heard::Packet(packet) => Ok(packet),
        Heard::Quiet => Err(format!("{name} is not answered")),
        Heard::Ended => Err(format!("{name} is thrown out")),
    }
}

/// Take care of what comes, so that some of the journal dies.
fn read(site: &Site, over: &AtomicBool) -> Result<BTreeMap<String, BTreeMap<u32, usize>>, String> {
    let mut had: BTreeMap<String, BTreeMap<u32, usize>> = BTreeMap::new();
    let mut client = Client::join(&site.mqtt, &Who::lasting(READER))?;
    while !over.load(SeqCst) {
        match client.listen(Duration::from_millis(10))? {
            Heard::Packet(Packet::Publish(m)) => {
                if let Some((sender, n)) = read_body(&m.payload) {
                    let now = site.tick.now();
                    had.entry(sender.to_owned()).or_default().entry(n).or_insert(now);
                }
                client.say(&Packet::PubAck(ack(m.id)));
            }
            Heard::Packet(other) => return Err(format!("the reader is told {other:?}")),
            Heard::Quiet => {}
            Heard::Ended => return Err("the reader is thrown out".to_owned()),
        }
    }
    Ok(had)
}

/// Set each value twice, then clear it, and so on.
fn keep(site: &Site, over: &AtomicBool) -> Result<Vec<Changes<Option<u32>>>, String> {
    let mut kept = vec![Vec::new(); TOPICS];
    let mut client = Client::join(&site.mqtt, &Who::passing("keeper"))?;
    let mut n = 0;
    while !over.load(SeqCst) {
        let topic = n as usize % TOPICS;
        let clears = n as usize / TOPICS % 3 == 2;
        let body = if clears { String::new() } else { body_of("k", n) };
        let said = publish(1, id_of(n), &format!("kept/{topic}"), &body);
        let asked = site.tick.now();
        client.say(&Packet::Publish(Publish { retain: true, ..said }));
        match heard(&mut client, "the keeper")? {
            Packet::PubAck(a) if a.id == id_of(n) => {}
            other => return Err(format!("the keeper is told {other:?}")),
        }
        let promise = Promise { asked, given: Some(site.tick.now()) };
        kept[topic].push(((!clears).then_some(n), promise));
        n += 1;
    }
    client.leave();
    Ok(kept)
}

/// Sessions begin with a subscription, and end with a clean start.
fn come_and_go(site: &Site, over: &AtomicBool) -> Result<Vec<Changes<bool>>, String> {
    let mut sessions: Vec<Changes<bool>> = vec![Vec::new(); SESSIONS];
    let mut k = 0;
    while !over.load(SeqCst) {
        let begins = !sessions[k].last().is_some_and(|(there, _)| *there);
        let who = Who { clean: !begins, ..Who::lasting(&session_of(k)) };
        let asked = site.tick.now();
        let mut client = Client::join(&site.mqtt, &who)?;
        if begins {
            client.subscribe(&format!("none/{k}"), 1, &mut |_, _| {})?;
        }
        sessions[k].push((begins, Promise { asked, given: Some(site.tick.now()) }));
        client.leave();
        k = (k + 3) % SESSIONS;
        thread::sleep(Duration::from_millis(3));
    }
    Ok(sessions)
}

/// Fill the queue, which nobody drains.
fn push(site: &Site, over: &AtomicBool) -> Result<Vec<Promise>, String> {
    let mut queued: Vec<Promise> = Vec::new();
    let Some(prx1) = &site.prx1 else { return Ok(queued) };
    let mut wire = Prx1::join(prx1, "pq")?;
    // Answers come in the order of the requests, and name none.
    let mut open = VecDeque::new();
    while !open.is_empty() || !over.load(SeqCst) && (queued.len() as u32) < ITEMS {
        while open.len() < 4 && !over.load(SeqCst) && (queued.len() as u32) < ITEMS {
            open.push_back(queued.len());
            let item = body_of("q", queued.len() as u32);
            queued.push(Promise { asked: site.tick.now(), given: None });
            wire.say(&queue(Action::Initialize, Some(&item)));
        }
        match wire.listen(PATIENCE)? {
            Heard::Packet(Word::QAck(QAckCode::Ok)) => {
                let n = open.pop_front().ok_or("an answer to nothing")?;
                queued[n].given = Some(site.tick.now());
            }
            _ => return Err("the queue does not answer as it should".to_owned()),
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(queued)
}

/// A word to the queue.
pub(crate) fn queue(action: Action, item: Option<&str>) -> Word {
    Word::Queue(Queue {
        action,
        address: Some(Bytes::from_static(QUEUE.as_bytes())),
        mark: Some(Bytes::from_static(b"durable")),
        message: item.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        ..Queue::default()
    })
}
