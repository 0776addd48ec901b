//! Floor 5. Names that are looked up and given out, and files that find their place.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::*;
use crate::base::base64;
use crate::proto::aio::Text;
use crate::proto::aio::errand::Fingerprint;
use crate::proto::aio::file::{CHUNK, Chunk, WithFile};

/// A folder of this test's own, which goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let own = format!("spindle-clerk-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(own);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// One with the folders of aioconnectors in it.
    fn of_certificates(name: &str) -> Self {
        let dir = Self::new(name);
        fs::create_dir_all(dir.clients().join("symlinks")).unwrap();
        dir
    }

    fn clients(&self) -> PathBuf {
        self.0.join("certificates/server/client-certs")
    }

    fn text(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// What lies in it.
    fn list(&self, below: &str) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let all = fs::read_dir(self.0.join(below)).unwrap().map(name);
        let mut all: Vec<String> = all.map(Result::unwrap).collect();
        all.sort();
        all
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(text: &str) -> Name {
    Name::new(&Text::from(text)).unwrap()
}

fn conn(index: u32) -> ConnId {
    ConnId { index, life: 0 }
}

fn fingerprint(pem: &str) -> Fingerprint {
    let inner: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Sha256::digest(base64::decode(inner.as_bytes()).unwrap()).into()
}

/// Something that stands where a certificate does.
fn pem(inner: &[u8]) -> String {
    let inner = base64::encode(inner);
    format!("-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n")
}

fn ask(names: &mut Names, desk: &Desk, errand: Errand) -> Ran {
    names.run(desk, (conn(0), errand), Clock::start().now())
}

fn certified(names: &mut Names, desk: &Desk, of: &str) -> Option<String> {
    match ask(names, desk, Errand::Certify(name(of))) {
        Ran::Certified { crt, .. } => Some(crt.as_str().to_owned()),
        Ran::Not(_) => None,
        other => panic!("{other:?}"),
    }
}

fn keeps(dir: &Dir) -> Desk {
    Desk { certificates: Some(dir.text("")), enrol: Enrol::Anyone, ..Desk::default() }
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_that_was_given_out_is_its_clients_until_it_is_deleted() {
    let dir = Dir::of_certificates("given");
    let (mut names, desk) = (Names::default(), keeps(&dir));
    let shown = |pem: &str| Errand::Identify(fingerprint(pem));
    let ann = certified(&mut names, &desk, "ann").unwrap();
    let bob = certified(&mut names, &desk, "bob").unwrap();
    assert_eq!(ask(&mut names, &desk, shown(&ann)), Ran::Known(name("ann")));
    assert_eq!(ask(&mut names, &desk, shown(&bob)), Ran::Known(name("bob")));
    assert_eq!(certified(&mut names, &desk, "ann"), None, "it has one");
    assert!(!dir.list("certificates/server/client-certs").contains(&"ann.key".to_owned()));
    fs::remove_file(dir.clients().join("ann.pem")).unwrap();
    assert!(matches!(ask(&mut names, &desk, shown(&ann)), Ran::Not(_)), "it was deleted");
    // Another in its place is another.
    fs::write(dir.clients().join("ann.pem"), &bob).unwrap();
    assert!(matches!(ask(&mut names, &desk, shown(&ann)), Ran::Not(_)), "it was replaced");
    for link in fs::read_dir(dir.clients().join("symlinks")).unwrap() {
        fs::remove_file(link.unwrap().path()).unwrap();
    }
    assert!(matches!(ask(&mut names, &desk, shown(&bob)), Ran::Not(_)), "it is linked no more");
}

#[test]
fn a_certificate_that_is_overwritten_where_it_stands_is_nobodys() {
    let dir = Dir::of_certificates("overwritten");
    let (mut names, desk) = (Names::default(), keeps(&dir));
    let own = dir.clients().join("ann.pem");
    fs::write(&own, pem(b"ann")).unwrap();
    symlink("../ann.pem", dir.clients().join("symlinks/ann.0")).unwrap();
    // So long after the folders were changed they are not read again.
    let now = Clock::start().now();
    let later = Now { wall: now.wall + 3_600_000, ..now };
    let who = || (conn(0), Errand::Identify(Sha256::digest(b"ann").into()));
    let mut whose = || names.run(&desk, who(), later);
    assert_eq!(whose(), Ran::Known(name("ann")));
    fs::write(&own, pem(b"another")).unwrap();
    assert!(matches!(whose(), Ran::Not(_)));
}

#[test]
fn what_is_not_linked_to_is_not_trusted_and_a_default_one_is_nobodys() {
    let dir = Dir::of_certificates("links");
    let (mut names, desk) = (Names::default(), keeps(&dir));
    let other = dir.0.join("other.pem");
    fs::write(&other, pem(b"other")).unwrap();
    for (of, to) in [("default", "../default.pem"), ("ann", "../ann.pem"), ("bob", "")] {
        fs::write(dir.clients().join(format!("{of}.pem")), pem(of.as_bytes())).unwrap();
        if !to.is_empty() {
            symlink(to, dir.clients().join(format!("symlinks/{of}.0"))).unwrap();
        }
    }
    symlink("../../../../other.pem", dir.clients().join("symlinks/x.0")).unwrap();
    let mut whose = |inner: &[u8]| {
        let shown = Errand::Identify(Sha256::digest(inner).into());
        ask(&mut names, &desk, shown)
    };
    assert_eq!(whose(b"default"), Ran::Default);
    assert_eq!(whose(b"ann"), Ran::Known(name("ann")));
    for stranger in [&b"bob"[..], b"other", b"nobody"] {
        assert!(matches!(whose(stranger), Ran::Not(_)), "{stranger:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn who_is_not_listed_is_given_nothing_and_a_line_more_is_enough() {
    let dir = Dir::of_certificates("listed");
    let mut names = Names::default();
    let mut desk = Desk { enrol: Enrol::default(), ..keeps(&dir) };
    assert_eq!(certified(&mut names, &desk, "ann"), None, "nothing else was said");
    desk.enrol = Enrol::Listed(dir.text("list"));
    assert_eq!(certified(&mut names, &desk, "ann"), None, "there is no list");
    fs::write(dir.0.join("list"), "anna\nbob\n").unwrap();
    assert_eq!(certified(&mut names, &desk, "ann"), None, "the beginning of a name is none");
    assert!(certified(&mut names, &desk, "bob").is_some());
    fs::write(dir.0.join("list"), "anna\nbob\nann\n").unwrap();
    assert!(certified(&mut names, &desk, "ann").is_some());
    assert!(matches!(ask(&mut names, &desk, Errand::Token(name("ann"))), Ran::Not(_)), "no file");
}

#[test]
fn a_token_is_its_clients_alone_and_kept_as_a_digest_for_nobody_else_to_read() {
    let dir = Dir::new("tokens");
    let mut names = Names::default();
    let tokens = Some(dir.text("tokens.json"));
    let desk = Desk { tokens, enrol: Enrol::Anyone, ..Desk::default() };
    let give = |names: &mut Names, of: &str| match ask(names, &desk, Errand::Token(name(of))) {
        Ran::Given(token) => Some(token.reveal().to_owned()),
        _ => None,
    };
    let ann = give(&mut names, "ann").unwrap();
    let bob = give(&mut names, "bob").unwrap();
    assert!(ann.len() == 64 && ann != bob);
    assert_eq!(give(&mut names, "ann"), None, "it has one");
    let shows = |names: &mut Names, of: &str, token: &str| {
        ask(names, &desk, Errand::Compare(name(of), token.into())) == Ran::Right
    };
    assert!(shows(&mut names, "ann", &ann) && shows(&mut names, "bob", &bob));
    for (of, token) in [("ann", &bob), ("bob", &ann), ("eve", &ann), ("ann", &String::new())] {
        assert!(!shows(&mut names, of, token), "{of}");
    }
    let path = dir.0.join("tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&ann), "the token itself is nowhere");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(!shows(&mut names, "ann", &ann), "others may read it");
    fs::remove_file(&path).unwrap();
    assert!(!shows(&mut names, "ann", &ann), "it was deleted");
}

/// What may wait for others.
const ROOM: Room = Room { bytes: 100, ms: 1_000 };

struct Files {
    dir: Dir,
    folders: Folders,
}

impl Files {
    fn new(name: &str) -> Self {
        let dir = Dir::new(name);
        fs::create_dir_all(dir.0.join("files/any")).unwrap();
        Self { dir, folders: Folders::new(7, Most::default(), ROOM) }
    }

    fn desk(&self) -> Desk {
        Desk { files: Some(self.dir.text("files")), ..Desk::default() }
    }

    fn come(&mut self, with: WithFile, content: &'static [u8]) -> bool {
        let content = Bytes::from_static(content);
        let errand = Errand::Store { from: name("ann"), with: Box::new(with), content };
        let desk = self.desk();
        self.folders.run(&desk, (conn(0), errand), Now::default()) == Ran::Stored
    }
}

fn with(kind: &str, place: &str) -> WithFile {
    WithFile { dst_type: kind.into(), dst_name: place.into(), ..WithFile::default() }
}

#[test]
fn a_file_is_there_when_it_is_whole_and_replaces_nothing() {
    let mut it = Files::new("whole");
    assert!(it.come(with("any", "sub/a.txt"), b"content"));
    assert!(it.come(with("any", "empty"), b""));
    assert!(!it.come(with("any", "empty"), b"again"), "it is there");
    assert_eq!(fs::read(it.dir.0.join("files/any/sub/a.txt")).unwrap(), b"content");
    assert_eq!(fs::read(it.dir.0.join("files/any/empty")).unwrap(), b"");
    assert_eq!(it.dir.list("files/any"), ["empty", "sub"]);
    let failed = WithFile { file_error: Some("no".into()), ..with("any", "b") };
    assert!(!it.come(failed, b""), "there was no file");
}

#[test]
fn a_file_is_the_brokers_whatever_owner_its_sender_wishes() {
    let mut it = Files::new("owner");
    for (place, owner) in [("a", None), ("b", Some("nobody:nogroup")), ("c", Some("65534"))] {
        let with = WithFile { owner: owner.map(Text::from), ..with("any", place) };
        assert!(it.come(with, b"x"), "{owner:?}");
    }
    let whose = |place: &str| {
        let found = fs::metadata(it.dir.0.join("files/any").join(place)).unwrap();
        (found.uid(), found.gid(), found.mode())
    };
    assert_eq!(whose("b"), whose("a"));
    assert_eq!(whose("c"), whose("a"));
    assert_eq!(whose("a").2 & 0o7137, 0, "its group may read it, and nobody may run it");
}

#[test]
fn nothing_is_stored_where_a_link_leads_or_a_name_goes_up_or_no_folder_is() {
    let mut it = Files::new("hostile");
    fs::create_dir(it.dir.0.join("other")).unwrap();
    symlink("../../other", it.dir.0.join("files/any/link")).unwrap();
    symlink("../../other/b", it.dir.0.join("files/any/b")).unwrap();
    symlink("../other", it.dir.0.join("files/linked")).unwrap();
    for place in ["link/a", "b", "../a", "../../a", "/tmp/a", "a/../../b", "~/a", "", "a\0", "a\n"]
    {
        assert!(!it.come(with("any", place), b"x"), "{place:?}");
    }
    for kind in ["linked", "new", "..", ".", "", "any/..", "../other", "/tmp"] {
        assert!(!it.come(with(kind, "a"), b"x"), "{kind:?}");
    }
    assert!(!it.come(with("any", ".spindle-0.part"), b"x"), "what is not whole is called so");
    assert_eq!(it.dir.list("other"), [""; 0]);
    assert_eq!(it.dir.list("files"), ["any", "linked"]);
    assert_eq!(it.dir.list("files/any"), ["b", "link"]);
}

#[test]
fn parts_are_joined_by_their_numbers_and_given_up_in_time() {
    let mut it = Files::new("parts");
    fs::write(it.dir.0.join("files/any/.spindle-old.part"), b"old").unwrap();
    let part = |index: u32, count: u32, of: &str| {
        let base = format!("{of}{CHUNK}");
        let chunked = Chunk { base: base.as_str().into(), index, count };
        WithFile { chunked: Some(chunked), ..with("any", &format!("{base}_{index}_{count}")) }
    };
    let digits: [&[u8]; 11] = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"X"];
    for index in [2, 10, 1, 3, 5, 4, 6, 9, 8] {
        assert!(it.come(part(index, 10, "a"), digits[index as usize]));
    }
    assert!(!it.dir.list("files/any").contains(&".spindle-old.part".to_owned()), "nobody's");
    assert!(it.come(part(7, 10, "a"), b"7"));
    assert_eq!(fs::read(it.dir.0.join("files/any/a")).unwrap(), b"123456789X");
    assert_eq!(it.dir.list("files/any"), ["a"]);
    assert!(it.come(part(1, 2, "late"), b"x"));
    assert_eq!(it.dir.list("files/any").len(), 2);
    let until = it.folders.on_time(Now::default()).unwrap();
    assert_eq!(it.folders.on_time(Now { mono: until.0, wall: 0 }), None);
    assert_eq!(it.dir.list("files/any"), ["a"]);
}

impl Files {
    /// What comes over this connection, in pieces.
    fn over(&mut self, index: u32, errand: Errand) -> Ran {
        let desk = self.desk();
        self.folders.run(&desk, (conn(index), errand), Now::default())
    }

    fn open(&mut self, index: u32, place: &str, size: u64) -> Ran {
        let (from, with) = (name("ann"), Box::new(with("any", place)));
        self.over(index, Errand::Open { from, with, size, keep: true, pass: false })
    }

    fn piece(&mut self, index: u32, piece: &'static [u8]) -> Ran {
        self.over(index, Errand::Piece(Bytes::from_static(piece)))
    }
}

#[test]
fn a_file_comes_in_pieces_over_its_own_connection_and_is_there_at_the_end() {
    let mut it = Files::new("pieces");
    assert_eq!((it.open(1, "a", 4), it.open(2, "b", 2)), (Ran::Taken, Ran::Taken));
    for (index, piece) in [(1, &b"1"[..]), (2, b"x"), (1, b"23"), (2, b"y"), (1, b"4")] {
        assert_eq!(it.piece(index, piece), Ran::Taken);
    }
    assert!(!it.dir.list("files/any").contains(&"a".to_owned()), "it is not said to be whole");
    assert_eq!((it.over(1, Errand::Close), it.over(2, Errand::Close)), (Ran::Stored, Ran::Stored));
    assert_eq!(fs::read(it.dir.0.join("files/any/a")).unwrap(), b"1234");
    assert_eq!(fs::read(it.dir.0.join("files/any/b")).unwrap(), b"xy");
    assert_eq!(it.dir.list("files/any"), ["a", "b"]);
    assert!(matches!(it.over(1, Errand::Close), Ran::Not(_)), "once");
    assert!(matches!(it.piece(1, b"x"), Ran::Not(_)));
    assert_eq!(it.open(1, "c", 9), Ran::Taken, "then another may come");
}

#[test]
fn what_is_not_ended_or_is_not_as_long_as_was_said_leaves_nothing_behind() {
    let mut it = Files::new("pieces-left");
    assert_eq!((it.open(1, "a", 4), it.piece(1, b"12")), (Ran::Taken, Ran::Taken));
    it.over(1, Errand::Abandon);
    assert_eq!(it.dir.list("files/any"), [""; 0], "its sender is gone");
    assert_eq!((it.open(1, "a", 4), it.piece(1, b"12")), (Ran::Taken, Ran::Taken));
    assert!(matches!(it.over(1, Errand::Close), Ran::Not(_)), "it is shorter");
    assert_eq!((it.open(1, "a", 1), it.piece(1, b"1")), (Ran::Taken, Ran::Taken));
    assert!(matches!(it.piece(1, b"2"), Ran::Not(_)), "it is longer");
    assert!(matches!(it.over(1, Errand::Close), Ran::Not(_)), "it was given up");
    assert!(matches!(it.open(1, "../a", 1), Ran::Not(_)), "it may not come at all");
    assert!(matches!(it.piece(1, b"1"), Ran::Not(_)));
    assert_eq!(it.dir.list("files/any"), [""; 0]);
}

#[test]
fn a_file_that_comes_in_pieces_has_a_bound_too() {
    let mut it = Files::new("pieces-bound");
    it.folders = Folders::new(7, Most { file: 6, ..Most::default() }, ROOM);
    assert!(matches!(it.open(1, "a", 7), Ran::Not(_)));
    assert_eq!(it.open(1, "a", 6), Ran::Taken);
}

#[test]
fn every_errand_is_answered_once_and_a_large_file_keeps_no_name_waiting() {
    let dir = Dir::new("threads");
    let (sender, answers) = unbounded();
    let answer = move |done| match done {
        Completion::Ran { ticket, done } => sender.send((ticket.serial, done)).unwrap_or(()),
        other => panic!("{other:?}"),
    };
    let bounds = Bounds { most: Most::default(), room: ROOM, folders: Vec::new() };
    let clerk = Clerk::start(1, bounds, answer).unwrap();
    let desk = Arc::new(Desk {
        tokens: Some(dir.text("tokens.json")),
        enrol: Enrol::Anyone,
        ..Desk::default()
    });
    let conn = conn(0);
    for serial in 0..4 {
        let ticket = Ticket { conn, serial };
        clerk.submit((ticket, Arc::clone(&desk), Errand::Token(name("ann"))));
    }
    let mut all: Vec<_> = answers.iter().take(4).collect();
    drop(clerk);
    assert!(matches!(all.remove(0), (0, Ran::Given(_))));
    assert_eq!(all, [1, 2, 3].map(|serial| (serial, Ran::Not("refused"))));
    assert_eq!(answers.iter().count(), 0);
}

#[cfg(feature = "tls")]
#[test]
fn what_is_forgotten_opens_nothing_and_may_be_given_again() {
    let dir = Dir::of_certificates("forgotten");
    let register = Register::new(keeps(&dir));
    let give = || match register.run(Errand::Certify(name("ann"))) {
        Ran::Certified { crt, .. } => Some(crt.as_str().to_owned()),
        _ => None,
    };
    let whose = |pem: &str| register.run(Errand::Identify(fingerprint(pem)));
    let first = give().unwrap();
    assert_eq!((whose(&first), give()), (Ran::Known(name("ann")), None));
    register.forget(&name("ann"), true).unwrap();
    assert!(matches!(whose(&first), Ran::Not(_)), "it is linked no more");
    assert_eq!(give(), None, "it is there still");
    register.forget(&name("ann"), false).unwrap();
    assert!(register.forget(&name("ann"), false).is_err(), "it has none");
    let second = give().unwrap();
    assert_eq!(whose(&second), Ran::Known(name("ann")));
    assert!(matches!(whose(&first), Ran::Not(_)));
    assert_eq!(dir.list("certificates/server/client-certs/symlinks").len(), 1);
}

#[test]
fn a_token_that_is_forgotten_opens_nothing() {
    let dir = Dir::new("tokens-forgotten");
    let tokens = Some(dir.text("tokens.json"));
    let register = Register::new(Desk { tokens, enrol: Enrol::Anyone, ..Desk::default() });
    let give = |of: &str| match register.run(Errand::Token(name(of))) {
        Ran::Given(token) => token,
        other => panic!("{other:?}"),
    };
    let (ann, bob) = (give("ann"), give("bob"));
    register.forget(&name("ann"), false).unwrap();
    assert!(register.forget(&name("ann"), false).is_err());
    let right = |of: &str, token| register.run(Errand::Compare(name(of), token)) == Ran::Right;
    assert!(!right("ann", ann) && right("bob", bob));
}
