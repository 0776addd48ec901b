//! Floor 2. What a relay counted, kept over the end of the process.
//!
//! Once in a second, if anything was counted, the figures are kept as a kept value of the
//! namespace that no listener is in, as bans are; so they survive what the journal survives, and a
//! journal with nothing else in it stays small. A relay is found again by where it listens. Absent
//! on purpose: the original's recovery file, which only its command knows.

use bytes::Bytes;

use crate::base::time::{Deadline, MS, Now};
use crate::hub::message::{Durability, Publication};
use crate::hub::{Hub, bans};
use crate::topic::{Cursor, Filter, Tail, Topic, Walk};

/// Milliseconds between two times that figures are kept.
const EVERY_MS: u64 = 1_000;
/// The first level of their topics.
const WORD: &[u8] = b"relay";

impl Hub {
    /// Keep what was counted, if it is time and there is anything new.
    pub fn keep_relays(&mut self, now: Now) {
        let due = self.relays.keep_at().is_some_and(|at| now.reached(at));
        if !due || self.journal.is_none() {
            return;
        }
        for no in 0..self.relays.all.len() {
            self.keep_relay(now, no);
        }
    }

    fn keep_relay(&mut self, now: Now, no: usize) {
        let Some(realm) = self.realm_named(bans::KEPT_REALM) else { return };
        let Some(relay) = self.relays.all.get_mut(no) else { return };
        if !core::mem::take(&mut relay.meter.stirred) {
            return;
        }
        relay.kept_at = now.mono;
        let name = relay.terms.name.clone();
        let parts: [&[u8]; 2] = [b"seconds", b"totals"];
        let mut kept = true;
        for (part, body) in parts.into_iter().zip(relay.meter.written(now)) {
            let publication = Publication {
                realm,
                topic: Topic::from_levels([WORD, name.as_bytes(), part]),
                body: body.into(),
                props: Bytes::new(),
                qos: 1,
                retain: true,
                expires: 0,
                inbound: None,
            };
            kept &= self.publish(now, None, Durability::Os, &publication).is_ok();
        }
        // The disk is full or has failed, which is told elsewhere; the next second tries again.
        if let (false, Some(relay)) = (kept, self.relays.all.get_mut(no)) {
            relay.meter.stirred = true;
        }
    }

    /// Read back what was kept; to be called once, before anybody comes.
    pub fn recall_relays(&mut self, now: Now) {
        let Some(realm) = self.realm_named(bans::KEPT_REALM).and_then(|id| self.realm(id)) else {
            return;
        };
        let all = Filter { segs: smallvec::SmallVec::new(), tail: Tail::Rest };
        let mut found = Vec::new();
        realm.retained.walk(&all, &mut Cursor::default(), usize::MAX, &mut |topic, kept| {
            let mut levels = topic.levels();
            if let (Some(WORD), Some(name)) = (levels.next(), levels.next())
                && let Some(value) = &kept.value
            {
                found.push((name.to_vec(), value.body().to_vec()));
            }
            Walk::Go
        });
        for (name, written) in found {
            let own = self.relays.all.iter_mut().find(|r| r.terms.name.as_bytes() == name);
            if let Some(relay) = own {
                relay.meter.recall(now, &written);
                relay.meter.stirred = false;
            }
        }
    }
}

impl super::Relays {
    /// When figures are to be kept again.
    #[must_use]
    pub fn keep_at(&self) -> Option<Deadline> {
        let stirred = self.all.iter().filter(|relay| relay.meter.stirred);
        stirred.map(|relay| Deadline(relay.kept_at + EVERY_MS * MS)).min()
    }
}
