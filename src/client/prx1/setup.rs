//! Floor 5. How a PRX1 client is described before it begins.
//!
//! Plain data and three callbacks, checked once. The backoff is never shorter than 10 ms, so no
//! setting makes a client dial without pause. Absent on purpose: files and the environment.

use std::net::ToSocketAddrs;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::proto::prx1::encode_vec;
use crate::proto::prx1::packet::{Connect, Packet};

use super::desk::{Desk, Phase, WAITING_MAX};
use super::line::{Calls, Line, Plan};
use super::receipt::{Disconnected, Error, Message};
use super::store::{MemoryStore, Store};
use super::{Client, Handle, Shared};

/// Describes a [`Client`].
pub struct Builder {
    address: String,
    connect: Connect,
    heartbeat: Duration,
    backoff: (Duration, Duration),
    max_retry: Option<u32>,
    dial_timeout: Duration,
    patience: Duration,
    queue: (usize, usize),
    give_up: Option<u32>,
    store: Box<dyn Store>,
    calls: Calls,
}

impl Default for Builder {
    fn default() -> Self {
        // The original always says a client id, empty or not; users are registered with one.
        let connect = Connect { client_id: Some(Bytes::new()), ..Connect::default() };
        Self {
            address: "localhost:52909".to_owned(),
            connect,
            heartbeat: Duration::from_secs(2),
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            max_retry: None,
            dial_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            queue: (10_000, 8 << 20),
            give_up: None,
            store: Box::new(MemoryStore::default()),
            calls: Calls::default(),
        }
    }
}

impl Builder {
    /// `host:port`; looked up again for every attempt. Default `localhost:52909`.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Who we are.
    #[must_use]
    pub fn user(mut self, name: impl AsRef<[u8]>) -> Self {
        self.connect.username = some(name.as_ref());
        self
    }

    /// The shared secret, as the broker has it.
    #[must_use]
    pub fn password(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.connect.password = some(secret.as_ref());
        self
    }

    /// The id this user is registered with; usually empty, which is the default.
    #[must_use]
    pub fn client_id(mut self, id: impl AsRef<[u8]>) -> Self {
        self.connect.client_id = Some(Bytes::copy_from_slice(id.as_ref()));
        self
    }

    /// Seconds of silence the broker is asked to bear; 0, the default, asks for nothing.
    #[must_use]
    pub fn keepalive(mut self, seconds: u16) -> Self {
        self.connect.keepalive = (seconds > 0).then_some(seconds);
        self
    }

    /// Ask the broker at every connection to forget what the session was owed.
    #[must_use]
    pub fn clean_start(mut self, yes: bool) -> Self {
        self.connect.clean_start = yes;
        self
    }

    /// Ping after sending nothing for so long. Default 2 s.
    #[must_use]
    pub fn heartbeat(mut self, after: Duration) -> Self {
        self.heartbeat = after;
        self
    }

    /// Wait between attempts: from `min`, doubling, up to `max`; up to half of it is cut off at
    /// random, so that many clients do not return at once. Default 100 ms to 10 s.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = (min, max);
        self
    }

    /// End after so many failed attempts in a row following the first. Default: never.
    #[must_use]
    pub fn max_retry(mut self, attempts: u32) -> Self {
        self.max_retry = Some(attempts);
        self
    }

    /// How long one attempt to reach an address may take. Default 5 s.
    #[must_use]
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// How long a request waits for room before it is refused as `Full`. Default 5 s; inside a
    /// callback nothing waits.
    #[must_use]
    pub fn patience(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// How many requests may wait to be sent or answered, and how many bytes they may have.
    /// Default 10,000 and 8 MiB; at most 48,000.
    #[must_use]
    pub fn queue(mut self, len: usize, bytes: usize) -> Self {
        self.queue = (len, bytes);
        self
    }

    /// Give the oldest unanswered request up (`Refused`) after so many connections in a row on
    /// which nothing was answered. A broker that denies a request hangs up without a word, and
    /// would do so at every repetition. Default: never, since a broker that is merely broken
    /// looks the same.
    #[must_use]
    pub fn give_up_after(mut self, connections: u32) -> Self {
        self.give_up = Some(connections.max(1));
        self
    }

    /// Where QoS 1 messages are kept until they are acknowledged. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Box::new(store);
        self
    }

    /// Called for every message, one at a time. QoS 1 is acknowledged when it returns.
    #[must_use]
    pub fn on_message(mut self, call: impl FnMut(Message, &Handle) + Send + 'static) -> Self {
        self.calls.message = Box::new(call);
        self
    }

    /// Called when the broker has accepted; told whether it resumed a session.
    #[must_use]
    pub fn on_connected(mut self, call: impl FnMut(bool) + Send + 'static) -> Self {
        self.calls.connected = Box::new(call);
        self
    }

    /// Called when a connection has ended, or an attempt came to nothing.
    #[must_use]
    pub fn on_disconnected(mut self, call: impl FnMut(Disconnected) + Send + 'static) -> Self {
        self.calls.disconnected = Box::new(call);
        self
    }

    /// Begin, and do not wait for a connection.
    pub fn start(self) -> Result<Client, Error> {
        let words = encode_vec(&Packet::Connect(self.connect)).map_err(|_| Error::TooLong)?;
        if !self.address.contains(':') {
            return Err(Error::Setting("address"));
        }
        if self.heartbeat.is_zero() {
            return Err(Error::Setting("heartbeat"));
        }
        if self.dial_timeout.is_zero() {
            return Err(Error::Setting("dial_timeout"));
        }
        if self.queue.0 > WAITING_MAX {
            return Err(Error::Setting("queue"));
        }
        let desk = Desk::new(self.store, self.queue, self.give_up)?;
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            work: Condvar::new(),
            room: Condvar::new(),
            socket: Mutex::new(None),
            reader: Mutex::new(None),
            patience: self.patience,
        });
        let min = self.backoff.0.max(Duration::from_millis(10));
        let plan = Plan {
            address: self.address,
            words,
            heartbeat: self.heartbeat,
            backoff: (min, self.backoff.1.max(min)),
            max_retry: self.max_retry,
            dial_timeout: self.dial_timeout,
        };
        let line = Line::new(Arc::clone(&shared), plan, self.calls, Rng::new(seed()));
        let thread = std::thread::Builder::new().name("prx1-writer".to_owned());
        let writer = thread.spawn(move || line.run()).map_err(|e| Error::Thread(e.kind()))?;
        Ok(Client::begin(shared, writer))
    }

    /// Begin, and wait for the first attempt: a connection, or the reason why there is none (and
    /// then no client either).
    pub fn connect(self) -> Result<Client, Error> {
        let client = self.start()?;
        let desk = client.shared.desk();
        let undecided = |desk: &mut Desk| desk.phase() == Phase::Offline && desk.failed.is_none();
        let decided = client.shared.room.wait_while(desk, undecided);
        let desk = decided.unwrap_or_else(PoisonError::into_inner);
        let (phase, failed) = (desk.phase(), desk.failed);
        drop(desk);
        match (phase, failed) {
            (Phase::Online, _) => Ok(client),
            (Phase::Stopped(reason), None) => Err(Error::Stopped(reason)),
            (_, Some(reason)) => Err(Error::Disconnected(reason)),
            (Phase::Offline, None) => Err(Error::TimedOut),
        }
    }
}

impl std::fmt::Debug for Builder {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The addresses of a name; none when it cannot be looked up.
pub(super) fn look_up(address: &str) -> Vec<std::net::SocketAddr> {
    address.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

fn some(blob: &[u8]) -> Option<Bytes> {
    (!blob.is_empty()).then(|| Bytes::copy_from_slice(blob))
}

/// For jitter only, so a machine without entropy still gets a client.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
