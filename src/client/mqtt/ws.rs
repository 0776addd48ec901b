//! Floor 5. The client's side of a WebSocket (RFC 6455): the request, frames with a mask, and
//! frames without.
//!
//! MQTT is a stream of its own packets, so a frame is only a stretch of bytes: payload is passed
//! on as it comes, and nothing is gathered but headers and control frames. Absent on purpose:
//! text, extensions, and redirects.

use bytes::{Buf, BytesMut};

use crate::base::base64;
use crate::base::rng::Rng;
use crate::client::masked;
use crate::link::{ws_frame, ws_handshake};

use super::Error;

/// The frames of one connection.
#[derive(Debug)]
pub(crate) struct Ws {
    rng: Rng,
    accept: String,
    /// The upgrade was granted.
    open: bool,
    /// Payload of the frame that is still to come, and whether it is for the peer.
    left: u64,
    opcode: u8,
    control: Vec<u8>,
    closed: bool,
}

impl Ws {
    /// A connection, and the request it begins with.
    pub(crate) fn new(host: &str, path: &str, mut rng: Rng) -> (Self, Vec<u8>) {
        let mut key = [0; 16];
        let (one, two) = key.split_at_mut(8);
        one.copy_from_slice(&rng.next_u64().to_be_bytes());
        two.copy_from_slice(&rng.next_u64().to_be_bytes());
        let key = base64::encode(&key);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        let accept = ws_handshake::accept(key.as_bytes());
        let ws = Self {
            rng,
            accept,
            open: false,
            left: 0,
            opcode: ws_frame::BINARY,
            control: Vec::new(),
            closed: false,
        };
        (ws, request.into_bytes())
    }

    /// Read the answer to the request, when it is whole; true when the frames begin.
    pub(crate) fn greet(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        if self.open {
            return Ok(true);
        }
        let Some(len) = ws_handshake::head_len(input, 0) else {
            return match input.len() > HEAD_MAX {
                true => Err(Error::WebSocket("the answer to the upgrade does not end")),
                false => Ok(false),
            };
        };
        let head = input.split_to(len);
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut fields);
        match answer.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Error::WebSocket("the answer to the upgrade is no HTTP")),
        }
        if answer.code != Some(101) {
            return Err(Error::WebSocket("the upgrade was refused"));
        }
        let mut accepts = answer.headers.iter();
        let proof = accepts.find(|f| f.name.eq_ignore_ascii_case("sec-websocket-accept"));
        if proof.is_none_or(|proof| proof.value != self.accept.as_bytes()) {
            return Err(Error::WebSocket("the answer to the upgrade proves nothing"));
        }
        self.open = true;
        Ok(true)
    }

    /// Wrap what is to be said.
    pub(crate) fn wrap(&mut self, opcode: u8, payload: &[u8], into: &mut BytesMut) {
        masked::put(&mut self.rng, opcode, payload, into);
    }

    /// Take frames off `raw`; payload goes to `into`, what control frames want back to `out`.
    /// False: the broker has closed.
    pub(crate) fn unwrap(
        &mut self,
        raw: &mut BytesMut,
        into: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<bool, Error> {
        while !self.closed {
            if self.left == 0 {
                let Some(()) = self.header(raw)? else { break };
            }
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(raw.len());
            let part = raw.split_to(len);
            self.left -= len as u64;
            if self.opcode < ws_frame::CLOSE {
                into.extend_from_slice(&part);
            } else {
                self.control.extend_from_slice(&part);
            }
            if self.left > 0 {
                break;
            }
            if self.opcode >= ws_frame::CLOSE {
                self.on_control(out);
            }
        }
        Ok(!self.closed)
    }

    /// The next frame's header, when it is whole.
    fn header(&mut self, raw: &mut BytesMut) -> Result<Option<()>, Error> {
        let &[first, size, ref rest @ ..] = &raw[..] else { return Ok(None) };
        let opcode = first & 0x0f;
        if first & 0x70 != 0 || size & 0x80 != 0 {
            return Err(Error::WebSocket("a frame with reserved bits or a mask"));
        }
        let (len, head) = match size {
            126 => match rest.first_chunk::<2>() {
                Some(len) => (u64::from(u16::from_be_bytes(*len)), 4),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(len) => (u64::from_be_bytes(*len), 10),
                None => return Ok(None),
            },
            len => (u64::from(len), 2),
        };
        let control = opcode >= ws_frame::CLOSE;
        if control && (len > 125 || first & 0x80 == 0) {
            return Err(Error::WebSocket("a control frame that is fragmented or too long"));
        }
        match opcode {
            ws_frame::CONTINUE | ws_frame::BINARY => {}
            ws_frame::CLOSE | ws_frame::PING | ws_frame::PONG => {}
            // [RFC 6455, 5.2] An opcode that is unknown fails the connection.
            _ if control => return Err(Error::WebSocket("a control frame that has no meaning")),
            _ => return Err(Error::WebSocket("a frame that is not binary")),
        }
        raw.advance(head);
        (self.left, self.opcode) = (len, opcode);
        if len == 0 && control {
            self.control.clear();
        }
        Ok(Some(()))
    }

    fn on_control(&mut self, out: &mut BytesMut) {
        let payload = core::mem::take(&mut self.control);
        match self.opcode {
            ws_frame::PING => self.wrap(ws_frame::PONG, &payload, out),
            ws_frame::CLOSE => {
                let code = payload.get(..2).unwrap_or_default().to_vec();
                self.wrap(ws_frame::CLOSE, &code, out);
                self.closed = true;
            }
            _ => {}
        }
    }
}

/// No head of an answer is longer.
const HEAD_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(frames: &[u8]) -> Result<(bool, Vec<u8>, usize), Error> {
        let (mut ws, _) = Ws::new("localhost", "/mqtt", Rng::new(7));
        let (mut raw, mut into, mut out) =
            (BytesMut::from(frames), BytesMut::new(), BytesMut::new());
        let open = ws.unwrap(&mut raw, &mut into, &mut out)?;
        Ok((open, into.to_vec(), out.len()))
    }

    #[test]
    fn frames_with_a_meaning_are_taken_and_a_ping_is_answered() {
        let told = heard(b"\x82\x01a\x89\x02hi\x8a\x00\x80\x01b").expect("all are known");
        assert_eq!(told, (true, b"ab".to_vec(), 2 + 4 + 2));
        assert!(!heard(b"\x88\x00").expect("a Close is known").0);
    }

    #[test]
    fn an_opcode_without_a_meaning_fails_the_connection() {
        for opcode in 0..16_u8 {
            let done = heard(&[0x80 | opcode, 0]);
            assert_eq!(done.is_ok(), matches!(opcode, 0 | 2 | 8 | 9 | 10), "{opcode:#x}");
            // Whether more of it follows or not.
            let done = heard(&[0x80 | opcode, 2, 0x03]);
            assert_eq!(done.is_ok(), matches!(opcode, 0 | 2 | 8 | 9 | 10), "{opcode:#x}");
        }
    }
}
