//! Floor 5. A world of relays from one seed: clients and servers that come, hang, die and end.
//!
//! Whatever happens, what a server hears is what one client after the other said, from the
//! beginning; what a client hears is what its server said, and the relay's own refusals between
//! whole lines. Where the relay refuses by itself, every request of a client that stays has one
//! answer. When everybody is gone nothing is left: no pair, no connection, nothing counted as open.
//! Absent on purpose: MQTT and everything else a broker does beside it (`world`).

use std::collections::BTreeMap;

use crate::base::id::ConnId;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::hub::relay::meter::Kind;
use crate::hub::relay::{Away, Terms};

use super::disk::FakeDisk;
use super::rig::{self, Rig, Setup};

/// Turns of a life.
const TURNS: u64 = 300;

/// A client.
struct Client {
    conn: ConnId,
    no: usize,
    /// Requests it has sent.
    asked: i64,
    heard: Vec<u8>,
    closed: bool,
}

/// A server's end.
struct Server {
    conn: ConnId,
    heard: Vec<u8>,
    /// Bytes of what it heard that it has answered.
    answered: usize,
    hangs: bool,
    closed: bool,
}

/// The world.
struct World {
    rng: Rng,
    rig: Rig,
    away: Away,
    spare: bool,
    clients: Vec<Client>,
    servers: Vec<Server>,
    /// How many requests a client sent, by its number.
    told: BTreeMap<usize, i64>,
    opened: usize,
}

/// What went wrong, in words.
type Wrong = String;

/// Live from this seed.
pub fn live(seed: u64) -> Result<(), Wrong> {
    let mut rng = Rng::new(seed);
    let (nak, spare) = (rng.chance(1, 2), rng.chance(1, 3));
    let upstreams = 1 + rng.below(3);
    let relay = Terms {
        name: "relay".into(),
        forward: (0..upstreams).map(|no| format!("server{no}:1")).collect(),
        away: if nak { Away::Nak } else { Away::Close },
        connect_ms: 500,
        wait_ms: 100 + rng.below(1_000),
        answer_ms: if rng.chance(1, 3) { 2_000 } else { 0 },
        check_ms: if rng.chance(1, 3) { 1_000 } else { 0 },
        spare_max: if spare { 2 } else { 0 },
        open_max: if rng.chance(1, 4) { 3 } else { 100 },
        ..Terms::default()
    };
    let away = relay.away;
    let level = if rng.chance(1, 2) { Durability::Os } else { Durability::Memory };
    let setup = Setup { relay, level, ..Setup::default() };
    let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
    let rig = Rig::start(&setup, &FakeDisk::default(), now)?;
    let mut world = World {
        rng,
        rig,
        away,
        spare,
        clients: Vec::new(),
        servers: Vec::new(),
        told: BTreeMap::new(),
        opened: 0,
    };
    for turn in 0..TURNS {
        world.step().map_err(|why| format!("turn {turn}: {why}"))?;
    }
    world.finish()
}

impl World {
    fn step(&mut self) -> Result<(), Wrong> {
        match self.rng.below(10) {
            0 if self.clients.len() < 6 => self.arrive(),
            1..=4 => self.ask(),
            5 => self.leave(),
            6 => self.answer_dial(),
            7 => self.trouble(),
            _ => {}
        }
        if self.rng.chance(1, 3) {
            self.answer_dial();
        }
        self.serve();
        let ms = if self.rng.chance(1, 8) { self.rng.below(900) } else { self.rng.below(20) };
        self.rig.pass(ms);
        self.turn()
    }

    fn turn(&mut self) -> Result<(), Wrong> {
        self.rig.turn();
        self.rig.engine.audit().map_err(|broken| broken.0)?;
        self.listen()
    }

    fn arrive(&mut self) {
        let Ok(conn) = self.rig.open_at(rig::RELAY, Address::V4([10, 0, 0, 1])) else { return };
        let no = self.opened;
        self.opened += 1;
        self.clients.push(Client { conn, no, asked: 0, heard: Vec::new(), closed: false });
    }

    /// Somebody asks: a whole line, or what is left of one, or the beginning of the next.
    fn ask(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let client = &mut self.clients[at];
        let Some(wire) = self.rig.wires.get_mut(&client.conn).filter(|w| w.fin.is_none()) else {
            return;
        };
        for _ in 0..1 + self.rng.below(3) {
            client.asked += 1;
            let line = line_of(client.asked, client.no);
            let cut = self.rng.below(line.len() as u64 + 1) as usize;
            wire.inward.extend_from_slice(&line.as_bytes()[..cut]);
            wire.inward.extend_from_slice(&line.as_bytes()[cut..]);
        }
        self.told.insert(client.no, client.asked);
    }

    /// A client ends, in one way or the other.
    fn leave(&mut self) {
        if self.clients.is_empty() || self.rng.chance(1, 2) {
            return;
        }
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let reset = self.rng.chance(1, 3);
        let client = &mut self.clients[at];
        if let Some(wire) = self.rig.wires.get_mut(&client.conn).filter(|w| w.fin.is_none()) {
            wire.fin = Some(reset);
            client.closed = true;
        }
    }

    fn answer_dial(&mut self) {
        let accept = self.rng.chance(3, 4);
        let Some(conn) = self.rig.answer_dial(accept) else { return };
        if accept {
            let hangs = self.rng.chance(1, 8);
            let heard = Vec::new();
            self.servers.push(Server { conn, heard, answered: 0, hangs, closed: false });
        }
    }

    /// A server dies, or ends, or stops taking anything for a while.
    fn trouble(&mut self) {
        if self.servers.is_empty() {
            return;
        }
        let at = self.rng.below(self.servers.len() as u64) as usize;
        let dice = self.rng.below(6);
        let server = &mut self.servers[at];
        let Some(wire) = self.rig.wires.get_mut(&server.conn) else { return };
        match dice {
            0 if wire.fin.is_none() => (wire.fin, server.closed) = (Some(true), true),
            1 if wire.fin.is_none() => (wire.fin, server.closed) = (Some(false), true),
            2 => wire.room = 0,
            _ => wire.room = usize::MAX,
        }
    }

    /// Servers answer what is whole.
    fn serve(&mut self) {
        for server in &mut self.servers {
            if server.hangs || server.closed {
                continue;
            }
            let Some(wire) = self.rig.wires.get_mut(&server.conn) else { continue };
            while let Some(len) =
                server.heard[server.answered..].iter().position(|byte| *byte == b'\n')
            {
                let line = &server.heard[server.answered..server.answered + len];
                let seq = String::from_utf8_lossy(line).split(' ').nth(1).unwrap_or("").to_owned();
                let answer = format!("ACK {seq} fine\n");
                wire.inward.extend_from_slice(answer.as_bytes());
                server.answered += len + 1;
            }
        }
    }

    /// Take in what was heard, and look whether it may be.
    fn listen(&mut self) -> Result<(), Wrong> {
        for server in &mut self.servers {
            if let Some(wire) = self.rig.wires.get_mut(&server.conn) {
                server.heard.append(&mut wire.heard);
            }
            comes_from(&server.heard, &self.told, self.spare)?;
        }
        for client in &mut self.clients {
            if let Some(wire) = self.rig.wires.get_mut(&client.conn) {
                client.heard.append(&mut wire.heard);
            }
        }
        let gone: Vec<ConnId> =
            self.rig.wires.iter().filter(|(_, w)| w.ended.is_some()).map(|(c, _)| *c).collect();
        for conn in gone {
            if let Some(at) = self.clients.iter().position(|c| c.conn == conn) {
                let client = self.clients.swap_remove(at);
                self.judge(&client, false)?;
            }
            self.servers.retain(|server| server.conn != conn);
            self.rig.wires.remove(&conn);
        }
        Ok(())
    }

    /// Every answer is to something that was asked, and there is one; `stays`: to everything.
    fn judge(&self, client: &Client, stays: bool) -> Result<(), Wrong> {
        let text = String::from_utf8_lossy(&client.heard);
        let mut seen = BTreeMap::new();
        let whole = client.heard.last().is_none_or(|last| *last == b'\n');
        let lines: Vec<&str> = text.lines().collect();
        let judged = if whole { lines.len() } else { lines.len() - 1 };
        for line in &lines[..judged] {
            let mut words = line.split(' ');
            let (word, seq) = (words.next(), words.next().and_then(|seq| seq.parse::<i64>().ok()));
            let (Some("ACK" | "NAK"), Some(seq)) = (word, seq) else {
                return Err(format!("c{} hears {line:?}", client.no));
            };
            if seq < 1 || seq > client.asked || seen.insert(seq, ()).is_some() {
                return Err(format!("c{} asked {} and hears {line:?}", client.no, client.asked));
            }
        }
        if stays && seen.len() as i64 != client.asked {
            return Err(format!(
                "c{} asked {} and has {} answers",
                client.no,
                client.asked,
                seen.len()
            ));
        }
        Ok(())
    }

    /// Heal, let everything come to rest, account for everything, and let everybody go.
    fn finish(&mut self) -> Result<(), Wrong> {
        for server in &mut self.servers {
            server.hangs = false;
        }
        for wire in self.rig.wires.values_mut() {
            wire.room = usize::MAX;
        }
        for _ in 0..400 {
            self.rig.answer_dial(true).into_iter().for_each(|conn| {
                let heard = Vec::new();
                let server = Server { conn, heard, answered: 0, hangs: false, closed: false };
                self.servers.push(server);
            });
            self.serve();
            self.rig.pass(20);
            self.turn()?;
        }
        // Who was told that nothing follows has nothing more to wait for.
        let told = |conn| self.rig.wires.get(&conn).is_none_or(|wire| wire.said_all);
        let stay = self.clients.iter().filter(|client| !client.closed && !told(client.conn));
        stay.into_iter().try_for_each(|client| self.judge(client, true))?;
        for client in &self.clients {
            if let Some(wire) = self.rig.wires.get_mut(&client.conn) {
                wire.fin = Some(false);
            }
        }
        for _ in 0..200 {
            self.serve();
            for server in &self.servers {
                if let Some(wire) = self.rig.wires.get_mut(&server.conn)
                    && wire.said_all
                {
                    wire.fin = wire.fin.or(Some(false));
                }
            }
            self.rig.answer_dial(true);
            self.rig.pass(1_000);
            self.turn()?;
        }
        self.empty()
    }

    fn empty(&self) -> Result<(), Wrong> {
        let relays = &self.rig.engine.hub().relays;
        let open: u32 = relays.iter().flat_map(|r| r.upstreams.iter()).map(|u| u.open()).sum();
        let probes = self.rig.dials.len() as u32;
        if relays.pairs() > 0 || open > probes {
            return Err(format!("{} pairs and {open} open connections are left", relays.pairs()));
        }
        if self.away == Away::Close && self.rig.engine.connections() > probes as usize {
            return Err(format!("{} connections are left", self.rig.engine.connections()));
        }
        let counted: u64 = relays.iter().map(|relay| relay.meter.of(Kind::Req)).sum();
        let asked: i64 = self.told.values().sum();
        if counted > asked as u64 {
            return Err(format!("{counted} requests were counted of {asked}"));
        }
        Ok(())
    }
}

/// What a client says.
fn line_of(seq: i64, no: usize) -> String {
    format!("REQ {seq} c{no} xxxxxxxxx\n")
}

/// What a server heard is what clients said, one after the other; where requests are refused when
/// they can not be passed on, whole lines of it may be missing.
fn comes_from(heard: &[u8], told: &BTreeMap<usize, i64>, several: bool) -> Result<(), Wrong> {
    let mut owner: Option<usize> = None;
    let mut last = 0;
    for line in heard.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let mut words = text.trim_end().split(' ');
        let (seq, who) = (words.nth(1), words.next());
        let who = who.and_then(|who| who.strip_prefix('c')).and_then(|no| no.parse().ok());
        let (Some(seq), Some(no)) = (seq.and_then(|seq| seq.parse::<i64>().ok()), who) else {
            // Only the last piece may be cut.
            return if line.ends_with(b"\n") {
                Err(format!("a server hears {text:?}"))
            } else {
                Ok(())
            };
        };
        if owner.is_some_and(|own| own != no) {
            if !several {
                return Err(format!("a server of c{} hears c{no}", owner.unwrap_or_default()));
            }
            last = 0;
        }
        owner = Some(no);
        let asked = told.get(&no).is_some_and(|asked| seq <= *asked);
        let known = asked && line_of(seq, no).as_bytes() == line;
        if line.ends_with(b"\n") && !known || seq <= last {
            return Err(format!("a server hears {text:?} behind {last}"));
        }
        last = seq;
    }
    Ok(())
}
