//! Floor 4. The machine checks itself: what must hold between its parts, whatever happened.
//!
//! Costs as much as everything there is, so the simulator calls it often and production never.
//! Each broken rule is a sentence. Absent on purpose: repairing.

use crate::base::id::SessionId;
use crate::hub::policy::Address;
use crate::proto::Protocol;

use super::Engine;

/// A rule that does not hold, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken(pub String);

/// Totals of the machine, for benches and tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Audit {
    /// Open connections.
    pub connections: usize,
    /// Sessions.
    pub sessions: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Deliveries owed.
    pub owed: u64,
    /// References held in memory.
    pub held: usize,
    /// Heap bytes that connections and sessions own, payloads apart.
    pub heap: usize,
}

impl Engine {
    /// Count everything, and check that the parts agree.
    pub fn audit(&self) -> Result<Audit, Broken> {
        let mut audit = Audit { connections: self.conns.len(), ..Audit::default() };
        let (mut strangers, mut placed) = (0, 0);
        for (id, c) in self.conns.iter() {
            audit.heap += size_of::<super::conn::Conn>() + c.peer.heap() + c.input.capacity();
            strangers += u32::from(c.stranger);
            placed += u32::from(c.stranger && c.counted && c.address != Address::Local);
            let Some(session) = c.peer.session() else { continue };
            let s = self.hub.session(session);
            if c.doom.is_none() && s.is_none_or(|s| s.conn != Some(id)) {
                return broken(format!("{id:?} speaks for a session that does not know it"));
            }
        }
        if strangers != self.strangers {
            return broken(format!("{strangers} strangers, counted {}", self.strangers));
        }
        if self.crowd.strangers().is_some_and(|counted| counted != placed) {
            return broken(format!("{placed} strangers at their places, counted otherwise"));
        }
        for s in self.hub.sessions() {
            self.audit_session(s.id, &mut audit)?;
        }
        self.audit_members(&audit)?;
        if !self.waiting.iter().is_sorted_by_key(|(lsn, _)| *lsn) {
            return broken("acknowledgements wait out of order".into());
        }
        Ok(audit)
    }

    fn audit_session(&self, id: SessionId, audit: &mut Audit) -> Result<(), Broken> {
        let Some(s) = self.hub.session(id) else { return Ok(()) };
        audit.sessions += 1;
        audit.subscriptions += s.subs.len();
        audit.owed += s.outbox.owed();
        audit.held += s.outbox.held();
        audit.heap += size_of::<crate::hub::session::Session>() + s.outbox.heap();
        audit.heap += s.subs.capacity() * size_of::<crate::hub::session::Sub>() + s.who.heap();
        if let Some(conn) = s.conn
            && self.conns.get(conn).is_none_or(|c| c.peer.session() != Some(id))
        {
            return broken(format!("session {id:?} names a connection that is not its own"));
        }
        // What an earlier connection, with another window, left half done comes on top.
        let half_done = s.outbox.released().count();
        if s.outbox.in_flight() > s.inflight_max.max(1) as usize + half_done {
            return broken(format!("session {id:?} has more in flight than its window"));
        }
        if s.conn.is_none() && s.outbox.in_flight() > 0 {
            return broken(format!("session {id:?} has deliveries in flight and no connection"));
        }
        let max = self.hub.limits.outbox_len_max;
        if s.outbox.held() > max + 4_096 {
            return broken(format!("session {id:?} holds more references than it may"));
        }
        Ok(())
    }

    /// Every membership is known on both sides.
    fn audit_members(&self, audit: &Audit) -> Result<(), Broken> {
        let mut members = 0;
        for s in self.hub.sessions() {
            let Some(realm) = self.hub.realm(s.realm) else { continue };
            for sub in &s.subs {
                let leaf = realm.topics.leaf(sub.leaf);
                let member = leaf.and_then(|leaf| leaf.get(sub.slot as usize));
                if member.is_none_or(|m| m.session != s.id) {
                    return broken(format!("{:?} is not where it thinks at a leaf", s.id));
                }
                members += 1;
            }
        }
        if members != audit.subscriptions {
            return broken("subscriptions and memberships differ".into());
        }
        Ok(())
    }
}

fn broken<T>(why: String) -> Result<T, Broken> {
    Err(Broken(why))
}
