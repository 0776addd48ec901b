//! Floor 3. What messages are made of: texts, raw values and payloads, shared with the buffer they
//! were read from.
//!
//! A text is a slice of that buffer unless its form had to be undone (an escape of JSON). A raw
//! value is the bytes of one whole, well-formed value and the form they are in. Absent on purpose:
//! a tree. Whoever must look into a raw value walks it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::value::Form;

/// The highest id, and the highest whole number that every client can count to.
pub const ID_MAX: u64 = 1 << 53;

/// UTF-8 that shares its buffer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// The text of these bytes, if they are UTF-8.
    #[must_use]
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        core::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// A text that was read from `whole`: a slice of it where it stands there.
    pub(super) fn shared(whole: &Bytes, text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self(whole.slice_ref(text.as_bytes())),
            Cow::Owned(text) => Self(text.into()),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// As bytes that can be kept.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A whole number that is no id: milliseconds, rounds, a level of trust. At most [`ID_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Amount(pub u64);

/// One whole value as its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raw {
    /// What the bytes are written in.
    pub form: Form,
    /// The value, and nothing before or after it.
    pub bytes: Bytes,
}

/// What a message carries for others. An empty list or map is the same as none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    /// `Arguments`, a list.
    pub args: Option<Raw>,
    /// `ArgumentsKw`, a map.
    pub kwargs: Option<Raw>,
}

impl Payload {
    /// How many bytes it keeps alive, in the form it came in.
    #[must_use]
    pub fn len(&self) -> usize {
        [&self.args, &self.kwargs].into_iter().flatten().map(|raw| raw.bytes.len()).sum()
    }

    /// It carries nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.args.is_none() && self.kwargs.is_none()
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        let copy = |raw: &Raw| Raw { form: raw.form, bytes: Bytes::copy_from_slice(&raw.bytes) };
        Self { args: self.args.as_ref().map(copy), kwargs: self.kwargs.as_ref().map(copy) }
    }
}
