//! Floor 6. What is typed in a chat: something to say, or with a mark in front something to do.
//!
//! Absent on purpose: doing it, but for what is done with files that have come.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::zip::{self, Most};
use crate::proto::aio::file::Place;

/// What a line of input wants.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Line<'a> {
    Say(&'a str),
    Upload(&'a str),
    /// Copy a file that has come to the current folder.
    Import(&'a str),
    /// Unpack one that has come, to the current folder.
    Unpack(&'a str),
    /// Unpack one where it lies.
    UnpackThere(&'a str),
    Run(&'a str),
    Exit,
}

impl<'a> Line<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let Some(command) = text.strip_prefix('!').map(str::trim) else { return Self::Say(text) };
        match command.split_once(' ').map(|(word, rest)| (word, rest.trim())) {
            Some(("upload", path)) => Self::Upload(path),
            Some(("import", name)) => Self::Import(name),
            Some(("zimport", name)) => Self::Unpack(name),
            Some(("dezip", name)) => Self::UnpackThere(name),
            None if command == "exit" => Self::Exit,
            _ => Self::Run(command),
        }
    }
}

/// Copy what has come under this name, and say where to.
pub(super) fn import(folder: &Path, name: &str, to: &Path) -> Result<PathBuf, String> {
    let (from, name) = came(folder, name)?;
    let to = to.join(name);
    let copied = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&to)?;
        io::copy(&mut File::open(&from)?, &mut file).map(drop)
    };
    copied().map_err(|e| format!("{}: {e}", to.display()))?;
    Ok(to)
}

/// Unpack what has come under this name to a folder that is called as it is without `.zip`, and say
/// where that is.
pub(super) fn unpack(folder: &Path, name: &str, to: &Path, most: u64) -> Result<PathBuf, String> {
    let (from, name) = came(folder, name)?;
    let stem = name.strip_suffix(".zip").filter(|stem| !stem.is_empty());
    let to = to.join(stem.ok_or("its name does not end with .zip")?);
    let most = Most { bytes: most, entries: ENTRIES_MAX };
    zip::unpack(&from, &to, most).map_err(|why| format!("{}: {why}", from.display()))?;
    Ok(to)
}

/// Where it lies and what it is called at last: a name that stays below the folder.
fn came<'a>(folder: &Path, name: &'a str) -> Result<(PathBuf, &'a str), String> {
    let place = Place::new(&name.into()).ok_or("a name that leads somewhere else")?;
    let mut path = folder.to_owned();
    path.extend(place.parts());
    let found = path.symlink_metadata().map_err(|e| format!("{}: {e}", path.display()))?;
    if !found.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    Ok((path, name.rsplit('/').next().unwrap_or(name)))
}

/// Files and folders that may come out of an archive.
const ENTRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_is_said_unless_it_begins_with_a_mark() {
        assert_eq!(Line::of("hello !exit"), Line::Say("hello !exit"));
        assert_eq!(Line::of("!exit"), Line::Exit);
        assert_eq!(Line::of("!upload  a b"), Line::Upload("a b"));
        assert_eq!(Line::of("!import a"), Line::Import("a"));
        assert_eq!(Line::of("!zimport a.zip"), Line::Unpack("a.zip"));
        assert_eq!(Line::of("!dezip a.zip"), Line::UnpackThere("a.zip"));
        assert_eq!(Line::of("!ls -l"), Line::Run("ls -l"));
        assert_eq!(Line::of("!upload"), Line::Run("upload"));
        assert_eq!(Line::of("!exit 1"), Line::Run("exit 1"));
    }

    #[test]
    fn what_has_come_is_copied_and_unpacked_once_and_from_nowhere_else() {
        let name = format!("spindle-line-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let (came, own) = (dir.join("came"), dir.join("own"));
        fs::create_dir_all(came.join("sub")).expect("folders");
        fs::create_dir_all(own.join("things")).expect("folders");
        fs::write(came.join("sub/a"), b"content").expect("written");
        fs::write(own.join("secret"), b"mine").expect("written");
        std::os::unix::fs::symlink(own.join("secret"), came.join("link")).expect("a link");
        assert_eq!(import(&came, "sub/a", &own), Ok(own.join("a")));
        assert_eq!(fs::read(own.join("a")).expect("there"), b"content");
        assert!(import(&came, "sub/a", &own).is_err(), "it is there already");
        let secret = own.join("secret");
        for bad in ["../own/secret", secret.to_str().expect("text"), "link", "sub", "", "b"] {
            assert!(import(&came, bad, &own).is_err(), "{bad}");
        }
        fs::write(own.join("things/b"), b"packed").expect("written");
        let archive = File::create(came.join("t.zip")).expect("a file");
        zip::pack(&own.join("things"), &archive).expect("packed");
        assert_eq!(unpack(&came, "t.zip", &own, 6), Ok(own.join("t")));
        assert_eq!(fs::read(own.join("t/b")).expect("there"), b"packed");
        assert!(unpack(&came, "t.zip", &own, 6).is_err(), "it is there already");
        assert!(unpack(&came, "t.zip", &came, 5).is_err(), "more than may come out");
        assert!(unpack(&came, "sub/a", &own, 6).is_err(), "no archive");
        fs::remove_dir_all(dir).expect("gone");
    }
}
