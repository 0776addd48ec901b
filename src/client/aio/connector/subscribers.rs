//! Floor 5. Who wants which publications of a server that is a broker of them.
//!
//! Clients say what they want on each connection, so it is in memory only. Who is gone goes on
//! wanting what is kept on the disk for it, as with the original, and nothing else. Absent on
//! purpose: wildcards, which the protocol has none of.

use std::collections::{BTreeMap, BTreeSet};

use crate::proto::aio::Text;

/// Clients by topic.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    topics: BTreeMap<Text, BTreeSet<Text>>,
    /// How many topics each wants, and all together.
    each: BTreeMap<Text, usize>,
    all: usize,
}

impl Subscribers {
    /// This one wants that; false: there is no room for it.
    pub(super) fn add(&mut self, who: &Text, topic: &Text) -> bool {
        if self.topics.get(topic).is_some_and(|all| all.contains(who)) {
            return true;
        }
        let own = self.each.get(who).copied().unwrap_or(0);
        if own >= EACH_MAX || self.all >= ALL_MAX || topic.as_str().len() > TOPIC_MAX {
            return false;
        }
        self.each.insert(who.detached(), own + 1);
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
            *own -= 1;
            if *own == 0 {
                self.each.remove(who);
            }
        }
    }

    /// This one is gone: what stays is what may be kept for it.
    pub(super) fn gone(&mut self, who: &Text, stays: impl Fn(&str) -> bool) {
        if !self.each.contains_key(who) {
            return;
        }
        let gone = |(topic, all): (&Text, &BTreeSet<Text>)| {
            (all.contains(who) && !stays(topic.as_str())).then(|| topic.clone())
        };
        let gone: Vec<Text> = self.topics.iter().filter_map(gone).collect();
        gone.iter().for_each(|topic| self.remove(who, topic));
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
        assert!(it.add(&text("other"), &text("t0")));
        assert!(it.add(&text("other"), &text(&"x".repeat(TOPIC_MAX))));
        assert!(!it.add(&text("other"), &text(&"x".repeat(TOPIC_MAX + 1))), "it is too long");
    }
}
