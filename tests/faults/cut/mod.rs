//! Floor 6. The power is cut: nothing that was acknowledged before it is lost.
//!
//! What reaches the disk is recorded, in order, and every acknowledgement is noted at the length
//! that the record had. Whoever cuts the record anywhere therefore knows what had been promised by
//! then, and can make every disk that a power cut could have left: what was synced, and of the
//! rest any part. `load` asks for promises, `look` compares them with what is there. Absent on
//! purpose: disks that lie about syncing, except where they prove that lies are found out.

pub(crate) mod block;
mod fuse;
pub(crate) mod load;
pub(crate) mod look;
pub(crate) mod records;
pub(crate) mod sick;
pub(crate) mod tape;
