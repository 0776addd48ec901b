//! Floor 6. A scene of publishers and subscribers on a rig, and one busy round of it.
//!
//! Every publisher says a few messages, every subscriber is spoken to once, and whoever owes an
//! acknowledgement gives it, so that every round ends as it began. Absent on purpose: sockets, and
//! whatever is measured about it.

use crate::rig::{self, Rig};
use spindle::base::id::ConnId;
use spindle::base::outbound::Outbound;
use spindle::hub::message::{Durability, id_of};
use spindle::testing::workload::{self, Step, Tongue};

/// Who publishes what to whom.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    /// Everybody has a topic of its own, instead of all sharing one.
    pub(crate) paired: bool,
    /// Messages of each publisher in a round.
    pub(crate) messages: usize,
}

/// In which protocol, at which quality of service, and what is promised.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) tongue: Tongue,
    pub(crate) qos: u8,
    pub(crate) level: Durability,
}

/// Everybody is there.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    publishers: Vec<(ConnId, Vec<u8>)>,
    subscribers: Vec<ConnId>,
    /// Deliveries to each subscriber in a round.
    each: usize,
    /// Publications of each publisher in a round.
    pub(crate) messages: usize,
    pub(crate) way: Way,
    steps: Vec<u8>,
    acked: u64,
}

impl Stage {
    pub(crate) fn set(scene: &Scene, len: usize, way: Way) -> Self {
        let Way { tongue, qos, .. } = way;
        let mut rig = Rig::new(way.level, rig::patient());
        let topic_of = |i: usize| if scene.paired { i } else { 0 };
        let join = |name: String, rig: &mut Rig| {
            let conn = rig.accept(tongue.speak());
            rig.say(conn, &tongue.login(&name, ""));
            conn
        };
        let mut subscribers = Vec::new();
        for i in 0..scene.subscribers {
            let conn = join(format!("reader{i}"), &mut rig);
            rig.say(conn, &tongue.subscribe(&workload::topic(topic_of(i)), qos, 1));
            // A turn has time for some filters, not for those of a thousand.
            rig.quiet();
            subscribers.push(conn);
        }
        let mut publishers = Vec::new();
        for i in 0..scene.publishers {
            let conn = join(format!("writer{i}"), &mut rig);
            publishers.push((conn, tongue.burst(topic_of(i), scene.messages, len, qos)));
        }
        rig.quiet();
        let heard = if scene.paired { 1 } else { scene.publishers };
        let (messages, each) = (scene.messages, heard * scene.messages);
        Self { rig, publishers, subscribers, each, messages, way, steps: Vec::new(), acked: 0 }
    }

    pub(crate) fn deliveries(&self) -> usize {
        self.each * self.subscribers.len()
    }

    pub(crate) fn round(&mut self, mut heard: impl FnMut(&Outbound)) {
        for (conn, bytes) in &self.publishers {
            self.rig.say(*conn, bytes);
        }
        self.rig.turns(|_, out| heard(out));
        match self.way.qos {
            0 => return,
            1 => self.readers_say(Step::Ack),
            _ => {
                self.readers_say(Step::Rec);
                self.writers_say(Step::Rel);
                self.rig.turns(|_, out| heard(out));
                self.readers_say(Step::Comp);
            }
        }
        self.acked += self.each as u64;
        self.rig.turns(|_, out| heard(out));
    }

    /// A round in which the readers fall behind: half of the publishers speak before anybody is
    /// answered, the others into windows that are full, and then the readers take a window (of
    /// `window` deliveries) at a time.
    pub(crate) fn crowded_round(&mut self, window: usize, mut heard: impl FnMut(&Outbound)) {
        assert_eq!(self.way.qos, 1, "they acknowledge what they take");
        let half = self.publishers.len() / 2;
        for (i, (conn, bytes)) in self.publishers.iter().enumerate() {
            if i == half {
                self.rig.turns(|_, out| heard(out));
            }
            self.rig.say(*conn, bytes);
        }
        let mut left = self.each;
        while left > 0 {
            self.rig.turns(|_, out| heard(out));
            let now = left.min(window);
            self.steps.clear();
            for i in 1..=now as u64 {
                self.way.tongue.put_step(Step::Ack, id_of(self.acked + i), &mut self.steps);
            }
            for conn in &self.subscribers {
                self.rig.say(*conn, &self.steps);
            }
            (self.acked, left) = (self.acked + now as u64, left - now);
        }
        self.rig.turns(|_, out| heard(out));
    }

    /// Every subscriber says this of every delivery of the round.
    fn readers_say(&mut self, step: Step) {
        self.steps.clear();
        for i in 1..=self.each as u64 {
            self.way.tongue.put_step(step, id_of(self.acked + i), &mut self.steps);
        }
        for conn in &self.subscribers {
            self.rig.say(*conn, &self.steps);
        }
    }

    /// Every publisher says this of every publication of the round.
    fn writers_say(&mut self, step: Step) {
        self.steps.clear();
        for id in 1..=self.messages as u16 {
            self.way.tongue.put_step(step, id, &mut self.steps);
        }
        for (conn, _) in &self.publishers {
            self.rig.say(*conn, &self.steps);
        }
    }
}
