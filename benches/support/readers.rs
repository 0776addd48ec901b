//! Floor 6. Readers of one topic, without connections: owed, handed out, settled.
//!
//! What is delivered exactly once or is durable goes through a journal on a disk in memory, and a
//! round ends when everybody has settled what it was owed. Absent on purpose: encoding.

use std::sync::Arc;

use crate::rig::{self, Rig};
use bytes::Bytes;
use spindle::base::id::{ConnId, RealmId, SessionId};
use spindle::base::time::Now;
use spindle::base::words::Tongue;
use spindle::hub::Hub;
use spindle::hub::message::{Durability, Publication, id_of};
use spindle::hub::policy::Principal;
use spindle::hub::registry::{Attach, Fresh};
use spindle::hub::session::{Kind, SubOpts};
use spindle::hub::subscribe::Replays;
use spindle::testing::workload;
use spindle::topic::{Dialect, Match, Star};

const GRAMMAR: Star = Star { levels_max: 128 };

/// Everybody who reads it, and the message they are given.
pub(crate) struct Readers {
    pub(crate) rig: Rig,
    pub(crate) readers: Vec<SessionId>,
    message: Publication,
    level: Durability,
    given: u64,
}

impl Readers {
    /// So many readers of one topic.
    pub(crate) fn gather(readers: usize, qos: u8, level: Durability) -> Self {
        let mut rig = Rig::new(level, rig::patient());
        let filter = GRAMMAR.filter(&workload::topic(0), Match::Native).expect("a filter");
        let durable = level != Durability::Memory;
        let mut join = |i: usize| {
            let name = Bytes::from(format!("reader{i}"));
            let principal = Principal { user: name.clone(), durable, ..Principal::default() };
            let attach = Attach {
                kind: Kind::Local,
                tongue: Tongue::Local,
                realm: RealmId(0),
                name,
                durable,
                principal: Arc::new(principal),
                conn: ConnId { index: i as u32, life: 0 },
                fresh: Fresh::No,
                level,
                inflight_max: 1_000,
                expiry_s: 60,
                unique: false,
                will: None,
            };
            let (now, hub) = (rig.now, rig.engine.hub_mut());
            let session = hub.attach(now, attach).expect("room").session;
            let opts = SubOpts { qos, ..SubOpts::default() };
            hub.subscribe(now, session, &filter, None, opts, Replays::Never).expect("room");
            session
        };
        let readers = (0..readers).map(&mut join).collect();
        let message = Publication {
            realm: RealmId(0),
            topic: GRAMMAR.topic(&workload::topic(0)).expect("a topic"),
            body: workload::payload(64),
            props: Bytes::new(),
            qos,
            retain: false,
            expires: 0,
            inbound: None,
        };
        Self { rig, readers, message, level, given: 0 }
    }

    /// Publish once; everybody takes and settles it. How many did.
    pub(crate) fn round(&mut self, mut each: impl FnMut(u64)) -> usize {
        let now = self.rig.now;
        let hub = self.rig.engine.hub_mut();
        let receipt = hub.publish(now, None, self.level, &self.message).expect("room");
        assert_eq!(receipt.matched as usize, self.readers.len());
        let mut taken = 0;
        while let Some(conn) = hub.poll_awake() {
            let Some(id) = self.readers.get(conn.index as usize).copied() else { continue };
            taken +=
                take(hub, now, id, self.level, &mut |ord| each(u64::from(conn.index) << 32 | ord));
        }
        if taken < self.readers.len() {
            // What is delivered exactly once waits until its record is on the disk.
            self.rig.engine.commit();
            self.rig.work();
            let hub = self.rig.engine.hub_mut();
            for (index, id) in self.readers.iter().enumerate() {
                taken +=
                    take(hub, now, *id, self.level, &mut |ord| each((index as u64) << 32 | ord));
            }
        }
        self.given += taken as u64;
        self.rig.quiet();
        taken
    }
}

/// Everything the reader is owed now, settled. How many it was.
fn take(
    hub: &mut Hub,
    now: Now,
    id: SessionId,
    level: Durability,
    each: &mut dyn FnMut(u64),
) -> usize {
    let mut taken = 0;
    hub.heard(id);
    while let Some(delivery) = hub.next(now, id) {
        taken += 1;
        each(delivery.ord);
        let packet = id_of(delivery.ord);
        match delivery.qos {
            0 => {}
            1 => assert!(hub.puback(id, packet)),
            _ => {
                let received = hub.pubrec(id, packet, level);
                assert!(matches!(received, Ok(Some(_))));
                assert!(hub.pubcomp(id, packet));
            }
        }
    }
    taken
}
