//! Floor 6. Everything that is kept, for one MQTT reader, in pages that its socket's pace drives.
//!
//! The reader's socket takes one turn's words and then nothing for some turns. Meanwhile next to
//! nothing may pile up for it, and whoever else is there is heard in the very turn it speaks in.
//! Every value comes once, no bound is raised, nothing is dropped. Absent on purpose: sockets and
//! time; what others feel of it is measured by `benches/retained.rs`.

#[path = "../benches/support/rig.rs"]
mod rig;

use bytes::{Bytes, BytesMut};
use rig::Rig;
use spindle::base::id::ConnId;
use spindle::base::stats::Counter;
use spindle::hub::message::Durability;
use spindle::proto::mqtt::{Packet, Sender, next};
use spindle::testing::workload::{self, Step, Tongue};

/// Topics with a value.
const VALUES: usize = 100_000;

/// What is kept, and how it is read.
#[derive(Clone, Copy)]
struct Case {
    tongue: Tongue,
    len: usize,
    qos: u8,
    level: Durability,
}

/// References that may be held for a reader whose socket takes nothing: a part of a page, and what
/// was said meanwhile.
const HELD_MAX: usize = 64;

const CASES: [Case; 5] = [
    Case { tongue: Tongue::Mqtt5, len: 64, qos: 0, level: Durability::Memory },
    Case { tongue: Tongue::Mqtt5, len: 64, qos: 1, level: Durability::Memory },
    Case { tongue: Tongue::Mqtt3, len: 64, qos: 1, level: Durability::Disk },
    Case { tongue: Tongue::Mqtt3, len: 64, qos: 2, level: Durability::Disk },
    // Longer than what stays in memory: read back from the disk for each reader.
    Case { tongue: Tongue::Mqtt5, len: 600, qos: 0, level: Durability::Disk },
];

#[test]
fn a_hundred_thousand_values_come_once_at_the_pace_of_the_socket() {
    CASES.into_iter().for_each(replay);
}

fn join(rig: &mut Rig, case: Case, name: &str, filter: &'static str) -> ConnId {
    let conn = rig.accept(case.tongue.speak());
    rig.say(conn, &case.tongue.login(name, ""));
    rig.quiet();
    let filter = Bytes::from_static(filter.as_bytes());
    rig.say(conn, &case.tongue.subscribe(&filter, case.qos, 1));
    conn
}

/// What one reader has heard.
#[derive(Default)]
struct Reader {
    input: BytesMut,
    seen: Vec<bool>,
    values: usize,
    live: usize,
    answers: Vec<u8>,
}

impl Reader {
    fn hear(&mut self, case: Case) {
        let version = Some(case.tongue.version());
        while let Some(packet) =
            next(&mut self.input, version, Sender::Server, 1 << 20).expect("well formed")
        {
            match packet {
                Packet::Publish(p) => {
                    match p.qos {
                        0 => {}
                        1 => case.tongue.put_step(Step::Ack, p.id, &mut self.answers),
                        _ => case.tongue.put_step(Step::Rec, p.id, &mut self.answers),
                    }
                    self.note(p.retain, &p.topic);
                }
                Packet::PubRel(ack) => case.tongue.put_step(Step::Comp, ack.id, &mut self.answers),
                _ => {}
            }
        }
    }

    fn note(&mut self, kept: bool, topic: &[u8]) {
        if !kept {
            self.live += 1;
            return;
        }
        let text = core::str::from_utf8(topic).expect("text");
        let number = text.split('/').nth(2).and_then(|level| level.strip_prefix("device"));
        let at: usize = number.and_then(|n| n.parse().ok()).expect("a topic of the workload");
        assert!(!core::mem::replace(&mut self.seen[at], true), "{text} came twice");
        self.values += 1;
    }
}

fn replay(case: Case) {
    let mut rig = Rig::new(case.level, rig::patient());
    let budget = rig.engine.limits().write_bytes_turn + 2_048;
    let worker = join(&mut rig, case, "worker", "work/now");
    let body = workload::payload(case.len);
    for i in 0..VALUES {
        let topic = workload::topic(i);
        rig.say(worker, &case.tongue.publish(&topic, &body, case.qos.min(1), 1, true));
        if i % 50 == 49 {
            rig.quiet();
        }
    }
    rig.quiet();
    let reader = join(&mut rig, case, "reader", "#");
    let mut heard = Reader { seen: vec![false; VALUES], ..Reader::default() };
    let hello = case.tongue.publish(&Bytes::from_static(b"work/now"), &body, 0, 0, false);
    let mut blocked = false;
    let (mut said, mut turns) = (0, 0);
    while heard.values < VALUES || heard.live < said {
        turns += 1;
        assert!(turns < 20 * VALUES, "{} of {} values came", heard.values, VALUES);
        // One turn in four its socket takes what there is.
        let takes = turns % 4 == 0;
        if takes && blocked {
            rig.engine.on_drained(rig.now, reader);
            blocked = false;
        }
        let speaks = turns % 8 == 1 && heard.values < VALUES;
        if speaks {
            said += 1;
            rig.say(worker, &hello);
        }
        let (mut back, mut page) = (0, 0);
        rig.turn(|conn, out| {
            if conn == worker {
                back += usize::from(!out.is_empty());
            } else {
                page += out.len();
                heard.input.extend_from_slice(&out.to_vec());
            }
        });
        assert!(!speaks || back == 1, "the worker is heard in its own turn");
        assert!(page <= budget, "{page} bytes in a turn");
        assert!(!blocked || page == 0, "nothing is said to a socket that takes nothing");
        if page > 0 {
            rig.engine.on_blocked(rig.now, reader);
            blocked = true;
        }
        if blocked && turns % 64 == 2 {
            let held = rig.engine.audit().expect("the machine is well").held;
            assert!(held <= HELD_MAX, "{held} references wait for the socket");
        }
        heard.hear(case);
        let answers = core::mem::take(&mut heard.answers);
        rig.say(reader, &answers);
    }
    assert_eq!((heard.values, heard.live), (VALUES, said));
    assert_eq!(rig.engine.hub().stats.get(Counter::DroppedFull), 0, "nothing was dropped");
}
