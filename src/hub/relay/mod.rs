//! Floor 2. Relays: pairs of connections whose bytes go from one to the other, and nothing else.
//!
//! A relay has no topics and no sessions. What both ends of a pair must know of each other is here,
//! because neither may reach into the other: the bytes under way (`pipe`), what was counted
//! (`meter`) and where to go (`upstreams`). An end that the other one must act upon is put down as
//! a nudge, which the machine delivers in the same turn. Absent on purpose: what the bytes mean,
//! and dialing.

pub mod kept;
pub mod meter;
pub mod pipe;
pub mod upstreams;

use bytes::BytesMut;

use crate::base::id::{ConnId, PairId};
use crate::base::outbound::Outbound;
use crate::base::slab::Slab;
use crate::base::time::{Deadline, MS, Now};
use crate::hub::policy::Address;

use meter::{Meter, Own};
use pipe::{End, Pipe, Stock};
use upstreams::{Choice, Upstreams};

/// Bytes that may be under way in one direction before its reader is waited for; and when all
/// directions together hold more than their share of the memory.
pub const PIPE_MAX: usize = 64 << 10;
const PIPE_LEAN: usize = 4 << 10;
/// That share.
const HELD_MAX: usize = 64 << 20;

/// What clients are told while no upstream is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Away {
    /// Nothing: the connection is closed.
    #[default]
    Close,
    /// Every request is refused by the relay itself, and the connection stays.
    Nak,
}

/// How a relay goes about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// By which it is found again after a restart: where it listens.
    pub name: String,
    /// Where to, as the configuration has it; at least one.
    pub forward: Vec<String>,
    /// Malformed lines are answered and never passed on.
    pub strict: bool,
    /// What clients are told while no upstream is there.
    pub away: Away,
    /// An upstream that does not accept a connection for so long counts as one that refused.
    pub connect_ms: u64,
    /// A client waits so long for an upstream.
    pub wait_ms: u64,
    /// A request that is not answered for so long ends as if the upstream were gone; 0: never.
    pub answer_ms: u64,
    /// A pair over which nothing goes for so long is ended; 0: never.
    pub idle_ms: u64,
    /// An upstream that nothing was heard of for so long is looked at; 0: only one that refused.
    pub check_ms: u64,
    /// Connections to each upstream.
    pub open_max: u32,
    /// Connections to each upstream that are kept for the next client.
    pub spare_max: usize,
    /// A line may be so long.
    pub line_max: usize,
    /// Rates are told by the millisecond, as the original has it.
    pub milli: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            name: String::new(),
            forward: Vec::new(),
            strict: false,
            away: Away::Close,
            connect_ms: 2_000,
            wait_ms: 5_000,
            answer_ms: 0,
            idle_ms: 0,
            check_ms: 0,
            open_max: 100_000,
            spare_max: 0,
            line_max: 65_536,
            milli: false,
        }
    }
}

/// A relay.
#[derive(Debug)]
pub struct Relay {
    /// How it goes about it.
    pub terms: Terms,
    /// What passed.
    pub meter: Meter,
    /// Where to.
    pub upstreams: Upstreams,
    /// When its figures were last kept.
    kept_at: u64,
}

/// Where a pair is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// There is no upstream and nobody is dialing, until this time at the latest.
    Alone(u64),
    /// This upstream is dialed.
    Dialing(u16),
    /// Bytes go to and fro.
    Joined(u16),
}

/// A client, its upstream, and what is under way between them.
#[derive(Debug)]
pub struct Pair {
    /// Whose.
    pub relay: u16,
    /// Where the client comes from.
    pub from: Address,
    /// Since when it is there.
    pub since: u64,
    /// The client, as long as it is there.
    pub client: Option<ConnId>,
    /// Its upstream, as long as it is there.
    pub upstream: Option<ConnId>,
    /// Where it is.
    pub stage: Stage,
    /// Since when it has the upstream that it has.
    pub joined: u64,
    /// To the upstream.
    pub up: Pipe,
    /// To the client.
    pub down: Pipe,
    /// What is on its way to the client ends between two lines.
    pub between: bool,
    /// Lines of the relay's own for the client, until it stands between two lines.
    pub aside: Vec<u8>,
    /// Counts of this pair.
    pub own: Own,
    /// When something passed last.
    pub moved: u64,
}

/// All relays and their pairs.
#[derive(Debug, Default)]
pub struct Relays {
    all: Vec<Relay>,
    pairs: Slab<PairId, Pair>,
    stock: Stock,
    /// Bytes under way in all pipes.
    held: usize,
    nudged: Vec<(ConnId, PairId)>,
}

impl Relays {
    /// One more; they are numbered as they come.
    pub fn add(&mut self, terms: Terms) {
        let upstreams = Upstreams::new(terms.forward.iter().cloned());
        self.all.push(Relay { terms, meter: Meter::default(), upstreams, kept_at: 0 });
    }

    /// A relay.
    #[must_use]
    pub fn get(&self, relay: u16) -> Option<&Relay> {
        self.all.get(usize::from(relay))
    }

    /// A relay, to count at.
    pub fn get_mut(&mut self, relay: u16) -> Option<&mut Relay> {
        self.all.get_mut(usize::from(relay))
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Relay> {
        self.all.iter()
    }

    /// Pairs there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// All of them, by their places, from this place on.
    pub fn pairs_from(&self, first: u32) -> impl Iterator<Item = (u32, &Pair)> {
        let all = self.pairs.iter().map(|(id, pair)| (id.index, pair));
        all.skip_while(move |(place, _)| *place < first)
    }

    /// A pair.
    #[must_use]
    pub fn pair(&self, id: PairId) -> Option<&Pair> {
        self.pairs.get(id)
    }

    /// A pair and its relay.
    pub fn both(&mut self, id: PairId) -> Option<(&mut Pair, &mut Relay)> {
        let pair = self.pairs.get_mut(id)?;
        let relay = self.all.get_mut(usize::from(pair.relay))?;
        Some((pair, relay))
    }

    /// A client came.
    pub fn open(&mut self, now: Now, relay: u16, client: ConnId, from: Address) -> PairId {
        self.pairs.insert_with(|_| Pair {
            relay,
            from,
            since: now.mono,
            client: Some(client),
            upstream: None,
            stage: Stage::Alone(now.mono),
            joined: 0,
            up: Pipe::default(),
            down: Pipe::default(),
            between: true,
            aside: Vec::new(),
            own: Own::default(),
            moved: now.mono,
        })
    }

    /// Find an upstream for a pair that has none. A connection that was laid by is joined at once.
    pub fn seek(&mut self, now: Now, id: PairId) -> Option<Choice> {
        let (pair, relay) = self.both(id)?;
        let choice = relay.upstreams.choose(now.mono, relay.terms.open_max);
        match choice {
            Choice::Use(at, conn) => {
                (pair.upstream, pair.stage) = (Some(conn), Stage::Joined(at));
                pair.joined = now.mono;
                let client = pair.client;
                self.nudged.push((conn, id));
                self.nudged.extend(client.map(|client| (client, id)));
            }
            Choice::Dial(at) => pair.stage = Stage::Dialing(at),
            Choice::Later(at) => pair.stage = Stage::Alone(at),
            Choice::Full => pair.stage = Stage::Alone(now.mono + FULL_MS * MS),
        }
        Some(choice)
    }

    /// There is no room for a connection to this upstream; look again soon.
    pub fn on_full(&mut self, now: Now, relay: u16, at: u16, pair: Option<PairId>) {
        if let Some(relay) = self.get_mut(relay) {
            relay.upstreams.on_full(at, now.mono);
        }
        let Some((id, (pair, _))) = pair.and_then(|id| Some((id, self.both(id)?))) else { return };
        pair.stage = Stage::Alone(now.mono + FULL_MS * MS);
        let client = pair.client;
        self.nudge(client.map(|client| (client, id)));
    }

    /// Somebody must act upon what happened to its pair.
    pub fn nudge(&mut self, whom: Option<(ConnId, PairId)>) {
        self.nudged.extend(whom);
    }

    /// Whoever must act, once for each nudge.
    pub fn poll_nudged(&mut self) -> Option<(ConnId, PairId)> {
        self.nudged.pop()
    }

    /// Whoever was to act is gone: a connection that was laid by and ended before it could be told
    /// of its new pair.
    pub fn on_undelivered(&mut self, conn: ConnId, id: PairId) {
        let Some((pair, relay)) = self.both(id) else { return };
        if pair.upstream != Some(conn) {
            return;
        }
        pair.upstream = None;
        if let Stage::Joined(at) = pair.stage {
            relay.upstreams.on_gone(at);
            pair.stage = Stage::Dialing(at);
        }
        let client = pair.client;
        self.nudge(client.map(|client| (client, id)));
        self.close(id);
    }

    /// Somebody must act.
    #[must_use]
    pub fn has_nudged(&self) -> bool {
        !self.nudged.is_empty()
    }

    /// An upstream that is to be looked at without a client: of which relay, and which.
    pub fn to_probe(&mut self, now: Now) -> Option<(u16, u16)> {
        let mut all = self.all.iter_mut().enumerate();
        all.find_map(|(no, relay)| {
            let every = relay.terms.check_ms.saturating_mul(MS);
            Some((no as u16, relay.upstreams.to_probe(now.mono, every)?))
        })
    }

    /// When `to_probe` may have somebody.
    #[must_use]
    pub fn probe_at(&self) -> Option<Deadline> {
        let at = |relay: &Relay| relay.upstreams.probe_at(relay.terms.check_ms.saturating_mul(MS));
        self.all.iter().filter_map(at).min().map(Deadline)
    }

    /// What the client said goes up; it is taken out of `bytes`.
    pub fn push_up(&mut self, id: PairId, bytes: &mut BytesMut) {
        if let Some(pair) = self.pairs.get_mut(id) {
            self.held += bytes.len();
            pair.up.push(bytes, &mut self.stock);
        }
        bytes.clear();
    }

    /// A whole line of the client's goes up.
    pub fn put_up(&mut self, id: PairId, line: &[u8]) {
        if let Some(pair) = self.pairs.get_mut(id) {
            self.held += line.len();
            pair.up.put(line, &mut self.stock);
        }
    }

    /// What the upstream said goes down, and ends between two lines or within one.
    pub fn push_down(&mut self, id: PairId, bytes: &mut BytesMut, between: bool) {
        if let Some(pair) = self.pairs.get_mut(id) {
            self.held += bytes.len();
            pair.down.push(bytes, &mut self.stock);
            pair.between = between;
        }
        bytes.clear();
        self.put_aside(id, b"");
    }

    /// A line of the relay's own for the client: as soon as it would stand between two others.
    pub fn put_aside(&mut self, id: PairId, line: &[u8]) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        pair.aside.extend_from_slice(line);
        if pair.between && !pair.aside.is_empty() {
            let aside = core::mem::take(&mut pair.aside);
            self.held += aside.len();
            pair.down.put(&aside, &mut self.stock);
        }
    }

    /// Say what is for the client, or for the upstream. True: there is more.
    pub fn speak(&mut self, id: PairId, up: bool, out: &mut Outbound, most: usize) -> bool {
        let Some(pair) = self.pairs.get_mut(id) else { return false };
        let pipe = if up { &mut pair.up } else { &mut pair.down };
        let (before, len) = (pipe.end(), pipe.len());
        let more = pipe.speak(out, most, &mut self.stock);
        self.held -= len - pipe.len();
        if pipe.end() != before && pair.is_over() {
            self.nudged.extend(pair.client.map(|client| (client, id)));
        }
        more
    }

    /// Nobody takes what the client said: forget it. How many bytes that were.
    pub fn drop_up(&mut self, id: PairId) -> usize {
        let dropped = self.pairs.get_mut(id).map_or(0, |pair| pair.up.drop_all());
        self.held -= dropped;
        dropped
    }

    /// The client may be read from.
    #[must_use]
    pub fn takes_up(&self, id: PairId) -> bool {
        let own = |pair: &Pair| pair.down.len() + pair.aside.len() < 2 * PIPE_MAX;
        self.pairs.get(id).is_some_and(|pair| pair.up.len() < self.room() && own(pair))
    }

    /// The upstream may be read from.
    #[must_use]
    pub fn takes_down(&self, id: PairId) -> bool {
        self.pairs.get(id).is_some_and(|pair| pair.down.len() < self.room())
    }

    /// What may be under way in one direction now.
    fn room(&self) -> usize {
        if self.held < HELD_MAX { PIPE_MAX } else { PIPE_LEAN }
    }

    /// Bytes under way in all pipes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Neither side is there any more.
    pub fn close(&mut self, id: PairId) {
        let Some((pair, relay)) = self.both(id) else { return };
        if pair.client.is_none() && pair.upstream.is_none() {
            pair.own.end(&mut relay.meter);
            let left = pair.up.len() + pair.down.len();
            self.held -= left;
            self.pairs.remove(id);
        }
    }
}

impl Pair {
    /// Both have said all, and were told so.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.up.end() == End::Passed && self.down.end() == End::Passed
    }

    /// Since when the upstream that it has owes an answer; it was asked no earlier than it came.
    #[must_use]
    pub fn asked_since(&self) -> Option<u64> {
        let joined = matches!(self.stage, Stage::Joined(_)) && self.upstream.is_some();
        self.own.waits_since().filter(|_| joined).map(|asked| asked.max(self.joined))
    }

    /// Its upstream has been asked nothing that it did not answer, and stands between two lines:
    /// the next client may have it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let joined = matches!(self.stage, Stage::Joined(_));
        let still = self.up.is_empty() && self.down.is_empty() && self.between;
        let open = self.up.end() == End::Open && self.down.end() == End::Open;
        joined && still && open && self.own.is_settled()
    }
}

/// When all upstreams have as many connections as they may, whoever waits looks again so soon.
const FULL_MS: u64 = 50;
