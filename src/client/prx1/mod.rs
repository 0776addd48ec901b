//! Floor 5. A blocking client for PRX1 that stays connected.
//!
//! ```no_run
//! use spindle::client::prx1::{Client, Qos};
//! use std::time::Duration;
//!
//! let client = Client::builder()
//!     .address("localhost:52909")
//!     .user("test")
//!     .password("a shared secret")
//!     .on_message(|message, _client| println!("{:?}: {:?}", message.topic, message.payload))
//!     .connect()?;
//! client.subscribe("a/*", Qos::AtLeastOnce)?.wait(Duration::from_secs(5))?;
//! client.publish("a/b", "hello", Qos::AtLeastOnce, false)?.wait(Duration::from_secs(5))?;
//! # Ok::<(), spindle::client::prx1::Error>(())
//! ```
//!
//! Two threads and no more: one dials and writes, one reads and calls back. What a caller asked
//! for stands in one ordered list (`desk.rs`) until it is answered; a lost connection only moves
//! the place in that list back to its start. What is owed to callers is bounded by `queue`.
//! Absent on purpose: TLS, and judging topics beyond what would make a broker hang up.

mod call;
mod desk;
mod entry;
mod ids;
mod line;
mod receipt;
mod rpc;
#[cfg(test)]
mod rpc_test;
mod setup;
mod store;

#[cfg(test)]
mod desk_test;

pub use call::{Asked, Call, CallOptions, CancelMode, Failure, Reason, Said, Service, Share};
pub use receipt::{Disconnected, Error, Message, Qos, Receipt};
pub use setup::Builder;
pub use store::{FileStore, MemoryStore, Store, Stored};

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use bytes::Bytes;

use crate::proto::prx1::extended::Request;
use crate::proto::prx1::packet::{Action, Queue};
use desk::{Desk, Phase};
use entry::Ask;

/// A connection that is kept alive until this is dropped.
///
/// Everything that can be asked of it is on [`Handle`], which can be cloned and sent about.
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    writer: Option<JoinHandle<()>>,
}

/// Asks things of a [`Client`]; outlives it harmlessly.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// There is something to write, or an end to notice: for the writer.
    work: Condvar,
    /// There is room, or the phase has changed: for callers and the reader.
    room: Condvar,
    /// The connection, so that a writer stuck in it can be freed.
    socket: Mutex<Option<TcpStream>>,
    /// The thread that calls back; it must not wait for itself.
    reader: Mutex<Option<ThreadId>>,
    patience: Duration,
}

impl Client {
    /// Begin to describe a client.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Write what is queued, say goodbye, end both threads. Dropping does the same.
    pub fn disconnect(self) {}

    fn begin(shared: Arc<Shared>, writer: JoinHandle<()>) -> Self {
        Self { handle: Handle { shared }, writer: Some(writer) }
    }
}

impl std::ops::Deref for Client {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Client {
    /// A callback may drop its own client: then nobody is waited for.
    fn drop(&mut self) {
        let shared = &self.handle.shared;
        let mut desk = shared.desk();
        desk.stop();
        shared.work.notify_all();
        shared.room.notify_all();
        let Some(writer) = self.writer.take() else {
            return;
        };
        let me = std::thread::current().id();
        if writer.thread().id() == me || *lock(&shared.reader) == Some(me) {
            return;
        }
        let unfinished = |desk: &mut Desk| !matches!(desk.phase(), Phase::Stopped(_));
        desk = match shared.room.wait_timeout_while(desk, FAREWELL, unfinished) {
            Ok((desk, _)) => desk,
            Err(poisoned) => poisoned.into_inner().0,
        };
        drop(desk);
        if let Some(socket) = &*lock(&shared.socket) {
            // Already gone is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
        // A panic of the writer has been told on its thread; there is nothing to add here.
        let _ = writer.join();
    }
}

/// How long a client that ends waits for its last words to be written.
const FAREWELL: Duration = Duration::from_secs(3);

impl Handle {
    /// Send a message. QoS 0 needs a connection and is finished when it is queued; QoS 1 is kept
    /// until the broker has acknowledged it, across connections and, with a [`FileStore`], across
    /// processes.
    pub fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
        qos: Qos,
        retain: bool,
    ) -> Result<Receipt, Error> {
        let topic = publishable(topic.as_ref())?;
        let payload = sendable(payload.as_ref())?;
        self.ask(Ask::Publish { topic, payload, qos, retain })
    }

    /// Ask for a topic or a pattern. QoS 1 is answered; QoS 0 is finished when it is queued.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>, qos: Qos) -> Result<Receipt, Error> {
        let topic = named(topic.as_ref())?;
        self.ask(Ask::Subscribe { topic, qos })
    }

    /// Take a subscription back. QoS 1 is answered, by brokers that know how.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>, qos: Qos) -> Result<Receipt, Error> {
        let topic = named(topic.as_ref())?;
        self.ask(Ask::Unsubscribe { topic, qos })
    }

    /// Ask something of the queue at `address`: [`Action::Initialize`] creates it, or with a
    /// message puts that in; [`Action::Drain`] hands its items to `return_path`;
    /// [`Action::Destroy`] deletes it. Answers come in the order of the requests. A request that
    /// was on its way when the connection was lost is not repeated: its receipt says `Lost`.
    pub fn queue(
        &self,
        action: Action,
        address: impl AsRef<[u8]>,
        return_path: Option<&[u8]>,
        mark: Option<&[u8]>,
        message: Option<&[u8]>,
    ) -> Result<Receipt, Error> {
        if action == Action::None {
            return Err(Error::Action);
        }
        let address = Some(named(address.as_ref())?);
        let return_path = return_path.map(sendable).transpose()?;
        let mark = mark.map(sendable).transpose()?;
        let message = message.map(sendable).transpose()?;
        let dup = false;
        let id = None;
        self.ask(Ask::Queue(Queue { dup, action, id, address, return_path, mark, message }))
    }

    /// Call the procedure of this topic, or all who serve it: [`CallOptions`]. It needs a
    /// connection, and ends with it.
    pub fn call(
        &self,
        topic: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
        options: CallOptions,
    ) -> Result<Call, Error> {
        let ask = Request {
            id: 0,
            timeout_ms: options.timeout.map_or(0, millis),
            many: options.many,
            pieces: options.pieces,
            topic: publishable(topic.as_ref())?,
            payload: sendable(payload.as_ref())?,
        };
        let shared = &self.shared;
        let mut desk = shared.wait_unless_called_back(Desk::is_full_of_words);
        desk.may_speak()?;
        let (id, queue) = desk.rpc.call(ask)?;
        drop(desk);
        shared.work.notify_one();
        Ok(Call { shared: Arc::clone(shared), id, queue, over: false })
    }

    /// Serve the procedure of this topic from now on; [`Service::granted`] tells whether the broker
    /// agrees. What is asked waits in a queue; when that is full, the broker asks another.
    pub fn serve(&self, topic: impl AsRef<[u8]>, share: Share) -> Result<Service, Error> {
        let topic = publishable(topic.as_ref())?;
        let shared = &self.shared;
        let mut desk = shared.wait_unless_called_back(Desk::is_full_of_words);
        let online = match desk.may_speak() {
            // It is said as soon as there is a connection.
            Err(Error::Offline) => false,
            other => other.map(|()| true)?,
        };
        let (key, queue, receipt) = desk.rpc.serve(&topic, share, online)?;
        drop(desk);
        shared.work.notify_one();
        Ok(Service { shared: Arc::clone(shared), topic, key, queue, receipt })
    }

    /// Is there a connection that the broker has accepted?
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.shared.desk().phase() == Phase::Online
    }

    /// How many requests wait to be sent or answered.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.desk().waiting()
    }

    /// Wait until there is a connection, for `timeout` at most.
    pub fn wait_online(&self, timeout: Duration) -> Result<(), Error> {
        match self.shared.wait_room(timeout, |desk| desk.phase() == Phase::Offline).phase() {
            Phase::Online => Ok(()),
            Phase::Offline => Err(Error::TimedOut),
            Phase::Stopped(reason) => Err(Error::Stopped(reason)),
        }
    }

    fn ask(&self, ask: Ask) -> Result<Receipt, Error> {
        let shared = &self.shared;
        let mut desk = shared.wait_unless_called_back(|desk| desk.must_wait(&ask));
        let receipt = desk.ask(ask)?;
        shared.work.notify_one();
        Ok(receipt)
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// The thread that reads the answers must not wait for room that only answers can make.
    fn wait_unless_called_back(&self, wait: impl Fn(&Desk) -> bool) -> MutexGuard<'_, Desk> {
        let called_back = *lock(&self.reader) == Some(std::thread::current().id());
        if called_back { self.desk() } else { self.wait_room(self.patience, wait) }
    }

    fn wait_room(&self, timeout: Duration, wait: impl Fn(&Desk) -> bool) -> MutexGuard<'_, Desk> {
        match self.room.wait_timeout_while(self.desk(), timeout, |desk| wait(desk)) {
            Ok((desk, _)) => desk,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

/// Nothing is left half done under these locks, so a poisoned one is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At least one: none means that there is no bound.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

fn sendable(blob: &[u8]) -> Result<Bytes, Error> {
    // The count on the wire has 16 bits.
    if blob.len() > usize::from(u16::MAX) {
        return Err(Error::TooLong);
    }
    Ok(Bytes::copy_from_slice(blob))
}

/// A broker hangs up on an empty topic.
fn named(topic: &[u8]) -> Result<Bytes, Error> {
    if topic.is_empty() { Err(Error::Topic) } else { sendable(topic) }
}

/// A broker hangs up on a wildcard here too; resending would then go on for ever.
fn publishable(topic: &[u8]) -> Result<Bytes, Error> {
    if topic.split(|&b| b == b'/').any(|level| level == b"*") {
        return Err(Error::Topic);
    }
    named(topic)
}
