//! Floor 5. What a broker must know of its MQTT clients: sessions, subscriptions, debts, wills.
//!
//! The other half of the specification (`model` has the messages, the kept values and the PRX1
//! users). Every session that ever began is a life of its room; a crash may leave the present one
//! or, where the disk had promised nothing yet, an earlier one, and what is owed is owed to a life.
//! Moments that a crash can blur are two: not before, and not later than. Absent on purpose: any
//! code of the hub; what it did is told in plain words.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::id::{ConnId, OwnerNo, SessionId};
use crate::base::time::{MS, Now};

use super::device::Joined;
use super::model::{History, Message, Wrong};

/// What a subscription asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Opts {
    pub(super) qos: u8,
    pub(super) id: u32,
    pub(super) no_local: bool,
    pub(super) as_published: bool,
}

/// A time that does not come.
const FAR: u64 = u64::MAX - (1 << 40);

/// Group (empty: none) and filter.
pub(super) type Key = (String, String);

/// A session, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: SessionId,
    pub(super) owner: Option<OwnerNo>,
    pub(super) durable: bool,
    /// Its client was told that it is in.
    pub(super) welcomed: bool,
    pub(super) subs: BTreeMap<Key, History<Opts>>,
    /// Filters that were asked for together with what is kept.
    pub(super) curious: BTreeSet<String>,
    /// Writes of the disk when it ended.
    pub(super) ended: Option<u64>,
}

/// What is to become of a will. Times are of the monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Its owner is connected.
    Armed,
    /// To be published then.
    Due(u64),
    /// A crash has blurred it: perhaps, and not before.
    Maybe(u64),
    /// Published; whether it should have been shows in this turn.
    Early,
    /// Published.
    Done,
    /// Void.
    Void,
}

/// A will.
#[derive(Clone, Copy, Debug)]
pub(super) struct Testament {
    pub(super) no: usize,
    pub(super) delay_s: u32,
    pub(super) fate: Fate,
    /// Its owner was told that it is in.
    pub(super) told: bool,
    /// It was due at the end of an earlier turn, and there was no room for it.
    late: bool,
    /// Writes of the disk when that was decided.
    since: u64,
    life: usize,
}

/// Everything under one client id.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) lives: Vec<Life>,
    /// The life that goes on.
    pub(super) now: Option<usize>,
    pub(super) conn: Option<ConnId>,
    expiry_s: u64,
    /// As it was said at the login.
    login_s: u64,
    /// Since when nobody is connected: wall clock, and writes of the disk.
    away: Option<(u64, u64)>,
    /// When it ends: not before, not later than.
    ends: Option<(u64, u64)>,
    /// Writes of the disk when the last connection was let in.
    begun: u64,
    /// A crash left open whether its last goodbye is on disk: the time of that goodbye.
    open: Option<u64>,
    /// A sick disk was to write when it ends, or an earlier life came back: nobody knows.
    loose: bool,
    pub(super) wills: Vec<Testament>,
}

/// What one plain reader is owed of a message.
#[derive(Clone, Debug)]
struct Debt {
    life: usize,
    qos: u8,
    retain: bool,
    ids: BTreeSet<u32>,
}

/// A group that is owed a message: one of its members.
#[derive(Clone, Debug)]
struct Pool {
    key: Key,
    members: Vec<(usize, usize, Opts)>,
    taker: Option<(usize, usize)>,
    /// Who it was handed on to, when the session of one before ended.
    heirs: BTreeSet<(usize, usize)>,
}

/// Who is owed a message, and who has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Post {
    debts: BTreeMap<usize, Debt>,
    pools: Vec<Pool>,
    /// Rooms that had no place for it, as was said.
    excused: BTreeSet<usize>,
    /// Readers who have it, at which quality they heard it.
    done: BTreeMap<(usize, usize), u8>,
    /// Readers who took it in at QoS 2.
    once: BTreeSet<(usize, usize)>,
    /// Readers whose acknowledgement was surely seen.
    settled: BTreeSet<(usize, usize)>,
}

/// All rooms.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) rooms: Vec<Room>,
    pub(super) posts: BTreeMap<usize, Post>,
}

/// How a message was heard.
#[derive(Debug)]
pub(super) struct Hearing<'a> {
    pub(super) room: usize,
    pub(super) joined: Joined,
    pub(super) qos: u8,
    pub(super) dup: bool,
    pub(super) retain: bool,
    /// Not a copy of what is half received.
    pub(super) first: bool,
    pub(super) ids: &'a BTreeSet<u32>,
    pub(super) numbered: bool,
}

/// Does the filter match the topic? As section 4.7 of the standard has it.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let mut f = filter.split('/');
    let mut t = topic.split('/');
    loop {
        match (f.next(), t.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(t)) if f == t => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

impl Room {
    pub(super) fn life(&mut self) -> Option<&mut Life> {
        self.lives.get_mut(self.now?)
    }

    fn is_away(&self) -> bool {
        self.now.is_some() && self.conn.is_none()
    }

    /// The session ends.
    fn end(&mut self, now: Now, written: u64) {
        if let Some(life) = self.life() {
            life.ended = Some(written);
        }
        self.decide(written, |_, fate| match fate {
            Fate::Armed | Fate::Due(_) => Fate::Due(now.mono),
            Fate::Early => Fate::Done,
            other => other,
        });
        (self.now, self.conn, self.ends, self.away) = (None, None, None, None);
        self.open = None;
    }

    fn decide(&mut self, written: u64, f: impl Fn(&Testament, Fate) -> Fate) {
        for will in &mut self.wills {
            let fate = f(will, will.fate);
            if fate != will.fate {
                (will.fate, will.since) = (fate, written);
            }
        }
    }

    /// A connection was let in. `durable`: its session is to outlive it.
    pub(super) fn joined(
        &mut self,
        now: Now,
        (conn, clean, expiry_s): (ConnId, bool, u64),
        will: Option<(usize, u32)>,
        (written, place): (u64, u64),
    ) -> Joined {
        let taken_over = self.conn.is_some();
        let old = self.now.and_then(|now| self.lives.get(now));
        let heir = !clean && old.is_some_and(|life| life.durable);
        if heir {
            self.decide(written, |will, fate| match fate {
                Fate::Armed | Fate::Early if taken_over && will.delay_s == 0 => match fate {
                    Fate::Early => Fate::Done,
                    _ => Fate::Due(now.mono),
                },
                // It came due before its owner came back, and waits for room.
                Fate::Due(_) if will.delay_s == 0 || will.late => fate,
                // Which of the two came first in this turn is not told.
                Fate::Due(at) if at <= now.mono => Fate::Maybe(at),
                Fate::Armed | Fate::Due(_) | Fate::Maybe(_) => Fate::Void,
                other => other,
            });
        } else {
            if self.now.is_some() {
                self.end(now, written);
            }
            self.lives.push(Life {
                id: SessionId { index: u32::MAX, life: u32::MAX },
                owner: None,
                durable: expiry_s > 0,
                welcomed: false,
                subs: BTreeMap::new(),
                curious: BTreeSet::new(),
                ended: None,
            });
            self.now = Some(self.lives.len() - 1);
        }
        let life = self.now.unwrap_or_default();
        if let Some((no, delay_s)) = will {
            self.wills.push(Testament {
                no,
                delay_s,
                fate: Fate::Armed,
                told: false,
                late: false,
                since: written,
                life,
            });
        }
        (self.conn, self.expiry_s, self.login_s) = (Some(conn), expiry_s, expiry_s);
        (self.ends, self.away, self.open, self.loose) = (None, None, None, false);
        self.begun = written;
        Joined { life, resumed: heir, written, place }
    }

    /// Its connection is over; `quiet`: with a goodbye, `expiry_s`: with another expiry.
    pub(super) fn left(
        &mut self,
        now: Now,
        conn: ConnId,
        (quiet, expiry_s): (bool, Option<u64>),
        written: u64,
    ) -> Result<(), Wrong> {
        if self.conn != Some(conn) {
            return Ok(());
        }
        self.conn = None;
        self.expiry_s = expiry_s.unwrap_or(self.expiry_s);
        if quiet {
            if self.wills.iter().any(|will| will.fate == Fate::Early) {
                return Err("a will is published after a quiet goodbye".into());
            }
            self.decide(written, |_, fate| if fate == Fate::Armed { Fate::Void } else { fate });
        }
        let mortal = self.life().is_some_and(|life| !life.durable);
        if mortal || self.expiry_s == 0 {
            self.end(now, written);
            return Ok(());
        }
        let ends = now.after_ms(self.expiry_s.saturating_mul(1_000)).0;
        (self.ends, self.away) = (Some((ends, ends)), Some((now.wall, written)));
        self.decide(written, |will, fate| match fate {
            Fate::Early if will.delay_s == 0 => Fate::Done,
            Fate::Armed => Fate::Due(now.after_ms(u64::from(will.delay_s) * 1_000).0.min(ends)),
            other => other,
        });
        Ok(())
    }

    /// Between turns: does the broker have the session it should have? `found`: what it has.
    pub(super) fn check(
        &mut self,
        now: Now,
        found: Option<(SessionId, Option<OwnerNo>)>,
        (written, waiting): (u64, bool),
    ) -> Result<(), Wrong> {
        let away = self.is_away();
        let ends = self.ends.filter(|_| away);
        match (found, self.now.and_then(|at| self.lives.get_mut(at))) {
            (None, None) => {}
            (None, Some(_)) if ends.is_some_and(|(from, _)| from <= now.mono) => {
                self.end(now, written);
            }
            (None, Some(_)) => return Err("its session is gone before its time".into()),
            (Some(_), None) => return Err("it has a session that should be gone".into()),
            (Some((id, owner)), Some(life)) => {
                if life.id.index == u32::MAX {
                    (life.id, life.owner) = (id, owner);
                }
                if life.id != id {
                    return Err("its session began anew, and should not have".into());
                }
                if ends.is_some_and(|(_, to)| to + 10 * MS < now.mono) {
                    return Err("its session outlives its time".into());
                }
            }
        }
        for will in &mut self.wills {
            will.late = matches!(will.fate, Fate::Due(at) if at + 10 * MS < now.mono);
            match will.fate {
                Fate::Due(at) if at + 10 * MS < now.mono && !waiting => {
                    return Err(format!("will {} is due and was not published", will.no));
                }
                Fate::Early => {
                    return Err(format!("will {} is published and should not be", will.no));
                }
                _ => {}
            }
        }
        self.wills.retain(|will| will.fate != Fate::Armed || self.conn.is_some());
        Ok(())
    }

    /// A message under the topics of wills was taken in in its name: which?
    pub(super) fn published_will(
        &mut self,
        now: Now,
        written: u64,
        fits: impl Fn(usize) -> bool,
    ) -> Result<usize, Wrong> {
        let ends = self.ends.map_or(u64::MAX, |(from, _)| from);
        let open = |will: &&mut Testament| !matches!(will.fate, Fate::Done | Fate::Void);
        // Two may look alike: what must be said by now goes before what may be said.
        let late = |will: &&mut Testament| matches!(will.fate, Fate::Due(at) if at <= now.mono);
        let alike = self.wills.iter_mut().filter(open).filter(|will| fits(will.no));
        let will = alike.min_by_key(|will| !late(will));
        let will = will.ok_or("a will is published that is void, or was published before")?;
        will.since = written;
        will.fate = match will.fate {
            Fate::Due(at) | Fate::Maybe(at) if at.min(ends) > now.mono => Fate::Early,
            Fate::Armed => Fate::Early,
            _ => Fate::Done,
        };
        Ok(will.no)
    }

    /// The broker stopped at `then`, and started again at `now`. `found`: the owner of the session
    /// that came back. `synced`: was everything up to that write safe?
    pub(super) fn recovered(
        &mut self,
        now: Now,
        found: Option<OwnerNo>,
        (promises, exact, shaken): (bool, bool, bool),
        synced: &dyn Fn(u64) -> bool,
        written: u64,
    ) -> Result<(), Wrong> {
        let safe = |written: u64| exact || promises && synced(written);
        self.loose |= shaken || !safe(self.begun);
        let came = found.map(|owner| self.lives.iter().rposition(|l| l.owner == Some(owner)));
        let came = match came {
            Some(None) => return Err("a session came back that never was".into()),
            Some(Some(at)) => Some(at),
            None => None,
        };
        let newest = self.lives.len().wrapping_sub(1);
        let kept = self.lives.last().filter(|life| life.owner.is_some());
        let sure = kept.is_some_and(|life| promises && (life.welcomed || exact));
        let over = |at: usize| self.lives[at].ended.is_some_and(&safe);
        match came {
            Some(at) if over(at) || at != newest && sure => {
                return Err("a session came back that had ended".into());
            }
            None if sure && self.now == Some(newest) => {
                let may_end = self.ends_after(now, &safe).is_some_and(|(from, _)| from <= now.mono);
                if !may_end {
                    return Err("it was welcome, and its session is gone".into());
                }
            }
            _ => {}
        }
        self.blur(now, (came, written), &safe);
        // What began after the life that came back never was.
        for life in self.lives.iter_mut().skip(came.map_or(usize::MAX, |at| at + 1)) {
            life.owner = None;
        }
        self.now = came;
        self.conn = None;
        if let Some(life) = self.life() {
            life.ended = None;
        }
        Ok(())
    }

    /// When a session that came back ends.
    fn ends_after(&self, now: Now, safe: &dyn Fn(u64) -> bool) -> Option<(u64, u64)> {
        if self.loose {
            return Some((now.mono, FAR));
        }
        let at = |expiry_s: u64, since: u64| {
            let waited = now.wall.saturating_sub(since);
            now.after_ms(expiry_s.saturating_mul(1_000).saturating_sub(waited)).0
        };
        // As if it had been connected to the last.
        let blurred = at(self.login_s, now.wall);
        if let Some(first) = self.open {
            let (ends, least) = (at(self.expiry_s, first), at(self.login_s, first));
            return Some((ends.min(least), at(self.expiry_s, now.wall).max(blurred)));
        }
        Some(match self.away {
            None => (blurred, blurred),
            Some((wall, written)) if safe(written) => {
                let ends = at(self.expiry_s, wall);
                (ends, ends)
            }
            Some((wall, _)) => {
                let ends = at(self.expiry_s, wall);
                (ends.min(blurred), ends.max(blurred))
            }
        })
    }

    /// Times and wills as a crash leaves them.
    fn blur(
        &mut self,
        now: Now,
        (came, written): (Option<usize>, u64),
        safe: &dyn Fn(u64) -> bool,
    ) {
        let same = came.is_some() && came == self.now;
        self.loose |= !same;
        let loose = self.loose;
        let ends = self.ends_after(now, safe);
        let since = self.away.filter(|(_, written)| safe(*written)).map(|(wall, _)| wall);
        let sure = self.away.is_none_or(|(_, written)| safe(written));
        let last = ends.map_or(u64::MAX, |(_, to)| to);
        let waited = now.wall.saturating_sub(since.unwrap_or(now.wall));
        for will in &mut self.wills {
            let delay = (u64::from(will.delay_s) * 1_000).saturating_sub(waited);
            let due = now.after_ms(delay).0.min(last);
            let decided = safe(will.since);
            will.fate = match will.fate {
                Fate::Done | Fate::Void if decided => will.fate,
                // A session that has ended may have left one that waits for room.
                _ if came != Some(will.life) => match will.fate {
                    Fate::Armed | Fate::Void => Fate::Void,
                    _ => Fate::Maybe(now.mono),
                },
                _ if will.late && will.delay_s > 0 => Fate::Maybe(now.mono),
                Fate::Armed if !loose && (decided || will.told) => Fate::Due(due),
                Fate::Due(_) if !loose && decided && sure => Fate::Due(due),
                _ => Fate::Maybe(now.mono),
            };
        }
        self.ends = ends;
        if let (false, Some((wall, _))) = (sure, self.away) {
            self.open = self.open.or(Some(wall));
        }
        self.away = came.map(|_| (since.unwrap_or(now.wall), written));
    }
}

impl Rooms {
    /// A message was taken in: from a client under this id, or not. `dropped`: who had no place.
    pub(super) fn published(
        &mut self,
        no: usize,
        m: &Message,
        from: Option<usize>,
        dropped: &BTreeSet<usize>,
    ) {
        let mut debts = BTreeMap::new();
        let mut pools: BTreeMap<Key, Pool> = BTreeMap::new();
        for (at, room) in self.rooms.iter().enumerate() {
            let Some(life) = room.now else { continue };
            for (key, history) in &room.lives[life].subs {
                let Some(opts) = history.now().filter(|_| matches(&key.1, &m.topic)) else {
                    continue;
                };
                if opts.no_local && from == Some(at) {
                    continue;
                }
                if !key.0.is_empty() {
                    let blank = || Pool {
                        key: key.clone(),
                        members: Vec::new(),
                        taker: None,
                        heirs: BTreeSet::new(),
                    };
                    let pool = pools.entry(key.clone()).or_insert_with(blank);
                    pool.members.push((at, life, opts));
                    continue;
                }
                let blank = || Debt { life, qos: 0, retain: false, ids: BTreeSet::new() };
                let debt = debts.entry(at).or_insert_with(blank);
                debt.qos = debt.qos.max(m.qos.min(opts.qos));
                debt.retain |= m.retain && opts.as_published;
                debt.ids.extend((opts.id > 0).then_some(opts.id));
            }
        }
        let post = self.posts.entry(no).or_default();
        (post.debts, post.pools) = (debts, pools.into_values().collect());
        post.excused.clone_from(dropped);
        post.done.clear();
    }

    /// Somebody whose session is on disk is owed it, or may be.
    pub(super) fn is_durable(&self, no: usize, m: &Message) -> bool {
        let Some(post) = self.posts.get(&no).filter(|_| m.qos > 0) else { return false };
        let owner = |room: usize, life: usize| self.rooms[room].lives[life].owner.is_some();
        post.debts.iter().any(|(room, debt)| debt.qos > 0 && owner(*room, debt.life))
    }

    /// A message is heard. Its place in the order of its stream, if it has one.
    pub(super) fn heard(&mut self, no: usize, m: &Message, h: &Hearing<'_>) -> Result<bool, Wrong> {
        let (room, life) = (h.room, h.joined.life);
        let me = (room, life);
        let place = m.taken.ok_or_else(|| format!("message {no} was never taken in"))?;
        if self.handed_on(no, m, h)? {
            return Ok(false);
        }
        let post = self.posts.entry(no).or_default();
        let debt = post.debts.get(&room).filter(|debt| debt.life == life);
        let mine = |(room, life, opts): &(usize, usize, Opts)| {
            (*room, *life) == me && h.ids.contains(&opts.id)
        };
        // A group may have a say in it besides; a number of nobody's is that of a replay.
        let known = |debt: &Debt, id: &u32| {
            let pooled = |p: &Pool| p.members.iter().any(|m| (m.0, m.1) == me && m.2.id == *id);
            debt.ids.contains(id) || post.pools.iter().any(pooled)
        };
        let due = |debt: &Debt| {
            let same = debt.ids.is_subset(h.ids) && h.ids.iter().all(|id| known(debt, id));
            debt.retain && debt.qos == h.qos && same
        };
        let live = debt.is_some_and(due) || post.pools.iter().any(|p| p.members.iter().any(mine));
        let live = live && !post.done.contains_key(&me);
        // What nobody keeps for who is away is live only to who was there.
        let live = live && (h.qos > 0 || place > h.joined.place);
        if h.retain && m.retain && !live {
            let curious = self.rooms[room].lives[life].curious.iter();
            let asked = curious.clone().any(|filter| matches(filter, &m.topic));
            let pooled = post.pools.iter().any(|p| p.members.iter().any(|m| (m.0, m.1) == me));
            if asked && h.qos <= m.qos {
                return Ok(false);
            }
            if !pooled && !debt.is_some_and(|debt| debt.retain) {
                return Err(format!("value {no} comes to m{room}, who may not have it"));
            }
        }
        let (mut qos, mut retain) = debt.map_or((0, false), |debt| (debt.qos, debt.retain));
        let mut ids = debt.map(|debt| debt.ids.clone()).unwrap_or_default();
        let mut owed = debt.is_some();
        for pool in &mut post.pools {
            let mine = pool.members.iter().find(|(room, life, _)| (*room, *life) == me);
            let Some((.., opts)) = mine.filter(|(.., opts)| h.ids.contains(&opts.id)) else {
                continue;
            };
            if pool.taker.is_some_and(|taker| taker != me) {
                return Err(format!("message {no} comes to two members of a group"));
            }
            pool.taker = Some(me);
            owed = true;
            qos = qos.max(m.qos.min(opts.qos));
            retain |= m.retain && opts.as_published;
            ids.insert(opts.id);
        }
        if !owed {
            return Err(format!("message {no} comes to m{room}, who does not listen"));
        }
        if (qos, retain) != (h.qos, h.retain) || h.numbered && ids != *h.ids {
            return Err(format!(
                "message {no} comes as {:?} {} {:?}, owed as {qos} {retain} {ids:?}",
                h.qos, h.retain, h.ids
            ));
        }
        let before = post.done.insert(me, qos).is_some();
        if before && (qos == 0 || !h.dup) {
            return Err(format!("message {no} comes twice to m{room} and is not marked"));
        }
        if h.dup && place > h.joined.place {
            return Err(format!("message {no} is marked and cannot have been sent before"));
        }
        if post.settled.contains(&me) {
            return Err(format!("message {no} comes again to m{room}, who had settled it"));
        }
        if qos == 2 && h.first && !post.once.insert(me) {
            return Err(format!("message {no} is taken in twice by m{room} at QoS 2"));
        }
        Ok(true)
    }

    /// Is it what another member of a group left, whose session has ended? Such a delivery is new,
    /// and stands behind all that its reader is owed.
    fn handed_on(&mut self, no: usize, m: &Message, h: &Hearing<'_>) -> Result<bool, Wrong> {
        let me = (h.room, h.joined.life);
        let lives = |(room, life): (usize, usize)| self.rooms[room].now == Some(life);
        let (Some(post), [id]) = (self.posts.get_mut(&no), &h.ids.iter().collect::<Vec<_>>()[..])
        else {
            return Ok(false);
        };
        for pool in &mut post.pools {
            let mine = self.rooms[me.0].lives[me.1].subs.get(&pool.key);
            // What was handed on before it left the group, it has still.
            let fits = |opts: Opts| opts.id == **id && h.qos == m.qos.min(opts.qos);
            if !mine.into_iter().flat_map(History::ever).any(fits) {
                continue;
            }
            if pool.heirs.contains(&me) && h.dup {
                return Ok(true);
            }
            let held = pool.taker.is_some_and(lives);
            let ended = pool.members.iter().any(|(room, life, _)| !lives((*room, *life)));
            let first = pool.members.iter().any(|(room, life, _)| (*room, *life) == me);
            // Who was a member all along may have been the one from the first.
            if held || !ended || first && pool.taker.is_none() && !post.done.contains_key(&me) {
                continue;
            }
            if !pool.heirs.insert(me) {
                return Err(format!("message {no} is handed on twice to m{}", h.room));
            }
            pool.taker = Some(me);
            return Ok(true);
        }
        Ok(false)
    }

    /// The broker has surely seen this reader's acknowledgement.
    pub(super) fn settled(&mut self, room: usize, life: usize, no: usize) {
        if let Some(post) = self.posts.get_mut(&no) {
            post.settled.insert((room, life));
        }
    }

    /// The reader refused it: it does not count as taken in.
    pub(super) fn refused(&mut self, room: usize, life: usize, no: usize) {
        if let Some(post) = self.posts.get_mut(&no) {
            post.once.remove(&(room, life));
        }
    }

    /// The broker stopped; without a promise nothing that was heard counts.
    pub(super) fn crashed(&mut self, promises: bool, exact: bool) {
        for post in self.posts.values_mut() {
            if !exact {
                post.settled.clear();
            }
            if !promises {
                post.once.clear();
            }
        }
    }

    /// Everybody was there, heard everything and acknowledged it: what is missing?
    pub(super) fn missing(&self, messages: &[Message]) -> Result<(), Wrong> {
        let goes_on = |room: usize, life: usize| self.rooms[room].now == Some(life);
        for (no, post) in &self.posts {
            let m = &messages[*no];
            if m.qos == 0 || m.len == 0 || m.lost || m.expires.is_some() {
                continue;
            }
            for (room, debt) in &post.debts {
                let due = debt.qos > 0 && goes_on(*room, debt.life) && !post.excused.contains(room);
                if due && !post.done.contains_key(&(*room, debt.life)) {
                    let acked = if m.acked { "acknowledged " } else { "" };
                    return Err(format!("{acked}message {no} never came to m{room}"));
                }
            }
            for pool in &post.pools {
                let due = pool.members.iter().all(|(room, life, opts)| {
                    opts.qos > 0 && goes_on(*room, *life) && !post.excused.contains(room)
                });
                if due && pool.taker.is_none() {
                    return Err(format!("message {no} came to no member of a group"));
                }
            }
        }
        Ok(())
    }
}
