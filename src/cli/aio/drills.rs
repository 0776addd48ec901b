//! Floor 6. `spindle aio test-send-messages`, `test-publish-messages`, `test-receive-messages`.
//!
//! What the original's programs of these names send, byte for byte, and print. A connection that is
//! lost is dialled again, and what is sent meanwhile waits. Absent on purpose: asking for the name
//! of a client, which only a server must.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::client::aio::{Client, Error, Message};
use crate::value::Value;

use super::super::exit;
use super::receive::{self, Until};
use super::{Link, Pace, print};

/// What all of them take.
#[derive(Args, Clone, Debug)]
struct Drill {
    /// A configuration of a client of aioconnectors
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Of these types [default: what the configuration lists, or any]
    #[arg(short, long = "type", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// End after so many messages
    #[arg(short = 'C', long, value_name = "MESSAGES")]
    count: Option<u64>,
}

impl Drill {
    fn types(&self, listed: &[String]) -> Vec<String> {
        let chosen = if self.types.is_empty() { listed } else { &self.types };
        if chosen.is_empty() { vec!["any".to_owned()] } else { chosen.to_owned() }
    }
}

/// Flags of `aio test-send-messages`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct SendMessages {
    #[command(flatten)]
    drill: Drill,
    /// Milliseconds from one to the next
    #[arg(short, long, value_name = "MS", default_value_t = 2_000)]
    interval: u64,
    /// Wait for each to be acknowledged
    #[arg(long)]
    ack: bool,
}

/// Flags of `aio test-publish-messages`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct PublishMessages {
    #[command(flatten)]
    drill: Drill,
    /// Milliseconds from one to the next
    #[arg(short, long, value_name = "MS", default_value_t = 2_000)]
    interval: u64,
}

/// Flags of `aio test-receive-messages`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct ReceiveMessages {
    #[command(flatten)]
    drill: Drill,
    /// End after so many seconds, with code 27
    #[arg(short = 'W', value_name = "SECONDS")]
    within: Option<u64>,
}

impl SendMessages {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let send = |client: &Client, message: Message| match self.ack {
            true => client.send_acked(message, link.patience()),
            false => client.send(message),
        };
        drill(&self.drill, link, self.interval, send).unwrap_or_else(|code| code)
    }
}

impl PublishMessages {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let publish = |client: &Client, message: Message| client.publish(message);
        drill(&self.drill, link, self.interval, publish).unwrap_or_else(|code| code)
    }
}

impl ReceiveMessages {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut pace = Pace::begin();
        let config = match link.config(self.drill.config.as_ref()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        let kinds = self.drill.types(&config.receive);
        let until = Until { count: self.drill.count, within: self.within };
        let builder = kinds.iter().fold(link.builder(&config), |it, kind| it.listen(kind));
        let folders = config.folders.iter();
        let builder = folders.fold(builder, |it, (kind, folder)| it.folder(kind, folder));
        let kinds = [kinds, config.topics.clone()].concat();
        receive::follow(link, &builder, &kinds, until, &mut pace, |_, received| {
            if link.json {
                return print::say(&print::document(received));
            }
            let header = print::header(&received.frame.header);
            let header = print::json(vec![("header", header)]);
            let mut said = print::say(&format!("RECEIVED MESSAGE {header}"));
            if !received.frame.data.is_empty() {
                said &= print::say(&format!("With data {}", print::safe(&received.frame.data)));
            }
            if !received.frame.binary.is_empty() {
                let len = received.frame.binary.len();
                said &= print::say(&format!("With binary of {len} bytes"));
            }
            said
        })
    }
}

/// One message of each type, again and again.
fn drill(
    drill: &Drill,
    link: &Link,
    interval: u64,
    send: impl Fn(&Client, Message) -> Result<(), Error>,
) -> Result<u8, u8> {
    let mut pace = Pace::begin();
    let config = link.config(drill.config.as_ref())?;
    let types = drill.types(&config.send);
    let client = link.connect(&link.builder(&config))?;
    let (mut index, mut sent) = (0_u64, 0_u64);
    loop {
        index += 1;
        for kind in &types {
            send(&client, message(kind, index)).map_err(|error| link.failed(&error))?;
            sent += 1;
            let line = if link.json {
                let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                print::json(vec![("sent", print::text(kind.as_str())), ("index", index)])
            } else {
                format!("sent {kind} {index}")
            };
            if !print::say(&line) || drill.count == Some(sent) {
                return Ok(exit::DONE);
            }
        }
        if !pace.pause(Duration::from_millis(interval)) {
            return Ok(exit::DONE);
        }
    }
}

/// As the original writes it: data in JSON, the number five times.
fn message(kind: &str, index: u64) -> Message {
    let data = format!("\"TEST_MESSAGE {}\"", index.to_string().repeat(5));
    let mut message = Message::of(kind, "").with(data);
    message.header.request_id = Some(index.into());
    message.header.tag = Some("tag1".into());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_message_is_the_originals() {
        let message = message("any", 12);
        assert_eq!(&message.data[..], b"\"TEST_MESSAGE 1212121212\"");
        assert_eq!(message.header.request_id, Some(12.into()));
    }
}
