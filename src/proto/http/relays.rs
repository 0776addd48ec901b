//! Floor 3. What a relay tells about itself on a port of its own, to whoever asks.
//!
//! Paths, keys and their order are those of the proxy it replaces, so what reads that one reads
//! this one. Nothing can be changed here and nothing is a secret of clients, so nobody is asked who
//! it is, nor by which name it calls. Several relays of one broker are told as one. Absent on
//! purpose: the administration of the broker, which is another listener's.

use std::fmt::Write as _;

use crate::base::json::Writer;
use crate::base::time::{MS, Now};
use crate::hub::Hub;
use crate::hub::relay::meter::{Flaw, Kind, Rates, Tally};
use crate::hub::relay::{Pair, Relay, Stage};

use super::packet::{METRICS, Method, Request, Response};

/// The paths, for whoever lists them.
pub const PATHS: [&str; 9] = [
    "/stats",
    "/metrics",
    "/stats/full",
    "/pairs",
    "/health",
    "/heartbeat",
    "/status",
    "/live",
    "/ready",
];

const OK: &[u8] = br#"{"status":"OK!"}"#;
const AWAY: &[u8] = br#"{"status":"no upstream"}"#;

/// The answer to a request.
#[must_use]
pub fn answer(request: &Request, hub: &Hub, now: Now) -> Response {
    let path = String::from_utf8_lossy(&request.path);
    if !PATHS.contains(&&*path) {
        return Response::text(404, "404 page not found");
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        return Response::text(405, "405 method not allowed").with("Allow", "GET, HEAD");
    }
    let there = hub.relays.iter().all(|relay| relay.upstreams.any_up());
    let response = match &*path {
        "/metrics" if wants_text(request) => Response::new(200, METRICS, text("foo", hub, now)),
        "/stats" | "/metrics" => Response::json(200, told(hub, now).into_bytes()),
        "/stats/full" => Response::json(200, all(hub, now)),
        "/pairs" => match page(&request.query) {
            Some((first, most)) => Response::json(200, pairs(hub, now, first, most)),
            None => Response::text(400, "400 limit is 1 to 1000, after is a number"),
        },
        "/health" | "/ready" if !there => Response::json(503, AWAY.to_vec()),
        _ => Response::json(200, OK.to_vec()),
    };
    response.with("Access-Control-Allow-Origin", "*")
}

/// Prometheus says what it reads; whoever says nothing of the kind gets what the original gave.
fn wants_text(request: &Request) -> bool {
    let accept = request.accept.as_deref().unwrap_or_default();
    let accept = String::from_utf8_lossy(accept).to_ascii_lowercase();
    let at = |what: &str| accept.find(what).unwrap_or(usize::MAX);
    let text = at("text/plain").min(at("application/openmetrics-text"));
    text < at("application/json")
}

/// What the original tells.
#[must_use]
pub fn told(hub: &Hub, now: Now) -> String {
    let count = |kind| hub.relays.iter().map(|relay| relay.meter.of(kind)).sum();
    let milli = hub.relays.iter().any(|relay| relay.terms.milli);
    figures(count, &rates(hub, now), if milli { Unit::Milli } else { Unit::Second })
}

/// What rates are told in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    /// Messages a second.
    Second,
    /// Messages a millisecond, as the original has it.
    Milli,
}

/// One object with the original's eight keys, in the original's order.
fn figures(count: impl Fn(Kind) -> u64, rates: &Rates, unit: Unit) -> String {
    let by = match unit {
        Unit::Second => 1.0,
        Unit::Milli => 1_000.0,
    };
    let total: u64 = Kind::ALL.iter().map(|(kind, _)| count(*kind)).sum();
    let mut text = format!("{{\"msg_total\":{total}");
    let counts = [("msg_req", Kind::Req), ("msg_ack", Kind::Ack), ("msg_nak", Kind::Nak)];
    for (name, kind) in counts {
        let _ = write!(text, ",\"{name}\":{}", count(kind));
    }
    let rates = [
        ("request_rate_1s", rates.asked_1s),
        ("request_rate_10s", rates.asked_10s),
        ("response_rate_1s", rates.answered_1s),
        ("response_rate_10s", rates.answered_10s),
    ];
    for (name, rate) in rates {
        let _ = write!(text, ",\"{name}\":{}", short(rate / by));
    }
    text.push('}');
    text
}

/// With six places at most: what is beyond comes from where a window ends, not from what passed.
fn short(rate: f64) -> f64 {
    (rate * 1e6).round() / 1e6
}

fn rates(hub: &Hub, now: Now) -> Rates {
    let each = hub.relays.iter().map(|relay| relay.meter.rates(now));
    each.fold(Rates::default(), |all, one| Rates {
        asked_1s: all.asked_1s + one.asked_1s,
        asked_10s: all.asked_10s + one.asked_10s,
        answered_1s: all.answered_1s + one.answered_1s,
        answered_10s: all.answered_10s + one.answered_10s,
    })
}

/// Everything that is counted, relay by relay.
fn all(hub: &Hub, now: Now) -> Vec<u8> {
    let mut json = Writer::new();
    json.open().field("pairs", hub.relays.pairs() as u64);
    json.list("relays", |json| {
        for relay in hub.relays.iter() {
            json.open();
            one(relay, now, json);
            json.close();
        }
    });
    json.close();
    json.take()
}

fn one(relay: &Relay, now: Now, json: &mut Writer) {
    let meter = &relay.meter;
    json.field("kept", meter.is_kept()).field("msg_total", meter.total());
    for (name, kind) in [("msg_req", Kind::Req), ("msg_ack", Kind::Ack), ("msg_nak", Kind::Nak)] {
        json.field(name, meter.of(kind));
    }
    json.field("msg_malformed", meter.malformed());
    json.object("malformed", |json| {
        for (flaw, word) in Flaw::ALL {
            json.field(word, meter.flawed(flaw));
        }
    });
    for (what, word) in Tally::ALL {
        json.field(word, meter.tally(what));
    }
    let rates = meter.rates(now);
    json.field("request_rate_1s", rates.asked_1s).field("request_rate_10s", rates.asked_10s);
    json.field("response_rate_1s", rates.answered_1s);
    json.field("response_rate_10s", rates.answered_10s);
    let latency = meter.latency.minute();
    json.object("latency_us_minute", |json| {
        json.field("count", latency.count());
        for (name, of) in [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p999", 99_900)] {
            json.field(name, latency.percentile(of));
        }
        json.field("max", latency.max());
    });
    json.list("upstreams", |json| {
        for upstream in relay.upstreams.iter() {
            json.open().field("name", &upstream.name).field("up", upstream.is_up());
            json.field("open", u64::from(upstream.open())).field("spare", upstream.idle() as u64);
            json.field("refused", upstream.refused).close();
        }
    });
}

/// Where a page of pairs begins, and how many it has at most.
fn page(query: &[u8]) -> Option<(u32, usize)> {
    let (mut first, mut most) = (0, 100);
    let query = core::str::from_utf8(query).ok()?;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("after", text)) => first = text.parse().ok()?,
            Some(("limit", text)) => {
                most = text.parse().ok().filter(|n| (1..=1_000).contains(n))?;
            }
            _ => {}
        }
    }
    Some((first, most))
}

/// Clients one by one, each with what it said and heard; `next` is where the next page begins.
fn pairs(hub: &Hub, now: Now, first: u32, most: usize) -> Vec<u8> {
    let mut json = Writer::new();
    let mut left = hub.relays.pairs_from(first);
    json.open().field("pairs", hub.relays.pairs() as u64);
    json.list("rows", |json| {
        for (place, pair) in left.by_ref().take(most) {
            json.open();
            row(hub, now, (place, pair), json);
            json.close();
        }
    });
    if let Some((place, _)) = left.next() {
        json.field("next", u64::from(place));
    }
    json.close();
    json.take()
}

fn row(hub: &Hub, now: Now, (place, pair): (u32, &Pair), json: &mut Writer) {
    let (stage, at) = match pair.stage {
        Stage::Alone(_) => ("alone", None),
        Stage::Dialing(at) => ("dialing", Some(at)),
        Stage::Joined(at) => ("joined", Some(at)),
    };
    let relay = hub.relays.get(pair.relay);
    let to = relay.zip(at).and_then(|(relay, at)| relay.terms.forward.get(usize::from(at)));
    let own = &pair.own;
    json.field("no", u64::from(place)).field("client", &pair.from.to_string()[..]);
    json.field("relay", relay.map_or("", |relay| &relay.terms.name));
    json.field("upstream", to.map_or("", String::as_str)).field("stage", stage);
    json.field("age_ms", now.mono.saturating_sub(pair.since) / MS);
    json.field("msg_total", Kind::ALL.iter().map(|(kind, _)| own.of(*kind)).sum::<u64>());
    for (name, kind) in [("msg_req", Kind::Req), ("msg_ack", Kind::Ack), ("msg_nak", Kind::Nak)] {
        json.field(name, own.of(kind));
    }
    json.field("waiting", own.waiting() as u64);
    let rates = own.rates(now);
    json.field("request_rate_1s", rates.asked_1s).field("request_rate_10s", rates.asked_10s);
    json.field("response_rate_1s", rates.answered_1s);
    json.field("response_rate_10s", rates.answered_10s);
    json.field("held_bytes", (pair.up.len() + pair.down.len()) as u64);
}

/// As Prometheus reads it, every name behind this word.
pub(super) fn text(prefix: &str, hub: &Hub, now: Now) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, doc: &str, samples: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP {prefix}_{name} {doc}\n# TYPE {prefix}_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{prefix}_{name}{labels} {value}");
        }
    };
    let sum = |of: &dyn Fn(&Relay) -> u64| hub.relays.iter().map(of).sum::<u64>() as f64;
    let label = |name: &str, word: &str| format!("{{{name}=\"{word}\"}}");
    let kinds = Kind::ALL.map(|(kind, word)| {
        (label("type", &word.to_ascii_lowercase()), sum(&|relay| relay.meter.of(kind)))
    });
    family("messages_total", "counter", "Lines that passed, either way.", &kinds);
    let flaws = Flaw::ALL.map(|(flaw, word)| (label("kind", word), sum(&|r| r.meter.flawed(flaw))));
    family("malformed_total", "counter", "What passed and is no line.", &flaws);
    for (what, word) in Tally::ALL {
        let value = sum(&|relay| relay.meter.tally(what));
        family(
            &format!("{word}_total"),
            "counter",
            TALLIES[what as usize],
            &[(String::new(), value)],
        );
    }
    let rates = rates(hub, now);
    let windows =
        |one: f64, ten: f64| [(label("window", "1s"), one), (label("window", "10s"), ten)];
    let asked = windows(rates.asked_1s, rates.asked_10s);
    family("request_rate", "gauge", "Requests a second.", &asked);
    let answered = windows(rates.answered_1s, rates.answered_10s);
    family("response_rate", "gauge", "Answers a second.", &answered);
    family(
        "pairs",
        "gauge",
        "Clients at the moment.",
        &[(String::new(), hub.relays.pairs() as f64)],
    );
    let up: Vec<(String, f64)> = hub
        .relays
        .iter()
        .flat_map(|relay| relay.upstreams.iter())
        .map(|upstream| {
            let name = upstream.name.replace('\\', "\\\\").replace('"', "\\\"");
            (label("upstream", &name), f64::from(u8::from(upstream.is_up())))
        })
        .collect();
    family("upstream_up", "gauge", "Whether an upstream is there, as far as is known.", &up);
    let mut latency = crate::base::hist::Hist::default();
    hub.relays.iter().for_each(|relay| latency.merge(relay.meter.latency.all()));
    let doc = "From a request to its answer.";
    let name = format!("{prefix}_latency_seconds");
    let _ = writeln!(text, "# HELP {name} {doc}\n# TYPE {name} histogram");
    for (end, below) in latency.buckets() {
        let end = end.map_or_else(|| "+Inf".to_owned(), |us| format!("{}", us as f64 / 1e6));
        let _ = writeln!(text, "{name}_bucket{{le=\"{end}\"}} {below}");
    }
    let _ = writeln!(text, "{name}_sum {}", latency.sum() as f64 / 1e6);
    let _ = writeln!(text, "{name}_count {}", latency.count());
    text
}

/// What each of the tallies is, in their order.
const TALLIES: [&str; Tally::ALL.len()] = [
    "Connections of clients.",
    "Bytes from clients.",
    "Bytes from upstreams.",
    "Requests without an answer when their connection ended.",
    "Answers that no request waits for.",
    "Answers that came before one that was asked for earlier.",
    "Requests that were not remembered, because too many were under way.",
    "Answers from clients and requests from upstreams.",
    "Clients that were told that no upstream is there.",
    "Requests that the relay answered itself.",
    "Requests whose answer took too long.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_pairs_has_its_bounds() {
        assert_eq!(page(b""), Some((0, 100)));
        assert_eq!(page(b"limit=1000&after=7&x"), Some((7, 1_000)));
        for wrong in ["limit=0", "limit=1001", "limit=x", "after=-1", "after="] {
            assert_eq!(page(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(page(b"\xff"), None);
    }

    #[test]
    fn the_figures_are_spelled_as_the_original_has_them() {
        let count = |kind| match kind {
            Kind::Req => 100,
            Kind::Ack => 88,
            Kind::Nak => 12,
        };
        let rates =
            Rates { asked_1s: 100.0, asked_10s: 10.3, answered_1s: 0.0, answered_10s: 1.0 / 3.0 };
        assert_eq!(
            figures(count, &rates, Unit::Second),
            "{\"msg_total\":200,\"msg_req\":100,\"msg_ack\":88,\"msg_nak\":12,\
             \"request_rate_1s\":100,\"request_rate_10s\":10.3,\
             \"response_rate_1s\":0,\"response_rate_10s\":0.333333}"
        );
        let milli = figures(count, &rates, Unit::Milli);
        assert!(milli.contains("\"request_rate_1s\":0.1,\"request_rate_10s\":0.0103,"), "{milli}");
    }
}
