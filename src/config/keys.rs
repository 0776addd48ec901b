//! Floor 6. Every key there is, in one table: name, kind, default, reason, and what a reload does.
//!
//! Files, the environment, the flags of `serve`, their help, the template, the schema and the
//! manual are made from it, so a key cannot be in one of them and miss in another. Its rows stand
//! in `rows.rs`; the bounds of `base/limits.rs` are rows of it too, under `[limits]`. Absent on
//! purpose: what a value is good for (`settings.rs`).

use crate::base::limits::{Limits, Row};

use super::rows::KEYS;
use super::value::{Kind, Value};

/// One key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// The section it stands in; empty for those above all sections.
    pub section: Section,
    /// Its name there.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The default as a file would have it; empty when there is none.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What mosquitto calls a key of the same meaning.
    pub mosquitto: &'static [&'static str],
    /// A reload takes it over; otherwise it needs a restart.
    pub live: bool,
    /// The flag of `serve`, without dashes; empty when there is none.
    pub flag: &'static str,
    /// It may stand in a file.
    pub filed: bool,
}

/// Where keys stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Section {
    /// Above all sections.
    Root,
    /// `[log]`
    Log,
    /// `[tls]`
    Tls,
    /// `[limits]`
    Limits,
    /// `[admin]`
    Admin,
    /// `[[listener]]`
    Listener,
    /// `[[admin.user]]`
    AdminUser,
    /// `[[admin.token]]`
    AdminToken,
}

impl Section {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Root,
        Self::Listener,
        Self::Tls,
        Self::Log,
        Self::Admin,
        Self::AdminUser,
        Self::AdminToken,
        Self::Limits,
    ];

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Log => "log",
            Self::Tls => "tls",
            Self::Limits => "limits",
            Self::Admin => "admin",
            Self::Listener => "listener",
            Self::AdminUser => "admin.user",
            Self::AdminToken => "admin.token",
        }
    }

    /// May it stand there several times?
    #[must_use]
    pub const fn repeats(self) -> bool {
        matches!(self, Self::Listener | Self::AdminUser | Self::AdminToken)
    }

    /// What it is for.
    #[must_use]
    pub const fn doc(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Log => "What the program says about itself.",
            Self::Tls => {
                "Certificate and key of every listener with TLS that names none of its own."
            }
            Self::Limits => "Every bound there is.",
            Self::Admin => "The way in for administrators.",
            Self::Listener => "Where to listen, and how; one table for each listener.",
            Self::AdminUser => "Who may look at the broker, or operate it; one table for each.",
            Self::AdminToken => "The same for programs, by a token; one table for each.",
        }
    }
}

impl Key {
    pub(super) const fn new(
        section: Section,
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        let (mosquitto, live, flag, filed): (&[&str], _, _, _) = (&[], true, "", true);
        Self { section, name, kind, default, doc, mosquitto, live, flag, filed }
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = flag;
        self
    }

    pub(super) const fn restart(mut self) -> Self {
        self.live = false;
        self
    }

    pub(super) const fn like(mut self, mosquitto: &'static [&'static str]) -> Self {
        self.mosquitto = mosquitto;
        self
    }

    pub(super) const fn unfiled(mut self) -> Self {
        self.filed = false;
        self
    }

    /// The name with its section.
    #[must_use]
    pub fn full(&self) -> String {
        match self.section {
            Section::Root => self.name.to_owned(),
            section => format!("{}.{}", section.name(), self.name),
        }
    }

    /// The variable of the environment; none for what stands in tables that repeat.
    #[must_use]
    pub fn env(&self) -> Option<String> {
        let name = self.full().replace('.', "__").to_ascii_uppercase();
        (!self.section.repeats()).then(|| format!("{ENV}{name}"))
    }

    /// The default as a value, when there is one.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        if self.section == Section::Limits {
            let shown = Limits::default().show(self.name)?;
            return self.kind.read(&shown).ok();
        }
        let text = self.default.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        (!self.default.is_empty()).then(|| self.kind.read(text.unwrap_or(self.default)).ok())?
    }
}

/// What variables of the environment begin with.
pub const ENV: &str = "SPINDLE__";

/// Every key, sections in their order.
#[must_use]
pub fn all() -> Vec<Key> {
    let limits = Limits::ALL.iter().filter(|row| named_elsewhere(row.name).is_none()).map(bound);
    KEYS.iter().copied().chain(limits).collect()
}

/// The key of this name in this section.
#[must_use]
pub fn find(section: Section, name: &str) -> Option<Key> {
    if section == Section::Limits {
        let row = Limits::ALL.iter().find(|row| row.name == name);
        return row.filter(|row| named_elsewhere(row.name).is_none()).map(bound);
    }
    KEYS.iter().find(|key| key.section == section && key.name == name).copied()
}

/// The keys of a section, in order.
pub fn of(section: Section) -> impl Iterator<Item = Key> {
    all().into_iter().filter(move |key| key.section == section)
}

/// The key that says this bound, for one that is no key among the bounds.
#[must_use]
pub fn named_elsewhere(bound: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(name, _)| *name == bound).map(|(_, key)| *key)
}

/// A row of the table of bounds as a key.
fn bound(row: &Row) -> Key {
    let kind = match row.default {
        "true" | "false" => Kind::Flag,
        default if default.contains("::") => Kind::Word(&["round_robin", "sticky", "least_owed"]),
        _ => Kind::Number,
    };
    let mut key = Key::new(Section::Limits, row.name, kind, row.default, row.doc);
    let like = LIKE.iter().find(|(name, _)| *name == row.name);
    key.mosquitto = like.map_or(&[], |(_, like)| like);
    key.live = !UNALTERED.contains(&row.name);
    key
}

/// Bounds for which mosquitto has a key.
const LIKE: [(&str, &[&str]); 11] = [
    ("connections_max", &["global_max_connections"]),
    ("packet_bytes_max", &["max_packet_size"]),
    ("server_keepalive_s", &["max_keepalive"]),
    ("inflight_max", &["max_inflight_messages"]),
    ("queued_max", &["max_queued_messages"]),
    ("queued_bytes_max", &["max_queued_bytes"]),
    ("session_s_max", &["persistent_client_expiration"]),
    ("alias_max", &["max_topic_alias"]),
    ("retain_ok", &["retain_available"]),
    ("qos_max", &["max_qos"]),
    ("http_head_bytes_max", &["websockets_headers_size"]),
];
/// Bounds that have a key of their own, by mosquitto's name: two keys for one number would leave
/// open which of them counts.
const ELSEWHERE: [(&str, &str); 1] = [("sys_interval_s", "sys_interval")];
/// Bounds by which something was made at the start.
const UNALTERED: [&str; 4] =
    ["segment_bytes", "verify_at_once", "read_bytes_turn", "retained_inline_bytes"];

#[cfg(test)]
mod tests {
    use super::Section::{AdminUser, Log, Root};
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let all = all();
        assert!(all.len() > Limits::ALL.len() + 30);
        for key in &all {
            let full = key.full();
            assert_eq!(find(key.section, key.name), Some(*key), "{full}");
            assert!(key.doc.ends_with(['.', '?']) && !key.doc.contains("  "), "{full}");
            let has = !key.default.is_empty();
            assert_eq!(key.default_value().is_some(), has, "{full}: {}", key.default);
            let names = all.iter().filter(|other| other.full() == full);
            assert_eq!(names.count(), 1, "{full} is there twice");
            let flags = all.iter().filter(|k| !key.flag.is_empty() && k.flag == key.flag);
            assert!(flags.count() <= 1, "--{} is there twice", key.flag);
        }
        for (name, key) in ELSEWHERE {
            assert!(Limits::ALL.iter().any(|row| row.name == name), "{name}");
            assert!(find(Section::Limits, name).is_none() && find(Root, key).is_some(), "{key}");
        }
        for (name, _) in LIKE {
            assert!(find(Section::Limits, name).is_some(), "{name}");
        }
        for name in UNALTERED {
            assert!(find(Section::Limits, name).is_some_and(|key| !key.live), "{name}");
        }
    }

    #[test]
    fn a_key_has_a_variable_unless_its_table_repeats() {
        let env = |section, name| find(section, name).unwrap().env();
        assert_eq!(env(Root, "data").unwrap(), "SPINDLE__DATA");
        assert_eq!(env(Log, "level").unwrap(), "SPINDLE__LOG__LEVEL");
        let limit = env(Section::Limits, "packet_bytes_max").unwrap();
        assert_eq!(limit, "SPINDLE__LIMITS__PACKET_BYTES_MAX");
        assert_eq!(env(AdminUser, "name"), None);
    }
}
