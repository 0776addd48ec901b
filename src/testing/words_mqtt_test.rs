//! Floor 5. The words of MQTT against the examples in the standard, and against themselves.

use super::heard_mqtt::{Vars, agree, describe, fill, missing};
use super::words::unhex;
use super::words_mqtt::{Line, encode};

fn bytes(level: u8, words: &str) -> Vec<u8> {
    let said = Line::parse(words).and_then(|line| encode(&line, level));
    said.unwrap_or_else(|why| panic!("{words}: {why}"))
}

fn hex(digits: &str) -> Vec<u8> {
    unhex(&digits.replace(' ', "")).unwrap()
}

#[test]
fn examples_of_the_standard_come_out() {
    // Table 2.4: the borders of the remaining length.
    for (len, field) in [
        (0, "00"),
        (127, "7f"),
        (128, "80 01"),
        (16_383, "ff 7f"),
        (16_384, "80 80 01"),
        (2_097_151, "ff ff 7f"),
        (2_097_152, "80 80 80 01"),
        (268_435_455, "ff ff ff 7f"),
    ] {
        if len > 3_000_000 {
            continue;
        }
        let packet = bytes(4, &format!("ping more=\"x\"*{len}"));
        let field = hex(field);
        assert_eq!(packet[1..=field.len()], field, "{len}");
        assert_eq!(packet.len(), 1 + field.len() + len);
        assert_eq!(missing(&packet), Ok(0));
        assert_eq!(missing(&packet[..1]), Ok(1));
    }
    // Figure 3.6 (3.1.1) and figure 3-6 (5.0): a variable header of CONNECT.
    let words = "connect id= clean keep=10 will= wq=1 user=u pass=p";
    assert_eq!(bytes(4, words)[2..12], hex("00 04 4d 51 54 54 04 ce 00 0a"));
    let five = bytes(5, &format!("{words} session-expiry=10"));
    assert_eq!(five[2..18], hex("00 04 4d 51 54 54 05 ce 00 0a 05 11 00 00 00 0a"));
    // Section 1.5.4: the text `A` and U+2A6D4.
    assert_eq!(bytes(4, "unsub 1 A\u{2a6d4}")[4..], hex("00 05 41 f0 aa 9b 94"));
    // Figures 3.11, 3.22, 3.30: topic and id of a PUBLISH, the filters of a SUBSCRIBE and of an
    // UNSUBSCRIBE.
    assert_eq!(bytes(4, "pub q1 id=10 a/b"), hex("32 07 00 03 61 2f 62 00 0a"));
    assert_eq!(bytes(5, "pub q1 id=10 a/b"), hex("32 08 00 03 61 2f 62 00 0a 00"));
    let filters = "00 03 61 2f 62 01 00 03 63 2f 64 02";
    assert_eq!(bytes(4, "sub 10 a/b q1 c/d q2"), hex(&format!("82 0e 00 0a {filters}")));
    assert_eq!(bytes(5, "sub 10 a/b q1 c/d q2"), hex(&format!("82 0f 00 0a 00 {filters}")));
    assert_eq!(bytes(4, "unsub 1 a/b c/d"), hex("a2 0c 00 01 00 03 61 2f 62 00 03 63 2f 64"));
    assert_eq!(bytes(4, "suback 1 0 2 0x80"), hex("90 05 00 01 00 02 80"));
}

#[test]
fn every_packet_is_said_as_the_standard_has_it() {
    for (level, words, wanted) in [
        (3, "connect id=c clean", "10 0f 00 06 4d 51 49 73 64 70 03 02 00 00 00 01 63"),
        (4, "connack 0 present", "20 02 01 00"),
        (5, "connack 0x84", "20 03 00 84 00"),
        (5, "connack 0 max-qos=1 assigned=x", "20 09 00 00 06 24 01 12 00 01 78"),
        (4, "pub dup retain q2 id=1 t \"m\"", "3d 06 00 01 74 00 01 6d"),
        (5, "pub \"\" \"m\" alias=2", "30 07 00 00 03 23 00 02 6d"),
        (5, "puback 3", "40 02 00 03"),
        (5, "puback 3 0x10", "40 03 00 03 10"),
        (5, "pubrec 3 0x97 prop=a:b", "50 0b 00 03 97 07 26 00 01 61 00 01 62"),
        (5, "pubrel 3 long", "62 04 00 03 00 00"),
        (5, "pubcomp 3 0x92", "70 03 00 03 92"),
        (5, "sub 1 a nolocal rap rh=2 q1 sub-id=200", "82 0a 00 01 03 0b c8 01 00 01 61 2d"),
        (5, "unsub 1 a", "a2 06 00 01 00 00 01 61"),
        (5, "unsuback 1 0 0x11", "b0 05 00 01 00 00 11"),
        (4, "unsuback 1", "b0 02 00 01"),
        (4, "ping", "c0 00"),
        (4, "pong", "d0 00"),
        (5, "disconnect", "e0 00"),
        (5, "disconnect 4 session-expiry=9", "e0 07 04 05 11 00 00 00 09"),
        (5, "auth 0x18 auth-method=x", "f0 06 18 04 15 00 01 78"),
        (4, "puback 3 cut=1 fixed=0x44 more=ab", "44 03 00 61 62"),
        (5, "pub t raw=\"\\x7f\\0\" plen=9", "30 06 00 01 74 09 7f 00"),
        (4, "10 'MQTT' 00*3", "10 4d 51 54 54 00 00 00"),
    ] {
        assert_eq!(bytes(level, words), hex(wanted), "{words}");
    }
}

#[test]
fn what_a_server_says_is_read_back_in_the_same_words() {
    for (level, words) in [
        (4, "connack 0 present"),
        (3, "connack 5"),
        (5, "connack 0 session-expiry=9 assigned=x receive-max=2 prop=a:b prop=a:c"),
        (4, "pub q2 id=7 dup retain a/b \"body\""),
        (5, "pub a \"\" format=1 expiry=9 corr=\"\\x00\\xff\" sub-id=1 sub-id=300 prop=k:v"),
        (5, "puback 1 0x97 reason-text=why"),
        (4, "pubrec 1"),
        (4, "pubrel 1"),
        (4, "pubcomp 1"),
        (5, "suback 9 0 1 2 0x87"),
        (5, "unsuback 9 0 0x11"),
        (4, "unsuback 9"),
        (4, "pong"),
        (5, "disconnect 0x8e server-ref=elsewhere"),
        (5, "auth 0x18 auth-method=x auth-data=y"),
    ] {
        let packet = bytes(level, words);
        let line = describe(&packet, level).unwrap_or_else(|why| panic!("{words}: {why}"));
        assert_eq!(encode(&line, level).as_ref(), Ok(&packet), "{line}");
        assert_eq!(bytes(level, &line.to_string()), packet, "{line}");
        agree(&Line::parse(words).unwrap(), &line, &mut Vars::new()).unwrap();
    }
}

#[test]
fn what_a_server_may_not_say_is_refused() {
    for (level, packet) in [
        (4, "20 02 02 00"),                      // a reserved flag of CONNACK
        (4, "20 02 01 01"),                      // a session behind a refusal
        (4, "20 02 00 06"),                      // no such code before 5.0
        (5, "20 03 00 04 00"),                   // a code of 3.1.1 in 5.0
        (5, "20 06 00 00 03 23 00 01"),          // an alias in CONNACK
        (5, "20 09 00 00 06 21 00 01 21 00 01"), // receive maximum twice
        (5, "20 06 00 00 03 21 00 00"),          // receive maximum 0
        (4, "36 05 00 01 74 00 01"),             // QoS 3
        (4, "38 03 00 01 74"),                   // DUP at QoS 0
        (4, "32 05 00 01 74 00 00"),             // packet id 0
        (4, "30 03 00 01 23"),                   // a wildcard in a topic
        (5, "30 03 00 00 00"),                   // no topic and no alias
        (4, "30 04 00 02 c0 af"),                // no UTF-8
        (4, "30 83 00 00 01 74"),                // a length with a byte too many
        (4, "60 02 00 01"),                      // PUBREL with flags 0
        (4, "40 03 00 01 00"),                   // a reason before 5.0
        (5, "e0 07 80 05 11 00 00 00 09"),       // a server sets no session expiry
        (5, "e0 01 04"),                         // only clients ask for their will
        (4, "e0 00"),                            // no DISCONNECT before 5.0
        (4, "c0 00"),                            // servers do not ask
        (4, "82 06 00 01 00 01 61 00"),          // nor subscribe
    ] {
        assert!(describe(&hex(packet), level).is_err(), "{packet}");
    }
}

#[test]
fn expectations_are_as_strict_as_they_say() {
    for (agrees, wanted, said) in [
        (true, "connack 0", "connack 0 max-qos=1"),
        (false, "connack 0 only", "connack 0 max-qos=1"),
        (true, "connack 0 max-qos=*", "connack 0 max-qos=1"),
        (false, "connack 0 max-qos=*", "connack 0"),
        (false, "connack 0 !max-qos", "connack 0 max-qos=1"),
        (true, "connack 0 receive-max=1..9", "connack 0 receive-max=9"),
        (false, "connack 0 receive-max=1..9", "connack 0 receive-max=10"),
        (false, "connack 0", "connack 0 present"),
        (true, "disconnect 0x81|0x82", "disconnect 0x82"),
        (false, "disconnect 0x81", "disconnect 0x82"),
        (true, "puback 1", "puback 1 0x10"),
        (false, "puback 1", "puback 1 0x87"),
        (false, "puback 1 0x10", "puback 1"),
        (true, "puback 1 0", "puback 1"),
        (false, "puback 1", "puback 2"),
        (true, "suback 1 0 1", "suback 1 0 1"),
        (false, "suback 1 0", "suback 1 0 1"),
        (true, "pub q1 a \"x\"", "pub q1 id=9 a \"x\""),
        (false, "pub q1 id=8 a \"x\"", "pub q1 id=9 a \"x\""),
        (false, "pub q1 a \"x\"", "pub q2 id=9 a \"x\""),
        (false, "pub a \"x\"", "pub retain a \"x\""),
        (false, "pub a \"x\"", "pub a \"y\""),
        (true, "pub a", "pub a \"\""),
        (false, "pub a \"x\"", "pub a \"x\" prop=k:v"),
        (true, "pub a \"x\" prop=k:v prop=j:w", "pub a \"x\" prop=k:v prop=j:w"),
        (false, "pub a \"x\" prop=k:v prop=j:w", "pub a \"x\" prop=j:w prop=k:v"),
        (true, "pub a \"x\" sub-id=2 sub-id=1", "pub a \"x\" sub-id=1 sub-id=2"),
        (false, "pub a \"x\" sub-id=1", "pub a \"x\" sub-id=1 sub-id=1"),
    ] {
        let (line, said) = (Line::parse(wanted).unwrap(), Line::parse(said).unwrap());
        let said = describe(&encode(&said, 5).unwrap(), 5).unwrap();
        assert_eq!(agree(&line, &said, &mut Vars::new()).is_ok(), agrees, "{wanted} / {said}");
    }
}

#[test]
fn a_name_means_what_it_was_given() {
    let mut vars = Vars::new();
    let wanted = Line::parse("pub q2 id=@x a \"m\"").unwrap();
    let said = describe(&bytes(4, "pub q2 id=77 a \"m\""), 4).unwrap();
    agree(&wanted, &said, &mut vars).unwrap();
    let mut answer = Line::parse("pubrec @x").unwrap();
    fill(&mut answer, &vars, None);
    assert_eq!(encode(&answer, 4).unwrap(), bytes(4, "pubrec 77"));
    assert!(encode(&Line::parse("pubrec @y").unwrap(), 4).is_err());
    let quoted = Line::parse("pub a \"@x\"").unwrap();
    assert!(quoted.items.iter().all(|item| !item.var));
}
