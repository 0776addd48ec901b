//! Floor 6. `spindle aio receive`: messages as lines, and their files below a folder.
//!
//! A lost connection is dialled again; what is sent meanwhile comes later, if the server keeps it.
//! Who prints slower than messages come is told how many were dropped. Absent on purpose:
//! processes that answer.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::base::time::Deadline;
use crate::client::aio::{Builder, Client, Inbox, Received};
use crate::os::clock::Clock;

use super::super::exit;
use super::{Link, Pace, print};

/// Flags of `aio receive`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Receive {
    /// Messages of these types [default: what the configuration lists, or any]
    #[arg(short, long = "type", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// What is published under these topics
    #[arg(short = 'T', long = "topic", value_name = "TOPICS", value_delimiter = ',')]
    topics: Vec<String>,
    /// Files for this type go below this folder; may be repeated
    #[arg(long, value_name = "TYPE=DIR")]
    folder: Vec<String>,
    /// Answer what waits for an answer with this text
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// End after so many messages
    #[arg(short = 'C', long, value_name = "MESSAGES")]
    count: Option<u64>,
    /// End after so many seconds, with code 27
    #[arg(short = 'W', value_name = "SECONDS")]
    within: Option<u64>,
    /// Print the data alone, without the type in front
    #[arg(long, conflicts_with = "json")]
    bare: bool,
}

/// When it is enough.
#[derive(Clone, Copy)]
pub(super) struct Until {
    pub(super) count: Option<u64>,
    pub(super) within: Option<u64>,
}

impl Receive {
    pub(super) fn run(&self, link: &Link) -> u8 {
        let mut pace = Pace::begin();
        self.play(link, &mut pace).unwrap_or_else(|code| code)
    }

    fn play(&self, link: &Link, pace: &mut Pace) -> Result<u8, u8> {
        let config = link.config(None)?;
        let mut types = self.types.clone();
        if types.is_empty() {
            types.clone_from(&config.receive);
        }
        if types.is_empty() && self.topics.is_empty() {
            types.push("any".to_owned());
        }
        let mut builder = link.builder(&config);
        for kind in &types {
            builder = builder.listen(kind);
        }
        for topic in &self.topics {
            builder = builder.subscribe(topic);
        }
        for (kind, folder) in &config.folders {
            builder = builder.folder(kind, folder);
        }
        for pair in &self.folder {
            let Some((kind, folder)) = pair.split_once('=') else {
                return Err(link.wrong("--folder is TYPE=DIR"));
            };
            builder = builder.folder(kind, PathBuf::from(folder));
        }
        let kinds = [types, self.topics.clone(), config.topics].concat();
        let until = Until { count: self.count, within: self.within };
        Ok(follow(link, &builder, &kinds, until, pace, |client, received| {
            let said = self.say(link, received);
            let answer = self.answer.as_ref().zip(received.answer());
            if let Some((text, answer)) = answer
                && let Err(error) = client.send(answer.with(text.clone()))
            {
                link.complain(&format!("the answer was not sent: {error}"));
            }
            said
        }))
    }

    fn say(&self, link: &Link, received: &Received) -> bool {
        print::say(&match (link.json, self.bare) {
            (true, _) => print::document(received),
            (false, true) => print::safe(&received.frame.data),
            (false, false) => print::line(received),
        })
    }
}

/// Hand on what comes until it is enough; `each` says whether anybody listens. The code at the end.
pub(super) fn follow(
    link: &Link,
    builder: &Builder,
    kinds: &[String],
    until: Until,
    pace: &mut Pace,
    each: impl Fn(&Client, &Received) -> bool,
) -> u8 {
    let client = match link.connect(builder) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let inboxes: Result<Vec<Inbox>, _> = kinds.iter().map(|kind| client.listen(kind)).collect();
    let inboxes = match inboxes {
        Ok(inboxes) => inboxes,
        Err(error) => return link.failed(&error),
    };
    let clock = Clock::start();
    let end =
        until.within.map_or(Deadline::NEVER, |s| clock.now().after_ms(s.saturating_mul(1_000)));
    let (mut seen, mut missed, mut online) = (0, 0, true);
    loop {
        let mut any = false;
        for inbox in &inboxes {
            // One waits a moment for all.
            let most = if any || inboxes.len() > 1 { QUICK } else { TURN };
            match inbox.wait(Some(most)) {
                Ok(Some(received)) => {
                    (any, seen) = (true, seen + 1);
                    // Whoever closed the pipe has heard enough.
                    if !each(&client, &received) || until.count == Some(seen) {
                        // The last answer is read before the end is, or is not to be had.
                        let _ = client.ping(link.patience());
                        return exit::DONE;
                    }
                }
                Ok(None) => {}
                Err(error) => return link.failed(&error),
            }
        }
        let all: u64 = inboxes.iter().map(Inbox::missed).sum();
        if all > missed {
            let more = all - missed;
            link.complain(&format!("{more} messages came faster than they were printed"));
            missed = all;
        }
        if online != client.is_online() {
            online = !online;
            let why = client.last_error().filter(|_| !online);
            link.complain(&match why {
                Some(why) => format!("{why}; dialling again"),
                None => "connected again".to_owned(),
            });
        }
        if pace.is_over() {
            return exit::DONE;
        }
        if clock.now().reached(end) {
            link.complain("Timed out");
            return exit::TIMED_OUT;
        }
    }
}

/// How long one inbox is waited for, if it is the only one.
const TURN: Duration = Duration::from_millis(100);
/// And if there are others.
const QUICK: Duration = Duration::from_millis(5);
