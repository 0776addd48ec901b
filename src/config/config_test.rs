//! Floor 6. Configurations: what is read from where, and every sentence about what is wrong.

use super::*;
use crate::hub::message::Durability;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("spindle-config-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("conf.d")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// What is wrong with a file of this text, without the folder in front.
fn faults(name: &str, text: &str) -> Vec<String> {
    let folder = Folder::new(name);
    let file = folder.write("x.toml", text);
    let sources = Sources { file: Some(file), ..Sources::default() };
    match Config::load(&sources) {
        Ok(_) => Vec::new(),
        Err(Wrong::Unread(text)) => panic!("{text}"),
        Err(Wrong::Faults(all)) => {
            let prefix = format!("{}/", folder.0.display());
            all.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
        }
    }
}

#[test]
fn the_last_who_speaks_is_heard_and_remembered() {
    let folder = Folder::new("layers");
    let text = "data = \"a\"\ntrusted_proxies = [\"10.0.0.1\"]\nallow_anonymous = true\n\
                [limits]\ninflight_max = 1\nqueued_max = 1\n[log]\nlevel = \"debug\"\n\
                [[listener]]\nurl = \"mqtt://127.0.0.1\"\n";
    let file = folder.write("x.toml", text);
    folder.write("conf.d/20.toml", "[limits]\ninflight_max = 3\nqueued_max = 3\nalias_max = 3\n");
    folder.write("conf.d/10.toml", "[limits]\ninflight_max = 2\n[[listener]]\nurl = \"ws://h\"\n");
    folder.write("conf.d/30.off", "nonsense");
    let sources = Sources {
        file: Some(file),
        env: pairs(&[("SPINDLE__LIMITS__ALIAS_MAX", "4"), ("SPINDLE_CONFIG", "x"), ("HOME", "y")]),
        flags: pairs(&[("limit", "queued_max=5"), ("durability", "os")]),
    };
    let config = Config::load(&sources).unwrap();
    let it = &config.settings;
    assert_eq!(it.data, folder.0.join("a"), "relative to the file");
    let limits = (it.limits.inflight_max, it.limits.queued_max, it.limits.alias_max);
    assert_eq!(limits, (3, 5, 4));
    assert_eq!(it.durability, Durability::Os);
    let urls: Vec<&str> = it.listeners.iter().map(|l| l.url.as_str()).collect();
    assert_eq!(urls, ["mqtt://127.0.0.1", "ws://h"], "listeners add up");
    let prefix = format!("{}/", folder.0.display());
    let origin = |section, name| {
        let entry = config.entry(&keys::find(section, name).unwrap()).unwrap();
        entry.origin.to_string().replace(&prefix, "")
    };
    assert_eq!(origin(Section::Log, "level"), "x.toml:8");
    assert_eq!(origin(Section::Limits, "inflight_max"), "conf.d/20.toml:2");
    assert_eq!(origin(Section::Limits, "alias_max"), "env SPINDLE__LIMITS__ALIAS_MAX");
    assert_eq!(origin(Section::Limits, "queued_max"), "--limit queued_max=5");
    assert_eq!(origin(Section::Root, "salvage"), "default");
    let shown = config.toml(false, true).replace(&prefix, "");
    assert!(shown.starts_with("data = \""), "{shown}");
    assert!(shown.contains("inflight_max = 3  # conf.d/20.toml:2\n"), "{shown}");
    assert!(shown.contains("[[listener]]\nurl = \"ws://h\"  # conf.d/10.toml:4\n"), "{shown}");
    assert!(!shown.contains("salvage"), "{shown}");
    assert!(config.toml(true, true).contains("salvage = false  # default\n"));
}

#[test]
fn without_anything_everything_is_as_it_always_was() {
    let config = Config::load(&Sources::default()).unwrap();
    let it = &config.settings;
    assert_eq!(it.data, Path::new("spindle-data"));
    assert_eq!((it.durability, it.workers, it.users.clone()), (Durability::Disk, None, None));
    let urls: Vec<&str> = it.listeners.iter().map(|l| l.url.as_str()).collect();
    assert_eq!(urls, ["prx1://127.0.0.1:52909", "mqtt://127.0.0.1:1883"]);
    assert_eq!(config.toml(false, false), "");
    assert!(config.toml(true, false).contains("[[listener]]\nurl = \"mqtt://127.0.0.1:1883\"\n"));
}

#[test]
fn listeners_of_one_line_take_the_place_of_all() {
    let folder = Folder::new("listen");
    let file = folder.write("x.toml", "[[listener]]\nurl = \"mqtt://127.0.0.1\"\n");
    let urls = |env: &[(&str, &str)], flags: &[(&str, &str)]| {
        let file = Some(file.clone());
        let sources = Sources { file, env: pairs(env), flags: pairs(flags) };
        let listeners = Config::load(&sources).unwrap().settings.listeners;
        listeners.into_iter().map(|l| l.url).collect::<Vec<_>>()
    };
    let env = [("SPINDLE__LISTEN", "ws://127.0.0.1, prx1://127.0.0.1")];
    assert_eq!(urls(&env, &[]), ["ws://127.0.0.1", "prx1://127.0.0.1"]);
    let flags = [("listen", "mqtt://127.0.0.1:1"), ("listen", "mqtt://127.0.0.1:2")];
    assert_eq!(urls(&env, &flags), ["mqtt://127.0.0.1:1", "mqtt://127.0.0.1:2"]);
}

#[test]
fn every_unknown_key_is_named_with_what_may_be_meant() {
    let text = "allow_annonymous = true\nmax_packet_size = 5\nlevel = \"info\"\nzzz = 1\n\
                listen = [\"mqtt://h\"]\npassword_file = \"x\"\ncertfile = \"y\"\n\
                [limits]\npacket_byte_max = 1\n[lgo]\n[[listener]]\nurl = \"mqtt://127.0.0.1\"\n\
                hots = \"h\"\n";
    assert_eq!(
        faults("unknown", text),
        [
            "x.toml:1:1: unknown key \"allow_annonymous\", did you mean \"allow_anonymous\"?",
            "x.toml:2:1: unknown key \"max_packet_size\", what mosquitto calls so is \
             \"limits.packet_bytes_max\" here",
            "x.toml:3:1: unknown key \"level\", \"level\" stands in [log]",
            "x.toml:4:1: unknown key \"zzz\"",
            "x.toml:5:1: unknown key \"listen\", in a file every listener is a [[listener]] table \
             with a url",
            "x.toml:6:1: unknown key \"password_file\", `spindle import mosquitto` makes a users \
             file of it",
            "x.toml:7:1: unknown key \"certfile\", what mosquitto calls so is \"listener.cert\" \
             here",
            "x.toml:9:1: unknown key \"packet_byte_max\", did you mean \"packet_bytes_max\"?",
            "x.toml:10:2: unknown key \"lgo\", did you mean \"log\"?",
            "x.toml:13:1: unknown key \"hots\", did you mean \"host\"?",
        ]
    );
}

#[test]
fn values_of_another_kind_are_named() {
    let text = "data = 5\nallow_anonymous = \"yes\"\nworkers = -1\ndurability = \"disc\"\n\
                trusted_proxies = [\"10.0.0.0/8\", 5]\nlog = 5\nlistener = 5\nusers = 1.5\n\
                [limits]\npackets_turn = 0\nretain_ok = 1\n";
    assert_eq!(
        faults("kinds", text),
        [
            "x.toml:1:8: data is a text, not a number",
            "x.toml:2:19: allow_anonymous is true or false, not a text",
            "x.toml:3:11: workers is a whole number, 0 or more",
            "x.toml:4:14: durability is disk, os or memory, not \"disc\"",
            "x.toml:5:19: trusted_proxies is a list of texts, and something in it is none",
            "x.toml:6:1: \"log\" is a section: write [log]",
            "x.toml:7:1: \"listener\" is a list of tables: write [[listener]]",
            "x.toml:8:9: users is a text, not a number with a fraction",
            "x.toml:10:16: packets_turn=0: at least 1",
            "x.toml:11:13: limits.retain_ok is true or false, not a number",
        ]
    );
}

#[test]
fn what_is_not_toml_is_named_and_the_rest_still_read() {
    let found = faults("toml", "data = \nallow_annonymous = true\n[limits\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("x.toml:1:"), "{found:?}");
    assert!(found[1].contains("did you mean \"allow_anonymous\"?"), "{found:?}");
    assert!(found[2].starts_with("x.toml:3:"), "{found:?}");
}

#[test]
fn what_one_value_says_about_another_is_checked() {
    let text = "trusted_proxies = [\"10.0.0.0/99\"]\n\
                [tls]\nkey = \"k\"\ncrl = \"r\"\n\
                [[listener]]\nurl = \"mqtt://0.0.0.0\"\n\
                [[listener]]\nurl = \"mqtts://127.0.0.1\"\n\
                [[listener]]\nprotocol = \"mqtt\"\nport = 1\n\
                [[listener]]\nurl = \"mqtt://127.0.0.1:1\"\nhost = \"h\"\n\
                [[listener]]\nhost = \"h\"\n\
                [[listener]]\nurl = \"amqp://h\"\n\
                [[listener]]\nurl = \"mqtt://127.0.0.1:9\"\nmode = \"660\"\n\
                cert = \"c\"\nkey = \"k\"\n";
    let found = faults("across", text);
    let begins = [
        "x.toml:1:19: trusted_proxies: 10.0.0.0/99: ",
        "x.toml:3:7: tls.key needs tls.cert beside it",
        "x.toml:4:7: tls.crl needs tls.ca beside it",
        "x.toml:5:1: mqtt://0.0.0.0 can be reached from other machines",
        "x.toml:7:1: mqtts://127.0.0.1 is to do TLS, and there is no certificate",
        "x.toml:12:1: 127.0.0.1:1 is a listener already: ",
        "x.toml:14:8: listener.host stands in the url already",
        "x.toml:15:1: a listener needs a url, or a protocol",
        "x.toml:18:7: listener: amqp://h: amqp is not spoken",
        "x.toml:21:8: listener.mode: there is no such option",
        "x.toml:22:8: mqtt://127.0.0.1:9 does no TLS, and needs no certificate",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(begins) {
        assert!(found.starts_with(begin), "{found}\n{begin}");
    }
}

#[test]
fn administrators_are_read_and_their_secrets_never_shown() {
    let hash = &format!("$2b$12$abcdefghijklmnopqrstuu{}", ".".repeat(31));
    let sha = "ab".repeat(32);
    let text = format!(
        "[admin]\nlisten = \"\"\nhosts = [\"h\"]\n\
         [[admin.user]]\nname = \"a\"\npassword = {hash:?}\nrole = \"operator\"\n\
         [[admin.token]]\nname = \"t\"\nsha256 = {sha:?}\n"
    );
    let folder = Folder::new("admin");
    let file = folder.write("x.toml", &text);
    let config = Config::load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    let admin = &config.settings.admin;
    assert_eq!((admin.listen.clone(), admin.hosts.clone()), (None, vec!["h".to_owned()]));
    assert_eq!(admin.users[0].role, crate::hub::gate::Role::Operator);
    assert_eq!(admin.tokens[0].sha256, [0xab; 32]);
    assert_eq!(admin.tokens[0].role, crate::hub::gate::Role::Viewer);
    let all = [config.toml(true, true), config.json(true), format!("{:?}", config.settings)];
    for shown in all {
        assert!(!shown.contains(hash.as_str()) && !shown.contains(&sha), "{shown}");
    }
    assert!(config.toml(false, false).contains("password = \"***\"\n"));
    let wrong = "[[admin.user]]\nname = \"a\"\npassword = \"secret\"\n\
                 [[admin.user]]\nname = \"b\"\n\
                 [[admin.token]]\nname = \"t\"\nsha256 = \"zz\"\n\
                 [[admin.token]]\nsha256 = \"00\"\n";
    assert_eq!(
        faults("noadmin", wrong),
        [
            "x.toml:3:12: admin.user.password is not of the form $2b$NN$ and 53 letters; `spindle \
             hash` makes one",
            "x.toml:4:1: admin.user needs a password",
            "x.toml:8:10: admin.token.sha256 is 64 hexadecimal digits",
            "x.toml:9:1: admin.token needs a name",
        ]
    );
}

#[test]
fn the_environment_and_flags_are_as_strict() {
    let wrong = |env: &[(&str, &str)], flags: &[(&str, &str)]| {
        let sources = Sources { file: None, env: pairs(env), flags: pairs(flags) };
        match Config::load(&sources) {
            Err(Wrong::Faults(all)) => all.iter().map(ToString::to_string).collect(),
            other => vec![format!("{other:?}")],
        }
    };
    assert_eq!(
        wrong(&[("SPINDLE__LOG__LEVL", "info"), ("SPINDLE__WORKERS", "many")], &[]),
        [
            "SPINDLE__LOG__LEVL: no key is called so, did you mean \"SPINDLE__LOG__LEVEL\"?",
            "SPINDLE__WORKERS: workers is a whole number, not \"many\"",
        ]
    );
    assert_eq!(
        wrong(&[], &[("limit", "packets_turn=0"), ("limit", "x"), ("limit", "inflight=1")]),
        [
            "--limit packets_turn=0: packets_turn=0: at least 1",
            "--limit x: it is not NAME=VALUE",
            "--limit inflight=1: there is no limit \"inflight\"; did you mean inflight_max?",
        ]
    );
    let bounds = wrong(&[("SPINDLE__LIMITS__PACKETS_TURN", "0")], &[]);
    assert_eq!(bounds, ["SPINDLE__LIMITS__PACKETS_TURN: packets_turn=0: at least 1"]);
    // One number has one key.
    assert_eq!(
        wrong(&[("SPINDLE__LIMITS__SYS_INTERVAL_S", "5")], &[("limit", "sys_interval_s=5")]),
        [
            "SPINDLE__LIMITS__SYS_INTERVAL_S: no key is called so, did you mean \
             \"SPINDLE__SYS_INTERVAL\"?",
            "--limit sys_interval_s=5: use --sys-interval 5 instead",
        ]
    );
}

#[test]
fn the_template_and_the_schema_hold_every_key() {
    let template = template();
    let bare: String = template
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    let table: toml::Table = toml::from_str(&bare).unwrap_or_else(|e| panic!("{e}\n{bare}"));
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    for key in keys::all().into_iter().filter(|key| key.filed) {
        let mut value = Some(&table);
        let mut place = String::new();
        for part in key.section.name().split('.').filter(|part| !part.is_empty()) {
            let inner = value.and_then(|table| table.get(part)).unwrap();
            let repeated = inner.as_array().is_some();
            value = inner.as_table().or_else(|| inner.as_array()?.first()?.as_table());
            place += &format!("/properties/{part}{}", if repeated { "/items" } else { "" });
        }
        assert!(value.unwrap().contains_key(key.name), "{} in the template", key.full());
        place += &format!("/properties/{}", key.name);
        let said = schema.pointer(&place).unwrap_or_else(|| panic!("{place} in the schema"));
        assert_eq!(said["description"], key.doc);
    }
    let named = |name: &str| variables().find(|own| own.name == name).map(|own| own.default);
    assert_eq!(named("SPINDLE__TLS__CERT").as_deref(), Some(""));
    assert_eq!(named("SPINDLE__LOG__LEVEL").as_deref(), Some("info"));
}

#[test]
fn json_is_json_and_says_what_needs_a_restart() {
    let config = Config::load(&Sources::default()).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&config.json(true)).unwrap();
    let find = |key: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["key"] == key)
            .unwrap_or_else(|| panic!("{key}"))
    };
    assert_eq!(find("data")["reloadable"], false);
    assert_eq!(find("data")["value"], "spindle-data");
    assert_eq!(find("limits.inflight_max")["value"], 1_000);
    assert_eq!(find("limits.inflight_max")["origin"], "default");
    assert_eq!(find("listener[1].url")["value"], "mqtt://127.0.0.1:1883");
}

#[test]
fn a_difference_is_told_line_by_line() {
    let folder = Folder::new("diff");
    let load = |text: &str| {
        let file = Some(folder.write("x.toml", text));
        Config::load(&Sources { file, ..Sources::default() }).unwrap()
    };
    let old = load(
        "data = \"a\"\n[log]\nlevel = \"info\"\n[limits]\nqueued_max = 5\n\
                    [[listener]]\nurl = \"mqtt://127.0.0.1:1\"\n\
                    [[listener]]\nurl = \"mqtt://127.0.0.1:2\"\n",
    );
    let new = load(
        "data = \"b\"\n[log]\nlevel = \"warn\"\n\
                    [[listener]]\nurl = \"mqtt://127.0.0.1:2\"\ndurability = \"os\"\n\
                    [[listener]]\nurl = \"mqtt://127.0.0.1:3\"\n",
    );
    let prefix = format!("{}/", folder.0.display());
    let lines: Vec<String> = diff(&old, &new).iter().map(|l| l.text.replace(&prefix, "")).collect();
    assert_eq!(
        lines,
        [
            "listener mqtt://127.0.0.1:1 is gone",
            "data: \"a\" becomes \"b\" (x.toml:1), needs a restart",
            "log.level: \"info\" becomes \"warn\" (x.toml:3)",
            "limits.queued_max: 5 becomes 100000 (default)",
            "listener mqtt://127.0.0.1:2: nothing more becomes durability \"os\" (x.toml:4)",
            "listener mqtt://127.0.0.1:3 is new (x.toml:7)",
        ]
    );
    assert_eq!(diff(&old, &old), []);
}

#[test]
fn who_must_show_a_certificate_may_come_from_anywhere() {
    let of = |more: &str| faults("shown", &format!("[[listener]]\nport = 1\n{more}"));
    let kept = "protocol = \"aios\"\nhost = \"0.0.0.0\"\ncertificates = \"aio\"\n";
    assert_eq!(of(kept), [""; 0]);
    assert_eq!(of(&kept.replace("certificates", "files")).len(), 2, "and no certificate of ours");
    assert_eq!(of("protocol = \"aio\"\nhost = \"0.0.0.0\"\n").len(), 1);
    assert_eq!(of("protocol = \"aio\"\ntokens = \"aio\"\n").len(), 1, "only within TLS");
}
