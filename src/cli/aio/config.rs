//! Floor 6. The configurations of the original, as far as a client of ours does what they say.
//!
//! They are JSON, of a manager or of an application. What is not named here means nothing here and
//! is passed over, as the original passes over what it does not know. Absent on purpose: those of
//! servers, which are refused.

use std::path::{Path, PathBuf};

use crate::client::aio::Security;
use crate::value::{Bounds, Form, Value, Walk};

/// What a configuration says.
#[derive(Clone, Default, Debug)]
pub(super) struct Config {
    pub(super) server: Option<String>,
    pub(super) name: Option<String>,
    pub(super) security: Security,
    pub(super) keep_alive: Option<u64>,
    pub(super) send: Vec<String>,
    pub(super) receive: Vec<String>,
    pub(super) topics: Vec<String>,
    /// `dst_type` and the folder for it.
    pub(super) folders: Vec<(String, PathBuf)>,
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let wrong = |why: &str| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|e| wrong(&e.to_string()))?;
        Self::of(&text).map_err(|why| wrong(&why))
    }

    pub(super) fn of(text: &[u8]) -> Result<Self, String> {
        let mut walk = Walk::new(Form::Json, text, BOUNDS);
        let value = Value::read(&mut walk).and_then(|value| walk.finish().map(|()| value));
        let value = value.map_err(|flaw| flaw.to_string())?;
        if !matches!(value, Value::Map(_)) {
            return Err("it is no object of JSON".to_owned());
        }
        let truth = |key: &str, default| match value.get(key) {
            None => Ok(default),
            Some(found) => {
                found.as_bool().ok_or_else(|| format!("{key} is neither true nor false"))
            }
        };
        if truth("is_server", true)? {
            return Err("is_server is not false: this is a client".to_owned());
        }
        let text = |key: &str| -> Result<Option<String>, String> {
            match value.get(key) {
                None => Ok(None),
                Some(found) => {
                    let text = found.as_text().ok_or_else(|| format!("{key} is no text"))?;
                    Ok(Some(text.to_owned()))
                }
            }
        };
        let dir = |key: &str| text(key).map(|path| path.map_or_else(default_dir, PathBuf::from));
        let security = match (truth("use_ssl", true)?, truth("ssl_allow_all", false)?) {
            (false, _) => Security::Plain,
            (true, false) => Security::Certificates(dir("certificates_directory_path")?),
            (true, true) if truth("use_token", false)? => Security::Token {
                tokens: dir("tokens_directory_path")?,
                certificates: match truth("token_verify_peer_cert", true)? {
                    true => Some(dir("certificates_directory_path")?),
                    false => None,
                },
            },
            (true, true) => Security::AllowAll,
        };
        Ok(Self {
            server: address(&value)?,
            name: text("client_name")?,
            security,
            keep_alive: value
                .get("keep_alive_period")
                .and_then(Value::as_int)
                .map(i64::unsigned_abs),
            send: texts(&value, "send_message_types")?,
            receive: texts(&value, "recv_message_types")?,
            topics: texts(&value, "subscribe_message_types")?,
            folders: folders(&value)?,
        })
    }
}

/// Where the original of today keeps everything that no folder is named for.
fn default_dir() -> PathBuf {
    PathBuf::from("/var/tmp/aioconnectors")
}

fn address(value: &Value) -> Result<Option<String>, String> {
    let wrong = || "server_sockaddr is not [address, port]".to_owned();
    let Some(found) = value.get("server_sockaddr") else { return Ok(None) };
    let Some([host, port]) = found.as_list() else { return Err(wrong()) };
    let (host, port) = (host.as_text().ok_or_else(wrong)?, port.as_int().ok_or_else(wrong)?);
    let port = u16::try_from(port).map_err(|_| wrong())?;
    Ok(Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }))
}

fn texts(value: &Value, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{key} is no list of texts");
    let Some(found) = value.get(key) else { return Ok(Vec::new()) };
    let list = found.as_list().ok_or_else(wrong)?;
    list.iter().map(|it| it.as_text().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// `file_recv_config` of today, or `file_type2dirpath` of the first versions.
fn folders(value: &Value) -> Result<Vec<(String, PathBuf)>, String> {
    let mut all = Vec::new();
    for key in ["file_recv_config", "file_type2dirpath"] {
        let wrong = || format!("{key} names no folder for each type");
        let pairs = match value.get(key) {
            None => continue,
            Some(Value::Map(pairs)) => pairs,
            Some(_) => return Err(wrong()),
        };
        for (kind, found) in pairs {
            let folder = found.get("target_directory").unwrap_or(found);
            all.push((kind.clone(), folder.as_text().ok_or_else(wrong)?.into()));
        }
    }
    Ok(all)
}

const BOUNDS: Bounds = Bounds { depth: 8, items: 10_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_a_client_is_read() {
        let text = br#"{"is_server": false, "server_sockaddr": ["::1", 7], "client_name": "c1",
            "use_ssl": true, "ssl_allow_all": true, "use_token": true, "send_message_types":
            ["a", "b"], "subscribe_message_types": ["t"], "tokens_directory_path": "/t",
            "token_verify_peer_cert": false, "keep_alive_period": null, "more": [1],
            "file_recv_config": {"any": {"target_directory": "/f", "owner": ""}}}"#;
        let config = Config::of(text).expect("good");
        assert_eq!(config.server.as_deref(), Some("[::1]:7"));
        assert_eq!(config.name.as_deref(), Some("c1"));
        let token = Security::Token { tokens: "/t".into(), certificates: None };
        assert_eq!(config.security, token);
        assert_eq!((config.send.len(), config.topics.len(), config.keep_alive), (2, 1, None));
        assert_eq!(config.folders, [("any".to_owned(), PathBuf::from("/f"))]);
        let plain = Config::of(b"{\"is_server\": false, \"use_ssl\": false}").expect("good");
        assert_eq!(plain.security, Security::Plain);
        let old = b"{\"is_server\": false, \"file_type2dirpath\": {\"any\": \"/o\"}}";
        let old = Config::of(old).expect("good");
        assert!(matches!(old.security, Security::Certificates(_)), "as the original does");
        assert_eq!(old.folders.len(), 1);
    }

    #[test]
    fn a_server_and_nonsense_are_refused() {
        for bad in [
            "{}",
            "[]",
            "{",
            "{\"is_server\": true}",
            "{\"is_server\": 0}",
            "{\"is_server\": false, \"server_sockaddr\": \"a:1\"}",
            "{\"is_server\": false, \"server_sockaddr\": [\"a\", 65536]}",
            "{\"is_server\": false, \"client_name\": 1}",
            "{\"is_server\": false, \"send_message_types\": [1]}",
            "{\"is_server\": false, \"file_recv_config\": {\"any\": {}}}",
        ] {
            assert!(Config::of(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
