//! Floor 3. Bytes to requests: heads, and bodies in both kinds of length.
//!
//! A head is looked for up to its empty line and read once. Whatever two readers could read in two
//! ways is refused (RFC 9112, 11.2): both lengths, a length twice, a field continued on the next
//! line, a bare CR or LF, another transfer coding than chunked. Nothing is kept of a body before
//! it is known to fit. Absent on purpose: trailers (read over, and bounded), compression.

use bytes::{Buf, Bytes, BytesMut};

use crate::base::base64;
use crate::hub::policy::Secret;
use crate::proto::fault::{Fault, FaultKind};

use super::packet::{Length, Media, Method, Request, Shown};

/// Fields of a request; browsers behind proxies send about twenty.
const FIELDS_MAX: usize = 64;
/// A line that announces a chunk, its extensions included.
const CHUNK_LINE_MAX: usize = 256;
/// Trailers, all together.
const TRAILERS_MAX: usize = 2_048;
/// A method, a space, and a target that is no use.
const METHOD_MAX: usize = 32;

/// Length of the head in front of `input`, its empty line included; `from` bytes were looked
/// through before.
#[must_use]
pub fn head_len(input: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(END.len() - 1);
    let at = input.get(start..)?.windows(END.len()).position(|four| four == END)?;
    Some(start + at + END.len())
}

/// Is this the beginning of a request, as far as it has come?
pub fn begins(input: &[u8], head_max: usize) -> Result<(), Fault> {
    let letters = input.iter().take_while(|b| is_token(**b)).count();
    match input.get(letters) {
        _ if letters > METHOD_MAX => Err(FaultKind::HttpSyntax.fault()),
        Some(b' ') if letters > 0 => match input.get(..head_max) {
            // Too long already: is it the target, or are there fields?
            Some(most) if !most.contains(&b'\n') => Err(FaultKind::HttpTarget.fault()),
            Some(_) => Err(FaultKind::HttpTooLong.fault()),
            None => Ok(()),
        },
        Some(_) => Err(FaultKind::HttpSyntax.fault()),
        None => Ok(()),
    }
}

/// Read a whole head.
pub fn head(head: &[u8], target_max: usize) -> Result<Request, Fault> {
    let bare = |pair: &[u8]| matches!(pair, [a, b'\n'] if *a != b'\r');
    let lone = |pair: &[u8]| matches!(pair, [b'\r', b] if *b != b'\n');
    if head.windows(2).any(|pair| bare(pair) || lone(pair)) {
        return Err(FaultKind::HttpSyntax.fault());
    }
    // Empty lines in front are for whoever cuts heads off to leave out.
    let letters = head.iter().take_while(|b| is_token(**b)).count();
    if letters == 0 || letters > METHOD_MAX {
        return Err(FaultKind::HttpSyntax.fault());
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(FaultKind::HttpSyntax.fault()),
        Err(httparse::Error::TooManyHeaders) => return Err(FaultKind::HttpTooLong.fault()),
        Err(httparse::Error::Version) => return Err(FaultKind::HttpOtherVersion.fault()),
        Err(_) => return Err(FaultKind::HttpSyntax.fault()),
    }
    let modern = request.version == Some(1);
    let target = request.path.unwrap_or_default();
    if target.len() > target_max {
        return Err(FaultKind::HttpTarget.fault());
    }
    let method = method_of(request.method.unwrap_or_default());
    let fields = Fields(request.headers);
    let (path, query) = path_of(target).ok_or(FaultKind::HttpSyntax.fault())?;
    let length = length_of(&fields, modern)?;
    let expects = match fields.one("expect")? {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => modern,
        Some(_) => return Err(FaultKind::HttpExpect.fault()),
    };
    let (host, authority) = host_of(&fields)?;
    Ok(Request {
        method,
        path: Bytes::copy_from_slice(path.as_bytes()),
        query: Bytes::copy_from_slice(query.as_bytes()),
        modern,
        // Without chunks and hosts there is little to be had from keeping it.
        keep: modern && !fields.has("connection", "close"),
        host,
        authority,
        length,
        media: media_of(fields.one("content-type")?),
        expects,
        shown: shown_of(fields.one("authorization")?),
        origin: fields.one("origin")?.map(Bytes::copy_from_slice),
        site: fields.one("sec-fetch-site")?.map(Bytes::copy_from_slice),
        cookie: fields.one("cookie").ok().flatten().map(Bytes::copy_from_slice),
        accept: fields.all("accept").next().map(Bytes::copy_from_slice),
        none_match: fields.all("if-none-match").next().map(Bytes::copy_from_slice),
        last_event: number(fields.one("last-event-id")?.unwrap_or_default()).unwrap_or(0),
    })
}

fn method_of(name: &str) -> Method {
    let all =
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Options];
    all.into_iter().find(|method| method.name() == name).unwrap_or(Method::Other)
}

/// Path and query of a target, in origin form or absolute form.
fn path_of(target: &str) -> Option<(&str, &str)> {
    let target = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    if !target.starts_with('/') && target != "*" {
        return None;
    }
    if target.bytes().any(|b| !(0x21..0x7f).contains(&b)) {
        return None;
    }
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    Some(target.split_once('?').unwrap_or((target, "")))
}

/// RFC 9112, 6.3: exactly one way to know the length, or none.
fn length_of(fields: &Fields<'_, '_>, modern: bool) -> Result<Length, Fault> {
    let coding = fields.one("transfer-encoding")?;
    let length = fields.one("content-length")?;
    match (coding, length) {
        (None, None) => Ok(Length::None),
        (Some(_), Some(_)) => Err(FaultKind::HttpFraming.fault()),
        (Some(_), None) if !modern => Err(FaultKind::HttpFraming.fault()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
        (Some(_), None) => Err(FaultKind::HttpCoding.fault()),
        (None, Some(length)) => {
            number(length).map(Length::Known).ok_or(FaultKind::HttpFraming.fault())
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.len() < 19 && digits.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// The host, without its port and with it.
fn host_of(fields: &Fields<'_, '_>) -> Result<(String, String), Fault> {
    let wrong = || FaultKind::HttpHost.fault();
    let host = fields.one("host")?.ok_or_else(wrong)?;
    let host = core::str::from_utf8(host).map_err(|_| wrong())?;
    let end = match host.starts_with('[') {
        true => host.find(']').map(|at| at + 1),
        false => host.find(':').or(Some(host.len())),
    };
    let (name, port) = end.and_then(|at| host.split_at_checked(at)).ok_or_else(wrong)?;
    let port = port.strip_prefix(':').unwrap_or(port);
    let tame = |b: u8| b.is_ascii_alphanumeric() || b"-._~[]:%".contains(&b);
    if !port.bytes().all(|b| b.is_ascii_digit()) || !name.bytes().all(tame) {
        return Err(wrong());
    }
    Ok((name.to_ascii_lowercase(), host.to_ascii_lowercase()))
}

fn media_of(value: Option<&[u8]>) -> Media {
    let Some(value) = value else { return Media::Unsaid };
    let name = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    match name.to_ascii_lowercase().as_slice() {
        b"application/json" => Media::Json,
        b"application/x-www-form-urlencoded" => Media::Form,
        _ => Media::Other,
    }
}

fn shown_of(value: Option<&[u8]>) -> Shown {
    let Some(value) = value else { return Shown::Nothing };
    let (scheme, rest) = value.split_at(value.iter().position(|b| *b == b' ').unwrap_or(0));
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Shown::Bearer(Secret::new(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Shown::Else;
    }
    let Some(mut plain) = base64::decode(rest) else { return Shown::Else };
    let shown = match plain.iter().position(|b| *b == b':') {
        Some(at) => {
            let (name, password) = plain.split_at(at);
            Shown::Basic(Bytes::copy_from_slice(name), Secret::new(&password[1..]))
        }
        None => Shown::Else,
    };
    plain.fill(0);
    shown
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The fields of a head.
struct Fields<'h, 'b>(&'h [httparse::Header<'b>]);

impl<'b> Fields<'_, 'b> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }

    /// The only field of this name; two are one too many, whatever they say.
    fn one(&self, name: &str) -> Result<Option<&'b [u8]>, Fault> {
        let mut all = self.all(name);
        let first = all.next().map(<[u8]>::trim_ascii);
        match all.next() {
            None => Ok(first),
            Some(_) if name == "host" => Err(FaultKind::HttpHost.fault()),
            Some(_) if name.ends_with("-length") || name.starts_with("transfer-") => {
                Err(FaultKind::HttpFraming.fault())
            }
            Some(_) => Err(FaultKind::HttpSyntax.fault()),
        }
    }

    /// One of its words is this one, in whatever case.
    fn has(&self, name: &str, word: &str) -> bool {
        let words = |value: &'b [u8]| value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        self.all(name).flat_map(words).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// How much of a body is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// So many bytes.
    Known(u64),
    /// The line that announces a chunk.
    Line,
    /// So many bytes of a chunk, and its end of line.
    Chunk(u64),
    /// Trailers, of which so many bytes have come.
    Trailers(usize),
    /// Nothing.
    Nothing,
}

impl Left {
    /// Of a body that has not begun; one that cannot fit is refused at once.
    pub fn of(length: Length, body_max: usize) -> Result<Self, Fault> {
        match length {
            Length::None | Length::Known(0) => Ok(Self::Nothing),
            Length::Known(len) if len > body_max as u64 => Err(FaultKind::HttpBodyLong.fault()),
            Length::Known(len) => Ok(Self::Known(len)),
            Length::Chunked => Ok(Self::Line),
        }
    }

    /// Move what has come of the body to where it is kept. True: it is whole.
    pub fn take(
        &mut self,
        input: &mut BytesMut,
        body: &mut Vec<u8>,
        body_max: usize,
    ) -> Result<bool, Fault> {
        loop {
            match *self {
                Self::Nothing => return Ok(true),
                Self::Known(left) => {
                    let rest = left - take_some(input, body, left);
                    *self = if rest == 0 { Self::Nothing } else { Self::Known(rest) };
                    if rest > 0 {
                        return Ok(false);
                    }
                }
                Self::Line => {
                    let Some(line) = line_of(input, CHUNK_LINE_MAX)? else { return Ok(false) };
                    let len = chunk_len(&line)?;
                    if len > (body_max.saturating_sub(body.len())) as u64 {
                        return Err(FaultKind::HttpBodyLong.fault());
                    }
                    *self = if len == 0 { Self::Trailers(0) } else { Self::Chunk(len) };
                }
                Self::Chunk(left) => {
                    let rest = left - take_some(input, body, left);
                    *self = Self::Chunk(rest);
                    match (rest, input.get(..2)) {
                        (1.., _) | (0, None) => return Ok(false),
                        (0, Some(b"\r\n")) => input.advance(2),
                        (0, Some(_)) => return Err(FaultKind::HttpChunk.fault()),
                    }
                    *self = Self::Line;
                }
                Self::Trailers(seen) => {
                    let Some(line) = line_of(input, TRAILERS_MAX)? else { return Ok(false) };
                    let seen = seen + line.len() + 2;
                    if seen > TRAILERS_MAX {
                        return Err(FaultKind::HttpChunk.fault());
                    }
                    *self = if line.is_empty() { Self::Nothing } else { Self::Trailers(seen) };
                }
            }
        }
    }
}

fn take_some(input: &mut BytesMut, body: &mut Vec<u8>, most: u64) -> u64 {
    let len = (input.len() as u64).min(most);
    body.extend_from_slice(&input.split_to(len as usize));
    len
}

/// A whole line without its end; none while it has not come.
fn line_of(input: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, Fault> {
    let wrong = || FaultKind::HttpChunk.fault();
    let Some(at) = input.iter().take(max + 2).position(|b| *b == b'\n') else {
        return if input.len() > max { Err(wrong()) } else { Ok(None) };
    };
    let mut line = input.split_to(at + 1);
    let end = line.len().checked_sub(2).filter(|end| line.get(*end) == Some(&b'\r'));
    line.truncate(end.ok_or_else(wrong)?);
    if line.contains(&b'\r') { Err(wrong()) } else { Ok(Some(line)) }
}

/// Hexadecimal digits, then maybe extensions, which mean nothing here.
fn chunk_len(line: &[u8]) -> Result<u64, Fault> {
    let wrong = || FaultKind::HttpChunk.fault();
    let digits = line.split(|b| *b == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let all = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = core::str::from_utf8(digits).ok().filter(|_| all).ok_or_else(wrong)?;
    u64::from_str_radix(text, 16).map_err(|_| wrong())
}

const END: &[u8] = b"\r\n\r\n";
