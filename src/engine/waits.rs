//! Floor 4. Who waits for what: replies for the disk, publishers for room.
//!
//! Positions of the journal only grow, so those who wait for them stand in their order; those who
//! wait for room try again in the order in which they found none. Absent on purpose: why there is
//! no room, and what is said (the peers').

use crate::base::id::{ConnId, Lsn};
use crate::base::time::Now;
use crate::proto::doom::Doom;

use super::{Engine, Timer};

impl Engine {
    /// Replies whose journal position is on the device may go out. Positions only grow, so
    /// releasing is popping.
    pub(super) fn release(&mut self) {
        let synced = self.hub.synced();
        while let Some((lsn, conn)) = self.waiting.front().copied() {
            if lsn > synced {
                return;
            }
            self.waiting.pop_front();
            if let Some(c) = self.conns.get_mut(conn) {
                c.waiting = false;
                self.dirty.mark(conn, &mut c.marked);
            }
        }
    }

    /// Arm its deadline if it moved earlier than what the wheel holds for it.
    pub(super) fn arm(&mut self, conn: ConnId) {
        let limits = &self.hub.limits;
        let Some(c) = self.conns.get_mut(conn) else { return };
        let at = c.deadline(limits.packet_ms_max, limits.stuck_ms_max);
        if at < c.armed {
            c.armed = at;
            self.wheel.arm(at, Timer::Conn(conn));
        }
    }

    /// While a sync is late, pings of those who wait for it are answered.
    pub(super) fn watch_flush(&mut self, now: Now) {
        if !self.hub.watch_flush(now) {
            return;
        }
        for (_, conn) in &self.waiting {
            if let Some(c) = self.conns.get_mut(*conn) {
                self.dirty.mark(*conn, &mut c.marked);
            }
        }
    }

    /// Those that were made to wait try again.
    pub(super) fn unstall(&mut self, now: Now) {
        for _ in 0..self.stalled.len() {
            let Some(conn) = self.stalled.pop_front() else { return };
            let Some(c) = self.conns.get_mut(conn) else { continue };
            c.stalled = false;
            self.feed(now, conn, None);
            self.note_rest(now, conn);
            self.settle(now, conn);
        }
    }

    /// Nothing durable can be promised: whoever waits for such a promise is told by the end of
    /// its connection. Everybody else goes on.
    pub(super) fn on_disk_failed(&mut self, now: Now) {
        let waiting: Vec<ConnId> = self.waiting.drain(..).map(|(_, conn)| conn).collect();
        for conn in waiting.into_iter().chain(core::mem::take(&mut self.stalled)) {
            if let Some(c) = self.conns.get_mut(conn) {
                c.stalled = false;
                c.waiting = false;
            }
            self.doom(now, conn, Doom::StorageFailed);
        }
    }

    /// The connection's first reply waits for the journal. Entries stay ordered: an earlier
    /// position than the last in line can only be asked for by a connection that was not in line.
    pub(super) fn wait_for(&mut self, now: Now, lsn: Lsn, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        if c.waiting || c.doom.is_some() {
            return;
        }
        let state = self.hub.journal().map(crate::journal::Journal::state);
        if matches!(state, Some(crate::journal::State::Failed(_))) {
            // It stood behind other replies when the disk failed: this position never comes.
            return self.doom(now, conn, Doom::StorageFailed);
        }
        let Some(c) = self.conns.get_mut(conn) else { return };
        c.waiting = true;
        let at = self.waiting.partition_point(|(other, _)| *other <= lsn);
        self.waiting.insert(at, (lsn, conn));
    }
}
