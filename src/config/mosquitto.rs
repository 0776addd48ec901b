//! Floor 6. A configuration of mosquitto into one of ours: TOML, a users file, and what is left.
//!
//! Text in, text out. What means the same is translated; what cannot be is listed with its line and
//! a reason, and so is what is not needed here: nothing is dropped in silence. Absent on purpose:
//! writing files, and guessing what a plugin does.

use super::mosquitto_users::{Acl, Users};
use super::value::quoted;

/// What came of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Imported {
    /// The configuration, without the line that names the users file.
    pub toml: String,
    /// The users file, when there is need of one.
    pub users: Option<String>,
    /// What could not be brought along, or means something else here.
    pub notes: Vec<String>,
}

/// A listener of mosquitto.
#[derive(Default)]
struct Listener {
    port: u16,
    host: Option<String>,
    unix: Option<String>,
    websocket: bool,
    tls: Vec<(&'static str, String)>,
    required: bool,
    named: bool,
    most: Option<u64>,
}

/// Opens what a configuration names.
pub trait Files {
    /// The text of a file.
    fn text(&mut self, path: &str) -> Result<String, String>;
    /// The `*.conf` files of a folder, in order.
    fn folder(&mut self, path: &str) -> Result<Vec<String>, String>;
}

struct Import<'a> {
    files: &'a mut dyn Files,
    out: Imported,
    root: Vec<String>,
    log: Vec<String>,
    limits: Vec<String>,
    /// The first is the one that is there without a `listener` line.
    listeners: Vec<Listener>,
    plain: bool,
    anonymous: Option<bool>,
    passwords: Option<String>,
    acl: Option<String>,
}

/// Understand a configuration; `name` is what it is called in notes.
pub fn import(name: &str, text: &str, files: &mut dyn Files) -> Imported {
    let mut it = Import {
        files,
        out: Imported::default(),
        root: Vec::new(),
        log: Vec::new(),
        limits: Vec::new(),
        listeners: vec![Listener { port: 1883, ..Listener::default() }],
        plain: false,
        anonymous: None,
        passwords: None,
        acl: None,
    };
    it.file(name, text, 0);
    it.finish()
}

impl Import<'_> {
    fn note(&mut self, at: &str, text: &str) {
        self.out.notes.push(format!("{at}: {text}"));
    }

    fn file(&mut self, name: &str, text: &str, depth: u32) {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = format!("{name}:{}", n + 1);
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            if key == "include_dir" {
                self.folder(&at, value, depth);
            } else if !self.line(&at, key, value) {
                self.note(&at, &format!("{key}: {}", reason(key)));
            }
        }
    }

    fn folder(&mut self, at: &str, path: &str, depth: u32) {
        if depth >= DEPTH {
            return self.note(at, "include_dir: too deep");
        }
        let files = match self.files.folder(path) {
            Ok(files) => files,
            Err(why) => return self.note(at, &format!("include_dir: {why}")),
        };
        for file in files {
            match self.files.text(&file) {
                Ok(text) => self.file(&file, &text, depth + 1),
                Err(why) => self.note(at, &format!("include_dir: {why}")),
            }
        }
    }

    /// One line; false when there is nothing here that it could become.
    fn line(&mut self, at: &str, key: &str, value: &str) -> bool {
        self.of_listener(at, key, value)
            || self.of_limits(at, key, value)
            || self.of_broker(at, key, value)
    }

    fn of_listener(&mut self, at: &str, key: &str, value: &str) -> bool {
        if key == "listener" {
            let mut words = value.split_whitespace();
            let port = words.next().and_then(|port| port.parse().ok());
            let Some(port) = port else {
                self.note(at, "listener: its port is no number");
                return true;
            };
            let rest: Vec<&str> = words.collect();
            let place = (!rest.is_empty()).then(|| rest.join(" "));
            let unix = place.clone().filter(|_| port == 0);
            let host = place.filter(|_| port != 0);
            self.listeners.push(Listener { port, host, unix, ..Listener::default() });
            return true;
        }
        let first = self.listeners.len() == 1;
        let plain = self.plain;
        let Some(listener) = self.listeners.last_mut() else { return false };
        self.plain = plain || (first && matches!(key, "port" | "bind_address"));
        match key {
            "port" => match value.parse() {
                Ok(port) => listener.port = port,
                Err(_) => self.note(at, "port: it is no number"),
            },
            "bind_address" => listener.host = Some(value.to_owned()),
            "protocol" if value == "mqtt" => {}
            "protocol" if value == "websockets" => listener.websocket = true,
            "protocol" => return false,
            "certfile" => listener.tls.push(("cert", value.to_owned())),
            "keyfile" => listener.tls.push(("key", value.to_owned())),
            "cafile" => listener.tls.push(("ca", value.to_owned())),
            "crlfile" => listener.tls.push(("crl", value.to_owned())),
            "require_certificate" => listener.required = value == "true",
            "use_identity_as_username" => listener.named = value == "true",
            "max_connections" => listener.most = value.parse().ok().filter(|n| *n > 0),
            _ => return false,
        }
        true
    }

    fn of_limits(&mut self, at: &str, key: &str, value: &str) -> bool {
        let like = super::keys::of(super::keys::Section::Limits);
        let Some(bound) = like.into_iter().find(|bound| bound.mosquitto.contains(&key)) else {
            return false;
        };
        let value = match key {
            "persistent_client_expiration" => seconds(value),
            "retain_available" => Some(value.to_owned()),
            // None means none to mosquitto; here it would be a bound of nothing.
            _ if value == "0" || value == "-1" => {
                self.note(
                    at,
                    &format!(
                        "{key} {value}: a bound is always there; {} is {}",
                        bound.full(),
                        bound.default
                    ),
                );
                return true;
            }
            _ => Some(value.to_owned()),
        };
        let flaw =
            |value: &str| crate::base::limits::Limits::default().set(bound.name, value).err();
        match value {
            Some(value) => match flaw(&value) {
                None => self.limits.push(format!("{} = {value}", bound.name)),
                Some(why) => self.note(at, &format!("{key}: {why}")),
            },
            None => self.note(at, &format!("{key}: it is no time")),
        }
        true
    }

    fn of_broker(&mut self, at: &str, key: &str, value: &str) -> bool {
        match key {
            "allow_anonymous" => self.anonymous = Some(value == "true"),
            "password_file" => self.passwords = Some(value.to_owned()),
            "acl_file" => self.acl = Some(value.to_owned()),
            "persistence" if value == "false" => self.root.push("durability = \"memory\"".into()),
            "persistence" => {}
            "persistence_location" => {
                self.note(
                    at,
                    &format!(
                        "persistence_location: the journal goes to {value}spindle, beside what \
                     mosquitto keeps; its database is not read",
                    ),
                );
                self.root.push(format!("data = {}", quoted(&format!("{value}spindle"))));
            }
            "sys_interval" => match value.parse::<u64>() {
                Ok(s) => self.root.push(format!("sys_interval = {s}")),
                Err(_) => self.note(at, "sys_interval: it is no number"),
            },
            "log_type" => match value {
                "all" | "debug" => self.log.push("level = \"debug\"".into()),
                _ => self.note(at, "log_type: levels cannot be chosen one by one; [log] level"),
            },
            "log_dest" => match value.split_once(' ') {
                None if value == "stderr" || value == "stdout" => {}
                Some(("file", path)) => self.log.push(format!("file = {}", quoted(path))),
                _ => return false,
            },
            _ => return false,
        }
        true
    }

    fn finish(mut self) -> Imported {
        let tables = self.listener_tables();
        self.users();
        if self.anonymous == Some(true) && self.out.users.is_none() {
            self.root.push("allow_anonymous = true".into());
        }
        let mut toml = String::new();
        let mut section = |head: &str, lines: &[String]| {
            let mut last: Vec<&String> = Vec::new();
            for line in lines {
                let name = |line: &str| line.split(' ').next().map(str::to_owned);
                last.retain(|other| name(other) != name(line));
                last.push(line);
            }
            if !last.is_empty() && !head.is_empty() {
                toml += &format!("\n[{head}]\n");
            }
            last.iter().for_each(|line| toml += &format!("{line}\n"));
        };
        section("", &self.root);
        section("log", &self.log);
        section("limits", &self.limits);
        self.out.toml = toml + &tables;
        self.out
    }

    fn listener_tables(&mut self) -> String {
        let mut out = String::new();
        let mut all = std::mem::take(&mut self.listeners);
        let only = all.len() == 1;
        if !self.plain && !only {
            all.remove(0);
        } else if only && !self.plain {
            // Without a listener mosquitto is there for this machine only.
            if let Some(first) = all.first_mut() {
                first.host = Some("127.0.0.1".into());
            }
            self.anonymous = self.anonymous.or(Some(true));
        }
        for listener in &all {
            out += &self.table(listener);
        }
        out
    }

    fn table(&mut self, listener: &Listener) -> String {
        let has = |name: &str| listener.tls.iter().any(|(own, _)| *own == name);
        let tls = has("cert");
        let url = match &listener.unix {
            Some(path) => format!("unix:{path}?speak=mqtt"),
            None => {
                let scheme = match (listener.websocket, tls) {
                    (false, false) => "mqtt",
                    (false, true) => "mqtts",
                    (true, false) => "ws",
                    (true, true) => "wss",
                };
                let host = listener.host.as_deref().unwrap_or("[::]");
                let bare = host.contains(':') && !host.starts_with('[');
                let host = if bare { format!("[{host}]") } else { host.to_owned() };
                format!("{scheme}://{host}:{}", listener.port)
            }
        };
        let mut out = format!("\n[[listener]]\nurl = {}\n", quoted(&url));
        if let Some(most) = listener.most {
            out += &format!("max_connections = {most}\n");
        }
        for (name, path) in listener.tls.iter().filter(|_| tls) {
            out += &format!("{name} = {}\n", quoted(path));
        }
        if tls && has("ca") {
            let word = if listener.required { "required" } else { "optional" };
            out += &format!("client_cert = \"{word}\"\n");
        }
        if listener.required && !has("ca") {
            self.note(&url, "require_certificate: there is no cafile (a capath is not read)");
        }
        if listener.named {
            self.note(
                &url,
                "use_identity_as_username: users who come in by their certificate \
                             have `certificate = true` in the users file",
            );
        }
        out
    }

    fn users(&mut self) {
        let named = (self.passwords.take(), self.acl.take());
        if named == (None, None) && self.anonymous == Some(true) {
            return;
        }
        let mut users = Users::default();
        if let Some(path) = &named.0 {
            match self.files.text(path) {
                Ok(text) => users.passwords(path, &text, &mut self.out.notes),
                Err(why) => self.note(path, &format!("password_file: {why}")),
            }
        }
        let mut acl = None;
        if let Some(path) = &named.1 {
            match self.files.text(path) {
                Ok(text) => acl = Some(Acl::parse(path, &text, &mut self.out.notes)),
                Err(why) => {
                    self.note(path, &format!("acl_file: {why}; nobody may do anything"));
                    acl = Some(Acl::default());
                }
            }
        }
        let guests = self.anonymous == Some(true);
        self.out.users = Some(users.file(acl.as_ref(), guests, &mut self.out.notes));
    }
}

/// Why a key becomes nothing.
fn reason(key: &str) -> &'static str {
    match key {
        "pid_file"
        | "user"
        | "autosave_interval"
        | "autosave_on_changes"
        | "persistence_file"
        | "set_tcp_nodelay"
        | "connection_messages"
        | "log_timestamp"
        | "log_timestamp_format"
        | "upgrade_outgoing_qos"
        | "allow_zero_length_clientid"
        | "retain_expiry_interval"
        | "store_clean_interval"
        | "websockets_log_level"
        | "log_facility" => "not needed here",
        "per_listener_settings" => {
            "users, rules and anonymous access are the same at all listeners"
        }
        "plugin" | "auth_plugin" | "global_plugin" | "plugin_load" | "plugin_use" => {
            "plugins are not run: WHO MAY COME IN MAY BE ANOTHER"
        }
        "psk_file" | "psk_hint" | "use_psk" => "pre-shared keys are not spoken",
        "use_subject_as_username" => "a user is named by the common name or an alternative name",
        "capath" => "a folder of issuers is not read: put them into one file, as cafile",
        "tls_version" => "TLS 1.2 and 1.3 are spoken, always both",
        "ciphers" | "ciphers_tls1.3" | "dhparamfile" => "ciphers are not chosen",
        "mount_point" => "topics have no mount points",
        "protocol" => "this protocol is not spoken",
        "queue_qos0_messages" => "QoS 0 is not kept for whoever is away",
        "message_size_limit" => "the whole packet is bounded: limits.packet_bytes_max",
        "connection"
        | "address"
        | "addresses"
        | "topic"
        | "bridge_cafile"
        | "remote_username"
        | "remote_password"
        | "remote_clientid"
        | "cleansession"
        | "start_type"
        | "try_private"
        | "notifications"
        | "bridge_insecure"
        | "bridge_protocol_version"
        | "keepalive_interval" => "there are no bridges",
        _ => "nothing like it is known here",
    }
}

/// A time as `persistent_client_expiration` has it.
fn seconds(text: &str) -> Option<String> {
    let at = text.len().checked_sub(1)?;
    let (number, unit) = (text.get(..at)?, text.get(at..)?);
    let of = match unit {
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        "m" => 2_592_000,
        "y" => 31_536_000,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()?.checked_mul(of)?.to_string())
}

/// Folders within folders.
const DEPTH: u32 = 8;
