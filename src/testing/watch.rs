//! Floor 5. What the world looks at after every turn: what was taken in, what was heard.
//!
//! Everything a client hears is compared with the model at once, so a failure is found in the turn
//! it happens. Absent on purpose: decisions.

use crate::base::id::RealmId;
use crate::hub::message::Durability;
use crate::hub::outbox::Outbox;
use crate::journal::{Journal, State};
use crate::proto::prx1::{ConnAck, Packet, Publish, QAckCode};
use crate::topic::{Cursor, Filter, Walk};

use super::model::{Kind, Wrong};
use super::net::{Acks, Client};
use super::rig::{Rig, Seen};
use super::world::World;

/// Memory above the budget that is no fault: one fan-out, and reads that were under way.
const SLACK: usize = 512 << 10;

impl World {
    /// The broker has taken something in.
    pub(super) fn saw(&mut self, event: Seen) -> Result<(), Wrong> {
        match event {
            Seen::Closed(conn, why) => self.saw_mqtt_end(conn, why),
            Seen::Dropped(name, topic) => {
                self.saw_drop(&name, &topic);
                Ok(())
            }
            Seen::LoggedIn(conn) => {
                if let Some(at) = self.call_at(conn) {
                    return self.saw_mqtt_login(at);
                }
                let Some(client) = self.clients.iter().find(|c| c.conn == conn) else {
                    return Err("somebody logged in who never came".into());
                };
                if !client.honest {
                    return Err(format!("c{} logged in with a wrong password", client.no));
                }
                self.speaking.insert(client.user, conn);
                self.model.logged_in(client.user, client.clean);
                Ok(())
            }
            Seen::Subscribed(name, filter) => self.saw_subscription(&name, &filter, true),
            Seen::Unsubscribed(name, filter) => self.saw_subscription(&name, &filter, false),
            Seen::Published(name, topic, len, qos, retain) => {
                if let Some(device) = self.device_of(&name) {
                    let what = (&topic[..], len);
                    let (no, from) = self.saw_mqtt_publish(device, what, (qos, retain))?;
                    self.note("-", &format!("takes in #{no}"));
                    return self.taken_in(no, from);
                }
                let at = self.speaker(&name)?;
                let no = self.clients[at].publishes.pop_front();
                let no = no.ok_or("a publish was taken in that nobody sent")?;
                let m = &self.model.messages[no];
                let same = m.topic.as_bytes() == &topic[..] && m.len == len;
                if !same || m.qos.min(1) != qos || m.retain != retain {
                    return Err(format!("message {no} was taken in as something else"));
                }
                self.taken_in(no, None)
            }
        }
    }

    fn saw_subscription(
        &mut self,
        name: &[u8],
        filter: &Filter,
        begins: bool,
    ) -> Result<(), Wrong> {
        if let Some(device) = self.device_of(name) {
            return self.saw_wish(device, filter, begins);
        }
        let known = self.filters.iter().find(|(known, _)| known == filter);
        let text = known.map(|(_, text)| *text).ok_or("a filter that nobody asked for")?;
        let at = self.speaker(name)?;
        let user = self.clients[at].user;
        let fits =
            |a: &&mut super::net::Asked| a.op.is_none() && a.begins == begins && a.filter == text;
        let Some(asked) = self.clients[at].asked.iter_mut().find(fits) else {
            return Err(format!("{text} was taken in, and u{user} did not ask"));
        };
        let op = match begins {
            true => self.model.subscribed(user, text, asked.qos),
            false => self.model.unsubscribed(user, text),
        };
        asked.op = Some(op);
        // What is not answered need not be remembered.
        self.clients[at].asked.retain(|a| a.id != 0 || a.op.is_none());
        Ok(())
    }

    /// The connection that speaks for a user.
    fn speaker(&self, name: &[u8]) -> Result<usize, Wrong> {
        let digits = core::str::from_utf8(name).ok().and_then(|name| name.strip_prefix('u'));
        let user: usize = digits.and_then(|d| d.parse().ok()).ok_or("an unknown user")?;
        let conn = self.speaking.get(&user);
        let at = self.clients.iter().position(|c| Some(&c.conn) == conn);
        at.ok_or_else(|| format!("u{user} has no connection, and does something"))
    }

    /// Clients take up what they heard, and answer as is their habit.
    pub(super) fn listen(&mut self) -> Result<(), Wrong> {
        for at in 0..self.clients.len() {
            let conn = self.clients[at].conn;
            if !self.clients[at].vanished {
                let rig = self.rig()?;
                let heard = rig.wires.get_mut(&conn).map(|w| core::mem::take(&mut w.heard));
                let packets = self.clients[at].listen(&heard.unwrap_or_default())?;
                for packet in packets {
                    let who = self.name(at);
                    self.hear(at, packet).map_err(|why| format!("{who}: {why}"))?;
                }
            }
            self.answer(at);
        }
        self.part()
    }

    fn hear(&mut self, at: usize, packet: Packet) -> Result<(), Wrong> {
        let sick = self.is_sick();
        match packet {
            Packet::Publish(p) => return self.hear_message(at, &p),
            Packet::ConnAck(ack) => self.hear_welcome(at, &ack, sick)?,
            Packet::PubAck(id) => {
                let client = &mut self.clients[at];
                let place = client.unacked.iter().position(|(i, _)| *i == id);
                let (id, no) = client.unacked.remove(place.ok_or("an id that is not out")?);
                let topic = self.model.messages[no].topic.clone();
                client.last_acked = Some((id, topic));
                let who = self.name(at);
                self.note(&who, &format!("PubAck of #{no}"));
                if !sick {
                    self.model.acked(no)?;
                    self.written_down(no)?;
                }
            }
            Packet::SubAck(id) | Packet::UnsubAck(id) => {
                let begins = matches!(packet, Packet::SubAck(_));
                let client = &mut self.clients[at];
                let fits = |a: &super::net::Asked| a.id == id && a.begins == begins;
                let place = client.asked.iter().position(fits).ok_or("an id that is not out")?;
                let asked = client.asked.remove(place);
                let user = client.user;
                match asked.op {
                    Some(op) if !sick => self.model.operation_acked(user, &asked.filter, op),
                    None if begins => return Err(format!("{} is not taken in", asked.filter)),
                    _ => {}
                }
            }
            Packet::QAck(code) => {
                let item = self.clients[at].queued.pop_front().ok_or("no request is out")?;
                if let (Some(no), QAckCode::Ok, false) = (item, code, sick) {
                    self.model.acked(no)?;
                }
            }
            Packet::Pong => {
                let seen = self.clients[at].pings.pop_front().ok_or("no ping is out")?;
                let user = self.clients[at].user;
                seen.into_iter().for_each(|no| self.model.settled(user, no));
            }
            other => return Err(format!("a broker does not say {other:?}")),
        }
        Ok(())
    }

    fn hear_welcome(&mut self, at: usize, ack: &ConnAck, sick: bool) -> Result<(), Wrong> {
        let who = self.name(at);
        self.note(&who, &format!("ConnAck {} present {}", ack.result, ack.session_present));
        let client = &mut self.clients[at];
        if ack.result == ConnAck::FAIL {
            return Ok(());
        }
        if client.online || !client.honest {
            return Err("welcome twice, or with a wrong password".into());
        }
        client.online = true;
        let user = client.user;
        if !sick {
            self.model.welcomed(user);
        }
        Ok(())
    }

    fn hear_message(&mut self, at: usize, p: &Publish) -> Result<(), Wrong> {
        self.end.heard += 1;
        let who = self.name(at);
        let client = &self.clients[at];
        if !client.online {
            return Err("a message before the welcome".into());
        }
        let digits = p.payload.split(|b| *b == b'|').next().unwrap_or_default();
        let no: Option<usize> = core::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
        let what = format!(
            "hears #{} id {} q{} dup {} r {}",
            no.map_or_else(|| "-".to_owned(), |no| no.to_string()),
            p.id,
            p.qos,
            p.dup,
            p.retain
        );
        self.note(&who, &what);
        let client = &self.clients[at];
        let fresh = !client.owes.iter().any(|(id, _)| *id == p.id);
        if p.qos > 0 && (!fresh || p.id == 0 || p.id == u16::MAX) {
            return Err(format!("id {} is in use, or none", p.id));
        }
        if p.qos > 0 && client.owes.len() >= self.setup.limits.inflight_max {
            return Err("more is unacknowledged than the window allows".into());
        }
        // A cleared value has no body, and so no number.
        let Some(no) = no else {
            if p.qos > 0 {
                self.clients[at].owes.push((p.id, usize::MAX));
            }
            return if p.payload.is_empty() { Ok(()) } else { Err("an unknown body".into()) };
        };
        let user = client.user;
        // Who was taken over may still be told what was on its way.
        let speaks = self.speaking.get(&user) == Some(&client.conn);
        let place = self.model.heard(user, no, (p.qos, p.dup, p.retain), speaks)?;
        let m = &self.model.messages[no];
        let same = m.topic.as_bytes() == &p.topic[..] && m.len == p.payload.len();
        if !same {
            return Err(format!("message {no} comes under another topic or cut"));
        }
        if let (true, true, Some(given)) = (p.retain, user == self.habits.users, &mut self.given) {
            given.insert(m.topic.clone(), no);
        }
        let live = place.is_some() && m.kind == Kind::Published;
        let key = (m.topic.clone(), p.qos);
        let client = &mut self.clients[at];
        if p.qos > 0 {
            client.owes.push((p.id, if live { no } else { usize::MAX }));
        }
        match place {
            Some(place) => client.in_order(key, place, no),
            None => Ok(()),
        }
    }

    /// Acknowledgements, as late as the client likes.
    fn answer(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.vanished || client.owes.is_empty() {
            return;
        }
        let len = client.owes.len() as u64;
        match client.acks {
            _ if self.calm => (0..len).for_each(|_| client.acknowledge(0)),
            Acks::Prompt => (0..len).for_each(|_| client.acknowledge(0)),
            Acks::Late if self.dice.chance(1, 4) => client.acknowledge(0),
            Acks::Mixed if self.dice.chance(1, 3) => {
                client.acknowledge(self.dice.below(len) as usize);
            }
            _ => {}
        }
    }

    /// Connections that the broker ended, and whose last words were heard, are no more.
    fn part(&mut self) -> Result<(), Wrong> {
        let mut ended = Vec::new();
        for (at, client) in self.clients.iter().enumerate() {
            let rig = self.rig.as_ref().ok_or("no broker")?;
            let wire = rig.wires.get(&client.conn).ok_or("a connection without a wire")?;
            if let Some(why) = wire.ended.filter(|_| wire.heard.is_empty() || client.vanished) {
                ended.push((at, client.conn, why));
            }
        }
        for (at, conn, why) in ended.into_iter().rev() {
            let who = self.name(at);
            self.note(&who, &format!("is over: {why}"));
            self.clients.remove(at);
            self.rig()?.wires.remove(&conn);
        }
        Ok(())
    }

    /// Nothing is promised, because the disk failed.
    pub(super) fn is_sick(&self) -> bool {
        self.rig.as_ref().is_some_and(|rig| self.is_sick_in(rig))
    }

    pub(super) fn is_sick_in(&self, rig: &Rig) -> bool {
        let journal = rig.engine.hub().journal();
        journal.is_some_and(|journal| matches!(journal.state(), State::Failed(_)))
    }

    /// What is written is in memory only, because a sync hangs.
    pub(super) fn is_holding(&self) -> bool {
        self.rig.as_ref().is_some_and(Self::is_holding_in)
    }

    pub(super) fn is_holding_in(rig: &Rig) -> bool {
        rig.engine.hub().journal().is_some_and(Journal::is_holding)
    }

    /// All that was written is on the disk.
    pub(super) fn is_settled(&self) -> bool {
        let journal = self.rig.as_ref().and_then(|rig| rig.engine.hub().journal());
        journal.is_some_and(Journal::is_settled)
    }

    /// What must hold between turns.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let limits = self.setup.limits.clone();
        let rig = self.rig.as_ref().ok_or("no broker")?;
        let audit = rig.engine.audit().map_err(|broken| broken.0)?;
        let open = rig.wires.values().filter(|wire| wire.ended.is_none()).count();
        if audit.connections != open {
            return Err(format!("{} connections, {open} wires", audit.connections));
        }
        self.references()?;
        let used = rig.engine.hub().memory_used();
        if used > limits.memory_bytes_max + SLACK {
            return Err(format!("{used} bytes of messages, over {}", limits.memory_bytes_max));
        }
        let longest = limits.write_bytes_turn + 10_000;
        if rig.wires.values().any(|wire| wire.resting() > longest) {
            return Err("more waits for a slow reader than a turn can say".into());
        }
        let syncs =
            rig.jobs.iter().filter(|job| matches!(job, crate::journal::job::DiskJob::Sync { .. }));
        if syncs.count() > 1 {
            return Err("two syncs are under way".into());
        }
        let lost = rig.tales().into_iter().find(|tale| tale.starts_with("unreadable"));
        match lost.filter(|_| !self.is_sick()) {
            Some(tale) => Err(format!("owed and not to be found: {tale}")),
            None => Ok(()),
        }
    }

    /// Every living record has exactly as many owners as the journal counts.
    fn references(&self) -> Result<(), Wrong> {
        let hub = self.rig.as_ref().ok_or("no broker")?.engine.hub();
        let Some(journal) = hub.journal().filter(|_| !self.is_sick()) else { return Ok(()) };
        let owed = |outbox: &Outbox| outbox.ledger.as_ref().map_or(0, |ledger| ledger.len());
        let mut refs = 0;
        let head = journal.head_segment();
        for session in hub.sessions() {
            let runs = session.outbox.ledger.iter().flat_map(|ledger| ledger.segments());
            let mut segments = runs.map(|(no, _)| no).chain(session.homes.all().iter().copied());
            if let Some(no) = segments.find(|no| *no < head) {
                let name = session.name().escape_ascii();
                return Err(format!("{name} is owed what segment {no} held; the head is {head}"));
            }
            refs += owed(&session.outbox) + session.homes.all().len() as u64;
        }
        let realm = hub.realm(RealmId(0)).ok_or("no realm")?;
        for queue in realm.queues.values() {
            refs += owed(&queue.outbox) + u64::from(queue.owner.is_some());
        }
        let (mut cursor, mut kept) = (Cursor::default(), 0);
        let everything = self.filters.iter().find(|(_, text)| *text == "*").ok_or("no filter")?;
        while !realm.retained.walk(&everything.0, &mut cursor, 64, &mut |_, value| {
            kept += u64::from(value.lsn.is_some());
            Walk::Go
        }) {}
        match journal.tally().refs {
            counted if counted == refs + kept => Ok(()),
            counted => {
                Err(format!("the journal counts {counted} references, there are {}", refs + kept))
            }
        }
    }

    /// Does the journal outlive this kind of end?
    pub(super) fn promises(&self, power: bool) -> bool {
        match self.setup.level {
            Durability::Memory => false,
            Durability::Os => !power,
            Durability::Disk => true,
        }
    }

    /// Segments that the journal holds on to.
    pub(super) fn segments(&self) -> usize {
        let journal = self.rig.as_ref().and_then(|rig| rig.engine.hub().journal());
        journal.map_or(0, |journal: &Journal| journal.tally().segments)
    }
}

impl Client {
    /// What is heard live of a topic, at a quality, comes in the order it was taken in.
    fn in_order(&mut self, key: (String, u8), place: u64, no: usize) -> Result<(), Wrong> {
        let Some((_, last)) = self.order.iter_mut().find(|(k, _)| *k == key) else {
            self.order.push((key, place));
            return Ok(());
        };
        if place <= *last {
            return Err(format!("message {no} of {} comes out of order", key.0));
        }
        *last = place;
        Ok(())
    }
}
