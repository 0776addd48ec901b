//! Floor 5. Connections that are over, until their peers have read the last words.
//!
//! A socket that is closed while unread bytes wait in it resets the connection, and the peer may
//! never see what was said to it. So the writing side is closed first, what still comes is thrown
//! away, and after a second, or at the peer's own end, the socket goes. To the engine the
//! connection is gone already. Absent on purpose: reading anything of it.

use std::collections::VecDeque;
use std::io::{self, Read};

use slab::Slab;

use super::poller::{Poller, Ready, Whom};
use super::socket::{Drained, Socket};
use super::stream::Stream;
use crate::base::time::{Deadline, Now};

/// The sockets, in the order in which their time comes.
#[derive(Debug, Default)]
pub(super) struct Linger {
    sockets: Slab<(u64, Socket)>,
    line: VecDeque<(Deadline, usize, u64)>,
    serial: u64,
}

impl Linger {
    /// Take over a socket that may have something left over to write.
    pub(super) fn add(&mut self, now: Now, poller: &Poller, mut socket: Socket) {
        if !close_half(&mut socket) || self.sockets.len() >= LINGERING_MAX {
            return;
        }
        // Within this process, what was written is read also after its end.
        if let Stream::Inner(_) = socket.stream {
            return;
        }
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        // Registering again also makes an edge of what was readable before.
        if poller.rename(&mut socket.stream, Whom::Lingering(key as u32)).is_ok() {
            self.serial += 1;
            self.line.push_back((now.after_ms(LINGER_MS), key, self.serial));
            entry.insert((self.serial, socket));
        }
    }

    /// An event for one of them.
    pub(super) fn on_ready(&mut self, slot: u32, ready: Ready, scratch: &mut [u8]) {
        let key = slot as usize;
        let Some((_, socket)) = self.sockets.get_mut(key) else { return };
        let over = ready.broken
            || (ready.writable && socket.is_blocked() && !close_half(socket))
            || (ready.readable && discard(socket, scratch));
        if over {
            self.sockets.remove(key);
        }
    }

    /// Let those go whose time has come.
    pub(super) fn on_time(&mut self, now: Now) {
        while let Some((at, key, serial)) = self.line.front().copied() {
            let same = self.sockets.get(key).is_some_and(|(s, _)| *s == serial);
            if same && !now.reached(at) {
                return;
            }
            self.line.pop_front();
            if same {
                self.sockets.remove(key);
            }
        }
    }

    /// When the next one must go.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.line.front().map(|(at, ..)| *at)
    }

    /// Nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }
}

/// Write what is left over, and say that nothing follows; false when the peer is gone.
fn close_half(socket: &mut Socket) -> bool {
    match socket.flush() {
        Drained::All => socket.stream.shutdown().is_ok(),
        Drained::Part(_) => true,
        Drained::Broken => false,
    }
}

/// Read and forget, a bounded number of times; true at the end of it.
fn discard(socket: &mut Socket, scratch: &mut [u8]) -> bool {
    for _ in 0..DISCARDS {
        match socket.stream.read(scratch) {
            Ok(0) => return !socket.is_blocked(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return e.kind() != io::ErrorKind::WouldBlock,
        }
    }
    // A peer that goes on talking has had its chance to read.
    true
}

/// How long a peer has to read the last words.
const LINGER_MS: u64 = 1_000;
/// As many as this wait for their end; the others end at once.
const LINGERING_MAX: usize = 1_024;
/// Reads before a talker is cut.
const DISCARDS: usize = 16;
