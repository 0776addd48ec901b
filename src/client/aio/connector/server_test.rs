//! Floor 5. A connector that is a server, between programs and clients that are scripted here.
//!
//! Absent on purpose: real programs and clients of the original, with which `tests/interop` plays.

#![expect(clippy::disallowed_types, reason = "how long something takes is seen by a clock")]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::connector_test::{Line, SOON, incoming, message, question, raw_order, reply, until};
use super::house::HELD_MAX;
use super::way::Seat;
use super::{Connector, Kept, Name, Pattern, Serving, Setup};
use crate::base::outbound::Outbound;
use crate::client::aio::Message;
use crate::client::aio::setup::{Taker, Wish};
use crate::client::aio::wire::Wire;
use crate::client::pipe::seed;
use crate::proto::aio::command::{Command, Question, answer, ask};
use crate::proto::aio::file::{CHUNK, WithFile};
use crate::proto::aio::inner::{self, Meaning, Side};
use crate::proto::aio::{encode_vec, meaning};
use crate::value::Value;

/// A folder, and what a server in it is described as.
pub(super) struct World {
    pub(super) dir: PathBuf,
    pub(super) setup: Setup,
}

/// It runs.
pub(super) struct Hall<'a> {
    world: &'a World,
    pub(super) connector: Connector,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("spindle-aio-s-{:x}", seed()));
        let setup = Setup::server("127.0.0.1:0", &dir, Serving::new(&dir));
        Self { dir, setup }
    }

    pub(super) fn serving(change: impl FnOnce(&mut Serving)) -> Self {
        let mut world = Self::new();
        change(world.setup.serves.as_mut().expect("a server"));
        world
    }

    fn keeping() -> Self {
        let mut world = Self::new();
        world.setup.keep_sent = Kept::Types(vec!["any".to_owned()]);
        world.setup.send_types.push("other".to_owned());
        world
    }

    pub(super) fn start(&self) -> Hall<'_> {
        let connector = Connector::start(self.setup.clone()).expect("it starts");
        Hall { world: self, connector }
    }

    pub(super) fn program(&self) -> Line<UnixStream> {
        let stream = UnixStream::connect(self.setup.sender()).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("set");
        Line::over(stream)
    }

    fn listen(&self, kind: &str) -> UnixListener {
        UnixListener::bind(self.setup.receiver(kind)).expect("bound")
    }

    pub(super) fn order(&self, command: Command, with: Vec<(&str, Value)>) -> String {
        order(&self.setup, command, with)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Hall<'_> {
    /// Somebody comes, and says nothing yet.
    fn stranger(&self) -> Line<TcpStream> {
        let address = self.connector.address().expect("it listens");
        let stream = TcpStream::connect(address).expect("it is there");
        stream.set_read_timeout(Some(SOON)).expect("set");
        Line::over(stream)
    }

    /// Somebody says this name; it may be refused.
    pub(super) fn caller(&self, name: &str) -> Line<TcpStream> {
        let mut line = self.stranger();
        let mut hello = Message::of(inner::HELLO, name).with("hello");
        hello.header.destination_id = Some("whatever".into());
        line.say(&hello);
        line
    }

    /// A client of this name is in.
    pub(super) fn client(&self, name: &str) -> Line<TcpStream> {
        let line = self.caller(name);
        until(|| self.is_there(name));
        line
    }

    pub(super) fn is_there(&self, name: &str) -> bool {
        let hall = self.connector.house.hall.as_ref().expect("a server");
        // Its connection may be over before its name is another's to have.
        hall.way(name).is_some_and(|way| way.from().is_some())
    }

    fn known(&self) -> usize {
        self.connector.house.ways().len()
    }

    pub(super) fn unsent(&self) -> u64 {
        self.connector.house.tally.unsent.load(Ordering::Relaxed)
    }

    fn unwanted(&self) -> u64 {
        self.connector.house.tally.unwanted.load(Ordering::Relaxed)
    }

    /// What of these is kept on the disk for clients.
    fn kept(&self) -> Vec<String> {
        let all = fs::read_dir(self.world.setup.chests()).into_iter().flatten().flatten();
        let mut all: Vec<String> =
            all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        all.sort();
        all
    }
}

pub(super) fn order(setup: &Setup, command: Command, with: Vec<(&str, Value)>) -> String {
    let with = with.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut said = Outbound::default();
    ask(&Question { command, with }, &mut said).expect("short");
    let said = raw_order(&setup.commander(), &said.to_vec());
    answer(&mut BytesMut::from(&said[..])).expect("good").expect("an answer")
}

/// For this client.
pub(super) fn to(name: &str, mut frame: Message) -> Message {
    frame.header.destination_id = Some(name.into());
    frame
}

/// Of this client.
pub(super) fn of(name: &str, mut frame: Message) -> Message {
    frame.header.source_id = Some(name.into());
    frame
}

pub(super) fn say_as<S: std::io::Read + Write>(line: &mut Line<S>, name: &str, meant: &Meaning) {
    line.say(&inner::frame(meant, name).expect("a frame"));
}

/// It hears nothing more; it is called so.
pub(super) fn nothing_for(line: &mut Line<TcpStream>, name: &str) {
    say_as(line, name, &Meaning::Ping("p".into()));
    let frame = line.hear();
    assert!(matches!(meaning(&frame, Side::Server), Ok(Meaning::Pong(_))), "{frame:?}");
}

fn error_of(frame: &Message) -> Option<&[u8]> {
    frame.header.others.iter().find(|(key, _)| key.as_str() == "error").map(|(_, it)| &it[..])
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn what_programs_say_goes_to_the_client_that_it_names_and_to_nobody_else() {
    let world = World::new();
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    let mut program = world.program();
    let mut said = of("forged", to("ann", message("one")));
    said.header.transport_id = Some(7.into());
    said.binary = "binary".into();
    program.say(&said);
    for lost in [to("carl", message("x")), to("../ann", message("x")), message("x")] {
        program.say(&lost);
    }
    program.say(&to("ann", message("two")));
    let heard = ann.hear();
    assert_eq!(heard.header.source_id, Some("('127.0.0.1', 0)".into()));
    assert_eq!(heard.header.destination_id, Some("ann".into()));
    assert_eq!((&heard.data[..], &heard.binary[..]), (&b"one"[..], &b"binary"[..]));
    assert_eq!(heard.header.transport_id, None);
    assert_eq!(ann.data(1), ["two"]);
    nothing_for(&mut bob, "bob");
    assert_eq!(hall.unsent(), 3);
}

#[test]
fn what_clients_say_is_for_the_programs_here_whomever_it_names() {
    let world = World::new();
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    let listener = world.listen("any");
    let mut said = to("bob", of("ann", message("one")));
    said.header.transport_id = Some(5.into());
    ann.say(&said);
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(5.into())));
    ann.say(&of("bob", message("forged")));
    ann.say(&of("ann", Message::of("unwanted", "ann")));
    ann.say(&of("ann", message("two")));
    let mut program = incoming(&listener);
    let heard = program.hear();
    assert_eq!((heard.header.source_id, &heard.data[..]), (Some("ann".into()), &b"one"[..]));
    assert_eq!(program.data(1), ["two"], "who says another's name is not heard");
    nothing_for(&mut bob, "bob");
    assert_eq!(hall.unwanted(), 1);
}

#[test]
fn nobody_has_the_name_of_the_server_or_of_another_or_none() {
    let world = World::new();
    let hall = world.start();
    let mut ann = hall.client("ann");
    for taken in ["('127.0.0.1', 0)", "127.0.0.1:0", "ann", "default", "default1", "", "a/b", "a\n"]
    {
        assert_eq!(hall.caller(taken).heard(), None, "{taken:?}");
    }
    nothing_for(&mut ann, "ann");
    drop(ann);
    until(|| !hall.is_there("ann"));
    let mut again = hall.client("ann");
    world.program().say(&to("ann", message("one")));
    assert_eq!(again.data(1), ["one"]);
    assert_eq!(hall.known(), 1);
}

#[test]
fn a_stranger_says_hello_and_nothing_else() {
    let world = World::new();
    let hall = world.start();
    let mut ann = hall.client("ann");
    let mut tls = Message::of(inner::HELLO_TLS, "eve").with("hello");
    tls.header.destination_id = Some("x".into());
    let mut long = Message::of(inner::HELLO, "eve").with("hello");
    long.binary = vec![0; 8 << 10].into();
    let wants = Message::of(inner::CERTIFICATE, "eve").with("{\"cmd\": \"get_new_certificate\"}");
    let ping = inner::frame(&Meaning::Ping("p".into()), "eve").expect("a frame");
    for bad in [of("eve", message("x")), tls, long, wants, ping] {
        let mut stranger = hall.stranger();
        stranger.say(&bad);
        assert_eq!(stranger.heard(), None, "{bad:?}");
    }
    let mut noise = hall.stranger();
    noise.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("said");
    assert_eq!(noise.heard(), None);
    let mut twice = hall.client("bob");
    twice.say(&Message::of(inner::HELLO, "carl").with("hello"));
    assert_eq!(twice.heard(), None, "nobody has two names");
    nothing_for(&mut ann, "ann");
}

#[test]
fn questions_are_answered_both_ways_and_end_with_who_was_asked() {
    let world = World::new();
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    let (mut one, mut two) = (world.program(), world.program());
    one.say(&to("ann", question("q1", 1)));
    two.say(&to("bob", question("q2", 1)));
    let (first, second) = (ann.hear(), bob.hear());
    bob.say(&of("bob", reply(&first, "a2")));
    assert_eq!(two.data(1), ["a2"], "by who was asked and no other");
    assert_eq!(second.header.request_id, first.header.request_id);
    ann.say(&of("ann", reply(&first, "a1")));
    assert_eq!(one.data(1), ["a1"]);
    one.say(&to("ann", question("q3", 3)));
    two.say(&to("bob", question("q4", 4)));
    let last = bob.hear();
    ann.hear();
    drop(ann);
    assert_eq!(error_of(&one.hear()), Some(&b"\"disconnected_during_wait\""[..]));
    bob.say(&of("bob", reply(&last, "a4")));
    assert_eq!(two.data(1), ["a4"], "who asked another waits on");
    one.say(&to("ann", question("q5", 5)));
    assert_eq!(one.heard(), None, "nobody is there");

    let listener = world.listen("any");
    bob.say(&of("bob", question("q6", "id")));
    let asked = incoming(&listener).hear();
    assert_eq!(asked.header.request_id, Some("id".into()));
    world.program().say(&to("bob", reply(&asked, "a6")));
    let answered = bob.hear();
    assert_eq!((answered.header.response_id, &answered.data[..]), (Some("id".into()), &b"a6"[..]));
}

#[test]
fn what_is_kept_for_a_client_comes_when_it_does_in_order_and_until_it_is_acknowledged() {
    let world = World::keeping();
    let hall = world.start();
    let mut program = world.program();
    program.say(&to("bob", Message::of("other", "").with("dropped")));
    for data in ["a", "b", "c"] {
        program.say(&to("ann", message(data)));
    }
    until(|| hall.connector.waiting().1 == 3);
    assert_eq!((hall.known(), hall.unsent()), (1, 1), "of a type that is not kept");
    drop((program, hall));
    let hall = world.start();
    assert_eq!(hall.connector.waiting().1, 3, "over a restart");
    let mut ann = hall.client("ann");
    world.program().say(&to("ann", Message::of("other", "").with("d")));
    for data in ["a", "b", "c", "d"] {
        let heard = ann.hear();
        assert_eq!(heard.data, data);
        if data != "c" && data != "d" {
            say_as(&mut ann, "ann", &Meaning::Ack(heard.header.transport_id.expect("a number")));
        }
    }
    nothing_for(&mut ann, "ann");
    drop(ann);
    until(|| !hall.is_there("ann"));
    let mut ann = hall.client("ann");
    for data in ["c", "d"] {
        let heard = ann.hear();
        assert_eq!(heard.data, data);
        say_as(&mut ann, "ann", &Meaning::Ack(heard.header.transport_id.expect("a number")));
    }
    until(|| hall.connector.waiting().1 == 0);
    drop(ann);
    until(|| hall.known() == 0);
    assert!(hall.kept().is_empty(), "nothing is left of it");
}

#[test]
fn what_a_killed_server_left_behind_for_nobody_goes() {
    let world = World::keeping();
    let hall = world.start();
    let _ann = hall.client("ann");
    world.program().say(&to("bob", message("kept")));
    until(|| hall.connector.waiting().1 == 1);
    let copy = world.dir.join("copy");
    let own = world.setup.chests();
    assert_eq!(hall.kept(), ["to-ann", "to-bob"]);
    copied(&own, &copy);
    drop(hall);
    fs::remove_dir_all(&own).expect("removed");
    fs::rename(&copy, &own).expect("as it was when it was killed");
    let hall = world.start();
    assert_eq!((hall.kept(), hall.known()), (vec!["to-bob".to_owned()], 1));
}

fn copied(from: &PathBuf, to: &PathBuf) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let at = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copied(&entry.path(), &at),
            false => drop(fs::copy(entry.path(), at).expect("copied")),
        }
    }
}

#[test]
fn no_more_clients_are_known_than_may_be() {
    let mut world = World::serving(|serving| serving.clients_max = 2);
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, _bob) = (hall.client("ann"), hall.client("bob"));
    assert_eq!(hall.caller("carl").heard(), None);
    world.program().say(&to("carl", message("kept")));
    until(|| hall.unsent() == 1);
    assert_eq!(hall.kept(), ["to-ann", "to-bob"]);
    nothing_for(&mut ann, "ann");
    drop(ann);
    until(|| hall.known() == 1);
    hall.client("carl");
}

#[test]
fn a_client_that_says_nothing_is_asked_and_let_go_and_one_that_answers_stays() {
    let world = World::serving(|serving| serving.silence = Duration::from_millis(300));
    let hall = world.start();
    let mut silent = hall.client("silent");
    let mut ann = hall.client("ann");
    let begun = Instant::now();
    while hall.is_there("silent") {
        assert!(begun.elapsed() < SOON, "it is there still");
        let ping = ann.hear();
        let Ok(Meaning::Ping(id)) = meaning(&ping, Side::Server) else { panic!("{ping:?}") };
        say_as(&mut ann, "ann", &Meaning::Pong(id));
    }
    assert!(hall.is_there("ann"));
    silent.hear();
    assert_eq!(silent.heard(), None);
}

#[test]
fn publications_are_told_to_who_wants_them_as_the_servers() {
    let world = World::serving(|serving| serving.central_broker = true);
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into(), "news".into()]));
    nothing_for(&mut bob, "bob");
    let publish = |data: &str| {
        let mut said = Message::of(inner::PUBSUB, "ann").with(data.to_owned());
        said.header.message_type_publish = Some("news".into());
        said
    };
    ann.say(&publish("one"));
    let heard = bob.hear();
    assert_eq!(heard.header.message_type.as_str(), "news");
    assert_eq!(heard.header.source_id, Some("('127.0.0.1', 0)".into()));
    assert_eq!((heard.header.message_type_publish, &heard.data[..]), (None, &b"one"[..]));
    world.program().say(&publish("of a program"));
    assert_eq!(bob.data(1), ["of a program"]);
    ann.say(&of("ann", Message::of("news", "ann").with("for the server")));
    nothing_for(&mut ann, "ann");
    nothing_for(&mut bob, "bob");
    assert_eq!(hall.unwanted(), 1, "no program receives it");
    say_as(&mut bob, "bob", &Meaning::Unsubscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    ann.say(&publish("two"));
    nothing_for(&mut ann, "ann");
    nothing_for(&mut bob, "bob");
}

#[test]
fn a_server_that_is_no_broker_of_publications_tells_nobody() {
    let world = World::new();
    let hall = world.start();
    let mut ann = hall.client("ann");
    say_as(&mut ann, "ann", &Meaning::Subscribe(vec!["any".into()]));
    let mut said = Message::of(inner::PUBSUB, "ann").with("x");
    said.header.message_type_publish = Some("any".into());
    ann.say(&said);
    nothing_for(&mut ann, "ann");
    assert_eq!(hall.unwanted(), 2);
}

#[test]
fn a_publication_sends_no_file_of_this_machine_that_a_client_names() {
    let mut world = World::serving(|serving| serving.central_broker = true);
    let folder = world.dir.join("files");
    world.setup.folders = vec![("any".to_owned(), folder.clone())];
    let hall = world.start();
    let secret = world.dir.join("secret");
    fs::write(&secret, "secret").expect("written");
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    let mut publish = |kind: &str, content: &'static str| {
        let with = format!(
            "{{\"src_path\": \"{}\", \"dst_type\": \"{kind}\", \"dst_name\": \"a\"}}",
            secret.display()
        );
        let mut said = Message::of(inner::PUBSUB, "ann").with("x");
        said.header.message_type_publish = Some("news".into());
        said.header.with_file = Some(with.into());
        said.binary = content.into();
        ann.say(&said);
        bob.hear()
    };
    let stored = publish("any", "content");
    assert_eq!(&stored.binary[..], b"content", "what was sent, and is stored here");
    for refused in [publish("any", "again"), publish("unknown", "content"), publish("any", "")] {
        assert!(refused.binary.is_empty(), "{refused:?}");
        let with = refused.header.with_file.expect("it is said of");
        let with = String::from_utf8_lossy(&with).into_owned();
        assert!(with.contains("file_error") && !with.contains("secret"), "{with}");
    }
    assert_eq!(fs::read(folder.join("a")).expect("stored"), b"content");
    assert_eq!(fs::read(&secret).expect("there"), b"secret");
}

#[test]
fn files_go_below_the_folder_of_who_sends_them() {
    let mut world = World::new();
    let folder = world.dir.join("files/{source_id}/x");
    world.setup.folders = vec![("any".to_owned(), folder)];
    // What was left there by somebody who was killed.
    let left = world.dir.join("files/ann/x/.spindle-0123456789abcdef.part");
    fs::create_dir_all(left.parent().expect("a folder")).expect("made");
    let old = Duration::from_secs(40 * 24 * 3_600);
    let file = fs::File::create(&left).expect("a file");
    let now = file.metadata().and_then(|it| it.modified()).expect("a time");
    file.set_modified(now - old).expect("set");
    let hall = world.start();
    let listener = world.listen("any");
    for name in ["ann", "bob"] {
        let mut said = of(name, message("x"));
        said.header.with_file = Some("{\"dst_type\": \"any\", \"dst_name\": \"a\"}".into());
        said.binary = name.to_owned().into();
        hall.client(name).say(&said);
        incoming(&listener).hear();
        let place = world.dir.join(format!("files/{name}/x/a"));
        assert_eq!(fs::read(place).expect("stored"), name.as_bytes());
    }
    assert!(!left.exists());
}

#[test]
fn lists_say_who_may_come_also_while_it_runs() {
    let world = World::serving(|serving| {
        serving.lists.white.names.push(Pattern::new("a.*").expect("good"));
    });
    let hall = world.start();
    let mut ann = hall.client("ann");
    assert_eq!(hall.caller("bob").heard(), None);
    assert_eq!(world.order(Command::Whitelist, vec![("client_id", text("bob"))]), "{}");
    let mut bob = hall.client("bob");
    assert_eq!(world.order(Command::Blacklist, vec![("client_id", text("ann"))]), "{}");
    assert_eq!(ann.heard(), None, "it is sent away");
    assert_eq!(hall.caller("ann").heard(), None);
    assert_eq!(world.order(Command::Unblacklist, vec![("client_id", text("ann"))]), "{}");
    hall.client("ann");
    nothing_for(&mut bob, "bob");
    assert_eq!(world.order(Command::Blacklist, vec![("client_ip", text("127.0.0.0/8"))]), "{}");
    assert_eq!(bob.heard(), None);
    assert_eq!(hall.caller("bob").heard(), None, "nobody comes from there");
    let wrong = world.order(Command::Blacklist, vec![("client_ip", text("x"))]);
    assert!(wrong.contains("no address"), "{wrong}");
}

#[test]
fn the_tools_are_told_of_clients() {
    let world = World::keeping();
    let hall = world.start();
    assert_eq!(world.order(Command::Peers, Vec::new()), "{}");
    assert!(world.order(Command::Queues, Vec::new()).contains("\"queue_send\": {}"));
    let mut ann = hall.client("ann");
    let port = ann.stream.local_addr().expect("bound").port();
    let peers = world.order(Command::Peers, vec![("dump_result", Value::Bool(true))]);
    assert_eq!(peers, format!("{{\"ann\":[\"127.0.0.1\",{port}]}}"));
    world.program().say(&to("bob", message("kept")));
    until(|| hall.connector.waiting().1 == 1);
    let queues = world.order(Command::Queues, Vec::new());
    assert!(queues.contains("\"ann\": 0") && queues.contains("\"bob\": 1"), "{queues}");
    let one = vec![("unique_peer", text("ann"))];
    assert_eq!(world.order(Command::Ignore, one), "['ann']");
    ann.say(&of("ann", message("not heard")));
    world.program().say(&to("ann", Message::of("other", "").with("not said")));
    until(|| hall.unsent() == 1);
    nothing_for(&mut ann, "ann");
    assert_eq!(world.order(Command::Ignore, vec![("disable", Value::Bool(true))]), "False");
    for command in [Command::ForgetCertificate, Command::ForgetToken, Command::DropCertificate] {
        let told = world.order(command, vec![("client_id", text("ann"))]);
        assert!(told.starts_with("{\"status\": false, \"msg\": \""), "{told}");
    }
    assert_eq!(world.order(Command::Disconnect, vec![("client_id", text("ann"))]), "{}");
    assert_eq!(ann.heard(), None);
    let mut ann = hall.client("ann");
    assert_eq!(world.order(Command::DeleteRemains, Vec::new()), "{}");
    until(|| hall.connector.waiting().1 == 0);
    assert_eq!(world.order(Command::Stop, vec![("hard", Value::Bool(true))]), "{}");
    assert_eq!(ann.heard(), None);
    assert_eq!(hall.connector.address(), None, "nobody is let in");
    assert_eq!(world.order(Command::Start, Vec::new()), "{}");
    hall.client("ann");
}

#[test]
fn what_clients_have_begun_to_say_together_has_a_bound() {
    let world = World::new();
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    hall.connector.house.held.fetch_add(HELD_MAX, Ordering::Relaxed);
    ann.stream.write_all(&[0, 0, 32, 0, 1]).expect("said");
    nothing_for(&mut bob, "bob");
    assert!(hall.is_there("ann"), "it is not for who says little");
    // It may be sent away before it has said all.
    let _ = ann.stream.write_all(&[0; 1 << 20]);
    assert_eq!(ann.heard(), None);
    hall.connector.house.held.fetch_sub(HELD_MAX, Ordering::Relaxed);
    drop((ann, bob));
    until(|| hall.connector.house.held.load(Ordering::Relaxed) == 0);
}

#[test]
fn clients_that_do_not_read_hold_up_neither_who_publishes_nor_each_other() {
    let world = World::serving(|serving| serving.central_broker = true);
    let hall = world.start();
    let (mut ann, mut deaf) = (hall.client("ann"), hall.client("deaf"));
    for (line, name) in [(&mut ann, "ann"), (&mut deaf, "deaf")] {
        say_as(line, name, &Meaning::Subscribe(vec!["news".into()]));
        nothing_for(line, name);
    }
    let mut said = Message::of(inner::PUBSUB, "ann").with("x".repeat(1 << 20));
    said.header.message_type_publish = Some("news".into());
    for _ in 0..64 {
        let begun = Instant::now();
        ann.say(&said);
        assert_eq!(ann.hear().data.len(), 1 << 20);
        assert!(begun.elapsed() < Duration::from_secs(5), "it has waited");
    }
    assert!(hall.unsent() > 0, "more than waits for one");
    drop(deaf);
    nothing_for(&mut ann, "ann");
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let world = World::serving(|serving| {
        (serving.silence, serving.stuck) = (Duration::from_millis(200), Duration::from_secs(1));
    });
    let hall = world.start();
    let _deaf = hall.client("deaf");
    let mut program = world.program();
    for _ in 0..16 {
        program.say(&to("deaf", message(&"x".repeat(1 << 20))));
    }
    until(|| !hall.is_there("deaf"));
}

/// A hello, to be said when it is time.
fn hello(name: &str) -> Message {
    Message::of(inner::HELLO, name).with("hello")
}

#[test]
fn who_was_on_its_way_in_is_not_let_in_after_a_stop_or_onto_a_list() {
    let world = World::new();
    let hall = world.start();
    let (mut early, mut other) = (hall.stranger(), hall.stranger());
    let mut ann = hall.client("ann");
    assert_eq!(world.order(Command::Blacklist, vec![("client_ip", text("127.0.0.0/8"))]), "{}");
    assert_eq!(ann.heard(), None);
    early.say(&hello("early"));
    assert_eq!(early.heard(), None, "it had come before the list was changed");
    assert_eq!(world.order(Command::Unblacklist, vec![("client_ip", text("127.0.0.0/8"))]), "{}");
    assert_eq!(world.order(Command::Stop, vec![("hard", Value::Bool(true))]), "{}");
    other.say(&hello("other"));
    assert_eq!(other.heard(), None, "it had come before the stop");
    until(|| hall.known() == 0);
}

#[test]
fn what_has_ended_is_not_begun_again_by_an_order_that_is_late() {
    let world = World::new();
    let hall = world.start();
    let house = std::sync::Arc::clone(&hall.connector.house);
    drop(hall);
    assert!(house.begin().is_err());
    assert_eq!(house.address(), None);
}

#[test]
fn nor_is_what_is_just_ending() {
    let world = World::new();
    let hall = world.start();
    hall.connector.house.leave();
    hall.connector.house.end(false);
    assert!(hall.connector.house.begin().is_err());
    let world = World::new();
    let dials = Setup::new("127.0.0.1:1", "me", &world.dir);
    let connector = Connector::start(dials).expect("it starts");
    connector.house.leave();
    connector.house.end(false);
    assert!(connector.house.begin().is_err());
}

#[test]
fn who_takes_its_name_back_is_heard_after_all_that_it_had_said_before() {
    let world = World::new();
    let hall = world.start();
    let _before = hall.client("ann");
    let house = &hall.connector.house;
    let served = house.hall.as_ref().expect("a server");
    let old = served.way("ann").and_then(|way| way.handle()).expect("it is there");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let _again = TcpStream::connect(address).expect("it is there");
    let (stream, from) = listener.accept().expect("it comes");
    let wire = Wire::accept(stream, None, Instant::now() + SOON).expect("a connection");
    let ann = Name::new(&"ann".into()).expect("a name");
    served.enter(house, (&ann, true, 0), from, wire).expect("it shows who it is");
    assert!(hall.is_there("ann"));
    let shared = std::sync::Arc::strong_count(&old.shared);
    assert_eq!(shared, 1, "nobody hands out what came over the old connection");
}

#[test]
fn who_is_gone_wants_nothing_any_more_however_late_that_is_read() {
    let world = World::serving(|serving| serving.central_broker = true);
    let hall = world.start();
    let mut ann = hall.client("ann");
    let house = &hall.connector.house;
    let way = house.hall.as_ref().and_then(|hall| hall.way("ann")).expect("it is there");
    let seat = |number| Seat { house: house.clone(), way: way.clone(), number };
    seat(1).wished(Wish::Topics(vec!["news".into()]));
    let mut said = Message::of(inner::PUBSUB, "").with("one");
    said.header.message_type_publish = Some("news".into());
    world.program().say(&said);
    assert_eq!(ann.data(1), ["one"]);
    assert_eq!(world.order(Command::Disconnect, vec![("client_id", text("ann"))]), "{}");
    seat(1).wished(Wish::Topics(vec!["news".into()]));
    let mut bob = hall.client("bob");
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    world.program().say(&said);
    assert_eq!(bob.data(1), ["one"]);
    assert_eq!(hall.unsent(), 0, "nobody else is told");
}

#[test]
fn answers_that_wait_for_a_file_to_end_have_a_bound() {
    let world = World::new();
    let hall = world.start();
    let mut bob = hall.client("bob");
    let path = world.dir.join("long");
    fs::File::create(&path).and_then(|file| file.set_len(64 << 20)).expect("a file");
    let with = format!(
        "{{\"src_path\": \"{}\", \"dst_type\": \"any\", \"dst_name\": \"a\"}}",
        path.display()
    );
    let mut said = to("bob", message("x"));
    said.header.with_file = Some(with.into());
    world.program().say(&said);
    let mut first = [0];
    bob.stream.peek(&mut first).expect("the file is on its way");
    bob.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("set");
    let ping = inner::frame(&Meaning::Ping("p".into()), "bob").expect("a frame");
    let ping = encode_vec(&ping.with(vec![0; 1 << 20])).expect("short");
    let taken = (0..48).take_while(|_| bob.stream.write_all(&ping).is_ok()).count();
    assert!(taken < 48, "all of it waits behind the file");
}

#[test]
fn a_file_that_was_published_in_parts_is_told_as_a_whole() {
    let mut world = World::serving(|serving| serving.central_broker = true);
    world.setup.folders = vec![("any".to_owned(), world.dir.join("files"))];
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    for (index, part) in [(1, "one "), (2, "two")] {
        let with = format!(
            "{{\"dst_type\": \"any\", \"dst_name\": \"sub/a{CHUNK}_{index}_2\", \
             \"chunked\": [\"sub/a{CHUNK}\", {index}, 2]}}"
        );
        let mut said = Message::of(inner::PUBSUB, "ann").with("x");
        said.header.message_type_publish = Some("news".into());
        said.header.with_file = Some(with.into());
        said.binary = part.into();
        ann.say(&said);
    }
    let heard = bob.hear();
    let with = WithFile::of(&heard).expect("good").expect("a file");
    assert_eq!((with.dst_name.as_str(), with.chunked), ("sub/a", None));
    assert_eq!(&heard.binary[..], b"one two");
}

#[test]
fn nothing_is_left_of_who_is_away_when_nothing_is_kept_for_it() {
    let mut world = World::keeping();
    world.setup.kept_max = 1_000;
    let hall = world.start();
    let mut program = world.program();
    program.say(&to("ann", message(&"x".repeat(1_000))));
    until(|| hall.unsent() == 1);
    until(|| hall.known() == 0);
    program.say(&to("bob", message("kept")));
    until(|| hall.connector.waiting().1 == 1);
    assert_eq!(world.order(Command::DeleteRemains, Vec::new()), "{}");
    assert_eq!((hall.known(), hall.kept().len()), (0, 0));
}

#[test]
fn a_publication_that_is_kept_is_safe_before_it_is_acknowledged() {
    let mut world = World::serving(|serving| serving.central_broker = true);
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    drop(bob);
    until(|| !hall.is_there("bob"));
    let mut said = Message::of(inner::PUBSUB, "ann").with("one");
    said.header.message_type_publish = Some("news".into());
    said.header.transport_id = Some(1.into());
    ann.say(&said);
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(1.into())));
    let way = hall.connector.house.hall.as_ref().and_then(|hall| hall.way("bob"));
    let way = way.expect("something is kept for it");
    assert_eq!((way.waiting(), way.is_safe()), (1, true));
}
