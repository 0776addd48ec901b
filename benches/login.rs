//! Floor 6. What clients at work feel while others log in with expensive passwords.
//!
//! Fifty clients publish to themselves at a fixed rate. Short windows take turns: calm; a few
//! users log in and a worker of the broker hashes; calm; the same hashing is done by a process of
//! its own, and nobody logs in (control). The machine is shared by clients, broker and hashing, so
//! what counts is how the three kinds of windows differ: a busy machine is in control too, a
//! broker that lets its clients wait is not. Windows of one kind are also compared with each other,
//! because a shared machine drifts. Absent on purpose: criterion, because this is one experiment.
#![expect(clippy::disallowed_methods, reason = "clients are threads beside the broker's")]

#[path = "support/report.rs"]
mod report;
#[path = "support/sched.rs"]
mod sched;

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use sched::Times;
use spindle::base::id::ConnId;
use spindle::base::limits::Limits;
use spindle::os::clock::Clock;
use spindle::os::poller::{Poller, Ready, Whom, conn};
use spindle::os::workers;
use spindle::proto::prx1::{ConnAck, Packet, next};
use spindle::testing::workload;
use spindle::{Broker, Speak};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
const COST: u32 = if SMALL { 4 } else { 12 };
/// Users that come in together, and how often some do.
const CROWD: usize = if SMALL { 2 } else { 4 };
const WAVES: usize = if SMALL { 2 } else { 25 };
const CLIENTS: usize = if SMALL { 5 } else { 50 };
/// Between two messages of all clients together.
const EVERY: u64 = 1_000_000;
/// The word by which this program knows that it is to hash beside the broker.
const BESIDE: &str = "hash-beside-the-broker";
const PASSWORD: &str = "a password";

/// What goes on in a window.
const KINDS: [&str; 3] = ["calm", "busy", "control"];
const CALM: u32 = 0;
const BUSY: u32 = 1;
const CONTROL: u32 = 2;
/// Threads that are looked at.
const THREADS: [&str; 4] = ["loop", "talk", "hear", "verify-0"];

/// Number of the window and its kind, as every message carries them; [`OVER`] at the end.
static WINDOW: AtomicU32 = AtomicU32::new(CALM);
const OVER: u32 = u32::MAX;

/// A message that arrived: in which window it was sent, how late it was sent, how long it took.
#[derive(Clone, Copy)]
struct Heard {
    window: u32,
    late: u64,
    took: u64,
}

/// What the scheduler said of a kind of windows.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: u64,
    threads: [Times; THREADS.len()],
    machine: (u64, u64),
}

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != BESIDE).skip(1);
    if let Some(hash) = args.next() {
        return hash_when_told(&hash);
    }
    let hash = bcrypt::hash(PASSWORD, COST).expect("a hash");
    let file = users_file(&hash);
    let limits = Limits { idle_ms_max: 3_600_000, ..Limits::default() };
    let broker = Broker::builder().listen("127.0.0.1:0", Speak::Prx1).memory();
    let broker = broker.users(&file).limits(limits).workers(1).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound");
    let handle = broker.handle();
    let run = named("loop", move || broker.run());
    let clients: Vec<_> = (0..CLIENTS).map(|i| join(address, i)).collect();
    let clock = Clock::start();
    let near = clients.iter().map(|c| c.try_clone().expect("a descriptor")).collect();
    let ears = named("hear", move || hear(clients, clock));
    let mouth = named("talk", move || talk(near, clock));
    let (spent, entered) = conduct(address, clock, &hash);
    WINDOW.store(OVER, Relaxed);
    let sent = mouth.join().expect("somebody talked");
    let heard = ears.join().expect("somebody listened");
    assert_eq!(heard.len() as u64, sent, "all of it arrived");
    print(&heard, &spent, &entered);
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
    let _ = std::fs::remove_file(file);
}

fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::Builder::new().name(name.into()).spawn(run).expect("a thread")
}

/// Clients at work have a shared secret, the crowd has hashes.
fn users_file(hash: &str) -> PathBuf {
    let mut text = String::from("mode = \"none\"\n");
    for i in 0..CLIENTS {
        text += &format!("[[users]]\nname = \"work{i}\"\nshared_secret = \"{PASSWORD}\"\n");
    }
    for i in 0..CROWD * WAVES {
        text += &format!("[[users]]\nname = \"user{i}\"\npassword_hash = \"{hash}\"\n");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("login-users.toml");
    std::fs::write(&path, text).expect("a directory of our own");
    path
}

fn connect(address: SocketAddr, name: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(address).expect("the broker is there");
    stream.set_nodelay(true).expect("a socket's mode");
    stream.write_all(&workload::login(name, PASSWORD)).expect("it listens");
    stream
}

fn welcome(stream: &mut std::net::TcpStream) {
    let mut ack = [0; 3];
    stream.read_exact(&mut ack).expect("it answers");
    assert_eq!(ack, [0x20, 1, ConnAck::OK], "welcome");
}

/// A client at work, with a subscription to its own topic.
fn join(address: SocketAddr, i: usize) -> std::net::TcpStream {
    let mut stream = connect(address, &format!("work{i}"));
    welcome(&mut stream);
    stream.write_all(&workload::subscribe(&workload::topic(i), 1, 1)).expect("a listener");
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).expect("an answer");
    assert_eq!(ack, [0x80, 2, 0, 1], "subscribed");
    stream
}

/// One window after the other; what each kind cost, and how long each crowd took to come in.
fn conduct(address: SocketAddr, clock: Clock, hash: &str) -> ([Spent; 3], Vec<u64>) {
    let mut beside = Beside::start(hash);
    let (mut spent, mut entered) = ([Spent::default(); 3], Vec::new());
    let mut window = 0;
    let mut observe = |kind: u32, run: &mut dyn FnMut()| {
        WINDOW.store(window << 2 | kind, Relaxed);
        window += 1;
        let look = || (clock.now().mono, THREADS.map(sched::thread), sched::machine());
        let before = look();
        run();
        let after = look();
        let sum = &mut spent[kind as usize];
        sum.wall += after.0 - before.0;
        for (i, sum) in sum.threads.iter_mut().enumerate() {
            *sum += after.1[i] - before.1[i];
        }
        sum.machine.0 += after.2.0 - before.2.0;
        sum.machine.1 += after.2.1 - before.2.1;
        after.0 - before.0
    };
    // The first windows are as long as a guess, the others as long as hashing takes.
    let mut rest = Duration::from_millis(if SMALL { 100 } else { 1_000 });
    for wave in 0..WAVES {
        observe(CALM, &mut || thread::sleep(rest));
        entered.push(observe(BUSY, &mut || crowd(address, wave)));
        rest = Duration::from_nanos(*entered.last().unwrap_or(&0));
        observe(CALM, &mut || thread::sleep(rest));
        observe(CONTROL, &mut || beside.hash());
    }
    beside.end();
    (spent, entered)
}

/// Some users come in at once, and leave.
fn crowd(address: SocketAddr, wave: usize) {
    let names = (0..CROWD).map(|i| format!("user{}", wave * CROWD + i));
    let mut all: Vec<_> = names.map(|name| connect(address, &name)).collect();
    all.iter_mut().for_each(welcome);
}

/// A process that hashes when told to, as a worker of the broker does.
struct Beside {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Beside {
    fn start(hash: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let command = command.args([BESIDE, hash]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out }
    }

    fn hash(&mut self) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(b"go\n").expect("it listens");
        let mut line = String::new();
        self.out.read_line(&mut line).expect("it answers");
        assert_eq!(line, "done\n");
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().is_ok_and(|status| status.success()), "it ended well");
    }
}

fn hash_when_told(hash: &str) {
    workers::step_back();
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines() {
        assert!(line.is_ok_and(|line| line == "go"), "nothing else is said");
        for _ in 0..CROWD {
            assert!(bcrypt::non_truncating_verify(PASSWORD, hash).expect("a hash"));
        }
        out.write_all(b"done\n").and_then(|()| out.flush()).expect("somebody waits for this");
    }
}

/// Publish on time, whatever happens: every message carries when it was due, when it was sent, and
/// its window.
fn talk(mut near: Vec<std::net::TcpStream>, clock: Clock) -> u64 {
    let (mut due, mut sent) = (clock.now().mono, 0);
    loop {
        due += EVERY;
        thread::sleep(Duration::from_nanos(due.saturating_sub(clock.now().mono)));
        let window = WINDOW.load(Relaxed);
        if window == OVER {
            return sent;
        }
        let who = sent as usize % near.len();
        let mut body = [0; 64];
        body[..8].copy_from_slice(&due.to_be_bytes());
        body[16..20].copy_from_slice(&window.to_be_bytes());
        body[8..16].copy_from_slice(&clock.now().mono.to_be_bytes());
        let words = workload::publish(&workload::topic(who), &Bytes::copy_from_slice(&body), 0, 0);
        near[who].write_all(&words).expect("the broker reads");
        sent += 1;
    }
}

/// Everything that arrived, until nothing comes any more.
fn hear(clients: Vec<std::net::TcpStream>, clock: Clock) -> Vec<Heard> {
    let mut poller = Poller::new().expect("a poller");
    let mut ears = Vec::new();
    for (i, stream) in clients.into_iter().enumerate() {
        stream.set_nonblocking(true).expect("a socket's mode");
        let mut stream = TcpStream::from_std(stream);
        let whom = conn(ConnId { index: i as u32, life: 0 });
        poller.register(&mut stream, whom).expect("a descriptor");
        ears.push((stream, BytesMut::new()));
    }
    let mut heard = Vec::with_capacity(1 << 20);
    let mut events: Vec<Ready> = Vec::new();
    loop {
        poller.wait(Some(Duration::from_millis(500)), &mut events).expect("a wait");
        if events.is_empty() && WINDOW.load(Relaxed) == OVER {
            return heard;
        }
        for event in &events {
            if let Whom::Conn(slot, _) = event.whom
                && let Some((stream, input)) = ears.get_mut(slot as usize)
            {
                take(stream, input, clock, &mut heard);
            }
        }
    }
}

fn take(stream: &mut TcpStream, input: &mut BytesMut, clock: Clock, heard: &mut Vec<Heard>) {
    let mut through = [0; 4_096];
    loop {
        match stream.read(&mut through) {
            Ok(n) => input.extend_from_slice(&through[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("the broker ended a client at work: {e}"),
        }
    }
    while let Ok(Some(packet)) = next(input, 1 << 20) {
        let now = clock.now().mono;
        let Packet::Publish(p) = packet else { panic!("nothing else was asked for") };
        let number =
            |at: usize| p.payload[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
        let (due, sent, window) = (number(0), number(8), (number(16) >> 32) as u32);
        heard.push(Heard { window, late: sent - due, took: now.saturating_sub(sent) });
    }
}

/// The value that so many of a thousand stay below, in microseconds.
fn at(sorted: &[u64], of_1000: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * of_1000 / 1_000).min(last)).map_or(0, |ns| ns / 1_000)
}

fn sorted(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut all: Vec<u64> = values.collect();
    all.sort_unstable();
    all
}

fn print(heard: &[Heard], spent: &[Spent; 3], entered: &[u64]) {
    let each = entered.iter().sum::<u64>() / (CROWD * WAVES) as u64 / 1_000;
    let count = entered.len();
    report::say(&format!(
        "login crowds: {count} of {CROWD} users of cost {COST}, {each} us for each user"
    ));
    for (kind, name) in KINDS.iter().enumerate() {
        let of_kind = || heard.iter().filter(|h| h.window & 3 == kind as u32);
        for (what, times) in [
            ("from sending", sorted(of_kind().map(|h| h.took))),
            ("from when it was due", sorted(of_kind().map(|h| h.late + h.took))),
        ] {
            let [p50, p99, p999] = [500, 990, 999].map(|n| at(&times, n));
            report::say(&format!(
                "login {name}, {what}: {} messages, p50 {p50} us, p99 {p99}, p99.9 {p999}",
                times.len()
            ));
        }
        let mut windows: Vec<u32> = of_kind().map(|h| h.window).collect();
        windows.dedup();
        let window = |w: &u32| sorted(of_kind().filter(|h| h.window == *w).map(|h| h.took));
        let p99s = sorted(windows.iter().map(|w| at(&window(w), 990)));
        let quarter = |n: usize| p99s.get((p99s.len() * n / 4).min(p99s.len() - 1)).unwrap_or(&0);
        let [least, low, middle, high, most] = [0, 1, 2, 3, 4].map(quarter);
        let count = p99s.len();
        report::say(&format!(
            "login {name}, p99 of each of {count} windows: {least} us, {low}, {middle}, {high}, \
             {most} (least, quarters, most)"
        ));
        say_spent(name, &spent[kind], of_kind().count() as u64);
    }
}

fn say_spent(name: &str, spent: &Spent, messages: u64) {
    let mut line = format!("login {name}, a message costs:");
    for (thread, times) in THREADS.iter().zip(spent.threads) {
        let of = |ns: u64| ns as f64 / 1_000.0 / messages.max(1) as f64;
        line += &format!(" {thread} {:.0} us and waits {:.1} us;", of(times.on), of(times.waited));
    }
    let seconds = spent.wall as f64 / 1e9;
    let of = |ticks: u64| ticks as f64 / 100.0 / seconds;
    let (busy, stolen) = (of(spent.machine.0), of(spent.machine.1));
    line += &format!(" {busy:.2} cores of the machine busy, {stolen:.3} stolen");
    report::say(&line);
}
