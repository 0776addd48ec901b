//! Floor 3. A request that may be carried out: what is asked of which route, by whom, with what.
//!
//! Parameters are read by name and never by trust: a missing one is a sentence, and so is one with
//! another form than it has. A form's `+` is a space and `%2B` a plus; in a path a plus is a plus.
//! Absent on purpose: what to do.

use bytes::Bytes;

use crate::base::json::Value;
use crate::hub::gate::Role;

use super::packet::{Media, Method, Request};

/// Levels of a JSON body, and values in it.
const DEPTH_MAX: usize = 8;
const VALUES_MAX: usize = 10_000;
/// Parameters of a form or a query.
const PARAMS_MAX: usize = 64;

/// What came with a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// Nothing, or nothing that was looked at.
    None,
    /// A form.
    Form(Vec<(String, Bytes)>),
    /// A document.
    Json(Value),
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// What the open places in the route's path are.
    pub args: Vec<Bytes>,
    /// The query.
    pub query: Vec<(String, Bytes)>,
    /// What came with it.
    pub body: Body,
    /// What whoever asks may do.
    pub role: Role,
    /// Who asks.
    pub who: Bytes,
}

impl Call {
    /// It is to be answered without a body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.request.method == Method::Head
    }

    /// The open place with this number in the path.
    #[must_use]
    pub fn arg(&self, at: usize) -> Bytes {
        self.args.get(at).cloned().unwrap_or_default()
    }

    /// The open place with this number in the path; where the path has none, the parameter of the
    /// query that stands for it. A sentence if neither is there.
    pub fn named(&self, at: usize, name: &str) -> Result<Bytes, String> {
        let given = self.args.get(at).or_else(|| self.param(name));
        given.filter(|given| !given.is_empty()).cloned().ok_or_else(|| format!("{name} is missing"))
    }

    /// A parameter of the query.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Bytes> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A parameter of the query that is a number; a sentence if it is none.
    pub fn number(&self, name: &str, most: u64) -> Result<Option<u64>, String> {
        let Some(value) = self.param(name) else { return Ok(None) };
        let number = core::str::from_utf8(value).ok().filter(|text| is_digits(text));
        let number = number.and_then(|text| text.parse().ok()).filter(|n| *n <= most);
        number.map(Some).ok_or_else(|| format!("{name} is a whole number up to {most}"))
    }

    /// A parameter of the query that is text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let text = self.param(name).map(|value| core::str::from_utf8(value)).transpose();
        text.map_err(|_| format!("{name} is not UTF-8"))
    }

    /// The document that came with it.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        if let Body::Json(value) = &self.body { Some(value) } else { None }
    }

    /// A member of the body, form or document, as bytes; a number as it is written.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Bytes> {
        match &self.body {
            Body::None => None,
            Body::Form(all) => all.iter().find(|(key, _)| key == name).map(|(_, v)| v.clone()),
            Body::Json(value) => match value.at(name)? {
                Value::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
                Value::Number(n) => Some(Bytes::from(n.to_string())),
                Value::Bool(truth) => Some(Bytes::from(truth.to_string())),
                Value::Null | Value::List(_) | Value::Object(_) => None,
            },
        }
    }

    /// Did it come as a document?
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.body, Body::Json(_))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Understand a body by what it says it is; otherwise a status and a sentence.
pub fn body_of(media: Media, bytes: &[u8]) -> Result<Body, (u16, String)> {
    match media {
        _ if bytes.is_empty() => Ok(Body::None),
        Media::Json => match Value::parse(bytes, DEPTH_MAX, VALUES_MAX) {
            Ok(value @ Value::Object(_)) => Ok(Body::Json(value)),
            Ok(_) => Err((400, "the body is not a JSON object".into())),
            Err(wrong) => Err((400, format!("the body is not JSON: {wrong}"))),
        },
        Media::Form => match params_of(bytes) {
            Some(params) => Ok(Body::Form(params)),
            None => Err((400, "the form has too many parameters".into())),
        },
        Media::Unsaid | Media::Other => {
            let text = "a body is application/json or application/x-www-form-urlencoded";
            Err((415, text.into()))
        }
    }
}

/// The parameters of a form or of a query.
#[must_use]
pub fn params_of(text: &[u8]) -> Option<Vec<(String, Bytes)>> {
    let mut params = Vec::new();
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if params.len() == PARAMS_MAX {
            return None;
        }
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let name = String::from_utf8_lossy(&unescape(name, true)).into_owned();
        let value = unescape(value.get(1..).unwrap_or_default(), true);
        params.push((name, Bytes::from(value)));
    }
    Some(params)
}

/// Undo percent signs. What only looks like one stands for itself.
#[must_use]
pub fn unescape(text: &[u8], form: bool) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match (first, after) {
            (b'+', _) if form => b' ',
            (b'%', [a, b, ..]) => match (digit(*a), digit(*b)) {
                (Some(high), Some(low)) => {
                    rest = after.get(2..).unwrap_or_default();
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => first,
        };
        plain.push(byte);
    }
    plain
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}
