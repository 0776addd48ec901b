//! Floor 6. Namespaces beside the default one: their names and what they are told to do.
//!
//! ```text
//! NAME[?strict=on&disclose=off&meta=off&kill=off&modify=on&normal=on]
//! ```
//!
//! The default one can be named too, to be told something. Absent on purpose: who may come in,
//! which the users file says.

use std::str::FromStr;

use crate::base::time::Now;
use crate::hub::realm::Terms;
use crate::hub::{Hub, bans};
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
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            terms.set(key, value).map_err(|why| format!("{name}: {why}"))?;
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
pub(super) fn names(plans: &[RealmPlan]) -> Vec<String> {
    let mut all = vec![DEFAULT.to_owned(), bans::KEPT_REALM.to_owned()];
    for plan in plans {
        if !all.contains(&plan.name) {
            all.push(plan.name.clone());
        }
    }
    all
}

pub(super) fn set_terms(now: Now, hub: &mut Hub, plans: &[RealmPlan]) {
    for plan in plans {
        if let Some(realm) = hub.realm_named(&plan.name) {
            hub.tell_realm(now, realm, plan.terms.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_a_name_and_what_it_is_told() {
        let plan: RealmPlan = "com.example?strict=on&disclose=off".parse().expect("one");
        assert_eq!(plan.name, "com.example");
        assert!(plan.terms.strict && !plan.terms.disclose);
        assert!(plan.terms.meta && plan.terms.kill && !plan.terms.modify && !plan.terms.normal);
        let plan: RealmPlan = "a?meta=off&kill=off&modify=on&normal=on".parse().expect("one");
        assert!(!plan.terms.meta && !plan.terms.kill && plan.terms.modify && plan.terms.normal);
        for (wrong, about) in [
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
