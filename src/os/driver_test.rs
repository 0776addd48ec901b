//! Floor 5. Turns one by one: how much a turn takes in and says at most, by the count of bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::bounded;

use super::driver::{Driver, Parts, READ_TURN, READS_TURN, SPEAK_TURN};
use super::listener::{Door, Local};
use crate::base::id::{ListenerNo, RealmId};
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::engine::Engine;
use crate::hub::message::{Durability, Publication};
use crate::hub::policy::{Event, Observer, Open};
use crate::hub::{self, Hub};
use crate::link::Terms;
use crate::os::clock::Clock;
use crate::os::poller::Poller;
use crate::os::tuning::Tuning;
use crate::proto::{Listener, Speak};
use crate::testing::workload::{self, Tongue};
use crate::topic::Topic;

const TONGUE: Tongue = Tongue::Mqtt3;
/// More than can go in a turn.
const CROWD: usize = 200;
/// PINGREQ and PINGRESP.
const PING: [u8; 2] = [0xc0, 0];
const PONG: [u8; 2] = [0xd0, 0];

struct Nobody;

impl Observer for Nobody {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// A loop that turns when it is told to.
struct Turns {
    driver: Driver,
    address: SocketAddr,
}

impl Turns {
    fn new() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        let (policy, observer) = (Box::new(Open), Box::new(Nobody));
        let parts =
            hub::Parts { limits, seed: 1, realms: vec!["default".into()], policy, observer };
        let listener = Listener {
            relay: None,
            desk: None,
            no: ListenerNo(0),
            speak: Speak::Mqtt,
            realm: RealmId(0),
            level: Durability::Memory,
            link: Terms::default(),
        };
        let door = Door::bind((Ipv4Addr::LOCALHOST, 0).into(), 0).unwrap();
        let Local::Net(address) = door.local else { unreachable!("it was bound there") };
        let driver = Driver::start(Parts {
            upstreams: crate::os::dial::Upstreams::default(),
            at_end: None,
            engine: Engine::new(Hub::new(parts), vec![listener], 1),
            clock: Clock::start(),
            poller: Poller::new().unwrap(),
            doors: vec![door],
            storage: None,
            folder: None,
            workers: 1,
            commands: bounded(1).1,
            controls: bounded(1).1,
            signals: None,
            reload: None,
            notify: None,
            seed: 1,
            tuning: Tuning::default(),
        });
        Self { driver: driver.unwrap(), address }
    }

    /// Somebody who is in, and whose socket waits for nothing.
    fn join(&mut self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.write_all(&TONGUE.login(name, "")).unwrap();
        self.until(&mut stream, 4);
        stream
    }

    /// Turn until so many bytes were said to somebody.
    fn until(&mut self, stream: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut heard = vec![0; len];
        for _ in 0..100 {
            self.driver.turn().unwrap();
            match stream.read(&mut heard) {
                Ok(n) if n == len => return heard,
                Ok(n) => panic!("{n} bytes of {len}"),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) => panic!("{e}"),
            }
        }
        panic!("nothing was said in a hundred turns");
    }

    fn count(&self, what: Counter) -> usize {
        self.driver.engine.hub().stats.get(what) as usize
    }

    fn share(&self) -> usize {
        self.driver.engine.limits().read_bytes_turn
    }
}

/// As much as the sockets take of publications that nobody hears.
fn flood(stream: &mut TcpStream) {
    let packet = TONGUE.publish(&workload::topic(1), &Bytes::from(vec![7; 8_000]), 0, 0, false);
    stream.set_nonblocking(true).unwrap();
    let many = packet.repeat(64);
    let mut done = 0;
    while done < many.len() {
        match stream.write(&many[done..]) {
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_turn_reads_so_much_and_whoever_is_behind_is_first_in_the_next() {
    let mut turns = Turns::new();
    let mut loud: Vec<TcpStream> = (0..16).map(|i| turns.join(&format!("loud{i}"))).collect();
    let mut quiet = turns.join("quiet");
    loud.iter_mut().for_each(flood);
    quiet.write_all(&PING).unwrap();
    quiet.set_nonblocking(true).unwrap();
    let (began, mut pong) = (turns.count(Counter::BytesReceived), [0; 2]);
    let ahead = loop {
        let before = turns.count(Counter::BytesReceived);
        turns.driver.turn().unwrap();
        let now = turns.count(Counter::BytesReceived);
        let most = READ_TURN + turns.share();
        assert!(now - before <= most, "{} bytes were read in a turn", now - before);
        if quiet.read(&mut pong).is_ok() {
            // What came behind it in its own turn did not come before it.
            break before - began;
        }
        assert!(now > before, "there is more to be read");
    };
    assert_eq!(pong, PONG);
    let most = loud.len() * turns.share();
    assert!(ahead <= most, "{ahead} bytes were read before two that waited");
    assert!(ahead > READ_TURN, "nobody was behind: {ahead} bytes");
}

#[test]
fn who_says_little_does_not_wait_until_many_have_said_much() {
    let mut turns = Turns::new();
    let mut loud: Vec<TcpStream> = (0..16).map(|i| turns.join(&format!("loud{i}"))).collect();
    let mut quiet = turns.join("quiet");
    loud.iter_mut().for_each(flood);
    // Each was heard once, and has more.
    for _ in 0..16 {
        turns.driver.turn().unwrap();
    }
    quiet.write_all(&PING).unwrap();
    let before = turns.count(Counter::BytesReceived);
    turns.driver.turn().unwrap();
    assert_eq!(quiet.read(&mut [0; 2]).unwrap(), 2, "answered in the same turn");
    let heard = turns.count(Counter::BytesReceived) - before;
    assert!(heard > 2, "and the others go on");
}

#[test]
fn who_has_more_to_say_is_not_passed_over_for_ever() {
    let mut turns = Turns::new();
    let publish =
        |len: usize| TONGUE.publish(&workload::topic(1), &Bytes::from(vec![7; len]), 0, 0, false);
    // All that one read takes, and less than would be told from more.
    let most = publish(turns.share() - 100);
    let mut busy = [0, 1, 2].map(|i| turns.join(&format!("busy{i}")));
    let mut long = turns.join("long");
    long.write_all(&publish(READ_TURN)).unwrap();
    long.write_all(&PING).unwrap();
    long.set_nonblocking(true).unwrap();
    // A turn that is its own ends just before it has said all.
    turns.driver.turn().unwrap();
    // Those who are heard anew fill the next two.
    for (passed_over, heard) in [(0, false), (u8::MAX, true)] {
        busy.iter_mut().for_each(|stream| stream.write_all(&most).unwrap());
        std::thread::sleep(Duration::from_millis(20));
        turns.driver.passed_over = passed_over;
        turns.driver.turn().unwrap();
        assert_eq!(long.read(&mut [0; 2]).is_ok(), heard, "passed over {passed_over} times");
    }
}

#[test]
fn a_turn_answers_so_many_before_it_hears_the_others() {
    let mut turns = Turns::new();
    let most = READS_TURN;
    let mut all: Vec<TcpStream> = (0..2 * most + 3).map(|i| turns.join(&format!("c{i}"))).collect();
    for stream in &mut all {
        stream.write_all(&PING).unwrap();
        stream.set_nonblocking(true).unwrap();
    }
    let mut waiting: Vec<&mut TcpStream> = all.iter_mut().collect();
    for left in [most + 3, 3, 0] {
        turns.driver.turn().unwrap();
        waiting.retain_mut(|stream| stream.read(&mut [0; 2]).is_err());
        assert_eq!(waiting.len(), left, "answered a turn's share at a time, and nobody twice");
    }
}

/// A crowd goes, by a goodbye or without one, while one who stays says something.
fn while_a_crowd_leaves(gone: impl Fn(&mut Turns, Vec<TcpStream>)) {
    let mut turns = Turns::new();
    let crowd: Vec<TcpStream> = (0..CROWD).map(|i| turns.join(&format!("c{i}"))).collect();
    let mut stays = turns.join("stays");
    gone(&mut turns, crowd);
    stays.write_all(&PING).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    turns.driver.turn().unwrap();
    assert_eq!(stays.read(&mut [0; 2]).unwrap(), 2, "who stays is answered in the same turn");
    let gone = turns.count(Counter::ConnectionsClosed);
    assert!((1..=READS_TURN).contains(&gone), "{gone} of {CROWD} are let go in a turn");
    for _ in 0..CROWD {
        turns.driver.turn().unwrap();
        if turns.driver.engine.connections() == 1 {
            return;
        }
    }
    panic!("{} are still there", turns.driver.engine.connections());
}

#[test]
fn those_who_leave_do_not_keep_those_waiting_who_stay() {
    while_a_crowd_leaves(|_, crowd| drop(crowd));
}

#[test]
fn nor_do_those_who_are_cut_off() {
    while_a_crowd_leaves(|turns, mut crowd| {
        crowd.iter_mut().for_each(|stream| stream.write_all(&PING).unwrap());
        while turns.count(Counter::BytesSent) < 6 * CROWD {
            turns.driver.turn().unwrap();
        }
        // Closed while something waits to be read, a socket ends without a goodbye.
        drop(crowd);
    });
}

#[test]
fn those_who_are_not_in_yet_do_not_keep_those_waiting_who_are() {
    let mut turns = Turns::new();
    let mut stays = turns.join("stays");
    let silent = |_| TcpStream::connect(turns.address).unwrap();
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(silent).collect();
    while turns.driver.engine.connections() <= CROWD {
        turns.driver.turn().unwrap();
    }
    for (n, stream) in crowd.iter_mut().enumerate() {
        stream.write_all(&TONGUE.login(&format!("c{n}"), "")).unwrap();
    }
    stays.write_all(&PING).unwrap();
    let before = turns.count(Counter::BytesReceived);
    turns.driver.turn().unwrap();
    assert_eq!(stays.read(&mut [0; 2]).unwrap(), 2, "who is in is answered in the same turn");
    let heard = turns.count(Counter::BytesReceived) - before;
    let all = CROWD * TONGUE.login("c100", "").len();
    assert!(heard > 2 && heard < all / 2, "{heard} bytes of {all} were heard in a turn");
    let welcomes = 4 * (CROWD + 1) + 2;
    while turns.count(Counter::BytesSent) < welcomes {
        turns.driver.turn().unwrap();
    }
    assert!(crowd.iter_mut().all(|stream| stream.read(&mut [0; 4]).is_ok_and(|n| n == 4)));
}

#[test]
fn a_turn_lets_in_so_many_and_the_others_in_the_next() {
    let mut turns = Turns::within(Limits { accepts_turn: CROWD, ..Limits::default() });
    let mut stays = turns.join("stays");
    let silent = |_| TcpStream::connect(turns.address).unwrap();
    let crowd: Vec<TcpStream> = (0..CROWD).map(silent).collect();
    stays.write_all(&PING).unwrap();
    turns.driver.turn().unwrap();
    assert_eq!(stays.read(&mut [0; 2]).unwrap(), 2, "who is in is answered in the same turn");
    let in_now = turns.driver.engine.connections();
    assert!((2..CROWD / 2).contains(&in_now), "{in_now} came in");
    let clock = Clock::start();
    while turns.driver.engine.connections() <= CROWD {
        turns.driver.turn().unwrap();
    }
    assert!(clock.mono() < 1_000_000_000, "a turn waited");
    drop(crowd);
}

#[test]
fn a_turn_lets_go_of_so_many_whose_time_is_over() {
    let mut turns = Turns::within(Limits { connect_ms_max: 1_500, ..Limits::default() });
    let mut stays = turns.join("stays");
    let silent = |_| TcpStream::connect(turns.address).unwrap();
    let crowd: Vec<TcpStream> = (0..CROWD).map(silent).collect();
    while turns.driver.engine.connections() <= CROWD {
        turns.driver.turn().unwrap();
    }
    std::thread::sleep(Duration::from_millis(1_600));
    turns.driver.turn().unwrap();
    let left = turns.driver.engine.connections();
    assert!(left > CROWD / 2 && left <= CROWD, "{left} of {CROWD} are left after a turn");
    // The next turn does not wait for anything to happen.
    let clock = Clock::start();
    while turns.driver.engine.connections() > 1 {
        turns.driver.turn().unwrap();
    }
    assert!(clock.mono() < 1_000_000_000, "a turn waited");
    stays.write_all(&PING).unwrap();
    turns.until(&mut stays, 2);
    drop(crowd);
}

#[test]
fn a_turn_says_so_much_to_one_who_is_owed_more() {
    let mut turns = Turns::new();
    let mut reader = turns.join("reader");
    reader.write_all(&TONGUE.subscribe(&workload::topic(1), 0, 1)).unwrap();
    turns.until(&mut reader, 5);
    let mut other = turns.join("other");
    let publication = Publication {
        realm: RealmId(0),
        topic: Topic::split(workload::topic(1), b'/'),
        body: Bytes::from(vec![7; 1_000]),
        props: Bytes::new(),
        qos: 0,
        retain: false,
        expires: 0,
        inbound: None,
    };
    let now = Now { mono: 1, wall: 1 };
    for _ in 0..4_000 {
        let hub = turns.driver.engine.hub_mut();
        let receipt = hub.publish(now, None, Durability::Memory, &publication).unwrap();
        assert_eq!(receipt.matched, 1);
    }
    other.write_all(&PING).unwrap();
    let before = turns.count(Counter::BytesSent);
    turns.driver.turn().unwrap();
    let said = turns.count(Counter::BytesSent) - before;
    let share = turns.driver.engine.limits().write_bytes_turn;
    // The last share may begin just below the bound, and end with a message just above its own.
    let most = SPEAK_TURN + 2 * share;
    assert!(said <= most, "{said} bytes were said in a turn");
    assert!(said > 2 * share, "who is owed more is told more than a share: {said}");
}
