//! Floor 6. Files that another of these programs sends in pieces: what is there already is told.
//!
//! A file that is not whole lies in the folder under a name that its hash makes, so whoever sends
//! the same file again goes on where it was cut, whichever connection that is. It has its own name
//! when it is whole and its hash is what was said; nothing that exists is replaced, and no link is
//! written through. The folder must be the user's own. Absent on purpose: throwing away what was
//! never finished; how much of that there can be has a bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::hex;
use crate::client::aio::Message;
use crate::proto::aio::file::Place;

use super::parts::{Offer, Piece, Reply};

/// Where files land.
#[derive(Debug)]
pub(super) struct Landing {
    folder: PathBuf,
    open: Option<Open>,
}

/// A file that comes.
#[derive(Debug)]
struct Open {
    offer: Offer,
    /// Where it lies until it is whole.
    part: PathBuf,
    file: File,
    at: u64,
}

/// What has happened.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Landed {
    /// What the other side is told.
    pub(super) reply: Reply,
    /// The file is whole, and here.
    pub(super) file: Option<PathBuf>,
}

impl Landing {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: None }
    }

    /// A message came; none if it is about no file of this kind.
    pub(super) fn take(&mut self, message: &Message) -> Option<Landed> {
        let done = if let Some(offer) = Offer::of(message) {
            self.begin(offer)
        } else if let Some(piece) = Piece::of(message) {
            self.put(&piece, &message.binary)
        } else {
            return None;
        };
        Some(done.unwrap_or_else(|why| {
            self.open = None;
            Landed { reply: Reply::No(why), file: None }
        }))
    }

    fn begin(&mut self, offer: Offer) -> Result<Landed, String> {
        let place = Place::new(&offer.name.as_str().into());
        let good = place.is_some() && !offer.name.contains('/') && !offer.name.starts_with(PART);
        if !good {
            return Err("its name leads somewhere else".to_owned());
        }
        if offer.size > SIZE_MAX {
            return Err("it is too large".to_owned());
        }
        if self.folder.join(&offer.name).symlink_metadata().is_ok() {
            return Err("there is such a file already".to_owned());
        }
        let hash = offer.sha256.get(..32).unwrap_or_default();
        let part = self.folder.join(format!("{PART}{hash}.part"));
        let (file, at) = self.part(&part, offer.size).map_err(|e| e.to_string())?;
        self.open = Some(Open { offer, part, file, at });
        self.told()
    }

    /// What is there of a file, or the beginning of it.
    fn part(&self, part: &Path, size: u64) -> io::Result<(File, u64)> {
        match part.symlink_metadata() {
            // A link, or more than there is to come, is nothing that was begun here.
            Ok(found) if found.is_file() && found.len() <= size => {
                Ok((OpenOptions::new().append(true).open(part)?, found.len()))
            }
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "something is in its way")),
            Err(_) => {
                let ours = |entry: &fs::DirEntry| {
                    entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes())
                };
                let all = fs::read_dir(&self.folder)?.flatten().filter(ours).count();
                if all >= PARTS_MAX {
                    return Err(io::Error::other("too many others are not whole"));
                }
                Ok((OpenOptions::new().append(true).create_new(true).open(part)?, 0))
            }
        }
    }

    fn put(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Landed, String> {
        let open = self.open.as_mut().filter(|open| open.offer.sha256 == piece.sha256);
        let open = open.ok_or("it was not offered")?;
        let end = piece.at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > open.offer.size) {
            return Err("it is longer than was said".to_owned());
        }
        // What comes twice, or too early, is passed over: the answer says what is missing.
        if piece.at == open.at {
            open.file.write_all(bytes).map_err(|e| e.to_string())?;
            open.at += bytes.len() as u64;
        }
        self.told()
    }

    /// How much is there; with all of it the file gets its name.
    fn told(&mut self) -> Result<Landed, String> {
        let open = self.open.take_if(|open| open.at == open.offer.size);
        let Some(open) = open else {
            let at = self.open.as_ref().map_or(0, |open| open.at);
            return Ok(Landed { reply: Reply::Have(at), file: None });
        };
        let place = self.folder.join(&open.offer.name);
        let named = || -> io::Result<()> {
            open.file.sync_all()?;
            if hash_of(&open.part)? != open.offer.sha256 {
                fs::remove_file(&open.part)?;
                return Err(io::Error::other("it is not what was said"));
            }
            // Unlike renaming, this replaces nothing, and follows nothing.
            fs::hard_link(&open.part, &place)?;
            fs::remove_file(&open.part)
        };
        named().map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => "there is such a file already".to_owned(),
            _ => e.to_string(),
        })?;
        Ok(Landed { reply: Reply::Have(open.at), file: Some(place) })
    }
}

/// SHA-256 over a file, in digits.
pub(super) fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(&hash.finalize())),
            len => hash.update(piece.get(..len).unwrap_or_default()),
        }
    }
}

/// What the names of files begin with that are not whole.
const PART: &str = ".spindle-";
/// How many of them may lie in a folder.
const PARTS_MAX: usize = 16;
/// The longest file.
const SIZE_MAX: u64 = 8 << 30;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A folder of a test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("spindle-landing-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        fn list(&self) -> Vec<String> {
            let name = |entry: io::Result<fs::DirEntry>| {
                entry.expect("an entry").file_name().to_string_lossy().into_owned()
            };
            let mut all: Vec<String> = fs::read_dir(&self.0).expect("a folder").map(name).collect();
            all.sort();
            all
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn offer(name: &str, content: &[u8]) -> Offer {
        let sha256 = hex::encode(&Sha256::digest(content));
        Offer { name: name.to_owned(), size: content.len() as u64, sha256 }
    }

    fn piece(of: &Offer, at: u64, bytes: &'static [u8]) -> Message {
        Piece { sha256: of.sha256.clone(), at }.say(Bytes::from_static(bytes))
    }

    fn reply(landing: &mut Landing, message: &Message) -> Reply {
        landing.take(message).expect("about a file").reply
    }

    #[test]
    fn a_file_goes_on_where_it_was_cut_and_has_its_name_when_it_is_whole() {
        let dir = Dir::new("cut");
        let file = offer("a", b"content");
        let mut first = Landing::new(&dir.0);
        assert_eq!(reply(&mut first, &file.say()), Reply::Have(0));
        assert_eq!(reply(&mut first, &piece(&file, 0, b"con")), Reply::Have(3));
        assert_eq!(reply(&mut first, &piece(&file, 0, b"con")), Reply::Have(3), "once");
        assert_eq!(reply(&mut first, &piece(&file, 5, b"nt")), Reply::Have(3), "not yet");
        drop(first);
        assert!(!dir.0.join("a").exists());
        let mut next = Landing::new(&dir.0);
        assert_eq!(reply(&mut next, &file.say()), Reply::Have(3));
        let whole = next.take(&piece(&file, 3, b"tent")).expect("about a file");
        assert_eq!(whole, Landed { reply: Reply::Have(7), file: Some(dir.0.join("a")) });
        assert_eq!(fs::read(dir.0.join("a")).expect("there"), b"content");
        let empty = offer("b", b"");
        assert_eq!(reply(&mut next, &empty.say()), Reply::Have(0));
        assert_eq!(dir.list(), ["a", "b"]);
    }

    fn refused(landing: &mut Landing, message: &Message) -> String {
        match reply(landing, message) {
            Reply::No(why) => why,
            Reply::Have(at) => panic!("taken, {at}"),
        }
    }

    #[test]
    fn nothing_is_replaced_and_no_name_leads_elsewhere() {
        let dir = Dir::new("names");
        let mut landing = Landing::new(&dir.0);
        fs::write(dir.0.join("a"), b"mine").expect("written");
        std::os::unix::fs::symlink("/nowhere", dir.0.join("link")).expect("a link");
        for name in ["a", "link", "../b", "/tmp/b", "sub/b", "", ".", "..", ".spindle-b"] {
            refused(&mut landing, &offer(name, b"x").say());
        }
        assert_eq!(dir.list(), ["a", "link"]);
        // What came into its place meanwhile stays, too.
        let late = offer("late", b"x");
        reply(&mut landing, &late.say());
        fs::write(dir.0.join("late"), b"mine").expect("written");
        let why = refused(&mut landing, &piece(&late, 0, b"x"));
        assert_eq!(why, "there is such a file already");
        assert_eq!(fs::read(dir.0.join("late")).expect("there"), b"mine");
    }

    #[test]
    fn a_part_that_is_a_link_is_not_written_through() {
        let (dir, file) = (Dir::new("part"), offer("a", b"x"));
        let part = format!("{PART}{}.part", &file.sha256[..32]);
        fs::write(dir.0.join("other"), b"").expect("written");
        std::os::unix::fs::symlink(dir.0.join("other"), dir.0.join(part)).expect("a link");
        let mut landing = Landing::new(&dir.0);
        refused(&mut landing, &file.say());
        refused(&mut landing, &piece(&file, 0, b"x"));
        assert_eq!(fs::read(dir.0.join("other")).expect("there"), b"");
    }

    #[test]
    fn what_is_not_what_was_said_is_not_kept() {
        let dir = Dir::new("hash");
        let mut landing = Landing::new(&dir.0);
        let file = offer("a", b"content");
        refused(&mut landing, &piece(&file, 0, b"content"));
        reply(&mut landing, &file.say());
        assert_eq!(refused(&mut landing, &piece(&file, 0, b"CONTENT")), "it is not what was said");
        reply(&mut landing, &file.say());
        let why = refused(&mut landing, &piece(&file, 0, b"content and more"));
        assert_eq!(why, "it is longer than was said");
        let vast = Offer { size: SIZE_MAX + 1, ..offer("b", b"") };
        assert_eq!(refused(&mut landing, &vast.say()), "it is too large");
        assert_eq!(dir.list().len(), 1, "the beginning of a file without a name");
    }

    #[test]
    fn files_that_are_not_whole_are_bounded() {
        let dir = Dir::new("many");
        let mut landing = Landing::new(&dir.0);
        for n in 0..PARTS_MAX {
            let content: Vec<u8> = vec![n as u8, 1];
            assert_eq!(reply(&mut landing, &offer("a", &content).say()), Reply::Have(0));
        }
        let why = refused(&mut landing, &offer("a", b"one more").say());
        assert_eq!(why, "too many others are not whole");
        // What was begun goes on.
        assert_eq!(reply(&mut landing, &offer("a", &[0, 1]).say()), Reply::Have(0));
    }

    #[test]
    fn other_messages_are_no_files() {
        assert_eq!(Landing::new(Path::new(".")).take(&Message::of("any", "x")), None);
    }
}
