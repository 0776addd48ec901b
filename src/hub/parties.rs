//! Floor 2. Who can call and be called, and who says who it is: a number, names, attributes, mail.
//!
//! A party is a session that takes part in what `calls` gives out. Others know it by a number that
//! tells nothing and is never used twice, and by what it was let in as. What it is told beside its
//! messages lies in its mailbox, in order, until its connection takes it; what cannot be put there
//! says so to whoever wanted it said. Absent on purpose: any wire, rights, and sessions that only
//! publish and subscribe.

use std::collections::{BTreeSet, VecDeque};
use std::hash::Hash;
use std::ops::Bound;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::map::{Map, Seed};
use crate::value::Value;

use super::calls::{Act, Payload, Why};
use super::message::{Charge, Meter};
use super::outbox::Room;

/// Numbers of parties and publications end here: where floats still count.
pub const NUMBER_MAX: u64 = 1 << 53;

/// What a party is told beside its messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mail {
    /// Of a call.
    Act(Act),
    /// One of its subscriptions was ended by somebody else.
    Unsubscribed {
        /// Which.
        id: u64,
        /// Why, as that one says.
        reason: Bytes,
    },
    /// One of its registrations was.
    Unregistered {
        /// Which.
        id: u64,
        /// Why, as that one says.
        reason: Bytes,
    },
    /// It serves what it wanted to serve from now on, or does not any more: said in its place
    /// among what it is asked.
    Granted {
        /// Its number for what it wanted.
        request: u64,
        /// What it serves now.
        registration: Option<u64>,
    },
    /// It is to go.
    Go {
        /// Why, as a name.
        reason: Bytes,
        /// And in words.
        message: Bytes,
    },
}

impl Mail {
    fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Act(Act::Invoke(it)) => Some(&it.payload),
            Self::Act(Act::Result { payload, .. } | Act::Fail { payload, .. }) => Some(payload),
            _ => None,
        }
    }

    /// What it takes in a mailbox.
    fn weight(&self) -> usize {
        let said = match self {
            Self::Unsubscribed { reason, .. } | Self::Unregistered { reason, .. } => reason.len(),
            Self::Go { reason, message } => reason.len() + message.len(),
            Self::Granted { .. } => 0,
            Self::Act(_) => self.payload().map_or(0, Payload::weight),
        };
        said + size_of::<Self>()
    }

    /// The same without the buffer that it was read into.
    fn detached(mut self) -> Self {
        let copy = |text: &mut Bytes| *text = copied(text);
        let payload = match &mut self {
            Self::Act(Act::Invoke(it)) => {
                it.procedure.iter_mut().for_each(copy);
                &mut it.payload
            }
            Self::Act(Act::Fail { payload, why, .. }) => {
                if let Why::Said(name) = why {
                    copy(name);
                }
                payload
            }
            Self::Act(Act::Result { payload, .. }) => payload,
            // All that is told so must not be a copy for each.
            _ => return self,
        };
        copy(&mut payload.meta);
        copy(&mut payload.args);
        self
    }

    /// Whoever wanted this said can be told that it was not.
    fn may_fail(&self) -> bool {
        matches!(self, Self::Act(Act::Invoke(_)))
    }
}

/// Said when its publisher is gone.
#[derive(Debug)]
pub struct Testament {
    /// Only when it will not come back, not whenever its connection is lost.
    pub destroyed: bool,
    /// Where to, as its owner wrote it.
    pub topic: Bytes,
    /// What, and for whom: its owner's words, in its protocol's numbers.
    pub words: Bytes,
    /// What that weighs on the memory budget.
    pub charge: Charge,
}

/// What lies in a mailbox, and what it weighs on the memory budget.
#[derive(Debug)]
struct Letter {
    mail: Mail,
    charge: Charge,
    /// It does not hold the buffer that it was read into.
    apart: bool,
}

/// Somebody who can call and be called.
#[derive(Debug)]
pub struct Party {
    /// The number others know it by.
    pub id: u64,
    /// Its session.
    pub session: SessionId,
    /// Where it is.
    pub realm: RealmId,
    /// Its connection.
    pub conn: ConnId,
    /// As whom it was let in.
    pub authid: Bytes,
    /// In which role.
    pub authrole: Bytes,
    /// By what.
    pub authmethod: Bytes,
    /// On whose word.
    pub authprovider: Bytes,
    /// Everything that is said of it; the names above are not among it.
    pub details: Vec<(String, Value)>,
    /// What is said when it is gone.
    pub testaments: Vec<Testament>,
    /// It goes without a word: nobody is told.
    pub quiet: bool,
    mail: VecDeque<Letter>,
    mail_bytes: usize,
}

impl Party {
    /// An attribute, if it has it and it is a text.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        let own = match name {
            "authid" => &self.authid,
            "authrole" => &self.authrole,
            "authmethod" => &self.authmethod,
            "authprovider" => &self.authprovider,
            _ => {
                let found = self.details.iter().find(|(key, _)| key == name)?;
                return found.1.as_text().map(str::as_bytes);
            }
        };
        Some(own)
    }

    /// Letters that wait, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.mail.len(), self.mail_bytes)
    }
}

/// What somebody says to become a party.
#[derive(Debug)]
pub struct Joining {
    /// Its number; see [`Parties::number`].
    pub id: u64,
    /// Its session.
    pub session: SessionId,
    /// Where it is.
    pub realm: RealmId,
    /// Its connection.
    pub conn: ConnId,
    /// As whom it was let in.
    pub authid: Bytes,
    /// In which role.
    pub authrole: Bytes,
    /// By what.
    pub authmethod: Bytes,
    /// On whose word.
    pub authprovider: Bytes,
    /// What else is said of it.
    pub details: Vec<(String, Value)>,
}

/// What numbers are drawn from: there is no way back from it to the seed.
fn lot(seed: u64) -> u64 {
    let digest = Sha256::new().chain_update(b"numbers of parties").chain_update(seed.to_le_bytes());
    digest.finalize().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Every party.
#[derive(Debug)]
pub struct Parties {
    all: Map<SessionId, Party>,
    numbers: Map<u64, SessionId>,
    realms: Map<RealmId, BTreeSet<u64>>,
    roles: Map<(RealmId, Bytes), BTreeSet<u64>>,
    /// Not the one of maps: everybody is told a number, and it leads back to this.
    lot: u64,
    drawn: u64,
}

impl Parties {
    /// Nobody.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let maps = Seed::with_seed(seed);
        let (all, numbers) = (Map::with_hasher(maps.clone()), Map::with_hasher(maps.clone()));
        let (realms, roles) = (Map::with_hasher(maps.clone()), Map::with_hasher(maps));
        Self { all, numbers, realms, roles, lot: lot(seed), drawn: 0 }
    }

    /// A number that tells nothing: from 1 to [`NUMBER_MAX`], no party's.
    pub fn number(&mut self) -> u64 {
        loop {
            self.drawn = self.drawn.wrapping_add(1);
            let id = scatter(self.lot ^ self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let id = (id & (NUMBER_MAX - 1)) + 1;
            if !self.numbers.contains_key(&id) {
                return id;
            }
        }
    }

    /// Somebody comes.
    pub fn join(&mut self, it: Joining) {
        let party = Party {
            id: it.id,
            session: it.session,
            realm: it.realm,
            conn: it.conn,
            // Not the slices: they would keep all alive that was read with them.
            authid: Bytes::copy_from_slice(&it.authid),
            authrole: Bytes::copy_from_slice(&it.authrole),
            authmethod: it.authmethod,
            authprovider: it.authprovider,
            details: it.details,
            testaments: Vec::new(),
            quiet: false,
            mail: VecDeque::new(),
            mail_bytes: 0,
        };
        self.leave(it.session);
        self.numbers.insert(it.id, it.session);
        self.realms.entry(it.realm).or_default().insert(it.id);
        self.roles.entry((it.realm, party.authrole.clone())).or_default().insert(it.id);
        self.all.insert(it.session, party);
    }

    /// Somebody is gone, and what it was not told with it.
    pub fn leave(&mut self, session: SessionId) -> Option<Party> {
        let party = self.all.remove(&session)?;
        self.numbers.remove(&party.id);
        take_out(&mut self.realms, &party.realm, party.id);
        take_out(&mut self.roles, &(party.realm, party.authrole.clone()), party.id);
        Some(party)
    }

    /// The party that is this session.
    #[must_use]
    pub fn get(&self, session: SessionId) -> Option<&Party> {
        self.all.get(&session)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, session: SessionId) -> Option<&mut Party> {
        self.all.get_mut(&session)
    }

    /// The party of this number, if it is in this realm.
    #[must_use]
    pub fn numbered(&self, realm: RealmId, id: u64) -> Option<&Party> {
        self.get(*self.numbers.get(&id)?).filter(|party| party.realm == realm)
    }

    /// How many a realm has.
    #[must_use]
    pub fn count(&self, realm: RealmId) -> usize {
        self.realms.get(&realm).map_or(0, BTreeSet::len)
    }

    /// How many of them came in this role.
    #[must_use]
    pub fn count_role(&self, realm: RealmId, role: &Bytes) -> usize {
        self.roles.get(&(realm, role.clone())).map_or(0, BTreeSet::len)
    }

    /// The numbers of a realm's parties above this one, in order.
    pub fn of_realm(&self, realm: RealmId, after: u64) -> impl Iterator<Item = u64> {
        above(self.realms.get(&realm), after)
    }

    /// The same of those in one role.
    pub fn of_role(&self, realm: RealmId, role: &Bytes, after: u64) -> impl Iterator<Item = u64> {
        above(self.roles.get(&(realm, role.clone())), after)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Put a letter into its mailbox: `apart` if it may stay there for longer than this turn. Who
    /// can be told otherwise has less room than who can not. False: there is no room.
    pub(super) fn post(
        &mut self,
        to: SessionId,
        mail: Mail,
        apart: bool,
        room: Room,
        meter: &Meter,
    ) -> bool {
        let Some(party) = self.all.get_mut(&to) else { return false };
        let weight = mail.weight();
        let times = if mail.may_fail() { 1 } else { FIRM };
        let full = party.mail.len() >= room.len.saturating_mul(times)
            || party.mail_bytes >= room.bytes.saturating_mul(times);
        // Who has fetched everything is not the one that memory is short of.
        if full && !party.mail.is_empty() {
            return false;
        }
        // A few hold what they were read into for as long as a turn takes, and no copy is made.
        let apart = apart || party.mail.len() >= FRESH;
        let mail = if apart { mail.detached() } else { mail };
        party.mail_bytes += weight;
        party.mail.push_back(Letter { mail, charge: meter.charge(weight), apart });
        true
    }

    /// What lies there now stays there for longer than this turn.
    pub(super) fn set_apart(&mut self, session: SessionId) {
        let Some(party) = self.all.get_mut(&session) else { return };
        for letter in party.mail.iter_mut().take(FRESH).filter(|letter| !letter.apart) {
            let nothing = Mail::Granted { request: 0, registration: None };
            letter.mail = core::mem::replace(&mut letter.mail, nothing).detached();
            letter.apart = true;
        }
    }

    /// The next letter.
    pub fn take(&mut self, session: SessionId) -> Option<Mail> {
        let party = self.all.get_mut(&session)?;
        let Letter { mail, charge, .. } = party.mail.pop_front()?;
        party.mail_bytes -= charge.bytes();
        if party.mail.is_empty() && party.mail.capacity() > IDLE_MAX {
            party.mail = VecDeque::new();
        }
        Some(mail)
    }

    /// It has letters.
    #[must_use]
    pub fn has_mail(&self, session: SessionId) -> bool {
        self.all.get(&session).is_some_and(|party| !party.mail.is_empty())
    }
}

fn above(numbers: Option<&BTreeSet<u64>>, after: u64) -> impl Iterator<Item = u64> {
    let range = (Bound::Excluded(after), Bound::Unbounded);
    numbers.into_iter().flat_map(move |numbers| numbers.range(range)).copied()
}

fn take_out<K: Eq + Hash>(from: &mut Map<K, BTreeSet<u64>>, key: &K, id: u64) {
    if let Some(numbers) = from.get_mut(key) {
        numbers.remove(&id);
        if numbers.is_empty() {
            from.remove(key);
        }
    }
}

/// A copy that holds nothing else. What most are marked with needs no memory.
fn copied(text: &Bytes) -> Bytes {
    const MARKS: &[u8; 4] = &[0, 1, 2, 3];
    let mark = text.first().filter(|_| text.len() == 1);
    let known = mark.map(|mark| usize::from(*mark)).and_then(|at| MARKS.get(at..=at));
    known.map_or_else(|| Bytes::copy_from_slice(text), Bytes::from_static)
}

/// So many letters of a mailbox may hold the buffers that they were read into for a turn.
const FRESH: usize = 8;
/// What must be said has so many times the room of what need not.
const FIRM: usize = 4;
/// Letters an idle mailbox keeps room for.
const IDLE_MAX: usize = 64;

/// Every bit of the number has a say in every bit of what comes out, and no two give the same.
#[must_use]
pub fn scatter(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
