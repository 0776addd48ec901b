//! Floor 6. A configuration of nexusd into one of ours: TOML, and what is left.
//!
//! Text in, text out; names of keys count without their case, as there. What means the same is
//! translated, what is otherwise here is said where it matters, and everything else is listed:
//! nothing is dropped in silence. Absent on purpose: users, which nexusd's file cannot have.

use crate::base::json::Value;

use super::mosquitto::Imported;
use super::value::quoted;

/// Levels of a document, and values in it.
const DEPTH_MAX: usize = 32;
const VALUES_MAX: usize = 100_000;

struct Import<'a> {
    name: &'a str,
    out: Imported,
    root: Vec<String>,
    log: Vec<String>,
    limits: Vec<String>,
    listeners: String,
}

/// Understand a configuration; `name` is what it is called in notes. An error is a sentence.
pub fn import(name: &str, text: &str) -> Result<Imported, String> {
    let document = document(name, text)?;
    let mut it = Import {
        name,
        out: Imported::default(),
        root: Vec::new(),
        log: Vec::new(),
        limits: Vec::new(),
        listeners: String::new(),
    };
    for (key, value) in fields(&document) {
        match key.to_ascii_lowercase().as_str() {
            "websocket" => it.websocket(value),
            "rawsocket" => it.rawsocket(value),
            "log_path" => it.log_path(value),
            "router" => it.router(value),
            _ => it.unknown(&key),
        }
    }
    Ok(it.finish())
}

/// A document that is an object.
pub(super) fn document(name: &str, text: &str) -> Result<Value, String> {
    let read = Value::parse(text.as_bytes(), DEPTH_MAX, VALUES_MAX);
    let document = read.map_err(|wrong| format!("{name}: it is no JSON: {wrong}"))?;
    match document {
        Value::Object(_) => Ok(document),
        _ => Err(format!("{name}: it is no JSON object")),
    }
}

/// The members of an object; none of anything else.
pub(super) fn fields(value: &Value) -> Vec<(String, &Value)> {
    let Value::Object(members) = value else { return Vec::new() };
    members.iter().map(|(key, value)| (key.clone(), value)).collect()
}

/// The members of a list; none of anything else.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// A member, in whatever case its name is.
fn at<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Object(members) = value else { return None };
    members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn text_at<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    at(value, name).and_then(Value::text).filter(|text| !text.is_empty())
}

fn truth_at(value: &Value, name: &str) -> bool {
    at(value, name).and_then(Value::truth) == Some(true)
}

/// Where to listen, with a host in any case.
fn place(address: &str) -> String {
    match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address.to_owned(),
    }
}

impl Import<'_> {
    fn note(&mut self, key: &str, text: &str) {
        self.out.notes.push(format!("{}: {key}: {text}", self.name));
    }

    fn unknown(&mut self, key: &str) {
        self.note(key, "nothing like it is known here");
    }

    fn websocket(&mut self, of: &Value) {
        let mut lines = String::new();
        for (key, value) in fields(of) {
            let full = format!("websocket.{key}");
            match key.to_ascii_lowercase().as_str() {
                "address" | "cert_file" | "key_file" => {}
                "keep_alive" => match value.whole() {
                    Some(0) => {}
                    // Closed after two that nobody answered.
                    Some(s) => {
                        let ms = s.saturating_mul(1_000);
                        lines += &format!("ping_ms = {ms}\npong_ms = {ms}\n");
                    }
                    None => self.note(&full, "it is no number of seconds"),
                },
                "enable_compression" if value.truth() == Some(false) => {}
                "enable_compression" => self.note(&full, "WebSockets are not compressed"),
                "enable_tracking_cookie" | "enable_request_capture"
                    if value.truth() == Some(false) => {}
                "enable_tracking_cookie" => {
                    self.note(&full, "see listener.cookie_s, which lets in");
                }
                "enable_request_capture" => {
                    self.note(&full, "what a session asked by HTTP is not kept");
                }
                "allow_origins" => {
                    self.note(&full, "origins are not looked at: ANY PAGE MAY OPEN A WEBSOCKET");
                }
                "out_queue_size" => self.note(&full, QUEUE),
                _ => self.unknown(&full),
            }
        }
        let Some(address) = text_at(of, "address") else { return };
        let tls = self.tls("websocket", of);
        let scheme = if tls.is_empty() { "wamp+ws" } else { "wamp+wss" };
        self.listener(&format!("{scheme}://{}", place(address)), &format!("{lines}{tls}"));
        self.note(
            "websocket.address",
            "it is at /, /ws and /wamp, not at any path (listener.paths)",
        );
    }

    fn rawsocket(&mut self, of: &Value) {
        for (key, value) in fields(of) {
            let full = format!("rawsocket.{key}");
            match key.to_ascii_lowercase().as_str() {
                "tcp_address" | "unix_address" | "cert_file" | "key_file" => {}
                "max_msg_len" => match value.whole() {
                    Some(0) => {}
                    Some(len) => {
                        let len = len.clamp(512, 1 << 24).next_power_of_two();
                        self.limits.push(format!("wamp_bytes_max = {len}"));
                    }
                    None => self.note(&full, "it is no number of bytes"),
                },
                "tcp_keepalive_interval" => self
                    .note(&full, "sessions are asked by PING instead, on demand: listener.ping_ms"),
                "out_queue_size" => self.note(&full, QUEUE),
                _ => self.unknown(&full),
            }
        }
        if let Some(address) = text_at(of, "tcp_address") {
            let tls = self.tls("rawsocket", of);
            let scheme = if tls.is_empty() { "wamp" } else { "wamps" };
            self.listener(&format!("{scheme}://{}", place(address)), &tls);
        }
        if let Some(path) = text_at(of, "unix_address") {
            match path.starts_with('/') {
                true => self.listener(&format!("unix:{path}?speak=wamp"), ""),
                false => self.note("rawsocket.unix_address", "it is no whole path"),
            }
        }
    }

    fn tls(&mut self, section: &str, of: &Value) -> String {
        match (text_at(of, "cert_file"), text_at(of, "key_file")) {
            (Some(cert), Some(key)) => {
                format!("cert = {}\nkey = {}\n", quoted(cert), quoted(key))
            }
            (None, None) => String::new(),
            _ => {
                self.note(section, "a certificate needs a key, and a key a certificate: NO TLS");
                String::new()
            }
        }
    }

    fn listener(&mut self, url: &str, lines: &str) {
        self.listeners += &format!("\n[[listener]]\nurl = {}\n{lines}", quoted(url));
    }

    fn log_path(&mut self, value: &Value) {
        match value.text() {
            Some("") => {}
            Some(path) => self.log.push(format!("file = {}", quoted(path))),
            None => self.note("log_path", "it is no path"),
        }
    }

    fn router(&mut self, of: &Value) {
        for (key, value) in fields(of) {
            let full = format!("router.{key}");
            match key.to_ascii_lowercase().as_str() {
                "realms" => self.realms(items(Some(value))),
                "realm_template" => {
                    self.note(&full, "name it in `realms`, as *?..., to have realms on demand");
                }
                "debug" if value.truth() == Some(true) => {
                    self.log.push("level = \"debug\"".into());
                }
                "debug" => {}
                "mem_stats_log_sec" => self.note(&full, "memory is among the metrics"),
                _ => self.unknown(&full),
            }
        }
    }

    fn realms(&mut self, realms: &[Value]) {
        let mut all = Vec::new();
        for (n, realm) in realms.iter().enumerate() {
            let name = text_at(realm, "uri").unwrap_or_default();
            let full = format!("router.realms[{n}]");
            if !truth_at(realm, "anonymous_auth") {
                // Its file knows no users: nobody comes in but the program that embeds it.
                let text = format!("{name}: nobody could come in there; it is left out");
                self.note(&full, &text);
                continue;
            }
            let plan = self.realm(&full, name, realm);
            match plan.parse::<crate::broker::RealmPlan>() {
                Ok(_) => all.push(quoted(&plan)),
                Err(why) => self.note(&full, &why),
            }
        }
        if all.is_empty() {
            return;
        }
        self.root.push("allow_anonymous = true".into());
        self.root.push(format!("realms = [{}]", all.join(", ")));
        self.note("router.realms", "there is a realm `default` besides, open to the same");
    }

    /// A realm as ours is written.
    fn realm(&mut self, full: &str, name: &str, realm: &Value) -> String {
        let on = |key| if truth_at(realm, key) { "on" } else { "off" };
        let mut plan = format!(
            "{name}?strict={}&disclose={}&kill={}&modify={}",
            on("strict_uri"),
            on("allow_disclose"),
            on("enable_meta_kill"),
            on("enable_meta_modify"),
        );
        for (key, value) in fields(realm) {
            let full = format!("{full}.{key}");
            match key.to_ascii_lowercase().as_str() {
                "uri" | "anonymous_auth" | "strict_uri" | "allow_disclose" => {}
                "enable_meta_kill" | "enable_meta_modify" => {}
                "require_local_auth" | "require_local_authz" => {
                    self.note(&full, "who embeds the broker is not asked");
                }
                "meta_strict" | "meta_include_session_details" => {
                    let empty = matches!(value, Value::List(all) if all.is_empty());
                    if value.truth() != Some(false) && !empty {
                        self.note(&full, "what a session says of itself is told as it is");
                    }
                }
                "event_history" => {
                    for (n, event) in items(Some(value)).iter().enumerate() {
                        match history(event) {
                            Some(history) => plan += &history,
                            None => self.note(&format!("{full}[{n}]"), "it is no history"),
                        }
                    }
                }
                _ => self.unknown(&full),
            }
        }
        plan
    }

    fn finish(mut self) -> Imported {
        let mut toml = String::new();
        for (head, lines) in [("", &self.root), ("log", &self.log), ("limits", &self.limits)] {
            if !lines.is_empty() && !head.is_empty() {
                toml += &format!("\n[{head}]\n");
            }
            lines.iter().for_each(|line| toml += &format!("{line}\n"));
        }
        self.out.toml = toml + &self.listeners;
        self.out
    }
}

/// What a realm is told to remember.
fn history(event: &Value) -> Option<String> {
    let topic = text_at(event, "topic")?;
    let limit = at(event, "limit").and_then(Value::whole).filter(|limit| *limit > 0)?;
    let matching = text_at(event, "match").unwrap_or("exact");
    let spelled = matches!(matching, "exact" | "prefix" | "wildcard") && !topic.contains('&');
    spelled.then(|| format!("&history={matching}:{limit}:{topic}"))
}

/// Why a size of a queue becomes nothing.
const QUEUE: &str = "what waits for a client is bounded by bytes and by number, see [limits]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, file};

    fn translate(text: &str) -> Imported {
        let done = import("n.json", text).expect("a configuration");
        let mut given = Given::default();
        let mut faults = Vec::new();
        file::read(std::path::Path::new("out.toml"), &done.toml, &mut given, &mut faults);
        assert_eq!(faults, [], "what is printed can be read:\n{}", done.toml);
        let _ = crate::config::Settings::of(&given, &mut faults);
        assert_eq!(faults, [], "and means something:\n{}", done.toml);
        done
    }

    const WHOLE: &str = r#"{
        "websocket": {"address": ":8080", "cert_file": "/c.pem", "key_file": "/k.pem",
            "keep_alive": 30, "enable_compression": true, "enable_tracking_cookie": false,
            "allow_origins": ["*.example.com"], "out_queue_size": 128},
        "rawsocket": {"tcp_address": "127.0.0.1:8181", "tcp_keepalive_interval": 180,
            "unix_address": "/run/nexus.sock", "max_msg_len": 100000},
        "log_path": "/var/log/nexus.log",
        "router": {"debug": true, "mem_stats_log_sec": 0, "realms": [
            {"uri": "com.example.app", "anonymous_auth": true, "Allow_Disclose": true,
             "strict_uri": true, "enable_meta_kill": true, "meta_strict": false,
             "event_history": [{"topic": "com.example.log", "match": "prefix", "limit": 50},
                               {"topic": "x", "limit": 0}]},
            {"uri": "com.example.closed", "anonymous_auth": false},
            {"uri": "not a realm", "anonymous_auth": true}],
          "realm_template": {"anonymous_auth": true}}}"#;

    #[test]
    fn what_means_the_same_is_translated_and_the_rest_is_listed() {
        let done = translate(WHOLE);
        assert_eq!(
            done.toml,
            "allow_anonymous = true\n\
             realms = [\"com.example.app?strict=on&disclose=on&kill=on&modify=off\
             &history=prefix:50:com.example.log\"]\n\n\
             [log]\nfile = \"/var/log/nexus.log\"\nlevel = \"debug\"\n\n\
             [limits]\nwamp_bytes_max = 131072\n\n\
             [[listener]]\nurl = \"wamp+wss://[::]:8080\"\nping_ms = 30000\npong_ms = 30000\n\
             cert = \"/c.pem\"\nkey = \"/k.pem\"\n\n\
             [[listener]]\nurl = \"wamp://127.0.0.1:8181\"\n\n\
             [[listener]]\nurl = \"unix:/run/nexus.sock?speak=wamp\"\n"
        );
        let begins = [
            "websocket.enable_compression: ",
            "websocket.allow_origins: ",
            "websocket.out_queue_size: ",
            "websocket.address: it is at /, /ws and /wamp",
            "rawsocket.tcp_keepalive_interval: ",
            "router.mem_stats_log_sec: ",
            "router.realms[0].event_history[1]: it is no history",
            "router.realms[1]: com.example.closed: nobody could come in",
            "router.realms[2]: not a realm is no name",
            "router.realms: there is a realm `default` besides",
            "router.realm_template: ",
        ];
        assert_eq!(done.notes.len(), begins.len(), "{:#?}", done.notes);
        for (note, begin) in done.notes.iter().zip(begins) {
            assert!(note.starts_with(&format!("n.json: {begin}")), "{note}");
        }
        assert_eq!(done.users, None);
    }

    #[test]
    fn nothing_is_dropped_in_silence_and_nothing_is_opened_by_mistake() {
        let done = translate(
            r#"{"zzz": 1, "websocket": {"address": "h:1", "cert_file": "/c", "colour": 1},
                "rawsocket": {"unix_address": "relative"},
                "router": {"realms": [{"uri": "a.b", "flag": true}]}}"#,
        );
        assert_eq!(done.toml, "\n[[listener]]\nurl = \"wamp+ws://h:1\"\n");
        let notes = done.notes.join("\n");
        for told in ["zzz: nothing like it", "websocket.colour: nothing", "NO TLS", "whole path"] {
            assert!(notes.contains(told), "{told}\n{notes}");
        }
        assert!(notes.contains("a.b: nobody could come in there"), "{notes}");
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_place() {
        for (text, why) in
            [("", "n.json: it is no JSON: "), ("[1]", "n.json: it is no JSON object")]
        {
            assert!(import("n.json", text).is_err_and(|told| told.starts_with(why)), "{text}");
        }
        let comment = import("n.json", "{\n// a comment\n}");
        assert!(comment.is_err_and(|told| told.contains("at byte 2")));
    }
}
