//! Floor 6. What the load generator says and hears in WAMP, over a RawSocket, in each form.
//!
//! A payload is one argument: bytes, or in JSON a text of two letters for each byte, so that it is
//! the end of every message that carries it but for what closes that. Requests are numbered from
//! far above 65,535, so that a number is as long as the next and can be written over. Absent on
//! purpose: WebSocket, logins, and patterns.

use crate::proto::wamp::rawsocket::{self, Kind, LONGEST, MAGIC, Offer};
use crate::value::{Bounds, Form, Item, Walk, Writer};

use super::wire::{HEAD, Head, Heard};

/// How it is spoken, and whether what is sent is called instead of published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wamp {
    pub(super) form: Form,
    pub(super) calls: bool,
}

/// A message of one publisher or caller, and where what is its own stands.
#[derive(Debug)]
pub(super) struct Stencil {
    pub(super) bytes: Vec<u8>,
    pub(super) request_at: usize,
    pub(super) head_at: usize,
}

impl Wamp {
    /// Come in: the handshake and HELLO in one piece.
    pub(super) fn connect(self, realm: &str) -> Option<Vec<u8>> {
        let mut all = Offer { takes: LONGEST, form: self.form }.octets().to_vec();
        all.extend(self.message(|to| {
            to.list(3).uint(1).text(realm).map(1).key("roles").map(4);
            for role in ["publisher", "subscriber", "caller", "callee"] {
                to.key(role).map(0).end();
            }
            to.end().end().end();
        })?);
        Some(all)
    }

    /// Listen, or offer.
    pub(super) fn subscribe(self, topics: &[String]) -> Option<Vec<u8>> {
        let code = if self.calls { 64 } else { 32 };
        let mut all = Vec::new();
        for (topic, request) in topics.iter().zip(1..) {
            let topic = dotted(topic);
            all.extend(self.message(|to| {
                to.list(4).uint(code).uint(request).map(0).end().text(&topic).end();
            })?);
        }
        Some(all)
    }

    /// Goodbye.
    pub(super) fn leave(self) -> Option<Vec<u8>> {
        self.message(|to| {
            to.list(3).uint(6).map(0).end().text("wamp.close.close_realm").end();
        })
    }

    /// What is sent again and again, but for its number and the head of its payload.
    pub(super) fn stencil(self, topic: &str, qos: u8, payload: &[u8]) -> Option<Stencil> {
        let topic = dotted(topic);
        let code = if self.calls { 48 } else { 16 };
        let bytes = self.message(|to| {
            to.list(5).uint(code).uint(u64::from(FIRST));
            if qos > 0 && !self.calls {
                to.map(1).key("acknowledge").bool(true).end();
            } else {
                to.map(0).end();
            }
            to.text(&topic).list(1);
            self.argument(payload, to);
            to.end().end();
        })?;
        let written = self.number(FIRST);
        let request_at = bytes.windows(written.len()).position(|some| some == written)?;
        let head_at = bytes.len().checked_sub(self.wide(payload.len()) + self.tail())?;
        Some(Stencil { bytes, request_at, head_at })
    }

    /// Write the number of a message over another.
    #[inline]
    pub(super) fn put_request(self, seq: u64, place: &mut [u8]) {
        let number = FIRST | (seq as u32 & (FIRST - 1));
        match self.form {
            Form::Json => {
                let mut rest = number;
                for digit in place.iter_mut().take(10).rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            }
            _ => {
                if let Some(four) = place.first_chunk_mut::<4>() {
                    *four = number.to_be_bytes();
                }
            }
        }
    }

    /// Write bytes of a payload from a byte of it on.
    #[inline]
    pub(super) fn put_payload(self, from: usize, bytes: &[u8], place: &mut [u8]) {
        let Some(place) = place.get_mut(self.wide(from)..) else { return };
        if self.form != Form::Json {
            if let Some(place) = place.get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
            }
            return;
        }
        for (byte, two) in bytes.iter().zip(place.as_chunks_mut::<2>().0) {
            *two = letters(*byte);
        }
    }

    /// Answer an invocation with what it said.
    pub(super) fn put_yield(self, request: u64, frame: &[u8], size: usize, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&[0; rawsocket::HEAD]);
        let said = self.said(frame, size).unwrap_or_default();
        let mut to = Writer::new(self.form, out);
        to.list(4).uint(70).uint(request).map(0).end().list(1);
        match core::str::from_utf8(said) {
            Ok(text) if self.form == Form::Json => to.text(text),
            _ => to.bytes(said),
        };
        to.end().end();
        let len = out.len() - from - rawsocket::HEAD;
        if let (Some(head), Some(place)) = (
            rawsocket::head(Kind::Message, len),
            out.get_mut(from..).and_then(<[u8]>::first_chunk_mut::<{ rawsocket::HEAD }>),
        ) {
            *place = head;
        }
    }

    /// How long the packet at the front is, once that is known; `most`: what it may be.
    pub(super) fn frame_len(self, input: &[u8], most: usize) -> Result<Option<usize>, String> {
        let Some(&[kind, a, b, c]) = input.first_chunk::<4>() else { return Ok(None) };
        if kind == MAGIC {
            return match a & 0x0f {
                0 => Err(format!("the handshake was refused with {}", a >> 4)),
                _ => Ok(Some(rawsocket::HEAD)),
            };
        }
        let whole = rawsocket::HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind > 2 || whole > most {
            return Err(format!("no message of a RawSocket, or one of {whole} bytes"));
        }
        Ok(Some(whole))
    }

    /// An event at the front, and how long it is.
    #[inline]
    pub(super) fn quick(self, input: &[u8], size: usize, most: usize) -> Option<(Head, usize)> {
        let &[0, a, b, c] = input.first_chunk::<4>()? else { return None };
        let whole = rawsocket::HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
        if whole > most {
            return None;
        }
        let frame = input.get(..whole)?;
        let is_event = match (self.form, frame.get(rawsocket::HEAD..)?) {
            (Form::Json, text) => text.starts_with(b"[36,"),
            (Form::MsgPack, [_, 36, ..]) | (Form::Cbor, [_, 0x18, 36, ..]) => true,
            _ => false,
        };
        if !is_event {
            return None;
        }
        Some((self.head(frame, size)?, whole))
    }

    /// What a whole packet says.
    pub(super) fn hear(self, frame: &[u8], size: usize) -> Result<Heard, String> {
        let stranger = || "a message that this run did not send".to_owned();
        let (Some(0), Some(message)) = (frame.first(), frame.get(rawsocket::HEAD..)) else {
            return Ok(Heard::Nothing);
        };
        let (code, number) = self.opening(message).ok_or_else(stranger)?;
        match code {
            2 => Ok(Heard::Connected(u16::MAX)),
            33 | 65 => Ok(Heard::Subscribed),
            17 | 50 => Ok(Heard::Acked(id_of(number))),
            36 => {
                let head = self.head(frame, size).ok_or_else(stranger)?;
                Ok(Heard::Message(0, 0, head))
            }
            68 => Ok(Heard::Invoked(number, self.head(frame, size).ok_or_else(stranger)?)),
            3 | 6 | 8 => {
                let words: String = String::from_utf8_lossy(message)
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(200)
                    .collect();
                Err(format!("the router refused: {words}"))
            }
            _ => Ok(Heard::Nothing),
        }
    }

    /// The number that a message begins with, and the one behind it; 0 where there is none.
    fn opening(self, message: &[u8]) -> Option<(u64, u64)> {
        let mut walk = Walk::new(self.form, message, Bounds::default());
        let Ok(Item::List) = walk.next() else { return None };
        let mut number = || match walk.next() {
            Ok(Item::Int(n)) => u64::try_from(n).ok(),
            _ => None,
        };
        let code = number()?;
        Some((code, number().unwrap_or(0)))
    }

    /// Its payload as it is written.
    fn said(self, frame: &[u8], size: usize) -> Option<&[u8]> {
        let end = frame.len().checked_sub(self.tail())?;
        frame.get(end.checked_sub(self.wide(size))?..end)
    }

    fn head(self, frame: &[u8], size: usize) -> Option<Head> {
        let said = self.said(frame, size)?;
        if self.form != Form::Json {
            return Head::read(said);
        }
        let mut bytes = [0; HEAD];
        for (two, byte) in said.as_chunks::<2>().0.iter().zip(&mut bytes) {
            let [high, low] = two.map(|letter| letter.wrapping_sub(b'a') & 0x0f);
            *byte = high << 4 | low;
        }
        Head::read(&bytes)
    }

    fn message(self, body: impl FnOnce(&mut Writer<'_>)) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        body(&mut Writer::new(self.form, &mut message));
        let mut all = rawsocket::head(Kind::Message, message.len())?.to_vec();
        all.extend(message);
        Some(all)
    }

    fn argument(self, payload: &[u8], to: &mut Writer<'_>) {
        if self.form != Form::Json {
            to.bytes(payload);
            return;
        }
        let text: String = payload.iter().flat_map(|byte| letters(*byte)).map(char::from).collect();
        to.text(&text);
    }

    /// How long so many bytes of a payload are.
    fn wide(self, bytes: usize) -> usize {
        if self.form == Form::Json { 2 * bytes } else { bytes }
    }

    /// What stands behind a payload.
    fn tail(self) -> usize {
        if self.form == Form::Json { 3 } else { 0 }
    }

    fn number(self, number: u32) -> Vec<u8> {
        match self.form {
            Form::Json => number.to_string().into_bytes(),
            _ => number.to_be_bytes().to_vec(),
        }
    }
}

/// The packet id that a publisher knows the message of this number by.
fn id_of(number: u64) -> u16 {
    let seq = number & u64::from(FIRST - 1);
    (seq % u64::from(u16::MAX)) as u16 + 1
}

fn letters(byte: u8) -> [u8; 2] {
    [b'a' + (byte >> 4), b'a' + (byte & 0x0f)]
}

/// Topics of other protocols have slashes.
fn dotted(topic: &str) -> String {
    topic.replace('/', ".")
}

/// The number of the first request; a power of two.
const FIRST: u32 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::wire::{Template, Tongue, filling};

    const FORMS: [Form; 3] = [Form::Json, Form::MsgPack, Form::Cbor];

    /// A message as a router writes it.
    fn said(it: Wamp, code: u64, number: u64, payload: &[u8]) -> Vec<u8> {
        it.message(|to| {
            to.list(5).uint(code).uint(number).uint(7).map(0).end().list(1);
            it.argument(payload, to);
            to.end().end();
        })
        .unwrap()
    }

    /// A publisher's third message, and the payload that it has.
    fn third(it: Wamp, size: usize) -> (Vec<u8>, Head) {
        let head = Head { run: 7, publisher: 3, seq: 2, due: 5, sent: 6 };
        let payload = filling(size, 1);
        let mut template = Template::new(Tongue::Wamp(it), "bench/1/2", 1, false, payload).unwrap();
        template.prime(&Head { seq: 0, ..head });
        let mut out = Vec::new();
        template.put(9, head.seq, &mut out);
        (out, head)
    }

    #[test]
    fn the_codec_reads_what_is_written_over() {
        use crate::proto::wamp::{Message, Most, Sender, decode};

        for form in FORMS {
            for calls in [false, true] {
                let it = Wamp { form, calls };
                let (out, head) = third(it, 64);
                assert_eq!(it.head(&out, 64), Some(head), "{form:?}");
                let whole = bytes::Bytes::from(out).slice(rawsocket::HEAD..);
                let read = decode(form, &whole, Sender::Client, &Most::default());
                let (request, name) = match read {
                    Ok(Message::Publish(read)) if !calls => {
                        assert!(read.options.acknowledge);
                        (read.request, read.topic)
                    }
                    Ok(Message::Call(read)) if calls => (read.request, read.procedure),
                    other => panic!("{form:?}: {other:?}"),
                };
                assert_eq!(id_of(request), 3, "the third packet id");
                assert_eq!(name.as_str(), "bench.1.2");
            }
        }
    }

    #[test]
    fn an_event_is_heard_as_it_was_said() {
        for form in FORMS {
            let it = Wamp { form, calls: false };
            let (published, head) = third(it, 64);
            let mut payload = [0; 64];
            let text = it.said(&published, 64).unwrap();
            for (at, byte) in payload.iter_mut().enumerate() {
                *byte = match form {
                    Form::Json => (text[2 * at] - b'a') << 4 | (text[2 * at + 1] - b'a'),
                    _ => text[at],
                };
            }
            let event = said(it, 36, 5, &payload);
            let tongue = Tongue::Wamp(it);
            assert_eq!(tongue.quick(&event, 64), Some((0, 0, head, event.len())), "{form:?}");
            assert_eq!(tongue.quick(&event[..event.len() - 1], 64), None);
            let heard = tongue.next(&event, 64);
            assert_eq!(heard, Ok(Some((Heard::Message(0, 0, head), event.len()))));
            assert_eq!(tongue.next(&event[..event.len() - 1], 64), Ok(None));
            let call = said(it, 68, 1 << 40, &payload);
            let heard = tongue.next(&call, 64);
            assert_eq!(heard, Ok(Some((Heard::Invoked(1 << 40, head), call.len()))));
            let mut out = Vec::new();
            it.put_yield(1 << 40, &call, 64, &mut out);
            assert_eq!(it.frame_len(&out, 1_000), Ok(Some(out.len())), "{form:?}");
            assert_eq!(it.opening(&out[rawsocket::HEAD..]), Some((70, 1 << 40)));
            assert_eq!(it.head(&out, 64), Some(head), "what was said is said back");
        }
    }

    #[test]
    fn what_a_router_sends_is_measured_first() {
        let it = Tongue::Wamp(Wamp { form: Form::MsgPack, calls: false });
        assert_eq!(it.next(&[0x7f, 0xf2, 0, 0, 1], 64), Ok(Some((Heard::Nothing, 4))));
        assert!(it.next(&[0x7f, 0x10, 0, 0], 64).unwrap_err().contains("refused with 1"));
        assert!(it.next(&[0, 0xff, 0xff, 0xff], 64).is_err(), "longer than anything of ours");
        assert!(it.next(&[9, 0, 0, 1], 64).is_err(), "no kind of frame");
        assert!(it.next(&[0, 0, 0, 1, 0xc0], 64).is_err(), "no message");
        assert!(it.next(&[0, 0, 0, 4, 0x93, 36, 1, 1], 64).is_err(), "an event without a payload");
        assert!(it.next(&[0, 0, 0, 4, 0x93, 3, 0x80, 0xa0], 64).unwrap_err().contains("refused"));
    }
}
