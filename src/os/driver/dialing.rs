//! Floor 5. Connections that the loop opens itself, for relays.
//!
//! Dialing never waits: what becomes of it is an event of the socket like any other. A name that
//! stands for several addresses is not refused before all of them have. Absent on purpose: where
//! to (`os/dial`), and what follows from it (the engine).

use super::Driver;
use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::os::dial::Dialed;
use crate::os::poller::{self, Ready};

impl Driver {
    /// Begin to open a connection; what becomes of it is heard of.
    pub(super) fn dial(&mut self, now: Now, conn: ConnId, relay: u16, at: u16) {
        let mut dialed = Dialed::new(relay, at);
        match self.upstreams.dial(&mut dialed) {
            Ok(stream) => {
                self.admit(now, conn, stream);
                if let Some(socket) = self.socket(conn) {
                    socket.dialing = Some(Box::new(dialed));
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
                if let Some(dialed) = socket.dialing.take() {
                    self.upstreams.on_there(&dialed);
                }
                self.engine.on_connected(now, conn);
                true
            }
            _ => {
                if !self.dial_next(conn) {
                    self.engine.on_unreachable(now, conn);
                }
                false
            }
        }
    }

    /// Nobody is at that address: is there another one of the same name?
    fn dial_next(&mut self, conn: ConnId) -> bool {
        let slot = self.sockets.get_mut(conn.index as usize).and_then(Option::as_mut);
        let Some(socket) = slot.filter(|s| s.conn == conn) else { return false };
        let Some(dialed) = socket.dialing.as_deref_mut() else { return false };
        let Ok(mut stream) = self.upstreams.dial(dialed) else { return false };
        stream.do_not_wait();
        if self.poller.register(&mut stream, poller::conn(conn)).is_err() {
            return false;
        }
        // Nobody hears of the old one again: it leaves the poller with its descriptor.
        socket.stream = stream;
        true
    }
}
