//! Floor 6. The client of aioconnectors against servers that are scripted here.
//!
//! A scripted server is a listener on a port the system chose and a thread that says what the test
//! wants, with the broker's own codec. Absent on purpose: what the desk of the client can show
//! without a socket, and the original, against which `tests/interop/aio_client.py` plays.

#![cfg(feature = "os")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the test is the world")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spindle::Broker;
use spindle::base::limits::Limits;
use spindle::client::aio::{Builder, Client, Error, Id, Message, Security, Stored, Upload};
use spindle::proto::aio::file::WithFile;
use spindle::proto::aio::inner::{self, Meaning, Side};
use spindle::proto::aio::{encode_vec, meaning, next};

const SOON: Duration = Duration::from_secs(10);

/// Bytes both ways.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One connection of a scripted server.
struct Line {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

impl Line {
    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), input: BytesMut::new() }
    }

    /// The next connection, without TLS.
    fn accept(listener: &TcpListener) -> Self {
        Self::over(listener.accept().unwrap().0)
    }

    /// The next frame; none at the end.
    fn heard(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = next(&mut self.input, 512 << 20).unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 65_536];
            let len = self.stream.read(&mut chunk).unwrap_or(0);
            if len == 0 {
                return None;
            }
            self.input.extend_from_slice(&chunk[..len]);
        }
    }

    fn hear(&mut self) -> Message {
        self.heard().expect("a frame")
    }

    fn means(&mut self) -> Meaning {
        meaning(&self.hear(), Side::Client).unwrap()
    }

    fn say(&mut self, frame: &Message) {
        self.stream.write_all(&encode_vec(frame).unwrap()).unwrap();
    }

    fn mean(&mut self, meant: &Meaning) {
        self.say(&inner::frame(meant, "('127.0.0.1', 1)").unwrap());
    }

    /// Answer the ping with which a client makes sure.
    fn pong(&mut self) {
        let Meaning::Ping(id) = self.means() else { panic!("no ping") };
        self.mean(&Meaning::Pong(id));
    }

    /// Let it in without TLS.
    fn welcome(listener: &TcpListener) -> Self {
        let mut line = Self::accept(listener);
        let hello = line.means();
        assert!(matches!(&hello, Meaning::Hello { tls: false, name } if name.as_str() == "me"));
        line.pong();
        line
    }

    /// Until the client closes.
    fn drain(mut self) {
        while self.heard().is_some() {}
    }
}

/// A server that plays this.
fn server(play: impl FnOnce(TcpListener) + Send + 'static) -> (Builder, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || play(listener));
    (Client::builder(address, "me").reconnect(None), thread)
}

fn message(data: &'static str) -> Message {
    Message::of("any", "").with(data)
}

fn acked(data: &'static str) -> Message {
    let mut message = message(data);
    message.header.wait_for_ack = true;
    message
}

#[test]
fn whoever_waits_for_room_goes_on_as_soon_as_there_is_some() {
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let mut chunk = vec![0; 1 << 20];
        while line.stream.read(&mut chunk).is_ok_and(|len| len > 0) {}
    });
    // Where nobody wakes it, it goes on when its patience is over.
    let client = builder.timeout(Duration::from_secs(120)).connect().unwrap();
    let began = Instant::now();
    for _ in 0..300_000 {
        client.send(message("0123456789")).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    drop(client);
    server.join().unwrap();
}

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spindle-aio-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_client_says_its_name_and_messages_go_both_ways() {
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let heard = line.hear();
        assert_eq!((&heard.data[..], heard.header.transport_id), (&b"one"[..], None));
        let heard = line.hear();
        let id = heard.header.transport_id.expect("it wants to be acknowledged");
        assert!(heard.header.wait_for_ack);
        line.mean(&Meaning::Ack(id));
        let mut said = message("two");
        said.header.transport_id = Some(7.into());
        line.say(&said);
        assert_eq!(line.means(), Meaning::Ack(7.into()));
        let mut ping = inner::frame(&Meaning::Ping("p".into()), "s").unwrap().with("x");
        ping.binary = "y".into();
        line.say(&ping);
        let pong = line.hear();
        assert_eq!((&pong.data[..], &pong.binary[..]), (&b"x"[..], &b"y"[..]));
        line.drain();
    });
    let client = builder.listen("any").connect().unwrap();
    client.send(message("one")).unwrap();
    client.send_acked(message("acked"), SOON).unwrap();
    let came = client.listen("any").unwrap().wait(Some(SOON)).unwrap().expect("a message");
    assert_eq!(&came.frame.data[..], b"two");
    // The ping is answered before the end is.
    std::thread::sleep(Duration::from_millis(100));
    client.leave();
    server.join().unwrap();
}

#[test]
fn questions_are_answered_in_both_directions() {
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let asked = line.hear();
        assert!(asked.header.await_response);
        let mut answer = message("answer");
        answer.header.response_id = asked.header.request_id;
        line.say(&answer);
        let mut question = message("question");
        question.header.request_id = Some("q".into());
        question.header.await_response = true;
        line.say(&question);
        let answer = line.hear();
        assert_eq!(answer.header.response_id, Some(Id::from("q")));
        assert_eq!(&answer.data[..], b"mine");
        line.drain();
    });
    let client = builder.listen("any").connect().unwrap();
    let answer = client.ask(message("?"), SOON).unwrap();
    assert_eq!(&answer.frame.data[..], b"answer");
    let question = client.listen("any").unwrap().wait(Some(SOON)).unwrap().expect("a question");
    client.send(question.answer().expect("it waits").with("mine")).unwrap();
    let late = client.ask(message("?"), Duration::from_millis(50));
    assert!(matches!(late, Err(Error::TimedOut)), "{late:?}");
    drop(client);
    server.join().unwrap();
}

#[test]
fn what_was_not_acknowledged_goes_over_the_next_connection_and_topics_are_wanted_again() {
    let (builder, server) = server(|listener| {
        let mut line = Line::accept(&listener);
        assert!(matches!(line.means(), Meaning::Hello { .. }));
        assert_eq!(line.means(), Meaning::Subscribe(vec!["news".into()]));
        line.pong();
        assert_eq!(&line.hear().data[..], b"a");
        drop(line);
        let mut line = Line::accept(&listener);
        assert!(matches!(line.means(), Meaning::Hello { .. }));
        assert_eq!(line.means(), Meaning::Subscribe(vec!["news".into()]));
        let again = line.hear();
        assert_eq!(&again.data[..], b"a");
        line.mean(&Meaning::Ack(again.header.transport_id.unwrap()));
        line.say(&Message::of("news", "s").with("today"));
        assert_eq!(line.means(), Meaning::Unsubscribe(vec!["news".into()]));
        line.drain();
    });
    let builder = builder.subscribe("news").reconnect(Some(Duration::from_millis(20)));
    let client = builder.connect().unwrap();
    client.send_acked(message("a"), SOON).unwrap();
    let news = client.subscribe("news").unwrap();
    let today = news.wait(Some(SOON)).unwrap().expect("a publication");
    assert_eq!(&today.frame.data[..], b"today");
    drop(news);
    drop(client);
    server.join().unwrap();
}

#[test]
fn what_stands_in_line_leaves_though_nobody_says_more() {
    const COUNT: usize = 30_000;
    let (tell, all) = std::sync::mpsc::channel();
    let (builder, server) = server(move |listener| {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut line = Line::over(stream);
        line.hear();
        line.pong();
        (0..COUNT).for_each(|_| assert_eq!(line.hear().data.len(), 64));
        tell.send(()).unwrap();
        line.drain();
    });
    let client = builder.connect().unwrap();
    let said = Message::of("any", "").with("x".repeat(64));
    (0..COUNT).for_each(|_| client.send(said.clone()).unwrap());
    all.recv_timeout(SOON).expect("all of it");
    client.leave();
    server.join().unwrap();
}

#[test]
fn a_client_without_another_try_ends_with_its_connection() {
    let (builder, server) = server(|listener| drop(Line::welcome(&listener).hear()));
    let client = builder.listen("any").connect().unwrap();
    let inbox = client.listen("any").unwrap();
    client.send(message("go")).unwrap();
    assert!(matches!(inbox.wait(None), Err(Error::Lost)));
    assert!(matches!(client.send(message("x")), Err(Error::Lost)));
    assert!(matches!(client.end(), Some(Error::Lost)));
    server.join().unwrap();
}

#[test]
fn nobody_there_a_server_that_hangs_up_and_one_that_babbles_are_told_apart() {
    let nobody = Client::builder("127.0.0.1:1", "me").connect().map(drop);
    assert!(matches!(nobody, Err(Error::Dial(_))), "{nobody:?}");
    let (builder, hangs_up) = server(|listener| {
        let mut line = Line::accept(&listener);
        let _ = line.hear();
    });
    let refused = builder.connect().map(drop);
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    hangs_up.join().unwrap();
    let (builder, babbles) = server(|listener| {
        let mut line = Line::accept(&listener);
        let _ = line.stream.write_all(b"\0\0\0\0HTTP/1.1");
        line.drain();
    });
    let babbled = builder.connect().map(drop);
    assert!(matches!(babbled, Err(Error::Protocol(_))), "{babbled:?}");
    babbles.join().unwrap();
    let (builder, silent) = server(|listener| Line::accept(&listener).drain());
    let silence = builder.dial_timeout(Duration::from_millis(100)).connect().map(drop);
    assert!(matches!(silence, Err(Error::TimedOut)), "{silence:?}");
    silent.join().unwrap();
}

#[test]
fn a_server_that_falls_silent_is_lost() {
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let ping = line.hear();
        assert_eq!(&ping.data[..], b"keep_alive_client_check");
        line.drain();
    });
    let client = builder.keep_alive(Some(Duration::from_millis(50))).listen("any");
    let client = client.connect().unwrap();
    let inbox = client.listen("any").unwrap();
    assert!(matches!(inbox.wait(Some(SOON)), Err(Error::Silent)));
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_slow_reader_loses_messages_and_they_are_counted_while_acknowledgements_go_on() {
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        for number in 1..=20 {
            let mut said = message("x");
            said.header.transport_id = Some(number.into());
            line.say(&said);
            assert_eq!(line.means(), Meaning::Ack(number.into()));
        }
        line.drain();
    });
    let client = builder.listen("any").queue(4, 1 << 20).connect().unwrap();
    let inbox = client.listen("any").unwrap();
    let until = Duration::from_millis(10);
    while inbox.missed() < 16 {
        std::thread::sleep(until);
    }
    for _ in 0..4 {
        assert!(inbox.wait(Some(SOON)).unwrap().is_some());
    }
    assert!(inbox.wait(Some(until)).unwrap().is_none());
    drop(inbox);
    drop(client);
    server.join().unwrap();
}

/// A message with a file, as a server sends it.
fn with_file(name: &str, own: &'static [u8], content: Vec<u8>) -> Message {
    let with = WithFile { dst_type: "any".into(), dst_name: name.into(), ..WithFile::default() };
    let (with, binary) = with.beside(&own.into(), &content.into());
    let mut frame = message("a file");
    frame.header.with_file = Some(with.write());
    frame.header.transport_id = Some(1.into());
    frame.binary = binary;
    frame
}

#[test]
fn files_come_below_their_folder_and_nowhere_else() {
    let folder = Folder::new("files");
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        for frame in [
            with_file("short", b"own", b"content".to_vec()),
            with_file("deep/empty", b"", Vec::new()),
            with_file("long", b"own", long.clone()),
            with_file("../up", b"", b"x".to_vec()),
            with_file("../long", b"", long),
        ] {
            line.say(&frame);
            assert!(matches!(line.means(), Meaning::Ack(_)));
        }
        line.drain();
    });
    let client = builder.listen("any").folder("any", &folder.0).connect().unwrap();
    let inbox = client.listen("any").unwrap();
    let came = || inbox.wait(Some(SOON)).unwrap().expect("a message");
    for (name, own, len) in [("short", "own", 7), ("deep/empty", "", 0), ("long", "own", 3_000_000)]
    {
        let received = came();
        let path = folder.0.join(name);
        assert_eq!(received.file, Some(Stored::At(path.clone())));
        assert_eq!(&received.frame.binary[..], own.as_bytes());
        let content = std::fs::read(path).unwrap();
        assert_eq!(content.len(), len);
        if name == "long" {
            assert!(content.iter().enumerate().all(|(n, byte)| *byte == n as u8));
        }
    }
    for _ in 0..2 {
        assert!(matches!(came().file, Some(Stored::Not(_))));
    }
    drop(client);
    server.join().unwrap();
    assert!(!folder.0.with_file_name("up").exists() && !folder.0.with_file_name("long").exists());
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3);
}

#[test]
fn a_long_file_goes_in_chunks_and_needs_the_memory_of_a_few() {
    const LEN: u64 = 300 << 20;
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("upload");
    let path = folder.0.join("large");
    std::fs::File::create(&path).unwrap().set_len(LEN).unwrap();
    let (builder, server) = server(|listener| {
        let mut line = Line::welcome(&listener);
        let (mut all, mut names) = (0, Vec::new());
        while let Some(frame) = line.heard() {
            let with = WithFile::of(&frame).unwrap().expect("a file");
            all += frame.binary.len() as u64;
            names.push(with.dst_name.as_str().to_owned());
            line.mean(&Meaning::Ack(frame.header.transport_id.unwrap()));
        }
        assert_eq!((all, names.len()), (LEN, 19));
        assert!(names.is_sorted());
    });
    let client = builder.connect().unwrap();
    let before = resident();
    let upload = Upload { path, kind: "any".into(), name: "large".into() };
    let peak = std::thread::scope(|scope| {
        let sent = scope.spawn(|| client.send_file(acked("large"), &upload).unwrap());
        let mut peak = 0;
        while !sent.is_finished() {
            peak = peak.max(resident());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(sent.join().unwrap(), 19);
        peak
    });
    drop(client);
    server.join().unwrap();
    // The server of this test has a chunk or two of its own.
    assert!(peak.saturating_sub(before) < 200 << 20, "{before} bytes became {peak}");
}

/// Whoever looks at the memory of this process, or takes much of it, does so alone.
static MEMORY: Mutex<()> = Mutex::new(());

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

#[test]
fn a_file_of_many_packets_goes_through_a_broker_to_one_and_to_all_who_listen() {
    const LEN: u32 = 40 << 20;
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("through");
    let (files, path) = (folder.0.join("files"), folder.0.join("large"));
    std::fs::create_dir_all(files.join("any")).unwrap();
    let content: Vec<u8> = (0..LEN).map(|n| (n >> 5) as u8 ^ n as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let limits = Limits { packet_bytes_max: 100_000, ..Limits::default() };
    let listen = format!("aio://127.0.0.1:0?files={}", files.display()).parse().unwrap();
    let broker = Broker::builder().memory().limits(limits).listen_to(listen).build().unwrap();
    let (address, handle) = (broker.local_addr(0).unwrap().to_string(), broker.handle());
    let running = std::thread::spawn(move || broker.run());
    let client = |name: &str| {
        let own = folder.0.join(name);
        std::fs::create_dir(&own).unwrap();
        let builder = Client::builder(&address, name).chunk(LEN as usize + 1);
        let builder = builder.frame_max(LEN as usize + 4_096).queue(16, 2 * LEN as usize);
        builder.subscribe("f").folder("any", own).connect().unwrap()
    };
    let (ann, bob, cat) = (client("ann"), client("bob"), client("cat"));
    let (bobs, cats) = (bob.listen("f").unwrap(), cat.listen("f").unwrap());
    let upload = |name: &str| Upload { path: path.clone(), kind: "any".into(), name: name.into() };
    let mut to_bob = Message::of("f", "").with("for bob");
    to_bob.header.destination_id = Some("bob".into());
    assert_eq!(ann.send_file(to_bob, &upload("one")).unwrap(), 1, "it goes in one piece");
    ann.send_file(Message::of("f", "").with("for all"), &upload("all")).unwrap();
    for (inbox, name, said) in [
        (&bobs, "bob/one", "for bob"),
        (&bobs, "bob/all", "for all"),
        (&cats, "cat/all", "for all"),
    ] {
        let came = inbox.wait(Some(3 * SOON)).unwrap().expect("a message");
        assert_eq!(&came.frame.data[..], said.as_bytes());
        assert_eq!(came.file, Some(Stored::At(folder.0.join(name))));
        assert!(std::fs::read(folder.0.join(name)).unwrap() == content, "{name} is another");
    }
    assert!(std::fs::read(files.join("any/all")).unwrap() == content, "and the broker has it");
    assert!(!files.join("any/one").exists(), "what is for one is not for the broker");
    drop((ann, bob, cat));
    handle.stop();
    running.join().unwrap().unwrap();
}

#[test]
fn a_unix_socket_is_as_good() {
    let folder = Folder::new("unix");
    let path = folder.0.join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let mut line = Line::over(listener.accept().unwrap().0);
        assert!(matches!(line.means(), Meaning::Hello { .. }));
        line.pong();
        line.drain();
    });
    let client = Client::builder(format!("unix:{}", path.display()), "me").connect().unwrap();
    assert!(client.is_online());
    drop(client);
    server.join().unwrap();
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use spindle::client::aio::{Fingerprint, Host};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    /// A certificate and its key, in PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn accept(listener: &TcpListener, (crt, key): &(String, String)) -> Line {
        let chain = vec![CertificateDer::from_pem_slice(crt.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let stream: TcpStream = listener.accept().unwrap().0;
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        Line::over(StreamOwned::new(connection, stream))
    }

    /// The files of a client that believes this certificate.
    fn files(folder: &Folder, server: &str) {
        let client = folder.0.join("certificates/client");
        std::fs::create_dir_all(client.join("server-cert")).unwrap();
        std::fs::create_dir_all(client.join("client-certs")).unwrap();
        std::fs::write(client.join("server-cert/server.pem"), server).unwrap();
        let (crt, key) = pair();
        std::fs::write(client.join("client-certs/default.pem"), crt).unwrap();
        std::fs::write(client.join("client-certs/default.key"), key).unwrap();
    }

    fn mode(path: PathBuf) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn two_who_talk_need_no_server_and_who_is_called_is_known() {
        let (own, other) = (pair(), pair());
        let host = Host::open(("127.0.0.1", 0), &own.0, &own.1).unwrap();
        let address = host.address().to_string();
        assert_eq!(Ok(host.fingerprint()), Fingerprint::of_pair(&own.0, &own.1).map_err(|_| ()));
        assert!(Fingerprint::of_pair(&own.0, &other.1).is_err(), "the key is another's");
        // Those who probe, who say nothing, and who speak no TLS keep nobody out.
        drop(TcpStream::connect(&address).unwrap());
        let _silent = TcpStream::connect(&address).unwrap();
        TcpStream::connect(&address).unwrap().write_all(b"hello, hello, hello").unwrap();
        let call = |print| {
            let builder = Client::builder(&address, "caller").security(Security::Known(print));
            let builder = builder.listen("any").reconnect(None);
            std::thread::spawn(move || builder.connect())
        };
        let wrong = call(Some(Fingerprint::of(b"another"))).join().unwrap();
        let Err(Error::Tls(why)) = wrong else { panic!("{wrong:?}") };
        assert!(why.contains(&host.fingerprint().to_string()), "{why}");
        let calling = call(None);
        let guest = host.wait(SOON).unwrap().expect("somebody has called");
        assert_eq!(guest.name(), "caller");
        let called = guest.talk(Client::builder("127.0.0.1:1", "me").listen("any")).unwrap();
        let caller = calling.join().unwrap().unwrap();
        assert_eq!(caller.fingerprint(), Some(host.fingerprint()));
        called.send(Message::of("any", "").with("from the called")).unwrap();
        let heard = caller.listen("any").unwrap().wait(Some(SOON)).unwrap().unwrap();
        assert_eq!(&heard.frame.data[..], b"from the called");
        let name = format!("('127.0.0.1', {})", host.address().port());
        assert_eq!(heard.frame.header.source_id.unwrap().as_str(), name, "as it was called");
        let inbox = called.listen("any").unwrap();
        let answering = std::thread::spawn(move || {
            let question = inbox.wait(Some(SOON)).unwrap().unwrap();
            called.send(question.answer().unwrap().with("answer")).unwrap();
            called
        });
        let answer = caller.ask(Message::of("any", "").with("question"), SOON).unwrap();
        assert_eq!(&answer.frame.data[..], b"answer");
        drop(caller);
        let gone = answering.join().unwrap().listen("any").map(|inbox| inbox.wait(Some(SOON)));
        assert!(!matches!(gone, Ok(Ok(Some(_)))), "it has left");
    }

    #[test]
    fn tls_that_checks_nobody_says_hello() {
        let own = pair();
        let (builder, server) = server(move |listener| {
            let mut line = accept(&listener, &own);
            assert!(matches!(line.means(), Meaning::Hello { tls: true, .. }));
            line.pong();
            line.drain();
        });
        let client = builder.security(Security::AllowAll).connect().unwrap();
        drop(client);
        server.join().unwrap();
    }

    #[test]
    fn a_client_without_a_certificate_asks_for_one_and_keeps_it() {
        let folder = Folder::new("enrol");
        let own = pair();
        files(&folder, &own.0);
        let (builder, server) = server(move |listener| {
            let mut line = accept(&listener, &own);
            assert!(matches!(line.means(), Meaning::GetCertificate(name) if name.as_str() == "me"));
            let (crt, key) = pair();
            let (crt, key) = (crt.as_str().into(), key.as_str().into());
            line.mean(&Meaning::SetCertificate { crt, key });
            drop(line);
            for _ in 0..2 {
                let mut line = accept(&listener, &own);
                line.pong();
                line.drain();
            }
        });
        let builder = builder.security(Security::Certificates(folder.0.clone()));
        drop(builder.connect().unwrap());
        let kept = folder.0.join("certificates/client/client-certs");
        assert_eq!(mode(kept.join("me.key")), 0o600);
        assert!(kept.join("me.pem").exists());
        drop(builder.connect().unwrap());
        server.join().unwrap();
    }

    #[test]
    fn what_cannot_be_shown_is_not_kept() {
        let folder = Folder::new("nonsense");
        let own = pair();
        files(&folder, &own.0);
        let (builder, server) = server(move |listener| {
            let mut line = accept(&listener, &own);
            let _ = line.means();
            line.mean(&Meaning::SetCertificate { crt: "a".into(), key: "b".into() });
            line.drain();
        });
        let refused = builder.security(Security::Certificates(folder.0.clone())).connect();
        assert!(matches!(refused, Err(Error::Tls(_))), "{refused:?}");
        assert!(!folder.0.join("certificates/client/client-certs/me.key").exists());
        server.join().unwrap();
    }

    #[test]
    fn another_server_than_the_one_that_is_known_is_refused() {
        let folder = Folder::new("other");
        files(&folder, &pair().0);
        let (builder, server) = server(move |listener| {
            let mut line = accept(&listener, &pair());
            assert!(line.heard().is_none());
        });
        let refused = builder.security(Security::Certificates(folder.0.clone())).connect();
        assert!(matches!(refused, Err(Error::Tls(_))), "{refused:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_token_is_asked_for_once_kept_and_shown() {
        let folder = Folder::new("token");
        let own = pair();
        let (builder, server) = server(move |listener| {
            let mut line = accept(&listener, &own);
            assert!(matches!(line.means(), Meaning::GetToken(_)));
            line.mean(&Meaning::SetToken("0123".into()));
            drop(line);
            let mut line = accept(&listener, &own);
            let Meaning::Authenticate(_, token) = line.means() else { panic!("no token") };
            assert_eq!(token.reveal(), "0123");
            line.mean(&Meaning::Welcome);
            line.pong();
            line.drain();
            let mut line = accept(&listener, &own);
            assert!(matches!(line.means(), Meaning::Authenticate(..)));
        });
        let tokens = folder.0.clone();
        let builder = builder.security(Security::Token { tokens, certificates: None });
        drop(builder.connect().unwrap());
        assert_eq!(mode(folder.0.join("me")), 0o600);
        let refused = builder.connect();
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
        server.join().unwrap();
    }
}
