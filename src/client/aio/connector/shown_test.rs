//! Floor 5. A server whose clients show certificates or tokens, and clients that do, or do not.
//!
//! Absent on purpose: folders of certificates of the original (`os/clerk`, `tests/interop`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::connector_test::{message, until};
use super::house::lock;
use super::server_test::{Hall, World, order, to};
use super::{Errand, Name, Names, Ran, Setup};
use crate::client::aio::{Client, Security};
use crate::proto::aio::command::Command;
use crate::value::Value;

/// Names with the digests of certificates, or with tokens; and whose is to be taken back as soon as
/// it was found.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Vec<u8>>>, Mutex<Option<(String, Setup)>>);

impl Names for Kept {
    fn run(&self, errand: Errand) -> Ran {
        let mut all = lock(&self.0);
        let fresh = |all: &BTreeMap<String, Vec<u8>>, name: &Name| !all.contains_key(name.as_str());
        match errand {
            Errand::Identify(print) => {
                let found = all.clone().into_iter().find(|(_, own)| own[..] == print);
                drop(all);
                let name = found.map(|(name, _)| name);
                let back = lock(&self.1).take_if(|(whose, _)| name.as_ref() == Some(whose));
                if let Some((whose, setup)) = back {
                    let whom = vec![("client_id", Value::Text(whose))];
                    order(&setup, Command::ForgetCertificate, whom);
                }
                match name.as_deref() {
                    Some("default") => Ran::Default,
                    Some(name) => Ran::Known(Name::new(&name.into()).expect("a name")),
                    None => Ran::Not("nobody's"),
                }
            }
            Errand::Certify(name) if fresh(&all, &name) => {
                let (crt, key, digest) = made();
                all.insert(name.as_str().to_owned(), digest);
                Ran::Certified { crt: crt.as_str().into(), key: key.as_str().into() }
            }
            Errand::Token(name) if fresh(&all, &name) => {
                all.insert(name.as_str().to_owned(), b"token".to_vec());
                Ran::Given("token".into())
            }
            Errand::Compare(name, token) => {
                let own = all.get(name.as_str());
                let right = own.is_some_and(|own| own == token.reveal().as_bytes());
                if right { Ran::Right } else { Ran::Not("no") }
            }
            _ => Ran::Not("no"),
        }
    }

    fn forget(&self, name: &Name, _: bool) -> Result<(), String> {
        lock(&self.0).remove(name.as_str()).map(drop).ok_or_else(|| "it has none".to_owned())
    }
}

/// A certificate, its key, and its digest.
fn made() -> (String, String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).expect("made");
    let digest = Sha256::digest(made.cert.der()).to_vec();
    (made.cert.pem(), made.signing_key.serialize_pem(), digest)
}

/// Certificates of a server, and what each client begins with.
struct Shown {
    world: World,
    kept: Arc<Kept>,
    client: PathBuf,
}

impl Shown {
    fn new(security: impl FnOnce(&Path) -> Security) -> Self {
        let mut world = World::new();
        let at = |part: &str| world.dir.join("certificates").join(part);
        let client = at("client");
        let (own, theirs, given) =
            (at("server/server-cert"), at("client/server-cert"), at("client/client-certs"));
        for folder in [&own, &theirs, &given] {
            fs::create_dir_all(folder).expect("made");
        }
        let (crt, key, _) = made();
        fs::write(own.join("server.pem"), &crt).expect("written");
        fs::write(own.join("server.key"), key).expect("written");
        fs::write(theirs.join("server.pem"), crt).expect("written");
        let (crt, key, digest) = made();
        fs::write(given.join("default.pem"), crt).expect("written");
        fs::write(given.join("default.key"), key).expect("written");
        let kept = Arc::new(Kept::default());
        lock(&kept.0).insert("default".to_owned(), digest);
        world.setup.security = security(&world.dir);
        let serving = world.setup.serves.as_mut().expect("a server");
        serving.names = Some(Arc::clone(&kept) as _);
        Self { world, kept, client }
    }

    /// A folder of a client's own, with what each has.
    fn folder(&self, of: &str) -> PathBuf {
        let folder = self.world.dir.join(of);
        for part in
            ["server-cert/server.pem", "client-certs/default.pem", "client-certs/default.key"]
        {
            let to = folder.join("certificates/client").join(part);
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            fs::copy(self.client.join(part), to).expect("copied");
        }
        folder
    }
}

fn dial(hall: &Hall<'_>, name: &str, security: Security) -> Option<Client> {
    let address = hall.connector.address().expect("it listens").to_string();
    let most = Duration::from_secs(10);
    let builder = Client::builder(address, name).security(security).reconnect(None);
    builder.dial_timeout(most).listen("any").connect().ok()
}

fn hears(hall: &Shown, client: &Client, name: &str, data: &'static str) {
    let inbox = client.listen("any").expect("it is there");
    hall.world.program().say(&to(name, message(data)));
    let heard = inbox.wait(Some(Duration::from_secs(20))).expect("there").expect("a message");
    assert_eq!(heard.frame.data, data);
}

#[test]
fn who_shows_its_certificate_is_in_and_nobody_else_by_its_name() {
    let shown = Shown::new(|dir| Security::Certificates(dir.to_owned()));
    let hall = shown.world.start();
    let (own, other) = (shown.folder("own"), shown.folder("other"));
    let certificates = |dir: &Path| Security::Certificates(dir.to_owned());
    let ann = dial(&hall, "ann", certificates(&own)).expect("it is given one, and comes by it");
    hears(&shown, &ann, "ann", "one");
    assert!(dial(&hall, "ann", certificates(&other)).is_none(), "the name has one");
    assert!(dial(&hall, "ann", Security::AllowAll).is_none(), "it shows none");
    assert!(dial(&hall, "ann", Security::Plain).is_none(), "it speaks no TLS");
    let pair = other.join("certificates/client/client-certs");
    let (crt, key, _) = made();
    fs::write(pair.join("ann.pem"), crt).expect("written");
    fs::write(pair.join("ann.key"), key).expect("written");
    assert!(dial(&hall, "ann", certificates(&other)).is_none(), "it is nobody's");
    hears(&shown, &ann, "ann", "two");
    let again = dial(&hall, "ann", certificates(&own)).expect("the newest who shows it");
    until(|| ann.end().is_some());
    hears(&shown, &again, "ann", "three");
    let bob = dial(&hall, "bob", certificates(&shown.folder("bob"))).expect("it has its own");
    let whom = vec![("client_id", Value::Text("ann".to_owned()))];
    let told = shown.world.order(Command::ForgetCertificate, whom);
    assert_eq!(told, "{\"status\": true, \"msg\": \"\"}");
    until(|| again.end().is_some());
    let told = shown.world.order(Command::DropCertificate, Vec::new());
    assert!(told.contains("false"), "that is a client's to do: {told}");
    assert!(dial(&hall, "ann", certificates(&own)).is_none(), "it opens nothing any more");
    hears(&shown, &bob, "bob", "four");
    assert!(hall.is_there("bob") && lock(&shown.kept.0).contains_key("bob"));
}

#[test]
fn who_has_just_shown_what_is_taken_back_does_not_stay() {
    let shown = Shown::new(|dir| Security::Certificates(dir.to_owned()));
    let hall = shown.world.start();
    let own = Security::Certificates(shown.folder("own"));
    let ann = dial(&hall, "ann", own.clone()).expect("it is given one, and comes by it");
    let bob = Security::Certificates(shown.folder("bob"));
    lock(&shown.kept.1).replace(("ann".to_owned(), shown.world.setup.clone()));
    // It is taken back while it is looked up.
    let again = dial(&hall, "ann", own);
    until(|| again.as_ref().is_none_or(|it| it.end().is_some()) && ann.end().is_some());
    assert!(!hall.is_there("ann"));
    dial(&hall, "bob", bob).expect("others come as before");
}

#[test]
fn a_name_with_a_token_is_whose_the_token_is() {
    for peer in [false, true] {
        let shown = Shown::new(|dir| Security::Token {
            tokens: dir.to_owned(),
            certificates: peer.then(|| dir.to_owned()),
        });
        let hall = shown.world.start();
        let (own, other) = (shown.folder("own"), shown.folder("other"));
        let token = |dir: &Path| Security::Token {
            tokens: dir.to_owned(),
            certificates: peer.then(|| dir.to_owned()),
        };
        let ann = dial(&hall, "ann", token(&own)).expect("it is given one, and comes by it");
        hears(&shown, &ann, "ann", "one");
        assert!(dial(&hall, "ann", token(&other)).is_none(), "the name has one");
        fs::write(other.join("ann"), "guessed").expect("written");
        assert!(dial(&hall, "ann", token(&other)).is_none(), "another token");
        assert!(dial(&hall, "ann", Security::AllowAll).is_none(), "a hello is not enough");
        hears(&shown, &ann, "ann", "two");
        let again = dial(&hall, "ann", token(&own)).expect("the newest who shows it");
        until(|| ann.end().is_some());
        hears(&shown, &again, "ann", "three");
    }
}

#[test]
fn a_server_without_its_certificate_does_not_start() {
    let shown = Shown::new(|dir| Security::Certificates(dir.to_owned()));
    fs::remove_file(shown.world.dir.join("certificates/server/server-cert/server.key"))
        .expect("it");
    assert!(super::Connector::start(shown.world.setup.clone()).is_err());
}
