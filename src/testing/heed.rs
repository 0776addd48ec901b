//! Floor 5. What the world looks at of its MQTT clients, in the turn it happens.
//!
//! What the broker says it did is told to the specification (`rooms`), what clients hear is held
//! against it and against their own ladders (`device`). Every acknowledgement is also held against
//! the disk: a promise of a durable session must stand on it before it is heard. Absent on purpose:
//! decisions.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::id::{ConnId, OwnerNo, SessionId};
use crate::hub::message::{Durability, VOLATILE, id_of};
use crate::hub::session::{Kind, Session};
use crate::proto::mqtt::{Ack, Codes, ConnAck, Packet, Prop, Publish, Version};
use crate::topic::Filter;

use super::device::{Call, Step, Wish};
use super::model::Wrong;
use super::rooms::{Hearing, Opts};
use super::world::World;

impl World {
    /// The place of a client's connection.
    pub(super) fn call_at(&self, conn: ConnId) -> Option<usize> {
        self.calls.iter().position(|call| call.conn == conn)
    }

    /// The client id that a name is, if it is one.
    pub(super) fn device_of(&self, name: &[u8]) -> Option<usize> {
        let digits = core::str::from_utf8(name).ok()?.strip_prefix('m')?;
        digits.parse().ok().filter(|device| *device < self.devices.len())
    }

    /// The connection that speaks for a client id.
    fn caller(&self, device: usize) -> Result<usize, Wrong> {
        let at = self.rooms.rooms[device].conn.and_then(|conn| self.call_at(conn));
        at.ok_or_else(|| format!("m{device} has no connection, and does something"))
    }

    pub(super) fn saw_mqtt_login(&mut self, at: usize) -> Result<(), Wrong> {
        let (now, written) = (self.rig()?.now, self.disk.writes());
        let call = &self.calls[at];
        if !call.honest {
            return Err(format!("c{} logged in with a wrong password", call.no));
        }
        let max = self.setup.limits.session_s_max;
        let expiry_s = match call.version {
            Version::V5 if call.expiry_s == u32::MAX => max,
            Version::V5 => u64::from(call.expiry_s).min(max),
            _ if call.clean => 0,
            _ => max,
        };
        let asks = (call.conn, call.clean, expiry_s);
        let place = self.model.taken();
        let room = &mut self.rooms.rooms[call.device];
        let mut joined = room.joined(now, asks, call.will, (written, place));
        joined.written = self.promise();
        self.calls[at].joined = Some(joined);
        let device = self.calls[at].device;
        // What ended and began in one turn is told apart by what is there after it.
        self.know_session(device)
    }

    /// Whoever is told of what was done in this turn must find this on the disk.
    fn promise(&self) -> u64 {
        self.rig.as_ref().map_or(0, |rig| rig.written)
    }

    fn know_session(&mut self, device: usize) -> Result<(), Wrong> {
        let found = self.session_of(device);
        if let (Some((id, owner)), Some(life)) = (found, self.rooms.rooms[device].life())
            && life.id.index == u32::MAX
        {
            (life.id, life.owner) = (id, owner);
        }
        Ok(())
    }

    pub(super) fn session_of(&self, device: usize) -> Option<(SessionId, Option<OwnerNo>)> {
        let hub = self.rig.as_ref()?.engine.hub();
        let name = format!("m{device}");
        let mine = |s: &&Session| s.kind == Kind::Mqtt && s.name() == name.as_bytes();
        hub.sessions().filter(|s| !s.ended).find(mine).map(|s| (s.id, s.owner))
    }

    pub(super) fn saw_mqtt_end(&mut self, conn: ConnId, why: &str) -> Result<(), Wrong> {
        let Some(at) = self.call_at(conn) else { return Ok(()) };
        let (now, written) = (self.rig()?.now, self.disk.writes());
        let call = &self.calls[at];
        let bye = call.bye.filter(|_| why == "left");
        let quiet = bye.is_some_and(|(reason, _)| reason == 0);
        let expiry_s = bye.and_then(|(_, expiry)| expiry).map(u64::from);
        let device = call.device;
        let left = self.rooms.rooms[device].left(now, conn, (quiet, expiry_s), written);
        left.map_err(|why| format!("m{device}: {why}"))
    }

    /// A reader has no place for a message that is about to be taken in.
    pub(super) fn saw_drop(&mut self, name: &[u8], topic: &[u8]) {
        if let Some(device) = self.device_of(name) {
            self.dropped.push((device, topic.to_vec()));
        }
    }

    /// Which message an MQTT client has published, by what the broker says of it.
    pub(super) fn saw_mqtt_publish(
        &mut self,
        device: usize,
        (topic, len): (&[u8], usize),
        (qos, retain): (u8, bool),
    ) -> Result<(usize, Option<usize>), Wrong> {
        let fits = |model: &super::model::Model, no: usize| {
            let m = &model.messages[no];
            m.topic.as_bytes() == topic && m.len == len && (m.qos, m.retain) == (qos, retain)
        };
        if topic.starts_with(b"w/") {
            let (now, written) = (self.rig()?.now, self.disk.writes());
            let room = &mut self.rooms.rooms[device];
            let no = room.published_will(now, written, |no| fits(&self.model, no));
            return Ok((no.map_err(|why| format!("m{device}: {why}"))?, None));
        }
        let at = self.caller(device)?;
        loop {
            let next = self.calls[at].publishes.pop_front();
            let (no, again) = next.ok_or("a publish was taken in that nobody sent")?;
            let swallowed = again && self.model.messages[no].qos == 2;
            if fits(&self.model, no) {
                return Ok((no, Some(device)));
            }
            // A sick disk takes nothing in but what nobody is promised.
            let refused = self.is_sick() && self.model.messages[no].qos > 0;
            if !swallowed && !refused {
                return Err(format!("message {no} was taken in as something else"));
            }
        }
    }

    /// Tell both halves of the specification.
    pub(super) fn taken_in(&mut self, no: usize, from: Option<usize>) -> Result<(), Wrong> {
        let (wall, written) = (self.rig()?.now.wall, self.promise());
        self.model.published(no, wall, written)?;
        let m = &self.model.messages[no];
        let topic = m.topic.as_bytes();
        let full = self.dropped.iter().filter(|(_, t)| t == topic).map(|(device, _)| *device);
        let full: BTreeSet<usize> = full.collect();
        self.dropped.retain(|(_, t)| t != topic);
        self.rooms.published(no, m, from, &full);
        Ok(())
    }

    pub(super) fn saw_wish(
        &mut self,
        device: usize,
        filter: &Filter,
        begins: bool,
    ) -> Result<(), Wrong> {
        let known = self.mqtt_filters.iter().find(|(known, _)| known == filter);
        let text = known.map(|(_, text)| *text).ok_or("a filter that nobody asked for")?;
        let at = self.caller(device)?;
        let written = self.promise();
        // The broker does not name the group. What is not listened to any more is given up in
        // silence: such a wish must not pass for one of another group that is heard of.
        let subs = self.rooms.rooms[device].life().map(|life| &life.subs);
        let listens = |w: &Wish| {
            let history = subs.and_then(|subs| subs.get(&(w.group.clone(), w.filter.clone())));
            history.is_some_and(|history| history.now().is_some())
        };
        let wishes = self.calls[at].wishes.iter_mut();
        let mut open = wishes.filter(|w| w.op.is_none() && w.opts.is_some() == begins);
        let mut open = open.by_ref().filter(|w| begins || listens(w));
        let Some(wish) = open.find(|w| w.filter == text) else {
            return Err(format!("{text} was taken in, and m{device} did not ask"));
        };
        let Some(life) = self.rooms.rooms[device].life() else { return Ok(()) };
        let history = life.subs.entry((wish.group.clone(), wish.filter.clone())).or_default();
        wish.op = Some((history.push(wish.opts), written));
        if wish.replays {
            life.curious.insert(wish.filter.clone());
        }
        Ok(())
    }

    /// Clients take up what they heard, and answer as is their habit.
    pub(super) fn listen_calls(&mut self) -> Result<(), Wrong> {
        self.note_freed();
        for at in 0..self.calls.len() {
            let conn = self.calls[at].conn;
            if self.calls[at].vanished {
                continue;
            }
            let heard = self.rig()?.wires.get_mut(&conn).map(|w| core::mem::take(&mut w.heard));
            let packets = self.calls[at].listen(&heard.unwrap_or_default());
            let who = self.call_name(at);
            for packet in packets.map_err(|why| format!("{who}: {why}"))? {
                self.hear_mqtt(at, packet).map_err(|why| format!("{who}: {why}"))?;
            }
        }
        self.answer_calls();
        self.part_calls()
    }

    /// Which numbers of publications the broker has given free in this turn.
    fn note_freed(&mut self) {
        let written = self.promise();
        for (at, device) in self.devices.iter_mut().enumerate() {
            if device.out.iter().all(|sent| sent.step == Step::Sent || sent.freed.is_some()) {
                continue;
            }
            let name = format!("m{at}");
            let Some(rig) = &self.rig else { return };
            let mine = |s: &&Session| s.kind == Kind::Mqtt && s.name() == name.as_bytes();
            let mut sessions = rig.engine.hub().sessions().filter(|s| !s.ended);
            let inbound = sessions.find(mine).map_or(&[][..], Session::inbound);
            for sent in device.out.iter_mut().filter(|sent| sent.step == Step::Received) {
                let free = !inbound.contains(&sent.id);
                sent.freed = sent.freed.or_else(|| free.then_some(written));
            }
        }
    }

    fn hear_mqtt(&mut self, at: usize, packet: Packet) -> Result<(), Wrong> {
        let sick = self.is_sick();
        let call = &self.calls[at];
        if !call.online && !matches!(packet, Packet::ConnAck(_)) {
            return Err(format!("{packet:?} before the welcome"));
        }
        match packet {
            Packet::ConnAck(ack) => self.hear_mqtt_welcome(at, &ack, sick),
            Packet::Publish(p) => self.hear_delivery(at, p, sick),
            Packet::PubAck(ack) => self.hear_ack(at, &ack, sick),
            Packet::PubRec(ack) => self.hear_rec(at, &ack, sick),
            Packet::PubRel(ack) => self.hear_rel(at, &ack, sick),
            Packet::PubComp(ack) => self.hear_comp(at, &ack, sick),
            Packet::SubAck(codes) => self.hear_wish(at, &codes, true, sick),
            Packet::UnsubAck(codes) => self.hear_wish(at, &codes, false, sick),
            Packet::PingResp => {
                let call = &mut self.calls[at];
                let seen = call.pings.pop_front().ok_or("no ping is out")?;
                let life = call.joined.map_or(0, |joined| joined.life);
                for no in seen {
                    self.rooms.settled(self.calls[at].device, life, no);
                }
                Ok(())
            }
            Packet::Disconnect(bye) => {
                let who = self.call_name(at);
                self.note(&who, &format!("is told goodbye: {:#x}", bye.reason));
                Ok(())
            }
            other => Err(format!("a broker does not say {other:?}")),
        }
    }

    fn hear_mqtt_welcome(&mut self, at: usize, ack: &ConnAck, sick: bool) -> Result<(), Wrong> {
        let who = self.call_name(at);
        self.note(&who, &format!("ConnAck {} present {}", ack.code, ack.present));
        if ack.code != 0 {
            return Ok(());
        }
        let call = &mut self.calls[at];
        let joined = call.joined.ok_or("welcome without a session")?;
        if call.online || !call.honest {
            return Err("welcome twice, or with a wrong password".into());
        }
        if ack.present != joined.resumed {
            return Err(format!("session present is {}, which is not true", ack.present));
        }
        for prop in ack.props.iter() {
            if let Prop::ReceiveMax(max) = prop {
                call.quota = call.quota.min(usize::from(max));
            }
        }
        call.welcomed(&mut self.devices[call.device], joined);
        let device = call.device;
        let life = &mut self.rooms.rooms[device].lives[joined.life];
        life.welcomed |= !sick;
        if let Some(will) = self.rooms.rooms[device].wills.last_mut()
            && call.will.is_some_and(|(no, _)| no == will.no)
        {
            will.told |= !sick;
        }
        let life = &self.rooms.rooms[device].lives[joined.life];
        let begun = life.owner.is_some() && !joined.resumed;
        self.promised(begun && !sick, joined.written, "a session")?;
        self.send_again(at);
        Ok(())
    }

    /// What is acknowledged stands on the disk, if it is to.
    fn promised(&self, durable: bool, written: u64, what: &str) -> Result<(), Wrong> {
        if durable && self.setup.level == Durability::Disk && !self.disk.is_synced(written) {
            return Err(format!("{what} is acknowledged and not on the disk"));
        }
        Ok(())
    }

    fn has_owner(&self, at: usize) -> bool {
        let call = &self.calls[at];
        let lives = &self.rooms.rooms[call.device].lives;
        call.joined.and_then(|j| lives.get(j.life)).is_some_and(|life| life.owner.is_some())
    }

    fn hear_ack(&mut self, at: usize, ack: &Ack, sick: bool) -> Result<(), Wrong> {
        let device = self.calls[at].device;
        let sent = self.calls[at].on_ack(ack, &mut self.devices[device])?;
        let who = self.call_name(at);
        self.note(&who, &format!("PubAck of #{} {:#x}", sent.no, ack.reason));
        self.never_taken_in(at, sent.no, ack.reason);
        if ack.reason >= 0x80 || sick {
            return Ok(());
        }
        self.model.acked(sent.no)?;
        self.written_down(sent.no)
    }

    /// An acknowledged message that somebody durable is owed is on the disk.
    pub(super) fn written_down(&self, no: usize) -> Result<(), Wrong> {
        let m = &self.model.messages[no];
        let durable = self.rooms.is_durable(no, m);
        self.promised(durable, m.written, &format!("message {no}"))
    }

    fn hear_rec(&mut self, at: usize, ack: &Ack, sick: bool) -> Result<(), Wrong> {
        let device = self.calls[at].device;
        let (sent, first) = self.calls[at].on_rec(ack, &mut self.devices[device])?;
        let who = self.call_name(at);
        self.note(&who, &format!("PubRec of #{} first {first} {:#x}", sent.no, ack.reason));
        self.never_taken_in(at, sent.no, ack.reason);
        if ack.reason >= 0x80 || sick {
            return Ok(());
        }
        self.model.acked(sent.no)?;
        let written = self.model.messages[sent.no].written;
        self.promised(self.has_owner(at), written, &format!("message {}", sent.no))
    }

    /// What was refused is not waited for.
    fn never_taken_in(&mut self, at: usize, no: usize, reason: u8) {
        if reason >= 0x80 {
            self.calls[at].publishes.retain(|(waiting, _)| *waiting != no);
        }
    }

    fn hear_comp(&mut self, at: usize, ack: &Ack, sick: bool) -> Result<(), Wrong> {
        let device = self.calls[at].device;
        let sent = self.calls[at].on_comp(ack, &mut self.devices[device])?;
        let who = self.call_name(at);
        self.note(&who, &format!("PubComp of #{} {:#x}", sent.no, ack.reason));
        let Some(freed) = sent.freed else {
            return Err(format!("PUBCOMP {} and the number is not free", ack.id));
        };
        self.promised(self.has_owner(at) && !sick, freed, "a number that is free")
    }

    fn hear_rel(&mut self, at: usize, ack: &Ack, sick: bool) -> Result<(), Wrong> {
        let device = self.calls[at].device;
        let who = self.call_name(at);
        self.note(&who, &format!("PubRel {} {:#x}", ack.id, ack.reason));
        let asked = self.calls[at].on_rel(ack, &self.devices[device])?;
        if ack.reason >= 0x80 {
            return Err(format!("PUBREL {} says that it was never sent", ack.id));
        }
        let released = self.released_at.get(&(device, ack.id)).copied();
        let durable = asked && self.has_owner(at) && !sick;
        self.promised(durable && released.is_some(), released.unwrap_or(0), "a release")
    }

    /// When each number of a delivery was released, for as long as it is.
    pub(super) fn note_released(&mut self) {
        let written = self.promise();
        let Some(rig) = &self.rig else { return };
        let mut all = BTreeSet::new();
        for session in rig.engine.hub().sessions().filter(|s| s.kind == Kind::Mqtt) {
            let Some(device) = self.device_of(session.name()) else { continue };
            let durable = session.outbox.released().filter(|ord| ord & VOLATILE == 0);
            all.extend(durable.map(|ord| (device, id_of(ord))));
        }
        self.released_at.retain(|key, _| all.contains(key));
        for key in all {
            self.released_at.entry(key).or_insert(written);
        }
    }

    fn hear_wish(
        &mut self,
        at: usize,
        codes: &Codes,
        begins: bool,
        sick: bool,
    ) -> Result<(), Wrong> {
        let fits = |w: &Wish| w.id == codes.id && w.opts.is_some() == begins;
        let place = self.calls[at].wishes.iter().position(fits).ok_or("an id that is not out")?;
        let wish = self.calls[at].wishes.remove(place);
        let refused = codes.codes.iter().any(|code| *code >= 0x80);
        let who = self.call_name(at);
        self.note(&who, &format!("answer {:?} to {}", codes.codes, wish.filter));
        let (Some((op, written)), false) = (wish.op, refused) else {
            return match begins && !refused {
                true => Err(format!("{} is not taken in", wish.filter)),
                false => Ok(()),
            };
        };
        if let (Some(opts), Some(code)) = (wish.opts, codes.codes.first())
            && *code != opts.qos
        {
            return Err(format!("{} is granted {code}, asked {}", wish.filter, opts.qos));
        }
        let joined = self.calls[at].joined.ok_or("an answer without a session")?;
        let life = &mut self.rooms.rooms[self.calls[at].device].lives[joined.life];
        if let Some(history) = life.subs.get_mut(&(wish.group, wish.filter))
            && !sick
        {
            history.acked(op);
        }
        self.promised(self.has_owner(at) && !sick, written, "a subscription")
    }

    fn hear_delivery(&mut self, at: usize, mut p: Publish, sick: bool) -> Result<(), Wrong> {
        self.end.heard += 1;
        let mut ids = BTreeSet::new();
        let mut expiry = None;
        for prop in p.props.iter() {
            match prop {
                Prop::SubscriptionId(id) => drop(ids.insert(id)),
                Prop::MessageExpiry(s) => expiry = Some(s),
                Prop::TopicAlias(alias) => self.alias(at, alias, &mut p.topic)?,
                other => return Err(format!("nobody said {other:?}")),
            }
        }
        let digits = p.payload.split(|b| *b == b'|').next().unwrap_or_default();
        let no: Option<usize> = core::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
        let who = self.call_name(at);
        let shown = no.map_or_else(|| "-".to_owned(), |no| no.to_string());
        let (id, qos, dup, retain) = (p.id, p.qos, p.dup, p.retain);
        self.note(&who, &format!("hears #{shown} id {id} q{qos} dup {dup} r {retain} {ids:?}"));
        let call = &mut self.calls[at];
        let joined = call.joined.ok_or("a message without a session")?;
        let device = call.device;
        let mut first = true;
        if p.qos > 0 {
            let window = usize::from(call.receive_max).min(self.setup.limits.inflight_max);
            let number = no.unwrap_or(usize::MAX);
            first = call.on_delivery(&p, number, &mut self.devices[device], window)?;
        }
        let Some(no) = no.filter(|no| *no < self.model.messages.len()) else {
            return if p.payload.is_empty() { Ok(()) } else { Err("an unknown body".into()) };
        };
        let m = &self.model.messages[no];
        if m.topic.as_bytes() != &p.topic[..] || m.len != p.payload.len() {
            return Err(format!("message {no} comes under another topic or cut"));
        }
        if m.expiry_s.is_none() != expiry.is_none() && self.calls[at].version == Version::V5
            || expiry.is_some_and(|s| s == 0 && !p.dup || m.expiry_s.is_some_and(|most| s > most))
        {
            return Err(format!("message {no} is of use for {expiry:?} s, was {:?}", m.expiry_s));
        }
        let numbered = self.calls[at].version == Version::V5;
        let hearing =
            Hearing { room: device, joined, qos, dup, retain, first, ids: &ids, numbered };
        // What is told while nothing can be written down is told again.
        if sick || !self.rooms.heard(no, m, &hearing)? {
            self.calls[at].is_copy(p.id);
            return Ok(());
        }
        let key = (m.topic.clone(), p.qos);
        let place = m.taken.unwrap_or(0);
        let call = &mut self.calls[at];
        if p.qos > 0 && !call.heard.insert(no) {
            return Err(format!("message {no} comes twice on one connection"));
        }
        call.in_order(key, place, no)
    }

    /// A topic's number instead of its text, or beside it.
    fn alias(&mut self, at: usize, alias: u16, topic: &mut Bytes) -> Result<(), Wrong> {
        let call = &mut self.calls[at];
        if alias == 0 || alias > call.alias_max {
            return Err(format!("alias {alias} of {}", call.alias_max));
        }
        if topic.is_empty() {
            let known = call.theirs.get(&alias).ok_or("an alias that was never said")?;
            *topic = known.clone();
        } else {
            call.theirs.insert(alias, topic.clone());
        }
        Ok(())
    }

    /// Connections that the broker ended, and whose last words were heard, are no more.
    fn part_calls(&mut self) -> Result<(), Wrong> {
        for at in (0..self.calls.len()).rev() {
            let call: &Call = &self.calls[at];
            let rig = self.rig.as_ref().ok_or("no broker")?;
            let wire = rig.wires.get(&call.conn).ok_or("a connection without a wire")?;
            if let Some(why) = wire.ended.filter(|_| wire.heard.is_empty() || call.vanished) {
                let conn = call.conn;
                let who = self.call_name(at);
                self.note(&who, &format!("is over: {why}"));
                self.calls.remove(at);
                self.rig()?.wires.remove(&conn);
            }
        }
        Ok(())
    }

    /// Sessions and wills are what they should be between turns.
    pub(super) fn check_rooms(&mut self) -> Result<(), Wrong> {
        if self.is_sick() {
            for call in self.calls.iter().filter(|call| call.joined.is_some()) {
                self.devices[call.device].shaken = true;
            }
        }
        let written = self.disk.writes();
        let rig = self.rig.as_ref().ok_or("no broker")?;
        let (now, waiting) = (rig.now, rig.engine.hub().wills_waiting() > 0);
        for device in 0..self.devices.len() {
            let found = self.session_of(device);
            let room = &mut self.rooms.rooms[device];
            let checked = room.check(now, found, (written, waiting));
            checked.map_err(|why| format!("m{device}: {why}"))?;
        }
        self.dropped.clear();
        Ok(())
    }

    /// What came back of the MQTT clients must be something that may have.
    pub(super) fn compare_rooms(
        &mut self,
        power: bool,
        exact: bool,
        synced: &dyn Fn(u64) -> bool,
    ) -> Result<(), Wrong> {
        let promises = self.promises(power);
        let (now, written) = (self.rig()?.now, self.disk.writes());
        for device in 0..self.devices.len() {
            let found = self.session_of(device);
            let owner = found.and_then(|(_, owner)| owner);
            let room = &mut self.rooms.rooms[device];
            let shaken = core::mem::take(&mut self.devices[device].shaken);
            self.devices[device].anew |= shaken;
            let how = (promises, exact, shaken);
            let came = room.recovered(now, owner, how, synced, written);
            came.map_err(|why| format!("m{device}: {why}"))?;
            if !promises {
                self.devices[device].anew = true;
            }
            let Some((id, _)) = found else { continue };
            let views = self.rig()?.engine.hub().subscriptions(id);
            let mut subs = std::collections::BTreeMap::new();
            for view in views {
                let known = self.mqtt_filters.iter().find(|(filter, _)| *filter == view.filter);
                let (_, text) = known.ok_or("a filter came back that nobody asked for")?;
                let group = String::from_utf8_lossy(&view.group).into_owned();
                let o = view.opts;
                let (qos, id, no_local, as_published) = (o.qos, o.id, o.no_local, o.as_published);
                let opts = Opts { qos, id, no_local, as_published };
                subs.insert((group, (*text).to_owned()), opts);
            }
            self.note("-", &format!("m{device} comes back with {subs:?}"));
            let Some(life) = self.rooms.rooms[device].life() else { continue };
            life.id = id;
            let keys: BTreeSet<_> = life.subs.keys().chain(subs.keys()).cloned().collect();
            for key in keys {
                let came = subs.get(&key).copied();
                let history = life.subs.entry(key.clone()).or_default();
                let legal = match exact {
                    true => vec![history.now()],
                    false => history.legal(promises),
                };
                if !legal.contains(&came) && (promises || came.is_some()) {
                    return Err(format!("m{device} {key:?} is {came:?}, not in {legal:?}"));
                }
                *history = super::model::History::of(came);
            }
        }
        Ok(())
    }
}
