//! MQTT 3.1.1.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    Client, ConnectionError, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode,
};
use serde_json::{Value, json};

use crate::desk::{self, Desk, Kind, bytes, number, say, text};

pub(crate) fn serve(ask: &Value) {
    let desk = Arc::new(Desk::default());
    let (client, mut connection) = Client::new(options(ask), 1000);
    let asked = Arc::clone(&desk);
    std::thread::spawn(move || {
        for ask in desk::asks() {
            act(&client, &asked, &ask);
        }
        std::process::exit(0);
    });
    for event in connection.iter() {
        match event {
            Ok(event) => tell(&desk, event),
            Err(ConnectionError::ConnectionRefused(code)) => {
                return desk::closed(&format!("refused {code:?}"));
            }
            Err(e) => return desk::closed(&e.to_string()),
        }
    }
}

fn options(ask: &Value) -> MqttOptions {
    let (host, port) = crate::place(ask);
    let mut options = MqttOptions::new(text(&ask["id"]), host, port);
    options
        .set_transport(crate::transport(ask))
        .set_keep_alive(Duration::from_secs(number(&ask["keepalive"])))
        .set_clean_session(ask["clean"] != false)
        .set_max_packet_size(64 << 20, 64 << 20);
    if ask["user"].is_string() {
        options.set_credentials(text(&ask["user"]), text(&ask["password"]));
    }
    let will = &ask["will"];
    if will.is_object() {
        let retain = will["retain"] == true;
        let payload = bytes(&will["payload"]);
        options.set_last_will(LastWill::new(
            text(&will["topic"]),
            payload,
            qos(&will["qos"]),
            retain,
        ));
    }
    options
}

fn qos(value: &Value) -> QoS {
    match number(value) {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn act(client: &Client, desk: &Desk, ask: &Value) {
    let n = &ask["n"];
    let done = match ask["do"].as_str() {
        Some("publish") => {
            desk.asked(Kind::Publish, n);
            let retain = ask["retain"] == true;
            client.publish(text(&ask["topic"]), qos(&ask["qos"]), retain, bytes(&ask["payload"]))
        }
        Some("subscribe") => {
            desk.asked(Kind::Subscribe, n);
            let filters = desk::filters(ask).into_iter();
            client.subscribe_many(filters.map(|(f, o)| SubscribeFilter::new(f, qos(&o["qos"]))))
        }
        Some("unsubscribe") => {
            desk.asked(Kind::Unsubscribe, n);
            client.unsubscribe(text(&ask["filters"][0]))
        }
        _ => {
            // Before it is done: the connection may end first.
            say(&json!({"n": n, "ok": {}}));
            client.disconnect()
        }
    };
    if let Err(e) = done {
        say(&json!({"n": n, "no": e.to_string()}));
    }
}

fn tell(desk: &Desk, event: Event) {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => desk.sent(Kind::Publish, id),
        Event::Outgoing(Outgoing::Subscribe(id)) => desk.sent(Kind::Subscribe, id),
        Event::Outgoing(Outgoing::Unsubscribe(id)) => desk.sent(Kind::Unsubscribe, id),
        Event::Incoming(Packet::ConnAck(ack)) => {
            say(
                &json!({"ev": "connected", "code": 0, "present": ack.session_present, "props": {}}),
            );
        }
        Event::Incoming(Packet::PubAck(ack)) => {
            desk.answered(Kind::Publish, ack.pkid, &json!({"code": 0}));
        }
        Event::Incoming(Packet::PubComp(ack)) => {
            desk.answered(Kind::Publish, ack.pkid, &json!({"code": 0}));
        }
        Event::Incoming(Packet::SubAck(ack)) => {
            let codes = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => *qos as u8,
                SubscribeReasonCode::Failure => 0x80,
            });
            let codes: Vec<u8> = codes.collect();
            desk.answered(Kind::Subscribe, ack.pkid, &json!({"codes": codes}));
        }
        Event::Incoming(Packet::UnsubAck(ack)) => {
            desk.answered(Kind::Unsubscribe, ack.pkid, &json!({"codes": []}));
        }
        Event::Incoming(Packet::Publish(p)) => say(&json!({
            "ev": "message", "topic": p.topic, "payload": desk::spelled(&p.payload),
            "qos": p.qos as u8, "retain": p.retain, "dup": p.dup, "props": {},
        })),
        _ => {}
    }
}
