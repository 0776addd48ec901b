//! Floor 6. One publish to many readers: owing it, handing it out, settling it.
//!
//! Throughput is in deliveries, and a delivery includes `next`. QoS 1 and 2 include the
//! reader's acknowledgements; the durable kind also its record, the settling records and a sync
//! that costs nothing. Absent on purpose: encoding (`encode`) and the engine around it (`turn`).

#[path = "support/readers.rs"]
mod readers;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
#[expect(dead_code, reason = "here readers have no connections")]
mod rig;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use readers::Readers;
use spindle::hub::message::Durability;
use spindle::testing::workload::Fingerprint;

/// Debug builds are tests; they only show that the bench works.
const CROWDS: &[usize] =
    if cfg!(debug_assertions) { &[1, 10, 100] } else { &[1, 10, 100, 1_000, 10_000] };

const WAYS: &[(&str, u8, Durability)] = &[
    ("q0", 0, Durability::Memory),
    ("q1 volatile", 1, Durability::Memory),
    ("q1 durable", 1, Durability::Disk),
    ("q2 volatile", 2, Durability::Memory),
    ("q2 durable", 2, Durability::Disk),
];

fn publish(c: &mut Criterion) {
    for (way, qos, level) in WAYS {
        let mut group = c.benchmark_group(format!("fanout/{way}"));
        for readers in CROWDS {
            group.throughput(Throughput::Elements(*readers as u64));
            group.bench_function(BenchmarkId::from_parameter(readers), |b| {
                let mut crowd = Readers::gather(*readers, *qos, *level);
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
