//! Floor 6. Clients at work at a fixed rate, and how long their messages take in one kind of time
//! and another.
//!
//! They publish to themselves. A bench makes different things happen in windows that take turns;
//! every message carries its window. Latency is counted twice: from sending, and from when the
//! message was due, so that a talker who is late cannot hide it. On a shared machine the kinds of
//! windows are compared with each other and with how windows of one kind differ; and on each core a
//! witness, who runs before everybody else there, wakes again and again and notes when the machine
//! itself was not there, so that messages which only waited for the machine can be told from the
//! others. Absent on purpose: any opinion about which latency is a good one.

use crate::report;
use crate::sched::{self, Times};
use crate::witness::{self, Gap, Witnesses};
use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use spindle::base::id::ConnId;
use spindle::os::clock::Clock;
use spindle::os::poller::{Poller, Ready, Whom, conn};
use spindle::proto::{mqtt, prx1};
use spindle::testing::workload::{self, Tongue};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
pub(crate) const CLIENTS: usize = if SMALL { 5 } else { 50 };
/// Between two messages of all clients together.
const EVERY: u64 = 1_000_000;
pub(crate) const PASSWORD: &str = "a password";
/// Threads that are looked at; the broker's loop must have this name.
const THREADS: [&str; 4] = ["loop", "talk", "hear", "verify-0"];
/// The first of the devices whose topics clients at work use.
const APART: usize = 900_000;
/// The longest packet.
const LONGEST: usize = 1 << 20;

/// Number of the window and its kind, as every message carries them; [`OVER`] at the end.
static WINDOW: AtomicU32 = AtomicU32::new(0);
const OVER: u32 = u32::MAX;

/// Clients at work.
pub(crate) struct Pace {
    title: &'static str,
    kinds: &'static [&'static str],
    clock: Clock,
    mouth: JoinHandle<u64>,
    ears: JoinHandle<Vec<Heard>>,
    witnesses: Witnesses,
    spent: Vec<Spent>,
    windows: u32,
}

/// A message that arrived: in which window it was sent and when, how late that was, how long it
/// took.
#[derive(Clone, Copy)]
struct Heard {
    window: u32,
    sent: u64,
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

impl Pace {
    /// Let them come in and begin. At most eight kinds of windows.
    pub(crate) fn start(
        title: &'static str,
        kinds: &'static [&'static str],
        tongue: Tongue,
        address: SocketAddr,
    ) -> Self {
        let clients: Vec<_> = (0..CLIENTS).map(|i| worker(tongue, address, i)).collect();
        let clock = Clock::start();
        let near = clients.iter().map(|c| c.try_clone().expect("a descriptor")).collect();
        let ears = named("hear", move || hear(tongue, clients, clock));
        let mouth = named("talk", move || talk(tongue, near, clock));
        let spent = vec![Spent::default(); kinds.len()];
        let witnesses = Witnesses::post(clock, &["0", "1"], false);
        Self { title, kinds, clock, mouth, ears, witnesses, spent, windows: 0 }
    }

    /// A window of this kind, for as long as `run` takes; how many nanoseconds that was.
    pub(crate) fn during(&mut self, kind: usize, run: impl FnOnce()) -> u64 {
        WINDOW.store(self.windows << 3 | kind as u32, Relaxed);
        self.windows += 1;
        let look = || (self.clock.now().mono, THREADS.map(sched::thread), sched::machine());
        let before = look();
        run();
        let after = look();
        let sum = &mut self.spent[kind];
        sum.wall += after.0 - before.0;
        for (i, sum) in sum.threads.iter_mut().enumerate() {
            *sum += after.1[i] - before.1[i];
        }
        sum.machine.0 += after.2.0 - before.2.0;
        sum.machine.1 += after.2.1 - before.2.1;
        after.0 - before.0
    }

    /// Enough: everything sent must have arrived. Say how it was.
    pub(crate) fn end(self) {
        WINDOW.store(OVER, Relaxed);
        let sent = self.mouth.join().expect("somebody talked");
        let heard = self.ears.join().expect("somebody listened");
        assert_eq!(heard.len() as u64, sent, "all of it arrived");
        let gaps = self.witnesses.tell().gaps;
        let p99s = p99_of_windows(heard.iter(), self.windows);
        let there = || heard.iter().filter(|h| !was_gone(&gaps, h));
        let own_p99s = p99_of_windows(there(), self.windows);
        for (kind, name) in self.kinds.iter().enumerate() {
            let of_kind = || heard.iter().filter(|h| h.window & 7 == kind as u32);
            let title = format!("{} {name}", self.title);
            say_times(&title, &of_kind().copied().collect::<Vec<_>>());
            say_beside(&title, kind as u32, &p99s);
            let own = there().filter(|h| h.window & 7 == kind as u32);
            say_own(&title, of_kind().count(), sorted(own.map(|h| h.took)));
            say_beside(&format!("{title}, while the machine was there"), kind as u32, &own_p99s);
            say_spent(&title, &self.spent[kind], of_kind().count() as u64);
        }
    }
}

/// Start a thread that the scheduler's figures know by name.
pub(crate) fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    thread::Builder::new().name(name.into()).spawn(run).expect("a thread")
}

/// Connect and log in; the welcome is still to be read.
pub(crate) fn connect(tongue: Tongue, address: SocketAddr, name: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(address).expect("the broker is there");
    stream.set_nodelay(true).expect("a socket's mode");
    stream.write_all(&tongue.login(name, PASSWORD)).expect("it listens");
    stream
}

/// Read one short packet.
pub(crate) fn read_short(stream: &mut std::net::TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("it answers");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).expect("all of it");
    (head[0], body)
}

/// Read the welcome.
pub(crate) fn welcome(tongue: Tongue, stream: &mut std::net::TcpStream) {
    let (first, body) = read_short(stream);
    let ok = match tongue {
        Tongue::Prx1 => body == [prx1::ConnAck::OK],
        Tongue::Mqtt3 | Tongue::Mqtt5 => body.get(1) == Some(&0),
    };
    assert!(first == 0x20 && ok, "welcome");
}

/// A client at work, with a subscription to its own topic.
fn worker(tongue: Tongue, address: SocketAddr, i: usize) -> std::net::TcpStream {
    let mut stream = connect(tongue, address, &format!("work{i}"));
    welcome(tongue, &mut stream);
    stream.write_all(&tongue.subscribe(&topic(i), 1, 1)).expect("a listener");
    read_short(&mut stream);
    stream
}

/// The topic of a client at work; nobody else uses it.
fn topic(i: usize) -> Bytes {
    workload::topic(APART + i)
}

/// Publish on time, whatever happens: every message carries when it was due, when it was sent, and
/// its window.
fn talk(tongue: Tongue, mut near: Vec<std::net::TcpStream>, clock: Clock) -> u64 {
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
        body[8..16].copy_from_slice(&clock.now().mono.to_be_bytes());
        body[16..20].copy_from_slice(&window.to_be_bytes());
        let body = Bytes::copy_from_slice(&body);
        let words = tongue.publish(&topic(who), &body, 0, 0, false);
        near[who].write_all(&words).expect("the broker reads");
        sent += 1;
    }
}

/// Everything that arrived, until nothing comes any more.
fn hear(tongue: Tongue, clients: Vec<std::net::TcpStream>, clock: Clock) -> Vec<Heard> {
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
                fill(stream, input);
                while let Some(body) = next_payload(tongue, input) {
                    let now = clock.now().mono;
                    let number =
                        |at: usize| body[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
                    let (due, sent, window) = (number(0), number(8), (number(16) >> 32) as u32);
                    let (late, took) = (sent - due, now.saturating_sub(sent));
                    heard.push(Heard { window, sent, late, took });
                }
            }
        }
    }
}

/// A core was gone while the message was on its way.
fn was_gone(gaps: &[Gap], message: &Heard) -> bool {
    witness::within(gaps, message.sent, message.sent + message.took) > 0
}

fn fill(stream: &mut TcpStream, input: &mut BytesMut) {
    let mut through = [0; 4_096];
    loop {
        match stream.read(&mut through) {
            Ok(n) => input.extend_from_slice(&through[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("the broker ended a client at work: {e}"),
        }
    }
}

/// Take a message off the front.
fn next_payload(tongue: Tongue, input: &mut BytesMut) -> Option<Bytes> {
    if tongue == Tongue::Prx1 {
        return match prx1::next(input, LONGEST) {
            Ok(Some(prx1::Packet::Publish(p))) => Some(p.payload),
            Ok(None) => None,
            other => panic!("nothing else was asked for: {other:?}"),
        };
    }
    match mqtt::next(input, Some(tongue.version()), mqtt::Sender::Server, LONGEST) {
        Ok(Some(mqtt::Packet::Publish(p))) => Some(p.payload),
        Ok(None) => None,
        other => panic!("nothing else was asked for: {other:?}"),
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

fn say_times(title: &str, heard: &[Heard]) {
    for (what, times) in [
        ("from sending", sorted(heard.iter().map(|h| h.took))),
        ("from when it was due", sorted(heard.iter().map(|h| h.late + h.took))),
    ] {
        let [p50, p99, p999] = [500, 990, 999].map(|n| at(&times, n));
        let count = times.len();
        report::say(&format!(
            "{title}, {what}: {count} messages, p50 {p50} us, p99 {p99}, p99.9 {p999}"
        ));
    }
    let mut windows: Vec<u32> = heard.iter().map(|h| h.window).collect();
    windows.sort_unstable();
    windows.dedup();
    let window = |w: &u32| sorted(heard.iter().filter(|h| h.window == *w).map(|h| h.took));
    let p99s = sorted(windows.iter().map(|w| at(&window(w), 990)));
    let count = p99s.len();
    let quarter = |n: usize| p99s.get((count * n / 4).min(count.saturating_sub(1))).unwrap_or(&0);
    let [least, low, middle, high, most] = [0, 1, 2, 3, 4].map(quarter);
    report::say(&format!(
        "{title}, p99 of each of {count} windows: {least} us, {low}, {middle}, {high}, {most} \
         (least, quarters, most)"
    ));
}

/// Kind and p99 of each window, in nanoseconds; without a message there is none.
fn p99_of_windows<'a>(
    heard: impl Iterator<Item = &'a Heard>,
    windows: u32,
) -> Vec<Option<(u32, u64)>> {
    let mut times: Vec<(u32, Vec<u64>)> = vec![(0, Vec::new()); windows as usize];
    for one in heard {
        let (kind, took) = &mut times[(one.window >> 3) as usize];
        *kind = one.window & 7;
        took.push(one.took);
    }
    let p99 = |(kind, mut took): (u32, Vec<u64>)| {
        took.sort_unstable();
        Some((kind, *took.get(took.len() * 99 / 100)?))
    };
    times.into_iter().map(p99).collect()
}

/// Each window of this kind against the calm one before it. For calm windows themselves that is
/// what the machine does alone: readings of other kinds mean something beyond it.
fn say_beside(title: &str, kind: u32, p99s: &[Option<(u32, u64)>]) {
    let calm = |window: &Option<(u32, u64)>| window.filter(|(kind, _)| *kind == 0);
    let mut ratios: Vec<f64> = Vec::new();
    for (i, window) in p99s.iter().enumerate() {
        let before = p99s[..i].iter().rev().find_map(calm);
        if let (Some((of, p99)), Some((_, before))) = (window, before)
            && *of == kind
        {
            ratios.push(*p99 as f64 / before as f64);
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let quarter = |n: usize| ratios.get(ratios.len().saturating_sub(1) * n / 4);
    if let [Some(low), Some(middle), Some(high)] = [1, 2, 3].map(quarter) {
        report::say(&format!(
            "{title}, p99 of a window as a multiple of the calm window's before it: {low:.2}, \
             {middle:.2}, {high:.2} (quarters of {})",
            ratios.len()
        ));
    }
}

/// Messages on whose way no core was gone.
fn say_own(title: &str, all: usize, times: Vec<u64>) {
    let [p50, p99, p999] = [500, 990, 999].map(|n| at(&times, n));
    let part = 100.0 * times.len() as f64 / all.max(1) as f64;
    report::say(&format!(
        "{title}, while the machine was there ({part:.1} of 100): p50 {p50} us, p99 {p99}, \
         p99.9 {p999}"
    ));
}

fn say_spent(title: &str, spent: &Spent, messages: u64) {
    let mut line = format!("{title}, a message costs:");
    for (thread, times) in THREADS.iter().zip(spent.threads) {
        if times.on > 0 {
            let of = |ns: u64| ns as f64 / 1_000.0 / messages.max(1) as f64;
            let (on, waited) = (of(times.on), of(times.waited));
            line += &format!(" {thread} {on:.0} us of a core and {waited:.1} us of waiting;");
        }
    }
    let seconds = spent.wall as f64 / 1e9;
    let of = |ticks: u64| ticks as f64 / 100.0 / seconds;
    let (busy, stolen) = (of(spent.machine.0), of(spent.machine.1));
    line += &format!(" {busy:.2} cores of the machine busy, {stolen:.3} stolen");
    report::say(&line);
}
