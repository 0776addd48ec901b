//! Floor 3. Bytes to packets; pure.
//!
//! A frame is judged by its first bytes: a length that cannot be, or that nobody may send, is a
//! fault before any of the body is waited for. Fields are slices of the input. A body that ends
//! inside a field is a fault too, but by then the whole frame is off the input, so a peer that
//! may ignore it (§14: PubAck, Queue) can go on with the next.
//! Absent on purpose: state, and any judgement of topics, ids or credentials.

use bytes::{Bytes, BytesMut};

use crate::base::reader::{Reader, Short};
use crate::proto::fault::{Fault, FaultKind};

use super::extended::{
    Answer, Cancel, Extended, Register, Request, Response, Unregister, What, how, kind, rflag,
};
use super::packet::{
    Action, ConnAck, Connect, Packet, Publish, QAckCode, Queue, Subscribe, cflag, code, qflag,
};

/// The longest body there is: a Queue with four full blobs.
pub const BODY_MAX: usize = 262_152;

/// Take one packet off the front of `input` when it is whole. `max` bounds the body.
pub fn next(input: &mut BytesMut, max: usize) -> Result<Option<Packet>, Fault> {
    let Some((head, whole)) = measure(input, max)? else {
        return Ok(None);
    };
    if input.len() < whole {
        return Ok(None);
    }
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let mut frame = input.split_to(whole).freeze();
    body(first, frame.split_off(head)).map(Some)
}

/// How long the frame at the front is, head and all, once its length has arrived.
/// `max` bounds the body.
pub fn frame_len(input: &[u8], max: usize) -> Result<Option<usize>, Fault> {
    Ok(measure(input, max)?.map(|(_, whole)| whole))
}

/// Length of the head and of the whole frame. Compared group by group: the verdict falls on the
/// same byte however the input was cut.
fn measure(input: &[u8], max: usize) -> Result<Option<(usize, usize)>, Fault> {
    let Some((&first, lengths)) = input.split_first() else {
        return Ok(None);
    };
    let longest = body_max(first >> 4);
    let mut body = 0usize;
    for (i, &byte) in lengths.iter().take(4).enumerate() {
        body |= usize::from(byte & 0x7f) << (7 * i);
        if body > longest {
            return Err(FaultKind::Prx1TooLong.fault());
        }
        if body > max {
            return Err(FaultKind::Prx1OverMax.fault());
        }
        if byte & 0x80 == 0 {
            return Ok(Some((i + 2, i + 2 + body)));
        }
    }
    if lengths.len() >= 4 {
        return Err(FaultKind::Prx1Length.fault());
    }
    Ok(None)
}

/// The longest body of a code: all its blobs full. Codes without blobs may carry anything, and
/// it is ignored, so they get what any frame may have.
fn body_max(code: u8) -> usize {
    match code {
        code::CONNECT => 196_620,
        code::CONNACK => 65_538,
        code::SUBSCRIBE | code::UNSUBSCRIBE => 65_539,
        code::PUBLISH => 131_076,
        _ => BODY_MAX,
    }
}

fn body(first: u8, body: Bytes) -> Result<Packet, Fault> {
    let r = &mut Reader::new(body);
    let flags = first & 0x0f;
    let (packet, short) = match first >> 4 {
        code::CONNECT => (connect(flags, r).map(Packet::Connect), FaultKind::Prx1ConnectShort),
        code::CONNACK => (connack(flags, r).map(Packet::ConnAck), FaultKind::Prx1ConnAckShort),
        code::QUEUE => (queue(flags, r).map(Packet::Queue), FaultKind::Prx1QueueShort),
        code::QACK => (Ok(qack(flags)), FaultKind::Prx1AckShort),
        code::PUBACK => (r.u16().map(Packet::PubAck), FaultKind::Prx1AckShort),
        code::SUBSCRIBE => {
            (subscribe(flags, r).map(Packet::Subscribe), FaultKind::Prx1SubscribeShort)
        }
        code::SUBACK => (r.u16().map(Packet::SubAck), FaultKind::Prx1AckShort),
        code::UNSUBSCRIBE => {
            (subscribe(flags, r).map(Packet::Unsubscribe), FaultKind::Prx1SubscribeShort)
        }
        code::UNSUBACK => (r.u16().map(Packet::UnsubAck), FaultKind::Prx1AckShort),
        code::PUBLISH => (publish(flags, r).map(Packet::Publish), FaultKind::Prx1PublishShort),
        code::PING => return Ok(Packet::Ping),
        code::PONG => return Ok(Packet::Pong),
        code::DISCONNECT => return Ok(Packet::Disconnect),
        code::EXTENDED => (extended(r), FaultKind::Prx1ExtendedShort),
        code => return Ok(Packet::Unknown { code }),
    };
    packet.map_err(|Short| short.fault())
}

fn connect(flags: u8, r: &mut Reader) -> Result<Connect, Short> {
    let version = r.blob16()?;
    // The high nibble is ignored, as the original does.
    let has = r.u8()?;
    Ok(Connect {
        clean_start: flags & 0b1000 != 0,
        version,
        password: blob_if(has & cflag::PASSWORD != 0, r)?,
        client_id: blob_if(has & cflag::CLIENT_ID != 0, r)?,
        keepalive: if has & cflag::KEEPALIVE == 0 { None } else { Some(r.u16()?) },
        username: blob_if(has & cflag::USERNAME != 0, r)?,
    })
}

fn connack(flags: u8, r: &mut Reader) -> Result<ConnAck, Short> {
    Ok(ConnAck {
        session_present: flags & 0b1000 != 0,
        clean_start: flags & 0b0010 != 0,
        result: r.u8()?,
        session_id: blob_if(flags & 0b0100 != 0, r)?,
    })
}

/// The options word is always read: the original writes it always, and then reads it only when
/// bit 3 says so, which makes its own "mark only" frames unreadable to itself.
fn queue(flags: u8, r: &mut Reader) -> Result<Queue, Short> {
    let has = r.u16()?;
    Ok(Queue {
        dup: flags & 0b0100 != 0,
        action: match has & qflag::ACTION {
            0 => Action::Initialize,
            1 => Action::Destroy,
            2 => Action::Drain,
            _ => Action::None,
        },
        id: if has & qflag::ID == 0 { None } else { Some(r.u16()?) },
        address: blob_if(has & qflag::ADDRESS != 0, r)?,
        return_path: blob_if(has & qflag::RETURN_PATH != 0, r)?,
        mark: blob_if(has & qflag::MARK != 0, r)?,
        message: blob_if(flags & 0b0010 != 0, r)?,
    })
}

fn qack(flags: u8) -> Packet {
    match flags {
        0 => Packet::QAck(QAckCode::None),
        1 => Packet::QAck(QAckCode::Ok),
        2 => Packet::QAck(QAckCode::Error),
        _ => Packet::Unknown { code: code::QACK },
    }
}

fn subscribe(flags: u8, r: &mut Reader) -> Result<Subscribe, Short> {
    let qos = (flags >> 1) & 3;
    Ok(Subscribe {
        dup: flags & 0b1000 != 0,
        qos,
        retain: flags & 1 != 0,
        id: if qos == 0 { 0 } else { r.u16()? },
        topic: r.blob16()?,
    })
}

fn publish(flags: u8, r: &mut Reader) -> Result<Publish, Short> {
    let qos = (flags >> 1) & 3;
    Ok(Publish {
        dup: flags & 0b1000 != 0,
        qos,
        retain: flags & 1 != 0,
        id: if qos == 0 { 0 } else { r.u16()? },
        topic: r.blob16()?,
        payload: r.blob16()?,
    })
}

/// A kind that nobody knows yet has no meaning, whatever else the frame holds.
fn extended(r: &mut Reader) -> Result<Packet, Short> {
    const UNKNOWN: Packet = Packet::Unknown { code: code::EXTENDED };
    if r.left() == 0 {
        return Ok(UNKNOWN);
    }
    Ok(Packet::Extended(match r.u8()? {
        kind::REGISTER => {
            Extended::Register(Register { id: r.u16()?, share: r.u8()?, topic: r.blob16()? })
        }
        kind::UNREGISTER => Extended::Unregister(Unregister { id: r.u16()?, topic: r.blob16()? }),
        kind::ANSWER => Extended::Answer(Answer { id: r.u16()?, reason: r.u8()? }),
        kind::REQUEST => Extended::Request(request(r)?),
        kind::RESPONSE => match response(r)? {
            Some(it) => Extended::Response(it),
            None => return Ok(UNKNOWN),
        },
        kind::CANCEL => Extended::Cancel(Cancel { id: r.u64()?, mode: r.u8()? }),
        _ => return Ok(UNKNOWN),
    }))
}

fn request(r: &mut Reader) -> Result<Request, Short> {
    let (id, has) = (r.u64()?, r.u8()?);
    Ok(Request {
        id,
        timeout_ms: if has & rflag::TIMEOUT == 0 { 0 } else { r.u32()? },
        many: if has & rflag::MANY == 0 { None } else { Some(r.u16()?) },
        pieces: has & rflag::PIECES != 0,
        topic: r.blob16()?,
        payload: r.blob16()?,
    })
}

fn response(r: &mut Reader) -> Result<Option<Response>, Short> {
    let (id, said) = (r.u64()?, r.u8()?);
    let what = match said {
        how::FINAL => What::Final(r.blob16()?),
        how::PIECE => What::Piece(r.blob16()?),
        how::ERROR => What::Error { reason: r.u8()?, name: r.blob16()?, payload: r.blob16()? },
        how::GATHERED => What::Gathered { asked: r.u16()?, answered: r.u16()?, failed: r.u16()? },
        _ => return Ok(None),
    };
    Ok(Some(Response { id, what }))
}

fn blob_if(present: bool, r: &mut Reader) -> Result<Option<Bytes>, Short> {
    if present { r.blob16().map(Some) } else { Ok(None) }
}
