//! An MQTT client that does nothing by itself: packets out, packets in.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spindle::proto::mqtt::packet::{
    Ack, Asked, ConnAck, Connect, Packet, Publish, Sender, Subscribe, Version,
};
use spindle::proto::mqtt::props::{Prop, Props};
use spindle::proto::mqtt::{decode, encode};

use crate::process::LONG;

pub(crate) struct Mqtt {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
}

impl Mqtt {
    /// Open, and be let in under this name with a session that stays. The answer says whether
    /// there was one.
    pub(crate) fn join(address: &str, version: Version, name: &str) -> (Self, bool) {
        Self::join_with(address, version, name, None)
    }

    /// The same with a password.
    pub(crate) fn join_with(
        address: &str,
        version: Version,
        name: &str,
        password: Option<&'static str>,
    ) -> (Self, bool) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        let mut it = Self { stream, version, input: BytesMut::new() };
        let props = match version {
            Version::V5 => Props::build(&[Prop::SessionExpiry(u32::MAX)]),
            Version::V31 | Version::V311 => Props::none(),
        };
        let client_id = Bytes::copy_from_slice(name.as_bytes());
        it.say(&Packet::Connect(Box::new(Connect {
            version,
            bridge: false,
            clean: false,
            keep_alive: 60,
            client_id: client_id.clone(),
            will: None,
            username: Some(client_id),
            password: password.map(|text| Bytes::from_static(text.as_bytes())),
            props,
        })));
        match it.listen(LONG) {
            Ok(Some(Packet::ConnAck(ConnAck { present, code: 0, .. }))) => (it, present),
            other => panic!("{name} was not let in: {other:?}"),
        }
    }

    /// The port it comes from.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Publish {
        match self.listen(LONG) {
            Ok(Some(Packet::Publish(message))) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// Say it. That the connection has ended shows when its end is heard.
    pub(crate) fn say(&mut self, packet: &Packet) {
        let bytes = encode::encode_vec(packet, self.version).unwrap();
        let _ = self.stream.write_all(&bytes);
    }

    /// The next packet, or the end; an error when neither comes in time.
    pub(crate) fn listen(&mut self, limit: Duration) -> Result<Option<Packet>, ()> {
        let mut chunk = [0; 65_536];
        self.stream.set_read_timeout(Some(limit)).unwrap();
        loop {
            let version = Some(self.version);
            let heard = decode::next(&mut self.input, version, Sender::Server, 1 << 20);
            if let Some(packet) = heard.unwrap() {
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
        let asked = Asked {
            filter: Bytes::copy_from_slice(filter.as_bytes()),
            qos: 2,
            no_local: false,
            as_published: false,
            handling: 0,
        };
        let filters = [asked].into_iter().collect();
        self.say(&Packet::Subscribe(Subscribe { id: 1, filters, props: Props::none() }));
        match self.listen(LONG) {
            Ok(Some(Packet::SubAck(codes))) => assert_eq!(codes.codes.as_slice(), [2]),
            other => panic!("no answer to a subscription: {other:?}"),
        }
    }
}

/// A PUBLISH.
pub(crate) fn publish(qos: u8, id: u16, dup: bool, topic: &str, text: &str) -> Packet {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: topic.starts_with("kept/"),
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        id,
        props: Props::none(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    })
}

/// PUBACK and its like.
pub(crate) fn ack(id: u16) -> Ack {
    Ack { id, reason: 0, props: Props::none() }
}
