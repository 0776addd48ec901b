//! Floor 5. Files that connectors send to the broker: each goes below one folder, or nowhere.
//!
//! ```text
//! FILES/<dst_type>/<dst_name>       the folder of the type is there already, or it is not taken
//! FILES/<dst_type>/.spindle-*.part  what is not whole, or has no name yet
//! ```
//!
//! The place is a peer's word and was judged (`proto/aio/file`); the way there is gone from folder
//! to folder by open descriptors, so no link is followed, also none that somebody puts there
//! meanwhile. Nothing that exists is replaced, and a file has its name only when all of it is
//! there. A long one comes in pieces, one file over a connection, and what is not ended leaves
//! nothing behind. Parts wait for the others for a while, and are joined by their numbers. Absent
//! on purpose: owners, and paths of a sender's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::base::id::ConnId;
use crate::base::map::Seed;
use crate::base::rng::Rng;
use crate::base::time::{Deadline, Now};
use crate::os::sys;
use crate::proto::aio::assembly::{Assembly, Came, Most, Refused};
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::aio::file::{Place, WithFile};
use crate::proto::aio::{Name, Text};

/// What is not whole is called so.
const PART: (&str, &str) = (".spindle-", ".part");
/// For the broker, and to be read by its group.
const MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// Where files go.
pub(super) struct Folders {
    assembly: Assembly<Part>,
    /// Files that come in pieces.
    coming: BTreeMap<ConnId, Coming>,
    rng: Rng,
    /// Folders that were looked into: what an earlier broker did not finish is gone.
    swept: Vec<(String, Text)>,
}

/// A file that is being written.
struct Coming {
    from: Name,
    with: Box<WithFile>,
    /// As long as it will be, and as it is.
    size: u64,
    got: u64,
    folder: Arc<OwnedFd>,
    file: File,
    part: Part,
}

impl Coming {
    /// The next piece of it.
    fn put(&mut self, piece: &[u8]) -> Result<(), String> {
        self.got += piece.len() as u64;
        if self.got > self.size {
            return Err("it is longer than was said".into());
        }
        self.file.write_all(piece).map_err(|e| e.to_string())
    }
}

/// Bytes on the disk that are no file yet. They go when nobody has a use for them.
struct Part {
    folder: Arc<OwnedFd>,
    name: String,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has its name by now, or nobody wants it.
        let _ = sys::remove_below(self.folder.as_fd(), &self.name);
    }
}

impl Folders {
    pub(super) fn new(seed: u64, most: Most) -> Self {
        Self {
            assembly: Assembly::new(most, Seed::with_seed(seed)),
            coming: BTreeMap::new(),
            rng: Rng::new(seed),
            swept: Vec::new(),
        }
    }

    fn serve(&mut self, desk: &Desk, (conn, errand): (ConnId, Errand), now: Now) -> Ran {
        let Some(at) = &desk.files else { return Ran::Not("refused") };
        match errand {
            Errand::Store { from, with, content } => {
                let size = content.len() as u64;
                let said = (from.clone(), with.dst_name.clone());
                let done = self.begin(at, from, with, size).and_then(|mut coming| {
                    coming.put(&content)?;
                    self.end(coming, desk.synced, now)
                });
                told(done, &said, size)
            }
            Errand::Open { from, with, size } => {
                let said = (from.clone(), with.dst_name.clone());
                match self.begin(at, from, with, size) {
                    Ok(coming) => {
                        self.coming.insert(conn, coming);
                        Ran::Taken
                    }
                    Err(why) => told(Err(why), &said, size),
                }
            }
            Errand::Piece(piece) => {
                // Taken out, so that what goes wrong in between is not gone on with.
                let Some(mut coming) = self.coming.remove(&conn) else { return GONE };
                match coming.put(&piece) {
                    Ok(()) => {
                        self.coming.insert(conn, coming);
                        Ran::Taken
                    }
                    Err(why) => {
                        told(Err(why), &(coming.from, coming.with.dst_name.clone()), coming.size)
                    }
                }
            }
            Errand::Close => {
                let Some(coming) = self.coming.remove(&conn) else { return GONE };
                let said = (coming.from.clone(), coming.with.dst_name.clone());
                let size = coming.size;
                told(self.end(coming, desk.synced, now), &said, size)
            }
            Errand::Abandon => {
                let Some(coming) = self.coming.remove(&conn) else { return GONE };
                let said = (coming.from, coming.with.dst_name.clone());
                told(Err("its sender is gone".into()), &said, coming.size)
            }
            _ => Ran::Not("refused"),
        }
    }

    /// A file of this size may come, and nothing of it is there yet.
    fn begin(
        &mut self,
        at: &str,
        from: Name,
        with: Box<WithFile>,
        size: u64,
    ) -> Result<Coming, String> {
        if with.file_error.is_some() {
            return Err("the sender could not read it".into());
        }
        let kind = Place::new(&with.dst_type).filter(|kind| kind.parts().count() == 1);
        let kind = kind.ok_or("its type is no name of a folder")?;
        self.assembly.admit(&from, &with, size).map_err(words)?;
        let root = File::open(at).map_err(|e| format!("{at}: {e}"))?;
        let folder = sys::open_below(root.as_fd(), kind.as_str(), libc::O_DIRECTORY, 0);
        let folder = Arc::new(folder.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => format!("there is no folder {} for it", kind.as_str()),
            _ => e.to_string(),
        })?);
        self.sweep(at, &kind);
        let name = format!("{}{:016x}{}", PART.0, self.rng.next_u64(), PART.1);
        let new = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let file = sys::open_below(folder.as_fd(), &name, new, MODE).map_err(|e| e.to_string())?;
        // From here on it goes again, whatever happens.
        let part = Part { folder: Arc::clone(&folder), name };
        Ok(Coming { from, with, size, got: 0, folder, file: File::from(file), part })
    }

    /// It is whole: it has its name, or waits for the others.
    fn end(&mut self, it: Coming, synced: bool, now: Now) -> Result<Option<Place>, String> {
        let Coming { from, with, size, got, folder, file, part } = it;
        if got != size {
            return Err("it is shorter than was said".into());
        }
        if synced {
            file.sync_all().map_err(|e| e.to_string())?;
        }
        drop(file);
        match self.assembly.take(now, &from, &with, (size, part)).map_err(words)? {
            Came::Part => Ok(None),
            Came::File { place, parts } => match put(&folder, &place, &parts, synced) {
                Ok(()) => Ok(Some(place)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    Err("there is such a file already".into())
                }
                Err(e) => Err(e.to_string()),
            },
        }
    }

    /// What an earlier broker left that was not whole is never asked for again.
    fn sweep(&mut self, at: &str, kind: &Place) {
        let key = (at.to_owned(), Text::from(kind.as_str()));
        if self.swept.contains(&key) {
            return;
        }
        self.swept.push(key);
        for entry in fs::read_dir(Path::new(at).join(kind.as_str())).into_iter().flatten().flatten()
        {
            let name = entry.file_name();
            if name.to_str().is_some_and(is_part) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl super::Runs for Folders {
    fn run(&mut self, desk: &Desk, errand: (ConnId, Errand), now: Now) -> Ran {
        self.serve(desk, errand, now)
    }

    /// Files of which nothing has come for long are given up.
    fn on_time(&mut self, now: Now) -> Option<Deadline> {
        drop(self.assembly.due(now));
        Some(self.assembly.deadline()).filter(|at| *at != Deadline::NEVER)
    }
}

/// Why it is not there was said when it went.
const GONE: Ran = Ran::Not("nothing is known of it");

/// What became of it, for the log and for who sent it.
fn told(done: Result<Option<Place>, String>, (from, wanted): &(Name, Text), size: u64) -> Ran {
    let name = from.as_str();
    match done {
        Ok(place) => {
            if let Some(place) = place {
                log::info!(name:%, place:% = place.as_str(), size; "a file came");
            }
            Ran::Stored
        }
        Err(why) => {
            let wanted = wanted.as_str().escape_default();
            log::warn!(name:%, wanted:%, size; "a file is not stored: {why}");
            Ran::Not("not stored")
        }
    }
}

fn is_part(name: &str) -> bool {
    name.starts_with(PART.0) && name.ends_with(PART.1)
}

/// Give all parts together, the first of which takes the others in, their name.
fn put(folder: &Arc<OwnedFd>, place: &Place, parts: &[Part], synced: bool) -> io::Result<()> {
    let Some((first, others)) = parts.split_first() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut names: Vec<&str> = place.parts().collect();
    let last = names.pop().filter(|last| !is_part(last));
    let last = last.ok_or(io::ErrorKind::InvalidInput)?;
    let mut into = Arc::clone(folder);
    for name in names {
        match sys::make_below(into.as_fd(), name, FOLDER_MODE) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        into = Arc::new(sys::open_below(into.as_fd(), name, libc::O_DIRECTORY, 0)?);
    }
    if !others.is_empty() {
        let append = libc::O_WRONLY | libc::O_APPEND;
        let whole = sys::open_below(folder.as_fd(), &first.name, append, 0)?;
        let mut whole = File::from(whole);
        for part in others {
            let part = sys::open_below(folder.as_fd(), &part.name, libc::O_RDONLY, 0)?;
            io::copy(&mut File::from(part), &mut whole)?;
        }
        if synced {
            whole.sync_all()?;
        }
    }
    // Unlike renaming, this replaces nothing.
    sys::link_below((folder.as_fd(), &first.name), (into.as_fd(), last))?;
    if synced { File::from(into.try_clone()?).sync_all() } else { Ok(()) }
}

fn words(why: Refused) -> String {
    match why {
        Refused::Name => "its name leads somewhere else",
        Refused::Chunk => "its name is not that of its part",
        Refused::FileSize => "it is too large",
        Refused::Room => "there is no room for it",
        Refused::Parts => "it has too many parts",
        Refused::Files => "too many others are not whole",
        Refused::Count => "it had another number of parts before",
        Refused::Twice => "this part was there already",
    }
    .to_owned()
}
