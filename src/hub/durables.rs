//! Floor 2. The sessions that outlive their connections: how many, and what they take.
//!
//! Whoever may connect may leave a session behind under every name it can think of, so their
//! number is bounded, and their memory too: a name may be long. Absent on purpose: their
//! subscriptions, which the filters' bound holds, their wills, which the messages' does, and what
//! they are owed, which is on the disk.

use super::session::Session;
use crate::base::limits::{Limit, Limits};

/// Counted and weighed.
#[derive(Debug, Default)]
pub(crate) struct Durables {
    len: usize,
    bytes: usize,
}

impl Durables {
    /// How many there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What they take together, about.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bound because of which there is no place for another, if there is one.
    #[must_use]
    pub(crate) fn full(&self, limits: &Limits) -> Option<Limit> {
        if self.len >= limits.sessions_max as usize {
            return Some(Limit::sessions_max);
        }
        (self.bytes >= limits.sessions_bytes_max).then_some(Limit::sessions_bytes_max)
    }

    /// One more.
    pub(crate) fn add(&mut self, s: &Session) {
        self.len += 1;
        self.bytes += weight(s);
    }

    /// One of them is no more.
    pub(crate) fn take(&mut self, s: &Session) {
        self.len = self.len.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight(s));
    }

    /// One of them weighed so much, and has changed.
    pub(crate) fn changed(&mut self, before: usize, s: &Session) {
        if s.durable && !s.ended {
            self.bytes = self.bytes.saturating_sub(before) + weight(s);
        }
    }
}

/// What a session takes that is owed nothing and listens to nothing, about.
pub(crate) fn weight(s: &Session) -> usize {
    let who = s.principal();
    FIXED + s.name().len() + who.client_id.len() + who.user.len()
}

/// The session, whom it acts for, its places in the tables of names and of owners.
const FIXED: usize = size_of::<Session>() + 256;
