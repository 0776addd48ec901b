//! A PRX1 client that does nothing by itself: packets out, packets in.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spindle::proto::prx1::decode::BODY_MAX;
use spindle::proto::prx1::{ConnAck, Connect, Packet, Publish, Subscribe, encode_vec, next};

use crate::process::LONG;

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    input: BytesMut,
}

impl Wire {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Self { stream, input: BytesMut::new() }
    }

    /// Open, and be let in as `user`.
    pub(crate) fn join(address: &str, user: &str, clean_start: bool) -> (Self, ConnAck) {
        let mut wire = Self::open(address);
        let blob = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        wire.say(&Packet::Connect(Connect {
            clean_start,
            password: blob("secret"),
            client_id: blob(""),
            username: blob(user),
            keepalive: Some(60),
            ..Connect::default()
        }));
        match wire.hear() {
            Some(Packet::ConnAck(ack)) if ack.result == ConnAck::UNSET => (wire, ack),
            other => panic!("{user} was not let in: {other:?}"),
        }
    }

    /// Say it. That the connection has ended shows when its end is heard.
    pub(crate) fn say(&mut self, packet: &Packet) {
        let _ = self.stream.write_all(&encode_vec(packet).unwrap());
    }

    /// The next packet; nothing at the end of the connection.
    pub(crate) fn hear(&mut self) -> Option<Packet> {
        match self.listen(LONG) {
            Ok(packet) => packet,
            Err(()) => panic!("nothing was said"),
        }
    }

    /// The next packet, or the end; an error when neither comes in time.
    pub(crate) fn listen(&mut self, limit: Duration) -> Result<Option<Packet>, ()> {
        let mut chunk = [0; 65_536];
        self.stream.set_read_timeout(Some(limit)).unwrap();
        loop {
            if let Some(packet) = next(&mut self.input, BODY_MAX).unwrap() {
                return Ok(Some(packet));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(());
                }
                // Whoever was stopped and goes on is told so, and nothing else has happened.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        let topic = Bytes::copy_from_slice(filter.as_bytes());
        let subscribe = Subscribe { qos: 1, id: 1, topic, ..Subscribe::default() };
        self.say(&Packet::Subscribe(subscribe));
        assert_eq!(self.hear(), Some(Packet::SubAck(1)));
    }

    pub(crate) fn publish(&mut self, id: u16, topic: &str, payload: &[u8], retain: bool) {
        self.say(&Packet::Publish(publish(id, topic, payload, retain)));
    }

    /// The next message, acknowledged.
    pub(crate) fn message(&mut self) -> Publish {
        match self.hear() {
            Some(Packet::Publish(message)) => {
                if message.qos > 0 {
                    self.say(&Packet::PubAck(message.id));
                }
                message
            }
            other => panic!("no message but {other:?}"),
        }
    }
}

/// A Publish; id 0 is QoS 0.
pub(crate) fn publish(id: u16, topic: &str, payload: &[u8], retain: bool) -> Publish {
    Publish {
        dup: false,
        qos: u8::from(id > 0),
        retain,
        id,
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        payload: Bytes::copy_from_slice(payload),
    }
}
