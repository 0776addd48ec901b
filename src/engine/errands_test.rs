//! Floor 4. Connectors that show certificates, driven by hand: what is asked about them, and what
//! they may do before and after the answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rcgen::CertifiedKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::base::id::{ConnId, ListenerNo, RealmId, Ticket};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::{MS, Now};
use crate::hub::message::Durability;
use crate::hub::policy::{Address, Event, Observer, Open};
use crate::hub::{Hub, Parts};
use crate::link::Terms;
use crate::link::tls::{Config, Tls, Toward, Trusted};
use crate::proto::aio::errand::{Desk, Errand, Ran};
use crate::proto::aio::inner::{self, Meaning};
use crate::proto::aio::packet::Id;
use crate::proto::aio::{Frame, Name, Text, encode_vec, next};
use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;
use crate::proto::{Listener, Speak};

use super::{Completion, Effect, Engine};

struct Quiet;
impl Observer for Quiet {
    fn see(&mut self, _: Now, _: &Event<'_>) {}
}

/// A certificate that signs itself, and its key.
struct Pair {
    crt: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let CertifiedKey { cert, signing_key } = made;
        Self { crt: cert.pem(), key: signing_key.serialize_pem() }
    }

    fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(CertificateDer::from_pem_slice(self.crt.as_bytes()).unwrap()).into()
    }
}

struct Bench {
    engine: Engine,
    now: Now,
    server: Pair,
}

/// A client, and what it has heard and not looked at.
struct Client {
    conn: ConnId,
    tls: Tls,
    clear: BytesMut,
}

const HERE: Address = Address::V4([127, 0, 0, 1]);

impl Bench {
    fn new(tokens: bool) -> Self {
        let server = Pair::new();
        let tls = Config::of_connectors(server.crt.as_bytes(), server.key.as_bytes()).unwrap();
        let desk = Desk {
            certificates: Some("certificates".into()),
            tokens: tokens.then(|| "tokens".into()),
            files: Some("files".into()),
            ..Desk::default()
        };
        let listener = Listener {
            relay: None,
            desk: Some(Arc::new(desk)),
            no: ListenerNo(0),
            speak: Speak::Aio,
            realm: RealmId(0),
            level: Durability::Memory,
            link: Terms { tls: Some(tls), ..Terms::default() },
        };
        let parts = Parts {
            limits: Limits::default(),
            seed: 7,
            realms: vec!["main".into()],
            policy: Box::new(Open),
            observer: Box::new(Quiet),
        };
        let engine = Engine::new(Hub::new(parts), vec![listener], 7);
        Self { engine, now: Now { mono: 1_000 * MS, wall: 1_700_000_000_000 }, server }
    }

    /// A client that shows this comes, and the handshake is done as far as it goes.
    fn come(&mut self, own: Option<&Pair>) -> Client {
        let own = own.map(|own| (own.crt.as_bytes(), own.key.as_bytes()));
        let trusted = Trusted { ca: self.server.crt.as_bytes(), machines: false, own };
        let toward = Toward::new(&trusted, "localhost").unwrap();
        let conn = self.engine.on_accept(self.now, 0, HERE, true).unwrap();
        let mut client =
            Client { conn, tls: Tls::toward(&toward).unwrap(), clear: BytesMut::new() };
        self.turn(&mut client);
        client
    }

    /// What both have to say goes to and fro until nobody has anything to say.
    fn turn(&mut self, client: &mut Client) {
        for _ in 0..8 {
            let mut out = Outbound::default();
            client.tls.drain(&mut out);
            self.engine.on_bytes(self.now, client.conn, &mut BytesMut::from(&out.to_vec()[..]));
            while let Some(who) = self.engine.poll_dirty() {
                let mut out = Outbound::default();
                self.engine.poll_transmit(self.now, who, &mut out);
                if who == client.conn {
                    let _ = client.tls.take(self.now, &out.to_vec(), &mut client.clear);
                }
            }
        }
    }

    fn say(&mut self, client: &mut Client, frame: &Frame) {
        let mut out = Outbound::default();
        out.put_slice(&encode_vec(frame).unwrap());
        client.tls.seal(&out, usize::MAX);
        self.turn(client);
    }

    fn mean(&mut self, client: &mut Client, meaning: &Meaning, source: &str) {
        self.say(client, &inner::frame(meaning, source).unwrap());
    }

    /// What is asked for now.
    fn errand(&mut self) -> Option<(Ticket, Errand)> {
        match self.engine.poll_effect(self.now)? {
            Effect::Errand { ticket, errand, .. } => Some((ticket, errand)),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, client: &mut Client, ticket: Ticket, done: Ran) {
        self.engine.on_completion(self.now, Completion::Ran { ticket, done });
        self.turn(client);
    }

    /// A client whose certificate is what the answer says.
    fn known(&mut self, own: &Pair, done: Ran) -> Client {
        let mut client = self.come(Some(own));
        let (ticket, errand) = self.errand().expect("it is asked whose that is");
        assert_eq!(errand, Errand::Identify(own.fingerprint()), "all of it is compared");
        self.answer(&mut client, ticket, done);
        client
    }

    /// Why somebody ends.
    fn end(&mut self, client: &mut Client) -> Option<Doom> {
        let (conn, doom) = self.engine.poll_doomed()?;
        let mut out = Outbound::default();
        self.engine.poll_transmit(self.now, conn, &mut out);
        let _ = client.tls.take(self.now, &out.to_vec(), &mut client.clear);
        self.engine.bury(conn);
        Some(doom)
    }

    fn fault(&mut self, client: &mut Client) -> Option<FaultKind> {
        match self.end(client)? {
            Doom::Fault(fault) => Some(fault.kind),
            other => panic!("{other:?}"),
        }
    }

    fn sessions(&self) -> Vec<Bytes> {
        self.engine.hub().sessions().map(|s| s.name().clone()).collect()
    }
}

impl Client {
    fn heard(&mut self) -> Option<Frame> {
        next(&mut self.clear, 1 << 20).unwrap()
    }
}

fn name(text: &str) -> Name {
    Name::new(&Text::from(text)).unwrap()
}

#[test]
fn who_has_a_certificate_is_in_without_a_word_and_says_nothing_for_others() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut ann = bench.known(&own, Ran::Known(name("ann")));
    assert_eq!(bench.sessions(), ["ann"]);
    bench.mean(&mut ann, &Meaning::Ping(Id::from(1)), "bob");
    assert_eq!(ann.heard(), None, "that is bob's to say");
    bench.mean(&mut ann, &Meaning::Ping(Id::from(1)), "ann");
    assert!(ann.heard().is_some());
    assert!(bench.errand().is_none() && bench.end(&mut ann).is_none());
    // Who has a name asks for no other.
    bench.mean(&mut ann, &Meaning::GetCertificate(name("ann")), "ann");
    assert_eq!(bench.fault(&mut ann), Some(FaultKind::AioFirst));
}

#[test]
fn who_shows_a_certificate_has_its_name_from_whoever_had_it() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut first = bench.known(&own, Ran::Known(name("ann")));
    let mut second = bench.known(&own, Ran::Known(name("ann")));
    assert_eq!(bench.end(&mut first), Some(Doom::TakenOver));
    bench.mean(&mut second, &Meaning::Ping(Id::from(1)), "ann");
    assert!(second.heard().is_some());
}

#[test]
fn what_it_says_before_it_is_known_waits() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut ann = bench.come(Some(&own));
    let (ticket, _) = bench.errand().unwrap();
    bench.mean(&mut ann, &Meaning::Ping(Id::from(1)), "ann");
    assert_eq!(ann.heard(), None);
    bench.answer(&mut ann, ticket, Ran::Known(name("ann")));
    assert!(ann.heard().is_some());
}

#[test]
fn a_certificate_of_nobodys_and_none_at_all_open_nothing() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut eve = bench.known(&own, Ran::Not("nobody's"));
    assert_eq!(bench.fault(&mut eve), Some(FaultKind::AioCredentials));
    let mut none = bench.come(None);
    assert_eq!(bench.fault(&mut none), Some(FaultKind::TlsNoCertificate));
    assert!(bench.errand().is_none() && bench.sessions().is_empty());
}

#[test]
fn the_default_certificate_is_good_for_one_of_its_own_and_nothing_else() {
    let (mut bench, default) = (Bench::new(false), Pair::new());
    for said in [
        Meaning::Hello { tls: true, name: name("ann") },
        Meaning::Hello { tls: false, name: name("ann") },
        Meaning::Authenticate(name("ann"), "t".into()),
        Meaning::GetToken(name("ann")),
        Meaning::Ping(Id::from(1)),
    ] {
        let mut guest = bench.known(&default, Ran::Default);
        bench.mean(&mut guest, &said, "ann");
        assert!(bench.fault(&mut guest).is_some() && guest.heard().is_none(), "{said:?}");
        assert!(bench.errand().is_none(), "{said:?}");
    }
    let mut guest = bench.known(&default, Ran::Default);
    bench.mean(&mut guest, &Meaning::GetCertificate(name("ann")), "ann");
    let (ticket, errand) = bench.errand().unwrap();
    assert_eq!(errand, Errand::Certify(name("ann")));
    let (crt, key) = (Text::from("C"), "K".into());
    bench.answer(&mut guest, ticket, Ran::Certified { crt, key });
    assert_eq!(bench.end(&mut guest), Some(Doom::Left));
    let given = guest.heard().unwrap();
    assert_eq!(&given.data[..], br#"{"cmd": "set_new_certificate", "crt": "C", "key": "K"}"#);
    let mut guest = bench.known(&default, Ran::Default);
    bench.mean(&mut guest, &Meaning::GetCertificate(name("ann")), "ann");
    let (ticket, _) = bench.errand().unwrap();
    bench.answer(&mut guest, ticket, Ran::Not("not listed"));
    assert_eq!(bench.fault(&mut guest), Some(FaultKind::AioEnrol));
    assert!(bench.sessions().is_empty());
}

#[test]
fn where_tokens_are_kept_the_default_certificate_is_needed_beside_them() {
    let (mut bench, own) = (Bench::new(true), Pair::new());
    let mut ann = bench.known(&own, Ran::Known(name("ann")));
    assert_eq!(bench.fault(&mut ann), Some(FaultKind::AioCredentials), "a token is wanted");
    let mut guest = bench.known(&own, Ran::Default);
    bench.mean(&mut guest, &Meaning::GetCertificate(name("ann")), "ann");
    assert_eq!(bench.fault(&mut guest), Some(FaultKind::AioEnrol));
    let mut guest = bench.known(&own, Ran::Default);
    bench.mean(&mut guest, &Meaning::Authenticate(name("ann"), "t".into()), "ann");
    let (ticket, errand) = bench.errand().unwrap();
    assert_eq!(errand, Errand::Compare(name("ann"), "t".into()));
    bench.answer(&mut guest, ticket, Ran::Right);
    assert_eq!(bench.sessions(), ["ann"]);
    assert!(guest.heard().is_some(), "it is told so");
}

#[test]
fn an_answer_to_who_is_gone_finds_nobody() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut ann = bench.come(Some(&own));
    let (ticket, _) = bench.errand().unwrap();
    bench.engine.on_closed(bench.now, ann.conn, true);
    assert!(bench.end(&mut ann).is_some());
    bench.answer(&mut ann, ticket, Ran::Known(name("ann")));
    assert!(bench.sessions().is_empty());
}

/// The beginning of a frame whose file is longer than a packet, and of that file.
fn half_of_a_long_one() -> Vec<u8> {
    let mut frame = Frame::of("any", "ann").with("data");
    let with_file = &b"{\"dst_type\": \"any\", \"dst_name\": \"n\"}"[..];
    frame.header.with_file = Some(Bytes::from_static(with_file));
    frame.binary = Bytes::from(vec![7; LONG]);
    let mut bytes = encode_vec(&frame).unwrap();
    bytes.truncate(bytes.len() - LONG + 10);
    bytes
}

const LONG: usize = 2 << 20;

#[test]
fn who_goes_within_a_long_file_has_it_given_up() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut ann = bench.known(&own, Ran::Known(name("ann")));
    let mut out = Outbound::default();
    out.put_slice(&half_of_a_long_one());
    ann.tls.seal(&out, usize::MAX);
    bench.turn(&mut ann);
    let (opened, errand) = bench.errand().unwrap();
    assert!(matches!(errand, Errand::Open { size, .. } if size == LONG as u64), "{errand:?}");
    let (_, piece) = bench.errand().unwrap();
    assert_eq!(piece, Errand::Piece(Bytes::from_static(&[7; 10])));
    bench.engine.on_closed(bench.now, ann.conn, true);
    let (abandoned, errand) = bench.errand().expect("nothing of it may be left");
    assert_eq!((abandoned.conn, errand), (opened.conn, Errand::Abandon));
    assert!(bench.end(&mut ann).is_some() && bench.errand().is_none());
}

#[test]
fn of_a_long_file_no_more_is_under_way_than_a_packet_may_have() {
    let (mut bench, own) = (Bench::new(false), Pair::new());
    let mut ann = bench.known(&own, Ran::Known(name("ann")));
    let most = Limits::default().packet_bytes_max;
    let mut rest = half_of_a_long_one();
    rest.resize(rest.len() + LONG - 10, 7);
    let (mut under_way, mut came, mut pieces) = (Vec::new(), 0, 0);
    for part in rest.chunks(100_000) {
        let mut out = Outbound::default();
        out.put_slice(part);
        ann.tls.seal(&out, usize::MAX);
        let mut bytes = Outbound::default();
        ann.tls.drain(&mut bytes);
        while !bench.engine.wants_bytes(ann.conn) {
            assert!(under_way.iter().map(|(_, len)| len).sum::<usize>() <= most);
            assert!(under_way.len() <= 16, "a few");
            assert!(!under_way.is_empty(), "it waits for something");
            let (ticket, _) = under_way.remove(0);
            bench.answer(&mut ann, ticket, Ran::Taken);
            gather(&mut bench, &mut under_way, &mut came, &mut pieces);
        }
        bench.engine.on_bytes(bench.now, ann.conn, &mut BytesMut::from(&bytes.to_vec()[..]));
        gather(&mut bench, &mut under_way, &mut came, &mut pieces);
    }
    while !under_way.is_empty() {
        let (ticket, _) = under_way.remove(0);
        bench.answer(&mut ann, ticket, Ran::Taken);
        if came < LONG {
            gather(&mut bench, &mut under_way, &mut came, &mut pieces);
        }
    }
    assert_eq!(came, LONG, "all of it in {pieces} pieces");
    let (ticket, errand) = bench.errand().unwrap();
    assert_eq!(errand, Errand::Close);
    assert!(!bench.engine.wants_bytes(ann.conn), "what is behind it waits");
    bench.answer(&mut ann, ticket, Ran::Stored);
    assert!(bench.engine.wants_bytes(ann.conn));
}

/// What is asked for now is under way.
fn gather(
    bench: &mut Bench,
    under_way: &mut Vec<(Ticket, usize)>,
    came: &mut usize,
    pieces: &mut usize,
) {
    while let Some((ticket, errand)) = bench.errand() {
        let len = match errand {
            Errand::Open { .. } => 0,
            Errand::Piece(piece) => piece.len(),
            other => panic!("{other:?}"),
        };
        *came += len;
        *pieces += 1;
        under_way.push((ticket, len));
    }
}
