//! Floor 5. What the thread of a client promises, to a taker and a peer that are scripted here.

#![expect(clippy::disallowed_types, reason = "a connection has its time")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    fn take(&self, _: Received) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn secure(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn lost(&self) {}

    fn settled(&self, _: u64, _: &Result<(), Error>) {}
}

#[test]
fn what_was_taken_is_safe_before_it_is_acknowledged_also_with_the_last_words() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut ann = TcpStream::connect(address).expect("it is there");
    ann.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let (stream, _) = listener.accept().expect("it comes");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut wire = Wire::accept(stream, None, deadline).expect("a connection");
    let careless = Arc::new(Careless::default());
    let builder = Client::builder(address.to_string(), "server").taker(careless.clone());
    let mut plan = builder.plan().expect("good");
    (plan.guest, plan.again) = (Name::new(&"ann".into()), None);
    wire.trust(plan.frame_max);
    let _client = Client::over(plan, Some(wire)).expect("it begins");
    let mut said = Message::of("any", "ann").with("x");
    said.header.transport_id = Some(1.into());
    let mut bytes = encode_vec(&said).expect("short");
    // And something that ends the connection.
    bytes.extend_from_slice(&[0; 4]);
    ann.write_all(&bytes).expect("said");
    let mut heard = Vec::new();
    ann.read_to_end(&mut heard).expect("until it is ended");
    let frame = next(&mut BytesMut::from(&heard[..]), 1 << 20).expect("good").expect("a frame");
    assert_eq!(meaning(&frame, Side::Server), Ok(Meaning::Ack(1.into())));
    assert!(!careless.0.load(Ordering::Relaxed), "it was not safe");
}
