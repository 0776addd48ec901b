//! Floor 6. The MQTT client against our own broker, in this process.
//!
//! One broker for each test, on a port the system chose, without a journal. Absent on purpose:
//! what the desk of the client can show without a socket.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use spindle::client::mqtt::{Builder, Client, Error, Event};
use spindle::proto::mqtt::{Asked, Prop, Props, Publish, Version, Will};
use spindle::{Broker, Handle};

const SOON: Option<Duration> = Some(Duration::from_secs(10));

struct Rig {
    handle: Handle,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(url: &str) -> Self {
        let listen = url.parse().unwrap();
        let broker = Broker::builder().listen_to(listen).memory().build().unwrap();
        let handle = broker.handle();
        let port = broker.local_addr(0).unwrap().port();
        let thread = Some(std::thread::spawn(move || broker.run().unwrap()));
        Self { handle, port, thread }
    }

    fn client(&self) -> Builder {
        Client::builder().address("127.0.0.1", self.port).timeout(Duration::from_secs(10))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn message(client: &mut Client) -> Publish {
    loop {
        if let Event::Message(message) = client.wait(SOON).unwrap().expect("a message") {
            return message;
        }
    }
}

/// Until everything is answered; the reasons of what was published.
fn settle(client: &mut Client) -> Vec<u8> {
    let mut reasons = Vec::new();
    loop {
        let most = if client.is_settled() { Some(Duration::ZERO) } else { SOON };
        match client.wait(most).unwrap() {
            Some(Event::Published { reason, .. }) => reasons.push(reason),
            Some(_) => {}
            None => break,
        }
    }
    reasons
}

#[test]
fn every_version_and_qos_goes_round() {
    let rig = Rig::new("mqtt://127.0.0.1:0");
    for version in [Version::V31, Version::V311, Version::V5] {
        let id = format!("round-{}", version.level());
        let mut client = rig.client().version(version).client_id(&id).connect().unwrap();
        client.subscribe("room/+", 2).unwrap();
        for qos in 0..=2 {
            client.publish("room/1", format!("at {qos}"), qos, false).unwrap();
            let heard = message(&mut client);
            assert_eq!((&heard.topic[..], heard.qos), (&b"room/1"[..], qos), "{version:?}");
            assert_eq!(heard.payload, format!("at {qos}"));
        }
        assert!(settle(&mut client).iter().all(|reason| *reason == 0));
        client.disconnect();
    }
}

#[test]
fn a_websocket_carries_large_messages_both_ways() {
    let rig = Rig::new("ws://127.0.0.1:0");
    let mut client = rig.client().websocket("/mqtt").connect().unwrap();
    client.subscribe("big", 1).unwrap();
    let payload = Bytes::from(vec![0x5a; 300_000]);
    client.publish("big", payload.clone(), 1, false).unwrap();
    assert_eq!(message(&mut client).payload, payload);
    client.disconnect();
}

#[test]
fn more_messages_than_the_window_arrive_in_order() {
    let rig = Rig::new("mqtt://127.0.0.1:0");
    let mut listener = rig.client().client_id("listener").connect().unwrap();
    listener.subscribe("n", 2).unwrap();
    assert!(matches!(listener.wait(SOON).unwrap(), Some(Event::Subscribed(_))));
    let mut client = rig.client().client_id("speaker").in_flight(7).connect().unwrap();
    for n in 0..500 {
        client.publish("n", n.to_string(), 1 + n as u8 % 2, false).unwrap();
    }
    assert_eq!(settle(&mut client).len(), 500);
    for n in 0..500 {
        assert_eq!(message(&mut listener).payload, n.to_string());
    }
}

#[test]
fn what_was_missed_comes_after_reconnecting() {
    let rig = Rig::new("mqtt://127.0.0.1:0");
    let mut sleeper = rig.client().client_id("sleeper").clean(false).connect().unwrap();
    sleeper.subscribe("a", 1).unwrap();
    assert!(matches!(sleeper.wait(SOON).unwrap(), Some(Event::Subscribed(_))));
    // The same name: the first of both is shown out.
    let other = rig.client().client_id("sleeper").clean(false).connect().unwrap();
    assert!(other.connack().present);
    assert!(sleeper.wait(SOON).is_err() && !sleeper.is_online());
    other.disconnect();
    let mut client = rig.client().client_id("speaker").connect().unwrap();
    client.publish("a", "missed", 1, false).unwrap();
    settle(&mut client);
    assert!(sleeper.reconnect().unwrap(), "the session was kept");
    assert_eq!(&message(&mut sleeper).payload[..], b"missed");
}

#[test]
fn properties_travel_and_wills_are_published() {
    let rig = Rig::new("mqtt://127.0.0.1:0");
    let five = || rig.client().version(Version::V5);
    let mut listener = five().client_id("listener").connect().unwrap();
    let all = Asked {
        filter: Bytes::from_static(b"#"),
        qos: 1,
        no_local: true,
        as_published: true,
        handling: 0,
    };
    listener.subscribe_all(vec![all], Props::build(&[Prop::SubscriptionId(9)])).unwrap();
    assert!(matches!(listener.wait(SOON).unwrap(), Some(Event::Subscribed(_))));
    let will = Will {
        topic: Bytes::from_static(b"gone"),
        payload: Bytes::from_static(b"bye"),
        qos: 1,
        retain: false,
        props: Props::build(&[Prop::ContentType(Bytes::from_static(b"text/plain"))]),
    };
    let mut client = five().client_id("mortal").will(will).connect().unwrap();
    let pair = Prop::User(Bytes::from_static(b"k"), Bytes::from_static(b"v"));
    let publish = Publish {
        dup: false,
        qos: 1,
        retain: false,
        topic: Bytes::from_static(b"t"),
        id: 0,
        props: Props::build(std::slice::from_ref(&pair)),
        payload: Bytes::new(),
    };
    client.send(publish).unwrap();
    settle(&mut client);
    let heard: Vec<Prop> = message(&mut listener).props.iter().collect();
    assert!(heard.contains(&pair) && heard.contains(&Prop::SubscriptionId(9)), "{heard:?}");
    client.disconnect_with(4, Props::none());
    let bye = message(&mut listener);
    assert_eq!((&bye.topic[..], &bye.payload[..]), (&b"gone"[..], &b"bye"[..]));
}

#[test]
fn an_interrupt_ends_a_wait() {
    let rig = Rig::new("mqtt://127.0.0.1:0");
    let mut client = rig.client().connect().unwrap();
    let interrupt = client.interrupt().unwrap();
    let thread = std::thread::spawn(move || interrupt.interrupt());
    assert_eq!(client.wait(None).unwrap(), None);
    thread.join().unwrap();
}

#[test]
fn who_is_not_there_is_an_error_of_dialling() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Client::builder().address("127.0.0.1", free).connect().unwrap_err();
    assert!(matches!(error, Error::Dial(_)), "{error}");
    let error = Client::builder().unix("/nonexistent/socket").connect().unwrap_err();
    assert!(matches!(error, Error::Dial(_)), "{error}");
    let error = Client::builder().login(None, Some(b"x")).connect().unwrap_err();
    assert!(matches!(error, Error::Setting(_)), "{error}");
}
