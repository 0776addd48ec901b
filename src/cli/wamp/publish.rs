//! Floor 6. `spindle wamp pub`: one event.
//!
//! Without `--ack` a router says nothing, also not when it refuses the event: then an exit code of
//! 0 means that it was sent. Absent on purpose: a line of input for each event.

use clap::Args;

use crate::client::wamp::{Audience, PublishOptions, Text};
use crate::value::Value;

use super::super::exit;
use super::{Link, values};

/// Flags of `wamp pub`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Pub {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Values: JSON, or text where it is none
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Values by name: a JSON object
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,
    /// All values are text
    #[arg(long)]
    text: bool,
    /// Wait until the router has taken it, and print the publication's id
    #[arg(long)]
    ack: bool,
    /// The router keeps it for those who come later
    #[arg(long)]
    retain: bool,
    /// Subscribers may know who published it
    #[arg(long)]
    disclose: bool,
    /// Which node of a sharded subscription it is for
    #[arg(long, value_name = "KEY")]
    rkey: Option<String>,
    /// For these sessions only
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    eligible: Option<Vec<u64>>,
    /// Not for these
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    exclude: Option<Vec<u64>>,
    /// For these users only
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    eligible_authid: Option<Vec<String>>,
    /// Not for these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    exclude_authid: Option<Vec<String>>,
    /// For these roles only
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    eligible_authrole: Option<Vec<String>>,
    /// Not for these
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    exclude_authrole: Option<Vec<String>>,
}

impl Pub {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let payload = match values::payload(&self.args, self.kwargs.as_deref(), self.text) {
            Ok(payload) => payload,
            Err(why) => return link.wrong(&why),
        };
        let client = match link.connect() {
            Ok(client) => client,
            Err(code) => return code,
        };
        let publication = match client.publish(&self.topic, self.options(), payload) {
            Ok(publication) => publication,
            Err(error) => return link.failed(&error),
        };
        if let Some(id) = publication {
            let id = Value::Int(i64::try_from(id).unwrap_or(i64::MAX));
            values::say(&match link.json {
                true => values::print(&Value::Map(vec![("publication".to_owned(), id)])),
                false => values::print(&id),
            });
        }
        client.leave();
        exit::DONE
    }

    fn options(&self) -> PublishOptions {
        let texts = |all: &Option<Vec<String>>| {
            all.as_ref().map(|all| all.iter().map(|it| Text::from(it.as_str())).collect())
        };
        let audience = Audience {
            exclude: self.exclude.clone(),
            eligible: self.eligible.clone(),
            exclude_authid: texts(&self.exclude_authid),
            eligible_authid: texts(&self.eligible_authid),
            exclude_authrole: texts(&self.exclude_authrole),
            eligible_authrole: texts(&self.eligible_authrole),
            ..Audience::default()
        };
        PublishOptions {
            acknowledge: self.ack,
            retain: self.retain,
            disclose_me: self.disclose,
            rkey: self.rkey.as_deref().map(Text::from),
            audience: (audience != Audience::default()).then(|| Box::new(audience)),
            ..PublishOptions::default()
        }
    }
}
