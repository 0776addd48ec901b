//! Floor 2. The law of calls under thousands of random steps, beside a model that is a few lists.
//!
//! The model remembers every call there ever was and looks through all of them for every answer;
//! it has no indexes, no timers and no weights. It says what is to be said, in which order. What
//! the law itself demands (one outcome for each call, pieces before it, nothing left over) is
//! counted apart from it, from what was really said.

use std::collections::BTreeMap;

use super::calls_test::{HOME, NOW, text};
use super::*;
use crate::base::rng::Rng;
use crate::base::time::MS;

const NAMES: [&str; 3] = ["a", "b", "c"];
const LIMITS: (usize, usize) = (6, 5);

struct Offered {
    id: u64,
    name: &'static str,
    invoke: Invoke,
    callees: Vec<(SessionId, Terms)>,
    turn: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Live,
    Killed,
    /// Nobody waits for it.
    Unwanted,
    Over,
}

struct Made {
    ask: Ask,
    phase: Phase,
    id: u64,
    callee: (SessionId, Terms),
    number: u64,
    pieces_sent: usize,
    pieces_come: usize,
    /// There was somebody else when it began.
    has_others: bool,
    due: u64,
    asked: Vec<SessionId>,
    /// The caller has said its last piece.
    said: bool,
    /// The callee was told to stop.
    told: bool,
}

#[derive(Default)]
struct Model {
    offered: Vec<Offered>,
    made: Vec<Made>,
    /// Numbers given to callees, and what they could do when they were asked last.
    given: BTreeMap<SessionId, (u64, Able)>,
    /// Calls in pieces that are over while pieces may still come.
    late: Vec<(SessionId, u64)>,
    last: u64,
}

#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    New,
    Piece,
    Nothing,
    Violation,
}

fn interrupts(callee: (SessionId, Terms)) -> bool {
    callee.1.can.has(Able::CANCEL)
}

impl Made {
    fn caller(&self) -> SessionId {
        self.ask.caller
    }

    fn waits(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Killed)
    }

    fn failed(&self, why: Why) -> Act {
        let (to, request) = (self.ask.caller, self.ask.request);
        Act::Fail { to, request, why, payload: Payload::default() }
    }

    fn stopped(&self, mode: Mode, why: Stop) -> Option<Act> {
        let (to, number) = (self.callee.0, self.number);
        interrupts(self.callee).then_some(Act::Interrupt { to, number, mode, why })
    }

    fn in_pieces(&self) -> bool {
        let can = self.callee.1.can;
        self.ask.pieces && can.has(Able::RESULTS) && can.has(Able::CANCEL)
    }

    fn watched_there(&self) -> bool {
        self.callee.1.takes_timeout && self.callee.1.can.has(Able::TIMEOUT)
    }

    fn invoked(&self, now: Now, payload: Payload) -> Act {
        let left = (self.due.saturating_sub(now.mono)).div_ceil(MS).max(1);
        let timed = self.ask.timeout_ms > 0 && self.watched_there();
        Act::Invoke(Invocation {
            to: self.callee.0,
            number: self.number,
            registration: self.id,
            procedure: None,
            payload,
            more: !self.said,
            pieces: self.in_pieces(),
            timeout_ms: match timed {
                true if self.pieces_sent > 1 => self.ask.timeout_ms,
                true => left,
                false => 0,
            },
            caller: (self.ask.disclose || self.callee.1.discloses).then_some(self.ask.caller),
            trust: self.ask.trust,
        })
    }
}

impl Model {
    fn register(
        &mut self,
        session: SessionId,
        name: &'static str,
        invoke: Invoke,
        terms: Terms,
    ) -> Result<Registered, Refused> {
        let Some(own) = self.offered.iter_mut().find(|own| own.name == name) else {
            self.last += 1;
            let callees = vec![(session, terms)];
            self.offered.push(Offered { id: self.last, name, invoke, callees, turn: 0 });
            return Ok(Registered::Created(self.last));
        };
        if own.invoke != invoke {
            return Err(Refused::Exists);
        }
        if let Some(callee) = own.callees.iter_mut().find(|callee| callee.0 == session) {
            callee.1 = terms;
            return Ok(Registered::Again(own.id));
        }
        if invoke == Invoke::Single {
            return Err(Refused::Exists);
        }
        own.callees.push((session, terms));
        Ok(Registered::Joined(own.id))
    }

    fn unregister(&mut self, session: SessionId, id: u64) -> Option<Lost> {
        let own = self.offered.iter_mut().find(|own| own.id == id)?;
        let at = own.callees.iter().position(|callee| callee.0 == session)?;
        own.callees.remove(at);
        let ended = own.callees.is_empty();
        self.offered.retain(|own| !own.callees.is_empty());
        Some(Lost { registration: id, ended })
    }

    /// Whom the registration asks next, of these places; `hint` is who was asked by lot.
    fn next(
        &mut self,
        id: u64,
        places: &[usize],
        hint: Option<SessionId>,
    ) -> Option<(SessionId, Terms)> {
        let own = self.offered.iter_mut().find(|own| own.id == id)?;
        let (first, last) = (*places.first()?, *places.last()?);
        let at = match own.invoke {
            Invoke::Single | Invoke::First => first,
            Invoke::Last => last,
            Invoke::Random => {
                let hint = hint.expect("somebody is asked");
                let at = own.callees.iter().position(|callee| callee.0 == hint).unwrap();
                assert!(places.contains(&at), "one of those who may be asked");
                at
            }
            Invoke::Roundrobin => {
                if own.turn >= own.callees.len() {
                    own.turn = 0;
                }
                let at = places.iter().find(|at| **at >= own.turn).copied().unwrap_or(first);
                own.turn = at + 1;
                at
            }
        };
        Some(own.callees[at])
    }

    /// What nobody waits for is in nobody's way.
    fn busy_at(&self, callee: SessionId) -> usize {
        self.made.iter().filter(|made| made.callee.0 == callee && made.waits()).count()
    }

    /// When there are too many, the oldest that nobody waits for is forgotten.
    fn make_room(&mut self, callee: SessionId) {
        let open = |made: &&mut Made| made.callee.0 == callee && made.phase != Phase::Over;
        let mut all: Vec<&mut Made> = self.made.iter_mut().filter(open).collect();
        all.sort_by_key(|made| made.number);
        if all.len() >= LIMITS.1 {
            let oldest = all.into_iter().find(|made| made.phase == Phase::Unwanted);
            oldest.expect("one of them is unwanted").phase = Phase::Over;
        }
    }

    fn give(&mut self, callee: (SessionId, Terms)) -> u64 {
        self.make_room(callee.0);
        let given = self.given.entry(callee.0).or_insert((0, Able::NONE));
        *given = (given.0 + 1, callee.1.can);
        given.0
    }

    fn call(&mut self, now: Now, ask: &Ask, hint: Option<SessionId>) -> (Verdict, Vec<Act>) {
        let mine = |made: &&mut Made| {
            (made.ask.caller, made.ask.request) == (ask.caller, ask.request) && made.waits()
        };
        if let Some(made) = self.made.iter_mut().find(mine) {
            if made.said {
                return (Verdict::Violation, Vec::new());
            }
            made.said = !ask.more;
            if made.phase == Phase::Killed {
                return (Verdict::Nothing, Vec::new());
            }
            made.pieces_sent += 1;
            let payload = Payload { meta: made.ask.payload.meta.clone(), ..ask.payload.clone() };
            return (Verdict::Piece, vec![made.invoked(now, payload)]);
        }
        let known = (ask.caller, ask.request);
        if self.late.contains(&known) {
            self.late.retain(|late| ask.more || *late != known);
            return (Verdict::Nothing, Vec::new());
        }
        let out = self.begin(now, ask, hint).unwrap_or_else(|why| {
            self.late.extend(ask.more.then_some(known));
            let (to, request) = known;
            Act::Fail { to, request, why, payload: Payload::default() }
        });
        (Verdict::New, vec![out])
    }

    fn begin(&mut self, now: Now, ask: &Ask, hint: Option<SessionId>) -> Result<Act, Why> {
        let waiting = |made: &&Made| made.ask.caller == ask.caller && made.waits();
        if self.made.iter().filter(waiting).count() >= LIMITS.0 {
            return Err(Why::Full(Bound::CallsPerCaller));
        }
        let own = self.offered.iter().find(|own| own.name.as_bytes() == ask.procedure);
        let own = own.ok_or(Why::NoProcedure)?;
        let (id, places) = (own.id, own.callees.len());
        let all: Vec<usize> = (0..places).collect();
        // Nobody knows who was chosen by lot if that one was not asked in the end.
        let unknown = own.invoke == Invoke::Random && hint.is_none();
        let callee = match unknown {
            true => {
                let unfit = |callee: &&(SessionId, Terms)| !self.fits(ask, callee.1);
                let unfit = own.callees.iter().find(unfit).copied();
                let full = own.callees.iter().find(|callee| self.busy_at(callee.0) >= LIMITS.1);
                // The two cannot be told apart here: the test sees to it that there is one only.
                unfit.or_else(|| full.copied()).expect("one of them could not be asked")
            }
            false => self.next(id, &all, hint).unwrap(),
        };
        if !self.fits(ask, callee.1) {
            return Err(Why::Unsupported);
        }
        if self.busy_at(callee.0) >= LIMITS.1 {
            return Err(Why::Full(Bound::CallsPerCallee));
        }
        let number = self.give(callee);
        let made = Made {
            ask: ask.clone(),
            phase: Phase::Live,
            id,
            callee,
            number,
            pieces_sent: 1,
            pieces_come: 0,
            has_others: places > 1,
            due: now.mono + ask.timeout_ms * MS,
            asked: Vec::new(),
            said: !ask.more,
            told: false,
        };
        let out = made.invoked(now, ask.payload.clone());
        self.made.push(made);
        Ok(out)
    }

    fn fits(&self, ask: &Ask, terms: Terms) -> bool {
        let takes_pieces = terms.can.has(Able::CHUNKS) && terms.can.has(Able::CANCEL);
        terms.can.has(ask.needs) && (takes_pieces || !ask.more)
    }

    /// The caller knows how it ended; the callee may not.
    fn settle(&mut self, at: usize, phase: Phase) {
        let made = &mut self.made[at];
        made.phase = phase;
        if !made.said {
            self.late.push((made.ask.caller, made.ask.request));
        }
    }

    fn answer(
        &mut self,
        now: Now,
        callee: SessionId,
        number: u64,
        answer: &Answer,
        hint: Option<SessionId>,
    ) -> (Result<Heard, Violation>, Vec<Act>) {
        let (given, can) = self.given.get(&callee).copied().unwrap_or((0, Able::NONE));
        if number == 0 || number > given {
            return (Err(Violation::NeverIssued), Vec::new());
        }
        let is_piece = matches!(answer, Answer::Piece(..));
        let why = Stop::Late;
        let late = Act::Interrupt { to: callee, number, mode: Mode::KillNoWait, why };
        let open = |made: &Made| {
            made.callee.0 == callee && made.number == number && made.phase != Phase::Over
        };
        let Some(at) = self.made.iter().position(open) else {
            let stops = is_piece && can.has(Able::CANCEL);
            return (Ok(Heard::Late), stops.then_some(late).into_iter().collect());
        };
        if !self.made[at].waits() {
            if !is_piece {
                self.made[at].phase = Phase::Over;
            }
            let stops = is_piece && interrupts(self.made[at].callee);
            return (Ok(Heard::Late), stops.then_some(late).into_iter().collect());
        }
        let made = &mut self.made[at];
        let (to, request) = (made.ask.caller, made.ask.request);
        match answer {
            Answer::Piece(_, needs) | Answer::Result(_, needs) if !made.ask.can.has(*needs) => {
                (Ok(Heard::Unfit), Vec::new())
            }
            Answer::Piece(..) if !made.in_pieces() => (Ok(Heard::Unasked), Vec::new()),
            Answer::Piece(payload, _) => {
                made.pieces_come += 1;
                made.due = now.mono + made.ask.timeout_ms * MS;
                let payload = payload.clone();
                (Ok(Heard::Passed), vec![Act::Result { to, request, more: true, payload }])
            }
            Answer::Result(payload, _) => {
                let payload = payload.clone();
                self.settle(at, Phase::Over);
                (Ok(Heard::Passed), vec![Act::Result { to, request, more: false, payload }])
            }
            Answer::Unavailable(..)
                if made.phase == Phase::Live && made.pieces_sent == 1 && made.pieces_come == 0 =>
            {
                (Ok(Heard::Rerouted), vec![self.pass_on(now, at, hint)])
            }
            Answer::Error(name, payload) | Answer::Unavailable(name, payload) => {
                let (why, payload) = (Why::Said(name.clone()), payload.clone());
                self.settle(at, Phase::Over);
                (Ok(Heard::Passed), vec![Act::Fail { to, request, why, payload }])
            }
        }
    }

    fn pass_on(&mut self, now: Now, at: usize, hint: Option<SessionId>) -> Act {
        let made = &mut self.made[at];
        made.asked.push(made.callee.0);
        let (id, made) = (made.id, &self.made[at]);
        let own = self.offered.iter().find(|own| own.id == id);
        let all = own.map_or(&[][..], |own| &own.callees);
        let may = |callee: &(SessionId, Terms)| {
            let first = Ask { more: made.ask.more, ..made.ask.clone() };
            made.has_others
                && !made.asked.contains(&callee.0)
                && self.fits(&first, callee.1)
                && self.busy_at(callee.0) < LIMITS.1
        };
        let places: Vec<usize> = (0..all.len()).filter(|place| may(&all[*place])).collect();
        let Some(callee) = self.next(id, &places, hint) else {
            self.settle(at, Phase::Over);
            return self.made[at].failed(Why::NoCallee);
        };
        let number = self.give(callee);
        let made = &mut self.made[at];
        (made.callee, made.number) = (callee, number);
        made.invoked(now, made.ask.payload.clone())
    }

    fn cancel(&mut self, caller: SessionId, request: u64, mode: Mode) -> Vec<Act> {
        let mine =
            |made: &Made| made.caller() == caller && made.ask.request == request && made.waits();
        let Some(at) = self.made.iter().position(mine) else { return Vec::new() };
        let made = &mut self.made[at];
        if made.phase == Phase::Killed {
            return Vec::new();
        }
        let mode = if interrupts(made.callee) { mode } else { Mode::Skip };
        let stop = made.stopped(mode, Stop::Canceled).filter(|_| mode != Mode::Skip);
        if mode == Mode::Kill {
            (made.phase, made.told) = (Phase::Killed, true);
            return stop.into_iter().collect();
        }
        made.told |= stop.is_some();
        let failed = made.failed(Why::Canceled);
        self.settle(at, Phase::Unwanted);
        [failed].into_iter().chain(stop).collect()
    }

    fn blocked(&mut self, callee: SessionId, number: u64) -> Vec<Act> {
        let open = |made: &Made| {
            made.callee.0 == callee && made.number == number && made.phase != Phase::Over
        };
        let Some(at) = self.made.iter().position(open) else { return Vec::new() };
        let made = &self.made[at];
        let (waits, was, follows) = (made.waits(), made.phase, made.pieces_sent > 1);
        let mut out: Vec<Act> = waits.then(|| made.failed(Why::Blocked)).into_iter().collect();
        if follows {
            let stop = made.stopped(Mode::KillNoWait, Stop::Blocked);
            out.extend(stop.filter(|_| was != Phase::Killed));
        }
        if waits {
            self.settle(at, Phase::Unwanted);
        }
        if follows {
            self.made[at].told |= out.len() > usize::from(waits);
        } else {
            self.made[at].phase = Phase::Over;
            let told = self.made[at].told;
            let given = self.given.get_mut(&callee).unwrap();
            given.0 -= u64::from(given.0 == number && !told);
        }
        out
    }

    fn expire(&mut self, now: Now) -> Vec<Act> {
        let is_due = |made: &Made| {
            let watched = made.waits() && made.ask.timeout_ms > 0 && !made.watched_there();
            watched && made.due <= now.mono
        };
        let mut due: Vec<usize> =
            (0..self.made.len()).filter(|at| is_due(&self.made[*at])).collect();
        due.sort_by_key(|at| self.made[*at].due);
        let mut out = Vec::new();
        for at in due {
            let made = &self.made[at];
            out.push(made.failed(Why::Timeout));
            let stop = made.stopped(Mode::KillNoWait, Stop::Timeout);
            let told = stop.is_some();
            out.extend(stop.filter(|_| made.phase != Phase::Killed));
            self.made[at].told |= told;
            self.settle(at, Phase::Unwanted);
        }
        out
    }

    fn leave(&mut self, session: SessionId) -> (Vec<Lost>, Vec<Act>) {
        let ids: Vec<u64> = self.offered.iter().map(|own| own.id).collect();
        let lost = ids.into_iter().filter_map(|id| self.unregister(session, id)).collect();
        let mut out = Vec::new();
        let mut doing: Vec<usize> = (0..self.made.len())
            .filter(|at| self.made[*at].callee.0 == session)
            .filter(|at| self.made[*at].phase != Phase::Over)
            .collect();
        doing.sort_by_key(|at| self.made[*at].number);
        for at in doing {
            if self.made[at].waits() && self.made[at].caller() != session {
                out.push(self.made[at].failed(Why::Gone));
            }
            match self.made[at].waits() {
                true => self.settle(at, Phase::Over),
                false => self.made[at].phase = Phase::Over,
            }
        }
        let mut asked: Vec<usize> = (0..self.made.len())
            .filter(|at| self.made[*at].caller() == session && self.made[*at].waits())
            .collect();
        asked.sort_by_key(|at| self.made[*at].ask.request);
        for at in asked {
            let stop = self.made[at].stopped(Mode::KillNoWait, Stop::Gone);
            self.made[at].told |= stop.is_some();
            out.extend(stop.filter(|_| self.made[at].phase == Phase::Live));
            self.settle(at, Phase::Unwanted);
        }
        (lost, out)
    }
}

/// Sessions, what they do, and what was really said to them.
struct Play {
    rng: Rng,
    now: Now,
    calls: Calls,
    model: Model,
    seats: [SessionId; 5],
    /// Calls without an outcome.
    open: Vec<(SessionId, u64)>,
    outcomes: usize,
    /// Seats are taken again.
    goes_on: bool,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (calls_per_caller_max, calls_per_callee_max) = LIMITS;
        let limits =
            CallLimits { calls_per_caller_max, calls_per_callee_max, ..CallLimits::default() };
        Self {
            rng: Rng::new(seed),
            now: NOW,
            calls: Calls::new(limits, seed),
            model: Model::default(),
            seats: [0, 1, 2, 3, 4].map(|index| SessionId { index, life: 0 }),
            open: Vec::new(),
            outcomes: 0,
            goes_on: true,
        }
    }

    fn somebody(&mut self) -> SessionId {
        *self.rng.pick(&self.seats).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.rng.chance(1, 2)
    }

    fn payload(&mut self) -> Payload {
        let n = self.rng.next_u64();
        Payload { form: n as u8, meta: text(&format!("{}", n % 7)), args: text(&format!("{n}")) }
    }

    /// The law, by what was really said, and that the parts agree.
    fn judge(&mut self, out: &[Act]) {
        for act in out {
            match act {
                Act::Result { to, request, more, .. } => {
                    let at = self.open.iter().position(|own| *own == (*to, *request));
                    let at = at.expect("nothing comes after the outcome");
                    if !more {
                        self.open.swap_remove(at);
                        self.outcomes += 1;
                    }
                }
                Act::Fail { to, request, .. } => {
                    let at = self.open.iter().position(|own| *own == (*to, *request));
                    self.open.swap_remove(at.expect("one outcome"));
                    self.outcomes += 1;
                }
                Act::Invoke(it) => assert!(self.seats.contains(&it.to)),
                Act::Interrupt { to, .. } => assert!(self.seats.contains(to)),
            }
        }
        let tally = self.calls.audit().unwrap();
        assert_eq!(tally.waiting, self.open.len());
        let made = self.model.made.iter().filter(|made| made.phase != Phase::Over).count();
        assert_eq!((tally.calls, tally.registrations), (made, self.model.offered.len()));
    }

    fn register(&mut self) {
        let (session, at) = (self.somebody(), self.rng.below(3) as usize);
        // Each name has its way, now and then another one.
        let ways = [Invoke::Roundrobin, Invoke::Random, Invoke::Last];
        let all = [Invoke::Single, Invoke::First, Invoke::Last];
        let invoke = if self.rng.chance(1, 8) { *self.rng.pick(&all).unwrap() } else { ways[at] };
        let bits = [Able::CANCEL, Able::RESULTS, Able::CHUNKS, Able::TIMEOUT, Able::OPAQUE];
        let mut can = Able::NONE;
        for bit in bits {
            // Who is asked by lot can all do the same.
            let has = at == 1 || self.rng.chance(3, 4);
            can = if has { can | bit } else { can };
        }
        let terms = Terms { can, discloses: self.coin(), takes_timeout: self.coin(), within_ms: 0 };
        let offer = Offer { procedure: text(NAMES[at]), kind: Kind::Exact, invoke, terms };
        let found = self.calls.register(self.now, HOME, session, &offer);
        assert_eq!(found, self.model.register(session, NAMES[at], invoke, terms));
        self.judge(&[]);
    }

    fn call(&mut self) {
        let ask = Ask {
            realm: HOME,
            caller: self.somebody(),
            request: 1 + self.rng.below(10),
            procedure: text(NAMES[self.rng.below(3) as usize]),
            payload: self.payload(),
            more: self.coin(),
            pieces: self.coin(),
            timeout_ms: if self.coin() { 1 + self.rng.below(40) } else { 0 },
            disclose: self.coin(),
            trust: self.rng.below(3) as u32,
            needs: if self.rng.chance(1, 5) { Able::OPAQUE } else { Able::NONE },
            can: if self.coin() { Able::OPAQUE } else { Able::NONE },
            shard: None,
        };
        let mut out = Vec::new();
        let found = self.calls.call(self.now, ask.clone(), &mut out);
        let (verdict, wanted) = self.model.call(self.now, &ask, asked(&out));
        assert_eq!(found.is_err(), verdict == Verdict::Violation);
        assert_eq!(out, wanted);
        if verdict == Verdict::New {
            self.open.push((ask.caller, ask.request));
        }
        self.judge(&out);
    }

    /// A callee's number: mostly one that it is to answer.
    fn number(&mut self) -> (SessionId, u64) {
        let open: Vec<_> =
            self.model.made.iter().filter(|made| made.phase != Phase::Over).collect();
        match self.rng.pick(&open) {
            Some(made) if self.rng.chance(7, 8) => (made.callee.0, made.number),
            _ => (self.somebody(), self.rng.below(12)),
        }
    }

    fn answer(&mut self) {
        let ((callee, number), payload) = (self.number(), self.payload());
        let needs = if self.rng.chance(1, 6) { Able::OPAQUE } else { Able::NONE };
        let answer = match self.rng.below(8) {
            0..=2 => Answer::Piece(payload, needs),
            3 | 4 => Answer::Result(payload, needs),
            5 => Answer::Error(text("e"), payload),
            _ => Answer::Unavailable(text("u"), payload),
        };
        let mut out = Vec::new();
        let found = self.calls.answer(self.now, callee, number, answer.clone(), &mut out);
        let wanted = self.model.answer(self.now, callee, number, &answer, asked(&out));
        assert_eq!((found, &out), (wanted.0, &wanted.1), "{answer:?}");
        self.judge(&out);
    }

    fn cancel(&mut self) {
        let (caller, request) = match self.rng.pick(&self.open) {
            Some(own) if self.rng.chance(7, 8) => *own,
            _ => (self.somebody(), self.rng.below(12)),
        };
        let mode = [Mode::Skip, Mode::Kill, Mode::KillNoWait][self.rng.below(3) as usize];
        let mut out = Vec::new();
        self.calls.cancel(caller, request, mode, &mut out);
        assert_eq!(out, self.model.cancel(caller, request, mode));
        self.judge(&out);
    }

    fn wait(&mut self) {
        // Not in whole milliseconds, so that no two calls are due at once.
        self.now.mono += self.rng.below(12 * MS);
        let mut out = Vec::new();
        assert!(!self.calls.expire(self.now, usize::MAX, &mut out));
        assert_eq!(out, self.model.expire(self.now));
        assert!(self.calls.deadline().is_none_or(|due| !self.now.reached(due)));
        self.judge(&out);
    }

    fn leave(&mut self, seat: usize) {
        let mut out = Vec::new();
        let session = self.seats[seat];
        let lost = self.calls.leave(session, &mut out);
        assert_eq!((lost, out.clone()), self.model.leave(session));
        self.open.retain(|own| own.0 != session);
        if self.goes_on {
            self.seats[seat].life += 1;
        }
        self.judge(&out);
    }

    fn step(&mut self) {
        // Time goes by between all of it, a little.
        self.now.mono += 1 + self.rng.below(1_000);
        match self.rng.below(64) {
            0..=5 => self.register(),
            6 => {
                let (session, id) = (self.somebody(), 1 + self.rng.below(self.model.last + 1));
                let found = self.calls.unregister(HOME, session, id);
                assert_eq!(found, self.model.unregister(session, id));
                self.judge(&[]);
            }
            7..=28 => self.call(),
            29..=49 => self.answer(),
            50..=54 => self.cancel(),
            55 | 56 => {
                let (callee, number) = self.number();
                let mut out = Vec::new();
                self.calls.blocked(callee, number, &mut out);
                assert_eq!(out, self.model.blocked(callee, number));
                self.judge(&out);
            }
            57..=61 => self.wait(),
            _ => {
                let seat = self.rng.below(5) as usize;
                self.leave(seat);
            }
        }
    }
}

/// Who is asked.
fn asked(out: &[Act]) -> Option<SessionId> {
    out.iter().find_map(|act| if let Act::Invoke(it) = act { Some(it.to) } else { None })
}

#[test]
fn every_call_has_one_outcome_whatever_happens_and_nothing_is_left_over() {
    let (mut outcomes, mut most) = (0, 0);
    for seed in 0..60 {
        let mut play = Play::new(seed);
        for _ in 0..500 {
            play.step();
            most = most.max(play.open.len());
        }
        play.goes_on = false;
        for seat in 0..5 {
            play.leave(seat);
        }
        assert_eq!(play.open, [], "all that were not gone were told");
        assert_eq!(play.calls.audit(), Ok(Tally::default()));
        assert_eq!((play.calls.held(), play.calls.deadline()), (0, None));
        outcomes += play.outcomes;
    }
    assert!(outcomes > 3_000 && most > 10, "{outcomes} outcomes, {most} at once at most");
}
