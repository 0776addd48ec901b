//! Floor 3. Parameters of requests: what they are called, what they may be, and what they mean.
//!
//! Those that many routes share stand here once; all others stand in the route's own row. Absent on
//! purpose: reading them (`call`), for a route knows best what it cannot do without.

/// A parameter, in a query or in a body.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The name.
    pub name: &'static str,
    /// What it is: `string`, `integer` or `boolean`.
    pub kind: &'static str,
    /// It must be there.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
    /// The only values it may have, with blanks between them.
    pub one_of: Option<&'static str>,
    /// The least and the most it may be.
    pub range: Option<(u64, u64)>,
}

/// A parameter that may be left out.
pub(super) const fn may(name: &'static str, kind: &'static str, doc: &'static str) -> Param {
    Param { name, kind, required: false, doc, one_of: None, range: None }
}

/// One that may be one of a few.
pub(super) const fn pick(name: &'static str, one_of: &'static str, doc: &'static str) -> Param {
    Param { one_of: Some(one_of), ..may(name, "string", doc) }
}

/// A number within bounds.
pub(super) const fn count(name: &'static str, range: (u64, u64), doc: &'static str) -> Param {
    Param { range: Some(range), ..may(name, "integer", doc) }
}

/// The same parameter, where it must be there.
pub(super) const fn needed(param: Param) -> Param {
    Param { required: true, ..param }
}

/// A parameter that must be there.
pub(super) const fn must(name: &'static str, kind: &'static str, doc: &'static str) -> Param {
    needed(may(name, kind, doc))
}

pub(super) const PAGES: &[Param] = &[
    may("page", "integer", "Which page, from 1; beyond the last one it is the last."),
    may("per-page", "integer", "Rows of a page, 20 by default."),
];

pub(super) const LIMIT: Param = count("limit", (1, 1_000), "Rows of a page, 100 by default.");
pub(super) const AFTER: Param =
    may("after", "string", "Where the page begins: `next` of the page before.");
pub(super) const TOPIC: Param = must("topic", "string", "The topic.");
pub(super) const SECONDS: Param =
    count("seconds", (1, 4_294_967_295), "For how long; without it for ever.");

pub(super) const CLIENTS: &[Param] = &[
    LIMIT,
    AFTER,
    may("q", "string", "Only those with this in their id or user."),
    may("user", "string", "Only those of this user."),
    may("address", "string", "Only those from this IP address."),
    pick("protocol", "mqtt prx1 local", "Only those of this protocol."),
    pick("state", "connected away any", "Only those in this state."),
    pick("sort", "since id user queued dropped", "What they are in order of."),
    pick("order", "asc desc", "Which way."),
];

pub(super) const LISTEN: &[Param] = &[
    must("filter", "string", "To what, as its protocol writes it."),
    count("qos", (0, 2), "At most this quality, 0 by default."),
];

/// A client, where a path cannot name it.
pub(super) const ID: Param = must("id", "string", "Which client: any id at all.");

pub(super) const LEVELS: &[Param] =
    &[may("prefix", "string", "Below this topic; without it everywhere."), LIMIT, AFTER];
