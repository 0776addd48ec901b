//! Floor 4. Who is refused for want of time hears it a moment later.
//!
//! A client that guesses passwords guesses again as soon as it is answered: answered at once, a
//! hundred of them come and go many thousand times a second, and all that time is taken from those
//! who are in. So a stranger that would have had to wait too long is not read from any more and
//! hears its refusal when the moment is over. It counts as a stranger meanwhile, and when half of
//! the places of strangers are taken this way, the next is answered at once: nobody keeps others
//! out by being refused. Absent on purpose: whom to refuse (`access`).

use std::collections::VecDeque;

use crate::base::id::ConnId;
use crate::base::time::{Deadline, Now};
use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;

use super::Engine;

/// How long a refusal is put off.
pub(super) const MOMENT_MS: u64 = 100;

/// Refusals that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Later(VecDeque<(Deadline, ConnId, Doom)>);

impl Later {
    /// When the first of them is due.
    pub(super) fn at(&self) -> Option<Deadline> {
        self.0.front().map(|(at, ..)| *at)
    }
}

fn wants_time(doom: &Doom) -> bool {
    match doom {
        Doom::Busy => true,
        Doom::Fault(fault) => {
            matches!(fault.kind, FaultKind::MqttBusy | FaultKind::Prx1Busy | FaultKind::AioBusy)
        }
        _ => false,
    }
}

impl Engine {
    /// Let it hear that later. False: it is to hear it now.
    pub(super) fn put_off(&mut self, now: Now, conn: ConnId, doom: Doom) -> bool {
        let most = self.hub.limits.strangers_max as usize / 2;
        if !wants_time(&doom) || self.later.0.len() >= most {
            return false;
        }
        let Some(c) = self.conns.get_mut(conn) else { return false };
        c.late = true;
        self.later.0.push_back((now.after_ms(MOMENT_MS), conn, doom));
        true
    }

    /// The moment is over for some of them; who left meanwhile is nobody any more.
    pub(super) fn say_later(&mut self, now: Now) {
        while self.later.at().is_some_and(|at| now.reached(at)) {
            let Some((_, conn, doom)) = self.later.0.pop_front() else { break };
            self.doom_now(now, conn, doom);
        }
    }
}
