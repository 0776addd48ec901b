//! Floor 6. A node configuration of crossbar into one of ours: TOML, a users file, what is left.
//!
//! Text in, text out. Users and rules are the same at all listeners and in all realms here, so what
//! only some of theirs say is left out rather than opened to all: less is permitted then, never
//! more, and a note says what. What decides elsewhere who may come in is never guessed at. Absent
//! on purpose: YAML, and workers that are no routers.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::json::Value;

use super::crossbar_users::{Roles, Users};
use super::mosquitto::Imported;
use super::nexus::{document, fields, items};
use super::value::quoted;

pub(super) struct Import<'a> {
    name: &'a str,
    out: Imported,
    limits: BTreeMap<&'static str, u64>,
    listeners: String,
    realms: Vec<String>,
    roles: Roles,
    users: Users,
}

/// Understand a configuration; `name` is what it is called in notes. An error is a sentence.
pub fn import(name: &str, text: &str) -> Result<Imported, String> {
    let document = document(name, text)?;
    let mut it = Import {
        name,
        out: Imported::default(),
        limits: BTreeMap::new(),
        listeners: String::new(),
        realms: Vec::new(),
        roles: Roles::default(),
        users: Users::default(),
    };
    for (key, value) in fields(&document) {
        match key.as_str() {
            "version" => {}
            "$schema" => {}
            "controller" => it.note("controller", "there is no node to control: `spindle ctl`"),
            "workers" => {
                for (n, worker) in items(Some(value)).iter().enumerate() {
                    it.worker(&format!("workers[{n}]"), worker);
                }
            }
            _ => it.unknown(&key),
        }
    }
    Ok(it.finish())
}

fn text_at<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.at(name).and_then(Value::text)
}

impl Import<'_> {
    pub(super) fn note(&mut self, at: &str, text: &str) {
        self.out.notes.push(format!("{}: {at}: {text}", self.name));
    }

    fn unknown(&mut self, at: &str) {
        self.note(at, "nothing like it is known here");
    }

    fn worker(&mut self, at: &str, worker: &Value) {
        let kind = text_at(worker, "type").unwrap_or_default();
        if kind != "router" {
            return self.note(at, &format!("a worker of type {kind:?} is none of this broker's"));
        }
        for (key, value) in fields(worker) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "type" | "id" => {}
                "realms" => {
                    for (n, realm) in items(Some(value)).iter().enumerate() {
                        self.realm(&format!("{at}[{n}]"), realm);
                    }
                }
                "transports" => {
                    for (n, transport) in items(Some(value)).iter().enumerate() {
                        self.transport(&format!("{at}[{n}]"), transport);
                    }
                }
                "options" => self.note(&at, "a process is told what it may by its unit"),
                "components" => self.note(&at, "no programs run within the broker"),
                _ => self.unknown(&at),
            }
        }
    }

    fn realm(&mut self, at: &str, realm: &Value) {
        let name = text_at(realm, "name").unwrap_or_default().to_owned();
        let mut plan = format!("{name}?");
        let (mut disclosed, mut roles) = (false, BTreeMap::new());
        for (key, value) in fields(realm) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "name" | "id" => {}
                "roles" => {
                    for (n, role) in items(Some(value)).iter().enumerate() {
                        disclosed |= self.role(&format!("{at}[{n}]"), role, &mut roles);
                    }
                }
                "store" => plan += &self.store(&at, value),
                _ => self.unknown(&at),
            }
        }
        self.roles.add(roles);
        // Here a client asks for it, where it may; there a role decides for it.
        plan += if disclosed { "disclose=on" } else { "disclose=off" };
        match plan.parse::<crate::broker::RealmPlan>() {
            Ok(_) => self.realms.push(plan),
            Err(why) => self.note(at, &why),
        }
    }

    /// What is remembered, as a realm of ours is told.
    fn store(&mut self, at: &str, store: &Value) -> String {
        let mut told = String::new();
        for (n, event) in items(store.at("event-history")).iter().enumerate() {
            let limit = event.at("limit").and_then(Value::whole).filter(|limit| *limit > 0);
            let uri = text_at(event, "uri").filter(|uri| !uri.contains('&'));
            let matching = text_at(event, "match").unwrap_or("exact");
            match (limit, uri) {
                (Some(limit), Some(uri)) => told += &format!("history={matching}:{limit}:{uri}&"),
                _ => self.note(&format!("{at}.event-history[{n}]"), "it has no uri or no limit"),
            }
        }
        if text_at(store, "type") != Some("memory") {
            self.note(at, "history is kept in memory, and nowhere else");
        }
        for (key, _) in fields(store) {
            if !matches!(key.as_str(), "type" | "event-history") {
                self.unknown(&format!("{at}.{key}"));
            }
        }
        told
    }

    /// A role's rules; whether it discloses anything.
    fn role(
        &mut self,
        at: &str,
        role: &Value,
        roles: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> bool {
        let Some(name) = text_at(role, "name").map(str::to_owned) else {
            self.note(at, "a role without a name");
            return false;
        };
        let (mut said, mut disclosed) = (Vec::new(), false);
        for (key, value) in fields(role) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "name" | "id" => {}
                "permissions" => {
                    for (n, permission) in items(Some(value)).iter().enumerate() {
                        let at = format!("{at}[{n}]");
                        disclosed |= self.permission(&at, permission, &mut said);
                    }
                }
                "authorizer" => self.note(
                    &at,
                    "it is asked for a whole realm, see the chapter realms: role gets no rights by \
                     it, WRITE RULES",
                ),
                _ => self.unknown(&at),
            }
        }
        let rules = self.rules(at, &said);
        roles.insert(name, rules);
        disclosed
    }

    /// What is allowed, without what a narrower permission takes back: there, the narrower one
    /// counts alone. Nothing can be taken out of a rule here, so it is left out.
    fn rules(&mut self, at: &str, said: &[Said]) -> BTreeSet<String> {
        let mut rules = BTreeSet::new();
        for (verb, word) in VERBS.iter().enumerate() {
            for it in said.iter().filter(|it| it.may.get(verb) == Some(&true)) {
                let rule = format!("can {word} {}", it.resource);
                let denies = |other: &&Said| other.may.get(verb) == Some(&false);
                match said.iter().filter(denies).find(|other| it.gives_way_to(other)) {
                    None => drop(rules.insert(rule)),
                    Some(other) => {
                        let text = format!("`{rule}` is left out: {:?} takes some back", other.uri);
                        self.note(at, &text);
                    }
                }
            }
        }
        rules
    }

    fn permission(&mut self, at: &str, of: &Value, said: &mut Vec<Said>) -> bool {
        for (key, _) in fields(of) {
            match key.as_str() {
                "uri" | "match" | "allow" | "disclose" => {}
                "cache" => {}
                _ => self.unknown(&format!("{at}.{key}")),
            }
        }
        let uri = text_at(of, "uri").unwrap_or_default();
        let star = uri.strip_suffix('*');
        let usual = if star.is_some() { "prefix" } else { "exact" };
        let matching = text_at(of, "match").unwrap_or(usual);
        let Some((resource, narrower)) = resource(star.unwrap_or(uri), matching) else {
            self.note(at, &format!("{uri:?} ({matching}) cannot be a rule"));
            // Nor can what it takes back from others be told from what it does not.
            let (uri, matching) = (star.unwrap_or(uri).to_owned(), matching.to_owned());
            said.push(Said { uri, matching, resource: String::new(), may: [false; 3] });
            return false;
        };
        if narrower {
            let text =
                format!("{uri:?} takes in {resource} here, and no longer words than its last");
            self.note(at, &text);
        }
        let allow = |verb: &str| {
            let said = of.at("allow").and_then(|allow| allow.at(verb));
            said.and_then(Value::truth) == Some(true)
        };
        let both = allow("subscribe") && allow("register");
        let may = [allow("publish"), allow("call"), both];
        match (allow("subscribe"), allow("register")) {
            (true, true) | (false, false) => {}
            (subscribe, _) => {
                let (asked, other) = match subscribe {
                    true => ("subscribing", "register procedures"),
                    false => ("registering", "subscribe"),
                };
                let text = format!(
                    "{asked} alone cannot be allowed: `can subscribe {resource}` would allow it, \
                     and to {other} there as well; it is left out"
                );
                self.note(at, &text);
            }
        }
        let (uri, matching) = (star.unwrap_or(uri).to_owned(), matching.to_owned());
        said.push(Said { uri, matching, resource, may });
        let disclose = of.at("disclose");
        ["caller", "publisher"]
            .iter()
            .any(|who| disclose.and_then(|it| it.at(who)).and_then(Value::truth) == Some(true))
    }

    fn transport(&mut self, at: &str, transport: &Value) {
        let endpoint = transport.at("endpoint").cloned().unwrap_or(Value::Null);
        match text_at(transport, "type").unwrap_or_default() {
            "websocket" => {
                let lines = self.websocket(at, transport, true);
                self.listener(at, "wamp+ws", &endpoint, &lines);
            }
            "rawsocket" => {
                let lines = self.rawsocket(at, transport);
                self.listener(at, "wamp", &endpoint, &lines);
            }
            "web" => self.web(at, transport, &endpoint),
            "universal" => self.universal(at, transport, &endpoint),
            "mqtt" => {
                self.note(at, "topics of MQTT have slashes where those of WAMP have dots");
                self.auth(at, transport);
                self.listener(at, "mqtt", &endpoint, "");
            }
            kind => self.note(at, &format!("a transport of type {kind:?} is not spoken")),
        }
    }

    /// What a WebSocket is told; `whole`: it is a transport of its own.
    fn websocket(&mut self, at: &str, of: &Value, whole: bool) -> String {
        self.auth(at, of);
        let mut lines = String::new();
        for (key, value) in fields(of) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "type" | "id" | "auth" | "serializers" => {}
                "endpoint" if whole => {}
                "url" | "debug" => {}
                "options" => lines += &self.options(&at, value),
                "cookie" => self.note(&at, "no cookies are set"),
                _ => self.unknown(&at),
            }
        }
        lines
    }

    fn options(&mut self, at: &str, options: &Value) -> String {
        let mut lines = String::new();
        for (key, value) in fields(options) {
            let at = format!("{at}.{key}");
            match (key.as_str(), value.whole()) {
                ("auto_ping_interval", Some(ms)) => lines += &format!("ping_ms = {ms}\n"),
                ("auto_ping_timeout", Some(ms)) if ms > 0 => lines += &format!("pong_ms = {ms}\n"),
                ("max_message_size", Some(len)) if len > 0 => self.longest(len),
                ("open_handshake_timeout", Some(_)) => {
                    self.note(&at, "limits.connect_ms_max is everybody's");
                }
                ("allowed_origins", _) => {
                    self.note(&at, "origins are not looked at: ANY PAGE MAY OPEN A WEBSOCKET");
                }
                ("compression", _) => self.note(&at, "WebSockets are not compressed"),
                _ => self.note(&at, "nothing like it can be said here"),
            }
        }
        lines
    }

    /// A message may be so long; of several transports the longest counts.
    fn longest(&mut self, len: u64) {
        let len = len.clamp(512, 1 << 24);
        let most = self.limits.entry("wamp_bytes_max").or_default();
        *most = len.max(*most);
    }

    fn rawsocket(&mut self, at: &str, of: &Value) -> String {
        self.auth(at, of);
        for (key, value) in fields(of) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "type" | "id" | "auth" | "endpoint" | "serializers" | "debug" => {}
                "max_message_size" => match value.whole() {
                    Some(len) => self.longest(len),
                    None => self.note(&at, "it is no number of bytes"),
                },
                _ => self.unknown(&at),
            }
        }
        String::new()
    }

    fn web(&mut self, at: &str, of: &Value, endpoint: &Value) {
        let mut paths = BTreeSet::new();
        let mut lines = String::new();
        for (path, resource) in of.at("paths").map(fields).unwrap_or_default() {
            let at = format!("{at}.paths.{path}");
            match text_at(resource, "type").unwrap_or_default() {
                "websocket" => {
                    paths.insert(format!("/{}", path.trim_start_matches('/')));
                    lines = self.websocket(&at, resource, false);
                }
                "longpoll" => self.note(&at, "a long poll is beside each WebSocket, at PATH/lp"),
                kind => self.note(&at, &format!("nothing of type {kind:?} is served")),
            }
        }
        for (key, _) in fields(of) {
            if !matches!(key.as_str(), "type" | "id" | "endpoint" | "paths") {
                self.note(&format!("{at}.{key}"), "nothing like it can be said here");
            }
        }
        if paths.is_empty() {
            return self.note(at, "there is no WebSocket in it; it is left out");
        }
        let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
        lines += &format!("paths = [{}]\n", paths.join(", "));
        self.listener(at, "wamp+ws", endpoint, &lines);
    }

    fn universal(&mut self, at: &str, of: &Value, endpoint: &Value) {
        let mut lines = String::new();
        let mut paths = Vec::new();
        for (key, value) in fields(of) {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "type" | "id" | "endpoint" => {}
                "rawsocket" => lines += &self.rawsocket(&at, value),
                "websocket" => {
                    for (path, it) in fields(value) {
                        paths.push(quoted(&format!("/{}", path.trim_start_matches('/'))));
                        lines = self.websocket(&format!("{at}.{path}"), it, false);
                    }
                }
                "mqtt" => self.auth(&at, value),
                _ => self.note(&at, "nothing like it is served"),
            }
        }
        if !paths.is_empty() {
            lines += &format!("paths = [{}]\n", paths.join(", "));
        }
        self.note(at, "MQTT and PRX1 are spoken there as well");
        self.listener(at, "any", endpoint, &lines);
    }

    fn auth(&mut self, at: &str, of: &Value) {
        let notes = self.users.transport(&format!("{at}.auth"), of.at("auth"));
        for (at, text) in notes {
            self.note(&at, &text);
        }
    }

    fn listener(&mut self, at: &str, scheme: &str, endpoint: &Value, lines: &str) {
        let at = format!("{at}.endpoint");
        let url = match text_at(endpoint, "type") {
            Some("unix") => {
                let path = text_at(endpoint, "path").filter(|path| path.starts_with('/'));
                let Some(path) = path else { return self.note(&at, "its path is no whole path") };
                match scheme {
                    "mqtt" => format!("unix:{path}?speak=mqtt"),
                    "wamp" => format!("unix:{path}?speak=wamp"),
                    _ => format!("unix:{path}"),
                }
            }
            Some("tcp") => {
                let Some(port) = endpoint.at("port").and_then(Value::whole) else {
                    return self.note(&at, "its port is no number");
                };
                let host = text_at(endpoint, "interface").unwrap_or("[::]");
                let bare = host.contains(':') && !host.starts_with('[');
                let host = if bare { format!("[{host}]") } else { host.to_owned() };
                let s = if endpoint.at("tls").is_some() { "s" } else { "" };
                format!("{scheme}{s}://{host}:{port}")
            }
            _ => return self.note(&at, "it is neither tcp nor unix; there is no listener for it"),
        };
        let mut tls = String::new();
        for (key, value) in endpoint.at("tls").map(fields).unwrap_or_default() {
            let at = format!("{at}.tls.{key}");
            match (key.as_str(), value.text()) {
                ("key", Some(path)) => tls += &format!("key = {}\n", quoted(path)),
                ("certificate", Some(path)) => tls += &format!("cert = {}\n", quoted(path)),
                ("ca_certificates", _) => {
                    let all = items(Some(value));
                    if let Some(path) = all.first().and_then(Value::text) {
                        tls += &format!("ca = {}\nclient_cert = \"required\"\n", quoted(path));
                    }
                    if all.len() != 1 {
                        let text = "all issuers stand in one file (listener.ca): only the first is";
                        self.note(&at, text);
                    }
                }
                _ => self.note(&at, "TLS 1.2 and 1.3 are spoken, and ciphers are not chosen"),
            }
        }
        for (key, _) in fields(endpoint) {
            if !matches!(key.as_str(), "type" | "port" | "interface" | "path" | "tls") {
                self.note(&format!("{at}.{key}"), "nothing like it can be said here");
            }
        }
        self.listeners += &format!("\n[[listener]]\nurl = {}\n{lines}{tls}", quoted(&url));
    }

    fn finish(mut self) -> Imported {
        if self.realms.len() > 1 {
            self.note(
                "realms",
                "users and rules are the same in all realms: whoever may come in \
                                 MAY CHOOSE AMONG THEM; of a role that is in several only what it \
                                 may in each is brought along",
            );
        }
        let (users, notes) = self.users.file(&self.roles.common());
        for (at, text) in notes {
            self.note(&at, &text);
        }
        self.out.users = Some(users);
        let mut toml = String::new();
        if !self.realms.is_empty() {
            let realms: Vec<String> = self.realms.iter().map(|realm| quoted(realm)).collect();
            toml += &format!("realms = [{}]\n", realms.join(", "));
            self.note("realms", "there is a realm `default` besides, open to the same");
        }
        if !self.limits.is_empty() {
            toml += "\n[limits]\n";
            self.limits.iter().for_each(|(name, n)| toml += &format!("{name} = {n}\n"));
        }
        self.out.toml = toml + &self.listeners;
        self.out
    }
}

/// A URI as rules are written, and whether that takes in less than it.
fn resource(uri: &str, matching: &str) -> Option<(String, bool)> {
    let odd = |c: char| matches!(c, '/' | '*' | '+' | '#' | '%') || c.is_whitespace();
    if uri.contains(odd) {
        return None;
    }
    let levels = |uri: &str| uri.split('.').collect::<Vec<_>>().join("/");
    match matching {
        "exact" if uri.is_empty() || uri.split('.').any(str::is_empty) => None,
        "exact" => Some((levels(uri), false)),
        "prefix" if uri.is_empty() => Some(("#".into(), false)),
        "prefix" => {
            let whole = uri.strip_suffix('.');
            let below = whole.map_or_else(|| format!("{}/#", levels(uri)), |w| levels(w) + "/*");
            let empty = whole.unwrap_or(uri).split('.').any(str::is_empty);
            (!empty).then_some((below, whole.is_none()))
        }
        "wildcard" => {
            let level = |level: &str| if level.is_empty() { "+".to_owned() } else { level.into() };
            Some((uri.split('.').map(level).collect::<Vec<_>>().join("/"), false))
        }
        _ => None,
    }
}

/// What rules speak of, in the order of [`Said::may`].
const VERBS: [&str; 3] = ["publish", "request", "subscribe"];

/// A permission as it was written.
struct Said {
    uri: String,
    matching: String,
    /// The same in a rule.
    resource: String,
    may: [bool; 3],
}

impl Said {
    /// Does the other one count instead, for something that both are about? The exact one before
    /// the longest prefix, and that before wildcards.
    fn gives_way_to(&self, other: &Self) -> bool {
        match (self.matching.as_str(), other.matching.as_str()) {
            ("wildcard", _) => true,
            ("prefix", "wildcard") => false,
            ("prefix", _) => other.uri.starts_with(&self.uri),
            _ => other.uri == self.uri && other.matching == self.matching,
        }
    }
}
