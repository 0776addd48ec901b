//! Floor 3. Every path, in one table: what may be done there, by whom, with what, and the answer.
//!
//! Dispatch, the OpenAPI document and the manual's chapter read the same rows, so a path that
//! exists is a path that is described. The paths of gmqtt's API keep that API's words for errors;
//! everything else says what went wrong as RFC 9457 has it. Absent on purpose: what routes do.

use crate::hub::gate::Role;
use crate::proto::Ctx;

use super::call::{self, Call};
use super::packet::{HTML, Length, Method, Request, Response, SCRIPT, STYLE};
use super::params::{
    AFTER, CLIENTS, ID, LEVELS, LIMIT, LISTEN, PAGES, SECONDS, TOPIC, count, may, must, needed,
    pick,
};
use super::task::Step;
use super::{console, events, gmqtt, metrics, plain, problem, v1};

use bytes::Bytes;

pub use super::params::Param;

/// Whose words a route speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Health and numbers.
    Plain,
    /// gmqtt's API.
    Gmqtt,
    /// Our own.
    V1,
    /// The page for people.
    Console,
}

/// What is answered when all is well; names are those of `openapi::ROWS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// Nothing: it is done.
    Nothing,
    /// Prometheus' text.
    Metrics,
    /// A stream of events.
    Events,
    /// A document of whatever form.
    Anything,
    /// A file that is part of the program, written in this.
    File(&'static str),
    /// One row.
    Row(&'static str),
    /// One row under `data`.
    Data(&'static str),
    /// Rows under `data`, and where the next page begins.
    Page(&'static str),
    /// Rows as gmqtt has them.
    Gmqtt(&'static str),
}

/// A path and what may be done there.
#[derive(Debug)]
pub struct Route {
    /// What may be done.
    pub method: Method,
    /// Where; `{name}` stands for one open place.
    pub path: &'static str,
    /// Who may; nobody need say who it is where there is none.
    pub role: Option<Role>,
    /// Whose words it speaks.
    pub group: Group,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// What may stand in the query.
    pub query: &'static [Param],
    /// What may stand in the body.
    pub body: &'static [Param],
    /// What is answered.
    pub says: Says,
    /// Do it.
    pub act: fn(&Call, &mut Ctx<'_>) -> Step,
}

const CHANGE: Option<Role> = Some(Role::Operator);
const LOOK: Option<Role> = Some(Role::Viewer);

const fn get(
    path: &'static str,
    role: Option<Role>,
    group: Group,
    doc: &'static str,
    query: &'static [Param],
    says: Says,
    act: fn(&Call, &mut Ctx<'_>) -> Step,
) -> Route {
    Route { method: Method::Get, path, role, group, doc, query, body: &[], says, act }
}

/// A file of the console: the same for everybody, so nobody is asked who it is.
const fn file(
    path: &'static str,
    doc: &'static str,
    media: &'static str,
    act: fn(&Call, &mut Ctx<'_>) -> Step,
) -> Route {
    get(path, None, Group::Console, doc, &[], Says::File(media), act)
}

/// One of gmqtt's that changes something.
const fn post(
    path: &'static str,
    doc: &'static str,
    body: &'static [Param],
    act: fn(&Call, &mut Ctx<'_>) -> Step,
) -> Route {
    let (method, role, group, query) = (Method::Post, CHANGE, Group::Gmqtt, &[]);
    Route { method, path, role, group, doc, query, body, says: Says::Row("GmqttDone"), act }
}

const fn look(
    path: &'static str,
    doc: &'static str,
    query: &'static [Param],
    says: Says,
    act: fn(&Call, &mut Ctx<'_>) -> Step,
) -> Route {
    get(path, LOOK, Group::V1, doc, query, says, act)
}

const fn change(
    method: Method,
    path: &'static str,
    doc: &'static str,
    query: &'static [Param],
    body: &'static [Param],
    says: Says,
    act: fn(&Call, &mut Ctx<'_>) -> Step,
) -> Route {
    Route { method, path, role: CHANGE, group: Group::V1, doc, query, body, says, act }
}

/// All of them.
pub const ROUTES: &[Route] = &[
    get("/livez", None, Group::Plain, "The loop turns.", &[], Says::Row("Health"), plain::livez),
    get(
        "/readyz",
        None,
        Group::Plain,
        "Whether the broker can serve, and what it misses if not.",
        &[],
        Says::Row("Health"),
        plain::readyz,
    ),
    get(
        "/healthz",
        None,
        Group::Plain,
        "The same as /readyz.",
        &[],
        Says::Row("Health"),
        plain::readyz,
    ),
    get(
        "/metrics",
        LOOK,
        Group::Plain,
        "Every number in Prometheus' text format.",
        &[],
        Says::Metrics,
        metrics::metrics,
    ),
    get(
        "/varz",
        LOOK,
        Group::Plain,
        "The same numbers as JSON.",
        &[],
        Says::Row("Stats"),
        metrics::varz,
    ),
    get(
        "/clients",
        LOOK,
        Group::Gmqtt,
        "Connected clients in the order they came, as gmqtt lists them.",
        PAGES,
        Says::Gmqtt("GmqttClient"),
        gmqtt::clients,
    ),
    get(
        "/client/{id}",
        LOOK,
        Group::Gmqtt,
        "A connected client.",
        &[],
        Says::Row("GmqttClient"),
        gmqtt::client,
    ),
    get(
        "/sessions",
        LOOK,
        Group::Gmqtt,
        "Sessions, connected or not, as gmqtt lists them.",
        PAGES,
        Says::Gmqtt("GmqttSession"),
        gmqtt::sessions,
    ),
    get(
        "/session/{id}",
        LOOK,
        Group::Gmqtt,
        "A session.",
        &[],
        Says::Row("GmqttSession"),
        gmqtt::session,
    ),
    get(
        "/subscriptions",
        LOOK,
        Group::Gmqtt,
        "Subscriptions of all sessions, as gmqtt lists them.",
        PAGES,
        Says::Gmqtt("GmqttSubscription"),
        gmqtt::subscriptions,
    ),
    get(
        "/subscriptions/{id}",
        LOOK,
        Group::Gmqtt,
        "Subscriptions of one client; none when there is no such client.",
        PAGES,
        Says::Gmqtt("GmqttSubscription"),
        gmqtt::subscriptions,
    ),
    post(
        "/publish",
        "Publish a text.",
        &[
            must("qos", "integer", "0, 1 or 2."),
            must("topic", "string", "Where to."),
            may("payload", "string", "What; a form takes text without control characters."),
            may("encoding", "string", "base64: the payload is written so."),
            may("retain", "boolean", "Keep it for those who come later."),
        ],
        gmqtt::publish,
    ),
    post(
        "/subscribe",
        "Let a client listen.",
        &[
            must("qos", "integer", "0, 1 or 2."),
            must("topic", "string", "To what: a filter."),
            must("clientId", "string", "Which client."),
        ],
        gmqtt::subscribe,
    ),
    post(
        "/unsubscribe",
        "Let a client listen no longer.",
        &[
            must("topic", "string", "To what: a filter."),
            must("clientId", "string", "Which client."),
        ],
        gmqtt::unsubscribe,
    ),
    look(
        "/api/v1/whoami",
        "Who asks, and what it may do.",
        &[],
        Says::Data("Caller"),
        v1::look::whoami,
    ),
    look(
        "/openapi.json",
        "The description of all this, as an OpenAPI document.",
        &[],
        Says::Anything,
        v1::look::description,
    ),
    look(
        "/api/v1/clients",
        "Connected clients.",
        CLIENTS,
        Says::Page("Client"),
        v1::clients::clients,
    ),
    look(
        "/api/v1/clients/{id}",
        "A client with its session, subscriptions and last events.",
        &[],
        Says::Data("ClientDetail"),
        v1::clients::client,
    ),
    change(
        Method::Delete,
        "/api/v1/clients/{id}",
        "Close a client's connection.",
        &[],
        &[],
        Says::Nothing,
        v1::clients::kick,
    ),
    look(
        "/api/v1/client",
        "The same as /api/v1/clients/{id}, for ids that a path cannot hold, as `.` and `..`.",
        &[ID],
        Says::Data("ClientDetail"),
        v1::clients::client,
    ),
    change(
        Method::Delete,
        "/api/v1/client",
        "Close a client's connection, whatever its id.",
        &[ID],
        &[],
        Says::Nothing,
        v1::clients::kick,
    ),
    look(
        "/api/v1/clients/{id}/subscriptions",
        "What a client listens to.",
        &[],
        Says::Page("Subscription"),
        v1::clients::subscribed,
    ),
    change(
        Method::Post,
        "/api/v1/clients/{id}/subscriptions",
        "Let a client listen.",
        &[],
        LISTEN,
        Says::Nothing,
        v1::clients::subscribe,
    ),
    change(
        Method::Delete,
        "/api/v1/clients/{id}/subscriptions",
        "Let a client listen no longer.",
        &[must("filter", "string", "To what.")],
        &[],
        Says::Nothing,
        v1::clients::unsubscribe,
    ),
    look(
        "/api/v1/client/rtt",
        "How long a client's bytes are under way and back in microseconds, if the system knows.",
        &[ID],
        Says::Data("Rtt"),
        v1::clients::rtt,
    ),
    look(
        "/api/v1/client/subscriptions",
        "What a client listens to, whatever its id.",
        &[ID],
        Says::Page("Subscription"),
        v1::clients::subscribed,
    ),
    change(
        Method::Post,
        "/api/v1/client/subscriptions",
        "Let a client listen, whatever its id.",
        &[ID],
        LISTEN,
        Says::Nothing,
        v1::clients::subscribe,
    ),
    change(
        Method::Delete,
        "/api/v1/client/subscriptions",
        "Let a client listen no longer, whatever its id.",
        &[ID, must("filter", "string", "To what.")],
        &[],
        Says::Nothing,
        v1::clients::unsubscribe,
    ),
    look(
        "/api/v1/sessions",
        "Sessions, connected or not.",
        CLIENTS,
        Says::Page("Client"),
        v1::clients::sessions,
    ),
    change(
        Method::Delete,
        "/api/v1/sessions/{id}",
        "Forget a session, and close its connection.",
        &[],
        &[],
        Says::Nothing,
        v1::clients::forget,
    ),
    change(
        Method::Delete,
        "/api/v1/session",
        "Forget a session, whatever its id, and close its connection.",
        &[ID],
        &[],
        Says::Nothing,
        v1::clients::forget,
    ),
    look(
        "/api/v1/subscriptions",
        "Subscriptions of all sessions; a page ends with the last one of a session.",
        CLIENTS,
        Says::Page("Subscription"),
        v1::clients::subscriptions,
    ),
    look(
        "/api/v1/topics",
        "Levels right below a topic, of topics with a kept value.",
        LEVELS,
        Says::Page("Level"),
        v1::kept::topics,
    ),
    look(
        "/api/v1/retained",
        "Kept values at and below a topic.",
        LEVELS,
        Says::Page("Kept"),
        v1::kept::retained,
    ),
    change(
        Method::Delete,
        "/api/v1/retained",
        "Forget a kept value.",
        &[TOPIC],
        &[],
        Says::Nothing,
        v1::kept::clear,
    ),
    look(
        "/api/v1/retained/value",
        "One kept value with its payload.",
        &[TOPIC],
        Says::Data("Value"),
        v1::kept::value,
    ),
    look("/api/v1/queues", "Work queues.", &[LIMIT, AFTER], Says::Page("Queue"), v1::look::queues),
    look(
        "/api/v1/listeners",
        "Where the broker listens, and how many are there.",
        &[],
        Says::Page("Listener"),
        v1::look::listeners,
    ),
    look("/api/v1/stats", "Every number.", &[], Says::Data("Stats"), v1::look::stats),
    look("/api/v1/limits", "Every bound.", &[], Says::Page("Limit"), v1::look::limits),
    look(
        "/api/v1/unspelled",
        "Topics that readers of some protocol cannot be told of.",
        &[],
        Says::Page("Unspelled"),
        v1::look::unspelled,
    ),
    look(
        "/api/v1/config",
        "The configuration in force, with where each value is from.",
        &[],
        Says::Anything,
        v1::look::config,
    ),
    Route {
        role: LOOK,
        ..change(
            Method::Post,
            "/api/v1/acl/test",
            "Whether a user may do something, and which rule says so.",
            &[],
            &[
                must("user", "string", "Who."),
                needed(pick("action", "publish subscribe receive request", "What.")),
                must("topic", "string", "With which topic or filter, as MQTT writes it."),
                may("client_id", "string", "As which client; its user's name without it."),
            ],
            Says::Data("Ruling"),
            v1::look::acl,
        )
    },
    look(
        "/api/v1/events",
        "How the broker is, every second, as server-sent events.",
        &[],
        Says::Events,
        events::snapshots,
    ),
    look(
        "/api/v1/trace",
        "What happens to one client, topic or address, as server-sent events.",
        &[
            may("client", "string", "This client id."),
            may("topic", "string", "Topics that this filter matches."),
            may("address", "string", "Whoever comes from this IP address."),
        ],
        Says::Events,
        events::trace,
    ),
    change(
        Method::Post,
        "/api/v1/publish",
        "Publish.",
        &[],
        &[
            TOPIC,
            may("payload", "string", "What."),
            pick("encoding", "text base64", "How the payload is written, text by default."),
            count("qos", (0, 2), "0 by default."),
            may("retain", "boolean", "Keep it for those who come later."),
            count("expiry_seconds", (0, 4_294_967_295), "For how long it is of use."),
        ],
        Says::Data("Matched"),
        v1::change::publish,
    ),
    look(
        "/api/v1/bans",
        "Who stays out by an operator's word.",
        &[LIMIT, AFTER],
        Says::Page("Ban"),
        v1::change::bans,
    ),
    change(
        Method::Post,
        "/api/v1/bans",
        "Keep a client, a user or an address out, and close its connections.",
        &[],
        &[
            needed(pick("kind", "client user address", "What is banned.")),
            must("value", "string", "Which; for addresses also a block, as in 10.0.0.0/8."),
            SECONDS,
            may("reason", "string", "Why, for whoever reads the list."),
        ],
        Says::Data("Banned"),
        v1::change::ban,
    ),
    change(
        Method::Delete,
        "/api/v1/bans/{kind}/{value}",
        "End a ban.",
        &[],
        &[],
        Says::Nothing,
        v1::change::unban,
    ),
    change(
        Method::Delete,
        "/api/v1/ban",
        "End a ban, whatever its value.",
        &[
            needed(pick("kind", "client user address", "What is banned.")),
            must("value", "string", "Which."),
        ],
        &[],
        Says::Nothing,
        v1::change::unban,
    ),
    change(
        Method::Post,
        "/api/v1/reload",
        "Read the configuration again; with an error nothing changes.",
        &[],
        &[],
        Says::Data("Done"),
        v1::change::reload,
    ),
    change(
        Method::Post,
        "/api/v1/drain",
        "Let nobody new in; whoever is connected stays.",
        &[],
        &[],
        Says::Data("Done"),
        v1::change::drain,
    ),
    change(
        Method::Post,
        "/api/v1/stop",
        "Come to an end: everybody is let go, everything goes to the disk.",
        &[],
        &[],
        Says::Data("Done"),
        v1::change::stop,
    ),
    change(
        Method::Post,
        "/api/v1/log/reopen",
        "Open the log's file again.",
        &[],
        &[],
        Says::Data("Done"),
        v1::change::reopen,
    ),
    look(
        "/api/v1/log",
        "The last lines of the log, at most 512, the oldest first.",
        &[
            LIMIT,
            may(
                "after",
                "string",
                "Behind the line of this number: `next` of the page before, or the last one seen.",
            ),
            pick("level", "error warn info debug trace", "Only lines at least so grave."),
        ],
        Says::Page("LogLine"),
        v1::look::log,
    ),
    change(
        Method::Post,
        "/api/v1/log",
        "Say more or less in the log for a time.",
        &[],
        &[
            needed(pick("level", "off error warn info debug trace", "How much.")),
            may("target", "string", "Of what, as in spindle::proto; without it of everything."),
            count("seconds", (1, 86_400), "For how long, 300 by default."),
        ],
        Says::Data("Done"),
        v1::change::log,
    ),
    file("/", "The console: the page.", HTML, console::page),
    file("/console/app.js", "The console: its frame.", SCRIPT, console::app),
    file("/console/kit.js", "The console: what pages are made of.", SCRIPT, console::kit),
    file("/console/live.js", "The console: how the broker is now.", SCRIPT, console::live),
    file("/console/pages.js", "The console: pages about the broker.", SCRIPT, console::pages),
    file("/console/people.js", "The console: pages about clients.", SCRIPT, console::people),
    file("/console/style.css", "The console: how it looks.", STYLE, console::style),
];

/// Look for what may be done so at this path, and what its open places are.
#[must_use]
pub fn find(method: Method, path: &[u8]) -> Option<(&'static Route, Vec<Bytes>)> {
    let wanted = if method == Method::Head { Method::Get } else { method };
    let asked = ROUTES.iter().filter(|route| route.method == wanted);
    asked.into_iter().find_map(|route| Some((route, args_of(route.path, path)?)))
}

/// What is said where nothing is, or where that cannot be done.
#[must_use]
pub fn lost(method: Method, path: &[u8]) -> Response {
    let here = || ROUTES.iter().filter(|route| args_of(route.path, path).is_some());
    let Some(first) = here().next() else {
        return match path.starts_with(b"/api/") {
            true => problem::of(404, "nothing is at this path; /openapi.json lists what is"),
            false => Response::text(404, "404 page not found"),
        };
    };
    let mut allow: Vec<&str> = here().map(|route| route.method.name()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    let allow = allow.join(", ");
    match (method, first.group) {
        (Method::Options, _) => Response::new(204, "", "").with("Allow", allow),
        (_, Group::Gmqtt) => Response::text(404, "404 page not found"),
        _ => problem::of(405, "this cannot be done here").with("Allow", allow),
    }
}

/// What is said to somebody who did not show who it is.
#[must_use]
pub fn unknown(route: Option<&Route>, nobody: bool) -> Response {
    let text = match nobody {
        true => {
            "nobody may come in: name administrators in [[admin.user]] or [[admin.token]], or use \
             the socket in the data directory, which a broker with durability memory has not"
        }
        false => "show a name and its password (Basic), or a token (Bearer)",
    };
    let response = match route.map(|route| route.group) {
        Some(Group::Gmqtt) => Response::new(401, "", ""),
        _ => problem::of(401, text),
    };
    response.with("WWW-Authenticate", "Basic realm=\"Authorization Required\"")
}

/// What is said when the request can be read and is of no use here: without the body that is
/// needed, or for an answer in another form than there is. gmqtt does not look.
#[must_use]
pub fn unfit(route: &Route, request: &Request) -> Option<Response> {
    if route.group == Group::Gmqtt {
        return None;
    }
    let needs = route.body.iter().any(|param| param.required);
    if needs && request.length == Length::None {
        return Some(problem::of(411, "a body is needed, and its length"));
    }
    let media = match route.says {
        Says::Nothing => return None,
        Says::Metrics => "text/plain",
        Says::Events => "text/event-stream",
        Says::File(media) => media.split(';').next().unwrap_or_default(),
        _ => "application/json",
    };
    let takes = |accept: &Bytes| {
        let all = accept.split(|b| *b == b',').map(|one| one.split(|b| *b == b';'));
        all.filter_map(|mut parts| parts.next()).map(<[u8]>::trim_ascii).any(|one| {
            let kind = media.split('/').next().unwrap_or_default();
            let any = one.strip_suffix(b"/*").is_some_and(|own| own == kind.as_bytes());
            one == b"*/*" || any || one.eq_ignore_ascii_case(media.as_bytes())
        })
    };
    let takes = request.accept.as_ref().is_none_or(takes);
    (!takes).then(|| problem::of(406, "the answer has no form that is accepted"))
}

/// What is said about a body that cannot be understood.
#[must_use]
pub fn wrong_body(route: &Route, status: u16, text: &str) -> Response {
    match route.group {
        Group::Gmqtt => Response::text(status, text),
        _ => problem::of(status, text),
    }
}

/// The open places of a pattern, if the path is of its form.
fn args_of(pattern: &str, path: &[u8]) -> Option<Vec<Bytes>> {
    let mut args = Vec::new();
    let mut own = pattern.as_bytes().split(|b| *b == b'/');
    let mut asked = path.split(|b| *b == b'/');
    loop {
        match (own.next(), asked.next()) {
            (None, None) => return Some(args),
            (Some(own), Some(asked)) if own.starts_with(b"{") => {
                let value = call::unescape(asked, false);
                if value.is_empty() {
                    return None;
                }
                args.push(Bytes::from(value));
            }
            (Some(own), Some(asked)) if own == asked => {}
            _ => return None,
        }
    }
}
