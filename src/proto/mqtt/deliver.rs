//! Floor 3. A message on its way to an MQTT client: spelled, shortened by an alias, within bounds.
//!
//! What the client has no spelling for, or takes no packets so large for, is counted, told to the
//! observer and settled, so that it is not owed for ever (mqtt5 3.1.2-25). What is left of a
//! message's lifetime is said in seconds, the last of them begun. Of what came with arguments it is
//! said what body was made of them, and nothing else. Absent on purpose: which message
//! is next (the hub knows), and packet ids (they follow from its ordinal).

use crate::base::outbound::Outbound;
use crate::base::time::Now;
use crate::base::words::Loss;
use crate::hub::Hub;
use crate::hub::message::{Delivery, Message, SHARE, SubIds, id_of};
use crate::hub::policy::Event;
use crate::hub::session::Kind;
use crate::proto::carried::{self, Nature};
use crate::topic::Topic;

use super::alias::Spoken;
use super::dialect::Spelling;
use super::encode::{PublishHead, PublishProps, publish_head, publish_len};
use super::line::Line;
use super::online::Online;
use super::packet::{Ack, Packet, Version};
use super::props::Props;

impl Online {
    /// Say first what is left of earlier connections: half done on them (4.4.0-1).
    pub(super) fn release_again(
        &self,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
        most: usize,
    ) {
        while out.len() < most
            && let Some(id) = hub.next_released(self.session)
        {
            line.put_packet(Packet::PubRel(Ack { id, reason: 0, props: Props::none() }), out);
        }
    }

    /// Say the next thing that is owed; false when nothing can be said now.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        now: Now,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> bool {
        let Some(delivery) = hub.next(now, self.session) else { return false };
        if let Err(reason) = self.put_delivery(now, &delivery, line, hub, out) {
            self.give_up(now, &delivery, reason, hub);
        }
        hub.done(delivery);
        true
    }

    #[inline]
    fn put_delivery(
        &mut self,
        now: Now,
        d: &Delivery,
        line: &Line,
        hub: &Hub,
        out: &mut Outbound,
    ) -> Result<(), Loss> {
        let version = line.version.unwrap_or(Version::V311);
        let m = &d.message;
        let mut spelled = Vec::new();
        let Some(text) = text_of(&m.topic, &mut spelled, hub) else { return Err(Loss::Spelling) };
        let made;
        let (body, rest): (_, &[u8]) = if carried::is_carried(&m.props) {
            made = carried::read(m, d.retain).ok_or(Loss::Form)?;
            (&made.body, props_of(made.nature))
        } else {
            (&m.body, &m.props)
        };
        let id = if d.qos > 0 { id_of(d.ord) } else { 0 };
        let mut named = SubIds::new();
        if version == Version::V5 && !d.subs.is_empty() {
            named.extend(d.subs.iter().copied().filter(|id| id & SHARE == 0));
        }
        let mut spoken = self.ours.look(text);
        let mut put = |spoken: Spoken| {
            let head = PublishHead {
                version,
                dup: d.qos > 0 && d.dup,
                qos: d.qos,
                retain: d.retain,
                topic: if matches!(spoken, Spoken::Known(_)) { &[] } else { text },
                id,
                props: PublishProps {
                    expiry: seconds_left(m, now),
                    alias: spoken.number(),
                    subs: &named,
                    rest,
                },
                payload_len: body.len(),
            };
            match line.packet_max == u32::MAX || publish_len(&head) <= line.packet_max as usize {
                true => publish_head(out, &head).map(|()| true),
                false => Ok(false),
            }
        };
        while !put(spoken).map_err(|_| Loss::Spelling)? {
            // A new number takes a few bytes, which may be the few too many.
            match spoken {
                Spoken::New(_) => spoken = Spoken::Plain,
                Spoken::Plain | Spoken::Known(_) => return Err(Loss::Large),
            }
        }
        if let Spoken::New(number) = spoken {
            self.ours.learn(number, text);
        }
        body.put(out);
        Ok(())
    }

    fn give_up(&self, now: Now, d: &Delivery, reason: Loss, hub: &mut Hub) {
        if reason == Loss::Spelling {
            hub.note_unspelled(now, Kind::Mqtt, &d.message.topic);
        } else {
            hub.stats.count(reason.counter());
            let event =
                Event::Dropped { user: &self.who.client_id, topic: &d.message.topic, reason };
            hub.observer.see(now, &event);
        }
        match d.qos {
            0 => false,
            1 => hub.puback(self.session, id_of(d.ord)),
            _ => hub.pubrec_refused(self.session, id_of(d.ord)),
        };
    }
}

/// The topic as MQTT writes it; none when it cannot.
pub(super) fn text_of<'a>(
    topic: &'a Topic,
    spelled: &'a mut Vec<u8>,
    hub: &Hub,
) -> Option<&'a [u8]> {
    let spelling = Spelling::new(&hub.limits);
    match spelling.as_spelled(topic) {
        Some(text) => Some(text),
        None => spelling.spell(topic, spelled).then_some(&spelled[..]),
    }
}

/// What 5.0 says of a body that was made of arguments (3.3.2.3.2, 3.3.2.3.9): it is text, or text
/// that is JSON.
const fn props_of(nature: Nature) -> &'static [u8] {
    match nature {
        Nature::Bytes => &[],
        Nature::Text => &[0x01, 1],
        Nature::Json => b"\x01\x01\x03\x00\x10application/json",
    }
}

/// Mqtt5 3.3.2-6: what it was given, less what it has waited here.
fn seconds_left(m: &Message, now: Now) -> Option<u32> {
    let ms = (m.expires != 0).then(|| m.expires.saturating_sub(now.wall))?;
    Some(u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX))
}
