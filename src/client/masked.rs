//! Floor 5. A frame of a WebSocket as clients send it: masked.
//!
//! Absent on purpose: reading frames, which each client does by what it waits for.

use bytes::BytesMut;

use crate::base::rng::Rng;
use crate::link::ws_frame;

/// Append a whole frame (RFC 6455, 5.3: with a mask of its own).
pub(crate) fn put(rng: &mut Rng, opcode: u8, payload: &[u8], into: &mut BytesMut) {
    let mut head = ws_frame::head(opcode, payload.len()).to_vec();
    if let Some(size) = head.get_mut(1) {
        *size |= 0x80;
    }
    into.extend_from_slice(&head);
    let [a, b, c, d, ..] = rng.next_u64().to_be_bytes();
    let mask = [a, b, c, d];
    into.extend_from_slice(&mask);
    into.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}
