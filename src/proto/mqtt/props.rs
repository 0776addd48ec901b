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
    /// It has no meaning as 0.
    pub not_zero: bool,
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

macro_rules! props {
    ($($id:literal $name:ident($($field:ident: $value:ty),+) $form:ident $zero:literal $text:literal
       $places:expr, $repeats:expr;)*) => {
        /// One property, read.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Prop { $(#[doc = $text] $name($($value),+)),* }

        /// The table, in the order of the numbers.
        pub const TABLE: &[Row] = &[$(Row {
            id: $id, name: $text, form: Form::$form, not_zero: $zero,
            places: $places, repeats: $repeats,
        }),*];

        impl Prop {
            /// The number on the wire.
            #[must_use]
            pub const fn id(&self) -> u8 {
                match self { $(Self::$name(..) => $id),* }
            }

            /// The value that follows the number.
            fn take(id: u8, r: &mut Reader) -> Result<Self, Fault> {
                match id {
                    $($id => { $(let $field = <$value as Value>::take(Form::$form, r)?;)+
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
    0x01 PayloadFormat(v: u8) Bit false "Payload Format Indicator" MESSAGE, 0;
    0x02 MessageExpiry(v: u32) U32 false "Message Expiry Interval" MESSAGE, 0;
    0x03 ContentType(v: Bytes) Text false "Content Type" MESSAGE, 0;
    0x08 ResponseTopic(v: Bytes) Text false "Response Topic" MESSAGE, 0;
    0x09 CorrelationData(v: Bytes) Blob false "Correlation Data" MESSAGE, 0;
    0x0b SubscriptionId(v: u32) Var true "Subscription Identifier" PUB_DOWN | SUBSCRIBE, PUB_DOWN;
    0x11 SessionExpiry(v: u32) U32 false "Session Expiry Interval" CONNECT | CONNACK | BYE_UP, 0;
    0x12 AssignedClientId(v: Bytes) Text false "Assigned Client Identifier" CONNACK, 0;
    0x13 ServerKeepAlive(v: u16) U16 false "Server Keep Alive" CONNACK, 0;
    0x15 AuthMethod(v: Bytes) Text false "Authentication Method" CONNECT | CONNACK | AUTH, 0;
    0x16 AuthData(v: Bytes) Blob false "Authentication Data" CONNECT | CONNACK | AUTH, 0;
    0x17 RequestProblem(v: bool) Bit false "Request Problem Information" CONNECT, 0;
    0x18 WillDelay(v: u32) U32 false "Will Delay Interval" WILL, 0;
    0x19 RequestResponse(v: bool) Bit false "Request Response Information" CONNECT, 0;
    0x1a ResponseInfo(v: Bytes) Text false "Response Information" CONNACK, 0;
    0x1c ServerReference(v: Bytes) Text false "Server Reference" CONNACK | BYE_DOWN, 0;
    0x1f ReasonString(v: Bytes) Text false "Reason String"
        CONNACK | ACK | CODES | BYE_UP | BYE_DOWN | AUTH, 0;
    0x21 ReceiveMax(v: u16) U16 true "Receive Maximum" CONNECT | CONNACK, 0;
    0x22 TopicAliasMax(v: u16) U16 false "Topic Alias Maximum" CONNECT | CONNACK, 0;
    0x23 TopicAlias(v: u16) U16 true "Topic Alias" PUB_UP | PUB_DOWN, 0;
    0x24 MaximumQos(v: u8) Bit false "Maximum QoS" CONNACK, 0;
    0x25 RetainAvailable(v: bool) Bit false "Retain Available" CONNACK, 0;
    0x26 User(name: Bytes, v: Bytes) Pair false "User Property" ANY, ANY;
    0x27 MaximumPacketSize(v: u32) U32 true "Maximum Packet Size" CONNECT | CONNACK, 0;
    0x28 WildcardAvailable(v: bool) Bit false "Wildcard Subscription Available" CONNACK, 0;
    0x29 SubIdAvailable(v: bool) Bit false "Subscription Identifier Available" CONNACK, 0;
    0x2a SharedAvailable(v: bool) Bit false "Shared Subscription Available" CONNACK, 0;
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
            Prop::take(id, &mut r).ok()
        })
    }

    /// Write a block. What no block can hold (a text longer than 65,535 bytes, a subscription id
    /// above [`VAR_MAX`]) is left out.
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

    /// What travels on with a message to its subscribers, in order: all but expiry, topic alias
    /// and subscription ids, which belong to one hop. Shared when nothing is left out.
    #[must_use]
    pub fn forwardable(&self) -> Bytes {
        let stays = |prop: &Prop| {
            matches!(
                prop,
                Prop::MessageExpiry(_)
                    | Prop::TopicAlias(_)
                    | Prop::SubscriptionId(_)
                    | Prop::WillDelay(_)
            )
        };
        if !self.iter().any(|prop| stays(&prop)) {
            return self.0.clone();
        }
        let kept: Vec<Prop> = self.iter().filter(|prop| !stays(prop)).collect();
        Self::build(&kept).0
    }
}

/// A value on the wire.
trait Value: Sized {
    fn take(form: Form, r: &mut Reader) -> Result<Self, Fault>;
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool;
}

impl Value for u8 {
    fn take(_: Form, r: &mut Reader) -> Result<Self, Fault> {
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
    fn take(form: Form, r: &mut Reader) -> Result<Self, Fault> {
        u8::take(form, r).map(|bit| bit == 1)
    }
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool {
        u8::from(*self).put(form, into)
    }
}

impl Value for u16 {
    fn take(_: Form, r: &mut Reader) -> Result<Self, Fault> {
        r.u16().map_err(short)
    }
    fn put(&self, _: Form, into: &mut Vec<u8>) -> bool {
        into.extend_from_slice(&self.to_be_bytes());
        true
    }
}

impl Value for u32 {
    fn take(form: Form, r: &mut Reader) -> Result<Self, Fault> {
        match form {
            Form::Var => take_var(r),
            _ => r.u32().map_err(short),
        }
    }
    fn put(&self, form: Form, into: &mut Vec<u8>) -> bool {
        match form {
            Form::Var => {
                let (bytes, len) = var_bytes(*self);
                into.extend(bytes.iter().take(len));
                *self <= VAR_MAX
            }
            _ => {
                into.extend_from_slice(&self.to_be_bytes());
                true
            }
        }
    }
}

impl Value for Bytes {
    fn take(form: Form, r: &mut Reader) -> Result<Self, Fault> {
        match form {
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
    if std::str::from_utf8(&text).is_err() {
        return Err(FaultKind::MqttUtf8.fault());
    }
    if text.contains(&0) {
        return Err(FaultKind::MqttNul.fault());
    }
    Ok(text)
}

/// A field beyond the end of its packet.
pub(super) fn short(_: Short) -> Fault {
    FaultKind::MqttShort.fault()
}
