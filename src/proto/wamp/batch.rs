//! Floor 3. Several messages in one message of a WebSocket, as the batched subprotocols have it.
//!
//! JSON: a separator after each message, `0x1E` by the standard; some send `0x18`, so both are
//! understood, and what a client sends is what it gets. Neither can stand in JSON. Binary forms: a
//! length of four octets before each, the highest first. A batch of none is an error. Absent on
//! purpose: how many there may be; each costs octets.

use bytes::{Buf, Bytes};

use crate::proto::fault::FaultKind;
use crate::value::Form;

/// What stands between messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Split {
    /// This after each: JSON.
    After(u8),
    /// A length before each.
    Length,
}

/// By the standard.
pub const RECORD: u8 = 0x1E;
/// By those who read an octal number as a decimal one.
pub const CANCEL: u8 = 0x18;

impl Split {
    /// How a form is split, as long as nobody has done it otherwise.
    #[must_use]
    pub const fn of(form: Form) -> Self {
        match form {
            Form::Json => Self::After(RECORD),
            Form::MsgPack | Form::Cbor => Self::Length,
        }
    }

    /// How this batch is split: of two separators, by the one that comes first.
    #[must_use]
    pub fn seen(form: Form, batch: &[u8]) -> Self {
        let first = batch.iter().find(|byte| matches!(**byte, RECORD | CANCEL));
        match (Self::of(form), first) {
            (Self::After(_), Some(byte)) => Self::After(*byte),
            (usual, _) => usual,
        }
    }

    /// Append a message to a batch; false, and nothing appended, when it is too long for one.
    pub fn put(self, message: &[u8], into: &mut Vec<u8>) -> bool {
        match self {
            Self::After(separator) => {
                into.extend_from_slice(message);
                into.push(separator);
            }
            Self::Length => {
                let Ok(len) = u32::try_from(message.len()) else { return false };
                into.extend_from_slice(&len.to_be_bytes());
                into.extend_from_slice(message);
            }
        }
        true
    }
}

/// The messages of one batch, in their order; after an error there are no more.
#[derive(Clone, Debug)]
pub struct Messages {
    rest: Bytes,
    split: Split,
    any: bool,
}

/// Take a batch apart.
#[must_use]
pub fn messages(form: Form, batch: Bytes) -> Messages {
    Messages { split: Split::seen(form, &batch), rest: batch, any: false }
}

impl Messages {
    /// How it is split.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// All of them were taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty() && self.any
    }

    fn first(&mut self) -> Option<Bytes> {
        match self.split {
            Split::After(separator) => {
                let end = self.rest.iter().position(|byte| *byte == separator)?;
                let message = self.rest.split_to(end);
                self.rest.advance(1);
                Some(message)
            }
            Split::Length => {
                let len = u32::from_be_bytes(*self.rest.first_chunk::<4>()?) as usize;
                if self.rest.len() - 4 < len {
                    return None;
                }
                self.rest.advance(4);
                Some(self.rest.split_to(len))
            }
        }
    }
}

impl Iterator for Messages {
    type Item = Result<Bytes, FaultKind>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.any {
            return None;
        }
        self.any = true;
        let first = self.first();
        if first.is_none() {
            self.rest.clear();
        }
        Some(first.ok_or(FaultKind::WampBatch))
    }
}
