//! Floor 3. Packets to bytes; pure.
//!
//! Every packet is measured and judged before its first byte is written, so a refused one leaves
//! nothing behind and a count can never wrap. What a version lacks is left out: properties and
//! reasons before 5.0, and in 5.0 whatever says nothing. Lengths are minimal. Absent on purpose:
//! what may be said to whom; only what no packet can say is refused.

use std::fmt;

use smallvec::SmallVec;

use crate::base::outbound::Outbound;

use super::fault::{Codebook, is_code};
use super::packet::{
    Ack, Codes, ConnAck, Connect, Packet, Publish, Reason, Subscribe, Unsubscribe, Version, Will,
    cflag, code, opt,
};
use super::props::{Place, Prop, Props, VAR_MAX, check, is_wild, var_bytes};

/// Why a packet cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsendable {
    /// A field longer than its count can tell (65,535 bytes), or a packet longer than 256 MiB.
    TooLong,
    /// No such packet, in this version or at all.
    Meaningless,
}

/// Everything of a PUBLISH but its payload.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// Which MQTT.
    pub version: Version,
    /// It may have been sent before.
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// It is the topic's kept value, or to be kept.
    pub retain: bool,
    /// Where to; in 5.0 empty with a topic alias that was introduced.
    pub topic: &'a [u8],
    /// Travels iff `qos` is not 0.
    pub id: u16,
    /// Travels in 5.0.
    pub props: PublishProps<'a>,
    /// So many bytes of payload follow.
    pub payload_len: usize,
}

/// The properties of a delivery: what belongs to this hop, and what the publisher said.
#[derive(Clone, Copy, Default, Debug)]
pub struct PublishProps<'a> {
    /// Message Expiry Interval: seconds left.
    pub expiry: Option<u32>,
    /// Topic Alias.
    pub alias: Option<u16>,
    /// Subscription Identifiers.
    pub subs: &'a [u32],
    /// Properties in their wire form, as [`Props::forwardable`] gives them.
    pub rest: &'a [u8],
}

impl PublishProps<'_> {
    fn len(&self) -> usize {
        self.expiry.map_or(0, |_| 5)
            + self.alias.map_or(0, |_| 3)
            + self.subs.iter().map(|&id| 1 + var_len(id as usize)).sum::<usize>()
            + self.rest.len()
    }

    fn put(&self, out: &mut Outbound) {
        if let Some(seconds) = self.expiry {
            out.put_u8(Prop::MessageExpiry(seconds).id());
            out.put_slice(&seconds.to_be_bytes());
        }
        if let Some(alias) = self.alias {
            out.put_u8(Prop::TopicAlias(alias).id());
            out.put_u16(alias);
        }
        for &id in self.subs {
            out.put_u8(Prop::SubscriptionId(id).id());
            put_var(out, id as usize);
        }
        out.put_slice(self.rest);
    }
}

/// Append one packet, or nothing. A CONNECT is of the version it says, not of `version`.
pub fn encode(packet: &Packet, version: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    match packet {
        Packet::Connect(p) => connect(p, out),
        Packet::ConnAck(p) => connack(p, version, out),
        Packet::Publish(p) => publish(p, version, out),
        Packet::PubAck(p) => ack(code::PUBACK, Codebook::PubAck, p, version, out),
        Packet::PubRec(p) => ack(code::PUBREC, Codebook::PubAck, p, version, out),
        Packet::PubRel(p) => ack(code::PUBREL, Codebook::PubRel, p, version, out),
        Packet::PubComp(p) => ack(code::PUBCOMP, Codebook::PubRel, p, version, out),
        Packet::Subscribe(p) => subscribe(p, version, out),
        Packet::SubAck(p) => codes(code::SUBACK, Codebook::SubAck, p, version, out),
        Packet::Unsubscribe(p) => unsubscribe(p, version, out),
        Packet::UnsubAck(p) => codes(code::UNSUBACK, Codebook::UnsubAck, p, version, out),
        Packet::PingReq => head(out, code::PINGREQ << 4, 0),
        Packet::PingResp => head(out, code::PINGRESP << 4, 0),
        Packet::Disconnect(p) => disconnect(p, version, out),
        Packet::Auth(p) => auth(p, version, out),
    }
}

/// One packet as bytes of its own.
pub fn encode_vec(packet: &Packet, version: Version) -> Result<Vec<u8>, Unsendable> {
    let mut out = Outbound::default();
    encode(packet, version, &mut out)?;
    Ok(out.to_vec())
}

/// Append everything of a PUBLISH but its payload, which the caller appends (`put_bytes`): the
/// hot path copies small payloads into the scratch and shares large ones.
pub fn publish_head(out: &mut Outbound, p: &PublishHead<'_>) -> Result<(), Unsendable> {
    let props = &p.props;
    if props.alias == Some(0) || props.subs.contains(&0) {
        return Err(Unsendable::Meaningless);
    }
    if props.subs.iter().any(|&id| id > VAR_MAX) {
        return Err(Unsendable::TooLong);
    }
    put_publish(out, p, props.alias.is_some())
}

fn put_publish(out: &mut Outbound, p: &PublishHead<'_>, alias: bool) -> Result<(), Unsendable> {
    let v5 = p.version == Version::V5;
    let topic_len = count(p.topic.len())?;
    let may = match p.qos {
        0 => !p.dup,
        1 | 2 => p.id != 0,
        _ => false,
    };
    if !may || p.topic.is_empty() && !(v5 && alias) {
        return Err(Unsendable::Meaningless);
    }
    let first = code::PUBLISH << 4 | u8::from(p.dup) << 3 | p.qos << 1 | u8::from(p.retain);
    put_start(out, first, publish_body(p), topic_len)?;
    out.put_slice(p.topic);
    if p.qos != 0 {
        out.put_u16(p.id);
    }
    if v5 {
        put_var(out, p.props.len());
        p.props.put(out);
    }
    Ok(())
}

/// What stands before a topic, put in one piece: no packet is written more often.
fn put_start(out: &mut Outbound, first: u8, body: usize, topic: u16) -> Result<(), Unsendable> {
    if body > VAR_MAX as usize {
        return Err(Unsendable::TooLong);
    }
    let ([a, b, c, d], len) = var_bytes(body as u32);
    let [high, low] = topic.to_be_bytes();
    match len {
        1 => out.put_slice(&[first, a, high, low]),
        2 => out.put_slice(&[first, a, b, high, low]),
        3 => out.put_slice(&[first, a, b, c, high, low]),
        _ => out.put_slice(&[first, a, b, c, d, high, low]),
    }
    Ok(())
}

/// How long the whole PUBLISH will be, payload and all: for a peer's Maximum Packet Size.
#[must_use]
pub fn publish_len(p: &PublishHead<'_>) -> usize {
    let body = publish_body(p);
    1 + var_len(body) + body
}

fn publish_body(p: &PublishHead<'_>) -> usize {
    let id_len = if p.qos == 0 { 0 } else { 2 };
    let props_len = if p.version == Version::V5 { counted(p.props.len()) } else { 0 };
    2 + p.topic.len() + id_len + props_len + p.payload_len
}

fn publish(p: &Publish, version: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    // What a server may send is all that either may send.
    legal(&p.props, &[Place::PublishDown], version)?;
    name(&p.topic)?;
    let head = PublishHead {
        version,
        dup: p.dup,
        qos: p.qos,
        retain: p.retain,
        topic: &p.topic,
        id: p.id,
        // As they are: an alias stands among them.
        props: PublishProps { rest: p.props.raw(), ..PublishProps::default() },
        payload_len: p.payload.len(),
    };
    put_publish(out, &head, p.props.topic_alias().is_some())?;
    out.put_bytes(&p.payload);
    Ok(())
}

fn connect(p: &Connect, out: &mut Outbound) -> Result<(), Unsendable> {
    let v = p.version;
    let (protocol, level): (&[u8], u8) = match v {
        Version::V31 => (b"MQIsdp", 3),
        Version::V311 => (b"MQTT", 4),
        Version::V5 => (b"MQTT", 5),
    };
    let secret_only = p.password.is_some() && p.username.is_none();
    if v == Version::V5 && p.bridge || v != Version::V5 && secret_only {
        return Err(Unsendable::Meaningless);
    }
    legal(&p.props, &[Place::Connect], v)?;
    text(&p.client_id)?;
    let mut len = 2 + protocol.len() + 1 + 1 + 2 + props_len(&p.props, v) + blob_len(&p.client_id)?;
    let mut flags = if p.clean { cflag::CLEAN } else { 0 };
    if let Some(will) = &p.will {
        flags |= will_flags(will)?;
        legal(&will.props, &[Place::Will], v)?;
        len += props_len(&will.props, v) + blob_len(&will.topic)? + blob_len(&will.payload)?;
    }
    if let Some(username) = &p.username {
        flags |= cflag::USERNAME;
        text(username)?;
        len += blob_len(username)?;
    }
    if let Some(password) = &p.password {
        flags |= cflag::PASSWORD;
        len += blob_len(password)?;
    }
    head(out, code::CONNECT << 4, len)?;
    put_blob(out, protocol);
    out.put_u8(if p.bridge { level | 0x80 } else { level });
    out.put_u8(flags);
    out.put_u16(p.keep_alive);
    put_props(out, &p.props, v);
    put_blob(out, &p.client_id);
    if let Some(will) = &p.will {
        put_props(out, &will.props, v);
        put_blob(out, &will.topic);
        put_blob(out, &will.payload);
    }
    for field in [&p.username, &p.password].into_iter().flatten() {
        put_blob(out, field);
    }
    Ok(())
}

fn will_flags(will: &Will) -> Result<u8, Unsendable> {
    if will.qos > 2 || will.topic.is_empty() {
        return Err(Unsendable::Meaningless);
    }
    name(&will.topic)?;
    let retain = if will.retain { cflag::WILL_RETAIN } else { 0 };
    Ok(cflag::WILL | will.qos << cflag::WILL_QOS_SHIFT | retain)
}

fn connack(p: &ConnAck, v: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    known(p.code, Codebook::ConnAck, v)?;
    legal(&p.props, &[Place::ConnAck], v)?;
    head(out, code::CONNACK << 4, 2 + props_len(&p.props, v))?;
    out.put_u8(u8::from(p.present));
    out.put_u8(p.code);
    put_props(out, &p.props, v);
    Ok(())
}

fn ack(
    kind: u8,
    book: Codebook,
    p: &Ack,
    v: Version,
    out: &mut Outbound,
) -> Result<(), Unsendable> {
    let first = kind << 4 | if kind == code::PUBREL { 2 } else { 0 };
    if p.id == 0 {
        return Err(Unsendable::Meaningless);
    }
    if v != Version::V5 || p.reason == 0 && p.props.is_empty() {
        head(out, first, 2)?;
        out.put_u16(p.id);
        return Ok(());
    }
    known(p.reason, book, v)?;
    legal(&p.props, &[Place::Ack], v)?;
    let tail = if p.props.is_empty() { 0 } else { props_len(&p.props, v) };
    head(out, first, 3 + tail)?;
    out.put_u16(p.id);
    out.put_u8(p.reason);
    if tail > 0 {
        put_props(out, &p.props, v);
    }
    Ok(())
}

fn subscribe(p: &Subscribe, v: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    if p.id == 0 || p.filters.is_empty() {
        return Err(Unsendable::Meaningless);
    }
    legal(&p.props, &[Place::Subscribe], v)?;
    let mut len = 2 + props_len(&p.props, v);
    for asked in &p.filters {
        let alone = asked.no_local && asked.filter.starts_with(b"$share/");
        if asked.qos > 2 || asked.handling > 2 || alone && v == Version::V5 {
            return Err(Unsendable::Meaningless);
        }
        text(&asked.filter)?;
        len += blob_len(&asked.filter)? + 1;
    }
    head(out, code::SUBSCRIBE << 4 | 2, len)?;
    out.put_u16(p.id);
    put_props(out, &p.props, v);
    for asked in &p.filters {
        put_blob(out, &asked.filter);
        let local = if asked.no_local { opt::NO_LOCAL } else { 0 };
        let kept = if asked.as_published { opt::AS_PUBLISHED } else { 0 };
        let more = local | kept | asked.handling << opt::HANDLING_SHIFT;
        out.put_u8(if v == Version::V5 { asked.qos | more } else { asked.qos });
    }
    Ok(())
}

fn unsubscribe(p: &Unsubscribe, v: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    if p.id == 0 || p.filters.is_empty() {
        return Err(Unsendable::Meaningless);
    }
    legal(&p.props, &[Place::Unsubscribe], v)?;
    let mut len = 2 + props_len(&p.props, v);
    for filter in &p.filters {
        text(filter)?;
        len += blob_len(filter)?;
    }
    head(out, code::UNSUBSCRIBE << 4 | 2, len)?;
    out.put_u16(p.id);
    put_props(out, &p.props, v);
    for filter in &p.filters {
        put_blob(out, filter);
    }
    Ok(())
}

fn codes(
    kind: u8,
    book: Codebook,
    p: &Codes,
    v: Version,
    out: &mut Outbound,
) -> Result<(), Unsendable> {
    let v5 = v == Version::V5;
    // An UNSUBACK before 5.0 says the id and nothing else.
    let mute = book == Codebook::UnsubAck && !v5;
    if p.id == 0 || p.codes.is_empty() && !mute {
        return Err(Unsendable::Meaningless);
    }
    // Before 5.0 there is one way to refuse a filter.
    let spoken = |code: u8| if v5 { code } else { code.min(0x80) };
    let said: SmallVec<[u8; 8]> = match mute {
        true => SmallVec::new(),
        false => p.codes.iter().map(|&code| spoken(code)).collect(),
    };
    for &code in &said {
        known(code, book, v)?;
    }
    legal(&p.props, &[Place::Codes], v)?;
    head(out, kind << 4, 2 + props_len(&p.props, v) + said.len())?;
    out.put_u16(p.id);
    put_props(out, &p.props, v);
    out.put_slice(&said);
    Ok(())
}

fn disconnect(p: &Reason, v: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    let first = code::DISCONNECT << 4;
    if v != Version::V5 || p.reason == 0 && p.props.is_empty() {
        return head(out, first, 0);
    }
    let up = is_code(p.reason, Codebook::DisconnectUp, v);
    if !up && !is_code(p.reason, Codebook::DisconnectDown, v) {
        return Err(Unsendable::Meaningless);
    }
    legal(&p.props, &[Place::DisconnectUp, Place::DisconnectDown], v)?;
    let tail = if p.props.is_empty() { 0 } else { props_len(&p.props, v) };
    head(out, first, 1 + tail)?;
    out.put_u8(p.reason);
    if tail > 0 {
        put_props(out, &p.props, v);
    }
    Ok(())
}

fn auth(p: &Reason, v: Version, out: &mut Outbound) -> Result<(), Unsendable> {
    let up = is_code(p.reason, Codebook::AuthUp, v);
    if v != Version::V5 || !up && !is_code(p.reason, Codebook::AuthDown, v) {
        return Err(Unsendable::Meaningless);
    }
    let first = code::AUTH << 4;
    if p.reason == 0 && p.props.is_empty() {
        return head(out, first, 0);
    }
    legal(&p.props, &[Place::Auth], v)?;
    head(out, first, 1 + props_len(&p.props, v))?;
    out.put_u8(p.reason);
    put_props(out, &p.props, v);
    Ok(())
}

fn known(code: u8, book: Codebook, v: Version) -> Result<(), Unsendable> {
    if is_code(code, book, v) { Ok(()) } else { Err(Unsendable::Meaningless) }
}

/// May the block stand in one of these places? Before 5.0 it does not travel.
fn legal(props: &Props, places: &[Place], v: Version) -> Result<(), Unsendable> {
    let fits = |place: &Place| check(props.raw(), *place).is_ok();
    if v != Version::V5 || props.is_empty() || places.iter().any(fits) {
        return Ok(());
    }
    Err(Unsendable::Meaningless)
}

/// Text that any peer would close the connection for.
fn text(text: &[u8]) -> Result<(), Unsendable> {
    match std::str::from_utf8(text) {
        Ok(text) if !text.contains('\0') => Ok(()),
        _ => Err(Unsendable::Meaningless),
    }
}

fn name(topic: &[u8]) -> Result<(), Unsendable> {
    if is_wild(topic) { Err(Unsendable::Meaningless) } else { text(topic) }
}

fn head(out: &mut Outbound, first: u8, len: usize) -> Result<(), Unsendable> {
    if len > VAR_MAX as usize {
        return Err(Unsendable::TooLong);
    }
    out.put_u8(first);
    put_var(out, len);
    Ok(())
}

/// Measured before: above [`VAR_MAX`] nothing is written at all.
fn put_var(out: &mut Outbound, n: usize) {
    let (bytes, len) = var_bytes(n as u32);
    out.put_slice(bytes.get(..len).unwrap_or_default());
}

fn put_props(out: &mut Outbound, props: &Props, v: Version) {
    if v == Version::V5 {
        put_var(out, props.raw().len());
        out.put_slice(props.raw());
    }
}

fn props_len(props: &Props, v: Version) -> usize {
    if v == Version::V5 { counted(props.raw().len()) } else { 0 }
}

/// Bytes after a variable byte integer that counts them.
const fn counted(len: usize) -> usize {
    var_len(len) + len
}

const fn var_len(n: usize) -> usize {
    match n {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

fn put_blob(out: &mut Outbound, blob: &[u8]) {
    // Measured by `blob_len` before anything was written.
    out.put_u16(blob.len() as u16);
    out.put_slice(blob);
}

fn blob_len(blob: &[u8]) -> Result<usize, Unsendable> {
    Ok(2 + usize::from(count(blob.len())?))
}

fn count(len: usize) -> Result<u16, Unsendable> {
    u16::try_from(len).map_err(|_| Unsendable::TooLong)
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a field or the packet is longer than its count can tell",
            Self::Meaningless => "there is no such packet",
        })
    }
}

impl std::error::Error for Unsendable {}
