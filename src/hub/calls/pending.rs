//! Floor 2. Calls on their way, known from both sides.
//!
//! A call has a caller as long as somebody waits for an outcome, and is at a callee until that
//! answers or leaves: whichever ends first, the other end finds it. The callee's numbers are
//! counted up from 1, so that a number which was never given out is told from one that is over
//! without a list of those. Of callers that make calls in pieces, the last few numbers are known
//! whose call ended before its last piece: what is late is not taken for a new call. Absent on
//! purpose: who is told what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::base::id::{RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::slab::{Key, Slab};
use crate::base::time::Deadline;

use super::registrations::Callee;
use super::words::{Able, Ask, Payload};

/// What a pending call takes on both sides, about, beside what it holds.
pub(super) const CALL_BYTES: usize = 384;
/// And for each callee that was asked in vain.
const TRIED_BYTES: usize = 16;

/// A call: a slot, and which of its lives is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CallKey {
    index: u32,
    life: u32,
}

impl Key for CallKey {
    fn new(index: u32, life: u32) -> Self {
        Self { index, life }
    }
    fn index(self) -> u32 {
        self.index
    }
    fn life(self) -> u32 {
        self.life
    }
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Who waits for an outcome, if anybody does.
    pub(super) caller: Option<SessionId>,
    /// The caller's number.
    pub(super) request: u64,
    /// What the caller can do.
    pub(super) can: Able,
    /// Which registration was chosen.
    pub(super) chosen: (RealmId, u64),
    /// Who is asked, on the terms of that moment.
    pub(super) callee: Callee,
    /// The callee's number.
    pub(super) number: u64,
    /// What was called, if the registration alone does not tell.
    pub(super) procedure: Option<Bytes>,
    /// More pieces of it are to come.
    pub(super) more: bool,
    /// The caller takes the result in pieces.
    pub(super) pieces: bool,
    /// The caller may be known.
    pub(super) disclose: bool,
    /// How much it is trusted.
    pub(super) trust: u32,
    /// What a callee must be able to do.
    pub(super) needs: Able,
    pub(super) shard: Option<u64>,
    /// How long it may take, and until when that is.
    pub(super) timeout_ms: u64,
    pub(super) due: Deadline,
    /// The callee was told to stop, and its answer is still the caller's.
    pub(super) killed: bool,
    /// It was told to stop, for whatever reason.
    pub(super) stopped: bool,
    /// What it would take to ask somebody else is not held.
    pub(super) stays: bool,
    /// The callee has more than its first piece.
    pub(super) follows: bool,
    /// The caller has a piece of the result.
    pub(super) came: bool,
    /// With what it began: all pieces have what is beside the first, and another callee is asked
    /// with all of it.
    pub(super) begun: Payload,
    /// Who was asked before and cannot.
    pub(super) tried: BTreeSet<SessionId>,
    /// Its timer runs.
    is_timed: bool,
    /// Nobody waits for it any more: as which of all such calls; else 0.
    forsaken: u64,
}

impl Call {
    /// What the caller asked for, at this callee.
    pub(super) fn new(ask: &Ask, due: Deadline, chosen: (RealmId, u64), callee: Callee) -> Self {
        Self {
            caller: Some(ask.caller),
            request: ask.request,
            can: ask.can,
            chosen,
            callee,
            number: 0,
            procedure: None,
            more: ask.more,
            pieces: ask.pieces,
            disclose: ask.disclose,
            trust: ask.trust,
            needs: needs(ask),
            shard: ask.shard,
            timeout_ms: ask.timeout_ms,
            due,
            killed: false,
            stopped: false,
            stays: false,
            follows: false,
            came: false,
            begun: Payload::default(),
            tried: BTreeSet::new(),
            is_timed: false,
            forsaken: 0,
        }
    }

    /// Bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let procedure = self.procedure.as_ref().map_or(0, Bytes::len);
        CALL_BYTES + self.begun.weight() + procedure + TRIED_BYTES * self.tried.len()
    }

    /// The result may come in pieces: from who can give them, and can be told that it is enough.
    pub(super) fn in_pieces(&self) -> bool {
        self.pieces && self.callee.terms.can.has(Able::RESULTS | Able::CANCEL)
    }

    /// The callee watches the time by itself.
    pub(super) fn is_timed_there(&self) -> bool {
        self.callee.terms.takes_timeout && self.callee.terms.can.has(Able::TIMEOUT)
    }
}

/// What a callee must be able to do for this.
pub(super) fn needs(ask: &Ask) -> Able {
    let stream = if ask.more { Able::CHUNKS | Able::CANCEL } else { Able::NONE };
    ask.needs | stream
}

/// What a session has here, until it leaves.
#[derive(Debug, Default)]
struct Side {
    /// As a caller, by its numbers.
    asked: BTreeMap<u64, CallKey>,
    /// As a callee, by its numbers.
    doing: BTreeMap<u64, CallKey>,
    /// Those of them that nobody waits for.
    forsaken: BTreeSet<u64>,
    /// The last number it was given.
    issued: u64,
    /// What it could do when it was asked last.
    can: Able,
    /// Calls in pieces that ended before their last piece; the oldest first. One whose last piece
    /// has come may stand in the order and not in the set.
    over: BTreeSet<u64>,
    over_in_order: VecDeque<u64>,
}

/// What a callee's number stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A call that it has not answered.
    Call(CallKey),
    /// One that it has answered, or that was taken from it. What it can do.
    Over(Able),
    /// It was never given that number.
    Never,
}

/// All calls on their way.
#[derive(Debug)]
pub(super) struct Pending {
    calls: Slab<CallKey, Call>,
    sides: Map<SessionId, Side>,
    due: BTreeSet<(Deadline, CallKey)>,
    /// Calls that nobody waits for and whose callee has not answered, in the order they became so.
    forsaken: BTreeSet<(u64, CallKey)>,
    last: u64,
    held: usize,
}

impl Pending {
    /// None yet.
    pub(super) fn new(seed: Seed) -> Self {
        let sides = Map::with_hasher(seed);
        let (due, forsaken) = (BTreeSet::new(), BTreeSet::new());
        Self { calls: Slab::default(), sides, due, forsaken, last: 0, held: 0 }
    }

    /// A call begins: the caller knows it from now on; its callee will, when it is issued.
    pub(super) fn begin(&mut self, call: Call) -> CallKey {
        let (caller, request) = (call.caller, call.request);
        self.held += call.weight();
        let key = self.calls.insert_with(|_| call);
        if let Some(caller) = caller {
            self.sides.entry(caller).or_default().asked.insert(request, key);
        }
        key
    }

    /// Its callee gets its next number for it, and the time is watched.
    pub(super) fn issue(&mut self, key: CallKey) -> Option<&mut Call> {
        let call = self.calls.get_mut(key)?;
        let side = self.sides.entry(call.callee.session).or_default();
        side.issued += 1;
        side.can = call.callee.terms.can;
        side.doing.insert(side.issued, key);
        call.number = side.issued;
        self.time(key);
        self.calls.get_mut(key)
    }

    /// Watch its time, if that is to be done here.
    fn time(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.is_timed {
            self.due.remove(&(call.due, key));
        }
        let never = call.due == Deadline::NEVER || call.caller.is_none();
        call.is_timed = !never && !call.is_timed_there();
        if call.is_timed {
            self.due.insert((call.due, key));
        }
    }

    /// Its time begins anew.
    pub(super) fn put_off(&mut self, key: CallKey, until: Deadline) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.is_timed {
            self.due.remove(&(call.due, key));
            call.is_timed = false;
        }
        call.due = until;
        self.time(key);
    }

    /// It cannot be put to another callee any more: what that would take is not held.
    pub(super) fn stay(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let before = call.weight();
        call.stays = true;
        call.begun.args = Bytes::new();
        call.tried.clear();
        self.held -= before - call.weight();
    }

    /// The caller has its outcome, or is gone: who it was, and its number.
    pub(super) fn settle(&mut self, key: CallKey, most: usize) -> Option<(SessionId, u64)> {
        let call = self.calls.get_mut(key)?;
        let caller = call.caller.take()?;
        let (request, more, before) = (call.request, call.more, call.weight());
        (call.begun, call.procedure) = (Payload::default(), None);
        call.tried.clear();
        self.held -= before - call.weight();
        self.last += 1;
        call.forsaken = self.last;
        let (callee, number) = (call.callee.session, call.number);
        self.forsaken.insert((self.last, key));
        if let Some(side) = self.sides.get_mut(&callee) {
            side.forsaken.insert(number);
        }
        self.time(key);
        // Whoever is leaving is not here any more.
        if let Some(side) = self.sides.get_mut(&caller) {
            side.asked.remove(&request);
            if more {
                self.note_over(caller, request, most);
            }
        }
        Some((caller, request))
    }

    /// Its callee has answered, and that is its caller's outcome: nothing is left of it. Who the
    /// caller was, and its number. What [`Pending::settle`] and [`Pending::release`] do one after
    /// the other, without putting it down as one that nobody waits for in between.
    pub(super) fn conclude(&mut self, key: CallKey, most: usize) -> Option<(SessionId, u64)> {
        let call = self.calls.remove(key)?;
        self.held -= call.weight();
        if call.is_timed {
            self.due.remove(&(call.due, key));
        }
        if let Some(side) = self.sides.get_mut(&call.callee.session) {
            side.doing.remove(&call.number);
            side.forsaken.remove(&call.number);
        }
        let Some(caller) = call.caller else {
            self.forsaken.remove(&(call.forsaken, key));
            return None;
        };
        if let Some(side) = self.sides.get_mut(&caller) {
            side.asked.remove(&call.request);
            if call.more {
                self.note_over(caller, call.request, most);
            }
        }
        Some((caller, call.request))
    }

    /// Its callee cannot, and was released from it; this one is to be asked next.
    pub(super) fn turn_to(&mut self, key: CallKey, callee: Callee) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let before = call.weight();
        call.tried.insert(call.callee.session);
        call.callee = callee;
        self.held += call.weight() - before;
    }

    /// The callee is done with it. It stays if somebody waits: another callee may be asked.
    pub(super) fn release(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        if let Some(side) = self.sides.get_mut(&call.callee.session) {
            side.doing.remove(&call.number);
            side.forsaken.remove(&call.number);
        }
        self.forsaken.remove(&(call.forsaken, key));
        if call.caller.is_none() {
            self.held -= call.weight();
            self.calls.remove(key);
        }
    }

    /// May this callee be asked once more, where so many calls may be at it? What nobody waits for
    /// is in nobody's way.
    pub(super) fn has_room(&self, callee: SessionId, most: usize) -> bool {
        let side = self.sides.get(&callee);
        side.is_none_or(|side| side.doing.len() < most || !side.forsaken.is_empty())
    }

    /// Room for one more at this callee: the oldest call that nobody waits for is not known any
    /// more. What comes of it is late, as it is anyway.
    pub(super) fn make_room(&mut self, callee: SessionId, most: usize) {
        let Some(side) = self.sides.get(&callee).filter(|side| side.doing.len() >= most) else {
            return;
        };
        let oldest = side.forsaken.first().and_then(|number| side.doing.get(number));
        if let Some(key) = oldest.copied() {
            self.release(key);
        }
    }

    /// The same, of all callees: the oldest are forgotten until no more than this is held.
    pub(super) fn shed(&mut self, most: usize) {
        while self.held > most
            && let Some((_, key)) = self.forsaken.first().copied()
        {
            self.release(key);
        }
    }

    /// The callee never got its number for this, and gets it for the next one, if it was the last.
    pub(super) fn take_back(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        if let Some(side) = self.sides.get_mut(&call.callee.session)
            && side.issued == call.number
        {
            side.issued -= 1;
        }
    }

    /// A call in pieces ended before its last piece came; so many are remembered.
    pub(super) fn note_over(&mut self, caller: SessionId, request: u64, most: usize) {
        let side = self.sides.entry(caller).or_default();
        side.over.insert(request);
        side.over_in_order.push_back(request);
        while side.over_in_order.len() > most {
            if let Some(oldest) = side.over_in_order.pop_front() {
                side.over.remove(&oldest);
            }
        }
    }

    /// Is this a late piece of a call that is over? The last one is forgotten then.
    pub(super) fn is_over(&mut self, caller: SessionId, request: u64, more: bool) -> bool {
        let Some(side) = self.sides.get_mut(&caller) else { return false };
        if more { side.over.contains(&request) } else { side.over.remove(&request) }
    }

    /// A session leaves: what it had to do and what it asked, each in the order of its numbers.
    pub(super) fn leave(&mut self, session: SessionId) -> (Vec<CallKey>, Vec<CallKey>) {
        let Some(side) = self.sides.remove(&session) else { return Default::default() };
        (side.doing.into_values().collect(), side.asked.into_values().collect())
    }

    /// The next call whose time is over.
    pub(super) fn next_due(&self) -> Option<(Deadline, CallKey)> {
        self.due.first().copied()
    }

    /// A call.
    pub(super) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(key)
    }

    /// A call, to change what it weighs nothing for.
    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    /// The caller's call of this number, which somebody waits for.
    pub(super) fn asked(&self, caller: SessionId, request: u64) -> Option<CallKey> {
        self.sides.get(&caller)?.asked.get(&request).copied()
    }

    /// What the callee's number stands for.
    pub(super) fn doing(&self, callee: SessionId, number: u64) -> Found {
        match self.sides.get(&callee) {
            Some(side) if number > 0 && number <= side.issued => {
                side.doing.get(&number).map_or(Found::Over(side.can), |key| Found::Call(*key))
            }
            _ => Found::Never,
        }
    }

    /// Calls of this caller that it waits for, and calls at it that it has not answered.
    pub(super) fn counts(&self, session: SessionId) -> (usize, usize) {
        self.sides.get(&session).map_or((0, 0), |side| (side.asked.len(), side.doing.len()))
    }

    /// Calls on their way, wanted or not.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many calls there are, how many somebody waits for, and sessions that have or had one;
    /// or what does not hold.
    pub(super) fn audit(&self) -> Result<(usize, usize, usize), String> {
        let (mut waiting, mut timed, mut held) = (0, 0, 0);
        for (key, call) in self.calls.iter() {
            held += call.weight();
            timed += usize::from(call.is_timed);
            let doing =
                self.sides.get(&call.callee.session).and_then(|s| s.doing.get(&call.number));
            if doing != Some(&key) {
                return Err(format!("{key:?} is not where its callee would find it"));
            }
            if call.is_timed && !self.due.contains(&(call.due, key)) {
                return Err(format!("{key:?} is timed, and nobody watches"));
            }
            match call.caller {
                Some(caller) if self.asked(caller, call.request) != Some(key) => {
                    return Err(format!("{key:?} is not where its caller would find it"));
                }
                Some(_) => waiting += 1,
                None if call.is_timed || call.weight() != CALL_BYTES => {
                    return Err(format!("{key:?} holds something, and nobody waits for it"));
                }
                None => {}
            }
        }
        let asked: usize = self.sides.values().map(|side| side.asked.len()).sum();
        let doing: usize = self.sides.values().map(|side| side.doing.len()).sum();
        if (asked, doing, self.due.len()) != (waiting, self.calls.len(), timed) {
            let due = self.due.len();
            return Err(format!(
                "{waiting} of {} calls, {timed} timed: known are {asked}, {doing}, {due}",
                self.calls.len()
            ));
        }
        if held != self.held {
            return Err(format!("{held} bytes of calls, counted {}", self.held));
        }
        let forsaken: usize = self.sides.values().map(|side| side.forsaken.len()).sum();
        if (forsaken, self.forsaken.len()) != (self.calls.len() - waiting, forsaken) {
            return Err(format!("{forsaken} calls at callees that nobody waits for"));
        }
        for side in self.sides.values() {
            if side.doing.keys().any(|number| *number > side.issued || *number == 0) {
                return Err("a callee does what it was never asked".into());
            }
            if side.over.iter().any(|request| !side.over_in_order.contains(request)) {
                return Err("a call that is over would never be forgotten".into());
            }
        }
        Ok((self.calls.len(), waiting, self.sides.len()))
    }
}
