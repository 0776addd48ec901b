//! Floor 6. How to write: a call per message, one contiguous buffer, or pieces that are shared.
//!
//! The choice behind `COPY_MAX`. One thread writes a turn's share for a connection and only that
//! is measured; what arrived is read away outside of it. `built` is `Outbound` as the driver uses
//! it: copied below the limit, shared above. Throughput is in messages.

#[path = "support/report.rs"]
mod report;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spindle::base::outbound::Outbound;
use spindle::os::clock::Clock;
use spindle::proto::prx1::publish_head;
use spindle::testing::workload::{self, Fingerprint};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Most pieces of one call; the driver's own number.
const PIECES: usize = 64;

const CASES: &[(usize, usize)] = if cfg!(debug_assertions) {
    &[(64, 8), (4_096, 8)]
} else {
    &[(64, 1), (64, 8), (64, 32), (1_024, 32), (2_048, 16), (4_096, 8), (16_384, 1), (16_384, 4)]
};

/// Both ends of a connection, neither of which blocks.
struct Pipe<S> {
    near: S,
    far: S,
    clock: Clock,
    /// Nanoseconds of a measurement in which nothing was written.
    paused: u64,
    print: Fingerprint,
    sink: Vec<u8>,
}

impl<S: Read + Write> Pipe<S> {
    fn new((near, far): (S, S)) -> Self {
        let (clock, print) = (Clock::start(), Fingerprint::default());
        Self { near, far, clock, paused: 0, print, sink: vec![0; 1 << 20] }
    }

    /// Write all of it; when the other end is full it is emptied while the clock stands still.
    fn write(&mut self, mut pieces: &mut [IoSlice<'_>]) {
        while !pieces.is_empty() {
            let most = pieces.len().min(PIECES);
            let wrote = match &pieces[..most] {
                [one] => self.near.write(one),
                many => self.near.write_vectored(many),
            };
            match wrote {
                Ok(n) => IoSlice::advance_slices(&mut pieces, n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.pause(),
                Err(e) => panic!("a pipe of our own: {e}"),
            }
        }
    }

    fn pause(&mut self) {
        let start = self.clock.now().mono;
        self.empty(|_, _| {});
        self.paused += self.clock.now().mono - start;
    }

    fn empty(&mut self, mut seen: impl FnMut(&mut Fingerprint, &[u8])) {
        while let Ok(n @ 1..) = self.far.read(&mut self.sink) {
            seen(&mut self.print, &self.sink[..n]);
        }
    }
}

/// How a turn's share becomes calls.
#[derive(Clone, Copy)]
enum Way {
    Each,
    Copied,
    Shared,
    Built,
}

const WAYS: [(&str, Way); 4] =
    [("each", Way::Each), ("copied", Way::Copied), ("shared", Way::Shared), ("built", Way::Built)];

/// What is kept between turns, so that nothing is measured but the turn.
#[derive(Default)]
struct Desk {
    out: Outbound,
    scratch: Vec<u8>,
    heads: Vec<usize>,
}

fn head(len: usize) -> Vec<u8> {
    let mut out = Outbound::default();
    let put = publish_head(&mut out, false, 1, false, 7, &workload::topic(7), len);
    assert!(put.is_ok(), "short fields");
    out.to_vec()
}

impl Desk {
    /// Encode and write `count` messages; how many nanoseconds that took. Encoding is part of it,
    /// because that is where copying costs.
    fn turn<S: Read + Write>(
        &mut self,
        pipe: &mut Pipe<S>,
        way: Way,
        head: &[u8],
        body: &Bytes,
        count: usize,
    ) -> u64 {
        let start = pipe.clock.now().mono;
        pipe.paused = 0;
        self.scratch.clear();
        self.heads.clear();
        self.out.clear();
        for _ in 0..count {
            match way {
                Way::Each | Way::Copied => {
                    self.scratch.extend_from_slice(head);
                    self.scratch.extend_from_slice(body);
                }
                Way::Shared => self.scratch.extend_from_slice(head),
                Way::Built => {
                    self.out.put_slice(head);
                    self.out.put_bytes(body);
                }
            }
        }
        let mut pieces: Vec<IoSlice<'_>> = match way {
            Way::Each => self.scratch.chunks(head.len() + body.len()).map(IoSlice::new).collect(),
            Way::Copied => vec![IoSlice::new(&self.scratch)],
            Way::Shared => {
                let heads = self.scratch.chunks(head.len());
                heads.flat_map(|head| [IoSlice::new(head), IoSlice::new(body)]).collect()
            }
            Way::Built => {
                let mut pieces = Vec::new();
                self.out.pieces(0, usize::MAX, &mut pieces);
                pieces
            }
        };
        if matches!(way, Way::Each) {
            pieces.iter_mut().for_each(|one| pipe.write(std::slice::from_mut(one)));
        } else {
            pipe.write(&mut pieces);
        }
        pipe.clock.now().mono - start - pipe.paused
    }
}

fn measure<S: Read + Write>(c: &mut Criterion, kind: &str, pair: impl Fn() -> (S, S)) {
    for (len, count) in CASES {
        let mut group = c.benchmark_group(format!("egress/{kind} {len} x {count}"));
        group.throughput(Throughput::Elements(*count as u64));
        for (name, way) in WAYS {
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                let (head, body) = (head(*len), workload::payload(*len));
                let (mut pipe, mut desk) = (Pipe::new(pair()), Desk::default());
                desk.turn(&mut pipe, way, &head, &body, *count);
                pipe.empty(Fingerprint::add);
                report::say(&format!("egress {kind} {len} x {count} {name}: {}", pipe.print));
                b.iter_custom(|rounds| {
                    let mut spent = 0;
                    for _ in 0..rounds {
                        spent += desk.turn(&mut pipe, way, &head, &body, *count);
                        pipe.empty(|_, _| {});
                    }
                    Duration::from_nanos(spent)
                });
            });
        }
        group.finish();
    }
}

fn unix(c: &mut Criterion) {
    measure(c, "unix", || {
        let pair = UnixStream::pair().expect("two ends");
        pair.0
            .set_nonblocking(true)
            .and_then(|()| pair.1.set_nonblocking(true))
            .expect("a socket's mode");
        pair
    });
}

fn tcp(c: &mut Criterion) {
    measure(c, "tcp", || {
        let door = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(door.local_addr().expect("bound")).expect("loopback");
        let (far, _) = door.accept().expect("who connected");
        near.set_nodelay(true).expect("a socket's mode");
        near.set_nonblocking(true)
            .and_then(|()| far.set_nonblocking(true))
            .expect("a socket's mode");
        (near, far)
    });
}

criterion_group!(benches, unix, tcp);
criterion_main!(benches);
