//! Floor 5. What could not be kept is not acknowledged, and comes again: a connector whose disk is
//! full, or fails.
//!
//! Absent on purpose: what is kept (`connector_test`, `server_test`).

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::connector_test::{Line, World, incoming, message, until};
use super::server_test::{World as Served, nothing_for, say_as};
use super::sharing_test::{content, reader};
use super::{Connector, Kept, Setup};
use crate::client::aio::Message;
use crate::proto::aio::inner::{self, Meaning, Side};
use crate::proto::aio::{encode_vec, meaning};

/// What is received is kept, so much of it.
fn keeping(world: &World, most: u64) -> Setup {
    Setup { keep_received: Kept::Everything, kept_max: most, ..world.setup() }
}

fn numbered(number: u64, mut said: Message) -> Message {
    said.header.transport_id = Some(number.into());
    said
}

fn is_acknowledged(line: &mut Line<TcpStream>, number: u64) {
    let heard = line.hear();
    assert!(matches!(meaning(&heard, Side::Client), Ok(Meaning::Ack(id)) if id == number.into()));
}

fn unwanted(connector: &Connector) -> u64 {
    connector.house.tally.unwanted.load(Ordering::Relaxed)
}

#[test]
fn what_finds_no_room_is_not_acknowledged_and_nothing_overtakes_it() {
    let world = World::new();
    let (connector, mut server) = world.meet(keeping(&world, 800));
    let long = |sign: &str| message(&sign.repeat(400));
    server.say(&numbered(1, long("a")));
    is_acknowledged(&mut server, 1);
    server.say(&numbered(2, long("b")));
    server.say(&numbered(3, message("c")));
    assert!(server.heard().is_none(), "the connection ends");
    assert_eq!((connector.waiting().0, unwanted(&connector)), (1, 1));
    let mut server = world.accept();
    let listener = world.listen("any");
    let mut program = incoming(&listener);
    assert_eq!(program.data(1), ["a".repeat(400)]);
    until(|| connector.waiting().0 == 0);
    for (number, said) in [(1, long("b")), (2, message("c"))] {
        server.say(&numbered(number, said));
        is_acknowledged(&mut server, number);
    }
    assert_eq!(program.data(2), ["b".repeat(400), "c".to_owned()]);
}

#[test]
fn what_nobody_waits_to_be_acknowledged_is_dropped_and_ends_nothing() {
    let world = World::new();
    let (connector, mut server) = world.meet(keeping(&world, 400));
    server.say(&message(&"x".repeat(200)));
    server.say(&message(&"x".repeat(200)));
    server.say(&numbered(1, message("a")));
    is_acknowledged(&mut server, 1);
    assert_eq!((connector.waiting().0, unwanted(&connector)), (2, 1));
}

#[test]
fn what_will_never_find_room_is_dropped_and_holds_up_nothing() {
    let world = World::new();
    let (connector, mut server) = world.meet(keeping(&world, 400));
    server.say(&numbered(1, message(&"x".repeat(400))));
    is_acknowledged(&mut server, 1);
    server.say(&numbered(2, message("a")));
    is_acknowledged(&mut server, 2);
    assert_eq!((connector.waiting().0, unwanted(&connector)), (1, 1));
}

#[test]
fn who_has_said_nothing_that_is_kept_is_acknowledged_whatever_the_disk_does() {
    let world = World::new();
    let setup = Setup {
        keep_received: Kept::Types(vec!["kept".to_owned()]),
        receive_types: vec!["any".to_owned(), "kept".to_owned()],
        ..world.setup()
    };
    let (connector, mut server) = world.meet(setup);
    let failing = connector.house.outlets().find(|it| it.is_kept()).expect("one is kept");
    failing.fail("/dev/null");
    // Both are heard at once, and the disk is asked after that.
    let kept = encode_vec(&Message::of("kept", "s").with("x")).expect("short");
    let other = encode_vec(&numbered(1, message("a"))).expect("short");
    server.write(&[kept, other].concat());
    is_acknowledged(&mut server, 1);
}

fn with_file(mut said: Message, content: &[u8]) -> Message {
    said.header.with_file = Some("{\"dst_type\": \"any\", \"dst_name\": \"a\"}".into());
    said.binary = content.to_vec().into();
    said
}

/// A long file comes with this, and the disk will not take it in.
fn with_failing_file(files: &Path, line: &mut Line<TcpStream>, said: Message) {
    let said = with_file(said, &vec![b'x'; 2 << 20]);
    let bytes = encode_vec(&said).expect("not too long");
    let (first, rest) = bytes.split_at(bytes.len() - 10);
    line.write(first);
    let parts = || fs::read_dir(files).expect("a folder").flatten().map(|entry| entry.path());
    until(|| parts().count() == 1);
    let part = parts().next().expect("it comes");
    fs::remove_file(&part).expect("a part");
    symlink("/dev/null", &part).expect("a link");
    line.write(rest);
}

#[test]
fn the_file_of_what_is_kept_is_safe_before_that_is_acknowledged() {
    let world = World::new();
    let files = world.dir.join("files");
    let folders = vec![("any".to_owned(), files.clone())];
    let (_connector, mut server) = world.meet(Setup { folders, ..keeping(&world, 1 << 20) });
    with_failing_file(&files, &mut server, numbered(1, message("a")));
    assert!(server.heard().is_none(), "the connection ends");
    assert_eq!(fs::read_dir(&files).expect("a folder").count(), 0);
    let mut server = world.accept();
    server.say(&with_file(numbered(1, message("a")), b"content"));
    is_acknowledged(&mut server, 1);
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"content");
}

#[test]
fn and_so_is_that_of_a_publication_that_is_kept() {
    for kept in [Kept::Everything, Kept::Nothing] {
        let mut world = Served::serving(|serving| serving.central_broker = true);
        let files = world.dir.join("files");
        let promised = kept == Kept::Everything;
        world.setup.keep_sent = kept;
        world.setup.folders = vec![("any".to_owned(), files.clone())];
        let hall = world.start();
        let (mut ann, _bob) = (hall.client("ann"), reader(&hall, "bob"));
        let mut said = Message::of(inner::PUBSUB, "ann").with("one");
        said.header.message_type_publish = Some("news".into());
        with_failing_file(&files, &mut ann, numbered(1, said));
        let heard = ann.heard().map(|frame| meaning(&frame, Side::Server).expect("good"));
        assert_eq!(heard, if promised { None } else { Some(Meaning::Ack(1.into())) });
    }
}

#[test]
fn who_is_promised_nothing_does_not_wait_for_the_disk() {
    for (kept, first) in [(Kept::Nothing, Some(1)), (Kept::Everything, None)] {
        let world = World::new();
        let files = world.dir.join("files");
        let folders = vec![("any".to_owned(), files.clone())];
        let setup = Setup { folders, keep_received: kept, ..world.setup() };
        let (_connector, mut server) = world.meet(setup);
        let said = message("a");
        with_failing_file(
            &files,
            &mut server,
            match first {
                Some(number) => numbered(number, said),
                None => said,
            },
        );
        server.say(&numbered(2, message("b")));
        for number in first.into_iter().chain([2]) {
            is_acknowledged(&mut server, number);
        }
        assert_eq!(fs::read_dir(&files).expect("a folder").count(), 1);
    }
}

#[test]
fn nor_who_says_what_nobody_takes() {
    let world = World::new();
    let files = world.dir.join("files");
    let folders = vec![("any".to_owned(), files.clone())];
    let (_connector, mut server) = world.meet(Setup { folders, ..keeping(&world, 1 << 20) });
    let mut said = numbered(1, message("a"));
    said.header.message_type = "nobody's".into();
    with_failing_file(&files, &mut server, said);
    is_acknowledged(&mut server, 1);
    let mut world = Served::serving(|serving| serving.central_broker = true);
    let files = world.dir.join("files");
    world.setup.keep_sent = Kept::Everything;
    world.setup.folders = vec![("any".to_owned(), files.clone())];
    let hall = world.start();
    let mut ann = hall.client("ann");
    let mut said = Message::of(inner::PUBSUB, "ann").with("one");
    said.header.message_type_publish = Some("news".into());
    with_failing_file(&files, &mut ann, numbered(1, said));
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(1.into())));
}

#[test]
fn what_is_said_again_finds_its_file() {
    let world = World::new();
    let files = world.dir.join("files");
    let folders = vec![("any".to_owned(), files.clone())];
    let (connector, mut server) = world.meet(Setup { folders, ..keeping(&world, 400) });
    server.say(&numbered(9, message(&"x".repeat(150))));
    is_acknowledged(&mut server, 9);
    let said = || with_file(numbered(1, message(&"x".repeat(150))), b"content");
    server.say(&said());
    assert!(server.heard().is_none(), "the connection ends");
    let mut server = world.accept();
    let _program = incoming(&world.listen("any"));
    until(|| connector.waiting().0 == 0);
    server.say(&said());
    is_acknowledged(&mut server, 1);
    assert_eq!(fs::read(files.join("a")).expect("it is there"), b"content");
}

#[test]
fn so_does_a_publication() {
    let mut world = Served::serving(|serving| serving.central_broker = true);
    world.setup.keep_sent = Kept::Everything;
    world.setup.folders = vec![("any".to_owned(), world.dir.join("files"))];
    let hall = world.start();
    let mut ann = hall.client("ann");
    drop(reader(&hall, "bob"));
    until(|| !hall.is_there("bob"));
    let publication = |number: u64| {
        let mut said = Message::of(inner::PUBSUB, "ann").with("one");
        said.header.message_type_publish = Some("news".into());
        numbered(number, said)
    };
    ann.say(&publication(1));
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(1.into())));
    let served = hall.connector.house.hall.as_ref().expect("a server");
    served.way("bob").expect("something is kept for it").fail("/dev/full");
    ann.say(&with_file(publication(2), b"content"));
    assert!(ann.heard().is_none(), "the connection ends");
    until(|| !hall.is_there("ann"));
    ann = hall.client("ann");
    ann.say(&with_file(publication(2), b"content"));
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(2.into())));
    let mut bob = hall.client("bob");
    bob.hear();
    assert_eq!(content(&bob.hear()), "content");
}

#[test]
fn what_a_failing_disk_has_not_taken_in_is_not_acknowledged() {
    let world = World::new();
    let (connector, mut server) = world.meet(keeping(&world, 1 << 20));
    server.say(&numbered(1, message("a")));
    is_acknowledged(&mut server, 1);
    connector.house.outlets().for_each(|outlet| outlet.fail("/dev/null"));
    server.say(&numbered(2, message("b")));
    assert!(server.heard().is_none(), "the connection ends");
    let mut server = world.accept();
    server.say(&numbered(1, message("b")));
    is_acknowledged(&mut server, 1);
    // What is there is there on the disk.
    drop((connector, server));
    let (connector, _server) = world.meet(keeping(&world, 1 << 20));
    assert_eq!(incoming(&world.listen("any")).data(2), ["a", "b"]);
    until(|| connector.waiting().0 == 0);
}

#[test]
fn nor_is_a_publication_that_a_failing_disk_has_not_taken_in() {
    let mut world = Served::serving(|serving| serving.central_broker = true);
    world.setup.keep_sent = Kept::Everything;
    let hall = world.start();
    let (mut ann, mut bob) = (hall.client("ann"), hall.client("bob"));
    say_as(&mut bob, "bob", &Meaning::Subscribe(vec!["news".into()]));
    nothing_for(&mut bob, "bob");
    drop(bob);
    until(|| !hall.is_there("bob"));
    let publication = |number: u64| {
        let mut said = Message::of(inner::PUBSUB, "ann").with("one");
        said.header.message_type_publish = Some("news".into());
        numbered(number, said)
    };
    ann.say(&publication(1));
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(1.into())));
    let served = hall.connector.house.hall.as_ref().expect("a server");
    for fails in ["/dev/full", "/dev/null"] {
        served.way("bob").expect("something is kept for it").fail(fails);
        ann.say(&publication(2));
        assert!(ann.heard().is_none(), "the connection ends");
        until(|| !hall.is_there("ann"));
        ann = hall.client("ann");
    }
    ann.say(&publication(1));
    assert_eq!(meaning(&ann.hear(), Side::Server), Ok(Meaning::Ack(1.into())), "another file");
}
