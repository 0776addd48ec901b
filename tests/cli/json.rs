//! What the tools say for programs, and how they end for scripts.

use std::process::Command;
use std::time::Duration;

use super::{Folder, Rig, SPINDLE, broker_that_says, spindle};

/// What a command line prints as a document.
fn document(args: &[&str], stdin: &[u8]) -> serde_json::Value {
    let done = spindle(args, stdin);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{args:?}: {done:?}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

#[test]
fn whatever_is_said_is_said_as_json_too() {
    let folder = Folder::new("json");
    let users = folder.0.join("users.toml").to_str().unwrap().to_owned();
    let hash = document(&["hash", "--json"], b"secret\n");
    assert!(hash["password_hash"].as_str().unwrap().starts_with("$2b$12$"), "{hash}");
    let hash = document(&["hash", "--scram", "--json"], b"secret\n");
    assert!(hash["scram_sha_256"].as_str().unwrap().len() > 60, "{hash}");
    let hash = document(&["hash", "--wampcra", "--json"], b"secret\n");
    assert!(hash["wampcra"].as_str().unwrap().starts_with("WAMP-CRA$100000:"), "{hash}");
    let hash = document(&["hash", "--argon2id", "--json"], b"secret\n");
    let line = hash["scram_argon2id"].as_str().unwrap();
    assert!(line.starts_with("SCRAM-ARGON2ID$3,65536:"), "{hash}");
    // The first pair of WAMP's samples for Cryptosign.
    let private = b"4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510\n";
    let public = "1adfc8bfe1d35616e64dffbd900096f23b066f914c8c2ffbb66f6075b96e116d";
    let hash = document(&["hash", "--cryptosign", "--json"], private);
    assert_eq!(hash, serde_json::json!({ "cryptosign": public }));
    let made = document(&["hash", "--cryptosign", "--json"], b"");
    let private = made["private_key"].as_str().unwrap();
    let again = document(&["hash", "--cryptosign", "--json"], private.as_bytes());
    assert_eq!(again["cryptosign"], made["cryptosign"]);
    assert_ne!(again["cryptosign"], public);
    let passwd = |args: &[&str]| document(&[&["passwd", "--json"], args].concat(), b"secret\n");
    let said = |done: &str| serde_json::json!({ "done": done, "user": "j\"o" });
    assert_eq!(passwd(&["-c", &users, "j\"o"]), said("added"));
    assert_eq!(passwd(&[&users, "j\"o"]), said("changed"));
    assert_eq!(passwd(&["-U", &users]), serde_json::json!({ "done": "hashed", "secrets": 0 }));
    assert_eq!(passwd(&["-D", &users, "j\"o"]), said("deleted"));
    let conf = folder.0.join("m.conf");
    std::fs::write(&conf, "listener 1883\nallow_anonymous true\nbogus 1\n").unwrap();
    let import = document(&["import", "mosquitto", "--json", conf.to_str().unwrap()], b"");
    assert!(import["toml"].as_str().unwrap().contains("listener"), "{import}");
    assert!(import["users"].is_null(), "{import}");
    assert!(import["notes"][0].as_str().unwrap().contains("bogus"), "{import}");
    std::fs::write(&conf, r#"{"rawsocket": {"tcp_address": ":8080"}, "bogus": 1}"#).unwrap();
    let import = document(&["import", "nexus", "--json", conf.to_str().unwrap()], b"");
    assert!(import["toml"].as_str().unwrap().contains("wamp://[::]:8080"), "{import}");
    assert!(import["notes"][0].as_str().unwrap().contains("bogus"), "{import}");
    std::fs::write(&conf, r#"{"version": 2, "workers": [{"type": "container"}]}"#).unwrap();
    let to = folder.0.join("crossbar-users.toml");
    let args = ["--users-out", to.to_str().unwrap(), conf.to_str().unwrap()];
    let import = document(&[&["import", "crossbar", "--json"], &args[..]].concat(), b"");
    assert!(import["users"].as_str().unwrap().ends_with("crossbar-users.toml"), "{import}");
    assert!(import["notes"][0].as_str().unwrap().contains("container"), "{import}");
    let env = document(&["config", "env", "--json"], b"");
    let names: Vec<_> = env.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert!(names.iter().any(|name| *name == "SPINDLE__LOG__LEVEL"), "{names:?}");
    let man = document(&["man", "--json"], b"");
    assert_eq!(
        (&man["name"], man["commands"].as_array().unwrap().len() > 20),
        (&"spindle".into(), true)
    );
}

#[test]
fn an_answer_and_a_message_can_be_documents() {
    let rig = Rig::new();
    let port = rig.port.to_string();
    rig.keep("a/b", b"said", 1, &[]);
    let said = document(&["sub", "-p", &port, "-t", "a/#", "-C", "1", "--json"], b"");
    assert_eq!((&said["topic"], &said["payload"]), (&"a/b".into(), &"said".into()));
    let mut replier = Command::new(SPINDLE)
        .args(["reply", "-p", &port, "-t", "echo", "-C", "1", "--echo"])
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .spawn()
        .unwrap();
    let asked = ["request", "-p", &port, "-t", "echo", "-m", "x", "--json"];
    // Nobody answers before the other has begun to listen.
    let said = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        let done = spindle(&asked, b"");
        (done.status.code() == Some(0)).then_some(done.stdout)
    });
    let said: serde_json::Value = serde_json::from_slice(&said.unwrap()).unwrap();
    assert_eq!(said["payload"], "x");
    assert_eq!(replier.wait().unwrap().code(), Some(0));
}

#[test]
fn who_may_not_listen_for_questions_says_so_to_scripts() {
    let port = broker_that_says(b"\x20\x03\0\0\0\x90\x04\0\x01\0\x87").to_string();
    let done = spindle(&["reply", "-p", &port, "-t", "a", "--echo"], b"");
    assert_eq!(done.status.code(), Some(5), "{done:?}");
}
