//! Floor 3. Arguments on their way through: one span of the message they came in.
//!
//! Positional arguments stand before named ones, so both are one piece of the buffer they were read
//! from, and whoever reads the same form gets that piece as it is. Only for another form are they
//! taken apart. Absent on purpose: what they mean.

use bytes::Bytes;

use super::parts::{Payload, Raw};
use crate::proto::carried::{ARGS, KWARGS};
use crate::value::{Bounds, Form, Walk, Writer, transcode};

/// Positional arguments and named ones, where there are any.
pub type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Arguments, positional and named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// How they are written.
    pub form: Form,
    /// What there is: [`ARGS`], [`KWARGS`].
    pub flags: u8,
    /// Both, with whatever stood between them.
    pub bytes: Bytes,
}

impl Span {
    /// The arguments of a message that was read from `whole`.
    #[must_use]
    pub fn of(payload: &Payload, whole: &Bytes, form: Form) -> Self {
        let (flags, bytes) = match (&payload.args, &payload.kwargs) {
            (None, None) => (0, Bytes::new()),
            (Some(args), None) => (ARGS, args.bytes.clone()),
            (None, Some(kwargs)) => (KWARGS, kwargs.bytes.clone()),
            (Some(args), Some(kwargs)) => {
                (ARGS | KWARGS, between(whole, &args.bytes, &kwargs.bytes))
            }
        };
        Self { form, flags, bytes }
    }

    /// An empty list of them.
    #[must_use]
    pub fn nothing(form: Form) -> Self {
        let mut into = Vec::new();
        Writer::new(form, &mut into).list(0).end();
        Self { form, flags: ARGS, bytes: into.into() }
    }

    /// How many elements of a message they are.
    #[must_use]
    pub fn elements(&self) -> usize {
        elements(self.flags)
    }

    /// The two apart; none when they are not what they should be.
    #[must_use]
    pub fn parts(&self) -> Option<Parts<'_>> {
        match self.flags & (ARGS | KWARGS) {
            0 => Some((None, None)),
            ARGS => Some((Some(&self.bytes), None)),
            KWARGS => Some((None, Some(&self.bytes))),
            _ => {
                let args = Walk::new(self.form, &self.bytes, Bounds::default()).span().ok()?;
                let end = args.as_ptr() as usize - self.bytes.as_ptr() as usize + args.len();
                let rest = self.bytes.get(end..)?;
                let from = match self.form {
                    Form::Json => rest.iter().position(|byte| *byte == b'{')?,
                    Form::MsgPack | Form::Cbor => 0,
                };
                Some((Some(args), rest.get(from..)))
            }
        }
    }

    /// The same as a message carries it.
    #[must_use]
    pub fn payload(&self) -> Payload {
        let Some((args, kwargs)) = self.parts() else { return Payload::default() };
        let raw = |part: &[u8]| Raw { form: self.form, bytes: self.bytes.slice_ref(part) };
        Payload { args: args.map(raw), kwargs: kwargs.map(raw) }
    }

    /// The same in another form.
    #[must_use]
    pub fn turned(&self, form: Form, bounds: Bounds) -> Option<Self> {
        if form == self.form {
            return Some(self.clone());
        }
        let (args, kwargs) = self.parts()?;
        let mut into = Vec::with_capacity(self.bytes.len());
        if let Some(args) = args {
            transcode(self.form, args, form, &mut into, bounds).ok()?;
        }
        if let Some(kwargs) = kwargs {
            if args.is_some() && form == Form::Json {
                into.push(b',');
            }
            transcode(self.form, kwargs, form, &mut into, bounds).ok()?;
        }
        Some(Self { form, flags: self.flags, bytes: into.into() })
    }
}

/// How many elements of a message such arguments are.
pub(super) const fn elements(flags: u8) -> usize {
    match flags & (ARGS | KWARGS) {
        0 => 0,
        ARGS => 1,
        _ => 2,
    }
}

/// What lies in `whole` from the beginning of one part of it to the end of another.
fn between(whole: &Bytes, first: &Bytes, last: &Bytes) -> Bytes {
    let base = whole.as_ptr() as usize;
    let from = (first.as_ptr() as usize).wrapping_sub(base);
    let to = (last.as_ptr() as usize).wrapping_sub(base) + last.len();
    if from <= to && to <= whole.len() { whole.slice(from..to) } else { Bytes::new() }
}
