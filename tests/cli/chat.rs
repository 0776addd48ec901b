//! Chats between two of these programs, the menu of orders, and another certificate for a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Folder, SPINDLE, spindle};

/// Nobody says nothing for so long, on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// One end of a chat, in a folder of its own.
struct End {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    place: PathBuf,
}

impl End {
    fn new(folder: &Folder, name: &str, args: &[&str]) -> Self {
        let place = folder.0.join(name);
        std::fs::create_dir_all(&place).unwrap();
        let mut child = Command::new(SPINDLE)
            .args(["aio", "chat"])
            .args(args)
            .current_dir(&place)
            .env("XDG_STATE_HOME", folder.0.join(format!("state-{name}")))
            .env("TMPDIR", &folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).unwrap() > 0 {
                let _ = sender.send(std::mem::take(&mut line));
            }
        });
        Self { child, stdin, lines, place }
    }

    /// One that waits, where it does, and its fingerprint.
    fn host(folder: &Folder, name: &str, args: &[&str]) -> (Self, String, String) {
        let args = [&["--port", "0", "--bind-server-ip", "127.0.0.1"][..], args].concat();
        let mut end = Self::new(folder, name, &args);
        let rest = |line: String| line.trim().rsplit_once(' ').unwrap().1.to_owned();
        let at = rest(end.until("listening on "));
        let print = rest(end.until("fingerprint "));
        (end, at, print)
    }

    fn says(&mut self, lines: &str) {
        self.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    }

    /// The next line in which this stands, if it comes before long.
    fn until(&mut self, text: &str) -> String {
        let mut before = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LONG) {
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
        // It would not end by itself if it still waits for something.
        let _ = self.child.kill();
        panic!("{text:?} is not said after {before:?}: {:?}", self.ends());
    }

    /// Nothing more is typed: the code, and what it complained of.
    fn ends(&mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        (self.child.wait().unwrap().code(), complaints)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_talk_and_send_each_other_files_and_folders() {
    let folder = Folder::new("chat-talk");
    let (mut one, at, print) = End::host(&folder, "one", &[]);
    let mut other = End::new(&folder, "other", &["--target", &at]);
    one.until("Accept client chat_client ('127.0.0.1', ");
    one.says("y\nhello \u{1b}[2J\n");
    assert!(other.until("fingerprint ").contains(&format!("{print} (new")), "it is not known");
    assert_eq!(other.until("hello"), "hello \\u{1b}[2J\n", "no terminal obeys it");
    std::fs::create_dir_all(other.file("things/sub")).unwrap();
    std::fs::write(other.file("things/sub/x"), "packed").unwrap();
    std::fs::write(one.file("small"), "small").unwrap();
    other.says("hi\n!upload things\n!upload nothing\n");
    assert_eq!(one.until("hi"), "hi\n");
    one.until("[file ./things.zip]");
    other.until("sent things.zip");
    one.says("!echo from the shell\n");
    one.until("from the shell");
    one.says("!upload small\n!upload small\n");
    one.until("sent small (5 B)");
    other.until("[file ./small]");
    assert_eq!(std::fs::read(other.file("small")).unwrap(), b"small");
    one.says("!import ../other/small\n!zimport things.zip\n!dezip things.zip\n");
    one.until("made ./things");
    assert_eq!(std::fs::read(one.file("things/sub/x")).unwrap(), b"packed");
    let (code, complaints) = other.ends();
    assert_eq!(code, Some(0));
    assert!(complaints.contains("nothing: No such file"), "{complaints}");
    one.until("has left");
    let (code, complaints) = one.ends();
    assert_eq!(code, Some(0));
    for wrong in ["there is such a file already", "leads somewhere else", "there already"] {
        assert!(complaints.contains(wrong), "{wrong}: {complaints}");
    }
}

/// Call, with this to be typed, as somebody who knows whom this folder's callers know.
fn called(folder: &Folder, name: &str, args: &[&str], typed: &[u8]) -> Output {
    let mut end = End::new(folder, name, args);
    let _ = end.stdin.as_mut().unwrap().write_all(typed);
    drop(end.stdin.take());
    let stdout = end.lines.iter().collect::<String>().into_bytes();
    let (_, complaints) = end.ends();
    let status = end.child.wait().unwrap();
    Output { status, stdout, stderr: complaints.into_bytes() }
}

fn code(done: &Output) -> i32 {
    done.status.code().unwrap_or_else(|| panic!("{done:?}"))
}

#[test]
fn an_upload_ends_with_what_has_become_of_it() {
    let folder = Folder::new("chat-upload");
    let (one, at, print) = End::host(&folder, "one", &["--accept"]);
    let content: Vec<u8> = (0..700_000_u64).map(|n| ((n * n) >> 5) as u8).collect();
    std::fs::write(folder.0.join("large"), &content).unwrap();
    let path = folder.0.join("large");
    let with = |flags: &[&str]| {
        let upload = ["--target", &at, "--upload", path.to_str().unwrap(), "--json"];
        called(&folder, "other", &[&upload[..], flags].concat(), b"")
    };
    let done = with(&["--fingerprint", &print.to_uppercase()]);
    let said = String::from_utf8(done.stdout.clone()).unwrap();
    let said: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code(&done), 0, "{done:?}");
    assert_eq!((&said[0]["fingerprint"], &said[0]["known"]), (&print.into(), &true.into()));
    let sent = serde_json::json!({ "sent": "large", "bytes": 700_000, "from": 0 });
    assert_eq!(said[1], sent);
    assert_eq!(std::fs::read(one.file("large")).unwrap(), content);
    let again = with(&[]);
    assert_eq!(code(&again), 5, "it is there already: {again:?}");
    std::fs::remove_file(one.file("large")).unwrap();
    let wrong = with(&["--fingerprint", &"0".repeat(64)]);
    assert_eq!(code(&wrong), 8, "{wrong:?}");
    assert_eq!(code(&with(&["--fingerprint", "0"])), 1);
    assert!(!one.file("large").exists());
    assert_eq!(code(&with(&[])), 0, "a mistake is not remembered");
    let nobody = called(&folder, "other", &["--target", "127.0.0.1:1"], b"");
    assert_eq!(code(&nobody), 1, "{nobody:?}");
}

#[test]
fn whoever_answers_with_another_certificate_is_refused() {
    let folder = Folder::new("chat-known");
    let (one, at, print) = End::host(&folder, "one", &["--accept"]);
    let call = |flags: &[&str]| {
        called(&folder, "other", &[&["--target", &at][..], flags].concat(), b"hello\n")
    };
    assert_eq!(code(&call(&[])), 0);
    let known = call(&[]);
    assert!(!String::from_utf8_lossy(&known.stdout).contains("(new"), "{known:?}");
    let state = folder.0.join("state-other/spindle/chat");
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    drop(one);
    let port = at.rsplit_once(':').unwrap().1;
    let mut two = End::new(&folder, "two", &["--accept", "--port", port]);
    let other = two.until("fingerprint ").trim().rsplit_once(' ').unwrap().1.to_owned();
    assert_ne!(other, print);
    let refused = call(&[]);
    assert_eq!(code(&refused), 8);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains(&other) && said.contains(&print) && said.contains("--fingerprint"));
    assert_eq!(code(&call(&["--fingerprint", &other])), 0);
    assert_eq!(code(&call(&[])), 0, "it is known now");
}

#[test]
fn who_is_not_let_in_ends_with_1_and_others_may_come() {
    let folder = Folder::new("chat-no");
    let (mut one, at, _) = End::host(&folder, "one", &[]);
    let mut other = End::new(&folder, "other", &["--target", &at]);
    one.until("Accept client chat_client");
    one.says("n\n");
    assert_eq!(other.ends().0, Some(1));
    let mut third = End::new(&folder, "other", &["--target", &at]);
    one.until("Accept client chat_client");
    one.says("y\n");
    third.says("hello\n");
    one.until("hello");
    assert_eq!(third.ends().0, Some(0));
    one.until("has left");
    one.says("!exit\n");
    assert!(one.child.try_wait().unwrap().is_none(), "a line waits for somebody to come");
}

/// A connector that answers every order with what was ordered.
fn connector(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut len = [0; 4];
            stream.read_exact(&mut len).unwrap();
            let mut text = vec![0; u32::from_le_bytes(len) as usize];
            stream.read_exact(&mut text).unwrap();
            if String::from_utf8_lossy(&text).contains("\"show\"") {
                text = b"False".to_vec();
            }
            let answer = [&(text.len() as u32).to_le_bytes()[..], &text].concat();
            // Who has left hears nothing.
            let _ = stream.write_all(&answer);
        }
    });
}

/// What a menu does when this is typed.
fn menu(folder: &Folder, flags: &[&str], typed: &str) -> String {
    let typed = format!("{}\n{typed}", folder.0.display());
    let done = spindle(&[&["aio", "cli"][..], flags].concat(), typed.as_bytes());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_menu_gives_the_orders_of_the_original() {
    let folder = Folder::new("menu");
    connector(&folder.0.join("uds_path_commander_client1"));
    connector(&folder.0.join("uds_path_commander_127001_10673"));
    std::fs::write(folder.0.join("active_connectors.json"), "[\"127.0.0.1 10673\"]").unwrap();
    let shown = menu(&folder, &[], "nobody\nclient1\n6\n99\nq\nq\n");
    for text in [
        "0)    127.0.0.1 10673\n1)    client1\n",
        "The connector nobody does not exist",
        "5)    ignore_peer_traffic\n",
        "17)    remove_whitelist_client\n",
        "{\"cmd\": \"peek_queues__sync\", \"kwargs\": {\"dump_result\": true}}",
        "Invalid number : 99",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let orders = |typed: &str| -> Vec<String> {
        let said = menu(&folder, &["--json"], typed);
        let order = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        said.lines().map(|line| order(line)["order"].as_str().unwrap().to_owned()).collect()
    };
    let typed = "client1 0 1 2 3 4 5 q 7 y 7 n 8 y 9 10 11 3 12 13 a y 14 ";
    let client = orders(&typed.replace(' ', "\n"));
    assert_eq!(
        client,
        [
            "start",
            "stop",
            "stop",
            "restart",
            "show_connected_peers__sync",
            "manage_ignore_peer_traffic__sync",
            "show_connected_peers__sync",
            "delete_client_certificate_on_client",
            "delete_client_token_on_client",
            "show_log_level__sync",
            "set_log_level__sync",
            "show_subscribe_message_types__sync",
            "show_subscribe_message_types__sync",
            "set_subscribe_message_types",
        ]
    );
    let peers = "show_connected_peers__sync";
    let typed = "0 7 c1 y 8 c1 y 9 c1 y 9 c1 n 14 10.0.0.1 y 15 c.* y 16 c1 y 17 c1 y 12 q ";
    let server = orders(&typed.replace(' ', "\n"));
    assert_eq!(
        server,
        [
            peers,
            "delete_client_certificate_on_server",
            "disconnect_client",
            peers,
            "delete_client_token_on_server",
            "disconnect_client",
            peers,
            "disconnect_client",
            peers,
            peers,
            "add_blacklist_client",
            peers,
            "remove_blacklist_client",
            peers,
            "add_whitelist_client",
            peers,
            "remove_whitelist_client",
        ]
    );
    let by_address = menu(&folder, &["--json"], "127.0.0.1 10673\n14\n10.0.0.1\ny\n");
    assert!(by_address.contains("client_ip"), "{by_address}");
}

#[test]
fn a_server_has_another_certificate_and_the_first_one_back() {
    let folder = Folder::new("replace");
    let dir = folder.0.to_str().unwrap();
    let made = |dir: &Path| {
        let done = spindle(&["aio", "create-certificates", dir.to_str().unwrap()], b"");
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        dir.join("certificates/server/server-cert")
    };
    let (own, fresh, third) =
        (made(&folder.0), made(&folder.0.join("b")), made(&folder.0.join("c")));
    let pair = |at: &Path| {
        ["server.pem", "server.key"].map(|name| std::fs::read_to_string(at.join(name)).unwrap())
    };
    let first = pair(&own);
    let run = |args: &[&str]| {
        let all = [&["aio", "replace-server-certificate", "--directory", dir][..], args].concat();
        spindle(&all, b"")
    };
    let replace = |from: &Path| run(&[from.join("server.pem").to_str().unwrap(), "--json"]);
    assert_eq!(run(&["--revert"]).status.code(), Some(1), "nothing was replaced");
    let done = replace(&fresh);
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(pair(&own), pair(&fresh));
    for name in ["server.key", "server.key.org"] {
        let mode = std::fs::metadata(own.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(replace(&third).status.code(), Some(0));
    std::fs::copy(fresh.join("server.key"), third.join("server.key")).unwrap();
    let mixed = replace(&third);
    assert_eq!(mixed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("another certificate's"));
    assert_eq!(run(&["--revert"]).status.code(), Some(0));
    assert_eq!(pair(&own), first, "that of the beginning, and not the one before the last");
    assert!(!own.join("server.pem.org").exists() && !own.join("server.key.org").exists());
    assert_eq!(run(&[]).status.code(), Some(1), "either a certificate or --revert");
}
