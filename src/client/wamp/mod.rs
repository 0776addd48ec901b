//! Floor 5. A blocking client for WAMP 2, over WebSocket and RawSocket, TCP, TLS and Unix sockets.
//!
//! ```no_run
//! use spindle::client::wamp::{CallOptions, Client, SubscribeOptions};
//! use spindle::value::Value;
//!
//! let client = Client::builder("ws://localhost:8080/ws", "realm1").connect()?;
//! let temperatures = client.subscribe("room.1.temp", SubscribeOptions::default())?;
//! client.publish("room.2.temp", Default::default(), vec![Value::Float(21.5)])?;
//! let sum = client.call("math.add", CallOptions::default(), vec![Value::Int(1), Value::Int(2)])?;
//! println!("{:?}", sum.args);
//! while let Some(event) = temperatures.wait(None)? {
//!     println!("{}: {:?}", event.topic, event.payload.args);
//! }
//! # Ok::<(), spindle::client::wamp::Error>(())
//! ```
//!
//! One thread reads; everything else is done by the threads of callers, who may be many: what can
//! be asked is on [`Handle`], which can be cloned and sent about. What comes waits in queues, of
//! which each has a bound and a rule for when it is full: events are dropped and counted,
//! invocations refused, results hold back the network. Reading order: `setup` and `url`, `error`,
//! `payload`, `proof` (logins), `wire` and `ws` (bytes, TLS, frames), `desk` (what is asked and
//! owed), `line` (the thread), `event`, `registration`, `call`, then the client here.
//! Absent on purpose: dialling again by itself. A session ends with its connection and takes its
//! subscriptions and registrations with it; the same description makes the next one.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

mod call;
mod desk;
#[cfg(test)]
mod desk_test;
mod error;
mod event;
mod line;
mod payload;
mod proof;
#[cfg(test)]
mod proof_test;
mod registration;
mod setup;
mod url;
mod wire;
mod ws;

pub(crate) use ws::{Spoken, Ws};

pub use call::{Call, Outcome};
pub use error::{Error, Failure};
pub use event::{Event, Subscription};
pub use payload::Payload;
pub use registration::{Asked, Interrupt, Invocation, Part, Registration};
pub use setup::Builder;

pub use crate::client::mqtt::{Tls, TlsVersion};
pub use crate::proto::wamp::options::{
    Audience, CallOptions, CancelMode, Invoke, Matching, Other, Others, Ppt, PublishOptions,
    RegisterOptions, SubscribeOptions,
};
pub use crate::proto::wamp::roles::Feature;
pub use crate::proto::wamp::{Amount, Text};
pub use crate::value::Form;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::base::pipe::{Pipe, Wake};
use crate::proto::wamp::Message;
use crate::proto::wamp::packet::{self, Publish, Register, Subscribe, Welcome};
use crate::proto::wamp::roles::Roles;
use crate::value::Value;

use desk::{About, Answer, Desk, Outlet};
use line::Line;
use setup::{Plan, Queues};
use wire::Wire;

/// A session; dropping it says goodbye.
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Asks things of a [`Client`]; outlives it harmlessly.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What the thread and the callers share.
#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// There is room for more to say, or it is over.
    room: Condvar,
    waker: Arc<mio::Waker>,
    form: Form,
    patience: Duration,
    queues: Queues,
    welcome: Welcome,
    realm: String,
}

impl Client {
    /// Begin to describe a client, by where the router is and which realm is wanted there. URLs:
    /// `ws://host:port/path`, `wss://`, `tcp://host:port` or `rs://` for a RawSocket, `rss://` or
    /// `tcps://` for one in TLS, `unix:/path` for one at a Unix socket.
    #[must_use]
    pub fn builder(url: impl Into<String>, realm: impl Into<String>) -> Builder {
        Builder::new(url.into(), realm.into())
    }

    /// The same for a router in this process, without a socket: `enter` is handed what wakes the
    /// client and hands back its end, whose other end the router has.
    #[must_use]
    pub fn within(
        enter: impl Fn(Wake) -> std::io::Result<Pipe> + Send + Sync + 'static,
        realm: impl Into<String>,
    ) -> Builder {
        Builder::within(url::Enter(Arc::new(enter)), realm.into())
    }

    fn dial(plan: &Plan) -> Result<Self, Error> {
        let deadline = Instant::now() + plan.dial;
        let mut wire = Wire::open(plan, deadline)?;
        let welcome = line::greet(plan, &mut wire, deadline)?;
        let bounds = line::most().walk;
        let desk = Desk::new(wire.form(), bounds, wire.takes(), plan.queues.results);
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            room: Condvar::new(),
            waker: wire.waker(),
            form: wire.form(),
            patience: plan.patience,
            queues: plan.queues,
            welcome,
            realm: plan.realm.clone(),
        });
        let line = Line::new(Arc::clone(&shared), wire, plan.keep_alive);
        let name = std::thread::Builder::new().name("wamp-reader".to_owned());
        let thread = name.spawn(move || line.run()).map_err(Error::io)?;
        Ok(Self { handle: Handle { shared }, thread: Some(thread) })
    }

    /// Say goodbye, wait for the router's, and close. Dropping does the same.
    pub fn leave(self) {}
}

impl std::ops::Deref for Client {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        let mut desk = shared.desk();
        desk.leave();
        shared.wake();
        let open = |desk: &mut Desk| desk.ended().is_none();
        desk = match shared.room.wait_timeout_while(desk, FAREWELL, open) {
            Ok((desk, _)) => desk,
            Err(poisoned) => poisoned.into_inner().0,
        };
        desk.end(Error::Left);
        drop(desk);
        shared.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told on its thread; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Publish. With `acknowledge` among the options the answer is waited for, and is the id of the
    /// publication; otherwise there is none, also not when the router refuses it.
    pub fn publish(
        &self,
        topic: &str,
        options: PublishOptions,
        payload: impl Into<Payload>,
    ) -> Result<Option<u64>, Error> {
        let shared = &self.shared;
        let (topic, payload) = (topic.into(), payload.into().spans(shared.form));
        let acknowledged = options.acknowledge;
        let make = |request| Publish { request, options, topic, payload }.into();
        if !acknowledged {
            shared.with_room(|desk| desk.take_number(make))?;
            return Ok(None);
        }
        let asked = shared.with_room(|desk| desk.ask(About::Plain, make))?;
        shared.answer(asked).map(Some)
    }

    /// Subscribe, and wait until the router has granted it.
    pub fn subscribe(&self, topic: &str, options: SubscribeOptions) -> Result<Subscription, Error> {
        let shared = &self.shared;
        let (send, queue) = bounded(shared.queues.events);
        let (missed, revoked) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let uri = Text::from(topic);
        let (key, id) = shared.grant(|desk| {
            let outlet = Outlet {
                key: desk.next_number(),
                uri: uri.clone(),
                matching: options.matching,
                send,
                missed: Arc::clone(&missed),
                revoked: Arc::clone(&revoked),
            };
            let make = |request| Subscribe { request, options, topic: uri }.into();
            desk.ask(About::Subscribe(outlet), make)
        })?;
        let shared = Arc::clone(shared);
        Ok(Subscription { shared, id, key, queue, missed, revoked, over: false })
    }

    /// Register a procedure, and wait until the router has granted it.
    pub fn register(
        &self,
        procedure: &str,
        options: RegisterOptions,
    ) -> Result<Registration, Error> {
        let shared = &self.shared;
        let (send, queue) = bounded(shared.queues.invocations);
        let (missed, revoked) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let uri = Text::from(procedure);
        let (key, id) = shared.grant(|desk| {
            let outlet = Outlet {
                key: desk.next_number(),
                uri: uri.clone(),
                matching: options.matching,
                send,
                missed: Arc::clone(&missed),
                revoked: Arc::clone(&revoked),
            };
            let make = |request| Register { request, options, procedure: uri }.into();
            desk.ask(About::Register(outlet), make)
        })?;
        let shared = Arc::clone(shared);
        Ok(Registration { shared, id, key, queue, revoked, over: false })
    }

    /// Call, and wait for the result. Without a timeout among the options it waits for as long as
    /// there is a connection.
    pub fn call(
        &self,
        procedure: &str,
        options: CallOptions,
        payload: impl Into<Payload>,
    ) -> Result<Payload, Error> {
        let call = self.begin(procedure, options, payload)?;
        call.finish(|_| ()).map(|outcome| outcome.payload)
    }

    /// Begin a call: for results in pieces (`receive_progress`), parts that follow (`progress`), or
    /// to cancel it.
    pub fn begin(
        &self,
        procedure: &str,
        options: CallOptions,
        payload: impl Into<Payload>,
    ) -> Result<Call, Error> {
        let shared = Arc::clone(&self.shared);
        let procedure = Text::from(procedure);
        let payload = payload.into().spans(shared.form);
        let (number, queue) = shared.with_room(|desk| {
            desk.call(shared.queues.results, |request| {
                let (options, procedure) = (options.clone(), procedure.clone());
                packet::Call { request, options, procedure, payload }.into()
            })
        })?;
        Ok(Call { shared, number, procedure, options, queue, over: false })
    }

    /// There is a connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.shared.desk().ended().is_none()
    }

    /// Why there is no connection any more: among others, what the router's GOODBYE said.
    #[must_use]
    pub fn end(&self) -> Option<Error> {
        self.shared.desk().ended().cloned()
    }

    /// The id of the session.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.shared.welcome.session
    }

    /// The realm it is in.
    #[must_use]
    pub fn realm(&self) -> &str {
        let said = self.shared.welcome.details.realm.as_ref();
        said.map_or(&self.shared.realm, Text::as_str)
    }

    /// Who we are to the router: name, role, method and provider, as far as it said so.
    #[must_use]
    pub fn whoami(&self) -> [Option<&str>; 4] {
        let details = &self.shared.welcome.details;
        [&details.authid, &details.authrole, &details.authmethod, &details.authprovider]
            .map(|text| text.as_ref().map(Text::as_str))
    }

    /// Another detail of its WELCOME.
    #[must_use]
    pub fn detail(&self, key: &str) -> Option<Value> {
        let raw = self.shared.welcome.details.more.of(key)?;
        payload::tree(raw, line::most().walk).ok()
    }

    /// Has the router announced this, in either of its roles?
    #[must_use]
    pub fn has_feature(&self, feature: Feature) -> bool {
        let Roles { broker, dealer, .. } = self.shared.welcome.details.roles;
        [broker, dealer].into_iter().flatten().any(|features| features.has(feature))
    }

    /// In which form messages are written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.shared.form
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    fn wake(&self) {
        // Who has gone waits for nothing.
        let _ = self.waker.wake();
    }

    /// Say something as soon as there is room.
    fn with_room<T>(&self, act: impl FnOnce(&mut Desk) -> Result<T, Error>) -> Result<T, Error> {
        let full = |desk: &mut Desk| desk.is_full();
        let mut desk = match self.room.wait_timeout_while(self.desk(), self.patience, full) {
            Ok((desk, _)) => desk,
            Err(poisoned) => poisoned.into_inner().0,
        };
        if desk.is_full() {
            return Err(Error::Full);
        }
        let done = act(&mut desk)?;
        drop(desk);
        self.wake();
        Ok(done)
    }

    /// Ask, and wait for what is granted: the request's number, and the id.
    fn grant(
        &self,
        ask: impl FnOnce(&mut Desk) -> Result<(u64, Receiver<Answer>), Error>,
    ) -> Result<(u64, u64), Error> {
        let asked = self.with_room(ask)?;
        let number = asked.0;
        self.answer(asked).map(|id| (number, id))
    }

    fn answer(&self, (number, answer): (u64, Receiver<Answer>)) -> Result<u64, Error> {
        match answer.recv_timeout(self.patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(self.why()),
            Err(RecvTimeoutError::Timeout) => {
                self.desk().forget(number);
                // It may have come at the last moment.
                answer.try_recv().unwrap_or(Err(Error::TimedOut))
            }
        }
    }

    /// Give something back, and wait for the answer, if it is to be said at all.
    fn give_up(
        &self,
        ends: impl FnOnce(&mut Desk) -> bool,
        make: impl FnOnce(u64) -> Message,
    ) -> Result<(), Error> {
        let asked = self.with_room(|desk| match ends(desk) {
            true => desk.ask(About::Plain, make).map(Some),
            false => Ok(None),
        })?;
        asked.map_or(Ok(()), |asked| self.answer(asked).map(drop))
    }

    /// Give something back, and wait for nothing.
    fn tell(&self, ends: impl FnOnce(&mut Desk) -> bool, make: impl FnOnce(u64) -> Message) {
        let mut desk = self.desk();
        if ends(&mut desk) {
            // Where nothing can be said, nothing is left to be given back.
            let _ = desk.take_number(make);
        }
        drop(desk);
        self.wake();
    }

    /// Why there is no connection.
    fn why(&self) -> Error {
        self.desk().ended().cloned().unwrap_or(Error::Lost)
    }

    fn minds_timeouts(&self) -> bool {
        let dealer = self.welcome.details.roles.dealer;
        dealer.is_some_and(|features| features.has(Feature::CallTimeout))
    }
}

/// Nothing is left half done under these locks, so a poisoned one is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owned(text: Option<&Text>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

/// What was read shares the buffer it was read from; what is kept must not.
fn detached(ppt: Option<&Ppt>) -> Option<Ppt> {
    let copy = |text: &Option<Text>| text.as_ref().map(Text::detached);
    ppt.map(|it| Ppt {
        scheme: copy(&it.scheme),
        serializer: copy(&it.serializer),
        cipher: copy(&it.cipher),
        keyid: copy(&it.keyid),
    })
}

/// How long a client that ends waits for the router's goodbye.
const FAREWELL: Duration = Duration::from_secs(3);
