//! Floor 2. Who stays out by an operator's word: client ids, users and addresses, for a time.
//!
//! A ban is looked at before the policy is: at accept for an address, at login for the rest. It is
//! kept as a kept value of a namespace that no listener is in, so it survives what the journal
//! survives and ends by itself. Which of the three it is and for whom stands in the topic, so that
//! even without its body it bans. Absent on purpose: patterns (an address may be a block).

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::base::cidr::Cidr;
use crate::base::id::RealmId;
use crate::base::time::Now;
use crate::topic::{Cursor, Filter, Tail, Topic, Walk};

use super::message::{Durability, Publication};
use super::policy::{Address, Admit, Login, Refusal};
use super::{Held, Hub, Receipt};

/// The namespace that bans are kept in.
pub const KEPT_REALM: &str = "$broker";

/// Bans there may be.
const BANS_MAX: usize = 10_000;

/// What is banned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Banned {
    /// A client id.
    Client,
    /// A user.
    User,
    /// An address, or a block of them.
    Address,
}

impl Banned {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 3] =
        [("client", Self::Client), ("user", Self::User), ("address", Self::Address)];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// By its name.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| own.as_bytes() == name).map(|(_, kind)| *kind)
    }
}

/// A ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// Of what.
    pub kind: Banned,
    /// Of which.
    pub value: Bytes,
    /// Until when, in milliseconds since 1970; 0: for ever.
    pub until: u64,
    /// Why.
    pub reason: Bytes,
}

impl Ban {
    fn is_over(&self, now: Now) -> bool {
        self.until != 0 && now.wall >= self.until
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Bans {
    all: BTreeMap<(Banned, Bytes), Ban>,
    blocks: Vec<(Cidr, Bytes)>,
}

impl Bans {
    fn has(&self, now: Now, kind: Banned, value: &[u8]) -> bool {
        if self.all.is_empty() || value.is_empty() {
            return false;
        }
        let key = (kind, Bytes::copy_from_slice(value));
        self.all.get(&key).is_some_and(|ban| !ban.is_over(now))
    }

    fn bars(&self, now: Now, address: Address) -> bool {
        let Some(ip) = address.ip() else { return false };
        let blocks = self.blocks.iter().filter(|(block, _)| block.contains(ip));
        blocks.into_iter().any(|(_, value)| self.has(now, Banned::Address, value))
    }

    fn put(&mut self, ban: Ban) {
        self.drop(ban.kind, &ban.value);
        if ban.kind == Banned::Address
            && let Some(block) = block_of(&ban.value)
        {
            self.blocks.push((block, ban.value.clone()));
        }
        self.all.insert((ban.kind, ban.value.clone()), ban);
    }

    fn drop(&mut self, kind: Banned, value: &Bytes) -> bool {
        if kind == Banned::Address {
            self.blocks.retain(|(_, own)| own != value);
        }
        self.all.remove(&(kind, value.clone())).is_some()
    }

    /// Up to `most` of them behind this one, in order.
    #[must_use]
    pub fn list(&self, now: Now, after: Option<(Banned, Bytes)>, most: usize) -> Vec<Ban> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.all.range((from, Bound::Unbounded)).map(|(_, ban)| ban);
        behind.filter(|ban| !ban.is_over(now)).take(most).cloned().collect()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// A text that stands for addresses.
#[must_use]
pub fn block_of(value: &[u8]) -> Option<Cidr> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

impl Hub {
    /// May this login be looked at? Then the policy is asked.
    pub fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        match self.is_barred(now, login) {
            true => Admit::No(Refusal::Banned),
            false => self.policy.admit(now, login),
        }
    }

    /// An operator said that it stays out.
    #[must_use]
    pub fn is_barred(&self, now: Now, login: &Login<'_>) -> bool {
        self.bans.has(now, Banned::Client, login.client_id)
            || self.bans.has(now, Banned::User, login.user)
            || self.bans.bars(now, login.address)
    }

    /// Nobody is wanted from there.
    #[must_use]
    pub fn is_barred_address(&self, now: Now, address: Address) -> bool {
        self.bans.bars(now, address)
    }

    /// All bans.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    fn kept_realm(&self) -> Option<RealmId> {
        self.realm_named(KEPT_REALM)
    }

    /// Ban; on record as far as there is a journal. `None`: there are too many.
    pub fn ban(&mut self, now: Now, ban: Ban) -> Result<Option<Receipt>, Held> {
        let expired: Vec<_> = self.bans.all.values().filter(|ban| ban.is_over(now)).collect();
        let expired: Vec<_> = expired.into_iter().map(|b| (b.kind, b.value.clone())).collect();
        for (kind, value) in expired {
            self.bans.drop(kind, &value);
        }
        if self.bans.len() >= BANS_MAX {
            return Ok(None);
        }
        let mut body = vec![VERSION];
        body.extend_from_slice(&ban.reason);
        let receipt = self.keep_ban(now, &ban, Bytes::from(body), ban.until)?;
        self.bans.put(ban);
        Ok(Some(receipt))
    }

    /// End a ban. `None`: there was none.
    pub fn unban(
        &mut self,
        now: Now,
        kind: Banned,
        value: &Bytes,
    ) -> Result<Option<Receipt>, Held> {
        let Some(ban) = self.bans.all.get(&(kind, value.clone())).cloned() else {
            return Ok(None);
        };
        let receipt = self.keep_ban(now, &ban, Bytes::new(), 0)?;
        self.bans.drop(kind, value);
        Ok(Some(receipt))
    }

    fn keep_ban(
        &mut self,
        now: Now,
        ban: &Ban,
        body: Bytes,
        expires: u64,
    ) -> Result<Receipt, Held> {
        let Some(realm) = self.kept_realm() else { return Ok(Receipt::default()) };
        let levels: [&[u8]; 3] = [b"ban", ban.kind.name().as_bytes(), &ban.value];
        let publication = Publication {
            realm,
            topic: Topic::from_levels(levels),
            body,
            props: Bytes::new(),
            qos: 1,
            retain: true,
            expires,
            inbound: None,
        };
        let level = match self.journal {
            Some(_) => Durability::Disk,
            None => Durability::Memory,
        };
        self.publish(now, None, level, &publication)
    }

    /// Read back what the journal kept; to be called once, before anybody comes.
    pub fn recall_bans(&mut self) {
        let Some(realm) = self.kept_realm().and_then(|id| self.realm(id)) else { return };
        let all = Filter { segs: smallvec::SmallVec::new(), tail: Tail::Rest };
        let mut found = Vec::new();
        realm.retained.walk(&all, &mut Cursor::default(), usize::MAX, &mut |topic, kept| {
            let mut levels = topic.levels();
            if let (Some(b"ban"), Some(kind), Some(value)) =
                (levels.next(), levels.next(), levels.next())
                && let Some(kind) = Banned::of(kind)
            {
                let reason = kept.value.as_ref().and_then(|value| value.body().get(1..));
                let reason = Bytes::copy_from_slice(reason.unwrap_or_default());
                let value = Bytes::copy_from_slice(value);
                found.push(Ban { kind, value, until: kept.expires, reason });
            }
            Walk::Go
        });
        for ban in found {
            self.bans.put(ban);
        }
    }
}

/// The form of a ban's body: the reason follows.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::super::bench_test::Bench;
    use super::*;
    use crate::base::limits::Limits;

    fn login<'a>(client_id: &'a [u8], user: &'a [u8], last: u8) -> Login<'a> {
        let address = Address::V4([10, 0, 0, last]);
        let (password, certificate) = (None, None);
        Login { protocol: "mqtt", user, password, client_id, certificate, address, loopback: false }
    }

    #[test]
    fn each_kind_of_ban_bars_by_itself_and_until_its_time_is_over() {
        let all: [(Banned, &'static [u8]); 3] =
            [(Banned::Client, b"c"), (Banned::User, b"u"), (Banned::Address, b"10.0.0.1/32")];
        for (kind, value) in all {
            let mut b = Bench::new(Limits::default());
            let (value, reason) = (Bytes::from_static(value), Bytes::new());
            let until = b.now.wall + 1_000;
            let ban = Ban { kind, value, until, reason };
            assert!(!b.hub.is_barred(b.now, &login(b"c", b"u", 1)));
            assert!(b.hub.ban(b.now, ban.clone()).expect("room").is_some());
            assert!(b.hub.is_barred(b.now, &login(b"c", b"u", 1)), "{kind:?}");
            assert!(!b.hub.is_barred(b.now, &login(b"d", b"v", 2)), "{kind:?}: somebody else");
            b.now.wall = until - 1;
            assert!(b.hub.is_barred(b.now, &login(b"c", b"u", 1)), "{kind:?}");
            b.now.wall = until;
            assert!(!b.hub.is_barred(b.now, &login(b"c", b"u", 1)), "{kind:?}: it is over");
            b.hub.ban(b.now, Ban { until: 0, ..ban }).expect("room");
            b.now.wall += 1 << 40;
            assert!(b.hub.is_barred(b.now, &login(b"c", b"u", 1)), "{kind:?}: for ever");
        }
    }
}
