//! Floor 6. The PRX1 client against a scripted broker on loopback.
//!
//! The broker is a listener on port 0 and does only what the test says, so every test knows both
//! sides of the wire. Absent on purpose: our own broker; here the client stands alone.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the test is the world")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use spindle::client::prx1::{
    Builder, Client, Disconnected, Error, FileStore, Handle, Message, Qos, Store,
};
use spindle::proto::prx1::decode::BODY_MAX;
use spindle::proto::prx1::{
    Action, ConnAck, Packet, Publish, QAckCode, Queue, Subscribe, encode_vec, next,
};

const SOON: Duration = Duration::from_secs(5);
const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;

struct Broker(TcpListener);

struct Peer {
    stream: TcpStream,
    input: BytesMut,
}

impl Broker {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn client(&self) -> Builder {
        let ms = Duration::from_millis;
        Client::builder()
            .address(self.0.local_addr().unwrap().to_string())
            .user("test")
            .password("secret")
            .heartbeat(Duration::from_secs(60))
            .backoff(ms(10), ms(40))
    }

    fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Peer { stream, input: BytesMut::new() }
    }

    /// Accept, hear Connect, answer with this result.
    fn welcome(&self, result: u8) -> Peer {
        let mut peer = self.accept();
        assert!(matches!(peer.hear(), Some(Packet::Connect(_))));
        peer.say(&Packet::ConnAck(ConnAck::plain(result)));
        peer
    }

    /// A client that is online, and its peer.
    fn online(&self, builder: Builder) -> (Client, Peer) {
        let client = builder.start().unwrap();
        let peer = self.welcome(ConnAck::OK);
        client.wait_online(SOON).unwrap();
        (client, peer)
    }
}

impl Peer {
    /// The next packet; `None` when the client has closed.
    fn hear(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = next(&mut self.input, BODY_MAX).unwrap() {
                return Some(packet);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).expect("something is said in time") {
                0 => return None,
                n => self.input.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn say(&mut self, packet: &Packet) {
        self.stream.write_all(&encode_vec(packet).unwrap()).unwrap();
    }

    fn hear_publish(&mut self) -> Publish {
        match self.hear() {
            Some(Packet::Publish(p)) => p,
            other => panic!("not a Publish: {other:?}"),
        }
    }
}

fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::yield_now();
    }
}

fn message(text: &'static str, id: u16) -> Packet {
    Packet::Publish(Publish {
        qos: u8::from(id != 0),
        id,
        topic: Bytes::from_static(b"a/b"),
        payload: Bytes::from_static(text.as_bytes()),
        ..Publish::default()
    })
}

#[test]
fn it_says_connect_as_the_first_client_did_and_accepts_both_successes() {
    for result in [ConnAck::UNSET, ConnAck::OK] {
        let broker = Broker::new();
        let client = broker.client().start().unwrap();
        let mut peer = broker.accept();
        let mut words = [0; 25];
        peer.stream.read_exact(&mut words).unwrap();
        assert_eq!(&words, b"\x10\x17\0\x04PRX1\x0b\0\x06secret\0\0\0\x04test");
        peer.say(&Packet::ConnAck(ConnAck::plain(result)));
        client.wait_online(SOON).unwrap();
        assert!(client.is_online());
    }
}

#[test]
fn the_settings_of_connect_travel() {
    let broker = Broker::new();
    let builder = broker.client().keepalive(30).clean_start(true).client_id("me");
    let _client = builder.start().unwrap();
    let Some(Packet::Connect(connect)) = broker.accept().hear() else { panic!("a Connect") };
    assert!(connect.clean_start);
    assert_eq!((connect.keepalive, connect.client_id), (Some(30), Some(Bytes::from_static(b"me"))));
}

#[test]
fn a_first_attempt_that_fails_says_why() {
    let failure = |script: fn(Peer)| {
        let broker = Broker::new();
        let builder = broker.client();
        let asked = std::thread::spawn(move || builder.connect().map(drop));
        script(broker.accept());
        asked.join().unwrap().unwrap_err()
    };
    let rejected = failure(|mut peer| {
        peer.hear();
        peer.say(&Packet::ConnAck(ConnAck::plain(ConnAck::FAIL)));
    });
    assert_eq!(rejected, Error::Disconnected(Disconnected::Rejected));
    let garbage = failure(|mut peer| peer.stream.write_all(&[0xb0, 0xff, 0xff, 0xff]).unwrap());
    assert_eq!(garbage, Error::Disconnected(Disconnected::Forced));
    let closed = failure(|mut peer| drop(peer.hear()));
    assert_eq!(closed, Error::Disconnected(Disconnected::Socket));
    let began = Instant::now();
    let silent = failure(|mut peer| {
        peer.hear();
        assert_eq!(peer.hear(), None, "given up");
    });
    assert_eq!(silent, Error::Disconnected(Disconnected::AckDeadline));
    assert!((1_900..4_000).contains(&began.elapsed().as_millis()));
    let address = Broker::new().0.local_addr().unwrap().to_string();
    let nobody = Client::builder().address(address).connect().unwrap_err();
    assert_eq!(nobody, Error::Disconnected(Disconnected::Socket));
}

#[test]
fn publish_subscribe_and_their_answers() {
    let broker = Broker::new();
    let (sent, received) = mpsc::channel();
    let builder = broker.client().on_message(move |message, _| sent.send(message).unwrap());
    let (client, mut peer) = broker.online(builder);

    let mut subscribed = client.subscribe("a/*", Q1).unwrap();
    let Some(Packet::Subscribe(Subscribe { qos: 1, id: 1, topic, .. })) = peer.hear() else {
        panic!("a Subscribe with id 1")
    };
    assert_eq!(&topic[..], b"a/*");
    assert_eq!(subscribed.wait(Duration::from_millis(20)), Err(Error::TimedOut));
    peer.say(&Packet::SubAck(1));
    assert_eq!(subscribed.wait(SOON), Ok(()));

    let mut published = client.publish("a/b", "one", Q1, true).unwrap();
    let heard = peer.hear_publish();
    assert_eq!((heard.id, heard.retain, heard.dup), (1, true, false));
    peer.say(&Packet::PubAck(77));
    peer.say(&Packet::PubAck(1));
    assert_eq!(published.wait(SOON), Ok(()));
    assert_eq!(client.publish("a/b", "zero", Q0, false).unwrap().wait(Duration::ZERO), Ok(()));
    assert_eq!((peer.hear_publish().id, client.waiting()), (0, 0));

    peer.say(&message("hello", 9));
    assert_eq!(received.recv_timeout(SOON).unwrap().payload, "hello");
    assert_eq!(peer.hear(), Some(Packet::PubAck(9)));

    let mut gone = client.unsubscribe("a/*", Q1).unwrap();
    assert!(matches!(peer.hear(), Some(Packet::Unsubscribe(Subscribe { id: 1, .. }))));
    peer.say(&Packet::UnsubAck(1));
    assert_eq!(gone.wait(SOON), Ok(()));
}

#[test]
fn qos_1_is_acknowledged_only_after_the_callback() {
    let broker = Broker::new();
    let (go, wait) = mpsc::channel::<()>();
    let builder = broker.client().on_message(move |_, _| wait.recv_timeout(SOON).unwrap());
    let (_client, mut peer) = broker.online(builder);
    peer.say(&message("slow", 5));
    peer.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    peer.stream.read(&mut [0; 8]).expect_err("nothing before the callback returns");
    go.send(()).unwrap();
    peer.stream.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(peer.hear(), Some(Packet::PubAck(5)));
}

#[test]
fn a_new_connection_repeats_what_was_not_answered() {
    let broker = Broker::new();
    let (sent, reasons) = mpsc::channel();
    let builder = broker.client().on_disconnected(move |why| sent.send(why).unwrap());
    let (client, mut peer) = broker.online(builder);
    let mut receipts: Vec<_> =
        ["1", "2", "3"].iter().map(|text| client.publish("a", text, Q1, false).unwrap()).collect();
    for id in 1..=3 {
        assert_eq!(peer.hear_publish().id, id);
    }
    peer.say(&Packet::PubAck(2));
    receipts[1].wait(SOON).unwrap();
    peer.say(&Packet::Disconnect);
    assert_eq!(reasons.recv_timeout(SOON), Ok(Disconnected::Disconnect));
    receipts.push(client.publish("a", "4", Q1, false).expect("QoS 1 is kept while offline"));
    for why in [Disconnected::Socket, Disconnected::Forced] {
        let mut peer = broker.welcome(ConnAck::OK);
        for (id, text) in [(1, "1"), (3, "3"), (2, "4")] {
            let heard = peer.hear_publish();
            assert_eq!((heard.id, &heard.payload[..]), (id, text.as_bytes()));
            assert!(heard.dup || text == "4", "repeated with DUP");
        }
        if why == Disconnected::Forced {
            peer.stream.write_all(&[0x60, 0x80, 0x80, 0x80, 0x80]).unwrap();
        }
        drop(peer);
        assert_eq!(reasons.recv_timeout(SOON), Ok(why));
    }
    let mut peer = broker.welcome(ConnAck::UNSET);
    for _ in 0..3 {
        let id = peer.hear_publish().id;
        peer.say(&Packet::PubAck(id));
    }
    for receipt in &mut receipts {
        assert_eq!(receipt.wait(SOON), Ok(()));
    }
}

#[test]
fn a_file_carries_messages_to_another_process() {
    let path = std::env::temp_dir().join(format!("spindle-client-{}", std::process::id()));
    let broker = Broker::new();
    let open = || broker.client().store(FileStore::open(&path).unwrap());
    let (client, mut peer) = broker.online(open());
    for text in ["one", "two", "three"] {
        client.publish("a/b", text, Q1, false).unwrap();
    }
    let ids: Vec<u16> = (0..3).map(|_| peer.hear_publish().id).collect();
    let mut last = client.publish("a/b", "last", Q1, false).unwrap();
    peer.hear_publish();
    peer.say(&Packet::PubAck(ids[1]));
    until(|| client.waiting() == 3);
    client.disconnect();
    assert_eq!(last.wait(SOON), Err(Error::Stopped(Disconnected::None)));

    let (client, mut peer) = broker.online(open());
    for (id, text) in [(1, "one"), (2, "three"), (3, "last")] {
        let heard = peer.hear_publish();
        assert_eq!((heard.id, heard.dup, &heard.payload[..]), (id, true, text.as_bytes()));
        peer.say(&Packet::PubAck(id));
    }
    until(|| client.waiting() == 0);
    drop((client, peer));
    let store = FileStore::open(&path).unwrap();
    assert_eq!(Store::iter(&store).count(), 0, "all are acknowledged");
    drop(store);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn it_pings_when_it_has_been_silent_and_gives_a_mute_broker_up() {
    let broker = Broker::new();
    let (sent, reasons) = mpsc::channel();
    let builder = broker
        .client()
        .heartbeat(Duration::from_millis(50))
        .on_disconnected(move |why| sent.send(why).unwrap());
    let (client, mut peer) = broker.online(builder);
    for _ in 0..6 {
        assert_eq!(peer.hear(), Some(Packet::Ping), "no Pong is expected of a broker");
    }
    client.publish("a", "b", Q0, false).unwrap();
    while peer.hear() == Some(Packet::Ping) {}
    peer.say(&Packet::Pong);
    while peer.hear() == Some(Packet::Ping) {}
    assert_eq!(reasons.recv_timeout(SOON), Ok(Disconnected::Socket), "save of one that has");
}

#[test]
fn queue_requests_are_answered_in_order() {
    let broker = Broker::new();
    let (client, mut peer) = broker.online(broker.client());
    let mut push = client.queue(Action::Initialize, "q", None, None, Some(b"item")).unwrap();
    let mut drain = client.queue(Action::Drain, "q", Some(b"back"), Some(b"m"), None).unwrap();
    let item = Queue {
        action: Action::Initialize,
        address: Some(Bytes::from_static(b"q")),
        message: Some(Bytes::from_static(b"item")),
        ..Queue::default()
    };
    assert_eq!(peer.hear(), Some(Packet::Queue(item)));
    assert!(matches!(peer.hear(), Some(Packet::Queue(Queue { action: Action::Drain, .. }))));
    peer.say(&Packet::QAck(QAckCode::Ok));
    peer.say(&Packet::QAck(QAckCode::Error));
    assert_eq!((push.wait(SOON), drain.wait(SOON)), (Ok(()), Err(Error::Refused)));
    assert_eq!(client.queue(Action::None, "q", None, None, None).unwrap_err(), Error::Action);
}

#[test]
fn the_end_is_said_written_and_quick() {
    let broker = Broker::new();
    let (client, mut peer) = broker.online(broker.client());
    for _ in 0..100 {
        client.publish("a", "x", Q0, false).unwrap();
    }
    let handle = (*client).clone();
    let began = Instant::now();
    let listener = std::thread::spawn(move || {
        let all: Vec<_> = std::iter::from_fn(|| peer.hear()).collect();
        (all.len(), all.last() == Some(&Packet::Disconnect))
    });
    client.disconnect();
    assert_eq!(listener.join().unwrap(), (101, true));
    assert!(began.elapsed() < Duration::from_secs(2));
    let end = Error::Stopped(Disconnected::None);
    assert_eq!(handle.publish("a", "x", Q1, false).unwrap_err(), end);
    assert_eq!(handle.wait_online(SOON), Err(end));
}

#[test]
fn a_client_without_a_broker_ends_quickly_too() {
    let address = Broker::new().0.local_addr().unwrap().to_string();
    let client = Client::builder().address(address).start().unwrap();
    assert_eq!(client.publish("a", "x", Q0, false).unwrap_err(), Error::Offline);
    let mut kept = client.publish("a", "x", Q1, false).unwrap();
    assert_eq!(client.wait_online(Duration::from_millis(50)), Err(Error::TimedOut));
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(kept.wait(SOON), Err(Error::Stopped(Disconnected::None)));
}

#[test]
fn attempts_are_counted_and_end() {
    let broker = Broker::new();
    let client = broker.client().max_retry(2).start().unwrap();
    for _ in 0..3 {
        broker.welcome(ConnAck::FAIL);
    }
    let end = Error::Stopped(Disconnected::Rejected);
    until(|| client.wait_online(SOON) == Err(end));
    broker.0.set_nonblocking(true).unwrap();
    assert!(broker.0.accept().is_err(), "no fourth attempt");
}

#[test]
fn callbacks_may_ask_drop_and_panic() {
    let broker = Broker::new();
    let echo = |m: Message, client: &Handle| {
        client.publish("echo", &m.payload, Q1, false).unwrap();
    };
    let (_client, mut peer) = broker.online(broker.client().on_message(echo));
    peer.say(&message("hi", 0));
    assert_eq!(&peer.hear_publish().payload[..], b"hi");

    let cell = Arc::new(Mutex::new(None::<Client>));
    let own = Arc::clone(&cell);
    let (sent, received) = mpsc::channel();
    let builder = broker.client().on_message(move |_, _| {
        drop(own.lock().unwrap().take());
        sent.send(()).unwrap();
    });
    let (client, mut peer) = broker.online(builder);
    *cell.lock().unwrap() = Some(client);
    peer.say(&message("drop", 0));
    received.recv_timeout(SOON).expect("a callback may drop its own client");
    assert_eq!(peer.hear(), Some(Packet::Disconnect));

    let builder = broker.client().on_message(|_, _| panic!("the program's own doing"));
    let (client, mut peer) = broker.online(builder);
    let mut never = client.publish("a", "x", Q1, false).unwrap();
    peer.say(&message("panic", 0));
    assert_eq!(never.wait(SOON), Err(Error::Stopped(Disconnected::Forced)));
}

#[test]
fn a_broker_that_talks_before_it_listens_is_heard() {
    let broker = Broker::new();
    let (client, mut peer) = broker.online(broker.client().queue(48_000, 64 << 20));
    let frame = encode_vec(&message("flood", 1)).unwrap();
    let flood: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 60_000).collect();
    let heavy = vec![b'x'; 60_000];
    for _ in 0..400 {
        client.publish("a", &heavy, Q1, false).unwrap();
    }
    peer.stream.write_all(&flood).expect("the client reads though nobody reads it");
    let (mut acks, mut publishes) = (0, 0);
    while acks < 60_000 || publishes < 400 {
        match peer.hear() {
            Some(Packet::PubAck(1)) => acks += 1,
            Some(Packet::Publish(_)) => publishes += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_broker_that_never_listens_and_leaves_is_replaced() {
    let broker = Broker::new();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let builder = broker.client().queue(48_000, 64 << 20).on_message(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let (client, mut peer) = broker.online(builder);
    let heavy = vec![b'x'; 60_000];
    for _ in 0..400 {
        client.publish("a", &heavy, Q1, false).unwrap();
    }
    // The writer is stuck now, and more acknowledgements are owed than may wait.
    let frame = encode_vec(&message("flood", 1)).unwrap();
    let flood: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 100_000).collect();
    peer.stream.write_all(&flood).unwrap();
    until(|| called.load(Ordering::Relaxed) > 65_536);
    std::thread::sleep(Duration::from_millis(100));
    assert!(called.load(Ordering::Relaxed) < 100_000, "reading pauses");
    drop(peer);
    let mut peer = broker.welcome(ConnAck::OK);
    assert_eq!(peer.hear_publish().payload.len(), heavy.len());
}

#[test]
fn a_full_list_makes_callers_wait_and_then_refuses() {
    let broker = Broker::new();
    let patience = Duration::from_millis(100);
    let (client, mut peer) = broker.online(broker.client().queue(2, 1 << 20).patience(patience));
    client.publish("a", "1", Q1, false).unwrap();
    client.publish("a", "2", Q1, false).unwrap();
    assert_eq!(client.publish("a", "3", Q1, false).unwrap_err(), Error::Full);
    let other = (*client).clone();
    let waiter = std::thread::spawn(move || other.publish("a", "4", Q1, false).map(drop));
    let id = peer.hear_publish().id;
    peer.say(&Packet::PubAck(id));
    assert_eq!(waiter.join().unwrap(), Ok(()), "an answer makes room");
}

#[test]
fn frames_may_come_in_pieces_and_ends_may_come_any_time() {
    let broker = Broker::new();
    let (sent, received) = mpsc::channel();
    let client = broker
        .client()
        .on_message(move |message, _| sent.send(message.payload).unwrap())
        .start()
        .unwrap();
    let mut peer = broker.accept();
    peer.hear();
    let mut words = vec![0x20, 1, 2];
    words.extend(encode_vec(&message("in pieces", 1)).unwrap());
    for byte in &words {
        peer.stream.set_nodelay(true).unwrap();
        peer.stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(received.recv_timeout(SOON).unwrap(), "in pieces");
    peer.stream.write_all(&[0xb0, 9, 0]).unwrap();
    peer.stream.shutdown(Shutdown::Both).unwrap();
    // Kept: a connection that ends at once may be over before it is looked at.
    let _peer = broker.welcome(ConnAck::OK);
    client.wait_online(SOON).unwrap();
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let broker = Broker::new();
    let client = broker.client().start().unwrap();
    let long = vec![b'x'; 65_536];
    let refused = |what: Result<_, Error>| what.map(drop).unwrap_err();
    assert_eq!(refused(client.publish("a", &long, Q1, false)), Error::TooLong);
    assert_eq!(refused(client.publish("", "x", Q1, false)), Error::Topic);
    assert_eq!(refused(client.publish("a/*", "x", Q1, false)), Error::Topic);
    assert_eq!(refused(client.subscribe(&long, Q0)), Error::TooLong);
    assert_eq!(refused(client.subscribe("", Q0)), Error::Topic);
    assert_eq!(refused(client.queue(Action::Drain, "q", None, Some(&long), None)), Error::TooLong);
    assert_eq!(broker.client().user(&long).start().map(drop), Err(Error::TooLong));
    assert_eq!(
        broker.client().address("nowhere").start().map(drop),
        Err(Error::Setting("address"))
    );
    assert_eq!(broker.client().queue(60_000, 1).start().map(drop), Err(Error::Setting("queue")));
}
