//! Floor 6. PRX1 from bytes to packets: one read of 64 KiB, taken apart.
//!
//! Throughput is in packets. What the packets hold is checked once, outside the measured loop.

#[path = "support/report.rs"]
mod report;

use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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

criterion_group!(benches, publishes, acks);
criterion_main!(benches);
