//! The program as a service: what it tells systemd, what it takes over from it, its log, its end.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use spindle::proto::mqtt::packet::{Packet, Version};

use crate::mqtt::{Mqtt, publish};
use crate::process::{LONG, Scratch, Spindle, command};

const MQTT: [&str; 2] = ["--listen", "mqtt://127.0.0.1:0"];

/// The next words, but for signs of life.
fn told(at: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 512];
        let n = at.recv(&mut buffer).unwrap();
        let words = String::from_utf8(buffer[..n].to_vec()).unwrap();
        if words != "WATCHDOG=1" {
            return words;
        }
    }
}

#[test]
fn systemd_is_told_how_it_is() {
    let dir = Scratch::new("notify");
    let at = UnixDatagram::bind(dir.join("notify")).unwrap();
    at.set_read_timeout(Some(LONG)).unwrap();
    let users = dir.join("users.toml");
    std::fs::write(&users, "mode = \"none\"\n").unwrap();
    let mut command = command();
    command.env("NOTIFY_SOCKET", dir.join("notify")).env("WATCHDOG_USEC", "100000");
    let flags = ["--users", users.to_str().unwrap(), "--admin-listen", ""];
    let broker = Spindle::start_by(command, &dir.join("data"), &flags);
    // The one for clients, and the socket beside the data.
    assert_eq!(told(&at), "READY=1\nSTATUS=serving on 2 listeners");
    // A loop that has nothing to do still says that it turns.
    for _ in 0..3 {
        let mut buffer = [0; 512];
        let n = at.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"WATCHDOG=1");
    }
    broker.signal("HUP");
    let words = told(&at);
    let us = words.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(us.lines().next().unwrap().parse::<u64>().unwrap() > 0, "{words}");
    assert!(told(&at).starts_with("READY=1\n"));
    broker.signal("TERM");
    assert!(told(&at).starts_with("STOPPING=1\n"));
}

#[test]
fn a_watchdog_of_another_process_is_not_ours() {
    let dir = Scratch::new("watchdog");
    let at = UnixDatagram::bind(dir.join("notify")).unwrap();
    let mut command = command();
    command.env("NOTIFY_SOCKET", dir.join("notify"));
    command.env("WATCHDOG_USEC", "2000").env("WATCHDOG_PID", "1");
    let broker = Spindle::start_by(command, &dir.join("data"), &[]);
    at.set_read_timeout(Some(LONG)).unwrap();
    assert!(told(&at).starts_with("READY=1\n"));
    at.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(at.recv(&mut [0; 64]).is_err());
    assert_eq!(broker.stop(), 0);
}

#[test]
fn a_socket_that_was_passed_on_is_used_by_the_listener_of_its_name() {
    let dir = Scratch::new("passed");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Who connects before the broker runs waits.
    let early = std::net::TcpStream::connect(&address).unwrap();
    let mut shell = Command::new("sh");
    let script =
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=mqtt exec \"$0\" \"$@\" 3<&0 0</dev/null";
    shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_spindle"));
    shell.stdin(OwnedFd::from(listener));
    // The port of the flag is not the one of the socket.
    let flags = ["--listen", "mqtt://127.0.0.1:1"];
    let mut broker = Spindle::start_by(shell, &dir.join("data"), &flags);
    assert_eq!(broker.listener(), address);
    let (mut guest, _) = Mqtt::join(&address, Version::V5, "guest");
    guest.say(&Packet::PingReq);
    assert_eq!(guest.listen(LONG), Ok(Some(Packet::PingResp)));
    drop(early);
    assert_eq!(broker.stop(), 0);
}

#[test]
fn whoever_was_heard_before_the_end_is_answered_and_told() {
    let dir = Scratch::new("drain");
    let mut broker = Spindle::start(&dir.join("data"), &MQTT);
    let address = broker.listener();
    let (mut reader, _) = Mqtt::join(&address, Version::V5, "reader");
    reader.subscribe("last");
    let (mut writer, _) = Mqtt::join(&address, Version::V5, "writer");
    for id in 1..=200 {
        writer.say(&publish(1, id, false, "last", "words"));
    }
    for _ in 0..200 {
        reader.message();
    }
    // All are taken in; not all need be on the disk.
    broker.signal("TERM");
    for id in 1..=200 {
        match writer.listen(LONG) {
            Ok(Some(Packet::PubAck(ack))) => assert_eq!((ack.id, ack.reason), (id, 0)),
            other => panic!("{id}: {other:?}"),
        }
    }
    for client in [&mut writer, &mut reader] {
        match client.listen(LONG) {
            Ok(Some(Packet::Disconnect(bye))) => assert_eq!(bye.reason, 0x8B),
            other => panic!("no goodbye: {other:?}"),
        }
        assert_eq!(client.listen(LONG), Ok(None));
    }
    broker.hear("stopped");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let took = |signals: usize| {
        let dir = Scratch::new("twice");
        let mut broker = Spindle::start(&dir.join("data"), &MQTT);
        let address = broker.listener();
        // Told to go, it does not go, and is waited for a while.
        let (_stays, _) = Mqtt::join(&address, Version::V5, "stays");
        let began = Instant::now();
        for _ in 0..signals {
            broker.signal("TERM");
            broker.hear("asked to stop");
        }
        while !broker.has_ended() {
            assert!(began.elapsed() < LONG);
            std::thread::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    };
    assert!(took(1) >= Duration::from_secs(1));
    // On a machine that is busy with other things one try may be slow.
    assert!((0..5).any(|_| took(2) < Duration::from_millis(900)));
}

#[test]
fn connects_and_disconnects_are_worded_as_everybody_greps_for_them() {
    let dir = Scratch::new("words");
    let mut broker = Spindle::start(&dir.join("data"), &MQTT);
    let address = broker.listener();
    let (mut guest, _) = Mqtt::join(&address, Version::V5, "guest");
    let line = broker.hear("New client connected");
    let port = guest.port();
    let words = format!(
        "INFO  spindle::conn New client connected from 127.0.0.1:{port} as guest \
         (p5, c0, k60, u'guest')."
    );
    assert!(line.ends_with(&words), "{line}");
    let bye = spindle::proto::mqtt::packet::Reason { reason: 0, props: Default::default() };
    guest.say(&Packet::Disconnect(bye));
    let line = broker.hear(" disconnected: ");
    assert!(line.contains("INFO  spindle::conn Client guest disconnected: "), "{line}");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn no_line_holds_a_password_or_is_forged() {
    let dir = Scratch::new("secret");
    let users = dir.join("users.toml");
    let text = "mode = \"strict\"\n[groups.User]\ntype = \"inclusive\"\nrules = []\n\
                [[users]]\nname = \"ann\"\nshared_secret = \"correct horse\"\n";
    std::fs::write(&users, text).unwrap();
    let flags = [&MQTT[..], &["--log", "trace", "--users", users.to_str().unwrap()]].concat();
    let mut broker = Spindle::start(&dir.join("data"), &flags);
    let address = broker.listener();
    let (mut ann, _) = Mqtt::join_with(&address, Version::V5, "ann", Some("correct horse"));
    let topic = "x\u{1b}[2J\nERROR spindle forged";
    ann.say(&publish(1, 1, false, topic, "y"));
    assert!(matches!(ann.listen(LONG), Ok(Some(Packet::PubAck(ack))) if ack.reason == 0x87));
    let wrong = std::panic::catch_unwind(|| {
        Mqtt::join_with(&address, Version::V5, "ann", Some("battery staple"))
    });
    assert!(wrong.is_err());
    broker.hear("login refused");
    let said = broker.stop_and_tell();
    assert!(said.contains("denied") && said.contains("\\u001b[2J\\nERROR"), "{said}");
    for secret in ["correct horse", "battery staple", "\u{1b}"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(!said.lines().any(|line| line.starts_with("ERROR")), "{said}");
}

#[test]
fn a_log_of_objects_is_one_object_in_each_line() {
    let dir = Scratch::new("json");
    let flags = [&MQTT[..], &["--log-format", "json", "--log", "debug"]].concat();
    let mut broker = Spindle::start(&dir.join("data"), &flags);
    let address = broker.listener();
    let (mut guest, _) = Mqtt::join(&address, Version::V311, "guest");
    guest.subscribe("a/#");
    let said = broker.stop_and_tell();
    let mut seen = Vec::new();
    for line in said.lines().filter(|line| !line.is_empty()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["time", "level", "target", "message"] {
            assert!(value[key].is_string(), "{line}");
        }
        seen.push(value);
    }
    let sub = seen.iter().find(|value| value["message"] == "subscribed").unwrap();
    assert_eq!((&sub["user"], &sub["target"]), (&"guest".into(), &"spindle::sub".into()));
}

#[test]
fn a_log_file_is_opened_again_and_the_last_line_is_in_it() {
    let dir = Scratch::new("logfile");
    let (path, moved) = (dir.join("log"), dir.join("log.1"));
    let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
    notify.set_read_timeout(Some(LONG)).unwrap();
    let mut child = command();
    child.arg("serve").arg("--data").arg(dir.join("data"));
    child.args(["--listen", "prx1://127.0.0.1:0", "--log-file"]).arg(&path);
    let mut child = child.env("NOTIFY_SOCKET", dir.join("notify")).spawn().unwrap();
    assert!(told(&notify).starts_with("READY=1\n"));
    std::fs::rename(&path, &moved).unwrap();
    let id = child.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &id]).status().unwrap();
    signal("-USR1");
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
    signal("-TERM");
    assert!(child.wait().unwrap().success());
    let old = std::fs::read_to_string(&moved).unwrap();
    assert!(old.contains("listening ") && !old.contains("stopped"), "{old}");
    let new = std::fs::read_to_string(&path).unwrap();
    assert!(new.contains("log file opened again") && new.ends_with("stopped\n"), "{new}");
}
