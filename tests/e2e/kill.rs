//! Killed under load, again and again: nothing that was acknowledged may be missing.
//!
//! Five kills by default; `SPINDLE_KILLS=50` is the full run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spindle::proto::prx1::Packet;

use crate::process::{Scratch, Spindle};
use crate::wire::Wire;

/// What one publisher sent and what it was promised.
#[derive(Default)]
struct Writer {
    next: u32,
    unacked: BTreeMap<u16, u32>,
    acked: Vec<u32>,
    /// The last kept value that was acknowledged.
    kept: u32,
}

impl Writer {
    /// Send a window of messages, every eighth to be kept, until the connection or the time ends.
    fn work(&mut self, name: &str, wire: &mut Wire, until: Instant) {
        self.unacked.clear();
        while Instant::now() < until {
            while self.unacked.len() < 64 {
                let n = self.next;
                let id = (n % 60_000) as u16 + 1;
                let (topic, retain) = match n % 8 {
                    7 => (format!("kept/{name}"), true),
                    _ => (format!("load/{name}"), false),
                };
                wire.publish(id, &topic, n.to_string().as_bytes(), retain);
                self.unacked.insert(id, n);
                self.next += 1;
            }
            self.hear(wire, Duration::from_millis(50));
        }
    }

    fn hear(&mut self, wire: &mut Wire, limit: Duration) -> bool {
        match wire.listen(limit) {
            Ok(Some(Packet::PubAck(id))) => {
                let n = self.unacked.remove(&id).expect("an answer to nothing");
                self.acked.push(n);
                if n % 8 == 7 {
                    self.kept = self.kept.max(n);
                }
                true
            }
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) | Err(()) => false,
        }
    }
}

/// What the reader saw: how often each message came, and whether a repetition said so.
#[derive(Default)]
struct Reader {
    seen: BTreeMap<(String, u32), u32>,
}

impl Reader {
    /// Read and acknowledge until nothing came for so long, or the time ends.
    fn work(&mut self, wire: &mut Wire, quiet: Duration, until: Instant) {
        while Instant::now() < until {
            match wire.listen(quiet) {
                Ok(Some(Packet::Publish(m))) => {
                    let topic = String::from_utf8(m.topic.to_vec()).unwrap();
                    let n = std::str::from_utf8(&m.payload).unwrap().parse().unwrap();
                    let times = self.seen.entry((topic, n)).or_default();
                    assert!(*times == 0 || m.dup, "{n} came twice and did not say so");
                    *times += 1;
                    wire.say(&Packet::PubAck(m.id));
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) | Err(()) => return,
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_missing_after_kills() {
    let rounds = std::env::var("SPINDLE_KILLS").map_or(5, |n| n.parse().unwrap());
    let dir = Scratch::new("kills");
    let data = dir.join("data");
    let names = ["a", "b"];
    let mut writers = [Writer::default(), Writer::default()];
    let mut reader = Reader::default();
    for round in 0..rounds {
        let broker = Spindle::start(&data, &[]);
        // Different lengths, so that kills meet different moments.
        let until = Instant::now() + Duration::from_millis(150 + 97 * (round % 7));
        let (mut wire, _) = Wire::join(&broker.address, "reader", false);
        if round == 0 {
            wire.subscribe("load/*");
        }
        std::thread::scope(|threads| {
            let address = broker.address.clone();
            for (writer, name) in writers.iter_mut().zip(names) {
                let (mut wire, _) = Wire::join(&address, name, true);
                threads.spawn(move || {
                    writer.work(name, &mut wire, until);
                    // What was promised before the kill counts, also when it is read after it.
                    while writer.hear(&mut wire, Duration::from_secs(2)) {}
                });
            }
            let reader = &mut reader;
            threads.spawn(move || reader.work(&mut wire, Duration::from_secs(2), until));
            std::thread::sleep(until.saturating_duration_since(Instant::now()) / 8 * 7);
            broker.kill();
        });
    }
    verify(&data, &names, &writers, &mut reader);
}

fn verify(data: &std::path::Path, names: &[&str], writers: &[Writer], reader: &mut Reader) {
    let broker = Spindle::start(data, &[]);
    let (mut wire, ack) = Wire::join(&broker.address, "reader", false);
    assert!(ack.result == 0);
    let end = Instant::now() + Duration::from_secs(120);
    reader.work(&mut wire, Duration::from_secs(3), end);
    let (mut late, _) = Wire::join(&broker.address, "late", true);
    late.subscribe("kept/*");
    let mut kept = Reader::default();
    kept.work(&mut late, Duration::from_secs(1), end);
    let mut acked = 0;
    for (writer, name) in writers.iter().zip(names) {
        let missing: Vec<u32> = writer
            .acked
            .iter()
            .copied()
            .filter(|n| n % 8 != 7 && !reader.seen.contains_key(&(format!("load/{name}"), *n)))
            .collect();
        assert!(missing.is_empty(), "{} of {name} are missing: {missing:?}", missing.len());
        let values: Vec<u32> = kept
            .seen
            .keys()
            .filter(|(topic, _)| *topic == format!("kept/{name}"))
            .map(|(_, n)| *n)
            .collect();
        assert!(values.len() == 1 && values[0] >= writer.kept, "{values:?}, {}", writer.kept);
        acked += writer.acked.len();
    }
    assert!(acked > 0, "nothing was put to the test");
    let twice = reader.seen.values().filter(|times| **times > 1).count();
    show(&format!("{acked} acknowledged, {} read, {twice} more than once", reader.seen.len()));
    assert_eq!(broker.stop(), 0);
}

#[expect(clippy::print_stdout, reason = "a number nobody sees is no measurement")]
pub(crate) fn show(line: &str) {
    println!("{line}");
}
