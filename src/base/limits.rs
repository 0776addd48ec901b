//! Floor 0. Every bound in the system, in one table: name, type, default, reason.
//!
//! The table makes the struct, its defaults, the reader of `name=value` and the list a user is
//! shown, so a bound cannot be in one of them and miss in another. What would stop the broker (a
//! share of nothing per turn) is below the least value and refused. A bound that somebody can reach
//! is a [`Limit`] as well, with a counter of its own. Memory in use is at most the
//! sum of these. Absent on purpose: units in values, and bounds that depend on one another.

use std::fmt;

use super::near::near;

/// One row of the table, for whoever lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The name, as in `--limit NAME=VALUE`.
    pub name: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// What it bounds, and why.
    pub doc: &'static str,
}

macro_rules! limits {
    (
        counted { $($(#[doc = $doc:literal])+
            $name:ident: $ty:ty = $default:expr $(, at least $least:literal)?;)* }
        others { $($(#[doc = $doc_2:literal])+
            $name_2:ident: $ty_2:ty = $default_2:expr $(, at least $least_2:literal)?;)* }
    ) => {
        /// All bounds.
        #[derive(Clone, Debug)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $ty,)*
            $($(#[doc = $doc_2])+ pub $name_2: $ty_2,)*
        }

        /// A bound that somebody can reach, which is then counted and told.
        #[expect(non_camel_case_types, reason = "a bound has one name, wherever it stands")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Limit { $($(#[doc = $doc])+ $name),* }

        impl Limit {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name, as in `--limit NAME=VALUE`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The label of its counter.
            #[must_use]
            pub const fn counter(self) -> &'static str {
                match self { $(Self::$name => concat!("limit_", stringify!($name), "_total")),* }
            }
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* $($name_2: $default_2),* }
            }
        }

        impl Limits {
            /// Every bound there is, in order.
            pub const ALL: &[Row] = &[
                $(Row {
                    name: stringify!($name),
                    default: stringify!($default),
                    doc: concat!($($doc),+).trim_ascii(),
                },)*
                $(Row {
                    name: stringify!($name_2),
                    default: stringify!($default_2),
                    doc: concat!($($doc_2),+).trim_ascii(),
                }),*
            ];

            /// Set the bound of this name. An error is a sentence for whoever wrote it.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
                match name {
                    $(stringify!($name) => {
                        let read = read(name, value)?;
                        $(check(read, $least, name)?;)?
                        self.$name = read;
                    })*
                    $(stringify!($name_2) => {
                        let read = read(name, value)?;
                        $(check(read, $least_2, name)?;)?
                        self.$name_2 = read;
                    })*
                    _ => return Err(unknown(name)),
                }
                Ok(())
            }

            /// The value of the bound of this name, as `set` reads it.
            #[must_use]
            pub fn show(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($name) => Some(self.$name.to_string()),)*
                    $(stringify!($name_2) => Some(self.$name_2.to_string()),)*
                    _ => None,
                }
            }
        }
    };
}

limits! {
    counted {
        /// Open connections; the file descriptors of the process bound it further.
        connections_max: u32 = 100_000, at least 1;
        /// Connections from one address (an IPv6 network counts as one); 0: no bound of its own.
        connections_per_address_max: u32 = 0;
        /// Connections accepted in a second, from anywhere; 0: as many as come.
        connects_s_max: u32 = 0;
        /// Connections accepted in a second from one address; 0: as many as come.
        connects_per_address_s_max: u32 = 0;
        /// Connections that have not identified themselves; a flood of strangers stops here.
        strangers_max: u32 = 4_096, at least 1;
        /// The same from one address (an IPv6 network counts as one), so that it cannot take all
        /// their places; 0: no bound of its own.
        strangers_per_address_max: u32 = 2_048;
        /// WAMP sessions that are spoken to by requests (long poll).
        wamp_polls_max: u32 = 1_024;
        /// Cookies that stand for somebody, at listeners that give some; the oldest makes room.
        cookies_max: usize = 8_192;
        /// From accept to a complete first packet (PRX1 peers are given at least 1 s).
        connect_ms_max: u64 = 10_000, at least 1;
        /// From the first byte of a packet to its last, plus a millisecond for every KiB of it.
        packet_ms_max: u64 = 30_000, at least 1;
        /// A peer that takes no byte for this long while some wait for it is cut.
        stuck_ms_max: u64 = 30_000, at least 1;
        /// A packet before login: credentials and a name, nothing else.
        login_bytes_max: usize = 196_620, at least 16;
        /// A packet after login.
        packet_bytes_max: usize = 1_048_576, at least 16;
        /// Messages one client may publish in a second; then it is read more slowly. 0: any number.
        messages_s_max: u32 = 0;
        /// Bytes one client may send in a second; then it is read more slowly. 0: any number.
        bytes_s_max: u64 = 0;
        /// The longest keep-alive of an MQTT peer; one of version 5 that asks for more, or for none
        /// while this is not 65535, is told to use this.
        server_keepalive_s: u16 = 65_535, at least 1;
        /// Unacknowledged deliveries to one session.
        inflight_max: usize = 1_000, at least 1;
        /// Publishes with QoS 1 or 2 that one MQTT connection may have unanswered.
        receive_max: u16 = 1_024, at least 1;
        /// Durable deliveries that wait for one session, counted; what comes then is dropped.
        queued_max: u64 = 100_000, at least 1;
        /// Durable deliveries that wait for one session, in bytes; what comes then is dropped.
        queued_bytes_max: usize = 67_108_864, at least 1;
        /// Deliveries in memory for one session, counted.
        outbox_len_max: usize = 10_000, at least 1;
        /// Deliveries in memory for one session, in bytes; durable ones are left on disk beyond it.
        outbox_bytes_max: usize = 8_388_608;
        /// Sessions that outlive their connection.
        sessions_max: u32 = 1_000_000;
        /// Memory of those sessions, about, without what they listen to and are owed.
        sessions_bytes_max: usize = 268_435_456;
        /// Subscriptions of one session.
        subscriptions_max: usize = 1_000;
        /// Memory of all filters together, about. Above three quarters of it, who has many already
        /// gets no more.
        filters_bytes_max: usize = 268_435_456, at least 65_536;
        /// Levels of a topic or filter.
        levels_max: usize = 128, at least 1;
        /// Length of a topic or filter.
        topic_bytes_max: usize = 65_535, at least 1;
        /// Retained messages in a realm.
        retained_max: usize = 1_000_000;
        /// Retained payloads in a realm, in bytes, wherever they are kept.
        retained_bytes_max: u64 = 4_294_967_296;
        /// Queues of a realm.
        queues_max: usize = 10_000;
        /// Items a queue in memory may hold.
        queue_len_max: usize = 100_000;
        /// Bytes a queue in memory may hold.
        queue_bytes_max: usize = 8_388_608;
        /// Memory of queues, retained messages and inboxes together; when that, with packets that
        /// are not whole yet, is used up, nobody new comes in.
        memory_bytes_max: usize = 268_435_456;
        /// The lower watermark, in percent of that: readers who lag are cut short from here on.
        memory_low_percent: u8 = 80;
        /// Memory of packets that have begun and not ended, of all connections together; beyond it
        /// those that began first are cut.
        unfinished_bytes_max: usize = 67_108_864, at least 65_536;
        /// A sync of the journal that takes longer is told of, pings are answered before the
        /// acknowledgements that wait for it, and the journal's files are not touched until it is
        /// over.
        sync_ms_max: u64 = 2_000, at least 1;
        /// Password checks that wait for a worker or are with one.
        verify_queue_max: usize = 256;
        /// The same, from one address.
        verify_per_address_max: usize = 128;
        /// Calls of one session that nobody has answered yet; beyond it a call fails at once.
        calls_per_caller_max: usize = 16_384, at least 1;
        /// Calls that one callee has not answered yet, wanted or not.
        calls_per_callee_max: usize = 65_536, at least 1;
        /// Procedures that one session may offer.
        registrations_max: usize = 16_384;
        /// Sessions that may share one procedure.
        callees_max: usize = 1_024, at least 1;
        /// Namespaces made from a template at the same time.
        realms_made_max: usize = 64;
        /// Answers of authenticators and authorizers that are remembered, in all realms.
        answers_known_max: usize = 8_192;
        /// Memory of registrations and of calls on their way.
        calls_bytes_max: usize = 33_554_432, at least 4_096;
    }
    others {
        /// How long a call from an MQTT client or to one may take, and one to a client of
        /// aioconnectors; a request with a shorter message expiry interval has that long.
        mqtt_call_ms_max: u64 = 60_000, at least 1;
        /// How long a silent PRX1 peer is kept (its heartbeat) unless it asks for longer.
        idle_ms_max: u64 = 10_000, at least 1;
        /// The longest keepalive a PRX1 peer may ask for.
        keepalive_s_max: u16 = 3_600;
        /// The shortest keep-alive an MQTT peer may ask for; a shorter one is read as this.
        keepalive_s_min: u16 = 0;
        /// Silence of an aioconnectors client after which it is asked whether it is there; its
        /// answer has `idle_ms_max`.
        aio_idle_ms_max: u64 = 60_000, at least 1;
        /// A file that an aioconnectors client sends to the broker, all chunks of it together; read
        /// when the broker starts.
        aio_file_bytes_max: u64 = 8_589_930_194;
        /// Files longer than a packet that wait at the broker for other aioconnectors clients; the
        /// oldest go when another needs the room. 0: none are passed on. Read when the broker
        /// starts.
        aio_spool_bytes_max: u64 = 17_179_869_184;
        /// How long each of them waits at most; read when the broker starts.
        aio_spool_s_max: u32 = 86_400, at least 1;
        /// The head of an HTTP request.
        http_head_bytes_max: usize = 8_192, at least 256;
        /// The body of a request to the administration.
        http_body_bytes_max: usize = 2_097_152, at least 1;
        /// From the first byte of such a request to its last.
        http_request_ms_max: u64 = 10_000, at least 1;
        /// How long such a connection may be silent between two requests.
        http_idle_ms_max: u64 = 60_000, at least 1;
        /// Clients whose last events are kept for whoever administers.
        history_clients_max: usize = 1_000;
        /// Viewers of live events at the same time; each costs a snapshot in a second.
        http_viewers_max: usize = 8;
        /// A WebSocket frame; never less than a packet after login may have.
        ws_frame_bytes_max: usize = 16_777_216, at least 16;
        /// A WAMP message after login, either way; what the router says that it takes.
        wamp_bytes_max: usize = 16_777_216, at least 512;
        /// Silence after which a WAMP session at a WebSocket is pinged; 0: never.
        wamp_ping_ms: u64 = 30_000;
        /// The same at a RawSocket, where some clients do not know what a PING is; 0: never.
        wamp_raw_ping_ms: u64 = 0;
        /// A WAMP session that says nothing for so long after a ping is gone.
        wamp_pong_ms: u64 = 45_000, at least 1;
        /// Such a session of which nobody fetches anything for so long is gone; a request waits for
        /// something to fetch for half of it, and 10 s at most.
        wamp_poll_ms: u64 = 60_000, at least 2;
        /// Bytes that wait to be fetched of such a session before it says no more.
        wamp_poll_bytes_max: usize = 262_144, at least 1;
        /// Bytes read from one connection before the next one's turn.
        read_bytes_turn: usize = 65_536, at least 1;
        /// Packets taken from one connection before the next one's turn.
        packets_turn: usize = 512, at least 1;
        /// Bytes encoded for one connection in a turn.
        write_bytes_turn: usize = 65_536, at least 1;
        /// Connections accepted from one listener in a turn.
        accepts_turn: usize = 64, at least 1;
        /// Topic aliases of one MQTT connection, in each direction; 0: none.
        alias_max: u16 = 32;
        /// Replies one connection may be owed (they wait for the disk, or for a slow reader).
        replies_max: usize = 4_096, at least 1;
        /// How long a session waits for its owner to return.
        session_s_max: u64 = 604_800;
        /// The highest QoS MQTT clients may use.
        qos_max: u8 = 2;
        /// MQTT clients may have messages retained.
        retain_ok: bool = true;
        /// MQTT clients may use wildcards.
        wildcard_ok: bool = true;
        /// MQTT clients may share subscriptions.
        shared_ok: bool = true;
        /// MQTT clients may give their subscriptions identifiers.
        subids_ok: bool = true;
        /// Who of a shared subscription gets a message: round_robin, sticky or least_owed.
        share_strategy: ShareStrategy = ShareStrategy::RoundRobin;
        /// Payloads that are declared to be UTF-8 are checked to be it.
        check_payload_format: bool = false;
        /// A retained payload up to this size stays in memory, a longer one is read back from disk.
        retained_inline_bytes: usize = 256;
        /// Bytes one read of the backlog brings back.
        fetch_bytes_max: usize = 262_144, at least 1;
        /// The upper watermark: publishers wait from here on.
        memory_high_percent: u8 = 90;
        /// Seconds between two publications of what is kept under `$SYS/broker/`; 0: never.
        sys_interval_s: u64 = 10;
        /// Password checks under way at once; as many as there are workers.
        verify_at_once: usize = 1, at least 1;
        /// Length of one journal segment.
        segment_bytes: u32 = 16_777_216;
    }
}

/// Who of a shared subscription gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ShareStrategy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Always the same one for a publisher.
    Sticky,
    /// The one who is owed the least.
    LeastOwed,
}

const SHARES: [(ShareStrategy, &str); 3] = [
    (ShareStrategy::RoundRobin, "round_robin"),
    (ShareStrategy::Sticky, "sticky"),
    (ShareStrategy::LeastOwed, "least_owed"),
];

impl fmt::Display for ShareStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SHARES.iter().find(|(share, _)| share == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

fn read<T: Value>(name: &str, value: &str) -> Result<T, String> {
    T::read(value).map_err(|why| format!("{name}={value}: {why}"))
}

fn check<T: PartialOrd + fmt::Display>(value: T, least: T, name: &str) -> Result<(), String> {
    if value < least { Err(format!("{name}={value}: at least {least}")) } else { Ok(()) }
}

/// What the value of a bound can be read from.
trait Value: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! numbers {
    ($($ty:ty),*) => { $(impl Value for $ty {
        fn read(text: &str) -> Result<Self, String> {
            // Digits may be set apart, as in the table.
            let digits = text.replace('_', "");
            let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            match digits.parse() {
                _ if !all => Err("not a whole number".into()),
                Ok(value) => Ok(value),
                Err(_) => Err(format!("at most {}", <$ty>::MAX)),
            }
        }
    })* };
}

numbers!(u8, u16, u32, u64, usize);

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".into())
    }
}

impl Value for ShareStrategy {
    fn read(text: &str) -> Result<Self, String> {
        let found = SHARES.iter().find(|(_, name)| *name == text);
        found.map(|(share, _)| *share).ok_or_else(|| "round_robin, sticky or least_owed".into())
    }
}

/// There is no bound of this name; is there one of nearly this name?
fn unknown(name: &str) -> String {
    match near(name, Limits::ALL.iter().map(|row| row.name)) {
        Some(like) => format!("there is no limit {name:?}; did you mean {like}?"),
        None => format!("there is no limit {name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_can_be_shown_and_set_to_what_is_shown() {
        let mut limits = Limits::default();
        assert!(Limits::ALL.len() > 50);
        for row in Limits::ALL {
            let shown = limits.show(row.name).expect(row.name);
            limits.set(row.name, &shown).expect(row.name);
            assert_eq!(limits.show(row.name), Some(shown.clone()), "{}", row.name);
            assert!(row.doc.ends_with('.') && !row.doc.contains("  "), "{}: {}", row.name, row.doc);
            if row.name != "share_strategy" {
                assert_eq!(row.default.replace('_', ""), shown, "{}", row.name);
            }
        }
        assert_eq!(limits.show("nothing"), None);
    }

    #[test]
    fn values_are_read_and_wrong_ones_are_named() {
        let mut limits = Limits::default();
        limits.set("packet_bytes_max", "2_000").unwrap();
        limits.set("retain_ok", "false").unwrap();
        limits.set("share_strategy", "sticky").unwrap();
        assert_eq!((limits.packet_bytes_max, limits.retain_ok), (2_000, false));
        assert_eq!(limits.share_strategy, ShareStrategy::Sticky);
        for (name, value, why) in [
            ("packets_turn", "0", "packets_turn=0: at least 1"),
            ("receive_max", "65536", "receive_max=65536: at most 65535"),
            ("receive_max", "-1", "receive_max=-1: not a whole number"),
            ("receive_max", "", "receive_max=: not a whole number"),
            ("retain_ok", "yes", "retain_ok=yes: true or false"),
            ("share_strategy", "x", "share_strategy=x: round_robin, sticky or least_owed"),
            ("recieve_max", "5", "there is no limit \"recieve_max\"; did you mean receive_max?"),
            (
                "conections_max",
                "5",
                "there is no limit \"conections_max\"; did you mean connections_max?",
            ),
            ("zzz", "5", "there is no limit \"zzz\""),
        ] {
            assert_eq!(limits.set(name, value), Err(why.to_owned()));
        }
        assert!(limits.set(&"a".repeat(100_000), "1").is_err());
    }
}
