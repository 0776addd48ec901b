//! Floor 3. An MQTT client that is in: publishing, and the ladders both ways.
//!
//! Each packet is carried out whole or parked whole: what could not be done now is tried again
//! with the same packet, and nothing of it was done before, save filters that were already dealt
//! with. An acknowledgement is a reply that waits for what the hub says it must wait for. A
//! publication that may not be is refused by its own acknowledgement in 5.0, and acknowledged and
//! dropped before, because 3.1.1 has no other words short of the end (3.3.5-2). Absent on
//! purpose: encoding.

use std::sync::Arc;

use crate::base::id::{Lsn, SessionId};
use crate::base::limits::Limit;
use crate::base::stats::Counter;
use crate::hub::Held;
use crate::hub::message::{Durability, Publication};
use crate::hub::policy::{Access, Event, Principal};
use crate::hub::registry::Parting;
use crate::proto::fault::{Fault, FaultKind};
use crate::proto::{Ask, Ctx};
use crate::topic::Topic;

use super::alias::{Ours, Theirs};
use super::arrived::Arrived;
use super::auth::Proof;
use super::dialect::Spelling;
use super::fault::reason as code;
use super::line::{Done, Line, Parked, Slip, Step};
use super::packet::{Ack, Packet, Reason};
use super::props::{Prop, Props};
use super::rpc::Rpc;

/// A client that is in.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) session: SessionId,
    pub(super) who: Arc<Principal>,
    /// Silence longer than this ends the connection; 0: it may be silent.
    pub(super) idle_ms: u64,
    /// Its session was to end with the connection: a goodbye may not change that.
    pub(super) ends: bool,
    /// Another broker: it wants neither its own messages nor their retain flags changed.
    pub(super) bridge: bool,
    pub(super) theirs: Theirs,
    pub(super) ours: Ours,
    /// How it proved who it is, when it did so in a dialogue.
    pub(super) proof: Option<Box<Proof>>,
    /// It calls, or is called.
    pub(super) rpc: Option<Box<Rpc>>,
}

/// What a publication's properties mean to this hop.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    alias: Option<u16>,
    expiry_s: Option<u32>,
    utf8: bool,
    asks: bool,
}

impl Hop {
    fn of(props: &Props) -> Self {
        let mut hop = Self::default();
        for prop in props.iter() {
            match prop {
                Prop::TopicAlias(alias) => hop.alias = Some(alias),
                Prop::MessageExpiry(s) => hop.expiry_s = Some(s),
                Prop::PayloadFormat(format) => hop.utf8 = format == 1,
                Prop::ResponseTopic(_) => hop.asks = true,
                _ => {}
            }
        }
        hop
    }
}

impl Online {
    /// Carry out a packet; `done` says how far it came before it was parked.
    pub(super) fn on_packet(
        &mut self,
        packet: Packet,
        done: Done,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match packet {
            Packet::PubAck(ack) => {
                self.on_puback(ack.id, ctx);
                Ok(())
            }
            Packet::PubRec(ack) => self.on_pubrec(ack, line, ctx),
            Packet::PubRel(ack) => self.on_pubrel(ack, line, ctx),
            Packet::PubComp(ack) => {
                ignored_unless(ctx.hub.pubcomp(self.session, ack.id), ctx);
                Ok(())
            }
            Packet::Subscribe(s) => self.on_subscribe(s, done, line, ctx),
            Packet::Unsubscribe(s) => self.on_unsubscribe(s, done, line, ctx),
            Packet::PingReq => {
                line.replies.push(Lsn::START, super::line::Reply::Pong);
                Ok(())
            }
            Packet::Disconnect(bye) => self.on_disconnect(&bye, line, ctx),
            Packet::Auth(step) => self.on_auth(&step, line, ctx),
            // Mqtt 3.1.0-2.
            Packet::Connect(_) => Err(FaultKind::MqttSecondConnect.fault()),
            // A client's publications do not come this way: see `on_publish`.
            Packet::Publish(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => Err(FaultKind::MqttDirection.fault()),
        }
    }

    /// Try again what had to wait.
    pub(super) fn on_parked(
        &mut self,
        parked: Parked,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match parked {
            Parked::Packet(packet, done) => self.on_packet(packet, done, line, ctx),
            Parked::Publish(slip, p) if let Some(way) = self.way_again(&p, line, ctx) => {
                self.carry_out(way, slip, p, line, ctx)
            }
            // The rules may have changed meanwhile.
            Parked::Publish(slip, p) if permit(&self.who, Access::Publish(&p.topic), ctx) => {
                self.publish(slip, p, line, ctx)
            }
            Parked::Publish(slip, _) => self.turn_down(slip, FaultKind::MqttDenied, line, ctx),
            Parked::Refused(slip, why) => self.turn_down(slip, why, line, ctx),
        }
    }

    /// `known`: its topic, when it was read before.
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        p: Arrived,
        known: Option<Topic>,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let (hop, slip) = (Hop::of(&p.props), Slip { qos: p.qos, id: p.id });
        let topic = match self.topic_of(&p, known, hop.alias, ctx) {
            Ok(topic) => topic,
            Err(why) if why.kind == FaultKind::MqttTopicDeep => {
                note_deep(&self.who, p.topic().len(), ctx);
                return self.turn_down(slip, why.kind, line, ctx);
            }
            Err(why) => return Err(why),
        };
        check_agreed(p.qos, p.retain, ctx)?;
        if p.qos == 2 && ctx.hub.inbound_known(self.session, p.id) {
            // Mqtt 4.3.3-2: received once already. What its record waits for stands before this
            // in the line of replies, or before the welcome.
            ctx.hub.stats.count(Counter::Swallowed);
            line.ack(Lsn::START, Step::Rec, p.id, 0);
            return Ok(());
        }
        if p.qos > 0 && line.is_v5() && line.owing >= u32::from(ctx.hub.limits.receive_max) {
            return Err(FaultKind::MqttReceiveMax.fault());
        }
        let way = self.way_of(&topic, hop.asks, ctx);
        if way.is_none() && !permit(&self.who, Access::Publish(&topic), ctx) {
            return self.turn_down(slip, FaultKind::MqttDenied, line, ctx);
        }
        if hop.utf8 && ctx.hub.limits.check_payload_format && !is_utf8(p.payload()) {
            return match p.qos {
                0 => Err(FaultKind::MqttPayloadFormat.fault()),
                _ => self.turn_down(slip, FaultKind::MqttPayloadFormat, line, ctx),
            };
        }
        let publication = Publication {
            realm: ctx.listener.realm,
            topic,
            props: p.props.forwardable(),
            qos: p.qos,
            retain: p.retain,
            expires: hop.expiry_s.map_or(0, |s| expires_at(ctx.now.wall, s)),
            inbound: (p.qos == 2).then_some(p.id),
            body: p.into_payload(),
        };
        match way {
            None => self.publish(slip, publication, line, ctx),
            Some(way) => self.carry_out(way, slip, publication, line, ctx),
        }
    }

    /// Hand it to the hub, and owe the answer.
    fn publish(
        &self,
        slip: Slip,
        mut publication: Publication,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        let (from, level) = ((self.session, &*self.who), ctx.listener.level);
        let mut sent = ctx.hub.accept(ctx.now, from, level, &mut publication);
        if slip.qos == 0 && sent == Err(Held::Failed) {
            // Nothing was promised, so a sick disk need not stop it.
            let volatile = Durability::Memory;
            sent = ctx.hub.accept(ctx.now, from, volatile, &mut publication);
        }
        let receipt = match sent {
            Ok(receipt) => receipt,
            Err(why) => return self.held_publish(why, slip, publication, line, ctx),
        };
        // Mqtt5 3.4.2.1: told only where there is a code for it.
        let alone = line.is_v5() && receipt.matched == 0;
        let reason = if alone { code::NO_MATCHING } else { 0 };
        self.acknowledge(slip, receipt.after, reason, line);
        Ok(())
    }

    /// It was taken in.
    #[inline]
    pub(super) fn acknowledge(&self, slip: Slip, after: Lsn, reason: u8, line: &mut Line) {
        match slip.qos {
            0 => {}
            1 => line.ack(after, Step::Ack, slip.id, reason),
            _ => line.ack(after, Step::Rec, slip.id, reason),
        }
        line.owing += u32::from(slip.qos > 0);
    }

    pub(super) fn held_publish(
        &self,
        why: Held,
        slip: Slip,
        publication: Publication,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        match why {
            Held::Full | Held::Memory | Held::Turn => {
                park(Parked::Publish(slip, publication), why, line, ctx);
                Ok(())
            }
            Held::Failed if slip.qos > 0 && line.is_v5() => {
                self.turn_down(slip, FaultKind::MqttStorage, line, ctx)
            }
            Held::Failed => Err(FaultKind::MqttStorage.fault()),
            Held::TooLarge => Err(FaultKind::MqttOverMax.fault()),
        }
    }

    /// It may not be. In 5.0 its acknowledgement says so; before, it is acknowledged and dropped.
    pub(super) fn turn_down(
        &self,
        slip: Slip,
        why: FaultKind,
        line: &mut Line,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Fault> {
        ctx.hub.stats.count(Counter::PublishesRefused);
        match (slip.qos, line.is_v5()) {
            (0, _) => {}
            (1, true) => {
                line.owing += 1;
                line.refuse(Step::Ack, slip.id, why);
            }
            (_, true) => {
                line.owing += 1;
                line.refuse(Step::Rec, slip.id, why);
            }
            (1, false) => line.ack(Lsn::START, Step::Ack, slip.id, 0),
            (_, false) => match ctx.hub.inbound_note(self.session, slip.id, ctx.listener.level) {
                Ok(receipt) => line.ack(receipt.after, Step::Rec, slip.id, 0),
                Err(held) if held.passes() => park(Parked::Refused(slip, why), held, line, ctx),
                Err(Held::TooLarge) => return Err(FaultKind::MqttOverMax.fault()),
                Err(_) => return Err(FaultKind::MqttStorage.fault()),
            },
        }
        Ok(())
    }

    /// The topic a publication names, by its text, its number, or both.
    fn topic_of(
        &mut self,
        p: &Arrived,
        known: Option<Topic>,
        alias: Option<u16>,
        ctx: &Ctx<'_>,
    ) -> Result<Topic, Fault> {
        if let (Some(alias), true) = (alias, p.topic().is_empty()) {
            return match alias {
                0 => Err(FaultKind::MqttAliasZero.fault()),
                alias => self.theirs.look(alias),
            };
        }
        if alias == Some(0) {
            return Err(FaultKind::MqttAliasZero.fault());
        }
        let topic = match known {
            Some(topic) => topic,
            None => Spelling::new(&ctx.hub.limits).topic(&p.shared_topic())?,
        };
        if let Some(alias) = alias {
            self.theirs.learn(alias, ctx.hub.limits.alias_max, &topic)?;
        }
        Ok(topic)
    }

    /// A delivery of QoS 1 has arrived.
    pub(super) fn on_puback(&self, id: u16, ctx: &mut Ctx<'_>) {
        ignored_unless(ctx.hub.puback(self.session, id), ctx);
    }

    /// A delivery of QoS 2 has arrived, or is refused (mqtt5 4.3.3-9: then its id is free).
    fn on_pubrec(&self, ack: Ack, line: &mut Line, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        if ack.reason >= 0x80 {
            ignored_unless(ctx.hub.pubrec_refused(self.session, ack.id), ctx);
            return Ok(());
        }
        match ctx.hub.pubrec(self.session, ack.id, ctx.listener.level) {
            Ok(Some(receipt)) => line.ack(receipt.after, Step::Rel, ack.id, 0),
            Ok(None) => {
                ctx.hub.stats.count(Counter::Ignored);
                line.ack(Lsn::START, Step::Rel, ack.id, code::ID_UNKNOWN);
            }
            Err(why) => return held(why, Packet::PubRec(ack), Done::default(), line, ctx),
        }
        Ok(())
    }

    /// A publication's id is free again. An unknown one is answered all the same: the answer to
    /// the first may have been lost.
    fn on_pubrel(&self, ack: Ack, line: &mut Line, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        match ctx.hub.inbound_free(self.session, ack.id, ctx.listener.level) {
            Ok(Some(receipt)) => line.ack(receipt.after, Step::Comp, ack.id, 0),
            Ok(None) => {
                ctx.hub.stats.count(Counter::Ignored);
                line.ack(Lsn::START, Step::Comp, ack.id, code::ID_UNKNOWN);
            }
            Err(why) => return held(why, Packet::PubRel(ack), Done::default(), line, ctx),
        }
        Ok(())
    }

    /// The goodbye. Any reason but 0 leaves the will in force (mqtt5 3.14.4-3).
    fn on_disconnect(&self, bye: &Reason, line: &mut Line, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        let expiry = bye.props.iter().find_map(|prop| match prop {
            Prop::SessionExpiry(s) => Some(s),
            _ => None,
        });
        if let Some(s) = expiry {
            if self.ends && s > 0 {
                return Err(FaultKind::MqttSessionExpiry.fault());
            }
            let expiry_s = super::connect::granted_expiry(s, ctx.hub.limits.session_s_max);
            ctx.hub.set_expiry(self.session, expiry_s);
        }
        line.parting = if bye.reason == 0 { Parting::Quiet } else { Parting::Lost };
        line.left = true;
        ctx.asks.push(Ask::Leave);
        Ok(())
    }

    pub(super) fn heap(&self) -> usize {
        self.theirs.heap() + self.ours.heap()
    }
}

/// Wait with it until there is room, or time; nothing behind it is read meanwhile.
pub(super) fn park(what: Parked, why: Held, line: &mut Line, ctx: &mut Ctx<'_>) {
    line.parked = Some(Box::new(what));
    if why == Held::Turn {
        return ctx.asks.push(Ask::Again);
    }
    ctx.hub.stats.count(Counter::Stalled);
    ctx.asks.push(Ask::Stall);
}

/// The hub could not: wait with the packet if waiting helps.
pub(super) fn held(
    why: Held,
    packet: Packet,
    done: Done,
    line: &mut Line,
    ctx: &mut Ctx<'_>,
) -> Result<(), Fault> {
    match why {
        Held::Full | Held::Memory | Held::Turn => {
            park(Parked::Packet(packet, done), why, line, ctx);
            Ok(())
        }
        Held::Failed => Err(FaultKind::MqttStorage.fault()),
        Held::TooLarge => Err(FaultKind::MqttOverMax.fault()),
    }
}

/// Is it allowed? A refusal is counted and told to the observer.
pub(super) fn permit(who: &Principal, access: Access<'_>, ctx: &mut Ctx<'_>) -> bool {
    if ctx.hub.policy.permit(who, &access) {
        return true;
    }
    ctx.hub.stats.denied(access.action());
    let why = ctx.hub.policy.explain(who, &access);
    let event = Event::Denied { conn: ctx.conn, who, access, why: &why };
    ctx.hub.observer.see(ctx.now, &event);
    false
}

/// A topic is longer or deeper than this broker takes.
pub(super) fn note_deep(who: &Principal, len: usize, ctx: &mut Ctx<'_>) {
    let long = len > ctx.hub.limits.topic_bytes_max;
    let limit = if long { Limit::topic_bytes_max } else { Limit::levels_max };
    ctx.hub.limited(ctx.now, &who.client_id, limit);
}

/// What the welcome said this broker does not do (mqtt5 3.2.2-11, 3.2.2-14).
pub(super) fn check_agreed(qos: u8, retain: bool, ctx: &Ctx<'_>) -> Result<(), Fault> {
    if qos > ctx.hub.limits.qos_max {
        return Err(FaultKind::MqttWillQos.fault());
    }
    if retain && !ctx.hub.limits.retain_ok {
        return Err(FaultKind::MqttRetainOff.fault());
    }
    Ok(())
}

/// The wall-clock millisecond `s` seconds from now. A lifetime of nothing still reaches whoever
/// is there at this moment.
fn expires_at(wall: u64, s: u32) -> u64 {
    wall.saturating_add((u64::from(s) * 1_000).max(1))
}

pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok()
}

fn ignored_unless(known: bool, ctx: &mut Ctx<'_>) {
    if !known {
        ctx.hub.stats.count(Counter::Ignored);
    }
}
