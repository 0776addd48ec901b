//! Floor 3. A file in a message: what `with_file` says of it, and where it may go.
//!
//! ```text
//! {"src_path": P, "dst_type": T, "dst_name": N, "delete": bool, "owner": "user:group",
//!  "chunked": [BASE, I, COUNT], "binary_offset": O, "file_error": text}
//! ```
//!
//! The name is a peer's and may be meant to hurt: only one that stays below a directory whatever
//! that directory is becomes a [`Place`], letter by letter as it was said, with nothing expanded
//! and nothing replaced (specification 12, item 5). The offset is held against the binary before
//! anything is cut. `owner` and `src_path` are read, and nobody acts on them (items 6 and 19).
//! Absent on purpose: directories, and writing.

use core::fmt;
use std::borrow::Cow;

use bytes::Bytes;

use crate::proto::fault::{Fault, FaultKind};
use crate::value::{Bounds, Flaw, Form, Item, Walk};

use super::encode::{Object, put_text};
use super::packet::{Frame, Text};

/// What stands between the name of a file and the numbers of a chunk of it.
pub const CHUNK: &str = "__aioconnectors_chunk";

const WALK: Bounds = Bounds { depth: 8, items: 1_024 };

/// What `with_file` says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WithFile {
    /// Where the file lies at the sender's.
    pub src_path: Option<Text>,
    /// Which directory of the receiver's is meant.
    pub dst_type: Text,
    /// The name below it.
    pub dst_name: Text,
    /// The sender deletes its file when it is sent. It does so unless this is exactly false.
    pub keep: bool,
    /// Whose the file should be.
    pub owner: Option<Text>,
    /// The file is a part of a larger one.
    pub chunked: Option<Chunk>,
    /// Where in the binary the file begins; before it are bytes of the application's.
    pub binary_offset: Option<u64>,
    /// There is no file, and why.
    pub file_error: Option<Text>,
    /// Keys that mean nothing here, as JSON.
    pub others: Vec<(Text, Bytes)>,
}

/// Which part of a larger file this is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chunk {
    /// What the names of all parts begin with.
    pub base: Text,
    /// Which it is, from 1.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl WithFile {
    /// What a header says of a file; none if it says nothing. Nonsense is a fault that costs the
    /// message alone.
    pub fn of(frame: &Frame) -> Result<Option<Self>, Fault> {
        frame.header.with_file.as_ref().map(Self::read).transpose()
    }

    /// Read it from JSON.
    pub fn read(json: &Bytes) -> Result<Self, Fault> {
        let bad = |_: Flaw| FaultKind::AioFile.fault();
        let mut walk = Walk::new(Form::Json, json, WALK);
        if walk.next().map_err(bad)? != Item::Map {
            return Err(FaultKind::AioFile.fault());
        }
        let mut file = Self::default();
        let mut seen = Vec::new();
        while let Item::Text(key) = walk.next().map_err(bad)? {
            let value = json.slice_ref(walk.span().map_err(bad)?);
            file.learn(json, key, &value, &mut seen)?;
        }
        walk.finish().map_err(bad)?;
        Ok(file)
    }

    fn learn(
        &mut self,
        json: &Bytes,
        key: Cow<'_, str>,
        value: &Bytes,
        seen: &mut Vec<&'static str>,
    ) -> Result<(), Fault> {
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            self.others.push((Text::shared(json, key), value.clone()));
            return Ok(());
        };
        if seen.contains(&known) {
            return Err(FaultKind::AioFile.fault());
        }
        seen.push(known);
        match known {
            "src_path" => self.src_path = text(value)?,
            "dst_type" => self.dst_type = text(value)?.unwrap_or_default(),
            "dst_name" => self.dst_name = text(value)?.unwrap_or_default(),
            "delete" => self.keep = &value[..] == b"false",
            "owner" => self.owner = text(value)?,
            "chunked" => self.chunked = chunk(value)?,
            "binary_offset" => self.binary_offset = whole(value)?,
            _ => self.file_error = text(value)?,
        }
        Ok(())
    }

    /// As JSON, spelled as the original does.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let mut to = Object::begin();
        let texts = |to: &mut Object, key, value: &Option<Text>| {
            value.iter().for_each(|value| to.text(key, value.as_str()));
        };
        texts(&mut to, "src_path", &self.src_path);
        to.text("dst_type", self.dst_type.as_str());
        to.text("dst_name", self.dst_name.as_str());
        to.json("delete", Some(if self.keep { "false" } else { "true" }));
        texts(&mut to, "owner", &self.owner);
        if let Some(Chunk { base, index, count }) = &self.chunked {
            let mut list = b"[".to_vec();
            put_text(&mut list, base.as_str());
            list.extend_from_slice(format!(", {index}, {count}]").as_bytes());
            to.json("chunked", Some(list));
        }
        to.json("binary_offset", self.binary_offset.map(|offset| offset.to_string()));
        texts(&mut to, "file_error", &self.file_error);
        self.others.iter().for_each(|(key, value)| to.json(key.as_str(), Some(value)));
        to.end().into()
    }

    /// The application's part of a binary, and the file's. If the file could not be read, nothing
    /// was added: all of it is the application's (of which the original throws it away). The same
    /// would hold beside an empty file, and nothing says so: see [`WithFile::beside`].
    pub fn cut(&self, binary: &Bytes) -> Result<(Bytes, Option<Bytes>), Fault> {
        let offset = usize::try_from(self.binary_offset.unwrap_or(0)).ok();
        match offset.filter(|offset| *offset <= binary.len()) {
            Some(_) if self.file_error.is_some() => Ok((binary.clone(), None)),
            Some(at) => Ok((binary.slice(..at), Some(binary.slice(at..)))),
            None => Err(FaultKind::AioFile.fault()),
        }
    }

    /// The same of the whole file whose last part this was.
    #[must_use]
    pub fn whole(mut self) -> Self {
        if let Some(chunk) = self.chunked.take() {
            let base = chunk.base.as_str();
            self.dst_name = base.strip_suffix(CHUNK).unwrap_or(base).into();
        }
        self
    }

    /// Put a file behind the application's own bytes: the offset is said whenever there are such,
    /// also beside an empty file, which the original takes for no file and its receiver then fills
    /// with the application's bytes.
    #[must_use]
    pub fn beside(mut self, own: &Bytes, file: &Bytes) -> (Self, Bytes) {
        self.binary_offset = (!own.is_empty()).then_some(own.len() as u64);
        (self, [&own[..], file].concat().into())
    }
}

/// The keys that mean something here.
const KEYS: [&str; 8] = [
    "src_path",
    "dst_type",
    "dst_name",
    "delete",
    "owner",
    "chunked",
    "binary_offset",
    "file_error",
];

/// A text, or null for none.
fn text(json: &Bytes) -> Result<Option<Text>, Fault> {
    match Walk::new(Form::Json, json, WALK).next() {
        Ok(Item::Text(text)) => Ok(Some(Text::shared(json, text))),
        Ok(Item::Null) => Ok(None),
        _ => Err(FaultKind::AioFile.fault()),
    }
}

/// A whole number that is not negative, or null for none.
fn whole(json: &Bytes) -> Result<Option<u64>, Fault> {
    let mut walk = Walk::new(Form::Json, json, WALK);
    match walk.next() {
        Ok(Item::Null) => Ok(None),
        Ok(Item::Int(number)) => {
            u64::try_from(number).map(Some).map_err(|_| FaultKind::AioFile.fault())
        }
        _ => Err(FaultKind::AioFile.fault()),
    }
}

fn chunk(json: &Bytes) -> Result<Option<Chunk>, Fault> {
    let wrong = FaultKind::AioFile.fault();
    let mut walk = Walk::new(Form::Json, json, WALK);
    match walk.next() {
        Ok(Item::List) => {}
        Ok(Item::Null) => return Ok(None),
        _ => return Err(wrong),
    }
    let Ok(Item::Text(base)) = walk.next() else { return Err(wrong) };
    let base = Text::shared(json, base);
    let mut number = || match walk.next() {
        Ok(Item::Int(number)) => u32::try_from(number).map_err(|_| wrong),
        _ => Err(wrong),
    };
    let (index, count) = (number()?, number()?);
    match walk.next() {
        Ok(Item::End) if (1..=count).contains(&index) => Ok(Some(Chunk { base, index, count })),
        _ => Err(wrong),
    }
}

/// Where below a directory a file goes: parts with `/` between them, each a plain name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Text);

/// The longest place, and the longest part of one, as file systems have it.
const PLACE_MAX: usize = 1_024;
const PART_MAX: usize = 255;
/// Directories within one another.
const PARTS_MAX: usize = 16;

impl Place {
    /// This text, if it stays below whatever it is put under.
    #[must_use]
    pub fn new(text: &Text) -> Option<Self> {
        let all = text.as_str();
        let good = all.len() <= PLACE_MAX
            && all.split('/').count() <= PARTS_MAX
            && all.split('/').all(is_part);
        good.then(|| Self(text.clone()))
    }

    /// Its parts, the outermost first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.as_str().split('/')
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A copy that does not keep the buffer alive which this one was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A name that any file system takes for a name: no way up, nothing that a terminal obeys, nothing
/// that is a separator somewhere, and not what shells and Python expand at the beginning.
fn is_part(part: &str) -> bool {
    let bad = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
    (1..=PART_MAX).contains(&part.len())
        && !matches!(part, "." | "..")
        && !part.starts_with('~')
        && !part.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &'static str) -> Result<WithFile, Fault> {
        WithFile::read(&Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn what_is_said_of_a_file_is_read_and_written_alike() {
        let said = "{\"src_path\": \"/a\", \"dst_type\": \"any\", \"dst_name\": \"b/c\", \
            \"delete\": false, \"owner\": \"u:g\", \"chunked\": [\"c__aioconnectors_chunk\", 2, \
            3], \"binary_offset\": 4, \"file_error\": \"no\", \"more\": {\"x\": [1]}}";
        let file = read(said).expect("it is good");
        assert!(file.keep);
        assert_eq!(file.binary_offset, Some(4));
        assert_eq!(file.chunked.as_ref().map(|chunk| (chunk.index, chunk.count)), Some((2, 3)));
        assert_eq!(file.write(), said.as_bytes());
        let plain = read("{}").expect("nothing must be there");
        assert!(!plain.keep, "a file is deleted unless somebody says no");
        assert!(!read("{\"delete\": 0}").expect("exactly false").keep);
    }

    #[test]
    fn nonsense_about_a_file_is_refused_by_name() {
        for bad in [
            "[]",
            "{\"dst_name\": 1}",
            "{\"dst_name\": \"a\", \"dst_name\": \"b\"}",
            "{\"binary_offset\": -1}",
            "{\"binary_offset\": 1.5}",
            "{\"chunked\": [\"b\", 0, 1]}",
            "{\"chunked\": [\"b\", 2, 1]}",
            "{\"chunked\": [\"b\", 1]}",
            "{\"chunked\": [\"b\", 1, 4294967296]}",
            "{\"chunked\": [\"b\", 1, 1, 1]}",
            "{\"chunked\": \"b\"}",
            "{\"owner\": []}",
        ] {
            assert_eq!(read(bad), Err(FaultKind::AioFile.fault()), "{bad}");
        }
        let mut frame = Frame::of("any", "a");
        assert_eq!(WithFile::of(&frame), Ok(None));
        frame.header.with_file = Some(Bytes::from_static(b"7"));
        assert_eq!(WithFile::of(&frame), Err(FaultKind::AioFile.fault()));
    }

    #[test]
    fn a_binary_is_cut_where_the_file_begins_and_nowhere_beyond_its_end() {
        let binary = Bytes::from_static(b"abcfile");
        let at = |offset| WithFile { binary_offset: offset, ..WithFile::default() };
        let cut = |file: &WithFile| file.cut(&binary).map(|(own, file)| (own.len(), file));
        assert_eq!(cut(&at(Some(3))), Ok((3, Some(Bytes::from_static(b"file")))));
        assert_eq!(cut(&at(None)), Ok((0, Some(binary.clone()))));
        assert_eq!(cut(&at(Some(7))), Ok((7, Some(Bytes::new()))), "an empty file");
        for beyond in [8, u64::MAX] {
            assert_eq!(cut(&at(Some(beyond))), Err(FaultKind::AioFile.fault()));
        }
        let failed = WithFile { file_error: Some("no".into()), ..at(Some(3)) };
        assert_eq!(cut(&failed), Ok((7, None)), "there is no file, and the rest is kept");
        for (own, file) in [("", ""), ("abc", ""), ("", "f"), ("abc", "f")] {
            let (own, file) = (Bytes::from(own), Bytes::from(file));
            let (with, binary) = WithFile::default().beside(&own, &file);
            assert_eq!(with.cut(&binary), Ok((own, Some(file))));
        }
    }

    #[test]
    fn a_place_stays_below_its_directory_whatever_it_is() {
        let place = |text: &str| Place::new(&Text::from(text));
        for good in ["a", "a/b c/é.txt", "...", "a..b", ".hidden", "-rf", "$HOME", "a~"] {
            assert_eq!(place(good).expect(good).as_str(), good);
        }
        let (long, deep) = ("x".repeat(256), vec!["d"; 17].join("/"));
        let wide = vec!["x".repeat(250); 5].join("/");
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            ".",
            "a/./b",
            "a//b",
            "a/",
            "~/a",
            "~root",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{9b}2J",
            &long,
            &deep,
            &wide,
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
