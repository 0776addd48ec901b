//! Floor 2. Work queues: items wait under an address until somebody drains them.
//!
//! A queue is an outbox without a session. Draining moves items, in order, into the drainer's own
//! outbox; for a durable pair one record does both ("owed to the drainer, settled for the queue"),
//! so a crash finds each item in exactly one of the two. Moving is done a few items at a time, and
//! no faster than the drainer takes them. Absent on purpose: packets and permission.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::id::{Lsn, OwnerNo, RealmId, SessionId};
use crate::base::limits::Limit;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Tongue;
use crate::journal::record::{MessageRef, Owed, OwnerRecord, Record};
use crate::journal::{Class, Journal};
use crate::topic::Topic;

use super::fanout::{GRANT_ASKED, GRANT_SETTLES, message_of};
use super::message::{Delivery, Durability, Publication, SubIds};
use super::outbox::{Next, Outbox, Pushed, Room};
use super::session::Kind;
use super::{Held, Hub, Owner, READS_MAX, Receipt, after, held};

/// A drainer with more references than this waiting is given no more for now.
const DRAINER_MAX: usize = 256;

/// Topics under which one session may be draining a queue at a time.
const DRAINS_MAX: usize = 8;

/// Items under an address.
#[derive(Debug)]
pub struct Queue {
    /// The address.
    pub address: Bytes,
    /// Who made it; nobody else may destroy it.
    pub creator: Bytes,
    /// The journal's number for it, when its items survive a restart.
    pub owner: Option<OwnerNo>,
    /// The items.
    pub outbox: Outbox,
    /// Who is taking items out.
    pub(crate) drains: VecDeque<Drain>,
    /// The segment that holds its newest full record.
    pub(crate) home: u32,
    /// Until the journal is synced up to here, nobody is told that it is there.
    pub(crate) made: Lsn,
}

/// Somebody takes out what was in the queue when it asked.
#[derive(Debug)]
pub(crate) struct Drain {
    session: SessionId,
    topic: Option<Topic>,
    upto: u64,
}

/// The answer to a queue verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// Done; acknowledge when the receipt says so.
    Yes(Receipt),
    /// There is no such queue.
    Unknown,
    /// Somebody else made it.
    NotYours,
    /// No room for another queue or item.
    TooMany,
}

impl Hub {
    /// Make a queue, unless it is there.
    pub fn queue_open(
        &mut self,
        realm: RealmId,
        address: &Bytes,
        creator: &Bytes,
        durable: bool,
        level: Durability,
    ) -> Result<Queued, Held> {
        let max = self.limits.queues_max;
        let Some(r) = self.realms.get(usize::from(realm.0)) else { return Ok(Queued::Unknown) };
        if let Some(queue) = r.queues.get(address) {
            let after = if level == Durability::Disk { queue.made } else { Lsn::START };
            return Ok(Queued::Yes(Receipt { after, matched: 0 }));
        }
        if r.queues.len() >= max {
            return Ok(Queued::TooMany);
        }
        let recorded = durable && level != Durability::Memory && self.journal.is_some();
        let owner = recorded.then(|| self.new_owner());
        let mut queue = Queue {
            address: Bytes::copy_from_slice(address),
            creator: Bytes::copy_from_slice(creator),
            owner,
            outbox: if recorded { Outbox::durable(&self.waiting) } else { Outbox::default() },
            drains: VecDeque::new(),
            home: 0,
            made: Lsn::START,
        };
        let mut spot = None;
        if let Some(no) = owner {
            let number = self.number_realm(realm)?;
            spot = self.append(Class::Growth, &queue_record(no, number, &queue))?;
            queue.made = spot.map_or(Lsn::START, |spot| spot.end);
            queue.home = spot.map_or(0, |spot| Journal::segment_of(spot.lsn));
            self.own(queue.home, 1);
            self.owners.insert(no, Owner::Queue(realm, queue.address.clone()));
        }
        if let Some(r) = self.realms.get_mut(usize::from(realm.0)) {
            r.queues.insert(queue.address.clone(), queue);
        }
        Ok(Queued::Yes(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// Put an item at the end of the queue under `p.topic`'s address.
    pub fn queue_push(
        &mut self,
        now: Now,
        address: &Bytes,
        p: &Publication,
        level: Durability,
    ) -> Result<Queued, Held> {
        if self.memory_is_short() {
            self.limited(now, address, Limit::memory_bytes_max);
            return Err(Held::Memory);
        }
        let room = Room { len: self.limits.queue_len_max, bytes: self.limits.queue_bytes_max };
        let (meter, full) = (self.stored.clone(), self.storage_is_short());
        let number = self.number_of(p.realm);
        let Some(r) = self.realms.get_mut(usize::from(p.realm.0)) else {
            return Ok(Queued::Unknown);
        };
        let Some(queue) = r.queues.get_mut(address) else { return Ok(Queued::Unknown) };
        if queue.owner.is_none() && full {
            self.stats.count(Counter::DroppedFull);
            self.limited(now, address, Limit::memory_bytes_max);
            return Ok(Queued::TooMany);
        }
        let mut spot = None;
        if let (Some(owner), Some(journal)) = (queue.owner, &mut self.journal) {
            let mut topic = Vec::new();
            p.topic.encode(&mut topic);
            let ord = queue.outbox.peek_ordinal();
            let owed = [Owed { owner, ord, grant: 1, subs: SubIds::new() }];
            let message = record_of(now, (p, number), &topic, &owed);
            let written = journal.append_message(Class::Growth, &message).map_err(held)?;
            journal.own(Journal::segment_of(written.lsn), 1);
            self.ages.owe(Journal::segment_of(written.lsn), 1, now.wall);
            spot = Some(written);
        }
        let message = std::sync::Arc::new(message_of(now, p, &meter, true));
        let delivery = item_of(message);
        let lsn = spot.map(|spot| spot.lsn);
        let long = queue.outbox.held() >= room.len;
        if queue.outbox.push(delivery, lsn, false, room) == Pushed::Dropped {
            self.stats.count(Counter::DroppedFull);
            let limit = if long { Limit::queue_len_max } else { Limit::queue_bytes_max };
            self.limited(now, address, limit);
            return Ok(Queued::TooMany);
        }
        // No other protocol has queues.
        self.stats.received(Tongue::Prx1, p.qos);
        Ok(Queued::Yes(Receipt { after: after(level, spot), matched: 1 }))
    }

    /// Hand everything that is in the queue now to `session`, under `topic` or its own address.
    pub fn queue_drain(
        &mut self,
        realm: RealmId,
        address: &Bytes,
        session: SessionId,
        topic: Option<Topic>,
    ) -> Queued {
        let r = self.realms.get_mut(usize::from(realm.0));
        let Some(queue) = r.and_then(|r| r.queues.get_mut(address)) else {
            return Queued::Unknown;
        };
        let upto = queue.outbox.peek_ordinal() - 1;
        let sessions = &self.sessions;
        let here = |id| sessions.get(id).is_some_and(|s| s.conn.is_some());
        queue.drains.retain(|drain| here(drain.session));
        let mine = |drain: &&mut Drain| drain.session == session;
        // Asking again under the same topic asks for more of the same.
        if let Some(drain) = queue.drains.iter_mut().filter(mine).find(|d| d.topic == topic) {
            drain.upto = upto;
        } else if queue.drains.iter_mut().filter(mine).count() >= DRAINS_MAX {
            return Queued::TooMany;
        } else {
            queue.drains.push_back(Drain { session, topic: topic.map(|t| t.detached()), upto });
        }
        self.note_draining(realm, address.clone());
        Queued::Yes(Receipt::default())
    }

    /// Forget a queue and its items; only who made it may.
    pub fn queue_destroy(
        &mut self,
        realm: RealmId,
        address: &Bytes,
        by: &Bytes,
        level: Durability,
    ) -> Result<Queued, Held> {
        let Some(r) = self.realms.get(usize::from(realm.0)) else { return Ok(Queued::Unknown) };
        let Some(queue) = r.queues.get(address) else { return Ok(Queued::Unknown) };
        if queue.creator != by {
            return Ok(Queued::NotYours);
        }
        let mut spot = None;
        if let Some(owner) = queue.owner {
            spot = self.append(Class::Relief, &Record::Gone { owner })?;
            self.owners.remove(&owner);
        }
        let r = self.realms.get_mut(usize::from(realm.0));
        if let Some(queue) = r.and_then(|r| r.queues.remove(address)) {
            self.disown_all(&queue.outbox);
            if queue.owner.is_some() {
                self.disown(queue.home, 1);
            }
        }
        Ok(Queued::Yes(Receipt { after: after(level, spot), matched: 0 }))
    }

    pub(crate) fn note_draining(&mut self, realm: RealmId, address: Bytes) {
        let key = (realm, address);
        if !self.draining.contains(&key) {
            self.draining.push_back(key);
        }
    }

    /// Move up to `budget` items from queues to those who drain them. True: there is more to do
    /// that needs no answer from anybody first.
    pub fn drain_some(&mut self, now: Now, mut budget: usize) -> bool {
        let mut more = false;
        for _ in 0..self.draining.len() {
            let Some((realm, address)) = self.draining.pop_front() else { break };
            match self.drain_queue(now, realm, &address, &mut budget) {
                Drained::Done => {}
                Drained::Later => self.draining.push_back((realm, address)),
                Drained::More => {
                    more = true;
                    self.draining.push_back((realm, address));
                }
            }
        }
        more
    }

    fn drain_queue(
        &mut self,
        now: Now,
        realm: RealmId,
        address: &Bytes,
        budget: &mut usize,
    ) -> Drained {
        loop {
            let room = self.session_room();
            let r = self.realms.get_mut(usize::from(realm.0));
            let Some(queue) = r.and_then(|r| r.queues.get_mut(address)) else {
                return Drained::Done;
            };
            let Some(drain) = queue.drains.front() else {
                // Nobody is left to take what was read ahead.
                if queue.owner.is_some() {
                    queue.outbox.ground();
                }
                return Drained::Done;
            };
            let (session, topic, upto) = (drain.session, drain.topic.clone(), drain.upto);
            let Some(s) = self.sessions.get(session).filter(|s| s.conn.is_some()) else {
                queue.drains.pop_front();
                continue;
            };
            // What only memory will have goes over when the drainer can hold it, and not before.
            let weight = queue.outbox.front_weight();
            let fits = s.owner.is_some() || s.outbox.fits(weight, true, room);
            if s.outbox.held() >= DRAINER_MAX || !fits {
                return Drained::Later;
            }
            if *budget == 0 {
                return Drained::More;
            }
            match queue.outbox.next(usize::MAX) {
                Next::Deliver(item) if item.ord > upto => {
                    queue.outbox.ground();
                    queue.drains.pop_front();
                }
                Next::Deliver(item) => {
                    *budget -= 1;
                    if !self.hand_over(now, realm, address, session, topic, &item) {
                        return Drained::Later;
                    }
                }
                Next::Read(_) if self.reads.len() >= READS_MAX => return Drained::Later,
                Next::Read(want) => {
                    self.read_queue(realm, address, want);
                    return Drained::Done;
                }
                Next::Wait => return Drained::Done,
                Next::Nothing => {
                    queue.drains.pop_front();
                }
            }
        }
    }

    /// Move one item. False: the journal has no room; the item is back in the queue.
    fn hand_over(
        &mut self,
        now: Now,
        realm: RealmId,
        address: &Bytes,
        session: SessionId,
        topic: Option<Topic>,
        item: &Delivery,
    ) -> bool {
        let m = &item.message;
        let p = Publication {
            realm,
            topic: topic.unwrap_or_else(|| m.topic.clone()),
            body: m.body.to_bytes(),
            props: m.props.clone(),
            qos: 1,
            retain: false,
            expires: m.expires,
            inbound: None,
        };
        let from = self.realm(realm).and_then(|r| r.queues.get(address)).and_then(|q| q.owner);
        let (room, number) = (self.session_room(), self.number_of(realm));
        let Some(s) = self.sessions.get(session) else { return false };
        let mut lsn: Option<Lsn> = None;
        if let (Some(owner), Some(journal)) = (s.owner, &mut self.journal) {
            let ord = s.outbox.peek_ordinal();
            let grant = 1 | GRANT_ASKED;
            let mut owed = vec![Owed { owner, ord, grant, subs: SubIds::new() }];
            let settles =
                |no| Owed { owner: no, ord: item.ord, grant: GRANT_SETTLES, subs: SubIds::new() };
            owed.extend(from.map(settles));
            let mut text = Vec::new();
            p.topic.encode(&mut text);
            match journal.append_message(Class::Growth, &record_of(now, (&p, number), &text, &owed))
            {
                Ok(spot) => {
                    journal.own(Journal::segment_of(spot.lsn), 1);
                    self.ages.owe(Journal::segment_of(spot.lsn), 1, now.wall);
                    lsn = Some(spot.lsn);
                }
                Err(why) if held(why).passes() => {
                    if let Some(q) = self.queue_mut(realm, address) {
                        q.outbox.ground();
                    }
                    return false;
                }
                Err(_) => {}
            }
        }
        self.settle_item(realm, address, item.ord, lsn.is_none());
        let message = std::sync::Arc::new(message_of(now, &p, &self.meter, false));
        let delivery = item_of(message);
        if let Some(s) = self.sessions.get_mut(session) {
            s.outbox.push(delivery, lsn, s.conn.is_some(), room);
        }
        self.wake(session);
        true
    }

    /// The item left the queue. `record`: no other record says so.
    fn settle_item(&mut self, realm: RealmId, address: &Bytes, ord: u64, record: bool) {
        let Some(queue) = self.queue_mut(realm, address) else { return };
        queue.outbox.settle_ord(ord);
        let segment = queue.outbox.ledger.as_mut().and_then(|ledger| ledger.settle(ord));
        if let Some(segment) = segment {
            self.paid(segment, 1);
            if record {
                self.unrecorded_queues.push((realm, address.clone()));
            }
        }
    }

    fn queue_mut(&mut self, realm: RealmId, address: &Bytes) -> Option<&mut Queue> {
        self.realms.get_mut(usize::from(realm.0))?.queues.get_mut(address)
    }

    /// A queue, for listings and tests.
    #[must_use]
    pub fn queue(&self, realm: RealmId, address: &Bytes) -> Option<&Queue> {
        self.realm(realm)?.queues.get(address)
    }
}

fn item_of(message: std::sync::Arc<super::message::Message>) -> Delivery {
    let subs = SubIds::new();
    Delivery {
        message,
        ord: 0,
        qos: 1,
        retain: false,
        dup: false,
        asked: true,
        shared: false,
        timed: false,
        subs,
    }
}

enum Drained {
    Done,
    Later,
    More,
}

fn record_of<'a>(
    now: Now,
    (p, realm): (&'a Publication, RealmId),
    topic: &'a [u8],
    owed: &'a [Owed],
) -> MessageRef<'a> {
    MessageRef {
        retain: false,
        qos: 1,
        realm,
        born: now.wall,
        expires: p.expires,
        topic,
        props: &p.props,
        body: &p.body,
        owed,
        past: None,
    }
}

/// The queue's full record; its realm by number.
pub(crate) fn queue_record(owner: OwnerNo, realm: RealmId, queue: &Queue) -> Record {
    let ledger = queue.outbox.ledger.as_deref();
    Record::Owner(OwnerRecord {
        owner,
        kind: Kind::Queue.code(),
        realm,
        name: queue.address.clone(),
        detail: queue.creator.clone(),
        next: queue.outbox.peek_ordinal(),
        sent: 0,
        attached: false,
        floor: ledger.map_or(0, crate::journal::ledger::Ledger::floor),
        extras: ledger.map(|l| l.extras().collect()).unwrap_or_default(),
    })
}
