//! Floor 2. Calls: whoever offers procedures is asked on behalf of whoever calls them.
//!
//! A value of its own beside the rest of the hub: peers put in what their sessions want, with the
//! time where it matters, and pass on each [`Act`] that comes out, in its order. The law: every
//! call that is taken gets exactly one final outcome ([`Act::Fail`], or an [`Act::Result`] without
//! `more`) unless its caller leaves first, and pieces come only before it. So whoever answers late,
//! after a cancel or a timeout, is heard and not passed on. Reading order: `words` (what is said),
//! `patterns`, `prefixes` and `registrations` (who is asked), `pending` (what is on its way), and
//! here the verbs. Absent on purpose: any wire, clock and queue, rights, names that are reserved,
//! and whether whoever is not disclosed may be disclosed after all.

mod patterns;
mod pending;
mod prefixes;
mod registrations;
mod words;

#[cfg(test)]
mod calls_test;
#[cfg(test)]
mod cancel_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod patterns_test;
#[cfg(test)]
mod prefixes_test;
#[cfg(test)]
mod registrations_test;

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::map::Seed;
use crate::base::time::{Deadline, Now};

use super::inquiries::ROUTER;

use pending::{Call, CallKey, Found, Pending};
use registrations::Registrations;

pub use registrations::{Callee, Registration};
pub use words::{
    Able, Act, Answer, Ask, Bound, CallLimits, Heard, Invocation, Invoke, Kind, Lost, Mode, Offer,
    Payload, Refused, Registered, Stop, Terms, Violation, Why,
};

/// All registrations and all calls, of all realms.
#[derive(Debug)]
pub struct Calls {
    /// Every bound.
    pub limits: CallLimits,
    registrations: Registrations,
    pending: Pending,
    /// Procedures that only the router calls; a few.
    closed: Vec<(RealmId, Bytes)>,
}

/// What there is, as an audit found it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Registrations.
    pub registrations: usize,
    /// Their callees.
    pub callees: usize,
    /// Calls that a callee has not answered.
    pub calls: usize,
    /// Those whose caller waits for an outcome.
    pub waiting: usize,
    /// Sessions that called or were called.
    pub sessions: usize,
}

impl Calls {
    /// Nothing is offered. The seed keys the maps and draws lots.
    #[must_use]
    pub fn new(limits: CallLimits, seed: u64) -> Self {
        let pending = Pending::new(Seed::with_seed(seed));
        Self { limits, registrations: Registrations::new(seed), pending, closed: Vec::new() }
    }

    /// From now on these are called by the router and by nobody else.
    pub(super) fn close(&mut self, names: Vec<(RealmId, Bytes)>) {
        self.closed = names;
    }

    /// Is it one of these?
    #[must_use]
    pub fn is_closed(&self, realm: RealmId, procedure: &[u8]) -> bool {
        self.closed.iter().any(|(at, name)| *at == realm && name == procedure)
    }

    /// A session offers a procedure. What it may offer was asked elsewhere.
    pub fn register(
        &mut self,
        now: Now,
        realm: RealmId,
        session: SessionId,
        offer: &Offer,
    ) -> Result<Registered, Refused> {
        let room = self.room();
        self.registrations.register((now, &self.limits, room), (realm, session), offer)
    }

    /// It does not offer it any more, because it or somebody else wants that; what it was asked
    /// already, it may still answer. None: there is no such registration of that session.
    pub fn unregister(&mut self, realm: RealmId, session: SessionId, id: u64) -> Option<Lost> {
        self.registrations.unregister(realm, session, id)
    }

    /// A call, or one more piece of one.
    pub fn call(&mut self, now: Now, ask: Ask, out: &mut Vec<Act>) -> Result<(), Violation> {
        self.call_at(now, ask, None, out)
    }

    /// The same of this callee of the best registration, and of nobody in its place.
    pub fn call_one(
        &mut self,
        now: Now,
        ask: Ask,
        callee: SessionId,
        out: &mut Vec<Act>,
    ) -> Result<(), Violation> {
        self.call_at(now, ask, Some(callee), out)
    }

    fn call_at(
        &mut self,
        now: Now,
        ask: Ask,
        at: Option<SessionId>,
        out: &mut Vec<Act>,
    ) -> Result<(), Violation> {
        let (to, request, more) = (ask.caller, ask.request, ask.more);
        if let Some(key) = self.pending.asked(to, request) {
            return self.follow(now, key, ask, out);
        }
        if self.pending.is_over(to, request, more) {
            return Ok(());
        }
        if let Err(why) = self.begin(now, ask, at, out) {
            if more {
                self.pending.note_over(to, request, self.limits.streams_known_max);
            }
            out.push(Act::Fail { to, request, why, payload: Payload::default() });
        }
        Ok(())
    }

    /// The first piece, or the only one.
    fn begin(
        &mut self,
        now: Now,
        ask: Ask,
        at: Option<SessionId>,
        out: &mut Vec<Act>,
    ) -> Result<(), Why> {
        let asks_itself = ask.caller == ROUTER;
        // What the router is told is for nobody else.
        if !asks_itself && self.is_closed(ask.realm, &ask.procedure) {
            return Err(Why::NoProcedure);
        }
        // One question for each connection that waits for it: it has no bound of its own.
        let most = self.limits.calls_per_caller_max;
        if !asks_itself && self.pending.counts(ask.caller).0 >= most {
            return Err(Why::Full(Bound::CallsPerCaller));
        }
        let id = self.registrations.best(ask.realm, &ask.procedure).ok_or(Why::NoProcedure)?;
        let chosen = (ask.realm, id);
        let callee = match at {
            None => self.registrations.pick(chosen, ask.shard, |_| true),
            Some(at) => self.registrations.callee(chosen, at),
        };
        let mut callee = callee.ok_or(Why::NoCallee)?;
        // What the router asks has its time watched here, whatever the callee says.
        callee.terms.takes_timeout &= !asks_itself;
        if !callee.terms.can.has(pending::needs(&ask)) {
            return Err(Why::Unsupported);
        }
        if !self.pending.has_room(callee.session, self.limits.calls_per_callee_max) {
            return Err(Why::Full(Bound::CallsPerCallee));
        }
        let due = match (ask.timeout_ms, callee.terms.within_ms) {
            (0, 0) => Deadline::NEVER,
            (ms, 0) | (0, ms) => now.after_ms(ms),
            (asked, within) => now.after_ms(asked.min(within)),
        };
        let mut call = Call::new(&ask, due, chosen, callee);
        let known = self.registrations.get(ask.realm, id);
        if known.is_some_and(|it| it.kind != Kind::Exact) {
            call.procedure = Some(ask.procedure);
        }
        // It is held only if that can be of use: if there is somebody else to ask.
        let others = at.is_none() && known.is_some_and(|it| it.callees().len() > 1);
        call.stays = !others;
        match (others, ask.more) {
            (true, _) => call.begun = ask.payload.clone(),
            (false, true) => call.begun.meta = ask.payload.meta.clone(),
            (false, false) => {}
        }
        // What nobody waits for makes room for it.
        let held = self.registrations.held() + call.weight();
        self.pending.shed(self.limits.held_bytes_max.saturating_sub(held));
        if call.weight() > self.room() {
            return Err(Why::Full(Bound::HeldBytes));
        }
        let key = self.pending.begin(call);
        self.issue(now, key, ask.payload, out);
        Ok(())
    }

    /// One more piece: to whoever has the others, and as the first one wished.
    fn follow(
        &mut self,
        now: Now,
        key: CallKey,
        ask: Ask,
        out: &mut Vec<Act>,
    ) -> Result<(), Violation> {
        let Some(call) = self.pending.get_mut(key) else { return Ok(()) };
        if !call.more {
            return Err(Violation::Reused);
        }
        call.more = ask.more;
        if call.killed {
            return Ok(());
        }
        call.follows = true;
        let payload = Payload { meta: call.begun.meta.clone(), ..ask.payload };
        self.pending.stay(key);
        self.invoke(now, key, payload, out);
        Ok(())
    }

    /// The callee gets a number for it, and hears of it.
    fn issue(&mut self, now: Now, key: CallKey, payload: Payload, out: &mut Vec<Act>) {
        if let Some(call) = self.pending.get(key) {
            self.pending.make_room(call.callee.session, self.limits.calls_per_callee_max);
        }
        if self.pending.issue(key).is_some() {
            self.invoke(now, key, payload, out);
        }
    }

    fn invoke(&self, now: Now, key: CallKey, payload: Payload, out: &mut Vec<Act>) {
        let Some(call) = self.pending.get(key) else { return };
        let terms = call.callee.terms;
        let timeout_ms = match call.is_timed_there() {
            // All pieces have what the first had; another callee has what is left.
            true if call.due == Deadline::NEVER || call.follows => call.timeout_ms,
            true => call.due.ms_left(now).max(1),
            false => 0,
        };
        out.push(Act::Invoke(Invocation {
            to: call.callee.session,
            number: call.number,
            registration: call.chosen.1,
            procedure: call.procedure.clone(),
            payload,
            more: call.more,
            pieces: call.in_pieces(),
            timeout_ms,
            caller: call.caller.filter(|_| call.disclose || terms.discloses),
            trust: call.trust,
        }));
    }

    /// A callee answers what it was asked under this number.
    pub fn answer(
        &mut self,
        now: Now,
        callee: SessionId,
        number: u64,
        answer: Answer,
        out: &mut Vec<Act>,
    ) -> Result<Heard, Violation> {
        let is_piece = matches!(answer, Answer::Piece(..));
        let key = match self.pending.doing(callee, number) {
            Found::Never => return Err(Violation::NeverIssued),
            Found::Call(key) => key,
            Found::Over(can) => {
                if is_piece && can.has(Able::CANCEL) {
                    out.push(interrupt(callee, number, Mode::KillNoWait, Stop::Late));
                }
                return Ok(Heard::Late);
            }
        };
        let Some(call) = self.pending.get(key) else { return Ok(Heard::Late) };
        if call.caller.is_none() {
            if !is_piece {
                self.pending.release(key);
            } else if call.callee.terms.can.has(Able::CANCEL) {
                out.push(interrupt(callee, number, Mode::KillNoWait, Stop::Late));
            }
            return Ok(Heard::Late);
        }
        match answer {
            Answer::Piece(_, needs) | Answer::Result(_, needs) if !call.can.has(needs) => {
                Ok(Heard::Unfit)
            }
            Answer::Piece(payload, _) => Ok(self.piece(now, key, payload, out)),
            Answer::Result(payload, _) => Ok(self.end(key, None, payload, out)),
            Answer::Error(name, payload) => Ok(self.end(key, Some(Why::Said(name)), payload, out)),
            Answer::Unavailable(name, payload) => {
                // After it has begun, it is an error like any other.
                if call.killed || call.follows || call.came {
                    return Ok(self.end(key, Some(Why::Said(name)), payload, out));
                }
                self.ask_another(now, key, out);
                Ok(Heard::Rerouted)
            }
        }
    }

    fn piece(&mut self, now: Now, key: CallKey, payload: Payload, out: &mut Vec<Act>) -> Heard {
        let Some(call) = self.pending.get_mut(key) else { return Heard::Late };
        if !call.in_pieces() {
            return Heard::Unasked;
        }
        call.came = true;
        let (timeout_ms, request) = (call.timeout_ms, call.request);
        out.extend(call.caller.map(|to| Act::Result { to, request, more: true, payload }));
        self.pending.stay(key);
        if timeout_ms > 0 {
            self.pending.put_off(key, now.after_ms(timeout_ms));
        }
        Heard::Passed
    }

    /// The callee is done, and its answer is the caller's.
    fn end(
        &mut self,
        key: CallKey,
        why: Option<Why>,
        payload: Payload,
        out: &mut Vec<Act>,
    ) -> Heard {
        let caller = self.pending.conclude(key, self.limits.streams_known_max);
        let Some((to, request)) = caller else { return Heard::Late };
        out.push(match why {
            None => Act::Result { to, request, more: false, payload },
            Some(why) => Act::Fail { to, request, why, payload },
        });
        Heard::Passed
    }

    /// The callee cannot: somebody else of its registration may, who was not asked yet.
    fn ask_another(&mut self, now: Now, key: CallKey, out: &mut Vec<Act>) {
        let Some(call) = self.pending.get(key) else { return };
        let (pending, most) = (&self.pending, self.limits.calls_per_callee_max);
        let is_free = |callee: &Callee| {
            let session = callee.session;
            session != call.callee.session
                && !call.tried.contains(&session)
                && callee.terms.can.has(call.needs)
                && pending.has_room(session, most)
        };
        let next = match call.stays {
            true => None,
            false => self.registrations.pick(call.chosen, call.shard, is_free),
        };
        let payload = call.begun.clone();
        let Some(next) = next else {
            self.fail(key, Why::NoCallee, out);
            self.pending.release(key);
            return;
        };
        self.pending.release(key);
        self.pending.turn_to(key, next);
        self.issue(now, key, payload, out);
    }

    /// The caller hears that it failed, if it waits for that.
    fn fail(&mut self, key: CallKey, why: Why, out: &mut Vec<Act>) {
        if let Some((to, request)) = self.pending.settle(key, self.limits.streams_known_max) {
            out.push(Act::Fail { to, request, why, payload: Payload::default() });
        }
    }

    /// The callee hears that it is to stop, if it can and was not told before.
    fn stop(&mut self, key: CallKey, mode: Mode, why: Stop, out: &mut Vec<Act>) {
        let Some(call) = self.pending.get_mut(key) else { return };
        if call.callee.terms.can.has(Able::CANCEL) && !call.killed {
            call.stopped = true;
            out.push(interrupt(call.callee.session, call.number, mode, why));
        }
    }

    /// The caller has its outcome: whoever may stay silent is not waited for any more. Else one
    /// that never answers would be full some day, and for ever.
    fn let_go(&mut self, key: CallKey) {
        if self.pending.get(key).is_some_and(|call| call.callee.terms.within_ms > 0) {
            self.pending.release(key);
        }
    }

    /// A caller does not want its call any more. What is over, another's, or canceled already is
    /// none of its business.
    pub fn cancel(&mut self, caller: SessionId, request: u64, mode: Mode, out: &mut Vec<Act>) {
        let Some(key) = self.pending.asked(caller, request) else { return };
        let Some(call) = self.pending.get_mut(key).filter(|call| !call.killed) else { return };
        let can = call.callee.terms.can.has(Able::CANCEL);
        match mode {
            Mode::Kill if can => {
                self.stop(key, Mode::Kill, Stop::Canceled, out);
                if let Some(call) = self.pending.get_mut(key) {
                    call.killed = true;
                }
            }
            Mode::Kill | Mode::Skip => {
                self.fail(key, Why::Canceled, out);
                self.let_go(key);
            }
            Mode::KillNoWait => {
                self.fail(key, Why::Canceled, out);
                self.stop(key, Mode::KillNoWait, Stop::Canceled, out);
                self.let_go(key);
            }
        }
    }

    /// Does the callee have to hear this? What it has answered meanwhile, or never heard of because
    /// it could not be said, it cannot stop; only whoever goes on with what is over can.
    #[must_use]
    pub fn is_worth_saying(&self, callee: SessionId, number: u64, why: Stop) -> bool {
        why == Stop::Late || matches!(self.pending.doing(callee, number), Found::Call(_))
    }

    /// An invocation could not be put into the callee's queue. The caller hears so, and the callee
    /// keeps its number for the next one, unless it has a piece of this already, or what tells it
    /// to stop is on its way, which would stop the next one.
    pub fn blocked(&mut self, callee: SessionId, number: u64, out: &mut Vec<Act>) {
        let Found::Call(key) = self.pending.doing(callee, number) else { return };
        let Some(call) = self.pending.get(key) else { return };
        let (follows, stopped) = (call.follows, call.stopped);
        self.fail(key, Why::Blocked, out);
        if follows {
            self.stop(key, Mode::KillNoWait, Stop::Blocked, out);
        } else {
            if !stopped {
                self.pending.take_back(key);
            }
            self.pending.release(key);
        }
    }

    /// When [`Calls::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.pending.next_due().map(|(due, _)| due)
    }

    /// Calls whose time is over fail, at most so many. True: there are more.
    pub fn expire(&mut self, now: Now, most: usize, out: &mut Vec<Act>) -> bool {
        for _ in 0..most {
            let Some((_, key)) = self.pending.next_due().filter(|(due, _)| now.reached(*due))
            else {
                return false;
            };
            self.fail(key, Why::Timeout, out);
            self.stop(key, Mode::KillNoWait, Stop::Timeout, out);
            self.let_go(key);
        }
        self.deadline().is_some_and(|due| now.reached(due))
    }

    /// A session is gone: first what it offered, then what it was asked, then what it asked. What
    /// is said to itself is not said. Returns which registrations lost it, the oldest first.
    pub fn leave(&mut self, session: SessionId, out: &mut Vec<Act>) -> Vec<Lost> {
        let lost = self.registrations.leave(session);
        let (doing, asked) = self.pending.leave(session);
        for key in doing {
            if self.pending.get(key).is_some_and(|call| call.caller == Some(session)) {
                self.pending.settle(key, 0);
            }
            self.fail(key, Why::Gone, out);
            self.pending.release(key);
        }
        for key in asked {
            // Its calls to itself are not there any more.
            self.pending.settle(key, 0);
            self.stop(key, Mode::KillNoWait, Stop::Gone, out);
            self.let_go(key);
        }
        lost
    }

    /// This caller waits for what comes of a call with this number.
    #[must_use]
    pub fn is_asked(&self, caller: SessionId, request: u64) -> bool {
        self.pending.asked(caller, request).is_some()
    }

    /// A call is answered before it is asked of anybody. False: it was, and this is a late piece of
    /// it, which has no answer.
    #[must_use]
    pub fn answer_at_once(&mut self, caller: SessionId, request: u64, more: bool) -> bool {
        if self.pending.is_over(caller, request, more) {
            return false;
        }
        if more {
            self.pending.note_over(caller, request, self.limits.streams_known_max);
        }
        true
    }

    /// The registration of this very name or pattern.
    #[must_use]
    pub fn lookup(&self, realm: RealmId, kind: Kind, procedure: &[u8]) -> Option<u64> {
        self.registrations.lookup(realm, kind, procedure)
    }

    /// The registration that a call of this name goes to.
    #[must_use]
    pub fn best(&self, realm: RealmId, name: &[u8]) -> Option<u64> {
        self.registrations.best(realm, name)
    }

    /// A registration.
    #[must_use]
    pub fn registration(&self, realm: RealmId, id: u64) -> Option<&Registration> {
        self.registrations.get(realm, id)
    }

    /// The registrations of a realm above this number, the oldest first.
    pub fn list(&self, realm: RealmId, after: u64) -> impl Iterator<Item = &Registration> {
        self.registrations.list(realm, after)
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.registrations.held() + self.pending.held()
    }

    /// Calls that a callee has not answered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes more that may be held.
    fn room(&self) -> usize {
        self.limits.held_bytes_max.saturating_sub(self.held())
    }

    /// Count everything, and check that the parts agree; else, what does not hold. Costs as much
    /// as everything there is.
    pub fn audit(&self) -> Result<Tally, String> {
        let (registrations, callees) = self.registrations.audit()?;
        let (calls, waiting, sessions) = self.pending.audit()?;
        Ok(Tally { registrations, callees, calls, waiting, sessions })
    }
}

fn interrupt(to: SessionId, number: u64, mode: Mode, why: Stop) -> Act {
    Act::Interrupt { to, number, mode, why }
}
