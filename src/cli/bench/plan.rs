//! Floor 6. What a run of the load generator is: who speaks, who listens, how fast, how long.
//!
//! All of it is decided before anybody is dialled, so that two runs with the same flags do the
//! same. Publishers and subscribers are numbers; which topic a number means, and whom a subscriber
//! hears, follow from the scenario alone. Absent on purpose: sockets and clocks.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use clap::ValueEnum;

use crate::cli::url::{Scheme, Url};
use crate::client::mqtt::{Tls, Trust};
use crate::proto::mqtt::Version;
use crate::value::Form;

use super::Flags;
use super::frames::Way;
use super::pipe::{Place, Road};
use super::wamp::Wamp;
use super::wire::{HEAD, Tongue};

/// What is measured.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Scenario {
    /// Each publisher has one subscriber of its own
    Pairs,
    /// One publisher, heard by all
    Fanout,
    /// All publish, one hears them
    Fanin,
    /// Pairs that have one message under way
    Rtt,
    /// Each caller has one callee of its own; a call is a message, its result the acknowledgement
    Calls,
    /// Bytes there and back without any broker; `bench null` gives them back
    Ping,
    /// All connect, as fast as they are let
    Connect,
    /// All connect, and do nothing
    Idle,
    /// Subscriptions are made, then one publishes to topics of them by chance
    Subs,
    /// Values are kept at topics, then one comes who asks for all of them
    Retained,
    /// Messages wait for one who is away, then it comes back
    Drain,
}

/// How messages of WAMP are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Serializer {
    /// JSON; a payload is a text twice as long
    Json,
    /// MessagePack
    Msgpack,
    /// CBOR
    Cbor,
}

/// How fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// So many messages in a second, by a schedule that waits for nobody.
    Open(u64),
    /// So many messages of each publisher under way: not yet acknowledged, or not yet delivered.
    Closed(u32),
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) road: Road,
    pub(super) tongue: Tongue,
    /// Of WAMP.
    pub(super) realm: String,
    pub(super) user: Option<(String, String)>,
    pub(super) publishers: u32,
    pub(super) subscribers: u32,
    pub(super) pace: Pace,
    /// Handshakes under way at once, of each thread.
    pub(super) dials: usize,
    /// Subscriptions, kept values, or waiting messages.
    pub(super) count: u64,
    pub(super) qos: u8,
    pub(super) size: usize,
    /// Nanoseconds.
    pub(super) warmup: u64,
    /// Nanoseconds.
    pub(super) duration: u64,
    /// Nanoseconds that a step of what is laid in may take.
    pub(super) patience: u64,
    pub(super) threads: u32,
    pub(super) seed: u64,
    /// Tells the messages of this run from others'.
    pub(super) run: u32,
    pub(super) pid: Option<u32>,
    /// The generator never waits.
    pub(super) spin: bool,
    /// Own addresses that are dialled from in turn; none: the system chooses.
    pub(super) sources: Vec<IpAddr>,
    /// Filters of subs have wildcards too.
    pub(super) mixed: bool,
}

impl Plan {
    /// Read the flags. `run` is a number that no other run has.
    pub(super) fn of(
        scenario: Scenario,
        flags: &Flags,
        url: &str,
        pid: Option<u32>,
        run: u32,
    ) -> Result<Self, String> {
        let (url, tongue) = spoken(scenario, flags, url)?;
        let (publishers, subscribers) = crowd(scenario, flags)?;
        let pace = pace(scenario, flags)?;
        bounded(scenario, flags, tongue)?;
        if tongue == Tongue::Prx1 && url.user.is_some() {
            return Err("in PRX1 clients of one user push each other out: no name".to_owned());
        }
        if matches!(tongue, Tongue::Wamp(_)) && url.user.is_some() {
            return Err("load of WAMP is of strangers: no name".to_owned());
        }
        let kept = matches!(scenario, Scenario::Subs | Scenario::Retained | Scenario::Drain);
        let dials = match pace {
            Pace::Closed(window) if scenario == Scenario::Connect => window as usize,
            _ => 100,
        };
        let road = road(&url, flags, tongue)?;
        let alone = matches!(scenario, Scenario::Ping) || kept;
        if alone && road.plain().is_none() {
            return Err("this scenario is over plain TCP only: mqtt:// or prx1://".to_owned());
        }
        let sources = sources(flags, &road.place, publishers + subscribers)?;
        Ok(Self {
            scenario,
            road,
            tongue,
            realm: flags.realm.clone(),
            user: url.user.map(|user| (user, url.password.unwrap_or_default())),
            publishers,
            subscribers,
            pace,
            dials,
            count: flags.count.unwrap_or(COUNT),
            qos: if (kept && scenario != Scenario::Subs) || scenario == Scenario::Calls {
                flags.qos.max(1)
            } else {
                flags.qos
            },
            size: flags.size,
            warmup: nanos(flags.warmup.unwrap_or(1.0), "--warmup", 0.0)?,
            duration: nanos(flags.duration.unwrap_or(10.0), "--duration", 0.01)?,
            patience: flags.patience.map_or(Ok(u64::MAX), |it| nanos(it, "--patience", 0.01))?,
            threads: flags.threads.clamp(1, 64),
            seed: flags.seed,
            run,
            pid,
            spin: flags.spin,
            sources,
            mixed: flags.mixed,
        })
    }

    /// How many hear each message.
    pub(super) fn fan(&self) -> u64 {
        if self.scenario == Scenario::Fanout { self.subscribers.into() } else { 1 }
    }

    /// The topic that this publisher speaks to.
    pub(super) fn spoken(&self, publisher: u32) -> String {
        self.topic(if self.has_own() { publisher } else { 0 })
    }

    /// The topic that this subscriber listens to, and whom it hears there: the first, how many.
    pub(super) fn heard(&self, subscriber: u32) -> (String, u32, u32) {
        if self.has_own() {
            (self.topic(subscriber), subscriber, 1)
        } else {
            (self.topic(0), 0, self.publishers)
        }
    }

    /// Are there messages at all?
    pub(super) fn talks(&self) -> bool {
        !matches!(self.scenario, Scenario::Connect | Scenario::Idle)
    }

    /// Does a schedule say when?
    pub(super) fn is_open(&self) -> bool {
        matches!(self.pace, Pace::Open(_))
    }

    /// Are so many under way that their latency is that of the window?
    pub(super) fn is_deep(&self) -> bool {
        matches!(self.pace, Pace::Closed(DEEP..))
    }

    /// Is something laid in at the broker first?
    pub(super) fn stocks(&self) -> bool {
        matches!(self.scenario, Scenario::Subs | Scenario::Retained | Scenario::Drain)
    }

    /// Under which topic all others are.
    pub(super) fn root(&self) -> String {
        format!("bench/{:08x}", self.run)
    }

    /// Does it last as long as it is told, and not as long as it takes?
    pub(super) fn lasts(&self) -> bool {
        self.scenario != Scenario::Connect
    }

    fn has_own(&self) -> bool {
        matches!(self.scenario, Scenario::Pairs | Scenario::Rtt | Scenario::Calls)
    }

    /// The topic of what is laid in under a number: always as long, and not all at one level.
    pub(super) fn place(&self, number: u64) -> String {
        format!("{}/{:04}/x/{:04}", self.root(), number / 10_000, number % 10_000)
    }

    /// The filter of that number's subscription: no topic is matched by two of them.
    pub(super) fn filter(&self, number: u64) -> String {
        match number % 3 {
            1 if self.mixed => {
                format!("{}/{:04}/+/{:04}", self.root(), number / 10_000, number % 10_000)
            }
            2 if self.mixed => format!("{}/#", self.place(number)),
            _ => self.place(number),
        }
    }

    /// A topic by its number.
    pub(super) fn topic(&self, number: impl core::fmt::Display) -> String {
        format!("{}/{number}", self.root())
    }
}

/// How fast, if that is said; else as fast as they are taken.
fn pace(scenario: Scenario, flags: &Flags) -> Result<Pace, String> {
    let paced = !matches!(scenario, Scenario::Retained | Scenario::Drain | Scenario::Ping);
    match (flags.rate, flags.window) {
        (Some(0), _) => Err("--rate must be more than 0".to_owned()),
        (Some(_), _) if !paced => Err("this scenario has no rate".to_owned()),
        (Some(rate), _) => Ok(Pace::Open(rate)),
        (None, Some(window)) if (1..=WINDOW_MAX).contains(&window) => Ok(Pace::Closed(window)),
        (None, Some(_)) => Err(format!("--window must be between 1 and {WINDOW_MAX}")),
        (None, None) if matches!(scenario, Scenario::Rtt | Scenario::Ping) => Ok(Pace::Closed(1)),
        (None, None) if scenario == Scenario::Calls => Ok(Pace::Closed(32)),
        (None, None) => Ok(Pace::Closed(100)),
    }
}

/// Is everything that has a bound within it?
fn bounded(scenario: Scenario, flags: &Flags, tongue: Tongue) -> Result<(), String> {
    let wamp = matches!(tongue, Tongue::Wamp(_));
    let others =
        matches!(scenario, Scenario::Ping | Scenario::Subs | Scenario::Retained | Scenario::Drain);
    if wamp && others {
        return Err("this scenario is not for WAMP".to_owned());
    }
    if !wamp && scenario == Scenario::Calls {
        return Err("calls are for WAMP: rs://, wamp+ws://".to_owned());
    }
    let qos_max = if wamp || tongue == Tongue::Prx1 { 1 } else { 2 };
    if flags.qos > qos_max {
        return Err(format!("--qos may be {qos_max} at most"));
    }
    let size_max = if tongue == Tongue::Prx1 { 65_535 } else { SIZE_MAX };
    if !(HEAD..=size_max).contains(&flags.size) {
        return Err(format!("--size must be between {HEAD} and {size_max}"));
    }
    if flags.count.is_some_and(|count| !(1..=COUNT_MAX).contains(&count)) {
        return Err(format!("--count must be between 1 and {COUNT_MAX}"));
    }
    if flags.mixed && (scenario != Scenario::Subs || tongue == Tongue::Prx1) {
        return Err("--mixed is for subs, in MQTT".to_owned());
    }
    Ok(())
}

/// How many publishers and subscribers there are.
fn crowd(scenario: Scenario, flags: &Flags) -> Result<(u32, u32), String> {
    let n = flags.clients.unwrap_or(match scenario {
        Scenario::Rtt | Scenario::Calls | Scenario::Ping | Scenario::Retained | Scenario::Drain => {
            1
        }
        Scenario::Pairs | Scenario::Subs => 10,
        Scenario::Fanout | Scenario::Fanin => 100,
        Scenario::Connect | Scenario::Idle => 1_000,
    });
    if n == 0 || n > CLIENTS_MAX {
        return Err(format!("--clients must be between 1 and {CLIENTS_MAX}"));
    }
    Ok(match scenario {
        Scenario::Ping => (1, 1),
        Scenario::Pairs | Scenario::Rtt | Scenario::Calls => (n, n),
        Scenario::Fanout => (1, n),
        Scenario::Fanin => (n, 1),
        Scenario::Subs | Scenario::Retained | Scenario::Drain => (1, n),
        Scenario::Connect | Scenario::Idle => (n, 0),
    })
}

/// Where, and what is spoken there.
fn spoken(scenario: Scenario, flags: &Flags, url: &str) -> Result<(Url, Tongue), String> {
    // Below its messages a RawSocket is TCP, as plain MQTT is, and a WebSocket is one.
    let raw = url.strip_prefix("rs://").map(|rest| format!("mqtt://{rest}"));
    let inside = url.strip_prefix("wamp+").filter(|rest| rest.starts_with("ws"));
    let wamp = raw.or_else(|| inside.map(str::to_owned));
    let is_wamp = wamp.is_some();
    let text = wamp.unwrap_or_else(|| url.to_owned());
    let read = Url::parse(&text).map_err(|why| why.trim_end().to_owned())?;
    if !is_wamp {
        let tongue = tongue(&read, &flags.protocol_version)?;
        return Ok((read, tongue));
    }
    if read.port.is_none() {
        return Err("WAMP has no port of its own: name one".to_owned());
    }
    let form = match flags.serializer {
        Serializer::Json => Form::Json,
        Serializer::Msgpack => Form::MsgPack,
        Serializer::Cbor => Form::Cbor,
    };
    Ok((read, Tongue::Wamp(Wamp { form, calls: scenario == Scenario::Calls })))
}

fn tongue(url: &Url, version: &str) -> Result<Tongue, String> {
    if url.scheme == Scheme::Prx1 {
        return Ok(Tongue::Prx1);
    }
    match version {
        "311" | "mqttv311" => Ok(Tongue::Mqtt(Version::V311)),
        "5" | "mqttv5" => Ok(Tongue::Mqtt(Version::V5)),
        other => Err(format!("{other} is no version that load is generated in: 311, 5")),
    }
}

fn road(url: &Url, flags: &Flags, tongue: Tongue) -> Result<Road, String> {
    let (port, ws) = match url.scheme {
        Scheme::Prx1 => (52_909, false),
        Scheme::Mqtt => (1_883, false),
        Scheme::Mqtts => (8_883, false),
        Scheme::Ws => (8_083, true),
        Scheme::Wss => (8_084, true),
    };
    let place = match &url.unix {
        Some(path) => Place::Unix(path.clone()),
        None => {
            let place = (url.host.as_str(), url.port.unwrap_or(port));
            let mut all = place.to_socket_addrs().map_err(|e| format!("{}: {e}", url.host))?;
            Place::Tcp(all.next().ok_or_else(|| format!("{}: no address", url.host))?)
        }
    };
    let trust = matches!(url.scheme, Scheme::Mqtts | Scheme::Wss).then(|| {
        Trust::new(&Tls {
            ca_file: flags.cafile.clone(),
            any_name: flags.insecure,
            ..Tls::default()
        })
    });
    let trust = trust.transpose().map_err(|e| e.to_string())?;
    let (form, usual) = match tongue {
        Tongue::Wamp(it) => (Some(it.form), "ws"),
        _ => (None, "mqtt"),
    };
    let path = format!("/{}", url.topic.as_deref().unwrap_or(usual));
    let way = ws.then_some(Way { path, form });
    Ok(Road { place, host: url.host.clone(), trust, way })
}

/// Whom to dial from: an address has less than 28,000 ports for one broker.
fn sources(flags: &Flags, place: &Place, clients: u32) -> Result<Vec<IpAddr>, String> {
    let Place::Tcp(broker) = place else { return Ok(Vec::new()) };
    if flags.bind.iter().any(|own| own.is_ipv4() != broker.is_ipv4()) {
        return Err("--bind: an address of another family than the broker's".to_owned());
    }
    if !flags.bind.is_empty() || clients <= PORTS || !broker.is_ipv4() || !broker.ip().is_loopback()
    {
        return Ok(flags.bind.clone());
    }
    let many = clients.div_ceil(PORTS);
    Ok((0..many).map(|n| IpAddr::V4(Ipv4Addr::from_bits(FIRST.to_bits() + n))).collect())
}

fn nanos(seconds: f64, flag: &str, least: f64) -> Result<u64, String> {
    if (least..=SECONDS_MAX).contains(&seconds) {
        return Ok((seconds * 1e9) as u64);
    }
    Err(format!("{flag} must be between {least} and {SECONDS_MAX} seconds"))
}

/// From here on a window is what its latency comes from.
const DEEP: u32 = 16;
/// So many connections go out from one address.
const PORTS: u32 = 20_000;
const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Packet ids end here.
const WINDOW_MAX: u32 = 65_000;
/// Far more than one machine has ports for.
const CLIENTS_MAX: u32 = 1_000_000;
/// So much is laid in where nobody says how much.
const COUNT: u64 = 10_000;
/// What was seen of each of them is remembered.
const COUNT_MAX: u64 = 100_000_000;
/// A message is held once for each publisher.
const SIZE_MAX: usize = 16 << 20;
/// A day.
const SECONDS_MAX: f64 = 86_400.0;

#[cfg(test)]
pub(super) fn of_words(words: &str) -> Result<Plan, String> {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: super::Bench,
    }
    let words = core::iter::once("bench").chain(words.split_whitespace());
    let line = Line::try_parse_from(words).map_err(|e| e.to_string())?;
    let super::Bench { scenario, flags, url, pid, .. } = line.bench;
    Plan::of(scenario.ok_or("no scenario")?, &flags, &url, pid, 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_says_who_hears_whom() {
        let of = |words| of_words(words).unwrap();
        let pairs = of("pairs -n 3");
        assert_eq!((pairs.publishers, pairs.subscribers, pairs.fan()), (3, 3, 1));
        assert_eq!(pairs.heard(2), (pairs.spoken(2), 2, 1));
        assert_ne!(pairs.spoken(2), pairs.spoken(1));
        let fanout = of("fanout -n 3");
        assert_eq!((fanout.publishers, fanout.subscribers, fanout.fan()), (1, 3, 3));
        assert_eq!(fanout.heard(2), (fanout.spoken(0), 0, 1));
        let fanin = of("fanin -n 3");
        assert_eq!((fanin.publishers, fanin.subscribers, fanin.fan()), (3, 1, 1));
        assert_eq!(fanin.heard(0), (fanin.spoken(2), 0, 3));
        assert_eq!(of("rtt").pace, Pace::Closed(1));
        assert_eq!(of("rtt -r 5").pace, Pace::Open(5));
    }

    #[test]
    fn many_connections_of_one_machine_go_out_from_many_addresses() {
        let of = |words| of_words(words).unwrap().sources;
        assert!(of("idle -n 20000").is_empty());
        let all: Vec<String> = of("idle -n 50000").iter().map(ToString::to_string).collect();
        assert_eq!(all, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert!(of("idle -n 50000 -L mqtt://192.0.2.1").is_empty());
        assert_eq!(of("idle --bind 127.0.0.9").len(), 1);
    }

    #[test]
    fn what_cannot_be_done_is_refused_before_anybody_is_dialled() {
        for words in [
            "pairs -n 0",
            "pairs -q 3",
            "pairs -s 31",
            "pairs -r 0",
            "pairs -w 0",
            "pairs -w 65001",
            "pairs -d 0",
            "pairs -d NaN",
            "pairs -V 31",
            "drain -r 5",
            "pairs --mixed",
            "idle --bind ::1",
            "pairs -q 2 -L prx1://127.0.0.1:1",
            "pairs -s 65536 -L prx1://127.0.0.1:1",
            "pairs -L mqtts://127.0.0.1:1 --cafile /nowhere",
            "drain -L ws://127.0.0.1:1",
            "ping -L unix:/tmp/x",
            "fanin -L prx1://joe:x@127.0.0.1:1",
            "calls",
            "calls -L rs://127.0.0.1",
            "calls -L wamp+ws://127.0.0.1/ws",
            "calls -L ws://127.0.0.1:1",
            "pairs -L wamp+mqtt://127.0.0.1:1",
            "pairs -q 2 -L rs://127.0.0.1:1",
            "pairs -L rs://joe:x@127.0.0.1:1",
            "subs -L rs://127.0.0.1:1",
        ] {
            assert!(of_words(words).is_err(), "{words}");
        }
        assert!(of_words("subs --mixed -r 7").is_ok());
        let calls = of_words("calls -L rs://127.0.0.1:1 --serializer cbor").unwrap();
        assert_eq!((calls.qos, calls.pace, calls.publishers), (1, Pace::Closed(32), 1));
        assert!(of_words("pairs -s 32 -q 1 -L prx1://127.0.0.1:1").is_ok());
        for (words, path, form) in [
            ("pairs -L wamp+ws://127.0.0.1:1", "/ws", Some(Form::MsgPack)),
            ("calls -L wamp+ws://127.0.0.1:1/wamp --serializer json", "/wamp", Some(Form::Json)),
            ("pairs -L ws://127.0.0.1:1", "/mqtt", None),
        ] {
            let way = of_words(words).unwrap().road.way.unwrap();
            assert_eq!((&way.path[..], way.form), (path, form), "{words}");
        }
    }
}
