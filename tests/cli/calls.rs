//! Questions and answers over PRX1, as calls.

use std::io::Read;
use std::process::{Command, Stdio};

use super::{Rig, SPINDLE, spindle};

#[test]
fn a_call_over_prx1_is_answered() {
    let rig = Rig::at("prx1://127.0.0.1:0");
    let url = |topic: &str| format!("prx1://127.0.0.1:{}/{topic}", rig.port);
    let mut replier = Command::new(SPINDLE)
        .args(["reply", "-L", &url("upper"), "-t", "upper", "-C", "2", "-d"])
        .args(["--command", "tr a-z A-Z; test $SPINDLE_TOPIC = upper && printf ' here'"])
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = replier.stderr.as_mut().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"serves upper") {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it ended");
        seen.push(byte[0]);
    }
    let ask = |topic: &str, more: &[&str]| {
        let url = url(topic);
        let args = ["request", "-L", &url, "-t", topic, "-m", "hello", "--timeout", "20"];
        spindle(&[&args[..], more].concat(), b"")
    };
    let done = ask("upper", &[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "HELLO here\n");
    let done = ask("upper", &["--replies", "2", "--json"]);
    assert_eq!(done.status.code(), Some(27), "only one answers: {done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("HELLO here"), "{done:?}");
    assert_eq!(replier.wait().unwrap().code(), Some(0));
    let done = ask("nobody", &[]);
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("nobody serves that"), "{done:?}");
    assert_eq!(ask("upper", &["-e", "there"]).status.code(), Some(1));
}
