//! Floor 3. Logins by SCRAM-SHA-256: published vectors, and everything that must not get in.

use bytes::Bytes;

use super::scram::{self, Keys};
use super::{Access, Terms};
use crate::base::base64;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use crate::hub::policy::{Address, Admit, Dialogue, Login, Policy, Principal, Refusal, Said};

/// RFC 7677, section 3.
const BARE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$";

fn keys() -> String {
    scram::hash(b"pencil", *b"0123456789abcdef")
}

fn file() -> String {
    format!(
        "mode = \"strict\"\n[groups.User]\n\
         [[users]]\nname = \"ann\"\nscram_sha_256 = \"{}\"\n\
         [[users]]\nname = \"bob\"\nshared_secret = \"s3cret\"\n\
         [[users]]\nname = \"a=b,c\"\nshared_secret = \"odd\"\n\
         [[users]]\nname = \"cat\"\ncertificate = true\n",
        keys()
    )
}

fn access() -> Access {
    Access::new(&file(), [5, 6], Terms::default()).unwrap()
}

fn login(user: &'static [u8], host: u8) -> Login<'static> {
    Login {
        protocol: "mqtt",
        user,
        password: None,
        client_id: b"c1",
        certificate: None,
        address: Address::V4([192, 0, 2, host]),
        loopback: false,
    }
}

fn begin(access: &mut Access, login: &Login<'_>) -> Box<dyn Dialogue> {
    access.converse(Now::default(), login, b"SCRAM-SHA-256").expect("the method is known")
}

/// What the peer in `talk` hears when it says this.
fn hear(access: &mut Access, talk: &mut Box<dyn Dialogue>, data: impl AsRef<[u8]>) -> Said {
    access.hear(Now::default(), &mut **talk, data.as_ref())
}

/// What a peer hears whose first words these are.
fn once(access: &mut Access, login: &Login<'_>, data: impl AsRef<[u8]>) -> Said {
    let mut talk = begin(access, login);
    hear(access, &mut talk, data)
}

fn more(said: Said) -> String {
    match said {
        Said::More(data) => String::from_utf8(data.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A whole login from that host.
fn run(access: &mut Access, host: u8, user: &str, password: &str) -> Result<Principal, Refusal> {
    let mut talk = begin(access, &login(b"", host));
    let bare = format!("n={},r=abc", user.replace('=', "=3D").replace(',', "=2C"));
    let answer = match hear(access, &mut talk, format!("n,,{bare}")) {
        Said::More(answer) => String::from_utf8(answer.to_vec()).unwrap(),
        Said::No(why) => return Err(why),
        Said::Done(..) => panic!("let in without a proof"),
    };
    let (last, expected) = scram::client_final(password.as_bytes(), &bare, &answer).unwrap();
    match hear(access, &mut talk, &last) {
        Said::Done(who, vouched) => {
            assert_eq!(vouched, expected.as_bytes(), "the broker knows the password too");
            Ok(who)
        }
        Said::No(why) => Err(why),
        Said::More(_) => panic!("a fourth message"),
    }
}

#[test]
fn agrees_with_the_published_exchange() {
    let (last, vouched) = scram::client_final(b"pencil", BARE, SERVER_FIRST).unwrap();
    assert_eq!((last.as_str(), vouched.as_str()), (CLIENT_FINAL, SERVER_FINAL));
    let salt = base64::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = Keys::derive(b"pencil", &salt, 4096);
    let (said, proof) = CLIENT_FINAL.split_once(",p=").unwrap();
    let proof = base64::decode(proof.as_bytes()).unwrap().try_into().unwrap();
    let words = [BARE, SERVER_FIRST, said].join(",");
    assert!(keys.proves(&proof, &[words.as_bytes()]));
    assert!(!keys.proves(&proof, &[words.as_bytes(), b"x"]));
    let vouched = base64::encode(&keys.vouch(&[words.as_bytes()]));
    assert_eq!(format!("v={vouched}"), SERVER_FINAL);
}

/// RFC 4231, cases 1, 2 and 6: a short key, a shorter one, one longer than a block.
#[test]
fn macs_agree_with_the_published_results() {
    for (key, data, wanted) in [
        (vec![0x0b; 20], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b"),
        (b"Jefe".to_vec(), b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f",
        ),
    ] {
        let mac = scram::keyed(&key, &[data]);
        let hex: String = mac.iter().take(16).map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, wanted);
    }
}

#[test]
fn the_text_form_comes_back_and_others_are_refused() {
    let text = keys();
    let read = Keys::parse(&text).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(read.text(), text);
    assert!(scram::is_scram(&text) && !scram::is_scram("$2b$12$"));
    assert!(scram::matches(b"pencil", &text) && !scram::matches(b"pencils", &text));
    assert!(!scram::matches(b"pencil", "SCRAM-SHA-256$"));
    let (head, tail) = text.split_once(':').unwrap();
    for wrong in [
        "".to_owned(),
        "$2b$12$x".to_owned(),
        PENCIL.to_owned(),
        format!("SCRAM-SHA-1{}", &text[13..]),
        format!("SCRAM-SHA-256$0:{tail}"),
        format!("SCRAM-SHA-256$+5:{tail}"),
        format!("SCRAM-SHA-256$:{tail}"),
        format!("SCRAM-SHA-256$1000001:{tail}"),
        format!("SCRAM-SHA-256$99999999999999999999:{tail}"),
        format!("{head}:{}", &tail[2..]),
        format!("{head}:{}", tail.replace('$', ":")),
        format!("{text}A"),
        text[..text.len() - 4].to_owned(),
        format!("{head}:${}", tail.split_once('$').unwrap().1),
    ] {
        assert!(Keys::parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn whoever_knows_the_password_gets_in() {
    let mut a = access();
    let ann = run(&mut a, 1, "ann", "pencil").unwrap();
    assert_eq!((&ann.user[..], &ann.client_id[..], ann.durable), (&b"ann"[..], &b"c1"[..], true));
    assert_eq!(run(&mut a, 1, "bob", "s3cret").unwrap().user, "bob", "keys made of the secret");
    assert_eq!(run(&mut a, 1, "a=b,c", "odd").unwrap().user, "a=b,c", "escaped as RFC 5802 says");
    // The same keys serve a password that is sent as it is: a worker compares.
    let plain = Login { password: Some(b"pencil"), ..login(b"ann", 1) };
    let Admit::Verify { secret, hash, .. } = a.admit(Now::default(), &plain) else {
        panic!("no worker is asked");
    };
    assert!(scram::matches(secret.bytes(), &hash));
}

#[test]
fn nobody_else_does_and_nothing_tells_who_exists() {
    let installed = Terms { salts: Some([9; 32]), ..Terms::default() };
    let mut a = Access::new(&file(), [5, 6], installed).unwrap();
    for (user, password) in [("ann", "pen"), ("bob", ""), ("nobody", "pencil"), ("cat", "x")] {
        assert_eq!(run(&mut a, 1, user, password), Err(Refusal::Unknown), "{user}");
    }
    let answer = |a: &mut Access, user: &str, nonce: &str| {
        let first = format!("n,,n={user},r={nonce}");
        more(once(a, &login(b"", 2), first.as_bytes()))
    };
    let salt = |answer: &str| answer.split_once(",s=").unwrap().1.to_owned();
    let made_up = salt(&answer(&mut a, "nobody", "x"));
    assert_eq!(made_up, salt(&answer(&mut a, "nobody", "y")), "a salt belongs to a name");
    assert_ne!(made_up, salt(&answer(&mut a, "nobody2", "x")));
    assert_eq!(made_up.len(), salt(&answer(&mut a, "ann", "x")).len(), "same salt, same rounds");
    let mut restarted = Access::new(&file(), [7, 8], installed).unwrap();
    assert_eq!(made_up, salt(&answer(&mut restarted, "nobody", "x")), "and stays after a restart");
}

#[test]
fn nonces_are_never_the_same_and_must_come_back() {
    let mut a = access();
    let first = |a: &mut Access| {
        let mut talk = begin(a, &login(b"", 1));
        let answer = more(hear(a, &mut talk, b"n,,n=ann,r=abc"));
        (talk, answer)
    };
    let (mut talk, answer) = first(&mut a);
    assert!(answer.starts_with("r=abc") && answer.len() > "r=abc,s=,i=4096".len() + 40);
    let (_, other) = first(&mut a);
    assert_ne!(answer, other);
    // A message recorded in another exchange proves nothing in this one.
    let (recorded, _) = scram::client_final(b"pencil", "n=ann,r=abc", &other).unwrap();
    assert_eq!(hear(&mut a, &mut talk, recorded.as_bytes()), Said::No(Refusal::Malformed));
    // And neither does one whose nonce was put right.
    let (mut talk, answer) = first(&mut a);
    let nonce = |text: &str| text.split_once(",s=").unwrap().0.to_owned();
    let forged = recorded.replace(&nonce(&other), &nonce(&answer));
    assert_ne!(forged, recorded);
    assert_eq!(hear(&mut a, &mut talk, forged.as_bytes()), Said::No(Refusal::Unknown));
}

#[test]
fn only_what_the_method_asks_for_is_understood() {
    let mut a = access();
    for wrong in [
        "n",
        "n,,",
        "n,,n=ann",
        "n,,r=abc,n=ann",
        "n,,n=,r=abc",
        "n,,n=ann,r=",
        "x,,n=ann,r=abc",
        "p=tls-unique,,n=ann,r=abc",
        "n,,m=x,n=ann,r=abc",
        "n,,n=a=n,r=abc",
        "n,,n=a=2D,r=abc",
        "n,,n=a\0n,r=abc",
        "n,,n=ann,r=a b",
        "n,a=bob,n=ann,r=abc",
        "n,b=ann,n=ann,r=abc",
        "n,,n=ann,r=a\u{e9}",
        ",,,",
        "n,,n=ann,s=abc",
        "nn,,n=ann,r=abc",
    ] {
        let said = once(&mut a, &login(b"", 1), wrong.as_bytes());
        assert_eq!(said, Said::No(Refusal::Malformed), "{wrong:?}");
    }
    let long = format!("n,,n=ann,r={}", "x".repeat(257));
    let said = once(&mut a, &login(b"", 1), long.as_bytes());
    assert_eq!(said, Said::No(Refusal::Malformed), "a long nonce");
    for right in ["y,,n=ann,r=abc", "n,a=ann,n=ann,r=abc", "n,,n=ann,r=abc,x=1"] {
        let mut talk = begin(&mut a, &login(b"", 1));
        assert_eq!(hear(&mut a, &mut talk, b""), Said::More(Bytes::new()), "begin, then");
        more(hear(&mut a, &mut talk, right.as_bytes()));
        // The head must come back as it was sent: `y` is not `n`, or somebody in between has
        // taken channel binding out of the broker's offer.
        let head = right.split_once("n=").unwrap().0;
        let said = hear(&mut a, &mut talk, b"c=eCws,r=abc,p=AAAA");
        assert_eq!(said, Said::No(Refusal::Malformed), "{head}");
        assert_eq!(hear(&mut a, &mut talk, b""), Said::No(Refusal::Malformed), "it is over");
    }
    let mut asked = begin(&mut a, &login(b"", 1));
    hear(&mut a, &mut asked, b"");
    assert_eq!(hear(&mut a, &mut asked, b""), Said::No(Refusal::Malformed), "asked once only");
}

#[test]
fn a_name_beside_the_dialogue_must_be_the_same() {
    let mut a = access();
    for (beside, right) in [(&b"ann"[..], true), (b"bob", false)] {
        let mut talk = begin(&mut a, &login(beside, 1));
        let answer = more(hear(&mut a, &mut talk, b"n,,n=ann,r=abc"));
        let (last, _) = scram::client_final(b"pencil", "n=ann,r=abc", &answer).unwrap();
        let said = hear(&mut a, &mut talk, last.as_bytes());
        assert_eq!(matches!(said, Said::Done(..)), right, "{said:?}");
    }
}

#[test]
fn wrong_proofs_count_and_beginnings_do_not() {
    let mut a = access();
    for _ in 0..100 {
        more(once(&mut a, &login(b"", 1), b"n,,n=ann,r=abc"));
    }
    run(&mut a, 1, "ann", "pencil").expect("a hundred beginnings are no guess");
    for _ in 0..10 {
        assert_eq!(run(&mut a, 3, "bob", "guess"), Err(Refusal::Unknown));
    }
    assert!(matches!(run(&mut a, 3, "bob", "s3cret"), Err(Refusal::Throttled { .. })));
    let plain = Login { password: Some(b"s3cret"), ..login(b"bob", 3) };
    let admit = a.admit(Now::default(), &plain);
    assert!(matches!(admit, Admit::No(Refusal::Throttled { .. })), "one account of failures");
    let later = Now { mono: 120_000 * MS, wall: 0 };
    assert!(matches!(a.admit(later, &plain), Admit::Yes(_)));
}

#[test]
fn a_dialogue_that_outlives_its_users_lets_nobody_in() {
    let mut a = access();
    let mut talk = begin(&mut a, &login(b"", 1));
    let answer = more(hear(&mut a, &mut talk, b"n,,n=ann,r=abc"));
    a.reload(&file().replace("name = \"ann\"", "name = \"eve\"")).unwrap();
    let (last, _) = scram::client_final(b"pencil", "n=ann,r=abc", &answer).unwrap();
    assert_eq!(hear(&mut a, &mut talk, last.as_bytes()), Said::No(Refusal::Unknown));
}

#[test]
fn a_file_read_again_changes_nobody_who_is_the_same() {
    let mut a = access();
    assert_eq!(a.reload(&file()).unwrap().changed, [""; 0]);
    // Salts of shared secrets hang on the first keys in the file; those who have them are the same.
    let other = scram::hash(b"pencil", *b"fedcba9876543210");
    let diff = a.reload(&file().replace(&keys(), &other)).unwrap();
    assert_eq!(diff.changed, ["ann"]);
    run(&mut a, 1, "bob", "s3cret").unwrap();
    run(&mut a, 1, "ann", "pencil").unwrap();
}

#[test]
fn the_method_is_offered_where_somebody_could_use_it() {
    let now = Now::default();
    let mut a = access();
    assert!(a.converse(now, &login(b"", 1), b"SCRAM-SHA-1").is_none());
    let text = "mode = \"none\"\n[[users]]\nname = \"a\"\ncertificate = true";
    let mut none = Access::new(text, [1, 2], Terms::default()).unwrap();
    assert!(none.converse(now, &login(b"", 1), b"SCRAM-SHA-256").is_none());
}

/// Whatever is sent, it is answered, and nobody is let in by luck.
#[test]
fn no_text_is_too_odd() {
    let mut a = access();
    let mut dice = Rng::new(7);
    let seeds = ["n,,n=ann,r=abc", "y,a=ann,n=ann,r=abc", CLIENT_FINAL, ",,,,=2C=", ""];
    for _ in 0..2_000 {
        let mut talk = begin(&mut a, &login(b"", 1));
        for _ in 0..3 {
            let mut text = dice.pick(&seeds).unwrap().as_bytes().to_vec();
            for _ in 0..dice.below(4) {
                let at = dice.below(text.len() as u64 + 1) as usize;
                text.insert(at, *dice.pick(b"n,=ry\0\xff2Cp").unwrap());
            }
            assert!(!matches!(hear(&mut a, &mut talk, &text), Said::Done(..)));
        }
    }
}

#[test]
fn a_certificate_opens_where_the_file_says_so() {
    let text = file() + "[[users]]\nname = \"dan\"\ncertificate = true\nshared_secret = \"pw\"\n";
    let mut a = Access::new(&text, [5, 6], Terms::default()).unwrap();
    let shown = |user, name| Login { certificate: Some(name), ..login(user, 1) };
    let mut admit = |login: Login<'_>| a.admit(Now::default(), &login);
    for user in [&b""[..], b"cat"] {
        let Admit::Yes(cat) = admit(shown(user, "cat")) else { panic!("not let in") };
        assert_eq!((&cat.user[..], &cat.client_id[..]), (&b"cat"[..], &b"c1"[..]));
    }
    assert!(matches!(admit(shown(b"dan", "dan")), Admit::Yes(_)));
    let pw = Some(&b"pw"[..]);
    let by_password = admit(Login { password: pw, ..login(b"dan", 1) });
    assert!(matches!(by_password, Admit::Yes(_)), "or by a password");
    for (login, why) in [
        (shown(b"", "bob"), "the file does not say so"),
        (shown(b"", "nobody"), "unknown"),
        (shown(b"dan", "cat"), "somebody else's"),
        (shown(b"", ""), "no name"),
        (login(b"cat", 1), "none shown"),
        (Login { password: pw, ..login(b"cat", 1) }, "no password opens"),
        (Login { password: pw, ..shown(b"bob", "cat") }, "the name given counts"),
    ] {
        assert!(!matches!(admit(login), Admit::Yes(_)), "{why}");
    }
}
