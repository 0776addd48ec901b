//! Floor 5. What happens, as lines of the log.
//!
//! Connects and disconnects are worded as those know them who grep for them; everything else is
//! `key=value`. What a client made up is escaped and cut, so that no line can be forged and none
//! is long. What strangers can provoke at will is logged at debug level, except their refusal; of
//! what any client can repeat at will there are so many lines in a second, and a count of the rest.
//! Absent on purpose: where the lines go.

use std::fmt::{self, Write};

use log::Level;

use crate::base::bucket::Bucket;
use crate::base::id::ConnId;
use crate::base::limits::Limit;
use crate::base::map::{Map, Seed};
use crate::base::time::Now;
use crate::hub::policy::{Access, Address, Event, Observer};

/// Writes events to the log. It remembers, of every connection, whose it is.
#[derive(Debug)]
pub struct LogObserver {
    open: Map<ConnId, Known>,
    /// Lines about what clients may not do, and how many were left out.
    pace: Bucket,
    left_out: u64,
}

#[derive(Debug)]
struct Known {
    address: Address,
    client: Option<String>,
}

impl LogObserver {
    /// One that knows no connection. `seed` keys its memory.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let open = Map::with_hasher(Seed::with_seed(seed));
        Self { open, pace: Bucket::new(LINES_S, LINES), left_out: 0 }
    }

    /// May there be another line about somebody who did what it may not?
    fn has_line(&mut self, now: Now) -> bool {
        if !self.pace.take(now.mono, 1) {
            self.left_out += 1;
            return false;
        }
        if self.left_out > 0 {
            log::warn!(target: "spindle::log", "{} lines like the next left out", self.left_out);
            self.left_out = 0;
        }
        true
    }

    fn on_logged_in(&mut self, conn: ConnId, protocol: &str, user: &[u8], client_id: &[u8]) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        let name = if client_id.is_empty() { user } else { client_id };
        let client = Plain(name).to_string();
        log::info!(
            target: "spindle::conn",
            "New client connected from {} as {client} ({protocol}, u'{}').",
            known.address,
            Plain(user)
        );
        known.client = Some(client);
    }

    fn on_closed(&mut self, conn: ConnId, reason: &str) {
        match self.open.remove(&conn) {
            Some(Known { client: Some(client), .. }) => {
                log::info!(target: "spindle::conn", "Client {client} disconnected: {reason}.");
            }
            Some(Known { address, .. }) => {
                log::debug!(
                    target: "spindle::conn",
                    "Client <unknown> from {address} disconnected: {reason}."
                );
            }
            None => {}
        }
    }
}

impl LogObserver {
    fn on_forwarded(&mut self, conn: ConnId, address: Address) {
        if let Some(known) = self.open.get_mut(&conn) {
            log::debug!(
                target: "spindle::conn",
                "forwarded conn={} by={} for={address}", Conn(conn), known.address
            );
            known.address = address;
        }
    }
}

impl Observer for LogObserver {
    fn see(&mut self, now: Now, event: &Event<'_>) {
        let faulty =
            matches!(event, Event::Refused { .. } | Event::Denied { .. } | Event::Fault { .. });
        if faulty && !self.has_line(now) {
            return;
        }
        match *event {
            Event::Opened { conn, listener, address } => {
                self.open.insert(conn, Known { address, client: None });
                log::debug!(
                    target: "spindle::conn",
                    "New connection from {address} listener={} conn={}", listener.0, Conn(conn)
                );
            }
            Event::Forwarded { conn, address } => self.on_forwarded(conn, address),
            Event::LoggedIn { conn, protocol, who, client_id } => {
                self.on_logged_in(conn, protocol, &who.user, client_id);
            }
            Event::Refused { conn, address, user, why } => log::warn!(
                target: "spindle::access",
                "login refused conn={} address={address} user='{}' reason=\"{why}\"",
                Conn(conn), Plain(user)
            ),
            Event::Closed { conn, reason } => self.on_closed(conn, reason),
            Event::Subscribed { who, filter } => log::debug!(
                target: "spindle::sub",
                "subscribed user='{}' filter='{}'",
                Plain(&who.user), Plain(format!("{filter:?}").as_bytes())
            ),
            Event::Unsubscribed { who, filter } => log::debug!(
                target: "spindle::sub",
                "unsubscribed user='{}' filter='{}'",
                Plain(&who.user), Plain(format!("{filter:?}").as_bytes())
            ),
            Event::Published { who, topic, len, qos, retain } => log::trace!(
                target: "spindle::pub",
                "published user='{}' topic='{}' len={len} qos={qos} retain={retain}",
                Plain(&who.user), Plain(topic.text())
            ),
            Event::Dropped { user, topic, reason } => log::debug!(
                target: "spindle::pub",
                "dropped user='{}' topic='{}' reason={reason}",
                Plain(user), Plain(topic.text())
            ),
            Event::Unspelled { protocol, topic } => log::warn!(
                target: "spindle::pub",
                "topic='{}' has no spelling in protocol={protocol}, whose readers do not get it",
                Plain(topic.text())
            ),
            Event::Limited { who, limit } => tell_limit(who, limit),
            Event::Denied { conn, who, access, why } => log::info!(
                target: "spindle::access",
                "denied conn={} user='{}' {} why=\"{}\"",
                Conn(conn), Plain(&who.user), Asked(access), Plain(why.as_bytes())
            ),
            Event::Fault { conn, clause, text } => log::info!(
                target: "spindle::proto",
                "fault conn={} clause=\"{clause}\" text=\"{}\"",
                Conn(conn), Plain(text.as_bytes())
            ),
            Event::Stopped { clean } => log::debug!(target: "spindle", "at the end clean={clean}"),
            Event::Storage { state, text } => log::warn!(
                target: "spindle::journal",
                "state={state} text=\"{}\"", Plain(text.as_bytes())
            ),
        }
    }
}

fn tell_limit(who: &[u8], limit: Limit) {
    // A full window is how a slow reader paces us; it is nothing to be alarmed about.
    let level = if limit == Limit::inflight_max { Level::Debug } else { Level::Warn };
    log::log!(
        target: "spindle::limit", level,
        "limit reached who='{}' limit={}", Plain(who), limit.name()
    );
}

/// Text that somebody else made: escaped, and cut.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN_MAX;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                let tame = !c.is_control() && !matches!(c, '\'' | '"' | '\\') && c != '\u{2028}';
                let len = if tame { c.len_utf8() } else { 8 };
                if len > left {
                    return f.write_str("...");
                }
                left -= len;
                if tame { f.write_char(c)? } else { write!(f, "{}", c.escape_default())? }
            }
            for byte in chunk.invalid() {
                if left < 4 {
                    return f.write_str("...");
                }
                left -= 4;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

struct Conn(ConnId);

impl fmt::Display for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.index, self.0.life)
    }
}

struct Asked<'a>(Access<'a>);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Access::Publish(topic) => write!(f, "publish='{}'", Plain(topic.text())),
            Access::Receive(topic) => write!(f, "receive='{}'", Plain(topic.text())),
            Access::Request(topic) => write!(f, "request='{}'", Plain(topic.text())),
            Access::Subscribe(filter) => {
                write!(f, "subscribe='{}'", Plain(format!("{filter:?}").as_bytes()))
            }
        }
    }
}

/// Lines about faulty clients in a second, and at once.
const LINES_S: u64 = 20;
const LINES: u64 = 200;
/// Bytes shown of a text that somebody else made.
const SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_crowd_does_not_fill_the_log() {
        let mut log = LogObserver::new(1);
        let at = |s: u64| Now { mono: s * 1_000_000_000, wall: 0 };
        let lines = |log: &mut LogObserver, s| (0..10_000).filter(|_| log.has_line(at(s))).count();
        assert_eq!(lines(&mut log, 0), 200);
        assert_eq!(log.left_out, 9_800);
        assert_eq!(lines(&mut log, 1), 20);
        assert_eq!(log.left_out, 9_980, "what was left out before was said");
    }

    #[test]
    fn no_line_is_forged_and_none_is_long() {
        let shown = |text: &[u8]| Plain(text).to_string();
        assert_eq!(shown(b"sensor-1"), "sensor-1");
        assert_eq!(shown("bl\u{fc}te".as_bytes()), "bl\u{fc}te");
        assert_eq!(shown(b"a\nb' \\ \xff\x1b[31m"), "a\\nb\\' \\\\ \\xff\\u{1b}[31m");
        let long = shown(&[b'x'; 500]);
        assert_eq!((long.len(), long.ends_with("x...")), (203, true));
        assert!(shown(&[0xff; 500]).len() <= 203);
        assert!(shown(&[b'\n'; 500]).len() <= 203);
    }
}
