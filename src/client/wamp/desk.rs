//! Floor 5. What a WAMP client has asked and been asked: a value without sockets and threads.
//!
//! Requests are numbered and written down under one lock, so they leave in the order of their
//! numbers. Every map and every queue has a bound. The thread that reads hands out and never waits:
//! an event for which there is no room is dropped and counted; an invocation is refused; a result
//! is held, and while one is, nothing is read. Absent on purpose: time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::proto::wamp::fault::Reason;
use crate::proto::wamp::options::{CancelMode, CancelOptions, Matching};
use crate::proto::wamp::packet::{self, Cancel, Goodbye, Unregister, Unsubscribe};
use crate::proto::wamp::{Message, Text, encode};
use crate::value::{Bounds, Form};

use super::call::Outcome;
use super::event::Event;
use super::registration::{Part, Request, Stop};
use super::{Error, Failure, Payload};

/// What a request has come to: the id in its answer.
pub(super) type Answer = Result<u64, Error>;

/// Where the results of a call come out.
pub(super) type Results = Receiver<Result<Outcome, Error>>;

/// What a request was about, for what is to be done when it is granted.
pub(super) enum About {
    /// Nothing else is to be done.
    Plain,
    Subscribe(Outlet<Event>),
    Register(Outlet<Request>),
}

/// Where events or invocations go.
pub(super) struct Outlet<T> {
    /// What tells it from others of the same id.
    pub(super) key: u64,
    /// The topic or procedure.
    pub(super) uri: Text,
    pub(super) matching: Matching,
    pub(super) send: Sender<T>,
    /// What was dropped for want of room.
    pub(super) missed: Arc<AtomicU64>,
    /// Why the router ended it, if it did.
    pub(super) revoked: Arc<std::sync::OnceLock<String>>,
}

struct Asked {
    about: About,
    send: Sender<Answer>,
}

/// An invocation that was not answered.
struct Running {
    stop: Arc<Stop>,
    /// More parts of it may come.
    parts: Option<Sender<Part>>,
}

pub(super) struct Desk {
    form: Form,
    bounds: Bounds,
    /// The longest message that the router takes.
    takes: usize,
    /// How many parts of an invocation may wait.
    parts_max: usize,
    /// The next request's number.
    number: u64,
    asked: BTreeMap<u64, Asked>,
    calls: BTreeMap<u64, Sender<Result<Outcome, Error>>>,
    held: Option<(u64, Result<Outcome, Error>)>,
    subscriptions: BTreeMap<u64, Vec<Outlet<Event>>>,
    registrations: BTreeMap<u64, Vec<Outlet<Request>>>,
    running: BTreeMap<u64, Running>,
    out: VecDeque<Vec<u8>>,
    out_bytes: usize,
    /// We have said goodbye.
    leaving: bool,
    ended: Option<Error>,
}

impl Desk {
    pub(super) fn new(form: Form, bounds: Bounds, takes: usize, parts_max: usize) -> Self {
        Self {
            form,
            bounds,
            takes,
            parts_max,
            number: 1,
            asked: BTreeMap::new(),
            calls: BTreeMap::new(),
            held: None,
            subscriptions: BTreeMap::new(),
            registrations: BTreeMap::new(),
            running: BTreeMap::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            leaving: false,
            ended: None,
        }
    }

    /// Why there is no connection any more.
    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    /// Who has something to say should wait.
    pub(super) fn is_full(&self) -> bool {
        self.out_bytes > OUT_MAX && self.ended.is_none()
    }

    /// Nothing should be read: something that was read finds no place.
    pub(super) fn is_choked(&self) -> bool {
        self.held.is_some() || self.out_bytes > 2 * OUT_MAX
    }

    /// Ask something; the answer comes by what is returned.
    pub(super) fn ask(
        &mut self,
        about: About,
        make: impl FnOnce(u64) -> Message,
    ) -> Result<(u64, Receiver<Answer>), Error> {
        if self.asked.len() >= ASKED_MAX {
            return Err(Error::Full);
        }
        let number = self.take_number(make)?;
        let (send, receive) = bounded(1);
        self.asked.insert(number, Asked { about, send });
        Ok((number, receive))
    }

    /// Call; results come by what is returned, as many at once as there is room for.
    pub(super) fn call(
        &mut self,
        room: usize,
        make: impl FnOnce(u64) -> Message,
    ) -> Result<(u64, Results), Error> {
        if self.calls.len() >= ASKED_MAX {
            return Err(Error::Full);
        }
        let number = self.take_number(make)?;
        let (send, receive) = bounded(room);
        self.calls.insert(number, send);
        Ok((number, receive))
    }

    /// Say something that is not answered, with a number of its own.
    pub(super) fn take_number(&mut self, make: impl FnOnce(u64) -> Message) -> Result<u64, Error> {
        let number = self.number;
        self.say(&make(number))?;
        self.number += 1;
        Ok(number)
    }

    /// The number that the next request will have.
    pub(super) fn next_number(&self) -> u64 {
        self.number
    }

    /// Say something. What cannot be said leaves no trace.
    pub(super) fn say(&mut self, message: &Message) -> Result<(), Error> {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None if self.leaving => Err(Error::Left),
            None => self.put(message),
        }
    }

    fn put(&mut self, message: &Message) -> Result<(), Error> {
        let mut bytes = Vec::new();
        encode(message, self.form, self.bounds, &mut bytes)?;
        if bytes.len() > self.takes {
            return Err(Error::TooLarge);
        }
        self.out_bytes += bytes.len();
        self.out.push_back(bytes);
        Ok(())
    }

    /// What is to be sent next.
    pub(super) fn poll_message(&mut self) -> Option<Vec<u8>> {
        let message = self.out.pop_front()?;
        self.out_bytes -= message.len();
        Some(message)
    }

    /// Nobody waits for this answer any more. What it grants will be given back.
    pub(super) fn forget(&mut self, number: u64) {
        self.asked.remove(&number);
    }

    /// Nobody waits for these results any more; true when they were still to come.
    pub(super) fn forget_call(&mut self, number: u64) -> bool {
        if self.held.as_ref().is_some_and(|(held, _)| *held == number) {
            self.held = None;
        }
        self.calls.remove(&number).is_some()
    }

    /// Say goodbye.
    pub(super) fn leave(&mut self) {
        if self.leaving || self.ended.is_some() {
            return;
        }
        let reason = Reason::Normal.uri().into();
        // It always fits.
        let _ = self.put(&Goodbye { reason, ..Goodbye::default() }.into());
        self.leaving = true;
    }

    /// There is no connection any more. Whoever waits finds out why.
    pub(super) fn end(&mut self, error: Error) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(error);
        self.asked.clear();
        self.calls.clear();
        self.held = None;
        self.subscriptions.clear();
        self.registrations.clear();
        for running in core::mem::take(&mut self.running).into_values() {
            running.stop.set(None, Reason::NetworkFailure.uri());
        }
    }

    /// Events are wanted no more here: what to say, when nobody else here wants them.
    pub(super) fn unsubscribe(&mut self, id: u64, key: u64) -> bool {
        let Some(outlet) = close(&mut self.subscriptions, id, key) else { return false };
        let same = |about: &About| match about {
            About::Subscribe(other) => other.uri == outlet.uri && other.matching == outlet.matching,
            _ => false,
        };
        // One that is under way would be granted under the same id, and ended with this one.
        !self.subscriptions.contains_key(&id) && !self.asked.values().any(|it| same(&it.about))
    }

    /// Invocations are wanted no more here: is it to be said?
    pub(super) fn unregister(&mut self, id: u64, key: u64) -> bool {
        let Some(outlet) = close(&mut self.registrations, id, key) else { return false };
        let same = |about: &About| match about {
            About::Register(other) => other.uri == outlet.uri && other.matching == outlet.matching,
            _ => false,
        };
        !self.registrations.contains_key(&id) && !self.asked.values().any(|it| same(&it.about))
    }

    /// May this invocation still be answered? After the last answer it may not.
    pub(super) fn answers(&mut self, number: u64, last: bool) -> bool {
        if last {
            self.running.remove(&number).is_some()
        } else {
            self.running.contains_key(&number)
        }
    }

    /// The result that found no room finds some, or has waited enough.
    pub(super) fn retry(&mut self, give_up: bool) {
        let Some((number, result)) = self.held.take() else { return };
        self.give(number, result);
        if give_up && self.held.take().is_some() {
            self.calls.remove(&number);
            let options = CancelOptions { mode: Some(CancelMode::KillNoWait) };
            let _ = self.put(&Cancel { request: number, options }.into());
        }
    }

    /// Something is held for want of room.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn give(&mut self, number: u64, result: Result<Outcome, Error>) {
        let last = !matches!(&result, Ok(outcome) if !outcome.last);
        let Some(send) = self.calls.get(&number) else { return };
        match send.try_send(result) {
            Err(TrySendError::Full(result)) => self.held = Some((number, result)),
            Ok(()) if !last => {}
            Ok(()) | Err(TrySendError::Disconnected(_)) => {
                self.calls.remove(&number);
            }
        }
    }

    /// Something was heard. An error is the end.
    pub(super) fn on_message(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Event(event) => self.on_event(&event),
            Message::Outcome(outcome) => {
                let result = Outcome::read(&outcome, self.bounds);
                self.give(outcome.request, result);
            }
            Message::Invocation(invocation) => self.on_invocation(&invocation),
            Message::Interrupt(interrupt) => self.on_interrupt(&interrupt),
            Message::Failure(failure) => self.on_failure(&failure),
            Message::Published(it) => self.on_answer(it.request, Ok(it.publication)),
            Message::Subscribed(it) => self.on_subscribed(it.request, it.subscription),
            Message::Registered(it) => self.on_registered(it.request, it.registration),
            Message::Unsubscribed(it) => self.on_unsubscribed(it.ended),
            Message::Unregistered(it) => self.on_unregistered(it.ended),
            Message::Goodbye(goodbye) => return Err(self.on_goodbye(goodbye)),
            Message::Abort(abort) => return Err(refused(&abort)),
            other => return Err(Error::Protocol(format!("{} is not due", other.name()))),
        }
        Ok(())
    }

    fn on_answer(&mut self, number: u64, answer: Answer) {
        if let Some(asked) = self.asked.remove(&number) {
            // Who does not wait any more has forgotten it.
            let _ = asked.send.try_send(answer);
        }
    }

    fn on_failure(&mut self, failure: &packet::Failure) {
        let error = match Payload::read(&failure.payload, self.bounds) {
            Ok(payload) => {
                let uri = failure.error.as_str().to_owned();
                Error::Failed(Box::new(Failure { uri, payload }))
            }
            Err(flaw) => Error::Value(flaw),
        };
        match failure.kind {
            CALL => self.give(failure.request, Err(error)),
            _ => self.on_answer(failure.request, Err(error)),
        }
    }

    fn on_subscribed(&mut self, number: u64, id: u64) {
        match self.asked.remove(&number) {
            Some(Asked { about: About::Subscribe(outlet), send }) => {
                self.subscriptions.entry(id).or_default().push(outlet);
                let _ = send.try_send(Ok(id));
            }
            // Nobody waits for it any more.
            _ if !self.subscriptions.contains_key(&id) => {
                let undo = |request| Unsubscribe { request, subscription: id }.into();
                let _ = self.take_number(undo);
            }
            _ => {}
        }
    }

    fn on_registered(&mut self, number: u64, id: u64) {
        match self.asked.remove(&number) {
            Some(Asked { about: About::Register(outlet), send }) => {
                self.registrations.entry(id).or_default().push(outlet);
                let _ = send.try_send(Ok(id));
            }
            _ if !self.registrations.contains_key(&id) => {
                let undo = |request| Unregister { request, registration: id }.into();
                let _ = self.take_number(undo);
            }
            _ => {}
        }
    }

    fn on_unsubscribed(&mut self, ended: packet::Ended) {
        let revoked = ended.revoked.filter(|_| ended.request == 0);
        let Some(revoked) = revoked else { return self.on_answer(ended.request, Ok(0)) };
        let id = revoked.subscription.unwrap_or_default();
        revoke(self.subscriptions.remove(&id), revoked.reason);
    }

    fn on_unregistered(&mut self, ended: packet::Ended) {
        let revoked = ended.revoked.filter(|_| ended.request == 0);
        let Some(revoked) = revoked else { return self.on_answer(ended.request, Ok(0)) };
        let id = revoked.registration.unwrap_or_default();
        revoke(self.registrations.remove(&id), revoked.reason);
    }

    fn on_event(&self, event: &packet::Event) {
        // One that was under way when the subscription ended finds nobody.
        let Some(outlets) = self.subscriptions.get(&event.subscription) else { return };
        for outlet in outlets {
            let read = Event::read(event, &outlet.uri, self.bounds);
            if read.is_none_or(|event| outlet.send.try_send(event).is_err()) {
                outlet.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn on_invocation(&mut self, asked: &packet::Invocation) {
        let Ok(payload) = Payload::read(&asked.payload, self.bounds) else {
            self.running.remove(&asked.request);
            return self.refuse(asked.request, Reason::InvalidArgument);
        };
        let more = asked.details.progress;
        if let Some(running) = self.running.get_mut(&asked.request) {
            let part = Part { payload, last: !more };
            let gave = running.parts.as_ref().is_some_and(|parts| parts.try_send(part).is_ok());
            if !more {
                running.parts = None;
            }
            if !gave {
                running.stop.set(None, Reason::Unavailable.uri());
                self.running.remove(&asked.request);
                self.refuse(asked.request, Reason::Unavailable);
            }
            return;
        }
        let stop = Arc::new(Stop::default());
        let (send, parts) = match more {
            true => Some(bounded(self.parts_max)).unzip(),
            false => (None, None),
        };
        let mut request = Request::read(asked, payload, Arc::clone(&stop), parts);
        let crowded = self.running.len() >= RUNNING_MAX;
        let outlets = self.registrations.get(&asked.registration).filter(|_| !crowded);
        for outlet in outlets.into_iter().flatten() {
            request.procedure_or(&outlet.uri);
            match outlet.send.try_send(request) {
                Ok(()) => {
                    self.running.insert(asked.request, Running { stop, parts: send });
                    return;
                }
                Err(TrySendError::Full(it) | TrySendError::Disconnected(it)) => request = it,
            }
        }
        self.refuse(asked.request, Reason::Unavailable);
    }

    fn refuse(&mut self, request: u64, why: Reason) {
        // Nothing follows a goodbye.
        if self.leaving {
            return;
        }
        let error = why.uri().into();
        let failure = packet::Failure { kind: INVOCATION, request, error, ..Default::default() };
        let _ = self.put(&failure.into());
    }

    fn on_interrupt(&mut self, interrupt: &packet::Interrupt) {
        let mode = interrupt.options.mode.clone();
        // Nobody waits for an answer then.
        let silent = mode == Some(CancelMode::KillNoWait);
        let Some(running) = self.running.get_mut(&interrupt.request) else { return };
        let reason = interrupt.options.reason.as_ref();
        running.stop.set(mode, reason.map_or(Reason::Canceled.uri(), Text::as_str));
        running.parts = None;
        if silent {
            self.running.remove(&interrupt.request);
        }
    }

    fn on_goodbye(&mut self, goodbye: Goodbye) -> Error {
        if self.leaving {
            return Error::Left;
        }
        let reason = Reason::GoodbyeAndOut.uri().into();
        let _ = self.put(&Goodbye { reason, ..Goodbye::default() }.into());
        let message = goodbye.details.message.map(|text| text.as_str().to_owned());
        let reason = goodbye.reason.as_str().to_owned();
        Error::Closed { reason, message: message.unwrap_or_default() }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = &self.ended;
        f.debug_struct("Desk").field("number", &self.number).field("ended", ended).finish()
    }
}

/// What an ABORT says.
pub(super) fn refused(abort: &packet::Abort) -> Error {
    let message = abort.details.message.as_ref().map(|text| text.as_str().to_owned());
    let reason = abort.reason.as_str().to_owned();
    Error::Refused { reason, message: message.unwrap_or_default() }
}

fn close<T>(all: &mut BTreeMap<u64, Vec<Outlet<T>>>, id: u64, key: u64) -> Option<Outlet<T>> {
    let outlets = all.get_mut(&id)?;
    let at = outlets.iter().position(|outlet| outlet.key == key)?;
    let outlet = outlets.swap_remove(at);
    if outlets.is_empty() {
        all.remove(&id);
    }
    Some(outlet)
}

fn revoke<T>(outlets: Option<Vec<Outlet<T>>>, reason: Option<Text>) {
    for outlet in outlets.into_iter().flatten() {
        let reason = reason.as_ref().map_or("without a reason", Text::as_str);
        // It is revoked once.
        let _ = outlet.revoked.set(reason.to_owned());
    }
}

/// Codes of requests, as an ERROR names them.
const CALL: u64 = 48;
const INVOCATION: u64 = 68;

/// Requests that may wait for an answer, and calls.
const ASKED_MAX: usize = 65_536;
/// Invocations that may wait for theirs.
const RUNNING_MAX: usize = 65_536;
/// Bytes that may wait to be written before whoever says more waits. The answers of the thread that
/// reads may take as much again; then it reads no more.
const OUT_MAX: usize = 1 << 20;
