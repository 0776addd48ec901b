//! Floor 2. What the router itself asks of those who offer procedures, on behalf of a connection.
//!
//! A question is a call like any other, with the router for its caller: the dealer watches its
//! time, and whoever is asked may be slow or go without anybody being held up but the one on whose
//! behalf it is. Each question has exactly one answer, unless it is given up first. Only a
//! procedure that is registered by this very name is asked: a pattern that happens to fit is
//! nobody's word. What was answered may be remembered for a while. Absent on purpose: what is asked
//! and what the answers mean.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, Now};

use super::Hub;
use super::calls::{Able, Act, Ask, Kind, Mode, Payload, Why};

/// The router, where it calls. No slab has so many seats.
pub const ROUTER: SessionId = SessionId { index: u32::MAX, life: u32::MAX - 1 };

/// Longer answers are not remembered.
const KEPT_BYTES_MAX: usize = 1_024;

/// What became of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// An answer.
    Answer(Payload),
    /// None, for this reason.
    Nothing(Why),
}

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inquiry {
    /// Where; nothing: where nobody is.
    pub realm: Option<RealmId>,
    /// On whose behalf.
    pub conn: ConnId,
    /// Who is asked.
    pub procedure: Bytes,
    /// What.
    pub payload: Payload,
    /// So long an answer is waited for.
    pub wait_ms: u64,
}

/// All questions, and answers that are remembered.
#[derive(Debug)]
pub struct Inquiries {
    open: Map<u64, ConnId>,
    told: VecDeque<(ConnId, u64, Told)>,
    last: u64,
    known: Map<Bytes, (Deadline, Payload)>,
    /// The oldest first; some may be known no more.
    order: VecDeque<Bytes>,
}

impl Inquiries {
    /// None.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        let (open, known) = (Map::with_hasher(seed.clone()), Map::with_hasher(seed));
        Self { open, told: VecDeque::new(), last: 0, known, order: VecDeque::new() }
    }

    /// The router hears this. False: it is for somebody else.
    pub(super) fn hear(&mut self, act: &mut Act) -> bool {
        if act.to() != ROUTER {
            return false;
        }
        match act {
            Act::Result { request, payload, .. } => {
                self.tell(*request, Told::Answer(core::mem::take(payload)));
            }
            Act::Fail { request, why, .. } => self.tell(*request, Told::Nothing(why.clone())),
            Act::Invoke(_) | Act::Interrupt { .. } => {}
        }
        true
    }

    fn tell(&mut self, number: u64, told: Told) {
        if let Some(conn) = self.open.remove(&number) {
            self.told.push_back((conn, number, told));
        }
    }

    /// The next answer: for which connection, to which of its questions.
    pub fn poll(&mut self) -> Option<(ConnId, u64, Told)> {
        self.told.pop_front()
    }

    /// There are answers.
    #[must_use]
    pub fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// Questions without an answer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What was answered to this before, if that still counts.
    #[must_use]
    pub fn known(&self, now: Now, key: &[u8]) -> Option<&Payload> {
        let (until, payload) = self.known.get(key)?;
        (!now.reached(*until)).then_some(payload)
    }

    /// Remember an answer for so long; what was remembered first makes room.
    pub fn remember(&mut self, key: &[u8], until: Deadline, payload: &Payload, most: usize) {
        if key.len() + payload.weight() > KEPT_BYTES_MAX || most == 0 {
            return;
        }
        while self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let key = Bytes::copy_from_slice(key);
        let (form, meta, args) = (payload.form, copy(&payload.meta), copy(&payload.args));
        self.known.insert(key.clone(), (until, Payload { form, meta, args }));
        self.order.push_back(key);
    }
}

impl Hub {
    /// The router asks; the answer comes under this number, never at once.
    pub fn inquire(&mut self, now: Now, it: Inquiry) -> u64 {
        self.inquiries.last += 1;
        let request = self.inquiries.last;
        self.inquiries.open.insert(request, it.conn);
        let there = |realm| self.calls.lookup(realm, Kind::Exact, &it.procedure).is_some();
        let Some(realm) = it.realm.filter(|realm| there(*realm)) else {
            self.inquiries.tell(request, Told::Nothing(Why::NoProcedure));
            return request;
        };
        let ask = Ask {
            realm,
            caller: ROUTER,
            request,
            procedure: it.procedure,
            payload: it.payload,
            more: false,
            pieces: false,
            timeout_ms: it.wait_ms,
            disclose: false,
            trust: 0,
            needs: Able::NONE,
            can: Able::NONE,
            shard: None,
        };
        let mut acts = Vec::new();
        // Numbers are never used again, so there is nothing to break.
        let _ = self.calls.call(now, ask, &mut acts);
        self.pass_on(&mut acts);
        request
    }

    /// Nobody waits for the answer any more.
    pub fn give_up(&mut self, request: u64) {
        self.inquiries.told.retain(|(_, number, _)| *number != request);
        if self.inquiries.open.remove(&request).is_some() {
            let mut acts = Vec::new();
            self.calls.cancel(ROUTER, request, Mode::KillNoWait, &mut acts);
            self.pass_on(&mut acts);
        }
    }
}
