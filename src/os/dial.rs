//! Floor 5. Where relays go to, and how a connection there is begun.
//!
//! Names were looked up when the configuration was read, because looking up waits; what they stand
//! for is taken in turn. Dialing itself never waits: whether anybody is there is heard later, like
//! everything else of a socket. Absent on purpose: which upstream is wanted.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use mio::net::{TcpStream, UnixStream};

use super::stream::Stream;

/// Somewhere to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// In the network: a name with its port.
    Net(String),
    /// In the file system.
    File(PathBuf),
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(name) => f.write_str(name),
            Self::File(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Upstream {
    type Err = &'static str;

    /// `host:port`, `:port` for this machine, or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Self::File(path.into())),
                false => Err("unix: is followed by a whole path, as in unix:/run/x.sock"),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or("it is not host:port, or unix:/path")?;
        if port.parse::<u16>().is_err() || port == "0" {
            return Err("the port is a number from 1 to 65535");
        }
        let bare = host.contains(':') && !host.starts_with('[');
        if bare {
            return Err("an IPv6 address stands in brackets, as in [::1]:8001");
        }
        Ok(Self::Net(if host.is_empty() { format!("127.0.0.1:{port}") } else { text.into() }))
    }
}

/// What a name stands for, and which of it is next.
#[derive(Debug)]
enum Known {
    Net(Vec<SocketAddr>, usize),
    File(PathBuf),
}

/// All upstreams of all relays.
#[derive(Debug, Default)]
pub struct Upstreams(Vec<Vec<Known>>);

impl Upstreams {
    /// Those of one more relay; names are looked up now.
    pub fn add(&mut self, all: &[Upstream]) -> io::Result<()> {
        let known = |one: &Upstream| match one {
            Upstream::File(path) => Ok(Known::File(path.clone())),
            Upstream::Net(name) => {
                let wrong = |e: io::Error| io::Error::new(e.kind(), format!("{name}: {e}"));
                let found: Vec<_> = name.to_socket_addrs().map_err(wrong)?.collect();
                match found.is_empty() {
                    true => Err(wrong(io::Error::other("the name stands for no address"))),
                    false => Ok(Known::Net(found, 0)),
                }
            }
        };
        self.0.push(all.iter().map(known).collect::<io::Result<_>>()?);
        Ok(())
    }

    /// Begin to connect.
    pub fn dial(&mut self, relay: u16, at: u16) -> io::Result<Stream> {
        let known = self.0.get_mut(usize::from(relay)).and_then(|r| r.get_mut(usize::from(at)));
        match known {
            Some(Known::Net(found, next)) => {
                *next = (*next + 1) % found.len().max(1);
                let address = found.get(*next).ok_or(io::ErrorKind::NotFound)?;
                TcpStream::connect(*address).map(Stream::from)
            }
            Some(Known::File(path)) => UnixStream::connect(path).map(Stream::from),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_read_and_what_is_wrong_is_said() {
        let net = |text: &str| Ok(Upstream::Net(text.to_owned()));
        assert_eq!("h:1".parse(), net("h:1"));
        assert_eq!(":8001".parse(), net("127.0.0.1:8001"));
        assert_eq!("[::1]:8001".parse(), net("[::1]:8001"));
        assert_eq!("unix:/run/x".parse(), Ok(Upstream::File("/run/x".into())));
        assert_eq!("unix:///run/x".parse(), Ok(Upstream::File("/run/x".into())));
        for text in ["", "h", "h:", "h:0", "h:70000", "h:x", "::1:8001", "unix:x"] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }
}
