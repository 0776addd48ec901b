//! Floor 5. HTTP as a person writes it: requests in a line, answers by what matters in them.
//!
//! `get /livez`, `post /publish "Content-Type: application/json" '{"qos":0}'`: a request with its
//! Host and, when there is a body, its length; fields in double quotes, the body in single ones.
//! `as ann` shows that name with a password. `raw 'GET / HTTP/1.1|Host: x||'` is sent as it stands,
//! a bar for every end of line. A body that begins with `hex ` is given in digits. An answer is
//! expected as `200 [name=value] ['part of the body']`; it is read strictly, to its very end. `@x`
//! at the end of a part is what stands there up to the next quote, and names it; in a path it
//! stands for it. Absent on purpose: what the parts mean.

use std::collections::BTreeMap;

use super::words::bytes_of;
use super::words_mqtt::lossy;
use crate::base::base64;

/// What was named.
pub type Names = BTreeMap<String, String>;

/// The same words with what was named in the place of names.
pub fn filled(words: &str, names: &Names) -> Result<String, String> {
    let mut text = String::new();
    for (at, part) in words.split("/@").enumerate() {
        if at == 0 {
            text += part;
            continue;
        }
        let end = part.find(['/', ' ']).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let value = names.get(name).ok_or_else(|| format!("nothing is called @{name}"))?;
        text += &format!("/{value}{rest}");
    }
    Ok(text)
}

/// The bytes of a request.
pub fn request(words: &str) -> Result<Vec<u8>, String> {
    let (method, rest) = words.split_once(' ').ok_or("a method and a path")?;
    if method == "raw" {
        let (parts, _) = quoted(rest)?;
        return Ok(parts.concat().replace('|', "\r\n").into_bytes());
    }
    let (path, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut text = format!("{} {path} HTTP/1.1\r\n", method.to_ascii_uppercase());
    if let Some(behind) = rest.strip_prefix("as ") {
        let (name, behind) = behind.split_once(' ').unwrap_or((behind, ""));
        let shown = base64::encode(format!("{name}:secret").as_bytes());
        text += &format!("Authorization: Basic {shown}\r\n");
        rest = behind;
    }
    let (bodies, fields) = quoted(rest)?;
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        text += "Host: localhost\r\n";
    }
    for field in fields {
        text += &format!("{field}\r\n");
    }
    let body = bodies.concat();
    let body = match body.strip_prefix("hex ") {
        Some(digits) => bytes_of(digits)?,
        None => body.into_bytes(),
    };
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    Ok([text.as_bytes(), b"\r\n", &body].concat())
}

/// What stands in single and in double quotes.
fn quoted(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut single, mut double) = (Vec::new(), Vec::new());
    let mut rest = text.trim_start();
    while let Some(quote) = rest.chars().next() {
        if quote != '\'' && quote != '"' {
            return Err(format!("`{rest}` is not between quotes"));
        }
        let end = rest[1..].find(quote).ok_or("a quote is not closed")? + 1;
        let mut part = rest[1..end].to_owned();
        rest = &rest[end + 1..];
        if let Some(times) = rest.strip_prefix('*') {
            let end = times.find(' ').unwrap_or(times.len());
            let times_n: usize = times[..end].parse().map_err(|_| "how many times?")?;
            part = part.repeat(times_n);
            rest = &times[end..];
        }
        if quote == '\'' {
            single.push(part)
        } else {
            double.push(part)
        }
        rest = rest.trim_start();
    }
    Ok((single, double))
}

/// What a script expects of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    status: String,
    /// Names and values; without a value: it is not there.
    fields: Vec<(String, Option<String>)>,
    body: Vec<String>,
    /// It answers a HEAD.
    bare: bool,
}

impl Answer {
    /// Understand what is expected.
    pub fn parse(words: &str) -> Result<Self, String> {
        let (status, mut rest) = words.split_once(' ').unwrap_or((words, ""));
        let mut answer =
            Self { status: status.to_owned(), fields: Vec::new(), body: Vec::new(), bare: false };
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with('\'') {
                break;
            }
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            match (word, word.split_once('=')) {
                ("bare", _) => answer.bare = true,
                (_, Some((name, value))) => {
                    answer.fields.push((name.to_owned(), Some(value.to_owned())));
                }
                (_, None) => match word.strip_prefix('!') {
                    Some(name) => answer.fields.push((name.to_owned(), None)),
                    None => return Err(format!("`{word}` is nothing an answer has")),
                },
            }
            rest = behind;
        }
        answer.body = quoted(rest)?.0;
        Ok(answer)
    }

    /// Hear it: `hear(n)` brings the next n bytes or fewer.
    pub fn perform(
        &self,
        names: &mut Names,
        hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        let head = line_end(hear, b"\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
        if status != Some(&self.status) {
            return Err(format!("the answer is {head:?}"));
        }
        let field = |name: &str| {
            let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let mut found = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value)
        };
        if self.status != "100" && field("Date").is_none() {
            return Err(format!("an answer without a date: {head:?}"));
        }
        for (name, wanted) in &self.fields {
            let value = field(name);
            let right = match (value, wanted) {
                (Some(value), Some(wanted)) => value.starts_with(wanted.as_str()),
                (value, wanted) => value.is_none() && wanted.is_none(),
            };
            if !right {
                return Err(format!("{name} is {value:?}"));
            }
        }
        let chunked = field("Transfer-Encoding") == Some("chunked");
        let len = field("Content-Length").map_or(0, |len| len.parse().unwrap_or(0));
        let body = match () {
            () if self.bare => Vec::new(),
            () if chunked => chunks(hear)?,
            () if len > 0 => hear(len)?,
            () => Vec::new(),
        };
        if !chunked && !self.bare && body.len() != len {
            return Err(format!("{} bytes of a body of {len}", body.len()));
        }
        let text = lossy(&body);
        match self.body.iter().find(|part| !is_in(&text, part, names)) {
            Some(part) => Err(format!("{part:?} is not in {text:?}")),
            None => Ok(()),
        }
    }
}

fn is_in(text: &str, part: &str, names: &mut Names) -> bool {
    let Some((before, name)) = part.rsplit_once("\"@") else { return text.contains(part) };
    let before = format!("{before}\"");
    let Some(at) = text.find(&before) else { return false };
    let value: String = text[at + before.len()..].chars().take_while(|c| *c != '"').collect();
    names.insert(name.to_owned(), value);
    true
}

/// Everything up to these bytes.
fn line_end(
    hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>,
    end: &[u8],
) -> Result<String, String> {
    let mut text = Vec::new();
    while !text.ends_with(end) {
        let byte = hear(1)?;
        if byte.is_empty() || text.len() > 16_384 {
            return Err(format!("no answer but {:?}", lossy(&text)));
        }
        text.extend(byte);
    }
    Ok(lossy(&text))
}

fn chunks(hear: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let line = line_end(hear, b"\r\n")?;
        let len = usize::from_str_radix(line.trim_end(), 16).map_err(|_| "no chunk")?;
        let chunk = if len == 0 { Vec::new() } else { hear(len)? };
        if chunk.len() != len || hear(2)? != b"\r\n" {
            return Err("a chunk that is not whole".into());
        }
        body.extend(chunk);
        if len == 0 {
            return Ok(body);
        }
    }
}
