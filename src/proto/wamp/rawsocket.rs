//! Floor 3. RawSocket: four octets to agree, then frames with a head of four.
//!
//! ```text
//! 7F LS 00 00      the client takes up to 2^(9+L) octets, and wants serializer S
//! 7F LS 00 00      the router's own L and the same S; or 7F E0 00 00, and why not
//! RRRR X TTT       R zero; X: exactly 16 MiB; T: 0 message, 1 PING, 2 PONG
//! length           three octets, the highest first; zero with X
//! ```
//!
//! `0x7F` begins no other protocol, so a port can be shared. Absent on purpose: what a PING is
//! answered with (its payload, by whoever reads frames), and sockets.

use bytes::{Buf, Bytes, BytesMut};

use crate::proto::fault::FaultKind;
use crate::value::Form;

/// What a handshake begins with, and nothing else that is spoken here.
pub const MAGIC: u8 = 0x7F;
/// Octets of a handshake, either way, and of the head of a frame.
pub const HEAD: usize = 4;
/// The longest frame there is.
pub const LONGEST: usize = 1 << 24;
/// The least that a side can say it takes.
pub const SHORTEST: usize = 1 << 9;

const EXACTLY_16_MIB: u8 = 0x08;

/// What one side says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Messages up to this length are taken.
    pub takes: usize,
    /// They are written so.
    pub form: Form,
}

impl Offer {
    /// The four octets, from either side. The length is said as the next lower power of two.
    #[must_use]
    pub fn octets(self) -> [u8; HEAD] {
        let takes = self.takes.clamp(SHORTEST, LONGEST);
        let power = (takes.ilog2() - SHORTEST.ilog2()) as u8;
        [MAGIC, power << 4 | serializer(self.form), 0, 0]
    }
}

const fn serializer(form: Form) -> u8 {
    match form {
        Form::Json => 1,
        Form::MsgPack => 2,
        Form::Cbor => 3,
    }
}

const fn form_of(serializer: u8) -> Option<Form> {
    match serializer {
        1 => Some(Form::Json),
        2 => Some(Form::MsgPack),
        3 => Some(Form::Cbor),
        _ => None,
    }
}

/// Why a router will not speak, as it is said in the high half of the second octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// A serializer that it has not.
    Serializer = 1,
    /// A length that it does not accept.
    Length = 2,
    /// Bits that must be zero.
    Reserved = 3,
    /// Too many connections.
    Crowded = 4,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Serializer, Self::Length, Self::Reserved, Self::Crowded];

    /// The four octets.
    #[must_use]
    pub const fn octets(self) -> [u8; HEAD] {
        [MAGIC, (self as u8) << 4, 0, 0]
    }
}

/// What a client's handshake is refused for; some are worth an answer before the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unfit {
    /// The rule that was broken.
    pub kind: FaultKind,
    /// What to answer.
    pub answer: Option<Refusal>,
}

/// The router's side: what a client offers; none while octets are missing.
pub fn offered(octets: &[u8]) -> Result<Option<Offer>, Unfit> {
    let silent = |kind| Unfit { kind, answer: None };
    let told = |kind, refusal| Unfit { kind, answer: Some(refusal) };
    if octets.first().is_some_and(|first| *first != MAGIC) {
        return Err(silent(FaultKind::RawMagic));
    }
    let Some(&[_, offer, zeros @ ..]) = octets.first_chunk::<HEAD>() else { return Ok(None) };
    if offer & 0x0F == 0 {
        return Err(silent(FaultKind::RawMagic));
    }
    if zeros != [0, 0] {
        return Err(told(FaultKind::RawReserved, Refusal::Reserved));
    }
    match form_of(offer & 0x0F) {
        Some(form) => Ok(Some(Offer { takes: SHORTEST << (offer >> 4), form })),
        None => Err(told(FaultKind::RawSerializer, Refusal::Serializer)),
    }
}

/// What a client makes of an answer that is no agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It does not speak RawSocket.
    Foreign,
    /// It says why; a number that has no meaning stays one.
    Refused(u8),
    /// It agreed to what was not asked.
    Otherwise,
}

/// The client's side: what the router takes; none while octets are missing.
pub fn answered(octets: &[u8], asked: Form) -> Result<Option<Offer>, Denied> {
    if octets.first().is_some_and(|first| *first != MAGIC) {
        return Err(Denied::Foreign);
    }
    let Some(&[_, answer, zeros @ ..]) = octets.first_chunk::<HEAD>() else { return Ok(None) };
    match answer & 0x0F {
        0 => Err(Denied::Refused(answer >> 4)),
        it if it != serializer(asked) || zeros != [0, 0] => Err(Denied::Otherwise),
        _ => Ok(Some(Offer { takes: SHORTEST << (answer >> 4), form: asked })),
    }
}

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// One message.
    Message(Bytes),
    /// To be sent back as a PONG.
    Ping(Bytes),
    /// What a PING came to.
    Pong(Bytes),
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// One message.
    Message = 0,
    /// To be sent back.
    Ping = 1,
    /// Sent back.
    Pong = 2,
}

/// The head of a frame; none for one that is too long for any.
#[must_use]
pub fn head(kind: Kind, len: usize) -> Option<[u8; HEAD]> {
    if len == LONGEST {
        return Some([EXACTLY_16_MIB | kind as u8, 0, 0, 0]);
    }
    let [0, a, b, c] = u32::try_from(len).ok()?.to_be_bytes() else { return None };
    Some([kind as u8, a, b, c])
}

/// What the first frame is and how long its payload is; none while its head is not whole. What is
/// wrong is said as soon as it is seen. `takes` is what this side said that it takes.
pub fn announced(input: &[u8], takes: usize) -> Result<Option<(Kind, usize)>, FaultKind> {
    let Some(&first) = input.first() else { return Ok(None) };
    let kind = match first & 0x07 {
        0 => Kind::Message,
        1 => Kind::Ping,
        2 => Kind::Pong,
        _ => return Err(FaultKind::RawFrame),
    };
    if first & 0xF0 != 0 {
        return Err(FaultKind::RawFrame);
    }
    let Some(&[_, a, b, c]) = input.first_chunk::<HEAD>() else { return Ok(None) };
    let mut len = u32::from_be_bytes([0, a, b, c]) as usize;
    if first & EXACTLY_16_MIB != 0 {
        if len != 0 {
            return Err(FaultKind::RawFrame);
        }
        len = LONGEST;
    }
    if len > takes { Err(FaultKind::RawOverMax) } else { Ok(Some((kind, len))) }
}

/// Take the first frame, if it is whole.
pub fn next(input: &mut BytesMut, takes: usize) -> Result<Option<Frame>, FaultKind> {
    let Some((kind, len)) = announced(input, takes)? else { return Ok(None) };
    if input.len() - HEAD < len {
        return Ok(None);
    }
    input.advance(HEAD);
    let payload = input.split_to(len).freeze();
    Ok(Some(match kind {
        Kind::Message => Frame::Message(payload),
        Kind::Ping => Frame::Ping(payload),
        Kind::Pong => Frame::Pong(payload),
    }))
}
