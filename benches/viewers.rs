//! Floor 6. What clients at work feel while people look at the broker.
//!
//! Ten thousand clients are there. First somebody reads the list of all of them, page after page,
//! as fast as it comes. Then short windows take turns: calm, and three viewers, each of whom
//! follows the snapshots of every second and turns a page with each. The loop has one core;
//! clients at work have another, and viewers run there when those leave time. Absent on purpose: a
//! browser (`tests/console/run`).
#![expect(clippy::disallowed_methods, reason = "a program with a command line")]

#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/pace.rs"]
mod pace;
#[path = "support/place.rs"]
mod place;
#[path = "support/report.rs"]
mod report;
#[path = "support/sched.rs"]
mod sched;
#[path = "support/witness.rs"]
mod witness;

use pace::{Pace, named};
use spindle::base::limits::Limits;
use spindle::hub::gate::{Admins, Role, Token};
use spindle::os::clock::Clock;
use spindle::testing::workload::Tongue;
use spindle::{Broker, Speak};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const SMALL: bool = cfg!(debug_assertions);
const HELD: usize = if SMALL { 300 } else { 10_000 };
const PAIRS: usize = if SMALL { 2 } else { 30 };
const WINDOW: Duration = Duration::from_millis(if SMALL { 100 } else { 2_000 });
const VIEWERS: usize = 3;
const TONGUE: Tongue = Tongue::Mqtt5;
/// Rows of a page.
const PAGE: usize = 100;
/// Snapshots come every second; a page is turned with each, or without one after so long.
const LOOK: Duration = Duration::from_millis(if SMALL { 50 } else { 1_500 });
const TOKEN: &str = "what-a-viewer-knows";

const KINDS: &[&str] = &["calm", "three viewers"];

/// What the viewers saw.
#[derive(Default)]
struct Seen {
    on: AtomicBool,
    over: AtomicBool,
    snapshots: AtomicU64,
    pages: AtomicU64,
}

fn main() {
    if crowd::is_this() {
        return;
    }
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(TOKEN.as_bytes()).into();
    let token = Token { name: "viewer".into(), sha256, role: Role::Viewer };
    let broker = Broker::builder().listen("127.0.0.1:0", Speak::Mqtt).memory();
    let broker = broker.listen("127.0.0.1:0", Speak::Http).allow_anonymous(true);
    let limits = Limits { idle_ms_max: 3_600_000, ..Limits::default() };
    let admins = Admins { tokens: vec![token], ..Admins::default() };
    let broker = broker.admin(admins).limits(limits).build().expect("a broker");
    let at = |place| broker.local_addr(place).expect("bound");
    let (mqtt, http, handle) = (at(0), at(1), broker.handle());
    let run = named("loop", move || {
        place::stay_on("0");
        broker.run()
    });
    place::stay_on("1");
    let held = crowd::start("mqtt5", &mqtt.to_string(), HELD);
    walk(http);
    let seen = Arc::new(Seen::default());
    let viewers = (0..VIEWERS).map(|_| {
        let seen = Arc::clone(&seen);
        named("view", move || view(http, &seen))
    });
    let viewers: Vec<_> = viewers.collect();
    let mut pace = Pace::start("viewers", KINDS, TONGUE, mqtt);
    for _ in 0..PAIRS {
        pace.during(0, || thread::sleep(WINDOW));
        seen.on.store(true, Relaxed);
        pace.during(1, || thread::sleep(WINDOW));
        seen.on.store(false, Relaxed);
        // What was asked for is still on its way.
        thread::sleep(WINDOW / 4);
    }
    seen.over.store(true, Relaxed);
    viewers.into_iter().for_each(|viewer| viewer.join().expect("it looked"));
    pace.end();
    let (pages, snapshots) = (seen.pages.load(Relaxed), seen.snapshots.load(Relaxed));
    assert!(SMALL || pages.min(snapshots) >= (VIEWERS * PAIRS) as u64, "they looked");
    report::say(&format!("viewers saw: {snapshots} snapshots and {pages} pages of {PAGE}"));
    crowd::end(held);
    handle.stop();
    assert!(run.join().is_ok_and(|end| end.is_ok()), "the broker ended well");
}

/// Read the list of all clients, page after page.
fn walk(http: SocketAddr) {
    let clock = Clock::start();
    let (mut stream, mut names) = (BufReader::new(ask(http, None)), BTreeSet::new());
    let (mut after, mut took) = (String::new(), Vec::new());
    loop {
        let began = clock.now().mono;
        let next = page(&mut stream, &after, &mut names);
        took.push((clock.now().mono - began) / 1_000);
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(names.len(), HELD, "the whole list, each once");
    let pages = took.len();
    took.sort_unstable();
    report::say(&format!(
        "viewers walk: all of {HELD} clients, each once, in {pages} pages of {PAGE}: {} us for the \
         middle one, {} us at most",
        took[pages / 2],
        took[pages - 1]
    ));
}

/// Somebody who looks whenever they are on: at snapshots, and at a page with each.
fn view(http: SocketAddr, seen: &Seen) {
    place::give_way();
    let mut pages = BufReader::new(ask(http, None));
    let (mut after, mut names) = (String::new(), BTreeSet::new());
    while !seen.over.load(Relaxed) {
        if !seen.on.load(Relaxed) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let mut snapshots = ask(http, Some("/api/v1/events"));
        snapshots.set_read_timeout(Some(LOOK)).expect("a socket's mode");
        let mut through = vec![0; 64 << 10];
        while seen.on.load(Relaxed) {
            names.clear();
            after = page(&mut pages, &after, &mut names).unwrap_or_default();
            seen.pages.fetch_add(1, Relaxed);
            if let Ok(n) = snapshots.read(&mut through) {
                assert!(n > 0, "the stream goes on");
                let some = through[..n].windows(6).filter(|w| w == b"event:").count();
                seen.snapshots.fetch_add(some as u64, Relaxed);
            }
        }
    }
}

/// A connection; a stream that was asked for begins.
fn ask(http: SocketAddr, path: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(http).expect("it listens");
    stream.set_nodelay(true).expect("a socket's mode");
    if let Some(path) = path {
        write!(stream, "{}", request(path)).expect("it reads");
    }
    stream
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
}

/// One page of clients; what names the next, if there is one.
fn page(
    stream: &mut BufReader<TcpStream>,
    after: &str,
    names: &mut BTreeSet<String>,
) -> Option<String> {
    let more = if after.is_empty() { String::new() } else { format!("&after={after}") };
    let text = request(&format!("/api/v1/clients?limit={PAGE}{more}"));
    stream.get_mut().write_all(text.as_bytes()).expect("it reads");
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("it answers");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(n) = line.strip_prefix("content-length:") {
            length = n.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("all of it");
    let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    for row in answer["data"].as_array().expect("rows") {
        let name = row["id"].as_str().expect("a name").to_owned();
        assert!(names.insert(name), "a client comes twice: {row}");
    }
    answer["meta"]["next"].as_str().map(str::to_owned)
}
