//! Floor 6. `spindle certs` as a person uses it: what it makes and prints is all that a broker, its
//! clients and other people's programs need.
//!
//! The configuration in here is the one that is printed. Where `openssl` and `mosquitto_pub` are
//! not installed, what they would say is left out, and that is said.
#![cfg(all(feature = "cli", feature = "tls"))]
#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the test is the world")]

#[expect(dead_code, reason = "another test uses all of it")]
#[path = "e2e/process.rs"]
mod process;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use process::Scratch;
use spindle::config::{self, Config, Sources};
use spindle::{Broker, Handle};

/// A folder in which somebody works.
struct Desk(Scratch);

impl Desk {
    fn new() -> Self {
        let desk = Self(Scratch::new("certs"));
        assert_eq!(desk.does(&["certs", "ca"]).0, 0);
        desk
    }

    fn output(&self, program: &str, args: &[&str]) -> Option<Output> {
        let program = match program {
            "spindle" => env!("CARGO_BIN_EXE_spindle"),
            other => other,
        };
        let mut command = std::process::Command::new(program);
        let out = command.args(args).current_dir(&self.0.0).env("XDG_CONFIG_HOME", "/nonexistent");
        let out = out.output().ok();
        if out.is_none() {
            eprintln!("left out: {program} is not installed");
        }
        out
    }

    /// Exit code, standard output, standard error.
    fn does(&self, args: &[&str]) -> (i32, String, String) {
        let out = self.output("spindle", args).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// What a program of openssl's says of a certificate, if it is there.
    fn openssl(&self, purpose: &str, name: &str) -> Option<bool> {
        let files = ["-CAfile", "ca.pem", "-CRLfile", "crl.pem"];
        let files = files.map(|f| match f.strip_suffix(".pem") {
            Some(_) => format!("spindle-certs/{f}"),
            None => f.to_owned(),
        });
        let mut args = vec!["verify", "-x509_strict", "-crl_check", "-purpose", purpose];
        args.extend(files.iter().map(String::as_str));
        let name = format!("spindle-certs/{name}");
        args.push(&name);
        Some(self.output("openssl", &args)?.status.success())
    }
}

/// The lines of TOML in what was printed, with the comments that are keys taken for keys.
fn printed(text: &str) -> String {
    let line = |line: &str| {
        let line = line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line);
        let is_toml = line.starts_with('[') || line.contains(" = ");
        is_toml.then(|| format!("{line}\n"))
    };
    text.lines().filter_map(line).collect()
}

/// A broker that runs by a file.
struct Running {
    handle: Handle,
    port: u16,
    thread: std::thread::JoinHandle<Result<(), spindle::broker::Error>>,
}

impl Running {
    fn by(file: &Path) -> Self {
        let sources = Sources { file: Some(file.to_owned()), ..Sources::default() };
        let config = Config::load(&sources).unwrap_or_else(|e| panic!("{e}"));
        let builder = Broker::builder().configured(&config);
        let broker = builder.reloader(config::reloader(sources, config)).build().unwrap();
        let (handle, port) = (broker.handle(), broker.local_addr(0).unwrap().port());
        Self { handle, port, thread: std::thread::spawn(move || broker.run()) }
    }

    fn end(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn what_is_printed_is_all_that_a_broker_and_its_clients_need() {
    let desk = Desk::new();
    let (code, server, _) = desk.does(&["certs", "server", "--name", "broker.example.org"]);
    assert_eq!(code, 0);
    let (code, pump, _) = desk.does(&["certs", "client", "pump"]);
    assert_eq!(code, 0);
    assert_eq!(desk.does(&["certs", "client", "valve"]).0, 0);
    let users = pump.split("[[users]]").nth(1).unwrap().split("\n\n").next().unwrap();
    let users = format!(
        "mode = \"none\"\n[[users]]{users}\n[[users]]\nname = \"valve\"\n\
                         certificate = true\n"
    );
    std::fs::write(desk.0.join("users.toml"), users).unwrap();
    let listener = printed(&server).replace(":8883", ":0");
    let head = "durability = \"memory\"\nusers = \"users.toml\"\nadmin = { listen = \"\" }\n";
    std::fs::write(desk.0.join("x.toml"), format!("{head}{listener}")).unwrap();
    let broker = Running::by(&desk.0.join("x.toml"));
    let url = format!("mqtts://localhost:{}/a", broker.port);
    let publish = |who: &str| {
        let (cert, key) = (format!("spindle-certs/{who}.pem"), format!("spindle-certs/{who}.key"));
        let files = ["--cafile", "spindle-certs/ca.pem", "--cert", &cert, "--key", &key];
        desk.does(&[&["pub", "-L", &url, "-m", "x", "-q", "1"][..], &files].concat()).0
    };
    assert_eq!((publish("pump"), publish("valve")), (0, 0));
    assert_eq!(publish("server"), 8, "a broker's certificate is not a client's");
    let ca = ["--cafile", "spindle-certs/ca.pem"];
    let bare = desk.does(&[&["pub", "-L", &url, "-m", "x", "-q", "1"][..], &ca].concat());
    assert_ne!(bare.0, 0, "without a certificate");
    let port = broker.port.to_string();
    let theirs = ["-h", "localhost", "-p", &port, "-t", "a", "-m", "x", "-q", "1", "--cafile"];
    let files = ["spindle-certs/ca.pem", "--cert", "spindle-certs/valve.pem", "--key"];
    let theirs = [&theirs[..], &files, &["spindle-certs/valve.key"]].concat();
    if let Some(out) = desk.output("mosquitto_pub", &theirs) {
        assert!(out.status.success(), "{out:?}");
    }
    assert_eq!(desk.does(&["certs", "revoke", "spindle-certs/pump.pem"]).0, 0);
    assert_eq!(publish("pump"), 0, "nobody told the broker yet");
    broker.handle.reload().unwrap();
    assert_eq!((publish("pump"), publish("valve")), (8, 0));
    // Another certificate for the broker, while it runs.
    assert_eq!(desk.does(&["certs", "renew", "spindle-certs/server.pem", "--new-key"]).0, 0);
    broker.handle.reload().unwrap();
    assert_eq!(publish("valve"), 0);
    broker.end();
}

#[test]
fn an_operator_comes_in_over_tls() {
    let desk = Desk::new();
    for verb in [&["server"][..], &["client", "boss"]] {
        assert_eq!(desk.does(&[&["certs"][..], verb].concat()).0, 0);
    }
    assert_eq!(desk.does(&["certs", "ca", "--dir", "other"]).0, 0);
    let (_, server, _) = desk.does(&["certs", "server", "--out", "again"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The digest is that of "let me in".
    let config = printed(&server).replace(":8883", ":0")
        + &format!(
            "[admin]\nlisten = \"https://127.0.0.1:{port}\"\n[[admin.token]]\nname = \"t\"\n\
             role = \"operator\"\n\
             sha256 = \"992db5e2595725ef68eb5066e014da8c7f6baca0afa96f1021b56b66782133f2\"\n"
        );
    std::fs::write(desk.0.join("x.toml"), format!("durability = \"memory\"\n{config}")).unwrap();
    let broker = Running::by(&desk.0.join("x.toml"));
    let url = format!("https://localhost:{port}");
    let files = ["--cert", "spindle-certs/boss.pem", "--key", "spindle-certs/boss.key"];
    let ctl = |ca: &str, more: &[&str], verb: &[&str]| {
        let head = ["ctl", "--url", &url, "--token", "let me in", "--cafile", ca];
        desk.does(&[&head[..], more, verb].concat())
    };
    let own = "spindle-certs/ca.pem";
    let (code, said, wrong) = ctl(own, &files, &["listeners"]);
    assert!(code == 0 && said.contains("mqtt"), "{said}{wrong}");
    assert_eq!(ctl(own, &files, &["reload"]).1, "nothing changed\n");
    assert_eq!(desk.does(&["certs", "crl"]).0, 0);
    let said = ctl(own, &files, &["reload"]).1;
    assert!(said.contains("certificate and key read again listeners=2"), "{said}");
    assert_eq!(ctl(own, &[], &["listeners"]).0, 1, "without a certificate");
    let (code, _, said) = ctl("other/ca.pem", &files, &["listeners"]);
    assert!(code == 1 && said.contains("certificate"), "of an issuer nobody named: {said}");
    let strange = url.replace("localhost", "127.0.0.2");
    let there = ["ctl", "--url", &strange, "--token", "let me in", "--cafile", own];
    let (code, _, said) = desk.does(&[&there[..], &files, &["listeners"]].concat());
    assert!(code == 1, "by a name that is not the broker's: {said}");
    // A context says all of it.
    let home = desk.0.join("home");
    let with = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_spindle"));
        let out = command.args(args).current_dir(&desk.0.0).env("XDG_CONFIG_HOME", &home);
        out.output().unwrap()
    };
    let add = ["context", "add", "here", "--admin", &url, "--token", "let me in", "--ca", own];
    assert!(with(&[&add[..], &files].concat()).status.success());
    let out = with(&["ctl", "--context", "here", "clients"]);
    assert!(out.status.success(), "{out:?}");
    assert!(!with(&["ctl", "--context", "nowhere", "clients"]).status.success());
    broker.end();
}

#[test]
fn others_take_what_is_made_for() {
    let desk = Desk::new();
    assert_eq!(desk.does(&["certs", "server", "--ip", "192.0.2.1"]).0, 0);
    assert_eq!(desk.does(&["certs", "client", "joe@example.org"]).0, 0);
    let judged = |purpose: &str, name: &str| desk.openssl(purpose, name).unwrap_or(true);
    assert!(judged("sslserver", "server.pem") && judged("sslclient", "joe@example.org.pem"));
    assert!(!desk.openssl("sslclient", "server.pem").unwrap_or(false));
    assert_eq!(desk.does(&["certs", "renew", "spindle-certs/ca.pem", "--days", "5000"]).0, 0);
    assert!(judged("sslserver", "server.pem"), "its issuer is longer than it was");
    assert_eq!(desk.does(&["certs", "revoke", "spindle-certs/joe@example.org.pem"]).0, 0);
    assert!(!desk.openssl("sslclient", "joe@example.org.pem").unwrap_or(false));
    let (_, text, _) = desk.does(&["certs", "show", "spindle-certs/joe@example.org.pem"]);
    assert!(text.contains("name        mail joe@example.org"), "{text}");
}

#[test]
fn nothing_is_replaced_unasked_and_no_key_is_open() {
    let desk = Desk::new();
    assert_eq!(desk.does(&["certs", "client", "pump"]).0, 0);
    for name in ["ca.key", "pump.key"] {
        let file = desk.0.join("spindle-certs").join(name);
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let old = desk.read("spindle-certs/pump.pem");
    for args in [&["certs", "ca"][..], &["certs", "client", "pump"]] {
        let (code, _, said) = desk.does(args);
        assert_eq!(code, 2, "{args:?}");
        assert!(said.contains("is there already; --force replaces it"), "{said}");
    }
    assert_eq!(desk.read("spindle-certs/pump.pem"), old);
    // The one that is missing is not made either, when the other is there.
    std::fs::remove_file(desk.0.join("spindle-certs/pump.key")).unwrap();
    assert_eq!(desk.does(&["certs", "client", "pump"]).0, 2);
    assert!(!desk.0.join("spindle-certs/pump.key").exists());
    assert_eq!(desk.does(&["certs", "client", "pump", "--force"]).0, 0);
    assert_ne!(desk.read("spindle-certs/pump.pem"), old);
    for wrong in ["ca", "crl", "../x", ".x", "a/b", ""] {
        let out = ["certs", "client", "x", "--force", "--out", wrong];
        assert_eq!(desk.does(&out).0, 2, "{wrong:?}");
    }
    assert_eq!(desk.does(&["certs", "server", "--name", "no host"]).0, 2);
    assert_eq!(desk.does(&["certs", "server", "--days", "0"]).0, 2);
}

#[test]
fn only_what_is_the_issuer_s_own_is_renewed_or_revoked() {
    let desk = Desk::new();
    assert_eq!(desk.does(&["certs", "client", "pump", "--days", "9999"]).0, 0);
    let end = |name: &str| {
        let (_, text, _) = desk.does(&["certs", "show", name]);
        text.lines().find(|line| line.starts_with("not after")).unwrap().to_owned()
    };
    let (pump, ca) = ("spindle-certs/pump.pem", "spindle-certs/ca.pem");
    assert_eq!(end(pump), end(ca), "nothing ends later than its issuer");
    assert_eq!(desk.does(&["certs", "renew", pump, "--days", "3"]).0, 0);
    assert!(end(pump) < end(ca));
    // An issuer of the same name is not the same issuer.
    let (_, text, _) = desk.does(&["certs", "show", ca]);
    let name = text.lines().next().unwrap().split("CN=").nth(1).unwrap().to_owned();
    assert_eq!(desk.does(&["certs", "ca", "--dir", "other", "--name", &name]).0, 0);
    for verb in ["renew", "revoke"] {
        let (code, _, said) = desk.does(&["certs", verb, pump, "--dir", "other"]);
        assert!(code == 1 && said.contains("it is not from the issuer other/ca.pem"), "{said}");
    }
    assert_eq!(desk.does(&["certs", "revoke", ca]).0, 1);
    assert_eq!(desk.does(&["certs", "renew", ca, "--new-key"]).0, 1);
    // A client issues nothing, and nobody with a key that is not its own.
    let client =
        |ca: &str, key: &str| desk.does(&["certs", "client", "x", "--ca", ca, "--ca-key", key]).2;
    let (pump_key, ca_key) = ("spindle-certs/pump.key", "spindle-certs/ca.key");
    assert!(client(pump, pump_key).contains("this certificate may not issue others"));
    assert!(client(ca, pump_key).contains("spindle-certs/pump.key is not its key"));
    assert_eq!(client(ca, ca_key), "");
    // Nor is its list.
    std::fs::copy(desk.0.join("spindle-certs/crl.pem"), desk.0.join("other/crl.pem")).unwrap();
    assert_eq!(desk.does(&["certs", "crl", "--dir", "other"]).0, 1);
    // A serial number does as well; whoever is revoked is not brought back.
    let (_, text, _) = desk.does(&["certs", "show", pump]);
    let serial = text.lines().find_map(|line| line.strip_prefix("serial      ")).unwrap();
    assert_eq!(desk.does(&["certs", "revoke", "--serial", serial]).0, 0);
    let (_, list, _) = desk.does(&["certs", "crl", "--json"]);
    assert!(list.contains(&format!("\"revoked\":[\"{serial}\"]")), "{list}");
    let (code, _, said) = desk.does(&["certs", "renew", pump]);
    assert!(code == 1 && said.contains("it is revoked"), "{said}");
    assert_eq!(desk.does(&["certs", "revoke", "--serial", "x"]).0, 2);
}
