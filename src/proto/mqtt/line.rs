//! Floor 3. What is said to an MQTT client besides messages: answers in order, then last words.
//!
//! A reply waits for its journal position and for everything before it. What a client's version
//! has no form for is left out by the encoder; what would exceed its Maximum Packet Size loses its
//! explanations first and is then not said at all (mqtt5 3.1.2-24, 3.2.2-19). No DISCONNECT ever
//! goes out before a CONNACK: until the welcome is out, last words are a CONNACK. Absent on
//! purpose: deliveries, and why anything is said.

use bytes::Bytes;

use crate::base::id::Lsn;
use crate::base::outbound::Outbound;
use crate::hub::message::Publication;
use crate::hub::registry::Parting;
use crate::proto::doom::Doom;
use crate::proto::fault::FaultKind;
use crate::proto::replies::Replies;

use super::encode::{encode, encode_vec};
use super::fault;
use super::fault::reason as code;
use super::packet::{self, Ack, Codes, ConnAck, Packet, Reason, Version};
use super::props::{Prop, Props};

/// Which step of a ladder an acknowledgement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Ack,
    Rec,
    Rel,
    Comp,
}

impl Step {
    /// The first byte of its packet.
    fn first(self) -> u8 {
        match self {
            Self::Ack => packet::code::PUBACK << 4,
            Self::Rec => packet::code::PUBREC << 4,
            Self::Rel => packet::code::PUBREL << 4 | 2,
            Self::Comp => packet::code::PUBCOMP << 4,
        }
    }
}

/// Something to be said once its turn has come.
#[derive(Debug)]
pub(super) enum Reply {
    /// An acknowledgement, its reason code, and what the code stands for.
    Ack(Step, u16, u8, Option<FaultKind>),
    /// The client is heard.
    Pong,
    /// Anything rarer.
    Whole(Box<Packet>),
}

/// What waits for room.
#[derive(Debug)]
pub(super) enum Parked {
    /// A packet, and how far it had been carried out.
    Packet(Packet, Done),
    /// A publication that was read and judged.
    Publish(Slip, Publication),
    /// One that may not be, and is to be acknowledged all the same.
    Refused(Slip, FaultKind),
}

/// What the answer to a publication needs to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slip {
    /// 0, 1 or 2.
    pub(super) qos: u8,
    /// Its number; 0 without one.
    pub(super) id: u16,
}

/// Filters of a request that have been dealt with, and what their answer waits for.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) codes: smallvec::SmallVec<[u8; 8]>,
    pub(super) after: Lsn,
    pub(super) why: Option<FaultKind>,
}

/// The side of a connection that faces its client.
#[derive(Debug)]
pub(super) struct Line {
    /// None until a CONNECT was read.
    pub(super) version: Option<Version>,
    pub(super) replies: Replies<Reply>,
    /// A packet that waits for room; nothing behind it is taken.
    pub(super) parked: Option<Box<Parked>>,
    /// When the client was heard last.
    pub(super) heard: u64,
    /// The client may be told reasons in words.
    pub(super) problems: bool,
    /// The longest packet it takes; as many bytes as can be said: any.
    pub(super) packet_max: u32,
    /// Publications with QoS 1 or 2 whose ladder has not ended for the client.
    pub(super) owing: u32,
    /// The CONNACK that lets the client in is out.
    pub(super) welcomed: bool,
    /// It said goodbye: nothing behind that is read.
    pub(super) left: bool,
    /// What the goodbye means for the will.
    pub(super) parting: Parting,
}

impl Line {
    pub(super) fn new(now: u64) -> Self {
        Self {
            version: None,
            replies: Replies::default(),
            parked: None,
            heard: now,
            problems: false,
            packet_max: u32::MAX,
            owing: 0,
            welcomed: false,
            left: false,
            parting: Parting::Lost,
        }
    }

    pub(super) fn is_v5(&self) -> bool {
        self.version == Some(Version::V5)
    }

    /// The next step of a ladder, once the journal is synced up to `after`.
    pub(super) fn ack(&mut self, after: Lsn, step: Step, id: u16, code: u8) {
        self.replies.push(after, Reply::Ack(step, id, code, None));
    }

    /// A ladder ends here, and this is why.
    pub(super) fn refuse(&mut self, step: Step, id: u16, why: FaultKind) {
        let code = fault::reason(&why.fault());
        self.replies.push(Lsn::START, Reply::Ack(step, id, code, Some(why)));
    }

    pub(super) fn say(&mut self, after: Lsn, packet: Packet) {
        self.replies.push(after, Reply::Whole(Box::new(packet)));
    }

    /// The same, and no delivery before it.
    pub(super) fn say_first(&mut self, after: Lsn, packet: Packet) {
        self.replies.push_gate(after, Reply::Whole(Box::new(packet)));
    }

    /// Why, in words, for a client that wants them.
    pub(super) fn reason(&self, text: Option<&'static str>) -> Props {
        match text.filter(|_| self.problems && self.is_v5()) {
            Some(text) => Props::build(&[Prop::ReasonString(Bytes::from_static(text.as_bytes()))]),
            None => Props::none(),
        }
    }

    /// Encode a reply.
    pub(super) fn put(&mut self, reply: Reply, out: &mut Outbound) {
        let packet = match reply {
            Reply::Ack(step, id, reason, why) => {
                if step == Step::Ack || step == Step::Comp || reason >= 0x80 {
                    self.owing = self.owing.saturating_sub(1);
                }
                if reason == 0 && self.packet_max >= 4 {
                    // In all versions the same, and what is said most often.
                    let [high, low] = id.to_be_bytes();
                    return out.put_slice(&[step.first(), 2, high, low]);
                }
                ack_packet(step, id, reason, self.reason(why.map(FaultKind::text)))
            }
            Reply::Pong => Packet::PingResp,
            Reply::Whole(packet) => {
                self.welcomed |= matches!(&*packet, Packet::ConnAck(ack) if ack.code == 0);
                *packet
            }
        };
        self.put_packet(packet, out);
    }

    pub(super) fn put_packet(&self, packet: Packet, out: &mut Outbound) {
        let version = self.version.unwrap_or(Version::V311);
        if self.packet_max == u32::MAX {
            // Nothing in these packets can be too long: what is long in them came in a packet.
            let _ = encode(&packet, version, out);
            return;
        }
        let fits = |packet: &Packet| {
            encode_vec(packet, version).ok().filter(|bytes| bytes.len() <= self.packet_max as usize)
        };
        if let Some(bytes) = fits(&packet).or_else(|| fits(&without_words(packet))) {
            out.put_slice(&bytes);
        }
    }

    /// It is over. What waits for the disk is not promised any more; what is true already may
    /// still go, and then the reason.
    pub(super) fn end(&mut self, synced: Lsn, doom: &Doom) {
        let mut said = Vec::new();
        let mut welcomed = self.welcomed;
        while let Some(reply) = self.replies.pop(synced) {
            welcomed |= matches!(&reply, Reply::Whole(packet)
                if matches!(&**packet, Packet::ConnAck(ack) if ack.code == 0));
            said.push(reply);
        }
        self.replies.clear();
        for reply in said {
            self.replies.push(Lsn::START, reply);
        }
        self.parked = None;
        if let Some(packet) = self.last_words(welcomed, doom) {
            self.say(Lsn::START, packet);
        }
    }

    /// Before the welcome a refusal, after it a goodbye; 3.1.1 knows no goodbye of a server.
    fn last_words(&self, welcomed: bool, doom: &Doom) -> Option<Packet> {
        let version = self.version?;
        let (reason, text) = reason_of(doom)?;
        let props = self.reason(Some(text));
        if welcomed {
            let goodbye = Packet::Disconnect(Reason { reason: disconnect5(reason), props });
            return (version == Version::V5).then_some(goodbye);
        }
        let code = match (version, doom) {
            (Version::V5, Doom::Fault(why)) => fault::connack5(why),
            (Version::V5, _) => connack5(reason),
            (_, Doom::Fault(why)) => fault::connack3(why)?,
            (_, Doom::Refused(_)) => fault::connack3(&FaultKind::MqttCredentials.fault())?,
            // Mqtt 3.2.2.3: the server is unavailable.
            (..) => 3,
        };
        Some(Packet::ConnAck(ConnAck { present: false, code, props }))
    }
}

/// The reason code of 5.0 for an end, and its text; none where nobody listens.
fn reason_of(doom: &Doom) -> Option<(u8, &'static str)> {
    Some(match doom {
        Doom::Eof | Doom::Reset | Doom::Left | Doom::Stuck | Doom::Unreachable => return None,
        Doom::TakenOver => (code::TAKEN_OVER, "another connection uses this client id"),
        Doom::ConnectTimeout => (code::UNSPECIFIED, "the login took too long"),
        Doom::IdleTimeout => (code::KEEP_ALIVE, "silent for 1.5 times the keep alive"),
        Doom::PacketTimeout => (code::UNSPECIFIED, "a packet was begun and not ended in time"),
        Doom::Unfinished => (code::QUOTA, "too many packets were begun and not ended"),
        Doom::Overrun => (code::QUOTA, "what it asked for is not fetched"),
        Doom::Fault(why) => (fault::reason(why), why.kind.text()),
        Doom::Refused(_) => {
            let why = FaultKind::MqttCredentials;
            (fault::reason(&why.fault()), why.text())
        }
        Doom::Busy => (code::BUSY, FaultKind::MqttBusy.text()),
        Doom::Stopping => (code::SHUTTING_DOWN, "the broker is going down"),
        Doom::StorageFailed => {
            let why = FaultKind::MqttStorage;
            (fault::reason(&why.fault()), why.text())
        }
        Doom::Kicked => (code::ADMINISTRATIVE, "closed by an operator"),
        Doom::Unwelcome => (code::BANNED, "nobody may come from there now"),
    })
}

/// What belongs to a login is, after the login, a lack of rights (mqtt5 3.14.2.1).
fn disconnect5(reason: u8) -> u8 {
    match reason {
        code::CREDENTIALS | code::BANNED => code::DENIED,
        code::VERSION | code::CLIENT_ID => code::PROTOCOL,
        code::UNAVAILABLE => code::SHUTTING_DOWN,
        other => other,
    }
}

/// The end of a login for no fault of its own: a CONNACK lacks some of the codes.
fn connack5(reason: u8) -> u8 {
    match reason {
        code::SHUTTING_DOWN | code::TAKEN_OVER => code::UNAVAILABLE,
        code::KEEP_ALIVE => code::UNSPECIFIED,
        code::ADMINISTRATIVE => code::DENIED,
        other => other,
    }
}

fn ack_packet(step: Step, id: u16, reason: u8, props: Props) -> Packet {
    let ack = Ack { id, reason, props };
    match step {
        Step::Ack => Packet::PubAck(ack),
        Step::Rec => Packet::PubRec(ack),
        Step::Rel => Packet::PubRel(ack),
        Step::Comp => Packet::PubComp(ack),
    }
}

/// The packet without reason string and user properties.
fn without_words(mut packet: Packet) -> Packet {
    let (Packet::ConnAck(ConnAck { props, .. })
    | Packet::PubAck(Ack { props, .. })
    | Packet::PubRec(Ack { props, .. })
    | Packet::PubRel(Ack { props, .. })
    | Packet::PubComp(Ack { props, .. })
    | Packet::SubAck(Codes { props, .. })
    | Packet::UnsubAck(Codes { props, .. })
    | Packet::Disconnect(Reason { props, .. })
    | Packet::Auth(Reason { props, .. })) = &mut packet
    else {
        return packet;
    };
    let words = |prop: &Prop| matches!(prop, Prop::ReasonString(_) | Prop::User(..));
    let kept: Vec<Prop> = props.iter().filter(|prop| !words(prop)).collect();
    *props = Props::build(&kept);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::policy::Refusal;

    /// Every end there is, of a login and of a connection, has words that can be written.
    #[test]
    fn all_last_words_can_be_said() {
        let faults = FaultKind::ALL.iter().map(|row| Doom::Fault(row.0.fault()));
        let others = [
            Doom::TakenOver,
            Doom::ConnectTimeout,
            Doom::IdleTimeout,
            Doom::PacketTimeout,
            Doom::Unfinished,
            Doom::Overrun,
            Doom::Refused(Refusal::Unknown),
            Doom::Busy,
            Doom::Stopping,
            Doom::StorageFailed,
            Doom::Kicked,
            Doom::Unwelcome,
        ];
        for doom in faults.chain(others) {
            for version in [Version::V31, Version::V311, Version::V5] {
                let mut line = Line::new(0);
                line.version = Some(version);
                for welcomed in [false, true] {
                    let words = line.last_words(welcomed, &doom);
                    let said = words.as_ref().map(|packet| encode_vec(packet, version));
                    assert!(!matches!(said, Some(Err(_))), "{doom:?} in {version:?}: {words:?}");
                    let owed = version == Version::V5;
                    assert!(words.is_some() || !owed, "{doom:?} leaves nothing to say");
                    assert!(!(welcomed && words.is_some()) || owed, "3.1.1 only closes");
                }
            }
        }
        assert_eq!(Line::new(0).last_words(true, &Doom::Stopping), None, "to a stranger");
    }
}
