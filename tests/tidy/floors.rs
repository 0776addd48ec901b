//! Rules about who may know whom: floors, neighbours, and the world outside.

use super::source::{Source, is_word};
use super::tree::{Tree, Violation, violation};

/// A floor, and the room on it. Rooms of one floor do not know each other.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Room {
    floor: u8,
    name: String,
}

/// The first line of every file says its floor, and says it right.
pub(crate) fn headers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.files.iter().filter(|(p, _)| is_source(p)) {
        let Some(room) = room_of(&modules_of(path), tree) else {
            found.push(violation(path, 1, "stands on no floor; see the floors in the manual"));
            continue;
        };
        let wanted = format!("//! Floor {}. ", room.floor);
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with(&wanted) {
            found.push(violation(path, 1, format!("the first line must begin `{wanted}`")));
        }
    }
    found
}

/// Imports only go down, and never sideways.
pub(crate) fn imports(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.src() {
        let Some(here) = room_of(&modules_of(source.path), tree) else {
            continue;
        };
        for (i, target) in targets(&source) {
            let Some(there) = room_of(&target, tree) else {
                continue;
            };
            let testing = there.name == "testing" && source.tokens[i].test;
            if testing || allowed(&here, &there) {
                continue;
            }
            let line = source.line(source.tokens[i].at);
            let text = format!(
                "{} (floor {}) may not know {} (floor {})",
                here.name, here.floor, there.name, there.floor
            );
            found.push(violation(source.path, line, text));
        }
    }
    found
}

/// Only floors 5 and 6 touch the world; the fake world in `testing/` does not.
pub(crate) fn world(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.src() {
        let room = room_of(&modules_of(source.path), tree);
        if room.is_some_and(|r| r.floor >= 5 && r.name != "testing") {
            continue;
        }
        let mut say = |i: usize, what: &str| {
            let line = source.line(source.tokens[i].at);
            found.push(violation(source.path, line, format!("touches the world: {what}")));
        };
        for (i, path) in paths(&source, &["std"]) {
            let name = path.join("::");
            if WORLD.iter().any(|w| name == *w || name.starts_with(&format!("{w}::"))) {
                say(i, &name);
            }
        }
        for i in 0..source.tokens.len() {
            let text = source.text(i);
            let outside = source.text(i + 1) == "::" && !matches!(source.text(i.max(1) - 1), "::");
            let used = outside || (i > 0 && source.text(i - 1) == "use");
            if CLOCKS.contains(&text) || (CRATES.contains(&text) && used) {
                say(i, text);
            }
        }
    }
    found
}

const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::thread",
    "std::env",
    "std::process",
    "std::sync::mpsc",
];
const CLOCKS: &[&str] = &["Instant", "SystemTime"];
const CRATES: &[&str] =
    &["mio", "memmap2", "libc", "crossbeam", "crossbeam_channel", "bcrypt", "getrandom", "clap"];

fn is_source(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs")
}

fn allowed(here: &Room, there: &Room) -> bool {
    // The files beside the protocol folders are their common staircase.
    let stairs = here.floor == 3 && (stairs(here, there) || stairs(there, here));
    here.floor > there.floor || here == there || stairs
}

fn stairs(stair: &Room, room: &Room) -> bool {
    stair.name == "proto" && room.name.starts_with("proto/")
}

/// The path of a module from the root of the crate: `src/hub/group.rs` is `hub`, `group`.
fn modules_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod")) {
        names.pop();
    }
    match names.as_slice() {
        [one] if one == "lib" => Vec::new(),
        _ => names,
    }
}

fn room_of(modules: &[String], tree: &Tree) -> Option<Room> {
    let Some(top) = modules.first() else {
        return Some(Room { floor: 6, name: "street".to_owned() });
    };
    let (floor, name) = match top.as_str() {
        "base" => (0, "base"),
        "topic" | "journal" | "value" | "link" => (1, top.as_str()),
        "hub" => (2, "hub"),
        "proto" => return Some(proto_room(modules, tree)),
        "access" => (3, "access"),
        "engine" => (4, "engine"),
        "os" | "client" | "testing" => (5, top.as_str()),
        "main" | "broker" | "config" | "cli" | "manual" => (6, "street"),
        // An item at the root of the crate belongs to the street; a folder must have a floor.
        other if !is_module(other, tree) => (6, "street"),
        _ => return None,
    };
    Some(Room { floor, name: name.to_owned() })
}

fn proto_room(modules: &[String], tree: &Tree) -> Room {
    let name = match modules.get(1) {
        Some(name) if tree.folders_in("src/proto").contains(&name.as_str()) => {
            format!("proto/{name}")
        }
        _ => "proto".to_owned(),
    };
    Room { floor: 3, name }
}

fn is_module(name: &str, tree: &Tree) -> bool {
    tree.has(&format!("src/{name}.rs")) || tree.folders_in("src").contains(&name)
}

/// Every path into this crate, as modules and items from its root.
fn targets(source: &Source<'_>) -> Vec<(usize, Vec<String>)> {
    let inline = source.inline_modules();
    let mut found = Vec::new();
    for (i, path) in paths(source, &["crate", "spindle", "self", "super"]) {
        // A macro is exported at the root wherever it is written; its text obeys its own file.
        let mut here = modules_of(source.path);
        here.extend(
            inline.iter().filter(|(_, a, b)| (*a..=*b).contains(&i)).map(|m| m.0.to_owned()),
        );
        for word in path {
            match word {
                "crate" | "spindle" => here.clear(),
                "self" => {}
                "super" => {
                    here.pop();
                }
                _ => here.push(word.to_owned()),
            }
        }
        found.push((i, here));
    }
    found
}

/// Every path that begins with one of `roots`, groups taken apart: the token it begins or (in a
/// group) ends with, and its words.
fn paths<'a>(source: &Source<'a>, roots: &[&str]) -> Vec<(usize, Vec<&'a str>)> {
    let mut found = Vec::new();
    for i in 0..source.tokens.len() {
        let begins = i == 0 || !matches!(source.text(i - 1), "::" | ".");
        if begins && roots.contains(&source.text(i)) && source.text(i + 1) == "::" {
            path_from(source, i, &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Follow one path from token `i`; returns the token after it.
fn path_from<'a>(
    source: &Source<'a>,
    mut i: usize,
    prefix: &mut Vec<&'a str>,
    found: &mut Vec<(usize, Vec<&'a str>)>,
) -> usize {
    let depth = prefix.len();
    loop {
        let word = source.text(i);
        if word == "{" {
            let close = source.closing(i);
            i += 1;
            while i < close {
                i = path_from(source, i, prefix, found);
                while i < close && source.text(i) != "," {
                    i += 1;
                }
                i += 1;
            }
            prefix.truncate(depth);
            return close + 1;
        }
        if !is_word(word) && word != "*" {
            break;
        }
        prefix.push(word);
        i += 1;
        if source.text(i) != "::" {
            break;
        }
        i += 1;
    }
    let is_macro = source.text(i) == "!" && prefix.len() == 2;
    if !is_macro {
        found.push((i - 1, prefix.clone()));
    }
    prefix.truncate(depth);
    i
}
