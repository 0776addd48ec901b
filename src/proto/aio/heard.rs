//! Floor 3. What becomes of a frame that came: the order in which it is looked at, in one place.
//!
//! ```text
//! who     a stranger says who it is and nothing else; whoever has said so says it once
//! whose   a frame that names another than its connection is passed over, and not even answered
//! ack     an acknowledgement is for whoever waits for it
//! ping    is answered at once, whatever else is the matter
//! number  what has one is acknowledged, whatever becomes of it
//! type    what nobody here takes is passed over
//! file    a description that makes no sense costs its message
//! answer  or message, publication, subscription
//! ```
//!
//! The order is the specification's (section 5), but for the first two, which the original has
//! only under TLS (12, items 3 and 4). Absent on purpose: state, what is done about any of it, and
//! whether anybody waits for an answer (`answers`).

use crate::proto::fault::{Fault, FaultKind};

use super::fault::is_harmless;
use super::file::WithFile;
use super::inner::{Meaning, Side, frame as said, meaning};
use super::names::Name;
use super::packet::{Frame, Id, Text};

/// Who listens, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Listening<'a> {
    /// What this end calls itself.
    pub me: &'a str,
    /// Which end the other is.
    pub from: Side,
    /// Which client it is; none if nobody knows yet. What a server is called is not held against
    /// what it says: it is an address, and may be written in several ways.
    pub name: Option<&'a Name>,
    /// Nothing of it is wanted now, but that acknowledgements and pings go on.
    pub ignored: bool,
}

/// What came, and what is to be said to it at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// An acknowledgement, or the answer to a ping.
    pub say: Option<Frame>,
    /// What is to be done.
    pub what: What,
}

/// What is to be done about a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Nothing.
    Nothing(Why),
    /// About a name: hello, a certificate or a token.
    Login(Meaning),
    /// The other side has what had this number.
    Acked(Id),
    /// An answer to whoever waits for it, else a message like others.
    Answer(Frame),
    /// A message.
    Message(Frame),
    /// A publication to this topic.
    Publish(Text, Frame),
    /// Publications are wanted.
    Subscribe(Vec<Text>),
    /// They are wanted no more.
    Unsubscribe(Vec<Text>),
}

/// Why nothing is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// It was a ping, and is answered.
    Pinged,
    /// It names another client than its connection is.
    Foreign,
    /// Nobody listens to that one now.
    Ignored,
    /// Nobody here takes this type.
    Type,
    /// It is senseless in itself.
    Senseless,
}

/// Look at a frame. `takes` says which types are for applications here. A fault ends the
/// connection.
pub fn hear(
    mut frame: Frame,
    on: Listening<'_>,
    takes: impl Fn(&str) -> bool,
) -> Result<Heard, Fault> {
    let meant = match meaning(&frame, on.from) {
        Ok(meant) => meant,
        // Of a stranger nothing is harmless.
        Err(why) if is_harmless(&why) && knows(on) => return Ok(nothing(None, Why::Senseless)),
        Err(why) => return Err(why),
    };
    if let Meaning::Hello { .. }
    | Meaning::GetCertificate(_)
    | Meaning::SetCertificate { .. }
    | Meaning::GetToken(_)
    | Meaning::SetToken(_)
    | Meaning::Authenticate(..)
    | Meaning::Welcome = meant
    {
        // A client that had a name could have two; a server may hand things out whenever.
        if on.name.is_some() {
            return Err(FaultKind::AioFirst.fault());
        }
        return Ok(Heard { say: None, what: What::Login(meant) });
    }
    if !knows(on) {
        return Err(FaultKind::AioFirst.fault());
    }
    let source = frame.header.source_id.as_ref().map(Text::as_str);
    if on.name.is_some_and(|name| source != Some(name.as_str())) {
        return Ok(nothing(None, Why::Foreign));
    }
    match meant {
        Meaning::Ack(id) => return Ok(Heard { say: None, what: What::Acked(id) }),
        Meaning::Ping(id) => return Ok(nothing(pong(id, frame, on.me), Why::Pinged)),
        _ => {}
    }
    let number = frame.header.transport_id.take();
    let say = number.and_then(|id| said(&Meaning::Ack(id), on.me));
    if on.ignored {
        return Ok(nothing(say, Why::Ignored));
    }
    let kind = frame.header.message_type.as_str();
    if meant == Meaning::Unknown || meant == Meaning::Message && !takes(kind) {
        return Ok(nothing(say, Why::Type));
    }
    if WithFile::of(&frame).is_err() {
        return Ok(nothing(say, Why::Senseless));
    }
    let what = match meant {
        Meaning::Publish(topic) => What::Publish(topic, frame),
        Meaning::Subscribe(types) => What::Subscribe(types),
        Meaning::Unsubscribe(types) => What::Unsubscribe(types),
        _ if frame.header.response_id.is_some() => What::Answer(frame),
        _ => What::Message(frame),
    };
    Ok(Heard { say, what })
}

/// It is known who the other is: a server is who was called.
fn knows(on: Listening<'_>) -> bool {
    on.from == Side::Server || on.name.is_some()
}

fn nothing(say: Option<Frame>, why: Why) -> Heard {
    Heard { say, what: What::Nothing(why) }
}

/// What came, back again.
fn pong(id: Id, ping: Frame, me: &str) -> Option<Frame> {
    let pong = said(&Meaning::Pong(id), me)?;
    Some(Frame { data: ping.data, binary: ping.binary, ..pong })
}
