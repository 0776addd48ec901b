//! Floor 3. How a WAMP peer's messages travel: the handshake, frames, batches, and their bounds.
//!
//! Whatever lies outside, the stream is one of RawSocket's frames. A bare RawSocket begins with its
//! handshake here; over a WebSocket the form was agreed on before, and frames are what its messages
//! are. Absent on purpose: what messages say.

use bytes::{Bytes, BytesMut};

use super::batch::{self, Split};
use super::encode::{self, encode};
use super::packet::Message;
use super::rawsocket::{self, Frame, Kind, LONGEST, Offer};
use super::span::Span;
use crate::base::outbound::{COPY_MAX, Outbound};
use crate::proto::fault::FaultKind;
use crate::value::{Bounds, Flaw, Form};

/// What a ping holds: no client has to make anything of it.
const PING: &[u8] = b"spindle";

/// What the next bytes are.
#[derive(Debug)]
pub enum Heard {
    /// Not whole yet.
    Nothing,
    /// The handshake: answer this.
    Octets([u8; 4]),
    /// A handshake that is refused: answer this, if it is worth an answer.
    Refused(FaultKind, Option<[u8; 4]>),
    /// To be sent back.
    Ping(Bytes),
    /// What a ping came to.
    Pong,
    /// A message.
    Message(Bytes),
}

/// How it speaks.
#[derive(Debug)]
pub struct Line {
    form: Option<Form>,
    split: Option<Split>,
    /// What of a batch was not looked at yet: taken apart as it is taken, because messages of a
    /// byte each would weigh many times what they are when they lie side by side.
    batch: Option<batch::Messages>,
    /// What the other side takes.
    takes: usize,
}

impl Line {
    /// A RawSocket that has not said how it speaks.
    #[must_use]
    pub fn bare() -> Self {
        let (form, split, batch) = (None, None, None);
        Self { form, split, batch, takes: LONGEST }
    }

    /// A WebSocket that has.
    #[must_use]
    pub fn framed(form: Form, batched: bool) -> Self {
        let split = batched.then(|| Split::of(form));
        Self { form: Some(form), split, batch: None, takes: LONGEST }
    }

    /// Its form, once it is known.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Is there something whole, or something that can never be?
    #[must_use]
    pub fn has_packet(&self, input: &[u8], most: usize) -> bool {
        if self.batch.is_some() {
            return true;
        }
        if self.form.is_none() {
            return !matches!(rawsocket::offered(input), Ok(None));
        }
        match rawsocket::announced(input, most) {
            Ok(None) => false,
            Ok(Some((_, len))) => input.len() - rawsocket::HEAD >= len,
            Err(_) => true,
        }
    }

    /// Take the next thing. `most`: the longest message that is taken.
    pub fn next(&mut self, input: &mut BytesMut, most: usize) -> Result<Heard, FaultKind> {
        if let Some(message) = self.of_batch() {
            return message.map(Heard::Message);
        }
        if self.form.is_none() {
            return Ok(self.handshake(input, most));
        }
        match rawsocket::next(input, most.min(LONGEST))? {
            None => Ok(Heard::Nothing),
            Some(Frame::Ping(payload)) => Ok(Heard::Ping(payload)),
            Some(Frame::Pong(_)) => Ok(Heard::Pong),
            Some(Frame::Message(message)) => self.apart(message),
        }
    }

    fn handshake(&mut self, input: &mut BytesMut, most: usize) -> Heard {
        match rawsocket::offered(input) {
            Ok(None) => Heard::Nothing,
            Ok(Some(offer)) => {
                let _ = input.split_to(rawsocket::HEAD);
                (self.form, self.takes) = (Some(offer.form), offer.takes);
                Heard::Octets(Offer { takes: most, form: offer.form }.octets())
            }
            Err(why) => Heard::Refused(why.kind, why.answer.map(rawsocket::Refusal::octets)),
        }
    }

    /// A message, or the first of a batch of them.
    fn apart(&mut self, message: Bytes) -> Result<Heard, FaultKind> {
        let (Some(form), Some(split)) = (self.form, &mut self.split) else {
            return Ok(Heard::Message(message));
        };
        let messages = batch::messages(form, message);
        *split = messages.split();
        self.batch = Some(messages);
        self.of_batch().map_or(Ok(Heard::Nothing), |message| message.map(Heard::Message))
    }

    /// The next message of a batch that is under way.
    fn of_batch(&mut self) -> Option<Result<Bytes, FaultKind>> {
        let message = self.batch.as_mut()?.next();
        if self.batch.as_ref().is_some_and(batch::Messages::is_done) || message.is_none() {
            self.batch = None;
        }
        message
    }

    /// The answer to a ping.
    pub fn put_pong(payload: &Bytes, out: &mut Outbound) {
        if let Some(head) = rawsocket::head(Kind::Pong, payload.len()) {
            out.put_slice(&head);
            out.put_bytes(payload);
        }
    }

    /// Are you there?
    pub fn put_ping(out: &mut Outbound) {
        if let Some(head) = rawsocket::head(Kind::Ping, PING.len()) {
            out.put_slice(&head);
            out.put_slice(PING);
        }
    }

    /// Say a message. False: it is longer than the other side takes, and was not said.
    pub fn put(&self, message: &Message, scratch: &mut Vec<u8>, out: &mut Outbound) -> bool {
        let Some(form) = self.form else { return false };
        scratch.clear();
        if encode(message, form, Bounds::default(), scratch).is_err() {
            return false;
        }
        self.put_whole(scratch, out)
    }

    /// Would this message be said? Whoever takes the longest there is is not asked.
    pub fn takes(&self, message: &Message, scratch: &mut Vec<u8>) -> bool {
        if self.takes >= LONGEST {
            return true;
        }
        let Some(form) = self.form else { return false };
        scratch.clear();
        encode(message, form, Bounds::default(), scratch).is_ok()
            && self.dressed(scratch.len()).is_some()
    }

    /// The head of a text of so many bytes and what stands around it; `None`: that is longer than
    /// the other side takes.
    fn dressed(&self, len: usize) -> Option<[u8; rawsocket::HEAD]> {
        let dress = match self.split {
            None => 0,
            Some(Split::After(_)) => 1,
            Some(Split::Length) => 4,
        };
        rawsocket::head(Kind::Message, len + dress).filter(|_| len + dress <= self.takes)
    }

    /// Say what is written already.
    pub fn put_whole(&self, text: &[u8], out: &mut Outbound) -> bool {
        self.frame(text, &[], out, |out| out.put_slice(&[]))
    }

    /// Say a message that carries these arguments. What is long is not copied.
    pub fn put_with(
        &self,
        message: &Message,
        span: &Span,
        scratch: &mut Vec<u8>,
        out: &mut Outbound,
    ) -> Result<bool, Flaw> {
        let Some(form) = self.form else { return Ok(false) };
        if form != span.form {
            let span = span.turned(form, Bounds::default()).ok_or(Flaw::Unsupported)?;
            return self.put_with(message, &span, scratch, out);
        }
        if span.bytes.len() <= COPY_MAX {
            write_short(message, (form, span.flags), &span.bytes, scratch)?;
            return Ok(self.put_whole(scratch, out));
        }
        scratch.clear();
        encode::begin(message, span.flags, form, scratch)?;
        Ok(self.frame(scratch, &span.bytes, out, |out| {
            out.put_bytes(&span.bytes);
            out.put_slice(end(form));
        }))
    }

    fn frame(
        &self,
        text: &[u8],
        shared: &[u8],
        out: &mut Outbound,
        rest: impl FnOnce(&mut Outbound),
    ) -> bool {
        let closes = usize::from(!shared.is_empty() && self.form == Some(Form::Json));
        let len = text.len() + shared.len() + closes;
        let Some(head) = self.dressed(len) else { return false };
        out.put_slice(&head);
        if self.split == Some(Split::Length) {
            out.put_slice(&(len as u32).to_be_bytes());
        }
        out.put_slice(text);
        rest(out);
        if let Some(Split::After(byte)) = self.split {
            out.put_u8(byte);
        }
        true
    }
}

/// Write a message with arguments that are short and in its own form already.
pub(super) fn write_short(
    message: &Message,
    (form, flags): (Form, u8),
    args: &[u8],
    into: &mut Vec<u8>,
) -> Result<(), Flaw> {
    into.clear();
    encode::begin(message, flags, form, into)?;
    into.extend_from_slice(args);
    into.extend_from_slice(end(form));
    Ok(())
}

/// What stands behind the arguments.
fn end(form: Form) -> &'static [u8] {
    if form == Form::Json { b"]" } else { b"" }
}
