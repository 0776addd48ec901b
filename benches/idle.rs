//! Floor 6. What a connection costs that says nothing: bytes of heap, and resident bytes.
//!
//! Ten thousand log in with one subscription each and fall silent. Once on the bare engine, once
//! as a broker over loopback, whose clients are a process of their own (this same program) so that
//! only the broker's memory is counted. Promised is less than 1,280 bytes of heap for each, and
//! that is asserted. What the system keeps for a socket is not ours and not counted.
#![expect(clippy::disallowed_methods, reason = "a program with a command line and a thread")]

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "`turn` asks how often, this bench how many bytes")]
mod alloc;
#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
mod rig;

use rig::Rig;
use spindle::Broker;
use spindle::hub::message::Durability;
use spindle::testing::workload::{self, Tongue};

/// Debug builds are tests.
const HELD: usize = if cfg!(debug_assertions) { 500 } else { 10_000 };
const PROMISED: usize = 1_280;

fn main() {
    if crowd::is_this() {
        return;
    }
    for (name, tongue) in crowd::TONGUES {
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
    let first = crowd::start(name, &address, 1);
    let (heap, rss) = (alloc::bytes(), resident());
    let rest = crowd::start(name, &address, HELD);
    judge(&format!("{name} broker"), alloc::bytes() - heap, resident().saturating_sub(rss));
    crowd::end(first);
    crowd::end(rest);
    handle.stop();
    assert!(thread.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
}

fn judge(what: &str, heap: usize, rss: usize) {
    let (heap, rss) = (heap / HELD, rss / HELD);
    report::say(&format!("idle {what}: {HELD} held, {heap} B of heap each, {rss} B resident each"));
    assert!(heap < PROMISED, "{heap} bytes of heap for an idle connection");
}

/// Resident bytes of this process; 0 where the system does not say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0) * 1_024
}
