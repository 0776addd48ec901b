//! Floor 6. What a node configuration of crossbar becomes, and what it never opens.

use super::crossbar::import;
use super::mosquitto::Imported;
use super::*;
use crate::access::{Access, Terms};

fn translate(text: &str) -> Imported {
    let done = import("c.json", text).expect("a configuration");
    let mut given = Given::default();
    let mut faults = Vec::new();
    file::read(Path::new("out.toml"), &done.toml, &mut given, &mut faults);
    assert_eq!(faults, [], "what is printed can be read:\n{}", done.toml);
    let users = Entry { value: Value::Text("u".into()), origin: Origin::Default };
    given.entries.insert((Section::Root, "users"), users);
    let _ = Settings::of(&given, &mut faults);
    assert_eq!(faults, [], "and means something:\n{}", done.toml);
    let users = done.users.as_ref().expect("there is always a users file");
    Access::new(users, [0; 2], Terms::default()).unwrap_or_else(|e| panic!("{e}\n{users}"));
    done
}

/// A node as it is commonly written: one realm, a web transport with everything beside a socket.
const NODE: &str = r#"{
  "version": 2,
  "controller": {"id": "node1"},
  "workers": [
    {"type": "router", "options": {"pythonpath": [".."]},
     "realms": [{"name": "com.example.app",
       "store": {"type": "memory", "event-history": [{"uri": "com.example.log", "limit": 100}]},
       "roles": [
         {"name": "frontend", "permissions": [
           {"uri": "com.example.", "match": "prefix",
            "allow": {"call": true, "publish": true, "subscribe": false, "register": false},
            "disclose": {"caller": false, "publisher": true}, "cache": true},
           {"uri": "com.example.news", "match": "exact",
            "allow": {"call": true, "publish": true, "subscribe": true, "register": false}}]},
         {"name": "backend", "permissions": [
           {"uri": "", "match": "prefix",
            "allow": {"call": true, "register": true, "publish": true, "subscribe": true}},
           {"uri": "a..c", "match": "wildcard", "allow": {"call": true}},
           {"uri": "b.c", "match": "prefix",
            "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]},
         {"name": "dynamic", "authorizer": "com.example.authorize"}]}],
     "transports": [
       {"type": "web",
        "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1", "backlog": 1024,
          "tls": {"key": "/server.key", "certificate": "/server.crt", "dhparam": "/dh.pem"}},
        "paths": {
          "/": {"type": "static", "directory": "../web"},
          "ws": {"type": "websocket", "serializers": ["json", "cbor"],
            "options": {"auto_ping_interval": 10000, "auto_ping_timeout": 5000,
                        "max_message_size": 1048576, "fail_by_drop": true},
            "cookie": {"store": {"type": "memory"}},
            "auth": {
              "wampcra": {"type": "static", "users": {
                 "joe": {"secret": "secret2", "role": "frontend"},
                 "peter": {"secret": "prq7+YkJ1/KlW1X0YczMHw==", "role": "frontend",
                           "salt": "salt123", "iterations": 100, "keylen": 16}}},
              "ticket": {"type": "static", "principals": {
                 "server": {"ticket": "s3cr3t", "role": "backend"},
                 "joe": {"ticket": "another", "role": "frontend"}}},
              "scram": {"type": "static", "principals": {
                 "clara": {"role": "frontend", "kdf": "argon2id-13", "iterations": 4096,
                   "memory": 512, "salt": "accf1c8a1f4a3a9b00112233445566ff",
                   "stored-key": "0505050505050505050505050505050505050505050505050505050505050505",
                   "server-key":
                     "0606060606060606060606060606060606060606060606060606060606060606"},
                 "carol": {"role": "frontend", "kdf": "argon2id-13", "iterations": 4096,
                   "memory": 512, "salt": "accf1c8a1f4a3a9b00112233445566ff",
                   "stored-key": "0505050505050505050505050505050505050505050505050505050505050505",
                   "server-key":
                     "06060606060606060606060606060606060606060606060606060606060606060a"}}},
              "cryptosign": {"type": "static", "principals": {
                 "dora": {"role": "backend", "authorized_keys":
                   ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]}}}}},
          "lp": {"type": "longpoll"}}},
       {"type": "rawsocket", "serializers": ["msgpack"], "max_message_size": 65536,
        "endpoint": {"type": "unix", "path": "/run/crossbar.sock"},
        "auth": {"anonymous": {"type": "static", "role": "backend"}}}]},
    {"type": "container", "components": []}]}"#;

#[test]
fn what_means_the_same_is_translated() {
    let done = translate(NODE);
    assert_eq!(
        done.toml,
        "realms = [\"com.example.app?history=exact:100:com.example.log&disclose=on\"]\n\n\
         [limits]\nwamp_bytes_max = 1048576\n\n\
         [[listener]]\nurl = \"wamp+wss://127.0.0.1:8080\"\nping_ms = 10000\npong_ms = 5000\n\
         paths = [\"/ws\"]\nkey = \"/server.key\"\ncert = \"/server.crt\"\n\n\
         [[listener]]\nurl = \"unix:/run/crossbar.sock?speak=wamp\"\n"
    );
    let users = done.users.expect("users");
    for part in [
        "mode = \"strict\"\n",
        "[groups.\"frontend\"]\ntype = \"inclusive\"\nrules = [\n  \
         \"can publish com/example/*\",\n  \"can publish com/example/news\",\n  \
         \"can request com/example/*\",\n  \"can request com/example/news\",\n]\n",
        "[groups.\"backend\"]\ntype = \"inclusive\"\nrules = [\n  \"can publish #\",\n  \
         \"can publish b/c/#\",\n  \"can request #\",\n  \"can request a/+/c\",\n  \
         \"can request b/c/#\",\n  \"can subscribe #\",\n  \"can subscribe b/c/#\",\n]\n",
        "name = \"joe\"\ngroup = \"frontend\"\nshared_secret = \"secret2\"\n",
        "name = \"peter\"\ngroup = \"frontend\"\n\
         wampcra = \"WAMP-CRA$100:salt123$prq7+YkJ1/KlW1X0YczMHw==\"\n",
        "name = \"server\"\ngroup = \"backend\"\nshared_secret = \"s3cr3t\"\n",
        "name = \"clara\"\ngroup = \"frontend\"\nscram_argon2id = \
         \"SCRAM-ARGON2ID$4096,512:rM8cih9KOpsAESIzRFVm/w==$-$BQUF",
        "name = \"dora\"\ngroup = \"backend\"\ncryptosign = [\"d75a9801",
    ] {
        assert!(users.contains(part), "{part}\n{users}");
    }
    assert!(!users.contains("another") && !users.contains("dynamic"), "{users}");
    assert!(!users.contains("carol"), "a key that is none: {users}");
}

#[test]
fn what_cannot_be_said_here_is_listed_and_never_opened() {
    let done = translate(NODE);
    let begins = [
        "controller: ",
        "workers[0].options: ",
        "workers[0].realms[0].roles[0].permissions[1]: subscribing alone cannot be allowed",
        "workers[0].realms[0].roles[1].permissions[2]: \"b.c\" takes in b/c/# here",
        "workers[0].realms[0].roles[2].authorizer: ",
        "workers[0].transports[0].paths./: nothing of type \"static\"",
        "workers[0].transports[0].paths.ws.auth.ticket.joe: it has another secret already",
        "workers[0].transports[0].paths.ws.auth.scram.carol: what it proves itself by cannot",
        "workers[0].transports[0].paths.ws.options.fail_by_drop: ",
        "workers[0].transports[0].paths.ws.cookie: ",
        "workers[0].transports[0].paths.lp: a long poll is beside each WebSocket",
        "workers[0].transports[0].endpoint.tls.dhparam: ",
        "workers[0].transports[0].endpoint.backlog: ",
        "workers[1]: a worker of type \"container\"",
        "auth.anonymous: only some transports let in who names nobody",
        "auth: users come in at every listener here",
        "realms: nobody has the role dynamic",
        "realms: there is a realm `default` besides",
    ];
    for (note, begin) in done.notes.iter().zip(begins) {
        assert!(note.starts_with(&format!("c.json: {begin}")), "{note}\n{:#?}", done.notes);
    }
    assert_eq!(done.notes.len(), begins.len(), "{:#?}", done.notes);
    assert!(!done.notes.concat().contains("s3cr3t"), "secrets are nobody else's business");
    // A door that is open on one side opens no other.
    assert!(!done.users.expect("users").contains("guests"));
}

fn node(realms: &str, transports: &str) -> Imported {
    translate(&format!(
        r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{realms}],
            "transports": [{transports}]}}]}}"#
    ))
}

const OPEN: &str = r#"{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [
    {"uri": "*",
     "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]}]}"#;

#[test]
fn a_narrower_permission_takes_back_what_a_wider_one_gives() {
    let realm = |narrower: &str| {
        format!(
            r#"{{"name": "a", "roles": [{{"name": "some", "permissions": [
                {{"uri": "com.", "match": "prefix", "allow": {{"call": true, "publish": true}}}},
                {narrower}]}}]}}"#
        )
    };
    let transport = r#"{"type": "rawsocket", "endpoint": {"type": "tcp", "port": 1},
        "auth": {"ticket": {"type": "static", "principals": {
            "joe": {"ticket": "secret", "role": "some"}}}}}"#;
    for (narrower, publish, call) in [
        (r#"{"uri": "com.a", "match": "exact", "allow": {"call": true}}"#, false, true),
        (r#"{"uri": "com.a.", "match": "prefix", "allow": {"publish": true}}"#, true, false),
        (r#"{"uri": "org.a", "match": "exact", "allow": {}}"#, true, true),
        (r#"{"uri": "com..a", "match": "wildcard", "allow": {}}"#, true, true),
    ] {
        let done = node(&realm(narrower), transport);
        let users = done.users.expect("users");
        assert_eq!(users.contains("can publish com/*"), publish, "{narrower} {users}");
        assert_eq!(users.contains("can request com/*"), call, "{narrower} {users}");
    }
}

#[test]
fn a_role_that_another_realm_does_not_have_may_nothing() {
    let plain = r#"{"type": "websocket", "endpoint": {"type": "tcp", "port": 9000}}"#;
    for other in [r#"{"name": "b"}"#, r#"{"name": "b", "roles": [{"name": "other"}]}"#] {
        let users = node(&format!("{OPEN}, {other}"), plain).users.expect("users");
        assert!(!users.contains("can "), "{other} {users}");
    }
}

#[test]
fn where_everybody_may_come_in_everybody_may_here() {
    let plain = r#"{"type": "websocket", "endpoint": {"type": "tcp", "port": 9000}}"#;
    let done = node(OPEN, plain);
    assert_eq!(
        done.toml,
        "realms = [\"realm1?disclose=off\"]\n\n[[listener]]\nurl = \"wamp+ws://[::]:9000\"\n"
    );
    let users = done.users.expect("users");
    assert!(users.contains("guests = \"anonymous\"\n"), "{users}");
    let rules = "\"can publish #\",\n  \"can request #\",\n  \"can subscribe #\",\n";
    assert!(users.contains(rules), "{users}");
    // No realm has such a role: nobody comes in.
    let closed = OPEN.replace("anonymous", "other");
    assert!(!node(&closed, plain).users.expect("users").contains("guests"));
}

#[test]
fn a_role_of_two_realms_may_what_it_may_in_both() {
    let realm = |name: &str, uri: &str| {
        format!(
            r#"{{"name": "{name}", "roles": [{{"name": "r", "permissions": [
               {{"uri": "a.b", "allow": {{"call": true}}}},
               {{"uri": "{uri}", "allow": {{"publish": true}}}}]}}]}}"#
        )
    };
    let realms = format!("{},{}", realm("one", "x.y"), realm("two", "x.z"));
    let auth = r#""auth": {"ticket": {"type": "static", "principals": {
        "u": {"ticket": "t", "role": "r"}, "v": {"ticket": "t"}}},
        "wampcra": {"type": "dynamic", "authenticator": "x"}}"#;
    let transport = format!(
        r#"{{"type": "universal", "endpoint": {{"type": "tcp", "port": 1, "interface": "::1"}},
            "rawsocket": {{{auth}}}, "websocket": {{"ws": {{"type": "websocket", {auth}}}}}}}"#
    );
    let done = node(&realms, &transport);
    let users = done.users.expect("users");
    assert!(users.contains("rules = [\n  \"can request a/b\",\n]\n"), "{users}");
    assert!(done.toml.contains("url = \"any://[::1]:1\"\npaths = [\"/ws\"]\n"), "{}", done.toml);
    let notes = done.notes.join("\n");
    for told in ["MAY CHOOSE AMONG THEM", "NOBODY DOES HERE", "v: it has no role", "MQTT and PRX1"]
    {
        assert!(notes.contains(told), "{told}\n{notes}");
    }
}

#[test]
fn what_is_no_configuration_is_refused_and_what_is_odd_is_listed() {
    assert!(
        import("c.json", "workers:\n  - type: router\n").is_err_and(|why| why.contains("JSON"))
    );
    let done = node(
        r#"{"name": "bad name", "roles": [{"permissions": []}, {"name": "r", "permissions": [
            {"uri": "a/b", "allow": {"call": true}}, {"uri": "a..b", "match": "prefix"},
            {"uri": "", "match": "exact"}]}], "colour": 1}"#,
        r#"{"type": "flashpolicy"}, {"type": "rawsocket", "endpoint": {"type": "twisted"}},
           {"type": "web", "endpoint": {"type": "tcp", "port": 1}, "paths": {}}"#,
    );
    assert!(!done.toml.contains("realms") && !done.toml.contains("listener"), "{}", done.toml);
    let notes = done.notes.join("\n");
    for told in [
        "colour: nothing like it",
        "a role without a name",
        "\"a/b\" (exact) cannot be a rule",
        "\"a..b\" (prefix) cannot be a rule",
        "\"\" (exact) cannot be a rule",
        "bad name is no name of a realm",
        "\"flashpolicy\" is not spoken",
        "neither tcp nor unix",
        "no WebSocket in it",
    ] {
        assert!(notes.contains(told), "{told}\n{notes}");
    }
}
