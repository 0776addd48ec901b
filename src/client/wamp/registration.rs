//! Floor 5. A registration of a WAMP client, and the invocations that come by it.
//!
//! Invocations wait in a queue of their registration until somebody takes them; those for which
//! there is no room are refused with `wamp.error.unavailable`. Every one that was taken is answered
//! once: also when it is dropped without an answer, so no caller waits for ever. Several threads
//! may take invocations of one registration. Absent on purpose: threads for handlers.

use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::proto::wamp::fault::Reason;
use crate::proto::wamp::options::{CancelMode, ErrorDetails, Ppt, YieldOptions};
use crate::proto::wamp::packet::{self, Unregister, Yield};
use crate::proto::wamp::{Amount, Message, Text};

use super::{Error, Failure, Payload, Shared, detached, lock, owned};

/// A registration; dropping it ends it.
#[derive(Debug)]
pub struct Registration {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) key: u64,
    pub(super) queue: Receiver<Request>,
    pub(super) revoked: Arc<OnceLock<String>>,
    pub(super) over: bool,
}

/// What was asked.
#[derive(Debug)]
pub(super) struct Request {
    number: u64,
    asked: Asked,
    stop: Arc<Stop>,
    parts: Option<Receiver<Part>>,
}

/// What an invocation says.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// What was called.
    pub procedure: String,
    /// With what.
    pub payload: Payload,
    /// The caller's session, if it may be known.
    pub caller: Option<u64>,
    /// Its name.
    pub caller_authid: Option<String>,
    /// Its role.
    pub caller_authrole: Option<String>,
    /// How far the caller is trusted, if the router says so.
    pub trust: Option<u64>,
    /// The caller takes results in pieces.
    pub receive_progress: bool,
    /// More parts of the call will come.
    pub more: bool,
    /// Milliseconds that this side should mind; asked for by `forward_timeout`.
    pub timeout_ms: Option<u64>,
    /// How the payload is packed, if it is: then it is one value of bytes.
    pub ppt: Option<Ppt>,
}

/// Another part of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// What it says.
    pub payload: Payload,
    /// No more will come.
    pub last: bool,
}

/// Word that nobody needs the answer any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interrupt {
    /// How hard; with `kill` the caller waits for what this side says.
    pub mode: Option<CancelMode>,
    /// Why.
    pub reason: String,
}

/// Where such word is left.
#[derive(Debug, Default)]
pub(super) struct Stop {
    said: Mutex<Option<Interrupt>>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn set(&self, mode: Option<CancelMode>, reason: &str) {
        // A word of the router shares its buffer.
        let mode = mode.map(|mode| match mode {
            CancelMode::Other(word) => CancelMode::Other(word.detached()),
            known => known,
        });
        let interrupt = Interrupt { mode, reason: reason.to_owned() };
        lock(&self.said).get_or_insert(interrupt);
        self.changed.notify_all();
    }

    fn wait(&self, timeout: Duration) -> Option<Interrupt> {
        let said = lock(&self.said);
        match self.changed.wait_timeout_while(said, timeout, |said| said.is_none()) {
            Ok((said, _)) => said.clone(),
            Err(poisoned) => poisoned.into_inner().0.clone(),
        }
    }
}

impl Request {
    pub(super) fn read(
        asked: &packet::Invocation,
        payload: Payload,
        stop: Arc<Stop>,
        parts: Option<Receiver<Part>>,
    ) -> Self {
        let details = &asked.details;
        let amount = |amount: Option<Amount>| amount.map(|Amount(n)| n);
        let said = Asked {
            procedure: owned(details.procedure.as_ref()).unwrap_or_default(),
            payload,
            caller: details.caller,
            caller_authid: owned(details.caller_authid.as_ref()),
            caller_authrole: owned(details.caller_authrole.as_ref()),
            trust: amount(details.trustlevel),
            receive_progress: details.receive_progress,
            more: details.progress,
            timeout_ms: amount(details.timeout),
            ppt: detached(details.ppt.as_deref()),
        };
        Self { number: asked.request, asked: said, stop, parts }
    }

    /// What was called, when the router does not say it.
    pub(super) fn procedure_or(&mut self, uri: &Text) {
        if self.asked.procedure.is_empty() {
            uri.as_str().clone_into(&mut self.asked.procedure);
        }
    }
}

impl Registration {
    /// The next invocation; none when the time is over. Without a time it waits for as long as
    /// there is a connection.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Invocation>, Error> {
        let request = match timeout {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => self.queue.recv_timeout(timeout),
        };
        match request {
            Ok(request) => Ok(Some(self.taken(request))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(match self.revoked.get() {
                Some(reason) => Error::Revoked(reason.clone()),
                None => self.shared.why(),
            }),
        }
    }

    /// Answer every invocation with what this says, one after the other, until there are no more:
    /// why. The handler may send progressive results, and ask whether it was interrupted.
    pub fn each(&self, mut handle: impl FnMut(&Invocation) -> Result<Payload, Failure>) -> Error {
        loop {
            let invocation = match self.wait(None) {
                Ok(Some(invocation)) => invocation,
                Ok(None) => continue,
                Err(error) => return error,
            };
            // Nobody may want the answer any more, or it may be too long; the next one is asked.
            let _ = match handle(&invocation) {
                Ok(payload) => invocation.reply(payload),
                Err(failure) => invocation.fail(&failure.uri, failure.payload),
            };
        }
    }

    /// End it, and wait until the router has. What waits in the queue is refused.
    pub fn unregister(mut self) -> Result<(), Error> {
        self.over = true;
        let (id, key) = (self.id, self.key);
        let shared = Arc::clone(&self.shared);
        let done = shared.give_up(
            |desk| desk.unregister(id, key),
            |request| Unregister { request, registration: id }.into(),
        );
        self.refuse();
        done
    }

    /// The id that the router gave it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    fn taken(&self, request: Request) -> Invocation {
        Invocation { shared: Arc::clone(&self.shared), request, done: false }
    }

    /// Dropping an invocation answers it.
    fn refuse(&self) {
        self.queue.try_iter().for_each(|request| drop(self.taken(request)));
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.over {
            let (id, key) = (self.id, self.key);
            self.shared.tell(
                |desk| desk.unregister(id, key),
                |request| Unregister { request, registration: id }.into(),
            );
            self.refuse();
        }
    }
}

/// An invocation that was taken; what it says stands in its [`Asked`].
#[derive(Debug)]
pub struct Invocation {
    shared: Arc<Shared>,
    request: Request,
    done: bool,
}

impl std::ops::Deref for Invocation {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.request.asked
    }
}

impl Invocation {
    /// A result of which more will come. It is [`Error::Unwanted`] when the caller takes none in
    /// pieces, or wants none any more.
    pub fn progress(&self, payload: impl Into<Payload>) -> Result<(), Error> {
        if !self.request.asked.receive_progress {
            return Err(Error::Unwanted);
        }
        self.say(false, &self.yielded(payload.into(), true, None))
    }

    /// The result.
    pub fn reply(self, payload: impl Into<Payload>) -> Result<(), Error> {
        self.reply_packed(payload, None)
    }

    /// The result, packed so.
    pub fn reply_packed(
        mut self,
        payload: impl Into<Payload>,
        ppt: Option<Ppt>,
    ) -> Result<(), Error> {
        let message = self.yielded(payload.into(), false, ppt);
        let said = self.say(true, &message);
        if !matches!(said, Err(Error::TooLarge)) {
            self.done = true;
            return said;
        }
        let reason = Reason::PayloadSizeExceeded.uri();
        self.fail(reason, ())?;
        said
    }

    /// It went wrong.
    pub fn fail(mut self, uri: &str, payload: impl Into<Payload>) -> Result<(), Error> {
        self.done = true;
        let message = self.failed(uri, &payload.into());
        self.say(true, &message)
    }

    /// Has anybody said that the answer is not needed any more? With the mode `kill` the caller
    /// waits for an answer all the same, which should come soon.
    #[must_use]
    pub fn interrupted(&self) -> Option<Interrupt> {
        self.wait_interrupt(Duration::ZERO)
    }

    /// Wait until somebody says so, for `timeout` at most.
    #[must_use]
    pub fn wait_interrupt(&self, timeout: Duration) -> Option<Interrupt> {
        self.request.stop.wait(timeout)
    }

    /// The next part of a call that comes in parts; none when the time is over.
    /// [`Error::Unwanted`] when no more will come.
    pub fn wait_part(&self, timeout: Option<Duration>) -> Result<Option<Part>, Error> {
        let parts = self.request.parts.as_ref().ok_or(Error::Unwanted)?;
        let part = match timeout {
            None => parts.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => parts.recv_timeout(timeout),
        };
        match part {
            Ok(part) => Ok(Some(part)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Unwanted),
        }
    }

    fn yielded(&self, payload: Payload, progress: bool, ppt: Option<Ppt>) -> Message {
        let ppt = ppt.map(Box::new);
        let payload = payload.spans(self.shared.form);
        let options = YieldOptions { progress, ppt };
        Yield { request: self.request.number, options, payload }.into()
    }

    fn failed(&self, uri: &str, payload: &Payload) -> Message {
        let payload = payload.spans(self.shared.form);
        let (kind, request) = (INVOCATION, self.request.number);
        let (details, error) = (ErrorDetails::default(), uri.into());
        packet::Failure { kind, request, details, error, payload }.into()
    }

    fn say(&self, last: bool, message: &Message) -> Result<(), Error> {
        let number = self.request.number;
        self.shared.with_room(|desk| {
            if !desk.answers(number, false) {
                return Err(Error::Unwanted);
            }
            desk.say(message)?;
            desk.answers(number, last);
            Ok(())
        })
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let number = self.request.number;
        let reason = match self.interrupted() {
            Some(_) => Reason::Canceled,
            None => Reason::Unavailable,
        };
        let message = self.failed(reason.uri(), &Payload::default());
        let mut desk = self.shared.desk();
        if desk.answers(number, true) {
            // Where nothing can be said, the router says that we are gone.
            let _ = desk.say(&message);
            self.shared.wake();
        }
    }
}

const INVOCATION: u64 = 68;
