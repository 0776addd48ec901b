//! `$SYS` as clients see it that are written for other brokers.

use std::collections::BTreeMap;
use std::time::Duration;

use spindle::proto::mqtt::packet::{Packet, Version};

use crate::mqtt::{Mqtt, publish};
use crate::process::{LONG, Scratch, Spindle};
use crate::wire::Wire;

const FLAGS: [&str; 4] = ["--listen", "mqtt://127.0.0.1:0", "--sys-interval", "1"];

#[test]
fn the_broker_says_how_it_is_to_whoever_asks() {
    let dir = Scratch::new("sys");
    let mut broker = Spindle::start(&dir.join("data"), &FLAGS);
    let address = broker.listener();
    let (mut guest, _) = Mqtt::join(&address, Version::V5, "guest");
    guest.subscribe("#");
    let (mut reader, _) = Mqtt::join(&address, Version::V311, "reader");
    reader.subscribe("$SYS/#");
    let mut said = BTreeMap::new();
    let mut kept = 0;
    // As many names as there are.
    while said.len() < 57 {
        let message = reader.message();
        kept += usize::from(message.retain);
        said.insert(message.topic.clone(), message.payload);
    }
    assert!(kept > 50, "who comes late is told what is kept: {kept}");
    let value = |name: &str| {
        let topic = format!("$SYS/broker/{name}");
        said.get(topic.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let version = format!("spindle version {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value("version"), Some(version));
    assert!(value("uptime").is_some_and(|text| text.ends_with(" seconds")));
    for name in [
        "clients/connected",
        "messages/received",
        "retained messages/count",
        "load/messages/received/1min",
        "loop/drift_us_p99",
        "durable/lag_us",
        "heap/current",
    ] {
        let number = value(name).map(|text| text.parse::<f64>().is_ok());
        assert_eq!(number, Some(true), "{name}: {:?}", value(name));
    }
    // Then what has changed, as it changes.
    let again = loop {
        let message = reader.message();
        if message.topic == "$SYS/broker/uptime" && !message.retain {
            break message;
        }
    };
    assert!(again.payload.ends_with(b" seconds"));
    // The other protocol reads the same.
    let (mut wire, _) = Wire::join(&broker.address, "wire", true);
    wire.subscribe("$SYS/broker/version");
    assert_eq!(wire.message().topic, "$SYS/broker/version");
    assert_eq!(guest.listen(Duration::from_millis(1_500)), Err(()), "no wildcard opens it");
    assert_eq!(broker.stop(), 0);
}

#[test]
fn only_the_broker_writes_there() {
    let dir = Scratch::new("sys-write");
    let mut broker = Spindle::start(&dir.join("data"), &FLAGS);
    let address = broker.listener();
    let (mut guest, _) = Mqtt::join(&address, Version::V5, "guest");
    guest.say(&publish(1, 7, false, "$SYS/broker/version", "mine"));
    match guest.listen(LONG) {
        Ok(Some(Packet::PubAck(ack))) => assert_eq!((ack.id, ack.reason), (7, 0x87)),
        other => panic!("{other:?}"),
    }
    guest.subscribe("$SYS/broker/version");
    assert!(guest.message().payload.starts_with(b"spindle version "));
    assert_eq!(broker.stop(), 0);
}
