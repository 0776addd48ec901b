//! Floor 3. An in-process peer's state: a queue of verbs, ordered answers, deliveries on demand.
//!
//! Verbs wait here while the hub has no room, exactly as a socket's bytes would wait. The program
//! pulls words as fast as it can hold them; what it does not pull stays in its outbox, within the
//! outbox's limits. Absent on purpose: threads and channels.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::base::id::{Lsn, SessionId};
use crate::base::outbound::Outbound;
use crate::base::time::{Deadline, Now};
use crate::base::words::{Loss, Tongue};
use crate::hub::admin::About;
use crate::hub::message::{Delivery, Publication, id_of};
use crate::hub::policy::Principal;
use crate::hub::registry::{Attach, Fresh, NoSession, Parting};
use crate::hub::session::{Kind, SubOpts};
use crate::hub::subscribe::{Replays, Subscribed};
use crate::hub::{Held, Hub};
use crate::proto::carried;
use crate::proto::doom::Doom;
use crate::proto::fault::Fault;
use crate::proto::replies::Replies;
use crate::proto::{Ask, Ctx, Protocol};
use crate::topic::{Dialect, Match, Star};

use super::{Verb, Word};

/// An in-process peer.
#[derive(Debug, Default)]
pub struct Peer {
    session: Option<SessionId>,
    verbs: VecDeque<Verb>,
    replies: Replies<Word>,
    over: bool,
}

impl Peer {
    /// Become a session; with a name, one that is found again.
    pub fn join(
        &mut self,
        name: Bytes,
        who: Principal,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), NoSession> {
        let attach = Attach {
            kind: Kind::Local,
            tongue: Tongue::Local,
            realm: ctx.listener.realm,
            durable: !name.is_empty(),
            name,
            principal: Arc::new(who),
            conn: ctx.conn,
            fresh: Fresh::No,
            level: ctx.listener.level,
            inflight_max: ctx.hub.limits.inflight_max,
            expiry_s: ctx.hub.limits.session_s_max,
            unique: false,
            will: None,
        };
        let attached = ctx.hub.attach(ctx.now, attach)?;
        ctx.asks.extend(attached.yielding.filter(|old| *old != ctx.conn).map(Ask::Yield));
        self.session = Some(attached.session);
        Ok(())
    }

    /// Take a verb; it is carried out at once if it can be.
    pub fn on_verb(&mut self, verb: Verb, ctx: &mut Ctx<'_>) {
        self.verbs.push_back(verb);
        self.work(ctx);
    }

    /// Verbs that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.verbs.len()
    }

    /// Up to `most` words for the program.
    pub fn poll_words(&mut self, now: Now, hub: &mut Hub, most: usize, into: &mut Vec<Word>) {
        let synced = hub.synced();
        while into.len() < most
            && let Some(word) = self.replies.pop(synced)
        {
            into.push(word);
        }
        let Some(session) = self.session else { return };
        hub.heard(session);
        while into.len() < most
            && let Some(delivery) = hub.next(now, session)
        {
            into.extend(readable(now, session, delivery, hub).map(Word::Message));
        }
    }

    fn work(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(verb) = self.verbs.pop_front() {
            match self.carry_out(&verb, ctx) {
                Ok(()) => {}
                Err(why) if why.passes() => {
                    self.verbs.push_front(verb);
                    ctx.asks.push(if why == Held::Turn { Ask::Again } else { Ask::Stall });
                    return;
                }
                Err(why) => {
                    let why = match why {
                        Held::TooLarge => "it will never fit into the journal",
                        _ => "the disk failed, so nothing can be promised",
                    };
                    self.replies.push(Lsn::START, Word::Refused { no: number(&verb), why });
                }
            }
        }
    }

    fn carry_out(&mut self, verb: &Verb, ctx: &mut Ctx<'_>) -> Result<(), Held> {
        let star = Star { levels_max: ctx.hub.limits.levels_max };
        let Some(session) = self.session.filter(|_| !self.over) else {
            return self.refuse(verb, "the peer is gone");
        };
        match verb {
            Verb::Publish { no, topic, body, qos, retain } => {
                let Ok(topic) = star.topic(topic) else { return self.refuse(verb, "bad topic") };
                let publication = Publication {
                    realm: ctx.listener.realm,
                    topic,
                    body: body.clone(),
                    props: Bytes::new(),
                    qos: (*qos).min(1),
                    retain: *retain,
                    expires: 0,
                    inbound: None,
                };
                let level = ctx.listener.level;
                let receipt = ctx.hub.publish(ctx.now, Some(session), level, &publication)?;
                let word = Word::Done { no: *no, matched: receipt.matched };
                self.replies.push(receipt.after, word);
            }
            Verb::Subscribe { no, filter, qos } => {
                ctx.hub.take_on(session, filter.as_ref())?;
                let Ok(filter) = star.filter(filter, Match::Native) else {
                    return self.refuse(verb, "bad filter");
                };
                let id = u32::try_from(*no).unwrap_or(u32::MAX);
                let opts = SubOpts { qos: (*qos).min(1), id, ..SubOpts::default() };
                match ctx.hub.subscribe(ctx.now, session, &filter, None, opts, Replays::Always)? {
                    Subscribed::Yes(receipt) => {
                        self.replies.push(receipt.after, Word::Done { no: *no, matched: 0 });
                    }
                    Subscribed::TooMany => return self.refuse(verb, "too many subscriptions"),
                }
            }
            Verb::Unsubscribe { no, filter } => {
                ctx.hub.take_on(session, filter.as_ref())?;
                let Ok(filter) = star.filter(filter, Match::Native) else {
                    return self.refuse(verb, "bad filter");
                };
                let done = ctx.hub.unsubscribe(ctx.now, session, &filter, None)?;
                let after = done.map_or(Lsn::START, |receipt| receipt.after);
                self.replies.push(after, Word::Done { no: *no, matched: 0 });
            }
            Verb::Settle { ord } => {
                ctx.hub.settle(session, id_of(*ord));
            }
        }
        Ok(())
    }

    fn refuse(&mut self, verb: &Verb, why: &'static str) -> Result<(), Held> {
        self.replies.push(Lsn::START, Word::Refused { no: number(verb), why });
        Ok(())
    }
}

/// A program reads bodies. What no body can be made of is counted, and not owed for ever.
fn readable(now: Now, reader: SessionId, d: Delivery, hub: &mut Hub) -> Option<Delivery> {
    let m = &d.message;
    if !carried::is_carried(&m.props) {
        return Some(d);
    }
    let Some(read) = carried::read(m, d.retain) else {
        hub.note_lost(now, reader, &m.topic, Loss::Form);
        if d.qos > 0 {
            hub.settle(reader, id_of(d.ord));
        }
        return None;
    };
    let message = hub.restated(m, read.body);
    Some(Delivery { message: Arc::new(message), ..d })
}

fn number(verb: &Verb) -> u64 {
    match verb {
        Verb::Publish { no, .. } | Verb::Subscribe { no, .. } | Verb::Unsubscribe { no, .. } => *no,
        Verb::Settle { ord } => *ord,
    }
}

impl Protocol for Peer {
    fn on_bytes(&mut self, _: &mut BytesMut, ctx: &mut Ctx<'_>) -> Result<(), Fault> {
        self.work(ctx);
        Ok(())
    }

    fn on_verdict(&mut self, _: u32, _: bool, _: &mut Ctx<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn on_deadline(&mut self, _: &mut Ctx<'_>) -> Result<(), Doom> {
        Ok(())
    }

    fn on_doom(&mut self, _: &Doom, ctx: &mut Ctx<'_>) {
        self.over = true;
        // What waits for the disk is not promised any more, and whoever asked must be told.
        let synced = ctx.hub.synced();
        let said: Vec<Word> = core::iter::from_fn(|| self.replies.pop(synced)).collect();
        let left: Vec<Word> = core::iter::from_fn(|| self.replies.pop(Lsn(u64::MAX))).collect();
        for word in said {
            self.replies.push(Lsn::START, word);
        }
        for word in left {
            let word = match word {
                Word::Done { no, .. } => Word::Refused { no, why: "nothing more can be promised" },
                other => other,
            };
            self.replies.push(Lsn::START, word);
        }
        for verb in core::mem::take(&mut self.verbs) {
            let word = Word::Refused { no: number(&verb), why: "the peer is gone" };
            self.replies.push(Lsn::START, word);
        }
        if let Some(session) = self.session.take() {
            ctx.hub.detach(ctx.now, session, ctx.conn, Parting::Lost);
        }
    }

    fn poll_transmit(&mut self, _: Now, _: &mut Hub, _: &mut Outbound, _: usize) -> bool {
        false
    }

    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    fn wants_bytes(&self, _: &Hub) -> bool {
        false
    }

    fn has_packet(&self, _: &[u8], _: &Hub) -> bool {
        false
    }

    fn waits_for(&self) -> Option<Lsn> {
        self.replies.waits_for()
    }

    fn session(&self) -> Option<SessionId> {
        self.session
    }

    fn is_stranger(&self) -> bool {
        false
    }

    fn about(&self) -> About {
        About { protocol: "local", ..About::default() }
    }

    fn heap(&self) -> usize {
        size_of::<Self>() + self.replies.heap() + self.verbs.capacity() * size_of::<Verb>()
    }
}
