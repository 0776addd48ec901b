//! Floor 6. Where to listen and how: as a value, and as a URL.
//!
//! `mqtt://host:port` and its like name a protocol and what it is wrapped in; what else there is
//! to say about a listener follows as options. One table holds every scheme with its port, so the
//! command line, the manual and the error message say the same. Absent on purpose: keys and
//! certificates, which all listeners share.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::Error;
use super::relay::Relaying;
use crate::base::cidr::Cidr;
use crate::base::id::{ListenerNo, RealmId};
use crate::hub::message::Durability;
use crate::hub::relay::Terms as Relay;
use crate::link::tls::{Config, Toward};
use crate::link::{Carrier, Inside, Pings, Spoken, Terms};
use crate::os::dial::{Upstream, Upstreams};
use crate::os::listener::{Door, Local};
use crate::os::passed::Passed;
use crate::proto::aio::errand::Desk;
use crate::proto::{Listener, Speak};

/// What a listener does TLS by: with those who come, and with each of those it goes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Wrap {
    pub(super) tls: Option<Config>,
    pub(super) toward: Vec<Option<Toward>>,
}

/// A listener, as it is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    at: At,
    pub(super) speak: Speak,
    inside: Inside,
    pub(super) tls: bool,
    level: Option<Durability>,
    paths: Vec<String>,
    origins: Vec<String>,
    proxy: bool,
    admin: bool,
    dispensable: bool,
    most: u32,
    pings: Pings,
    cookie_s: u64,
    /// For a relay: how it goes about it, and where to.
    relay: Option<Box<Relaying>>,
    /// For connectors: what is kept of them.
    pub(super) desk: Option<Box<Desk>>,
    #[cfg(feature = "tls")]
    own: Option<super::Tls>,
}

/// Where.
#[derive(Clone, PartialEq, Eq, Debug)]
enum At {
    /// `host:port`.
    Net(String),
    /// A name in the file system, and who may use it.
    File(PathBuf, u32),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => f.write_str(address),
            Self::File(path, _) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// At an address, `host:port`.
    #[must_use]
    pub fn new(address: impl Into<String>, speak: Speak) -> Self {
        Self::at(At::Net(address.into()), speak)
    }

    /// At a name in the file system, for this user and its group.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>, speak: Speak) -> Self {
        Self::at(At::File(path.into(), MODE), speak)
    }

    fn at(at: At, speak: Speak) -> Self {
        let inside = if speak == Speak::Any { Inside::Any } else { Inside::Bare };
        Self {
            at,
            speak,
            inside,
            tls: false,
            level: None,
            paths: Vec::new(),
            origins: Vec::new(),
            proxy: false,
            admin: false,
            dispensable: false,
            most: 0,
            pings: Pings::default(),
            cookie_s: 0,
            relay: (speak == Speak::Foo).then(Box::default),
            desk: None,
            #[cfg(feature = "tls")]
            own: None,
        }
    }

    /// Within TLS, by the broker's certificate.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Within TLS, by a certificate of its own.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_by(mut self, tls: super::Tls) -> Self {
        (self.tls, self.own) = (true, Some(tls));
        self
    }

    /// No more connections than this at it; 0: no bound of its own.
    #[must_use]
    pub fn connections(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// Within a WebSocket, at `/` and at the protocol's name.
    #[must_use]
    pub fn websocket(mut self) -> Self {
        self.inside = Inside::Ws;
        self
    }

    /// The WebSocket is at this path and nowhere else; may be repeated.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Pages of this origin may come too, as in `https://app.example`; `*`: of all. May be repeated.
    pub fn origin(mut self, origin: &str) -> Result<Self, &'static str> {
        if !crate::link::origin::is_origin(origin) {
            return Err("an origin is * or null, or as in https://app.example:8443");
        }
        self.origins.push(origin.to_ascii_lowercase());
        Ok(self)
    }

    /// Trusted proxies say with a PROXY header for whom they speak.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxy = true;
        self
    }

    /// Where the first bytes tell what is spoken, administrators may be served too.
    #[must_use]
    pub fn administered(mut self) -> Self {
        self.admin = true;
        self
    }

    /// A broker without it is one too: where it cannot be, that is said and nothing more.
    #[must_use]
    pub(super) fn dispensable(mut self) -> Self {
        self.dispensable = true;
        self
    }

    /// Is it a relay's, for its clients or for whoever asks how it is doing? Who comes there is not
    /// let into the broker.
    pub(crate) fn is_of_relay(&self) -> bool {
        matches!(self.speak, Speak::Foo | Speak::Stats)
    }

    /// Is it for administrators?
    pub(crate) fn is_admin(&self) -> bool {
        self.speak == Speak::Http
    }

    /// Acknowledgements wait for this here.
    #[must_use]
    pub fn level(mut self, level: Durability) -> Self {
        self.level = Some(level);
        self
    }

    /// Who may use a socket in the file system, as `chmod` has it.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        if let At::File(_, own) = &mut self.at {
            *own = mode;
        }
        self
    }

    /// Protocols that may be found here.
    fn speaks(&self) -> Vec<Spoken> {
        match self.speak {
            Speak::Prx1 => vec![Spoken::Prx1],
            Speak::Mqtt => vec![Spoken::Mqtt],
            Speak::Any if self.admin => [&ANY[..], &[Spoken::Http]].concat(),
            Speak::Any => ANY.to_vec(),
            Speak::Http => vec![Spoken::Http],
            Speak::Wamp => vec![Spoken::Wamp(Carrier::Raw)],
            Speak::Foo | Speak::Stats | Speak::Aio | Speak::Local => Vec::new(),
        }
    }

    /// What it does TLS by, with those who come and with those it goes to.
    pub(super) fn wrap(&self, shared: Option<&Config>) -> Result<Wrap, Error> {
        let place = || self.place();
        let toward = self.relay.as_deref().map(|relay| relay.toward(place)).transpose()?;
        Ok(Wrap { tls: self.served_by(shared)?, toward: toward.unwrap_or_default() })
    }

    fn served_by(&self, shared: Option<&Config>) -> Result<Option<Config>, Error> {
        #[cfg(feature = "tls")]
        if let Some(own) = &self.own {
            return own.load().map(Some);
        }
        if let Some(config) = self.certified()? {
            return Ok(Some(config));
        }
        match shared {
            _ if !self.tls => Ok(None),
            Some(shared) => Ok(Some(shared.clone())),
            None => Err(Error::NoTls { address: self.place() }),
        }
    }

    /// The scheme of a URL that would make it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        let like = |s: &&Scheme| {
            s.1 == self.speak && s.2 == (self.inside == Inside::Ws) && s.3 == self.tls
        };
        match self.at {
            At::File(..) => "unix",
            At::Net(_) => SCHEMES.iter().find(like).map_or("", |scheme| scheme.0),
        }
    }

    /// Does it need a certificate?
    pub(crate) fn wants_tls(&self) -> bool {
        self.tls
    }

    /// Where it is, in words.
    pub(crate) fn place(&self) -> String {
        self.at.to_string()
    }

    /// Are both at the same place? A port that the system chooses is nobody else's.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        match (&self.at, &other.at) {
            (At::Net(a), At::Net(b)) => a == b && !a.ends_with(":0"),
            (At::File(a, _), At::File(b, _)) => a == b,
            _ => false,
        }
    }

    fn may_speak_wamp(&self) -> bool {
        matches!(self.speak, Speak::Wamp | Speak::Any)
    }

    /// Can others than this machine reach it, as far as its name tells?
    pub(crate) fn is_reachable(&self) -> bool {
        let At::Net(address) = &self.at else { return false };
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(ip) => !ip.to_canonical().is_loopback(),
            // What other names stand for is known when they are bound.
            Err(_) => host.is_empty(),
        }
    }

    /// Are both at the same place, whatever port the system may have chosen?
    pub(super) fn is_like_at(&self, other: &Self) -> bool {
        self.at == other.at
    }

    /// Do both say the same to who comes? Certificates may differ.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let terms = |it: &Self| {
            let Self { at, speak, inside, tls, level, paths, proxy, admin, most, .. } = it.clone();
            let more = (it.pings, it.cookie_s, it.origins.clone());
            let more = (more, it.relay.clone(), it.desk.clone());
            (at, speak, inside, tls, level, paths, proxy, admin, most, more)
        };
        terms(self) == terms(other)
    }

    /// How a relay goes about it; nothing of what is none.
    pub(crate) fn relay(&self) -> Option<&Relay> {
        self.relay.as_deref().map(|relay| &relay.terms)
    }

    /// Forward to this as well, `host:port`, `tls:host:port` or `unix:/path`.
    pub fn forward(mut self, to: &str) -> Result<Self, &'static str> {
        let Some(relay) = self.relay.as_deref_mut() else {
            return Err("only a relay (protocol foo) forwards");
        };
        let upstream: Upstream = to.parse()?;
        relay.terms.name = self.at.to_string();
        relay.terms.forward.push(upstream.to_string());
        relay.upstreams.push(upstream);
        Ok(self)
    }

    /// How a relay goes about it, but for where to.
    #[must_use]
    pub fn relays(mut self, how: impl FnOnce(&mut Relay)) -> Self {
        if let Some(relay) = self.relay.as_deref_mut() {
            how(&mut relay.terms);
        }
        self
    }

    /// Connections at it; 0: no bound of its own.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    /// One more thing to say about it.
    pub(crate) fn option(mut self, name: &str, value: &str) -> Result<Self, &'static str> {
        if let Some(set) = self.relay.as_deref_mut().and_then(|it| it.option(name, value)) {
            return set.map(|()| self);
        }
        if super::desk::OPTIONS.contains(&name) {
            return self.desk_option(name, value);
        }
        match (name, value) {
            ("forward", to) => self.forward(to),
            ("durability", "disk") => Ok(self.level(Durability::Disk)),
            ("durability", "os") => Ok(self.level(Durability::Os)),
            ("durability", "memory") => Ok(self.level(Durability::Memory)),
            ("durability", _) => Err("durability is disk, os or memory"),
            ("ping_ms" | "pong_ms", _) if !self.may_speak_wamp() => {
                Err("only where WAMP is spoken is anybody pinged")
            }
            ("ping_ms", ms) => {
                let ms = ms.parse().map_err(|_| "ping_ms is a number of milliseconds")?;
                self.pings.ping_ms = Some(ms);
                Ok(self)
            }
            ("pong_ms", ms) => {
                let ms = ms.parse().ok().filter(|ms| *ms > 0);
                self.pings.pong_ms = Some(ms.ok_or("pong_ms is a number of milliseconds, not 0")?);
                Ok(self)
            }
            ("cookie_s", _) if !self.may_speak_wamp() || self.inside == Inside::Bare => {
                Err("only where WAMP is spoken within a WebSocket are cookies given")
            }
            ("cookie_s", s) => {
                let s = s.parse().ok().filter(|s| *s <= COOKIE_S_MAX);
                self.cookie_s = s.ok_or("cookie_s is a number of seconds, at most 31536000")?;
                Ok(self)
            }
            ("origins", _) if self.inside == Inside::Bare => {
                Err("only where there is a WebSocket do pages come in")
            }
            ("origins", list) => list.split(',').try_fold(self, Self::origin),
            ("proxy", "on") => Ok(self.proxied()),
            ("proxy", "off") => Ok(self),
            ("proxy", _) => Err("proxy is on or off"),
            ("admin", "on") if self.speak == Speak::Any => Ok(self.administered()),
            ("admin", "off") if self.speak == Speak::Any => Ok(self),
            ("admin", _) if self.speak == Speak::Any => Err("admin is on or off"),
            ("mode", value) if matches!(self.at, At::File(..)) => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
                Ok(self.mode(mode.ok_or("mode is three octal digits, as in 660")?))
            }
            ("speak", value) if matches!(self.at, At::File(..)) => {
                let speak = match value {
                    "prx1" => Speak::Prx1,
                    "mqtt" => Speak::Mqtt,
                    "any" => Speak::Any,
                    "foo" => Speak::Foo,
                    "wamp" => Speak::Wamp,
                    "aio" => Speak::Aio,
                    _ => return Err("speak is prx1, mqtt, wamp, aio, foo or any"),
                };
                let (level, proxy, pings) = (self.level, self.proxy, self.pings);
                let cookie_s = self.cookie_s;
                Ok(Self { level, proxy, pings, cookie_s, ..Self::at(self.at, speak) })
            }
            _ => Err("there is no such option; there are durability and proxy, for WAMP ping_ms \
                      and pong_ms, for WebSockets origins, and for sockets in the file system mode \
                      and speak"),
        }
    }
}

/// Bind them all, but those whose socket was passed on; those that others could reach are refused
/// when only this machine may come in.
pub(super) fn bind(
    listen: &[Listen],
    mut passed: Vec<Passed>,
    loopback_only: bool,
) -> Result<Vec<Door>, Error> {
    let mut doors = Vec::with_capacity(listen.len());
    for (place, it) in listen.iter().enumerate() {
        match bind_one(it, place as u16, loopback_only, &mut passed) {
            Ok(door) => doors.push(door),
            Err(e) if it.dispensable => log::warn!("{e}; administrators do not come in there"),
            Err(e) => return Err(e),
        }
    }
    for socket in passed {
        // Closed, so that nobody waits in front of it.
        log::warn!(name:% = socket.name; "a socket was passed on, and no listener has its name");
    }
    Ok(doors)
}

fn bind_one(
    it: &Listen,
    place: u16,
    loopback_only: bool,
    passed: &mut Vec<Passed>,
) -> Result<Door, Error> {
    let wrong = |error| Error::Listen { address: it.at.to_string(), error };
    // Administrators show who they are, whoever else may come in; and who comes to a relay comes to
    // whatever stands behind it.
    let open = it.is_admin() || it.is_of_relay() || it.is_guarded();
    let closed = loopback_only && !open;
    if let Some(at) = passed.iter().position(|socket| socket.name == it.scheme()) {
        let door = Door::adopt(passed.remove(at).fd, place).map_err(wrong)?;
        return match &door.local {
            Local::Net(address) if closed && !address.ip().to_canonical().is_loopback() => {
                Err(Error::Exposed { address: door.local.to_string() })
            }
            _ => Ok(door),
        };
    }
    let address = match &it.at {
        At::Net(address) => address,
        At::File(path, mode) => return Door::bind_file(path, *mode, place).map_err(wrong),
    };
    let resolved = address.to_socket_addrs().map_err(wrong)?.next();
    let nothing = || wrong(io::Error::other("the name stands for no address"));
    let to = resolved.ok_or_else(nothing)?;
    if closed && !to.ip().to_canonical().is_loopback() {
        return Err(Error::Exposed { address: address.clone() });
    }
    Door::bind(to, place).map_err(wrong)
}

/// As configured, and one for the embedding program.
pub(super) fn listeners(
    listen: &[Listen],
    level: impl Fn(Option<Durability>) -> Durability,
    wraps: &[Wrap],
    trusted: &[Cidr],
) -> Vec<Listener> {
    let locally = Listen::new("", Speak::Local);
    let all = listen.iter().chain([&locally]).enumerate();
    all.map(|(no, it)| Listener {
        no: ListenerNo(no as u16),
        speak: it.speak,
        realm: RealmId::default(),
        level: level(it.level),
        link: Terms {
            tls: wraps.get(no).and_then(|wrap| wrap.tls.clone()),
            inside: it.inside,
            speaks: it.speaks(),
            paths: it.paths.clone(),
            origins: it.origins.clone(),
            proxy: it.proxy,
            trusted: trusted.to_vec(),
            toward: wraps.get(no).map(|wrap| wrap.toward.clone()).unwrap_or_default(),
            pings: it.pings,
            cookie_s: it.cookie_s,
        },
        relay: it.relay.is_some().then(|| {
            let before = all_before(listen, no);
            before.iter().filter(|other| other.relay.is_some()).count() as u16
        }),
        desk: it.desk.as_deref().map(|desk| {
            let synced = level(it.level) == Durability::Disk;
            Arc::new(Desk { synced, ..desk.clone() })
        }),
    })
    .collect()
}

fn all_before(listen: &[Listen], no: usize) -> &[Listen] {
    listen.get(..no).unwrap_or(listen)
}

/// Where the relays among them go to, names looked up; the order gives them their numbers.
pub(super) fn upstreams(listen: &[Listen]) -> Result<Upstreams, Error> {
    let mut all = Upstreams::default();
    for it in listen {
        let Some(Relaying { upstreams, .. }) = it.relay.as_deref() else { continue };
        let wrong = |error| Error::Forward { address: it.place(), error };
        if upstreams.is_empty() {
            return Err(wrong(io::Error::other("it forwards to nobody (forward=host:port)")));
        }
        all.add(upstreams).map_err(wrong)?;
    }
    Ok(all)
}

/// A text that is no listener: which, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoListen(String);

impl fmt::Display for NoListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoListen {}

impl FromStr for Listen {
    type Err = NoListen;

    /// `scheme://host[:port][/path][?option=value&...]`, or `unix:/path[?...]`.
    fn from_str(url: &str) -> Result<Self, NoListen> {
        let wrong = |what: &str| NoListen(format!("{url}: {what}"));
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let http = place.strip_prefix("http+unix:");
        let mut listen = match http.or_else(|| place.strip_prefix("unix:")) {
            Some(path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    return Err(wrong("unix: is followed by a whole path, as in unix:/run/x.sock"));
                }
                match http {
                    Some(_) => Self::unix(path, Speak::Http).mode(OWN_MODE),
                    None => Self::unix(path, Speak::Any),
                }
            }
            None => net(place).map_err(|what| wrong(&what))?,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let told = listen.option(name, value);
            listen = told.map_err(|what| wrong(&format!("{option}: {what}")))?;
        }
        Ok(listen)
    }
}

fn net(place: &str) -> Result<Listen, String> {
    let schemes = || SCHEMES.map(|(name, ..)| name).join(", ");
    let (scheme, rest) = place.split_once("://").ok_or_else(|| {
        format!("it is not protocol://host:port; spoken today: {}, unix", schemes())
    })?;
    let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
    let &(_, speak, websocket, tls, port) = known
        .ok_or_else(|| format!("{scheme} is not spoken; spoken today: {}, unix", schemes()))?;
    let (address, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let bare = address.rsplit_once(']').map_or(address, |(_, behind)| behind);
    let address = match (bare.contains(':'), port) {
        (true, _) => address.to_owned(),
        (false, Some(port)) => format!("{address}:{port}"),
        (false, None) => return Err(format!("{scheme} has no port of its own: name one")),
    };
    let mut listen = Listen::new(address, speak);
    if websocket {
        listen = listen.websocket();
        if path.len() > 1 {
            listen = listen.path(path);
        }
    } else if path.len() > 1 {
        return Err("only a WebSocket has a path".into());
    }
    Ok(if tls { listen.tls() } else { listen })
}

/// What clients may speak where the first bytes tell.
const ANY: [Spoken; 3] = [Spoken::Mqtt, Spoken::Prx1, Spoken::Wamp(Carrier::Raw)];

/// Scheme, protocol, in a WebSocket, in TLS, port.
type Scheme = (&'static str, Speak, bool, bool, Option<u16>);

const SCHEMES: [Scheme; 22] = [
    ("prx1", Speak::Prx1, false, false, Some(52_909)),
    ("prx1s", Speak::Prx1, false, true, None),
    ("prx1+ws", Speak::Prx1, true, false, None),
    ("prx1+wss", Speak::Prx1, true, true, None),
    ("mqtt", Speak::Mqtt, false, false, Some(1_883)),
    ("mqtts", Speak::Mqtt, false, true, Some(8_883)),
    ("ws", Speak::Mqtt, true, false, Some(8_083)),
    ("wss", Speak::Mqtt, true, true, Some(8_084)),
    ("http", Speak::Http, false, false, Some(18_083)),
    ("https", Speak::Http, false, true, Some(18_084)),
    ("foo", Speak::Foo, false, false, Some(8_002)),
    ("foos", Speak::Foo, false, true, None),
    ("foo+http", Speak::Stats, false, false, Some(8_088)),
    ("foo+https", Speak::Stats, false, true, None),
    ("wamp", Speak::Wamp, false, false, Some(8_000)),
    ("wamps", Speak::Wamp, false, true, None),
    ("wamp+ws", Speak::Wamp, true, false, Some(8_080)),
    ("wamp+wss", Speak::Wamp, true, true, None),
    ("aio", Speak::Aio, false, false, Some(10_673)),
    ("aios", Speak::Aio, false, true, Some(10_673)),
    ("any", Speak::Any, false, false, None),
    ("anys", Speak::Any, false, true, None),
];
/// The user who runs the broker, and its group.
const MODE: u32 = 0o660;
/// A year.
const COOKIE_S_MAX: u64 = 31_536_000;
/// The user who runs the broker, and nobody else: whoever opens it is an operator.
const OWN_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::aio::errand::Enrol;

    fn listen(url: &str) -> Listen {
        url.parse().unwrap()
    }

    #[test]
    fn a_url_says_what_a_value_says() {
        assert_eq!(listen("prx1://[::1]"), Listen::new("[::1]:52909", Speak::Prx1));
        assert_eq!(listen("mqtt://h"), Listen::new("h:1883", Speak::Mqtt));
        assert_eq!(listen("mqtts://h/"), Listen::new("h:8883", Speak::Mqtt).tls());
        assert_eq!(listen("ws://h"), Listen::new("h:8083", Speak::Mqtt).websocket());
        let wss = Listen::new("h:9", Speak::Mqtt).websocket().tls().path("/a/b");
        assert_eq!(listen("wss://h:9/a/b"), wss);
        let any = Listen::new("[::]:7", Speak::Any).proxied().level(Durability::Os);
        assert_eq!(listen("any://[::]:7?durability=os&proxy=on"), any);
        assert_eq!(any.inside, Inside::Any);
        for (scheme, ..) in SCHEMES {
            assert_eq!(listen(&format!("{scheme}://h:1")).scheme(), scheme);
        }
        assert_eq!(listen("http://[::1]"), Listen::new("[::1]:18083", Speak::Http));
        assert_eq!(listen("https://h:1"), Listen::new("h:1", Speak::Http).tls());
        let own = Listen::unix("/run/x", Speak::Http).mode(0o600);
        assert_eq!(listen("http+unix:///run/x"), own);
        let both = Listen::new("h:7", Speak::Any).administered();
        assert_eq!(listen("any://h:7?admin=on"), both);
        let mut asking = Listen::new("h:8000", Speak::Wamp);
        asking.pings = Pings { ping_ms: Some(0), pong_ms: Some(7) };
        assert_eq!(listen("wamp://h?ping_ms=0&pong_ms=7"), asking);
        assert!(!asking.is_alike(&listen("wamp://h?ping_ms=0&pong_ms=8")));
        let paged = Listen::new("h:1", Speak::Any).origin("https://A.example").unwrap();
        let paged = paged.origin("null").unwrap();
        assert_eq!(listen("any://h:1?origins=https://a.example,null"), paged);
        assert!(!paged.is_alike(&listen("any://h:1?origins=null")));
        let kept = listen("aios://h?certificates=/c&enrol=/list&files=/f&file_types=a,b");
        let desk = Desk {
            certificates: Some("/c".into()),
            enrol: Enrol::Listed("/list".into()),
            files: Some("/f".into()),
            file_types: vec!["a".into(), "b".into()],
            ..Desk::default()
        };
        assert_eq!(kept.desk.as_deref(), Some(&desk));
        assert!(kept.brings_certificate() && !listen("aios://h?tokens=/t").brings_certificate());
        assert!(!kept.is_alike(&listen("aios://h?certificates=/c&enrol=anyone")));
        let unix = Listen::unix("/run/x", Speak::Any);
        assert_eq!(listen("unix:/run/x"), unix);
        assert_eq!(listen("unix:///run/x?mode=600"), unix.mode(0o600));
        let prx1 = Listen::unix("/run/x", Speak::Prx1).mode(0o600);
        assert_eq!(listen("unix:/run/x?mode=600&speak=prx1"), prx1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, what) in [
            ("127.0.0.1:1883", "protocol://host:port"),
            ("amqp://h:1", "amqp is not spoken; spoken today: prx1"),
            ("any://h", "no port of its own"),
            ("mqtt://h/path", "only a WebSocket has a path"),
            ("mqtt://h?durability=perhaps", "disk, os or memory"),
            ("mqtt://h?proxy=1", "on or off"),
            ("mqtt://h?origins=*", "only where there is a WebSocket"),
            ("ws://h?origins=a.example", "as in https://app.example"),
            ("mqtt://h?mode=600", "no such option"),
            ("mqtt://h?ping_ms=600", "only where WAMP is spoken"),
            ("wamp://h?ping_ms=often", "a number"),
            ("wamp://h?pong_ms=0", "not 0"),
            ("wamp://h?cookie_s=60", "within a WebSocket"),
            ("ws://h?cookie_s=60", "where WAMP is spoken"),
            ("wamp+ws://h?cookie_s=31536001", "at most"),
            ("mqtt://h?files=/x", "only where aioconnectors is spoken"),
            ("aio://h?tokens=/x", "only within TLS"),
            ("aio://h?certificates=/x", "only within TLS"),
            ("aio://h?enrol=anyone", "only within TLS"),
            ("aios://h?enrol=anyon", "whole path of a file"),
            ("aios://h?tokens=", "without a value"),
            ("unix:relative", "whole path"),
            ("unix:/x?mode=9", "octal"),
            ("unix:/x?speak=http", "prx1, mqtt, wamp, aio, foo or any"),
        ] {
            let said = url.parse::<Listen>().unwrap_err().to_string();
            assert!(said.starts_with(url) && said.contains(what), "{said}");
        }
    }
}
