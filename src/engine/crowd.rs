//! Floor 4. How many come from one place, and how fast: who gets no slot before it costs one.
//!
//! A place is a network (`Address::network`): one host of IPv4, or what one host of IPv6 can choose
//! from. A place is remembered while it has connections, and after that until its pace is
//! forgiven, which takes a second; of places in that second no more than a fixed number are kept,
//! the oldest going first. With all bounds off nothing is kept at all. Roads without addresses
//! have no place, and what comes through a trusted proxy is at the place the proxy names. Absent
//! on purpose: lists of the welcome and the banned (`Policy::accept`), and failures to log in
//! (`access`).

use std::collections::VecDeque;

use crate::base::bucket::Bucket;
use crate::base::id::ConnId;
use crate::base::limits::{Limit, Limits};
use crate::base::map::{Map, Seed};
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Action;
use crate::hub::policy::Address;
use crate::proto::doom::Doom;

use super::{Engine, NoSlot};

/// Everybody who is here, by place.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Map<Address, Place>,
    /// Places without connections whose pace is not forgiven yet, the longest gone first. One that
    /// came back meanwhile may stand here several times.
    fading: VecDeque<Address>,
    pace: Bucket,
    /// A place as it begins.
    fresh: Place,
    open_max: u32,
    strangers_max: u32,
    counts: bool,
}

#[derive(Clone, Debug)]
struct Place {
    open: u32,
    /// Of those, who have not identified themselves.
    strangers: u32,
    pace: Bucket,
}

impl Crowd {
    pub(super) fn new(limits: &Limits, seed: Seed) -> Self {
        let mut it = Self {
            places: Map::with_hasher(seed),
            fading: VecDeque::new(),
            pace: Bucket::new(0, 0),
            fresh: Place { open: 0, strangers: 0, pace: Bucket::new(0, 0) },
            open_max: 0,
            strangers_max: 0,
            counts: false,
        };
        it.set_limits(limits);
        it
    }

    /// Other bounds; whoever is here stays.
    pub(super) fn set_limits(&mut self, limits: &Limits) {
        let rate = u64::from(limits.connects_per_address_s_max);
        let all = u64::from(limits.connects_s_max);
        (self.pace, self.fresh.pace) = (Bucket::new(all, all), Bucket::new(rate, rate));
        self.open_max = limits.connections_per_address_max;
        self.strangers_max = limits.strangers_per_address_max;
        self.counts = rate > 0 || self.open_max > 0 || self.strangers_max > 0;
    }

    /// Somebody comes: may they? When they may, they are counted until `on_gone`; without a place,
    /// when they say later where they are from.
    pub(super) fn on_came(&mut self, now: Now, from: Option<Address>) -> Result<(), Limit> {
        if now.mono < self.pace.ready_at(1) {
            return Err(Limit::connects_s_max);
        }
        if let Some(from) = from {
            self.on_named(now, from)?;
        }
        self.pace.charge(now.mono, 1);
        Ok(())
    }

    /// Somebody is from this place: may they come from there?
    pub(super) fn on_named(&mut self, now: Now, from: Address) -> Result<(), Limit> {
        if !self.counts || from == Address::Local {
            return Ok(());
        }
        self.forget(now);
        let place = self.places.entry(from.network()).or_insert_with(|| self.fresh.clone());
        if self.open_max > 0 && place.open >= self.open_max {
            return Err(Limit::connections_per_address_max);
        }
        if self.strangers_max > 0 && place.strangers >= self.strangers_max {
            return Err(Limit::strangers_per_address_max);
        }
        if !place.pace.take(now.mono, 1) {
            return Err(Limit::connects_per_address_s_max);
        }
        place.open += 1;
        place.strangers += 1;
        Ok(())
    }

    /// Somebody who was counted has said who it is.
    pub(super) fn on_known(&mut self, from: Address) {
        if let Some(place) = self.places.get_mut(&from.network()) {
            place.strangers = place.strangers.saturating_sub(1);
        }
    }

    /// Somebody who was counted is gone, a stranger still or not.
    pub(super) fn on_gone(&mut self, from: Address, stranger: bool) {
        let network = from.network();
        let Some(place) = self.places.get_mut(&network) else { return };
        place.open = place.open.saturating_sub(1);
        place.strangers = place.strangers.saturating_sub(u32::from(stranger));
        if place.open == 0 {
            self.fading.push_back(network);
        }
    }

    /// Strangers of all places, where they are counted.
    pub(super) fn strangers(&self) -> Option<u32> {
        self.counts.then(|| self.places.values().map(|place| place.strangers).sum())
    }

    /// Let go of places that mean nothing any more, a few for each one that comes.
    fn forget(&mut self, now: Now) {
        for _ in 0..FORGET {
            let Some(network) = self.fading.front() else { return };
            let place = self.places.get(network);
            let empty = place.is_some_and(|place| place.open == 0);
            let forgiven = place.is_none_or(|place| place.pace.is_full(now.mono));
            if empty && !forgiven && self.fading.len() <= FADING_MAX {
                return;
            }
            if empty {
                self.places.remove(network);
            }
            self.fading.pop_front();
        }
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.places.len().max(self.fading.len())
    }
}

impl Engine {
    /// Somebody comes from there: are they welcome? A trusted proxy speaks for others, so it is not
    /// counted itself. The answer is the address under which the connection is counted.
    pub(super) fn welcome(
        &mut self,
        now: Now,
        from: Address,
        proxy: bool,
    ) -> Result<Option<Address>, NoSlot> {
        self.is_accepted(now, from)?;
        let place = (!proxy).then_some(from);
        match self.crowd.on_came(now, place) {
            Ok(()) => Ok(place),
            Err(limit) => Err(self.turned_away(now, from, limit)),
        }
    }

    /// A proxy says who is behind it, and that address is the connection's now: are they welcome?
    pub(super) fn on_forwarded(&mut self, now: Now, conn: ConnId, from: Address) {
        let named = self.is_accepted(now, from).and_then(|()| {
            let named = self.crowd.on_named(now, from);
            named.map_err(|limit| self.turned_away(now, from, limit))
        });
        if named.is_err() {
            self.hub.stats.count(Counter::ConnectionsRefused);
            self.doom(now, conn, Doom::Unwelcome);
        } else if let Some(c) = self.conns.get_mut(conn) {
            c.counted = true;
        }
    }

    /// The connection is gone, or is from somewhere else than was thought.
    pub(super) fn uncount(&mut self, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        if core::mem::take(&mut c.counted) {
            self.crowd.on_gone(c.address, c.stranger);
        }
    }

    /// The connection is no stranger any more, or is over.
    pub(super) fn no_stranger(&mut self, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        if core::mem::take(&mut c.stranger) {
            self.strangers -= 1;
            if c.counted {
                self.crowd.on_known(c.address);
            }
        }
    }

    fn is_accepted(&mut self, now: Now, from: Address) -> Result<(), NoSlot> {
        let barred = self.hub.is_barred_address(now, from);
        if !barred && self.hub.policy.accept(now, from) {
            return Ok(());
        }
        self.hub.stats.denied(Action::Connect);
        Err(NoSlot::Unwelcome)
    }

    fn turned_away(&mut self, now: Now, from: Address, limit: Limit) -> NoSlot {
        self.hub.limited(now, from.network().to_string().as_bytes(), limit);
        match limit {
            Limit::connections_per_address_max | Limit::strangers_per_address_max => {
                NoSlot::Address
            }
            _ => NoSlot::Pace,
        }
    }
}

/// Entries looked at for each connection that comes; more than one, so that they become fewer.
const FORGET: usize = 4;
/// Places without a connection that are remembered for their pace.
const FADING_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MS;

    fn crowd(open: u32, pace: u32, all: u32) -> Crowd {
        let limits = Limits {
            connections_per_address_max: open,
            connects_per_address_s_max: pace,
            connects_s_max: all,
            strangers_per_address_max: 0,
            ..Limits::default()
        };
        Crowd::new(&limits, Seed::with_seed(1))
    }

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    fn host(n: u32) -> Address {
        Address::V4(n.to_be_bytes())
    }

    #[test]
    fn so_many_from_one_place_and_others_are_not_touched() {
        let mut crowd = crowd(2, 0, 0);
        for _ in 0..2 {
            crowd.on_came(at(0), Some(host(1))).unwrap();
        }
        let full = Err(Limit::connections_per_address_max);
        assert_eq!(crowd.on_came(at(0), Some(host(1))), full);
        let mut dressed = [0; 16];
        dressed[10..].copy_from_slice(&[0xff, 0xff, 0, 0, 0, 1]);
        assert_eq!(crowd.on_came(at(0), Some(Address::V6(dressed))), full, "the same host");
        crowd.on_came(at(0), Some(host(2))).unwrap();
        crowd.on_gone(host(1), true);
        crowd.on_came(at(0), Some(host(1))).unwrap();
        assert_eq!(crowd.on_came(at(0), Some(host(1))), full, "a refusal was not counted");
        for _ in 0..10 {
            crowd.on_came(at(0), Some(Address::Local)).expect("no address, no place");
        }
    }

    #[test]
    fn of_one_place_so_many_may_be_strangers_and_each_is_counted_until_it_is_known_or_gone() {
        let mut crowd = crowd(0, 0, 0);
        crowd.set_limits(&Limits { strangers_per_address_max: 2, ..Limits::default() });
        let full = Err(Limit::strangers_per_address_max);
        crowd.on_came(at(0), Some(host(1))).unwrap();
        crowd.on_came(at(0), Some(host(1))).unwrap();
        assert_eq!(crowd.on_came(at(0), Some(host(1))), full);
        crowd.on_came(at(0), Some(host(2))).expect("others are not touched");
        crowd.on_known(host(1));
        crowd.on_came(at(0), Some(host(1))).expect("one of them has said who it is");
        assert_eq!(crowd.on_came(at(0), Some(host(1))), full);
        crowd.on_gone(host(1), false);
        assert_eq!(crowd.on_came(at(0), Some(host(1))), full, "that was no stranger");
        crowd.on_gone(host(1), true);
        crowd.on_came(at(0), Some(host(1))).expect("that was one");
    }

    #[test]
    fn so_many_in_a_second_from_one_place_and_from_all() {
        let mut each = crowd(0, 3, 0);
        let came = |crowd: &mut Crowd, ms, n| crowd.on_came(at(ms), Some(host(n))).is_ok();
        assert_eq!((0..10).filter(|_| came(&mut each, 0, 1)).count(), 3);
        assert!(came(&mut each, 0, 2));
        each.on_gone(host(1), true);
        assert!(!came(&mut each, 10, 1), "going does not buy a new beginning");
        assert_eq!((0..100).filter(|i| came(&mut each, 1_000 + 10 * i, 1)).count(), 5);
        let mut all = crowd(0, 0, 5);
        assert_eq!((0..10).filter(|n| came(&mut all, 0, *n)).count(), 5);
        assert_eq!(all.on_came(at(0), None), Err(Limit::connects_s_max));
        assert!(came(&mut all, 200, 9));
    }

    #[test]
    fn whoever_is_refused_by_its_own_bound_uses_nobody_elses_pace() {
        let mut crowd = crowd(1, 0, 2);
        crowd.on_came(at(0), Some(host(1))).unwrap();
        for _ in 0..100 {
            assert!(crowd.on_came(at(0), Some(host(1))).is_err());
        }
        crowd.on_came(at(0), Some(host(2))).expect("the second in this second");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_fades() {
        let mut crowd = crowd(10, 1, 0);
        for n in 0..1_000_000 {
            crowd.on_came(at(0), Some(host(n))).unwrap();
            crowd.on_gone(host(n), true);
        }
        assert!(crowd.remembered() <= FADING_MAX + FORGET, "{}", crowd.remembered());
        for n in 0..20_000 {
            crowd.on_came(at(5_000), Some(host(n))).unwrap();
        }
        assert!(crowd.remembered() <= 20_000, "{}", crowd.remembered());
    }

    #[test]
    fn one_that_comes_and_goes_for_ever_is_remembered_once() {
        let mut busy = crowd(10, 0, 0);
        for _ in 0..1_000 {
            busy.on_came(at(0), Some(host(1))).unwrap();
            busy.on_gone(host(1), true);
        }
        assert!(busy.remembered() <= FORGET, "{}", busy.remembered());
        let mut off = crowd(0, 0, 0);
        off.on_came(at(0), Some(host(1))).unwrap();
        assert_eq!(off.remembered(), 0);
    }
}
