//! Floor 6. What clients at work feel while others log in with expensive passwords.
//!
//! Fifty clients publish to themselves at a fixed rate; the time from when a message was due to
//! when it arrived is taken before, during and after a crowd with bcrypt passwords comes in. The
//! machine is shared by the broker, its password worker and the clients, so the ratios count, not
//! the figures: a broker that hashed on its loop would show seconds. Absent on purpose: criterion,
//! because this is one long experiment.
#![expect(clippy::disallowed_methods, reason = "clients are threads beside the broker's")]

#[path = "support/report.rs"]
mod report;

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use spindle::base::id::ConnId;
use spindle::base::limits::Limits;
use spindle::os::clock::Clock;
use spindle::os::poller::{Poller, Ready, Whom, conn};
use spindle::proto::prx1::{ConnAck, Packet, next};
use spindle::testing::workload;
use spindle::{Broker, Speak};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
const COST: u32 = if SMALL { 4 } else { 12 };
const CROWD: usize = if SMALL { 5 } else { 100 };
const WORKERS: usize = if SMALL { 5 } else { 50 };
/// Between two messages of all clients together.
const EVERY: u64 = 1_000_000;
/// Messages before and after.
const CALM: u64 = if SMALL { 200 } else { 10_000 };
/// Messages while the crowd comes in, at least.
const BUSY: u64 = if SMALL { 100 } else { 2_000 };
const PHASES: [&str; 3] = ["before", "during", "after"];

/// Which phase it is; past the last one it is over.
static PHASE: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let file = users_file();
    let limits = Limits { idle_ms_max: 3_600_000, ..Limits::default() };
    let broker = Broker::builder().listen("127.0.0.1:0", Speak::Prx1).memory();
    let broker = broker.users(&file).limits(limits).workers(1).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound");
    let handle = broker.handle();
    let run = thread::spawn(move || broker.run());
    let mut clients: Vec<_> = (0..WORKERS).map(|i| join(address, &format!("work{i}"))).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.write_all(&workload::subscribe(&workload::topic(i), 1, 1)).expect("a listener");
        let mut ack = [0; 4];
        client.read_exact(&mut ack).expect("an answer");
        assert_eq!(ack, [0x80, 2, 0, 1], "subscribed");
    }
    let clock = Clock::start();
    let near = clients.iter().map(|c| c.try_clone().expect("a descriptor")).collect();
    let ears = thread::spawn(move || hear(clients, clock));
    let crowd = thread::spawn(move || crowd(address));
    let sent = talk(near, clock, &crowd);
    let entered = crowd.join().expect("the crowd came in");
    let times = ears.join().expect("somebody listened");
    assert_eq!(times.iter().map(Vec::len).sum::<usize>() as u64, sent, "all of it arrived");
    print(times, entered);
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
    let _ = std::fs::remove_file(file);
}

/// Clients at work have a shared secret, the crowd has hashes.
fn users_file() -> PathBuf {
    let hash = bcrypt::hash("a password", COST).expect("a hash");
    let mut text = String::from("mode = \"none\"\n");
    for i in 0..WORKERS {
        text += &format!("[[users]]\nname = \"work{i}\"\nshared_secret = \"a password\"\n");
    }
    for i in 0..CROWD {
        text += &format!("[[users]]\nname = \"user{i}\"\npassword_hash = \"{hash}\"\n");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("login-users.toml");
    std::fs::write(&path, text).expect("a directory of our own");
    path
}

fn connect(address: SocketAddr, name: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(address).expect("the broker is there");
    stream.set_nodelay(true).expect("a socket's mode");
    stream.write_all(&workload::login(name, "a password")).expect("it listens");
    stream
}

fn welcome(stream: &mut std::net::TcpStream) {
    let mut ack = [0; 3];
    stream.read_exact(&mut ack).expect("it answers");
    assert_eq!(ack, [0x20, 1, ConnAck::OK], "welcome");
}

fn join(address: SocketAddr, name: &str) -> std::net::TcpStream {
    let mut stream = connect(address, name);
    welcome(&mut stream);
    stream
}

/// Come in all at once, when it is time; how long that took, in nanoseconds.
fn crowd(address: SocketAddr) -> u64 {
    while PHASE.load(Relaxed) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let clock = Clock::start();
    let mut all: Vec<_> = (0..CROWD).map(|i| connect(address, &format!("user{i}"))).collect();
    all.iter_mut().for_each(welcome);
    clock.now().mono
}

/// Publish on time, whatever happens: every message carries when it was due, and its phase.
fn talk(mut near: Vec<std::net::TcpStream>, clock: Clock, crowd: &thread::JoinHandle<u64>) -> u64 {
    let (mut due, mut sent, mut in_phase) = (clock.now().mono, 0, 0);
    loop {
        let phase = PHASE.load(Relaxed);
        let over = match phase {
            0 | 2 => in_phase >= CALM,
            _ => in_phase >= BUSY && crowd.is_finished(),
        };
        if over {
            PHASE.store(phase + 1, Relaxed);
            if phase + 1 == PHASES.len() {
                return sent;
            }
            in_phase = 0;
            continue;
        }
        due += EVERY;
        thread::sleep(Duration::from_nanos(due.saturating_sub(clock.now().mono)));
        let mut body = [0; 64];
        body[..8].copy_from_slice(&due.to_be_bytes());
        body[8] = phase as u8;
        let who = sent as usize % near.len();
        let words = workload::publish(&workload::topic(who), &Bytes::copy_from_slice(&body), 0, 0);
        near[who].write_all(&words).expect("the broker reads");
        sent += 1;
        in_phase += 1;
    }
}

/// How late everything arrived, by phase, until nothing comes any more.
fn hear(clients: Vec<std::net::TcpStream>, clock: Clock) -> [Vec<u64>; 3] {
    let mut poller = Poller::new().expect("a poller");
    let mut ears = Vec::new();
    for (i, stream) in clients.into_iter().enumerate() {
        stream.set_nonblocking(true).expect("a socket's mode");
        let mut stream = TcpStream::from_std(stream);
        let whom = conn(ConnId { index: i as u32, life: 0 });
        poller.register(&mut stream, whom).expect("a descriptor");
        ears.push((stream, BytesMut::new()));
    }
    let mut times = [const { Vec::new() }; 3];
    let mut events: Vec<Ready> = Vec::new();
    loop {
        poller.wait(Some(Duration::from_millis(500)), &mut events).expect("a wait");
        if events.is_empty() && PHASE.load(Relaxed) >= PHASES.len() {
            return times;
        }
        for event in &events {
            if let Whom::Conn(slot, _) = event.whom
                && let Some((stream, input)) = ears.get_mut(slot as usize)
            {
                take(stream, input, &mut |due, phase| {
                    times[phase].push(clock.now().mono.saturating_sub(due));
                });
            }
        }
    }
}

fn take(stream: &mut TcpStream, input: &mut BytesMut, each: &mut dyn FnMut(u64, usize)) {
    let mut through = [0; 4_096];
    loop {
        match stream.read(&mut through) {
            Ok(n) => input.extend_from_slice(&through[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("the broker ended a client at work: {e}"),
        }
    }
    while let Ok(Some(packet)) = next(input, 1 << 20) {
        let Packet::Publish(p) = packet else { panic!("nothing else was asked for") };
        let due = p.payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        each(due, usize::from(p.payload[8]));
    }
}

fn print(mut times: [Vec<u64>; 3], entered: u64) {
    let each = entered / CROWD as u64 / 1_000;
    report::say(&format!(
        "login crowd: {CROWD} users of cost {COST} in {} ms, {each} us each",
        entered / 1_000_000
    ));
    let mut figures = Vec::new();
    for (name, times) in PHASES.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |n: usize| times[(times.len() * n / 1_000).min(times.len() - 1)] / 1_000;
        let [p50, p99, p999] = [at(500), at(990), at(999)];
        let count = times.len();
        report::say(&format!(
            "login {name}: {count} messages, p50 {p50} us, p99 {p99}, p99.9 {p999}"
        ));
        figures.push([p50, p99, p999]);
    }
    let ratio = |i: usize| figures[1][i] as f64 / figures[0][i].max(1) as f64;
    report::say(&format!(
        "login during/before: p50 {:.2}, p99 {:.2}, p99.9 {:.2}",
        ratio(0),
        ratio(1),
        ratio(2)
    ));
}
