//! Floor 5. One connection of a WAMP client: a socket, and what lies between it and the messages.
//!
//! Bytes to be said wait in one buffer until the socket takes them, so nobody is ever blocked in a
//! write while the router waits to be read. Layers lie as on the other side: TLS, then a WebSocket
//! or the frames of a RawSocket. Absent on purpose: messages, and any clock but the deadline it is
//! handed.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::base::pipe::Pipe;
use crate::base::rng::Rng;
use crate::client::mqtt::{Broken, Session};
use crate::proto::wamp::batch;
use crate::proto::wamp::rawsocket::{self, Denied, Frame, Kind, Offer, Refusal};
use crate::value::Form;

use super::Error;
use super::setup::Plan;
use super::url::Place;
use super::ws::{Spoken, Ws};

/// A socket of either kind, or no socket at all.
#[derive(Debug)]
enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
    Inner(Pipe),
}

/// What marks where messages begin and end.
#[derive(Debug)]
enum Frames {
    /// The length that this side takes.
    Raw(usize),
    Ws(Box<Ws>),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    tls: Option<Session>,
    frames: Frames,
    spoken: Spoken,
    /// The longest message that the router takes.
    takes: usize,
    /// For the socket; sealed already if there is TLS.
    out: BytesMut,
    /// From TLS or the socket, still in frames.
    framed: BytesMut,
    /// What is left of a batch.
    batch: Option<batch::Messages>,
    readable: bool,
    writable: bool,
}

impl Wire {
    /// Dial, and come through the handshakes. Of several forms, a RawSocket is asked for one after
    /// the other.
    pub(super) fn open(plan: &Plan, deadline: Instant) -> Result<Self, Error> {
        let mut last = Err(Error::Setting("no serializer"));
        for spoken in &plan.offered {
            last = Self::dial(plan, *spoken, deadline);
            match &last {
                // There is another form to ask for.
                Err(Error::RawSocket(why)) if *why == refusal(Refusal::Serializer as u8) => {}
                _ => return last,
            }
        }
        last
    }

    fn dial(plan: &Plan, spoken: Spoken, deadline: Instant) -> Result<Self, Error> {
        let poll = Poll::new().map_err(Error::io)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(Error::io)?);
        let mut socket = match &plan.url.place {
            Place::Inner(enter) => {
                let waker = Arc::clone(&waker);
                // Who has gone waits for nothing.
                let wake = move || drop(waker.wake());
                Socket::Inner(enter.0(Arc::new(wake)).map_err(Error::dial)?)
            }
            Place::Tcp(host, port) => Socket::Tcp(dial(host, *port, deadline)?),
            Place::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(Error::dial)?;
                stream.set_nonblocking(true).map_err(Error::dial)?;
                Socket::Unix(mio::net::UnixStream::from_std(stream))
            }
        };
        let host = match &plan.url.place {
            Place::Tcp(host, _) => host.as_str(),
            Place::Unix(_) | Place::Inner(_) => "localhost",
        };
        let tls = match plan.url.tls {
            true => Some(Session::new(&plan.tls, host)?),
            false => None,
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut socket {
            Socket::Tcp(s) => poll.registry().register(s, SOCKET, both),
            Socket::Unix(s) => poll.registry().register(s, SOCKET, both),
            Socket::Inner(_) => Ok(()),
        }
        .map_err(Error::io)?;
        let mut wire = Self {
            socket,
            poll,
            events: Events::with_capacity(8),
            waker,
            tls,
            frames: Frames::Raw(plan.longest),
            spoken,
            takes: rawsocket::LONGEST,
            out: BytesMut::new(),
            framed: BytesMut::new(),
            batch: None,
            readable: true,
            writable: true,
        };
        while wire.tls.as_ref().is_some_and(Session::is_handshaking) {
            wire.step(deadline, Error::Tls("the router hung up".to_owned()))?;
        }
        match &plan.url.path {
            Some(path) => wire.upgrade(plan, host, path, deadline)?,
            None => wire.agree(plan, deadline)?,
        }
        Ok(wire)
    }

    fn upgrade(
        &mut self,
        plan: &Plan,
        host: &str,
        path: &str,
        deadline: Instant,
    ) -> Result<(), Error> {
        let named = match &plan.url.place {
            Place::Tcp(_, port) if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp(_, port) => format!("{host}:{port}"),
            Place::Unix(_) | Place::Inner(_) => host.to_owned(),
        };
        let rng = Rng::new(seed());
        let (mut ws, request) = Ws::new(&named, path, &plan.offered, plan.longest, rng);
        self.seal(&request)?;
        self.spoken = loop {
            if let Some(spoken) = ws.greet(&mut self.framed, &plan.offered)? {
                break spoken;
            }
            self.step(deadline, Error::WebSocket("the router hung up"))?;
        };
        self.takes = usize::MAX;
        self.frames = Frames::Ws(Box::new(ws));
        Ok(())
    }

    /// The four octets of a RawSocket, either way.
    fn agree(&mut self, plan: &Plan, deadline: Instant) -> Result<(), Error> {
        let form = self.spoken.form;
        let ours = Offer { takes: plan.longest, form };
        self.seal(&ours.octets())?;
        let offer = loop {
            match rawsocket::answered(&self.framed, form) {
                Ok(Some(offer)) => break offer,
                Ok(None) => {
                    let hung_up = "the router hung up".to_owned();
                    self.step(deadline, Error::RawSocket(hung_up))?;
                }
                Err(Denied::Foreign) => {
                    return Err(Error::RawSocket("something else is spoken there".to_owned()));
                }
                Err(Denied::Otherwise) => {
                    return Err(Error::RawSocket("agreed to what was not asked".to_owned()));
                }
                Err(Denied::Refused(why)) => return Err(Error::RawSocket(refusal(why))),
            }
        };
        self.framed.advance(rawsocket::HEAD);
        self.takes = offer.takes;
        Ok(())
    }

    /// One turn of a handshake: what comes is kept as framed.
    fn step(&mut self, deadline: Instant, ended: Error) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        self.flush()?;
        let shakes = |wire: &Self| wire.tls.as_ref().is_some_and(Session::is_handshaking);
        let shook = shakes(self);
        let before = self.framed.len();
        let open = self.receive();
        // What has come may be all that is waited for.
        let heard = self.framed.len() > before;
        if !open? && !heard {
            return Err(ended);
        }
        // Nor is anything waited for when the handshake of TLS has just come to its end.
        let waits = !heard && shook == shakes(self);
        if waits && !self.readable {
            self.flush()?;
            self.wait(Some(left))?;
        }
        Ok(())
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// What messages are written in.
    pub(super) fn form(&self) -> Form {
        self.spoken.form
    }

    /// The longest message that the router takes.
    pub(super) fn takes(&self) -> usize {
        self.takes
    }

    /// Bytes that were said and not written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Say a message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let mut framed = BytesMut::with_capacity(message.len() + 14);
        match &mut self.frames {
            Frames::Raw(_) => {
                let head = rawsocket::head(Kind::Message, message.len()).ok_or(Error::TooLarge)?;
                framed.extend_from_slice(&head);
                framed.extend_from_slice(message);
            }
            Frames::Ws(ws) if self.spoken.batched => {
                let mut batch = Vec::with_capacity(message.len() + 4);
                if !batch::Split::of(self.spoken.form).put(message, &mut batch) {
                    return Err(Error::TooLarge);
                }
                ws.wrap(&batch, &mut framed);
            }
            Frames::Ws(ws) => ws.wrap(message, &mut framed),
        }
        self.seal(&framed)
    }

    /// Ask for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), Error> {
        let mut framed = BytesMut::new();
        match &mut self.frames {
            Frames::Raw(_) => framed.extend(rawsocket::head(Kind::Ping, 0).iter().flatten()),
            Frames::Ws(ws) => ws.ping(&mut framed),
        }
        self.seal(&framed)
    }

    /// The next message that has arrived whole.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(message) = self.batch.as_mut().and_then(Iterator::next) {
                return message.map(Some).map_err(|kind| Error::Protocol(kind.text().to_owned()));
            }
            self.batch = None;
            let Some(message) = self.unframe()? else { return Ok(None) };
            if !self.spoken.batched {
                return Ok(Some(message));
            }
            self.batch = Some(batch::messages(self.spoken.form, message));
        }
    }

    fn unframe(&mut self) -> Result<Option<Bytes>, Error> {
        let takes = match &mut self.frames {
            Frames::Raw(takes) => *takes,
            Frames::Ws(ws) => {
                let mut answers = BytesMut::new();
                let message = ws.next(&mut self.framed, &mut answers);
                if !answers.is_empty() {
                    self.seal(&answers)?;
                }
                return message;
            }
        };
        loop {
            let frame = rawsocket::next(&mut self.framed, takes);
            match frame.map_err(|kind| Error::RawSocket(kind.text().to_owned()))? {
                Some(Frame::Message(message)) => return Ok(Some(message)),
                Some(Frame::Ping(payload)) => {
                    let head = rawsocket::head(Kind::Pong, payload.len());
                    let mut pong = head.unwrap_or_default().to_vec();
                    pong.extend_from_slice(&payload);
                    self.seal(&pong)?;
                }
                Some(Frame::Pong(_)) => {}
                None => return Ok(None),
            }
        }
    }

    fn seal(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(bytes);
            return Ok(());
        };
        tls.seal(bytes)?;
        self.drain_tls()
    }

    /// What TLS wants to say joins what waits.
    fn drain_tls(&mut self) -> Result<(), Error> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            let mut sealed = Vec::new();
            tls.write_to(&mut sealed).map_err(Error::io)?;
            self.out.extend_from_slice(&sealed);
        }
        Ok(())
    }

    /// Write as much as the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.drain_tls()?;
        while self.writable && !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return Err(Error::Lost),
                Ok(len) => self.out.advance(len),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What the router said before it hung up is worth more than how it hung up.
                Err(_) if self.readable => {
                    self.out.clear();
                    return Ok(());
                }
                Err(e) => return Err(Error::io(e)),
            }
        }
        Ok(())
    }

    /// Wait until there is something to read, or to write what waits, or somebody woke us. While
    /// nothing is to be read, what has arrived is no reason to come back.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<(), Error> {
        match self.poll.poll(&mut self.events, most) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(Error::io)?,
        }
        if let Socket::Inner(_) = self.socket {
            // Whoever woke us may have written, or read.
            (self.readable, self.writable) = (true, true);
        }
        for event in self.events.iter().filter(|event| event.token() == SOCKET) {
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable() || event.is_write_closed();
        }
        Ok(())
    }

    /// The socket may have something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(super) fn receive(&mut self) -> Result<bool, Error> {
        let before = self.framed.len();
        while self.readable && self.framed.len() - before < READ_MAX {
            let read = match &mut self.tls {
                None => read_some(&mut self.socket, &mut self.framed).map_err(Broken::Io),
                Some(tls) => tls.read_from(&mut self.socket, &mut self.framed),
            };
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                }
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                // What was read before is still heard.
                Err(Broken::Io(_)) if self.framed.len() > before => return Ok(false),
                Err(Broken::Io(e)) => return Err(Error::io(e)),
                Err(Broken::Tls(error)) => {
                    // The alert is for the router's log.
                    let _ = self.drain_tls();
                    let _ = self.flush();
                    return Err(error.into());
                }
            }
        }
        Ok(true)
    }

    /// Bytes that were read and not understood yet.
    pub(super) fn unread(&self) -> usize {
        self.framed.len()
    }

    /// Say that nothing follows, in every layer, and wait a moment for the router to close: closing
    /// over bytes that were not read could destroy what it has not read.
    pub(super) fn close(mut self, deadline: Instant) {
        if let Frames::Ws(ws) = &mut self.frames {
            let mut frame = BytesMut::new();
            ws.close(&mut frame);
            let _ = self.seal(&frame);
        }
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
        let mut said = false;
        while Instant::now() < deadline {
            if self.flush().is_err() {
                return;
            }
            if self.out.is_empty() && !said {
                said = true;
                let _ = match &self.socket {
                    Socket::Tcp(s) => s.shutdown(std::net::Shutdown::Write),
                    Socket::Unix(s) => s.shutdown(std::net::Shutdown::Write),
                    Socket::Inner(s) => {
                        s.shutdown();
                        Ok(())
                    }
                };
            }
            self.framed.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            let open = matches!(self.receive(), Ok(true));
            let most = if self.readable { Duration::ZERO } else { left };
            if !open || self.wait(Some(most)).is_err() {
                return;
            }
        }
    }
}

fn refusal(why: u8) -> String {
    match why {
        1 => "the router does not speak in this form",
        2 => "the router does not accept messages of our length",
        3 => "the router misread our offer",
        4 => "too many connections",
        _ => return format!("refused with {why}"),
    }
    .to_owned()
}

fn read_some(socket: &mut Socket, into: &mut BytesMut) -> io::Result<usize> {
    let mut part = [0; 16 << 10];
    let len = socket.read(&mut part)?;
    into.extend_from_slice(part.get(..len).unwrap_or_default());
    Ok(len)
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.read(into),
            Self::Unix(s) => s.read(into),
            Self::Inner(s) => s.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(bytes),
            Self::Unix(s) => s.write(bytes),
            Self::Inner(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first address of the name that answers.
fn dial(host: &str, port: u16, deadline: Instant) -> Result<mio::net::TcpStream, Error> {
    let addresses = (host, port).to_socket_addrs().map_err(|e| Error::Lookup(Arc::new(e)))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let mut last = Error::Lookup(Arc::new(io::ErrorKind::NotFound.into()));
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                // Small messages go at once; a socket that cannot be told so is as good.
                let _ = stream.set_nodelay(true);
                stream.set_nonblocking(true).map_err(Error::dial)?;
                return Ok(mio::net::TcpStream::from_std(stream));
            }
            Err(e) => last = Error::dial(e),
        }
    }
    Err(last)
}

/// For masks, which protect proxies and no secret, so a machine without entropy has them too.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// Read at most so much at a time, so that what was read is looked at.
const READ_MAX: usize = 256 << 10;
