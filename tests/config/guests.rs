//! Clients without a name beside users with passwords, as mosquitto has them and as we have them.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use spindle::proto::mqtt::Packet;

use super::mqtt::Mqtt;
use super::process::{Scratch, Spindle};
use super::{Client, Other, come, run};

const ACL: &str = "topic readwrite lobby/#\nuser ann\ntopic readwrite #\n\
                   pattern readwrite of/%c/#\npattern readwrite own/%u/#\n";

/// Who comes in, and what a guest publishes that ann hears; without and with rules.
const EXPECTED: [(&str, bool, bool); 10] = [
    ("guest", true, true),
    ("ann", true, true),
    ("wrong", false, false),
    ("eve", false, false),
    ("lobby/x", true, true),
    ("of/one/x", true, true),
    ("of/two/x", true, false),
    ("own/x", true, false),
    ("own//x", true, false),
    ("else", true, false),
];

#[test]
fn whoever_names_no_user_is_a_guest_where_mosquitto_has_it_so() {
    let dir = Scratch::new("guests");
    let path = |name: &str| dir.join(name).display().to_string();
    std::fs::write(path("acl"), ACL).unwrap();
    std::fs::write(path("pw"), format!("ann:{}\n", salted("secret"))).unwrap();
    for ruled in [false, true] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let rules = if ruled { format!("acl_file {}\n", path("acl")) } else { String::new() };
        let conf = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npassword_file {}\n{rules}",
            path("pw")
        );
        std::fs::write(path("m.conf"), conf).unwrap();
        let users = format!("users-{ruled}.toml");
        let words = ["import", "mosquitto", "m.conf", "--users-out", &users];
        let (code, toml, notes) = run(&dir, &words);
        assert_eq!(code, 0, "{notes}");
        assert!(!notes.contains("allow_anonymous"), "{notes}");
        std::fs::write(path("x.toml"), &toml).unwrap();
        let expected = EXPECTED.map(|(name, free, held)| (name, if ruled { held } else { free }));
        match theirs(&path("m.conf"), &address) {
            Some(theirs) => assert_eq!(theirs, expected, "mosquitto itself"),
            None => println!("mosquitto itself could not be started; only our side was asked"),
        }
        let listen = format!("mqtt://{address}");
        let flags = ["-c", &path("x.toml"), "--listen", &listen];
        let mut broker = Spindle::start(&dir.join(&format!("data-{ruled}")), &flags);
        broker.hear("listening ");
        assert_eq!(asked(&address), expected);
        assert_eq!(broker.stop(), 0);
    }
}

/// What mosquitto says with this configuration, if there is one.
fn theirs(conf: &str, address: &str) -> Option<Vec<(&'static str, bool)>> {
    let child = Command::new("mosquitto").args(["-c", conf]).stderr(Stdio::null()).spawn().ok()?;
    let _other = Other(child);
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(asked(address))
}

fn asked(address: &str) -> Vec<(&'static str, bool)> {
    let ann = Some(("ann", "secret"));
    let (wrong, eve) = (Some(("ann", "x")), Some(("eve", "x")));
    let tries = [("guest", None), ("ann", ann), ("wrong", wrong), ("eve", eve)];
    let mut all: Vec<(&str, bool)> =
        tries.into_iter().map(|(name, user)| (name, come(address, name, user).1 == 0)).collect();
    let ((mut from, _), (mut to, _)) = (come(address, "one", None), come(address, "two", ann));
    to.subscribe("#");
    for (topic, ..) in &EXPECTED[tries.len()..] {
        all.push((*topic, carries(&mut from, &mut to, topic)));
    }
    all
}

/// Does what `from` publishes to a topic reach `to`, who hears everything? A second message, which
/// always does, ends the wait.
fn carries(from: &mut Client, to: &mut Client, topic: &str) -> bool {
    from.stream.publish(topic, b"asked");
    from.stream.publish("lobby/end", b"end");
    let mut found = false;
    loop {
        match to.hear() {
            Some(Packet::Publish(message)) if message.payload == "end" => return found,
            Some(Packet::Publish(_)) => found = true,
            other => panic!("no message but {other:?}"),
        }
    }
}

/// A password as mosquitto 2.0 keeps it: PBKDF2 over SHA-512.
fn salted(password: &str) -> String {
    let rounds = std::num::NonZeroU32::new(101).unwrap();
    let (salt, mut hash) = ([7; 12], [0; 64]);
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA512;
    ring::pbkdf2::derive(algorithm, rounds, &salt, password.as_bytes(), &mut hash);
    let base64 = spindle::base::base64::encode;
    format!("$7$101${}${}", base64(&salt), base64(&hash))
}
