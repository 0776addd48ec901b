//! Floor 3. What rules allow, each clause of theirs by itself.

use bytes::Bytes;

use super::rules::{Group, Kind, Rule};
use crate::hub::policy::{Access, Principal};
use crate::topic::{Dialect, Filter, Match, Seg, Star, Tail, Topic};

const STAR: Star = Star { levels_max: 128 };

fn topic(text: &str) -> Topic {
    STAR.topic(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn filter(text: &str) -> Filter {
    STAR.filter(&Bytes::copy_from_slice(text.as_bytes()), Match::Native).unwrap()
}

fn group_of(kind: Kind, expand: bool, rules: &[&str]) -> Group {
    let mut group = Group::new("G".into(), kind);
    for rule in rules {
        group.add(Rule::parse(rule, expand).unwrap()).unwrap();
    }
    group
}

fn group(rules: &[&str]) -> Group {
    group_of(Kind::Inclusive, false, rules)
}

/// May `user` do this? `what` is written like a rule without its `can`.
fn may(group: &Group, user: &str, what: &str) -> bool {
    let user = Bytes::copy_from_slice(user.as_bytes());
    let user = &Principal { user, ..Principal::default() };
    let (action, on) = what.split_once(' ').unwrap();
    let allowed = |access: Access<'_>| group.ruling(user, &access).allowed;
    match action {
        "publish" => allowed(Access::Publish(&topic(on))),
        "receive" => allowed(Access::Receive(&topic(on))),
        "request" => allowed(Access::Request(&topic(on))),
        "subscribe" => allowed(Access::Subscribe(&filter(on))),
        other => panic!("no such action: {other}"),
    }
}

fn check(group: &Group, user: &str, allowed: &[&str], denied: &[&str]) {
    for what in allowed {
        assert!(may(group, user, what), "{user} may {what}");
    }
    for what in denied {
        assert!(!may(group, user, what), "{user} may not {what}");
    }
}

#[test]
fn what_no_rule_allows_is_denied() {
    check(&group(&[]), "u", &[], &["publish a", "subscribe a", "receive a", "request a"]);
}

#[test]
fn each_action_needs_its_own_rule() {
    let publish = group(&["can publish a/b"]);
    check(&publish, "u", &["publish a/b"], &["subscribe a/b", "receive a/b", "request a/b"]);
    let subscribe = group(&["can subscribe a/b"]);
    check(&subscribe, "u", &["subscribe a/b", "receive a/b"], &["publish a/b", "request a/b"]);
    let request = group(&["can request a/b"]);
    check(&request, "u", &["request a/b"], &["publish a/b", "subscribe a/b", "receive a/b"]);
}

#[test]
fn a_resource_matches_as_a_subscription_would() {
    let rules = group(&["can publish a/*", "can publish x/*/z"]);
    let yes = ["publish a/b", "publish a/b/c", "publish a/", "publish x/y/z", "publish x//z"];
    check(&rules, "u", &yes, &["publish a", "publish b", "publish x/z", "publish x/y/z/z"]);
}

#[test]
fn a_wildcard_subscription_needs_a_rule_that_covers_it() {
    let wide = group(&["can subscribe w/*"]);
    let yes = ["subscribe w/*", "subscribe w/*/c", "subscribe w/a/b/c", "subscribe w/a"];
    check(&wide, "u", &yes, &["subscribe w", "subscribe *", "subscribe */a", "subscribe v/*"]);
    let narrow = group(&["can subscribe x/y"]);
    check(&narrow, "u", &["subscribe x/y"], &["subscribe x/*", "subscribe */y", "subscribe *"]);
}

#[test]
fn cannot_is_stronger_than_can_wherever_it_stands() {
    for rules in [
        ["can publish a/*", "cannot publish a/secret"],
        ["cannot publish a/secret", "can publish a/*"],
    ] {
        check(&group(&rules), "u", &["publish a/b"], &["publish a/secret"]);
    }
    let wide = group(&["can publish a/b", "cannot publish a/*"]);
    check(&wide, "u", &[], &["publish a/b", "publish a/c"]);
}

#[test]
fn forbidding_part_of_a_subscription_strikes_its_deliveries() {
    let rules = group(&["can subscribe a/*", "cannot subscribe a/secret"]);
    let yes = ["subscribe a/*", "receive a/b"];
    check(&rules, "u", &yes, &["receive a/secret", "subscribe a/secret"]);
    assert!(rules.strikes_deliveries());
    let all = group(&["can subscribe a/*", "cannot subscribe *"]);
    check(&all, "u", &[], &["subscribe a/*", "subscribe a/b", "receive a/b"]);
}

#[test]
fn deliveries_are_looked_at_only_where_a_rule_can_strike_one() {
    assert!(!group(&["can subscribe a/*", "cannot publish a/b"]).strikes_deliveries());
    assert!(!group_of(Kind::Exclusive, false, &["can publish a"]).strikes_deliveries());
    assert!(group_of(Kind::Exclusive, false, &["can subscribe a"]).strikes_deliveries());
    assert!(group_of(Kind::Exclusive, false, &["cannot subscribe a"]).strikes_deliveries());
}

#[test]
fn an_exclusive_group_may_do_all_but_what_its_rules_match() {
    let rules = group_of(
        Kind::Exclusive,
        false,
        &["can publish a/b", "cannot publish c", "can subscribe s/x"],
    );
    let yes = ["publish a/c", "publish a", "subscribe a/b", "subscribe s/*", "receive s/y"];
    let no = ["publish a/b", "publish c", "subscribe s/x", "receive s/x"];
    check(&rules, "u", &yes, &no);
}

#[test]
fn normal_and_inclusive_are_the_same() {
    for kind in [Kind::Normal, Kind::Inclusive] {
        let rules = group_of(kind, false, &["can publish a", "cannot publish b"]);
        check(&rules, "u", &["publish a"], &["publish b", "publish c"]);
    }
}

#[test]
fn self_is_a_level_like_any_other() {
    let rules = group(&["can publish self/inbox"]);
    check(&rules, "test", &["publish self/inbox"], &["publish test/inbox", "publish self/other"]);
}

#[test]
fn self_stands_for_the_user_where_the_file_says_so() {
    let rules = ["can publish self/inbox", "can subscribe self/*", "can request self"];
    let rules = group_of(Kind::Inclusive, true, &rules);
    let yes = ["publish test/inbox", "subscribe test/*", "subscribe test/a/*", "request self"];
    let no = ["publish self/inbox", "publish other/inbox", "subscribe other/*", "request test"];
    check(&rules, "test", &yes, &no);
    check(&rules, "", &[], &["publish self/inbox", "publish /inbox", "subscribe /*"]);
}

#[test]
fn a_name_is_one_level_even_if_it_looks_like_more() {
    let rules = group_of(Kind::Inclusive, true, &["can subscribe self/*", "can publish self/x"]);
    for name in ["*", "a/b", "#", "+"] {
        check(
            &rules,
            name,
            &[],
            &["subscribe a/*", "subscribe */*", "publish a/b/x", "publish a/x"],
        );
    }
}

fn called(user: &str, client_id: &str) -> Principal {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Principal { user: text(user), client_id: text(client_id), ..Principal::default() }
}

#[test]
fn names_stand_where_the_rule_puts_them() {
    let rules = group(&["can publish d/%c/up", "can subscribe %u/%c/#", "cannot publish d/%c/%u"]);
    let may = |who: &Principal, access: Access<'_>| rules.ruling(who, &access).allowed;
    let ann = called("ann", "c1");
    assert!(may(&ann, Access::Publish(&topic("d/c1/up"))));
    for other in ["d/c2/up", "d/ann/up", "d/%c/up", "d//up", "d/c1", "d/c1/up/x"] {
        assert!(!may(&ann, Access::Publish(&topic(other))), "{other}");
    }
    assert!(!may(&called("up", "c1"), Access::Publish(&topic("d/c1/up"))), "cannot is stronger");
    let below = |text: &str| Filter { tail: Tail::Rest, ..filter(text) };
    for wanted in [below("ann/c1"), below("ann/c1/x"), filter("ann/c1"), filter("ann/c1/*")] {
        assert!(may(&ann, Access::Subscribe(&wanted)), "{wanted:?}");
    }
    for wanted in [below("ann"), below("ann/c2"), below("bob/c1"), filter("*/c1/x"), filter("*")] {
        assert!(!may(&ann, Access::Subscribe(&wanted)), "{wanted:?}");
    }
    assert!(may(&ann, Access::Receive(&topic("ann/c1/x"))));
    assert!(!may(&ann, Access::Receive(&topic("ann/c2/x"))));
}

/// Each of these names would match exactly one topic, that of the same name, if it were let: what
/// is refused is that anybody can own a level that another protocol reads as something else.
#[test]
fn a_name_that_is_no_honest_level_owns_nothing() {
    let rules = group(&["can publish a/%u", "can publish b/%c", "can subscribe a/%u"]);
    let level = |first: &str, name: &str| Topic::from_levels([first.as_bytes(), name.as_bytes()]);
    for name in ["", "$x", "x/y", "+", "#", "*", "x+", "x#", "x*", "x\0"] {
        let who = called(name, name);
        let (own, ours) = (level("a", name), level("b", name));
        assert!(!rules.ruling(&who, &Access::Publish(&own)).allowed, "{name:?} as a user");
        assert!(!rules.ruling(&who, &Access::Publish(&ours)).allowed, "{name:?} as a client");
        let wanted = Filter::exact(&own);
        assert!(!rules.ruling(&who, &Access::Subscribe(&wanted)).allowed, "{name:?} subscribes");
        let wild =
            Filter { segs: [Seg::Lit("a".into()), Seg::One].into_iter().collect(), ..wanted };
        assert!(!rules.ruling(&who, &Access::Subscribe(&wild)).allowed, "{name:?} as a wildcard");
    }
    for name in ["x", "x.y", "a@b", "x$", "%u", "\u{fc}"] {
        let who = called(name, name);
        assert!(rules.ruling(&who, &Access::Publish(&level("a", name))).allowed, "{name:?}");
        assert!(rules.ruling(&who, &Access::Publish(&level("b", name))).allowed, "{name:?}");
    }
}

#[test]
fn wildcards_of_mqtt_mean_what_they_mean_there() {
    let rules = group(&["can subscribe a/#", "can publish s/+/t", "can request #"]);
    let below = |text: &str| Filter { tail: Tail::Rest, ..filter(text) };
    let may = |access: Access<'_>| rules.ruling(&Principal::default(), &access).allowed;
    assert!(may(Access::Subscribe(&below("a"))), "a level and all below it");
    assert!(may(Access::Subscribe(&below("a/b"))) && may(Access::Receive(&topic("a"))));
    assert!(!may(Access::Subscribe(&below("b"))));
    let star = group(&["can subscribe a/*"]);
    let wanted = below("a");
    assert!(!star.ruling(&Principal::default(), &Access::Subscribe(&wanted)).allowed);
    check(&rules, "u", &["publish s/x/t", "publish s//t", "request a/b"], &["publish s/t"]);
    check(&rules, "u", &[], &["publish s/x/y/t", "request $SYS/a"]);
    for wrong in ["a/#/b", "#/a", "a/x%u", "a/%u%c", "a/%cx/b", "a/#/*"] {
        assert!(Rule::parse(&format!("can publish {wrong}"), false).is_err(), "{wrong}");
    }
    assert!(Rule::parse("can publish c#/a+b/100%", false).is_ok(), "parts of a level are text");
}

#[test]
fn a_rule_open_at_the_root_does_not_open_what_begins_with_a_dollar() {
    let rules = group(&["can subscribe *", "can publish */x"]);
    let no = ["subscribe $SYS/*", "receive $SYS/a", "publish $SYS/x"];
    check(&rules, "u", &["subscribe a/*", "publish a/x"], &no);
    let grant = group(&["can subscribe $SYS/*"]);
    check(&grant, "u", &["subscribe $SYS/*", "receive $SYS/a"], &["subscribe a"]);
}

#[test]
fn two_rules_about_the_same_are_refused() {
    for (a, b) in [
        ("can publish a/*", "can publish a/*"),
        ("can publish a", "cannot publish a"),
        ("can publish a/*/*", "can publish a/*/*"),
    ] {
        let mut group = group(&[a]);
        let why = group.add(Rule::parse(b, false).unwrap()).unwrap_err();
        assert_eq!(why, format!("`{a}` and `{b}` are about the same"));
    }
    group(&["can publish a", "can subscribe a", "can request a", "can publish a/*"]);
}

#[test]
fn a_malformed_rule_is_refused() {
    let long = format!("can publish {}a", "a/".repeat(128));
    for rule in [
        "",
        "can",
        "can publish",
        "can publish ",
        "can  publish a",
        "can publish  a",
        "can publish a ",
        " can publish a",
        "Can publish a",
        "can Publish a",
        "could publish a",
        "can receive a",
        "can\tpublish\ta",
        long.as_str(),
    ] {
        assert!(Rule::parse(rule, false).is_err(), "{rule:?}");
    }
    assert!(Rule::parse("can publish a b/c", false).is_ok(), "a level may hold blanks");
}

#[test]
fn an_explanation_names_the_rule_that_decides() {
    let rules = group(&["can publish a/*", "cannot publish a/secret"]);
    let why = |on: &str| {
        let topic = topic(on);
        rules.ruling(&Principal::default(), &Access::Publish(&topic)).explain(&rules)
    };
    assert_eq!(why("a/b"), "allowed by `can publish a/*` of group G");
    assert_eq!(why("a/secret"), "denied by `cannot publish a/secret` of group G");
    assert_eq!(why("b"), "denied: no rule of group G applies");
}
