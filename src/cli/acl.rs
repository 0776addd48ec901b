//! Floor 6. `spindle acl`: what a users file allows, and which rule says so.
//!
//! The file is read as the broker reads it, and the same code decides. Nothing is asked of a
//! running broker, so a file can be tried before it is used. Absent on purpose: editing rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use crate::access::{self, Terms};
use crate::base::limits::Limits;
use crate::hub::policy::{Access, Policy};
use crate::topic::{Dialect, Match, Plus};

use super::{FAILED, USAGE, complain, say};

/// What can be asked.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// May USER do this? Exit code 0: yes, 4: no
    Test {
        user: String,
        action: Action,
        /// A topic, or for subscribe a filter, as MQTT writes them
        topic: String,
        /// The users file
        #[arg(short, long, visible_alias = "config", short_alias = 'c', value_name = "FILE")]
        users: PathBuf,
        /// As this client; without it as one that is called like the user
        #[arg(short = 'i', long, value_name = "ID")]
        client_id: Option<String>,
    },
    /// List groups with their rules, and who is in them
    List {
        /// The users file
        #[arg(short, long, value_name = "FILE")]
        users: PathBuf,
    },
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
        match self {
            Self::Test { user, action, topic, users, client_id } => {
                test(&user, action, &topic, &users, client_id)
            }
            Self::List { users } => list(&users),
        }
    }
}

fn read(path: &Path) -> Result<String, u8> {
    std::fs::read_to_string(path).map_err(|e| complain(&format!("{}: {e}", path.display()), FAILED))
}

fn test(user: &str, action: Action, topic: &str, path: &Path, client_id: Option<String>) -> u8 {
    let text = match read(path) {
        Ok(text) => text,
        Err(code) => return code,
    };
    let mut policy = match access::Access::new(&text, [0; 2], Terms::default()) {
        Ok(policy) => policy,
        Err(note) => return complain(&format!("{}: {note}", path.display()), USAGE),
    };
    let Some(mut who) = policy.recall(&Bytes::copy_from_slice(user.as_bytes())) else {
        say("denied: there is no such user");
        return DENIED;
    };
    who.client_id = Bytes::from(client_id.unwrap_or_else(|| user.to_owned()));
    let plus = Plus { levels_max: Limits::default().levels_max };
    let text = Bytes::copy_from_slice(topic.as_bytes());
    let Ok(filter) = plus.filter(&text, Match::Native) else {
        return complain(&format!("not a filter: {topic}"), USAGE);
    };
    let access = match action {
        Action::Subscribe => Access::Subscribe(&filter),
        _ => {
            let Ok(topic) = plus.topic(&text) else {
                return complain(&format!("not a topic: {topic}"), USAGE);
            };
            return verdict(
                &mut policy,
                &who,
                &match action {
                    Action::Publish => Access::Publish(&topic),
                    Action::Request => Access::Request(&topic),
                    Action::Receive | Action::Subscribe => Access::Receive(&topic),
                },
            );
        }
    };
    verdict(&mut policy, &who, &access)
}

fn verdict(
    policy: &mut access::Access,
    who: &crate::hub::policy::Principal,
    access: &Access<'_>,
) -> u8 {
    say(&policy.explain(who, access));
    if policy.permit(who, access) { 0 } else { DENIED }
}

#[derive(Deserialize)]
struct File {
    mode: String,
    #[serde(default)]
    groups: BTreeMap<String, Group>,
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Deserialize)]
struct User {
    name: String,
    group: Option<String>,
}

fn list(path: &Path) -> u8 {
    let text = match read(path) {
        Ok(text) => text,
        Err(code) => return code,
    };
    let wrong = |why: String| complain(&format!("{}: {why}", path.display()), USAGE);
    // What the broker would refuse is not explained here.
    if let Err(note) = access::Access::new(&text, [0; 2], Terms::default()) {
        return wrong(note.to_string());
    }
    let file: File = match toml::from_str(&text) {
        Ok(file) => file,
        Err(e) => return wrong(e.message().to_owned()),
    };
    let mut out = format!("mode {}", file.mode);
    for (name, group) in &file.groups {
        out += &format!("\n\ngroup {name} ({})", group.kind.as_deref().unwrap_or("inclusive"));
        for rule in &group.rules {
            out += &format!("\n    {rule}");
        }
        let of = |user: &&User| user.group.as_deref().unwrap_or("User") == name;
        let names: Vec<&str> = file.users.iter().filter(of).map(|u| u.name.as_str()).collect();
        out += &format!("\n  users: {}", names.join(", "));
    }
    if file.groups.is_empty() {
        let names: Vec<&str> = file.users.iter().map(|u| u.name.as_str()).collect();
        out += &format!("\nusers: {}", names.join(", "));
    }
    say(&out)
}

/// Not allowed.
const DENIED: u8 = 4;
