//! Floor 2. Topics that some reader's protocol has no spelling for.
//!
//! Such a delivery is given up by its peer; here it is counted, listed with the protocol that
//! lacks the words, and told to the observer when it is new on the list. What carries something
//! that its reader has no form for is told each time, as what finds no room is. The list is short
//! and keeps what came first: whoever makes such topics makes many, and a few tell the story.
//! Absent on purpose: the reasons (each dialect has its own).

use crate::base::id::SessionId;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Loss;
use crate::topic::Topic;

use super::Hub;
use super::policy::Event;
use super::session::Kind;

/// Topics listed.
const LISTED: usize = 64;

/// A topic on the list.
#[derive(Clone, Debug)]
pub struct Unspelled {
    /// Whose readers did not get it.
    pub kind: Kind,
    /// The topic.
    pub topic: Topic,
    /// How many deliveries of it were given up.
    pub count: u64,
}

impl Hub {
    /// A delivery of this topic was given up because readers of this kind cannot be told its name.
    pub fn note_unspelled(&mut self, now: Now, kind: Kind, topic: &Topic) {
        self.stats.count(Counter::Unspellable);
        let known = self.unspelled.iter_mut().find(|u| u.kind == kind && u.topic == *topic);
        if let Some(known) = known {
            known.count += 1;
        } else if self.unspelled.len() < LISTED {
            self.unspelled.push(Unspelled { kind, topic: topic.detached(), count: 1 });
            self.observer.see(now, &Event::Unspelled { protocol: kind.name(), topic });
        }
    }

    /// A delivery of this topic was given up by its reader's peer, for another reason.
    pub fn note_lost(&mut self, now: Now, reader: SessionId, topic: &Topic, reason: Loss) {
        self.stats.count(reason.counter());
        let user = self.session(reader).map(|s| s.label().clone()).unwrap_or_default();
        self.observer.see(now, &Event::Dropped { user: &user, topic, reason });
    }

    /// The list.
    #[must_use]
    pub fn unspelled(&self) -> &[Unspelled] {
        &self.unspelled
    }
}
