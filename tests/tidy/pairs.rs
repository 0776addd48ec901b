//! Rules about what must come in pairs: a file and who declares it, a protocol and its rooms, a
//! fault and its script, a fuzz target and its corpus, a counter and its line in the manual.

use super::source::{Source, is_word};
use super::tree::{Tree, Violation, violation};

/// Every file under `src/` is reached from `lib.rs` or `main.rs`.
pub(crate) fn dead_files(tree: &Tree) -> Vec<Violation> {
    let mut open = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    let mut reached = Vec::new();
    while let Some(path) = open.pop() {
        let Some(text) = tree.text(&path) else {
            continue;
        };
        let source = Source::new(&path, text);
        for i in 0..source.tokens.len() {
            if source.text(i) == "mod" && source.text(i + 2) == ";" {
                open.extend(source.module_files(i));
            }
        }
        reached.push(path);
    }
    let sources = tree.files.iter().map(|(p, _)| p);
    sources
        .filter(|p| p.starts_with("src/") && p.ends_with(".rs") && !reached.contains(p))
        .map(|p| violation(p, 1, "dead file: no `mod` leads here"))
        .collect()
}

/// Knowing one protocol folder is knowing all: the same rooms in each.
pub(crate) fn rooms(tree: &Tree) -> Vec<Violation> {
    let all = ["mod", "packet", "decode", "encode", "peer", "dialect", "fault"];
    let mut found = Vec::new();
    for protocol in tree.folders_in("src/proto") {
        let needed = all.iter().filter(|room| match protocol {
            // The relay and the admin interface have no topics; embedders have no bytes.
            "foo" | "http" => **room != "dialect",
            "local" => matches!(**room, "mod" | "peer"),
            _ => true,
        });
        for room in needed {
            let path = format!("src/proto/{protocol}/{room}.rs");
            if !tree.has(&path) {
                found.push(violation(&path, 1, "a room of this protocol is missing"));
            }
        }
    }
    found
}

/// Every way to break a rule is broken in a test: named in the header of a wire script or as the
/// reason of a hang-up (`a! Name`) in one, or as `FaultKind::Name` in a unit test.
pub(crate) fn faults(tree: &Tree) -> Vec<Violation> {
    let path = "src/proto/fault.rs";
    let Some(text) = tree.text(path) else {
        return Vec::new();
    };
    let source = Source::new(path, text);
    let scripts = tree.files.iter();
    let scripts = scripts.filter(|(p, _)| p.starts_with("tests/wire/") && p.ends_with(".wire"));
    let headers: Vec<&str> =
        scripts.clone().flat_map(|(_, t)| t.lines().take_while(|l| l.starts_with('#'))).collect();
    let reasons: Vec<&str> = scripts
        .flat_map(|(_, t)| t.lines().filter(|l| !l.starts_with('#')))
        .flat_map(|line| line.split(" ; "))
        .filter_map(|statement| Some(statement.split_once("! ")?.1.trim()))
        .collect();
    let mut tested = Vec::new();
    for file in tree.rust().filter(|s| !s.path.starts_with("tests/tidy")) {
        let outside = !file.path.starts_with("src/");
        for i in 0..file.tokens.len() {
            let counts = outside || file.tokens[i].test;
            if counts && file.reads(i, &["FaultKind", "::"]) {
                tested.push(file.text(i + 2).to_owned());
            }
        }
    }
    variants(&source)
        .into_iter()
        .filter(|(name, _)| !tested.iter().any(|t| t == name))
        .filter(|(name, _)| !headers.iter().any(|h| has_word(h, name)) && !reasons.contains(name))
        .map(|(name, line)| {
            violation(path, line, format!("FaultKind::{name} is broken by no script and no test"))
        })
        .collect()
}

/// Names and lines of the variants of `enum FaultKind`, or of the table that a macro makes it
/// from: there, the words that begin a row.
fn variants<'a>(source: &Source<'a>) -> Vec<(&'a str, usize)> {
    let n = source.tokens.len();
    let Some(at) = (0..n).find(|i| source.reads(*i, &["enum", "FaultKind", "{"])) else {
        return Vec::new();
    };
    let mut body = (at + 2, source.closing(at + 2));
    if source.text(body.0 + 1) == "$" {
        let is_call = |i: &usize| source.text(i + 1) == "!" && source.text(i + 2) == "{";
        let Some(call) = (body.1..n).find(is_call) else {
            return Vec::new();
        };
        body = (call + 2, source.closing(call + 2));
    }
    first_words(source, body.0, body.1)
}

/// The word that begins each row between two brackets, attributes skipped. Rows end with `;` if
/// any does, so that they may hold commas; else with `,`.
fn first_words<'a>(source: &Source<'a>, open: usize, close: usize) -> Vec<(&'a str, usize)> {
    let (mut rows, mut cells) = (vec![open], vec![open]);
    let mut i = open + 1;
    while i < close {
        match source.text(i) {
            "(" | "{" | "[" => i = source.closing(i),
            ";" => rows.push(i),
            "," => cells.push(i),
            _ => {}
        }
        i += 1;
    }
    let mut found = Vec::new();
    for start in if rows.len() > 1 { rows } else { cells } {
        let mut i = start + 1;
        while source.reads(i, &["#", "["]) {
            i = source.closing(i + 1) + 1;
        }
        if i < close && is_word(source.text(i)) {
            found.push((source.text(i), source.line(source.tokens[i].at)));
        }
    }
    found
}

/// Every fuzz target starts from seeds, is built, and no corpus is left without its target.
pub(crate) fn corpora(tree: &Tree) -> Vec<Violation> {
    let manifest = tree.text("fuzz/Cargo.toml").unwrap_or_default();
    let mut targets = Vec::new();
    let mut found = Vec::new();
    for (path, _) in &tree.files {
        let name = path.strip_prefix("fuzz/fuzz_targets/").and_then(|p| p.strip_suffix(".rs"));
        let Some(name) = name else { continue };
        targets.push(name);
        let corpus = format!("fuzz/corpus/{name}/");
        if !tree.files.iter().any(|(p, _)| p.starts_with(&corpus)) {
            found.push(violation(path, 1, format!("no seed in {corpus}")));
        }
        if !manifest.contains(&format!("name = \"{name}\"")) {
            found.push(violation(path, 1, "not named in fuzz/Cargo.toml"));
        }
    }
    for name in tree.folders_in("fuzz/corpus") {
        if !targets.contains(&name) {
            let path = format!("fuzz/corpus/{name}");
            found.push(violation(&path, 1, "a corpus without a target"));
        }
    }
    found
}

/// Every counter is explained to whoever runs the broker.
pub(crate) fn counters(tree: &Tree) -> Vec<Violation> {
    let path = "src/base/stats.rs";
    let Some(text) = tree.text(path) else {
        return Vec::new();
    };
    let source = Source::new(path, text);
    let manual = tree.text("src/manual/metrics.md").unwrap_or_default();
    let mut found = Vec::new();
    let n = source.tokens.len();
    for i in (0..n).filter(|i| source.reads(*i, &["counters", "!", "{"])) {
        let (first, last) = (source.tokens[i].at, source.tokens[source.closing(i + 2)].at);
        for (at, label) in source.strings.iter().filter(|(at, _)| (first..last).contains(at)) {
            if !has_word(manual, label) {
                let text = format!("counter {label} is not in src/manual/metrics.md");
                found.push(violation(path, source.line(*at), text));
            }
        }
    }
    found
}

/// Every guard names a test that falls when the guard is taken out, and that test exists. The
/// tests stand in the last cell of a row, between backticks.
pub(crate) fn guards(tree: &Tree) -> Vec<Violation> {
    rows_name_tests(tree, "tests/GUARDS.md", "a guard")
}

/// Every promise of the manual names what shows it: tests, or drivers of `tests/faults.rs`.
pub(crate) fn promises(tree: &Tree) -> Vec<Violation> {
    let mut found = rows_name_tests(tree, "src/manual/guarantees.md", "a promise");
    found.extend(rows_name_tests(tree, "SECURITY.md", "a threat"));
    found
}

fn rows_name_tests(tree: &Tree, path: &str, what: &str) -> Vec<Violation> {
    let Some(text) = tree.text(path) else {
        return Vec::new();
    };
    let sources: Vec<Source<'_>> = tree.rust().collect();
    let mut tests: Vec<&str> = sources.iter().flat_map(Source::test_names).collect();
    tests.extend(sources.iter().filter(|it| it.path == "tests/faults.rs").flat_map(drivers));
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let Some(row) = line.trim().strip_prefix('|').and_then(|l| l.strip_suffix('|')) else {
            continue;
        };
        let is_rule = row.chars().all(|c| matches!(c, '-' | ':' | '|' | ' '));
        let is_head = text.lines().nth(n + 1).is_some_and(|next| next.starts_with("|-"));
        if is_rule || is_head {
            continue;
        }
        let cell = row.rsplit('|').next().unwrap_or_default();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            found.push(violation(path, n + 1, format!("{what} without a test")));
        }
        for name in named {
            let short = name.rsplit("::").next().unwrap_or(name);
            if !tests.contains(&short) {
                found.push(violation(path, n + 1, format!("no test is called {short}")));
            }
        }
    }
    found
}

/// Names in a table of drivers.
fn drivers<'a>(source: &'a Source<'_>) -> Vec<&'a str> {
    let head = ["Driver", "::", "new", "("];
    let heads = (0..source.tokens.len()).filter(|i| source.reads(*i, &head));
    let named = heads.filter_map(|i| {
        let at = source.tokens[i + head.len() - 1].at;
        source.strings.iter().find(|(place, _)| *place > at).map(|(_, name)| *name)
    });
    named.collect()
}

/// Every public module has its place in the tour of the manual.
pub(crate) fn tour(tree: &Tree) -> Vec<Violation> {
    let (Some(text), Some(manual)) =
        (tree.text("src/lib.rs"), tree.text("src/manual/architecture.md"))
    else {
        return Vec::new();
    };
    let source = Source::new("src/lib.rs", text);
    (0..source.tokens.len())
        .filter(|i| source.reads(*i, &["pub", "mod"]))
        .map(|i| (i, source.text(i + 2)))
        .filter(|(_, name)| !has_word(manual, name))
        .map(|(i, name)| {
            let line = source.line(source.tokens[i].at);
            violation("src/lib.rs", line, format!("{name} is missing in the manual's tour"))
        })
        .collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == word)
}
