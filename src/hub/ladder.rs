//! Floor 2. QoS 2, both ways: what is received once is told once.
//!
//! Out: a delivery that its reader received is settled, and what is left of it is its number, which
//! is on record before the reader is told to forget it; that a reader forgot is in the next record
//! of what it settled. In: the number of a publication is in the same record as the publication,
//! so a crash finds both or none; that it is free again is on record before that is said. Absent
//! on purpose: packets, reason codes, and how many may be under way (a peer knows its promises).

use crate::base::id::SessionId;
use crate::journal::record::Record;
use crate::journal::{Class, Spot};

use super::message::{Durability, VOLATILE, id_of};
use super::{Held, Hub, Receipt, after};

impl Hub {
    /// The reader acknowledged a delivery of QoS 1. False: no such delivery is in flight.
    pub fn puback(&mut self, id: SessionId, packet: u16) -> bool {
        self.settle_plain(id, packet)
    }

    /// The reader received a delivery of QoS 2: tell it to forget the id when the receipt says
    /// so, also if it was told before. `None`: no such delivery is in flight.
    pub fn pubrec(
        &mut self,
        id: SessionId,
        packet: u16,
        level: Durability,
    ) -> Result<Option<Receipt>, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let (ord, owner) = match s.outbox.flying(packet) {
            Some((_, 2, true)) => return Ok(Some(Receipt::default())),
            Some((ord, 2, false)) => (ord, s.owner),
            _ => return Ok(None),
        };
        let mut spot = None;
        if let Some(owner) = owner.filter(|_| ord & VOLATILE == 0) {
            spot = self.append(Class::Relief, &Record::Released { owner, ord })?;
            if let Some(spot) = spot {
                self.add_home(id, spot);
                self.note_recorded(id, spot);
            }
        }
        if let Some(s) = self.sessions.get_mut(id) {
            s.outbox.release(ord);
        }
        self.unowe(id, ord);
        Ok(Some(Receipt { after: after(level, spot), matched: 0 }))
    }

    /// The reader refused a delivery of QoS 2. False: no such delivery is in flight.
    pub fn pubrec_refused(&mut self, id: SessionId, packet: u16) -> bool {
        let flying = self.session(id).and_then(|s| s.outbox.flying(packet));
        matches!(flying, Some((_, 2, false))) && self.settle(id, packet)
    }

    /// The reader forgot the id. False: it had not been told to.
    pub fn pubcomp(&mut self, id: SessionId, packet: u16) -> bool {
        let Some(s) = self.sessions.get_mut(id) else { return false };
        let Some((ord, 2, true)) = s.outbox.flying(packet) else { return false };
        s.outbox.settle_ord(ord);
        if s.owner.is_some() {
            self.note_settled(id);
        }
        self.wake(id);
        true
    }

    /// An id that the reader was told to forget on an earlier connection, and did not say that it
    /// did: tell it again. Nothing is delivered before all of these.
    pub fn next_released(&mut self, id: SessionId) -> Option<u16> {
        Some(id_of(self.sessions.get_mut(id)?.outbox.next_released()?))
    }

    /// Its publication with that number was taken in, and the number is not free.
    #[must_use]
    pub fn inbound_known(&self, id: SessionId, packet: u16) -> bool {
        self.session(id).is_some_and(|s| s.inbound().binary_search(&packet).is_ok())
    }

    /// How many numbers of its publications are not free.
    #[must_use]
    pub fn inbound_len(&self, id: SessionId) -> usize {
        self.session(id).map_or(0, |s| s.inbound().len())
    }

    /// Remember a number without a publication: it was refused in a way its sender cannot know.
    pub fn inbound_note(
        &mut self,
        id: SessionId,
        packet: u16,
        level: Durability,
    ) -> Result<Receipt, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(Receipt::default()) };
        let mut spot = None;
        if let Some(owner) = s.owner {
            let record = Record::Received { owner, packet, held: true };
            spot = self.append(Class::Growth, &record)?;
            if let Some(spot) = spot {
                self.add_home(id, spot);
                self.note_recorded(id, spot);
            }
        }
        self.hold_inbound(id, packet);
        Ok(Receipt { after: after(level, spot), matched: 0 })
    }

    /// What a ladder's next word must not outrun, whichever connection says it.
    pub(crate) fn note_recorded(&mut self, id: SessionId, spot: Spot) {
        if let Some(s) = self.sessions.get_mut(id) {
            let extra = s.extra_mut();
            extra.recorded = extra.recorded.max(spot.end);
        }
    }

    pub(crate) fn hold_inbound(&mut self, id: SessionId, packet: u16) {
        let Some(s) = self.sessions.get_mut(id) else { return };
        let inbound = &mut s.extra_mut().inbound;
        if let Err(at) = inbound.binary_search(&packet) {
            inbound.insert(at, packet);
        }
    }

    /// Its sender gave the number free: say so when the receipt allows. `None`: it was free.
    pub fn inbound_free(
        &mut self,
        id: SessionId,
        packet: u16,
        level: Durability,
    ) -> Result<Option<Receipt>, Held> {
        let Some(s) = self.sessions.get(id) else { return Ok(None) };
        let (Ok(at), owner) = (s.inbound().binary_search(&packet), s.owner) else {
            return Ok(None);
        };
        let mut spot = None;
        if let Some(owner) = owner {
            let record = Record::Received { owner, packet, held: false };
            spot = self.append(Class::Relief, &record)?;
        }
        if let Some(s) = self.sessions.get_mut(id) {
            s.extra_mut().inbound.remove(at);
        }
        Ok(Some(Receipt { after: after(level, spot), matched: 0 }))
    }
}
