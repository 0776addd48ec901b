//! Floor 3. What went wrong, as RFC 9457 has it.
//!
//! The title is what the status is called, the detail says what to do about it. Absent on purpose:
//! anything about our insides.

use crate::base::json::Writer;

use super::encode;
use super::packet::{PROBLEM, Response};

/// An answer that says what went wrong.
#[must_use]
pub fn of(status: u16, detail: &str) -> Response {
    let mut json = Writer::new();
    json.open()
        .field("type", "about:blank")
        .field("title", encode::reason(status))
        .field("status", status)
        .field("detail", detail)
        .close();
    Response::new(status, PROBLEM, json.take())
}
