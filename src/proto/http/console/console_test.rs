//! Floor 3. What the console's files promise, read off the files.
//!
//! A browser shows that they work; this shows that they stay small, stand alone, have no way from
//! data to markup, and ask only what the table of routes has.

use super::{APP, KIT, LIVE, LOOKS, PAGE, PAGES, PEOPLE, POLICY};
use crate::hub::gate::Role;
use crate::proto::http::packet::Method;
use crate::proto::http::routes::{self, ROUTES, Says};

const SCRIPTS: [(&str, &str); 5] = [
    ("app.js", APP),
    ("kit.js", KIT),
    ("live.js", LIVE),
    ("pages.js", PAGES),
    ("people.js", PEOPLE),
];

fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("index.html", PAGE), ("style.css", LOOKS)].into_iter().chain(SCRIPTS)
}

#[test]
fn all_of_it_is_smaller_than_100_kb_even_without_compression() {
    let all: usize = files().map(|(_, text)| text.len()).sum();
    assert!(all < 100_000, "{all} bytes");
}

#[test]
fn nothing_is_asked_of_others() {
    for (name, text) in files() {
        let others = ["http://", "https://", "ws://", "wss://", "@import", "src=\"//"];
        for other in others {
            assert!(!text.contains(other), "{name} has {other}");
        }
    }
    assert!(!LOOKS.contains("url("), "style.css names a file");
}

#[test]
fn data_never_becomes_markup_or_code() {
    let ways = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "srcdoc",
        "createContextualFragment",
        "setHTML",
        "eval(",
        "new Function",
        "javascript:",
        ".cookie",
        "setAttributeNS",
    ];
    for (name, text) in SCRIPTS {
        for way in ways {
            assert!(!text.contains(way), "{name} has {way}");
        }
    }
    // Handlers and styles in the page would need a policy that lets them.
    for wrong in [" on", " style=", "<style", "<script>"] {
        let found = PAGE.match_indices(wrong).find(|(at, _)| {
            let rest = &PAGE[at + wrong.len()..];
            let word = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            wrong != " on" || rest[word..].starts_with('=')
        });
        assert!(found.is_none(), "index.html has {wrong}");
    }
    assert_eq!(
        PAGE.matches("<script").count(),
        PAGE.matches("<script type=\"module\" src=").count()
    );
}

/// Calls as the scripts name them: quoted, a method and a path.
fn calls() -> Vec<(&'static str, Method, &'static str)> {
    let methods = [Method::Get, Method::Post, Method::Put, Method::Delete];
    let mut all = Vec::new();
    for (name, text) in SCRIPTS {
        for part in text.split('\'') {
            let Some((word, path)) = part.split_once(' ') else { continue };
            let method = methods.into_iter().find(|method| method.name() == word);
            if let Some(method) = method.filter(|_| path.starts_with('/') && !path.contains(' ')) {
                all.push((name, method, path));
            }
        }
    }
    all
}

#[test]
fn every_call_is_in_the_table() {
    let calls = calls();
    assert!(calls.len() > 20, "{calls:?}");
    for (name, method, path) in &calls {
        let known = ROUTES.iter().any(|route| route.method == *method && route.path == *path);
        assert!(known, "{name} calls {method:?} {path}");
    }
    // A path is named in a call and nowhere else, so none escapes the test above.
    for (name, text) in SCRIPTS {
        let named = calls.iter().filter(|(of, _, path)| *of == name && path.starts_with("/api/"));
        assert_eq!(text.matches("/api/").count(), named.count(), "{name}");
    }
}

#[test]
fn what_a_path_cannot_name_is_named_in_a_query() {
    // `target` of kit.js makes one path of the other; the table must have both.
    let mut found = 0;
    for (name, method, path) in calls() {
        let Some((before, open)) = path.split_once("s/{") else { continue };
        let (mut names, mut rest) = (Vec::new(), format!("/{{{open}"));
        while let Some(step) = rest.strip_prefix("/{") {
            let (own, after) = step.split_once('}').expect("its end");
            names.push(own.to_owned());
            rest = after.to_owned();
        }
        let twin = format!("{before}{rest}");
        let row = ROUTES.iter().find(|route| route.method == method && route.path == twin);
        let row = row.unwrap_or_else(|| panic!("{name}: {path} has no {twin}"));
        let one = ROUTES.iter().find(|route| route.method == method && route.path == path);
        let one = one.expect("a route");
        assert_eq!((row.role, row.body.len()), (one.role, one.body.len()), "{twin}");
        for own in names {
            let param = row.query.iter().find(|param| param.name == own);
            assert!(param.is_some_and(|param| param.required), "{twin}: {own}");
        }
        found += 1;
    }
    assert!(found >= 6, "{found}");
}

#[test]
fn who_may_look_is_shown_what_it_may_press() {
    // `mayCall` of kit.js goes by the method but for one call; the table must not know better.
    let harmless = KIT.split("HARMLESS = [").nth(1).and_then(|rest| rest.split(']').next());
    assert_eq!(harmless, Some("'POST /api/v1/acl/test'"));
    for (name, method, path) in calls() {
        let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
        let needs = route.and_then(|route| route.role);
        let harmless = method == Method::Get || path == "/api/v1/acl/test";
        let wanted = if harmless { Role::Viewer } else { Role::Operator };
        assert_eq!(needs, Some(wanted), "{name}: {method:?} {path}");
    }
}

#[test]
fn the_page_names_files_that_are_there_for_anybody() {
    let mut named: Vec<String> = Vec::new();
    for (_, text) in files() {
        let quotes = text.split(['"', '\'']);
        named.extend(quotes.filter_map(|part| {
            let file = part.strip_prefix("./").or_else(|| part.strip_prefix("console/"))?;
            let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
            plain.then(|| format!("/console/{file}"))
        }));
    }
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 6, "{named:?}");
    for path in named {
        let (route, _) = routes::find(Method::Get, path.as_bytes()).expect("a route");
        assert!(route.role.is_none() && matches!(route.says, Says::File(_)), "{path}");
    }
}

#[test]
fn the_policy_lets_nothing_in_but_its_own() {
    let parts: Vec<&str> = POLICY.split("; ").collect();
    assert_eq!(parts[0], "default-src 'none'");
    for part in &parts[1..] {
        let (what, from) = part.split_once(' ').expect("a rule");
        let wanted = match what {
            "img-src" => "'self' data:",
            "script-src" | "style-src" | "connect-src" => "'self'",
            _ => "'none'",
        };
        assert_eq!(from, wanted, "{what}");
    }
    assert_eq!(parts.len(), 8);
}
