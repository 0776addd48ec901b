//! Floor 6. `spindle acl`: what the rules allow, and which of them says so.
//!
//! The file is read as the broker reads it, and the same code decides; only the line of the rule is
//! looked up here. Nothing is asked of a running broker, so a file can be tried before it is used.
//! Absent on purpose: editing rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use toml::Spanned;

use super::ctl::object;
use super::flags::Flags;
use super::json::Value;
use super::{FAILED, USAGE, complain, complain_of, say};
use crate::access::{self, Terms};
use crate::base::limits::Limits;
use crate::config::Config;
use crate::hub::policy::{Access, Open, Policy, Principal};
use crate::topic::{Dialect, Match, Plus};

/// What can be asked.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// May USER do this, and which rule says so? Exit code 0: yes, 4: no
    Test {
        user: String,
        action: Action,
        /// A topic, or for subscribe a filter, as MQTT writes them
        topic: String,
        #[command(flatten)]
        from: From,
        /// As this client; without it as one that is called like the user
        #[arg(short = 'i', long, value_name = "ID")]
        client_id: Option<String>,
    },
    /// List groups with their rules, and who is in them
    List {
        #[command(flatten)]
        from: From,
    },
}

/// Where the rules stand.
#[derive(Args, Clone, Debug)]
pub(super) struct From {
    /// The broker's configuration, which names the users file; without it, the one that
    /// SPINDLE_CONFIG names
    #[arg(short, long, value_name = "FILE", conflicts_with = "users")]
    config: Option<PathBuf>,
    /// The users file itself
    #[arg(short, long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Answers as JSON
    #[arg(long)]
    json: bool,
}

/// What somebody wants to do.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum Action {
    /// Publish to a topic
    Publish,
    /// Subscribe to a filter
    Subscribe,
    /// Be handed a message of a topic
    Receive,
    /// Use a queue, or call a procedure
    Request,
}

impl Verb {
    pub(super) fn run(self) -> u8 {
        let (Self::Test { from, .. } | Self::List { from }) = &self;
        let rules = match from.rules() {
            Ok(rules) => rules,
            Err(code) => return code,
        };
        let json = from.json;
        match self {
            Self::Test { user, action, topic, client_id, .. } => {
                let client_id = client_id.unwrap_or_else(|| user.clone());
                match rules.judge(&user, client_id, action, &topic) {
                    Ok(verdict) => verdict.tell(json),
                    Err(why) => complain(&why, USAGE),
                }
            }
            Self::List { .. } => rules.list(json),
        }
    }
}

/// A users file, if there is one.
struct Rules {
    file: Option<Roll>,
    levels_max: usize,
}

struct Roll {
    path: PathBuf,
    text: String,
    policy: access::Access,
    content: File,
}

impl From {
    /// Read them as the broker does, or complain and end with a code.
    fn rules(&self) -> Result<Rules, u8> {
        let (path, levels_max) = match &self.users {
            Some(path) => (Some(path.clone()), Limits::default().levels_max),
            None => {
                let sources = Flags::file(self.config.as_deref()).sources();
                let settings = Config::load(&sources).map_err(|wrong| complain_of(&wrong))?;
                let settings = settings.settings;
                (settings.users, settings.limits.levels_max)
            }
        };
        let file = path.map(|path| Roll::read(&path)).transpose()?;
        Ok(Rules { file, levels_max })
    }
}

impl Roll {
    fn read(path: &Path) -> Result<Self, u8> {
        let wrong = |why: &dyn std::fmt::Display, code| {
            complain(&format!("{}: {why}", path.display()), code)
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e, FAILED))?;
        let policy = access::Access::new(&text, [0; 2], Terms::default());
        let policy = policy.map_err(|note| wrong(&note, USAGE))?;
        let content = toml::from_str(&text).map_err(|e| wrong(&e.message(), USAGE))?;
        Ok(Self { path: path.to_owned(), text, policy, content })
    }

    /// `FILE`, or `FILE:LINE` of a rule, or else of its group.
    fn place(&self, group: Option<&str>, rule: Option<&str>) -> (String, Option<usize>) {
        let group = group.and_then(|name| self.content.groups.get(name));
        let rules = group.iter().flat_map(|group| &group.get_ref().rules);
        let found = rules.into_iter().find(|own| Some(own.get_ref().as_str()) == rule);
        let at =
            found.map(|rule| rule.span().start).or_else(|| group.map(|group| group.span().start));
        let lines = |at| self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        (self.path.display().to_string(), at.map(lines))
    }
}

impl Rules {
    fn judge(
        mut self,
        user: &str,
        client_id: String,
        action: Action,
        topic: &str,
    ) -> Result<Verdict, String> {
        let plus = Plus { levels_max: self.levels_max };
        let text = Bytes::copy_from_slice(topic.as_bytes());
        let (filter, name) = (plus.filter(&text, Match::Native), plus.topic(&text));
        let no_topic = |_| format!("not a topic: {}", topic.escape_debug());
        let access = match action {
            Action::Subscribe => Access::Subscribe(
                filter.as_ref().map_err(|_| format!("not a filter: {}", topic.escape_debug()))?,
            ),
            Action::Publish => Access::Publish(name.as_ref().map_err(no_topic)?),
            Action::Request => Access::Request(name.as_ref().map_err(no_topic)?),
            Action::Receive => Access::Receive(name.as_ref().map_err(no_topic)?),
        };
        let own = Bytes::copy_from_slice(user.as_bytes());
        let client_id = Bytes::from(client_id);
        let Some(file) = &mut self.file else {
            let who = Open.recall(&own).map(|who| Principal { client_id, ..who });
            let who = who.ok_or("nobody is known without a users file")?;
            let (allowed, why) = (Open.permit(&who, &access), Open.explain(&who, &access));
            return Ok(Verdict { allowed, why, ..Verdict::default() });
        };
        let Some(who) = file.policy.recall(&own).map(|who| Principal { client_id, ..who }) else {
            let place = Some(file.place(None, None));
            let why = "denied: there is no such user".to_owned();
            return Ok(Verdict { why, place, ..Verdict::default() });
        };
        let allowed = file.policy.permit(&who, &access);
        let why = file.policy.explain(&who, &access);
        let by = file.policy.decided_by(&who, &access);
        let (group, rule) = (by.map(|(group, _)| group), by.and_then(|(_, rule)| rule));
        let place = Some(file.place(group, rule));
        let [group, rule] = [group, rule].map(|text| text.map(str::to_owned));
        Ok(Verdict { allowed, why, group, rule, place })
    }

    fn list(&self, json: bool) -> u8 {
        let Some(Roll { content, .. }) = &self.file else {
            return complain("there is no users file, so there are no rules", FAILED);
        };
        if json {
            return say(&String::from_utf8_lossy(&content.document().print(false)));
        }
        let mut out = format!("mode {}", content.mode);
        if let Some(group) = &content.guests {
            out += &format!("\nwhoever names no user is in group {group}");
        }
        for (name, group) in &content.groups {
            let group = group.get_ref();
            out += &format!("\n\ngroup {name} ({})", group.kind());
            for rule in &group.rules {
                out += &format!("\n    {}", rule.get_ref());
            }
            out += &format!("\n  users: {}", content.members(name).join(", "));
        }
        if content.groups.is_empty() {
            let names: Vec<&str> = content.users.iter().map(|u| u.name.as_str()).collect();
            out += &format!("\nusers: {}", names.join(", "));
        }
        say(&out)
    }
}

/// May they, and who says so?
#[derive(Default)]
struct Verdict {
    allowed: bool,
    why: String,
    group: Option<String>,
    rule: Option<String>,
    place: Option<(String, Option<usize>)>,
}

impl Verdict {
    fn tell(self, json: bool) -> u8 {
        let code = if self.allowed { 0 } else { DENIED };
        let (file, line) = self.place.map_or((None, None), |(file, line)| (Some(file), line));
        let said = if json {
            let or_null = |it: Option<String>| it.map_or(Value::Null, |it| text(&it));
            let whole = object(vec![
                ("allowed", Value::Bool(self.allowed)),
                ("why", text(&self.why)),
                ("group", or_null(self.group)),
                ("rule", or_null(self.rule)),
                ("file", or_null(file)),
                ("line", line.map_or(Value::Null, |line| Value::Number(line as f64))),
            ]);
            String::from_utf8_lossy(&whole.print(false)).into_owned()
        } else {
            match (file, line) {
                (Some(file), Some(line)) => format!("{file}:{line}: {}", self.why),
                (Some(file), None) => format!("{file}: {}", self.why),
                (None, _) => self.why,
            }
        };
        // Whoever cannot be told the answer has none.
        if say(&said) == 0 { code } else { FAILED }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

#[derive(Deserialize)]
struct File {
    mode: String,
    guests: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, Spanned<Group>>,
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    rules: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct User {
    name: String,
    group: Option<String>,
}

impl Group {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("inclusive")
    }
}

impl File {
    /// Who is in a group.
    fn members(&self, group: &str) -> Vec<&str> {
        let of = |user: &&User| user.group.as_deref().unwrap_or("User") == group;
        self.users.iter().filter(of).map(|user| user.name.as_str()).collect()
    }

    fn document(&self) -> Value {
        let texts = |all: Vec<&str>| Value::List(all.into_iter().map(text).collect());
        let groups = self.groups.iter().map(|(name, group)| {
            let rules = group.get_ref().rules.iter().map(|rule| rule.get_ref().as_str());
            object(vec![
                ("name", text(name)),
                ("type", text(group.get_ref().kind())),
                ("rules", texts(rules.collect())),
                ("users", texts(self.members(name))),
            ])
        });
        let names = self.users.iter().map(|user| user.name.as_str());
        object(vec![
            ("mode", text(&self.mode)),
            ("guests", self.guests.as_deref().map_or(Value::Null, text)),
            ("groups", Value::List(groups.collect())),
            ("users", texts(names.collect())),
        ])
    }
}

/// Not allowed.
const DENIED: u8 = 4;
