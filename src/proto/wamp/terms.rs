//! Floor 3. What a realm is told to do, as whoever configures writes it.
//!
//! ```text
//! strict=on&disclose=off&meta=off&kill=off&modify=on&normal=on
//! history=MATCH:LIMIT:PATTERN             may stand several times; `lasting` outlives the broker
//! procedures=MATCH:PATTERN                may, too: topics that are procedures also to MQTT
//! trust=LEVEL[:ROLE[:MATCH:PATTERN]]      may, too; the first that fits counts
//! trust_user=LEVEL:USER[:MATCH:PATTERN]   one of these
//! authenticator=PROCEDURE&ways=ticket+wampcra+cryptosign&salted=LENGTH:ROUNDS[:KEYLEN]
//! authorizer=PROCEDURE
//! ask_in=REALM&ask_ms=5000&keep_s=60      where both are asked, how long, and how long it counts
//! ```
//!
//! Absent on purpose: which realms there are, and what the terms do.

use std::sync::Arc;

use bytes::Bytes;

use super::options::Matching;
use super::uri::Rule;
use crate::base::limits::Limits;
use crate::hub::realm::{Asked, Remembered, Salted, Terms, Trusted};
use crate::hub::riddle::Way;
use crate::proto::procedure as names;
use crate::topic::Filter;

/// Longer nobody waits for an answer.
const ASK_MS_MAX: u64 = 30_000;

/// Understand it. An error is a sentence.
pub fn read(options: &str) -> Result<Terms, String> {
    let (mut terms, mut asked) = (Terms::default(), Asked::default());
    let (mut histories, mut procedures, mut trusts) = (Vec::new(), Vec::new(), Vec::new());
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key {
            "history" => histories.push(remembered(value, false)?),
            "lasting" => histories.push(remembered(value, true)?),
            "procedures" => procedures.push(filter("procedures", value)?.2),
            "trust" => trusts.push(trusted(value, false)?),
            "trust_user" => trusts.push(trusted(value, true)?),
            "authenticator" => asked.authenticator = Some(procedure(value)?),
            "authorizer" => asked.authorizer = Some(procedure(value)?),
            "ask_in" => asked.realm = Some(realm(value)?),
            "ways" => asked.ways = ways(value)?,
            "salted" => asked.salted = Some(salted(value)?),
            "ask_ms" => asked.wait_ms = number(key, value, 1, ASK_MS_MAX)?,
            "keep_s" => asked.keep_s = number(key, value, 0, 86_400)?,
            _ => terms.set(key, value)?,
        }
    }
    if asked.authenticator.is_some() && asked.authenticator == asked.authorizer {
        return Err("authenticator and authorizer are two procedures".into());
    }
    (terms.histories, terms.procedures) = (histories.into(), procedures.into());
    (terms.trusts, terms.asked) = (trusts.into(), Arc::new(asked));
    Ok(terms)
}

/// `MATCH:LIMIT:PATTERN`.
fn remembered(text: &str, lasting: bool) -> Result<Remembered, String> {
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (how, limit, pattern) = (part(), part(), part());
    let (kind, pattern, filter) = filter("a history", &format!("{how}:{pattern}"))?;
    let limit = limit.parse().ok().filter(|limit| *limit > 0).ok_or("a history has a limit")?;
    Ok(Remembered { pattern, kind, filter, limit, lasting })
}

/// `LEVEL[:WHO[:MATCH:PATTERN]]`; an empty role is any.
fn trusted(text: &str, by_name: bool) -> Result<Trusted, String> {
    let mut parts = text.splitn(3, ':');
    let level = parts.next().unwrap_or_default();
    let level = level.parse().map_err(|_| "a level of trust is a whole number")?;
    let who = parts.next().filter(|who| !who.is_empty());
    let who = who.map(|who| Bytes::copy_from_slice(who.as_bytes()));
    let filter = parts.next().map(|text| filter("trust", text)).transpose()?;
    let filter = filter.map(|(_, _, filter)| filter);
    let (role, user) = if by_name { (None, who) } else { (who, None) };
    if by_name && user.is_none() {
        return Err("trust_user names a user".into());
    }
    Ok(Trusted { level, role, user, filter })
}

/// `MATCH:PATTERN`.
fn filter(what: &str, text: &str) -> Result<(crate::hub::calls::Kind, Bytes, Filter), String> {
    names::pattern(text, &Limits::default()).map_err(|why| format!("{what}: {why}"))
}

/// `LENGTH:ROUNDS[:KEYLEN]`.
fn salted(text: &str) -> Result<Salted, String> {
    let mut parts = text.split(':');
    let mut part = |usual: &str, least, most| {
        number("salted", parts.next().unwrap_or(usual), least, most).map(|it| it as u32)
    };
    let len = part("", 1, 256)? as usize;
    Ok(Salted { len, rounds: part("", 1, u32::MAX.into())?, key_len: part("32", 1, 64)? })
}

fn procedure(name: &str) -> Result<Bytes, String> {
    if name.starts_with("wamp.") || !Rule::Loose.is_good(name, Matching::Exact) {
        return Err(format!("{name} is no name of a procedure"));
    }
    Ok(Bytes::copy_from_slice(name.as_bytes()))
}

fn realm(name: &str) -> Result<Arc<str>, String> {
    match is_name(name) {
        true => Ok(name.into()),
        false => Err(format!("{name} is no name of a realm")),
    }
}

/// May a realm be called so? Those of the broker itself begin with `$`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.starts_with('$') && Rule::Loose.is_good(name, Matching::Exact)
}

fn ways(text: &str) -> Result<Arc<[Way]>, String> {
    let way = |name: &str| match name {
        "ticket" => Ok(Way::Password),
        "wampcra" => Ok(Way::Mac),
        "cryptosign" => Ok(Way::Signature),
        _ => Err(format!("{name} is not ticket, wampcra or cryptosign")),
    };
    text.split('+').map(way).collect()
}

fn number(key: &str, value: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{key} is a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Topic;

    fn topic(text: &str) -> Topic {
        Topic::split(text.to_owned().into(), b'.')
    }

    #[test]
    fn the_first_trust_that_fits_counts_and_without_any_nothing_is_said() {
        let none = read("").expect("nothing");
        assert_eq!(none.trust((b"ann", b"user"), &topic("a")), None);
        let terms = "trust=3:admin&trust=2::prefix:com.a.&trust_user=9:eve:exact:b&\
                     trust=1:user:exact:b";
        let terms = read(terms).expect("so");
        for (user, role, name, level) in [
            ("ann", "admin", "x", 3),
            ("bob", "user", "com.a.x", 2),
            ("bob", "user", "b", 1),
            ("eve", "user", "b", 9),
            ("eve", "user", "c", 0),
            ("bob", "user", "c", 0),
        ] {
            let level_of = terms.trust((user.as_bytes(), role.as_bytes()), &topic(name));
            assert_eq!(level_of, Some(level), "{user} {role} {name}");
        }
    }

    #[test]
    fn who_is_asked_is_told_by_name() {
        let asked = read("authenticator=com.who&ways=ticket+wampcra&authorizer=com.may&ask_ms=9");
        let asked = asked.expect("so").asked;
        let names = [&asked.authenticator, &asked.authorizer].map(|it| it.as_deref());
        assert_eq!(names, [Some(&b"com.who"[..]), Some(&b"com.may"[..])]);
        assert_eq!((&asked.ways[..], asked.wait_ms), (&[Way::Password, Way::Mac][..], 9));
        for (wrong, about) in [
            ("trust=high", "a whole number"),
            ("trust=1:user:fuzzy:a", "exact, prefix or wildcard"),
            ("trust=1:user:exact", "no good pattern"),
            ("trust_user=1", "names a user"),
            ("salted=16", "salted is a number"),
            ("salted=16:1000:0", "salted is a number"),
            ("authenticator=wamp.who", "no name of a procedure"),
            ("authorizer=", "no name of a procedure"),
            ("ways=ticket+luck", "luck is not"),
            ("ask_in=$broker", "no name of a realm"),
            ("ask_ms=0", "from 1 to"),
            ("keep_s=x", "from 0 to"),
            ("authorizer=a&authenticator=a", "two procedures"),
        ] {
            let why = read(wrong).expect_err(wrong);
            assert!(why.contains(about), "{wrong}: {why}");
        }
    }
}
