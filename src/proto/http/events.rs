//! Floor 3. Server-sent events: every second how the broker is, or what a trace sees.
//!
//! A snapshot is made once in a second, for all viewers, and none while nobody watches. A viewer
//! that does not keep up misses snapshots and nothing else happens to it; lines of a trace wait in
//! its own bounded queue, and what found no place there is told as a number. An event has the time
//! as its id, so a viewer that comes back just goes on. Absent on purpose: anything kept for a
//! viewer that is not there.

use crate::base::json::Writer;
use crate::base::time::{MS, Now};
use crate::base::{base64, calendar};
use crate::hub::Hub;
use crate::hub::admin::{Answer, Check, Question, Snapshot};
use crate::hub::watch::{Aim, Line};
use crate::proto::Ctx;
use crate::topic::{Dialect, Match, Plus};

use bytes::Bytes;

use super::call::Call;
use super::task::Step;
use super::v1::wrong;
use super::{metrics, plain};

/// The first words: come back after so long if the connection is lost.
pub const HELLO: &[u8] = b"retry: 2000\n\n";
/// Between two snapshots.
const SNAPSHOT_MS: u64 = 1_000;
/// Between two looks at a trace.
const TRACE_MS: u64 = 250;

/// What is said to a viewer.
#[derive(Debug)]
pub struct Stream {
    /// The trace it is about; a snapshot without one.
    pub trace: Option<u64>,
    due: bool,
}

impl Stream {
    /// Begins with an event at once.
    #[must_use]
    pub fn new(trace: Option<u64>) -> Self {
        Self { trace, due: true }
    }

    /// It is time.
    pub fn on_tick(&mut self) {
        self.due = true;
    }

    /// Something is to be asked.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Between two events.
    #[must_use]
    pub fn every_ms(&self) -> u64 {
        if self.trace.is_some() { TRACE_MS } else { SNAPSHOT_MS }
    }

    /// From when on the time to the next event counts. All who watch hear at the same moments.
    #[must_use]
    pub fn since(&self, now: Now) -> u64 {
        match self.trace {
            Some(_) => now.mono,
            None => second(now) * SNAPSHOT_MS * MS,
        }
    }

    /// What is to be asked now.
    pub fn poll_question(&mut self) -> Option<Question> {
        if !core::mem::take(&mut self.due) {
            return None;
        }
        Some(self.trace.map_or(Question::Watch, Question::Lines))
    }

    /// The events that this answer makes.
    #[must_use]
    pub fn write(&self, now: Now, answer: &Answer) -> Bytes {
        match answer {
            Answer::Watched(event) => event.clone(),
            Answer::Lines(lines, lost) => {
                let mut all = Vec::new();
                for line in lines {
                    all.extend(event(now, "line", |json| line_fields(line, json)));
                }
                if *lost > 0 {
                    all.extend(event(now, "lost", |json| {
                        json.field("lines", *lost);
                    }));
                }
                all.into()
            }
            _ => Bytes::new(),
        }
    }
}

/// Snapshots of the same second are the same snapshot.
#[must_use]
pub fn second(now: Now) -> u64 {
    now.mono / (SNAPSHOT_MS * MS)
}

/// How it is now, as an event: every number, and what is not well.
#[must_use]
pub fn snapshot(now: Now, snapshot: &Snapshot, checks: &[Check], hub: &Hub) -> Bytes {
    let all = event(now, "snapshot", |json| {
        metrics::numbers(snapshot, hub, now, json);
        json.list("failing", |json| plain::failing(checks, json));
    });
    all.into()
}

fn event(now: Now, name: &str, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut json = Writer::new();
    json.open();
    fill(&mut json);
    json.close();
    let mut text = format!("id: {}\nevent: {name}\ndata: ", now.wall).into_bytes();
    text.extend(json.take());
    text.extend_from_slice(b"\n\n");
    text
}

fn line_fields(line: &Line, json: &mut Writer) {
    json.field("at", &calendar::rfc3339(line.at))
        .field("event", line.what)
        .field("client", &line.client)
        .field("detail", &line.detail);
    if line.topic.is_empty() {
        return;
    }
    let text = core::str::from_utf8(&line.payload).ok();
    json.field("topic", &line.topic)
        .field("qos", line.qos)
        .field("retain", line.retain)
        .field("bytes", line.len);
    if !line.payload.is_empty() {
        let coded = base64::encode(&line.payload);
        json.field("encoding", if text.is_some() { "text" } else { "base64" })
            .field("payload", text.unwrap_or(&coded));
    }
}

/// How the broker is, every second.
pub fn snapshots(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Watch(None)
}

/// What happens to one client, topic or address.
pub fn trace(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let plus = Plus { levels_max: ctx.hub.limits.levels_max };
    let aims = [call.param("client"), call.param("topic"), call.param("address")];
    let aim = match aims {
        [Some(name), None, None] => Aim::Client(name.clone()),
        [None, Some(filter), None] => match plus.filter(filter, Match::Native) {
            Ok(filter) => Aim::Topics(Box::new(filter.detached())),
            Err(_) => return wrong("topic is no filter"),
        },
        [None, None, Some(address)] => {
            let text = core::str::from_utf8(address).ok();
            match text.and_then(|text| text.parse::<core::net::IpAddr>().ok()) {
                Some(ip) => Aim::Address(ip.into()),
                None => return wrong("address is an IP address"),
            }
        }
        _ => return wrong("name one client, topic or address"),
    };
    Step::Watch(Some(aim))
}
