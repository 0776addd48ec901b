//! A running broker as its operators see it: `spindle ctl` and the API behind the socket.

use std::path::Path;
use std::process::Output;

use spindle::proto::mqtt::packet::Version;

use crate::mqtt::Mqtt;
use crate::process::{Scratch, Spindle, command};

const MQTT: [&str; 2] = ["--listen", "mqtt://127.0.0.1:0"];

/// `spindle ctl` beside this data.
fn ctl(data: &Path, words: &[&str]) -> Output {
    let mut command = command();
    command.arg("ctl").arg("--no-context").arg("--data").arg(data);
    command.env_remove("SPINDLE_ADMIN").args(words).output().unwrap()
}

/// What it printed, when all is well.
fn said(data: &Path, words: &[&str]) -> String {
    let out = ctl(data, words);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&out.stderr));
    text
}

#[test]
fn the_last_lines_of_the_log_are_there_for_whoever_may_look() {
    let dir = Scratch::new("tail");
    let data = dir.join("data");
    for form in ["text", "json", "journald"] {
        let mut broker = Spindle::start(&data, &[&MQTT[..], &["--log-format", form]].concat());
        let address = broker.listener();
        for n in 0..3 {
            Mqtt::join(&address, Version::V5, &format!("client '{n}"));
            broker.hear(&format!("{n} disconnected"));
        }
        let all = said(&data, &["log", "tail", "-n", "512"]);
        let shown = all.lines().filter(|line| line.contains("INFO  spindle::conn New client"));
        let shown: Vec<&str> = shown.collect();
        assert_eq!(shown.len(), 3, "{form}: {all}");
        assert!(shown[0].contains("as client \\'0 (p5, c0"), "{form}: {}", shown[0]);
        assert_eq!(said(&data, &["log", "tail", "-n", "1"]).lines().count(), 1, "{form}");
        assert_eq!(said(&data, &["log", "tail", "--level", "error"]), "", "{form}");
        let rows = said(&data, &["--json", "log", "tail", "-n", "512"]);
        for (n, line) in rows.lines().enumerate() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row["number"], n + 1, "{rows}");
            assert_eq!(row.as_object().unwrap().len(), 5, "{row}");
        }
        assert_eq!(broker.stop(), 0);
    }
}

#[test]
fn who_asks_a_broker_that_keeps_nothing_is_told_where_to_come_in() {
    let dir = Scratch::new("memory");
    let users = dir.join("broker.toml");
    // SHA-256 of `token`.
    let sha256 = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let text = format!(
        "durability = \"memory\"\n[admin]\nlisten = \"http://127.0.0.1:0\"\n\
         [[admin.token]]\nname = \"t\"\nsha256 = \"{sha256}\"\n"
    );
    std::fs::write(&users, text).unwrap();
    let data = dir.join("data");
    let mut broker = Spindle::start(&data, &["-c", users.to_str().unwrap()]);
    let line = broker.hear("administrators come in");
    let url = format!("http://{}", line.rsplit_once('=').unwrap().1);
    let out = ctl(&data, &["stats"]);
    let why = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{why}");
    assert!(why.contains("durability = \"memory\"") && why.contains("--admin URL"), "{why}");
    assert!(!why.contains("does the broker run"), "{why}");
    let words = ["--admin", &url, "--token", "token", "--json", "stats"];
    let stats: serde_json::Value = serde_json::from_str(&said(&data, &words)).unwrap();
    assert_eq!(stats["data"]["journal"], "none");
    assert_eq!(broker.stop(), 0);
    let data = dir.join("kept");
    let broker = Spindle::start(&data, &[]);
    broker.kill();
    let out = ctl(&data, &["stats"]);
    let why = String::from_utf8(out.stderr).unwrap();
    assert!(why.contains("a broker was here, and has ended"), "{why}");
}
