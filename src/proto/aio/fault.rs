//! Floor 3. What an aioconnectors peer hears about its fault: nothing.
//!
//! The protocol has no word for it. What breaks the framing or the header ends the connection; what
//! is only senseless inside a whole frame is dropped and counted, where the original lets a peer
//! end its own connection with it, and those of others (specification 12, item 8). Absent on
//! purpose: last words.

use crate::proto::fault::{Fault, FaultKind};

/// A fault that costs the frame it was in, and nothing else.
#[must_use]
pub fn is_harmless(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::AioPing | FaultKind::AioAck | FaultKind::AioFile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_framing_or_trust_is_never_harmless() {
        for kind in [
            FaultKind::AioShort,
            FaultKind::AioOverMax,
            FaultKind::AioSections,
            FaultKind::AioHeader,
            FaultKind::AioDeep,
            FaultKind::AioKey,
            FaultKind::AioDirection,
            FaultKind::AioFirst,
            FaultKind::AioHello,
            FaultKind::AioName,
            FaultKind::AioCommand,
        ] {
            assert!(!is_harmless(&kind.fault()), "{kind:?}");
        }
        for kind in [FaultKind::AioPing, FaultKind::AioAck, FaultKind::AioFile] {
            assert!(is_harmless(&kind.fault()), "{kind:?}");
        }
    }
}
