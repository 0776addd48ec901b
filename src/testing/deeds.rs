//! Floor 5. What MQTT clients do in the simulated world: come, ask, publish, answer, leave.
//!
//! They share the topics of the PRX1 users and have some of their own for wills. A client has one
//! connection it speaks on; those it had before are gone without a word, or hung up on. The length
//! of a body follows from its number, so that what the broker says it took in is known by it.
//! Absent on purpose: judgement (`heed`).

use bytes::Bytes;

use crate::hub::policy::Address;
use crate::proto::mqtt::{
    Asked, Connect, Packet, Prop, Props, Publish, Reason, Subscribe, Unsubscribe, Version, Will,
};

use super::device::{Call, Device, Sent, Step, Todo, Wish};
use super::dice::DEVICES;
use super::model::{Kind, Wrong};
use super::net::Acks;
use super::rig::MQTT;
use super::rooms::Opts;
use super::world::{TOPICS, World};

pub(super) const MQTT_FILTERS: [&str; 13] =
    ["a", "a/b", "b/c", "c", "#", "a/#", "+/c", "a/+/c", "b/#", "+/+", "a/b/c", "w/#", "+/+/#"];
const WILLS: [&str; 2] = ["w/0", "w/1"];
const GROUPS: [&str; 2] = ["g", "h"];
/// Bodies of messages whose numbers are less than this far apart differ in length.
const APART: usize = 61;

impl World {
    pub(super) fn draw_devices(&mut self) {
        for _ in 0..self.habits.devices {
            let version = if self.dice.chance(1, 3) { Version::V311 } else { Version::V5 };
            self.devices.push(Device::new(version));
            self.rooms.rooms.push(super::rooms::Room::default());
        }
    }

    /// The connection a client speaks on.
    fn call_of(&self, device: usize) -> Option<usize> {
        let mine = |c: &Call| c.device == device && !c.vanished;
        self.calls.iter().rposition(mine)
    }

    pub(super) fn mqtt_deed(&mut self) -> Result<(), Wrong> {
        let device = self.dice.below(self.devices.len() as u64) as usize;
        let Some(at) = self.call_of(device) else {
            return if self.dice.chance(1, 3) { self.call_in(device) } else { Ok(()) };
        };
        if self.calls[at].outward.len() > 20_000 {
            return Ok(());
        }
        if self.calls[at].joined.is_some() && self.dice.chance(1, 30) {
            // Another connection takes its place; what becomes of this one, nobody says.
            return self.call_in(device);
        }
        if !self.calls[at].is_up() {
            return Ok(());
        }
        let all: u64 = self.habits.mqtt.iter().sum();
        let mut roll = self.dice.below(all);
        let mut deed = 0;
        while roll >= self.habits.mqtt[deed] {
            roll -= self.habits.mqtt[deed];
            deed += 1;
        }
        match deed {
            0 | 1 => self.listen_to(at, deed == 1),
            2 => self.listen_no_more(at),
            3..=5 => self.say_something(at, deed),
            6 => {
                let call = &mut self.calls[at];
                call.send(&Packet::PingReq);
                let seen = core::mem::take(&mut call.acked_since);
                call.pings.push_back(seen);
            }
            7 => self.say_goodbye(at),
            8 => self.calls[at].vanished = true,
            _ => self.hang_up(at),
        }
        if deed != 3 {
            let who = self.call_name(at);
            self.note(&who, &format!("deed {deed}"));
        }
        Ok(())
    }

    pub(super) fn call_name(&self, at: usize) -> String {
        self.calls.get(at).map_or_else(String::new, |c| format!("c{}/m{}", c.no, c.device))
    }

    /// The connection ends without a goodbye.
    fn hang_up(&mut self, at: usize) {
        let reset = self.dice.chance(1, 2);
        let call = &mut self.calls[at];
        call.vanished = true;
        if let Some(wire) = self.rig.as_mut().and_then(|rig| rig.wires.get_mut(&call.conn)) {
            wire.fin = Some(reset);
        }
    }

    /// A client connects; whatever connection it had, it has no more.
    pub(super) fn call_in(&mut self, device: usize) -> Result<(), Wrong> {
        let host = match self.calm {
            true => [10, 2, (self.opened >> 8) as u8, self.opened as u8],
            false => [10, 0, 0, self.dice.below(4) as u8],
        };
        let Ok(conn) = self.rig()?.open_at(MQTT, Address::V4(host)) else { return Ok(()) };
        for at in 0..self.calls.len() {
            if self.calls[at].device == device && !self.calls[at].vanished {
                match self.dice.chance(1, 2) {
                    true => self.hang_up(at),
                    false => self.calls[at].vanished = true,
                }
            }
        }
        self.opened += 1;
        let mut call = Call::new(self.opened, conn, device, self.devices[device].version);
        self.draw_call(&mut call);
        call.clean |= self.devices[device].anew;
        // Until somebody says that it began anew, it must ask for that again.
        self.devices[device].anew = call.clean;
        let seat = DEVICES + device;
        let password = if call.honest { format!("pass{seat}") } else { "wrong".to_owned() };
        let connect = self.connect_of(&call, &password);
        call.send(&Packet::Connect(Box::new(connect)));
        let what = format!(
            "comes, honest {} clean {} expiry {} window {} will {:?} {:?}",
            call.honest, call.clean, call.expiry_s, call.receive_max, call.will, call.acks
        );
        self.calls.push(call);
        let who = self.call_name(self.calls.len() - 1);
        self.note(&who, &what);
        Ok(())
    }

    fn draw_call(&mut self, call: &mut Call) {
        let v5 = call.version == Version::V5;
        if self.calm {
            call.expiry_s = if v5 { 1_000_000 } else { 0 };
            return;
        }
        call.honest = !(self.setup.users.is_some() && self.dice.chance(1, 8));
        call.clean = self.dice.chance(self.habits.clean, 100);
        if v5 {
            call.expiry_s = match self.dice.below(8) {
                0 => 0,
                1 => self.dice.between(1, 5) as u32,
                2 => self.dice.between(100, 20_000) as u32,
                3 => u32::MAX,
                _ => 1_000_000,
            };
            if self.dice.chance(2, 3) {
                call.receive_max = self.dice.between(1, 20) as u16;
            }
            call.alias_max = self.dice.below(3) as u16;
        }
        if self.dice.chance(self.habits.slow, 100) {
            call.pace = self.dice.between(1, 200) as usize;
        }
        let lazy = self.dice.chance(self.habits.lazy, 100);
        let habit = self.dice.below(3) as usize;
        call.acks = if lazy { [Acks::Late, Acks::Mixed, Acks::Never][habit] } else { Acks::Prompt };
        if self.dice.chance(self.habits.wills, 100) {
            let topic = WILLS[self.dice.below(2) as usize];
            let delay = match self.dice.below(4) {
                _ if !v5 => 0,
                0 => self.dice.between(1, 5),
                1 => self.dice.between(100, 20_000),
                _ => 0,
            };
            let (qos, retain) = (self.dice.below(3) as u8, self.dice.chance(1, 4));
            let no = self.model.send(topic, qos, retain, Kind::Published);
            self.model.messages[no].len = self.length(no);
            call.will = Some((no, delay as u32));
        }
    }

    fn connect_of(&mut self, call: &Call, password: &str) -> Connect {
        let v5 = call.version == Version::V5;
        let mut props = Vec::new();
        if v5 {
            props.push(Prop::SessionExpiry(call.expiry_s));
            if call.receive_max < u16::MAX {
                props.push(Prop::ReceiveMax(call.receive_max));
            }
            if call.alias_max > 0 {
                props.push(Prop::TopicAliasMax(call.alias_max));
            }
        }
        let will = call.will.map(|(no, delay_s)| {
            let m = &self.model.messages[no];
            let delay = Props::build(&[Prop::WillDelay(delay_s)]);
            Will {
                topic: Bytes::from(m.topic.clone()),
                payload: Bytes::from(body_of(no, m.len)),
                qos: m.qos,
                retain: m.retain,
                props: if v5 && delay_s > 0 { delay } else { Props::none() },
            }
        });
        Connect {
            version: call.version,
            bridge: false,
            clean: call.clean,
            keep_alive: if self.dice.chance(1, 4) { self.dice.between(2, 20) as u16 } else { 0 },
            client_id: Bytes::from(format!("m{}", call.device)),
            will,
            username: Some(Bytes::from(format!("m{}", call.device))),
            password: Some(Bytes::copy_from_slice(password.as_bytes())),
            props: Props::build(&props),
        }
    }

    /// The length of a body that carries this number.
    fn length(&mut self, no: usize) -> usize {
        let most = if self.dice.chance(1, 40) { 6_000 } else { self.habits.payload };
        let least = no.to_string().len() + 1 + self.dice.below(most) as usize;
        (least..).find(|len| len % APART == no % APART).unwrap_or(least)
    }

    fn listen_to(&mut self, at: usize, shared: bool) {
        let device = self.calls[at].device;
        let v5 = self.calls[at].version == Version::V5;
        let filter = MQTT_FILTERS[self.dice.below(MQTT_FILTERS.len() as u64) as usize];
        let shared = shared && v5;
        let group = if shared { GROUPS[self.dice.below(2) as usize] } else { "" };
        let numbered = v5 && (shared || self.dice.chance(2, 3));
        let opts = Opts {
            qos: if self.dice.chance(1, 4) { self.dice.below(2) as u8 } else { 2 },
            id: if numbered { self.devices[device].sub_id() } else { 0 },
            no_local: v5 && !shared && self.dice.chance(1, 5),
            as_published: v5 && self.dice.chance(1, 6),
        };
        let handling = if v5 { self.dice.below(3) as u8 } else { 0 };
        let text = if shared { format!("$share/{group}/{filter}") } else { filter.to_owned() };
        let id = self.devices[device].id();
        let props = match numbered {
            true => Props::build(&[Prop::SubscriptionId(opts.id)]),
            false => Props::none(),
        };
        let asked = Asked {
            filter: Bytes::from(text),
            qos: opts.qos,
            no_local: opts.no_local,
            as_published: opts.as_published,
            handling,
        };
        let call = &mut self.calls[at];
        let filters = smallvec::smallvec![asked];
        call.send(&Packet::Subscribe(Subscribe { id, props, filters }));
        let (group, filter) = (group.to_owned(), filter.to_owned());
        let replays = handling < 2 && group.is_empty();
        call.wishes.push(Wish { id, group, filter, opts: Some(opts), replays, op: None });
        let who = self.call_name(at);
        let wish = self.calls[at].wishes.last().cloned();
        self.note(&who, &format!("{wish:?}"));
    }

    fn listen_no_more(&mut self, at: usize) {
        let device = self.calls[at].device;
        let room = &self.rooms.rooms[device];
        let subs = room.now.map(|now| &room.lives[now].subs);
        let known: Vec<_> = subs.into_iter().flat_map(|subs| subs.keys()).cloned().collect();
        let Some((group, filter)) =
            known.get(self.dice.below(known.len() as u64) as usize).cloned()
        else {
            return;
        };
        let text = match group.is_empty() {
            true => filter.clone(),
            false => format!("$share/{group}/{filter}"),
        };
        let id = self.devices[device].id();
        let filters = smallvec::smallvec![Bytes::from(text)];
        let call = &mut self.calls[at];
        call.send(&Packet::Unsubscribe(Unsubscribe { id, props: Props::none(), filters }));
        call.wishes.push(Wish { id, group, filter, opts: None, replays: false, op: None });
    }

    fn say_something(&mut self, at: usize, deed: usize) {
        let device = self.calls[at].device;
        if self.devices[device].out.len() >= self.calls[at].quota {
            return;
        }
        let qos = match self.dice.chance(self.habits.qos2, 100) {
            true => 2,
            false => self.dice.below(2) as u8,
        };
        let (clears, retain) = (deed == 5, deed > 3);
        let qos = if clears { qos.min(1) } else { qos };
        let denied = self.habits.ruled && self.dice.chance(1, 40);
        let topic = match denied {
            true => "no/entry",
            false => TOPICS[self.dice.below(TOPICS.len() as u64) as usize],
        };
        let kind = if denied { Kind::Copy } else { Kind::Published };
        let no = self.model.send(topic, qos, retain, kind);
        let len = if clears { 0 } else { self.length(no) };
        let v5 = self.calls[at].version == Version::V5;
        let fades = v5 && !clears && self.dice.chance(self.habits.fading, 100);
        let m = &mut self.model.messages[no];
        m.len = len;
        m.expiry_s = fades.then(|| self.dice.between(1, 3) as u32);
        let id = if qos > 0 { self.devices[device].id() } else { 0 };
        if qos > 0 {
            let sent = Sent { id, no, qos, step: Step::Sent, freed: None };
            self.devices[device].out.push(sent);
        }
        self.transmit(at, no, id, false);
        let who = self.call_name(at);
        self.note(&who, &format!("pub #{no} id {id} {topic} q{qos} retain {retain} {len}"));
        self.end.sent += 1;
    }

    /// Put a publication on the line, with the topic's number when there is one.
    fn transmit(&mut self, at: usize, no: usize, id: u16, dup: bool) {
        let m = self.model.messages[no].clone();
        let mut props = Vec::new();
        props.extend(m.expiry_s.map(Prop::MessageExpiry));
        let mut topic = m.topic.clone();
        let aliases = usize::from(self.setup.limits.alias_max);
        let v5 = self.calls[at].version == Version::V5;
        if v5 && aliases > 0 && self.dice.chance(1, 4) {
            let ours = &mut self.calls[at].ours;
            if let Some(alias) = ours.get(&topic) {
                props.push(Prop::TopicAlias(*alias));
                topic.clear();
            } else if ours.len() < aliases {
                let alias = ours.len() as u16 + 1;
                props.push(Prop::TopicAlias(alias));
                ours.insert(topic.clone(), alias);
            }
        }
        let publish = Publish {
            dup,
            qos: m.qos,
            retain: m.retain,
            topic: Bytes::from(topic),
            id,
            props: Props::build(&props),
            payload: Bytes::from(body_of(no, m.len)),
        };
        let call = &mut self.calls[at];
        call.publish(no, publish);
        if m.kind != Kind::Published {
            call.publishes.pop_back();
        }
    }

    /// The session was resumed: everything without its last answer is sent again, in order. At
    /// QoS 1 a copy is a message of its own to whoever counts what the broker takes in.
    pub(super) fn send_again(&mut self, at: usize) {
        let device = self.calls[at].device;
        for i in 0..self.devices[device].out.len() {
            let sent = self.devices[device].out[i];
            let who = self.call_name(at);
            if sent.step == Step::Received {
                self.calls[at].todo.push(Todo::Rel(sent.id));
                continue;
            }
            let mut no = sent.no;
            if sent.qos == 1 {
                let m = self.model.messages[no].clone();
                no = self.model.send(&m.topic, m.qos, m.retain, m.kind);
                let len = if m.len == 0 { 0 } else { self.length(no) };
                let copy = &mut self.model.messages[no];
                (copy.len, copy.expiry_s) = (len, m.expiry_s);
                self.devices[device].out[i].no = no;
            }
            self.transmit(at, no, sent.id, true);
            self.note(&who, &format!("pub again #{no}, was #{} id {}", sent.no, sent.id));
        }
    }

    fn say_goodbye(&mut self, at: usize) {
        let call = &mut self.calls[at];
        let v5 = call.version == Version::V5;
        let reason = if v5 && self.dice.chance(1, 4) { 4 } else { 0 };
        let other = v5 && call.expiry_s > 0 && self.dice.chance(1, 4);
        let expiry = other.then(|| self.dice.below(5) as u32);
        let props = expiry.map_or_else(Props::none, |s| Props::build(&[Prop::SessionExpiry(s)]));
        call.send(&Packet::Disconnect(Reason { reason, props }));
        call.bye = Some((reason, expiry));
    }

    /// Answers, as late as the client likes.
    pub(super) fn answer_calls(&mut self) {
        for at in 0..self.calls.len() {
            let call = &mut self.calls[at];
            if !call.is_up() || call.todo.is_empty() {
                continue;
            }
            let device = &mut self.devices[call.device];
            let len = call.todo.len() as u64;
            match call.acks {
                _ if self.calm => (0..len).for_each(|_| call.answer(0, device)),
                Acks::Prompt => (0..len).for_each(|_| call.answer(0, device)),
                Acks::Late if self.dice.chance(1, 4) => call.answer(0, device),
                Acks::Mixed if self.dice.chance(1, 3) => {
                    let one = self.dice.below(len) as usize;
                    if call.version == Version::V5
                        && self.dice.chance(1, 10)
                        && let Some(no) = call.refuse(one, device)
                    {
                        let life = call.joined.map_or(0, |joined| joined.life);
                        self.rooms.refused(call.device, life, no);
                    } else {
                        call.answer(one, device);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The body of a message: its number, and as much as its length asks for.
fn body_of(no: usize, len: usize) -> Vec<u8> {
    let mut body = format!("{no}|").into_bytes();
    body.resize(len, b'x');
    body
}
