//! Floor 3. What must hold for any bytes at all; functions for fuzzers and tests alike.
//!
//! The law: however the bytes are cut, the verdicts are the same, there is one for each LF, and a
//! line that is good is one by a plain rule that looks at it whole. A broken law is a panic, on
//! purpose.

use super::decode::Scanner;
use super::packet::{Flaw, Kind, Line};

type Verdicts = (Vec<Result<Line, Flaw>>, Option<Flaw>);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, most: usize) -> Verdicts {
    let mut scanner = Scanner::default();
    let mut all = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while let Some((len, verdict)) = scanner.take(rest, most) {
            rest = rest.get(len..).unwrap_or_default();
            all.push(verdict);
        }
    }
    (all, scanner.end())
}

/// A line by a rule that sees all of it.
fn plainly(line: &[u8], most: usize) -> Option<Line> {
    let text = core::str::from_utf8(line).ok().filter(|_| line.len() <= most)?;
    let (word, rest) = text.split_at_checked(3)?;
    let kind = Kind::of(word.as_bytes())?;
    let (seq, data) =
        rest.strip_prefix(' ').map(|rest| rest.split_once(' ').unwrap_or((rest, "")))?;
    (!data.contains('\0')).then_some(())?;
    Some(Line { kind, seq: seq.parse().ok()? })
}

/// The first bytes say how long lines may be and how the rest is cut.
pub fn lines(data: &[u8]) {
    let Some((&[most, cut], bytes)) = data.split_first_chunk::<2>() else { return };
    let most = usize::from(most).max(16);
    let whole = read([bytes], most);
    assert_eq!(read(bytes.chunks(usize::from(cut).max(1)), most), whole, "cut");
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default();
    assert_eq!(whole.0.len(), lines.len(), "one verdict a line");
    assert_eq!(whole.1.is_some(), !rest.is_empty(), "what is not finished is said to be so");
    for (line, verdict) in lines.iter().zip(&whole.0) {
        assert_eq!(verdict.ok(), plainly(line, most), "{}", line.escape_ascii());
    }
}
