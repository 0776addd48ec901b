//! Floor 5. One connection of an MQTT client: a socket, and what lies between it and the packets.
//!
//! Bytes to be said wait in one buffer until the socket takes them, so nobody is ever blocked in
//! a write while the broker waits to be read. Layers lie as on the other side: TLS, then either
//! bare bytes or a WebSocket. Absent on purpose: packets, and any clock but the deadline it is
//! handed.

#![expect(clippy::disallowed_types, reason = "a client on its owner's thread reads its own clock")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::base::rng::Rng;
use crate::link::ws_frame;

use super::Error;
use super::setup::{Plan, Target};
use super::tls::{Broken, Session};
use super::ws::Ws;

/// A socket of either kind.
#[derive(Debug)]
enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    tls: Option<Session>,
    ws: Option<Ws>,
    /// For the socket; sealed already if there is TLS.
    out: BytesMut,
    /// From TLS or the socket, still in frames.
    framed: BytesMut,
    readable: bool,
    writable: bool,
}

impl Wire {
    /// Dial, and come through the handshakes of TLS and WebSocket.
    pub(super) fn open(plan: &Plan, deadline: Instant) -> Result<Self, Error> {
        let mut socket = match &plan.target {
            Target::Tcp(host, port) => Socket::Tcp(dial(host, *port, plan, deadline)?),
            Target::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(Error::Dial)?;
                stream.set_nonblocking(true).map_err(Error::Dial)?;
                Socket::Unix(mio::net::UnixStream::from_std(stream))
            }
        };
        let host = match &plan.target {
            Target::Tcp(host, _) => host.as_str(),
            Target::Unix(_) => "localhost",
        };
        let tls = plan.tls.as_ref().map(|tls| Session::new(tls, host)).transpose()?;
        let poll = Poll::new().map_err(Error::Io)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(Error::Io)?);
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut socket {
            Socket::Tcp(s) => poll.registry().register(s, SOCKET, both),
            Socket::Unix(s) => poll.registry().register(s, SOCKET, both),
        }
        .map_err(Error::Io)?;
        let mut wire = Self {
            socket,
            poll,
            events: Events::with_capacity(8),
            waker,
            tls,
            ws: None,
            out: BytesMut::new(),
            framed: BytesMut::new(),
            readable: true,
            writable: true,
        };
        wire.shake_hands(plan, host, deadline)?;
        Ok(wire)
    }

    fn shake_hands(&mut self, plan: &Plan, host: &str, deadline: Instant) -> Result<(), Error> {
        while self.tls.as_ref().is_some_and(Session::is_handshaking) {
            self.step(deadline, Error::Tls("the broker hung up".to_owned()))?;
        }
        let Some(path) = &plan.ws else { return Ok(()) };
        let named = match &plan.target {
            Target::Tcp(_, port) if host.contains(':') => format!("[{host}]:{port}"),
            Target::Tcp(_, port) => format!("{host}:{port}"),
            Target::Unix(_) => host.to_owned(),
        };
        let (mut ws, request) = Ws::new(&named, path, Rng::new(seed()));
        self.seal(&request)?;
        while !ws.greet(&mut self.framed)? {
            self.step(deadline, Error::WebSocket("the broker hung up"))?;
        }
        self.ws = Some(ws);
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
        let mut framed = core::mem::take(&mut self.framed);
        let before = framed.len();
        let open = self.unseal(&mut framed);
        // What has come may be all that is waited for.
        let heard = framed.len() > before;
        self.framed = framed;
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

    /// Bytes that were said and not written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Say a packet.
    pub(super) fn send(&mut self, packet: &[u8]) -> Result<(), Error> {
        let Some(ws) = &mut self.ws else { return self.seal(packet) };
        let mut frame = BytesMut::with_capacity(packet.len() + 14);
        ws.wrap(ws_frame::BINARY, packet, &mut frame);
        self.seal(&frame)
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
        let mut words = Vec::new();
        while tls.wants_write() {
            tls.write_to(&mut words).map_err(Error::Io)?;
        }
        self.out.extend_from_slice(&words);
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
                // What the broker said before it hung up is worth more than how it hung up.
                Err(_) if self.readable => {
                    self.out.clear();
                    return Ok(());
                }
                Err(e) => return Err(Error::Io(e)),
            }
        }
        Ok(())
    }

    /// Wait until there is something to read, or to write what waits; true: somebody interrupted.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<bool, Error> {
        let ready = self.readable || self.writable && !self.out.is_empty();
        let most = if ready { Some(Duration::ZERO) } else { most };
        match self.poll.poll(&mut self.events, most) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other.map_err(Error::Io)?,
        }
        let mut interrupted = false;
        for event in &self.events {
            if event.token() == WAKER {
                interrupted = true;
                continue;
            }
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable() || event.is_write_closed();
        }
        Ok(interrupted)
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(super) fn receive(&mut self, into: &mut BytesMut) -> Result<bool, Error> {
        let Some(mut ws) = self.ws.take() else { return self.unseal(into) };
        let mut framed = core::mem::take(&mut self.framed);
        let open = self.unseal(&mut framed);
        let mut answers = BytesMut::new();
        let within = ws.unwrap(&mut framed, into, &mut answers);
        (self.framed, self.ws) = (framed, Some(ws));
        if !answers.is_empty() {
            self.seal(&answers)?;
        }
        Ok(within? && open?)
    }

    fn unseal(&mut self, into: &mut BytesMut) -> Result<bool, Error> {
        let before = into.len();
        while self.readable && into.len() - before < READ_MAX {
            let read = match &mut self.tls {
                None => read_some(&mut self.socket, into).map_err(Broken::Io),
                Some(tls) => tls.read_from(&mut self.socket, into),
            };
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                }
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                // What was read before is still heard.
                Err(Broken::Io(_)) if into.len() > before => return Ok(false),
                Err(Broken::Io(e)) => return Err(Error::Io(e)),
                Err(Broken::Tls(error)) => {
                    // The alert is for the broker's log.
                    let _ = self.drain_tls();
                    let _ = self.flush();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Say that nothing follows, in every layer.
    pub(super) fn close(&mut self) {
        if let Some(mut ws) = self.ws.take() {
            let mut frame = BytesMut::new();
            ws.wrap(ws_frame::CLOSE, &1000u16.to_be_bytes(), &mut frame);
            self.ws = Some(ws);
            let _ = self.seal(&frame);
        }
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
        let _ = self.flush();
        let _ = match &self.socket {
            Socket::Tcp(s) => s.shutdown(std::net::Shutdown::Write),
            Socket::Unix(s) => s.shutdown(std::net::Shutdown::Write),
        };
    }
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
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => s.write(bytes),
            Self::Unix(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first address of the name that answers.
fn dial(
    host: &str,
    port: u16,
    plan: &Plan,
    deadline: Instant,
) -> Result<mio::net::TcpStream, Error> {
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(Error::Lookup)?.collect();
    let mut last = Error::Lookup(io::ErrorKind::NotFound.into());
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        let dialled = match &plan.dial {
            None => TcpStream::connect_timeout(&address, left),
            Some(dial) => dial(address),
        };
        match dialled {
            Ok(stream) => {
                // Small packets go at once; a socket that cannot be told so is as good.
                let _ = stream.set_nodelay(true);
                stream.set_nonblocking(true).map_err(Error::Dial)?;
                return Ok(mio::net::TcpStream::from_std(stream));
            }
            Err(e) => last = Error::Dial(e),
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
