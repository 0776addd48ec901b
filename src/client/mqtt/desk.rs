//! Floor 5. What an MQTT client owes and is owed: the ladders of QoS 1 and 2, as a value.
//!
//! Packets go in and come out; nothing here knows a socket or a clock. Our messages stand in one
//! list in the order they were published and leave it when they are acknowledged; the first
//! `window` of them may be out. Arrived messages wait in another until somebody takes them, and
//! are acknowledged then. Both lists are bounded. Absent on purpose: subscriptions; what was
//! asked for is the caller's to know.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::map::{Map, Seed, Set};
use crate::proto::mqtt::{Ack, ConnAck, Packet, Prop, Props, Publish, Version};

use super::setup::Plan;
use super::{Error, Event};

/// How far a message of ours has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Not sent on this connection.
    Waits,
    /// Sent; PUBACK or PUBREC is to come.
    Sent,
    /// PUBREC has come, and PUBREL is to be said.
    Received,
    /// PUBREL was said; PUBCOMP is to come.
    Released,
}

#[derive(Debug)]
struct Ours {
    publish: Publish,
    step: Step,
    /// Sent on an earlier connection, perhaps.
    again: bool,
}

/// The state of a session.
#[derive(Debug)]
pub(super) struct Desk {
    version: Version,
    /// As many as the caller wants to be out at once.
    wanted: u16,
    /// As many as may be.
    window: u16,
    queue: (usize, usize),
    ours: VecDeque<Ours>,
    ours_bytes: usize,
    ids: Set<u16>,
    next_id: u16,
    /// Requests that are not answered.
    asked: Set<u16>,
    /// What is to be said besides messages: QoS 0 and acknowledgements.
    words: VecDeque<Packet>,
    events: VecDeque<Event>,
    events_bytes: usize,
    /// QoS 2 messages that have arrived and were not released.
    arrived: Set<u16>,
    aliases: Map<u16, Bytes>,
    alias_max: u16,
    packet_max: usize,
    qos_max: u8,
    retains: bool,
}

impl Desk {
    pub(super) fn new(plan: &Plan) -> Self {
        // No stranger chooses these numbers: ids are ours, or bounded by 65,535 of the broker's.
        let seed = || Seed::with_seed(0);
        Self {
            version: plan.connect.version,
            wanted: plan.in_flight,
            window: plan.in_flight,
            queue: plan.queue,
            ours: VecDeque::new(),
            ours_bytes: 0,
            ids: Set::with_hasher(seed()),
            next_id: 0,
            asked: Set::with_hasher(seed()),
            words: VecDeque::new(),
            events: VecDeque::new(),
            events_bytes: 0,
            arrived: Set::with_hasher(seed()),
            aliases: Map::with_hasher(seed()),
            alias_max: plan.alias_max(),
            packet_max: usize::MAX,
            qos_max: 2,
            retains: true,
        }
    }

    /// A connection begins: everything that is not done is to be said again.
    pub(super) fn on_connected(&mut self, connack: &ConnAck) {
        (self.window, self.packet_max) = (self.wanted, usize::MAX);
        (self.qos_max, self.retains) = (2, true);
        for prop in connack.props.iter() {
            match prop {
                Prop::ReceiveMax(n) => self.window = self.wanted.min(n),
                Prop::MaximumPacketSize(n) => self.packet_max = n as usize,
                Prop::MaximumQos(n) => self.qos_max = n,
                Prop::RetainAvailable(yes) => self.retains = yes,
                _ => {}
            }
        }
        for id in self.asked.drain() {
            self.ids.remove(&id);
        }
        self.words.clear();
        self.aliases.clear();
        if !connack.present {
            self.arrived.clear();
        }
        for ours in &mut self.ours {
            ours.again |= ours.step != Step::Waits;
            ours.step = match ours.step {
                Step::Waits | Step::Sent => Step::Waits,
                // [MQTT-4.3.3] After PUBREC the message itself is never said again.
                Step::Received | Step::Released => Step::Received,
            };
        }
    }

    /// A message to be sent; its id when it is acknowledged.
    pub(super) fn publish(&mut self, mut publish: Publish) -> Result<Option<u16>, Error> {
        let alias = publish.props.topic_alias().is_some();
        let wild = publish.topic.iter().any(|b| matches!(b, b'+' | b'#' | 0));
        if wild || publish.topic.is_empty() && !alias {
            return Err(Error::Topic);
        }
        if publish.qos > self.qos_max {
            return Err(Error::Qos);
        }
        if publish.retain && !self.retains {
            return Err(Error::Retain);
        }
        let len = weight(&publish);
        if len > self.packet_max {
            return Err(Error::TooLarge);
        }
        publish.dup = false;
        if publish.qos == 0 {
            publish.id = 0;
            self.words.push_back(Packet::Publish(publish));
            return Ok(None);
        }
        if self.ours.len() >= self.queue.0 || self.ours_bytes + len > self.queue.1.max(len) {
            return Err(Error::Full);
        }
        publish.id = self.take_id().ok_or(Error::Full)?;
        let id = publish.id;
        self.ours_bytes += len;
        self.ours.push_back(Ours { publish, step: Step::Waits, again: false });
        Ok(Some(id))
    }

    /// The id of a request that is going to be answered.
    pub(super) fn ask(&mut self) -> Result<u16, Error> {
        let id = self.take_id().ok_or(Error::Full)?;
        self.asked.insert(id);
        Ok(id)
    }

    fn take_id(&mut self) -> Option<u16> {
        if self.ids.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if self.ids.insert(self.next_id) {
                return Some(self.next_id);
            }
        }
    }

    /// A packet of the broker's, other than a goodbye or an answer to a ping.
    pub(super) fn on_packet(&mut self, packet: Packet) -> Result<(), Error> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => self.on_done(ack, 1),
            Packet::PubRec(ack) => self.on_received(ack),
            Packet::PubComp(ack) => self.on_done(ack, 2),
            Packet::PubRel(ack) => {
                self.arrived.remove(&ack.id);
                self.words.push_back(Packet::PubComp(plain(ack.id)));
                Ok(())
            }
            Packet::SubAck(codes) => {
                self.on_answer(codes.id)?;
                self.tell(Event::Subscribed(codes), 0);
                Ok(())
            }
            Packet::UnsubAck(codes) => {
                self.on_answer(codes.id)?;
                self.tell(Event::Unsubscribed(codes), 0);
                Ok(())
            }
            _ => Err(Error::Unexpected),
        }
    }

    fn on_publish(&mut self, mut publish: Publish) -> Result<(), Error> {
        if let Some(alias) = publish.props.topic_alias() {
            if alias > self.alias_max {
                return Err(Error::Unexpected);
            }
            if publish.topic.is_empty() {
                publish.topic = self.aliases.get(&alias).cloned().ok_or(Error::Unexpected)?;
            } else {
                self.aliases.insert(alias, publish.topic.clone());
            }
        }
        if publish.qos == 2 && !self.arrived.insert(publish.id) {
            // It was handed out before, or is going to be; only the answer was lost.
            let waits = |event: &Event| matches!(event, Event::Message(m) if m.id == publish.id);
            if !self.events.iter().any(waits) {
                self.words.push_back(Packet::PubRec(plain(publish.id)));
            }
            return Ok(());
        }
        let len = weight(&publish);
        self.tell(Event::Message(publish), len);
        Ok(())
    }

    /// PUBACK or PUBCOMP: a message of ours has arrived for good.
    fn on_done(&mut self, ack: Ack, qos: u8) -> Result<(), Error> {
        let done = |ours: &Ours| match qos {
            1 => ours.publish.qos == 1 && ours.step == Step::Sent,
            _ => ours.step == Step::Released,
        };
        let Some(at) = self.find(ack.id) else { return Ok(()) };
        if self.ours.get(at).is_some_and(done) {
            self.forget(at, ack);
        }
        Ok(())
    }

    fn on_received(&mut self, ack: Ack) -> Result<(), Error> {
        let Some(at) = self.find(ack.id) else {
            // [MQTT-4.3.3-4] It is answered even when nobody remembers the message.
            self.words.push_back(Packet::PubRel(Ack { reason: self.unknown(), ..plain(ack.id) }));
            return Ok(());
        };
        let Some(ours) = self.ours.get_mut(at) else { return Ok(()) };
        if ours.publish.qos != 2 || ours.step == Step::Waits {
            return Err(Error::Unexpected);
        }
        if ack.reason >= 0x80 {
            self.forget(at, ack);
            return Ok(());
        }
        ours.step = Step::Received;
        let held = ours.publish.payload.len();
        ours.publish.payload = Bytes::new();
        self.ours_bytes -= held;
        Ok(())
    }

    fn unknown(&self) -> u8 {
        if self.version == Version::V5 { 0x92 } else { 0 }
    }

    fn on_answer(&mut self, id: u16) -> Result<(), Error> {
        if !self.asked.remove(&id) {
            return Err(Error::Unexpected);
        }
        self.ids.remove(&id);
        Ok(())
    }

    fn find(&self, id: u16) -> Option<usize> {
        self.ours.iter().position(|ours| ours.publish.id == id)
    }

    fn forget(&mut self, at: usize, ack: Ack) {
        let Some(ours) = self.ours.remove(at) else { return };
        self.ours_bytes -= weight(&ours.publish);
        self.ids.remove(&ack.id);
        self.tell(Event::Published { id: ack.id, reason: ack.reason, props: ack.props }, 0);
    }

    fn tell(&mut self, event: Event, bytes: usize) {
        self.events_bytes += bytes;
        self.events.push_back(event);
    }

    /// The next event; a message is acknowledged by it.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Message(message) = &event {
            self.events_bytes -= weight(message);
            match message.qos {
                1 => self.words.push_back(Packet::PubAck(plain(message.id))),
                2 => self.words.push_back(Packet::PubRec(plain(message.id))),
                _ => {}
            }
        }
        Some(event)
    }

    /// What is to be said next.
    pub(super) fn poll_packet(&mut self) -> Option<Packet> {
        if let Some(word) = self.words.pop_front() {
            return Some(word);
        }
        for ours in self.ours.iter_mut().take(self.window.into()) {
            match ours.step {
                Step::Sent | Step::Released => {}
                Step::Waits => {
                    ours.step = Step::Sent;
                    let dup = ours.again;
                    return Some(Packet::Publish(Publish { dup, ..ours.publish.clone() }));
                }
                Step::Received => {
                    ours.step = Step::Released;
                    return Some(Packet::PubRel(plain(ours.publish.id)));
                }
            }
        }
        None
    }

    /// Nothing of ours is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.ours.is_empty() && self.asked.is_empty() && self.words.is_empty()
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// So much waits to be taken that no more is read.
    pub(super) fn is_crowded(&self) -> bool {
        self.events.len() >= EVENTS_MAX || self.events_bytes >= EVENTS_BYTES_MAX
    }
}

/// What a message weighs in memory, and on the wire at least.
fn weight(publish: &Publish) -> usize {
    publish.topic.len() + publish.payload.len() + publish.props.raw().len() + 8
}

fn plain(id: u16) -> Ack {
    Ack { id, reason: 0, props: Props::none() }
}

/// Events that may wait. A few thousand of them are no delay for anybody who takes them.
const EVENTS_MAX: usize = 4_096;
/// And what their messages may weigh.
const EVENTS_BYTES_MAX: usize = 8 << 20;
