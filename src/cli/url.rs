//! Floor 6. URLs of brokers: scheme, who, where, and a topic.
//!
//! As mosquitto reads them: what follows the first slash is the topic, as it is, because topics
//! are not paths. Absent on purpose: percent signs in topics; in names and passwords they are
//! decoded, since there `:` and `@` need them.

use std::path::PathBuf;

use crate::client::percent::decoded;

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Scheme {
    #[default]
    Mqtt,
    Mqtts,
    Ws,
    Wss,
    Prx1,
}

/// A URL, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) unix: Option<PathBuf>,
}

impl Default for Url {
    fn default() -> Self {
        Self {
            scheme: Scheme::Mqtt,
            host: "localhost".to_owned(),
            port: None,
            user: None,
            password: None,
            topic: None,
            unix: None,
        }
    }
}

impl Url {
    /// Read one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self { unix: Some(path.into()), ..Self::default() });
        }
        let unknown = "Error: Unsupported URL scheme.\n";
        let (scheme, rest) = text.split_once("://").ok_or(unknown)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => Scheme::Mqtt,
            "mqtts" => Scheme::Mqtts,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            "prx1" => Scheme::Prx1,
            _ => return Err(unknown.to_owned()),
        };
        let (rest, topic) = match rest.split_once('/') {
            Some((rest, topic)) => (rest, Some(topic).filter(|t| !t.is_empty())),
            None => (rest, None),
        };
        let (who, place) = match rest.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, rest),
        };
        let (user, password) = match who.map(|who| who.split_once(':').ok_or(who)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(decoded(user)), Some(decoded(password))),
            Some(Err(user)) => (Some(decoded(user)), None),
        };
        let (host, port) = place_of(place)?;
        let topic = topic.map(str::to_owned);
        Ok(Self { scheme, host, port, user, password, topic, unix: None })
    }
}

fn place_of(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        // An IPv6 address has colons of its own.
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => return Err(format!("Error: Invalid URL: '{place}' has no closing bracket.")),
        },
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let wrong = |port| format!("Error: Invalid port given: {port}");
    let port = port.map(|port| port.parse().map_err(|_| wrong(port))).transpose()?;
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_who_where_and_what() {
        let url = Url::parse("mqtts://jo%40x:p%3aw@[::1]:88/a/b").unwrap();
        assert_eq!((url.scheme, url.host.as_str(), url.port), (Scheme::Mqtts, "::1", Some(88)));
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("jo@x"), Some("p:w")));
        assert_eq!(url.topic.as_deref(), Some("a/b"));
        let url = Url::parse("prx1://host").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.topic), ("host", None, None));
        assert_eq!(Url::parse("unix:/run/x").unwrap().unix, Some("/run/x".into()));
        for wrong in ["http://x", "host:1883", "mqtt://x:y/", "mqtt://[::1/a"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
