//! Floor 6. `spindle aio print-config-templates`: configurations to begin with.
//!
//! What this program reads of them, with the values that hold without them. Absent on purpose: keys
//! that mean nothing here, and servers, which `spindle config default` is for.

use clap::Args;

use crate::value::Value;

use super::super::exit;
use super::{Link, print};

/// Flags of `aio print-config-templates`.
#[derive(Args, Clone, Debug)]
pub(in super::super) struct Templates {}

impl Templates {
    pub(super) fn run(&self, _: &Link) -> u8 {
        print::say(&template());
        exit::DONE
    }
}

/// A configuration of a client, with a key on each line.
fn template() -> String {
    let pairs: Vec<String> = keys()
        .into_iter()
        .map(|(key, value)| {
            let pair = print::json(vec![(key, value)]);
            let pair = pair.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            format!("    {}", pair.unwrap_or_default())
        })
        .collect();
    format!("{{\n{}\n}}", pairs.join(",\n"))
}

fn keys() -> Vec<(&'static str, Value)> {
    let text = |text: &str| print::text(text);
    let types = || Value::List(vec![print::text("any")]);
    let folder = Value::Map(vec![("target_directory".to_owned(), text("/path/to/files"))]);
    vec![
        ("certificates_directory_path", text("/var/tmp/aioconnectors")),
        ("client_name", text("client1")),
        ("file_recv_config", Value::Map(vec![("any".to_owned(), folder)])),
        ("is_server", Value::Bool(false)),
        ("keep_alive_period", Value::Null),
        ("recv_message_types", types()),
        ("send_message_types", types()),
        ("server_sockaddr", Value::List(vec![text("127.0.0.1"), Value::Int(10_673)])),
        ("ssl_allow_all", Value::Bool(false)),
        ("subscribe_message_types", Value::List(Vec::new())),
        ("token_verify_peer_cert", Value::Bool(true)),
        ("tokens_directory_path", text("/var/tmp/aioconnectors")),
        ("use_ssl", Value::Bool(true)),
        ("use_token", Value::Bool(false)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::aio::config::Config;

    #[test]
    fn what_is_printed_can_be_read() {
        let config = Config::of(template().as_bytes()).expect("good");
        assert_eq!(config.server.as_deref(), Some("127.0.0.1:10673"));
        assert_eq!((config.send.len(), config.receive.len(), config.folders.len()), (1, 1, 1));
    }
}
