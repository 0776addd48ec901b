//! Floor 6. What the test server answers: a digest of the request, and whether it is accepted.
//!
//! The same request has the same answer, so a client that knows the rule finds every byte that was
//! changed on the way. Absent on purpose: any security.

/// The digest in 32 hexadecimal digits; about one request in eight is refused.
pub(super) fn answer(seq: i64, data: &[u8]) -> (bool, String) {
    let digest = |mut state: u64| {
        for byte in seq.to_le_bytes().iter().chain(data) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        state ^ (state >> 29)
    };
    let (high, low) = (digest(0xcbf2_9ce4_8422_2325), digest(0x9e37_79b9_7f4a_7c15));
    (!low.is_multiple_of(8), format!("{high:016x}{low:016x}"))
}

/// The line that answers this line, without its LF.
pub(super) fn reply(line: &[u8]) -> String {
    let Some((seq, data)) = request(line) else { return "NAK 0 ERRDECODE".into() };
    let (accepted, digest) = answer(seq, data);
    format!("{} {seq} {digest}", if accepted { "ACK" } else { "NAK" })
}

/// Number and data of any well-formed line; the original answers every kind of them.
fn request(line: &[u8]) -> Option<(i64, &[u8])> {
    let word = line.get(..4)?;
    if !matches!(word, b"REQ " | b"ACK " | b"NAK ") {
        return None;
    }
    let rest = line.get(4..)?;
    let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
    let (seq, data) = rest.split_at(end);
    let seq = core::str::from_utf8(seq).ok()?.parse().ok()?;
    Some((seq, data.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_depends_on_every_byte_of_the_request() {
        let first = reply(b"REQ 1 Hey");
        assert_eq!(first, reply(b"REQ 1 Hey"));
        for other in [&b"REQ 2 Hey"[..], b"REQ 1 hey", b"REQ 1 Hey ", b"REQ 1"] {
            assert_ne!(first, reply(other));
        }
        for bad in [&b""[..], b"x", b"REQ", b"REQ ", b"REQ one", b"req 1", b"REQ  1", b"REQ\t1"] {
            assert_eq!(reply(bad), "NAK 0 ERRDECODE", "{}", bad.escape_ascii());
        }
        let refused = (0..10_000).filter(|seq| !answer(*seq, b"x").0).count();
        assert!((1_000..1_500).contains(&refused), "{refused} of 10,000");
    }
}
