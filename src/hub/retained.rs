//! Floor 2. Last values: kept per topic, handed to whoever subscribes.
//!
//! A small value stays in memory, a large one is a position in the journal. A replay walks the
//! tree with a cursor, a few topics at a time, only as fast as its reader takes them: memory does
//! not grow with how much is kept. For a durable reader each value is written down as owed to it
//! when it is handed to the outbox, and the subscription's record says that a replay is under way
//! until it has ended; after a crash it starts again, everything marked as sent before.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, RealmId, SessionId};
use crate::base::stats::Counter;
use crate::base::time::{MS, Now};
use crate::journal::job::{Pick, Picked};
use crate::journal::record::{MessageRef, Owed, Record};
use crate::journal::{Class, Journal};
use crate::topic::{Cursor, Filter, Tail, Topic, Walk};

use super::backlog::message_of_record;
use super::fanout::{GRANT_DUP, GRANT_RETAIN};
use super::inline::Inline;
use super::message::{Delivery, Message};
use super::outbox::Pushed;
use super::policy::Access;
use super::session::SubOpts;
use super::{Hub, Reader};

/// What a kept value weighs besides its text and body, about.
const KEPT_BYTES: usize = 128;
/// Nodes of the tree visited in one step.
const STEP: usize = 64;
/// A replay takes one of so many parts of a turn's share.
const SHARES: usize = 32;
/// A replay goes on when fewer references than this wait in the outbox.
const LOW: usize = 32;

/// Topics looked at in one step of the sweep, and the time between two steps.
const SWEEP: usize = 64;
const SWEEP_EVERY: u64 = 10 * MS;

/// A topic's last value.
#[derive(Debug)]
pub struct Kept {
    /// Where its record is, when it is durable.
    pub lsn: Option<Lsn>,
    /// Length of that record.
    pub len: u32,
    /// What it counts among the bytes that are kept.
    pub bytes: u32,
    /// Wall-clock millisecond of its expiry; 0: never.
    pub expires: u64,
    /// The value, when it is held in memory.
    pub value: Option<Inline>,
}

impl Kept {
    /// Is it past its expiry?
    #[must_use]
    pub fn is_expired(&self, wall: u64) -> bool {
        self.expires != 0 && wall >= self.expires
    }

    /// What it weighs in its place in the tree, under this topic.
    pub(crate) fn weight(&self, topic: &Topic) -> usize {
        topic.text().len() + KEPT_BYTES + self.value.as_ref().map_or(0, Inline::weight)
    }

    /// The segment its record keeps alive.
    #[must_use]
    pub fn segment(&self) -> Option<u32> {
        self.lsn.map(Journal::segment_of)
    }
}

/// Retained messages on their way to one subscriber.
#[derive(Debug)]
pub struct Replay {
    filter: Filter,
    opts: SubOpts,
    cursor: Cursor,
    done: bool,
    /// Everything handed over is marked as sent before: a crash interrupted this replay.
    again: bool,
    pending: VecDeque<Arc<Message>>,
    picking: Option<u64>,
}

impl Replay {
    /// Everything kept under `filter`, from the beginning.
    #[must_use]
    pub fn new(filter: Filter, opts: SubOpts, again: bool) -> Self {
        let cursor = Cursor::default();
        Self { filter, opts, cursor, done: false, again, pending: VecDeque::new(), picking: None }
    }

    /// Is it for this filter?
    #[must_use]
    pub fn is_for(&self, filter: &Filter) -> bool {
        self.filter == *filter
    }
}

/// How far the sweep for values that expired has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    cursor: Cursor,
    realm: u16,
    /// When it goes on.
    at: u64,
}

impl Hub {
    /// Forget some of what expired, a few places of the tree at a time. True while there is
    /// something that may expire.
    pub fn sweep_retained(&mut self, now: Now) -> bool {
        if self.fading == 0 {
            return false;
        }
        if now.mono < self.sweep.at {
            return true;
        }
        self.sweep.at = now.mono + SWEEP_EVERY;
        let all = Filter { segs: smallvec::SmallVec::new(), tail: Tail::Rest };
        let mut gone = Vec::new();
        let mut cursor = core::mem::take(&mut self.sweep.cursor);
        let done = match self.realms.get(usize::from(self.sweep.realm)) {
            Some(r) => r.retained.walk(&all, &mut cursor, SWEEP, &mut |topic, kept| {
                if kept.is_expired(now.wall) {
                    gone.push(topic.detached());
                }
                Walk::Go
            }),
            None => true,
        };
        let realm = RealmId(self.sweep.realm);
        self.sweep.cursor = cursor;
        if done {
            self.sweep.cursor = Cursor::default();
            self.sweep.realm = (self.sweep.realm + 1) % (self.realms.len().max(1) as u16);
        }
        for topic in gone {
            self.drop_value(realm, &topic);
        }
        self.fading > 0
    }

    /// Forget a value whose time is over. Its record says when, so none is needed to forget it.
    fn drop_value(&mut self, realm: RealmId, topic: &Topic) {
        if self.drop_kept(realm, topic) {
            self.stats.count(Counter::DroppedExpired);
        }
    }

    /// Forget a value. False: there was none.
    pub(super) fn drop_kept(&mut self, realm: RealmId, topic: &Topic) -> bool {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return false };
        let Some(kept) = r.retained.remove(topic) else { return false };
        r.kept_bytes -= u64::from(kept.bytes);
        self.kept.set(self.kept.bytes() - kept.weight(topic));
        self.fading = self.fading.saturating_sub(usize::from(kept.expires != 0));
        if let Some(segment) = kept.segment() {
            self.disown(segment, 1);
        }
        true
    }

    /// Let the session's first replay go on. True when it put something into the outbox.
    pub(crate) fn replay_some(&mut self, now: Now, id: SessionId) -> bool {
        let mut moved = false;
        for _ in 0..4 {
            let Some(s) = self.sessions.get_mut(id) else { return moved };
            let low = LOW.min(self.limits.outbox_len_max);
            if s.outbox.held() >= low || s.conn.is_none() {
                return moved;
            }
            let Some(mut replay) = s.replays.pop_front() else { return moved };
            let realm = s.realm;
            if replay.picking.is_some() {
                s.replays.open().push_front(replay);
                return moved;
            }
            if replay.pending.is_empty() && !replay.done {
                if self.reads_are_short() {
                    if let Some(s) = self.sessions.get_mut(id) {
                        s.replays.open().push_front(replay);
                    }
                    self.go_hungry(id);
                    return moved;
                }
                self.gather(now, id, realm, &mut replay);
            }
            while self.sessions.get(id).is_some_and(|s| s.outbox.held() < low)
                && let Some(message) = replay.pending.pop_front()
            {
                if !self.hand_retained(id, &message, &replay) {
                    replay.pending.push_front(message);
                    self.go_hungry(id);
                    break;
                }
                moved = true;
            }
            let ended = replay.done && replay.pending.is_empty() && replay.picking.is_none();
            if ended {
                self.end_replay(id, &replay);
                // A list that was used once is as large as everything else about the session.
                if let Some(s) = self.sessions.get_mut(id).filter(|s| s.replays.is_empty()) {
                    s.replays.close();
                }
            } else if let Some(s) = self.sessions.get_mut(id) {
                s.replays.open().push_front(replay);
            }
        }
        // So many steps found nothing: others first, then on from here.
        let idle = |s: &super::session::Session| !s.replays.is_empty() && !s.queued_read;
        if !moved && self.sessions.get(id).is_some_and(idle) {
            self.wake(id);
        }
        moved
    }

    /// Walk on: small values are at hand, large ones are asked for.
    fn gather(&mut self, now: Now, id: SessionId, realm: RealmId, replay: &mut Replay) {
        let Some(s) = self.sessions.get(id) else { return };
        let Some(r) = self.realms.get(usize::from(realm.0)) else { return };
        let checks = self.policy.checks_receive();
        let (policy, meter) = (&mut self.policy, &self.meter);
        let mut at: Vec<(Lsn, u32)> = Vec::new();
        let mut bytes = 0;
        let bytes_max = self.limits.fetch_bytes_max as u64;
        let pending = &mut replay.pending;
        replay.done =
            r.retained.walk(&replay.filter, &mut replay.cursor, STEP, &mut |topic, kept| {
                if checks && !policy.permit(s.principal(), &Access::Receive(topic)) {
                    return Walk::Go;
                }
                match (&kept.value, kept.lsn) {
                    _ if kept.is_expired(now.wall) => {}
                    (Some(value), _) => {
                        pending.push_back(value.message(topic, kept.expires, meter));
                    }
                    (None, Some(lsn)) => {
                        at.push((lsn, kept.len));
                        bytes += u64::from(kept.len);
                    }
                    (None, None) => {}
                }
                if bytes > bytes_max { Walk::Stop } else { Walk::Go }
            });
        if !at.is_empty() {
            let token = self.new_read(Reader::Replay(id));
            replay.picking = Some(token);
            if let Some(journal) = &mut self.journal {
                journal.request(Pick { token, at });
            }
        }
    }

    /// Large values came back from disk.
    pub(crate) fn on_picked(&mut self, now: Now, picked: Picked) {
        let id = match self.reads.remove(&picked.token) {
            Some(Reader::Replay(id)) => id,
            Some(Reader::Asked(conn)) => return self.on_asked(conn, picked),
            _ => return,
        };
        let mut unreadable = None;
        let meter = self.meter.clone();
        let Some(s) = self.sessions.get_mut(id) else { return };
        let waiting = s.replays.iter_mut().find(|r| r.picking == Some(picked.token));
        let Some(replay) = waiting else { return };
        replay.picking = None;
        for item in picked.items {
            match item {
                Ok(record) => {
                    let message = message_of_record(&record, &meter);
                    let fresh = message.filter(|m| !m.is_expired(now.wall));
                    replay.pending.extend(fresh.map(Arc::new));
                }
                Err(error) => unreadable = Some(error.to_string()),
            }
        }
        if let Some(why) = unreadable {
            self.tell_storage(now, "unreadable", &why);
        }
        self.wake(id);
    }

    /// Owe one kept value to one reader. False: the journal has no room now.
    fn hand_retained(&mut self, id: SessionId, message: &Arc<Message>, replay: &Replay) -> bool {
        let opts = replay.opts;
        let delivery = Delivery {
            message: Arc::clone(message),
            ord: 0,
            qos: message.qos.min(opts.qos).min(2),
            retain: true,
            dup: replay.again,
            asked: false,
            shared: false,
            timed: false,
            subs: (opts.id != 0).then_some(opts.id).into_iter().collect(),
        };
        self.owe_one(id, delivery)
    }

    /// Owe one message to one reader, on record if the reader is. False: there is no room now.
    pub(crate) fn owe_one(&mut self, id: SessionId, delivery: Delivery) -> bool {
        let room = self.session_room();
        let realm = self.sessions.get(id).map(|s| self.number_of(s.realm)).unwrap_or_default();
        let Some(s) = self.sessions.get_mut(id) else { return true };
        let message = &delivery.message;
        let mut lsn = None;
        if let (Some(owner), Some(journal), 1..) = (s.owner, &mut self.journal, delivery.qos) {
            let mut topic = Vec::new();
            message.topic.encode(&mut topic);
            let retain = if delivery.retain { GRANT_RETAIN } else { 0 };
            let grant = delivery.qos | retain | if delivery.dup { GRANT_DUP } else { 0 };
            let (ord, subs) = (s.outbox.peek_ordinal(), delivery.subs.clone());
            let record = MessageRef {
                retain: false,
                qos: message.qos,
                realm,
                born: message.born,
                expires: message.expires,
                topic: &topic,
                props: &message.props,
                body: &message.body,
                owed: &[Owed { owner, ord, grant, subs }],
                past: None,
            };
            match journal.append_message(Class::Growth, &record).map_err(super::held) {
                Ok(spot) => {
                    journal.own(Journal::segment_of(spot.lsn), 1);
                    lsn = Some(spot.lsn);
                }
                Err(why) if why.passes() => return false,
                // A sick disk: it is handed over, only not promised across a crash.
                Err(_) => {}
            }
        }
        if s.outbox.push(delivery, lsn, s.conn.is_some(), room) == Pushed::Dropped {
            s.dropped = s.dropped.saturating_add(1);
            self.stats.count(Counter::DroppedFull);
        }
        true
    }

    /// How much of a turn's share of bytes this session may take. Whoever is given what is kept
    /// takes it as fast as we encode: with small turns it waits somewhat longer for the last of it,
    /// and the others hardly notice.
    #[must_use]
    pub fn share(&self, id: SessionId, bytes: usize) -> usize {
        let replaying = self.sessions.get(id).is_some_and(|s| !s.replays.is_empty());
        if replaying { (bytes / SHARES).max(1) } else { bytes }
    }

    /// Everything was handed over: the record of the subscription need not say "replaying".
    fn end_replay(&mut self, id: SessionId, replay: &Replay) {
        let Some(owner) = self.sessions.get(id).and_then(|s| s.owner) else { return };
        // What the subscription asks for may have changed since the replay began.
        let Some(opts) = self.opts_of(id, &replay.filter) else { return };
        let options = Bytes::copy_from_slice(&opts.encode(false));
        let mut filter = Vec::new();
        replay.filter.encode(&mut filter);
        let (group, filter) = (Bytes::new(), Bytes::from(filter));
        let record = Record::Subscribe { owner, group, filter, options };
        // Without room the flag stays: after a crash the values come once more, marked so.
        if let Ok(Some(spot)) = self.append(Class::Relief, &record) {
            self.add_home(id, spot);
        }
    }
}
