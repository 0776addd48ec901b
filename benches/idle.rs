//! Floor 6. What a connection costs that says nothing: bytes of heap, and resident bytes.
//!
//! Ten thousand log in with one subscription each and fall silent. Once on the bare engine, once
//! as a broker over loopback, whose clients are a process of their own (this same program) so that
//! only the broker's memory is counted. Promised is less than 2 KiB of heap for each, and that is
//! asserted. What the system keeps for a socket is not ours and not counted.
#![expect(clippy::disallowed_methods, reason = "a program with a command line and a thread")]

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "`turn` asks how often, this bench how many bytes")]
mod alloc;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
mod rig;

use rig::Rig;
use spindle::hub::message::Durability;
use spindle::testing::workload;
use spindle::{Broker, Speak};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Debug builds are tests.
const HELD: usize = if cfg!(debug_assertions) { 500 } else { 10_000 };
const PROMISED: usize = 2_048;
/// The word by which this program knows that it is to be the clients.
const CLIENTS: &str = "as-clients-of";

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != CLIENTS).skip(1);
    if let Some(address) = args.next() {
        return be_clients(&address);
    }
    on_the_engine();
    over_loopback();
}

fn on_the_engine() {
    let mut rig = Rig::new(Durability::Memory, rig::patient());
    let (heap, rss) = (alloc::bytes(), resident());
    for i in 0..HELD {
        let conn = rig.accept();
        rig.say(conn, &workload::login(&format!("client{i}"), ""));
        rig.say(conn, &workload::subscribe(&workload::topic(i), 1, 1));
        rig.quiet();
    }
    let audit = rig.engine.audit().expect("the machine is well");
    assert_eq!((audit.connections, audit.subscriptions), (HELD, HELD));
    judge("engine", alloc::bytes() - heap, resident().saturating_sub(rss));
    let known = audit.heap / HELD;
    report::say(&format!("idle engine, connections and sessions: {known} B of that"));
}

fn over_loopback() {
    let broker = Broker::builder().listen("127.0.0.1:0", Speak::Prx1).memory();
    let broker = broker.allow_anonymous(true).limits(rig::patient()).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound").to_string();
    let handle = broker.handle();
    let thread = std::thread::spawn(move || broker.run());
    // The loop's own buffers are there once somebody has been served.
    let mut first = clients(&address, 1);
    let (heap, rss) = (alloc::bytes(), resident());
    let mut rest = clients(&address, HELD);
    judge("broker", alloc::bytes() - heap, resident().saturating_sub(rss));
    for child in [&mut first, &mut rest] {
        drop(child.stdin.take());
        assert!(child.wait().is_ok_and(|status| status.success()), "the clients ended well");
    }
    handle.stop();
    assert!(thread.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
}

fn judge(what: &str, heap: usize, rss: usize) {
    let (heap, rss) = (heap / HELD, rss / HELD);
    report::say(&format!("idle {what}: {HELD} held, {heap} B of heap each, {rss} B resident each"));
    assert!(heap < PROMISED, "{heap} bytes of heap for an idle connection");
}

/// Start a process with that many clients, and wait until all of them have subscribed.
fn clients(address: &str, count: usize) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args([CLIENTS, address, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let told = child.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut line));
    assert!(matches!(told, Some(Ok(1..))), "the clients came in");
    child
}

/// Log in, subscribe, say so, and hold until our input ends.
fn be_clients(address: &str) {
    let count: usize = std::env::args().next_back().and_then(|n| n.parse().ok()).expect("a number");
    let mut held = Vec::with_capacity(count);
    for i in 0..count {
        let mut stream = TcpStream::connect(address).expect("the broker is there");
        let mut words = workload::login(&format!("client{count}-{i}"), "");
        words.extend(workload::subscribe(&workload::topic(i), 1, 1));
        stream.write_all(&words).expect("it listens");
        // A ConnAck of three bytes, a SubAck of four.
        stream.read_exact(&mut [0; 7]).expect("it answers");
        held.push(stream);
    }
    let mut out = std::io::stdout();
    out.write_all(b"in\n").and_then(|()| out.flush()).expect("somebody waits for this");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Resident bytes of this process; 0 where the system does not say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0) * 1_024
}
