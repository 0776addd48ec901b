//! Floor 5. Connections that the loop opens itself, for relays.
//!
//! Dialing never waits: what becomes of it is an event of the socket like any other. Absent on
//! purpose: where to (`os/dial`), and what follows from it (the engine).

use super::Driver;
use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::os::poller::Ready;

impl Driver {
    /// Begin to open a connection; what becomes of it is heard of.
    pub(super) fn dial(&mut self, now: Now, conn: ConnId, relay: u16, at: u16) {
        match self.upstreams.dial(relay, at) {
            Ok(stream) => {
                self.admit(now, conn, stream);
                if let Some(socket) = self.socket(conn) {
                    socket.dialing = true;
                }
            }
            Err(error) => {
                log::debug!(relay, upstream = at; "cannot be dialed: {error}");
                self.engine.on_unreachable(now, conn);
            }
        }
    }

    /// Something happened to a connection that is being opened. False: it is not open.
    pub(super) fn answer_dial(&mut self, now: Now, conn: ConnId, event: Ready) -> bool {
        let Some(socket) = self.socket(conn) else { return false };
        match socket.stream.dialed() {
            Ok(None) if !event.broken => false,
            Ok(Some(())) if !event.broken => {
                socket.dialing = false;
                self.engine.on_connected(now, conn);
                true
            }
            _ => {
                self.engine.on_unreachable(now, conn);
                false
            }
        }
    }
}
