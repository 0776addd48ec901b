//! What the Debian package must have to be installed, read off the files it is made of.
//!
//! Debian's own tool says more and is asked where the package is made; this needs nothing but the
//! project, so it says at once what that tool, or the installation, would say later.

use super::tree::{Tree, Violation, violation};

const CHANGES: &str = "src/manual/service/changelog";

/// Its version, its contact, and that the users it needs are found under the name it gives them.
pub(crate) fn package(tree: &Tree) -> Vec<Violation> {
    let Some(cargo) = tree.text("Cargo.toml") else { return Vec::new() };
    let mut found = Vec::new();
    let value = |key: &str| {
        let line = cargo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|text| text.trim_matches('"'))
    };
    let mut wrong = |file: &str, text: String| found.push(violation(file, 1, text));
    let contact = value("maintainer").unwrap_or_default();
    let mail = contact.split_once(" <").and_then(|(_, mail)| mail.strip_suffix('>'));
    if mail.is_none_or(|mail| !mail.contains('@')) {
        wrong("Cargo.toml", format!("the maintainer needs a name and an address: {contact}"));
    }
    let version = value("version").unwrap_or_default();
    match tree.text(CHANGES) {
        None => wrong("Cargo.toml", format!("there is no {CHANGES}")),
        Some(text) => {
            let first = text.lines().next().unwrap_or_default();
            if !first.contains(&format!(" ({version}-")) {
                wrong(CHANGES, format!("its first line is not about {version}: {first}"));
            }
            if !text.contains(&format!("\n -- {contact}  ")) {
                wrong(CHANGES, format!("it is not signed by {contact}"));
            }
        }
    }
    // What cargo-deb adds to the scripts asks for the users by the name of the file here, and not
    // by the one that is installed.
    for line in cargo.lines().filter(|line| line.contains("usr/lib/sysusers.d/")) {
        let names: Vec<&str> = line.split('"').filter(|part| part.contains('/')).collect();
        let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
        if let [from, to, ..] = names[..]
            && name(from) != name(to)
        {
            wrong("Cargo.toml", format!("{from} and {to} have different names"));
        }
    }
    found
}
