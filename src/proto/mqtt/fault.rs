//! Floor 3. What an MQTT peer hears about its fault, and which codes a packet may carry.
//!
//! A fault is one number in 5.0, in CONNACK, DISCONNECT or an acknowledgement; before 5.0 only a
//! CONNACK can say anything and all else is a closed connection. Which codes are legal where
//! (5.0 §2.4) is one table, read by decoder and tests. Absent on purpose: the decision to close.

use crate::proto::fault::{Blame, Fault, FaultKind};

use super::packet::Version;

/// Reason codes of 5.0 that the broker has a name for.
pub mod reason {
    /// All is well; DISCONNECT: goodbye; SUBACK: QoS 0.
    pub const SUCCESS: u8 = 0x00;
    /// Goodbye, and publish my will.
    pub const WITH_WILL: u8 = 0x04;
    /// Nobody is listening.
    pub const NO_MATCHING: u8 = 0x10;
    /// There was no such subscription.
    pub const NO_SUBSCRIPTION: u8 = 0x11;
    /// Go on authenticating.
    pub const CONTINUE: u8 = 0x18;
    /// Authenticate again.
    pub const REAUTHENTICATE: u8 = 0x19;
    /// No, and no reason.
    pub const UNSPECIFIED: u8 = 0x80;
    /// The packet cannot be read.
    pub const MALFORMED: u8 = 0x81;
    /// It can be read, and may not be said.
    pub const PROTOCOL: u8 = 0x82;
    /// A reason of this broker's own.
    pub const IMPLEMENTATION: u8 = 0x83;
    /// Not a version this broker speaks.
    pub const VERSION: u8 = 0x84;
    /// Not a client id.
    pub const CLIENT_ID: u8 = 0x85;
    /// User name or password are wrong.
    pub const CREDENTIALS: u8 = 0x86;
    /// Not allowed.
    pub const DENIED: u8 = 0x87;
    /// The server is not there.
    pub const UNAVAILABLE: u8 = 0x88;
    /// The server is busy.
    pub const BUSY: u8 = 0x89;
    /// The client is banned.
    pub const BANNED: u8 = 0x8a;
    /// The server is shutting down.
    pub const SHUTTING_DOWN: u8 = 0x8b;
    /// Not a method of authentication that is offered.
    pub const AUTH_METHOD: u8 = 0x8c;
    /// No sign of life for one and a half keep alives.
    pub const KEEP_ALIVE: u8 = 0x8d;
    /// Another connection took the session.
    pub const TAKEN_OVER: u8 = 0x8e;
    /// Not a filter, or not one for this client.
    pub const FILTER: u8 = 0x8f;
    /// Not a topic that this broker takes.
    pub const TOPIC: u8 = 0x90;
    /// The packet id is in use.
    pub const ID_IN_USE: u8 = 0x91;
    /// The packet id is not in use.
    pub const ID_UNKNOWN: u8 = 0x92;
    /// More unacknowledged messages than agreed.
    pub const RECEIVE_MAX: u8 = 0x93;
    /// A topic alias that cannot be.
    pub const ALIAS: u8 = 0x94;
    /// A packet larger than agreed.
    pub const TOO_LARGE: u8 = 0x95;
    /// Too many messages in this time.
    pub const RATE: u8 = 0x96;
    /// There is no room.
    pub const QUOTA: u8 = 0x97;
    /// An administrator did it.
    pub const ADMINISTRATIVE: u8 = 0x98;
    /// The payload is not what it says.
    pub const PAYLOAD_FORMAT: u8 = 0x99;
    /// Nothing is kept here.
    pub const NO_RETAIN: u8 = 0x9a;
    /// Not at this QoS.
    pub const NO_QOS: u8 = 0x9b;
    /// No shared subscriptions here.
    pub const NO_SHARED: u8 = 0x9e;
    /// Too many connections in this time.
    pub const CONNECTION_RATE: u8 = 0x9f;
    /// It took too long.
    pub const MAXIMUM_TIME: u8 = 0xa0;
    /// No subscription ids here.
    pub const NO_SUB_IDS: u8 = 0xa1;
    /// No wildcards here.
    pub const NO_WILDCARDS: u8 = 0xa2;
}

/// What a 5.0 peer is told: the code for DISCONNECT.
#[must_use]
pub fn reason(fault: &Fault) -> u8 {
    use FaultKind as K;
    match fault.kind {
        K::MqttLength
        | K::MqttType
        | K::MqttFlags
        | K::MqttShort
        | K::MqttTrailing
        | K::MqttUtf8
        | K::MqttNul
        | K::MqttQos3
        | K::MqttDupQos0
        | K::MqttOptions
        | K::MqttConnectFlags
        | K::MqttWillFlags
        | K::MqttPropUnknown
        | K::MqttPropMisplaced => reason::MALFORMED,
        K::MqttProtocolName | K::MqttVersion => reason::VERSION,
        K::MqttClientId => reason::CLIENT_ID,
        K::MqttCredentials => reason::CREDENTIALS,
        K::MqttAuthMethod => reason::AUTH_METHOD,
        K::MqttFilter => reason::FILTER,
        K::MqttTopicWildcard | K::MqttTopicDeep => reason::TOPIC,
        K::MqttReceiveMax => reason::RECEIVE_MAX,
        K::MqttAliasZero | K::MqttAliasUnknown => reason::ALIAS,
        K::MqttOverMax => reason::TOO_LARGE,
        K::MqttRate => reason::RATE,
        K::MqttPayloadFormat => reason::PAYLOAD_FORMAT,
        K::MqttRetainOff => reason::NO_RETAIN,
        K::MqttWillQos => reason::NO_QOS,
        K::MqttBusy => reason::BUSY,
        K::MqttNoShared => reason::NO_SHARED,
        K::MqttNoSubIds => reason::NO_SUB_IDS,
        K::MqttNoWildcards => reason::NO_WILDCARDS,
        _ => match fault.blame {
            Blame::Peer => reason::PROTOCOL,
            Blame::Policy => reason::DENIED,
            Blame::Capacity => reason::QUOTA,
            Blame::Us => reason::IMPLEMENTATION,
        },
    }
}

/// The same in a CONNACK of 5.0, which lacks some of the codes.
#[must_use]
pub fn connack5(fault: &Fault) -> u8 {
    match reason(fault) {
        reason::RATE => reason::CONNECTION_RATE,
        reason::FILTER
        | reason::RECEIVE_MAX
        | reason::ALIAS
        | reason::NO_SHARED
        | reason::NO_SUB_IDS
        | reason::NO_WILDCARDS => reason::PROTOCOL,
        code => code,
    }
}

/// The same in a CONNACK before 5.0; none: close without a word (3.1.1 3.2.2-6).
#[must_use]
pub fn connack3(fault: &Fault) -> Option<u8> {
    match fault.kind {
        FaultKind::MqttVersion => Some(1),
        FaultKind::MqttClientId => Some(2),
        FaultKind::MqttBusy | FaultKind::MqttRate | FaultKind::MqttStorage => Some(3),
        FaultKind::MqttCredentials => Some(4),
        FaultKind::MqttAnothers | FaultKind::MqttDenied | FaultKind::MqttWillDenied => Some(5),
        _ => None,
    }
}

/// Which packet a code stands in, and from whom where that matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codebook {
    /// CONNACK.
    ConnAck,
    /// PUBACK, PUBREC.
    PubAck,
    /// PUBREL, PUBCOMP.
    PubRel,
    /// SUBACK.
    SubAck,
    /// UNSUBACK.
    UnsubAck,
    /// DISCONNECT from a client.
    DisconnectUp,
    /// DISCONNECT from a server.
    DisconnectDown,
    /// AUTH from a client.
    AuthUp,
    /// AUTH from a server.
    AuthDown,
}

/// May the packet carry this code?
#[must_use]
pub fn is_code(code: u8, book: Codebook, version: Version) -> bool {
    let v5 = version == Version::V5;
    match book {
        Codebook::ConnAck if !v5 => code <= 5,
        Codebook::ConnAck => {
            matches!(code, 0 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f)
        }
        Codebook::PubAck => {
            matches!(code, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
        }
        Codebook::PubRel => matches!(code, 0 | 0x92),
        Codebook::SubAck if !v5 => matches!(code, 0..=2 | 0x80),
        Codebook::SubAck => {
            matches!(code, 0..=2 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2)
        }
        Codebook::UnsubAck => matches!(code, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
        Codebook::DisconnectUp => {
            matches!(code, 0 | 4 | 0x80..=0x83 | 0x90 | 0x93..=0x99)
        }
        // 0x8c stands in the table of all codes (§2.4) but not in DISCONNECT's own.
        Codebook::DisconnectDown => matches!(
            code,
            0 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b..=0x90 | 0x93..=0xa2
        ),
        Codebook::AuthUp => matches!(code, 0x18 | 0x19),
        Codebook::AuthDown => matches!(code, 0 | 0x18),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mqtt() -> impl Iterator<Item = Fault> {
        let kinds = FaultKind::ALL.iter().map(|row| row.0);
        kinds.filter(|kind| kind.name().starts_with("Mqtt")).map(FaultKind::fault)
    }

    #[test]
    fn every_fault_has_a_code_that_its_packet_may_carry() {
        let mut rows = 0;
        for fault in mqtt() {
            let (code, hello) = (reason(&fault), connack5(&fault));
            assert!(is_code(hello, Codebook::ConnAck, Version::V5), "{fault}: {hello:#04x}");
            // What only a CONNECT can get wrong is never said in a DISCONNECT.
            let only_connack = matches!(
                code,
                reason::VERSION | reason::CLIENT_ID | reason::CREDENTIALS | reason::AUTH_METHOD
            );
            let bye = is_code(code, Codebook::DisconnectDown, Version::V5);
            assert!(bye || only_connack, "{fault}: {code:#04x}");
            if let Some(code) = connack3(&fault) {
                assert!((1..=5).contains(&code), "{fault}: {code}");
            }
            rows += 1;
        }
        assert!(rows > 40, "{rows}");
    }

    #[test]
    fn before_5_0_only_a_connack_has_words() {
        let said: Vec<_> =
            mqtt().filter_map(|f| connack3(&f).map(|code| (f.kind.name(), code))).collect();
        assert_eq!(
            said,
            [
                ("MqttVersion", 1),
                ("MqttClientId", 2),
                ("MqttCredentials", 4),
                ("MqttAnothers", 5),
                ("MqttDenied", 5),
                ("MqttWillDenied", 5),
                ("MqttBusy", 3),
                ("MqttRate", 3),
                ("MqttStorage", 3),
            ]
        );
    }

    #[test]
    fn the_codes_that_tests_elsewhere_wait_for() {
        let code = |kind: FaultKind| reason(&kind.fault());
        assert_eq!(code(FaultKind::MqttTrailing), 0x81);
        assert_eq!(code(FaultKind::MqttSecondConnect), 0x82);
        assert_eq!(code(FaultKind::MqttVersion), 0x84);
        assert_eq!(code(FaultKind::MqttFilter), 0x8f);
        assert_eq!(code(FaultKind::MqttReceiveMax), 0x93);
        assert_eq!(code(FaultKind::MqttAliasZero), 0x94);
        assert_eq!(code(FaultKind::MqttOverMax), 0x95);
        assert_eq!(code(FaultKind::MqttRate), 0x96);
        assert_eq!(code(FaultKind::MqttBusy), 0x89);
        assert_eq!(code(FaultKind::MqttStorage), 0x83);
        assert_eq!(code(FaultKind::MqttDenied), 0x87);
    }

    #[test]
    fn codes_of_one_packet_are_not_those_of_another() {
        let count = |book, v| (0..=u8::MAX).filter(|&code| is_code(code, book, v)).count();
        for (book, v5, v3) in [
            (Codebook::ConnAck, 22, 6),
            (Codebook::PubAck, 9, 9),
            (Codebook::PubRel, 2, 2),
            (Codebook::SubAck, 12, 4),
            (Codebook::UnsubAck, 7, 7),
            (Codebook::DisconnectUp, 14, 14),
            (Codebook::DisconnectDown, 29, 29),
            (Codebook::AuthUp, 2, 2),
            (Codebook::AuthDown, 2, 2),
        ] {
            let counts = (count(book, Version::V5), count(book, Version::V311));
            assert_eq!(counts, (v5, v3), "{book:?}");
        }
    }
}
