//! Floor 6. `spindle import`: what comes out is what `spindle check` takes, and how it ends.

use super::{Folder, spindle};

/// A user by ticket, and a role with rules.
const NODE: &str = r#"{"version": 2, "workers": [{"type": "router",
    "realms": [{"name": "com.example", "roles": [{"name": "backend", "permissions": [
        {"uri": "com.example.", "match": "prefix",
         "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]}]}],
    "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0},
        "auth": {"ticket": {"type": "static",
            "principals": {"joe": {"ticket": "s3cr3t", "role": "backend"}}}}}]}]}"#;

const NEXUS: &str = r#"{"websocket": {"address": ":0", "keep_alive": 30},
    "router": {"realms": [{"uri": "com.example", "anonymous_auth": true}],
               "realm_template": {}}}"#;

#[test]
fn what_is_brought_along_from_routers_of_wamp_is_a_configuration() {
    let folder = Folder::new("import-wamp");
    let path = |name: &str| folder.0.join(name).display().to_string();
    for (name, text) in [("node.json", NODE), ("nexus.json", NEXUS), ("broken.json", "{,}")] {
        std::fs::write(path(name), text).unwrap();
    }
    let (node, nexus, users) = (path("node.json"), path("nexus.json"), path("users.toml"));
    let to_users: &[&str] = &["import", "crossbar", &node, "--users-out", &users];
    let broken = path("broken.json");
    for (args, code, told) in [
        (&["import", "crossbar", &node][..], 2, "--users-out FILE"),
        (to_users, 0, "there is a realm `default` besides"),
        (to_users, 1, "File exists"),
        (&["import", "nexus", &nexus], 0, "realm_template"),
        (&["import", "nexus", &broken], 1, "it is no JSON"),
        (&["import", "crossbar", &broken, "--users-out", "x"], 1, "it is no JSON"),
        (&["import", "nexus", "/nonexistent"], 1, "/nonexistent"),
        (&["import", "nexus", &nexus, "--users-out", "x"], 2, "--users-out"),
        (&["import", "nobody", &nexus], 2, "nobody"),
    ] {
        let done = spindle(args, b"");
        assert_eq!(done.status.code(), Some(code), "{args:?}: {done:?}");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.contains(told), "{args:?}: {said}");
        if code == 0 {
            let toml = path(&format!("{}.toml", args[1]));
            std::fs::write(&toml, &done.stdout).unwrap();
            let checked = spindle(&["check", "-c", &toml], b"");
            assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        }
    }
    let allowed = |topic| {
        let args = ["acl", "test", "joe", "request", topic, "--users", &users];
        spindle(&args, b"").status.code()
    };
    assert_eq!((allowed("com/example/add"), allowed("com/other/add")), (Some(0), Some(4)));
}
