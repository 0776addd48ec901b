//! Floor 6. The library as its users have it: a broker in a thread, handles, and the examples.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use spindle::broker::{Error, Refused};
use spindle::client::prx1::{self, CallOptions as Asking, Reason, Said, Share};
use spindle::client::wamp::{CallOptions, PublishOptions, RegisterOptions, SubscribeOptions};
use spindle::proto::prx1::{Connect, Packet, Publish, encode_vec};
use spindle::value::Value;
use spindle::{Broker, Durability, Handle, Speak};

const LONG: Duration = Duration::from_secs(30);

fn run(broker: Broker) -> (Handle, JoinHandle<Result<(), Error>>) {
    let handle = broker.handle();
    (handle, std::thread::spawn(move || broker.run()))
}

fn stop(handle: &Handle, running: JoinHandle<Result<(), Error>>) {
    handle.stop();
    running.join().unwrap().unwrap();
}

#[test]
fn a_program_publishes_to_itself_in_order() {
    let (handle, running) = run(Broker::builder().memory().build().unwrap());
    let mut all = handle.subscribe("a/*", 1).unwrap();
    let receipts: Vec<_> = (0..2_000)
        .map(|n: u32| handle.publish("a/b", n.to_string(), (n % 2) as u8, false).unwrap())
        .collect();
    // Far more than the queue of a subscription holds: the rest waits in its outbox.
    for n in 0..2_000 {
        let message = all.next_for(LONG).unwrap();
        assert_eq!(message.body, n.to_string());
        assert_eq!((message.qos, message.retain, message.dup), ((n % 2) as u8, false, false));
    }
    for receipt in receipts {
        assert_eq!(receipt.wait(), Ok(1));
    }
    drop(all);
    let nobody = handle.publish("a/b", "", 1, false).unwrap();
    assert_eq!(nobody.wait(), Ok(0), "a subscription ends with its value");
    stop(&handle, running);
}

#[test]
fn what_is_no_name_is_refused_and_so_is_everything_after_the_end() {
    let (handle, running) = run(Broker::builder().memory().build().unwrap());
    assert_eq!(handle.publish("", "", 0, false).unwrap_err(), Refused::BadName);
    assert_eq!(handle.subscribe("", 0).unwrap_err(), Refused::BadName);
    let mut open = handle.subscribe("a", 0).unwrap();
    stop(&handle, running);
    assert_eq!(open.next(), None);
    assert_eq!(handle.publish("a", "", 0, false).unwrap_err(), Refused::Stopped);
    assert_eq!(handle.subscribe("a", 0).unwrap_err(), Refused::Stopped);
}

#[test]
fn a_named_subscription_is_owed_what_it_did_not_take_care_of() {
    let dir = std::env::temp_dir().join(format!("spindle-embed-{}", std::process::id()));
    let open = || Broker::builder().journal(&dir, Durability::Disk).build().unwrap();
    let (handle, running) = run(open());
    let mut jobs = handle.subscribe_as("worker", "jobs/*", 1).unwrap();
    for n in 0..4 {
        handle.publish("jobs/new", format!("{n}"), 1, false).unwrap().wait().unwrap();
    }
    handle.publish("state", "on", 1, true).unwrap().wait().unwrap();
    assert_eq!(jobs.next_for(LONG).unwrap().body, "0");
    // Asking for the next says that the first is done; the second is not.
    assert_eq!(jobs.next_for(LONG).unwrap().body, "1");
    stop(&handle, running);
    drop(jobs);

    let (handle, running) = run(open());
    let mut jobs = handle.subscribe_as("worker", "jobs/*", 1).unwrap();
    let left: Vec<Bytes> = (0..3).map(|_| jobs.next_for(LONG).unwrap().body).collect();
    assert_eq!(left, ["1", "2", "3"]);
    let kept = handle.subscribe("state", 0).unwrap().next_for(LONG).unwrap();
    assert_eq!((&kept.body[..], kept.retain), (&b"on"[..], true));
    stop(&handle, running);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn strangers_are_kept_on_this_machine_unless_somebody_decides() {
    let build =
        |open| Broker::builder().listen("0.0.0.0:0", Speak::Prx1).allow_anonymous(open).build();
    assert!(matches!(build(false), Err(Error::Exposed { .. })));
    let broker = build(true).unwrap();
    assert_ne!(broker.local_addr(0).unwrap().port(), 0);
    assert_eq!(broker.local_addr(1), None);
    let taken = broker.local_addr(0).unwrap().to_string();
    let second = Broker::builder().listen(taken, Speak::Prx1).allow_anonymous(true).build();
    assert!(matches!(second, Err(Error::Listen { .. })));
}

/// The examples stand beside the tests; whoever runs this file alone has them built first.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", name]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    Command::new(path)
}

#[test]
fn the_embedding_example_runs() {
    let out = example("embed").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("room/1/temp: 22.0"), "{said}");
}

/// An example broker that runs.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Running {
    fn start(name: &str) -> Self {
        let mut broker = example(name);
        let mut child = broker.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, stdout, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// What it had to say until it was asked to stop, and did.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success() && rest.ends_with("stopped\n"), "{rest}");
        rest
    }
}

/// Start an example broker, log in, publish, and stop it: what it answered, and what it said.
fn try_example(name: &str, user: &str, secret: &str, topic: &str) -> (Vec<u8>, String) {
    let broker = Running::start(name);
    let mut stream = broker.connect();
    let blob = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
    let connect = Connect {
        password: blob(secret),
        client_id: blob(""),
        username: blob(user),
        ..Connect::default()
    };
    let topic = Bytes::copy_from_slice(topic.as_bytes());
    let publish = Publish { qos: 1, id: 5, topic, ..Publish::default() };
    for packet in [Packet::Connect(connect), Packet::Publish(publish), Packet::Ping] {
        stream.write_all(&encode_vec(&packet).unwrap()).unwrap();
    }
    let mut answer = vec![0; 9];
    let mut len = 0;
    while len < answer.len() && !answer[..len].ends_with(&[0xd0, 0]) {
        match stream.read(&mut answer[len..]) {
            Ok(0) | Err(_) => break,
            Ok(n) => len += n,
        }
    }
    answer.truncate(len);
    (answer, broker.stop())
}

/// ConnAck, PubAck, Pong.
const WELCOME: [u8; 9] = [0x20, 1, 2, 0x60, 2, 0, 5, 0xd0, 0];
const TEST: &str = "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC";

#[test]
fn the_example_with_rules_runs_and_has_rules() {
    let (allowed, _) = try_example("acl_broker", "test", TEST, "self/inbox");
    assert_eq!(allowed, WELCOME);
    let (denied, _) = try_example("acl_broker", "test", TEST, "self/location");
    assert_ne!(denied, WELCOME);
    assert!(denied.starts_with(&WELCOME[..3]), "{denied:?}");
    let (unknown, _) = try_example("acl_broker", "test2", TEST, "self/inbox");
    assert_eq!(unknown, [0x20, 1, 1]);
}

#[test]
fn the_plain_example_runs_without_rules() {
    let (allowed, _) = try_example("plain_broker", "test", TEST, "anything/at/all");
    assert_eq!(allowed, WELCOME);
    let (unknown, _) = try_example("plain_broker", "test", "wrong", "a");
    assert_eq!(unknown, [0x20, 1, 1]);
}

#[test]
fn the_example_of_parts_runs_on_its_own_parts() {
    let (allowed, said) = try_example("subsystems_broker", "ann", "secret", "ann/says");
    assert_eq!(allowed, WELCOME);
    assert!(said.contains("ann joined"), "{said}");
    let (denied, said) = try_example("subsystems_broker", "ann", "secret", "bob/says");
    assert_ne!(denied, WELCOME);
    assert!(said.contains("publish under your own name only"), "{said}");
}

/// What an MQTT client hears, to the end of the connection or to `len` bytes.
fn hear(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut chunk = [0; 64];
    while heard.len() < len {
        match stream.read(&mut chunk) {
            Ok(n @ 1..) => heard.extend_from_slice(&chunk[..n]),
            _ => break,
        }
    }
    heard
}

#[test]
fn the_example_of_hooks_asks_and_tells_each_of_them() {
    let broker = Running::start("hooks");
    let connect = |id: &str| {
        let mut packet = b"\x10\x11\0\x04MQTT\x04\x02\0\x3c\0\x05".to_vec();
        packet.extend_from_slice(id.as_bytes());
        packet
    };
    let mut client = broker.connect();
    client.write_all(&connect("dev-1")).unwrap();
    assert_eq!(hear(&mut client, 4), [0x20, 2, 0, 0], "connect: known");
    let mut other = broker.connect();
    other.write_all(&connect("abc-1")).unwrap();
    let heard = hear(&mut other, 5);
    assert!(heard.starts_with(&[0x20, 2, 0]) && heard[3] != 0, "connect: refused {heard:?}");
    client.write_all(b"\x82\x06\0\x01\0\x01#\0\x82\x08\0\x02\0\x03a/b\0").unwrap();
    assert_eq!(hear(&mut client, 10), [0x90, 3, 0, 1, 0x80, 0x90, 3, 0, 2, 0], "subscribe");
    client.write_all(b"\x30\x09\0\x06secretx\x30\x06\0\x03a/bx").unwrap();
    assert_eq!(hear(&mut client, 8), b"\x30\x06\0\x03a/bx", "publish: one of the two");
    // Three may come at once and one in a second: some of these may not, however slow this is.
    let crowd: Vec<TcpStream> = (0..20).map(|_| broker.connect()).collect();
    drop(crowd);
    client.write_all(b"\xe0\0").unwrap();
    assert_eq!(hear(&mut client, 1), b"");
    let said = broker.stop();
    for line in [
        "accept 127.0.0.1: true",
        "accept 127.0.0.1: false",
        "connect dev-1: true",
        "connect abc-1: false",
        "subscribe by dev-1: false",
        "subscribe by dev-1: true",
        "publish by dev-1: false",
        "publish by dev-1: true",
        "close dev-1: left",
        "close a stranger: ",
        "stop, clean: true\nstopped",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn a_program_speaks_wamp_to_itself_without_a_socket() {
    let (handle, running) = run(Broker::builder().memory().build().unwrap());
    let [one, two] = [(); 2].map(|()| handle.wamp("default").connect().unwrap());
    let events = one.subscribe("a.b", SubscribeOptions::default()).unwrap();
    // Far more than there is room for between the two, both ways.
    let long = "x".repeat(300_000);
    let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    for _ in 0..4 {
        two.publish("a.b", options.clone(), long.as_str()).unwrap();
        let event = events.wait(Some(LONG)).unwrap().unwrap();
        assert_eq!(event.payload.args, [Value::Text(long.clone())]);
    }
    let served = two.register("c.d", RegisterOptions::default()).unwrap();
    let server = std::thread::spawn(move || {
        while let Some(asked) = served.wait(None).unwrap_or(None) {
            asked.reply(vec![Value::Text("done".into())]).unwrap();
        }
    });
    for _ in 0..200 {
        let said = one.call("c.d", CallOptions::default(), ()).unwrap();
        assert_eq!(said.args, [Value::Text("done".into())]);
    }
    // What the program says otherwise is heard here too.
    handle.publish("a/b", "plain", 0, false).unwrap().wait().unwrap();
    let event = events.wait(Some(LONG)).unwrap().unwrap();
    assert_eq!(event.payload.args, [Value::Text("plain".into())]);
    drop(two);
    server.join().unwrap();
    assert!(one.call("c.d", CallOptions::default(), ()).is_err(), "it left with its client");
    assert!(handle.wamp("no.such").connect().is_err());
    stop(&handle, running);
    assert!(!one.is_online() || events.wait(Some(LONG)).is_err());
    assert!(handle.wamp("default").connect().is_err());
}

/// Answer whatever is asked, until that is the end.
fn serve(service: &prx1::Service) {
    while let Some(asked) = service.next(LONG).unwrap() {
        match &asked.payload()[..] {
            b"pieces" => {
                assert!(asked.takes_pieces());
                asked.piece("1").unwrap();
                asked.piece("2").unwrap();
                asked.answer("3").unwrap();
            }
            b"fail" => asked.fail("a/broken", "leg").unwrap(),
            b"never" => {
                let until = std::iter::repeat_with(|| asked.is_over());
                assert!(until.inspect(|_| std::thread::yield_now()).any(|over| over));
            }
            b"end" => return asked.answer("").unwrap(),
            other => {
                let said = other.to_ascii_uppercase();
                asked.answer(said).unwrap();
            }
        }
    }
}

#[test]
fn prx1_calls_and_serves_and_so_does_wamp_within() {
    let builder = Broker::builder().memory().listen("127.0.0.1:0", Speak::Prx1);
    let broker = builder.build().unwrap();
    let address = broker.local_addr(0).unwrap().to_string();
    let (handle, running) = run(broker);
    let dial = |name: &str| {
        prx1::Client::builder().address(address.as_str()).user(name).connect().unwrap()
    };
    let (server, client) = (dial("server"), dial("client"));
    let mut service = server.serve("a/b", Share::RoundRobin).unwrap();
    service.granted(LONG).unwrap();
    assert_eq!(
        server.serve("a/b", Share::Single).unwrap_err(),
        prx1::Error::Failed(Reason::Exists)
    );
    let serving = std::thread::spawn(move || serve(&service));
    let plain = Asking::default();
    let call = client.call("a/b", "hello", plain).unwrap();
    assert_eq!(call.wait(LONG).unwrap(), "HELLO");
    // In pieces.
    let mut call = client.call("a/b", "pieces", Asking { pieces: true, ..plain }).unwrap();
    let all: Vec<Said> = std::iter::from_fn(|| call.next(LONG).unwrap()).collect();
    let piece = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(all, [Said::Piece(piece("1")), Said::Piece(piece("2")), Said::Final(piece("3"))]);
    // An error by its name.
    let mut call = client.call("a/b", "fail", plain).unwrap();
    let Some(Said::Failed(failure)) = call.next(LONG).unwrap() else { panic!("it failed") };
    assert_eq!((failure.reason, &failure.name[..]), (Reason::Said, &b"a/broken"[..]));
    assert_eq!(failure.payload, "leg");
    // In time, or taken back.
    let timeout = Some(Duration::from_millis(50));
    let call = client.call("a/b", "never", Asking { timeout, ..plain }).unwrap();
    assert_eq!(call.wait(LONG).unwrap_err(), prx1::Error::Failed(Reason::Timeout));
    let mut call = client.call("a/b", "never", plain).unwrap();
    assert_eq!(call.next(Duration::ZERO), Err(prx1::Error::TimedOut));
    call.cancel(prx1::CancelMode::KillNoWait);
    assert_eq!(call.wait(LONG).unwrap_err(), prx1::Error::Failed(Reason::Canceled));
    // To all who serve it, one of which speaks WAMP.
    let within = handle.wamp("default").connect().unwrap();
    let invoke = Some(spindle::client::wamp::Invoke::RoundRobin);
    let shared = RegisterOptions { invoke, ..RegisterOptions::default() };
    let other = within.register("a.b", shared).unwrap();
    let mut call = client.call("a/b", "all", Asking { many: Some(0), ..plain }).unwrap();
    other.wait(Some(LONG)).unwrap().unwrap().reply("within").unwrap();
    let mut all: Vec<Said> = std::iter::from_fn(|| call.next(LONG).unwrap()).collect();
    assert_eq!(all.pop(), Some(Said::Gathered { asked: 2, answered: 2, failed: 0 }));
    assert!(
        all.contains(&Said::Piece(piece("ALL"))) && all.contains(&Said::Piece(piece("within")))
    );
    drop(other);
    // And WAMP asks PRX1.
    let said = within.call("a.b", CallOptions::default(), "wamp").unwrap();
    assert_eq!(said.args, [Value::Text("WAMP".into())]);
    let call = client.call("no/body", "", plain).unwrap();
    assert_eq!(call.wait(LONG).unwrap_err(), prx1::Error::Failed(Reason::NoProcedure));
    client.call("a/b", "end", plain).unwrap().wait(LONG).unwrap();
    serving.join().unwrap();
    let call = client.call("a/b", "", plain).unwrap();
    assert_eq!(call.wait(LONG).unwrap_err(), prx1::Error::Failed(Reason::NoProcedure));
    drop(server);
    stop(&handle, running);
}
