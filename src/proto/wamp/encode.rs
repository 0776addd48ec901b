//! Floor 3. A message into bytes of a form.
//!
//! What is at its default is left out: options, an empty payload at the end, and `Arguments` is an
//! empty list when only `ArgumentsKw` are there. Values that are raw go out as they came when the
//! form is the same, and are written anew when it is another. Absent on purpose: frames.

use super::options::Dict;
use super::packet::Message;
use super::parts::{Amount, Payload, Raw, Text};
use super::span::elements;
use crate::proto::carried::{ARGS, KWARGS};
use crate::value::{Bounds, Flaw, Form, Writer, transcode};

/// Append a message. An error is about a raw value that this form has no way to say; then nothing
/// is appended.
pub fn encode(
    message: &Message,
    form: Form,
    bounds: Bounds,
    into: &mut Vec<u8>,
) -> Result<(), Flaw> {
    let start = into.len();
    let mut to = Out { form, bounds, to: Writer::new(form, into), flaw: None };
    to.to.list(1 + message.count());
    to.to.uint(message.code());
    message.write(&mut to);
    to.to.end();
    let flaw = to.flaw;
    if flaw.is_some() {
        into.truncate(start);
    }
    flaw.map_or(Ok(()), Err)
}

/// Append a message up to where its arguments stand, which the caller appends, and then its end:
/// in JSON a bracket, else nothing. The message's own payload is empty.
pub(super) fn begin(
    message: &Message,
    flags: u8,
    form: Form,
    into: &mut Vec<u8>,
) -> Result<(), Flaw> {
    let mut to = Out { form, bounds: Bounds::default(), to: Writer::new(form, into), flaw: None };
    to.to.list(1 + message.count() + elements(flags));
    to.to.uint(message.code());
    message.write(&mut to);
    if flags & (ARGS | KWARGS) == KWARGS {
        to.to.list(0);
        to.to.end();
    }
    let flaw = to.flaw;
    if form == Form::Json && elements(flags) > 0 {
        into.push(b',');
    }
    flaw.map_or(Ok(()), Err)
}

/// Writes one message.
pub(super) struct Out<'o> {
    form: Form,
    bounds: Bounds,
    to: Writer<'o>,
    /// The first thing that could not be said.
    flaw: Option<Flaw>,
}

impl Out<'_> {
    /// A key and its value, unless that is at its default.
    pub(super) fn entry(&mut self, key: &str, value: &impl Said) {
        if !value.is_absent() {
            self.to.key(key);
            value.say(self);
        }
    }

    /// A map.
    pub(super) fn dict(&mut self, dict: &impl Dict) {
        self.to.map(dict.keys());
        dict.put(self);
        self.to.end();
    }

    pub(super) fn text(&mut self, text: &str) {
        self.to.text(text);
    }

    /// What is there of a payload.
    pub(super) fn payload(&mut self, payload: &Payload) {
        match (&payload.args, &payload.kwargs) {
            (Some(args), _) => args.say(self),
            (None, Some(_)) => {
                self.to.list(0);
                self.to.end();
            }
            (None, None) => {}
        }
        if let Some(kwargs) = &payload.kwargs {
            kwargs.say(self);
        }
    }
}

/// What a value is written as.
pub(super) trait Said {
    /// It is at its default, so its key is left out.
    fn is_absent(&self) -> bool {
        false
    }

    /// Write it.
    fn say(&self, to: &mut Out<'_>);
}

impl Said for u64 {
    fn say(&self, to: &mut Out<'_>) {
        to.to.uint(*self);
    }
}

impl Said for Amount {
    fn say(&self, to: &mut Out<'_>) {
        to.to.uint(self.0);
    }
}

impl Said for bool {
    fn is_absent(&self) -> bool {
        !self
    }

    fn say(&self, to: &mut Out<'_>) {
        to.to.bool(*self);
    }
}

impl Said for Text {
    fn say(&self, to: &mut Out<'_>) {
        to.to.text(self.as_str());
    }
}

impl Said for Raw {
    fn say(&self, to: &mut Out<'_>) {
        if self.form == to.form {
            to.to.raw(&self.bytes);
            return;
        }
        let mut anew = Vec::new();
        match transcode(self.form, &self.bytes, to.form, &mut anew, to.bounds) {
            Ok(()) => {
                to.to.raw(&anew);
            }
            Err(flaw) => to.flaw = to.flaw.or(Some(flaw)),
        }
    }
}

impl<T: Said> Said for Vec<T> {
    fn say(&self, to: &mut Out<'_>) {
        to.to.list(self.len());
        self.iter().for_each(|it| it.say(to));
        to.to.end();
    }
}

impl<T: Said> Said for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn say(&self, to: &mut Out<'_>) {
        if let Some(it) = self {
            it.say(to);
        }
    }
}

impl<T: Said> Said for Box<T> {
    fn say(&self, to: &mut Out<'_>) {
        T::say(self, to);
    }
}
