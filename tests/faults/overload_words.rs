//! Floor 6. A client that says exactly what it is told to, in MQTT 5 unless it is told otherwise.
//!
//! Overload is made of bytes that no well-meaning client sends, so words are written here by hand
//! and the socket is in sight. Absent on purpose: keeping sessions, answering by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::overload_rig::{LONG, told};

/// One packet: its first byte and what follows its length.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) head: u8,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// Its kind, without flags.
    pub(crate) fn kind(&self) -> u8 {
        self.head >> 4
    }

    /// The packet id of an acknowledgement.
    pub(crate) fn id(&self) -> u16 {
        u16::from_be_bytes([self.byte(0), self.byte(1)])
    }

    /// A byte of its body.
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or_default()
    }

    /// Of a message without properties: its payload.
    pub(crate) fn payload(&self) -> &[u8] {
        let topic = usize::from(self.id());
        let id = if self.head & 0b110 == 0 { 0 } else { 2 };
        self.body.get(2 + topic + id + 1..).unwrap_or_default()
    }

    /// Of a message with QoS: its packet id.
    pub(crate) fn message_id(&self) -> u16 {
        let at = 2 + usize::from(self.id());
        u16::from_be_bytes([self.byte(at), self.byte(at + 1)])
    }
}

pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const PINGRESP: u8 = 13;

/// What a client says about itself when it comes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hello<'a> {
    pub(crate) id: &'a str,
    /// Its session stays when it goes.
    pub(crate) stays: bool,
    pub(crate) keepalive_s: u16,
    pub(crate) user: Option<(&'a str, &'a str)>,
    pub(crate) will: Option<(&'a str, &'a [u8])>,
}

impl Hello<'_> {
    /// As bytes.
    pub(crate) fn words(&self) -> Vec<u8> {
        let mut flags = if self.stays { 0 } else { 2 };
        let mut rest = Vec::new();
        put(&mut rest, self.id.as_bytes());
        if let Some((topic, body)) = self.will {
            flags |= 4;
            rest.push(0);
            put(&mut rest, topic.as_bytes());
            put(&mut rest, body);
        }
        if let Some((name, password)) = self.user {
            flags |= 0xc0;
            put(&mut rest, name.as_bytes());
            put(&mut rest, password.as_bytes());
        }
        let mut body = b"\0\x04MQTT\x05".to_vec();
        body.push(flags);
        body.extend(self.keepalive_s.to_be_bytes());
        // Session expiry: an hour.
        let kept: &[u8] = if self.stays { &[5, 0x11, 0, 0, 0x0e, 0x10] } else { &[0] };
        body.extend(kept);
        body.extend(rest);
        packet(0x10, &body)
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend((bytes.len() as u16).to_be_bytes());
    into.extend(bytes);
}

/// A head, a length, a body.
pub(crate) fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut words = vec![head];
    put_length(&mut words, body.len());
    words.extend(body);
    words
}

/// A length as MQTT writes it.
pub(crate) fn put_length(words: &mut Vec<u8>, mut len: usize) {
    loop {
        let more = if len > 127 { 0x80 } else { 0 };
        words.push(len as u8 & 0x7f | more);
        len >>= 7;
        if len == 0 {
            return;
        }
    }
}

/// A PUBLISH; `id` counts for QoS above 0 only.
pub(crate) fn publish(topic: &str, payload: &[u8], qos: u8, id: u16, retain: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    put(&mut body, topic.as_bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.push(0);
    body.extend(payload);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}

/// A SUBSCRIBE to these.
pub(crate) fn subscribe(filters: &[&str], qos: u8, id: u16) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    for filter in filters {
        put(&mut body, filter.as_bytes());
        body.push(qos);
    }
    packet(0x82, &body)
}

/// The acknowledgement of a message.
pub(crate) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// A connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    at: usize,
}

impl Wire {
    /// Only the socket.
    pub(crate) fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("{address}: {e}"))?;
        stream.set_nodelay(true).map_err(told)?;
        stream.set_read_timeout(Some(LONG)).map_err(told)?;
        stream.set_write_timeout(Some(LONG)).map_err(told)?;
        Ok(Self { stream, unread: Vec::new(), at: 0 })
    }

    /// Say hello; the reason code of the answer.
    pub(crate) fn hello(&mut self, hello: &Hello<'_>) -> Result<u8, String> {
        self.say(&hello.words())?;
        Ok(self.hear_a(CONNACK)?.byte(1))
    }

    /// Come in by this name, which must be let in.
    pub(crate) fn join(address: &str, hello: &Hello<'_>) -> Result<Self, String> {
        let mut it = Self::open(address)?;
        match it.hello(hello)? {
            0 => Ok(it),
            code => Err(format!("{} is told {code:#x}", hello.id)),
        }
    }

    /// The same for a session that ends with its connection.
    pub(crate) fn named(address: &str, id: &str) -> Result<Self, String> {
        Self::join(address, &Hello { id, ..Hello::default() })
    }

    pub(crate) fn say(&mut self, words: &[u8]) -> Result<(), String> {
        self.stream.write_all(words).map_err(told)
    }

    /// Subscribe; the reason code.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<u8, String> {
        self.say(&subscribe(&[filter], qos, 1))?;
        Ok(self.hear_a(SUBACK)?.byte(3))
    }

    /// The next packet.
    pub(crate) fn hear(&mut self) -> Result<Heard, String> {
        loop {
            if let Some((head, from, len)) = self.next_packet()
                && self.unread.len() >= from + len
            {
                let body = self.unread[from..from + len].to_vec();
                self.at = from + len;
                return Ok(Heard { head, body });
            }
            self.unread.drain(..self.at);
            self.at = 0;
            let mut more = [0; 65_536];
            match self.stream.read(&mut more) {
                Ok(0) => return Err("the connection ended".into()),
                Ok(n) => self.unread.extend(&more[..n]),
                // A machine that was stopped for a moment interrupts a wait that has an end.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(told(e)),
            }
        }
    }

    /// The first byte, where the body begins, and how long it is.
    fn next_packet(&self) -> Option<(u8, usize, usize)> {
        let unread = self.unread.get(self.at..)?;
        let (mut len, head) = (0, *unread.first()?);
        for n in 0..4 {
            let byte = *unread.get(1 + n)?;
            len |= usize::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                return Some((head, self.at + 2 + n, len));
            }
        }
        None
    }

    /// The next packet of this kind; messages before it are left out.
    pub(crate) fn hear_a(&mut self, kind: u8) -> Result<Heard, String> {
        loop {
            let heard = self.hear()?;
            if heard.kind() == kind {
                return Ok(heard);
            }
            if heard.kind() != PUBLISH {
                return Err(format!("waited for {kind}, heard {heard:?}"));
            }
        }
    }

    /// Everything until the other side ends it, which it must within this time. The last packet,
    /// if there was any.
    pub(crate) fn hear_end(&mut self, within: Duration) -> Result<Option<Heard>, String> {
        self.stream.set_read_timeout(Some(within)).map_err(told)?;
        let mut last = None;
        loop {
            match self.hear() {
                Ok(heard) => last = Some(heard),
                Err(why) if why.contains("os error 11") => {
                    return Err(format!("still open after {within:?}"));
                }
                Err(_) => return Ok(last),
            }
        }
    }
}
