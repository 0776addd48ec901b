//! Floor 6. `spindle wamp meta`: what a router says of its sessions, registrations, subscriptions.
//!
//! Short names stand for the procedures of the standard; any other name is a procedure under
//! `wamp.`. Absent on purpose: what a router answers, which is its own to say.

use clap::Args;

use crate::client::wamp::CallOptions;
use crate::value::Value;

use super::{Link, call, values};

/// Flags of `wamp meta`.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub(in super::super) struct Meta {
    /// A short name, or a procedure such as session.count
    #[arg(value_name = "PROC")]
    procedure: String,
    /// What it is to be asked: JSON, or text where it is none
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Values by name: a JSON object
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,
    /// Why, as a URI: for kill and remove
    #[arg(long, value_name = "URI")]
    reason: Option<String>,
    /// Why, in words: for kill
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

impl Meta {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut payload = match values::payload(&self.args, self.kwargs.as_deref(), false) {
            Ok(payload) => payload,
            Err(why) => return link.wrong(&why),
        };
        for (key, text) in [("reason", &self.reason), ("message", &self.message)] {
            let value = text.as_ref().map(|text| Value::Text(text.clone()));
            payload.kwargs.extend(value.map(|value| (key.to_owned(), value)));
        }
        let procedure = meant(&self.procedure);
        match link.connect() {
            Ok(client) => {
                let options = CallOptions::default();
                call::ask(link, &client, &procedure, options, payload, values::lines)
            }
            Err(code) => code,
        }
    }
}

/// The procedure that a name stands for.
fn meant(name: &str) -> String {
    match SHORT.iter().find(|(short, _)| *short == name) {
        Some((_, whole)) => format!("wamp.{whole}"),
        None if name.starts_with("wamp.") => name.to_owned(),
        None => format!("wamp.{name}"),
    }
}

fn after_help() -> String {
    let row = |(short, whole): &(&str, &str)| format!("  {short:<16} wamp.{whole}");
    let rows: Vec<String> = SHORT.iter().map(row).collect();
    format!("Short names:\n{}", rows.join("\n"))
}

const SHORT: &[(&str, &str)] = &[
    ("sessions", "session.list"),
    ("session", "session.get"),
    ("count", "session.count"),
    ("kill", "session.kill"),
    ("kill-authid", "session.kill_by_authid"),
    ("kill-authrole", "session.kill_by_authrole"),
    ("kill-all", "session.kill_all"),
    ("registrations", "registration.list"),
    ("registration", "registration.get"),
    ("procedure", "registration.match"),
    ("callees", "registration.list_callees"),
    ("subscriptions", "subscription.list"),
    ("subscription", "subscription.get"),
    ("topic", "subscription.match"),
    ("subscribers", "subscription.list_subscribers"),
    ("events", "subscription.get_events"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stand_for_procedures_and_long_ones_for_themselves() {
        assert_eq!(meant("kill"), "wamp.session.kill");
        assert_eq!(meant("session.count"), "wamp.session.count");
        assert_eq!(meant("wamp.session.count"), "wamp.session.count");
        for (at, (short, _)) in SHORT.iter().enumerate() {
            assert!(SHORT[..at].iter().all(|(other, _)| other != short), "{short} stands twice");
        }
    }
}
