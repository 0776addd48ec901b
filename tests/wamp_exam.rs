//! Floor 6. Logins to WAMP from end to end: a users file, clients of every method, and guessers.
//!
//! The clients are written here from the standards, with a MAC of their own, so that the broker is
//! not held against itself. Absent on purpose: the wire, which knows nothing of logins.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use spindle::access::{Access, Terms, argon, cra, scram};
use spindle::base::base64;
use spindle::base::id::{ConnId, ListenerNo, RealmId};
use spindle::base::limits::Limits;
use spindle::base::rng::Rng;
use spindle::base::time::Now;
use spindle::hub::message::Durability;
use spindle::hub::policy::{Address, Event, Observer, Policy};
use spindle::hub::{Hub, Parts};
use spindle::proto::wamp::Text;
use spindle::proto::wamp::exam::{Admitted, Exam, Step};
use spindle::proto::wamp::fault::Reason;
use spindle::proto::wamp::options::{AuthExtra, HelloDetails};
use spindle::proto::wamp::packet::{Authenticate, Challenge, Hello};
use spindle::proto::{Ctx, Listener, Speak};

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// A broker with these users.
struct Scene {
    hub: Hub,
    listener: Listener,
    session: u64,
    host: u8,
}

impl Scene {
    fn of(policy: Box<dyn Policy>) -> Self {
        let (limits, realms) = (Limits::default(), vec!["main".to_owned()]);
        let hub = Hub::new(Parts { limits, seed: 7, realms, policy, observer: Box::new(Quiet) });
        let listener = Listener {
            no: ListenerNo(0),
            speak: Speak::Any,
            realm: RealmId(0),
            level: Durability::Memory,
            link: Default::default(),
            relay: None,
            desk: None,
        };
        Self { hub, listener, session: 0, host: 1 }
    }

    fn new(file: &str) -> Self {
        let terms = Terms { rounds: 64, ..Terms::default() };
        Self::of(Box::new(Access::new(file, [3, 4], terms).expect("a users file")))
    }

    fn ctx<T>(&mut self, run: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
        run(&mut Ctx {
            now: Now { mono: 9_000_000_000, wall: 1_700_000_000_000 },
            conn: ConnId { index: 0, life: 0 },
            hub: &mut self.hub,
            asks: &mut Vec::new(),
            listener: &self.listener,
            address: Address::V4([192, 0, 2, self.host]),
            loopback: false,
            certificate: None,
        })
    }

    fn begin(&mut self, hello: &Hello) -> (Exam, Step) {
        self.session += 1;
        let session = self.session;
        self.ctx(|ctx| Exam::begin(hello, session, ctx))
    }

    /// Say HELLO, let the client answer, and a worker compare.
    fn run(
        &mut self,
        hello: &Hello,
        client: impl FnOnce(&Challenge) -> String,
    ) -> Result<Admitted, (Reason, &'static str)> {
        let (mut exam, mut step) = self.begin(hello);
        if let Step::Challenge(challenge) = &step {
            let signature = Text::from(client(challenge));
            let said = Authenticate { signature, ..Authenticate::default() };
            step = self.ctx(|ctx| exam.on_authenticate(&said, ctx));
        }
        if let Step::Verify { secret, hash, .. } = &step {
            // In place of a worker: keys of SCRAM are the only hashes here.
            let ok = scram::matches(secret.bytes(), hash);
            step = self.ctx(|ctx| exam.on_verdict(ok, ctx));
        }
        match step {
            Step::In(admitted) => Ok(*admitted),
            Step::Abort { reason, message } => Err((reason, message)),
            other => panic!("{other:?}"),
        }
    }
}

const NONCE: &str = "Y2xpZW50Y2xpZW50bm9uYw==";
/// What Argon2id makes of `secret123` and the salt of bytes 0 to 15, in 2 rounds with 64 KiB.
const MADE: [u8; 32] = [
    0x05, 0x0b, 0x64, 0xa0, 0xda, 0x40, 0x7a, 0xfa, 0x0e, 0x61, 0x03, 0x46, 0x45, 0x48, 0xac, 0xdb,
    0xf3, 0xe4, 0xea, 0x98, 0xd7, 0x8d, 0x5c, 0x9b, 0xb1, 0xff, 0x86, 0xd3, 0x26, 0x7d, 0xfa, 0x85,
];
/// WAMP-CRA of `secret123`, `a salt: of $ text` and 100 rounds, as another program made it.
const DERIVED: &str = "43kkOr9q82Mh/9s4p9J75ysQk5xwYYi0g2+t5VxH+6U=";

fn user(name: &str, rest: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\n{rest}\n")
}

fn file() -> String {
    let salt: [u8; 16] = core::array::from_fn(|i| i as u8);
    let by_argon = argon::line(&MADE, 2, 64, &salt);
    let by_scram = scram::hash(b"pencil", salt);
    [
        "mode = \"strict\"\nguests = \"User\"\n[groups.User]\n[groups.Bot]\n".to_owned(),
        user("ann", "shared_secret = \"s3cret\""),
        user(
            "bob",
            &format!("group = \"Bot\"\nwampcra = \"WAMP-CRA$100:a salt: of $ text${DERIVED}\""),
        ),
        user("cat", &format!("scram_argon2id = \"{by_argon}\"")),
        user("d,n", &format!("group = \"Bot\"\nscram_sha_256 = \"{by_scram}\"")),
    ]
    .concat()
}

fn hello(methods: &[&str], authid: &str) -> Hello {
    let extra = AuthExtra { nonce: Some(NONCE.into()), ..AuthExtra::default() };
    let details = HelloDetails {
        authmethods: Some(methods.iter().map(|method| Text::from(*method)).collect()),
        authid: Some(authid.into()),
        authextra: Some(Box::new(extra)),
        ..HelloDetails::default()
    };
    Hello { realm: "main".into(), details }
}

fn mac(key: &[u8], words: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(words).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

fn said(text: &Option<Text>) -> &str {
    text.as_ref().map_or("", Text::as_str)
}

/// A client of WAMP-CRA that has a key, derived or not.
fn signs(key: &str) -> impl FnOnce(&Challenge) -> String {
    move |challenge| {
        base64::encode(&mac(key.as_bytes(), said(&challenge.extra.challenge).as_bytes()))
    }
}

/// A client of SCRAM that has what was derived of its password, and what it expects in the end.
fn proves(name: &str, salted: &[u8], bound: &str, challenge: &Challenge) -> (String, String) {
    let extra = &challenge.extra;
    let (joined, salt) = (said(&extra.nonce), said(&extra.salt));
    assert!(joined.len() > NONCE.len() + 20);
    let rounds = extra.iterations.expect("rounds").0;
    let words = format!("n={name},r={NONCE},r={joined},s={salt},i={rounds},c={bound},r={joined}");
    let client = mac(salted, b"Client Key");
    let signature = mac(&Sha256::digest(client), words.as_bytes());
    let proof: Vec<u8> = client.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let server = mac(&mac(salted, b"Server Key"), words.as_bytes());
    (base64::encode(&proof), base64::encode(&server))
}

#[test]
fn guests_and_tickets_come_in() {
    let mut scene = Scene::new(&file());
    let guest = scene.run(&hello(&["anonymous"], "ann"), |_| unreachable!()).unwrap();
    assert_eq!((guest.authrole.as_str(), guest.who.user.len()), ("anonymous", 0));
    for (name, ticket, role) in [("ann", "s3cret", "User"), ("d,n", "pencil", "Bot")] {
        let hello = hello(&["cookie", "ticket"], name);
        let it = scene.run(&hello, |_| ticket.into()).unwrap();
        assert_eq!((it.authid.as_str(), it.authrole.as_str(), it.method), (name, role, "ticket"));
        let wrong = scene.run(&hello, |_| "guess".into()).unwrap_err();
        assert_eq!(wrong, (Reason::AuthenticationFailed, "invalid ticket"));
    }
    let closed = file().replace("guests = \"User\"\n", "");
    let none = Scene::new(&closed).run(&hello(&["anonymous"], ""), |_| unreachable!());
    assert_eq!(none.unwrap_err().0, Reason::NoMatchingAuthMethod);
}

#[test]
fn without_users_everybody_comes_in_as_who_it_says() {
    let open = Access::new("mode = \"none\"", [3, 4], Terms::default()).expect("a users file");
    let policies: [Box<dyn Policy>; 2] = [Box::new(spindle::hub::policy::Open), Box::new(open)];
    for policy in policies {
        let mut scene = Scene::of(policy);
        let it = scene.run(&hello(&["wampcra", "anonymous"], "ann"), |_| unreachable!()).unwrap();
        assert_eq!((it.method, it.who.user.len()), ("anonymous", 0));
        let it = scene.run(&hello(&["ticket"], "ann"), |_| "anything".into()).unwrap();
        assert_eq!((it.authid.as_str(), it.authrole.as_str()), ("ann", "user"));
        let none = scene.run(&hello(&["wampcra"], "ann"), |_| unreachable!()).unwrap_err();
        assert_eq!(none.0, Reason::NoMatchingAuthMethod);
    }
}

#[test]
fn whoever_signs_with_its_key_comes_in() {
    let mut scene = Scene::new(&file());
    let ann = hello(&["wampcra"], "ann");
    let it = scene.run(&ann, signs("s3cret")).unwrap();
    assert_eq!((it.authid.as_str(), it.method, it.provider), ("ann", "wampcra", "static"));
    let bob = hello(&["wampcra"], "bob");
    let it = scene.run(&bob, signs(DERIVED)).unwrap();
    assert_eq!(it.authrole.as_str(), "Bot");
    let Step::Challenge(Challenge { extra, .. }) = scene.begin(&bob).1 else { panic!("not asked") };
    assert_eq!(said(&extra.salt), "a salt: of $ text");
    assert_eq!((extra.iterations.unwrap().0, extra.keylen.unwrap().0), (100, 32));
    let failed = (Reason::AuthenticationFailed, "invalid signature");
    assert_eq!(scene.run(&ann, signs("guess")).unwrap_err(), failed);
    assert_eq!(scene.run(&bob, signs("secret123")).unwrap_err(), failed, "its letters are the key");
    // What was overheard is worth nothing: no challenge comes twice.
    let mut heard = String::new();
    scene
        .run(&ann, |challenge| {
            heard = signs("s3cret")(challenge);
            heard.clone()
        })
        .unwrap();
    assert_eq!(scene.run(&ann, |_| heard).unwrap_err(), failed);
    // What the command line makes is a key as well.
    let made = cra::hash(b"pw", [9; 16]);
    let key = made.rsplit_once('$').unwrap().1.to_owned();
    let text = format!("mode = \"none\"\n{}", user("eve", &format!("wampcra = \"{made}\"")));
    let it = Scene::new(&text).run(&hello(&["wampcra"], "eve"), signs(&key)).unwrap();
    assert_eq!(it.authrole.as_str(), "user", "mode none has no groups");
}

#[test]
fn both_dialects_of_scram_prove_both_sides() {
    let mut scene = Scene::new(&file());
    let mut expected = String::new();
    let cat = hello(&["wamp-scram"], "cat");
    let it = scene.run(&cat, |challenge| {
        assert_eq!(said(&challenge.extra.kdf), "argon2id13");
        let (proof, server) = proves("cat", &MADE, "biws", challenge);
        expected = server;
        proof
    });
    let verifier = it.unwrap().extra.unwrap().verifier.unwrap();
    assert_eq!(verifier.as_str(), format!("v={expected}"));
    let text = base64::encode(&MADE);
    let text = text.trim_end_matches('=');
    let it = scene.run(&hello(&["scram"], "cat"), |challenge| {
        assert_eq!(
            (said(&challenge.extra.kdf), challenge.extra.memory.unwrap().0),
            ("argon2id-13", 64)
        );
        let (proof, server) = proves("cat", text.as_bytes(), "", challenge);
        expected = server;
        proof
    });
    let extra = it.unwrap().extra.unwrap();
    let vouched = extra.more.of("scram_server_signature").unwrap();
    assert_eq!(vouched.bytes, Bytes::from(format!("\"{expected}\"")));
    // Keys that every users file has; the name is written as SCRAM has it.
    let it = scene.run(&hello(&["wamp-scram"], "d,n"), |challenge| {
        let extra = &challenge.extra;
        let (nonce, salt) = (said(&extra.nonce), said(&extra.salt));
        let answer = format!("r={nonce},s={salt},i={}", extra.iterations.unwrap().0);
        let bare = format!("n=d=2Cn,r={NONCE}");
        let (last, server) = scram::client_final(b"pencil", &bare, &answer).unwrap();
        expected = server;
        last.split_once(",p=").unwrap().1.to_owned()
    });
    assert_eq!(it.unwrap().extra.unwrap().verifier.unwrap().as_str(), expected);
    for (method, salted) in [("wamp-scram", text.as_bytes()), ("scram", &MADE[..])] {
        let bound = if method == "scram" { "" } else { "biws" };
        let other = scene.run(&hello(&[method], "cat"), |it| proves("cat", salted, bound, it).0);
        let failed = (Reason::AuthenticationFailed, "invalid signature");
        assert_eq!(other.unwrap_err(), failed, "the other dialect's key");
    }
}

#[test]
fn the_next_method_is_taken_where_a_user_lacks_the_first() {
    let mut scene = Scene::new(&file());
    let all = ["cryptosign", "scram", "wampcra", "wamp-scram", "ticket"];
    for (name, method) in [("ann", "wampcra"), ("cat", "scram"), ("d,n", "wamp-scram")] {
        let Step::Challenge(challenge) = scene.begin(&hello(&all, name)).1 else {
            panic!("{name} is not asked")
        };
        assert_eq!(challenge.method.as_str(), method, "{name}");
    }
}

#[test]
fn whoever_is_not_there_is_asked_and_refused_like_anybody_else() {
    let mut scene = Scene::new(&file());
    let failed = |message| (Reason::AuthenticationFailed, message);
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40 {
        scene.host = n;
        let all = hello(&["scram", "wampcra", "wamp-scram", "ticket"], &format!("nobody{n}"));
        let mut method = String::new();
        let end = scene.run(&all, |challenge| {
            method = challenge.method.as_str().to_owned();
            base64::encode(&[7; 32])
        });
        assert_eq!(end.unwrap_err(), failed("invalid signature"));
        seen.insert(method);
        let end = scene.run(&hello(&["ticket"], &format!("nobody{n}")), |_| "guess".into());
        let (reason, message) = end.unwrap_err();
        let refused = match reason {
            Reason::NoMatchingAuthMethod => "could not authenticate with any method",
            _ => "invalid ticket",
        };
        assert_eq!(message, refused);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["scram", "wamp-scram", "wampcra"]);
}

#[test]
fn guessers_must_wait_and_hear_nothing_of_it() {
    let mut scene = Scene::new(&file());
    let ann = hello(&["wampcra"], "ann");
    for _ in 0..10 {
        assert_eq!(scene.run(&ann, signs("guess")).unwrap_err().1, "invalid signature");
    }
    assert_eq!(scene.run(&ann, signs("s3cret")).unwrap_err().1, "invalid signature");
    let ticket = scene.run(&hello(&["ticket"], "ann"), |_| "s3cret".into());
    assert_eq!(ticket.unwrap_err().1, "invalid ticket", "one account for all methods");
    scene.host = 2;
    assert!(scene.run(&ann, signs("s3cret")).is_ok(), "she herself is not locked out");
}

/// Whatever is sent for an answer, nobody is let in by luck.
#[test]
fn no_answer_is_too_odd() {
    let mut dice = Rng::new(5);
    let letters: Vec<char> = "0af=AzQ+/,n\0\"\u{e9}\u{1f600}".chars().collect();
    for _ in 0..1_500 {
        let mut scene =
            Scene::new("mode = \"none\"\n[[users]]\nname = \"ann\"\nshared_secret = \"s\"\n");
        let method = *dice.pick(&["ticket", "wampcra", "wamp-scram"]).unwrap();
        let len = *dice.pick(&[0, 1, 43, 44, 64, 192, 300]).unwrap();
        let text: String = (0..len).map(|_| *dice.pick(&letters).unwrap()).collect();
        let end = scene.run(&hello(&[method], "ann"), |_| text.clone());
        assert_eq!(end.unwrap_err().0, Reason::AuthenticationFailed, "{method} {text:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn whoever_signs_the_challenge_with_its_own_key_comes_in() {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use spindle::base::hex;

    let pair = |seed: u8| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed");
    let public = |pair: &Ed25519KeyPair| hex::encode(pair.public_key().as_ref());
    let signs = |pair: Ed25519KeyPair| {
        move |challenge: &Challenge| {
            let message = hex::decode(said(&challenge.extra.challenge).as_bytes()).unwrap();
            assert_eq!(message.len(), 32);
            hex::encode(&[pair.sign(&message).as_ref(), &message].concat())
        }
    };
    let (one, two) = (public(&pair(1)), public(&pair(2)));
    let text = file() + &user("eve", &format!("cryptosign = [\"{one}\", \"{two}\"]"));
    let mut scene = Scene::new(&text);
    let shows = |authid: &str, key: &str| {
        let mut hello = hello(&["cryptosign"], authid);
        let extra = AuthExtra { pubkey: Some(key.into()), ..AuthExtra::default() };
        hello.details.authextra = Some(Box::new(extra));
        hello
    };
    for (authid, key, seed) in [("eve", &one, 1), ("", &one, 1), ("", &two, 2)] {
        let it = scene.run(&shows(authid, key), signs(pair(seed))).unwrap();
        assert_eq!((it.authid.as_str(), it.method), ("eve", "cryptosign"));
    }
    let failed = (Reason::AuthenticationFailed, "invalid signature");
    let mut heard = String::new();
    scene
        .run(&shows("eve", &one), |challenge| {
            heard = signs(pair(1))(challenge);
            heard.clone()
        })
        .unwrap();
    assert_eq!(scene.run(&shows("eve", &one), |_| heard).unwrap_err(), failed, "overheard");
    assert_eq!(scene.run(&shows("eve", &one), signs(pair(2))).unwrap_err(), failed);
    let three = public(&pair(3));
    assert_eq!(scene.run(&shows("eve", &three), signs(pair(3))).unwrap_err(), failed);
    assert_eq!(scene.run(&shows("", &three), signs(pair(3))).unwrap_err(), failed, "nobody's key");
}
