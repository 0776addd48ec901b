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
//! nothing behind; where others may hear of it, it waits for them (`spool`) and has a second name
//! where it belongs. Parts wait for the others for a while, and are joined by their numbers. Absent
//! on purpose: owners, and paths of a sender's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::spool::{self, Berth, Room, Spool};
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
pub(super) const MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// Where files go.
pub(super) struct Folders {
    assembly: Assembly<Part>,
    /// What waits for others.
    spool: Spool,
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
    /// Where it belongs; none: not here. Or why it cannot be there.
    folder: Option<Result<Arc<OwnedFd>, String>>,
    /// It is to wait for others.
    berth: Option<Berth>,
    /// Where that is.
    at: Text,
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
#[derive(Debug)]
pub(super) struct Part {
    pub(super) folder: Arc<OwnedFd>,
    pub(super) name: String,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has its name by now, or nobody wants it.
        let _ = sys::remove_below(self.folder.as_fd(), &self.name);
    }
}

impl Folders {
    pub(super) fn new(seed: u64, most: Most, room: Room) -> Self {
        Self {
            assembly: Assembly::new(most, Seed::with_seed(seed)),
            spool: Spool::new(room),
            coming: BTreeMap::new(),
            rng: Rng::new(seed),
            swept: Vec::new(),
        }
    }

    /// What an earlier broker left for others goes on waiting for them.
    pub(super) fn recall(&mut self, folders: &[String], now: Now) {
        folders.iter().for_each(|at| self.spool.open(at, now));
    }

    fn serve(&mut self, desk: &Desk, (conn, errand): (ConnId, Errand), now: Now) -> Ran {
        match errand {
            Errand::Told { number, readers } => {
                self.spool.told(number, readers);
                return Ran::Noted;
            }
            Errand::Had(number) => {
                self.spool.had(number);
                return Ran::Noted;
            }
            _ => {}
        }
        let Some(at) = &desk.files else { return Ran::Not("refused") };
        match errand {
            Errand::Store { from, with, content } => {
                let size = content.len() as u64;
                let said = (from.clone(), with.dst_name.clone());
                let begun = self.begin(at, (from, with, size), (true, false), now);
                let done = begun.and_then(|mut coming| {
                    coming.put(&content)?;
                    self.end(coming, desk.synced, now)
                });
                told(done, &said, size)
            }
            Errand::Open { from, with, size, keep, pass } => {
                let said = (from.clone(), with.dst_name.clone());
                match self.begin(at, (from, with, size), (keep, pass), now) {
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
        (from, with, size): (Name, Box<WithFile>, u64),
        (keep, pass): (bool, bool),
        now: Now,
    ) -> Result<Coming, String> {
        let folder = keep.then(|| self.folder_of(at, &from, &with, size));
        let coming = self.coming.values().filter(|it| it.berth.is_some()).map(|it| it.size).sum();
        let berth = pass.then(|| self.spool.begin(at, (size, coming), now));
        let berth = match (berth, &folder) {
            (Some(Ok(berth)), _) => Some(berth),
            (Some(Err(why)), Some(Ok(_))) => {
                log::warn!(name:% = from.as_str(), size; "a file is not passed on: {why}");
                None
            }
            (Some(Err(why)), _) => return Err(why),
            (None, _) => None,
        };
        let (berth, file, part) = match (berth, &folder) {
            (Some((berth, file, part)), _) => (Some(berth), file, part),
            (None, Some(Ok(folder))) => {
                let (file, part) = self.new_part(folder).map_err(|e| e.to_string())?;
                (None, file, part)
            }
            (None, Some(Err(why))) => return Err(why.clone()),
            (None, None) => return Err("nobody wants it".into()),
        };
        let at = Text::from(at);
        Ok(Coming { from, with, size, got: 0, folder, berth, at, file, part })
    }

    /// The folder in which it belongs.
    fn folder_of(
        &mut self,
        at: &str,
        from: &Name,
        with: &WithFile,
        size: u64,
    ) -> Result<Arc<OwnedFd>, String> {
        if with.file_error.is_some() {
            return Err("the sender could not read it".into());
        }
        let kind = Place::new(&with.dst_type);
        let kind = kind.filter(|it| it.parts().count() == 1 && it.as_str() != spool::FOLDER);
        let kind = kind.ok_or("its type is no name of a folder")?;
        self.assembly.admit(from, with, size).map_err(words)?;
        let root = File::open(at).map_err(|e| format!("{at}: {e}"))?;
        let folder = sys::open_below(root.as_fd(), kind.as_str(), libc::O_DIRECTORY, 0);
        let folder = Arc::new(folder.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => format!("there is no folder {} for it", kind.as_str()),
            _ => e.to_string(),
        })?);
        self.sweep(at, &kind);
        Ok(folder)
    }

    /// A file without a name.
    fn new_part(&mut self, folder: &Arc<OwnedFd>) -> io::Result<(File, Part)> {
        let name = format!("{}{:016x}{}", PART.0, self.rng.next_u64(), PART.1);
        let new = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let file = sys::open_below(folder.as_fd(), &name, new, MODE)?;
        // From here on it goes again, whatever happens.
        Ok((File::from(file), Part { folder: Arc::clone(folder), name }))
    }

    /// It is whole: it has its name, waits for the others, or both.
    fn end(&mut self, it: Coming, synced: bool, now: Now) -> Result<Done, String> {
        let Coming { from, with, size, got, folder, berth, at, file, part } = it;
        if got != size {
            return Err("it is shorter than was said".into());
        }
        if synced {
            file.sync_all().map_err(|e| e.to_string())?;
        }
        drop(file);
        let Some(berth) = berth else {
            let folder = folder.ok_or("nobody wants it")??;
            let place = self.place((&from, &with), size, (&folder, part), (synced, now))?;
            return Ok(Done { stored: Some(Ok(place)), number: None, at });
        };
        let waits = self.spool.end(&berth, &part, (size, synced), now);
        let stored = folder.map(|folder| {
            let folder = folder?;
            // To the first part others are added, and what waits is to stay as it is.
            let grows = with.chunked.as_ref().is_some_and(|chunk| chunk.index == 1);
            let own = self.second(&part, &folder, (grows, synced)).map_err(|e| e.to_string())?;
            self.place((&from, &with), size, (&folder, own), (synced, now))
        });
        match (waits, stored) {
            (Ok(()), stored) => Ok(Done { stored, number: Some(berth.number), at }),
            (Err(_), Some(Ok(place))) => Ok(Done { stored: Some(Ok(place)), number: None, at }),
            (Err(e), _) => Err(e.to_string()),
        }
    }

    /// A second name for it, or a copy where there can be none.
    fn second(
        &mut self,
        part: &Part,
        to: &Arc<OwnedFd>,
        (apart, synced): (bool, bool),
    ) -> io::Result<Part> {
        let name = format!("{}{:016x}{}", PART.0, self.rng.next_u64(), PART.1);
        let link = || sys::link_below((part.folder.as_fd(), &part.name), (to.as_fd(), &name));
        if !apart && link().is_ok() {
            return Ok(Part { folder: Arc::clone(to), name });
        }
        let (mut into, own) = self.new_part(to)?;
        let from = sys::open_below(part.folder.as_fd(), &part.name, libc::O_RDONLY, 0)?;
        io::copy(&mut File::from(from), &mut into)?;
        if synced {
            into.sync_all()?;
        }
        Ok(own)
    }

    /// What is whole has its name, or waits for the others. None: it is a part of those.
    fn place(
        &mut self,
        (from, with): (&Name, &WithFile),
        size: u64,
        (folder, part): (&Arc<OwnedFd>, Part),
        (synced, now): (bool, Now),
    ) -> Result<Option<Place>, String> {
        match self.assembly.take(now, from, with, (size, part)).map_err(words)? {
            Came::Part | Came::Again(_) => Ok(None),
            Came::File { place, parts } => match put(folder, &place, &parts, synced) {
                Ok(()) => {
                    self.assembly.made(now, from, with);
                    Ok(Some(place))
                }
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
        let at = self.assembly.deadline().min(self.spool.on_time(now));
        Some(at).filter(|at| *at != Deadline::NEVER)
    }
}

/// Why it is not there was said when it went.
const GONE: Ran = Ran::Not("nothing is known of it");

/// What became of a file that came whole.
struct Done {
    /// Where it is, if that is where it belongs, or why it is not; none: it belongs nowhere here.
    stored: Option<Result<Option<Place>, String>>,
    /// Under which number it waits for others,
    number: Option<u64>,
    /// and where.
    at: Text,
}

/// The same, for the log and for who sent it.
fn told(done: Result<Done, String>, (from, wanted): &(Name, Text), size: u64) -> Ran {
    let name = from.as_str();
    let done = done.unwrap_or_else(|why| Done {
        stored: Some(Err(why)),
        number: None,
        at: Text::default(),
    });
    let stored = match done.stored {
        None => false,
        Some(Ok(place)) => {
            if let Some(place) = place {
                log::info!(name:%, place:% = place.as_str(), size; "a file came");
            }
            true
        }
        Some(Err(why)) => {
            let wanted = wanted.as_str().escape_default();
            log::warn!(name:%, wanted:%, size; "a file is not stored: {why}");
            false
        }
    };
    match done.number {
        Some(number) => Ran::Spooled { at: done.at, number, stored },
        None if stored => Ran::Stored,
        None => Ran::Not("not stored"),
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
    }
    .to_owned()
}
