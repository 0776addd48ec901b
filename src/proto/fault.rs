//! Floor 3. Who broke what, by the book: one name per rule that can be broken.
//!
//! One table holds every rule with its blame, its clause and its text, so a log line, the admin
//! view and the tests cannot disagree. A fault owns nothing and is free to copy. Absent on
//! purpose: what is said to the peer about it (each protocol's own `fault.rs` knows its codes)
//! and whether the connection ends (the engine decides by the blame).

use std::fmt;

use crate::link::Flaw;

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
    Prx1ExtendedShort, Peer, "prx1 §3.1 0xF", "an extended frame ends inside a field";
    Prx1Reused, Peer, "prx1 §3.1 0xF", "the number of a request is used again before its outcome";
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
    MqttLength, Peer, "mqtt 2.2.3, mqtt5 1.5.5-1",
        "a length of more than four bytes, or of more than it needs";
    MqttOverMax, Capacity, "mqtt5 3.1.2-24", "a packet larger than this broker takes";
    MqttType, Peer, "mqtt 2.2.1", "a packet type that this version does not have";
    MqttFlags, Peer, "mqtt 2.2.2-2, mqtt5 2.1.3-1",
        "reserved flags of a packet have the wrong value";
    MqttDirection, Peer, "mqtt 2.2.1", "a packet that only the other side may send";
    MqttShort, Peer, "mqtt 4.8.0-1, mqtt5 4.13.1-1", "a field reaches beyond its packet";
    MqttTrailing, Peer, "mqtt 4.8.0-1, mqtt5 4.13.1-1", "bytes after the last field of a packet";
    MqttUtf8, Peer, "mqtt 1.5.3-1, mqtt5 1.5.4-1", "text that is not UTF-8";
    MqttNul, Peer, "mqtt 1.5.3-2, mqtt5 1.5.4-2", "text with a NUL";
    MqttPacketId, Peer, "mqtt 2.3.1-1, mqtt5 2.2.1-3", "packet id 0";
    MqttQos3, Peer, "mqtt 3.3.1-4", "a message of QoS 3";
    MqttDupQos0, Peer, "mqtt 3.3.1-2", "a repeated message of QoS 0";
    MqttTopicEmpty, Peer, "mqtt 4.7.3-1", "an empty topic";
    MqttTopicWildcard, Peer, "mqtt 3.3.2-2", "a wildcard in the topic of a message";
    MqttTopicDeep, Capacity, "mqtt 4.7.3-3", "a topic longer or deeper than this broker takes";
    MqttFilter, Peer, "mqtt 4.7.1-2, mqtt5 4.8.2-1", "a malformed topic filter";
    MqttNoFilters, Peer, "mqtt 3.8.3-3, mqtt5 3.8.3-2", "a request without a topic filter";
    MqttOptions, Peer, "mqtt 3-8.3-4, mqtt5 3.8.3-5",
        "options of a subscription that have no meaning";
    MqttShareNoLocal, Peer, "mqtt5 3.8.3-4",
        "a shared subscription that leaves its own messages out";
    MqttNoShared, Peer, "mqtt5 3.2.2.3.13", "a shared subscription, and this broker offers none";
    MqttNoSubIds, Peer, "mqtt5 3.2.2.3.12", "a subscription id, and this broker offers none";
    MqttNoWildcards, Peer, "mqtt 3.8.3-2, mqtt5 3.2.2.3.11",
        "a wildcard, and this broker offers none";
    MqttConnectFlags, Peer, "mqtt 3.1.2-3", "the reserved flag of a CONNECT is set";
    MqttWillFlags, Peer, "mqtt 3.1.2-11", "flags of a will that is not there, or a will of QoS 3";
    MqttPasswordNoUser, Peer, "mqtt 3.1.2-22", "a password without a user name";
    MqttProtocolName, Peer, "mqtt 3.1.2-1", "the protocol is not MQTT";
    MqttVersion, Peer, "mqtt 3.1.2-2", "a version of MQTT that this broker does not speak";
    MqttFirstPacket, Peer, "mqtt 3.1.0-1", "the first packet is not a CONNECT";
    MqttSecondConnect, Peer, "mqtt 3.1.0-2", "a second CONNECT";
    MqttClientId, Peer, "mqtt 3.1.3-8, mqtt5 3.1.3-5", "a client id that cannot be accepted";
    MqttCredentials, Policy, "mqtt 3.1.4, mqtt5 3.1.4-2", "the credentials are not good";
    MqttAnothers, Policy, "mqtt 3.1.4, mqtt5 3.1.4-2", "the client id belongs to another user";
    MqttDenied, Policy, "mqtt 3.3.5-2, mqtt5 3.3.5", "the topic may not be used so";
    MqttWillDenied, Policy, "mqtt5 3.1.4-2", "the will's topic may not be published to";
    MqttWillQos, Capacity, "mqtt5 3.2.2-12",
        "a will or message of a higher QoS than this broker grants";
    MqttRetainOff, Capacity, "mqtt5 3.2.2-13", "a message to keep, and this broker keeps none";
    MqttServed, Policy, "mqtt5 3.9.3, 4.10", "somebody else serves this procedure";
    MqttRequests, Capacity, "mqtt5 4.10", "too many requests without an answer, or procedures";
    MqttBusy, Capacity, "mqtt 3.2.2.3, mqtt5 4.13", "no room for this now";
    MqttRate, Capacity, "mqtt5 4.13", "more messages than the client may send in this time";
    MqttStorage, Us, "mqtt5 4.13", "the disk failed, so nothing can be promised";
    MqttPropUnknown, Peer, "mqtt5 2.2.2.2", "a property that does not exist";
    MqttPropMisplaced, Peer, "mqtt5 2.2.2.2", "a property where it may not stand";
    MqttPropTwice, Peer, "mqtt5 2.2.2.2", "a property twice";
    MqttPropValue, Peer, "mqtt5 2.2.2.2", "a property with a value it may not have";
    MqttSubIdFromClient, Peer, "mqtt5 3.3.4-6", "a subscription id in a message from a client";
    MqttResponseTopic, Peer, "mqtt5 3.3.2-14", "a response topic that is no topic";
    MqttAliasZero, Peer, "mqtt5 3.3.2-8", "a topic alias of 0";
    MqttAliasUnknown, Peer, "mqtt5 3.3.2-9", "a topic alias above the maximum, or never introduced";
    MqttReason, Peer, "mqtt5 3.14.2-1", "a reason code that the packet does not have";
    MqttReceiveMax, Peer, "mqtt5 3.3.4-8", "more unacknowledged messages than agreed";
    MqttPayloadFormat, Peer, "mqtt5 3.3.2.3.2", "a payload that says it is UTF-8 and is not";
    MqttAuthMethod, Policy, "mqtt5 4.12.0-1", "an authentication method that is not offered";
    MqttAuthProtocol, Peer, "mqtt5 4.12.0-6", "a step of authentication that was not its turn";
    MqttSessionExpiry, Peer, "mqtt5 3.14.2.2.2",
        "a goodbye that makes a session live on which was to end";
    WampUndecodable, Peer, "wamp serializations", "a message that is not written in its form";
    WampDeep, Capacity, "wamp serializations",
        "a message deeper, or of more items, than this broker takes";
    WampLong, Capacity, "wamp uris", "a text longer than this broker takes";
    WampNotList, Peer, "wamp messages", "a message that is no list, or an empty one";
    WampCode, Peer, "wamp messages", "a message code that does not exist";
    WampDirection, Peer, "wamp messages", "a message that only the other side may send";
    WampArity, Peer, "wamp messages", "a message of too few or too many elements";
    WampType, Peer, "wamp messages", "a value of the wrong type";
    WampId, Peer, "wamp ids", "an id that is not from 1 to 2^53";
    WampOption, Peer, "wamp messages", "an option with a value it may not have";
    WampErrorType, Peer, "wamp calls", "an error about something else than an invocation";
    WampFirst, Peer, "wamp sessions", "the first message is not HELLO";
    WampState, Peer, "wamp sessions", "a message that has no place here";
    WampRole, Peer, "wamp roles", "a message of a role that was not announced";
    WampFeature, Peer, "wamp features", "a feature that was not announced";
    WampNeverIssued, Peer, "wamp calls", "an answer to what was never asked";
    WampReused, Peer, "wamp calls", "the id of a call that is under way";
    WampRealm, Policy, "wamp hello", "there is no such realm";
    WampCredentials, Policy, "wamp authentication", "it is not who it says, or not let in";
    WampBusy, Capacity, "wamp authentication", "no room to check another password now";
    WampBatch, Peer, "wamp batched", "a batch that is empty, or cut short";
    WampSmall, Peer, "wamp rawsocket", "it takes messages so short that no WELCOME is one";
    RawMagic, Peer, "wamp rawsocket", "the first bytes are no RawSocket handshake";
    RawSerializer, Peer, "wamp rawsocket", "a serializer that is not spoken here";
    RawReserved, Peer, "wamp rawsocket", "reserved bits of a RawSocket handshake are set";
    RawFrame, Peer, "wamp rawsocket", "a RawSocket frame of no kind there is";
    RawOverMax, Capacity, "wamp rawsocket", "a RawSocket frame longer than this broker takes";
    AioShort, Peer, "aio 2", "a frame shorter than any can be";
    AioOverMax, Capacity, "aio 2", "a frame longer than this broker takes";
    AioSections, Peer, "aio 2", "sections that do not make up their frame";
    AioHeader, Peer, "aio 2", "a header that is no JSON object";
    AioDeep, Capacity, "aio 2", "a header deeper, or of more items, than this broker takes";
    AioKey, Peer, "aio 2.1", "a key twice, with a value it may not have, or no message type";
    AioDirection, Peer, "aio 2.2", "a type that only clients may send";
    AioFirst, Peer, "aio 3", "a frame before it is known whose, or a second word about that";
    AioHello, Peer, "aio 3.1", "a handshake that does not say hello";
    AioName, Peer, "aio 3.6", "a name that no client may have";
    AioTaken, Policy, "aio 3.6", "a name that somebody has who is here";
    AioCredentials, Policy, "aio 3.4", "it is not who it says, or not let in";
    AioEnrol, Policy, "aio 3.2", "a certificate or a token is asked for, and none is given out";
    AioBusy, Capacity, "aio 3.4", "no room to check another token now";
    AioStorage, Us, "aio 8", "the disk failed, so nothing can be promised";
    AioCommand, Peer, "aio 2.2", "data that is none of its type's commands";
    AioAck, Peer, "aio 5", "an acknowledgement of nothing";
    AioPing, Peer, "aio 5", "a ping that cannot be answered";
    AioFile, Peer, "aio 7", "a file whose description makes no sense";
    AioFileLost, Us, "aio 7", "a file that was being sent is gone, or cannot be read";
    FirstBytes, Peer, "first bytes", "the first bytes are of no protocol that is spoken here";
    TlsHere, Peer, "first bytes", "TLS on a listener without it: use one for mqtts or wss";
    ProxyMissing, Peer, "PROXY 2", "a trusted proxy sent no PROXY header: turn it on there";
    ProxyMalformed, Peer, "PROXY 2", "a PROXY header that is none";
    HttpMalformed, Peer, "rfc9112 2", "not an HTTP request, on a listener for WebSockets";
    HttpTooLong, Capacity, "rfc6585 5", "a request head longer than this broker takes";
    HttpMethod, Peer, "rfc6455 4.1", "another method than GET";
    HttpVersion, Peer, "rfc6455 4.1", "another version than HTTP/1.1";
    HttpPath, Peer, "rfc6455 4.2", "a path where nothing is";
    HttpSyntax, Peer, "rfc9112 2.2", "a request that cannot be read";
    HttpTarget, Capacity, "rfc9112 3", "a request target longer than this broker takes";
    HttpOtherVersion, Peer, "rfc9112 2.3", "another version of HTTP than 1.0 and 1.1";
    HttpHost, Peer, "rfc9112 3.2", "no host in a request, or more than one";
    HttpFraming, Peer, "rfc9112 6.3", "a request whose length can be read in two ways";
    HttpCoding, Peer, "rfc9112 6.1", "a transfer coding other than chunked";
    HttpChunk, Peer, "rfc9112 7.1", "a malformed chunk";
    HttpBodyLong, Capacity, "rfc9110 15.5.14", "a request body longer than this broker takes";
    HttpExpect, Peer, "rfc9110 10.1.1", "an expectation other than 100-continue";
    WsUpgrade, Peer, "rfc6455 4.2.1", "a request that asks for no WebSocket";
    WsVersion, Peer, "rfc6455 4.4", "another WebSocket version than 13";
    WsKey, Peer, "rfc6455 4.1", "Sec-WebSocket-Key is not 16 bytes in base64";
    WsProtocol, Peer, "mqtt 6.0.0-3", "no subprotocol that is spoken here was offered";
    WsOrigin, Policy, "rfc6455 10.2", "a page of an origin that may not come in: origins has those";
    WsUnmasked, Peer, "rfc6455 5.1", "a WebSocket frame without a mask";
    WsReserved, Peer, "rfc6455 5.2", "a WebSocket frame with a reserved bit";
    WsOpcode, Peer, "rfc6455 5.2", "a WebSocket frame with a reserved opcode";
    WsControl, Peer, "rfc6455 5.5", "a control frame in fragments or over 125 bytes";
    WsFragment, Peer, "rfc6455 5.4", "a WebSocket fragment out of turn";
    WsLength, Peer, "rfc6455 5.2", "a frame length over 63 bits, or not the shortest";
    WsTooLong, Capacity, "rfc6455 7.4.1", "a WebSocket frame longer than this broker takes";
    WsText, Peer, "mqtt 6.0.0-1", "a WebSocket text frame";
    WsBinary, Peer, "rfc6455 7.4.1", "a binary WebSocket frame where JSON was agreed on";
    WsUtf8, Peer, "rfc6455 8.1", "a WebSocket text message that is no UTF-8";
    WsClose, Peer, "rfc6455 7.4", "a Close with a code nobody may send";
    WsReason, Peer, "rfc6455 5.5.1", "a Close with a reason that is no UTF-8";
    TlsPlain, Peer, "rfc8446 5.1", "not TLS, on a listener that takes nothing else";
    TlsVersion, Peer, "rfc8446 4.2.1", "neither TLS 1.2 nor TLS 1.3 was offered";
    TlsCommon, Peer, "rfc8446 4.1.1", "no cipher suite, group or signature in common";
    TlsNoCertificate, Policy, "rfc8446 4.4.2", "no client certificate, and one is required";
    TlsUntrusted, Policy, "rfc8446 4.4.2", "the client certificate's issuer is none of --tls-ca";
    TlsExpired, Policy, "rfc5280 4.1.2.5", "a client certificate before or after its time";
    TlsRevoked, Policy, "rfc5280 5", "a client certificate that was revoked";
    TlsNoCrl, Policy, "rfc5280 5", "no list in --tls-crl is by the client certificate's issuer";
    TlsCertificate, Policy, "rfc5280 4", "a client certificate that is broken or not for clients";
    TlsName, Policy, "rfc5280 4.1.2.6", "the name in a client certificate cannot be a user's";
    TlsDistrusted, Peer, "rfc8446 6.2", "the client does not accept our certificate: it needs \
        its issuer, and the host name must be in it";
    TlsAlert, Peer, "rfc8446 6.2", "the client gave up in the midst of TLS";
    TlsBroken, Peer, "rfc8446 6.2", "bytes that TLS forbids here";
    TlsServerUntrusted, Policy, "rfc8446 4.4.2", "an upstream's certificate of an issuer that \
        forward_ca does not name";
    TlsServerName, Policy, "rfc9525 6", "an upstream's certificate for another name: say \
        forward_name if that is what it should be called";
    TlsServerCertificate, Policy, "rfc5280 4", "an upstream's certificate that is broken, or \
        before or after its time";
    TlsServerAlert, Policy, "rfc8446 6.2", "an upstream refused our TLS: it may want another \
        certificate (forward_cert)";
    TlsServerBroken, Peer, "rfc8446 5.1", "what an upstream says is no TLS, or none we can do";
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        kind.fault()
    }
}

impl From<Flaw> for FaultKind {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::FirstBytes => Self::FirstBytes,
            Flaw::TlsHere => Self::TlsHere,
            Flaw::ProxyMissing => Self::ProxyMissing,
            Flaw::ProxyMalformed => Self::ProxyMalformed,
            Flaw::HttpMalformed => Self::HttpMalformed,
            Flaw::HttpTooLong => Self::HttpTooLong,
            Flaw::HttpMethod => Self::HttpMethod,
            Flaw::HttpVersion => Self::HttpVersion,
            Flaw::HttpPath => Self::HttpPath,
            Flaw::WsUpgrade => Self::WsUpgrade,
            Flaw::WsVersion => Self::WsVersion,
            Flaw::WsKey => Self::WsKey,
            Flaw::WsProtocol => Self::WsProtocol,
            Flaw::WsOrigin => Self::WsOrigin,
            Flaw::WsUnmasked => Self::WsUnmasked,
            Flaw::WsReserved => Self::WsReserved,
            Flaw::WsOpcode => Self::WsOpcode,
            Flaw::WsControl => Self::WsControl,
            Flaw::WsFragment => Self::WsFragment,
            Flaw::WsLength => Self::WsLength,
            Flaw::WsTooLong => Self::WsTooLong,
            Flaw::WsText => Self::WsText,
            Flaw::WsBinary => Self::WsBinary,
            Flaw::WsUtf8 => Self::WsUtf8,
            Flaw::WsClose => Self::WsClose,
            Flaw::WsReason => Self::WsReason,
            Flaw::TlsPlain => Self::TlsPlain,
            Flaw::TlsVersion => Self::TlsVersion,
            Flaw::TlsCommon => Self::TlsCommon,
            Flaw::TlsNoCertificate => Self::TlsNoCertificate,
            Flaw::TlsUntrusted => Self::TlsUntrusted,
            Flaw::TlsExpired => Self::TlsExpired,
            Flaw::TlsRevoked => Self::TlsRevoked,
            Flaw::TlsNoCrl => Self::TlsNoCrl,
            Flaw::TlsCertificate => Self::TlsCertificate,
            Flaw::TlsName => Self::TlsName,
            Flaw::TlsDistrusted => Self::TlsDistrusted,
            Flaw::TlsAlert => Self::TlsAlert,
            Flaw::TlsBroken => Self::TlsBroken,
            Flaw::TlsServerUntrusted => Self::TlsServerUntrusted,
            Flaw::TlsServerName => Self::TlsServerName,
            Flaw::TlsServerCertificate => Self::TlsServerCertificate,
            Flaw::TlsServerAlert => Self::TlsServerAlert,
            Flaw::TlsServerBroken => Self::TlsServerBroken,
        }
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
