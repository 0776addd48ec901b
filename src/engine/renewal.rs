//! Floor 4. What may change while connections are open: bounds, and listeners.
//!
//! A listener is known by its place, and connections remember theirs; a place is used again only
//! when nobody remembers it. A retired listener lets nobody new in and serves whoever is there.
//! Absent on purpose: sockets, and TLS that changes for those who come later (`links.rs`).

use crate::access::line::Places;
use crate::base::id::ListenerNo;
use crate::base::limits::Limits;
use crate::base::words::Tongue;
use crate::proto::Listener;

use super::{Engine, NoSlot};

/// Who is at a listener.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) open: u32,
    /// By what they speak.
    pub(super) by: [u32; Tongue::ALL.len()],
    /// Since the start.
    pub(super) ever: u64,
    /// No more than this; 0: no bound of its own.
    most: u32,
    retired: bool,
}

/// The places of a line, by the bounds.
pub(super) fn places(limits: &Limits) -> Places {
    Places {
        all: limits.verify_queue_max,
        per_network: limits.verify_per_address_max,
        at_once: limits.verify_at_once,
    }
}

impl Engine {
    /// Other bounds, from now on. Whoever is over one already is not cut for it; what was promised
    /// to open connections by the old ones is not promised any more.
    pub fn set_limits(&mut self, limits: Limits) {
        self.line.set_places(places(&limits));
        self.twins.set_most(limits.verify_per_address_max);
        self.crowd.set_limits(&limits);
        self.hub.limits = limits;
    }

    /// One more listener; its place, or nothing when there is none left.
    pub fn add_listener(&mut self, listener: Listener) -> Option<u16> {
        let free = |held: &Held| held.retired && held.open == 0;
        let place = match self.held.iter().position(free) {
            Some(place) => place,
            None => self.listeners.len(),
        };
        let no = u16::try_from(place).ok()?;
        let listener = Listener { no: ListenerNo(no), ..listener };
        match self.listeners.get_mut(place) {
            Some(old) => *old = listener,
            None => self.listeners.push(listener),
        }
        self.held.resize(self.listeners.len(), Held::default());
        if let Some(held) = self.held.get_mut(place) {
            *held = Held::default();
        }
        Some(no)
    }

    /// Let nobody in any more through the listener at this place.
    pub fn retire(&mut self, place: u16) {
        self.held.resize(self.listeners.len(), Held::default());
        if let Some(held) = self.held.get_mut(usize::from(place)) {
            held.retired = true;
        }
    }

    /// No more connections than this through the listener at this place; 0: no bound of its own.
    pub fn bound_listener(&mut self, place: u16, most: u32) {
        self.held.resize(self.listeners.len(), Held::default());
        if let Some(held) = self.held.get_mut(usize::from(place)) {
            held.most = most;
        }
    }

    /// Connections that came through the listener at this place and are open.
    #[must_use]
    pub fn connections_at(&self, place: u16) -> u32 {
        self.held.get(usize::from(place)).map_or(0, |held| held.open)
    }

    /// Clients that are in: administrators are none.
    pub(super) fn clients(&self) -> usize {
        let none = [Tongue::Http, Tongue::Unknown].map(|tongue| tongue as usize);
        let all = self.held.iter().flat_map(|held| held.by.iter().enumerate());
        all.filter(|(no, _)| !none.contains(no)).map(|(_, count)| *count as usize).sum()
    }

    /// Is there room at this listener?
    pub(super) fn knock_at(&self, place: u16) -> Result<(), NoSlot> {
        match self.held.get(usize::from(place)) {
            Some(held) if held.retired => Err(NoSlot::Stopping),
            Some(held) if held.most > 0 && held.open >= held.most => Err(NoSlot::Connections),
            _ => Ok(()),
        }
    }

    pub(super) fn came_to(&mut self, place: u16, tongue: Tongue) {
        self.held.resize(self.listeners.len(), Held::default());
        if let Some(held) = self.held.get_mut(usize::from(place)) {
            held.open += 1;
            held.ever += 1;
            held.by[tongue as usize] += 1;
        }
    }

    /// A connection that came there spoke `before`, and speaks `now`.
    pub(super) fn turned(&mut self, place: u16, before: Tongue, now: Tongue) {
        if let Some(held) = self.held.get_mut(usize::from(place)) {
            let [from, to] = [before, now].map(|tongue| tongue as usize);
            held.by[from] = held.by[from].saturating_sub(1);
            held.by[to] += 1;
        }
    }

    pub(super) fn left_from(&mut self, place: u16, tongue: Tongue) {
        if let Some(held) = self.held.get_mut(usize::from(place)) {
            held.open = held.open.saturating_sub(1);
            held.by[tongue as usize] = held.by[tongue as usize].saturating_sub(1);
        }
    }
}
