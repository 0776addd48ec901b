//! Floor 2. What an administrator asks of the machine, and the rows of the answers.
//!
//! A question is a value: it is answered by whoever sees everything (`engine::admin`), in steps of
//! bounded work. One that is not finished comes back with what it needs to go on, so nothing about
//! it is kept between two steps but by its asker. Rows are plain values and name what they say in
//! the words of the hub; how they are written is for whoever asked. Absent on purpose: JSON, paths.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{ConnId, Lsn, RealmId, SessionId};
use crate::base::words::Tongue;
use crate::topic::Topic;

use super::Held;
use super::bans::Ban;
use super::message::Message;
use super::policy::Address;
use super::session::Kind;
use super::sys::Outside;
use super::watch::{Aim, Line, Note};

/// A session, and the connection that speaks for it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// Whose names its name is one of.
    pub kind: Kind,
    /// Its name; may be empty.
    pub name: Bytes,
    /// Whom it acts for; may be empty.
    pub user: Bytes,
    /// It outlives its connection.
    pub durable: bool,
    /// How long it waits for its owner, in seconds; `u64::MAX`: for ever.
    pub expiry_s: u64,
    /// Since when nobody is connected, in milliseconds since 1970; 0: somebody is, or not known.
    pub away_since: u64,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Deliveries handed out and not settled.
    pub inflight: usize,
    /// How many there may be.
    pub inflight_max: usize,
    /// Deliveries owed and not handed out.
    pub queued: u64,
    /// How many there may be.
    pub queued_max: u64,
    /// What the durable ones weigh, as far as is known.
    pub queued_bytes: usize,
    /// Deliveries given up because there was no room, since the session began or was recovered.
    pub dropped: u64,
    /// The connection, if there is one.
    pub link: Option<LinkRow>,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
pub struct LinkRow {
    /// Where it comes from.
    pub address: Address,
    /// By which listener.
    pub listener: u16,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Its socket takes nothing.
    pub blocked: bool,
    /// What its protocol says about it.
    pub about: About,
}

/// What a protocol says about one of its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// The protocol with its version.
    pub protocol: &'static str,
    /// The keep-alive in force, in seconds; 0: none.
    pub keepalive_s: u64,
    /// It came for a session of this connection only.
    pub clean: bool,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct SubRow {
    /// Whose names the session's name is one of.
    pub kind: Kind,
    /// The session's name.
    pub client: Bytes,
    /// Whom it acts for.
    pub user: Bytes,
    /// The filter as its protocol spells it.
    pub filter: Bytes,
    /// The group it takes turns with; empty: none.
    pub group: Bytes,
    /// At most this quality.
    pub qos: u8,
    /// Not its own publications.
    pub no_local: bool,
    /// Since when, in milliseconds since 1970. One from before this start of the broker: since its
    /// client came, which is when it was there at the latest.
    pub since: u64,
}

/// What rows are in order of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// When the connection came; who is away comes first.
    #[default]
    Since,
    /// The name.
    Name,
    /// The user.
    User,
    /// What is owed.
    Queued,
    /// What was given up.
    Dropped,
}

impl Sort {
    /// By name, as a parameter has it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("since", Self::Since),
        ("id", Self::Name),
        ("user", Self::User),
        ("queued", Self::Queued),
        ("dropped", Self::Dropped),
    ];
}

/// A place in an order: a number, then a text, then the slot, so that no two are alike.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Key {
    /// First.
    pub number: u64,
    /// Then.
    pub text: Bytes,
    /// Then whose names.
    pub kind: u8,
    /// At last.
    pub slot: u32,
    /// The order is the other way round; the same for all that are compared.
    pub down: bool,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let number = self.number.cmp(&other.number);
        let text = || self.text.cmp(&other.text);
        let last = || (self.kind, self.slot).cmp(&(other.kind, other.slot));
        let up = number.then_with(text).then_with(last);
        if self.down { up.reverse() } else { up }
    }
}

impl Key {
    /// Where something with this number stands, as far as the number alone says.
    #[must_use]
    pub fn side_of(&self, number: u64) -> Ordering {
        let up = number.cmp(&self.number);
        if self.down { up.reverse() } else { up }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which sessions.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Connected (`true`), away (`false`), or either.
    pub online: Option<bool>,
    /// Of this protocol.
    pub kind: Option<Kind>,
    /// Name or user has this in it.
    pub text: Bytes,
    /// This user.
    pub user: Option<Bytes>,
    /// This address.
    pub address: Option<Address>,
    /// This one session.
    pub name: Option<Bytes>,
    /// With at least one subscription.
    pub subscribed: bool,
}

/// Looking for sessions in an order, a bounded number of places at a time. Only what fits into a
/// page is kept; a page far behind is come to by several walks. Sessions that stay are found
/// exactly once, whoever comes and goes meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Which.
    pub wanted: Wanted,
    /// In which order.
    pub sort: Sort,
    /// The other way round.
    pub descending: bool,
    /// Behind this place.
    pub after: Option<Key>,
    /// Rows to leave out first.
    pub skip: u64,
    /// Rows wanted.
    pub take: u64,
    /// Rows are subscriptions, not sessions.
    pub subscriptions: bool,
    /// A page ends only behind a whole session.
    pub whole: bool,
    /// What the walk has seen.
    pub walk: Walk,
    /// Rows there are altogether, once the first walk is over.
    pub total: Option<u64>,
    /// Place of the last row that was shown.
    pub last: Option<Key>,
}

/// How far a search has come.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// The next slot.
    pub slot: u32,
    /// Rows seen in this walk.
    pub rows: u64,
    /// Sessions behind `after` in this walk.
    pub behind: u64,
    /// The first of them, with the number of their rows.
    pub best: BinaryHeap<(Key, SessionId, u32)>,
    /// Found, and not shown.
    pub found: VecDeque<(Key, SessionId, u32)>,
    /// Another walk can find more.
    pub more: bool,
    /// It is over.
    pub done: bool,
}

impl Search {
    /// Everything wanted was shown, or there is no more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let walked = self.walk.done && self.walk.found.is_empty() && !self.walk.more;
        let amid = self.whole && self.skip > 0 && !self.walk.found.is_empty();
        self.total.is_some() && (self.take == 0 && !amid || walked)
    }

    /// Rows follow behind what was shown.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.walk.found.is_empty() || self.walk.more
    }

    /// Begin anew, leaving out so many.
    pub fn again(&mut self, skip: u64) {
        (self.skip, self.walk, self.after) = (skip, Walk::default(), None);
    }
}

/// A check of the broker's health.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// It is well.
    pub ok: bool,
    /// The rest of the story.
    pub text: String,
}

/// A listener and who is there.
#[derive(Clone, Debug)]
pub struct ListenerRow {
    /// Its place in the configuration.
    pub no: u16,
    /// What is spoken.
    pub speaks: &'static str,
    /// Where it is bound, if whoever runs the machine has said so.
    pub address: String,
    /// Within TLS.
    pub tls: bool,
    /// Within a WebSocket, or by first bytes.
    pub inside: &'static str,
    /// Trusted proxies announce their clients.
    pub proxy: bool,
    /// What acknowledgements wait for.
    pub level: &'static str,
    /// Open connections.
    pub connections: u32,
    /// Connections that it ever took.
    pub accepted: u64,
    /// Open connections by what they speak, in the order of [`Tongue::ALL`].
    pub by: [u32; Tongue::ALL.len()],
    /// When its certificate ends, in milliseconds since 1970.
    pub until: Option<u64>,
}

/// What only the machine knows about itself.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Since when it runs, in milliseconds since 1970.
    pub started: u64,
    /// For how long, in milliseconds.
    pub uptime_ms: u64,
    /// What time it is, in milliseconds since 1970.
    pub wall: u64,
    /// The listeners.
    pub listeners: Vec<ListenerRow>,
    /// Open connections.
    pub connections: usize,
    /// Of which are clients that are in.
    pub clients: usize,
    /// Of which have not identified themselves.
    pub strangers: u32,
    /// Password checks that wait for a worker or are with one.
    pub checks: usize,
    /// Publishers that wait for room.
    pub stalled: usize,
    /// It goes down.
    pub stopping: bool,
    /// What only the street knows.
    pub outside: Outside,
    /// When the configuration in force was read, and whether the last reading was taken over.
    pub reloaded: (u64, bool),
}

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// Is it well?
    Health,
    /// How is it?
    Stats,
    /// How is it, told to all who watch?
    Watch,
    /// Go on with this search.
    Search(Box<Search>),
    /// The session of this name, connected if `true`.
    Session(Bytes, bool),
    /// Everything about the session of this name.
    Client(Bytes),
    /// Close its connection.
    Kick(Bytes),
    /// Close its connection and forget it.
    Forget(Bytes),
    /// Keep these out, and close their connections.
    Ban(Box<Ban>),
    /// What is kept under this topic.
    Value(RealmId, Topic),
    /// Begin a trace.
    Trace(Aim),
    /// Lines of a trace.
    Lines(u64),
}

/// Everything about a session.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// The session.
    pub session: SessionRow,
    /// Its subscriptions.
    pub subscriptions: Vec<SubRow>,
    /// What happened to it lately.
    pub past: Vec<Note>,
}

/// What only whoever drives the machine can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Read the configuration again.
    Reload,
    /// Take nobody new.
    Drain,
    /// Come to an end.
    Stop,
    /// Open the log's file again.
    Reopen,
    /// Ask the system how long this connection's bytes are under way and back.
    Measure(ConnId),
    /// Say more or less in the log.
    LogLevel {
        /// Of what; empty: of everything.
        target: String,
        /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
        /// For how long, in seconds.
        for_s: u64,
    },
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// The checks.
    Health(Vec<Check>),
    /// Facts.
    Stats(Box<Snapshot>),
    /// How it is, as it is said to all who watch.
    Watched(Bytes),
    /// Some sessions, and how to go on.
    Sessions(Vec<SessionRow>, Box<Search>),
    /// Some subscriptions, and how to go on.
    Subscriptions(Vec<SubRow>, Box<Search>),
    /// The session, if there is one.
    Session(Option<Box<SessionRow>>),
    /// The same with everything about it.
    Client(Option<Box<ClientRow>>),
    /// Done; to be said when the journal is synced up to there.
    Done(Lsn),
    /// The same, and so many connections were closed.
    Ended(u64, Lsn),
    /// There is nobody of that name.
    Nobody,
    /// There are as many as there may be.
    TooMany,
    /// It could not be done, and this is why.
    Held(Held),
    /// The value, if there is one.
    Value(Option<Arc<Message>>),
    /// Ask again when woken.
    Wait(Question),
    /// The trace goes under this number, if there was a place.
    Tracing(Option<u64>),
    /// Lines, and how many found no place.
    Lines(Vec<Line>, u64),
}
