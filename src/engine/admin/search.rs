//! Floor 4. Sessions in an order, found in small steps.
//!
//! A walk goes over all slots once and keeps the first few in order behind the last row that was
//! shown; what does not fit into one walk is found by another. So a page costs one walk, whatever
//! it is sorted by, and memory never holds more than a walk keeps. Absent on purpose: an index.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::base::slab::Key as _;
use crate::base::time::Now;
use crate::hub::admin::{Answer, Key, Search, Sort, SubRow, Walk, Wanted};
use crate::hub::session::{Kind, Session};
use crate::topic::{Dialect, Plus, Star};

use super::Engine;

/// Slots looked at in one step: so few that others do not feel it (`cargo bench --bench viewers`).
pub(super) const STEP: u32 = 256;
/// Rows found that one walk keeps.
const KEPT: u64 = 8_192;
/// Rows handed out in one step; writing one costs as much as looking at thirty slots.
pub(super) const ROWS: usize = 8;

impl Engine {
    /// Go on with a search: a stretch of the walk, or some rows.
    pub(super) fn search(&self, now: Now, mut search: Box<Search>) -> Answer {
        if !search.walk.done {
            self.walk(now, &mut search);
            if search.walk.done {
                end_walk(&mut search);
            }
        } else if search.walk.found.is_empty() && search.walk.more {
            search.after.clone_from(&search.last);
            search.walk = Walk::default();
        } else if search.subscriptions {
            let rows = self.take_subscriptions(now, &mut search);
            return Answer::Subscriptions(rows, search);
        } else {
            let mut rows = Vec::new();
            while rows.len() < ROWS && search.take > 0 {
                let Some((key, id, _)) = search.walk.found.pop_front() else { break };
                search.last = Some(key);
                let Some(s) = self.hub.session(id) else { continue };
                search.take -= 1;
                rows.push(self.session_row(now, s));
            }
            return Answer::Sessions(rows, search);
        }
        match search.subscriptions {
            true => Answer::Subscriptions(Vec::new(), search),
            false => Answer::Sessions(Vec::new(), search),
        }
    }

    fn walk(&self, now: Now, search: &mut Search) {
        let sessions = &self.hub.sessions;
        let end = sessions.high().min(search.walk.slot.saturating_add(STEP));
        let kept = search.skip.saturating_add(search.take).min(KEPT) as usize;
        for slot in search.walk.slot..end {
            let Some(id) = sessions.key_at(slot) else { continue };
            let Some(s) = sessions.get(id).filter(|s| self.is_wanted(s, &search.wanted)) else {
                continue;
            };
            let rows = match search.subscriptions {
                true => self.hub.subs_len(s.id) as u32,
                false => 1,
            };
            search.walk.rows += u64::from(rows);
            // Most are known by their number alone to be shown before or not yet: nothing of those
            // is copied.
            let number = self.number_of(now, s, search.sort);
            let shown = search.after.as_ref().map_or(Ordering::Greater, |key| key.side_of(number));
            if shown == Ordering::Less {
                continue;
            }
            let best = &mut search.walk.best;
            let full = best.len() >= kept;
            let later = |(worst, ..): &(Key, _, _)| worst.side_of(number) == Ordering::Greater;
            if shown == Ordering::Greater && full && best.peek().is_some_and(later) {
                search.walk.behind += 1;
                continue;
            }
            let key = key_of(number, s, search.sort, search.descending);
            if search.after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            search.walk.behind += 1;
            if !full {
                best.push((key, id, rows));
            } else if best.peek().is_some_and(|(worst, ..)| key < *worst) {
                best.pop();
                best.push((key, id, rows));
            }
        }
        search.walk.slot = end;
        search.walk.done = end >= sessions.high();
    }

    fn is_wanted(&self, s: &Session, wanted: &Wanted) -> bool {
        let has = |text: &Bytes| {
            let part = &wanted.text[..];
            text.windows(part.len()).any(|window| window == part)
        };
        let from = |address| {
            let c = s.conn.and_then(|conn| self.conns.get(conn));
            c.is_some_and(|c| c.address == address)
        };
        (s.kind != Kind::Local || !s.name().is_empty())
            && !s.ended
            && wanted.online.is_none_or(|online| online == s.conn.is_some())
            && wanted.kind.is_none_or(|kind| kind == s.kind)
            && wanted.name.as_ref().is_none_or(|name| name == s.name())
            && wanted.user.as_ref().is_none_or(|user| *user == s.principal().user)
            && (wanted.text.is_empty() || has(s.name()) || has(&s.principal().user))
            && wanted.address.is_none_or(from)
            && (!wanted.subscribed || self.hub.subs_len(s.id) > 0)
    }

    fn number_of(&self, now: Now, s: &Session, sort: Sort) -> u64 {
        match sort {
            Sort::Since => {
                let opened = s.conn.and_then(|conn| self.conns.get(conn)).map(|c| c.opened);
                opened.unwrap_or(0).min(now.mono)
            }
            Sort::Name | Sort::User => 0,
            Sort::Queued => s.outbox.queued(),
            Sort::Dropped => u64::from(s.dropped),
        }
    }

    fn take_subscriptions(&self, now: Now, search: &mut Search) -> Vec<SubRow> {
        let mut rows: Vec<SubRow> = Vec::new();
        while rows.len() < ROWS && (search.take > 0 || search.whole && search.skip > 0) {
            let Some((key, id, _)) = search.walk.found.front().cloned() else { break };
            let from = search.skip as usize;
            let before = rows.len();
            let room = ROWS - before;
            let most = if search.whole { room } else { (search.take as usize).min(room) };
            rows.extend(self.sub_rows(now, id, from, most));
            let got = rows.len() - before;
            search.take = search.take.saturating_sub(got as u64);
            if from + got < self.hub.subs_len(id) && got > 0 {
                // The rest of this session's rows come next.
                search.skip = (from + got) as u64;
            } else {
                search.skip = 0;
                search.last = Some(key);
                search.walk.found.pop_front();
            }
        }
        rows
    }

    /// Subscriptions of a session from one place on, as its protocol spells them.
    pub(super) fn sub_rows(
        &self,
        now: Now,
        id: SessionId,
        from: usize,
        most: usize,
    ) -> Vec<SubRow> {
        let Some(s) = self.hub.session(id) else { return Vec::new() };
        let since = s.conn.and_then(|conn| self.link_row(now, conn)).map_or(0, |link| link.since);
        let levels_max = self.hub.limits.levels_max;
        let spell = |filter: &crate::topic::Filter| {
            let mut text = Vec::new();
            let _ = match s.kind {
                Kind::Mqtt => Plus { levels_max }.spell_filter(filter, &mut text),
                _ => Star { levels_max }.spell_filter(filter, &mut text),
            };
            Bytes::from(text)
        };
        let row = |view: crate::hub::session::SubView| SubRow {
            kind: s.kind,
            client: s.name().clone(),
            user: s.principal().user.clone(),
            filter: spell(&view.filter),
            group: view.group,
            qos: view.opts.qos,
            no_local: view.opts.no_local,
            since: match view.since {
                0 => since,
                seconds => u64::from(seconds) * 1_000,
            },
        };
        self.hub.subscriptions_from(id, from, most).into_iter().map(row).collect()
    }
}

fn key_of(number: u64, s: &Session, sort: Sort, down: bool) -> Key {
    let text = match sort {
        Sort::User => s.principal().user.clone(),
        Sort::Since | Sort::Name | Sort::Queued | Sort::Dropped => s.name().clone(),
    };
    Key { number, text, kind: s.kind.code(), slot: s.id.index(), down }
}

/// The walk is over: what it kept comes in order, without what is to be left out.
fn end_walk(search: &mut Search) {
    if search.total.is_none() {
        search.total = Some(search.walk.rows);
    }
    let kept = core::mem::take(&mut search.walk.best).into_sorted_vec();
    search.walk.more = (kept.len() as u64) < search.walk.behind;
    let mut found: VecDeque<_> = kept.into();
    while let Some((_, _, rows)) = found.front() {
        let rows = u64::from(*rows);
        if search.skip < rows {
            break;
        }
        search.skip -= rows;
        search.last = found.pop_front().map(|(key, ..)| key);
    }
    search.walk.found = found;
}
