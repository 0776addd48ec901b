//! Floor 3. Reason codes of 5.0 that the peer itself chooses (mqtt5 2.4).
//!
//! What a broken rule is called on the wire stands in `fault`; here is the rest. Absent on
//! purpose: codes that only clients send.

/// Subscribed or received, and nobody wanted it.
pub(super) const NO_SUBSCRIBERS: u8 = 0x10;
/// There was no such subscription.
pub(super) const NO_SUBSCRIPTION: u8 = 0x11;
/// Authentication goes on.
pub(super) const CONTINUE: u8 = 0x18;
/// The client wants to authenticate anew.
pub(super) const AGAIN: u8 = 0x19;
/// None of the other codes.
pub(super) const UNSPECIFIED: u8 = 0x80;
/// Against the protocol.
pub(super) const PROTOCOL: u8 = 0x82;
/// Correct, and this broker does not do it now.
pub(super) const IMPLEMENTATION: u8 = 0x83;
/// Not allowed.
pub(super) const NOT_AUTHORIZED: u8 = 0x87;
/// The broker is not there for anybody.
pub(super) const UNAVAILABLE: u8 = 0x88;
/// The broker is there, later.
pub(super) const BUSY: u8 = 0x89;
/// The broker is going down.
pub(super) const SHUTTING_DOWN: u8 = 0x8b;
/// Silence.
pub(super) const KEEP_ALIVE: u8 = 0x8d;
/// Another connection uses the client id.
pub(super) const TAKEN_OVER: u8 = 0x8e;
/// A filter that is none, or is not for this client.
pub(super) const FILTER: u8 = 0x8f;
/// No such packet id.
pub(super) const NO_PACKET_ID: u8 = 0x92;
/// More unacknowledged than agreed.
pub(super) const RECEIVE_MAX: u8 = 0x93;
/// A topic alias that means nothing.
pub(super) const ALIAS: u8 = 0x94;
/// More than this client may have.
pub(super) const QUOTA: u8 = 0x97;
/// By an operator's hand.
pub(super) const ADMINISTRATIVE: u8 = 0x98;
/// No shared subscriptions here.
pub(super) const NO_SHARED: u8 = 0x9e;
/// No subscription ids here.
pub(super) const NO_SUB_IDS: u8 = 0xa1;
/// No wildcards here.
pub(super) const NO_WILDCARDS: u8 = 0xa2;
