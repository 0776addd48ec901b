//! Floor 5. A world of realms from one seed: everybody does everything that WAMP has words for,
//! and each word that is heard of it is one that a plain model wrote down before.
//!
//! Sessions of three realms, one of which is there only while somebody is, offer, call, answer,
//! listen, publish, ask the router about itself, take from each other what they have, send each
//! other away, leave last words, and are cut off; and now and then the broker begins anew. After
//! each deed the broker comes to rest, and then everybody has heard what the model says (in its
//! order, where that is one), nobody anything else, the dead are gone from every list, and the
//! broker counts what the model counts. Absent on purpose: the disk, and deeds that overlap.

use crate::base::id::RealmId;
use crate::base::limits::Limits;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use crate::hub::interests::Interest;
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::hub::realm;
use crate::value::{Form, Value};

use super::dealer_law::{PATTERNS, Wrong};
use super::disk::FakeDisk;
use super::rig::{Rig, Setup, WAMP};
use super::router_book::{Answer, Book, One};
use super::router_flaw::Flaw;
use super::router_folk::{Session, code};
use super::words_wamp::{encoded, value_of};

/// Realms: two that are configured, and one that is made for whoever comes.
const TOWNS: [&str; 3] = ["default", "com.other", "com.made"];
/// Deeds of a life.
const DEEDS: usize = 220;
/// Turns in which everything must have come to rest.
const REST_TURNS: usize = 400;
/// Whoever is told to go and says nothing is let go after this.
const GO_MS: u64 = 1_000;
/// Lines that a failure shows.
const LINES: usize = 60;

/// How somebody goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leave {
    /// Nobody is told that it left.
    pub(super) quiet: bool,
}

/// The world.
pub(super) struct World {
    pub(super) rng: Rng,
    setup: Setup,
    rig: Rig,
    pub(super) book: Book,
    pub(super) folk: Vec<Session>,
    /// How each pattern is mostly shared here.
    pub(super) shares: Vec<usize>,
    pub(super) calls: usize,
    pub(super) answers: usize,
    pub(super) said: usize,
    opened: usize,
    deeds: usize,
    restarts: usize,
    /// Several things end at once: events are heard in any order.
    pub(super) loose: bool,
    pub(super) flaw: Option<Flaw>,
    log: Vec<String>,
}

/// What a life came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lived {
    /// Calls that were made.
    pub calls: usize,
    /// Words that were heard.
    pub heard: usize,
    /// Times that the broker began anew.
    pub restarts: usize,
}

/// Live from this seed.
pub fn live(seed: u64) -> Result<Lived, Wrong> {
    live_with(seed, None)
}

/// The same in a world that lies about what is heard.
pub(super) fn live_with(seed: u64, flaw: Option<Flaw>) -> Result<Lived, Wrong> {
    let mut world = World::new(seed, flaw)?;
    let lived = (0..DEEDS).try_for_each(|_| world.step()).and_then(|()| world.finish());
    match lived {
        Ok(()) => {
            let heard = world.log.iter().filter(|line| line.contains(" < ")).count();
            Ok(Lived { calls: world.calls, heard, restarts: world.restarts })
        }
        Err(why) => {
            let from = world.log.len().saturating_sub(LINES);
            Err(format!("{}\n{why}", world.log[from..].join("\n")))
        }
    }
}

impl World {
    fn new(seed: u64, flaw: Option<Flaw>) -> Result<Self, Wrong> {
        let mut rng = Rng::new(seed ^ 0x7041);
        let limits = Limits { idle_ms_max: 1 << 40, ..Limits::default() };
        let realms =
            [TOWNS[1], "*"].map(|name| (name.to_owned(), realm::Terms::default())).to_vec();
        let setup = Setup { limits, level: Durability::Memory, seed, realms, ..Setup::default() };
        let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
        let shares = PATTERNS.iter().map(|_| rng.below(5) as usize).collect();
        Ok(Self {
            rig: Rig::start(&setup, &FakeDisk::default(), now)?,
            setup,
            rng,
            book: Book::new(TOWNS.len()),
            folk: Vec::new(),
            shares,
            calls: 0,
            answers: 0,
            said: 0,
            opened: 0,
            deeds: 0,
            restarts: 0,
            loose: false,
            flaw,
            log: Vec::new(),
        })
    }

    /// Whose it is, and a number for what it asks.
    pub(super) fn ids(&mut self, at: usize) -> (usize, u64) {
        let it = &mut self.folk[at];
        (it.no, it.next())
    }

    /// Where it is.
    pub(super) fn town(&self, no: usize) -> usize {
        self.book.folk.get(&no).map_or(0, |one| one.town)
    }

    /// It says this; names stand for what they are known as.
    pub(super) fn say(&mut self, at: usize, text: &str) -> Result<(), Wrong> {
        self.log.push(format!("{:>4} p{} > {text}", self.deeds, self.folk[at].no));
        let message = self.book.names.filled(&value_of(text)?)?;
        self.folk[at].say(&message);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Wrong> {
        self.deeds += 1;
        if self.folk.len() < 3 || self.folk.len() < 8 && self.rng.chance(1, 10) {
            self.arrive()?;
        } else if self.rng.chance(1, 90) {
            self.restart()?;
        } else {
            self.deed()?;
        }
        self.settle()
    }

    fn deed(&mut self) -> Result<(), Wrong> {
        let at = self.anybody();
        match self.rng.below(40) {
            0..=5 => self.listen(at),
            6 => self.listen_no_more(at),
            7..=10 => self.offer(at),
            11 => self.offer_no_more(at),
            12..=17 => self.call(at),
            18..=23 => self.answer(None).map(|_| ()),
            24 => self.cancel(),
            25..=27 => self.publish(at),
            28..=29 => self.testament(at),
            30..=31 => self.revoke(at),
            32 => self.kill(at),
            33 if self.rng.chance(1, 4) => self.kill_many(at),
            34 => self.depart(at),
            _ => self.ask_about(at),
        }
    }

    fn arrive(&mut self) -> Result<(), Wrong> {
        let here = Address::V4([10, 0, 0, 1]);
        let Ok(conn) = self.rig.open_at(WAMP, here) else { return Err("no room".into()) };
        self.opened += 1;
        let (no, form) = (self.opened, Form::ALL[self.rng.below(3) as usize]);
        // Most are in one realm, or there would be nobody to speak to.
        let town = [0, 0, 0, 1, 1, 2][self.rng.below(6) as usize];
        let (able, revokes) = (self.rng.chance(2, 3), self.rng.chance(2, 3));
        let mut it = Session::new(no, conn, form, self.rng.chance(1, 5));
        it.enter(TOWNS[town], able, revokes)?;
        self.log.push(format!("{:>4} p{no} comes to {}, {form:?}", self.deeds, TOWNS[town]));
        self.folk.push(it);
        let one = One { town, able, revokes, going: false, testaments: Vec::new(), asked: 0 };
        self.book.folk.insert(no, one);
        let welcome = format!("\"realm\":\"{}\",\"authid\":\"@a{no}\"", TOWNS[town]);
        self.book.want(no, &format!("[2,\"@p{no}\",{{{welcome},\"...\":0}}]"))?;
        let names = format!("\"session\":\"@p{no}\",\"authid\":\"@a{no}\"");
        let how = "\"authrole\":\"anonymous\",\"authmethod\":\"anonymous\"";
        let args = format!("[{{{names},{how},\"authprovider\":\"static\",\"...\":0}}]");
        self.book.note((town, no), "wamp.session.on_join", &args)
    }

    /// Somebody goes: with a word, without one, or by breaking a rule.
    fn depart(&mut self, at: usize) -> Result<(), Wrong> {
        let no = self.folk[at].no;
        match self.rng.below(4) {
            0 => {
                self.say(at, "[6,{},\"wamp.close.close_realm\"]")?;
                self.book.want(no, "[6,{},\"wamp.close.goodbye_and_out\"]")?;
            }
            1 => {
                // What it was never asked.
                self.say(at, "[70,9999999,{}]")?;
                self.book.want(no, "[3,{\"...\":0},\"wamp.error.protocol_violation\"]")?;
            }
            how => {
                let wire = self.rig.wires.get_mut(&self.folk[at].conn).ok_or("no wire")?;
                wire.fin = Some(how == 2);
                self.log.push(format!("{:>4} p{no} hangs up", self.deeds));
            }
        }
        self.leaves(no, Leave::default())
    }

    /// It is gone, and what follows from that.
    pub(super) fn leaves(&mut self, no: usize, how: Leave) -> Result<(), Wrong> {
        let town = self.town(no);
        if let Some(one) = self.book.folk.get_mut(&no) {
            one.going = true;
        }
        self.book.leaves_calls(no)?;
        let its = |callees: &[usize]| callees.contains(&no);
        let offers = self.book.towns[town].offers.iter().filter(|it| its(&it.callees));
        let offers: Vec<String> = offers.map(|it| it.name.clone()).collect();
        let interests = self.book.towns[town].interests.iter().filter(|it| its(&it.listeners));
        let interests: Vec<String> = interests.map(|it| it.name.clone()).collect();
        let mut numbered = Vec::new();
        for name in offers.iter().chain(&interests) {
            numbered.push((self.book.number(name)?, name.clone()));
        }
        let mut subscribed = numbered.split_off(offers.len());
        numbered.sort();
        subscribed.sort();
        for (_, name) in numbered {
            self.book.unoffer(no, &name)?;
        }
        for (_, name) in subscribed {
            self.book.disinterest(no, &name)?;
        }
        let one = self.book.folk.get(&no).cloned().ok_or("nobody leaves")?;
        let (last, first): (Vec<_>, Vec<_>) = one.testaments.iter().partition(|it| it.0);
        for (_, topic, said) in first.into_iter().chain(last) {
            let args = format!("[\"will {said}\"]");
            self.book.tell((town, Some(no)), (topic, &args), "", |_| true)?;
        }
        if !how.quiet {
            let args = format!("[\"@p{no}\",\"@a{no}\",\"anonymous\"]");
            self.book.note((town, no), "wamp.session.on_leave", &args)?;
        }
        self.book.folk.remove(&no);
        Ok(())
    }

    /// The broker is gone in the middle of everything, and begins anew: nobody is there, nothing is
    /// offered, and what was asked has been lost with the lines that it would have come by.
    fn restart(&mut self) -> Result<(), Wrong> {
        self.log.push(format!("{:>4} the broker begins anew", self.deeds));
        let now = self.rig.now;
        self.rig = Rig::start(&self.setup, &FakeDisk::default(), now)?;
        self.folk.clear();
        self.book = Book::new(TOWNS.len());
        self.restarts += 1;
        Ok(())
    }

    /// Carry everything to and fro until nothing happens any more; then everybody has heard what
    /// the model says.
    fn settle(&mut self) -> Result<(), Wrong> {
        self.carry()?;
        let stays = |it: &&Session| !self.book.folk.contains_key(&it.no);
        let waits =
            |it: &Session| self.rig.wires.get(&it.conn).is_some_and(|wire| wire.ended.is_none());
        if self.folk.iter().filter(stays).any(waits) {
            // Who is told to go and says nothing is let go anyhow.
            self.rig.pass(GO_MS);
            self.carry()?;
        }
        self.draw()?;
        for at in (0..self.folk.len()).rev() {
            let it = &self.folk[at];
            let ended = self.rig.wires.get(&it.conn).and_then(|wire| wire.ended);
            match (self.book.folk.contains_key(&it.no), ended) {
                (true, Some(why)) => {
                    return Err(format!("p{} did nothing and was let go for {why}", it.no));
                }
                (false, None) => return Err(format!("p{} was to go and is still there", it.no)),
                (true, None) => {}
                (false, Some(_)) => {
                    let it = self.folk.remove(at);
                    self.rig.wires.remove(&it.conn);
                }
            }
        }
        if let Some((who, missing)) = self.book.wanted.iter().find(|(_, all)| !all.is_empty()) {
            return Err(format!("p{who} never hears {}", spelled(&missing[0])));
        }
        self.book.wanted.clear();
        self.loose = false;
        self.counts()
    }

    fn carry(&mut self) -> Result<(), Wrong> {
        let mut quiet = 0;
        for _ in 0..REST_TURNS {
            for it in &mut self.folk {
                if let Some(wire) = self.rig.wires.get_mut(&it.conn) {
                    wire.inward.extend(it.outward.drain(..));
                }
            }
            let busy = self.rig.turn();
            self.take_in()?;
            let due = self.rig.engine.poll_deadline().is_some_and(|at| at.0 == 0);
            let silent = self.folk.iter().all(|it| it.outward.is_empty());
            quiet = if busy || due || !silent { 0 } else { quiet + 1 };
            if quiet > 2 {
                return Ok(());
            }
        }
        Err("no rest".into())
    }

    fn take_in(&mut self) -> Result<(), Wrong> {
        for at in 0..self.folk.len() {
            let it = &mut self.folk[at];
            let Some(wire) = self.rig.wires.get_mut(&it.conn) else { continue };
            let heard = core::mem::take(&mut wire.heard);
            let no = it.no;
            for message in it.hear(&heard)? {
                for (who, message) in self.twist(no, message) {
                    let line = format!("{:>4} p{who} < {}", self.deeds, spelled(&message));
                    self.log.push(line);
                    self.hears(who, &message)?;
                }
            }
        }
        Ok(())
    }

    /// One of those whom it could go to is asked.
    fn hears(&mut self, who: usize, message: &Value) -> Result<(), Wrong> {
        if code(message) == Some(68)
            && let Some((open, all)) = self.book.lot.take()
        {
            if !all.contains(&who) {
                return Err(format!("p{who} is asked, and it is the turn of one of {all:?}"));
            }
            self.book.asked(open, who)?;
        }
        let message = ordered(message);
        let wanted = self.book.wanted.entry(who).or_default();
        let mut before: Vec<(Option<i64>, Option<Value>)> = Vec::new();
        for at in 0..wanted.len() {
            let mut names = self.book.names.clone();
            // What comes by one subscription has an order, and so have other words of one kind.
            let parts = wanted[at].as_list().unwrap_or_default();
            let code = code(&wanted[at]);
            let by = parts.get(1).filter(|_| code == Some(36)).cloned();
            let lined = before.contains(&(code, by.clone())) && !(self.loose && code == Some(36));
            let filled = names.filled(&wanted[at]).unwrap_or_else(|_| wanted[at].clone());
            if !lined && names.agree(&ordered(&filled), &message) {
                self.book.names = names;
                wanted.remove(at);
                return Ok(());
            }
            before.push((code, by));
        }
        Err(format!("p{who} hears {}, and should not", spelled(&message)))
    }

    /// Somebody who must have been asked by lot was.
    fn draw(&mut self) -> Result<(), Wrong> {
        match self.book.lot.take() {
            None => Ok(()),
            Some((open, _)) => Err(format!("nobody was asked for call {}", open.no)),
        }
    }

    /// The broker counts what the model counts, and its parts agree.
    fn counts(&self) -> Result<(), Wrong> {
        let hub = self.rig.engine.hub();
        let tally = hub.calls.audit()?;
        let waiting = self.book.open.iter().filter(|open| open.caller.is_some()).count();
        if (tally.calls, tally.waiting) != (self.book.open.len(), waiting) {
            return Err(format!("{tally:?}, and {} calls are open", self.book.open.len()));
        }
        for (at, name) in TOWNS.iter().enumerate() {
            let sessions = self.book.in_town(at).len();
            let town = &self.book.towns[at];
            let want = (sessions, town.offers.len(), town.interests.len());
            let realm = hub.realm_named(name).unwrap_or(RealmId(u16::MAX));
            let offers = hub.calls.list(realm, 0).count();
            let found = (hub.parties.count(realm), offers, hub.interests.list(realm, 0).count());
            if found != want {
                return Err(format!("{name} counts {found:?}, and there are {want:?}"));
            }
            for it in &town.offers {
                let known = hub.calls.registration(realm, self.book.number(&it.name)? as u64);
                if known.map(|known| known.callees().len()) != Some(it.callees.len()) {
                    return Err(format!("{it:?} is {known:?}"));
                }
            }
            for it in &town.interests {
                let known = hub.interests.get(realm, self.book.number(&it.name)? as u64);
                if known.map(Interest::len) != Some(it.listeners.len()) {
                    return Err(format!("{it:?} is {known:?}"));
                }
            }
            for no in self.book.in_town(at) {
                let number = self.book.number(&format!("@p{no}"))? as u64;
                if hub.parties.numbered(realm, number).is_none() {
                    return Err(format!("p{no} is not known as {number}"));
                }
            }
        }
        self.rig.engine.audit().map_err(|broken| broken.0)?;
        match hub.sessions().map(|s| s.outbox.in_flight() as u64 + s.outbox.owed()).sum::<u64>() {
            0 => Ok(()),
            owed => Err(format!("{owed} deliveries are owed to who has heard everything")),
        }
    }

    /// Whoever was asked answers, so every call has its end; then all go.
    fn finish(&mut self) -> Result<(), Wrong> {
        while self.answer(Some(Answer::Result))? {
            self.settle()?;
        }
        while !self.folk.is_empty() {
            self.depart(0)?;
            self.settle()?;
        }
        let hub = self.rig.engine.hub();
        let left = (hub.calls.audit()?, hub.calls.held(), hub.parties.len(), hub.interests.len());
        match left == Default::default() {
            true => Ok(()),
            false => Err(format!("{left:?} are left")),
        }
    }
}

/// As a line.
fn spelled(message: &Value) -> String {
    String::from_utf8_lossy(&encoded(message, Form::Json)).into_owned()
}

/// A list that was asked for has no order here.
fn ordered(message: &Value) -> Value {
    let mut message = message.clone();
    if code(&message) == Some(50)
        && let Value::List(parts) = &mut message
        && let Some(Value::List(args)) = parts.get_mut(3)
        && let Some(Value::List(all)) = args.get_mut(0)
    {
        all.sort_by_key(Value::as_int);
    }
    message
}
