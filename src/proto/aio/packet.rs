//! Floor 3. What aioconnectors say to each other, with types.
//!
//! Everything is one kind of frame: a header, data, and perhaps a binary. What the header's keys
//! mean stands here, what the types that begin with `_` mean in `inner`, what `with_file` holds in
//! `file`. Texts and values are slices of the buffer they arrived in; whoever keeps one beyond the
//! turn detaches it. Absent on purpose: `with_binary`, which only says that the binary is not
//! empty, and the order of keys, which nobody may depend on.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::value::{Bounds, Flaw, Form, Item, Walk};

/// One frame, either direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    /// What it is, from whom and for whom.
    pub header: Header,
    /// Its content.
    pub data: Bytes,
    /// More of it: bytes of the application's, of a file, or both. Empty and none are the same.
    pub binary: Bytes,
}

/// The header of a frame (specification 2.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The topic, or with `_` in front what connectors say among themselves.
    pub message_type: Text,
    /// Who says so of itself.
    pub source_id: Option<Text>,
    /// For whom; from a client its idea of the server's address.
    pub destination_id: Option<Text>,
    /// What an answer will name.
    pub request_id: Option<Id>,
    /// What this is the answer to.
    pub response_id: Option<Id>,
    /// The sender waits for an answer.
    pub await_response: bool,
    /// The sender wants an `_ack`. Applications see this, and not the number.
    pub wait_for_ack: bool,
    /// What the `_ack` will name.
    pub transport_id: Option<Id>,
    /// A file comes along; as JSON.
    pub with_file: Option<Bytes>,
    /// The topic of a publication.
    pub message_type_publish: Option<Text>,
    /// A label.
    pub tag: Option<Text>,
    /// Keys that mean nothing here, as JSON: they are for the application.
    pub others: Vec<(Text, Bytes)>,
}

impl Frame {
    /// A frame of this type with nothing else in it.
    #[must_use]
    pub fn of(message_type: &str, source_id: &str) -> Self {
        let header = Header {
            message_type: message_type.into(),
            source_id: Some(source_id.into()),
            ..Header::default()
        };
        Self { header, ..Self::default() }
    }

    /// The same with this content.
    #[must_use]
    pub fn with(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// Bytes of content.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() + self.binary.len()
    }

    /// Nothing is in it but its header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// UTF-8 that shares its buffer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// A text that was read from `whole`: a slice of it where it stands there.
    pub(super) fn shared(whole: &Bytes, text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self(whole.slice_ref(text.as_bytes())),
            Cow::Owned(text) => Self(text.into()),
        }
    }

    /// These bytes, if they are text.
    pub(super) fn of(bytes: Bytes) -> Option<Self> {
        core::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
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

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What somebody calls a request or a message that is to be acknowledged: any value of JSON, said
/// again as it came. Two are the same when Python takes them for the same: `5`, `5.0` and `5e0`
/// are, `5` and `"5"` are not (specification 5, step 9).
#[derive(Clone)]
pub struct Id {
    json: Bytes,
    same: Same,
}

/// What of an id is compared.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Same {
    /// A whole number; yes and no are 1 and 0.
    Whole(i128),
    /// A fraction, by its bits.
    Part(u64),
    /// Text.
    Text(Text),
    /// A whole number longer than that, a list, a map: by its spelling.
    Spelled(Bytes),
}

impl Id {
    /// The id that stands in `json`; none for null, which is how an id that is not there is
    /// written by some.
    pub(super) fn read(json: &Bytes) -> Result<Option<Self>, Flaw> {
        let spelled = || Same::Spelled(json.clone());
        let same = match Walk::new(Form::Json, json, Bounds::default()).next() {
            Ok(Item::Null) => return Ok(None),
            Ok(Item::Bool(truth)) => Same::Whole(i128::from(truth)),
            Ok(Item::Int(number)) => Same::Whole(i128::from(number)),
            Ok(Item::Uint(number)) => Same::Whole(i128::from(number)),
            Ok(Item::Float(number)) => match whole(number) {
                Some(number) => Same::Whole(number),
                // Longer than 64 bits and without a point: a double would make two of them one.
                None if json.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) => spelled(),
                None => Same::Part(number.to_bits()),
            },
            Ok(Item::Text(text)) => Same::Text(Text::shared(json, text)),
            Ok(Item::Bytes(_) | Item::List | Item::Map) | Err(Flaw::Number) => spelled(),
            Ok(Item::End) => return Err(Flaw::Malformed),
            Err(flaw) => return Err(flaw),
        };
        Ok(Some(Self { json: json.clone(), same }))
    }

    /// As it is said.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The number, if it is a whole one that is not negative.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if let Same::Whole(number) = self.same { u64::try_from(number).ok() } else { None }
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        let json = Bytes::copy_from_slice(&self.json);
        let same = match &self.same {
            Same::Text(text) => Same::Text(text.detached()),
            Same::Spelled(_) => Same::Spelled(json.clone()),
            plain => plain.clone(),
        };
        Self { json, same }
    }
}

/// A double without a fraction, as far as doubles are exact.
fn whole(number: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128)
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self { json: number.to_string().into(), same: Same::Whole(i128::from(number)) }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        let mut json = Vec::new();
        super::encode::put_text(&mut json, text);
        Self { json: json.into(), same: Same::Text(text.into()) }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.same == other.same
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.same.hash(state);
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json))
    }
}
