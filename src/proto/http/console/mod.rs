//! Floor 3. The console: a page, its scripts and its style, as they were compiled in.
//!
//! The files are the same in every broker and hold nothing about this one, so they are given to
//! anybody; all that the page shows it asks of the API, with what its user has shown to come in.
//! What the page may do is said with it: run these scripts, look like this style, ask this broker,
//! and nothing else. A reader that has a file is told so by its tag. Absent on purpose: a build,
//! addresses of others, anything written into the page by the broker.

use crate::proto::Ctx;

use super::call::Call;
use super::packet::{HTML, Response, SCRIPT, STYLE};
use super::task::Step;

/// The page.
pub const PAGE: &str = include_str!("index.html");
/// What it does: its frame.
pub const APP: &str = include_str!("app.js");
/// What every page of it is made of.
pub const KIT: &str = include_str!("kit.js");
/// How the broker is, every second.
pub const LIVE: &str = include_str!("live.js");
/// Pages about the broker.
pub const PAGES: &str = include_str!("pages.js");
/// Pages about whoever is there.
pub const PEOPLE: &str = include_str!("people.js");
/// How it looks.
pub const LOOKS: &str = include_str!("style.css");

/// What a browser lets the page do.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                          connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

/// The page.
pub fn page(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, HTML, PAGE)
}

/// What it does: its frame.
pub fn app(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, SCRIPT, APP)
}

/// What every page of it is made of.
pub fn kit(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, SCRIPT, KIT)
}

/// How the broker is, every second.
pub fn live(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, SCRIPT, LIVE)
}

/// Pages about the broker.
pub fn pages(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, SCRIPT, PAGES)
}

/// Pages about whoever is there.
pub fn people(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, SCRIPT, PEOPLE)
}

/// How it looks.
pub fn style(call: &Call, _: &mut Ctx<'_>) -> Step {
    file(call, STYLE, LOOKS)
}

fn file(call: &Call, media: &'static str, text: &str) -> Step {
    let tag = format!("\"{:08x}\"", crc32c::crc32c(text.as_bytes()));
    let had = call.request.none_match.as_ref().is_some_and(|tags| has(tags, tag.as_bytes()));
    let response = match had {
        true => Response::new(304, "", ""),
        false => Response::new(200, media, text),
    };
    // Asked for anew each time, so that a page never runs with another broker's scripts.
    response
        .with("ETag", tag)
        .with("Cache-Control", "no-cache")
        .with("Content-Security-Policy", POLICY)
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Opener-Policy", "same-origin")
        .with("Cross-Origin-Resource-Policy", "same-origin")
        .into()
}

/// Is this tag one of those, weak or not, or is any?
fn has(tags: &[u8], tag: &[u8]) -> bool {
    tags.split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|own| {
        let own = own.strip_prefix(b"W/").unwrap_or(own);
        own == tag || own == b"*"
    })
}

#[cfg(test)]
mod console_test;
