//! Floor 5. What the thread of a client promises, to a taker and a peer that are scripted here.

#![expect(clippy::disallowed_types, reason = "a connection has its time")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::setup::Taker;
use super::wire::Wire;
use super::{Client, Error, Message, Received};
use crate::proto::aio::inner::{Meaning, Side};
use crate::proto::aio::{Name, encode_vec, meaning, next};

/// Has what it has taken in memory until it is told that it must be safe.
#[derive(Debug, Default)]
struct Careless(AtomicBool);

impl Taker for Careless {
    fn take(&self, _: Received) -> Result<bool, Error> {
        self.0.store(true, Ordering::Relaxed);
        Ok(true)
    }

    fn secure(&self) -> u64 {
        self.0.store(false, Ordering::Relaxed);
        0
    }

    fn lost(&self) {}

    fn settled(&self, _: u64, _: &Result<(), Error>) {}
}

/// Its disk has failed once for each that it has taken.
#[derive(Debug, Default)]
struct Failing(AtomicU64);

impl Taker for Failing {
    fn take(&self, _: Received) -> Result<bool, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn secure(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn lost(&self) {}

    fn settled(&self, _: u64, _: &Result<(), Error>) {}
}

/// Panics over what it takes.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

impl Taker for Broken {
    fn take(&self, _: Received) -> Result<bool, Error> {
        panic!("as it should");
    }

    fn secure(&self) -> u64 {
        0
    }

    fn lost(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn settled(&self, _: u64, _: &Result<(), Error>) {}
}

#[test]
fn that_the_connection_is_lost_is_told_also_where_its_thread_panics() {
    let broken = Arc::new(Broken::default());
    assert!(heard_by(broken.clone(), &numbered()).is_empty());
    assert!(broken.0.load(Ordering::Relaxed));
}

/// What a peer hears that says this to whoever takes it so, until the connection is ended.
fn heard_by(taker: Arc<dyn Taker>, said: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut ann = TcpStream::connect(address).expect("it is there");
    ann.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let (stream, _) = listener.accept().expect("it comes");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut wire = Wire::accept(stream, None, deadline).expect("a connection");
    let builder = Client::builder(address.to_string(), "server").taker(taker);
    let mut plan = builder.plan().expect("good");
    (plan.guest, plan.again) = (Name::new(&"ann".into()), None);
    wire.trust(plan.frame_max);
    let _client = Client::over(plan, Some(wire)).expect("it begins");
    ann.write_all(said).expect("said");
    let mut heard = Vec::new();
    match ann.read_to_end(&mut heard) {
        Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("it is not ended: {e}"),
        _ => heard,
    }
}

fn numbered() -> Vec<u8> {
    let mut said = Message::of("any", "ann").with("x");
    said.header.transport_id = Some(1.into());
    encode_vec(&said).expect("short")
}

/// No frame, which ends the connection.
const NONSENSE: [u8; 4] = [0; 4];

#[test]
fn what_is_not_safe_is_not_acknowledged_and_not_with_the_last_words() {
    let failing = || Arc::new(Failing::default());
    assert!(heard_by(failing(), &numbered()).is_empty());
    assert!(heard_by(failing(), &[&numbered()[..], &NONSENSE].concat()).is_empty());
}

#[test]
fn what_was_taken_is_safe_before_it_is_acknowledged_also_with_the_last_words() {
    let careless = Arc::new(Careless::default());
    let heard = heard_by(careless.clone(), &[&numbered()[..], &NONSENSE].concat());
    let frame = next(&mut BytesMut::from(&heard[..]), 1 << 20).expect("good").expect("a frame");
    assert_eq!(meaning(&frame, Side::Server), Ok(Meaning::Ack(1.into())));
    assert!(!careless.0.load(Ordering::Relaxed), "it was not safe");
}
