//! Floor 3. Messages with arguments, for those who know only bodies; and bodies as arguments.
//!
//! ```text
//! 0xFF · form · flags · number (8 bytes) · what only its own protocol reads
//! ```
//!
//! A message that was published with arguments keeps them as they were written: its body is the
//! span of them, positional ones first, and its properties begin with this head, which no other
//! protocol's properties can begin with. Whoever speaks otherwise reads a body out of it and takes
//! none of the properties. Absent on purpose: who may have it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::value::Form;

/// No protocol's properties begin with this.
const MARK: u8 = 0xff;
/// Bytes of the head.
pub const HEAD: usize = 11;

/// It has positional arguments.
pub const ARGS: u8 = 1;
/// It has named arguments; they stand behind the others.
pub const KWARGS: u8 = 2;
/// It is for some readers only, also when it is kept.
pub const LISTED: u8 = 4;
/// Only the two ends can read it.
pub const SEALED: u8 = 8;

/// What stands before everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// How the arguments are written.
    pub form: Form,
    /// What there is.
    pub flags: u8,
    /// The publication's number.
    pub number: u64,
}

/// Did it come with arguments?
#[must_use]
pub fn is_carried(props: &[u8]) -> bool {
    props.first() == Some(&MARK)
}

impl Head {
    /// As read from properties; none when they are another protocol's.
    #[must_use]
    pub fn of(props: &[u8]) -> Option<Self> {
        let (&[MARK, form, flags, ref number @ ..], _) = props.split_first_chunk::<HEAD>()? else {
            return None;
        };
        Some(Self { form: form_of(form)?, flags, number: u64::from_be_bytes(*number) })
    }

    /// As bytes, with what follows.
    #[must_use]
    pub fn put(self, rest: &[u8]) -> Bytes {
        let mut into = BytesMut::with_capacity(HEAD + rest.len());
        into.put_slice(&[MARK, code_of(self.form), self.flags]);
        into.put_u64(self.number);
        into.put_slice(rest);
        into.freeze()
    }

    /// It has this.
    #[must_use]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The number of a form, wherever one has to be kept.
#[must_use]
pub const fn code_of(form: Form) -> u8 {
    match form {
        Form::Json => 1,
        Form::MsgPack => 2,
        Form::Cbor => 3,
    }
}

/// The form of a number.
#[must_use]
pub const fn form_of(code: u8) -> Option<Form> {
    match code {
        1 => Some(Form::Json),
        2 => Some(Form::MsgPack),
        3 => Some(Form::Cbor),
        _ => None,
    }
}
