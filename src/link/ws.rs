//! Floor 1. An open WebSocket: what frames hold is heard, and what the peer says goes in frames.
//!
//! A stream of packets goes in one frame a turn; where messages count, each is a frame. Control
//! frames are answered here and stand between messages, never within one. A Close is the last that
//! is said. Absent on purpose: the request before it (`ws_handshake`), frames themselves
//! (`ws_frame`).

use bytes::BytesMut;

use crate::base::limits::Limits;
use crate::base::outbound::Outbound;

use super::ws_frame::{self, Unframe};
use super::ws_message::{LONGEST, Wrap};
use super::{Flaw, Parting, Spoken};

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Ws {
    unframe: Unframe,
    /// What answers the upgrade.
    answer: Vec<u8>,
    /// What Pings want back.
    pongs: Vec<u8>,
    /// The code of the peer's Close, or of what it broke.
    close: Option<u16>,
    /// Our Close is out.
    closed: bool,
    /// What the peer says are messages that count.
    messages: Option<Wrap>,
}

impl Ws {
    /// For whoever speaks this, after this answer.
    pub(super) fn new(spoken: Spoken, answer: Vec<u8>) -> Self {
        let text = match spoken {
            Spoken::Wamp(carrier) => Some(carrier.is_text()),
            Spoken::Mqtt | Spoken::Prx1 | Spoken::Http | Spoken::Polls => None,
        };
        let unframe = text.map_or_else(Unframe::default, Unframe::of_messages);
        let (pongs, messages) = (Vec::new(), text.map(Wrap::new));
        Self { unframe, answer, pongs, close: None, closed: false, messages }
    }

    /// Leave in `chunk` what is for the peer. True: it has closed.
    pub(super) fn hear(&mut self, chunk: &mut BytesMut, limits: &Limits) -> Result<bool, Flaw> {
        let max = match self.messages {
            None => limits.ws_frame_bytes_max.max(limits.packet_bytes_max.saturating_add(5)),
            Some(_) => limits.wamp_bytes_max.min(LONGEST),
        };
        let close = self.unframe.take(chunk, max as u64, &mut self.pongs);
        let close = close.inspect_err(|flaw| self.close = Some(flaw.close_code()))?;
        self.close = close.or(self.close);
        Ok(close.is_some())
    }

    /// One more field in the answer, which was not said yet.
    pub(super) fn add_field(&mut self, field: &str) {
        if self.answer.ends_with(b"\r\n\r\n") {
            self.answer.truncate(self.answer.len() - 2);
            self.answer.extend_from_slice(field.as_bytes());
            self.answer.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// It has something to say of its own.
    pub(super) fn has_words(&self) -> bool {
        !self.answer.is_empty() || !self.pongs.is_empty()
    }

    /// What a message without an end takes of the memory.
    pub(super) fn held(&self) -> usize {
        self.unframe.held()
    }

    /// Bytes of it.
    pub(super) fn begun(&self) -> usize {
        self.unframe.begun()
    }

    /// Say what waits, and what `say` puts there, in frames; with `last`, that nothing follows.
    pub(super) fn speak(
        &mut self,
        out: &mut Outbound,
        last: Option<Parting>,
        say: impl FnOnce(&mut Outbound) -> bool,
    ) -> bool {
        out.put_slice(&core::mem::take(&mut self.answer));
        if self.closed {
            return false;
        }
        self.say_pongs(out);
        let mark = out.mark();
        let more = say(out);
        if let Some(messages) = &mut self.messages {
            messages.wrap(out, mark);
            self.say_pongs(out);
        } else {
            let len = out.len_from(mark);
            if len > 0 {
                out.insert(mark, &ws_frame::head(ws_frame::BINARY, len));
            }
        }
        if let Some(last) = last {
            if self.is_between() {
                // [RFC 6455, 5.5.1] A Close is answered by its own code.
                let code = self.close.unwrap_or(last.code);
                out.put_slice(&ws_frame::close(code, last.reason));
            }
            self.closed = true;
        }
        more
    }

    /// What Pings want back, unless that would stand within a message.
    fn say_pongs(&mut self, out: &mut Outbound) {
        if self.is_between() {
            out.put_slice(&self.pongs);
            self.pongs.clear();
        }
    }

    fn is_between(&self) -> bool {
        self.messages.as_ref().is_none_or(Wrap::is_between)
    }
}
