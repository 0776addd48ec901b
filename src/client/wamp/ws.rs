//! Floor 5. The client's side of a WebSocket that carries WAMP (RFC 6455): one message is one
//! message, text for JSON and binary for the other forms.
//!
//! A message is gathered as its bytes come, up to the bound; a length that is only announced costs
//! nothing. Absent on purpose: extensions, and redirects.

use bytes::{Buf, Bytes, BytesMut};

use crate::base::base64;
use crate::base::rng::Rng;
use crate::client::masked;
use crate::link::{ws_frame, ws_handshake};
use crate::value::Form;

use super::Error;

/// What one subprotocol says: the form, and whether messages come in batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spoken {
    pub(crate) form: Form,
    pub(crate) batched: bool,
}

impl Spoken {
    /// As it is offered.
    pub(super) fn name(self) -> &'static str {
        match (self.form, self.batched) {
            (Form::Json, false) => "wamp.2.json",
            (Form::Json, true) => "wamp.2.json.batched",
            (Form::MsgPack, false) => "wamp.2.msgpack",
            (Form::MsgPack, true) => "wamp.2.msgpack.batched",
            (Form::Cbor, false) => "wamp.2.cbor",
            (Form::Cbor, true) => "wamp.2.cbor.batched",
        }
    }
}

/// The messages of one connection.
#[derive(Debug)]
pub(crate) struct Ws {
    rng: Rng,
    accept: String,
    /// Longer messages are not taken.
    longest: usize,
    opcode: u8,
    /// A message whose last fragment is not there yet.
    begun: Option<BytesMut>,
}

impl Ws {
    /// A connection, and the request it begins with.
    pub(crate) fn new(
        host: &str,
        path: &str,
        offered: &[Spoken],
        longest: usize,
        mut rng: Rng,
    ) -> (Self, Vec<u8>) {
        let mut key = [0; 16];
        let (one, two) = key.split_at_mut(8);
        one.copy_from_slice(&rng.next_u64().to_be_bytes());
        two.copy_from_slice(&rng.next_u64().to_be_bytes());
        let key = base64::encode(&key);
        let names: Vec<&str> = offered.iter().map(|spoken| spoken.name()).collect();
        let names = names.join(", ");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {names}\r\n\r\n"
        );
        let accept = ws_handshake::accept(key.as_bytes());
        let ws = Self { rng, accept, longest, opcode: ws_frame::BINARY, begun: None };
        (ws, request.into_bytes())
    }

    /// Read the answer to the request, when it is whole: what was chosen of what was offered.
    pub(crate) fn greet(
        &mut self,
        input: &mut BytesMut,
        offered: &[Spoken],
    ) -> Result<Option<Spoken>, Error> {
        let Some(len) = ws_handshake::head_len(input, 0) else {
            return match input.len() > HEAD_MAX {
                true => Err(Error::WebSocket("the answer to the upgrade does not end")),
                false => Ok(None),
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
        let field = |name: &str| {
            let mut fields = answer.headers.iter();
            fields.find(|f| f.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        if field("sec-websocket-accept") != Some(self.accept.as_bytes()) {
            return Err(Error::WebSocket("the answer to the upgrade proves nothing"));
        }
        let chosen = field("sec-websocket-protocol").unwrap_or_default();
        let mut ours = offered.iter();
        let spoken = ours.find(|spoken| spoken.name().as_bytes() == chosen.trim_ascii());
        let spoken = *spoken.ok_or(Error::WebSocket("nothing that was offered was chosen"))?;
        let text = spoken.form == Form::Json;
        self.opcode = if text { ws_frame::TEXT } else { ws_frame::BINARY };
        Ok(Some(spoken))
    }

    /// Wrap a message.
    pub(crate) fn wrap(&mut self, message: &[u8], into: &mut BytesMut) {
        self.put(self.opcode, message, into);
    }

    /// Ask for a sign of life.
    pub(super) fn ping(&mut self, into: &mut BytesMut) {
        self.put(ws_frame::PING, b"spindle", into);
    }

    /// Say that nothing follows.
    pub(super) fn close(&mut self, into: &mut BytesMut) {
        self.put(ws_frame::CLOSE, &1000u16.to_be_bytes(), into);
    }

    fn put(&mut self, opcode: u8, payload: &[u8], into: &mut BytesMut) {
        masked::put(&mut self.rng, opcode, payload, into);
    }

    /// The next message, when it is whole; what control frames want back goes to `out`.
    pub(crate) fn next(
        &mut self,
        raw: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Bytes>, Error> {
        while let Some((last, opcode, len)) = self.header(raw)? {
            let payload = raw.split_to(len);
            match (opcode, self.begun.take()) {
                (ws_frame::PING, begun) => {
                    self.put(ws_frame::PONG, &payload, out);
                    self.begun = begun;
                }
                (ws_frame::PONG, begun) => self.begun = begun,
                (ws_frame::CLOSE, _) => return Err(self.on_close(&payload, out)),
                (_, None) if last => return Ok(Some(payload.freeze())),
                (_, None) => self.begun = Some(payload),
                (_, Some(mut begun)) => {
                    begun.extend_from_slice(&payload);
                    if last {
                        return Ok(Some(begun.freeze()));
                    }
                    self.begun = Some(begun);
                }
            }
        }
        Ok(None)
    }

    /// The next frame, once all of it is there: whether it is the last of its message, what it is,
    /// and how long. Its header is taken off.
    fn header(&self, raw: &mut BytesMut) -> Result<Option<(bool, u8, usize)>, Error> {
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
        let (last, control) = (first & 0x80 != 0, opcode >= ws_frame::CLOSE);
        if control && (len > 125 || !last) {
            return Err(Error::WebSocket("a control frame that is fragmented or too long"));
        }
        let due = if self.begun.is_some() { ws_frame::CONTINUE } else { self.opcode };
        if !control && opcode != due {
            return Err(Error::WebSocket("a frame of another kind than is due"));
        }
        let before = self.begun.as_ref().map_or(0, BytesMut::len);
        let most = if control { 125 } else { self.longest.saturating_sub(before) };
        let len = usize::try_from(len).ok().filter(|len| *len <= most);
        let len = len.ok_or(Error::WebSocket("a message that is longer than is taken"))?;
        if raw.len() - head < len {
            return Ok(None);
        }
        raw.advance(head);
        Ok(Some((last, opcode, len)))
    }

    fn on_close(&mut self, payload: &[u8], out: &mut BytesMut) -> Error {
        let code = payload.first_chunk::<2>();
        self.put(ws_frame::CLOSE, code.map_or(&[][..], |code| code), out);
        let Some(code) = code.map(|code| u16::from_be_bytes(*code)) else { return Error::Lost };
        let words = payload.get(2..).unwrap_or_default();
        let message = String::from_utf8_lossy(words).into_owned();
        Error::Closed { reason: format!("WebSocket {code}"), message }
    }
}

/// No head of an answer is longer.
const HEAD_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Spoken = Spoken { form: Form::Json, batched: false };
    const CBOR: Spoken = Spoken { form: Form::Cbor, batched: true };

    fn ws(longest: usize) -> Ws {
        let (mut ws, _) = Ws::new("h", "/", &[JSON], longest, Rng::new(1));
        ws.opcode = ws_frame::TEXT;
        ws
    }

    fn all(ws: &mut Ws, bytes: &[u8]) -> (Result<Vec<Bytes>, String>, Vec<u8>) {
        let (mut out, mut found) = (BytesMut::new(), Vec::new());
        let mut raw = BytesMut::new();
        // One byte at a time: where the input is cut must not matter.
        for byte in bytes {
            raw.extend_from_slice(&[*byte]);
            loop {
                match ws.next(&mut raw, &mut out) {
                    Ok(Some(message)) => found.push(message),
                    Ok(None) => break,
                    Err(e) => return (Err(e.to_string()), out.to_vec()),
                }
            }
        }
        (Ok(found), out.to_vec())
    }

    #[test]
    fn fragments_are_put_together_and_pings_between_them_are_answered() {
        let (found, out) = all(&mut ws(100), b"\x01\x01a\x89\x02hi\x00\x01b\x80\x01c\x81\x00");
        assert_eq!(found.unwrap(), [&b"abc"[..], b""]);
        assert_eq!(out.len(), 2 + 4 + 2, "one pong");
        assert_eq!(out[..2], [0x8a, 0x82]);
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_header() {
        let (found, _) = all(&mut ws(3), b"\x81\x04");
        assert!(found.unwrap_err().contains("longer"));
        let (found, _) = all(&mut ws(3), b"\x01\x02ab\x80\x02");
        assert!(found.unwrap_err().contains("longer"));
        let (found, _) = all(&mut ws(3), b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff");
        assert!(found.unwrap_err().contains("longer"));
    }

    #[test]
    fn frames_of_another_kind_are_refused() {
        for (bytes, why) in [
            (&b"\x82\x00"[..], "another kind"),
            (b"\x80\x00", "another kind"),
            (b"\x01\x00\x81\x00", "another kind"),
            (b"\xc1\x00", "reserved"),
            (b"\x81\x80", "mask"),
            (b"\x09\x00", "control"),
            (b"\x89\x7e\x00\x80", "control"),
        ] {
            let (found, _) = all(&mut ws(100), bytes);
            assert!(found.clone().unwrap_err().contains(why), "{bytes:?}: {found:?}");
        }
    }

    #[test]
    fn a_close_says_why_and_is_answered() {
        let (found, out) = all(&mut ws(100), b"\x88\x05\x03\xeabad");
        assert_eq!(found.unwrap_err(), "closed by the router: WebSocket 1002 (bad)");
        assert_eq!(out[..2], [0x88, 0x82]);
    }

    #[test]
    fn an_upgrade_must_choose_one_of_what_was_offered_and_prove_itself() {
        let offered = [CBOR, JSON];
        let answer = |protocol: &str, spoil: bool| {
            let (mut ws, request) = Ws::new("h", "/ws", &offered, 9, Rng::new(1));
            let request = String::from_utf8(request).unwrap();
            assert!(request.contains("Protocol: wamp.2.cbor.batched, wamp.2.json\r\n"));
            let accept = if spoil { "x" } else { &ws.accept };
            let text = format!(
                "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept}\r\n\
                 sec-websocket-protocol: {protocol}\r\n\r\nrest"
            );
            let mut input = BytesMut::from(text.as_bytes());
            let half = input.split_off(20);
            assert!(matches!(ws.greet(&mut input, &offered), Ok(None)));
            input.unsplit(half);
            ws.greet(&mut input, &offered).map(|spoken| (spoken, input)).map_err(|e| e.to_string())
        };
        let (spoken, rest) = answer("wamp.2.json", false).unwrap();
        assert_eq!((spoken, &rest[..]), (Some(JSON), &b"rest"[..]));
        assert!(answer("wamp.2.msgpack", false).unwrap_err().contains("chosen"));
        assert!(answer("wamp.2.json", true).unwrap_err().contains("proves"));
    }
}
