//! rumqttc, driven line by line: one JSON request per line on standard input, one JSON answer or
//! event per line on standard output.
//!
//! One process is one client: to drop a connection without a word, end the process. Nothing is
//! decided here: a request becomes one call of the library, and what the library says becomes one
//! line. Absent on purpose: reconnection, timeouts, expectations.

mod desk;
mod v4;
mod v5;

use std::io::BufRead;

use rumqttc::{TlsConfiguration, Transport};
use serde_json::Value;

fn main() {
    let mut first = String::new();
    if std::io::stdin().lock().read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    // An error only says that the process has a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match serde_json::from_str::<Value>(&first) {
        Ok(ask) if ask["version"] == 5 => v5::serve(&ask),
        Ok(ask) => v4::serve(&ask),
        Err(e) => desk::closed(&e.to_string()),
    }
}

/// Where to, in the spelling of the library: WebSocket clients are given an address as a whole.
fn place(ask: &Value) -> (String, u16) {
    let host = desk::text(&ask["host"]);
    let port = desk::number(&ask["port"]) as u16;
    match ask["transport"].as_str() {
        Some(scheme @ ("ws" | "wss")) => (format!("{scheme}://{host}:{port}/mqtt"), port),
        _ => (host, port),
    }
}

fn transport(ask: &Value) -> Transport {
    let file = |name: &str| std::fs::read(ask[name].as_str().unwrap_or("")).unwrap_or_default();
    let own = ask["cert"].is_string().then(|| (file("cert"), file("key")));
    let tls = TlsConfiguration::Simple { ca: file("ca"), alpn: None, client_auth: own };
    match ask["transport"].as_str() {
        Some("tls") => Transport::Tls(tls),
        Some("ws") => Transport::Ws,
        Some("wss") => Transport::Wss(tls),
        _ => Transport::Tcp,
    }
}
