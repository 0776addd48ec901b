//! Floor 3. Whose a name is: never two connections', and never nobody's while somebody has it.
//!
//! The original lets two connections have one name and then forgets both (specification 3.6). Here
//! whoever proved the name has it from whoever had it before, and that one is to be closed. Who
//! only says it is asked to wait, and whoever has it is pinged: an answer keeps the name, silence
//! loses it. So a client that comes back after its network died need not wait for a timeout, and
//! nobody takes a name from one who is there. Absent on purpose: pings and closing, which are the
//! driver's; how a name is proved.

use core::hash::Hash;
use std::collections::BTreeSet;

use crate::base::map::{Map, Seed};
use crate::base::time::{Deadline, Now};

use super::names::Name;

/// How a name is known to be somebody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// It was said.
    Said,
    /// A certificate or a token showed it.
    Shown,
}

/// What becomes of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed<C> {
    /// The name is the claimant's.
    Yours,
    /// It is, and another had it, and a third waited perhaps: close both.
    From(C, Option<C>),
    /// This one has it: ping that. What comes of it, `alive` and `due` say.
    Wait(C),
    /// It is another's, or others wait for it, or the claimant has a name already: close the
    /// claimant.
    Refused,
}

#[derive(Debug)]
struct Owned<C> {
    owner: C,
    proof: Proof,
    /// Who wants it, and when silence has lasted long enough.
    heir: Option<(C, Deadline)>,
}

/// All names that are somebody's.
#[derive(Debug)]
pub struct Owners<C> {
    names: Map<Name, Owned<C>>,
    /// Which name a connection has, or waits for: one at most.
    conns: Map<C, Name>,
    /// Names that somebody waits for, the most urgent first.
    waited: BTreeSet<(Deadline, Name)>,
    wait_ms: u64,
}

/// Somebody has what another had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed<C> {
    /// The name.
    pub name: Name,
    /// Who had it: close that.
    pub from: C,
    /// Who has it.
    pub to: C,
}

impl<C: Copy + Eq + Hash> Owners<C> {
    /// Nobody has a name. An owner who is pinged has so long for its answer.
    #[must_use]
    pub fn new(wait_ms: u64, seed: Seed) -> Self {
        let (names, conns) = (Map::with_hasher(seed.clone()), Map::with_hasher(seed));
        Self { names, conns, waited: BTreeSet::new(), wait_ms }
    }

    /// A connection wants to be called so.
    pub fn claim(&mut self, now: Now, name: &Name, conn: C, proof: Proof) -> Claimed<C> {
        if self.conns.contains_key(&conn) {
            return Claimed::Refused;
        }
        let name = name.detached();
        let Some(owned) = self.names.get_mut(&name) else {
            self.names.insert(name.clone(), Owned { owner: conn, proof, heir: None });
            self.conns.insert(conn, name);
            return Claimed::Yours;
        };
        match (owned.proof, proof, owned.heir) {
            (_, Proof::Shown, _) => {
                let heir = self.take_heir(&name);
                let from = self.put(&name, conn, proof);
                from.map_or(Claimed::Refused, |from| Claimed::From(from, heir))
            }
            (Proof::Said, Proof::Said, None) => {
                let until = now.after_ms(self.wait_ms);
                owned.heir = Some((conn, until));
                let owner = owned.owner;
                self.waited.insert((until, name.clone()));
                self.conns.insert(conn, name);
                Claimed::Wait(owner)
            }
            (Proof::Shown, Proof::Said, _) | (Proof::Said, Proof::Said, Some(_)) => {
                Claimed::Refused
            }
        }
    }

    /// Something was heard from a connection. Who waited for its silence: close that.
    pub fn alive(&mut self, conn: C) -> Option<C> {
        let name = self.conns.get(&conn)?;
        let owned = self.names.get(name)?;
        if owned.owner != conn || owned.heir.is_none() {
            return None;
        }
        let name = name.clone();
        self.take_heir(&name)
    }

    /// A connection is gone. Its name goes to whoever waits for it.
    pub fn release(&mut self, conn: C) -> Option<Handed<C>> {
        let name = self.conns.get(&conn)?.clone();
        if self.names.get(&name)?.owner == conn {
            return self.hand_over(name);
        }
        self.take_heir(&name);
        None
    }

    /// Owners who have been silent for too long.
    pub fn due(&mut self, now: Now) -> Vec<Handed<C>> {
        let mut handed = Vec::new();
        while let Some((until, name)) = self.waited.first()
            && now.reached(*until)
        {
            let name = name.clone();
            handed.extend(self.hand_over(name));
        }
        handed
    }

    /// When to ask for that.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.waited.first().map_or(Deadline::NEVER, |(until, _)| *until)
    }

    /// Who is called so.
    #[must_use]
    pub fn owner(&self, name: &Name) -> Option<C> {
        self.names.get(name).map(|owned| owned.owner)
    }

    /// Nobody waits for the name any more; who did.
    fn take_heir(&mut self, name: &Name) -> Option<C> {
        let (heir, until) = self.names.get_mut(name)?.heir.take()?;
        self.waited.remove(&(until, name.clone()));
        self.conns.remove(&heir);
        Some(heir)
    }

    /// The name is this connection's; whose it was.
    fn put(&mut self, name: &Name, conn: C, proof: Proof) -> Option<C> {
        let owned = self.names.get_mut(name)?;
        let from = core::mem::replace(&mut owned.owner, conn);
        owned.proof = proof;
        self.conns.remove(&from);
        self.conns.insert(conn, name.clone());
        Some(from)
    }

    /// From the owner to whoever waits, or to nobody.
    fn hand_over(&mut self, name: Name) -> Option<Handed<C>> {
        if let Some(to) = self.take_heir(&name) {
            // Only what was said and not shown is waited for by one who says it.
            let from = self.put(&name, to, Proof::Said)?;
            return Some(Handed { name, from, to });
        }
        let owned = self.names.remove(&name)?;
        self.conns.remove(&owned.owner);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::base::time::MS;
    use crate::proto::aio::packet::Text;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    fn name(text: &str) -> Name {
        Name::new(&Text::from(text)).expect("a name")
    }

    fn owners() -> Owners<u32> {
        Owners::new(100, Seed::with_seed(1))
    }

    #[test]
    fn who_only_says_a_name_does_not_take_it_from_one_who_is_there() {
        let (mut owners, ann) = (owners(), &name("ann"));
        assert_eq!(owners.claim(at(0), ann, 1, Proof::Said), Claimed::Yours);
        assert_eq!(owners.claim(at(0), ann, 2, Proof::Said), Claimed::Wait(1));
        assert_eq!(owners.claim(at(0), ann, 3, Proof::Said), Claimed::Refused, "one waits already");
        assert_eq!(owners.alive(2), None, "that it is there says nothing about the owner");
        assert_eq!(owners.alive(1), Some(2));
        assert_eq!(owners.alive(1), None);
        assert_eq!(owners.due(at(100)), []);
        assert_eq!(owners.owner(ann), Some(1));
    }

    #[test]
    fn silence_loses_a_name_and_so_does_going() {
        let (mut owners, ann) = (owners(), &name("ann"));
        owners.claim(at(0), ann, 1, Proof::Said);
        owners.claim(at(0), ann, 2, Proof::Said);
        assert_eq!(owners.deadline(), Deadline(100 * MS));
        assert_eq!(owners.due(at(99)), []);
        let handed = Handed { name: ann.clone(), from: 1, to: 2 };
        assert_eq!(owners.due(at(100)), [handed]);
        assert_eq!((owners.owner(ann), owners.deadline()), (Some(2), Deadline::NEVER));
        assert_eq!(owners.release(1), None, "it had lost the name");
        assert_eq!(owners.claim(at(100), ann, 3, Proof::Said), Claimed::Wait(2));
        let handed = Handed { name: ann.clone(), from: 2, to: 3 };
        assert_eq!(owners.release(2), Some(handed), "nobody need wait for one who is gone");
        assert_eq!(owners.release(3), None);
        assert_eq!(owners.owner(ann), None);
    }

    #[test]
    fn who_shows_a_name_has_it_from_whoever_had_it() {
        let (mut owners, ann) = (owners(), &name("ann"));
        owners.claim(at(0), ann, 1, Proof::Said);
        owners.claim(at(0), ann, 2, Proof::Said);
        assert_eq!(owners.claim(at(0), ann, 3, Proof::Shown), Claimed::From(1, Some(2)));
        assert_eq!(owners.claim(at(0), ann, 4, Proof::Shown), Claimed::From(3, None));
        assert_eq!(owners.claim(at(0), ann, 5, Proof::Said), Claimed::Refused);
        assert_eq!(owners.owner(ann), Some(4));
        assert_eq!(owners.due(at(1_000)), [], "nobody waits for it any more");
        assert_eq!(owners.claim(at(0), &name("bob"), 1, Proof::Said), Claimed::Yours, "as anybody");
    }

    #[test]
    fn a_connection_has_one_name_and_keeps_it() {
        let (mut owners, ann, bob) = (owners(), &name("ann"), &name("bob"));
        owners.claim(at(0), ann, 1, Proof::Said);
        for proof in [Proof::Said, Proof::Shown] {
            assert_eq!(owners.claim(at(0), bob, 1, proof), Claimed::Refused);
            assert_eq!(owners.claim(at(0), ann, 1, proof), Claimed::Refused);
        }
        owners.claim(at(0), ann, 2, Proof::Said);
        assert_eq!(owners.claim(at(0), bob, 2, Proof::Said), Claimed::Refused, "it waits for one");
        assert_eq!(owners.release(2), None, "who waited is gone, and the owner stays");
        assert_eq!((owners.owner(ann), owners.alive(1)), (Some(1), None));
    }

    /// Whatever happens: no connection has two names, and all that are told to close had none.
    #[test]
    fn nobody_has_two_names_and_nobody_open_is_forgotten() {
        let mut rng = Rng::new(3);
        let names = ["a", "b", "c"].map(name);
        let mut owners = owners();
        let mut open: Vec<u32> = Vec::new();
        let mut next = 0;
        for step in 0..20_000_u64 {
            let now = at(step * 10);
            let mut closed: Vec<u32> = Vec::new();
            match rng.below(4) {
                0 => {
                    next += 1;
                    let proof = if rng.below(3) == 0 { Proof::Shown } else { Proof::Said };
                    let name = &names[rng.below(3) as usize];
                    open.push(next);
                    match owners.claim(now, name, next, proof) {
                        Claimed::Yours | Claimed::Wait(_) => {}
                        Claimed::From(old, heir) => closed.extend(heir.into_iter().chain([old])),
                        Claimed::Refused => closed.push(next),
                    }
                }
                1 if !open.is_empty() => {
                    let conn = open[rng.below(open.len() as u64) as usize];
                    closed.extend(owners.alive(conn));
                }
                2 if !open.is_empty() => {
                    let conn = open.swap_remove(rng.below(open.len() as u64) as usize);
                    owners.release(conn);
                }
                _ => closed.extend(owners.due(now).iter().map(|handed| handed.from)),
            }
            for conn in closed {
                open.retain(|it| *it != conn);
                owners.release(conn);
            }
            let mut known: Vec<u32> = names.iter().filter_map(|name| owners.owner(name)).collect();
            known.extend(owners.names.values().filter_map(|owned| Some(owned.heir?.0)));
            assert_eq!((owners.conns.len(), owners.waited.len() <= 3), (known.len(), true));
            known.sort_unstable();
            open.sort_unstable();
            assert_eq!(known, open, "step {step}");
        }
    }
}
