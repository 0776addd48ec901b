//! Floor 3. Verdicts about lines, whole and cut anywhere.

use super::decode::Scanner;
use super::packet::{Flaw, Kind, Line};

const MOST: usize = 40;

/// The verdicts of some bytes, cut into pieces of these lengths, and what the end says.
fn verdicts(bytes: &[u8], cuts: &[usize]) -> (Vec<Result<Line, Flaw>>, Option<Flaw>) {
    let mut scanner = Scanner::default();
    let mut all = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        rest = behind;
        let mut piece = piece;
        while let Some((len, verdict)) = scanner.take(piece, MOST) {
            piece = &piece[len..];
            all.push(verdict);
        }
    }
    (all, scanner.end())
}

fn one(line: &[u8]) -> Result<Line, Flaw> {
    let mut bytes = line.to_vec();
    bytes.push(b'\n');
    let (all, end) = verdicts(&bytes, &[]);
    assert_eq!((all.len(), end), (1, None), "{line:?}");
    all[0]
}

fn good(kind: Kind, seq: i64) -> Result<Line, Flaw> {
    Ok(Line { kind, seq })
}

#[test]
fn lines_of_the_grammar_are_read() {
    for (line, kind, seq) in [
        (&b"REQ 1"[..], Kind::Req, 1),
        (b"REQ 1 ", Kind::Req, 1),
        (b"REQ 1 Hey there", Kind::Req, 1),
        (b"ACK 12 \r", Kind::Ack, 12),
        (b"NAK 0 ERRDECODE", Kind::Nak, 0),
        (b"REQ -7 x", Kind::Req, -7),
        (b"REQ +7 x", Kind::Req, 7),
        (b"REQ 007  two spaces before data", Kind::Req, 7),
        (b"ACK 9223372036854775807", Kind::Ack, i64::MAX),
        (b"ACK -9223372036854775808", Kind::Ack, i64::MIN),
        ("NAK 3 grün 東京".as_bytes(), Kind::Nak, 3),
    ] {
        assert_eq!(one(line), good(kind, seq), "{}", line.escape_ascii());
    }
}

#[test]
fn what_is_wrong_first_is_said() {
    for (line, flaw) in [
        (&b""[..], Flaw::Empty),
        (b"x", Flaw::Type),
        (b"RE", Flaw::Type),
        (b"\r", Flaw::Type),
        (b"req 1", Flaw::Type),
        (b"REX 1", Flaw::Type),
        (b"REQ", Flaw::Seq),
        (b"REQ ", Flaw::Seq),
        (b"REQ\t1", Flaw::Space),
        (b"REQ  1", Flaw::Space),
        (b"REQ \t1", Flaw::Space),
        (b"REQ1", Flaw::Space),
        (b"REQ one", Flaw::Seq),
        (b"REQ 1x", Flaw::Seq),
        (b"REQ 1\tx", Flaw::Seq),
        (b"REQ -", Flaw::Seq),
        (b"REQ - 1", Flaw::Seq),
        (b"REQ +-1", Flaw::Seq),
        (b"REQ 1-", Flaw::Seq),
        (b"REQ 9223372036854775808", Flaw::Seq),
        (b"REQ -9223372036854775809", Flaw::Seq),
        (b"REQ 1 a\0b", Flaw::Nul),
        (b"REQ 1 a\xffb", Flaw::Utf8),
        (b"REQ 1 a\xe6", Flaw::Utf8),
        (b"REQ 1 \0\xff", Flaw::Nul),
        (b"REQ 1 \xff\0", Flaw::Utf8),
        (b"REQ 1 \xe6\0", Flaw::Utf8),
        (b"REQ 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Flaw::Long),
        (b"REX 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Flaw::Type),
        (b"REQ 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0", Flaw::Long),
        (b"REQ 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe6\x9d\xb1", Flaw::Long),
    ] {
        assert_eq!(one(line), Err(flaw), "{}", line.escape_ascii());
    }
    assert_eq!(one(&[b"REQ 1 ", &[b'a'; MOST - 6][..]].concat()), good(Kind::Req, 1));
}

#[test]
fn a_flaw_ends_with_its_line_and_an_end_within_a_line_is_one() {
    let (all, end) = verdicts(b"nonsense\nREQ 1\n\xff\xff\nACK 1 fine\nREQ 2", &[]);
    let wanted = [Err(Flaw::Type), good(Kind::Req, 1), Err(Flaw::Type), good(Kind::Ack, 1)];
    assert_eq!(all, wanted);
    assert_eq!(end, Some(Flaw::Unfinished));
    assert_eq!(verdicts(b"REQ 1\n", &[]).1, None);
}

#[test]
fn the_verdicts_are_the_same_wherever_the_bytes_are_cut() {
    let texts: [&[u8]; 6] = [
        b"REQ 1 Hey\nACK 1\n\nx\nREQ  2\nREQ -3 \0\n",
        "REQ 4 grün 東京 🜁\nNAK 4 no\n".as_bytes(),
        b"REQ 1 a\xff\0\nREQ 2 \xe6\0\nREQ 3 \0\xff\nREQ 4 \xf0\x9f\n",
        b"REQ 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\nACK 1 fine\nRE",
        b"REQ 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe6\x9d\xb1\nACK 1\n",
        b"REQ 9223372036854775808 \nREQ -9223372036854775808 x\nrest",
    ];
    for text in texts {
        let whole = verdicts(text, &[]);
        for first in 0..=text.len() {
            assert_eq!(verdicts(text, &[first]), whole, "cut at {first}");
            for second in 0..=text.len() - first {
                assert_eq!(verdicts(text, &[first, second]), whole, "at {first} and {second}");
            }
        }
        assert_eq!(verdicts(text, &vec![1; text.len()]), whole, "byte by byte");
    }
}

#[test]
fn the_laws_hold_for_lines_that_are_nearly_good() {
    let parts: [&[u8]; 16] = [
        b"REQ ",
        b"ACK ",
        b"NAK ",
        b"REQ",
        b"1",
        b"-",
        b"+",
        b"007 ",
        b" ",
        b"9223372036854775807",
        b"\n",
        b"\n",
        b"\0",
        b"\xe6",
        "東".as_bytes(),
        b"some data",
    ];
    let mut rng = crate::base::rng::Rng::new(5);
    for _ in 0..20_000 {
        let mut bytes = vec![rng.next_u64() as u8, rng.below(6) as u8];
        for _ in 0..rng.below(14) {
            bytes.extend_from_slice(parts[rng.below(16) as usize]);
        }
        super::fuzzing::lines(&bytes);
    }
}
