//! Floor 5. Doors: bound sockets from which a bounded number of connections is taken in a turn.
//!
//! Readiness is remembered until a door has nobody left in front of it. When the process has no
//! descriptor left, a door rests for a moment instead of spinning: who waits in the backlog keeps
//! waiting there. Absent on purpose: who may come in.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::net::{TcpListener, UnixListener};

use super::poller::{Poller, Whom};
use super::stream::Stream;
use super::sys;
use crate::base::time::{Deadline, Now};
use crate::hub::policy::Address;

/// A bound listener.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    /// The place of the listener whose terms hold for who comes.
    pub place: u16,
    /// The name under which it is registered; stays, whatever the terms.
    pub name: u32,
    /// Where it is bound.
    pub local: Local,
    /// Its file goes with it.
    owns_file: bool,
    waiting: bool,
    rests: Option<Deadline>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where a door is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Local {
    /// In the network.
    Net(SocketAddr),
    /// In the file system.
    File(PathBuf),
}

impl Local {
    /// Nobody but this machine comes from there.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Net(address) => address.ip().to_canonical().is_loopback(),
            Self::File(_) => true,
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => write!(f, "{address}"),
            Self::File(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Door {
    /// Bind, with room for a burst of arrivals in front of the door.
    pub fn bind(address: SocketAddr, place: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        sys::listen(listener.as_fd(), BACKLOG)?;
        let local = Local::Net(listener.local_addr()?);
        Ok(Self::new(Listener::Tcp(listener), place, local))
    }

    /// Bind to a name in the file system, open to whom `mode` says. A socket that nobody listens
    /// at is what a broker left behind that was killed, and is replaced; nothing else is.
    pub fn bind_file(path: &Path, mode: u32, place: u16) -> io::Result<Self> {
        if is_left_behind(path) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let local = Local::File(path.to_owned());
        // From here on the file goes with the door.
        let mut door = Self::new(Listener::Unix(listener), place, local);
        door.owns_file = true;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        if let Listener::Unix(listener) = &door.listener {
            sys::listen(listener.as_fd(), BACKLOG)?;
        }
        Ok(door)
    }

    /// Use a socket that somebody else bound, of whatever kind it is. Its file stays theirs.
    pub fn adopt(fd: OwnedFd, place: u16) -> io::Result<Self> {
        sys::listen(fd.as_fd(), BACKLOG)?;
        let listener = std::net::TcpListener::from(fd);
        listener.set_nonblocking(true)?;
        if let Ok(address) = listener.local_addr() {
            let listener = Listener::Tcp(TcpListener::from_std(listener));
            return Ok(Self::new(listener, place, Local::Net(address)));
        }
        let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(listener));
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        let listener = Listener::Unix(UnixListener::from_std(listener));
        Ok(Self::new(listener, place, Local::File(path)))
    }

    fn new(listener: Listener, place: u16, local: Local) -> Self {
        let name = u32::from(place);
        Self { listener, place, name, local, owns_file: false, waiting: false, rests: None }
    }

    /// Hear about arrivals, under this name.
    pub fn register(&mut self, poller: &Poller, name: u32) -> io::Result<()> {
        self.name = name;
        self.hurry(poller)?;
        let whom = Whom::Listener(name);
        match &mut self.listener {
            Listener::Tcp(listener) => poller.register(listener, whom),
            Listener::Unix(listener) => poller.register(listener, whom),
        }
    }

    /// What the wait says about asking network cards holds for whoever comes in here.
    pub fn hurry(&self, poller: &Poller) -> io::Result<()> {
        match &self.listener {
            Listener::Tcp(listener) if poller.busy_poll_us() > 0 => {
                sys::busy_poll(listener.as_fd(), poller.busy_poll_us())
            }
            _ => Ok(()),
        }
    }

    /// Somebody is in front of it.
    pub fn on_ready(&mut self) {
        self.waiting = true;
    }

    /// The next arrival, if there is one and the door is not resting.
    /// With the port it comes from, where there is one.
    pub fn accept(&mut self, now: Now) -> Option<(Stream, Address, Option<u16>)> {
        if !self.is_open(now) {
            return None;
        }
        self.rests = None;
        loop {
            match self.listener.next() {
                Ok(arrival) => return Some(arrival),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting = false;
                    return None;
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::warn!("{}: cannot accept: {e}; next try in {REST_MS} ms", self.local);
                    self.rests = Some(now.after_ms(REST_MS));
                    return None;
                }
            }
        }
    }

    /// Somebody may be in front of it, and it is not resting.
    #[must_use]
    pub fn is_open(&self, now: Now) -> bool {
        self.waiting && self.rests.is_none_or(|until| now.reached(until))
    }

    /// When to look again although nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.waiting.then(|| self.rests.unwrap_or(Deadline(0)))
    }
}

impl Listener {
    fn next(&self) -> io::Result<(Stream, Address, Option<u16>)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept()?;
                (stream.into(), Address::from(from.ip()), Some(from.port()))
            }
            Self::Unix(listener) => (listener.accept()?.0.into(), Address::Local, None),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let (Local::File(path), true) = (&self.local, self.owns_file) {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket, and nobody at the other side of it.
fn is_left_behind(path: &Path) -> bool {
    let found = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refused = |e: io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    found && std::os::unix::net::UnixStream::connect(path).is_err_and(refused)
}

/// How long a door rests when no descriptor is left.
const REST_MS: u64 = 100;
/// Arrivals the system keeps for us.
const BACKLOG: i32 = 4_096;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};

    #[test]
    fn whoever_comes_in_has_the_card_asked_for_as_long_as_the_wait_says() {
        let mut poller = Poller::new().unwrap();
        poller.set_busy_poll(37);
        let mut door = Door::bind((Ipv4Addr::LOCALHOST, 0).into(), 0).unwrap();
        match door.register(&poller, 0) {
            Ok(()) => {}
            Err(e) => {
                // Not everybody may; whoever may not is told.
                return assert_eq!(e.kind(), io::ErrorKind::PermissionDenied);
            }
        }
        let Local::Net(address) = &door.local else { panic!("bound in the network") };
        let _guest = TcpStream::connect(address).unwrap();
        poller.wait(None, &mut Vec::new()).unwrap();
        let Listener::Tcp(listener) = &door.listener else { panic!("bound in the network") };
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(sys::busy_poll_of(stream.as_fd()).unwrap(), 37);
    }
}
