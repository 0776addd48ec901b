//! Floor 3. What PRX1 peers say to each other, with types.
//!
//! Blobs are slices of the buffer they arrived in; whoever keeps one beyond the turn copies it.
//! An optional field is `None` when its presence bit is clear, so absent and empty stay apart.
//! Absent on purpose: meaning. Ids, QoS and text are as on the wire; the peer judges them.

use bytes::Bytes;

use super::extended::Extended;

/// One packet, either direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// 0x1, client to broker: who is there.
    Connect(Connect),
    /// 0x2, broker to client: come in, or not.
    ConnAck(ConnAck),
    /// 0x4, client to broker: do something with a queue.
    Queue(Queue),
    /// 0x5, broker to client: how that went.
    QAck(QAckCode),
    /// 0x6, both ways: the Publish with this id has arrived.
    PubAck(u16),
    /// 0x7, client to broker.
    Subscribe(Subscribe),
    /// 0x8, broker to client: the Subscribe with this id is in force.
    SubAck(u16),
    /// 0x9, client to broker.
    Unsubscribe(Subscribe),
    /// 0xA, broker to client: the Unsubscribe with this id is in force.
    UnsubAck(u16),
    /// 0xB, both ways.
    Publish(Publish),
    /// 0xC, client to broker: still here.
    Ping,
    /// 0xD, broker to client: so am I.
    Pong,
    /// 0xE, both ways: goodbye.
    Disconnect,
    /// 0xF, both ways: about calls.
    Extended(Extended),
    /// A frame without a meaning: a reserved code, or a QAck with an undefined result.
    Unknown {
        /// The code nibble.
        code: u8,
    },
}

/// The version every peer must name.
pub const VERSION: &[u8] = b"PRX1";

/// Who is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Forget what the session was owed.
    pub clean_start: bool,
    /// `PRX1`, or a peer that is none of ours.
    pub version: Bytes,
    /// The shared secret.
    pub password: Option<Bytes>,
    /// Must equal the registered one; usually empty.
    pub client_id: Option<Bytes>,
    /// Seconds.
    pub keepalive: Option<u16>,
    /// The identity of everything else.
    pub username: Option<Bytes>,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            clean_start: false,
            version: Bytes::from_static(VERSION),
            password: None,
            client_id: None,
            keepalive: None,
            username: None,
        }
    }
}

/// Come in, or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnAck {
    /// Stored state was resumed.
    pub session_present: bool,
    /// The session was wiped as asked.
    pub clean_start: bool,
    /// One of the constants below.
    pub result: u8,
    /// The name of the session.
    pub session_id: Option<Bytes>,
}

impl ConnAck {
    /// The success of the 2017 dialect; "none set yet" to later clients.
    pub const UNSET: u8 = 0x00;
    /// The credentials are not good.
    pub const FAIL: u8 = 0x01;
    /// Come in.
    pub const OK: u8 = 0x02;
    /// Defined, never sent by the original.
    pub const NOK: u8 = 0x03;
    /// Defined, never sent by the original.
    pub const ERR: u8 = 0x04;

    /// An answer that says nothing but its result.
    #[must_use]
    pub const fn plain(result: u8) -> Self {
        Self { session_present: false, clean_start: false, result, session_id: None }
    }
}

/// Subscribe and Unsubscribe.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscribe {
    /// Said before.
    pub dup: bool,
    /// 0..=3 as on the wire; 1 is the most there is.
    pub qos: u8,
    /// Sent by some clients, without a meaning.
    pub retain: bool,
    /// 0 when `qos` is 0: then nothing travels and nothing answers.
    pub id: u16,
    /// The filter.
    pub topic: Bytes,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Publish {
    /// Said before.
    pub dup: bool,
    /// 0..=3 as on the wire; 1 is the most there is.
    pub qos: u8,
    /// Keep it for late subscribers; or: it was kept.
    pub retain: bool,
    /// 0 when `qos` is 0: then nothing travels and nothing answers.
    pub id: u16,
    /// The name.
    pub topic: Bytes,
    /// The content.
    pub payload: Bytes,
}

/// What to do with a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Action {
    /// Create it; with a message, put it in.
    Initialize,
    /// Delete it.
    Destroy,
    /// Hand everything out.
    Drain,
    /// A number without a meaning; can be read, cannot be sent.
    #[default]
    None,
}

/// A request about a queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queue {
    /// Said before.
    pub dup: bool,
    /// What to do.
    pub action: Action,
    /// The id of the request.
    pub id: Option<u16>,
    /// Which queue.
    pub address: Option<Bytes>,
    /// Where its items go when drained.
    pub return_path: Option<Bytes>,
    /// A note that travels along.
    pub mark: Option<Bytes>,
    /// An item.
    pub message: Option<Bytes>,
}

/// How a Queue request went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QAckCode {
    /// Nothing to say.
    None,
    /// Done.
    Ok,
    /// Not done.
    Error,
}

/// Presence bits of a Connect, in the order of its fields.
pub(super) mod cflag {
    pub(crate) const PASSWORD: u8 = 0x01;
    pub(crate) const CLIENT_ID: u8 = 0x02;
    pub(crate) const KEEPALIVE: u8 = 0x04;
    pub(crate) const USERNAME: u8 = 0x08;
}

/// Presence bits in the options word of a Queue, in the order of its fields.
pub(super) mod qflag {
    pub(crate) const ID: u16 = 0x80;
    pub(crate) const ADDRESS: u16 = 0x40;
    pub(crate) const RETURN_PATH: u16 = 0x20;
    pub(crate) const MARK: u16 = 0x10;
    pub(crate) const ACTION: u16 = 0x0f;
}

/// The code nibbles.
pub(super) mod code {
    pub(crate) const CONNECT: u8 = 0x1;
    pub(crate) const CONNACK: u8 = 0x2;
    pub(crate) const QUEUE: u8 = 0x4;
    pub(crate) const QACK: u8 = 0x5;
    pub(crate) const PUBACK: u8 = 0x6;
    pub(crate) const SUBSCRIBE: u8 = 0x7;
    pub(crate) const SUBACK: u8 = 0x8;
    pub(crate) const UNSUBSCRIBE: u8 = 0x9;
    pub(crate) const UNSUBACK: u8 = 0xA;
    pub(crate) const PUBLISH: u8 = 0xB;
    pub(crate) const PING: u8 = 0xC;
    pub(crate) const PONG: u8 = 0xD;
    pub(crate) const DISCONNECT: u8 = 0xE;
    pub(crate) const EXTENDED: u8 = 0xF;
}
