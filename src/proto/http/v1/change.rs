//! Floor 3. What an operator changes: messages, bans, and the broker itself.

use bytes::Bytes;

use crate::base::base64;
use crate::hub::admin::{Answer, Operation, Question};
use crate::hub::bans::{Ban, Banned, block_of};
use crate::proto::Ctx;

use super::super::act::{self, Post};
use super::super::call::Call;
use super::super::packet::Response;
use super::super::problem;
use super::super::task::Step;
use super::{LIMIT, LIMIT_MAX, data, held, missing, moment, page, undone, wrong};

/// Bytes of a reason for a ban.
const REASON_MAX: usize = 200;
/// Bytes of what a ban is about.
const BANNED_MAX: usize = 1_024;

/// Publish.
pub fn publish(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let whole = |name: &str| call.json().and_then(|body| body.at(name)).map(|v| v.whole());
    let qos = match whole("qos") {
        None => 0,
        Some(Some(qos @ 0..=2)) => qos as u8,
        Some(_) => return wrong("qos is 0, 1 or 2"),
    };
    let expiry_s = match whole("expiry_seconds") {
        None => 0,
        Some(Some(s)) if s <= u64::from(u32::MAX) => s,
        Some(_) => return wrong("expiry_seconds is a whole number up to 4294967295"),
    };
    let text = call.field("topic").unwrap_or_default();
    let Some(topic) = act::topic_of(&text, ctx) else { return wrong("topic is no topic") };
    let body = call.field("payload").unwrap_or_default();
    let body = match call.field("encoding").as_deref() {
        None | Some(b"text") => body,
        Some(b"base64") => match base64::decode(&body) {
            Some(bytes) => Bytes::from(bytes),
            None => return wrong("payload is not base64"),
        },
        Some(_) => return wrong("encoding is text or base64"),
    };
    let retain = match call.json().and_then(|body| body.at("retain")) {
        None => false,
        Some(yes) => match yes.truth() {
            Some(yes) => yes,
            None => return wrong("retain is true or false"),
        },
    };
    match act::publish(call, Post { topic, body, qos, retain, expiry_s }, ctx) {
        Ok(receipt) => {
            let said = data(|json| {
                json.open().field("matched", receipt.matched).close();
            });
            said.after(receipt.after).into()
        }
        Err(why) => undone(why),
    }
}

/// Who is banned.
pub fn bans(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let most = match call.number("limit", LIMIT_MAX) {
        Ok(Some(0)) => return wrong("limit is at least 1"),
        Ok(most) => most.unwrap_or(LIMIT) as usize,
        Err(text) => return wrong(&text),
    };
    let after = match call.param("after") {
        None => None,
        Some(token) => {
            let mut parts = token.splitn(2, |b| *b == b':');
            let kind = parts.next().and_then(Banned::of);
            let (Some(kind), Some(value)) = (kind, parts.next()) else {
                return wrong("after is no token of this list");
            };
            Some((kind, Bytes::copy_from_slice(value)))
        }
    };
    let mut all = ctx.hub.bans().list(ctx.now, after, most + 1);
    let more = all.len() > most;
    all.truncate(most);
    let token = |ban: &Ban| format!("{}:{}", ban.kind.name(), String::from_utf8_lossy(&ban.value));
    let next = all.last().filter(|_| more).map(token);
    page(
        |json| {
            for ban in &all {
                json.open()
                    .field("kind", ban.kind.name())
                    .field("value", &ban.value)
                    .field("until", moment(ban.until).as_ref())
                    .field("reason", &ban.reason)
                    .close();
            }
        },
        next,
    )
    .into()
}

/// Ban, and close the connections it is about.
pub fn ban(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let kind = call.field("kind").and_then(|name| Banned::of(&name));
    let Some(kind) = kind else { return wrong("kind is client, user or address") };
    let value = call.field("value").unwrap_or_default();
    if value.is_empty() || value.len() > BANNED_MAX {
        return wrong("value has 1 to 1024 bytes");
    }
    if kind == Banned::Address && block_of(&value).is_none() {
        return wrong("value is an address or a block of them, as in 10.0.0.0/8");
    }
    let seconds = match call.json().and_then(|body| body.at("seconds")).map(|v| v.whole()) {
        None => 0,
        Some(Some(s)) if s > 0 && s <= u64::from(u32::MAX) => s,
        Some(_) => return wrong("seconds is a whole number from 1 to 4294967295"),
    };
    let until = match seconds {
        0 => 0,
        s => ctx.now.wall.saturating_add(s * 1_000),
    };
    let reason = call.field("reason").unwrap_or_default();
    if reason.len() > REASON_MAX {
        return wrong("reason has up to 200 bytes");
    }
    let ban = Ban { kind, value, until, reason };
    Step::Ask(Question::Ban(Box::new(ban)), |_, answer, _, _| match answer {
        Answer::Ended(closed, after) => data(|json| {
            json.open().field("closed", closed).close();
        })
        .after(after),
        Answer::Held(why) => held(why),
        _ => problem::of(409, "there are as many bans as there may be"),
    })
}

/// End a ban.
pub fn unban(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let (kind, value) = match (call.named(0, "kind"), call.named(1, "value")) {
        (Ok(kind), Ok(value)) => (kind, value),
        (Err(text), _) | (_, Err(text)) => return wrong(&text),
    };
    let Some(kind) = Banned::of(&kind) else {
        return missing("kind is client, user or address").into();
    };
    match ctx.hub.unban(ctx.now, kind, &value) {
        Ok(Some(receipt)) => Response::new(204, "", "").after(receipt.after).into(),
        Ok(None) => missing("there is no such ban").into(),
        Err(why) => undone(why.into()),
    }
}

/// Read the configuration again.
pub fn reload(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Operate(Operation::Reload)
}

/// Take nobody new, and say so to whoever balances.
pub fn drain(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Operate(Operation::Drain)
}

/// Come to an end.
pub fn stop(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Operate(Operation::Stop)
}

/// Open the log's file again.
pub fn reopen(_: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Operate(Operation::Reopen)
}

/// Say more or less in the log, for a time.
pub fn log(call: &Call, _: &mut Ctx<'_>) -> Step {
    let text = |name: &str| {
        let text = call.field(name).unwrap_or_default();
        String::from_utf8(text.to_vec()).unwrap_or_default()
    };
    let (target, level) = (text("target"), text("level"));
    if !["off", "error", "warn", "info", "debug", "trace"].contains(&level.as_str()) {
        return wrong("level is off, error, warn, info, debug or trace");
    }
    let tame = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    if target.len() > 64 || !target.bytes().all(tame) {
        return wrong("target is a name like spindle::proto, or empty for all of them");
    }
    let for_s = match call.json().and_then(|body| body.at("seconds")).map(|v| v.whole()) {
        None => 300,
        Some(Some(s)) if s > 0 && s <= 86_400 => s,
        Some(_) => return wrong("seconds is a whole number from 1 to 86400"),
    };
    Step::Operate(Operation::LogLevel { target, level, for_s })
}
