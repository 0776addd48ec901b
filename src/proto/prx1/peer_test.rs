//! Floor 3. What a PRX1 connection does when the policy has no time for it.

use bytes::{Bytes, BytesMut};

use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::policy::{Access, Address, Admit, Claim, Login, Policy, Principal, Refusal};
use crate::proto::fault::FaultKind;
use crate::testing::disk::FakeDisk;
use crate::testing::rig::{Rig, Setup};

use super::packet::{Connect, Packet, Publish, Subscribe};

/// Has no room for another check.
struct Busy;

impl Policy for Busy {
    fn admit(&mut self, _: Now, _: &Login<'_>) -> Admit {
        Admit::Busy
    }
    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        false
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn who_comes_when_there_is_no_room_is_let_go_without_a_word() {
    let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
    let mut rig = Rig::start(&Setup::default(), &FakeDisk::default(), now).expect("it starts");
    rig.engine.hub_mut().policy = Box::new(Busy);
    let conn = rig.open(Address::Local).expect("a slot");
    let hello = super::encode_vec(&Packet::Connect(Connect::default())).expect("it can be said");
    rig.wires.get_mut(&conn).expect("open").inward.extend_from_slice(&hello);
    assert!(rig.rest(100));
    assert_eq!(rig.wires[&conn].ended, None, "a moment later");
    rig.pass(100);
    assert!(rig.rest(100));
    let wire = &rig.wires[&conn];
    assert_eq!(wire.ended, Some(FaultKind::Prx1Busy.name()));
    assert!(wire.heard.is_empty());
}

#[test]
fn a_marked_copy_of_what_was_acknowledged_is_swallowed_and_nothing_else_is() {
    let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
    let mut rig = Rig::start(&Setup::default(), &FakeDisk::default(), now).expect("it starts");
    let conn = rig.open(Address::Local).expect("a slot");
    let mut say = |packet: &Packet| {
        let said = super::encode_vec(packet).expect("it can be said");
        let wire = rig.wires.get_mut(&conn).expect("open");
        wire.heard.clear();
        wire.inward.extend_from_slice(&said);
        assert!(rig.rest(100));
        let answered = !rig.wires[&conn].heard.is_empty();
        (answered, rig.engine.hub().stats.get(Counter::Swallowed))
    };
    let publish = |id, dup| {
        let (topic, payload) = (Bytes::from_static(b"a"), Bytes::from_static(b"x"));
        Packet::Publish(Publish { dup, qos: 1, retain: false, id, topic, payload })
    };
    let username = Some(Bytes::from_static(b"ann"));
    assert_eq!(say(&Packet::Connect(Connect { username, ..Connect::default() })), (true, 0));
    assert_eq!(say(&publish(1, true)), (true, 0), "it is marked, and nobody had it");
    assert_eq!(say(&publish(1, false)), (true, 0), "it has the number, and no mark");
    assert_eq!(say(&publish(1, true)), (false, 1));
    assert_eq!(say(&publish(2, true)), (true, 1), "another was acknowledged");
}

#[test]
fn a_subscription_has_the_quality_that_was_asked_for() {
    let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
    let mut rig = Rig::start(&Setup::default(), &FakeDisk::default(), now).expect("it starts");
    let conn = rig.open(Address::Local).expect("a slot");
    let topic = |text: &'static str| Bytes::from_static(text.as_bytes());
    let ask = |qos, text| Subscribe { dup: false, qos, retain: false, id: 1, topic: topic(text) };
    let publish = |id, text| {
        let (topic, payload) = (topic(text), Bytes::from_static(b"x"));
        Packet::Publish(Publish { dup: false, qos: 1, retain: false, id, topic, payload })
    };
    let packets = [
        Packet::Connect(Connect { username: Some(topic("ann")), ..Connect::default() }),
        Packet::Subscribe(ask(0, "a")),
        Packet::Subscribe(ask(1, "b")),
        publish(2, "a"),
        publish(3, "b"),
    ];
    for packet in packets {
        let said = super::encode_vec(&packet).expect("it can be said");
        rig.wires.get_mut(&conn).expect("open").inward.extend_from_slice(&said);
        assert!(rig.rest(100));
    }
    let mut heard = BytesMut::from(&rig.wires[&conn].heard[..]);
    let mut qualities = Vec::new();
    while let Some(packet) = super::decode::next(&mut heard, 1 << 20).expect("it is understood") {
        if let Packet::Publish(p) = packet {
            qualities.push((p.topic, p.qos));
        }
    }
    assert_eq!(qualities, [(topic("a"), 0), (topic("b"), 1)]);
}
