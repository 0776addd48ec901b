//! Floor 3. Why a connection ended: one name per reason, for log, counters and observers.

use crate::base::words::Ending;
use crate::hub::policy::Refusal;

use super::fault::Fault;

/// The reason. What is said to the peer about it is its protocol's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doom {
    /// The peer closed its end.
    Eof,
    /// The network gave up on it.
    Reset,
    /// The peer said goodbye.
    Left,
    /// No upstream of its relay is there, or the one it had is gone.
    Unreachable,
    /// Somebody else logged in under its name.
    TakenOver,
    /// It did not identify itself in time.
    ConnectTimeout,
    /// It was silent for too long.
    IdleTimeout,
    /// It began a packet and did not end it in time.
    PacketTimeout,
    /// It had begun a packet, and there was no memory for all that were begun.
    Unfinished,
    /// It took no bytes for too long while some waited for it.
    Stuck,
    /// It did not fetch what it asked for.
    Overrun,
    /// A rule was broken.
    Fault(Fault),
    /// It may not come in.
    Refused(Refusal),
    /// It would have had to wait too long for its login.
    Busy,
    /// The broker is going down.
    Stopping,
    /// The disk failed, and it wanted a promise.
    StorageFailed,
    /// An operator or the embedder closed it.
    Kicked,
    /// The address that a proxy named may not come in, or not so often.
    Unwelcome,
}

impl Doom {
    /// The reason without its details, as counters tell it apart.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Eof => Ending::Eof,
            Self::Reset => Ending::Reset,
            Self::Left => Ending::Left,
            Self::Unreachable => Ending::Unreachable,
            Self::TakenOver => Ending::TakenOver,
            Self::ConnectTimeout => Ending::ConnectTimeout,
            Self::IdleTimeout => Ending::IdleTimeout,
            Self::PacketTimeout => Ending::PacketTimeout,
            Self::Unfinished => Ending::Unfinished,
            Self::Stuck => Ending::Stuck,
            Self::Overrun => Ending::Overrun,
            Self::Fault(_) => Ending::Fault,
            Self::Refused(_) => Ending::Refused,
            Self::Busy => Ending::Busy,
            Self::Stopping => Ending::Stopping,
            Self::StorageFailed => Ending::StorageFailed,
            Self::Kicked => Ending::Kicked,
            Self::Unwelcome => Ending::Unwelcome,
        }
    }

    /// The reason's name, as the log spells it: of a fault, which.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.kind.name(),
            other => other.ending().word(),
        }
    }
}
