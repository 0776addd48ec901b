//! Floor 6. PRX1 and MQTT from deliveries to bytes: one turn's share for a connection, 64 KiB.
//!
//! Throughput is in packets. Payloads above `COPY_MAX` are shared, which is why the largest ones
//! cost as little as they do.

#[path = "support/report.rs"]
mod report;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spindle::base::outbound::Outbound;
use spindle::proto::mqtt::{self, Prop, Props, PublishHead, PublishProps, Version};
use spindle::proto::prx1::publish_head;
use spindle::testing::workload::{self, Fingerprint};
use std::hint::black_box;

fn publishes(c: &mut Criterion) {
    let mut out = Outbound::default();
    for qos in [0, 1] {
        let mut group = c.benchmark_group(format!("encode/publish q{qos}"));
        for len in workload::PAYLOADS {
            let (topic, payload) = (workload::topic(7), workload::payload(len));
            let count = workload::READ / (topic.len() + payload.len());
            let fill = |out: &mut Outbound| {
                out.clear();
                for id in 1..=count {
                    let head = publish_head(out, false, qos, false, id as u16, &topic, len);
                    assert!(head.is_ok(), "short fields");
                    out.put_bytes(black_box(&payload));
                }
            };
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                fill(&mut out);
                let mut print = Fingerprint::default();
                print.add(&out.to_vec());
                report::say(&format!("encode q{qos} {len}: {count} packets, {print}"));
                b.iter(|| {
                    fill(&mut out);
                    out.len()
                });
            });
        }
        group.finish();
    }
}

fn mqtt_publishes(c: &mut Criterion) {
    let mut out = Outbound::default();
    let user = Prop::User(Bytes::from_static(b"unit"), Bytes::from_static(b"celsius"));
    let rest = Props::build(&[user]).forwardable();
    for (name, version) in [("3.1.1", Version::V311), ("5.0", Version::V5)] {
        let mut group = c.benchmark_group(format!("encode/mqtt {name} publish q1"));
        for len in workload::PAYLOADS {
            let (topic, payload) = (workload::topic(7), workload::payload(len));
            let count = workload::READ / (topic.len() + payload.len());
            let fill = |out: &mut Outbound| {
                out.clear();
                for id in 1..=count {
                    let head = PublishHead {
                        version,
                        dup: false,
                        qos: 1,
                        retain: false,
                        topic: &topic,
                        id: id as u16,
                        props: PublishProps {
                            expiry: Some(60),
                            alias: None,
                            subs: &[1],
                            rest: &rest,
                        },
                        payload_len: len,
                    };
                    let said = mqtt::publish_head(out, black_box(&head));
                    assert!(said.is_ok(), "short fields");
                    out.put_bytes(black_box(&payload));
                }
            };
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                fill(&mut out);
                let mut print = Fingerprint::default();
                print.add(&out.to_vec());
                report::say(&format!("encode mqtt {name} {len}: {count} packets, {print}"));
                b.iter(|| {
                    fill(&mut out);
                    out.len()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, publishes, mqtt_publishes);
criterion_main!(benches);
