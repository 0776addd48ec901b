//! Rules about the text of one file: budgets, leftovers, forbidden words and calls.

use super::source::Source;
use super::tree::{Tree, Violation, violation};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// A file one can keep in one's head.
pub(crate) fn file_budget(tree: &Tree) -> Vec<Violation> {
    rust_files(tree)
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, n)| violation(path, n, format!("{n} lines, {FILE_LINES_MAX} are allowed")))
        .collect()
}

/// A function one can see at once.
pub(crate) fn function_budget(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.rust() {
        for (name, first, last) in source.functions() {
            let line = source.line(source.tokens[first].at);
            let lines = 1 + source.line(source.tokens[last].at) - line;
            if lines > FUNCTION_LINES_MAX {
                let text = format!("fn {name}: {lines} lines, {FUNCTION_LINES_MAX} are allowed");
                found.push(violation(source.path, line, text));
            }
        }
    }
    found
}

/// A line that fits; an address cannot be broken and may be longer.
pub(crate) fn columns(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in rust_files(tree) {
        for (n, line) in text.lines().enumerate() {
            let wide = line.chars().count();
            if wide > COLUMNS_MAX && !line.contains("://") {
                found.push(violation(path, n + 1, format!("{wide} columns")));
            }
        }
    }
    found
}

/// Nothing that its author meant to come back to. Written in halves, so as not to find itself.
pub(crate) fn leftovers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in rust_files(tree) {
        for (n, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if let Some(word) = words.find(|w| NOTES.contains(w)) {
                found.push(violation(path, n + 1, format!("left over: {word}")));
            }
        }
    }
    for source in tree.rust() {
        for i in 0..source.tokens.len() {
            if UNFINISHED.contains(&source.text(i)) && source.text(i + 1) == "!" {
                let line = source.line(source.tokens[i].at);
                let text = format!("left over: {}!", source.text(i));
                found.push(violation(source.path, line, text));
            }
        }
    }
    found
}

const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const UNFINISHED: &[&str] = &["dbg", "unimplemented", concat!("to", "do")];

/// No panic on a path that a peer, a disk or a user can reach. Where one states what the program
/// itself guarantees, `// PANIC:` on the line or right above it says why it cannot happen.
pub(crate) fn panics(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.src() {
        let street = ["main.rs", "lib.rs", "broker.rs", "config", "cli", "manual", "testing/"];
        if street.iter().any(|s| source.path["src/".len()..].starts_with(s)) {
            continue;
        }
        let lines: Vec<&str> = source.raw.lines().collect();
        for i in (0..source.tokens.len()).filter(|i| !source.tokens[*i].test) {
            let Some(call) = panicking(&source, i) else {
                continue;
            };
            let line = source.line(source.tokens[i].at);
            if !has_reason(&lines, line, "// PANIC:") {
                let text = format!("{call} without a `// PANIC:` reason");
                found.push(violation(source.path, line, text));
            }
        }
    }
    found
}

fn panicking(source: &Source<'_>, i: usize) -> Option<&'static str> {
    if source.reads(i, &[".", "unwrap", "(", ")"]) {
        Some(".unwrap()")
    } else if source.reads(i, &[".", "expect", "("]) {
        Some(".expect(..)")
    } else if source.reads(i, &["panic", "!"]) {
        Some("panic!")
    } else if source.reads(i, &["unreachable", "!"]) {
        Some("unreachable!")
    } else {
        None
    }
}

/// Does `line` (from 1), or the comment that ends right above it, hold `mark`?
fn has_reason(lines: &[&str], line: usize, mark: &str) -> bool {
    let above = lines[..line - 1].iter().rev().take_while(|l| l.trim_start().starts_with("//"));
    lines[line - 1].contains(mark) || above.into_iter().any(|l| l.contains(mark))
}

/// Memory is safe by construction but for the two files that speak to the system; and benches
/// count allocations, which has no safe name.
pub(crate) fn unsafe_rooms(tree: &Tree) -> Vec<Violation> {
    let open = ["src/os/mmap.rs", "src/os/sys.rs", "benches/support/alloc.rs"];
    words(tree, |source, i| {
        let named = source.text(i) == "unsafe" && !open.contains(&source.path);
        named.then(|| "unsafe outside os/mmap.rs and os/sys.rs".to_owned())
    })
}

/// Ownership is plain: no shared cells, no locks below the street, no async.
pub(crate) fn plain_ownership(tree: &Tree) -> Vec<Violation> {
    words(tree, |source, i| {
        let street = [
            "src/os/",
            "src/client/",
            "src/testing/",
            "src/broker.rs",
            "src/cli",
            "src/main.rs",
            "tests/",
        ];
        // A fake disk is shared with the test that looks behind it.
        let fake = source.tokens[i].test;
        let below = !fake && !street.iter().any(|s| source.path.starts_with(s));
        if source.reads(i, &["Rc", "<", "RefCell"]) {
            Some("Rc<RefCell<_>>: give it one owner".to_owned())
        } else if source.reads(i, &["Arc", "<", "Mutex"]) && below {
            Some("Arc<Mutex<_>> below floor 5: nobody there has a second thread".to_owned())
        } else if !source.path.starts_with("tests/interop/")
            && (source.text(i) == "async" || source.reads(i, &[".", "await"]))
        {
            // Libraries of others are driven as they want to be.
            Some("async: the turn is the only scheduler".to_owned())
        } else {
            None
        }
    })
}

/// Names say what a thing is or does.
pub(crate) fn names(tree: &Tree) -> Vec<Violation> {
    words(tree, |source, i| {
        let name = source.text(i + 1);
        let kind = matches!(source.text(i), "struct" | "enum" | "trait");
        let weak = WEAK_NAMES.iter().find(|w| kind && name.ends_with(**w));
        if let Some(weak) = weak {
            return Some(format!("{name}: a {weak} of what? name what it is"));
        }
        let getter = source.text(i) == "fn" && name.starts_with("get_") && name != "get_mut";
        getter.then(|| format!("{name}: a getter is called like what it gets"))
    })
}

const WEAK_NAMES: &[&str] = &["Manager", "Handler", "Helper", "Util", "Utils", "Context"];

/// The project speaks of itself alone: no path of the machine it was written on.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in &tree.files {
        for (n, line) in text.lines().enumerate() {
            if let Some(word) = MACHINE.iter().find(|w| line.contains(**w)) {
                found.push(violation(path, n + 1, format!("names a path of a machine: {word}")));
            }
        }
    }
    found
}

const MACHINE: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/wt"), concat!("/tm", "p/t-")];

fn rust_files(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let files = tree.files.iter().map(|(p, t)| (p.as_str(), t.as_str()));
    files.filter(|(p, _)| p.ends_with(".rs"))
}

/// Ask `wrong` about every token of every Rust file.
fn words(tree: &Tree, wrong: impl Fn(&Source<'_>, usize) -> Option<String>) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.rust() {
        for i in 0..source.tokens.len() {
            if let Some(text) = wrong(&source, i) {
                found.push(violation(source.path, source.line(source.tokens[i].at), text));
            }
        }
    }
    found
}
