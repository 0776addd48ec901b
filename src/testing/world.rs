//! Floor 5. A whole world from one seed: a broker, its disk, a network and a swarm of people.
//!
//! The world performs the broker's turn and, between turns, decides what people do, how far bytes
//! come, what the disk manages, and when everything stops. After every turn it compares what was
//! heard with the model and asks the machine to check itself; at the end it heals everything,
//! lets everybody listen, and asks what is missing. Equal dice make equal worlds, byte for byte.
//!
//! The log has one line per event: turn, milliseconds since the start, who (`c7/u2`: connection 7
//! of user 2; `-`: the world), what. Numbers behind `#` are messages, as their bodies begin.
//! Absent on purpose: threads, and any knowledge of how the broker does it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::base::time::{MS, Now};
use crate::hub::policy::Address;
use crate::proto::prx1::{Action, Packet};
use crate::topic::{Dialect, Filter, Match, Plus, Star};

use super::deeds::MQTT_FILTERS;
use super::device::{Call, Device};
use super::dice::{DEVICES, Dice, Habits, draw_setup, hash_of};
use super::disk::FakeDisk;
use super::model::{Kind, Model, Wrong};
use super::net::{Acks, Client};
use super::rig::{Rig, Setup, Wire};
use super::rooms::Rooms;

pub(super) const TOPICS: [&str; 8] = ["a", "a/b", "a/c", "a/b/c", "b", "b/c", "b/c/d", "c"];
pub(super) const FILTERS: [&str; 12] =
    ["a", "a/b", "b/c", "c", "*", "a/*", "*/c", "a/*/c", "b/*", "*/*", "a/b/c", "b/*/d"];
pub(super) const QUEUES: [&str; 3] = ["q/0", "q/1", "q/2"];
/// Lines of the log that a failure shows.
const LINES: usize = 300;

/// How a world ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// A digest of everything that was said and done.
    pub hash: u64,
    /// Messages and items that were sent.
    pub sent: usize,
    /// Deliveries that were heard.
    pub heard: usize,
    /// Starts of the broker behind the first.
    pub restarts: u32,
}

/// The world.
pub struct World {
    pub(super) dice: Dice,
    pub(super) habits: Habits,
    pub(super) setup: Setup,
    pub(super) disk: FakeDisk,
    pub(super) rig: Option<Rig>,
    pub(super) clients: Vec<Client>,
    pub(super) devices: Vec<Device>,
    pub(super) calls: Vec<Call>,
    pub(super) rooms: Rooms,
    pub(super) mqtt_filters: Vec<(Filter, &'static str)>,
    /// Who has no place for a message of this topic that is about to be taken in.
    pub(super) dropped: Vec<(usize, Vec<u8>)>,
    /// Numbers of deliveries to each client id that are released, and the writes then.
    pub(super) released_at: BTreeMap<(usize, u16), u64>,
    /// Writes of the disk before it failed.
    pub(super) healthy: u64,
    pub(super) model: Model,
    pub(super) speaking: BTreeMap<usize, ConnId>,
    pub(super) filters: Vec<(Filter, &'static str)>,
    pub(super) gone: BTreeSet<usize>,
    pub(super) turn: u64,
    pub(super) opened: usize,
    pub(super) log: Vec<String>,
    pub(super) end: Ending,
    pub(super) calm: bool,
    /// What the last subscriber is given of what is kept, while it is asked.
    pub(super) given: Option<BTreeMap<String, usize>>,
}

impl World {
    /// A world from dice.
    pub fn new(mut dice: Dice) -> Result<Self, Wrong> {
        let habits = Habits::draw(&mut dice);
        let setup = draw_setup(&mut dice, &habits);
        let star = Star { levels_max: 128 };
        let parsed = |text: &'static str| {
            let filter = star.filter(&Bytes::from_static(text.as_bytes()), Match::Native);
            filter.ok().map(|filter| (filter, text))
        };
        let plus = Plus { levels_max: 128 };
        let read = |text: &'static str| {
            let filter = plus.filter(&Bytes::from_static(text.as_bytes()), Match::Native);
            filter.ok().map(|filter| (filter, text))
        };
        let mut world = Self {
            model: Model::new(habits.users + 1),
            dice,
            habits,
            setup,
            disk: FakeDisk::default(),
            rig: None,
            clients: Vec::new(),
            devices: Vec::new(),
            calls: Vec::new(),
            rooms: Rooms::default(),
            mqtt_filters: MQTT_FILTERS.iter().filter_map(|text| read(text)).collect(),
            dropped: Vec::new(),
            released_at: BTreeMap::new(),
            healthy: u64::MAX,
            speaking: BTreeMap::new(),
            filters: FILTERS.iter().filter_map(|text| parsed(text)).collect(),
            gone: BTreeSet::new(),
            turn: 0,
            opened: 0,
            log: Vec::new(),
            end: Ending::default(),
            calm: false,
            given: None,
        };
        world.note("-", &format!("{:?}", world.habits.clone()));
        world.note("-", &format!("{:?}", world.setup.level));
        world.draw_devices();
        let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
        world.start(now)?;
        Ok(world)
    }

    /// Live for so many turns, then heal and account for everything. The log is in the error.
    pub fn live(mut self, turns: u64) -> Result<Ending, Wrong> {
        let lived = (0..turns)
            .take_while(|_| !self.dice.is_spent())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|_| self.step())
            .and_then(|()| self.finish());
        match lived {
            Ok(()) => Ok(self.end),
            Err(why) => {
                let from = self.log.len().saturating_sub(LINES);
                Err(format!("{}\n{why}", self.log[from..].join("\n")))
            }
        }
    }

    pub(super) fn note(&mut self, who: &str, what: &str) {
        let ms = self.rig.as_ref().map_or(0, |rig| rig.now.mono / MS);
        let line = format!("{:>5} {ms:>8} {who:<7} {what}", self.turn);
        for byte in line.bytes() {
            self.end.hash = (self.end.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.log.push(line);
        if self.log.len() > 4 * LINES {
            self.log.drain(..2 * LINES);
        }
    }

    pub(super) fn name(&self, at: usize) -> String {
        self.clients.get(at).map_or_else(String::new, |c| format!("c{}/u{}", c.no, c.user))
    }

    pub(super) fn rig(&mut self) -> Result<&mut Rig, Wrong> {
        self.rig.as_mut().ok_or_else(|| "there is no broker".to_owned())
    }

    pub(super) fn start(&mut self, now: Now) -> Result<(), Wrong> {
        self.rig = Some(Rig::start_watched(&self.setup, &self.disk, now)?);
        Ok(())
    }

    /// One turn of everything.
    fn step(&mut self) -> Result<(), Wrong> {
        self.turn += 1;
        self.moods();
        for _ in 0..self.dice.below(4) {
            self.deed()?;
        }
        self.once()?;
        let (cuts, kills) = (self.habits.cuts, self.habits.kills);
        if self.dice.chance(cuts, 1_000) {
            self.crash(true)?;
        } else if self.dice.chance(kills, 1_000) {
            self.crash(false)?;
        }
        Ok(())
    }

    /// Carry, turn, listen, compare.
    pub(super) fn once(&mut self) -> Result<(), Wrong> {
        self.carry()?;
        self.judge()?;
        let written = self.disk.writes();
        self.rig()?.turn();
        if self.is_sick() || self.is_holding() {
            self.healthy = self.healthy.min(written);
        } else if self.is_settled() {
            // What was held while a sync hung is on the disk by now.
            self.healthy = u64::MAX;
        }
        self.take_in()?;
        self.listen()?;
        self.listen_calls()?;
        self.check()
    }

    /// What the broker did, and whether it may have.
    pub(super) fn take_in(&mut self) -> Result<(), Wrong> {
        for event in self.rig()?.seen() {
            self.saw(event)?;
        }
        self.check_rooms()?;
        self.note_released();
        Ok(())
    }

    /// What the disk and the clock are like for now.
    fn moods(&mut self) {
        let Some(rig) = &mut self.rig else { return };
        if self.dice.chance(1, 12) {
            let sluggish = self.dice.chance(self.habits.sluggish, 100);
            rig.disk_jobs = match sluggish {
                true => self.dice.below(3) as usize,
                false => usize::MAX,
            };
            self.disk.set_full(self.dice.chance(self.habits.full, 100));
        }
        if self.dice.chance(1, 6) {
            self.disk.write_back(&mut self.dice.rng());
        }
        if self.dice.chance(self.habits.failing, 1_000) {
            self.disk.fail_at(self.dice.between(1, 4));
            self.note("-", "the disk will fail");
        }
        let Some(rig) = &mut self.rig else { return };
        if self.dice.chance(self.habits.jumps, 1_000) {
            let ms = self.dice.between(5, 20_000) * 1_000;
            rig.pass(ms);
        }
        let ms = match self.dice.below(40) {
            39 => self.dice.between(1_000, 4_000),
            30..=38 => self.dice.between(20, 300),
            _ => self.dice.between(0, 8),
        };
        rig.pass(ms);
    }

    /// Somebody does something.
    fn deed(&mut self) -> Result<(), Wrong> {
        if !self.devices.is_empty() && self.dice.chance(1, 2) {
            return self.mqtt_deed();
        }
        let wanted = self.clients.len() < self.habits.peers;
        if wanted && (self.clients.is_empty() || self.dice.chance(1, 5)) {
            let user = self.dice.below(self.habits.users as u64) as usize;
            return self.arrive(user);
        }
        if self.clients.is_empty() {
            return Ok(());
        }
        let at = self.dice.below(self.clients.len() as u64) as usize;
        if self.clients[at].vanished || self.clients[at].outward.len() > 20_000 {
            return Ok(());
        }
        let all: u64 = self.habits.deeds.iter().sum();
        let mut roll = self.dice.below(all);
        let mut deed = 0;
        while roll >= self.habits.deeds[deed] {
            roll -= self.habits.deeds[deed];
            deed += 1;
        }
        self.act(at, deed);
        Ok(())
    }

    fn act(&mut self, at: usize, deed: usize) {
        let filter = FILTERS[self.dice.below(FILTERS.len() as u64) as usize];
        let qos = u8::from(self.dice.chance(self.habits.qos1, 100));
        match deed {
            0 => self.clients[at].ask(filter, qos, true),
            1 => self.clients[at].ask(filter, qos, false),
            2..=4 => return self.publish(at, qos, deed),
            5 => self.clients[at].ping(),
            6 => self.clients[at].send(&Packet::Disconnect),
            7 => self.clients[at].vanished = true,
            8 => return self.nonsense(at),
            9 => return self.queue(at),
            _ => {
                let no = self.model.send("", 1, false, Kind::Copy);
                self.clients[at].copy(format!("{no}|").into_bytes());
            }
        }
        let who = self.name(at);
        self.note(&who, &format!("deed {deed} {filter} q{qos}"));
    }

    fn body(&mut self, no: usize) -> Vec<u8> {
        let most = if self.dice.chance(1, 40) { 6_000 } else { self.habits.payload };
        let mut body = format!("{no}|").into_bytes();
        body.resize(body.len() + self.dice.below(most) as usize, b'x');
        body
    }

    fn publish(&mut self, at: usize, qos: u8, deed: usize) {
        let retain = deed > 2;
        let topic = TOPICS[self.dice.below(TOPICS.len() as u64) as usize];
        if self.habits.ruled && self.dice.chance(1, 60) {
            let no = self.model.send("no/entry", qos, retain, Kind::Copy);
            let body = self.body(no);
            self.clients[at].publish(no, "no/entry", qos, retain, body);
            return;
        }
        let no = self.model.send(topic, qos, retain, Kind::Published);
        let body = if deed == 4 { Vec::new() } else { self.body(no) };
        self.model.messages[no].len = body.len();
        let who = self.name(at);
        self.note(&who, &format!("pub #{no} {topic} q{qos} retain {retain} {}", body.len()));
        self.clients[at].publish(no, topic, qos, retain, body);
        self.end.sent += 1;
    }

    fn queue(&mut self, at: usize) {
        let queue = self.dice.below(QUEUES.len() as u64) as usize;
        let durable = queue > 0;
        let deed = self.dice.below(12);
        let who = self.name(at);
        let client = &mut self.clients[at];
        match deed {
            0 => {
                client.queue(Action::Destroy, QUEUES[queue], durable, None);
                client.queued.push_back(None);
                self.gone.insert(queue);
            }
            1..=3 => {
                client.queue(Action::Drain, QUEUES[queue], durable, None);
                client.queued.push_back(None);
            }
            _ => {
                let kind = Kind::Item(queue, durable);
                let no = self.model.send(QUEUES[queue], 1, false, kind);
                let body = self.body(no);
                self.model.messages[no].len = body.len();
                let client = &mut self.clients[at];
                client.queue(Action::Initialize, QUEUES[queue], durable, Some(body));
                client.queued.push_back(Some(no));
                self.end.sent += 1;
                return self.note(&who, &format!("item #{no} for {}", QUEUES[queue]));
            }
        }
        self.note(&who, &format!("queue deed {deed} {}", QUEUES[queue]));
    }

    fn nonsense(&mut self, at: usize) {
        let all: [&[u8]; 8] = [
            &[0xb0, 2, 0, 0],
            &[0xc0, 0x80, 0x80, 0x80, 0x80],
            &[0xb0, 5, 0, 3, b'a', b'/', b'b'],
            &[0x70, 2, 0, 0],
            &[0x10, 0],
            &[0x30, 0],
            &[0x60, 1, 0],
            &[0x60, 2, 0xff, 0xff],
        ];
        let one = all[self.dice.below(all.len() as u64) as usize];
        self.clients[at].outward.extend(one);
        let who = self.name(at);
        self.note(&who, "nonsense");
    }

    pub(super) fn arrive(&mut self, user: usize) -> Result<(), Wrong> {
        let host = match self.calm {
            true => [10, 1, (self.opened >> 8) as u8, self.opened as u8],
            false => [10, 0, 0, self.dice.below(4) as u8],
        };
        let Ok(conn) = self.rig()?.open(Address::V4(host)) else { return Ok(()) };
        self.opened += 1;
        let mut client = Client::new(self.opened, conn, user);
        if !self.calm {
            client.honest = !(self.setup.users.is_some() && self.dice.chance(1, 8));
            client.clean = self.dice.chance(self.habits.clean, 100);
            if self.dice.chance(self.habits.slow, 100) {
                client.pace = self.dice.between(1, 200) as usize;
            }
            let lazy = self.dice.chance(self.habits.lazy, 100);
            let habit = self.dice.below(3) as usize;
            client.acks =
                if lazy { [Acks::Late, Acks::Mixed, Acks::Never][habit] } else { Acks::Prompt };
        }
        let password = if client.honest { format!("pass{user}") } else { "wrong".to_owned() };
        let keepalive = self.dice.chance(1, 3).then_some(20);
        client.connect(&password, keepalive);
        let what =
            format!("comes, honest {} clean {} {:?}", client.honest, client.clean, client.acks);
        self.clients.push(client);
        let who = self.name(self.clients.len() - 1);
        self.note(&who, &what);
        Ok(())
    }

    /// The network carries some bytes both ways.
    fn carry(&mut self) -> Result<(), Wrong> {
        let Some(rig) = &mut self.rig else { return Ok(()) };
        let (calm, dice) = (self.calm, &mut self.dice);
        for client in &mut self.clients {
            let Some(wire) = rig.wires.get_mut(&client.conn) else { continue };
            let habits = (client.pace, client.vanished, calm);
            carry_some(dice, &mut client.outward, wire, habits);
        }
        for call in &mut self.calls {
            let Some(wire) = rig.wires.get_mut(&call.conn) else { continue };
            carry_some(dice, &mut call.outward, wire, (call.pace, call.vanished, calm));
        }
        Ok(())
    }

    /// Workers judge passwords, in any order, or never.
    fn judge(&mut self) -> Result<(), Wrong> {
        let calm = self.calm;
        let Some(rig) = &mut self.rig else { return Ok(()) };
        let mut at = 0;
        while at < rig.checks.len() {
            if calm || self.dice.chance(1, 4) {
                let check = rig.checks.remove(at);
                let devices = DEVICES..DEVICES + self.habits.devices;
                let right = (0..=self.habits.users).chain(devices).any(|user| {
                    *check.hash == *hash_of(user)
                        && check.secret == format!("pass{user}").as_bytes()
                });
                rig.verdicts.push((check.ticket, right));
            } else {
                at += 1;
            }
        }
        Ok(())
    }
}

/// Some of what is on its way out arrives; `(pace, vanished, calm)` says what the other end takes.
fn carry_some(
    dice: &mut Dice,
    outward: &mut VecDeque<u8>,
    wire: &mut Wire,
    (pace, vanished, calm): (usize, bool, bool),
) {
    let waiting = outward.len() as u64;
    let moved = match calm || dice.chance(1, 2) {
        true => waiting,
        false if waiting > 0 => dice.below(waiting + 1),
        false => 0,
    };
    wire.inward.extend(outward.drain(..moved as usize));
    wire.room = match vanished {
        true => wire.room.min(4_096),
        false if pace > 0 && !calm => pace,
        false => usize::MAX,
    };
}
