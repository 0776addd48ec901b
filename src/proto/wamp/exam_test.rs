//! Floor 3. Logins: which method is taken, what is asked, and every way to stay out.
//!
//! The policy here is a puppet that believes what it is told to; real ones are tested with their
//! keys elsewhere.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::exam::{Admitted, Exam, Step};
use super::fault::Reason;
use super::options::{AuthExtra, HelloDetails, More};
use super::packet::{Authenticate, Challenge, Hello};
use super::parts::{Amount, Raw, Text};
use crate::base::base64;
use crate::base::hex;
use crate::base::id::{ConnId, ListenerNo, RealmId};
use crate::base::json;
use crate::base::limits::Limits;
use crate::base::rng::Rng;
use crate::base::stats::{Counter, Split};
use crate::base::time::Now;
use crate::hub::bans::{Ban, Banned};
use crate::hub::message::Durability;
use crate::hub::policy::{
    Access, Address, Admit, Claim, Event, Login, Observer, Policy, Principal, Refusal, Secret,
};
use crate::hub::riddle::{Judge, Kdf, Riddle, Verdict, Way};
use crate::hub::{Hub, Parts};
use crate::proto::{Ctx, Listener, Speak};
use crate::value::Form;

const NOW: Now = Now { mono: 5_000_000, wall: 1_700_000_000_123 };
const GOOD: [u8; 32] = [1; 32];

/// What it offers, how keys are made, and what it says to passwords.
struct Puppet {
    ways: Vec<Way>,
    kdf: Kdf,
    admit: fn(&Login<'_>) -> Admit,
    group: &'static str,
}

#[derive(Debug)]
struct Believes(Claim);

impl Judge for Believes {
    fn judge(&self, _: &[u8], proof: &[u8]) -> Verdict {
        // A good proof is all ones, whatever its length; no proof is none.
        let proved = !proof.is_empty() && proof.iter().all(|byte| *byte == 1);
        Verdict { claim: self.0.clone(), proved, vouched: vec![2; 32] }
    }
}

fn who(user: &[u8]) -> Principal {
    let user = Bytes::copy_from_slice(user);
    Principal { durable: !user.is_empty(), user, ..Principal::default() }
}

fn claim(login: &Login<'_>, tag: u128) -> Claim {
    Claim {
        principal: Some(who(login.user)),
        user: Bytes::copy_from_slice(login.user),
        address: login.address,
        loopback: login.loopback,
        tag,
    }
}

impl Policy for Puppet {
    fn admit(&mut self, _: Now, login: &Login<'_>) -> Admit {
        (self.admit)(login)
    }
    fn verified(&mut self, _: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        claim.principal.clone().filter(|_| ok).ok_or(Refusal::Unknown)
    }
    fn offers(&self, _: &Login<'_>, way: Way) -> bool {
        self.ways.contains(&way)
    }
    fn challenge(
        &mut self,
        _: Now,
        login: &Login<'_>,
        way: Way,
        key: Option<&[u8; 32]>,
    ) -> Option<Riddle> {
        assert_eq!(key.is_some(), way == Way::Signature);
        let named = if login.user.is_empty() { &b"owner"[..] } else { login.user };
        let judge = Box::new(Believes(claim(&Login { user: named, ..*login }, 0)));
        let salt = (0..16).map(|n| if way == Way::Mac { b'a' + n } else { n }).collect();
        Some(Riddle { nonce: [7; 32], kdf: self.kdf, salt, judge })
    }
    fn role(&self, _: &Principal) -> Bytes {
        Bytes::from_static(self.group.as_bytes())
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        false
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

/// Refusals as they were told: of whom, and why.
#[derive(Clone, Default)]
struct Tells(Arc<Mutex<Vec<(String, Refusal)>>>);

impl Observer for Tells {
    fn see(&mut self, _: Now, event: &Event<'_>) {
        if let Event::Refused { user, why, .. } = event {
            let user = String::from_utf8_lossy(user).into_owned();
            self.0.lock().unwrap().push((user, *why));
        }
    }
}

struct Scene {
    hub: Hub,
    listener: Listener,
    certificate: Option<&'static str>,
    refused: Tells,
}

impl Scene {
    fn new(ways: &[Way], kdf: Kdf) -> Self {
        let refused = Tells::default();
        let admit = |login: &Login<'_>| match (login.user, login.password, login.certificate) {
            (b"", _, Some(name)) => Admit::Yes(who(name.as_bytes())),
            (name, _, Some(shown)) if name == shown.as_bytes() => Admit::Yes(who(name)),
            (b"", ..) => Admit::Yes(who(b"")),
            (_, Some(b"busy"), _) => Admit::Busy,
            (_, Some(b"hash"), _) => Admit::Verify {
                secret: Secret::new(b"hash"),
                hash: "$2b$".into(),
                claim: claim(login, 77),
            },
            (name, Some(b"secret"), None) => Admit::Yes(who(name)),
            _ => Admit::No(Refusal::Unknown),
        };
        let puppet = Puppet { ways: ways.to_vec(), kdf, admit, group: "crew" };
        let parts = Parts {
            limits: Limits::default(),
            seed: 7,
            realms: vec!["main".into()],
            policy: Box::new(puppet),
            observer: Box::new(refused.clone()),
        };
        let listener = Listener {
            no: ListenerNo(0),
            speak: Speak::Any,
            realm: RealmId(0),
            level: Durability::Memory,
            link: Default::default(),
            relay: None,
            desk: None,
        };
        Self { hub: Hub::new(parts), listener, certificate: None, refused }
    }

    fn ctx<T>(&mut self, run: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
        run(&mut Ctx {
            now: NOW,
            conn: ConnId { index: 3, life: 9 },
            hub: &mut self.hub,
            asks: &mut Vec::new(),
            listener: &self.listener,
            address: Address::V4([192, 0, 2, 1]),
            loopback: false,
            certificate: self.certificate,
        })
    }

    fn begin(&mut self, hello: &Hello) -> (Exam, Step) {
        self.ctx(|ctx| Exam::begin(hello, 4711, ctx))
    }

    fn answer(&mut self, exam: &mut Exam, said: &Authenticate) -> Step {
        self.ctx(|ctx| exam.on_authenticate(said, ctx))
    }

    /// Both steps, with this signature.
    fn run(&mut self, hello: &Hello, signature: &str) -> Step {
        let (mut exam, step) = self.begin(hello);
        assert!(matches!(step, Step::Challenge(_)), "{step:?}");
        self.answer(&mut exam, &says(signature))
    }

    fn set(&mut self, admit: fn(&Login<'_>) -> Admit, group: &'static str) {
        self.hub.policy = Box::new(Puppet { ways: vec![Way::Password], kdf: PLAIN, admit, group });
    }

    fn last_refusal(&self) -> (String, Refusal) {
        let told = self.refused.0.lock().unwrap();
        let counted = self.hub.stats.get(Counter::LoginsRefused);
        assert_eq!(counted, told.len() as u64, "each is counted and told");
        told.last().cloned().expect("it was told")
    }
}

const PLAIN: Kdf = Kdf::Plain;
const ALL: [Way; 5] = [Way::Password, Way::Mac, Way::Scram, Way::ScramText, Way::Signature];

fn says(signature: &str) -> Authenticate {
    Authenticate { signature: signature.into(), ..Authenticate::default() }
}

fn hello(methods: &[&str], authid: &str, extra: AuthExtra) -> Hello {
    let details = HelloDetails {
        authmethods: Some(methods.iter().map(|method| Text::from(*method)).collect()),
        authid: (!authid.is_empty()).then(|| authid.into()),
        authextra: Some(Box::new(extra)),
        ..HelloDetails::default()
    };
    Hello { realm: "main".into(), details }
}

fn nonce(nonce: &str) -> AuthExtra {
    AuthExtra { nonce: Some(nonce.into()), ..AuthExtra::default() }
}

fn pubkey(key: &str) -> AuthExtra {
    AuthExtra { pubkey: Some(key.into()), ..AuthExtra::default() }
}

fn everything() -> AuthExtra {
    AuthExtra { nonce: Some("bm9uY2U=".into()), ..pubkey(&"ab".repeat(32)) }
}

fn challenged(step: &Step) -> &Challenge {
    match step {
        Step::Challenge(challenge) => challenge,
        other => panic!("no challenge: {other:?}"),
    }
}

fn let_in(step: Step) -> Admitted {
    match step {
        Step::In(admitted) => *admitted,
        other => panic!("not let in: {other:?}"),
    }
}

fn aborted(step: &Step) -> (Reason, &'static str) {
    match step {
        Step::Abort { reason, message } => (*reason, message),
        other => panic!("not refused: {other:?}"),
    }
}

const FAILED: fn(&'static str) -> (Reason, &'static str) =
    |message| (Reason::AuthenticationFailed, message);

/// An answer that the puppet takes for good.
fn good(method: &str) -> String {
    match method {
        "ticket" => "secret".into(),
        "cryptosign" => hex::encode(&[&[1; 64][..], &[7; 32]].concat()),
        _ => base64::encode(&GOOD),
    }
}

const METHODS: [&str; 5] = ["ticket", "wampcra", "wamp-scram", "scram", "cryptosign"];

#[test]
fn the_first_method_that_is_offered_is_taken() {
    for (way, method) in ALL.into_iter().zip(METHODS) {
        let mut scene = Scene::new(&[way], PLAIN);
        let listed = [&["salt", "cookie", "SCRAM", "tls"][..], &METHODS].concat();
        let (mut exam, step) = scene.begin(&hello(&listed, "ann", everything()));
        assert_eq!(challenged(&step).method.as_str(), method);
        let admitted = let_in(scene.answer(&mut exam, &says(&good(method))));
        let said = (admitted.authid.as_str(), admitted.authrole.as_str(), admitted.provider);
        assert_eq!((said, admitted.method), (("ann", "crew", "static"), method));
        assert_eq!((&admitted.who.user[..], admitted.who.durable), (&b"ann"[..], true));
    }
    let mut scene = Scene::new(&ALL, PLAIN);
    for listed in [["wampcra", "ticket"], ["ticket", "wampcra"]] {
        let (_, step) = scene.begin(&hello(&listed, "ann", everything()));
        assert_eq!(challenged(&step).method.as_str(), listed[0], "the client's order counts");
    }
}

#[test]
fn none_given_is_anonymous_and_nothing_else_is() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let mut names = std::collections::BTreeSet::new();
    let mut details = hello(&[], "ann", AuthExtra::default());
    let given = scene.begin(&hello(&["anonymous"], "ann", AuthExtra::default())).1;
    let empty = scene.begin(&details).1;
    details.details.authmethods = None;
    let absent = scene.begin(&details).1;
    let other = scene.ctx(|ctx| Exam::begin(&details, 4712, ctx)).1;
    for (n, step) in [given, empty, absent, other].into_iter().enumerate() {
        let it = let_in(step);
        assert_eq!((it.authrole.as_str(), it.method), ("anonymous", "anonymous"));
        assert!(it.who.user.is_empty() && !it.who.durable, "a claimed name is nobody's");
        assert_eq!((it.authid.bytes().len(), names.insert(it.authid)), (32, n == 0 || n == 3));
    }
    let unknown = scene.begin(&hello(&["salt"], "ann", AuthExtra::default())).1;
    assert_eq!(aborted(&unknown).0, Reason::NoMatchingAuthMethod);
    scene.set(|_| Admit::No(Refusal::Anonymous), "");
    let (exam, step) = scene.begin(&hello(&["anonymous"], "", AuthExtra::default()));
    let message = "could not authenticate with any method";
    assert_eq!(aborted(&step), (Reason::NoMatchingAuthMethod, message));
    assert_eq!(exam.counted(), crate::base::words::Method::Anonymous);
    assert_eq!(scene.last_refusal(), (String::new(), Refusal::Anonymous));
    // Where guests stay out, the next method may fit.
    let listed = hello(&["anonymous", "ticket"], "ann", AuthExtra::default());
    assert_eq!(challenged(&scene.begin(&listed).1).method.as_str(), "ticket");
    scene.set(|_| Admit::No(Refusal::Throttled { ms: 1 }), "");
    let step = scene.begin(&hello(&["anonymous"], "", AuthExtra::default())).1;
    assert_eq!(aborted(&step), FAILED("anonymous login refused"));
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let mut hello = hello(&["ticket"], "ann", AuthExtra::default());
    let raw =
        |text: &'static str| Raw { form: Form::Json, bytes: Bytes::from_static(text.as_bytes()) };
    hello.details.more = More(vec![
        ("authrole".into(), raw("\"admin\"")),
        ("authprovider".into(), raw("\"me\"")),
        ("session".into(), raw("1")),
    ]);
    let it = let_in(scene.run(&hello, "secret"));
    assert_eq!((it.authrole.as_str(), it.provider), ("crew", "static"));
    scene.set(|login| Admit::Yes(who(login.user)), "");
    assert_eq!(let_in(scene.run(&hello, "secret")).authrole.as_str(), "user", "without groups");
}

#[test]
fn whoever_needs_a_name_and_has_none_hears_so() {
    let mut scene = Scene::new(&ALL, PLAIN);
    for method in &METHODS[..4] {
        let step = scene.begin(&hello(&[method], "", everything())).1;
        assert_eq!(aborted(&step), FAILED("missing authid"), "{method}");
        assert_eq!(scene.last_refusal().1, Refusal::Anonymous);
    }
    let both = hello(&["ticket", "anonymous"], "", AuthExtra::default());
    assert_eq!(let_in(scene.begin(&both).1).method, "anonymous");
    let it = let_in(scene.run(&hello(&["cryptosign"], "", everything()), &good("cryptosign")));
    assert_eq!(it.authid.as_str(), "owner", "a key stands for the name");
}

#[test]
fn a_ticket_is_compared_by_the_policy_or_by_a_worker() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let ticket = hello(&["ticket"], "ann", AuthExtra::default());
    assert_eq!(challenged(&scene.begin(&ticket).1).extra, Default::default());
    assert!(scene.run(&ticket, "secret").is_in());
    assert_eq!(aborted(&scene.run(&ticket, "guess")), FAILED("invalid ticket"));
    assert_eq!(scene.last_refusal(), ("ann".into(), Refusal::Unknown));
    assert!(matches!(scene.run(&ticket, "busy"), Step::Busy));
    assert_eq!(scene.hub.stats.get(Counter::LoginsBusy), 1);
    for ok in [true, false] {
        let (mut exam, _) = scene.begin(&ticket);
        let Step::Verify { secret, hash, tag } = scene.answer(&mut exam, &says("hash")) else {
            panic!("no worker is asked")
        };
        assert_eq!((secret.bytes(), &hash[..], tag), (&b"hash"[..], "$2b$", 77));
        let step = scene.ctx(|ctx| exam.on_verdict(ok, ctx));
        match ok {
            true => assert_eq!(let_in(step).authid.as_str(), "ann"),
            false => assert_eq!(aborted(&step), FAILED("invalid ticket")),
        }
        let again = scene.ctx(|ctx| exam.on_verdict(true, ctx));
        assert_eq!(aborted(&again), FAILED("invalid ticket"), "one verdict is enough");
    }
}

impl Step {
    fn is_in(&self) -> bool {
        matches!(self, Self::In(_))
    }
}

#[test]
fn a_certificate_lets_in_by_its_own_method_only() {
    let mut scene = Scene::new(&[Way::Password], PLAIN);
    let tls = |authid| hello(&["tls"], authid, AuthExtra::default());
    assert_eq!(aborted(&scene.begin(&tls("")).1).0, Reason::NoMatchingAuthMethod, "none shown");
    scene.certificate = Some("ann");
    for authid in ["", "ann"] {
        let it = let_in(scene.begin(&tls(authid)).1);
        assert_eq!((it.authid.as_str(), it.authrole.as_str(), it.method), ("ann", "crew", "tls"));
    }
    assert_eq!(aborted(&scene.begin(&tls("bob")).1).0, Reason::NoMatchingAuthMethod);
    let anonymous = scene.begin(&hello(&["anonymous"], "ann", AuthExtra::default())).1;
    assert_eq!(&let_in(anonymous).who.user[..], b"", "it did not say that it wants to be ann");
    let ticket = hello(&["ticket"], "ann", AuthExtra::default());
    assert_eq!(aborted(&scene.run(&ticket, "guess")), FAILED("invalid ticket"));
    // A certificate that names nobody makes no guest of a method that is no guest's.
    scene.set(|_| Admit::Yes(who(b"")), "");
    assert_eq!(aborted(&scene.begin(&tls("")).1).0, Reason::NoMatchingAuthMethod);
}

#[test]
fn what_wampcra_signs_is_a_text_that_says_no_more_than_was_known() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let step = scene.begin(&hello(&["wampcra"], "a\"n", AuthExtra::default())).1;
    let extra = &challenged(&step).extra;
    assert_eq!((&extra.salt, extra.iterations, extra.keylen), (&None, None, None));
    let text = extra.challenge.as_ref().unwrap().as_str();
    let json::Value::Object(fields) = json::Value::parse(text.as_bytes(), 2, 20).unwrap() else {
        panic!("{text}")
    };
    let said = |key: &str| fields.iter().find(|(name, _)| name == key).map(|it| it.1.clone());
    let text_of = |text: &str| Some(json::Value::Text(text.into()));
    assert_eq!(said("authid"), text_of("a\"n"));
    assert_eq!(said("authmethod"), text_of("wampcra"));
    assert_eq!(said("authprovider"), text_of("static"));
    assert_eq!(said("authrole"), text_of(""), "the role is not for strangers");
    assert_eq!(said("timestamp"), text_of("2023-11-14T22:13:20.123Z"));
    assert_eq!(said("session"), Some(json::Value::Number(4711.0)));
    assert_eq!(said("nonce"), text_of(&base64::encode(&[7; 32])));
    let mut scene = Scene::new(&ALL, Kdf::Pbkdf2 { rounds: 900, len: 24 });
    let step = scene.begin(&hello(&["wampcra"], "ann", AuthExtra::default())).1;
    let extra = &challenged(&step).extra;
    let derived = (extra.salt.as_ref().unwrap().as_str(), extra.iterations, extra.keylen);
    assert_eq!(derived, ("abcdefghijklmnop", Some(Amount(900)), Some(Amount(24))));
}

#[test]
fn both_dialects_of_scram_are_asked_in_their_own_words() {
    let argon = Kdf::Argon2id { rounds: 2, memory_kib: 64 };
    let mut scene = Scene::new(&ALL, argon);
    let theirs = base64::encode(b"clientclientnonc");
    let (mut exam, step) = scene.begin(&hello(&["scram"], "ann", nonce(&theirs)));
    let extra = &challenged(&step).extra;
    let joined = base64::encode(&[&b"clientclientnonc"[..], &[7; 32]].concat());
    assert_eq!(extra.nonce.as_ref().unwrap().as_str(), joined);
    assert_eq!(extra.kdf.as_ref().unwrap().as_str(), "argon2id-13");
    assert_eq!((extra.iterations, extra.memory), (Some(Amount(2)), Some(Amount(64))));
    assert_eq!(extra.salt.as_ref().unwrap().as_str(), "AAECAwQFBgcICQoLDA0ODw==");
    assert!(extra.keylen.is_none() && extra.channel_binding.is_none(), "autobahn minds others");
    assert!(format!("{exam:?}").contains(&format!("{:?}", scram_words(&joined).as_bytes())));
    let it = let_in(scene.answer(&mut exam, &says(&good("scram"))));
    let vouched = format!("\"{}\"", base64::encode(&[2; 32]));
    let extra = it.extra.unwrap();
    assert_eq!(&extra.more.of("scram_server_signature").unwrap().bytes[..], vouched.as_bytes());
    assert!(extra.verifier.is_none());
    for (kdf, name, rounds, memory) in [
        (argon, "argon2id13", 2, Some(Amount(64))),
        (Kdf::Pbkdf2 { rounds: 4096, len: 32 }, "pbkdf2", 4096, None),
    ] {
        let mut scene = Scene::new(&ALL, kdf);
        let (mut exam, step) = scene.begin(&hello(&["wamp-scram"], "a,n=n", nonce("abcDEF+/==")));
        let extra = &challenged(&step).extra;
        let joined = format!("abcDEF+/=={}", base64::encode(&[7; 32]));
        assert_eq!(extra.nonce.as_ref().unwrap().as_str(), joined);
        assert_eq!(extra.kdf.as_ref().unwrap().as_str(), name);
        assert_eq!((extra.iterations, extra.memory), (Some(Amount(rounds)), memory));
        let words = format!(
            "n=a=2Cn=3Dn,r=abcDEF+/==,r={joined},s=AAECAwQFBgcICQoLDA0ODw==,i={rounds},c=biws,\
             r={joined}"
        );
        assert!(format!("{exam:?}").contains(&format!("{:?}", words.as_bytes())));
        let it = let_in(scene.answer(&mut exam, &says(&good("wamp-scram"))));
        let verifier = it.extra.unwrap().verifier.unwrap();
        assert_eq!(verifier.as_str(), format!("v={}", base64::encode(&[2; 32])));
    }
}

/// What autobahn signs in this exchange.
fn scram_words(joined: &str) -> String {
    format!(
        "n=ann,r=Y2xpZW50Y2xpZW50bm9uYw==,r={joined},s=AAECAwQFBgcICQoLDA0ODw==,i=2,c=,r={joined}"
    )
}

#[test]
fn what_a_method_needs_must_be_in_the_hello() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let long = "x".repeat(257);
    let bound =
        |extra: AuthExtra| AuthExtra { channel_binding: Some("tls-unique".into()), ..extra };
    for (method, extra, message) in [
        ("wamp-scram", AuthExtra::default(), "missing nonce"),
        ("wamp-scram", nonce(""), "missing nonce"),
        ("wamp-scram", nonce("a,b"), "missing nonce"),
        ("wamp-scram", nonce("a b"), "missing nonce"),
        ("wamp-scram", nonce("\u{e9}"), "missing nonce"),
        ("wamp-scram", nonce(&long), "missing nonce"),
        ("scram", AuthExtra::default(), "missing nonce"),
        ("scram", nonce("abc"), "invalid nonce"),
        ("cryptosign", AuthExtra::default(), "missing pubkey"),
        ("cryptosign", pubkey(""), "invalid pubkey"),
        ("cryptosign", pubkey(&"ab".repeat(31)), "invalid pubkey"),
        ("cryptosign", pubkey(&"ab".repeat(33)), "invalid pubkey"),
        ("cryptosign", pubkey(&"zz".repeat(32)), "invalid pubkey"),
        ("cryptosign", bound(everything()), "channel binding is not supported"),
        ("wamp-scram", bound(everything()), "channel binding is not supported"),
    ] {
        let step = scene.begin(&hello(&[method], "ann", extra)).1;
        assert_eq!(aborted(&step), FAILED(message), "{method}");
        assert_eq!(scene.last_refusal(), ("ann".into(), Refusal::Malformed));
    }
    let mut bare = hello(&["cryptosign"], "ann", AuthExtra::default());
    bare.details.authextra = None;
    assert_eq!(aborted(&scene.begin(&bare).1), FAILED("missing pubkey"));
}

#[test]
fn a_signature_must_be_of_this_challenge() {
    let mut scene = Scene::new(&ALL, PLAIN);
    let hello = hello(&["cryptosign"], "ann", everything());
    let step = scene.begin(&hello).1;
    assert_eq!(challenged(&step).extra.challenge.as_ref().unwrap().as_str(), "07".repeat(32));
    let text = |signature: &[u8], message: &[u8]| hex::encode(&[signature, message].concat());
    assert!(scene.run(&hello, &text(&[1; 64], &[7; 32])).is_in());
    assert!(scene.run(&hello, &text(&[1; 64], &[7; 32]).to_uppercase()).is_in());
    for wrong in [
        text(&[1; 64], &[8; 32]),
        text(&[1; 64], &[7; 31]),
        text(&[1; 64], &[7; 33]),
        text(&[1; 64], &[]),
        text(&[1; 63], &[7; 32]),
        text(&[3; 64], &[7; 32]),
        format!("{}0", text(&[1; 64], &[7; 32])),
        String::new(),
    ] {
        let step = scene.run(&hello, &wrong);
        assert_eq!(aborted(&step), FAILED("invalid signature"), "{wrong}");
        assert_eq!(scene.last_refusal().1, Refusal::Unknown, "it counts as a guess");
    }
}

#[test]
fn an_answer_repeats_what_it_was_asked_and_binds_nothing() {
    let mut scene = Scene::new(&ALL, Kdf::Pbkdf2 { rounds: 4096, len: 32 });
    let hello = hello(&["wamp-scram"], "ann", nonce("abc"));
    let joined = format!("abc{}", base64::encode(&[7; 32]));
    let answer = |change: &dyn Fn(&mut Authenticate)| {
        let mut said = says(&good("wamp-scram"));
        said.extra.nonce = Some(joined.as_str().into());
        change(&mut said);
        said
    };
    let mut run = |change: &dyn Fn(&mut Authenticate)| {
        let (mut exam, _) = scene.begin(&hello);
        scene.answer(&mut exam, &answer(change))
    };
    assert!(run(&|_| ()).is_in());
    assert!(run(&|said| said.extra.nonce = None).is_in());
    assert!(run(&|said| said.extra.cbind_data = Some("biws".into())).is_in());
    let step = run(&|said| said.extra.nonce = Some("abc".into()));
    assert_eq!(aborted(&step), FAILED("invalid signature"));
    for change in [
        &(|said: &mut Authenticate| said.extra.channel_binding = Some("tls-exporter".into()))
            as &dyn Fn(&mut Authenticate),
        &|said| said.extra.cbind_data = Some("cD10bHM=".into()),
    ] {
        assert_eq!(aborted(&run(change)), FAILED("channel binding is not supported"));
    }
}

#[test]
fn nobody_answers_twice_or_unasked() {
    let mut scene = Scene::new(&ALL, PLAIN);
    for method in METHODS {
        let (mut exam, _) = scene.begin(&hello(&[method], "ann", everything()));
        assert_eq!(aborted(&scene.answer(&mut exam, &says("?"))).0, Reason::AuthenticationFailed);
        let again = scene.answer(&mut exam, &says(&good(method)));
        assert_eq!(aborted(&again).0, Reason::ProtocolViolation, "{method}");
    }
    let (mut exam, _) = scene.begin(&hello(&["anonymous"], "", AuthExtra::default()));
    assert_eq!(aborted(&scene.answer(&mut exam, &says(""))).0, Reason::ProtocolViolation);
}

#[test]
fn whoever_is_banned_stays_out_by_any_method() {
    let ban = |kind, value: &'static [u8]| Ban {
        kind,
        value: Bytes::from_static(value),
        until: 0,
        reason: Bytes::new(),
    };
    for method in METHODS {
        let mut scene = Scene::new(&ALL, PLAIN);
        scene.hub.ban(NOW, ban(Banned::User, b"ann")).expect("room");
        let step = scene.begin(&hello(&[method], "ann", everything())).1;
        assert_eq!(aborted(&step).0, Reason::AuthenticationFailed, "{method}");
        assert_eq!(scene.last_refusal(), ("ann".into(), Refusal::Banned));
        assert!(scene.run(&hello(&[method], "bob", everything()), &good(method)).is_in());
    }
    // One whose name only the proof tells.
    let mut scene = Scene::new(&ALL, PLAIN);
    scene.hub.ban(NOW, ban(Banned::User, b"owner")).expect("room");
    let step = scene.run(&hello(&["cryptosign"], "", everything()), &good("cryptosign"));
    assert_eq!(aborted(&step), FAILED("invalid signature"));
    scene.certificate = Some("owner");
    let step = scene.begin(&hello(&["tls"], "", AuthExtra::default())).1;
    assert_eq!(aborted(&step), FAILED("invalid certificate"));
}

#[test]
fn refusals_are_counted_by_their_method() {
    for (method, word) in
        METHODS.into_iter().zip(["password", "wampcra", "scram", "scram", "cryptosign"])
    {
        let mut scene = Scene::new(&ALL, PLAIN);
        scene.run(&hello(&[method], "ann", everything()), "?");
        let cells = scene.hub.stats.cells(Split::Logins).filter(|(_, n)| *n > 0);
        assert_eq!(cells.collect::<Vec<_>>(), [([word, "refused"], 1)], "{method}");
    }
}

/// Whatever is sent for an answer, nobody is let in by luck.
#[test]
fn no_answer_is_too_odd() {
    let mut dice = Rng::new(11);
    for method in METHODS {
        let mut scene = Scene::new(&ALL, PLAIN);
        let hello = hello(&[method], "ann", everything());
        for _ in 0..1_000 {
            let mut text: Vec<char> = match dice.below(3) {
                0 => Vec::new(),
                1 => good(method).chars().collect(),
                _ => "n=ann,r=abc".chars().collect(),
            };
            for _ in 0..1 + dice.below(6) {
                let at = dice.below(text.len() as u64 + 1) as usize;
                text.insert(
                    at,
                    *dice.pick(&['0', 'f', '=', 'A', '\0', '\u{e9}', '\u{1f600}']).unwrap(),
                );
            }
            let text: String = text.into_iter().collect();
            let mut said = says(&text);
            let words = [None, Some(""), Some("biws"), Some("x")];
            let mut word = || (*dice.pick(&words).unwrap()).map(Text::from);
            said.extra.nonce = word();
            said.extra.channel_binding = word();
            said.extra.cbind_data = word();
            let (mut exam, _) = scene.begin(&hello);
            let step = scene.answer(&mut exam, &said);
            assert_eq!(aborted(&step).0, Reason::AuthenticationFailed, "{method} {text:?}");
        }
    }
}
