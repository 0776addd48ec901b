//! Floor 3. What can be looked at besides clients and values.

use bytes::Bytes;
use log::Level;

use crate::base::calendar;
use crate::base::json::Writer;
use crate::base::limits::Limits;
use crate::base::tail::Ask;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Question};
use crate::hub::policy::{Access, Principal};
use crate::hub::queue::Queue;
use crate::proto::Ctx;
use crate::topic::{Dialect, Match, Plus};

use super::super::call::Call;
use super::super::packet::{JSON, Response};
use super::super::task::Step;
use super::super::{metrics, openapi, problem};
use super::{LIMIT, LIMIT_MAX, data, page, wrong};

/// Where the broker listens, and how many are there.
pub fn listeners(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Stats, |_, answer, _, _| {
        let Answer::Stats(snapshot) = answer else { return problem::of(500, "no answer") };
        page(
            |json| {
                for row in &snapshot.listeners {
                    let until = row.until.map(calendar::rfc3339);
                    json.open()
                        .field("listener", row.no)
                        .field("protocol", row.speaks)
                        .field("address", &row.address)
                        .field("tls", row.tls)
                        .field("inside", row.inside)
                        .field("proxy", row.proxy)
                        .field("durability", row.level)
                        .field("connections", row.connections)
                        .field("accepted", row.accepted)
                        .field("certificate_until", until.as_deref())
                        .close();
                }
            },
            None,
        )
    })
}

/// Who asks.
pub fn whoami(call: &Call, _: &mut Ctx<'_>) -> Step {
    data(|json| {
        json.open().field("name", &call.who).field("role", call.role.name()).close();
    })
    .into()
}

/// Every number.
pub fn stats(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Stats, stats_found)
}

fn stats_found(_: &Call, answer: Answer, hub: &Hub, now: Now) -> Response {
    let Answer::Stats(snapshot) = answer else { return problem::of(500, "no answer") };
    data(|json| {
        json.open();
        metrics::numbers(&snapshot, hub, now, json);
        json.close();
    })
}

/// Every bound, as it is set.
pub fn limits(_: &Call, ctx: &mut Ctx<'_>) -> Step {
    let limits = &ctx.hub.limits;
    page(
        |json| {
            for row in Limits::ALL {
                json.open()
                    .field("name", row.name)
                    .field("value", limits.show(row.name).as_ref())
                    .field("default", row.default)
                    .field("doc", row.doc)
                    .close();
            }
        },
        None,
    )
    .into()
}

/// Topics that readers of some protocol could not be told of.
pub fn unspelled(_: &Call, ctx: &mut Ctx<'_>) -> Step {
    let all = ctx.hub.unspelled();
    page(
        |json| {
            for it in all {
                json.open()
                    .field("protocol", it.kind.name())
                    .field("topic", it.topic.text())
                    .field("count", it.count)
                    .close();
            }
        },
        None,
    )
    .into()
}

/// The last lines of the log, as whoever writes it has kept them.
pub fn log(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let ask = match ask_of(call) {
        Ok(ask) => ask,
        Err(text) => return wrong(&text),
    };
    let Some(found) = ctx.hub.tails.as_ref().and_then(|tails| tails.page(ask)) else {
        return problem::of(404, "the log is not ours: whoever embeds the broker writes it").into();
    };
    let last = found.lines.last().filter(|_| found.more);
    page(
        |json| {
            for line in &found.lines {
                json.open()
                    .field("number", line.number)
                    .field("at", &calendar::rfc3339(line.at))
                    .field("level", &line.level.as_str().to_ascii_lowercase())
                    .field("target", &line.target)
                    .field("text", &line.text)
                    .close();
            }
        },
        last.map(|line| line.number.to_string()),
    )
    .into()
}

fn ask_of(call: &Call) -> Result<Ask, String> {
    let level = call.text("level")?.map(str::parse::<Level>).transpose();
    let level = level.map_err(|_| "level is error, warn, info, debug or trace")?;
    Ok(Ask {
        after: call.number("after", u64::MAX)?.unwrap_or_default(),
        least: level.unwrap_or(Level::Trace),
        most: most_of(call)?,
    })
}

/// Rows of a page.
fn most_of(call: &Call) -> Result<usize, String> {
    match call.number("limit", LIMIT_MAX)? {
        Some(0) => Err("limit is at least 1".into()),
        most => Ok(most.unwrap_or(LIMIT) as usize),
    }
}

/// Work queues, by address.
pub fn queues(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let most = match most_of(call) {
        Ok(most) => most,
        Err(text) => return wrong(&text),
    };
    let after = call.param("after").cloned();
    let Some(realm) = ctx.hub.realm(ctx.listener.realm) else { return wrong("no realm") };
    let behind = |queue: &&Queue| after.as_ref().is_none_or(|after| queue.address > after);
    let mut all: Vec<&Queue> = realm.queues.values().filter(behind).collect();
    // There are few queues: a bound says so.
    all.sort_unstable_by(|a, b| a.address.cmp(&b.address));
    let more = all.len() > most;
    all.truncate(most);
    let last = all.last().filter(|_| more);
    let next = last.map(|queue| String::from_utf8_lossy(&queue.address).into_owned());
    page(
        |json| {
            for queue in &all {
                queue_row(queue, json);
            }
        },
        next,
    )
    .into()
}

fn queue_row(queue: &Queue, json: &mut Writer) {
    json.open()
        .field("address", &queue.address)
        .field("creator", &queue.creator)
        .field("durable", queue.owner.is_some())
        .field("items", queue.outbox.queued())
        .field("in_memory", queue.outbox.held())
        .field("drainers", queue.drains.len())
        .close();
}

/// May this user do that, and which rule says so?
pub fn acl(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let user = call.field("user").unwrap_or_default();
    let text = call.field("topic").unwrap_or_default();
    let action = call.field("action").unwrap_or_default();
    let plus = Plus { levels_max: ctx.hub.limits.levels_max };
    let who = ctx.hub.policy.recall(&user);
    let client_id = call.field("client_id").unwrap_or_else(|| user.clone());
    let who = who.map(|who| Principal { client_id, ..who });
    let (topic, filter) = (plus.topic(&text), plus.filter(&text, Match::Native));
    let access = match &action[..] {
        b"subscribe" => match &filter {
            Ok(filter) => Access::Subscribe(filter),
            Err(_) => return wrong("topic is no filter"),
        },
        b"publish" | b"receive" | b"request" => match (&topic, &action[..]) {
            (Err(_), _) => return wrong("topic is no topic"),
            (Ok(topic), b"publish") => Access::Publish(topic),
            (Ok(topic), b"receive") => Access::Receive(topic),
            (Ok(topic), _) => Access::Request(topic),
        },
        _ => return wrong("action is publish, subscribe, receive or request"),
    };
    let (allowed, why) = match &who {
        None => (false, "denied: there is no such user".to_owned()),
        Some(who) => (ctx.hub.policy.permit(who, &access), ctx.hub.policy.explain(who, &access)),
    };
    data(|json| {
        json.open().field("allowed", allowed).field("why", &why).close();
    })
    .into()
}

/// The configuration in force, as whoever runs the machine has told it.
pub fn config(_: &Call, ctx: &mut Ctx<'_>) -> Step {
    let text = &ctx.hub.config;
    if text.is_empty() {
        return problem::of(404, "this broker was not made from a configuration").into();
    }
    let tag = format!("\"{:08x}\"", crc32c::crc32c(text));
    let mut json = Writer::new();
    json.open().key("data").raw(text).close();
    Response::json(200, json.take()).with("ETag", tag).into()
}

/// The description of all this.
pub fn description(_: &Call, _: &mut Ctx<'_>) -> Step {
    Response::new(200, JSON, Bytes::from(openapi::document())).into()
}
