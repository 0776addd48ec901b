//! The verbs of aioconnectors: how each ends, and what it prints. Servers are scripted here.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use bytes::BytesMut;
use spindle::proto::aio::inner::{self, Meaning, Side};
use spindle::proto::aio::{Frame, encode_vec, meaning, next};

use super::{Folder, broker_that_says, spindle};

/// A server that lets everybody in, answers pings, acknowledgements and questions, says `greeting`
/// behind the first ping, and hangs up when it is told `bye`.
fn server(greeting: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap(), greeting));
        }
    });
    address
}

fn serve(mut stream: TcpStream, greeting: &str) {
    let mut input = BytesMut::new();
    let mut greeted = greeting.is_empty();
    let mut chunk = [0; 4_096];
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        input.extend_from_slice(&chunk[..len]);
        while let Some(frame) = next(&mut input, 1 << 20).unwrap() {
            if &frame.data[..] == b"bye" {
                return;
            }
            let mut answers = Vec::new();
            match meaning(&frame, Side::Client).unwrap() {
                Meaning::Ping(id) => {
                    let pong = inner::frame(&Meaning::Pong(id), "s").unwrap();
                    answers.push(Frame { data: frame.data.clone(), ..pong });
                    if !greeted {
                        answers.push(Frame::of("any", "s").with(greeting.to_owned()));
                        greeted = true;
                    }
                }
                Meaning::Message if frame.header.await_response => {
                    let mut answer = Frame::of("any", "s").with("an answer");
                    answer.header.response_id = frame.header.request_id.clone();
                    answers.push(answer);
                }
                _ => {}
            }
            if let Some(id) = frame.header.transport_id {
                answers.push(inner::frame(&Meaning::Ack(id), "s").unwrap());
            }
            for answer in answers {
                // Who has left hears nothing.
                let _ = stream.write_all(&encode_vec(&answer).unwrap());
            }
        }
    }
}

/// How the verbs end, each code once.
pub(super) fn codes() -> Vec<(&'static str, &'static str)> {
    let address = server("");
    let babbles = format!("127.0.0.1:{}", broker_that_says(b"\0\0\0\0 no frame"));
    let wide = "x".repeat(65_535);
    let send = |at, more: &[&'static str]| [&["aio", "send", "-L", at][..], more].concat();
    let table: [(&str, i32, Vec<&str>); 6] = [
        ("1", 1, send("127.0.0.1:1", &["x"])),
        ("2", 2, send(&babbles, &["x"])),
        ("5", 5, vec!["aio", "send", "-L", &address, "x", "--tag", &wide]),
        ("7", 7, send(&address, &["bye"])),
        ("8", 8, send(&address, &["--certificates", "/nonexistent"])),
        ("27", 27, vec!["aio", "receive", "-L", &address, "-W", "1"]),
    ];
    for (code, expected, args) in &table {
        let done = spindle(args, b"");
        assert_eq!(done.status.code(), Some(*expected), "aio {code} {:.60?}: {done:?}", args);
    }
    table.iter().map(|(code, ..)| ("aio", *code)).collect()
}

/// What is printed by a command line that ends well.
fn said(args: &[&str], stdin: &[u8]) -> String {
    let done = spindle(args, stdin);
    assert_eq!(done.status.code(), Some(0), "{args:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

fn document(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&said(args, b"")).unwrap()
}

#[test]
fn every_verb_that_connects_says_what_it_has_done() {
    let address = server("\u{1b}[2Jhello");
    let at = |verb: &'static str| vec!["aio", verb, "-L", &address, "-n", "me"];
    let with = |verb, more: &[&'static str]| [at(verb), more.to_vec()].concat();
    let ping = document(&with("ping", &["-C", "1", "--json"]));
    assert_eq!((&ping["data"], &ping["same"]), (&"PING 11111".into(), &true.into()), "{ping}");
    assert!(said(&with("ping", &["-C", "1"]), b"").starts_with("PING 11111 after "));
    assert_eq!(said(&with("send", &["x"]), b""), "");
    assert_eq!(said(&with("send", &["x", "--ack"]), b""), "");
    assert_eq!(said(&with("send", &["-", "--ask"]), b"a question"), "an answer\n");
    let answer = document(&with("send", &["x", "--ask", "--json"]));
    assert_eq!(answer["data"], "an answer");
    assert_eq!(document(&with("send", &["x", "--json"])), serde_json::json!({ "messages": 1 }));
    let line = said(&with("receive", &["-C", "1"]), b"");
    assert_eq!(line, "any \\u{1b}[2Jhello\n", "no terminal obeys it");
    let received = document(&with("receive", &["-C", "1", "--json"]));
    assert_eq!(received["header"]["message_type"], "any");
    let drilled = said(&with("test-receive-messages", &["-C", "1"]), b"");
    assert!(
        drilled.starts_with("RECEIVED MESSAGE {") && drilled.contains("With data"),
        "{drilled}"
    );
    for verb in ["test-send-messages", "test-publish-messages"] {
        let sent = said(&with(verb, &["-C", "2", "-i", "1", "-t", "a,b"]), b"");
        assert_eq!(sent, "sent a 1\nsent b 1\n");
        let sent = document(&with(verb, &["-C", "1", "--json"]));
        assert_eq!(sent, serde_json::json!({ "sent": "any", "index": 1 }));
    }
}

#[test]
fn a_configuration_says_what_no_flag_says() {
    let folder = Folder::new("aio-config");
    let path = folder.0.join("client.json");
    let (host, port) = ("127.0.0.1", server("").rsplit_once(':').unwrap().1.to_owned());
    let text = format!(
        "{{\"is_server\": false, \"use_ssl\": false, \"server_sockaddr\": [\"{host}\", {port}]}}"
    );
    std::fs::write(&path, text).unwrap();
    let config = path.to_str().unwrap();
    said(&["aio", "ping", config, "-C", "1"], b"");
    said(&["aio", "send", "x", "--like", config], b"");
    let elsewhere = spindle(&["aio", "ping", config, "-C", "1", "-L", "127.0.0.1:1"], b"");
    assert_eq!(elsewhere.status.code(), Some(1));
    std::fs::write(&path, "{}").unwrap();
    let server = spindle(&["aio", "ping", config], b"");
    assert_eq!(server.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&server.stderr).contains("is_server"), "{server:?}");
    let template = said(&["aio", "print-config-templates"], b"");
    std::fs::write(&path, template).unwrap();
    let unready = spindle(&["aio", "ping", config, "-L", "127.0.0.1:1"], b"");
    assert!(unready.status.code() == Some(8), "its certificates are not there: {unready:?}");
}

#[test]
fn certificates_are_made_once_and_their_keys_are_secret() {
    let folder = Folder::new("aio-certificates");
    let dir = folder.0.join("made");
    let args = ["aio", "create-certificates", dir.to_str().unwrap()];
    assert!(said(&args, b"").starts_with("made "));
    let base = dir.join("certificates");
    for key in ["server/server-cert/server.key", "client/client-certs/default.key"] {
        let mode = std::fs::metadata(base.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let read = |path: &str| std::fs::read_to_string(base.join(path)).unwrap();
    assert_eq!(read("server/server-cert/server.pem"), read("client/server-cert/server.pem"));
    let default = read("client/client-certs/default.pem");
    assert_eq!(read("server/client-certs/default.pem"), default);
    let links: Vec<_> =
        std::fs::read_dir(base.join("server/client-certs/symlinks")).unwrap().collect();
    let link = links[0].as_ref().unwrap();
    assert!(link.file_name().to_str().unwrap().ends_with(".0"));
    assert_eq!(std::fs::read_to_string(link.path()).unwrap(), default);
    let again = spindle(&args, b"");
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(read("client/client-certs/default.pem"), default);
    let other = folder.0.join("other");
    let made = document(&["aio", "create-certificates", other.to_str().unwrap(), "--json"]);
    assert_eq!(made["directory"], other.join("certificates").to_str().unwrap());
}
