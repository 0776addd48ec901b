//! Floor 6. What is there after a power cut, held against what had been promised by then.
//!
//! Everything owed comes before a last message that is said after the start, so nothing needs to
//! be waited for. Absent on purpose: how often a message comes, which the drivers that kill show.

use std::collections::BTreeSet;
use std::time::Duration;

use spindle::proto::mqtt::packet::{Packet, Publish};
use spindle::proto::prx1::{Action, Packet as Word};

use super::load::{AWAY, History, Promise, READER, SESSIONS, TOPICS, queue, session_of, topic_of};
use crate::clients::{Client, Heard, PATIENCE, Who, ack, publish, read_body};
use crate::prx1::Prx1;

/// What one look has shown.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// What had to be there.
    pub(crate) due: u64,
    /// Promised, and not there.
    pub(crate) lost: u64,
    /// There, and never asked for.
    pub(crate) invented: u64,
    /// The first thing that was wrong.
    pub(crate) first: Option<String>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.due += other.due;
        self.lost += other.lost;
        self.invented += other.invented;
        if self.first.is_none() {
            self.first = other.first;
        }
    }

    fn lose(&mut self, count: usize, what: impl FnOnce() -> String) {
        if count > 0 {
            self.lost += count as u64;
            self.first.get_or_insert_with(what);
        }
    }

    fn invent(&mut self, what: String) {
        self.invented += 1;
        self.first.get_or_insert(what);
    }

    /// The numbers that came, held against promises.
    fn compare<'a>(
        &mut self,
        who: &str,
        came: &BTreeSet<u32>,
        promises: impl Iterator<Item = (u32, &'a Promise)>,
        cut: usize,
    ) {
        let (mut missing, mut known) = (Vec::new(), BTreeSet::new());
        for (n, promise) in promises {
            if promise.is_asked(cut) {
                known.insert(n);
            }
            if promise.is_given(cut) {
                self.due += 1;
                if !came.contains(&n) {
                    missing.push(n);
                }
            }
        }
        self.lose(missing.len(), || format!("lost for {who}: {missing:?}"));
        for n in came.difference(&known) {
            self.invent(format!("{who} has {n}, which nobody had said"));
        }
    }
}

/// What is behind these addresses, when the record was cut there.
pub(crate) struct Look<'a> {
    pub(crate) mqtt: &'a str,
    pub(crate) prx1: Option<&'a str>,
    pub(crate) history: &'a History,
    pub(crate) cut: usize,
}

impl Look<'_> {
    /// All of it.
    pub(crate) fn all(&self) -> Result<Seen, String> {
        let mut seen = Seen::default();
        self.sessions(&mut seen)?;
        self.kept(&mut seen)?;
        let mut last = Client::join(self.mqtt, &Who::passing("last"))?;
        last.say(&Packet::Publish(publish(1, 1, "load/last/far", "last")));
        match last.listen(PATIENCE)? {
            Heard::Packet(Packet::PubAck(_)) => {}
            _ => return Err("nothing new is taken".to_owned()),
        }
        self.owed(&mut seen, AWAY)?;
        self.owed(&mut seen, READER)?;
        self.queued(&mut seen)?;
        Ok(seen)
    }

    /// What one of the two is owed.
    fn owed(&self, seen: &mut Seen, name: &str) -> Result<(), String> {
        let mut client = Client::join(self.mqtt, &Who::lasting(name))?;
        let mut came = Vec::new();
        if client.present {
            came = self.until_last(seen, &mut client, name)?;
        } else {
            seen.lose(1, || format!("the session {name} is forgotten"));
        }
        client.leave();
        for (sender, said) in &self.history.said {
            let came = came.iter().filter(|(from, _)| from == sender).map(|(_, n)| *n).collect();
            // What the reader was about to take care of may come again, and need not.
            let had = self.history.had.get(*sender).filter(|_| name == READER);
            let had = |n: u32| had.and_then(|had| had.get(&n)).is_some_and(|at| *at <= self.cut);
            let free: BTreeSet<u32> = (0..said.len() as u32).filter(|n| had(*n)).collect();
            let far = |n: &u32| name == READER || n.is_multiple_of(self.history.far);
            let due = (0..).zip(said).filter(|(n, _)| far(n) && !free.contains(n));
            let came: BTreeSet<u32> = &came - &free;
            seen.compare(&format!("{name} from {sender}"), &came, due, self.cut);
        }
        Ok(())
    }

    fn until_last(
        &self,
        seen: &mut Seen,
        client: &mut Client,
        name: &str,
    ) -> Result<Vec<(String, u32)>, String> {
        let mut came = Vec::new();
        loop {
            let m = match client.listen(PATIENCE)? {
                Heard::Packet(Packet::Publish(m)) => m,
                Heard::Packet(Packet::PubRel(a)) => {
                    client.say(&Packet::PubComp(ack(a.id)));
                    continue;
                }
                Heard::Packet(other) => return Err(format!("{name} is told {other:?}")),
                // A disk that was cut bare may have the session and not its subscription.
                Heard::Quiet | Heard::Ended => {
                    seen.lose(1, || format!("{name} hears no more"));
                    return Ok(came);
                }
            };
            match m.qos {
                2 => client.say(&Packet::PubRec(ack(m.id))),
                _ => client.say(&Packet::PubAck(ack(m.id))),
            }
            if &m.payload[..] == b"last" {
                client.flush();
                return Ok(came);
            }
            match read_body(&m.payload) {
                Some((sender, n)) if m.topic == topic_of(sender, n, self.history.far) => {
                    came.push((sender.to_owned(), n));
                }
                _ => seen.invent(format!("{name} has bytes that nobody said")),
            }
        }
    }

    /// What the queue holds.
    fn queued(&self, seen: &mut Seen) -> Result<(), String> {
        let Some(prx1) = self.prx1 else { return Ok(()) };
        let mut wire = Prx1::join(prx1, "pd")?;
        wire.say(&queue(Action::Initialize, Some("last")));
        wire.say(&queue(Action::Drain, None));
        let mut came = BTreeSet::new();
        loop {
            match wire.listen(PATIENCE)? {
                Heard::Packet(Word::Publish(m)) => {
                    wire.say(&Word::PubAck(m.id));
                    match read_body(&m.payload) {
                        _ if &m.payload[..] == b"last" => break,
                        Some(("q", n)) => _ = came.insert(n),
                        _ => seen.invent("the queue has bytes that nobody said".to_owned()),
                    }
                }
                Heard::Packet(_) => {}
                Heard::Quiet | Heard::Ended => return Err("the queue gives no more".to_owned()),
            }
        }
        let due = (0..).zip(&self.history.queued);
        seen.compare("the queue", &came, due, self.cut);
        Ok(())
    }

    /// Which of those that come and go are there.
    fn sessions(&self, seen: &mut Seen) -> Result<(), String> {
        for k in 0..SESSIONS {
            let Some(changes) = self.history.sessions.get(k) else { continue };
            let client = Client::join(self.mqtt, &Who::lasting(&session_of(k)))?;
            let there = client.present;
            client.leave();
            let may = may_be(changes, false, self.cut);
            seen.due += 1;
            if !may.contains(&there) {
                let what = || format!("{} is there: {there}", session_of(k));
                seen.lose(1, what);
            }
        }
        Ok(())
    }

    /// Which values are kept.
    fn kept(&self, seen: &mut Seen) -> Result<(), String> {
        let there = self.values(seen)?;
        for (topic, there) in there.into_iter().enumerate() {
            let Some(changes) = self.history.kept.get(topic) else { continue };
            seen.due += 1;
            if !may_be(changes, None, self.cut).contains(&there) {
                seen.lose(1, || format!("kept/{topic} is {there:?}"));
            }
        }
        Ok(())
    }

    fn values(&self, seen: &mut Seen) -> Result<Vec<Option<u32>>, String> {
        let mut there = vec![None; TOPICS];
        let mut early = Vec::new();
        let mut client = Client::join(self.mqtt, &Who::passing("visitor"))?;
        client.subscribe("kept/#", 0, &mut |_, packet| early.push(packet))?;
        // What is said after the subscription comes after what was kept.
        client.say(&Packet::Publish(publish(0, 0, "kept/last", "")));
        let mut early = early.into_iter();
        loop {
            let packet = match early.next() {
                Some(packet) => packet,
                None => match client.listen(Duration::from_secs(10))? {
                    Heard::Packet(packet) => packet,
                    Heard::Quiet | Heard::Ended => {
                        return Err("kept values do not come".to_owned());
                    }
                },
            };
            let Packet::Publish(m) = packet else { continue };
            if &m.topic[..] == b"kept/last" {
                client.leave();
                return Ok(there);
            }
            match place_of(&m, &mut there) {
                Some((place, n)) => *place = Some(n),
                None => seen.invent("a value is kept that nobody set".to_owned()),
            }
        }
    }
}

/// Where a kept value belongs, and which it is.
fn place_of<'a>(m: &Publish, there: &'a mut [Option<u32>]) -> Option<(&'a mut Option<u32>, u32)> {
    let topic = std::str::from_utf8(&m.topic).ok()?.strip_prefix("kept/")?;
    let place = there.get_mut(topic.parse::<usize>().ok()?)?;
    match read_body(&m.payload)? {
        ("k", n) if m.retain && place.is_none() => Some((place, n)),
        _ => None,
    }
}

/// What a thing may be: what it was last promised to be, or what was asked of it since.
fn may_be<T: Copy>(changes: &[(T, Promise)], first: T, cut: usize) -> Vec<T> {
    let mut may = vec![first];
    for (value, promise) in changes.iter().filter(|(_, promise)| promise.is_asked(cut)) {
        if promise.is_given(cut) {
            may.clear();
        }
        may.push(*value);
    }
    may
}
