//! Floor 5. How an MQTT client is described before it begins.
//!
//! Plain data, checked once. Files of TLS are read when it dials, so a certificate that was renewed
//! is used by the next connection. Absent on purpose: the environment, and configuration files.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::proto::mqtt::{Connect, Packet, Prop, Props, Version, Will, encode_vec};

use super::{Client, Error, tls};

/// Where the broker is.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Tcp(String, u16),
    Unix(PathBuf),
}

/// What a client was described as.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) dial: Option<Dial>,
    pub(super) tls: Option<Tls>,
    /// The path of the WebSocket.
    pub(super) ws: Option<String>,
    pub(super) connect: Connect,
    pub(super) timeout: Duration,
    pub(super) in_flight: u16,
    pub(super) queue: (usize, usize),
    pub(super) packet_max: usize,
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Dial(Arc<Dialler>);

type Dialler = dyn Fn(SocketAddr) -> io::Result<TcpStream> + Send + Sync;

impl std::ops::Deref for Dial {
    type Target = Dialler;

    fn deref(&self) -> &Dialler {
        &*self.0
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// Told of every packet, sent (true) or received.
pub(super) struct Trace(Told);

/// Is told of every packet, and whether it was sent.
type Told = Box<dyn Fn(bool, &Packet) + Send>;

impl std::ops::Deref for Trace {
    type Target = dyn Fn(bool, &Packet) + Send;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

/// Whom to trust, and what to show.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A file of trusted issuers (PEM).
    pub ca_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// Trust whom this machine trusts; so it is too when neither of the others is given.
    pub system: bool,
    /// Our certificate, with those of its issuers behind it (PEM).
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// Do not compare the broker's name with its certificate. Its issuer is checked all the same.
    pub any_name: bool,
    /// Only TLS 1.2, or only 1.3.
    pub version: Option<TlsVersion>,
    /// The application protocol to offer.
    pub alpn: Option<String>,
}

impl Tls {
    /// Say this over a connection that is open, for protocols that answer once. What comes back is
    /// read from what this gives.
    pub fn ask(
        &self,
        host: &str,
        socket: TcpStream,
        question: &[u8],
    ) -> Result<Box<dyn io::Read + Send>, Error> {
        tls::ask(self, host, socket, question)
    }
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsVersion {
    /// 1.2
    V12,
    /// 1.3
    V13,
}

/// Describes a [`Client`].
#[derive(Debug)]
pub struct Builder {
    plan: Plan,
    trace: Option<Trace>,
}

impl Default for Builder {
    fn default() -> Self {
        let connect = Connect {
            version: Version::V311,
            bridge: false,
            clean: true,
            keep_alive: 60,
            client_id: Bytes::new(),
            will: None,
            username: None,
            password: None,
            props: Props::none(),
        };
        let plan = Plan {
            target: Target::Tcp("localhost".to_owned(), 1883),
            dial: None,
            tls: None,
            ws: None,
            connect,
            timeout: Duration::from_secs(30),
            in_flight: 20,
            queue: (10_000, 8 << 20),
            packet_max: 256 << 20,
        };
        Self { plan, trace: None }
    }
}

impl Builder {
    /// Where the broker listens. Default `localhost`, 1883.
    #[must_use]
    pub fn address(mut self, host: impl Into<String>, port: u16) -> Self {
        self.plan.target = Target::Tcp(host.into(), port);
        self
    }

    /// A Unix socket that the broker listens at.
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.plan.target = Target::Unix(path.into());
        self
    }

    /// Make the connection so, where the usual way will not do: from a certain address, through a
    /// proxy. It is asked for every address of the name in turn.
    #[must_use]
    pub fn dial_by(
        mut self,
        dial: impl Fn(SocketAddr) -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Self {
        self.plan.dial = Some(Dial(Arc::new(dial)));
        self
    }

    /// Speak TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.plan.tls = Some(tls);
        self
    }

    /// Speak through a WebSocket at this path, usually `/mqtt`.
    #[must_use]
    pub fn websocket(mut self, path: impl Into<String>) -> Self {
        self.plan.ws = Some(path.into());
        self
    }

    /// Which MQTT. Default 3.1.1.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.plan.connect.version = version;
        self
    }

    /// The name of the session; empty, which is the default, lets the broker choose.
    #[must_use]
    pub fn client_id(mut self, id: impl AsRef<[u8]>) -> Self {
        self.plan.connect.client_id = Bytes::copy_from_slice(id.as_ref());
        self
    }

    /// Forget what was before. Default true.
    #[must_use]
    pub fn clean(mut self, clean: bool) -> Self {
        self.plan.connect.clean = clean;
        self
    }

    /// Who we are, and how we prove it.
    #[must_use]
    pub fn login(mut self, user: Option<&[u8]>, password: Option<&[u8]>) -> Self {
        self.plan.connect.username = user.map(Bytes::copy_from_slice);
        self.plan.connect.password = password.map(Bytes::copy_from_slice);
        self
    }

    /// Seconds between signs of life; 0: none. Default 60.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.plan.connect.keep_alive = seconds;
        self
    }

    /// To be published when the connection ends without a goodbye.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.plan.connect.will = Some(will);
        self
    }

    /// What CONNECT says besides (5.0).
    #[must_use]
    pub fn props(mut self, props: Props) -> Self {
        self.plan.connect.props = props;
        self
    }

    /// How long dialling may take, with all handshakes, and how long a publish waits for room.
    /// Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.plan.timeout = timeout;
        self
    }

    /// How many messages of ours may be unacknowledged; a broker can want fewer. Default 20.
    #[must_use]
    pub fn in_flight(mut self, messages: u16) -> Self {
        self.plan.in_flight = messages;
        self
    }

    /// How many messages of ours may wait, and how many bytes they may have. Default 10,000 and
    /// 8 MiB.
    #[must_use]
    pub fn queue(mut self, len: usize, bytes: usize) -> Self {
        self.plan.queue = (len, bytes);
        self
    }

    /// The longest packet to be taken from a broker. Default what MQTT allows.
    #[must_use]
    pub fn packet_max(mut self, bytes: usize) -> Self {
        self.plan.packet_max = bytes;
        self
    }

    /// Be told of every packet: sent by us (true) or by the broker.
    #[must_use]
    pub fn trace(mut self, trace: impl Fn(bool, &Packet) + Send + 'static) -> Self {
        self.trace = Some(Trace(Box::new(trace)));
        self
    }

    /// The description alone.
    #[cfg(test)]
    pub(super) fn into_plan(self) -> Plan {
        self.plan
    }

    /// Dial, and wait until the broker has accepted.
    pub fn connect(self) -> Result<Client, Error> {
        let Self { plan, trace } = self;
        if plan.in_flight == 0 {
            return Err(Error::Setting("in_flight"));
        }
        if plan.connect.password.is_some()
            && plan.connect.username.is_none()
            && plan.connect.version < Version::V5
        {
            return Err(Error::Setting("a password without a user name"));
        }
        if plan.ws.as_ref().is_some_and(|path| !path.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Error::Setting("the path of the WebSocket"));
        }
        // What cannot be said is found before anybody is dialled.
        encode_vec(&Packet::Connect(Box::new(plan.connect.clone())), plan.connect.version)?;
        Client::dial(plan, trace)
    }
}

impl Plan {
    /// The highest alias that the broker may use.
    pub(super) fn alias_max(&self) -> u16 {
        let of = |prop| if let Prop::TopicAliasMax(n) = prop { Some(n) } else { None };
        self.connect.props.iter().find_map(of).unwrap_or(0)
    }
}
