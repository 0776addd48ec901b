//! Floor 5. The broker as a specification: plain lists and sets, slow and obvious.
//!
//! It is told what the broker says it has taken in, in that order, and what clients hear. From the
//! first it knows who is owed what; the second must agree. Where a crash leaves a choice (what was
//! taken in and never acknowledged may be there or not) it takes whatever the broker recovered,
//! after checking that it is one of the legal choices. Absent on purpose: any code of the hub.

use std::collections::{BTreeMap, BTreeSet};

/// What may not be, in words.
pub type Wrong = String;

/// Does the filter match the topic? As the protocol's description has it.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    let (f, t): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    let open = f.last() == Some(&"*");
    let long_enough = if open { t.len() >= f.len() } else { t.len() == f.len() };
    long_enough && f.iter().zip(&t).all(|(f, t)| *f == "*" || f == t)
}

/// How a message came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Published.
    Published,
    /// A copy that must be swallowed.
    Copy,
    /// An item of the queue with this number; durable or not.
    Item(usize, bool),
}

/// One transmission of a message by a client: every one has its own number.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// As sent.
    pub qos: u8,
    /// As sent.
    pub retain: bool,
    /// Length of the body.
    pub len: usize,
    /// How it came to be.
    pub kind: Kind,
    /// It is of use for so many seconds.
    pub expiry_s: Option<u32>,
    /// Until this wall-clock millisecond, once it was taken in.
    pub expires: Option<u64>,
    /// How many writes the disk had seen at the end of the turn that took it in.
    pub written: u64,
    /// Its place among all that the broker took in.
    pub taken: Option<u64>,
    /// Its sender has heard the acknowledgement.
    pub acked: bool,
    /// Whom it is owed to, at which quality, and in which life of what they are owed.
    owed: BTreeMap<usize, (u8, u32)>,
    /// A crash may have lost it.
    pub lost: bool,
    /// Who has heard it live.
    heard: BTreeSet<usize>,
    /// Who has acknowledged it for sure, since the last crash.
    settled: BTreeSet<usize>,
    /// Where it was heard under another topic: items of a queue.
    heard_at: u32,
}

/// One reader and filter: the state at the last start, and what happened since.
#[derive(Clone, Debug)]
pub(super) struct History<T> {
    base: Option<T>,
    ops: Vec<(Option<T>, bool)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { base: None, ops: Vec::new() }
    }
}

impl<T: Copy> History<T> {
    /// It came back like this.
    pub(super) fn of(base: Option<T>) -> Self {
        Self { base, ops: Vec::new() }
    }

    pub(super) fn now(&self) -> Option<T> {
        self.ops.last().map_or(self.base, |(state, _)| *state)
    }

    /// All that it was since the last start.
    pub(super) fn ever(&self) -> impl Iterator<Item = T> {
        self.base.into_iter().chain(self.ops.iter().filter_map(|(state, _)| *state))
    }

    /// This happened; its number.
    pub(super) fn push(&mut self, state: Option<T>) -> usize {
        self.ops.push((state, false));
        self.ops.len() - 1
    }

    /// The acknowledgement of that operation was heard.
    pub(super) fn acked(&mut self, op: usize) {
        if let Some(op) = self.ops.get_mut(op) {
            op.1 = true;
        }
    }

    /// States that a crash may leave.
    pub(super) fn legal(&self, promises: bool) -> Vec<Option<T>> {
        let acked = self.ops.iter().rposition(|(_, acked)| *acked && promises);
        let mut all: Vec<Option<T>> = self.ops.iter().map(|(state, _)| *state).collect();
        match acked {
            Some(at) => all.drain(..at).for_each(drop),
            None => all.push(self.base),
        }
        all
    }
}

#[derive(Clone, Debug, Default)]
struct User {
    subs: BTreeMap<String, History<u8>>,
    /// Every filter ever subscribed to.
    ever: BTreeSet<String>,
    life: u32,
    wiped_at: Option<u64>,
    welcomed: bool,
}

/// A topic's last values: who was it, and could a crash have undone it.
#[derive(Clone, Debug, Default)]
struct Values {
    /// What each message left behind, and its number; the last is current. `None`: nothing.
    ops: Vec<(Option<usize>, Option<usize>)>,
    /// Anything from here on may be what is kept.
    from: usize,
    /// The same at the last crash.
    floor: usize,
}

/// The broker, as it should be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Every transmission.
    pub messages: Vec<Message>,
    users: Vec<User>,
    values: BTreeMap<String, Values>,
    taken: u64,
    crashes: u32,
    wipes: u32,
}

impl Model {
    /// With so many users.
    #[must_use]
    pub fn new(users: usize) -> Self {
        Self { users: vec![User::default(); users], ..Self::default() }
    }

    /// A client is about to send this; its number.
    pub fn send(&mut self, topic: &str, qos: u8, retain: bool, kind: Kind) -> usize {
        self.messages.push(Message {
            topic: topic.to_owned(),
            qos,
            retain,
            len: 0,
            kind,
            expiry_s: None,
            expires: None,
            written: 0,
            taken: None,
            acked: false,
            owed: BTreeMap::new(),
            lost: false,
            heard: BTreeSet::new(),
            settled: BTreeSet::new(),
            heard_at: 0,
        });
        self.messages.len() - 1
    }

    /// A login succeeded.
    pub fn logged_in(&mut self, user: usize, clean: bool) {
        if clean {
            self.wipes += 1;
            let user = &mut self.users[user];
            user.life += 1;
            user.wiped_at = Some(self.taken);
        }
    }

    /// A client heard that it is welcome.
    pub fn welcomed(&mut self, user: usize) {
        self.users[user].welcomed = true;
    }

    /// The broker took in a subscription; the number of the operation.
    pub fn subscribed(&mut self, user: usize, filter: &str, qos: u8) -> usize {
        self.users[user].ever.insert(filter.to_owned());
        self.operate(user, filter, Some(qos.min(1)))
    }

    /// The broker ended a subscription.
    pub fn unsubscribed(&mut self, user: usize, filter: &str) -> usize {
        self.operate(user, filter, None)
    }

    fn operate(&mut self, user: usize, filter: &str, state: Option<u8>) -> usize {
        let history = self.users[user].subs.entry(filter.to_owned()).or_default();
        history.push(state)
    }

    /// A client heard the acknowledgement of that operation.
    pub fn operation_acked(&mut self, user: usize, filter: &str, op: usize) {
        if let Some(history) = self.users[user].subs.get_mut(filter) {
            history.acked(op);
        }
    }

    /// How many were taken in so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The broker took in a publish, at this time of the wall clock and number of writes.
    pub fn published(&mut self, no: usize, wall: u64, written: u64) -> Result<(), Wrong> {
        self.taken += 1;
        let m = &mut self.messages[no];
        // What is sent until it was received may be taken in again when it was lost.
        if m.kind != Kind::Published || m.taken.is_some() && !m.lost {
            return Err(format!("message {no} was taken in, and should not be"));
        }
        m.taken = Some(self.taken);
        m.expires = m.expiry_s.map(|s| wall + (u64::from(s) * 1_000).max(1));
        (m.lost, m.written) = (false, written);
        m.owed.clear();
        m.heard.clear();
        m.settled.clear();
        for (who, user) in self.users.iter().enumerate() {
            let grants = user.subs.iter().filter(|(filter, _)| matches(filter, &m.topic));
            let best = grants.filter_map(|(_, history)| history.now()).max();
            if let Some(best) = best {
                m.owed.insert(who, (m.qos.min(1).min(best), user.life));
            }
        }
        if m.retain {
            let values = self.values.entry(m.topic.clone()).or_default();
            if values.ops.is_empty() {
                values.ops.push((None, None));
            }
            values.ops.push(((m.len > 0).then_some(no), Some(no)));
            values.from = values.ops.len() - 1;
        }
        Ok(())
    }

    /// The sender of a message, or of an item, heard its acknowledgement.
    pub fn acked(&mut self, no: usize) -> Result<(), Wrong> {
        let m = &mut self.messages[no];
        if m.kind == Kind::Published && m.taken.is_none() {
            return Err(format!("message {no} is acknowledged and was never taken in"));
        }
        m.acked = true;
        // Who says so now has it.
        m.lost &= m.qos < 2;
        Ok(())
    }

    /// A client of `user` hears a message. Returns its place in the order of its stream, if it
    /// has one.
    pub fn heard(
        &mut self,
        user: usize,
        no: usize,
        (qos, dup, retain): (u8, bool, bool),
        speaks: bool,
    ) -> Result<Option<u64>, Wrong> {
        let crashes = self.crashes;
        let person = &self.users[user];
        let m = self.messages.get_mut(no).ok_or("a message that nobody sent")?;
        if let Kind::Item(..) = m.kind {
            let again = !m.heard.is_empty() && m.heard_at == crashes;
            if again && !dup {
                return Err(format!("item {no} comes twice and is not marked"));
            }
            m.heard_at = crashes;
            m.heard.insert(user);
            return Ok(None);
        }
        let taken = m.taken.ok_or_else(|| format!("message {no} was never taken in"))?;
        if retain {
            let asked = person.ever.iter().any(|filter| matches(filter, &m.topic));
            return match m.retain && asked && qos <= m.qos.min(1) {
                true => Ok(None),
                false => Err(format!("value {no} comes to u{user}, who may not have it")),
            };
        }
        let owed = m.owed.get(&user).copied();
        let Some((owed, _)) = owed else {
            return Err(format!("message {no} comes to u{user}, who does not listen"));
        };
        if owed != qos {
            return Err(format!("message {no} comes at QoS {qos}, owed at {owed}"));
        }
        if speaks && person.wiped_at.is_some_and(|at| taken <= at) {
            return Err(format!("message {no} comes to u{user} after a clean start"));
        }
        if m.settled.contains(&user) {
            return Err(format!("message {no} comes again to u{user}, who had settled it"));
        }
        let again = !m.heard.insert(user);
        // What a connection was sent before it lost its session may arrive after the repetition.
        if again && speaks && (!dup || qos == 0) {
            return Err(format!("message {no} comes twice to u{user} and is not marked"));
        }
        Ok(Some(taken))
    }

    /// The broker has surely seen this acknowledgement.
    pub fn settled(&mut self, user: usize, no: usize) {
        self.messages[no].settled.insert(user);
    }

    /// The broker stopped. `promises`: what it acknowledged survives; `exact`: so does everything
    /// else it took in; `forgets`: nothing does.
    pub fn crashed(&mut self, promises: bool, exact: bool, forgets: bool) {
        self.crashes += 1;
        for m in &mut self.messages {
            m.settled.clear();
            let kept = m.acked && promises || exact && m.taken.is_some() && m.qos > 0;
            m.lost |= !kept || forgets;
        }
        for user in &mut self.users {
            user.wiped_at = None;
            user.welcomed &= promises && !forgets;
        }
        for values in self.values.values_mut() {
            let messages = &self.messages;
            // What an earlier stop was allowed to lose is no promise of this one.
            let acked = |op: &(Option<usize>, Option<usize>)| {
                op.1.is_some_and(|no| messages[no].acked && !messages[no].lost)
            };
            values.floor = match promises && !forgets {
                true => values.ops.iter().rposition(acked).unwrap_or(0).max(values.floor),
                false => 0,
            };
            values.from = values.floor;
        }
    }

    /// What the broker recovered of a user; `None`: there is no such session.
    pub fn recovered(
        &mut self,
        user: usize,
        subs: Option<&BTreeMap<String, u8>>,
        promises: bool,
    ) -> Result<(), Wrong> {
        let person = &mut self.users[user];
        if subs.is_none() && person.welcomed {
            return Err(format!("u{user} was welcome, and its session is gone"));
        }
        let filters: BTreeSet<String> =
            person.subs.keys().chain(subs.into_iter().flatten().map(|(f, _)| f)).cloned().collect();
        for filter in filters {
            let now = subs.and_then(|subs| subs.get(&filter)).copied();
            let history = person.subs.entry(filter.clone()).or_default();
            let legal = history.legal(promises);
            if !legal.contains(&now) && (promises || now.is_some()) {
                return Err(format!("u{user} {filter} is {now:?} after a crash, not in {legal:?}"));
            }
            *history = History::of(now);
        }
        Ok(())
    }

    /// Everybody was connected, heard everything and acknowledged it: what is missing?
    pub fn missing(&self) -> Result<(), Wrong> {
        for (no, m) in self.messages.iter().enumerate() {
            for (user, (qos, life)) in &m.owed {
                // What has no body has no number to be known by.
                let due = *qos > 0 && m.len > 0 && !m.lost && self.users[*user].life == *life;
                let due = due && m.expires.is_none();
                if due && !m.heard.contains(user) {
                    let acked = if m.acked { "acknowledged " } else { "" };
                    return Err(format!("{acked}message {no} never came to u{user}"));
                }
            }
        }
        Ok(())
    }

    /// Acknowledged items of durable queues must have come to somebody; queues in `gone` were
    /// destroyed by somebody at some time.
    pub fn missing_items(&self, gone: &BTreeSet<usize>) -> Result<(), Wrong> {
        for (no, m) in self.messages.iter().enumerate() {
            let Kind::Item(queue, durable) = m.kind else { continue };
            // A wipe takes what was on its way from a queue to its drainer.
            let due = m.acked && durable && !m.lost && !gone.contains(&queue) && self.wipes == 0;
            if due && m.heard.is_empty() {
                return Err(format!("acknowledged item {no} of queue {queue} never came"));
            }
        }
        Ok(())
    }

    /// What a late subscriber to everything was given must be what is kept.
    pub fn kept(&self, given: &BTreeMap<String, usize>) -> Result<(), Wrong> {
        let fades = |no: &Option<usize>| no.is_some_and(|no| self.messages[no].expires.is_some());
        for (topic, values) in &self.values {
            let now = given.get(topic).copied();
            let legal: Vec<_> = values.ops[values.from..].iter().map(|op| op.0).collect();
            if !(legal.contains(&now) || now.is_none() && legal.iter().any(fades)) {
                return Err(format!("{topic} keeps {now:?}, and should one of {legal:?}"));
            }
        }
        match given.keys().find(|topic| !self.values.contains_key(*topic)) {
            Some(topic) => Err(format!("{topic} keeps something, and never should have")),
            None => Ok(()),
        }
    }
}
