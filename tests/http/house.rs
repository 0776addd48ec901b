//! A broker with administrators, requests as text, and a client of MQTT that is just enough.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use spindle::broker::{Builder, Error};
use spindle::hub::gate::{Admin, Admins, Role, Token};
use spindle::{Broker, Handle, Listen, Speak};

/// How a viewer comes in.
pub(crate) const VIEWER: &str = "Authorization: Basic Ym9iOnNlY3JldA==\r\n";

/// bcrypt of `secret`, at the least cost there is.
fn hash() -> String {
    bcrypt::hash("secret", 4).expect("a hash")
}

/// SHA-256 of `token-of-the-scraper`.
fn token() -> Token {
    use sha2::Digest;
    let sha256 = sha2::Sha256::digest(b"token-of-the-scraper").into();
    Token { name: "scraper".into(), sha256, role: Role::Viewer }
}

/// The field that shows a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> String {
    let shown = spindle::base::base64::encode(format!("{name}:{password}").as_bytes());
    format!("Authorization: Basic {shown}\r\n")
}

/// How an operator comes in.
pub(crate) fn operator() -> String {
    basic("ann", "secret")
}

/// A broker of its own.
pub(crate) struct House {
    http: SocketAddr,
    mqtt: SocketAddr,
    handle: Handle,
    running: Option<JoinHandle<Result<(), Error>>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl House {
    pub(crate) fn new() -> Self {
        let admin = |name: &str, role| Admin { name: name.into(), hash: hash(), role };
        Self::with(Admins {
            users: vec![admin("ann", Role::Operator), admin("bob", Role::Viewer)],
            tokens: vec![token()],
            hosts: vec!["broker.example".into()],
        })
    }

    pub(crate) fn without_admins() -> Self {
        Self::with(Admins::default())
    }

    fn with(admins: Admins) -> Self {
        let builder =
            Broker::builder().listen("127.0.0.1:0", Speak::Http).listen("127.0.0.1:0", Speak::Mqtt);
        Self::run(builder, admins, [0, 1])
    }

    /// With a socket in the file system besides.
    pub(crate) fn at(path: &std::path::Path) -> Self {
        let builder = Broker::builder()
            .listen("127.0.0.1:0", Speak::Mqtt)
            .listen_to(Listen::unix(path, Speak::Http).mode(0o600));
        Self::run(builder, Admins::default(), [0, 0])
    }

    /// With a listener that does TLS by this.
    #[cfg(feature = "tls")]
    pub(crate) fn within(tls: spindle::broker::Tls) -> Self {
        let builder = Broker::builder()
            .listen("127.0.0.1:0", Speak::Http)
            .listen_to(Listen::new("127.0.0.1:0", Speak::Mqtt).tls_by(tls));
        let users = vec![Admin { name: "bob".into(), hash: hash(), role: Role::Viewer }];
        Self::run(builder, Admins { users, ..Admins::default() }, [0, 1])
    }

    /// The program reads everything again.
    #[cfg(feature = "tls")]
    pub(crate) fn reload(&self) {
        self.handle.reload().expect("it can be read");
    }

    /// With everything on one port, administration if `admin`.
    pub(crate) fn on_one_port(admin: bool) -> Self {
        let listen = Listen::new("127.0.0.1:0", Speak::Any);
        let listen = if admin { listen.administered() } else { listen };
        let users = vec![Admin { name: "bob".into(), hash: hash(), role: Role::Viewer }];
        let admins = Admins { users, ..Admins::default() };
        Self::run(Broker::builder().listen_to(listen), admins, [0, 0])
    }

    fn run(builder: Builder, admins: Admins, [http, mqtt]: [usize; 2]) -> Self {
        let broker = builder.memory().admin(admins).build().expect("a broker");
        let at = |place| broker.local_addr(place).expect("bound");
        let (http, mqtt, handle) = (at(http), at(mqtt), broker.handle());
        let running = Some(std::thread::spawn(move || broker.run()));
        Self { http, mqtt, handle, running }
    }

    /// It comes to its end by itself.
    pub(crate) fn ended(mut self) {
        let ended = self.running.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))), "the broker ended well");
    }

    /// A connection of its own, for what is not one request.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    pub(crate) fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> Said {
        let mut stream = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let text = format!("{head}{fields}\r\n{body}");
        stream.write_all(text.as_bytes()).expect("it reads");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("it answers");
        Said::parse(&all)
    }

    pub(crate) fn get(&self, path: &str, fields: &str) -> Said {
        self.send("GET", path, fields, "")
    }

    pub(crate) fn post(&self, path: &str, media: &str, body: &str) -> Said {
        let fields =
            format!("{}Content-Type: {media}\r\nContent-Length: {}\r\n", operator(), body.len());
        self.send("POST", path, &fields, body)
    }

    pub(crate) fn form(&self, path: &str, body: &str) -> Said {
        self.post(path, "application/x-www-form-urlencoded", body)
    }

    pub(crate) fn json(&self, path: &str, body: &str) -> Said {
        self.post(path, "application/json", body)
    }

    /// A client that is in.
    pub(crate) fn mqtt(&self, id: &str) -> Mqtt {
        self.mqtt_with(id, 0x02)
    }

    /// A client whose session waits for it.
    pub(crate) fn mqtt_kept(&self, id: &str) -> Mqtt {
        self.mqtt_with(id, 0)
    }

    fn mqtt_with(&self, id: &str, flags: u8) -> Mqtt {
        let mut stream = TcpStream::connect(self.mqtt).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut packet = vec![0x10, 12 + id.len() as u8];
        packet.extend_from_slice(b"\x00\x04MQTT\x04");
        packet.extend_from_slice(&[flags, 0, 0x3c, 0]);
        packet.push(id.len() as u8);
        packet.extend_from_slice(id.as_bytes());
        stream.write_all(&packet).expect("it reads");
        let mut client = Mqtt { stream };
        let (head, said) = client.packet();
        assert_eq!((head, said.get(1)), (0x20, Some(&0)), "{id} comes in");
        assert!(flags == 0 || said == [0, 0], "{id} asked for nothing old");
        client
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.handle.stop();
        let Some(running) = self.running.take() else { return };
        let ended = running.join();
        if !std::thread::panicking() {
            assert!(matches!(ended, Ok(Ok(()))), "the broker ended well");
        }
    }
}

impl Said {
    pub(crate) fn parse(all: &[u8]) -> Self {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(all[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut said = Self { status, head, body: all[end..].to_vec() };
        if said.field("transfer-encoding") == Some("chunked") {
            said.body = unchunk(&said.body);
        }
        said
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let at = body.windows(2).position(|two| two == b"\r\n").expect("a chunk");
        let len = std::str::from_utf8(&body[..at]).expect("digits");
        let len = usize::from_str_radix(len, 16).expect("a length");
        if len == 0 {
            assert_eq!(&body[at..], b"\r\n\r\n", "nothing follows the last chunk");
            return all;
        }
        all.extend_from_slice(&body[at + 2..at + 2 + len]);
        body = &body[at + 4 + len..];
    }
}

/// A client of MQTT 3.1.1.
pub(crate) struct Mqtt {
    stream: TcpStream,
}

impl Mqtt {
    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a packet");
        let mut body = vec![0; usize::from(head[1])];
        self.stream.read_exact(&mut body).expect("all of it");
        (head[0], body)
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        let mut packet = vec![0x82, 5 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
        packet.extend_from_slice(filter.as_bytes());
        packet.push(0);
        self.stream.write_all(&packet).expect("it reads");
        assert_eq!(self.packet().0, 0x90);
    }

    /// Topic and body of the next message.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        let (head, body) = self.packet();
        assert_eq!(head >> 4, 3, "a message");
        let len = usize::from(body[1]);
        let topic = String::from_utf8(body[2..2 + len].to_vec()).expect("text");
        let id = if head & 0x06 == 0 { 0 } else { 2 };
        (topic, body[2 + len + id..].to_vec())
    }
}
