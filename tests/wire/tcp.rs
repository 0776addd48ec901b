//! Where scripts meet sockets: one broker in a thread per script, and a client per name.
//!
//! Between statements the broker is asked a few questions of its own and answers them, so what was
//! sent before has been taken in and the order of a script is the order of events. What comes from
//! the disk comes when it comes: something to hear is waited for long, silence is believed soon.
//! A wait that is too short can therefore miss a mistake and cannot invent one.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spindle::access::{Access, Terms};
use spindle::broker::Error;
use spindle::testing::rig::{Setup, admins};
use spindle::testing::script::{Door, Step, Tongue, World};
use spindle::{Broker, Durability, Handle, Listen, Speak};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to say something that nobody should say.
const SILENCE: Duration = Duration::from_millis(60);
/// A question is taken at the beginning of a turn and answered at its end, so the third answer
/// comes from a turn that began after the first: what was sent before the question is in.
const QUESTIONS: usize = 3;

/// bcrypt of `secret`, at the least cost there is.
fn hash() -> String {
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HASH.get_or_init(|| bcrypt::hash("secret", 4).expect("a hash")).clone()
}

/// A broker on a port of its own choice, and the names of its clients.
pub(crate) struct Sockets {
    /// Where PRX1 is spoken, where MQTT, where WebSocket, where whatever comes, and where HTTP.
    addresses: [SocketAddr; 7],
    handle: Handle,
    running: Option<JoinHandle<Result<(), Error>>>,
    data: PathBuf,
    clients: BTreeMap<String, Client>,
}

struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
    ended: bool,
}

impl Sockets {
    /// Start a broker made like the one of the fake world, on a journal of its own.
    pub(crate) fn new(name: &str, setup: &Setup) -> Result<Self, String> {
        let data = std::env::temp_dir().join(format!("spindle-{}-{name}", std::process::id()));
        let paged = |listen| setup.origins.iter().try_fold(listen, |it: Listen, o| it.origin(o));
        let mut builder = Broker::builder()
            .listen("127.0.0.1:0", Speak::Prx1)
            .listen("127.0.0.1:0", Speak::Mqtt)
            .listen_to(paged(Listen::new("127.0.0.1:0", Speak::Any).websocket())?)
            .listen_to(paged(Listen::new("127.0.0.1:0", Speak::Any))?)
            .listen("127.0.0.1:0", Speak::Http)
            .listen("127.0.0.1:0", Speak::Wamp)
            .listen("127.0.0.1:0", Speak::Aio)
            .admin(admins(&hash()))
            .limits(setup.limits.clone())
            .workers(1);
        if !setup.procedures.is_empty() {
            let plan = format!("default?procedures={}", setup.procedures.join("&procedures="));
            builder = builder.realm(plan.parse()?);
        }
        if let Some(text) = &setup.users {
            let access = Access::new(text, [1, 2], Terms::default());
            builder = builder.policy(access.map_err(|note| note.to_string())?);
        }
        if setup.level != Durability::Memory {
            builder = builder.journal(&data, setup.level);
        }
        let broker = builder.build().map_err(|why| why.to_string())?;
        let address = |no| broker.local_addr(no).ok_or("it listens nowhere");
        let mut addresses = [address(0)?; 7];
        for (no, place) in addresses.iter_mut().enumerate() {
            *place = address(no)?;
        }
        let handle = broker.handle();
        let running = Some(std::thread::spawn(move || broker.run()));
        Ok(Self { addresses, handle, running, data, clients: BTreeMap::new() })
    }

    /// End the broker; its own opinion of how it ended.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        self.clients.clear();
        self.handle.stop();
        let Some(running) = self.running.take() else { return Ok(()) };
        let ended = running.join().map_err(|_| "the broker panicked".to_owned());
        // What is left behind is only in the way.
        let _ = std::fs::remove_dir_all(&self.data);
        ended?.map_err(|why| why.to_string())
    }

    /// Wait until the broker has taken in what was sent.
    fn settle(&self) -> Result<(), String> {
        for _ in 0..QUESTIONS {
            // Nobody hears what is published under `$`, whatever they subscribed to.
            let asked = self.handle.publish("$settled", "", 0, false);
            let answer = asked.map_err(|why| why.to_string())?.wait_for(LONG);
            answer.ok_or("the broker does not answer")?.map_err(|why| why.to_string())?;
        }
        Ok(())
    }

    fn client(&mut self, who: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(who).ok_or_else(|| format!("nobody is called {who}"))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Client {
    /// Read until there are `len` bytes, the end, or nothing more within `limit`.
    fn listen(&mut self, len: usize, limit: Duration) -> Result<(), String> {
        let mut chunk = [0; 65_536];
        let until = Instant::now() + limit;
        while !self.ended && self.heard.len() < len {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
            match self.stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(n) => self.heard.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }
}

impl World for Sockets {
    fn open(
        &mut self,
        who: &str,
        tongue: Tongue,
        door: Door,
        _: Option<[u8; 4]>,
    ) -> Result<(), String> {
        let address = self.addresses[match (door, tongue) {
            (Door::Own, Tongue::Prx1) => 0,
            (Door::Own, Tongue::Mqtt(_)) => 1,
            (Door::Own, Tongue::Http) => 4,
            (Door::Own, Tongue::Wamp) => 5,
            (Door::Own, Tongue::Aio) => 6,
            (Door::Own, Tongue::Foo | Tongue::Stats) => return Err("no relay here".into()),
            (Door::Ws, _) => 2,
            (Door::Any | Door::AnyWs, _) => 3,
        }];
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(LONG)).map_err(|e| e.to_string())?;
        let client = Client { stream, heard: Vec::new(), ended: false };
        self.clients.insert(who.to_owned(), client);
        self.settle()
    }

    fn close(&mut self, who: &str, _: bool) -> Result<(), String> {
        let client = self.client(who)?;
        client.stream.shutdown(Shutdown::Write).map_err(|e| e.to_string())?;
        self.settle()
    }

    fn say(&mut self, who: &str, bytes: &[u8]) -> Result<(), String> {
        match self.client(who)?.stream.write_all(bytes) {
            // Whoever was hung up on may well find out while speaking.
            Err(e) if !matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Err(e.to_string())
            }
            _ => self.settle(),
        }
    }

    fn hear(&mut self, who: &str, len: usize) -> Result<Vec<u8>, String> {
        let client = self.client(who)?;
        if len == 0 {
            // Whatever there is: all that comes before a silence.
            client.listen(usize::MAX, SILENCE)?;
            return Ok(std::mem::take(&mut client.heard));
        }
        client.listen(len, LONG)?;
        let len = len.min(client.heard.len());
        Ok(client.heard.drain(..len).collect())
    }

    fn ended(&mut self, who: &str) -> Result<Option<String>, String> {
        let client = self.client(who)?;
        client.listen(1, LONG)?;
        match (client.heard.len(), client.ended) {
            (0, true) => Ok(Some(String::new())),
            (0, false) => Ok(None),
            (n, _) => Err(format!("{n} bytes come before the end")),
        }
    }

    fn fake(&mut self, step: &Step) -> Result<(), String> {
        Err(format!("{step:?} is not possible over TCP"))
    }
}
