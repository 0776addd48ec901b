//! Floor 3. What must hold for any bytes at all; one function for fuzzers and tests alike.
//!
//! The law: requests and bodies are the same however their bytes are cut, and what a body is made
//! of is read without a panic. A broken law is a panic, on purpose.

use bytes::BytesMut;

use crate::base::rng::Rng;
use crate::proto::fault::Fault;

use super::call::{body_of, params_of};
use super::decode::{Left, begins, head, head_len};
use super::packet::{Media, Request};
use super::routes;

/// The bounds that are fuzzed with.
const HEAD_MAX: usize = 1_024;
const BODY_MAX: usize = 4_096;

/// Requests with their bodies, and what ended them.
type Read = (Vec<(Request, Vec<u8>)>, Option<Fault>);

/// Check the laws for `data`.
///
/// # Panics
/// When one is broken.
pub fn bytes(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    let seed = data.iter().fold(1u64, |sum, &b| sum.rotate_left(7) ^ u64::from(b));
    let cut = 1 + Rng::new(seed).below(9) as usize;
    let pieces = read(data, cut);
    assert_eq!(whole.0, pieces.0, "pieces say what the whole says");
    // A head that is too long may be seen to be so earlier, and then for another reason.
    assert_eq!(whole.1.is_some(), pieces.1.is_some(), "and end alike");
    for (request, body) in &whole.0 {
        let _ = routes::find(request.method, &request.path);
        let _ = params_of(&request.query);
        for media in [request.media, Media::Json, Media::Form] {
            let _ = body_of(media, body);
        }
    }
}

fn read(data: &[u8], cut: usize) -> Read {
    let (mut all, mut input) = (Vec::new(), BytesMut::new());
    let mut open: Option<(Request, Left, Vec<u8>)> = None;
    for piece in data.chunks(cut) {
        input.extend_from_slice(piece);
        loop {
            match step(&mut input, &mut open) {
                Ok(Some(request)) => all.push(request),
                Ok(None) if open.is_none() && head_len(&input, 0).is_some() => {}
                Ok(None) => break,
                Err(fault) => return (all, Some(fault)),
            }
        }
    }
    (all, None)
}

fn step(
    input: &mut BytesMut,
    open: &mut Option<(Request, Left, Vec<u8>)>,
) -> Result<Option<(Request, Vec<u8>)>, Fault> {
    if open.is_none() {
        let Some(len) = head_len(input, 0).filter(|len| *len <= HEAD_MAX) else {
            begins(input, HEAD_MAX)?;
            return Ok(None);
        };
        let request = head(&input.split_to(len), HEAD_MAX / 2)?;
        let left = Left::of(request.length, BODY_MAX)?;
        *open = Some((request, left, Vec::new()));
    }
    let Some((_, left, body)) = open else { return Ok(None) };
    if !left.take(input, body, BODY_MAX)? {
        return Ok(None);
    }
    Ok(open.take().map(|(request, _, body)| (request, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laws_hold_for_what_is_nearly_a_request() {
        let seeds: [&[u8]; 3] = [
            b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n",
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ];
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let mut data = rng.pick(&seeds).map(|seed| seed.to_vec()).unwrap_or_default();
            for _ in 0..rng.below(3) {
                let at = rng.below(data.len() as u64) as usize;
                let byte = [b'\r', b'\n', b' ', b':', b'0', b'f', 0][rng.below(7) as usize];
                if rng.chance(1, 2) {
                    data[at] = byte;
                } else {
                    data.remove(at);
                }
            }
            bytes(&data);
        }
    }
}
