//! An MQTT client of few words over anything that carries bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use spindle::proto::mqtt::{
    Asked, Connect, Packet, Props, Publish, Sender, Subscribe, Version, encode_vec, next,
};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::process::LONG;

const MAX: usize = 32 << 20;

/// What a test says to a broker and hears from it.
pub(crate) trait Mqtt {
    /// Write all of it.
    fn put(&mut self, bytes: &[u8]);
    /// Read some; nothing at the end.
    fn take(&mut self) -> Option<Vec<u8>>;

    fn say(&mut self, packet: &Packet) {
        self.put(&encode_vec(packet, Version::V311).unwrap());
    }

    /// The next packet; nothing at the end. What stands behind it is lost, so one is asked for at
    /// a time.
    fn hear(&mut self) -> Option<Packet> {
        let mut input = BytesMut::new();
        loop {
            if let Some(packet) =
                next(&mut input, Some(Version::V311), Sender::Server, MAX).unwrap()
            {
                assert!(input.is_empty(), "more than was asked for: {input:?}");
                return Some(packet);
            }
            input.extend_from_slice(&self.take()?);
        }
    }

    fn join(&mut self, name: &str) {
        self.say(&connect(name));
        match self.hear() {
            Some(Packet::ConnAck(ack)) if ack.code == 0 => {}
            other => panic!("{name} was not let in: {other:?}"),
        }
    }

    fn subscribe(&mut self, filter: &str) {
        let filter = Bytes::copy_from_slice(filter.as_bytes());
        let asked = Asked { filter, qos: 0, no_local: false, as_published: false, handling: 0 };
        self.say(&Packet::Subscribe(Subscribe {
            id: 1,
            props: Props::none(),
            filters: vec![asked].into(),
        }));
        assert!(matches!(self.hear(), Some(Packet::SubAck(_))));
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.put(&publish(topic, payload));
    }

    fn message(&mut self) -> Bytes {
        match self.hear() {
            Some(Packet::Publish(publish)) => publish.payload,
            other => panic!("no message but {other:?}"),
        }
    }
}

pub(crate) fn connect(name: &str) -> Packet {
    Packet::Connect(Box::new(Connect {
        version: Version::V311,
        bridge: false,
        clean: true,
        keep_alive: 60,
        client_id: Bytes::copy_from_slice(name.as_bytes()),
        will: None,
        username: None,
        password: None,
        props: Props::none(),
    }))
}

/// A PUBLISH of QoS 0, as bytes.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let publish = Publish {
        dup: false,
        qos: 0,
        retain: false,
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        id: 0,
        props: Props::none(),
        payload: Bytes::copy_from_slice(payload),
    };
    encode_vec(&Packet::Publish(publish), Version::V311).unwrap()
}

/// A connection; nothing is waited for longer than a test has patience.
pub(crate) fn open(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

impl<S: Read + Write> Mqtt for S {
    fn put(&mut self, bytes: &[u8]) {
        self.write_all(bytes).unwrap();
        self.flush().unwrap();
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let mut chunk = vec![0; 65_536];
        match self.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => Some(chunk[..n].to_vec()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing was said")
            }
            Err(_) => None,
        }
    }
}

/// A WebSocket as something that carries bytes.
pub(crate) struct Web<S> {
    pub(crate) socket: WebSocket<S>,
}

pub(crate) fn web<S: Read + Write>(stream: S, protocol: &str) -> Web<S> {
    web_with(stream, protocol, &[])
}

/// A WebSocket that was asked for with more fields.
pub(crate) fn web_with<S: Read + Write>(
    stream: S,
    protocol: &str,
    fields: &[(&'static str, &str)],
) -> Web<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let config = tungstenite::protocol::WebSocketConfig::default();
    let config = config.max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let shaken = tungstenite::client::client_with_config(request, stream, Some(config));
    let Ok((socket, answer)) = shaken else { panic!("no WebSocket") };
    assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], protocol);
    assert!(!answer.headers().contains_key("Sec-WebSocket-Extensions"));
    Web { socket }
}

impl<S: Read + Write> Mqtt for Web<S> {
    fn put(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).unwrap();
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => return Some(bytes.to_vec()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(other) => panic!("no bytes but {other:?}"),
            }
        }
    }
}
