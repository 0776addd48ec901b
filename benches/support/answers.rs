//! Floor 6. The server behind a relay that is measured, as a process of its own.
//!
//! One loop that answers each whole line `REQ n ...` with `ACK n`, so that what it costs is the
//! same whoever asks. A process, so that its descriptors and its time are nobody else's. It ends
//! when its input does, and says then how many requests it saw. Absent on purpose: everything else
//! that a server does.

use crate::place;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// The word by which the bench knows that it is to be the server; no name of a test.
const SERVE: &str = "serve-requests";
const LISTENER: Token = Token(usize::MAX);
const OVER: Token = Token(usize::MAX - 1);

/// Is this process to be the server? Then it has been, when this returns.
pub(crate) fn is_this() -> bool {
    let is = std::env::args().nth(1).is_some_and(|arg| arg == SERVE);
    if is {
        place::stay_on("1");
        Server::start().run();
    }
    is
}

/// The server, seen from the bench.
pub(crate) struct Upstream {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().parse().expect("an address");
        Self { child, input, output, address }
    }

    /// How many requests it saw.
    pub(crate) fn end(&mut self) -> u64 {
        drop(self.input.take());
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it says what it saw");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // It may have ended, and then there is nothing to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Peer {
    stream: TcpStream,
    /// The beginning of a line.
    input: Vec<u8>,
    /// What the socket had no room for.
    output: Vec<u8>,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// Slots are not used again: a run has fewer connections than would be worth it.
    peers: Vec<Option<Peer>>,
    through: Vec<u8>,
    answers: Vec<u8>,
    seen: u64,
    _waker: Arc<Waker>,
}

impl Server {
    fn start() -> Self {
        let poll = Poll::new().expect("a poller");
        let mut listener =
            TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("room");
        let waker = Arc::new(Waker::new(poll.registry(), OVER).expect("a waker"));
        let over = Arc::clone(&waker);
        let watch = std::thread::Builder::new().spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = over.wake();
        });
        watch.expect("a thread");
        say(&listener.local_addr().expect("bound").to_string());
        Self {
            poll,
            listener,
            peers: Vec::new(),
            through: vec![0; 65_536],
            answers: Vec::new(),
            seen: 0,
            _waker: waker,
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => other.expect("a wait"),
            }
            for event in &events {
                match event.token() {
                    OVER => return say(&self.seen.to_string()),
                    LISTENER => self.accept(),
                    Token(slot) => {
                        if self.serve(slot).is_err() {
                            self.peers[slot] = None;
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            // Whoever is gone already is noticed by its events.
            let _ = stream.set_nodelay(true);
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.peers.len());
            self.poll.registry().register(&mut stream, token, both).expect("room");
            self.peers.push(Some(Peer { stream, input: Vec::new(), output: Vec::new() }));
        }
    }

    /// Read and answer all there is; an error is the end of this connection.
    fn serve(&mut self, slot: usize) -> std::io::Result<()> {
        let Some(peer) = self.peers[slot].as_mut() else { return Ok(()) };
        flush(peer)?;
        loop {
            let read = match peer.stream.read(&mut self.through) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            let mut rest = &self.through[..read];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                peer.input.extend_from_slice(&rest[..end]);
                answer(&peer.input, &mut self.answers)?;
                self.seen += 1;
                peer.input.clear();
                rest = &rest[end + 1..];
            }
            peer.input.extend_from_slice(rest);
            peer.output.append(&mut self.answers);
            flush(peer)?;
            // A read that is not full was the last one: what comes later is an event of its own.
            if read < self.through.len() {
                return Ok(());
            }
        }
    }
}

fn flush(peer: &mut Peer) -> std::io::Result<()> {
    while !peer.output.is_empty() {
        match peer.stream.write(&peer.output) {
            Ok(wrote) => drop(peer.output.drain(..wrote)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn answer(line: &[u8], into: &mut Vec<u8>) -> std::io::Result<()> {
    let asked = line.strip_prefix(b"REQ ").ok_or(ErrorKind::InvalidData)?;
    let number = asked.split(|byte| *byte == b' ').next().unwrap_or_default();
    into.extend_from_slice(b"ACK ");
    into.extend_from_slice(number);
    into.push(b'\n');
    Ok(())
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Whoever started this may be gone, and then its input ends too.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
