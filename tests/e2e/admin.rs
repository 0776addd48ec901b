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
