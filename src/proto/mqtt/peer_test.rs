//! Floor 3. What an MQTT connection promises, packet by packet, in a fake world.

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::policy::Address;
use crate::testing::disk::FakeDisk;
use crate::testing::rig::{MQTT, Rig, Setup};

use super::packet::{
    Ack, Asked, Codes, ConnAck, Connect, Packet, Publish, Reason, Sender, Subscribe, Unsubscribe,
    Version, Will,
};
use super::props::{Prop, Props};
use super::{decode, encode_vec};

/// A broker, and the version each connection speaks.
struct Bench {
    rig: Rig,
    setup: Setup,
    disk: FakeDisk,
    versions: std::collections::BTreeMap<ConnId, Version>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let limits = Limits { segment_bytes: 64 << 10, ..limits };
        let setup = Setup { limits, ..Setup::default() };
        let disk = FakeDisk::default();
        let now = crate::base::time::Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
        let rig = Rig::start(&setup, &disk, now).expect("it starts");
        Self { rig, setup, disk, versions: Default::default() }
    }

    fn open(&mut self, version: Version) -> ConnId {
        let conn = self.rig.open_at(MQTT, Address::V4([10, 0, 0, 1])).expect("a slot");
        self.versions.insert(conn, version);
        conn
    }

    fn raw(&mut self, conn: ConnId, bytes: &[u8]) {
        self.rig.wires.get_mut(&conn).expect("open").inward.extend_from_slice(bytes);
    }

    fn send(&mut self, conn: ConnId, packet: &Packet) {
        let bytes = encode_vec(packet, self.versions[&conn]).expect("it can be said");
        self.raw(conn, &bytes);
    }

    /// Everything the client was told, once the broker has nothing to do.
    fn said(&mut self, conn: ConnId) -> Vec<Packet> {
        assert!(self.rig.rest(1_000), "it comes to rest");
        let heard = core::mem::take(&mut self.rig.wires.get_mut(&conn).expect("open").heard);
        let mut heard = BytesMut::from(&heard[..]);
        let version = Some(self.versions[&conn]);
        let mut said = Vec::new();
        while let Some(packet) =
            decode::next(&mut heard, version, Sender::Server, 1 << 20).expect("well-formed")
        {
            said.push(packet);
        }
        assert!(heard.is_empty());
        said
    }

    fn ask(&mut self, conn: ConnId, packet: &Packet) -> Vec<Packet> {
        self.send(conn, packet);
        self.said(conn)
    }

    /// Connect; the answer must be a welcome.
    fn join(&mut self, connect: Connect) -> (ConnId, ConnAck) {
        let conn = self.open(connect.version);
        let said = self.ask(conn, &Packet::Connect(Box::new(connect)));
        match &said[..] {
            [Packet::ConnAck(ack), ..] if ack.code == 0 => (conn, ack.clone()),
            other => panic!("no welcome: {other:?}"),
        }
    }

    fn join5(&mut self, id: &'static str) -> ConnId {
        self.join(connect(Version::V5, id)).0
    }

    fn join3(&mut self, id: &'static str) -> ConnId {
        self.join(connect(Version::V311, id)).0
    }

    fn listen(&mut self, conn: ConnId, filter: &'static str, qos: u8) {
        let said = self.ask(conn, &subscribe(&[asked(filter, qos)]));
        match &said[..] {
            [Packet::SubAck(ack), ..] => assert_eq!(&ack.codes[..], [qos]),
            other => panic!("not granted: {other:?}"),
        }
    }

    /// The client is gone without a word.
    fn cut(&mut self, conn: ConnId) {
        self.rig.wires.get_mut(&conn).expect("open").fin = Some(true);
        assert!(self.rig.rest(1_000));
    }

    fn ended(&self, conn: ConnId) -> Option<&'static str> {
        self.rig.wires[&conn].ended
    }

    fn count(&self, what: Counter) -> u64 {
        self.rig.engine.hub().stats.get(what)
    }

    fn pass(&mut self, ms: u64) {
        self.rig.pass(ms);
        assert!(self.rig.rest(1_000));
    }

    /// The process dies and another one takes its place over the same disk.
    fn restart(&mut self) {
        let now = self.rig.now;
        self.rig = Rig::start(&self.setup, &self.disk, now).expect("it starts again");
    }
}

fn connect(version: Version, id: &'static str) -> Connect {
    Connect {
        version,
        bridge: false,
        clean: true,
        keep_alive: 0,
        client_id: Bytes::from_static(id.as_bytes()),
        will: None,
        username: None,
        password: None,
        props: Props::none(),
    }
}

fn durable(version: Version, id: &'static str) -> Connect {
    let props = match version {
        Version::V5 => Props::build(&[Prop::SessionExpiry(3_600)]),
        _ => Props::none(),
    };
    Connect { clean: false, props, ..connect(version, id) }
}

fn asked(filter: &'static str, qos: u8) -> Asked {
    Asked {
        filter: Bytes::from_static(filter.as_bytes()),
        qos,
        no_local: false,
        as_published: false,
        handling: 0,
    }
}

fn subscribe(filters: &[Asked]) -> Packet {
    let filters = filters.iter().cloned().collect();
    Packet::Subscribe(Subscribe { id: 77, props: Props::none(), filters })
}

fn message(topic: &'static str, qos: u8, id: u16) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Bytes::from_static(topic.as_bytes()),
        id,
        props: Props::none(),
        payload: Bytes::from_static(b"hello"),
    }
}

fn publish(topic: &'static str, qos: u8, id: u16) -> Packet {
    Packet::Publish(message(topic, qos, id))
}

fn ack(id: u16, reason: u8) -> Ack {
    Ack { id, reason, props: Props::none() }
}

fn prop<T>(props: &Props, pick: impl Fn(Prop) -> Option<T>) -> Option<T> {
    props.iter().find_map(pick)
}

fn published(said: &[Packet]) -> Vec<&Publish> {
    let only = |packet| match packet {
        &Packet::Publish(ref p) => Some(p),
        _ => None,
    };
    said.iter().filter_map(only).collect()
}

fn reason_text(props: &Props) -> Option<Bytes> {
    prop(props, |p| match p {
        Prop::ReasonString(text) => Some(text),
        _ => None,
    })
}

#[test]
fn qos_1_and_2_go_up_and_down_the_ladder() {
    let mut b = Bench::new(Limits::default());
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    b.listen(reader, "a/#", 2);
    assert_eq!(b.ask(writer, &publish("a/b", 1, 5)), [Packet::PubAck(ack(5, 0))]);
    let said = b.said(reader);
    let [first] = published(&said)[..] else { panic!("{said:?}") };
    assert_eq!(
        (first.qos, first.dup, first.retain, &first.topic[..]),
        (1, false, false, &b"a/b"[..])
    );
    let id = first.id;
    assert!(b.ask(reader, &Packet::PubAck(ack(id, 0))).is_empty());

    assert_eq!(b.ask(writer, &publish("a/b", 2, 6)), [Packet::PubRec(ack(6, 0))]);
    // Said once more before it was given free: received once.
    let again = Publish { dup: true, ..message("a/b", 2, 6) };
    assert_eq!(b.ask(writer, &Packet::Publish(again)), [Packet::PubRec(ack(6, 0))]);
    assert_eq!(b.ask(writer, &Packet::PubRel(ack(6, 0))), [Packet::PubComp(ack(6, 0))]);
    assert_eq!(b.ask(writer, &Packet::PubRel(ack(6, 0))), [Packet::PubComp(ack(6, 0x92))]);
    let said = b.said(reader);
    let [second] = published(&said)[..] else { panic!("{said:?}") };
    let id = second.id;
    assert_eq!(second.qos, 2);
    assert_eq!(b.ask(reader, &Packet::PubRec(ack(id, 0))), [Packet::PubRel(ack(id, 0))]);
    assert!(b.ask(reader, &Packet::PubComp(ack(id, 0))).is_empty());
    // What nobody knows is ignored, or answered by name.
    let ignored = b.count(Counter::Ignored);
    assert!(b.ask(reader, &Packet::PubAck(ack(999, 0))).is_empty());
    assert_eq!(b.ask(reader, &Packet::PubRec(ack(999, 0))), [Packet::PubRel(ack(999, 0x92))]);
    assert!(b.ask(reader, &Packet::PubComp(ack(999, 0))).is_empty());
    assert_eq!(b.count(Counter::Ignored), ignored + 3);
    assert_eq!((b.ended(reader), b.ended(writer)), (None, None));
}

#[test]
fn nobody_listening_is_said_in_5_only() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    assert_eq!(b.ask(new, &publish("x", 1, 1)), [Packet::PubAck(ack(1, 0x10))]);
    assert_eq!(b.ask(new, &publish("x", 2, 2)), [Packet::PubRec(ack(2, 0x10))]);
    assert_eq!(b.ask(old, &publish("x", 1, 1)), [Packet::PubAck(ack(1, 0))]);
}

#[test]
fn half_done_ladders_go_on_after_reconnect_and_restart() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new(Limits::default());
        let (reader, _) = b.join(durable(version, "reader"));
        b.listen(reader, "q/#", 2);
        let (writer, _) = b.join(durable(version, "writer"));
        for id in 1..=3 {
            b.send(writer, &publish("q/x", 2, id));
        }
        b.said(writer);
        let said = b.said(reader);
        let ids: Vec<u16> = published(&said).iter().map(|p| p.id).collect();
        assert_eq!(ids.len(), 3);
        // The first is received, the second is not, the third is done.
        assert_eq!(
            b.ask(reader, &Packet::PubRec(ack(ids[0], 0))),
            [Packet::PubRel(ack(ids[0], 0))]
        );
        b.ask(reader, &Packet::PubRec(ack(ids[2], 0)));
        b.ask(reader, &Packet::PubComp(ack(ids[2], 0)));
        b.ask(writer, &Packet::PubRel(ack(3, 0)));
        b.restart();
        let back = b.open(version);
        let said = b.ask(back, &Packet::Connect(Box::new(durable(version, "reader"))));
        let [Packet::ConnAck(welcome), Packet::PubRel(rel), Packet::Publish(p)] = &said[..] else {
            panic!("{said:?}")
        };
        assert!(welcome.present);
        assert_eq!((rel.id, p.id, p.dup, p.qos), (ids[0], ids[1], true, 2));
        assert!(b.ask(back, &Packet::PubComp(ack(ids[0], 0))).is_empty());
        let (writer, welcome) = b.join(durable(version, "writer"));
        assert!(welcome.present);
        // Its second publication is known, its third is not any more.
        let again = Publish { dup: true, ..message("q/x", 2, 2) };
        assert_eq!(b.ask(writer, &Packet::Publish(again)), [Packet::PubRec(ack(2, 0))]);
        assert_eq!(b.ask(writer, &publish("q/x", 2, 3)), [Packet::PubRec(ack(3, 0))]);
        assert_eq!(published(&b.said(back)).len(), 1, "only the new third");
    }
}

#[test]
fn a_refused_delivery_is_settled_and_its_id_free() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 2);
    let writer = b.join5("writer");
    b.ask(writer, &publish("a", 2, 1));
    let said = b.said(reader);
    let id = published(&said)[0].id;
    assert!(b.ask(reader, &Packet::PubRec(ack(id, 0x97))).is_empty());
    b.cut(reader);
    let back = b.open(Version::V5);
    let said = b.ask(back, &Packet::Connect(Box::new(durable(Version::V5, "reader"))));
    assert!(matches!(&said[..], [Packet::ConnAck(_)]), "{said:?}");
}

#[test]
fn aliases_of_a_publisher_are_resolved_and_bounded() {
    let mut b = Bench::new(Limits { alias_max: 2, ..Limits::default() });
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    b.listen(reader, "#", 0);
    let with = |topic: &'static str, alias| {
        let props = Props::build(&[Prop::TopicAlias(alias)]);
        Packet::Publish(Publish { props, ..message(topic, 0, 0) })
    };
    for packet in [with("one", 1), with("", 1), with("two", 1), with("", 1)] {
        b.send(writer, &packet);
    }
    b.said(writer);
    let said = b.said(reader);
    let topics: Vec<&[u8]> = published(&said).iter().map(|p| &p.topic[..]).collect();
    assert_eq!(topics, [&b"one"[..], b"one", b"two", b"two"]);
    assert!(published(&said).iter().all(|p| p.props.is_empty()), "an alias is for one hop");
    let said = b.ask(writer, &with("", 2));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x94), "{said:?}");
    let other = b.join5("other");
    let said = b.ask(other, &with("three", 3));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x94), "{said:?}");
}

#[test]
fn a_reader_is_given_aliases_as_many_as_both_want() {
    let mut b = Bench::new(Limits { alias_max: 1, ..Limits::default() });
    let props = Props::build(&[Prop::TopicAliasMax(10)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    b.listen(reader, "#", 0);
    let writer = b.join3("writer");
    for topic in ["one", "one", "two"] {
        b.send(writer, &publish(topic, 0, 0));
    }
    b.said(writer);
    let said = b.said(reader);
    let topics: Vec<(&[u8], Option<u16>)> =
        published(&said).iter().map(|p| (&p.topic[..], p.props.topic_alias())).collect();
    assert_eq!(topics, [(&b"one"[..], Some(1)), (b"", Some(1)), (b"two", None)]);
}

#[test]
fn a_reader_is_sent_no_more_than_it_will_receive() {
    let mut b = Bench::new(Limits::default());
    let props = Props::build(&[Prop::ReceiveMax(2)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    b.listen(reader, "#", 1);
    let writer = b.join5("writer");
    for id in 1..=4 {
        b.send(writer, &publish("a", 1, id));
    }
    b.send(writer, &publish("free", 0, 0));
    b.said(writer);
    let said = b.said(reader);
    let ids: Vec<u16> = published(&said).iter().map(|p| p.id).collect();
    assert_eq!(ids.len(), 2);
    // Other packets go on.
    assert_eq!(b.ask(reader, &Packet::PingReq), [Packet::PingResp]);
    let said = b.ask(reader, &Packet::PubAck(ack(ids[0], 0)));
    assert_eq!(published(&said).len(), 1);
    let (third, second) = (published(&said)[0].id, ids[1]);
    b.send(reader, &Packet::PubAck(ack(second, 0)));
    let said = b.ask(reader, &Packet::PubAck(ack(third, 0)));
    assert_eq!(published(&said).len(), 2, "the fourth, and what needs no answer");
}

#[test]
fn who_exceeds_our_receive_maximum_is_told_so() {
    let mut b = Bench::new(Limits { receive_max: 2, ..Limits::default() });
    let (writer, welcome) = b.join(connect(Version::V5, "writer"));
    let told = prop(&welcome.props, |p| match p {
        Prop::ReceiveMax(max) => Some(max),
        _ => None,
    });
    assert_eq!(told, Some(2));
    for id in 1..=2 {
        b.ask(writer, &publish("a", 2, id));
    }
    // One is done: there is room for one more, and for no other.
    b.ask(writer, &Packet::PubRel(ack(1, 0)));
    assert_eq!(b.ask(writer, &publish("a", 2, 3)), [Packet::PubRec(ack(3, 0x10))]);
    let said = b.ask(writer, &publish("a", 2, 4));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x93), "{said:?}");
    assert_eq!(b.ended(writer), Some("MqttReceiveMax"));
}

#[test]
fn a_delivery_too_large_for_its_reader_is_dropped_and_settled() {
    let mut b = Bench::new(Limits::default());
    let props = Props::build(&[Prop::MaximumPacketSize(30), Prop::SessionExpiry(60)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    for qos in 0..=2u8 {
        b.listen(reader, ["a", "b", "c"][usize::from(qos)], qos);
    }
    let writer = b.join5("writer");
    for (qos, topic) in [(0, "a"), (1, "b"), (2, "c")] {
        let payload = Bytes::from(vec![0; 40]);
        let id = u16::from(qos);
        b.send(writer, &Packet::Publish(Publish { payload, ..message(topic, qos, id) }));
        b.send(writer, &publish(topic, qos, id + 10 * id.min(1)));
    }
    b.said(writer);
    let said = b.said(reader);
    assert_eq!(published(&said).len(), 3, "the small ones");
    assert_eq!(b.count(Counter::DroppedLarge), 3);
    assert!(b.rig.engine.audit().expect("sound").owed <= 2, "what was dropped is not owed");
}

#[test]
fn a_will_is_published_unless_the_goodbye_is_plain() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.join5("watcher");
    b.listen(watcher, "will/#", 1);
    let with_will = |id: &'static str| {
        let will = Will {
            topic: Bytes::from_static(b"will/x"),
            payload: Bytes::from_static(b"gone"),
            qos: 1,
            retain: false,
            props: Props::build(&[Prop::User(Bytes::from_static(b"k"), Bytes::from_static(b"v"))]),
        };
        Connect { will: Some(will), ..connect(Version::V5, id) }
    };
    let bye = |reason| Packet::Disconnect(Reason { reason, props: Props::none() });
    let (one, _) = b.join(with_will("one"));
    b.ask(one, &bye(0));
    assert!(b.said(watcher).is_empty());
    let (two, _) = b.join(with_will("two"));
    b.ask(two, &bye(4));
    let said = b.said(watcher);
    assert_eq!(published(&said).len(), 1);
    assert_eq!(published(&said)[0].props.iter().count(), 1, "its user property");
    let (three, _) = b.join(with_will("three"));
    b.cut(three);
    assert_eq!(published(&b.said(watcher)).len(), 1);
    // Another connection under its name: the first was lost.
    let (four, _) = b.join(with_will("four"));
    b.join(with_will("four"));
    let said = b.said(four);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x8e), "{said:?}");
    assert_eq!(published(&b.said(watcher)).len(), 1);
}

#[test]
fn a_will_waits_for_its_delay_and_no_longer_than_its_session() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.join5("watcher");
    b.listen(watcher, "will", 0);
    let with_delay = |id: &'static str, delay, expiry| {
        let will = Will {
            topic: Bytes::from_static(b"will"),
            payload: Bytes::from_static(b"gone"),
            qos: 0,
            retain: false,
            props: Props::build(&[Prop::WillDelay(delay), Prop::MessageExpiry(100)]),
        };
        let props = Props::build(&[Prop::SessionExpiry(expiry)]);
        Connect { will: Some(will), props, clean: false, ..connect(Version::V5, id) }
    };
    let (one, _) = b.join(with_delay("one", 10, 60));
    b.cut(one);
    b.pass(9_999);
    assert!(b.said(watcher).is_empty(), "not yet");
    let (back, _) = b.join(with_delay("one", 10, 60));
    b.pass(20_000);
    assert!(b.said(watcher).is_empty(), "its owner came back in time");
    b.cut(back);
    b.pass(10_000);
    let said = b.said(watcher);
    let expiry = prop(&published(&said)[0].props, |p| match p {
        Prop::MessageExpiry(s) => Some(s),
        _ => None,
    });
    assert_eq!(expiry, Some(100), "its life begins when it is published");
    let (two, _) = b.join(with_delay("two", 100, 5));
    b.cut(two);
    b.pass(4_999);
    assert!(b.said(watcher).is_empty());
    b.pass(1);
    assert_eq!(published(&b.said(watcher)).len(), 1, "the end of its session is the last moment");
}

#[test]
fn a_session_lasts_as_long_as_was_agreed() {
    let mut b = Bench::new(Limits { session_s_max: 100, ..Limits::default() });
    let with = |expiry, clean| {
        let props = Props::build(&[Prop::SessionExpiry(expiry)]);
        Connect { props, clean, ..connect(Version::V5, "c") }
    };
    let told = |welcome: &ConnAck| {
        prop(&welcome.props, |p| match p {
            Prop::SessionExpiry(s) => Some(s),
            _ => None,
        })
    };
    let (conn, welcome) = b.join(with(u32::MAX, true));
    assert_eq!((welcome.present, told(&welcome)), (false, Some(100)), "bounded, and told so");
    b.cut(conn);
    b.pass(99_999);
    let (conn, welcome) = b.join(with(10, false));
    assert_eq!((welcome.present, told(&welcome)), (true, None));
    // A goodbye may shorten or lengthen it.
    let props = Props::build(&[Prop::SessionExpiry(20)]);
    b.ask(conn, &Packet::Disconnect(Reason { reason: 0, props }));
    b.pass(19_999);
    // No expiry: it begins where the other left off and ends with the connection.
    let (conn, welcome) = b.join(with(0, false));
    assert!(welcome.present);
    let props = Props::build(&[Prop::SessionExpiry(20)]);
    let said = b.ask(conn, &Packet::Disconnect(Reason { reason: 0, props }));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x82), "{said:?}");
    assert!(!b.join(with(10, false)).1.present);
    let (conn, _) = b.join(durable(Version::V311, "old"));
    b.cut(conn);
    b.pass(99_000);
    let (conn, welcome) = b.join(durable(Version::V311, "old"));
    assert!(welcome.present);
    b.cut(conn);
    b.pass(100_000);
    assert!(!b.join(durable(Version::V311, "old")).1.present);
}

#[test]
fn a_group_takes_turns() {
    let mut b = Bench::new(Limits::default());
    let (one, two, writer) = (b.join5("one"), b.join5("two"), b.join5("writer"));
    b.listen(one, "$share/g/a/+", 1);
    b.listen(two, "$share/g/a/+", 1);
    for id in 1..=4 {
        b.send(writer, &publish("a/b", 1, id));
    }
    b.said(writer);
    let (first, second) = (b.said(one), b.said(two));
    assert_eq!((published(&first).len(), published(&second).len()), (2, 2));
    let unsubscribe = |filter: &'static [u8]| {
        let filters = [Bytes::from_static(filter)].into_iter().collect();
        Packet::Unsubscribe(Unsubscribe { id: 9, props: Props::none(), filters })
    };
    let said = b.ask(one, &unsubscribe(b"a/+"));
    assert!(matches!(&said[..], [Packet::UnsubAck(a)] if a.codes[..] == [0x11]), "{said:?}");
    let said = b.ask(one, &unsubscribe(b"$share/g/a/+"));
    assert!(matches!(&said[..], [Packet::UnsubAck(a)] if a.codes[..] == [0]), "{said:?}");
    b.ask(writer, &publish("a/b", 0, 0));
    assert_eq!((published(&b.said(one)).len(), published(&b.said(two)).len()), (0, 1));
    let local = Asked { no_local: true, ..asked("$share/g/x", 0) };
    let mut bytes = encode_vec(&subscribe(&[asked("$share/g/x", 0)]), Version::V5).unwrap();
    *bytes.last_mut().unwrap() = 4;
    assert!(local.no_local);
    b.raw(one, &bytes);
    let said = b.said(one);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x82), "{said:?}");
}

#[test]
fn kept_values_follow_a_subscription_as_it_asks() {
    let mut b = Bench::new(Limits::default());
    let writer = b.join5("writer");
    let kept = Publish { retain: true, ..message("k", 1, 1) };
    b.ask(writer, &Packet::Publish(kept.clone()));
    let reader = b.join5("reader");
    let mut with = |handling, as_published| {
        let asked = Asked { handling, as_published, ..asked("k", 1) };
        let said = b.ask(reader, &subscribe(&[asked]));
        assert!(matches!(&said[0], Packet::SubAck(_)), "the answer comes first");
        published(&said).iter().map(|p| p.retain).collect::<Vec<_>>()
    };
    assert_eq!(with(2, false), []);
    assert_eq!(with(1, false), [], "it is not new");
    assert_eq!(with(0, false), [true]);
    assert_eq!(with(0, true), [true]);
    b.ask(writer, &Packet::Publish(kept.clone()));
    assert!(published(&b.said(reader))[0].retain, "as published");
    let old = b.join3("old");
    b.listen(old, "k", 0);
    b.ask(writer, &Packet::Publish(kept));
    assert!(!published(&b.said(old))[0].retain);
}

#[test]
fn silence_ends_a_connection_to_the_millisecond() {
    let mut b = Bench::new(Limits::default());
    for version in [Version::V311, Version::V5] {
        let (conn, _) = b.join(Connect { keep_alive: 2, ..connect(version, "c") });
        b.pass(2_999);
        b.ask(conn, &Packet::PingReq);
        b.pass(2_999);
        assert_eq!(b.ended(conn), None);
        b.pass(1);
        assert_eq!(b.ended(conn), Some("idle_timeout"));
        let said = b.said(conn);
        match version {
            Version::V5 => {
                let [Packet::Disconnect(bye)] = &said[..] else { panic!("{said:?}") };
                assert_eq!(bye.reason, 0x8d);
                assert!(reason_text(&bye.props).is_some());
            }
            _ => assert!(said.is_empty(), "it knows no goodbye of a server"),
        }
    }
    let (conn, _) = b.join(connect(Version::V5, "patient"));
    b.pass(1 << 40);
    assert_eq!(b.ended(conn), None, "it asked for no deadline");
}

#[test]
fn a_stranger_has_a_deadline_of_its_own() {
    let mut b = Bench::new(Limits::default());
    let conn = b.open(Version::V5);
    b.pass(b.setup.limits.connect_ms_max - 1);
    assert_eq!(b.ended(conn), None);
    b.pass(1);
    assert_eq!(b.ended(conn), Some("connect_timeout"));
    assert!(b.said(conn).is_empty());
}

#[test]
fn the_keep_alive_may_be_the_servers() {
    let mut b = Bench::new(Limits { server_keepalive_s: 10, ..Limits::default() });
    for asked in [0, 11] {
        let (conn, welcome) = b.join(Connect { keep_alive: asked, ..connect(Version::V5, "c") });
        let told = prop(&welcome.props, |p| match p {
            Prop::ServerKeepAlive(s) => Some(s),
            _ => None,
        });
        assert_eq!(told, Some(10));
        b.pass(15_000);
        assert_eq!(b.ended(conn), Some("idle_timeout"));
    }
}

#[test]
fn reasons_are_told_in_words_to_who_wants_them() {
    let mut b = Bench::new(Limits::default());
    let silent = Props::build(&[Prop::RequestProblem(false)]);
    let small = Props::build(&[Prop::MaximumPacketSize(20)]);
    let mut denied = |props: Props, id: &'static str| {
        let (conn, _) = match b.open(Version::V5) {
            conn => {
                let connect = Connect { props, ..connect(Version::V5, id) };
                (conn, b.ask(conn, &Packet::Connect(Box::new(connect))))
            }
        };
        let said = b.ask(conn, &publish("$SYS/x", 1, 1));
        let [Packet::PubAck(ack)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(ack.reason, 0x87);
        reason_text(&ack.props).is_some()
    };
    assert!(denied(Props::none(), "a"));
    assert!(!denied(silent, "b"));
    assert!(!denied(small, "c"), "the words do not fit");
    let old = b.join3("old");
    let refused = b.count(Counter::PublishesRefused);
    assert_eq!(b.ask(old, &publish("$SYS/x", 1, 1)), [Packet::PubAck(ack(1, 0))]);
    assert_eq!(b.ask(old, &publish("$SYS/x", 2, 2)), [Packet::PubRec(ack(2, 0))]);
    assert_eq!(b.ask(old, &Packet::PubRel(ack(2, 0))), [Packet::PubComp(ack(2, 0))]);
    assert_eq!(b.count(Counter::PublishesRefused), refused + 2);
}

#[test]
fn overlapping_filters_give_one_copy_of_the_best_quality() {
    let mut b = Bench::new(Limits::default());
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    for (number, filter, qos) in [(1, "a/+", 0), (2, "a/#", 2), (3, "a/b", 1)] {
        let props = Props::build(&[Prop::SubscriptionId(number)]);
        let filters = [asked(filter, qos)].into_iter().collect();
        b.ask(reader, &Packet::Subscribe(Subscribe { id: 1, props, filters }));
    }
    b.ask(writer, &publish("a/b", 2, 1));
    let said = b.said(reader);
    let [one] = published(&said)[..] else { panic!("{said:?}") };
    let mut numbers: Vec<u32> = one
        .props
        .iter()
        .filter_map(|p| match p {
            Prop::SubscriptionId(n) => Some(n),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!((one.qos, numbers), (2, vec![1, 2, 3]));
}

#[test]
fn properties_travel_in_order_and_life_is_counted_down() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 1);
    b.cut(reader);
    let user =
        |k: &'static str| Prop::User(Bytes::from_static(k.as_bytes()), Bytes::from_static(b"v"));
    let said = [
        user("z"),
        Prop::ContentType(Bytes::from_static(b"text")),
        user("a"),
        Prop::PayloadFormat(1),
        Prop::ResponseTopic(Bytes::from_static(b"re")),
        Prop::CorrelationData(Bytes::from_static(b"\0\xff")),
        user("z"),
    ];
    let writer = b.join5("writer");
    let mut props = said.to_vec();
    props.insert(2, Prop::MessageExpiry(10));
    let long = Publish { props: Props::build(&props), ..message("a", 1, 1) };
    b.ask(writer, &Packet::Publish(long));
    let brief = Props::build(&[Prop::MessageExpiry(2)]);
    b.ask(writer, &Packet::Publish(Publish { props: brief, ..message("a", 1, 2) }));
    b.pass(3_000);
    let conn = b.open(Version::V5);
    let heard = b.ask(conn, &Packet::Connect(Box::new(durable(Version::V5, "reader"))));
    let [p] = published(&heard)[..] else { panic!("{heard:?}") };
    let props: Vec<Prop> = p.props.iter().collect();
    assert_eq!(props[0], Prop::MessageExpiry(7));
    assert_eq!(props[1..], said);
}

#[test]
fn refusals_before_the_welcome_are_in_the_clients_version() {
    let mut b = Bench::new(Limits::default());
    let cases: [(&[u8], Version, &[u8], &str); 6] = [
        (b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0", Version::V311, b"\x20\x02\0\x02", "MqttClientId"),
        (b"\x10\x0c\0\x04MQTT\x02\x02\0\0\0\0", Version::V311, b"\x20\x02\0\x01", "MqttVersion"),
        (b"\x10\x0d\0\x04MQTT\x06\x02\0\0\0\0\0", Version::V5, b"", "MqttVersion"),
        (b"\x10\x0d\0\x04MQTT\x05\x03\0\0\0\0\0", Version::V5, b"", "MqttConnectFlags"),
        (b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", Version::V311, b"", "MqttConnectFlags"),
        (b"\x30\x03\0\x01a", Version::V311, b"", "MqttFirstPacket"),
    ];
    for (sent, version, bytes, name) in cases {
        let conn = b.open(version);
        b.raw(conn, sent);
        b.rig.rest(100);
        assert_eq!(b.ended(conn), Some(name));
        let heard = b.rig.wires[&conn].heard.clone();
        if version == Version::V5 {
            let said = b.said(conn);
            let [Packet::ConnAck(ack)] = &said[..] else { panic!("{said:?}") };
            assert!(ack.code >= 0x80 && !ack.present);
        } else {
            assert_eq!(heard, bytes, "{name}");
        }
    }
}

#[test]
fn a_client_without_a_name_is_given_one() {
    let mut b = Bench::new(Limits::default());
    let assigned = |welcome: &ConnAck| {
        prop(&welcome.props, |p| match p {
            Prop::AssignedClientId(id) => Some(id),
            _ => None,
        })
    };
    let (_, one) = b.join(connect(Version::V5, ""));
    let (_, two) = b.join(connect(Version::V5, ""));
    let (one, two) = (assigned(&one), assigned(&two));
    assert!(one.is_some() && two.is_some() && one != two);
    let (a, _) = b.join(connect(Version::V311, ""));
    b.join(connect(Version::V311, ""));
    assert_eq!(b.ended(a), None, "each is its own");
}

#[test]
fn what_came_behind_a_connect_waits_and_what_came_behind_a_goodbye_is_not_read() {
    let mut b = Bench::new(Limits::default());
    let conn = b.open(Version::V311);
    let mut bytes = Vec::new();
    let goodbye = Packet::Disconnect(Reason { reason: 0, props: Props::none() });
    let retained = Packet::Publish(Publish { retain: true, ..message("late", 0, 0) });
    for packet in [
        Packet::Connect(Box::new(connect(Version::V311, "all at once"))),
        subscribe(&[asked("a", 1)]),
        publish("a", 1, 1),
        Packet::PingReq,
        goodbye,
        retained,
    ] {
        bytes.extend(encode_vec(&packet, Version::V311).unwrap());
    }
    b.raw(conn, &bytes);
    assert!(b.rig.rest(1_000));
    assert_eq!(b.ended(conn), Some("left"));
    let other = b.join3("other");
    let said = b.ask(other, &subscribe(&[asked("late", 0)]));
    assert_eq!(said.len(), 1, "nothing is kept: {said:?}");
}

#[test]
fn a_second_connect_and_a_packet_of_a_server_end_it() {
    let mut b = Bench::new(Limits::default());
    for (packet, reason) in [
        (Packet::Connect(Box::new(connect(Version::V5, "again"))), 0x82),
        (
            Packet::SubAck(Codes { id: 1, props: Props::none(), codes: [0].into_iter().collect() }),
            0x82,
        ),
        (Packet::Auth(Reason { reason: 0x19, props: Props::none() }), 0x82),
    ] {
        let conn = b.join5("c");
        let said = b.ask(conn, &packet);
        let [Packet::Disconnect(bye)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(bye.reason, reason);
        let conn = b.join3("d");
        let Ok(bytes) = encode_vec(&packet, Version::V311) else { continue };
        b.raw(conn, &bytes);
        assert!(b.said(conn).is_empty());
        assert!(b.ended(conn).is_some());
    }
}

#[test]
fn what_is_switched_off_is_said_and_refused() {
    let limits = Limits {
        qos_max: 1,
        retain_ok: false,
        wildcard_ok: false,
        shared_ok: false,
        subids_ok: false,
        ..Limits::default()
    };
    let mut b = Bench::new(limits);
    let (conn, welcome) = b.join(connect(Version::V5, "c"));
    let told: Vec<Prop> = welcome.props.iter().collect();
    for prop in [
        Prop::MaximumQos(1),
        Prop::RetainAvailable(false),
        Prop::WildcardAvailable(false),
        Prop::SharedAvailable(false),
        Prop::SubIdAvailable(false),
    ] {
        assert!(told.contains(&prop), "{prop:?}");
    }
    let filters = [asked("a", 2), asked("a/#", 0), asked("$share/g/a", 0)];
    let said = b.ask(conn, &subscribe(&filters));
    let [Packet::SubAck(ack)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(ack.codes[..], [1, 0xa2, 0x9e]);
    let props = Props::build(&[Prop::SubscriptionId(1)]);
    let filters = [asked("b", 0)].into_iter().collect();
    let said = b.ask(conn, &Packet::Subscribe(Subscribe { id: 1, props, filters }));
    assert!(matches!(&said[..], [Packet::SubAck(a)] if a.codes[..] == [0xa1]), "{said:?}");
    let said = b.ask(conn, &publish("a", 2, 1));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x9b), "{said:?}");
    let conn = b.join5("d");
    let retained = Publish { retain: true, ..message("a", 0, 0) };
    let said = b.ask(conn, &Packet::Publish(retained));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x9a), "{said:?}");
}

#[test]
fn a_bad_filter_costs_its_own_code_only() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    let filters = [asked("a/#/b", 0), asked("b", 1), asked("$share/g", 0)];
    for (conn, no) in [(new, 0x8f), (old, 0x80)] {
        let said = b.ask(conn, &subscribe(&filters));
        let [Packet::SubAck(ack)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(ack.codes[..], [no, 1, no]);
        assert_eq!(b.ended(conn), None);
    }
}

#[test]
fn the_broker_says_goodbye_when_it_goes_down() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    let now = b.rig.now;
    b.rig.engine.stop(now);
    let said = b.said(new);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x8b), "{said:?}");
    assert!(b.said(old).is_empty());
}
