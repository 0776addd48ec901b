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
use spindle::Broker;
use spindle::hub::message::Durability;
use spindle::testing::workload::{self, Tongue};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Debug builds are tests.
const HELD: usize = if cfg!(debug_assertions) { 500 } else { 10_000 };
const PROMISED: usize = 2_048;
/// Protocols, and what they are called here. MQTT 3.1.1 also has sessions that stay.
const TONGUES: [(&str, Tongue); 3] =
    [("prx1", Tongue::Prx1), ("mqtt3", Tongue::Mqtt3), ("mqtt5", Tongue::Mqtt5)];
/// The word by which this program knows that it is to be the clients.
const CLIENTS: &str = "as-clients-of";

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != CLIENTS).skip(1);
    if let (Some(name), Some(address)) = (args.next(), args.next()) {
        let known = TONGUES.iter().find(|(known, _)| *known == name);
        return be_clients(known.expect("a protocol").1, &address);
    }
    for (name, tongue) in TONGUES {
        on_the_engine(name, tongue);
        over_loopback(name, tongue);
    }
}

fn on_the_engine(name: &str, tongue: Tongue) {
    let mut rig = Rig::new(Durability::Memory, rig::patient());
    let (heap, rss) = (alloc::bytes(), resident());
    for i in 0..HELD {
        let conn = rig.accept(tongue.speak());
        rig.say(conn, &tongue.login(&format!("client{i}"), ""));
        rig.say(conn, &tongue.subscribe(&workload::topic(i), 1, 1));
        rig.quiet();
    }
    let audit = rig.engine.audit().expect("the machine is well");
    assert_eq!((audit.connections, audit.subscriptions), (HELD, HELD));
    let known = audit.heap / HELD;
    report::say(&format!("idle {name} engine, connections and sessions: {known} B of heap each"));
    judge(&format!("{name} engine"), alloc::bytes() - heap, resident().saturating_sub(rss));
}

fn over_loopback(name: &str, tongue: Tongue) {
    let broker = Broker::builder().listen("127.0.0.1:0", tongue.speak()).memory();
    let broker = broker.allow_anonymous(true).limits(rig::patient()).build().expect("a broker");
    let address = broker.local_addr(0).expect("bound").to_string();
    let handle = broker.handle();
    let thread = std::thread::spawn(move || broker.run());
    // The loop's own buffers are there once somebody has been served.
    let mut first = clients(name, &address, 1);
    let (heap, rss) = (alloc::bytes(), resident());
    let mut rest = clients(name, &address, HELD);
    judge(&format!("{name} broker"), alloc::bytes() - heap, resident().saturating_sub(rss));
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
fn clients(name: &str, address: &str, count: usize) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args([CLIENTS, name, address, &count.to_string()])
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
fn be_clients(tongue: Tongue, address: &str) {
    let count: usize = std::env::args().next_back().and_then(|n| n.parse().ok()).expect("a number");
    let mut held = Vec::with_capacity(count);
    for i in 0..count {
        let mut stream = TcpStream::connect(address).expect("the broker is there");
        let mut words = tongue.login(&format!("client{count}-{i}"), "");
        words.extend(tongue.subscribe(&workload::topic(i), 1, 1));
        stream.write_all(&words).expect("it listens");
        // A welcome and the answer to the subscription: a type, a short length, a body.
        for _ in 0..2 {
            let mut head = [0; 2];
            stream.read_exact(&mut head).expect("it answers");
            stream.read_exact(&mut vec![0; usize::from(head[1])]).expect("all of it");
        }
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
