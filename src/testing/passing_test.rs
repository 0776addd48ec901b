//! Floor 5. Long files on their way from one connector to others: what is asked of who keeps them,
//! and what is said on which connection meanwhile.

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::base::time::{Deadline, Now};
use crate::engine::Completion;
use crate::hub::message::Durability;
use crate::hub::policy::Address;
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::aio::file::WithFile;
use crate::proto::aio::inner::{self, Meaning};
use crate::proto::aio::{Frame, Id, Name, Text, encode_vec, next};

use super::clerk::Clerk;
use super::disk::FakeDisk;
use super::rig::{AIO, Rig, Setup};

const HERE: Address = Address::V4([127, 0, 0, 1]);
/// As long as a packet may be here, and so a piece.
const PACKET: usize = 1_000;
const LONG: usize = 10 * PACKET;

struct World {
    rig: Rig,
    setup: Setup,
    disk: FakeDisk,
}

impl World {
    fn new(setup: Setup) -> Self {
        let disk = FakeDisk::default();
        let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
        let rig = Rig::start(&setup, &disk, now).expect("it starts");
        Self { rig, setup, disk }
    }

    fn come(&mut self, name: &str) -> ConnId {
        let conn = self.rig.open_at(AIO, HERE).expect("a slot");
        let name = Name::new(&Text::from(name)).expect("a name");
        let hello = inner::frame(&Meaning::Hello { tls: false, name: name.clone() }, name.as_str());
        self.say(conn, &hello.expect("it can be said"));
        let mut listens = Frame::of("_pubsub", name.as_str());
        listens = listens.with("{\"subscribe_message_types\": [\"f\"]}");
        if name.as_str() != "ann" {
            self.say(conn, &listens);
        }
        self.go();
        conn
    }

    fn say(&mut self, conn: ConnId, frame: &Frame) {
        let bytes = encode_vec(frame).expect("short");
        self.wire(conn).inward.extend_from_slice(&bytes);
    }

    fn wire(&mut self, conn: ConnId) -> &mut super::rig::Wire {
        self.rig.wires.get_mut(&conn).expect("a wire")
    }

    /// Turn, and do errands, until nothing happens.
    fn go(&mut self) {
        for _ in 0..1_000 {
            assert!(self.rig.rest(64), "it rests");
            if self.rig.errands.is_empty() {
                return;
            }
            self.rig.run_errands(true);
        }
        panic!("there is no end of errands");
    }

    /// What it hears next, if that has come whole.
    fn heard(&mut self, conn: ConnId) -> Option<Frame> {
        let wire = self.wire(conn);
        let mut input = BytesMut::from(&wire.heard[..]);
        let frame = next(&mut input, usize::MAX).expect("good");
        wire.heard = input.to_vec();
        frame
    }

    fn deaf(&mut self, conn: ConnId, room: usize) {
        self.wire(conn).room = room;
    }

    fn ended(&mut self, conn: ConnId) -> Option<&'static str> {
        self.wire(conn).ended
    }

    fn count(&self, counter: Counter) -> u64 {
        self.rig.engine.hub().stats.get(counter)
    }

    fn waiting(&self) -> usize {
        self.rig.clerk.spool.len()
    }

    /// Say that it has what came with this frame.
    fn acknowledge(&mut self, conn: ConnId, name: &str, frame: &Frame) {
        let mut ack = Frame::of("_ack", name);
        ack.header.transport_id = frame.header.transport_id.clone();
        self.say(conn, &ack);
        self.go();
    }
}

fn setup() -> Setup {
    let limits = Limits { packet_bytes_max: PACKET, ..Limits::default() };
    let desk = Desk { files: Some("files".into()), ..Desk::default() };
    let level = Durability::Memory;
    Setup { limits, desk: Some(desk.into()), level, ..Setup::default() }
}

fn world() -> World {
    World::new(setup())
}

fn content() -> Bytes {
    (0..LONG).map(|at| (at / 7) as u8).collect()
}

/// A message with a long file and something of the application's before it.
fn long(from: &str) -> Frame {
    let mut frame = Frame::of("f", from).with("data");
    let with = b"{\"dst_type\": \"any\", \"dst_name\": \"n\", \"binary_offset\": 3}";
    frame.header.with_file = Some(Bytes::from_static(with));
    frame.binary = [b"own", &content()[..]].concat().into();
    frame
}

fn has_file(frame: &Frame) -> bool {
    let with = WithFile::of(frame).expect("good").expect("a file is said of");
    with.file_error.is_none() && frame.binary[..] == long("ann").binary[..]
}

fn ping(from: &str) -> Frame {
    inner::frame(&Meaning::Ping(Id::from(7)), from).expect("it can be said")
}

#[test]
fn a_long_file_goes_to_all_who_hear_of_it_and_is_kept_until_they_have_it() {
    let mut it = world();
    let (ann, bob, cat) = (it.come("ann"), it.come("bob"), it.come("cat"));
    it.say(ann, &long("ann"));
    it.go();
    let (first, second) = (it.heard(bob).expect("all of it"), it.heard(cat).expect("all of it"));
    assert!(has_file(&first) && has_file(&second));
    assert_eq!(
        (&first.data[..], first.header.source_id.clone()),
        (&b"data"[..], Some("ann".into()))
    );
    assert_eq!((it.count(Counter::FilesForwarded), it.count(Counter::FilesStored)), (2, 1));
    assert_eq!((it.waiting(), it.count(Counter::FilesWithheld)), (1, 0));
    it.acknowledge(cat, "cat", &second);
    it.acknowledge(cat, "cat", &second);
    assert_eq!(it.waiting(), 1, "once");
    it.acknowledge(bob, "bob", &first);
    assert_eq!(it.waiting(), 0);
    assert_eq!(it.count(Counter::StaleAnswers), 0, "what is noted has no answer");
    it.say(ann, &long("ann"));
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)), "and so does the next");
}

#[test]
fn what_nobody_hears_waits_for_nobody() {
    let mut it = world();
    let ann = it.come("ann");
    it.say(ann, &long("ann"));
    it.go();
    assert_eq!((it.waiting(), it.count(Counter::FilesStored)), (0, 1));
}

#[test]
fn no_more_of_a_file_is_in_memory_than_a_few_pieces_whoever_reads_slowly() {
    let mut it = world();
    let (ann, bob, cat) = (it.come("ann"), it.come("bob"), it.come("cat"));
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    let mut fetched = 0;
    for _ in 0..200 {
        it.rig.rest(64);
        for (ticket, errand) in core::mem::take(&mut it.rig.errands) {
            if let Errand::Fetch { len, .. } = &errand
                && ticket.conn == bob
            {
                assert!(*len <= PACKET);
                fetched += len;
            }
            let done = it.rig.clerk.run(ticket.conn, errand, true);
            it.rig.engine.on_completion(it.rig.now, Completion::Ran { ticket, done });
        }
    }
    assert_eq!(fetched, 3 * PACKET, "one that waits at the socket, and two");
    assert!(it.heard(cat).is_some_and(|frame| has_file(&frame)), "nobody else waits");
    it.deaf(bob, usize::MAX);
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
}

#[test]
fn within_a_file_nothing_else_is_said_and_it_all_comes_behind_it() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    it.say(ann, &Frame::of("f", "ann").with("behind"));
    it.go();
    it.say(bob, &ping("bob"));
    it.go();
    for room in [1, 100, PACKET, usize::MAX] {
        it.deaf(bob, room);
        it.go();
    }
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
    let (one, other) = (it.heard(bob).expect("two more"), it.heard(bob).expect("two more"));
    assert_eq!(one.header.response_id, Some(Id::from(7)), "the answer to its ping");
    assert_eq!(&other.data[..], b"behind");
    assert!(it.wire(bob).heard.is_empty());
}

#[test]
fn what_is_to_be_fetched_is_not_slept_over() {
    let mut it = world();
    let (ann, _) = (it.come("ann"), it.come("bob"));
    it.say(ann, &long("ann"));
    let fetches = |it: &World| {
        it.rig.errands.iter().any(|(_, errand)| matches!(errand, Errand::Fetch { .. }))
    };
    let mut due = false;
    for _ in 0..200 {
        it.rig.turn();
        if fetches(&it) {
            break;
        }
        it.rig.run_errands(true);
        due = it.rig.engine.poll_deadline() == Some(Deadline(0));
    }
    assert!(fetches(&it) && due, "what was asked for while it spoke goes out in the next turn");
}

#[test]
fn a_piece_of_another_length_is_none() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.say(ann, &long("ann"));
    for _ in 0..200 {
        it.rig.rest(64);
        for (ticket, errand) in core::mem::take(&mut it.rig.errands) {
            let late = matches!(errand, Errand::Fetch { at, .. } if at > 0);
            let done = match it.rig.clerk.run(ticket.conn, errand, true) {
                Ran::Fetched(piece) if late => Ran::Fetched(piece.slice(1..)),
                done => done,
            };
            it.rig.engine.on_completion(it.rig.now, Completion::Ran { ticket, done });
        }
    }
    assert_eq!(it.ended(bob), Some("AioFileLost"));
}

#[test]
fn what_could_not_be_said_to_have_no_file_is_lost_and_nothing_behind_it_is() {
    let mut setup = setup();
    setup.limits.packet_bytes_max = 100_000;
    let mut it = World::new(setup);
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    let filled = |len: usize| {
        let mut frame = long("ann");
        frame.binary = [b"own", &[1; 200_000][..]].concat().into();
        frame.header.others = vec![("x".into(), format!("\"{}\"", "x".repeat(len)).into())];
        frame
    };
    it.say(ann, &filled(100));
    it.go();
    let header = it.wire(bob).heard[4..6].try_into().expect("two bytes");
    let full = 100 + 65_535 - usize::from(u16::from_le_bytes(header));
    assert!(it.heard(bob).is_some_and(|frame| frame.binary.len() == 200_003));
    it.say(ann, &filled(full - 20));
    it.say(ann, &Frame::of("f", "ann").with("behind"));
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| &frame.data[..] == b"behind"));
    assert_eq!(it.count(Counter::DroppedLarge), 1);
}

#[test]
fn before_a_file_is_found_other_words_go_and_other_messages_wait() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.say(ann, &long("ann"));
    it.say(ann, &Frame::of("f", "ann").with("behind"));
    // The disk is slow from here on.
    let asked = |it: &World| {
        let fetches = |(_, errand): &&(_, Errand)| matches!(errand, Errand::Fetch { .. });
        it.rig.errands.iter().filter(fetches).count()
    };
    for _ in 0..40 {
        it.rig.rest(64);
        if asked(&it) > 0 {
            break;
        }
        it.rig.run_errands(true);
    }
    assert_eq!(asked(&it), 1, "one piece, and the message behind it is not looked at");
    it.say(bob, &ping("bob"));
    it.rig.rest(64);
    assert!(it.heard(bob).is_some_and(|frame| frame.header.response_id.is_some()));
    assert!(it.heard(bob).is_none());
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
    assert!(it.heard(bob).is_some_and(|frame| &frame.data[..] == b"behind"));
}

#[test]
fn a_file_that_is_gone_before_it_begins_is_said_to_be_gone() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.rig.wires.get_mut(&bob).expect("a wire").fin = Some(true);
    it.go();
    it.say(ann, &long("ann"));
    it.go();
    assert_eq!(it.waiting(), 1, "it is kept for who is away");
    it.rig.clerk = Clerk::default();
    let bob = it.come("bob");
    let told = it.heard(bob).expect("the message");
    assert_eq!((&told.data[..], &told.binary[..]), (&b"data"[..], &b"own"[..]));
    let with = WithFile::of(&told).expect("good").expect("a file is said of");
    assert_eq!(with.file_error.as_ref().map(Text::as_str), Some("the broker has the file no more"));
    assert_eq!((it.count(Counter::FilesWithheld), it.count(Counter::FilesForwarded)), (1, 0));
    it.say(ann, &Frame::of("f", "ann").with("behind"));
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| &frame.data[..] == b"behind"));
}

#[test]
fn a_file_that_goes_while_it_is_said_ends_its_reader_without_another_word() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    it.go();
    it.say(bob, &ping("bob"));
    it.go();
    it.rig.clerk = Clerk::default();
    it.deaf(bob, usize::MAX);
    it.go();
    assert_eq!(it.ended(bob), Some("AioFileLost"));
    let said = it.wire(bob).heard.len();
    assert!(said < LONG && it.heard(bob).is_none(), "what was promised did not come");
    let words = b"response_id";
    assert!(!it.wire(bob).heard.windows(words.len()).any(|at| at == words), "nor anything else");
    let bob = it.come("bob");
    let told = it.heard(bob).expect("the message again");
    assert!(WithFile::of(&told).expect("good").is_some_and(|with| with.file_error.is_some()));
}

#[test]
fn who_goes_within_a_file_has_all_of_it_when_it_is_back_and_leaves_nothing_open() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    it.go();
    it.wire(bob).fin = Some(true);
    it.rig.rest(64);
    let left = it
        .rig
        .errands
        .iter()
        .any(|(ticket, errand)| ticket.conn == bob && matches!(errand, Errand::Leave));
    assert!(left, "what it had open is shut");
    it.go();
    let bob = it.come("bob");
    let again = it.heard(bob).expect("all of it");
    assert!(has_file(&again));
    it.acknowledge(bob, "bob", &again);
    assert_eq!(it.waiting(), 0);
}

#[test]
fn who_reads_a_long_file_slowly_is_neither_asked_nor_let_go() {
    let mut setup = setup();
    (setup.limits.aio_idle_ms_max, setup.limits.idle_ms_max) = (1_000, 1_000);
    setup.limits.stuck_ms_max = 60_000;
    let mut it = World::new(setup);
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    it.go();
    for _ in 0..50 {
        it.rig.pass(500);
        it.say(ann, &ping("ann"));
        it.deaf(bob, 10);
        it.go();
    }
    it.deaf(bob, usize::MAX);
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
    assert_eq!(it.ended(bob), None);
    it.rig.pass(500);
    it.go();
    assert!(it.heard(bob).is_some(), "then it is asked");
    it.rig.pass(1_100);
    it.go();
    assert_eq!(it.ended(bob), Some("idle_timeout"));
}

/// All of it has come, and whoever writes it is slow.
fn said_and_not_done(it: &mut World, ann: ConnId) {
    it.say(ann, &long("ann"));
    for _ in 0..40 {
        it.rig.rest(64);
        if it.rig.errands.iter().any(|(_, errand)| *errand == Errand::Close) {
            return;
        }
        it.rig.run_errands(true);
    }
    panic!("it is never whole");
}

#[test]
fn who_was_asked_before_a_long_file_has_its_time_behind_it() {
    let mut setup = setup();
    (setup.limits.aio_idle_ms_max, setup.limits.idle_ms_max) = (1_000, 1_000);
    let mut it = World::new(setup);
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.rig.pass(600);
    it.say(ann, &ping("ann"));
    it.go();
    it.rig.pass(600);
    it.go();
    assert!(it.heard(bob).is_some(), "is it there?");
    it.deaf(bob, 0);
    it.say(ann, &long("ann"));
    it.go();
    it.rig.pass(5_000);
    it.deaf(bob, usize::MAX);
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
    it.rig.pass(10);
    it.go();
    assert_eq!(it.ended(bob), None, "it was reading until now");
    it.rig.pass(1_100);
    it.go();
    assert_eq!(it.ended(bob), Some("idle_timeout"));
}

#[test]
fn who_closes_behind_its_file_has_said_all_of_it() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    said_and_not_done(&mut it, ann);
    it.rig.engine.on_closed(it.rig.now, ann, false);
    it.go();
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
    assert_eq!(it.ended(ann), Some("eof"));
}

#[test]
fn who_is_cut_off_behind_its_file_has_said_the_rest_and_its_file_goes_nowhere() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    said_and_not_done(&mut it, ann);
    it.rig.engine.on_closed(it.rig.now, ann, true);
    it.go();
    let told = it.heard(bob).expect("the message");
    assert!(WithFile::of(&told).expect("good").is_some_and(|with| with.file_error.is_some()));
    assert_eq!(it.count(Counter::FilesWithheld), 1);
}

#[test]
fn who_may_not_say_it_takes_no_room_from_others() {
    let mut setup = setup();
    let users = "mode = \"strict\"\n[groups.User]\nrules = [\"can subscribe f\"]\n[[users]]\n\
        name = \"ann\"\ngroup = \"User\"\nshared_secret = \"a\"\n";
    setup.users = Some(users.into());
    let types = vec!["other".to_owned()];
    setup.desk =
        Some(Desk { files: Some("files".into()), file_types: types, ..Desk::default() }.into());
    let mut it = World::new(setup);
    let ann = it.rig.open_at(AIO, HERE).expect("a slot");
    let shown = Meaning::Authenticate(Name::new(&"ann".into()).expect("a name"), "a".into());
    it.say(ann, &inner::frame(&shown, "ann").expect("it can be said"));
    it.say(ann, &long("ann"));
    for _ in 0..40 {
        it.rig.rest(64);
        assert!(it.rig.errands.is_empty(), "{:?}", it.rig.errands);
    }
    assert!(it.wire(ann).inward.is_empty() && it.ended(ann).is_none(), "all of it was read");
}

#[test]
fn a_message_that_is_kept_finds_its_file_after_the_broker_has_begun_again() {
    let mut setup = setup();
    setup.level = Durability::Disk;
    let mut it = World::new(setup);
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    it.wire(bob).fin = Some(true);
    it.go();
    it.say(ann, &long("ann"));
    it.go();
    let clerk = core::mem::take(&mut it.rig.clerk).again();
    it.rig = Rig::start(&it.setup, &it.disk, it.rig.now).expect("it starts again");
    it.rig.clerk = clerk;
    let bob = it.come("bob");
    assert!(it.heard(bob).is_some_and(|frame| has_file(&frame)));
}

#[test]
fn nothing_is_passed_on_that_is_longer_than_all_that_may_wait() {
    for (most, passed) in [(LONG as u64, true), (LONG as u64 - 1, false), (0, false)] {
        let mut setup = setup();
        setup.limits.aio_spool_bytes_max = most;
        let mut it = World::new(setup);
        let (ann, bob) = (it.come("ann"), it.come("bob"));
        it.say(ann, &long("ann"));
        it.go();
        assert_eq!(it.heard(bob).is_some_and(|frame| has_file(&frame)), passed, "{most}");
        assert_eq!(it.count(Counter::FilesWithheld), u64::from(!passed));
    }
}

#[test]
fn an_answer_may_bring_a_long_file() {
    let mut it = world();
    let (ann, bob) = (it.come("ann"), it.come("bob"));
    let mut question = Frame::of("f", "ann").with("?");
    question.header.request_id = Some(Id::from(5));
    question.header.await_response = true;
    it.say(ann, &question);
    it.go();
    let asked = it.heard(bob).expect("the question");
    let mut answer = long("bob");
    answer.header.response_id = asked.header.request_id;
    it.say(bob, &answer);
    it.go();
    let told = it.heard(ann).expect("the answer");
    assert!(has_file(&told) && told.header.response_id == Some(Id::from(5)));
    it.say(bob, &answer);
    it.go();
    assert_eq!(it.waiting(), 1, "a second answer is nobody's, and so is its file");
}
