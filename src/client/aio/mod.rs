//! Floor 5. A blocking client for aioconnectors, over TCP, TLS and Unix sockets.
//!
//! ```no_run
//! use std::time::Duration;
//! use spindle::client::aio::{Client, Message, Security};
//!
//! let client = Client::builder("localhost:10673", "client1")
//!     .security(Security::Certificates("/etc/aio".into()))
//!     .listen("any")
//!     .connect()?;
//! client.send(Message::of("any", "").with("a message"))?;
//! let answer = client.ask(Message::of("sum", "").with("[1, 2]"), Duration::from_secs(5))?;
//! println!("{:?}", answer.frame.data);
//! let messages = client.listen("any")?;
//! while let Some(message) = messages.wait(None)? {
//!     if let Some(answer) = message.answer() {
//!         client.send(answer.with("here you are"))?;
//!     }
//! }
//! # Ok::<(), spindle::client::aio::Error>(())
//! ```
//!
//! One thread reads, writes and dials again when the connection was lost; everything else is done
//! by the threads of callers, who may be many: what can be asked is on [`Handle`], which can be
//! cloned and sent about. What comes waits in queues, of which each has a bound; what is to go
//! waits in one line, also while there is no connection. Reading order: `setup`, `error`, `keys`
//! and `tls` (whom it believes, what it shows), `wire` (frames), `login`, `folders`, `halves` and
//! `upload` (files), `attach` (files that messages name), `desk` (what is asked and owed), `line`
//! (the thread), then the client here; `host`, for two of whom one is called by the other; last
//! `connector`, which serves other programs with one. Absent on purpose: a server for many; the
//! broker is one.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

mod attach;
pub mod connector;
mod desk;
#[cfg(test)]
mod desk_test;
mod error;
mod fingerprint;
mod folders;
mod halves;
mod host;
mod keys;
mod line;
#[cfg(test)]
mod line_test;
mod login;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod setup;
#[cfg(feature = "tls")]
mod tls;
mod upload;
mod wire;

#[cfg(not(feature = "tls"))]
use no_tls as tls;

pub use error::Error;
pub use fingerprint::Fingerprint;
pub use folders::Stored;
pub use host::{Guest, Host};
pub use setup::{Builder, Security};
pub use upload::Upload;

pub use crate::proto::aio::{Frame as Message, Header, Id, Text};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::client::pipe::seed;
use crate::proto::aio::inner;

use desk::{Answer, Desk, Done, Mouth};
use folders::Folders;
use line::Watch;
use setup::Plan;
use upload::Reading;
use wire::Wire;

/// A named connector; dropping it says what is left and closes.
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

/// A message that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// What it says. Of a binary with a file in it, the application's part.
    pub frame: Message,
    /// What became of its file, if it had one.
    pub file: Option<Stored>,
}

impl Received {
    /// An answer to this message, with nothing in it yet; none if the sender waits for none.
    #[must_use]
    pub fn answer(&self) -> Option<Message> {
        let header = &self.frame.header;
        let id = header.request_id.clone().filter(|_| header.await_response)?;
        let mut answer = Message::of(header.message_type.as_str(), "");
        answer.header.response_id = Some(id);
        answer.header.destination_id.clone_from(&header.source_id);
        Some(answer)
    }
}

/// What the thread and the callers share.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    watch: Watch,
    desk: Mutex<Desk>,
    /// There is room for more to say, a connection, none any more, or it is over.
    room: Condvar,
    /// Bytes of files that messages have named and that were handed to the socket.
    gone: AtomicU64,
    /// What the other side showed at the beginning.
    fingerprint: Option<Fingerprint>,
}

impl Client {
    /// Begin to describe a client, by where the server is (`HOST:PORT`, or `unix:/path`) and its
    /// own name.
    pub fn builder(address: impl AsRef<str>, name: impl AsRef<str>) -> Builder {
        Builder::new(address.as_ref(), name.as_ref())
    }

    fn dial(plan: Plan) -> Result<Self, Error> {
        let wire = login::open(&plan)?;
        let client = Self::over(plan, Some(wire))?;
        // Nothing but this is ever answered.
        let plan = &client.shared.plan;
        match client.ping(plan.greeting.unwrap_or(plan.dial)) {
            Ok(_) => Ok(client),
            Err(Error::Lost | Error::Io(_)) => Err(Error::Refused("our name was said")),
            Err(error) => Err(error),
        }
    }

    fn begin(plan: Plan) -> Result<Self, Error> {
        Self::over(plan, None)
    }

    /// A client with this connection, or one that is still to be made.
    fn over(plan: Plan, wire: Option<Wire>) -> Result<Self, Error> {
        let halves = plan.halves.clone().unwrap_or_default();
        let watch = halves.watch;
        let folders = Folders::new(plan.folders.clone(), &plan.name, halves.of(&plan.name))?;
        let mut desk = Desk::new(&plan, seed());
        if let Some(wire) = &wire {
            desk.on_online(wire.waker());
        }
        let (desk, room) = (Mutex::new(desk), Condvar::new());
        let fingerprint = wire.as_ref().and_then(Wire::shown).map(Fingerprint::of);
        let gone = AtomicU64::new(0);
        let shared = Arc::new(Shared { plan, watch, desk, room, gone, fingerprint });
        let name = std::thread::Builder::new().name("aio-reader".to_owned());
        let theirs = Arc::clone(&shared);
        let thread = name.spawn(move || line::run(theirs, folders, wire)).map_err(Error::io)?;
        Ok(Self { handle: Handle { shared }, thread: Some(thread) })
    }

    /// Say what is left, and close. Dropping does the same.
    pub fn leave(self) {}

    /// Say what is left, and then close; whoever asked for that need not wait.
    fn say_goodbye(&self) {
        let shared = &self.handle.shared;
        let mut desk = shared.desk();
        desk.leave();
        shared.wake(&desk);
    }

    /// It is over at once, whatever is left.
    fn cut(&self) {
        let shared = &self.handle.shared;
        let mut desk = shared.desk();
        let waker = desk.waker();
        desk.end(&Error::Left);
        drop(desk);
        shared.room.notify_all();
        if let Some(waker) = waker {
            // Without it the thread sees by itself.
            let _ = waker.wake();
        }
    }

    /// The same, and wait until its thread has handed out what it had read.
    fn cut_and_wait(mut self) {
        self.cut();
        if let Some(thread) = self.thread.take() {
            // A panic has been told on its thread.
            let _ = thread.join();
        }
    }
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
        shared.wake(&desk);
        let online = desk.is_online();
        let open = |desk: &mut Desk| desk.ended().is_none();
        let most = if online { FAREWELL } else { Duration::ZERO };
        let waited = shared.room.wait_timeout_while(desk, most, open);
        desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        shared.wake(&desk);
        desk.end(&Error::Left);
        drop(desk);
        shared.room.notify_all();
        if let (true, Some(thread)) = (online, self.thread.take()) {
            // A panic has been told on its thread. Who is dialling ends when that does.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Send a message. With `wait_for_ack` in its header it is sent again until the server has
    /// acknowledged it, also by the next connection; without, it may be lost with this one.
    pub fn send(&self, message: Message) -> Result<(), Error> {
        self.shared.with_room(Some(self.shared.plan.patience), |desk| desk.say(message, None))
    }

    /// Send a message, and wait until the server has acknowledged it. When the time is over it may
    /// still be under way.
    pub fn send_acked(&self, mut message: Message, most: Duration) -> Result<(), Error> {
        message.header.wait_for_ack = true;
        let (send, done) = bounded(1);
        let patience = Some(self.shared.plan.patience.min(most));
        let begun = Instant::now();
        self.shared.with_room(patience, |desk| desk.say(message, Some(send)))?;
        self.shared.done(&done, Some(most.saturating_sub(begun.elapsed())))
    }

    /// Send a question, and wait for its answer. With a `request_id` of the caller's in its header,
    /// that must be no other's that is open.
    pub fn ask(&self, question: Message, most: Duration) -> Result<Received, Error> {
        let shared = &self.shared;
        let now = shared.watch.now();
        let patience = Some(shared.plan.patience.min(most));
        let (kind, id, answer) = shared.with_room(patience, |desk| desk.ask(now, question))?;
        let came: Result<Answer, _> = answer.recv_timeout(most);
        match came {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(shared.why()),
            Err(RecvTimeoutError::Timeout) => {
                shared.desk().forget(&kind, &id);
                // It may have come at the last moment.
                answer.try_recv().unwrap_or(Err(Error::TimedOut))
            }
        }
    }

    /// Is the server there? How long its answer took.
    pub fn ping(&self, most: Duration) -> Result<Duration, Error> {
        self.ping_with(Bytes::new(), most).map(|(took, _)| took)
    }

    /// The same with this content, which should come back.
    pub fn ping_with(&self, data: Bytes, most: Duration) -> Result<(Duration, Received), Error> {
        let begun = Instant::now();
        let answer = self.ask(Message::of(inner::PING, "").with(data), most)?;
        Ok((begun.elapsed(), answer))
    }

    /// Publish a message under its type. Of servers, those do something about it that are brokers
    /// of publications.
    pub fn publish(&self, mut message: Message) -> Result<(), Error> {
        let topic = core::mem::replace(&mut message.header.message_type, inner::PUBSUB.into());
        message.header.message_type_publish = Some(topic);
        self.send(message)
    }

    /// Receive the messages of this type.
    pub fn listen(&self, kind: &str) -> Result<Inbox, Error> {
        let kind = Text::from(kind);
        let mouth = self.shared.desk().listen(&kind)?;
        Ok(Inbox { shared: Arc::clone(&self.shared), kind, mouth, topic: false })
    }

    /// Receive what is published under this topic. The server does not answer that.
    pub fn subscribe(&self, topic: &str) -> Result<Inbox, Error> {
        let kind = Text::from(topic);
        let mut desk = self.shared.desk();
        let mouth = desk.subscribe(&kind)?;
        self.shared.wake(&desk);
        drop(desk);
        Ok(Inbox { shared: Arc::clone(&self.shared), kind, mouth, topic: true })
    }

    /// Send a file with a message: how many messages it took, one for each chunk. With
    /// `wait_for_ack` in the header it waits until the last is acknowledged. It waits for room for
    /// as long as the client lasts.
    pub fn send_file(&self, message: Message, upload: &Upload) -> Result<u32, Error> {
        let shared = &self.shared;
        let acked = message.header.wait_for_ack;
        let mut reading = Reading::begin(message, upload, shared.plan.chunk)?;
        let unread = |e| Error::file(&upload.path, e);
        let mut open: Vec<Receiver<Done>> = Vec::new();
        while let Some(frame) = reading.next().map_err(unread)? {
            let (send, done) = bounded(1);
            let who = acked.then_some(send);
            shared.with_room(None, |desk| desk.say(frame, who))?;
            if acked {
                open.push(done);
            }
        }
        for done in &open {
            shared.done(done, None)?;
        }
        Ok(reading.count())
    }

    /// The fingerprint of the certificate that the server has shown at first, if there was TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.shared.fingerprint
    }

    /// How many bytes of files that messages have named ([`Builder::attach`]) the socket was given.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// There is a connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.shared.desk().is_online()
    }

    /// Why the client is over, if it is.
    #[must_use]
    pub fn end(&self) -> Option<Error> {
        self.shared.desk().ended().cloned()
    }

    /// Why the last connection was lost, or the last attempt failed.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.shared.desk().last().cloned()
    }

    /// Our name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.plan.name.as_str()
    }
}

/// Messages of one type. Dropping it ends that.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
    kind: Text,
    mouth: Mouth,
    topic: bool,
}

impl Inbox {
    /// The next message; none when the time is over. Without a time it waits for as long as the
    /// client lasts, and its end is the error.
    pub fn wait(&self, most: Option<Duration>) -> Result<Option<Received>, Error> {
        let queue = &self.mouth.queue;
        let received = match most {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(most) => queue.recv_timeout(most),
        };
        match received {
            Ok(received) => {
                self.mouth.bytes.fetch_sub(desk::weight(&received), Ordering::Relaxed);
                Ok(Some(received))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.shared.why()),
        }
    }

    /// How many were dropped for want of room.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.mouth.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut desk = self.shared.desk();
        desk.close(&self.kind, self.mouth.key);
        if self.topic {
            desk.unsubscribe(&self.kind);
            self.shared.wake(&desk);
        }
    }
}

impl Shared {
    /// Nothing is left half done under this lock, so a poisoned one is as good as another.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to do for the thread. Without a connection it will see.
    fn wake(&self, desk: &Desk) {
        if let Some(waker) = desk.waker() {
            let _ = waker.wake();
        }
    }

    /// Say something as soon as there is room.
    fn with_room<T>(
        &self,
        most: Option<Duration>,
        act: impl FnOnce(&mut Desk) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let full = |desk: &mut Desk| desk.is_full();
        let mut desk = match most {
            None => self.room.wait_while(self.desk(), full).unwrap_or_else(PoisonError::into_inner),
            Some(most) => {
                let waited = self.room.wait_timeout_while(self.desk(), most, full);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if desk.is_full() {
            return Err(Error::Full);
        }
        // What stands in line has woken the thread, which looks until nothing does; what may not go
        // yet goes when an acknowledgement or room in the socket wakes it.
        let lined_up = desk.has_line();
        let done = act(&mut desk)?;
        if !lined_up {
            self.wake(&desk);
        }
        Ok(done)
    }

    fn done(&self, done: &Receiver<Done>, most: Option<Duration>) -> Result<(), Error> {
        let came = match most {
            None => done.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(most) => done.recv_timeout(most),
        };
        match came {
            Ok(done) => done,
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(self.why()),
        }
    }

    /// Why there is nothing to wait for.
    fn why(&self) -> Error {
        self.desk().ended().cloned().unwrap_or(Error::Lost)
    }
}

/// For what is left to be said when a client goes.
const FAREWELL: Duration = Duration::from_secs(5);
