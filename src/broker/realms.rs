//! Floor 6. Namespaces beside the default one: their names and what they are told to do.
//!
//! ```text
//! NAME[?strict=on&disclose=off&...]
//! ```
//!
//! `*` in place of a name is a template for those that are made when somebody comes to them. What
//! stands behind the name is read by `proto/wamp/terms`. The default one can be named too, to be
//! told something. Absent on purpose: who may come in, which the users file says.

use std::str::FromStr;

use crate::base::time::Now;
use crate::hub::realm::Terms;
use crate::hub::{Hub, Parts, bans};
use crate::proto::wamp::terms;

use super::Builder;

/// The namespace that is always there.
const DEFAULT: &str = "default";

/// In place of a name: every namespace that somebody comes to and that has no name here.
const TEMPLATE: &str = "*";

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
        if name != TEMPLATE && !terms::is_name(name) {
            return Err(format!("{name} is no name of a realm: words with dots between them"));
        }
        let terms = terms::read(options).map_err(|why| format!("{name}: {why}"))?;
        if name == TEMPLATE && terms.histories.iter().any(|it| it.lasting) {
            return Err("*: nothing of a realm that comes and goes is lasting".into());
        }
        Ok(Self { name: name.to_owned(), terms })
    }
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
        if plan.name != TEMPLATE && !all.contains(&plan.name) {
            all.push(plan.name.clone());
        }
    }
    all
}

/// A hub with these namespaces, each told what it is to do.
pub(super) fn hub(now: Now, parts: impl FnOnce(Vec<String>) -> Parts, plans: &[RealmPlan]) -> Hub {
    let mut hub = Hub::new(parts(names(plans)));
    for plan in plans {
        if plan.name == TEMPLATE {
            hub.set_template(plan.terms.clone());
        } else if let Some(realm) = hub.realm_named(&plan.name) {
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
            ("*?lasting=exact:1:c", "is lasting"),
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
        let plans = ["b", "default?strict=on", "*?meta=off", "a", "b"]
            .map(|text| text.parse().expect(text));
        assert_eq!(names(&plans), ["default", "$broker", "b", "a"]);
    }
}
