//! Floor 6. A client of the admin API: one request, one connection, over a Unix socket or TCP.
//!
//! Whoever can open the socket in the data directory needs no password. An answer is read whole
//! and bounded, or line by line where it is a stream. Absent on purpose: connections that are kept.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::base::base64;
use crate::client::mqtt::Tls;

use super::context::{self, Chosen};
use super::json::{self, Value};

/// Flags that say where the admin API is.
#[derive(Args, Clone, Debug)]
pub(super) struct Where {
    /// Its URL: http://host:port, https://host:port, or unix:/path [default: the socket in the
    /// data directory]
    #[arg(long, visible_alias = "url", global = true, value_name = "URL", env = "SPINDLE_ADMIN")]
    admin: Option<String>,
    /// The broker's data directory
    #[arg(long, global = true, value_name = "DIR", default_value = "spindle-data")]
    #[arg(env = "SPINDLE_DATA")]
    data: PathBuf,
    /// A token of [[admin.token]]
    #[arg(long, global = true, value_name = "TOKEN", env = "SPINDLE_TOKEN")]
    #[arg(hide_env_values = true)]
    token: Option<String>,
    /// A name of [[admin.user]]; its password is in SPINDLE_ADMIN_PASSWORD
    #[arg(long, global = true, value_name = "NAME", env = "SPINDLE_ADMIN_USER")]
    admin_user: Option<String>,
    /// Trust the issuers in this file (PEM), for https
    #[arg(long, global = true, value_name = "FILE", env = "SPINDLE_CA")]
    cafile: Option<PathBuf>,
    /// Our certificate (PEM), for https
    #[arg(long, global = true, value_name = "FILE", requires = "key", env = "SPINDLE_CERT")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "cert", env = "SPINDLE_KEY")]
    key: Option<PathBuf>,
    /// Do not compare the broker's name with its certificate
    #[arg(long, global = true)]
    insecure: bool,
    /// Take what is not said here from this context
    #[arg(long, global = true, value_name = "NAME", env = "SPINDLE_CONTEXT")]
    #[arg(conflicts_with = "no_context")]
    context: Option<String>,
    /// Take nothing from any context
    #[arg(long, global = true)]
    no_context: bool,
    /// Answers as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A way to the API.
pub(super) struct Admin {
    place: Place,
    /// The Authorization field, if there is one.
    proof: Option<String>,
}

enum Place {
    Unix(PathBuf),
    Tcp(String),
    Tls(String, Box<Tls>),
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Body<BufReader<Box<dyn Read>>>,
}

impl Where {
    /// Judge the flags.
    pub(super) fn admin(&self) -> Result<Admin, String> {
        let chosen = match self.no_context {
            true => Chosen::default(),
            false => context::chosen(self.context.as_deref())?,
        };
        let place = match self.admin.as_deref().or(chosen.admin.as_deref()) {
            None => Place::Unix(self.data.join("admin.sock")),
            Some(url) => self.place(url, &chosen)?,
        };
        #[expect(clippy::disallowed_methods, reason = "here the command line asks the environment")]
        let password = std::env::var("SPINDLE_ADMIN_PASSWORD").unwrap_or_default();
        let proof = match (self.token.as_ref().or(chosen.token.as_ref()), &self.admin_user) {
            (_, Some(user)) => {
                Some(format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes())))
            }
            (Some(token), None) => Some(format!("Bearer {token}")),
            (None, None) => None,
        };
        if proof.as_ref().is_some_and(|proof| proof.chars().any(char::is_control)) {
            return Err("a token has no control characters".to_owned());
        }
        Ok(Admin { place, proof })
    }
}

impl Where {
    fn place(&self, url: &str, chosen: &Chosen) -> Result<Place, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Place::Unix(path.into()));
        }
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        let colon = host.rfind(':').filter(|at| host.rfind(']').is_none_or(|end| end < *at));
        let with = |port: u16| match colon {
            Some(_) => host.to_owned(),
            None => format!("{host}:{port}"),
        };
        match (scheme, host) {
            (_, "") => Err(format!("not http://, not https:// and not unix: {url}")),
            ("http", _) => Ok(Place::Tcp(with(PORT))),
            ("https", _) => {
                let either = |own: &Option<PathBuf>, other: &Option<PathBuf>| {
                    own.clone().or_else(|| other.clone())
                };
                Ok(Place::Tls(
                    with(18084),
                    Box::new(Tls {
                        ca_file: either(&self.cafile, &chosen.ca),
                        certificate: either(&self.cert, &chosen.cert),
                        key: either(&self.key, &chosen.key),
                        any_name: self.insecure || chosen.insecure,
                        ..Tls::default()
                    }),
                ))
            }
            _ => Err(format!("not http://, not https:// and not unix: {url}")),
        }
    }
}

impl Admin {
    /// Ask, and read the whole answer. An error is a sentence.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let mut answer = self.send(method, path, body, Some(Duration::from_secs(60)))?;
        let mut text = Vec::new();
        let read = answer.body.by_ref().take(ANSWER_MAX).read_to_end(&mut text);
        read.map_err(|e| format!("the answer cannot be read: {e}"))?;
        let value = if text.is_empty() { Some(Value::Null) } else { json::parse(&text) };
        if answer.status / 100 == 2 {
            return value.ok_or_else(|| "the answer is no JSON".to_owned());
        }
        let detail = value.as_ref().and_then(|v| v.member("detail")).map(Value::plain);
        let detail = detail.unwrap_or_else(|| String::from_utf8_lossy(&text).trim().to_owned());
        Err(format!("{} ({})", detail.escape_debug(), answer.status))
    }

    /// Follow a stream of events: a name and a document each, until `each` answers false.
    pub(super) fn follow(
        &self,
        path: &str,
        mut each: impl FnMut(&str, &Value) -> bool,
    ) -> Result<(), String> {
        let answer = self.send("GET", path, None, None)?;
        if answer.status != 200 {
            // The same request once more, for its words.
            return self.ask("GET", path, None).map(drop);
        }
        let mut name = String::new();
        let lines = BufReader::new(answer.body).split(b'\n');
        for line in lines {
            let line = line.map_err(|e| format!("the stream ended: {e}"))?;
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = line.strip_prefix("event:") {
                event.trim().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data:") {
                let value = json::parse(data.trim().as_bytes()).unwrap_or(Value::Null);
                if !each(&name, &value) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        timeout: Option<Duration>,
    ) -> Result<Answer, String> {
        let body = body.map(|body| body.print(false));
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        head += &match &self.place {
            Place::Unix(_) => "Host: localhost\r\n".to_owned(),
            Place::Tcp(host) | Place::Tls(host, _) => format!("Host: {host}\r\n"),
        };
        if let Some(proof) = &self.proof {
            head += &format!("Authorization: {proof}\r\n");
        }
        if let Some(body) = &body {
            let len = body.len();
            head += &format!("Content-Type: application/json\r\nContent-Length: {len}\r\n");
        } else if method != "GET" {
            head += "Content-Length: 0\r\n";
        }
        head += "\r\n";
        let mut request = head.into_bytes();
        request.extend(body.unwrap_or_default());
        let (stream, place) = self.dial(&request, timeout)?;
        read_head(stream).map_err(|why| format!("{place}: {why}"))
    }

    fn dial(
        &self,
        request: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(Box<dyn Read>, String), String> {
        match &self.place {
            Place::Unix(path) => {
                let place = path.display().to_string();
                let wrong = |e: std::io::Error| no_socket(path, &e, is_there);
                let mut stream = UnixStream::connect(path).map_err(wrong)?;
                stream.set_read_timeout(timeout).map_err(wrong)?;
                stream.write_all(request).map_err(wrong)?;
                Ok((Box::new(stream), place))
            }
            Place::Tcp(host) => {
                let wrong = |e: std::io::Error| format!("{host}: {e}; does the broker run?");
                let mut stream = TcpStream::connect(host).map_err(wrong)?;
                stream.set_read_timeout(timeout).map_err(wrong)?;
                stream.write_all(request).map_err(wrong)?;
                Ok((Box::new(stream), host.clone()))
            }
            Place::Tls(host, tls) => {
                let wrong = |e: std::io::Error| format!("{host}: {e}; does the broker run?");
                let stream = TcpStream::connect(host).map_err(wrong)?;
                stream.set_read_timeout(timeout).map_err(wrong)?;
                let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
                let name = name.trim_start_matches('[').trim_end_matches(']');
                let stream = tls.ask(name, stream, request).map_err(|e| format!("{host}: {e}"))?;
                Ok((stream, host.clone()))
            }
        }
    }
}

/// Why nobody answers at a socket, and how else to come in.
fn no_socket(path: &Path, error: &std::io::Error, is_there: impl FnOnce() -> bool) -> String {
    let place = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let missing = match folder.filter(|folder| !folder.exists()) {
                Some(folder) => format!("there is no folder {}", folder.display()),
                None => format!("there is no socket {place}"),
            };
            let runs = match is_there() {
                true => format!("a broker answers at {DEFAULT}, though"),
                false => format!("and nobody answers at {DEFAULT}"),
            };
            format!(
                "{missing}, {runs}. A broker has this socket in its data directory: say which one \
                 (--data DIR). With durability = \"memory\" it has none: come in where [admin] \
                 listen says, by --admin URL with --token or --admin-user"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "{place}: {error}; the socket is for the user that the broker runs as: become that \
             user, or come in by --admin URL with --token or --admin-user"
        ),
        ErrorKind::ConnectionRefused => {
            format!("{place}: {error}; a broker was here, and has ended")
        }
        _ => format!("{place}: {error}; does the broker run?"),
    }
}

/// Does a broker answer where administrators come in by default?
fn is_there() -> bool {
    let wait = Duration::from_millis(500);
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], PORT).into(), wait)?;
        stream.set_read_timeout(Some(wait))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    };
    asked().unwrap_or(false)
}

fn read_head(stream: Box<dyn Read>) -> Result<Answer, String> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let before = head.len();
        let mut line = reader.by_ref().take(HEAD_MAX);
        line.read_until(b'\n', &mut head).map_err(|e| e.to_string())?;
        if head.len() == before || head.len() as u64 > HEAD_MAX {
            return Err("no answer in HTTP".to_owned());
        }
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut fields);
    if !matches!(answer.parse(&head), Ok(httparse::Status::Complete(_))) {
        return Err("no answer in HTTP".to_owned());
    }
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let status = answer.code.unwrap_or_default();
    let chunked = field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    let len = field("content-length").and_then(|v| v.trim().parse().ok());
    let left = match (chunked, len) {
        (true, _) => 0,
        (false, Some(len)) => len,
        (false, None) if status == 204 => 0,
        (false, None) => u64::MAX,
    };
    Ok(Answer { status, body: Body { reader, chunked, left } })
}

/// The bytes of an answer, without the lengths between them.
struct Body<R> {
    reader: R,
    chunked: bool,
    left: u64,
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && self.chunked {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.reader.by_ref().take(1_024).read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            let digits = line.trim().split(';').next().unwrap_or_default();
            self.left = u64::from_str_radix(digits, 16).map_err(std::io::Error::other)?;
            self.chunked = self.left > 0;
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let len = self.reader.read(into.get_mut(..most).unwrap_or_default())?;
        self.left -= len as u64;
        Ok(len)
    }
}

/// A word as it stands in a path or a query.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// No answer is longer; a page has a thousand rows at most.
const ANSWER_MAX: u64 = 64 << 20;
const HEAD_MAX: u64 = 64 << 10;
/// Where administrators come in by default.
const PORT: u16 = 18083;
const DEFAULT: &str = "http://127.0.0.1:18083";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let text = b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n".to_vec();
        let mut body = Body { reader: std::io::Cursor::new(text), chunked: true, left: 0 };
        let mut out = String::new();
        body.read_to_string(&mut out).unwrap();
        assert_eq!(out, "hello, world");
    }

    #[test]
    fn a_head_is_read_up_to_its_end() {
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}rest".to_vec();
        let mut answer = read_head(Box::new(std::io::Cursor::new(text))).unwrap();
        let mut out = String::new();
        answer.body.read_to_string(&mut out).unwrap();
        assert_eq!((answer.status, out.as_str()), (404, "{}"));
        assert!(read_head(Box::new(std::io::Cursor::new(b"nonsense\r\n\r\n".to_vec()))).is_err());
    }

    #[test]
    fn who_finds_no_socket_is_told_what_is_wrong_and_how_else_to_come_in() {
        let said = |path: &str, kind: ErrorKind, there| {
            no_socket(Path::new(path), &kind.into(), move || there)
        };
        let missing = said("/nowhere/at/all/admin.sock", ErrorKind::NotFound, true);
        assert!(missing.starts_with("there is no folder /nowhere/at/all, a broker answers at "));
        for words in ["--data DIR", "durability = \"memory\"", "--admin URL"] {
            assert!(missing.contains(words), "{missing}");
        }
        let missing = said("/tmp/no-such.sock", ErrorKind::NotFound, false);
        assert!(missing.starts_with("there is no socket /tmp/no-such.sock, and nobody answers"));
        let barred = said("/x", ErrorKind::PermissionDenied, false);
        assert!(barred.contains("the user that the broker runs as"), "{barred}");
        assert!(said("/x", ErrorKind::ConnectionRefused, false).ends_with("and has ended"));
        assert!(said("/x", ErrorKind::Other, false).ends_with("does the broker run?"));
    }

    #[test]
    fn words_are_escaped_for_paths() {
        assert_eq!(escaped("a/b c%é"), "a%2Fb%20c%25%C3%A9");
    }
}
