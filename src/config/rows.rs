//! Floor 6. The rows of the table of keys: one for each key but the bounds.
//!
//! What a row says here is said everywhere. Absent on purpose: anything but rows.

use super::keys::Key;
use super::keys::Section::{Admin, AdminToken, AdminUser, Listener, Log, Root, Tls};
use super::value::Kind::{Flag, Number, Path, Secret, Text, Texts, Word};

/// Levels of durability.
const DURABILITY: &[&str] = &["disk", "os", "memory"];
/// Must clients have a certificate?
const RATES: &[&str] = &["second", "milli"];
const AWAY: &[&str] = &["close", "nak"];
const CLIENT_CERT: &[&str] = &["optional", "required"];
/// Which name of a certificate is the user's?
const IDENTITY: &[&str] = &["subject", "san"];
const LEVEL: &[&str] = &["error", "warn", "info", "debug", "trace"];
const FORMAT: &[&str] = &["auto", "text", "json", "journald"];
const ROLE: &[&str] = &["viewer", "operator"];

/// All keys but the bounds.
pub(super) const KEYS: &[Key] = &[
    Key::new(Root, "data", Path, "\"spindle-data\"", "Where the journal is kept.")
        .flag("data")
        .like(&["persistence_location"])
        .restart(),
    Key::new(
        Root,
        "durability",
        Word(DURABILITY),
        "\"disk\"",
        "What an acknowledgement waits for: the device, the operating system, or nothing; with \
         memory no journal is kept.",
    )
    .flag("durability")
    .restart(),
    Key::new(
        Root,
        "users",
        Path,
        "",
        "Users, groups and rules; without such a file every login is accepted, on loopback only. \
         Another file is taken over by a reload; having one at all needs a restart.",
    )
    .flag("users"),
    Key::new(
        Root,
        "allow_anonymous",
        Flag,
        "false",
        "Without a users file: accept every login from other machines too.",
    )
    .flag("allow-anonymous")
    .like(&["allow_anonymous"]),
    Key::new(
        Root,
        "salvage",
        Flag,
        "false",
        "Keep what can be kept of a damaged journal, instead of refusing it. For one start; not \
         for a file that stays.",
    )
    .flag("salvage")
    .restart(),
    Key::new(
        Root,
        "listen",
        Texts,
        "\"prx1://127.0.0.1:52909,mqtt://127.0.0.1:1883\"",
        "Listeners as URLs, instead of those in files: protocol://host:port[?durability=...&\
         proxy=on] or unix:/path; protocols: mqtt, mqtts, ws, wss, prx1, prx1s, wamp, wamps, \
         wamp+ws, wamp+wss, aio, aios, any, anys.",
    )
    .flag("listen")
    .unfiled(),
    Key::new(
        Root,
        "realms",
        Texts,
        "[]",
        "Namespaces for WAMP sessions beside `default`, which is the one of all other protocols: \
         NAME[?OPTION&...], the options stand in the chapter on realms. `*` in place of a name is \
         a template for those that are made when somebody comes to them. `default` can be named \
         too, to be told something.",
    )
    .flag("realm")
    .restart(),
    Key::new(
        Root,
        "trusted_proxies",
        Texts,
        "[]",
        "Proxies whose word about addresses is taken (PROXY header, X-Forwarded-For), as \
         addresses or blocks of them.",
    )
    .flag("trusted-proxy"),
    Key::new(
        Root,
        "workers",
        Number,
        "0",
        "Threads that compare passwords with hashes; 0: as many as cores, but one.",
    )
    .flag("workers")
    .restart(),
    Key::new(
        Root,
        "spin_us",
        Number,
        "0",
        "Microseconds for which the loop looks for more before it sleeps, for as long as that \
         mostly finds something: messages wait less, for the time of a core. 10000 at most; 0: it \
         sleeps at once.",
    )
    .flag("spin-us")
    .restart(),
    Key::new(
        Root,
        "busy_poll_us",
        Number,
        "0",
        "Microseconds for which the system asks the network card instead of waiting for its \
         interrupt (SO_BUSY_POLL, and the same for the wait where Linux is 6.9 or later). For \
         cards only, not for loopback; 0: not at all.",
    )
    .flag("busy-poll-us")
    .restart(),
    Key::new(
        Root,
        "cpu",
        Text,
        "",
        "The core the loop runs on, as a number; without one, where the system puts it.",
    )
    .flag("cpu")
    .restart(),
    Key::new(
        Root,
        "worker_cpus",
        Text,
        "",
        "The cores of all other threads (disk, passwords, reload), as in \"2,4-7\"; without any, \
         where the system puts them.",
    )
    .flag("worker-cpus")
    .restart(),
    Key::new(
        Root,
        "mlock",
        Flag,
        "false",
        "Keep all memory of the process in memory, what it has and what it will have.",
    )
    .flag("mlock")
    .restart(),
    Key::new(
        Root,
        "prefault_mb",
        Number,
        "0",
        "MiB of heap to take from the system and touch at the start, and never to give back; with \
         any, the pages of journal segments are mapped ahead too. Needs glibc.",
    )
    .flag("prefault-mb")
    .restart(),
    Key::new(
        Root,
        "sys_interval",
        Number,
        "10",
        "Seconds between two reports of the broker about itself under $SYS; 0: none.",
    )
    .flag("sys-interval")
    .like(&["sys_interval"]),
    Key::new(Listener, "url", Text, "", "All in one: protocol://host:port/path, or unix:/path."),
    Key::new(
        Listener,
        "protocol",
        Text,
        "",
        "mqtt, mqtts, ws, wss, prx1, prx1s, prx1+ws, prx1+wss, aio, aios, any, anys, foo or \
         foo+http; instead of a url.",
    )
    .like(&["protocol"]),
    Key::new(
        Listener,
        "host",
        Text,
        "\"127.0.0.1\"",
        "The address to listen at; 0.0.0.0 and :: are all of this machine.",
    )
    .like(&["bind_address"]),
    Key::new(Listener, "port", Number, "", "The port; without one, the protocol's own.")
        .like(&["port"]),
    Key::new(
        Listener,
        "paths",
        Texts,
        "[]",
        "Where a WebSocket is; without any, at /, at /ws and at the protocol's name.",
    ),
    Key::new(
        Listener,
        "origins",
        Texts,
        "[]",
        "Of which origins web pages may come to a WebSocket, besides its own host's, as in \
         `\"https://app.example\"`; \"*\": of all. Without any, of all where a password is asked for, \
         and of none where nobody is asked who he is or a client certificate says so.",
    ),
    Key::new(Listener, "mode", Text, "", "Who may use a socket in the file system, as in \"660\"."),
    Key::new(
        Listener,
        "durability",
        Word(DURABILITY),
        "",
        "What acknowledgements wait for here; without it, what they wait for everywhere.",
    ),
    Key::new(
        Listener,
        "proxy",
        Flag,
        "false",
        "Trusted proxies say with a PROXY header for whom they speak.",
    )
    .like(&["enable_proxy_protocol"]),
    Key::new(
        Listener,
        "max_connections",
        Number,
        "0",
        "Connections at this listener; 0: no bound of its own.",
    )
    .like(&["max_connections"]),
    Key::new(
        Listener,
        "ping_ms",
        Number,
        "",
        "Silence after which a WAMP session is pinged here; 0: never. Without it, what is said in \
         limits.wamp_ping_ms, and at a RawSocket in limits.wamp_raw_ping_ms.",
    ),
    Key::new(
        Listener,
        "pong_ms",
        Number,
        "",
        "A WAMP session that says nothing for so long after a ping is gone; without it, what is \
         said in limits.wamp_pong_ms.",
    ),
    Key::new(
        Listener,
        "cookie_s",
        Number,
        "0",
        "Seconds for which whoever came here by HTTP (a WebSocket, or long poll) and was let in \
         with WAMP may come again by a cookie; 0: none is given.",
    ),
    Key::new(
        Listener,
        "certificates",
        Path,
        "",
        "At a listener of aioconnectors (protocol aios): the folder in which their certificates \
         is, as spindle aio create-certificates makes it. Clients show one of those.",
    ),
    Key::new(
        Listener,
        "tokens",
        Path,
        "",
        "At a listener of aioconnectors (protocol aios): the file of clients' tokens, of which it \
         holds digests. Clients show one of those.",
    ),
    Key::new(
        Listener,
        "enrol",
        Text,
        "\"nobody\"",
        "Which clients of aioconnectors are given a certificate or a token: nobody, those whose \
         names stand in a file, one in a line (its whole path), or anyone who is first to ask for \
         a name.",
    ),
    Key::new(
        Listener,
        "files",
        Path,
        "",
        "At a listener of aioconnectors: the folder for files that clients send to the broker, in \
         it one for each dst_type that is taken.",
    ),
    Key::new(
        Listener,
        "file_types",
        Text,
        "",
        "The message types of which files are stored, separated by commas; without it, all.",
    ),
    Key::new(
        Listener,
        "forward",
        Texts,
        "[]",
        "Where a relay (protocol foo) goes to: host:port, tls:host:port or unix:/path, one or \
         several.",
    )
    .restart(),
    Key::new(
        Listener,
        "forward_ca",
        Path,
        "",
        "Issuers of the certificates of a relay's upstreams within TLS (PEM); without it those \
         that the machine trusts.",
    )
    .restart(),
    Key::new(
        Listener,
        "forward_cert",
        Path,
        "",
        "Certificate chain that a relay shows to upstreams which ask for one (PEM).",
    )
    .restart(),
    Key::new(Listener, "forward_key", Path, "", "Its private key (PEM).").restart(),
    Key::new(
        Listener,
        "forward_name",
        Text,
        "",
        "What a relay's upstreams are called in their certificates, if not by their host.",
    )
    .restart(),
    Key::new(
        Listener,
        "strict",
        Flag,
        "false",
        "A relay refuses malformed lines itself; otherwise they are passed on and counted.",
    )
    .restart(),
    Key::new(
        Listener,
        "away",
        Word(AWAY),
        "\"close\"",
        "What a relay's clients are told while no upstream is there: their connection is closed, \
         or every request is refused.",
    )
    .restart(),
    Key::new(
        Listener,
        "connect_ms",
        Number,
        "2000",
        "An upstream that accepts no connection for so long counts as one that refused.",
    )
    .restart(),
    Key::new(
        Listener,
        "wait_ms",
        Number,
        "5000",
        "A relay's client waits so long for an upstream.",
    )
    .restart(),
    Key::new(
        Listener,
        "answer_ms",
        Number,
        "0",
        "A request without an answer for so long ends as if its upstream were gone; 0: never.",
    )
    .restart(),
    Key::new(
        Listener,
        "idle_ms",
        Number,
        "0",
        "A relay ends connections over which nothing goes for so long; 0: never.",
    )
    .restart(),
    Key::new(
        Listener,
        "check_ms",
        Number,
        "0",
        "A relay looks at upstreams that it has not heard of for so long; 0: only at those that \
         refused.",
    )
    .restart(),
    Key::new(
        Listener,
        "upstream_connections",
        Number,
        "100000",
        "Connections of a relay to each upstream.",
    )
    .restart(),
    Key::new(
        Listener,
        "spare_connections",
        Number,
        "0",
        "Connections to each upstream that a relay keeps for the next client.",
    )
    .restart(),
    Key::new(
        Listener,
        "rates",
        Word(RATES),
        "\"second\"",
        "Whether a relay tells its rates by the second, or by the millisecond as the proxy did \
         that it replaces.",
    )
    .restart(),
    Key::new(Listener, "line_bytes", Number, "65536", "A line that a relay reads may be so long.")
        .restart(),
    Key::new(Listener, "cert", Path, "", "Certificate chain of this listener (PEM).")
        .like(&["certfile"]),
    Key::new(Listener, "key", Path, "", "Its private key (PEM).").like(&["keyfile"]),
    Key::new(Listener, "ca", Path, "", "Issuers of its clients' certificates (PEM).")
        .like(&["cafile"]),
    Key::new(Listener, "crl", Path, "", "Revoked client certificates (PEM).").like(&["crlfile"]),
    Key::new(Listener, "client_cert", Word(CLIENT_CERT), "", "Must clients have a certificate?"),
    Key::new(
        Listener,
        "identity",
        Word(IDENTITY),
        "",
        "Which name of a client's certificate is the user's.",
    ),
    Key::new(Tls, "cert", Path, "", "Certificate chain (PEM).").flag("tls-cert"),
    Key::new(Tls, "key", Path, "", "Private key of the certificate (PEM).").flag("tls-key"),
    Key::new(
        Tls,
        "ca",
        Path,
        "",
        "Issuers of client certificates (PEM); clients are asked for one.",
    )
    .flag("tls-ca"),
    Key::new(Tls, "crl", Path, "", "Revoked client certificates (PEM).").flag("tls-crl"),
    Key::new(
        Tls,
        "client_cert",
        Word(CLIENT_CERT),
        "",
        "Must clients have a certificate? With a ca and no word here, they must.",
    )
    .flag("tls-client-cert"),
    Key::new(
        Tls,
        "identity",
        Word(IDENTITY),
        "",
        "Which name of a client's certificate is the user's: its subject's common name, or its \
         first alternative name.",
    )
    .flag("tls-identity"),
    Key::new(Log, "level", Word(LEVEL), "\"info\"", "How much the log says.").flag("log"),
    Key::new(
        Log,
        "format",
        Word(FORMAT),
        "\"auto\"",
        "Lines for people, one JSON object a line, or what journald takes; by itself the last when \
         it goes there, else the first.",
    )
    .flag("log-format")
    .restart(),
    Key::new(Log, "file", Path, "", "Write the log there; without it, to standard error.")
        .flag("log-file")
        .restart(),
    Key::new(
        Admin,
        "listen",
        Text,
        "\"http://127.0.0.1:18083\"",
        "Where administrators come in; empty: nowhere but at the socket in the data folder, which \
         a broker with durability memory has not.",
    )
    .flag("admin-listen"),
    Key::new(
        Admin,
        "hosts",
        Texts,
        "[]",
        "Names by which the admin listener may be called, besides its address.",
    ),
    Key::new(AdminUser, "name", Text, "", "The name to log in by."),
    Key::new(AdminUser, "password", Secret, "", "A bcrypt hash of the password (`spindle hash`)."),
    Key::new(AdminUser, "role", Word(ROLE), "\"viewer\"", "May it operate, or only look?"),
    Key::new(AdminToken, "name", Text, "", "What the token is called in the log."),
    Key::new(AdminToken, "sha256", Secret, "", "The SHA-256 of the token, 64 hexadecimal digits."),
    Key::new(AdminToken, "role", Word(ROLE), "\"viewer\"", "May it operate, or only look?"),
];
