//! Clients that do nothing by themselves, and bodies that cannot be mistaken for each other.
//!
//! An end of the connection is an answer here, not a failure: brokers are killed under them. A
//! body says who sent it and which it was, and its length and its filling follow from that, so
//! whoever reads it can tell a whole one from any other bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spindle::proto::mqtt::packet::{
    Ack, Asked, ConnAck, Connect, Packet, Publish, Reason, Sender, Subscribe, Version,
};
use spindle::proto::mqtt::props::{Prop, Props};
use spindle::proto::mqtt::{decode, encode};

/// An answer to a request takes no longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest packet that is taken.
const PACKET_MAX: usize = 1 << 20;

/// A body that only this message of this sender has.
pub(crate) fn body_of(sender: &str, n: u32) -> String {
    let mix = n.wrapping_mul(2_654_435_761);
    let filling = usize::try_from(mix >> 25).unwrap_or(0);
    let letter = char::from(b'a' + (mix % 26) as u8);
    format!("{sender}:{n}:{}", String::from(letter).repeat(filling))
}

/// Who sent it and which it is; nothing if anything about it is wrong.
pub(crate) fn read_body(body: &[u8]) -> Option<(&str, u32)> {
    let text = std::str::from_utf8(body).ok()?;
    let mut parts = text.splitn(3, ':');
    let (sender, n) = (parts.next()?, parts.next()?.parse().ok()?);
    (body_of(sender, n) == text).then_some((sender, n))
}

/// As whom a client comes.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// Nothing is kept of it.
    pub(crate) clean: bool,
}

impl Who {
    /// One who leaves nothing behind.
    pub(crate) fn passing(name: &str) -> Self {
        Self { name: name.to_owned(), version: Version::V311, clean: true }
    }

    /// One whose session stays.
    pub(crate) fn lasting(name: &str) -> Self {
        Self { clean: false, ..Self::passing(name) }
    }
}

/// What was heard.
pub(crate) enum Heard<P = Packet> {
    Packet(P),
    /// Nothing for so long.
    Quiet,
    /// The connection has ended.
    Ended,
}

/// One connection that speaks MQTT.
pub(crate) struct Client {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    output: Vec<u8>,
    chunk: Vec<u8>,
    /// The broker knew the session.
    pub(crate) present: bool,
}

impl Client {
    /// Open, and be welcomed.
    pub(crate) fn join(address: &str, who: &Who) -> Result<Self, String> {
        let mut it = Self::open(address, who.version)?;
        it.say(&connect(who));
        match it.listen(PATIENCE)? {
            Heard::Packet(Packet::ConnAck(ConnAck { present, code: 0, .. })) => {
                it.present = present
            }
            Heard::Packet(other) => return Err(format!("{} is refused: {other:?}", who.name)),
            Heard::Quiet | Heard::Ended => return Err(format!("{} is not answered", who.name)),
        }
        Ok(it)
    }

    /// Open, and say nothing yet.
    pub(crate) fn open(address: &str, version: Version) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let (input, output, chunk) = (BytesMut::new(), Vec::new(), vec![0; 1 << 16]);
        Ok(Self { stream, version, input, output, chunk, present: false })
    }

    /// Say it with the next flush.
    pub(crate) fn say(&mut self, packet: &Packet) {
        if let Ok(bytes) = encode::encode_vec(packet, self.version) {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// That the connection has ended shows when its end is heard.
    pub(crate) fn flush(&mut self) {
        let _ = self.stream.write_all(&self.output);
        self.output.clear();
    }

    /// Goodbye.
    pub(crate) fn leave(mut self) {
        self.say(&Packet::Disconnect(Reason { reason: 0, props: Props::none() }));
        self.flush();
    }

    /// Say what there is to say; then the next packet, if it comes in time.
    pub(crate) fn listen(&mut self, limit: Duration) -> Result<Heard, String> {
        self.flush();
        loop {
            if let Some(packet) = self.next()? {
                return Ok(Heard::Packet(packet));
            }
            let more = more(&mut self.stream, &mut self.chunk, &mut self.input, limit)?;
            if let Some(nothing) = more {
                return Ok(nothing);
            }
        }
    }

    /// The next packet that has come already.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, String> {
        let version = Some(self.version);
        let next = decode::next(&mut self.input, version, Sender::Server, PACKET_MAX);
        next.map_err(|fault| format!("the broker speaks no MQTT: {fault:?}"))
    }

    /// Subscribe, and wait for the answer. What comes before it, and after it, is for `take`.
    pub(crate) fn subscribe(
        &mut self,
        filter: &str,
        qos: u8,
        take: &mut dyn FnMut(&mut Self, Packet),
    ) -> Result<(), String> {
        let filter = Bytes::copy_from_slice(filter.as_bytes());
        let asked = Asked { filter, qos, no_local: false, as_published: false, handling: 0 };
        let filters = [asked].into_iter().collect();
        self.say(&Packet::Subscribe(Subscribe { id: 1, filters, props: Props::none() }));
        loop {
            match self.listen(PATIENCE)? {
                Heard::Packet(Packet::SubAck(codes)) if codes.codes[..] == [qos] => return Ok(()),
                Heard::Packet(Packet::SubAck(codes)) => {
                    return Err(format!("a subscription is refused: {:?}", codes.codes));
                }
                Heard::Packet(other) => take(self, other),
                Heard::Quiet | Heard::Ended => {
                    return Err("a subscription is not answered".to_owned());
                }
            }
        }
    }
}

/// Wait for bytes; why there are none, if so.
pub(crate) fn more<P>(
    stream: &mut TcpStream,
    chunk: &mut [u8],
    input: &mut BytesMut,
    limit: Duration,
) -> Result<Option<Heard<P>>, String> {
    stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
    Ok(match stream.read(chunk) {
        Ok(0) => Some(Heard::Ended),
        Ok(n) => {
            input.extend_from_slice(&chunk[..n]);
            None
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Some(Heard::Quiet)
        }
        Err(_) => Some(Heard::Ended),
    })
}

fn connect(who: &Who) -> Packet {
    let props = match who.version {
        Version::V5 if !who.clean => Props::build(&[Prop::SessionExpiry(u32::MAX)]),
        _ => Props::none(),
    };
    let name = Bytes::copy_from_slice(who.name.as_bytes());
    Packet::Connect(Box::new(Connect {
        version: who.version,
        bridge: false,
        clean: who.clean,
        keep_alive: 60,
        client_id: name,
        will: None,
        username: None,
        password: None,
        props,
    }))
}

/// A PUBLISH; QoS 0 has no use for the id.
pub(crate) fn publish(qos: u8, id: u16, topic: &str, body: &str) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        id,
        props: Props::none(),
        payload: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// PUBACK and its like.
pub(crate) fn ack(id: u16) -> Ack {
    Ack::plain(id)
}
