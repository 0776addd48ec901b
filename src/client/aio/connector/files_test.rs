//! Floor 5. Files that come to a connector in parts, and what is left of others.
//!
//! Absent on purpose: files that go (`sharing_test`), and those of what cannot be kept
//! (`unkept_test`).

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::connector_test::{self, Line, message, until};
use super::server_test::{World, nothing_for, of};
use super::sharing_test::{content, reader};
use super::{Errand, Kept, Name, Names, Ran, Setup};
use crate::client::aio::Message;
use crate::proto::aio::command::Command;
use crate::proto::aio::file::CHUNK;
use crate::proto::aio::inner::{self, Meaning, Side};
use crate::proto::aio::meaning;
use crate::value::Value;

/// One of two parts of the file `a`.
fn part(index: u32, said: Message) -> Message {
    piece(index, &format!("half {index}."), said)
}

fn piece(index: u32, content: &str, mut said: Message) -> Message {
    let base = format!("a{CHUNK}");
    let with = format!(
        "{{\"dst_type\": \"any\", \"dst_name\": \"{base}_{index}_2\", \
         \"chunked\": [\"{base}\", {index}, 2]}}"
    );
    said.header.with_file = Some(with.into());
    said.header.transport_id = Some(u64::from(index).into());
    said.binary = content.to_owned().into();
    said
}

fn is_acknowledged(line: &mut Line<TcpStream>, from: Side, number: u64) {
    assert_eq!(meaning(&line.hear(), from), Ok(Meaning::Ack(number.into())));
}

/// What somebody left here who was killed long ago.
fn leave(folder: &Path) -> std::path::PathBuf {
    let left = folder.join(".spindle-0123456789abcdef.part");
    fs::create_dir_all(folder).expect("made");
    fs::File::create(&left).expect("a file");
    age(&left);
    left
}

/// It was written long ago.
fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).expect("a file");
    let now = file.metadata().and_then(|it| it.modified()).expect("a time");
    file.set_modified(now - Duration::from_secs(40 * 24 * 3_600)).expect("set");
}

#[test]
fn a_file_that_came_in_parts_stays_where_its_last_message_does_not() {
    let world = connector_test::World::new();
    let files = world.dir.join("files");
    let folders = vec![("any".to_owned(), files.clone())];
    let setup = Setup { folders, keep_received: Kept::Everything, kept_max: 800, ..world.setup() };
    let (_connector, mut server) = world.meet(setup);
    server.say(&part(1, message("x")));
    is_acknowledged(&mut server, Side::Client, 1);
    server.say(&part(2, message(&"x".repeat(500))));
    assert!(server.heard().is_none(), "the connection ends");
    world.accept();
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"half 1.half 2.");
}

#[test]
fn parts_of_a_clients_file_come_over_more_than_one_connection() {
    let mut world = World::new();
    let files = world.dir.join("files");
    world.setup.folders = vec![("any".to_owned(), files.clone())];
    let hall = world.start();
    for (name, index, whole) in [("ann", 1, false), ("bob", 2, false), ("ann", 2, true)] {
        let mut line = hall.client(name);
        line.say(&of(name, part(index, message("x"))));
        is_acknowledged(&mut line, Side::Server, index.into());
        assert_eq!(files.join("a").exists(), whole, "{name} {index}");
        drop(line);
        until(|| !hall.is_there(name));
    }
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"half 1.half 2.");
    drop(hall);
    assert_eq!(fs::read_dir(&files).expect("a folder").count(), 1, "nothing is left of the other");
}

#[test]
fn what_a_killed_connector_has_left_goes_when_another_starts() {
    let mut world = World::new();
    let files = world.dir.join("files");
    world.setup.folders = vec![("any".to_owned(), files.clone())];
    let left = leave(&files);
    let _hall = world.start();
    assert!(!left.exists());
    let world = connector_test::World::new();
    let folders = vec![("any".to_owned(), world.dir.join("files"))];
    let left = leave(&world.dir.join("files"));
    let (_connector, _server) = world.meet(Setup { folders, ..world.setup() });
    until(|| !left.exists());
}

#[test]
fn who_begins_anew_means_the_new_file() {
    let mut world = World::new();
    let files = world.dir.join("files");
    world.setup.folders = vec![("any".to_owned(), files.clone())];
    let hall = world.start();
    let says = [(1, "old 1."), (1, "new 1."), (1, "new 1."), (2, "new 2."), (2, "new 2.")];
    for (index, content) in says {
        let mut line = hall.client("ann");
        line.say(&of("ann", piece(index, content, message("x"))));
        is_acknowledged(&mut line, Side::Server, index.into());
        drop(line);
        until(|| !hall.is_there("ann"));
    }
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"new 1.new 2.");
    assert_eq!(fs::read_dir(&files).expect("a folder").count(), 1);
}

#[test]
fn a_part_that_is_waited_for_is_not_swept_whatever_the_clock_says() {
    let mut world = World::new();
    let folder = world.dir.join("{source_id}");
    let files = world.dir.join("ann");
    world.setup.folders = vec![("any".to_owned(), folder)];
    let hall = world.start();
    for index in [1, 2] {
        let mut line = hall.client("ann");
        line.say(&of("ann", part(index, message("x"))));
        is_acknowledged(&mut line, Side::Server, index.into());
        drop(line);
        until(|| !hall.is_there("ann"));
        if index == 1 {
            age(&fs::read_dir(&files).expect("a folder").flatten().next().expect("a part").path());
        }
    }
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"half 1.half 2.");
    let left = leave(&files);
    let _ann = hall.client("ann");
    assert!(!left.exists(), "and nothing waits for this");
}

/// A part of that file, published.
fn publication(number: u64, index: u32) -> Message {
    let mut said = part(index, Message::of(inner::PUBSUB, "ann").with("x"));
    said.header.message_type_publish = Some("news".into());
    said.header.transport_id = Some(number.into());
    said
}

#[test]
fn a_published_file_in_parts_is_told_once_it_is_whole_and_also_if_the_disk_failed_then() {
    let mut world = World::serving(|serving| serving.central_broker = true);
    world.setup.folders = vec![("any".to_owned(), world.dir.join("files"))];
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), reader(&hall, "bob"));
    for number in [1, 2] {
        ann.say(&publication(number, 1));
        is_acknowledged(&mut ann, Side::Server, number);
    }
    nothing_for(&mut bob, "bob");
    drop(bob);
    until(|| !hall.is_there("bob"));
    // So that something is kept for it.
    let mut said = Message::of(inner::PUBSUB, "ann").with("x");
    said.header.message_type_publish = Some("news".into());
    said.header.transport_id = Some(3_u64.into());
    ann.say(&said);
    is_acknowledged(&mut ann, Side::Server, 3);
    let served = hall.connector.house.hall.as_ref().expect("a server");
    served.way("bob").expect("something is kept for it").fail("/dev/full");
    ann.say(&publication(4, 2));
    assert!(ann.heard().is_none(), "the connection ends");
    until(|| !hall.is_there("ann"));
    let mut ann = hall.client("ann");
    ann.say(&publication(4, 2));
    is_acknowledged(&mut ann, Side::Server, 4);
    let mut bob = hall.client("bob");
    assert!(bob.hear().header.with_file.is_none());
    assert_eq!(content(&bob.hear()), "half 1.half 2.");
}

#[test]
fn who_has_a_name_after_another_has_nothing_of_its_files() {
    let mut world = World::new();
    let files = world.dir.join("files");
    world.setup.folders = vec![("any".to_owned(), files.clone())];
    let serving = world.setup.serves.as_mut().expect("a server");
    serving.names = Some(std::sync::Arc::new(Nobody));
    let hall = world.start();
    for command in [Command::ForgetCertificate, Command::Blacklist] {
        let mut ann = hall.client("ann");
        ann.say(&of("ann", part(1, message("x"))));
        is_acknowledged(&mut ann, Side::Server, 1);
        let whom = || vec![("client_id", Value::Text("ann".to_owned()))];
        world.order(command, whom());
        until(|| !hall.is_there("ann"));
        until(|| fs::read_dir(&files).expect("a folder").count() == 0);
        if command == Command::Blacklist {
            world.order(Command::Unblacklist, whom());
        }
    }
}

/// Something was given to everybody, and is taken back.
#[derive(Debug)]
struct Nobody;

impl Names for Nobody {
    fn run(&self, _: Errand) -> Ran {
        Ran::Not("nothing is given")
    }

    fn forget(&self, _: &Name, _: bool) -> Result<(), String> {
        Ok(())
    }
}
