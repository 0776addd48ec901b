//! Floor 5. Files that come to a connector in parts, and what is left of others.
//!
//! Absent on purpose: files that go (`sharing_test`), and those of what cannot be kept
//! (`unkept_test`).

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::connector_test::{self, Line, message, until};
use super::server_test::{World, of};
use super::{Kept, Setup};
use crate::client::aio::Message;
use crate::proto::aio::file::CHUNK;
use crate::proto::aio::inner::{Meaning, Side};
use crate::proto::aio::meaning;

/// One of two parts of the file `a`.
fn part(index: u32, mut said: Message) -> Message {
    let base = format!("a{CHUNK}");
    let with = format!(
        "{{\"dst_type\": \"any\", \"dst_name\": \"{base}_{index}_2\", \
         \"chunked\": [\"{base}\", {index}, 2]}}"
    );
    said.header.with_file = Some(with.into());
    said.header.transport_id = Some(u64::from(index).into());
    said.binary = format!("half {index}.").into();
    said
}

fn is_acknowledged(line: &mut Line<TcpStream>, from: Side, number: u64) {
    assert_eq!(meaning(&line.hear(), from), Ok(Meaning::Ack(number.into())));
}

/// What somebody left here who was killed long ago.
fn leave(folder: &Path) -> std::path::PathBuf {
    let left = folder.join(".spindle-0123456789abcdef.part");
    fs::create_dir_all(folder).expect("made");
    let file = fs::File::create(&left).expect("a file");
    let now = file.metadata().and_then(|it| it.modified()).expect("a time");
    file.set_modified(now - Duration::from_secs(40 * 24 * 3_600)).expect("set");
    left
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
