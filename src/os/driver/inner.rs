//! Floor 5. Connections within this process: what their other ends say is not the poller's to tell.
//!
//! Each has a flag that the other end sets before it wakes the loop, so that a turn sees it once
//! however often it was set. Absent on purpose: everything after that, which is the same as for a
//! socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Driver;
use crate::base::id::ConnId;
use crate::base::pipe::Pipe;
use crate::base::time::Now;
use crate::os::local::NO_SLOT;
use crate::os::poller::{self, Ready};
use crate::os::stream::Stream;

/// A connection within this process.
#[derive(Debug)]
pub(super) struct Inner {
    conn: ConnId,
    stirred: Arc<AtomicBool>,
}

impl Driver {
    /// Somebody of this process comes.
    pub(super) fn enter(
        &mut self,
        now: Now,
        stream: Pipe,
        stirred: Arc<AtomicBool>,
    ) -> Result<(), &'static str> {
        let conn = self.engine.on_inner(now).map_err(|_| NO_SLOT)?;
        self.admit(now, conn, Stream::from(stream));
        self.inners.push(Inner { conn, stirred });
        Ok(())
    }

    /// Who of them said something, or has room.
    pub(super) fn look_within(&mut self, now: Now) {
        for at in (0..self.inners.len()).rev() {
            let Some(Inner { conn, stirred }) = self.inners.get(at) else { continue };
            let (conn, stirred) = (*conn, stirred.swap(false, Ordering::SeqCst));
            if self.socket(conn).is_none() {
                self.inners.swap_remove(at);
            } else if stirred {
                let whom = poller::conn(conn);
                let (half_closed, broken) = (false, false);
                let event = Ready { whom, readable: true, writable: true, half_closed, broken };
                self.on_event(now, event);
            }
        }
    }
}
