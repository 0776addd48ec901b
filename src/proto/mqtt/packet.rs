//! Floor 3. MQTT packets as values, for all three versions and both directions.
//!
//! One type serves 3.1, 3.1.1 and 5.0: what a version lacks is empty there (properties, reason
//! codes) and the encoder leaves it out. Text and payloads share the buffer they were read from.
//! Properties stay in their wire form, checked once ([`super::props`]), because most of them are
//! only passed on. Absent on purpose: session state, and opinions about what a broker should say.

use bytes::Bytes;
use smallvec::SmallVec;

use super::props::Props;

/// Which MQTT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// 3.1, which calls itself `MQIsdp`, level 3.
    V31,
    /// 3.1.1, level 4.
    V311,
    /// 5.0, level 5.
    V5,
}

/// Who sent a packet. Some packets go one way only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// A client, to a server.
    Client,
    /// A server, to a client.
    Server,
}

/// A packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// A client introduces itself.
    Connect(Box<Connect>),
    /// The answer to it.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish),
    /// QoS 1: received.
    PubAck(Ack),
    /// QoS 2, first answer: received.
    PubRec(Ack),
    /// QoS 2: the sender forgets the message.
    PubRel(Ack),
    /// QoS 2, last answer: the receiver forgets the id.
    PubComp(Ack),
    /// Listen.
    Subscribe(Subscribe),
    /// The answer to it.
    SubAck(Codes),
    /// Stop listening.
    Unsubscribe(Unsubscribe),
    /// The answer to it; without codes before 5.0.
    UnsubAck(Codes),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// Goodbye; from a server in 5.0 only.
    Disconnect(Reason),
    /// A step of a longer authentication, 5.0 only.
    Auth(Reason),
}

/// CONNECT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Which MQTT the rest of the connection speaks.
    pub version: Version,
    /// A bridge says so in the highest bit of the level (3.1 and 3.1.1, as mosquitto's do).
    pub bridge: bool,
    /// Forget what was (5.0: clean start; before: clean session, which also ends with the
    /// connection).
    pub clean: bool,
    /// Seconds between signs of life; 0: none asked for.
    pub keep_alive: u16,
    /// The session's name; empty: the server chooses.
    pub client_id: Bytes,
    /// To be published when the connection ends without a goodbye.
    pub will: Option<Will>,
    /// Who it claims to be.
    pub username: Option<Bytes>,
    /// How it proves it.
    pub password: Option<Bytes>,
    /// 5.0.
    pub props: Props,
}

/// A client's last will.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Where to.
    pub topic: Bytes,
    /// What.
    pub payload: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// As the topic's last value.
    pub retain: bool,
    /// 5.0.
    pub props: Props,
}

/// CONNACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnAck {
    /// The server had a session under this name.
    pub present: bool,
    /// 0 is success; the other numbers mean different things before 5.0 and in it.
    pub code: u8,
    /// 5.0.
    pub props: Props,
}

/// PUBLISH.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// It may have been sent before.
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Keep it as the topic's last value; to a subscriber: it is one.
    pub retain: bool,
    /// Where to; empty with a topic alias.
    pub topic: Bytes,
    /// Not 0 when `qos` is not.
    pub id: u16,
    /// 5.0.
    pub props: Props,
    /// What.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Of the PUBLISH.
    pub id: u16,
    /// 5.0; 0 is success.
    pub reason: u8,
    /// 5.0.
    pub props: Props,
}

impl Ack {
    /// Success, and nothing else to say.
    #[must_use]
    pub const fn plain(id: u16) -> Self {
        Self { id, reason: 0, props: Props::none() }
    }
}

/// SUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    /// To be repeated by the answer.
    pub id: u16,
    /// 5.0.
    pub props: Props,
    /// At least one.
    pub filters: SmallVec<[Asked; 1]>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// As sent, `$share` included.
    pub filter: Bytes,
    /// At most this.
    pub qos: u8,
    /// 5.0: not what I publish myself.
    pub no_local: bool,
    /// 5.0: leave the retain flag as the publisher set it.
    pub as_published: bool,
    /// 5.0: 0 send what is kept, 1 only for a new subscription, 2 never.
    pub handling: u8,
}

/// SUBACK and UNSUBACK: one code for each filter, in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Codes {
    /// Of the request.
    pub id: u16,
    /// 5.0.
    pub props: Props,
    /// Empty in an UNSUBACK before 5.0.
    pub codes: SmallVec<[u8; 8]>,
}

/// UNSUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe {
    /// To be repeated by the answer.
    pub id: u16,
    /// 5.0.
    pub props: Props,
    /// At least one.
    pub filters: SmallVec<[Bytes; 1]>,
}

/// DISCONNECT and AUTH.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// 0 when the packet says none.
    pub reason: u8,
    /// 5.0.
    pub props: Props,
}

impl Version {
    /// The number in CONNECT.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

/// The flags byte of a CONNECT.
pub(super) mod cflag {
    pub(crate) const RESERVED: u8 = 0x01;
    pub(crate) const CLEAN: u8 = 0x02;
    pub(crate) const WILL: u8 = 0x04;
    pub(crate) const WILL_QOS: u8 = 0x18;
    pub(crate) const WILL_QOS_SHIFT: u8 = 3;
    pub(crate) const WILL_RETAIN: u8 = 0x20;
    pub(crate) const PASSWORD: u8 = 0x40;
    pub(crate) const USERNAME: u8 = 0x80;
}

/// The options byte of a filter in a SUBSCRIBE; before 5.0 only the QoS.
pub(super) mod opt {
    pub(crate) const QOS: u8 = 0x03;
    pub(crate) const NO_LOCAL: u8 = 0x04;
    pub(crate) const AS_PUBLISHED: u8 = 0x08;
    pub(crate) const HANDLING: u8 = 0x30;
    pub(crate) const HANDLING_SHIFT: u8 = 4;
    pub(crate) const RESERVED: u8 = 0xc0;
}

/// The type nibbles.
pub(super) mod code {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
    pub(crate) const AUTH: u8 = 15;
}
