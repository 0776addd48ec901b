//! Floor 5. Files that come: each goes below the folder that was named for its type, or nowhere.
//!
//! The place below it is a peer's word and was judged (`proto/aio/file`); no link is followed on
//! the way there, nothing that exists is replaced, and a file has its name only when it is whole.
//! Until then it lies in the folder under a name by chance, and goes when nobody waits for the rest
//! of it; what a killed process has left goes when the folder is used a month later. Absent on
//! purpose: owners, what a sender says of its own disk, and parts that survive the process. Whoever
//! may write into the folder can put a link there while this looks the other way: it must be ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::map::Seed;
use crate::base::rng::Rng;
use crate::base::time::{Deadline, Now};
use crate::client::pipe::seed;
use crate::proto::aio::assembly::{Assembly, Came, Most, Refused};
use crate::proto::aio::file::{Place, WithFile};
use crate::proto::aio::{Name, Text};

use super::Error;
use super::line::Watch;

/// What became of the file that came with a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is here.
    At(PathBuf),
    /// It is a part of a larger one, of which others are missing.
    Part,
    /// It was not kept: why.
    Not(String),
}

/// Where files go.
#[derive(Debug)]
pub(super) struct Folders {
    folders: Vec<(Text, PathBuf)>,
    halves: Halves,
    from: Name,
    rng: Rng,
}

/// Files of which some parts are there, and the clock that says for how long. Those of a server are
/// one for all its clients, so the rest of a file may come over another connection.
#[derive(Clone, Debug)]
pub(super) struct Halves {
    pub(super) watch: Watch,
    all: Arc<Mutex<Assembly<Part>>>,
}

impl Default for Halves {
    fn default() -> Self {
        let all = Assembly::new(Most::default(), Seed::with_seed(seed()));
        Self { watch: Watch::start(), all: Arc::new(Mutex::new(all)) }
    }
}

impl Halves {
    fn lock(&self) -> MutexGuard<'_, Assembly<Part>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a file is not there.
#[derive(Debug)]
enum Why {
    /// It may not be.
    Refused(String),
    /// The disk is full, or fails.
    Disk(io::Error),
}

impl From<io::Error> for Why {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Disk(e),
            io::ErrorKind::AlreadyExists => "there is such a file already".into(),
            _ => Self::Refused(e.to_string()),
        }
    }
}

impl From<&str> for Why {
    fn from(why: &str) -> Self {
        Self::Refused(why.to_owned())
    }
}

impl From<Refused> for Why {
    fn from(why: Refused) -> Self {
        words(why).into()
    }
}

/// Bytes on the disk that are no file yet. They go when nobody has a use for them.
#[derive(Debug)]
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // It has its name by now, or nobody wants it.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file that comes.
#[derive(Debug)]
pub(super) struct Spool {
    with: WithFile,
    size: u64,
    to: Result<(File, Part), Why>,
}

impl Spool {
    /// The next piece of it.
    pub(super) fn put(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        if let Ok((file, _)) = &mut self.to
            && let Err(e) = file.write_all(piece)
        {
            self.to = Err(Why::Disk(e));
        }
    }
}

impl Folders {
    /// For what this sender says.
    pub(super) fn new(
        folders: Vec<(Text, PathBuf)>,
        from: &Name,
        halves: Halves,
    ) -> Result<Self, Error> {
        for (_, folder) in &folders {
            let is = fs::metadata(folder).map_err(|e| Error::file(folder, e))?.is_dir();
            if !is {
                return Err(Error::file(folder, "is no folder"));
            }
        }
        Ok(Self { folders, halves, from: from.detached(), rng: Rng::new(seed()) })
    }

    /// What somebody was killed over goes.
    pub(super) fn sweep(&self) {
        self.folders.iter().for_each(|(_, folder)| sweep(folder));
    }

    /// A file comes, of this size. Nothing is kept of one that may not.
    pub(super) fn begin(&mut self, with: WithFile, size: u64) -> Spool {
        let to = self.open(&with, size);
        Spool { with, size: 0, to }
    }

    fn open(&mut self, with: &WithFile, size: u64) -> Result<(File, Part), Why> {
        let folder = self.folder(with).ok_or("no folder for its type")?.to_owned();
        self.halves.lock().admit(&self.from, with, size)?;
        let path = folder.join(format!(".spindle-{:016x}.part", self.rng.next_u64()));
        // A new one: so no link is followed and nothing is written over.
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok((file, Part(path)))
    }

    fn folder(&self, with: &WithFile) -> Option<&Path> {
        let found = self.folders.iter().find(|(kind, _)| *kind == with.dst_type);
        found.map(|(_, folder)| folder.as_path())
    }

    /// It is whole. If it is to be safe, it survives from now on; an error: the disk has not taken
    /// it, and what it came with must not be acknowledged.
    pub(super) fn end(&self, now: Now, spool: Spool, safe: bool) -> Result<Stored, Error> {
        match self.settle(now, spool, safe) {
            Ok(stored) => Ok(stored),
            Err(Why::Disk(e)) if safe => {
                log::error!("a file is not there, the disk does not take it: {e}");
                Err(Error::Unkept)
            }
            Err(Why::Disk(e)) => Ok(Stored::Not(e.to_string())),
            Err(Why::Refused(why)) => Ok(Stored::Not(why)),
        }
    }

    fn settle(&self, now: Now, spool: Spool, safe: bool) -> Result<Stored, Why> {
        let Spool { with, size, to } = spool;
        let (file, part) = to?;
        drop(file);
        let folder = self.folder(&with).ok_or("no folder for its type")?.to_owned();
        let came = self.halves.lock().take(now, &self.from, &with, (size, part))?;
        match came {
            Came::Part => Ok(Stored::Part),
            Came::File { place, parts } => match put(&folder, &place, &parts, safe) {
                Ok(at) => Ok(Stored::At(at)),
                // Only the last of them would come again.
                Err(Why::Disk(e)) if parts.len() > 1 => Err(Why::Refused(e.to_string())),
                Err(why) => Err(why),
            },
        }
    }

    /// Files of which nothing has come for long are given up.
    pub(super) fn on_time(&self, now: Now) {
        if !self.folders.is_empty() {
            let due = self.halves.lock().due(now);
            drop(due);
        }
    }

    /// When to ask for that.
    pub(super) fn deadline(&self) -> Deadline {
        if self.folders.is_empty() { Deadline::NEVER } else { self.halves.lock().deadline() }
    }
}

/// What somebody was killed over goes. Others may be at work there, so what is young stays.
pub(super) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let old = || -> io::Result<bool> {
            Ok(entry.metadata()?.modified()?.elapsed().is_ok_and(|since| since > OLD))
        };
        if entry.file_name().to_str().is_some_and(is_part) && old().unwrap_or(false) {
            take_back(&entry.path());
        }
    }
}

/// Is a part called so?
fn is_part(name: &str) -> bool {
    let sign = name.strip_prefix(".spindle-").and_then(|rest| rest.strip_suffix(".part"));
    sign.is_some_and(|sign| sign.len() == 16 && sign.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// It came with something that will be said again, and would find itself there.
pub(super) fn take_back(path: &Path) {
    if let Err(e) = fs::remove_file(path) {
        log::warn!("{}: not taken back: {e}", path.display());
    }
}

/// Give all parts together, the first of which takes the others in, their name.
fn put(folder: &Path, place: &Place, parts: &[Part], safe: bool) -> Result<PathBuf, Why> {
    let (first, others) = parts.split_first().ok_or("it has no parts")?;
    let mut path = folder.to_owned();
    let mut names = place.parts().peekable();
    while let Some(name) = names.next() {
        path.push(name);
        if names.peek().is_some() {
            enter(&path)?;
        }
    }
    let mut whole = OpenOptions::new().append(true).open(&first.0)?;
    for part in others {
        io::copy(&mut File::open(&part.0)?, &mut whole)?;
    }
    if safe {
        whole.sync_all().map_err(Why::Disk)?;
    }
    // Unlike renaming, this replaces nothing, and follows nothing.
    fs::hard_link(&first.0, &path)?;
    if safe && let Err(e) = keep_names(folder, &path) {
        take_back(&path);
        return Err(Why::Disk(e));
    }
    Ok(path)
}

/// That it is called so survives, and so do the folders on the way there.
fn keep_names(folder: &Path, path: &Path) -> io::Result<()> {
    let ways = path.ancestors().skip(1).take_while(|way| way.starts_with(folder));
    ways.into_iter().try_for_each(|way| File::open(way)?.sync_all())
}

/// There is a folder here, and no link to one.
fn enter(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir(path),
        Err(e) => Err(e),
    }
}

fn words(why: Refused) -> &'static str {
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
}

/// After this nobody goes on with a part: between two of one file are ten minutes at most, and
/// there are 4,096 of it at most.
const OLD: Duration = Duration::from_secs(30 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::aio::file::{CHUNK, Chunk};

    /// A folder of this test's own, which goes with it.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("spindle-aio-{name}-{:x}", seed()));
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        fn folders(&self) -> Folders {
            self.of("server", Halves::default())
        }

        fn of(&self, name: &str, halves: Halves) -> Folders {
            let from = Name::new(&name.into()).expect("a name");
            Folders::new(vec![("any".into(), self.0.clone())], &from, halves).expect("it is there")
        }

        /// What comes as the only file here is on a disk that takes everything and takes nothing
        /// in.
        fn fail(&self) {
            let part = self.0.join(&self.list()[0]);
            fs::remove_file(&part).expect("a part");
            std::os::unix::fs::symlink("/dev/null", &part).expect("a link");
        }

        /// What lies in it.
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

    fn with(name: &str) -> WithFile {
        WithFile { dst_type: "any".into(), dst_name: name.into(), ..WithFile::default() }
    }

    fn come(folders: &mut Folders, with: WithFile, bytes: &[u8]) -> Stored {
        let mut spool = folders.begin(with, bytes.len() as u64);
        spool.put(bytes);
        folders.end(Now::default(), spool, false).expect("it is not to be safe")
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_nothing_beside_it() {
        let dir = Dir::new("whole");
        let mut folders = dir.folders();
        let stored = come(&mut folders, with("sub/a.txt"), b"content");
        assert_eq!(stored, Stored::At(dir.0.join("sub/a.txt")));
        assert_eq!(fs::read(dir.0.join("sub/a.txt")).expect("it is there"), b"content");
        assert_eq!(come(&mut folders, with("empty"), b""), Stored::At(dir.0.join("empty")));
        let half = folders.begin(with("half"), 10);
        drop(half);
        assert_eq!(dir.list(), ["empty", "sub"]);
    }

    #[test]
    fn what_somebody_was_killed_over_goes_in_the_end_and_nothing_else() {
        let dir = Dir::new("swept");
        let part = |sign: &str| format!(".spindle-{sign}.part");
        let (old, young) = (part("0123456789abcdef"), part("fedcba9876543210"));
        let others = [part(&"0".repeat(64)), part("0123456789abcdeg"), "0123456789abcdef".into()];
        for name in others.iter().chain([&old, &young]) {
            let file = File::create(dir.0.join(name)).expect("a file");
            let now = file.metadata().and_then(|it| it.modified()).expect("a time");
            if *name != young {
                file.set_modified(now - OLD - Duration::from_secs(60)).expect("set");
            }
        }
        dir.folders().sweep();
        let left = dir.list();
        assert!(!left.contains(&old) && left.contains(&young));
        assert!(others.iter().all(|name| left.contains(name)), "{left:?}");
    }

    #[test]
    fn what_is_to_be_safe_has_no_name_before_the_disk_has_taken_it_in() {
        for safe in [false, true] {
            let dir = Dir::new("safe");
            let mut folders = dir.folders();
            let spool = folders.begin(with("sub/a"), 0);
            dir.fail();
            let stored = folders.end(Now::default(), spool, safe);
            assert_eq!(matches!(stored, Err(Error::Unkept)), safe, "{stored:?}");
            let named = fs::read_dir(dir.0.join("sub")).expect("it is there");
            assert_eq!(named.count(), usize::from(!safe));
        }
    }

    #[test]
    fn what_a_full_disk_did_not_take_comes_again_if_it_was_to_be_safe() {
        let dir = Dir::new("full");
        let mut folders = dir.folders();
        for safe in [false, true] {
            let mut spool = folders.begin(with("a"), 1);
            let full = OpenOptions::new().append(true).open("/dev/full").expect("it is there");
            spool.to = spool.to.map(|(_, part)| (full, part));
            spool.put(b"x");
            let stored = folders.end(Now::default(), spool, safe);
            assert_eq!(matches!(stored, Err(Error::Unkept)), safe, "{stored:?}");
        }
        assert!(dir.list().is_empty());
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(Why::from(io::Error::from(kind)), Why::Disk(_)));
        }
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(Why::from(denied), Why::Refused(_)), "it would come again for ever");
    }

    #[test]
    fn of_a_file_in_parts_that_a_disk_did_not_take_in_the_last_does_not_come_again() {
        let dir = Dir::new("joined");
        let mut folders = dir.folders();
        let base = format!("a{CHUNK}");
        for index in 1..=2 {
            let chunked = Some(Chunk { base: base.as_str().into(), index, count: 2 });
            let of = WithFile { chunked, ..with(&format!("{base}_{index}_2")) };
            let spool = folders.begin(of, 0);
            if index == 1 {
                dir.fail();
            }
            let stored = folders.end(Now::default(), spool, true).expect("it does not come again");
            assert_eq!(stored == Stored::Part, index == 1, "{stored:?}");
        }
        assert!(dir.list().is_empty());
    }

    #[test]
    fn what_exists_is_not_replaced() {
        let dir = Dir::new("exists");
        let mut folders = dir.folders();
        come(&mut folders, with("a"), b"first");
        let again = come(&mut folders, with("a"), b"second");
        assert_eq!(again, Stored::Not("there is such a file already".to_owned()));
        assert_eq!(fs::read(dir.0.join("a")).expect("it is there"), b"first");
        assert_eq!(dir.list(), ["a"]);
    }

    #[test]
    fn nothing_is_stored_where_a_link_leads_or_a_name_goes_up() {
        let (dir, other) = (Dir::new("links"), Dir::new("other"));
        std::os::unix::fs::symlink(&other.0, dir.0.join("link")).expect("a link");
        std::os::unix::fs::symlink(other.0.join("b"), dir.0.join("b")).expect("a link");
        let mut folders = dir.folders();
        for name in ["link/a", "b", "../a", "/tmp/a", "a/../../b", "~/a", ""] {
            let stored = come(&mut folders, with(name), b"x");
            assert!(matches!(stored, Stored::Not(_)), "{name}: {stored:?}");
        }
        assert_eq!(other.list(), [""; 0]);
        assert_eq!(dir.list(), ["b", "link"]);
    }

    #[test]
    fn a_file_is_the_receivers_whatever_owner_its_sender_wishes() {
        use std::os::unix::fs::MetadataExt;
        let dir = Dir::new("owner");
        let mut folders = dir.folders();
        let owner = Some("nobody:nogroup".into());
        come(&mut folders, WithFile { owner, ..with("a") }, b"x");
        come(&mut folders, with("b"), b"x");
        let whose = |name: &str| {
            let found = fs::metadata(dir.0.join(name)).expect("it is there");
            (found.uid(), found.gid(), found.mode())
        };
        assert_eq!(whose("a"), whose("b"));
    }

    #[test]
    fn a_type_without_a_folder_is_not_kept() {
        let dir = Dir::new("type");
        let other = WithFile { dst_type: "other".into(), ..with("a") };
        let stored = come(&mut dir.folders(), other, b"x");
        assert_eq!(stored, Stored::Not("no folder for its type".to_owned()));
        assert!(dir.list().is_empty());
        let nowhere = vec![("any".into(), dir.0.join("a"))];
        let from = Name::new(&"a".into()).expect("a name");
        let made = Folders::new(nowhere, &from, Halves::default());
        assert!(matches!(made, Err(Error::File(_))));
    }

    #[test]
    fn parts_are_joined_by_their_numbers_and_given_up_in_time() {
        let dir = Dir::new("parts");
        let mut folders = dir.folders();
        let part = |index: u32, count: u32, name: &str| {
            let base = format!("{name}{CHUNK}");
            let chunked = Chunk { base: base.as_str().into(), index, count };
            WithFile { chunked: Some(chunked), ..with(&format!("{base}_{index}_{count}")) }
        };
        for index in [2, 10, 1, 3, 5, 4, 6, 9, 8] {
            let stored = come(&mut folders, part(index, 10, "a"), &[b'0' + (index % 10) as u8]);
            assert_eq!(stored, Stored::Part);
        }
        assert_eq!(come(&mut folders, part(7, 10, "a"), b"7"), Stored::At(dir.0.join("a")));
        assert_eq!(fs::read(dir.0.join("a")).expect("it is there"), b"1234567890");
        assert_eq!(come(&mut folders, part(1, 2, "late"), b"x"), Stored::Part);
        assert_eq!(dir.list().len(), 2);
        folders.on_time(Now { mono: folders.deadline().0, wall: 0 });
        assert_eq!(dir.list(), ["a"]);
    }
}
