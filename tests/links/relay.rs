//! Floor 6. The Foo relay over real sockets: the library between two ends of ours, and the program
//! between the test server and the test client of its own command line.
//!
//! Absent on purpose: what happens in which order (`tests/wire/foo`, on the fake world).

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use spindle::base::limits::Limits;
use spindle::broker::Tls;
use spindle::os::clock::Clock;
use spindle::{Broker, Handle, Listen, Speak};

use crate::cast::Authority;
use crate::process::Scratch;

const SPINDLE: &str = env!("CARGO_BIN_EXE_spindle");
const LONG: Duration = Duration::from_secs(20);

/// A relay in this process, with its figures.
struct Relay {
    handle: Handle,
    at: SocketAddr,
    figures: SocketAddr,
    running: Option<JoinHandle<()>>,
}

impl Relay {
    fn new(to: &[String], options: &str) -> Self {
        let forward: Vec<String> = to.iter().map(|to| format!("forward={to}")).collect();
        let url = format!("foo://127.0.0.1:0?{}&{options}", forward.join("&"));
        Self::serve(url.parse().unwrap())
    }

    fn serve(listen: Listen) -> Self {
        Self::within(listen, Limits::default())
    }

    fn within(listen: Listen, limits: Limits) -> Self {
        let broker = Broker::builder().listen_to(listen).listen("127.0.0.1:0", Speak::Stats);
        let broker = broker.limits(limits).memory().build().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (at, figures) =
            (broker.local_addr(0).unwrap_or(nowhere), broker.local_addr(1).unwrap());
        let handle = broker.handle();
        let running = Some(std::thread::spawn(move || broker.run().unwrap()));
        Self { handle, at, figures, running }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        get(self.figures, path)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.handle.stop();
        self.running.take().unwrap().join().unwrap();
    }
}

/// The body of an answer.
fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn upstream() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    (listener, at)
}

/// Who comes next; nobody is waited for without end.
fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let clock = Clock::start();
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        assert!(clock.now().mono < LONG.as_nanos() as u64, "nobody came");
        std::thread::sleep(Duration::from_millis(1));
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn exactly(mut stream: &TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn to_the_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// So many bytes, or fewer before the end.
fn to_the_end_or(stream: &TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.take(len as u64).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_conversation_passes_byte_for_byte_and_is_counted() {
    let (listener, to) = upstream();
    let relay = Relay::new(&[to], "");
    let mut client = relay.connect();
    let mut server = accepted(&listener);
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for seq in 1..=10 {
        let line = format!("REQ {seq} Hey, number {seq}\n");
        client.write_all(line.as_bytes()).unwrap();
        asked.extend(exactly(&server, line.len()));
        let word = if seq % 5 == 0 { "NAK" } else { "ACK" };
        let line = format!("{word} {seq} 0f3a\n");
        server.write_all(line.as_bytes()).unwrap();
        answered.extend(exactly(&client, line.len()));
    }
    assert_eq!(String::from_utf8(asked).unwrap().lines().count(), 10);
    assert!(answered.starts_with(b"ACK 1 0f3a\n") && answered.ends_with(b"NAK 10 0f3a\n"));
    let told = relay.get("/stats");
    let wanted =
        "{\"msg_total\":20,\"msg_req\":10,\"msg_ack\":8,\"msg_nak\":2,\"request_rate_1s\":";
    assert!(told.starts_with(wanted), "{told}");
    assert!(told.contains("\"request_rate_10s\":1,"), "{told}");
    assert_eq!(relay.get("/health"), "{\"status\":\"OK!\"}");
    let told = relay.get("/pairs?limit=1");
    let own = "\"msg_total\":20,\"msg_req\":10,\"msg_ack\":8,\"msg_nak\":2,\"waiting\":0,";
    assert!(told.contains(own) && told.contains("\"client\":\"127.0.0.1\""), "{told}");
    assert!(told.starts_with("{\"pairs\":1,") && !told.contains("\"next\""), "{told}");
    // The client ends, and the server hears of it and still has the word.
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(&server), b"");
    server.write_all(b"ACK 11 late\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(&client), b"ACK 11 late\n");
}

#[test]
fn large_amounts_pass_both_ways_at_once_while_one_side_is_slow() {
    let (listener, to) = upstream();
    let relay = Relay::new(&[to], "");
    let client = relay.connect();
    let server = accepted(&listener);
    let body = |seed: u32| -> Vec<u8> {
        (0..8_000_000_u32).map(|n| (n.wrapping_mul(seed) >> 7) as u8).collect()
    };
    let (up, down) = (body(7), body(11));
    std::thread::scope(|scope| {
        for (stream, bytes) in [(&client, &up), (&server, &down)] {
            scope.spawn(move || {
                let mut stream = stream;
                stream.write_all(bytes).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
        }
        let slow = scope.spawn(|| {
            // What is not read is not lost, and nobody takes it into memory meanwhile.
            std::thread::sleep(Duration::from_millis(300));
            to_the_end(&client)
        });
        assert!(to_the_end(&server) == up);
        assert!(slow.join().unwrap() == down);
    });
}

/// Whoever reads slowly is told everything, also when the server has long gone.
#[test]
fn a_slow_reader_is_told_the_last_of_it() {
    let place = std::env::temp_dir().join(format!("spindle-slow-{}.sock", std::process::id()));
    let (listener, to) = upstream();
    let url = format!("unix:{}?speak=foo&forward={to}", place.display());
    let _relay = Relay::serve(url.parse().unwrap());
    // What a socket takes of the last of it differs: some of these end within it.
    let sizes = (0..16).map(|n| 150_000 + n * 16_000);
    let mut talks = Vec::new();
    for size in sizes {
        let client = std::os::unix::net::UnixStream::connect(&place).unwrap();
        let mut server = accepted(&listener);
        client.shutdown(Shutdown::Write).unwrap();
        let said = std::thread::spawn(move || server.write_all(&vec![b'x'; size]).unwrap());
        talks.push((size, client, said));
    }
    std::thread::sleep(Duration::from_millis(2_500));
    for (size, mut client, said) in talks {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        said.join().unwrap();
        assert_eq!(heard.len(), size);
    }
    let _ = std::fs::remove_file(&place);
}

#[test]
fn an_upstream_in_the_file_system_will_do() {
    let path = std::env::temp_dir().join(format!("spindle-relay-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let relay = Relay::new(&[format!("unix:{}", path.display())], "");
    let mut client = relay.connect();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"REQ 1\n").unwrap();
    let mut heard = [0; 6];
    server.read_exact(&mut heard).unwrap();
    server.write_all(b"ACK 1\n").unwrap();
    assert_eq!((&heard, &exactly(&client, 6)[..]), (b"REQ 1\n", &b"ACK 1\n"[..]));
    std::fs::remove_file(&path).unwrap();
}

/// A client, a relay to a relay within TLS, and a server: both sides of TLS, each for itself.
#[test]
fn a_conversation_passes_within_tls_and_each_half_ends_by_itself() {
    let dir = Scratch::new("relay-tls");
    let house = Authority::new("house");
    let leaf = house.sign("inner", 1);
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, stranger) = (file("ca", &house.pem), file("other", &Authority::new("other").pem));
    let (certificate, key) = (file("cert", &leaf.certificate), file("key", &leaf.key));
    let (listener, to) = upstream();
    let inner: Listen = format!("foos://127.0.0.1:0?forward={to}").parse().unwrap();
    let inner = Relay::serve(inner.tls_by(Tls::new(certificate, key)));
    let port = inner.at.port();
    // The name stands for two addresses, and nobody listens at one of them.
    let outer = Relay::new(&[format!("tls:localhost:{port}")], &format!("forward_ca={ca}"));
    let mut client = outer.connect();
    client.write_all(b"REQ 1 within\n").unwrap();
    let mut server = accepted(&listener);
    assert_eq!(exactly(&server, 13), b"REQ 1 within\n");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(&server), b"");
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(7) >> 9) as u8).collect();
    let said = long.clone();
    let saying = std::thread::spawn(move || {
        server.write_all(&said).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
    });
    assert!(to_the_end(&client) == long);
    saying.join().unwrap();
    assert_eq!(outer.get("/health"), "{\"status\":\"OK!\"}");

    // Whoever cannot be believed is as good as not there, and hears nothing.
    let wrong = [format!("forward_ca={stranger}"), format!("forward_ca={ca}&forward_name=other")];
    for options in wrong {
        let to = [format!("tls:localhost:{port}")];
        let doubting = Relay::new(&to, &format!("{options}&wait_ms=300"));
        let mut client = doubting.connect();
        client.write_all(b"REQ 2 to nobody\n").unwrap();
        assert_eq!(to_the_end(&client), b"");
        assert_eq!(doubting.get("/health"), "{\"status\":\"no upstream\"}");
    }
    let told = inner.get("/stats");
    assert!(told.starts_with("{\"msg_total\":1,"), "{told}");
}

/// One who never finishes its TLS has no upstream, and its time ends as anybody's.
#[test]
fn a_client_that_does_not_shake_hands_costs_its_upstream_nothing() {
    let dir = Scratch::new("relay-slow-tls");
    let leaf = Authority::new("house").sign("inner", 1);
    let [certificate, key] = ["cert", "key"].map(|name| dir.join(name));
    std::fs::write(&certificate, &leaf.certificate).unwrap();
    std::fs::write(&key, &leaf.key).unwrap();
    let (listener, to) = upstream();
    let listen: Listen = format!("foos://127.0.0.1:0?forward={to}").parse().unwrap();
    let limits = Limits { connect_ms_max: 500, ..Limits::default() };
    let relay = Relay::within(listen.tls_by(Tls::new(certificate, key)), limits);
    let clock = Clock::start();
    let began = clock.now().mono;
    let client = relay.connect();
    listener.set_nonblocking(true).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    // [RFC 8446, 6.1] All it is told is that nothing follows.
    assert_eq!(to_the_end(&client), b"\x15\x03\x03\0\x02\x01\0");
    assert!(clock.now().mono - began >= 500_000_000, "it has its time");
}

#[test]
fn nobody_there_closes_one_client_after_its_time_and_no_more() {
    let (listener, to) = upstream();
    drop(listener);
    let relay = Relay::new(std::slice::from_ref(&to), "wait_ms=300");
    let clock = Clock::start();
    let began = clock.now().mono;
    let client = relay.connect();
    assert_eq!(to_the_end(&client), b"");
    assert!(clock.now().mono - began >= 300_000_000, "it was waited for");
    assert_eq!(relay.get("/health"), "{\"status\":\"no upstream\"}");
    // The upstream comes back, and the relay is still there to see it: it looks by itself, ever
    // later, and a client that came before it looked would be closed after its time.
    let listener = TcpListener::bind(&to).unwrap();
    while relay.get("/health") != "{\"status\":\"OK!\"}" {
        assert!(clock.now().mono - began < LONG.as_nanos() as u64, "nobody looked again");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = relay.connect();
    client.write_all(b"REQ 1\n").unwrap();
    // Whoever only looks says nothing.
    let heard = || to_the_end_or(&accepted(&listener), 6);
    let asked = std::iter::repeat_with(heard).find(|heard| !heard.is_empty());
    assert_eq!(asked.unwrap(), b"REQ 1\n");
}

/// A client takes two connections: where only one is left it is not let in, which is nobody
/// else's fault.
#[test]
fn a_client_for_whose_upstream_there_is_no_room_is_not_let_in() {
    let (listener, to) = upstream();
    let listen: Listen = format!("foo://127.0.0.1:0?forward={to}").parse().unwrap();
    let relay = Relay::within(listen, Limits { connections_max: 7, ..Limits::default() });
    let mut clients: Vec<TcpStream> = (0..3).map(|_| relay.connect()).collect();
    let servers = [(); 3].map(|()| accepted(&listener));
    for (client, server) in clients.iter_mut().zip(&servers) {
        client.write_all(b"REQ 1\n").unwrap();
        exactly(server, 6);
    }
    let clock = Clock::start();
    let mut refused = relay.connect();
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0, "there is room for one, not for two");
    assert!(clock.mono() < 2_000_000_000, "and it is told at once");
    assert_eq!(relay.get("/health"), "{\"status\":\"OK!\"}");
    drop(clients.pop());
    assert_eq!(to_the_end(&servers[2]), b"");
    let told = relay.get("/stats/full");
    assert!(told.contains("\"refused\":0"), "{told}");
}

#[test]
fn an_upstream_that_is_killed_leaves_no_request_without_an_answer() {
    let (listener, to) = upstream();
    let relay = Relay::new(&[to], "away=nak&wait_ms=100");
    let mut client = relay.connect();
    let server = accepted(&listener);
    client.write_all(b"REQ 1\nREQ 2\n").unwrap();
    assert_eq!(exactly(&server, 12), b"REQ 1\nREQ 2\n");
    drop(listener);
    drop(server);
    assert_eq!(exactly(&client, 36), b"NAK 1 ERRUPSTREAM\nNAK 2 ERRUPSTREAM\n");
}

/// One that takes a request and never answers is as good as gone after its time, and one that is
/// slow within its time is not.
#[test]
fn an_upstream_that_hangs_has_its_time_and_one_that_is_slow_is_waited_for() {
    for (away, told) in [("nak", &b"NAK 2 ERRUPSTREAM\n"[..]), ("close", b"")] {
        let (listener, to) = upstream();
        let relay = Relay::new(&[to], &format!("away={away}&answer_ms=600&wait_ms=5000"));
        let mut client = relay.connect();
        let mut server = accepted(&listener);
        client.write_all(b"REQ 1\n").unwrap();
        assert_eq!(exactly(&server, 6), b"REQ 1\n");
        std::thread::sleep(Duration::from_millis(200));
        server.write_all(b"ACK 1\n").unwrap();
        assert_eq!(exactly(&client, 6), b"ACK 1\n");
        let clock = Clock::start();
        client.write_all(b"REQ 2\n").unwrap();
        assert_eq!(to_the_end(&server), b"REQ 2\n", "and then it is let go");
        match away {
            "nak" => assert_eq!(exactly(&client, told.len()), told),
            _ => assert_eq!(to_the_end(&client), told),
        }
        let took = clock.mono() / 1_000_000;
        assert!((600..3_000).contains(&took), "{away} after {took} ms");
        let figures = relay.get("/stats/full");
        assert!(figures.contains("\"late\":1"), "{figures}");
        assert!(figures.contains(if away == "nak" { "\"pairs\":1" } else { "\"pairs\":0" }));
    }
}

/// A program of ours that says where it listens in its first lines.
struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
    at: Vec<String>,
}

impl Program {
    fn start(args: &[&str], lines: usize) -> Self {
        let mut command = Command::new(SPINDLE);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut at = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            at.push(line.trim_end().rsplit(' ').next().unwrap().to_owned());
        }
        Self { child, out, at }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn end(mut self, signal: &str) -> String {
        self.signal(signal);
        self.child.wait().unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn local(at: &str) -> String {
    format!("127.0.0.1:{}", at.rsplit(':').next().unwrap())
}

#[test]
fn the_program_stands_between_the_test_server_and_its_client_and_forgets_nothing() {
    let folder = std::env::temp_dir().join(format!("spindle-foo-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    // Folders that are not there are made, both of them.
    let recovery: PathBuf = folder.join("a/recovery.json");
    let server = Program::start(&["foo-server", "-listen", "127.0.0.1:0"], 1);
    let path = recovery.to_str().unwrap();
    let args = |listen: &str, http: &str| {
        [
            "foo-proxy",
            "-forward",
            &server.at[0],
            "--listen",
            listen,
            &format!("-http={http}"),
            "-recovery-path",
            path,
        ]
        .map(str::to_owned)
    };
    let start = |listen: &str, http: &str| {
        let args = args(listen, http);
        Program::start(&args.each_ref().map(String::as_str), 2)
    };
    // By where it listens it is found again, so the places are the same after every start.
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (at, figures) = (free(), free());
    let proxy = start(&at, &figures);
    assert_eq!((local(&proxy.at[0]), local(&proxy.at[1])), (at.clone(), figures.clone()));
    let ask = || {
        let out = Command::new(SPINDLE).args(["foo-client", "-connect", &at]).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.success())
    };
    assert_eq!(ask(), ("..........OK!\n".to_owned(), true));
    let told = get(figures.parse().unwrap(), "/stats");
    assert!(told.starts_with("{\"msg_total\":200,\"msg_req\":100,\"msg_ack\":"), "{told}");
    proxy.signal("-USR2");
    let clock = Clock::start();
    // What was counted is kept once in a second.
    while get(figures.parse().unwrap(), "/stats/full").contains("\"kept\":false") {
        assert!(clock.now().mono < LONG.as_nanos() as u64, "the figures are not kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = proxy.end("-KILL");
    assert!(said.contains("{\"msg_total\":200,\"msg_req\":100,"), "{said}");
    assert!(!recovery.exists(), "it was killed");

    let proxy = start(&at, &figures);
    let told = get(figures.parse().unwrap(), "/stats");
    assert!(told.starts_with("{\"msg_total\":200,\"msg_req\":100,"), "{told}");
    assert!(!told.contains("\"request_rate_10s\":0,"), "a restart is quick: {told}");
    assert!(ask().1);
    proxy.end("-TERM");
    let file = std::fs::read_to_string(&recovery).unwrap();
    assert!(file.starts_with("{\"index\":0,\"time_stamp\":"), "{file}");
    assert!(file.contains("\"requests_10s\":[") && file.contains("\"responses_10s\":["), "{file}");

    // The original's file is taken up where nothing else is known.
    std::fs::remove_dir_all(folder.join("a/journal")).unwrap();
    let proxy = start(&at, &figures);
    let told = get(figures.parse().unwrap(), "/stats");
    assert!(told.starts_with("{\"msg_total\":0,"), "{told}");
    assert!(!told.contains("\"request_rate_10s\":0,"), "its ten seconds are known: {told}");
    proxy.end("-TERM");
    server.end("-TERM");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_flag_that_does_not_exist_is_told_with_the_nearest_one() {
    let out = Command::new(SPINDLE).args(["foo-proxy", "-forwrad", ":1"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("--forward"), "{said}");
}
