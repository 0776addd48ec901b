//! Floor 2. Who a session is: its name, and whom it acts for.
//!
//! Nearly every session is called what its client calls itself, or as its user, and whom it acts
//! for says both already; so a name is kept only where it is neither. Whoever it acts for may
//! change (its owner comes back, or proves anew who it is), and its name does not. Absent on
//! purpose: what a name is good for.

use super::policy::Principal;
use bytes::Bytes;
use std::sync::Arc;

/// A name and whom it acts for.
#[derive(Debug)]
pub struct Identity {
    principal: Arc<Principal>,
    called: Called,
    own: Option<Box<Bytes>>,
}

#[derive(Clone, Copy, Debug)]
enum Called {
    Client,
    User,
    Own,
}

impl Identity {
    /// Somebody of this name; empty for one that nobody can come back to.
    #[must_use]
    pub fn new(name: Bytes, principal: Arc<Principal>) -> Self {
        if name == principal.client_id {
            return Self { principal, called: Called::Client, own: None };
        }
        if name == principal.user {
            return Self { principal, called: Called::User, own: None };
        }
        let own = (!name.is_empty()).then(|| Box::new(name));
        Self { principal, called: Called::Own, own }
    }

    /// Its name; empty for one that nobody can come back to.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        static NOBODY: Bytes = Bytes::new();
        match self.called {
            Called::Client => &self.principal.client_id,
            Called::User => &self.principal.user,
            Called::Own => self.own.as_deref().unwrap_or(&NOBODY),
        }
    }

    /// Whom it acts for; its connection knows it too.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Act for this one from now on, under the same name; whom it acted for.
    pub fn act_for(&mut self, principal: Arc<Principal>) -> Arc<Principal> {
        let name = self.name().clone();
        core::mem::replace(self, Self::new(name, principal)).principal
    }

    /// Heap bytes of its own.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.own.as_ref().map_or(0, |own| size_of::<Bytes>() + own.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &'static str, client_id: &'static str) -> Arc<Principal> {
        let (user, client_id) = (Bytes::from_static(user.as_bytes()), client_id.into());
        Arc::new(Principal { user, client_id, ..Principal::default() })
    }

    #[test]
    fn a_name_stays_whomever_it_acts_for() {
        for name in ["", "ann", "device", "other"] {
            let mut it = Identity::new(Bytes::from_static(name.as_bytes()), who("ann", "device"));
            for next in [who("ann", "device"), who("bob", "device"), who("other", ""), who("", "")]
            {
                it.act_for(next.clone());
                assert_eq!((it.name().as_ref(), it.principal()), (name.as_bytes(), &next));
            }
        }
    }

    #[test]
    fn a_name_that_is_known_already_takes_no_memory() {
        for (name, heap) in [("ann", 0), ("device", 0), ("", 0), ("other", size_of::<Bytes>() + 5)]
        {
            let it = Identity::new(Bytes::from_static(name.as_bytes()), who("ann", "device"));
            assert_eq!(it.heap(), heap, "{name}");
        }
        // A word for the name, and no more.
        assert_eq!(size_of::<Identity>(), 3 * size_of::<usize>());
    }
}
