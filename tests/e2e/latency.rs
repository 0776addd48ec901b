//! What the loop asks of the machine, seen from outside: its own figures, and the system's.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Scratch, Spindle, command};
use crate::wire::Wire;

/// Nothing but the loop and a worker, wherever the test runs.
const MEMORY: [&str; 2] = ["--durability", "memory"];

/// A broker that keeps nothing, and what it says about itself when it is asked.
struct Watched {
    broker: Spindle,
    figures: Lines<BufReader<ChildStdout>>,
    _dir: Scratch,
}

impl Watched {
    fn start(flags: &[&str]) -> Self {
        let dir = Scratch::new("latency");
        let mut broker = Spindle::start(&dir.join("data"), &[&MEMORY[..], flags].concat());
        let figures = BufReader::new(broker.stdout()).lines();
        Self { broker, figures, _dir: dir }
    }

    /// Looks before a sleep that found something, and that did not.
    fn looks(&mut self) -> (u64, u64) {
        self.broker.signal("USR2");
        let line = self.figures.next().unwrap().unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let of = |label: &str| said[label].as_u64().unwrap();
        (of("spins_found_total"), of("spins_missed_total"))
    }

    /// Time of a core it has used.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.broker.id())).unwrap();
        let behind_name = stat.rsplit_once(") ").unwrap().1;
        let ticks = behind_name.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Somebody who hears what they say themselves.
    fn echo(&self) -> Wire {
        let (mut wire, _) = Wire::join(&self.broker.address, "echo", true);
        wire.subscribe("echo");
        wire
    }
}

fn round(wire: &mut Wire) {
    wire.publish(0, "echo", b"?", false);
    wire.message();
}

/// Whoever opens a descriptor beyond the room for them waits until the kernel has made it larger,
/// and that would be the loop, in the midst of a crowd that comes.
#[test]
fn there_is_room_for_all_descriptors_from_the_start() {
    let watched = Watched::start(&["--limit", "connections_max=3000"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", watched.broker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    let room: u64 = line.trim().parse().unwrap();
    assert!(room >= 3_000, "there is room for {room}");
}

#[test]
fn the_loop_looks_for_what_comes_at_once_and_sleeps_when_nothing_does() {
    let mut it = Watched::start(&["--spin-us", "2000"]);
    let mut wire = it.echo();
    (0..1_000).for_each(|_| round(&mut wire));
    let (found, _) = it.looks();
    assert!(found >= 500, "most of 1,000 answers come within 2 ms: {found}");
    // Silence costs nothing, however long a look may be.
    let before = (it.cpu(), it.looks().1);
    std::thread::sleep(Duration::from_secs(2));
    let (spent, missed) = (it.cpu() - before.0, it.looks().1 - before.1);
    assert!(spent < Duration::from_millis(200), "{spent:?} of two silent seconds");
    assert!(missed <= 4, "{missed} looks in two silent seconds");
    assert_eq!(it.broker.stop(), 0);
}

#[test]
fn traffic_that_never_comes_in_time_is_not_looked_for() {
    let mut it = Watched::start(&["--spin-us", "200"]);
    let mut wire = it.echo();
    let mut slow = |seconds: u64| {
        let (began, mut rounds) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(seconds) {
            round(&mut wire);
            std::thread::sleep(Duration::from_millis(4));
            rounds += 1;
        }
        rounds
    };
    // The first second shows that it does not pay.
    slow(2);
    let (found, missed) = it.looks();
    let rounds = slow(2);
    let after = it.looks();
    let looks = after.0 + after.1 - found - missed;
    assert!(rounds > 50, "{rounds} rounds in two seconds");
    assert!(looks < rounds / 4, "{looks} looks for {rounds} messages");
    assert_eq!(it.broker.stop(), 0);
}

#[test]
fn nobody_looks_unless_asked_to() {
    let mut it = Watched::start(&[]);
    let mut wire = it.echo();
    (0..100).for_each(|_| round(&mut wire));
    assert_eq!(it.looks(), (0, 0));
    assert_eq!(it.broker.stop(), 0);
}

/// A line of what the system says of a process or a thread.
fn status(path: &str, label: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{path}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

/// KiB on such a line.
fn kib(id: u32, label: &str) -> u64 {
    status(&id.to_string(), label).strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

/// Where each thread of a process may run.
fn threads(id: u32) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
    let each = tasks.map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap();
        let no = task.file_name().to_string_lossy().into_owned();
        (name.trim().to_owned(), status(&format!("{id}/task/{no}"), "Cpus_allowed_list"))
    });
    each.collect()
}

/// What a broker says that may not lock memory and therefore does not start.
fn refused_a_lock(flags: &[&str]) -> String {
    let dir = Scratch::new("refused");
    let root = status("self", "Uid").starts_with("0\t");
    let way = if root { "setpriv --bounding-set=-ipc_lock" } else { "" };
    let line = format!("ulimit -l 64; exec {way} \"$0\" \"$@\"");
    let mut sh = Command::new("sh");
    sh.args(["-c", &line]).arg(env!("CARGO_BIN_EXE_spindle")).arg("serve");
    sh.arg("--data").arg(dir.join("data")).args(["--listen", "prx1://127.0.0.1:0"]).args(flags);
    let ended = sh.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

#[test]
fn the_loop_has_a_core_of_its_own_when_it_is_given_one() {
    let mine = status("self", "Cpus_allowed_list");
    let first = mine.split([',', '-']).next().unwrap().to_owned();
    let last = mine.rsplit([',', '-']).next().unwrap().to_owned();
    let dir = Scratch::new("cores");
    let flags = ["--cpu", &last, "--worker-cpus", &first];
    let broker = Spindle::start(&dir.join("data"), &flags);
    // Whoever was let in was let in by the loop, so it has begun.
    Wire::join(&broker.address, "somebody", true);
    let threads = threads(broker.id());
    let of = |name: &str| threads.iter().find(|(it, _)| it == name).map(|(_, cores)| &cores[..]);
    assert_eq!(of("spindle"), Some(&last[..]), "{threads:?}");
    assert_eq!(of("disk"), Some(&first[..]), "{threads:?}");
    assert_eq!(of("verify-0"), Some(&first[..]), "{threads:?}");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_core_that_is_not_there_is_refused_at_the_start() {
    let dir = Scratch::new("no-core");
    let data = dir.join("data");
    let try_it = |flags: [&str; 2]| {
        let mut serve = command();
        serve.arg("serve").arg("--data").arg(&data).args(["--listen", "prx1://127.0.0.1:0"]);
        let ended = serve.args(flags).output().unwrap();
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let said = try_it(["--cpu", "1023"]);
    assert!(said.contains("cpu = 1023: the system refuses"), "{said}");
    let said = try_it(["--worker-cpus", "3-1"]);
    assert!(said.contains("worker_cpus: \"3-1\" is no list of cores"), "{said}");
    let said = try_it(["--cpu", "0,1"]);
    assert!(said.contains("cpu: one core, not several"), "{said}");
}

#[test]
fn locked_memory_is_locked_or_the_start_refused() {
    let said = refused_a_lock(&["--mlock"]);
    assert!(said.contains("mlock: the system refuses") && said.contains("LimitMEMLOCK"), "{said}");
    let capable = u64::from_str_radix(&status("self", "CapEff"), 16).unwrap() >> 14 & 1 == 1;
    if !capable {
        return;
    }
    let it = Watched::start(&["--mlock"]);
    let (locked, resident) = (kib(it.broker.id(), "VmLck"), kib(it.broker.id(), "VmRSS"));
    assert!(locked > 1_024 && locked >= resident / 2, "{locked} of {resident} KiB");
    assert_eq!(it.broker.stop(), 0);
    let it = Watched::start(&[]);
    assert_eq!(kib(it.broker.id(), "VmLck"), 0, "nobody asked");
    assert_eq!(it.broker.stop(), 0);
}

#[test]
fn heap_and_segments_are_there_before_they_are_needed() {
    let mapped = |id: u32| {
        let maps = std::fs::read_to_string(format!("/proc/{id}/smaps")).unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.ends_with(".seg"));
        let mut of = |label: &str| {
            let line = lines.find_map(|line| line.strip_prefix(label)).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
        };
        (of("Size:"), of("Rss:"))
    };
    let dir = Scratch::new("prefault");
    let plain = Spindle::start(&dir.join("plain"), &[]);
    let ahead = Spindle::start(&dir.join("ahead"), &["--prefault-mb", "64"]);
    for it in [&plain, &ahead] {
        Wire::join(&it.address, "somebody", true);
    }
    let resident = |it: &Spindle| kib(it.id(), "RssAnon");
    assert!(resident(&plain) < 48 << 10, "{} KiB", resident(&plain));
    assert!(resident(&ahead) >= 64 << 10, "{} KiB", resident(&ahead));
    let (size, there) = mapped(plain.id());
    assert!(there < size / 2, "{there} of {size} KiB of a segment");
    let (size, there) = mapped(ahead.id());
    assert_eq!(there, size, "all of a segment");
    assert_eq!(plain.stop(), 0);
    assert_eq!(ahead.stop(), 0);
}
