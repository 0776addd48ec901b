//! Floor 5. Files that are sent: whole, or in chunks when they are long.
//!
//! One chunk at a time is read, and the next when the line has room, so a file of any length needs
//! the memory of a few. Chunks are numbered with zeros in front: real receivers join them in the
//! order of their names (specification 7, defect a). Absent on purpose: deleting what was sent, and
//! telling where it lies; the name alone is said.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use bytes::Bytes;

use crate::proto::aio::Frame;
use crate::proto::aio::file::{CHUNK, Chunk, Place, WithFile};

use super::Error;

/// A file to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Where it lies.
    pub path: PathBuf,
    /// Which folder of the receiver's it is for: `dst_type`.
    pub kind: String,
    /// What it is called there: `dst_name`.
    pub name: String,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    file: File,
    with: WithFile,
    frame: Frame,
    left: u64,
    chunk: usize,
    index: u32,
    count: u32,
}

impl Reading {
    /// Messages like this one take the file along.
    pub(super) fn begin(frame: Frame, upload: &Upload, chunk: usize) -> Result<Self, Error> {
        let wrong = |e: io::Error| Error::file(&upload.path, e);
        if Place::new(&upload.name.as_str().into()).is_none() {
            return Err(Error::Setting("a name that leads somewhere else"));
        }
        let file = File::open(&upload.path).map_err(wrong)?;
        let found = file.metadata().map_err(wrong)?;
        if !found.is_file() {
            return Err(Error::file(&upload.path, "is no file"));
        }
        let chunks = found.len().div_ceil(chunk.max(1) as u64).max(1);
        let count = u32::try_from(chunks).map_err(|_| Error::TooLarge)?;
        let with = WithFile {
            src_path: Some(upload.name.as_str().into()),
            dst_type: upload.kind.as_str().into(),
            dst_name: upload.name.as_str().into(),
            keep: true,
            ..WithFile::default()
        };
        Ok(Self { file, with, frame, left: found.len(), chunk, index: 0, count })
    }

    /// How many messages it takes.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The next message; none behind the last.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.index == self.count {
            return Ok(None);
        }
        self.index += 1;
        let len = self.left.min(self.chunk as u64);
        let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        // Not a byte more than was counted, if somebody is writing.
        if (&self.file).take(len).read_to_end(&mut content)? as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= len;
        let mut with = self.with.clone();
        if self.count > 1 {
            let (index, count) = (self.index, self.count);
            let base = format!("{}{CHUNK}", with.dst_name.as_str());
            let width = count.to_string().len();
            with.dst_name = format!("{base}_{index:0width$}_{count}").as_str().into();
            with.chunked = Some(Chunk { base: base.as_str().into(), index, count });
        }
        let mut frame = self.frame.clone();
        let content = Bytes::from(content);
        let (with, binary) = if frame.binary.is_empty() {
            (with, content)
        } else {
            with.beside(&frame.binary, &content)
        };
        frame.header.with_file = Some(with.write());
        frame.binary = binary;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that a file of this content takes.
    fn frames(content: &[u8], own: &'static [u8], chunk: usize) -> Vec<Frame> {
        let name = format!("spindle-aio-upload-{:x}", crate::client::pipe::seed());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("written");
        let frame = Frame { binary: Bytes::from_static(own), ..Frame::of("any", "me") };
        let upload = Upload { path: path.clone(), kind: "any".into(), name: "a".into() };
        let mut reading = Reading::begin(frame, &upload, chunk).expect("it is there");
        let mut all = Vec::new();
        while let Some(frame) = reading.next().expect("it is read") {
            all.push(frame);
        }
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(all.len(), reading.count() as usize);
        all
    }

    fn file(frame: &Frame) -> (WithFile, Bytes, Bytes) {
        let with = WithFile::of(frame).expect("good").expect("a file");
        let (own, file) = with.cut(&frame.binary).expect("good");
        (with, own, file.expect("it is there"))
    }

    #[test]
    fn a_short_file_is_one_message_and_an_empty_one_has_no_binary() {
        let all = frames(b"content", b"", 7);
        let [one] = &all[..] else { panic!("{all:?}") };
        let (with, own, content) = file(one);
        assert_eq!((with.chunked, own.len(), &content[..]), (None, 0, &b"content"[..]));
        assert!(with.keep, "nobody deletes it");
        let empty = frames(b"", b"", 7);
        assert_eq!((empty.len(), empty[0].binary.len()), (1, 0));
        assert_eq!(file(&empty[0]).0.binary_offset, None);
    }

    #[test]
    fn bytes_of_the_applications_stand_in_front() {
        for content in [&b""[..], b"content"] {
            let all = frames(content, b"own", 7);
            let (with, own, found) = file(&all[0]);
            assert_eq!(with.binary_offset, Some(3));
            assert_eq!((&own[..], &found[..]), (&b"own"[..], content));
        }
    }

    #[test]
    fn chunks_are_numbered_so_that_their_names_are_in_order() {
        let all = frames(b"0123456789ab", b"", 1);
        let names: Vec<String> =
            all.iter().map(|frame| file(frame).0.dst_name.as_str().to_owned()).collect();
        assert_eq!(names.first().map(String::as_str), Some("a__aioconnectors_chunk_01_12"));
        assert!(names.is_sorted());
        let joined: Vec<u8> = all.iter().flat_map(|frame| file(frame).2).collect();
        assert_eq!(joined, b"0123456789ab");
    }

    #[test]
    fn what_is_no_file_or_leads_elsewhere_is_not_sent() {
        let begin = |path: PathBuf, name: &str| {
            let upload = Upload { path, kind: "any".into(), name: name.into() };
            Reading::begin(Frame::default(), &upload, 1).map(drop)
        };
        let folder = std::env::temp_dir();
        assert!(matches!(begin(folder.clone(), "a"), Err(Error::File(_))));
        assert!(matches!(begin(folder.join("spindle-is-not-there"), "a"), Err(Error::File(_))));
        assert!(matches!(begin(folder, "../a"), Err(Error::Setting(_))));
    }
}
