//! Floor 3. Failures to log in, and who has to wait because of them.
//!
//! Three token buckets per failure: the network it came from, the user name it claimed, and the
//! pair of both. A bucket is one number, the moment at which it will be full again, so a lapsed
//! one is the same as none and tables of fixed size hold them. Only failures are charged:
//! success is free, however often. Nobody can be locked out of a name by strangers: the name's
//! bucket counts only against networks that have themselves failed under it, and a network that
//! knew the password within a day is held to the pair's bucket alone. Absent on purpose:
//! delaying answers (whoever must wait is refused and told nothing; when it hears so, the engine
//! decides), and any memory of who the failures were.

use crate::base::time::{Deadline, MS, Now};
use crate::hub::policy::Address;

use super::mac::{Mac, Purpose};
use super::scram::ROUNDS;
use super::until::Until;

/// A token bucket: so many failures at once, and one more every so often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Failures allowed at once; at least 1.
    pub burst: u64,
    /// Milliseconds after which one more is allowed.
    pub refill_ms: u64,
}

/// How patient to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Failures of one network under one name.
    pub pair: Bucket,
    /// Failures of one network under any name.
    pub network: Bucket,
    /// Failures under one name from any network.
    pub user: Bucket,
    /// Failures of this very machine under one name. It has no bucket for all names: what comes
    /// through a proxy comes from here, and one bucket for everybody would lock everybody out.
    pub loopback: Bucket,
    /// The longest anybody has to wait, however many failures there were.
    pub wait_ms_max: u64,
    /// How long a network that knew a password is trusted to be the user's.
    pub friend_ms: u64,
    /// Rounds of the SCRAM keys that are made of shared secrets when a users file is read.
    pub rounds: u32,
    /// What the salts of whoever is not there hang on: the same at each start, and told to nobody.
    /// Without it they change with each start.
    pub salts: Option<[u8; 32]>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            pair: Bucket { burst: 10, refill_ms: 6_000 },
            network: Bucket { burst: 30, refill_ms: 2_000 },
            user: Bucket { burst: 30, refill_ms: 2_000 },
            loopback: Bucket { burst: 100, refill_ms: 100 },
            wait_ms_max: 60_000,
            friend_ms: 86_400_000,
            rounds: ROUNDS,
            salts: None,
        }
    }
}

/// Who tries, as digests.
#[derive(Clone, Copy)]
struct Tags {
    pair: u128,
    network: u128,
    user: u128,
    friend: u128,
}

/// The failures.
pub(super) struct Throttle {
    terms: Terms,
    mac: Mac,
    pairs: Until,
    networks: Until,
    users: Until,
    friends: Until,
}

/// Entries in each table; 32 bytes each.
const PLACES: usize = 8192;

impl Throttle {
    pub(super) fn new(mac: Mac, terms: Terms) -> Self {
        let table = || Until::new(PLACES);
        Self { terms, mac, pairs: table(), networks: table(), users: table(), friends: table() }
    }

    /// How long a login from there under that name has to wait, in milliseconds; 0: not at all.
    pub(super) fn wait_ms(&self, now: Now, from: Address, loopback: bool, user: &[u8]) -> u64 {
        let tags = self.tags(from, user);
        let pair = self.pairs.of(tags.pair);
        if loopback {
            return wait(now, pair, self.terms.loopback);
        }
        let own = wait(now, pair, self.terms.pair);
        if own > 0 || !now.reached(self.friends.of(tags.friend)) {
            return own;
        }
        let network = wait(now, self.networks.of(tags.network), self.terms.network);
        let clean = now.reached(pair);
        let name = if clean { 0 } else { wait(now, self.users.of(tags.user), self.terms.user) };
        network.max(name)
    }

    /// A login failed.
    pub(super) fn on_failed(&mut self, now: Now, from: Address, loopback: bool, user: &[u8]) {
        let tags = self.tags(from, user);
        let (terms, cap) = (self.terms, self.terms.wait_ms_max);
        if loopback {
            charge(&mut self.pairs, tags.pair, now, terms.loopback, cap);
            return;
        }
        charge(&mut self.pairs, tags.pair, now, terms.pair, cap);
        charge(&mut self.networks, tags.network, now, terms.network, cap);
        charge(&mut self.users, tags.user, now, terms.user, cap);
    }

    /// A login succeeded.
    pub(super) fn on_succeeded(&mut self, now: Now, from: Address, user: &[u8]) {
        let tags = self.tags(from, user);
        self.friends.set(tags.friend, now.after_ms(self.terms.friend_ms));
    }

    /// Passwords changed: who knew the old one is nobody's friend.
    pub(super) fn forget_friends(&mut self) {
        self.friends.clear();
    }

    fn tags(&self, from: Address, user: &[u8]) -> Tags {
        let mut text = [0u8; 17];
        match from.network() {
            Address::Local => {}
            Address::V4(a) => {
                text[0] = 4;
                text[1..5].copy_from_slice(&a);
            }
            Address::V6(a) => {
                text[0] = 6;
                text[1..].copy_from_slice(&a);
            }
        }
        let mac = self.mac;
        Tags {
            pair: mac.of(Purpose::Pair).part(&text).part(user).done(),
            network: mac.of(Purpose::Network).part(&text).done(),
            user: mac.of(Purpose::User).part(user).done(),
            friend: mac.of(Purpose::Friend).part(&text).part(user).done(),
        }
    }
}

/// How long until a bucket that is full at `full` has room for one more failure.
fn wait(now: Now, full: Deadline, bucket: Bucket) -> u64 {
    let spare_ms = bucket.refill_ms.saturating_mul(bucket.burst.saturating_sub(1));
    full.ms_left(now).saturating_sub(spare_ms)
}

fn charge(table: &mut Until, tag: u128, now: Now, bucket: Bucket, wait_ms_max: u64) {
    let spare_ms = bucket.refill_ms.saturating_mul(bucket.burst.saturating_sub(1));
    let latest = now.after_ms(spare_ms.saturating_add(wait_ms_max));
    let begin = table.of(tag).0.max(now.mono);
    let full = begin.saturating_add(bucket.refill_ms.saturating_mul(MS));
    table.set(tag, Deadline(full).min(latest));
}
