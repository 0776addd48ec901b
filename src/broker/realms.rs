//! Floor 6. Namespaces beside the default one: their names and what they are told to do.
//!
//! ```text
//! NAME[?strict=on&disclose=off&meta=off&kill=off&modify=on&normal=on&history=exact:100:com.a
//!      &procedures=prefix:com.rpc.]
//! ```
//!
//! `history` may stand several times: how a pattern matches, how many of its events, the pattern.
//! `lasting` is a history that outlives the broker. So may `procedures`: which topics are
//! procedures also to MQTT.
//!
//! The default one can be named too, to be told something. Absent on purpose: who may come in,
//! which the users file says.

use std::str::FromStr;

use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::hub::realm::{Remembered, Terms};
use crate::hub::{Hub, Parts, bans};
use crate::proto::procedure;
use crate::proto::wamp::options::Matching;
use crate::proto::wamp::uri::Rule;

use super::Builder;

/// The namespace that is always there.
const DEFAULT: &str = "default";

/// A namespace to be.
#[derive(Clone, Debug)]
pub struct RealmPlan {
    /// Its name, a URI.
    pub name: String,
    /// What it is told to do.
    pub terms: Terms,
}

impl FromStr for RealmPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once('?').unwrap_or((text, ""));
        if name.starts_with('$') || !Rule::Loose.is_good(name, Matching::Exact) {
            return Err(format!("{name} is no name of a realm: words with dots between them"));
        }
        let mut terms = Terms::default();
        let (mut histories, mut procedures) = (Vec::new(), Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let done = match key {
                "history" => remembered(value, false).map(|it| histories.push(it)),
                "lasting" => remembered(value, true).map(|it| histories.push(it)),
                "procedures" => procedure::pattern(value, &Limits::default())
                    .map(|(_, _, filter)| procedures.push(filter))
                    .map_err(|why| format!("procedures: {why}")),
                _ => terms.set(key, value),
            };
            done.map_err(|why| format!("{name}: {why}"))?;
        }
        (terms.histories, terms.procedures) = (histories.into(), procedures.into());
        Ok(Self { name: name.to_owned(), terms })
    }
}

/// `MATCH:LIMIT:PATTERN`.
fn remembered(text: &str, lasting: bool) -> Result<Remembered, String> {
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (how, limit, pattern) = (part(), part(), part());
    let said = format!("{how}:{pattern}");
    let (kind, pattern, filter) =
        procedure::pattern(&said, &Limits::default()).map_err(|why| format!("a history: {why}"))?;
    let limit = limit.parse().ok().filter(|limit| *limit > 0).ok_or("a history has a limit")?;
    Ok(Remembered { pattern, kind, filter, limit, lasting })
}

impl Builder {
    /// One more namespace, or what the default one is told to do.
    #[must_use]
    pub fn realm(mut self, plan: RealmPlan) -> Self {
        self.realms.push(plan);
        self
    }
}

/// All names, in the order of their numbers: those that are always there come first.
fn names(plans: &[RealmPlan]) -> Vec<String> {
    let mut all = vec![DEFAULT.to_owned(), bans::KEPT_REALM.to_owned()];
    for plan in plans {
        if !all.contains(&plan.name) {
            all.push(plan.name.clone());
        }
    }
    all
}

/// A hub with these namespaces, each told what it is to do.
pub(super) fn hub(now: Now, parts: impl FnOnce(Vec<String>) -> Parts, plans: &[RealmPlan]) -> Hub {
    let mut hub = Hub::new(parts(names(plans)));
    for plan in plans {
        if let Some(realm) = hub.realm_named(&plan.name) {
            hub.tell_realm(now, realm, plan.terms.clone());
        }
    }
    hub
}

#[cfg(test)]
mod tests {
    use crate::hub::calls::Kind;
    use crate::topic::Topic;

    use super::*;

    #[test]
    fn a_realm_is_a_name_and_what_it_is_told() {
        let plan: RealmPlan = "com.example?strict=on&disclose=off".parse().expect("one");
        assert_eq!(plan.name, "com.example");
        assert!(plan.terms.strict && !plan.terms.disclose);
        assert!(plan.terms.meta && plan.terms.kill && !plan.terms.modify && !plan.terms.normal);
        let plan: RealmPlan = "a?meta=off&kill=off&modify=on&normal=on".parse().expect("one");
        assert!(!plan.terms.meta && !plan.terms.kill && plan.terms.modify && plan.terms.normal);
        let plan: RealmPlan = "a?procedures=exact:a.b&procedures=prefix:c.".parse().expect("one");
        for (topic, is) in [("a.b", true), ("a.c", false), ("c.d.e", true), ("b", false)] {
            let topic = Topic::split(topic.into(), b'.');
            assert_eq!(plan.terms.is_procedure(&topic), is, "{topic:?}");
        }
        let plan: RealmPlan = "a?history=prefix:7:a:b.&lasting=exact:1:c".parse().expect("one");
        let [first, second] = &plan.terms.histories[..] else { panic!("two histories") };
        assert_eq!((&first.pattern[..], first.kind, first.limit), (&b"a:b."[..], Kind::Prefix, 7));
        assert_eq!((&second.pattern[..], second.kind, second.limit), (&b"c"[..], Kind::Exact, 1));
        assert!(!first.lasting && second.lasting);
        for (wrong, about) in [
            ("a?history=fuzzy:1:c", "exact, prefix or wildcard"),
            ("a?history=exact:0:c", "a limit"),
            ("a?history=exact:x:c", "a limit"),
            ("a?history=exact:1:c d", "no good pattern"),
            ("a?history=exact:1", "no good pattern"),
            ("a?procedures=fuzzy:c", "exact, prefix or wildcard"),
            ("a?procedures=exact:c d", "no good pattern"),
            ("$broker", "no name"),
            ("a b", "no name"),
            ("", "no name"),
            ("a?loud=on", "loud"),
            ("a?strict=perhaps", "on or off"),
        ] {
            let why = wrong.parse::<RealmPlan>().expect_err(wrong);
            assert!(why.contains(about), "{wrong}: {why}");
        }
    }

    #[test]
    fn realms_that_are_always_there_have_the_first_numbers() {
        let plans = ["b", "default?strict=on", "a", "b"].map(|text| text.parse().expect(text));
        assert_eq!(names(&plans), ["default", "$broker", "b", "a"]);
    }
}
