//! Floor 3. Topics as a tree, and the values that are kept in it.
//!
//! Only topics with a kept value are known to the broker at all. A level is shown with how much
//! lies below it, counted up to a bound; a long list goes on behind the last topic that was shown.

use bytes::Bytes;

use crate::base::base64;
use crate::base::json::Writer;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{Answer, Question};
use crate::hub::kept::Look;
use crate::hub::message::Message;
use crate::proto::Ctx;
use crate::proto::carried;
use crate::topic::{Dialect, Plus, Topic};

use super::super::act::{self, Post};
use super::super::call::Call;
use super::super::packet::Response;
use super::super::task::Step;
use super::{LIMIT, LIMIT_MAX, data, missing, moment, page, undone, wrong};

/// The levels below a prefix.
pub fn topics(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let look = match look_of(call, ctx) {
        Ok(look) => look,
        Err(text) => return wrong(&text),
    };
    let (rows, more) = ctx.hub.kept_levels(ctx.listener.realm, &look);
    let next = rows.last().filter(|_| more).map(|row| text_of(&row.topic));
    page(
        |json| {
            for row in &rows {
                let level = row.topic.levels().next_back().unwrap_or_default();
                json.open()
                    .field("level", level)
                    .field("topic", &text_of(&row.topic))
                    .field("retained", row.here)
                    .field("below", row.below)
                    .field("below_is_more", row.capped)
                    .close();
            }
        },
        next,
    )
    .into()
}

/// Kept values below a prefix.
pub fn retained(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let look = match look_of(call, ctx) {
        Ok(look) => look,
        Err(text) => return wrong(&text),
    };
    let (rows, more) = ctx.hub.kept_values(ctx.now, ctx.listener.realm, &look);
    let next = rows.last().filter(|_| more).map(|row| text_of(&row.topic));
    page(
        |json| {
            for row in &rows {
                json.open()
                    .field("topic", &text_of(&row.topic))
                    .field("stored_bytes", row.bytes)
                    .field("expires_at", moment(row.expires).as_ref())
                    .field("on_disk", row.on_disk)
                    .close();
            }
        },
        next,
    )
    .into()
}

/// Where to look, and for how much. A level without a name is a level: topics that begin with a
/// slash are below it.
fn look_of(call: &Call, ctx: &Ctx<'_>) -> Result<Look, String> {
    let topic = |name: &str| match call.param(name) {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(Some(Topic::from_levels([&b""[..]]))),
        Some(text) => match read(text, ctx) {
            Some(topic) => Ok(Some(topic)),
            None => Err(format!("{name} is no topic")),
        },
    };
    let most = call.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT);
    if most == 0 {
        return Err(format!("limit is a whole number from 1 to {LIMIT_MAX}"));
    }
    Ok(Look { prefix: topic("prefix")?, after: topic("after")?, most: most as usize })
}

fn read(text: &Bytes, ctx: &Ctx<'_>) -> Option<Topic> {
    Plus { levels_max: ctx.hub.limits.levels_max }.topic(text).ok()
}

fn text_of(topic: &Topic) -> String {
    String::from_utf8_lossy(topic.spelled_with(b'/').unwrap_or_else(|| topic.text())).into_owned()
}

/// One kept value.
pub fn value(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let topic = call.param("topic").and_then(|text| read(text, ctx));
    let Some(topic) = topic else { return wrong("topic is no topic") };
    let question = Question::Value(ctx.listener.realm, topic);
    Step::Ask(question, value_found)
}

fn value_found(_: &Call, answer: Answer, _: &Hub, _: Now) -> Response {
    let Answer::Value(Some(message)) = answer else {
        return missing("nothing is kept under this topic");
    };
    let Some(body) = carried::plain(&message, true) else {
        return missing("what is kept under this topic is for some readers only, or no body");
    };
    data(|json| {
        json.open();
        message_fields(&message, &body, json);
        json.close();
    })
}

fn message_fields(message: &Message, body: &[u8], json: &mut Writer) {
    let text = core::str::from_utf8(body).ok();
    let text = text.filter(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()));
    let coded = base64::encode(body);
    json.field("topic", &text_of(&message.topic))
        .field("encoding", if text.is_some() { "text" } else { "base64" })
        .field("payload", text.unwrap_or(&coded))
        .field("bytes", body.len())
        .field("qos", message.qos)
        .field("published_at", moment(message.born).as_ref())
        .field("expires_at", moment(message.expires).as_ref());
}

/// Forget a kept value.
pub fn clear(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let topic = call.param("topic").and_then(|text| read(text, ctx));
    let Some(topic) = topic else { return wrong("topic is no topic") };
    let realm = ctx.hub.realm(ctx.listener.realm);
    if realm.is_none_or(|realm| realm.retained.get(&topic).is_none()) {
        return missing("nothing is kept under this topic").into();
    }
    let post = Post { topic, body: Bytes::new(), qos: 1, retain: true, expiry_s: 0 };
    match act::publish(call, post, ctx) {
        Ok(receipt) => Response::new(204, "", "").after(receipt.after).into(),
        Err(why) => undone(why),
    }
}
