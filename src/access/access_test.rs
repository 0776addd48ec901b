//! Floor 3. Logins and permissions from outside: the `Policy` that a users file describes.

use bytes::Bytes;

use super::{Access, Diff, Terms, hash_flaw};
use crate::base::time::{MS, Now};
use crate::hub::policy::{self, Address, Admit, Claim, Login, Policy, Principal, Refusal};
use crate::topic::{Dialect, Star, Topic};

const HASH: &str = "$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDO";
const OTHER: &str = "$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDC";

/// The users of the first example, and a bot.
const SECRETS: &str = r#"
mode = "strict"
[groups.User]
type = "inclusive"
rules = ["can publish self/inbox", "can subscribe self/notifications"]
[groups.Bot]
rules = ["can publish self/location", "can request self/access/upgrade"]
[[users]]
name = "test"
shared_secret = "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC"
[[users]]
name = "bot"
group = "Bot"
client_id = "b1"
shared_secret = "s3cret"
"#;

fn hashed() -> String {
    format!(
        "{SECRETS}[[users]]\nname = \"ann\"\npassword_hash = \"{HASH}\"\n\
         [[users]]\nname = \"eve\"\nclient_id = \"e1\"\npassword_hash = \"{HASH}\"\n"
    )
}

fn access(text: &str) -> Access {
    Access::new(text, [7, 8], Terms::default()).map_err(|e| e.to_string()).unwrap()
}

fn at(ms: u64) -> Now {
    Now { mono: ms * MS, wall: 0 }
}

fn host(n: u8) -> Address {
    Address::V4([192, 0, 2, n])
}

fn login<'a>(user: &'a str, password: &'a str) -> Login<'a> {
    Login {
        protocol: "prx1",
        user: user.as_bytes(),
        password: Some(password.as_bytes()),
        client_id: b"",
        certificate: None,
        address: host(1),
        loopback: false,
    }
}

fn admit(access: &mut Access, login: Login<'_>) -> Admit {
    access.admit(at(0), &login)
}

fn yes(admit: Admit) -> Principal {
    match admit {
        Admit::Yes(who) => who,
        other => panic!("not let in: {other:?}"),
    }
}

fn no(admit: Admit) -> Refusal {
    match admit {
        Admit::No(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// The hash to be checked, and what `verified` says when the worker says `ok`.
fn asked(access: &mut Access, admit: Admit, ok: bool) -> (String, Result<Principal, Refusal>) {
    match admit {
        Admit::Verify { hash, claim, .. } => (hash.to_string(), access.verified(at(0), &claim, ok)),
        other => panic!("no check is asked for: {other:?}"),
    }
}

fn topic(text: &str) -> Topic {
    Star { levels_max: 128 }.topic(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn may_publish(access: &mut Access, who: &Principal, text: &str) -> bool {
    access.permit(who, &policy::Access::Publish(&topic(text)))
}

fn user(name: &str, rest: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn a_shared_secret_is_compared_byte_for_byte() {
    let mut a = access(SECRETS);
    let secret = "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC";
    let who = yes(admit(&mut a, login("test", secret)));
    assert_eq!((who.user.as_ref(), who.durable), (b"test".as_ref(), true));
    let mut wrong: Vec<String> = vec![String::new(), format!(" {secret}"), format!("{secret}\0")];
    wrong.extend((0..secret.len()).map(|i| {
        let mut s = secret.to_owned().into_bytes();
        s[i] ^= 1;
        String::from_utf8(s).unwrap()
    }));
    for (i, wrong) in wrong.iter().enumerate() {
        let from = Login { address: host(i as u8), ..login("test", wrong) };
        assert_eq!(no(admit(&mut a, from)), Refusal::Unknown, "{wrong:?}");
    }
    let none = Login { password: None, ..login("test", "") };
    assert_eq!(no(admit(&mut a, none)), Refusal::Unknown);
}

#[test]
fn user_password_and_client_id_are_not_told_apart() {
    let mut a = access(SECRETS);
    let bot = Login { client_id: b"b1", ..login("bot", "s3cret") };
    yes(admit(&mut a, bot));
    for wrong in [
        login("bot", "s3cret"),
        Login { client_id: b"b2", ..bot },
        Login { client_id: b"b1", ..login("bot", "secret") },
        Login { client_id: b"x", ..login("nobody", "s3cret") },
        login("nobody", "s3cret"),
        login("Bot", "s3cret"),
        login("bot ", "s3cret"),
    ] {
        assert_eq!(no(admit(&mut a, wrong)), Refusal::Unknown, "{wrong:?}");
    }
}

#[test]
fn only_prx1_makes_the_client_id_part_of_the_proof() {
    let mut a = access(SECRETS);
    let mqtt = Login { protocol: "mqtt", client_id: b"any", ..login("bot", "s3cret") };
    yes(admit(&mut a, mqtt));
    let text = format!("mode = \"none\"\n{}", user("a", "shared_secret = \"x\""));
    let mut a = access(&text);
    yes(admit(&mut a, Login { client_id: b"any", ..login("a", "x") }));
}

#[test]
fn nobody_else_vouches_for_whom_the_file_names_or_could_not_name() {
    let access = access(SECRETS);
    let who = |name: &'static str, group: &str| {
        access.vouched(&Bytes::from_static(name.as_bytes()), group.as_bytes())
    };
    assert!(who("joe", "User").is_some());
    assert!(who("joe", "Boss").is_none(), "there is no such role");
    assert!(who("test", "User").is_none(), "the file speaks for that one");
    assert!(who("jo\ne", "User").is_none(), "nobody can be called so");
}

#[test]
fn a_name_is_required() {
    let mut a = access(SECRETS);
    assert_eq!(no(admit(&mut a, login("", ""))), Refusal::Anonymous);
    assert_eq!(no(admit(&mut a, Login { password: None, ..login("", "") })), Refusal::Anonymous);
}

#[test]
fn a_hash_is_checked_by_a_worker() {
    let mut a = access(&hashed());
    let ask = admit(&mut a, login("ann", "pw"));
    match &ask {
        Admit::Verify { secret, hash, .. } => {
            assert_eq!((secret.bytes(), hash.as_ref()), (b"pw".as_ref(), HASH));
        }
        other => panic!("{other:?}"),
    }
    let (_, who) = asked(&mut a, ask, true);
    assert_eq!(who.unwrap().user, "ann");
    let ask = admit(&mut a, login("ann", "px"));
    assert_eq!(asked(&mut a, ask, false).1, Err(Refusal::Unknown));
}

#[test]
fn a_hash_is_no_password() {
    let mut a = access(&hashed());
    let ask = admit(&mut a, login("ann", HASH));
    assert!(
        matches!(ask, Admit::Verify { .. }),
        "it is hashed like any other, and so does not match"
    );
}

#[test]
fn who_does_not_exist_is_checked_at_the_same_price_and_never_let_in() {
    let mut a = access(&hashed());
    for login in [
        login("nobody", "pw"),
        login("eve", "pw"),
        login("bot", "wrong"),
        login("test", "wrong"),
        Login { client_id: b"zz", ..login("bot", "s3cret") },
        login("ann", ""),
    ] {
        let ask = admit(&mut a, login);
        let (hash, who) = asked(&mut a, ask, true);
        assert_eq!(who, Err(Refusal::Unknown), "{login:?}: whatever the worker says");
        assert!(hash.starts_with("$2b$12$"), "{login:?}");
    }
    // Not even after one that a worker took for good.
    let ask = admit(&mut a, login("nobody", "pw"));
    assert!(matches!(ask, Admit::Verify { .. }));
}

#[test]
fn what_no_hash_can_stand_for_is_refused_before_it_waits() {
    let mut a = access(&hashed());
    let (fits, long) = ("x".repeat(72), "x".repeat(73));
    for user in ["ann", "nobody", "eve", "bot"] {
        assert!(matches!(admit(&mut a, login(user, &fits)), Admit::Verify { .. }), "{user}");
        assert_eq!(no(admit(&mut a, login(user, &long))), Refusal::TooLong, "{user}");
        assert_eq!(no(admit(&mut a, login(user, "a\0b"))), Refusal::TooLong, "{user}");
    }
    let text = format!(
        "mode = \"dynamic\"\n[groups.User]\n{}",
        user("a", &format!("shared_secret = \"{long}\""))
    );
    yes(admit(&mut access(&text), login("a", &long)));
}

#[test]
fn a_login_that_succeeded_is_not_checked_again_for_a_minute() {
    let mut a = access(&hashed());
    let ask = admit(&mut a, login("ann", "pw"));
    asked(&mut a, ask, true).1.unwrap();
    let again = |a: &mut Access, ms, login: Login<'_>| match a.admit(at(ms), &login) {
        Admit::Yes(_) => true,
        Admit::Verify { .. } => false,
        other => panic!("{other:?}"),
    };
    let ann = login("ann", "pw");
    assert!(again(&mut a, 59_999, ann));
    assert!(!again(&mut a, 60_000, ann));
    assert!(!again(&mut a, 0, login("ann", "pw2")), "another password");
    assert!(!again(&mut a, 0, login("eve", "pw")), "another user with the same hash");
    assert!(!again(&mut a, 0, Login { address: host(2), ..ann }), "from elsewhere");
    assert!(!again(&mut a, 0, Login { client_id: b"x", ..ann }), "with a wrong client id");
    a.reload(&hashed()).unwrap();
    assert!(!again(&mut a, 0, ann), "after a reload");
}

#[test]
fn a_login_that_failed_is_not_remembered_as_good() {
    let mut a = access(&hashed());
    let ask = admit(&mut a, login("ann", "pw"));
    assert!(asked(&mut a, ask, false).1.is_err());
    assert!(matches!(admit(&mut a, login("ann", "pw")), Admit::Verify { .. }));
}

#[test]
fn guessing_ends_in_waiting_whatever_the_way() {
    let mut a = access(&hashed());
    let guesses = Terms::default().pair.burst;
    for (user, n) in [("bot", 1), ("ann", 2), ("nobody", 3)] {
        let from = Login { address: host(n), ..login(user, "guess") };
        for _ in 0..guesses {
            let ask = admit(&mut a, from);
            assert!(asked(&mut a, ask, false).1.is_err());
        }
        assert!(matches!(no(admit(&mut a, from)), Refusal::Throttled { ms } if ms > 0), "{user}");
    }
    let mut a = access(SECRETS);
    for _ in 0..guesses {
        assert_eq!(no(admit(&mut a, login("nobody", "guess"))), Refusal::Unknown);
    }
    assert!(matches!(no(admit(&mut a, login("nobody", "guess"))), Refusal::Throttled { .. }));
    let right = Login { client_id: b"b1", ..login("bot", "s3cret") };
    yes(admit(&mut a, right));
}

#[test]
fn while_it_waits_even_the_right_guess_is_refused() {
    let mut a = access(SECRETS);
    let right = Login { client_id: b"b1", ..login("bot", "s3cret") };
    for _ in 0..Terms::default().pair.burst {
        admit(&mut a, Login { client_id: b"b1", ..login("bot", "guess") });
    }
    assert!(matches!(no(admit(&mut a, right)), Refusal::Throttled { .. }));
    yes(a.admit(at(Terms::default().pair.refill_ms), &right));
}

#[test]
fn rules_are_those_of_the_users_group() {
    let mut a = access(SECRETS);
    let secret = "$2a$06$lNi8H5kc5Z9T9xJAXwQqyunl2EYhGUi6ct3TgpR1BNb1vpzpp9pzC";
    let test = yes(admit(&mut a, login("test", secret)));
    let bot = yes(admit(&mut a, Login { client_id: b"b1", ..login("bot", "s3cret") }));
    assert!(may_publish(&mut a, &test, "self/inbox"));
    assert!(!may_publish(&mut a, &bot, "self/inbox"));
    assert!(may_publish(&mut a, &bot, "self/location"));
    let upgrade = topic("self/access/upgrade");
    assert!(a.permit(&bot, &policy::Access::Request(&upgrade)));
    assert!(!a.permit(&test, &policy::Access::Request(&upgrade)));
    assert!(!a.checks_receive());
}

#[test]
fn an_explanation_says_what_permit_says() {
    let mut a = access(SECRETS);
    let bot = yes(admit(&mut a, Login { client_id: b"b1", ..login("bot", "s3cret") }));
    for name in ["self/location", "self/inbox", "$SYS/x", "x"] {
        let topic = topic(name);
        let access = policy::Access::Publish(&topic);
        let why = a.explain(&bot, &access);
        assert_eq!(why.starts_with("allowed"), a.permit(&bot, &access), "{name}: {why}");
    }
    let location = topic("self/location");
    let why = a.explain(&bot, &policy::Access::Publish(&location));
    assert_eq!(why, "allowed by `can publish self/location` of group Bot");
}

#[test]
fn without_users_mode_none_welcomes_everybody() {
    let mut a = access("mode = \"none\"");
    let who = yes(admit(&mut a, login("anybody", "anything")));
    assert!(who.durable && may_publish(&mut a, &who, "any/thing"));
    let nameless = yes(admit(&mut a, Login { password: None, ..login("", "") }));
    assert!(!nameless.durable, "the nameless own nothing that lasts");
    assert!(may_publish(&mut a, &nameless, "x"));
    assert!(!may_publish(&mut a, &who, "$SYS/x"), "but $ is the broker's own");
}

#[test]
fn with_users_mode_none_still_asks_who_somebody_is() {
    let text = format!("mode = \"none\"\n{}", user("a", "shared_secret = \"x\""));
    let mut a = access(&text);
    assert_eq!(no(admit(&mut a, login("a", "y"))), Refusal::Unknown);
    assert_eq!(no(admit(&mut a, login("b", "x"))), Refusal::Unknown);
    let who = yes(admit(&mut a, login("a", "x")));
    assert!(may_publish(&mut a, &who, "any/thing"), "and asks no rules");
}

#[test]
fn without_users_mode_dynamic_lets_nobody_in() {
    let mut a = access("mode = \"dynamic\"");
    assert_eq!(no(admit(&mut a, login("a", "x"))), Refusal::Unknown);
}

#[test]
fn a_reload_with_an_error_changes_nothing() {
    let mut a = access(SECRETS);
    let bot = Login { client_id: b"b1", ..login("bot", "s3cret") };
    let who = yes(admit(&mut a, bot));
    for text in ["", "mode = \"strict\"", "mode = \"none\"\nx = 1", "\0"] {
        assert!(a.reload(text).is_err());
    }
    let half = SECRETS.replace("can publish self/location", "may publish self/location");
    assert_eq!(a.reload(&half).unwrap_err().line, 7);
    assert!(may_publish(&mut a, &who, "self/location"));
    assert_eq!(yes(admit(&mut a, bot)), who);
}

#[test]
fn a_reload_says_what_it_changed() {
    let mut a = access(SECRETS);
    assert!(!a.reload(SECRETS).unwrap().rules);
    let text = format!("{SECRETS}{}", user("new", "shared_secret = \"x\""));
    let diff = a.reload(&text).unwrap();
    let base = Diff { warnings: diff.warnings.clone(), ..Diff::default() };
    assert_eq!(diff, Diff { added: vec!["new".into()], ..base.clone() });
    let diff = a.reload(&SECRETS.replace("s3cret", "other")).unwrap();
    assert_eq!(diff, Diff { removed: vec!["new".into()], changed: vec!["bot".into()], ..base });
    let diff = a.reload(&SECRETS.replace("\"b1\"", "\"b2\"")).unwrap();
    assert_eq!(diff.changed, ["bot"], "secret and client id");
    let diff = a.reload(&SECRETS.replace("\ngroup = \"Bot\"", "")).unwrap();
    assert_eq!((diff.changed, diff.rules), (vec!["bot".into()], false), "client id and group");
    let diff = a.reload(&SECRETS.replace("self/inbox", "self/outbox")).unwrap();
    assert_eq!((diff.changed, diff.rules), (vec!["bot".into()], true));
    let diff = a.reload(&SECRETS.replace("strict", "dynamic")).unwrap();
    assert!(diff.rules, "the mode is a rule too");
}

#[test]
fn rights_change_with_the_rules_also_for_those_who_are_in() {
    let mut a = access(SECRETS);
    let bot = yes(admit(&mut a, Login { client_id: b"b1", ..login("bot", "s3cret") }));
    // A new group sorts before Bot, so that every group has another number now.
    let text = SECRETS
        .replace("[groups.Bot]", "[groups.Alien]\nrules = [\"can publish x\"]\n[groups.Bot]");
    a.reload(&text).unwrap();
    assert!(may_publish(&mut a, &bot, "self/location"), "the same group by its new number");
    assert!(!may_publish(&mut a, &bot, "x"));
    assert_eq!(a.recall(&bot.user).unwrap().user, bot.user);
    let moved = text.replace("group = \"Bot\"", "group = \"Alien\"");
    a.reload(&moved).unwrap();
    assert!(may_publish(&mut a, &bot, "x") && !may_publish(&mut a, &bot, "self/location"));
    let (gone, _) = SECRETS.rsplit_once("[[users]]").unwrap();
    a.reload(gone).unwrap();
    assert!(!may_publish(&mut a, &bot, "self/location"));
    assert_eq!(a.recall(&bot.user), None);
    let x = topic("x");
    assert!(a.explain(&bot, &policy::Access::Publish(&x)).contains("no such user"));
}

#[test]
fn a_check_that_began_under_old_rules_lets_nobody_in() {
    let mut a = access(&hashed());
    let Admit::Verify { claim, .. } = admit(&mut a, login("ann", "pw")) else {
        panic!("no check is asked for");
    };
    a.reload(&hashed().replace(HASH, OTHER)).unwrap();
    assert_eq!(a.verified(at(0), &claim, true), Err(Refusal::Unknown));
    assert!(
        matches!(admit(&mut a, login("ann", "pw")), Admit::Verify { .. }),
        "nor is it remembered"
    );
}

#[test]
fn after_a_narrowing_reload_deliveries_are_looked_at() {
    let after = |text: &str| {
        let mut a = access(SECRETS);
        a.reload(text).unwrap();
        let narrowed = a.checks_receive();
        a.reload(text).unwrap();
        assert_eq!(a.checks_receive(), narrowed, "once and for all");
        narrowed
    };
    let more = format!("{SECRETS}{}", user("new", "shared_secret = \"x\""));
    assert!(!after(SECRETS) && !after(&more), "these narrow nothing");
    let (fewer, _) = SECRETS.rsplit_once("[[users]]").unwrap();
    assert!(after(fewer), "a user is gone");
    assert!(after(&SECRETS.replace("\ngroup = \"Bot\"", "")), "a user is in another group");
    assert!(after(&SECRETS.replace("can subscribe self/notifications", "can subscribe x")));
    let strikes = SECRETS.replace("can subscribe", "cannot subscribe");
    assert!(access(&strikes).checks_receive(), "and wherever a rule can strike one");
}

#[test]
fn after_a_reload_nobody_is_trusted_for_what_was_known_before() {
    let mut a = access(SECRETS);
    let right = Login { client_id: b"b1", ..login("bot", "s3cret") };
    yes(admit(&mut a, right));
    let spray = |a: &mut Access| {
        for n in 0..Terms::default().network.burst {
            let user = n.to_string();
            admit(a, login(&user, "guess"));
        }
    };
    spray(&mut a);
    yes(admit(&mut a, right));
    a.reload(SECRETS).unwrap();
    assert!(matches!(no(admit(&mut a, right)), Refusal::Throttled { .. }));
}

#[test]
fn what_is_remembered_depends_on_the_hash() {
    let tag =
        |hash: &str| match admit(&mut access(&hashed().replace(HASH, hash)), login("ann", "pw")) {
            Admit::Verify { claim, .. } => claim.tag,
            other => panic!("no check is asked for: {other:?}"),
        };
    assert_eq!(tag(HASH), tag(HASH));
    assert_ne!(tag(HASH), tag(OTHER));
}

#[test]
fn nothing_shown_holds_a_password() {
    let mut a = access(&hashed());
    let shown = format!("{:?}", login("ann", "hunter2"));
    assert!(!shown.contains("hunter2") && shown.contains("ann"));
    let shown = format!("{:?}", admit(&mut a, login("ann", "hunter2")));
    assert!(!shown.contains("hunter2") && shown.contains("Secret(..)"), "{shown}");
}

#[test]
fn whoever_names_no_user_is_a_guest_where_there_are_such() {
    let guests = SECRETS.replacen("mode = \"strict\"", "mode = \"strict\"\nguests = \"Bot\"", 1)
        + "\n[groups.Owner]\ntype = \"inclusive\"\nrules = [\"can publish %u/x\"]\n";
    let mut without = access(SECRETS);
    let mut access = access(&guests);
    assert!(matches!(without.admit(at(0), &login("", "")), Admit::No(Refusal::Anonymous)));
    let guest = Login { client_id: b"c1", password: None, ..login("", "") };
    let Admit::Yes(who) = access.admit(at(0), &guest) else { panic!("a guest stays out") };
    assert_eq!((&who.user[..], &who.client_id[..], who.durable), (&b""[..], &b"c1"[..], false));
    let text = Bytes::from_static(b"x/location");
    let topic = Star { levels_max: 8 }.topic(&text).unwrap();
    assert!(!access.permit(&who, &policy::Access::Publish(&topic)), "rules are asked");
    // A password without a name is no name; a name without its password is nobody.
    assert!(matches!(access.admit(at(0), &login("", "s3cret")), Admit::Yes(_)));
    assert!(matches!(access.admit(at(0), &login("bot", "")), Admit::No(Refusal::Unknown)));
    assert!(matches!(access.admit(at(0), &login("eve", "x")), Admit::No(Refusal::Unknown)));
    let diff = access.reload(&guests.replace("\"Bot\"\n", "\"Owner\"\n")).unwrap();
    assert!(diff.rules, "other rules for guests are other rules");
    assert!(access.recall(&Bytes::new()).is_some());
    access.reload(SECRETS).unwrap();
    assert_eq!(access.recall(&Bytes::new()), None, "nobody is a guest any more");
    assert!(!access.permit(&who, &policy::Access::Publish(&topic)));
}

#[test]
fn the_group_of_guests_must_be_there() {
    let flaw = |text: &str| Access::new(text, [7, 8], Terms::default()).err().unwrap();
    let note = flaw("mode = \"dynamic\"\nguests = \"nobody\"\n");
    assert_eq!((note.line, note.column), (2, 10));
    assert!(note.text.contains("whoever names no user is in group nobody"), "{note}");
    // Where no rules are asked there need be none.
    let text = "mode = \"none\"\nguests = \"x\"\n[[users]]\nname = \"a\"\nshared_secret = \"b\"";
    let mut access = access(text);
    assert!(matches!(access.admit(at(0), &login("", "")), Admit::Yes(_)));
    assert!(matches!(access.admit(at(0), &login("a", "c")), Admit::No(Refusal::Unknown)));
}

#[test]
fn no_password_stands_for_a_certificate() {
    let text = format!("mode = \"dynamic\"\n[groups.User]\n{}", user("a", "certificate = true"));
    let mut a = access(&text);
    // Whatever a password is digested to, there is nothing that it could be equal to.
    for n in 0..64_u64 {
        let now = at(n * 3_600_000);
        let password = n.to_string();
        assert_eq!(no(a.admit(now, &login("a", &password))), Refusal::Unknown, "{n}");
    }
    yes(admit(&mut a, Login { certificate: Some("a"), ..login("a", "") }));
}

#[test]
fn where_everybody_is_welcome_they_are_still_called_what_they_say() {
    let mut a = access("mode = \"none\"");
    a.reload("mode = \"none\"\n").unwrap();
    let who = yes(admit(&mut a, Login { client_id: b"c1", ..login("anybody", "") }));
    assert_eq!((&who.user[..], &who.client_id[..]), (&b"anybody"[..], &b"c1"[..]));
    assert_eq!(who.edition, a.edition, "and are not looked up again");
}

#[test]
fn a_dialogue_waits_for_the_failures_under_its_name_and_a_check_has_waited() {
    let mut a = access(&hashed());
    let ask = admit(&mut a, login("ann", "pw"));
    let Admit::Verify { claim: check, .. } = ask else { panic!("no check is asked for: {ask:?}") };
    let talk = || Claim {
        principal: check.principal.clone(),
        user: check.user.clone(),
        address: check.address,
        loopback: check.loopback,
        tag: 0,
    };
    let fails = |a: &mut Access| a.verified(at(0), &talk(), false).unwrap_err();
    let waits = |why: &Refusal| matches!(why, Refusal::Throttled { .. });
    let tries = (0..1_000).take_while(|_| !waits(&fails(&mut a))).count();
    assert!((1..1_000).contains(&tries), "{tries}");
    assert!(waits(&a.verified(at(0), &talk(), true).unwrap_err()), "though it is right");
    assert!(a.verified(at(0), &check, true).is_ok(), "it was let in line before");
}

#[test]
fn a_hash_that_may_be_used_has_no_flaw_and_another_says_which() {
    assert_eq!((hash_flaw(HASH), hash_flaw(OTHER)), (None, None));
    let flaw = |text: &str| hash_flaw(text).unwrap_or_default();
    assert!(flaw("s3cret").contains("form") && flaw("").contains("form"));
    assert!(flaw(&HASH.replace("$12$", "$15$")).contains("over 14"));
    assert!(flaw(&HASH.replace("$12$", "$03$")).contains("under 4"));
}
