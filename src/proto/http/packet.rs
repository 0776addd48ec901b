//! Floor 3. A request and an answer, as values.
//!
//! A request holds what this server looks at and nothing else: fields it has no use for are read
//! over. Who holds a [`Request`] holds one that can be read in one way only. Absent on purpose:
//! bytes.

use bytes::Bytes;

use crate::base::id::Lsn;
use crate::hub::policy::Secret;

/// What is to be done with a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// Show it.
    Get,
    /// Show what would be said about it.
    Head,
    /// Do something with it.
    Post,
    /// Put it there.
    Put,
    /// Take it away.
    Delete,
    /// Say what can be done with it.
    Options,
    /// Something that nothing here can be asked for.
    Other,
}

impl Method {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "",
        }
    }

    /// It changes nothing.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// In chunks, the last of which says so.
    Chunked,
}

/// What a body is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Media {
    /// It does not say.
    Unsaid,
    /// JSON.
    Json,
    /// A form.
    Form,
    /// Anything else.
    Other,
}

/// What somebody shows to come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A name and a password.
    Basic(Bytes, Secret),
    /// A token.
    Bearer(Secret),
    /// Something that is neither.
    Else,
}

/// A request without its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// With what: the path as sent.
    pub path: Bytes,
    /// Behind the question mark, as sent.
    pub query: Bytes,
    /// HTTP/1.1, not 1.0.
    pub modern: bool,
    /// Another request may follow.
    pub keep: bool,
    /// The host it is for, without port, in lower case.
    pub host: String,
    /// The same with its port, as sent.
    pub authority: String,
    /// How long its body is.
    pub length: Length,
    /// What the body is written in.
    pub media: Media,
    /// The client waits to be told that it may send the body.
    pub expects: bool,
    /// What is shown to come in.
    pub shown: Shown,
    /// The page that asks, if a page does.
    pub origin: Option<Bytes>,
    /// What a browser says about who asks.
    pub site: Option<Bytes>,
    /// What was kept for it, all of it.
    pub cookie: Option<Bytes>,
    /// What it would take for an answer, if it says.
    pub accept: Option<Bytes>,
    /// What of this it has already, by tags.
    pub none_match: Option<Bytes>,
    /// The last event that was heard of a stream.
    pub last_event: u64,
}

/// An answer whose body is at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// How it went.
    pub status: u16,
    /// What the body is written in; empty: there is none.
    pub media: &'static str,
    /// More fields.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The journal must be synced up to here before it is said.
    pub after: Lsn,
    /// Nothing follows it.
    pub last: bool,
}

impl Response {
    /// An answer of this kind.
    #[must_use]
    pub fn new(status: u16, media: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let (fields, after) = (Vec::new(), Lsn::START);
        Self { status, media, fields, body: body.into(), after, last: false }
    }

    /// A sentence.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, TEXT, text)
    }

    /// A document.
    #[must_use]
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self::new(status, JSON, body)
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Nothing follows it.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.last = true;
        self
    }

    /// Said once the journal is synced up to there.
    #[must_use]
    pub fn after(mut self, after: Lsn) -> Self {
        self.after = after;
        self
    }
}

/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// JSON, as most readers expect it to be called.
pub const JSON: &str = "application/json; charset=utf-8";
/// JSON about something that went wrong (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";
/// Prometheus' text.
pub const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A page.
pub const HTML: &str = "text/html; charset=utf-8";
/// A script of a page.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";
/// How a page looks.
pub const STYLE: &str = "text/css; charset=utf-8";
/// A stream of events.
pub const EVENTS: &str = "text/event-stream";
