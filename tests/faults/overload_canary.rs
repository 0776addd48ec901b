//! Floor 6. Quiet pairs in the middle of an overload, and how long their messages take.
//!
//! Messages of QoS 0 at a fixed rate, by a schedule that waits for nobody. The figure is the 99th
//! percentile of each second, and of all seconds the median: before the overload, and during it.
//! The second may be three times the first. Where there are two cores, whoever overloads leaves the
//! loop's alone. Senders and readers run before everybody else where the system allows it, so what
//! makes a sender late for its own schedule is the machine alone. A witness on the loop's core, who
//! goes before the loop, hears the same sender without a broker between: what it waits is the way
//! and the machine alone. If either is more in the seconds of the overload than messages took
//! before, it counts instead. What the kernel gave of the loop's core to other programs while a
//! message was on its way is in the kernel's own books, and is not the broker's: it is taken off,
//! and said. The loop is alone on its core as far as the broker is concerned, so this hides nothing
//! of what the broker does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spindle::os::sys;

use super::overload_rig::{Rig, ensure, told};
use super::overload_words::{PUBLISH, Wire, publish};

/// Pairs, and how often each of them says something.
const PAIRS: usize = 3;
const PERIOD: Duration = Duration::from_millis(5);
/// How long it is watched before the overload begins.
const BEFORE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 1 } else { 5 });
/// The overload may make the figure this many times what it was.
const TIMES: u32 = 3;
/// Programs that are not optimised take many times as long for the same turn: they are held to
/// what a user would notice.
const UNOPTIMISED: Duration = Duration::from_millis(50);

/// When it was to be said, and how long it took.
type Sample = (Duration, Duration);

/// How long the loop's thread has been ready to run while its core was somebody else's. The loop
/// is the first thread of its process.
#[derive(Clone)]
struct Waits(PathBuf);

impl Waits {
    fn of(process: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{process}/task/{process}/schedstat")))
    }

    /// So far. Nothing where the kernel keeps no such books.
    fn so_far(&self) -> Duration {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let nanos = text.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }
}

/// The pairs at work.
pub(crate) struct Canary {
    start: Instant,
    calm_until: Duration,
    waits: Waits,
    waited: Duration,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: JoinHandle<Result<Vec<Sample>, String>>,
    readers: Vec<JoinHandle<Vec<Sample>>>,
    witness: JoinHandle<Vec<Sample>>,
}

impl Canary {
    /// Send them in, and watch them while nothing happens; the loop is on this core, if it has one
    /// for itself.
    pub(crate) fn start(rig: &Rig, core: Option<usize>) -> Result<Self, String> {
        let (address, waits) = (rig.address(), Waits::of(rig.process()));
        let (start, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let sent = Arc::new(AtomicU64::new(0));
        let (mut senders, mut readers) = (Vec::new(), Vec::new());
        for n in 0..PAIRS {
            let mut reader = Wire::named(address, &format!("canary-{n}-in"))?;
            reader.subscribe(&format!("canary/{n}"), 0)?;
            let books = core.map(|_| waits.clone());
            readers.push(thread::spawn(move || listen(reader, start, books.as_ref())));
            senders.push(Wire::named(address, &format!("canary-{n}-out"))?);
        }
        let (aside, beside) = bare()?;
        let witness = thread::spawn(move || watch(beside, core, start));
        let (flag, count) = (Arc::clone(&over), Arc::clone(&sent));
        let books = waits.clone();
        let sender = thread::spawn(move || sing(senders, aside, start, &books, &flag, &count));
        thread::sleep(BEFORE);
        let (calm_until, waited) = (start.elapsed(), waits.so_far());
        Ok(Self { start, calm_until, waits, waited, over, sent, sender, readers, witness })
    }

    /// The overload is over: what it did to them. An error if it was too much.
    pub(crate) fn judge(self) -> Result<String, String> {
        let (end, waited) = (self.start.elapsed(), self.waits.so_far().saturating_sub(self.waited));
        // What is under way arrives.
        self.over.store(true, Relaxed);
        let late = self.sender.join().map_err(|_| "a canary fell")??;
        let mut samples = Vec::new();
        for reader in self.readers {
            samples.extend(reader.join().map_err(|_| "a canary fell")?);
        }
        let bare = self.witness.join().map_err(|_| "the witness fell")?;
        let (sent, got) = (self.sent.load(Relaxed), samples.len() as u64);
        let before = median(&seconds(&samples, Duration::ZERO, self.calm_until));
        let loud = seconds(&samples, self.calm_until, end);
        let during = median(&loud);
        let late = median(&seconds(&late, self.calm_until, end));
        let bare = median(&seconds(&bare, self.calm_until, end));
        let machine = late.max(bare);
        let mut limit = before.max(machine) * TIMES;
        if cfg!(debug_assertions) {
            limit = limit.max(UNOPTIMISED);
        }
        let text = format!(
            "canary: {got} of {sent}; p99 {before:.1?} before, {during:.1?} during (by the second \
             {loud:.1?}; the machine alone {late:.0?} and {bare:.0?}; the loop's core was others' \
             for {waited:.0?}), may be {limit:.1?}"
        );
        ensure(got == sent, || format!("{text}: messages are missing"))?;
        ensure(!loud.is_empty(), || format!("{text}: nothing was seen"))?;
        ensure(during <= limit, || format!("{text}: too slow"))?;
        Ok(text)
    }
}

/// From now on this thread runs before all others of its core, if the system allows it.
fn go_first() {
    let me = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let Some(me) = me.file_name() else { return };
    let mut chrt = Command::new("chrt");
    chrt.args(["--fifo", "--pid", "40"]).arg(me).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = chrt.status();
}

/// Say the time, again and again; how late we came to it.
fn sing(
    mut senders: Vec<Wire>,
    mut aside: TcpStream,
    start: Instant,
    waits: &Waits,
    over: &AtomicBool,
    sent: &AtomicU64,
) -> Result<Vec<Sample>, String> {
    go_first();
    let (mut late, mut due) = (Vec::new(), start.elapsed());
    while !over.load(Relaxed) {
        due += PERIOD;
        thread::sleep(due.saturating_sub(start.elapsed()));
        late.push((due, start.elapsed().saturating_sub(due)));
        let waited = waits.so_far();
        for (n, sender) in senders.iter_mut().enumerate() {
            let now = [start.elapsed(), waited].map(|it| (it.as_nanos() as u64).to_be_bytes());
            sender.say(&publish(&format!("canary/{n}"), now.as_flattened(), 0, 0, false))?;
            sent.fetch_add(1, Relaxed);
        }
        let now = (start.elapsed().as_nanos() as u64).to_be_bytes();
        aside.write_all(&now).map_err(told)?;
    }
    // The last word, after which nobody listens.
    for (n, sender) in senders.iter_mut().enumerate() {
        sender.say(&publish(&format!("canary/{n}"), b"", 0, 0, false))?;
    }
    Ok(late)
}

/// Two ends of a connection without a broker.
fn bare() -> Result<(TcpStream, TcpStream), String> {
    let door = TcpListener::bind("127.0.0.1:0").map_err(told)?;
    let one = TcpStream::connect(door.local_addr().map_err(told)?).map_err(told)?;
    let (other, _) = door.accept().map_err(told)?;
    one.set_nodelay(true).map_err(told)?;
    Ok((one, other))
}

/// Hear the sender on this core, until it ends.
fn watch(mut from: TcpStream, core: Option<usize>, start: Instant) -> Vec<Sample> {
    if let Some(core) = core {
        let _ = sys::pin(&[core]);
    }
    go_first();
    let (mut samples, mut at) = (Vec::new(), [0; 8]);
    while from.read_exact(&mut at).is_ok() {
        let at = Duration::from_nanos(u64::from_be_bytes(at));
        samples.push((at, start.elapsed().saturating_sub(at)));
    }
    samples
}

/// Hear until the empty word; with the kernel's books, what others had of the loop's core in the
/// meantime is taken off.
fn listen(mut reader: Wire, start: Instant, waits: Option<&Waits>) -> Vec<Sample> {
    go_first();
    let mut samples = Vec::new();
    while let Ok(heard) = reader.hear() {
        if heard.kind() != PUBLISH {
            continue;
        }
        let now = start.elapsed();
        let Ok(said) = <[u8; 16]>::try_from(heard.payload()) else { break };
        let [at, waited] = [0, 8].map(|from| {
            let number = said[from..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            Duration::from_nanos(number)
        });
        let others = waits.map_or(waited, Waits::so_far).saturating_sub(waited);
        samples.push((at, now.saturating_sub(at).saturating_sub(others)));
    }
    samples
}

/// The 99th percentile of each whole second between these.
fn seconds(samples: &[Sample], from: Duration, to: Duration) -> Vec<Duration> {
    let whole = Duration::from_secs(1);
    let count = to.saturating_sub(from).as_secs() as u32;
    let second = |n| {
        let begin = from + whole * n;
        let some = samples.iter().filter(|(at, _)| (begin..begin + whole).contains(at));
        let mut took: Vec<Duration> = some.map(|(_, took)| *took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    };
    (0..count).filter_map(second).collect()
}

fn median(all: &[Duration]) -> Duration {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
