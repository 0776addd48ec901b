//! Floor 3. Equal password checks, of which one is made for all who wait for it.
//!
//! A crowd that comes back with one name and one password asks the same question many times, and
//! every answer costs a worker a quarter of a second. Whoever asks what somebody else is waiting to
//! hear follows that one. Questions are known by the keyed digest that a claim carries, over name,
//! password, hash and network, so no password is kept for it, and who follows shares a network
//! with the one it follows. Each is judged by its own claim and counted on its own. Absent on
//! purpose: the line itself, and answers that outlive the check (`verified`).

use crate::base::id::{ConnId, Ticket};
use crate::base::map::{Map, Seed};

/// Who waits for whose check.
#[derive(Debug)]
pub struct Twins {
    leads: Map<ConnId, Lead>,
    /// Whose check it is, by its digest.
    asked: Map<u128, ConnId>,
    /// No more follow one check.
    most: usize,
}

#[derive(Debug)]
struct Lead {
    tag: u128,
    others: Vec<Ticket>,
}

impl Twins {
    /// Nobody waits.
    #[must_use]
    pub fn new(most: usize, seed: Seed) -> Self {
        let leads = Map::with_hasher(seed.clone());
        Self { leads, asked: Map::with_hasher(seed), most }
    }

    /// Another bound; whoever follows goes on.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Wait with whoever waits for this already. False: nobody does, or as many as may.
    pub fn follow(&mut self, tag: u128, ticket: Ticket) -> bool {
        let lead = self.asked.get(&tag).and_then(|conn| self.leads.get_mut(conn));
        let Some(lead) = lead.filter(|lead| lead.others.len() < self.most) else { return false };
        lead.others.push(ticket);
        true
    }

    /// The check of this connection is in line: others may follow. A digest of 0 is no question.
    pub fn lead(&mut self, tag: u128, conn: ConnId) {
        if tag != 0 && !self.asked.contains_key(&tag) {
            self.asked.insert(tag, conn);
            self.leads.insert(conn, Lead { tag, others: Vec::new() });
        }
    }

    /// It is no longer: its digest, and those who followed, in the order they came.
    pub fn end(&mut self, conn: ConnId) -> (u128, Vec<Ticket>) {
        let Some(lead) = self.leads.remove(&conn) else { return (0, Vec::new()) };
        self.asked.remove(&lead.tag);
        (lead.tag, lead.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(index: u32) -> Ticket {
        Ticket { conn: ConnId { index, life: 0 }, serial: 7 }
    }

    #[test]
    fn equal_questions_wait_for_one_answer() {
        let mut twins = Twins::new(2, Seed::with_seed(1));
        assert!(!twins.follow(5, ticket(0)), "nobody asks yet");
        twins.lead(5, ticket(0).conn);
        assert!(twins.follow(5, ticket(1)));
        assert!(!twins.follow(6, ticket(2)), "that is another question");
        assert!(twins.follow(5, ticket(3)));
        assert!(!twins.follow(5, ticket(4)), "as many as may follow already");
        // Whoever found no place leads nobody: it is the first that is followed.
        twins.lead(5, ticket(4).conn);
        assert_eq!(twins.end(ticket(4).conn), (0, vec![]));
        assert_eq!(twins.end(ticket(0).conn), (5, vec![ticket(1), ticket(3)]));
        assert!(!twins.follow(5, ticket(5)), "what was answered is asked anew");
        assert_eq!((twins.leads.len(), twins.asked.len()), (0, 0));
    }

    #[test]
    fn what_has_no_digest_is_nobodys_twin() {
        let mut twins = Twins::new(9, Seed::with_seed(1));
        twins.lead(0, ticket(0).conn);
        assert!(!twins.follow(0, ticket(1)));
    }
}
