//! Floor 2. Namespaces on record: each by a number, and a note that says whose number it is.
//!
//! The first realm and the broker's own are always there and have the numbers 0 and 1. Any other
//! gets its number when something of it is written down for the first time, and keeps it: a note
//! with its name stands before what it is for, so a crash finds both or neither. Numbers begin at
//! 0x8000, where software that knows no such notes has no realms, and none is used twice. A realm
//! that is on record and not configured is shut: what is kept of it waits, and nobody comes in.
//! One of which nothing is kept is forgotten. Absent on purpose: where a realm stands in memory,
//! which no record says.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::base::id::{Lsn, RealmId};
use crate::base::map::Seed;
use crate::base::reader::Reader;
use crate::base::time::Now;
use crate::journal::record::Record;
use crate::journal::{Class, Journal};

use super::bans;
use super::made::Made;
use super::realm::Realm;
use super::{Held, Hub};

/// What the keys of these notes begin with.
const KEY: &[u8] = b"realm";
/// Version of what they say; its first byte.
const VERSION: u8 = 1;
/// The first number that a note gives.
pub(super) const FIRST: u16 = 0x8000;

/// A realm's number on record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) no: RealmId,
    /// Where its note stands; none: it needs none.
    note: Option<Lsn>,
}

/// All numbers that are on record.
#[derive(Debug)]
pub(crate) struct Numbers {
    places: BTreeMap<RealmId, RealmId>,
    next: u16,
    /// For realms that are on record only, and for those that come and go.
    pub(super) seed: Seed,
    pub(super) made: Made,
}

/// What notes told, by number: names, and where that is written.
#[derive(Debug, Default)]
pub(super) struct Told {
    names: BTreeMap<RealmId, (String, Lsn)>,
    highest: u16,
}

impl Told {
    /// A note; most are about something else.
    pub(super) fn on_note(&mut self, lsn: Lsn, key: &Bytes, value: &Bytes) {
        let Some(no) = number_in(key) else { return };
        self.highest = self.highest.max(no.0);
        match name_in(value) {
            Some(name) => self.names.insert(no, (name, lsn)),
            None => self.names.remove(&no),
        };
    }
}

/// Realms of these names; those that are always there have their numbers.
pub(super) fn realms(names: &[String], seed: &Seed) -> (Vec<Realm>, Numbers) {
    let mut all: Vec<Realm> = names.iter().map(|name| Realm::new(name, seed.clone())).collect();
    let (places, made) = (BTreeMap::new(), Made::default());
    let mut numbers = Numbers { places, next: FIRST, seed: seed.clone(), made };
    for (at, realm) in all.iter_mut().enumerate() {
        let no = match at {
            0 => RealmId(0),
            _ if realm.name == bans::KEPT_REALM => RealmId(1),
            _ => continue,
        };
        realm.number = Some(Number { no, note: None });
        numbers.places.insert(no, RealmId(at as u16));
    }
    (all, numbers)
}

impl Hub {
    /// The number of a realm on record; written down if it is not yet.
    pub(crate) fn number_realm(&mut self, realm: RealmId) -> Result<RealmId, Held> {
        let Some(r) = self.realms.get(usize::from(realm.0)) else { return Ok(realm) };
        if let Some(number) = r.number {
            return Ok(number.no);
        }
        let no = RealmId(self.numbers.next);
        let next = no.0.checked_add(1).ok_or(Held::Failed)?;
        let name: Vec<u8> = [&[VERSION], r.name.as_bytes()].concat();
        let record = Record::Note { key: key_of(no), value: name.into() };
        let Some(spot) = self.append(Class::Growth, &record)? else { return Ok(realm) };
        self.own(Journal::segment_of(spot.lsn), 1);
        self.numbers.next = next;
        self.numbers.places.insert(no, realm);
        if let Some(r) = self.realms.get_mut(usize::from(realm.0)) {
            r.number = Some(Number { no, note: Some(spot.lsn) });
        }
        Ok(no)
    }

    /// The number of a realm of which something is on record.
    pub(crate) fn number_of(&self, realm: RealmId) -> RealmId {
        let number = self.realm(realm).and_then(|r| r.number);
        number.map_or(realm, |number| number.no)
    }

    /// Which realm has this number on record.
    pub(crate) fn numbered(&self, no: RealmId) -> Option<RealmId> {
        self.numbers.places.get(&no).copied()
    }

    /// These names are on record: the realms that have them have their numbers, and those that
    /// nobody configured are shut.
    pub(super) fn recall_realms(&mut self, told: Told) {
        if told.highest >= FIRST {
            self.numbers.next = told.highest.saturating_add(1);
        }
        for (no, (name, lsn)) in told.names {
            let known = self.realms.iter().position(|realm| realm.name == name);
            let at = known.unwrap_or(self.realms.len());
            let Ok(place) = u16::try_from(at) else { continue };
            if known.is_none() {
                let mut realm = Realm::new(&name, self.numbers.seed.clone());
                realm.shut = true;
                self.realms.push(realm);
            }
            if let Some(realm) = self.realms.get_mut(at).filter(|realm| realm.number.is_none()) {
                realm.number = Some(Number { no, note: Some(lsn) });
                self.numbers.places.insert(no, RealmId(place));
                self.own(Journal::segment_of(lsn), 1);
            }
        }
    }

    /// Nothing is kept of some realms that nobody configured: neither are their numbers. In those
    /// that are `remembered`, something was said that a history may want again.
    pub(super) fn forget_realms(&mut self, remembered: &BTreeSet<RealmId>) {
        for at in 0..self.realms.len() {
            let Some(r) = self.realms.get(at).filter(|r| r.shut) else { continue };
            let place = RealmId(at as u16);
            let is_used = r.number.is_some_and(|number| remembered.contains(&number.no))
                || !r.retained.is_empty()
                || !r.queues.is_empty()
                || self.sessions.iter().any(|(_, s)| s.realm == place);
            let Some(Number { no, note: Some(lsn) }) = r.number.filter(|_| !is_used) else {
                continue;
            };
            let record = Record::Note { key: key_of(no), value: Bytes::new() };
            // Without room it is on record a little longer.
            if let Ok(Some(_)) = self.append(Class::Relief, &record) {
                self.disown(Journal::segment_of(lsn), 1);
                self.numbers.places.remove(&no);
                if let Some(r) = self.realms.get_mut(at) {
                    r.number = None;
                }
            }
        }
    }

    /// There are records of a realm whose name is lost; they are left alone, and go in time.
    pub(super) fn tell_nameless(&mut self, now: Now, records: usize) {
        if records > 0 {
            let text = format!("{records} records are of realms whose names are lost");
            self.tell_storage(now, "nameless", &text);
        }
    }

    /// Append a realm's name again if this very record is the one that says it.
    pub(super) fn carry_note(&mut self, lsn: Lsn, key: &Bytes, value: &Bytes) -> Result<(), Held> {
        let Some(place) = number_in(key).and_then(|no| self.numbered(no)) else { return Ok(()) };
        let stands = self.realm(place).and_then(|r| r.number?.note);
        if stands != Some(lsn) {
            return Ok(());
        }
        let record = Record::Note { key: key.clone(), value: value.clone() };
        let Some(spot) = self.append(Class::Relief, &record)? else { return Ok(()) };
        self.own(Journal::segment_of(spot.lsn), 1);
        self.disown(Journal::segment_of(lsn), 1);
        if let Some(number) = self.realm_mut(place).and_then(|r| r.number.as_mut()) {
            number.note = Some(spot.lsn);
        }
        Ok(())
    }
}

fn key_of(no: RealmId) -> Bytes {
    Bytes::from([KEY, &no.0.to_be_bytes()].concat())
}

fn number_in(key: &Bytes) -> Option<RealmId> {
    let mut r = Reader::new(key.clone());
    let is_ours = r.take(KEY.len()).ok()? == KEY;
    let no = r.u16().ok()?;
    (is_ours && no >= FIRST && r.left() == 0).then_some(RealmId(no))
}

/// None: nothing that this version reads, or that there is no such realm any more.
fn name_in(value: &Bytes) -> Option<String> {
    let (version, name) = value.split_first()?;
    (*version == VERSION).then(|| String::from_utf8(name.to_vec()).ok())?
}
