//! Floor 5. What happens, as lines of the log.
//!
//! Connects and disconnects are worded as those know them who grep for them; everything else is
//! `key=value`. What a client made up is escaped and cut, so that no line can be forged and none
//! is long. What strangers can provoke at will is logged at debug level, except their refusal; of
//! what any client can repeat at will there are so many lines in a second, and a count of the rest.
//! Absent on purpose: where the lines go.

use std::fmt;

use log::Level;

use crate::base::bucket::Bucket;
use crate::base::id::ConnId;
use crate::base::limits::Limit;
use crate::base::map::{Map, Seed};
use crate::base::time::Now;
use crate::hub::policy::{self, Access, Address, Event, Observer, Refusal};
use crate::topic::Filter;

use super::logging::{Plain, Said};

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
    port: Option<u16>,
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

    fn on_logged_in(&mut self, conn: ConnId, protocol: &str, user: &[u8], login: &Login<'_>) {
        let Some(known) = self.open.get_mut(&conn) else { return };
        let name = if login.client_id.is_empty() { user } else { login.client_id };
        let client = Plain(name).to_string();
        let terms = Terms { protocol, user, terms: login.terms };
        log::info!(
            target: "spindle::conn",
            "New client connected from {} as {client} ({terms}).",
            Origin(known)
        );
        known.client = Some(client);
    }

    fn on_closed(&mut self, conn: ConnId, reason: &str) {
        match self.open.remove(&conn) {
            Some(Known { client: Some(client), .. }) => {
                log::info!(target: "spindle::conn", "Client {client} disconnected: {reason}.");
            }
            Some(known) => {
                log::debug!(
                    target: "spindle::conn",
                    "Client <unknown> from {} disconnected: {reason}.", Origin(&known)
                );
            }
            None => {}
        }
    }
}

impl LogObserver {
    fn tell_limit(&self, conn: Option<ConnId>, who: &[u8], limit: Limit) {
        // A full window is how a slow reader paces us; it is nothing to be alarmed about.
        let level = if limit == Limit::inflight_max { Level::Debug } else { Level::Warn };
        match conn.and_then(|conn| self.open.get(&conn)) {
            Some(known) => log::log!(
                target: "spindle::limit", level, who:% = Said(who), limit = limit.name(),
                address:% = Origin(known); "limit reached"
            ),
            None => log::log!(
                target: "spindle::limit", level, who:% = Said(who), limit = limit.name();
                "limit reached"
            ),
        }
    }

    fn on_forwarded(&mut self, conn: ConnId, address: Address) {
        if let Some(known) = self.open.get_mut(&conn) {
            log::debug!(
                target: "spindle::conn", conn:% = Conn(conn), by:% = known.address,
                client:% = address; "forwarded"
            );
            (known.address, known.port) = (address, None);
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
                self.open.insert(conn, Known { address, port: None, client: None });
                log::debug!(
                    target: "spindle::conn", conn:% = Conn(conn), address:% = address,
                    listener = listener.0; "opened"
                );
            }
            Event::Port { conn, port } => {
                if let Some(known) = self.open.get_mut(&conn) {
                    known.port = Some(port);
                }
            }
            Event::Forwarded { conn, address } => self.on_forwarded(conn, address),
            Event::LoggedIn { conn, protocol, who, client_id, terms } => {
                self.on_logged_in(conn, protocol, &who.user, &Login { client_id, terms });
            }
            Event::Closed { conn, reason } => self.on_closed(conn, reason),
            Event::Refused { conn, address, user, client_id, why: Refusal::Anothers } => {
                log::warn!(
                    target: "spindle::access", conn:% = Conn(conn), address:% = address,
                    user:% = Said(user), client_id:% = Said(client_id),
                    reason:% = Refusal::Anothers; "login refused"
                );
            }
            Event::Refused { conn, address, user, why, .. } => log::warn!(
                target: "spindle::access", conn:% = Conn(conn), address:% = address,
                user:% = Said(user), reason:% = why; "login refused"
            ),
            Event::Denied { conn, who, access, why } => tell_denied(conn, &who.user, &access, why),
            Event::Subscribed { who, filter } => log::debug!(
                target: "spindle::sub", user:% = Said(&who.user), filter:% = Shown(filter);
                "subscribed"
            ),
            Event::Unsubscribed { who, filter } => log::debug!(
                target: "spindle::sub", user:% = Said(&who.user), filter:% = Shown(filter);
                "unsubscribed"
            ),
            Event::Published { who, topic, len, qos, retain } => log::trace!(
                target: "spindle::pub", user:% = Said(&who.user), topic:% = Said(topic.text()),
                len, qos, retain; "published"
            ),
            Event::Dropped { user, topic, reason } => log::debug!(
                target: "spindle::pub", user:% = Said(user), topic:% = Said(topic.text()),
                reason = reason.word(); "dropped"
            ),
            Event::Unspelled { protocol, topic } => log::warn!(
                target: "spindle::pub", topic:% = Said(topic.text()), protocol;
                "a topic without a spelling in this protocol, whose readers do not get it"
            ),
            Event::Limited { conn, who, limit } => self.tell_limit(conn, who, limit),
            Event::Fault { conn, clause, text } => log::info!(
                target: "spindle::proto", conn:% = Conn(conn), clause,
                text:% = Said(text.as_bytes()); "fault"
            ),
            Event::Stopped { clean } => log::debug!(target: "spindle", clean; "at the end"),
            Event::Storage { state, text } => log::warn!(
                target: "spindle::journal", state, text:% = Said(text.as_bytes()); "storage"
            ),
        }
    }
}

fn tell_denied(conn: ConnId, user: &[u8], access: &Access<'_>, why: &str) {
    let text;
    let (verb, name) = match access {
        Access::Publish(topic) => ("publish", &topic.text()[..]),
        Access::Receive(topic) => ("receive", &topic.text()[..]),
        Access::Request(topic) => ("request", &topic.text()[..]),
        Access::Subscribe(filter) => {
            text = Shown(filter).to_string();
            ("subscribe", text.as_bytes())
        }
    };
    log::info!(
        target: "spindle::access", conn:% = Conn(conn), user:% = Said(user), verb,
        name:% = Said(name), why:% = Said(why.as_bytes()); "denied"
    );
}

/// Where somebody comes from, with the port as far as it is known.
struct Origin<'a>(&'a Known);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.address, self.0.port) {
            (address @ Address::V6(_), Some(port)) => write!(f, "[{address}]:{port}"),
            (address, Some(port)) => write!(f, "{address}:{port}"),
            (address, None) => write!(f, "{address}"),
        }
    }
}

/// What a login said besides names: for MQTT in the words that everybody greps for.
struct Terms<'a> {
    protocol: &'a str,
    user: &'a [u8],
    terms: Option<policy::Terms>,
}

impl fmt::Display for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.terms {
            Some(policy::Terms { version: Some(version), .. }) => write!(f, "p{version}")?,
            _ => f.write_str(self.protocol)?,
        }
        if let Some(terms) = &self.terms {
            write!(f, ", c{}, k{}", u8::from(terms.clean), terms.keepalive_s)?;
        }
        if self.user.is_empty() { Ok(()) } else { write!(f, ", u'{}'", Plain(self.user)) }
    }
}

/// What a login said.
struct Login<'a> {
    client_id: &'a [u8],
    terms: Option<policy::Terms>,
}

/// A filter as it was said, as far as it can be.
struct Shown<'a>(&'a Filter);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Said(format!("{:?}", self.0).as_bytes()))
    }
}

struct Conn(ConnId);

impl fmt::Display for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.index, self.0.life)
    }
}

/// Lines about faulty clients in a second, and at once.
const LINES_S: u64 = 20;
const LINES: u64 = 200;

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
    fn logins_are_said_in_the_words_that_are_known() {
        let said = |protocol, user: &[u8], terms: Option<policy::Terms>| {
            Terms { protocol, user, terms }.to_string()
        };
        let terms = |version| Some(policy::Terms { version, clean: true, keepalive_s: 60 });
        assert_eq!(said("mqtt", b"user", terms(Some(5))), "p5, c1, k60, u'user'");
        assert_eq!(said("mqtt", b"", terms(Some(2))), "p2, c1, k60");
        assert_eq!(said("prx1", b"o'b\n", terms(None)), "prx1, c1, k60, u'o\\'b\\n'");
        assert_eq!(said("local", b"", None), "local");
    }

    #[test]
    fn a_port_stands_behind_its_address() {
        let v6 = Address::V6(std::net::Ipv6Addr::LOCALHOST.octets());
        for (address, port, want) in [
            (Address::V4([10, 0, 0, 9]), Some(7), "10.0.0.9:7"),
            (Address::V4([10, 0, 0, 9]), None, "10.0.0.9"),
            (v6, Some(7), "[::1]:7"),
            (v6, None, "::1"),
            (Address::Local, None, "local"),
        ] {
            assert_eq!(Origin(&Known { address, port, client: None }).to_string(), want);
        }
    }
}
