//! The chapter that says what spindle does of WAMP: whoever says "yes" names what shows it, and
//! what is named is there.
//!
//! A row is `| what | yes or no | what is done, or why not | what shows it |`. What shows it stands
//! between backticks: a test, a wire scene by the name of its file, or a check with clients of
//! others by its own name. So it is in the chapter of the weaknesses of aioconnectors, whose rows
//! are `| number | what was weak | what is done | what shows it |`, one for each number.

use super::source::Source;
use super::tree::{Tree, Violation, violation};

/// The chapter.
const CHAPTER: &str = "src/manual/wamp_features.md";

/// The chapter of weaknesses, and how many there are.
const WEAKNESSES: &str = "src/manual/aio_weaknesses.md";
const WEAK: usize = 20;

/// Where features have their names.
const ROLES: &str = "src/proto/wamp/roles.rs";

/// Every row of the chapter, and every feature that has a name.
pub(crate) fn chapter(tree: &Tree) -> Vec<Violation> {
    let Some(text) = tree.text(CHAPTER) else { return Vec::new() };
    let shown = shown(tree);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let is_head = lines.get(n + 1).is_some_and(|next| next.starts_with("|-"));
        if !line.starts_with('|') || line.starts_with("|-") || is_head {
            continue;
        }
        found.extend(row(line, &shown).into_iter().map(|why| violation(CHAPTER, n + 1, why)));
    }
    let names = tree.text(ROLES).unwrap_or_default();
    for (n, name) in names.lines().enumerate().filter_map(|(n, line)| Some((n, feature(line)?))) {
        if !lines.iter().any(|line| line.starts_with(&format!("| {name} |"))) {
            found.push(violation(ROLES, n + 1, format!("{name} has no row in {CHAPTER}")));
        }
    }
    found
}

/// Every row of the chapter of weaknesses, and every weakness.
pub(crate) fn weaknesses(tree: &Tree) -> Vec<Violation> {
    let Some(text) = tree.text(WEAKNESSES) else { return Vec::new() };
    let (shown, mut found, mut seen) = (shown(tree), Vec::new(), Vec::new());
    let mut wrong = |n: usize, why: String| found.push(violation(WEAKNESSES, n + 1, why));
    for (n, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Ok(number) = cells.first().copied().unwrap_or_default().parse::<usize>() else {
            continue;
        };
        if seen.last().is_some_and(|last| *last >= number) {
            wrong(n, format!("{number} is not in its place"));
        }
        seen.push(number);
        let [_, what, does, by] = cells[..] else {
            wrong(n, format!("a row has 4 cells, not {}", cells.len()));
            continue;
        };
        let named: Vec<&str> = by.split('`').skip(1).step_by(2).collect();
        if what.is_empty() || does.is_empty() || named.is_empty() {
            wrong(n, format!("nothing shows what is done about {number}"));
        }
        for name in named.iter().filter(|name| !shown.iter().any(|it| it == *name)) {
            wrong(n, format!("nothing is called {name}"));
        }
    }
    let missing = (1..=WEAK).filter(|no| !seen.contains(no));
    missing.for_each(|no| wrong(0, format!("{no} has no row")));
    found
}

/// What is wrong with a row.
fn row(line: &str, shown: &[String]) -> Vec<String> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [what, does, how, by] = cells[..] else {
        return vec![format!("a row has 4 cells, not {}", cells.len())];
    };
    let named: Vec<&str> = by.split('`').skip(1).step_by(2).collect();
    let mut wrong = Vec::new();
    match does {
        "yes" if named.is_empty() => wrong.push(format!("nothing shows that it does: {what}")),
        "no" if how.is_empty() => wrong.push(format!("no reason why not: {what}")),
        "yes" | "no" => {}
        other => wrong.push(format!("neither yes nor no: {other}")),
    }
    let lost = named.iter().filter(|name| !shown.iter().any(|it| it == *name));
    wrong.extend(lost.map(|name| format!("nothing is called {name}")));
    wrong
}

/// The names of all tests, scenes and checks.
fn shown(tree: &Tree) -> Vec<String> {
    let sources: Vec<Source<'_>> = tree.rust().collect();
    let mut all: Vec<String> =
        sources.iter().flat_map(Source::test_names).map(str::to_owned).collect();
    for (path, text) in &tree.files {
        let file = path.rsplit('/').next().unwrap_or(path);
        if let Some(name) = file.strip_suffix(".wire").filter(|_| path.starts_with("tests/wire/")) {
            all.push(name.to_owned());
        }
        if path.starts_with("tests/interop/checks/") {
            let checks = text.lines().filter_map(|line| line.strip_prefix("@check(\""));
            all.extend(checks.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    all
}

/// The name of the feature that a line of the table begins.
fn feature(line: &str) -> Option<&str> {
    let (variant, rest) = line.trim().split_once(" = \"")?;
    let is_variant = variant.chars().all(char::is_alphanumeric) && !variant.is_empty();
    Some(rest.split_once('"')?.0).filter(|_| is_variant)
}
