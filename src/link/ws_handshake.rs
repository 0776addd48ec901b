//! Floor 1. The upgrade of an HTTP/1.1 request to a WebSocket (RFC 6455, section 4.2).
//!
//! A head is looked for up to its empty line, read once, and answered: with 101 and the one
//! subprotocol both sides speak, or with a status and a sentence. No extension is ever agreed to,
//! so a frame inflates to nothing. `X-Forwarded-For` is believed only as far as trusted proxies
//! wrote it. Absent on purpose: keep-alive, bodies, and anything else one can do with HTTP.

use core::net::IpAddr;

use crate::base::hex;

use super::origin::Implied;
use super::sniff::{Carrier, Spoken};
use super::{Flaw, Terms};

/// What a browser was told to keep.
pub type Cookie = [u8; 16];

/// What that is called.
pub const COOKIE: &str = "spindle-wamp";

/// What a request tells of who comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Visit {
    /// No page of another origin asks.
    pub own: bool,
    /// What was kept, where it is shown by nobody but who may.
    pub cookie: Option<Cookie>,
}

/// A request that is granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// What is said to it.
    pub answer: Vec<u8>,
    /// What the peer will speak.
    pub spoken: Spoken,
    /// For whom a trusted proxy speaks.
    pub forwarded: Option<IpAddr>,
    /// Who comes.
    pub visit: Visit,
}

/// Length of the head in front of `input`, its empty line included; `from` bytes were looked
/// through before.
#[must_use]
pub fn head_len(input: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(END.len() - 1);
    let at = input.get(start..)?.windows(END.len()).position(|four| four == END)?;
    Some(start + at + END.len())
}

/// Read a whole head and decide.
pub fn upgrade(head: &[u8], terms: &Terms, from: Option<IpAddr>) -> Result<Upgrade, Flaw> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Flaw::HttpMalformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Flaw::HttpTooLong),
        Err(httparse::Error::Version) => return Err(Flaw::HttpVersion),
        Err(_) => return Err(Flaw::HttpMalformed),
    }
    if request.method != Some("GET") {
        return Err(Flaw::HttpMethod);
    }
    if request.version != Some(1) {
        return Err(Flaw::HttpVersion);
    }
    if !terms.has_path(path(request.path.unwrap_or_default())) {
        return Err(Flaw::HttpPath);
    }
    let fields = Fields(request.headers);
    // A body would be taken for frames.
    let body = fields.one("content-length").is_some_and(|n| n != b"0");
    // [RFC 9112, 3.2] One host, neither none nor two.
    let hosts = fields.all("host").count();
    if body || fields.one("transfer-encoding").is_some() || hosts != 1 {
        return Err(Flaw::HttpMalformed);
    }
    if !fields.has("upgrade", "websocket") || !fields.has("connection", "upgrade") {
        return Err(Flaw::WsUpgrade);
    }
    if fields.one("sec-websocket-version") != Some(b"13") {
        return Err(Flaw::WsVersion);
    }
    let key = fields.one("sec-websocket-key").filter(|key| is_key(key)).ok_or(Flaw::WsKey)?;
    let offered = fields.all("sec-websocket-protocol").flat_map(words);
    let (name, spoken) = offered
        .filter_map(|word| PROTOCOLS.iter().find(|(name, _)| name.as_bytes() == word))
        .find(|(_, spoken)| terms.takes(*spoken))
        .ok_or(Flaw::WsProtocol)?;
    let forwarded = from.filter(|from| terms.trusts(*from)).and_then(|_| forwarded(&fields, terms));
    Ok(Upgrade { answer: welcome(key, name), spoken: *spoken, forwarded, visit: visit(&fields) })
}

/// A cookie goes wherever a browser goes, whoever sends it there: from a page of another origin it
/// says nothing about who wants to come in.
fn visit(fields: &Fields<'_, '_>) -> Visit {
    let host = fields.one("host").unwrap_or_default();
    let own = fields.one("origin").is_none_or(|origin| {
        let scheme = |name: &str| {
            let (begin, rest) = origin.split_at_checked(name.len())?;
            begin.eq_ignore_ascii_case(name.as_bytes()).then_some(rest)
        };
        let bare = scheme("http://").or_else(|| scheme("https://"));
        bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host))
    });
    let shown = fields.one("cookie").filter(|_| own);
    Visit { own, cookie: shown.and_then(cookie) }
}

/// Ours among all cookies of a request; two are none, because one of them is somebody else's.
#[must_use]
pub fn cookie(value: &[u8]) -> Option<Cookie> {
    let named = |pair: &'_ [u8]| {
        let (name, text) = pair.trim_ascii().split_at_checked(COOKIE.len())?;
        let text = text.strip_prefix(b"=").filter(|_| name == COOKIE.as_bytes())?;
        Some(hex::decode(text).and_then(|bytes| bytes.try_into().ok()))
    };
    let mut all = value.split(|byte| *byte == b';').filter_map(named);
    let first = all.next()?;
    first.filter(|_| all.next().is_none())
}

/// Is it a page that may not come in? Two origins are none of ours.
pub(super) fn check_page(head: &[u8], terms: &Terms, implied: Implied) -> Result<(), Flaw> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(head).is_err() {
        return Err(Flaw::HttpMalformed);
    }
    let fields = Fields(request.headers);
    terms.welcomes(fields.one("origin"), fields.one("host").unwrap_or_default(), implied)
}

/// The path of a target, which may also be an address as a whole (RFC 6455, 4.2.1).
fn path(target: &str) -> &str {
    let beyond = |scheme: &str| {
        let begin = target.get(..scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then(|| target.get(scheme.len()..))?
    };
    let path = match beyond("http://").or_else(|| beyond("https://")) {
        Some(rest) => rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    match path.split_once('?') {
        Some(("", _)) => "/",
        Some((path, _)) => path,
        None => path,
    }
}

/// What a subprotocol of this name speaks.
#[must_use]
pub fn spoken_by(name: &str) -> Option<Spoken> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, spoken)| *spoken)
}

/// The subprotocol that speaks this.
#[must_use]
pub fn name_of(spoken: Spoken) -> &'static str {
    PROTOCOLS.iter().find(|(_, known)| *known == spoken).map_or("", |(name, _)| name)
}

/// The path of a whole head, if its first line has one.
pub(super) fn path_of(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let target = line.split(|byte| *byte == b' ').nth(1)?;
    core::str::from_utf8(target).ok().map(path)
}

/// Does the request ask for a WebSocket?
#[must_use]
pub fn asks_upgrade(head: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let whole = matches!(request.parse(head), Ok(httparse::Status::Complete(_)));
    whole && Fields(request.headers).has("upgrade", "websocket")
}

/// The answer to a request that is not granted. The connection ends with it.
#[must_use]
pub fn refusal(flaw: Flaw) -> Vec<u8> {
    let (status, text) = flaw.http();
    let more = match flaw {
        Flaw::WsUpgrade | Flaw::WsVersion => {
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"
        }
        Flaw::HttpMethod => "Allow: GET\r\nConnection: close\r\n",
        _ => "Connection: close\r\n",
    };
    answer(status, more, text)
}

/// The answer to a request that did not come to its end.
#[must_use]
pub fn late() -> Vec<u8> {
    answer("408 Request Timeout", "Connection: close\r\n", "the request did not end in time")
}

/// The answer to whoever comes while the broker goes.
#[must_use]
pub fn unwelcome() -> Vec<u8> {
    answer("503 Service Unavailable", "Connection: close\r\n", "not now")
}

fn answer(status: &str, fields: &str, text: &str) -> Vec<u8> {
    let len = text.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain\r\nContent-Length: {len}\r\n\r\n\
         {text}\n"
    )
    .into_bytes()
}

fn welcome(key: &[u8], protocol: &str) -> Vec<u8> {
    let accept = accept(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

/// Proof that the key was read by somebody who knows what a WebSocket is.
#[must_use]
pub fn accept(key: &[u8]) -> String {
    let mut sum = sha1_smol::Sha1::new();
    sum.update(key);
    sum.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(&sum.digest().bytes())
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = word >> (18 - 6 * i) & 63;
            let digit = DIGITS.get(digit as usize).copied().unwrap_or(b'=');
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Sixteen bytes in base64: 22 digits, the last with four bits of nothing.
fn is_key(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==").filter(|digits| digits.len() == 22) else {
        return false;
    };
    digits.iter().all(|digit| DIGITS.contains(digit))
        && digits.last().is_some_and(|last| b"AQgw".contains(last))
}

/// Walk back over the addresses that proxies wrote, the last one first: the first that is not a
/// trusted proxy's is the peer's, and what stands before it anybody may have written.
fn forwarded(fields: &Fields<'_, '_>, terms: &Terms) -> Option<IpAddr> {
    let mut said: Vec<&[u8]> = fields.all("x-forwarded-for").flat_map(words).collect();
    let mut known = None;
    while let Some(ip) = said.pop().and_then(address) {
        known = Some(ip);
        if !terms.trusts(ip) {
            break;
        }
    }
    known
}

/// An address, with or without a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(text).ok()?;
    let ip = text.parse::<IpAddr>().ok();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<core::net::SocketAddr>().ok().map(|a| a.ip());
    ip.or_else(bare).or_else(with_port).map(|ip| ip.to_canonical())
}

/// The fields of a head.
struct Fields<'h, 'b>(&'h [httparse::Header<'b>]);

impl<'b> Fields<'_, 'b> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }

    /// The only field of this name; two that may differ are none.
    fn one(&self, name: &str) -> Option<&'b [u8]> {
        let mut all = self.all(name);
        let first = all.next()?;
        Some(if all.next().is_some() { b"" } else { first.trim_ascii() })
    }

    /// One of its words is this one, in whatever case.
    fn has(&self, name: &str, word: &str) -> bool {
        self.all(name).flat_map(words).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty())
}

/// Subprotocols, as clients offer them.
const PROTOCOLS: &[(&str, Spoken)] = &[
    ("mqtt", Spoken::Mqtt),
    ("mqttv3.1", Spoken::Mqtt),
    ("prx1", Spoken::Prx1),
    ("wamp.2.json", Spoken::Wamp(Carrier::Json)),
    ("wamp.2.json.batched", Spoken::Wamp(Carrier::JsonBatched)),
    ("wamp.2.msgpack", Spoken::Wamp(Carrier::MsgPack)),
    ("wamp.2.msgpack.batched", Spoken::Wamp(Carrier::MsgPackBatched)),
    ("wamp.2.cbor", Spoken::Wamp(Carrier::Cbor)),
    ("wamp.2.cbor.batched", Spoken::Wamp(Carrier::CborBatched)),
];
const END: &[u8] = b"\r\n\r\n";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Fields of a request; browsers behind proxies send about twenty.
const FIELDS_MAX: usize = 64;
