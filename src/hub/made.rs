//! Floor 2. Namespaces that are open because somebody came to them, and gone when everybody left.
//!
//! They are told what a template says, and there are so many of them. Who is a stranger makes none:
//! only whoever was let in does. One that is on record and that nobody configured is opened with
//! all that is kept in it, and shut again when everybody has left. Any other is made: nothing of it
//! goes on record, and when everybody has left it cannot be found any more; what was kept in it
//! goes bit by bit, and then its place is free for another. Absent on purpose: those that are
//! configured, which stay.

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::stats::Counter;
use crate::base::time::Now;

use super::Hub;
use super::realm::{Asked, Realm, Terms};

/// Kept values that are forgotten in a turn.
const FORGOTTEN_TURN: usize = 256;

/// What is known about them, besides themselves.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// What they are told; without it none is made.
    template: Option<Terms>,
    /// Those that everybody has left, until nothing is kept in them.
    vacating: Vec<RealmId>,
}

impl Hub {
    /// From now on namespaces are made for whoever comes to one that is not there.
    pub fn set_template(&mut self, terms: Terms) {
        self.numbers.made.template = Some(terms);
        self.note_answering();
    }

    /// What whoever comes to this namespace is told; nothing where there is none and none is made.
    #[must_use]
    pub fn terms_of(&self, name: &str) -> Option<&Terms> {
        match self.realm_named(name) {
            Some(realm) => self.realm(realm).map(|realm| &realm.terms),
            None => self.numbers.made.template.as_ref(),
        }
    }

    /// So many are open because somebody came, or are being forgotten.
    #[must_use]
    pub fn realms_made(&self) -> usize {
        self.realms.iter().filter(|realm| realm.made || realm.vacating).count()
    }

    /// There is room for one more.
    #[must_use]
    pub fn has_vacancy(&self) -> bool {
        self.realms_made() < self.limits.realms_made_max
    }

    /// The namespace of this name, opened or made if it must be. None: there is none, and there is
    /// no room.
    pub fn realm_for(&mut self, now: Now, name: &str) -> Option<RealmId> {
        if let Some(realm) = self.realm_named(name) {
            return Some(realm);
        }
        let terms = self.numbers.made.template.clone()?;
        if name.is_empty() || !self.has_vacancy() {
            return None;
        }
        let at = self.place_for(name)?;
        let realm = self.realms.get_mut(at)?;
        realm.name = name.to_owned();
        (realm.made, realm.shut) = (true, false);
        self.stats.count(Counter::RealmsMade);
        let realm = RealmId(at as u16);
        self.tell_realm(now, realm, terms);
        Some(realm)
    }

    /// Where it stands already, else where there is room.
    fn place_for(&mut self, name: &str) -> Option<usize> {
        let on_record = self.realms.iter().position(|realm| realm.shut && realm.name == name);
        let vacant = || self.realms.iter().position(Realm::is_vacant);
        if let Some(at) = on_record.or_else(vacant) {
            return Some(at);
        }
        let at = self.realms.len();
        if at >= usize::from(u16::MAX) {
            return None;
        }
        self.realms.push(Realm::new("", self.numbers.seed.clone()));
        Some(at)
    }

    /// Somebody has left this namespace; if it is open for whoever comes and nobody is left, it is
    /// gone.
    pub fn quit_realm(&mut self, now: Now, realm: RealmId) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        if !r.made || self.parties.count(realm) > 0 {
            return;
        }
        r.made = false;
        r.described.clear();
        if r.number.is_some() {
            // What is kept of it waits.
            r.shut = true;
            return self.note_answering();
        }
        r.name.clear();
        r.vacating = true;
        self.numbers.made.vacating.push(realm);
        self.tell_realm(now, realm, Terms::default());
    }

    /// Forget some of what was kept where nobody is any more.
    pub fn vacate_some(&mut self) {
        let Some(realm) = self.numbers.made.vacating.last().copied() else { return };
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let kept = r.retained.iter().take(FORGOTTEN_TURN);
        let gone: Vec<_> = kept.map(|(topic, _)| topic.detached()).collect();
        if gone.is_empty() {
            r.vacating = false;
            self.numbers.made.vacating.pop();
        }
        for topic in gone {
            self.drop_kept(realm, &topic);
        }
    }

    /// Nothing of this namespace goes on record.
    pub(super) fn is_fleeting(&self, realm: RealmId) -> bool {
        self.realm(realm).is_some_and(Realm::is_fleeting)
    }

    /// There is something to forget.
    #[must_use]
    pub fn is_vacating(&self) -> bool {
        !self.numbers.made.vacating.is_empty()
    }

    /// Is this a procedure that the router asks here?
    #[must_use]
    pub fn is_answering(&self, realm: RealmId, procedure: &[u8]) -> bool {
        self.calls.is_closed(realm, procedure)
    }

    /// Note where which procedures are asked, as all terms together have it.
    pub(super) fn note_answering(&mut self) {
        let mut names: Vec<(RealmId, Bytes)> = Vec::new();
        let mut note = |own: Option<usize>, asked: &Asked| {
            let at = match &asked.realm {
                Some(name) => self.realm_named(name),
                None => own.map(|at| RealmId(at as u16)),
            };
            let all = [&asked.authenticator, &asked.authorizer].into_iter().flatten();
            names.extend(at.into_iter().flat_map(|at| all.clone().map(move |it| (at, it.clone()))));
        };
        let open = self.realms.iter().enumerate().filter(|(_, realm)| !realm.shut);
        open.for_each(|(at, realm)| note(Some(at), &realm.terms.asked));
        self.numbers.made.template.iter().for_each(|terms| note(None, &terms.asked));
        self.calls.close(names);
    }
}
