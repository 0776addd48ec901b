//! Floor 4. Administrators' questions, answered by whoever sees everything.
//!
//! A question is answered in one call of bounded work; what is left of a long one comes back with
//! the answer. Asking costs a turn what a packet costs: nobody is held up by somebody who looks.
//! Absent on purpose: how answers are written (`proto::http`).

mod deeds;
mod search;
#[cfg(test)]
mod search_test;

use bytes::Bytes;

use crate::base::id::{ConnId, RealmId};
use crate::base::time::{MS, Now};
use crate::hub::admin::{Answer, Check, LinkRow, ListenerRow, Question, SessionRow, Snapshot};
use crate::hub::gate::Admins;
use crate::hub::kept::Value;
use crate::hub::message::Durability;
use crate::hub::session::{Kind, Session};
use crate::journal::{Journal, State};
use crate::link::{Inside, tls};
use crate::proto::http::events;
use crate::proto::{Peer, Protocol};

use super::Engine;

/// Lines of a trace handed out at once.
const LINES: usize = 128;

impl Engine {
    /// If this connection is an administrator's and has a question, answer it. Hardly any is, and
    /// all are asked.
    #[inline]
    pub(super) fn consult(&mut self, now: Now, conn: ConnId) {
        if self.conns.get(conn).is_some_and(|c| matches!(c.peer, Peer::Http(_))) {
            self.hear_out(now, conn);
        }
    }

    fn hear_out(&mut self, now: Now, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) else { return };
        let Peer::Http(peer) = &mut c.peer else { return };
        let Some(question) = peer.poll_question() else { return };
        let answer = self.answer(now, conn, question);
        let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) else { return };
        if let Peer::Http(peer) = &mut c.peer {
            peer.on_answer(now, answer, &self.hub);
        }
    }

    /// Who may administer, from now on.
    pub fn set_admins(&mut self, admins: Admins) {
        self.hub.gate.set(admins);
    }

    /// Where the listeners are, in words; whoever drives the machine has bound them.
    pub fn set_places(&mut self, places: Vec<String>) {
        self.places = places;
    }

    fn answer(&mut self, now: Now, conn: ConnId, question: Question) -> Answer {
        match question {
            Question::Health => Answer::Health(self.checks()),
            Question::Stats => Answer::Stats(Box::new(self.snapshot(now))),
            Question::Watch => Answer::Watched(self.watched(now)),
            Question::Search(search) => self.search(now, search),
            Question::Session(name, online) => {
                let row = self.session_named(&name).map(|s| self.session_row(now, s));
                Answer::Session(row.filter(|row| !online || row.link.is_some()).map(Box::new))
            }
            Question::Client(name) => Answer::Client(self.client_row(now, &name)),
            Question::Kick(name) => self.kick(now, &name),
            Question::Forget(name) => self.forget(now, &name),
            Question::Ban(ban) => self.ban(now, *ban),
            Question::Value(realm, topic) => match self.hub.kept_value(now, realm, &topic, conn) {
                Value::Here(message) => Answer::Value(Some(message)),
                Value::None => Answer::Value(None),
                Value::Coming => Answer::Wait(Question::Value(realm, topic)),
            },
            Question::Trace(aim) => {
                let here = self.aimed_at(&aim);
                Answer::Tracing(self.hub.observer.begin(aim, here))
            }
            Question::Lines(trace) => {
                let (lines, lost) = self.hub.observer.take(trace, LINES);
                Answer::Lines(lines, lost)
            }
        }
    }

    /// What must be well before anybody is sent here.
    fn checks(&self) -> Vec<Check> {
        let check = |name, ok: bool, text: &str| Check { name, ok, text: text.to_owned() };
        let journal = match self.hub.journal().map(Journal::state) {
            Some(State::Running) if self.hub.flush_is_late() => {
                check("journal", false, "its device does not answer")
            }
            None | Some(State::Running) => check("journal", true, ""),
            Some(State::Full) => check("journal", false, "no space left on its device"),
            Some(State::Failed(error)) => check("journal", false, &error.to_string()),
        };
        vec![
            check("listeners", !self.stopping, "the broker goes down"),
            check("draining", !self.closed, "an operator lets nobody in"),
            journal,
            check("memory", !self.hub.memory_is_short(), "messages use all they may"),
        ]
    }

    /// One snapshot for all who watch, made by whoever asks first in a second.
    fn watched(&mut self, now: Now) -> Bytes {
        let second = events::second(now);
        match &self.watched {
            Some((of, event)) if *of == second => event.clone(),
            _ => {
                let snapshot = self.snapshot(now);
                let event = events::snapshot(now, &snapshot, &self.checks(), &self.hub);
                self.watched = Some((second, event.clone()));
                event
            }
        }
    }

    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        let started = self.started.unwrap_or(now);
        let held = |no: usize| self.held.get(no).map_or((0, 0), |held| (held.open, held.ever));
        let listeners = self.listeners.iter().enumerate().map(|(no, l)| ListenerRow {
            no: no as u16,
            speaks: l.speak.name(),
            address: self.places.get(no).cloned().unwrap_or_default(),
            tls: l.link.tls.is_some(),
            inside: match l.link.inside {
                Inside::Bare => "bare",
                Inside::Ws => "websocket",
                Inside::Any => "any",
            },
            proxy: l.link.proxy,
            level: match l.level {
                Durability::Memory => "memory",
                Durability::Os => "os",
                Durability::Disk => "disk",
            },
            connections: held(no).0,
            accepted: held(no).1,
            by: self.held.get(no).map(|held| held.by).unwrap_or_default(),
            until: l.link.tls.as_ref().and_then(tls::Config::until),
        });
        Snapshot {
            started: started.wall,
            uptime_ms: now.mono.saturating_sub(started.mono) / MS,
            wall: now.wall,
            listeners: listeners.collect(),
            connections: self.conns.len(),
            clients: self.clients(),
            strangers: self.strangers,
            checks: self.line.len(),
            stalled: self.stalled.len(),
            stopping: self.stopping,
            outside: self.outside,
            reloaded: (self.reloaded.0.max(started.wall), self.reloaded.1),
        }
    }

    /// The session of this name: a client of MQTT, else of PRX1, else of aioconnectors, else the
    /// embedder's.
    fn session_named(&self, name: &Bytes) -> Option<&Session> {
        let kinds = [Kind::Mqtt, Kind::Prx1, Kind::Aio, Kind::Local];
        kinds.iter().find_map(|kind| {
            let realms = (0..self.hub.realms.len()).map(|realm| RealmId(realm as u16));
            let id = realms.into_iter().find_map(|realm| self.hub.named(realm, *kind, name))?;
            self.hub.session(id)
        })
    }

    fn session_row(&self, now: Now, s: &Session) -> SessionRow {
        let link = s.conn.and_then(|conn| self.link_row(now, conn));
        let limits = &self.hub.limits;
        SessionRow {
            id: s.id,
            kind: s.kind,
            name: s.name().clone(),
            user: s.principal().user.clone(),
            durable: s.durable,
            expiry_s: s.expiry_s,
            away_since: if s.conn.is_some() { 0 } else { s.away_since },
            subscriptions: self.hub.subs_len(s.id),
            inflight: s.outbox.in_flight(),
            inflight_max: s.inflight_max as usize,
            queued: s.outbox.queued(),
            queued_max: match s.owner {
                Some(_) => limits.queued_max,
                None => limits.outbox_len_max as u64,
            },
            queued_bytes: s.outbox.waiting().1,
            dropped: u64::from(s.dropped),
            link,
        }
    }

    fn link_row(&self, now: Now, conn: ConnId) -> Option<LinkRow> {
        let c = self.conns.get(conn)?;
        Some(LinkRow {
            address: c.address,
            listener: c.listener,
            since: now.wall.saturating_sub(now.mono.saturating_sub(c.opened) / MS),
            blocked: c.blocked.get().is_some(),
            about: c.peer.about(),
        })
    }
}
