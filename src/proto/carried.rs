//! Floor 3. Messages with arguments, for those who know only bodies; and bodies as arguments.
//!
//! ```text
//! 0xFF · form · flags · number (8 bytes) · what only its own protocol reads
//! ```
//!
//! A message that was published with arguments keeps them as they were written: its body is the
//! span of them, positional ones first, and its properties begin with this head, which no other
//! protocol's properties can begin with. Whoever speaks otherwise reads a body out of it and takes
//! none of the properties:
//!
//! ```text
//! nothing                 ""
//! one text, one binary    what it says
//! one of anything else    its JSON
//! several                 [..]
//! with names              {"args":[..],"kwargs":{..}}
//! ```
//!
//! The other way a body becomes one argument. A message may also have a second part, which only its
//! own protocol reads; whoever speaks otherwise has the first:
//!
//! ```text
//! 0xFE · bytes of the first part (4) · what only its own protocol reads
//! ```
//!
//! Absent on purpose: who may have it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::hub::calls::Payload;
use crate::hub::message::{Body, Message};
use crate::value::{Bounds, Flaw, Form, Item, Walk, Writer, transcode};

/// No protocol's properties begin with this.
const MARK: u8 = 0xff;
/// And with this begin those of a message that may have a second part.
const PARTS: u8 = 0xfe;
/// Bytes before what only the protocol of such a message reads.
pub const PARTS_HEAD: usize = 5;
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
/// The router itself says it.
pub const OURS: u8 = 16;

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

/// Did it come with arguments, or may it have a second part?
#[must_use]
pub fn is_carried(props: &[u8]) -> bool {
    matches!(props.first(), Some(&(MARK | PARTS)))
}

/// How long the first part is; none: these are no properties of a message that may have another.
#[must_use]
pub fn first_part(props: &[u8]) -> Option<usize> {
    let (&[PARTS, ref len @ ..], _) = props.split_first_chunk::<PARTS_HEAD>()? else {
        return None;
    };
    usize::try_from(u32::from_be_bytes(*len)).ok()
}

/// What stands before the properties of a message with this first part.
#[must_use]
pub fn parts_head(first: u32) -> [u8; PARTS_HEAD] {
    let [a, b, c, d] = first.to_be_bytes();
    [PARTS, a, b, c, d]
}

/// What others read of a message that has no arguments.
#[must_use]
pub fn first_of(body: &Body, props: &[u8]) -> Body {
    match first_part(props) {
        Some(len) if len < body.len() => body.to_bytes().slice(..len).into(),
        _ => body.clone(),
    }
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

    /// As bytes.
    #[must_use]
    pub fn octets(self) -> [u8; HEAD] {
        let [a, b, c, d, e, f, g, h] = self.number.to_be_bytes();
        [MARK, code_of(self.form), self.flags, a, b, c, d, e, f, g, h]
    }

    /// As bytes, with what follows.
    #[must_use]
    pub fn put(self, rest: &[u8]) -> Bytes {
        [&self.octets(), rest].concat().into()
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

/// What a body is, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Bytes.
    Bytes,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// A body that was made of arguments.
#[derive(Clone, Debug)]
pub struct Read {
    /// What is said.
    pub body: Body,
    /// What that is.
    pub nature: Nature,
}

impl Read {
    fn new(body: Bytes, nature: Nature) -> Self {
        Self { body: body.into(), nature }
    }
}

/// What those who know only bodies are given of a message that came with arguments; `kept`: because
/// it was kept. None: nothing, because it is not for everybody or no body can be made of it.
#[must_use]
pub fn read(message: &Message, kept: bool) -> Option<Read> {
    if first_part(&message.props).is_some() {
        let body = first_of(&message.body, &message.props);
        return Some(Read { body, nature: Nature::Bytes });
    }
    let head = Head::of(&message.props)?;
    if kept && head.has(LISTED) {
        return None;
    }
    body_of(head.form, &message.body.to_bytes())
}

/// The same, or the body that it came with. None: nothing.
#[must_use]
#[inline]
pub fn plain(message: &Message, kept: bool) -> Option<Cow<'_, Body>> {
    match is_carried(&message.props) {
        false => Some(Cow::Borrowed(&message.body)),
        true => read(message, kept).map(|read| Cow::Owned(read.body)),
    }
}

/// What is shown of it to whoever runs the broker, who may see what is for some only.
#[must_use]
pub fn shown(props: &[u8], span: &[u8]) -> Option<Bytes> {
    if let Some(len) = first_part(props) {
        return Some(Bytes::copy_from_slice(span.get(..len).unwrap_or(span)));
    }
    let head = Head::of(props)?;
    body_of(head.form, &Bytes::copy_from_slice(span)).map(|read| read.body.to_bytes())
}

/// What a callee or a caller that knows only bodies is given. None: no body can be made of it.
#[must_use]
pub fn body_in(payload: &Payload) -> Option<Bytes> {
    match payload.form {
        0 => Some(payload.args.clone()),
        code => body_of(form_of(code)?, &payload.args).map(|read| read.body.to_bytes()),
    }
}

/// A body out of arguments: positional ones, named ones, or the ones and behind them the others.
#[must_use]
pub fn body_of(form: Form, span: &Bytes) -> Option<Read> {
    made_of(form, span).ok()
}

fn made_of(form: Form, span: &Bytes) -> Result<Read, Flaw> {
    let (args, kwargs) = parts(form, span)?;
    if let Some(kwargs) = kwargs {
        let mut json = br#"{"args":"#.to_vec();
        match args {
            Some(args) => json_of(form, args, &mut json)?,
            None => json.extend_from_slice(b"[]"),
        }
        json.extend_from_slice(br#","kwargs":"#);
        json_of(form, kwargs, &mut json)?;
        json.push(b'}');
        return Ok(Read::new(json.into(), Nature::Json));
    }
    let Some(args) = args else { return Ok(Read::new(Bytes::new(), Nature::Bytes)) };
    let mut walk = Walk::new(form, args, Bounds::default());
    walk.next()?;
    let mut ahead = walk.clone();
    let first = ahead.span()?;
    if !ahead.at_end()? {
        return all_json(form, args, span);
    }
    match walk.next()? {
        Item::Text(Cow::Borrowed(text)) => {
            Ok(Read::new(span.slice_ref(text.as_bytes()), Nature::Text))
        }
        Item::Text(Cow::Owned(text)) => Ok(Read::new(text.into(), Nature::Text)),
        Item::Bytes(Cow::Borrowed(bytes)) => Ok(Read::new(span.slice_ref(bytes), Nature::Bytes)),
        Item::Bytes(Cow::Owned(bytes)) => Ok(Read::new(bytes.into(), Nature::Bytes)),
        _ => all_json(form, first, span),
    }
}

/// A value as JSON: a part of `span`, or anew.
fn all_json(form: Form, value: &[u8], span: &Bytes) -> Result<Read, Flaw> {
    if form == Form::Json {
        return Ok(Read::new(span.slice_ref(value), Nature::Json));
    }
    let mut json = Vec::new();
    json_of(form, value, &mut json)?;
    Ok(Read::new(json.into(), Nature::Json))
}

fn json_of(form: Form, value: &[u8], into: &mut Vec<u8>) -> Result<(), Flaw> {
    if form == Form::Json {
        into.extend_from_slice(value);
        return Ok(());
    }
    transcode(form, value, Form::Json, into, Bounds::default())
}

/// One value as it stands, if it is there and is not empty.
type Span<'a> = Option<&'a [u8]>;

/// The positional and the named arguments.
fn parts(form: Form, span: &[u8]) -> Result<(Span<'_>, Span<'_>), Flaw> {
    let (mut args, mut kwargs, mut place) = (None, None, 0);
    let mut rest = span;
    loop {
        if form == Form::Json {
            rest = rest.trim_ascii_start();
            // Behind the first there may be what stood between them.
            rest = rest.strip_prefix(b",").filter(|_| place > 0).unwrap_or(rest);
        }
        if rest.is_empty() {
            return Ok((args, kwargs));
        }
        let mut walk = Walk::new(form, rest, Bounds::default());
        let value = walk.span()?;
        rest = rest.get(rest.len().saturating_sub(walk.left())..).unwrap_or_default();
        let mut walk = Walk::new(form, value, Bounds::default());
        let item = walk.next()?;
        let some = (!walk.at_end()?).then_some(value);
        place = match (item, place) {
            (Item::List, 0) => {
                args = some;
                1
            }
            (Item::Map, 0 | 1) => {
                kwargs = some;
                2
            }
            _ => return Err(Flaw::Malformed),
        };
    }
}

/// A body as positional arguments: one text if it is one, else one binary.
pub fn arguments_of(body: &[u8], form: Form, into: &mut Vec<u8>) {
    let mut writer = Writer::new(form, into);
    writer.list(1);
    // In JSON, a text that begins so might be taken for a binary.
    let hidden = form == Form::Json && body.first() == Some(&0);
    match core::str::from_utf8(body) {
        Ok(text) if !hidden => writer.text(text),
        _ => writer.bytes(body),
    };
    writer.end();
}
