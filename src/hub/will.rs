//! Floor 2. Last wills: what is said when a connection is lost.
//!
//! A will belongs to its session. It is void when the owner says goodbye, waits for its delay while
//! the session waits for its owner, and is said at the session's end at the latest. Due, it joins
//! its session's line and cannot become void any more; when the journal or the memory is full it
//! waits there, and a session that ends meanwhile stays for its sake, found by nobody. A durable
//! session's wills are in its full record, and the record of the message that one becomes says so:
//! a crash finds it said or not said, and is a loss of the connection like any other. Absent on
//! purpose: wheels (the session's one timer serves both its dates).

use crate::base::id::SessionId;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Action;
use crate::journal::Class;

use super::message::{Charge, Durability, Publication};
use super::policy::{Access, Event, Principal};
use super::session::{Session, Will};
use super::{Held, Hub};

/// Due wills of one session that wait; one more, and the oldest is given up.
const WAITING_MAX: usize = 8;

/// A will that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) will: Will,
    /// It weighs until it is said.
    pub(crate) charge: Option<Charge>,
}

/// What became of a due will.
enum Said {
    Yes,
    /// There is no room now.
    Later,
    /// Nobody will hear it, and no record says so yet.
    Never,
}

impl Session {
    /// Wills that are due and wait for room.
    pub(crate) fn due_wills(&self) -> &[Due] {
        self.extra.as_ref().map_or(&[], |extra| &extra.due)
    }
}

impl Hub {
    /// The session's will, if it has one, is said now, or as soon as there is room.
    pub(crate) fn will_is_due(&mut self, now: Now, id: SessionId) {
        if self.line_up(id) {
            self.fire_wills(now);
        }
    }

    /// False: it has no will.
    pub(crate) fn line_up(&mut self, id: SessionId) -> bool {
        let Some(extra) = self.sessions.get_mut(id).and_then(|s| s.extra.as_mut()) else {
            return false;
        };
        extra.will_at = None;
        let Some(will) = extra.will.take() else { return false };
        extra.due.push(Due { will, charge: extra.charge.take() });
        let many = extra.due.len() > WAITING_MAX;
        if many {
            extra.due.remove(0);
            self.stats.count(Counter::DroppedFull);
        }
        self.wills.push_back(id);
        if many {
            // Those that are said are counted from the first on record.
            let _ = self.write_owner(id, Class::Relief);
        }
        true
    }

    /// The newest in line is not due after all. Nothing else may have joined the line since.
    pub(crate) fn step_back(&mut self, id: SessionId) {
        let Some(extra) = self.sessions.get_mut(id).and_then(|s| s.extra.as_mut()) else { return };
        if let Some(due) = extra.due.pop() {
            (extra.will, extra.charge) = (Some(due.will), due.charge);
            self.wills.pop_back();
        }
    }

    /// Those that are due, as far as there is room; the rest keep their order.
    pub fn fire_wills(&mut self, now: Now) {
        while let Some(id) = self.wills.front().copied() {
            if !self.say_next(now, id) {
                return;
            }
            self.wills.pop_front();
            self.bury(id);
        }
    }

    /// Wills that wait for room.
    #[must_use]
    pub fn wills_waiting(&self) -> usize {
        self.wills.len()
    }

    /// The oldest due will of this session. False: there is no room for it now.
    fn say_next(&mut self, now: Now, id: SessionId) -> bool {
        let Some(s) = self.sessions.get(id) else { return true };
        let Some(will) = s.due_wills().first().map(|due| due.will.clone()) else { return true };
        let who = s.principal().clone();
        let said = self.carry_out(now, id, &who, &will);
        if matches!(said, Said::Later) {
            return false;
        }
        if let Some(s) = self.sessions.get_mut(id) {
            s.extra_mut().due.remove(0);
        }
        if matches!(said, Said::Never) {
            let _ = self.write_owner(id, Class::Relief);
        }
        true
    }

    fn carry_out(&mut self, now: Now, id: SessionId, who: &Principal, will: &Will) -> Said {
        let Some(s) = self.sessions.get(id) else { return Said::Never };
        // Whoever has a record has his will in it, wherever he came in last.
        let (owner, level) = (s.owner, if s.owner.is_some() { Durability::Disk } else { s.level });
        if !self.policy.permit(who, &Access::Publish(&will.topic)) {
            // The rules have changed since its owner came.
            self.stats.denied(Action::Publish);
            return Said::Never;
        }
        let expires = match will.expiry_s {
            0 => 0,
            s => now.wall.saturating_add(u64::from(s) * 1_000),
        };
        let p = Publication {
            realm: s.realm,
            topic: will.topic.clone(),
            body: will.body.clone(),
            props: will.props.clone(),
            qos: will.qos,
            retain: will.retain,
            expires,
            inbound: None,
        };
        let mut sent = self.publish_will(now, owner, level, &p);
        if sent == Err(Held::Failed) {
            sent = self.publish_will(now, None, Durability::Memory, &p);
        }
        match sent {
            Ok(_) => {
                let (topic, len, qos, retain) = (&p.topic, p.body.len(), p.qos, p.retain);
                let event = Event::Published { who, topic, len, qos, retain };
                self.observer.see(now, &event);
                Said::Yes
            }
            Err(why) if why.passes() => Said::Later,
            Err(_) => {
                self.stats.count(Counter::DroppedFull);
                Said::Never
            }
        }
    }
}
