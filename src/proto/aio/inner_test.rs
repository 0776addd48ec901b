//! Floor 3. What connectors say among themselves, from either side, and what is refused of it.

use bytes::Bytes;

use super::inner::{
    ACK, CERTIFICATE, HELLO, HELLO_TLS, Hidden, Meaning, PING, PUBSUB, Side, TOKEN, frame, meaning,
};
use super::names::Name;
use super::packet::{Frame, Id, Text};
use crate::proto::fault::FaultKind;

fn ann() -> Name {
    Name::new(&Text::from("ann")).expect("a name")
}

/// Everything that can be said, and by whom.
fn all() -> Vec<(Meaning, Option<Side>)> {
    let (client, server) = (Some(Side::Client), Some(Side::Server));
    let (crt, key) = (Text::from("-----BEGIN\n"), Hidden::from("secret\n"));
    vec![
        (Meaning::Hello { tls: false, name: ann() }, client),
        (Meaning::Hello { tls: true, name: ann() }, client),
        (Meaning::GetCertificate(ann()), client),
        (Meaning::SetCertificate { crt, key }, server),
        (Meaning::GetToken(ann()), client),
        (Meaning::SetToken("0123".into()), server),
        (Meaning::Authenticate(ann(), "0123".into()), client),
        (Meaning::Welcome, server),
        (Meaning::Ack(Id::from(1)), None),
        (Meaning::Ping(Id::from("p")), None),
        (Meaning::Pong(Id::from(7)), None),
        (Meaning::Subscribe(vec!["a".into(), "\u{e9}".into()]), client),
        (Meaning::Unsubscribe(vec![]), client),
        (Meaning::Publish("a".into()), client),
    ]
}

#[test]
fn what_is_meant_is_understood_on_the_side_that_may_hear_it() {
    for (meant, by) in all() {
        let said = frame(&meant, "ann").expect("it can be said");
        for from in [Side::Client, Side::Server] {
            let heard = meaning(&said, from);
            if by.is_none_or(|by| by == from) {
                assert_eq!(heard, Ok(meant.clone()));
            } else {
                let kind = heard.expect_err("it is for the other side").kind;
                let wanted = [FaultKind::AioDirection, FaultKind::AioCommand];
                assert!(wanted.contains(&kind), "{meant:?} {kind:?}");
            }
        }
    }
    let hello = frame(&Meaning::Hello { tls: false, name: ann() }, "").expect("it can be said");
    assert_eq!(meaning(&hello, Side::Server), Err(FaultKind::AioDirection.fault()));
    for meant in [Meaning::Message, Meaning::Unknown] {
        assert_eq!(frame(&meant, "ann"), None);
    }
}

#[test]
fn a_type_is_a_topic_unless_it_begins_with_the_sign() {
    for (kind, meant) in [
        ("any", Meaning::Message),
        ("", Meaning::Message),
        ("a_b", Meaning::Message),
        ("_later", Meaning::Unknown),
        ("_", Meaning::Unknown),
    ] {
        assert_eq!(meaning(&Frame::of(kind, "a"), Side::Client), Ok(meant), "{kind}");
    }
}

#[test]
fn a_hello_says_hello_and_a_good_name() {
    for kind in [HELLO, HELLO_TLS] {
        let hello =
            |name, data: &'static str| meaning(&Frame::of(kind, name).with(data), Side::Client);
        assert!(hello("ann", "hello").is_ok());
        for bad in ["", "Hello", "hello ", "hello\n"] {
            assert_eq!(hello("ann", bad), Err(FaultKind::AioHello.fault()), "{bad}");
        }
        assert_eq!(hello("../ann", "hello"), Err(FaultKind::AioName.fault()));
        assert_eq!(hello("default1", "hello"), Err(FaultKind::AioName.fault()));
    }
    let get = |kind, name, data: &'static str| {
        meaning(&Frame::of(kind, name).with(data), Side::Client).map(drop)
    };
    let name = Err(FaultKind::AioName.fault());
    assert_eq!(get(CERTIFICATE, "a;b", "{\"cmd\": \"get_new_certificate\"}"), name);
    assert_eq!(get(TOKEN, "a;b", "{\"cmd\": \"get_new_token\"}"), name);
    assert_eq!(get(TOKEN, "a;b", "{\"cmd\": \"authenticate\", \"token\": \"x\"}"), name);
}

#[test]
fn data_that_is_no_command_of_its_type_is_refused() {
    let command = Err(FaultKind::AioCommand.fault());
    let say = |kind, data: &str, from| {
        meaning(&Frame::of(kind, "ann").with(Bytes::copy_from_slice(data.as_bytes())), from)
    };
    for bad in [
        "",
        "{}",
        "{\"cmd\": 1}",
        "{\"cmd\": \"set_new_token\"}",
        "{\"cmd\": \"authenticate\"}",
        "{\"cmd\": \"authenticate\", \"token\": 1}",
        "{\"cmd\": \"get_new_token\"} x",
        "{\"cmd\": \"set_new_certificate\", \"crt\": \"x\"}",
        "{\"result\": \"failure\"}",
        "[[[[1]]]]",
    ] {
        for kind in [TOKEN, CERTIFICATE] {
            for from in [Side::Client, Side::Server] {
                assert_eq!(say(kind, bad, from), command, "{kind} {bad}");
            }
        }
    }
    let long = format!("{{\"cmd\": \"get_new_token\"{}}}", " ".repeat(1 << 16));
    assert_eq!(say(TOKEN, &long, Side::Client), command, "it is small");
    let many = format!("{{\"subscribe_message_types\": [\"a\"{}]}}", ",\"a\"".repeat(5_000));
    for bad in [
        "null",
        "{\"subscribe_message_types\": \"a\"}",
        "{\"subscribe_message_types\": [1]}",
        "{\"unsubscribe_message_types\": {}}",
        "{\"subscribe_message_types\": [], \"unsubscribe_message_types\": []}",
        &many,
    ] {
        assert_eq!(say(PUBSUB, bad, Side::Client), command, "{bad}");
    }
}

#[test]
fn what_cannot_be_answered_is_harmless_and_said_to_be() {
    let mut ping = Frame::of(PING, "a");
    ping.header.await_response = true;
    assert_eq!(meaning(&ping, Side::Client), Err(FaultKind::AioPing.fault()));
    ping.header.await_response = false;
    ping.header.request_id = Some(Id::from(1));
    assert_eq!(meaning(&ping, Side::Client), Err(FaultKind::AioPing.fault()));
    let ack = meaning(&Frame::of(ACK, "a"), Side::Client);
    assert_eq!(ack, Err(FaultKind::AioAck.fault()));
    let mut zero = Frame::of(ACK, "a");
    zero.header.transport_id = Some(Id::from(0));
    assert_eq!(meaning(&zero, Side::Server), Ok(Meaning::Ack(Id::from(0))), "0 is a number");
}

#[test]
fn keys_and_tokens_are_in_no_log() {
    for (meant, _) in all() {
        let text = format!("{meant:?}");
        assert!(!text.contains("secret") && !text.contains("0123"), "{text}");
    }
    assert_eq!(Hidden::from("x").reveal(), "x");
}
