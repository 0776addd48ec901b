//! Floor 1. TLS on the way out, against our own server's side: two links and two buffers.

use bytes::{Bytes, BytesMut};

use super::tls::{ClientCert, Config, Materials, Toward, Trusted, Unusable};
use super::tls_test::{Authority, Cast, NOW};
use super::{Flaw, Heard, Link, Terms};
use crate::base::limits::Limits;
use crate::base::outbound::Outbound;
use crate::base::time::Now;

/// One end.
struct End {
    link: Link,
    terms: Terms,
    /// What it has yet to say, and whether that is all it ever says.
    words: Bytes,
    last: bool,
    heard: Vec<u8>,
    all: Heard,
}

impl End {
    fn new(link: Link, terms: Terms) -> Self {
        let (words, heard, all) = (Bytes::new(), Vec::new(), Heard::default());
        Self { link, terms, words, last: false, heard, all }
    }

    /// What goes over the wire now; and whether nothing ever follows.
    fn say(&mut self) -> (Vec<u8>, bool) {
        let open = self.link.is_open();
        let Link::Wrapped(it) = &mut self.link else { panic!("it is wrapped") };
        let (mut out, mut spare) = (Outbound::default(), Outbound::default());
        it.speak(&mut out, &mut spare, 65_536, None, |out| {
            assert!(open, "nobody is asked before");
            out.put_bytes(&std::mem::take(&mut self.words));
            if std::mem::take(&mut self.last) {
                out.end();
            }
            false
        });
        (out.to_vec(), out.is_last())
    }

    fn hear(&mut self, now: Now, bytes: &[u8]) {
        let (mut chunk, mut spare) = (BytesMut::from(bytes), BytesMut::new());
        let heard =
            self.link.on_bytes(now, &mut chunk, &mut spare, &self.terms, &Limits::default());
        self.heard.extend_from_slice(&chunk);
        assert!(!(self.all.opened && heard.opened), "it opens once");
        self.all.opened |= heard.opened;
        self.all.ended |= heard.ended;
        self.all.flaw = self.all.flaw.or(heard.flaw);
    }
}

/// The relay's end, and the server's.
fn ends(materials: &Materials<'_>, toward: Toward) -> (End, End) {
    let terms = Terms { tls: Some(Config::new(materials).unwrap()), ..Terms::default() };
    let server = End::new(Link::new(&terms, None).unwrap(), terms);
    let terms = Terms { toward: vec![None, Some(toward)], ..Terms::default() };
    assert!(matches!(Link::toward(&terms, 0), Ok(Link::Plain)));
    let own = End::new(Link::toward(&terms, 1).unwrap(), terms);
    (own, server)
}

/// Until nobody has anything to say; whether each has said its last.
fn talk(now: Now, (own, server): (&mut End, &mut End)) -> (bool, bool) {
    let mut last = (false, false);
    for _ in 0..20 {
        let (up, up_last) = own.say();
        server.hear(now, &up);
        let (down, down_last) = server.say();
        if own.all.flaw.is_none() {
            own.hear(now, &down);
        }
        last = (last.0 | up_last, last.1 | down_last);
        if up.is_empty() && down.is_empty() {
            return last;
        }
    }
    panic!("they never stop");
}

fn trusting(house: &Authority) -> Trusted<'_> {
    Trusted { ca: house.pem.as_bytes(), machines: false, own: None }
}

#[test]
fn both_ends_open_once_and_each_half_ends_by_itself() {
    let cast = Cast::new();
    let toward = Toward::new(&trusting(&cast.house), "localhost").unwrap();
    let (mut own, mut server) = ends(&cast.materials(), toward);
    assert!(!own.link.is_open() && !server.link.is_open());
    own.words = Bytes::from_static(b"REQ 1\n");
    talk(NOW, (&mut own, &mut server));
    assert!(own.all.opened && server.all.opened);
    assert_eq!((&server.heard[..], server.all.ended), (&b"REQ 1\n"[..], false));
    own.last = true;
    assert_eq!(talk(NOW, (&mut own, &mut server)), (true, false));
    assert_eq!((server.all.ended, own.all.ended), (true, false), "one half");
    (server.words, server.last) = (Bytes::from_static(b"ACK 1\n"), true);
    assert_eq!(talk(NOW, (&mut own, &mut server)), (false, true));
    assert_eq!((&own.heard[..], own.all.ended), (&b"ACK 1\n"[..], true));
    assert_eq!((own.all.flaw, server.all.flaw), (None, None));
}

#[test]
fn whoever_cannot_be_believed_has_its_name() {
    let cast = Cast::new();
    let stranger = Authority::new("stranger");
    let why = |now: Now, trusted: &Trusted<'_>, name: &str, materials: &Materials<'_>| {
        let (mut own, mut server) = ends(materials, Toward::new(trusted, name).unwrap());
        own.words = Bytes::from_static(b"REQ 1\n");
        talk(now, (&mut own, &mut server));
        assert!(own.all.flaw.is_none() || server.heard.is_empty(), "nothing is said to it");
        own.all.flaw
    };
    let late = Now { mono: 1, wall: 3_000_000_000_000 };
    let house = trusting(&cast.house);
    assert_eq!(why(NOW, &house, "localhost", &cast.materials()), None);
    let foreign = why(NOW, &trusting(&stranger), "localhost", &cast.materials());
    assert_eq!(foreign, Some(Flaw::TlsServerUntrusted));
    assert_eq!(why(NOW, &house, "other", &cast.materials()), Some(Flaw::TlsServerName));
    let old = why(late, &house, "localhost", &cast.materials());
    assert_eq!(old, Some(Flaw::TlsServerCertificate));
    // Who asks for a certificate is shown ours, and refuses whoever has none.
    let asking = cast.asking(ClientCert::Required);
    let alice = cast.house.sign("alice", 7, 2033);
    let own = Some((alice.certificate.as_bytes(), alice.key.as_bytes()));
    assert_eq!(why(NOW, &Trusted { own, ..house }, "localhost", &asking), None);
    let (mut own, mut server) = ends(&asking, Toward::new(&house, "localhost").unwrap());
    talk(NOW, (&mut own, &mut server));
    assert_eq!(server.all.flaw, Some(Flaw::TlsNoCertificate));
    // Its alert is among its last words.
    let Link::Wrapped(it) = &mut server.link else { panic!("it is wrapped") };
    let (mut out, mut spare) = (Outbound::default(), Outbound::default());
    let last = super::Parting { code: 1002, reason: "x", late: false };
    it.speak(&mut out, &mut spare, 65_536, Some(last), |_| false);
    own.hear(NOW, &out.to_vec());
    assert_eq!(own.all.flaw, Some(Flaw::TlsServerAlert));
}

#[test]
fn what_is_no_tls_has_its_name() {
    let cast = Cast::new();
    let toward = Toward::new(&trusting(&cast.house), "localhost").unwrap();
    let (mut own, _) = ends(&cast.materials(), toward);
    own.hear(NOW, b"ACK 1 what is this\n");
    assert_eq!((own.all.flaw, &own.heard[..]), (Some(Flaw::TlsServerBroken), &b""[..]));
}

#[test]
fn what_nobody_can_be_reached_by_is_refused() {
    let cast = Cast::new();
    let house = trusting(&cast.house);
    let why = |trusted: &Trusted<'_>, name: &str| Toward::new(trusted, name).unwrap_err();
    assert_eq!(why(&house, "not a name"), Unusable::Name);
    assert!(matches!(why(&Trusted { ca: b"", ..house }, "h"), Unusable::Ca(_)));
    let other = cast.house.sign("alice", 7, 2033);
    let keys = [(&b"x"[..], other.key.as_bytes()), (other.certificate.as_bytes(), b"x")];
    let whys = keys.map(|own| why(&Trusted { own: Some(own), ..house }, "h"));
    assert!(matches!(whys, [Unusable::Certificate(_), Unusable::Key(_)]), "{whys:?}");
    let odd = Some((other.certificate.as_bytes(), cast.broker.key.as_bytes()));
    assert_eq!(why(&Trusted { own: odd, ..house }, "h"), Unusable::Mismatch);
    // Of a machine's own list, what cannot be understood takes nothing from the rest.
    Toward::new(&Trusted { machines: true, ..house }, "h").unwrap();
}
