//! Floor 5. A connector between programs and a server that are scripted here.
//!
//! Absent on purpose: real programs and servers of the original, with which `tests/interop` plays.

#![expect(clippy::disallowed_types, reason = "how long something takes is seen by a clock")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;

use super::{Connector, Ignored, Kept, Setup};
use crate::base::outbound::Outbound;
use crate::client::aio::{Id, Message};
use crate::client::pipe::seed;
use crate::proto::aio::command::{Command, Question, answer, ask};
use crate::proto::aio::inner::{self, Meaning, Side};
use crate::proto::aio::{encode_vec, meaning, next};
use crate::value::Value;

pub(super) const SOON: Duration = Duration::from_secs(20);

/// Frames over any stream.
pub(super) struct Line<S> {
    pub(super) stream: S,
    input: BytesMut,
}

impl<S: Read + Write> Line<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// The next frame; none at the end.
    pub(super) fn heard(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = next(&mut self.input, 512 << 20).expect("good") {
                return Some(frame);
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("nothing came in time: {e}"),
            }
        }
    }

    pub(super) fn hear(&mut self) -> Message {
        self.heard().expect("a frame")
    }

    /// The data of the next frames.
    pub(super) fn data(&mut self, count: usize) -> Vec<String> {
        let text = |frame: Message| String::from_utf8_lossy(&frame.data).into_owned();
        (0..count).map(|_| text(self.hear())).collect()
    }

    pub(super) fn say(&mut self, frame: &Message) {
        self.write(&encode_vec(frame).expect("short"));
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("said");
    }

    pub(super) fn acknowledge(&mut self, frame: &Message) {
        let number = frame.header.transport_id.clone().expect("it wants to be acknowledged");
        self.say(&inner::frame(&Meaning::Ack(number), "s").expect("a frame"));
    }

    /// Nothing more comes before the answer to this ping.
    pub(super) fn nothing_more(&mut self) {
        self.say(&inner::frame(&Meaning::Ping("p".into()), "s").expect("a frame"));
        let frame = self.hear();
        assert!(matches!(meaning(&frame, Side::Client), Ok(Meaning::Pong(_))), "{frame:?}");
    }
}

/// A server, a folder, and a connector between them.
pub(super) struct World {
    pub(super) dir: PathBuf,
    server: TcpListener,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("spindle-aio-{:x}", seed()));
        Self { dir, server: TcpListener::bind("127.0.0.1:0").expect("a port") }
    }

    pub(super) fn setup(&self) -> Setup {
        let address = self.server.local_addr().expect("bound").to_string();
        let again = Duration::from_millis(50);
        Setup { again, ..Setup::new(&address, "me", &self.dir) }
    }

    /// The connector comes, and says its name.
    pub(super) fn accept(&self) -> Line<TcpStream> {
        let (stream, _) = self.server.accept().expect("it comes");
        stream.set_read_timeout(Some(SOON)).expect("set");
        let mut line = Line::over(stream);
        let hello = line.hear();
        assert!(matches!(meaning(&hello, Side::Client), Ok(Meaning::Hello { .. })), "{hello:?}");
        line
    }

    pub(super) fn meet(&self, setup: Setup) -> (Connector, Line<TcpStream>) {
        let connector = Connector::start(setup).expect("it starts");
        let line = self.accept();
        until(|| connector.is_online());
        (connector, line)
    }

    fn program(&self) -> Line<UnixStream> {
        let stream = UnixStream::connect(self.setup().sender()).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("set");
        Line::over(stream)
    }

    /// Answer the next connection at the socket for messages of this type.
    pub(super) fn listen(&self, kind: &str) -> UnixListener {
        UnixListener::bind(self.setup().receiver(kind)).expect("bound")
    }

    fn order(&self, command: Command, with: Vec<(&str, Value)>) -> String {
        let with = with.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut said = Outbound::default();
        ask(&Question { command, with }, &mut said).expect("short");
        let said = raw_order(&self.setup().commander(), &said.to_vec());
        answer(&mut BytesMut::from(&said[..])).expect("good").expect("an answer")
    }
}

pub(super) fn raw_order(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("set");
    stream.write_all(bytes).expect("said");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("read");
    said
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// It comes to that before long.
pub(super) fn until(mut it_is: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !it_is() {
        assert!(begun.elapsed() < SOON, "it does not come to that");
        std::thread::yield_now();
    }
}

pub(super) fn incoming(listener: &UnixListener) -> Line<UnixStream> {
    let (stream, _) = listener.accept().expect("it comes");
    stream.set_read_timeout(Some(SOON)).expect("set");
    Line::over(stream)
}

pub(super) fn message(data: &str) -> Message {
    Message::of("any", "somebody").with(data.to_owned())
}

pub(super) fn question(data: &str, id: impl Into<Id>) -> Message {
    let mut question = message(data);
    question.header.await_response = true;
    question.header.request_id = Some(id.into());
    question
}

pub(super) fn reply(to: &Message, data: &str) -> Message {
    let mut reply = message(data);
    reply.header.response_id.clone_from(&to.header.request_id);
    reply
}

#[test]
fn what_programs_say_goes_to_the_server_under_the_connectors_name() {
    let world = World::new();
    let (_connector, mut server) = world.meet(world.setup());
    let mut said = message("one");
    said.binary = "binary".into();
    said.header.destination_id = Some("elsewhere".into());
    said.header.transport_id = Some(7.into());
    said.header.tag = Some("label".into());
    said.header.others = vec![("more".into(), "[1]".into())];
    world.program().say(&said);
    let heard = server.hear();
    assert_eq!(heard.header.source_id, Some("me".into()));
    let port = world.server.local_addr().expect("bound").port();
    let address = format!("('127.0.0.1', {port})");
    assert_eq!(heard.header.destination_id, Some(address.as_str().into()));
    assert_eq!((heard.header.transport_id.as_ref(), heard.header.others.len()), (None, 1));
    assert_eq!((&heard.data[..], &heard.binary[..]), (&b"one"[..], &b"binary"[..]));
}

#[test]
fn what_has_ended_is_not_begun_again() {
    let world = World::new();
    let (connector, _server) = world.meet(world.setup());
    let house = std::sync::Arc::clone(&connector.house);
    drop(connector);
    assert!(house.begin().is_err() && !house.is_online());
}

#[test]
fn only_listed_types_and_those_of_the_api_may_be_sent() {
    let world = World::new();
    let types = vec!["any".to_owned(), "_ssl".to_owned()];
    let (_connector, mut server) = world.meet(Setup { send_types: types, ..world.setup() });
    let mut program = world.program();
    for kind in ["other", "_ssl", "_ack", "_handshake_no_ssl", "_token", ""] {
        program.say(&Message::of(kind, "me").with("hello"));
    }
    let mut publication = Message::of("_pubsub", "me").with("p");
    publication.header.message_type_publish = Some("news".into());
    program.say(&publication);
    program.say(&message("last"));
    assert_eq!(server.hear().header.message_type_publish, Some("news".into()));
    assert_eq!(server.data(1), ["last"]);
}

#[test]
fn an_answer_goes_to_whoever_asked_and_its_end_to_whoever_waits() {
    let world = World::new();
    let (_connector, mut server) = world.meet(world.setup());
    let (mut one, mut two) = (world.program(), world.program());
    one.say(&question("q1", 1));
    let first = server.hear();
    two.say(&question("q2", "1"));
    let second = server.hear();
    server.say(&reply(&second, "a2"));
    server.say(&reply(&first, "a1"));
    assert_eq!((one.data(1), two.data(1)), (vec!["a1".to_owned()], vec!["a2".to_owned()]));
    one.say(&question("q3", 3));
    server.hear();
    drop(server);
    let end = one.hear();
    let why = end.header.others.iter().find(|(key, _)| key.as_str() == "error");
    assert_eq!(why.map(|(_, it)| &it[..]), Some(&b"\"disconnected_during_wait\""[..]));
    assert_eq!(&end.data[..], b"{}");
}

#[test]
fn a_question_without_an_id_has_one_and_one_that_is_open_is_not_asked_again() {
    let world = World::new();
    let (_connector, mut server) = world.meet(world.setup());
    let mut one = world.program();
    let mut nameless = question("q", 1);
    nameless.header.request_id = None;
    one.say(&nameless);
    let heard = server.hear();
    assert!(heard.header.request_id.is_some());
    let mut two = world.program();
    two.say(&Message { header: heard.header.clone(), ..question("q", 1) });
    assert_eq!(two.heard(), None, "it would have the other's answer");
    server.say(&reply(&heard, "a"));
    assert_eq!(one.data(1), ["a"]);
}

#[test]
fn without_a_server_a_question_ends_and_a_message_is_dropped() {
    let world = World::new();
    let setup = Setup { server: "127.0.0.1:1".to_owned(), ..world.setup() };
    let connector = Connector::start(setup).expect("it starts");
    let mut program = world.program();
    program.say(&message("lost"));
    program.say(&question("q", 1));
    assert_eq!(program.heard(), None);
    assert_eq!(connector.house.tally.unsent.load(Ordering::Relaxed), 2);
    assert_eq!(world.order(Command::Peers, Vec::new()), "{}");
}

#[test]
fn what_is_kept_comes_before_what_is_said_later_and_until_it_is_acknowledged() {
    let world = World::new();
    let types = vec!["any".to_owned(), "other".to_owned()];
    let keep_sent = Kept::Types(vec!["any".to_owned()]);
    let setup = Setup { send_types: types, keep_sent, ..world.setup() };
    let away = Setup { server: "127.0.0.1:1".to_owned(), ..setup.clone() };
    let connector = Connector::start(away).expect("it starts");
    let mut program = world.program();
    for data in ["a", "b", "c"] {
        program.say(&message(data));
    }
    until(|| connector.waiting().1 == 3);
    drop(connector);
    let (connector, mut server) = world.meet(setup.clone());
    world.program().say(&Message::of("other", "").with("d"));
    for data in ["a", "b", "c", "d"] {
        let heard = server.hear();
        assert_eq!(heard.data, data);
        assert!(!heard.header.wait_for_ack, "applications do not see it");
        assert!(heard.header.transport_id.is_some());
        if data != "c" && data != "d" {
            server.acknowledge(&heard);
        }
    }
    server.nothing_more();
    until(|| connector.waiting().1 <= 2);
    drop((connector, server));
    let (_connector, mut server) = world.meet(setup);
    assert_eq!(server.data(2), ["c", "d"]);
    server.nothing_more();
}

#[test]
fn a_ping_is_not_kept_whatever_is() {
    let world = World::new();
    let setup = Setup { keep_sent: Kept::Everything, ..world.setup() };
    let (connector, mut server) = world.meet(setup);
    world.program().say(&message("a"));
    let kept = server.hear();
    let mut program = world.program();
    let mut ping = question("", 7);
    ping.header.message_type = inner::PING.into();
    program.say(&ping);
    let ping = server.hear();
    assert_eq!((ping.header.message_type.as_str(), ping.header.transport_id), (inner::PING, None));
    assert_eq!(connector.waiting().1, 1, "nobody would acknowledge it");
    server.acknowledge(&kept);
    until(|| connector.waiting().1 == 0);
}

#[test]
fn a_kept_question_is_answered_over_another_connection() {
    let world = World::new();
    let setup = Setup { keep_sent: Kept::Everything, ..world.setup() };
    let (_connector, mut server) = world.meet(setup);
    let mut program = world.program();
    program.say(&question("q", 1));
    assert_eq!(server.data(1), ["q"]);
    drop(server);
    let mut server = world.accept();
    let heard = server.hear();
    server.acknowledge(&heard);
    server.say(&reply(&heard, "a"));
    assert_eq!(program.data(1), ["a"]);
}

#[test]
fn what_comes_reaches_the_program_that_listens_and_is_acknowledged() {
    let world = World::new();
    let (connector, mut server) = world.meet(world.setup());
    let listener = world.listen("any");
    let mut said = message("one");
    said.header.transport_id = Some(5.into());
    said.header.wait_for_ack = true;
    server.say(&said);
    let acked = server.hear();
    assert_eq!(meaning(&acked, Side::Client), Ok(Meaning::Ack(5.into())));
    let mut program = incoming(&listener);
    let heard = program.hear();
    assert_eq!((&heard.data[..], heard.header.wait_for_ack), (&b"one"[..], true));
    assert_eq!(heard.header.transport_id, None, "that is the connection's");
    server.say(&message("two"));
    server.say(&Message::of("unwanted", "s"));
    assert_eq!(program.data(1), ["two"]);
    // One that was started again is found at the same place.
    drop(program);
    server.say(&message("three"));
    assert_eq!(incoming(&listener).data(1), ["three"]);
    assert_eq!(connector.house.tally.unwanted.load(Ordering::Relaxed), 1);
}

#[test]
fn one_message_to_a_connection_if_the_program_wants_no_more() {
    let world = World::new();
    let (_connector, mut server) = world.meet(Setup { receive_more: false, ..world.setup() });
    let listener = world.listen("any");
    for data in ["one", "two"] {
        server.say(&message(data));
        let mut program = incoming(&listener);
        assert_eq!(program.data(1), [data]);
        assert_eq!(program.heard(), None);
    }
}

#[test]
fn what_is_kept_for_a_program_waits_for_it_over_a_crash() {
    let world = World::new();
    let setup = Setup { keep_received: Kept::Everything, ..world.setup() };
    let (connector, mut server) = world.meet(setup.clone());
    for (number, data) in (1..).zip(["a", "b"]) {
        let mut said = message(data);
        said.header.transport_id = Some(number.into());
        server.say(&said);
        let acked = server.hear();
        assert_eq!(meaning(&acked, Side::Client), Ok(Meaning::Ack(number.into())));
    }
    assert_eq!(connector.waiting().0, 2);
    drop((connector, server));
    let (connector, mut server) = world.meet(setup);
    server.say(&message("c"));
    let listener = world.listen("any");
    assert_eq!(incoming(&listener).data(3), ["a", "b", "c"]);
    until(|| connector.waiting().0 == 0);
}

#[test]
fn what_finds_no_room_is_refused_and_counted() {
    let world = World::new();
    let kept = Kept::Everything;
    let setup =
        Setup { server: "127.0.0.1:1".to_owned(), keep_sent: kept, kept_max: 400, ..world.setup() };
    let connector = Connector::start(setup).expect("it starts");
    let mut program = world.program();
    program.say(&message("short"));
    program.say(&message(&"x".repeat(500)));
    program.say(&message("short"));
    until(|| connector.waiting().1 == 2);
    assert_eq!(connector.house.tally.unsent.load(Ordering::Relaxed), 1);
}

#[test]
fn who_leaves_without_its_answer_leaves_no_open_question() {
    let world = World::new();
    let (_connector, mut server) = world.meet(world.setup());
    let mut one = world.program();
    one.say(&question("q", 1));
    assert_eq!(server.data(1), ["q"]);
    drop(one);
    // That it has left is seen before long; until then a question of the same id is refused.
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < SOON, "it is open still");
        let mut two = world.program();
        two.stream.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
        two.say(&question("again", 1));
        match two.stream.read(&mut [0]) {
            Ok(len) => assert_eq!(len, 0, "it is hung up on"),
            Err(_) => break,
        }
    }
    assert_eq!(server.data(1), ["again"]);
}

#[test]
fn what_was_under_way_when_it_stopped_is_said_when_it_starts_again() {
    let world = World::new();
    let setup = Setup { keep_sent: Kept::Everything, ..world.setup() };
    let (_connector, mut server) = world.meet(setup);
    let mut program = world.program();
    for data in ["a", "b"] {
        program.say(&message(data));
    }
    let first = server.hear();
    assert_eq!((&first.data[..], server.data(1)), (&b"a"[..], vec!["b".to_owned()]));
    assert_eq!(world.order(Command::Stop, vec![("hard", Value::Bool(true))]), "{}");
    assert_eq!(server.heard(), None);
    assert_eq!(world.order(Command::Start, Vec::new()), "{}");
    assert_eq!(world.accept().data(2), ["a", "b"]);
}

#[test]
fn a_message_that_nobody_listens_for_is_dropped_and_counted() {
    let world = World::new();
    let (connector, mut server) = world.meet(world.setup());
    server.say(&message("lost"));
    until(|| connector.house.tally.unwanted.load(Ordering::Relaxed) == 1);
    let listener = world.listen("any");
    server.say(&message("heard"));
    assert_eq!(incoming(&listener).data(1), ["heard"]);
}

#[test]
fn a_program_that_does_not_read_holds_up_nobodys_end() {
    let world = World::new();
    let (connector, mut server) = world.meet(world.setup());
    let listener = world.listen("any");
    for _ in 0..16 {
        server.say(&message(&"x".repeat(1 << 20)));
    }
    let _deaf = listener.accept().expect("it comes");
    let (tell, told) = crossbeam_channel::bounded(1);
    let ending = std::thread::Builder::new().spawn(move || {
        drop(connector);
        let _ = tell.send(());
    });
    ending.expect("a thread");
    told.recv_timeout(SOON).expect("it has ended");
}

#[test]
fn frames_that_cannot_be_end_their_connection_and_no_other() {
    let world = World::new();
    let (connector, mut server) = world.meet(Setup { message_max: 1 << 10, ..world.setup() });
    let mut good = world.program();
    let mut uneven = encode_vec(&message("x")).expect("short");
    uneven[4] = 0xff;
    for bad in [&[0; 4][..], &[0xff; 4], &[1, 8, 0, 0], &uneven, b"GET / HTTP/1.1\r\n\r\n"] {
        let mut program = world.program();
        program.stream.write_all(bad).expect("said");
        assert_eq!(program.heard(), None, "{bad:?}");
    }
    good.say(&message("good"));
    assert_eq!(server.data(1), ["good"]);
    // All together have so much under way at most.
    connector.house.coming.fetch_add(256 << 20, Ordering::Relaxed);
    let mut program = world.program();
    program.say(&message("much"));
    assert_eq!(program.heard(), None);
    drop(program);
    connector.house.coming.fetch_sub(256 << 20, Ordering::Relaxed);
    good.say(&message("good"));
    assert_eq!(server.data(1), ["good"]);
    drop(good);
    until(|| connector.house.coming.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_file_that_a_message_names_goes_along_piece_by_piece() {
    let world = World::new();
    let (_connector, mut server) = world.meet(world.setup());
    let path = world.dir.join("file");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&path, &content).expect("written");
    let with = format!(
        "{{\"src_path\": \"{}\", \"dst_type\": \"any\", \"dst_name\": \"a\"}}",
        path.display()
    );
    let mut said = message("a file");
    said.header.with_file = Some(with.into());
    said.header.wait_for_ack = true;
    said.binary = "own".into();
    let mut program = world.program();
    program.say(&said);
    program.say(&message("behind it"));
    let heard = server.hear();
    assert_eq!((&heard.binary[..3], heard.binary.len()), (&b"own"[..], content.len() + 3));
    assert!(heard.binary[3..] == content);
    assert_eq!(server.data(1), ["behind it"]);
    assert!(path.exists(), "it may have to be sent again");
    server.acknowledge(&heard);
    server.nothing_more();
    assert!(!path.exists(), "as the original does unless it is told to keep it");
}

#[test]
fn traffic_that_is_ignored_goes_neither_way_but_for_pings_and_acknowledgements() {
    let world = World::new();
    let (connector, mut server) = world.meet(world.setup());
    let listener = world.listen("any");
    let show = || world.order(Command::Ignore, vec![("show", Value::Bool(true))]);
    assert_eq!(show(), "False");
    let on = vec![("enable", Value::Bool(true))];
    assert_eq!(world.order(Command::Ignore, on), "True");
    let mut said = message("dropped");
    said.header.transport_id = Some(1.into());
    server.say(&said);
    assert_eq!(meaning(&server.hear(), Side::Client), Ok(Meaning::Ack(1.into())));
    world.program().say(&message("dropped"));
    until(|| connector.house.tally.unsent.load(Ordering::Relaxed) == 1);
    server.nothing_more();
    let other = vec![("unique_peer", Value::Text("some'body".to_owned()))];
    assert_eq!(world.order(Command::Ignore, other), "['some\\'body']");
    server.say(&message("heard"));
    assert_eq!(incoming(&listener).data(1), ["heard"]);
    let off = vec![("disable", Value::Bool(true))];
    assert_eq!(world.order(Command::Ignore, off), "False");
    world.program().say(&message("said"));
    assert_eq!(server.data(1), ["said"]);
}

#[test]
fn the_tools_of_the_original_are_answered_as_by_the_original() {
    let world = World::new();
    let types = vec!["any".to_owned(), "news".to_owned()];
    let (connector, mut server) = world.meet(Setup { receive_types: types, ..world.setup() });
    let port = world.server.local_addr().expect("bound").port();
    let peers = world.order(Command::Peers, vec![("dump_result", Value::Bool(true))]);
    assert_eq!(peers, format!("{{\"('127.0.0.1', {port})\":[\"127.0.0.1\",{port}]}}"));
    let queues = world.order(Command::Queues, Vec::new());
    assert!(queues.contains("\"queue_recv\": 0") && queues.contains("\"queue_send\""), "{queues}");
    let list = |all: &[&str]| {
        let texts = all.iter().map(|it| Value::Text((*it).to_owned())).collect();
        vec![("message_types", Value::List(texts))]
    };
    let told = world.order(Command::SetSubscriptions, list(&["news", "unknown", "news"]));
    assert_eq!(told, "['news']");
    let topics = meaning(&server.hear(), Side::Client);
    assert_eq!(topics, Ok(Meaning::Subscribe(vec!["news".into()])));
    assert_eq!(world.order(Command::Subscriptions, Vec::new()), "['news']");
    assert_eq!(world.order(Command::SetSubscriptions, list(&[])), "{}");
    let topics = meaning(&server.hear(), Side::Client);
    assert_eq!(topics, Ok(Meaning::Unsubscribe(vec!["news".into()])));
    for command in [Command::Disconnect, Command::Blacklist, Command::LoadTokens] {
        assert_eq!(world.order(command, Vec::new()), "{}");
    }
    for command in [Command::ForgetCertificate, Command::DropCertificate, Command::DropToken] {
        let told = world.order(command, Vec::new());
        assert!(told.starts_with("{\"status\": false, \"msg\": \""), "{told}");
    }
    assert_eq!(world.order(Command::Restart, Vec::new()), "{}");
    assert_eq!(server.heard(), None);
    let mut server = world.accept();
    assert_eq!(world.order(Command::Stop, vec![("hard", Value::Bool(true))]), "{}");
    assert_eq!(server.heard(), None);
    assert_eq!(world.order(Command::Peers, Vec::new()), "{}");
    assert_eq!(world.order(Command::Start, Vec::new()), "{}");
    world.accept();
    assert!(!connector.is_over());
    assert_eq!(world.order(Command::Stop, vec![("shutdown", Value::Bool(true))]), "{}");
    until(|| connector.is_over());
}

#[test]
fn an_order_that_is_none_is_not_answered() {
    let world = World::new();
    let (_connector, _server) = world.meet(world.setup());
    let socket = world.setup().commander();
    for bad in [
        &b"\x10\0\0\0{\"cmd\": \"__del\"}"[..],
        b"\x02\0\0\0{}",
        b"\xff\xff\xff\xff",
        b"\x04\0\0\0\xff\xff\xff\xff",
    ] {
        assert!(raw_order(&socket, bad).is_empty(), "{bad:?}");
    }
    assert_eq!(world.order(Command::Subscriptions, Vec::new()), "{}");
}

#[test]
fn a_connector_begins_with_what_its_setup_ignores_and_keeps_to_its_folder() {
    let world = World::new();
    let (connector, _server) = world.meet(Setup { ignored: Ignored::Everybody, ..world.setup() });
    assert_eq!(world.order(Command::Ignore, vec![("show", Value::Bool(true))]), "True");
    assert!(Connector::start(world.setup()).is_err(), "its sockets are in use");
    drop(connector);
    assert!(!world.setup().sender().exists() && !world.setup().commander().exists());
}
