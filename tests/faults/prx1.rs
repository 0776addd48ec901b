//! One connection that speaks PRX1, and does nothing by itself.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spindle::proto::prx1::decode::BODY_MAX;
use spindle::proto::prx1::{ConnAck, Connect, Packet, encode_vec, next};

use crate::clients::{Heard, PATIENCE, more};

pub(crate) struct Prx1 {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    chunk: Vec<u8>,
    /// The broker knew the session.
    pub(crate) present: bool,
}

impl Prx1 {
    /// Open, and be let in as `user`, whose session stays.
    pub(crate) fn join(address: &str, user: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let (input, output, chunk) = (BytesMut::new(), Vec::new(), vec![0; 1 << 16]);
        let mut it = Self { stream, input, output, chunk, present: false };
        let blob = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        it.say(&Packet::Connect(Connect {
            password: blob("secret"),
            client_id: blob(""),
            username: blob(user),
            keepalive: Some(60),
            ..Connect::default()
        }));
        match it.listen(PATIENCE)? {
            Heard::Packet(Packet::ConnAck(ack)) if ack.result == ConnAck::UNSET => {
                it.present = ack.session_present;
                Ok(it)
            }
            Heard::Packet(other) => Err(format!("{user} is refused: {other:?}")),
            Heard::Quiet | Heard::Ended => Err(format!("{user} is not answered")),
        }
    }

    /// Say it with the next flush.
    pub(crate) fn say(&mut self, packet: &Packet) {
        if let Ok(bytes) = encode_vec(packet) {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// Say what there is to say; then the next packet, if it comes in time.
    pub(crate) fn listen(&mut self, limit: Duration) -> Result<Heard<Packet>, String> {
        let _ = self.stream.write_all(&self.output);
        self.output.clear();
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
        next(&mut self.input, BODY_MAX).map_err(|fault| format!("no PRX1 is spoken: {fault:?}"))
    }
}
