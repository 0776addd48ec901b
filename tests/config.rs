//! Floor 6. The commands about configurations as somebody types them: exit codes, what is printed,
//! and that looking touches nothing. A configuration brought along from mosquitto is served, and
//! lets in and refuses the same clients.
#![cfg(all(feature = "cli", feature = "tls"))]
#![expect(clippy::disallowed_methods, reason = "the test is the world")]
#![expect(clippy::print_stdout, reason = "what was not compared is said")]

#[path = "config/guests.rs"]
mod guests;
#[expect(dead_code, reason = "another test uses all of it")]
#[path = "links/mqtt.rs"]
mod mqtt;
#[expect(dead_code, reason = "another test uses all of it")]
#[path = "e2e/process.rs"]
mod process;

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt::{Mqtt, connect, open};
use process::{Scratch, Spindle, command};
use spindle::proto::mqtt::{Asked, Packet, Props, Sender, Subscribe, Version, next};

/// Exit code, standard output, standard error.
fn run(dir: &Scratch, args: &[&str]) -> (i32, String, String) {
    let out = command().current_dir(&dir.0).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
}

/// Every file with its number, length and time of change.
fn fingerprint(dir: &Path) -> Vec<(String, u64, u64, i64, i64)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let inside = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in inside.chain([folder.clone()]) {
            let it = std::fs::symlink_metadata(&path).unwrap();
            if it.is_dir() && path != folder {
                folders.push(path);
                continue;
            }
            let name = path.display().to_string();
            all.push((name, it.ino(), it.len(), it.mtime(), it.mtime_nsec()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_check_says_all_that_is_wrong_and_touches_nothing() {
    let dir = Scratch::new("check");
    std::fs::create_dir(dir.join("conf.d")).unwrap();
    std::fs::create_dir(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/LOCK"), "1").unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("users.toml", "mode = \"dynamic\"\n");
    write("good.toml", "data = \"data\"\nusers = \"users.toml\"\n");
    write("bad.toml", "allow_annonymous = true\nusers = 5\n");
    write("later.toml", "users = \"none.toml\"\n[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"\n");
    let before = fingerprint(&dir.0);
    for args in [&["check", "-c", "good.toml"][..], &["-t", "-c", "good.toml"]] {
        let (code, out, _) = run(&dir, args);
        assert_eq!((code, out.as_str()), (0, "good.toml is valid\n"), "{args:?}");
    }
    let (code, _, said) = run(&dir, &["check", "-c", "bad.toml"]);
    assert_eq!(code, 2);
    assert_eq!(
        said,
        "bad.toml:1:1: unknown key \"allow_annonymous\", did you mean \"allow_anonymous\"?\n\
         bad.toml:2:9: users is a text, not a number\nspindle: bad.toml: errors: 2\n"
    );
    let (code, out, _) = run(&dir, &["check", "--json", "-c", "bad.toml"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["valid"], &json["errors"][1]["line"]), (2, &false.into(), &2.into()));
    let (code, _, said) = run(&dir, &["check", "-c", "later.toml"]);
    assert!(code == 2 && said.contains("none.toml") && said.contains("c.pem"), "{said}");
    let (code, _, said) = run(&dir, &["-t", "-c", "absent.toml"]);
    assert!(code == 1 && said.contains("absent.toml: No such file"), "{said}");
    let (code, _, said) = run(&dir, &["serve", "-c", "bad.toml"]);
    assert!(code == 2 && said.starts_with("bad.toml:1:1: unknown key"), "{said}");
    assert_eq!(fingerprint(&dir.0), before, "not one file is another");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let dir = Scratch::new("print");
    let (code, out, _) = run(&dir, &["config", "default"]);
    assert_eq!(code, 0);
    std::fs::write(dir.join("x.toml"), &out).unwrap();
    assert_eq!(run(&dir, &["check", "-c", "x.toml"]).0, 0, "a template is a valid file");
    let (_, out, _) = run(&dir, &["config", "show", "--effective", "--origin", "-c", "x.toml"]);
    assert!(out.contains("durability = \"disk\"  # default\n"), "{out}");
    std::fs::write(dir.join("x.toml"), out).unwrap();
    assert_eq!(run(&dir, &["check", "-c", "x.toml"]).0, 0, "what is in force is a valid file");
    let (_, out, _) = run(&dir, &["config", "show", "--json", "--effective"]);
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap().is_array());
    let (_, out, _) = run(&dir, &["config", "schema"]);
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap().is_object());
    assert!(run(&dir, &["config", "env"]).1.contains("SPINDLE__DATA=spindle-data\n"));
    let help = run(&dir, &["serve", "--help"]).1;
    assert!(help.contains("--tls-client-cert") && help.contains("--limit <NAME=VALUE>"), "{help}");
}

#[test]
fn a_broker_is_served_from_a_file_and_reloads_it() {
    let dir = Scratch::new("file");
    let file = dir.join("x.toml");
    let text = "[log]\nlevel = \"info\"\n[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n\
                max_connections = 1\n";
    std::fs::write(&file, text).unwrap();
    let flags = ["-c", file.to_str().unwrap(), "--durability", "memory"];
    let mut broker = Spindle::start(&dir.join("data"), &flags);
    std::fs::write(&file, text.replace("[log]", "[limits]\nqueued_max = 7\n[log]")).unwrap();
    broker.signal("HUP");
    let said = broker.hear("limits.queued_max: 100000 becomes 7");
    assert!(said.contains("x.toml:2"), "{said}");
    std::fs::write(&file, "nonsense = 1\n").unwrap();
    broker.signal("HUP");
    let said = broker.hear("everything stays as it was");
    assert!(said.contains("x.toml:1:1: unknown key \"nonsense\""), "{said}");
    assert_eq!(broker.stop(), 0);
}

/// A client that keeps what it has read.
struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    fn hear(&mut self) -> Option<Packet> {
        loop {
            let packet = next(&mut self.input, Some(Version::V311), Sender::Server, 65_536);
            if let Some(packet) = packet.unwrap() {
                return Some(packet);
            }
            self.input.extend_from_slice(&self.stream.take()?);
        }
    }

    fn subscribe(&mut self, filter: &str) {
        let filter = Bytes::copy_from_slice(filter.as_bytes());
        let asked = Asked { filter, qos: 0, no_local: false, as_published: false, handling: 0 };
        let filters = vec![asked].into();
        self.stream.say(&Packet::Subscribe(Subscribe { id: 1, props: Props::none(), filters }));
        assert!(matches!(self.hear(), Some(Packet::SubAck(_))));
    }
}

/// A client that comes in as somebody; what the answer to its CONNECT was.
fn come(address: &str, id: &str, user: Option<(&str, &str)>) -> (Client, u8) {
    let mut client = Client { stream: open(address), input: BytesMut::new() };
    let Packet::Connect(mut packet) = connect(id) else { panic!("no connect") };
    packet.username = user.map(|(name, _)| Bytes::copy_from_slice(name.as_bytes()));
    packet.password = user.map(|(_, word)| Bytes::copy_from_slice(word.as_bytes()));
    client.stream.say(&Packet::Connect(packet));
    match client.hear() {
        Some(Packet::ConnAck(ack)) => (client, ack.code),
        None => (client, 255),
        other => panic!("{other:?}"),
    }
}

/// Does what `from` publishes to a topic reach `to`? A second message, which always does, ends the
/// wait.
fn reaches(from: &mut Client, to: &mut Client, topic: &str) -> bool {
    from.stream.publish(topic, b"asked");
    from.stream.publish("open/end", b"end");
    let mut found = false;
    loop {
        match to.hear() {
            Some(Packet::Publish(message)) if message.payload == "end" => return found,
            Some(Packet::Publish(_)) => found = true,
            other => panic!("no message but {other:?}"),
        }
    }
}

const ACL: &str = "user ann\ntopic write open/#\ntopic write a/#\ntopic deny a/secret\n\
                   user bob\ntopic read open/#\ntopic read a/#\n\
                   pattern write dev/%c/up\npattern read dev/+/up\npattern write mine/%u\n";

/// What they must agree in.
const EXPECTED: [(&str, bool); 12] = [
    ("right", true),
    ("sha512", true),
    ("wrong", false),
    ("unknown", false),
    ("nameless", false),
    ("a/b", true),
    ("a/secret", false),
    ("dev/one/up", true),
    ("dev/two/up", false),
    ("mine/ann", false),
    ("b", false),
    ("open/x", true),
];

/// What both brokers say.
fn verdicts(address: &str) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for (name, user) in [
        ("right", Some(("ann", "secret"))),
        ("sha512", Some(("bob", "pass word"))),
        ("wrong", Some(("ann", "secreu"))),
        ("unknown", Some(("eve", "secret"))),
        ("nameless", None),
    ] {
        all.push((name.to_owned(), come(address, name, user).1 == 0));
    }
    let (mut ann, _) = come(address, "one", Some(("ann", "secret")));
    let (mut bob, _) = come(address, "two", Some(("bob", "pass word")));
    for filter in ["open/#", "a/#", "dev/+/up"] {
        bob.subscribe(filter);
    }
    for topic in ["a/b", "a/secret", "dev/one/up", "dev/two/up", "mine/ann", "b", "open/x"] {
        all.push((topic.to_owned(), reaches(&mut ann, &mut bob, topic)));
    }
    all
}

/// Another broker, ended by its id.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_comes_from_mosquitto_is_let_in_and_refused_as_there() {
    let dir = Scratch::new("import");
    let path = |name: &str| dir.join(name).display().to_string();
    let made = |args: &[&str]| {
        let done = Command::new("mosquitto_passwd").args(args).output();
        done.is_ok_and(|out| out.status.success())
    };
    let passwords = path("pw");
    if !made(&["-c", "-b", &passwords, "ann", "secret"]) {
        println!("skipped: there is no mosquitto_passwd here (apt-get install mosquitto)");
        return;
    }
    assert!(made(&["-H", "sha512", "-b", &passwords, "bob", "pass word"]));
    std::fs::write(path("acl"), ACL).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n\
         acl_file {}\nmax_queued_messages 500\n",
        path("acl")
    );
    std::fs::write(path("m.conf"), conf).unwrap();
    let (code, toml, notes) =
        run(&dir, &["import", "mosquitto", "m.conf", "--users-out", "users.toml"]);
    assert_eq!(code, 0, "{notes}");
    assert!(toml.contains("queued_max = 500\n"), "{toml}");
    let mode = std::fs::metadata(dir.join("users.toml")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(&dir, &["import", "mosquitto", "m.conf", "--users-out", "users.toml"]);
    assert!(again.0 == 1 && again.2.contains("File exists"), "{again:?}");
    assert_eq!(run(&dir, &["import", "mosquitto", "m.conf"]).0, 2);
    std::fs::write(path("x.toml"), &toml).unwrap();
    assert_eq!(run(&dir, &["check", "-c", "x.toml"]).0, 0);

    let address = format!("127.0.0.1:{port}");
    let start =
        || Command::new("mosquitto").args(["-c", &path("m.conf")]).stderr(Stdio::null()).spawn();
    let theirs = start().ok().map(|child| {
        let other = Other(child);
        for _ in 0..200 {
            if TcpStream::connect(&address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let found = verdicts(&address);
        drop(other);
        found
    });
    let mut broker = Spindle::start(
        &dir.join("data"),
        &["-c", &path("x.toml"), "--listen", &format!("mqtt://{address}")],
    );
    broker.hear("listening ");
    let ours = verdicts(&address);
    let expected: Vec<(String, bool)> = EXPECTED.map(|(n, yes)| (n.to_owned(), yes)).to_vec();
    assert_eq!(ours, expected);
    match theirs {
        Some(theirs) => assert_eq!(theirs, expected, "mosquitto itself"),
        None => println!("mosquitto itself could not be started; only our side was asked"),
    }
    assert_eq!(broker.stop(), 0);
}

/// Debian's own password file and ACL file, with the passwords of its documentation.
#[test]
fn debians_samples_of_users_and_rules_let_in_and_refuse_the_same() {
    let dir = Scratch::new("samples");
    let sample = |name: &str| format!("/etc/mosquitto/{name}.example");
    if !Path::new(&sample("pwfile")).exists() {
        println!("skipped: there is no {} here (apt-get install mosquitto)", sample("pwfile"));
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = format!(
        "listener {port} 127.0.0.1\npassword_file {}\nacl_file {}\n",
        sample("pwfile"),
        sample("aclfile")
    );
    std::fs::write(dir.join("m.conf"), conf).unwrap();
    let import = ["import", "mosquitto", "m.conf", "--users-out", "users.toml"];
    let (code, toml, notes) = run(&dir, &import);
    assert_eq!(code, 0, "{notes}");
    std::fs::write(dir.join("x.toml"), &toml).unwrap();
    let address = format!("127.0.0.1:{port}");
    let asked = || -> Vec<(&str, bool)> {
        let roger = Some(("roger", "password"));
        let mut all = vec![
            ("roger", come(&address, "c1", roger).1 == 0),
            ("sub_client", come(&address, "c2", Some(("sub_client", "password"))).1 == 0),
            ("pub_client", come(&address, "c3", Some(("pub_client", "password"))).1 == 0),
            ("wrong", come(&address, "c4", Some(("roger", "passwort"))).1 == 0),
            ("unknown", come(&address, "c5", Some(("eve", "password"))).1 == 0),
            ("nameless", come(&address, "c6", None).1 == 0),
        ];
        let rogers = ["one", "two"].map(|id| come(&address, id, roger).0);
        let [mut one, mut two] = rogers;
        two.subscribe("foo/bar");
        one.stream.publish("foo/baz", b"nobody may read or write this");
        one.stream.publish("foo/bar", b"end");
        let heard = two.hear();
        all.push(("foo/bar", matches!(&heard, Some(Packet::Publish(m)) if m.payload == "end")));
        all
    };
    let child = Command::new("mosquitto")
        .args(["-c", dir.join("m.conf").to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn();
    let theirs = child.ok().map(|child| {
        let _other = Other(child);
        let up = || TcpStream::connect(&address).is_ok();
        let _ = (0..200).find(|_| {
            std::thread::sleep(Duration::from_millis(50));
            up()
        });
        asked()
    });
    let flags = ["-c", dir.join("x.toml").to_str().unwrap()].map(str::to_owned);
    let mut broker = Spindle::start(
        &dir.join("data"),
        &[&flags[0], &flags[1], "--listen", &format!("mqtt://{address}")],
    );
    broker.hear("listening ");
    let ours = asked();
    println!("theirs {theirs:?}\nours   {ours:?}");
    assert!(ours.iter().any(|(_, yes)| *yes) && ours.iter().any(|(_, yes)| !yes), "{ours:?}");
    if let Some(theirs) = theirs {
        assert_eq!(ours, theirs);
    }
    assert_eq!(broker.stop(), 0);
}

#[test]
fn debians_sample_of_mosquitto_is_understood() {
    let dir = Scratch::new("debian");
    let sample = "/etc/mosquitto/mosquitto.conf";
    if !Path::new(sample).exists() {
        println!("skipped: there is no {sample} here (apt-get install mosquitto)");
        return;
    }
    let (code, toml, notes) = run(&dir, &["import", "mosquitto", sample]);
    assert_eq!(code, 0, "{notes}");
    assert!(toml.contains("[[listener]]\nurl = \"mqtt://127.0.0.1:1883\"\n"), "{toml}");
    assert!(notes.contains("pid_file: not needed here"), "{notes}");
    std::fs::write(dir.join("x.toml"), &toml).unwrap();
    let (code, _, said) = run(&dir, &["check", "-c", "x.toml"]);
    assert_eq!(code, 0, "{said}");
}
