//! Floor 3. Groups and their rules: what somebody who was let in may do.
//!
//! A rule is `can|cannot publish|subscribe|request RESOURCE`, the resource in the star grammar.
//! What no rule allows is denied, and `cannot` is stronger than `can`. In an exclusive group
//! `can` names the exceptions instead: everything is allowed but what a rule matches. Granting a
//! subscription takes a rule that covers all of it; a rule that forbids only some of it leaves it
//! standing and strikes the deliveries (`Access::Receive`). `self/` is an ordinary level unless
//! the file asks for it to stand for the user's name; the name is then put in as one whole level,
//! never into text that is read again. Absent on purpose: order (rules have none), users.

use bytes::Bytes;
use serde::Deserialize;

use crate::hub::policy::Access;
use crate::topic::{Dialect, Filter, Match, Seg, Star, Topic, TopicFault};

/// How the rules of a group are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The same as inclusive.
    #[default]
    Normal,
    /// Allowed is what a `can` rule matches.
    Inclusive,
    /// Allowed is what no rule matches.
    Exclusive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Publish,
    Subscribe,
    Request,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    can: bool,
    action: Action,
    filter: Filter,
    /// The first level stands for the user's name.
    own: bool,
    /// As written.
    text: String,
}

/// A set of rules that users share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) kind: Kind,
    rules: Vec<Rule>,
}

/// What the rules say, and which of them says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ruling<'a> {
    pub(super) allowed: bool,
    rule: Option<&'a Rule>,
}

impl Rule {
    /// Read a rule. The words are separated by one blank each; the rest is the resource, blanks
    /// included.
    pub(super) fn parse(text: &str, expand_self: bool) -> Result<Self, String> {
        let mut words = text.splitn(3, ' ');
        let can = match words.next() {
            Some("can") => true,
            Some("cannot") => false,
            _ => return Err("a rule begins with `can` or `cannot`".into()),
        };
        let action = match words.next() {
            Some("publish") => Action::Publish,
            Some("subscribe") => Action::Subscribe,
            Some("request") => Action::Request,
            _ => return Err("a rule is about `publish`, `subscribe` or `request`".into()),
        };
        let resource = words.next().unwrap_or_default();
        if resource.trim() != resource {
            return Err("there are blanks around the resource".into());
        }
        let star = Star { levels_max: LEVELS_MAX };
        let resource_bytes = Bytes::copy_from_slice(resource.as_bytes());
        let filter = star.filter(&resource_bytes, Match::Native).map_err(words_for)?;
        let own = expand_self && resource.starts_with("self/");
        Ok(Self { can, action, filter, own, text: text.into() })
    }

    /// Two rules about one thing: the second either repeats or contradicts the first.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.action == other.action && self.filter == other.filter && self.own == other.own
    }

    fn on(&self, action: Action) -> bool {
        self.action == action
    }

    fn matches(&self, user: &Bytes, topic: &Topic) -> bool {
        self.with_filter(user, |filter| filter.matches(topic))
    }

    fn covers(&self, user: &Bytes, wanted: &Filter) -> bool {
        self.with_filter(user, |filter| filter.covers(wanted))
    }

    fn with_filter(&self, user: &Bytes, ask: impl FnOnce(&Filter) -> bool) -> bool {
        if !self.own {
            return ask(&self.filter);
        }
        if user.is_empty() {
            // The nameless own nothing.
            return false;
        }
        let mut filter = self.filter.clone();
        if let Some(first) = filter.segs.first_mut() {
            *first = Seg::Lit(user.clone());
        }
        ask(&filter)
    }
}

impl Group {
    pub(super) fn new(name: String, kind: Kind) -> Self {
        Self { name, kind, rules: Vec::new() }
    }

    /// Add a rule, unless one about the same thing is there.
    pub(super) fn add(&mut self, rule: Rule) -> Result<(), String> {
        if let Some(other) = self.rules.iter().find(|other| other.collides(&rule)) {
            return Err(format!("`{}` and `{}` are about the same", other.text, rule.text));
        }
        self.rules.push(rule);
        Ok(())
    }

    /// May a subscription that is allowed match topics that must not be received?
    pub(super) fn strikes_deliveries(&self) -> bool {
        let strikes = |rule: &Rule| !rule.can || self.kind == Kind::Exclusive;
        self.rules.iter().any(|rule| rule.on(Action::Subscribe) && strikes(rule))
    }

    /// What the rules say about this user doing that.
    pub(super) fn ruling(&self, user: &Bytes, access: &Access<'_>) -> Ruling<'_> {
        let applies = |rule: &&Rule| match access {
            Access::Publish(topic) => rule.on(Action::Publish) && rule.matches(user, topic),
            Access::Receive(topic) => rule.on(Action::Subscribe) && rule.matches(user, topic),
            Access::Request(topic) => rule.on(Action::Request) && rule.matches(user, topic),
            Access::Subscribe(filter) => rule.on(Action::Subscribe) && rule.covers(user, filter),
        };
        let mut grant = None;
        for rule in self.rules.iter().filter(applies) {
            if !rule.can {
                return Ruling { allowed: false, rule: Some(rule) };
            }
            grant = grant.or(Some(rule));
        }
        let exclusive = self.kind == Kind::Exclusive;
        Ruling { allowed: grant.is_some() != exclusive, rule: grant }
    }
}

impl Ruling<'_> {
    /// In words, for an administrator.
    pub(super) fn explain(&self, group: &Group) -> String {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        match self.rule {
            Some(rule) => format!("{verdict} by `{}` of group {}", rule.text, group.name),
            None => format!("{verdict}: no rule of group {} applies", group.name),
        }
    }
}

fn words_for(fault: TopicFault) -> String {
    match fault {
        TopicFault::Empty => "the resource is missing".into(),
        TopicFault::TooLong => "the resource is too long".into(),
        TopicFault::TooDeep => format!("the resource has more than {LEVELS_MAX} levels"),
        TopicFault::Wildcard | TopicFault::Malformed => "the resource is malformed".into(),
    }
}

/// Levels of a rule's resource; as many as a topic may have.
const LEVELS_MAX: usize = 128;
