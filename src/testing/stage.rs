//! Floor 5. Where scripts meet the engine: names for connections, and hands on the fake world.
//!
//! After every statement the broker turns until nothing happens any more, so a script never says
//! how many turns something takes. Absent on purpose: chance.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::hub::policy::{Address, Principal};
use crate::proto::local::Verb;

use super::clerk::Clerk;
use super::disk::FakeDisk;
use super::rig::{self, Rig, Setup};
use super::script::{Door, Fake, Step, Tongue, World};

/// Turns after which a broker that still has something to do is taken for one that never rests.
const TURNS_MAX: usize = 20_000;
/// The clock goes on in steps no longer than this, so that deadlines come one by one.
const STEP_MS: u64 = 50;
/// But not in more steps than this: a script that waits for days has few deadlines.
const STEPS_MAX: u64 = 5_000;

/// An engine, and the names of its peers.
pub struct Stage {
    setup: Setup,
    disk: FakeDisk,
    rig: Option<Rig>,
    now: Now,
    names: BTreeMap<String, ConnId>,
    verify: Option<bool>,
    held: bool,
    /// What it keeps of connectors' files outlives the broker.
    clerk: Clerk,
}

impl Stage {
    /// A broker on an empty disk.
    pub fn new(setup: &Setup) -> Result<Self, String> {
        let mut stage = Self {
            setup: setup.clone(),
            disk: FakeDisk::default(),
            rig: None,
            now: Now { mono: 1_000_000_000, wall: 1_700_000_000_000 },
            names: BTreeMap::new(),
            verify: Some(true),
            held: false,
            clerk: Clerk::default(),
        };
        stage.start()?;
        Ok(stage)
    }

    fn start(&mut self) -> Result<(), String> {
        let rig = self.rig.insert(Rig::start(&self.setup, &self.disk, self.now)?);
        rig.clerk = core::mem::take(&mut self.clerk);
        self.held = false;
        self.settle()
    }

    fn rig(&mut self) -> Result<&mut Rig, String> {
        self.rig.as_mut().ok_or_else(|| "the broker is down".to_owned())
    }

    fn settle(&mut self) -> Result<(), String> {
        let (held, verify) = (self.held, self.verify);
        let rig = self.rig()?;
        rig.disk_jobs = if held { 0 } else { usize::MAX };
        for _ in 0..TURNS_MAX {
            let rested = rig.rest(64);
            if let Some(ok) = verify
                && !rig.checks.is_empty()
            {
                let told = rig.checks.drain(..).map(|check| (check.ticket, ok));
                rig.verdicts.extend(told);
                continue;
            }
            if let Some(ok) = verify
                && !rig.errands.is_empty()
            {
                rig.run_errands(ok);
                continue;
            }
            if rested {
                rig.engine.audit().map_err(|broken| broken.0)?;
                return Ok(());
            }
        }
        Err("the broker never rests".into())
    }

    fn conn(&self, who: &str) -> Result<ConnId, String> {
        self.names.get(who).copied().ok_or_else(|| format!("nobody is called {who}"))
    }

    fn pass(&mut self, mut ms: u64) -> Result<(), String> {
        let longest = STEP_MS.max(ms / STEPS_MAX);
        while ms > 0 {
            let step = ms.min(longest);
            self.rig()?.pass(step);
            self.settle()?;
            ms -= step;
        }
        Ok(())
    }

    fn disk_word(&mut self, word: &str) -> Result<(), String> {
        match word {
            "hold" => self.held = true,
            "go" => self.held = false,
            "sync" => {
                self.held = false;
                self.settle()?;
                self.held = true;
            }
            "full" => self.disk.set_full(true),
            "room" => self.disk.set_full(false),
            "fail" => self.disk.set_failing(true),
            "break" => self.disk.set_unreadable(true),
            other => return Err(format!("`{other}` is nothing a disk does")),
        }
        self.settle()
    }

    fn down(&mut self, power: bool) -> Result<(), String> {
        let rig = self.rig.take().ok_or("the broker is down already")?;
        self.now = rig.now;
        self.clerk = rig.clerk.again();
        self.names.clear();
        if power {
            self.disk.forget_unsynced();
        }
        self.disk.cut_power(&mut Rng::new(0));
        Ok(())
    }

    /// A nameless in-process peer publishes, and leaves.
    fn publish(&mut self, qos: u8, topic: &str, body: &[u8]) -> Result<(), String> {
        let now = self.rig()?.now;
        let engine = &mut self.rig()?.engine;
        let joined = engine.on_local(now, Bytes::new(), Principal::default());
        let conn = joined.map_err(|why| format!("no slot: {why:?}"))?;
        let (topic, body) =
            (Bytes::copy_from_slice(topic.as_bytes()), Bytes::copy_from_slice(body));
        engine.on_verb(now, conn, Verb::Publish { no: 1, topic, body, qos, retain: false });
        self.settle()?;
        let now = self.rig()?.now;
        self.rig()?.engine.on_closed(now, conn, false);
        self.settle()
    }

    fn count(&mut self, name: &str, wanted: u64) -> Result<(), String> {
        let rig = self.rig()?;
        let mut all = rig.engine.hub().stats.iter();
        match all.find(|(label, _)| *label == name) {
            Some((_, n)) if n == wanted => Ok(()),
            Some((_, n)) => Err(format!("{name} is {n}, not {wanted}")),
            None => Err(format!("no counter is called {name}")),
        }
    }
}

impl World for Stage {
    fn open(
        &mut self,
        who: &str,
        tongue: Tongue,
        door: Door,
        from: Option<[u8; 4]>,
    ) -> Result<(), String> {
        let listener = match (door, tongue) {
            (Door::Own, Tongue::Http) => rig::HTTP,
            (Door::Own, Tongue::Foo) => rig::RELAY,
            (Door::Own, Tongue::Stats) => rig::STATS,
            (Door::Own, Tongue::Wamp) => rig::WAMP,
            (Door::Own, Tongue::Aio) => rig::AIO,
            (Door::Own, Tongue::Prx1) => 0,
            (Door::Own, Tongue::Mqtt(_)) => rig::MQTT,
            (Door::Ws, _) => rig::WS,
            (Door::Any | Door::AnyWs, _) => rig::ANY,
        };
        let address = Address::V4(from.unwrap_or([10, 0, 0, 1]));
        let conn =
            self.rig()?.open_at(listener, address).map_err(|why| format!("no slot: {why:?}"))?;
        self.names.insert(who.to_owned(), conn);
        self.settle()
    }

    fn close(&mut self, who: &str, reset: bool) -> Result<(), String> {
        let conn = self.conn(who)?;
        let wire = self.rig()?.wires.get_mut(&conn).ok_or("it is gone")?;
        wire.fin = Some(reset);
        self.settle()
    }

    fn say(&mut self, who: &str, bytes: &[u8]) -> Result<(), String> {
        let conn = self.conn(who)?;
        let wire = self.rig()?.wires.get_mut(&conn).ok_or("it is gone")?;
        wire.inward.extend_from_slice(bytes);
        self.settle()
    }

    fn hear(&mut self, who: &str, len: usize) -> Result<Vec<u8>, String> {
        let conn = self.conn(who)?;
        let wire = self.rig()?.wires.get_mut(&conn).ok_or("it is gone")?;
        let len = if len == 0 { wire.heard.len() } else { len.min(wire.heard.len()) };
        Ok(wire.heard.drain(..len).collect())
    }

    fn ended(&mut self, who: &str) -> Result<Option<String>, String> {
        let conn = self.conn(who)?;
        let wire = self.rig()?.wires.get(&conn).ok_or("it is gone")?;
        Ok(wire.ended.map(str::to_owned))
    }

    fn fake(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Deaf(who, deaf) => {
                let conn = self.conn(who)?;
                let wire = self.rig()?.wires.get_mut(&conn).ok_or("it is gone")?;
                wire.room = if *deaf { 0 } else { usize::MAX };
                self.settle()
            }
            Step::Dialed(who, accept) => {
                let answered = self.rig()?.answer_dial(*accept);
                let conn = answered.ok_or("the broker dials nobody")?;
                self.names.insert(who.clone(), conn);
                self.settle()
            }
            Step::HearEnd(who) => {
                let conn = self.conn(who)?;
                let wire = self.rig()?.wires.get_mut(&conn).ok_or("it is gone")?;
                match wire.said_all && wire.heard.is_empty() {
                    true => Ok(()),
                    false => Err(format!("{who} is not told that nothing follows")),
                }
            }
            Step::Fake(Fake::Clock(ms)) => self.pass(*ms),
            Step::Fake(Fake::Disk(word)) => self.disk_word(word),
            Step::Fake(Fake::Verify(word)) => {
                if let Some(word) = word.strip_prefix("first ") {
                    let rig = self.rig()?;
                    let first = rig.checks.drain(..1.min(rig.checks.len()));
                    rig.verdicts.extend(first.map(|check| (check.ticket, word == "yes")));
                    return self.settle();
                }
                self.verify = match word.as_str() {
                    "yes" => Some(true),
                    "no" => Some(false),
                    "hold" => None,
                    other => return Err(format!("`{other}` is no verdict")),
                };
                self.settle()
            }
            Step::Fake(Fake::Crash) => self.down(true),
            Step::Fake(Fake::Kill) => self.down(false),
            Step::Fake(Fake::Restart) => self.start(),
            Step::Fake(Fake::Local(qos, topic, body)) => self.publish(*qos, topic, body),
            Step::Fake(Fake::Count(name, wanted)) => self.count(name, *wanted),
            other => Err(format!("{other:?} is no fake")),
        }
    }
}
