//! Floor 2. Last wills: what is said when a connection is lost.
//!
//! A will belongs to its session. It is void when the owner says goodbye, waits for its delay while
//! the session waits for its owner, and is carried out at the session's end at the latest. One that
//! finds the journal or the memory full waits in a line. A durable session's will is in its full
//! record and survives a crash, which is a loss of the connection like any other; others die with
//! the process. Absent on purpose: wheels (the session's one timer serves both its dates).

use std::collections::VecDeque;

use crate::base::id::{RealmId, SessionId};
use crate::base::stats::Counter;
use crate::base::time::Now;

use super::message::{Charge, Durability, Publication};
use super::policy::{Access, Event, Principal};
use super::session::Will;
use super::{Held, Hub};

/// A will that is due.
#[derive(Debug)]
pub(crate) struct Due {
    who: Principal,
    realm: RealmId,
    level: Durability,
    will: Will,
    /// It weighs until it is said.
    _charge: Option<Charge>,
}

impl Hub {
    /// Carry out the session's will, if it has one.
    pub(crate) fn fire_will(&mut self, now: Now, id: SessionId) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        let Some(extra) = s.extra.as_mut() else { return };
        extra.will_at = None;
        let charge = extra.charge.take();
        let Some(will) = extra.will.take() else { return };
        let due =
            Due { who: s.principal.clone(), realm: s.realm, level: s.level, will, _charge: charge };
        self.wills.push_back(due);
        self.fire_wills(now);
    }

    /// Those that are due, as far as there is room; the rest keep their order.
    pub fn fire_wills(&mut self, now: Now) {
        let mut due: VecDeque<Due> = core::mem::take(&mut self.wills);
        while let Some(next) = due.pop_front() {
            if !self.carry_out(now, &next) {
                due.push_front(next);
                break;
            }
        }
        due.append(&mut self.wills);
        self.wills = due;
    }

    /// Wills that wait for room.
    #[must_use]
    pub fn wills_waiting(&self) -> usize {
        self.wills.len()
    }

    /// False: there is no room for it now.
    fn carry_out(&mut self, now: Now, due: &Due) -> bool {
        let Due { who, realm, level, will, .. } = due;
        let access = Access::Publish(&will.topic);
        if !self.policy.permit(who, &access) {
            // The rules have changed since its owner came.
            self.stats.count(Counter::PolicyDenied);
            return true;
        }
        let expires = match will.expiry_s {
            0 => 0,
            s => now.wall.saturating_add(u64::from(s) * 1_000),
        };
        let p = Publication {
            realm: *realm,
            topic: will.topic.clone(),
            body: will.body.clone(),
            props: will.props.clone(),
            qos: will.qos,
            retain: will.retain,
            expires,
            inbound: None,
        };
        let mut sent = self.publish(now, None, *level, &p);
        if sent == Err(Held::Failed) {
            sent = self.publish(now, None, Durability::Memory, &p);
        }
        match sent {
            Ok(_) => {
                let (topic, len, qos, retain) = (&p.topic, p.body.len(), p.qos, p.retain);
                let event = Event::Published { who, topic, len, qos, retain };
                self.observer.see(now, &event);
                true
            }
            Err(why) if why.passes() => false,
            Err(_) => {
                self.stats.count(Counter::DroppedFull);
                true
            }
        }
    }
}
