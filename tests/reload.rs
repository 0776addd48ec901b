//! Floor 6. Everything that a reload can change, changed again and again under a crowd of clients:
//! nobody is dropped but those whose rights ended, and nobody misses a message.
#![cfg(all(feature = "cli", feature = "tls"))]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]

#[expect(dead_code, reason = "another test uses all of it")]
#[path = "links/cast.rs"]
mod cast;
#[expect(dead_code, reason = "another test uses all of it")]
#[path = "links/mqtt.rs"]
mod mqtt;
#[expect(dead_code, reason = "another test uses all of it")]
#[path = "e2e/process.rs"]
mod process;

use std::net::TcpStream;
use std::path::PathBuf;

use bytes::Bytes;
use cast::{Authority, common_name, tls};
use mqtt::{Mqtt, connect, open};
use process::Scratch;
use spindle::broker::Broker;
use spindle::config::{self, Config, Sources};
use spindle::proto::mqtt::Packet;
use spindle::{Handle, Listen};

/// How many are connected, and how often everything changes.
const CROWD: usize = if cfg!(debug_assertions) { 250 } else { 1_000 };
const ROUNDS: usize = if cfg!(debug_assertions) { 25 } else { 100 };

/// A broker in this process whose files change.
struct House {
    dir: Scratch,
    handle: Handle,
    thread: std::thread::JoinHandle<Result<(), spindle::broker::Error>>,
    ports: [u16; 3],
}

/// Ports that nobody has, for a moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [std::net::TcpListener; N] =
        std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

impl House {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn open(authority: &Authority) -> Self {
        let dir = Scratch::new("reload");
        let ports = free_ports();
        write_users(&dir, 0);
        write_certificate(&dir, authority, 0);
        std::fs::write(dir.join("ca.pem"), &authority.pem).unwrap();
        std::fs::write(dir.join("x.toml"), toml(ports, 0)).unwrap();
        let file = Some(dir.join("x.toml"));
        let sources = Sources { file, ..Sources::default() };
        let config = Config::load(&sources).unwrap_or_else(|e| panic!("{e}"));
        let builder = Broker::builder().configured(&config);
        let broker = builder.reloader(config::reloader(sources, config)).build().unwrap();
        let handle = broker.handle();
        let thread = std::thread::spawn(move || broker.run());
        Self { dir, handle, thread, ports }
    }

    fn at(&self, listener: usize) -> String {
        format!("127.0.0.1:{}", self.ports[listener])
    }

    fn end(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
    }
}

/// Two listeners, and in every other round a third; a bound that moves.
fn toml(ports: [u16; 3], round: usize) -> String {
    let [plain, wrapped, third] = ports;
    let mut text = format!(
        "durability = \"memory\"\nusers = \"users.toml\"\n\
         [limits]\nqueued_max = {}\n[log]\nlevel = \"error\"\n\
         [tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\nca = \"ca.pem\"\n\
         client_cert = \"optional\"\n\
         [[listener]]\nurl = \"mqtt://127.0.0.1:{plain}\"\n\
         [[listener]]\nurl = \"mqtts://127.0.0.1:{wrapped}\"\n",
        1_000 + round
    );
    if round % 2 == 1 {
        text += &format!("[[listener]]\nurl = \"mqtt://127.0.0.1:{third}\"\n");
    }
    text
}

/// `steady` is always there with the same rights; `leaver-N` until round N; rules and a user of
/// other people change every time.
fn write_users(dir: &Scratch, round: usize) {
    let mut text = format!(
        "mode = \"strict\"\n[groups.Steady]\nrules = [\"can publish all/#\", \"can subscribe \
         all/#\"{}]\n[groups.Others]\nrules = [\"can publish other/{round}\"]\n\
         [[users]]\nname = \"steady\"\ngroup = \"Steady\"\nshared_secret = \"secret\"\n\
         [[users]]\nname = \"other\"\ngroup = \"Others\"\nshared_secret = \"secret {round}\"\n",
        if round.is_multiple_of(3) { ", \"can subscribe extra/#\"" } else { "" },
    );
    for leaver in (1..=ROUNDS).filter(|leaver| leaver % 5 == 0 && *leaver > round) {
        text += &format!(
            "[[users]]\nname = \"leaver-{leaver}\"\ngroup = \"Steady\"\nshared_secret = \"x\"\n"
        );
    }
    std::fs::write(dir.join("users.toml"), text).unwrap();
}

fn write_certificate(dir: &Scratch, authority: &Authority, round: usize) {
    let leaf = authority.sign(&format!("broker-{round}"), round as u64 + 1);
    std::fs::write(dir.join("cert.pem"), leaf.certificate).unwrap();
    std::fs::write(dir.join("key.pem"), leaf.key).unwrap();
}

/// Come in as a user.
fn join<M: Mqtt>(stream: &mut M, id: &str, user: &str, password: &str) {
    let Packet::Connect(mut packet) = connect(id) else { panic!("no connect") };
    packet.username = Some(Bytes::copy_from_slice(user.as_bytes()));
    packet.password = Some(Bytes::copy_from_slice(password.as_bytes()));
    stream.say(&Packet::Connect(packet));
    match stream.hear() {
        Some(Packet::ConnAck(ack)) if ack.code == 0 => {}
        other => panic!("{id} was not let in: {other:?}"),
    }
}

fn member(address: &str, id: &str, user: &str, password: &str) -> TcpStream {
    let mut stream = open(address);
    join(&mut stream, id, user, password);
    stream.subscribe("all/#");
    stream
}

#[test]
fn a_crowd_stays_while_everything_changes_around_it() {
    let authority = Authority::new("house");
    let house = House::open(&authority);
    let named = |n: usize| format!("steady-{n}");
    let mut crowd: Vec<TcpStream> =
        (0..CROWD).map(|n| member(&house.at(0), &named(n), "steady", "secret")).collect();
    let mut wrapped: Vec<_> = (0..10)
        .map(|n| {
            let mut stream = tls(&authority, None, &house.at(1));
            join(&mut stream, &format!("wrapped-{n}"), "steady", "secret");
            stream.subscribe("all/#");
            stream
        })
        .collect();
    let mut leavers: Vec<(usize, TcpStream)> = (1..=ROUNDS)
        .filter(|round| round % 5 == 0)
        .map(|round| {
            let name = format!("leaver-{round}");
            (round, member(&house.at(0), &name, &name, "x"))
        })
        .collect();
    let mut third: Option<TcpStream> = None;
    let mut publisher = open(&house.at(0));
    join(&mut publisher, "publisher", "steady", "secret");
    for round in 1..=ROUNDS {
        write_users(&house.dir, round);
        write_certificate(&house.dir, &authority, round);
        let issuers = format!("{}{}", authority.pem, Authority::new(&format!("ca {round}")).pem);
        std::fs::write(house.file("ca.pem"), issuers).unwrap();
        std::fs::write(house.file("x.toml"), toml(house.ports, round)).unwrap();
        let told = house.handle.reload().unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert!(told.contains(&format!("becomes {} ", 1_000 + round)), "{told}");
        assert!(told.contains("changed=1 rules=true"), "{told}");
        // Who came through a listener that is gone stays; nobody new comes there.
        if round % 2 == 1 {
            assert!(told.contains(&format!("address={}", house.at(2))), "{told}");
            third = Some(member(&house.at(2), &format!("third-{round}"), "steady", "secret"));
        } else {
            assert!(TcpStream::connect(house.at(2)).is_err(), "round {round}");
        }
        if round % 10 == 0 {
            let late = tls(&authority, None, &house.at(1));
            assert_eq!(common_name(&late), format!("broker-{round}"));
        }
        publisher.publish("all/news", round.to_string().as_bytes());
        let all = crowd.iter_mut().chain(third.as_mut());
        for (n, client) in all.enumerate() {
            assert_eq!(client.message(), round.to_string(), "round {round}, client {n}");
        }
        for (n, client) in wrapped.iter_mut().enumerate() {
            assert_eq!(client.message(), round.to_string(), "round {round}, wrapped {n}");
        }
        leavers.retain_mut(|(last, client)| {
            if *last <= round {
                assert_eq!(client.hear(), None, "its user is gone in round {round}");
                return false;
            }
            assert_eq!(client.message(), round.to_string(), "round {round}, leaver {last}");
            true
        });
    }
    assert!(leavers.is_empty());
    let mut other = open(&house.at(0));
    join(&mut other, "other", "other", &format!("secret {ROUNDS}"));
    house.end();
}

#[test]
fn a_reload_with_a_fault_anywhere_changes_nothing_and_says_why() {
    let authority = Authority::new("house");
    let house = House::open(&authority);
    let mut client = member(&house.at(0), "one", "steady", "secret");
    let mut refused = |name: &str, text: &str, why: &str| {
        let good = std::fs::read(house.file(name)).unwrap();
        std::fs::write(house.file(name), text).unwrap();
        // Everything else changes as well, and must not.
        let config = std::fs::read_to_string(house.file("x.toml")).unwrap();
        let other = format!("{config}[[listener]]\nurl = \"mqtt://{}\"\n", house.at(2));
        if name != "x.toml" {
            std::fs::write(house.file("x.toml"), other).unwrap();
        }
        let said = house.handle.reload().unwrap_err();
        assert!(said.contains(why), "{said}");
        assert!(TcpStream::connect(house.at(2)).is_err(), "{name}");
        std::fs::write(house.file("x.toml"), config).unwrap();
        std::fs::write(house.file(name), good).unwrap();
        client.publish("all/x", name.as_bytes());
        assert_eq!(client.message(), name);
    };
    let good = toml(house.ports, 0);
    refused("x.toml", "durability = 5\nnonsense = 1\n", "x.toml:2:1: unknown key \"nonsense\"");
    refused("users.toml", "mode = ", "users.toml: line 1, column");
    refused("key.pem", "nothing", "BEGIN PRIVATE KEY");
    refused("ca.pem", "nothing", "BEGIN CERTIFICATE");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!("{good}[[listener]]\nurl = \"mqtt://{address}\"\n");
    refused("x.toml", &text, &format!("cannot listen on {address}"));
    let told = house.handle.reload().unwrap();
    assert_eq!(told, "nothing changed");
    house.end();
}

#[test]
fn keys_that_need_a_restart_are_named_each_time() {
    let house = House::open(&Authority::new("house"));
    let text = toml(house.ports, 0).replace("\"memory\"", "\"disk\"");
    std::fs::write(house.file("x.toml"), text).unwrap();
    for _ in 0..2 {
        let told = house.handle.reload().unwrap();
        let line = "durability: \"memory\" becomes \"disk\"";
        let line =
            told.lines().find(|told| told.contains(line)).unwrap_or_else(|| panic!("{told}"));
        assert!(line.ends_with("needs a restart"), "{line}");
    }
    house.end();
}

#[test]
fn without_a_configuration_the_same_files_are_read_again() {
    let dir = Scratch::new("again");
    write_users(&dir, 0);
    let listen: Listen = "mqtt://127.0.0.1:0".parse().unwrap();
    let builder = Broker::builder().listen_to(listen).users(dir.join("users.toml"));
    let broker = builder.build().unwrap();
    let address = broker.local_addr(0).unwrap().to_string();
    let handle = broker.handle();
    let thread = std::thread::spawn(move || broker.run());
    let mut client = member(&address, "one", "steady", "secret");
    write_users(&dir, 1);
    let told = handle.reload().unwrap();
    assert!(told.contains("added=0 removed=0 changed=1 rules=true ended=0"), "{told}");
    client.publish("all/x", b"here");
    assert_eq!(client.message(), &b"here"[..]);
    handle.stop();
    thread.join().unwrap().unwrap();
    assert!(handle.reload().is_err());
}

#[test]
fn a_listener_has_a_bound_of_its_own_that_a_reload_moves() {
    let house = House::open(&Authority::new("house"));
    let bounded = |most: usize| {
        let text = toml(house.ports, 1) + &format!("max_connections = {most}\n");
        std::fs::write(house.file("x.toml"), text).unwrap();
        house.handle.reload().unwrap_or_else(|e| panic!("{e}"))
    };
    bounded(1);
    let mut first = member(&house.at(2), "first", "steady", "secret");
    assert_eq!(open(&house.at(2)).hear(), None, "one is enough");
    let mut elsewhere = member(&house.at(0), "elsewhere", "steady", "secret");
    let told = bounded(3);
    assert!(told.contains("max_connections 1 becomes max_connections 3"), "{told}");
    // Who came under the old terms is not counted under the new ones, and stays.
    let mut more: Vec<TcpStream> =
        (0..3).map(|n| member(&house.at(2), &format!("more-{n}"), "steady", "secret")).collect();
    assert_eq!(open(&house.at(2)).hear(), None, "three are enough");
    elsewhere.publish("all/x", b"here");
    let all = more.iter_mut().chain([&mut first, &mut elsewhere]);
    all.for_each(|client| assert_eq!(client.message(), &b"here"[..]));
    house.end();
}
