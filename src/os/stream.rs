//! Floor 5. A stream of bytes to somebody: over the network, by a name in the file system, or to
//! another thread. Of that one the poller hears nothing: whoever has the other end says so.
//!
//! Absent on purpose: what they carry.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::base::pipe::Pipe;

/// A stream.
#[derive(Debug)]
pub enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
    /// Within this process.
    Inner(Pipe),
}

macro_rules! either {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self {
            Stream::Tcp($stream) => $do,
            Stream::Unix($stream) => $do,
            Stream::Inner($stream) => $do,
        }
    };
}

impl Stream {
    /// What is said in a turn is said in one write; waiting for more would only add delay.
    pub fn do_not_wait(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
        }
    }

    /// What comes is acknowledged at once: who writes a little and waits with the next until that
    /// is acknowledged is not kept waiting by us. The system forgets it, so it is said again and
    /// again.
    pub fn acknowledge_now(&self) {
        if let Self::Tcp(stream) = self {
            let _ = super::sys::acknowledge_now(stream.as_fd());
        }
    }

    /// Microseconds that bytes are under way and back, where there is a way and the system knows.
    #[must_use]
    pub fn rtt_us(&self) -> Option<u32> {
        match self {
            Self::Tcp(stream) => super::sys::rtt_us(stream.as_fd()).ok(),
            Self::Unix(_) | Self::Inner(_) => None,
        }
    }

    /// What became of dialing: nothing as long as nobody knows.
    pub fn dialed(&self) -> io::Result<Option<()>> {
        let error = match self {
            Self::Tcp(stream) => stream.take_error()?,
            Self::Unix(stream) => stream.take_error()?,
            Self::Inner(_) => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
        let known = match self {
            Self::Tcp(stream) => stream.peer_addr().map(|_| ()),
            Self::Unix(stream) => stream.peer_addr().map(|_| ()),
            Self::Inner(_) => Ok(()),
        };
        match known {
            Ok(()) => Ok(Some(())),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Say that nothing follows.
    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Inner(stream) => {
                stream.shutdown();
                Ok(())
            }
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<Pipe> for Stream {
    fn from(stream: Pipe) -> Self {
        Self::Inner(stream)
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(into))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(&mut self, with: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(with, token, interest),
            Self::Unix(stream) => stream.register(with, token, interest),
            Self::Inner(_) => Ok(()),
        }
    }

    fn reregister(&mut self, with: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(with, token, interest),
            Self::Unix(stream) => stream.reregister(with, token, interest),
            Self::Inner(_) => Ok(()),
        }
    }

    fn deregister(&mut self, with: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(with),
            Self::Unix(stream) => stream.deregister(with),
            Self::Inner(_) => Ok(()),
        }
    }
}
