//! Floor 3. Bytes to frames; pure.
//!
//! ```text
//! u32 L, then L bytes: u16 H · H bytes of header · u32 D · D bytes of data · u32 B · B bytes
//! ```
//!
//! Lengths are little endian. What they say must come out even: where the original cuts short or
//! passes over, this is a fault (specification 2). It is found as soon as the length is there that
//! cannot be, before anything behind it is waited for. One thing is forgiven, because real peers
//! do it: the answer to a ping with a binary has one too, and no key that says so. A frame that is
//! too long to be kept, and would not be without the file in it, is read as far as that file
//! begins. Absent on purpose: state, and what the types that begin with `_` mean.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};

use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Flaw, Form, Item, Walk};

use super::file::WithFile;
use super::inner::PING;
use super::packet::{Frame, Header, Id, Text};

/// Bytes of the length of a frame.
pub const HEAD: usize = 4;

/// The least that a frame can say of itself: an empty header, and no data.
const LEAST: usize = 2 + 2 + 4;

/// How much a header may hold. It is at most 64 KiB long, so this is a bound on work.
const HEADER: Bounds = Bounds { depth: 16, items: 4_096 };

/// Take one frame off the front of `input` when it is whole. `max` bounds what follows its length.
pub fn next(input: &mut BytesMut, max: usize) -> Result<Option<Frame>, Fault> {
    Ok(next_whole(input, max)?.map(|(frame, _)| frame))
}

/// The same, and what its data and its binary are parts of, as it arrived.
pub fn next_whole(input: &mut BytesMut, max: usize) -> Result<Option<(Frame, Content)>, Fault> {
    let Some(whole) = frame_len(input, max)? else { return Ok(None) };
    if input.len() < whole {
        return Ok(None);
    }
    let mut frame = input.split_to(whole).freeze();
    frame.advance(HEAD);
    sections(frame).map(Some)
}

/// How long the frame at the front is, length and all, once that has arrived. What cannot come out
/// even is a fault as soon as it is seen.
pub fn frame_len(input: &[u8], max: usize) -> Result<Option<usize>, Fault> {
    let Some(len) = u32_at(input, 0) else { return Ok(None) };
    if len < LEAST {
        return Err(FaultKind::AioShort.fault());
    }
    if len > max {
        return Err(FaultKind::AioOverMax.fault());
    }
    let whole = Some(HEAD + len);
    let Some(header) = u16_at(input, HEAD) else { return Ok(whole) };
    if header + 6 > len {
        return Err(FaultKind::AioSections.fault());
    }
    let Some(data) = u32_at(input, HEAD + 2 + header) else { return Ok(whole) };
    // Compared with what is left, so that no sum can be too long for a word of 32 bits.
    if data > len - header - 6 { Err(FaultKind::AioSections.fault()) } else { Ok(whole) }
}

/// A frame whose file follows: the binary is the application's part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Front {
    /// All but the file.
    pub frame: Frame,
    /// What its data and that binary are parts of.
    pub content: Content,
    /// Bytes of the file, which follow.
    pub file: u64,
}

/// Is the frame at the front longer than may be kept?
#[must_use]
pub fn is_long(input: &[u8], keep: usize) -> bool {
    u32_at(input, 0).is_some_and(|len| len > keep)
}

/// The front of such a frame, once it has come; nothing of it is taken. How long it is comes with
/// it. A frame that would be too long without its file as well, or brings none, is a fault as soon
/// as that shows.
pub fn front(input: &[u8], keep: usize) -> Result<Option<(Front, usize)>, Fault> {
    let Some(whole) = frame_len(input, u32::MAX as usize)? else { return Ok(None) };
    let (most, over) = (keep.saturating_add(HEAD), FaultKind::AioOverMax.fault());
    let Some(header) = u16_at(input, HEAD) else { return Ok(None) };
    let data_at = HEAD + 2 + header;
    if data_at > most {
        return Err(over);
    }
    let Some(data) = u32_at(input, data_at) else { return Ok(None) };
    // It ends within its frame: `frame_len` has seen to that.
    let binary_at = data_at + 4 + data;
    if binary_at == whole || binary_at > most {
        return Err(over);
    }
    let Some(binary) = u32_at(input, binary_at) else { return Ok(None) };
    let begins = binary_at + COUNT;
    if begins.checked_add(binary) != Some(whole) {
        return Err(FaultKind::AioSections.fault());
    }
    let Some(json) = input.get(HEAD + 2..data_at) else { return Ok(None) };
    let (header, with_binary) = read_header(&Bytes::copy_from_slice(json))?;
    if !with_binary {
        return Err(FaultKind::AioSections.fault());
    }
    let with = header.with_file.as_ref().map(WithFile::read).transpose();
    let own = match with {
        Ok(Some(file)) if file.file_error.is_none() => file.binary_offset.unwrap_or(0),
        // All of it is the application's, or nobody's.
        _ => return Err(over),
    };
    let own = usize::try_from(own).ok().filter(|own| *own <= binary && begins + own <= most);
    let own = own.ok_or(over)?;
    let Some(content) = input.get(data_at + COUNT..begins + own) else { return Ok(None) };
    // As much as is said of a file may stand in any memory but that of what was read with it.
    let content = Content(Bytes::copy_from_slice(content));
    let frame = Frame { header, data: content.0.slice(..data), binary: content.binary(data) };
    let front = Front { frame, content, file: (binary - own) as u64 };
    Ok(Some((front, begins + own)))
}

fn u16_at(input: &[u8], at: usize) -> Option<usize> {
    let bytes = input.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_le_bytes(*bytes)))
}

fn u32_at(input: &[u8], at: usize) -> Option<usize> {
    let bytes = input.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// Data, and behind it a count and a binary if there is one: what a frame holds, in one piece.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content(pub Bytes);

/// Bytes of the count between the two.
const COUNT: usize = 4;

impl Content {
    /// The binary behind data of this length.
    #[must_use]
    pub fn binary(&self, data: usize) -> Bytes {
        let from = data.saturating_add(COUNT).min(self.0.len());
        self.0.slice(from..)
    }
}

/// What follows the length.
fn sections(mut rest: Bytes) -> Result<(Frame, Content), Fault> {
    let header = section(&mut rest, 2)?;
    let mut content = rest.clone();
    let data = section(&mut rest, 4)?;
    content.advance(COUNT);
    let (header, with_binary) = read_header(&header)?;
    let forgiven = header.message_type.as_str() == PING && !rest.is_empty();
    let binary = if with_binary || forgiven { section(&mut rest, 4)? } else { Bytes::new() };
    if rest.is_empty() {
        Ok((Frame { header, data, binary }, Content(content)))
    } else {
        Err(FaultKind::AioSections.fault())
    }
}

/// A count of two or four bytes, and as many bytes.
fn section(rest: &mut Bytes, count: usize) -> Result<Bytes, Fault> {
    let len = if count == 2 { u16_at(rest, 0) } else { u32_at(rest, 0) };
    match len {
        Some(len) if len <= rest.len() - count => {
            rest.advance(count);
            Ok(rest.split_to(len))
        }
        _ => Err(FaultKind::AioSections.fault()),
    }
}

/// The header, and whether it says that there is a binary.
pub(super) fn read_header(json: &Bytes) -> Result<(Header, bool), Fault> {
    let mut walk = Walk::new(Form::Json, json, HEADER);
    if walk.next().map_err(unreadable)? != Item::Map {
        return Err(FaultKind::AioHeader.fault());
    }
    let mut reader = HeaderReader { json, header: Header::default(), binary: false, seen: 0 };
    let mut named = false;
    while let Item::Text(key) = walk.next().map_err(unreadable)? {
        let value = json.slice_ref(walk.span().map_err(unreadable)?);
        named |= key == "message_type";
        reader.learn(key, &value)?;
    }
    walk.finish().map_err(unreadable)?;
    if !named {
        return Err(FaultKind::AioKey.fault());
    }
    Ok((reader.header, reader.binary))
}

fn unreadable(flaw: Flaw) -> Fault {
    match flaw {
        Flaw::Depth | Flaw::Items => FaultKind::AioDeep.fault(),
        _ => FaultKind::AioHeader.fault(),
    }
}

struct HeaderReader<'a> {
    json: &'a Bytes,
    header: Header,
    binary: bool,
    /// Keys that were read already, a bit each.
    seen: u16,
}

/// The keys that mean something here.
const KEYS: [&str; 12] = [
    "message_type",
    "source_id",
    "destination_id",
    "request_id",
    "response_id",
    "await_response",
    "wait_for_ack",
    "transport_id",
    "with_file",
    "with_binary",
    "message_type_publish",
    "tag",
];

impl HeaderReader<'_> {
    fn learn(&mut self, key: Cow<'_, str>, value: &Bytes) -> Result<(), Fault> {
        let Some(place) = KEYS.iter().position(|known| *known == key) else {
            self.header.others.push((Text::shared(self.json, key), value.clone()));
            return Ok(());
        };
        // Who says a thing twice says two things, and two readers may take it for different ones.
        if self.seen & 1 << place != 0 {
            return Err(FaultKind::AioKey.fault());
        }
        self.seen |= 1 << place;
        let header = &mut self.header;
        match &*key {
            "message_type" => header.message_type = text(value)?.ok_or(FaultKind::AioKey)?,
            "source_id" => header.source_id = text(value)?,
            "destination_id" => header.destination_id = text(value)?,
            "request_id" => header.request_id = id(value)?,
            "response_id" => header.response_id = id(value)?,
            "await_response" => header.await_response = truth(value),
            "wait_for_ack" => header.wait_for_ack = truth(value),
            "transport_id" => header.transport_id = id(value)?,
            "with_file" => header.with_file = truth(value).then(|| value.clone()),
            "with_binary" => self.binary = truth(value),
            "message_type_publish" => header.message_type_publish = text(value)?,
            _ => header.tag = text(value)?,
        }
        Ok(())
    }
}

/// A text, or null for none.
fn text(json: &Bytes) -> Result<Option<Text>, Fault> {
    match Walk::new(Form::Json, json, HEADER).next() {
        Ok(Item::Text(text)) => Ok(Some(Text::shared(json, text))),
        Ok(Item::Null) => Ok(None),
        _ => Err(FaultKind::AioKey.fault()),
    }
}

fn id(json: &Bytes) -> Result<Option<Id>, Fault> {
    Id::read(json).map_err(|_| FaultKind::AioKey.fault())
}

/// What Python takes for true, as the original asks for nothing else.
fn truth(json: &Bytes) -> bool {
    let mut walk = Walk::new(Form::Json, json, HEADER);
    match walk.next() {
        Ok(Item::Null) | Err(_) => false,
        Ok(Item::Bool(truth)) => truth,
        Ok(Item::Int(number)) => number != 0,
        Ok(Item::Float(number)) => number != 0.0,
        Ok(Item::Text(text)) => !text.is_empty(),
        Ok(Item::List | Item::Map) => walk.at_end() == Ok(false),
        Ok(Item::Uint(_) | Item::Bytes(_) | Item::End) => true,
    }
}
