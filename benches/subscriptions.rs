//! Floor 6. A million subscriptions of real sessions: what one weighs, and what a match costs.
//!
//! Everything goes through `Hub::subscribe` in MQTT's grammar, a mixture of plain filters, `+` and
//! `#`. Three crowds: a few (the yardstick), a million with a filter each, and a million that share
//! a thousand filters. Matches of the few and of the million take turns, so that a machine that
//! drifts drifts for both; promised is that the million costs less than three times as much.
//! Absent on purpose: criterion, because building a million takes longer than measuring.

#[path = "support/alloc.rs"]
#[expect(dead_code, reason = "here bytes count, not calls")]
mod alloc;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
#[expect(dead_code, reason = "here nobody is connected")]
mod rig;

use std::sync::Arc;

use bytes::Bytes;
use rig::hub;
use spindle::base::id::{ConnId, RealmId, SessionId};
use spindle::base::limits::Limits;
use spindle::base::rng::Rng;
use spindle::base::time::{MS, Now};
use spindle::base::words::Tongue;
use spindle::hub::Hub;
use spindle::hub::message::{Durability, Publication};
use spindle::hub::registry::{Attach, Fresh, Parting};
use spindle::hub::session::{Kind, SubOpts};
use spindle::hub::subscribe::{Replays, Subscribed};
use spindle::journal::memory::Memory;
use spindle::os::clock::Clock;
use spindle::topic::{Dialect, Filter, LeafId, Match, Plus, Topic};

const GRAMMAR: Plus = Plus { levels_max: 128 };
const SMALL: bool = cfg!(debug_assertions);
/// Sessions of a crowd, and subscriptions of each.
const CROWD: usize = if SMALL { 20 } else { 1_000 };
const EACH: usize = if SMALL { 50 } else { 1_000 };
/// Matches in a round, of topics drawn from all of them.
const ASKED: usize = if SMALL { 100 } else { 50_000 };
const ROUNDS: usize = if SMALL { 2 } else { 21 };
/// A match among a million costs at most this many times one among a thousand.
const PROMISED: f64 = 3.0;
const HERE: RealmId = RealmId(0);

fn main() {
    let few = gather("few", 1, EACH, |i| i);
    let many = gather("many", CROWD, EACH, |i| i);
    compare(few, EACH, many, CROWD * EACH);
    let (mut shared, sessions) = gather("shared", CROWD, EACH, |i| i % EACH);
    scatter(&mut shared, sessions);
}

fn text(i: usize) -> Bytes {
    Bytes::from(format!("com/site{}/device{i:07}/temp", i % 100))
}

/// One for every topic; three in four are open somewhere.
fn filter(i: usize) -> Filter {
    let site = i % 100;
    let text = match i % 4 {
        1 => format!("com/site{site}/device{i:07}/#"),
        2 => format!("com/+/device{i:07}/temp"),
        3 => format!("+/site{site}/device{i:07}/+"),
        _ => return GRAMMAR.filter(&text(i), Match::Native).expect("a filter"),
    };
    GRAMMAR.filter(&Bytes::from(text), Match::Native).expect("a filter")
}

fn topic(i: usize) -> Topic {
    GRAMMAR.topic(&text(i)).expect("a topic")
}

fn now() -> Now {
    Now { mono: MS, wall: 1_700_000_000_000 }
}

fn attach(hub: &mut Hub, i: usize) -> SessionId {
    let attach = Attach {
        kind: Kind::Mqtt,
        tongue: Tongue::Mqtt311,
        realm: HERE,
        name: Bytes::from(format!("client{i}")),
        durable: false,
        principal: Arc::default(),
        conn: ConnId { index: i as u32, life: 0 },
        fresh: Fresh::No,
        level: Durability::Memory,
        inflight_max: 100,
        expiry_s: 0,
        unique: true,
        will: None,
    };
    hub.attach(now(), attach).expect("room").session
}

/// So many sessions with so many subscriptions each. The first and the last tenth are timed apart:
/// a load that is not linear shows there.
fn gather(
    name: &str,
    sessions: usize,
    each: usize,
    which: impl Fn(usize) -> usize,
) -> (Hub, Vec<SessionId>) {
    let limits = Limits { subscriptions_max: each, ..Limits::default() };
    let mut hub = hub(now(), Durability::Memory, limits, &mut Memory::default());
    let all: Vec<SessionId> = (0..sessions).map(|i| attach(&mut hub, i)).collect();
    let (clock, heap) = (Clock::start(), alloc::bytes());
    let mut tenths = Vec::new();
    for (s, id) in all.iter().enumerate() {
        for i in s * each..(s + 1) * each {
            if i % (sessions * each / 10).max(1) == 0 {
                tenths.push(clock.now().mono);
            }
            let (filter, opts) = (filter(which(i)), SubOpts { qos: 1, ..SubOpts::default() });
            let answer = hub.subscribe(now(), *id, &filter, None, opts, Replays::Always);
            assert!(matches!(answer, Ok(Subscribed::Yes(_))), "{i}: {answer:?}");
        }
        while hub.poll_awake().is_some() {}
    }
    tenths.push(clock.now().mono);
    let count = sessions * each;
    let took = |a: usize, b: usize| (tenths[b] - tenths[a]) as usize * 10 / count;
    let last = tenths.len() - 1;
    let (first, last) = (took(0, 1), took(last - 1, last));
    let (bytes, filters) = ((alloc::bytes() - heap) / count, topics(&hub).len());
    let total = tenths.last().copied().unwrap_or(0) / 1_000_000;
    report::say(&format!(
        "subscriptions {name}: {count} of {sessions} sessions with {filters} filters: {bytes} B of \
         heap each; loaded in {total} ms, the first tenth {first} ns each, the last {last}"
    ));
    (hub, all)
}

fn topics(hub: &Hub) -> &spindle::topic::FilterTrie<spindle::hub::realm::Leaf> {
    &hub.realm(HERE).expect("the only realm").topics
}

/// Nanoseconds of one match.
fn matches(hub: &Hub, asked: &[Topic], found: &mut Vec<LeafId>) -> f64 {
    let clock = Clock::start();
    for topic in asked {
        found.clear();
        topics(hub).matches(topic, found);
        assert_eq!(found.len(), 1, "one filter for every topic");
    }
    clock.now().mono as f64 / asked.len() as f64
}

/// Nanoseconds of one publish; taking what is owed is not timed.
fn publish(hub: &mut Hub, asked: &[Topic], sessions: &[SessionId]) -> f64 {
    let (clock, mut sum) = (Clock::start(), 0);
    for some in asked.chunks(1_000) {
        let before = clock.now().mono;
        for topic in some {
            let publication = Publication {
                realm: HERE,
                topic: topic.clone(),
                body: Bytes::from_static(&[7; 64]),
                props: Bytes::new(),
                qos: 0,
                retain: false,
                expires: 0,
                inbound: None,
            };
            let receipt = hub.publish(now(), None, Durability::Memory, &publication);
            assert_eq!(receipt.expect("room").matched, 1);
        }
        sum += clock.now().mono - before;
        while let Some(conn) = hub.poll_awake() {
            let id = sessions[conn.index as usize];
            hub.heard(id);
            while hub.next(now(), id).is_some() {}
        }
    }
    sum as f64 / asked.len() as f64
}

fn compare(few: (Hub, Vec<SessionId>), few_len: usize, many: (Hub, Vec<SessionId>), len: usize) {
    let ((mut few, of_few), (mut many, of_many), many_len) = (few, many, len);
    let mut rng = Rng::new(7);
    let mut draw = |len: usize| -> Vec<Topic> {
        (0..ASKED).map(|_| topic(rng.below(len as u64) as usize)).collect()
    };
    let (ask_few, ask_many) = (draw(few_len), draw(many_len));
    let mut found = Vec::new();
    let mut rows: Vec<[f64; 4]> = Vec::new();
    for _ in 0..ROUNDS {
        rows.push([
            matches(&few, &ask_few, &mut found),
            matches(&many, &ask_many, &mut found),
            publish(&mut few, &ask_few, &of_few),
            publish(&mut many, &ask_many, &of_many),
        ]);
    }
    let median = |value: &dyn Fn(&[f64; 4]) -> f64| {
        let mut all: Vec<f64> = rows.iter().map(value).collect();
        all.sort_unstable_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| median(&|row: &[f64; 4]| row[i]));
    let (times, whole) = (median(&|row| row[1] / row[0]), median(&|row| row[3] / row[2]));
    report::say(&format!(
        "subscriptions match: {a:.0} ns among {few_len}, {b:.0} among {many_len}: {times:.2} times"
    ));
    report::say(&format!(
        "subscriptions publish: {c:.0} ns of {few_len}, {d:.0} of {many_len}: {whole:.2} times"
    ));
    assert!(SMALL || times < PROMISED, "a match costs {times:.2} times as much");
}

/// Everybody leaves, and nothing is left.
fn scatter(hub: &mut Hub, sessions: Vec<SessionId>) {
    let (clock, count) = (Clock::start(), sessions.len() * EACH);
    for (i, id) in sessions.into_iter().enumerate() {
        hub.detach(now(), id, ConnId { index: i as u32, life: 0 }, Parting::Quiet);
    }
    while hub.is_overgrown() {
        hub.prune_some();
    }
    let each = clock.now().mono as usize / count;
    let (left, weight) = (topics(hub).len(), topics(hub).weight());
    report::say(&format!("subscriptions end: {each} ns each, when their sessions end"));
    assert_eq!((left, weight), (0, 0), "the last one out has put out the light");
}
