//! Floor 6. PRX1, MQTT and Foo from bytes to packets: one read of 64 KiB, taken apart.
//!
//! Throughput is in packets. What the packets hold is checked once, outside the measured loop.

#[path = "support/reads.rs"]
mod reads;
#[path = "support/report.rs"]
mod report;

use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reads::mqtt_read;
use spindle::proto::foo::decode::Scanner;
use spindle::proto::mqtt::{self, Sender, Version};
use spindle::proto::prx1::{Packet, next};
use spindle::testing::workload::{self, Fingerprint};
use std::hint::black_box;

/// Longer than any packet of the workload.
const MAX: usize = 1 << 20;

fn take_all(input: &mut BytesMut, mut each: impl FnMut(Packet)) -> usize {
    let mut count = 0;
    while let Ok(Some(packet)) = next(input, MAX) {
        each(packet);
        count += 1;
    }
    count
}

fn publishes(c: &mut Criterion) {
    for qos in [0, 1] {
        let mut group = c.benchmark_group(format!("decode/publish q{qos}"));
        for len in workload::PAYLOADS {
            let (read, count) = workload::full_read(len, qos);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                let mut print = Fingerprint::default();
                let taken = take_all(&mut BytesMut::from(&read[..]), |packet| {
                    if let Packet::Publish(p) = packet {
                        print.add(&p.topic);
                        print.add(&p.payload);
                    }
                });
                assert_eq!(taken, count, "a read is whole packets");
                report::say(&format!("decode q{qos} {len}: {count} packets, {print}"));
                b.iter_batched_ref(
                    || BytesMut::from(&read[..]),
                    |input| take_all(input, |packet| drop(black_box(packet))),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

fn acks(c: &mut Criterion) {
    let mut read = Vec::new();
    (1..=1_000).for_each(|ord| workload::put_ack(ord, &mut read));
    let mut group = c.benchmark_group("decode/puback");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("4", |b| {
        b.iter_batched_ref(
            || BytesMut::from(&read[..]),
            |input| assert_eq!(take_all(input, |packet| drop(black_box(packet))), 1_000),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn take_mqtt(input: &mut BytesMut, version: Version, mut each: impl FnMut(mqtt::Packet)) -> usize {
    let mut count = 0;
    while let Ok(Some(packet)) = mqtt::next(input, Some(version), Sender::Client, MAX) {
        each(packet);
        count += 1;
    }
    count
}

fn mqtt_publishes(c: &mut Criterion) {
    for (name, version) in [("3.1.1", Version::V311), ("5.0", Version::V5)] {
        let mut group = c.benchmark_group(format!("decode/mqtt {name} publish q1"));
        for len in workload::PAYLOADS {
            let (read, count) = mqtt_read(version, len, 1);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                let mut print = Fingerprint::default();
                let taken = take_mqtt(&mut BytesMut::from(&read[..]), version, |packet| {
                    if let mqtt::Packet::Publish(p) = packet {
                        print.add(&p.topic);
                        print.add(&p.payload);
                    }
                });
                assert_eq!(taken, count, "a read is whole packets");
                report::say(&format!("decode mqtt {name} {len}: {count} packets, {print}"));
                b.iter_batched_ref(
                    || BytesMut::from(&read[..]),
                    |input| take_mqtt(input, version, |packet| drop(black_box(packet))),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

fn mqtt_acks(c: &mut Criterion) {
    let read: Vec<u8> = (1..=1_000u16)
        .flat_map(|id| {
            let [high, low] = id.to_be_bytes();
            [0x40, 2, high, low]
        })
        .collect();
    let mut group = c.benchmark_group("decode/mqtt puback");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("4", |b| {
        b.iter_batched_ref(
            || BytesMut::from(&read[..]),
            |input| {
                let taken = take_mqtt(input, Version::V5, |packet| drop(black_box(packet)));
                assert_eq!(taken, 1_000);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn foo_lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode/foo request");
    for len in workload::PAYLOADS {
        let line = [&b"REQ 1234567 "[..], &vec![b'x'; len], b"\n"].concat();
        let count = (65_536 / line.len()).max(1);
        let read = line.repeat(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            b.iter(|| {
                let (mut scanner, mut rest, mut taken) = (Scanner::default(), &read[..], 0);
                while let Some((len, verdict)) = scanner.take(black_box(rest), MAX) {
                    taken += usize::from(verdict.is_ok());
                    rest = &rest[len..];
                }
                assert_eq!(taken, count, "a read is whole lines");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, publishes, acks, mqtt_publishes, mqtt_acks, foo_lines);
criterion_main!(benches);
