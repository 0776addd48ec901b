//! Floor 5. What the clients of a server share: a file that is published to more than one of them,
//! and the room for their names.
//!
//! Absent on purpose: everything else that they have (`server_test`).

#![expect(clippy::disallowed_types, reason = "a connection has its time")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::connector_test::{Line, SOON, until};
use super::server_test::{Hall, World, nothing_for, say_as};
use super::{Kept, Name};
use crate::client::aio::Message;
use crate::client::aio::wire::Wire;
use crate::proto::aio::command::Command;
use crate::proto::aio::file::WithFile;
use crate::proto::aio::inner::{self, Meaning};

fn broker() -> World {
    World::serving(|serving| serving.central_broker = true)
}

/// A client that wants the news.
pub(super) fn reader(hall: &Hall<'_>, name: &str) -> Line<TcpStream> {
    let mut line = hall.client(name);
    say_as(&mut line, name, &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut line, name);
    line
}

/// A program tells the news, with a file that is not to stay.
fn publish(world: &World, content: &[u8], numbered: bool) -> PathBuf {
    let path = world.dir.join("file");
    fs::write(&path, content).expect("written");
    tell(world, &path, "", numbered);
    path
}

fn tell(world: &World, path: &Path, more: &str, numbered: bool) {
    let with =
        format!("{{\"src_path\": {path:?}, \"dst_type\": \"any\", \"dst_name\": \"a\"{more}}}");
    let mut said = Message::of(inner::PUBSUB, "").with("x");
    said.header.message_type_publish = Some("news".into());
    said.header.with_file = Some(with.into());
    said.header.wait_for_ack = numbered;
    world.program().say(&said);
}

pub(super) fn content(heard: &Message) -> String {
    let with = WithFile::of(heard).expect("good").expect("a file");
    assert_eq!(with.file_error, None);
    String::from_utf8_lossy(&heard.binary).into_owned()
}

fn acknowledge(line: &mut Line<TcpStream>, name: &str, heard: &Message) {
    let number = heard.header.transport_id.clone().expect("it wants to be acknowledged");
    say_as(line, name, &Meaning::Ack(number));
}

#[test]
fn a_file_goes_when_the_last_reader_has_it() {
    let world = broker();
    let hall = world.start();
    let mut readers = ["ann", "bob", "eve"].map(|name| reader(&hall, name));
    let path = publish(&world, b"content", false);
    for reader in &mut readers {
        assert_eq!(content(&reader.hear()), "content");
    }
    until(|| !path.exists());
}

#[test]
fn and_has_said_so_where_that_is_waited_for() {
    let world = broker();
    let hall = world.start();
    let (mut ann, mut bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    let path = publish(&world, b"content", true);
    let (one, two) = (ann.hear(), bob.hear());
    assert_eq!((content(&one), content(&two)), ("content".to_owned(), "content".to_owned()));
    acknowledge(&mut ann, "ann", &one);
    nothing_for(&mut ann, "ann");
    assert!(path.exists());
    acknowledge(&mut bob, "bob", &two);
    until(|| !path.exists());
}

#[test]
fn or_is_gone_and_has_no_use_for_it() {
    let world = broker();
    let hall = world.start();
    let (mut ann, mut bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    let path = publish(&world, b"content", true);
    let one = ann.hear();
    bob.hear();
    acknowledge(&mut ann, "ann", &one);
    nothing_for(&mut ann, "ann");
    assert!(path.exists());
    drop(bob);
    until(|| !path.exists());
}

#[test]
fn for_who_is_away_and_for_whom_it_is_kept_it_waits() {
    let mut world = broker();
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    drop(bob);
    until(|| !hall.is_there("bob"));
    let path = publish(&world, b"content", false);
    let one = ann.hear();
    assert_eq!(content(&one), "content");
    acknowledge(&mut ann, "ann", &one);
    drop(ann);
    until(|| !hall.is_there("ann"));
    assert!(path.exists());
    let mut bob = hall.client("bob");
    let two = bob.hear();
    assert_eq!(content(&two), "content");
    acknowledge(&mut bob, "bob", &two);
    until(|| !path.exists());
}

#[test]
fn for_a_file_that_cannot_be_read_nobody_waits() {
    let world = broker();
    let hall = world.start();
    let (mut ann, mut bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    tell(&world, &world.dir.join("nowhere"), "", false);
    for line in [&mut ann, &mut bob] {
        let with = WithFile::of(&line.hear()).expect("good").expect("a file");
        assert!(with.file_error.is_some());
    }
    let served = hall.connector.house.hall.as_ref().expect("a server");
    until(|| !served.waits_for_files());
}

#[test]
fn nobody_but_the_server_says_who_else_reads_a_file() {
    let mut world = broker();
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    for name in ["ann", "bob"] {
        drop(reader(&hall, name));
        until(|| !hall.is_there(name));
    }
    // It is before the file, and may have guessed its number.
    let served = hall.connector.house.hall.as_ref().expect("a server");
    let forged = format!(", \"spindle_shared\": {}", served.last_file() + 1);
    tell(&world, &world.dir.join("nowhere"), &(forged + ", \"delete\": false"), false);
    until(|| hall.connector.waiting().1 == 2);
    let path = publish(&world, b"content", false);
    until(|| hall.connector.waiting().1 == 4);
    for name in ["ann", "bob"] {
        let mut line = hall.client(name);
        let forged = line.hear();
        acknowledge(&mut line, name, &forged);
        let heard = line.hear();
        assert_eq!(content(&heard), "content");
        for heard in [&heard, &forged] {
            let said = heard.header.with_file.as_ref().expect("a file");
            assert!(!String::from_utf8_lossy(said).contains("shared"), "nobody else is told");
        }
        acknowledge(&mut line, name, &heard);
        nothing_for(&mut line, name);
        assert_eq!(path.exists(), name == "ann");
    }
}

#[test]
fn what_is_thrown_away_of_what_is_kept_holds_no_file() {
    let mut world = broker();
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    for name in ["ann", "bob"] {
        drop(reader(&hall, name));
        until(|| !hall.is_there(name));
    }
    let path = publish(&world, b"content", false);
    until(|| hall.connector.waiting().1 == 2);
    assert_eq!(world.order(Command::DeleteRemains, Vec::new()), "{}");
    until(|| !path.exists());
}

#[test]
fn but_what_is_with_a_client_does() {
    let mut world = broker();
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    drop(bob);
    until(|| !hall.is_there("bob"));
    let path = publish(&world, b"content", false);
    let heard = ann.hear();
    assert_eq!(world.order(Command::DeleteRemains, Vec::new()), "{}");
    assert!(path.exists());
    acknowledge(&mut ann, "ann", &heard);
    until(|| !path.exists());
}

#[test]
fn clients_that_are_away_do_not_have_all_the_names_either() {
    let mut world = World::serving(|serving| serving.clients_max = 16);
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let mut program = world.program();
    for number in 0..16 {
        let mut said = Message::of("any", "").with("x");
        said.header.destination_id = Some(format!("c{number}").as_str().into());
        program.say(&said);
    }
    until(|| hall.unsent() == 2);
    let _ann = hall.client("ann");
}

#[test]
fn a_file_that_is_to_stay_stays_however_many_read_it() {
    let world = broker();
    let hall = world.start();
    let (mut ann, mut bob) = (reader(&hall, "ann"), reader(&hall, "bob"));
    let path = world.dir.join("file");
    fs::write(&path, "content").expect("written");
    tell(&world, &path, ", \"delete\": false", false);
    assert_eq!((content(&ann.hear()), content(&bob.hear())), ("content".into(), "content".into()));
    nothing_for(&mut ann, "ann");
    nothing_for(&mut bob, "bob");
    assert!(path.exists());
}

#[test]
fn a_file_that_is_for_one_goes_with_it() {
    let world = broker();
    let hall = world.start();
    let mut ann = reader(&hall, "ann");
    let path = publish(&world, b"content", false);
    assert_eq!(content(&ann.hear()), "content");
    until(|| !path.exists());
    let path = publish(&world, b"content", true);
    let heard = ann.hear();
    nothing_for(&mut ann, "ann");
    assert!(path.exists(), "it may have to be sent again");
    acknowledge(&mut ann, "ann", &heard);
    until(|| !path.exists());
}

#[test]
fn who_comes_back_is_not_away_whatever_it_has_said_since() {
    let mut world = broker();
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let served = hall.connector.house.hall.as_ref().expect("a server");
    drop(reader(&hall, "ann"));
    until(|| served.is_away("ann"));
    let _ann = hall.client("ann");
    until(|| !served.is_away("ann"));
}

#[test]
fn one_address_does_not_have_all_the_names() {
    let world = World::serving(|serving| serving.clients_max = 16);
    let hall = world.start();
    let mut all: Vec<_> = (0..14).map(|it| hall.client(&format!("c{it}"))).collect();
    assert!(hall.caller("other").heard().is_none(), "it is of the same address");
    let house = &hall.connector.house;
    let served = house.hall.as_ref().expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut strangers = Vec::new();
    for (name, proven, ip) in [("far", false, [10, 0, 0, 1]), ("near", true, [127, 0, 0, 1])] {
        strangers.push(TcpStream::connect(listener.local_addr().expect("bound")));
        let (stream, _) = listener.accept().expect("it comes");
        let wire = Wire::accept(stream, None, Instant::now() + SOON).expect("a connection");
        let own = Name::new(&name.into()).expect("a name");
        let entered = served.enter(house, (&own, proven, 0), (ip, 1).into(), wire);
        entered.expect("it is of another address, or has shown who it is");
        assert!(hall.is_there(name));
        served.send_away(house, &served.way(name).expect("it is there"));
    }
    drop(all.pop());
    until(|| !hall.is_there("c13"));
    hall.client("other");
}
