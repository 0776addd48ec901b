//! Floor 6. WAMP for the embedding program: a session without a socket.
//!
//! The client is the one that others dial with, and the peer in the broker is the one that others
//! find: between them lies a pipe instead of a network. So everything that is promised of a session
//! holds, its bounds and its rights among it. Absent on purpose: being let in without a word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::bounded;

use super::{Handle, Refused};
use crate::base::pipe::{self, Pipe, Wake};
use crate::client::wamp;
use crate::os::local::Command;

impl Handle {
    /// A WAMP session in this process, without a socket: to be described further, and begun by
    /// `connect`. It logs in like any session from this machine, and has the same rights and
    /// bounds. Not to be begun on the thread that runs the broker.
    #[must_use]
    pub fn wamp(&self, realm: impl Into<String>) -> wamp::Builder {
        let handle = self.clone();
        wamp::Client::within(move |wake| handle.enter(&wake), realm)
    }

    fn enter(&self, there: &Wake) -> io::Result<Pipe> {
        let (stirred, waker) = (Arc::new(AtomicBool::new(false)), self.clone());
        let flag = Arc::clone(&stirred);
        let here: Wake = Arc::new(move || {
            flag.store(true, Ordering::SeqCst);
            waker.wake();
        });
        let (own, stream) = pipe::pair(there, &here);
        let (done, answer) = bounded(1);
        let ended = || io::Error::other(Refused::Stopped.to_string());
        self.ask(Command::Enter { stream, stirred, done }).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?.map_err(io::Error::other)?;
        Ok(own)
    }
}
