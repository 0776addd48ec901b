//! The statements of the standards, the scripts that show them, and the chapter that lists both.
//!
//! `tests/wire/<folder>/CLAUSES` has a line for every statement: number, whom it binds, what it
//! says, and, if no script can show it, why. Scripts are named by the number they show. The
//! chapter is made of the two, so it is compared with what would be made now. Absent on purpose:
//! whether a script shows what it says; that is for who reads it.

use super::tree::{Tree, Violation, violation};

/// The chapter.
pub(crate) const CHAPTER: &str = "src/manual/mqtt_clauses.md";

/// A folder of scripts, the heading of its table, and how the heads of its scripts begin.
const LISTS: [(&str, &str, &str); 3] = [
    ("mqtt3", "MQTT 3.1.1", "# [MQTT-"),
    ("mqtt5", "MQTT 5.0", "# [MQTT5-"),
    ("mqtt-bad", "Bad input", "# [bad "),
];

/// A line of a list.
struct Clause<'a> {
    line: usize,
    number: &'a str,
    cells: Vec<&'a str>,
    why_not: Option<&'a str>,
}

/// Every statement has scripts or a reason, every script a statement, and the chapter says so.
pub(crate) fn table(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (folder, _, head) in LISTS {
        let path = format!("tests/wire/{folder}/CLAUSES");
        let Some(text) = tree.text(&path) else { continue };
        let clauses = clauses(text);
        counted(&path, text, clauses.len(), &mut found);
        for clause in &clauses {
            let shown = !scripts(tree, folder, clause.number).is_empty();
            let text = match (shown, clause.why_not.is_some()) {
                (true, true) => "has a script and a reason to have none",
                (false, false) => "has neither a script nor a reason to have none",
                _ => continue,
            };
            found.push(violation(&path, clause.line, format!("{} {text}", clause.number)));
        }
        for (script, text) in folder_of(tree, folder) {
            let number = number_of(script);
            let says = text.strip_prefix(head).and_then(|rest| rest.split(']').next());
            if says != Some(number) {
                found.push(violation(script, 1, format!("named {number}, and says {says:?}")));
            } else if !clauses.iter().any(|clause| clause.number == number) {
                found.push(violation(script, 1, format!("no statement is called {number}")));
            }
        }
    }
    if let Some(chapter) = tree.text(CHAPTER) {
        let now = chapter_of(tree);
        let differ = |(a, b): (&str, &str)| a != b;
        let same = now.lines().count().min(chapter.lines().count());
        let at = now.lines().zip(chapter.lines()).position(differ).unwrap_or(same);
        if now != chapter {
            let text = "not what the scripts make of it: `cargo test --test tidy -- --ignored`";
            found.push(violation(CHAPTER, at + 1, text));
        }
    }
    found
}

/// A list says in its head how long it is.
fn counted(path: &str, text: &str, len: usize, found: &mut Vec<Violation>) {
    let head = text.lines().take_while(|line| line.starts_with('#'));
    let said = head.flat_map(str::split_whitespace).filter_map(|word| word.parse().ok()).last();
    if said != Some(len) {
        found.push(violation(path, 1, format!("{len} statements, and its head says {said:?}")));
    }
}

/// The chapter, as the lists and scripts make it.
pub(crate) fn chapter_of(tree: &Tree) -> String {
    let mut out = INTRODUCTION.to_owned();
    for (folder, title, _) in LISTS {
        let text = tree.text(&format!("tests/wire/{folder}/CLAUSES")).unwrap_or_default();
        let clauses = clauses(text);
        let shown = clauses.iter().filter(|c| c.why_not.is_none()).count();
        let files = folder_of(tree, folder).count();
        out += &format!("\n## {title}\n\n");
        out += &format!("{} rows, {shown} of them shown by {files} scripts.\n\n", clauses.len());
        let columns = clauses.first().map_or(2, |clause| clause.cells.len() + 1);
        out += &format!("| {} | shown by |\n", ["number", "binds", "says"][..columns].join(" | "));
        out += &format!("|{}\n", "---|".repeat(columns + 1));
        for clause in &clauses {
            let scripts = scripts(tree, folder, clause.number);
            let names: Vec<String> = scripts.iter().map(|name| format!("`{name}`")).collect();
            let shown = clause.why_not.map_or_else(|| names.join(", "), |why| format!("— {why}"));
            out += &format!("| {} | {} | {shown} |\n", clause.number, clause.cells.join(" | "));
        }
    }
    out
}

const INTRODUCTION: &str = "\
# MQTT, statement by statement

Every numbered statement of MQTT 3.1.1 and 5.0, in our own words, and what shows that the broker
keeps it: scripts under `tests/wire/`, each of which begins with the number in its name. Statements
bind clients (C), servers (S) or both (B). What binds clients is shown by the answer to one that
does not keep it, where there is one. A dash stands before the reason why a row has no script.

Beside the statement a script is about, each checks everything else it hears: reserved bits,
lengths, places and numbers of properties, reason codes and text of every packet that the broker
sends are held against the tables of the standard (`testing::heard_mqtt`).

This chapter is made of the lists (`tests/wire/*/CLAUSES`) and the names of the scripts, and
compared with them by `tests/tidy.rs`. To make it anew:

```text
cargo test --test tidy -- --ignored
```
";

fn clauses(text: &str) -> Vec<Clause<'_>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines
        .map(|(n, line)| {
            let mut cells = line.split(" | ").map(str::trim);
            let number = cells.next().unwrap_or_default();
            let mut cells: Vec<&str> = cells.collect();
            let binds = usize::from(cells.first().is_some_and(|cell| cell.len() == 1));
            let why_not = (cells.len() > binds + 1).then(|| cells.remove(binds + 1));
            Clause { line: n + 1, number, cells, why_not }
        })
        .collect()
}

fn folder_of<'a>(tree: &'a Tree, folder: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let folder = format!("tests/wire/{folder}/");
    let files = tree.files.iter().filter(move |(path, _)| path.starts_with(&folder));
    let files = files.map(|(path, text)| (path.as_str(), text.as_str()));
    files.filter(|(path, _)| path.ends_with(".wire"))
}

/// The number that a script's name begins with: all before the first word.
fn number_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let begins_word = |at: &usize| {
        let rest = &name.as_bytes()[*at..];
        rest[0] == b'-' && rest.get(1).is_some_and(u8::is_ascii_lowercase)
    };
    let end = (0..name.len()).find(begins_word).unwrap_or(name.len());
    &name[..end]
}

fn scripts<'a>(tree: &'a Tree, folder: &str, number: &str) -> Vec<&'a str> {
    let own = folder_of(tree, folder).filter(|(path, _)| number_of(path) == number);
    let name = |path: &'a str| path.rsplit('/').next().unwrap_or(path).trim_end_matches(".wire");
    own.map(|(path, _)| name(path)).collect()
}
