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

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rig::Rig;
use spindle::base::id::ConnId;
use spindle::hub::message::Durability;
use spindle::hub::message::id_of;
use spindle::testing::workload::{self, Fingerprint, Step, Tongue};
use std::hint::black_box;

/// Rounds whose allocations are counted.
const COUNTED: usize = 20;

/// Who publishes what to whom.
#[derive(Clone, Copy)]
struct Scene {
    name: &'static str,
    publishers: usize,
    subscribers: usize,
    /// Everybody has a topic of its own, instead of all sharing one.
    paired: bool,
    /// Messages of each publisher in a round.
    messages: usize,
}

const SCENES: &[Scene] = &[
    Scene { name: "pairs x1", publishers: 32, subscribers: 32, paired: true, messages: 1 },
    Scene { name: "pairs x32", publishers: 32, subscribers: 32, paired: true, messages: 32 },
    Scene { name: "in 100 to 1", publishers: 100, subscribers: 1, paired: false, messages: 5 },
    Scene { name: "out 1 to 100", publishers: 1, subscribers: 100, paired: false, messages: 8 },
    Scene { name: "out 1 to 1000", publishers: 1, subscribers: 1_000, paired: false, messages: 8 },
];

/// A protocol, a quality of service, and what it promises.
const WAYS: &[Way] = &[
    Way { name: "q0", tongue: Tongue::Prx1, qos: 0, level: Durability::Memory },
    Way { name: "q1", tongue: Tongue::Prx1, qos: 1, level: Durability::Memory },
    Way { name: "q1 durable", tongue: Tongue::Prx1, qos: 1, level: Durability::Disk },
    Way { name: "mqtt5 q0", tongue: Tongue::Mqtt5, qos: 0, level: Durability::Memory },
    Way { name: "mqtt5 q1", tongue: Tongue::Mqtt5, qos: 1, level: Durability::Memory },
    Way { name: "mqtt5 q2", tongue: Tongue::Mqtt5, qos: 2, level: Durability::Memory },
    Way { name: "mqtt3 q1 durable", tongue: Tongue::Mqtt3, qos: 1, level: Durability::Disk },
    Way { name: "mqtt3 q2 durable", tongue: Tongue::Mqtt3, qos: 2, level: Durability::Disk },
];

#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    tongue: Tongue,
    qos: u8,
    level: Durability,
}

struct Stage {
    rig: Rig,
    publishers: Vec<(ConnId, Vec<u8>)>,
    subscribers: Vec<ConnId>,
    /// Deliveries to each subscriber in a round.
    each: usize,
    /// Publications of each publisher in a round.
    messages: usize,
    way: Way,
    steps: Vec<u8>,
    acked: u64,
}

impl Stage {
    fn set(scene: &Scene, len: usize, way: Way) -> Self {
        let Way { tongue, qos, .. } = way;
        let mut rig = Rig::new(way.level, rig::patient());
        let topic_of = |i: usize| if scene.paired { i } else { 0 };
        let join = |name: String, rig: &mut Rig| {
            let conn = rig.accept(tongue.speak());
            rig.say(conn, &tongue.login(&name, ""));
            conn
        };
        let mut subscribers = Vec::new();
        for i in 0..scene.subscribers {
            let conn = join(format!("reader{i}"), &mut rig);
            rig.say(conn, &tongue.subscribe(&workload::topic(topic_of(i)), qos, 1));
            subscribers.push(conn);
        }
        let mut publishers = Vec::new();
        for i in 0..scene.publishers {
            let conn = join(format!("writer{i}"), &mut rig);
            publishers.push((conn, tongue.burst(topic_of(i), scene.messages, len, qos)));
        }
        rig.quiet();
        let heard = if scene.paired { 1 } else { scene.publishers };
        let (messages, each) = (scene.messages, heard * scene.messages);
        Self { rig, publishers, subscribers, each, messages, way, steps: Vec::new(), acked: 0 }
    }

    fn deliveries(&self) -> usize {
        self.each * self.subscribers.len()
    }

    fn round(&mut self, mut heard: impl FnMut(&spindle::base::outbound::Outbound)) {
        for (conn, bytes) in &self.publishers {
            self.rig.say(*conn, bytes);
        }
        self.rig.turns(|_, out| heard(out));
        match self.way.qos {
            0 => return,
            1 => self.readers_say(Step::Ack),
            _ => {
                self.readers_say(Step::Rec);
                self.writers_say(Step::Rel);
                self.rig.turns(|_, out| heard(out));
                self.readers_say(Step::Comp);
            }
        }
        self.acked += self.each as u64;
        self.rig.turns(|_, out| heard(out));
    }

    /// Every subscriber says this of every delivery of the round.
    fn readers_say(&mut self, step: Step) {
        self.steps.clear();
        for i in 1..=self.each as u64 {
            self.way.tongue.put_step(step, id_of(self.acked + i), &mut self.steps);
        }
        for conn in &self.subscribers {
            self.rig.say(*conn, &self.steps);
        }
    }

    /// Every publisher says this of every publication of the round.
    fn writers_say(&mut self, step: Step) {
        self.steps.clear();
        for id in 1..=self.messages as u16 {
            self.way.tongue.put_step(step, id, &mut self.steps);
        }
        for (conn, _) in &self.publishers {
            self.rig.say(*conn, &self.steps);
        }
    }

    /// What a round does and how much it asks of the allocator, once everything is warm.
    fn describe(&mut self, name: &str) {
        let mut print = Fingerprint::default();
        self.round(|out| print.add(&out.to_vec()));
        let before = alloc::calls();
        for _ in 0..COUNTED {
            self.round(|out| {
                black_box(out.len());
            });
        }
        let per = (alloc::calls() - before) as f64 / (COUNTED * self.deliveries()) as f64;
        let messages = self.deliveries();
        report::say(&format!(
            "turn {name}: {messages} deliveries, {per:.3} allocations each, {print}"
        ));
        let audit = self.rig.engine.audit().expect("the machine is well");
        assert_eq!(audit.owed, 0, "every round ends with nothing owed");
    }
}

fn turns(c: &mut Criterion) {
    for way in WAYS {
        let mut group = c.benchmark_group(format!("turn/{}", way.name));
        for scene in SCENES {
            for len in [64, 1_024] {
                let id = BenchmarkId::new(scene.name, len);
                group.throughput(Throughput::Elements(
                    (scene.messages * scene.publishers.max(scene.subscribers)) as u64,
                ));
                group.bench_function(id, |b| {
                    let mut stage = Stage::set(scene, len, *way);
                    stage.describe(&format!("{} {} {len}", way.name, scene.name));
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
