//! Floor 6. Crowds that hold a place and give nothing for it: strangers, dawdlers, the silent.
//!
//! Whoever is cut is cut by a bound that has a name, a figure and a line in the log, and whoever
//! has come in before is not touched. Absent on purpose: what a crowd that has come in may do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::overload::{MQTT, beside_canary};
use super::overload_rig::{Outcome, Rig, Scratch, ensure, told};
use super::overload_words::{Heard, Hello, PUBLISH, Wire, publish, put_length};

/// A burst of strangers, then as many who log in.
pub(crate) fn connections(long: bool) -> Outcome {
    let flags = ["--limit", "strangers_max=500", "--limit", "connect_ms_max=3000"];
    beside_canary("crowd", &[MQTT], &flags, |rig| {
        let count = if long { 20_000.min(descriptors()?.saturating_sub(200)) } else { 2_000 };
        let address = rig.address().to_owned();
        let before = rig.memory()?.0;
        let (shed, took) = strangers(rig, &address)?;
        let start = Instant::now();
        let mut held = Vec::new();
        for n in 0..count {
            let id = format!("crowd-{n}");
            match Wire::named(&address, &id) {
                Ok(wire) => held.push(wire),
                // The last of the descriptors: the process says so, and goes on.
                Err(_) if long && n + 1_000 > count => break,
                Err(why) => return Err(format!("{id}: {why}")),
            }
        }
        let rate = held.len() as f64 / start.elapsed().as_secs_f64();
        let each = rig.memory()?.0.saturating_sub(before) / held.len() as u64;
        let last = held.last_mut().ok_or("nobody is in")?;
        last.say(&[0xc0, 0])?;
        last.hear()?;
        let in_all = held.len();
        drop(held);
        rig.reaches("connections_closed_total", (shed as usize + in_all) as u64)?;
        Ok(vec![
            format!("1000 strangers: {shed} refused at once, the rest cut after {took:.1?}"),
            format!("{in_all} of {count} held, {rate:.0} a second, {each} bytes each"),
        ])
    })
}

/// A thousand who come and say nothing: how many were refused, and when the last was gone.
fn strangers(rig: &mut Rig, address: &str) -> Result<(u64, Duration), String> {
    let start = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(TcpStream::connect(address).map_err(told)?);
    }
    let shed = rig.reaches("limit_strangers_max_total", 500)?;
    rig.has_said(&["limit reached", "who=127.0.0.1", "limit=strangers_max"])?;
    rig.reaches("limit_connect_ms_max_total", 500)?;
    rig.has_said(&["limit reached", "who=127.0.0.1", "limit=connect_ms_max"])?;
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(told)?;
        let ended = stream.read(&mut [0; 64]);
        let open = ended.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        ensure(!open, || format!("a stranger is still there: {ended:?}"))?;
    }
    Ok((shed, start.elapsed()))
}

/// As many descriptors as this process may have.
fn descriptors() -> Result<usize, String> {
    let text = std::fs::read_to_string("/proc/self/limits").map_err(told)?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|n| n.parse().ok()).ok_or_else(|| "no limit of open files".into())
}

/// Login, request and handshake, a byte every now and then.
pub(crate) fn dawdlers(long: bool) -> Outcome {
    let dir = Scratch::new("certs")?;
    let (cert, key) = certificate(&dir.0)?;
    let listen = [MQTT, "http://127.0.0.1:0", "mqtts://127.0.0.1:0"];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let bounds = ["--limit", "connect_ms_max=3000", "--limit", "http_request_ms_max=3000"];
    beside_canary("dawdle", &listen, &[&tls[..], &bounds].concat(), |rig| {
        let count = if long { 300 } else { 50 };
        let login = Hello { id: "dawdler-with-a-long-name", ..Hello::default() }.words();
        let request =
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaa".to_vec();
        // The head of a record, and the beginning of what says hello in it.
        let mut handshake = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
        handshake.extend([7; 32]);
        let kinds = [("MQTT", login), ("HTTP", request), ("TLS", handshake)];
        let (mut figures, mut crowds) = (Vec::new(), Vec::new());
        for (place, (kind, words)) in kinds.into_iter().enumerate() {
            let address = rig.addresses[place].clone();
            crowds.push((kind, thread::spawn(move || dawdle(&address, count, &words))));
        }
        for (kind, crowd) in crowds {
            let (first, last) = crowd.join().map_err(|_| "a crowd fell")??;
            let fair = Duration::from_millis(2_900)..Duration::from_millis(5_500);
            ensure(fair.contains(&first) && fair.contains(&last), || {
                format!("{kind}: cut after {first:?} to {last:?}")
            })?;
            figures.push(format!("{kind}: {count} cut after {first:.1?} to {last:.1?}"));
        }
        let cut = rig.reaches("limit_connect_ms_max_total", 2 * count as u64)?;
        rig.has_said(&["limit reached", "who=127.0.0.1", "limit=connect_ms_max"])?;
        figures.push(format!("connect_ms_max reached {cut} times"));
        Ok(figures)
    })
}

/// So many who say this, a byte every 150 ms; when the first and the last of them were cut.
fn dawdle(address: &str, count: usize, words: &[u8]) -> Result<(Duration, Duration), String> {
    let start = Instant::now();
    let mut open = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(address).map_err(told)?;
        stream.set_nonblocking(true).map_err(told)?;
        open.push(stream);
    }
    let (mut first, mut last) = (None, start.elapsed());
    let mut said = 0;
    while !open.is_empty() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(150));
        let byte = words.get(said).copied();
        said += 1;
        open.retain_mut(|stream| {
            let wrote = byte.is_none_or(|byte| stream.write(&[byte]).is_ok());
            let here = match stream.read(&mut [0; 512]) {
                Ok(0) => false,
                Ok(_) => true,
                Err(e) => e.kind() == std::io::ErrorKind::WouldBlock,
            };
            wrote && here
        });
        if open.len() < count {
            first = first.or_else(|| Some(start.elapsed()));
            last = start.elapsed();
        }
    }
    ensure(open.is_empty(), || format!("{} of {count} are still there", open.len()))?;
    Ok((first.unwrap_or_default(), last))
}

/// A certificate for this machine, and its key.
fn certificate(folder: &Path) -> Result<(String, String), String> {
    for words in [&["certs", "ca"][..], &["certs", "server", "--name", "localhost"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spindle"));
        let made = command.args(words).current_dir(folder).output().map_err(told)?;
        ensure(made.status.success(), || format!("{words:?}: {made:?}"))?;
    }
    let file = |name: &str| folder.join("spindle-certs").join(name).display().to_string();
    Ok((file("server.pem"), file("server.key")))
}

/// Clients whose machine is gone: nothing comes, and nothing ends. Their wills are due by their
/// keep-alive.
pub(crate) fn half_open(long: bool) -> Outcome {
    beside_canary("half-open", &[MQTT], &[], |rig| {
        let count = if long { 1_000 } else { 100 };
        let address = rig.address().to_owned();
        let mut heir = Wire::named(&address, "heir")?;
        heir.subscribe("will/#", 0)?;
        let start = Instant::now();
        let mut gone = Vec::new();
        for n in 0..count {
            let (id, topic) = (format!("gone-{n}"), format!("will/{n}"));
            let will = Some((&topic[..], &b"gone"[..]));
            let hello = Hello { id: &id, keepalive_s: 2, will, ..Hello::default() };
            gone.push(Wire::join(&address, &hello)?);
        }
        let all_in = start.elapsed();
        let mut first = None;
        for _ in 0..count {
            heir.hear_a(PUBLISH)?;
            first = first.or_else(|| Some(start.elapsed()));
        }
        let (first, last) = (first.unwrap_or_default(), start.elapsed());
        // Half as much again as was asked for, and a little.
        let fair =
            first >= Duration::from_millis(2_900) && last <= all_in + Duration::from_millis(4_000);
        ensure(fair, || format!("wills between {first:?} and {last:?}, in after {all_in:?}"))?;
        for wire in &mut gone {
            let told = wire.hear_end(Duration::from_secs(1))?;
            ensure(told.as_ref().is_some_and(is_keepalive), || format!("told {told:?}"))?;
        }
        rig.has_said(&["Client gone-0 disconnected: idle_timeout"])?;
        Ok(vec![format!(
            "{count} silent with a keep-alive of 2 s: wills after {first:.1?} to {last:.1?} \
             (all in after {all_in:.1?}), each told 0x8d"
        )])
    })
}

fn is_keepalive(heard: &Heard) -> bool {
    heard.head == 0xe0 && heard.byte(0) == 0x8d
}

/// Packets of any length are announced, and never come.
pub(crate) fn giants(long: bool) -> Outcome {
    let flags = ["--limit", "packet_ms_max=3000", "--limit", "stuck_ms_max=4000"];
    beside_canary("giants", &[MQTT], &flags, |rig| {
        let count = if long { 1_000 } else { 200 };
        let address = rig.address().to_owned();
        let before = rig.memory()?.1;
        // Longer than may be: cut as soon as the length is read, and told why.
        for n in 0..20 {
            let mut wire = Wire::named(&address, &format!("giant-{n}"))?;
            wire.say(&announced((256 << 20) - 1))?;
            let told = wire.hear_end(Duration::from_secs(5))?;
            let code = told.map(|heard| (heard.head, heard.byte(0)));
            ensure(code == Some((0xe0, 0x95)), || format!("a giant is told {code:x?}"))?;
        }
        rig.has_said(&["limit reached", "who=giant-0", "packet_bytes_max", "127.0.0.1"])?;
        // As long as may be, and only a little of it comes.
        let mut held = Vec::new();
        for n in 0..count {
            let mut wire = Wire::named(&address, &format!("large-{n}"))?;
            wire.say(&announced(1_000_000))?;
            wire.say(&[b'x'; 1_000])?;
            held.push(wire);
        }
        let grown = rig.memory()?.1.saturating_sub(before);
        ensure(grown < 40 << 20, || format!("{grown} bytes for what was only announced"))?;
        rig.reaches("limit_packet_ms_max_total", count as u64)?;
        rig.has_said(&["limit reached", "who=large-", "limit=packet_ms_max", "127.0.0.1"])?;
        Ok(vec![format!(
            "20 of 256 MiB announced: each told 0x95; {count} of 1 MB announced and not sent: \
             {} KiB, cut in time",
            grown >> 10
        )])
    })
}

/// Packets that come almost whole, and stay that way, from more clients than memory has room for.
pub(crate) fn unfinished(long: bool) -> Outcome {
    let flags = ["--limit", "packet_ms_max=8000"];
    beside_canary("unfinished", &[MQTT], &flags, |rig| {
        let count = if long { 1_000 } else { 500 };
        let address = rig.address().to_owned();
        let (mut held, mut refused) = (Vec::new(), 0);
        let most = vec![b'x'; 990_000];
        for n in 0..count {
            let mut wire = Wire::named(&address, &format!("almost-{n}"))?;
            let said = wire.say(&announced(1_000_000)).and_then(|()| wire.say(&most));
            refused += u64::from(said.is_err());
            held.push(wire);
        }
        let (now, most) = rig.memory()?;
        // Who sends a whole packet all the while is served.
        let mut good = Wire::named(&address, "good")?;
        good.subscribe("good", 0)?;
        let large = publish("good", &vec![b'y'; 900_000], 0, 0, false);
        for _ in 0..12 {
            good.say(&large)?;
            good.hear_a(PUBLISH)?;
            thread::sleep(Duration::from_millis(200));
        }
        let cut = rig.reaches("limit_unfinished_bytes_max_total", 1)?;
        rig.has_said(&["limit reached", "who=almost-", "unfinished_bytes_max", "127.0.0.1"])?;
        Ok(vec![format!(
            "{count} packets of 1 MB, each short of its end: {} MiB then, {} MiB at most, {cut} \
             cut for it ({refused} while they wrote); a whole one goes through",
            now >> 20,
            most >> 20
        )])
    })
}

/// The head of a message with this length.
fn announced(len: usize) -> Vec<u8> {
    let mut words = vec![0x30];
    put_length(&mut words, len);
    words.extend(b"\0\x01t\0");
    words
}
