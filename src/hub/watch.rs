//! Floor 2. What happened, kept for whoever asks later, and shown to whoever watches now.
//!
//! Every event passes here on its way to the observer. With the history on, the last few of each
//! client stay, and of clients the last few: "why did this one leave" has an answer. A trace is a
//! question that stays open: events of one client, topic or address wait in a short queue until
//! its viewer takes them, and those that find no place are counted. Nobody watching costs a
//! comparison. Absent on purpose: passwords (no event has one), and whole payloads.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::bucket::Bucket;
use crate::base::id::ConnId;
use crate::base::map::{Map, Seed, Set};
use crate::base::time::Now;
use crate::topic::{Dialect, Filter, Plus, Topic};

use super::message::Delivery;
use super::policy::{Access, Address, Event, Observer, Principal, Refusal};

/// Events of a client.
const NOTES: usize = 32;
/// Lines that wait for the viewer of a trace.
const LINES: usize = 512;
/// Lines of a trace in a second.
const LINES_S: u64 = 200;
/// Traces at a time.
const TRACES: usize = 8;
/// Bytes shown of a payload.
const SHOWN: usize = 256;
/// Bytes of a detail.
const DETAIL: usize = 160;

/// Something that happened to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What, in one word.
    pub what: &'static str,
    /// The rest of the story.
    pub detail: Box<str>,
}

/// A line of a trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What, in one word.
    pub what: &'static str,
    /// To or by whom.
    pub client: Bytes,
    /// About which topic or filter.
    pub topic: Bytes,
    /// The beginning of the payload.
    pub payload: Bytes,
    /// Length of all of it.
    pub len: usize,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Kept, or a kept value.
    pub retain: bool,
    /// The rest of the story.
    pub detail: String,
}

/// What a trace is to show.
#[derive(Clone, Debug)]
pub enum Aim {
    /// One client.
    Client(Bytes),
    /// Topics.
    Topics(Box<Filter>),
    /// Everybody who comes from there.
    Address(Address),
}

#[derive(Debug)]
struct Trace {
    id: u64,
    aim: Aim,
    /// Connections and names that it is about, as they come up.
    conns: Set<ConnId>,
    names: Set<Bytes>,
    lines: VecDeque<Line>,
    pace: Bucket,
    lost: u64,
}

#[derive(Debug)]
struct Past {
    notes: VecDeque<Note>,
    /// Its newest place in the order of use.
    used: u64,
}

#[derive(Debug)]
struct History {
    clients: Map<Bytes, Past>,
    /// Clients by use, oldest first; one may stand here several times, and only its newest place
    /// counts.
    order: VecDeque<(u64, Bytes)>,
    uses: u64,
    clients_max: usize,
}

/// Makes a body, to be shown, of a message's properties and what it carries; none: as it is.
pub type Show = fn(props: &[u8], carried: &[u8]) -> Option<Bytes>;

/// Passes events on, and keeps what is wanted of them.
pub struct Watch {
    /// For messages that came with something else than a body.
    pub show: Option<Show>,
    observer: Box<dyn Observer>,
    history: Option<History>,
    traces: Vec<Trace>,
    next: u64,
    seed: Seed,
}

impl Watch {
    /// Passes everything on and keeps nothing.
    #[must_use]
    pub fn new(observer: Box<dyn Observer>, seed: Seed) -> Self {
        Self { show: None, observer, history: None, traces: Vec::new(), next: 1, seed }
    }

    /// From now on keep the last events of so many clients.
    pub fn remember(&mut self, clients_max: usize) {
        let clients = Map::with_hasher(self.seed.clone());
        let order = VecDeque::new();
        self.history = Some(History { clients, order, uses: 0, clients_max });
    }

    /// This happened.
    pub fn see(&mut self, now: Now, event: &Event<'_>) {
        if self.history.is_some() {
            self.keep(now, event);
        }
        if !self.traces.is_empty() {
            self.trace(now, event);
        }
        self.observer.see(now, event);
    }

    /// A client's connection ended.
    pub fn ended(&mut self, now: Now, conn: ConnId, name: &Bytes, reason: &'static str) {
        if !name.is_empty() {
            self.note(now, name, "disconnected", reason);
        }
        for trace in &mut self.traces {
            if trace.conns.remove(&conn) || trace.names.contains(name) {
                let line = line(now, "disconnected", name.clone());
                trace.push(now, Line { detail: reason.to_owned(), ..line });
            }
        }
    }

    /// What is known of a client's past, oldest first.
    #[must_use]
    pub fn past(&self, name: &Bytes) -> Vec<Note> {
        let past = self.history.as_ref().and_then(|history| history.clients.get(name));
        past.map(|past| past.notes.iter().cloned().collect()).unwrap_or_default()
    }

    fn note(&mut self, now: Now, name: &Bytes, what: &'static str, detail: &str) {
        let Some(history) = &mut self.history else { return };
        let mut end = detail.len().min(DETAIL);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        let detail = detail.get(..end).unwrap_or_default().into();
        history.add(name, Note { at: now.wall, what, detail });
    }

    fn keep(&mut self, now: Now, event: &Event<'_>) {
        match *event {
            Event::LoggedIn { protocol, who, client_id, .. } => {
                let name = if client_id.is_empty() { &who.user[..] } else { client_id };
                let name = Bytes::copy_from_slice(name);
                let user = String::from_utf8_lossy(&who.user);
                self.note(now, &name, "connected", &format!("{protocol} user {user}"));
            }
            Event::Subscribed { who, filter } => {
                self.note(now, name_of(who), "subscribed", &spelled(filter));
            }
            Event::Unsubscribed { who, filter } => {
                self.note(now, name_of(who), "unsubscribed", &spelled(filter));
            }
            Event::Denied { who, why, .. } => self.note(now, name_of(who), "denied", why),
            Event::Dropped { user, topic, reason } => {
                let detail = format!("{} {}", String::from_utf8_lossy(topic.text()), reason.word());
                self.note(now, &Bytes::copy_from_slice(user), "dropped", &detail);
            }
            Event::Limited { who, limit, .. } if self.knows(who) => {
                self.note(now, &Bytes::copy_from_slice(who), "limited", limit.name());
            }
            // Whose session somebody else wanted is told so.
            Event::Refused { client_id, why: Refusal::Anothers, .. } if self.knows(client_id) => {
                let detail = Refusal::Anothers.to_string();
                self.note(now, &Bytes::copy_from_slice(client_id), "refused", &detail);
            }
            // Whoever is refused may call itself anything: it makes nobody known.
            Event::Refused { user, why, .. } if self.knows(user) => {
                self.note(now, &Bytes::copy_from_slice(user), "refused", &why.to_string());
            }
            _ => {}
        }
    }

    fn knows(&self, name: &[u8]) -> bool {
        self.history.as_ref().is_some_and(|history| history.clients.contains_key(name))
    }
}

impl History {
    fn add(&mut self, name: &Bytes, note: Note) {
        self.uses += 1;
        let name = Bytes::copy_from_slice(name);
        let fresh = || Past { notes: VecDeque::new(), used: 0 };
        let past = self.clients.entry(name.clone()).or_insert_with(fresh);
        past.used = self.uses;
        if past.notes.len() == NOTES {
            past.notes.pop_front();
        }
        past.notes.push_back(note);
        self.order.push_back((self.uses, name));
        self.forget();
    }

    /// The one that was longest without an event goes first.
    fn forget(&mut self) {
        while let Some((used, name)) = self.order.front() {
            let newest = self.clients.get(name).is_some_and(|past| past.used == *used);
            if newest && self.clients.len() <= self.clients_max {
                // What is behind is newer still; places that mean nothing are few enough.
                if self.order.len() <= 2 * self.clients_max.max(16) {
                    return;
                }
                let again = self.order.pop_front();
                self.order.extend(again);
                continue;
            }
            if newest {
                self.clients.remove(name);
            }
            self.order.pop_front();
        }
    }
}

impl Watch {
    /// Begin to trace; nothing when there are enough traces. `here`: connections and names it is
    /// about already.
    pub fn begin(&mut self, aim: Aim, here: Vec<(ConnId, Bytes)>) -> Option<u64> {
        if self.traces.len() >= TRACES {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let mut trace = Trace {
            id,
            aim,
            conns: Set::with_hasher(self.seed.clone()),
            names: Set::with_hasher(self.seed.clone()),
            lines: VecDeque::new(),
            pace: Bucket::new(LINES_S, LINES_S),
            lost: 0,
        };
        if let Aim::Client(name) = &trace.aim {
            trace.names.insert(name.clone());
        }
        for (conn, name) in here {
            trace.conns.insert(conn);
            trace.names.extend(Some(name).filter(|name| !name.is_empty()));
        }
        self.traces.push(trace);
        Some(id)
    }

    /// Its viewer is gone.
    pub fn end(&mut self, id: u64) {
        self.traces.retain(|trace| trace.id != id);
    }

    /// Up to `most` lines, and how many found no place since the last time.
    pub fn take(&mut self, id: u64, most: usize) -> (Vec<Line>, u64) {
        let Some(trace) = self.traces.iter_mut().find(|trace| trace.id == id) else {
            return (Vec::new(), 0);
        };
        let some = trace.lines.len().min(most);
        (trace.lines.drain(..some).collect(), core::mem::take(&mut trace.lost))
    }

    /// Is anybody watching deliveries?
    #[must_use]
    pub fn is_tracing(&self) -> bool {
        !self.traces.is_empty()
    }

    /// A payload came with the last publication that was seen, and beside it properties.
    pub fn payload(&mut self, topic: &Topic, props: &[u8], payload: &[u8]) {
        for trace in &mut self.traces {
            let last = trace.lines.back_mut();
            if let Some(last) = last.filter(|l| l.what == "published" && l.topic == topic.text()) {
                (last.payload, last.len) = shown(self.show, props, payload);
            }
        }
    }

    /// A delivery is handed to its reader.
    pub fn delivered(&mut self, now: Now, name: &Bytes, delivery: &Delivery) {
        for trace in &mut self.traces {
            let message = &delivery.message;
            if trace.names.contains(name) || trace.wants(&message.topic) {
                let (payload, len) = shown(self.show, &message.props, &message.body);
                trace.push(
                    now,
                    Line {
                        topic: message.topic.text().clone(),
                        payload,
                        len,
                        qos: delivery.qos,
                        retain: delivery.retain,
                        ..line(now, "delivered", name.clone())
                    },
                );
            }
        }
    }

    fn trace(&mut self, now: Now, event: &Event<'_>) {
        for trace in &mut self.traces {
            if let Some(line) = trace.look(now, event) {
                trace.push(now, line);
            }
        }
    }
}

impl Trace {
    fn wants(&self, topic: &Topic) -> bool {
        matches!(&self.aim, Aim::Topics(filter) if filter.matches(topic))
    }

    fn push(&mut self, now: Now, line: Line) {
        if self.lines.len() >= LINES || !self.pace.take(now.mono, 1) {
            self.lost += 1;
            return;
        }
        self.lines.push_back(line);
    }

    /// What it shows of this event, if anything.
    fn look(&mut self, now: Now, event: &Event<'_>) -> Option<Line> {
        let about = |who: &Principal| self.names.contains(name_of(who));
        match *event {
            Event::Opened { conn, address, .. } | Event::Forwarded { conn, address } => {
                let mine = matches!(self.aim, Aim::Address(aim) if aim == address);
                mine.then(|| {
                    self.conns.insert(conn);
                    Line { detail: address.to_string(), ..line(now, "opened", Bytes::new()) }
                })
            }
            Event::LoggedIn { conn, protocol, who, client_id, .. } => {
                let name = if client_id.is_empty() { &who.user[..] } else { client_id };
                let name = Bytes::copy_from_slice(name);
                let mine = self.conns.contains(&conn) || self.names.contains(&name);
                mine.then(|| {
                    self.conns.insert(conn);
                    self.names.insert(name.clone());
                    Line { detail: protocol.to_owned(), ..line(now, "connected", name) }
                })
            }
            Event::Refused { conn, user, client_id, why, .. } => {
                let user = Bytes::copy_from_slice(user);
                let wanted = why == Refusal::Anothers && self.names.contains(client_id);
                let mine = wanted || self.conns.contains(&conn) || self.names.contains(&user);
                mine.then(|| Line { detail: why.to_string(), ..line(now, "refused", user) })
            }
            Event::Fault { conn, clause, text } => self.conns.contains(&conn).then(|| {
                let detail = format!("{text} [{clause}]");
                Line { detail, ..line(now, "fault", Bytes::new()) }
            }),
            Event::Subscribed { who, filter } => about(who)
                .then(|| Line { detail: spelled(filter), ..line(now, "subscribed", own(who)) }),
            Event::Unsubscribed { who, filter } => about(who)
                .then(|| Line { detail: spelled(filter), ..line(now, "unsubscribed", own(who)) }),
            Event::Published { who, topic, len, qos, retain } => (about(who) || self.wants(topic))
                .then(|| Line {
                    topic: topic.text().clone(),
                    len,
                    qos,
                    retain,
                    ..line(now, "published", own(who))
                }),
            Event::Dropped { user, topic, reason } => {
                let user = Bytes::copy_from_slice(user);
                (self.names.contains(&user) || self.wants(topic)).then(|| Line {
                    topic: topic.text().clone(),
                    detail: reason.word().to_owned(),
                    ..line(now, "dropped", user)
                })
            }
            Event::Denied { who, access, why, .. } => {
                let topic = match access {
                    Access::Publish(topic) | Access::Receive(topic) | Access::Request(topic) => {
                        topic.text().clone()
                    }
                    Access::Subscribe(_) => Bytes::new(),
                };
                about(who).then(|| Line {
                    topic,
                    detail: why.to_owned(),
                    ..line(now, "denied", own(who))
                })
            }
            _ => None,
        }
    }
}

/// A filter as MQTT writes it, or, if it has no words for it, its parts.
fn spelled(filter: &Filter) -> String {
    let mut text = Vec::new();
    match (Plus { levels_max: usize::MAX }).spell_filter(filter, &mut text) {
        true => String::from_utf8_lossy(&text).into_owned(),
        false => format!("{filter:?}"),
    }
}

fn line(now: Now, what: &'static str, client: Bytes) -> Line {
    Line {
        at: now.wall,
        what,
        client,
        topic: Bytes::new(),
        payload: Bytes::new(),
        len: 0,
        qos: 0,
        retain: false,
        detail: String::new(),
    }
}

fn own(who: &Principal) -> Bytes {
    name_of(who).clone()
}

/// What a client is known by.
fn name_of(who: &Principal) -> &Bytes {
    if who.client_id.is_empty() { &who.user } else { &who.client_id }
}

/// The beginning of a payload, apart from the buffer it came in, and how long all of it is.
fn shown(show: Option<Show>, props: &[u8], payload: &[u8]) -> (Bytes, usize) {
    let made = show.filter(|_| !props.is_empty()).and_then(|show| show(props, payload));
    let payload = made.as_deref().unwrap_or(payload);
    (Bytes::copy_from_slice(payload.get(..SHOWN).unwrap_or(payload)), payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Tail;

    #[derive(Debug)]
    struct Deaf;

    impl Observer for Deaf {
        fn see(&mut self, _: Now, _: &Event<'_>) {}
    }

    fn watch() -> Watch {
        Watch::new(Box::new(Deaf), Seed::with_seed(1))
    }

    fn at(ms: u64) -> Now {
        Now { mono: ms * crate::base::time::MS, wall: ms }
    }

    fn who(name: &str) -> Principal {
        let client_id = Bytes::copy_from_slice(name.as_bytes());
        Principal { client_id, ..Principal::default() }
    }

    fn login(watch: &mut Watch, n: u32, name: &str) {
        let conn = ConnId { index: n, life: 0 };
        let (who, client_id) = (&who(name), name.as_bytes());
        let login = Event::LoggedIn { conn, protocol: "mqtt", who, client_id, terms: None };
        watch.see(at(n.into()), &login);
    }

    #[test]
    fn a_client_s_last_events_stay_and_only_so_many_clients_do() {
        let mut watch = watch();
        login(&mut watch, 1, "early");
        assert!(watch.past(&"early".into()).is_empty(), "the history is off");
        watch.remember(3);
        for n in 0..100 {
            login(&mut watch, n, "busy");
            login(&mut watch, n, &format!("c{n}"));
        }
        let busy = watch.past(&"busy".into());
        assert_eq!((busy.len(), busy[NOTES - 1].at), (NOTES, 99));
        assert_eq!(watch.past(&"c99".into()).len(), 1);
        assert!(watch.past(&"c90".into()).is_empty());
        let history = watch.history.as_ref().expect("it is on");
        assert!(history.clients.len() <= 3 && history.order.len() <= 64);
        let conn = ConnId { index: 1, life: 0 };
        watch.ended(at(200), conn, &"busy".into(), "keep_alive");
        let last = watch.past(&"busy".into()).pop().expect("a note");
        assert_eq!((last.what, &*last.detail), ("disconnected", "keep_alive"));
    }

    #[test]
    fn a_trace_shows_its_own_and_counts_what_is_too_much() {
        let mut watch = watch();
        let all = Filter { segs: smallvec::SmallVec::new(), tail: Tail::Rest };
        let one = watch.begin(Aim::Client("a".into()), Vec::new()).expect("a place");
        let topics = watch.begin(Aim::Topics(Box::new(all)), Vec::new()).expect("another");
        let topic = Topic::split(Bytes::from_static(b"t/1"), b'/');
        for (n, name) in [(1, "a"), (2, "b")] {
            login(&mut watch, n, name);
            let (who, topic) = (&who(name), &topic);
            watch.see(at(2), &Event::Published { who, topic, len: 3, qos: 1, retain: false });
            watch.payload(topic, &[], &[7; 1_000]);
        }
        let (lines, lost) = watch.take(one, 10);
        let seen: Vec<_> = lines.iter().map(|l| (l.what, l.payload.len())).collect();
        assert_eq!((seen, lost), (vec![("connected", 0), ("published", SHOWN)], 0));
        assert_eq!(watch.take(topics, 10).0.len(), 2, "both publications, no logins");
        for _ in 0..1_000 {
            let (who, topic) = (&who("a"), &topic);
            watch.see(at(3), &Event::Published { who, topic, len: 3, qos: 1, retain: false });
        }
        let (lines, lost) = watch.take(one, 1_000);
        assert_eq!(lines.len() as u64 + lost, 1_000);
        assert!(lost >= 800, "{lost}");
        watch.end(one);
        assert_eq!(watch.take(one, 1), (Vec::new(), 0));
    }
}
