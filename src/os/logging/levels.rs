//! Floor 5. How much is said about which target, and until when.
//!
//! A name stands for its target and everything below it; the longest name that fits decides. Time
//! is an argument. Absent on purpose: locks, and the log itself.

use std::fmt;

use log::LevelFilter;

/// What there is to hear about. The program's own targets begin with `spindle::`, which may be left
/// out; `rustls` is the library that does TLS.
pub const TARGETS: [(&str, &str); 14] = [
    ("conn", "connections that come and go"),
    ("access", "logins that were refused, and requests that were denied"),
    ("sub", "subscriptions"),
    ("pub", "messages: taken in (trace), dropped (debug)"),
    ("proto", "faults of peers"),
    ("limit", "bounds that were reached"),
    ("journal", "the state of the disk"),
    ("log", "the log itself"),
    ("panic", "threads that ended in a panic"),
    ("broker", "users, certificates and what else is read again"),
    ("cli", "the start and the end of the program"),
    ("os", "sockets, threads, signals"),
    ("client", "the client library"),
    ("rustls", "TLS"),
];

/// The table for the manual.
pub(super) fn table() -> String {
    let mut text = "| target | what is said |\n|---|---|\n".to_owned();
    for (name, doc) in TARGETS {
        let of_ours = if name == "rustls" { "" } else { "spindle::" };
        text += &format!("| `{of_ours}{name}` | {doc} |\n");
    }
    text
}

/// There is nothing of this name to hear about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTarget(String);

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        write!(f, "there is no target {:?}; there are all, {names}", self.0)
    }
}

impl std::error::Error for UnknownTarget {}

/// The name as rules hold it: empty for everything.
pub(super) fn known(target: &str) -> Result<&str, UnknownTarget> {
    let name = short(target);
    let first = name.split("::").next().unwrap_or_default();
    match name {
        "all" | "" => Ok(""),
        _ if TARGETS.iter().any(|(known, _)| *known == first) => Ok(name),
        _ => Err(UnknownTarget(target.chars().take(64).collect())),
    }
}

/// A target without the program's name.
fn short(target: &str) -> &str {
    match target.strip_prefix("spindle") {
        Some("") => "",
        Some(rest) => rest.strip_prefix("::").unwrap_or(target),
        None => target,
    }
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    level: LevelFilter,
    /// The millisecond at which it is over, and what stood there before.
    until: Option<(u64, Option<LevelFilter>)>,
}

/// All there is to know about levels.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// The first has no name and stands for everything.
    rules: Vec<Rule>,
}

impl Levels {
    pub(super) fn new(base: LevelFilter) -> Self {
        Self { rules: vec![Rule { name: String::new(), level: base, until: None }] }
    }

    pub(super) fn set_base(&mut self, level: LevelFilter) {
        self.set("", level, None);
    }

    pub(super) fn set(&mut self, name: &str, level: LevelFilter, until: Option<u64>) {
        let full = self.rules.len() >= RULES_MAX;
        let old = self.rules.iter_mut().find(|rule| rule.name == name);
        // What is set for a while gives way to what was set for good.
        let before = old.as_ref().and_then(|rule| match rule.until {
            Some((_, before)) => before,
            None => Some(rule.level),
        });
        let until = until.map(|at| (at, before));
        match old {
            Some(rule) => (rule.level, rule.until) = (level, until),
            None if !full => {
                self.rules.push(Rule { name: name.to_owned(), level, until });
            }
            None => {}
        }
    }

    /// What is over at this millisecond is as before; the names.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<String> {
        let mut gone = Vec::new();
        self.rules.retain_mut(|rule| {
            let Some((_, before)) = rule.until.filter(|(at, _)| *at <= now_ms) else {
                return true;
            };
            gone.push(if rule.name.is_empty() { "all".to_owned() } else { rule.name.clone() });
            rule.until = None;
            rule.level = before.unwrap_or(rule.level);
            before.is_some()
        });
        gone
    }

    /// The millisecond at which something is over.
    pub(super) fn next(&self) -> Option<u64> {
        self.rules.iter().filter_map(|rule| rule.until.map(|(at, _)| at)).min()
    }

    pub(super) fn of(&self, target: &str) -> LevelFilter {
        let target = short(target);
        let fits = |rule: &&Rule| {
            let rest = target.strip_prefix(rule.name.as_str());
            rule.name.is_empty() || rest.is_some_and(|r| r.is_empty() || r.starts_with("::"))
        };
        let best = self.rules.iter().filter(fits).max_by_key(|rule| rule.name.len());
        best.map_or(LevelFilter::Info, |rule| rule.level)
    }

    /// The most that any target is said about.
    pub(super) fn most(&self) -> LevelFilter {
        self.rules.iter().map(|rule| rule.level).max().unwrap_or(LevelFilter::Info)
    }

    pub(super) fn list(&self, now_ms: u64) -> Vec<(String, LevelFilter, Option<u64>)> {
        let row = |rule: &Rule| {
            let name = if rule.name.is_empty() { "all" } else { &rule.name };
            let left = rule.until.map(|(at, _)| at.saturating_sub(now_ms).div_ceil(1_000));
            (name.to_owned(), rule.level, left)
        };
        self.rules.iter().map(row).collect()
    }
}

/// More names than this are not kept.
const RULES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use LevelFilter::{Debug, Info, Trace, Warn};

    #[test]
    fn the_longest_name_decides() {
        let mut levels = Levels::new(Info);
        levels.set("os", Debug, None);
        levels.set("os::driver", Warn, None);
        for (target, want) in [
            ("spindle::conn", Info),
            ("spindle::os", Debug),
            ("spindle::os::disk", Debug),
            ("spindle::os::driver", Warn),
            ("spindle::osprey", Info),
            ("spindle", Info),
            ("rustls::client", Info),
        ] {
            assert_eq!(levels.of(target), want, "{target}");
        }
        assert_eq!(levels.most(), Debug);
    }

    #[test]
    fn what_is_set_for_a_while_ends_by_itself() {
        let mut levels = Levels::new(Info);
        levels.set("conn", Debug, Some(5_000));
        levels.set("conn", Trace, Some(9_000));
        levels.set("", Warn, Some(7_000));
        assert_eq!((levels.next(), levels.most()), (Some(7_000), Trace));
        assert_eq!(levels.expire(6_999), Vec::<String>::new());
        assert_eq!(levels.expire(7_000), ["all"]);
        assert_eq!(levels.of("spindle::sub"), Info);
        let left = levels.list(7_000);
        assert_eq!(left, [("all".into(), Info, None), ("conn".into(), Trace, Some(2))]);
        assert_eq!(levels.expire(9_000), ["conn"]);
        assert_eq!((levels.of("spindle::conn"), levels.next()), (Info, None));
        levels.set("conn", Debug, None);
        levels.set("conn", Trace, Some(10_000));
        levels.expire(10_000);
        assert_eq!(levels.of("spindle::conn"), Debug, "as it was set for good");
    }

    #[test]
    fn names_are_known_or_refused() {
        assert_eq!(known("spindle::conn"), Ok("conn"));
        assert_eq!(known("os::driver"), Ok("os::driver"));
        assert_eq!((known("all"), known("spindle")), (Ok(""), Ok("")));
        let said = known("cnn").unwrap_err().to_string();
        assert!(said.contains("\"cnn\"") && said.contains("conn, access"), "{said}");
        let mut levels = Levels::new(Info);
        for n in 0..1_000 {
            levels.set(&format!("os::{n}"), Debug, None);
        }
        assert_eq!(levels.list(0).len(), 64);
    }
}
