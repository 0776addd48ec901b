//! Floor 3. What connectors say among themselves: the types that begin with `_`, and their data.
//!
//! ```text
//! _handshake_no_ssl  c>s  hello                               _handshake_ssl  the same under TLS
//! _ssl               c>s  {"cmd": "get_new_certificate"}
//!                    s>c  {"cmd": "set_new_certificate", "crt": PEM, "key": PEM}
//! _token             c>s  {"cmd": "get_new_token"}
//!                    s>c  {"cmd": "set_new_token", "token": T}
//!                    c>s  {"cmd": "authenticate", "token": T}
//!                    s>c  {"result": "success"}
//! _ack               both nothing; transport_id says of what
//! _ping              both anything, which comes back; request_id is answered with response_id
//! _pubsub            c>s  {"subscribe_message_types": [T ..]}, {"unsubscribe_message_types": ..}
//!                         anything, with the topic in message_type_publish
//! ```
//!
//! A type that begins with `_` and is none of these is of another generation: it is acknowledged
//! and passed over (specification 5, steps 5 and 7). Absent on purpose: what is to be done about
//! any of it, and `_pubsub` of version 1.0.7 and before, which knew none.

use bytes::Bytes;

use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Form, Value, Walk};

use super::encode::{Object, put_text};
use super::names::Name;
use super::packet::{Frame, Id, Text};

/// An acknowledgement.
pub const ACK: &str = "_ack";
/// Is anybody there, and: yes.
pub const PING: &str = "_ping";
/// The first frame without TLS.
pub const HELLO: &str = "_handshake_no_ssl";
/// The first frame under TLS without certificates.
pub const HELLO_TLS: &str = "_handshake_ssl";
/// A certificate is asked for, or handed out.
pub const CERTIFICATE: &str = "_ssl";
/// A token is asked for, handed out, shown or taken.
pub const TOKEN: &str = "_token";
/// About topics, and publications.
pub const PUBSUB: &str = "_pubsub";

/// All that a hello holds.
const GREETING: &[u8] = b"hello";
/// The data of these types is small, but for a certificate with its key.
const DATA_MAX: usize = 1 << 16;
/// How much stands in it.
const DATA: Bounds = Bounds { depth: 3, items: 4_096 };

/// Who is talking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The end that connected.
    Client,
    /// The end that listens.
    Server,
}

/// A text that logs must not have: a key, a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Text);

impl Hidden {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl core::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("..")
    }
}

/// What a frame means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// A client says its name.
    Hello {
        /// It does so under TLS.
        tls: bool,
        /// The name.
        name: Name,
    },
    /// A client wants a certificate for its name.
    GetCertificate(Name),
    /// It has one.
    SetCertificate {
        /// The certificate, in PEM.
        crt: Text,
        /// Its key, in PEM.
        key: Hidden,
    },
    /// A client wants a token for its name.
    GetToken(Name),
    /// It has one.
    SetToken(Hidden),
    /// A client shows its token.
    Authenticate(Name, Hidden),
    /// It is the right one.
    Welcome,
    /// What had this number has arrived.
    Ack(Id),
    /// Is anybody there?
    Ping(Id),
    /// Yes.
    Pong(Id),
    /// Publications of these topics are wanted.
    Subscribe(Vec<Text>),
    /// They are wanted no more.
    Unsubscribe(Vec<Text>),
    /// A publication; its topic.
    Publish(Text),
    /// A message for applications.
    Message,
    /// Something of another generation.
    Unknown,
}

/// What a frame from this side means. A fault may be one that ends nothing: `fault::is_harmless`.
pub fn meaning(frame: &Frame, from: Side) -> Result<Meaning, Fault> {
    let header = &frame.header;
    let client = || if from == Side::Client { Ok(()) } else { Err(FaultKind::AioDirection) };
    let found = match header.message_type.as_str() {
        hello @ (HELLO | HELLO_TLS) => {
            client()?;
            if &frame.data[..] != GREETING {
                return Err(FaultKind::AioHello.fault());
            }
            Meaning::Hello { tls: hello == HELLO_TLS, name: Name::of(frame)? }
        }
        CERTIFICATE => certificate(frame, from)?,
        TOKEN => token(frame, from)?,
        ACK => Meaning::Ack(header.transport_id.clone().ok_or(FaultKind::AioAck)?),
        PING if header.await_response => {
            Meaning::Ping(header.request_id.clone().ok_or(FaultKind::AioPing)?)
        }
        PING => Meaning::Pong(header.response_id.clone().ok_or(FaultKind::AioPing)?),
        PUBSUB => {
            client()?;
            pubsub(frame)?
        }
        kind if kind.starts_with('_') => Meaning::Unknown,
        _ => Meaning::Message,
    };
    Ok(found)
}

/// The data as a value, if it is one of the commands.
fn command(data: &Bytes) -> Result<Value, Fault> {
    let refused = || FaultKind::AioCommand.fault();
    if data.len() > DATA_MAX {
        return Err(refused());
    }
    let mut walk = Walk::new(Form::Json, data, DATA);
    let value = Value::read(&mut walk).map_err(|_| refused())?;
    walk.finish().map_err(|_| refused())?;
    Ok(value)
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_text)
}

fn certificate(frame: &Frame, from: Side) -> Result<Meaning, Fault> {
    let value = command(&frame.data)?;
    match (from, text(&value, "cmd")) {
        (Side::Client, Some("get_new_certificate")) => {
            Ok(Meaning::GetCertificate(Name::of(frame)?))
        }
        (Side::Server, Some("set_new_certificate")) => {
            match (text(&value, "crt"), text(&value, "key")) {
                (Some(crt), Some(key)) => {
                    Ok(Meaning::SetCertificate { crt: crt.into(), key: key.into() })
                }
                _ => Err(FaultKind::AioCommand.fault()),
            }
        }
        _ => Err(FaultKind::AioCommand.fault()),
    }
}

fn token(frame: &Frame, from: Side) -> Result<Meaning, Fault> {
    let value = command(&frame.data)?;
    match (from, text(&value, "cmd"), text(&value, "token")) {
        (Side::Client, Some("get_new_token"), _) => Ok(Meaning::GetToken(Name::of(frame)?)),
        (Side::Client, Some("authenticate"), Some(token)) => {
            Ok(Meaning::Authenticate(Name::of(frame)?, token.into()))
        }
        (Side::Server, Some("set_new_token"), Some(token)) => Ok(Meaning::SetToken(token.into())),
        (Side::Server, None, _) if text(&value, "result") == Some("success") => {
            Ok(Meaning::Welcome)
        }
        _ => Err(FaultKind::AioCommand.fault()),
    }
}

fn pubsub(frame: &Frame) -> Result<Meaning, Fault> {
    if let Some(topic) = &frame.header.message_type_publish {
        return Ok(Meaning::Publish(topic.clone()));
    }
    let value = command(&frame.data)?;
    let listed = |key| -> Option<Option<Vec<Text>>> {
        let list = value.get(key)?;
        let texts = list.as_list().map(|all| all.iter().map(Value::as_text));
        Some(texts.and_then(|all| all.map(|text| text.map(Text::from)).collect()))
    };
    match (listed("subscribe_message_types"), listed("unsubscribe_message_types")) {
        (Some(Some(types)), None) => Ok(Meaning::Subscribe(types)),
        (None, Some(Some(types))) => Ok(Meaning::Unsubscribe(types)),
        _ => Err(FaultKind::AioCommand.fault()),
    }
}

/// The frame that says so. What a message, a publication or a ping carries, and what a pong gives
/// back, is the caller's to add; something unknown cannot be said.
#[must_use]
pub fn frame(meaning: &Meaning, source_id: &str) -> Option<Frame> {
    let of = |kind| Frame::of(kind, source_id);
    let command = |pairs: &[(&str, &str)]| {
        let mut object = Object::begin();
        pairs.iter().for_each(|(key, value)| object.text(key, value));
        object.end()
    };
    Some(match meaning {
        Meaning::Hello { tls, name } => {
            let kind = if *tls { HELLO_TLS } else { HELLO };
            Frame::of(kind, name.as_str()).with(GREETING)
        }
        Meaning::GetCertificate(name) => {
            Frame::of(CERTIFICATE, name.as_str()).with(command(&[("cmd", "get_new_certificate")]))
        }
        Meaning::SetCertificate { crt, key } => {
            let (crt, key) = (("crt", crt.as_str()), ("key", key.reveal()));
            of(CERTIFICATE).with(command(&[("cmd", "set_new_certificate"), crt, key]))
        }
        Meaning::GetToken(name) => {
            Frame::of(TOKEN, name.as_str()).with(command(&[("cmd", "get_new_token")]))
        }
        Meaning::SetToken(token) => {
            of(TOKEN).with(command(&[("cmd", "set_new_token"), ("token", token.reveal())]))
        }
        Meaning::Authenticate(name, token) => Frame::of(TOKEN, name.as_str())
            .with(command(&[("cmd", "authenticate"), ("token", token.reveal())])),
        Meaning::Welcome => of(TOKEN).with(command(&[("result", "success")])),
        Meaning::Ack(id) => {
            let mut frame = of(ACK);
            frame.header.transport_id = Some(id.clone());
            frame
        }
        Meaning::Ping(id) => {
            let mut frame = of(PING);
            frame.header.request_id = Some(id.clone());
            frame.header.await_response = true;
            frame
        }
        Meaning::Pong(id) => {
            let mut frame = of(PING);
            frame.header.response_id = Some(id.clone());
            frame
        }
        Meaning::Subscribe(types) => of(PUBSUB).with(listing("subscribe_message_types", types)),
        Meaning::Unsubscribe(types) => of(PUBSUB).with(listing("unsubscribe_message_types", types)),
        Meaning::Publish(topic) => {
            let mut frame = of(PUBSUB);
            frame.header.message_type_publish = Some(topic.clone());
            frame
        }
        Meaning::Message | Meaning::Unknown => return None,
    })
}

fn listing(key: &str, types: &[Text]) -> Vec<u8> {
    let mut list = b"[".to_vec();
    for (n, kind) in types.iter().enumerate() {
        if n > 0 {
            list.extend_from_slice(b", ");
        }
        put_text(&mut list, kind.as_str());
    }
    list.push(b']');
    let mut object = Object::begin();
    object.json(key, Some(list));
    object.end()
}
