//! Floor 3. aioconnectors: messages, files and answers between named processes, port 10673.
//!
//! ```text
//! u32 L     bytes that follow
//! u16 H     bytes of header, one object of JSON
//! u32 D     bytes of data
//! u32 B     bytes of binary, only if the header has "with_binary": true
//! ```
//!
//! Counts are little endian. There is no magic and no version: that two peers of different age
//! understand each other is because unknown keys and types are passed over. The first frame of a
//! client names it (without TLS, or under TLS without certificates); with certificates the name is
//! theirs, and with tokens it is shown with a token (`inner`). A message goes to whoever listens to
//! its type, and from a server to the client it names; it may want to be acknowledged by the other
//! connector, answered by the other application, or both.
//!
//! Reading order: `packet`, `decode`, `encode`, `inner`, `file`, `names`, `dialect`, `fault`; how
//! the tools of the original ask a connector: `command`. Then what is decided without a wire and
//! without a clock: `heard` (what becomes of a frame), `assembly` (files from chunks), `acks` and
//! `answers` (who waits for what until when), `shelf` (what is kept for who is away).
//! Last whoever speaks with a client: `peer` (from the first frame to the last), `entry` (how a
//! client shows who it is, or is given what to show), `taking` (long files, in pieces), `errand`
//! (what is done for them where a disk may be waited for), `online` (what it says), `deliver` (what
//! it is told), `giving` (long files, in pieces, again), `letter` (what is kept of a message
//! meanwhile), `asked` (who is to have which answer), `calling` (questions that are calls, and
//! questions out of calls).
//! Where the original is not followed on purpose is listed in `deviations.md`.
//! Absent on purpose: sockets, files, and what is in a certificate.

pub mod acks;
pub mod answers;
mod asked;
pub mod assembly;
#[cfg(test)]
mod assembly_test;
mod calling;
pub mod command;
pub mod decode;
#[cfg(test)]
mod decode_test;
mod deliver;
pub mod dialect;
pub mod encode;
mod entry;
pub mod errand;
pub mod fault;
pub mod file;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
mod giving;
pub mod heard;
#[cfg(test)]
mod heard_test;
pub mod inner;
#[cfg(test)]
mod inner_test;
mod letter;
pub mod names;
mod online;
pub mod packet;
pub mod peer;
pub mod shelf;
mod taking;

pub use decode::{frame_len, next, next_whole};
pub use encode::{TooLong, encode, encode_vec, header_fits};
pub use inner::{Meaning, Side, meaning};
pub use names::Name;
pub use packet::{Frame, Header, Id, Text};
