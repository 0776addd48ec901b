//! Floor 5. Who wants which publications of a server that is a broker of them.
//!
//! Clients say what they want on each connection, so it is in memory only. Who is gone goes on
//! wanting what is kept on the disk for it, as with the original, and nothing else; where there is
//! no room for what others want, who has been gone longest wants nothing any more. Absent on
//! purpose: wildcards, which the protocol has none of.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::aio::Text;

/// Clients by topic.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    topics: BTreeMap<Text, BTreeSet<Text>>,
    /// The topics that each wants, and how many all do.
    each: BTreeMap<Text, BTreeSet<Text>>,
    all: usize,
    /// Who is gone and wants something, by the order in which they went.
    away: BTreeMap<u64, Text>,
    since: BTreeMap<Text, u64>,
    left: u64,
    forgotten: Vec<Text>,
}

impl Subscribers {
    /// This one wants that; false: there is no room for it.
    pub(super) fn add(&mut self, who: &Text, topic: &Text) -> bool {
        if self.topics.get(topic).is_some_and(|all| all.contains(who)) {
            return true;
        }
        let own = self.each.get(who).map_or(0, BTreeSet::len);
        if own >= EACH_MAX || topic.as_str().len() > TOPIC_MAX || !self.has_room() {
            return false;
        }
        self.each.entry(who.detached()).or_default().insert(topic.detached());
        self.all += 1;
        self.topics.entry(topic.detached()).or_default().insert(who.detached())
    }

    /// And not any more.
    pub(super) fn remove(&mut self, who: &Text, topic: &Text) {
        let Some(all) = self.topics.get_mut(topic) else { return };
        if !all.remove(who) {
            return;
        }
        if all.is_empty() {
            self.topics.remove(topic);
        }
        self.all -= 1;
        if let Some(own) = self.each.get_mut(who) {
            own.remove(topic);
            if own.is_empty() {
                self.each.remove(who);
                self.came(who);
            }
        }
    }

    /// If need be at the cost of who has been gone longest.
    fn has_room(&mut self) -> bool {
        if self.all >= ALL_MAX
            && let Some(who) = self.away.first_key_value().map(|(_, who)| who.clone())
        {
            self.gone(&who, |_| false);
            self.forgotten.push(who);
        }
        self.all < ALL_MAX
    }

    /// Who wants nothing any more for that reason, to be told.
    pub(super) fn forgotten(&mut self) -> Vec<Text> {
        core::mem::take(&mut self.forgotten)
    }

    /// This one is there.
    pub(super) fn came(&mut self, who: &Text) {
        if let Some(since) = self.since.remove(who) {
            self.away.remove(&since);
        }
    }

    #[cfg(test)]
    pub(super) fn is_away(&self, who: &str) -> bool {
        self.since.contains_key(&Text::from(who))
    }

    /// This one is gone: what stays is what may be kept for it.
    pub(super) fn gone(&mut self, who: &Text, stays: impl Fn(&str) -> bool) {
        let own = self.each.get(who).into_iter().flatten();
        let gone: Vec<Text> = own.filter(|topic| !stays(topic.as_str())).cloned().collect();
        gone.iter().for_each(|topic| self.remove(who, topic));
        if self.each.contains_key(who) && !self.since.contains_key(who) {
            self.left += 1;
            self.since.insert(who.detached(), self.left);
            self.away.insert(self.left, who.detached());
        }
    }

    /// Who wants this.
    pub(super) fn of(&self, topic: &Text) -> Vec<Text> {
        self.topics.get(topic).into_iter().flatten().cloned().collect()
    }
}

/// Topics of one client, and of all together.
const EACH_MAX: usize = 1_000;
const ALL_MAX: usize = 100_000;
/// Bytes of one, which for programs is part of a name of a file.
const TOPIC_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        text.into()
    }

    #[test]
    fn who_wants_something_is_told_once_and_until_it_wants_it_no_more() {
        let mut it = Subscribers::default();
        let (a, b, news) = (text("a"), text("b"), text("news"));
        assert!(it.add(&a, &news) && it.add(&a, &news) && it.add(&b, &news));
        assert_eq!(it.of(&news), vec![a.clone(), b.clone()]);
        it.remove(&a, &news);
        it.remove(&a, &news);
        assert_eq!(it.of(&news), vec![b.clone()]);
        it.gone(&b, |_| true);
        assert_eq!(it.of(&news), vec![b.clone()], "what is kept for it comes later");
        it.gone(&b, |_| false);
        assert!(it.of(&news).is_empty());
        assert_eq!((it.all, it.each.len(), it.topics.len()), (0, 0, 0));
        assert_eq!((it.away.len(), it.since.len()), (0, 0));
    }

    #[test]
    fn who_has_been_gone_longest_makes_room_for_who_is_there() {
        let mut it = Subscribers::default();
        let name = |number: usize| text(&format!("c{number}"));
        for who in (0..ALL_MAX / EACH_MAX).map(name) {
            for topic in 0..EACH_MAX {
                assert!(it.add(&who, &text(&format!("t{topic}"))));
            }
        }
        for who in [3, 1, 2, 3] {
            it.gone(&name(who), |_| true);
        }
        it.came(&name(3));
        assert!(it.add(&text("other"), &text("t0")));
        assert_eq!(it.forgotten(), [name(1)]);
        assert!(it.of(&text("t1")).len() == ALL_MAX / EACH_MAX - 1);
        for topic in 1..EACH_MAX {
            assert!(it.add(&text("other"), &text(&format!("t{topic}"))));
        }
        assert!(it.forgotten().is_empty());
        assert!(it.add(&text("more"), &text("t0")));
        assert_eq!(it.forgotten(), [name(2)]);
        assert_eq!((it.away.len(), it.since.len()), (0, 0), "and the third is there");
    }

    #[test]
    fn no_more_is_wanted_than_there_is_room_for() {
        let mut it = Subscribers::default();
        for who in 0..ALL_MAX / EACH_MAX {
            let who = text(&format!("c{who}"));
            for topic in 0..EACH_MAX {
                assert!(it.add(&who, &text(&format!("t{topic}"))));
            }
            assert!(!it.add(&who, &text("more")), "one client's");
        }
        assert!(!it.add(&text("other"), &text("t0")), "all together's");
        it.gone(&text("c0"), |_| false);
        assert!(it.add(&text("other"), &text("t0")) && it.forgotten().is_empty());
        assert!(it.add(&text("other"), &text(&"x".repeat(TOPIC_MAX))));
        assert!(!it.add(&text("other"), &text(&"x".repeat(TOPIC_MAX + 1))), "it is too long");
    }
}
