//! Floor 6. Exit codes: one table for all verbs.
//!
//! Scripts read these numbers, so a row never changes. `pub`, `sub`, `request` and `reply` answer
//! as mosquitto's programs do, whose numbers overlap with the others', and the verbs of `wamp` and
//! `aio` as those; the rest share one list.
//! Absent on purpose: numbers that no verb ends with.

use super::ctl::object;
use super::json::Value;

/// Done.
pub(super) const DONE: u8 = 0;
/// A client's command line is wrong, or the broker cannot be reached.
pub(super) const CLIENT: u8 = 1;
/// The broker broke the protocol.
pub(super) const PROTOCOL: u8 = 2;
/// The connection was lost before everything was done.
pub(super) const LOST: u8 = 7;
/// TLS.
pub(super) const TLS: u8 = 8;
/// Nothing that can be sent, or not in this way.
pub(super) const REFUSED: u8 = 5;
/// The time is over.
pub(super) const TIMED_OUT: u8 = 27;

/// The load generator measured itself.
pub(super) const BOTTLENECK: u8 = 4;

/// A row: verbs, number, meaning.
pub(super) struct Row {
    pub(super) verbs: &'static str,
    pub(super) code: &'static str,
    pub(super) means: &'static str,
}

const fn row(verbs: &'static str, code: &'static str, means: &'static str) -> Row {
    Row { verbs, code, means }
}

const CLIENTS: &str = "pub, sub, request, reply";
const WAMP: &str = "wamp";
const AIO: &str = "aio";
const OTHERS: &str = "all others";

/// All of them.
pub(super) const TABLE: &[Row] = &[
    row("all", "0", "done"),
    row(OTHERS, "1", "cannot start, cannot read or write, or the broker said no"),
    row(OTHERS, "2", "the command line or the configuration is wrong"),
    row("serve", "3", "the journal is damaged"),
    row("acl test", "4", "not allowed"),
    row("bench", "4", "the generator was the bottleneck: no figure"),
    row(CLIENTS, "1", "the command line is wrong, or the broker cannot be reached"),
    row(CLIENTS, "1 to 5", "before MQTT 5.0: the broker refused the connection with this code"),
    row(CLIENTS, "2", "the broker broke the protocol"),
    row(CLIENTS, "5", "nobody is there to answer, or the broker refused what was sent"),
    row(CLIENTS, "7", "the connection was lost before everything was done"),
    row(CLIENTS, "8", "TLS: a certificate or a handshake"),
    row(CLIENTS, "27", "the time of -W or --timeout is over"),
    row(CLIENTS, "128 to 162", "MQTT 5.0: the broker refused the connection with this code"),
    row(WAMP, "1", "the command line is wrong, or the router cannot be reached or lets nobody in"),
    row(WAMP, "2", "the router broke the protocol"),
    row(WAMP, "5", "the router, or the callee, answered with an error"),
    row(WAMP, "7", "the connection was lost before everything was done"),
    row(WAMP, "8", "TLS: a certificate or a handshake"),
    row(WAMP, "27", "the time of -W or --timeout is over"),
    row(AIO, "1", "the command line is wrong, or the server cannot be reached or lets nobody in"),
    row(AIO, "2", "the server broke the protocol"),
    row(AIO, "5", "no frame can hold what was to be sent, or the other side refused it"),
    row(AIO, "7", "the connection was lost before everything was done"),
    row(AIO, "8", "TLS: a certificate or a handshake"),
    row(AIO, "27", "the time of -W or --patience is over"),
];

/// Verbs and code of every row.
pub fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|row| (row.verbs, row.code))
}

/// The table as text, or as JSON.
pub(super) fn text(json: bool) -> String {
    if json {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let object = |row: &Row| {
            let [code, verbs, means] = [row.code, row.verbs, row.means].map(text);
            object(vec![("code", code), ("verbs", verbs), ("means", means)])
        };
        let all = Value::List(TABLE.iter().map(object).collect());
        return String::from_utf8_lossy(&all.print(false)).into_owned();
    }
    let mut text = format!("{:<11} {:<25} MEANING\n", "CODE", "VERBS");
    for row in TABLE {
        text += &format!("{:<11} {:<25} {}\n", row.code, row.verbs, row.means);
    }
    text.pop();
    text
}

/// The table for the manual.
pub(super) fn markdown() -> String {
    let mut text = "| code | verbs | meaning |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        text += &format!("| {} | {} | {} |\n", row.code, row.verbs, row.means);
    }
    text
}
