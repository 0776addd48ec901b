//! Floor 6. Files and folders on their way to the other side.
//!
//! A folder is packed first, in a place of its own that goes afterwards; the same folder makes the
//! same archive, so that goes on where it was cut, too. Whether the other side can go on is asked;
//! the original echoes the question, and gets the file in one message whose echo says that it has
//! come. Absent on purpose: two files at once.

#![expect(clippy::disallowed_types, reason = "how fast a file goes is measured here")]

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::zip;
use crate::client::aio::{Error, Handle, Message};
use crate::proto::aio::file::WithFile;

use super::landing::hash_of;
use super::parts::{Offer, Piece, Reply};

/// A file that is to go.
#[derive(Debug)]
pub(super) struct Sending {
    path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    /// What was left out of an archive.
    pub(super) left_out: usize,
    /// The archive that it is; it goes with this.
    _packed: Option<Own>,
}

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    /// Where it went on.
    pub(super) from: u64,
}

/// Why it did not.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It is not to be read.
    Here(String),
    /// The other side does not want it.
    Refused(String),
    Broke(Error),
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        Self::Broke(error)
    }
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(why) => f.write_str(why),
            Self::Refused(why) => {
                write!(f, "the other side did not take it: {}", why.escape_debug())
            }
            Self::Broke(error) => error.fmt(f),
        }
    }
}

/// A folder of our own, which goes with this.
#[derive(Debug)]
struct Own(PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        // It is below a folder for what does not last.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Sending {
    /// The file that is there, or the folder as an archive.
    pub(super) fn new(path: &Path) -> Result<Self, Unsent> {
        let wrong = |e: io::Error| Unsent::Here(format!("{}: {e}", path.display()));
        let whole = fs::canonicalize(path).map_err(wrong)?;
        let found = fs::metadata(&whole).map_err(wrong)?;
        let name = whole.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| wrong(io::Error::other("its name is no text")))?.to_owned();
        if found.is_file() {
            let size = found.len();
            return Ok(Self { path: whole, name, size, left_out: 0, _packed: None });
        }
        if !found.is_dir() {
            return Err(wrong(io::Error::other("neither a file nor a folder")));
        }
        let own = std::env::temp_dir().join(format!("spindle-chat-{:016x}", number()));
        DirBuilder::new().mode(0o700).create(&own).map_err(wrong)?;
        let own = Own(own);
        let archive = own.0.join("archive.zip");
        let file = File::create_new(&archive).map_err(wrong)?;
        let packed = zip::pack(&whole, &file).map_err(wrong)?;
        let size = file.metadata().map_err(wrong)?.len();
        let (name, left_out) = (format!("{name}.zip"), packed.left_out);
        Ok(Self { path: archive, name, size, left_out, _packed: Some(own) })
    }

    /// Send it, and tell again and again how much of it is there, and since where.
    pub(super) fn send(
        &self,
        handle: &Handle,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Sent, Unsent> {
        let wrong = |e: io::Error| Unsent::Here(format!("{}: {e}", self.path.display()));
        let sha256 = hash_of(&self.path).map_err(wrong)?;
        let offer = Offer { name: self.name.clone(), size: self.size, sha256 };
        let answer = match handle.ask(offer.say(), OFFERED) {
            Ok(answer) => Reply::of(&answer.frame),
            // Somebody who only sends reads no questions, and may take a file all the same.
            Err(Error::TimedOut) => None,
            Err(error) => return Err(error.into()),
        };
        match answer {
            Some(Reply::Have(from)) => self.pieces(handle, &offer.sha256, from, told),
            Some(Reply::No(why)) => Err(Unsent::Refused(why)),
            None => self.at_once(handle, told),
        }
    }

    /// To one of these programs.
    fn pieces(
        &self,
        handle: &Handle,
        sha256: &str,
        from: u64,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<Sent, Unsent> {
        let wrong = |e: io::Error| Unsent::Here(format!("{}: {e}", self.path.display()));
        if from > self.size {
            return Err(Unsent::Refused("it has more of it than there is".to_owned()));
        }
        let mut file = File::open(&self.path).map_err(wrong)?;
        file.seek(SeekFrom::Start(from)).map_err(wrong)?;
        let (mut at, mut most) = (from, PIECE_MIN);
        while at < self.size {
            told(at, from);
            let len = most.min(self.size - at);
            let mut bytes = Vec::new();
            if (&file).take(len).read_to_end(&mut bytes).map_err(wrong)? as u64 != len {
                return Err(wrong(io::ErrorKind::UnexpectedEof.into()));
            }
            let begun = Instant::now();
            let piece = Piece { sha256: sha256.to_owned(), at };
            let answer = handle.ask(piece.say(bytes.into()), ANSWERED)?;
            match Reply::of(&answer.frame) {
                Some(Reply::Have(have)) if have == at + len => at = have,
                Some(Reply::No(why)) => return Err(Unsent::Refused(why)),
                _ => return Err(Unsent::Refused("its answer makes no sense".to_owned())),
            }
            most = next_len(most, begun.elapsed());
        }
        told(at, from);
        Ok(Sent { from })
    }

    /// To the original.
    fn at_once(&self, handle: &Handle, told: &mut dyn FnMut(u64, u64)) -> Result<Sent, Unsent> {
        if self.size > FRAME_MAX {
            return Err(Error::TooLarge.into());
        }
        let path = self.path.to_str();
        let path = path.ok_or_else(|| Unsent::Here("its path is no text".to_owned()))?;
        let with = WithFile {
            src_path: Some(path.into()),
            dst_type: "any".into(),
            dst_name: self.name.as_str().into(),
            keep: true,
            ..WithFile::default()
        };
        let mut message = Message::of("any", "").with(format!("Receiving {}", self.name));
        message.header.with_file = Some(with.write());
        let before = handle.file_bytes();
        let gone = || handle.file_bytes().saturating_sub(before);
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| handle.ask(message, DAY));
            while !asked.is_finished() {
                told(gone(), 0);
                std::thread::sleep(LOOK);
            }
            // A panic has been told on its thread.
            asked.join().unwrap_or(Err(Error::Lost))
        });
        answer?;
        if gone() < self.size {
            return Err(Unsent::Here(format!("{}: it could not be read", self.path.display())));
        }
        told(self.size, 0);
        Ok(Sent { from: 0 })
    }
}

/// How long the next piece is, if one so long took that time: long enough that waiting costs
/// little, and short enough to see it move.
fn next_len(len: u64, took: Duration) -> u64 {
    match took {
        quick if quick < QUICK => (len * 2).min(PIECE_MAX),
        slow if slow > SLOW => (len / 2).max(PIECE_MIN),
        _ => len,
    }
}

/// A number by chance; it keeps names apart and is no secret.
fn number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}

/// For the answer to an offer.
const OFFERED: Duration = Duration::from_secs(15);
/// For that to a piece; behind the last one the other side reads all of it.
const ANSWERED: Duration = Duration::from_secs(600);
/// For a file as a whole.
const DAY: Duration = Duration::from_secs(86_400);
/// How often is looked how far it is.
const LOOK: Duration = Duration::from_millis(100);
const PIECE_MIN: u64 = 64 << 10;
const PIECE_MAX: u64 = 4 << 20;
const QUICK: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(1);
/// What a frame holds.
pub(super) const FRAME_MAX: u64 = u32::MAX as u64 - (1 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_where_they_are_quick_and_never_beyond_their_bounds() {
        let mut len = PIECE_MIN;
        for _ in 0..20 {
            len = next_len(len, Duration::from_millis(1));
        }
        assert_eq!(len, PIECE_MAX);
        assert_eq!(next_len(len, Duration::from_millis(500)), PIECE_MAX);
        for _ in 0..20 {
            len = next_len(len, Duration::from_secs(2));
        }
        assert_eq!(len, PIECE_MIN);
    }

    #[test]
    fn a_folder_is_an_archive_of_its_name_and_what_is_neither_is_refused() {
        let dir = Own(std::env::temp_dir().join(format!("spindle-sending-{:x}", number())));
        fs::create_dir_all(dir.0.join("things/sub")).expect("a folder");
        fs::write(dir.0.join("things/a"), b"content").expect("written");
        let sending = Sending::new(&dir.0.join("things")).expect("good");
        assert_eq!(sending.name, "things.zip");
        let archive = sending.path.clone();
        assert!(archive.exists() && fs::metadata(&archive).expect("there").len() == sending.size);
        drop(sending);
        assert!(!archive.exists(), "it goes");
        let file = Sending::new(&dir.0.join("things/../things/a")).expect("good");
        assert_eq!((file.name.as_str(), file.size), ("a", 7));
        assert!(matches!(Sending::new(&dir.0.join("b")), Err(Unsent::Here(_))));
        assert!(matches!(Sending::new(Path::new("/dev/null")), Err(Unsent::Here(_))));
    }
}
