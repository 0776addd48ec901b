//! Floor 3. The management API of gmqtt: its paths, its keys, its texts.
//!
//! Pages are counted from 1; what is no number is the default, and a page beyond the last is the
//! last. Times are RFC 3339, and what never happened is the year 1. Absent on purpose: everything
//! that API has no words for (`v1`).

use bytes::Bytes;

use crate::base::id::{Lsn, SessionId};
use crate::base::json::Writer;
use crate::base::time::Now;
use crate::base::{base64, calendar};
use crate::hub::Hub;
use crate::hub::admin::{Answer, Question, Search, SessionRow, SubRow, Wanted};
use crate::hub::session::Kind;
use crate::proto::Ctx;

use super::act::{self, Post, Undone};
use super::call::Call;
use super::packet::Response;
use super::task::{Shape, Step};

/// Rows of a page that does not say.
const PER_PAGE: u64 = 20;
const QOS: &str = "invalid Qos,only support qos0 | qos1 | qos2";
const FILTER: &str = "invalid topic filter";
/// What never happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Connected clients.
pub fn clients(call: &Call, _: &mut Ctx<'_>) -> Step {
    let wanted = Wanted { online: Some(true), ..Wanted::default() };
    list(call, wanted, false, Shape { session: client_row, ..SHAPE })
}

/// Sessions, connected or not.
pub fn sessions(call: &Call, _: &mut Ctx<'_>) -> Step {
    list(call, Wanted::default(), false, SHAPE)
}

/// Subscriptions, of one client if it is named.
pub fn subscriptions(call: &Call, _: &mut Ctx<'_>) -> Step {
    let name = call.args.first().cloned();
    let wanted = Wanted { name, subscribed: true, ..Wanted::default() };
    list(call, wanted, true, SHAPE)
}

/// One connected client.
pub fn client(call: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Session(call.arg(0), true), |_, answer, _, _| match answer {
        Answer::Session(Some(row)) => one(&row, client_row),
        _ => Response::text(404, "Client Not Found"),
    })
}

/// One session.
pub fn session(call: &Call, _: &mut Ctx<'_>) -> Step {
    Step::Ask(Question::Session(call.arg(0), false), session_found)
}

/// Publish a text.
pub fn publish(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let Some(qos) = qos_of(call) else { return refused(QOS) };
    let text = call.field("topic").unwrap_or_default();
    let Some(topic) = act::topic_of(&text, ctx) else { return refused("invalid topic name") };
    let body = call.field("payload").unwrap_or_default();
    let coded = call.field("encoding").is_some_and(|name| &name[..] == b"base64");
    let body = match coded {
        true => base64::decode(&body).map(Bytes::from),
        // A form carries text only, as gmqtt has it; a document says what it means.
        false => Some(body).filter(|body| call.is_json() || is_text(body)),
    };
    let Some(body) = body else {
        let text = if coded { "invalid base64" } else { "invalid utf-8 string" };
        return refused(text);
    };
    let retain = call.field("retain").is_some_and(|yes| matches!(&yes[..], b"true" | b"1"));
    let post = Post { topic, body, qos, retain, expiry_s: 0 };
    done(act::publish(call, post, ctx).map(|receipt| receipt.after))
}

/// Let a client listen.
pub fn subscribe(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let Some(qos) = qos_of(call) else { return refused(QOS) };
    let (name, id) = match client_of(call, ctx) {
        Ok(found) => found,
        Err(text) => return refused(text),
    };
    let (id, kind) = id.unzip();
    let parsed = act::filter_of(&name, kind.unwrap_or(Kind::Mqtt), ctx);
    let Some((filter, group)) = parsed else { return refused(FILTER) };
    let Some(id) = id else { return nobody(call) };
    done(act::subscribe(id, &filter, group.as_ref(), qos, ctx).map(|receipt| receipt.after))
}

/// Let it listen no longer.
pub fn unsubscribe(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let (name, id) = match client_of(call, ctx) {
        Ok(found) => found,
        Err(text) => return refused(text),
    };
    let (id, kind) = id.unzip();
    let parsed = act::filter_of(&name, kind.unwrap_or(Kind::Mqtt), ctx);
    let Some((filter, group)) = parsed else { return refused(FILTER) };
    let Some(id) = id else { return nobody(call) };
    let ended = act::unsubscribe(id, &filter, group.as_ref(), ctx);
    done(ended.map(|receipt| receipt.map_or(Lsn::START, |receipt| receipt.after)))
}

type Client = Option<(SessionId, Kind)>;

/// The filter that is meant, and whose. gmqtt looks at the filter first.
fn client_of(call: &Call, ctx: &Ctx<'_>) -> Result<(Bytes, Client), &'static str> {
    let filter = call.field("topic").unwrap_or_default();
    let name = call.field("clientId").unwrap_or_default();
    let found = act::session_of(&name, ctx);
    let kind = found.map_or(Kind::Mqtt, |(_, kind)| kind);
    if act::filter_of(&filter, kind, ctx).is_none() {
        return Err(FILTER);
    }
    if name.is_empty() {
        return Err("invalid clientId");
    }
    Ok((filter, found))
}

/// Nobody of this name: gmqtt says nothing about it, so only who writes JSON is told.
fn nobody(call: &Call) -> Step {
    match call.is_json() {
        true => Response::text(404, "Client Not Found").into(),
        false => done(Ok(Lsn::START)),
    }
}

fn qos_of(call: &Call) -> Option<u8> {
    match &call.field("qos")?[..] {
        b"0" => Some(0),
        b"1" => Some(1),
        b"2" => Some(2),
        _ => None,
    }
}

/// What gmqtt takes for text: UTF-8 without control characters.
fn is_text(body: &[u8]) -> bool {
    core::str::from_utf8(body).is_ok_and(|text| !text.contains(char::is_control))
}

fn refused(text: &str) -> Step {
    Response::text(400, text).into()
}

fn done(done: Result<Lsn, Undone>) -> Step {
    let text = match done {
        Ok(after) => {
            let body = br#"{"code":0,"result":[]}"#.to_vec();
            return Response::json(200, body).after(after).into();
        }
        Err(Undone::Later) => return Step::Later,
        Err(Undone::TooMany) => (400, "more subscriptions than a session may have"),
        Err(Undone::TooLarge) => (413, "it will never fit into the journal"),
        Err(Undone::Failed) => (503, "the disk failed, so nothing can be promised"),
    };
    Response::text(text.0, text.1).into()
}

fn session_found(_: &Call, answer: Answer, _: &Hub, _: Now) -> Response {
    match answer {
        Answer::Session(Some(row)) => one(&row, session_row),
        _ => Response::text(404, "Session Not Found"),
    }
}

fn one(row: &SessionRow, write: fn(&SessionRow, &mut Writer)) -> Response {
    let mut json = Writer::new();
    write(row, &mut json);
    Response::json(200, json.take())
}

fn list(call: &Call, wanted: Wanted, subscriptions: bool, shape: Shape) -> Step {
    let (page, rows) = page_of(call);
    let skip = (page - 1).saturating_mul(rows);
    let search = Search { wanted, skip, take: rows, subscriptions, ..Search::default() };
    Step::Rows(Box::new(search), shape)
}

/// Which page, and how many rows it has.
fn page_of(call: &Call) -> (u64, u64) {
    let number = |name: &str| {
        let text = core::str::from_utf8(call.param(name)?).ok()?;
        text.parse::<u64>().ok().filter(|n| *n > 0)
    };
    (number("page").unwrap_or(1), number("per-page").unwrap_or(PER_PAGE))
}

const SHAPE: Shape = Shape {
    begin: |json| {
        json.open().key("list").open_list();
    },
    session: session_row,
    subscription: subscription_row,
    end,
    counted: |call, search| {
        let (page, rows) = page_of(call);
        let total = search.total.unwrap_or(0);
        let last = total.div_ceil(rows).max(1);
        if page > last {
            search.again((last - 1) * rows);
        }
    },
};

fn end(call: &Call, search: &Search, shown: u64, json: &mut Writer) {
    let (page, rows) = page_of(call);
    let total = search.total.unwrap_or(0);
    let pages = total.div_ceil(rows);
    let page = if pages == 0 { page } else { page.min(pages) };
    json.close_list()
        .field("page", page)
        .field("page_size", rows)
        .field("current_count", shown)
        .field("total_count", total)
        .field("total_page", pages)
        .close();
}

fn time(ms: u64) -> String {
    if ms == 0 { NEVER.into() } else { calendar::rfc3339(ms) }
}

fn client_row(row: &SessionRow, json: &mut Writer) {
    let about = row.link.map(|link| link.about).unwrap_or_default();
    json.open()
        .field("client_id", &row.name)
        .field("username", &row.user)
        .field("remote_addr", &address(row))
        .field("clean_session", about.clean)
        .field("keep_alive", about.keepalive_s)
        .field("connected_at", &time(row.link.map_or(0, |link| link.since)))
        .close();
}

fn session_row(row: &SessionRow, json: &mut Writer) {
    let clean = row.link.map_or(!row.durable, |link| link.about.clean);
    json.open()
        .field("client_id", &row.name)
        .field("status", if row.link.is_some() { "online" } else { "offline" })
        .field("remote_addr", &address(row))
        .field("clean_session", clean)
        .field("subscriptions", row.subscriptions)
        .field("max_inflight", row.inflight_max)
        .field("inflight_len", row.inflight)
        .field("max_msg_queue", row.queued_max)
        .field("msg_queue_len", row.queued)
        .field("msg_queue_dropped", row.dropped)
        .field("connected_at", &time(row.link.map_or(0, |link| link.since)))
        .field("offline_at", &time(row.away_since))
        .close();
}

fn subscription_row(row: &SubRow, json: &mut Writer) {
    json.open()
        .field("client_id", &row.client)
        .field("qos", row.qos)
        .field("name", &full_name(row))
        .field("at", &time(row.since))
        .close();
}

/// The filter as its client wrote it, the group it shares included.
fn full_name(row: &SubRow) -> Bytes {
    if row.group.is_empty() {
        return row.filter.clone();
    }
    Bytes::from([b"$share/", &row.group[..], b"/", &row.filter[..]].concat())
}

fn address(row: &SessionRow) -> String {
    row.link.map(|link| link.address.to_string()).unwrap_or_default()
}
