//! What the console needs of the API, and its files, over a real socket.

use std::io::{BufRead, BufReader, Write};

use super::house::{House, VIEWER, operator};

#[test]
fn its_files_are_for_anybody_and_say_what_a_page_may_do() {
    let house = House::without_admins();
    let page = house.get("/", "Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("console/app.js"));
    for path in ["/", "/console/style.css", "/console/app.js", "/console/people.js"] {
        let said = house.get(path, "");
        let policy = said.field("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        for (field, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(said.field(field), Some(value), "{path}: {field}");
        }
        let tag = said.field("etag").expect("a tag").to_owned();
        let had = |tags: &str| house.get(path, &format!("If-None-Match: {tags}\r\n"));
        for tags in [tag.as_str(), "*", &format!("\"other\", W/{tag}")] {
            let said = had(tags);
            assert_eq!((said.status, said.text()), (304, ""), "{path}: {tags}");
            assert_eq!(said.field("etag"), Some(tag.as_str()), "{path}");
        }
        assert_eq!(had("\"00000000\"").status, 200, "{path}");
    }
    assert_eq!(house.get("/api/v1/whoami", "").status, 401, "data is for nobody unknown");
}

#[test]
fn whoever_asks_is_told_who_it_is() {
    let house = House::new();
    for (fields, name, role) in [(VIEWER, "bob", "viewer"), (&operator(), "ann", "operator")] {
        let said = house.get("/api/v1/whoami", fields).json();
        assert_eq!(said["data"], serde_json::json!({ "name": name, "role": role }));
    }
}

#[test]
fn all_who_watch_are_told_the_same() {
    let house = House::new();
    let mut seen = Vec::new();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = house.connect();
        let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{VIEWER}\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        open.push(BufReader::new(stream));
        // One after the other, so that they do not begin in the same turn.
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    for stream in &mut open {
        let lines = stream.lines().map_while(Result::ok);
        let events = lines.filter(|line| line.starts_with("data: "));
        seen.push(events.take(4).collect::<Vec<_>>());
    }
    let all: std::collections::BTreeSet<&String> = seen.iter().flatten().collect();
    // Of the first one a viewer may have missed the second that the others begin in.
    assert!(all.len() <= 5, "{} snapshots for three who saw four each", all.len());
    for event in &seen[0] {
        let json: serde_json::Value = serde_json::from_str(&event[6..]).expect("a document");
        assert_eq!(json["failing"], serde_json::json!([]));
        assert!(json["timings"]["event_loop_drift"]["minute"]["p99_us"].is_u64());
    }
    let of_one = seen[0].iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(of_one.len(), 4, "no snapshot is told twice");
}

#[test]
fn topics_that_begin_with_a_slash_are_below_a_level_without_a_name() {
    let house = House::new();
    for topic in ["/lead/x", "a"] {
        let body = format!(r#"{{"topic":"{topic}","payload":"x","retain":true}}"#);
        assert_eq!(house.json("/api/v1/publish", &body).status, 200);
    }
    let levels = |path: &str| {
        let said = house.get(path, VIEWER).json();
        let name = |row: &serde_json::Value| row["topic"].as_str().unwrap_or("?").to_owned();
        let rows = said["data"].as_array().map(|rows| rows.iter().map(name).collect::<Vec<_>>());
        (rows.unwrap_or_default(), said["meta"]["next"].as_str().map(str::to_owned))
    };
    let all = (vec![String::new(), "a".to_owned()], None);
    assert_eq!(levels("/api/v1/topics"), all);
    assert_eq!(levels("/api/v1/topics?prefix="), (vec!["/lead".to_owned()], None));
    assert_eq!(levels("/api/v1/topics?prefix=/lead"), (vec!["/lead/x".to_owned()], None));
    // One row a page: the first page ends with the level without a name, and the list goes on.
    let first = levels("/api/v1/topics?limit=1");
    assert_eq!(first, (vec![String::new()], Some(String::new())));
    assert_eq!(levels("/api/v1/topics?limit=1&after="), (vec!["a".to_owned()], None));
}

#[test]
fn a_client_s_events_name_filters_as_they_are_written() {
    let house = House::new();
    let mut client = house.mqtt("c1");
    client.subscribe("a/+/#");
    let said = house.get("/api/v1/clients/c1", VIEWER).json();
    let events = said["data"]["events"].as_array().cloned().unwrap_or_default();
    let details: Vec<_> = events.iter().filter_map(|event| event["detail"].as_str()).collect();
    assert!(details.contains(&"a/+/#"), "{details:?}");
}
