//! Floor 3. The properties of 5.0: one table says what each is, where it may stand, how often.
//!
//! A block of them stays as it came off the wire, once it was checked for the packet it stood in:
//! most are only passed on, so reading one means walking the block, and sending them costs a copy.
//! Writing, reading and checking go by the same table. Absent on purpose: what a property does,
//! and a map of them; a block is short and its order is the sender's.

use bytes::Bytes;

use crate::base::reader::{Reader, Short};
use crate::proto::fault::{Fault, FaultKind};

/// The largest number that a variable byte integer can say.
pub const VAR_MAX: u32 = 0x0fff_ffff;

/// Where a block of properties stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// CONNECT.
    Connect,
    /// The will in a CONNECT.
    Will,
    /// CONNACK.
    ConnAck,
    /// PUBLISH from a client.
    PublishUp,
    /// PUBLISH from a server.
    PublishDown,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack,
    /// SUBSCRIBE.
    Subscribe,
    /// SUBACK, UNSUBACK.
    Codes,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// DISCONNECT from a client.
    DisconnectUp,
    /// DISCONNECT from a server.
    DisconnectDown,
    /// AUTH.
    Auth,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Will,
        Self::ConnAck,
        Self::PublishUp,
        Self::PublishDown,
        Self::Ack,
        Self::Subscribe,
        Self::Codes,
        Self::Unsubscribe,
        Self::DisconnectUp,
        Self::DisconnectDown,
        Self::Auth,
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// One byte, 0 or 1.
    Bit,
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
    /// One to four bytes.
    Var,
    /// Counted text.
    Text,
    /// Counted bytes.
    Blob,
    /// Two counted texts.
    Pair,
}

/// What the standard says about a property (5.0 §2.2.2.2).
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The number on the wire.
    pub id: u8,
    /// The name in the standard.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// What it breaks as 0, if it may not be.
    pub zero: Option<FaultKind>,
    places: u16,
    repeats: u16,
}

impl Row {
    /// May it stand there?
    #[must_use]
    pub const fn may_stand(&self, place: Place) -> bool {
        self.places & place.bit() != 0
    }

    /// And more than once?
    #[must_use]
    pub const fn may_repeat(&self, place: Place) -> bool {
        self.repeats & place.bit() != 0
    }
}

const CONNECT: u16 = Place::Connect.bit();
const WILL: u16 = Place::Will.bit();
const CONNACK: u16 = Place::ConnAck.bit();
const PUB_UP: u16 = Place::PublishUp.bit();
const PUB_DOWN: u16 = Place::PublishDown.bit();
const MESSAGE: u16 = PUB_UP | PUB_DOWN | WILL;
const ACK: u16 = Place::Ack.bit();
const SUBSCRIBE: u16 = Place::Subscribe.bit();
const CODES: u16 = Place::Codes.bit();
const BYE_UP: u16 = Place::DisconnectUp.bit();
const BYE_DOWN: u16 = Place::DisconnectDown.bit();
const AUTH: u16 = Place::Auth.bit();
const ANY: u16 = (1 << Place::ALL.len()) - 1;

const FREE: Option<FaultKind> = None;
const NOT_0: Option<FaultKind> = Some(FaultKind::MqttPropValue);
const ALIAS: Option<FaultKind> = Some(FaultKind::MqttAliasZero);

macro_rules! props {
    ($($id:literal $name:ident($($field:ident: $value:ty),+) $form:ident $zero:ident $text:literal
       $places:expr, $repeats:expr;)*) => {
        /// One property, read.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Prop { $(#[doc = $text] $name($($value),+)),* }

        /// The table, in the order of the numbers.
        pub const TABLE: &[Row] = &[$(Row {
            id: $id, name: $text, form: Form::$form, zero: $zero,
            places: $places, repeats: $repeats,
        }),*];

        impl Prop {
            /// The number on the wire.
            #[must_use]
            pub const fn id(&self) -> u8 {
                match self { $(Self::$name(..) => $id),* }
            }

            /// The value that follows the number.
            fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault> {
                match row.id {
                    $($id => { $(let $field = <$value as Value>::take(row, r)?;)+
                        Ok(Self::$name($($field),+)) })*
                    _ => Err(FaultKind::MqttPropUnknown.fault()),
                }
            }

            fn put(&self, into: &mut Vec<u8>) -> bool {
                match self {
                    $(Self::$name($($field),+) => {
                        into.push($id);
                        $($field.put(Form::$form, into))&&+
                    })*
                }
            }
        }
    };
}

props! {
    0x01 PayloadFormat(v: u8) Bit FREE "Payload Format Indicator" MESSAGE, 0;
    0x02 MessageExpiry(v: u32) U32 FREE "Message Expiry Interval" MESSAGE, 0;
    0x03 ContentType(v: Bytes) Text FREE "Content Type" MESSAGE, 0;
    0x08 ResponseTopic(v: Bytes) Text FREE "Response Topic" MESSAGE, 0;
    0x09 CorrelationData(v: Bytes) Blob FREE "Correlation Data" MESSAGE, 0;
    0x0b SubscriptionId(v: u32) Var NOT_0 "Subscription Identifier" PUB_DOWN | SUBSCRIBE, PUB_DOWN;
    0x11 SessionExpiry(v: u32) U32 FREE "Session Expiry Interval" CONNECT | CONNACK | BYE_UP, 0;
    0x12 AssignedClientId(v: Bytes) Text FREE "Assigned Client Identifier" CONNACK, 0;
    0x13 ServerKeepAlive(v: u16) U16 FREE "Server Keep Alive" CONNACK, 0;
    0x15 AuthMethod(v: Bytes) Text FREE "Authentication Method" CONNECT | CONNACK | AUTH, 0;
    0x16 AuthData(v: Bytes) Blob FREE "Authentication Data" CONNECT | CONNACK | AUTH, 0;
    0x17 RequestProblem(v: bool) Bit FREE "Request Problem Information" CONNECT, 0;
    0x18 WillDelay(v: u32) U32 FREE "Will Delay Interval" WILL, 0;
    0x19 RequestResponse(v: bool) Bit FREE "Request Response Information" CONNECT, 0;
    0x1a ResponseInfo(v: Bytes) Text FREE "Response Information" CONNACK, 0;
    0x1c ServerReference(v: Bytes) Text FREE "Server Reference" CONNACK | BYE_DOWN, 0;
    0x1f ReasonString(v: Bytes) Text FREE "Reason String"
        CONNACK | ACK | CODES | BYE_UP | BYE_DOWN | AUTH, 0;
    0x21 ReceiveMax(v: u16) U16 NOT_0 "Receive Maximum" CONNECT | CONNACK, 0;
    0x22 TopicAliasMax(v: u16) U16 FREE "Topic Alias Maximum" CONNECT | CONNACK, 0;
    0x23 TopicAlias(v: u16) U16 ALIAS "Topic Alias" PUB_UP | PUB_DOWN, 0;
    0x24 MaximumQos(v: u8) Bit FREE "Maximum QoS" CONNACK, 0;
    0x25 RetainAvailable(v: bool) Bit FREE "Retain Available" CONNACK, 0;
    0x26 User(name: Bytes, v: Bytes) Pair FREE "User Property" ANY, ANY;
    0x27 MaximumPacketSize(v: u32) U32 NOT_0 "Maximum Packet Size" CONNECT | CONNACK, 0;
    0x28 WildcardAvailable(v: bool) Bit FREE "Wildcard Subscription Available" CONNACK, 0;
    0x29 SubIdAvailable(v: bool) Bit FREE "Subscription Identifier Available" CONNACK, 0;
    0x2a SharedAvailable(v: bool) Bit FREE "Shared Subscription Available" CONNACK, 0;
}

/// A block of properties in its wire form, without its length.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Props(Bytes);

impl Props {
    /// No properties: what every packet before 5.0 has.
    #[must_use]
    pub const fn none() -> Self {
        Self(Bytes::new())
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The properties, in the sender's order.
    pub fn iter(&self) -> impl Iterator<Item = Prop> + use<> {
        let mut r = Reader::new(self.0.clone());
        std::iter::from_fn(move || {
            let id = r.u8().ok()?;
            Prop::take(row(id)?, &mut r).ok()
        })
    }

    /// Write a block. What no block can hold (a text longer than 65,535 bytes, a subscription id
    /// above [`VAR_MAX`], a flag above 1) is left out; whether the rest may stand where it is put,
    /// the encoder judges.
    #[must_use]
    pub fn build(props: &[Prop]) -> Self {
        let mut block = Vec::new();
        for prop in props {
            let start = block.len();
            if !prop.put(&mut block) {
                block.truncate(start);
            }
        }
        Self(Bytes::from(block))
    }

    /// The block as it is on the wire, without its length.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.0
    }

    /// A block that was checked before: what we stored ourselves.
    #[must_use]
    pub const fn from_checked(block: Bytes) -> Self {
        Self(block)
    }

    /// The topic alias, which decides how a PUBLISH is read.
    #[must_use]
    pub fn topic_alias(&self) -> Option<u16> {
        self.iter().find_map(|prop| if let Prop::TopicAlias(n) = prop { Some(n) } else { None })
    }

    /// Take a block off the front: its length, then so many bytes that may stand there.
    pub(super) fn take(r: &mut Reader, place: Place) -> Result<Self, Fault> {
        let len = take_var(r)? as usize;
        let block = r.take(len).map_err(short)?;
        check(&block, place)?;
        Ok(Self(block))
    }

    /// What travels on with a message to its subscribers, in order: all but expiry, topic alias,
    /// subscription ids and a will's delay, which are between two parties. Shared when nothing is
    /// left out.
    #[must_use]
    pub fn forwardable(&self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let one_hop = |prop: &Prop| {
            matches!(
                prop,
                Prop::MessageExpiry(_)
                    | Prop::TopicAlias(_)
                    | Prop::SubscriptionId(_)
                    | Prop::WillDelay(_)
            )
        };
        if !self.iter().any(|prop| one_hop(&prop)) {
            return self.0.clone();
        }
        let kept: Vec<Prop> = self.iter().filter(|prop| !one_hop(prop)).collect();
        Self::build(&kept).0
    }
}

/// The row of a number. A number is a variable byte integer too, but none takes two bytes.
#[must_use]
pub fn row(id: u8) -> Option<&'static Row> {
    TABLE.get(usize::from(*ROW_OF.get(usize::from(id))?))
}

/// Where the row of each number stands; beyond the table for the numbers between.
const ROW_OF: [u8; 64] = {
    let mut rows = [u8::MAX; 64];
    let mut i = 0;
    while i < TABLE.len() {
        rows[TABLE[i].id as usize] = i as u8;
        i += 1;
    }
    rows
};

/// Is this block one that may stand there? Linear, and nothing is kept but one bit a number.
pub(super) fn check(block: &Bytes, place: Place) -> Result<(), Fault> {
    let mut r = Reader::new(block.clone());
    let mut seen = 0u64;
    while let Ok(id) = r.u8() {
        let row = row(id).ok_or_else(|| FaultKind::MqttPropUnknown.fault())?;
        if !row.may_stand(place) {
            return Err(match (id, place) {
                (SUBSCRIPTION_ID, Place::PublishUp) => FaultKind::MqttSubIdFromClient,
                _ => FaultKind::MqttPropMisplaced,
            }
            .fault());
        }
        let bit = 1 << id;
        if seen & bit != 0 && !row.may_repeat(place) {
            return Err(FaultKind::MqttPropTwice.fault());
        }
        seen |= bit;
        if let Prop::ResponseTopic(topic) = Prop::take(row, &mut r)? {
            // 5.0 3.3.2-14, 4.7.3-1.
            if topic.is_empty() || is_wild(&topic) {
                return Err(FaultKind::MqttResponseTopic.fault());
            }
        }
    }
    // 5.0 §3.1.2.11.10: data without a method is a protocol error.
    if seen & (1 << AUTH_DATA) != 0 && seen & (1 << AUTH_METHOD) == 0 {
        return Err(FaultKind::MqttAuthProtocol.fault());
    }
    Ok(())
}

const SUBSCRIPTION_ID: u8 = 0x0b;
const AUTH_METHOD: u8 = 0x15;
const AUTH_DATA: u8 = 0x16;

/// Does a name hold a letter that only filters may hold?
pub(super) fn is_wild(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'+' | b'#'))
}

/// A value on the wire.
trait Value: Sized {
    fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault>;
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool;
}

impl Value for u8 {
    fn take(_: &Row, r: &mut Reader) -> Result<Self, Fault> {
        match r.u8().map_err(short)? {
            bit @ 0..=1 => Ok(bit),
            _ => Err(FaultKind::MqttPropValue.fault()),
        }
    }
    fn put(&self, _: Form, into: &mut Vec<u8>) -> bool {
        into.push(*self);
        *self <= 1
    }
}

impl Value for bool {
    fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault> {
        u8::take(row, r).map(|bit| bit == 1)
    }
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool {
        u8::from(*self).put(form, into)
    }
}

impl Value for u16 {
    fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault> {
        let n = r.u16().map_err(short)?;
        may_be(u32::from(n), row)?;
        Ok(n)
    }
    fn put(&self, _: Form, into: &mut Vec<u8>) -> bool {
        into.extend_from_slice(&self.to_be_bytes());
        true
    }
}

impl Value for u32 {
    fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault> {
        let n = match row.form {
            Form::Var => take_var(r)?,
            _ => r.u32().map_err(short)?,
        };
        may_be(n, row)?;
        Ok(n)
    }
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool {
        match form {
            Form::Var => put_var(*self, into),
            _ => into.extend_from_slice(&self.to_be_bytes()),
        }
        form != Form::Var || *self <= VAR_MAX
    }
}

impl Value for Bytes {
    fn take(row: &Row, r: &mut Reader) -> Result<Self, Fault> {
        match row.form {
            Form::Blob => r.blob16().map_err(short),
            _ => take_text(r),
        }
    }
    fn put(&self, _: Form, into: &mut Vec<u8>) -> bool {
        let Ok(len) = u16::try_from(self.len()) else { return false };
        into.extend_from_slice(&len.to_be_bytes());
        into.extend_from_slice(self);
        true
    }
}

fn may_be(n: u32, row: &Row) -> Result<(), Fault> {
    match row.zero {
        Some(kind) if n == 0 => Err(kind.fault()),
        _ => Ok(()),
    }
}

/// Append a variable byte integer.
pub(super) fn put_var(n: u32, into: &mut Vec<u8>) {
    let (bytes, len) = var_bytes(n);
    into.extend(bytes.iter().take(len));
}

/// A variable byte integer. 5.0 1.5.5-1: in as few bytes as possible.
pub(super) fn take_var(r: &mut Reader) -> Result<u32, Fault> {
    let mut n = 0;
    for i in 0..4 {
        let byte = r.u8().map_err(short)?;
        n |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return if byte == 0 && i > 0 { Err(FaultKind::MqttLength.fault()) } else { Ok(n) };
        }
    }
    Err(FaultKind::MqttLength.fault())
}

/// The bytes of a variable byte integer, and how many of them count.
pub(super) const fn var_bytes(n: u32) -> ([u8; 4], usize) {
    let (b0, b1) = ((n & 0x7f) as u8, ((n >> 7) & 0x7f) as u8);
    let (b2, b3) = (((n >> 14) & 0x7f) as u8, ((n >> 21) & 0x7f) as u8);
    match n {
        0..=0x7f => ([b0, 0, 0, 0], 1),
        0x80..=0x3fff => ([b0 | 0x80, b1, 0, 0], 2),
        0x4000..=0x1f_ffff => ([b0 | 0x80, b1 | 0x80, b2, 0], 3),
        _ => ([b0 | 0x80, b1 | 0x80, b2 | 0x80, b3], 4),
    }
}

/// Counted text: well-formed UTF-8 without NUL (3.1.1 1.5.3, 5.0 1.5.4). Rust's UTF-8 has no
/// surrogates and no overlong forms, as the standard wants it.
pub(super) fn take_text(r: &mut Reader) -> Result<Bytes, Fault> {
    let text = r.blob16().map_err(short)?;
    check_text(&text)?;
    Ok(text)
}

/// The same of text that was taken already.
pub(super) fn check_text(text: &[u8]) -> Result<(), Fault> {
    if std::str::from_utf8(text).is_err() {
        return Err(FaultKind::MqttUtf8.fault());
    }
    if text.contains(&0) {
        return Err(FaultKind::MqttNul.fault());
    }
    Ok(())
}

/// A field beyond the end of its packet.
pub(super) fn short(_: Short) -> Fault {
    FaultKind::MqttShort.fault()
}
