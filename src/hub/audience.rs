//! Floor 2. For whom a publication is: who is left out, and who alone may have it.
//!
//! A list that is there counts, also when it is empty. All of them must agree. A session that is no
//! party has no number, and its user is what it was let in as. Absent on purpose: what the reader
//! listens to, and what it may receive, which are asked before.

use bytes::Bytes;

use crate::base::id::SessionId;

use super::interests::Interests;
use super::parties::Parties;
use super::session::Session;

/// For whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audience {
    /// Not for this one, which published it.
    pub without: Option<SessionId>,
    /// For this one and nobody else.
    pub only: Option<SessionId>,
    /// Of nodes, for the one that this chooses.
    pub key: Option<Bytes>,
    /// The numbers of those who are left out.
    pub exclude: Vec<u64>,
    /// The numbers of those who alone may have it.
    pub eligible: Option<Vec<u64>>,
    /// The same by what is said of readers.
    pub lists: Vec<List>,
    /// Which nodes were chosen.
    pub(crate) chosen: Vec<(u32, Option<Bytes>)>,
}

/// Readers by an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Which.
    pub attribute: String,
    /// Only for those who have one of these; else, for all others.
    pub eligible: bool,
    /// These.
    pub values: Vec<Bytes>,
}

impl List {
    /// May somebody have it of whom this is said?
    #[must_use]
    pub fn agrees(&self, value: Option<&[u8]>) -> bool {
        let named = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        named == self.eligible
    }

    /// Bytes of it.
    pub(super) fn weight(&self) -> usize {
        let values: usize = self.values.iter().map(|value| size_of::<Bytes>() + value.len()).sum();
        size_of::<Self>() + self.attribute.len() + values
    }

    /// The same without the buffer that it was read into.
    pub(super) fn detached(self) -> Self {
        let values = self.values.iter().map(|value| Bytes::copy_from_slice(value)).collect();
        Self { values, ..self }
    }
}

impl Audience {
    /// It keeps nobody out who listens.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.without.is_none() && self.only.is_none() && self.key.is_none() && !self.has_lists()
    }

    /// Who may have it is said by what ends with a connection.
    #[must_use]
    pub fn is_of_numbers(&self) -> bool {
        !self.exclude.is_empty() || self.eligible.is_some() || self.only.is_some()
    }

    /// It has lists.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        !self.exclude.is_empty() || self.eligible.is_some() || !self.lists.is_empty()
    }

    /// Is this reader of it, by this subscription?
    pub(super) fn has(
        &mut self,
        s: &Session,
        sub: u32,
        parties: &Parties,
        interests: &Interests,
    ) -> bool {
        if self.without == Some(s.id) || self.only.is_some_and(|only| only != s.id) {
            return false;
        }
        (!self.has_lists() || self.names(s, parties))
            && (self.key.is_none() || self.chooses(s, sub, interests))
    }

    /// Whoever is no node has everything.
    fn chooses(&mut self, s: &Session, sub: u32, interests: &Interests) -> bool {
        let (Some(key), Some(it)) = (&self.key, interests.get(s.realm, u64::from(sub))) else {
            return true;
        };
        let Some(node) = it.node_of(s.id) else { return true };
        if let Some((_, chosen)) = self.chosen.iter().find(|(id, _)| *id == sub) {
            return chosen.as_ref() == Some(node);
        }
        let chosen = it.node_for(key).cloned();
        let its = chosen.as_ref() == Some(node);
        self.chosen.push((sub, chosen));
        its
    }

    /// May this session have it, as far as the lists tell?
    #[must_use]
    pub fn is_for(&self, session: SessionId, hub: &super::Hub) -> bool {
        hub.session(session).is_some_and(|s| self.names(s, &hub.parties))
    }

    /// Do the lists agree to it?
    fn names(&self, s: &Session, parties: &Parties) -> bool {
        let party = parties.get(s.id);
        let id = party.map(|party| party.id);
        if id.is_some_and(|id| self.exclude.contains(&id)) {
            return false;
        }
        if let Some(only) = &self.eligible
            && id.is_none_or(|id| !only.contains(&id))
        {
            return false;
        }
        self.lists.iter().all(|list| {
            let value = match party {
                Some(party) => party.attribute(&list.attribute),
                None if list.attribute == "authid" => Some(&s.principal().user[..]),
                None => None,
            };
            list.agrees(value)
        })
    }
}
