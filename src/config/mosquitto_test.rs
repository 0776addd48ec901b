//! Floor 6. What a configuration of mosquitto becomes, line by line.

use std::collections::BTreeMap;

use super::mosquitto::{Files, Imported, import};
use super::*;
use crate::access::{Access, Terms};

/// Files that are not on a disk.
struct Shelf(BTreeMap<&'static str, &'static str>);

impl Files for Shelf {
    fn text(&mut self, path: &str) -> Result<String, String> {
        self.0.get(path).map(|text| (*text).to_owned()).ok_or_else(|| format!("{path}: not there"))
    }

    fn folder(&mut self, path: &str) -> Result<Vec<String>, String> {
        let inside = self.0.keys().filter(|name| name.starts_with(path));
        Ok(inside.map(|name| (*name).to_owned()).collect())
    }
}

fn translate(text: &str, shelf: &[(&'static str, &'static str)]) -> Imported {
    let done = import("m.conf", text, &mut Shelf(shelf.iter().copied().collect()));
    let mut given = Given::default();
    let mut faults = Vec::new();
    file::read(Path::new("out.toml"), &done.toml, &mut given, &mut faults);
    assert_eq!(faults, [], "what is printed can be read:\n{}", done.toml);
    if let Some(users) = &done.users {
        Access::new(users, [0; 2], Terms::default()).unwrap_or_else(|e| panic!("{e}\n{users}"));
    }
    done
}

#[test]
fn what_means_the_same_is_translated() {
    let text = "# comment\nlistener 1883 0.0.0.0\nallow_anonymous true\nmax_connections 500\n\
                listener 8883\nprotocol mqtt\ncertfile /c\nkeyfile /k\ncafile /a\n\
                require_certificate true\nlistener 9001\nprotocol websockets\n\
                listener 0 /run/m.sock\n\
                persistence true\npersistence_location /var/lib/mosquitto/\nsys_interval 30\n\
                max_inflight_messages 40\nmax_queued_messages 0\nmax_packet_size 65536\n\
                persistent_client_expiration 14d\nretain_available false\nlog_type all\n\
                log_dest file /var/log/m.log\ninclude_dir /conf.d\n";
    let shelf = [("/conf.d/a.conf", "max_keepalive 60\npid_file /x\n")];
    let done = translate(text, &shelf);
    assert_eq!(
        done.toml,
        "data = \"/var/lib/mosquitto/spindle\"\nsys_interval = 30\nallow_anonymous = true\n\n\
         [log]\nlevel = \"debug\"\nfile = \"/var/log/m.log\"\n\n\
         [limits]\ninflight_max = 40\npacket_bytes_max = 65536\nsession_s_max = 1209600\n\
         retain_ok = false\nserver_keepalive_s = 60\n\n\
         [[listener]]\nurl = \"mqtt://0.0.0.0:1883\"\nmax_connections = 500\n\n\
         [[listener]]\nurl = \"mqtts://[::]:8883\"\ncert = \"/c\"\nkey = \"/k\"\nca = \"/a\"\n\
         client_cert = \"required\"\n\n\
         [[listener]]\nurl = \"ws://[::]:9001\"\n\n\
         [[listener]]\nurl = \"unix:/run/m.sock?speak=mqtt\"\n"
    );
    assert_eq!(
        done.notes,
        [
            "m.conf:15: persistence_location: the journal goes to /var/lib/mosquitto/spindle, \
             beside what mosquitto keeps; its database is not read",
            "m.conf:18: max_queued_messages 0: a bound is always there; limits.queued_max is \
             100_000",
            "/conf.d/a.conf:2: pid_file: not needed here",
        ]
    );
    assert_eq!(done.users, None);
}

#[test]
fn without_a_listener_only_this_machine_comes_in() {
    let done = translate("", &[]);
    assert_eq!(
        done.toml,
        "allow_anonymous = true\n\n[[listener]]\nurl = \"mqtt://127.0.0.1:1883\"\n"
    );
    // With one, and without a word about strangers, nobody comes in.
    let done = translate("listener 1883\n", &[]);
    assert!(!done.toml.contains("allow_anonymous"), "{}", done.toml);
    assert!(done.users.unwrap().contains("mode = \"dynamic\""));
}

#[test]
fn nothing_is_dropped_in_silence() {
    let text = "plugin /x.so\nconnection b\naddress h\nper_listener_settings true\nzzz 1\n\
                listener x\nprotocol httpapi\nmax_qos 9\npsk_file /p\npassword_file /none\n";
    let notes = translate(text, &[]).notes;
    let begins = [
        "m.conf:1: plugin: plugins are not run: WHO MAY COME IN MAY BE ANOTHER",
        "m.conf:2: connection: there are no bridges",
        "m.conf:3: address: there are no bridges",
        "m.conf:4: per_listener_settings: ",
        "m.conf:5: zzz: nothing like it is known here",
        "m.conf:6: listener: its port is no number",
        "m.conf:7: protocol: this protocol is not spoken",
        "m.conf:9: psk_file: ",
        "/none: password_file: /none: not there",
    ];
    let found: Vec<&String> = notes.iter().filter(|note| !note.contains("max_qos")).collect();
    assert_eq!(found.len(), begins.len(), "{notes:#?}");
    for (note, begin) in found.iter().zip(begins) {
        assert!(note.starts_with(begin), "{note}");
    }
}

const PASSWORDS: &str = "# users\n\
    ann:$7$101$rXmgdidJo2pXEjy9$vhSFLUFTMpaShdFkgLCdM5iJ9IerLPwQW/WqoVpmkW8zHwcNE1+PGmWYX6g9qLzL864\
    Z5onAbFxNEUfZxB8Ihg==\n\
    bob:$6$havyeJR9YIudFiRm$KROWrKh+EMq1Drxun6q3IEncWNkfLr+UnpB/+EY4uCFF/cY8H6FI4pB7bhZqA3r3ZzMZ6IM\
    iD2qKqtYdzWrvwg==\n\
    eve:$argon2id$v=19$m=47104,t=1,p=1$AAAA$AAAA\nodd\n";

#[test]
fn users_and_rules_become_a_users_file() {
    let acl = "topic read public/#\nuser ann\ntopic a/b\ntopic read $SYS/#\ntopic deny a/#\n\
               topic write x*y\nuser bob\ntopic deny b*/#\ntopic read b/#\nuser carl\n\
               topic c\npattern write dev/%c/up\npattern read dev/%u\npattern read d-%u\n\
               pattern deny secret/#\nnonsense\n";
    let text = "listener 1\npassword_file /pw\nacl_file /acl\nallow_anonymous true\n";
    let done = translate(text, &[("/pw", PASSWORDS), ("/acl", acl)]);
    let users = done.users.unwrap();
    let ann = "[groups.\"ann\"]\ntype = \"inclusive\"\nrules = [\n  \
               \"can publish a/b\",\n  \"can publish dev/%c/up\",\n  \"can subscribe $SYS/#\",\n  \
               \"can subscribe a/b\",\n  \"can subscribe dev/%u\",\n  \"cannot publish a/#\",\n  \
               \"cannot publish secret/#\",\n  \"cannot subscribe a/#\",\n  \
               \"cannot subscribe secret/#\",\n]\n";
    assert!(users.contains(ann), "{users}");
    let bob = "[groups.\"bob\"]\ntype = \"inclusive\"\nrules = [\n  \
               \"cannot publish secret/#\",\n  \"cannot subscribe secret/#\",\n]\n";
    assert!(users.contains(bob), "a denial that cannot be spelled closes:\n{users}");
    assert!(users.starts_with("# Users") && users.contains("mode = \"strict\"\n"));
    let line = "[[users]]\nname = \"ann\"\ngroup = \"ann\"\npassword_hash = \"$7$101$";
    assert!(users.contains(line) && !users.contains("eve") && !users.contains("carl"));
    for note in [
        "/pw:4: user eve has an argon2 hash, which is not known here: set the password again \
         (spindle hash)",
        "/pw:5: it is not user:hash",
        "/acl:6: x*y has a star in it, which is a wildcard here",
        "/acl:8: since it is a denial, nothing is permitted instead",
        "/acl:14: d-%u cannot be a rule: `%u` and `%c` stand for a whole level",
        "/acl:16: it is no rule",
        "acl_file: user carl has rules and no password that is known",
    ] {
        assert!(done.notes.iter().any(|told| told == note), "{note}\n{:#?}", done.notes);
    }
    let guests = "guests = \"guests\"\n\n[groups.\"guests\"]\ntype = \"inclusive\"\nrules = [\n  \
                  \"can publish dev/%c/up\",\n  \"can subscribe public/#\",\n  \
                  \"cannot publish secret/#\",\n  \"cannot subscribe secret/#\",\n]\n";
    assert!(users.contains(guests), "{users}");
    assert!(done.notes.iter().any(|told| told.contains("`pattern deny` is stronger")));
}

#[test]
fn guests_come_along_and_nobody_else_becomes_one() {
    let import = |passwords: &'static str, anonymous: &str| {
        let text = format!("listener 1\npassword_file /pw\nallow_anonymous {anonymous}\n");
        translate(&text, &[("/pw", passwords)]).users.unwrap()
    };
    let users = import(PASSWORDS, "true");
    assert!(users.contains("mode = \"none\"\nguests = \"guests\"\n"), "{users}");
    assert!(!import(PASSWORDS, "false").contains("guests"));
    // Nobody's hash is known here: whoever names a user must not come in as anybody.
    let users = import("eve:$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA\n", "true");
    assert!(users.contains("mode = \"dynamic\"\nguests = \"guests\"\n"), "{users}");
    let policy = Access::new(&users, [0; 2], Terms::default());
    assert!(policy.is_ok_and(|policy| !policy.has_hashes()));
}
