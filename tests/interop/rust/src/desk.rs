//! What both versions share: lines in and out, and which answer belongs to which request.
//!
//! The library names a packet only when it sends it, in the order in which it was asked to; so
//! requests wait in line for their packet id, and then under that id for the answer. Absent on
//! purpose: anything of one version.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What is asked for: each kind has packet ids of its own line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Publish,
    Subscribe,
    Unsubscribe,
}

#[derive(Default)]
struct Books {
    waiting: HashMap<Kind, VecDeque<Value>>,
    sent: HashMap<(Kind, u16), Value>,
}

/// Requests that were not answered yet.
#[derive(Default)]
pub(crate) struct Desk {
    books: Mutex<Books>,
}

impl Desk {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is about to be handed to the library.
    pub(crate) fn asked(&self, kind: Kind, n: &Value) {
        self.books().waiting.entry(kind).or_default().push_back(n.clone());
    }

    /// The library sent the oldest request of this kind; id 0 is one that gets no answer.
    pub(crate) fn sent(&self, kind: Kind, id: u16) {
        let mut books = self.books();
        let Some(n) = books.waiting.entry(kind).or_default().pop_front() else {
            return;
        };
        if id == 0 {
            say(&json!({"n": n, "ok": {"code": 0}}));
        } else {
            books.sent.insert((kind, id), n);
        }
    }

    /// The broker answered.
    pub(crate) fn answered(&self, kind: Kind, id: u16, ok: &Value) {
        if let Some(n) = self.books().sent.remove(&(kind, id)) {
            say(&json!({"n": n, "ok": ok}));
        }
    }
}

pub(crate) fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: the process is about to be ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub(crate) fn closed(why: &str) {
    say(&json!({"ev": "closed", "why": why}));
}

/// Every line of standard input, parsed.
pub(crate) fn asks() -> impl Iterator<Item = Value> {
    let lines = std::io::stdin().lock().lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

pub(crate) fn spelled(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The filters of a request, each with its options.
pub(crate) fn filters(ask: &Value) -> Vec<(String, Value)> {
    let all = ask["filters"].as_array().cloned().unwrap_or_default();
    all.iter().map(|f| (text(&f[0]), f[1].clone())).collect()
}
