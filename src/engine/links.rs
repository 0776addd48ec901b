//! Floor 4. What lies between sockets and peers: arriving bytes are unwrapped, what is said is
//! wrapped, and what a link learns on the way becomes facts about its connection.
//!
//! A connection has its deadline from its first moment, so a handshake needs none of its own. What
//! a rule broken below a protocol is called, and whose fault it is, stands in the table of faults
//! like every other rule. Absent on purpose: plain connections, which never come here.

use core::net::IpAddr;

use bytes::BytesMut;

use crate::base::id::ConnId;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::cookies;
use crate::hub::policy::{Address, Event};
use crate::link::{Flaw, Heard, Link, Parting, Spoken};
use crate::proto::doom::Doom;
use crate::proto::fault::{Blame, Fault, FaultKind};
use crate::proto::{Peer, Protocol, Speak};

use super::Engine;
use super::conn::Conn;

impl Engine {
    /// Take off what is the link's. What is left in `chunk` is for the peer; what is to be done
    /// behind it is in the answer.
    pub(super) fn unwrap(&mut self, now: Now, conn: ConnId, chunk: &mut BytesMut) -> Heard {
        let limits = &self.hub.limits;
        let Some(c) = self.conns.get_mut(conn) else { return Heard::default() };
        let Some(listener) = self.listeners.get(usize::from(c.listener)) else {
            return Heard::default();
        };
        let heard = c.link.on_bytes(now, chunk, &mut self.spare, &listener.link, limits);
        if let Some(spoken) = heard.spoken
            && matches!(listener.speak, Speak::Any | Speak::Wamp)
        {
            // The deadline of a stranger counts from accept, whatever it turns out to speak.
            let opened = Now { mono: c.opened, wall: now.wall };
            c.peer = Peer::spoken(spoken, opened, &self.hub);
        }
        if let Some(visit) = heard.visit.filter(|visit| visit.own)
            && matches!(heard.spoken, Some(Spoken::Wamp(_)))
            && listener.link.cookie_s > 0
        {
            let cookies = &mut self.hub.polls.cookies;
            let field = cookies::come(cookies, (now, conn), visit.cookie, &listener.link);
            field.iter().for_each(|it| c.link.add_field(&format!("Set-Cookie: {it}")));
        }
        if c.link.has_words() {
            self.dirty.mark(conn, &mut c.marked);
        }
        if let Some(ip) = heard.address {
            let address = Address::from(ip);
            // It is counted where it was thought to be from.
            self.uncount(conn);
            if let Some(c) = self.conns.get_mut(conn) {
                (c.address, c.loopback) = (address, is_loopback(ip));
            }
            self.hub.observer.see(now, &Event::Forwarded { conn, address });
            self.on_forwarded(now, conn, address);
        }
        if heard.opened {
            self.on_opened(now, conn);
        }
        heard
    }

    /// What a link heard behind the bytes that were for the peer.
    pub(super) fn after_bytes(&mut self, now: Now, conn: ConnId, heard: Heard) {
        if let Some(flaw) = heard.flaw {
            if self.conns.get(conn).is_some_and(|c| c.doom.is_none()) {
                let pages = u64::from(flaw == Flaw::WsOrigin);
                self.hub.stats.add(Counter::OriginsRefused, pages);
                self.on_fault(now, conn, FaultKind::from(flaw).fault());
            }
        } else if self.is_long_for_a_stranger(conn) {
            self.on_fault(now, conn, FaultKind::WsTooLong.fault());
        } else if heard.ended {
            self.on_closed(now, conn, false);
        }
    }

    /// A link holds a message in fragments as long as anybody may send; who has not identified
    /// itself may send less.
    fn is_long_for_a_stranger(&self, conn: ConnId) -> bool {
        let most = self.hub.limits.login_bytes_max;
        let long = |c: &&Conn| c.link.begun() > most && c.doom.is_none() && c.peer.is_stranger();
        self.conns.get(conn).filter(long).is_some()
    }

    /// Encode what this connection says, wrapped in its layers.
    pub(super) fn say_wrapped(&mut self, now: Now, conn: ConnId, out: &mut Outbound) -> bool {
        let share = self.hub.limits.write_bytes_turn;
        let hub = &mut self.hub;
        let Some(c) = self.conns.get_mut(conn) else { return false };
        let Link::Wrapped(link) = &mut c.link else { return false };
        let last = c.doom.as_deref().map(parting);
        let peer = &mut c.peer;
        link.speak(out, &mut self.inside, share, last, |out| {
            // What is encrypted already is part of the share: it is counted by what comes out.
            peer.poll_transmit(now, hub, out, share)
        })
    }

    /// From now on, upstreams of this listener's relay are spoken to so.
    pub fn face(&mut self, place: u16, toward: Vec<Option<crate::link::tls::Toward>>) {
        if let Some(listener) = self.listeners.get_mut(usize::from(place)) {
            listener.link.toward = toward;
        }
    }

    /// From now on, connections of this listener are wrapped so; open ones stay as they are.
    /// False: it does no TLS.
    pub fn rewrap(&mut self, place: u16, tls: crate::link::tls::Config) -> bool {
        let listener = self.listeners.get_mut(usize::from(place));
        let Some(listener) = listener.filter(|l| l.link.tls.is_some()) else { return false };
        listener.link.tls = Some(tls);
        true
    }
}

/// How a WebSocket says it.
fn parting(doom: &Doom) -> Parting {
    let code = match doom {
        Doom::Eof | Doom::Reset | Doom::Left => 1000,
        Doom::Stopping => 1001,
        Doom::Fault(Fault { kind, .. }) if is_too_long(*kind) => 1009,
        Doom::Fault(Fault { blame: Blame::Peer, .. }) => 1002,
        Doom::StorageFailed | Doom::Fault(Fault { blame: Blame::Us, .. }) => 1011,
        Doom::Fault(Fault { blame: Blame::Capacity, .. }) => 1013,
        _ => 1008,
    };
    Parting { code, reason: doom.name(), late: *doom == Doom::ConnectTimeout }
}

/// [RFC 6455, 7.4.1] Too long for us has a code of its own, whoever's length it was.
const fn is_too_long(kind: FaultKind) -> bool {
    use FaultKind::{MqttOverMax, Prx1OverMax, RawOverMax, WsTooLong};
    matches!(kind, WsTooLong | Prx1OverMax | MqttOverMax | RawOverMax)
}

/// An address of this machine that means nobody else.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
