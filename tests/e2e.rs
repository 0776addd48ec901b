//! Floor 6. The program as its users have it: a real process, real sockets, signals, kills.
//!
//! Every test has a data directory and a port of its own, and ends the processes it started.
#![cfg(feature = "cli")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the test is the world")]

#[path = "e2e/admin.rs"]
mod admin;
#[path = "e2e/kill.rs"]
mod kill;
#[path = "e2e/kill_mqtt.rs"]
mod kill_mqtt;
#[path = "e2e/latency.rs"]
mod latency;
#[path = "e2e/mqtt.rs"]
mod mqtt;
#[path = "e2e/process.rs"]
mod process;
#[path = "e2e/realms.rs"]
mod realms;
#[path = "e2e/service.rs"]
mod service;
#[path = "e2e/sys.rs"]
mod sys;
#[path = "e2e/wire.rs"]
mod wire;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use process::{LONG, Scratch, Spindle, command};
use spindle::proto::prx1::Packet;
use wire::{Wire, publish};

/// The Connect packet of the original's documentation, as bytes.
const README: &str = "104f0004505258310f003c243261243036246c4e693848356b63355a395439784a41587751\
    7179756e6c32455968475569366374335467705231424e623176707a707039707a4300000001000474657374";

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn answer(address: &str, packet: &[u8], n: usize) -> Vec<u8> {
    let mut wire = Wire::open(address);
    wire.stream.write_all(packet).unwrap();
    let mut answer = vec![0; n];
    wire.stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn the_packet_of_the_readme_is_answered() {
    let dir = Scratch::new("readme");
    let broker = Spindle::start(&dir.join("data"), &[]);
    let with_keepalive = bytes(README);
    assert_eq!(answer(&broker.address, &with_keepalive, 3), [0x20, 1, 0]);
    // The same without its keepalive: two bytes less, and one presence bit.
    let mut without = with_keepalive;
    let at = without.len() - 8;
    without.drain(at..at + 2);
    (without[1], without[8]) = (0x4d, 0x0b);
    assert_eq!(answer(&broker.address, &without, 3), [0x20, 1, 2]);
    assert_eq!(broker.stop(), 0);
}

#[test]
fn what_one_publishes_another_reads() {
    let dir = Scratch::new("pubsub");
    let broker = Spindle::start(&dir.join("data"), &[]);
    let (mut reader, _) = Wire::join(&broker.address, "reader", true);
    reader.subscribe("room/*");
    let (mut writer, _) = Wire::join(&broker.address, "writer", true);
    let large = vec![b'x'; 60_000];
    writer.publish(1, "room/1/temp", b"21.5", false);
    writer.publish(0, "room/2", b"", false);
    writer.publish(2, "room/3", &large, false);
    assert_eq!(writer.hear(), Some(Packet::PubAck(1)));
    assert_eq!(writer.hear(), Some(Packet::PubAck(2)));
    let got = [reader.message(), reader.message(), reader.message()];
    let seen = got.each_ref().map(|m| (&m.topic[..], m.qos, m.payload.len()));
    assert_eq!(seen, [(&b"room/1/temp"[..], 1, 4), (b"room/2", 0, 0), (b"room/3", 1, 60_000)]);
    assert_eq!(got[2].payload, large);
    assert_eq!(broker.stop(), 0);
}

#[test]
fn what_was_promised_is_there_after_a_restart() {
    let dir = Scratch::new("restart");
    let data = dir.join("data");
    let broker = Spindle::start(&data, &[]);
    let (mut reader, ack) = Wire::join(&broker.address, "reader", false);
    assert!(!ack.session_present);
    reader.subscribe("room/*");
    reader.say(&Packet::Disconnect);
    assert_eq!(reader.hear(), None);
    let (mut writer, _) = Wire::join(&broker.address, "writer", true);
    let large = vec![b'x'; 40_000];
    for id in 1..=20 {
        writer.publish(id, "room/1", format!("owed {id}").as_bytes(), false);
    }
    writer.publish(21, "kept/small", b"value", true);
    writer.publish(22, "kept/large", &large, true);
    for id in 1..=22 {
        assert_eq!(writer.hear(), Some(Packet::PubAck(id)));
    }
    assert_eq!(broker.stop(), 0);

    let broker = Spindle::start(&data, &[]);
    let (mut reader, _) = Wire::join(&broker.address, "reader", false);
    for id in 1..=20 {
        let message = reader.message();
        // The protocol marks everything that a returning session is owed.
        assert_eq!((message.payload, message.dup), (format!("owed {id}").into(), true));
    }
    let (mut late, _) = Wire::join(&broker.address, "late", true);
    late.subscribe("kept/*");
    let mut kept = [late.message(), late.message()];
    kept.sort_by_key(|m| m.payload.len());
    assert!(kept.iter().all(|m| m.retain));
    assert_eq!((&kept[0].topic[..], &kept[0].payload[..]), (&b"kept/small"[..], &b"value"[..]));
    assert_eq!((&kept[1].topic[..], &kept[1].payload[..]), (&b"kept/large"[..], &large[..]));
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = Scratch::new("second");
    let broker = Spindle::start(&dir.join("data"), &[]);
    let mut second = command();
    second.args(["serve", "--listen", "prx1://127.0.0.1:0", "--data"]).arg(dir.join("data"));
    let out = second.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("uses this data directory"), "{said}");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_door_open_to_strangers_is_refused_with_the_way_to_open_it() {
    let dir = Scratch::new("open");
    let run = |flags: &[&str]| {
        let out = command().arg("serve").arg("--data").arg(dir.join("data")).args(flags).output();
        let out = out.unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = run(&["--listen", "prx1://0.0.0.0:0"]);
    assert!(code == Some(2) && said.contains("--allow-anonymous"), "{said}");
    let (code, said) = run(&["--listen", "amqp://127.0.0.1:0"]);
    assert!(code == Some(2) && said.contains("spoken today: prx1"), "{said}");
    let (code, said) = run(&["--listen", "prx1://127.0.0.1:0?durability=perhaps"]);
    assert!(code == Some(2) && said.contains("disk, os or memory"), "{said}");
}

#[test]
fn bounds_are_listed_and_set_by_their_names() {
    let out = command().arg("limits").output().unwrap();
    let listed = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && listed.contains("\nretained_max=1_000_000\n    "), "{listed}");
    let dir = Scratch::new("limits");
    let refused = |limit: &str| {
        let data = dir.join("data");
        let out = command().args(["serve", "--limit", limit, "--data"]).arg(data).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{limit}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(refused("recieve_max=5").contains("did you mean receive_max?"));
    assert!(refused("packets_turn=0").contains("at least 1"));
    assert!(refused("packets_turn").contains("NAME=VALUE"));
    let broker = Spindle::start(&dir.join("data"), &["--limit", "connections_per_address_max=1"]);
    let (first, _) = Wire::join(&broker.address, "first", true);
    let mut second = Wire::open(&broker.address);
    assert_eq!(second.hear(), None, "one from here is enough");
    drop(first);
    broker.stop();
}

#[test]
fn a_password_becomes_the_line_of_a_users_file() {
    let hash = |flags: &[&str], password: &[u8]| {
        let mut hash = command();
        hash.arg("hash").args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = hash.stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password).unwrap();
        let out = child.wait_with_output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let (done, keys) = hash(&["--scram"], b"pencil\n");
    assert!(done && spindle::access::scram::matches(b"pencil", &keys), "{keys}");
    assert_ne!(hash(&["--scram"], b"pencil").1, keys, "the salt is another each time");
    let (done, bcrypt) = hash(&[], b"pencil");
    assert!(done && bcrypt.starts_with("$2b$12$"), "{bcrypt}");
    assert_eq!(hash(&["--scram"], b""), (false, String::new()));
}

#[test]
fn an_operator_looks_through_the_socket_beside_the_data() {
    let dir = Scratch::new("operator");
    let data = dir.join("data");
    let mut broker = Spindle::start(&data, &["--admin-listen", ""]);
    let run = |words: &[&str]| {
        let out = command().args(words).arg("--data").arg(&data).output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, said) = run(&["ctl", "health"]);
    assert!(code == Some(0) && said.contains("ok"), "{said}");
    let (_wire, _) = Wire::join(&broker.address, "ann", true);
    let (code, said) = run(&["ctl", "clients"]);
    assert!(code == Some(0) && said.contains("ann") && said.contains("prx1"), "{said}");
    let (code, said) = run(&["log", "debug"]);
    assert_eq!(code, Some(0), "{said}");
    broker.hear("level set");
    assert_eq!(run(&["ctl", "stop"]).0, Some(0));
    broker.hear("stopped");
}

#[test]
fn a_damaged_journal_is_refused_with_its_place() {
    let dir = Scratch::new("damaged");
    let data = dir.join("data");
    let broker = Spindle::start(&data, &[]);
    let (mut writer, _) = Wire::join(&broker.address, "writer", true);
    for id in 1..=3 {
        writer.publish(id, &format!("kept/{id}"), b"a value to be damaged", true);
        assert_eq!(writer.hear(), Some(Packet::PubAck(id)));
    }
    assert_eq!(broker.stop(), 0);
    let segment = data.join("journal/00000001.seg");
    let mut all = std::fs::read(&segment).unwrap();
    let at = all.windows(7).position(|w| w == b"a value").unwrap();
    all[at] ^= 1;
    std::fs::write(&segment, &all).unwrap();
    let run = |flags: &[&str]| {
        let mut it = command();
        it.args(["serve", "--listen", "prx1://127.0.0.1:0", "--data"]).arg(&data).args(flags);
        it.output().unwrap()
    };
    let out = run(&[]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("journal segment 1 at ") && said.contains("--salvage"), "{said}");
    let file = format!("file={} offset=", segment.display());
    assert!(said.contains(&file), "{said}");
    assert_eq!(std::fs::read(&segment).unwrap(), all, "a refused journal is not touched");
    let mut broker = Spindle::start(&data, &["--salvage"]);
    let (mut late, _) = Wire::join(&broker.address, "late", true);
    late.subscribe("kept/*");
    assert_eq!(late.message().topic, "kept/2");
    assert_eq!(late.message().topic, "kept/3");
    let mut stats = command();
    let stats = stats.args(["ctl", "stats", "--data"]).arg(&data).output().unwrap();
    let stats = String::from_utf8_lossy(&stats.stdout).into_owned();
    assert!(stats.contains("\"journal_lost_records_total\":1,"), "{stats}");
    let set_aside = std::fs::read_dir(data.join("quarantine")).unwrap().count();
    assert_eq!(set_aside, 1);
    broker.signal("TERM");
    broker.hear("stopped");
}

#[test]
fn signals_print_the_counters_and_end_the_broker() {
    let dir = Scratch::new("signals");
    let mut broker = Spindle::start(&dir.join("data"), &["--durability", "memory"]);
    let (mut guest, _) = Wire::join(&broker.address, "guest", true);
    let mut stdout = broker.stdout();
    for signal in ["HUP", "USR1", "USR2"] {
        broker.signal(signal);
    }
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    let counters: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(counters["connections"], 1);
    assert_eq!(counters["logins_accepted_total"], 1);
    let turns = &counters["timings"]["event_loop_turn"];
    assert!(turns["count"].as_u64() > Some(0) && turns["max_us"].is_u64(), "{turns}");
    assert!(turns["minute"]["p99_us"].is_u64() && turns["quarter"]["p99_us"].is_u64(), "{turns}");
    assert_eq!(broker.stop(), 0);
    assert_eq!(guest.hear(), None, "everybody is let go");
    assert!(!dir.join("data").exists(), "memory leaves nothing behind");
}

#[test]
fn a_reader_who_does_not_read_stops_nobody() {
    let dir = Scratch::new("slow");
    let broker = Spindle::start(&dir.join("data"), &[]);
    let (mut stuck, _) = Wire::join(&broker.address, "stuck", true);
    stuck.subscribe("flood/*");
    let (mut quick, _) = Wire::join(&broker.address, "quick", true);
    quick.subscribe("flood/*");
    let (mut writer, _) = Wire::join(&broker.address, "writer", true);
    let payload = vec![b'x'; 32_000];
    // More than the buffers of any socket hold.
    for n in 0..600 {
        writer.say(&Packet::Publish(publish(0, &format!("flood/{n}"), &payload, false)));
        assert_eq!(quick.message().topic, format!("flood/{n}"));
    }
    // What the stuck one reads now is in order, though not everything.
    let first = stuck.message();
    assert_eq!((&first.topic[..], first.payload.len()), (&b"flood/0"[..], 32_000));
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_flood_of_strangers_leaves_room_for_others() {
    let dir = Scratch::new("strangers");
    let broker = Spindle::start(&dir.join("data"), &["--durability", "memory"]);
    let silent: Vec<Wire> = (0..300).map(|_| Wire::open(&broker.address)).collect();
    let began = Instant::now();
    let (mut guest, _) = Wire::join(&broker.address, "guest", true);
    guest.say(&Packet::Ping);
    assert_eq!(guest.hear(), Some(Packet::Pong));
    assert!(began.elapsed() < LONG / 3);
    drop(silent);
    assert_eq!(broker.stop(), 0);
}

#[test]
fn who_sends_and_leaves_is_still_heard() {
    let dir = Scratch::new("leaves");
    let broker = Spindle::start(&dir.join("data"), &["--durability", "memory"]);
    let (mut reader, _) = Wire::join(&broker.address, "reader", true);
    reader.subscribe("last/*");
    for n in 0..20 {
        let (mut writer, _) = Wire::join(&broker.address, "writer", true);
        writer.say(&Packet::Publish(publish(0, "last/word", &[n], false)));
        drop(writer);
        assert_eq!(reader.message().payload[..], [n]);
    }
    assert_eq!(broker.stop(), 0);
}

#[test]
fn users_come_from_a_file_that_is_read_again_on_hup() {
    let dir = Scratch::new("users");
    let file = dir.join("users.toml");
    let users = |secret: &str| {
        format!(
            "mode = \"strict\"\n[groups.User]\ntype = \"inclusive\"\n\
             rules = [\"can publish a/*\"]\n\
             [[users]]\nname = \"ann\"\nshared_secret = \"{secret}\"\n\
             [[users]]\nname = \"bob\"\nshared_secret = \"secret\"\n"
        )
    };
    std::fs::write(&file, users("secret")).unwrap();
    let mut broker = Spindle::start(&dir.join("data"), &["--users", file.to_str().unwrap()]);
    let (mut ann, _) = Wire::join(&broker.address, "ann", true);
    let (mut bob, _) = Wire::join(&broker.address, "bob", true);
    std::fs::write(&file, users("another")).unwrap();
    broker.signal("HUP");
    broker.hear("users file read again");
    while ann.hear().is_some() {}
    bob.say(&Packet::Ping);
    assert_eq!(bob.hear(), Some(Packet::Pong));
    std::fs::write(&file, "mode = ").unwrap();
    broker.signal("HUP");
    broker.hear("everything stays as it was");
    let (mut again, _) = Wire::join(&broker.address, "bob", true);
    again.say(&Packet::Ping);
    assert_eq!(again.listen(Duration::from_secs(10)), Ok(Some(Packet::Pong)));
    assert_eq!(broker.stop(), 0);
}
