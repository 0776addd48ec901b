//! Floor 3. A message between two clients, as the hub keeps it: its header among the properties.
//!
//! ```text
//! 0xFE · bytes of data (4) · flags · where its file is · the header as JSON
//! number (8) · length (8) · bytes of the folder's name (2) · that name   a file that is kept apart
//! ```
//!
//! The body is what the frame held, data and binary in one piece, as it was read, but for a file
//! that is too long for a message: of that it says where it is. Who speaks another protocol has the
//! data, and nothing of the rest. Absent on purpose: what belongs to one connection only (numbers,
//! and for whom).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::proto::carried;

use super::decode::{Content, read_header};
use super::encode::header_of;
use super::packet::{Frame, Header, Text};

/// It was published, and whoever published it may listen to that too.
pub(super) const PUBLISHED: u8 = 1;
/// It is the answer to a question whose asker waits for one.
pub(super) const AWAITED: u8 = 2;
/// It is for one client alone.
pub(super) const ADDRESSED: u8 = 4;

/// Its file is kept apart, where stands behind the flags.
const APART: u8 = 8;
/// Bytes of that before the name of the folder.
const APART_HEAD: usize = 8 + 8 + 2;

/// A file that is too long to be kept in its message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Apart {
    /// Below this folder,
    pub(super) at: Text,
    /// under this number.
    pub(super) number: u64,
    /// Its length.
    pub(super) size: u64,
}

/// A message as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Letter {
    pub(super) flags: u8,
    pub(super) frame: Frame,
    /// The file that belongs behind its binary.
    pub(super) apart: Option<Apart>,
}

/// What is kept of a frame that this client said.
pub(super) fn props(
    frame: &Frame,
    kind: &Text,
    source: Text,
    (flags, apart): (u8, Option<&Apart>),
) -> Option<Bytes> {
    let header = Header {
        message_type: kind.clone(),
        source_id: Some(source),
        destination_id: None,
        transport_id: None,
        message_type_publish: None,
        ..frame.header.clone()
    };
    let first = u32::try_from(frame.data.len()).ok()?;
    let json = header_of(&header, false);
    let more = apart.map_or(0, |apart| APART_HEAD + apart.at.bytes().len());
    let mut into = BytesMut::with_capacity(carried::PARTS_HEAD + 1 + more + json.len());
    into.put_slice(&carried::parts_head(first));
    into.put_u8(if apart.is_some() { flags | APART } else { flags });
    if let Some(Apart { at, number, size }) = apart {
        into.put_u64(*number);
        into.put_u64(*size);
        into.put_u16(u16::try_from(at.bytes().len()).ok()?);
        into.put_slice(at.bytes());
    }
    into.put_slice(&json);
    Some(into.freeze())
}

/// The message as it is told; none: it is not one of these.
pub(super) fn read(props: &Bytes, body: &Bytes) -> Option<Letter> {
    let first = carried::first_part(props)?.min(body.len());
    let flags = *props.get(carried::PARTS_HEAD)?;
    let mut rest = props.slice(carried::PARTS_HEAD + 1..);
    let apart = if flags & APART != 0 { Some(apart(&mut rest)?) } else { None };
    let (header, _) = read_header(&rest).ok()?;
    let binary = Content(body.clone()).binary(first);
    let frame = Frame { header, data: body.slice(..first), binary };
    Some(Letter { flags: flags & !APART, frame, apart })
}

fn apart(rest: &mut Bytes) -> Option<Apart> {
    let (number, size) = (rest.try_get_u64().ok()?, rest.try_get_u64().ok()?);
    let len = usize::from(rest.try_get_u16().ok()?);
    if len > rest.len() {
        return None;
    }
    Some(Apart { at: Text::of(rest.split_to(len))?, number, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::aio::decode::next_whole;
    use crate::proto::aio::encode_vec;
    use crate::proto::aio::packet::Id;

    #[test]
    fn what_is_kept_of_a_frame_is_told_again_but_for_what_was_the_connections() {
        for (data, binary) in [("", ""), ("data", ""), ("", "binary"), ("data", "binary")] {
            let mut frame = Frame::of("any", "forged").with(data);
            frame.binary = Bytes::from(binary);
            frame.header.request_id = Some(Id::from(7));
            frame.header.tag = Some("t".into());
            frame.header.others = vec![("own".into(), Bytes::from_static(b"[1, 2]"))];
            let wanted = frame.clone();
            frame.header.destination_id = Some("bob".into());
            frame.header.transport_id = Some(Id::from(3));
            let mut input = BytesMut::from(&encode_vec(&frame).expect("short")[..]);
            let (frame, content) = next_whole(&mut input, 1_000).expect("good").expect("whole");
            let kind = frame.header.message_type.clone();
            let far = Apart { at: "/a folder".into(), number: u64::MAX, size: 7 };
            for apart in [None, Some(far)] {
                let how = (AWAITED, apart.as_ref());
                let props = props(&frame, &kind, "ann".into(), how).expect("short");
                let told = read(&props, &content.0).expect("it is one");
                assert_eq!((told.flags, told.apart), (AWAITED, apart));
                let told = told.frame;
                assert_eq!(told.header.source_id, Some("ann".into()), "as it was let in");
                let header = Header { source_id: wanted.header.source_id.clone(), ..told.header };
                assert_eq!(Frame { header, ..told }, wanted);
            }
        }
    }

    #[test]
    fn where_a_file_is_that_is_not_all_there_is_no_letter() {
        let frame = Frame::of("any", "a");
        let apart = Apart { at: "/a".into(), number: 1, size: 2 };
        let props = props(&frame, &"any".into(), "a".into(), (0, Some(&apart))).expect("short");
        for len in 0..props.len() {
            assert_eq!(read(&props.slice(..len), &Bytes::new()), None, "{len}");
        }
    }

    #[test]
    fn properties_of_others_are_no_letter() {
        for other in [&b""[..], b"\xff\x01\x01", b"\xfe", b"\xfe\0\0\0\x01", b"\xfe\0\0\0\x01\0no"]
        {
            assert_eq!(read(&Bytes::from_static(other), &Bytes::new()), None);
        }
    }
}
