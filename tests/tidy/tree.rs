//! The files of the project as data, and what a rule has to say about one of them.
//!
//! Rules see nothing but a `Tree`, so a planted tree of two lines tests them as well as the real
//! one. Only `Tree::load` touches the disk.

use super::source::Source;
use std::fmt;
use std::path::Path;

/// Path (from the root of the project, with `/`) and text of every file.
pub(crate) struct Tree {
    pub(crate) files: Vec<(String, String)>,
    /// Files compiled only for tests, because their `mod` is.
    gated: Vec<String>,
}

/// One finding.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

pub(crate) fn violation(file: &str, line: usize, text: impl Into<String>) -> Violation {
    Violation { file: file.to_owned(), line, text: text.into() }
}

impl Tree {
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self::new(files.collect())
    }

    fn new(files: Vec<(String, String)>) -> Self {
        let mut gated = Vec::new();
        for (path, text) in files.iter().filter(|(p, _)| is_rust(p, "src/")) {
            let source = Source::new(path, text);
            let declares = |i: &usize| source.text(*i) == "mod" && source.text(i + 2) == ";";
            for i in (0..source.tokens.len()).filter(declares) {
                if source.tokens[i].test {
                    gated.extend(source.module_files(i));
                }
            }
        }
        Self { files, gated }
    }

    /// Everything a rule may want to read; build output and what fuzzing found are left alone.
    pub(crate) fn load(root: &Path) -> Self {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(root).expect("the project can be read").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // In a second working tree `.git` is a file that names a folder of the machine.
            if entry.path().is_file() && name != ".git" {
                read(&entry.path(), &name, &mut files);
            } else if FOLDERS.contains(&name.as_str()) {
                walk(&entry.path(), &name, &mut files);
            }
        }
        files.sort();
        Self::new(files)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(p, _)| p == path).map(|(_, t)| t.as_str())
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.text(path).is_some()
    }

    /// All Rust files, cut into tokens.
    pub(crate) fn rust(&self) -> impl Iterator<Item = Source<'_>> {
        self.cut("")
    }

    /// The Rust files under `src/`.
    pub(crate) fn src(&self) -> impl Iterator<Item = Source<'_>> {
        self.cut("src/")
    }

    fn cut(&self, folder: &str) -> impl Iterator<Item = Source<'_>> {
        let files = self.files.iter().filter(move |(p, _)| is_rust(p, folder));
        files.map(|(path, text)| {
            let mut source = Source::new(path, text);
            if self.is_gated(path) {
                source.tokens.iter_mut().for_each(|t| t.test = true);
            }
            source
        })
    }

    /// Is this file, or the folder it lies in, compiled only for tests?
    fn is_gated(&self, path: &str) -> bool {
        let of = |gate: &String| gate.strip_suffix("mod.rs").map(|folder| path.starts_with(folder));
        path.ends_with("_test.rs")
            || self.gated.iter().any(|gate| path == gate || of(gate) == Some(true))
    }

    /// The names right under a folder: files without their suffix, and folders.
    pub(crate) fn folders_in(&self, folder: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .files
            .iter()
            .filter_map(|(p, _)| p.strip_prefix(folder)?.strip_prefix('/')?.split_once('/'))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn is_rust(path: &str, folder: &str) -> bool {
    path.starts_with(folder) && path.ends_with(".rs")
}

fn walk(folder: &Path, name: &str, files: &mut Vec<(String, String)>) {
    if SKIPPED.contains(&name) {
        return;
    }
    for entry in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(&entry.path(), &path, files);
        } else {
            read(&entry.path(), &path, files);
        }
    }
}

/// Files that are not text (seeds of the fuzzer) count by their name alone.
fn read(file: &Path, name: &str, files: &mut Vec<(String, String)>) {
    let bytes = std::fs::read(file).expect("the file can be read");
    files.push((name.to_owned(), String::from_utf8(bytes).unwrap_or_default()));
}

const FOLDERS: &[&str] = &["src", "tests", "benches", "examples", "fuzz", ".ci"];
const SKIPPED: &[&str] = &["fuzz/target", "fuzz/artifacts", "fuzz/coverage"];
