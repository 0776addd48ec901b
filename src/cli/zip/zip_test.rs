//! Floor 6. Archives: what is packed comes out again, and what is meant to hurt does not.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use super::crc::Crc;
use super::inflate::inflate;
use super::pack::Packed;
use super::unpack::Unpacked;
use super::*;

/// A folder of a test's own.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spindle-zip-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    /// What lies in it.
    fn list(&self) -> Vec<String> {
        let all = fs::read_dir(&self.0).expect("a folder").flatten();
        let mut all: Vec<String> =
            all.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        all.sort();
        all
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MOST: Most = Most { bytes: 1 << 20, entries: 100 };

/// One entry of an archive that somebody has made by hand.
#[derive(Clone)]
struct Made {
    name: &'static str,
    content: &'static [u8],
    flags: u16,
    method: u16,
    /// What the heads say, if not what is so.
    size: Option<u32>,
    crc: Option<u32>,
    at: Option<u32>,
    mode: u32,
}

fn made(name: &'static str, content: &'static [u8]) -> Made {
    let (size, crc, at) = (None, None, None);
    Made { name, content, flags: UTF8, method: 0, size, crc, at, mode: 0 }
}

/// The archive of these.
fn archive(all: &[Made]) -> Vec<u8> {
    let (mut bytes, mut heads) = (Vec::new(), Vec::new());
    for it in all {
        let at = it.at.unwrap_or(bytes.len() as u32);
        let mut crc = Crc::new();
        crc.add(it.content);
        let crc = it.crc.unwrap_or_else(|| crc.end());
        let packed = it.content.len() as u32;
        let size = it.size.unwrap_or(packed);
        let mut common = Vec::new();
        for half in [20, it.flags, it.method, 0, 33] {
            common.extend(half.to_le_bytes());
        }
        for whole in [crc, packed, size] {
            common.extend(whole.to_le_bytes());
        }
        common.extend((it.name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        bytes.extend([&LOCAL.to_le_bytes()[..], &common, it.name.as_bytes(), it.content].concat());
        heads.extend([&CENTRAL.to_le_bytes()[..], &[20, 3], &common, &[0; 6]].concat());
        heads.extend((it.mode << 16).to_le_bytes());
        heads.extend(at.to_le_bytes());
        heads.extend(it.name.as_bytes());
    }
    let (count, begin) = ((all.len() as u16).to_le_bytes(), bytes.len() as u32);
    let size = (heads.len() as u32).to_le_bytes();
    bytes.extend(heads);
    bytes.extend([&END.to_le_bytes()[..], &[0; 4], &count, &count, &size].concat());
    bytes.extend(begin.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

/// Unpack these bytes in a folder of the test's own, and say what is there then.
fn unpacked(bytes: &[u8], most: Most) -> (Result<Unpacked, String>, Dir) {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let dir = Dir::new(&format!("unpacked-{number}"));
    let path = dir.0.join("a.zip");
    fs::write(&path, bytes).expect("written");
    (unpack(&path, &dir.0.join("a"), most), dir)
}

/// It is refused, and nothing of it is left.
fn refused(bytes: &[u8], most: Most) -> String {
    let (done, dir) = unpacked(bytes, most);
    let why = done.expect_err("refused");
    assert_eq!(dir.list(), ["a.zip"], "{why}");
    why
}

#[test]
fn what_is_packed_comes_out_as_it_was() {
    let dir = Dir::new("there-and-back");
    let things = dir.0.join("things");
    fs::create_dir_all(things.join("sub/empty")).expect("folders");
    let long: Vec<u8> = (0..200_000_u64).map(|n| ((n * n) >> 7) as u8).collect();
    for (name, content) in [("a", &b"content"[..]), ("sub/b \u{e9}", &long), ("sub/none", b"")] {
        fs::write(things.join(name), content).expect("written");
    }
    std::os::unix::fs::symlink("/etc/passwd", things.join("link")).expect("a link");
    let packed = |name: &str| {
        let path = dir.0.join(name);
        let done = pack(&things, &File::create(&path).expect("a file")).expect("packed");
        assert_eq!(done, Packed { entries: 5, left_out: 1 });
        path
    };
    let (first, again) = (packed("1.zip"), packed("2.zip"));
    assert_eq!(fs::read(&first).expect("there"), fs::read(again).expect("there"), "the same");
    let back = dir.0.join("back");
    let done = unpack(&first, &back, MOST).expect("good");
    assert_eq!(done, Unpacked { entries: 5, bytes: 200_007 });
    assert_eq!(fs::read(back.join("sub/b \u{e9}")).expect("there"), long);
    assert_eq!(fs::read(back.join("a")).expect("there"), b"content");
    assert!(back.join("sub/empty").is_dir() && back.join("sub/none").is_file());
    assert!(back.join("link").symlink_metadata().is_err());
    assert!(unpack(&first, &back, MOST).is_err(), "nothing is replaced");
}

#[test]
fn an_archive_of_others_is_read_with_or_without_folders_of_its_own() {
    let bytes = archive(&[made("x/y/a", b"one"), made("x/", b""), made("b", b"two")]);
    let (done, dir) = unpacked(&bytes, MOST);
    assert_eq!(done, Ok(Unpacked { entries: 3, bytes: 6 }));
    assert_eq!(fs::read(dir.0.join("a/x/y/a")).expect("there"), b"one");
    let mut remark = bytes;
    let at = remark.len() - 2;
    remark[at..].copy_from_slice(&5_u16.to_le_bytes());
    remark.extend(b"hello");
    assert!(unpacked(&remark, MOST).0.is_ok(), "a comment at the end");
    assert_eq!(unpacked(&archive(&[]), MOST).0, Ok(Unpacked::default()));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    for name in [
        "../a",
        "/tmp/a",
        "a/../../b",
        "..",
        "x/..",
        "",
        "/",
        "a//b",
        "a\\b",
        "~/a",
        "C:\\a",
        "a\0",
        "a\n",
        "\u{1b}[2J",
    ] {
        refused(&archive(&[made("good", b"x"), made(name, b"x")]), MOST);
    }
    let latin = Made { flags: 0, ..made("\u{e9}", b"x") };
    refused(&archive(&[latin]), MOST);
    refused(&archive(&[made("a", b"x"), made("a", b"y")]), MOST);
    refused(&archive(&[made("a", b"x"), made("a/b", b"y")]), MOST);
}

#[test]
fn nothing_but_files_and_folders_comes_out() {
    let of = |name, mode| archive(&[Made { mode, ..made(name, b"") }]);
    for kind in [0o120_777, 0o060_644, 0o020_644, 0o010_644, 0o140_755, FOLDER] {
        refused(&of("a", kind), MOST);
    }
    refused(&of("a/", FILE), MOST);
    assert!(unpacked(&of("a/", FOLDER | 0o755), MOST).0.is_ok());
    assert!(unpacked(&of("a", FILE | 0o600), MOST).0.is_ok());
}

#[test]
fn what_comes_out_is_bounded_by_what_is_said_and_by_what_there_is() {
    let two = archive(&[made("a", b"12345"), made("b", b"67890")]);
    assert!(unpacked(&two, Most { bytes: 10, entries: 2 }).0.is_ok());
    refused(&two, Most { bytes: 9, ..MOST });
    refused(&two, Most { entries: 1, ..MOST });
    // Eleven bytes come out of it, whatever is said.
    let mut crc = Crc::new();
    crc.add(&[b'a'; 11]);
    let deflated = |size| {
        let one = made("a", b"\x4b\x4c\x84\x03\x00");
        archive(&[Made { method: 8, size: Some(size), crc: Some(crc.end()), ..one }])
    };
    assert!(unpacked(&deflated(11), MOST).0.is_ok());
    for size in [10, 12, 1 << 19, u32::MAX] {
        refused(&deflated(size), MOST);
    }
}

#[test]
fn sums_and_lengths_must_be_what_was_said() {
    refused(&archive(&[Made { crc: Some(1), ..made("a", b"x") }]), MOST);
    refused(&archive(&[Made { size: Some(2), ..made("a", b"x") }]), MOST);
    refused(&archive(&[Made { flags: UTF8 | 1, ..made("a", b"x") }]), MOST);
    refused(&archive(&[Made { method: 12, ..made("a", b"x") }]), MOST);
    refused(&archive(&[Made { method: 8, ..made("a", b"\xff\xff") }]), MOST);
    for at in [1, 1_000, u32::MAX - 1] {
        refused(&archive(&[Made { at: Some(at), ..made("a", b"x") }]), MOST);
    }
    refused(b"", MOST);
    refused(b"no archive at all, but longer than the end of one is", MOST);
}

#[test]
fn an_archive_is_damaged_wherever_it_is_cut_and_never_worse() {
    let whole = archive(&[made("a", b"one"), made("x/", b""), made("x/b", b"two")]);
    for cut in 0..whole.len() {
        refused(&whole[..cut], MOST);
    }
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 0xff;
        // It may be good all the same: times and versions mean nothing here.
        drop(unpacked(&bent, MOST));
    }
}

/// What comes out of these bytes.
fn inflated(bytes: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut put = |piece: &[u8]| out.write_all(piece);
    inflate(bytes, size, &mut put).map_err(|e| e.to_string())?;
    Ok(out)
}

/// What zlib makes of texts: stored, with the fixed code, and with a code of their own.
const DEFLATED: &[(&str, &[u8])] = &[
    ("", &[0x03, 0x00]),
    ("hello", &[0x01, 0x05, 0x00, 0xfa, 0xff, 0x68, 0x65, 0x6c, 0x6c, 0x6f]),
    ("hello", &[0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
    ("aaaaaaaaaaa", &[0x4b, 0x4c, 0x84, 0x03, 0x00]),
    (
        "bababbbababbbbaababbaaaabababbaaabbaabbbbaaaaaa",
        &[
            0x25, 0x88, 0xb1, 0x0d, 0x00, 0x00, 0x00, 0x43, 0x6e, 0xe5, 0xff, 0x23, 0x9a, 0xe8,
            0x82, 0x10, 0x51, 0x4f, 0xc9, 0x90, 0x5f, 0x4d, 0x3f, 0x61,
        ],
    ),
];

#[test]
fn what_zlib_has_deflated_is_inflated() {
    for (text, bytes) in DEFLATED {
        let size = text.len() as u64;
        assert_eq!(inflated(bytes, size).as_deref(), Ok(text.as_bytes()), "{text}");
        assert!(inflated(bytes, size + 1).is_err(), "less than was said");
        if size > 0 {
            assert!(inflated(bytes, size - 1).is_err(), "more than was said");
        }
        for cut in 0..bytes.len() {
            assert!(inflated(&bytes[..cut], size).is_err(), "{text} {cut}");
        }
    }
}

#[test]
fn streams_that_make_no_sense_are_errors() {
    for (bad, why) in [
        (&[0x07, 0x00][..], "a kind of block that there is not"),
        (&[0x01, 0x05, 0x00, 0xfa, 0xfe, 1, 2, 3, 4, 5], "two lengths that differ"),
        (&[0x4b, 0x04, 0x42, 0x00], "a distance before the beginning"),
        (&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0], "more words than there can be"),
        (&[0x05, 0x00, 0x92, 0x04, 0, 0, 0, 0, 0, 0, 0], "two things with one word"),
    ] {
        assert!(inflated(bad, 4).is_err(), "{why}");
    }
    assert_eq!(inflated(&[0x4b, 0x04, 0x02, 0x00], 4).as_deref(), Ok(&b"aaaa"[..]), "a near one");
}
