//! Kept values: set and cleared all the time, and looked at after each start.
//!
//! What is there must be what was acknowledged last, or something that was sent after it and never
//! answered. A value that was cleared and is there again is a ghost.

use std::time::Duration;

use spindle::proto::mqtt::packet::{Packet, Publish};

use crate::clients::{Client, Heard, Who, body_of, publish, read_body};
use crate::kill::{BREATH, Field};

const TOPICS: usize = 16;

/// Who sets and clears, and what may be there for it.
pub(crate) struct Keeper {
    next: u32,
    /// By topic: what was acknowledged last, then what was sent and not answered. `None`: cleared.
    may: Vec<Vec<Option<u32>>>,
    acked: u64,
    looked: u64,
    missing: u64,
    stale: u64,
    ghosts: u64,
}

impl Default for Keeper {
    fn default() -> Self {
        let may = vec![vec![None]; TOPICS];
        Self { next: 0, may, acked: 0, looked: 0, missing: 0, stale: 0, ghosts: 0 }
    }
}

impl Keeper {
    /// One change at a time, until the broker is killed.
    pub(crate) fn work(&mut self, address: &str, field: &Field) -> Result<(), String> {
        let mut client = match Client::join(address, &Who::passing("keeper")) {
            Ok(client) => client,
            Err(why) => return field.forgive(Err(why)),
        };
        while !field.is_killed() {
            let n = self.next;
            self.next += 1;
            let topic = n as usize % TOPICS;
            // Each topic is set twice, then cleared.
            let clears = n as usize / TOPICS % 3 == 2;
            let body = if clears { String::new() } else { body_of("k", n) };
            let id = (n % 60_000) as u16 + 1;
            let said = publish(1, id, &format!("kept/{topic}"), &body);
            client.say(&Packet::Publish(Publish { retain: true, ..said }));
            let value = (!clears).then_some(n);
            self.may[topic].push(value);
            loop {
                match client.listen(BREATH)? {
                    Heard::Packet(Packet::PubAck(a)) if a.id == id => break,
                    Heard::Packet(other) => return Err(format!("the keeper is told {other:?}")),
                    Heard::Quiet => {}
                    Heard::Ended => {
                        return field.forgive(Err("the keeper was thrown out".to_owned()));
                    }
                }
            }
            self.may[topic] = vec![value];
            self.acked += 1;
        }
        Ok(())
    }

    /// What is there now.
    pub(crate) fn check(&mut self, address: &str) -> Result<(), String> {
        let mut there = vec![None; TOPICS];
        let mut strange = 0;
        let mut take = |packet: Packet| match packet {
            Packet::Publish(m) if &m.topic[..] == b"kept/last" => true,
            Packet::Publish(m) => {
                let topic = std::str::from_utf8(&m.topic).unwrap_or_default();
                let topic: Option<usize> =
                    topic.strip_prefix("kept/").and_then(|topic| topic.parse().ok());
                match (topic.and_then(|topic| there.get_mut(topic)), read_body(&m.payload)) {
                    (Some(place), Some(("k", n))) if m.retain && place.is_none() => {
                        *place = Some(n);
                    }
                    _ => strange += 1,
                }
                false
            }
            _ => false,
        };
        let mut client = Client::join(address, &Who::passing("visitor"))?;
        client.subscribe("kept/#", 0, &mut |_, packet| _ = take(packet))?;
        // What is said after the subscription comes after what was kept.
        client.say(&Packet::Publish(publish(0, 0, "kept/last", "")));
        let mut all = false;
        loop {
            let limit = Duration::from_millis(if all { 20 } else { 10_000 });
            match client.listen(limit)? {
                Heard::Packet(packet) => all |= take(packet),
                Heard::Quiet if all => break,
                Heard::Quiet | Heard::Ended => return Err("kept values do not come".to_owned()),
            }
        }
        client.leave();
        self.ghosts += strange;
        self.compare(&there);
        Ok(())
    }

    fn compare(&mut self, there: &[Option<u32>]) {
        self.looked += 1;
        for (may, value) in self.may.iter_mut().zip(there) {
            if !may.contains(value) {
                match (may[0], value) {
                    (Some(_), None) => self.missing += 1,
                    (Some(_), Some(_)) => self.stale += 1,
                    (None, _) => self.ghosts += 1,
                }
            }
            // It will not change by itself any more; and it is not held against it twice.
            *may = vec![*value];
        }
    }

    /// A line, and how much in it should not be.
    pub(crate) fn tell(&self) -> (String, u64) {
        let Self { acked, looked, missing, stale, ghosts, .. } = self;
        let line = format!(
            "kept: changes acknowledged {acked}, looked at {looked} times, missing {missing}, \
             stale {stale}, ghosts {ghosts}"
        );
        (line, missing + stale + ghosts)
    }
}
