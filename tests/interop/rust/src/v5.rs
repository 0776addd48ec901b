//! MQTT 5.0.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, ConnectProperties, Filter, LastWill, LastWillProperties, Packet,
    PubAckReason, PubRecReason, PublishProperties, RetainForwardRule, SubscribeProperties,
    SubscribeReasonCode, UnsubAckReason,
};
use rumqttc::v5::{Client, ConnectionError, Event, MqttOptions, StateError};
use serde_json::{Map, Value, json};

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
    let mut aliases = HashMap::new();
    for event in connection.iter() {
        match event {
            Ok(event) => tell(&desk, &mut aliases, event),
            Err(ConnectionError::ConnectionRefused(code)) => {
                return desk::closed(&format!("refused {code:?}"));
            }
            Err(ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code, ..
            })) => {
                say(&json!({"ev": "disconnect", "code": reason_code as u8, "props": {}}));
                return desk::closed("the broker disconnected");
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
        .set_clean_start(ask["clean"] != false);
    if ask["user"].is_string() {
        options.set_credentials(text(&ask["user"]), text(&ask["password"]));
    }
    let props = &ask["props"];
    let mut asked = ConnectProperties::new();
    asked.session_expiry_interval = small(&props["session_expiry"]);
    asked.receive_maximum = small(&props["receive_max"]).map(|n| n as u16);
    asked.max_packet_size = Some(small(&props["packet_max"]).unwrap_or(64 << 20));
    asked.topic_alias_max = small(&props["alias_max"]).map(|n| n as u16);
    asked.user_properties = pairs(&props["user"]);
    options.set_connect_properties(asked);
    let will = &ask["will"];
    if will.is_object() {
        options.set_last_will(LastWill::new(
            text(&will["topic"]),
            bytes(&will["payload"]),
            qos(&will["qos"]),
            will["retain"] == true,
            Some(will_props(&will["props"])),
        ));
    }
    options
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64().map(|n| n as u32)
}

fn some_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let all = value.as_array().cloned().unwrap_or_default();
    all.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn qos(value: &Value) -> QoS {
    match number(value) {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn will_props(props: &Value) -> LastWillProperties {
    LastWillProperties {
        delay_interval: small(&props["delay"]),
        payload_format_indicator: small(&props["payload_format"]).map(|n| n as u8),
        message_expiry_interval: small(&props["expiry"]),
        content_type: some_text(&props["content_type"]),
        response_topic: some_text(&props["response_topic"]),
        correlation_data: props["correlation"]
            .is_string()
            .then(|| bytes(&props["correlation"]).into()),
        user_properties: pairs(&props["user"]),
    }
}

fn publish_props(props: &Value) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: small(&props["payload_format"]).map(|n| n as u8),
        message_expiry_interval: small(&props["expiry"]),
        topic_alias: small(&props["alias"]).map(|n| n as u16),
        response_topic: some_text(&props["response_topic"]),
        correlation_data: props["correlation"]
            .is_string()
            .then(|| bytes(&props["correlation"]).into()),
        user_properties: pairs(&props["user"]),
        subscription_identifiers: Vec::new(),
        content_type: some_text(&props["content_type"]),
    }
}

fn filter(name: String, options: &Value) -> Filter {
    let mut filter = Filter::new(name, qos(&options["qos"]));
    filter.nolocal = options["nl"] == true;
    filter.preserve_retain = options["rap"] == true;
    filter.retain_forward_rule = match number(&options["rh"]) {
        0 => RetainForwardRule::OnEverySubscribe,
        1 => RetainForwardRule::OnNewSubscribe,
        _ => RetainForwardRule::Never,
    };
    filter
}

fn act(client: &Client, desk: &Desk, ask: &Value) {
    let n = &ask["n"];
    let done = match ask["do"].as_str() {
        Some("publish") => {
            desk.asked(Kind::Publish, n);
            client.publish_with_properties(
                text(&ask["topic"]),
                qos(&ask["qos"]),
                ask["retain"] == true,
                bytes(&ask["payload"]),
                publish_props(&ask["props"]),
            )
        }
        Some("subscribe") => {
            desk.asked(Kind::Subscribe, n);
            let filters = desk::filters(ask).into_iter().map(|(f, o)| filter(f, &o));
            let id = ask["sub_id"].as_u64().map(|id| id as usize);
            let props = SubscribeProperties { id, user_properties: Vec::new() };
            client.subscribe_many_with_properties(filters, props)
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

fn tell(desk: &Desk, aliases: &mut HashMap<u16, String>, event: Event) {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => desk.sent(Kind::Publish, id),
        Event::Outgoing(Outgoing::Subscribe(id)) => desk.sent(Kind::Subscribe, id),
        Event::Outgoing(Outgoing::Unsubscribe(id)) => desk.sent(Kind::Unsubscribe, id),
        Event::Incoming(Packet::ConnAck(ack)) => say(&json!({
            "ev": "connected", "code": 0, "present": ack.session_present,
            "props": ack.properties.as_ref().map(granted).unwrap_or_default(),
        })),
        Event::Incoming(Packet::PubAck(ack)) => {
            let code = puback_code(ack.reason);
            desk.answered(Kind::Publish, ack.pkid, &json!({"code": code}));
        }
        Event::Incoming(Packet::PubRec(rec)) => {
            let code = pubrec_code(rec.reason);
            if code >= 0x80 {
                desk.answered(Kind::Publish, rec.pkid, &json!({"code": code}));
            }
        }
        Event::Incoming(Packet::PubComp(ack)) => {
            desk.answered(Kind::Publish, ack.pkid, &json!({"code": 0}));
        }
        Event::Incoming(Packet::SubAck(ack)) => {
            let codes: Vec<u8> = ack.return_codes.iter().map(suback_code).collect();
            desk.answered(Kind::Subscribe, ack.pkid, &json!({"codes": codes}));
        }
        Event::Incoming(Packet::UnsubAck(ack)) => {
            let codes: Vec<u8> = ack.reasons.iter().map(unsuback_code).collect();
            desk.answered(Kind::Unsubscribe, ack.pkid, &json!({"codes": codes}));
        }
        Event::Incoming(Packet::Publish(p)) => {
            let props = p.properties.unwrap_or_default();
            let mut topic = String::from_utf8_lossy(&p.topic).into_owned();
            // The library tells the packet as it came, before it looks the alias up.
            match props.topic_alias {
                Some(alias) if topic.is_empty() => {
                    topic = aliases.get(&alias).cloned().unwrap_or_default();
                }
                Some(alias) => drop(aliases.insert(alias, topic.clone())),
                None => {}
            }
            say(&json!({
                "ev": "message", "topic": topic, "payload": desk::spelled(&p.payload),
                "qos": p.qos as u8, "retain": p.retain, "dup": p.dup, "props": carried(&props),
            }));
        }
        _ => {}
    }
}

fn put(out: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(name.to_owned(), value.into());
    }
}

fn granted(props: &ConnAckProperties) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "session_expiry", props.session_expiry_interval);
    put(&mut out, "receive_max", props.receive_max);
    put(&mut out, "packet_max", props.max_packet_size);
    put(&mut out, "alias_max", props.topic_alias_max);
    put(&mut out, "assigned_id", props.assigned_client_identifier.clone());
    put(&mut out, "server_keepalive", props.server_keep_alive);
    put(&mut out, "reason", props.reason_string.clone());
    put(&mut out, "qos_max", props.max_qos);
    put(&mut out, "retain_ok", props.retain_available);
    out
}

fn carried(props: &PublishProperties) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "payload_format", props.payload_format_indicator);
    put(&mut out, "expiry", props.message_expiry_interval);
    put(&mut out, "alias", props.topic_alias);
    put(&mut out, "content_type", props.content_type.clone());
    put(&mut out, "response_topic", props.response_topic.clone());
    put(&mut out, "correlation", props.correlation_data.as_ref().map(|d| desk::spelled(d)));
    let user: Vec<Value> = props.user_properties.iter().map(|(k, v)| json!([k, v])).collect();
    put(&mut out, "user", (!user.is_empty()).then_some(user));
    let ids = props.subscription_identifiers.clone();
    put(&mut out, "sub_ids", (!ids.is_empty()).then_some(ids));
    out
}

fn puback_code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0,
        PubAckReason::NoMatchingSubscribers => 0x10,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    }
}

fn pubrec_code(reason: PubRecReason) -> u8 {
    match reason {
        PubRecReason::Success => 0,
        PubRecReason::NoMatchingSubscribers => 0x10,
        PubRecReason::UnspecifiedError => 0x80,
        PubRecReason::ImplementationSpecificError => 0x83,
        PubRecReason::NotAuthorized => 0x87,
        PubRecReason::TopicNameInvalid => 0x90,
        PubRecReason::PacketIdentifierInUse => 0x91,
        PubRecReason::QuotaExceeded => 0x97,
        PubRecReason::PayloadFormatInvalid => 0x99,
    }
}

fn suback_code(reason: &SubscribeReasonCode) -> u8 {
    match reason {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => 0x80,
        SubscribeReasonCode::ImplementationSpecific => 0x83,
        SubscribeReasonCode::NotAuthorized => 0x87,
        SubscribeReasonCode::TopicFilterInvalid => 0x8f,
        SubscribeReasonCode::PkidInUse => 0x91,
        SubscribeReasonCode::QuotaExceeded => 0x97,
        SubscribeReasonCode::SharedSubscriptionsNotSupported => 0x9e,
        SubscribeReasonCode::SubscriptionIdNotSupported => 0xa1,
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => 0xa2,
    }
}

fn unsuback_code(reason: &UnsubAckReason) -> u8 {
    match reason {
        UnsubAckReason::Success => 0,
        UnsubAckReason::NoSubscriptionExisted => 0x11,
        UnsubAckReason::UnspecifiedError => 0x80,
        UnsubAckReason::ImplementationSpecificError => 0x83,
        UnsubAckReason::NotAuthorized => 0x87,
        UnsubAckReason::TopicFilterInvalid => 0x8f,
        UnsubAckReason::PacketIdentifierInUse => 0x91,
    }
}
