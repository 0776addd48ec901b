//! Floor 1. A small value as a tree: options, details, what is looked at more than once.
//!
//! It is no deeper than [`DEPTH_MAX`], whatever the walk allows, so that reading, writing and
//! dropping it may recurse; and no key of a map stands twice. Absent on purpose: big values. Those
//! are walked, or handed on as they are.

use super::{Flaw, Item, Walk, Writer};

/// Lists and maps within one another.
const DEPTH_MAX: u32 = 128;

/// Keys that are compared each with each; more are put in order first.
const KEYS_FEW: usize = 16;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// A double.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Values by key, in the order in which they stand.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// Read one whole value; `Short` where the list or map ends instead.
    pub fn read(walk: &mut Walk<'_>) -> Result<Self, Flaw> {
        Self::read_in(walk, DEPTH_MAX)
    }

    /// Append it.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Null => writer.null(),
            Self::Bool(truth) => writer.bool(*truth),
            Self::Int(number) => writer.int(*number),
            Self::Uint(number) => writer.uint(*number),
            Self::Float(number) => writer.float(*number),
            Self::Text(text) => writer.text(text),
            Self::Bytes(bytes) => writer.bytes(bytes),
            Self::List(values) => {
                writer.list(values.len());
                values.iter().for_each(|value| value.write(writer));
                writer.end()
            }
            Self::Map(pairs) => {
                writer.map(pairs.len());
                for (key, value) in pairs {
                    writer.key(key);
                    value.write(writer);
                }
                writer.end()
            }
        };
    }

    /// The value behind this key, if this is a map that has one. Null counts as absent: it is how
    /// some clients write an option that is not set.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let value = pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        value.filter(|value| **value != Self::Null)
    }

    /// The whole number, if it is one that `i64` holds. So is a double without a fraction: that is
    /// how some encoders of JavaScript write large whole numbers.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) if number.fract() == 0.0 && INTS.contains(number) => {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// Yes or no, if it is that.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The values, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// The bytes, if it is such.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    fn read_in(walk: &mut Walk<'_>, depth: u32) -> Result<Self, Flaw> {
        if walk.at_end()? {
            return Err(Flaw::Short);
        }
        Ok(match walk.next()? {
            Item::Null => Self::Null,
            Item::Bool(truth) => Self::Bool(truth),
            Item::Int(number) => Self::Int(number),
            Item::Uint(number) => Self::Uint(number),
            Item::Float(number) => Self::Float(number),
            Item::Text(text) => Self::Text(text.into_owned()),
            Item::Bytes(bytes) => Self::Bytes(bytes.into_owned()),
            Item::List => {
                let depth = depth.checked_sub(1).ok_or(Flaw::Depth)?;
                let mut values = Vec::new();
                while !walk.at_end()? {
                    values.push(Self::read_in(walk, depth)?);
                }
                walk.next()?;
                Self::List(values)
            }
            Item::Map => {
                let depth = depth.checked_sub(1).ok_or(Flaw::Depth)?;
                let mut pairs = Vec::new();
                while let Item::Text(key) = walk.next()? {
                    pairs.push((key.into_owned(), Self::read_in(walk, depth)?));
                }
                if twice(&pairs) {
                    return Err(Flaw::Key);
                }
                Self::Map(pairs)
            }
            Item::End => return Err(Flaw::Short),
        })
    }
}

/// Does a key stand twice? Who sends very many does not make it cost their square.
fn twice(pairs: &[(String, Value)]) -> bool {
    if pairs.len() <= KEYS_FEW {
        let known = |at: usize, key: &String| pairs.iter().take(at).any(|(other, _)| other == key);
        return pairs.iter().enumerate().any(|(at, (key, _))| known(at, key));
    }
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|two| matches!(two, [a, b] if a == b))
}

/// Doubles that `i64` holds: from -2^63 up to, and without, 2^63.
const INTS: core::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
