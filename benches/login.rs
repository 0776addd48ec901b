//! Floor 6. What clients at work feel while others log in with expensive passwords.
//!
//! Short windows take turns: calm; a few users log in and a worker of the broker hashes; calm; the
//! same hashing is done by a process of its own, and nobody logs in (control). The machine is
//! shared by clients, broker and hashing, so what counts is how the kinds of windows differ: a busy
//! machine is in control too, a broker that lets its clients wait is not. Absent on purpose:
//! criterion, because this is one experiment.
#![expect(clippy::disallowed_methods, reason = "a program with a command line")]

#[path = "support/pace.rs"]
mod pace;
#[path = "support/place.rs"]
#[expect(dead_code, reason = "everybody here is in a hurry")]
mod place;
#[path = "support/report.rs"]
mod report;
#[path = "support/sched.rs"]
mod sched;
#[path = "support/witness.rs"]
mod witness;

use pace::{CLIENTS, PASSWORD, Pace, connect, named, welcome};
use spindle::Broker;
use spindle::base::limits::Limits;
use spindle::os::workers;
use spindle::testing::workload::Tongue;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
const COST: u32 = if SMALL { 4 } else { 12 };
/// Users that come in together, and how often some do.
const CROWD: usize = if SMALL { 2 } else { 4 };
const WAVES: usize = if SMALL { 2 } else { 25 };
const TONGUE: Tongue = Tongue::Prx1;
/// The word by which this program knows that it is to hash beside the broker.
const BESIDE: &str = "hash-beside-the-broker";

/// What goes on in a window.
const KINDS: &[&str] = &["calm", "busy", "control"];
const CALM: usize = 0;
const BUSY: usize = 1;
const CONTROL: usize = 2;

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != BESIDE).skip(1);
    if let Some(hash) = args.next() {
        return hash_when_told(&hash);
    }
    let hash = bcrypt::hash(PASSWORD, COST).expect("a hash");
    let file = users_file(&hash);
    let limits = Limits { idle_ms_max: 3_600_000, ..Limits::default() };
    let broker = Broker::builder().listen("127.0.0.1:0", TONGUE.speak()).memory();
    let broker = broker.users(&file).limits(limits).workers(1).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound");
    let handle = broker.handle();
    let run = named("loop", move || broker.run());
    let mut pace = Pace::start("login", KINDS, TONGUE, address);
    conduct(&mut pace, address, &hash);
    pace.end();
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
    let _ = std::fs::remove_file(file);
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

/// One window after the other.
fn conduct(pace: &mut Pace, address: SocketAddr, hash: &str) {
    let mut beside = Beside::start(hash);
    let mut entered = 0;
    // The first window is as long as a guess, the others as long as the crowd before took.
    let mut rest = Duration::from_millis(if SMALL { 100 } else { 1_000 });
    for wave in 0..WAVES {
        pace.during(CALM, || thread::sleep(rest));
        let took = pace.during(BUSY, || crowd(address, wave));
        rest = Duration::from_nanos(took);
        entered += took;
        pace.during(CALM, || thread::sleep(rest));
        pace.during(CONTROL, || beside.hash());
    }
    beside.end();
    let (users, each) = (CROWD * WAVES, entered / (CROWD * WAVES) as u64 / 1_000);
    report::say(&format!(
        "login crowds: {users} users of cost {COST}, {CROWD} at once, {each} us for each"
    ));
}

/// Some users come in at once, and leave.
fn crowd(address: SocketAddr, wave: usize) {
    let names = (0..CROWD).map(|i| format!("user{}", wave * CROWD + i));
    let mut all: Vec<_> = names.map(|name| connect(TONGUE, address, &name)).collect();
    all.iter_mut().for_each(|stream| welcome(TONGUE, stream));
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
