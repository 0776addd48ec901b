//! Floor 3. A line of the Foo protocol.
//!
//! `Type SP Seq [SP Data] LF`, text in UTF-8. Who counts and pairs needs the type and the number;
//! data are nobody's business here. What a line can be and what can be wrong with it are the
//! hub's words, because it counts by them. Absent on purpose: the bytes themselves, which go their
//! way whatever is thought of them.

pub use crate::hub::relay::meter::{Flaw, Kind};

/// A line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub seq: i64,
}
