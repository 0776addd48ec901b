//! Floor 6. Archives of folders, as ZIP has them: written plain, read with some care.
//!
//! ```text
//! local head, name, content      for each entry
//! central head, name             for each entry again: what is believed
//! end                            how many there are, and where the central heads begin
//! ```
//!
//! What is written is not compressed, and the same folder makes the same bytes. What is read is
//! somebody else's: every entry is judged before the first is unpacked, everything has a bound, and
//! there is all of it in the end or nothing. Absent on purpose: compressing, ZIP64 (an archive of
//! 4 GiB or more), encryption, links, owners, modes and times.

mod crc;
mod inflate;
mod pack;
mod unpack;
#[cfg(test)]
mod zip_test;

pub(super) use pack::pack;
pub(super) use unpack::{Most, unpack};

/// What stands in front of a local head, a central one, and the end.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// How long they are without what varies.
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
/// The name is UTF-8.
const UTF8: u16 = 1 << 11;
/// Kinds of files in the upper half of the attributes, as Unix has them.
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
