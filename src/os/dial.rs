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
    /// The same, within TLS.
    Tls(String),
    /// In the file system.
    File(PathBuf),
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(name) => f.write_str(name),
            Self::Tls(name) => write!(f, "tls:{name}"),
            Self::File(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Upstream {
    type Err = &'static str;

    /// `host:port`, `:port` for this machine, `tls:host:port`, or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("tls:") {
            return net(name.strip_prefix("//").unwrap_or(name)).map(Self::Tls);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Self::File(path.into())),
                false => Err("unix: is followed by a whole path, as in unix:/run/x.sock"),
            };
        }
        net(text).map(Self::Net)
    }
}

impl Upstream {
    /// What it is called, where it is asked to show that it is so called.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let Self::Tls(name) = self else { return None };
        let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
        Some(host.trim_start_matches('[').trim_end_matches(']'))
    }
}

/// A place in the network.
fn net(text: &str) -> Result<String, &'static str> {
    let other = "it is not host:port, tls:host:port or unix:/path";
    let (host, port) = text.rsplit_once(':').ok_or(other)?;
    if port.parse::<u16>().is_err() || port == "0" {
        return Err("the port is a number from 1 to 65535");
    }
    let bare = host.contains(':') && !host.starts_with('[');
    if bare {
        return Err("an IPv6 address stands in brackets, as in [::1]:8001");
    }
    Ok(if host.is_empty() { format!("127.0.0.1:{port}") } else { text.into() })
}

/// What a name stands for, and which of it answered last.
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
            Upstream::Net(name) | Upstream::Tls(name) => {
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

    /// Begin to connect, to the address that answered last and then to the others of its name.
    pub fn dial(&mut self, dialed: &mut Dialed) -> io::Result<Stream> {
        match self.known(dialed) {
            Some(Known::Net(found, first)) => loop {
                let tried = usize::from(dialed.tried);
                if tried >= found.len() {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                // Meanwhile another one may have found somebody elsewhere.
                let begun = *dialed.first.get_or_insert(*first);
                let at = (begun + tried) % found.len();
                let address = found.get(at).ok_or(io::ErrorKind::NotFound)?;
                (dialed.address, dialed.tried) = (*address, dialed.tried.saturating_add(1));
                // One without a way there, as of a family that this machine has not, fails here.
                if let Ok(stream) = TcpStream::connect(*address) {
                    return Ok(stream.into());
                }
            },
            Some(Known::File(_)) if dialed.tried > 0 => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Some(Known::File(path)) => {
                dialed.tried = 1;
                UnixStream::connect(path).map(Stream::from)
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Somebody is there.
    pub fn on_there(&mut self, dialed: &Dialed) {
        if let Some(Known::Net(found, first)) = self.known(dialed) {
            *first = found.iter().position(|at| *at == dialed.address).unwrap_or(*first);
        }
    }

    /// Nobody answered in time: the next one begins behind that address.
    pub fn on_silent(&mut self, dialed: &Dialed) {
        if let Some(Known::Net(found, first)) = self.known(dialed)
            && let Some(at) = found.iter().position(|at| *at == dialed.address)
        {
            *first = (at + 1) % found.len();
        }
    }

    fn known(&mut self, dialed: &Dialed) -> Option<&mut Known> {
        self.0.get_mut(usize::from(dialed.relay))?.get_mut(usize::from(dialed.at))
    }
}

/// A connection that is being opened.
#[derive(Clone, Copy, Debug)]
pub struct Dialed {
    relay: u16,
    at: u16,
    /// Which address was tried first.
    first: Option<usize>,
    /// Addresses that were tried, and the last of them.
    tried: u16,
    address: SocketAddr,
}

impl Dialed {
    /// To this upstream of this relay; nothing was tried yet.
    #[must_use]
    pub fn new(relay: u16, at: u16) -> Self {
        let address = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        Self { relay, at, first: None, tried: 0, address }
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
        assert_eq!("tls:h:1".parse(), Ok(Upstream::Tls("h:1".into())));
        assert_eq!("tls://[::1]:1".parse(), Ok(Upstream::Tls("[::1]:1".into())));
        let host = |text: &str| text.parse::<Upstream>().unwrap().host().map(str::to_owned);
        assert_eq!(host("tls:[::1]:1"), Some("::1".into()));
        assert_eq!((host("tls:h:1"), host("h:1")), (Some("h".into()), None));
        for text in ["", "h", "h:", "h:0", "h:70000", "h:x", "::1:8001", "unix:x", "tls:", "tls:h"]
        {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_address_of_a_name_is_tried_and_the_one_that_answered_comes_first() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let gone = SocketAddr::new(here.ip(), 1);
        let mut all = Upstreams(vec![vec![Known::Net(vec![gone, here], 0)]]);
        let mut dialed = Dialed::new(0, 0);
        for address in [gone, here] {
            all.dial(&mut dialed).unwrap();
            assert_eq!(dialed.address, address);
        }
        assert!(all.dial(&mut dialed).is_err(), "there is no third");
        all.on_there(&dialed);
        let mut dialed = Dialed::new(0, 0);
        all.dial(&mut dialed).unwrap();
        assert_eq!(dialed.address, here);
        all.dial(&mut dialed).unwrap();
        assert_eq!(dialed.address, gone, "and then the others");
        // One that began before the others found somebody tries each of them once.
        let mut all = Upstreams(vec![vec![Known::Net(vec![gone, here], 0)]]);
        let [mut early, mut late] = [Dialed::new(0, 0); 2];
        all.dial(&mut late).unwrap();
        all.dial(&mut early).unwrap();
        all.dial(&mut early).unwrap();
        all.on_there(&early);
        all.dial(&mut late).unwrap();
        assert_eq!(late.address, here);
        // One that says nothing is not the first again.
        all.on_silent(&late);
        let mut dialed = Dialed::new(0, 0);
        all.dial(&mut dialed).unwrap();
        assert_eq!(dialed.address, gone);
    }
}
