//! What was promised, and what came of it to one reader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use spindle::base::rng::Rng;
use spindle::proto::mqtt::packet::{Packet, Publish, Version};

use crate::broker::{LONG, Place};
use crate::clients::{Client, Heard, Who, ack, read_body};
use crate::kill::{BREATH, Field};

/// Whoever is owed something and hears nothing for so long will hear nothing.
pub(crate) const QUIET: Duration = Duration::from_secs(3);
/// The same at brokers that are known to be busy with themselves for seconds.
const QUIET_ELSEWHERE: Duration = Duration::from_secs(15);

/// What one writer said and was promised.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) name: String,
    /// By number: acknowledged?
    acked: Vec<bool>,
}

impl Sent {
    pub(crate) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), acked: Vec::new() }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u32 {
        self.acked.push(false);
        self.acked.len() as u32 - 1
    }

    pub(crate) fn acked(&mut self, n: u32) {
        if let Some(it) = self.acked.get_mut(n as usize) {
            *it = true;
        }
    }

    pub(crate) fn acked_count(&self) -> usize {
        self.acked.iter().filter(|acked| **acked).count()
    }
}

/// What came from one writer.
#[derive(Default)]
pub(crate) struct Came {
    /// By number: how often.
    times: Vec<u32>,
    again: u64,
    disorder: u64,
    ghosts: u64,
}

impl Came {
    /// The first coming of each is in the order they were sent in.
    pub(crate) fn count(&mut self, n: u32) {
        let n = n as usize;
        if n >= self.times.len() {
            self.times.resize(n + 1, 0);
        } else if self.times[n] == 0 {
            self.disorder += 1;
        }
        self.again += u64::from(self.times[n] > 0);
        self.times[n] += 1;
    }

    /// Acknowledged, and never came.
    pub(crate) fn missing(&self, sent: &Sent) -> u64 {
        let came = |n: usize| self.times.get(n).is_some_and(|times| *times > 0);
        let lost = sent.acked.iter().enumerate().filter(|(n, acked)| **acked && !came(*n));
        lost.count() as u64
    }

    /// Came, and was never sent.
    fn invented(&self, sent: &Sent) -> u64 {
        let beyond = self.times.iter().skip(sent.acked.len());
        self.ghosts + beyond.filter(|times| **times > 0).count() as u64
    }
}

/// The sum over writers.
#[derive(Default)]
pub(crate) struct Sum {
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) again: u64,
    pub(crate) disorder: u64,
    pub(crate) ghosts: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, sent: &Sent, came: &Came) {
        self.delivered += came.times.iter().filter(|times| **times > 0).count() as u64;
        self.lost += came.missing(sent);
        self.again += came.again;
        self.disorder += came.disorder;
        self.ghosts += came.invented(sent);
    }
}

/// Takes what comes, and remembers ids of QoS 2 until they are released.
pub(crate) struct Reader {
    who: Who,
    flaps: bool,
    known: BTreeSet<u16>,
    came: BTreeMap<String, Came>,
    /// Of QoS 2, by the name of the writer.
    twice: u64,
    strangers: u64,
    forgotten: u64,
}

impl Reader {
    pub(crate) fn new(name: &str, version: Version, flaps: bool) -> Self {
        let who = Who { version, ..Who::lasting(name) };
        let (known, came) = (BTreeSet::new(), BTreeMap::new());
        Self { who, flaps, known, came, twice: 0, strangers: 0, forgotten: 0 }
    }

    /// The first time: nothing was promised yet.
    pub(crate) fn introduce(&mut self, address: &str) -> Result<(), String> {
        let mut client = Client::join(address, &self.who)?;
        client.subscribe("load/#", 2, &mut |client, packet| self.take(client, packet))?;
        client.leave();
        Ok(())
    }

    fn join(&mut self, address: &str) -> Result<Client, String> {
        let mut client = Client::join(address, &self.who)?;
        if !client.present {
            self.forgotten += 1;
            self.known.clear();
            client.subscribe("load/#", 2, &mut |client, packet| self.take(client, packet))?;
        }
        Ok(client)
    }

    /// Read until the broker is killed; one that flaps goes and comes in between.
    pub(crate) fn work(&mut self, at: &str, field: &Field, mut rng: Rng) -> Result<(), String> {
        while !field.is_killed() {
            let stays = Duration::from_millis(if self.flaps { 5 + rng.below(60) } else { 60_000 });
            let mut client = match self.join(at) {
                Ok(client) => client,
                Err(why) => return field.forgive(Err(why)),
            };
            let until = Instant::now() + stays;
            while Instant::now() < until {
                if !self.hear(&mut client, BREATH)? {
                    let why = format!("{} was thrown out", self.who.name);
                    return field.forgive(Err(why));
                }
            }
            if rng.chance(1, 2) {
                client.leave();
            }
            std::thread::sleep(Duration::from_millis(rng.below(20)));
        }
        Ok(())
    }

    /// Take what is there: false at the end of the connection.
    fn hear(&mut self, client: &mut Client, limit: Duration) -> Result<bool, String> {
        match client.listen(limit)? {
            Heard::Packet(packet) => self.take(client, packet),
            Heard::Quiet => return Ok(true),
            Heard::Ended => return Ok(false),
        }
        while let Some(packet) = client.next()? {
            self.take(client, packet);
        }
        Ok(true)
    }

    /// Read until nothing is missing, or nothing more comes.
    pub(crate) fn finish(&mut self, at: &Place, sent: &[Sent]) -> Result<(), String> {
        let (address, ours) = (&at.mqtt, at.prx1.is_some());
        let quiet = if ours { QUIET } else { QUIET_ELSEWHERE };
        let mut client = self.join(address)?;
        let (mut last, mut had) = (Instant::now(), self.delivered());
        let until = Instant::now() + 20 * LONG;
        while last.elapsed() < quiet && Instant::now() < until {
            if !self.hear(&mut client, Duration::from_millis(100))? {
                return Err(format!("{} was thrown out at the end", self.who.name));
            }
            let has = self.delivered();
            if has != had {
                (last, had) = (Instant::now(), has);
            } else if self.missing(sent) == 0 && last.elapsed() > 5 * BREATH {
                break;
            }
        }
        client.leave();
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.came.values().map(|came| came.again + came.times.len() as u64).sum()
    }

    fn missing(&self, sent: &[Sent]) -> u64 {
        let nothing = Came::default();
        sent.iter().map(|s| self.came.get(&s.name).unwrap_or(&nothing).missing(s)).sum()
    }

    fn take(&mut self, client: &mut Client, packet: Packet) {
        match packet {
            Packet::Publish(m) => {
                match m.qos {
                    // Known already: it says so again, and it counts once.
                    2 if !self.known.insert(m.id) => {}
                    _ => self.count(&m),
                }
                match m.qos {
                    1 => client.say(&Packet::PubAck(ack(m.id))),
                    2 => client.say(&Packet::PubRec(ack(m.id))),
                    _ => {}
                }
            }
            Packet::PubRel(a) => {
                self.known.remove(&a.id);
                client.say(&Packet::PubComp(ack(a.id)));
            }
            _ => self.strangers += 1,
        }
    }

    fn count(&mut self, m: &Publish) {
        let name = m.topic.strip_prefix(b"load/");
        match read_body(&m.payload) {
            Some((sender, n)) if name == Some(sender.as_bytes()) => {
                let came = self.came.entry(sender.to_owned()).or_default();
                let again = came.again;
                came.count(n);
                if m.qos == 2 {
                    self.twice += came.again - again;
                }
            }
            _ => self.strangers += 1,
        }
    }

    /// A line, and how much in it should not be.
    pub(crate) fn tell(&self, sent: &[Sent]) -> (String, u64) {
        let (mut sum, nothing) = (Sum::default(), Came::default());
        for of in sent {
            sum.add(of, self.came.get(&of.name).unwrap_or(&nothing));
        }
        let ghosts = sum.ghosts + self.strangers;
        let (again, twice) = (sum.again - self.twice, self.twice);
        let line = format!(
            "{}: delivered {}, lost {}, QoS 2 twice {twice}, QoS 1 again {again}, out of order {}, \
             ghosts {ghosts}, sessions forgotten {}",
            self.who.name, sum.delivered, sum.lost, sum.disorder, self.forgotten
        );
        (line, sum.lost + twice + sum.disorder + ghosts + self.forgotten)
    }
}
