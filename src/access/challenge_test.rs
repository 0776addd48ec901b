//! Floor 3. Logins by one challenge: published results, and everything that must not get in.

use super::argon::Argon;
use super::cra::{self, Cra};
use super::scram::Pair;
use super::{Access, Terms};
use crate::base::base64;
use crate::base::hex;
use crate::base::time::{MS, Now};
use crate::hub::policy::{Address, Admit, Login, Policy, Principal, Refusal};
use crate::hub::riddle::{Kdf, Riddle, Way};

const NOW: Now = Now { mono: 0, wall: 0 };
/// The first public key of WAMP's samples for Cryptosign.
const KEY: &str = "1adfc8bfe1d35616e64dffbd900096f23b066f914c8c2ffbb66f6075b96e116d";
/// What Argon2id makes of `secret123` and the salt of bytes 0 to 15, in 2 rounds with 64 KiB.
const MADE: &str = "050b64a0da407afa0e6103464548acdbf3e4ea98d78d5c9bb1ff86d3267dfa85";
const WAYS: [Way; 5] = [Way::Password, Way::Mac, Way::Scram, Way::ScramText, Way::Signature];

fn made() -> [u8; 32] {
    hex::decode(MADE.as_bytes()).unwrap().try_into().unwrap()
}

fn salt() -> [u8; 16] {
    core::array::from_fn(|i| i as u8)
}

fn user(name: &str, rest: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\n{rest}\n")
}

/// One user of each kind.
fn file() -> String {
    let argon = super::argon::line(&made(), 2, 64, &salt());
    let derived = cra::derived(b"pencil", &salt(), 100);
    [
        "mode = \"strict\"\n[groups.User]\n[groups.Bot]\n".to_owned(),
        user("ann", "shared_secret = \"s3cret\""),
        user("bob", &format!("group = \"Bot\"\nwampcra = \"{derived}\"")),
        user("cat", &format!("scram_argon2id = \"{argon}\"")),
        user("dan", &format!("cryptosign = \"{KEY}\"")),
        user("eve", "certificate = true"),
    ]
    .concat()
}

fn access() -> Access {
    Access::new(&file(), [5, 6], Terms::default()).map_err(|e| e.to_string()).unwrap()
}

fn login(user: &str, host: u8) -> Login<'_> {
    Login {
        protocol: "wamp",
        user: user.as_bytes(),
        password: None,
        client_id: b"",
        certificate: None,
        address: Address::V4([192, 0, 2, host]),
        loopback: false,
    }
}

fn asked(access: &mut Access, user: &str, way: Way) -> Riddle {
    access.challenge(NOW, &login(user, 1), way, None).expect("it is offered")
}

/// A MAC by hand, because the client's side is not the broker's.
fn mac(key: &[u8], words: &[u8]) -> Vec<u8> {
    super::scram::keyed(key, &[words]).to_vec()
}

fn judged(
    access: &mut Access,
    riddle: &Riddle,
    words: &[u8],
    proof: &[u8],
) -> Result<Principal, Refusal> {
    access.judge(NOW, riddle, words, proof).map(|(who, _)| who)
}

#[test]
fn macs_and_derived_keys_are_those_that_clients_make() {
    let wcs = Cra::plain(b"L3L1YUE8Txlw");
    let mac = base64::decode(b"1njQtmmeYO41N5EWEzD2kAjjEKRZ5kPZt/TzpYXOzR0=").unwrap();
    assert!(wcs.signed(b"[1, 2, 3]", &mac) && !wcs.signed(b"[1, 2, 4]", &mac));
    assert!(!wcs.signed(b"[1, 2, 3]", &mac[..31]) && !wcs.signed(b"[1, 2, 3]", b""));
    let line = "WAMP-CRA$100:a salt: of $ text$43kkOr9q82Mh/9s4p9J75ysQk5xwYYi0g2+t5VxH+6U=";
    let derived = Cra::parse(line).map_err(str::to_owned).unwrap();
    let mac = base64::decode(b"EUFmhd8zUdH9TA4/yYfEJHPAVBruPLYnEEnB4hDWTIs=").unwrap();
    assert!(derived.signed(b"{\"authid\":\"ann\"}", &mac));
    let it = derived.derived.unwrap();
    assert_eq!((it.rounds, it.len, &it.salt[..]), (100, 32, "a salt: of $ text"));
    // What the command line makes is read, and is of the password.
    let line = cra::hash(b"pencil", salt());
    let (head, key) = line.rsplit_once('$').unwrap();
    let salt = head.split_once(':').unwrap().1;
    let stretched = super::keyed::stretch::<sha2::Sha256>(b"pencil", salt.as_bytes(), 100_000);
    assert_eq!((key, salt.len()), (&base64::encode(&stretched)[..], 24));
}

#[test]
fn a_derived_key_is_read_strictly() {
    let key = base64::encode(&[7; 32]);
    assert!(Cra::parse(&format!("WAMP-CRA$1000:salt${key}")).is_ok());
    for wrong in [
        String::new(),
        format!("wamp-cra$1000:salt${key}"),
        format!("WAMP-CRA$:salt${key}"),
        format!("WAMP-CRA$0:salt${key}"),
        format!("WAMP-CRA$+9:salt${key}"),
        format!("WAMP-CRA$10000001:salt${key}"),
        format!("WAMP-CRA$1000:${key}"),
        format!("WAMP-CRA$1000:a\u{7}b${key}"),
        format!("WAMP-CRA$1000:{}${key}", "s".repeat(257)),
        "WAMP-CRA$1000:salt$".to_owned(),
        "WAMP-CRA$1000:salt$AAAA".to_owned(),
        format!("WAMP-CRA$1000:salt${}", base64::encode(&[7; 65])),
        format!("WAMP-CRA$1000:salt{key}"),
        format!("WAMP-CRA$1000salt${key}"),
    ] {
        assert!(Cra::parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn keys_over_argon2id_are_those_that_clients_make() {
    // What autobahn publishes for 4096 rounds with 512 KiB, of the text of the hash.
    let made = "6fb0603f607f6f59e30dc247eb35c6c844a2b599c1cdf2fe65192433f03631bd";
    let made = hex::decode(made.as_bytes()).unwrap().try_into().unwrap();
    let text = Argon::of(&made, 4096, 512, &salt()).text.unwrap();
    let stored = "5f19358ff6f38e267b6ef1ea1d862514ec4e8745a84682259fd3894be09febb5";
    let server = "0d8e7e9222a7c0e54c9e979aa342115699ff5696c45dc379b5ee241338a5861d";
    assert_eq!(
        (hex::encode(&text.stored), hex::encode(&text.server)),
        (stored.into(), server.into())
    );
}

#[test]
fn keys_over_argon2id_are_read_strictly_and_come_back() {
    let line = super::argon::line(&made(), 2, 64, &salt());
    let read = Argon::parse(&line).map_err(str::to_owned).unwrap();
    assert_eq!(read.written(), line);
    assert!(read == Argon::of(&made(), 2, 64, &salt()));
    let [head, bytes, text]: [&str; 3] =
        line.split_once('$').unwrap().1.split('$').collect::<Vec<_>>().try_into().unwrap();
    let with = |head: &str, bytes: &str, text: &str| {
        Argon::parse(&format!("SCRAM-ARGON2ID${head}${bytes}${text}"))
    };
    let only = with(head, "-", text).map_err(str::to_owned).unwrap();
    assert!(only.bytes.is_none() && only.text == read.text);
    assert!(with(head, bytes, "-").is_ok_and(|it| it.text.is_none()));
    let salted = |salt: &[u8]| format!("2,64:{}", base64::encode(salt));
    for (head, bytes, text) in [
        (head, "-", "-"),
        (head, "", text),
        (head, bytes, ""),
        (head, &bytes[1..], text),
        (head, bytes, &format!("{text}$")),
        ("2:AAAAAAAAAAA=", bytes, text),
        ("0,64:AAAAAAAAAAA=", bytes, text),
        ("1000001,64:AAAAAAAAAAA=", bytes, text),
        ("2,7:AAAAAAAAAAA=", bytes, text),
        ("2,4194305:AAAAAAAAAAA=", bytes, text),
        ("+2,64:AAAAAAAAAAA=", bytes, text),
        ("2,64:", bytes, text),
        (&salted(&[0; 7]), bytes, text),
        (&salted(&[0; 257]), bytes, text),
    ] {
        assert!(with(head, bytes, text).is_err(), "{head} {bytes} {text}");
    }
    assert!(Argon::parse(&format!("SCRAM-ARGON2ID${head}${bytes}")).is_err());
}

#[test]
fn proofs_of_scram_are_those_that_clients_make() {
    let joined = "Y2xpZW50Y2xpZW50bm9uYwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    let words = format!(
        "n=ann,r=Y2xpZW50Y2xpZW50bm9uYw==,r={joined},s=AAECAwQFBgcICQoLDA0ODw==,i=2,c=,r={joined}"
    );
    let argon = Argon::of(&made(), 2, 64, &salt());
    let proof = |text: &str| base64::decode(text.as_bytes()).unwrap().try_into().unwrap();
    let text = proof("7OmxpZ1zdBnfaiqQCGqjZTf3P7RshzGEH+0/Yqga+Hs=");
    let pair = argon.text.unwrap();
    assert!(pair.proves(&text, &[words.as_bytes()]));
    assert!(!argon.bytes.unwrap().proves(&text, &[words.as_bytes()]), "each has its own");
    let vouched = base64::encode(&pair.vouch(&[words.as_bytes()]));
    assert_eq!(vouched, "MJkh/8DfUJ24vRvpASzBj7ojlapKy9JC6wu5s4tQ4io=");
    assert!(Pair::of(&made()) == argon.bytes.unwrap());
}

#[test]
fn a_proof_is_a_whole_one() {
    let words = b"words";
    let mut a = access();
    let riddle = asked(&mut a, "cat", Way::ScramText);
    let pair = Argon::of(&made(), 2, 64, &salt()).text.unwrap();
    let text = base64::encode(&made());
    let client = super::scram::keyed(text.trim_end_matches('=').as_bytes(), &[b"Client Key"]);
    let mask = super::scram::keyed(&pair.stored, &[words]);
    let proof: Vec<u8> = client.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    assert!(judged(&mut a, &riddle, words, &proof).is_ok());
    for wrong in [&proof[..31], &[&proof[..], &[0]].concat(), &[]] {
        assert_eq!(judged(&mut a, &riddle, words, wrong), Err(Refusal::Unknown));
    }
}

#[test]
fn each_user_is_asked_for_what_it_has() {
    let mut a = access();
    for (name, ways) in [
        ("ann", &[Way::Password, Way::Mac, Way::Scram][..]),
        ("bob", &[Way::Mac]),
        ("cat", &[Way::Scram, Way::ScramText]),
        ("dan", &[Way::Signature]),
        ("eve", &[]),
    ] {
        let offered: Vec<Way> =
            WAYS.into_iter().filter(|way| a.offers(&login(name, 1), *way)).collect();
        let ways: Vec<Way> = ways
            .iter()
            .copied()
            .filter(|way| cfg!(feature = "tls") || *way != Way::Signature)
            .collect();
        assert_eq!(offered, ways, "{name}");
        for way in WAYS {
            // Whoever has no such proof is asked for it all the same, as long as anybody has one.
            let riddle = a.challenge(NOW, &login(name, 1), way, Some(&[7; 32]));
            assert_eq!(riddle.is_some(), way != Way::Password && a.knows(way), "{name}");
            if let Some(riddle) = riddle.filter(|_| !ways.contains(&way)) {
                let said = judged(&mut a, &riddle, b"words", &[0; 64]);
                assert_eq!(said.err(), Some(Refusal::Unknown), "{name} is never right");
            }
        }
    }
    assert_eq!(asked(&mut a, "ann", Way::Mac).kdf, Kdf::Plain);
    assert_eq!(asked(&mut a, "bob", Way::Mac).kdf, Kdf::Pbkdf2 { rounds: 100, len: 32 });
    let argon = Kdf::Argon2id { rounds: 2, memory_kib: 64 };
    let riddle = asked(&mut a, "cat", Way::Scram);
    assert_eq!((riddle.kdf, &riddle.salt[..]), (argon, &salt()[..]));
    assert_eq!(asked(&mut a, "ann", Way::Scram).kdf, Kdf::Pbkdf2 { rounds: 4096, len: 32 });
    // Keys open nothing that a password is held against.
    for name in ["bob", "cat", "dan"] {
        let login = Login { password: Some(b"pencil"), ..login(name, 9) };
        assert!(matches!(a.admit(NOW, &login), Admit::No(Refusal::Unknown)), "{name}");
    }
}

#[test]
fn whoever_has_the_key_gets_in_and_acts_for_its_group() {
    let mut a = access();
    let riddle = asked(&mut a, "ann", Way::Mac);
    let ann = judged(&mut a, &riddle, b"words", &mac(b"s3cret", b"words")).unwrap();
    assert_eq!((&ann.user[..], ann.durable, &a.role(&ann)[..]), (&b"ann"[..], true, &b"User"[..]));
    let riddle = asked(&mut a, "bob", Way::Mac);
    let line = cra::derived(b"pencil", &salt(), 100);
    let key = line.rsplit_once('$').unwrap().1;
    let bob = judged(&mut a, &riddle, b"words", &mac(key.as_bytes(), b"words")).unwrap();
    assert_eq!(&a.role(&bob)[..], b"Bot");
    assert_eq!(judged(&mut a, &riddle, b"words", &mac(b"pencil", b"words")), Err(Refusal::Unknown));
    assert_eq!(
        judged(&mut a, &riddle, b"word", &mac(key.as_bytes(), b"words")),
        Err(Refusal::Unknown)
    );
    // As what somebody acts who is there no longer, or where no groups are asked.
    a.reload(&file().replace("name = \"bob\"", "name = \"bub\"")).unwrap();
    assert!(a.role(&bob).is_empty() && &a.role(&ann)[..] == b"User");
    a.reload(&file().replace("strict", "none")).unwrap();
    assert!(a.role(&ann).is_empty());
}

#[test]
fn nobody_has_the_face_of_somebody_and_keeps_it() {
    let mut a = access();
    let face = |a: &Access, name: &str| WAYS.map(|way| a.offers(&login(name, 1), way));
    let known = ["ann", "bob", "cat", "dan", "eve"].map(|name| face(&a, name));
    let mut seen = [0; 5];
    for n in 0..500 {
        let name = format!("nobody{n}");
        let at = known.iter().position(|it| *it == face(&a, &name)).expect("somebody's");
        seen[at] += 1;
    }
    let rare = seen.iter().filter(|count| **count < 50).count();
    assert_eq!(rare, usize::from(!cfg!(feature = "tls")), "as frequent as among users: {seen:?}");
    // Whatever is asked of nobody looks like what somebody is asked, and comes again.
    let mut by_way = [0; 5];
    for n in 0..100 {
        let name = format!("nobody{n}");
        for (at, way) in WAYS.into_iter().enumerate().skip(1) {
            let key = Some(&[9; 32]);
            let Some(one) = a.challenge(NOW, &login(&name, 1), way, key) else { continue };
            let two = a.challenge(NOW, &login(&name, 1), way, key).unwrap();
            assert_eq!((one.kdf, &one.salt), (two.kdf, &two.salt));
            assert_ne!(one.nonce, two.nonce);
            let like = ["ann", "bob", "cat", "dan"].iter().any(|known| {
                let known = a.challenge(NOW, &login(known, 1), way, key);
                known.is_some_and(|it| it.kdf == one.kdf && it.salt.len() == one.salt.len())
            });
            assert!(like, "{way:?} of {name}");
            by_way[at] += 1;
            assert_eq!(judged(&mut a, &one, b"w", b"proof"), Err(Refusal::Unknown));
            a = access();
        }
    }
    assert!(by_way[1..4].iter().all(|count| *count > 5), "{by_way:?}");
}

#[test]
fn salts_of_the_made_up_differ_and_look_like_texts_where_texts_are_asked() {
    let mut a = access();
    let mut salts = std::collections::BTreeSet::new();
    let (mut derived, mut plain) = (0, 0);
    for n in 0..60 {
        let name = format!("nobody{n}");
        let Some(it) = a.challenge(NOW, &login(&name, 1), Way::Mac, None) else { continue };
        match it.kdf {
            Kdf::Plain => plain += u32::from(it.salt.is_empty()),
            _ => {
                derived += 1;
                let salt = base64::decode(&it.salt).expect("Base64, as the command line makes it");
                assert!(salt.len() == 16 && salts.insert(salt), "each its own");
            }
        }
    }
    assert!(derived > 3 && plain > 3, "{derived} {plain}");
}

#[test]
fn wrong_proofs_count_and_challenges_do_not() {
    let mut a = access();
    for _ in 0..100 {
        asked(&mut a, "ann", Way::Mac);
    }
    let riddle = asked(&mut a, "ann", Way::Mac);
    let good = mac(b"s3cret", b"w");
    assert!(judged(&mut a, &riddle, b"w", &good).is_ok(), "a hundred challenges are no guess");
    let other = |a: &mut Access| a.challenge(NOW, &login("ann", 3), Way::Mac, None).unwrap();
    for _ in 0..10 {
        let riddle = other(&mut a);
        assert_eq!(judged(&mut a, &riddle, b"w", b""), Err(Refusal::Unknown));
    }
    let riddle = other(&mut a);
    assert!(matches!(judged(&mut a, &riddle, b"w", &good), Err(Refusal::Throttled { .. })));
    let plain = Login { password: Some(b"s3cret"), ..login("ann", 3) };
    let one_account = a.admit(NOW, &plain);
    assert!(matches!(one_account, Admit::No(Refusal::Throttled { .. })));
    let later = Now { mono: 120_000 * MS, wall: 0 };
    assert!(a.judge(later, &riddle, b"w", &good).is_ok());
}

#[test]
fn a_challenge_that_outlives_its_users_lets_nobody_in() {
    let mut a = access();
    let riddle = asked(&mut a, "ann", Way::Mac);
    a.reload(&file().replace("s3cret", "another")).unwrap();
    assert_eq!(judged(&mut a, &riddle, b"w", &mac(b"s3cret", b"w")), Err(Refusal::Unknown));
}

#[test]
fn an_open_policy_asks_nobody() {
    let mut open = Access::new("mode = \"none\"", [1, 2], Terms::default()).unwrap();
    for way in WAYS {
        assert_eq!(open.offers(&login("ann", 1), way), way == Way::Password);
        assert!(open.challenge(NOW, &login("ann", 1), way, Some(&[1; 32])).is_none());
    }
}

#[test]
fn other_keys_are_another_user_and_the_same_ones_are_not() {
    let mut a = access();
    assert_eq!(a.reload(&file()).unwrap().changed, [""; 0]);
    let diff = a.reload(&file().replace("s3cret", "s4cret")).unwrap();
    assert_eq!(diff.changed, ["ann"]);
    let mut a = access();
    let line = cra::derived(b"pencil", &salt(), 100);
    assert_eq!(
        a.reload(&file().replace(&line, &cra::derived(b"pen", &salt(), 100))).unwrap().changed,
        ["bob"]
    );
    let mut a = access();
    assert_eq!(a.reload(&file().replace("$2,64:", "$3,64:")).unwrap().changed, ["cat"]);
    let mut a = access();
    assert_eq!(a.reload(&file().replace(KEY, &"11".repeat(32))).unwrap().changed, ["dan"]);
}

#[test]
fn a_file_with_a_wrong_key_is_refused_and_quotes_none() {
    let line = cra::derived(b"pencil", &salt(), 100);
    let argon = super::argon::line(&made(), 2, 64, &salt());
    let twice = format!("cryptosign = [\"{KEY}\", \"{KEY}\"]");
    let many = (0..65).map(|n| format!("\"{n:064x}\"")).collect::<Vec<_>>().join(", ");
    for (rest, flaw) in [
        ("wampcra = 7", "must be a string"),
        ("wampcra = \"x\"", "is not of the form WAMP-CRA$"),
        (&format!("wampcra = \"{line}\"\nshared_secret = \"x\""), "which is a key already"),
        ("scram_argon2id = true", "must be a string"),
        ("scram_argon2id = \"x\"", "is not of the form SCRAM-ARGON2ID$"),
        ("cryptosign = []", "must be one to 64 keys"),
        (&format!("cryptosign = [{many}]"), "must be one to 64 keys"),
        ("cryptosign = [7]", "64 hexadecimal digits"),
        ("cryptosign = \"1adf\"", "64 hexadecimal digits"),
        (&format!("cryptosign = \"{KEY}00\""), "64 hexadecimal digits"),
        (&format!("cryptosign = \"{}\"", KEY.to_uppercase()), "stands in this file already"),
        (&twice, "stands in this file already"),
        ("", "keys for WAMP"),
    ] {
        let text = file() + &user("zoe", rest);
        let Err(note) = Access::new(&text, [1, 2], Terms::default()) else {
            panic!("this was understood: {rest}")
        };
        assert!(note.text.contains(flaw), "{rest}: {note}");
        assert!(rest.len() < 40 || !note.text.contains(&rest[20..40]), "{note}");
    }
    // Beside a password each may stand.
    let hash = "$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDO";
    let all = format!(
        "password_hash = \"{hash}\"\nwampcra = \"{line}\"\nscram_argon2id = \"{argon}\"\n\
         cryptosign = [\"{}\", \"{}\"]",
        "22".repeat(32),
        "AB".repeat(32)
    );
    let a = Access::new(&(file() + &user("zoe", &all)), [1, 2], Terms::default()).unwrap();
    assert!(WAYS.iter().all(|way| {
        a.offers(&login("zoe", 1), *way) == (cfg!(feature = "tls") || *way != Way::Signature)
    }));
    assert_eq!(a.warnings().len(), if cfg!(feature = "tls") { 0 } else { 2 });
}

#[cfg(feature = "tls")]
mod signatures {
    use super::*;

    /// WAMP's samples: the key, the challenge, the signature.
    const SAMPLES: [[&str; 3]; 3] = [
        [
            KEY,
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0c\
             ae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03",
        ],
        [
            "6ed32739ff04a6074044ff0b0e3bfc7c856bc9d5f1d25efc57363bda0af3a8b0",
            "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
            "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372\
             190374886a70207b042294af5bd64ce725cd8dceb344e6d11c09d1aaaf4d660f",
        ],
        [
            "28e11f427b82b9a625ee7ac89a7d29326b505f2dc11dd88c1245f83b6da79a85",
            "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
            "7beb282184baadd08f166f16dd683b39cab53816ed81e6955def951cb2ddad1e\
             c184e206746fd82bda075af03711d3d5658fc84a76196b0fa8d1ebc92ef9f30b",
        ],
    ];

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.as_bytes()).unwrap()
    }

    fn key(text: &str) -> [u8; 32] {
        bytes(text).try_into().unwrap()
    }

    #[test]
    fn samples_of_signatures_are_good_and_others_are_not() {
        for [public, message, signature] in SAMPLES {
            let text = file().replace(KEY, public);
            let mut a = Access::new(&text, [5, 6], Terms::default()).unwrap();
            let ask = |a: &mut Access| {
                a.challenge(NOW, &login("dan", 1), Way::Signature, Some(&key(public))).unwrap()
            };
            let riddle = ask(&mut a);
            let dan = judged(&mut a, &riddle, &bytes(message), &bytes(signature)).unwrap();
            assert_eq!(&dan.user[..], b"dan");
            let mut other = bytes(message);
            other[31] ^= 1;
            for (words, proof) in [
                (other, bytes(signature)),
                (bytes(message), bytes(signature)[..63].to_vec()),
                (bytes(message), vec![0; 64]),
                (bytes(message), Vec::new()),
            ] {
                let riddle = ask(&mut a);
                assert_eq!(judged(&mut a, &riddle, &words, &proof), Err(Refusal::Unknown));
            }
        }
    }

    #[test]
    fn a_key_names_its_owner_and_lets_nobody_else_in() {
        let [public, message, signature] = SAMPLES[0];
        let (public, message, signature) = (key(public), bytes(message), bytes(signature));
        let mut a = access();
        let mut run = |user: &str, key: &[u8; 32]| {
            let riddle = a.challenge(NOW, &login(user, 1), Way::Signature, Some(key))?;
            Some(judged(&mut a, &riddle, &message, &signature))
        };
        assert!(run("", &public).unwrap().is_ok_and(|who| who.user == "dan"));
        assert!(run("dan", &public).unwrap().is_ok());
        assert_eq!(run("ann", &public), Some(Err(Refusal::Unknown)), "she has no key at all");
        assert_eq!(run("", &[9; 32]), Some(Err(Refusal::Unknown)), "nobody's is asked for");
        let name = (0..).map(|n| format!("nobody{n}")).find(|name| run(name, &public).is_some());
        assert_eq!(run(&name.unwrap(), &public), Some(Err(Refusal::Unknown)), "another's");
        // Somebody else's good signature is worth nothing under a name with another key.
        let text = file() + &user("zoe", &format!("cryptosign = \"{}\"", SAMPLES[1][0]));
        let mut a = Access::new(&text, [5, 6], Terms::default()).unwrap();
        let riddle = a.challenge(NOW, &login("zoe", 1), Way::Signature, Some(&public)).unwrap();
        assert_eq!(judged(&mut a, &riddle, &message, &signature), Err(Refusal::Unknown));
        let none = file().replace(&format!("cryptosign = \"{KEY}\""), "certificate = true");
        let mut none = Access::new(&none, [5, 6], Terms::default()).unwrap();
        assert!(none.challenge(NOW, &login("", 1), Way::Signature, Some(&public)).is_none());
    }
}

/// Who knows a password of the file could make all that stands in it; salts of the made-up hang on
/// what does not stand there, so nobody can tell them from others'.
#[test]
fn made_up_salts_hang_on_the_installation_and_not_on_the_file() {
    let salt = |key, salts| {
        let terms = Terms { salts, ..Terms::default() };
        let mut a = Access::new(&file(), key, terms).map_err(|e| e.to_string()).unwrap();
        asked(&mut a, "nobody", Way::Scram).salt
    };
    let (one, two) = (Some([1; 32]), Some([2; 32]));
    assert_eq!(salt([5, 6], one), salt([7, 8], one), "the same after a restart");
    assert_ne!(salt([5, 6], one), salt([5, 6], two), "others elsewhere, with the same file");
    assert_ne!(salt([5, 6], None), salt([7, 8], None), "without a folder, others at each start");
}
