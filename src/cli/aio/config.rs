//! Floor 6. The configurations of the original, as far as what runs here does what they say.
//!
//! They are JSON, of a manager or of an application, with the keys of the first versions or of
//! today's. What means nothing here is passed over, as the original passes over what it does not
//! know; a connector says which that is (`remarks`). Only a connector can be a server; whoever
//! wants a client is told that such a configuration is none. Absent on purpose: what only servers
//! are told (`server`).

use std::path::{Path, PathBuf};

use crate::client::aio::Security;
use crate::client::aio::connector::{Ignored, Kept};
use crate::value::{Bounds, Form, Value, Walk};

use super::server::Server;

/// What a configuration says.
#[derive(Clone, Default, Debug)]
pub(super) struct Config {
    /// It is of a server.
    pub(super) serves: Option<Server>,
    pub(super) server: Option<String>,
    pub(super) name: Option<String>,
    pub(super) security: Security,
    pub(super) keep_alive: Option<u64>,
    pub(super) send: Vec<String>,
    pub(super) receive: Vec<String>,
    pub(super) topics: Vec<String>,
    /// `dst_type` and the folder for it.
    pub(super) folders: Vec<(String, PathBuf)>,
    /// Where a connector has its sockets, and what it keeps.
    pub(super) directory: Option<PathBuf>,
    pub(super) keep_sent: Kept,
    pub(super) keep_received: Kept,
    pub(super) kept_max: Option<u64>,
    pub(super) ignored: Ignored,
    /// One message to a connection, from applications and to them.
    pub(super) send_once: bool,
    pub(super) receive_once: bool,
    pub(super) connect_s: Option<u64>,
    pub(super) file_max: Option<u64>,
    pub(super) level: Option<String>,
    /// What it says that is not done.
    pub(super) remarks: Vec<String>,
}

impl Config {
    /// Of a client.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let config = Self::read_any(path)?;
        match config.serves {
            None => Ok(config),
            Some(_) => Err(format!("{}: is_server is not false: this is a client", path.display())),
        }
    }

    /// Of a client or a server.
    pub(super) fn read_any(path: &Path) -> Result<Self, String> {
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
        let serves = truth("is_server", true)?.then(|| Server::of(&value)).transpose()?;
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
        let remarks = remarks(&value, serves.is_some());
        Ok(Self {
            serves,
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
            directory: text("connector_files_dirpath")?.map(PathBuf::from),
            keep_sent: kept(&value, "disk_persistence_send")?,
            keep_received: kept(&value, "disk_persistence_recv")?,
            kept_max: number(&value, "max_size_persistence_path")?,
            ignored: ignored(&value)?,
            send_once: !truth("uds_path_send_preserve_socket", true)?,
            receive_once: !truth("uds_path_receive_preserve_socket", true)?,
            connect_s: number(&value, "connect_timeout")?,
            file_max: match number(&value, "max_size_file_upload_send")? {
                None => number(&value, "max_size_file_upload")?,
                most => most,
            },
            level: text("default_logger_log_level").unwrap_or_default(),
            remarks,
        })
    }
}

/// Where a server is if nobody says where.
pub(super) const USUAL: &str = "127.0.0.1:10673";

/// Where the original of today keeps everything that no folder is named for.
pub(super) fn default_dir() -> PathBuf {
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

pub(super) fn texts(value: &Value, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{key} is no list of texts");
    let Some(found) = value.get(key).filter(|found| **found != Value::Null) else {
        return Ok(Vec::new());
    };
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

fn number(value: &Value, key: &str) -> Result<Option<u64>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => {
            let number = found.as_int().and_then(|number| u64::try_from(number).ok());
            number.map(Some).ok_or_else(|| format!("{key} is no number"))
        }
    }
}

/// All, none, or a list of types.
fn kept(value: &Value, key: &str) -> Result<Kept, String> {
    match value.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Kept::Nothing),
        Some(Value::Bool(true)) => Ok(Kept::Everything),
        Some(_) => texts(value, key).map(|types| match types.is_empty() {
            true => Kept::Nothing,
            false => Kept::Types(types),
        }),
    }
}

fn ignored(value: &Value) -> Result<Ignored, String> {
    const KEY: &str = "ignore_peer_traffic";
    match value.get(KEY) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Ignored::Nobody),
        Some(Value::Bool(true)) => Ok(Ignored::Everybody),
        Some(Value::Text(peer)) => Ok(Ignored::Peers(vec![peer.clone()])),
        Some(_) => texts(value, KEY).map(Ignored::Peers),
    }
}

/// Keys that are not known, and those that ask for what is not done here.
fn remarks(value: &Value, serves: bool) -> Vec<String> {
    let Value::Map(pairs) = value else { return Vec::new() };
    let mut all = Vec::new();
    for (key, found) in pairs {
        let key = key.as_str();
        if OBEYED.contains(&key) || serves && OBEYED_BY_SERVERS.contains(&key) {
            continue;
        }
        match UNOBEYED.iter().find(|(it, _)| *it == key) {
            None => all.push(format!("{} is not known", key.escape_debug())),
            Some((_, usual)) if asks(found, usual) => all.push(format!("{key} is not obeyed")),
            Some(_) => {}
        }
    }
    all
}

/// It says something else than what holds anyway.
fn asks(found: &Value, usual: &str) -> bool {
    match found {
        Value::Null => false,
        Value::Map(pairs) => pairs.iter().any(|(_, it)| asks(it, "false")),
        Value::List(list) => !list.is_empty(),
        Value::Text(text) => !text.is_empty() && text != usual,
        Value::Bool(truth) => (if *truth { "true" } else { "false" }) != usual,
        Value::Int(number) => usual != "any" && number.to_string() != usual,
        _ => usual != "any",
    }
}

/// What is done as it is said.
const OBEYED: [&str; 26] = [
    "is_server",
    "server_sockaddr",
    "client_name",
    "use_ssl",
    "ssl_allow_all",
    "certificates_directory_path",
    "use_token",
    "tokens_directory_path",
    "token_verify_peer_cert",
    "send_message_types",
    "recv_message_types",
    "subscribe_message_types",
    "connector_files_dirpath",
    "disk_persistence_send",
    "disk_persistence_recv",
    "max_size_persistence_path",
    "file_recv_config",
    "file_type2dirpath",
    "uds_path_send_preserve_socket",
    "uds_path_receive_preserve_socket",
    "connect_timeout",
    "keep_alive_period",
    "max_size_file_upload_send",
    "max_size_file_upload",
    "ignore_peer_traffic",
    "default_logger_log_level",
];

/// And by a server.
const OBEYED_BY_SERVERS: [&str; 10] = [
    "pubsub_central_broker",
    "whitelisted_clients_id",
    "whitelisted_clients_ip",
    "whitelisted_clients_subnet",
    "blacklisted_clients_id",
    "blacklisted_clients_ip",
    "blacklisted_clients_subnet",
    "reuse_server_sockaddr",
    "reuse_uds_path_commander_server",
    "reuse_uds_path_send_to_connector",
];

/// What is not, and with which value nobody misses it; `any`: with any number.
const UNOBEYED: [(&str, &str); 45] = [
    ("alternate_client_default_cert", "false"),
    ("blacklisted_clients_id", ""),
    ("blacklisted_clients_ip", ""),
    ("blacklisted_clients_subnet", ""),
    ("client_bind_ip", ""),
    ("client_cafile_verify_server", ""),
    ("config_file_overrides_kwargs", "true"),
    ("config_file_path", ""),
    ("debug_msg_counts", "true"),
    ("default_logger_bk_count", "any"),
    ("default_logger_dirpath", ""),
    ("default_logger_rotate", "true"),
    ("enable_client_try_reconnect", "true"),
    ("everybody_can_send_messages", "false"),
    ("hook_allow_certificate_creation", ""),
    ("hook_load_token", ""),
    ("hook_proxy_authorization", ""),
    ("hook_server_auth_client", ""),
    ("hook_store_token", ""),
    ("hook_target_directory", ""),
    ("hook_whitelist_clients", ""),
    ("keep_alive_timeout", "any"),
    ("max_certs", "any"),
    ("max_number_of_unanswered_keep_alive", "any"),
    ("max_size_chunk_upload", "any"),
    ("max_size_file_upload_recv", "any"),
    ("proxy", ""),
    ("pubsub_central_broker", "false"),
    ("receive_from_any_connector_owner", "true"),
    ("reuse_server_sockaddr", "false"),
    ("reuse_uds_path_commander_server", "false"),
    ("reuse_uds_path_send_to_connector", "false"),
    ("send_message_types_priorities", ""),
    ("send_timeout", "any"),
    ("server_ca", "false"),
    ("server_ca_certs_not_stored", "true"),
    ("server_secure_tls", "true"),
    ("silent", "true"),
    ("token_client_send_cert", "true"),
    ("token_client_verify_server_hostname", ""),
    ("token_server_allow_authorized_non_default_cert", "false"),
    ("use_default_logger", "true"),
    ("whitelisted_clients_id", ""),
    ("whitelisted_clients_ip", ""),
    ("whitelisted_clients_subnet", ""),
];

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
    fn what_a_connector_keeps_and_ignores_is_read() {
        let read = |more: &str| Config::of(format!("{{\"is_server\": false{more}}}").as_bytes());
        let config = read("").expect("good");
        assert_eq!((config.keep_sent, config.ignored), (Kept::Nothing, Ignored::Nobody));
        let config = read(
            ", \"disk_persistence_send\": true, \"disk_persistence_recv\": [\"any\"], \
             \"ignore_peer_traffic\": \"x\", \"max_size_persistence_path\": 7, \
             \"uds_path_send_preserve_socket\": false",
        );
        let config = config.expect("good");
        assert_eq!(config.keep_sent, Kept::Everything);
        assert_eq!(config.keep_received, Kept::Types(vec!["any".to_owned()]));
        assert_eq!(config.ignored, Ignored::Peers(vec!["x".to_owned()]));
        assert_eq!(
            (config.kept_max, config.send_once, config.receive_once),
            (Some(7), true, false)
        );
        assert!(read(", \"disk_persistence_send\": \"any\"").is_err());
        assert!(read(", \"max_size_persistence_path\": -1").is_err());
    }

    #[test]
    fn what_is_not_done_is_remarked() {
        let read = |more: &str| {
            let text = format!("{{\"is_server\": false, {more}}}");
            Config::of(text.as_bytes()).expect("good").remarks
        };
        assert_eq!(read("\"send_timout\": 5"), ["send_timout is not known"]);
        assert_eq!(read("\"proxy\": {\"enabled\": true}"), ["proxy is not obeyed"]);
        assert_eq!(read("\"enable_client_try_reconnect\": false").len(), 1);
        assert_eq!(read("\"everybody_can_send_messages\": true").len(), 1);
        let usual = "\"proxy\": {}, \"send_timeout\": 50, \"client_bind_ip\": null, \
            \"silent\": true, \"blacklisted_clients_id\": []";
        assert!(read(usual).is_empty());
    }

    #[test]
    fn a_configuration_of_a_server_is_read() {
        let text = br#"{"server_sockaddr": ["0.0.0.0", 7], "certificates_directory_path": "/c",
            "pubsub_central_broker": true, "whitelisted_clients_id": ["a.*", "b"],
            "blacklisted_clients_ip": ["10.0.0.1"], "whitelisted_clients_subnet":
            ["10.0.0.0/8"], "blacklisted_clients_id": null, "server_ca": true,
            "reuse_server_sockaddr": true}"#;
        let config = Config::of(text).expect("good");
        let server = config.serves.expect("as the original does if nothing is said");
        assert!(server.central_broker && server.certificates == Path::new("/c"));
        assert!(server.lists.admit_name("ab") && !server.lists.admit_name("c"));
        assert!(server.lists.admit([10, 0, 0, 2].into()));
        assert!(!server.lists.admit([10, 0, 0, 1].into()));
        assert_eq!(config.remarks, ["server_ca is not obeyed"]);
        for bad in [
            "\"whitelisted_clients_id\": [\"(a|b)\"]",
            "\"blacklisted_clients_subnet\": [\"10.0.0.0/99\"]",
            "\"pubsub_central_broker\": 1",
        ] {
            assert!(Config::of(format!("{{{bad}}}").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "[]",
            "{",
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
