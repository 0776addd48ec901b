//! Floor 3. What must hold for any bytes at all, of what protocols have in common.
//!
//! The laws: a body is made of any span of arguments or none is, and never a panic, and it is not
//! much longer than the span; a body that became an argument is the same body again, in every form.
//! A broken law is a panic, on purpose.

use bytes::Bytes;

use super::carried::{Nature, arguments_of, body_of};
use crate::value::{Bounds, Form, Walk};

/// Bytes of a body for each byte it was made of, at most, and what stands around them.
const GROWTH_MAX: usize = 9;
const AROUND: usize = 24;

/// Check the laws. The first byte says how the rest is taken.
///
/// # Panics
/// When one is broken.
pub fn carried(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let form = Form::ALL[usize::from(how) % 3];
    let span = Bytes::copy_from_slice(data);
    if let Some(read) = body_of(form, &span) {
        assert!(read.body.len() <= GROWTH_MAX * data.len() + AROUND, "it grows with its arguments");
        match read.nature {
            Nature::Bytes => {}
            Nature::Text => assert!(core::str::from_utf8(&read.body).is_ok(), "text is UTF-8"),
            Nature::Json => {
                // What is around the named ones is one level more.
                let bounds = Bounds { depth: 64, items: 1 << 20 };
                let mut walk = Walk::new(Form::Json, &read.body, bounds);
                assert_eq!(walk.skip().and_then(|()| walk.finish()), Ok(()), "JSON is JSON");
            }
        }
    }
    for form in Form::ALL {
        let mut args = Vec::new();
        arguments_of(data, form, &mut args);
        let back = body_of(form, &args.into()).map(|read| read.body.to_bytes());
        assert_eq!(back.as_deref(), Some(data), "a body comes back out of {form:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// Bytes that are often nearly something.
    const LIKELY: &[u8] =
        b"[]{},:\"\\u0 19.-\x90\x91\x92\x80\x81\xA1a\xC4\xC0\xD9\x82\x9F\xBF\xFF\x61\x41";

    #[test]
    fn the_laws_hold_for_bytes_that_are_nearly_something() {
        let mut rng = Rng::new(11);
        let mut made = 0;
        for _ in 0..60_000 {
            let len = rng.below(14) as usize;
            let mut data: Vec<u8> =
                (0..len).map(|_| LIKELY[rng.below(LIKELY.len() as u64) as usize]).collect();
            data.insert(0, rng.below(3) as u8);
            carried(&data);
            let form = Form::ALL[usize::from(data[0])];
            made += usize::from(body_of(form, &Bytes::copy_from_slice(&data[1..])).is_some());
        }
        assert!(made > 3_000, "only {made} were something");
    }
}
