//! Floor 5. A call that was begun: its results, more parts of it, and the end of it.
//!
//! Results wait in a queue of the call. When it is full nothing is read any more, so a fast callee
//! is held back by the network, until the router would be waited for no longer; then the call is
//! cancelled and has failed. Absent on purpose: threads.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::proto::wamp::fault::Reason;
use crate::proto::wamp::options::{CallOptions, CancelMode, CancelOptions, Ppt};
use crate::proto::wamp::packet::{self, Cancel};
use crate::proto::wamp::{Message, Text};
use crate::value::Bounds;

use super::{Error, Payload, Shared, detached};

/// A result of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// No more will come.
    pub last: bool,
    /// What it says.
    pub payload: Payload,
    /// How the payload is packed, if it is: then it is one value of bytes.
    pub ppt: Option<Ppt>,
}

impl Outcome {
    pub(super) fn read(outcome: &packet::Outcome, bounds: Bounds) -> Result<Self, Error> {
        Ok(Self {
            last: !outcome.details.progress,
            payload: Payload::read(&outcome.payload, bounds)?,
            ppt: detached(outcome.details.ppt.as_deref()),
        })
    }
}

/// A call that was begun. Dropping it before its last result cancels it.
#[derive(Debug)]
pub struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) procedure: Text,
    pub(super) options: CallOptions,
    pub(super) queue: Receiver<Result<Outcome, Error>>,
    pub(super) over: bool,
}

impl Call {
    /// The next result; none when the time is over. Without a time it waits for as long as there
    /// is a connection. Behind the last result, or an error, there is [`Error::Unwanted`] only.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Outcome>, Error> {
        if self.over {
            return Err(Error::Unwanted);
        }
        let result = match timeout {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => self.queue.recv_timeout(timeout),
        };
        match result {
            Ok(result) => {
                self.over = !matches!(&result, Ok(outcome) if !outcome.last);
                // What was held finds room now.
                if self.shared.desk().is_held() {
                    self.shared.wake();
                }
                result.map(Some)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.over = true;
                // It was given up while there was a connection: nobody took its results.
                Err(self.shared.desk().ended().cloned().unwrap_or(Error::Full))
            }
        }
    }

    /// The last result; those before it go to `progress`. With a timeout among its options the call
    /// ends with [`Error::TimedOut`], or with the router's `wamp.error.timeout`.
    pub fn finish(mut self, mut progress: impl FnMut(Outcome)) -> Result<Outcome, Error> {
        let mut deadline = self.deadline();
        let mut cancelled = false;
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let result = match self.wait(left) {
                // The answer to our own cancelling.
                Err(error) if cancelled && error.uri() == Some(Reason::Canceled.uri()) => {
                    return Err(Error::TimedOut);
                }
                result => result?,
            };
            match result {
                Some(outcome) if outcome.last => return Ok(outcome),
                Some(outcome) => {
                    progress(outcome);
                    // A call that goes on has its time anew.
                    if !cancelled {
                        deadline = self.deadline();
                    }
                }
                None if cancelled => return Err(Error::TimedOut),
                None => {
                    cancelled = true;
                    self.cancel(CancelMode::KillNoWait)?;
                    deadline = Instant::now().checked_add(self.shared.patience);
                }
            }
        }
    }

    /// Say another part of a call that was begun with `progress` among its options. The last part
    /// is the one after which there is no `more`.
    pub fn feed(&mut self, payload: impl Into<Payload>, more: bool) -> Result<(), Error> {
        if self.over || !self.options.progress {
            return Err(Error::Unwanted);
        }
        self.options.progress = more;
        let message: Message = packet::Call {
            request: self.number,
            options: self.options.clone(),
            procedure: self.procedure.clone(),
            payload: payload.into().spans(self.shared.form),
        }
        .into();
        self.shared.with_room(|desk| desk.say(&message))
    }

    /// Take it back. What comes of that is its last result: usually an ERROR.
    pub fn cancel(&mut self, mode: CancelMode) -> Result<(), Error> {
        if self.over {
            return Ok(());
        }
        let options = CancelOptions { mode: Some(mode) };
        let message: Message = Cancel { request: self.number, options }.into();
        self.shared.with_room(|desk| desk.say(&message))
    }

    /// The router minds the time if it said that it can; then it is waited for a little longer.
    fn deadline(&self) -> Option<Instant> {
        let ms = self.options.timeout.map(|amount| amount.0).filter(|ms| *ms > 0)?;
        let grace =
            if self.shared.minds_timeouts() { self.shared.patience } else { Duration::ZERO };
        Instant::now().checked_add(Duration::from_millis(ms).saturating_add(grace))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut desk = self.shared.desk();
        if desk.forget_call(self.number) {
            let options = CancelOptions { mode: Some(CancelMode::KillNoWait) };
            // Where nothing can be said, the router knows that we are gone.
            let _ = desk.say(&Cancel { request: self.number, options }.into());
        }
        self.shared.wake();
    }
}
