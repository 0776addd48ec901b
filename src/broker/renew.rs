//! Floor 6. A reload: what a broker is to be from now on, read whole and then taken over at once.
//!
//! `prepare` runs on a thread and may fail in any step: users and rules are understood, files of
//! TLS loaded, new addresses bound, and nothing of the running broker has changed yet. `apply` runs
//! on the loop and does not fail any more, but for the registration of new doors, which comes
//! first. Connections stay: those of a removed listener until they leave, those of a changed one
//! under the terms they came in by. Absent on purpose: what a configuration is (`config`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use log::LevelFilter;

use super::listen::{self, Listen, Wrap};
use super::users;
use super::{Error, bounded_by_system};
use crate::base::cidr::Cidr;
use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::hub::gate::Admins;
use crate::hub::message::Durability;
use crate::hub::policy::{Reader, Understood};
use crate::link::tls::Config;
use crate::os::listener::{Door, Local};
use crate::os::logging;
use crate::os::reload::{Renew, Street, Told};
use crate::proto::Listener;

/// What a broker is to be from now on. Whatever else a builder can be told needs a restart.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Whose word about addresses is taken.
    pub trusted: Vec<Cidr>,
    /// TLS of the listeners that have none of their own.
    #[cfg(feature = "tls")]
    pub tls: Option<super::Tls>,
    /// The users file. Whether there is one at all needs a restart.
    pub users: Option<PathBuf>,
    /// Everybody may come in from anywhere.
    pub anonymous: bool,
    /// Every bound; those by which something was made at the start stay.
    pub limits: Limits,
    /// How much the log says; nothing: as before.
    pub log: Option<LevelFilter>,
    /// Who may administer.
    pub admins: Admins,
    /// The configuration, for administrators to look at: JSON.
    pub shown: Bytes,
    /// What is another than before, in lines for people.
    pub told: Vec<String>,
    /// Set when it was taken over.
    pub taken: Arc<AtomicBool>,
}

impl Renewed {
    /// What each listener does TLS by: its own, or what all share.
    pub(super) fn wraps(&self) -> Result<Vec<Wrap>, Error> {
        #[cfg(feature = "tls")]
        let shared = self.tls.as_ref().map(super::Tls::load).transpose()?;
        #[cfg(not(feature = "tls"))]
        let shared: Option<Config> = None;
        self.listen.iter().map(|it| it.wrap(shared.as_ref())).collect()
    }
}

/// Says what a broker is to be from now on, or why it is to stay as it is. Called on a thread of
/// its own, so it may read files.
pub type Reloader = Box<dyn FnMut() -> Result<Renewed, String> + Send>;

/// A listener that is open.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) listen: Listen,
    pub(super) place: u16,
    pub(super) local: Local,
}

/// The listeners of a start, at their doors.
pub(super) fn standing(listen: &[Listen], doors: &[Door]) -> Vec<Standing> {
    let at = |door: &Door| {
        let listen = listen.get(usize::from(door.place))?.clone();
        Some(Standing { listen, place: door.place, local: door.local.clone() })
    };
    doors.iter().filter_map(at).collect()
}

/// Where every listener is, for administrators; nothing for one without a door.
pub(super) fn places(engine: &crate::engine::Engine, doors: &[Door]) -> Vec<String> {
    let mut places = vec![String::new(); engine.listeners().len()];
    for door in doors {
        if let Some(place) = places.get_mut(usize::from(door.place)) {
            *place = door.local.to_string();
        }
    }
    places
}

/// A broker's own knowledge of what it is, between reloads.
pub(super) struct Renewer {
    pub(super) from: Reloader,
    pub(super) standing: Vec<Standing>,
    pub(super) trusted: Vec<Cidr>,
    pub(super) users: Option<PathBuf>,
    /// The policy welcomes everybody.
    pub(super) open: bool,
    /// What acknowledgements wait for where a listener does not say; nothing without a journal.
    pub(super) level: Option<Durability>,
    pub(super) limits: Limits,
    pub(super) workers: usize,
    pub(super) ready: Option<Ready>,
}

/// Everything that was read, waiting for the loop.
pub(super) struct Ready {
    plan: Renewed,
    limits: Limits,
    understood: Option<Understood>,
    steps: Vec<Step>,
    gone: Vec<Standing>,
    told: Vec<String>,
}

/// What is done about one listener of the new order.
enum Step {
    /// It stays as it is, but for its certificate.
    Keep { old: Standing, listen: Listen, wrap: Wrap },
    /// Its door stays; who comes from now on comes under these terms.
    Change { old: Standing, listen: Listen, terms: Box<Listener> },
    /// It is new.
    Open { door: Door, listen: Listen, terms: Box<Listener> },
}

impl Renew for Renewer {
    fn prepare(&mut self, reader: Option<Reader>) -> Result<(), String> {
        self.ready = None;
        let plan = (self.from)()?;
        let mut told = plan.told.clone();
        let understood = self.understand(&plan, reader, &mut told)?;
        let open = understood.as_ref().map_or(self.open, |it| it.open);
        let text = |e: Error| e.to_string();
        let wraps = plan.wraps().map_err(text)?;
        let limits = self.bounded(&plan).map_err(text)?;
        let (steps, gone) = self.steps(&plan, wraps, open && !plan.anonymous).map_err(text)?;
        self.ready = Some(Ready { plan, limits, understood, steps, gone, told });
        Ok(())
    }

    fn apply(&mut self, now: Now, street: Street<'_>) -> Told {
        let Some(mut ready) = self.ready.take() else { return Err("nothing was read".into()) };
        let Street { engine, doors, poller } = street;
        let before = engine.listeners().iter().filter_map(|it| it.link.tls.clone());
        let before: Vec<Config> = before.collect();
        self.standing = enter(&mut ready, engine, doors, poller)?;
        let mut told = ready.told;
        for gone in &ready.gone {
            doors.retain(|door| door.place != gone.place);
            engine.retire(gone.place);
        }
        if let Some(understood) = ready.understood {
            self.open = understood.open;
            if let Some(changes) = engine.hub_mut().policy.renew(understood) {
                told.extend(users::follow(&changes, now, engine));
            }
        }
        let others = |now: &Config| !before.iter().any(|old| old.is_alike(now));
        let wraps = engine.listeners().iter().filter_map(|it| it.link.tls.as_ref());
        let wrapped = wraps.filter(|now| others(now)).count();
        if wrapped > 0 {
            told.push(format!("certificate and key read again listeners={wrapped}"));
        }
        engine.set_limits(ready.limits.clone());
        engine.set_admins(ready.plan.admins);
        engine.set_config(ready.plan.shown);
        engine.set_places(places(engine, doors));
        if let Some(level) = ready.plan.log {
            // Without a log of our own, whoever embeds the broker decides.
            let _ = logging::set_level("all", level, 0);
        }
        ready.plan.taken.store(true, Ordering::SeqCst);
        self.limits = ready.limits;
        self.trusted = ready.plan.trusted;
        self.users = self.users.take().and(ready.plan.users);
        Ok(told.join("\n"))
    }
}

impl Renewer {
    fn understand(
        &self,
        plan: &Renewed,
        reader: Option<Reader>,
        told: &mut Vec<String>,
    ) -> Result<Option<Understood>, String> {
        let (path, reader) = match (&plan.users, reader) {
            (Some(path), Some(reader)) if self.users.is_some() => (path, reader),
            _ if plan.users.is_some() != self.users.is_some() => {
                told.push("users: whether there is a users file at all needs a restart".into());
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let text = users::read(path).map_err(|e| e.to_string())?;
        let understood = reader(&text).map_err(|why| format!("{}: {why}", path.display()))?;
        for warning in &understood.warnings {
            told.push(format!("{}: {warning}", path.display()));
        }
        Ok(Some(understood))
    }

    /// The bounds, as the system lets them be; what was made by some of them is not made again.
    fn bounded(&self, plan: &Renewed) -> Result<Limits, Error> {
        let mut limits = bounded_by_system(plan.limits.clone(), self.workers)?;
        limits.segment_bytes = self.limits.segment_bytes;
        limits.read_bytes_turn = self.limits.read_bytes_turn;
        limits.retained_inline_bytes = self.limits.retained_inline_bytes;
        Ok(limits)
    }

    /// What is to be done about each listener, and which are to go.
    fn steps(
        &self,
        plan: &Renewed,
        wraps: Vec<Wrap>,
        loopback_only: bool,
    ) -> Result<(Vec<Step>, Vec<Standing>), Error> {
        let mut left = self.standing.clone();
        let level = |own: Option<Durability>| match self.level {
            Some(level) => own.unwrap_or(level),
            None => Durability::Memory,
        };
        let all = listen::listeners(&plan.listen, level, &wraps, &plan.trusted);
        let mut steps = Vec::with_capacity(plan.listen.len());
        let mut opened = Vec::new();
        for ((listen, terms), wrap) in plan.listen.iter().zip(all).zip(wraps) {
            let (listen, terms) = (listen.clone(), Box::new(terms));
            let Some(at) = left.iter().position(|old| old.listen.is_like_at(&listen)) else {
                if listen.relay().is_some() {
                    return Err(Error::Relay { address: listen.place() });
                }
                opened.push((listen, terms));
                continue;
            };
            let old = left.swap_remove(at);
            if loopback_only && !listen.is_guarded() && !old.local.is_loopback() {
                return Err(Error::Exposed { address: listen.place() });
            }
            let same = old.listen.is_alike(&listen) && self.trusted == plan.trusted;
            if !same && (listen.relay().is_some() || old.listen.relay().is_some()) {
                return Err(Error::Relay { address: listen.place() });
            }
            steps.push(match same {
                true => Step::Keep { old, listen, wrap },
                false => Step::Change { old, listen, terms },
            });
        }
        for (listen, terms) in opened {
            // One that is dispensable may have no door.
            let doors = listen::bind(std::slice::from_ref(&listen), Vec::new(), loopback_only)?;
            if let Some(door) = doors.into_iter().next() {
                steps.push(Step::Open { door, listen, terms });
            }
        }
        Ok((steps, left))
    }
}

/// Carry the steps out. The only one that can fail is hearing of a new door, so these come first.
fn enter(
    ready: &mut Ready,
    engine: &mut crate::engine::Engine,
    doors: &mut Vec<Door>,
    poller: &crate::os::poller::Poller,
) -> Result<Vec<Standing>, String> {
    let mut standing = Vec::with_capacity(ready.steps.len());
    let mut name = doors.iter().map(|door| door.name).max().map_or(0, |name| name + 1);
    let (opening, staying): (Vec<Step>, Vec<Step>) =
        std::mem::take(&mut ready.steps).into_iter().partition(|s| matches!(s, Step::Open { .. }));
    let mut fresh = Vec::new();
    for step in opening {
        let Step::Open { mut door, listen, terms } = step else { continue };
        let entered = door.register(poller, name).map_err(|e| e.to_string());
        let place = entered.and_then(|()| {
            engine.add_listener(*terms).ok_or_else(|| "there are too many listeners".into())
        });
        match place {
            Ok(place) => {
                door.place = place;
                name += 1;
                fresh.push((door, listen));
            }
            Err(why) => {
                fresh.iter().for_each(|(door, _)| engine.retire(door.place));
                return Err(format!("{}: {why}", listen.place()));
            }
        }
    }
    for (door, listen) in fresh {
        engine.bound_listener(door.place, listen.most());
        ready.told.push(format!("listening at={} address={}", listen.place(), door.local));
        standing.push(Standing { listen, place: door.place, local: door.local.clone() });
        doors.push(door);
    }
    for step in staying {
        standing.extend(stay(step, engine, doors));
    }
    Ok(standing)
}

/// A listener whose door stays.
fn stay(step: Step, engine: &mut crate::engine::Engine, doors: &mut [Door]) -> Option<Standing> {
    match step {
        Step::Keep { old, listen, wrap: Wrap { tls, toward } } => {
            if let Some(tls) = tls {
                engine.rewrap(old.place, tls);
            }
            engine.face(old.place, toward);
            Some(Standing { listen, ..old })
        }
        Step::Change { old, listen, terms } => {
            // Without a place for new terms the old ones go on; there are 65,536.
            let place = engine.add_listener(*terms).unwrap_or(old.place);
            engine.bound_listener(place, listen.most());
            if place != old.place {
                engine.retire(old.place);
            }
            for door in doors.iter_mut().filter(|door| door.place == old.place) {
                door.place = place;
            }
            Some(Standing { listen, place, ..old })
        }
        Step::Open { .. } => None,
    }
}
