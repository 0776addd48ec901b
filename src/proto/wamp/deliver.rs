//! Floor 3. Events of a WAMP session: one for each of its subscriptions that a message came by.
//!
//! An event reads the same for everybody who reads the same form by the same subscription, so it is
//! written once and copied from then on, unless it is long. What a session did not say it
//! understands is left out of it. What has no name here, or is longer than the other side takes, is
//! counted and dropped. Absent on purpose: which message is next (the hub knows).

use crate::base::outbound::{COPY_MAX, Outbound};
use crate::base::time::Now;
use crate::base::words::Loss;
use crate::hub::Hub;
use crate::hub::message::{Delivery, Message as Carried, SHARE};
use crate::hub::policy::Event as Seen;
use crate::hub::session::Kind;
use crate::hub::written::Key;
use crate::proto::carried::{self, Head, LISTED, OURS};
use crate::topic::{Dialect, Topic};
use crate::value::{Bounds, Flaw, Form};

use super::line::{Line, write_short};
use super::notes::{self, Notes};
use super::online::Online;
use super::options::EventDetails;
use super::packet::{Event, Message};
use super::parts::{Amount, Payload, Text};
use super::roles::Feature;
use super::span::Span;

impl Online {
    /// Say the next thing that is owed; false when nothing can be said now.
    pub(super) fn deliver(&self, now: Now, line: &Line, hub: &mut Hub, out: &mut Outbound) -> bool {
        let Some(delivery) = hub.next(now, self.session) else { return false };
        if let Err(reason) = self.put_delivery(&delivery, line, hub, out) {
            self.give_up(now, &delivery, reason, hub);
        }
        if delivery.qos > 0 {
            hub.settle(self.session, crate::hub::message::id_of(delivery.ord));
        }
        hub.done(delivery);
        true
    }

    fn put_delivery(
        &self,
        d: &Delivery,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> Result<(), Loss> {
        let head = Head::of(&d.message.props);
        if head.is_some_and(|head| head.has(LISTED)) && d.retain && !self.is_meant(d, hub) {
            return Ok(());
        }
        let ours = head.is_some_and(|head| head.has(OURS));
        if !ours && is_reserved(&d.message.topic) {
            // Whoever speaks otherwise may have such topics; here they would be the router's word.
            return Err(Loss::Spelling);
        }
        for id in d.subs.iter().filter(|id| **id & SHARE == 0) {
            if self.still_listens(*id, hub) {
                self.put_event(d, head, *id, line, hub, out)?;
            }
        }
        Ok(())
    }

    /// Whoever was told that a subscription has ended takes no event by it any more, though it was
    /// published before that.
    fn still_listens(&self, id: u32, hub: &Hub) -> bool {
        let Some(session) = hub.session(self.session) else { return false };
        if session.subs.len() <= FEW {
            return session.subs.iter().any(|sub| sub.opts.id == id);
        }
        let known = hub.interests.get(self.realm, u64::from(id));
        known.is_some_and(|known| known.is_heard_by(self.session))
    }

    /// What was kept was for some only: is this one of them?
    fn is_meant(&self, d: &Delivery, hub: &Hub) -> bool {
        let lists = notes::lists(&d.message.props.slice(carried::HEAD..));
        lists.is_for(self.session, hub)
    }

    fn put_event(
        &self,
        d: &Delivery,
        head: Option<Head>,
        subscription: u32,
        line: &Line,
        hub: &mut Hub,
        out: &mut Outbound,
    ) -> Result<(), Loss> {
        let m = &d.message;
        let key = head.map(|head| self.key(head.number, d.retain, subscription, hub));
        if let Some(text) = key.as_ref().and_then(|key| hub.written.get(key)) {
            return if line.put_whole(text, out) { Ok(()) } else { Err(Loss::Large) };
        }
        let details = self.details(d, subscription, hub)?;
        let publication = head.map_or_else(|| number_of(m), |head| head.number);
        let subscription = u64::from(subscription);
        let event: Message =
            Event { subscription, publication, details, payload: Payload::default() }.into();
        let said = hub.with_scratch(|hub, scratch| match (head, key) {
            (Some(head), Some(key)) => {
                let form = self.form;
                let turned = if head.form == form { None } else { Some(turned(m, head, form)?) };
                let args: &[u8] = turned.as_ref().map_or(&m.body, |span| &span.bytes);
                if args.len() <= COPY_MAX {
                    write_short(&event, (form, head.flags), args, scratch)?;
                    hub.written.keep(key, scratch);
                    return Ok(line.put_whole(scratch, out));
                }
                let span = turned.unwrap_or_else(|| span_of(m, head));
                line.put_with(&event, &span, scratch, out)
            }
            _ => {
                let span = plain(&carried::first_of(&m.body, &m.props), self.form);
                line.put_with(&event, &span, scratch, out)
            }
        });
        match said {
            Ok(true) => Ok(()),
            Ok(false) => Err(Loss::Large),
            Err(_) => Err(Loss::Spelling),
        }
    }

    /// All that an event's text follows from. Other protocols' messages have numbers that are not
    /// theirs alone, and none of this.
    fn key(&self, number: u64, retained: bool, wish: u32, hub: &Hub) -> Key {
        let features = self.roles.subscriber.unwrap_or_default();
        let bits = [
            retained,
            self.names_topic(wish, hub),
            features.has(Feature::PublicationTrustlevels),
            features.has(Feature::PublisherIdentification),
        ];
        let told = bits.into_iter().fold(0, |sum, bit| sum << 1 | u8::from(bit));
        Key { number, wish, realm: self.realm, variant: told << 4 | carried::code_of(self.form) }
    }

    /// Is the topic not what was subscribed to?
    fn names_topic(&self, wish: u32, hub: &Hub) -> bool {
        let known = hub.interests.get(self.realm, u64::from(wish));
        known.is_none_or(|known| known.kind != crate::hub::calls::Kind::Exact)
    }

    /// What is said of the event, as far as this session understands it.
    fn details(&self, d: &Delivery, subscription: u32, hub: &Hub) -> Result<EventDetails, Loss> {
        let m = &d.message;
        let mut it = EventDetails { retained: d.retain, ..EventDetails::default() };
        if self.names_topic(subscription, hub) {
            it.topic = Some(self.spelled(m, hub).ok_or(Loss::Spelling)?);
        }
        if m.props.len() <= carried::HEAD || Head::of(&m.props).is_none() {
            return Ok(it);
        }
        let said = Notes::of(&m.props.slice(carried::HEAD..));
        let features = self.roles.subscriber.unwrap_or_default();
        it.ppt = said.ppt;
        if features.has(Feature::PublicationTrustlevels) {
            it.trustlevel = said.trust.map(Amount);
        }
        if let Some(who) = said.who.filter(|_| features.has(Feature::PublisherIdentification)) {
            it.publisher = Some(who.id);
            it.publisher_authid = Some(who.authid);
            it.publisher_authrole = Some(who.authrole);
        }
        Ok(it)
    }

    fn spelled(&self, m: &Carried, hub: &Hub) -> Option<Text> {
        let spelling = self.spelling(hub);
        if let Some(text) = spelling.as_spelled(&m.topic) {
            return Text::from_utf8(text.clone());
        }
        let mut into = Vec::new();
        spelling.spell(&m.topic, &mut into).then(|| Text::from_utf8(into.into()))?
    }

    fn give_up(&self, now: Now, d: &Delivery, reason: Loss, hub: &mut Hub) {
        if reason == Loss::Spelling {
            return hub.note_unspelled(now, Kind::Wamp, &d.message.topic);
        }
        hub.stats.count(reason.counter());
        let event = Seen::Dropped { user: &self.who.user, topic: &d.message.topic, reason };
        hub.observer.see(now, &event);
    }
}

/// So many subscriptions of a session are looked through one by one.
const FEW: usize = 16;

/// Is it a name that only the router uses?
fn is_reserved(topic: &Topic) -> bool {
    let mut levels = topic.levels();
    topic.text().starts_with(b"wamp") && levels.len() > 1 && levels.next() == Some(&b"wamp"[..])
}

/// A number for what another protocol published: the same for all who read it. Of what came in at
/// once each has its own, and of what is kept each topic's.
fn number_of(m: &Carried) -> u64 {
    use crate::hub::parties::scatter;
    let word = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    let topic = m.topic.text().chunks(8).fold(0, |sum, bytes| scatter(sum ^ word(bytes)));
    let times = m.born ^ m.came.rotate_left(20);
    let mix = scatter(scatter(times ^ u64::from(m.serial).rotate_left(40)) ^ topic);
    (mix & (crate::hub::parties::NUMBER_MAX - 1)) + 1
}

/// Its arguments as they came.
fn span_of(m: &Carried, head: Head) -> Span {
    Span { form: head.form, flags: head.flags, bytes: m.body.to_bytes() }
}

/// Its arguments in another form.
fn turned(m: &Carried, head: Head, form: Form) -> Result<Span, Flaw> {
    span_of(m, head).turned(form, Bounds::default()).ok_or(Flaw::Unsupported)
}

/// A body as one argument.
pub(super) fn plain(body: &[u8], form: Form) -> Span {
    let mut into = Vec::with_capacity(body.len() + 8);
    carried::arguments_of(body, form, &mut into);
    Span { form, flags: carried::ARGS, bytes: into.into() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hub::message::{Body, Meter};

    #[test]
    fn whatever_another_protocol_publishes_has_a_number_of_its_own() {
        let message = |topic: &'static [u8], serial, born| Carried {
            topic: Topic::split(Bytes::from_static(topic), b'/'),
            body: Body::default(),
            props: Bytes::new(),
            qos: 0,
            serial,
            born,
            came: born / 2,
            expires: 0,
            charge: Meter::default().charge(0),
        };
        let mut all = vec![number_of(&message(b"a/long/topic", 0, 1))];
        assert_eq!(all[0], number_of(&message(b"a/long/topic", 0, 1)), "for all who read it");
        all.extend((1..9).map(|serial| number_of(&message(b"a/long/topic", serial, 1))));
        all.push(number_of(&message(b"a/long/tropic", 0, 1)));
        all.push(number_of(&message(b"a/long/topic", 0, 9)));
        let many = all.len();
        assert!(all.iter().all(|no| (1..=crate::hub::parties::NUMBER_MAX).contains(no)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), many);
    }
}
