//! Floor 5. A world of connectors: clients of aioconnectors that come, speak, ask, send files, are
//! cut off and come back, and a broker that is killed or loses its power at any turn.
//!
//! Everything that is heard is held against the book (`connector_law`). Files go to somebody who
//! keeps their parts and joins them as the real clerk does, and who dies with the broker. Now and
//! then all is quiet: then everybody is there, takes what it is told, acknowledges and answers, and
//! nothing may be missing. Chance is a seed, or bytes of a fuzzer. Absent on purpose: the connector
//! of ours with its disk, which is killed for real (`tests/faults`), and certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::map::Seed;
use crate::base::time::{MS, Now};
use crate::engine::Completion;
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::proto::aio::Name;
use crate::proto::aio::assembly::{Assembly, Came, Most, Refused};
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::aio::file::WithFile;

use super::connector_flaw::Flaw;
use super::connector_folk::{Doing, Folk, Word};
use super::connector_law::{FILE, KINDS, Law, NAMES, PACKET, To, Wrong};
use super::dice::Dice;
use super::disk::FakeDisk;
use super::rig::{AIO, Rig, Setup};

/// Turns of a life.
const TURNS: u64 = 240;
/// Turns in which everything must have come to rest.
const REST_TURNS: usize = 2_000;
/// Lines that a failure shows.
const LINES: usize = 100;

/// What a life came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lived {
    /// Messages that were heard.
    pub heard: usize,
    /// Questions that had an outcome.
    pub outcomes: usize,
    /// Files that were placed.
    pub files: usize,
    /// Files longer than a packet that somebody heard of and had.
    pub long: usize,
    /// Times that the broker was started again.
    pub restarts: usize,
}

/// The world.
pub(super) struct World {
    pub(super) dice: Dice,
    setup: Setup,
    disk: FakeDisk,
    rig: Rig,
    pub(super) law: Law,
    pub(super) folk: Vec<Folk>,
    parts: Assembly<Bytes>,
    /// What is said of long files that come.
    coming: BTreeMap<ConnId, (Name, Box<WithFile>)>,
    /// Names of files that are there.
    there: BTreeSet<String>,
    calm: bool,
    restarts: usize,
    pub(super) flaw: Option<Flaw>,
    pub(super) held: Option<(usize, Word)>,
    log: Vec<String>,
    turn: u64,
}

/// Live by these dice.
pub fn live(dice: Dice) -> Result<Lived, Wrong> {
    live_with(dice, None)
}

/// The same in a world that lies about what is heard.
pub(super) fn live_with(dice: Dice, flaw: Option<Flaw>) -> Result<Lived, Wrong> {
    let mut world = World::new(dice, flaw)?;
    match world.live() {
        Ok(()) => Ok(Lived {
            heard: world.law.heard,
            outcomes: world.law.outcomes,
            files: world.law.places,
            long: world.law.long,
            restarts: world.restarts,
        }),
        Err(why) => {
            let from = world.log.len().saturating_sub(LINES);
            Err(format!("{}\n{why}", world.log[from..].join("\n")))
        }
    }
}

/// Whose part of which file it is.
fn part_of(from: &Name, with: &WithFile) -> Result<(usize, usize, u32), Wrong> {
    let said = with.chunked.as_ref().map_or(&with.dst_name, |chunk| &chunk.base);
    let said = said.as_str().split("__").next().unwrap_or_default();
    let numbers = said.split_once('-').and_then(|(who, file)| {
        let who: usize = who.parse().ok()?;
        let file: usize = file.parse().ok()?;
        (NAMES.get(who) == Some(&from.as_str())).then_some((who, file))
    });
    let (who, file) = numbers.ok_or_else(|| format!("{said} is no file of {from:?}"))?;
    Ok((who, file, with.chunked.as_ref().map_or(1, |chunk| chunk.index)))
}

fn nobodys() -> Assembly<Bytes> {
    Assembly::new(Most::default(), Seed::with_seed(7))
}

impl World {
    fn new(mut dice: Dice, flaw: Option<Flaw>) -> Result<Self, Wrong> {
        let never = 1 << 40;
        let limits = Limits {
            segment_bytes: 64 << 10,
            idle_ms_max: never,
            aio_idle_ms_max: never,
            packet_bytes_max: PACKET,
            ..Limits::default()
        };
        let level = if dice.chance(1, 3) { Durability::Os } else { Durability::Disk };
        let files = (Some("files".to_owned()), vec![KINDS[FILE].to_owned()]);
        let desk = Desk { files: files.0, file_types: files.1, ..Desk::default() };
        let desk = Some(Arc::new(desk));
        let setup = Setup { limits, level, desk, ..Setup::default() };
        let disk = FakeDisk::default();
        let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
        let folk = (0..NAMES.len()).map(Folk::new).collect();
        Ok(Self {
            rig: Rig::start(&setup, &disk, now)?,
            dice,
            setup,
            disk,
            law: Law::default(),
            folk,
            parts: nobodys(),
            coming: BTreeMap::new(),
            there: BTreeSet::new(),
            calm: false,
            restarts: 0,
            flaw,
            held: None,
            log: Vec::new(),
            turn: 0,
        })
    }

    fn live(&mut self) -> Result<(), Wrong> {
        for _ in 0..TURNS {
            if self.dice.is_spent() {
                break;
            }
            self.step()?;
        }
        self.look()
    }

    fn note(&mut self, who: usize, what: &str) {
        self.log.push(format!("{:>5} {} {what}", self.turn, NAMES[who]));
    }

    fn step(&mut self) -> Result<(), Wrong> {
        for _ in 0..=self.dice.below(3) {
            let who = self.dice.below(NAMES.len() as u64) as usize;
            self.deed(who);
        }
        let ms = if self.dice.chance(1, 12) { self.dice.below(900) } else { self.dice.below(20) };
        self.rig.pass(ms);
        self.rig.disk_jobs = match self.dice.chance(1, 4) {
            true => self.dice.below(2) as usize,
            false => usize::MAX,
        };
        self.once()?;
        if self.dice.chance(1, 60) {
            self.restart()?;
        }
        if self.dice.chance(1, 80) {
            self.look()?;
        }
        Ok(())
    }

    fn deed(&mut self, who: usize) {
        if self.folk[who].conn.is_none() {
            return if self.dice.chance(1, 3) {
                self.enter(who)
            };
        }
        if self.folk[who].outward.len() > 20_000 {
            return;
        }
        match self.dice.below(20) {
            0..=4 => self.say(who, false),
            5..=8 => self.say(who, true),
            9 => self.send(who),
            10..=13 => self.folk[who].acknowledge(),
            14..=16 => self.answer(who),
            17 if self.dice.chance(1, 2) => self.cut(who),
            _ => {}
        }
    }

    fn enter(&mut self, who: usize) {
        let Ok(conn) = self.rig.open_at(AIO, Address::V4([10, 0, 0, 1])) else { return };
        self.folk[who].enter(conn, &mut self.law);
        self.note(who, "comes");
        let waits = |n: &usize| self.law.made[who].get(*n).is_some_and(|m| m.to == To::Name(who));
        if !self.law.known[who] && !self.folk[who].open.iter().any(waits) {
            let n = self.law.make(who, To::Name(who), true, false);
            self.folk[who].open.push_back(n);
            self.folk[who].say(n, &mut self.law);
        }
    }

    fn say(&mut self, who: usize, asks: bool) {
        let to = match self.dice.chance(1, 2) {
            true => To::Name(self.dice.below(NAMES.len() as u64) as usize),
            false => To::Kind(self.dice.below(FILE as u64) as usize),
        };
        if asks && to == To::Name(who) {
            return;
        }
        let promised = !self.dice.chance(1, 4);
        let n = self.law.make(who, to, promised, asks);
        if promised {
            self.folk[who].open.push_back(n);
        }
        self.folk[who].say(n, &mut self.law);
        self.note(who, &format!("says {n} to {to:?}, promised {promised}, asks {asks}"));
    }

    /// A file in some parts, in any order.
    fn send(&mut self, who: usize) {
        let count = 1 + self.dice.below(3) as u32;
        let number = self.law.files.len();
        let mut all = Vec::new();
        for index in 1..=count {
            // About one in two is longer than a packet may be.
            let len = self.dice.below(160) as usize;
            all.push(format!("{who}/{number}/{index};").repeat(len).into_bytes());
        }
        let file = self.law.file(who, all);
        let first = self.dice.below(u64::from(count)) as u32;
        for at in 0..count {
            let index = (first + at) % count + 1;
            let n = self.law.make(who, To::Kind(FILE), true, false);
            self.law.made[who][n].part = Some((file, index));
            self.folk[who].open.push_back(n);
            self.folk[who].say(n, &mut self.law);
            self.note(who, &format!("says {n}, part {index} of {count} of file {file}"));
        }
    }

    fn answer(&mut self, who: usize) {
        let most = self.folk[who].doing.len() as u64;
        if most > 0 {
            let at = self.dice.below(most) as usize;
            self.folk[who].answer(at);
        }
    }

    /// Its connection is cut: what was on its way to the broker may still come.
    fn cut(&mut self, who: usize) {
        let reset = self.dice.chance(1, 2);
        let wire = self.folk[who].conn.and_then(|conn| self.rig.wires.get_mut(&conn));
        wire.into_iter().for_each(|wire| wire.fin = Some(reset));
        self.folk[who].lose(&mut self.law);
        self.note(who, &format!("is cut off, reset {reset}"));
    }

    /// The broker is killed, or the power goes; and it starts again on what is left.
    fn restart(&mut self) -> Result<(), Wrong> {
        let power = self.setup.level == Durability::Disk && self.dice.chance(1, 2);
        if power {
            let mut rng = self.dice.rng();
            self.disk.cut_power(&mut rng);
        }
        self.note(0, &format!("and all are cut off: the broker starts again, power {power}"));
        for who in 0..self.folk.len() {
            self.folk[who].lose(&mut self.law);
        }
        // Who has the parts of files dies too.
        self.parts = nobodys();
        for file in self.law.files.values_mut() {
            file.lost = true;
        }
        self.coming.clear();
        let clerk = core::mem::take(&mut self.rig.clerk).again();
        self.rig = Rig::start(&self.setup, &self.disk, self.rig.now)?;
        self.rig.clerk = clerk;
        self.restarts += 1;
        Ok(())
    }

    /// Carry, turn, store, listen. True: something happened.
    fn once(&mut self) -> Result<bool, Wrong> {
        self.turn += 1;
        for it in &mut self.folk {
            let Some(wire) = it.conn.and_then(|conn| self.rig.wires.get_mut(&conn)) else {
                continue;
            };
            let all = it.outward.len();
            let most = match self.calm || self.dice.chance(2, 3) {
                true => all,
                false => self.dice.below(all as u64 + 1) as usize,
            };
            wire.inward.extend_from_slice(&it.outward[..most]);
            it.outward.drain(..most);
        }
        if self.calm || self.dice.chance(1, 2) {
            self.store()?;
        }
        let busy = self.rig.turn();
        self.rig.engine.audit().map_err(|broken| broken.0)?;
        let heard = self.listen()?;
        Ok(busy || heard)
    }

    /// Somebody has files where they belong.
    fn store(&mut self) -> Result<(), Wrong> {
        for (ticket, errand) in core::mem::take(&mut self.rig.errands) {
            let refuses = !self.calm && self.dice.chance(1, 12);
            let done = match errand {
                Errand::Store { from, with, content } => {
                    match self.store_one(&from, &with, content, refuses)? {
                        true => Ran::Stored,
                        false => Ran::Not("refused"),
                    }
                }
                errand => self.long_one(ticket.conn, errand, refuses)?,
            };
            self.rig.engine.on_completion(self.rig.now, Completion::Ran { ticket, done });
        }
        Ok(())
    }

    /// Something about a file that comes in pieces, or goes in them.
    fn long_one(&mut self, conn: ConnId, errand: Errand, refuses: bool) -> Result<Ran, Wrong> {
        if let Errand::Open { from, with, .. } = &errand {
            self.coming.insert(conn, (from.clone(), with.clone()));
        }
        let comes = matches!(errand, Errand::Open { .. } | Errand::Piece(_));
        if comes && refuses {
            // Nothing of it is kept, and everybody knows that it was there.
            if let Some((from, with)) = self.coming.remove(&conn) {
                let (who, file, index) = part_of(&from, &with)?;
                self.law.filed(who, file, index);
                self.law.files.get_mut(&(who, file)).into_iter().for_each(|it| it.lost = true);
            }
        }
        if errand != Errand::Close {
            return Ok(self.rig.clerk.run(conn, errand, !refuses));
        }
        let (Some((from, with)), Some((content, pass))) =
            (self.coming.remove(&conn), self.rig.clerk.take(conn))
        else {
            return Ok(Ran::Not("nothing is known of it"));
        };
        let stored = self.store_one(&from, &with, content.clone(), refuses)?;
        if !pass || refuses {
            return Ok(if stored { Ran::Stored } else { Ran::Not("refused") });
        }
        let mut file = content.to_vec();
        if self.flaw == Some(Flaw::Spoiled) {
            file.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }
        let number = self.rig.clerk.wait(file.into());
        Ok(Ran::Spooled { at: "files".into(), number, stored })
    }

    fn store_one(
        &mut self,
        from: &Name,
        with: &WithFile,
        content: Bytes,
        refuses: bool,
    ) -> Result<bool, Wrong> {
        let (who, file, index) = part_of(from, with)?;
        self.note(who, &format!("part {index} of file {file} is stored, refuses {refuses}"));
        if self.flaw != Some(Flaw::Hasty) {
            self.law.filed(who, file, index);
        }
        let size = content.len() as u64;
        let came = match refuses {
            true => Err(Refused::Room),
            false => self.parts.take(self.rig.now, from, with, (size, content)),
        };
        match came {
            Ok(Came::Part | Came::Again(_)) => Ok(true),
            Ok(Came::File { place, parts }) => {
                let (place, mut bytes) = (place.as_str().to_owned(), Vec::<u8>::new());
                parts.iter().for_each(|part| bytes.extend_from_slice(part));
                if self.there.contains(&place) {
                    return Ok(false);
                }
                if self.flaw == Some(Flaw::Half) {
                    bytes.truncate(bytes.len() / 2);
                }
                self.there.insert(place);
                self.parts.made(self.rig.now, from, with);
                if self.flaw != Some(Flaw::Unplaced) {
                    self.law.placed(who, file, &bytes)?;
                }
                Ok(true)
            }
            Err(_) => {
                if let Some(it) = self.law.files.get_mut(&(who, file)) {
                    it.lost = true;
                }
                Ok(false)
            }
        }
    }

    fn listen(&mut self) -> Result<bool, Wrong> {
        let (mut busy, mut gone) = (false, Vec::new());
        let mut heard: BTreeMap<ConnId, Vec<u8>> = BTreeMap::new();
        for (conn, wire) in &mut self.rig.wires {
            heard.insert(*conn, core::mem::take(&mut wire.heard));
            gone.extend(wire.ended.map(|why| (*conn, why)));
        }
        for who in 0..self.folk.len() {
            let bytes = self.folk[who].conn.and_then(|conn| heard.remove(&conn));
            let bytes = bytes.unwrap_or_default();
            busy |= !bytes.is_empty();
            let words = self.folk[who].hear(&bytes)?;
            for (what, file) in core::mem::take(&mut self.folk[who].files) {
                self.law.came_along(what, file.as_deref())?;
            }
            for word in words {
                for (who, word) in self.twist(who, word) {
                    self.note(who, &format!("hears {word:?}"));
                    self.take_in(who, word)?;
                }
            }
        }
        for (conn, why) in gone {
            self.rig.wires.remove(&conn);
            let Some(who) = self.folk.iter().position(|it| it.conn == Some(conn)) else {
                continue;
            };
            self.note(who, &format!("is let go for {why}"));
            self.folk[who].lose(&mut self.law);
            // The end of the one before is not known yet: it tries again.
            // And what could not be read on was promised.
            if why != "AioTaken" && (self.calm || why != "AioFileLost") {
                return Err(format!("{} did nothing and was let go for {why}", NAMES[who]));
            }
        }
        Ok(busy)
    }

    fn take_in(&mut self, who: usize, word: Word) -> Result<(), Wrong> {
        match word {
            Word::Acked(n) => self.law.acked(who, n),
            Word::Message(what, doing) => {
                let times = self.folk[who].times.entry(what).or_default();
                *times += 1;
                self.law.hear(who, what, *times)?;
                let known = |it: &Doing| Some(it) == doing.as_ref();
                if !self.folk[who].doing.iter().any(known) {
                    self.folk[who].doing.extend(doing);
                }
                Ok(())
            }
            Word::Outcome(n) => self.law.outcome(who, n, self.folk[who].line),
        }
    }

    /// All is quiet: everybody is there, takes, acknowledges and answers; then nothing is missing.
    fn look(&mut self) -> Result<(), Wrong> {
        self.calm = true;
        self.rig.disk_jobs = usize::MAX;
        self.rest()?;
        let lines: Vec<u64> = self.folk.iter().map(|it| it.line).collect();
        self.law.missing(&lines)?;
        self.calm = false;
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Wrong> {
        let mut quiet = 0;
        for _ in 0..REST_TURNS {
            let mut busy = false;
            for who in 0..self.folk.len() {
                if self.folk[who].conn.is_none() {
                    self.enter(who);
                    busy = true;
                }
                while !self.folk[who].owes.is_empty() {
                    self.folk[who].acknowledge();
                }
                while !self.folk[who].doing.is_empty() {
                    self.folk[who].answer(0);
                }
            }
            self.rig.pass(10);
            busy |= self.once()?;
            busy |= self.folk.iter().any(|it| !it.outward.is_empty() || !it.owes.is_empty());
            busy |= self.rig.wires.values().any(|wire| !wire.inward.is_empty());
            busy |= !self.rig.errands.is_empty() || !self.rig.jobs.is_empty();
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 3 {
                return Ok(());
            }
        }
        Err("no rest".to_owned())
    }
}
