//! Floor 1. Structured values, in three forms: JSON, MessagePack and CBOR. A walk, not a tree.
//!
//! Read `walk.rs` (bytes in, items out), then `json.rs`, `msgpack.rs` and `cbor.rs` (one token of
//! a form, and how it is written), `writer.rs` and `transcode.rs`; `tree.rs` is the small tree for
//! options and details. What is walked is borrowed from the bytes; nothing is allocated but the
//! text that had to be unescaped or put together. All three forms hold the same things: whole
//! numbers from -2^63 to 2^64-1, doubles, text, bytes, lists, and maps whose keys are text.
//! JSON has no bytes: it carries them as a string, U+0000 and then their base64, so a text that
//! looks like that comes back as bytes; and it has neither NaN nor infinities, they become null.
//! Absent on purpose: protocols, schemas, dates, numbers of any length.

use std::borrow::Cow;

mod cbor;
mod cut;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
mod json;
mod msgpack;
mod transcode;
mod tree;
mod walk;
mod writer;

pub use transcode::transcode;
pub use tree::Value;
pub use walk::Walk;
pub use writer::Writer;

#[cfg(test)]
mod cbor_test;
#[cfg(test)]
mod json_test;
#[cfg(test)]
mod msgpack_test;
#[cfg(test)]
mod transcode_test;
#[cfg(test)]
mod tree_test;
#[cfg(test)]
mod walk_test;

/// How a value stands in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// RFC 8259.
    Json,
    /// MessagePack with text and bytes apart.
    MsgPack,
    /// RFC 8949.
    Cbor,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::MsgPack, Self::Cbor];
}

/// One step of a walk. Between `List` and its `End` stand its values; between `Map` and its `End`
/// stand pairs, first a `Text`, which is the key, then the value.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`, and none that `Int` could hold.
    Uint(u64),
    /// A number that was written as one with a fraction.
    Float(f64),
    /// Text, or a key.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A list begins.
    List,
    /// A map begins.
    Map,
    /// The innermost list or map ends.
    End,
}

impl Item<'_> {
    /// A whole number that is not negative.
    fn whole(number: u64) -> Self {
        i64::try_from(number).map_or(Item::Uint(number), Item::Int)
    }
}

/// How far a walk goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Lists and maps within one another.
    pub depth: u32,
    /// Items in all; keys count, ends do not.
    pub items: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 32, items: 65_536 }
    }
}

/// Why a walk does not go on. Only what [`Flaw::Unsupported`] and [`Flaw::Number`] speak of can be
/// skipped; behind any other flaw there is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// The input, or the list, ends where something is due.
    Short,
    /// Something stands behind the value.
    Trailing,
    /// Lists and maps are nested deeper than the bounds say.
    Depth,
    /// There are more items than the bounds say.
    Items,
    /// The form does not allow it.
    Malformed,
    /// Text is no UTF-8, or half a character.
    Utf8,
    /// A key is no text, or stands twice in a map.
    Key,
    /// A number that neither 64 bits nor a double hold.
    Number,
    /// Well formed, and of a kind that is not known here.
    Unsupported,
}

impl Flaw {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Short => "the value ends early",
            Self::Trailing => "something stands behind the value",
            Self::Depth => "nested too deep",
            Self::Items => "too many items",
            Self::Malformed => "not well formed",
            Self::Utf8 => "text is no UTF-8",
            Self::Key => "a key is no text, or stands twice",
            Self::Number => "a number out of range",
            Self::Unsupported => "a value of an unknown kind",
        }
    }
}

impl core::fmt::Display for Flaw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

/// What a form finds where an item is due.
enum Token<'a> {
    /// All of a value.
    Leaf(Item<'a>),
    /// A list of so many values, or [`walk::ENDLESS`].
    List(u64),
    /// A map of so many pairs, or [`walk::ENDLESS`].
    Map(u64),
    /// All of a value that can be skipped and not be held.
    Strange(Flaw),
}
