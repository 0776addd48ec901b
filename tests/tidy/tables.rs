//! Rules about tables that the manual is made from: what is said at all stands in one of them.

use super::source::Source;
use super::tree::{Tree, Violation, violation};

const LEVELS: &str = "src/os/logging/levels.rs";
/// What a library says, and not we.
const FOREIGN: &str = "rustls";

/// Every line of the log has a target of the table, and every target has lines.
pub(crate) fn log_targets(tree: &Tree) -> Vec<Violation> {
    let Some(text) = tree.text(LEVELS) else { return Vec::new() };
    let table = Source::new(LEVELS, text);
    let known = names(&table);
    let (mut found, mut used) = (Vec::new(), vec![FOREIGN]);
    let rust: Vec<Source<'_>> = tree.src().collect();
    for source in &rust {
        for i in (0..source.tokens.len()).filter(|i| says(source, *i)) {
            let target = target_of(source, i);
            if target.is_empty() || known.iter().any(|(_, name)| *name == target) {
                used.push(target);
            } else {
                let line = source.line(source.tokens[i].at);
                let text = format!("log target {target} is not in {LEVELS}");
                found.push(violation(source.path, line, text));
            }
        }
    }
    for (at, name) in known.iter().filter(|(_, name)| !used.contains(name)) {
        found.push(violation(LEVELS, table.line(*at), format!("nothing is logged as {name}")));
    }
    found
}

/// The first string of every row of `TARGETS`.
fn names<'a>(source: &Source<'a>) -> Vec<(usize, &'a str)> {
    let n = source.tokens.len();
    let is_table = |i: &usize| source.reads(*i, &["=", "["]);
    let at = (0..n).find(|i| source.text(*i) == "TARGETS");
    let Some(open) = at.and_then(|at| (at..n).find(is_table)) else { return Vec::new() };
    let ends = [open + 1, source.closing(open + 1)].map(|i| source.tokens[i].at);
    let inside = source.strings.iter().filter(|(at, _)| (ends[0]..ends[1]).contains(at));
    inside.step_by(2).copied().collect()
}

/// A line of the log begins here, and not in a test.
fn says(source: &Source<'_>, i: usize) -> bool {
    let levels = ["error", "warn", "info", "debug", "trace", "log"];
    source.reads(i, &["log", "::"])
        && levels.contains(&source.text(i + 2))
        && source.text(i + 3) == "!"
        && !source.tokens[i].test
}

/// Its target without the program's name: said, or the room it is in.
fn target_of<'a>(source: &Source<'a>, i: usize) -> &'a str {
    let said = source.reads(i + 5, &["target", ":"]);
    let name = match source.strings.iter().find(|(at, _)| *at > source.tokens[i].at) {
        Some((_, text)) if said => text.trim_start_matches("spindle").trim_start_matches("::"),
        _ => source.path.trim_start_matches("src/").trim_end_matches(".rs"),
    };
    name.split(['/', ':']).next().unwrap_or_default()
}
