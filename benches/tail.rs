//! Floor 6. The slowest messages, beside what the machine did meanwhile.
//!
//! The loop on one core, a generator on the other that never sleeps: pairs of clients, 10,000
//! messages a second in all, by a schedule, each measured from when it was due. A ledger says which
//! part of the two cores' time this process did not get. **What the machine explains**: of a late
//! message's time, what was kept from us on either core, and as long again behind it (what came due
//! meanwhile is worked off then); if what is left is above ten medians, nobody explains it and it
//! is ours. `tail [SECONDS] [stall]`; with `stall` the loop stands still for 20 ms in every second,
//! which must be found. Absent on purpose: criterion, and a promise about other machines.
#![expect(clippy::disallowed_methods, reason = "a program with a command line")]

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/place.rs"]
mod place;
#[path = "support/report.rs"]
mod report;
#[path = "support/witness.rs"]
mod witness;

use bytes::{Bytes, BytesMut};
use ledger::{Books, Ledger};
use mio::net::TcpStream;
use spindle::base::hist::Hist;
use spindle::base::id::ConnId;
use spindle::base::limits::Limits;
use spindle::base::time::Now;
use spindle::hub::policy::{Event, Observer};
use spindle::os::clock::Clock;
use spindle::os::poller::{Poller, Ready, Whom, conn};
use spindle::os::sys::Spent;
use spindle::proto::mqtt::{self, Sender, Version};
use spindle::testing::workload::{self, Tongue};
use spindle::{Broker, Speak};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
/// Half of the clients publish, each to one of the others.
const PAIRS: usize = if SMALL { 10 } else { 500 };
/// Nanoseconds between two messages of all clients together.
const EVERY: u64 = if SMALL { 1_000_000 } else { 100_000 };
const SECONDS: u64 = if SMALL { 1 } else { 20 };
const TONGUE: Tongue = Tongue::Mqtt3;
/// Latencies that are kept one by one, in nanoseconds; ten medians are never less.
const KEPT: u64 = 150_000;
/// How long the loop is made to stand still, and how often.
const STALL: u64 = 20_000_000;
const STALL_EVERY: u64 = if SMALL { 250_000_000 } else { 1_000_000_000 };
/// Readers that are looked after in one round.
const HEARD: usize = 4;
/// Moments that are printed.
const SHOWN: usize = 10;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(SECONDS);
    let stall = args.iter().any(|arg| arg == "stall");
    if SMALL || !stall {
        measure("tail", seconds, false);
    }
    if SMALL || stall {
        let worst = measure("tail stalled", seconds, true);
        assert!(
            worst.is_none_or(|worst| worst * 4 > STALL * 3),
            "a stall of ours went unnoticed: {worst:?} ns"
        );
    }
}

/// The longest time that the machine does not explain; none where nothing follows from it.
fn measure(title: &str, seconds: u64, stall: bool) -> Option<u64> {
    let broker = Broker::builder().listen("127.0.0.1:0", Speak::Mqtt).memory();
    let broker = broker.listen("127.0.0.1:0", Speak::Http).allow_anonymous(true);
    let broker = broker.limits(Limits { idle_ms_max: 3_600_000, ..Limits::default() });
    let broker = if stall { broker.observer(Staller(0)) } else { broker };
    let broker = broker.build().expect("a broker");
    let (address, handle) = (broker.local_addr(0).expect("bound"), broker.handle());
    let named = |name: &str| thread::Builder::new().name(name.into());
    let run = named("loop").spawn(move || {
        place::stay_on("0");
        broker.run()
    });
    let run = run.expect("a thread");
    let whose = Spent::by(&run).expect("a thread has a clock");
    let clock = Clock::start();
    let generator = named("talk").spawn(move || {
        place::stay_on("1");
        let generator = Generator::join(address, clock);
        let mut ledger = Ledger::open(clock, "0", whose);
        // Everybody is in place first.
        thread::sleep(Duration::from_millis(100));
        let run = generator.run(seconds, &mut ledger);
        (run, ledger.close())
    });
    let (heard, books) = generator.expect("a thread").join().expect("it ended well");
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
    let worst = tell(title, &heard, &books, seconds);
    // Where others have the cores, ten medians are longer than what is looked for, or what it did
    // hides behind what they did.
    let theirs = books.kept().iter().map(|(all, _)| *all).max().unwrap_or(0) + books.slow().1;
    let shows = 2 * ten_medians(&heard) < STALL && 4 * theirs < seconds * 1_000_000_000;
    if !shows {
        report::say(&format!("{title}, the machine is not our own: nothing follows from this"));
    }
    shows.then_some(worst)
}

/// Makes the loop stand still now and then; it is called from within.
struct Staller(u64);

impl Observer for Staller {
    fn see(&mut self, now: Now, event: &Event<'_>) {
        if !matches!(event, Event::Published { .. }) || now.mono < self.0 {
            return;
        }
        if self.0 > 0 {
            let clock = Clock::start();
            while clock.now().mono < STALL {
                core::hint::spin_loop();
            }
        }
        self.0 = now.mono + STALL_EVERY;
    }
}

/// A late message: when it was due and when it came.
type Late = (u64, u64);

/// What the generator found.
struct Run {
    all: Hist,
    late: Vec<Late>,
    began: u64,
    sent: u64,
}

struct Generator {
    clock: Clock,
    poller: Poller,
    writers: Vec<TcpStream>,
    readers: Vec<(TcpStream, BytesMut)>,
    packets: Vec<Vec<u8>>,
    /// Messages under way, in their order, for each reader.
    due: Vec<VecDeque<u64>>,
    through: Vec<u8>,
}

impl Generator {
    /// Everybody is let in.
    fn join(address: SocketAddr, clock: Clock) -> Self {
        let poller = Poller::new().expect("a poller");
        let join = |name: String, topic: Option<usize>| {
            let mut stream = std::net::TcpStream::connect(address).expect("the broker is there");
            stream.set_nodelay(true).expect("a socket's mode");
            let mut said = TONGUE.login(&name, "");
            said.extend(
                topic.into_iter().flat_map(|i| TONGUE.subscribe(&workload::topic(i), 0, 1)),
            );
            stream.write_all(&said).expect("it listens");
            // A welcome, and the answer to a subscription.
            let len = if topic.is_some() { 9 } else { 4 };
            stream.read_exact(&mut vec![0; len]).expect("it answers");
            stream.set_nonblocking(true).expect("a socket's mode");
            TcpStream::from_std(stream)
        };
        let mut readers = Vec::new();
        for i in 0..PAIRS {
            let mut stream = join(format!("reader{i}"), Some(i));
            let whom = conn(ConnId { index: i as u32, life: 0 });
            poller.register(&mut stream, whom).expect("a descriptor");
            readers.push((stream, BytesMut::new()));
        }
        let writers = (0..PAIRS).map(|i| join(format!("writer{i}"), None)).collect();
        let body: Bytes = workload::payload(64);
        let packet = |i: usize| TONGUE.publish(&workload::topic(i), &body, 0, 0, false);
        let packets = (0..PAIRS).map(packet).collect();
        let due = vec![VecDeque::new(); PAIRS];
        Self { clock, poller, writers, readers, packets, due, through: vec![0; 16_384] }
    }

    fn run(mut self, seconds: u64, ledger: &mut Ledger) -> Run {
        let began = self.clock.now().mono;
        let mut run = Run { all: Hist::default(), late: Vec::new(), began, sent: 0 };
        let total = seconds * 1_000_000_000 / EVERY;
        let mut heard = 0;
        let mut events: Vec<Ready> = Vec::new();
        let mut ready: VecDeque<Whom> = VecDeque::new();
        while heard < total {
            let now = self.clock.now().mono;
            ledger.note(now);
            // A little of each kind of work, so that a round is short whatever is waiting.
            if run.sent < total && now >= began + run.sent * EVERY {
                self.send(&mut run);
            }
            if ready.is_empty() {
                self.poller.wait(Some(Duration::ZERO), &mut events).expect("a wait");
                ready.extend(events.iter().map(|event| event.whom));
            }
            for whom in ready.drain(..ready.len().min(HEARD)) {
                if let Whom::Conn(slot, _) = whom {
                    heard += self.hear(slot as usize, &mut run);
                }
            }
            // The kernel may have work for this core that waits for a thread of its own.
            thread::yield_now();
            assert!(now < began + (seconds + 30) * 1_000_000_000, "{heard} of {total} came");
        }
        run
    }

    fn send(&mut self, run: &mut Run) {
        let who = run.sent as usize % PAIRS;
        self.due[who].push_back(run.began + run.sent * EVERY);
        let wrote = self.writers[who].write(&self.packets[who]).expect("the broker reads");
        assert_eq!(wrote, self.packets[who].len(), "a socket has room for one message");
        run.sent += 1;
    }

    /// Everything that came for one client; how many messages it was.
    fn hear(&mut self, who: usize, run: &mut Run) -> u64 {
        let (stream, input) = &mut self.readers[who];
        // Far more than can be under way, so a read that is not full was the last one.
        match stream.read(&mut self.through) {
            Ok(n) if n > 0 && n < self.through.len() => {
                input.extend_from_slice(&self.through[..n]);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            other => panic!("the broker ended a client: {other:?}"),
        }
        let mut count = 0;
        while let Ok(Some(packet)) = mqtt::next(input, Some(Version::V311), Sender::Server, 1 << 20)
        {
            assert!(matches!(packet, mqtt::Packet::Publish(_)), "nothing else was asked for");
            let due = self.due[who].pop_front().expect("one that was sent");
            let now = self.clock.now().mono;
            run.all.record((now - due) / 1_000);
            if now - due > KEPT {
                run.late.push((due, now));
            }
            count += 1;
        }
        count
    }
}

/// In nanoseconds.
fn ten_medians(run: &Run) -> u64 {
    (10_000 * run.all.percentile(50_000)).max(KEPT)
}

/// Say how it was; the longest time that the machine does not explain.
fn tell(title: &str, run: &Run, books: &Books, seconds: u64) -> u64 {
    let [p50, p99, p999, p9999] = [50_000, 99_000, 99_900, 99_990].map(|n| run.all.percentile(n));
    report::say(&format!(
        "{title}: {} messages in {seconds} s, us from when each was due: p50 {p50} p99 {p99} \
         p99.9 {p999} p99.99 {p9999} most {}",
        run.all.count(),
        run.all.max()
    ));
    let [here, there] = books.kept().map(|(all, most)| (all / 1_000_000, most / 1_000));
    report::say(&format!(
        "{title}, the machine: of the generator's core it kept {} ms in all, {} us at most at \
         once; of the loop's core {} ms, {} us at most; that core was slow for {} ms, which \
         cost {} ms",
        here.0,
        here.1,
        there.0,
        there.1,
        books.slow().0 / 1_000_000,
        books.slow().1 / 1_000_000
    ));
    let ten = ten_medians(run);
    let late: Vec<Late> = run.late.iter().copied().filter(|m| m.1 - m.0 > ten).collect();
    let left = |m: &Late| (m.1 - m.0) - books.explain(m.0, m.1);
    let ours: Vec<(Late, u64)> =
        late.iter().map(|m| (*m, left(m))).filter(|(_, left)| *left > ten).collect();
    let moments = moments(ours.clone());
    report::say(&format!(
        "{title}, above ten medians ({} us): {} messages, of which the machine does not \
         explain {}, in {} moments",
        ten / 1_000,
        late.len(),
        ours.len(),
        moments.len()
    ));
    let alone = ours.iter().filter(|(m, _)| books.timer_missed(m.0, m.1) == 0).count();
    report::say(&format!("{title}, of these {alone} while the timer beside the loop saw nothing"));
    for (at, (m, left, count)) in moments.iter().take(SHOWN).enumerate() {
        let from = m.0.saturating_sub(run.began) as f64 / 1e9;
        let took = (m.1 - m.0) / 1_000;
        let left = left / 1_000;
        let missed = books.timer_missed(m.0, m.1) / 1_000;
        report::say(&format!(
            "{title}, unexplained {}: at {from:.4} s, {count} messages, {took} us for the worst, \
             {left} of them without a reason; the timer was away for {missed} of them",
            at + 1
        ));
    }
    moments.first().map_or(0, |(_, left, _)| *left)
}

/// Messages that were under way at the same time waited for the same thing: the worst of them, how
/// much of it is unexplained, and how many they are; the longest first.
fn moments(mut ours: Vec<(Late, u64)>) -> Vec<(Late, u64, usize)> {
    ours.sort_unstable();
    let mut all: Vec<(Late, u64, usize)> = Vec::new();
    let mut until = 0;
    for (m, left) in ours {
        match all.last_mut() {
            Some((worst, most, count)) if m.0 <= until => {
                *count += 1;
                if left > *most {
                    (*worst, *most) = (m, left);
                }
            }
            _ => all.push((m, left, 1)),
        }
        until = until.max(m.1);
    }
    all.sort_unstable_by_key(|(_, left, _)| std::cmp::Reverse(*left));
    all
}
