//! Floor 5. How a client of aioconnectors is described before it begins.
//!
//! Plain data, checked once. Files of TLS are read when it dials, so what was handed out is used by
//! the next connection. Absent on purpose: the environment, and configuration files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::aio::heard::What;
use crate::proto::aio::{Name, Text};

use super::desk::OUT_MAX;
use super::halves::Halves;
use super::{Client, Error, Fingerprint, Received};

/// Where the server is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

/// How a client shows who it is, and whom it believes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Security {
    /// No TLS: the name is believed.
    #[default]
    Plain,
    /// TLS that checks nobody (`ssl_allow_all`): whoever is in between reads along.
    AllowAll,
    /// The same hello over TLS with a server that is known by its certificate's fingerprint. None:
    /// whoever it is, and [`Handle::fingerprint`](super::Handle::fingerprint) tells who it was.
    Known(Option<Fingerprint>),
    /// TLS with certificates on both sides. The folder is the one that has `certificates/client` in
    /// it. A client that has only the default certificate asks for its own and keeps it there.
    Certificates(PathBuf),
    /// TLS, and a token for the name.
    Token {
        /// A folder in which the token is kept, in a file that is called as the client.
        tokens: PathBuf,
        /// As with [`Security::Certificates`]: the server is checked, and shown the default
        /// certificate. None: nobody is checked.
        certificates: Option<PathBuf>,
    },
}

/// Takes what comes, in place of the queues of [`Inbox`](super::Inbox); it is called by the thread
/// that reads, and must not wait for anybody.
pub(super) trait Taker: Send + Sync + std::fmt::Debug {
    /// A message or an answer; true: it is to be safe before it is acknowledged. An error: it must
    /// not be acknowledged at all.
    fn take(&self, received: Received) -> Result<bool, Error>;
    /// Is what this says kept, for whoever it is for? Then its file has to be safe, too.
    fn keeps(&self, _: &What) -> bool {
        false
    }
    /// What was taken is acknowledged now: it must be safe. How often that could not be had, of
    /// whatever was taken: if that has grown, it may be so for what has been taken meanwhile.
    fn secure(&self) -> u64;
    /// The connection is lost.
    fn lost(&self);
    /// So many bytes of the other side's are here and not understood yet, where it were so many
    /// before; false: there is no room for them.
    fn holds(&self, _before: usize, _now: usize) -> bool {
        true
    }
    /// The file that is shared under this number has gone with a message, or never will.
    fn sent(&self, _: u64) {}
    /// Something that only a client says, and only to a server.
    fn wished(&self, _: Wish) {}
    /// What a message that was said with this number has come to.
    fn settled(&self, number: u64, done: &Result<(), Error>);
}

/// What a client wants of a server beside messages.
#[derive(Debug)]
pub(super) enum Wish {
    /// Publications of these topics.
    Topics(Vec<Text>),
    /// No publications of these any more.
    NoTopics(Vec<Text>),
    /// This told to who wants publications of the topic.
    Publish(Text, Box<Received>),
}

/// What a client was described as.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) name: Name,
    /// What we call ourselves in what is said: our name, unless we were called.
    pub(super) me: Text,
    /// Who has called, if we are the side that listens.
    pub(super) guest: Option<Name>,
    /// What the server is called in what is said to it.
    pub(super) server: Text,
    pub(super) security: Security,
    /// How long after a connection was lost the next is dialled; none: never.
    pub(super) again: Option<Duration>,
    /// For dialling and being let in.
    pub(super) dial: Duration,
    /// For the answer to the first ping, if that may take longer.
    pub(super) greeting: Option<Duration>,
    /// How long callers wait for room.
    pub(super) patience: Duration,
    pub(super) keep_alive: Option<Duration>,
    /// Where there is a sign of life to be had: a socket that takes nothing for so long is lost.
    pub(super) stuck: Duration,
    pub(super) frame_max: usize,
    pub(super) chunk: usize,
    pub(super) window: usize,
    /// Bytes that may wait to be said before callers wait.
    pub(super) line: usize,
    /// Messages that may wait for whoever receives them, and their bytes.
    pub(super) queue: (usize, usize),
    pub(super) kinds: Vec<Text>,
    pub(super) topics: Vec<Text>,
    pub(super) folders: Vec<(Text, PathBuf)>,
    /// Where others of its files may be that are not whole; none: nowhere.
    pub(super) halves: Option<Halves>,
    pub(super) taker: Option<Arc<dyn Taker>>,
    /// The files that messages name are sent along, up to this length.
    pub(super) attach: Option<u64>,
}

/// Describes a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    plan: Result<Plan, Error>,
}

impl Builder {
    pub(super) fn new(address: &str, name: &str) -> Self {
        Self { plan: plan(address, name) }
    }

    fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        if let Ok(plan) = &mut self.plan {
            change(plan);
        }
        self
    }

    /// How the client shows who it is. Without this: [`Security::Plain`].
    pub fn security(self, security: Security) -> Self {
        self.with(|plan| plan.security = security)
    }

    /// Receive messages of this type from the first moment on: what the server has kept comes right
    /// after the hello. [`Handle::listen`](super::Handle::listen) hands them out.
    pub fn listen(self, kind: &str) -> Self {
        self.with(|plan| plan.kinds.push(kind.into()))
    }

    /// The same for what is published under this topic.
    pub fn subscribe(self, topic: &str) -> Self {
        self.with(|plan| {
            plan.kinds.push(topic.into());
            plan.topics.push(topic.into());
        })
    }

    /// Files that are meant for `dst_type` go below this folder, which must be there. Without it
    /// files come as messages only.
    pub fn folder(self, dst_type: &str, folder: impl Into<PathBuf>) -> Self {
        self.with(|plan| plan.folders.push((dst_type.into(), folder.into())))
    }

    /// Dial again so long after a connection was lost, until it succeeds; `None`: never. Without
    /// this: five seconds, as the original does.
    pub fn reconnect(self, after: Option<Duration>) -> Self {
        self.with(|plan| plan.again = after)
    }

    /// How long dialling and being let in may take. Without this: ten seconds.
    pub fn dial_timeout(self, most: Duration) -> Self {
        self.with(|plan| plan.dial = most)
    }

    /// How long it may take until the first ping is answered, where somebody may have to be asked.
    /// Without this: as long as dialling.
    pub fn greeting(self, most: Duration) -> Self {
        self.with(|plan| plan.greeting = Some(most))
    }

    /// How long callers wait for room. Without this: ten seconds.
    pub fn timeout(self, most: Duration) -> Self {
        self.with(|plan| plan.patience = most)
    }

    /// Ping a server that was silent for so long; a connection on which it stays silent for as long
    /// again is lost. Without this: never.
    pub fn keep_alive(self, period: Option<Duration>) -> Self {
        self.with(|plan| plan.keep_alive = period.filter(|period| !period.is_zero()))
    }

    /// The longest frame that is kept in memory; a longer one ends the connection. Files go past
    /// this, to the disk. Without this: 64 MiB.
    pub fn frame_max(self, bytes: usize) -> Self {
        self.with(|plan| plan.frame_max = bytes.max(1 << 10))
    }

    /// Files longer than this are sent in chunks of this length, which versions since 1.0.33
    /// understand. Without this: 16 MiB.
    pub fn chunk(self, bytes: usize) -> Self {
        self.with(|plan| plan.chunk = bytes.clamp(1, CHUNK_MAX))
    }

    /// How many messages may wait for their acknowledgement before others must wait. Without this:
    /// 64. The original waits for each.
    pub fn window(self, messages: usize) -> Self {
        self.with(|plan| plan.window = messages.max(1))
    }

    /// How many messages, and how many bytes of them, may wait for whoever receives them; more are
    /// dropped and counted. Without this: 1,000 and 64 MiB.
    pub fn queue(self, messages: usize, bytes: usize) -> Self {
        self.with(|plan| plan.queue = (messages.max(1), bytes))
    }

    /// Hand what comes to this.
    pub(super) fn taker(self, taker: Arc<dyn Taker>) -> Self {
        self.with(|plan| plan.taker = Some(taker))
    }

    /// Send the files along that messages name by `src_path`, up to this length; a frame holds
    /// 4 GiB at most. They are opened when their turn has come. Without this no file is.
    pub fn attach(self, bytes: u64) -> Self {
        self.with(|plan| plan.attach = Some(bytes))
    }

    /// What the server is called in what is said to it. Without this: its address as Python writes
    /// a pair.
    pub fn server_name(self, name: &str) -> Self {
        self.with(|plan| plan.server = name.into())
    }

    /// Dial, say who we are, and wait until the server has answered a ping.
    pub fn connect(&self) -> Result<Client, Error> {
        Client::dial(self.plan.clone()?)
    }

    /// What the server is called.
    pub(super) fn server_text(&self) -> Result<Text, Error> {
        self.plan.as_ref().map(|plan| plan.server.clone()).map_err(Clone::clone)
    }

    /// The same without waiting: the client dials until it succeeds, if it is to dial again at all.
    pub fn begin(&self) -> Result<Client, Error> {
        Client::begin(self.plan.clone()?)
    }
}

impl Builder {
    pub(super) fn plan(self) -> Result<Plan, Error> {
        self.plan
    }
}

fn plan(address: &str, name: &str) -> Result<Plan, Error> {
    let named = Name::new(&name.into());
    let name = named.ok_or(Error::Setting("a name is 1 to 128 letters, digits, -, _ and :"))?;
    let place = place(address).ok_or(Error::Setting("an address is HOST:PORT or unix:/PATH"))?;
    let server = match &place {
        Place::Tcp(host, port) => format!("('{host}', {port})"),
        Place::Unix(path) => path.display().to_string(),
    };
    Ok(Plan {
        place,
        me: name.as_str().into(),
        guest: None,
        name,
        server: server.as_str().into(),
        security: Security::Plain,
        again: Some(Duration::from_secs(5)),
        dial: Duration::from_secs(10),
        greeting: None,
        patience: Duration::from_secs(10),
        keep_alive: None,
        stuck: Duration::from_secs(50),
        frame_max: 64 << 20,
        chunk: 16 << 20,
        window: 64,
        line: OUT_MAX,
        queue: (1_000, 64 << 20),
        kinds: Vec::new(),
        topics: Vec::new(),
        folders: Vec::new(),
        halves: None,
        taker: None,
        attach: None,
    })
}

fn place(address: &str) -> Option<Place> {
    if let Some(path) = address.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| Place::Unix(path.into()));
    }
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match bare {
        Some(host) => host,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| Place::Tcp(host.to_owned(), port))
}

/// A chunk is in memory whole.
const CHUNK_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_path() {
        for (good, server) in [
            ("127.0.0.1:10673", "('127.0.0.1', 10673)"),
            ("[::1]:1", "('::1', 1)"),
            ("host:2", "('host', 2)"),
            ("unix:/a/b", "/a/b"),
        ] {
            let plan = plan(good, "me").expect(good);
            assert_eq!(plan.server.as_str(), server);
        }
        for bad in ["", "host", ":1", "::1:1", "host:", "host:65536", "unix:"] {
            assert!(matches!(plan(bad, "me"), Err(Error::Setting(_))), "{bad}");
        }
        assert!(matches!(plan("a:1", "a b"), Err(Error::Setting(_))));
    }
}
