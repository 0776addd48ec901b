//! Floor 6. Everything that is kept, for one reader: what it costs it, and what others feel.
//!
//! A hundred thousand topics have a value. Again and again somebody comes, subscribes to `#` and
//! must be given every one of them exactly once, with no bound raised and nothing dropped, while
//! clients at work go on. Readers are quick, acknowledge everything, or read slowly; calm windows
//! of the same length lie between. The loop has one core, the clients at work another, and readers
//! run there when those leave time: what others feel is the broker, not how a scheduler divides two
//! cores. Absent on purpose: a journal (the same walk, with reads from the disk).

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "here bytes count, not calls")]
mod alloc;
#[path = "support/pace.rs"]
mod pace;
#[path = "support/place.rs"]
mod place;
#[path = "support/report.rs"]
mod report;
#[path = "support/sched.rs"]
mod sched;
#[path = "support/witness.rs"]
mod witness;

use bytes::{Bytes, BytesMut};
use pace::{Pace, connect, named, read_short, welcome};
use spindle::Broker;
use spindle::base::limits::Limits;
use spindle::base::time::Now;
use spindle::hub::policy::{Event, Observer};
use spindle::proto::mqtt::{Packet, Sender, next};
use spindle::testing::workload::{self, Step, Tongue};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
const KEPT: usize = if SMALL { 2_000 } else { 100_000 };
const WAVES: usize = if SMALL { 1 } else { 20 };
const TONGUE: Tongue = Tongue::Mqtt5;
/// What a slow reader does after each read of [`READ`] bytes.
const DAWDLE: Duration = Duration::from_millis(10);
const READ: usize = 64 << 10;

const KINDS: &[&str] = &["calm", "quick reader", "acknowledging reader", "slow reader"];
const CALM: usize = 0;

/// How somebody reads.
#[derive(Clone, Copy)]
struct Manner {
    kind: usize,
    qos: u8,
    slow: bool,
}

const MANNERS: [Manner; 3] = [
    Manner { kind: 1, qos: 0, slow: false },
    Manner { kind: 2, qos: 1, slow: false },
    Manner { kind: 3, qos: 0, slow: true },
];

/// Counts what is dropped.
struct Drops(Arc<AtomicU64>);

impl Observer for Drops {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        self.0.fetch_add(u64::from(matches!(event, Event::Dropped { .. })), Relaxed);
    }
}

fn main() {
    let drops = Arc::new(AtomicU64::new(0));
    let broker = Broker::builder().listen("127.0.0.1:0", TONGUE.speak()).memory();
    let broker = broker.allow_anonymous(true).observer(Drops(Arc::clone(&drops)));
    let broker = broker.limits(Limits::default()).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound");
    let handle = broker.handle();
    let run = named("loop", move || {
        place::stay_on("0");
        broker.run()
    });
    place::stay_on("1");
    let heap = alloc::bytes();
    keep(address);
    let each = (alloc::bytes() - heap) / KEPT;
    report::say(&format!("retained kept: {KEPT} values of 64 B, {each} B of heap each"));
    let mut pace = Pace::start("retained", KINDS, TONGUE, address);
    let mut took = [0; MANNERS.len()];
    let mut grown = [0; MANNERS.len()];
    let mut rests = [Duration::from_millis(if SMALL { 50 } else { 150 }); MANNERS.len()];
    for wave in 0..WAVES {
        for (i, manner) in MANNERS.into_iter().enumerate() {
            // As long as such a reader took the last time.
            pace.during(CALM, || thread::sleep(rests[i]));
            let mut most = 0;
            let name = format!("reader{wave}-{i}");
            let ns = pace.during(manner.kind, || most = take_all(address, &name, manner));
            rests[i] = Duration::from_nanos(ns);
            took[i] += ns;
            grown[i] = grown[i].max(most);
        }
    }
    pace.end();
    for (i, manner) in MANNERS.iter().enumerate() {
        let (name, ms) = (KINDS[manner.kind], took[i] / WAVES as u64 / 1_000_000);
        let kib = grown[i] >> 10;
        report::say(&format!(
            "retained {name} took: {KEPT} values in {ms} ms; the heap grew by {kib} KiB at most"
        ));
    }
    assert_eq!(drops.load(Relaxed), 0, "nothing was dropped");
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
}

/// Give every topic a value.
fn keep(address: SocketAddr) {
    let mut stream = connect(TONGUE, address, "keeper");
    welcome(TONGUE, &mut stream);
    let body = workload::payload(64);
    for some in (0..KEPT).collect::<Vec<_>>().chunks(1_000) {
        let one = |i: &usize| TONGUE.publish(&workload::topic(*i), &body, 0, 0, true);
        let words: Vec<u8> = some.iter().flat_map(one).collect();
        stream.write_all(&words).expect("it listens");
    }
    // The answer to a ping comes behind all of that.
    stream.write_all(&[0xc0, 0]).expect("it listens");
    assert_eq!(read_short(&mut stream).0, 0xd0, "the answer to a ping");
}

/// Subscribe to everything, and read until every value has come once. Answers by how much the
/// heap of this process had grown at most.
fn take_all(address: SocketAddr, name: &str, manner: Manner) -> usize {
    let mut seen = vec![false; KEPT];
    let mut left = KEPT;
    let (mut input, mut through) = (BytesMut::with_capacity(4 * READ), vec![0; READ]);
    let (heap, mut grown) = (alloc::bytes(), 0);
    place::give_way();
    let mut stream = connect(TONGUE, address, name);
    welcome(TONGUE, &mut stream);
    let words = TONGUE.subscribe(&Bytes::from_static(b"#"), manner.qos, 1);
    stream.write_all(&words).expect("it listens");
    let mut acks = Vec::new();
    while left > 0 {
        let n = stream.read(&mut through).expect("the broker is there");
        assert!(n > 0, "it ended with {left} values to come");
        input.extend_from_slice(&through[..n]);
        let version = Some(TONGUE.version());
        while let Some(packet) =
            next(&mut input, version, Sender::Server, 1 << 20).expect("well formed")
        {
            let Packet::Publish(p) = packet else { continue };
            if p.qos > 0 {
                TONGUE.put_step(Step::Ack, p.id, &mut acks);
            }
            // What clients at work say is no kept value.
            if p.retain {
                let at = device(&p.topic).expect("a topic of ours");
                assert!(!core::mem::replace(&mut seen[at], true), "{at} came twice");
                left -= 1;
            }
        }
        stream.write_all(&acks).expect("it listens");
        acks.clear();
        grown = grown.max(alloc::bytes().saturating_sub(heap));
        if manner.slow {
            thread::sleep(DAWDLE);
        }
    }
    grown
}

/// Which device a topic of the workload is about.
fn device(topic: &[u8]) -> Option<usize> {
    let level = core::str::from_utf8(topic).ok()?.split('/').nth(2)?;
    level.strip_prefix("device")?.parse().ok()
}
