//! Floor 3. Groups and their rules: what somebody who was let in may do.
//!
//! A rule is `can|cannot publish|subscribe|request RESOURCE`. The resource is in the star grammar,
//! in which `+` and a last `#` mean what they mean to MQTT: without `#` nothing could permit a
//! subscription to a level and all below it. What no rule allows is denied, and `cannot` is
//! stronger than `can`. In an exclusive group `can` names the exceptions instead: everything is
//! allowed but what a rule matches. Granting a subscription takes a rule that covers all of it; a
//! rule that forbids only some of it leaves it standing and strikes the deliveries
//! (`Access::Receive`). The levels `%u` and `%c` stand for the user's name and the client id (and
//! a first `self` for the name, where the file asks for it). Such a level is compared whole and
//! never put into text that is read again, and a name that is no honest level matches nothing.
//! Absent on purpose: order (rules have none), users.

use bytes::Bytes;
use serde::Deserialize;

use crate::hub::policy::{Access, Principal};
use crate::topic::{Dialect, Filter, Match, Seg, Star, Tail, Topic, TopicFault};

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

/// What a level can stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    User,
    Client,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    can: bool,
    action: Action,
    /// Levels that stand for a name are open in it.
    filter: Filter,
    names: Vec<(usize, Name)>,
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
        let mut filter = star.filter(&resource_bytes, Match::Native).map_err(words_for)?;
        let mut names = open_levels(&mut filter)?;
        if expand_self && resource.starts_with("self/") {
            names.push((0, Name::User));
            if let Some(first) = filter.segs.first_mut() {
                *first = Seg::One;
            }
        }
        Ok(Self { can, action, filter, names, text: text.into() })
    }

    /// Two rules about one thing: the second either repeats or contradicts the first.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.action == other.action && self.filter == other.filter && self.names == other.names
    }

    fn on(&self, action: Action) -> bool {
        self.action == action
    }

    fn matches(&self, who: &Principal, topic: &Topic) -> bool {
        let own = |at: usize, name: &[u8]| topic.level(at) == Some(name);
        self.names.iter().all(|(at, name)| name.level(who).is_some_and(|name| own(*at, name)))
            && self.filter.matches(topic)
    }

    fn covers(&self, who: &Principal, wanted: &Filter) -> bool {
        let own = |at: usize, name: &[u8]| match wanted.segs.get(at) {
            Some(Seg::Lit(level)) => level == name,
            Some(Seg::One) | None => false,
        };
        self.names.iter().all(|(at, name)| name.level(who).is_some_and(|name| own(*at, name)))
            && self.filter.covers(wanted)
    }
}

impl Name {
    /// The name, if it is one that may stand as a level: the nameless own nothing, and what some
    /// protocol could read as a wildcard, as two levels or as the broker's own space is refused.
    fn level(self, who: &Principal) -> Option<&[u8]> {
        let name = match self {
            Self::User => &who.user,
            Self::Client => &who.client_id,
        };
        let honest = !name.is_empty()
            && !name.starts_with(b"$")
            && !name.iter().any(|b| matches!(b, b'/' | b'*' | b'+' | b'#' | 0));
        honest.then_some(name)
    }
}

/// Put in what the star grammar does not know, and find the levels that stand for names.
fn open_levels(filter: &mut Filter) -> Result<Vec<(usize, Name)>, String> {
    if matches!(filter.segs.last(), Some(Seg::Lit(last)) if last == "#") && filter.tail == Tail::End
    {
        filter.segs.pop();
        filter.tail = Tail::Rest;
    }
    let mut names = Vec::new();
    for (at, seg) in filter.segs.iter_mut().enumerate() {
        let Seg::Lit(level) = seg else { continue };
        match &level[..] {
            b"%u" => names.push((at, Name::User)),
            b"%c" => names.push((at, Name::Client)),
            b"+" => {}
            b"#" => return Err("`#` is the last level or none".into()),
            level if level.windows(2).any(|two| matches!(two, b"%u" | b"%c")) => {
                return Err("`%u` and `%c` stand for a whole level".into());
            }
            _ => continue,
        }
        *seg = Seg::One;
    }
    Ok(names)
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

    /// What the rules say about somebody doing that.
    pub(super) fn ruling(&self, who: &Principal, access: &Access<'_>) -> Ruling<'_> {
        let applies = |rule: &&Rule| match access {
            Access::Publish(topic) => rule.on(Action::Publish) && rule.matches(who, topic),
            Access::Receive(topic) => rule.on(Action::Subscribe) && rule.matches(who, topic),
            Access::Request(topic) => rule.on(Action::Request) && rule.matches(who, topic),
            Access::Subscribe(filter) => rule.on(Action::Subscribe) && rule.covers(who, filter),
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

impl<'a> Ruling<'a> {
    /// The rule that decides, as it is written.
    pub(super) fn rule(&self) -> Option<&'a str> {
        self.rule.map(|rule| rule.text.as_str())
    }

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
