//! Floor 4. Packets that are not whole yet: what they take, and who goes when it is too much.
//!
//! A packet is kept in memory from its first byte to its last, and many that lack their last byte
//! could fill it. Who began first and has not ended is cut first, so a crowd that holds back its
//! last bytes makes room for whoever sends all of theirs. A quarter is freed at once: looking for
//! the oldest costs a walk over all connections, and so it is paid for by as many bytes. Absent on
//! purpose: whole packets that wait for us, and how long a packet may take (`Conn::overdue`).

use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::proto::doom::Doom;

use super::Engine;

impl Engine {
    /// What is kept of this connection's input may have changed.
    pub(super) fn note_unfinished(&mut self, now: Now, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        let whole = c.partial.get().is_none();
        let kept = if whole { 0 } else { (c.input.capacity() + c.link.held()) as u32 };
        let before = core::mem::replace(&mut c.unfinished, kept);
        if kept == before {
            return;
        }
        self.count_unfinished(before, kept);
        if self.unfinished > self.hub.limits.unfinished_bytes_max {
            self.shed_unfinished(now);
        }
    }

    /// Take so much up instead of that.
    pub(super) fn count_unfinished(&mut self, before: u32, kept: u32) {
        self.unfinished = self.unfinished - before as usize + kept as usize;
    }

    /// Is all of the memory in use, with what is not whole yet?
    pub(super) fn memory_is_used_up(&self) -> bool {
        self.hub.memory_used() + self.unfinished >= self.hub.limits.memory_bytes_max
    }

    #[cold]
    fn shed_unfinished(&mut self, now: Now) {
        let keep = self.hub.limits.unfinished_bytes_max / 4 * 3;
        let some = self.conns.iter().filter(|(_, c)| c.unfinished > 0);
        let mut all: Vec<_> = some.map(|(id, c)| (c.partial.get(), id)).collect();
        all.sort_unstable_by_key(|(began, _)| *began);
        for (_, conn) in all {
            if self.unfinished <= keep {
                return;
            }
            self.doom(now, conn, Doom::Unfinished);
        }
    }
}
