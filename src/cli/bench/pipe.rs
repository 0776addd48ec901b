//! Floor 6. What lies between the load generator and the bytes of MQTT: a socket, and layers.
//!
//! Plain TCP and Unix sockets are read and written as they are. With TLS or a WebSocket the bytes
//! pass the layers of the client library, and buffers of their own, so a connection with layers
//! costs the generator more than one without; what it costs the broker is what is measured. Absent
//! on purpose: when to write, and waiting.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::{Buf, BufMut, BytesMut};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::base::rng::Rng;
use crate::client::mqtt::{Broken, Session, Trust};
use crate::os::sys;

use super::frames::{Frames, Way};

/// Where a broker is, and through what it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Road {
    pub(super) place: Place,
    pub(super) host: String,
    pub(super) trust: Option<Trust>,
    /// Where its WebSocket is.
    pub(super) way: Option<Way>,
}

/// Where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Pipe {
    socket: Socket,
    layers: Option<Box<Layers>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// TLS, a WebSocket, or both.
#[derive(Debug)]
struct Layers {
    tls: Option<Session>,
    ws: Option<Frames>,
    is_open: bool,
    /// As it is on the wire below the WebSocket.
    raw: BytesMut,
    /// What the protocol may read.
    plain: BytesMut,
    /// What the layers have to say below TLS, and below the socket.
    said: BytesMut,
    out: BytesMut,
    chunk: Box<[u8]>,
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Road {
    /// Is there nothing between the socket and the protocol, and is it TCP?
    pub(super) fn plain(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) if self.trust.is_none() && self.way.is_none() => Some(address),
            _ => None,
        }
    }

    /// Dial without waiting.
    pub(super) fn dial(
        &self,
        own: Option<std::net::IpAddr>,
        registry: &Registry,
        token: Token,
        seed: u64,
    ) -> io::Result<Pipe> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = match (&self.place, own) {
            (Place::Tcp(address), Some(own)) => {
                Socket::Tcp(TcpStream::from_std(sys::dial_later_from(own, *address)?))
            }
            (Place::Tcp(address), None) => Socket::Tcp(TcpStream::connect(*address)?),
            (Place::Unix(path), _) => Socket::Unix(UnixStream::connect(path)?),
        };
        let mut pipe = Pipe { socket, layers: self.layers(seed)? };
        match &mut pipe.socket {
            Socket::Tcp(stream) => registry.register(stream, token, interest)?,
            Socket::Unix(stream) => registry.register(stream, token, interest)?,
        }
        Ok(pipe)
    }

    fn layers(&self, seed: u64) -> io::Result<Option<Box<Layers>>> {
        if self.trust.is_none() && self.way.is_none() {
            return Ok(None);
        }
        let tls = self.trust.as_ref().map(|trust| trust.session(&self.host)).transpose();
        let tls = tls.map_err(|e| io::Error::other(e.to_string()))?;
        let mut said = BytesMut::new();
        let ws = self.way.as_ref().map(|way| {
            let (ws, request) = Frames::new(&self.host, way, Rng::new(seed));
            said.extend_from_slice(&request);
            ws
        });
        let is_open = ws.is_none();
        let [raw, plain, out] = [(); 3].map(|()| BytesMut::new());
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Ok(Some(Box::new(Layers { tls, ws, is_open, raw, plain, said, out, chunk })))
    }
}

impl Pipe {
    /// Is it a connection by now?
    pub(super) fn is_up(&self) -> io::Result<bool> {
        let (failed, peer) = match &self.socket {
            Socket::Tcp(it) => (it.take_error()?, it.peer_addr().is_ok()),
            Socket::Unix(it) => (it.take_error()?, it.peer_addr().is_ok()),
        };
        if let Some(e) = failed {
            return Err(e);
        }
        if let (Socket::Tcp(it), true) = (&self.socket, peer) {
            it.set_nodelay(true)?;
        }
        Ok(peer)
    }

    /// Read once: how much, and whether there may be more. Nothing is `WouldBlock`.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<(usize, bool)> {
        let Some(layers) = &mut self.layers else {
            let n = self.socket.read(into)?;
            return if n == 0 { Err(end()) } else { Ok((n, n == into.len())) };
        };
        let more = layers.fill(&mut self.socket)?;
        let n = layers.plain.len().min(into.len());
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let part = layers.plain.split_to(n);
        into.get_mut(..n).unwrap_or_default().copy_from_slice(&part);
        Ok((n, more || !layers.plain.is_empty()))
    }

    /// Write what the socket takes; the rest stays, here or in the layers.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(layers) = &mut self.layers {
            return layers.write(&mut self.socket, out);
        }
        let mut written = 0;
        while let Some(left) = out.get(written..).filter(|left| !left.is_empty()) {
            match self.socket.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(e) if later(&e) => break,
                Err(e) => return Err(e),
            }
        }
        if written == out.len() {
            out.clear();
        } else {
            out.drain(..written);
        }
        Ok(())
    }
}

impl Layers {
    /// Everything that is there, up to a bound; is there more?
    fn fill(&mut self, socket: &mut Socket) -> io::Result<bool> {
        while self.plain.len() < PLAIN_MAX {
            let n = match socket.read(&mut self.chunk) {
                Ok(0) => return Err(end()),
                Ok(n) => n,
                Err(e) if later(&e) => return Ok(false),
                Err(e) => return Err(e),
            };
            let got = self.chunk.get(..n).unwrap_or_default();
            let into = if self.ws.is_some() { &mut self.raw } else { &mut self.plain };
            match &mut self.tls {
                Some(tls) => unseal(tls, got, into)?,
                None => into.extend_from_slice(got),
            }
            let Some(ws) = &mut self.ws else { continue };
            self.is_open = ws.greet(&mut self.raw)?;
            if self.is_open && !ws.unwrap(&mut self.raw, &mut self.plain, &mut self.said)? {
                return Err(end());
            }
        }
        Ok(true)
    }

    fn write(&mut self, socket: &mut Socket, out: &mut Vec<u8>) -> io::Result<()> {
        // What the socket did not take bounds what is taken in.
        if self.is_open && self.out.is_empty() && !out.is_empty() {
            match &mut self.ws {
                Some(ws) => ws.wrap(out, &mut self.said),
                None => self.said.extend_from_slice(out),
            }
            out.clear();
        }
        match &mut self.tls {
            Some(tls) => {
                if !self.said.is_empty() {
                    tls.seal(&self.said).map_err(|e| io::Error::other(e.to_string()))?;
                    self.said.clear();
                }
                let mut sealed = (&mut self.out).writer();
                while tls.wants_write() {
                    tls.write_to(&mut sealed)?;
                }
            }
            None => self.out.unsplit(self.said.split()),
        }
        while !self.out.is_empty() {
            match socket.write(&self.out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.out.advance(n),
                Err(e) if later(&e) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn unseal(tls: &mut Session, mut sealed: &[u8], into: &mut BytesMut) -> io::Result<()> {
    while !sealed.is_empty() {
        match tls.read_from(&mut sealed, into) {
            Ok(0) => return Err(end()),
            Ok(_) => {}
            Err(Broken::Io(e)) => return Err(e),
            Err(Broken::Tls(e)) => return Err(io::Error::other(e.to_string())),
        }
    }
    Ok(())
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(it) => it.read(into),
            Self::Unix(it) => it.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(it) => it.write(from),
            Self::Unix(it) => it.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing now, but maybe later.
pub(super) fn later(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn end() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// Room for a read below the layers.
const CHUNK: usize = 64 << 10;
/// So much is read before it is looked at.
const PLAIN_MAX: usize = 128 << 10;
