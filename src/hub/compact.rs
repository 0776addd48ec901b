//! Floor 2. Carrying forward what lives in the journal's oldest segment.
//!
//! The journal reads the segment and hands over its records; what still matters is appended again
//! at the tail: messages with the debts that are unsettled, kept values, what is remembered, names
//! of realms, and the full record of every owner whose record was there. Then the segment may go. A
//! crash in between finds both copies and takes the later one. Absent on purpose: when to compact
//! (the journal decides).

use crate::base::id::{Lsn, OwnerNo, RealmId};
use crate::base::time::Now;
use crate::journal::job::Scanned;
use crate::journal::record::{MessageRecord, Owed, Record};
use crate::journal::{Class, Journal};
use crate::topic::Topic;

use super::fanout::{GRANT_RECEIVED, GRANT_SETTLES, GRANT_WILL};
use super::queue::queue_record;
use super::registry::owner_record;
use super::{Held, Hub, Owner};

impl Hub {
    /// Once a turn: let the journal see to its oldest segment.
    pub(crate) fn care_for_journal(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.compact_if_sparse();
        }
    }

    /// A stretch of the oldest segment was read.
    pub(crate) fn on_scanned(&mut self, now: Now, scanned: Scanned) {
        if let Err(error) = &scanned.result {
            self.tell_storage(now, "unreadable", &error.to_string());
            return;
        }
        let mut carried = Ok(());
        for (lsn, record) in &scanned.records {
            carried = self.carry(scanned.segment, *lsn, record);
            if carried.is_err() {
                break;
            }
        }
        let Some(journal) = &mut self.journal else { return };
        match carried {
            Ok(()) => journal.head_done(),
            Err(_) => journal.head_later(),
        }
    }

    fn carry(&mut self, segment: u32, lsn: Lsn, record: &Record) -> Result<(), Held> {
        match record {
            Record::Message(m) => {
                self.carry_message(lsn, m)?;
                // The number of its publication stands in its owner's full record then.
                let kept = m.owed.iter().find(|owed| owed.grant & GRANT_RECEIVED != 0);
                kept.map_or(Ok(()), |owed| self.carry_owner(segment, owed.owner))
            }
            Record::Owner(o) => self.carry_owner(segment, o.owner),
            Record::Subscribe { owner, .. }
            | Record::Received { owner, held: true, .. }
            | Record::Released { owner, .. } => self.carry_owner(segment, *owner),
            Record::Note { key, value } => self.carry_note(lsn, key, value),
            Record::Unsubscribe { .. }
            | Record::Received { .. }
            | Record::Settle { .. }
            | Record::Mark { .. }
            | Record::Gone { .. }
            | Record::Clear { .. }
            | Record::Seal { .. } => Ok(()),
        }
    }

    /// Append a message again if it is owed or kept, with the debts that are left.
    fn carry_message(&mut self, lsn: Lsn, m: &MessageRecord) -> Result<(), Held> {
        let Some(place) = self.numbered(m.realm) else { return Ok(()) };
        let kept = m.retain && self.keeps(place, m, lsn);
        let left = m.owed.iter().filter(|owed| self.still_owes(owed, lsn)).cloned();
        let owed: smallvec::SmallVec<[Owed; 1]> = left.collect();
        let past = m.past.clone().filter(|past| self.remembers_by(place, past.ord, lsn));
        if owed.is_empty() && !kept && past.is_none() {
            return Ok(());
        }
        let ord = past.as_ref().map(|past| past.ord);
        let copy = MessageRecord { retain: kept, owed: owed.clone(), past, ..m.clone() };
        let Some(spot) = self.append(Class::Relief, &Record::Message(copy))? else {
            return Ok(());
        };
        let from = Journal::segment_of(lsn);
        let to = Journal::segment_of(spot.lsn);
        if let Some(ord) = ord {
            self.past_moved(place, ord, lsn, spot.lsn);
        }
        for debt in &owed {
            if let Some(outbox) = self.outbox_of(debt.owner)
                && let Some(ledger) = &mut outbox.ledger
                && ledger.moved(debt.ord, spot.lsn).is_some()
            {
                self.own(to, 1);
                self.ages.owe(to, 1, m.born);
                self.paid(from, 1);
            }
        }
        if kept && let Some(name) = Topic::decode(m.topic.clone()) {
            let realm = self.realms.get_mut(usize::from(place.0));
            if let Some(kept) = realm.and_then(|r| r.retained.get_mut(&name)) {
                kept.lsn = Some(spot.lsn);
                kept.len = spot.len;
                self.own(to, 1);
                self.disown(from, 1);
            }
        }
        Ok(())
    }

    fn keeps(&self, realm: RealmId, m: &MessageRecord, lsn: Lsn) -> bool {
        let name = Topic::decode(m.topic.clone());
        let kept = name.and_then(|name| self.realm(realm)?.retained.get(&name));
        kept.is_some_and(|kept| kept.lsn == Some(lsn))
    }

    /// Is this very record the one that stands for the debt?
    fn still_owes(&self, owed: &Owed, lsn: Lsn) -> bool {
        if owed.grant & (GRANT_SETTLES | GRANT_RECEIVED | GRANT_WILL) != 0 {
            return false;
        }
        let ledger = match self.owners.get(&owed.owner) {
            Some(Owner::Session(id)) => {
                self.sessions.get(*id).and_then(|s| s.outbox.ledger.as_ref())
            }
            Some(Owner::Queue(realm, address)) => {
                self.queue(*realm, address).and_then(|q| q.outbox.ledger.as_ref())
            }
            None => None,
        };
        let run = ledger.and_then(|l| l.run_at(owed.ord).filter(|_| l.holds(owed.ord)));
        run.is_some_and(|run| run.lo <= owed.ord && run.segment == Journal::segment_of(lsn))
    }

    /// Write an owner's full record again if one of its records that matter is in `segment`.
    fn carry_owner(&mut self, segment: u32, no: OwnerNo) -> Result<(), Held> {
        match self.owners.get(&no).cloned() {
            Some(Owner::Session(id)) => {
                let subs = self.subscriptions(id);
                let Some(s) = self.sessions.get(id) else { return Ok(()) };
                if !s.homes.all().contains(&segment) {
                    return Ok(());
                }
                let record = owner_record(no, self.number_of(s.realm), s, &subs);
                let spot = self.append(Class::Relief, &record)?;
                self.rehome(id, spot.map(|spot| Journal::segment_of(spot.lsn)));
                Ok(())
            }
            Some(Owner::Queue(realm, address)) => {
                let Some(q) = self.queue(realm, &address).filter(|q| q.home == segment) else {
                    return Ok(());
                };
                let record = queue_record(no, self.number_of(realm), q);
                let Some(spot) = self.append(Class::Relief, &record)? else { return Ok(()) };
                let to = Journal::segment_of(spot.lsn);
                self.own(to, 1);
                self.disown(segment, 1);
                let r = self.realms.get_mut(usize::from(realm.0));
                if let Some(q) = r.and_then(|r| r.queues.get_mut(&address)) {
                    q.home = to;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn outbox_of(&mut self, no: OwnerNo) -> Option<&mut super::outbox::Outbox> {
        match self.owners.get(&no)? {
            Owner::Session(id) => Some(&mut self.sessions.get_mut(*id)?.outbox),
            Owner::Queue(realm, address) => {
                let realm = self.realms.get_mut(usize::from(realm.0))?;
                Some(&mut realm.queues.get_mut(address)?.outbox)
            }
        }
    }
}
