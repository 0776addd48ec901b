//! Floor 2. What comes of calls goes to the mailboxes of those it concerns.
//!
//! A callee whose mailbox is full is as good as busy: the call fails. A caller that does not fetch
//! what it asked for is cut off, because neither may its results be lost nor the memory grow.
//! Absent on purpose: who calls what, which is for `calls`.

use crate::base::id::{ConnId, SessionId};
use crate::base::stats::Counter;
use crate::base::time::Now;

use super::Hub;
use super::calls::{Act, Invocation};
use super::parties::Mail;

/// Calls that end in a turn because their time is over.
const EXPIRED_TURN: usize = 256;
/// A longer list is not kept.
const ACTS_MAX: usize = 64;

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// For what comes of a call.
    acts: Vec<Act>,
    /// For what goes with messages of one turn; each has a part of it.
    pub(super) heads: bytes::BytesMut,
}

impl Act {
    /// Whom it is for.
    #[must_use]
    pub fn to(&self) -> SessionId {
        match self {
            Self::Invoke(Invocation { to, .. })
            | Self::Result { to, .. }
            | Self::Fail { to, .. }
            | Self::Interrupt { to, .. } => *to,
        }
    }
}

impl Hub {
    /// Tell a party something beside its messages, and wake it. False: there is no room.
    pub fn post(&mut self, to: SessionId, mail: Mail) -> bool {
        let Some(s) = self.sessions.get(to) else { return false };
        let (apart, goes) = (s.lagging, matches!(mail, Mail::Go { .. }));
        let room = self.session_room();
        if !self.parties.post(to, mail, apart, room, &self.meter) {
            return false;
        }
        if goes && let Some(s) = self.sessions.get_mut(to) {
            s.going = true;
        }
        self.wake(to);
        true
    }

    /// Tell it what it must hear; where there is no room, it is cut off.
    pub fn tell(&mut self, to: SessionId, mail: Mail) {
        if !self.post(to, mail) {
            self.overrun.extend(self.session(to).and_then(|s| s.conn));
        }
    }

    /// Pass on what came of a call; what cannot be passed on has consequences, which are carried
    /// out too. Nothing is left in `acts`.
    pub fn pass_on(&mut self, acts: &mut Vec<Act>) {
        let mut at = 0;
        while let Some(act) = acts.get_mut(at) {
            at += 1;
            let mut act = core::mem::replace(act, NOTHING);
            if self.inquiries.hear(&mut act) {
                continue;
            }
            let (to, call) = (act.to(), invoked(&act));
            if self.post(to, Mail::Act(act)) {
                continue;
            }
            match call {
                Some(number) => {
                    self.stats.count(Counter::CallsBlocked);
                    self.calls.blocked(to, number, acts);
                }
                None => self.overrun.extend(self.session(to).and_then(|s| s.conn)),
            }
        }
        acts.clear();
        if self.room.acts.capacity() < acts.capacity() && acts.capacity() <= ACTS_MAX {
            core::mem::swap(acts, &mut self.room.acts);
        }
    }

    /// A list for what comes of a call; passing that on gives its memory back.
    pub fn spare_acts(&mut self) -> Vec<Act> {
        core::mem::take(&mut self.room.acts)
    }

    /// Calls whose time is over fail. True: there are more of them.
    pub fn expire_calls(&mut self, now: Now) -> bool {
        if self.calls.deadline().is_none_or(|due| !now.reached(due)) {
            return false;
        }
        let mut acts = Vec::new();
        let more = self.calls.expire(now, EXPIRED_TURN, &mut acts);
        self.pass_on(&mut acts);
        more
    }

    /// Connections that do not fetch what they asked for.
    pub fn poll_overrun(&mut self) -> Option<ConnId> {
        self.overrun.pop()
    }

    /// There are some.
    #[must_use]
    pub fn has_overrun(&self) -> bool {
        !self.overrun.is_empty()
    }
}

/// In place of what was taken out.
const NOTHING: Act = Act::Interrupt {
    to: SessionId { index: u32::MAX, life: u32::MAX },
    number: 0,
    mode: super::calls::Mode::Skip,
    why: super::calls::Stop::Gone,
};

fn invoked(act: &Act) -> Option<u64> {
    match act {
        Act::Invoke(it) => Some(it.number),
        _ => None,
    }
}
