//! Floor 3. Clients and sessions: lists, one of them, its subscriptions, and its end.

use bytes::Bytes;

use crate::base::json::Writer;
use crate::base::time::Now;
use crate::hub::Hub;
use crate::hub::admin::{
    Answer, ClientRow, Key, Operation, Question, Search, SessionRow, Sort, SubRow, Wanted,
};
use crate::hub::policy::Address;
use crate::hub::session::Kind;
use crate::proto::Ctx;

use super::super::act;
use super::super::call::Call;
use super::super::packet::Response;
use super::super::problem;
use super::super::task::{Render, Shape, Step};
use super::{LIMIT, LIMIT_MAX, data, held, key_of, missing, moment, token_of, undone, wrong};

/// Connected clients.
pub fn clients(call: &Call, _: &mut Ctx<'_>) -> Step {
    list(call, Some(true), false)
}

/// Sessions, connected or not.
pub fn sessions(call: &Call, _: &mut Ctx<'_>) -> Step {
    list(call, None, false)
}

/// Subscriptions of all of them.
pub fn subscriptions(call: &Call, _: &mut Ctx<'_>) -> Step {
    list(call, None, true)
}

fn list(call: &Call, online: Option<bool>, subscriptions: bool) -> Step {
    match search_of(call, online, subscriptions) {
        Ok(search) => Step::Rows(Box::new(search), SHAPE),
        Err(text) => wrong(&text),
    }
}

/// What is looked for.
fn search_of(call: &Call, online: Option<bool>, subscriptions: bool) -> Result<Search, String> {
    let online = match call.text("state")? {
        None => online,
        Some("connected") => Some(true),
        Some("away") => Some(false),
        Some("any") => None,
        Some(_) => return Err("state is connected, away or any".into()),
    };
    let kind = match call.text("protocol")? {
        None => None,
        Some("mqtt") => Some(Kind::Mqtt),
        Some("prx1") => Some(Kind::Prx1),
        Some("aio") => Some(Kind::Aio),
        Some("local") => Some(Kind::Local),
        Some(_) => return Err("protocol is mqtt, prx1, aio or local".into()),
    };
    let address = call.text("address")?.map(|text| text.parse::<core::net::IpAddr>());
    let address = address.transpose().map_err(|_| "address is an IP address".to_owned())?;
    let sort = match call.text("sort")? {
        None => Sort::Since,
        Some(name) => {
            let found = Sort::ALL.iter().find(|(own, _)| *own == name);
            found.ok_or("sort is since, id, user, queued or dropped")?.1
        }
    };
    let descending = match call.text("order")? {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err("order is asc or desc".into()),
    };
    let after = match call.param("after") {
        None => None,
        Some(token) => Some(key_of(token).ok_or("after is no token of this list")?),
    };
    let after = after.map(|key| Key { down: descending, ..key });
    let take = call.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT);
    if take == 0 {
        return Err(format!("limit is a whole number from 1 to {LIMIT_MAX}"));
    }
    let wanted = Wanted {
        online,
        kind,
        text: call.param("q").cloned().unwrap_or_default(),
        user: call.param("user").cloned(),
        address: address.map(Address::from),
        name: None,
        subscribed: subscriptions,
    };
    // Subscriptions come by whole sessions: a page ends where its last session does.
    let whole = subscriptions;
    Ok(Search { wanted, sort, descending, after, take, subscriptions, whole, ..Search::default() })
}

const SHAPE: Shape = Shape {
    begin: |json| {
        json.open().key("data").open_list();
    },
    session: session_row,
    subscription: sub_row,
    end: |_, search, _, json| {
        let next = if search.has_more() { search.last.as_ref().map(token_of) } else { None };
        json.close_list();
        json.object("meta", |json| {
            json.field("next", next.as_ref()).field("total", search.total.unwrap_or(0));
        });
        json.close();
    },
    counted: |_, _| {},
};

fn session_row(row: &SessionRow, json: &mut Writer) {
    json.open();
    session_fields(row, json);
    json.close();
}

fn session_fields(row: &SessionRow, json: &mut Writer) {
    let about = row.link.map(|link| link.about).unwrap_or_default();
    let ever = row.expiry_s == u64::MAX;
    json.field("id", &row.name)
        .field("protocol", if row.link.is_some() { about.protocol } else { row.kind.name() })
        .field("user", &row.user)
        .field("state", if row.link.is_some() { "connected" } else { "away" })
        .field("address", row.link.map(|link| link.address.to_string()).as_ref())
        .field("listener", row.link.map(|link| link.listener))
        .field("connected_at", row.link.and_then(|link| moment(link.since)).as_ref())
        .field("away_since", moment(row.away_since).as_ref())
        .field("durable", row.durable)
        .field("expiry_seconds", (!ever).then_some(row.expiry_s))
        .field("keepalive_seconds", about.keepalive_s)
        .field("subscriptions", row.subscriptions)
        .field("inflight", row.inflight)
        .field("inflight_max", row.inflight_max)
        .field("queued", row.queued)
        .field("queued_max", row.queued_max)
        .field("queued_bytes", row.queued_bytes)
        .field("dropped", row.dropped)
        .field("blocked", row.link.is_some_and(|link| link.blocked));
}

fn sub_row(row: &SubRow, json: &mut Writer) {
    json.open()
        .field("client", &row.client)
        .field("user", &row.user)
        .field("protocol", row.kind.name())
        .field("filter", &row.filter)
        .field("group", Some(&row.group).filter(|group| !group.is_empty()))
        .field("qos", row.qos)
        .field("no_local", row.no_local)
        .field("since", moment(row.since).as_ref())
        .close();
}

/// One of them, with all that is known.
pub fn client(call: &Call, _: &mut Ctx<'_>) -> Step {
    about(call, Question::Client, client_found)
}

/// Ask about the client that the path or the query names.
fn about(call: &Call, question: fn(Bytes) -> Question, render: Render) -> Step {
    match call.named(0, "id") {
        Ok(id) => Step::Ask(question(id), render),
        Err(text) => wrong(&text),
    }
}

fn client_found(_: &Call, answer: Answer, _: &Hub, _: Now) -> Response {
    let Answer::Client(Some(client)) = answer else { return missing(NOBODY) };
    let ClientRow { session, subscriptions, past } = *client;
    data(|json| {
        json.open();
        session_fields(&session, json);
        json.list("subscribed", |json| {
            for row in &subscriptions {
                sub_row(row, json);
            }
        });
        json.list("events", |json| {
            for note in &past {
                json.open()
                    .field("at", &crate::base::calendar::rfc3339(note.at))
                    .field("event", note.what)
                    .field("detail", &*note.detail)
                    .close();
            }
        });
        json.close();
    })
}

/// How long its bytes are under way and back, as the system has it.
pub fn rtt(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let name = match call.named(0, "id") {
        Ok(name) => name,
        Err(text) => return wrong(&text),
    };
    let session = act::session_of(&name, ctx).and_then(|(id, _)| ctx.hub.session(id));
    match session.map(|session| session.conn) {
        None => missing(NOBODY).into(),
        Some(None) => problem::of(409, "the client is not connected").into(),
        Some(Some(conn)) => Step::Operate(Operation::Measure(conn)),
    }
}

/// Its subscriptions.
pub fn subscribed(call: &Call, _: &mut Ctx<'_>) -> Step {
    about(call, Question::Client, |_, answer, _, _| {
        let Answer::Client(Some(client)) = answer else { return missing(NOBODY) };
        super::page(
            |json| {
                for row in &client.subscriptions {
                    sub_row(row, json);
                }
            },
            None,
        )
    })
}

/// Let it listen.
pub fn subscribe(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let name = match call.named(0, "id") {
        Ok(name) => name,
        Err(text) => return wrong(&text),
    };
    let Some((id, kind)) = act::session_of(&name, ctx) else {
        return missing(NOBODY).into();
    };
    let qos = match call.json().and_then(|body| body.at("qos")) {
        None => 0,
        Some(qos) => match qos.whole().filter(|qos| *qos <= 2) {
            Some(qos) => qos as u8,
            None => return wrong("qos is 0, 1 or 2"),
        },
    };
    let filter = call.field("filter").unwrap_or_default();
    let Some((filter, group)) = act::filter_of(&filter, kind, ctx) else {
        return wrong("filter is no filter of the client's protocol");
    };
    match act::subscribe(id, &filter, group.as_ref(), qos, ctx) {
        Ok(receipt) => Response::new(204, "", "").after(receipt.after).into(),
        Err(why) => undone(why),
    }
}

/// Let it listen no longer.
pub fn unsubscribe(call: &Call, ctx: &mut Ctx<'_>) -> Step {
    let name = match call.named(0, "id") {
        Ok(name) => name,
        Err(text) => return wrong(&text),
    };
    let Some((id, kind)) = act::session_of(&name, ctx) else {
        return missing(NOBODY).into();
    };
    let filter = call.param("filter").cloned().unwrap_or_default();
    let Some((filter, group)) = act::filter_of(&filter, kind, ctx) else {
        return wrong("filter is no filter of the client's protocol");
    };
    match act::unsubscribe(id, &filter, group.as_ref(), ctx) {
        Ok(Some(receipt)) => Response::new(204, "", "").after(receipt.after).into(),
        Ok(None) => missing("the client has no such subscription").into(),
        Err(why) => undone(why),
    }
}

/// Close its connection.
pub fn kick(call: &Call, _: &mut Ctx<'_>) -> Step {
    about(call, Question::Kick, ended)
}

/// Close its connection and forget its session.
pub fn forget(call: &Call, _: &mut Ctx<'_>) -> Step {
    about(call, Question::Forget, ended)
}

fn ended(_: &Call, answer: Answer, _: &Hub, _: Now) -> Response {
    match answer {
        Answer::Done(after) => Response::new(204, "", "").after(after),
        Answer::Held(why) => held(why),
        Answer::Nobody => missing(NOBODY),
        _ => problem::of(500, "no answer"),
    }
}

/// What is said when nobody has that name.
const NOBODY: &str = "no client has this id";
