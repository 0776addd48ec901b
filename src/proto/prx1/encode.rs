//! Floor 3. Packets to bytes; pure.
//!
//! Every blob is measured before the first byte is written, so a refused packet leaves nothing
//! behind and a count can never wrap. Lengths are minimal. Absent on purpose: flags and packets
//! without a meaning; what arrives as `Unknown` cannot be said again.

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::outbound::Outbound;

use super::extended::{Extended, Request, Response, What, how, kind, rflag};
use super::packet::{
    Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe, cflag, code, qflag,
};

/// Why a packet cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsendable {
    /// A blob longer than its count can tell: 65,535 bytes.
    TooLong,
    /// No such packet: an unknown code, or a Queue without an action.
    Meaningless,
}

/// Append one packet, or nothing.
pub fn encode(packet: &Packet, out: &mut Outbound) -> Result<(), Unsendable> {
    match packet {
        Packet::Connect(p) => connect(p, out),
        Packet::ConnAck(p) => connack(p, out),
        Packet::Queue(p) => queue(p, out),
        Packet::QAck(result) => {
            let flags = match result {
                QAckCode::None => 0,
                QAckCode::Ok => 1,
                QAckCode::Error => 2,
            };
            out.put_slice(&[code::QACK << 4 | flags, 0]);
            Ok(())
        }
        Packet::PubAck(id) => ack(code::PUBACK, *id, out),
        Packet::Subscribe(p) => subscribe(code::SUBSCRIBE, p, out),
        Packet::SubAck(id) => ack(code::SUBACK, *id, out),
        Packet::Unsubscribe(p) => subscribe(code::UNSUBSCRIBE, p, out),
        Packet::UnsubAck(id) => ack(code::UNSUBACK, *id, out),
        Packet::Publish(p) => publish(p, out),
        Packet::Ping => empty(code::PING, out),
        Packet::Pong => empty(code::PONG, out),
        Packet::Disconnect => empty(code::DISCONNECT, out),
        Packet::Extended(it) => extended(it, out),
        Packet::Unknown { .. } => Err(Unsendable::Meaningless),
    }
}

/// One packet as bytes of its own.
pub fn encode_vec(packet: &Packet) -> Result<Vec<u8>, Unsendable> {
    let mut out = Outbound::default();
    encode(packet, &mut out)?;
    Ok(out.to_vec())
}

/// Everything of a Publish but its payload, which the caller appends (`put_bytes`): the hot path
/// copies small payloads into the scratch and shares large ones. `id` travels iff `qos` is not 0.
pub fn publish_head(
    out: &mut Outbound,
    dup: bool,
    qos: u8,
    retain: bool,
    id: u16,
    topic: &[u8],
    payload_len: usize,
) -> Result<(), Unsendable> {
    let topic_len = count(topic.len())?;
    let payload_count = count(payload_len)?;
    let id_len = if qos & 3 == 0 { 0 } else { 2 };
    head(
        out,
        code::PUBLISH,
        message_flags(dup, qos, retain),
        id_len + 4 + topic.len() + payload_len,
    );
    if id_len != 0 {
        out.put_u16(id);
    }
    out.put_u16(topic_len);
    out.put_slice(topic);
    out.put_u16(payload_count);
    Ok(())
}

fn publish(p: &Publish, out: &mut Outbound) -> Result<(), Unsendable> {
    publish_head(out, p.dup, p.qos, p.retain, p.id, &p.topic, p.payload.len())?;
    out.put_bytes(&p.payload);
    Ok(())
}

fn connect(p: &Connect, out: &mut Outbound) -> Result<(), Unsendable> {
    let mut len = 2 + usize::from(count(p.version.len())?) + 1;
    let mut has = 0;
    for (field, bit) in [
        (&p.password, cflag::PASSWORD),
        (&p.client_id, cflag::CLIENT_ID),
        (&p.username, cflag::USERNAME),
    ] {
        if let Some(blob) = field {
            has |= bit;
            len += 2 + usize::from(count(blob.len())?);
        }
    }
    if p.keepalive.is_some() {
        has |= cflag::KEEPALIVE;
        len += 2;
    }
    head(out, code::CONNECT, u8::from(p.clean_start) << 3, len);
    put_blob(out, Some(&p.version));
    out.put_u8(has);
    put_blob(out, p.password.as_ref());
    put_blob(out, p.client_id.as_ref());
    if let Some(seconds) = p.keepalive {
        out.put_u16(seconds);
    }
    put_blob(out, p.username.as_ref());
    Ok(())
}

fn connack(p: &ConnAck, out: &mut Outbound) -> Result<(), Unsendable> {
    let mut len = 1;
    if let Some(id) = &p.session_id {
        len += 2 + usize::from(count(id.len())?);
    }
    let flags = u8::from(p.session_present) << 3
        | u8::from(p.session_id.is_some()) << 2
        | u8::from(p.clean_start) << 1;
    head(out, code::CONNACK, flags, len);
    out.put_u8(p.result);
    put_blob(out, p.session_id.as_ref());
    Ok(())
}

/// Bit 3 ("the options word counts") is always set; the original forgets it for some frames and
/// cannot read them back.
fn queue(p: &Queue, out: &mut Outbound) -> Result<(), Unsendable> {
    let mut has = match p.action {
        Action::Initialize => 0,
        Action::Destroy => 1,
        Action::Drain => 2,
        Action::None => return Err(Unsendable::Meaningless),
    };
    let mut len = 2;
    if p.id.is_some() {
        has |= qflag::ID;
        len += 2;
    }
    // The presence of the message is told by the head, not by the word.
    for (field, bit) in [
        (&p.address, qflag::ADDRESS),
        (&p.return_path, qflag::RETURN_PATH),
        (&p.mark, qflag::MARK),
        (&p.message, 0),
    ] {
        if let Some(blob) = field {
            has |= bit;
            len += 2 + usize::from(count(blob.len())?);
        }
    }
    let flags = 0b1000 | u8::from(p.dup) << 2 | u8::from(p.message.is_some()) << 1;
    head(out, code::QUEUE, flags, len);
    out.put_u16(has);
    if let Some(id) = p.id {
        out.put_u16(id);
    }
    for field in [&p.address, &p.return_path, &p.mark, &p.message] {
        put_blob(out, field.as_ref());
    }
    Ok(())
}

fn subscribe(code: u8, p: &Subscribe, out: &mut Outbound) -> Result<(), Unsendable> {
    let topic_len = usize::from(count(p.topic.len())?);
    let id_len = if p.qos & 3 == 0 { 0 } else { 2 };
    head(out, code, message_flags(p.dup, p.qos, p.retain), id_len + 2 + topic_len);
    if id_len != 0 {
        out.put_u16(p.id);
    }
    put_blob(out, Some(&p.topic));
    Ok(())
}

fn extended(it: &Extended, out: &mut Outbound) -> Result<(), Unsendable> {
    match it {
        Extended::Register(it) => {
            let [high, low] = it.id.to_be_bytes();
            fields(&[kind::REGISTER, high, low, it.share], &[&it.topic], out)
        }
        Extended::Unregister(it) => {
            let [high, low] = it.id.to_be_bytes();
            fields(&[kind::UNREGISTER, high, low], &[&it.topic], out)
        }
        Extended::Answer(it) => {
            let [high, low] = it.id.to_be_bytes();
            fields(&[kind::ANSWER, high, low, it.reason], &[], out)
        }
        Extended::Request(it) => request(it, out),
        Extended::Response(it) => response(it, out),
        Extended::Cancel(it) => {
            let mut first = numbered(kind::CANCEL, it.id);
            first.push(it.mode);
            fields(&first, &[], out)
        }
    }
}

fn request(it: &Request, out: &mut Outbound) -> Result<(), Unsendable> {
    let mut first = numbered(kind::REQUEST, it.id);
    let has = |there: bool, bit| if there { bit } else { 0 };
    first.push(
        has(it.timeout_ms > 0, rflag::TIMEOUT)
            | has(it.many.is_some(), rflag::MANY)
            | has(it.pieces, rflag::PIECES),
    );
    if it.timeout_ms > 0 {
        first.extend_from_slice(&it.timeout_ms.to_be_bytes());
    }
    if let Some(count) = it.many {
        first.extend_from_slice(&count.to_be_bytes());
    }
    fields(&first, &[&it.topic, &it.payload], out)
}

fn response(it: &Response, out: &mut Outbound) -> Result<(), Unsendable> {
    let mut first = numbered(kind::RESPONSE, it.id);
    match &it.what {
        What::Final(payload) => {
            first.push(how::FINAL);
            fields(&first, &[payload], out)
        }
        What::Piece(payload) => {
            first.push(how::PIECE);
            fields(&first, &[payload], out)
        }
        What::Error { reason, name, payload } => {
            first.extend_from_slice(&[how::ERROR, *reason]);
            fields(&first, &[name, payload], out)
        }
        What::Gathered { asked, answered, failed } => {
            first.push(how::GATHERED);
            for count in [asked, answered, failed] {
                first.extend_from_slice(&count.to_be_bytes());
            }
            fields(&first, &[], out)
        }
    }
}

fn numbered(kind: u8, id: u64) -> SmallVec<[u8; 24]> {
    let mut first = SmallVec::new();
    first.push(kind);
    first.extend_from_slice(&id.to_be_bytes());
    first
}

/// An extended frame: what is of fixed length, then blobs.
fn fields(first: &[u8], blobs: &[&Bytes], out: &mut Outbound) -> Result<(), Unsendable> {
    let mut len = first.len();
    for blob in blobs {
        len += 2 + usize::from(count(blob.len())?);
    }
    head(out, code::EXTENDED, 0, len);
    out.put_slice(first);
    for blob in blobs {
        put_blob(out, Some(blob));
    }
    Ok(())
}

fn ack(code: u8, id: u16, out: &mut Outbound) -> Result<(), Unsendable> {
    let [high, low] = id.to_be_bytes();
    out.put_slice(&[code << 4, 2, high, low]);
    Ok(())
}

fn empty(code: u8, out: &mut Outbound) -> Result<(), Unsendable> {
    out.put_slice(&[code << 4, 0]);
    Ok(())
}

fn message_flags(dup: bool, qos: u8, retain: bool) -> u8 {
    u8::from(dup) << 3 | (qos & 3) << 1 | u8::from(retain)
}

fn head(out: &mut Outbound, code: u8, flags: u8, mut len: usize) {
    // At most four full blobs: three length bytes and the code.
    let mut bytes = [code << 4 | flags, 0, 0, 0, 0];
    let mut used = 1;
    for slot in bytes.iter_mut().skip(1) {
        *slot = (len & 0x7f) as u8;
        len >>= 7;
        used += 1;
        if len == 0 {
            break;
        }
        *slot |= 0x80;
    }
    out.put_slice(bytes.get(..used).unwrap_or(&bytes));
}

fn put_blob(out: &mut Outbound, blob: Option<&Bytes>) {
    if let Some(blob) = blob {
        // Measured by `count` before anything was written.
        out.put_u16(blob.len() as u16);
        out.put_bytes(blob);
    }
}

fn count(len: usize) -> Result<u16, Unsendable> {
    u16::try_from(len).map_err(|_| Unsendable::TooLong)
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a field is longer than 65,535 bytes",
            Self::Meaningless => "there is no such packet",
        })
    }
}

impl std::error::Error for Unsendable {}
