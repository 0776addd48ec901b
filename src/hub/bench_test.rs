//! Floor 2. A hub over a journal in memory, for the tests beside it: no sockets, a clock by hand.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::base::words::Tongue;
use crate::journal::memory::Memory;
use crate::journal::{Journal, Options, perform};
use crate::topic::{Dialect, Match, Star};

use super::message::{Delivery, Durability, Publication, id_of};
use super::policy::{Event, Observer, Open, Policy, Principal};
use super::recover::Recovery;
use super::registry::{Attach, Attached, Fresh, Parting};
use super::session::{Kind, SubOpts};
use super::subscribe::Replays;
use super::{Hub, Parts, Receipt};

pub(super) const STAR: Star = Star { levels_max: 16 };
pub(super) const REALM: RealmId = RealmId(0);

pub(super) struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// A hub, its disk, and a clock.
pub(super) struct Bench {
    pub(super) hub: Hub,
    pub(super) disk: Memory,
    pub(super) now: Now,
    pub(super) conns: u32,
}

impl Bench {
    pub(super) fn new(limits: Limits) -> Self {
        Self::over(Memory::default(), limits)
    }

    pub(super) fn over(disk: Memory, limits: Limits) -> Self {
        Self::with_realms(disk, limits, &["default"], |_, _| {})
    }

    /// With these namespaces, told what they are to do before the journal is read.
    pub(super) fn with_realms(
        mut disk: Memory,
        limits: Limits,
        realms: &[&str],
        tell: impl FnOnce(&mut Hub, Now),
    ) -> Self {
        let policy: Box<dyn Policy> = Box::new(Open);
        let observer = Box::new(Quiet);
        let segment_bytes = limits.segment_bytes;
        let realms = realms.iter().map(|name| (*name).to_owned()).collect();
        let mut hub = Hub::new(Parts { limits, seed: 7, realms, policy, observer });
        let now = Now { mono: 1_000_000, wall: 1_700_000_000_000 };
        tell(&mut hub, now);
        let mut told = Recovery::new(7, &hub);
        let options = Options { segment_bytes, salt: 1, salvage: false };
        let (journal, _) = Journal::recover(&mut disk, options, &mut |spot, record| {
            told.apply(spot.lsn, spot.len, record);
        })
        .expect("the journal opens");
        hub.recover(now, told, journal);
        let mut bench = Self { hub, disk, now, conns: 0 };
        bench.pump();
        bench
    }

    /// The process dies; everything written survives, in memory or not.
    pub(super) fn restart(self) -> Self {
        let limits = self.hub.limits.clone();
        let disk = Memory::holding(self.disk.image());
        drop(self.hub);
        Self::over(disk, limits)
    }

    /// Do all disk work there is.
    pub(super) fn pump(&mut self) {
        self.hub.commit();
        while let Some(job) = self.hub.journal.as_mut().and_then(|j| j.poll_job(self.now)) {
            let done = perform(&mut self.disk, job);
            self.hub.on_disk(self.now, done);
        }
    }

    pub(super) fn attach(&mut self, name: &str, fresh: Fresh) -> Attached {
        self.conns += 1;
        let conn = ConnId { index: self.conns, life: 0 };
        let user = Bytes::copy_from_slice(name.as_bytes());
        let principal = Principal { user: user.clone(), durable: true, ..Principal::default() };
        let attach = Attach {
            kind: Kind::Prx1,
            tongue: Tongue::Prx1,
            realm: REALM,
            name: user,
            durable: true,
            principal: Arc::new(principal),
            conn,
            fresh,
            level: Durability::Disk,
            inflight_max: self.hub.limits.inflight_max,
            expiry_s: 60,
            unique: false,
            will: None,
        };
        self.hub.attach(self.now, attach).expect("room for a session")
    }

    /// A client with an id of its own, that may be told and heard twice.
    pub(super) fn client(&mut self, name: &str, change: impl FnOnce(&mut Attach)) -> Attached {
        let mut attach = self.ask(name);
        change(&mut attach);
        self.hub.attach(self.now, attach).expect("room for a session")
    }

    /// What such a client asks for.
    pub(super) fn ask(&mut self, name: &str) -> Attach {
        self.conns += 1;
        Attach {
            kind: Kind::Mqtt,
            tongue: Tongue::Mqtt311,
            realm: REALM,
            name: Bytes::copy_from_slice(name.as_bytes()),
            durable: true,
            principal: Arc::default(),
            conn: ConnId { index: self.conns, life: 0 },
            fresh: Fresh::No,
            level: Durability::Disk,
            inflight_max: self.hub.limits.inflight_max,
            expiry_s: 60,
            unique: true,
            will: None,
        }
    }

    /// Time passes; the timers that are due go off.
    pub(super) fn sleep(&mut self, ms: u64) {
        let until = self.now.mono + ms * 1_000_000;
        while self.now.mono < until {
            let step = (until - self.now.mono).min(500_000_000);
            self.now.mono += step;
            self.now.wall += step / 1_000_000;
            let mut later = Vec::new();
            while let Some((at, id)) = self.hub.poll_timer() {
                match self.now.reached(at) {
                    true => self.hub.on_session_deadline(self.now, id),
                    false => later.push((at, id)),
                }
            }
            self.hub.timers = later;
            self.hub.fire_wills(self.now);
            self.hub.sweep_retained(self.now);
        }
    }

    pub(super) fn leave(&mut self, id: SessionId) {
        let conn = self.hub.session(id).and_then(|s| s.conn).expect("connected");
        self.hub.detach(self.now, id, conn, Parting::Quiet);
    }

    pub(super) fn detach(&mut self, id: SessionId) {
        let conn = self.hub.session(id).and_then(|s| s.conn).expect("connected");
        self.hub.detach(self.now, id, conn, Parting::Lost);
    }

    pub(super) fn subscribe(&mut self, id: SessionId, filter: &str, qos: u8) {
        let filter =
            STAR.filter(&Bytes::copy_from_slice(filter.as_bytes()), Match::Native).expect("filter");
        let opts = SubOpts { qos, ..SubOpts::default() };
        self.hub.subscribe(self.now, id, &filter, None, opts, Replays::Always).expect("room");
    }

    pub(super) fn publication(topic: &str, body: &[u8], qos: u8, retain: bool) -> Publication {
        Publication {
            realm: REALM,
            topic: STAR.topic(&Bytes::copy_from_slice(topic.as_bytes())).expect("topic"),
            body: Bytes::copy_from_slice(body),
            props: Bytes::new(),
            qos,
            retain,
            expires: 0,
            inbound: None,
        }
    }

    pub(super) fn publish(&mut self, topic: &str, body: &[u8], qos: u8, retain: bool) -> Receipt {
        let p = Self::publication(topic, body, qos, retain);
        self.hub.publish(self.now, None, Durability::Disk, &p).expect("room")
    }

    /// Everything the session is handed until nothing more comes, disk work included.
    pub(super) fn take(&mut self, id: SessionId) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            while let Some(d) = self.hub.next(self.now, id) {
                all.push(d);
            }
            self.pump();
            if all.len() == before {
                while let Some(d) = self.hub.next(self.now, id) {
                    all.push(d);
                }
                if all.len() == before {
                    return all;
                }
            }
        }
    }

    /// The same, acknowledging each.
    pub(super) fn take_and_settle(&mut self, id: SessionId) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let some = self.take(id);
            if some.is_empty() {
                return all;
            }
            for d in &some {
                if d.qos > 0 {
                    assert!(self.hub.settle(id, id_of(d.ord)));
                }
            }
            all.extend(some);
        }
    }
}

pub(super) fn bodies(all: &[Delivery]) -> Vec<String> {
    all.iter().map(|d| String::from_utf8_lossy(&d.message.body).into_owned()).collect()
}

pub(super) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}
