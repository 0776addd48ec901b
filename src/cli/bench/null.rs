//! Floor 6. `spindle bench null`: the least that still relays MQTT, as the limit that sockets set.
//!
//! Handshakes get canned answers; a PUBLISH is copied as it came, packet id and all, to whoever
//! named its topic letter by letter; its acknowledgement is said at once. Every ready socket is
//! read, then every connection gets one write. Whoever does not begin with CONNECT gets its bytes
//! back, which is a ping-pong. Absent on purpose: whatever makes a broker: wildcards, sessions,
//! kept values, retries, users, bounds that are fair, packet ids of its own.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::base::map::{Map, Seed};
use crate::cli::{FAILED, complain, say};
use crate::os::sys;
use crate::proto::mqtt;

/// Flags of `bench null`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Null {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2883")]
    listen: SocketAddr,
    /// Never wait: look for what came all the time. It costs a whole processor
    #[arg(long)]
    spin: bool,
}

/// Whom bytes come from.
#[derive(Debug)]
struct Peer {
    stream: TcpStream,
    kind: Kind,
    /// What was read and is not yet a whole packet.
    rest: Vec<u8>,
    /// What is to be written.
    out: Vec<u8>,
    is_dirty: bool,
    /// What it published to last, and the place of that.
    topic: Vec<u8>,
    place: Option<usize>,
    /// Places where it listens.
    hears: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It has said nothing.
    New,
    /// It gets its bytes back.
    Echo,
    /// MQTT, before 5.0 or from there on.
    Mqtt(bool),
}

/// Why a peer is sent away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bye;

#[derive(Debug)]
struct Relay {
    poll: Poll,
    listener: TcpListener,
    peers: Slab<Peer>,
    /// Places of topics, and who listens there.
    places: Map<Vec<u8>, usize>,
    readers: Vec<Vec<usize>>,
    dirty: Vec<usize>,
    /// Whose socket may still have something.
    again: Vec<usize>,
}

impl Null {
    pub(super) fn run(&self) -> u8 {
        let relay = Relay::bind(self.listen);
        let named = relay.and_then(|relay| Ok((relay.listener.local_addr()?, relay)));
        let (address, mut relay) = match named {
            Ok(it) => it,
            Err(e) => return complain(&format!("{}: {e}", self.listen), FAILED),
        };
        if say(&format!("relaying at {address}, as little as can be")) != 0 {
            return FAILED;
        }
        match relay.turn_for_ever(self.spin) {
            Ok(()) => 0,
            Err(e) => complain(&e.to_string(), FAILED),
        }
    }
}

impl Relay {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        use std::os::fd::AsFd;

        sys::raise_descriptors()?;
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        // A storm of connections must not be cut by its queue.
        sys::listen(listener.as_fd(), BACKLOG)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            peers: Slab::new(),
            places: Map::with_hasher(Seed::with_seed(1)),
            readers: Vec::new(),
            dirty: Vec::new(),
            again: Vec::new(),
        })
    }

    /// It ends with its process.
    fn turn_for_ever(&mut self, spin: bool) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; READ];
        let mut ready = Vec::new();
        loop {
            let limit = (spin || !self.again.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, limit) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            ready.append(&mut self.again);
            ready.extend(events.iter().map(|event| event.token().0));
            for at in ready.drain(..) {
                if at == LISTENER.0 {
                    self.accept();
                } else if self.read(at, &mut scratch) == Err(Bye) {
                    self.part(at);
                }
            }
            self.write();
        }
    }

    fn accept(&mut self) {
        // Whatever ends the row of those who wait: the next event begins another.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let entry = self.peers.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let heard = self.poll.registry().register(&mut stream, Token(entry.key()), interest);
            if heard.is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            entry.insert(Peer {
                stream,
                kind: Kind::New,
                rest: Vec::new(),
                out: Vec::new(),
                is_dirty: false,
                topic: Vec::new(),
                place: None,
                hears: Vec::new(),
            });
        }
    }

    fn read(&mut self, at: usize, scratch: &mut [u8]) -> Result<(), Bye> {
        for _ in 0..READS {
            let Some(peer) = self.peers.get_mut(at) else { return Ok(()) };
            let len = match peer.stream.read(scratch) {
                Ok(0) => return Err(Bye),
                Ok(len) => len,
                // What did not go out before may go now.
                Err(e) if later(&e) => {
                    mark(peer, at, &mut self.dirty);
                    return Ok(());
                }
                Err(_) => return Err(Bye),
            };
            let input = scratch.get(..len).unwrap_or_default();
            if peer.rest.is_empty() {
                let used = self.take(at, input)?;
                self.keep(at, input.get(used..).unwrap_or_default());
            } else {
                let mut whole = core::mem::take(&mut peer.rest);
                whole.extend_from_slice(input);
                let used = self.take(at, &whole)?;
                whole.drain(..used);
                if let Some(peer) = self.peers.get_mut(at) {
                    peer.rest = whole;
                }
            }
            if len < scratch.len() {
                return Ok(());
            }
        }
        self.again.push(at);
        Ok(())
    }

    fn keep(&mut self, at: usize, rest: &[u8]) {
        if let Some(peer) = self.peers.get_mut(at) {
            peer.rest.extend_from_slice(rest);
        }
    }

    /// Whatever is whole; how long that is.
    fn take(&mut self, at: usize, input: &[u8]) -> Result<usize, Bye> {
        let Some(peer) = self.peers.get_mut(at) else { return Ok(0) };
        if peer.kind == Kind::New {
            let is_connect = input.first() == Some(&0x10);
            peer.kind = if is_connect { Kind::Mqtt(false) } else { Kind::Echo };
        }
        if peer.kind == Kind::Echo {
            peer.out.extend_from_slice(input);
            mark(peer, at, &mut self.dirty);
            return Ok(input.len());
        }
        let (mut done, mut row) = (0, 0);
        while let Some(whole) = length(input.get(done..).unwrap_or_default())? {
            let frame = input.get(done..done + whole).unwrap_or_default();
            let Some(peer) = self.peers.get_mut(at) else { return Ok(done) };
            if frame.first().is_some_and(|first| first >> 4 == 3) {
                if !publish(peer, frame)? {
                    // Another topic: what came before goes where it belongs.
                    self.relay(at, input.get(row..done).unwrap_or_default());
                    row = done;
                    self.aim(at, frame);
                }
            } else {
                self.relay(at, input.get(row..done).unwrap_or_default());
                row = done + whole;
                self.answer(at, frame)?;
            }
            done += whole;
        }
        self.relay(at, input.get(row..done).unwrap_or_default());
        if let Some(peer) = self.peers.get_mut(at)
            && !peer.out.is_empty()
        {
            mark(peer, at, &mut self.dirty);
        }
        Ok(done)
    }

    /// A row of messages to one topic, to whoever listens there.
    fn relay(&mut self, from: usize, row: &[u8]) {
        let place = self.peers.get(from).and_then(|peer| peer.place);
        let Some(readers) = place.and_then(|place| self.readers.get(place)) else { return };
        if row.is_empty() {
            return;
        }
        for at in readers {
            if let Some(peer) = self.peers.get_mut(*at) {
                peer.out.extend_from_slice(row);
                mark(peer, *at, &mut self.dirty);
            }
        }
    }

    /// From here on messages go to this frame's topic.
    fn aim(&mut self, at: usize, frame: &[u8]) {
        let topic = topic(frame).unwrap_or_default();
        let place = self.place(topic);
        if let Some(peer) = self.peers.get_mut(at) {
            peer.topic.clear();
            peer.topic.extend_from_slice(topic);
            peer.place = Some(place);
        }
    }

    /// The place of a topic, a new one if it has none.
    fn place(&mut self, topic: &[u8]) -> usize {
        if let Some(place) = self.places.get(topic) {
            return *place;
        }
        let place = self.readers.len();
        self.places.insert(topic.to_vec(), place);
        self.readers.push(Vec::new());
        place
    }

    /// Whatever is not a message.
    fn answer(&mut self, at: usize, frame: &[u8]) -> Result<(), Bye> {
        let Some(peer) = self.peers.get_mut(at) else { return Ok(()) };
        let Some((&first, body)) = frame.split_first().zip(body(frame)).map(|((f, _), b)| (f, b))
        else {
            return Err(Bye);
        };
        match (first >> 4, body) {
            (1, [_, name, rest @ ..]) => {
                let is_five = rest.get(usize::from(*name)) == Some(&5);
                peer.kind = Kind::Mqtt(is_five);
                let words: &[u8] = if is_five { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
                peer.out.extend_from_slice(words);
            }
            (8, [high, low, rest @ ..]) => {
                let id = [*high, *low];
                return self.listen(at, id, rest);
            }
            (5, [high, low, ..]) => peer.out.extend_from_slice(&[0x62, 2, *high, *low]),
            (6, [high, low, ..]) => peer.out.extend_from_slice(&[0x70, 2, *high, *low]),
            (12, _) => peer.out.extend_from_slice(&[0xD0, 0]),
            (4 | 7, _) => {}
            _ => return Err(Bye),
        }
        Ok(())
    }

    /// SUBSCRIBE, behind its packet id.
    fn listen(&mut self, at: usize, [high, low]: [u8; 2], asked: &[u8]) -> Result<(), Bye> {
        let is_five = self.peers.get(at).is_some_and(|peer| peer.kind == Kind::Mqtt(true));
        // Properties this short are all that is expected.
        let skip = if is_five { 1 + usize::from(*asked.first().ok_or(Bye)?) } else { 0 };
        let mut rest = asked.get(skip..).ok_or(Bye)?;
        let mut codes = if is_five { vec![high, low, 0] } else { vec![high, low] };
        while let [one, two, behind @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*one, *two]));
            let (filter, behind) = behind.split_at_checked(len).ok_or(Bye)?;
            let (options, behind) = behind.split_first().ok_or(Bye)?;
            codes.push(options & 3);
            rest = behind;
            let place = self.place(filter);
            let readers = self.readers.get_mut(place).ok_or(Bye)?;
            if !readers.contains(&at) {
                readers.push(at);
                self.peers.get_mut(at).ok_or(Bye)?.hears.push(place);
            }
        }
        let peer = self.peers.get_mut(at).ok_or(Bye)?;
        put_length(0x90, codes.len(), &mut peer.out);
        peer.out.extend_from_slice(&codes);
        Ok(())
    }

    /// One write for each connection.
    fn write(&mut self) {
        let mut dirty = core::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            let Some(peer) = self.peers.get_mut(at) else { continue };
            peer.is_dirty = false;
            if flush(peer).is_err() || peer.out.len() > OUT_MAX {
                self.part(at);
            }
        }
        self.dirty = dirty;
    }

    fn part(&mut self, at: usize) {
        let Some(peer) = self.peers.try_remove(at) else { return };
        for place in peer.hears {
            if let Some(readers) = self.readers.get_mut(place) {
                readers.retain(|reader| *reader != at);
            }
        }
    }
}

/// A message: is it to the same topic as the last? If so, nothing but its answer is to be done.
fn publish(peer: &mut Peer, frame: &[u8]) -> Result<bool, Bye> {
    let topic = topic(frame).ok_or(Bye)?;
    let qos = frame.first().map_or(0, |first| first >> 1 & 3);
    if qos > 0 {
        let behind = body(frame).and_then(|body| body.get(2 + topic.len()..)).unwrap_or_default();
        let [high, low, ..] = *behind else { return Err(Bye) };
        let kind = if qos == 1 { 0x40 } else { 0x50 };
        peer.out.extend_from_slice(&[kind, 2, high, low]);
    }
    Ok(peer.place.is_some() && peer.topic == topic)
}

fn flush(peer: &mut Peer) -> io::Result<()> {
    let mut written = 0;
    while let Some(left) = peer.out.get(written..).filter(|left| !left.is_empty()) {
        match peer.stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if later(&e) => break,
            Err(e) => return Err(e),
        }
    }
    peer.out.drain(..written);
    Ok(())
}

fn mark(peer: &mut Peer, at: usize, dirty: &mut Vec<usize>) {
    if !peer.is_dirty {
        peer.is_dirty = true;
        dirty.push(at);
    }
}

/// How long the packet at the front is, once it is whole.
fn length(input: &[u8]) -> Result<Option<usize>, Bye> {
    let whole = mqtt::frame_len(input, PACKET_MAX).map_err(|_| Bye)?;
    Ok(whole.filter(|whole| *whole <= input.len()))
}

/// What stands behind the length.
fn body(frame: &[u8]) -> Option<&[u8]> {
    let front = frame.iter().skip(1).position(|byte| byte & 0x80 == 0)? + 2;
    frame.get(front..)
}

fn topic(frame: &[u8]) -> Option<&[u8]> {
    let (len, rest) = body(frame)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}

/// A first byte and a length.
fn put_length(first: u8, mut len: usize, out: &mut Vec<u8>) {
    out.push(first);
    loop {
        let more = if len > 0x7f { 0x80 } else { 0 };
        out.push((len & 0x7f) as u8 | more);
        len >>= 7;
        if len == 0 {
            return;
        }
    }
}

fn later(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

const LISTENER: Token = Token(usize::MAX - 1);
const BACKLOG: i32 = 16_384;
const READ: usize = 128 << 10;
/// A socket is read so often before the others have their turn.
const READS: usize = 16;
const PACKET_MAX: usize = (16 << 20) + (64 << 10);
/// Whoever does not take what is written is sent away.
const OUT_MAX: usize = 64 << 20;
