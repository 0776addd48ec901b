//! Floor 3. A message between two clients, as the hub keeps it: its header among the properties.
//!
//! ```text
//! 0xFE · bytes of data (4) · flags · the header as JSON
//! ```
//!
//! The body is what the frame held, data and binary in one piece, as it was read. Who speaks
//! another protocol has the data of it, and nothing of the rest. Absent on purpose: what belongs to
//! one connection only (numbers, and for whom).

use bytes::{BufMut, Bytes, BytesMut};

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

/// What is kept of a frame that this client said.
pub(super) fn props(frame: &Frame, kind: &Text, source: Text, flags: u8) -> Option<Bytes> {
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
    let mut into = BytesMut::with_capacity(carried::PARTS_HEAD + 1 + json.len());
    into.put_slice(&carried::parts_head(first));
    into.put_u8(flags);
    into.put_slice(&json);
    Some(into.freeze())
}

/// The flags, and the frame as it is told; none: it is not one of these.
pub(super) fn read(props: &Bytes, body: &Bytes) -> Option<(u8, Frame)> {
    let first = carried::first_part(props)?.min(body.len());
    let flags = *props.get(carried::PARTS_HEAD)?;
    let (header, _) = read_header(&props.slice(carried::PARTS_HEAD + 1..)).ok()?;
    let binary = Content(body.clone()).binary(first);
    Some((flags, Frame { header, data: body.slice(..first), binary }))
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
            let props = props(&frame, &kind, "ann".into(), AWAITED).expect("short");
            let (flags, told) = read(&props, &content.0).expect("it is one");
            assert_eq!(flags, AWAITED);
            assert_eq!(told.header.source_id, Some("ann".into()), "as it was let in");
            let header = Header { source_id: wanted.header.source_id.clone(), ..told.header };
            assert_eq!(Frame { header, ..told }, wanted);
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
