//! Floor 3. Bytes to packets; pure, and strict.
//!
//! A packet is judged as early as it can be: its first byte (type, direction, flags), then its
//! length, group by group, before any of the body is waited for. Fields are slices of the input.
//! Whatever the standard calls malformed and can be seen in one packet is a fault here, so who
//! holds a [`Packet`] holds a well-formed one. Absent on purpose: state (whether an id is in use,
//! an alias known, a filter granted), and the grammar of filters, which the dialect reads.

use bytes::{Buf, BytesMut};
use smallvec::SmallVec;

use crate::base::reader::Reader;
use crate::proto::fault::{Fault, FaultKind};

use super::arrived::Arrived;
use super::fault::{Codebook, is_code};
use super::packet::{
    Ack, Asked, Codes, ConnAck, Connect, Packet, Reason, Sender, Subscribe, Unsubscribe, Version,
    Will, cflag, code, opt,
};
use super::props::{Place, Props, is_wild, short, take_text};

/// A packet that was taken off the front of the input.
#[derive(Debug)]
pub(super) enum Taken {
    /// The most frequent one, as it lies there.
    Publish(Arrived),
    /// The acknowledgement of a delivery, which says nothing but its number.
    PubAck(u16),
    /// Any other.
    Packet(Packet),
}

/// Take one packet off the front of `input` when it is whole. `max` bounds the packet, head and
/// all. Without a version only a client's CONNECT may come; with one, no CONNECT.
pub fn next(
    input: &mut BytesMut,
    version: Option<Version>,
    from: Sender,
    max: usize,
) -> Result<Option<Packet>, Fault> {
    let taken = take(input, version, from, max, |_| false)?;
    Ok(taken.map(|taken| match taken {
        Taken::Publish(publish) => Packet::Publish(publish.into_publish()),
        Taken::PubAck(id) => Packet::PubAck(Ack::plain(id)),
        Taken::Packet(packet) => packet,
    }))
}

/// The same, leaving a PUBLISH where it lies. `known` is asked about its text: is it that of a
/// topic which was found to be a good one before?
#[inline]
pub(super) fn take(
    input: &mut BytesMut,
    version: Option<Version>,
    from: Sender,
    max: usize,
    known: impl FnOnce(&[u8]) -> bool,
) -> Result<Option<Taken>, Fault> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let speaks = judge(first, version, from)?;
    let longest = body_max(first >> 4, speaks);
    let Some((head, whole)) = measure(input, longest, max)? else {
        return Ok(None);
    };
    if input.len() < whole {
        return Ok(None);
    }
    if let (code::PUBACK, &[_, 2, high, low, ..]) = (first >> 4, &input[..]) {
        // The plainest of them, and of many readers every other packet: nothing of it is kept.
        input.advance(whole);
        return match u16::from_be_bytes([high, low]) {
            0 => fault(FaultKind::MqttPacketId),
            id => Ok(Some(Taken::PubAck(id))),
        };
    }
    let mut packet = input.split_to(whole).freeze();
    if first >> 4 == code::PUBLISH {
        return Arrived::read(packet, head, speaks, from, known).map(|p| Some(Taken::Publish(p)));
    }
    let mut r = Reader::new(packet.split_off(head));
    let packet = body(first, &mut r, speaks, from)?;
    match r.left() {
        0 => Ok(Some(Taken::Packet(packet))),
        _ => fault(FaultKind::MqttTrailing),
    }
}

/// How long the packet at the front is, head and all, once its length has arrived.
pub fn frame_len(input: &[u8], max: usize) -> Result<Option<usize>, Fault> {
    Ok(measure(input, usize::MAX, max)?.map(|(_, whole)| whole))
}

/// Length of the head and of the whole packet. Compared group by group: the verdict falls on the
/// same byte however the input was cut.
fn measure(input: &[u8], longest: usize, max: usize) -> Result<Option<(usize, usize)>, Fault> {
    let lengths = input.get(1..).unwrap_or_default();
    let mut body = 0usize;
    for (i, &byte) in lengths.iter().take(4).enumerate() {
        body |= usize::from(byte & 0x7f) << (7 * i);
        if byte == 0 && i > 0 {
            return fault(FaultKind::MqttLength);
        }
        if body > longest {
            return fault(FaultKind::MqttTrailing);
        }
        let head = i + 2;
        if head + body > max {
            return fault(FaultKind::MqttOverMax);
        }
        if byte & 0x80 == 0 {
            return Ok(Some((head, head + body)));
        }
    }
    if lengths.len() >= 4 {
        return fault(FaultKind::MqttLength);
    }
    Ok(None)
}

/// What the first byte alone tells. Answers the version to read the body with, which for a
/// CONNECT only the body can say.
fn judge(first: u8, version: Option<Version>, from: Sender) -> Result<Version, Fault> {
    let (code, flags) = (first >> 4, first & 0x0f);
    let Some(version) = version else {
        return match (code, flags, from) {
            (0, ..) => fault(FaultKind::MqttType),
            (code::CONNECT, 0, Sender::Client) => Ok(Version::V5),
            (code::CONNECT, _, Sender::Client) => fault(FaultKind::MqttFlags),
            _ => fault(FaultKind::MqttFirstPacket),
        };
    };
    let v5 = version == Version::V5;
    let may_send = match code {
        code::CONNECT | code::SUBSCRIBE | code::UNSUBSCRIBE | code::PINGREQ => {
            from == Sender::Client
        }
        code::CONNACK | code::SUBACK | code::UNSUBACK | code::PINGRESP => from == Sender::Server,
        code::DISCONNECT => v5 || from == Sender::Client,
        code::AUTH if v5 => true,
        0 | code::AUTH => return fault(FaultKind::MqttType),
        _ => true,
    };
    if !may_send {
        return fault(FaultKind::MqttDirection);
    }
    match code {
        code::CONNECT => fault(FaultKind::MqttSecondConnect),
        code::PUBLISH => match (flags >> 1) & 3 {
            3 => fault(FaultKind::MqttQos3),
            0 if flags & 8 != 0 => fault(FaultKind::MqttDupQos0),
            _ => Ok(version),
        },
        code::PUBREL | code::SUBSCRIBE | code::UNSUBSCRIBE => {
            // 3.1 sends these at QoS 1 and may say that it sends them again.
            let again = if version == Version::V31 { 8 } else { 0 };
            if flags & !again == 2 { Ok(version) } else { fault(FaultKind::MqttFlags) }
        }
        _ if flags == 0 => Ok(version),
        _ => fault(FaultKind::MqttFlags),
    }
}

/// The longest body of a packet whose length is no secret: no need to wait for the rest.
fn body_max(code: u8, version: Version) -> usize {
    match code {
        code::PINGREQ | code::PINGRESP => 0,
        _ if version == Version::V5 => usize::MAX,
        code::DISCONNECT => 0,
        code::CONNACK
        | code::PUBACK
        | code::PUBREC
        | code::PUBREL
        | code::PUBCOMP
        | code::UNSUBACK => 2,
        _ => usize::MAX,
    }
}

fn body(first: u8, r: &mut Reader, v: Version, from: Sender) -> Result<Packet, Fault> {
    match first >> 4 {
        code::CONNECT => connect(r).map(|c| Packet::Connect(Box::new(c))),
        code::CONNACK => connack(r, v).map(Packet::ConnAck),
        code::PUBACK => ack(r, v, Codebook::PubAck).map(Packet::PubAck),
        code::PUBREC => ack(r, v, Codebook::PubAck).map(Packet::PubRec),
        code::PUBREL => ack(r, v, Codebook::PubRel).map(Packet::PubRel),
        code::PUBCOMP => ack(r, v, Codebook::PubRel).map(Packet::PubComp),
        code::SUBSCRIBE => subscribe(r, v).map(Packet::Subscribe),
        code::SUBACK => codes(r, v, Codebook::SubAck).map(Packet::SubAck),
        code::UNSUBSCRIBE => unsubscribe(r, v).map(Packet::Unsubscribe),
        code::UNSUBACK => codes(r, v, Codebook::UnsubAck).map(Packet::UnsubAck),
        code::PINGREQ => Ok(Packet::PingReq),
        code::PINGRESP => Ok(Packet::PingResp),
        code::DISCONNECT => disconnect(r, v, from).map(Packet::Disconnect),
        code::AUTH => auth(r, from).map(Packet::Auth),
        _ => fault(FaultKind::MqttType),
    }
}

fn connect(r: &mut Reader) -> Result<Connect, Fault> {
    let name = r.blob16().map_err(short)?;
    if !matches!(&name[..], b"MQTT" | b"MQIsdp") {
        return fault(FaultKind::MqttProtocolName);
    }
    let (version, bridge) = match (&name[..], r.u8().map_err(short)?) {
        (b"MQIsdp", 3) => (Version::V31, false),
        (b"MQIsdp", 0x83) => (Version::V31, true),
        (b"MQTT", 4) => (Version::V311, false),
        (b"MQTT", 0x84) => (Version::V311, true),
        (b"MQTT", 5) => (Version::V5, false),
        _ => return fault(FaultKind::MqttVersion),
    };
    let flags = r.u8().map_err(short)?;
    connect_flags(flags, version)?;
    let keep_alive = r.u16().map_err(short)?;
    let props = props(r, version, Place::Connect)?;
    let client_id = take_text(r)?;
    let will = if flags & cflag::WILL == 0 { None } else { Some(will(flags, r, version)?) };
    // 3.1: the end of the packet overrules both flags, because older peers set them for nothing.
    let here = |flag: u8, r: &Reader| flags & flag != 0 && (version > Version::V31 || r.left() > 0);
    let username = if here(cflag::USERNAME, r) { Some(take_text(r)?) } else { None };
    let password = if here(cflag::PASSWORD, r) { Some(r.blob16().map_err(short)?) } else { None };
    let clean = flags & cflag::CLEAN != 0;
    Ok(Connect { version, bridge, clean, keep_alive, client_id, will, username, password, props })
}

fn connect_flags(flags: u8, version: Version) -> Result<(), Fault> {
    let will_qos = (flags & cflag::WILL_QOS) >> cflag::WILL_QOS_SHIFT;
    let no_will = flags & cflag::WILL == 0;
    if flags & cflag::RESERVED != 0 {
        return fault(FaultKind::MqttConnectFlags);
    }
    if will_qos == 3 || no_will && (will_qos != 0 || flags & cflag::WILL_RETAIN != 0) {
        return fault(FaultKind::MqttWillFlags);
    }
    let secret_only = flags & (cflag::PASSWORD | cflag::USERNAME) == cflag::PASSWORD;
    if secret_only && version < Version::V5 {
        return fault(FaultKind::MqttPasswordNoUser);
    }
    Ok(())
}

fn will(flags: u8, r: &mut Reader, version: Version) -> Result<Will, Fault> {
    let props = props(r, version, Place::Will)?;
    let topic = take_text(r)?;
    if topic.is_empty() {
        return fault(FaultKind::MqttTopicEmpty);
    }
    if is_wild(&topic) {
        return fault(FaultKind::MqttTopicWildcard);
    }
    Ok(Will {
        topic,
        payload: r.blob16().map_err(short)?,
        qos: (flags & cflag::WILL_QOS) >> cflag::WILL_QOS_SHIFT,
        retain: flags & cflag::WILL_RETAIN != 0,
        props,
    })
}

fn connack(r: &mut Reader, v: Version) -> Result<ConnAck, Fault> {
    let flags = r.u8().map_err(short)?;
    if flags > 1 {
        return fault(FaultKind::MqttFlags);
    }
    let code = known(r.u8().map_err(short)?, Codebook::ConnAck, v)?;
    Ok(ConnAck { present: flags == 1, code, props: props(r, v, Place::ConnAck)? })
}

/// 5.0 leaves out what says nothing: success without properties ends after the id.
fn ack(r: &mut Reader, v: Version, book: Codebook) -> Result<Ack, Fault> {
    let id = packet_id(r)?;
    if v < Version::V5 || r.left() == 0 {
        return Ok(Ack::plain(id));
    }
    let Reason { reason, props } = reason(r, book, Place::Ack)?;
    Ok(Ack { id, reason, props })
}

fn subscribe(r: &mut Reader, v: Version) -> Result<Subscribe, Fault> {
    let id = packet_id(r)?;
    let props = props(r, v, Place::Subscribe)?;
    let mut filters = SmallVec::new();
    while r.left() > 0 {
        filters.push(asked(r, v)?);
    }
    if filters.is_empty() {
        return fault(FaultKind::MqttNoFilters);
    }
    Ok(Subscribe { id, props, filters })
}

fn asked(r: &mut Reader, v: Version) -> Result<Asked, Fault> {
    let filter = take_text(r)?;
    let options = r.u8().map_err(short)?;
    let meaning = if v == Version::V5 { !opt::RESERVED } else { opt::QOS };
    let (qos, handling) = (options & opt::QOS, (options & opt::HANDLING) >> opt::HANDLING_SHIFT);
    if options & !meaning != 0 || qos == 3 || handling == 3 {
        return fault(FaultKind::MqttOptions);
    }
    let no_local = options & opt::NO_LOCAL != 0;
    if no_local && filter.starts_with(b"$share/") {
        return fault(FaultKind::MqttShareNoLocal);
    }
    Ok(Asked { filter, qos, no_local, as_published: options & opt::AS_PUBLISHED != 0, handling })
}

fn unsubscribe(r: &mut Reader, v: Version) -> Result<Unsubscribe, Fault> {
    let id = packet_id(r)?;
    let props = props(r, v, Place::Unsubscribe)?;
    let mut filters = SmallVec::new();
    while r.left() > 0 {
        filters.push(take_text(r)?);
    }
    if filters.is_empty() {
        return fault(FaultKind::MqttNoFilters);
    }
    Ok(Unsubscribe { id, props, filters })
}

fn codes(r: &mut Reader, v: Version, book: Codebook) -> Result<Codes, Fault> {
    let id = packet_id(r)?;
    let props = props(r, v, Place::Codes)?;
    if book == Codebook::UnsubAck && v < Version::V5 {
        return Ok(Codes { id, props, codes: SmallVec::new() });
    }
    let said = r.take(r.left()).map_err(short)?;
    if said.is_empty() {
        return fault(FaultKind::MqttShort);
    }
    for &code in &said {
        known(code, book, v)?;
    }
    Ok(Codes { id, props, codes: SmallVec::from_slice(&said) })
}

fn disconnect(r: &mut Reader, v: Version, from: Sender) -> Result<Reason, Fault> {
    if v < Version::V5 || r.left() == 0 {
        return Ok(Reason { reason: 0, props: Props::none() });
    }
    match from {
        Sender::Client => reason(r, Codebook::DisconnectUp, Place::DisconnectUp),
        Sender::Server => reason(r, Codebook::DisconnectDown, Place::DisconnectDown),
    }
}

/// Either nothing or everything: unlike others, a reason cannot stand without properties.
fn auth(r: &mut Reader, from: Sender) -> Result<Reason, Fault> {
    let book = match from {
        Sender::Client => Codebook::AuthUp,
        Sender::Server => Codebook::AuthDown,
    };
    if r.left() == 0 {
        let reason = known(0, book, Version::V5)?;
        return Ok(Reason { reason, props: Props::none() });
    }
    let reason = known(r.u8().map_err(short)?, book, Version::V5)?;
    Ok(Reason { reason, props: Props::take(r, Place::Auth)? })
}

/// A reason, and properties if anything follows it.
fn reason(r: &mut Reader, book: Codebook, place: Place) -> Result<Reason, Fault> {
    let reason = known(r.u8().map_err(short)?, book, Version::V5)?;
    let props = if r.left() == 0 { Props::none() } else { Props::take(r, place)? };
    Ok(Reason { reason, props })
}

fn known(code: u8, book: Codebook, v: Version) -> Result<u8, Fault> {
    if is_code(code, book, v) { Ok(code) } else { fault(FaultKind::MqttReason) }
}

fn packet_id(r: &mut Reader) -> Result<u16, Fault> {
    match r.u16().map_err(short)? {
        0 => fault(FaultKind::MqttPacketId),
        id => Ok(id),
    }
}

fn props(r: &mut Reader, v: Version, place: Place) -> Result<Props, Fault> {
    if v == Version::V5 { Props::take(r, place) } else { Ok(Props::none()) }
}

fn fault<T>(kind: FaultKind) -> Result<T, Fault> {
    Err(kind.fault())
}
