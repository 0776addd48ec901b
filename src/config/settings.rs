//! Floor 6. What a configuration means: values of the types a broker is built with.
//!
//! Whatever one value says about another is checked here: a certificate needs its key, a listener
//! with TLS a certificate, a listener that others can reach a users file. Absent on purpose:
//! opening files, and what administrators may do.

use std::path::PathBuf;

use log::LevelFilter;

use super::keys::{self, Section};
use super::value::Value;
use super::{Entry, Fault, Given, Origin, Table};
use crate::access;
use crate::base::cidr::Cidr;
use crate::base::limits::Limits;
use crate::broker::{Listen, RealmPlan};
use crate::hub::gate::{self, Admins, Role, Token};
use crate::hub::message::Durability;
use crate::os::logging::Form;
use crate::os::spin::SPIN_US_MAX;
use crate::os::tuning::{self, Tuning};

/// Everything, read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the journal is.
    pub data: PathBuf,
    /// What acknowledgements wait for.
    pub durability: Durability,
    /// The users file.
    pub users: Option<PathBuf>,
    /// Everybody may come in from anywhere.
    pub allow_anonymous: bool,
    /// Keep what can be kept of a damaged journal.
    pub salvage: bool,
    /// Where to listen.
    pub listeners: Vec<ServedListener>,
    /// Whose word about addresses is taken.
    pub trusted_proxies: Vec<Cidr>,
    /// Namespaces beside the default one.
    pub realms: Vec<RealmPlan>,
    /// TLS of the listeners that have none of their own.
    pub tls: Option<TlsFiles>,
    /// The log.
    pub log: Log,
    /// Threads for passwords; nothing: as many as cores, but one.
    pub workers: Option<usize>,
    /// What is asked of the machine for the sake of latency.
    pub tuning: Tuning,
    /// Every bound.
    pub limits: Limits,
    /// The way in for administrators.
    pub admin: Admin,
}

/// A listener as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedListener {
    /// How it was written, or would be.
    pub url: String,
    /// What it is.
    pub listen: Listen,
    /// TLS of its own.
    pub tls: Option<TlsFiles>,
    /// Connections at it; 0: no bound of its own.
    pub connections_max: u32,
}

/// The files of TLS, and what is asked of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Issuers of clients' certificates.
    pub ca: Option<PathBuf>,
    /// What they revoked.
    pub crl: Option<PathBuf>,
    /// Clients must have a certificate.
    pub required: bool,
    /// The user's name is the first alternative name, not the subject's.
    pub alternative: bool,
}

/// What the program says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// How much.
    pub level: LevelFilter,
    /// In which form, if not in the one that fits.
    pub format: Option<Form>,
    /// Where to, if not to standard error.
    pub file: Option<PathBuf>,
}

/// The way in for administrators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// The URL to listen at; nothing: nowhere in the network.
    pub listen: Option<String>,
    /// Names it may be called by.
    pub hosts: Vec<String>,
    /// Who logs in with a password.
    pub users: Vec<gate::Admin>,
    /// Who shows a token.
    pub tokens: Vec<Token>,
}

impl Admin {
    /// Who may come in, and under which names the broker is asked.
    #[must_use]
    pub fn admins(&self) -> Admins {
        let Self { users, tokens, hosts, .. } = self.clone();
        Admins { users, tokens, hosts }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(&Given::default(), &mut Vec::new())
    }
}

impl Settings {
    /// Understand what was given; what cannot be understood is left at its default and named.
    pub(super) fn of(given: &Given, faults: &mut Vec<Fault>) -> Self {
        let mut of = Reading { given, faults };
        let tls = of.shared_tls();
        let listeners = of.listeners(tls.as_ref());
        let workers = of.number(Section::Root, "workers");
        let settings = Self {
            data: of.path(Section::Root, "data").unwrap_or_default(),
            durability: durability(&of.text(Section::Root, "durability")),
            users: of.path(Section::Root, "users"),
            allow_anonymous: of.flag(Section::Root, "allow_anonymous"),
            salvage: of.flag(Section::Root, "salvage"),
            listeners,
            trusted_proxies: of.proxies(),
            realms: of.realms(),
            tls,
            log: of.log(),
            workers: (workers > 0).then(|| usize::try_from(workers).unwrap_or(usize::MAX)),
            tuning: of.tuning(),
            limits: of.limits(),
            admin: of.admin(),
        };
        settings.exposed(given, faults);
        settings
    }

    /// A listener that others can reach, while everybody is welcome.
    fn exposed(&self, given: &Given, faults: &mut Vec<Fault>) {
        if self.users.is_some() || self.allow_anonymous {
            return;
        }
        let tables = given.tables.iter().filter(|table| table.section == Section::Listener);
        for (listener, table) in self.listeners.iter().zip(tables) {
            let listen = &listener.listen;
            if listen.is_reachable() && !listen.is_of_relay() && !listen.is_guarded() {
                let text = format!(
                    "{} can be reached from other machines and every login would be accepted: \
                     name the users (users = \"FILE\", --users FILE), or open it on purpose \
                     (allow_anonymous = true, --allow-anonymous)",
                    listener.url
                );
                faults.push(Fault { origin: table.origin.clone(), text });
            }
        }
    }
}

/// The most memory to have ahead of time: more is a mistake of units.
const PREFAULT_MB_MAX: u64 = 1 << 20;
/// Where listeners are when none are given: the ports the protocols have always had.
const LISTEN: [&str; 2] = ["prx1://127.0.0.1:52909", "mqtt://127.0.0.1:1883"];

/// Keys of a listener that its URL may have as options.
const LISTENER_OPTIONS: [&str; 26] = [
    "durability",
    "proxy",
    "ping_ms",
    "pong_ms",
    "cookie_s",
    "mode",
    "strict",
    "away",
    "connect_ms",
    "wait_ms",
    "answer_ms",
    "idle_ms",
    "check_ms",
    "upstream_connections",
    "spare_connections",
    "line_bytes",
    "rates",
    "forward_ca",
    "forward_cert",
    "forward_key",
    "forward_name",
    "certificates",
    "enrol",
    "tokens",
    "files",
    "file_types",
];

struct Reading<'a> {
    given: &'a Given,
    faults: &'a mut Vec<Fault>,
}

impl Reading<'_> {
    fn entry(&self, section: Section, name: &'static str) -> Option<Entry> {
        let given = self.given.entries.get(&(section, name)).cloned();
        given.or_else(|| {
            let value = keys::find(section, name)?.default_value()?;
            Some(Entry { value, origin: Origin::Default })
        })
    }

    fn value(&self, section: Section, name: &'static str) -> Option<Value> {
        self.entry(section, name).map(|entry| entry.value)
    }

    fn text(&self, section: Section, name: &'static str) -> String {
        self.value(section, name).map_or_else(String::new, |value| value.text())
    }

    fn path(&self, section: Section, name: &'static str) -> Option<PathBuf> {
        let text = self.text(section, name);
        (!text.is_empty()).then(|| text.into())
    }

    fn flag(&self, section: Section, name: &'static str) -> bool {
        self.value(section, name) == Some(Value::Flag(true))
    }

    fn number(&self, section: Section, name: &'static str) -> u64 {
        match self.value(section, name) {
            Some(Value::Number(n)) => n,
            _ => 0,
        }
    }

    fn fault(&mut self, origin: &Origin, text: impl Into<String>) {
        self.faults.push(Fault { origin: origin.clone(), text: text.into() });
    }

    fn proxies(&mut self) -> Vec<Cidr> {
        let Some(entry) = self.entry(Section::Root, "trusted_proxies") else { return Vec::new() };
        let Value::Texts(texts) = &entry.value else { return Vec::new() };
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse() {
                Ok(block) => all.push(block),
                Err(why) => self.fault(&entry.origin, format!("trusted_proxies: {text}: {why}")),
            }
        }
        all
    }

    fn realms(&mut self) -> Vec<RealmPlan> {
        let Some(entry) = self.entry(Section::Root, "realms") else { return Vec::new() };
        let Value::Texts(texts) = &entry.value else { return Vec::new() };
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse() {
                Ok(plan) => all.push(plan),
                Err(why) => self.fault(&entry.origin, format!("realms: {why}")),
            }
        }
        all
    }

    fn log(&self) -> Log {
        Log {
            level: self.text(Section::Log, "level").parse().unwrap_or(LevelFilter::Info),
            format: match self.text(Section::Log, "format").as_str() {
                "json" => Some(Form::Json),
                "journald" => Some(Form::Journald),
                "text" => Some(Form::Text),
                _ => None,
            },
            file: self.path(Section::Log, "file"),
        }
    }

    fn tuning(&mut self) -> Tuning {
        let mut cores = |name| {
            let entry = self.entry(Section::Root, name)?;
            let text = entry.value.text();
            let read = tuning::cores(&text);
            let read = match read {
                Ok(cores) if name == "cpu" && cores.len() > 1 => {
                    Err("one core, not several".into())
                }
                other => other,
            };
            read.map_err(|why| self.fault(&entry.origin, format!("{name}: {why}"))).ok()
        };
        let cpu = cores("cpu").and_then(|cores| cores.first().copied());
        let worker_cpus = cores("worker_cpus").unwrap_or_default();
        let busy = self.at_most(Section::Root, "busy_poll_us", SPIN_US_MAX);
        let heap_mb = self.at_most(Section::Root, "prefault_mb", PREFAULT_MB_MAX);
        Tuning {
            spin_us: self.at_most(Section::Root, "spin_us", SPIN_US_MAX),
            busy_poll_us: u32::try_from(busy).unwrap_or(u32::MAX),
            cpu,
            worker_cpus,
            lock: self.flag(Section::Root, "mlock"),
            prefault: usize::try_from(heap_mb << 20).unwrap_or(usize::MAX),
        }
    }

    /// A number that makes no sense beyond a bound.
    fn at_most(&mut self, section: Section, name: &'static str, most: u64) -> u64 {
        let n = self.number(section, name);
        if n > most
            && let Some(entry) = self.entry(section, name)
        {
            self.fault(&entry.origin, format!("{name} is at most {most}, not {n}"));
        }
        n.min(most)
    }

    fn limits(&mut self) -> Limits {
        let sys_interval_s = self.number(Section::Root, "sys_interval");
        let mut limits = Limits { sys_interval_s, ..Limits::default() };
        for ((section, name), entry) in &self.given.entries {
            if *section != Section::Limits {
                continue;
            }
            if let Err(text) = limits.set(name, &entry.value.text()) {
                self.faults.push(Fault { origin: entry.origin.clone(), text });
            }
        }
        limits
    }

    fn shared_tls(&mut self) -> Option<TlsFiles> {
        let mut table =
            Table { section: Section::Tls, entries: Default::default(), origin: Origin::Default };
        for ((section, name), entry) in &self.given.entries {
            if *section == Section::Tls {
                table.entries.insert(name, entry.clone());
                table.origin = entry.origin.clone();
            }
        }
        self.tls(&table)
    }

    /// TLS as a table has it, or nothing when it says nothing of it.
    fn tls(&mut self, table: &Table) -> Option<TlsFiles> {
        let said = |name: &str| table.entries.get(name);
        let text = |name: &str| said(name).map(|entry| entry.value.text());
        let section = table.section.name();
        let mut needs = |name: &str, other: &str| {
            if let (Some(entry), None) = (said(name), said(other)) {
                let text = format!("{section}.{name} needs {section}.{other} beside it");
                self.faults.push(Fault { origin: entry.origin.clone(), text });
            }
        };
        for (name, other) in [("cert", "key"), ("key", "cert"), ("ca", "cert"), ("crl", "ca")] {
            needs(name, other);
        }
        needs("client_cert", "ca");
        needs("identity", "ca");
        let ca = text("ca").map(PathBuf::from);
        Some(TlsFiles {
            cert: text("cert")?.into(),
            key: text("key")?.into(),
            // Whoever names issuers and says no more wants nobody else's clients.
            required: ca.is_some() && text("client_cert").as_deref() != Some("optional"),
            ca,
            crl: text("crl").map(PathBuf::from),
            alternative: text("identity").as_deref() == Some("san"),
        })
    }

    fn listeners(&mut self, shared: Option<&TlsFiles>) -> Vec<ServedListener> {
        let given = self.given;
        let tables = given.tables.iter().filter(|table| table.section == Section::Listener);
        let mut all: Vec<(ServedListener, &Origin)> = Vec::new();
        let mut any = false;
        for table in tables {
            any = true;
            let Some(listener) = self.listener(table) else { continue };
            let own = listener.tls.is_some() || listener.listen.brings_certificate();
            if listener.listen.wants_tls() && !own && shared.is_none() {
                let text = format!(
                    "{} is to do TLS, and there is no certificate: [tls] cert and key \
                     (--tls-cert FILE, --tls-key FILE), or cert and key of its own",
                    listener.url
                );
                self.fault(&table.origin, text);
            }
            let twin = all.iter().find(|(other, _)| other.listen.is_at(&listener.listen));
            if let Some((_, first)) = twin {
                let text = format!("{} is a listener already: {first}", listener.listen.place());
                self.fault(&table.origin, text);
            }
            all.push((listener, &table.origin));
        }
        if !any {
            return LISTEN.iter().filter_map(|url| served(url)).collect();
        }
        all.into_iter().map(|(listener, _)| listener).collect()
    }

    fn listener(&mut self, table: &Table) -> Option<ServedListener> {
        let said = |name: &str| table.entries.get(name);
        let url = self.url(table)?;
        let mut listen: Listen = match url.parse() {
            Ok(listen) => listen,
            Err(why) => {
                let name = if said("url").is_some() { "url" } else { "protocol" };
                self.fault(origin_of(table, name), format!("listener: {why}"));
                return None;
            }
        };
        if let Some(Value::Texts(paths)) = said("paths").map(|entry| &entry.value) {
            listen = paths.iter().fold(listen, |listen, path| listen.path(path));
        }
        if let Some(Value::Texts(all)) = said("origins").map(|entry| &entry.value) {
            match listen.clone().option("origins", &all.join(",")) {
                Ok(told) => listen = told,
                Err(why) => {
                    self.fault(origin_of(table, "origins"), format!("listener.origins: {why}"));
                }
            }
        }
        if let Some(Value::Texts(all)) = said("forward").map(|entry| &entry.value) {
            for to in all {
                match listen.clone().forward(to) {
                    Ok(told) => listen = told,
                    Err(why) => {
                        let text = format!("listener.forward: {to}: {why}");
                        self.fault(origin_of(table, "forward"), text);
                    }
                }
            }
        }
        for name in LISTENER_OPTIONS {
            let Some(entry) = said(name) else { continue };
            let value = match &entry.value {
                Value::Flag(on) => if *on { "on" } else { "off" }.to_owned(),
                other => other.text(),
            };
            match listen.clone().option(name, &value) {
                Ok(told) => listen = told,
                Err(why) => self.fault(&entry.origin, format!("listener.{name}: {why}")),
            }
        }
        if listen.relay().is_some_and(|relay| relay.forward.is_empty()) {
            let text = format!("{url} forwards to nobody: forward = [\"host:port\"]");
            self.fault(&table.origin, text);
        }
        let tls = self.tls(table);
        if tls.is_some() && !listen.wants_tls() {
            let text = format!("{url} does no TLS, and needs no certificate");
            self.fault(origin_of(table, "cert"), text);
        }
        let most = match said("max_connections").map(|entry| &entry.value) {
            Some(Value::Number(n)) => u32::try_from(*n).unwrap_or(u32::MAX),
            _ => 0,
        };
        Some(ServedListener { url, listen, tls, connections_max: most })
    }

    /// The URL of a listener, or one made of its parts.
    fn url(&mut self, table: &Table) -> Option<String> {
        let said = |name: &str| table.entries.get(name);
        let text = |name: &str| said(name).map(|entry| entry.value.text());
        match (text("url"), text("protocol")) {
            (Some(url), None) => {
                for name in ["host", "port"] {
                    if let Some(entry) = said(name) {
                        let text = format!("listener.{name} stands in the url already");
                        self.fault(&entry.origin, text);
                    }
                }
                Some(url)
            }
            (None, Some(protocol)) => {
                let host = text("host").unwrap_or_else(|| "127.0.0.1".into());
                let bare = host.contains(':') && !host.starts_with('[');
                let host = if bare { format!("[{host}]") } else { host };
                let port = text("port").map_or_else(String::new, |port| format!(":{port}"));
                Some(format!("{protocol}://{host}{port}"))
            }
            (Some(_), Some(_)) => {
                let at = origin_of(table, "protocol");
                self.fault(at, "listener.protocol stands in the url already");
                None
            }
            (None, None) => {
                self.fault(&table.origin, "a listener needs a url, or a protocol");
                None
            }
        }
    }

    fn admin(&mut self) -> Admin {
        let given = self.given;
        let listen = self.text(Section::Admin, "listen");
        let flaw = match listen.parse::<Listen>() {
            _ if listen.is_empty() => None,
            Ok(it) if it.is_admin() => None,
            Ok(_) => Some(format!("admin.listen: {listen} is not http, https or http+unix")),
            Err(why) => Some(format!("admin.listen: {why}")),
        };
        if let Some(flaw) = flaw {
            let origin = self.entry(Section::Admin, "listen").map(|entry| entry.origin);
            self.fault(&origin.unwrap_or(Origin::Default), flaw);
        }
        let hosts = match self.value(Section::Admin, "hosts") {
            Some(Value::Texts(hosts)) => hosts,
            _ => Vec::new(),
        };
        let mut admin = Admin {
            listen: (!listen.is_empty()).then_some(listen),
            hosts,
            users: Vec::new(),
            tokens: Vec::new(),
        };
        let mut names: Vec<(Section, String)> = Vec::new();
        for table in &given.tables {
            if table.section == Section::Listener {
                continue;
            }
            let section = table.section.name();
            let Some(name) = self.must_have(table, "name") else { continue };
            if names.contains(&(table.section, name.clone())) {
                self.fault(&table.origin, format!("{section} {name} is there twice"));
            }
            names.push((table.section, name.clone()));
            let role = table.entries.get("role").map(|entry| entry.value.text());
            let role = match role.as_deref() {
                Some("operator") => Role::Operator,
                _ => Role::Viewer,
            };
            if table.section == Section::AdminUser {
                let Some(hash) = self.must_have(table, "password") else { continue };
                if let Some(flaw) = access::hash_flaw(&hash) {
                    let text = format!("admin.user.password {flaw}; `spindle hash` makes one");
                    self.fault(origin_of(table, "password"), text);
                }
                admin.users.push(gate::Admin { name, hash, role });
            } else {
                let Some(text) = self.must_have(table, "sha256") else { continue };
                match digest(&text) {
                    Some(sha256) => admin.tokens.push(Token { name, sha256, role }),
                    None => self.fault(
                        origin_of(table, "sha256"),
                        "admin.token.sha256 is 64 hexadecimal digits",
                    ),
                }
            }
        }
        admin
    }

    fn must_have(&mut self, table: &Table, name: &'static str) -> Option<String> {
        let text = table.entries.get(name).map(|entry| entry.value.text());
        if text.as_ref().is_none_or(String::is_empty) {
            let section = table.section.name();
            self.fault(origin_of(table, name), format!("{section} needs a {name}"));
            return None;
        }
        text
    }
}

fn origin_of<'a>(table: &'a Table, name: &str) -> &'a Origin {
    table.entries.get(name).map_or(&table.origin, |entry| &entry.origin)
}

/// A listener that is nothing but its URL.
fn served(url: &str) -> Option<ServedListener> {
    let listen = url.parse().ok()?;
    Some(ServedListener { url: url.to_owned(), listen, tls: None, connections_max: 0 })
}

fn durability(text: &str) -> Durability {
    match text {
        "os" => Durability::Os,
        "memory" => Durability::Memory,
        _ => Durability::Disk,
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
