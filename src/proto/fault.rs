//! Floor 3. Who broke what, by the book: one name per rule that can be broken.
//!
//! One table holds every rule with its blame, its clause and its text, so a log line, the admin
//! view and the tests cannot disagree. A fault owns nothing and is free to copy. Absent on
//! purpose: what is said to the peer about it (each protocol's own `fault.rs` knows its codes)
//! and whether the connection ends (the engine decides by the blame).

use std::fmt;

/// Whose doing it is; the engine decides by it how the story ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Blame {
    /// The peer broke the protocol.
    Peer,
    /// The peer asked for what it may not have.
    Policy,
    /// The peer asked for more than there is.
    Capacity,
    /// We are wrong.
    Us,
}

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fault {
    /// Whose doing.
    pub blame: Blame,
    /// Where the rule is written.
    pub clause: &'static str,
    /// Which rule.
    pub kind: FaultKind,
}

macro_rules! faults {
    ($($name:ident, $blame:ident, $clause:literal, $text:literal;)*) => {
        /// Every rule that can be broken, grouped by protocol.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FaultKind { $(#[doc = $text] $name),* }

        impl FaultKind {
            /// The table: kind, blame, clause, text.
            pub const ALL: &[(Self, Blame, &'static str, &'static str)] =
                &[$((Self::$name, Blame::$blame, $clause, $text)),*];

            /// The name, as logs and counters spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The fault of breaking this rule.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self {
                    $(Self::$name => Fault { blame: Blame::$blame, clause: $clause, kind: self }),*
                }
            }

            /// What happened, in one phrase.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

faults! {
    Prx1Length, Peer, "prx1 §2 varlen", "a fourth length byte announces a fifth";
    Prx1TooLong, Peer, "prx1 §14 frame", "a frame longer than its kind can be";
    Prx1OverMax, Capacity, "prx1 §14 frame", "a frame longer than this broker takes now";
    Prx1ConnectShort, Peer, "prx1 §4", "a Connect ends inside a field";
    Prx1ConnAckShort, Peer, "prx1 §5", "a ConnAck ends inside a field";
    Prx1QueueShort, Peer, "prx1 §7", "a Queue ends inside a field";
    Prx1AckShort, Peer, "prx1 §6", "an acknowledgement without a whole id";
    Prx1SubscribeShort, Peer, "prx1 §6", "a Subscribe or Unsubscribe ends inside a field";
    Prx1PublishShort, Peer, "prx1 §6", "a Publish ends inside a field";
    Prx1FirstFrame, Peer, "prx1 §8.1", "the first frame is not a Connect";
    Prx1Version, Peer, "prx1 §4", "the version is not PRX1";
    Prx1Credentials, Policy, "prx1 §10.1", "the credentials are not good";
    Prx1Denied, Policy, "prx1 §10.3", "the topic may not be used so";
    Prx1TopicEmpty, Peer, "prx1 §11", "an empty topic";
    Prx1TopicDeep, Capacity, "prx1 §11", "a topic longer or deeper than this broker takes";
    Prx1TooMany, Capacity, "prx1 §14", "more subscriptions than a session may have";
    Prx1Busy, Capacity, "prx1 §10.1", "no room to check another password now";
    Prx1Storage, Us, "prx1 §9.2", "the disk failed, so nothing can be promised";
    Prx1TopicWildcard, Peer, "prx1 §11", "a wildcard in the topic of a Publish";
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        kind.fault()
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "the peer",
            Self::Policy => "the policy",
            Self::Capacity => "capacity",
            Self::Us => "us",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blame, clause, kind } = self;
        write!(f, "{} [{clause}] {}, by {blame}", kind.name(), kind.text())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_one_line_each() {
        for (i, &(kind, blame, clause, text)) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(kind as usize, i, "rows stand in the order of the enum");
            assert_eq!(kind.fault(), Fault { blame, clause, kind });
            let line = kind.fault().to_string();
            assert!(line.contains(clause) && line.contains(text) && !line.contains('\n'));
        }
    }

    #[test]
    fn a_fault_reads_as_who_and_where() {
        assert_eq!(
            FaultKind::Prx1Length.fault().to_string(),
            "Prx1Length [prx1 §2 varlen] a fourth length byte announces a fifth, by the peer"
        );
    }
}
