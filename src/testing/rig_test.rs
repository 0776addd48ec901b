//! Floor 5. What one connection cannot do to the others: bounds of a turn, of slots, of answers.
//!
//! A turn has no length in the fake world, so what a client waits for is measured in what the
//! broker did meanwhile. Absent on purpose: chance.

use crate::base::id::{ConnId, Ticket};
use crate::base::limits::{Limit, Limits};
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::engine::NoSlot;
use crate::hub::message::Durability;
use crate::hub::policy::Address;

use super::disk::FakeDisk;
use super::rig::{MQTT, Rig, Setup};
use super::words::bytes_of;

const HERE: Address = Address::V4([10, 0, 0, 1]);
const ANN: &str = "mode = \"strict\"\n[groups.User]\ntype = \"exclusive\"\nrules = []\n[[users]]\n\
    name = \"ann\"\ngroup = \"User\"\n\
    password_hash = \"$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDO\"\n";

fn rig_of(limits: Limits, users: Option<&str>) -> Rig {
    let users = users.map(str::to_owned);
    let setup = Setup { limits, users, level: Durability::Memory, ..Setup::default() };
    let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
    Rig::start(&setup, &FakeDisk::default(), now).expect("it starts")
}

fn rig(limits: Limits) -> Rig {
    rig_of(limits, None)
}

fn say(rig: &mut Rig, conn: ConnId, line: &str) {
    let bytes = bytes_of(line).expect("a line");
    rig.wires.get_mut(&conn).expect("a wire").inward.extend_from_slice(&bytes);
}

fn heard(rig: &Rig, conn: ConnId) -> usize {
    rig.wires[&conn].heard.len()
}

fn login(rig: &mut Rig, name: &str) -> ConnId {
    let conn = rig.open(HERE).expect("a slot");
    say(rig, conn, &format!("connect user={name}"));
    assert!(rig.rest(64));
    assert!(heard(rig, conn) > 0, "{name} is welcome");
    conn
}

fn counted(rig: &Rig, counter: Counter) -> u64 {
    rig.engine.hub().stats.get(counter)
}

#[test]
fn a_flood_does_not_keep_the_others_waiting() {
    let limits = Limits { packets_turn: 32, ..Limits::default() };
    let share = limits.packets_turn as u64;
    let mut rig = rig(limits);
    let floods: Vec<ConnId> = (0..3).map(|n| login(&mut rig, &format!("flood{n}"))).collect();
    let (reader, quiet) = (login(&mut rig, "reader"), login(&mut rig, "quiet"));
    say(&mut rig, reader, "sub a/b");
    assert!(rig.rest(64));
    let packet = bytes_of("pub x/y \"z\"").expect("a publish");
    for turn in 0..50 {
        for flood in &floods {
            let inward = &mut rig.wires.get_mut(flood).expect("a wire").inward;
            (0..4_000).for_each(|_| inward.extend_from_slice(&packet));
        }
        let (before, done) = (heard(&rig, reader), counted(&rig, Counter::MessagesReceived));
        say(&mut rig, quiet, "pub a/b \"now\"");
        let turns = (1..=10).find(|_| {
            rig.turn();
            heard(&rig, reader) > before
        });
        let turns = turns.unwrap_or_else(|| panic!("nothing came of the publish of turn {turn}"));
        let others = counted(&rig, Counter::MessagesReceived) - done;
        assert!(turns <= 2, "{turns} turns");
        let most = turns * share * (floods.len() as u64 + 1) * 2;
        assert!(others <= most, "{others} messages were taken first, {most} are fair");
    }
    assert!(floods.iter().all(|flood| rig.wires[flood].inward.len() > 100_000), "it was a flood");
}

#[test]
fn a_long_answer_is_said_in_many_turns() {
    let limits = Limits { write_bytes_turn: 8_000, ..Limits::default() };
    let mut rig = rig(limits);
    let (reader, writer) = (login(&mut rig, "reader"), login(&mut rig, "writer"));
    say(&mut rig, reader, "sub a/b");
    assert!(rig.rest(64));
    rig.wires.get_mut(&reader).expect("a wire").room = 0;
    say(&mut rig, writer, "pub a/b \"fills the socket\"");
    assert!(rig.rest(64));
    for _ in 0..100 {
        say(&mut rig, writer, "pub a/b \"x\"*1000");
    }
    assert!(rig.rest(64));
    rig.wires.get_mut(&reader).expect("a wire").room = usize::MAX;
    let mut turns = 0;
    loop {
        let before = heard(&rig, reader);
        if !rig.turn() {
            break;
        }
        turns += 1;
        assert!(heard(&rig, reader) - before < 10_000, "a share and the message that ends it");
    }
    assert!(heard(&rig, reader) > 100_000 && turns > 10);
}

#[test]
fn what_is_not_read_yet_is_left_to_the_network() {
    let limits = Limits { packets_turn: 1, packet_bytes_max: 1_000, ..Limits::default() };
    let limits = Limits { login_bytes_max: 1_000, replies_max: usize::MAX, ..limits };
    let mut rig = rig(limits);
    let flood = login(&mut rig, "flood");
    rig.read_most = 500;
    say(&mut rig, flood, "c000*20000");
    for turn in 1..50 {
        rig.turn();
        let taken = 40_000 - rig.wires[&flood].inward.len();
        assert!(taken <= 1_505 + 4 * turn, "{taken} bytes in {turn} turns");
    }
}

#[test]
fn who_takes_no_answers_is_not_read_from() {
    let limits = Limits { replies_max: 100, packet_bytes_max: 1_000, ..Limits::default() };
    let mut rig = rig(Limits { login_bytes_max: 1_000, ..limits });
    let deaf = login(&mut rig, "deaf");
    rig.read_most = 500;
    rig.wires.get_mut(&deaf).expect("a wire").room = 0;
    say(&mut rig, deaf, "c000*20000");
    for _ in 0..200 {
        rig.turn();
    }
    let taken = 40_000 - rig.wires[&deaf].inward.len();
    assert!(taken < 5_000, "{taken} bytes were taken of one that takes none");
    rig.wires.get_mut(&deaf).expect("a wire").room = usize::MAX;
    for _ in 0..2_000 {
        rig.turn();
    }
    assert_eq!(heard(&rig, deaf), 40_003, "and nothing was lost");
}

#[test]
fn there_are_so_many_connections_and_so_many_strangers() {
    let mut rig = rig(Limits { connections_max: 3, strangers_max: 2, ..Limits::default() });
    let strangers = [rig.open(HERE).expect("a slot"), rig.open(HERE).expect("a slot")];
    assert_eq!(rig.open(HERE), Err(NoSlot::Strangers));
    for (conn, name) in strangers.into_iter().zip(["a", "b"]) {
        say(&mut rig, conn, &format!("connect user={name}"));
    }
    assert!(rig.rest(64));
    rig.open(HERE).expect("those who said who they are leave room");
    assert_eq!(rig.open(HERE), Err(NoSlot::Connections));
    assert_eq!(counted(&rig, Counter::ConnectionsRefused), 2);
}

#[test]
fn one_address_does_not_take_all_places_of_strangers() {
    let there = Address::V4([10, 0, 0, 2]);
    let limits = Limits { strangers_max: 4, strangers_per_address_max: 2, ..Limits::default() };
    let mut rig = rig(limits);
    let ours = [rig.open(HERE).expect("a slot"), rig.open(HERE).expect("a slot")];
    assert_eq!(rig.open(HERE), Err(NoSlot::Address));
    rig.open(there).expect("another address has places left");
    assert_eq!(rig.engine.hub().stats.limit(Limit::strangers_per_address_max), 1);
    say(&mut rig, ours[0], "connect user=a");
    assert!(rig.rest(64));
    rig.engine.audit().expect("counted");
    let third = rig.open(HERE).expect("one of the two has said who it is");
    assert_eq!(rig.open(HERE), Err(NoSlot::Address));
    for gone in [third, ours[0]] {
        rig.wires.get_mut(&gone).expect("a wire").fin = Some(true);
        assert!(rig.rest(64));
        rig.engine.audit().expect("counted");
    }
    rig.open(HERE).expect("a stranger that is gone leaves its place");
    assert_eq!(rig.open(HERE), Err(NoSlot::Address), "whoever was known had none");
}

#[test]
fn one_address_has_so_many_connections_and_comes_so_fast() {
    let there = Address::V4([10, 0, 0, 2]);
    let limits = Limits {
        connections_per_address_max: 2,
        connects_per_address_s_max: 3,
        connects_s_max: 4,
        ..Limits::default()
    };
    let mut rig = rig(limits);
    rig.watch();
    let first = rig.open(HERE).expect("a slot");
    rig.open(HERE).expect("a slot");
    for _ in 0..5 {
        assert_eq!(rig.open(HERE), Err(NoSlot::Address));
    }
    rig.open(there).expect("others are not touched");
    rig.engine.on_closed(rig.now, first, true);
    assert!(rig.rest(64));
    rig.open(HERE).expect("whoever goes makes room");
    assert_eq!(rig.open(there), Err(NoSlot::Pace), "four in this second");
    rig.pass(1_000);
    rig.open(there).expect("another second");
    let reached = |limit| rig.engine.hub().stats.limit(limit);
    assert_eq!(reached(Limit::connections_per_address_max), 5);
    assert_eq!(reached(Limit::connects_s_max), 1);
    assert_eq!(counted(&rig, Counter::ConnectionsRefused), 6);
}

#[test]
fn a_verdict_with_another_number_is_nobodys() {
    let mut rig = rig_of(Limits::default(), Some(ANN));
    let ann = rig.open(HERE).expect("a slot");
    say(&mut rig, ann, "connect user=ann pass=wrong");
    assert!(rig.rest(64));
    let asked = rig.checks[0].ticket;
    let stale = Ticket { serial: asked.serial + 1, ..asked };
    rig.verdicts.push((stale, true));
    assert!(rig.rest(64));
    assert_eq!((heard(&rig, ann), counted(&rig, Counter::StaleAnswers)), (0, 1));
    rig.verdicts.push((asked, true));
    assert!(rig.rest(64));
    assert!(heard(&rig, ann) > 0, "the question is still open");
}

/// The same for MQTT, whose CONNECT here is that of 3.1.1.
#[test]
fn a_verdict_with_another_number_is_nobodys_in_mqtt_either() {
    let mut rig = rig_of(Limits::default(), Some(ANN));
    let ann = rig.open_at(MQTT, HERE).expect("a slot");
    let connect = b"\x10\x17\0\x04MQTT\x04\xc2\0\x3c\0\x01a\0\x03ann\0\x01x";
    let mut packet = connect.to_vec();
    packet[1] = (packet.len() - 2) as u8;
    rig.wires.get_mut(&ann).expect("a wire").inward.extend_from_slice(&packet);
    assert!(rig.rest(64));
    let asked = rig.checks[0].ticket;
    let stale = Ticket { serial: asked.serial + 1, ..asked };
    rig.verdicts.push((stale, true));
    assert!(rig.rest(64));
    assert_eq!((heard(&rig, ann), counted(&rig, Counter::StaleAnswers)), (0, 1));
    rig.verdicts.push((asked, true));
    assert!(rig.rest(64));
    assert_eq!(rig.wires[&ann].heard[..], [0x20, 2, 0, 0], "the question is still open");
}

#[test]
fn who_waits_for_a_verdict_does_not_wait_for_ever() {
    let mut rig = rig_of(Limits::default(), Some(ANN));
    let ann = rig.open(HERE).expect("a slot");
    say(&mut rig, ann, "connect user=ann pass=right");
    assert!(rig.rest(64));
    for _ in 0..59 {
        rig.pass(1_000);
        rig.turn();
    }
    assert_eq!(rig.wires[&ann].ended, None, "workers may be slow");
    rig.pass(2_000);
    assert!(rig.rest(64));
    assert_eq!(rig.wires[&ann].ended, Some("connect_timeout"));
}

#[test]
fn who_hangs_up_one_half_is_answered_and_not_waited_for() {
    let mut rig = rig_of(Limits::default(), Some(ANN));
    let (first, second) = (rig.open(HERE).expect("a slot"), rig.open(HERE).expect("a slot"));
    for (conn, pass) in [(first, "right"), (second, "other")] {
        say(&mut rig, conn, &format!("connect user=ann pass={pass}"));
        assert!(rig.rest(64));
        rig.engine.on_closed(rig.now, conn, false);
    }
    assert!(rig.rest(64));
    assert_eq!(rig.wires[&first].ended, None, "the answer is on its way");
    rig.verdicts.push((rig.checks[0].ticket, true));
    assert!(rig.rest(64));
    assert!(heard(&rig, first) > 0);
    assert_eq!(rig.wires[&first].ended, Some("eof"));
    rig.pass(6_000);
    assert!(rig.rest(64));
    assert_eq!((heard(&rig, second), rig.wires[&second].ended), (0, Some("eof")));
}

#[test]
fn who_leaves_the_line_of_passwords_makes_room() {
    let limits = Limits { verify_queue_max: 2, verify_at_once: 1, ..Limits::default() };
    let mut rig = rig_of(limits, Some(ANN));
    let mut n = 0;
    let mut ask = |rig: &mut Rig| {
        let conn = rig.open(HERE).expect("a slot");
        n += 1;
        say(rig, conn, &format!("connect user=ann pass=try{n}"));
        assert!(rig.rest(64));
        conn
    };
    let (_, waiting, refused) = (ask(&mut rig), ask(&mut rig), ask(&mut rig));
    rig.pass(100);
    assert!(rig.rest(64));
    assert_eq!(rig.wires[&refused].ended, Some("busy"));
    rig.wires.get_mut(&waiting).expect("a wire").fin = Some(true);
    assert!(rig.rest(64));
    let next = ask(&mut rig);
    rig.pass(100);
    assert!(rig.rest(64));
    assert_eq!(rig.wires[&next].ended, None);
}
