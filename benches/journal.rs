//! Floor 6. Appending, and what a sync costs that covers one record or a thousand.
//!
//! `append` is the loop's part: a copy into memory that a file backs. `commit` is the disk
//! thread's: a group of records, one sync, on real files in the build directory. Making and
//! removing segments is done between measurements. Bytes written are what the system says it
//! sent to the disk for this process: a segment written out in large pages would show here.

#[path = "support/report.rs"]
mod report;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spindle::base::id::{Lsn, OwnerNo, RealmId};
use spindle::base::time::Now;
use spindle::journal::job::DiskJob;
use spindle::journal::memory::Memory;
use spindle::journal::record::{MessageRef, Owed};
use spindle::journal::storage::Storage;
use spindle::journal::{Class, Journal, Options, Spot, perform};
use spindle::os::clock::Clock;
use spindle::os::mmap::Directory;
use spindle::testing::workload::{self, Fingerprint};
use std::path::PathBuf;
use std::time::Duration;

const NOW: Now = Now { mono: 0, wall: 1_700_000_000_000 };
const SEGMENT: u32 = if cfg!(debug_assertions) { 1 << 20 } else { 16 << 20 };
const GROUPS: &[usize] = if cfg!(debug_assertions) { &[1, 16] } else { &[1, 16, 256, 1_000] };

struct Log {
    journal: Journal,
    storage: Box<dyn Storage>,
    topic: Vec<u8>,
    body: Vec<u8>,
    owed: [Owed; 1],
}

impl Log {
    fn begin(mut storage: Box<dyn Storage>, len: usize) -> Self {
        let options = Options { segment_bytes: SEGMENT, salt: 1, salvage: false };
        let (journal, _) = Journal::recover(&mut *storage, options, &mut |_, _| {})
            .expect("an empty disk is a good one");
        let owed = Owed { owner: OwnerNo(1), ord: 0, grant: 1, subs: [].into_iter().collect() };
        let (topic, body) = (workload::topic(7).to_vec(), workload::payload(len).to_vec());
        let mut log = Self { journal, storage, topic, body, owed: [owed] };
        log.rest();
        log
    }

    fn append(&mut self) -> Spot {
        self.owed[0].ord += 1;
        if let Some(spot) = self.try_append() {
            return spot;
        }
        self.rest();
        self.try_append().expect("room for one")
    }

    fn try_append(&mut self) -> Option<Spot> {
        let message = MessageRef {
            retain: false,
            qos: 1,
            realm: RealmId(0),
            born: NOW.wall,
            expires: 0,
            topic: &self.topic,
            props: &[],
            body: &self.body,
            owed: &self.owed,
            past: None,
        };
        self.journal.append_message(Class::Growth, &message).ok()
    }

    /// Do the one sync there is to do; what else there is comes later.
    fn commit(&mut self) -> Lsn {
        while let Some(job) = self.journal.poll_job(NOW) {
            let sync = matches!(job, DiskJob::Sync { .. });
            let done = perform(&mut *self.storage, job);
            self.journal.on_done(NOW, done);
            if sync {
                break;
            }
        }
        self.journal.synced()
    }

    /// Everything else: dead segments go, new ones come.
    fn rest(&mut self) {
        loop {
            self.journal.compact_if_sparse();
            let Some(job) = self.journal.poll_job(NOW) else { return };
            let done = perform(&mut *self.storage, job);
            self.journal.on_done(NOW, done);
        }
    }
}

/// A directory of our own under the build's, removed when it is not needed any more.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{name}"));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn storage(&self) -> Box<dyn Storage> {
        Box::new(Directory::open(&self.0).expect("a directory of our own"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes this process sent to the disk; 0 where nobody counts them.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn append(c: &mut Criterion) {
    for (place, real) in [("memory", false), ("mapped", true)] {
        let mut group = c.benchmark_group(format!("journal/append, {place}"));
        for len in workload::PAYLOADS {
            let scratch = Scratch::new("append");
            let storage = || if real { scratch.storage() } else { Box::new(Memory::default()) };
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                let mut log = Log::begin(storage(), len);
                let mut print = Fingerprint::default();
                let mut bytes = 0;
                for _ in 0..100 {
                    let spot = log.append();
                    bytes += spot.len;
                    print.add_number(spot.end.0);
                }
                let over = f64::from(bytes) / 100.0 - len as f64;
                report::say(&format!(
                    "journal append {place} {len}: {over} bytes around each, {print}"
                ));
                let clock = Clock::start();
                b.iter_custom(|rounds| {
                    let (mut spent, mut left) = (0, rounds);
                    while left > 0 {
                        // Segments are made in time, as the disk thread would.
                        log.rest();
                        let start = clock.now().mono;
                        (0..left.min(1_000)).for_each(|_| _ = log.append());
                        spent += clock.now().mono - start;
                        left -= left.min(1_000);
                    }
                    Duration::from_nanos(spent)
                });
            });
        }
        group.finish();
    }
}

fn commit(c: &mut Criterion) {
    for len in [64, 1_024] {
        let mut group = c.benchmark_group(format!("journal/commit of {len}"));
        group.sample_size(20);
        for size in GROUPS {
            group.throughput(Throughput::Elements(*size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                let scratch = Scratch::new("commit");
                let mut log = Log::begin(scratch.storage(), len);
                let clock = Clock::start();
                let (mut times, mut sent) = (Vec::new(), 0);
                b.iter_custom(|rounds| {
                    let mut spent = 0;
                    for _ in 0..rounds {
                        let (before, start) = (written(), clock.now().mono);
                        let end = (0..*size).map(|_| log.append().end).last();
                        assert!(Some(log.commit()) >= end, "what was appended is on the disk");
                        let took = clock.now().mono - start;
                        sent += written() - before;
                        times.push(took);
                        spent += took;
                        log.rest();
                    }
                    Duration::from_nanos(spent)
                });
                // A warm-up of a few has no percentiles.
                if times.len() < 20 && !cfg!(debug_assertions) {
                    return;
                }
                times.sort_unstable();
                let at = |n: usize| times[(times.len() * n / 100).min(times.len() - 1)] / 1_000;
                report::say(&format!(
                    "journal commit of {size} x {len}: p50 {} us, p99 {} us, {} bytes to the disk",
                    at(50),
                    at(99),
                    sent / times.len() as u64,
                ));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, append, commit);
criterion_main!(benches);
