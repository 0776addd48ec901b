//! Realms of WAMP across kills and restarts: what each keeps and remembers is its own.

use std::time::Duration;

use spindle::client::wamp::{CallOptions, Client, Payload, PublishOptions, SubscribeOptions};
use spindle::value::Value;

use crate::process::{Scratch, Spindle};

const SOON: Option<Duration> = Some(Duration::from_secs(10));

/// A broker with these realms, and where it speaks WAMP.
fn start(dir: &Scratch, realms: &[&str]) -> (Spindle, String) {
    let mut flags = vec!["--durability", "disk", "--listen", "wamp://127.0.0.1:0"];
    realms.iter().for_each(|realm| flags.extend(["--realm", realm]));
    let mut broker = Spindle::start(&dir.join("data"), &flags);
    let place = broker.listener();
    (broker, format!("tcp://{place}"))
}

fn client(url: &str, realm: &str) -> Client {
    Client::builder(url, realm).connect().expect("it is let in")
}

fn text(payload: &Payload) -> &str {
    payload.args.first().and_then(Value::as_text).unwrap_or_default()
}

/// An acknowledged event, to be kept.
fn say(client: &Client, topic: &str, what: &str) {
    let options = PublishOptions { acknowledge: true, retain: true, ..Default::default() };
    let number = client.publish(topic, options, vec![Value::Text(what.into())]).expect("said");
    assert!(number.is_some());
}

fn kept(client: &Client, topic: &str) -> String {
    let options = SubscribeOptions { get_retained: true, ..Default::default() };
    let events = client.subscribe(topic, options).expect("allowed");
    let event = events.wait(SOON).expect("online").expect("something is kept");
    text(&event.payload).to_owned()
}

/// What is remembered under a topic.
fn past(client: &Client, topic: &str) -> Vec<String> {
    let asked = vec![Value::Text(topic.into())];
    let id = client.call("wamp.subscription.lookup", CallOptions::default(), asked);
    let id = id.expect("answered").args.remove(0);
    let all = client.call("wamp.subscription.get_events", CallOptions::default(), vec![id]);
    let said = |event: &Value| {
        let args = event.get("args").and_then(Value::as_list).expect("arguments");
        args[0].as_text().expect("text").to_owned()
    };
    all.expect("answered").args.iter().map(said).collect()
}

#[test]
fn realms_keep_what_is_theirs_when_the_process_is_killed() {
    let dir = Scratch::new("realms");
    let (lab, shop) = ("lab?lasting=exact:2:log&history=exact:2:mem", "shop?lasting=exact:2:log");
    let (broker, url) = start(&dir, &[lab, shop]);
    for realm in ["lab", "shop", "default"] {
        let client = client(&url, realm);
        for n in 0..3 {
            say(&client, "log", &format!("{realm} {n}"));
        }
        say(&client, "mem", "in memory");
    }
    broker.kill();
    let (broker, url) = start(&dir, &["new", shop, lab]);
    for realm in ["lab", "shop"] {
        let client = client(&url, realm);
        assert_eq!(kept(&client, "log"), format!("{realm} 2"));
        assert_eq!(past(&client, "log"), [format!("{realm} 1"), format!("{realm} 2")]);
    }
    assert_eq!(kept(&client(&url, "default"), "log"), "default 2");
    assert!(past(&client(&url, "lab"), "mem").is_empty(), "that one was not to last");
    say(&client(&url, "lab"), "log", "lab 3");
    assert_eq!(broker.stop(), 0);
    let (broker, url) = start(&dir, &[lab]);
    assert_eq!(past(&client(&url, "lab"), "log"), ["lab 2", "lab 3"]);
    let shut = Client::builder(&*url, "shop").connect().expect_err("nobody configured it");
    assert_eq!(shut.uri(), Some("wamp.error.no_such_realm"));
    broker.kill();
    let (broker, url) = start(&dir, &[shop, lab]);
    assert_eq!(kept(&client(&url, "shop"), "log"), "shop 2");
    broker.kill();
}
