//! Floor 5. Where a router is, as a URL: `ws://`, `wss://`, `tcp://` or `rs://`, `rss://` or
//! `tcps://`, `unix:/path`.
//!
//! `http` and `https` mean `ws` and `wss`. A name and a password before the host are
//! percent-decoded and are for whoever asks for them. Absent on purpose: queries, fragments.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use crate::base::pipe::{Pipe, Wake};
use crate::client::percent::decoded;

/// A URL, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) place: Place,
    pub(super) tls: bool,
    /// The path of a WebSocket; none: a RawSocket.
    pub(super) path: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// Where the router listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
    /// In this process.
    Inner(Enter),
}

/// How to come to a router in this process: handed what wakes us, it hands back our end.
#[derive(Clone)]
pub(super) struct Enter(pub(super) Arc<dyn Fn(Wake) -> io::Result<Pipe> + Send + Sync>);

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enter")
    }
}

impl PartialEq for Enter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Enter {}

impl Url {
    /// Nowhere else.
    pub(super) fn within(enter: Enter) -> Self {
        let place = Place::Inner(enter);
        Self { place, tls: false, path: None, user: None, password: None }
    }

    /// Read one; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let place = Place::Unix(path.into());
            return Ok(Self { place, tls: false, path: None, user: None, password: None });
        }
        let (scheme, rest) = text.split_once("://").ok_or("a URL without a scheme")?;
        let (tls, ws) = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => (false, true),
            "wss" | "https" => (true, true),
            "rs" | "tcp" | "tcp4" | "tcp6" => (false, false),
            "rss" | "tcps" => (true, false),
            _ => return Err("a scheme that is not known"),
        };
        let (whole, path) = match rest.split_once('/') {
            Some((whole, path)) => (whole, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        if !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("a path with spaces or signs that are no ASCII");
        }
        if !ws && path != "/" {
            return Err("a RawSocket has no path");
        }
        let (who, place) = match whole.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, whole),
        };
        let (host, port) = host_of(place)?;
        let usual = if tls { 443 } else { 80 };
        let port = port.or_else(|| ws.then_some(usual)).ok_or("a RawSocket wants a port")?;
        let (user, password) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            None => (None, None),
            Some((user, "")) => (Some(decoded(user)), None),
            Some((user, password)) => (Some(decoded(user)), Some(decoded(password))),
        };
        let place = Place::Tcp(host, port);
        Ok(Self { place, tls, path: ws.then_some(path), user, password })
    }
}

fn host_of(place: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        // An IPv6 address has colons of its own.
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("no port")?)),
            None => return Err("an address without its closing bracket"),
        },
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map(|port| port.parse().map_err(|_| "no port")).transpose()?;
    let host = if host.is_empty() { "localhost" } else { host };
    // What is no part of a name would be a part of the request.
    if !host.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("no name of a host");
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_by_which_transport() {
        let place = |text: &str| {
            let url = Url::parse(text).unwrap();
            let Place::Tcp(host, port) = url.place else { panic!("{text}") };
            (host, port, url.tls, url.path)
        };
        let ws = |path: &str| Some(path.to_owned());
        assert_eq!(place("ws://h:8080/ws?x=1"), ("h".into(), 8080, false, ws("/ws?x=1")));
        assert_eq!(place("http://h"), ("h".into(), 80, false, ws("/")));
        assert_eq!(place("WSS://[::1]/a"), ("::1".into(), 443, true, ws("/a")));
        assert_eq!(place("https://[::1]:1"), ("::1".into(), 1, true, ws("/")));
        for raw in ["rs://h:9", "tcp://h:9/", "tcp4://h:9"] {
            assert_eq!(place(raw), ("h".into(), 9, false, None), "{raw}");
        }
        assert_eq!(place("rss://:9"), ("localhost".into(), 9, true, None));
        assert_eq!(place("tcps://h:9"), ("h".into(), 9, true, None));
        for unix in ["unix:/run/x", "unix:///run/x"] {
            assert_eq!(Url::parse(unix).unwrap().place, Place::Unix("/run/x".into()), "{unix}");
        }
        let url = Url::parse("ws://jo%40x:p%3aw@h/ws").unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("jo@x"), Some("p:w")));
        let url = Url::parse("ws://jo@h/ws").unwrap();
        assert_eq!((url.user.as_deref(), url.password), (Some("jo"), None));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for wrong in [
            "h:1",
            "mqtt://h",
            "rs://h",
            "rs://h:1/x",
            "ws://h:x",
            "ws://[::1",
            "ws://[::1]8",
            "ws://h/a b",
            "ws://h\r\nX: y/",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
