//! Floor 3. The users file: what is understood, and that everything else is refused.

use bytes::Bytes;

use super::mac::Mac;
use super::users::{Mode, Note, Proof, Roll};

const HASH: &str = "$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDO";

fn parse(text: &str) -> Result<Roll, Note> {
    Roll::parse(text, Mac::new([3, 4]), (1, None), None)
}

fn flaw(text: &str) -> Note {
    match parse(text) {
        Ok(_) => panic!("this was understood:\n{text}"),
        Err(note) => note,
    }
}

/// A strict file with one group and this user.
fn with_user(user: &str) -> String {
    format!("mode = \"strict\"\n[groups.User]\n[[users]]\n{user}\n")
}

fn with_hash(hash: &str) -> String {
    with_user(&format!("name = \"a\"\npassword_hash = \"{hash}\""))
}

#[test]
fn a_whole_file_is_understood() {
    let roll = parse(
        r#"
        mode = "strict"
        [groups.User]
        type = "inclusive"
        rules = ["can publish self/inbox", "can subscribe self/notifications"]
        [groups.Bot]
        type = "exclusive"
        [[users]]
        name = "test"
        shared_secret = "s3cret"
        [[users]]
        name = "bot"
        group = "Bot"
        client_id = "b1"
        password_hash = "$2y$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDO"
        "#,
    )
    .unwrap();
    assert_eq!(roll.mode, Mode::Strict);
    let user = |name: &'static str| roll.users.get(&Bytes::from(name)).unwrap();
    assert_eq!(roll.groups[user("test").group as usize].name, "User", "the default group");
    assert_eq!(roll.groups[user("bot").group as usize].name, "Bot");
    assert_eq!(user("test").client_id, Some(Bytes::new()), "absent means empty");
    assert_eq!(user("bot").client_id, Some(Bytes::from("b1")));
    assert!(matches!(user("test").proof, Proof::Secret(_)));
    assert!(matches!(user("bot").proof, Proof::Hash(_)));
    assert_eq!(roll.warnings, []);
}

#[test]
fn an_empty_or_half_empty_file_is_an_error() {
    for text in ["", "\n\n", "# nothing\n", "expand_self = true", "[groups.User]"] {
        assert!(flaw(text).text.contains("mode"), "{text:?}");
    }
    let group = "[groups.User]\nrules = [\"can publish a\"]\n";
    let user = "[[users]]\nname = \"a\"\nshared_secret = \"b\"\n";
    let needs = "mode strict needs a group and a user";
    assert_eq!(flaw("mode = \"strict\"").text, needs);
    assert_eq!(flaw(&format!("mode = \"strict\"\n{group}")).text, needs);
    assert!(flaw(&format!("mode = \"strict\"\n{user}")).text.contains("does not exist"));
    assert!(parse(&format!("mode = \"strict\"\n{group}{user}")).is_ok());
}

#[test]
fn a_dynamic_file_may_be_without_users_but_says_so() {
    let roll = parse("mode = \"dynamic\"").unwrap();
    assert_eq!(roll.warnings[0].text, "no users: nobody can log in");
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let place = |text: &str| {
        let note = flaw(text);
        (note.line, note.column)
    };
    assert_eq!(place("mode = \"lax\""), (1, 8));
    assert_eq!(place("mode = \"router\""), (1, 8));
    assert_eq!(place("mode = \"none\"\nmood = 1"), (2, 1));
    assert_eq!(place("mode = \"none\"\n[groups.A]\nrule = []"), (3, 1));
    assert_eq!(place("mode = \"none\"\n[groups.A]\ntype = \"odd\""), (3, 8));
    assert_eq!(place("mode = \"none\"\n[groups.A]\nrules = [\n  \"may do\",\n]"), (4, 3));
    assert_eq!(place("mode = \"none\"\n[groups.\"\"]\n").0, 2);
    assert_eq!(place("mode = \"none\"\n[[users]]\nname = \"ä\"\npassword = \"x\""), (4, 1));
    assert_eq!(place("mode = \"none\"\nmode = \"none\"").0, 2);
    assert_eq!(place("mode = \"none"), (1, 13));
    assert_eq!(flaw("mode = 1").to_string().split(':').next(), Some("line 1, column 8"));
}

#[test]
fn names_are_neither_blank_nor_odd_nor_twice_there() {
    for name in ["", " ", "\\t", "a\\u0000b", "a\\nb", "\\u009b"] {
        let user = format!("name = \"{name}\"\nshared_secret = \"x\"");
        let note = flaw(&with_user(&user));
        assert!(note.text.starts_with("the name of a user"), "{name:?}: {note}");
    }
    let twice =
        "name = \"a\"\nshared_secret = \"x\"\n[[users]]\nname = \"a\"\nshared_secret = \"x\"";
    let note = flaw(&with_user(twice));
    assert_eq!((note.line, note.text.as_str()), (7, "user a is there twice"));
    let blank = "mode = \"none\"\n[groups.\" \"]";
    assert!(flaw(blank).text.contains("is blank"));
}

#[test]
fn names_that_look_like_topics_do_not_go_with_expansion() {
    for name in ["a/b", "*", "a+", "#", "$SYS", "a.b"] {
        let user = with_user(&format!("name = \"{name}\"\nshared_secret = \"x\""));
        assert!(parse(&user).is_ok(), "{name} is a name like any other otherwise");
        let note = flaw(&format!("expand_self = true\n{user}"));
        assert!(note.text.contains("expand_self"), "{name}: {note}");
    }
}

#[test]
fn an_unknown_group_is_an_error() {
    let note = flaw(&with_user("name = \"a\"\ngroup = \"Usr\"\nshared_secret = \"x\""));
    assert_eq!((note.line, note.column), (5, 9));
    assert_eq!(note.text, "user a is in group Usr, which does not exist");
    let free = "mode = \"none\"\n[[users]]\nname = \"a\"\nshared_secret = \"x\"\n";
    assert!(parse(free).is_ok(), "without rules nobody needs a group");
    assert!(parse(&format!("{free}group = \"G\"")).is_err(), "but one that is named must exist");
}

#[test]
fn there_is_exactly_one_proof() {
    assert!(flaw(&with_user("name = \"a\"")).text.contains("needs one of"));
    let both = format!("name = \"a\"\nshared_secret = \"x\"\npassword_hash = \"{HASH}\"");
    assert!(flaw(&with_user(&both)).text.contains("needs one of"));
    for blank in ["", " ", "\\t\\n"] {
        let user = with_user(&format!("name = \"a\"\nshared_secret = \"{blank}\""));
        assert_eq!(flaw(&user).text, "the secret of user a is blank");
    }
}

#[test]
fn no_message_quotes_a_secret() {
    for value in ["12345", "true", "[\"hunter2\"]", "{ hunter2 = 1 }", "1979-05-27", "1.5"] {
        for key in ["shared_secret", "password_hash"] {
            let note = flaw(&with_user(&format!("name = \"a\"\n{key} = {value}")));
            assert!(note.text.ends_with("must be a string"), "{note}");
        }
    }
    for broken in ["hunter2", "\"hunter2", "'hunter2", "\"hunter2\" x"] {
        let note = flaw(&with_user(&format!("name = \"a\"\nshared_secret = {broken}")));
        assert!(!note.to_string().contains("hunter2"), "{note}");
        assert_eq!(note.line, 5);
    }
}

#[test]
fn a_hash_has_the_form_of_bcrypt() {
    for prefix in ["$2a$", "$2b$", "$2y$"] {
        assert!(parse(&with_hash(&HASH.replace("$2b$", prefix))).is_ok(), "{prefix}");
    }
    let with_last = |at: usize, letter: &str| {
        let mut hash = HASH.to_owned();
        hash.replace_range(at..=at, letter);
        hash
    };
    let malformed = [
        String::new(),
        "password".into(),
        HASH.replace("$2b$", "$2x$"),
        HASH.replace("$2b$", "$2$"),
        HASH.replace("$12$", "$1$"),
        HASH.replace("$12$", "$+9$"),
        HASH.replace("$12$", "$012$"),
        HASH[..59].into(),
        format!("{HASH}."),
        HASH.replace("abc", "ab!"),
        with_last(28, "a"),
        with_last(59, "P"),
        "$2b$12$äbcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCD".into(),
    ];
    for hash in malformed {
        let note = flaw(&with_hash(&hash));
        assert!(note.text.starts_with("the hash of user a is not of the form"), "{hash}: {note}");
    }
}

#[test]
fn a_hash_that_would_take_seconds_is_refused_and_a_weak_one_is_mentioned() {
    for cost in 15..=99 {
        let note = flaw(&with_hash(&HASH.replace("$12$", &format!("${cost}$"))));
        assert!(note.text.contains("cost over 14"), "{note}");
    }
    for cost in 0..4 {
        let note = flaw(&with_hash(&HASH.replace("$12$", &format!("$0{cost}$"))));
        assert!(note.text.contains("cost under 4"), "{note}");
    }
    for cost in 4..=14 {
        let roll = parse(&with_hash(&HASH.replace("$12$", &format!("${cost:02}$")))).unwrap();
        assert_eq!(roll.warnings.len(), usize::from(cost < 10), "cost {cost}");
        let decoy = roll.decoy.unwrap();
        assert!(decoy.starts_with(&format!("$2b${cost:02}$")), "{decoy} costs as much");
    }
}

#[test]
fn a_secret_that_looks_like_a_hash_is_taken_as_it_stands_and_mentioned() {
    let roll = parse(&with_user(&format!("name = \"a\"\nshared_secret = \"{HASH}\""))).unwrap();
    assert!(roll.warnings[0].text.contains("byte for byte"));
    assert!(roll.decoy.is_none(), "it is no hash to be checked");
}

#[test]
fn the_decoy_costs_what_most_hashes_cost() {
    let user = |name: &str, cost: u32| {
        let hash = HASH.replace("$12$", &format!("${cost:02}$"));
        format!("[[users]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\n")
    };
    let head = "mode = \"strict\"\n[groups.User]\n";
    let (a, b, c) = (user("a", 10), user("b", 12), user("c", 10));
    let roll = parse(&format!("{head}{a}{b}{c}")).unwrap();
    assert!(roll.decoy.unwrap().starts_with("$2b$10$"));
    assert!(roll.warnings.iter().any(|w| w.text.contains("different cost")));
    let roll = parse(&format!("{head}{a}{b}")).unwrap();
    assert!(roll.decoy.unwrap().starts_with("$2b$12$"), "the higher of equals");
}

#[test]
fn mode_none_mentions_rules_that_nobody_asks() {
    let roll = parse("mode = \"none\"\n[groups.User]").unwrap();
    assert_eq!(roll.warnings[0].text, "mode none: no rule is asked");
    assert_eq!(parse("mode = \"none\"").unwrap().warnings, []);
}

#[test]
fn nothing_is_longer_than_a_packet_could_carry() {
    let (fits, long) = ("x".repeat(65_535), "x".repeat(65_536));
    for (fits, long, what) in [
        (
            format!("name = \"{fits}\"\nshared_secret = \"x\""),
            format!("name = \"{long}\"\nshared_secret = \"x\""),
            "the name of a user is too long",
        ),
        (
            format!("name = \"a\"\nshared_secret = \"{fits}\""),
            format!("name = \"a\"\nshared_secret = \"{long}\""),
            "the secret of user a is too long",
        ),
        (
            format!("name = \"a\"\nclient_id = \"{fits}\"\nshared_secret = \"x\""),
            format!("name = \"a\"\nclient_id = \"{long}\"\nshared_secret = \"x\""),
            "the client id of a is too long",
        ),
    ] {
        assert!(parse(&with_user(&fits)).is_ok(), "{what}");
        assert_eq!(flaw(&with_user(&long)).text, what);
    }
}

/// Files with every kind of small damage: none may be half understood.
#[cfg(feature = "testing")]
#[test]
fn a_damaged_file_is_refused_or_understood_never_half() {
    use crate::base::rng::Rng;
    let whole = format!(
        "mode = \"strict\"\nexpand_self = true\n[groups.User]\ntype = \"inclusive\"\n\
         rules = [\"can publish self/inbox\", \"cannot subscribe a/*\"]\n\
         [[users]]\nname = \"test\"\nshared_secret = \"s\"\n\
         [[users]]\nname = \"a\"\nclient_id = \"c\"\npassword_hash = \"{HASH}\"\n"
    );
    super::fuzzing::users(whole.as_bytes());
    for end in 0..whole.len() {
        super::fuzzing::users(&whole.as_bytes()[..end]);
    }
    let mut rng = Rng::new(11);
    for _ in 0..3_000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[at] = rng.below(128) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, *rng.pick(b"\"=[]\n#\\ x").unwrap()),
            }
        }
        super::fuzzing::users(&bytes);
    }
}
