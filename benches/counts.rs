//! Floor 6. How many instructions the broker's own work takes, case by case, under callgrind.
//!
//! `counts CASE` does the work of one case a fixed number of times inside `measured_part`, and
//! nothing else there; `benches/counts` runs each case under callgrind, which counts only while
//! that function is on the stack, and compares with `counts.json`. What is counted follows from
//! the program alone: seeds are fixed, there is no clock, one thread, and no file. Without a case
//! all of them are done once, so that `cargo test` knows that they work. Absent on purpose: time.
#![expect(clippy::disallowed_methods, reason = "a program with a command line")]

#[path = "support/dealing.rs"]
mod dealing;
#[path = "support/readers.rs"]
mod readers;
#[path = "support/reads.rs"]
mod reads;
#[path = "support/rig.rs"]
mod rig;
#[path = "support/stage.rs"]
mod stage;

use bytes::{Bytes, BytesMut};
use dealing::{Pairs, Road, Visitors};
use readers::Readers;
use spindle::base::id::{OwnerNo, RealmId};
use spindle::base::map::Seed;
use spindle::base::outbound::Outbound;
use spindle::base::rng::Rng;
use spindle::hub::message::Durability;
use spindle::journal::memory::Memory;
use spindle::journal::record::{MessageRef, Owed};
use spindle::journal::{Class, Journal, Options, perform};
use spindle::proto::mqtt::{self, Prop, Props, PublishHead, PublishProps, Sender, Version};
use spindle::proto::prx1;
use spindle::testing::workload::{self, Tongue};
use spindle::topic::{Dialect, Filter, FilterTrie, LeafId, Match, Star, Topic};
use spindle::value::Form;
use stage::{Scene, Stage, Way};
use std::hint::black_box;
use std::io::{self, Write};

/// A case: its name, and the work, which says how many messages it was about.
type Case = (&'static str, fn() -> usize);

const CASES: &[Case] = &[
    ("decode mqtt3 q0", || decode_mqtt(Version::V311, 0)),
    ("decode mqtt5 q1", || decode_mqtt(Version::V5, 1)),
    ("decode prx1 q1", decode_prx1),
    ("encode mqtt3 q0", || encode_mqtt(Version::V311, 0)),
    ("encode mqtt5 q1", || encode_mqtt(Version::V5, 1)),
    ("encode prx1 q1", encode_prx1),
    ("trie exact", || matches(false)),
    ("trie mixed", || matches(true)),
    ("subscribe and leave", subscribe),
    ("fanout 100 q0", || fanout(0, Durability::Memory)),
    ("fanout 100 q1", || fanout(1, Durability::Memory)),
    ("fanout 100 q1 durable", || fanout(1, Durability::Disk)),
    ("turn pairs mqtt3 q0", || turn(PAIRS, Tongue::Mqtt3, 0, Durability::Memory)),
    ("turn pairs mqtt5 q0", || turn(PAIRS, Tongue::Mqtt5, 0, Durability::Memory)),
    ("turn pairs mqtt5 q1", || turn(PAIRS, Tongue::Mqtt5, 1, Durability::Memory)),
    ("turn pairs mqtt5 q2", || turn(PAIRS, Tongue::Mqtt5, 2, Durability::Memory)),
    ("turn pairs mqtt3 q1 durable", || turn(PAIRS, Tongue::Mqtt3, 1, Durability::Disk)),
    ("turn pairs prx1 q1", || turn(PAIRS, Tongue::Prx1, 1, Durability::Memory)),
    ("turn single mqtt3 q0", || turn(SINGLE, Tongue::Mqtt3, 0, Durability::Memory)),
    ("turn single mqtt5 q1", || turn(SINGLE, Tongue::Mqtt5, 1, Durability::Memory)),
    ("turn in mqtt3 q0", || turn(IN, Tongue::Mqtt3, 0, Durability::Memory)),
    ("turn fanin mqtt3 q1", crowded),
    ("turn out mqtt3 q0", || turn(OUT, Tongue::Mqtt3, 0, Durability::Memory)),
    ("turn out mqtt5 q1", || turn(OUT, Tongue::Mqtt5, 1, Durability::Memory)),
    ("journal append", append),
    ("wamp event json", || deal(raw(Form::Json), 8, false)),
    ("wamp event msgpack", || deal(raw(Form::MsgPack), 8, false)),
    ("wamp event cbor", || deal(raw(Form::Cbor), 8, false)),
    ("wamp event json ws", || deal(Road { form: Form::Json, framed: true }, 8, false)),
    ("wamp event single json", || deal(raw(Form::Json), 1, false)),
    ("wamp call json", || deal(raw(Form::Json), 8, true)),
    ("wamp call msgpack", || deal(raw(Form::MsgPack), 8, true)),
    ("wamp call cbor", || deal(raw(Form::Cbor), 8, true)),
    ("wamp call single json", || deal(raw(Form::Json), 1, true)),
    ("wamp call json ws", || deal(Road { form: Form::Json, framed: true }, 8, true)),
    ("wamp join and leave", visit),
];

const PAIRS: Scene = Scene { publishers: 16, subscribers: 16, paired: true, messages: 32 };
const SINGLE: Scene = Scene { publishers: 16, subscribers: 16, paired: true, messages: 1 };
const IN: Scene = Scene { publishers: 50, subscribers: 1, paired: false, messages: 5 };
const CROWD: Scene = Scene { publishers: 100, subscribers: 1, paired: false, messages: 100 };
const OUT: Scene = Scene { publishers: 1, subscribers: 100, paired: false, messages: 8 };

/// Bytes of every payload.
const LEN: usize = 64;
/// How often a case does its work, after having done it once uncounted.
const ROUNDS: usize = 4;
/// Filters in a trie, and topics asked for.
const FILTERS: usize = 4_000;
const ASKED: usize = 1_000;
const GRAMMAR: Star = Star { levels_max: 128 };

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let mut out = io::stdout().lock();
    for (name, work) in CASES {
        if wanted.as_ref().is_none_or(|it| it == "names" || it == name) {
            let messages = if wanted.as_deref() == Some("names") { 0 } else { work() };
            // A reader that has gone has no use for the rest.
            let _ = writeln!(out, "{name}\t{messages}");
        }
    }
}

/// What is counted. It returns to nobody's tail, so that callgrind sees it come and go.
#[inline(never)]
fn measured_part(work: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        work();
    }
    black_box(&work);
}

/// Do it once uncounted, so that every buffer is there, and then counted.
fn count(messages: usize, mut work: impl FnMut()) -> usize {
    assert!(messages > 0, "a round is about something");
    work();
    measured_part(&mut work);
    messages * ROUNDS
}

fn decode_mqtt(version: Version, qos: u8) -> usize {
    let (read, messages) = reads::mqtt_read(version, LEN, qos);
    let mut input = BytesMut::with_capacity(read.len());
    count(messages, || {
        input.extend_from_slice(&read);
        let mut left = messages;
        while let Ok(Some(packet)) = mqtt::next(&mut input, Some(version), Sender::Client, 1 << 20)
        {
            drop(black_box(packet));
            left -= 1;
        }
        assert_eq!(left, 0, "a read is whole packets");
    })
}

fn decode_prx1() -> usize {
    let (read, messages) = workload::full_read(LEN, 1);
    let mut input = BytesMut::with_capacity(read.len());
    count(messages, || {
        input.extend_from_slice(&read);
        let mut left = messages;
        while let Ok(Some(packet)) = prx1::next(&mut input, 1 << 20) {
            drop(black_box(packet));
            left -= 1;
        }
        assert_eq!(left, 0, "a read is whole packets");
    })
}

fn encode_mqtt(version: Version, qos: u8) -> usize {
    let (topic, payload) = (workload::topic(7), workload::payload(LEN));
    let unit = Prop::User(Bytes::from_static(b"unit"), Bytes::from_static(b"celsius"));
    let rest = Props::build(&[unit]).forwardable();
    let mut out = Outbound::default();
    count(500, || {
        out.clear();
        for id in 1..=500 {
            let props = PublishProps { expiry: Some(60), alias: None, subs: &[1], rest: &rest };
            let (dup, retain, payload_len) = (false, false, LEN);
            let topic = &topic[..];
            let id = if qos == 0 { 0 } else { id };
            let head = PublishHead { version, dup, qos, retain, topic, id, props, payload_len };
            let said = mqtt::publish_head(&mut out, black_box(&head));
            assert!(said.is_ok(), "short fields");
            out.put_bytes(black_box(&payload));
        }
    })
}

fn encode_prx1() -> usize {
    let (topic, payload) = (workload::topic(7), workload::payload(LEN));
    let mut out = Outbound::default();
    count(500, || {
        out.clear();
        for id in 1..=500 {
            let head = prx1::publish_head(&mut out, false, 1, false, id, &topic, LEN);
            assert!(head.is_ok(), "short fields");
            out.put_bytes(black_box(&payload));
        }
    })
}

fn filter(i: usize, mixed: bool) -> Filter {
    let text = if mixed { workload::filter(i) } else { workload::topic(i) };
    GRAMMAR.filter(&text, Match::Native).expect("a good filter")
}

fn grown(mixed: bool) -> FilterTrie<u32> {
    let mut trie = FilterTrie::new(Seed::with_seed(1));
    for i in 0..FILTERS {
        trie.entry(&filter(i, mixed), || i as u32);
    }
    trie
}

fn matches(mixed: bool) -> usize {
    let trie = grown(mixed);
    let mut rng = Rng::new(7);
    let mut any = || GRAMMAR.topic(&workload::topic(rng.below(FILTERS as u64) as usize));
    let topics: Vec<Topic> = (0..ASKED).map(|_| any().expect("a good name")).collect();
    let mut found: Vec<LeafId> = Vec::new();
    count(ASKED, || {
        for topic in &topics {
            found.clear();
            trie.matches(topic, &mut found);
            assert_eq!(found.len(), 1);
        }
    })
}

fn subscribe() -> usize {
    let mut trie = grown(true);
    let new: Vec<Filter> = (FILTERS..FILTERS + 500).map(|i| filter(i, true)).collect();
    let mut ids = Vec::with_capacity(new.len());
    count(new.len(), || {
        ids.extend(new.iter().map(|filter| trie.entry(filter, || 0)));
        for id in ids.drain(..) {
            assert!(trie.remove(id).is_some());
        }
    })
}

fn fanout(qos: u8, level: Durability) -> usize {
    let mut readers = Readers::gather(100, qos, level);
    count(500, || (0..5).for_each(|_| assert_eq!(readers.round(|who| _ = black_box(who)), 100)))
}

fn turn(scene: Scene, tongue: Tongue, qos: u8, level: Durability) -> usize {
    let mut stage = Stage::set(&scene, LEN, Way { tongue, qos, level });
    // Small rounds are repeated, or what a round costs once would hide what a message costs.
    let times = 400_usize.div_ceil(stage.deliveries());
    let messages = count(stage.deliveries() * times, || {
        for _ in 0..times {
            stage.round(|out| _ = black_box(out.len()));
        }
    });
    let audit = stage.rig.engine.audit().expect("the machine is well");
    assert_eq!(audit.owed, 0, "every round ends with nothing owed");
    messages
}

const fn raw(form: Form) -> Road {
    Road { form, framed: false }
}

/// Events or calls of sixteen pairs, so many at a time.
fn deal(road: Road, messages: usize, calls: bool) -> usize {
    let mut pairs = Pairs::new(road, 16, messages, calls);
    let times = 400_usize.div_ceil(pairs.messages());
    let messages = count(pairs.messages() * times, || {
        for _ in 0..times {
            pairs.round(|out| _ = black_box(out.len()));
        }
    });
    pairs.check();
    messages
}

/// Sessions that come and go.
fn visit() -> usize {
    let mut visitors = Visitors::new(raw(Form::Json), 100);
    count(100, || visitors.round(|out| _ = black_box(out.len())))
}

/// A hundred publishers at one reader, which falls behind by thousands.
fn crowded() -> usize {
    let way = Way { tongue: Tongue::Mqtt3, qos: 1, level: Durability::Memory };
    let mut stage = Stage::set(&CROWD, LEN, way);
    let window = stage.rig.engine.limits().inflight_max;
    let messages = count(stage.deliveries(), || {
        stage.crowded_round(window, |out| _ = black_box(out.len()));
    });
    let audit = stage.rig.engine.audit().expect("the machine is well");
    assert_eq!(audit.owed, 0, "every round ends with nothing owed");
    messages
}

fn append() -> usize {
    let mut disk = Memory::default();
    let options = Options { segment_bytes: 4 << 20, salt: 1, salvage: false };
    let recovered = Journal::recover(&mut disk, options, &mut |_, _| {});
    let (mut journal, _) = recovered.expect("an empty disk is a good one");
    let now = spindle::base::time::Now { mono: 0, wall: 1_700_000_000_000 };
    while let Some(job) = journal.poll_job(now) {
        let done = perform(&mut disk, job);
        journal.on_done(now, done);
    }
    let (topic, body) = (workload::topic(7), workload::payload(LEN));
    let subs = core::iter::empty().collect();
    let mut owed = [Owed { owner: OwnerNo(1), ord: 0, grant: 1, subs }];
    count(1_000, || {
        for _ in 0..1_000 {
            owed[0].ord += 1;
            let message = MessageRef {
                retain: false,
                qos: 1,
                realm: RealmId(0),
                born: now.wall,
                expires: 0,
                topic: &topic,
                props: &[],
                body: &body,
                owed: &owed,
                past: None,
            };
            assert!(journal.append_message(Class::Growth, &message).is_ok(), "there is room");
        }
    })
}
