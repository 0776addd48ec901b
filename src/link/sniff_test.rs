//! Floor 1. First bytes of everybody, and of nobody.

use super::Flaw;
use super::sniff::{Carrier, First, Spoken, sniff};

/// At every length: short, until it is decided as said.
fn decided_at(input: &[u8], at: usize, what: Result<First, Flaw>) {
    for len in 0..input.len() {
        let wanted = if len < at { Ok(First::Short) } else { what };
        assert_eq!(sniff(&input[..len]), wanted, "{len} bytes of {input:x?}");
    }
}

#[test]
fn the_name_in_the_first_packet_decides() {
    decided_at(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c", 8, Ok(First::Plain(Spoken::Mqtt)));
    decided_at(b"\x10\x10\0\x06MQIsdp\x03\x02", 10, Ok(First::Plain(Spoken::Mqtt)));
    decided_at(b"\x10\x4f\0\x04PRX1\x0f\0\x3c", 8, Ok(First::Plain(Spoken::Prx1)));
    decided_at(b"\x10\xff\xff\x7f\0\x04MQTT\x05", 10, Ok(First::Plain(Spoken::Mqtt)));
}

#[test]
fn rawsocket_is_known_by_one_byte() {
    decided_at(b"\x7f\xf1\0\0", 1, Ok(First::Plain(Spoken::Wamp(Carrier::Raw))));
}

#[test]
fn http_is_a_method_and_a_space() {
    decided_at(b"GET / HTTP/1.1\r\n", 4, Ok(First::Http));
    decided_at(b"OPTIONS * HTTP/1.1", 8, Ok(First::Http));
    decided_at(b"ABCDEFGHIJKLMNOPQRST ", 17, Err(Flaw::FirstBytes));
    decided_at(b"GETx", 3 + 1, Err(Flaw::FirstBytes));
}

#[test]
fn everything_else_is_refused_at_its_first_wrong_byte() {
    decided_at(b"\x16\x03\x01\x02\0", 2, Err(Flaw::TlsHere));
    decided_at(b"\x16\x04", 2, Err(Flaw::FirstBytes));
    decided_at(b"\x10\x10\0\x04MQTX", 8, Err(Flaw::FirstBytes));
    decided_at(b"\x10\x10\0\x05", 4, Err(Flaw::FirstBytes));
    decided_at(b"\x10\x80\x80\x80\x80\x01", 5, Err(Flaw::FirstBytes));
    decided_at(b"\x20\x02\0\0", 1, Err(Flaw::FirstBytes));
    decided_at(b"PROXY TCP4 ", 6, Ok(First::Http));
    decided_at(b"\xff\xff", 1, Err(Flaw::FirstBytes));
}
