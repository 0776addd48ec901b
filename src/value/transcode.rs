//! Floor 1. A value from one form into another, or anew into its own.
//!
//! Two forms announce how many values a list has, and the third does not say: where a count is
//! wanted, a first walk counts and a second one writes. So the work grows with the input and with
//! nothing else. Absent on purpose: a tree.

use smallvec::SmallVec;

use super::{Bounds, Flaw, Form, Item, Walk, Writer};

/// Bytes that are written for each that is read, at most: a CBOR of no bytes is one byte, and in
/// JSON `"\u0000",`.
#[cfg(any(test, feature = "testing"))]
pub(super) const GROWTH_MAX: usize = 9;

/// Append the one value that stands in `bytes`: at most nine bytes for each of them. With a flaw
/// nothing is appended.
pub fn transcode(
    from: Form,
    bytes: &[u8],
    to: Form,
    out: &mut Vec<u8>,
    bounds: Bounds,
) -> Result<(), Flaw> {
    let before = out.len();
    let done = rewrite(Walk::new(from, bytes, bounds), to, out);
    if done.is_err() {
        out.truncate(before);
    }
    done
}

type Counts = SmallVec<[usize; 16]>;

fn rewrite(mut walk: Walk<'_>, to: Form, out: &mut Vec<u8>) -> Result<(), Flaw> {
    let counts = if to == Form::Json { Counts::new() } else { counts(walk.clone())? };
    let mut counts = counts.into_iter();
    let mut writer = Writer::new(to, out);
    while !walk.is_over() {
        let key = walk.wants_key();
        match walk.next()? {
            Item::Null => writer.null(),
            Item::Bool(truth) => writer.bool(truth),
            Item::Int(number) => writer.int(number),
            Item::Uint(number) => writer.uint(number),
            Item::Float(number) => writer.float(number),
            Item::Text(text) if key => writer.key(&text),
            Item::Text(text) => writer.text(&text),
            Item::Bytes(bytes) => writer.bytes(&bytes),
            Item::List => writer.list(counts.next().unwrap_or_default()),
            Item::Map => writer.map(counts.next().unwrap_or_default()),
            Item::End => writer.end(),
        };
    }
    walk.finish()
}

/// How many values or pairs each list and map has, in the order in which they begin.
fn counts(mut walk: Walk<'_>) -> Result<Counts, Flaw> {
    let mut counts = Counts::new();
    let mut open = SmallVec::<[usize; 8]>::new();
    while !walk.is_over() {
        // A value behind a key belongs to the pair that was counted with the key.
        let counted = !walk.is_keyed();
        let item = walk.item(false)?;
        if item == Item::End {
            open.pop();
            continue;
        }
        if counted && let Some(count) = open.last().and_then(|at| counts.get_mut(*at)) {
            *count += 1;
        }
        if matches!(item, Item::List | Item::Map) {
            open.push(counts.len());
            counts.push(0);
        }
    }
    Ok(counts)
}
