//! Floor 6. `spindle pub` and `sub` beside mosquitto's, and the tools around them.
//!
//! Every row of the table is a command line that both programs are given, against one broker of
//! ours; output and exit code must be the same, byte by byte. Where mosquitto's programs are not
//! installed, those tests say so and pass. Absent on purpose: what mosquitto's do not have, which
//! has tests of its own below.

#![cfg(feature = "cli")]
#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the test is the world")]

#[path = "cli/aio.rs"]
mod aio;
#[path = "cli/calls.rs"]
mod calls;
#[path = "cli/chat.rs"]
mod chat;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/json.rs"]
mod json;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use spindle::client::mqtt::Client;
use spindle::proto::mqtt::{Prop, Props, Publish, Version};
use spindle::{Broker, Handle};

const SPINDLE: &str = env!("CARGO_BIN_EXE_spindle");

struct Rig {
    handle: Handle,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new() -> Self {
        Self::at("mqtt://127.0.0.1:0")
    }

    fn at(url: &str) -> Self {
        let listen = url.parse().unwrap();
        let broker = Broker::builder().listen_to(listen).memory().build().unwrap();
        let handle = broker.handle();
        let port = broker.local_addr(0).unwrap().port();
        let thread = Some(std::thread::spawn(move || broker.run().unwrap()));
        Self { handle, port, thread }
    }

    /// Keep a value at a topic.
    fn keep(&self, topic: &'static str, payload: &'static [u8], qos: u8, props: &[Prop]) {
        let client = Client::builder().address("127.0.0.1", self.port).version(Version::V5);
        let mut client = client.connect().unwrap();
        let publish = Publish {
            dup: false,
            qos,
            retain: true,
            topic: Bytes::from_static(topic.as_bytes()),
            id: 0,
            props: Props::build(props),
            payload: Bytes::from_static(payload),
        };
        client.send(publish).unwrap();
        while !client.is_settled() {
            client.wait(Some(Duration::from_secs(10))).unwrap();
        }
        client.disconnect();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Where a program of mosquitto's is, if it is.
fn mosquitto(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed (Debian: mosquitto-clients)");
    }
    found
}

fn run(program: &Path, verb: Option<&str>, args: &[String], stdin: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(verb)
        .args(args)
        .env("TZ", "Europe/Berlin")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who needs no input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn spindle(args: &[&str], stdin: &[u8]) -> Output {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    run(Path::new(SPINDLE), None, &args, stdin)
}

/// Words of a command line; single quotes keep blanks, `PORT` is the broker's.
fn words(line: &str, port: u16) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(|w| w.replace("PORT", &port.to_string())));
        }
    }
    words
}

/// Digits change with the clock.
fn still(text: &[u8], line: &str) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    let clock = ["%I", "%U", "%j", "%J", "@"].iter().any(|token| line.contains(token));
    if clock { text.replace(|c: char| c.is_ascii_digit(), "0") } else { text }
}

fn compare(verb: &str, table: &[&str], stdin: &[u8], rig: &Rig) {
    let Some(theirs) = mosquitto(&format!("mosquitto_{verb}")) else { return };
    let mut wrong = Vec::new();
    for line in table {
        let args = words(line, rig.port);
        let a = run(&theirs, None, &args, stdin);
        let b = run(Path::new(SPINDLE), Some(verb), &args, stdin);
        let (out_a, out_b) = (still(&a.stdout, line), still(&b.stdout, line));
        if (a.status.code(), &out_a) != (b.status.code(), &out_b) {
            let stderr = String::from_utf8_lossy(&b.stderr);
            wrong.push(format!(
                "{verb} {line}\n  theirs {:?} {out_a:?}\n  ours   {:?} {out_b:?} {stderr}",
                a.status.code(),
                b.status.code()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sub_prints_what_mosquitto_sub_prints() {
    let rig = Rig::new();
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    rig.keep(
        "a/b",
        b"hello \"x\"",
        1,
        &[
            Prop::User(text("k"), text("v")),
            Prop::ContentType(text("text/plain")),
            Prop::CorrelationData(text("cc")),
            Prop::ResponseTopic(text("re/s")),
            Prop::User(text("l"), text("w")),
        ],
    );
    rig.keep("a/n", br#"{"a":[1,2.50,1e3,true,null,"\u00e9/"],"b":{}}"#, 0, &[]);
    rig.keep("a/z", b"\x00\x01\xff", 0, &[]);
    compare("sub", SUB, b"", &rig);
}

const SUB: &[&str] = &[
    "-p PORT -t a/b -C 1",
    "-p PORT -t a/b -C 1 -N",
    "-p PORT -t a/b -t a/n -C 2 -v",
    "-p PORT -t a/b -t a/n -C 2 -v -N",
    "-p PORT -t a/z -C 1",
    "-p PORT -t a/b -C 1 -q 1 -F '%t|%p|%q|%r|%l|%m|%x|%X'",
    "-p PORT -t a/b -C 1 -q 1 -V 5 -F '%A|%C|%D|%E|%F|%P|%R|%S|'",
    "-p PORT -t a/b -C 1 -V 5 -D subscribe subscription-identifier 7 -F '%S|%C'",
    "-p PORT -t a/b -C 1 -F '%% @@ \\t\\\\ %t'",
    "-p PORT -t a/b -C 1 -F '%I|%U|@Y-@m-@d @H:@M:@S.@N @Z'",
    "-p PORT -t a/b -C 1 -q 1 -F %j",
    "-p PORT -t a/b -C 1 -q 1 -V 5 -F %j",
    "-p PORT -t a/b -C 1 -q 1 -V 5 -F %j --pretty",
    "-p PORT -t a/n -C 1 -F %J",
    "-p PORT -t a/n -C 1 -F %J --pretty",
    "-p PORT -t a/n -C 1 -F %j",
    "-p PORT -t a/b -C 1 -F %J",
    "-p PORT -t none -W 1",
    "-p PORT -t a/b -W 1 -R",
    "-p PORT -t a/# -T a/b -T a/z -C 1 -v",
    "-p PORT -t a/# -E",
    "-p PORT -L mqtt://127.0.0.1:PORT/a/b -C 1",
    "-L mqtt://127.0.0.1:PORT/a/b -C 1 -v",
    "-p PORT -t a/b -t zz -d -C 1 -N",
    "-p PORT -t a/b -d -C 1 -q 2 -V 5 -i me",
    "-p PORT -t a/b -V mqttv31 -C 1",
    "-p PORT -i sleeper -c -t a/b -C 1",
    "-p PORT -t a/b -C 1 -x 60 -V 5 -i brief",
    "-p PORT -t a/b -C 1 -k 20 -A 127.0.0.1",
    "-p PORT",
    "-p PORT -t",
    "-p PORT -t a -q 3",
    "-p PORT -t a/#/b",
    "-p PORT -t a -T b#",
    "-p PORT -t a -V 7",
    "-p PORT -t a -k 2",
    "-p PORT -t a -c",
    "-p PORT -t a -P x",
    "-p PORT -t a -i x -I y",
    "-p PORT -t a -C 0",
    "-p PORT -t a -F %Z",
    "-p PORT -t a -F %",
    "-p PORT -t a -R --retained-only",
    "-p PORT -t a -D foo bar baz",
    "-p PORT -t a -D connect bar baz",
    "-p PORT --bogus",
    "-h 127.0.0.1 -p 1 -t a",
    "-p PORT -t a --cafile /nonexistent",
    "-p PORT -t a --cert x",
    "-L foo://127.0.0.1/a",
];

#[test]
fn pub_ends_as_mosquitto_pub_ends() {
    let rig = Rig::new();
    compare("pub", PUB, b"one\n\ntwo", &rig);
    // Here mosquitto prints its whole help.
    for line in ["-p PORT -t a", "-p PORT -m b"] {
        let args = words(line, rig.port);
        let ours = run(Path::new(SPINDLE), Some("pub"), &args, b"");
        assert_eq!(ours.status.code(), Some(1), "{line}");
    }
}

const PUB: &[&str] = &[
    "-p PORT -t a -m b",
    "-p PORT -t a -m b -q 1",
    "-p PORT -t a -m b -q 2 -V 5",
    "-p PORT -t a -m -b",
    "-p PORT -t a -n",
    "-p PORT -t a -s",
    "-p PORT -t a -l",
    "-p PORT -t a -l -q 2",
    "-p PORT -t a -m b -d",
    "-p PORT -t a -m b -d -q 1",
    "-p PORT -t a -m b -d -q 2",
    "-p PORT -t a -m x --repeat 3 --repeat-delay 0.1 -q 1",
    "-p PORT -t a -m b -V 5 -D publish content-type text/plain -D publish user-property k v",
    "-p PORT -t a -m b --will-topic w --will-payload x --will-qos 1 --will-retain",
    "-p PORT -t a -m b -M 5 -k 30 -I pre",
    "-L mqtt://127.0.0.1:PORT/zz -m b",
    "-p PORT -t a -m b -A 127.0.0.1",
    "-p PORT -t a/# -m b",
    "-p PORT -t a -m b -n",
    "-p PORT -t a -m b -q 3",
    "-p PORT -t a -f /nonexistent",
    "-p PORT -t a -m b -V 9",
    "-p PORT -t a -m b --will-topic w/#",
    "-p PORT -t a -m b --will-payload x",
    "-p PORT -t a -m b -k 3",
    "-p PORT -t a -m b -M 0",
    "-p PORT -t a -m b --repeat 0",
    "-p PORT -t a -m b -P x",
    "-p PORT -t a -m b -c",
    "-p PORT -t a -m b --unix /nonexistent",
    "-p PORT -t a -m b -D publish topic-alias x",
    "-h 127.0.0.1 -p 1 -t a -m b",
    "-L mqtt://127.0.0.1:PORT -m b",
];

/// A subscriber of ours that has answered its SUBACK, so that nothing is missed.
fn listener(rig: &Rig, args: &[&str]) -> std::process::Child {
    let mut child = Command::new(SPINDLE)
        .args(["sub", "-p", &rig.port.to_string(), "-d"])
        .args(args)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"Subscribed") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended");
        seen.push(byte[0]);
    }
    child
}

fn lines_of(mut child: std::process::Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn every_line_of_standard_input_is_a_message() {
    let rig = Rig::new();
    let child = listener(&rig, &["-t", "a", "-C", "300", "-q", "1", "-v"]);
    let input: String = (0..300).map(|n| format!("line {n}\n")).collect();
    let port = rig.port.to_string();
    let done = spindle(&["pub", "-p", &port, "-t", "a", "-l", "-q", "1"], input.as_bytes());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let (code, text) = lines_of(child);
    assert_eq!(code, Some(0));
    let heard: Vec<&str> = text.lines().filter(|line| line.starts_with("a line")).collect();
    assert_eq!(heard.len(), 300);
    assert_eq!(heard[299], "a line 299");
}

#[test]
fn a_request_is_answered() {
    let rig = Rig::new();
    let port = rig.port.to_string();
    let mut replier = Command::new(SPINDLE)
        .args(["reply", "-p", &port, "-t", "upper/+", "-C", "1", "-d"])
        .args(["--command", "tr a-z A-Z; printf ' on %s' $SPINDLE_TOPIC"])
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = replier.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"received SUBACK") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended");
        seen.push(byte[0]);
    }
    let done = spindle(&["request", "-p", &port, "-t", "upper/x", "-m", "hello"], b"");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "HELLO on upper/x\n");
    assert_eq!(lines_of(replier).0, Some(0));
    let args = ["request", "-p", &port, "-t", "upper/x", "-m", "x", "--timeout", "0.3"];
    // Nobody answers, and the broker says so at once.
    assert_eq!(spindle(&args, b"").status.code(), Some(5));
}

#[test]
fn messages_cross_from_mqtt_to_a_websocket() {
    let rig = Rig::at("ws://127.0.0.1:0");
    let url = format!("ws://127.0.0.1:{}/a", rig.port);
    let keep = spindle(&["pub", "-L", &url, "-m", "kept", "-r", "-q", "1"], b"");
    assert_eq!(keep.status.code(), Some(0), "{keep:?}");
    let got = spindle(&["sub", "-L", &url, "-C", "1", "-W", "5"], b"");
    assert_eq!((got.status.code(), &got.stdout[..]), (Some(0), &b"kept\n"[..]));
}

#[test]
fn prx1_urls_speak_prx1() {
    let rig = Rig::at("prx1://127.0.0.1:0");
    let url = format!("prx1://127.0.0.1:{}/a", rig.port);
    let keep = spindle(&["pub", "-L", &url, "-m", "kept", "-r", "-q", "1"], b"");
    assert_eq!(keep.status.code(), Some(0), "{keep:?}");
    let got = spindle(&["sub", "-L", &url, "-C", "1", "-W", "5", "-v"], b"");
    assert_eq!((got.status.code(), &got.stdout[..]), (Some(0), &b"a kept\n"[..]));
}

#[test]
fn kept_values_are_removed_as_they_are_read() {
    let rig = Rig::new();
    rig.keep("a/1", b"x", 1, &[]);
    rig.keep("a/2", b"y", 1, &[]);
    let port = rig.port.to_string();
    let args = ["sub", "-p", &port, "-t", "a/#", "-C", "2", "--remove-retained", "-v"];
    let got = spindle(&args, b"");
    assert_eq!((got.status.code(), &got.stdout[..]), (Some(0), &b"a/1 x\na/2 y\n"[..]));
    let rest = spindle(&["sub", "-p", &port, "-t", "a/#", "-W", "1"], b"");
    assert_eq!((rest.status.code(), rest.stdout.len()), (Some(27), 0));
}

/// A folder of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spindle-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn users_are_added_changed_and_deleted() {
    let folder = Folder::new("passwd");
    let file = folder.0.join("users.toml");
    let file = file.to_str().unwrap();
    let code =
        |args: &[&str], stdin: &[u8]| spindle(&[&["passwd"], args].concat(), stdin).status.code();
    assert_eq!(code(&["-c", "-b", file, "joe", "secret"], b""), Some(0));
    assert_eq!(code(&["-c", "-b", file, "joe", "secret"], b""), Some(2), "it is there");
    assert_eq!(code(&[file, "ann"], b"from a pipe\n"), Some(0));
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches("password_hash = \"$2b$12$").count(), 2, "{text}");
    assert_eq!(code(&["-b", file, "ann", &"x".repeat(73)], b""), Some(2));
    assert_eq!(code(&["-D", file, "joe"], b""), Some(0));
    assert_eq!(code(&["-D", file, "joe"], b""), Some(1));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("joe") && text.contains("ann"), "{text}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_ruling_names_its_rule() {
    let folder = Folder::new("acl");
    let file = folder.0.join("users.toml");
    let users = "mode = \"strict\"\n[groups.User]\nrules = [\"can publish room/%u/*\"]\n\
                 [[users]]\nname = \"joe\"\nshared_secret = \"x\"\n";
    std::fs::write(&file, users).unwrap();
    let file = file.to_str().unwrap();
    let test = |topic| spindle(&["acl", "test", "joe", "publish", topic, "--users", file], b"");
    let yes = test("room/joe/x");
    assert_eq!(yes.status.code(), Some(0));
    let said = String::from_utf8_lossy(&yes.stdout).into_owned();
    assert!(said.contains("`can publish room/%u/*` of group User"), "{said}");
    assert_eq!(test("room/ann/x").status.code(), Some(4));
    assert!(said.starts_with(&format!("{file}:3: allowed")), "{said}");
    let no = String::from_utf8_lossy(&test("room/ann/x").stdout).into_owned();
    assert!(no.starts_with(&format!("{file}:2: denied: no rule of group User")), "{no}");
    let list = spindle(&["acl", "list", "--users", file], b"");
    assert!(String::from_utf8_lossy(&list.stdout).contains("users: joe"));
    // The same by the configuration that names the file.
    let config = folder.0.join("x.toml");
    std::fs::write(&config, format!("users = {file:?}\n")).unwrap();
    let config = config.to_str().unwrap();
    let by = ["acl", "test", "joe", "publish", "room/joe/x", "-c", config];
    let by_config = spindle(&by, b"");
    assert_eq!((by_config.status.code(), &by_config.stdout), (Some(0), &yes.stdout));
    let json = spindle(&[&by[..], &["--json"]].concat(), b"");
    let json = String::from_utf8_lossy(&json.stdout).into_owned();
    assert!(json.contains("\"rule\":\"can publish room/%u/*\"") && json.contains("\"line\":3"));
    std::fs::write(config, "users = 7\n").unwrap();
    assert_eq!(spindle(&by, b"").status.code(), Some(2));
    std::fs::write(config, "").unwrap();
    let open = spindle(&by, b"");
    assert_eq!(&open.stdout[..], b"allowed: no users are configured\n");
}

#[test]
fn a_context_stands_in_for_flags() {
    let folder = Folder::new("context");
    let rig = Rig::new();
    rig.keep("a", b"kept", 1, &[]);
    let url = format!("mqtt://127.0.0.1:{}", rig.port);
    let with = |args: &[&str]| {
        Command::new(SPINDLE).args(args).env("XDG_CONFIG_HOME", &folder.0).output().unwrap()
    };
    let add = with(&["context", "add", "here", "--url", &url, "--select"]);
    assert_eq!(add.status.code(), Some(0), "{add:?}");
    let got = with(&["sub", "-t", "a", "-C", "1", "-W", "5"]);
    assert_eq!(&got.stdout[..], b"kept\n", "{got:?}");
    let mode = std::fs::metadata(folder.0.join("spindle/contexts/here.toml")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(String::from_utf8_lossy(&with(&["context", "ls"]).stdout).starts_with("* here"));
    let without = with(&["sub", "-t", "a", "-p", "1", "--no-context", "-W", "5"]);
    assert_eq!(without.status.code(), Some(1));
    assert_eq!(with(&["context", "rm", "here"]).status.code(), Some(0));
}

#[test]
fn scripts_can_ask_for_words() {
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"]] {
        let done = spindle(args, b"");
        assert!(done.status.success() && done.stdout.len() > 1_000, "{args:?}");
    }
    let page = spindle(&["man", "sub"], b"");
    assert!(String::from_utf8_lossy(&page.stdout).contains("spindle-sub"));
    let codes = spindle(&["exit-codes"], b"");
    assert!(String::from_utf8_lossy(&codes.stdout).contains("27"));
    for args in [&["exit-codes"][..], &["limits"], &["version"], &["context", "ls"]] {
        let done = spindle(&[args, &["--json"]].concat(), b"");
        let value = serde_json::from_slice::<serde_json::Value>(&done.stdout);
        assert!(done.status.success() && value.is_ok(), "{args:?}: {done:?}");
    }
    let aimless = spindle(&["trace"], b"");
    let said = String::from_utf8_lossy(&aimless.stderr).into_owned();
    assert_eq!(aimless.status.code(), Some(2));
    assert!(said.contains("--client <ID>|--topic <FILTER>|--address <ADDRESS>"), "{said}");
}

/// A broker that says this to whoever connects, after the first packet, and hangs up.
fn broker_that_says(words: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = [0; 512];
            // Whatever it is, it is answered so; who has left hears nothing.
            let _ = stream.read(&mut first).and_then(|_| stream.write_all(words));
        }
    });
    port
}

/// How the verbs of WAMP end, each code once.
fn codes_of_wamp(ca: &str) -> Vec<(&'static str, &'static str)> {
    let rig = Rig::at("wamp://127.0.0.1:0");
    let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
    let (url, within_tls) = (at("rs", rig.port), at("rss", rig.port));
    let babbles = at("rs", broker_that_says(b"\x7f\xf1\0\0\0\0\0\x02[]"));
    let leaves = at(
        "rs",
        broker_that_says(b"\x7f\xf1\0\0\0\0\0\x29[2,1,{\"roles\":{\"broker\":{},\"dealer\":{}}}]"),
    );
    let call = |url| ["wamp", "call", "com.nothing", "--serializer", "json", "-L", url];
    let table: [(&str, i32, Vec<&str>); 6] = [
        ("1", 1, call("rs://127.0.0.1:1").to_vec()),
        ("2", 2, call(&babbles).to_vec()),
        ("5", 5, call(&url).to_vec()),
        ("7", 7, call(&leaves).to_vec()),
        ("8", 8, [&call(&within_tls)[..], &["--cafile", ca]].concat()),
        ("27", 27, vec!["wamp", "sub", "a", "-L", &url, "-W", "1"]),
    ];
    for (code, expected, args) in &table {
        let done = spindle(args, b"");
        assert_eq!(done.status.code(), Some(*expected), "wamp {code} {args:?}: {done:?}");
    }
    table.iter().map(|(code, ..)| ("wamp", *code)).collect()
}

/// A folder whose journal has a byte that was acknowledged and is another now.
fn damaged(folder: &Folder) -> String {
    let data = folder.0.join("data");
    let broker = Broker::builder().listen_to("mqtt://127.0.0.1:0".parse().unwrap());
    let broker = broker.journal(&data, spindle::Durability::Disk).build().unwrap();
    let (handle, port) = (broker.handle(), broker.local_addr(0).unwrap().port());
    let rig = Rig { handle, port, thread: Some(std::thread::spawn(move || broker.run().unwrap())) };
    rig.keep("a/1", b"a value to be damaged", 1, &[]);
    rig.keep("a/2", b"another", 1, &[]);
    drop(rig);
    let segment = data.join("journal/00000001.seg");
    let mut all = std::fs::read(&segment).unwrap();
    let at = all.windows(7).position(|w| w == b"a value").unwrap();
    all[at] ^= 1;
    std::fs::write(&segment, &all).unwrap();
    data.to_str().unwrap().to_owned()
}

/// Every row of the table of exit codes is what some command line ends with.
#[test]
fn every_exit_code_is_one_that_somebody_ends_with() {
    const CLIENTS: &str = "pub, sub, request, reply";
    const OTHERS: &str = "all others";
    let folder = Folder::new("codes");
    let write = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let users = "mode = \"strict\"\n[groups.User]\nrules = [\"can publish b\"]\n[[users]]\n\
                 name = \"joe\"\ngroup = \"User\"\nshared_secret = \"x\"\n";
    let users = write("users.toml", users);
    let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let (ca, data, rig) = (write("ca.pem", &ca), damaged(&folder), Rig::new());
    let (port, url) = (rig.port.to_string(), format!("mqtt://127.0.0.1:{}", rig.port));
    let says = |words| broker_that_says(words).to_string();
    let refuses = (says(b"\x20\x02\0\x04"), says(b"\x20\x03\0\x87\0"));
    let (babbles, leaves) = (says(b"\x20\x02\0\0\0\0"), says(b"\x20\x02\0\0"));
    let table: &[(&str, &str, i32, &[&str])] = &[
        ("all", "0", 0, &["version"]),
        (OTHERS, "1", 1, &["check", "-c", "/nonexistent/x.toml"]),
        (OTHERS, "2", 2, &["serve", "--bogus"]),
        ("serve", "3", 3, &["serve", "--listen", "mqtt://127.0.0.1:0", "--data", &data]),
        ("bench", "4", 4, &["bench", "pairs", "-L", &url, "-d", "0.2", "-r", "100000000"]),
        ("acl test", "4", 4, &["acl", "test", "joe", "publish", "a", "--users", &users]),
        (CLIENTS, "1", 1, &["pub", "-p", &port, "-t", "a"]),
        (CLIENTS, "1 to 5", 4, &["pub", "-p", &refuses.0, "-t", "a", "-m", "b"]),
        (CLIENTS, "2", 2, &["pub", "-p", &babbles, "-t", "a", "-m", "b", "-q", "1"]),
        (CLIENTS, "5", 5, &["request", "-p", &port, "-t", "a", "-m", "b"]),
        (CLIENTS, "7", 7, &["pub", "-p", &leaves, "-t", "a", "-m", "b", "-q", "1"]),
        (CLIENTS, "8", 8, &["pub", "-p", &port, "--cafile", &ca, "-t", "a", "-m", "b"]),
        (CLIENTS, "27", 27, &["sub", "-p", &port, "-t", "a", "-W", "1"]),
        (CLIENTS, "128 to 162", 135, &["sub", "-p", &refuses.1, "-t", "a", "-V", "5"]),
    ];
    let listed: Vec<(&str, &str)> = spindle::cli::codes().collect();
    let mut shown: Vec<(&str, &str)> = table.iter().map(|row| (row.0, row.1)).collect();
    for (verbs, code, expected, args) in table {
        let done = spindle(args, b"");
        assert_eq!(done.status.code(), Some(*expected), "{verbs} {code} {args:?}: {done:?}");
    }
    shown.extend(codes_of_wamp(&ca));
    shown.extend(aio::codes());
    let mut rows = listed.clone();
    rows.sort_unstable();
    shown.sort_unstable();
    assert_eq!(rows, shown, "the table of codes, and what was shown of it");
}

#[test]
fn a_stopped_sub_ends_with_0() {
    let rig = Rig::new();
    let child = listener(&rig, &["-t", "a"]);
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(lines_of(child).0, Some(0));
}

/// Load for so short that the figures say nothing; that they are there is what is looked at.
fn load(url: &str, words: &str) -> Output {
    let line = format!("bench {words} -L {url} -d 0.3 --warmup 0.1 --even-so --json");
    spindle(&line.split_whitespace().collect::<Vec<_>>(), b"")
}

#[test]
fn every_scenario_of_the_load_generator_runs() {
    let (mqtt, prx1) = (Rig::new(), Rig::at("prx1://127.0.0.1:0"));
    let mqtt = format!("mqtt://127.0.0.1:{}", mqtt.port);
    let prx1 = format!("prx1://127.0.0.1:{}", prx1.port);
    let pid = std::process::id();
    for (url, words, figure) in [
        (&mqtt, "pairs -n 3 -q 0", "latency_sent_us"),
        (&mqtt, "pairs -n 3 -q 1 -t 2 -s 5000", "acknowledged_us"),
        (&mqtt, "pairs -n 3 -q 2 -V 5 -w 7", "acknowledged_us"),
        (&mqtt, "pairs -n 3 -q 1 -r 500 -t 2", "latency_due_us"),
        (&mqtt, "rtt", "latency_sent_us"),
        (&mqtt, "fanout -n 20 -q 1 -t 3", "latency_sent_us"),
        (&mqtt, "fanin -n 20 -q 1 -t 3", "latency_sent_us"),
        (&prx1, "pairs -n 3 -q 1", "acknowledged_us"),
        (&prx1, "pairs -n 3 -r 200", "latency_due_us"),
        (&mqtt, "connect -n 50 -w 10 -t 2", "connect_us"),
        (&mqtt, "idle -n 50", "connect_us"),
    ] {
        let done = load(url, &format!("{words} --pid {pid}"));
        assert_eq!(done.status.code(), Some(0), "{words}: {done:?}");
        let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let latency = &result[figure];
        assert!(latency["count"].as_f64() > Some(0.0), "{words}: {result}");
        assert!(latency["p99.99"].as_f64() <= latency["max"].as_f64(), "{words}: {result}");
        assert!(result["resident_bytes"].as_f64() > Some(0.0), "{words}: {result}");
        let talks = result["delivered"].as_f64();
        assert_eq!(talks.is_none(), figure == "connect_us", "{words}: {result}");
        assert!(talks.is_none_or(|delivered| delivered > 0.0), "{words}: {result}");
    }
}

#[test]
fn what_is_laid_in_is_fetched_and_taken_away() {
    let (mqtt, prx1) = (Rig::new(), Rig::at("prx1://127.0.0.1:0"));
    let (port, prx1) = (mqtt.port.to_string(), format!("prx1://127.0.0.1:{}", prx1.port));
    let mqtt = format!("mqtt://127.0.0.1:{port}");
    for (url, words, figure, count) in [
        (&mqtt, "subs -c 250 -n 3 -q 1", "subscribed", 250.0),
        (&prx1, "subs -c 50 -n 3", "subscribed", 50.0),
        (&mqtt, "retained -c 300", "fetched", 300.0),
        (&mqtt, "retained -c 70 -q 2 -V 5 -w 3", "fetched", 70.0),
        (&prx1, "retained -c 70", "fetched", 70.0),
        (&mqtt, "drain -c 300 -V 5 -q 2", "fetched", 300.0),
        (&mqtt, "drain -c 300", "fetched", 300.0),
        (&prx1, "drain -c 70", "fetched", 70.0),
    ] {
        let done = load(url, words);
        assert_eq!(done.status.code(), Some(0), "{words}: {done:?}");
        let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(result[figure].as_f64(), Some(count), "{words}: {result}");
    }
    let left = spindle(&["sub", "-p", &port, "-t", "#", "-W", "1"], b"");
    assert_eq!((left.status.code(), &left.stdout[..]), (Some(27), &b""[..]), "kept values");
}

#[test]
fn brokers_are_compared_in_turn() {
    let (a, b, pid) = (Rig::new(), Rig::new(), std::process::id());
    let (a, b) = (format!("a=mqtt://127.0.0.1:{},{pid}", a.port), b.port);
    let line = format!(
        "bench compare {a} b=mqtt://127.0.0.1:{b} --rounds 3 --scenario rtt -d 0.2 --warmup 0.1 \
         --even-so"
    );
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = spindle(&words, b"");
    let table = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(table.contains("delivered_per_second") && table.contains("to first"), "{table}");
    let done = spindle(&[&words[..], &["--json"]].concat(), b"");
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let rate = &result["delivered_per_second"];
    assert_eq!(rate["a"]["ratio"]["median"].as_f64(), Some(1.0), "{result}");
    let value = &rate["b"]["value"];
    assert!(value["least"].as_f64() > Some(0.0), "{result}");
    assert!(value["least"].as_f64() <= value["most"].as_f64(), "{result}");
    // Without its process nothing is known of it.
    let cost = &result["cpu_us_per_message"];
    assert!(cost["a"].is_object() && cost["b"].is_null(), "{result}");
    for wrong in [&["bench"][..], &["bench", "compare"], &["bench", "compare", "mqtt://x"]] {
        assert_eq!(spindle(wrong, b"").status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_latency_distribution_is_drawn() {
    let (folder, rig) = (Folder::new("drawn"), Rig::new());
    let url = format!("mqtt://127.0.0.1:{}", rig.port);
    for (name, begins) in [("a.svg", "<svg "), ("a.html", "<!doctype html>")] {
        let path = folder.0.join(name);
        let done = load(&url, &format!("rtt --svg {}", path.to_str().unwrap()));
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let drawn = std::fs::read_to_string(path).unwrap();
        assert!(drawn.starts_with(begins) && drawn.contains("<polyline"), "{drawn}");
    }
}

/// What becomes of a message.
type Lie = fn(&[u8]) -> Vec<u8>;

/// A broker for one pair at QoS 0, who does something else with the tenth message.
fn relay(tenth: Lie) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut from, mut to) = (None, None);
        for _ in 0..2 {
            let mut stream = listener.accept().unwrap().0;
            let mut hello = [0; 512];
            let n = stream.read(&mut hello).unwrap();
            stream.write_all(b"\x20\x02\0\0").unwrap();
            if hello[..n].ends_with(b"-p0") {
                from = Some(stream);
            } else {
                assert!(stream.read(&mut hello).unwrap() > 0);
                stream.write_all(b"\x90\x03\0\x01\0").unwrap();
                to = Some(stream);
            }
        }
        let (mut from, mut to) = (from.unwrap(), to.unwrap());
        // Head, topic (bench/, eight digits, /0), payload.
        let mut message = [0; 2 + 2 + 16 + 64];
        for nth in 1.. {
            // It ends when the pair has left.
            if from.read_exact(&mut message).is_err() {
                return;
            }
            let said = if nth == 10 { tenth(&message) } else { message.to_vec() };
            let _ = to.write_all(&said);
        }
    });
    port
}

#[test]
fn a_broker_that_breaks_a_promise_gets_no_figure() {
    let lies: [(Lie, i32, &[&str]); 4] = [
        (<[u8]>::to_vec, 0, &[]),
        (|_| Vec::new(), 1, &["1 of ", " deliveries never came"]),
        (|it| [it, it].concat(), 1, &["1 came out of order or twice"]),
        (|_| vec![0x30, 4, 0, 1, b'a', 0], 1, &["a message that this run did not send"]),
    ];
    for (lie, code, says) in lies {
        let url = format!("mqtt://127.0.0.1:{}", relay(lie));
        let done = load(&url, "pairs -n 1 -r 250");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{says:?}: {done:?}");
        assert!(says.iter().all(|part| said.contains(part)), "{says:?}: {said}");
    }
}

#[test]
fn an_answer_to_nothing_gets_no_figure() {
    for words in [&b"\x20\x02\0\0\x20\x02\0\0"[..], b"\x20\x02\0\0\x90\x03\0\x01\0"] {
        let url = format!("mqtt://127.0.0.1:{}", broker_that_says(words));
        let done = load(&url, "idle -n 1");
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.contains("answered what nobody asked"), "{said}");
    }
}

#[test]
fn no_more_is_under_way_than_a_broker_allows() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let broker = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut all = [0; 4_096];
        assert!(stream.read(&mut all).unwrap() > 0);
        // Receive Maximum: 2.
        stream.write_all(b"\x20\x06\0\0\x03\x21\0\x02").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        stream.read(&mut all).unwrap()
    });
    assert_eq!(load(&url, "retained -c 10 -V 5").status.code(), Some(1), "it hung up");
    // Head, topic (bench/, eight digits, /0000/x/0000), packet id, no properties, payload.
    assert_eq!(broker.join().unwrap(), 2 * (2 + 2 + 26 + 2 + 1 + 64));
}
