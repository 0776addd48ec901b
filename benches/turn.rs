//! Floor 6. A whole turn: bytes of publishers in, bytes of subscribers out, allocations counted.
//!
//! Throughput is in deliveries. A round is what a busy turn looks like: every publisher has sent a
//! few messages, every subscriber is spoken to once; with QoS 1 and 2 everybody acknowledges, and
//! that is part of the round. Absent on purpose: sockets, so that what is left is the broker's own.

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "`idle` asks how many bytes, this bench how often")]
mod alloc;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
mod rig;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "`counts` has readers that fall behind, this bench has none")]
mod stage;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spindle::hub::message::Durability;
use spindle::testing::workload::{Fingerprint, Tongue};
use stage::{Scene, Stage, Way};
use std::hint::black_box;

/// Rounds whose allocations are counted.
const COUNTED: usize = 20;

const SCENES: &[(&str, Scene)] = &[
    ("pairs x1", Scene { publishers: 32, subscribers: 32, paired: true, messages: 1 }),
    ("pairs x32", Scene { publishers: 32, subscribers: 32, paired: true, messages: 32 }),
    ("in 100 to 1", Scene { publishers: 100, subscribers: 1, paired: false, messages: 5 }),
    ("out 1 to 100", Scene { publishers: 1, subscribers: 100, paired: false, messages: 8 }),
    ("out 1 to 1000", Scene { publishers: 1, subscribers: 1_000, paired: false, messages: 8 }),
];

/// A protocol, a quality of service, and what it promises.
const WAYS: &[(&str, Way)] = &[
    ("q0", Way { tongue: Tongue::Prx1, qos: 0, level: Durability::Memory }),
    ("q1", Way { tongue: Tongue::Prx1, qos: 1, level: Durability::Memory }),
    ("q1 durable", Way { tongue: Tongue::Prx1, qos: 1, level: Durability::Disk }),
    ("mqtt5 q0", Way { tongue: Tongue::Mqtt5, qos: 0, level: Durability::Memory }),
    ("mqtt5 q1", Way { tongue: Tongue::Mqtt5, qos: 1, level: Durability::Memory }),
    ("mqtt5 q2", Way { tongue: Tongue::Mqtt5, qos: 2, level: Durability::Memory }),
    ("mqtt3 q1 durable", Way { tongue: Tongue::Mqtt3, qos: 1, level: Durability::Disk }),
    ("mqtt3 q2 durable", Way { tongue: Tongue::Mqtt3, qos: 2, level: Durability::Disk }),
];

/// What a round does and how much it asks of the allocator, once everything is warm.
fn describe(stage: &mut Stage, name: &str) {
    let mut print = Fingerprint::default();
    stage.round(|out| print.add(&out.to_vec()));
    let before = alloc::calls();
    for _ in 0..COUNTED {
        stage.round(|out| {
            black_box(out.len());
        });
    }
    let per = (alloc::calls() - before) as f64 / (COUNTED * stage.deliveries()) as f64;
    let messages = stage.deliveries();
    report::say(&format!("turn {name}: {messages} deliveries, {per:.3} allocations each, {print}"));
    let audit = stage.rig.engine.audit().expect("the machine is well");
    assert_eq!(audit.owed, 0, "every round ends with nothing owed");
}

fn turns(c: &mut Criterion) {
    for (way_name, way) in WAYS {
        let mut group = c.benchmark_group(format!("turn/{}", way_name));
        for (scene_name, scene) in SCENES {
            for len in [64, 1_024] {
                let id = BenchmarkId::new(*scene_name, len);
                group.throughput(Throughput::Elements(
                    (scene.messages * scene.publishers.max(scene.subscribers)) as u64,
                ));
                group.bench_function(id, |b| {
                    let mut stage = Stage::set(scene, len, *way);
                    describe(&mut stage, &format!("{} {} {len}", way_name, scene_name));
                    b.iter(|| {
                        stage.round(|out| {
                            black_box(out.len());
                        });
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, turns);
criterion_main!(benches);
