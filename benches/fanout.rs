//! Floor 6. One publish to many readers: owing it, handing it out, settling it.
//!
//! Throughput is in deliveries, and a delivery includes `next`. QoS 1 and 2 include the
//! reader's acknowledgements; the durable kind also its record, the settling records and a sync
//! that costs nothing. Absent on purpose: encoding (`encode`) and the engine around it (`turn`).

#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
#[expect(dead_code, reason = "here readers have no connections")]
mod rig;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rig::Rig;
use spindle::base::id::{ConnId, RealmId, SessionId};
use spindle::base::time::Now;
use spindle::base::words::Tongue;
use spindle::hub::Hub;
use spindle::hub::message::{Durability, Publication, id_of};
use spindle::hub::policy::Principal;
use spindle::hub::registry::{Attach, Fresh};
use spindle::hub::session::{Kind, SubOpts};
use spindle::hub::subscribe::Replays;
use spindle::testing::workload::{self, Fingerprint};
use spindle::topic::{Dialect, Match, Star};

const GRAMMAR: Star = Star { levels_max: 128 };
/// Debug builds are tests; they only show that the bench works.
const READERS: &[usize] =
    if cfg!(debug_assertions) { &[1, 10, 100] } else { &[1, 10, 100, 1_000, 10_000] };

const WAYS: &[(&str, u8, Durability)] = &[
    ("q0", 0, Durability::Memory),
    ("q1 volatile", 1, Durability::Memory),
    ("q1 durable", 1, Durability::Disk),
    ("q2 volatile", 2, Durability::Memory),
    ("q2 durable", 2, Durability::Disk),
];

struct Crowd {
    rig: Rig,
    readers: Vec<SessionId>,
    message: Publication,
    level: Durability,
    given: u64,
}

impl Crowd {
    fn gather(readers: usize, qos: u8, level: Durability) -> Self {
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
                principal,
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
    fn round(&mut self, mut each: impl FnMut(u64)) -> usize {
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

fn publish(c: &mut Criterion) {
    for (way, qos, level) in WAYS {
        let mut group = c.benchmark_group(format!("fanout/{way}"));
        for readers in READERS {
            group.throughput(Throughput::Elements(*readers as u64));
            group.bench_function(BenchmarkId::from_parameter(readers), |b| {
                let mut crowd = Crowd::gather(*readers, *qos, *level);
                let mut print = Fingerprint::default();
                let taken = crowd.round(|who| print.add_number(who));
                assert_eq!(taken, *readers, "everybody was given it once");
                report::say(&format!("fanout {way} {readers}: {taken} deliveries, {print}"));
                b.iter(|| assert_eq!(crowd.round(|_| {}), *readers));
                let owed = crowd
                    .readers
                    .iter()
                    .filter_map(|id| crowd.rig.engine.hub().session(*id).map(|s| s.outbox.owed()));
                assert_eq!(owed.sum::<u64>(), 0, "and owed nothing more");
            });
        }
        group.finish();
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
