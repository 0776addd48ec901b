//! Floor 5. How brokers stop and start in the simulated world, and how a world ends.
//!
//! A stop leaves some of the disk's jobs done without an answer, one perhaps half done, and of
//! what was not synced whatever the device happened to have. What starts again is compared with
//! the model before anybody is served. At the end everything is healed, everybody listens and
//! acknowledges, and whatever is still owed is missing. Absent on purpose: salvage.

use std::collections::BTreeMap;

use crate::base::time::MS;
use crate::hub::message::Durability;
use crate::hub::session::SubOpts;
use crate::journal::job::DiskJob;
use crate::journal::{Journal, Options, perform};
use crate::proto::prx1::Action;

use super::model::Wrong;
use super::world::{QUEUES, World};

/// Turns of a millisecond in which everything must have come to rest at the end: longer than a
/// connection may go without taking or saying anything.
const REST_TURNS: usize = 6_000;
/// Segments that a journal without debts may keep: what is kept, what is live, what is next.
const SEGMENTS_MAX: usize = 12;

impl World {
    /// The power goes, or only the process; then the broker starts on what is left.
    pub(super) fn crash(&mut self, power: bool) -> Result<(), Wrong> {
        self.note("-", if power { "the power goes" } else { "the process is killed" });
        let Some(mut rig) = self.rig.take() else { return Ok(()) };
        let done = self.dice.below(rig.jobs.len() as u64 + 1) as usize;
        for job in rig.jobs.drain(..done) {
            let _ = perform(&mut self.disk, job);
        }
        if let (Some(DiskJob::Create { no, header, len }), true) = (rig.jobs.pop_front(), power) {
            self.disk.leave_unfinished(no, len, &header, &mut self.dice.rng());
        }
        let mut now = rig.now;
        now.mono += self.dice.between(1, 5_000) * MS;
        now.wall += self.dice.between(0, 5_000);
        let sick = self.is_sick_in(&rig) || Self::is_holding_in(&rig);
        let exact = !power && !sick && self.setup.level != Durability::Memory;
        drop(rig);
        // What a power cut takes is what was not synced before it.
        let disk = self.disk.frozen();
        self.stop(power, exact);
        if self.dice.chance(1, 4) {
            self.crash_again(power)?;
        }
        self.end.restarts += 1;
        self.start(now)?;
        self.compare(power)?;
        // What was to be written while the disk was sick was not, nor what was held.
        let healthy = self.healthy;
        let synced = |written: u64| written < healthy && disk.is_synced(written);
        self.healthy = u64::MAX;
        self.compare_rooms(power, exact, &synced)?;
        self.take_in()?;
        self.check()
    }

    fn stop(&mut self, power: bool, exact: bool) {
        match power {
            true => self.disk.cut_power(&mut self.dice.rng()),
            false => self.disk.heal(),
        }
        self.clients.clear();
        self.speaking.clear();
        let forgets = self.setup.level == Durability::Memory;
        self.calls.clear();
        self.released_at.clear();
        self.devices.iter_mut().flat_map(|d| &mut d.out).for_each(|sent| sent.freed = None);
        self.model.crashed(self.promises(power), exact, forgets);
        self.rooms.crashed(self.promises(power), exact);
    }

    /// It stops once more, after the journal was read and before anything was served.
    fn crash_again(&mut self, power: bool) -> Result<(), Wrong> {
        if self.setup.level == Durability::Memory {
            return Ok(());
        }
        self.note("-", "and once more");
        let segment_bytes = self.setup.limits.segment_bytes;
        let options = Options { segment_bytes, salt: self.dice.below(u64::MAX), salvage: false };
        let read = Journal::recover(&mut self.disk.clone(), options, &mut |_, _| ());
        let (mut journal, _) = read.map_err(|refusal| refusal.to_string())?;
        let now = crate::base::time::Now::default();
        for _ in 0..self.dice.below(4) {
            let Some(job) = journal.poll_job(now) else { break };
            let done = perform(&mut self.disk, job);
            let _ = journal.on_done(now, done);
        }
        drop(journal);
        if power {
            self.disk.cut_power(&mut self.dice.rng());
        }
        Ok(())
    }

    /// What came back must be something that may have.
    fn compare(&mut self, power: bool) -> Result<(), Wrong> {
        let promises = self.promises(power);
        for user in 0..=self.habits.users {
            let hub = self.rig()?.engine.hub();
            let name = format!("u{user}");
            let session = hub.sessions().find(|s| s.name() == name.as_bytes()).map(|s| s.id);
            let views = session.map(|id| hub.subscriptions(id));
            let mut subs: Option<BTreeMap<String, u8>> = None;
            if let Some(views) = views {
                let mut found = BTreeMap::new();
                for view in views {
                    let known = self.filters.iter().find(|(filter, _)| *filter == view.filter);
                    let (_, text) = known.ok_or("a filter came back that nobody asked for")?;
                    let SubOpts { qos, .. } = view.opts;
                    found.insert((*text).to_owned(), qos);
                }
                subs = Some(found);
            }
            self.note("-", &format!("u{user} comes back with {subs:?}"));
            self.model.recovered(user, subs.as_ref(), promises)?;
        }
        Ok(())
    }

    /// Heal everything, let everybody listen, and ask what is missing.
    pub(super) fn finish(&mut self) -> Result<(), Wrong> {
        self.calm = true;
        self.note("-", "calm");
        self.disk.set_full(false);
        if self.is_sick() {
            self.crash(false)?;
        }
        self.disk.heal();
        self.rig()?.disk_jobs = usize::MAX;
        for client in &self.clients {
            if let Some(wire) = self.rig.as_mut().and_then(|rig| rig.wires.get_mut(&client.conn)) {
                wire.fin = Some(true);
            }
        }
        for call in &mut self.calls {
            call.vanished = true;
            if let Some(wire) = self.rig.as_mut().and_then(|rig| rig.wires.get_mut(&call.conn)) {
                wire.fin = Some(true);
            }
        }
        self.rest("everybody left")?;
        for user in 0..self.habits.users {
            self.arrive(user)?;
            // One by one: the line for password checks may be short.
            for _ in 0..6 {
                self.once()?;
            }
        }
        for device in 0..self.devices.len() {
            self.call_in(device)?;
            for _ in 0..6 {
                self.once()?;
            }
        }
        self.rest("everybody is back")?;
        for queue in QUEUES {
            self.clients[0].queue(Action::Drain, queue, true, None);
            self.clients[0].queued.push_back(None);
        }
        self.rest("the queues are drained")?;
        // What fits into no outbox and is on no disk may be lost to the last; it is said.
        if self.setup.level != Durability::Memory || self.dropped()? == 0 {
            self.model.missing()?;
            self.model.missing_items(&self.gone)?;
            self.rooms.missing(&self.model.messages)?;
        }
        self.no_ladder_stands()?;
        self.look_at_values()?;
        self.look_at_leftovers()
    }

    /// Everything that was begun at QoS 1 and 2 has ended, on both sides.
    fn no_ladder_stands(&self) -> Result<(), Wrong> {
        for (no, device) in self.devices.iter().enumerate() {
            let half = device.out.len() + device.received.len();
            if half > 0 {
                let (out, received) = (&device.out, &device.received);
                return Err(format!("m{no} is left half way with {out:?} and {received:?}"));
            }
        }
        Ok(())
    }

    fn dropped(&mut self) -> Result<u64, Wrong> {
        let stats = &self.rig()?.engine.hub().stats;
        Ok(stats.get(crate::base::stats::Counter::DroppedFull))
    }

    /// Turn until nothing is on its way any more.
    fn rest(&mut self, what: &str) -> Result<(), Wrong> {
        let mut quiet = 0;
        for _ in 0..REST_TURNS {
            self.turn += 1;
            self.rig()?.pass(1);
            let before = self.end.hash;
            self.once()?;
            let rig = self.rig.as_ref().ok_or("no broker")?;
            // A full disk is asked again in a quarter of a second; until then somebody may wait.
            let full = |j: &Journal| *j.state() == crate::journal::State::Full;
            let idle = !rig.engine.hub().journal().is_some_and(full)
                && rig.jobs.is_empty()
                && rig.checks.is_empty()
                && rig.engine.dirty_len() == 0
                && rig.wires.values().all(|wire| wire.inward.is_empty() && wire.rest.is_empty())
                && self.clients.iter().all(|client| client.outward.is_empty())
                && self.calls.iter().all(|call| call.outward.is_empty());
            quiet = if idle && before == self.end.hash { quiet + 1 } else { 0 };
            if quiet > 30 {
                self.note("-", what);
                return Ok(());
            }
        }
        let rig = self.rig()?;
        let stuck = rig.wires.iter().filter(|(_, w)| !w.rest.is_empty() || !w.inward.is_empty());
        let stuck: Vec<_> = stuck.map(|(conn, w)| (*conn, w.inward.len(), w.resting())).collect();
        let state = rig.engine.hub().journal().map(|j| j.state().clone());
        let (jobs, dirty) = (rig.jobs.len(), rig.engine.dirty_len());
        let what = format!("{what}: {jobs} jobs, {dirty} dirty, {stuck:?} {state:?}");
        Err(format!("no rest after {what}"))
    }

    /// Somebody new subscribes to everything and is given what is kept.
    fn look_at_values(&mut self) -> Result<(), Wrong> {
        let user = self.habits.users;
        let dropped = self.dropped()?;
        self.arrive(user)?;
        let at = self.clients.len() - 1;
        self.clients[at].ask("*", 1, true);
        self.given = Some(BTreeMap::new());
        self.rest("the values are read")?;
        let given = self.given.take().unwrap_or_default();
        // An outbox shorter than a stretch of the replay loses values; it says so.
        if self.dropped()? > dropped {
            return Ok(());
        }
        self.model.kept(&given)
    }

    fn look_at_leftovers(&mut self) -> Result<(), Wrong> {
        let rig = self.rig()?;
        let audit = rig.engine.audit().map_err(|broken| broken.0)?;
        if audit.owed > 0 || audit.held > 0 {
            return Err(format!("{} owed and {} held after the end", audit.owed, audit.held));
        }
        // Time for the journal to let go of what nobody needs.
        for _ in 0..200 {
            self.rig()?.pass(20);
            self.rig()?.turn();
        }
        match self.segments() {
            few if few <= SEGMENTS_MAX => Ok(()),
            many => Err(format!("the journal keeps {many} segments of nothing")),
        }
    }
}
