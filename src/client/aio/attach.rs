//! Floor 5. Files that a message names go along with it: they are opened when it leaves the line.
//!
//! So does a connector of the original: its applications say where a file lies, and it is read when
//! its turn has come, also long after that (specification 7). Here a file goes piece by piece, so
//! one of any length that a frame can have needs the memory of one piece. What cannot be read
//! becomes `file_error`, without the path, and the message goes alone. Absent on purpose: when one
//! is deleted (`line`), and chunks; applications make those.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::proto::aio::file::WithFile;
use crate::proto::aio::{Frame, Id};

/// A file that goes.
#[derive(Debug)]
pub(super) struct Going {
    file: File,
    left: u64,
    piece: Vec<u8>,
    gone: Gone,
}

/// And when it has gone.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) path: PathBuf,
    /// It is not to stay.
    pub(super) goes: bool,
    /// What its acknowledgement will name, if there is to be one.
    pub(super) number: Option<u64>,
    /// The number under which others are told it, too.
    pub(super) shared: Option<u64>,
}

impl Going {
    /// Bytes to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next of them; none behind the last.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        self.piece.resize(most, 0);
        self.file.read_exact(&mut self.piece)?;
        self.left -= most as u64;
        Ok(Some(&self.piece))
    }

    /// It is sent.
    pub(super) fn end(self) -> Gone {
        self.gone
    }
}

/// What is said of the message, and the file that follows it. One without bytes is said by nothing
/// at all.
pub(super) fn begin(mut frame: Frame, most: u64) -> (Frame, Option<Going>) {
    let Ok(Some(mut with)) = WithFile::of(&frame) else { return (frame, None) };
    let Some(path) = path(&with) else { return (frame, None) };
    let shared = unshare(&mut with);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    with.src_path = Some(name.as_str().into());
    let own = frame.binary.len() as u64;
    let most = most.min(FRAME_MAX.saturating_sub(own + frame.data.len() as u64));
    let going = match open(&path, most) {
        Ok((file, left)) => {
            with.binary_offset = (own > 0).then_some(own);
            with.file_error = None;
            let number = frame.header.transport_id.as_ref().and_then(Id::number);
            let gone = Gone { path, goes: !with.keep, number, shared };
            Some(Going { file, left, piece: Vec::new(), gone })
        }
        Err(why) => {
            log::warn!("{}: not sent: {why}", path.display());
            with.file_error = Some(why.as_str().into());
            None
        }
    };
    frame.header.with_file = Some(with.write());
    (frame, going)
}

/// Others are told the file, too: this goes along as far as the connection.
pub(super) fn share(with: &mut WithFile, number: u64) {
    with.others.push((SHARED.into(), number.to_string().into()));
}

/// The number under which it is shared, if it is.
pub(super) fn shared(with: &WithFile) -> Option<u64> {
    let (_, number) = with.others.iter().find(|(key, _)| key.as_str() == SHARED)?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The same, and it is not said any more.
pub(super) fn unshare(with: &mut WithFile) -> Option<u64> {
    let number = shared(with);
    with.others.retain(|(key, _)| key.as_str() != SHARED);
    number
}

/// Where the file lies. What has an error already has none, and nobody asked for a file there.
pub(super) fn path(with: &WithFile) -> Option<PathBuf> {
    let path = with.src_path.as_ref().filter(|path| !path.as_str().is_empty())?;
    with.file_error.is_none().then(|| PathBuf::from(path.as_str()))
}

fn open(path: &Path, most: u64) -> Result<(File, u64), String> {
    let found = std::fs::metadata(path).map_err(|e| e.kind().to_string())?;
    // Opening a pipe would wait for somebody to write into it.
    if !found.is_file() {
        return Err("no file".to_owned());
    }
    let file = File::open(path).map_err(|e| e.kind().to_string())?;
    let len = file.metadata().map_err(|e| e.kind().to_string())?.len();
    if len > most { Err("longer than is sent".to_owned()) } else { Ok((file, len)) }
}

pub(super) fn delete(path: &Path) {
    if let Err(e) = std::fs::remove_file(path) {
        log::warn!("{}: sent, and not deleted: {e}", path.display());
    }
}

/// In what is said of a file, as long as it is here.
const SHARED: &str = "spindle_shared";
/// What is read at a time.
const PIECE: usize = 64 << 10;
/// What a frame can hold beside its header and its counts.
const FRAME_MAX: u64 = u32::MAX as u64 - (1 << 17);

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::super::wire::head_of;
    use super::*;
    use crate::proto::aio::{encode_vec, next};

    /// A file of a test's own.
    struct Own(PathBuf);

    impl Own {
        fn new(content: &[u8]) -> Self {
            let name = format!("spindle-aio-attach-{:x}", crate::client::pipe::seed());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, content).expect("written");
            Self(path)
        }

        fn frame(&self, own: &'static [u8], keep: bool) -> Frame {
            let src_path = Some(self.0.to_str().expect("text").into());
            let (dst_type, dst_name) = ("any".into(), "a".into());
            let with = WithFile { src_path, dst_type, dst_name, keep, ..WithFile::default() };
            let mut frame = Frame::of("any", "me").with("data");
            frame.header.with_file = Some(with.write());
            frame.binary = Bytes::from_static(own);
            frame
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// What a receiver reads.
    fn sent(frame: Frame) -> (Frame, WithFile) {
        let bytes = match begin(frame, 1 << 30) {
            (frame, None) => encode_vec(&frame).expect("short"),
            (frame, Some(going)) if going.left() == 0 => encode_vec(&frame).expect("short"),
            (frame, Some(mut going)) => {
                let mut bytes = head_of(&frame, going.left()).expect("short");
                while let Some(piece) = going.next().expect("it is there") {
                    bytes.extend_from_slice(piece);
                }
                bytes
            }
        };
        let mut input = BytesMut::from(&bytes[..]);
        let frame = next(&mut input, 1 << 30).expect("good").expect("whole");
        assert!(input.is_empty(), "its counts are right");
        let with = WithFile::of(&frame).expect("good").expect("a file");
        (frame, with)
    }

    #[test]
    fn a_file_stands_behind_the_applications_bytes_and_its_place_is_not_told() {
        let long = vec![7; 3 * PIECE + 1];
        for (content, own) in
            [(&b"content"[..], &b""[..]), (&long, b"own"), (b"", b"own"), (b"", b"")]
        {
            let file = Own::new(content);
            let (frame, with) = sent(file.frame(own, true));
            let (mine, its) = with.cut(&frame.binary).expect("good");
            assert_eq!((&mine[..], &its.expect("a file")[..]), (own, content));
            let name = file.0.file_name().expect("a name").to_str();
            assert_eq!(with.src_path.as_ref().map(|path| path.as_str()), name);
            assert!(file.0.exists());
        }
    }

    #[test]
    fn a_file_is_told_to_be_deleted_as_its_message_says_and_when_that_is_acknowledged() {
        let file = Own::new(b"content");
        for (keep, number) in [(true, None), (false, None), (false, Some(1))] {
            let mut frame = file.frame(b"", keep);
            frame.header.transport_id = number.map(Id::from);
            let gone = begin(frame, 1 << 30).1.expect("it goes").end();
            assert_eq!((gone.path, gone.goes, gone.number), (file.0.clone(), !keep, number));
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_in_the_message() {
        let file = Own::new(b"content");
        let mut frame = file.frame(b"own", true);
        let (_, none) = begin(frame.clone(), 6);
        assert!(none.is_none(), "it is longer than that");
        frame.header.with_file =
            Some(Bytes::from_static(b"{\"src_path\": \"/nowhere/x\", \"dst_type\": \"any\"}"));
        let (said, with) = sent(frame.clone());
        assert_eq!((&said.binary[..], with.file_error.is_some()), (&b"own"[..], true));
        assert!(!with.file_error.expect("said").as_str().contains("nowhere"));
        frame.header.with_file =
            Some(Bytes::from_static(b"{\"src_path\": \"/dev/zero\", \"dst_type\": \"any\"}"));
        assert!(sent(frame).1.file_error.is_some(), "no file is read that has no end");
    }

    #[test]
    fn no_file_is_looked_for_where_an_error_is_said_of_it_already() {
        let file = Own::new(b"content");
        let mut frame = file.frame(b"own", false);
        let mut with = WithFile::of(&frame).expect("good").expect("a file");
        with.file_error = Some("gone".into());
        frame.header.with_file = Some(with.write());
        let (said, going) = begin(frame.clone(), 1 << 30);
        assert!(going.is_none());
        assert_eq!(said, frame);
        assert!(file.0.exists());
    }

    #[test]
    fn no_file_goes_that_is_longer_than_its_frame_can_say() {
        let file = Own::new(b"");
        let sparse = File::options().write(true).open(&file.0).expect("opened");
        sparse.set_len(u64::from(u32::MAX)).expect("a long one");
        let (frame, going) = begin(file.frame(b"own", true), u64::MAX);
        assert!(going.is_none());
        assert!(WithFile::of(&frame).expect("good").expect("a file").file_error.is_some());
    }

    #[test]
    fn a_file_that_shrinks_while_it_goes_ends_the_connection() {
        let file = Own::new(&[1; 2 * PIECE]);
        let (_, going) = begin(file.frame(b"", true), 1 << 30);
        let mut going = going.expect("it goes");
        std::fs::write(&file.0, b"short").expect("written");
        assert!(going.next().is_err());
    }
}
