//! Floor 5. Files that come: each goes below the folder that was named for its type, or nowhere.
//!
//! The place below it is a peer's word and was judged (`proto/aio/file`); no link is followed on
//! the way there, nothing that exists is replaced, and a file has its name only when it is whole.
//! One that is there with the same bytes is what came: so what is said again finds its file. Until
//! it is whole it lies in the folder under a name by chance, and goes when nobody waits for the
//! rest of it (`halves`); what a killed process has left goes when the folder is used a month
//! later. Absent on purpose: owners, what a sender says of its own disk, and parts that survive the
//! process. Whoever may write into the folder can put a link there while this looks the other way:
//! it must be ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::time::{Deadline, Now};
use crate::client::pipe::seed;
use crate::proto::aio::assembly::{Came, Refused};
use crate::proto::aio::file::{Place, WithFile};
use crate::proto::aio::{Name, Text};

use super::Error;
use super::halves::Mine;

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
    halves: Mine,
    from: Name,
    rng: Rng,
    /// Whatever comes has this, too.
    coming: Arc<()>,
}

/// Why a file is not there.
#[derive(Debug)]
enum Why {
    /// It may not be.
    Refused(String),
    /// The disk is full, or fails: another time it may take it.
    Disk(io::Error),
}

impl From<io::Error> for Why {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::AlreadyExists => "there is such a file already".into(),
            kind if PASSES.contains(&kind) => Self::Disk(e),
            _ if e.raw_os_error().is_some_and(|number| FAILS.contains(&number)) => Self::Disk(e),
            _ => Self::Refused(e.to_string()),
        }
    }
}

/// What a disk says that is full or fails, or a system that has no room; by number what has no
/// name: it fails (EIO), it is gone (ENODEV), too many files are open (ENFILE, EMFILE). Everything
/// else would be so again for ever, and hold up what follows: names that a file system does not
/// take, folders that are not ours.
const PASSES: [io::ErrorKind; 7] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::StaleNetworkFileHandle,
    io::ErrorKind::OutOfMemory,
    io::ErrorKind::TimedOut,
    io::ErrorKind::ResourceBusy,
];
const FAILS: [i32; 4] = [5, 19, 23, 24];

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

/// So many bytes on the disk that are no file yet. They go when nobody has a use for them.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    size: u64,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has its name by now, or nobody wants it.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file that comes.
#[derive(Debug)]
pub(super) struct Spool {
    with: WithFile,
    size: u64,
    to: Result<(File, Part), Why>,
    _comes: Arc<()>,
}

impl Spool {
    /// The next piece of it.
    pub(super) fn put(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        if let Ok((file, _)) = &mut self.to
            && let Err(e) = file.write_all(piece)
        {
            self.to = Err(e.into());
        }
    }
}

impl Folders {
    /// For what this sender says.
    pub(super) fn new(
        folders: Vec<(Text, PathBuf)>,
        from: &Name,
        halves: Mine,
    ) -> Result<Self, Error> {
        for (_, folder) in &folders {
            let is = fs::metadata(folder).map_err(|e| Error::file(folder, e))?.is_dir();
            if !is {
                return Err(Error::file(folder, "is no folder"));
            }
        }
        Ok(Self {
            folders,
            halves,
            from: from.detached(),
            rng: Rng::new(seed()),
            coming: Arc::default(),
        })
    }

    /// What somebody was killed over goes.
    pub(super) fn sweep(&self) {
        self.folders.iter().for_each(|(_, folder)| sweep(folder));
    }

    /// A file comes, of this size. Nothing is kept of one that may not.
    pub(super) fn begin(&mut self, with: WithFile, size: u64) -> Spool {
        let to = self.open(&with, size);
        Spool { with, size: 0, to, _comes: Arc::clone(&self.coming) }
    }

    fn open(&mut self, with: &WithFile, size: u64) -> Result<(File, Part), Why> {
        let folder = self.folder(with).ok_or("no folder for its type")?.to_owned();
        self.halves.lock().admit(&self.from, with, size)?;
        let path = folder.join(format!(".spindle-{:016x}.part", self.rng.next_u64()));
        // A new one: so no link is followed and nothing is written over.
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok((file, Part { path, size: 0 }))
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
        let Spool { with, size, to, .. } = spool;
        let (file, mut part) = to?;
        part.size = size;
        // Parts are acknowledged one by one.
        if safe && with.chunked.is_some() {
            file.sync_all().map_err(Why::Disk)?;
        }
        drop(file);
        let folder = self.folder(&with).ok_or("no folder for its type")?.to_owned();
        let came = self.halves.lock().take(now, &self.from, &with, (size, part))?;
        match came {
            Came::Part => Ok(Stored::Part),
            Came::Again(place) => Ok(Stored::At(folder.join(place.as_str()))),
            Came::File { place, parts } => {
                let made = put(&folder, &place, &parts, safe);
                match &made {
                    Ok(_) => self.halves.lock().made(now, &self.from, &with),
                    // Only the last of them comes again.
                    Err(Why::Disk(_)) if safe => {
                        let parts = parts.into_iter().map(|part| (part.size, part));
                        self.halves.lock().back(now, &self.from, &with, parts);
                    }
                    Err(_) => {}
                }
                Ok(Stored::At(made?))
            }
        }
    }

    /// Files of which nothing has come for long are given up.
    pub(super) fn on_time(&self, now: Now) {
        if self.looks() {
            let due = self.halves.lock().due(now);
            drop(due);
        }
    }

    /// When to ask for that.
    pub(super) fn deadline(&self) -> Deadline {
        if self.looks() { self.halves.lock().deadline() } else { Deadline::NEVER }
    }

    /// There may be some; and what comes just now is not what they wait for.
    fn looks(&self) -> bool {
        !self.folders.is_empty() && Arc::strong_count(&self.coming) == 1
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

/// There is a folder here from now on, also after the power was cut.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|way| !way.exists()).collect();
    fs::create_dir_all(path)?;
    let above = missing.into_iter().filter_map(Path::parent);
    above.into_iter().try_for_each(|way| match way.as_os_str().is_empty() {
        true => File::open(".")?.sync_all(),
        false => File::open(way)?.sync_all(),
    })
}

/// It goes again.
fn take_back(path: &Path) {
    if let Err(e) = fs::remove_file(path) {
        log::warn!("{}: it stays: {e}", path.display());
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
    let whole = OpenOptions::new().append(true).open(&first.path)?;
    let joined = join(&whole, first, others).map_err(Why::from).and_then(|()| match safe {
        true => whole.sync_all().map_err(Why::Disk),
        false => Ok(()),
    });
    if let Err(why) = joined {
        // It is the first part only, should the rest be wanted once more.
        let alone = whole.set_len(first.size).and_then(|()| whole.sync_all());
        return Err(match alone {
            Err(e) if !others.is_empty() => Why::Refused(e.to_string()),
            _ => why,
        });
    }
    drop(whole);
    // Unlike renaming, this replaces nothing, and follows nothing.
    let named = fs::hard_link(&first.path, &path);
    match named {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_same(&first.path, &path)? => {
            if safe {
                File::open(&path)?.sync_all().map_err(Why::Disk)?;
                keep_names(folder, &path).map_err(Why::Disk)?;
            }
        }
        named => {
            named?;
            if safe && let Err(e) = keep_names(folder, &path) {
                take_back(&path);
                return Err(Why::Disk(e));
            }
        }
    }
    Ok(path)
}

/// The others behind the first, each as long as it was when it came.
fn join(mut whole: &File, first: &Part, others: &[Part]) -> io::Result<()> {
    let mut size = first.size;
    for part in others {
        io::copy(&mut File::open(&part.path)?, &mut whole)?;
        size += part.size;
    }
    let is = whole.metadata()?.len();
    if others.is_empty() || is == size {
        Ok(())
    } else {
        Err(io::Error::other("its parts are not as long as they were"))
    }
}

/// Is there a file, and no link to one, with these bytes?
fn is_same(came: &Path, there: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(there)?;
    if !found.is_file() || found.len() != fs::metadata(came)?.len() {
        return Ok(false);
    }
    let (mut came, mut there) = (File::open(came)?, File::open(there)?);
    let (mut one, mut other) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let len = came.read(&mut one)?;
        if len == 0 {
            return Ok(true);
        }
        match there.read_exact(&mut other[..len]) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if one[..len] != other[..len] {
            return Ok(false);
        }
    }
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
    }
}

/// After this nobody goes on with a part: between two of one file are ten minutes at most, and
/// there are 4,096 of it at most.
const OLD: Duration = Duration::from_secs(30 * 24 * 3_600);
/// What is compared at once.
const BLOCK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::aio::halves::Halves;
    use crate::proto::aio::file::{CHUNK, Chunk};
    use std::os::unix::fs::symlink;

    /// A folder of this test's own, which goes with it.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("spindle-aio-{name}-{:x}", seed()));
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        fn folders(&self) -> Folders {
            self.of("server", &Halves::default())
        }

        fn of(&self, name: &str, halves: &Halves) -> Folders {
            let from = Name::new(&name.into()).expect("a name");
            let mine = halves.of(&from);
            Folders::new(vec![("any".into(), self.0.clone())], &from, mine).expect("it is there")
        }

        /// What comes as the only file here is on a disk that takes everything and takes nothing
        /// in.
        fn fail(&self) {
            let part = self.0.join(&self.list()[0]);
            fs::remove_file(&part).expect("a part");
            symlink("/dev/null", &part).expect("a link");
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
    }

    #[test]
    fn what_may_be_better_another_time_is_the_disks_fault_and_nothing_else() {
        let is = |e: io::Error| matches!(Why::from(e), Why::Disk(_));
        let full = ["ENOSPC 28", "EDQUOT 122", "EIO 5", "EROFS 30", "ESTALE 116", "ENOMEM 12"];
        let more = ["ENODEV 19", "ENFILE 23", "EMFILE 24", "ETIMEDOUT 110", "EBUSY 16"];
        let never = ["EPERM 1", "ENOENT 2", "EACCES 13", "EEXIST 17", "ENOTDIR 20", "EISDIR 21"];
        let names =
            ["EINVAL 22", "EFBIG 27", "EMLINK 31", "ENAMETOOLONG 36", "ELOOP 40", "EILSEQ 84"];
        let number =
            |what: &str| what.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("one");
        for what in full.into_iter().chain(more) {
            assert!(is(io::Error::from_raw_os_error(number(what))), "{what}");
        }
        for what in never.into_iter().chain(names) {
            assert!(!is(io::Error::from_raw_os_error(number(what))), "{what} comes again for ever");
        }
        let dir = Dir::new("long");
        let mut spool = dir.folders().begin(with("a"), 1);
        let no = File::open("/dev/null").expect("it is there");
        spool.to = spool.to.map(|(_, part)| (no, part));
        spool.put(b"x");
        assert!(matches!(spool.to, Err(Why::Refused(_))), "it is not open for that");
    }

    fn part(index: u32, count: u32, name: &str) -> WithFile {
        let base = format!("{name}{CHUNK}");
        let chunked = Chunk { base: base.as_str().into(), index, count };
        WithFile { chunked: Some(chunked), ..with(&format!("{base}_{index}_{count}")) }
    }

    fn safely(folders: &mut Folders, with: WithFile, bytes: &[u8]) -> Result<Stored, Error> {
        let mut spool = folders.begin(with, bytes.len() as u64);
        spool.put(bytes);
        folders.end(Now::default(), spool, true)
    }

    #[test]
    fn a_part_is_safe_before_it_is_acknowledged() {
        let dir = Dir::new("part");
        let mut folders = dir.folders();
        for safe in [true, false] {
            let mut spool = folders.begin(part(1, 2, "a"), 0);
            let null = OpenOptions::new().append(true).open("/dev/null").expect("it is there");
            spool.to = spool.to.map(|(_, part)| (null, part));
            let stored = folders.end(Now::default(), spool, safe);
            assert_eq!(matches!(stored, Err(Error::Unkept)), safe, "{stored:?}");
        }
    }

    #[test]
    fn parts_that_a_failing_disk_does_not_join_wait_for_the_last_once_more() {
        let dir = Dir::new("joined");
        let mut folders = dir.folders();
        let before = dir.list();
        assert_eq!(safely(&mut folders, part(3, 3, "a"), b"three").expect("a part"), Stored::Part);
        let third =
            dir.list().into_iter().find(|name| !before.contains(name)).expect("it is there");
        assert_eq!(safely(&mut folders, part(1, 3, "a"), b"one").expect("a part"), Stored::Part);
        // Whoever reads this is told that the disk fails.
        let third = dir.0.join(third);
        fs::remove_file(&third).expect("a part");
        symlink("/proc/self/mem", &third).expect("a link");
        for _ in 0..2 {
            let stored = safely(&mut folders, part(2, 3, "a"), b"two");
            assert!(matches!(stored, Err(Error::Unkept)), "{stored:?}");
            assert_eq!(dir.list().len(), 2, "nothing is called a, and two parts are there");
        }
        fs::remove_file(&third).expect("a link");
        fs::write(&third, "three").expect("written");
        let stored = safely(&mut folders, part(2, 3, "a"), b"two");
        assert_eq!(stored.expect("it is whole"), Stored::At(dir.0.join("a")));
        assert_eq!(fs::read(dir.0.join("a")).expect("it is there"), b"onetwothree");
        assert_eq!(dir.list(), ["a"]);
    }

    #[test]
    fn parts_that_are_not_as_long_as_they_were_are_no_file() {
        let dir = Dir::new("short");
        let mut folders = dir.folders();
        come(&mut folders, part(1, 2, "a"), b"one");
        fs::write(dir.0.join(&dir.list()[0]), "o").expect("written");
        let stored = come(&mut folders, part(2, 2, "a"), b"two");
        assert_eq!(stored, Stored::Not("its parts are not as long as they were".to_owned()));
        assert!(dir.list().is_empty());
    }

    #[test]
    fn what_comes_again_is_what_is_there() {
        let dir = Dir::new("again");
        let mut folders = dir.folders();
        let long = vec![b'x'; BLOCK + 10];
        let at = |name: &str| Stored::At(dir.0.join(name));
        for (name, bytes) in [("a", &b"content"[..]), ("empty", b""), ("sub/long", &long)] {
            for _ in 0..2 {
                assert_eq!(come(&mut folders, with(name), bytes), at(name));
                assert_eq!(safely(&mut folders, with(name), bytes).expect("it is there"), at(name));
            }
        }
        let mut other = long.clone();
        other[BLOCK + 9] = b'y';
        // A link is as long as the name of what it leads to.
        let to = dir.0.join("to");
        let linked = vec![b'x'; to.as_os_str().len()];
        fs::write(&to, &linked).expect("written");
        symlink(&to, dir.0.join("link")).expect("a link");
        let others = [("sub/long", &other[..]), ("sub/long", &long[1..]), ("link", &linked)];
        for (name, bytes) in others {
            assert!(matches!(come(&mut folders, with(name), bytes), Stored::Not(_)), "{name}");
        }
        assert_eq!(fs::read(dir.0.join("sub/long")).expect("it is there"), long);
        assert_eq!(dir.list(), ["a", "empty", "link", "sub", "to"]);
    }

    #[test]
    fn so_is_the_last_part_of_what_came_in_parts() {
        let dir = Dir::new("last");
        let mut folders = dir.folders();
        let at = Stored::At(dir.0.join("sub/a"));
        assert_eq!(come(&mut folders, part(1, 2, "sub/a"), b"one."), Stored::Part);
        for _ in 0..3 {
            assert_eq!(come(&mut folders, part(2, 2, "sub/a"), b"two."), at);
        }
        assert_eq!(dir.list(), ["sub"], "no part is left of them");
        // Another file of that name, which was taken away.
        fs::remove_file(dir.0.join("sub/a")).expect("it is there");
        assert_eq!(come(&mut folders, part(1, 2, "sub/a"), b"three."), Stored::Part);
        assert_eq!(come(&mut folders, part(2, 2, "sub/a"), b"four."), at);
        assert_eq!(fs::read(dir.0.join("sub/a")).expect("it is there"), b"three.four.");
        // One that may not be, so its last part is none of one that is there.
        assert_eq!(come(&mut folders, part(1, 2, "sub/a"), b"five."), Stored::Part);
        assert!(matches!(come(&mut folders, part(2, 2, "sub/a"), b"six."), Stored::Not(_)));
        assert_eq!(come(&mut folders, part(2, 2, "sub/a"), b"six."), Stored::Part);
    }

    #[test]
    fn parts_wait_while_the_next_is_coming() {
        let dir = Dir::new("waits");
        let mut folders = dir.folders();
        come(&mut folders, part(1, 2, "a"), b"one");
        let late = Now { mono: folders.deadline().0, wall: 0 };
        let mut spool = folders.begin(part(2, 2, "a"), 3);
        assert_eq!(folders.deadline(), Deadline::NEVER);
        folders.on_time(late);
        spool.put(b"two");
        let stored = folders.end(late, spool, false).expect("stored");
        assert_eq!(stored, Stored::At(dir.0.join("a")));
        come(&mut folders, part(1, 2, "b"), b"one");
        drop(folders.begin(part(2, 2, "b"), 3));
        folders.on_time(late);
        assert_eq!(dir.list(), ["a"], "what came is gone, and so is who waited for it");
    }

    #[test]
    fn folders_are_made_with_those_above() {
        let dir = Dir::new("made");
        for _ in 0..2 {
            make(&dir.0.join("a/b/c")).expect("made");
            assert!(dir.0.join("a/b/c").is_dir());
        }
        fs::write(dir.0.join("file"), "x").expect("written");
        assert!(make(&dir.0.join("file/a")).is_err());
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
        symlink(&other.0, dir.0.join("link")).expect("a link");
        symlink(other.0.join("b"), dir.0.join("b")).expect("a link");
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
        let made = Folders::new(nowhere, &from, Mine::default());
        assert!(matches!(made, Err(Error::File(_))));
    }

    #[test]
    fn parts_are_joined_by_their_numbers_and_given_up_in_time() {
        let dir = Dir::new("parts");
        let mut folders = dir.folders();
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
