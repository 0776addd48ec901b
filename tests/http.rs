//! Floor 6. The administration over a real socket, as curl and a browser would use it.
//!
//! One broker in a thread for each test, requests written by hand, so that what is on the wire is
//! what is tested. Absent on purpose: a client library for HTTP, which would be lenient.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

#[path = "http/console.rs"]
mod console;
#[path = "http/house.rs"]
mod house;

use std::io::{Read, Write};

use house::{House, VIEWER, basic};

#[test]
fn health_needs_no_password_and_nothing_else_is_shown() {
    let house = House::without_admins();
    for path in ["/livez", "/readyz", "/healthz"] {
        let said = house.get(path, "");
        assert_eq!((said.status, said.json()["status"].as_str()), (200, Some("ok")), "{path}");
    }
    for path in ["/metrics", "/varz", "/clients", "/api/v1/clients"] {
        let said = house.get(path, "");
        assert_eq!(said.status, 401, "{path}");
        let wanted = "Basic realm=\"Authorization Required\"";
        assert_eq!(said.field("www-authenticate"), Some(wanted));
    }
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    let house = House::new();
    assert_eq!(house.get("/varz", "").status, 401);
    assert_eq!(house.get("/varz", &basic("ann", "wrong")).status, 401);
    assert_eq!(house.get("/varz", VIEWER).status, 200);
    assert_eq!(house.get("/varz", &basic("ann", "secret")).status, 200);
    assert_eq!(house.get("/varz", "Authorization: Bearer token-of-the-scraper\r\n").status, 200);
    assert_eq!(house.get("/varz", "Authorization: Bearer token-of-nobody\r\n").status, 401);
}

#[test]
fn pages_of_clients_are_those_of_gmqtt() {
    let house = House::new();
    let clients: Vec<_> = (0..25).map(|n| house.mqtt(&format!("c{n:02}"))).collect();
    let page = house.get("/clients?page=2&per-page=10", VIEWER).json();
    assert_eq!(page["list"].as_array().map(Vec::len), Some(10));
    assert_eq!(page["list"][0]["client_id"], "c10");
    assert_eq!(page["list"][0]["keep_alive"], 60);
    assert_eq!(page["list"][0]["clean_session"], true);
    assert_eq!(page["list"][0]["remote_addr"], "127.0.0.1");
    for (key, value) in [
        ("page", 2),
        ("page_size", 10),
        ("current_count", 10),
        ("total_count", 25),
        ("total_page", 3),
    ] {
        assert_eq!(page[key], value, "{key}");
    }
    let beyond = house.get("/clients?page=9&per-page=10", VIEWER).json();
    assert_eq!((&beyond["page"], &beyond["current_count"]), (&3.into(), &5.into()));
    assert_eq!(beyond["list"][4]["client_id"], "c24");
    let odd = house.get("/clients?page=x&per-page=-1", VIEWER).json();
    assert_eq!((&odd["page"], &odd["page_size"]), (&1.into(), &20.into()));
    let one = house.get("/client/c07", VIEWER);
    assert_eq!(one.json()["client_id"], "c07");
    assert_eq!(one.field("content-type"), Some("application/json; charset=utf-8"));
    let none = house.get("/client/nobody", VIEWER);
    assert_eq!((none.status, none.text()), (404, "Client Not Found"));
    let none = house.get("/session/nobody", VIEWER);
    assert_eq!((none.status, none.text()), (404, "Session Not Found"));
    assert_eq!(house.get("/session/c07", VIEWER).json()["status"], "online");
    drop(clients);
}

#[test]
fn nobody_is_an_empty_page() {
    let house = House::new();
    let page = house.get("/sessions?page=4", VIEWER).json();
    assert_eq!(page["list"].as_array().map(Vec::len), Some(0));
    assert_eq!((&page["page"], &page["total_page"]), (&4.into(), &0.into()));
    let page = house.get("/subscriptions/nobody", VIEWER).json();
    assert_eq!(page["total_count"], 0);
}

#[test]
fn an_operator_publishes_and_subscribes_with_gmqtts_words() {
    let house = House::new();
    let mut client = house.mqtt("c1");
    let form = |path: &str, body: &str| house.form(path, body);
    let said = form("/subscribe", "qos=1&topic=a/%2B&clientId=c1");
    assert_eq!((said.status, said.text()), (200, r#"{"code":0,"result":[]}"#));
    let list = house.get("/subscriptions", VIEWER).json();
    assert_eq!((&list["list"][0]["name"], &list["list"][0]["qos"]), (&"a/+".into(), &1.into()));
    assert_eq!(form("/publish", "qos=0&topic=a/b&payload=hello").status, 200);
    assert_eq!(client.message(), ("a/b".to_owned(), b"hello".to_vec()));
    for (path, body, text) in [
        ("/publish", "topic=a&payload=x", "invalid Qos,only support qos0 | qos1 | qos2"),
        ("/publish", "qos=3&topic=a", "invalid Qos,only support qos0 | qos1 | qos2"),
        ("/publish", "qos=1&topic=a/%2B", "invalid topic name"),
        ("/publish", "qos=1&topic=", "invalid topic name"),
        ("/publish", "qos=1&topic=a&payload=%ff", "invalid utf-8 string"),
        ("/publish", "qos=1&topic=a&payload=a%0Ab", "invalid utf-8 string"),
        ("/subscribe", "qos=1&topic=a/%23/b&clientId=c1", "invalid topic filter"),
        ("/subscribe", "qos=1&topic=a", "invalid clientId"),
        ("/unsubscribe", "topic=a", "invalid clientId"),
        ("/unsubscribe", "topic=&clientId=c1", "invalid topic filter"),
    ] {
        let said = form(path, body);
        assert_eq!((said.status, said.text()), (400, text), "{path} {body}");
        assert_eq!(said.field("content-type"), Some("text/plain; charset=utf-8"));
    }
    // A plus in a form is a space, and that may stand in a name.
    assert_eq!(form("/publish", "qos=1&topic=a/+&payload=x").status, 200);
    assert_eq!(form("/unsubscribe", "topic=a/%2B&clientId=c1").status, 200);
    assert_eq!(form("/unsubscribe", "topic=a/%2B&clientId=nobody").status, 200);
    assert_eq!(form("/subscribe", "qos=0&topic=a&clientId=nobody").status, 200);
    assert_eq!(house.get("/subscriptions", VIEWER).json()["total_count"], 0);
}

#[test]
fn a_session_that_waits_is_shown_as_gmqtt_shows_it() {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let house = House::new();
    let client = house.mqtt_kept("c1");
    let time = |row: &serde_json::Value, key: &str| row[key].as_str().expect("a time").to_owned();
    let online = house.get("/session/c1", VIEWER).json();
    assert_eq!((&online["status"], &online["clean_session"]), (&"online".into(), &false.into()));
    assert_eq!(time(&online, "offline_at"), NEVER);
    assert!(time(&online, "connected_at").starts_with("20"), "{online}");
    assert_eq!(house.form("/subscribe", "qos=1&topic=a/%23&clientId=c1").status, 200);
    let subs = house.get("/subscriptions/c1", VIEWER).json();
    assert!(time(&subs["list"][0], "at").starts_with("20"), "{subs}");
    drop(client);
    while house.get("/session/c1", VIEWER).json()["status"] == "online" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for n in 0..3 {
        assert_eq!(house.form("/publish", &format!("qos=1&topic=a/b&payload={n}")).status, 200);
    }
    let away = house.get("/session/c1", VIEWER).json();
    assert_eq!((&away["status"], &away["subscriptions"]), (&"offline".into(), &1.into()));
    assert_eq!((&away["msg_queue_len"], &away["inflight_len"]), (&3.into(), &0.into()));
    assert_eq!(away["msg_queue_dropped"], 0);
    assert_ne!(time(&away, "offline_at"), NEVER);
    // Clients are those that are there; sessions are all.
    assert_eq!(house.get("/client/c1", VIEWER).status, 404);
    assert_eq!(house.get("/clients", VIEWER).json()["total_count"], 0);
    let list = house.get("/sessions", VIEWER).json();
    assert_eq!((&list["total_count"], &list["list"][0]["client_id"]), (&1.into(), &"c1".into()));
    let subs = house.get("/subscriptions/c1", VIEWER).json();
    assert_eq!((&subs["list"][0]["name"], &subs["list"][0]["qos"]), (&"a/#".into(), &1.into()));
    let mut back = house.mqtt_kept("c1");
    let seen: Vec<Vec<u8>> = (0..3).map(|_| back.message().1).collect();
    assert_eq!(seen, [b"0", b"1", b"2"]);
}

#[test]
fn what_is_nowhere_is_said_in_gmqtts_words() {
    let house = House::new();
    let unnamed = house.get("/clients", "");
    assert_eq!((unnamed.status, unnamed.text()), (401, ""));
    for (method, path) in [("GET", "/client"), ("GET", "/publish"), ("POST", "/clients")] {
        let fields = format!("{}Content-Length: 0\r\n", house::operator());
        let said = house.send(method, path, &fields, "");
        assert_eq!((said.status, said.text()), (404, "404 page not found"), "{method} {path}");
        assert_eq!(said.field("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn documents_say_more_than_forms() {
    let house = House::new();
    let body = r#"{"qos":1,"topic":"k/v","payload":"AAEC","encoding":"base64","retain":true}"#;
    assert_eq!(house.json("/publish", body).status, 200);
    let mut client = house.mqtt("late");
    client.subscribe("k/#");
    assert_eq!(client.message(), ("k/v".to_owned(), vec![0, 1, 2]));
    let nobody = house.json("/subscribe", r#"{"qos":1,"topic":"a","clientId":"x"}"#);
    assert_eq!((nobody.status, nobody.text()), (404, "Client Not Found"));
    let wrong = house.json("/publish", "{");
    assert_eq!(wrong.status, 400);
    assert_eq!(house.post("/publish", "text/xml", "<a/>").status, 415);
}

#[test]
fn a_viewer_changes_nothing_and_no_page_of_others_does() {
    let house = House::new();
    let viewer = house.send("POST", "/publish", &[VIEWER, "Content-Length: 0\r\n"].concat(), "");
    assert_eq!(viewer.status, 403);
    for fields in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let fields = format!("{}{fields}Content-Length: 0\r\n", house::operator());
        assert_eq!(house.send("POST", "/publish", &fields, "").status, 403, "{fields}");
    }
}

#[test]
fn a_page_of_our_own_goes_on_where_the_last_one_ended() {
    let house = House::new();
    let _clients: Vec<_> = (0..30).map(|n| house.mqtt(&format!("c{n:02}"))).collect();
    let (mut seen, mut after) = (Vec::new(), String::new());
    for pages in 1.. {
        let path = format!("/api/v1/clients?limit=7&sort=id&order=desc{after}");
        let page = house.get(&path, VIEWER).json();
        let rows = page["data"].as_array().expect("rows");
        seen.extend(rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
        if pages == 2 {
            // Whoever comes and goes meanwhile moves nobody to another page.
            drop(house.mqtt("c99"));
        }
        let Some(next) = page["meta"]["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let wanted: Vec<String> = (0..30).rev().map(|n| format!("c{n:02}")).collect();
    assert_eq!(seen, wanted);
    let one = house.get("/api/v1/clients?q=c1&protocol=mqtt&limit=3", VIEWER).json();
    assert_eq!(
        (&one["meta"]["total"], one["data"].as_array().map(Vec::len)),
        (&10.into(), Some(3))
    );
    for wrong in ["limit=0", "limit=1001", "sort=x", "order=x", "state=x", "after=x", "address=x"] {
        let said = house.get(&format!("/api/v1/clients?{wrong}"), VIEWER);
        assert_eq!(said.status, 400, "{wrong}");
        assert_eq!(said.field("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn numbers_are_what_prometheus_reads() {
    let house = House::new();
    let said = house.get("/metrics", VIEWER);
    assert_eq!(said.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (mut families, mut open) = (Vec::new(), (String::new(), String::new()));
    let mut samples = std::collections::BTreeMap::new();
    for line in said.text().lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, doc) = rest.split_once(' ').expect("a meaning");
            assert!(!families.contains(&name.to_owned()), "{name} stands in one place");
            assert!(doc.len() > 3, "{line}");
            families.push(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(families.last().map(String::as_str), Some(name), "after its meaning");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            open = (name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let name = series.split('{').next().expect("a name");
            assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{line}");
            let parts = ["_bucket", "_sum", "_count"];
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            let family = part.filter(|_| open.1 == "histogram").unwrap_or(name);
            assert_eq!(family, open.0, "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with("spindle_"), "{line}");
        }
    }
    let ends = "spindle_publish_to_ack_seconds_bucket{durability=\"disk\",le=\"+Inf\"} ";
    assert!(said.text().contains(ends), "{}", said.text());
    for wanted in [
        "spindle_build_info",
        "spindle_connections",
        "spindle_messages_dropped_total",
        "spindle_publish_to_deliver_seconds",
        "spindle_event_loop_drift_seconds",
    ] {
        assert!(families.iter().any(|name| name == wanted), "{wanted}");
    }
    for family in families.iter().filter(|name| samples.contains_key(&format!("{name}_count"))) {
        // Every bucket has what those below it have, and the last has all.
        let begin = format!("{family}_bucket{{le=\"");
        let of = samples
            .iter()
            .filter_map(|(series, value)| Some((series.strip_prefix(&begin)?, value)));
        let end = |text: &str| {
            text.trim_end_matches("\"}").replace("+Inf", "inf").parse::<f64>().unwrap()
        };
        let mut buckets: Vec<(f64, u64)> =
            of.map(|(text, value)| (end(text), value.parse().unwrap())).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by_key(|(_, below)| *below), "{family}: {buckets:?}");
        assert_eq!(
            buckets.last().map(|b| b.1.to_string()),
            samples.get(&format!("{family}_count")).cloned()
        );
    }
}

/// What happens is counted under the words of who did it, and nowhere else.
#[test]
fn words_tell_apart_who_did_what() {
    let house = House::new();
    let value = |series: &str| -> f64 {
        let said = house.get("/metrics", VIEWER);
        let found = said.text().lines().find_map(|line| line.strip_prefix(series));
        found.unwrap_or_else(|| panic!("no {series}")).trim().parse().expect("a number")
    };
    let mut client = house.mqtt("c1");
    client.subscribe("a/#");
    for qos in ["0", "1", "2"] {
        assert_eq!(house.form("/publish", &format!("qos={qos}&topic=a/b&payload=x")).status, 200);
        client.message();
    }
    drop(house.mqtt("c2"));
    house.get("/varz", &basic("ann", "wrong"));
    while value("spindle_connections_closed_total{reason=\"eof\"}") < 1.0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for (series, wanted) in [
        ("spindle_messages_received_total{protocol=\"broker\",qos=\"2\"}", 1.0),
        ("spindle_messages_received_total{protocol=\"mqtt311\",qos=\"2\"}", 0.0),
        ("spindle_messages_sent_total{protocol=\"mqtt311\",qos=\"0\"}", 3.0),
        ("spindle_messages_sent_total{protocol=\"mqtt5\",qos=\"0\"}", 0.0),
        ("spindle_connections{protocol=\"mqtt311\",listener=\"1\"}", 1.0),
        ("spindle_connections{protocol=\"unknown\",listener=\"1\"}", 0.0),
        ("spindle_auth_total{method=\"anonymous\",result=\"accepted\"}", 2.0),
        ("spindle_auth_total{method=\"admin\",result=\"refused\"}", 1.0),
        ("spindle_connections_closed_total{reason=\"taken_over\"}", 0.0),
        ("spindle_config_last_reload_successful", 1.0),
        ("spindle_sessions", 1.0),
        ("spindle_sessions_away", 0.0),
        ("spindle_subscriptions", 1.0),
    ] {
        assert_eq!(value(series), wanted, "{series}");
    }
    drop(house.mqtt("c1"));
    while value("spindle_connections_closed_total{reason=\"taken_over\"}") < 1.0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A certificate is watched by its end, which moves when another is read.
#[cfg(feature = "tls")]
#[test]
fn the_end_of_a_certificate_is_told_and_follows_a_reload() {
    let dir = std::env::temp_dir().join(format!("spindle-until-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let write = |year: i32| {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.join("c.pem"), own.pem()).expect("written");
        std::fs::write(dir.join("k.pem"), key.serialize_pem()).expect("written");
    };
    write(2033);
    let house = House::within(spindle::broker::Tls::new(dir.join("c.pem"), dir.join("k.pem")));
    let told = || {
        let said = house.get("/metrics", VIEWER);
        let begin = "spindle_tls_cert_not_after_timestamp_seconds{";
        let lines: Vec<&str> = said.text().lines().filter(|l| l.starts_with(begin)).collect();
        let [line] = lines[..] else { panic!("{lines:?}") };
        line.trim_start_matches(begin).to_owned()
    };
    assert_eq!(told(), "listener=\"1\"} 1988150400");
    write(2034);
    house.reload();
    assert_eq!(told(), "listener=\"1\"} 2019686400");
    let rows = house.get("/api/v1/listeners", VIEWER).json();
    assert_eq!(rows["data"][1]["certificate_until"], "2034-01-01T00:00:00.000Z");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn rows_are_what_the_description_says() {
    use spindle::proto::http::openapi::ROWS;
    let house = House::new();
    let mut client = house.mqtt("c1");
    client.subscribe("a/#");
    let body = r#"{"topic":"k/v","payload":"x","retain":true}"#;
    assert_eq!(house.json("/api/v1/publish", body).status, 200);
    let ban = r#"{"kind":"address","value":"10.0.0.0/8"}"#;
    assert_eq!(house.json("/api/v1/bans", ban).status, 200);
    for (path, at, row) in [
        ("/varz", "", "Stats"),
        ("/readyz", "", "Health"),
        ("/clients", "/list/0", "GmqttClient"),
        ("/sessions", "/list/0", "GmqttSession"),
        ("/subscriptions", "/list/0", "GmqttSubscription"),
        ("/api/v1/clients", "/data/0", "Client"),
        ("/api/v1/sessions", "/data/0", "Client"),
        ("/api/v1/clients/c1", "/data", "ClientDetail"),
        ("/api/v1/clients/c1", "/data/events/0", "Event"),
        ("/api/v1/clients/c1/subscriptions", "/data/0", "Subscription"),
        ("/api/v1/subscriptions", "/data/0", "Subscription"),
        ("/api/v1/topics", "/data/0", "Level"),
        ("/api/v1/retained", "/data/0", "Kept"),
        ("/api/v1/retained/value?topic=k/v", "/data", "Value"),
        ("/api/v1/listeners", "/data/0", "Listener"),
        ("/api/v1/limits", "/data/0", "Limit"),
        ("/api/v1/stats", "/data", "Stats"),
        ("/api/v1/bans", "/data/0", "Ban"),
        ("/api/v1/whoami", "/data", "Caller"),
    ] {
        let said = house.get(path, VIEWER).json();
        let found = said.pointer(at).unwrap_or_else(|| panic!("{path}: {said}"));
        let (_, members) = ROWS.iter().find(|(name, _)| *name == row).expect("a row");
        for member in members.split_whitespace() {
            let (name, kind) = member.split_once(':').expect("a kind");
            let value = found.get(name).unwrap_or_else(|| panic!("{path}: no {name} in {found}"));
            let right = match kind.trim_end_matches('?') {
                "s" => value.is_string(),
                "i" => value.is_u64(),
                "n" => value.is_number(),
                "b" => value.is_boolean(),
                "o" => value.is_object(),
                _ => value.is_array(),
            };
            assert!(right || kind.ends_with('?') && value.is_null(), "{path}: {name} is {value}");
        }
        if row != "Stats" {
            let len = found.as_object().map(serde_json::Map::len);
            assert_eq!(len, Some(members.split_whitespace().count()), "{path}: {found}");
        }
    }
}

#[test]
fn a_client_is_found_whatever_it_is_called() {
    const NAMES: [&str; 9] =
        [".", "..", "a/b", "%2e%2e", "?id=x", "#", "a b&c=d", "\u{e9}+\u{1f980}", "'\"<"];
    let house = House::new();
    let escaped = |name: &str| name.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    for name in NAMES {
        let client = house.mqtt_kept(name);
        let path = |of: &str| format!("/api/v1/{of}?id={}", escaped(name));
        let delete = |path: &str| house.send("DELETE", path, &house::operator(), "").status;
        let listed = house.get("/api/v1/clients", VIEWER).json();
        assert_eq!(listed["data"][0]["id"], name);
        let one = house.get(&path("client"), VIEWER);
        assert_eq!((one.status, &one.json()["data"]["id"]), (200, &name.into()), "{name}");
        let listen = house.json(&path("client/subscriptions"), r#"{"filter":"x/y"}"#);
        assert_eq!(listen.status, 204, "{name}: {}", listen.text());
        let subs = house.get(&path("client/subscriptions"), VIEWER).json();
        assert_eq!(subs["data"][0]["filter"], "x/y", "{name}");
        assert_eq!(delete(&(path("client/subscriptions") + "&filter=x%2Fy")), 204, "{name}");
        assert_eq!(delete(&path("client")), 204, "{name} is kicked");
        assert_eq!(delete(&path("session")), 204, "{name} is forgotten");
        assert_eq!(house.get(&path("client"), VIEWER).status, 404, "{name}");
        let body = serde_json::json!({ "kind": "client", "value": name }).to_string();
        assert_eq!(house.json("/api/v1/bans", &body).status, 200, "{name}");
        let ban = format!("/api/v1/ban?kind=client&value={}", escaped(name));
        assert_eq!((delete(&ban), delete(&ban)), (204, 404), "{name}");
        drop(client);
    }
    for path in ["/api/v1/client", "/api/v1/client?id=", "/api/v1/client/subscriptions?x=y"] {
        assert_eq!(house.get(path, VIEWER).status, 400, "{path}");
    }
}

#[test]
fn a_subscription_is_as_old_as_itself_and_not_as_its_client() {
    let house = House::new();
    let mut client = house.mqtt("c1");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    client.subscribe("a/#");
    let came = house.get("/client/c1", VIEWER).json()["connected_at"].clone();
    let at = house.get("/subscriptions/c1", VIEWER).json()["list"][0]["at"].clone();
    assert!(at.as_str() > came.as_str() && came.is_string(), "{at} is not behind {came}");
    let since = house.get("/api/v1/clients/c1/subscriptions", VIEWER).json();
    assert_eq!(since["data"][0]["since"], at);
}

#[test]
fn how_far_away_a_client_is_the_system_says() {
    let house = House::new();
    let client = house.mqtt_kept("c1");
    let rtt = |id: &str| house.get(&format!("/api/v1/client/rtt?id={id}"), VIEWER);
    let said = rtt("c1");
    assert_eq!(said.status, 200, "{}", said.text());
    if cfg!(target_os = "linux") {
        let us = said.json()["data"]["rtt_us"].as_u64().expect("microseconds");
        assert!((1..1_000_000).contains(&us), "{us} us on this very machine");
    }
    assert_eq!(rtt("nobody").status, 404);
    drop(client);
    while house.get("/api/v1/client?id=c1", VIEWER).json()["data"]["state"] == "connected" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(rtt("c1").status, 409, "who is away has no way");
}

#[test]
fn many_rows_come_in_pieces() {
    let house = House::new();
    let clients: Vec<_> =
        (0..1000).map(|n| house.mqtt(&format!("client-with-a-long-id-{n:05}"))).collect();
    let page = house.get("/clients?per-page=100000", VIEWER);
    assert_eq!(page.field("transfer-encoding"), Some("chunked"));
    let page = page.json();
    assert_eq!((&page["current_count"], &page["total_page"]), (&1000.into(), &1.into()));
    let list = page["list"].as_array().expect("rows");
    let in_order = list.iter().enumerate().all(|(n, row)| {
        row["client_id"].as_str().is_some_and(|id| id.ends_with(&format!("{n:05}")))
    });
    assert!(in_order, "by the time they came");
    drop(clients);
}

#[test]
fn whoever_may_open_the_socket_is_an_operator() {
    let dir = std::env::temp_dir().join(format!("spindle-admin-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let path = dir.join("admin.sock");
    let house = House::at(&path);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    let body = r#"{"topic":"a","payload":"x"}"#;
    let head = "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(format!("{head}{fields}\r\n{body}").as_bytes()).expect("it reads");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("it answers");
    let said = house::Said::parse(&all);
    assert_eq!((said.status, said.json()["data"]["matched"].as_u64()), (200, Some(0)));
    drop(house);
    assert!(!path.exists(), "it goes with the broker");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn one_port_may_serve_clients_and_administrators() {
    let house = House::on_one_port(true);
    let mut client = house.mqtt("c1");
    client.subscribe("a");
    assert_eq!(house.get("/clients", VIEWER).json()["total_count"], 1);
    let house = House::on_one_port(false);
    assert_eq!(house.get("/", "").status, 426, "only WebSockets are served there");
}

#[test]
fn a_stop_is_answered_before_it_happens() {
    let house = House::new();
    // The log of a broker within another program is that program's.
    let said = house.json("/api/v1/log", r#"{"level":"debug","seconds":1}"#);
    assert_eq!(said.status, 409, "{}", said.text());
    assert_eq!(house.get("/api/v1/log", VIEWER).status, 404);
    let drained = house.json("/api/v1/drain", "{}");
    assert_eq!(drained.status, 200, "{}", drained.text());
    assert_eq!(house.get("/readyz", "").status, 503);
    assert_eq!(house.get("/livez", "").status, 200);
    assert_eq!(house.json("/api/v1/reload", "{}").status, 200, "the same is found again");
    let stopped = house.json("/api/v1/stop", "{}");
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    house.ended();
}

#[test]
fn pages_of_subscriptions_may_end_amid_a_client_and_ours_do_not() {
    let house = House::new();
    let mut clients: Vec<_> = (0..4).map(|n| house.mqtt(&format!("c{n}"))).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        for filter in 0..n * 3 {
            client.subscribe(&format!("c{n}/{filter:02}"));
        }
    }
    let name = |row: &serde_json::Value, key: &str| row[key].as_str().expect("text").to_owned();
    let mut seen = Vec::new();
    for page in 1..=5 {
        let said = house.get(&format!("/subscriptions?page={page}&per-page=4"), VIEWER).json();
        assert_eq!((&said["total_count"], &said["total_page"]), (&18.into(), &5.into()));
        seen.extend(said["list"].as_array().expect("rows").iter().map(|row| name(row, "name")));
    }
    let mut all = seen.clone();
    all.sort();
    all.dedup();
    assert_eq!((seen.len(), all.len()), (18, 18), "{seen:?}");
    let one = house.get("/subscriptions/c2", VIEWER).json();
    assert_eq!(one["total_count"], 6);
    let (mut counts, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/subscriptions?limit=2{after}");
        let page = house.get(&path, VIEWER).json();
        counts.push(page["data"].as_array().expect("rows").len());
        let Some(next) = page["meta"]["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(counts, [3, 6, 9]);
}
