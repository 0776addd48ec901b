//! The other protocol under the same kills: a writer and a reader of QoS 1 with acknowledgements,
//! and a durable queue that one fills and another drains.
//!
//! What the writer says is read by those who speak MQTT as well.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use spindle::proto::prx1::{Action, Packet, Publish, QAckCode, Queue, Subscribe};

use crate::broker::LONG;
use crate::clients::{Heard, body_of, read_body};
use crate::kill::{BREATH, Field};
use crate::kill_read::{Came, QUIET, Sent, Sum};
use crate::prx1::Prx1;

const WINDOW: usize = 16;
const PUSHES: usize = 4;
/// One writes, one reads, one fills the queue, one drains it.
pub(crate) const ROLES: usize = 4;
const QUEUE: &str = "jobs/q";

/// All four of them, each on a thread of its own.
pub(crate) struct Prx1Side {
    address: String,
    writer: Mutex<Writer>,
    reader: Mutex<Taker>,
    pusher: Mutex<Sent>,
    drainer: Mutex<Taker>,
}

struct Writer {
    sent: Sent,
    open: BTreeSet<u32>,
}

/// Takes what comes, and acknowledges it.
struct Taker {
    user: &'static str,
    sender: &'static str,
    came: Came,
    strangers: u64,
    forgotten: u64,
}

impl Prx1Side {
    pub(crate) fn new(address: &str) -> Self {
        let taker = |user, sender| {
            let came = Came::default();
            Mutex::new(Taker { user, sender, came, strangers: 0, forgotten: 0 })
        };
        Self {
            address: address.to_owned(),
            writer: Mutex::new(Writer { sent: Sent::of("pw"), open: BTreeSet::new() }),
            reader: taker("pr", "pw"),
            pusher: Mutex::new(Sent::of("q")),
            drainer: taker("pd", "q"),
        }
    }

    /// The first time: sessions are made, and the queue.
    pub(crate) fn introduce(&self) -> Result<(), String> {
        let mut reader = Prx1::join(&self.address, "pr")?;
        let topic = Bytes::from_static(b"load/pw");
        reader.say(&Packet::Subscribe(Subscribe { qos: 1, id: 1, topic, ..Subscribe::default() }));
        answered(&mut reader, &Packet::SubAck(1))?;
        let mut pusher = Prx1::join(&self.address, "pq")?;
        pusher.say(&queue(Action::Initialize, None));
        answered(&mut pusher, &Packet::QAck(QAckCode::Ok))?;
        let mut drainer = Prx1::join(&self.address, "pd")?;
        // A session that holds nothing is not called present.
        let topic = Bytes::from_static(b"nothing/here");
        drainer.say(&Packet::Subscribe(Subscribe { qos: 1, id: 1, topic, ..Subscribe::default() }));
        answered(&mut drainer, &Packet::SubAck(1))
    }

    /// One of the four until the broker is killed.
    pub(crate) fn work(&self, role: usize, field: &Field) -> Result<(), String> {
        match role {
            0 => self.write(field),
            1 => self.read(field),
            2 => self.push(field),
            _ => self.drain(field),
        }
    }

    fn write(&self, field: &Field) -> Result<(), String> {
        let mut it = self.writer.lock().map_err(|_| "a panic")?;
        let mut wire = match it.join(&self.address) {
            Ok(wire) => wire,
            Err(why) => return field.forgive(Err(why)),
        };
        loop {
            while it.open.len() < WINDOW && !field.is_killed() {
                let n = it.sent.next();
                it.open.insert(n);
                wire.say(&said(n, false));
            }
            if !it.hear(&mut wire, BREATH, field)? {
                return field.forgive(Err("pw was thrown out".to_owned()));
            }
        }
    }

    fn read(&self, field: &Field) -> Result<(), String> {
        let mut it = self.reader.lock().map_err(|_| "a panic")?;
        let mut wire = match Prx1::join(&self.address, it.user) {
            Ok(wire) => wire,
            Err(why) => return field.forgive(Err(why)),
        };
        it.forgotten += u64::from(!wire.present);
        while it.hear(&mut wire, BREATH)? {}
        field.forgive(Err("pr was thrown out".to_owned()))
    }

    fn push(&self, field: &Field) -> Result<(), String> {
        let mut sent = self.pusher.lock().map_err(|_| "a panic")?;
        let mut wire = match Prx1::join(&self.address, "pq") {
            Ok(wire) => wire,
            Err(why) => return field.forgive(Err(why)),
        };
        // Answers come in the order of the requests, and name none.
        let mut open = VecDeque::new();
        loop {
            while open.len() < PUSHES && !field.is_killed() {
                let n = sent.next();
                open.push_back(n);
                wire.say(&queue(Action::Initialize, Some(&body_of("q", n))));
            }
            match wire.listen(BREATH)? {
                Heard::Packet(Packet::QAck(code)) => {
                    if let (Some(n), QAckCode::Ok) = (open.pop_front(), code) {
                        sent.acked(n);
                    }
                }
                Heard::Packet(other) => return Err(format!("pq is told {other:?}")),
                Heard::Quiet => {}
                Heard::Ended => return field.forgive(Err("pq was thrown out".to_owned())),
            }
        }
    }

    fn drain(&self, field: &Field) -> Result<(), String> {
        let mut it = self.drainer.lock().map_err(|_| "a panic")?;
        let mut wire = match Prx1::join(&self.address, it.user) {
            Ok(wire) => wire,
            Err(why) => return field.forgive(Err(why)),
        };
        it.forgotten += u64::from(!wire.present);
        loop {
            wire.say(&queue(Action::Drain, None));
            let until = Instant::now() + Duration::from_millis(50);
            while Instant::now() < until {
                if !it.hear(&mut wire, BREATH)? {
                    return field.forgive(Err("pd was thrown out".to_owned()));
                }
            }
        }
    }

    /// The last start: everything is settled, read, drained.
    pub(crate) fn finish(&self) -> Result<(), String> {
        let mut writer = self.writer.lock().map_err(|_| "a panic")?;
        let mut wire = writer.join(&self.address)?;
        let field = Field::default();
        while !writer.open.is_empty() {
            if !writer.hear(&mut wire, LONG, &field)? {
                return Err("pw was thrown out at the end".to_owned());
            }
        }
        let pushed = self.pusher.lock().map_err(|_| "a panic")?;
        let mut reader = self.reader.lock().map_err(|_| "a panic")?;
        reader.finish(&self.address, &writer.sent, None)?;
        let drain = queue(Action::Drain, None);
        let mut drainer = self.drainer.lock().map_err(|_| "a panic")?;
        drainer.finish(&self.address, &pushed, Some(&drain))
    }

    /// What the writer was promised.
    pub(crate) fn sent(&self) -> Sent {
        self.writer.lock().map_or_else(|_| Sent::of("pw"), |writer| writer.sent.clone())
    }

    /// Lines, and how much in them should not be.
    pub(crate) fn tell(&self) -> Result<(Vec<String>, u64), String> {
        let writer = self.writer.lock().map_err(|_| "a panic")?;
        let pushed = self.pusher.lock().map_err(|_| "a panic")?;
        let reader = self.reader.lock().map_err(|_| "a panic")?;
        let drainer = self.drainer.lock().map_err(|_| "a panic")?;
        let (read, one) = reader.tell("PRX1 reader", &writer.sent);
        let (drained, other) = drainer.tell("PRX1 queue", &pushed);
        Ok((vec![read, drained], one + other))
    }
}

impl Writer {
    /// Connect, and say again what is open.
    fn join(&self, address: &str) -> Result<Prx1, String> {
        let mut wire = Prx1::join(address, "pw")?;
        self.open.iter().for_each(|n| wire.say(&said(*n, true)));
        Ok(wire)
    }

    fn hear(&mut self, wire: &mut Prx1, limit: Duration, field: &Field) -> Result<bool, String> {
        match wire.listen(limit)? {
            Heard::Packet(Packet::PubAck(id)) => {
                let found = self.open.iter().find(|n| id_of(**n) == id).copied();
                let n = found.ok_or_else(|| format!("pw hears of id {id}: nothing has it"))?;
                self.open.remove(&n);
                self.sent.acked(n);
                field.acked();
                Ok(true)
            }
            Heard::Packet(other) => Err(format!("pw is told {other:?}")),
            Heard::Quiet => Ok(true),
            Heard::Ended => Ok(false),
        }
    }
}

impl Taker {
    fn hear(&mut self, wire: &mut Prx1, limit: Duration) -> Result<bool, String> {
        match wire.listen(limit)? {
            Heard::Packet(packet) => self.take(wire, &packet),
            Heard::Quiet => return Ok(true),
            Heard::Ended => return Ok(false),
        }
        while let Some(packet) = wire.next()? {
            self.take(wire, &packet);
        }
        Ok(true)
    }

    fn take(&mut self, wire: &mut Prx1, packet: &Packet) {
        match packet {
            Packet::Publish(m) => {
                match read_body(&m.payload) {
                    Some((sender, n)) if sender == self.sender => self.came.count(n),
                    _ => self.strangers += 1,
                }
                wire.say(&Packet::PubAck(m.id));
            }
            Packet::QAck(QAckCode::Ok) => {}
            _ => self.strangers += 1,
        }
    }

    fn finish(&mut self, at: &str, sent: &Sent, ask: Option<&Packet>) -> Result<(), String> {
        let mut wire = Prx1::join(at, self.user)?;
        self.forgotten += u64::from(!wire.present);
        let since = Instant::now();
        while self.came.missing(sent) > 0 && since.elapsed() < QUIET + LONG {
            if let Some(ask) = ask {
                wire.say(ask);
            }
            if !self.hear(&mut wire, Duration::from_millis(100))? {
                return Err(format!("{} was thrown out at the end", self.user));
            }
        }
        Ok(())
    }

    fn tell(&self, name: &str, sent: &Sent) -> (String, u64) {
        let mut sum = Sum::default();
        sum.add(sent, &self.came);
        let (ghosts, forgotten) = (sum.ghosts + self.strangers, self.forgotten);
        let Sum { delivered, lost, again, disorder, .. } = sum;
        let line = format!(
            "{name}: acknowledged {}, delivered {delivered}, lost {lost}, again {again}, out of \
             order {disorder}, ghosts {ghosts}, sessions forgotten {forgotten}",
            sent.acked_count()
        );
        let nothing = u64::from(sent.acked_count() == 0);
        (line, lost + disorder + ghosts + forgotten + nothing)
    }
}

fn id_of(n: u32) -> u16 {
    (n % 60_000) as u16 + 1
}

fn said(n: u32, dup: bool) -> Packet {
    let topic = Bytes::from_static(b"load/pw");
    let payload = body_of("pw", n).into();
    Packet::Publish(Publish { dup, qos: 1, retain: false, id: id_of(n), topic, payload })
}

fn queue(action: Action, item: Option<&str>) -> Packet {
    Packet::Queue(Queue {
        action,
        address: Some(Bytes::from_static(QUEUE.as_bytes())),
        mark: Some(Bytes::from_static(b"durable")),
        message: item.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        ..Queue::default()
    })
}

fn answered(wire: &mut Prx1, wanted: &Packet) -> Result<(), String> {
    match wire.listen(LONG)? {
        Heard::Packet(packet) if packet == *wanted => Ok(()),
        Heard::Packet(other) => Err(format!("{wanted:?} was expected, and not {other:?}")),
        Heard::Quiet | Heard::Ended => Err(format!("{wanted:?} does not come")),
    }
}
