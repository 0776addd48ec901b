//! Floor 5. A world of calls from one seed: people who offer, call, answer, cancel, hang and go.
//!
//! Dealers of WAMP in three forms and clients of PRX1 share their procedures, and with clients of
//! MQTT, who ask as well, their topics. Now and then the broker begins anew in the middle of it
//! all. Some read slowly, some leave in the middle, some break the rules. Everything
//! that is heard is held against the book (`dealer_law`). Now and then all is quiet: then whoever
//! was asked answers, every call has its end and nothing is kept of it, and single calls and
//! events show whether they go where they must. Absent on purpose: the disk.

use std::collections::BTreeMap;

use crate::base::limits::Limits;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use crate::hub::calls::{Invoke, Kind, Mode, Tally};
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::proto::wamp::roles::{Feature, Features};
use crate::value::Form;

use super::dealer_flaw::Flaw;
use super::dealer_folk::{Asked, Doing, Manner, Person, Reply, Speech, Word};
use super::dealer_law::{Invoked, Law, Made, NAMES, PATTERNS, Token, Wrong, matches, shared};
use super::disk::FakeDisk;
use super::rig::{MQTT, Rig, Setup, WAMP};

/// Turns of a life.
const TURNS: u64 = 240;
/// Turns in which everything must have come to rest.
const REST_TURNS: usize = 3_000;
/// The longest time a call is given, in milliseconds.
const TIMEOUT_MS: u64 = 3_000;
/// Lines that a failure shows.
const LINES: usize = 120;

/// The world.
pub(super) struct World {
    pub(super) rng: Rng,
    setup: Setup,
    rig: Rig,
    pub(super) law: Law,
    pub(super) folk: Vec<Person>,
    opened: usize,
    /// Publications: where to, and whose.
    said: Vec<(&'static str, usize)>,
    /// Patterns that somebody asked to serve and has no answer for.
    locked: BTreeMap<usize, usize>,
    /// How each pattern is mostly shared here.
    shares: Vec<Invoke>,
    /// While somebody looks: who was asked, and who heard an event by what.
    pub(super) looked: Option<Looked>,
    calm: bool,
    pub(super) flaw: Option<Flaw>,
    log: Vec<String>,
    turn: u64,
    restarts: usize,
}

/// Who was asked, and who heard an event by what.
pub(super) type Looked = (Vec<usize>, Vec<(usize, u64)>);

/// What a life came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lived {
    /// Calls that were made.
    pub calls: usize,
    /// Times that somebody was asked.
    pub asked: usize,
    /// Publications.
    pub said: usize,
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
    let lived = (0..TURNS).try_for_each(|_| world.step()).and_then(|()| world.finish());
    let asked = world.law.calls.iter().map(|call| call.asked.len()).sum();
    match lived {
        Ok(()) => {
            let (calls, said, restarts) = (world.law.calls.len(), world.said.len(), world.restarts);
            Ok(Lived { calls, asked, said, restarts })
        }
        Err(why) => {
            let from = world.log.len().saturating_sub(LINES);
            Err(format!("{}\n{why}", world.log[from..].join("\n")))
        }
    }
}

fn draw_limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits { idle_ms_max: 1 << 40, ..Limits::default() };
    if rng.chance(1, 3) {
        limits.calls_per_caller_max = 2 + rng.below(4) as usize;
    }
    if rng.chance(1, 3) {
        limits.calls_per_callee_max = 1 + rng.below(4) as usize;
    }
    if rng.chance(1, 4) {
        limits.callees_max = 1 + rng.below(3) as usize;
    }
    if rng.chance(1, 4) {
        limits.registrations_max = 1 + rng.below(3) as usize;
    }
    if rng.chance(1, 4) {
        limits.outbox_len_max = 32;
    }
    limits
}

impl World {
    fn new(seed: u64, flaw: Option<Flaw>) -> Result<Self, Wrong> {
        let mut rng = Rng::new(seed ^ 0xca11);
        let limits = draw_limits(&mut rng);
        let procedures = vec!["prefix:com".to_owned(), "prefix:org".to_owned()];
        let level = Durability::Memory;
        let setup = Setup { limits, level, seed, procedures, ..Setup::default() };
        let now = Now { mono: 1_000 * MS, wall: 1_700_000_000_000 };
        let shares = PATTERNS.iter().map(|_| any_share(&mut rng)).collect();
        Ok(Self {
            rig: Rig::start(&setup, &FakeDisk::default(), now)?,
            setup,
            rng,
            law: Law::default(),
            folk: Vec::new(),
            opened: 0,
            said: Vec::new(),
            locked: BTreeMap::new(),
            shares,
            looked: None,
            calm: false,
            flaw,
            log: Vec::new(),
            turn: 0,
            restarts: 0,
        })
    }

    fn note(&mut self, who: usize, what: &str) {
        self.log.push(format!("{:>5} p{who} {what}", self.turn));
    }

    fn step(&mut self) -> Result<(), Wrong> {
        self.turn += 1;
        for _ in 0..1 + self.rng.below(4) {
            self.deed();
        }
        let ms = if self.rng.chance(1, 12) { self.rng.below(900) } else { self.rng.below(20) };
        self.rig.pass(ms);
        self.once()?;
        if self.rng.chance(1, 60) {
            self.look()?;
        }
        match self.rng.chance(1, 180) {
            true => self.restart(),
            false => Ok(()),
        }
    }

    /// The broker is gone in the middle of everything. Whoever asked or was asked has lost its line
    /// and knows so; nothing of it is known to the one that begins anew.
    fn restart(&mut self) -> Result<(), Wrong> {
        self.restarts += 1;
        self.rig = Rig::start(&self.setup, &FakeDisk::default(), self.rig.now)?;
        for it in core::mem::take(&mut self.folk) {
            self.note(it.no, "is gone with the broker");
            self.law.left(it.no);
        }
        self.locked.clear();
        match self.rig.engine.hub().calls.audit()? == Tally::default() {
            true => Ok(()),
            false => Err("a broker that begins knows of calls".into()),
        }
    }

    fn deed(&mut self) {
        if self.folk.len() < 3 || self.folk.len() < 7 && self.rng.chance(1, 12) {
            return self.arrive();
        }
        let at = self.rng.below(self.folk.len() as u64) as usize;
        if !self.folk[at].online || self.folk[at].leaves || self.folk[at].outward.len() > 20_000 {
            return;
        }
        let calls = self.folk[at].speech != Speech::Mqtt;
        match self.rng.below(32) {
            0..=3 if calls => self.serve(at),
            4 if calls => self.stop(at),
            5..=10 => self.call(at),
            11..=12 if calls => self.go_on(at),
            13..=14 if calls => self.cancel(at),
            15..=23 if calls => self.answer(at),
            24 => self.listen_to(at),
            25 => self.listen_no_more(at),
            26..=28 => self.say(at),
            29 if self.rng.chance(1, 3) => self.depart(at),
            31 if self.rng.chance(1, 4) => self.send_away(at),
            31 => self.revoke(at),
            30 if calls && self.rng.chance(1, 12) => {
                // What it was never asked.
                self.folk[at].leaves = matches!(self.folk[at].speech, Speech::Wamp(_));
                self.folk[at].reply(9_999_999, Reply::Result, "#0/0/0;");
            }
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let speech = match self.rng.below(12) {
            0..=2 => Speech::Prx1,
            3 => Speech::Mqtt,
            4..=6 => Speech::Wamp(Form::MsgPack),
            7..=9 => Speech::Wamp(Form::Cbor),
            _ => Speech::Wamp(Form::Json),
        };
        let listener = match speech {
            Speech::Wamp(_) => WAMP,
            Speech::Prx1 => 0,
            Speech::Mqtt => MQTT,
        };
        let here = Address::V4([10, 0, 0, 1]);
        let Ok(conn) = self.rig.open_at(listener, here) else { return };
        self.opened += 1;
        let all = [
            Feature::CallCanceling,
            Feature::ProgressiveCallResults,
            Feature::ProgressiveCallInvocations,
            Feature::CallTimeout,
        ];
        let skilled = self.rng.chance(1, 2);
        let has = |_: &&Feature| skilled || self.rng.chance(1, 2);
        let mut able: Vec<Feature> = all.iter().filter(has).copied().collect();
        able.push(Feature::RegistrationRevocation);
        let mut person = Person::new(self.opened, conn, speech, Features::these(&able));
        if self.rng.chance(1, 6) {
            person.pace = 1 + self.rng.below(60) as usize;
        }
        if self.rng.chance(1, 4) {
            // A WELCOME in JSON is longer than the shorter of these.
            person.takes = 1 << if speech == Speech::Wamp(Form::Json) { 11 } else { 10 };
        }
        person.enter();
        let what = format!("comes, {speech:?} {able:?} at {}", person.pace);
        self.note(person.no, &what);
        self.folk.push(person);
    }

    fn serve(&mut self, at: usize) {
        let pattern = self.rng.below(PATTERNS.len() as u64) as usize;
        let it = &mut self.folk[at];
        let busy = it.served.values().any(|its| *its == pattern)
            || it.asked.values().any(|asked| matches!(asked, Asked::Stop(its) if *its == pattern))
            || self.locked.contains_key(&pattern);
        if busy || it.speech == Speech::Prx1 && PATTERNS[pattern].0 != Kind::Exact {
            return;
        }
        let usual = self.shares[pattern];
        let invoke = if self.rng.chance(1, 10) { any_share(&mut self.rng) } else { usual };
        self.locked.insert(pattern, it.no);
        it.serve(pattern, invoke);
        let no = it.no;
        self.note(no, &format!("would serve {:?} {invoke:?}", PATTERNS[pattern]));
    }

    fn stop(&mut self, at: usize) {
        let it = &mut self.folk[at];
        let Some((id, pattern)) = it.served.iter().next().map(|(id, its)| (*id, *its)) else {
            return;
        };
        if it.asked.values().any(|asked| *asked == Asked::Stop(pattern)) {
            return;
        }
        it.stop(id, pattern);
        let no = it.no;
        self.note(no, &format!("stops {:?}", PATTERNS[pattern]));
    }

    /// Somebody calls something; the number of the call.
    fn call(&mut self, at: usize) {
        let name = NAMES[self.rng.below(NAMES.len() as u64) as usize];
        let it = &self.folk[at];
        let (is_wamp, is_prx1) = (matches!(it.speech, Speech::Wamp(_)), it.speech == Speech::Prx1);
        let how = Manner {
            pieces: (is_wamp || is_prx1) && self.rng.chance(1, 2),
            more: is_wamp && self.rng.chance(1, 5),
            many: is_prx1 && self.rng.chance(1, 5),
            timeout_ms: match (is_wamp || is_prx1) && self.rng.chance(1, 3) {
                true => 1 + self.rng.below(TIMEOUT_MS),
                false => 0,
            },
        };
        let len = if self.rng.chance(1, 30) { 6_000 } else { self.rng.below(80) as usize };
        self.call_so(at, name, how, len);
    }

    fn call_so(&mut self, at: usize, name: &'static str, how: Manner, len: usize) -> usize {
        let it = &mut self.folk[at];
        it.request += 1;
        let (who, request) = (it.no, it.request);
        let mut made = Made::new(who, request, name);
        (made.pieces, made.many, made.timeout_ms) = (how.pieces, how.many, how.timeout_ms);
        let no = self.law.made(made);
        it.calls.push(request);
        it.call(request, name, how, &Token { no, by: who, piece: 0 }.body(len));
        if how.more {
            it.streams.insert(request, (no, 1, name));
        }
        self.note(who, &format!("calls {name} #{no} {request} {how:?}"));
        no
    }

    /// One more piece of a call.
    fn go_on(&mut self, at: usize) {
        let last = self.rng.chance(1, 3);
        let it = &mut self.folk[at];
        let Some((request, (no, piece, name))) = it.streams.pop_first() else { return };
        let how = Manner { more: !last, ..Manner::default() };
        it.call(request, name, how, &Token { no, by: it.no, piece }.body(3));
        if !last {
            it.streams.insert(request, (no, piece + 1, name));
        }
        let who = it.no;
        self.note(who, &format!("goes on with #{no}, {piece}, last {last}"));
    }

    fn cancel(&mut self, at: usize) {
        let mode = [Mode::Skip, Mode::Kill, Mode::KillNoWait][self.rng.below(3) as usize];
        let it = &mut self.folk[at];
        let last = it.calls.len().saturating_sub(1 + self.rng.below(4) as usize);
        let Some(request) = it.calls.get(last).copied() else { return };
        // A stream that is taken back goes no further.
        it.streams.remove(&request);
        it.cancel(request, mode);
        let no = it.no;
        self.note(no, &format!("cancels {request} {mode:?}"));
    }

    fn answer(&mut self, at: usize) {
        let it = &self.folk[at];
        let some = it.doing.len().min(3) as u64;
        let nth = self.rng.below(some.max(1)) as usize;
        let Some(number) = it.doing.keys().nth(nth).copied() else { return };
        let pieces = it.doing.get(&number).is_some_and(|doing| doing.pieces);
        let reply = match self.rng.below(12) {
            0..=4 if pieces => Reply::Piece,
            5 if self.rng.chance(1, 4) => Reply::Piece,
            6 => Reply::Error,
            7..=8 => Reply::Unavailable,
            _ => Reply::Result,
        };
        self.reply(at, number, reply);
    }

    fn reply(&mut self, at: usize, number: u64, reply: Reply) {
        let it = &mut self.folk[at];
        let Some(doing) = it.doing.get_mut(&number) else { return };
        let (no, piece) = (doing.no, doing.said);
        doing.said += 1;
        if reply != Reply::Piece {
            it.doing.remove(&number);
        }
        if reply == Reply::Unavailable {
            self.law.calls[no].declined = true;
        }
        if self.flaw == Some(Flaw::Hoard) && reply != Reply::Piece && !self.law.is_open(no) {
            return;
        }
        let who = it.no;
        it.reply(number, reply, &Token { no, by: who, piece }.body(piece % 7));
        self.note(who, &format!("answers {number} #{no} {reply:?} {piece}"));
    }

    fn listen_to(&mut self, at: usize) {
        let pattern = self.rng.below(PATTERNS.len() as u64) as usize;
        let it = &mut self.folk[at];
        let busy = it.subs.values().any(|its| *its == pattern)
            || it.asked.values().any(|a| matches!(a, Asked::Listen(p) if *p == pattern));
        if !busy {
            it.listen(pattern);
        }
    }

    fn listen_no_more(&mut self, at: usize) {
        let it = &mut self.folk[at];
        let Some((sub, pattern)) = it.subs.iter().next().map(|(sub, its)| (*sub, *its)) else {
            return;
        };
        if !it.asked.values().any(|asked| matches!(asked, Asked::Leave(its, _) if *its == sub)) {
            it.leave(sub, pattern);
            let no = it.no;
            self.note(no, &format!("leaves {sub}"));
        }
    }

    fn say(&mut self, at: usize) {
        let name = NAMES[self.rng.below(NAMES.len() as u64) as usize];
        self.say_to(at, name);
    }

    fn say_to(&mut self, at: usize, name: &'static str) -> usize {
        let it = &mut self.folk[at];
        let (no, by) = (self.said.len(), it.no);
        self.said.push((name, by));
        it.publish(name, &Token { no, by, piece: 0 }.body(5));
        self.note(by, &format!("says {no} to {name}"));
        no
    }

    /// Somebody goes: with a word, or without.
    fn depart(&mut self, at: usize) {
        let how = self.rng.below(3);
        let it = &mut self.folk[at];
        it.leaves = true;
        match how {
            0 => it.depart(),
            how => {
                if let Some(wire) = self.rig.wires.get_mut(&it.conn) {
                    wire.fin = Some(how == 1);
                }
            }
        }
        let no = it.no;
        self.note(no, &format!("goes, {how}"));
    }

    /// Somebody wants another one of WAMP to go.
    fn send_away(&mut self, at: usize) {
        let other = |it: &&mut Person| it.session > 0 && !it.doomed;
        let Some(victim) = self.folk.iter_mut().rfind(other) else { return };
        let (number, no) = (victim.session, victim.no);
        if self.folk[at].session == 0 || self.folk[at].no == no {
            return;
        }
        let victim = self.folk.iter_mut().find(|it| it.no == no);
        victim.into_iter().for_each(|it| it.doomed = true);
        self.folk[at].order("wamp.session.kill", &[number]);
        let by = self.folk[at].no;
        self.note(by, &format!("sends p{no} away"));
    }

    /// Somebody wants that another one of WAMP serves something no more.
    fn revoke(&mut self, at: usize) {
        let with = |it: &Person| Some((*it.served.keys().next()?, it.session, it.no));
        let all: Vec<_> = self.folk.iter().filter(|it| it.session > 0).filter_map(with).collect();
        let Some((id, number, no)) = self.rng.pick(&all).copied() else { return };
        self.folk[at].order("wamp.registration.remove_callee", &[id, number]);
        let by = self.folk[at].no;
        self.note(by, &format!("takes {id} from p{no}"));
    }

    /// Carry, turn, listen. True: something happened.
    fn once(&mut self) -> Result<bool, Wrong> {
        for it in &mut self.folk {
            let Some(wire) = self.rig.wires.get_mut(&it.conn) else { continue };
            let all = it.outward.len();
            let some = self.rng.below(all as u64 + 1) as usize;
            let most = if self.calm || self.rng.chance(1, 2) { all } else { some };
            wire.inward.extend(it.outward.drain(..most));
            wire.room = match it.pace {
                pace if pace > 0 && !self.calm => wire.room.min(4_000) + pace,
                _ => usize::MAX,
            };
        }
        let busy = self.rig.turn();
        let hub = self.rig.engine.hub();
        hub.calls.audit()?;
        self.rig.engine.audit().map_err(|broken| broken.0)?;
        self.listen()?;
        Ok(busy)
    }

    fn listen(&mut self) -> Result<(), Wrong> {
        let mut gone = Vec::new();
        for at in 0..self.folk.len() {
            let it = &mut self.folk[at];
            let Some(wire) = self.rig.wires.get_mut(&it.conn) else { continue };
            let heard = core::mem::take(&mut wire.heard);
            let ended = wire.ended;
            let no = it.no;
            for word in it.hear(&heard)? {
                for (who, word) in self.twist(no, word) {
                    self.note(who, &format!("hears {word:?}"));
                    self.take_in(who, &word)?;
                }
            }
            gone.extend(ended.map(|why| (at, why)));
        }
        for (at, why) in gone.into_iter().rev() {
            let it = self.folk.remove(at);
            self.rig.wires.remove(&it.conn);
            self.note(it.no, &format!("is gone: {why}"));
            self.law.left(it.no);
            self.locked.retain(|_, by| *by != it.no);
            if !it.leaves && !it.doomed && it.pace == 0 {
                return Err(format!("p{} did nothing and was let go for {why}", it.no));
            }
        }
        Ok(())
    }

    fn take_in(&mut self, who: usize, word: &Word) -> Result<(), Wrong> {
        let Some(it) = self.folk.iter_mut().find(|it| it.no == who) else { return Ok(()) };
        match *word {
            Word::In => it.online = true,
            Word::Yes(Asked::Serve(pattern, invoke), _) => {
                self.locked.remove(&pattern);
                self.law.serves(who, pattern, invoke);
            }
            Word::Yes(Asked::Stop(pattern), _) => self.law.stops(who, pattern),
            Word::No(Asked::Serve(pattern, _)) => _ = self.locked.remove(&pattern),
            Word::Event(sub, pattern, token) => {
                let (topic, by) = *self.said.get(token.no).ok_or("an event that nobody said")?;
                let may = it.may_listen(|pattern| matches(pattern, topic));
                let pattern = pattern.or(may);
                if by == who && matches!(it.speech, Speech::Wamp(_)) {
                    return Err(format!("p{who} hears its own event {}", token.no));
                }
                self.law.heard((who, sub), token.no, pattern, topic)?;
                self.looked.iter_mut().for_each(|(_, heard)| heard.push((who, sub)));
            }
            Word::Do { number, pattern, token, pieces, timed } => {
                self.law.invoked(Invoked { who, number, pattern, token })?;
                let doing = Doing { no: token.no, pieces, said: 0 };
                it.doing.entry(number).or_insert(doing);
                self.law.calls[token.no].timed_there |= timed;
                self.looked.iter_mut().for_each(|(asked, _)| asked.push(who));
            }
            Word::Stop(number) => {
                let can = it.able.has(Feature::CallCanceling) || it.speech == Speech::Prx1;
                if !can || !self.law.was_asked(who, number) {
                    return Err(format!("p{who} is interrupted in {number}, which cannot be"));
                }
            }
            Word::Came { request, .. } => {
                if let Some(came) = Person::came(who, word)
                    && self.law.came(came)?.is_some()
                {
                    it.streams.remove(&request);
                }
            }
            Word::Yes(..) | Word::No(_) | Word::Over => {}
        }
        Ok(())
    }

    /// Turn until nothing is on its way any more.
    fn rest(&mut self, what: &str) -> Result<(), Wrong> {
        let mut quiet = 0;
        for _ in 0..REST_TURNS {
            self.turn += 1;
            self.rig.pass(1);
            let busy = self.once()?;
            let wires = &self.rig.wires;
            let idle = wires.values().all(|wire| wire.inward.is_empty() && wire.rest.is_empty())
                && self.folk.iter().all(|it| it.outward.is_empty());
            quiet = if idle && !busy { quiet + 1 } else { 0 };
            if quiet > 3 {
                return Ok(());
            }
        }
        Err(format!("no rest: {what}"))
    }

    /// Whoever was asked answers; then nothing may be kept of any call.
    fn drain(&mut self) -> Result<(), Wrong> {
        self.rest("before answers")?;
        for _ in 0..100 {
            for at in 0..self.folk.len() {
                let numbers: Vec<u64> = self.folk[at].doing.keys().copied().collect();
                numbers.into_iter().for_each(|number| self.reply(at, number, Reply::Result));
            }
            self.rest("answers")?;
            if self.folk.iter().all(|it| it.doing.is_empty()) {
                break;
            }
        }
        self.law.missing(|_| true)?;
        let tally = self.rig.engine.hub().calls.audit()?;
        let callees: usize = self.law.members.values().map(Vec::len).sum();
        if (tally.calls, tally.waiting) != (0, 0) || tally.callees != callees {
            return Err(format!("calls are kept: {tally:?}, of {callees} callees"));
        }
        Ok(())
    }

    /// All is quiet: single calls and events go where they must.
    fn look(&mut self) -> Result<(), Wrong> {
        self.calm = true;
        self.drain()?;
        for _ in 0..2 {
            self.look_at_calls()?;
            self.look_at_events()?;
        }
        self.calm = false;
        Ok(())
    }

    fn anybody(&mut self, fits: impl Fn(&Person) -> bool) -> Option<usize> {
        let is_here = |it: &Person| it.online && !it.leaves && fits(it);
        let all: Vec<usize> = (0..self.folk.len()).filter(|at| is_here(&self.folk[*at])).collect();
        self.rng.pick(&all).copied()
    }

    fn look_at_calls(&mut self) -> Result<(), Wrong> {
        let name = NAMES[self.rng.below(NAMES.len() as u64) as usize];
        let best = self.law.best(name);
        let members = best.and_then(|best| self.law.members.get(&best)).cloned();
        let members = members.unwrap_or_default();
        let rounds = match members.first() {
            Some((_, Invoke::Random)) => 24 * members.len(),
            _ => 2 * members.len().max(1),
        };
        let mut all = Vec::new();
        for _ in 0..rounds {
            let Some(at) = self.anybody(|it| it.speech != Speech::Mqtt) else { return Ok(()) };
            self.looked = Some(Default::default());
            let no = self.call_so(at, name, Manner::default(), 0);
            self.rest("a call")?;
            let (asked, _) = self.looked.take().unwrap_or_default();
            match (asked[..].first(), members.is_empty()) {
                (None, true) if !self.law.is_open(no) => {}
                (Some(who), false) if asked.len() == 1 => {
                    all.push(*who);
                    shared(&all, &members)?;
                }
                _ => return Err(format!("{asked:?} were asked of {members:?}")),
            }
            self.drain()?;
        }
        Ok(())
    }

    fn look_at_events(&mut self) -> Result<(), Wrong> {
        let name = NAMES[self.rng.below(NAMES.len() as u64) as usize];
        let Some(at) = self.anybody(|_| true) else { return Ok(()) };
        let publisher = self.folk[at].no;
        self.looked = Some(Default::default());
        let no = self.say_to(at, name);
        self.rest("an event")?;
        let (_, heard) = self.looked.take().unwrap_or_default();
        for it in self.folk.iter().filter(|it| it.online && it.no != publisher) {
            let mine: Vec<u64> =
                heard.iter().filter(|(who, _)| *who == it.no).map(|(_, sub)| *sub).collect();
            let fits: Vec<u64> = it
                .subs
                .iter()
                .filter(|(_, pattern)| matches(**pattern, name))
                .map(|(sub, _)| *sub)
                .collect();
            let right = match it.speech {
                Speech::Wamp(_) => fits.iter().all(|sub| mine.contains(sub)),
                _ => fits.is_empty() || mine.len() == 1,
            };
            if !right {
                return Err(format!("event {no} of {name} never came to p{} by {fits:?}", it.no));
            }
        }
        Ok(())
    }

    /// Everybody takes what it is told, the time of calls goes by, whoever was asked answers, and
    /// then all leave.
    fn finish(&mut self) -> Result<(), Wrong> {
        self.calm = true;
        self.rest("everybody listens")?;
        for _ in 0..TIMEOUT_MS / 100 + 20 {
            self.rig.pass(100);
            self.once()?;
        }
        self.law.missing(|call| call.timeout_ms > 0 && !call.timed_there)?;
        self.look()?;
        self.calm = true;
        for at in 0..self.folk.len() {
            if !self.folk[at].leaves {
                self.depart(at);
            }
        }
        for _ in 0..100 {
            self.rig.pass(100);
            self.once()?;
        }
        let hub = self.rig.engine.hub();
        let left = (hub.calls.audit()?, hub.calls.held(), hub.parties.len(), hub.interests.len());
        match left == (Tally::default(), 0, 0, 0) && self.folk.is_empty() {
            true => Ok(()),
            false => Err(format!("{left:?} and {} people are left", self.folk.len())),
        }
    }
}

fn any_share(rng: &mut Rng) -> Invoke {
    let all = [Invoke::Single, Invoke::First, Invoke::Last, Invoke::Roundrobin, Invoke::Random];
    all[rng.below(5) as usize]
}
