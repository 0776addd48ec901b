//! Floor 3. What a PRX1 peer hears about its fault.
//!
//! The protocol has no error packet: a refusal is a closed connection. Only a login has words of
//! its own, and only after a Connect that could be read. Absent on purpose: the decision to close.

use crate::proto::fault::{Fault, FaultKind};

use super::packet::{ConnAck, Packet};

/// The last packet before the end, if there is one to send.
#[must_use]
pub fn last_words(fault: &Fault) -> Option<Packet> {
    match fault.kind {
        FaultKind::Prx1Credentials => Some(Packet::ConnAck(ConnAck::plain(ConnAck::FAIL))),
        FaultKind::Prx1Version => Some(Packet::ConnAck(ConnAck::plain(ConnAck::ERR))),
        _ => None,
    }
}

/// May the frame be ignored and the connection go on? §14 leaves it open for frames whose loss
/// tells the sender nothing; the original ignores them, and so can we.
#[must_use]
pub fn is_harmless(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Prx1AckShort | FaultKind::Prx1QueueShort | FaultKind::Prx1ConnAckShort
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_login_is_answered() {
        let said: Vec<_> = FaultKind::ALL
            .iter()
            .filter_map(|row| last_words(&row.0.fault()).map(|packet| (row.0.name(), packet)))
            .collect();
        let connack = |result| Packet::ConnAck(ConnAck::plain(result));
        assert_eq!(
            said,
            [("Prx1Version", connack(ConnAck::ERR)), ("Prx1Credentials", connack(ConnAck::FAIL))]
        );
    }

    #[test]
    fn what_breaks_framing_is_never_harmless() {
        for kind in [FaultKind::Prx1Length, FaultKind::Prx1TooLong, FaultKind::Prx1PublishShort] {
            assert!(!is_harmless(&kind.fault()));
        }
        assert!(is_harmless(&FaultKind::Prx1AckShort.fault()));
    }
}
