//! Floor 6. The load generator and the null it is measured with, as the shell sees them.
//!
//! The null is no broker, so what is tested here is the generator and the program of the null
//! alone: who relays bytes, who refuses to give a figure, what a suite prints. Load is so short
//! that the figures say nothing. Absent on purpose: brokers (`cli`).

#![cfg(feature = "cli")]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A null, for as long as the test lasts.
struct Null {
    child: Child,
    address: String,
}

impl Null {
    fn new(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_spindle"))
            .args(["bench", "null", "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.split([' ', ',']).nth(2).unwrap().to_owned();
        assert!(said.starts_with("relaying at 127.0.0.1:"), "{said}");
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    fn talk(&self, words: &[u8], answer: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(words).unwrap();
        hear(&mut stream, answer);
        stream
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hear(stream: &mut TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

fn spindle(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spindle")).args(line.split_whitespace()).output().unwrap()
}

fn load(null: &Null, words: &str) -> serde_json::Value {
    let url = null.url();
    let line = format!("bench {words} -L {url} -d 0.3 --warmup 0.1 --even-so --json");
    let done = spindle(&format!("{line} --pid {}", null.child.id()));
    assert_eq!(done.status.code(), Some(0), "{words}: {done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn the_null_carries_what_the_generator_says() {
    let null = Null::new(&[]);
    for words in [
        "pairs -n 3",
        "pairs -n 3 -w 500 -q 1 -t 2",
        "pairs -n 3 -q 2 -V 5 -s 40000 -w 3",
        "pairs -n 3 -q 1 -r 500 -V 5",
        "fanin -n 20 -t 2 -w 7",
        "fanout -n 20 -q 1 -t 3",
        "fanout -n 5 -w 1",
        "rtt --spin",
        "subs -c 200 -n 3",
        "subs -c 200 -n 3 -q 1 -r 500",
    ] {
        let result = load(&null, words);
        assert!(result["delivered"].as_f64() > Some(0.0), "{words}: {result}");
        assert!(result["latency_sent_us"]["count"].as_f64() > Some(0.0), "{words}: {result}");
        assert!(result["cpu_us_per_message"].as_f64() > Some(0.0), "{words}: {result}");
    }
}

#[test]
fn patience_with_what_is_laid_in_ends() {
    let null = Null::new(&[]);
    let line = format!("bench subs -c 5000000 --patience 0.2 -L {} --even-so", null.url());
    let done = spindle(&line);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(said.contains("a step took longer than 200 ms"), "{said}");
}

#[test]
fn a_null_gives_back_whatever_is_not_mqtt() {
    for spin in [&[][..], &["--spin"]] {
        let null = Null::new(spin);
        let result = load(&null, if spin.is_empty() { "ping" } else { "ping --spin" });
        let trip = &result["latency_sent_us"];
        assert!(trip["p50"].as_f64() > Some(0.0), "{result}");
        // Nanoseconds are kept: whole microseconds would be whole here.
        let all = ["p50", "p90", "p99", "p99.9", "max"].map(|name| trip[name].as_f64().unwrap());
        assert!(all.iter().any(|us| us.fract() != 0.0), "{result}");
    }
}

#[test]
fn a_null_is_no_broker() {
    let null = Null::new(&[]);
    let hello = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a";
    let mut reader = null.talk(hello, b"\x20\x02\0\0");
    reader.write_all(b"\x82\x06\0\x07\0\x01t\x01").unwrap();
    hear(&mut reader, b"\x90\x03\0\x07\x01");
    let mut writer = null.talk(hello, b"\x20\x02\0\0");
    // Packet ids are handed on as they came, one after the other and cut anywhere.
    writer.write_all(b"\x32\x06\0\x01t\x12\x34x\x32\x06\0\x01").unwrap();
    hear(&mut writer, b"\x40\x02\x12\x34");
    writer.write_all(b"t\x12\x35y\x30\x04\0\x01un\x30\x04\0\x01tz").unwrap();
    hear(&mut writer, b"\x40\x02\x12\x35");
    hear(&mut reader, b"\x32\x06\0\x01t\x12\x34x\x32\x06\0\x01t\x12\x35y\x30\x04\0\x01tz");
    // A length that may not be ends a connection, and only that one.
    writer.write_all(b"\x30\xff\xff\xff\xff\x7f").unwrap();
    assert_eq!(writer.read(&mut [0; 9]).unwrap_or_default(), 0);
    reader.write_all(b"\xc0\0").unwrap();
    hear(&mut reader, b"\xd0\0");
}

#[test]
fn connections_come_by_a_schedule_and_from_many_addresses() {
    let null = Null::new(&[]);
    let result = load(&null, "connect -n 60 -r 200 -t 2 --bind 127.0.0.2,127.0.0.3");
    assert_eq!(result["connected"].as_f64(), Some(60.0), "{result}");
    // The last of 60 is due after 295 ms; what is faster is no schedule.
    assert!(result["connected_per_second"].as_f64() < Some(210.0), "{result}");
    assert!(result["generator_late_us_p99"].is_number(), "{result}");
}

#[test]
fn a_suite_compares_whoever_is_named() {
    let (own, null) = (Null::new(&[]), Null::new(&[]));
    let path = std::env::temp_dir().join(format!("spindle-suite-{}.md", std::process::id()));
    let line = format!(
        "bench compare own={},{} null={} gone=mqtt://127.0.0.1:1 --suite table --only 1024 \
         --only pairs --rounds 2 -d 0.2 --warmup 0.1 --quiet --markdown {}",
        own.url(),
        own.child.id(),
        null.url(),
        path.display()
    );
    let done = spindle(&line);
    let table = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(table.contains("pairs -n 10 -w 200 -s 1024 -q 1"), "{table}");
    assert!(!table.contains("fan") && !table.contains("-s 64"), "{table}");
    assert!(table.contains("gone: no figure: 127.0.0.1:1"), "{table}");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert!(written.starts_with("| case | figure | own | null | gone |"), "{written}");
    let done = spindle(&format!("{line} --json"));
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let line = &result["lines"][1];
    assert_eq!(line["figure"], "delivered_per_second", "{result}");
    assert!(line["brokers"]["null"]["value"]["least"].as_f64() > Some(0.0), "{result}");
    assert!(line["limit"]["median"].as_f64() > Some(0.0), "{result}");
    assert!(line["best_other"].is_null(), "nobody else gave a figure: {result}");
}

#[test]
#[cfg(feature = "tls")]
fn load_goes_through_every_layer() {
    let folder = std::env::temp_dir().join(format!("spindle-roads-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for words in [&["certs", "ca"][..], &["certs", "server", "--name", "localhost"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spindle"));
        assert!(command.args(words).current_dir(&folder).output().unwrap().status.success());
    }
    let certs = folder.join("spindle-certs");
    let socket = folder.join("socket");
    let tls = spindle::broker::Tls::new(certs.join("server.pem"), certs.join("server.key"));
    let mut builder = spindle::Broker::builder().memory().tls(tls);
    let schemes = ["mqtts", "ws", "wss", "wamp+ws", "wamp+wss"];
    for scheme in schemes {
        builder = builder.listen_to(format!("{scheme}://127.0.0.1:0").parse().unwrap());
    }
    let at_file = format!("unix:{}", socket.display());
    let broker = builder.listen_to(at_file.parse().unwrap()).build().unwrap();
    let (handle, mut urls) = (broker.handle(), vec![at_file]);
    for (place, scheme) in schemes.iter().enumerate() {
        let port = broker.local_addr(place).unwrap().port();
        urls.push(format!("{scheme}://127.0.0.1:{port}"));
    }
    let thread = std::thread::spawn(move || broker.run().unwrap());
    let ca = certs.join("ca.pem");
    for url in &urls[..4] {
        // Frames and records of every size, the socket full and not.
        for words in ["rtt -q 1", "pairs -n 3 -w 9 -q 1 -t 2 -s 40000", "fanout -n 9 -r 300"] {
            let line = format!(
                "bench {words} -L {url} --cafile {} --insecure -d 0.3 --warmup 0.1 --even-so \
                 --json",
                ca.display()
            );
            let done = spindle(&line);
            assert_eq!(done.status.code(), Some(0), "{url} {words}: {done:?}");
            let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
            assert!(result["delivered"].as_f64() > Some(0.0), "{url} {words}: {result}");
            assert_ne!(result["through"], "", "{url}: {result}");
        }
    }
    for url in &urls[4..] {
        for words in ["pairs -n 3 -w 9 -q 1 -t 2 -s 40000", "calls -n 2 --serializer json"] {
            let line = format!("bench {words} -L {url} -d 0.3 --warmup 0.1 --even-so --json");
            let done = spindle(&format!("{line} --insecure --cafile {}", ca.display()));
            assert_eq!(done.status.code(), Some(0), "{url} {words}: {done:?}");
            let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
            assert!(result["delivered"].as_f64() > Some(0.0), "{url} {words}: {result}");
        }
    }
    // Whom nobody named is not trusted.
    let done = spindle(&format!("bench rtt -L {} --cafile {}", urls[1], "Cargo.toml"));
    assert_ne!(done.status.code(), Some(0), "{done:?}");
    handle.stop();
    thread.join().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
