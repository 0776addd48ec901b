//! Floor 5. A socket of a client, within TLS or not: what is said waits here, what comes is plain.
//!
//! Bytes to be said wait in one buffer until the socket takes them, so nobody is ever blocked in a
//! write while the other side waits to be read. Readiness is told once, so it is remembered. Absent
//! on purpose: frames of any kind, and any clock but the deadline it is handed.

#![expect(clippy::disallowed_types, reason = "a client on its own thread reads its own clock")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::base::pipe;

use super::mqtt::{self, Broken, Session};

/// Why there is no connection, or none any more.
#[derive(Debug)]
pub(crate) enum Broke {
    /// The machine's name cannot be found.
    Lookup(io::Error),
    /// Nobody answers there.
    Dial(io::Error),
    /// TLS.
    Tls(String),
    /// Reading or writing failed.
    Io(io::Error),
    /// The other side takes nothing any more.
    Lost,
    /// The other side hung up before the handshake was done.
    HungUp,
    /// Not within the time given.
    TimedOut,
}

impl From<mqtt::Error> for Broke {
    fn from(error: mqtt::Error) -> Self {
        match error {
            mqtt::Error::Io(e) => Self::Io(e),
            mqtt::Error::Tls(why) => Self::Tls(why),
            other => Self::Tls(other.to_string()),
        }
    }
}

/// A socket of any kind.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
    /// No socket at all: the broker is in this process.
    Inner(pipe::Pipe),
}

impl Socket {
    /// The first address of the name that answers. `by` dials it.
    pub(crate) fn tcp(
        (host, port): (&str, u16),
        deadline: Instant,
        by: impl Fn(SocketAddr, Duration) -> io::Result<TcpStream>,
    ) -> Result<Self, Broke> {
        let addresses = (host, port).to_socket_addrs().map_err(Broke::Lookup)?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let mut last = Broke::Lookup(io::ErrorKind::NotFound.into());
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Broke::TimedOut);
            }
            match by(address, left) {
                Ok(stream) => {
                    // What is small goes at once; a socket that cannot be told so is as good.
                    let _ = stream.set_nodelay(true);
                    stream.set_nonblocking(true).map_err(Broke::Dial)?;
                    return Ok(Self::Tcp(mio::net::TcpStream::from_std(stream)));
                }
                Err(e) => last = Broke::Dial(e),
            }
        }
        Err(last)
    }

    /// The socket at a path.
    pub(crate) fn unix(path: &Path) -> Result<Self, Broke> {
        let stream = std::os::unix::net::UnixStream::connect(path).map_err(Broke::Dial)?;
        stream.set_nonblocking(true).map_err(Broke::Dial)?;
        Ok(Self::Unix(mio::net::UnixStream::from_std(stream)))
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    socket: Socket,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    tls: Option<Session>,
    /// For the socket; sealed already if there is TLS.
    out: BytesMut,
    /// How much the socket has taken.
    written: u64,
    readable: bool,
    writable: bool,
}

impl Pipe {
    pub(crate) fn new(socket: Socket, tls: Option<Session>) -> Result<Self, Broke> {
        Self::open(|_| Ok(socket), tls)
    }

    /// The same over a socket that is made now, and may have to be told whom to wake.
    pub(crate) fn open(
        socket: impl FnOnce(&Arc<Waker>) -> Result<Socket, Broke>,
        tls: Option<Session>,
    ) -> Result<Self, Broke> {
        let poll = Poll::new().map_err(Broke::Io)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(Broke::Io)?);
        let mut socket = socket(&waker)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut socket {
            Socket::Tcp(s) => poll.registry().register(s, SOCKET, both),
            Socket::Unix(s) => poll.registry().register(s, SOCKET, both),
            Socket::Inner(_) => Ok(()),
        }
        .map_err(Broke::Io)?;
        Ok(Self {
            socket,
            poll,
            events: Events::with_capacity(8),
            waker,
            tls,
            out: BytesMut::new(),
            written: 0,
            readable: true,
            writable: true,
        })
    }

    /// Come through the handshake of TLS, if there is one. What comes behind it goes to `into`.
    pub(crate) fn shake_hands(
        &mut self,
        into: &mut BytesMut,
        deadline: Instant,
    ) -> Result<(), Broke> {
        while self.is_handshaking() {
            self.step(into, deadline)?;
        }
        Ok(())
    }

    fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Session::is_handshaking)
    }

    /// One turn of a handshake of any layer: what comes goes to `into`.
    pub(crate) fn step(&mut self, into: &mut BytesMut, deadline: Instant) -> Result<(), Broke> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Broke::TimedOut);
        }
        self.flush()?;
        let shook = self.is_handshaking();
        let before = into.len();
        let open = self.receive(into);
        // What has come may be all that is waited for.
        let heard = into.len() > before;
        if !open? && !heard {
            return Err(Broke::HungUp);
        }
        // Nor is anything waited for when the handshake of TLS has just come to its end.
        let waits = !heard && shook == self.is_handshaking();
        if waits && !self.readable {
            self.flush()?;
            self.wait(Some(left))?;
        }
        Ok(())
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// The certificate that the other side has shown.
    pub(crate) fn shown(&self) -> Option<&[u8]> {
        self.tls.as_ref().and_then(Session::shown)
    }

    /// Something is to be told to the socket, if it is one of the network.
    pub(crate) fn with_descriptor(&self, tell: fn(BorrowedFd<'_>)) {
        if let Socket::Tcp(socket) = &self.socket {
            tell(socket.as_fd());
        }
    }

    /// Bytes that were said and not written.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Bytes that the socket has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Say this.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Result<(), Broke> {
        let Some(tls) = &mut self.tls else {
            self.out.extend_from_slice(bytes);
            return Ok(());
        };
        tls.seal(bytes)?;
        self.drain_tls()
    }

    /// What TLS wants to say joins what waits.
    fn drain_tls(&mut self) -> Result<(), Broke> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            let mut sealed = Vec::new();
            tls.write_to(&mut sealed).map_err(Broke::Io)?;
            self.out.extend_from_slice(&sealed);
        }
        Ok(())
    }

    /// Write as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Broke> {
        self.drain_tls()?;
        while self.writable && !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return Err(Broke::Lost),
                Ok(len) => {
                    self.out.advance(len);
                    self.written += len as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What the other side said before it hung up is worth more than how it hung up.
                Err(_) if self.readable => {
                    self.out.clear();
                    return Ok(());
                }
                Err(e) => return Err(Broke::Io(e)),
            }
        }
        Ok(())
    }

    /// Wait until there is something to read, or to write what waits; true: somebody woke us. What
    /// has arrived already, and was told, is no reason to come back.
    pub(crate) fn wait(&mut self, most: Option<Duration>) -> Result<bool, Broke> {
        match self.poll.poll(&mut self.events, most) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other.map_err(Broke::Io)?,
        }
        let mut woken = false;
        if let Socket::Inner(_) = self.socket {
            // Whoever woke us may have written, or read.
            (self.readable, self.writable) = (true, true);
        }
        for event in &self.events {
            if event.token() == WAKER {
                woken = true;
                continue;
            }
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable() || event.is_write_closed();
        }
        Ok(woken)
    }

    /// The socket may have something to read.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// There is something to do at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.readable || self.writable && !self.out.is_empty()
    }

    /// Read what has arrived, up to a bound; false: there will be nothing more.
    pub(crate) fn receive(&mut self, into: &mut BytesMut) -> Result<bool, Broke> {
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
                Err(Broken::Io(e)) => return Err(Broke::Io(e)),
                Err(Broken::Tls(error)) => {
                    // The alert is for the other side's log.
                    let _ = self.drain_tls();
                    let _ = self.flush();
                    return Err(error.into());
                }
            }
        }
        Ok(true)
    }

    /// Say that nothing follows, in every layer.
    pub(crate) fn close(&mut self) {
        self.close_tls();
        let _ = self.flush();
        self.shut();
    }

    fn close_tls(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    fn shut(&self) {
        let _ = match &self.socket {
            Socket::Tcp(s) => s.shutdown(Shutdown::Write),
            Socket::Unix(s) => s.shutdown(Shutdown::Write),
            Socket::Inner(s) => {
                s.shutdown();
                Ok(())
            }
        };
    }

    /// The same, and wait a moment for the other side to close: closing over bytes that were not
    /// read could destroy what it has not read.
    pub(crate) fn linger(mut self, deadline: Instant) {
        self.close_tls();
        let mut said = false;
        let mut unheard = BytesMut::new();
        while Instant::now() < deadline {
            if self.flush().is_err() {
                return;
            }
            if self.out.is_empty() && !said {
                said = true;
                self.shut();
            }
            unheard.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            let open = matches!(self.receive(&mut unheard), Ok(true));
            let most = if self.readable { Duration::ZERO } else { left };
            if !open || self.wait(Some(most)).is_err() {
                return;
            }
        }
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

/// Eight bytes by chance. They protect proxies and tables and are no secret, so a machine without
/// entropy has them too.
pub(crate) fn seed() -> u64 {
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
