//! Floor 3. A fake world for tests of MQTT connections: one broker, clients as packets.
//!
//! Clients are what they say and hear; the broker is driven until it has nothing to do. Absent on
//! purpose: opinions about what is heard.

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::policy::Address;
use crate::proto::fault::FaultKind;
use crate::testing::disk::FakeDisk;
use crate::testing::rig::{MQTT, Rig, Setup};

use super::packet::{Ack, Asked, ConnAck, Connect, Packet, Publish, Sender, Subscribe, Version};
use super::props::{Prop, Props};
use super::{decode, encode_vec};

/// A broker, and the version each connection speaks.
pub(super) struct Bench {
    pub(super) rig: Rig,
    pub(super) setup: Setup,
    pub(super) disk: FakeDisk,
    pub(super) versions: std::collections::BTreeMap<ConnId, Version>,
}

impl Bench {
    pub(super) fn new(limits: Limits) -> Self {
        let limits = Limits { segment_bytes: 64 << 10, ..limits };
        let setup = Setup { limits, ..Setup::default() };
        let disk = FakeDisk::default();
        let now = crate::base::time::Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
        let rig = Rig::start(&setup, &disk, now).expect("it starts");
        Self { rig, setup, disk, versions: Default::default() }
    }

    pub(super) fn open(&mut self, version: Version) -> ConnId {
        let conn = self.rig.open_at(MQTT, Address::V4([10, 0, 0, 1])).expect("a slot");
        self.versions.insert(conn, version);
        conn
    }

    pub(super) fn raw(&mut self, conn: ConnId, bytes: &[u8]) {
        self.rig.wires.get_mut(&conn).expect("open").inward.extend_from_slice(bytes);
    }

    pub(super) fn send(&mut self, conn: ConnId, packet: &Packet) {
        let bytes = encode_vec(packet, self.versions[&conn]).expect("it can be said");
        self.raw(conn, &bytes);
    }

    /// Everything the client was told, once the broker has nothing to do.
    pub(super) fn said(&mut self, conn: ConnId) -> Vec<Packet> {
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

    pub(super) fn ask(&mut self, conn: ConnId, packet: &Packet) -> Vec<Packet> {
        self.send(conn, packet);
        self.said(conn)
    }

    /// Connect; the answer must be a welcome.
    pub(super) fn join(&mut self, connect: Connect) -> (ConnId, ConnAck) {
        let conn = self.open(connect.version);
        let said = self.ask(conn, &Packet::Connect(Box::new(connect)));
        match &said[..] {
            [Packet::ConnAck(ack), ..] if ack.code == 0 => (conn, ack.clone()),
            other => panic!("no welcome: {other:?}"),
        }
    }

    pub(super) fn join5(&mut self, id: &'static str) -> ConnId {
        self.join(connect(Version::V5, id)).0
    }

    pub(super) fn join3(&mut self, id: &'static str) -> ConnId {
        self.join(connect(Version::V311, id)).0
    }

    pub(super) fn listen(&mut self, conn: ConnId, filter: &'static str, qos: u8) {
        let said = self.ask(conn, &subscribe(&[asked(filter, qos)]));
        match &said[..] {
            [Packet::SubAck(ack), ..] => assert_eq!(&ack.codes[..], [qos]),
            other => panic!("not granted: {other:?}"),
        }
    }

    /// The client is gone without a word.
    pub(super) fn cut(&mut self, conn: ConnId) {
        self.rig.wires.get_mut(&conn).expect("open").fin = Some(true);
        assert!(self.rig.rest(1_000));
    }

    /// It was ended for this fault, with this reason code as the last word, if there was a word.
    pub(super) fn broke(&mut self, conn: ConnId, kind: FaultKind, code: Option<u8>) {
        let said = match self.said(conn).pop() {
            Some(Packet::Disconnect(bye)) => Some(bye.reason),
            Some(Packet::ConnAck(ack)) => Some(ack.code),
            None => None,
            other => panic!("{kind:?}: {other:?}"),
        };
        assert_eq!((self.ended(conn), said), (Some(kind.name()), code));
    }

    pub(super) fn ended(&self, conn: ConnId) -> Option<&'static str> {
        self.rig.wires[&conn].ended
    }

    pub(super) fn count(&self, what: Counter) -> u64 {
        self.rig.engine.hub().stats.get(what)
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.rig.pass(ms);
        assert!(self.rig.rest(1_000));
    }

    /// The process dies and another one takes its place over the same disk.
    pub(super) fn restart(&mut self) {
        let now = self.rig.now;
        self.rig = Rig::start(&self.setup, &self.disk, now).expect("it starts again");
    }
}

pub(super) fn connect(version: Version, id: &'static str) -> Connect {
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

pub(super) fn durable(version: Version, id: &'static str) -> Connect {
    let props = match version {
        Version::V5 => Props::build(&[Prop::SessionExpiry(3_600)]),
        _ => Props::none(),
    };
    Connect { clean: false, props, ..connect(version, id) }
}

pub(super) fn asked(filter: &'static str, qos: u8) -> Asked {
    Asked {
        filter: Bytes::from_static(filter.as_bytes()),
        qos,
        no_local: false,
        as_published: false,
        handling: 0,
    }
}

pub(super) fn subscribe(filters: &[Asked]) -> Packet {
    let filters = filters.iter().cloned().collect();
    Packet::Subscribe(Subscribe { id: 77, props: Props::none(), filters })
}

pub(super) fn message(topic: &'static str, qos: u8, id: u16) -> Publish {
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

pub(super) fn publish(topic: &'static str, qos: u8, id: u16) -> Packet {
    Packet::Publish(message(topic, qos, id))
}

pub(super) fn ack(id: u16, reason: u8) -> Ack {
    Ack { id, reason, props: Props::none() }
}

pub(super) fn prop<T>(props: &Props, pick: impl Fn(Prop) -> Option<T>) -> Option<T> {
    props.iter().find_map(pick)
}

pub(super) fn published(said: &[Packet]) -> Vec<&Publish> {
    let mut found = Vec::new();
    for packet in said {
        if let Packet::Publish(p) = packet {
            found.push(p);
        }
    }
    found
}

pub(super) fn reason_text(props: &Props) -> Option<Bytes> {
    prop(props, |p| match p {
        Prop::ReasonString(text) => Some(text),
        _ => None,
    })
}
